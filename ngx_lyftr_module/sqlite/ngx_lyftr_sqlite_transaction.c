#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>
#include <ngx_lyftr_sqlite_jobs.h>


/* of SQLite, after which a reader looks if it is to stop, or to rest */
#ifndef NGX_LYFTR_SQLITE_OPS
#define NGX_LYFTR_SQLITE_OPS       1000
#endif


static ngx_int_t ngx_lyftr_sqlite_begin_as(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static int ngx_lyftr_sqlite_progress(void *data);
static ngx_int_t ngx_lyftr_sqlite_probe_locked(ngx_lyftr_sqlite_t *c,
    ngx_uint_t write, ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_sqlite_begin(void *conn, ngx_uint_t write, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    ngx_int_t                        rc;
    ngx_lyftr_sqlite_transaction_t  *t;

    t = &c->transaction;
    t->write = write;
    t->deadline = deadline;

    rc = NGX_OK;

    if (write == NGX_LYFTR_SQLITE_WRITE) {
        rc = ngx_lyftr_sqlite_writer_prepare(c, err);
    }

    if (rc == NGX_OK && write) {
        rc = ngx_lyftr_sqlite_lock(c, deadline, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_begin_as(c, err);
    }

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    ngx_lyftr_sqlite_rollback(c);

    return (err->code == NGX_LYFTR_ERR_BUSY
            || err->code == NGX_LYFTR_ERR_BEHIND
            || err->code == NGX_LYFTR_ERR_STUCK
            || err->code == NGX_LYFTR_ERR_LOG) ? NGX_DECLINED : NGX_ERROR;
}


/* a reader, or a writer that has the lock */

static ngx_int_t
ngx_lyftr_sqlite_begin_as(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_lyftr_sql_e                  sql;
    ngx_lyftr_sqlite_transaction_t  *t;

    t = &c->transaction;

    if (ngx_lyftr_sqlite_files(c, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (t->write) {
        if (ngx_lyftr_sqlite_sync(c, t->write, t->deadline, err) != NGX_OK
            || ngx_lyftr_sqlite_room(c, t->write, err) != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else {
        sqlite3_progress_handler(c->db, NGX_LYFTR_SQLITE_OPS,
                                 ngx_lyftr_sqlite_progress, c);
    }

    (void) sqlite3_busy_timeout(c->db,
                                (int) ngx_lyftr_flock_left(t->deadline));

    sql = t->write ? NGX_LYFTR_SQL_BEGIN_WRITE : NGX_LYFTR_SQL_BEGIN_READ;

    if (ngx_lyftr_sqlite_run(c, c->stmt[sql], err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (t->write == NGX_LYFTR_SQLITE_JOB) {
        return ngx_lyftr_lease_fence(c, err);
    }

    if (t->write == NGX_LYFTR_SQLITE_ASK) {
        return ngx_lyftr_segments_read(c, err);
    }

    return t->write ? ngx_lyftr_sqlite_writer_begin(c, err) : NGX_OK;
}


static int
ngx_lyftr_sqlite_progress(void *data)
{
    ngx_lyftr_sqlite_t *c = data;

    ngx_lyftr_sqlite_transaction_t  *t;

    t = &c->transaction;

    if (t->pause) {
        t->pause(c);
    }

    return ngx_lyftr_flock_left(t->deadline) == 0
           || (t->stop && __atomic_load_n(t->stop, __ATOMIC_RELAXED));
}


void
ngx_lyftr_sqlite_watch(void *conn, ngx_atomic_t *stop)
{
    ngx_lyftr_sqlite_t *c = conn;

    c->transaction.stop = stop;
}


ngx_int_t
ngx_lyftr_sqlite_commit(void *conn, ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    ngx_int_t  rc;

    if (!c->transaction.write) {
        ngx_lyftr_sqlite_rollback(c);
        return NGX_OK;
    }

    ngx_lyftr_sqlite_committing(c, 1);

    rc = ngx_lyftr_sqlite_run(c, c->stmt[NGX_LYFTR_SQL_COMMIT], err);

    if (rc == NGX_OK) {
        ngx_lyftr_sqlite_committing(c, 0);
        ngx_lyftr_sqlite_writer_commit(c);
        rc = ngx_lyftr_sqlite_files(c, err);

    } else {
        ngx_lyftr_sqlite_unsynced(c);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


/* ends whatever there is */

void
ngx_lyftr_sqlite_rollback(void *conn)
{
    ngx_lyftr_sqlite_t *c = conn;

    sqlite3_progress_handler(c->db, 0, NULL, NULL);

    if (!sqlite3_get_autocommit(c->db)) {
        (void) sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    }

    ngx_lyftr_sqlite_writer_rollback(c);
    ngx_lyftr_sqlite_view_leave(c);

    c->transaction.write = 0;

    ngx_lyftr_sqlite_unlock(c);
}


ngx_int_t
ngx_lyftr_sqlite_probe(void *conn, ngx_uint_t write, ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    ngx_int_t  rc;

    if (ngx_lyftr_sqlite_files(c, err) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_lyftr_sqlite_lock_try(c, err);

    if (rc != NGX_OK) {
        /* a writer of ours is at work: only its own outcome is a proof */
        return rc;
    }

    rc = ngx_lyftr_sqlite_probe_locked(c, write, err);

    ngx_lyftr_sqlite_rollback(c);

    if (rc == NGX_ERROR && err->code == NGX_LYFTR_ERR_BUSY) {
        return NGX_DECLINED;
    }

    return rc;
}


static ngx_int_t
ngx_lyftr_sqlite_probe_locked(ngx_lyftr_sqlite_t *c, ngx_uint_t write,
    ngx_lyftr_error_t *err)
{
    sqlite3_stmt  *st;

    if (ngx_lyftr_sqlite_room(c, 0, err) != NGX_OK) {
        return NGX_ERROR;
    }

    (void) sqlite3_busy_timeout(c->db, 0);

    st = c->stmt[NGX_LYFTR_SQL_BEGIN_WRITE];

    if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK
        || ngx_lyftr_segments_read(c, err) != NGX_OK
        || ngx_lyftr_sqlite_admit(c, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!write) {
        return NGX_OK;
    }

    st = c->stmt[NGX_LYFTR_SQL_PROBE];

    if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
        return NGX_ERROR;
    }

    st = c->stmt[NGX_LYFTR_SQL_COMMIT];

    if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_lyftr_sqlite_files(c, err);
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>
#include <ngx_lyftr_sqlite_jobs.h>

#include <time.h>


/* nanoseconds that a batch is held back if the indexes are far behind */
#define NGX_LYFTR_SQLITE_PAUSE     2000000


static void ngx_lyftr_sqlite_advice(ngx_lyftr_error_t *text);
static void ngx_lyftr_sqlite_time(char *buf);
static ngx_int_t ngx_lyftr_sqlite_begin_as(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static void ngx_lyftr_sqlite_slow(ngx_lyftr_sqlite_t *c);
static ngx_int_t ngx_lyftr_sqlite_prepare_ids(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static int ngx_lyftr_sqlite_progress(void *data);
static void ngx_lyftr_sqlite_watch(void *conn, ngx_atomic_t *stop);
static ngx_int_t ngx_lyftr_sqlite_insert(void *conn, ngx_lyftr_message_t *m,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_probe(void *conn, ngx_uint_t write,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_probe_locked(ngx_lyftr_sqlite_t *c,
    ngx_uint_t write, ngx_lyftr_error_t *err);


ngx_lyftr_backend_t  ngx_lyftr_sqlite_backend = {
    ngx_string("sqlite"),
    ngx_lyftr_sqlite_jobs,
    ngx_lyftr_sqlite_advice,
    sqlite3_libversion,
    ngx_lyftr_sqlite_init,
    ngx_lyftr_sqlite_equal,
    ngx_lyftr_sqlite_open,
    ngx_lyftr_sqlite_close,
    ngx_lyftr_sqlite_begin,
    ngx_lyftr_sqlite_commit,
    ngx_lyftr_sqlite_rollback,
    ngx_lyftr_sqlite_watch,
    ngx_lyftr_sqlite_insert,
    ngx_lyftr_sqlite_list,
    ngx_lyftr_sqlite_stats,
    ngx_lyftr_sqlite_probe,
    ngx_lyftr_sqlite_maintain,
    ngx_lyftr_sqlite_gauges,
    ngx_lyftr_sqlite_verify
};


/* https://sqlite.org/wal.html, "The WAL-Reset Bug" */

static void
ngx_lyftr_sqlite_advice(ngx_lyftr_error_t *text)
{
    int  version;

    version = sqlite3_libversion_number();

    text->len = 0;

    if (version >= 3051003
        || (version >= 3050007 && version < 3051000)
        || (version >= 3044006 && version < 3045000))
    {
        return;
    }

    (void) ngx_lyftr_sqlite_fail(text, NGX_LYFTR_ERR_NONE,
                                 "SQLite %s has the WAL-reset bug, which is "
                                 "avoided here, but not if another program "
                                 "writes to a store", sqlite3_libversion());
}


/* 64-bit FNV-1a */

uint64_t
ngx_lyftr_sqlite_hash(u_char *p, size_t len)
{
    uint64_t  h;

    h = 0xcbf29ce484222325;

    while (len--) {
        h = (h ^ *p++) * 0x100000001b3;
    }

    return h;
}


/* server time, RFC 3339 */

static void
ngx_lyftr_sqlite_time(char *buf)
{
    struct tm        tm;
    struct timespec  ts;

    (void) clock_gettime(CLOCK_REALTIME, &ts);
    (void) gmtime_r(&ts.tv_sec, &tm);

    (void) strftime(buf, sizeof(NGX_LYFTR_SQLITE_TIME),
                    "%Y-%m-%dT%H:%M:%S.000Z", &tm);

    buf += sizeof("2026-11-23T10:00:00.") - 1;

    *buf++ = '0' + ts.tv_nsec / 100000000;
    *buf++ = '0' + ts.tv_nsec / 10000000 % 10;
    *buf = '0' + ts.tv_nsec / 1000000 % 10;
}


ngx_int_t
ngx_lyftr_sqlite_begin(void *conn, ngx_uint_t write, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    ngx_int_t  rc;

    c->write = write;
    c->deadline = deadline;

    rc = NGX_OK;

    if (write == NGX_LYFTR_SQLITE_WRITE) {
        ngx_lyftr_sqlite_slow(c);

        if (ngx_lyftr_segments_changed(c)) {
            rc = ngx_lyftr_sqlite_prepare_ids(c, err);
        }
    }

    if (rc == NGX_OK && write) {
        rc = ngx_lyftr_sqlite_turn(c, deadline, err);
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


/* NGX_DECLINED: not until the deadline */

ngx_int_t
ngx_lyftr_sqlite_turn(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_flock_take(&c->lock, deadline);

    if (rc == NGX_DECLINED) {
        (void) ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_BUSY,
                                     "locked by another writer");
        return NGX_DECLINED;
    }

    if (rc != NGX_OK) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                     "file lock: %s", strerror(errno));
    }

    return NGX_OK;
}


/* lets the housekeeping catch up, which has as much to do a row as a writer */

static void
ngx_lyftr_sqlite_slow(ngx_lyftr_sqlite_t *c)
{
    struct timespec  ts;

    if (c->last - c->state.indexed < NGX_LYFTR_SLOW) {
        return;
    }

    ts.tv_sec = 0;
    ts.tv_nsec = NGX_LYFTR_SQLITE_PAUSE;

    (void) nanosleep(&ts, NULL);
}


/* what takes a while is not done in the turn */

static ngx_int_t
ngx_lyftr_sqlite_prepare_ids(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_BEGIN_READ];

    if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_lyftr_segments_read(c, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_segment_filters(c, err);
    }

    (void) sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);

    return rc;
}


/* a reader, or a writer that has its turn */

static ngx_int_t
ngx_lyftr_sqlite_begin_as(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_lyftr_sql_e  sql;

    if (ngx_lyftr_sqlite_files(c, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (c->write) {
        ngx_lyftr_sqlite_time(c->now);

        if (ngx_lyftr_sqlite_sync(c, err) != NGX_OK
            || ngx_lyftr_sqlite_room(c, err) != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else {
        sqlite3_progress_handler(c->db, 1000, ngx_lyftr_sqlite_progress, c);
    }

    (void) sqlite3_busy_timeout(c->db,
                                (int) ngx_lyftr_flock_left(c->deadline));

    sql = c->write ? NGX_LYFTR_SQL_BEGIN_WRITE : NGX_LYFTR_SQL_BEGIN_READ;

    if (ngx_lyftr_sqlite_run(c, c->stmt[sql], err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (c->write == NGX_LYFTR_SQLITE_UPKEEP) {
        return ngx_lyftr_upkeep_fence(c, err);
    }

    if (!c->write) {
        return NGX_OK;
    }

    if (ngx_lyftr_segments_read(c, err) != NGX_OK
        || ngx_lyftr_sqlite_admit(c, err) != NGX_OK
        || ngx_lyftr_segment_filters(c, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_lyftr_sqlite_ids_refresh(c, err);
}


static int
ngx_lyftr_sqlite_progress(void *data)
{
    ngx_lyftr_sqlite_t *c = data;

    return ngx_lyftr_flock_left(c->deadline) == 0
           || (c->stop && __atomic_load_n(c->stop, __ATOMIC_RELAXED));
}


static void
ngx_lyftr_sqlite_watch(void *conn, ngx_atomic_t *stop)
{
    ngx_lyftr_sqlite_t *c = conn;

    c->stop = stop;
}


ngx_int_t
ngx_lyftr_sqlite_commit(void *conn, ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    ngx_int_t  rc;

    if (!c->write) {
        ngx_lyftr_sqlite_rollback(c);
        return NGX_OK;
    }

    rc = ngx_lyftr_sqlite_run(c, c->stmt[NGX_LYFTR_SQL_COMMIT], err);

    if (rc == NGX_OK) {
        ngx_lyftr_sqlite_added(c);
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

    ngx_lyftr_sqlite_ids_forget(c);
    ngx_lyftr_memtable_leave(c->recent, &c->view);

    c->write = 0;
    c->viewed = 0;

    ngx_lyftr_flock_release(&c->lock);
}


static ngx_int_t
ngx_lyftr_sqlite_insert(void *conn, ngx_lyftr_message_t *m,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    ngx_str_t               created;
    ngx_lyftr_sqlite_row_t  row;

    created.len = sizeof(c->now) - 1;
    created.data = (u_char *) c->now;

    row.instant.len = m->instant.len;
    row.instant.data = m->instant.data;
    row.text = 0;

    return ngx_lyftr_sqlite_append(c, m, &created, &row, err);
}


static ngx_int_t
ngx_lyftr_sqlite_probe(void *conn, ngx_uint_t write, ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    ngx_int_t  rc;

    if (ngx_lyftr_sqlite_files(c, err) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_lyftr_flock_try(&c->lock);

    if (rc == NGX_DECLINED) {
        /* a writer of ours is at work: only its own outcome is a proof */
        return NGX_DECLINED;
    }

    if (rc != NGX_OK) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                     "file lock: %s", strerror(errno));
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

    if (ngx_lyftr_sqlite_room(c, err) != NGX_OK) {
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

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite.h>

#include <time.h>


/* pages of the WAL between two checkpoints */
#define NGX_LYFTR_SQLITE_WAL       4000

/* so many, and the writer waits for the readers, so many milliseconds */
#define NGX_LYFTR_SQLITE_WAL_MAX   16000
#define NGX_LYFTR_SQLITE_WAL_WAIT  1000


static void ngx_lyftr_sqlite_time(char *buf);
static ngx_int_t ngx_lyftr_sqlite_begin(void *conn, ngx_uint_t write,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_sync(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static int ngx_lyftr_sqlite_progress(void *data);
static ngx_int_t ngx_lyftr_sqlite_commit(void *conn, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_insert(void *conn, ngx_lyftr_message_t *m,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_probe(void *conn, ngx_uint_t write,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_probe_locked(ngx_lyftr_sqlite_t *c,
    ngx_uint_t write, ngx_lyftr_error_t *err);
static ngx_uint_t ngx_lyftr_sqlite_due(void *conn);
static ngx_int_t ngx_lyftr_sqlite_maintain(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_catch_up(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_checkpoint(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);


ngx_lyftr_backend_t  ngx_lyftr_sqlite_backend = {
    ngx_string("sqlite"),
    ngx_lyftr_sqlite_init,
    ngx_lyftr_sqlite_open,
    ngx_lyftr_sqlite_close,
    ngx_lyftr_sqlite_begin,
    ngx_lyftr_sqlite_commit,
    ngx_lyftr_sqlite_rollback,
    ngx_lyftr_sqlite_insert,
    ngx_lyftr_sqlite_list,
    ngx_lyftr_sqlite_stats,
    ngx_lyftr_sqlite_probe,
    ngx_lyftr_sqlite_due,
    ngx_lyftr_sqlite_maintain
};


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


static ngx_int_t
ngx_lyftr_sqlite_begin(void *conn, ngx_uint_t write, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    ngx_int_t        rc;
    ngx_lyftr_sql_e  sql;

    if (write) {
        rc = ngx_lyftr_flock_take(&c->lock, deadline);

        if (rc == NGX_DECLINED) {
            return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_BUSY,
                                         "locked by another writer");
        }

        if (rc != NGX_OK) {
            return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                         "file lock: %s", strerror(errno));
        }
    }

    c->write = write;
    c->deadline = deadline;

    if (ngx_lyftr_sqlite_files(c, err) != NGX_OK) {
        ngx_lyftr_sqlite_rollback(c);
        return NGX_ERROR;
    }

    if (write) {
        ngx_lyftr_sqlite_time(c->now);

        if (ngx_lyftr_sqlite_sync(c, err) != NGX_OK) {
            ngx_lyftr_sqlite_rollback(c);
            return NGX_ERROR;
        }

    } else {
        sqlite3_progress_handler(c->db, 1000, ngx_lyftr_sqlite_progress, c);
    }

    (void) sqlite3_busy_timeout(c->db, (int) ngx_lyftr_flock_left(deadline));

    sql = write ? NGX_LYFTR_SQL_BEGIN_WRITE : NGX_LYFTR_SQL_BEGIN_READ;

    if (ngx_lyftr_sqlite_run(c, c->stmt[sql], err) != NGX_OK
        || (write && ngx_lyftr_sqlite_follow(c, err) != NGX_OK))
    {
        ngx_lyftr_sqlite_rollback(c);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * The first connection after a crash recovers also transactions whose fsync()
 * failed or never ran.  Their ids count as known, so they are made durable
 * before one of them is acknowledged: a checkpoint writes the pages anew, for
 * after a failed fsync() the kernel may take those of the log for written.  A
 * reader may hold that up; if no write has failed, a sync of the log will do.
 */

static ngx_int_t
ngx_lyftr_sqlite_sync(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int  rc, wait;

    if (c->synced) {
        return NGX_OK;
    }

    wait = c->failed ? (int) ngx_lyftr_flock_left(c->deadline) : 0;

    (void) sqlite3_busy_timeout(c->db, wait);

    rc = sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_FULL, NULL,
                                   NULL);

    if (rc != SQLITE_OK && ((rc & 0xff) != SQLITE_BUSY || c->failed)) {
        return ngx_lyftr_sqlite_error(c, err);
    }

    if (rc != SQLITE_OK && ngx_lyftr_sqlite_sync_log(c, err) != NGX_OK) {
        return NGX_ERROR;
    }

    c->synced = 1;

    return NGX_OK;
}


static int
ngx_lyftr_sqlite_progress(void *data)
{
    ngx_lyftr_sqlite_t *c = data;

    return ngx_lyftr_flock_left(c->deadline) == 0;
}


static ngx_int_t
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
        c->committed = c->tail.n;
        rc = ngx_lyftr_sqlite_files(c, err);
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

    ngx_lyftr_sqlite_unlearn(c);

    c->write = 0;

    ngx_lyftr_flock_release(&c->lock);
}


static ngx_int_t
ngx_lyftr_sqlite_insert(void *conn, ngx_lyftr_message_t *m,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    int64_t        seq;
    uint64_t       hash;
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    hash = ngx_lyftr_sqlite_hash(m->message_id.data, m->message_id.len);

    rc = ngx_lyftr_sqlite_known(c, &m->message_id, hash, err);

    if (rc != NGX_OK) {
        return rc;
    }

    st = c->stmt[NGX_LYFTR_SQL_INSERT];

    (void) sqlite3_bind_int64(st, 1, (int64_t) hash);
    (void) sqlite3_bind_blob(st, 2, m->instant.data, m->instant.len,
                             SQLITE_STATIC);
    (void) sqlite3_bind_text(st, 7, c->now, sizeof(c->now) - 1,
                             SQLITE_STATIC);

    if (ngx_lyftr_sqlite_bind(st, 3, &m->message_id) != SQLITE_OK
        || ngx_lyftr_sqlite_bind(st, 4, &m->from) != SQLITE_OK
        || ngx_lyftr_sqlite_bind(st, 5, &m->to) != SQLITE_OK
        || ngx_lyftr_sqlite_bind(st, 6, &m->ts) != SQLITE_OK
        || ngx_lyftr_sqlite_bind(st, 8, &m->text) != SQLITE_OK)
    {
        (void) ngx_lyftr_sqlite_error(c, err);
        (void) sqlite3_clear_bindings(st);
        return NGX_ERROR;
    }

    if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
        return NGX_ERROR;
    }

    seq = sqlite3_last_insert_rowid(c->db);

    if (ngx_lyftr_sqlite_tail_add(&c->tail, hash, seq) != NGX_OK) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    c->seen = seq;

    return NGX_OK;
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

    (void) sqlite3_busy_timeout(c->db, 0);

    st = c->stmt[NGX_LYFTR_SQL_BEGIN_WRITE];

    if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
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


static ngx_uint_t
ngx_lyftr_sqlite_due(void *conn)
{
    ngx_lyftr_sqlite_t *c = conn;

    return ngx_lyftr_sqlite_behind(c) != NGX_LYFTR_INDEXES
           || c->wal - c->wal_done >= NGX_LYFTR_SQLITE_WAL;
}


static ngx_int_t
ngx_lyftr_sqlite_maintain(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    ngx_int_t  rc;

    /* one thing at a time, so that a message does not wait for all */

    if (c->wal - c->wal_done >= NGX_LYFTR_SQLITE_WAL) {
        rc = ngx_lyftr_sqlite_checkpoint(c, deadline, err);

    } else {
        rc = ngx_lyftr_sqlite_catch_up(c, deadline, err);
    }

    /* if it is locked, the next time */

    return (rc == NGX_ERROR && err->code == NGX_LYFTR_ERR_BUSY) ? NGX_DECLINED
                                                                : rc;
}


static ngx_int_t
ngx_lyftr_sqlite_catch_up(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int64_t            last;
    ngx_int_t          rc;
    ngx_lyftr_index_e  index;

    if (ngx_lyftr_sqlite_begin(c, 1, deadline, err) != NGX_OK) {
        return NGX_ERROR;
    }

    index = ngx_lyftr_sqlite_behind(c);

    if (index == NGX_LYFTR_INDEXES) {

        /* another writer has done it meanwhile */

        ngx_lyftr_sqlite_rollback(c);
        return NGX_OK;
    }

    last = c->mark[index] + NGX_LYFTR_SQLITE_STEP;

    rc = ngx_lyftr_sqlite_step(c, index, last, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    c->mark[index] = last;

    if (index == NGX_LYFTR_INDEX_ID) {
        ngx_lyftr_sqlite_tail_cut(&c->tail, last + 1, c->tail.n);
        c->committed = c->tail.n;
    }

    return NGX_OK;
}


/*
 * SQLite before 3.51.3 can lose frames when a passive checkpoint meets a
 * commit, so both are done under the file lock.  A failure is no fault of a
 * message: the WAL just stays longer.
 */

static ngx_int_t
ngx_lyftr_sqlite_checkpoint(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int        mode, wait, log, done;
    ngx_int_t  rc;

    if (ngx_lyftr_flock_take(&c->lock, deadline) != NGX_OK) {
        return NGX_DECLINED;
    }

    rc = ngx_lyftr_sqlite_files(c, err);

    if (rc == NGX_OK) {
        log = c->wal;
        mode = SQLITE_CHECKPOINT_PASSIVE;
        wait = 0;

        if (c->wal >= NGX_LYFTR_SQLITE_WAL_MAX) {

            /* readers that overlap would keep it from ever starting anew */

            mode = SQLITE_CHECKPOINT_RESTART;
            wait = NGX_LYFTR_SQLITE_WAL_WAIT;
        }

        (void) sqlite3_busy_timeout(c->db, wait);
        (void) sqlite3_wal_checkpoint_v2(c->db, NULL, mode, &log, &done);

        /* if a reader held it up, the next try is as many pages later */

        c->wal_done = ngx_max(log, c->wal);
    }

    ngx_lyftr_flock_release(&c->lock);

    return rc;
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif


/* pages of the WAL between two checkpoints */
#define NGX_LYFTR_SQLITE_WAL       4000

/* so many, or half of what is allowed, and it is made to start anew */
#define NGX_LYFTR_SQLITE_WAL_LONG  16000
#define NGX_LYFTR_SQLITE_PAGE      4096

/* msec that this waits for readers, and between two tries */
#define NGX_LYFTR_SQLITE_WAL_WAIT  100
#define NGX_LYFTR_SQLITE_WAL_REST  1000


static ngx_msec_t ngx_lyftr_sqlite_restart_due(ngx_lyftr_sqlite_t *c);
static ngx_int_t ngx_lyftr_sqlite_catch_up(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_checkpoint(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static int ngx_lyftr_sqlite_restart(ngx_lyftr_sqlite_t *c, int wait);


ngx_msec_t
ngx_lyftr_sqlite_due(void *conn)
{
    ngx_lyftr_sqlite_t *c = conn;

    if (ngx_lyftr_sqlite_behind(c) != NGX_LYFTR_INDEXES
        || c->wal - c->wal_done >= NGX_LYFTR_SQLITE_WAL)
    {
        return 0;
    }

    return ngx_lyftr_sqlite_restart_due(c);
}


/*
 * In how many milliseconds a long WAL is to start anew.  Pages are those of
 * this connection's commits, the size is the file's.
 */

static ngx_msec_t
ngx_lyftr_sqlite_restart_due(ngx_lyftr_sqlite_t *c)
{
    ngx_int_t  max;

    max = c->dsn->max_wal;

    if (c->wal < NGX_LYFTR_SQLITE_WAL_LONG
        && c->wal < max / (2 * NGX_LYFTR_SQLITE_PAGE)
        && c->wal_size < max)
    {
        return NGX_LYFTR_NEVER;
    }

    return ngx_lyftr_flock_left(c->wal_retry);
}


/* one thing at a time, so that a message does not wait for all */

ngx_int_t
ngx_lyftr_sqlite_maintain(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    ngx_int_t  rc;

    if (c->wal - c->wal_done >= NGX_LYFTR_SQLITE_WAL
        || ngx_lyftr_sqlite_restart_due(c) == 0)
    {
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

    rc = ngx_lyftr_sqlite_begin(c, 1, deadline, err);

    if (rc != NGX_OK) {
        return rc;
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

#ifdef __GLIBC__

    /* the rows were sorted in many small pieces, all over the heaps */

    (void) malloc_trim(0);

#endif

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
    int        log, done;
    ngx_int_t  rc;

    if (ngx_lyftr_flock_take(&c->lock, deadline) != NGX_OK) {
        return NGX_DECLINED;
    }

    rc = ngx_lyftr_sqlite_files(c, err);

    if (rc == NGX_OK && ngx_lyftr_sqlite_restart_due(c) == 0) {
        (void) ngx_lyftr_sqlite_restart(c, NGX_LYFTR_SQLITE_WAL_WAIT);

    } else if (rc == NGX_OK) {
        log = c->wal;

        (void) sqlite3_wal_checkpoint_v2(c->db, NULL,
                                         SQLITE_CHECKPOINT_PASSIVE, &log,
                                         &done);

        /* if a reader held it up, the next try is as many pages later */

        c->wal_done = ngx_max(log, c->wal);
    }

    ngx_lyftr_flock_release(&c->lock);

    return rc;
}


/*
 * Makes the next commit begin at the WAL's start, or, if it is as long as is
 * allowed, empties it.  It needs a moment in which no reader has a part of it
 * open; readers that overlap would never leave one by themselves.
 */

static int
ngx_lyftr_sqlite_restart(ngx_lyftr_sqlite_t *c, int wait)
{
    int  rc, mode;

    mode = c->wal_size >= c->dsn->max_wal ? SQLITE_CHECKPOINT_TRUNCATE
                                          : SQLITE_CHECKPOINT_RESTART;

    (void) sqlite3_busy_timeout(c->db, wait);

    rc = sqlite3_wal_checkpoint_v2(c->db, NULL, mode, NULL, NULL);

    if (rc != SQLITE_OK) {
        c->wal_done = c->wal;
        c->wal_retry = ngx_lyftr_clock() + NGX_LYFTR_SQLITE_WAL_REST;
        return rc;
    }

    c->wal = 0;
    c->wal_done = 0;

    if (mode == SQLITE_CHECKPOINT_TRUNCATE) {
        c->wal_size = 0;
    }

    return rc;
}


/* refuses what would make a WAL longer that is as long as is allowed */

ngx_int_t
ngx_lyftr_sqlite_room(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int  rc, wait;

    if (c->wal_size < c->dsn->max_wal) {
        return NGX_OK;
    }

    if (ngx_lyftr_flock_left(c->wal_retry) == 0) {
        wait = c->write ? NGX_LYFTR_SQLITE_WAL_WAIT : 0;

        rc = ngx_lyftr_sqlite_restart(c, wait);

        if (rc == SQLITE_OK) {
            return NGX_OK;
        }

        if ((rc & 0xff) != SQLITE_BUSY) {
            return ngx_lyftr_sqlite_error(c, err);
        }
    }

    return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_LOG,
                                 "a reader holds the WAL of %lld bytes",
                                 (long long) c->wal_size);
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>
#include <ngx_lyftr_sqlite_jobs.h>


/* msec that a checkpoint waits for readers */
#define NGX_LYFTR_SQLITE_WAL_WAIT  5

/* nsec between two tries of the last one */
#define NGX_LYFTR_SQLITE_WAL_PAUSE 10000000

/* bytes that are copied beside commits, and then synced */
#define NGX_LYFTR_SQLITE_TRICKLE   (128 * 1024)


static ngx_int_t ngx_lyftr_sqlite_copy(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_t *guard, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_rest(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static void ngx_lyftr_sqlite_trickle(ngx_lyftr_sqlite_t *c);
static int ngx_lyftr_sqlite_trickle_write(sqlite3_file *file, const void *data,
    int n, sqlite3_int64 offset);


/* of the checkpoint that a thread makes */
static __thread const sqlite3_io_methods  *ngx_lyftr_sqlite_plain;
static __thread int                        ngx_lyftr_sqlite_copied;


/*
 * The bulk is copied while others commit, and what came meanwhile under the
 * file lock, so that the next commit can begin at the start of the WAL.  That
 * something stays is no fault: the WAL just gets longer.
 */

ngx_int_t
ngx_lyftr_sqlite_checkpoint(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_t *guard,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    for (i = 0; i < 2; i++) {
        rc = ngx_lyftr_sqlite_copy(c, guard, deadline, err);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = ngx_lyftr_sqlite_lock(c, deadline, err);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_lyftr_sqlite_files(c, err);

    if (rc == NGX_OK && ngx_lyftr_sqlite_long(c)) {
        (void) ngx_lyftr_sqlite_restart(c, NGX_LYFTR_SQLITE_WAL_WAIT);

    } else if (rc == NGX_OK) {
        (void) ngx_lyftr_sqlite_checkpoint_as(c, SQLITE_CHECKPOINT_PASSIVE);
    }

    ngx_lyftr_sqlite_unlock(c);

    return rc;
}


/*
 * SQLite before 3.51.3 can lose frames when a writer starts the WAL anew just
 * as a passive checkpoint begins (https://sqlite.org/wal.html, "The WAL-Reset
 * Bug").  The guard is a reader of a snapshot that is not all in the database
 * yet: while it reads, no writer can.  That its snapshot is such a one is
 * certain because something was committed in the same turn.
 */

static ngx_int_t
ngx_lyftr_sqlite_copy(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_t *guard,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_lyftr_sqlite_run(c, c->stmt[NGX_LYFTR_SQL_TOUCH], err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_run(c, c->stmt[NGX_LYFTR_SQL_COMMIT], err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_begin(guard, 0, deadline, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_segments_read(guard, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc == NGX_OK) {
        ngx_lyftr_sqlite_trickle(c);
        rc = ngx_lyftr_sqlite_sync_db(c, err);
    }

    ngx_lyftr_sqlite_rollback(guard);

    return rc;
}


/*
 * The disk writes what is copied as it comes: a commit's sync would wait behind
 * all of it.
 */

static void
ngx_lyftr_sqlite_trickle(ngx_lyftr_sqlite_t *c)
{
    sqlite3_file        *file;
    sqlite3_io_methods   methods;

    if (sqlite3_file_control(c->db, "main", SQLITE_FCNTL_FILE_POINTER, &file)
        != SQLITE_OK)
    {
        return;
    }

    methods = *file->pMethods;
    methods.xWrite = ngx_lyftr_sqlite_trickle_write;

    ngx_lyftr_sqlite_plain = file->pMethods;
    ngx_lyftr_sqlite_copied = 0;

    file->pMethods = &methods;

    (void) ngx_lyftr_sqlite_checkpoint_as(c, SQLITE_CHECKPOINT_PASSIVE);

    file->pMethods = ngx_lyftr_sqlite_plain;
}


static int
ngx_lyftr_sqlite_trickle_write(sqlite3_file *file, const void *data, int n,
    sqlite3_int64 offset)
{
    int  rc;

    rc = ngx_lyftr_sqlite_plain->xWrite(file, data, n, offset);

    ngx_lyftr_sqlite_copied += n;

    if (rc != SQLITE_OK
        || ngx_lyftr_sqlite_copied < NGX_LYFTR_SQLITE_TRICKLE)
    {
        return rc;
    }

    ngx_lyftr_sqlite_copied = 0;

    return ngx_lyftr_sqlite_plain->xSync(file, SQLITE_SYNC_NORMAL);
}


/*
 * Others may go on to commit, as after a reload: they have the file lock while
 * another process is in the middle of a checkpoint, or of a read.
 */

void
ngx_lyftr_sqlite_settle(void *conn, ngx_msec_t deadline)
{
    ngx_lyftr_sqlite_t *c = conn;

    ngx_int_t          rc;
    struct timespec    ts;
    ngx_lyftr_error_t  err;

    ts.tv_sec = 0;
    ts.tv_nsec = NGX_LYFTR_SQLITE_WAL_PAUSE;

    for ( ;; ) {

        if (ngx_lyftr_sqlite_lock(c, deadline, &err) != NGX_OK) {
            return;
        }

        rc = ngx_lyftr_sqlite_rest(c, &err);

        ngx_lyftr_sqlite_unlock(c);

        if (rc != NGX_AGAIN || ngx_lyftr_flock_left(deadline) == 0) {
            return;
        }

        (void) nanosleep(&ts, NULL);
    }
}


/* under the file lock, so that no writer starts the WAL anew */

static ngx_int_t
ngx_lyftr_sqlite_rest(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int  rc, frames, copied;

    if (ngx_lyftr_sqlite_files(c, err) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_PASSIVE,
                                   &frames, &copied);

    if (rc == SQLITE_OK) {
        return (copied == frames) ? NGX_OK : NGX_AGAIN;
    }

    if ((rc & 0xff) == SQLITE_BUSY) {
        return NGX_AGAIN;
    }

    ngx_lyftr_sqlite_unsynced(c);

    return NGX_ERROR;
}

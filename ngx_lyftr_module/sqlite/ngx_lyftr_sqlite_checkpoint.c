#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>
#include <ngx_lyftr_sqlite_jobs.h>


/* msec that a checkpoint waits for readers */
#define NGX_LYFTR_SQLITE_WAL_WAIT  5


static ngx_int_t ngx_lyftr_sqlite_copy(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_t *guard, ngx_msec_t deadline, ngx_lyftr_error_t *err);


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

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_UPKEEP, deadline, err);

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
        (void) ngx_lyftr_sqlite_checkpoint_as(c, SQLITE_CHECKPOINT_PASSIVE);
        rc = ngx_lyftr_sqlite_sync_db(c, err);
    }

    ngx_lyftr_sqlite_rollback(guard);

    return rc;
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>


/* msec that a checkpoint waits for readers */
#define NGX_LYFTR_SQLITE_WAL_WAIT  5


static ngx_int_t ngx_lyftr_sqlite_copy(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_t *guard, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_sync_db(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_sync_log(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);


/*
 * After a reload the words may belong to another store, while a process of the
 * old configuration still works: they are those of the file whose number they
 * begin with.
 */

ngx_atomic_t *
ngx_lyftr_sqlite_word(ngx_lyftr_sqlite_t *c, ngx_uint_t word)
{
    ngx_atomic_t     *words;
    ngx_lyftr_dsn_t  *dsn;

    dsn = c->dsn;
    words = dsn->words;

    if (words == NULL
        || __atomic_load_n(&words[NGX_LYFTR_FILE_DB], __ATOMIC_SEQ_CST)
           != dsn->file[NGX_LYFTR_FILE_DB].id)
    {
        return NULL;
    }

    return &words[word];
}


int
ngx_lyftr_sqlite_pages(ngx_lyftr_sqlite_t *c)
{
    ngx_atomic_t  *word;

    word = ngx_lyftr_sqlite_word(c, NGX_LYFTR_WORD_WAL);

    return word ? (int) __atomic_load_n(word, __ATOMIC_RELAXED) : c->wal;
}


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

    rc = ngx_lyftr_sqlite_turn(c, deadline, err);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_lyftr_sqlite_files(c, err);

    if (rc == NGX_OK && ngx_lyftr_sqlite_long(c)) {
        (void) ngx_lyftr_sqlite_restart(c, NGX_LYFTR_SQLITE_WAL_WAIT);

    } else if (rc == NGX_OK) {
        (void) ngx_lyftr_sqlite_checkpoint_as(c, SQLITE_CHECKPOINT_PASSIVE);
    }

    ngx_lyftr_flock_release(&c->lock);

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


/*
 * It syncs the log first, in which the upkeep's commits are not synced yet: if
 * that fails the kernel may take for written what is lost, and the rows behind
 * it with it.
 */

int
ngx_lyftr_sqlite_checkpoint_as(ngx_lyftr_sqlite_t *c, int mode)
{
    int  rc;

    rc = sqlite3_wal_checkpoint_v2(c->db, NULL, mode, NULL, NULL);

    if ((rc & 0xff) == SQLITE_IOERR) {
        ngx_lyftr_sqlite_unsynced(c);
    }

    return rc;
}


/*
 * SQLite syncs the database only when all of the WAL is copied, so what others
 * commit meanwhile would leave it all to the checkpoint under the file lock.
 */

static ngx_int_t
ngx_lyftr_sqlite_sync_db(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int            rc;
    sqlite3_file  *file;

    rc = sqlite3_file_control(c->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);

    if (rc == SQLITE_OK) {
        rc = file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
    }

    if (rc == SQLITE_OK) {
        return NGX_OK;
    }

    ngx_lyftr_sqlite_unsynced(c);

    return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                 "cannot sync the database: %s",
                                 sqlite3_errstr(rc));
}


/*
 * A connection finds also transactions whose sync failed or never ran.  Their
 * ids count as known, so they are made durable before one of them is
 * acknowledged: a checkpoint writes the pages anew, for after a failed sync
 * the kernel may take those of the log for written, and empties the log, for
 * nothing that follows such a page there would be found again.  A reader may
 * hold that up; if no write has failed, a sync of the log will do.
 */

ngx_int_t
ngx_lyftr_sqlite_sync(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int            rc, mode, wait;
    ngx_uint_t     failed;
    ngx_atomic_t  *word;

    word = ngx_lyftr_sqlite_word(c, NGX_LYFTR_WORD_UNSYNCED);

    failed = c->failed || (word && __atomic_load_n(word, __ATOMIC_SEQ_CST));

    if (c->synced && !failed) {
        return NGX_OK;
    }

    if (failed) {
        ngx_lyftr_sqlite_cut(c);
    }

    wait = failed ? (int) ngx_lyftr_flock_left(c->deadline) : 0;

    (void) sqlite3_busy_timeout(c->db, wait);

    mode = failed ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_FULL;

    rc = ngx_lyftr_sqlite_checkpoint_as(c, mode);

    if (rc != SQLITE_OK && ((rc & 0xff) != SQLITE_BUSY || failed)) {
        return ngx_lyftr_sqlite_error(c, err);
    }

    if (failed) {
        ngx_lyftr_sqlite_wal(c, c->db, "main", 0);
        c->wal_size = 0;
    }

    if (rc != SQLITE_OK && ngx_lyftr_sqlite_sync_log(c, err) != NGX_OK) {
        return NGX_ERROR;
    }

    c->synced = 1;
    c->failed = 0;

    if (failed && word) {
        __atomic_store_n(word, 0, __ATOMIC_SEQ_CST);
    }

    return NGX_OK;
}


void
ngx_lyftr_sqlite_unsynced(ngx_lyftr_sqlite_t *c)
{
    ngx_atomic_t  *word;

    word = ngx_lyftr_sqlite_word(c, NGX_LYFTR_WORD_UNSYNCED);

    if (word) {
        __atomic_store_n(word, 1, __ATOMIC_SEQ_CST);
    }
}


/* unlike the database itself, the log has no locks that a close() drops */

static ngx_int_t
ngx_lyftr_sqlite_sync_log(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int        fd;
    char       path[NGX_LYFTR_SQLITE_NAME_LEN];
    ngx_int_t  rc;

    ngx_lyftr_sqlite_name(c, NGX_LYFTR_FILE_WAL, path);

    fd = open(path, O_RDWR|O_CLOEXEC);

    rc = NGX_OK;

    if (fd == -1 || fdatasync(fd) == -1) {
        ngx_lyftr_sqlite_unsynced(c);

        rc = ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                   "cannot sync \"%s\": %s",
                                   ngx_lyftr_sqlite_end(path),
                                   strerror(errno));
    }

    if (fd != -1) {
        (void) close(fd);
    }

    return rc;
}

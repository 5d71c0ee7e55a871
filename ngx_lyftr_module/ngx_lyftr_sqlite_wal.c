#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite.h>


/* so many pages, or half of what is allowed, and the WAL is to start anew */
#define NGX_LYFTR_SQLITE_WAL_LONG  16000
#define NGX_LYFTR_SQLITE_PAGE      4096
#define NGX_LYFTR_SQLITE_FRAME     24      /* bytes before each page */

/* msec that this waits for readers, if no more is allowed, and between tries */
#define NGX_LYFTR_SQLITE_WAL_WAIT  5
#define NGX_LYFTR_SQLITE_WAL_FULL  100
#define NGX_LYFTR_SQLITE_WAL_REST  1000


static ngx_int_t ngx_lyftr_sqlite_copy(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_t *guard, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static int ngx_lyftr_sqlite_checkpoint_as(ngx_lyftr_sqlite_t *c, int mode);
static ngx_int_t ngx_lyftr_sqlite_sync_db(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_content(ngx_lyftr_sqlite_t *c,
    int64_t *content, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_sync_log(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static int ngx_lyftr_sqlite_restart(ngx_lyftr_sqlite_t *c, int wait);


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
        rc = ngx_lyftr_sqlite_look(guard, err);
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

static int
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


/* pages are those of the last commit, the size is the file's */

ngx_uint_t
ngx_lyftr_sqlite_long(ngx_lyftr_sqlite_t *c)
{
    int        pages;
    ngx_int_t  max;

    max = c->dsn->max_wal;
    pages = ngx_lyftr_sqlite_pages(c);

    if (pages < NGX_LYFTR_SQLITE_WAL_LONG
        && pages < max / (2 * NGX_LYFTR_SQLITE_PAGE)
        && c->wal_size < max)
    {
        return 0;
    }

    return ngx_lyftr_flock_left(c->wal_retry) == 0;
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

    rc = ngx_lyftr_sqlite_checkpoint_as(c, mode);

    if (rc != SQLITE_OK) {
        c->wal_retry = ngx_lyftr_clock() + NGX_LYFTR_SQLITE_WAL_REST;
        return rc;
    }

    ngx_lyftr_sqlite_wal(c, c->db, "main", 0);

    if (mode == SQLITE_CHECKPOINT_TRUNCATE) {
        c->wal_size = 0;
    }

    return rc;
}


/*
 * Refuses what would make a WAL longer that is as long as is allowed.  One that
 * begins anew has the length that it had before, until it can be cut.
 */

ngx_int_t
ngx_lyftr_sqlite_room(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int      rc, wait;
    int64_t  content;

    if (c->wal_size < c->dsn->max_wal) {
        return NGX_OK;
    }

    if (ngx_lyftr_sqlite_content(c, &content, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (content < c->dsn->max_wal) {
        return NGX_OK;
    }

    if (ngx_lyftr_flock_left(c->wal_retry) == 0) {
        wait = c->write ? NGX_LYFTR_SQLITE_WAL_FULL : 0;

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


/* if nobody has committed since the zone was made, it is not known: the file */

static ngx_int_t
ngx_lyftr_sqlite_content(ngx_lyftr_sqlite_t *c, int64_t *content,
    ngx_lyftr_error_t *err)
{
    int      pages;
    int64_t  size;

    pages = ngx_lyftr_sqlite_pages(c);

    if (pages == 0) {
        *content = c->wal_size;
        return NGX_OK;
    }

    if (ngx_lyftr_sqlite_get(c, "PRAGMA page_size", &size, err) != NGX_OK) {
        return NGX_ERROR;
    }

    *content = pages * (size + NGX_LYFTR_SQLITE_FRAME);

    return NGX_OK;
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
                                   "cannot sync \"%.180s\": %s", path,
                                   strerror(errno));
    }

    if (fd != -1) {
        (void) close(fd);
    }

    return rc;
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>

#include <sys/statvfs.h>


/* so many pages, or half of what is allowed, and the WAL is to start anew */
#define NGX_LYFTR_SQLITE_WAL_LONG  16000
#define NGX_LYFTR_SQLITE_PAGE      4096
#define NGX_LYFTR_SQLITE_HEADER    32      /* bytes before all frames */
#define NGX_LYFTR_SQLITE_FRAME     24      /* bytes before each page */

/*
 * Of the disk's room: what the WAL holds must fit into the database, too, with
 * a batch.  With less bytes it would begin anew all the time.
 */
#define NGX_LYFTR_SQLITE_WAL_SHARE 3
#define NGX_LYFTR_SQLITE_WAL_LEAST (64 * NGX_LYFTR_SQLITE_PAGE)

/* msec that this waits for readers, if no more is allowed, and between tries */
#define NGX_LYFTR_SQLITE_WAL_FULL  100
#define NGX_LYFTR_SQLITE_WAL_REST  1000

/* of the first part of the index: https://sqlite.org/walformat.html */
#define NGX_LYFTR_SQLITE_SHM       32768
#define NGX_LYFTR_SQLITE_SHM_PAGE  14      /* two bytes */
#define NGX_LYFTR_SQLITE_SHM_LAST  16      /* four bytes */


static ngx_int_t ngx_lyftr_sqlite_sync_log(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static int64_t ngx_lyftr_sqlite_limit(ngx_lyftr_sqlite_t *c);
static int ngx_lyftr_sqlite_restart_as(ngx_lyftr_sqlite_t *c, int mode,
    int wait);
static ngx_int_t ngx_lyftr_sqlite_content(ngx_lyftr_sqlite_t *c,
    int64_t *content, ngx_lyftr_error_t *err);
static void ngx_lyftr_sqlite_wal_trim_at(ngx_lyftr_sqlite_t *c);


void
ngx_lyftr_sqlite_wal_init(ngx_lyftr_sqlite_t *c, ngx_uint_t failed)
{
    c->wal.failed = failed;
}


int
ngx_lyftr_sqlite_pages(ngx_lyftr_sqlite_t *c)
{
    ngx_atomic_t  *word;

    word = ngx_lyftr_sqlite_word(c, NGX_LYFTR_WORD_WAL);

    return word ? (int) __atomic_load_n(word, __ATOMIC_RELAXED) : c->wal.pages;
}


int
ngx_lyftr_sqlite_wal_hook(void *data, sqlite3 *db, const char *name, int pages)
{
    ngx_lyftr_sqlite_t *c = data;

    ngx_atomic_t  *word;

    c->wal.pages = pages;

    word = ngx_lyftr_sqlite_word(c, NGX_LYFTR_WORD_WAL);

    if (word) {
        __atomic_store_n(word, pages, __ATOMIC_RELAXED);
    }

    return SQLITE_OK;
}


/*
 * It syncs the log first, in which the commits of jobs are not synced yet: if
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

ngx_int_t
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
 *
 * Once a writer has done that, all that these processes commit is synced, or a
 * word tells.
 */

ngx_int_t
ngx_lyftr_sqlite_sync(ngx_lyftr_sqlite_t *c, ngx_uint_t write,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    int            rc, mode, wait;
    ngx_uint_t     failed, cut;
    ngx_atomic_t  *word, *commit, *synced;

    word = ngx_lyftr_sqlite_word(c, NGX_LYFTR_WORD_UNSYNCED);

    failed = c->wal.failed || (word && __atomic_load_n(word, __ATOMIC_SEQ_CST));

    /* its writer was killed: it may be there, and on no disk */

    commit = ngx_lyftr_sqlite_word(c, NGX_LYFTR_WORD_COMMIT);

    cut = commit && __atomic_load_n(commit, __ATOMIC_SEQ_CST);

    synced = ngx_lyftr_sqlite_word(c, NGX_LYFTR_WORD_SYNCED);

    if (synced && __atomic_load_n(synced, __ATOMIC_SEQ_CST)) {
        c->wal.synced = 1;
    }

    if (c->wal.synced && !failed && !cut) {
        return NGX_OK;
    }

    if (c->wal.synced && !failed) {
        if (ngx_lyftr_sqlite_sync_log(c, err) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_lyftr_sqlite_committing(c, 0);

        return NGX_OK;
    }

    if (failed) {
        ngx_lyftr_sqlite_wal_trim(c);
    }

    wait = failed ? (int) ngx_lyftr_flock_left(deadline) : 0;

    (void) sqlite3_busy_timeout(c->db, wait);

    mode = failed ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_FULL;

    rc = ngx_lyftr_sqlite_checkpoint_as(c, mode);

    if (rc != SQLITE_OK && ((rc & 0xff) != SQLITE_BUSY || failed)) {
        return ngx_lyftr_sqlite_error(c, err);
    }

    if (failed) {
        ngx_lyftr_sqlite_wal_hook(c, c->db, "main", 0);
        ngx_lyftr_sqlite_wal_cut(c, 0);
    }

    if (rc != SQLITE_OK && ngx_lyftr_sqlite_sync_log(c, err) != NGX_OK) {
        return NGX_ERROR;
    }

    c->wal.synced = 1;
    c->wal.failed = 0;

    if (failed && word) {
        __atomic_store_n(word, 0, __ATOMIC_SEQ_CST);
    }

    if (synced && write == NGX_LYFTR_SQLITE_WRITE) {
        __atomic_store_n(synced, 1, __ATOMIC_SEQ_CST);
    }

    ngx_lyftr_sqlite_committing(c, 0);

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


/*
 * It is a writer's, and under the file lock: whoever finds it begun there knows
 * that the writer was killed.
 */

void
ngx_lyftr_sqlite_committing(ngx_lyftr_sqlite_t *c, ngx_uint_t begun)
{
    ngx_atomic_t  *word;

    word = ngx_lyftr_sqlite_word(c, NGX_LYFTR_WORD_COMMIT);

    if (word) {
        __atomic_store_n(word, begun, __ATOMIC_SEQ_CST);
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


/*
 * The bytes that the WAL may hold.  On a disk without much room it must not
 * take all of it, for no checkpoint could be made any more.
 */

static int64_t
ngx_lyftr_sqlite_limit(ngx_lyftr_sqlite_t *c)
{
    int64_t         max;
    uint64_t        room;
    struct statvfs  sv;

    max = c->dsn->max_wal;

    /* one without blocks does not tell */

    if (statvfs(ngx_lyftr_sqlite_path(c), &sv) == -1
        || sv.f_blocks == 0 || sv.f_frsize == 0)
    {
        return max;
    }

    room = ngx_lyftr_sqlite_wal_size(c) / sv.f_frsize + sv.f_bavail;
    room /= NGX_LYFTR_SQLITE_WAL_SHARE;

    if (room >= max / sv.f_frsize) {
        return max;
    }

    return ngx_max((int64_t) (room * sv.f_frsize), NGX_LYFTR_SQLITE_WAL_LEAST);
}


int64_t
ngx_lyftr_sqlite_free_bytes(ngx_lyftr_sqlite_t *c)
{
    struct statvfs  sv;

    return statvfs(ngx_lyftr_sqlite_path(c), &sv) == -1
           ? 0 : (int64_t) sv.f_bavail * sv.f_frsize;
}


/* pages are those of the last commit, the size is the file's */

ngx_uint_t
ngx_lyftr_sqlite_long(ngx_lyftr_sqlite_t *c)
{
    int      pages;
    int64_t  max;

    max = ngx_lyftr_sqlite_limit(c);
    pages = ngx_lyftr_sqlite_pages(c);

    if (pages < NGX_LYFTR_SQLITE_WAL_LONG
        && pages < max / (2 * NGX_LYFTR_SQLITE_PAGE)
        && ngx_lyftr_sqlite_wal_size(c) < max)
    {
        return 0;
    }

    return ngx_lyftr_flock_left(c->wal.retry) == 0;
}


/*
 * Refuses what would make a WAL longer that is as long as is allowed.  One that
 * begins anew has the length that it had before, until it can be cut.
 */

ngx_int_t
ngx_lyftr_sqlite_room(ngx_lyftr_sqlite_t *c, ngx_uint_t write,
    ngx_lyftr_error_t *err)
{
    int      rc, wait;
    int64_t  max, content;

    max = ngx_lyftr_sqlite_limit(c);

    if (ngx_lyftr_sqlite_wal_size(c) < max) {
        return NGX_OK;
    }

    if (ngx_lyftr_sqlite_content(c, &content, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (content < max) {
        return NGX_OK;
    }

    if (ngx_lyftr_flock_left(c->wal.retry) == 0) {
        wait = write ? NGX_LYFTR_SQLITE_WAL_FULL : 0;

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
                                 (long long) ngx_lyftr_sqlite_wal_size(c));
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
        *content = ngx_lyftr_sqlite_wal_size(c);
        return NGX_OK;
    }

    if (ngx_lyftr_sqlite_get(c, "PRAGMA page_size", &size, err) != NGX_OK) {
        return NGX_ERROR;
    }

    *content = pages * (size + NGX_LYFTR_SQLITE_FRAME);

    return NGX_OK;
}


/*
 * Makes the next commit begin at the WAL's start, or, if it is as long as is
 * allowed, empties it.  It needs a moment in which no reader has a part of it
 * open; readers that overlap would never leave one by themselves.
 */

int
ngx_lyftr_sqlite_restart(ngx_lyftr_sqlite_t *c, int wait)
{
    int  mode;

    mode = SQLITE_CHECKPOINT_RESTART;

    if (ngx_lyftr_sqlite_wal_size(c) >= ngx_lyftr_sqlite_limit(c)) {
        mode = SQLITE_CHECKPOINT_TRUNCATE;
    }

    return ngx_lyftr_sqlite_restart_as(c, mode, wait);
}


static int
ngx_lyftr_sqlite_restart_as(ngx_lyftr_sqlite_t *c, int mode, int wait)
{
    int  rc;

    if (mode == SQLITE_CHECKPOINT_TRUNCATE) {
        ngx_lyftr_sqlite_wal_trim(c);
    }

    (void) sqlite3_busy_timeout(c->db, wait);

    rc = ngx_lyftr_sqlite_checkpoint_as(c, mode);

    if (rc != SQLITE_OK) {
        c->wal.retry = ngx_lyftr_clock() + NGX_LYFTR_SQLITE_WAL_REST;
        return rc;
    }

    ngx_lyftr_sqlite_wal_hook(c, c->db, "main", 0);

    if (mode == SQLITE_CHECKPOINT_TRUNCATE) {
        ngx_lyftr_sqlite_wal_cut(c, 0);
    }

    return rc;
}


ngx_int_t
ngx_lyftr_sqlite_empty(ngx_lyftr_sqlite_t *c, int wait, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int        rc;
    ngx_int_t  ok;

    ok = ngx_lyftr_sqlite_lock(c, deadline, err);

    if (ok != NGX_OK) {
        return ok;
    }

    ok = ngx_lyftr_sqlite_files(c, err);

    if (ok == NGX_OK) {
        rc = ngx_lyftr_sqlite_restart_as(c, SQLITE_CHECKPOINT_TRUNCATE, wait);

        if (rc != SQLITE_OK) {
            ok = (rc & 0xff) == SQLITE_BUSY ? NGX_DONE
                                            : ngx_lyftr_sqlite_error(c, err);
        }
    }

    ngx_lyftr_sqlite_unlock(c);

    return ok;
}


/*
 * What a batch that had no room has left behind the last commit is of no use
 * to the database, which has to grow.  Nobody reads there, and while a
 * transaction has the writers' lock, nobody writes.
 */

void
ngx_lyftr_sqlite_wal_trim(ngx_lyftr_sqlite_t *c)
{
    (void) sqlite3_busy_timeout(c->db, 0);

    if (sqlite3_exec(c->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK)
    {
        ngx_lyftr_sqlite_wal_trim_at(c);
    }

    (void) sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
}


static void
ngx_lyftr_sqlite_wal_trim_at(ngx_lyftr_sqlite_t *c)
{
    u_char         *p;
    int64_t         end;
    uint16_t        page;
    uint32_t        last;
    sqlite3_file   *db, *wal;
    void volatile  *shm;

    if (sqlite3_file_control(c->db, "main", SQLITE_FCNTL_FILE_POINTER, &db)
            != SQLITE_OK
        || sqlite3_file_control(c->db, "main", SQLITE_FCNTL_JOURNAL_POINTER,
                                &wal) != SQLITE_OK
        || wal->pMethods == NULL
        || db->pMethods->xShmMap(db, 0, NGX_LYFTR_SQLITE_SHM, 0, &shm)
           != SQLITE_OK
        || shm == NULL)
    {
        return;
    }

    p = (u_char *) shm;

    ngx_memcpy(&page, p + NGX_LYFTR_SQLITE_SHM_PAGE, sizeof(uint16_t));
    ngx_memcpy(&last, p + NGX_LYFTR_SQLITE_SHM_LAST, sizeof(uint32_t));

    /* 65536 has no room there, and is 1 */

    end = NGX_LYFTR_SQLITE_HEADER
          + last * ((page & 0xfe00) + ((page & 0x0001) << 16)
                    + (int64_t) NGX_LYFTR_SQLITE_FRAME);

    if (ngx_lyftr_sqlite_wal_size(c) > end
        && wal->pMethods->xTruncate(wal, end) == SQLITE_OK)
    {
        ngx_lyftr_sqlite_wal_cut(c, end);
    }
}

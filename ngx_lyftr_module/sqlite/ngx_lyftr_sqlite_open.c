#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>
#include <ngx_lyftr_sqlite_setup.h>
#include <ngx_lyftr_sqlite_jobs.h>


#define NGX_LYFTR_SQLITE_WAL_SIZE  "67108864"  /* kept after a long WAL */

static ngx_int_t ngx_lyftr_sqlite_find(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_make(ngx_lyftr_sqlite_t *c, ngx_uint_t flags,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_create(ngx_lyftr_sqlite_t *c,
    ngx_uint_t create, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_connect(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_configure(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);


static int  ngx_lyftr_sqlite_options[][2] = {
    { SQLITE_DBCONFIG_DEFENSIVE, 1 },
    { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 }
};


void *
ngx_lyftr_sqlite_open(void *dsn, ngx_uint_t flags,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t            rc;
    ngx_lyftr_sqlite_t  *c;

    c = sqlite3_malloc(sizeof(ngx_lyftr_sqlite_t));
    if (c == NULL) {
        (void) ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
        return NULL;
    }

    ngx_memzero(c, sizeof(ngx_lyftr_sqlite_t));

    c->dsn = dsn;
    c->index.holder = &ngx_lyftr_sqlite_holder;
    c->index.data = c;

    ngx_lyftr_sqlite_lock_init(c);
    ngx_lyftr_sqlite_wal_init(c, (flags & NGX_LYFTR_OPEN_FAILED) != 0);

    c->index.memtable = ngx_lyftr_memtable_attach(&c->dsn->shared);

    if (c->index.memtable == NULL) {
        (void) ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
        goto failed;
    }

    if (ngx_lyftr_sqlite_find(c, err) != NGX_OK) {
        goto failed;
    }

    /* what is refused is left alone: nothing is made beside it */

    rc = ngx_lyftr_sqlite_connect(c, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_prepare(c, err);

    } else if (rc == NGX_AGAIN && !(flags & NGX_LYFTR_OPEN_JOBS)) {
        rc = ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_ADOPT,
                                   "the database is being adopted");

    } else if (rc != NGX_ERROR && c->db
               && ngx_lyftr_sqlite_rehearse(c, deadline, err) != NGX_OK)
    {
        rc = NGX_ERROR;
    }

    if (rc == NGX_ERROR || ngx_lyftr_sqlite_lock_open(c, err) != NGX_OK) {
        goto failed;
    }

    if (rc != NGX_OK) {
        rc = ngx_lyftr_sqlite_make(c, flags, deadline, err);
    }

    if (rc == NGX_ERROR
        || ngx_lyftr_sqlite_prepare(c, err) != NGX_OK
        || ngx_lyftr_sqlite_tombs_open(c, err) != NGX_OK
        || ngx_lyftr_sqlite_files_learn(c, err) != NGX_OK)
    {
        goto failed;
    }

    sqlite3_randomness(sizeof(c->secret), c->secret);
    sqlite3_randomness(sizeof(c->index.secret), &c->index.secret);

    (void) sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);

    return c;

failed:

    ngx_lyftr_sqlite_close(c);

    return NULL;
}


static ngx_int_t
ngx_lyftr_sqlite_find(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    if (ngx_lyftr_sqlite_resolve(c, err) != NGX_OK
        || ngx_lyftr_sqlite_files_known(c, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_lyftr_sqlite_place(c, err);
}


/* sets up what is not ours yet, or not there, or begins to adopt it */

static ngx_int_t
ngx_lyftr_sqlite_make(ngx_lyftr_sqlite_t *c, ngx_uint_t flags,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_lock(c, deadline, err);

    if (rc == NGX_DECLINED) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_BUSY,
                                     "locked while it is set up");
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_lyftr_sqlite_create(c, flags & NGX_LYFTR_OPEN_CREATE, err);

    if (rc == NGX_OK && c->db == NULL) {
        rc = ngx_lyftr_sqlite_connect(c, deadline, err);
    }

    if (rc != NGX_ERROR) {
        rc = ngx_lyftr_sqlite_setup(c, deadline, err);
    }

    if (rc == NGX_AGAIN) {
        rc = ngx_lyftr_sqlite_adopt_open(c, err);
    }

    ngx_lyftr_sqlite_unlock(c);

    return rc;
}


/*
 * SQLite would create a file that anybody may read.  O_EXCL makes sure that
 * the file closed here is one that no connection of this process has open:
 * closing it would drop that connection's locks.
 */

static ngx_int_t
ngx_lyftr_sqlite_create(ngx_lyftr_sqlite_t *c, ngx_uint_t create,
    ngx_lyftr_error_t *err)
{
    int           fd;
    char         *path, wal[NGX_LYFTR_SQLITE_NAME_LEN];
    struct stat   sb;

    path = ngx_lyftr_sqlite_path(c);

    if (stat(path, &sb) == 0) {
        return NGX_OK;
    }

    /* SQLite would empty a log that is not of the new file */

    ngx_lyftr_sqlite_name(c, NGX_LYFTR_FILE_WAL, wal);

    if (!create || (stat(wal, &sb) == 0 && sb.st_size != 0)) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_MOVED,
                                     "\"%s\" is gone",
                                     ngx_lyftr_sqlite_end(path));
    }

    fd = open(path, O_RDWR|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, 0600);

    if (fd == -1) {
        return ngx_lyftr_sqlite_cannot(err, "create", path);
    }

    (void) close(fd);

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_sqlite_connect(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int           rc;
    char         *path, wal[NGX_LYFTR_SQLITE_NAME_LEN];
    struct stat   sb;

    path = ngx_lyftr_sqlite_path(c);

    if (stat(path, &sb) == -1 && errno == ENOENT) {
        return NGX_DECLINED;
    }

    ngx_lyftr_sqlite_name(c, NGX_LYFTR_FILE_WAL, wal);

    rc = sqlite3_open_v2(path, &c->db,
                         SQLITE_OPEN_READWRITE|SQLITE_OPEN_NOMUTEX, NULL);

    if (c->db == NULL) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    if (rc != SQLITE_OK) {
        return ngx_lyftr_sqlite_error(c, err);
    }

    /*
     * The log of another's file stays as it is; one that SQLite makes now goes
     * when it closes the file.
     */

    if (stat(wal, &sb) == 0) {
        (void) sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1,
                                 NULL);
    }

    (void) sqlite3_extended_result_codes(c->db, 1);
    (void) sqlite3_busy_timeout(c->db, (int) ngx_lyftr_flock_left(deadline));

    if (sqlite3_db_readonly(c->db, "main")) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_READONLY,
                                     "\"%s\" is read-only: %s",
                                     ngx_lyftr_sqlite_end(path),
                                     access(path, W_OK) == -1
                                     ? strerror(errno) : "not for writing");
    }

    if (ngx_lyftr_sqlite_configure(c, err) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_lyftr_sqlite_check(c, err);
}


static ngx_int_t
ngx_lyftr_sqlite_configure(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int         rc;
    char        cache[96];
    int64_t     sync;
    ngx_uint_t  i;

    for (i = 0;
         i < sizeof(ngx_lyftr_sqlite_options)
             / sizeof(ngx_lyftr_sqlite_options[0]);
         i++)
    {
        /* an older SQLite may not know one */
        (void) sqlite3_db_config(c->db, ngx_lyftr_sqlite_options[i][0],
                                 ngx_lyftr_sqlite_options[i][1], NULL);
    }

    rc = sqlite3_exec(c->db,
                      "PRAGMA synchronous = FULL;"
                      "PRAGMA wal_autocheckpoint = 0;"
                      "PRAGMA mmap_size = 0;"
                      "PRAGMA temp_store = MEMORY;"
                      "PRAGMA journal_size_limit = " NGX_LYFTR_SQLITE_WAL_SIZE,
                      NULL, NULL, NULL);

    /* what is deleted is overwritten where anything may be erased */

    if (rc == SQLITE_OK) {
        (void) snprintf(cache, sizeof(cache), "PRAGMA cache_size = -%lld;"
                        "PRAGMA secure_delete = %s",
                        (long long) (c->dsn->cache / 1024),
                        c->dsn->erase_key.len ? "ON" : "OFF");

        rc = sqlite3_exec(c->db, cache, NULL, NULL, NULL);
    }

    if (rc != SQLITE_OK) {
        return ngx_lyftr_sqlite_error(c, err);
    }

    if (ngx_lyftr_sqlite_get(c, "PRAGMA synchronous", &sync, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (sync != 2) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                     "synchronous = FULL is refused");
    }

    if (ngx_lyftr_sqlite_given(c, err) != NGX_OK) {
        return NGX_ERROR;
    }

    /* after wal_autocheckpoint, which takes the hook away */
    (void) sqlite3_wal_hook(c->db, ngx_lyftr_sqlite_wal_hook, c);

    return NGX_OK;
}


void
ngx_lyftr_sqlite_close(void *conn)
{
    ngx_lyftr_sqlite_t *c = conn;

    ngx_uint_t  i;

    ngx_lyftr_sqlite_adopt_free(c);

    if (c->db) {
        ngx_lyftr_sqlite_rollback(c);
    }

    for (i = 0; i < NGX_LYFTR_SQL_N; i++) {
        (void) sqlite3_finalize(c->stmt[i]);
    }

    (void) sqlite3_close(c->db);

    if (c->index.memtable) {
        ngx_lyftr_memtable_detach(&c->dsn->shared);
    }

    ngx_lyftr_sqlite_lock_close(c);
    ngx_lyftr_segments_forget(c);
    ngx_lyftr_sqlite_writer_free(c);
    ngx_lyftr_memtable_view_free(&c->index.view);
    ngx_lyftr_sqlite_stats_free(c);
    ngx_lyftr_sqlite_tombs_close(c);

    sqlite3_free(c);
}

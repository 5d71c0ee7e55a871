#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>


/*
 * SQLite itself commits into a file that was deleted and says OK, and makes a
 * missing log anew, with an index that other connections share: when the old
 * log is put back, the next writer overwrites it.  So the files that the first
 * of all processes opened stay the only ones that any takes, and nothing is
 * opened while one of them is away.  A reload forgets them.
 */

typedef struct {
    uint32_t             dev[2];
    uint64_t             ino;
} ngx_lyftr_sqlite_inode_t;


static ngx_int_t ngx_lyftr_sqlite_files_look(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_file_e file, ngx_atomic_uint_t *id, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_files_pin(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);


static const char  *ngx_lyftr_sqlite_suffixes[] = {
    "",
    "-wal",
    "-shm",
    NGX_LYFTR_SQLITE_LOCK
};


void
ngx_lyftr_sqlite_name(ngx_lyftr_sqlite_t *c, ngx_lyftr_file_e file, char *name)
{
    (void) snprintf(name, NGX_LYFTR_SQLITE_NAME_LEN, "%s%s", c->files.path,
                    ngx_lyftr_sqlite_suffixes[file]);
}


char *
ngx_lyftr_sqlite_path(ngx_lyftr_sqlite_t *c)
{
    return c->files.path;
}


off_t
ngx_lyftr_sqlite_size(ngx_lyftr_sqlite_t *c)
{
    return c->files.size;
}


off_t
ngx_lyftr_sqlite_wal_size(ngx_lyftr_sqlite_t *c)
{
    return c->files.wal_size;
}


void
ngx_lyftr_sqlite_wal_cut(ngx_lyftr_sqlite_t *c, off_t size)
{
    c->files.wal_size = size;
}


ngx_int_t
ngx_lyftr_sqlite_files(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    char               path[NGX_LYFTR_SQLITE_NAME_LEN];
    ngx_uint_t         i;
    ngx_atomic_uint_t  id;

    for (i = 0; i < NGX_LYFTR_FILE_N; i++) {

        if (ngx_lyftr_sqlite_files_look(c, i, &id, err) != NGX_OK) {
            return NGX_ERROR;
        }

        if (id != c->dsn->file[i].id) {
            ngx_lyftr_sqlite_name(c, i, path);

            return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_MOVED,
                                         "\"%s\" was replaced",
                                         ngx_lyftr_sqlite_end(path));
        }
    }

    return NGX_OK;
}


/* before anything is opened: is it what a process has opened already? */

ngx_int_t
ngx_lyftr_sqlite_files_known(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_int_t                known;
    ngx_uint_t               i;
    ngx_atomic_t            *words;
    sqlite3_mutex           *mutex;
    ngx_lyftr_sqlite_dsn_t  *dsn;

    dsn = c->dsn;
    mutex = sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_APP1);

    sqlite3_mutex_enter(mutex);

    words = dsn->common.words;
    known = (dsn->opened || words);

    for (i = 0; i < NGX_LYFTR_FILE_N && !dsn->opened && known; i++) {
        dsn->file[i].id = words[i];
        known = (words[i] != 0);
    }

    sqlite3_mutex_leave(mutex);

    return known ? ngx_lyftr_sqlite_files(c, err) : NGX_OK;
}


/* several threads and processes may open at once */

ngx_int_t
ngx_lyftr_sqlite_files_learn(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_int_t                rc;
    ngx_uint_t               i;
    ngx_atomic_t            *words;
    sqlite3_mutex           *mutex;
    ngx_atomic_uint_t        id[NGX_LYFTR_FILE_N];
    ngx_lyftr_sqlite_dsn_t  *dsn;

    dsn = c->dsn;
    mutex = sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_APP1);
    words = dsn->common.words;
    rc = NGX_OK;

    sqlite3_mutex_enter(mutex);

    if (!dsn->opened) {

        for (i = 0; i < NGX_LYFTR_FILE_N && rc == NGX_OK; i++) {
            rc = ngx_lyftr_sqlite_files_look(c, i, &id[i], err);
        }

        for (i = 0; i < NGX_LYFTR_FILE_N && rc == NGX_OK; i++) {
            dsn->file[i].id = id[i];

            if (words && !ngx_atomic_cmp_set(&words[i], 0, id[i])) {
                dsn->file[i].id = words[i];
            }
        }

        if (rc == NGX_OK) {
            rc = ngx_lyftr_sqlite_files_pin(c, err);
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_files(c, err);
        dsn->opened |= (rc == NGX_OK);
    }

    sqlite3_mutex_leave(mutex);

    return rc;
}


static ngx_int_t
ngx_lyftr_sqlite_files_look(ngx_lyftr_sqlite_t *c, ngx_lyftr_file_e file,
    ngx_atomic_uint_t *id, ngx_lyftr_error_t *err)
{
    char                      path[NGX_LYFTR_SQLITE_NAME_LEN];
    struct statx              sx;
    ngx_lyftr_sqlite_inode_t  inode;

    *id = 0;

    ngx_lyftr_sqlite_name(c, file, path);

    /*
     * To ask for the times would cost a write of the inode a sync: Linux gives
     * a file a time of its own with each write after they were asked for.
     */

    if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_INO|STATX_SIZE, &sx)
        == -1)
    {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_MOVED,
                                     "\"%s\" is gone: %s",
                                     ngx_lyftr_sqlite_end(path),
                                     strerror(errno));
    }

    if (file == NGX_LYFTR_FILE_WAL) {
        c->files.wal_size = sx.stx_size;

    } else if (file == NGX_LYFTR_FILE_DB) {
        c->files.size = sx.stx_size;
    }

    ngx_memzero(&inode, sizeof(ngx_lyftr_sqlite_inode_t));

    inode.dev[0] = sx.stx_dev_major;
    inode.dev[1] = sx.stx_dev_minor;
    inode.ino = sx.stx_ino;

    /* 0 is that of a file that nobody has opened */

    *id = (ngx_atomic_uint_t) ngx_lyftr_sqlite_hash((u_char *) &inode,
                                                    sizeof(inode)) | 1;

    return NGX_OK;
}


/*
 * The next new file gets the number of a deleted one that nobody has open any
 * more.  O_PATH is enough to keep it, and its close() would drop no locks.
 */

static ngx_int_t
ngx_lyftr_sqlite_files_pin(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int                      fd;
    char                     path[NGX_LYFTR_SQLITE_NAME_LEN];
    ngx_uint_t               i;
    ngx_lyftr_sqlite_dsn_t  *dsn;

    dsn = c->dsn;

    for (i = 0; i < NGX_LYFTR_FILE_N; i++) {

        if (dsn->file[i].fd) {
            (void) close(dsn->file[i].fd);
            dsn->file[i].fd = 0;
        }

        ngx_lyftr_sqlite_name(c, i, path);

        fd = open(path, O_PATH|O_CLOEXEC);

        if (fd == -1) {
            return ngx_lyftr_sqlite_cannot(err, "open", path);
        }

        dsn->file[i].fd = fd;
    }

    return NGX_OK;
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>

#include <sys/vfs.h>


/* the attribute is that of Linux 5.8 */
#ifndef STATX_ATTR_MOUNT_ROOT
#define STATX_ATTR_MOUNT_ROOT      0x2000
#endif


typedef struct {
    uint32_t             type;
    const char          *name;
} ngx_lyftr_sqlite_fs_t;


static ngx_int_t ngx_lyftr_sqlite_real(ngx_lyftr_sqlite_dsn_t *dsn, char *path);
static ngx_int_t ngx_lyftr_sqlite_place_file(const char *path, ngx_uint_t db,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_place_fs(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);


/*
 * There the locks and the shared memory of two machines do not meet, or none
 * of one machine.
 */

static ngx_lyftr_sqlite_fs_t  ngx_lyftr_sqlite_remote[] = {
    { 0x6969, "NFS" },
    { 0x517b, "SMB" },
    { 0xff534d42, "CIFS" },
    { 0xfe534d42, "SMB" },
    { 0x564c, "NCP" },
    { 0x01021997, "9p" },
    { 0x65735546, "FUSE or virtiofs" },
    { 0x00c36400, "Ceph" },
    { 0x5346414f, "AFS" },
    { 0x6b414653, "AFS" },
    { 0x73757245, "Coda" },
    { 0x0bd00bd0, "Lustre" },
    { 0x47504653, "GPFS" },
    { 0x20030528, "OrangeFS" },
    { 0xaad7aaea, "PanFS" },
    { 0x786f4256, "vboxsf" },
    { 0xbacbacbc, "vmhgfs" },
    { 0x7c7c6673, "prl_fs" },
    { 0, NULL }
};


/* with all links resolved; NGX_ERROR and errno */

static ngx_int_t
ngx_lyftr_sqlite_real(ngx_lyftr_sqlite_dsn_t *dsn, char *path)
{
    char    *name, *base, dir[NGX_MAX_PATH + 1], real[PATH_MAX];
    size_t   len;

    name = (char *) dsn->common.path;
    base = "";

    if (realpath(name, real) == NULL) {

        if (errno != ENOENT) {
            return NGX_ERROR;
        }

        base = strrchr(name, '/');
        len = ngx_max(base - name, 1);

        ngx_memcpy(dir, name, len);
        dir[len] = '\0';

        if (realpath(dir, real) == NULL) {
            return NGX_ERROR;
        }

        base += (real[1] == '\0');
    }

    if (ngx_strlen(real) + ngx_strlen(base) >= NGX_MAX_PATH) {
        errno = ENAMETOOLONG;
        return NGX_ERROR;
    }

    (void) snprintf(path, NGX_MAX_PATH, "%s%s", real, base);

    return NGX_OK;
}


/* two names of one database would have two locks and two logs */

ngx_int_t
ngx_lyftr_sqlite_resolve(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    if (ngx_lyftr_sqlite_real(c->dsn, ngx_lyftr_sqlite_path(c)) != NGX_OK) {
        return ngx_lyftr_sqlite_cannot(err, "open",
                                       (char *) c->dsn->common.path);
    }

    return NGX_OK;
}


/* what is not there yet has a name only, and what has two, one number */

ngx_uint_t
ngx_lyftr_sqlite_equal(void *a, void *b)
{
    ngx_lyftr_sqlite_dsn_t *one = a;
    ngx_lyftr_sqlite_dsn_t *other = b;

    char         path[2][NGX_MAX_PATH];
    struct stat  sb[2];

    if (stat((char *) one->common.path, &sb[0]) == 0
        && stat((char *) other->common.path, &sb[1]) == 0)
    {
        return sb[0].st_dev == sb[1].st_dev && sb[0].st_ino == sb[1].st_ino;
    }

    if (ngx_lyftr_sqlite_real(one, path[0]) != NGX_OK
        || ngx_lyftr_sqlite_real(other, path[1]) != NGX_OK)
    {
        return ngx_strcmp(one->common.path, other->common.path) == 0;
    }

    return ngx_strcmp(path[0], path[1]) == 0;
}


ngx_int_t
ngx_lyftr_sqlite_place(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    char        path[NGX_LYFTR_SQLITE_NAME_LEN];
    ngx_uint_t  i;

    for (i = 0; i < NGX_LYFTR_FILE_N; i++) {
        ngx_lyftr_sqlite_name(c, i, path);

        if (ngx_lyftr_sqlite_place_file(path, i == NGX_LYFTR_FILE_DB, err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    /* only there while a new or an adopted database becomes one with a WAL */

    (void) snprintf(path, sizeof(path), "%s-journal", ngx_lyftr_sqlite_path(c));

    if (ngx_lyftr_sqlite_place_file(path, 0, err) != NGX_OK) {
        return NGX_ERROR;
    }

    return c->dsn->force ? NGX_OK : ngx_lyftr_sqlite_place_fs(c, err);
}


/* SQLite would say of a file only that it could not open one */

static ngx_int_t
ngx_lyftr_sqlite_place_file(const char *path, ngx_uint_t db,
    ngx_lyftr_error_t *err)
{
    const char    *end, *what;
    struct statx   sx;

    end = ngx_lyftr_sqlite_end(path);

    if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW|AT_STATX_DONT_SYNC,
              STATX_TYPE|STATX_NLINK, &sx)
        == -1)
    {
        return errno == ENOENT ? NGX_OK
                               : ngx_lyftr_sqlite_cannot(err, "open", path);
    }

    if (!S_ISREG(sx.stx_mode)) {
        what = S_ISDIR(sx.stx_mode) ? "a folder"
               : S_ISLNK(sx.stx_mode) ? "a symbolic link" : "no regular file";

        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_OPEN,
                                     "\"%s\" is %s", end, what);
    }

    if (sx.stx_attributes & STATX_ATTR_MOUNT_ROOT) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_MOUNTED,
                                     "\"%s\" is mounted by itself, so that "
                                     "the files beside it are elsewhere: "
                                     "mount its folder", end);
    }

    if (db && sx.stx_nlink > 1) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_LINKED,
                                     "\"%s\" is one of %u hard links, and "
                                     "each would have a WAL of its own: "
                                     "leave it one name", end, sx.stx_nlink);
    }

    /* of the database SQLite tells itself if it is read-only */

    if (!db && access(path, R_OK|W_OK) == -1) {
        return ngx_lyftr_sqlite_cannot(err, "open", path);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_sqlite_place_fs(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    char                    dir[NGX_LYFTR_SQLITE_NAME_LEN], *path, *p;
    struct statfs           sf;
    ngx_lyftr_sqlite_fs_t  *fs;

    /* the files beside it are there even if it is not yet */

    path = ngx_lyftr_sqlite_path(c);

    (void) snprintf(dir, sizeof(dir), "%s", path);

    p = strrchr(dir, '/');
    p[p == dir] = '\0';

    if (statfs(dir, &sf) == -1) {
        return ngx_lyftr_sqlite_cannot(err, "open", path);
    }

    for (fs = ngx_lyftr_sqlite_remote; fs->name; fs++) {

        if ((uint32_t) sf.f_type == fs->type) {
            return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_NETWORK,
                                         "\"%s\" is on a network file system "
                                         "(%s): use a local one",
                                         ngx_lyftr_sqlite_end(path),
                                         fs->name);
        }
    }

    return NGX_OK;
}

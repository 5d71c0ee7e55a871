/* Where a store can be kept: its files, and the file system they are on. */

#define _GNU_SOURCE

#include "unit_store.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>


#define TEST_NOBODY  65534


static char       *suffixes[] = { "", "-wal", "-shm", "-lock" };
static uint32_t    type;                   /* of the file system; 0: as it is */


int __real_statfs64(const char *path, struct statfs *sf);


int
__wrap_statfs64(const char *path, struct statfs *sf)
{
    int  rc;

    rc = __real_statfs64(path, sf);

    if (type) {
        sf->f_type = type;
    }

    return rc;
}


/* the path of a file of the store */

static char *
test_path(const char *suffix)
{
    static char  path[NGX_MAX_PATH + 16];

    (void) snprintf(path, sizeof(path), "%s%s", dsn.common.path, suffix);

    return path;
}


static void
test_put(const char *suffix, mode_t mode)
{
    int  fd;

    fd = open(test_path(suffix), O_CREAT|O_WRONLY, mode);
    assert_true(fd != -1);
    (void) close(fd);
}


/* it is refused with these words, which have the path in quotes before */

static ngx_int_t
test_says(ngx_lyftr_err_e code, const char *before, const char *suffix,
    const char *after)
{
    char  text[NGX_MAX_PATH + 300];

    if (b->open(&dsn, NGX_LYFTR_OPEN_CREATE, unit_in(1000), &err) != NULL) {
        print_error("it was opened\n");
        return NGX_ERROR;
    }

    (void) snprintf(text, sizeof(text), "%s\"%s\"%s", before,
                    test_path(suffix), after);

    if (err.code != code || err.len < strlen(text)
        || memcmp(err.text, text, strlen(text)) != 0)
    {
        print_error("%d %.*s\n not %d %s\n", err.code, (int) err.len, err.text,
                    code, text);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
test_refused(ngx_lyftr_err_e code, const char *suffix, const char *after)
{
    assert_int_equal(test_says(code, "", suffix, after), NGX_OK);
}


/* the file that is none is named, also if it is not the database */

static void
test_kinds(void **state)
{
    void        *c;
    ngx_uint_t   i;

    static char  *names[] = { "", "-wal", "-shm", "-lock", "-journal" };

    for (i = 0; i < unit_count(names); i++) {
        assert_int_equal(mkdir(test_path(names[i]), 0700), 0);
        test_refused(NGX_LYFTR_ERR_OPEN, names[i], " is a folder");
        assert_int_equal(rmdir(test_path(names[i])), 0);

        assert_int_equal(symlink("nowhere", test_path(names[i])), 0);
        test_refused(NGX_LYFTR_ERR_OPEN, names[i], " is a symbolic link");
        assert_int_equal(unlink(test_path(names[i])), 0);

        assert_int_equal(mkfifo(test_path(names[i]), 0600), 0);
        test_refused(NGX_LYFTR_ERR_OPEN, names[i], " is no regular file");
        assert_int_equal(unlink(test_path(names[i])), 0);
    }

    /* nothing was made meanwhile; one that is a link is another path */

    assert_int_equal(access(test_path("-lock"), F_OK), -1);

    assert_int_equal(mkdir(test_path("2"), 0700), 0);
    assert_int_equal(symlink("t.db2/other.db", test_path("")), 0);
    test_put("2/other.db", 0600);
    c = unit_open();
    b->close(c);
    assert_int_equal(access(test_path("2/other.db-lock"), F_OK), 0);
}


/* one that the user may not open, which is nothing to root */

static void
test_unreadable(void **state)
{
    int         status;
    pid_t       pid;
    ngx_int_t   rc;
    ngx_uint_t  i;

    b->close(unit_open());

    assert_int_equal(chmod(dir, 0755), 0);

    for (i = 0; i < unit_count(suffixes); i++) {
        assert_int_equal(chmod(test_path(suffixes[i]), 0666), 0);
    }

    for (i = 1; i < unit_count(suffixes); i++) {
        unit_forget();
        assert_int_equal(chmod(test_path(suffixes[i]), 0), 0);

        pid = fork();

        if (pid == 0) {
            if (geteuid() == 0 && setuid(TEST_NOBODY) == -1) {
                _exit(1);
            }

            rc = test_says(NGX_LYFTR_ERR_OPEN, "cannot open ", suffixes[i],
                           ": Permission denied");
            _exit(rc != NGX_OK);
        }

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);

        assert_int_equal(chmod(test_path(suffixes[i]), 0666), 0);
    }
}


static void
test_links(void **state)
{
    char   other[128];
    void  *c;

    b->close(unit_open());

    (void) snprintf(other, sizeof(other), "%s/other.db", dir);
    assert_int_equal(link(test_path(""), other), 0);
    test_refused(NGX_LYFTR_ERR_LINKED, "", " is one of 2 hard links");

    assert_int_equal(unlink(other), 0);
    c = unit_open();
    assert_int_equal(unit_one(c, "a"), NGX_OK);
    b->close(c);
}


/* as a container's single file is; in a process, which has its own mounts */

static void
test_mounts(void **state)
{
    int         status;
    pid_t       pid;
    ngx_int_t   rc;
    ngx_uint_t  i;

    b->close(unit_open());

    for (i = 0; i < unit_count(suffixes); i++) {
        pid = fork();

        if (pid == 0) {
            unit_forget();

            if (unshare(CLONE_NEWNS) == -1
                || mount("none", "/", NULL, MS_REC|MS_PRIVATE, NULL) == -1
                || mount(test_path(suffixes[i]), test_path(suffixes[i]), NULL,
                         MS_BIND, NULL) == -1)
            {
                _exit(77);
            }

            rc = test_says(NGX_LYFTR_ERR_MOUNTED, "", suffixes[i],
                           " is mounted by itself");
            _exit(rc != NGX_OK);
        }

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));

        if (WEXITSTATUS(status) == 77) {
            skip();
        }

        assert_int_equal(WEXITSTATUS(status), 0);
    }

    /* the folder is what is to be mounted */

    pid = fork();

    if (pid == 0) {
        unit_forget();

        if (unshare(CLONE_NEWNS) == -1
            || mount("none", "/", NULL, MS_REC|MS_PRIVATE, NULL) == -1
            || mount(dir, dir, NULL, MS_BIND, NULL) == -1)
        {
            _exit(77);
        }

        _exit(b->open(&dsn, 0, unit_in(1000), &err) == NULL);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);
}


static void
test_systems(void **state)
{
    void        *c;
    ngx_uint_t   i;

    static uint32_t  remote[] = {
        0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x01021997, 0x65735546,
        0x00c36400, 0x5346414f, 0x6b414653
    };

    /* overlayfs, tmpfs, ext4, XFS, btrfs, ZFS, F2FS, and one not known */

    static uint32_t  local[] = {
        0x794c7630, 0x01021994, 0xef53, 0x58465342, 0x9123683e, 0x2fc12fc1,
        0xf2f52010, 0x12345678
    };

    for (i = 0; i < unit_count(remote); i++) {
        type = remote[i];
        test_refused(NGX_LYFTR_ERR_NETWORK, "", " is on a network file system");
    }

    assert_int_equal(access(test_path(""), F_OK), -1);
    assert_int_equal(access(test_path("-lock"), F_OK), -1);

    for (i = 0; i < unit_count(local); i++) {
        type = local[i];
        b->close(unit_open());
    }

    type = remote[0];
    test_refused(NGX_LYFTR_ERR_NETWORK, "", " is on a network file system");

    dsn.force = 1;
    c = unit_open();
    assert_int_equal(unit_one(c, "a"), NGX_OK);
    b->close(c);

    type = 0;
}


/* two addresses of one database, that is there or not */

static void
test_same(void **state)
{
    char             buf[256];
    ngx_str_t        url;
    ngx_uint_t       i, k;
    ngx_lyftr_sqlite_dsn_t  other;

    static struct {
        const char  *path;
        ngx_uint_t   same[2];
    } tests[] = {
        { "/t.db", { 1, 1 } },
        { "/./t.db", { 1, 1 } },
        { "//t.db", { 1, 1 } },
        { "/link/t.db", { 1, 1 } },
        { "/link/../t.db", { 0, 0 } },
        { "/linked.db", { 0, 1 } },
        { "/hard.db", { 0, 1 } },
        { "/t2.db", { 0, 0 } },
        { "/none/t.db", { 0, 0 } }
    };

    (void) snprintf(buf, sizeof(buf), "%s/link", dir);
    assert_int_equal(symlink(".", buf), 0);

    for (k = 0; k < 2; k++) {

        for (i = 0; i < unit_count(tests); i++) {
            (void) snprintf(buf, sizeof(buf), "sqlite:///%s%s", dir,
                            tests[i].path);
            url = unit_str(buf);

            assert_int_equal(b->init(&other, &url, &err), NGX_OK);
            assert_int_equal(b->same(&dsn, &other), tests[i].same[k]);
            assert_int_equal(b->same(&other, &dsn), tests[i].same[k]);
        }

        if (k == 0) {
            test_put("", 0600);

            (void) snprintf(buf, sizeof(buf), "%s/linked.db", dir);
            assert_int_equal(symlink("t.db", buf), 0);
            (void) snprintf(buf, sizeof(buf), "%s/hard.db", dir);
            assert_int_equal(link(test_path(""), buf), 0);
        }
    }
}


/* the end of a path is what tells which file it is */

static void
test_long(void **state)
{
    size_t  len;

    (void) sprintf((char *) dsn.common.path, "%s/", dir);

    for (len = strlen((char *) dsn.common.path); len < 900; ) {
        (void) memset(dsn.common.path + len, 'd', 200);
        dsn.common.path[len + 200] = '\0';
        assert_int_equal(mkdir((char *) dsn.common.path, 0700), 0);
        (void) strcpy((char *) dsn.common.path + len + 200, "/");
        len = strlen((char *) dsn.common.path);
    }

    (void) strcpy((char *) dsn.common.path + len, "t.db");
    assert_int_equal(mkdir(test_path("-wal"), 0700), 0);

    assert_null(b->open(&dsn, NGX_LYFTR_OPEN_CREATE, unit_in(1000), &err));
    err.text[err.len] = '\0';
    assert_non_null(strstr((char *) err.text, "/t.db-wal\" is a folder"));
    assert_true(err.len < NGX_LYFTR_ERROR_LEN - 1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        unit_fresh(test_kinds),
        unit_fresh(test_unreadable),
        unit_fresh(test_links),
        unit_fresh(test_mounts),
        unit_fresh(test_systems),
        unit_fresh(test_same),
        unit_fresh(test_long)
    };

    return cmocka_run_group_tests_name("sqlite_place", tests, NULL, NULL);
}

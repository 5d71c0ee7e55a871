/* How long the WAL may be: by max_wal=, and on a disk with little room. */

#include "unit_store.h"

#include <sys/stat.h>
#include <sys/statvfs.h>


#define TEST_PAGE   4096
#define TEST_FRAME  (TEST_PAGE + 24)
#define TEST_DISK   (6 * 1024 * 1024)
#define TEST_LONG   65536


static off_t       disk;                   /* 0: as it is */
static ngx_uint_t  block;
static ngx_uint_t  added;


int __real_statvfs64(const char *path, struct statvfs *sv);


static off_t
test_size(const char *suffix)
{
    char         buf[128];
    struct stat  sb;

    (void) snprintf(buf, sizeof(buf), "%s/t.db%s", dir, suffix);

    return stat(buf, &sb) == 0 ? sb.st_size : 0;
}


/* a disk that has nothing but the store */

int
__wrap_statvfs64(const char *path, struct statvfs *sv)
{
    off_t  used;

    if (disk == 0) {
        return __real_statvfs64(path, sv);
    }

    used = test_size("") + test_size("-wal") + test_size("-shm");

    ngx_memzero(sv, sizeof(struct statvfs));

    sv->f_frsize = block;
    sv->f_blocks = block ? disk / block : 0;
    sv->f_bavail = block && used < disk ? (disk - used) / block : 0;

    return 0;
}


static int
test_setup(void **state)
{
    disk = 0;
    block = TEST_PAGE;
    added = 0;

    return unit_setup(state);
}


/* messages of so many bytes, in a transaction; what begin() returned */

static ngx_int_t
test_begin(void *c, ngx_uint_t n, size_t len)
{
    char        id[32];
    ngx_int_t   rc;
    ngx_str_t   s, text;

    static u_char  x[TEST_LONG];

    rc = b->turn(c, unit_in(2000), &err);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memset(x, 'x', sizeof(x));
    text.data = x;
    text.len = len;

    while (n--) {
        (void) snprintf(id, sizeof(id), "m%d", (int) added++);
        s = unit_str(id);
        assert_true(unit_insert(c, &s, "+1", "2025-01-15T10:00:00Z", &text));
    }

    return NGX_OK;
}


static ngx_int_t
test_add(void *c, ngx_uint_t n, size_t len)
{
    ngx_int_t  rc;

    rc = test_begin(c, n, len);

    if (rc == NGX_OK) {
        assert_int_equal(unit_commit(c, &err), NGX_OK);
    }

    return rc;
}


/* a reader keeps its snapshot, so that nothing can begin anew */

static void *
test_reader(void)
{
    void               *r;
    ngx_lyftr_stats_t   stats;

    r = unit_open();

    assert_int_equal(b->begin(r, unit_in(20000), &err), NGX_OK);
    assert_int_equal(b->stats(r, &stats, &err), NGX_OK);

    return r;
}


/* the frames of the log, with what is before each page, are what it holds */

static void
test_content(void **state)
{
    void                *c, *r;
    ngx_lyftr_sqlite_t  *s;

    c = s = unit_open();
    assert_int_equal(test_add(c, 20, 4000), NGX_OK);
    r = test_reader();
    assert_int_equal(test_add(c, 20, 4000), NGX_OK);

    assert_true(s->wal.pages > 40);
    assert_int_equal(test_size("-wal"), 32 + s->wal.pages * TEST_FRAME);

    dsn.max_wal = s->wal.pages * TEST_FRAME + 1;
    assert_int_equal(b->turn(c, unit_in(1000), &err), NGX_OK);
    b->end(c);

    dsn.max_wal = s->wal.pages * TEST_FRAME;
    assert_int_equal(b->turn(c, unit_in(1000), &err), NGX_DECLINED);
    assert_int_equal(err.code, NGX_LYFTR_ERR_LOG);

    b->close(c);
    b->close(r);
}


/* a reader that holds it up is waited for again after a second, not before */

static void
test_retry(void **state)
{
    void                *c, *r;
    ngx_msec_t           start;
    ngx_lyftr_sqlite_t  *s;

    c = s = unit_open();
    assert_int_equal(test_add(c, 40, 4000), NGX_OK);
    r = test_reader();
    assert_int_equal(test_add(c, 1, 4000), NGX_OK);

    dsn.max_wal = TEST_PAGE;
    assert_int_equal(s->wal.retry, 0);

    start = ngx_lyftr_clock();
    assert_int_equal(b->turn(c, unit_in(1000), &err), NGX_DECLINED);
    assert_in_range(s->wal.retry, start + 1000, ngx_lyftr_clock() + 1000);
    assert_false(ngx_lyftr_sqlite_long(s));

    /* the reader has left; until then nothing is tried */

    b->end(r);
    s->wal.retry = unit_in(60000);
    assert_int_equal(b->turn(c, unit_in(1000), &err), NGX_DECLINED);

    s->wal.retry = ngx_lyftr_clock();
    assert_int_equal(b->turn(c, unit_in(1000), &err), NGX_OK);
    b->end(c);
    assert_int_equal(test_size("-wal"), 0);

    b->close(c);
    b->close(r);
}


/* with and without keeper: what the log holds has room in the database */

static void
test_disk(void **state)
{
    void        *c, *keeper;
    off_t        wal, largest[2];
    ngx_uint_t   k;

    for (k = 0; k < 2; k++) {
        disk = TEST_DISK * (k + 1);
        largest[k] = 0;

        c = unit_open();
        keeper = unit_open();

        while (test_size("") < disk / 2) {
            assert_int_equal(test_add(c, 2, TEST_LONG / 2), NGX_OK);

            wal = test_size("-wal");
            largest[k] = ngx_max(largest[k], wal);
            assert_true(test_size("") + 2 * wal < disk);

            while (k && unit_housekeep(keeper) == NGX_OK) { /* void */ }
        }

        b->close(c);
        b->close(keeper);
    }

    /* it begins anew when it has come to half of what it may hold */

    assert_in_range(largest[0], TEST_DISK / 6, TEST_DISK / 3 + 100 * 1024);
    assert_in_range(largest[1], TEST_DISK / 6, TEST_DISK / 3 + 100 * 1024);
}


/* a disk that does not tell, and one that has more room than can be counted */

static void
test_no_disk(void **state)
{
    void        *c;
    ngx_uint_t   i;

    c = unit_open();

    for (i = 0; i < 2; i++) {
        disk = i ? NGX_MAX_OFF_T_VALUE : TEST_DISK;
        block = i ? 1 : 0;
        dsn.max_wal = i ? NGX_MAX_INT_T_VALUE : 256 << 20;

        assert_int_equal(test_add(c, 80, TEST_LONG), NGX_OK);
        assert_false(ngx_lyftr_sqlite_long(c));
        assert_int_equal(test_add(c, 1, 4000), NGX_OK);
    }

    assert_true(test_size("-wal") > 160 * TEST_LONG);

    b->close(c);
}


/* what a batch without room has left in the log is given back to the disk */

static void
test_cutting(ngx_uint_t full)
{
    void               *c, *r;
    off_t               end;
    ngx_lyftr_stats_t   stats;

    dsn.cache = 64 * 1024;

    c = unit_open();
    assert_int_equal(test_add(c, 100, 4000), NGX_OK);
    r = test_reader();
    assert_int_equal(test_add(c, 10, 4000), NGX_OK);

    end = test_size("-wal");
    assert_int_equal(end, 32 + ((ngx_lyftr_sqlite_t *) c)->wal.pages
                               * TEST_FRAME);

    /* more than the cache holds goes into the log before the commit */

    assert_int_equal(test_begin(c, 50, TEST_LONG), NGX_OK);
    b->close(c);
    assert_true(test_size("-wal") > end + 1024 * 1024);

    /*
     * The disk is full, or a quota is, which it does not tell; a reader holds
     * up that the log begins anew.
     */

    disk = full ? test_size("") + test_size("-wal") + test_size("-shm") : 0;

    c = unit_open_as(NGX_LYFTR_OPEN_FAILED);
    assert_int_equal(b->turn(c, unit_in(200), &err), NGX_DECLINED);
    assert_int_equal(test_size("-wal"), end);

    assert_int_equal(b->stats(r, &stats, &err), NGX_OK);
    assert_int_equal(stats.total, 100);
    b->close(r);

    disk += full ? 1024 * 1024 : 0;
    assert_int_equal(test_add(c, 1, 4000), NGX_OK);
    b->close(c);

    c = unit_open();
    assert_int_equal(b->begin(c, unit_in(1000), &err), NGX_OK);
    assert_int_equal(b->stats(c, &stats, &err), NGX_OK);
    assert_int_equal(stats.total, 111);
    b->close(c);

    assert_int_equal(unit_sql_int("SELECT count(*) FROM pragma_integrity_check"
                                  " WHERE integrity_check <> 'ok'"), 0);
}


static void
test_cut(void **state)
{
    test_cutting(1);
}


static void
test_quota(void **state)
{
    test_cutting(0);
}


#define test_fresh(f)                                                         \
    cmocka_unit_test_setup_teardown(f, test_setup, unit_teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        test_fresh(test_content),
        test_fresh(test_retry),
        test_fresh(test_disk),
        test_fresh(test_no_disk),
        test_fresh(test_cut),
        test_fresh(test_quota)
    };

    return cmocka_run_group_tests_name("sqlite_wal", tests, NULL, NULL);
}

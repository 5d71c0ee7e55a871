/* The WAL's limit, and the check for damage. */

#include "unit.h"

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_backend.h>
#include <ngx_lyftr_text.h>

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>


#define TEST_WAL   (1024 * 1024)

#define test_in(msec)  (ngx_lyftr_clock() + (msec))


static ngx_lyftr_backend_t  *b = &ngx_lyftr_sqlite_backend;
static ngx_lyftr_error_t     err;
static ngx_lyftr_dsn_t       dsn;
static char                  dir[64];
static ngx_uint_t            added;


static int
test_setup(void **state)
{
    char       buf[128];
    ngx_str_t  url;

    (void) strcpy(dir, "/tmp/test_upkeep.XXXXXX");

    if (mkdtemp(dir) == NULL) {
        return -1;
    }

    url.data = (u_char *) buf;
    url.len = snprintf(buf, sizeof(buf), "sqlite:///%s/t.db", dir);

    if (b->init(&dsn, &url, &err) != NGX_OK) {
        return -1;
    }

    dsn.max_wal = TEST_WAL;
    added = 0;

    return 0;
}


static int
test_teardown(void **state)
{
    char  buf[128];

    (void) snprintf(buf, sizeof(buf), "rm -rf '%s'", dir);

    return system(buf);
}


static void *
test_open(void)
{
    void  *c;

    c = b->open(&dsn, NGX_LYFTR_OPEN_CREATE, test_in(4000), &err);

    if (c == NULL) {
        print_error("open: %.*s\n", (int) err.len, err.text);
        fail();
    }

    return c;
}


/* commits so many messages of about a kilobyte; what begin() returned */

static ngx_int_t
test_add(void *c, ngx_uint_t n)
{
    char                 id[32], text[1000];
    ngx_int_t            rc;
    ngx_lyftr_message_t  m;

    rc = b->begin(c, 1, test_in(2000), &err);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memset(text, 'x', sizeof(text));

    ngx_str_set(&m.from, "+1");
    ngx_str_set(&m.to, "+2");
    ngx_str_set(&m.ts, "2025-01-15T10:00:00Z");
    m.text.data = (u_char *) text;
    m.text.len = sizeof(text);
    m.message_id.data = (u_char *) id;

    (void) ngx_lyftr_instant_parse(m.ts.data, m.ts.len, &m.instant);

    while (n--) {
        m.message_id.len = snprintf(id, sizeof(id), "m%u", (int) added++);
        assert_int_equal(b->insert(c, &m, &err), NGX_OK);
    }

    assert_int_equal(b->commit(c, &err), NGX_OK);

    return NGX_OK;
}


static off_t
test_wal(void)
{
    char         buf[128];
    struct stat  sb;

    (void) snprintf(buf, sizeof(buf), "%s/t.db-wal", dir);
    assert_int_equal(stat(buf, &sb), 0);

    return sb.st_size;
}


static void
test_limit(void **state)
{
    void               *c, *r, *p;
    ngx_int_t           rc;
    ngx_uint_t          i;
    ngx_lyftr_stats_t   stats;

    c = test_open();
    r = test_open();
    p = test_open();

    assert_int_equal(test_add(c, 1), NGX_OK);

    assert_int_equal(b->begin(r, 0, test_in(20000), &err), NGX_OK);
    assert_int_equal(b->stats(r, &stats, &err), NGX_OK);

    rc = NGX_OK;

    for (i = 0; i < 1000 && rc == NGX_OK; i++) {
        rc = test_add(c, 100);
    }

    assert_int_equal(rc, NGX_DECLINED);
    assert_int_equal(err.code, NGX_LYFTR_ERR_LOG);
    assert_in_range(test_wal(), TEST_WAL, TEST_WAL + 200 * 1024);

    /* it is refused to all, the health check does not wait, reads go on */

    assert_int_equal(b->begin(p, 1, test_in(1000), &err), NGX_DECLINED);
    assert_int_equal(b->probe(p, 1, &err), NGX_ERROR);
    assert_int_equal(err.code, NGX_LYFTR_ERR_LOG);

    assert_int_equal(b->begin(p, 0, test_in(1000), &err), NGX_OK);
    assert_int_equal(b->stats(p, &stats, &err), NGX_OK);
    assert_int_equal(stats.total, added);
    b->rollback(p);

    /* the maintenance is due again within a second, and fails quickly */

    for (i = 0; b->due(c) == 0 && i < 10; i++) {
        assert_int_not_equal(b->maintain(c, test_in(2000), &err), NGX_ERROR);
    }

    assert_in_range(b->due(c), 1, 1000);

    b->rollback(r);

    usleep((b->due(c) + 1) * 1000);
    assert_int_equal(b->due(c), 0);
    assert_int_equal(b->maintain(c, test_in(2000), &err), NGX_OK);
    assert_int_equal(test_wal(), 0);

    assert_int_equal(test_add(c, 1), NGX_OK);
    assert_int_equal(test_add(p, 1), NGX_OK);
    assert_int_equal(b->probe(p, 1, &err), NGX_OK);

    b->close(c);
    b->close(r);
    b->close(p);
}


/* the calls that one check takes; -1: damage */

static int
test_verify(void *c)
{
    int        n;
    ngx_int_t  rc;

    for (n = 1; n < 1000; n++) {
        rc = b->check(c, test_in(4000), &err);

        if (rc == NGX_DONE) {
            return n;
        }

        if (rc == NGX_ERROR) {
            assert_int_equal(err.code, NGX_LYFTR_ERR_CORRUPT);
            return -1;
        }
    }

    fail();

    return 0;
}


static void
test_sql(const char *sql, int64_t *n)
{
    sqlite3       *db;
    sqlite3_stmt  *st;

    assert_int_equal(sqlite3_open((char *) dsn.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);

    if (sqlite3_step(st) == SQLITE_ROW) {
        *n = sqlite3_column_int64(st, 0);
    }

    (void) sqlite3_finalize(st);
    (void) sqlite3_close(db);
}


/* a leaf of every tree, overwritten and put right */

static void
test_damage(void **state)
{
    int             fd;
    void           *c;
    char            sql[256];
    u_char          page[4096], bad[4096];
    int64_t         n;
    ngx_uint_t      i;

    static const char  *trees[] = {
        "lyftr_message", "lyftr_id", "lyftr_time", "lyftr_sender",
        "lyftr_count"
    };

    dsn.max_wal = 256 << 20;

    c = test_open();

    for (i = 0; i < 30; i++) {
        assert_int_equal(test_add(c, 100), NGX_OK);
    }

    while (b->due(c) == 0) {
        assert_int_equal(b->maintain(c, test_in(2000), &err), NGX_OK);
    }

    b->close(c);

    test_sql("PRAGMA wal_checkpoint(TRUNCATE)", &n);
    assert_int_equal(n, 0);

    /* that was the last connection: the files that it leaves are new ones */

    dsn.opened = 0;

    /* 3000 rows and as many entries, but one sender: parts of 1000 */

    c = test_open();
    assert_int_equal(test_verify(c), 4 * 4 + 1);

    ngx_memset(bad, 0xa5, sizeof(bad));

    for (i = 0; i < unit_count(trees); i++) {
        (void) snprintf(sql, sizeof(sql), "SELECT max(pageno) FROM dbstat"
                        " WHERE name = '%s' AND pagetype = 'leaf'", trees[i]);
        test_sql(sql, &n);

        fd = open((char *) dsn.path, O_RDWR);
        assert_int_equal(pread(fd, page, 4096, (n - 1) * 4096), 4096);
        assert_int_equal(pwrite(fd, bad, 4096, (n - 1) * 4096), 4096);

        assert_int_equal(test_verify(c), -1);

        /* as one who has opened it anew */

        b->close(c);
        c = test_open();
        assert_int_equal(test_verify(c), -1);
        b->close(c);

        assert_int_equal(pwrite(fd, page, 4096, (n - 1) * 4096), 4096);
        (void) close(fd);

        c = test_open();
        assert_int_equal(test_verify(c), 4 * 4 + 1);
    }

    /* what only the hash of the id tells */

    test_sql("UPDATE lyftr_message SET message_id = 'M7' WHERE seq = 8", &n);
    assert_int_equal(test_verify(c), -1);

    b->close(c);
}


/* the versions are those of https://sqlite.org/wal.html#walresetbug */

static void
test_advice(void **state)
{
    int  n;

    n = sqlite3_libversion_number();

    b->advice(&err);

    if (n >= 3053000 || n < 3044000) {
        assert_int_equal(err.len > 0, n < 3044000);
    }
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_limit, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_damage, test_setup,
                                        test_teardown),
        cmocka_unit_test(test_advice)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

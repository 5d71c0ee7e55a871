/* The WAL's limit, the checkpoints, and who does the housekeeping. */

#include "unit_store.h"

#include <ngx_lyftr_sqlite_jobs.h>

#include <sys/stat.h>


#define TEST_WAL   (1024 * 1024)


int __real_nanosleep(const struct timespec *ts, struct timespec *left);
int __wrap_nanosleep(const struct timespec *ts, struct timespec *left);


static ngx_uint_t  added;
static ngx_uint_t  rests;
static void       *other;


int
__wrap_nanosleep(const struct timespec *ts, struct timespec *left)
{
    rests++;

    /* nobody waits for it meanwhile */

    if (other) {
        assert_int_equal(b->turn(other, unit_in(0), &err), NGX_OK);
        b->end(other);
    }

    return __real_nanosleep(ts, left);
}


static int
test_setup(void **state)
{
    if (unit_setup(state) != 0) {
        return -1;
    }

    dsn.max_wal = TEST_WAL;
    added = 0;

    return 0;
}


/* commits so many messages of about a page; what begin() returned */

static ngx_int_t
test_add(void *c, ngx_uint_t n)
{
    char                 id[32], text[4000];
    ngx_int_t            rc;
    ngx_lyftr_message_t  m;

    rc = b->turn(c, unit_in(2000), &err);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memset(text, 'x', sizeof(text));
    ngx_memzero(&m, sizeof(m));

    ngx_str_set(&m.from, "+1");
    ngx_str_set(&m.to, "+2");
    ngx_str_set(&m.ts, "2025-01-15T10:00:00Z");
    m.text.data = (u_char *) text;
    m.text.len = sizeof(text);
    m.message_id.data = (u_char *) id;

    (void) ngx_lyftr_instant_parse(m.ts.data, m.ts.len, &m.instant);

    while (n--) {
        m.message_id.len = snprintf(id, sizeof(id), "m%u", (int) added++);
        assert_int_equal(unit_put(c, &m, &err), NGX_OK);
    }

    assert_int_equal(unit_commit(c, &err), NGX_OK);

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

    c = unit_open();
    r = unit_open();
    p = unit_open();

    assert_int_equal(test_add(c, 1), NGX_OK);

    assert_int_equal(b->begin(r, unit_in(20000), &err), NGX_OK);
    assert_int_equal(b->stats(r, &stats, &err), NGX_OK);

    rc = NGX_OK;

    for (i = 0; i < 1000 && rc == NGX_OK; i++) {
        rc = test_add(c, 20);
    }

    assert_int_equal(rc, NGX_DECLINED);
    assert_int_equal(err.code, NGX_LYFTR_ERR_LOG);
    assert_in_range(test_wal(), TEST_WAL, TEST_WAL + 200 * 1024);

    /*
     * It is refused to all, but for one commit of a connection that does not
     * know it yet; the health check does not wait, and reads go on.
     */

    (void) test_add(p, 1);
    assert_int_equal(b->turn(p, unit_in(1000), &err), NGX_DECLINED);
    assert_int_equal(b->probe(p, 1, &err), NGX_ERROR);
    assert_int_equal(err.code, NGX_LYFTR_ERR_LOG);

    assert_int_equal(b->begin(p, unit_in(1000), &err), NGX_OK);
    assert_int_equal(b->stats(p, &stats, &err), NGX_OK);
    assert_int_equal(stats.total, added);
    b->end(p);

    /* a checkpoint finds it locked, and empties it when the reader has gone */

    for (i = 0; i < 20 && unit_housekeep(c) != NGX_BUSY; i++) { /* void */ }

    assert_true(i < 20);

    b->end(r);

    for (i = 0; test_wal() > TEST_WAL && i < 200; i++) {
        (void) unit_housekeep(c);
        (void) usleep(50000);
    }

    assert_in_range(test_wal(), 0, TEST_WAL);

    assert_int_equal(test_add(c, 1), NGX_OK);
    assert_int_equal(test_add(p, 1), NGX_OK);
    assert_int_equal(b->probe(p, 1, &err), NGX_OK);

    b->close(c);
    b->close(r);
    b->close(p);
}


/* the file stays as long as the log once was: what it holds counts */

static void
test_content(void **state)
{
    void                *c, *r;
    ngx_int_t            rc;
    ngx_uint_t           i;
    ngx_lyftr_stats_t    stats;
    ngx_lyftr_sqlite_t  *s;

    dsn.max_wal = 256 << 20;

    c = unit_open();
    r = unit_open();
    s = c;

    assert_int_equal(test_add(c, 250), NGX_OK);
    assert_int_equal(sqlite3_wal_checkpoint_v2(s->db, NULL,
                                               SQLITE_CHECKPOINT_RESTART,
                                               NULL, NULL), SQLITE_OK);
    assert_int_equal(test_add(c, 1), NGX_OK);

    dsn.max_wal = TEST_WAL / 2;
    assert_true(test_wal() > TEST_WAL);

    assert_int_equal(b->begin(r, unit_in(20000), &err), NGX_OK);
    assert_int_equal(b->stats(r, &stats, &err), NGX_OK);

    rc = NGX_OK;

    for (i = 0; i < 25 && rc == NGX_OK; i++) {
        rc = test_add(c, 10);
    }

    assert_int_equal(rc, NGX_DECLINED);
    assert_int_equal(err.code, NGX_LYFTR_ERR_LOG);
    assert_in_range(i, 5, 15);

    b->close(c);
    b->close(r);
}


/* a checkpoint leaves nothing in the log, and the next commit begins there */

static void
test_checkpoint(void **state)
{
    void       *c, *keeper;
    ngx_uint_t  i;

    dsn.max_wal = 256 << 20;

    c = unit_open();
    keeper = unit_open();

    for (i = 0; i < 45; i++) {
        assert_int_equal(test_add(c, 100), NGX_OK);
        unit_housekeep_all(keeper);
    }

    /* pages between two checkpoints, and no more */

    assert_in_range(test_wal(), 6000 * 4096, 10000 * 4096);

    b->close(c);
    b->close(keeper);
}


/* it rests between two steps, while rows come and it can follow */

static void
test_rest(void **state)
{
    void                *c, *keeper;
    ngx_lyftr_sqlite_t  *s;

    dsn.max_wal = 256 << 20;

    c = unit_open();
    keeper = unit_open();
    s = keeper;

    /* nothing is known yet of how it gets on */

    rests = 0;
    assert_int_equal(test_add(c, NGX_LYFTR_SEGMENT + 5), NGX_OK);
    assert_int_equal(unit_housekeep(keeper), NGX_OK);
    assert_int_equal(rests, 0);
    unit_housekeep_all(keeper);

    assert_int_equal(test_add(c, NGX_LYFTR_SEGMENT), NGX_OK);
    assert_int_equal(unit_housekeep(keeper), NGX_OK);
    assert_true(rests > 0);

    /* nobody writes any more */

    rests = 0;
    s->jobs->steps.since -= 1000;
    assert_int_equal(unit_housekeep(keeper), NGX_OK);
    assert_int_equal(rests, 0);
    unit_housekeep_all(keeper);

    /* many rows have no segment */

    rests = 0;
    assert_int_equal(test_add(c, 3 * NGX_LYFTR_SEGMENT), NGX_OK);
    assert_int_equal(unit_housekeep(keeper), NGX_OK);
    assert_int_equal(rests, 0);
    unit_housekeep_all(keeper);

    /* it has had no pause for long */

    rests = 0;
    assert_int_equal(test_add(c, NGX_LYFTR_SEGMENT), NGX_OK);
    s->jobs->idle -= 10000;
    assert_int_equal(unit_housekeep(keeper), NGX_OK);
    assert_int_equal(rests, 0);

    b->close(c);
    b->close(keeper);
}


/* a step that reads much rests meanwhile, without the lock */

static void
test_pause(void **state)
{
    void                *c, *keeper;
    ngx_lyftr_sqlite_t  *s;

    dsn.max_wal = 256 << 20;

    c = unit_open();
    keeper = unit_open();
    s = keeper;

    assert_int_equal(test_add(c, 1), NGX_OK);
    unit_housekeep_all(keeper);
    assert_int_equal(test_add(c, NGX_LYFTR_SEGMENT), NGX_OK);

    other = c;

    while (!s->jobs->steps.flush.active) {
        rests = 0;
        assert_int_equal(unit_housekeep(keeper), NGX_OK);
    }

    /* more than once after it */

    assert_true(rests > 2);

    other = NULL;

    b->close(c);
    b->close(keeper);
}


/* one of all connections, until it is closed */

static void
test_owner(void **state)
{
    void  *c, *d;

    c = unit_open();
    d = unit_open();

    assert_int_not_equal(unit_housekeep(c), NGX_DECLINED);
    assert_int_equal(unit_housekeep(d), NGX_DECLINED);

    /* it keeps no writer from its turn */

    assert_int_equal(test_add(d, 1), NGX_OK);
    assert_int_equal(unit_housekeep(d), NGX_DECLINED);

    /* one who opens and closes the lock's file takes it from nobody */

    b->close(unit_open());
    assert_int_equal(unit_housekeep(d), NGX_DECLINED);

    b->close(c);
    assert_int_not_equal(unit_housekeep(d), NGX_DECLINED);
    b->close(d);
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
#define test_fresh(f)                                                         \
    cmocka_unit_test_setup_teardown(f, test_setup, unit_teardown)

    const struct CMUnitTest  tests[] = {
        test_fresh(test_limit),
        test_fresh(test_content),
        test_fresh(test_checkpoint),
        test_fresh(test_rest),
        test_fresh(test_pause),
        test_fresh(test_owner),
        cmocka_unit_test(test_advice)
    };

    return cmocka_run_group_tests_name("sqlite_housekeep", tests, NULL, NULL);
}

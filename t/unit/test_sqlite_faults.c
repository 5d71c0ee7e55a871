/*
 * A script of commits, reads and keeper, in which one call of the system, or
 * for memory, fails; whoever meets that opens anew, as the lanes do.  At the
 * end the store must be what the model is.
 */

#include "unit_fault.h"

#include <ngx_lyftr_sqlite_jobs.h>
#include "unit_check.h"


/* runs of a kind of fault, spread over all calls of the script */
#ifndef TEST_RUNS
#define TEST_RUNS    60
#endif

/* the counts of senders take so many without waiting */
#define TEST_ROWS    (14 * NGX_LYFTR_TALLY)


/* a connection of a lane, and if its last commit failed */

typedef struct {
    void                *c;
    ngx_uint_t           flags;
} test_lane_t;


static ngx_uint_t
test_lane_open(test_lane_t *lane)
{
    if (lane->c == NULL) {
        lane->c = b->open(&dsn, NGX_LYFTR_OPEN_CREATE|lane->flags,
                          unit_in(500), &err);
    }

    return lane->c != NULL;
}


static void
test_lane_close(test_lane_t *lane)
{
    if (lane->c) {
        b->close(lane->c);
        lane->c = NULL;
    }
}


/* NGX_OK, or a fault was met */

static ngx_int_t
test_batch(test_lane_t *lane, ngx_uint_t from, ngx_uint_t n)
{
    ngx_int_t            rc;
    ngx_uint_t           i;
    ngx_lyftr_message_t  m;

    if (!test_lane_open(lane)) {
        return NGX_ERROR;
    }

    rc = b->turn(lane->c, unit_in(500), &err);

    if (rc == NGX_DECLINED) {
        return rc;
    }

    ngx_memzero(&m, sizeof(m));

    for (i = from; rc == NGX_OK && i < from + n; i++) {
        m.message_id = model[i].id;
        m.from = model[i].from;
        m.to = unit_str("+200");
        m.ts = model[i].ts;
        m.text = model[i].text;
        m.type = model[i].type;
        m.raw = model[i].raw;
        m.instant = model[i].t;

        rc = unit_put(lane->c, &m, &err);

        if (rc == NGX_DECLINED) {
            rc = NGX_OK;
        }
    }

    if (rc == NGX_OK) {
        rc = unit_commit(lane->c, &err);
        lane->flags = (rc == NGX_OK) ? 0 : NGX_LYFTR_OPEN_FAILED;
    }

    if (rc != NGX_OK) {
        b->end(lane->c);
        test_lane_close(lane);
    }

    return rc;
}


/* until there is nothing to do, or so many steps */

static void
test_housekeeping(test_lane_t *lane, ngx_uint_t steps)
{
    ngx_int_t   rc;
    ngx_uint_t  n;

    for (n = 0; n < steps; n++) {

        if (!test_lane_open(lane)) {
            continue;
        }

        rc = b->housekeep(lane->c, unit_in(500), &err);

        if (rc == NGX_ERROR) {
            test_lane_close(lane);
            continue;
        }

        if (rc == NGX_DONE) {
            return;
        }
    }
}


/* a read either fails, or gives what is there; rows may have come unseen */

static void
test_read(test_lane_t *lane, ngx_uint_t least)
{
    ngx_lyftr_stats_t  stats;

    if (!test_lane_open(lane)) {
        return;
    }

    if (b->begin(lane->c, unit_in(500), &err) == NGX_OK
        && b->stats(lane->c, &stats, &err) == NGX_OK)
    {
        assert_in_range(stats.total, least, nmodel);
        b->end(lane->c);
        return;
    }

    b->end(lane->c);
    test_lane_close(lane);
}


/* to the end; damage that is no damage is what it must not see */

static void
test_check(test_lane_t *lane, ngx_uint_t parts)
{
    ngx_int_t   rc;

    while (parts--) {

        if (!test_lane_open(lane)) {
            continue;
        }

        rc = unit_verify(lane->c, 500);

        if (rc == NGX_DONE) {
            return;
        }

        if (rc == NGX_ERROR) {

            /* a read that failed is told as damage */

            if (err.code == NGX_LYFTR_ERR_CORRUPT && bad[UNIT_READ] == 0
                && hits == 0)
            {
                fail_msg("check: %.*s", (int) err.len, err.text);
            }

            test_lane_close(lane);
        }
    }
}


static void
test_script(void)
{
    ngx_uint_t    i, n, tries;
    test_lane_t   writer, keeper, reader, checker;

    ngx_memzero(&writer, sizeof(test_lane_t));
    ngx_memzero(&keeper, sizeof(test_lane_t));
    ngx_memzero(&reader, sizeof(test_lane_t));
    ngx_memzero(&checker, sizeof(test_lane_t));

    for (i = 0; i < TEST_ROWS; i += n) {
        n = ngx_min(20, TEST_ROWS - i);

        /* the sender tries again until it gets its 200 */

        for (tries = 0; test_batch(&writer, i, n) != NGX_OK; tries++) {
            if (tries == 3) {
                fail_msg("commit: %.*s", (int) err.len, err.text);
            }
        }

        test_housekeeping(&keeper, 12);
        test_read(&reader, i + n);

        if (i % 100 == 60 && keeper.c && reader.c) {
            (void) ngx_lyftr_sqlite_checkpoint(keeper.c, reader.c,
                                               unit_in(500), &err);
        }
    }

    test_housekeeping(&keeper, 2000);
    test_check(&checker, 500);

    test_lane_close(&writer);
    test_lane_close(&keeper);
    test_lane_close(&reader);
    test_lane_close(&checker);
}


/* one who has seen nothing of it finds all, and in order */

static void
test_judge(void)
{
    void                *c;
    ngx_int_t            rc;
    ngx_uint_t           n;

    static const char  *faults =
        "SELECT (SELECT count(*) FROM pragma_integrity_check"
        " WHERE integrity_check <> 'ok')"
        " + (SELECT count(*) FROM lyftr_block WHERE no >> 36 NOT IN"
        " (SELECT id FROM lyftr_segment))"
        " + (SELECT count(*) FROM lyftr_gram WHERE no >> 40 NOT IN"
        " (SELECT id FROM lyftr_search))"
        " + (SELECT count(*) FROM lyftr_search WHERE level < 0)"
        " + (SELECT count(*) FROM (SELECT from_msisdn, count(*) AS n"
        " FROM lyftr_message GROUP BY 1) LEFT JOIN lyftr_count"
        " USING (from_msisdn) WHERE n IS NOT count)"
        " + (SELECT senders <> (SELECT count(*) FROM lyftr_count)"
        " FROM lyftr_state)";

    c = unit_open();
    unit_housekeep_all(c);
    unit_check(c, 20, 1);
    unit_model_known(c);

    for (n = 0, rc = NGX_OK; rc == NGX_OK && n < 1000; n++) {
        rc = unit_verify(c, 4000);
    }

    if (rc != NGX_DONE) {
        fail_msg("check: %.*s", (int) err.len, err.text);
    }

    b->close(c);

    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_message"),
                     nmodel);
    assert_int_equal(unit_sql_int(faults), 0);
    assert_true(unit_sql_int("SELECT count(*) FROM lyftr_segment"
                             " WHERE level > 0") > 0);
    assert_true(unit_sql_int("SELECT count(*) FROM lyftr_search"
                             " WHERE level > 0") > 0);
}


/* the calls of the script */

static ngx_uint_t
test_run(unit_fault_e kind, ngx_uint_t n)
{
    ngx_uint_t  i, total;

    assert_int_equal(unit_setup(NULL), 0);

    ngx_memzero((void *) words, sizeof(words));
    dsn.common.words = words;
    dsn.search = 1;

    seed = 7;

    for (i = 0; i < TEST_ROWS; i++) {
        (void) unit_model_random();
    }

    ngx_memzero(calls, sizeof(calls));
    ngx_memzero(bad, sizeof(bad));
    hits = 0;

    bad[kind] = n;
    test_script();
    bad[kind] = 0;
    total = calls[kind];

    test_judge();

    unit_model_clear();
    assert_int_equal(unit_teardown(NULL), 0);

    return total;
}


static void
test_kind(unit_fault_e kind)
{
    ngx_uint_t  i, n, runs, total, met;

    total = test_run(kind, 0);
    assert_true(total > 2);

    runs = ngx_min(total, TEST_RUNS);

    for (i = 0, met = 0; i < runs; i++) {
        n = 1 + i * total / runs;

        (void) test_run(kind, n);
        met += hits;
    }

    /* the script is not quite the same each time: the clock is in it */

    assert_in_range(met, runs * 9 / 10, runs);
}


#define test_of(name, kind)                                                   \
    static void                                                               \
    name(void **state)                                                        \
    {                                                                         \
        test_kind(kind);                                                      \
    }


test_of(test_no_memory, UNIT_MALLOC)
test_of(test_no_write, UNIT_WRITE)
test_of(test_no_read, UNIT_READ)
test_of(test_no_sync, UNIT_SYNC)
test_of(test_locked, UNIT_LOCK)
test_of(test_no_truncate, UNIT_TRUNCATE)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_write),
        cmocka_unit_test(test_no_read),
        cmocka_unit_test(test_no_sync),
        cmocka_unit_test(test_locked),
        cmocka_unit_test(test_no_truncate)
    };

    return cmocka_run_group_tests_name("sqlite_faults", tests, unit_faults,
                                       NULL);
}

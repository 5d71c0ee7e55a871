/* Jobs of the housekeeping that fail, and processes that hang in them. */

#include "unit_check.h"

#include <ngx_lyftr_sqlite_jobs.h>


/* rows for segments of two levels, and for parts of the search index */
#define TEST_ROWS    (NGX_LYFTR_FANOUT * NGX_LYFTR_SEGMENT)


static ngx_lyftr_backend_job_t  jobs[NGX_LYFTR_JOBS_MAX];

/* what the step of a job comes to, or NGX_LYFTR_ERR_NONE; and its calls */
static ngx_lyftr_err_e          fails[NGX_LYFTR_JOBS];
static ngx_uint_t               calls[NGX_LYFTR_JOBS];


static ngx_uint_t
test_fails(ngx_uint_t n, ngx_lyftr_error_t *e)
{
    calls[n]++;

    if (fails[n]) {
        (void) ngx_lyftr_sqlite_fail(e, fails[n], "played by a test");
    }

    return fails[n] != NGX_LYFTR_ERR_NONE;
}


#define test_wrap(job, f, params, args)                                       \
    ngx_int_t __real_##f params;                                              \
    ngx_int_t __wrap_##f params;                                              \
                                                                              \
    ngx_int_t                                                                 \
    __wrap_##f params                                                         \
    {                                                                         \
        return test_fails(job, e) ? NGX_ERROR : __real_##f args;              \
    }

test_wrap(NGX_LYFTR_JOB_CHECKPOINT, ngx_lyftr_sqlite_checkpoint,
          (ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_t *guard,
           ngx_msec_t deadline, ngx_lyftr_error_t *e),
          (c, guard, deadline, e))

test_wrap(NGX_LYFTR_JOB_FLUSH, ngx_lyftr_sqlite_flush,
          (ngx_lyftr_sqlite_t *c, ngx_lyftr_compaction_t *job, int64_t first,
           int64_t last, ngx_msec_t deadline, ngx_lyftr_error_t *e),
          (c, job, first, last, deadline, e))

test_wrap(NGX_LYFTR_JOB_COUNT, ngx_lyftr_count_begin,
          (ngx_lyftr_sqlite_t *c, ngx_lyftr_count_t *count, int64_t to,
           ngx_msec_t deadline, ngx_lyftr_error_t *e),
          (c, count, to, deadline, e))

test_wrap(NGX_LYFTR_JOB_LEAVE, ngx_lyftr_keep_look,
          (ngx_lyftr_sqlite_t *c, ngx_lyftr_keep_t *keep,
           ngx_msec_t deadline, ngx_lyftr_error_t *e),
          (c, keep, deadline, e))

test_wrap(NGX_LYFTR_JOB_CLEAR, ngx_lyftr_clear_step,
          (ngx_lyftr_sqlite_t *c, ngx_msec_t deadline, ngx_lyftr_error_t *e),
          (c, deadline, e))

test_wrap(NGX_LYFTR_JOB_SWEEP, ngx_lyftr_job_sweep,
          (ngx_lyftr_sqlite_t *c, ngx_msec_t deadline, ngx_lyftr_error_t *e),
          (c, deadline, e))

test_wrap(NGX_LYFTR_JOB_MERGE, ngx_lyftr_sqlite_merge,
          (ngx_lyftr_sqlite_t *c, ngx_lyftr_compaction_t *job,
           ngx_lyftr_segment_t *from, ngx_uint_t n, ngx_lyftr_leave_t *leave,
           ngx_msec_t deadline, ngx_lyftr_error_t *e),
          (c, job, from, n, leave, deadline, e))

test_wrap(NGX_LYFTR_JOB_ADOPT, ngx_lyftr_sqlite_adopt_step,
          (ngx_lyftr_sqlite_t *c, ngx_msec_t deadline, ngx_lyftr_error_t *e),
          (c, deadline, e))

test_wrap(NGX_LYFTR_JOB_REBUILD, ngx_lyftr_rebuild_step,
          (ngx_lyftr_sqlite_t *c, ngx_msec_t deadline, ngx_lyftr_error_t *e),
          (c, deadline, e))

test_wrap(NGX_LYFTR_JOB_SEARCH, ngx_lyftr_sqlite_parts_step,
          (ngx_lyftr_sqlite_t *c, ngx_lyftr_search_add_t *grow,
           int64_t *limit, ngx_msec_t deadline, ngx_lyftr_error_t *e),
          (c, grow, limit, deadline, e))

test_wrap(NGX_LYFTR_JOB_ERASE, ngx_lyftr_job_erase,
          (ngx_lyftr_sqlite_t *c, ngx_msec_t deadline, ngx_lyftr_error_t *e),
          (c, deadline, e))


static int
test_setup(void **state)
{
    if (unit_setup(state) != 0) {
        return -1;
    }

    ngx_memzero((void *) words, sizeof(words));
    ngx_memzero((void *) jobs, sizeof(jobs));
    ngx_memzero(fails, sizeof(fails));
    ngx_memzero(calls, sizeof(calls));

    dsn.common.words = words;
    dsn.common.jobs = jobs;
    dsn.search = 1;

    return 0;
}


/* the pauses of jobs that failed, and of rows, are over, or all have begun */

static void
test_later(ngx_lyftr_sqlite_t *c, ngx_uint_t over)
{
    ngx_uint_t  n;
    ngx_msec_t  now;

    now = ngx_lyftr_clock();

    if (c->jobs == NULL) {
        return;
    }

    for (n = 0; n < NGX_LYFTR_JOBS; n++) {
        c->jobs->tries[n].at = over ? now - 1 : now + 100000;
    }

    c->jobs->failed = over ? now - NGX_LYFTR_JOBS_APART : now;
    c->jobs->steps.since = now - 1000;
}


/* until there is nothing to do; what failed is tried again, or not */

static void
test_turns(void *conn, ngx_uint_t over)
{
    ngx_uint_t  i;

    for (i = 0; i < 10000; i++) {
        test_later(conn, over);

        if (b->housekeep(conn, unit_in(4000), &err) == NGX_DONE) {
            return;
        }
    }

    fail_msg("the jobs do not end");
}


static void
test_cured(ngx_lyftr_sqlite_t *c)
{
    ngx_memzero(fails, sizeof(fails));

    test_turns(c, 1);

    assert_int_equal(c->state.counted, c->index.last);
    assert_true(c->index.last - c->state.indexed < NGX_LYFTR_SEGMENT);
    assert_true(c->index.last - c->searched < NGX_LYFTR_SEARCH_PART);
    assert_int_equal(unit_strays(), 0);
}


/* one of the jobs fails, and all others go on; then it does not any more */

static void
test_alone_job(ngx_uint_t n)
{
    ngx_uint_t           i;
    ngx_lyftr_sqlite_t  *c, *keeper;

    seed = n;
    fails[n] = (n & 1) ? NGX_LYFTR_ERR_CORRUPT : NGX_LYFTR_ERR_FAILED;

    c = unit_open();
    keeper = unit_open();

    (void) b->housekeep(keeper, unit_in(4000), &err);
    keeper->jobs->steps.pages = -10000000;

    for (i = 0; i < 4; i++) {
        unit_model_add(c, TEST_ROWS / 4 + 10);
        test_turns(keeper, 0);
        unit_check(c, 3, 1);
    }

    /* it fails once, and is left alone for now */

    assert_int_equal(calls[n], 1);

    for (i = 0; i < NGX_LYFTR_JOBS; i++) {
        assert_int_equal(jobs[i].failures, i == n);
        assert_int_equal(jobs[i].failing, i == n ? fails[n] : 0);
        assert_true(i == n || calls[i] > 0 || i == NGX_LYFTR_JOB_MERGE);
    }

    assert_string_equal((char *) jobs[n].reason, "played by a test");

    if (n != NGX_LYFTR_JOB_FLUSH) {
        assert_true(keeper->index.last - keeper->state.indexed
                    < NGX_LYFTR_SEGMENT);
        assert_true(n == NGX_LYFTR_JOB_MERGE || calls[NGX_LYFTR_JOB_MERGE]);
    }

    assert_true(n == NGX_LYFTR_JOB_COUNT
                || keeper->state.counted == keeper->index.last);
    assert_true(n == NGX_LYFTR_JOB_SEARCH
                || keeper->index.last - keeper->searched
                   < NGX_LYFTR_SEARCH_PART);
    assert_true(n == NGX_LYFTR_JOB_SWEEP || unit_strays() == 0);

    test_cured(keeper);

    for (i = 0; i < NGX_LYFTR_JOBS; i++) {
        assert_int_equal(jobs[i].failures, i == n);
        assert_int_equal(jobs[i].failing, 0);
    }

    unit_model_add(c, 10);
    unit_model_known(c);
    unit_check(c, 10, 1);

    b->close(c);
    b->close(keeper);
}


static void
test_alone(void **state)
{
    ngx_uint_t  n;

    for (n = 0; n < NGX_LYFTR_JOBS; n++) {

        if (n) {
            assert_int_equal(unit_teardown_model(state), 0);
            assert_int_equal(test_setup(state), 0);
        }

        test_alone_job(n);
    }
}


/* it is told by its name, and tried again later and later */

static void
test_again(void **state)
{
    ngx_uint_t               i;
    ngx_msec_t               wait;
    ngx_lyftr_sqlite_t      *c;
    ngx_lyftr_job_try_t     *try;

    c = unit_open();
    unit_model_add(c, 10);

    fails[NGX_LYFTR_JOB_COUNT] = NGX_LYFTR_ERR_FULL;

    while (unit_housekeep(c) == NGX_OK) { /* void */ }

    try = &c->jobs->tries[NGX_LYFTR_JOB_COUNT];

    for (i = 1; i < 10; i++) {
        test_later(c, 1);

        assert_int_equal(b->housekeep(c, unit_in(4000), &err), NGX_OK);
        assert_int_equal(err.code, NGX_LYFTR_ERR_FULL);
        assert_int_equal(err.len, sizeof("count: played by a test") - 1);
        assert_memory_equal(err.text, "count: played by a test", err.len);

        wait = try->at - c->jobs->failed;

        assert_int_equal(wait, 5000 * ngx_min(1 << (i - 1), 12));
        assert_int_equal(jobs[NGX_LYFTR_JOB_COUNT].failures, i);

        assert_int_equal(unit_housekeep(c), NGX_DONE);
        assert_int_equal(calls[NGX_LYFTR_JOB_COUNT], i);

        /* its time has come, but another one has failed just now */

        try->at = ngx_lyftr_clock() - 1;
        assert_int_equal(unit_housekeep(c), NGX_DONE);
        assert_int_equal(calls[NGX_LYFTR_JOB_COUNT], i);
    }

    /* what is locked is no failure */

    fails[NGX_LYFTR_JOB_COUNT] = NGX_LYFTR_ERR_BUSY;
    test_later(c, 1);
    assert_int_equal(unit_housekeep(c), NGX_BUSY);
    assert_int_equal(jobs[NGX_LYFTR_JOB_COUNT].failures, 9);

    test_cured(c);

    b->close(c);
}


/*
 * No segment can be made: messages are taken up to the limit, then refused with
 * the reason, and reads give all of them, also to who opens the store then.
 */

static void
test_stuck(void **state)
{
    void                *c, *r;
    ngx_int_t            rc;
    ngx_uint_t           i;
    ngx_lyftr_sqlite_t  *keeper;

    seed = 5;
    fails[NGX_LYFTR_JOB_FLUSH] = NGX_LYFTR_ERR_CORRUPT;

    c = unit_open();
    keeper = unit_open();

    while (nmodel <= NGX_LYFTR_MOST) {
        unit_model_add(c, 50);
        test_turns(keeper, 0);
    }

    for (i = 0; i < 2; i++) {
        rc = b->turn(c, unit_in(100), &err);

        assert_int_equal(rc, NGX_DECLINED);
        assert_int_equal(err.code, NGX_LYFTR_ERR_STUCK);
        assert_non_null(strstr((char *) err.text,
                               "rows have no index yet, flush fails: played"));

        assert_int_equal(b->probe(c, 1, &err), NGX_ERROR);
        assert_int_equal(err.code, NGX_LYFTR_ERR_STUCK);

        r = unit_open();
        unit_check(r, 10, 1);
        b->close(r);

        if (i == 0) {
            b->close(c);
            b->close(keeper);
            unit_forget();

            keeper = unit_open();
            c = unit_open();

            (void) b->housekeep(keeper, unit_in(4000), &err);
            assert_int_equal(err.code, NGX_LYFTR_ERR_CORRUPT);
            test_turns(keeper, 0);
        }
    }

    test_cured(keeper);

    assert_int_equal(b->probe(c, 1, &err), NGX_OK);
    unit_model_add(c, 10);
    unit_model_known(c);
    unit_check(c, 10, 1);

    b->close(c);
    b->close(keeper);
}


/*
 * The process that does the jobs hangs, after each of its steps; another one
 * takes its place, and the first one goes on then.
 */

static void
test_hangs(void **state)
{
    ngx_uint_t           i, step;
    ngx_atomic_t         beat;
    ngx_lyftr_sqlite_t  *c, *first, *second, *spare;

    seed = 6;

    c = unit_open();
    first = unit_open();
    second = unit_open();

    for (step = 0; step < 60; step++) {
        unit_model_add(c, 30);

        for (i = 0; i <= step % 20; i++) {
            test_later(first, 1);
            assert_int_not_equal(unit_housekeep(first), NGX_DECLINED);
        }

        /* as long as it beats nobody does */

        assert_int_equal(unit_housekeep(second), NGX_DECLINED);

        beat = words[NGX_LYFTR_WORD_BEAT];
        words[NGX_LYFTR_WORD_BEAT] = beat - NGX_LYFTR_LEASE + 1000;
        assert_int_equal(unit_housekeep(second), NGX_DECLINED);

        words[NGX_LYFTR_WORD_BEAT] = beat - NGX_LYFTR_LEASE - 1;

        if (step % 3) {
            test_turns(second, 0);
            assert_int_equal(unit_strays(), 0);

        } else {
            assert_int_not_equal(unit_housekeep(second), NGX_DECLINED);
        }

        /* it leaves all to the other, who has its lock then */

        for (i = 0; i < 3; i++) {
            assert_int_equal(unit_housekeep(first), NGX_DECLINED);
            assert_false(first->lease.owner);
            assert_int_not_equal(unit_housekeep(second), NGX_DECLINED);
        }

        test_turns(second, 0);
        assert_true(second->lease.locked);
        assert_int_equal(unit_strays(), 0);

        spare = first;
        first = second;
        second = spare;
    }

    unit_model_known(c);
    unit_check(c, 20, 1);

    b->close(first);
    assert_int_not_equal(unit_housekeep(second), NGX_DECLINED);

    test_turns(second, 0);
    unit_check(c, 20, 1);

    b->close(second);
    b->close(c);
}


/*
 * The file, in hundredths of the pages that hold something that lives: blocks
 * that are dead, or of what is being made, do not.
 */

static int64_t
test_file(void)
{
    return unit_sql_int(
        "SELECT 100 * page_count * page_size / ((page_count - freelist_count)"
        " * page_size"
        " - (SELECT total(length(data)) FROM lyftr_block"
        "    WHERE no >> 36 NOT IN (SELECT id FROM lyftr_segment))"
        " - (SELECT total(length(data)) FROM lyftr_gram"
        "    WHERE no >> 40 NOT IN (SELECT id FROM lyftr_search"
        "                           WHERE level >= 0)))"
        " FROM pragma_page_count, pragma_page_size, pragma_freelist_count");
}


/* the largest that it is, while the jobs run and at rest */

static void
test_size(ngx_uint_t share, ngx_uint_t search, int64_t *busy, int64_t *rest)
{
    ngx_int_t            rc;
    ngx_uint_t           turns;
    ngx_lyftr_sqlite_t  *c, *keeper;

    seed = 7;
    *busy = 100;
    *rest = 100;
    dsn.search = search;

    c = unit_open();
    keeper = unit_open();

    (void) b->housekeep(keeper, unit_in(4000), &err);
    keeper->jobs->steps.share = share;

    for (turns = 0; nmodel + 400 <= UNIT_ROWS; /* void */ ) {
        unit_model_add(c, 1 + rand_r(&seed) % 400);

        do {
            test_later(keeper, 0);
            rc = b->housekeep(keeper, unit_in(4000), &err);

            if (nmodel > 27 * NGX_LYFTR_SEGMENT && turns++ % 3 == 0) {
                *busy = ngx_max(*busy, test_file());
            }
        } while (rc == NGX_OK);

        assert_int_equal(rc, NGX_DONE);

        if (nmodel > 27 * NGX_LYFTR_SEGMENT) {
            *rest = ngx_max(*rest, test_file());
        }
    }

    assert_true(calls[NGX_LYFTR_JOB_MERGE] > 10);

    b->close(c);
    b->close(keeper);
}


/* blocks that are dead go before more die, and few die at once */

static void
test_space(void **state)
{
    int64_t     busy, rest;
    ngx_uint_t  search;

    for (search = 0; search < 2; search++) {
        test_size(3, search, &busy, &rest);

        if (busy > 160 || rest > 125) {
            fail_msg("the file is %d %% of what is in it, %d %% at rest",
                     (int) busy, (int) rest);
        }

        assert_int_equal(unit_strays(), 0);

        assert_int_equal(unit_teardown_model(state), 0);
        assert_int_equal(test_setup(state), 0);
    }

    /* without a limit it is more, and much more if what is dead stays */

    test_size(1, 0, &busy, &rest);
    assert_true(rest > 125);

    assert_int_equal(unit_teardown_model(state), 0);
    assert_int_equal(test_setup(state), 0);

    fails[NGX_LYFTR_JOB_SWEEP] = NGX_LYFTR_ERR_FAILED;

    test_size(3, 0, &busy, &rest);
    assert_true(busy > 150);
}


int
main(void)
{
#define test_fresh(f)                                                         \
    cmocka_unit_test_setup_teardown(f, test_setup, unit_teardown_model)

    const struct CMUnitTest  tests[] = {
        test_fresh(test_alone),
        test_fresh(test_again),
        test_fresh(test_stuck),
        test_fresh(test_hangs),
        test_fresh(test_space)
    };

    return cmocka_run_group_tests_name("sqlite_jobs", tests, NULL, NULL);
}

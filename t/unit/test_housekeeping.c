/* What no request asks for, of a backend that plays what it is told to. */

#include "unit_lane.h"


/* a pause begins when the work ends, and is as long as there is time */

static void
test_pause(void **state)
{
    ngx_uint_t      i;
    ngx_msec_int_t  left;

    static struct {
        ngx_int_t        rc;
        ngx_lyftr_err_e  err;
        ngx_msec_int_t   min;
        ngx_msec_int_t   max;
        ngx_uint_t       told;
        ngx_uint_t       closed;
    } tests[] = {
        { NGX_DONE, NGX_LYFTR_ERR_NONE, 20, 50, 0, 0 },
        { NGX_DONE, NGX_LYFTR_ERR_FAILED, 20, 50, 1, 0 },
        { NGX_BUSY, NGX_LYFTR_ERR_BUSY, 800, 1000, 0, 0 },
        { NGX_DECLINED, NGX_LYFTR_ERR_NONE, 800, 1000, 0, 0 },
        { NGX_ERROR, NGX_LYFTR_ERR_BUSY, 800, 1000, 0, 1 },
        { NGX_ERROR, NGX_LYFTR_ERR_CORRUPT, 4800, 5000, 1, 1 }
    };

    ngx_queue_init(&channel.pending);
    channel.type = NGX_LYFTR_CHANNEL_JOBS;
    busy_msec = 300;

    for (i = 0; i < unit_count(tests); i++) {
        housekeep_rc = tests[i].rc;
        housekeep_err = tests[i].err;

        test_thread();

        left = (ngx_msec_int_t) (lane.at - ngx_lyftr_clock());

        assert_int_equal(lane.due, 1);
        assert_in_range(left, tests[i].min, tests[i].max);
        assert_int_equal(lane.seat->conn == NULL, tests[i].closed);
        assert_int_equal(lane.job_err.code,
                         tests[i].told ? tests[i].err : NGX_LYFTR_ERR_NONE);
    }
}


/* what is done goes on, but not without end, and without a pause after it */

static void
test_spell(void **state)
{
    ngx_msec_t  start;

    ngx_queue_init(&channel.pending);
    channel.type = NGX_LYFTR_CHANNEL_JOBS;
    busy_msec = 10;
    housekeep_rc = NGX_OK;
    housekeep_err = NGX_LYFTR_ERR_NONE;

    start = ngx_lyftr_clock();
    test_thread();

    assert_in_range(ngx_lyftr_clock() - start, 100, 1000);
    assert_in_range(nhousekeep, 2, 10);
    assert_int_equal(lane.due, 1);
    assert_true((ngx_msec_int_t) (lane.at - ngx_lyftr_clock()) <= 0);

    /* what nobody has opened is set up by it, and not by the check */

    status.opened = 0;
    seat.conn = NULL;
    channel.type = NGX_LYFTR_CHANNEL_CHECK;
    test_thread();
    assert_null(seat.conn);
    assert_int_equal(status.opened, 0);

    channel.type = NGX_LYFTR_CHANNEL_JOBS;
    test_thread();
    assert_non_null(seat.conn);
    assert_int_equal(status.opened, store.dsn_hash);
}


/* while it adopts a store, nobody else has it; one that is refused, once */

static void
test_adopting(void **state)
{
    ngx_uint_t  i;

    ngx_queue_init(&channel.pending);
    channel.type = NGX_LYFTR_CHANNEL_JOBS;
    status.opened = 0;
    adopted = 30;
    housekeep_rc = NGX_DONE;
    housekeep_err = NGX_LYFTR_ERR_NONE;

    ngx_worker = 1;
    test_thread();
    assert_null(seat.conn);

    ngx_worker = 0;
    test_thread();
    assert_int_equal(status.opened, 0);
    assert_int_equal(status.adopted, 31);
    assert_int_equal(open_flags, NGX_LYFTR_OPEN_JOBS
                                 |NGX_LYFTR_OPEN_CREATE);

    /* another process has it locked: told once, and tried again soon */

    housekeep_rc = NGX_BUSY;
    housekeep_err = NGX_LYFTR_ERR_BUSY;

    for (i = 0; i < 3; i++) {
        test_thread();
        assert_int_equal(status.refused, NGX_LYFTR_ERR_BUSY);
        assert_int_equal(lane.job_err.code, i ? NGX_LYFTR_ERR_NONE
                                             : NGX_LYFTR_ERR_BUSY);
        assert_in_range(lane.at - ngx_lyftr_clock(), 500, 1000);
    }

    housekeep_rc = NGX_OK;
    housekeep_err = NGX_LYFTR_ERR_NONE;
    busy_msec = 200;
    test_thread();
    assert_int_equal(status.refused, NGX_LYFTR_ERR_NONE);
    busy_msec = 0;

    ngx_lyftr_lane_close(&lane);
    open_err = NGX_LYFTR_ERR_BUSY;
    test_thread();
    assert_int_equal(status.refused, NGX_LYFTR_ERR_BUSY);
    assert_in_range(lane.at - ngx_lyftr_clock(), 500, 1000);
    open_err = NGX_LYFTR_ERR_NONE;

    housekeep_rc = NGX_ERROR;
    housekeep_err = NGX_LYFTR_ERR_CORRUPT;

    for (i = 0; i < 3; i++) {
        test_thread();
        assert_int_equal(status.refused, NGX_LYFTR_ERR_CORRUPT);
        assert_int_equal(lane.job_err.code, i ? NGX_LYFTR_ERR_NONE
                                             : NGX_LYFTR_ERR_CORRUPT);
        assert_in_range(lane.at - ngx_lyftr_clock(), 50000, 60000);
    }

    /* what it came to is told, and is no failure */

    adopted = -1;
    housekeep_rc = NGX_AGAIN;
    housekeep_err = NGX_LYFTR_ERR_DATA;

    test_thread();
    assert_int_equal(lane.news, 1);
    assert_int_equal(lane.job_err.code, NGX_LYFTR_ERR_DATA);
    assert_non_null(seat.conn);
    assert_int_equal(status.opened, store.dsn_hash);
    assert_int_equal(status.adopted, 0);

    housekeep_rc = NGX_DONE;
    housekeep_err = NGX_LYFTR_ERR_NONE;
    test_thread();
    assert_int_equal(lane.news, 0);
    assert_int_equal(lane.job_err.code, NGX_LYFTR_ERR_NONE);
}


/* who does the housekeeping does the check, and nobody else */

static void
test_keeper(void **state)
{
    ngx_uint_t  i;

    static struct {
        ngx_int_t   rc;
        ngx_uint_t  keeper;
    } tests[] = {
        { NGX_DONE, 1 },
        { NGX_BUSY, 1 },
        { NGX_DECLINED, 0 },
        { NGX_BUSY, 0 },
        { NGX_OK, 1 },
        { NGX_ERROR, 0 }
    };

    ngx_queue_init(&channel.pending);

    for (i = 0; i < unit_count(tests); i++) {
        channel.type = NGX_LYFTR_CHANNEL_JOBS;
        housekeep_rc = tests[i].rc;
        housekeep_err = NGX_LYFTR_ERR_NONE;
        test_thread();

        channel.type = NGX_LYFTR_CHANNEL_CHECK;
        ncheck = 0;
        test_thread();

        assert_int_equal(ncheck, tests[i].keeper);
        assert_int_equal(lane.due, 1);
        assert_int_equal(seat.conn != NULL, tests[i].keeper);
    }
}


/*
 * The store's condition is that of the last probe, of whatever process: after a
 * failure it writes, and that is a proof.
 */

static void
test_probed(void **state)
{
    ngx_uint_t   i;
    ngx_atomic_t locked;

    static struct {
        ngx_int_t        housekeep;
        ngx_int_t        rc;
        ngx_lyftr_err_e  err;
        ngx_lyftr_err_e  known;
        ngx_uint_t       asked;
        ngx_uint_t       closed;
    } tests[] = {
        { NGX_DONE, NGX_OK, NGX_LYFTR_ERR_NONE, NGX_LYFTR_ERR_NONE, 1, 0 },
        { NGX_DECLINED, NGX_OK, NGX_LYFTR_ERR_NONE, NGX_LYFTR_ERR_NONE, 1, 0 },
        { NGX_DONE, NGX_ERROR, NGX_LYFTR_ERR_STUCK, NGX_LYFTR_ERR_STUCK, 1, 0 },
        { NGX_BUSY, NGX_OK, NGX_LYFTR_ERR_NONE, NGX_LYFTR_ERR_NONE, 1, 0 },
        { NGX_DONE, NGX_ERROR, NGX_LYFTR_ERR_FULL, NGX_LYFTR_ERR_FULL, 1, 1 },
        { NGX_DONE, NGX_DECLINED, NGX_LYFTR_ERR_NONE, NGX_LYFTR_ERR_FULL, 1,
          0 },
        { NGX_ERROR, NGX_OK, NGX_LYFTR_ERR_MOVED, NGX_LYFTR_ERR_MOVED, 0, 1 },
        { NGX_OK, NGX_OK, NGX_LYFTR_ERR_NONE, NGX_LYFTR_ERR_NONE, 1, 0 }
    };

    ngx_queue_init(&channel.pending);
    channel.type = NGX_LYFTR_CHANNEL_JOBS;

    for (i = 0; i < unit_count(tests); i++) {
        housekeep_rc = tests[i].housekeep;
        housekeep_err = housekeep_rc == NGX_ERROR ? tests[i].err
                                                : NGX_LYFTR_ERR_NONE;
        probe_rc = tests[i].rc;
        probe_err = tests[i].err;
        nprobes = 0;

        status.error = NGX_LYFTR_ERR_BUSY;
        status.locked = locked = 7;
        status.probed = ngx_lyftr_clock() - 1000;

        test_thread();

        assert_int_equal(nprobes, tests[i].asked);
        assert_int_equal(status.probe, tests[i].known);
        assert_int_equal(seat.conn == NULL, tests[i].closed);

        if (tests[i].rc == NGX_OK && tests[i].asked) {
            assert_int_equal(probe_write, 1);
            assert_int_equal(status.error, NGX_LYFTR_ERR_NONE);
            assert_int_equal(status.locked, 0);

        } else {
            assert_int_equal(status.error, NGX_LYFTR_ERR_BUSY);
            assert_int_equal(status.locked, locked);
        }

        /* not again within a second, of whatever process */

        status.probed = ngx_lyftr_clock();
        nprobes = 0;
        test_thread();
        assert_int_equal(nprobes, 0);
    }

    /* of what is sound, it does not write */

    status.probed = 0;
    test_thread();
    assert_int_equal(nprobes, 1);
    assert_int_equal(probe_write, 0);

    /* a lock that it meets is taken down, once */

    probe_rc = NGX_DECLINED;
    status.probed = 0;
    test_thread();
    assert_true(status.locked != 0);

    /* a store that nobody can open yet is left alone */

    adopted = 30;
    status.opened = 0;
    status.probed = 0;
    nprobes = 0;
    test_thread();
    assert_int_equal(nprobes, 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup(test_pause, test_setup),
        cmocka_unit_test_setup(test_spell, test_setup),
        cmocka_unit_test_setup(test_adopting, test_setup),
        cmocka_unit_test_setup(test_keeper, test_setup),
        cmocka_unit_test_setup(test_probed, test_setup)
    };

    return cmocka_run_group_tests_name("housekeeping", tests, NULL, NULL);
}

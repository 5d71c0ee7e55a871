/* A lane against a backend that plays what it is told to. */

#include "unit_lane.h"


/* one message that the store cannot hold fails alone */

static void
test_singly(void **state)
{
    ops[1].data = &ops;

    test_thread();

    assert_int_equal(stored, 3);
    assert_int_equal(ops[0].rc, NGX_OK);
    assert_int_equal(ops[1].rc, NGX_ERROR);
    assert_int_equal(ops[1].error, NGX_LYFTR_ERR_DATA);
    assert_int_equal(ops[2].rc, NGX_OK);
    assert_int_equal(ops[3].rc, NGX_OK);
    assert_int_equal(lane.commits, 3);
    assert_int_equal(lane.failed, 1);
}


/* those that find the store locked, or its log full, meanwhile have failed */

static void
test_singly_declined(void **state)
{
    ngx_uint_t  i, ok;

    for (begin_at = 2; begin_at <= TEST_OPS + 1; begin_at++) {

        i = begin_at;
        (void) test_setup(NULL);
        begin_at = i;

        declined = (i & 1) ? NGX_LYFTR_ERR_BUSY : NGX_LYFTR_ERR_LOG;
        ops[3].data = &ops;

        test_thread();

        ok = 0;

        for (i = 0; i < TEST_OPS; i++) {
            ok += (ops[i].rc != NGX_ERROR);
        }

        assert_int_equal(ok, stored);
        assert_int_equal(stored, begin_at - 2);
        assert_int_equal(ops[TEST_OPS - 1].error, declined);
        assert_int_equal(lane.commits, stored);
        assert_int_equal(lane.failed, TEST_OPS - stored);
    }
}


/* nobody is left when it is the batch's turn: the turn is given back */

static void
test_none_left(void **state)
{
    expires = 1;

    test_thread();

    assert_int_equal(nbegin, 1);
    assert_int_equal(lane.n, 0);
    assert_int_equal(begun, 0);
    assert_non_null(seat.conn);
}


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
        { NGX_DECLINED, NGX_LYFTR_ERR_BUSY, 800, 1000, 0, 0 },
        { NGX_ERROR, NGX_LYFTR_ERR_BUSY, 4800, 5000, 0, 1 },
        { NGX_ERROR, NGX_LYFTR_ERR_CORRUPT, 4800, 5000, 1, 1 }
    };

    ngx_queue_init(&channel.pending);
    channel.type = NGX_LYFTR_CHANNEL_UPKEEP;
    busy_msec = 300;

    for (i = 0; i < unit_count(tests); i++) {
        maintain_rc = tests[i].rc;
        maintain_err = tests[i].err;

        test_thread();

        left = (ngx_msec_int_t) (lane.at - ngx_lyftr_clock());

        assert_int_equal(lane.due, 1);
        assert_in_range(left, tests[i].min, tests[i].max);
        assert_int_equal(lane.seat->conn == NULL, tests[i].closed);
        assert_int_equal(lane.upkeep.code,
                         tests[i].told ? tests[i].err : NGX_LYFTR_ERR_NONE);
    }
}


/* what is done goes on, but not without end, and without a pause after it */

static void
test_spell(void **state)
{
    ngx_msec_t  start;

    ngx_queue_init(&channel.pending);
    channel.type = NGX_LYFTR_CHANNEL_UPKEEP;
    busy_msec = 10;
    maintain_rc = NGX_OK;

    start = ngx_lyftr_clock();
    test_thread();

    assert_in_range(ngx_lyftr_clock() - start, 100, 1000);
    assert_in_range(nmaintain, 2, 10);
    assert_int_equal(lane.due, 1);
    assert_true((ngx_msec_int_t) (lane.at - ngx_lyftr_clock()) <= 0);

    /* what nobody has opened is left alone */

    status.opened = 0;
    nmaintain = 0;
    test_thread();
    assert_int_equal(nmaintain, 0);
}


/* after a write that went wrong, but not after one that was refused */

static void
test_open_failed(void **state)
{
    ngx_uint_t  i;

    static struct {
        ngx_lyftr_err_e  err;
        ngx_uint_t       failed;
    } tests[] = {
        { NGX_LYFTR_ERR_NONE, 0 },
        { NGX_LYFTR_ERR_LOG, 0 },
        { NGX_LYFTR_ERR_FULL, NGX_LYFTR_OPEN_FAILED },
        { NGX_LYFTR_ERR_FAILED, NGX_LYFTR_OPEN_FAILED }
    };

    for (i = 0; i < unit_count(tests); i++) {
        (void) test_setup(NULL);
        status.error = tests[i].err;
        test_thread();
        assert_int_equal(open_flags & NGX_LYFTR_OPEN_FAILED, tests[i].failed);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup(test_singly, test_setup),
        cmocka_unit_test_setup(test_singly_declined, test_setup),
        cmocka_unit_test_setup(test_none_left, test_setup),
        cmocka_unit_test_setup(test_pause, test_setup),
        cmocka_unit_test_setup(test_spell, test_setup),
        cmocka_unit_test_setup(test_open_failed, test_setup)
    };

    return cmocka_run_group_tests_name("lane", tests, NULL, NULL);
}

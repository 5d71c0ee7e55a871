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
        cmocka_unit_test_setup(test_open_failed, test_setup)
    };

    return cmocka_run_group_tests_name("lane", tests, NULL, NULL);
}

/* When the check reads a part, and what comes of damage. */

#include "unit_lane.h"


/* a part of the check, as the event loop has it done; msec until the next */

static ngx_msec_int_t
test_part(ngx_int_t rc)
{
    channel.type = NGX_LYFTR_CHANNEL_CHECK;
    check_rc = rc;

    test_thread();
    ngx_lyftr_status_report(&lane);

    assert_int_equal(lane.due, 1);

    return (ngx_msec_int_t) (lane.at - ngx_lyftr_clock());
}


/* what a request has met */

static void
test_met(void)
{
    ngx_lyftr_lane_t  reader;

    ngx_memzero(&reader, sizeof(reader));

    reader.channel = &channel;
    channel.type = NGX_LYFTR_CHANNEL_READ;
    reader.err.code = NGX_LYFTR_ERR_CORRUPT;

    ngx_lyftr_status_report(&reader);
    assert_int_equal(status.damaged, NGX_LYFTR_DAMAGED);
}


/* the pause after a part is that of its bytes, however long it took */

static void
test_pause(void **state)
{
    check_out.read = 500 * 1024;
    check_out.size = 10 << 20;
    busy_msec = 200;
    assert_in_range(test_part(NGX_OK), 400, 500);

    busy_msec = 0;
    check_out.read = 0;
    assert_in_range(test_part(NGX_OK), 1, 10);

    /* so large a store that it is to be read faster, in the time there is */

    check_out.read = 1000000;
    check_out.size = (off_t) store.check * 10000;
    assert_in_range(test_part(NGX_OK), 50, 100);

    /* what changes while it is read, and what may be damaged */

    check_out.size = 0;
    check_out.again = 1;
    assert_in_range(test_part(NGX_OK), 1, 10);

    check_out.again = 0;
    assert_in_range(test_part(NGX_OK), 800, 1000);
    test_met();
    assert_in_range(test_part(NGX_OK), 1, 10);
}


/* a pass is not begun before its time, and not if nothing has changed */

static void
test_due(void **state)
{
    check_out.read = 64 * 100 * 1000;

    (void) test_part(NGX_OK);
    assert_int_equal(ncheck, 1);
    assert_int_equal(check_begin, 0);

    (void) test_part(NGX_DONE);
    assert_int_equal(ncheck, 2);
    assert_int_equal(lane.read, 1);
    assert_in_range(status.checked - lane.began, 199990, 200010);

    (void) test_part(NGX_OK);
    assert_int_equal(ncheck, 2);
    assert_int_equal(lane.read, 0);

    /* at its time the store is asked, and says that nothing has changed */

    status.checked = ngx_lyftr_clock() | 1;
    status.checked -= 2;
    (void) test_part(NGX_DECLINED);
    assert_int_equal(ncheck, 3);
    assert_int_equal(check_begin, 0);
    (void) test_part(NGX_DECLINED);
    assert_int_equal(ncheck, 4);

    status.checked -= 30 * store.check;
    (void) test_part(NGX_OK);
    assert_int_equal(check_begin, 1);
    (void) test_part(NGX_DONE);

    /* no pass takes longer than that time, nor the pause until the next */

    store.check = 1000;
    status.checked = 0;
    (void) test_part(NGX_OK);
    (void) test_part(NGX_DONE);
    assert_in_range(status.checked - lane.began, 1000, 1001);
}


/* off: only what was found, or what a request has met, is looked for */

static void
test_off(void **state)
{
    store.check = 0;

    assert_in_range(test_part(NGX_DECLINED), 800, 1000);
    assert_int_equal(check_begin, 0);
    assert_int_equal(lane.check.known, 1);

    test_met();
    assert_in_range(test_part(NGX_OK), 1, 10);
    assert_int_equal(check_begin, 1);
    (void) test_part(NGX_DONE);
    assert_int_equal(status.damaged, NGX_LYFTR_SOUND);

    (void) test_part(NGX_DECLINED);
    assert_int_equal(check_begin, 0);

    /* with a time, all are read */

    store.check = 1000;
    status.checked = 0;
    (void) test_part(NGX_OK);
    assert_int_equal(lane.check.known, 0);
}


/* only a whole pass that began after damage was met tells that it is gone */

static void
test_damage(void **state)
{
    (void) test_part(NGX_OK);
    test_met();
    (void) test_part(NGX_OK);
    assert_int_equal(status.damaged, NGX_LYFTR_DAMAGED);
    (void) test_part(NGX_DONE);
    assert_int_equal(status.damaged, NGX_LYFTR_DAMAGED);

    /* the next begins at once, whenever it would be due */

    (void) test_part(NGX_OK);
    assert_int_equal(check_begin, 1);
    assert_int_equal(status.damaged, NGX_LYFTR_RECHECKED);
    (void) test_part(NGX_OK);
    assert_int_equal(status.damaged, NGX_LYFTR_RECHECKED);

    /* it is met once more, and that pass tells nothing either */

    test_met();
    (void) test_part(NGX_DONE);
    assert_int_equal(status.damaged, NGX_LYFTR_DAMAGED);

    (void) test_part(NGX_OK);
    (void) test_part(NGX_DONE);
    assert_int_equal(status.damaged, NGX_LYFTR_SOUND);

    /* a pass that cannot begin now clears nothing */

    test_met();
    (void) test_part(NGX_DECLINED);
    assert_int_not_equal(status.damaged, NGX_LYFTR_SOUND);
}


/* what a pass has found is looked for again, but not all the time */

static void
test_found(void **state)
{
    (void) test_part(NGX_OK);

    check_err = NGX_LYFTR_ERR_CORRUPT;
    (void) test_part(NGX_OK);
    assert_int_equal(status.damaged, NGX_LYFTR_DAMAGED);
    assert_int_equal(lane.check.active, 0);
    assert_int_equal(ncheck, 2);

    check_err = NGX_LYFTR_ERR_NONE;
    (void) test_part(NGX_OK);
    test_met();
    (void) test_part(NGX_OK);
    assert_int_equal(ncheck, 2);
    assert_in_range(lane.again - ngx_lyftr_clock(), 4000, 5001);

    lane.again = ngx_lyftr_clock() | 1;
    lane.again -= 2;
    (void) test_part(NGX_OK);
    assert_int_equal(ncheck, 3);
    assert_int_equal(check_begin, 1);
    (void) test_part(NGX_DONE);
    assert_int_equal(status.damaged, NGX_LYFTR_SOUND);

    /* what was found before nginx was started, in the first part */

    (void) test_setup(NULL);
    check_out.damaged = 1;
    (void) test_part(NGX_OK);
    assert_int_equal(status.damaged, NGX_LYFTR_RECHECKED);
    check_out.damaged = 0;
    (void) test_part(NGX_DONE);
    assert_int_equal(status.damaged, NGX_LYFTR_SOUND);
}


/* a page that cannot be read, and one that makes no sense, are told */

static void
test_failure(void **state)
{
    ngx_uint_t  i;

    static struct {
        ngx_lyftr_err_e  err;
        ngx_uint_t       told;
    } tests[] = {
        { NGX_LYFTR_ERR_NONE, 0 },
        { NGX_LYFTR_ERR_BUSY, 0 },
        { NGX_LYFTR_ERR_TIMEOUT, 0 },
        { NGX_LYFTR_ERR_MOVED, 0 },
        { NGX_LYFTR_ERR_FAILED, 1 },
        { NGX_LYFTR_ERR_CORRUPT, 1 }
    };

    channel.type = NGX_LYFTR_CHANNEL_CHECK;

    for (i = 0; i < unit_count(tests); i++) {
        check_err = tests[i].err;
        lane.again = 0;
        test_thread();
        assert_int_equal(lane.job_err.code,
                         tests[i].told ? tests[i].err : NGX_LYFTR_ERR_NONE);
        assert_int_equal(lane.seat->conn != NULL,
                         check_err == NGX_LYFTR_ERR_NONE);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup(test_pause, test_setup),
        cmocka_unit_test_setup(test_due, test_setup),
        cmocka_unit_test_setup(test_off, test_setup),
        cmocka_unit_test_setup(test_damage, test_setup),
        cmocka_unit_test_setup(test_found, test_setup),
        cmocka_unit_test_setup(test_failure, test_setup)
    };

    return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}

/* A lane against a backend that plays what it is told to. */

#include "unit_lane.h"


static ngx_uint_t
test_count(ngx_lyftr_histogram_t *h)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < NGX_LYFTR_BUCKETS; i++) {
        n += h->bucket[i];
    }

    return n;
}


/* one message that the store cannot hold fails alone */

static void
test_singly(void **state)
{
    messages[1][0].text.data = test_large;

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
        messages[3][0].text.data = test_large;

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


/* an operation of many messages is stored together, or not at all */

static void
test_many(void **state)
{
    ops[1].write.n = TEST_MESSAGES;
    messages[1][0].text.data = test_known;
    messages[1][2].text.data = test_large;
    channel.batch = 100;

    test_thread();

    assert_int_equal(stored, 3);
    assert_int_equal(ops[1].rc, NGX_ERROR);
    assert_int_equal(ops[1].error, NGX_LYFTR_ERR_DATA);
    assert_int_equal(ops[2].rc, NGX_OK);
    assert_int_equal(lane.messages, 3);

    (void) test_setup(NULL);

    ops[1].write.n = TEST_MESSAGES;
    messages[1][1].text.data = test_known;
    channel.batch = TEST_OPS + TEST_MESSAGES - 1;
    channel.npending = channel.batch;

    test_thread();

    assert_int_equal(nwrites, 1);
    assert_int_equal(stored, 5);
    assert_int_equal(ops[1].rc, NGX_OK);
    assert_int_equal(messages[1][0].known, 0);
    assert_int_equal(messages[1][1].known, 1);
    assert_int_equal(channel.npending, 0);

    /* counted are messages, known ones too, but for their skew */

    assert_int_equal(lane.n, TEST_OPS);
    assert_int_equal(lane.commits, 1);
    assert_int_equal(lane.messages, 6);
    assert_int_equal(status.batch.sum, 6);
    assert_int_equal(test_count(&status.batch), 1);
    assert_int_equal(test_count(&status.commit), 1);
    assert_int_equal(test_count(&status.skew), 5);
}


/* a batch has as many messages as it may, and none splits an operation */

static void
test_size(void **state)
{
    ngx_uint_t  i;

    static struct {
        ngx_uint_t  batch;
        ngx_uint_t  n;                         /* of the operations */
        ngx_uint_t  messages;
    } tests[] = {
        { 1, 1, TEST_MESSAGES },
        { TEST_MESSAGES, 1, TEST_MESSAGES },
        { TEST_MESSAGES + 1, 2, TEST_MESSAGES + 1 },
        { TEST_MESSAGES + 2, 2, TEST_MESSAGES + 1 },
        { TEST_MESSAGES + 3, 3, TEST_MESSAGES + 3 },
        { 100, TEST_OPS, TEST_MESSAGES + 4 }
    };

    for (i = 0; i < unit_count(tests); i++) {
        (void) test_setup(NULL);

        ops[0].write.n = TEST_MESSAGES;
        ops[2].write.n = 2;
        channel.npending = TEST_MESSAGES + 4;
        channel.batch = tests[i].batch;

        test_thread();

        assert_int_equal(lane.n, tests[i].n);
        assert_int_equal(stored, tests[i].messages);
        assert_int_equal(nwrites, 1);
        assert_int_equal(channel.npending,
                         TEST_MESSAGES + 4 - tests[i].messages);
    }
}


/* what fails is not what is in it: nothing of it is tried again */

static void
test_failed(void **state)
{
    ngx_uint_t  i;

    messages[1][0].text.data = test_known;
    messages[3][0].text.data = test_fails;

    test_thread();

    assert_int_equal(nbegin, 1);
    assert_int_equal(stored, 0);
    assert_int_equal(lane.commits, 0);
    assert_int_equal(lane.messages, 0);
    assert_int_equal(lane.failed, TEST_OPS);
    assert_null(seat.conn);

    for (i = 0; i < TEST_OPS; i++) {
        assert_int_equal(ops[i].rc, NGX_ERROR);
        assert_int_equal(ops[i].error, NGX_LYFTR_ERR_FAILED);
    }
}


/* what was created has come so late, whether it was stored alone or not */

static void
test_skew(void **state)
{
    ngx_uint_t           i, singly;
    ngx_lyftr_instant_t  epoch;

    ngx_memzero(&epoch, sizeof(epoch));

    for (singly = 0; singly < 2; singly++) {
        (void) test_setup(NULL);

        for (i = 0; i < TEST_OPS; i++) {
            ops[i].arrived = ngx_lyftr_instant_msec(&epoch);
            ops[i].arrived += 1000;
        }

        if (singly) {
            messages[1][0].text.data = test_large;
        }

        test_thread();

        assert_int_equal(status.skew.sum, 1000 * (TEST_OPS - singly));
    }
}


/* all of a batch fails, and nobody uses its connection any more */

static void
test_commit_failed(void **state)
{
    ngx_uint_t  i, n;

    static struct {
        ngx_lyftr_err_e  err;
        ngx_uint_t       closed;
    } tests[] = {
        { NGX_LYFTR_ERR_NONE, 0 },
        { NGX_LYFTR_ERR_FULL, 1 },
        { NGX_LYFTR_ERR_FAILED, 1 }
    };

    for (i = 0; i < unit_count(tests); i++) {
        (void) test_setup(NULL);
        commit_err = tests[i].err;

        test_thread();

        assert_int_equal(begun, 0);
        assert_int_equal(nclosed, tests[i].closed);
        assert_int_equal(seat.conn == NULL, tests[i].closed);
        assert_int_equal(lane.commits, !tests[i].closed);
        assert_int_equal(lane.failed, tests[i].closed ? TEST_OPS : 0);

        for (n = 0; n < TEST_OPS; n++) {
            assert_int_equal(ops[n].rc, tests[i].closed ? NGX_ERROR : NGX_OK);
            assert_int_equal(ops[n].error, tests[i].err);
        }
    }

    /* those that are stored alone, too */

    (void) test_setup(NULL);
    messages[0][0].text.data = test_large;
    commit_err = NGX_LYFTR_ERR_FULL;

    test_thread();

    assert_int_equal(ops[0].error, NGX_LYFTR_ERR_DATA);

    for (n = 1; n < TEST_OPS; n++) {
        assert_int_equal(ops[n].rc, NGX_ERROR);
        assert_int_equal(ops[n].error, NGX_LYFTR_ERR_FULL);
    }

    assert_int_equal(lane.failed, TEST_OPS);
    assert_int_equal(nclosed, 1);
    assert_null(seat.conn);
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


/* a store that was there and is gone does not begin anew */

static void
test_create(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < 4; i++) {
        (void) test_setup(NULL);

        status.opened = (i & 1);
        channel.type = (i & 2) ? NGX_LYFTR_CHANNEL_JOBS
                               : NGX_LYFTR_CHANNEL_WRITE;
        test_thread();

        assert_non_null(seat.conn);
        assert_int_equal(open_flags & NGX_LYFTR_OPEN_CREATE,
                         (i & 1) ? 0 : NGX_LYFTR_OPEN_CREATE);
    }
}


/* others hear that it is being adopted, or why it cannot be */

static void
test_refused(void **state)
{
    open_err = NGX_LYFTR_ERR_ADOPT;
    test_thread();
    assert_int_equal(ops[0].rc, NGX_ERROR);
    assert_int_equal(ops[0].error, NGX_LYFTR_ERR_ADOPT);
    assert_int_equal(lane.failed, TEST_OPS);

    (void) test_setup(NULL);
    open_err = NGX_LYFTR_ERR_ADOPT;
    status.refused = NGX_LYFTR_ERR_CORRUPT;
    test_thread();
    assert_int_equal(ops[0].error, NGX_LYFTR_ERR_CORRUPT);

    /* a lock that the housekeeping waits for keeps nobody waiting */

    (void) test_setup(NULL);
    open_err = NGX_LYFTR_ERR_ADOPT;
    status.refused = NGX_LYFTR_ERR_BUSY;
    test_thread();
    assert_int_equal(ops[0].error, NGX_LYFTR_ERR_ADOPT);
    assert_int_equal(lane.failed, TEST_OPS);
}


/* what the housekeeping has begun to adopt is not even looked at */

static void
test_kept_away(void **state)
{
    open_flags = 77;
    status.adopted = 42;
    status.opened = 0;
    test_thread();
    assert_int_equal(ops[0].error, NGX_LYFTR_ERR_ADOPT);
    assert_int_equal(open_flags, 77);
    assert_true(lane.err.len > 0);

    (void) test_setup(NULL);
    status.adopted = 42;
    status.opened = store.dsn_hash;
    test_thread();
    assert_int_equal(lane.failed, 0);
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
        cmocka_unit_test_setup(test_skew, test_setup),
        cmocka_unit_test_setup(test_commit_failed, test_setup),
        cmocka_unit_test_setup(test_many, test_setup),
        cmocka_unit_test_setup(test_size, test_setup),
        cmocka_unit_test_setup(test_failed, test_setup),
        cmocka_unit_test_setup(test_none_left, test_setup),
        cmocka_unit_test_setup(test_create, test_setup),
        cmocka_unit_test_setup(test_refused, test_setup),
        cmocka_unit_test_setup(test_kept_away, test_setup),
        cmocka_unit_test_setup(test_open_failed, test_setup)
    };

    return cmocka_run_group_tests_name("lane", tests, NULL, NULL);
}

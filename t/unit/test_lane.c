/* A lane against a backend that plays what it is told to. */

#include "unit.h"

#include <ngx_lyftr_channel.h>


#define TEST_OPS   4


static ngx_lyftr_channel_t  channel;
static ngx_lyftr_lane_t     lane;
static ngx_lyftr_seat_t     seat;
static ngx_lyftr_store_t    store;
static ngx_lyftr_status_t   status;
static ngx_lyftr_op_t       ops[TEST_OPS];

/* the begin() that declines, and how the others fare */
static ngx_lyftr_err_e      declined;
static ngx_uint_t           begin_at;
static ngx_uint_t           nbegin;
static ngx_lyftr_err_e      check_err;
static ngx_msec_t           busy_msec;
static ngx_int_t            maintain_rc;
static ngx_lyftr_err_e      maintain_err;
static ngx_uint_t           nmaintain;
static ngx_uint_t           open_flags;

/* in this transaction, and durable */
static ngx_uint_t           written;
static ngx_uint_t           stored;


ngx_int_t
ngx_thread_mutex_lock(ngx_thread_mutex_t *mtx, ngx_log_t *log)
{
    return NGX_OK;
}


ngx_int_t
ngx_thread_mutex_unlock(ngx_thread_mutex_t *mtx, ngx_log_t *log)
{
    return NGX_OK;
}


static void *
test_open(ngx_lyftr_dsn_t *dsn, ngx_uint_t flags, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    open_flags = flags;

    return &written;
}


static void
test_close(void *conn)
{
}


static ngx_int_t
test_begin(void *conn, ngx_uint_t write, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    written = 0;

    if (++nbegin == begin_at) {
        err->code = declined;
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
test_commit(void *conn, ngx_lyftr_error_t *err)
{
    stored += written;
    written = 0;

    return NGX_OK;
}


static void
test_rollback(void *conn)
{
    written = 0;
}


static ngx_int_t
test_maintain(void *conn, ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    (void) usleep(busy_msec * 1000);

    nmaintain++;
    err->code = maintain_err;

    return maintain_rc;
}


static void
test_gauges(void *conn, ngx_lyftr_gauges_t *gauges)
{
    ngx_memset(gauges, 0, sizeof(ngx_lyftr_gauges_t));

    gauges->rows = 7;
}


static ngx_int_t
test_check(void *conn, ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    (void) usleep(busy_msec * 1000);

    err->code = check_err;

    return check_err ? NGX_ERROR : NGX_OK;
}


/* the data of an operation: the store cannot hold it */

static ngx_int_t
test_run(ngx_lyftr_op_t *op, ngx_lyftr_backend_t *backend, void *conn,
    ngx_lyftr_error_t *err)
{
    if (op->data) {
        err->code = NGX_LYFTR_ERR_DATA;
        return NGX_ERROR;
    }

    written++;

    return NGX_OK;
}


static ngx_lyftr_backend_t  backend = {
    .open = test_open,
    .close = test_close,
    .begin = test_begin,
    .commit = test_commit,
    .rollback = test_rollback,
    .maintain = test_maintain,
    .gauges = test_gauges,
    .check = test_check
};


static int
test_setup(void **state)
{
    ngx_uint_t  i;

    ngx_memzero(&channel, sizeof(channel));
    ngx_memzero(&lane, sizeof(lane));
    ngx_memzero(&seat, sizeof(seat));
    ngx_memzero(&store, sizeof(store));
    ngx_memzero(&status, sizeof(status));
    ngx_memzero(ops, sizeof(ops));

    store.backend = &backend;
    store.status = &status;
    store.timeout = 4000;
    store.dsn_hash = 1;
    status.opened = 1;

    channel.store = &store;
    channel.batch = TEST_OPS;
    channel.timeout = 4000;
    channel.lanes = &lane;
    channel.nlanes = 1;
    ngx_queue_init(&channel.pending);

    lane.channel = &channel;
    lane.seat = &seat;
    ngx_queue_init(&lane.batch);

    for (i = 0; i < TEST_OPS; i++) {
        ops[i].run = test_run;
        ops[i].deadline = ngx_lyftr_clock() + 4000;
        ngx_queue_insert_tail(&channel.pending, &ops[i].queue);
        channel.npending++;
    }

    declined = NGX_LYFTR_ERR_BUSY;
    begin_at = 0;
    nbegin = 0;
    check_err = NGX_LYFTR_ERR_NONE;
    busy_msec = 0;
    maintain_rc = NGX_DECLINED;
    maintain_err = NGX_LYFTR_ERR_BUSY;
    nmaintain = 0;
    open_flags = 0;
    stored = 0;

    return 0;
}


static void
test_thread(void)
{
    ngx_lyftr_lane_t  *p = &lane;

    ngx_lyftr_lane_thread(&p, NULL);
}


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


/* two parts of a check have a pause between them, however long they take */

static void
test_check_pause(void **state)
{
    ngx_queue_init(&channel.pending);

    channel.type = NGX_LYFTR_CHANNEL_CHECK;
    busy_msec = 200;

    test_thread();

    assert_int_equal(lane.due, 1);
    assert_true((ngx_msec_int_t) (lane.at - ngx_lyftr_clock()) > 50);
}


/* a page that cannot be read, and one that makes no sense, are told */

static void
test_check_failure(void **state)
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
        test_thread();
        assert_int_equal(lane.upkeep.code,
                         tests[i].told ? tests[i].err : NGX_LYFTR_ERR_NONE);
        assert_int_equal(lane.seat->conn != NULL,
                         check_err == NGX_LYFTR_ERR_NONE);
    }
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
        cmocka_unit_test_setup(test_pause, test_setup),
        cmocka_unit_test_setup(test_spell, test_setup),
        cmocka_unit_test_setup(test_check_pause, test_setup),
        cmocka_unit_test_setup(test_check_failure, test_setup),
        cmocka_unit_test_setup(test_open_failed, test_setup)
    };

    return cmocka_run_group_tests_name("lane", tests, NULL, NULL);
}

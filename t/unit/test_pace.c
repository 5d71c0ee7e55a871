/* How long a queue will take, and when it is too long. */

#include "unit.h"

#include <ngx_lyftr_channel.h>


volatile ngx_msec_t         ngx_current_msec;
ngx_uint_t                  ngx_worker;
static ngx_cycle_t          cycle;
volatile ngx_cycle_t       *ngx_cycle = &cycle;

static ngx_log_t            log_all;
static ngx_lyftr_channel_t  channel;
static ngx_lyftr_lane_t     lanes[2];
static ngx_lyftr_store_t    store;
static ngx_lyftr_status_t   status;

static ngx_uint_t           lines;
static ngx_int_t            tell_rc;


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


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    lines++;
}


ngx_int_t
ngx_lyftr_status_tell(ngx_lyftr_told_t *told, ngx_lyftr_left_out_t *text)
{
    assert_ptr_equal(told, &status.told[NGX_LYFTR_ERR_OVERLOAD]);

    text->len = 0;

    return tell_rc;
}


static int
test_setup(void **state)
{
    ngx_memzero(&channel, sizeof(channel));
    ngx_memzero(lanes, sizeof(lanes));
    ngx_memzero(&store, sizeof(store));

    log_all.log_level = NGX_LOG_DEBUG;
    cycle.log = &log_all;

    store.status = &status;
    store.queue = 1000;
    store.delay = 500;

    channel.store = &store;
    channel.type = NGX_LYFTR_CHANNEL_WRITE;
    channel.batch = 10;
    channel.lanes = lanes;
    channel.nlanes = 2;

    lanes[0].channel = &channel;
    lanes[1].channel = &channel;
    lanes[0].n = 1;

    ngx_current_msec = 100000;
    lines = 0;
    tell_rc = NGX_OK;

    return 0;
}


/* a batch has taken so many milliseconds */

static void
test_note(ngx_msec_t msec)
{
    lanes[0].started = ngx_current_msec - msec;
    ngx_lyftr_pace_note(&lanes[0]);
}


/* a batch always takes the same: the pace comes to that, and stays */

static void
test_steady(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < 40; i++) {
        test_note(80);
    }

    assert_in_range(channel.pace, 8 * 79, 8 * 80);
    assert_in_range(ngx_lyftr_pace_estimate(&channel, 0), 79, 80);

    /* one of another length is a quarter of what is known */

    channel.pace = 8 * 80;
    test_note(480);
    assert_int_equal(channel.pace, 8 * 180);

    channel.pace = 8 * 80;
    test_note(0);
    assert_int_equal(channel.pace, 8 * 60);

    /* a thread that has found nothing to do tells nothing */

    lanes[0].n = 0;
    test_note(1000);
    assert_int_equal(channel.pace, 8 * 60);
}


/* as many batches as lanes are under way at a time */

static void
test_estimate(void **state)
{
    ngx_uint_t  i;

    static struct {
        ngx_uint_t  n;
        ngx_uint_t  nlanes;
        ngx_msec_t  age;
        ngx_msec_t  expected;
    } tests[] = {
        { 0, 2, 0, 50 },
        { 19, 2, 0, 50 },
        { 20, 2, 0, 100 },
        { 60, 2, 0, 200 },
        { 60, 1, 0, 350 },
        { 0, 2, 20, 50 },
        { 0, 2, 70, 70 },
        { 60, 2, 70, 220 }
    };

    for (i = 0; i < unit_count(tests); i++) {
        (void) test_setup(NULL);

        channel.pace = 8 * 50;
        channel.nlanes = tests[i].nlanes;
        lanes[0].busy = (tests[i].age != 0);
        lanes[0].started = ngx_current_msec - tests[i].age;
        channel.npending = tests[i].n;

        assert_int_equal(ngx_lyftr_pace_estimate(&channel, tests[i].n),
                         tests[i].expected);
        assert_int_equal(ngx_lyftr_pace_wait(&channel), tests[i].expected);
    }
}


/* the thread that has not come back for the longest time counts */

static void
test_busy(void **state)
{
    lanes[0].started = ngx_current_msec - 300;
    lanes[1].started = ngx_current_msec - 200;

    assert_int_equal(ngx_lyftr_pace_busy(&channel), 0);

    lanes[1].busy = 1;
    assert_int_equal(ngx_lyftr_pace_busy(&channel), 200);

    lanes[0].busy = 1;
    assert_int_equal(ngx_lyftr_pace_busy(&channel), 300);
}


static void
test_full(void **state)
{
    ngx_uint_t  i;

    static struct {
        ngx_lyftr_channel_e  type;
        ngx_uint_t           n;
        ngx_msec_t           pace;
        ngx_uint_t           full;
    } tests[] = {
        { NGX_LYFTR_CHANNEL_WRITE, 999, 1, 0 },
        { NGX_LYFTR_CHANNEL_WRITE, 1000, 1, 1 },
        { NGX_LYFTR_CHANNEL_READ, 999, 1000, 0 },
        { NGX_LYFTR_CHANNEL_READ, 1000, 1, 1 },

        /* a batch may wait in any case */

        { NGX_LYFTR_CHANNEL_WRITE, 9, 1000, 0 },
        { NGX_LYFTR_CHANNEL_WRITE, 10, 1000, 1 },
        { NGX_LYFTR_CHANNEL_WRITE, 10, 500, 0 },
        { NGX_LYFTR_CHANNEL_WRITE, 80, 100, 0 },
        { NGX_LYFTR_CHANNEL_WRITE, 100, 100, 1 }
    };

    for (i = 0; i < unit_count(tests); i++) {
        (void) test_setup(NULL);

        channel.type = tests[i].type;
        channel.pace = 8 * tests[i].pace;
        channel.npending = tests[i].n;

        assert_int_equal(ngx_lyftr_pace_full(&channel, tests[i].n),
                         tests[i].full);
        assert_int_equal(ngx_lyftr_pace_overload(&channel), tests[i].full);
        assert_int_equal(lines, tests[i].full);
    }

    tell_rc = NGX_DECLINED;
    assert_int_equal(ngx_lyftr_pace_overload(&channel), 1);
    assert_int_equal(lines, 1);
}


/* each worker shows its queue in a word of its own, the first 256 of them */

static void
test_start(void **state)
{
    ngx_memset(&status, 0xff, sizeof(status));

    ngx_worker = NGX_LYFTR_WORKERS_MAX - 1;
    channel.npending = 7;
    ngx_lyftr_pace_start(&channel);
    assert_int_equal(status.pending[NGX_LYFTR_WORKERS_MAX - 1].n, 7);
    assert_true(status.pending[NGX_LYFTR_WORKERS_MAX - 2].n != 7);

    channel.shown = NULL;
    ngx_worker = NGX_LYFTR_WORKERS_MAX;
    ngx_lyftr_pace_start(&channel);
    assert_null(channel.shown);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup(test_steady, test_setup),
        cmocka_unit_test_setup(test_estimate, test_setup),
        cmocka_unit_test_setup(test_busy, test_setup),
        cmocka_unit_test_setup(test_full, test_setup),
        cmocka_unit_test_setup(test_start, test_setup)
    };

    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}

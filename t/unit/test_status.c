/* What a batch tells all workers, and how often it tells the log. */

#include "unit.h"

#include <ngx_lyftr_channel.h>


volatile ngx_msec_t         ngx_current_msec = 777;
static ngx_cycle_t          cycle;
volatile ngx_cycle_t       *ngx_cycle = &cycle;

static ngx_log_t            log_all;
static ngx_lyftr_channel_t  channel;
static ngx_lyftr_lane_t     lane;
static ngx_lyftr_store_t    store;
static ngx_lyftr_status_t   status;

static ngx_lyftr_dsn_t      dsn;

static ngx_uint_t           renewed;
static ngx_uint_t           lines;
static u_char               left_out[64];


/* the suffix is the last argument of each line */

void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    size_t    len;
    va_list   args;

    va_start(args, fmt);

    (void) va_arg(args, ngx_str_t *);
    (void) va_arg(args, size_t);
    (void) va_arg(args, u_char *);

    if (ngx_strstr(fmt, "operations")) {
        (void) va_arg(args, ngx_uint_t);
        (void) va_arg(args, ngx_uint_t);

    } else {
        assert_string_equal(va_arg(args, char *),
                            channel.type == NGX_LYFTR_CHANNEL_CHECK
                            ? "check" : "housekeeping");
    }

    len = va_arg(args, size_t);
    assert_true(len < sizeof(left_out));
    ngx_memcpy(left_out, va_arg(args, u_char *), len);
    left_out[len] = '\0';

    va_end(args);

    lines++;
}


/* that of nginx, as far as it is needed here */

u_char * ngx_cdecl
ngx_sprintf(u_char *buf, const char *fmt, ...)
{
    va_list  args;

    assert_string_equal(fmt, ", %ui more such lines left out");

    va_start(args, fmt);
    buf += sprintf((char *) buf, "%lu", (unsigned long) va_arg(args,
                                                               ngx_uint_t));
    va_end(args);

    return buf;
}


static int
test_setup(void **state)
{
    ngx_memzero(&channel, sizeof(channel));
    ngx_memzero(&lane, sizeof(lane));
    ngx_memzero(&store, sizeof(store));
    ngx_memzero(&status, sizeof(status));

    log_all.log_level = NGX_LOG_DEBUG;
    cycle.log = &log_all;

    store.status = &status;
    channel.store = &store;
    channel.type = NGX_LYFTR_CHANNEL_WRITE;
    lane.channel = &channel;
    lane.started = 500;

    lines = 0;

    return 0;
}


static void
test_report(ngx_lyftr_err_e error, ngx_lyftr_err_e keeper)
{
    lane.err.code = error;
    lane.job_err.code = keeper;

    ngx_lyftr_status_report(&lane);
}


/* the last line about an error was so many milliseconds ago */

static void
test_ago(ngx_lyftr_told_t *told, ngx_msec_t msec)
{
    told->at = (ngx_lyftr_clock() - msec) | 1;
}


/* deliveries that failed are in no commit, whatever became of the others */

static void
test_counts(void **state)
{
    ngx_uint_t  i;

    static struct {
        ngx_lyftr_channel_e  type;
        ngx_uint_t           n;
        ngx_uint_t           failed;
        ngx_uint_t           commits;
        ngx_uint_t           messages;
        ngx_uint_t           failures;
    } tests[] = {
        { NGX_LYFTR_CHANNEL_WRITE, 5, 0, 1, 5, 0 },
        { NGX_LYFTR_CHANNEL_WRITE, 5, 2, 3, 3, 1 },
        { NGX_LYFTR_CHANNEL_WRITE, 5, 5, 0, 0, 1 },
        { NGX_LYFTR_CHANNEL_WRITE, 0, 0, 0, 0, 0 },
        { NGX_LYFTR_CHANNEL_READ, 1, 0, 1, 0, 0 },
        { NGX_LYFTR_CHANNEL_READ, 1, 1, 0, 0, 0 }
    };

    for (i = 0; i < unit_count(tests); i++) {
        (void) test_setup(NULL);

        channel.type = tests[i].type;
        lane.n = tests[i].n;
        lane.failed = tests[i].failed;
        lane.commits = tests[i].commits;
        lane.messages = tests[i].messages;

        test_report(NGX_LYFTR_ERR_NONE, NGX_LYFTR_ERR_NONE);

        assert_int_equal(status.commits,
                         tests[i].type ? 0 : tests[i].commits);
        assert_int_equal(status.messages, tests[i].messages);
        assert_int_equal(status.failures, tests[i].failures);
        assert_int_equal(status.answered != 0, status.commits != 0);
        assert_int_equal(lines, 0);
    }
}


/* the backend forgets what a reload says is right, and the counts are kept */

static void
test_renew(void *data)
{
    assert_ptr_equal(data, &dsn);
    assert_non_null(dsn.words);
    assert_ptr_equal(dsn.jobs, status.jobs);

    renewed++;
}


static ngx_atomic_t *
test_words(ngx_uint_t hash)
{
    store.dsn_hash = hash;

    ngx_lyftr_status_attach(&store, &status);

    return dsn.words;
}


/* the words are of an address: its old workers still write there */

static void
test_attach(void **state)
{
    ngx_atomic_t                *one, *two;
    static ngx_lyftr_backend_t   backend = { .renew = test_renew };

    status.commits = 5;

    store.dsn = &dsn;
    store.backend = &backend;
    renewed = 0;

    one = test_words(1);
    one[0] = 7;

    assert_ptr_equal(store.status, &status);
    assert_int_equal(renewed, 1);
    assert_int_equal(status.commits, 5);

    assert_ptr_equal(test_words(1), one);
    assert_int_equal(one[0], 7);

    two = test_words(2);

    assert_ptr_not_equal(two, one);
    assert_int_equal(two[0], 0);

    two[0] = 8;

    assert_ptr_equal(test_words(1), one);
    assert_int_equal(one[0], 7);

    assert_ptr_equal(test_words(3), two);
    assert_int_equal(two[0], 0);
}


/* which outcome says that the store is ready, locked or broken */

static void
test_condition(void **state)
{
    ngx_uint_t  i;

    static struct {
        ngx_lyftr_err_e  error;
        ngx_uint_t       n;
        ngx_lyftr_err_e  kept;
        ngx_msec_t       locked;
    } tests[] = {
        { NGX_LYFTR_ERR_NONE, 1, NGX_LYFTR_ERR_NONE, 0 },
        { NGX_LYFTR_ERR_DATA, 1, NGX_LYFTR_ERR_NONE, 0 },
        { NGX_LYFTR_ERR_NONE, 0, NGX_LYFTR_ERR_FULL, 3 },
        { NGX_LYFTR_ERR_BUSY, 0, NGX_LYFTR_ERR_FULL, 3 },
        { NGX_LYFTR_ERR_BUSY, 1, NGX_LYFTR_ERR_FULL, 3 },
        { NGX_LYFTR_ERR_ADOPT, 1, NGX_LYFTR_ERR_FULL, 3 },
        { NGX_LYFTR_ERR_READONLY, 1, NGX_LYFTR_ERR_READONLY, 3 }
    };

    for (i = 0; i < unit_count(tests); i++) {
        (void) test_setup(NULL);

        status.error = NGX_LYFTR_ERR_FULL;
        status.locked = 3;
        lane.n = tests[i].n;

        test_report(tests[i].error, NGX_LYFTR_ERR_NONE);

        assert_int_equal(status.error, tests[i].kept);
        assert_int_equal(status.locked, tests[i].locked);
    }

    /* a lock counts from the time when the batch began to wait for it */

    (void) test_setup(NULL);
    test_report(NGX_LYFTR_ERR_BUSY, NGX_LYFTR_ERR_NONE);
    assert_int_equal(status.locked, 501);

    lane.started = 900;
    test_report(NGX_LYFTR_ERR_BUSY, NGX_LYFTR_ERR_NONE);
    assert_int_equal(status.locked, 501);
}


/* a flood is a line a second, which tells how many were left out */

static void
test_flood(void **state)
{
    ngx_uint_t         i;
    ngx_lyftr_told_t  *told;

    told = &status.told[NGX_LYFTR_ERR_FULL];

    for (i = 0; i < 10; i++) {
        test_report(NGX_LYFTR_ERR_FULL, NGX_LYFTR_ERR_NONE);
        test_ago(told, 900);
    }

    assert_int_equal(lines, 1);
    assert_string_equal((char *) left_out, "");

    test_ago(told, 1001);
    test_report(NGX_LYFTR_ERR_FULL, NGX_LYFTR_ERR_NONE);
    assert_int_equal(lines, 2);
    assert_string_equal((char *) left_out, "9");

    /* and then it begins anew */

    test_ago(told, 5000);
    test_report(NGX_LYFTR_ERR_FULL, NGX_LYFTR_ERR_NONE);
    assert_int_equal(lines, 3);
    assert_string_equal((char *) left_out, "");
}


/* one error does not hide another, nor a batch the housekeeping */

static void
test_each(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < 3; i++) {
        test_report(NGX_LYFTR_ERR_FULL, NGX_LYFTR_ERR_FULL);
        test_report(NGX_LYFTR_ERR_READONLY, NGX_LYFTR_ERR_NONE);
        test_report(NGX_LYFTR_ERR_FAILED, NGX_LYFTR_ERR_FAILED);
    }

    assert_int_equal(lines, 5);

    channel.type = NGX_LYFTR_CHANNEL_CHECK;
    test_report(NGX_LYFTR_ERR_NONE, NGX_LYFTR_ERR_READONLY);
    assert_int_equal(lines, 6);
}


/* what a probe tells: a success, a lock that begins, or what is wrong */

static void
test_probed(void **state)
{
    ngx_msec_t  locked;

    ngx_lyftr_status_probed(&store, NGX_ERROR, NGX_LYFTR_ERR_MOVED, 0);
    assert_int_equal(status.probe, NGX_LYFTR_ERR_MOVED);
    assert_int_equal(status.answered, 0);
    assert_int_equal(status.locked, 0);
    assert_int_equal(ngx_lyftr_status_doubtful(&store), 0);

    ngx_lyftr_status_probed(&store, NGX_DECLINED, NGX_LYFTR_ERR_NONE, 0);
    locked = status.locked;
    assert_int_not_equal(locked, 0);
    assert_int_equal(ngx_lyftr_status_doubtful(&store), 1);

    (void) usleep(5000);
    ngx_lyftr_status_probed(&store, NGX_ERROR, NGX_LYFTR_ERR_BUSY, 0);
    assert_int_equal(status.locked, locked);
    assert_int_equal(status.probe, NGX_LYFTR_ERR_MOVED);

    /* only a write proves that nothing is wrong with writing */

    status.error = NGX_LYFTR_ERR_FULL;
    ngx_lyftr_status_probed(&store, NGX_OK, NGX_LYFTR_ERR_NONE, 0);
    assert_int_not_equal(status.answered, 0);
    assert_int_equal(status.probe, NGX_LYFTR_ERR_NONE);
    assert_int_equal(status.error, NGX_LYFTR_ERR_FULL);
    assert_int_equal(status.locked, locked);

    ngx_lyftr_status_probed(&store, NGX_OK, NGX_LYFTR_ERR_NONE, 1);
    assert_int_equal(status.error, NGX_LYFTR_ERR_NONE);
    assert_int_equal(status.locked, 0);
    assert_int_equal(ngx_lyftr_status_doubtful(&store), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup(test_counts, test_setup),
        cmocka_unit_test_setup(test_attach, test_setup),
        cmocka_unit_test_setup(test_condition, test_setup),
        cmocka_unit_test_setup(test_flood, test_setup),
        cmocka_unit_test_setup(test_each, test_setup),
        cmocka_unit_test_setup(test_probed, test_setup)
    };

    return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}

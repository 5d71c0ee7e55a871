/* What /health/ready says, and the gauge, after whatever became of probes. */

#include "unit.h"

#include <ngx_lyftr_request.h>


volatile ngx_msec_t           ngx_current_msec;
ngx_module_t                  ngx_http_lyftr_module;

static ngx_http_request_t     request;
static ngx_lyftr_ctx_t        ctx;
static ngx_lyftr_endpoint_t   endpoint;
static ngx_lyftr_store_t      store;
static ngx_lyftr_status_t     status;
static void                  *ctxs[1];

static ngx_lyftr_done_pt   probe_done;
static ngx_http_handler_pt    answer;
static ngx_lyftr_channel_e    channel;
static ngx_uint_t             write_set;
static ngx_msec_t             busy;

static ngx_uint_t             discarded;
static ngx_uint_t             probed;
static ngx_uint_t             sent;
static u_char                 body[256];

static u_char                 memory[1024];
static ngx_uint_t             used;

static ngx_str_t              texts[NGX_LYFTR_ERRS];


void *
ngx_palloc(ngx_pool_t *pool, size_t size)
{
    void  *p;

    p = memory + used;
    used += ngx_align(size, 16);
    assert_true(used <= sizeof(memory));

    return p;
}


void *
ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    return ngx_palloc(pool, size);
}


ngx_int_t
ngx_http_discard_request_body(ngx_http_request_t *r)
{
    discarded++;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_http_send(ngx_http_request_t *r, ngx_uint_t code, ngx_str_t *text)
{
    sent = code;
    assert_true(text->len < sizeof(body));
    ngx_memcpy(body, text->data, text->len);
    body[text->len] = '\0';

    return NGX_OK;
}


ngx_lyftr_ctx_t *
ngx_lyftr_request_ctx(ngx_http_request_t *r)
{
    return &ctx;
}


ngx_int_t
ngx_lyftr_request_submit(ngx_http_request_t *r, ngx_lyftr_channel_e type,
    ngx_lyftr_op_run_pt run, ngx_lyftr_done_pt done, void *data,
    ngx_http_handler_pt handler)
{
    ctx.op.data = data;
    channel = type;
    probe_done = done;
    answer = handler;

    return NGX_DONE;
}


ngx_uint_t
ngx_lyftr_status_doubtful(ngx_lyftr_store_t *s)
{
    return write_set;
}


void
ngx_lyftr_status_probed(ngx_lyftr_store_t *s, ngx_int_t rc,
    ngx_lyftr_err_e error, ngx_uint_t write)
{
    assert_int_equal(rc, ctx.op.rc);
    assert_int_equal(write, write_set);

    probed++;
}


ngx_msec_t
ngx_lyftr_pace_busy(ngx_lyftr_channel_t *c)
{
    return busy;
}


ngx_str_t *
ngx_lyftr_status_text(ngx_lyftr_err_e error)
{
    static u_char  digits[NGX_LYFTR_ERRS][4];

    texts[error].data = digits[error];
    texts[error].len = snprintf((char *) digits[error], 4, "e%d", error);

    return &texts[error];
}


size_t
ngx_lyftr_json_string_len(u_char *s, size_t len)
{
    return len + 2;
}


u_char *
ngx_lyftr_json_string(u_char *p, u_char *s, size_t len)
{
    *p++ = '"';
    p = ngx_cpymem(p, s, len);
    *p++ = '"';

    return p;
}


u_char *
ngx_sprintf(u_char *buf, const char *fmt, ...)
{
    va_list      args;
    ngx_str_t   *text;
    ngx_uint_t   share;

    assert_string_equal(fmt, "%V: %ui%% of it so far");

    va_start(args, fmt);
    text = va_arg(args, ngx_str_t *);
    share = va_arg(args, ngx_uint_t);
    va_end(args);

    return buf + sprintf((char *) buf, "%.*s: %d%%", (int) text->len,
                         text->data, (int) share);
}


static int
test_setup(void **state)
{
    ngx_memzero(&request, sizeof(request));
    ngx_memzero(&ctx, sizeof(ctx));
    ngx_memzero(&store, sizeof(store));
    ngx_memzero(&status, sizeof(status));

    request.ctx = ctxs;
    ctxs[0] = &ctx;
    ctx.endpoint = &endpoint;
    ctx.request = &request;
    endpoint.store = &store;
    store.status = &status;

    ngx_current_msec = 100000;
    answer = NULL;
    write_set = 0;
    busy = 0;
    sent = 0;
    used = 0;

    return 0;
}


/* the answer if the probe came to this, or did not come back in time */

static ngx_uint_t
test_ready(ngx_lyftr_op_state_e op_state, ngx_int_t rc, ngx_lyftr_err_e error)
{
    used = 0;
    sent = 0;
    discarded = 0;
    probed = 0;

    assert_int_equal(ngx_lyftr_ready_handler(&request), NGX_DONE);
    assert_int_equal(channel, NGX_LYFTR_CHANNEL_PROBE);

    ctx.op.state = op_state;
    ctx.op.rc = rc;
    ctx.op.error = error;

    assert_int_equal(discarded, 1);

    if (op_state == NGX_LYFTR_OP_DONE) {
        probe_done(&ctx);
        assert_int_equal(probed, 1);
    }

    assert_int_equal(answer(&request), NGX_OK);

    return sent;
}


static void
test_probe(void **state)
{
    ngx_uint_t  i;

    static struct {
        ngx_int_t        rc;
        ngx_lyftr_err_e  error;
        ngx_uint_t       code;
    } tests[] = {
        { NGX_OK, NGX_LYFTR_ERR_NONE, 200 },
        { NGX_DECLINED, NGX_LYFTR_ERR_NONE, 200 },
        { NGX_DECLINED, NGX_LYFTR_ERR_FULL, 200 },
        { NGX_ERROR, NGX_LYFTR_ERR_BUSY, 200 },
        { NGX_ERROR, NGX_LYFTR_ERR_FULL, 503 },
        { NGX_ERROR, NGX_LYFTR_ERR_OPEN, 503 },
        { NGX_ERROR, NGX_LYFTR_ERR_MOVED, 503 }
    };

    for (i = 0; i < unit_count(tests); i++) {
        write_set = i & 1;

        assert_int_equal(test_ready(NGX_LYFTR_OP_DONE, tests[i].rc,
                                    tests[i].error), tests[i].code);
    }

    assert_non_null(ngx_strstr(body, "{\"status\":\"unavailable\","
                                     "\"detail\":\"e"));

    /* without a secret nothing is tried */

    answer = NULL;
    store.no_secret = 1;
    assert_int_equal(ngx_lyftr_ready_handler(&request), NGX_OK);
    assert_null(answer);
    assert_int_equal(sent, 503);
    assert_non_null(ngx_strstr(body, "no webhook secret"));
}


/* a text as it stands in the answer */

static char *
test_text(ngx_lyftr_err_e error)
{
    static char  text[16];

    (void) snprintf(text, sizeof(text), "\"e%d\"", error);

    return text;
}


/* nobody has it yet: it is being set up, or adopted, or cannot be */

static void
test_unopened(void **state)
{
    store.dsn_hash = 1;

    assert_int_equal(test_ready(NGX_LYFTR_OP_EXPIRED, 0, 0), 503);
    assert_non_null(ngx_strstr(body, "is being set up"));
    assert_int_equal(test_ready(NGX_LYFTR_OP_DONE, NGX_ERROR,
                                NGX_LYFTR_ERR_BUSY), 503);
    assert_non_null(ngx_strstr(body, "is being set up"));

    status.adopted = 43;
    assert_int_equal(test_ready(NGX_LYFTR_OP_EXPIRED, 0, 0), 503);
    assert_non_null(ngx_strstr(body, ": 42%"));
    assert_int_equal(test_ready(NGX_LYFTR_OP_DONE, NGX_ERROR,
                                NGX_LYFTR_ERR_ADOPT), 503);
    assert_non_null(ngx_strstr(body, ": 42%"));
    assert_int_equal(ngx_lyftr_ready_known(&store), NGX_LYFTR_ERR_ADOPT);

    /* before the housekeeping has looked; and while another one has it */

    status.adopted = 0;
    assert_int_equal(test_ready(NGX_LYFTR_OP_DONE, NGX_ERROR,
                                NGX_LYFTR_ERR_ADOPT), 503);
    assert_null(ngx_strstr(body, "%"));
    assert_non_null(ngx_strstr(body, test_text(NGX_LYFTR_ERR_ADOPT)));

    status.refused = NGX_LYFTR_ERR_BUSY;
    assert_int_equal(test_ready(NGX_LYFTR_OP_DONE, NGX_ERROR,
                                NGX_LYFTR_ERR_ADOPT), 503);
    assert_non_null(ngx_strstr(body, test_text(NGX_LYFTR_ERR_BUSY)));
    assert_int_equal(ngx_lyftr_ready_known(&store), NGX_LYFTR_ERR_BUSY);

    status.adopted = 43;
    status.refused = NGX_LYFTR_ERR_FULL;
    assert_int_equal(test_ready(NGX_LYFTR_OP_EXPIRED, 0, 0), 503);
    assert_null(ngx_strstr(body, "%"));
    assert_int_equal(ngx_lyftr_ready_known(&store), NGX_LYFTR_ERR_FULL);

    status.opened = store.dsn_hash;
    assert_int_equal(test_ready(NGX_LYFTR_OP_DONE, NGX_OK, 0), 200);
}


/* a probe that did not come back: the last success decides, if any */

static void
test_timeout(void **state)
{
    ngx_uint_t  i;

    static struct {
        ngx_msec_t  answered;
        ngx_uint_t  code;
    } tests[] = {
        { 0, 503 },
        { 100000, 200 },
        { 100000 - 4999, 200 },
        { 100000 - 5000, 503 },

        /* of a worker whose clock is ahead */

        { 100005, 200 }
    };

    for (i = 0; i < unit_count(tests); i++) {
        status.answered = tests[i].answered;

        assert_int_equal(test_ready(NGX_LYFTR_OP_EXPIRED, 0, 0),
                         tests[i].code);

        assert_int_equal(test_ready(NGX_LYFTR_OP_DONE, NGX_ERROR,
                                    NGX_LYFTR_ERR_TIMEOUT), tests[i].code);

        /* one that came back needs no proof */

        assert_int_equal(test_ready(NGX_LYFTR_OP_DONE, NGX_OK, 0), 200);
    }

    /* it has never answered, also where the machine has just been started */

    status.answered = 0;
    ngx_current_msec = 3000;
    assert_int_equal(test_ready(NGX_LYFTR_OP_EXPIRED, 0, 0), 503);
    assert_non_null(ngx_strstr(body, ngx_lyftr_status_text(
                                           NGX_LYFTR_ERR_TIMEOUT)->data));
}


/* what is known besides makes the store unready whatever the probe says */

static void
test_known(void **state)
{
    ngx_uint_t  i;

    static struct {
        ngx_lyftr_err_e  error;
        ngx_uint_t       damaged;
        ngx_msec_t       locked;
        ngx_msec_t       busy;
        ngx_lyftr_err_e  expected;
    } tests[] = {
        { 0, 0, 0, 0, NGX_LYFTR_ERR_NONE },
        { NGX_LYFTR_ERR_FULL, 0, 0, 0, NGX_LYFTR_ERR_FULL },
        { 0, NGX_LYFTR_DAMAGED, 0, 0, NGX_LYFTR_ERR_CORRUPT },
        { 0, NGX_LYFTR_RECHECKED, 0, 0, NGX_LYFTR_ERR_CORRUPT },
        { 0, 0, 95001, 0, NGX_LYFTR_ERR_NONE },
        { 0, 0, 94999, 0, NGX_LYFTR_ERR_BUSY },
        { 0, 0, 100001, 0, NGX_LYFTR_ERR_NONE },
        { 0, 0, 0, 4999, NGX_LYFTR_ERR_NONE },
        { 0, 0, 0, 5000, NGX_LYFTR_ERR_TIMEOUT }
    };

    for (i = 0; i < unit_count(tests); i++) {
        status.error = tests[i].error;
        status.damaged = tests[i].damaged;
        status.locked = tests[i].locked;
        busy = tests[i].busy;

        assert_int_equal(test_ready(NGX_LYFTR_OP_DONE, NGX_OK, 0),
                         tests[i].expected ? 503 : 200);

        assert_int_equal(ngx_lyftr_ready_known(&store), tests[i].expected);

        if (tests[i].expected) {
            assert_non_null(ngx_strstr(body, ngx_lyftr_status_text(
                                                  tests[i].expected)->data));
        }
    }
}


/* the gauge besides tells what the housekeeping has probed, and when */

static void
test_gauge(void **state)
{
    status.probe = NGX_LYFTR_ERR_MOVED;
    assert_int_equal(ngx_lyftr_ready_known(&store), NGX_LYFTR_ERR_MOVED);

    status.probe = NGX_LYFTR_ERR_NONE;
    assert_int_equal(ngx_lyftr_ready_known(&store), NGX_LYFTR_ERR_NONE);

    status.probed = 100000 - 14999;
    assert_int_equal(ngx_lyftr_ready_known(&store), NGX_LYFTR_ERR_NONE);

    status.probed = 100000 - 15000;
    assert_int_equal(ngx_lyftr_ready_known(&store), NGX_LYFTR_ERR_TIMEOUT);
}


static void
test_live(void **state)
{
    status.error = NGX_LYFTR_ERR_FULL;

    discarded = 0;
    assert_int_equal(ngx_lyftr_live_handler(&request), NGX_OK);
    assert_int_equal(discarded, 1);
    assert_int_equal(sent, 200);
    assert_null(answer);
    assert_string_equal((char *) body, "{\"status\":\"ok\"}");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup(test_probe, test_setup),
        cmocka_unit_test_setup(test_unopened, test_setup),
        cmocka_unit_test_setup(test_timeout, test_setup),
        cmocka_unit_test_setup(test_known, test_setup),
        cmocka_unit_test_setup(test_gauge, test_setup),
        cmocka_unit_test_setup(test_live, test_setup)
    };

    return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}

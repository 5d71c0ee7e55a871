#include <ngx_lyftr_outcome.h>


/* usec; a process may have to wait between two looks at clocks */
#define NGX_LYFTR_OUTCOME_STEP     10000


static int64_t ngx_lyftr_outcome_now(void);


ngx_str_t  ngx_lyftr_results[] = {
    ngx_null_string,
    ngx_string("created"),
    ngx_string("duplicate"),
    ngx_string("invalid_signature"),
    ngx_string("validation_error"),
    ngx_string("unavailable"),
    ngx_string("rejected"),
    ngx_string("aborted")
};


/* of this process: between the two clocks, and when that was last another */

static int64_t  ngx_lyftr_outcome_offset;
static int64_t  ngx_lyftr_outcome_stepped;


/* as the core's $status */

ngx_uint_t
ngx_lyftr_outcome_status(ngx_http_request_t *r)
{
    if (r->err_status) {
        return r->err_status;
    }

    if (r->headers_out.status) {
        return r->headers_out.status;
    }

    return (r->http_version == NGX_HTTP_VERSION_9) ? 9 : 0;
}


ngx_lyftr_result_e
ngx_lyftr_outcome_result(ngx_http_request_t *r)
{
    ngx_uint_t             status;
    ngx_lyftr_ctx_t       *ctx;
    ngx_lyftr_endpoint_t  *endpoint;

    endpoint = ngx_lyftr_location_endpoint(r);

    if (endpoint == NULL || !endpoint->kind->webhook) {
        return NGX_LYFTR_RESULT_NONE;
    }

    ctx = ngx_lyftr_request_ctx(r);

    if (ctx && ctx->result != NGX_LYFTR_RESULT_NONE) {
        return ctx->result;
    }

    status = ngx_lyftr_outcome_status(r);

    if (status >= NGX_HTTP_INTERNAL_SERVER_ERROR) {
        return NGX_LYFTR_UNAVAILABLE;
    }

    /* an error page may have given any status to what was refused */

    return (r->header_sent || status == NGX_HTTP_CLOSE) ? NGX_LYFTR_REJECTED
                                                        : NGX_LYFTR_ABORTED;
}


int64_t
ngx_lyftr_outcome_latency(ngx_http_request_t *r)
{
    int64_t  start;

    start = ngx_lyftr_location_start(r);

    return ngx_lyftr_usec() - start;
}


/*
 * nginx notes by the clock of the wall when a request came.  As long as that
 * does not step, it differs from the other clock by the same; after a step it
 * tells nothing about a request that came before.
 */

int64_t
ngx_lyftr_outcome_start(ngx_http_request_t *r)
{
    int64_t  now, start;

    now = ngx_lyftr_outcome_now();

    start = (int64_t) r->start_sec * 1000000 + (int64_t) r->start_msec * 1000
            - ngx_lyftr_outcome_offset;

    return (start < ngx_lyftr_outcome_stepped || start > now) ? now : start;
}


void
ngx_lyftr_outcome_clock(void)
{
    (void) ngx_lyftr_outcome_now();
}


static int64_t
ngx_lyftr_outcome_now(void)
{
    int64_t         now, offset, step;
    struct timeval  tv;

    ngx_gettimeofday(&tv);

    now = ngx_lyftr_usec();
    offset = (int64_t) tv.tv_sec * 1000000 + tv.tv_usec - now;
    step = offset - ngx_lyftr_outcome_offset;

    if (step > NGX_LYFTR_OUTCOME_STEP || step < -NGX_LYFTR_OUTCOME_STEP) {
        ngx_lyftr_outcome_stepped = now;
        ngx_lyftr_outcome_offset = offset;
    }

    return now;
}


u_char *
ngx_lyftr_outcome_end(u_char *p, u_char *last, u_char ch)
{
    while (p < last && *p != ch) {
        p++;
    }

    return p;
}

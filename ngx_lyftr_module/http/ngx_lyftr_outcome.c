#include <ngx_lyftr_outcome.h>


ngx_str_t  ngx_lyftr_results[] = {
    ngx_null_string,
    ngx_string("created"),
    ngx_string("duplicate"),
    ngx_string("invalid_signature"),
    ngx_string("validation_error"),
    ngx_string("unavailable"),
    ngx_string("rejected"),
    ngx_string("aborted"),
    ngx_string("ignored"),
    ngx_string("verified"),
    ngx_string("forbidden")
};


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

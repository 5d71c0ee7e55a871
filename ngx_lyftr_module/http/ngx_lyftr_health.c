#include <ngx_lyftr_request.h>


/* a lock that is held for less is no fault */

#define NGX_LYFTR_HEALTH_PATIENCE  5000

/* nor is a probe that another worker has to take over from one that hangs */

#define NGX_LYFTR_HEALTH_STALE     15000

/* the time may be of another worker, whose clock is ahead of ours */

#define ngx_lyftr_ready_overdue(msec)                                         \
    ((ngx_msec_int_t) (ngx_current_msec - (msec))                             \
     >= NGX_LYFTR_HEALTH_PATIENCE)


static ngx_int_t ngx_lyftr_ready_run(ngx_lyftr_op_t *op,
    ngx_lyftr_backend_t *backend, void *conn, ngx_lyftr_error_t *err);
static void ngx_lyftr_ready_done(ngx_lyftr_ctx_t *ctx);
static ngx_int_t ngx_lyftr_ready_answer(ngx_http_request_t *r);
static ngx_lyftr_err_e ngx_lyftr_ready_error(ngx_lyftr_store_t *store);
static ngx_int_t ngx_lyftr_ready_send(ngx_http_request_t *r,
    ngx_lyftr_err_e error);
static ngx_int_t ngx_lyftr_ready_unavailable(ngx_http_request_t *r,
    ngx_str_t *detail);


static ngx_str_t  ngx_lyftr_live = ngx_string("{\"status\":\"ok\"}");
static ngx_str_t  ngx_lyftr_ready = ngx_string("{\"status\":\"ready\"}");


ngx_int_t
ngx_lyftr_live_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_lyftr_http_send(r, NGX_HTTP_OK, &ngx_lyftr_live);
}


/*
 * The probe has a lane of its own and waits for nothing; if it does not come
 * back at once, what the writer did last decides.
 */

ngx_int_t
ngx_lyftr_ready_handler(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_str_t            detail;
    ngx_uint_t          *write;
    ngx_lyftr_ctx_t     *ctx;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    if (ctx->endpoint->store->no_secret) {
        ngx_str_set(&detail, "no webhook secret is configured");
        return ngx_lyftr_ready_unavailable(r, &detail);
    }

    write = ngx_palloc(r->pool, sizeof(ngx_uint_t));
    if (write == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    *write = ngx_lyftr_status_doubtful(ctx->endpoint->store);

    return ngx_lyftr_request_submit(r, NGX_LYFTR_CHANNEL_PROBE,
                                    ngx_lyftr_ready_run,
                                    ngx_lyftr_ready_done, write,
                                    ngx_lyftr_ready_answer);
}


/* in a pool thread */

static ngx_int_t
ngx_lyftr_ready_run(ngx_lyftr_op_t *op, ngx_lyftr_backend_t *backend,
    void *conn, ngx_lyftr_error_t *err)
{
    ngx_uint_t  *write;

    write = op->data;

    return backend->probe(conn, *write, err);
}


static void
ngx_lyftr_ready_done(ngx_lyftr_ctx_t *ctx)
{
    ngx_uint_t      *write;
    ngx_lyftr_op_t  *op;

    op = &ctx->op;
    write = op->data;

    ngx_lyftr_status_probed(ctx->endpoint->store, op->rc, op->error, *write);
}


static ngx_int_t
ngx_lyftr_ready_answer(ngx_http_request_t *r)
{
    ngx_str_t            detail;
    ngx_lyftr_op_t      *op;
    ngx_lyftr_ctx_t     *ctx;
    ngx_msec_t           since;
    ngx_lyftr_err_e      error, failed;
    ngx_lyftr_store_t   *store;
    ngx_lyftr_status_t  *status;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    op = &ctx->op;
    store = ctx->endpoint->store;
    status = store->status;

    if (op->state != NGX_LYFTR_OP_DONE) {
        error = NGX_LYFTR_ERR_TIMEOUT;

    } else {
        error = (op->rc == NGX_ERROR) ? op->error : NGX_LYFTR_ERR_NONE;
    }

    if (error
        && error != NGX_LYFTR_ERR_BUSY
        && error != NGX_LYFTR_ERR_TIMEOUT
        && error != NGX_LYFTR_ERR_ADOPT)
    {
        return ngx_lyftr_ready_send(r, error);
    }

    failed = ngx_lyftr_ready_error(store);

    if (failed) {
        return ngx_lyftr_ready_send(r, failed);
    }

    if (error == NGX_LYFTR_ERR_ADOPT) {
        return ngx_lyftr_ready_send(r, error);
    }

    if (error && ngx_lyftr_store_unopened(store)) {
        ngx_str_set(&detail, "the store is being set up");
        return ngx_lyftr_ready_unavailable(r, &detail);
    }

    since = ngx_lyftr_status_get(status->answered);

    if (error == NGX_LYFTR_ERR_TIMEOUT
        && (since == 0 || ngx_lyftr_ready_overdue(since)))
    {
        return ngx_lyftr_ready_send(r, error);
    }

    return ngx_lyftr_http_send(r, NGX_HTTP_OK, &ngx_lyftr_ready);
}


static ngx_lyftr_err_e
ngx_lyftr_ready_error(ngx_lyftr_store_t *store)
{
    ngx_msec_t           since;
    ngx_lyftr_err_e      failed;
    ngx_lyftr_status_t  *status;

    status = store->status;

    failed = ngx_lyftr_status_get(status->error);

    if (failed) {
        return failed;
    }

    if (ngx_lyftr_store_unopened(store)) {

        failed = ngx_lyftr_status_get(status->refused);

        if (failed) {
            return failed;
        }

        if (ngx_lyftr_status_get(status->adopted)) {
            return NGX_LYFTR_ERR_ADOPT;
        }
    }

    if (ngx_lyftr_status_get(status->damaged)) {
        return NGX_LYFTR_ERR_CORRUPT;
    }

    since = ngx_lyftr_status_get(status->locked);

    if (since && ngx_lyftr_ready_overdue(since)) {
        return NGX_LYFTR_ERR_BUSY;
    }

    if (ngx_lyftr_pace_busy(store->channels[NGX_LYFTR_CHANNEL_WRITE])
        >= NGX_LYFTR_HEALTH_PATIENCE)
    {
        return NGX_LYFTR_ERR_TIMEOUT;
    }

    return NGX_LYFTR_ERR_NONE;
}


/* the housekeeping probes every second, once the store was opened */

ngx_lyftr_err_e
ngx_lyftr_ready_known(ngx_lyftr_store_t *store)
{
    ngx_msec_t           at;
    ngx_lyftr_err_e      error;
    ngx_lyftr_status_t  *status;

    status = store->status;

    error = ngx_lyftr_ready_error(store);

    if (error == NGX_LYFTR_ERR_NONE) {
        error = ngx_lyftr_status_get(status->probe);
    }

    if (error) {
        return error;
    }

    at = ngx_lyftr_status_get(status->probed);

    if (at && (ngx_msec_int_t) (ngx_current_msec - at)
              >= NGX_LYFTR_HEALTH_STALE)
    {
        return NGX_LYFTR_ERR_TIMEOUT;
    }

    return NGX_LYFTR_ERR_NONE;
}


static ngx_int_t
ngx_lyftr_ready_send(ngx_http_request_t *r, ngx_lyftr_err_e error)
{
    u_char            buf[128];
    ngx_str_t         detail;
    ngx_uint_t        share;
    ngx_lyftr_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    share = ngx_lyftr_status_get(ctx->endpoint->store->status->adopted);

    /* nobody knows how much of it before the housekeeping has looked */

    if (error != NGX_LYFTR_ERR_ADOPT || share == 0) {
        return ngx_lyftr_ready_unavailable(r, ngx_lyftr_status_text(error));
    }

    detail.data = buf;
    detail.len = ngx_sprintf(buf, "%V: %ui%% of it so far",
                             ngx_lyftr_status_text(error), share - 1)
                 - buf;

    return ngx_lyftr_ready_unavailable(r, &detail);
}


static ngx_int_t
ngx_lyftr_ready_unavailable(ngx_http_request_t *r, ngx_str_t *detail)
{
    u_char     *p;
    size_t      len;
    ngx_str_t   body;

    len = sizeof("{\"status\":\"unavailable\",\"detail\":}") - 1
          + ngx_lyftr_json_string_len(detail->data, detail->len);

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.data = p;

    p = ngx_cpymem(p, "{\"status\":\"unavailable\",\"detail\":",
                   sizeof("{\"status\":\"unavailable\",\"detail\":") - 1);
    p = ngx_lyftr_json_string(p, detail->data, detail->len);
    *p++ = '}';

    body.len = p - body.data;

    return ngx_lyftr_http_send(r, NGX_HTTP_SERVICE_UNAVAILABLE, &body);
}

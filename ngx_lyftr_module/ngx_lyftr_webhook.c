#include <ngx_lyftr.h>


/* msec: the sum of all skews is to have room */
#define NGX_LYFTR_SKEW_MAX         (365LL * 24 * 3600 * 1000)


static void ngx_lyftr_webhook_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_lyftr_webhook_process(ngx_http_request_t *r);
static ngx_int_t ngx_lyftr_webhook_forged(ngx_http_request_t *r);
static ngx_int_t ngx_lyftr_webhook_unauthorized(ngx_http_request_t *r);
static int64_t ngx_lyftr_webhook_skew(ngx_lyftr_message_t *message);
static ngx_int_t ngx_lyftr_webhook_insert_run(ngx_lyftr_op_t *op,
    ngx_lyftr_backend_t *backend, void *conn, ngx_lyftr_error_t *err);
static void ngx_lyftr_webhook_insert_done(ngx_lyftr_op_t *op);
static ngx_int_t ngx_lyftr_webhook_answer(ngx_http_request_t *r);


static ngx_str_t  ngx_lyftr_webhook_ok = ngx_string("{\"status\":\"ok\"}");


ngx_int_t
ngx_lyftr_webhook_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_uint_t             overload;
    ngx_str_t              detail;
    ngx_lyftr_ctx_t       *ctx;
    ngx_lyftr_loc_conf_t  *llcf;

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_lyftr_module);
    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    if (ctx->result == NGX_LYFTR_INVALID_SIGNATURE) {

        /* a limit has let it wait */

        return ngx_lyftr_webhook_unauthorized(r);
    }

    /* what will be refused is refused before it costs anything */

    overload = ngx_lyftr_pace_overload(
                  ctx->endpoint->store->channels[NGX_LYFTR_CHANNEL_WRITE]);

    if (llcf->secrets->nelts == 0 || overload) {
        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }

        if (overload) {
            return ngx_lyftr_request_refuse(r, NGX_LYFTR_CHANNEL_WRITE);
        }

        ngx_str_set(&detail, "no webhook secret is configured");

        return ngx_lyftr_http_unavailable(r, &detail, 1);
    }

    rc = ngx_http_read_client_request_body(r, ngx_lyftr_webhook_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static void
ngx_lyftr_webhook_body_handler(ngx_http_request_t *r)
{
    ngx_http_finalize_request(r, ngx_lyftr_webhook_process(r));
}


static ngx_int_t
ngx_lyftr_webhook_process(ngx_http_request_t *r)
{
    u_char               *arena;
    ngx_int_t             rc;
    ngx_str_t             body;
    ngx_lyftr_ctx_t      *ctx;
    ngx_lyftr_faults_t    faults;
    ngx_lyftr_message_t  *message;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    if (ngx_lyftr_http_body(r, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_lyftr_signature_verify(r, &body) != NGX_OK) {
        return ngx_lyftr_webhook_forged(r);
    }

    message = ngx_palloc(r->pool, sizeof(ngx_lyftr_message_t));
    arena = ngx_pnalloc(r->pool, body.len + 1);

    if (message == NULL || arena == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_lyftr_message_parse(body.data, body.len, arena, message, &faults);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->message_id = message->message_id;

    if (rc == NGX_DECLINED) {
        ctx->result = NGX_LYFTR_VALIDATION_ERROR;

        return ngx_lyftr_http_faults(r, &faults);
    }

    ctx->op.skew = ngx_lyftr_webhook_skew(message);

    return ngx_lyftr_request_submit(r, NGX_LYFTR_CHANNEL_WRITE,
                                    ngx_lyftr_webhook_insert_run,
                                    ngx_lyftr_webhook_insert_done, message,
                                    ngx_lyftr_webhook_answer);
}


/*
 * Limits of nginx are asked once more, now that they can know the result.  One
 * that lets the request wait runs the phases again, which are at our handler.
 */

static ngx_int_t
ngx_lyftr_webhook_forged(ngx_http_request_t *r)
{
    ngx_int_t                   rc, i;
    ngx_array_t                *handlers;
    ngx_lyftr_ctx_t            *ctx;
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);
    ctx->result = NGX_LYFTR_INVALID_SIGNATURE;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    handlers = &cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers;
    h = handlers->elts;

    /* in the order of the phase */

    for (i = handlers->nelts - 1; i >= 0; i--) {
        rc = h[i](r);

        if (rc == NGX_OK) {
            break;
        }

        if (rc == NGX_AGAIN || rc == NGX_DONE) {
            r->main->count++;
            return NGX_DONE;
        }

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    return ngx_lyftr_webhook_unauthorized(r);
}


static ngx_int_t
ngx_lyftr_webhook_unauthorized(ngx_http_request_t *r)
{
    ngx_str_t  detail;

    ngx_str_set(&detail, "invalid signature");

    return ngx_lyftr_http_error(r, NGX_HTTP_UNAUTHORIZED, &detail);
}


/* how long ago the message says it was made; less than 0: it is to come */

static int64_t
ngx_lyftr_webhook_skew(ngx_lyftr_message_t *message)
{
    int64_t      skew;
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    skew = (int64_t) tp->sec * 1000 + (int64_t) tp->msec
           - ngx_lyftr_instant_msec(&message->instant);

    skew = ngx_min(skew, NGX_LYFTR_SKEW_MAX);

    return ngx_max(skew, -NGX_LYFTR_SKEW_MAX);
}


/* in a pool thread */

static ngx_int_t
ngx_lyftr_webhook_insert_run(ngx_lyftr_op_t *op, ngx_lyftr_backend_t *backend,
    void *conn, ngx_lyftr_error_t *err)
{
    return backend->insert(conn, op->data, err);
}


/*
 * Counted here and not when the request goes on: one whose client has left is
 * never resumed, yet its row is stored.
 */

static void
ngx_lyftr_webhook_insert_done(ngx_lyftr_op_t *op)
{
    ngx_lyftr_ctx_t  *ctx;

    if (op->rc == NGX_ERROR) {
        return;
    }

    ctx = ngx_lyftr_op_ctx(op);

    ctx->result = (op->rc == NGX_OK) ? NGX_LYFTR_CREATED
                                     : NGX_LYFTR_DUPLICATE;

    ctx->counted = 1;

    ngx_lyftr_metrics_result(ctx->main, ctx->result);
}


static ngx_int_t
ngx_lyftr_webhook_answer(ngx_http_request_t *r)
{
    ngx_lyftr_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    if (ngx_lyftr_request_failed(ctx)) {
        return ngx_lyftr_request_failure(r);
    }

    return ngx_lyftr_http_send(r, NGX_HTTP_OK, &ngx_lyftr_webhook_ok);
}

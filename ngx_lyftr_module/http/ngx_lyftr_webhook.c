#include <ngx_lyftr_delivery.h>


/* what a larger body costs would hold up the event loop */
#define NGX_LYFTR_WEBHOOK_LARGE    (256 * 1024)


static ngx_uint_t ngx_lyftr_webhook_incomplete(ngx_http_request_t *r);
static void ngx_lyftr_webhook_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_lyftr_webhook_process(ngx_http_request_t *r);
static ngx_lyftr_scratch_t *ngx_lyftr_webhook_scratch(ngx_http_request_t *r,
    size_t len);
static ngx_int_t ngx_lyftr_webhook_check_run(ngx_lyftr_op_t *op,
    ngx_lyftr_backend_t *backend, void *conn, ngx_lyftr_error_t *err);
static void ngx_lyftr_webhook_check(ngx_lyftr_delivery_t *delivery);
static ngx_int_t ngx_lyftr_webhook_checked(ngx_http_request_t *r);
static ngx_int_t ngx_lyftr_webhook_verified(ngx_http_request_t *r,
    ngx_lyftr_delivery_t *delivery);
static ngx_int_t ngx_lyftr_webhook_init(ngx_http_request_t *r,
    ngx_lyftr_delivery_t *delivery);
static ngx_int_t ngx_lyftr_webhook_parse(ngx_lyftr_delivery_t *delivery);
static ngx_int_t ngx_lyftr_webhook_store(ngx_http_request_t *r,
    ngx_lyftr_delivery_t *delivery);
static ngx_int_t ngx_lyftr_webhook_forged(ngx_http_request_t *r);
static ngx_int_t ngx_lyftr_webhook_unauthorized(ngx_http_request_t *r);
static ngx_int_t ngx_lyftr_webhook_fault(ngx_http_request_t *r);
static void ngx_lyftr_webhook_done(ngx_lyftr_ctx_t *ctx);
static ngx_int_t ngx_lyftr_webhook_answer(ngx_http_request_t *r);


static ngx_str_t  ngx_lyftr_webhook_ok = ngx_string("{\"status\":\"ok\"}");


ngx_lyftr_format_t  ngx_lyftr_webhook_format = {
    ngx_string("lyftr"),
    ngx_null_string,
    ngx_lyftr_webhook_init,
    ngx_lyftr_webhook_parse,
    ngx_lyftr_webhook_store
};


ngx_int_t
ngx_lyftr_webhook_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_uint_t             overload, incomplete;
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

    incomplete = ngx_lyftr_webhook_incomplete(r);

    if (llcf->keys->nelts == 0 || overload || incomplete) {
        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }

        if (overload) {
            return ngx_lyftr_request_refuse(r, NGX_LYFTR_CHANNEL_WRITE);
        }

        if (incomplete) {
            return ngx_lyftr_webhook_fault(r);
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


/*
 * Of a body that another handler has begun to pass on unbuffered, or that was
 * discarded, the rest would be taken for the whole.
 */

static ngx_uint_t
ngx_lyftr_webhook_incomplete(ngx_http_request_t *r)
{
    return r->discard_body
           || r->reading_body
           || (r->request_body && r->request_body_no_buffering);
}


static void
ngx_lyftr_webhook_body_handler(ngx_http_request_t *r)
{
    ngx_http_finalize_request(r, ngx_lyftr_webhook_process(r));
}


static ngx_int_t
ngx_lyftr_webhook_process(ngx_http_request_t *r)
{
    ngx_lyftr_ctx_t       *ctx;
    ngx_lyftr_delivery_t  *delivery;

    delivery = ngx_pcalloc(r->pool, sizeof(ngx_lyftr_delivery_t));
    if (delivery == NULL) {
        return ngx_lyftr_webhook_fault(r);
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    delivery->format = ctx->endpoint->format;

    if (ngx_lyftr_signature_read(r, &delivery->proof) != NGX_OK) {
        return ngx_lyftr_webhook_forged(r);
    }

    if (ngx_lyftr_http_body(r, &delivery->body) != NGX_OK) {
        return ngx_lyftr_webhook_fault(r);
    }

    delivery->scratch = ngx_lyftr_webhook_scratch(r, delivery->body.text.len);

    if (delivery->scratch == NULL
        || delivery->format->init(r, delivery) != NGX_OK)
    {
        return ngx_lyftr_webhook_fault(r);
    }

    if (delivery->body.text.len <= NGX_LYFTR_WEBHOOK_LARGE) {
        ngx_lyftr_webhook_check(delivery);
        return ngx_lyftr_webhook_verified(r, delivery);
    }

    if (ngx_lyftr_signature_detach(r, &delivery->proof) != NGX_OK) {
        return ngx_lyftr_webhook_fault(r);
    }

    return ngx_lyftr_request_submit(r, NGX_LYFTR_CHANNEL_BODY,
                                    ngx_lyftr_webhook_check_run, NULL,
                                    delivery, ngx_lyftr_webhook_checked);
}


/* the event loop checks one delivery after the other, in the same memory */

static ngx_lyftr_scratch_t *
ngx_lyftr_webhook_scratch(ngx_http_request_t *r, size_t len)
{
    ngx_lyftr_scratch_t         *scratch;
    static ngx_lyftr_scratch_t   loop;

    if (len <= NGX_LYFTR_WEBHOOK_LARGE) {

        if (loop.memory.data == NULL) {
            loop.memory.len = ngx_lyftr_message_memory(NGX_LYFTR_WEBHOOK_LARGE);
            loop.memory.data = ngx_alloc(loop.memory.len, r->connection->log);
        }

        return loop.memory.data ? &loop : NULL;
    }

    scratch = ngx_palloc(r->pool, sizeof(ngx_lyftr_scratch_t));
    if (scratch == NULL) {
        return NULL;
    }

    scratch->memory.len = ngx_lyftr_message_memory(len);
    scratch->memory.data = ngx_palloc(r->pool, scratch->memory.len);

    return scratch->memory.data ? scratch : NULL;
}


/* in a pool thread */

static ngx_int_t
ngx_lyftr_webhook_check_run(ngx_lyftr_op_t *op, ngx_lyftr_backend_t *backend,
    void *conn, ngx_lyftr_error_t *err)
{
    ngx_lyftr_webhook_check(op->data);

    return NGX_OK;
}


/* maybe in a pool thread; each of these only if the one before it went well */

static void
ngx_lyftr_webhook_check(ngx_lyftr_delivery_t *delivery)
{
    ngx_str_t  *text;

    text = &delivery->body.text;

    delivery->collected = ngx_lyftr_http_collect(&delivery->body);

    if (delivery->collected != NGX_OK) {
        return;
    }

    delivery->verified = ngx_lyftr_signature_verify(&delivery->proof, text);

    if (delivery->verified != NGX_OK) {
        return;
    }

    delivery->parsed = delivery->format->parse(delivery);
}


static ngx_int_t
ngx_lyftr_webhook_checked(ngx_http_request_t *r)
{
    ngx_lyftr_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    if (ngx_lyftr_request_failed(ctx)) {
        return ngx_lyftr_request_failure(r);
    }

    return ngx_lyftr_webhook_verified(r, ctx->op.data);
}


static ngx_int_t
ngx_lyftr_webhook_verified(ngx_http_request_t *r,
    ngx_lyftr_delivery_t *delivery)
{
    ngx_lyftr_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    if (delivery->collected != NGX_OK) {
        ngx_log_error(NGX_LOG_CRIT, r->connection->log, delivery->body.err,
                      "could not read the request body from \"%V\"",
                      &r->request_body->temp_file->file.name);
        return ngx_lyftr_webhook_fault(r);
    }

    if (delivery->verified == NGX_ERROR) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "ngx_lyftr_hmac_sign() failed");
        return ngx_lyftr_webhook_fault(r);
    }

    if (delivery->verified == NGX_DECLINED) {
        ngx_lyftr_counters_refused(ctx->main, NGX_LYFTR_SIGNATURE_MISMATCH);
        return ngx_lyftr_webhook_forged(r);
    }

    if (ngx_lyftr_signature_timely(r, &delivery->proof) != NGX_OK) {
        ngx_lyftr_counters_refused(ctx->main, NGX_LYFTR_SIGNATURE_WINDOW);
        return ngx_lyftr_webhook_forged(r);
    }

    ctx->secret = delivery->proof.secret;

    ngx_lyftr_counters_verified(ctx->main, ctx->secret);

    if (delivery->parsed == NGX_ERROR) {
        return ngx_lyftr_webhook_fault(r);
    }

    ctx->message_id = delivery->message.message_id;

    if (delivery->parsed == NGX_DECLINED) {
        ctx->result = NGX_LYFTR_VALIDATION_ERROR;

        return ngx_lyftr_http_faults(r, &delivery->scratch->faults);
    }

    return delivery->format->store(r, delivery);
}


/* a delivery of one message */

static ngx_int_t
ngx_lyftr_webhook_init(ngx_http_request_t *r, ngx_lyftr_delivery_t *delivery)
{
    delivery->strings = ngx_pnalloc(r->pool, delivery->body.text.len + 1);

    return delivery->strings ? NGX_OK : NGX_ERROR;
}


/* maybe in a pool thread */

static ngx_int_t
ngx_lyftr_webhook_parse(ngx_lyftr_delivery_t *delivery)
{
    return ngx_lyftr_message_parse(delivery->body.text.data,
                                   delivery->body.text.len,
                                   delivery->strings,
                                   &delivery->scratch->memory,
                                   &delivery->message,
                                   &delivery->scratch->faults);
}


static ngx_int_t
ngx_lyftr_webhook_store(ngx_http_request_t *r, ngx_lyftr_delivery_t *delivery)
{
    ngx_lyftr_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    return ngx_lyftr_request_write(r, ctx->endpoint->store, &delivery->message,
                                   1, ngx_lyftr_webhook_done, delivery,
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

            /* nor is leaving a way around the limit */

            r->read_event_handler = ngx_http_block_reading;

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


/* no memory, or no body, on our side: the sender is to try again */

static ngx_int_t
ngx_lyftr_webhook_fault(ngx_http_request_t *r)
{
    ngx_str_t  detail;

    ngx_str_set(&detail, "the delivery could not be checked");

    return ngx_lyftr_http_unavailable(r, &detail, 1);
}


/*
 * Counted here and not when the request goes on: one whose client has left is
 * never resumed, yet its row is stored.
 */

static void
ngx_lyftr_webhook_done(ngx_lyftr_ctx_t *ctx)
{
    if (ctx->op.rc == NGX_ERROR) {
        return;
    }

    ctx->result = ctx->op.write.messages[0].known ? NGX_LYFTR_DUPLICATE
                                                  : NGX_LYFTR_CREATED;

    ctx->counted = 1;

    ngx_lyftr_counters_result(ctx->main, ctx->result);
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

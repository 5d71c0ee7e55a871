#include <ngx_lyftr_delivery.h>


/*
 * Deliveries with many items: messages, and statuses of those that were sent.
 * The stores of both are asked one after the other, and share a deadline.
 */


static ngx_int_t ngx_lyftr_items_init(ngx_http_request_t *r,
    ngx_lyftr_delivery_t *delivery);
static void ngx_lyftr_items_cleanup(void *data);
static ngx_int_t ngx_lyftr_items_parse(ngx_lyftr_delivery_t *delivery);
static ngx_int_t ngx_lyftr_items_store(ngx_http_request_t *r,
    ngx_lyftr_delivery_t *delivery);
static ngx_int_t ngx_lyftr_items_next(ngx_http_request_t *r,
    ngx_lyftr_delivery_t *delivery);
static void ngx_lyftr_items_done(ngx_lyftr_ctx_t *ctx);
static void ngx_lyftr_items_finish(ngx_lyftr_ctx_t *ctx,
    ngx_lyftr_delivery_t *delivery);
static ngx_int_t ngx_lyftr_items_answer(ngx_http_request_t *r);


static ngx_str_t  ngx_lyftr_items_ok = ngx_string("{\"status\":\"ok\"}");


ngx_lyftr_format_t  ngx_lyftr_items_format = {
    ngx_string("whatsapp"),
    ngx_string("hub"),
    ngx_lyftr_items_init,
    ngx_lyftr_items_parse,
    ngx_lyftr_items_store
};


/* a pool thread allocates the rows, and does not know the request's pool */

static ngx_int_t
ngx_lyftr_items_init(ngx_http_request_t *r, ngx_lyftr_delivery_t *delivery)
{
    u_char              *p;
    ngx_tm_t             tm;
    ngx_time_t          *tp;
    ngx_lyftr_ctx_t     *ctx;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_lyftr_items_cleanup;
    cln->data = delivery;

    p = ngx_pnalloc(r->pool, sizeof("1970-09-28T12:00:00.000Z") - 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    tp = ngx_timeofday();
    ngx_gmtime(tp->sec, &tm);

    delivery->receipt.data = p;

    p = ngx_sprintf(p, "%04d-%02d-%02dT%02d:%02d:%02d.%03MZ", tm.ngx_tm_year,
                    tm.ngx_tm_mon, tm.ngx_tm_mday, tm.ngx_tm_hour,
                    tm.ngx_tm_min, tm.ngx_tm_sec, tp->msec);

    delivery->receipt.len = p - delivery->receipt.data;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    delivery->keep_statuses = (ctx->endpoint->statuses != NULL);

    return NGX_OK;
}


static void
ngx_lyftr_items_cleanup(void *data)
{
    ngx_lyftr_delivery_t *delivery = data;

    free(delivery->rows.memory);
}


/* maybe in a pool thread */

static ngx_int_t
ngx_lyftr_items_parse(ngx_lyftr_delivery_t *delivery)
{
    ngx_int_t             rc;
    ngx_lyftr_whatsapp_t  wa;

    ngx_memzero(&wa, sizeof(ngx_lyftr_whatsapp_t));

    rc = ngx_lyftr_whatsapp_parse(&delivery->body.text,
                                  &delivery->scratch->memory, &wa,
                                  &delivery->scratch->faults);

    if (rc == NGX_OK) {
        delivery->other = wa.other;

        rc = ngx_lyftr_whatsapp_make(&wa, &delivery->receipt,
                                     delivery->keep_statuses,
                                     &delivery->rows);
    }

    free(wa.items);

    return rc;
}


static ngx_int_t
ngx_lyftr_items_store(ngx_http_request_t *r, ngx_lyftr_delivery_t *delivery)
{
    ngx_lyftr_ctx_t            *ctx;
    ngx_lyftr_delivery_part_t  *part;
    ngx_lyftr_whatsapp_rows_t  *rows;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    rows = &delivery->rows;

    ctx->message_id = rows->first;
    ctx->items = rows->nmessages + rows->messages_again
                 + rows->nstatuses + rows->statuses_again;

    part = delivery->parts;

    if (rows->nmessages) {
        part->store = ctx->endpoint->store;
        part->messages = rows->messages;
        part->n = rows->nmessages;
        part->again = rows->messages_again;
        part->item = NGX_LYFTR_ITEM_CREATED;
        part++;
    }

    if (rows->nstatuses && rows->statuses) {
        part->store = ctx->endpoint->statuses;
        part->messages = rows->statuses;
        part->n = rows->nstatuses;
        part->again = rows->statuses_again;
        part->item = NGX_LYFTR_ITEM_STATUS;
        part++;
    }

    delivery->nparts = part - delivery->parts;

    if (delivery->nparts == 0) {
        ngx_lyftr_items_finish(ctx, delivery);
    }

    return ngx_lyftr_items_next(r, delivery);
}


/* the next store, or the answer */

static ngx_int_t
ngx_lyftr_items_next(ngx_http_request_t *r, ngx_lyftr_delivery_t *delivery)
{
    ngx_lyftr_delivery_part_t  *part;

    if (delivery->stored == delivery->nparts) {
        return ngx_lyftr_http_send(r, NGX_HTTP_OK, &ngx_lyftr_items_ok);
    }

    part = &delivery->parts[delivery->stored];

    return ngx_lyftr_request_write(r, part->store, part->messages, part->n,
                                   ngx_lyftr_items_done, delivery,
                                   ngx_lyftr_items_answer);
}


/* what is durable counts, whatever the answer will be, and if there is one */

static void
ngx_lyftr_items_done(ngx_lyftr_ctx_t *ctx)
{
    ngx_uint_t                  i, n[NGX_LYFTR_ITEM_STATUS];
    ngx_lyftr_item_e            item;
    ngx_lyftr_message_t        *m;
    ngx_lyftr_delivery_t       *delivery;
    ngx_lyftr_delivery_part_t  *part;

    if (ctx->op.rc == NGX_ERROR) {
        return;
    }

    delivery = ctx->op.data;
    part = &delivery->parts[delivery->stored++];

    ngx_memzero(n, sizeof(n));

    for (i = 0; i < part->n; i++) {
        m = &part->messages[i];

        item = m->known
               ? NGX_LYFTR_ITEM_DUPLICATE
               : (m->type.data == ngx_lyftr_whatsapp_malformed.data)
                 ? NGX_LYFTR_ITEM_MALFORMED : NGX_LYFTR_ITEM_CREATED;

        n[item]++;
    }

    if (n[NGX_LYFTR_ITEM_DUPLICATE] < part->n) {
        ctx->result = NGX_LYFTR_CREATED;

    } else if (ctx->result != NGX_LYFTR_CREATED) {
        ctx->result = NGX_LYFTR_DUPLICATE;
    }

    n[NGX_LYFTR_ITEM_DUPLICATE] += part->again;

    for (i = 0; i < NGX_LYFTR_ITEM_STATUS; i++) {
        ngx_lyftr_counters_items(ctx->main, ctx->endpoint, part->item + i,
                                 n[i]);
    }

    if (delivery->stored == delivery->nparts) {
        ngx_lyftr_items_finish(ctx, delivery);

    } else if (ctx->expired) {
        ctx->result = NGX_LYFTR_UNAVAILABLE;
    }
}


/* nothing is left to be stored: what no store is asked for counts once */

static void
ngx_lyftr_items_finish(ngx_lyftr_ctx_t *ctx, ngx_lyftr_delivery_t *delivery)
{
    if (delivery->rows.statuses == NULL) {
        ngx_lyftr_counters_items(ctx->main, ctx->endpoint,
                                 NGX_LYFTR_ITEM_STATUS_IGNORED,
                                 delivery->rows.nstatuses
                                 + delivery->rows.statuses_again);
    }

    ngx_lyftr_counters_items(ctx->main, ctx->endpoint,
                             NGX_LYFTR_ITEM_OTHER_IGNORED, delivery->other);

    if (delivery->nparts == 0) {
        ctx->result = NGX_LYFTR_IGNORED;
    }

    ctx->counted = 1;

    ngx_lyftr_counters_result(ctx->main, ctx->result);
}


static ngx_int_t
ngx_lyftr_items_answer(ngx_http_request_t *r)
{
    ngx_lyftr_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    if (ngx_lyftr_request_failed(ctx)) {
        ctx->result = NGX_LYFTR_UNAVAILABLE;

        return ngx_lyftr_request_failure(r);
    }

    return ngx_lyftr_items_next(r, ctx->op.data);
}

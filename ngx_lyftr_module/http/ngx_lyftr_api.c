#include <ngx_lyftr_request.h>


/* a proxy may have a buffer of 4 KB for all headers */
#define NGX_LYFTR_LINK_MAX         2048

/* bytes of items, after the first one */
#define NGX_LYFTR_PAGE_MAX         (8 * 1024 * 1024)


/*
 * What a reading operation writes to.  The pool is its own, made and destroyed
 * by the event loop, for a pool thread must not allocate from the request's.
 */

typedef struct {
    ngx_pool_t                   *pool;
    ngx_lyftr_output_t            out;
    size_t                        size;          /* of the items */
    ngx_lyftr_query_t             query;
    ngx_lyftr_page_t              page;
} ngx_lyftr_reply_t;


static ngx_lyftr_reply_t *ngx_lyftr_api_create_reply(ngx_http_request_t *r);
static void ngx_lyftr_api_cleanup(void *data);

static ngx_int_t ngx_lyftr_messages_run(ngx_lyftr_op_t *op,
    ngx_lyftr_backend_t *backend, void *conn, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_messages_row(void *data, ngx_lyftr_message_t *row,
    ngx_lyftr_position_t *position);
static ngx_int_t ngx_lyftr_messages_answer(ngx_http_request_t *r);
static ngx_int_t ngx_lyftr_messages_next(ngx_http_request_t *r,
    ngx_lyftr_reply_t *reply);

static ngx_int_t ngx_lyftr_stats_run(ngx_lyftr_op_t *op,
    ngx_lyftr_backend_t *backend, void *conn, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_stats_answer(ngx_http_request_t *r);

static ngx_int_t ngx_lyftr_api_answer(ngx_http_request_t *r,
    ngx_lyftr_reply_t *reply);


ngx_int_t
ngx_lyftr_messages_handler(ngx_http_request_t *r)
{
    u_char              *arena;
    ngx_int_t            rc;
    ngx_lyftr_reply_t   *reply;
    ngx_lyftr_faults_t   faults;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    reply = ngx_lyftr_api_create_reply(r);
    if (reply == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    arena = ngx_pnalloc(r->pool, r->args.len + 1);
    if (arena == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_lyftr_query_parse(&r->args, arena, &reply->query, &faults)
        != NGX_OK)
    {
        return ngx_lyftr_http_faults(r, &faults);
    }

    return ngx_lyftr_request_submit(r, NGX_LYFTR_CHANNEL_READ,
                                    ngx_lyftr_messages_run, NULL, reply,
                                    ngx_lyftr_messages_answer);
}


ngx_int_t
ngx_lyftr_stats_handler(ngx_http_request_t *r)
{
    ngx_int_t           rc;
    ngx_lyftr_reply_t  *reply;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    reply = ngx_lyftr_api_create_reply(r);
    if (reply == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_lyftr_request_submit(r, NGX_LYFTR_CHANNEL_READ,
                                    ngx_lyftr_stats_run, NULL, reply,
                                    ngx_lyftr_stats_answer);
}


static ngx_lyftr_reply_t *
ngx_lyftr_api_create_reply(ngx_http_request_t *r)
{
    ngx_lyftr_reply_t   *reply;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_lyftr_reply_t));
    if (cln == NULL) {
        return NULL;
    }

    reply = cln->data;
    ngx_memzero(reply, sizeof(ngx_lyftr_reply_t));

    reply->pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, ngx_cycle->log);
    if (reply->pool == NULL) {
        return NULL;
    }

    ngx_lyftr_output_init(&reply->out, reply->pool);

    cln->handler = ngx_lyftr_api_cleanup;

    return reply;
}


static void
ngx_lyftr_api_cleanup(void *data)
{
    ngx_lyftr_reply_t  *reply = data;

    ngx_destroy_pool(reply->pool);
}


/* in a pool thread */

static ngx_int_t
ngx_lyftr_messages_run(ngx_lyftr_op_t *op, ngx_lyftr_backend_t *backend,
    void *conn, ngx_lyftr_error_t *err)
{
    size_t              size;
    ngx_int_t           rc;
    ngx_lyftr_reply_t  *reply;

    reply = op->data;

    if (ngx_lyftr_output_reserve(&reply->out, sizeof("{\"data\":["))
        != NGX_OK)
    {
        goto failed;
    }

    ngx_lyftr_output_literal(&reply->out, "{\"data\":[");

    rc = backend->list(conn, &reply->query, ngx_lyftr_messages_row, reply,
                       &reply->page, err);
    if (rc != NGX_OK) {
        return rc;
    }

    size = sizeof("],\"total\":,\"limit\":,\"offset\":}") + 3 * NGX_INT64_LEN;

    if (ngx_lyftr_output_reserve(&reply->out, size) != NGX_OK) {
        goto failed;
    }

    ngx_lyftr_output_literal(&reply->out, "],\"total\":");
    ngx_lyftr_output_int(&reply->out, reply->page.total);
    ngx_lyftr_output_literal(&reply->out, ",\"limit\":");
    ngx_lyftr_output_int(&reply->out, reply->query.limit);
    ngx_lyftr_output_literal(&reply->out, ",\"offset\":");
    ngx_lyftr_output_int(&reply->out, reply->query.offset);
    ngx_lyftr_output_literal(&reply->out, "}");

    return NGX_OK;

failed:

    return ngx_lyftr_request_memory(err);
}


/* in a pool thread */

static ngx_int_t
ngx_lyftr_messages_row(void *data, ngx_lyftr_message_t *row,
    ngx_lyftr_position_t *position)
{
    ngx_lyftr_reply_t *reply = data;

    size_t      len;
    ngx_buf_t  *b;

    len = ngx_lyftr_item_len(row, position, reply->query.fields);

    if (reply->size && reply->size + len > NGX_LYFTR_PAGE_MAX) {
        return NGX_DONE;
    }

    if (ngx_lyftr_output_reserve(&reply->out, 1 + len) != NGX_OK) {
        return NGX_ERROR;
    }

    if (reply->size) {
        ngx_lyftr_output_literal(&reply->out, ",");
    }

    b = reply->out.buf;
    b->last = ngx_lyftr_item_write(b->last, row, position,
                                   reply->query.fields);

    reply->size += len;

    return NGX_OK;
}


/* in a pool thread */

static ngx_int_t
ngx_lyftr_stats_run(ngx_lyftr_op_t *op, ngx_lyftr_backend_t *backend,
    void *conn, ngx_lyftr_error_t *err)
{
    size_t               size;
    ngx_int_t            rc;
    ngx_uint_t           i;
    ngx_lyftr_reply_t   *reply;
    ngx_lyftr_stats_t    stats;

    reply = op->data;

    rc = backend->stats(conn, &stats, err);
    if (rc != NGX_OK) {
        return rc;
    }

    size = sizeof("{\"total_messages\":,\"senders_count\":,"
                  "\"messages_per_sender\":[],"
                  "\"first_message_ts\":,\"last_message_ts\":}")
           + 2 * NGX_INT64_LEN
           + ngx_lyftr_output_string_len(&stats.first)
           + ngx_lyftr_output_string_len(&stats.last);

    for (i = 0; i < stats.ntop; i++) {
        size += sizeof(",{\"from\":,\"count\":}") + NGX_INT64_LEN
                + ngx_lyftr_output_string_len(&stats.top[i].from);
    }

    if (ngx_lyftr_output_reserve(&reply->out, size) != NGX_OK) {
        return ngx_lyftr_request_memory(err);
    }

    ngx_lyftr_output_literal(&reply->out, "{\"total_messages\":");
    ngx_lyftr_output_int(&reply->out, stats.total);
    ngx_lyftr_output_literal(&reply->out, ",\"senders_count\":");
    ngx_lyftr_output_int(&reply->out, stats.senders);
    ngx_lyftr_output_literal(&reply->out, ",\"messages_per_sender\":[");

    for (i = 0; i < stats.ntop; i++) {
        ngx_lyftr_output_literal(&reply->out, i ? ",{\"from\":" : "{\"from\":");
        ngx_lyftr_output_string(&reply->out, &stats.top[i].from);
        ngx_lyftr_output_literal(&reply->out, ",\"count\":");
        ngx_lyftr_output_int(&reply->out, stats.top[i].count);
        ngx_lyftr_output_literal(&reply->out, "}");
    }

    ngx_lyftr_output_literal(&reply->out, "],\"first_message_ts\":");
    ngx_lyftr_output_string(&reply->out, &stats.first);
    ngx_lyftr_output_literal(&reply->out, ",\"last_message_ts\":");
    ngx_lyftr_output_string(&reply->out, &stats.last);
    ngx_lyftr_output_literal(&reply->out, "}");

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_messages_answer(ngx_http_request_t *r)
{
    ngx_lyftr_ctx_t     *ctx;
    ngx_lyftr_reply_t   *reply;
    ngx_lyftr_faults_t   faults;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    if (ngx_lyftr_request_failed(ctx)) {
        return ngx_lyftr_request_failure(r);
    }

    reply = ctx->op.data;

    if (ctx->op.rc == NGX_DECLINED) {
        ngx_lyftr_query_bad_cursor(&reply->query, &faults);
        return ngx_lyftr_http_faults(r, &faults);
    }

    if (reply->page.next.seq && ngx_lyftr_messages_next(r, reply) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_lyftr_api_answer(r, reply);
}


/* Link: </messages?...>; rel="next" (RFC 8288) */

static ngx_int_t
ngx_lyftr_messages_next(ngx_http_request_t *r, ngx_lyftr_reply_t *reply)
{
    u_char     *p;
    size_t      len;
    uintptr_t   escape;
    ngx_str_t   key, value;

    escape = 2 * ngx_escape_uri(NULL, r->uri.data, r->uri.len,
                                NGX_ESCAPE_URI);

    len = sizeof("<?>; rel=\"next\"") - 1 + r->uri.len + escape
          + ngx_lyftr_query_next_len(&reply->query);

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;

    *p++ = '<';

    if (escape) {
        p = (u_char *) ngx_escape_uri(p, r->uri.data, r->uri.len,
                                      NGX_ESCAPE_URI);
    } else {
        p = ngx_cpymem(p, r->uri.data, r->uri.len);
    }

    *p++ = '?';
    p = ngx_lyftr_query_write_next(p, &reply->query, &reply->page.next);
    p = ngx_cpymem(p, ">; rel=\"next\"", sizeof(">; rel=\"next\"") - 1);

    value.len = p - value.data;

    if (value.len > NGX_LYFTR_LINK_MAX) {
        return NGX_OK;
    }

    ngx_str_set(&key, "Link");

    return ngx_lyftr_http_header(r, &key, &value) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_lyftr_stats_answer(ngx_http_request_t *r)
{
    ngx_lyftr_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    if (ngx_lyftr_request_failed(ctx)) {
        return ngx_lyftr_request_failure(r);
    }

    return ngx_lyftr_api_answer(r, ctx->op.data);
}


static ngx_int_t
ngx_lyftr_api_answer(ngx_http_request_t *r, ngx_lyftr_reply_t *reply)
{
    return ngx_lyftr_http_send_chain(r, NGX_HTTP_OK, &ngx_lyftr_json_type,
                                     reply->out.out,
                                     ngx_lyftr_output_len(&reply->out));
}

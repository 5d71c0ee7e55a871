#include <ngx_lyftr_request.h>


/* seconds: what takes longer than this is not foreseen by what has been */
#define NGX_LYFTR_RETRY_MAX        30

/* r->blocked has eight bits */
#define NGX_LYFTR_BLOCKED_MAX      255

/* milliseconds: what a client gets that has ended its sending, as one that has
 * left does */
#define NGX_LYFTR_HALF_CLOSED      1000


static ngx_lyftr_ctx_t *ngx_lyftr_request_create_ctx(ngx_http_request_t *r,
    ngx_lyftr_endpoint_t *endpoint);
static void ngx_lyftr_request_cleanup(void *data);
static ngx_int_t ngx_lyftr_request_queue(ngx_http_request_t *r,
    ngx_lyftr_ctx_t *ctx, ngx_lyftr_store_t *store,
    ngx_lyftr_channel_e channel);
static ngx_int_t ngx_lyftr_request_watch(ngx_http_request_t *r,
    ngx_lyftr_ctx_t *ctx);
static void ngx_lyftr_request_reading(ngx_http_request_t *r);
static void ngx_lyftr_request_cancel(void *data);
static void ngx_lyftr_request_overload(ngx_lyftr_op_t *op);
static void ngx_lyftr_request_wake(ngx_lyftr_op_t *op);
static void ngx_lyftr_request_expire(ngx_lyftr_ctx_t *ctx);
static void ngx_lyftr_request_done(ngx_lyftr_ctx_t *ctx);
static void ngx_lyftr_request_resume(ngx_http_request_t *r);
static void ngx_lyftr_request_shutdown(ngx_http_request_t *r);


ngx_int_t
ngx_lyftr_request_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_str_t              detail;
    ngx_lyftr_ctx_t       *ctx;
    ngx_lyftr_loc_conf_t  *llcf;

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_lyftr_module);

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "lyftr handler \"%V\"", &llcf->endpoint->name);

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    if (ctx == NULL) {
        ctx = ngx_lyftr_request_create_ctx(r, llcf->endpoint);
        if (ctx == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (ctx->endpoint->kind->methods & r->method) {
        return ctx->endpoint->kind->handler(r);
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_str_set(&detail, "Method Not Allowed");

    return ngx_lyftr_http_error(r, NGX_HTTP_NOT_ALLOWED, &detail);
}


/*
 * An internal redirect zeroes r->ctx.  As the realip module does, the context
 * is found again through a cleanup of the request's pool.
 */

static ngx_lyftr_ctx_t *
ngx_lyftr_request_create_ctx(ngx_http_request_t *r,
    ngx_lyftr_endpoint_t *endpoint)
{
    ngx_lyftr_ctx_t     *ctx;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_lyftr_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_lyftr_ctx_t));

    cln->handler = ngx_lyftr_request_cleanup;

    /*
     * set by ngx_memzero():
     *
     *     ctx->result = NGX_LYFTR_RESULT_NONE;
     *     ctx->message_id = { 0, NULL };
     *     ctx->items = 0;
     *     ctx->secret = NULL;
     *     ctx->op.state = NGX_LYFTR_OP_WAITING;
     */

    ctx->endpoint = endpoint;
    ctx->main = ngx_http_get_module_main_conf(r, ngx_http_lyftr_module);
    ctx->request = r;

    ngx_http_set_ctx(r, ctx, ngx_http_lyftr_module);

    return ctx;
}


static void
ngx_lyftr_request_cleanup(void *data)
{
    /* only marks the context */
}


ngx_lyftr_ctx_t *
ngx_lyftr_request_ctx(ngx_http_request_t *r)
{
    ngx_lyftr_ctx_t     *ctx;
    ngx_pool_cleanup_t  *cln;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    if (ctx || (!r->internal && !r->filter_finalize)) {
        return ctx;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler != ngx_lyftr_request_cleanup) {
            continue;
        }

        ctx = cln->data;

        if (ctx->request == r) {
            return ctx;
        }
    }

    return NULL;
}


ngx_int_t
ngx_lyftr_request_submit(ngx_http_request_t *r, ngx_lyftr_channel_e channel,
    ngx_lyftr_op_run_pt run, ngx_lyftr_done_pt done, void *data,
    ngx_http_handler_pt answer)
{
    ngx_lyftr_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    ctx->op.run = run;
    ctx->op.data = data;

    ctx->done = done;
    ctx->answer = answer;

    return ngx_lyftr_request_queue(r, ctx, ctx->endpoint->store, channel);
}


ngx_int_t
ngx_lyftr_request_write(ngx_http_request_t *r, ngx_lyftr_store_t *store,
    ngx_lyftr_message_t *messages, ngx_uint_t n, ngx_lyftr_done_pt done,
    void *data, ngx_http_handler_pt answer)
{
    ngx_lyftr_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    ctx->op.write.messages = messages;
    ctx->op.write.n = n;
    ctx->op.data = data;

    ctx->done = done;
    ctx->answer = answer;

    return ngx_lyftr_request_queue(r, ctx, store, NGX_LYFTR_CHANNEL_WRITE);
}


static ngx_int_t
ngx_lyftr_request_queue(ngx_http_request_t *r, ngx_lyftr_ctx_t *ctx,
    ngx_lyftr_store_t *store, ngx_lyftr_channel_e channel)
{
    ngx_lyftr_op_t  *op;

    op = &ctx->op;

    op->wake = ngx_lyftr_request_wake;

    if (channel == NGX_LYFTR_CHANNEL_READ
        && ngx_lyftr_request_watch(r, ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    op->channel = store->channels[channel];

    if (r->main->blocked == NGX_LYFTR_BLOCKED_MAX
        || ngx_lyftr_channel_submit(op->channel, op) != NGX_OK)
    {
        ngx_lyftr_request_overload(op);
        return ctx->answer(r);
    }

    r->main->blocked++;
    r->aio = 1;
    r->write_event_handler = ngx_lyftr_request_resume;

    r->main->count++;

    return NGX_DONE;
}


/* a read is for the client, so that it ends when the client leaves */

static ngx_int_t
ngx_lyftr_request_watch(ngx_http_request_t *r, ngx_lyftr_ctx_t *ctx)
{
    ngx_event_t         *rev;
    ngx_http_cleanup_t  *cln;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    /* until it is submitted there is nothing to cancel */

    ctx->op.state = NGX_LYFTR_OP_DONE;

    cln->handler = ngx_lyftr_request_cancel;
    cln->data = ctx;

    if (r != r->main || r->discard_body) {
        return NGX_OK;
    }

    r->read_event_handler = ngx_lyftr_request_reading;

    rev = r->connection->read;

    if (rev->ready) {
        ngx_post_event(rev, &ngx_posted_events);
        return NGX_OK;
    }

    return ngx_handle_read_event(rev, 0);
}


/*
 * The read event handler of a read under way.  The end of what a client sends
 * may be half of a close (RFC 9112, 9.6, and shutdown(2)), or all of it: it has
 * NGX_LYFTR_HALF_CLOSED milliseconds for its answer, an error has none.  While
 * an export is written it is seen which of both it was.
 */

static void
ngx_lyftr_request_reading(ngx_http_request_t *r)
{
    ngx_event_t      *rev;
    ngx_lyftr_ctx_t  *ctx;

    rev = r->connection->read;

    if (r->write_event_handler != ngx_lyftr_request_resume
        || rev->timedout
        || !ngx_lyftr_request_half_closed(r))
    {
        ngx_http_test_reading(r);
        return;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    if (!ctx->half_closed) {
        ctx->half_closed = 1;

        if (!ctx->endpoint->kind->exports) {
            ngx_add_timer(rev, NGX_LYFTR_HALF_CLOSED);
        }
    }
}


ngx_uint_t
ngx_lyftr_request_half_closed(ngx_http_request_t *r)
{
    u_char        buf[1];
    ssize_t       n;
    ngx_event_t  *rev;

    rev = r->connection->read;

    if (r->http_version >= NGX_HTTP_VERSION_20) {
        return 0;
    }

    n = recv(r->connection->fd, (char *) buf, 1, MSG_PEEK);

    if (n == -1 || (n == 1 && !rev->pending_eof)) {
        return 0;
    }

    /* a level-triggered event would come again at once */

    if ((ngx_event_flags & NGX_USE_LEVEL_EVENT)
        && rev->active
        && ngx_del_event(rev, NGX_READ_EVENT, 0) != NGX_OK)
    {
        return 0;
    }

    return 1;
}


/* nothing is left to do if the request has waited for the operation's end */

static void
ngx_lyftr_request_cancel(void *data)
{
    ngx_lyftr_ctx_t *ctx = data;

    if (ngx_lyftr_channel_cancel(&ctx->op) == NGX_OK) {
        ctx->request->main->blocked--;
        ctx->request->aio = 0;
    }
}


ngx_int_t
ngx_lyftr_request_refuse(ngx_http_request_t *r, ngx_lyftr_channel_e channel)
{
    ngx_lyftr_op_t   *op;
    ngx_lyftr_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    op = &ctx->op;

    op->channel = ctx->endpoint->store->channels[channel];

    ngx_lyftr_request_overload(op);

    return ngx_lyftr_request_failure(r);
}


static void
ngx_lyftr_request_overload(ngx_lyftr_op_t *op)
{
    op->state = NGX_LYFTR_OP_DONE;
    op->rc = NGX_ERROR;
    op->error = NGX_LYFTR_ERR_OVERLOAD;
}


static void
ngx_lyftr_request_wake(ngx_lyftr_op_t *op)
{
    if (op->state == NGX_LYFTR_OP_EXPIRED) {
        ngx_lyftr_request_expire(ngx_lyftr_op_ctx(op));
        return;
    }

    ngx_lyftr_request_done(ngx_lyftr_op_ctx(op));
}


/*
 * A thread holds the operation, which is only answered: the request stays until
 * the thread comes back, and its connection is good for no other one.
 */

static void
ngx_lyftr_request_expire(ngx_lyftr_ctx_t *ctx)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ctx->request;
    c = r->connection;

    if (c->error || r->write_event_handler != ngx_lyftr_request_resume) {

        /* its client has left */

        return;
    }

    ctx->expired = 1;

    ngx_http_set_log_request(c->log, r);

    /* the copy filter sends nothing while this is set */

    r->aio = 0;

    r->write_event_handler(r);
    ngx_http_run_posted_requests(c);
}


/*
 * Resumes the request through its write event handler: if the request was
 * terminated meanwhile, that is no longer ours but nginx's finalizer.
 */

static void
ngx_lyftr_request_done(ngx_lyftr_ctx_t *ctx)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ctx->request;
    c = r->connection;

    if (ctx->done) {
        ctx->done(ctx);
    }

    ngx_http_set_log_request(c->log, r);

    r->main->blocked--;

    if (ctx->expired) {

        /* answered, it may be anywhere by now: only the reference is ours */

        ngx_http_finalize_request(r->main, c->error ? NGX_ERROR : NGX_DONE);
        ngx_http_run_posted_requests(c);

        return;
    }

    r->aio = 0;

#if (nginx_version >= 1025004)

    if (r->main->terminated) {
        c->write->handler(c->write);
        return;
    }

#endif

    r->write_event_handler(r);
    ngx_http_run_posted_requests(c);
}


/* the write event handler while an operation of the request is under way */

static void
ngx_lyftr_request_resume(ngx_http_request_t *r)
{
    ngx_uint_t        expired;
    ngx_lyftr_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "lyftr resume state:%d", ctx->op.state);

    if (ctx->op.state != NGX_LYFTR_OP_DONE && !ctx->expired) {

        /* an event of the connection, not the end of the operation */

        return;
    }

    expired = ctx->expired;

    if (expired) {

        /* the thread has a reference, and keeps the connection for so long */

        r->main->count++;
        r->main->keepalive = 0;
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    if (ctx->half_closed && r->connection->read->timer_set) {
        ngx_del_timer(r->connection->read);
    }

    ngx_http_finalize_request(r, ctx->answer(r));

    if (expired) {
        ngx_lyftr_request_shutdown(r->main);
    }
}


/* who waits for the end of the connection need not wait for the thread */

static void
ngx_lyftr_request_shutdown(ngx_http_request_t *r)
{
    ngx_connection_t  *c;

    c = r->connection;

    if (r->http_version >= NGX_HTTP_VERSION_20
        || c->buffered
        || !(r->done || c->error))
    {
        return;
    }

#if (NGX_HTTP_SSL)

    if (c->ssl) {
        return;
    }

#endif

    if (ngx_shutdown_socket(c->fd, NGX_WRITE_SHUTDOWN) == -1) {
        ngx_connection_error(c, ngx_socket_errno,
                             ngx_shutdown_socket_n " failed");
    }
}


/* an operation that has expired may still be written to by its thread */

ngx_int_t
ngx_lyftr_request_failure(ngx_http_request_t *r)
{
    ngx_str_t        *detail;
    time_t            retry;
    ngx_msec_t        wait;
    ngx_lyftr_err_e   error;
    ngx_lyftr_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    error = (ctx->op.state == NGX_LYFTR_OP_EXPIRED) ? NGX_LYFTR_ERR_TIMEOUT
                                                    : ctx->op.error;

    detail = ngx_lyftr_status_text(error);

    if (error == NGX_LYFTR_ERR_DATA) {
        return ngx_lyftr_http_error(r, NGX_HTTP_INTERNAL_SERVER_ERROR, detail);
    }

    wait = ngx_lyftr_pace_wait(ctx->op.channel);

    retry = ngx_min((time_t) (wait / 1000 + 1), NGX_LYFTR_RETRY_MAX);

    return ngx_lyftr_http_unavailable(r, detail, retry);
}

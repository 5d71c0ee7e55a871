#include <ngx_lyftr_export.h>


/* of a process */
#define NGX_LYFTR_EXPORT_MAX       4

/*
 * Rows that a page looks at, and bytes and msec after which it ends: less than
 * a checkpoint waits for its snapshot.  Rows between two looks at the clock.
 */
#define NGX_LYFTR_EXPORT_ROWS      2000
#define NGX_LYFTR_EXPORT_SIZE      (256 * 1024)
#define NGX_LYFTR_EXPORT_STEP      3
#define NGX_LYFTR_EXPORT_LOOK      32

/*
 * It gives way: for each message that was stored meanwhile it rests for so many
 * microseconds, but at most so many times as long as it worked.
 */
#define NGX_LYFTR_EXPORT_REST      100
#define NGX_LYFTR_EXPORT_REST_MAX  4

#define NGX_LYFTR_EXPORT_HEAD      128

/* bytes that are set aside for a row without measuring it */
#define NGX_LYFTR_EXPORT_ROOM      8192


static ngx_lyftr_export_t *ngx_lyftr_export_create(ngx_http_request_t *r);
static ngx_int_t ngx_lyftr_export_needle(ngx_lyftr_export_t *e);
static ngx_int_t ngx_lyftr_export_first(ngx_lyftr_op_t *op,
    ngx_lyftr_backend_t *backend, void *conn, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_export_run(ngx_lyftr_op_t *op,
    ngx_lyftr_backend_t *backend, void *conn, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_export_row(void *data, ngx_lyftr_message_t *row,
    ngx_lyftr_position_t *position);
static ngx_uint_t ngx_lyftr_export_late(ngx_lyftr_export_t *e);
static ngx_uint_t ngx_lyftr_export_match(ngx_lyftr_export_t *e,
    ngx_lyftr_message_t *row);
static ngx_int_t ngx_lyftr_export_answer(ngx_http_request_t *r);
static ngx_int_t ngx_lyftr_export_send(ngx_lyftr_export_t *e);
static ngx_int_t ngx_lyftr_export_wait(ngx_lyftr_export_t *e);
static ngx_int_t ngx_lyftr_export_next(ngx_lyftr_export_t *e);
static ngx_msec_t ngx_lyftr_export_rest(ngx_lyftr_export_t *e);
static void ngx_lyftr_export_rested(ngx_event_t *ev);
static ngx_int_t ngx_lyftr_export_read(ngx_lyftr_export_t *e);
static ngx_int_t ngx_lyftr_export_text(ngx_lyftr_export_t *e);
static void ngx_lyftr_export_wake(ngx_lyftr_op_t *op);
static void ngx_lyftr_export_go(ngx_lyftr_export_t *e, ngx_int_t rc);
static void ngx_lyftr_export_reader(ngx_http_request_t *r);
static void ngx_lyftr_export_writer(ngx_http_request_t *r);
static void ngx_lyftr_export_abort(ngx_lyftr_export_t *e);
static ngx_int_t ngx_lyftr_export_reset(ngx_http_request_t *r);
static void ngx_lyftr_export_cleanup(void *data);
static void ngx_lyftr_export_release(void *data);


ngx_int_t
ngx_lyftr_export_param(ngx_conf_t *cf, ngx_lyftr_endpoint_t *endpoint,
    ngx_str_t *arg)
{
    if (ngx_strncmp(arg->data, "max=", 4) != 0) {
        return NGX_DECLINED;
    }

    return ngx_lyftr_stream_param(cf, endpoint, arg);
}


ngx_int_t
ngx_lyftr_export_handler(ngx_http_request_t *r)
{
    u_char                *arena;
    ngx_int_t              rc;
    ngx_str_t              detail;
    ngx_uint_t             max;
    ngx_lyftr_ctx_t       *ctx;
    ngx_lyftr_export_t    *e;
    ngx_lyftr_faults_t     faults;
    ngx_lyftr_endpoint_t  *endpoint;

    if (r != r->main) {
        return NGX_HTTP_NOT_FOUND;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    e = ngx_lyftr_export_create(r);
    if (e == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    arena = ngx_pnalloc(e->pool, r->args.len + 1);
    if (arena == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_lyftr_query_parse_as(NGX_LYFTR_QUERY_EXPORT, &r->args, arena,
                                 &e->query, &faults)
        != NGX_OK)
    {
        return ngx_lyftr_http_faults(r, &faults);
    }

    ngx_lyftr_export_accept(r, &e->query);

    if (r->method == NGX_HTTP_HEAD) {
        return ngx_lyftr_export_head(r, e);
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);
    endpoint = ctx->endpoint;

    max = endpoint->max ? endpoint->max : NGX_LYFTR_EXPORT_MAX;

    if (endpoint->active >= max) {
        ngx_str_set(&detail, "too many exports");
        return ngx_lyftr_http_unavailable(r, &detail, 1);
    }

    endpoint->active++;

    e->active = 1;
    e->endpoint = endpoint;
    e->fields = e->query.fields;
    e->query.limit = NGX_LYFTR_EXPORT_ROWS;
    e->follow.begin = 1;
    e->follow.newest = 1;
    e->rest.data = e;
    e->rest.handler = ngx_lyftr_export_rested;
    e->rest.log = r->connection->log;

    if (e->query.type.len) {
        e->query.fields |= ngx_lyftr_field(NGX_LYFTR_FIELD_TYPE);
    }

    ctx->op.data = e;

    if (ngx_lyftr_export_needle(e) != NGX_OK
        || ngx_lyftr_export_text(e) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_lyftr_request_submit(r, NGX_LYFTR_CHANNEL_READ,
                                    ngx_lyftr_export_first, NULL, e,
                                    ngx_lyftr_export_answer);
}


static ngx_lyftr_export_t *
ngx_lyftr_export_create(ngx_http_request_t *r)
{
    ngx_pool_t          *pool;
    ngx_pool_cleanup_t  *release;
    ngx_http_cleanup_t  *cln;
    ngx_lyftr_export_t  *e;

    release = ngx_pool_cleanup_add(r->pool, 0);
    cln = ngx_http_cleanup_add(r, 0);

    if (release == NULL || cln == NULL) {
        return NULL;
    }

    pool = ngx_create_pool(2048, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    e = ngx_pcalloc(pool, sizeof(ngx_lyftr_export_t));
    if (e == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    e->ident[3] = (void *) -1;
    e->pool = pool;
    e->refs = 1;
    e->request = r;

    release->handler = ngx_lyftr_export_release;
    release->data = e;

    cln->handler = ngx_lyftr_export_cleanup;
    cln->data = e;

    return e;
}


/* the texts of a walk through all rows are compared here, one by one */

static ngx_int_t
ngx_lyftr_export_needle(ngx_lyftr_export_t *e)
{
    u_char     *p;
    ngx_str_t  *q;

    q = &e->query.q;

    e->query.walk = 1;
    e->needle.len = ngx_lyftr_fold(NULL, q->data, q->len);

    p = ngx_pnalloc(e->pool, e->needle.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_lyftr_fold(p, q->data, q->len);

    e->needle.data = p;

    return NGX_OK;
}


/* in a pool thread */

static ngx_int_t
ngx_lyftr_export_first(ngx_lyftr_op_t *op, ngx_lyftr_backend_t *backend,
    void *conn, ngx_lyftr_error_t *err)
{
    ngx_int_t            rc;
    ngx_lyftr_export_t  *e;

    e = op->data;

    rc = backend->follow(conn, &e->follow, NULL, NULL, err);

    return rc == NGX_OK ? ngx_lyftr_export_run(op, backend, conn, err) : rc;
}


/* in a pool thread */

static ngx_int_t
ngx_lyftr_export_run(ngx_lyftr_op_t *op, ngx_lyftr_backend_t *backend,
    void *conn, ngx_lyftr_error_t *err)
{
    ngx_uint_t           sheet;
    ngx_lyftr_export_t  *e;

    e = op->data;

    if (!e->begun && e->query.format != NGX_LYFTR_FORMAT_NDJSON) {

        if (ngx_lyftr_output_reserve(&e->out, NGX_LYFTR_EXPORT_HEAD)
            != NGX_OK)
        {
            return ngx_lyftr_request_memory(err);
        }

        sheet = (e->query.format == NGX_LYFTR_FORMAT_SHEET);

        e->out.buf->last = ngx_lyftr_csv_head(e->out.buf->last, e->fields,
                                              sheet);
    }

    e->begun = 1;
    e->started = ngx_lyftr_clock();

    return backend->list(conn, &e->query, ngx_lyftr_export_row, e, &e->page,
                         err);
}


/* in a pool thread */

static ngx_int_t
ngx_lyftr_export_row(void *data, ngx_lyftr_message_t *row,
    ngx_lyftr_position_t *position)
{
    ngx_lyftr_export_t *e = data;

    u_char      *last;
    size_t       len;
    ngx_uint_t   csv;

    if (e->rows
        && (e->size >= NGX_LYFTR_EXPORT_SIZE || ngx_lyftr_export_late(e)))
    {
        return NGX_DONE;
    }

    e->rows++;

    if (position->seq > e->follow.place.seq
        || !ngx_lyftr_export_match(e, row))
    {
        return NGX_OK;
    }

    csv = (e->query.format != NGX_LYFTR_FORMAT_NDJSON);

    len = csv ? ngx_lyftr_csv_len(row) : ngx_lyftr_line_room(row) + 1;

    if (!csv && len > NGX_LYFTR_EXPORT_ROOM) {
        len = ngx_lyftr_line_len(row, position, e->fields) + 1;
    }

    if (ngx_lyftr_output_reserve(&e->out, len) != NGX_OK) {
        return NGX_ERROR;
    }

    last = e->out.buf->last;

    if (csv) {
        e->out.buf->last = ngx_lyftr_csv_write(last, row, position, e->fields,
                                               e->query.format
                                               == NGX_LYFTR_FORMAT_SHEET);

    } else {
        e->out.buf->last = ngx_lyftr_line_write(last, row, position,
                                                e->fields);
        *e->out.buf->last++ = LF;
    }

    e->size += e->out.buf->last - last;

    return NGX_OK;
}


/* whoever else wants this processor has it first */

static ngx_uint_t
ngx_lyftr_export_late(ngx_lyftr_export_t *e)
{
    if (e->rows % NGX_LYFTR_EXPORT_LOOK) {
        return 0;
    }

    ngx_sched_yield();

    return ngx_lyftr_clock() - e->started >= NGX_LYFTR_EXPORT_STEP;
}


static ngx_uint_t
ngx_lyftr_export_match(ngx_lyftr_export_t *e, ngx_lyftr_message_t *row)
{
    ngx_str_t  *type;

    type = &e->query.type;

    if (type->len
        && (type->len != row->type.len
            || ngx_memcmp(type->data, row->type.data, type->len) != 0))
    {
        return 0;
    }

    return e->needle.len == 0
           || (row->text.data
               && ngx_lyftr_fold_contains(row->text.data, row->text.len,
                                          e->needle.data, e->needle.len));
}


static ngx_int_t
ngx_lyftr_export_answer(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_lyftr_ctx_t           *ctx;
    ngx_lyftr_export_t        *e;
    ngx_lyftr_faults_t         faults;
    ngx_http_core_loc_conf_t  *clcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    if (ngx_lyftr_request_failed(ctx)) {
        return ngx_lyftr_request_failure(r);
    }

    e = ctx->op.data;

    if (ctx->op.rc == NGX_DECLINED) {
        ngx_lyftr_query_bad_cursor(&e->query, &faults);
        return ngx_lyftr_http_faults(r, &faults);
    }

    rc = ngx_lyftr_export_head(r, e);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->tcp_nodelay && ngx_tcp_nodelay(r->connection) != NGX_OK) {
        return NGX_ERROR;
    }

    r->read_event_handler = ngx_lyftr_export_reader;

    if (ctx->half_closed) {

        /* it may as well have left, and is looked at again */

        ngx_post_event(r->connection->read, &ngx_posted_events);
    }

    rc = ngx_lyftr_export_send(e);

    if (rc == NGX_OK) {

        /* what was sent has left, also if it was nothing */

        rc = ngx_lyftr_export_next(e);
    }

    if (rc == NGX_AGAIN) {
        r->main->count++;
        return NGX_DONE;
    }

    return rc == NGX_DONE ? NGX_OK : ngx_lyftr_export_reset(r);
}


/* NGX_OK: all of it has left; NGX_AGAIN: the writer goes on */

static ngx_int_t
ngx_lyftr_export_send(ngx_lyftr_export_t *e)
{
    ngx_int_t            rc;
    ngx_buf_t           *b;
    ngx_chain_t         *cl, *out, **last;
    ngx_http_request_t  *r;

    r = e->request;

    out = NULL;
    last = &out;

    /* a page goes, but filters may look at its buffers later */

    for (cl = e->out.out; cl; cl = cl->next) {
        *last = ngx_chain_get_free_buf(r->pool, &e->free);

        if (*last == NULL) {
            return NGX_ERROR;
        }

        b = (*last)->buf;

        ngx_memzero(b, sizeof(ngx_buf_t));

        b->pos = cl->buf->pos;
        b->last = cl->buf->last;
        b->memory = 1;
        b->flush = (cl->next == NULL);
        b->tag = (ngx_buf_tag_t) &ngx_http_lyftr_module;

        last = &(*last)->next;
    }

    *last = NULL;

    rc = out ? ngx_http_output_filter(r, out) : NGX_OK;

    if (rc != NGX_ERROR && e->page.next.seq == 0) {
        rc = ngx_http_send_special(r, NGX_HTTP_LAST);
    }

    ngx_chain_update_chains(r->pool, &e->free, &e->busy, &out,
                            (ngx_buf_tag_t) &ngx_http_lyftr_module);

    return rc == NGX_ERROR ? NGX_ERROR : ngx_lyftr_export_wait(e);
}


static ngx_int_t
ngx_lyftr_export_wait(ngx_lyftr_export_t *e)
{
    ngx_http_request_t  *r;

    r = e->request;

    return ngx_lyftr_http_wait(r, e->busy || r->buffered
                                  || r->connection->buffered,
                               &e->taken, ngx_lyftr_export_writer);
}


/* reads the next page, now or later: NGX_AGAIN; NGX_DONE: there is none */

static ngx_int_t
ngx_lyftr_export_next(ngx_lyftr_export_t *e)
{
    ngx_msec_t  rest;

    if (e->page.next.seq == 0) {
        return NGX_DONE;
    }

    rest = ngx_lyftr_export_rest(e);

    if (rest) {
        ngx_add_timer(&e->rest, rest);
        return NGX_AGAIN;
    }

    return ngx_lyftr_export_read(e);
}


/* msec; what is less than one is kept for the next time */

static ngx_msec_t
ngx_lyftr_export_rest(ngx_lyftr_export_t *e)
{
    int64_t            usec, most;
    ngx_msec_t         rest;
    ngx_atomic_uint_t  stored;

    stored = ngx_lyftr_status_get(e->endpoint->store->status->messages);

    if (e->since) {
        usec = (int64_t) (stored - e->stored) * NGX_LYFTR_EXPORT_REST;
        most = (ngx_lyftr_usec() - e->since) * NGX_LYFTR_EXPORT_REST_MAX;

        e->owed += ngx_min(usec, most);
    }

    e->stored = stored;
    e->since = ngx_lyftr_usec();

    rest = e->owed / 1000;
    e->owed %= 1000;

    return rest;
}


static void
ngx_lyftr_export_rested(ngx_event_t *ev)
{
    ngx_lyftr_export_t  *e;

    e = ev->data;

    ngx_http_set_log_request(e->request->connection->log, e->request);

    /* what is stored while it rests does not make it rest longer */

    e->stored = ngx_lyftr_status_get(e->endpoint->store->status->messages);
    e->since = ngx_lyftr_usec();

    if (ngx_lyftr_export_read(e) == NGX_ERROR) {
        ngx_lyftr_export_abort(e);
    }
}


/* NGX_AGAIN */

static ngx_int_t
ngx_lyftr_export_read(ngx_lyftr_export_t *e)
{
    ngx_lyftr_op_t       *op;
    ngx_lyftr_channel_t  *channel;

    if (ngx_lyftr_export_text(e) != NGX_OK) {
        return NGX_ERROR;
    }

    e->query.after = e->page.next;

    if (e->page.unsearched) {
        e->query.q.len = 0;
    }

    op = &e->op;

    ngx_memzero(op, sizeof(ngx_lyftr_op_t));

    op->run = ngx_lyftr_export_run;
    op->wake = ngx_lyftr_export_wake;
    op->data = e;

    channel = e->endpoint->store->channels[NGX_LYFTR_CHANNEL_FOLLOW];

    if (ngx_lyftr_channel_submit(channel, op) != NGX_OK) {
        return NGX_ERROR;
    }

    e->reading = 1;
    e->refs++;

    return NGX_AGAIN;
}


/* an empty page, in the place of the one before */

static ngx_int_t
ngx_lyftr_export_text(ngx_lyftr_export_t *e)
{
    if (e->text) {
        ngx_destroy_pool(e->text);
    }

    e->text = ngx_create_pool(1024, ngx_cycle->log);
    if (e->text == NULL) {
        return NGX_ERROR;
    }

    ngx_lyftr_output_init(&e->out, e->text);

    e->size = 0;
    e->rows = 0;

    return NGX_OK;
}


static void
ngx_lyftr_export_wake(ngx_lyftr_op_t *op)
{
    ngx_int_t            rc;
    ngx_uint_t           done;
    ngx_lyftr_export_t  *e;

    e = op->data;
    done = (op->state == NGX_LYFTR_OP_DONE);

    if (done) {
        e->reading = 0;
    }

    if (e->request) {

        if (!done || op->rc != NGX_OK) {
            ngx_lyftr_export_abort(e);

        } else {
            ngx_http_set_log_request(e->request->connection->log, e->request);

            rc = ngx_lyftr_export_send(e);
            ngx_lyftr_export_go(e, rc);
        }
    }

    if (done) {
        ngx_lyftr_export_release(e);
    }
}


/* all has left, or could not be sent */

static void
ngx_lyftr_export_go(ngx_lyftr_export_t *e, ngx_int_t rc)
{
    ngx_connection_t  *c;

    if (rc == NGX_OK) {
        rc = ngx_lyftr_export_next(e);
    }

    if (rc == NGX_AGAIN) {
        return;
    }

    if (rc == NGX_ERROR) {
        ngx_lyftr_export_abort(e);
        return;
    }

    c = e->request->connection;

    ngx_http_finalize_request(e->request, NGX_OK);
    ngx_http_run_posted_requests(c);
}


/*
 * One that has left, and not only ended what it sends, resets what is sent: if
 * no row was found yet that is the head.
 */

static void
ngx_lyftr_export_reader(ngx_http_request_t *r)
{
    ngx_lyftr_ctx_t     *ctx;
    ngx_lyftr_export_t  *e;

    if (!ngx_lyftr_request_half_closed(r)) {
        ngx_http_test_reading(r);
        return;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);
    e = ctx->op.data;

    if (!e->flushed) {
        e->flushed = 1;

        if (ngx_http_send_special(r, NGX_HTTP_FLUSH) == NGX_ERROR) {
            ngx_lyftr_export_abort(e);
        }
    }
}


static void
ngx_lyftr_export_writer(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_chain_t         *out;
    ngx_event_t         *wev;
    ngx_lyftr_ctx_t     *ctx;
    ngx_connection_t    *c;
    ngx_lyftr_export_t  *e;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);
    e = ctx->op.data;
    c = r->connection;
    wev = c->write;

    if (wev->timedout) {
        ngx_lyftr_export_abort(e);
        return;
    }

    if (wev->delayed) {
        return;
    }

    out = NULL;

    rc = ngx_http_output_filter(r, NULL);

    ngx_chain_update_chains(r->pool, &e->free, &e->busy, &out,
                            (ngx_buf_tag_t) &ngx_http_lyftr_module);

    ngx_lyftr_export_go(e, rc == NGX_ERROR ? NGX_ERROR
                                           : ngx_lyftr_export_wait(e));
}


static void
ngx_lyftr_export_abort(ngx_lyftr_export_t *e)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = e->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_finalize_request(r, ngx_lyftr_export_reset(r));
    ngx_http_run_posted_requests(c);
}


/*
 * The end of the connection is the end of the body for some clients: only a
 * reset tells all of them that it is none.
 */

static ngx_int_t
ngx_lyftr_export_reset(ngx_http_request_t *r)
{
    struct linger      linger;
    ngx_connection_t  *c;

    c = r->connection;

    if (r->http_version >= NGX_HTTP_VERSION_20) {
        return NGX_ERROR;
    }

    linger.l_onoff = 1;
    linger.l_linger = 0;

    (void) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, (const void *) &linger,
                      sizeof(struct linger));

    c->error = 1;

    return NGX_ERROR;
}


static void
ngx_lyftr_export_cleanup(void *data)
{
    ngx_lyftr_export_t *e = data;

    e->request = NULL;

    if (e->rest.timer_set) {
        ngx_del_timer(&e->rest);
    }

    if (e->active) {
        e->active = 0;
        e->endpoint->active--;
    }

    if (e->reading && ngx_lyftr_channel_cancel(&e->op) == NGX_OK) {
        e->reading = 0;
        e->refs--;
    }
}


static void
ngx_lyftr_export_release(void *data)
{
    ngx_lyftr_export_t *e = data;

    if (--e->refs) {
        return;
    }

    if (e->text) {
        ngx_destroy_pool(e->text);
    }

    ngx_destroy_pool(e->pool);
}

#include <ngx_lyftr_counters.h>
#include <ngx_lyftr_stream.h>


/* of a note: an event without a message */
#define NGX_LYFTR_NOTE_LEN         (NGX_LYFTR_CURSOR_LEN + 80)

/* msec, at most, that a client's place stays behind rows that were skipped */
#define NGX_LYFTR_STREAM_PROGRESS  15000

/* msec of a heartbeat */
#define NGX_LYFTR_STREAM_BEAT      15000
#define NGX_LYFTR_STREAM_BEAT_MIN  1000
#define NGX_LYFTR_STREAM_BEAT_MAX  50000

/* msec that a client has to take the rest when a worker ends */
#define NGX_LYFTR_STREAM_CUT       900

#define NGX_LYFTR_STREAM_MAX       1024


static ngx_int_t ngx_lyftr_stream_parse(ngx_http_request_t *r,
    ngx_lyftr_query_t *query, ngx_lyftr_faults_t *faults);
static ngx_str_t *ngx_lyftr_stream_last_id(ngx_http_request_t *r);
static ngx_uint_t ngx_lyftr_stream_full(ngx_lyftr_endpoint_t *endpoint);
static ngx_int_t ngx_lyftr_stream_run(ngx_lyftr_op_t *op,
    ngx_lyftr_backend_t *backend, void *conn, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_stream_answer(ngx_http_request_t *r);
static ngx_int_t ngx_lyftr_stream_open(ngx_lyftr_stream_t *s,
    ngx_lyftr_ctx_t *ctx);
static ngx_int_t ngx_lyftr_stream_head(ngx_http_request_t *r);
static ngx_chain_t *ngx_lyftr_stream_part(ngx_lyftr_stream_t *s, u_char *pos,
    u_char *last);
static u_char *ngx_lyftr_stream_progress(u_char *p, ngx_lyftr_stream_t *s,
    ngx_uint_t gap);
static void ngx_lyftr_stream_deliver(ngx_lyftr_stream_t *s,
    ngx_lyftr_text_t *text, ngx_lyftr_position_t *place);
static void ngx_lyftr_stream_end(ngx_lyftr_stream_t *s,
    ngx_lyftr_stream_end_e reason);
static void ngx_lyftr_stream_output(ngx_lyftr_stream_t *s, ngx_chain_t *out);
static ngx_int_t ngx_lyftr_stream_push(ngx_lyftr_stream_t *s,
    ngx_chain_t *out);
static void ngx_lyftr_stream_sent(ngx_lyftr_stream_t *s, ngx_int_t rc);
static void ngx_lyftr_stream_settle(ngx_lyftr_stream_t *s);
static ngx_int_t ngx_lyftr_stream_wait(ngx_lyftr_stream_t *s);
static void ngx_lyftr_stream_ready(ngx_lyftr_stream_t *s);
static void ngx_lyftr_stream_writer(ngx_http_request_t *r);
static void ngx_lyftr_stream_beat(ngx_event_t *ev);
static void ngx_lyftr_stream_arm(ngx_lyftr_stream_t *s);
static void ngx_lyftr_stream_finalize(ngx_lyftr_stream_t *s, ngx_int_t rc);
static void ngx_lyftr_stream_cleanup(void *data);
static void ngx_lyftr_stream_release(void *data);


static ngx_str_t  ngx_lyftr_stream_type =
    ngx_string("text/event-stream; charset=utf-8");

static u_char  ngx_lyftr_stream_comment[] = ":\n";


ngx_int_t
ngx_lyftr_stream_param(ngx_conf_t *cf, ngx_lyftr_endpoint_t *endpoint,
    ngx_str_t *arg)
{
    ngx_int_t  n;
    ngx_str_t  s;

    if (ngx_strncmp(arg->data, "max=", 4) == 0) {
        n = ngx_atoi(arg->data + 4, arg->len - 4);

        if (n < 1) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value in \"%V\", it must be at least "
                               "1", arg);
            return NGX_ERROR;
        }

        endpoint->max = n;

        return NGX_OK;
    }

    if (ngx_strncmp(arg->data, "heartbeat=", 10) == 0) {
        s.data = arg->data + 10;
        s.len = arg->len - 10;

        n = ngx_parse_time(&s, 0);

        if (n == NGX_ERROR
            || n < NGX_LYFTR_STREAM_BEAT_MIN || n > NGX_LYFTR_STREAM_BEAT_MAX)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value in \"%V\", it must be from %i "
                               "to %i milliseconds", arg,
                               (ngx_int_t) NGX_LYFTR_STREAM_BEAT_MIN,
                               (ngx_int_t) NGX_LYFTR_STREAM_BEAT_MAX);
            return NGX_ERROR;
        }

        endpoint->heartbeat = n;

        return NGX_OK;
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_lyftr_stream_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_str_t              detail;
    ngx_lyftr_ctx_t       *ctx;
    ngx_lyftr_query_t     *query;
    ngx_lyftr_faults_t     faults;
    ngx_pool_cleanup_t    *release;
    ngx_http_cleanup_t    *cln;
    ngx_lyftr_stream_t    *s;
    ngx_lyftr_endpoint_t  *endpoint;

    if (r != r->main) {
        return NGX_HTTP_NOT_FOUND;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    query = ngx_palloc(r->pool, sizeof(ngx_lyftr_query_t));
    if (query == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_lyftr_stream_parse(r, query, &faults);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? ngx_lyftr_http_faults(r, &faults)
                                  : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->method == NGX_HTTP_HEAD) {
        return ngx_lyftr_stream_head(r);
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);
    endpoint = ctx->endpoint;

    if (ngx_lyftr_stream_full(endpoint)) {
        ngx_str_set(&detail, "too many streams");
        return ngx_lyftr_http_unavailable(r, &detail, 1);
    }

    s = ngx_pcalloc(r->pool, sizeof(ngx_lyftr_stream_t));
    if (s == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* what is being sent is kept as long as buffers may point to it */

    release = ngx_pool_cleanup_add(r->pool, 0);
    cln = ngx_http_cleanup_add(r, 0);

    if (release == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    release->handler = ngx_lyftr_stream_release;
    release->data = s;

    cln->handler = ngx_lyftr_stream_cleanup;
    cln->data = s;

    s->ident[3] = (void *) -1;
    s->deliver = ngx_lyftr_stream_deliver;
    s->end = ngx_lyftr_stream_end;
    s->request = r;
    s->endpoint = endpoint;
    s->hub = endpoint->hub;
    s->query = query;
    s->follow.begin = 1;
    s->follow.newest = (query->cursor.len == 0);
    s->follow.place = query->after;

    endpoint->active++;
    ctx->stream = s;

    return ngx_lyftr_request_submit(r, NGX_LYFTR_CHANNEL_READ,
                                    ngx_lyftr_stream_run, NULL, s,
                                    ngx_lyftr_stream_answer);
}


/* NGX_OK, NGX_DECLINED with what is wrong, or NGX_ERROR: no memory */

static ngx_int_t
ngx_lyftr_stream_parse(ngx_http_request_t *r, ngx_lyftr_query_t *query,
    ngx_lyftr_faults_t *faults)
{
    u_char      *arena;
    ngx_str_t   *header;
    ngx_uint_t   kind;

    arena = ngx_pnalloc(r->pool, r->args.len + 1);
    if (arena == NULL) {
        return NGX_ERROR;
    }

    header = ngx_lyftr_stream_last_id(r);

    kind = NGX_LYFTR_QUERY_STREAM | (header ? NGX_LYFTR_QUERY_RESUME : 0);

    if (ngx_lyftr_query_parse_as(kind, &r->args, arena, query, faults)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (header == NULL) {
        return NGX_OK;
    }

    query->cursor = *header;
    query->resumed = 1;

    if (ngx_lyftr_cursor_read(header, &query->after) != NGX_OK) {
        ngx_lyftr_query_bad_header(query, faults);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* NULL if there is none, or an empty one */

static ngx_str_t *
ngx_lyftr_stream_last_id(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == sizeof("last-event-id") - 1
            && ngx_strncasecmp(h[i].key.data, (u_char *) "last-event-id",
                               h[i].key.len)
               == 0)
        {
            return h[i].value.len ? &h[i].value : NULL;
        }
    }
}


static ngx_uint_t
ngx_lyftr_stream_full(ngx_lyftr_endpoint_t *endpoint)
{
    ngx_uint_t  max;

    max = endpoint->max;

    if (max == 0) {
        max = ngx_min(ngx_cycle->connection_n / 2, NGX_LYFTR_STREAM_MAX);
    }

    return endpoint->active >= max;
}


/* in a pool thread: where it begins */

static ngx_int_t
ngx_lyftr_stream_run(ngx_lyftr_op_t *op, ngx_lyftr_backend_t *backend,
    void *conn, ngx_lyftr_error_t *err)
{
    ngx_lyftr_stream_t  *s;

    s = op->data;

    return backend->follow(conn, &s->follow, NULL, NULL, err);
}


static ngx_int_t
ngx_lyftr_stream_answer(ngx_http_request_t *r)
{
    u_char                    *p;
    ngx_int_t                  rc;
    ngx_chain_t               *out;
    ngx_lyftr_ctx_t           *ctx;
    ngx_lyftr_faults_t         faults;
    ngx_lyftr_stream_t        *s;
    ngx_http_core_loc_conf_t  *clcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);
    s = ctx->stream;

    if (ngx_lyftr_request_failed(ctx)) {
        return ngx_lyftr_request_failure(r);
    }

    if (ctx->op.rc == NGX_DECLINED) {
        if (s->query->resumed) {
            ngx_lyftr_query_bad_header(s->query, &faults);

        } else {
            ngx_lyftr_query_bad_cursor(s->query, &faults);
        }

        return ngx_lyftr_http_faults(r, &faults);
    }

    s->note = ngx_pnalloc(r->pool, NGX_LYFTR_NOTE_LEN);
    if (s->note == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_lyftr_stream_head(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->tcp_nodelay && ngx_tcp_nodelay(r->connection) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_lyftr_stream_open(s, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(s->note, "retry: %ui\n",
                    (ngx_uint_t) (1000 + ngx_random() % 2001));
    p = ngx_lyftr_stream_progress(p, s, s->follow.gap);

    out = ngx_lyftr_stream_part(s, s->note, p);

    if (out == NULL || ngx_lyftr_stream_push(s, out) != NGX_OK) {
        return NGX_ERROR;
    }

    s->follow.end = s->follow.newest;

    rc = ngx_lyftr_stream_wait(s);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    /* a reference of its own: that of the operation goes with this answer */

    r->main->count++;

    if (rc == NGX_OK) {
        ngx_lyftr_stream_ready(s);
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_lyftr_stream_open(ngx_lyftr_stream_t *s, ngx_lyftr_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    r = s->request;

    if (ngx_lyftr_hub_add(s, s->query) != NGX_OK) {
        return NGX_ERROR;
    }

    s->open = 1;
    ctx->streamed = 1;

    ngx_lyftr_counters_stream(ctx->main, 1);

    s->timer.data = s;
    s->timer.handler = ngx_lyftr_stream_beat;
    s->timer.log = r->connection->log;

    r->read_event_handler = ngx_http_test_reading;

    if (ctx->half_closed) {

        /* it may as well have left, and is looked at again */

        ngx_post_event(r->connection->read, &ngx_posted_events);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_stream_head(ngx_http_request_t *r)
{
    ngx_str_t  key, value;

    ngx_str_set(&key, "Cache-Control");
    ngx_str_set(&value, "no-store, no-transform");

    if (ngx_lyftr_http_header(r, &key, &value) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_set(&key, "X-Accel-Buffering");
    ngx_str_set(&value, "no");

    if (ngx_lyftr_http_header(r, &key, &value) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_type = ngx_lyftr_stream_type;
    r->headers_out.content_type_len = sizeof("text/event-stream") - 1;
    r->headers_out.content_type_lowcase = NULL;

    r->disable_not_modified = 1;

#if (NGX_HTTP_GZIP)

    r->gzip_tested = 1;
    r->gzip_ok = 0;

#endif

    return ngx_http_send_header(r);
}


static ngx_chain_t *
ngx_lyftr_stream_part(ngx_lyftr_stream_t *s, u_char *pos, u_char *last)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = ngx_chain_get_free_buf(s->request->pool, &s->free);
    if (cl == NULL) {
        return NULL;
    }

    b = cl->buf;

    ngx_memzero(b, sizeof(ngx_buf_t));

    b->pos = pos;
    b->last = last;
    b->memory = 1;
    b->flush = 1;
    b->tag = (ngx_buf_tag_t) &ngx_http_lyftr_module;

    cl->next = NULL;

    return cl;
}


/* an event without a message: where the client stands */

static u_char *
ngx_lyftr_stream_progress(u_char *p, ngx_lyftr_stream_t *s, ngx_uint_t gap)
{
    p = ngx_cpymem(p, "id: ", sizeof("id: ") - 1);
    p = ngx_lyftr_cursor_write(p, &s->follow.place);
    p = ngx_cpymem(p, "\nevent: progress\ndata: ",
                   sizeof("\nevent: progress\ndata: ") - 1);

    return gap ? ngx_cpymem(p, "{\"gap\":true}\n\n",
                            sizeof("{\"gap\":true}\n\n") - 1)
               : ngx_cpymem(p, "{}\n\n", sizeof("{}\n\n") - 1);
}


static void
ngx_lyftr_stream_deliver(ngx_lyftr_stream_t *s, ngx_lyftr_text_t *text,
    ngx_lyftr_position_t *place)
{
    u_char             *pos;
    ngx_uint_t          i, n;
    ngx_chain_t        *cl, *out, **last;
    ngx_lyftr_event_t  *event;

    event = text->events.elts;
    n = text->events.nelts;

    for (i = 0; i < n && event[i].seq <= s->follow.place.seq; i++) {
        /* void */
    }

    if (place->seq > s->follow.place.seq) {
        s->follow.place = *place;
    }

    if (i == n) {
        s->skipped |= (text->skipped != 0);
        ngx_lyftr_stream_settle(s);
        return;
    }

    s->skipped = (text->skipped != 0);

    out = NULL;
    last = &out;
    pos = event[i].pos;

    for (cl = event[i].chain; cl; cl = cl->next) {
        *last = ngx_lyftr_stream_part(s, pos, cl->buf->last);

        if (*last == NULL) {
            ngx_lyftr_stream_finalize(s, NGX_ERROR);
            return;
        }

        last = &(*last)->next;
        pos = cl->next ? cl->next->buf->pos : NULL;
    }

    text->refs++;
    s->text = text;

    ngx_lyftr_counters_events(s->hub->main, n - i);

    ngx_lyftr_stream_output(s, out);
}


static void
ngx_lyftr_stream_output(ngx_lyftr_stream_t *s, ngx_chain_t *out)
{
    if (ngx_lyftr_stream_push(s, out) != NGX_OK) {
        ngx_lyftr_stream_finalize(s, NGX_ERROR);
        return;
    }

    ngx_lyftr_stream_settle(s);
}


static ngx_int_t
ngx_lyftr_stream_push(ngx_lyftr_stream_t *s, ngx_chain_t *out)
{
    off_t                size;
    ngx_int_t            rc;
    ngx_chain_t         *cl;
    ngx_http_request_t  *r;

    r = s->request;
    size = 0;

    for (cl = out; cl; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    ngx_lyftr_counters_bytes(s->hub->main, size);

    s->sent = ngx_current_msec;

    rc = ngx_http_output_filter(r, out);

    ngx_chain_update_chains(r->pool, &s->free, &s->busy, &out,
                            (ngx_buf_tag_t) &ngx_http_lyftr_module);

    return rc == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


/* rc: of the filters, which had nothing of ours in this call */

static void
ngx_lyftr_stream_sent(ngx_lyftr_stream_t *s, ngx_int_t rc)
{
    ngx_chain_t  *out;

    out = NULL;

    ngx_chain_update_chains(s->request->pool, &s->free, &s->busy, &out,
                            (ngx_buf_tag_t) &ngx_http_lyftr_module);

    if (rc == NGX_ERROR) {
        ngx_lyftr_stream_finalize(s, NGX_ERROR);
        return;
    }

    ngx_lyftr_stream_settle(s);
}


static void
ngx_lyftr_stream_settle(ngx_lyftr_stream_t *s)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_stream_wait(s);

    if (rc == NGX_OK) {
        ngx_lyftr_stream_ready(s);

    } else if (rc == NGX_ERROR) {
        ngx_lyftr_stream_finalize(s, NGX_ERROR);
    }
}


/* NGX_AGAIN: the client has not taken all yet */

static ngx_int_t
ngx_lyftr_stream_wait(ngx_lyftr_stream_t *s)
{
    return ngx_lyftr_http_wait(s->request, ngx_lyftr_stream_blocked(s),
                               &s->taken, ngx_lyftr_stream_writer);
}


/* goes on with what comes next */

static void
ngx_lyftr_stream_ready(ngx_lyftr_stream_t *s)
{
    if (s->text) {
        ngx_lyftr_hub_release(s->text);
        s->text = NULL;
    }

    if (s->ending) {
        ngx_lyftr_stream_finalize(s, NGX_OK);
        return;
    }

    ngx_lyftr_stream_arm(s);
    ngx_lyftr_hub_continue(s);
}


static void
ngx_lyftr_stream_writer(ngx_http_request_t *r)
{
    ngx_event_t         *wev;
    ngx_lyftr_ctx_t     *ctx;
    ngx_connection_t    *c;
    ngx_lyftr_stream_t  *s;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);
    s = ctx->stream;
    c = r->connection;
    wev = c->write;

    if (wev->timedout) {
        if (!s->ending) {
            s->reason = NGX_LYFTR_STREAM_SLOW;
        }

        c->timedout = 1;
        ngx_lyftr_stream_finalize(s, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (wev->delayed) {
        return;
    }

    ngx_lyftr_stream_sent(s, ngx_http_output_filter(r, NULL));
}


static void
ngx_lyftr_stream_beat(ngx_event_t *ev)
{
    u_char              *last;
    ngx_chain_t         *out;
    ngx_lyftr_stream_t  *s;

    s = ev->data;

    if (s->ending) {
        ngx_lyftr_stream_finalize(s, NGX_ERROR);
        return;
    }

    if (ngx_lyftr_stream_blocked(s)) {
        return;
    }

    ev->timedout = 0;

    if (s->skipped) {
        last = ngx_lyftr_stream_progress(s->note, s, 0);
        out = ngx_lyftr_stream_part(s, s->note, last);
        s->skipped = 0;

    } else {
        out = ngx_lyftr_stream_part(s, ngx_lyftr_stream_comment,
                                    ngx_lyftr_stream_comment
                                    + sizeof(ngx_lyftr_stream_comment) - 1);
    }

    if (out == NULL) {
        ngx_lyftr_stream_finalize(s, NGX_ERROR);
        return;
    }

    ngx_lyftr_stream_output(s, out);
}


static void
ngx_lyftr_stream_arm(ngx_lyftr_stream_t *s)
{
    ngx_msec_t      timeout;
    ngx_msec_int_t  left;

    timeout = s->endpoint->heartbeat;

    if (timeout == 0) {
        timeout = NGX_LYFTR_STREAM_BEAT;
    }

    if (s->skipped && timeout > NGX_LYFTR_STREAM_PROGRESS) {
        timeout = NGX_LYFTR_STREAM_PROGRESS;
    }

    left = (ngx_msec_int_t) (s->sent + timeout - ngx_current_msec);

    ngx_add_timer(&s->timer, (ngx_msec_t) ngx_max(left, 1));
}


static void
ngx_lyftr_stream_end(ngx_lyftr_stream_t *s, ngx_lyftr_stream_end_e reason)
{
    ngx_http_request_t  *r;

    r = s->request;

    ngx_lyftr_hub_remove(s);

    s->ending = 1;
    s->reason = reason;

    ngx_http_set_log_request(r->connection->log, r);

    if (s->timer.timer_set) {
        ngx_del_timer(&s->timer);
    }

    if (reason == NGX_LYFTR_STREAM_SHUTDOWN) {
        ngx_add_timer(&s->timer, NGX_LYFTR_STREAM_CUT);
    }

    ngx_lyftr_stream_sent(s, ngx_http_send_special(r, NGX_HTTP_LAST));
}


static void
ngx_lyftr_stream_finalize(ngx_lyftr_stream_t *s, ngx_int_t rc)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = s->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static void
ngx_lyftr_stream_cleanup(void *data)
{
    ngx_lyftr_stream_t *s = data;

    s->endpoint->active--;

    if (!s->open) {
        return;
    }

    s->open = 0;

    if (s->timer.timer_set) {
        ngx_del_timer(&s->timer);
    }

    if (!s->ending) {
        ngx_lyftr_hub_remove(s);
    }

    ngx_lyftr_counters_stream(s->hub->main, -1);
    ngx_lyftr_counters_ended(s->hub->main, s->reason);
}


static void
ngx_lyftr_stream_release(void *data)
{
    ngx_lyftr_stream_t *s = data;

    if (s->text) {
        ngx_lyftr_hub_release(s->text);
    }
}

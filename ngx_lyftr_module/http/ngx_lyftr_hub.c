#include <ngx_lyftr_stream.h>


/* msec between two looks at the word that each commit moves, */
#define NGX_LYFTR_HUB_TICK         20

/* after which it reads anyway, for what a worker of another master stored, */
#define NGX_LYFTR_HUB_IDLE         1000

/* and until it tries again what has failed */
#define NGX_LYFTR_HUB_RETRY        1000

/* bytes of a text after which no event is added, and more than which it has
 * only if it is one event */
#define NGX_LYFTR_FEED_SIZE        57344
#define NGX_LYFTR_FEED_MAX         65535


/* a read of the log, and what it is for */

struct ngx_lyftr_feed_s {
    ngx_lyftr_op_t                op;
    ngx_lyftr_hub_t              *hub;
    ngx_lyftr_stream_t           *stream;        /* NULL: of the hub */
    ngx_lyftr_follow_t            follow;
    ngx_uint_t                    dropped;       /* nobody waits for it */
    ngx_uint_t                    n;
    ngx_lyftr_text_t             *texts[1];
};


static ngx_lyftr_view_t *ngx_lyftr_hub_view(ngx_lyftr_hub_t *hub,
    ngx_lyftr_query_t *query);
static u_char *ngx_lyftr_hub_copy(u_char *p, ngx_str_t *dst, ngx_str_t *src);
static ngx_uint_t ngx_lyftr_hub_same(ngx_str_t *a, ngx_str_t *b);
static void ngx_lyftr_hub_leave(ngx_lyftr_view_t *view);
static void ngx_lyftr_hub_wait(ngx_lyftr_stream_t *s, ngx_queue_t *queue);
static void ngx_lyftr_hub_unwait(ngx_lyftr_stream_t *s);
static void ngx_lyftr_hub_tick(ngx_event_t *ev);
static ngx_uint_t ngx_lyftr_hub_moved(ngx_lyftr_hub_t *hub);
static void ngx_lyftr_hub_read(ngx_lyftr_hub_t *hub);
static void ngx_lyftr_hub_read_behind(ngx_lyftr_stream_t *s);
static ngx_lyftr_feed_t *ngx_lyftr_feed_create(ngx_lyftr_hub_t *hub,
    ngx_uint_t n);
static ngx_int_t ngx_lyftr_feed_add(ngx_lyftr_feed_t *feed,
    ngx_lyftr_view_t *view);
static void ngx_lyftr_feed_free(ngx_lyftr_feed_t *feed);
static ngx_int_t ngx_lyftr_feed_submit(ngx_lyftr_feed_t *feed);
static ngx_int_t ngx_lyftr_feed_run(ngx_lyftr_op_t *op,
    ngx_lyftr_backend_t *backend, void *conn, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_feed_row(void *data, ngx_lyftr_message_t *row,
    ngx_lyftr_position_t *position);
static ngx_uint_t ngx_lyftr_feed_match(ngx_lyftr_view_t *view,
    ngx_lyftr_message_t *row);
static size_t ngx_lyftr_feed_len(ngx_lyftr_text_t *text,
    ngx_lyftr_message_t *row, ngx_lyftr_position_t *position);
static ngx_int_t ngx_lyftr_feed_event(ngx_lyftr_text_t *text,
    ngx_lyftr_message_t *row, ngx_lyftr_position_t *position);
static void ngx_lyftr_feed_wake(ngx_lyftr_op_t *op);
static void ngx_lyftr_feed_behind(ngx_lyftr_feed_t *feed, ngx_uint_t failed);
static void ngx_lyftr_feed_head(ngx_lyftr_feed_t *feed, ngx_uint_t failed);


ngx_int_t
ngx_lyftr_hub_init(ngx_conf_t *cf, ngx_lyftr_main_conf_t *lmcf)
{
    ngx_uint_t              i, n;
    ngx_lyftr_hub_t        *hub;
    ngx_lyftr_endpoint_t  **endpoint;

    endpoint = lmcf->endpoints.elts;

    for (i = 0; i < lmcf->endpoints.nelts; i++) {

        if (!endpoint[i]->kind->follows) {
            continue;
        }

        for (n = 0; n < i; n++) {
            if (endpoint[n]->hub
                && endpoint[n]->store == endpoint[i]->store)
            {
                break;
            }
        }

        if (n < i) {
            endpoint[i]->hub = endpoint[n]->hub;
            continue;
        }

        hub = ngx_pcalloc(cf->pool, sizeof(ngx_lyftr_hub_t));
        if (hub == NULL) {
            return NGX_ERROR;
        }

        hub->ident[3] = (void *) -1;
        hub->store = endpoint[i]->store;
        hub->main = lmcf;

        ngx_queue_init(&hub->streams);
        ngx_queue_init(&hub->head);
        ngx_queue_init(&hub->retry);
        ngx_queue_init(&hub->views);

        endpoint[i]->hub = hub;
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_hub_add(ngx_lyftr_stream_t *s, ngx_lyftr_query_t *query)
{
    ngx_lyftr_hub_t  *hub;

    hub = s->hub;

    s->view = ngx_lyftr_hub_view(hub, query);
    if (s->view == NULL) {
        return NGX_ERROR;
    }

    ngx_queue_insert_tail(&hub->streams, &s->queue);

    if (!hub->tick.timer_set) {
        hub->tick.data = hub;
        hub->tick.handler = ngx_lyftr_hub_tick;
        hub->tick.log = ngx_cycle->log;

        ngx_add_timer(&hub->tick, NGX_LYFTR_HUB_TICK);
    }

    return NGX_OK;
}


void
ngx_lyftr_hub_remove(ngx_lyftr_stream_t *s)
{
    ngx_lyftr_hub_t   *hub;
    ngx_lyftr_feed_t  *feed;

    hub = s->hub;
    feed = s->feed;

    if (feed) {
        s->feed = NULL;
        feed->stream = NULL;
        feed->dropped = 1;

        if (ngx_lyftr_channel_cancel(&feed->op) == NGX_OK) {
            ngx_lyftr_feed_free(feed);
        }
    }

    ngx_lyftr_hub_unwait(s);
    ngx_queue_remove(&s->queue);
    ngx_lyftr_hub_leave(s->view);

    if (ngx_queue_empty(&hub->streams) && hub->tick.timer_set) {
        ngx_del_timer(&hub->tick);
    }
}


static ngx_lyftr_view_t *
ngx_lyftr_hub_view(ngx_lyftr_hub_t *hub, ngx_lyftr_query_t *query)
{
    u_char              *p;
    size_t               len;
    ngx_queue_t         *q;
    ngx_lyftr_view_t    *view;
    ngx_lyftr_query_t   *other;

    for (q = ngx_queue_head(&hub->views);
         q != ngx_queue_sentinel(&hub->views);
         q = ngx_queue_next(q))
    {
        view = ngx_queue_data(q, ngx_lyftr_view_t, queue);
        other = &view->query;

        if (other->fields == query->fields
            && other->none == query->none
            && ngx_lyftr_hub_same(&other->from, &query->from)
            && ngx_lyftr_hub_same(&other->q, &query->q)
            && ngx_lyftr_hub_same(&other->type, &query->type))
        {
            view->refs++;
            return view;
        }
    }

    len = ngx_lyftr_fold(NULL, query->q.data, query->q.len);

    view = ngx_alloc(sizeof(ngx_lyftr_view_t) + query->from.len + query->q.len
                     + query->type.len + len, ngx_cycle->log);
    if (view == NULL) {
        return NULL;
    }

    ngx_memzero(view, sizeof(ngx_lyftr_view_t));

    p = (u_char *) view + sizeof(ngx_lyftr_view_t);

    view->refs = 1;
    view->query.fields = query->fields;
    view->query.none = query->none;

    p = ngx_lyftr_hub_copy(p, &view->query.from, &query->from);
    p = ngx_lyftr_hub_copy(p, &view->query.q, &query->q);
    p = ngx_lyftr_hub_copy(p, &view->query.type, &query->type);

    view->needle.data = p;
    view->needle.len = ngx_lyftr_fold(p, query->q.data, query->q.len);

    ngx_queue_insert_tail(&hub->views, &view->queue);

    return view;
}


/* what was not asked for has no address */

static u_char *
ngx_lyftr_hub_copy(u_char *p, ngx_str_t *dst, ngx_str_t *src)
{
    dst->len = src->len;
    dst->data = p;

    return src->len ? ngx_cpymem(p, src->data, src->len) : p;
}


static ngx_uint_t
ngx_lyftr_hub_same(ngx_str_t *a, ngx_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || ngx_memcmp(a->data, b->data, a->len) == 0);
}


static void
ngx_lyftr_hub_leave(ngx_lyftr_view_t *view)
{
    if (--view->refs == 0) {
        ngx_queue_remove(&view->queue);
        ngx_free(view);
    }
}


static void
ngx_lyftr_hub_wait(ngx_lyftr_stream_t *s, ngx_queue_t *queue)
{
    s->waiting = 1;
    ngx_queue_insert_tail(queue, &s->wait);
}


static void
ngx_lyftr_hub_unwait(ngx_lyftr_stream_t *s)
{
    if (s->waiting) {
        s->waiting = 0;
        ngx_queue_remove(&s->wait);
    }
}


/*
 * Other workers are not told of a commit: a look at a word of shared memory,
 * some times a second and only while there are streams, costs ingest nothing.
 */

static void
ngx_lyftr_hub_tick(ngx_event_t *ev)
{
    ngx_queue_t         *q;
    ngx_lyftr_hub_t     *hub;
    ngx_lyftr_stream_t  *s;

    hub = ev->data;

    if (ngx_exiting || ngx_quit || ngx_terminate) {

        while (!ngx_queue_empty(&hub->streams)) {
            q = ngx_queue_head(&hub->streams);
            s = ngx_queue_data(q, ngx_lyftr_stream_t, queue);

            s->end(s, NGX_LYFTR_STREAM_SHUTDOWN);
        }

        return;
    }

    ngx_add_timer(ev, NGX_LYFTR_HUB_TICK);

    while (!ngx_queue_empty(&hub->retry)) {
        q = ngx_queue_head(&hub->retry);
        s = ngx_queue_data(q, ngx_lyftr_stream_t, wait);

        if (ngx_current_msec - s->tried < NGX_LYFTR_HUB_RETRY) {
            break;
        }

        ngx_lyftr_hub_unwait(s);
        ngx_lyftr_hub_read_behind(s);
    }

    if (hub->failed) {
        if (ngx_current_msec - hub->read >= NGX_LYFTR_HUB_RETRY) {
            ngx_lyftr_hub_read(hub);
        }

        return;
    }

    if (hub->again
        || ngx_lyftr_hub_moved(hub)
        || ngx_current_msec - hub->read >= NGX_LYFTR_HUB_IDLE)
    {
        ngx_lyftr_hub_read(hub);
    }
}


/* was anything stored since it read, by this service or by others? */

static ngx_uint_t
ngx_lyftr_hub_moved(ngx_lyftr_hub_t *hub)
{
    ngx_atomic_uint_t    last;
    ngx_lyftr_status_t  *status;

    status = hub->store->status;

    if (ngx_lyftr_status_get(status->moved) != hub->moved) {
        return 1;
    }

    last = ngx_lyftr_status_get(status->last);

    return last != hub->last && (int64_t) last > hub->place.seq;
}


/* for all that stand at the newest place */

static void
ngx_lyftr_hub_read(ngx_lyftr_hub_t *hub)
{
    ngx_uint_t           n;
    ngx_queue_t         *q;
    ngx_lyftr_feed_t    *feed;
    ngx_lyftr_view_t    *view;
    ngx_lyftr_stream_t  *s;

    if (hub->feed || ngx_queue_empty(&hub->head)) {
        return;
    }

    hub->moved = ngx_lyftr_status_get(hub->store->status->moved);
    hub->last = ngx_lyftr_status_get(hub->store->status->last);
    hub->read = ngx_current_msec;
    hub->again = 0;

    n = 0;

    for (q = ngx_queue_head(&hub->views);
         q != ngx_queue_sentinel(&hub->views);
         q = ngx_queue_next(q))
    {
        n++;
    }

    feed = ngx_lyftr_feed_create(hub, n);
    if (feed == NULL) {
        hub->again = 1;
        return;
    }

    for (q = ngx_queue_head(&hub->head);
         q != ngx_queue_sentinel(&hub->head);
         q = ngx_queue_next(q))
    {
        s = ngx_queue_data(q, ngx_lyftr_stream_t, wait);
        view = s->view;

        if (view->text == NULL && ngx_lyftr_feed_add(feed, view) == NGX_OK) {
            view->text = feed->texts[feed->n - 1];
        }
    }

    for (n = 0; n < feed->n; n++) {
        feed->texts[n]->view->text = NULL;
    }

    feed->follow.place = hub->place;

    hub->feed = feed;

    if (ngx_lyftr_feed_submit(feed) != NGX_OK) {
        hub->feed = NULL;
        ngx_lyftr_feed_free(feed);
        hub->again = 1;
    }
}


/* for one that is behind them */

static void
ngx_lyftr_hub_read_behind(ngx_lyftr_stream_t *s)
{
    ngx_lyftr_feed_t  *feed;

    s->tried = ngx_current_msec;

    feed = ngx_lyftr_feed_create(s->hub, 1);

    if (feed == NULL || ngx_lyftr_feed_add(feed, s->view) != NGX_OK) {

        if (feed) {
            ngx_lyftr_feed_free(feed);
        }

        ngx_lyftr_hub_wait(s, &s->hub->retry);
        return;
    }

    feed->follow.place = s->follow.place;
    feed->stream = s;
    s->feed = feed;

    if (ngx_lyftr_feed_submit(feed) != NGX_OK) {
        s->feed = NULL;
        ngx_lyftr_feed_free(feed);
        ngx_lyftr_hub_wait(s, &s->hub->retry);
    }
}


void
ngx_lyftr_hub_continue(ngx_lyftr_stream_t *s)
{
    ngx_lyftr_hub_t  *hub;

    hub = s->hub;

    if (s->feed || s->waiting || s->ending) {
        return;
    }

    if (!s->follow.end) {
        ngx_lyftr_hub_read_behind(s);
        return;
    }

    /* the word tells if a row came since */

    if (ngx_queue_empty(&hub->head) && hub->feed == NULL) {
        hub->place = s->follow.place;
    }

    if (s->follow.place.seq < hub->place.seq) {
        ngx_lyftr_hub_read_behind(s);
        return;
    }

    ngx_lyftr_hub_wait(s, &hub->head);
}


static ngx_lyftr_feed_t *
ngx_lyftr_feed_create(ngx_lyftr_hub_t *hub, ngx_uint_t n)
{
    ngx_lyftr_feed_t  *feed;

    feed = ngx_calloc(sizeof(ngx_lyftr_feed_t)
                      + n * sizeof(ngx_lyftr_text_t *), ngx_cycle->log);
    if (feed == NULL) {
        return NULL;
    }

    feed->hub = hub;
    feed->op.run = ngx_lyftr_feed_run;
    feed->op.wake = ngx_lyftr_feed_wake;
    feed->op.data = feed;

    return feed;
}


static ngx_int_t
ngx_lyftr_feed_add(ngx_lyftr_feed_t *feed, ngx_lyftr_view_t *view)
{
    ngx_pool_t        *pool;
    ngx_lyftr_text_t  *text;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    text = ngx_pcalloc(pool, sizeof(ngx_lyftr_text_t));

    if (text == NULL
        || ngx_array_init(&text->events, pool, 8, sizeof(ngx_lyftr_event_t))
           != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    ngx_lyftr_output_init(&text->out, pool);

    text->refs = 1;
    text->pool = pool;
    text->view = view;

    view->refs++;
    feed->texts[feed->n++] = text;

    if (view->query.fields & NGX_LYFTR_FIELDS_EXTRA || view->query.type.len) {
        feed->follow.extra = 1;
    }

    return NGX_OK;
}


static void
ngx_lyftr_feed_free(ngx_lyftr_feed_t *feed)
{
    ngx_uint_t  i;

    for (i = 0; i < feed->n; i++) {
        ngx_lyftr_hub_leave(feed->texts[i]->view);
        ngx_lyftr_hub_release(feed->texts[i]);
    }

    ngx_free(feed);
}


void
ngx_lyftr_hub_release(ngx_lyftr_text_t *text)
{
    if (--text->refs == 0) {
        ngx_destroy_pool(text->pool);
    }
}


static ngx_int_t
ngx_lyftr_feed_submit(ngx_lyftr_feed_t *feed)
{
    ngx_lyftr_channel_t  *channel;

    channel = feed->hub->store->channels[NGX_LYFTR_CHANNEL_FOLLOW];

    return ngx_lyftr_channel_submit(channel, &feed->op);
}


/* in a pool thread */

static ngx_int_t
ngx_lyftr_feed_run(ngx_lyftr_op_t *op, ngx_lyftr_backend_t *backend,
    void *conn, ngx_lyftr_error_t *err)
{
    ngx_lyftr_feed_t  *feed;

    feed = op->data;

    return backend->follow(conn, &feed->follow, ngx_lyftr_feed_row, feed, err);
}


/* in a pool thread */

static ngx_int_t
ngx_lyftr_feed_row(void *data, ngx_lyftr_message_t *row,
    ngx_lyftr_position_t *position)
{
    ngx_lyftr_feed_t *feed = data;

    ngx_uint_t         i;
    ngx_lyftr_text_t  *text;

    for (i = 0; i < feed->n; i++) {
        text = feed->texts[i];

        if (text->size >= NGX_LYFTR_FEED_SIZE) {
            return NGX_DONE;
        }

        text->len = ngx_lyftr_feed_len(text, row, position);

        if (text->size && text->size + text->len > NGX_LYFTR_FEED_MAX) {
            return NGX_DONE;
        }
    }

    for (i = 0; i < feed->n; i++) {
        text = feed->texts[i];

        if (text->len == 0) {
            text->skipped = 1;
            continue;
        }

        if (ngx_lyftr_feed_event(text, row, position) != NGX_OK) {
            return NGX_ERROR;
        }

        text->skipped = 0;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_lyftr_feed_match(ngx_lyftr_view_t *view, ngx_lyftr_message_t *row)
{
    ngx_lyftr_query_t  *query;

    query = &view->query;

    if (query->none) {
        return 0;
    }

    if (query->from.len && !ngx_lyftr_hub_same(&query->from, &row->from)) {
        return 0;
    }

    if (query->type.len && !ngx_lyftr_hub_same(&query->type, &row->type)) {
        return 0;
    }

    return query->q.len == 0
           || (row->text.data
               && ngx_lyftr_fold_contains(row->text.data, row->text.len,
                                          view->needle.data,
                                          view->needle.len));
}


/* 0: there is no event of this row */

static size_t
ngx_lyftr_feed_len(ngx_lyftr_text_t *text, ngx_lyftr_message_t *row,
    ngx_lyftr_position_t *position)
{
    if (!ngx_lyftr_feed_match(text->view, row)) {
        return 0;
    }

    return sizeof("id: \nevent: message\ndata: \n\n") + NGX_LYFTR_CURSOR_LEN
           + ngx_lyftr_line_len(row, position, text->view->query.fields);
}


static ngx_int_t
ngx_lyftr_feed_event(ngx_lyftr_text_t *text, ngx_lyftr_message_t *row,
    ngx_lyftr_position_t *position)
{
    u_char              *start;
    ngx_buf_t           *b;
    ngx_lyftr_event_t   *event;
    ngx_lyftr_output_t  *out;

    out = &text->out;

    event = ngx_array_push(&text->events);

    if (event == NULL || ngx_lyftr_output_reserve(out, text->len) != NGX_OK) {
        return NGX_ERROR;
    }

    b = out->buf;
    start = b->last;

    event->seq = position->seq;
    event->pos = start;
    event->chain = out->link;

    b->last = ngx_cpymem(b->last, "id: ", 4);
    b->last = ngx_lyftr_cursor_write(b->last, position);

    ngx_lyftr_output_literal(out, "\nevent: message\ndata: ");

    b->last = ngx_lyftr_line_write(b->last, row, position,
                                   text->view->query.fields);

    ngx_lyftr_output_literal(out, "\n\n");

    text->size += b->last - start;

    return NGX_OK;
}


/* an operation that has expired is with its thread, which comes back */

static void
ngx_lyftr_feed_wake(ngx_lyftr_op_t *op)
{
    ngx_uint_t         done, failed;
    ngx_lyftr_feed_t  *feed;

    feed = op->data;

    done = (op->state == NGX_LYFTR_OP_DONE);
    failed = !done || op->rc == NGX_ERROR;

    if (!feed->dropped) {
        feed->dropped = 1;

        if (feed->stream) {
            ngx_lyftr_feed_behind(feed, failed);

        } else {
            ngx_lyftr_feed_head(feed, failed);
        }
    }

    if (done) {
        ngx_lyftr_feed_free(feed);
    }
}


static void
ngx_lyftr_feed_behind(ngx_lyftr_feed_t *feed, ngx_uint_t failed)
{
    ngx_lyftr_stream_t  *s;

    s = feed->stream;

    feed->stream = NULL;
    s->feed = NULL;

    if (!failed) {
        s->failed = 0;
        s->follow.end = feed->follow.end;
        s->deliver(s, feed->texts[0], &feed->follow.place);
        return;
    }

    if (s->failed) {
        s->end(s, NGX_LYFTR_STREAM_STORE);
        return;
    }

    s->failed = 1;
    s->tried = ngx_current_msec;
    ngx_lyftr_hub_wait(s, &s->hub->retry);
}


static void
ngx_lyftr_feed_head(ngx_lyftr_feed_t *feed, ngx_uint_t failed)
{
    ngx_uint_t           i;
    ngx_queue_t         *q, head;
    ngx_lyftr_hub_t     *hub;
    ngx_lyftr_text_t    *text;
    ngx_lyftr_stream_t  *s;

    hub = feed->hub;
    hub->feed = NULL;

    if (failed && !hub->failed) {
        hub->failed = 1;
        hub->read = ngx_current_msec;
        return;
    }

    hub->failed = 0;

    ngx_queue_init(&head);

    if (!ngx_queue_empty(&hub->head)) {
        ngx_queue_add(&head, &hub->head);
        ngx_queue_init(&hub->head);
    }

    if (!failed) {
        hub->place = feed->follow.place;
        hub->again = !feed->follow.end;
    }

    /* a stream that is sent to may end, and others with it */

    while (!ngx_queue_empty(&head)) {
        q = ngx_queue_head(&head);
        s = ngx_queue_data(q, ngx_lyftr_stream_t, wait);

        ngx_lyftr_hub_unwait(s);

        if (failed) {
            s->end(s, NGX_LYFTR_STREAM_STORE);
            continue;
        }

        text = NULL;

        for (i = 0; i < feed->n; i++) {
            if (feed->texts[i]->view == s->view) {
                text = feed->texts[i];
                break;
            }
        }

        /* one that takes its time, or came meanwhile, reads for itself */

        if (ngx_lyftr_stream_blocked(s)) {
            s->follow.end = 0;

        } else if (text == NULL) {
            s->follow.end = 0;
            ngx_lyftr_hub_continue(s);

        } else {
            s->deliver(s, text, &feed->follow.place);
        }
    }

    if (hub->again) {
        ngx_lyftr_hub_read(hub);
    }
}

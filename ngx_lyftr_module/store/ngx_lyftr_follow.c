#include <ngx_lyftr_channel.h>

#include <ngx_channel.h>


/*
 * A worker's messages on their way to the leader, and their answers.  All of
 * this runs in the event loop.
 */

/* msec after which is looked whether there still is a leader */
#define NGX_LYFTR_FOLLOW_LOOK      2


static void ngx_lyftr_follow_handler(ngx_event_t *ev);
static void ngx_lyftr_follow_post(ngx_event_t *ev);
static void ngx_lyftr_follow_look(ngx_event_t *ev);
static void ngx_lyftr_follow_lead(ngx_lyftr_channel_t *channel);
static void ngx_lyftr_follow_wake(ngx_lyftr_channel_t *channel);
static void ngx_lyftr_follow_aside(ngx_lyftr_channel_t *channel);
static void ngx_lyftr_follow_collect(ngx_lyftr_channel_t *channel);
static ngx_uint_t ngx_lyftr_follow_answered(ngx_lyftr_channel_t *channel,
    ngx_queue_t *answered);
static void ngx_lyftr_follow_refuse(ngx_lyftr_channel_t *channel,
    ngx_queue_t *answered);


/* of this worker process */
static ngx_array_t  *ngx_lyftr_follow_stores;


void
ngx_lyftr_follow_start(ngx_cycle_t *cycle, ngx_array_t *stores)
{
    ngx_uint_t            i;
    ngx_lyftr_share_t    *share;
    ngx_lyftr_store_t   **store;
    ngx_lyftr_channel_t  *channel;

    store = stores->elts;

    if (stores->nelts == 0 || store[0]->share == NULL
        || ngx_worker >= store[0]->share->workers)
    {
        return;
    }

    ngx_lyftr_follow_stores = stores;

    if (ngx_add_channel_event(cycle, store[0]->share->events[ngx_worker],
                              NGX_READ_EVENT, ngx_lyftr_follow_handler)
        != NGX_OK)
    {
        /* nginx has logged it; this worker goes on by itself */

        return;
    }

    for (i = 0; i < stores->nelts; i++) {
        share = store[i]->share;
        channel = store[i]->channels[NGX_LYFTR_CHANNEL_WRITE];

        ngx_lyftr_share_ring(share, ngx_worker, &channel->ring);
        ngx_lyftr_ring_adopt(&channel->ring);

        channel->post.data = channel;
        channel->post.handler = ngx_lyftr_follow_post;
        channel->post.log = cycle->log;

        channel->look.data = channel;
        channel->look.handler = ngx_lyftr_follow_look;
        channel->look.log = cycle->log;

        channel->wake.log = cycle->log;
        store[i]->channels[NGX_LYFTR_CHANNEL_LEAD]->wake.log = cycle->log;

        channel->follows = 1;
    }
}


/* has the mutex */

ngx_int_t
ngx_lyftr_follow_put(ngx_lyftr_channel_t *channel, ngx_lyftr_op_t *op)
{
    if (!channel->follows
        || ngx_lyftr_ring_put(&channel->ring, &op->write, op->since,
                              op->arrived, &op->ticket)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    /* from here on a thread has it, though not which one */

    op->lane = channel->store->channels[NGX_LYFTR_CHANNEL_LEAD]->lanes;

    ngx_queue_insert_tail(&channel->shared, &op->queue);
    channel->nshared += ngx_lyftr_op_size(op);

    /* the leader is told of all that come in one go */

    if (!channel->post.posted) {
        ngx_post_event(&channel->post, &ngx_posted_events);
    }

    if (!channel->look.timer_set) {
        channel->look.log = ngx_cycle->log;
        ngx_add_timer(&channel->look, NGX_LYFTR_FOLLOW_LOOK);
    }

    return NGX_OK;
}


static void
ngx_lyftr_follow_post(ngx_event_t *ev)
{
    ngx_lyftr_channel_t  *channel;

    channel = ev->data;

    ngx_lyftr_share_rouse(channel->store->share);
    ngx_lyftr_follow_check(channel->store);
}


/* is there nobody to do what this worker waits for? */

void
ngx_lyftr_follow_check(ngx_lyftr_store_t *store)
{
    ngx_lyftr_channel_t  *channel;

    channel = store->channels[NGX_LYFTR_CHANNEL_LEAD];

    if (ngx_queue_empty(&store->channels[NGX_LYFTR_CHANNEL_WRITE]->shared)
        || channel->lanes[0].busy
        || ngx_lyftr_share_led(store->share))
    {
        return;
    }

    ngx_lyftr_follow_lead(channel);
}


/* as soon as this round of the event loop is over */

static void
ngx_lyftr_follow_lead(ngx_lyftr_channel_t *channel)
{
    channel->lanes[0].due = 1;
    channel->lanes[0].at = ngx_current_msec;

    ngx_lyftr_follow_wake(channel);
}


static void
ngx_lyftr_follow_wake(ngx_lyftr_channel_t *channel)
{
    ngx_post_event(&channel->wake, &ngx_posted_events);
}


static void
ngx_lyftr_follow_handler(ngx_event_t *ev)
{
    ngx_uint_t            i;
    ngx_lyftr_store_t   **store;

    store = ngx_lyftr_follow_stores->elts;

    ngx_lyftr_share_woken(store[0]->share, ngx_worker);

    for (i = 0; i < ngx_lyftr_follow_stores->nelts; i++) {
        ngx_lyftr_follow_collect(
                               store[i]->channels[NGX_LYFTR_CHANNEL_WRITE]);
        ngx_lyftr_follow_check(store[i]);
    }
}


/* a leader that was killed has told nobody, and the next one is to be ready */

static void
ngx_lyftr_follow_look(ngx_event_t *ev)
{
    ngx_queue_t          *q;
    ngx_lyftr_op_t       *op;
    ngx_lyftr_store_t    *store;
    ngx_lyftr_channel_t  *channel, *lead;

    channel = ev->data;
    store = channel->store;
    lead = store->channels[NGX_LYFTR_CHANNEL_LEAD];

    ngx_lyftr_follow_collect(channel);
    ngx_lyftr_follow_aside(channel);

    if (ngx_queue_empty(&channel->shared)) {
        return;
    }

    q = ngx_queue_head(&channel->shared);
    op = ngx_queue_data(q, ngx_lyftr_op_t, queue);

    if (!lead->lanes[0].busy
        && (!lead->ready
            || (ngx_lyftr_usec() - op->since >= NGX_LYFTR_FOLLOW_LOOK * 1000
                && ngx_lyftr_share_orphaned(store->share))))
    {
        lead->ready = 1;
        ngx_lyftr_follow_lead(lead);
    }

    if (!ev->timer_set) {
        ngx_add_timer(ev, NGX_LYFTR_FOLLOW_LOOK);
    }
}


/*
 * A leader that was stopped keeps its place.  What it has not taken in half of
 * its time goes on without it, by a turn of this worker's own.
 */

static void
ngx_lyftr_follow_aside(ngx_lyftr_channel_t *channel)
{
    int64_t          limit;
    ngx_log_t       *log;
    ngx_uint_t       n;
    ngx_queue_t     *q, *next;
    ngx_lyftr_op_t  *op;

    log = ngx_cycle->log;
    limit = ngx_lyftr_usec() - (int64_t) channel->timeout * 1000 / 2;
    n = 0;

    if (ngx_thread_mutex_lock(&channel->mutex, log) != NGX_OK) {
        return;
    }

    for (q = ngx_queue_head(&channel->shared);
         q != ngx_queue_sentinel(&channel->shared);
         q = next)
    {
        next = ngx_queue_next(q);
        op = ngx_queue_data(q, ngx_lyftr_op_t, queue);

        if (op->since > limit) {
            break;
        }

        if (op->state != NGX_LYFTR_OP_WAITING
            || ngx_lyftr_channel_withdraw(op) != NGX_OK)
        {
            continue;
        }

        op->lane = NULL;

        ngx_queue_insert_tail(&channel->pending, q);
        channel->npending += ngx_lyftr_op_size(op);
        n++;
    }

    ngx_lyftr_channel_show(channel);

    (void) ngx_thread_mutex_unlock(&channel->mutex, log);

    if (n) {
        ngx_lyftr_follow_wake(channel);
    }
}


static void
ngx_lyftr_follow_collect(ngx_lyftr_channel_t *channel)
{
    ngx_log_t       *log;
    ngx_uint_t       n;
    ngx_queue_t      answered, *q;
    ngx_lyftr_op_t  *op;

    if (!channel->follows || ngx_queue_empty(&channel->shared)) {
        return;
    }

    log = ngx_cycle->log;

    ngx_queue_init(&answered);

    n = ngx_lyftr_follow_answered(channel, &answered);

    if (n == 0) {
        return;
    }

    q = ngx_queue_head(&answered);
    op = ngx_queue_data(q, ngx_lyftr_op_t, queue);

    ngx_lyftr_pace_follow(channel, op->since);

    if (ngx_thread_mutex_lock(&channel->mutex, log) == NGX_OK) {
        channel->nshared -= n;
        ngx_lyftr_channel_show(channel);

        (void) ngx_thread_mutex_unlock(&channel->mutex, log);
    }

    while (!ngx_queue_empty(&answered)) {
        q = ngx_queue_head(&answered);
        ngx_queue_remove(q);

        ngx_lyftr_channel_complete(ngx_queue_data(q, ngx_lyftr_op_t, queue));
    }
}


/* takes those that are over, and counts their messages */

static ngx_uint_t
ngx_lyftr_follow_answered(ngx_lyftr_channel_t *channel, ngx_queue_t *answered)
{
    ngx_int_t        rc;
    ngx_uint_t       n;
    ngx_queue_t     *q;
    ngx_lyftr_op_t  *op;

    n = 0;

    if (ngx_lyftr_ring_look(&channel->ring) != NGX_OK) {
        ngx_lyftr_follow_refuse(channel, answered);
        return channel->nshared;
    }

    while (!ngx_queue_empty(&channel->shared)) {
        q = ngx_queue_head(&channel->shared);
        op = ngx_queue_data(q, ngx_lyftr_op_t, queue);

        if ((int64_t) (op->ticket.end - channel->ring.done) > 0) {
            break;
        }

        rc = ngx_lyftr_ring_answer(&channel->ring, &op->ticket, &op->write,
                                   &op->error);

        if (rc == NGX_ERROR) {
            ngx_lyftr_follow_refuse(channel, answered);
            return channel->nshared;
        }

        op->rc = (rc == NGX_OK) ? NGX_OK : NGX_ERROR;

        ngx_queue_remove(q);
        ngx_queue_insert_tail(answered, q);

        n += ngx_lyftr_op_size(op);
    }

    return n;
}


/* what became of the messages that are there is not known */

static void
ngx_lyftr_follow_refuse(ngx_lyftr_channel_t *channel, ngx_queue_t *answered)
{
    ngx_queue_t     *q;
    ngx_lyftr_op_t  *op;

    ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                  "lyftr store \"%V\": the queue of worker %ui is damaged",
                  &channel->store->name, ngx_worker);

    while (!ngx_queue_empty(&channel->shared)) {
        q = ngx_queue_head(&channel->shared);
        op = ngx_queue_data(q, ngx_lyftr_op_t, queue);

        op->rc = NGX_ERROR;
        op->error = NGX_LYFTR_ERR_FAILED;

        ngx_queue_remove(q);
        ngx_queue_insert_tail(answered, q);
    }

    ngx_lyftr_ring_reset(&channel->ring);
}

#include <ngx_lyftr_channel.h>


#define NGX_LYFTR_TASK_TIMEOUT     60000
#define NGX_LYFTR_TASK_RETRY       100
#define NGX_LYFTR_PROBE_TIMEOUT    40
#define NGX_LYFTR_BODY_LANES       2
#define NGX_LYFTR_FOLLOW_LANES     2
#define NGX_LYFTR_SETTLE_TIMEOUT   1000


static ngx_int_t ngx_lyftr_channel_lanes(ngx_conf_t *cf,
    ngx_lyftr_channel_t *channel);
static void ngx_lyftr_channel_await(ngx_lyftr_channel_t *channel,
    ngx_lyftr_op_t *op);
static void ngx_lyftr_channel_dispatch(ngx_lyftr_channel_t *channel);
static ngx_uint_t ngx_lyftr_channel_waiting(ngx_lyftr_channel_t *channel);
static ngx_int_t ngx_lyftr_channel_post(ngx_lyftr_channel_t *channel,
    ngx_lyftr_lane_t *lane);
static ngx_uint_t ngx_lyftr_channel_due(ngx_lyftr_channel_t *channel,
    ngx_lyftr_lane_t *lane);
static void ngx_lyftr_channel_wake(ngx_event_t *ev);
static void ngx_lyftr_channel_done(ngx_event_t *ev);
static void ngx_lyftr_channel_settle(ngx_lyftr_channel_t *channel,
    ngx_lyftr_seat_t *seat);


ngx_lyftr_channel_t *
ngx_lyftr_channel_create(ngx_conf_t *cf, ngx_lyftr_store_t *store,
    ngx_lyftr_channel_e type)
{
    ngx_lyftr_channel_t  *channel;

    channel = ngx_pcalloc(cf->pool, sizeof(ngx_lyftr_channel_t));
    if (channel == NULL) {
        return NULL;
    }

    channel->ident[3] = (void *) -1;
    channel->store = store;
    channel->type = type;
    channel->batch = 1;
    channel->nlanes = 1;
    channel->nseats = 1;
    channel->timeout = store->timeout;

    switch (type) {

    case NGX_LYFTR_CHANNEL_WRITE:
        channel->batch = store->batch;
        channel->nlanes = 2;
        break;

    case NGX_LYFTR_CHANNEL_LEAD:
        channel->batch = store->batch;
        break;

    case NGX_LYFTR_CHANNEL_READ:
        channel->nlanes = store->readers;
        channel->nseats = store->readers;
        break;

    case NGX_LYFTR_CHANNEL_PROBE:
        channel->timeout = NGX_LYFTR_PROBE_TIMEOUT;
        break;

    case NGX_LYFTR_CHANNEL_BODY:
        channel->nlanes = NGX_LYFTR_BODY_LANES;
        channel->nseats = NGX_LYFTR_BODY_LANES;
        break;

    case NGX_LYFTR_CHANNEL_FOLLOW:
        channel->nlanes = NGX_LYFTR_FOLLOW_LANES;
        channel->nseats = NGX_LYFTR_FOLLOW_LANES;
        break;

    default: /* NGX_LYFTR_CHANNEL_JOBS, NGX_LYFTR_CHANNEL_CHECK */
        break;
    }

    ngx_queue_init(&channel->pending);
    ngx_queue_init(&channel->shared);
    ngx_queue_init(&channel->outstanding);

    channel->expire.data = channel;
    channel->expire.handler = ngx_lyftr_channel_expire;
    channel->expire.log = cf->log;

    channel->wake.data = channel;
    channel->wake.handler = ngx_lyftr_channel_wake;
    channel->wake.log = cf->log;
    channel->wake.cancelable = 1;

    if (ngx_thread_mutex_create(&channel->mutex, cf->log) != NGX_OK
        || ngx_lyftr_channel_lanes(cf, channel) != NGX_OK)
    {
        return NULL;
    }

    return channel;
}


static ngx_int_t
ngx_lyftr_channel_lanes(ngx_conf_t *cf, ngx_lyftr_channel_t *channel)
{
    ngx_uint_t          i;
    ngx_lyftr_lane_t   *lane;
    ngx_thread_task_t  *task;

    channel->seats = ngx_pcalloc(cf->pool,
                                 channel->nseats * sizeof(ngx_lyftr_seat_t));
    channel->lanes = ngx_pcalloc(cf->pool,
                                 channel->nlanes * sizeof(ngx_lyftr_lane_t));

    if (channel->seats == NULL || channel->lanes == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < channel->nseats; i++) {
        if (ngx_thread_mutex_create(&channel->seats[i].mutex, cf->log)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < channel->nlanes; i++) {
        lane = &channel->lanes[i];

        task = ngx_thread_task_alloc(cf->pool, sizeof(ngx_lyftr_lane_t *));
        if (task == NULL) {
            return NGX_ERROR;
        }

        *(ngx_lyftr_lane_t **) task->ctx = lane;

        task->handler = ngx_lyftr_thread_handler;
        task->event.data = lane;
        task->event.handler = ngx_lyftr_channel_done;

        if (channel->type == NGX_LYFTR_CHANNEL_WRITE
            || channel->type == NGX_LYFTR_CHANNEL_LEAD)
        {
            lane->writes = ngx_palloc(cf->pool, channel->batch
                                                * sizeof(ngx_lyftr_write_t *));
            if (lane->writes == NULL) {
                return NGX_ERROR;
            }
        }

        lane->ident[3] = (void *) -1;
        lane->channel = channel;
        lane->seat = &channel->seats[i % channel->nseats];
        lane->task = task;
        ngx_queue_init(&lane->batch);
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_channel_submit(ngx_lyftr_channel_t *channel, ngx_lyftr_op_t *op)
{
    ngx_log_t   *log;
    ngx_time_t  *tp;
    ngx_uint_t   n, full, shared;

    log = ngx_cycle->log;
    tp = ngx_timeofday();

    op->channel = channel;
    op->state = NGX_LYFTR_OP_WAITING;
    op->lane = NULL;
    op->since = ngx_lyftr_usec();
    op->arrived = (int64_t) tp->sec * 1000 + (int64_t) tp->msec;

    if (!op->timed) {
        op->timed = 1;
        op->deadline = ngx_current_msec + channel->timeout;
    }

    if (ngx_thread_mutex_lock(&channel->mutex, log) != NGX_OK) {
        return NGX_BUSY;
    }

    n = channel->npending + channel->nshared;
    full = ngx_lyftr_pace_full(channel, n);
    shared = 0;

    if (!full) {
        shared = (ngx_lyftr_follow_put(channel, op) == NGX_OK);

        if (!shared) {
            ngx_queue_insert_tail(&channel->pending, &op->queue);
            channel->npending += ngx_lyftr_op_size(op);
        }

        ngx_lyftr_channel_show(channel);
    }

    (void) ngx_thread_mutex_unlock(&channel->mutex, log);

    if (full) {
        ngx_lyftr_pace_log(channel, n);
        return NGX_BUSY;
    }

    ngx_lyftr_channel_await(channel, op);

    if (!shared) {
        ngx_lyftr_channel_dispatch(channel);
    }

    return NGX_OK;
}


/* in the order of deadlines: the second operation of a request keeps its own */

static void
ngx_lyftr_channel_await(ngx_lyftr_channel_t *channel, ngx_lyftr_op_t *op)
{
    ngx_queue_t     *q;
    ngx_lyftr_op_t  *other;
    ngx_msec_int_t   left;

    for (q = ngx_queue_last(&channel->outstanding);
         q != ngx_queue_sentinel(&channel->outstanding);
         q = ngx_queue_prev(q))
    {
        other = ngx_queue_data(q, ngx_lyftr_op_t, age);

        if ((ngx_msec_int_t) (other->deadline - op->deadline) <= 0) {
            break;
        }
    }

    ngx_queue_insert_after(q, &op->age);

    if (ngx_queue_head(&channel->outstanding) != &op->age) {
        return;
    }

    left = (ngx_msec_int_t) (op->deadline - ngx_current_msec);

    if (left < 0) {
        left = 0;
    }

    channel->expire.log = ngx_cycle->log;
    ngx_add_timer(&channel->expire, (ngx_msec_t) left);
}


/* begins with what no operation is needed for */

void
ngx_lyftr_channel_start(ngx_lyftr_channel_t *channel)
{
    ngx_lyftr_lane_t  *lane;

    lane = &channel->lanes[0];

    lane->due = 1;
    lane->at = ngx_current_msec;

    ngx_lyftr_channel_dispatch(channel);
}


static void
ngx_lyftr_channel_dispatch(ngx_lyftr_channel_t *channel)
{
    ngx_uint_t         i, n;
    ngx_lyftr_lane_t  *lane;

    if (ngx_exiting && channel->type >= NGX_LYFTR_CHANNEL_JOBS) {

        /* a worker of the next generation takes it over */

        if (!channel->lanes[0].busy) {
            ngx_lyftr_channel_close(channel);
        }

        return;
    }

    if (channel->starved) {
        return;
    }

    n = ngx_lyftr_channel_waiting(channel);

    for (i = 0; i < channel->nlanes; i++) {
        lane = &channel->lanes[i];

        if (lane->busy || (n == 0 && !ngx_lyftr_channel_due(channel, lane))) {
            continue;
        }

        if (ngx_lyftr_channel_post(channel, lane) != NGX_OK) {
            return;
        }

        n -= ngx_min(n, channel->batch);
    }
}


/* pending operations, but for those that a lane is on its way to take */

static ngx_uint_t
ngx_lyftr_channel_waiting(ngx_lyftr_channel_t *channel)
{
    ngx_log_t         *log;
    ngx_uint_t         i, n;
    ngx_lyftr_lane_t  *lane;

    log = ngx_cycle->log;

    if (ngx_thread_mutex_lock(&channel->mutex, log) != NGX_OK) {
        return 0;
    }

    n = channel->npending;

    for (i = 0; i < channel->nlanes; i++) {
        lane = &channel->lanes[i];

        if (lane->busy && lane->n == 0) {
            n -= ngx_min(n, channel->batch);
        }
    }

    (void) ngx_thread_mutex_unlock(&channel->mutex, log);

    return n;
}


static ngx_int_t
ngx_lyftr_channel_post(ngx_lyftr_channel_t *channel, ngx_lyftr_lane_t *lane)
{
    ngx_log_t          *log;
    ngx_thread_task_t  *task;

    log = ngx_cycle->log;

    lane->busy = 1;
    lane->n = 0;
    lane->stop = 0;
    lane->exiting = ngx_exiting;
    lane->started = ngx_current_msec;

    task = lane->task;
    task->event.log = log;
    channel->wake.log = log;

    if (ngx_thread_task_post(channel->store->thread_pool, task) != NGX_OK) {

        /* the pool has logged it; the operations wait or expire */

        lane->busy = 0;
        channel->starved = 1;

        if (channel->leads) {
            ngx_lyftr_lead_leave(channel);
        }

        ngx_add_timer(&channel->wake, NGX_LYFTR_TASK_RETRY);

        return NGX_ERROR;
    }

    /*
     * A worker that stops gracefully exits as soon as no timer is left:
     * this one keeps it until the thread has come back.
     */

    ngx_add_timer(&task->event, NGX_LYFTR_TASK_TIMEOUT
                                + 2 * channel->timeout);

    return NGX_OK;
}


/* what is due later wakes the lane then, unless the worker stops */

static ngx_uint_t
ngx_lyftr_channel_due(ngx_lyftr_channel_t *channel, ngx_lyftr_lane_t *lane)
{
    ngx_msec_int_t  left;

    if (!lane->due) {
        return 0;
    }

    left = (ngx_msec_int_t) (lane->at - ngx_current_msec);

    if (left <= 0) {
        return 1;
    }

    if (channel->wake.timer_set) {
        return 0;
    }

    ngx_add_timer(&channel->wake, (ngx_msec_t) left);

    return 0;
}


static void
ngx_lyftr_channel_wake(ngx_event_t *ev)
{
    ngx_lyftr_channel_t  *channel;

    channel = ev->data;

    channel->starved = 0;

    ngx_lyftr_channel_dispatch(channel);
}


static void
ngx_lyftr_channel_done(ngx_event_t *ev)
{
    ngx_queue_t           batch, *q;
    ngx_lyftr_lane_t     *lane;
    ngx_lyftr_channel_t  *channel;

    lane = ev->data;
    channel = lane->channel;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ev->log, 0,
                   "lyftr store \"%V\" batch:%ui error:%d",
                   &channel->store->name, lane->n, lane->err.code);

    if (ev->timedout) {
        ngx_log_error(NGX_LOG_ALERT, ev->log, 0,
                      "lyftr store \"%V\" operation took too long",
                      &channel->store->name);
        ev->timedout = 0;
        ngx_add_timer(ev, NGX_LYFTR_TASK_TIMEOUT);
        return;
    }

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    ngx_queue_init(&batch);

    if (!ngx_queue_empty(&lane->batch)) {
        ngx_queue_add(&batch, &lane->batch);
        ngx_queue_init(&lane->batch);
    }

    lane->busy = 0;
    channel->starved = 0;

    if (lane->stop && lane->err.code == NGX_LYFTR_ERR_TIMEOUT) {

        /* as it was told to */

        lane->err.code = NGX_LYFTR_ERR_NONE;
    }

    ngx_lyftr_pace_note(lane);
    ngx_lyftr_status_report(lane);

    /* the next batch is on its way before this one is answered */

    ngx_lyftr_channel_dispatch(channel);

    if (channel->type == NGX_LYFTR_CHANNEL_LEAD) {
        ngx_lyftr_follow_check(channel->store);
    }

    while (!ngx_queue_empty(&batch)) {
        q = ngx_queue_head(&batch);
        ngx_queue_remove(q);

        ngx_lyftr_channel_complete(ngx_queue_data(q, ngx_lyftr_op_t, queue));
    }
}


void
ngx_lyftr_channel_close(ngx_lyftr_channel_t *channel)
{
    ngx_uint_t         i;
    ngx_lyftr_seat_t  *seat;

    for (i = 0; i < channel->nseats; i++) {
        seat = &channel->seats[i];

        if (seat->conn) {
            ngx_lyftr_channel_settle(channel, seat);
            channel->store->backend->close(seat->conn);
            seat->conn = NULL;
        }
    }

    if (channel->lead) {
        ngx_lyftr_lead_free(channel->lead);
        channel->lead = NULL;
    }
}


/* only those that write have left something */

static void
ngx_lyftr_channel_settle(ngx_lyftr_channel_t *channel, ngx_lyftr_seat_t *seat)
{
    if (channel->type != NGX_LYFTR_CHANNEL_WRITE
        && channel->type != NGX_LYFTR_CHANNEL_JOBS)
    {
        return;
    }

    ngx_time_update();

    channel->store->backend->settle(seat->conn, ngx_current_msec
                                                + NGX_LYFTR_SETTLE_TIMEOUT);
}

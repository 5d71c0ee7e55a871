#include <ngx_lyftr_channel.h>


/*
 * How operations end: when a thread has come back, at their deadlines, or when
 * nobody waits for them.  The oldest is the first in the queue of those whose
 * owners have heard nothing yet.
 */

static ngx_int_t ngx_lyftr_channel_expire_op(ngx_lyftr_channel_t *channel,
    ngx_lyftr_op_t *op);
static void ngx_lyftr_expire_waited(ngx_lyftr_op_t *op);
static void ngx_lyftr_channel_forget(ngx_lyftr_op_t *op);


void
ngx_lyftr_channel_expire(ngx_event_t *ev)
{
    ngx_queue_t          *q;
    ngx_msec_int_t        left;
    ngx_lyftr_op_t       *op;
    ngx_lyftr_channel_t  *channel;

    channel = ev->data;

    while (!ngx_queue_empty(&channel->outstanding)) {
        q = ngx_queue_head(&channel->outstanding);
        op = ngx_queue_data(q, ngx_lyftr_op_t, age);

        left = (ngx_msec_int_t) (op->deadline - ngx_current_msec);

        if (left > 0) {
            ngx_add_timer(ev, (ngx_msec_t) left);
            return;
        }

        if (ngx_lyftr_channel_expire_op(channel, op) != NGX_OK) {
            ngx_add_timer(ev, channel->timeout);
            return;
        }
    }
}


/*
 * An operation that no thread has taken yet ends here.  Of one that a thread
 * holds its owner only hears: it is over when the thread comes back.
 */

static ngx_int_t
ngx_lyftr_channel_expire_op(ngx_lyftr_channel_t *channel, ngx_lyftr_op_t *op)
{
    ngx_log_t   *log;
    ngx_uint_t   taken;

    log = ngx_cycle->log;

    if (ngx_thread_mutex_lock(&channel->mutex, log) != NGX_OK) {
        return NGX_ERROR;
    }

    taken = (op->lane != NULL);

    if (taken && ngx_lyftr_channel_withdraw(op) == NGX_OK) {
        taken = 0;

    } else if (!taken) {
        ngx_queue_remove(&op->queue);
        channel->npending -= ngx_lyftr_op_size(op);
        ngx_lyftr_channel_show(channel);
    }

    (void) ngx_thread_mutex_unlock(&channel->mutex, log);

    if (!taken) {
        op->rc = NGX_ERROR;
        op->error = NGX_LYFTR_ERR_TIMEOUT;
        ngx_lyftr_expire_waited(op);
        ngx_lyftr_channel_complete(op);
        return NGX_OK;
    }

    ngx_queue_remove(&op->age);
    ngx_queue_init(&op->age);

    op->state = NGX_LYFTR_OP_EXPIRED;

    op->wake(op);

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_channel_withdraw(ngx_lyftr_op_t *op)
{
    ngx_lyftr_channel_t  *channel;

    channel = op->channel;

    if (!channel->follows
        || op->lane != channel->store->channels[NGX_LYFTR_CHANNEL_LEAD]->lanes
        || ngx_lyftr_ring_withdraw(&channel->ring, &op->ticket) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_queue_remove(&op->queue);
    channel->nshared -= ngx_lyftr_op_size(op);
    ngx_lyftr_channel_show(channel);

    return NGX_OK;
}


/* what no thread has taken has waited too */

static void
ngx_lyftr_expire_waited(ngx_lyftr_op_t *op)
{
    ngx_lyftr_status_t   *status;
    ngx_lyftr_channel_t  *channel;

    channel = op->channel;
    status = channel->store->status;

    if (channel->type < NGX_LYFTR_CHANNEL_PROBE) {
        ngx_lyftr_histogram_add(&status->wait[channel->type],
                                &ngx_lyftr_seconds,
                                ngx_lyftr_usec() - op->since);
    }
}


void
ngx_lyftr_channel_complete(ngx_lyftr_op_t *op)
{
    ngx_lyftr_channel_forget(op);

    op->state = NGX_LYFTR_OP_DONE;

    op->wake(op);
}


ngx_int_t
ngx_lyftr_channel_cancel(ngx_lyftr_op_t *op)
{
    ngx_log_t            *log;
    ngx_lyftr_lane_t     *lane;
    ngx_lyftr_channel_t  *channel;

    channel = op->channel;
    log = ngx_cycle->log;

    if (op->state == NGX_LYFTR_OP_DONE
        || ngx_thread_mutex_lock(&channel->mutex, log) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    lane = op->lane;

    if (lane == NULL) {
        ngx_queue_remove(&op->queue);
        channel->npending -= ngx_lyftr_op_size(op);
        ngx_lyftr_channel_show(channel);
    }

    (void) ngx_thread_mutex_unlock(&channel->mutex, log);

    if (lane) {
        ngx_lyftr_status_set(lane->stop, 1);
        return NGX_DECLINED;
    }

    ngx_lyftr_channel_forget(op);

    op->state = NGX_LYFTR_OP_DONE;
    op->rc = NGX_ERROR;
    op->error = NGX_LYFTR_ERR_TIMEOUT;

    return NGX_OK;
}


static void
ngx_lyftr_channel_forget(ngx_lyftr_op_t *op)
{
    ngx_lyftr_channel_t  *channel;

    channel = op->channel;

    ngx_queue_remove(&op->age);

    if (ngx_queue_empty(&channel->outstanding) && channel->expire.timer_set) {
        ngx_del_timer(&channel->expire);
    }
}

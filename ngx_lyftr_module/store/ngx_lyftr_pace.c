#include <ngx_lyftr_channel.h>


static ngx_uint_t ngx_lyftr_pace_pending(ngx_lyftr_channel_t *channel);


void
ngx_lyftr_pace_start(ngx_lyftr_channel_t *channel)
{
    ngx_lyftr_status_t  *status;

    if (ngx_worker >= NGX_LYFTR_WORKERS_MAX) {
        return;
    }

    status = channel->store->status;

    channel->shown = &status->pending[ngx_worker].n;

    ngx_lyftr_channel_show(channel);
}


/*
 * How fast a channel's queue is emptied: the time that a batch has taken of
 * late, from the hand-over to a thread until it came back.
 */

void
ngx_lyftr_pace_note(ngx_lyftr_lane_t *lane)
{
    ngx_msec_t            msec;
    ngx_lyftr_channel_t  *channel;

    if (lane->n == 0) {
        return;
    }

    channel = lane->channel;
    msec = ngx_current_msec - lane->started;

    channel->pace = (3 * channel->pace + 8 * msec) / 4;
}


void
ngx_lyftr_pace_follow(ngx_lyftr_channel_t *channel, int64_t since)
{
    int64_t  msec;

    msec = (ngx_lyftr_usec() - since) / 1000;

    channel->pace = (3 * channel->pace + 8 * (ngx_msec_t) msec) / 4;
}


/*
 * The queue has a limit in operations, and that of the writer one in time: what
 * would be answered too late anyway is better tried again.  One batch may wait
 * in any case, for the pace tells little of a lane that was idle.
 */

ngx_uint_t
ngx_lyftr_pace_full(ngx_lyftr_channel_t *channel, ngx_uint_t n)
{
    ngx_lyftr_store_t  *store;

    store = channel->store;

    return n >= (ngx_uint_t) store->queue
           || (channel->type == NGX_LYFTR_CHANNEL_WRITE
               && n >= channel->batch
               && ngx_lyftr_pace_estimate(channel, n) > store->delay);
}


/* of n operations; the batch under way may have stopped, so its age counts */

ngx_msec_t
ngx_lyftr_pace_estimate(ngx_lyftr_channel_t *channel, ngx_uint_t n)
{
    ngx_msec_t  pace, age;

    pace = channel->pace / 8;
    age = ngx_lyftr_pace_busy(channel);

    return n / (channel->batch * channel->nlanes) * pace + ngx_max(pace, age);
}


ngx_uint_t
ngx_lyftr_pace_overload(ngx_lyftr_channel_t *channel)
{
    ngx_uint_t  n;

    n = ngx_lyftr_pace_pending(channel);

    if (!ngx_lyftr_pace_full(channel, n)) {
        return 0;
    }

    ngx_lyftr_pace_log(channel, n);

    return 1;
}


ngx_msec_t
ngx_lyftr_pace_wait(ngx_lyftr_channel_t *channel)
{
    return ngx_lyftr_pace_estimate(channel, ngx_lyftr_pace_pending(channel));
}


static ngx_uint_t
ngx_lyftr_pace_pending(ngx_lyftr_channel_t *channel)
{
    ngx_uint_t   n;
    ngx_log_t   *log;

    log = ngx_cycle->log;

    if (ngx_thread_mutex_lock(&channel->mutex, log) != NGX_OK) {
        return 0;
    }

    n = channel->npending + channel->nshared;

    (void) ngx_thread_mutex_unlock(&channel->mutex, log);

    return n;
}


/* not more than once a second: a line costs more than the refusal */

void
ngx_lyftr_pace_log(ngx_lyftr_channel_t *channel, ngx_uint_t n)
{
    ngx_lyftr_store_t     *store;
    ngx_lyftr_left_out_t   left_out;

    store = channel->store;

    if (ngx_lyftr_status_tell(&store->status->told[NGX_LYFTR_ERR_OVERLOAD],
                              &left_out)
        != NGX_OK)
    {
        return;
    }

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "lyftr store \"%V\" queue overflow: %ui waiting for about "
                  "%M ms%*s", &store->name, n,
                  ngx_lyftr_pace_estimate(channel, n),
                  left_out.len, left_out.data);
}


ngx_msec_t
ngx_lyftr_pace_busy(ngx_lyftr_channel_t *channel)
{
    ngx_uint_t         i;
    ngx_msec_t         msec, longest;
    ngx_queue_t       *q;
    ngx_lyftr_op_t    *op;
    ngx_lyftr_lane_t  *lane;

    longest = 0;

    if (channel->nshared) {
        q = ngx_queue_head(&channel->shared);
        op = ngx_queue_data(q, ngx_lyftr_op_t, queue);

        longest = (ngx_lyftr_usec() - op->since) / 1000;
    }

    for (i = 0; i < channel->nlanes; i++) {
        lane = &channel->lanes[i];

        if (lane->busy) {
            msec = ngx_current_msec - lane->started;
            longest = ngx_max(longest, msec);
        }
    }

    return longest;
}

#include <ngx_lyftr_channel.h>


/*
 * How operations end: when a thread has come back, at their deadlines, or with
 * their request.  The oldest is the first in the queue of those that have not
 * been answered.
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
 * An operation that no thread has taken yet ends here.  One that a thread
 * holds is only answered: its request stays until the thread comes back, and
 * its connection is good for no other one.
 */

static ngx_int_t
ngx_lyftr_channel_expire_op(ngx_lyftr_channel_t *channel, ngx_lyftr_op_t *op)
{
    ngx_log_t           *log;
    ngx_uint_t           taken;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    log = ngx_cycle->log;

    if (ngx_thread_mutex_lock(&channel->mutex, log) != NGX_OK) {
        return NGX_ERROR;
    }

    taken = (op->lane != NULL);

    if (!taken) {
        ngx_queue_remove(&op->queue);
        channel->npending--;
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

    r = op->request;
    c = r->connection;

    if (c->error || r->write_event_handler != op->resume) {

        /* its client has left */

        return NGX_OK;
    }

    op->state = NGX_LYFTR_OP_EXPIRED;

    ngx_http_set_log_request(c->log, r);

    /* the copy filter sends nothing while this is set */

    r->aio = 0;

    r->write_event_handler(r);
    ngx_http_run_posted_requests(c);

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


/*
 * Resumes the request through its write event handler: if the request was
 * terminated meanwhile, that is no longer ours but nginx's finalizer.
 */

void
ngx_lyftr_channel_complete(ngx_lyftr_op_t *op)
{
    ngx_uint_t           expired;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = op->request;
    c = r->connection;

    ngx_lyftr_channel_forget(op);

    expired = (op->state == NGX_LYFTR_OP_EXPIRED);
    op->state = NGX_LYFTR_OP_DONE;

    if (op->done) {
        op->done(op);
    }

    ngx_http_set_log_request(c->log, r);

    r->main->blocked--;

    if (expired) {

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


/*
 * A cleanup of the request, which is called when it ends: nothing is left to do
 * if it has waited for the end of the operation.
 */

void
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
        return;
    }

    lane = op->lane;

    if (lane == NULL) {
        ngx_queue_remove(&op->queue);
        channel->npending--;
        ngx_lyftr_channel_show(channel);
    }

    (void) ngx_thread_mutex_unlock(&channel->mutex, log);

    if (lane) {
        ngx_lyftr_status_set(lane->stop, 1);
        return;
    }

    ngx_lyftr_channel_forget(op);

    op->state = NGX_LYFTR_OP_DONE;
    op->rc = NGX_ERROR;
    op->error = NGX_LYFTR_ERR_TIMEOUT;

    op->request->main->blocked--;
    op->request->aio = 0;
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

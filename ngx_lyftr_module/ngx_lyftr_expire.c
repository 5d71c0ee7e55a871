#include <ngx_lyftr_channel.h>


/*
 * What becomes of operations at their deadlines; the oldest is the first in
 * the queue of those that have not been answered.
 */

static ngx_int_t ngx_lyftr_channel_expire_op(ngx_lyftr_channel_t *channel,
    ngx_lyftr_op_t *op);
static void ngx_lyftr_expire_waited(ngx_lyftr_op_t *op);


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

    taken = op->taken;

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

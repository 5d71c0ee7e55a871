#include <ngx_lyftr_channel.h>


/*
 * The leader commits what all workers have in their rings, in a pool thread,
 * one batch after the other.  It has its turn among all writers for a batch
 * only, but leads for as long as there is work, since it knows the ids that it
 * has stored itself, and would have to read those of others.
 */

/* msec without work after which it leaves, for somebody else may have some */
#define NGX_LYFTR_LEAD_LINGER      100

/* msec before the event loop is asked if it is to go on */
#define NGX_LYFTR_LEAD_SPELL       250

/* bytes of the messages of a batch */
#define NGX_LYFTR_LEAD_MEMORY      (1024 * 1024)


typedef struct {
    ngx_lyftr_op_t                op;
    ngx_lyftr_ring_t             *ring;
    ngx_lyftr_ring_entry_t        entry;
} ngx_lyftr_lead_op_t;


/* begun: the batch has come to it */

typedef struct {
    ngx_lyftr_ring_t              ring;
    ngx_uint_t                    begun;
} ngx_lyftr_lead_ring_t;


struct ngx_lyftr_lead_s {
    ngx_uint_t                    first;         /* ring of the next batch */
    ngx_msec_t                    worked;        /* at this time */
    ngx_lyftr_lead_op_t          *ops;
    ngx_lyftr_message_t          *messages;
    ngx_uint_t                    max;           /* of these */
    u_char                       *memory;
    ngx_lyftr_lead_ring_t         rings[1];
};


static ngx_lyftr_lead_t *ngx_lyftr_lead_create(ngx_lyftr_channel_t *channel,
    ngx_log_t *log);
static void ngx_lyftr_lead_ready(ngx_lyftr_lane_t *lane);
static ngx_uint_t ngx_lyftr_lead_waits(ngx_lyftr_channel_t *channel);
static ngx_int_t ngx_lyftr_lead_rest(ngx_lyftr_channel_t *channel);
static ngx_int_t ngx_lyftr_lead_batch(ngx_lyftr_lane_t *lane);
static void ngx_lyftr_lead_take(ngx_lyftr_lane_t *lane);
static void ngx_lyftr_lead_refuse(ngx_lyftr_channel_t *channel, ngx_uint_t i);
static void ngx_lyftr_lead_reply(ngx_lyftr_lane_t *lane);


void
ngx_lyftr_lead_run(ngx_lyftr_lane_t *lane, ngx_log_t *log)
{
    ngx_msec_t            start;
    ngx_lyftr_lead_t     *lead;
    ngx_lyftr_channel_t  *channel;

    channel = lane->channel;
    lane->due = 0;

    if (channel->lead == NULL) {
        channel->lead = ngx_lyftr_lead_create(channel, log);
    }

    lead = channel->lead;

    if (lead == NULL) {
        return;
    }

    if (ngx_lyftr_share_lead(channel->store->share) != NGX_OK) {
        ngx_lyftr_lead_ready(lane);
        return;
    }

    start = ngx_lyftr_clock();

    if (!channel->leads) {
        channel->leads = 1;
        lead->worked = start;
    }

    do {
        if (ngx_lyftr_lead_waits(channel)) {
            if (ngx_lyftr_lead_batch(lane) != NGX_OK) {
                ngx_lyftr_lead_leave(channel);
                return;
            }

            lead->worked = ngx_lyftr_clock();

        } else if (ngx_lyftr_lead_rest(channel) != NGX_OK) {
            ngx_lyftr_lead_leave(channel);
            return;
        }

    } while (ngx_lyftr_clock() - start < NGX_LYFTR_LEAD_SPELL);

    lane->due = 1;
    lane->at = lane->started;
}


static ngx_lyftr_lead_t *
ngx_lyftr_lead_create(ngx_lyftr_channel_t *channel, ngx_log_t *log)
{
    ngx_uint_t          i;
    ngx_lyftr_lead_t   *lead;
    ngx_lyftr_share_t  *share;

    share = channel->store->share;

    lead = ngx_calloc(sizeof(ngx_lyftr_lead_t)
                      + share->workers * sizeof(ngx_lyftr_lead_ring_t), log);
    if (lead == NULL) {
        return NULL;
    }

    lead->max = ngx_max(channel->batch, NGX_LYFTR_RING_MESSAGES);

    lead->ops = ngx_alloc(lead->max * sizeof(ngx_lyftr_lead_op_t), log);
    lead->messages = ngx_alloc(lead->max * sizeof(ngx_lyftr_message_t), log);
    lead->memory = ngx_alloc(NGX_LYFTR_LEAD_MEMORY, log);

    if (lead->ops == NULL || lead->messages == NULL || lead->memory == NULL) {
        ngx_lyftr_lead_free(lead);
        return NULL;
    }

    for (i = 0; i < share->workers; i++) {
        ngx_lyftr_share_ring(share, i, &lead->rings[i].ring);
    }

    return lead;
}


void
ngx_lyftr_lead_free(ngx_lyftr_lead_t *lead)
{
    ngx_free(lead->ops);
    ngx_free(lead->messages);
    ngx_free(lead->memory);
    ngx_free(lead);
}


/* another one leads: when that is killed, the connection is open */

static void
ngx_lyftr_lead_ready(ngx_lyftr_lane_t *lane)
{
    ngx_lyftr_error_t   err;
    ngx_lyftr_store_t  *store;

    store = lane->channel->store;

    if (lane->seat->conn == NULL
        && ngx_lyftr_status_get(store->status->opened) == store->dsn_hash)
    {
        (void) ngx_lyftr_lane_open(lane, 0,
                                   ngx_lyftr_clock() + lane->channel->timeout,
                                   &err);
    }
}


/*
 * Whoever comes from now on finds no leader; who has come before, and relied on
 * this one, is told.
 */

void
ngx_lyftr_lead_leave(ngx_lyftr_channel_t *channel)
{
    ngx_uint_t          i;
    ngx_lyftr_share_t  *share;

    share = channel->store->share;

    channel->leads = 0;

    ngx_lyftr_share_leave(share);

    for (i = 0; i < share->workers; i++) {
        if (ngx_lyftr_ring_waits(&channel->lead->rings[i].ring)) {
            ngx_lyftr_share_wake(share, i);
        }
    }
}


static ngx_uint_t
ngx_lyftr_lead_waits(ngx_lyftr_channel_t *channel)
{
    ngx_uint_t  i;

    for (i = 0; i < channel->store->share->workers; i++) {
        if (ngx_lyftr_ring_waits(&channel->lead->rings[i].ring)) {
            return 1;
        }
    }

    return 0;
}


/* NGX_DECLINED: there was no work for long */

static ngx_int_t
ngx_lyftr_lead_rest(ngx_lyftr_channel_t *channel)
{
    ngx_msec_t          idle;
    ngx_lyftr_share_t  *share;

    share = channel->store->share;
    idle = ngx_lyftr_clock() - channel->lead->worked;

    if (idle >= NGX_LYFTR_LEAD_LINGER || channel->lanes[0].exiting) {
        return NGX_DECLINED;
    }

    ngx_lyftr_share_drowse(share);

    if (!ngx_lyftr_lead_waits(channel)) {
        ngx_lyftr_share_sleep(share, NGX_LYFTR_LEAD_LINGER - idle);
    }

    return NGX_OK;
}


/* NGX_ERROR: lane->err tells, and the event loop is to hear of it */

static ngx_int_t
ngx_lyftr_lead_batch(ngx_lyftr_lane_t *lane)
{
    ngx_int_t             rc;
    ngx_msec_t            deadline;
    ngx_lyftr_channel_t  *channel;

    channel = lane->channel;
    deadline = ngx_lyftr_clock() + channel->timeout;

    if (ngx_lyftr_lane_begin(lane, deadline) != NGX_OK) {

        /* what waits for a lock goes on waiting until its own deadline */

        while (lane->err.code != NGX_LYFTR_ERR_BUSY) {
            ngx_lyftr_lead_take(lane);
            ngx_lyftr_lane_fail(lane, ngx_queue_head(&lane->batch));
            ngx_lyftr_lead_reply(lane);

            if (lane->n == 0) {
                break;
            }
        }

        return NGX_ERROR;
    }

    ngx_lyftr_lead_take(lane);

    if (lane->n == 0) {
        channel->store->backend->end(lane->seat->conn);
        ngx_lyftr_lead_reply(lane);

        return NGX_OK;
    }

    rc = ngx_lyftr_lane_write(lane, deadline);

    if (rc != NGX_OK && !ngx_lyftr_lane_sound(lane->err.code)) {
        ngx_lyftr_lane_close(lane);
    }

    if (lane->err.code == NGX_LYFTR_ERR_NONE) {
        ngx_lyftr_status_count(lane);
    }

    ngx_lyftr_lead_reply(lane);

    if (lane->err.code != NGX_LYFTR_ERR_NONE) {
        return NGX_ERROR;
    }

    lane->n = 0;

    return NGX_OK;
}


/* a batch, each time from another worker on */

static void
ngx_lyftr_lead_take(ngx_lyftr_lane_t *lane)
{
    u_char               *p, *last;
    int64_t               now;
    ngx_int_t             rc;
    ngx_uint_t            i, n, sum;
    ngx_lyftr_lead_t     *lead;
    ngx_lyftr_ring_t     *ring;
    ngx_lyftr_tally_t     wait;
    ngx_lyftr_share_t    *share;
    ngx_lyftr_status_t   *status;
    ngx_lyftr_lead_op_t  *op;
    ngx_lyftr_channel_t  *channel;

    channel = lane->channel;
    lead = channel->lead;
    share = channel->store->share;

    p = lead->memory;
    last = p + NGX_LYFTR_LEAD_MEMORY;
    now = ngx_lyftr_usec();
    sum = 0;
    rc = NGX_OK;

    lane->n = 0;
    lead->first = (lead->first + 1) % share->workers;

    ngx_memzero(&wait, sizeof(ngx_lyftr_tally_t));

    for (n = 0; n < share->workers && rc != NGX_DECLINED; n++) {
        i = (lead->first + n) % share->workers;
        ring = &lead->rings[i].ring;

        if (!ngx_lyftr_ring_waits(ring)) {
            continue;
        }

        rc = ngx_lyftr_ring_begin(ring);
        lead->rings[i].begun = (rc == NGX_OK);

        while (rc == NGX_OK) {
            op = &lead->ops[lane->n];

            rc = (sum && sum >= channel->batch)
                 ? NGX_DECLINED
                 : ngx_lyftr_ring_take(ring, &p, last, &lead->messages[sum],
                                       sum ? channel->batch - sum : lead->max,
                                       &op->entry);

            if (rc != NGX_OK) {
                break;
            }

            sum += op->entry.write.n;

            op->ring = ring;
            op->op.write = op->entry.write;
            op->op.since = op->entry.since;
            op->op.arrived = op->entry.arrived;

            ngx_lyftr_tally_add(&wait, &ngx_lyftr_seconds, now - op->op.since);

            ngx_queue_insert_tail(&lane->batch, &op->op.queue);
            lane->n++;
        }

        if (rc == NGX_ERROR) {
            ngx_lyftr_lead_refuse(channel, i);
        }
    }

    status = channel->store->status;

    ngx_lyftr_histogram_merge(&status->wait[NGX_LYFTR_CHANNEL_WRITE], &wait);
}


/* its owner fails what it has there, and begins anew */

static void
ngx_lyftr_lead_refuse(ngx_lyftr_channel_t *channel, ngx_uint_t i)
{
    ngx_lyftr_ring_refuse(&channel->lead->rings[i].ring);
    ngx_lyftr_share_wake(channel->store->share, i);
}


/* all answers are there before the first owner is woken, and runs */

static void
ngx_lyftr_lead_reply(ngx_lyftr_lane_t *lane)
{
    ngx_uint_t            i;
    ngx_lyftr_lead_t     *lead;
    ngx_lyftr_share_t    *share;
    ngx_lyftr_lead_op_t  *op;

    lead = lane->channel->lead;
    share = lane->channel->store->share;

    for (i = 0; i < lane->n; i++) {
        op = &lead->ops[i];

        ngx_lyftr_ring_reply(op->ring, &op->entry,
                             op->op.rc == NGX_ERROR ? op->op.error
                                                    : NGX_LYFTR_ERR_NONE);
    }

    for (i = 0; i < share->workers; i++) {

        /* also if its owner has withdrawn all that it had there */

        if (lead->rings[i].begun && ngx_lyftr_ring_end(&lead->rings[i].ring)) {
            ngx_lyftr_share_wake(share, i);
        }

        lead->rings[i].begun = 0;
    }

    ngx_queue_init(&lane->batch);
}

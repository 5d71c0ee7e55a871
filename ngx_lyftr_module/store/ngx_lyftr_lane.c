#include <ngx_lyftr_channel.h>


/*
 * All of this runs in a pool thread.  It touches the lane, its connection and
 * the operations it has taken, and neither a request nor a log of one.
 */

/* msec: the sum of all skews is to have room */
#define NGX_LYFTR_SKEW_MAX         (365LL * 24 * 3600 * 1000)

#define ngx_lyftr_lane_op(wr)                                                 \
    ((ngx_lyftr_op_t *) ((u_char *) (wr) - offsetof(ngx_lyftr_op_t, write)))


static void ngx_lyftr_lane_body(ngx_lyftr_lane_t *lane, ngx_log_t *log);
static ngx_int_t ngx_lyftr_lane_deadline(ngx_lyftr_channel_t *channel,
    ngx_msec_t *deadline, ngx_log_t *log);
static ngx_uint_t ngx_lyftr_lane_kept_away(ngx_lyftr_store_t *store,
    ngx_uint_t flags, ngx_lyftr_error_t *err);
static void ngx_lyftr_lane_take(ngx_lyftr_lane_t *lane, ngx_uint_t max,
    ngx_log_t *log);
static ngx_int_t ngx_lyftr_lane_run(ngx_lyftr_lane_t *lane);
static ngx_int_t ngx_lyftr_lane_write_singly(ngx_lyftr_lane_t *lane);
static ngx_int_t ngx_lyftr_lane_commit(ngx_lyftr_lane_t *lane, ngx_uint_t i,
    ngx_uint_t n, ngx_msec_t deadline, ngx_lyftr_error_t *err);


void
ngx_lyftr_lane_batch(ngx_lyftr_lane_t *lane, ngx_log_t *log)
{
    ngx_int_t             rc;
    ngx_msec_t            deadline;
    ngx_lyftr_backend_t  *backend;
    ngx_lyftr_channel_t  *channel;

    channel = lane->channel;
    backend = channel->store->backend;

    if (channel->type == NGX_LYFTR_CHANNEL_BODY) {
        ngx_lyftr_lane_body(lane, log);
        return;
    }

    if (ngx_lyftr_lane_deadline(channel, &deadline, log) != NGX_OK) {
        return;
    }

    if (ngx_lyftr_lane_begin(lane, deadline) != NGX_OK) {

        /* what waits for a lock goes on waiting until its own deadline */

        if (lane->err.code != NGX_LYFTR_ERR_BUSY) {
            ngx_lyftr_lane_take(lane, NGX_MAX_INT_T_VALUE, log);
            ngx_lyftr_lane_fail(lane, ngx_queue_head(&lane->batch));
        }

        return;
    }

    ngx_lyftr_lane_take(lane, channel->batch, log);

    if (lane->n == 0) {
        backend->end(lane->seat->conn);
        return;
    }

    rc = (channel->type == NGX_LYFTR_CHANNEL_WRITE)
         ? ngx_lyftr_lane_write(lane, deadline) : ngx_lyftr_lane_run(lane);

    if (rc != NGX_OK && !ngx_lyftr_lane_sound(lane->err.code)) {
        ngx_lyftr_lane_close(lane);
    }
}


/* what is done to a body needs no store */

static void
ngx_lyftr_lane_body(ngx_lyftr_lane_t *lane, ngx_log_t *log)
{
    ngx_queue_t     *q;
    ngx_lyftr_op_t  *op;

    ngx_lyftr_lane_take(lane, 1, log);

    if (lane->n) {
        q = ngx_queue_head(&lane->batch);
        op = ngx_queue_data(q, ngx_lyftr_op_t, queue);
        op->rc = op->run(op, NULL, NULL, &lane->err);
    }
}


/* that of the oldest operation; NGX_DECLINED if none is pending */

static ngx_int_t
ngx_lyftr_lane_deadline(ngx_lyftr_channel_t *channel, ngx_msec_t *deadline,
    ngx_log_t *log)
{
    ngx_int_t        rc;
    ngx_queue_t     *q;
    ngx_lyftr_op_t  *op;

    if (ngx_thread_mutex_lock(&channel->mutex, log) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = NGX_DECLINED;

    if (!ngx_queue_empty(&channel->pending)) {
        q = ngx_queue_head(&channel->pending);
        op = ngx_queue_data(q, ngx_lyftr_op_t, queue);

        *deadline = op->deadline;
        rc = NGX_OK;
    }

    (void) ngx_thread_mutex_unlock(&channel->mutex, log);

    return rc;
}


void
ngx_lyftr_lane_close(ngx_lyftr_lane_t *lane)
{
    lane->channel->store->backend->close(lane->seat->conn);
    lane->seat->conn = NULL;
}


ngx_int_t
ngx_lyftr_lane_open(ngx_lyftr_lane_t *lane, ngx_uint_t flags,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_lyftr_err_e     error;
    ngx_lyftr_store_t  *store;

    store = lane->channel->store;
    error = ngx_lyftr_status_get(store->status->error);

    /* a store that was there and is gone must not begin anew */

    if (ngx_lyftr_status_get(store->status->opened) != store->dsn_hash) {
        flags |= NGX_LYFTR_OPEN_CREATE;
    }

    /* what was refused beforehand has left nothing in the log */

    if (error != NGX_LYFTR_ERR_NONE && !ngx_lyftr_lane_sound(error)) {
        flags |= NGX_LYFTR_OPEN_FAILED;
    }

    lane->seat->conn = ngx_lyftr_lane_kept_away(store, flags, err)
                       ? NULL
                       : store->backend->open(store->dsn, flags, deadline,
                                              err);

    if (lane->seat->conn) {

        if (lane->channel->type == NGX_LYFTR_CHANNEL_READ
            || lane->channel->type == NGX_LYFTR_CHANNEL_FOLLOW)
        {
            store->backend->watch(lane->seat->conn, &lane->stop);
        }

        return NGX_OK;
    }

    /*
     * The housekeeping may have found that it cannot adopt it.  A lock is no
     * reason to wait here, as it is where a lane meets one itself.
     */

    error = ngx_lyftr_status_get(store->status->refused);

    if (err->code == NGX_LYFTR_ERR_ADOPT
        && error != NGX_LYFTR_ERR_NONE
        && error != NGX_LYFTR_ERR_BUSY)
    {
        err->code = error;
    }

    return NGX_ERROR;
}


/* what is being adopted is the housekeeping's alone, and told without a look */

static ngx_uint_t
ngx_lyftr_lane_kept_away(ngx_lyftr_store_t *store, ngx_uint_t flags,
    ngx_lyftr_error_t *err)
{
    if ((flags & NGX_LYFTR_OPEN_JOBS)
        || !ngx_lyftr_store_unopened(store)
        || ngx_lyftr_status_get(store->status->adopted) == 0)
    {
        return 0;
    }

    err->code = NGX_LYFTR_ERR_ADOPT;
    err->len = sizeof("the database is being adopted") - 1;

    ngx_memcpy(err->text, "the database is being adopted", err->len);

    return 1;
}


/* a connection that has gone bad is opened anew, once */

ngx_int_t
ngx_lyftr_lane_begin(ngx_lyftr_lane_t *lane, ngx_msec_t deadline)
{
    ngx_int_t             rc;
    ngx_uint_t            cached;
    ngx_lyftr_store_t    *store;
    ngx_lyftr_channel_t  *channel;
    ngx_lyftr_backend_t  *backend;

    channel = lane->channel;
    store = channel->store;
    backend = store->backend;

    cached = (lane->seat->conn != NULL);

    for ( ;; ) {

        if (lane->seat->conn == NULL) {
            if (ngx_lyftr_lane_open(lane, 0, deadline, &lane->err) != NGX_OK) {
                return NGX_ERROR;
            }

            ngx_lyftr_status_set(store->status->opened, store->dsn_hash);
        }

        if (channel->type == NGX_LYFTR_CHANNEL_PROBE
            || channel->type == NGX_LYFTR_CHANNEL_ERASE)
        {
            return NGX_OK;
        }

        rc = (channel->type == NGX_LYFTR_CHANNEL_READ
              || channel->type == NGX_LYFTR_CHANNEL_FOLLOW)
             ? backend->begin(lane->seat->conn, deadline, &lane->err)
             : backend->turn(lane->seat->conn, deadline, &lane->err);

        if (rc != NGX_ERROR) {
            return rc;
        }

        ngx_lyftr_lane_close(lane);

        if (!cached) {
            return NGX_ERROR;
        }

        cached = 0;
    }
}


/*
 * As many operations as have max messages together: one that has more comes
 * alone, for it is never split.
 */

static void
ngx_lyftr_lane_take(ngx_lyftr_lane_t *lane, ngx_uint_t max, ngx_log_t *log)
{
    int64_t               now;
    ngx_uint_t            size, sum;
    ngx_queue_t          *q;
    ngx_lyftr_op_t       *op;
    ngx_lyftr_tally_t     wait;
    ngx_lyftr_channel_t  *channel;

    channel = lane->channel;

    ngx_memzero(&wait, sizeof(ngx_lyftr_tally_t));

    if (ngx_thread_mutex_lock(&channel->mutex, log) != NGX_OK) {
        return;
    }

    now = ngx_lyftr_usec();
    sum = 0;

    while (!ngx_queue_empty(&channel->pending)) {
        q = ngx_queue_head(&channel->pending);
        op = ngx_queue_data(q, ngx_lyftr_op_t, queue);

        size = ngx_lyftr_op_size(op);

        if (lane->n && sum + size > max) {
            break;
        }

        sum += size;

        ngx_queue_remove(q);
        channel->npending -= size;

        op->lane = lane;

        ngx_lyftr_tally_add(&wait, &ngx_lyftr_seconds, now - op->since);

        ngx_queue_insert_tail(&lane->batch, q);
        lane->n++;
    }

    ngx_lyftr_channel_show(channel);

    (void) ngx_thread_mutex_unlock(&channel->mutex, log);

    if (channel->type < NGX_LYFTR_CHANNEL_PROBE) {
        ngx_lyftr_histogram_merge(&channel->store->status->wait[channel->type],
                                  &wait);
    }
}


/*
 * What is neither a write nor needs no store: a batch of one.  NGX_ERROR: the
 * connection is to be closed.
 */

static ngx_int_t
ngx_lyftr_lane_run(ngx_lyftr_lane_t *lane)
{
    ngx_queue_t          *q;
    ngx_lyftr_op_t       *op;
    ngx_lyftr_backend_t  *backend;

    backend = lane->channel->store->backend;

    q = ngx_queue_head(&lane->batch);
    op = ngx_queue_data(q, ngx_lyftr_op_t, queue);

    op->rc = op->run(op, backend, lane->seat->conn, &lane->err);

    backend->end(lane->seat->conn);

    if (op->rc == NGX_ERROR) {
        ngx_lyftr_lane_fail(lane, q);
        return NGX_ERROR;
    }

    lane->err.code = NGX_LYFTR_ERR_NONE;

    return NGX_OK;
}


/* has the turn; NGX_ERROR: the connection is to be closed */

ngx_int_t
ngx_lyftr_lane_write(ngx_lyftr_lane_t *lane, ngx_msec_t deadline)
{
    ngx_uint_t       i;
    ngx_queue_t     *q;
    ngx_lyftr_op_t  *op;

    i = 0;

    for (q = ngx_queue_head(&lane->batch);
         q != ngx_queue_sentinel(&lane->batch);
         q = ngx_queue_next(q))
    {
        op = ngx_queue_data(q, ngx_lyftr_op_t, queue);
        lane->writes[i++] = &op->write;
    }

    if (ngx_lyftr_lane_commit(lane, 0, lane->n, deadline, &lane->err)
        == NGX_OK)
    {
        lane->err.code = NGX_LYFTR_ERR_NONE;
        return NGX_OK;
    }

    if (lane->err.code == NGX_LYFTR_ERR_DATA) {
        return ngx_lyftr_lane_write_singly(lane);
    }

    ngx_lyftr_lane_fail(lane, ngx_queue_head(&lane->batch));

    return NGX_ERROR;
}


/*
 * A message that cannot be stored must not fail its neighbours, so the
 * operations are stored again, one in a transaction.
 */

static ngx_int_t
ngx_lyftr_lane_write_singly(ngx_lyftr_lane_t *lane)
{
    ngx_int_t             rc;
    ngx_uint_t            i;
    ngx_msec_t            deadline;
    ngx_lyftr_op_t       *op;
    ngx_lyftr_error_t     err;
    ngx_lyftr_backend_t  *backend;

    backend = lane->channel->store->backend;
    deadline = ngx_lyftr_clock() + lane->channel->timeout;

    for (i = 0; i < lane->n; i++) {
        op = ngx_lyftr_lane_op(lane->writes[i]);

        rc = backend->turn(lane->seat->conn, deadline, &err);

        if (rc == NGX_OK) {
            rc = ngx_lyftr_lane_commit(lane, i, 1, deadline, &err);

            if (rc == NGX_ERROR && err.code == NGX_LYFTR_ERR_DATA) {
                op->rc = NGX_ERROR;
                op->error = err.code;
                lane->failed++;
                continue;
            }
        }

        if (rc != NGX_OK) {
            lane->err = err;
            ngx_lyftr_lane_fail(lane, &op->queue);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* stores n writes from the ith one on, and counts them; has the turn */

static ngx_int_t
ngx_lyftr_lane_commit(ngx_lyftr_lane_t *lane, ngx_uint_t i, ngx_uint_t n,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    int64_t               skew;
    ngx_uint_t            k, sum;
    ngx_lyftr_op_t       *op;
    ngx_lyftr_batch_t     batch;
    ngx_lyftr_store_t    *store;
    ngx_lyftr_tally_t     skews;
    ngx_lyftr_message_t  *m;

    store = lane->channel->store;

    batch.writes = &lane->writes[i];
    batch.n = n;

    if (store->backend->write(lane->seat->conn, &batch, deadline, err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memzero(&skews, sizeof(ngx_lyftr_tally_t));
    sum = 0;

    for (n += i; i < n; i++) {
        op = ngx_lyftr_lane_op(lane->writes[i]);
        op->rc = NGX_OK;

        sum += op->write.n;

        for (k = 0; k < op->write.n; k++) {
            m = &op->write.messages[k];

            if (m->known) {
                continue;
            }

            skew = op->arrived - ngx_lyftr_instant_msec(&m->instant);
            skew = ngx_min(skew, NGX_LYFTR_SKEW_MAX);
            skew = ngx_max(skew, -NGX_LYFTR_SKEW_MAX);

            ngx_lyftr_tally_add(&skews, &ngx_lyftr_skews, skew);
        }
    }

    lane->commits++;
    lane->messages += sum;

    ngx_lyftr_histogram_add(&store->status->commit, &ngx_lyftr_seconds,
                            batch.usec);
    ngx_lyftr_histogram_add(&store->status->batch, &ngx_lyftr_sizes, sum);
    ngx_lyftr_histogram_merge(&store->status->skew, &skews);
    ngx_lyftr_status_set(store->status->committed, ngx_lyftr_clock());

    (void) ngx_atomic_fetch_add(&store->status->moved, 1);

    return NGX_OK;
}


/* in a pool thread: all operations from this one on have failed */

void
ngx_lyftr_lane_fail(ngx_lyftr_lane_t *lane, ngx_queue_t *from)
{
    ngx_queue_t     *q;
    ngx_lyftr_op_t  *op;

    for (q = from;
         q != ngx_queue_sentinel(&lane->batch);
         q = ngx_queue_next(q))
    {
        op = ngx_queue_data(q, ngx_lyftr_op_t, queue);
        op->rc = NGX_ERROR;
        op->error = lane->err.code;
        lane->failed++;
    }
}

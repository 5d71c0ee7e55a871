#include <ngx_lyftr_channel.h>


/* msec between two tries of housekeeping, or of a check, if it fails */
#define NGX_LYFTR_KEEPER_REST      5000

/* the same if a database cannot be adopted, which may have been read whole */
#define NGX_LYFTR_KEEPER_REFUSED   60000

/* the same if something is locked, or there was nothing to do */
#define NGX_LYFTR_KEEPER_PAUSE     1000
#define NGX_LYFTR_KEEPER_IDLE      50

/* msec between two probes, of whatever worker */
#define NGX_LYFTR_KEEPER_PROBE     1000

/* msec of housekeeping before the event loop is asked if it is to go on */
#define NGX_LYFTR_KEEPER_SPELL     100

/* msec between two parts of a check, at the least */
#define NGX_LYFTR_CHECK_HASTE      10

/* bytes a millisecond: of a pass, and of all passes and the time between */
#define NGX_LYFTR_CHECK_RATE       1024
#define NGX_LYFTR_CHECK_MEAN       64

/* a pass that found damage is done again after so many times as long */
#define NGX_LYFTR_CHECK_AGAIN      10

/* the same for a store that has not changed, in times of check= */
#define NGX_LYFTR_CHECK_UNCHANGED  30


static ngx_int_t ngx_lyftr_housekeeping_open(ngx_lyftr_lane_t *lane,
    ngx_msec_t deadline);
static void ngx_lyftr_housekeeping_refused(ngx_lyftr_lane_t *lane,
    ngx_int_t rc);
static void ngx_lyftr_housekeeping_gauges(ngx_lyftr_lane_t *lane);
static ngx_uint_t ngx_lyftr_check_due(ngx_lyftr_lane_t *lane);
static ngx_msec_t ngx_lyftr_check_rest(ngx_lyftr_lane_t *lane, ngx_int_t rc);
static ngx_msec_t ngx_lyftr_check_failed(ngx_lyftr_lane_t *lane);
static void ngx_lyftr_housekeeping_probe(ngx_lyftr_lane_t *lane, ngx_int_t rc);


/*
 * What no request asks for; in a pool thread.  The first worker sets a store
 * up, or begins to adopt it; until then the others leave it alone, and the
 * check until it is there.
 */

static ngx_int_t
ngx_lyftr_housekeeping_open(ngx_lyftr_lane_t *lane, ngx_msec_t deadline)
{
    ngx_uint_t          flags;
    ngx_lyftr_store_t  *store;

    store = lane->channel->store;
    flags = (lane->channel->type == NGX_LYFTR_CHANNEL_JOBS)
            ? NGX_LYFTR_OPEN_JOBS : 0;

    if (ngx_lyftr_store_unopened(store)
        && (flags == 0
            || (ngx_worker != 0
                && ngx_lyftr_status_get(store->status->adopted) == 0)))
    {
        return NGX_DECLINED;
    }

    if (lane->seat->conn) {
        return NGX_OK;
    }

    return ngx_lyftr_lane_open(lane, flags, deadline, &lane->job_err);
}


void
ngx_lyftr_housekeeping_step(ngx_lyftr_lane_t *lane)
{
    ngx_int_t             rc;
    ngx_msec_t            rest, start;
    ngx_lyftr_channel_t  *channel;
    ngx_lyftr_backend_t  *backend;

    channel = lane->channel;
    backend = channel->store->backend;

    start = ngx_lyftr_clock();

    do {
        rc = ngx_lyftr_housekeeping_open(lane,
                                      ngx_lyftr_clock() + channel->timeout);

        if (rc == NGX_OK) {
            rc = backend->housekeep(lane->seat->conn,
                                   ngx_lyftr_clock() + channel->timeout,
                                   &lane->job_err);
        }

    } while (rc == NGX_OK
             && lane->job_err.code == NGX_LYFTR_ERR_NONE
             && ngx_lyftr_clock() - start < NGX_LYFTR_KEEPER_SPELL);

    lane->news = (rc == NGX_AGAIN);

    if (lane->news) {
        rc = NGX_OK;
    }

    if (rc == NGX_OK || rc == NGX_DONE) {
        ngx_lyftr_housekeeping_gauges(lane);
    }

    if (rc != NGX_BUSY) {
        ngx_lyftr_status_set(channel->store->keeper,
                             rc == NGX_OK || rc == NGX_DONE);
    }

    ngx_lyftr_housekeeping_probe(lane, rc);

    switch (rc) {

    case NGX_OK:
        rest = 0;
        break;

    case NGX_DONE:
        rest = NGX_LYFTR_KEEPER_IDLE;
        break;

    case NGX_BUSY:
    case NGX_DECLINED:
        rest = NGX_LYFTR_KEEPER_PAUSE;
        break;

    default: /* NGX_ERROR */
        rest = (lane->job_err.code == NGX_LYFTR_ERR_BUSY)
               ? NGX_LYFTR_KEEPER_PAUSE : NGX_LYFTR_KEEPER_REST;

        if (lane->seat->conn) {
            ngx_lyftr_lane_close(lane);
        }

        if (lane->job_err.code == NGX_LYFTR_ERR_CORRUPT
            && ngx_lyftr_store_unopened(channel->store))
        {
            rest = NGX_LYFTR_KEEPER_REFUSED;
        }
    }

    if (ngx_lyftr_store_unopened(channel->store)) {
        ngx_lyftr_housekeeping_refused(lane, rc);

    } else if (rc == NGX_BUSY || lane->job_err.code == NGX_LYFTR_ERR_BUSY) {
        lane->job_err.code = NGX_LYFTR_ERR_NONE;
    }

    lane->due = 1;
    lane->at = ngx_lyftr_clock() + rest;
}


/* a store that cannot be set up says so once, until the reason changes */

static void
ngx_lyftr_housekeeping_refused(ngx_lyftr_lane_t *lane, ngx_int_t rc)
{
    ngx_atomic_t     *refused;
    ngx_lyftr_err_e   error;

    refused = &lane->channel->store->status->refused;
    error = lane->job_err.code;

    if (error == NGX_LYFTR_ERR_NONE && rc != NGX_OK) {
        return;
    }

    if (error == ngx_lyftr_status_get(*refused)) {
        lane->job_err.code = NGX_LYFTR_ERR_NONE;
        return;
    }

    ngx_lyftr_status_set(*refused, error);
}


/*
 * Tells what the health check would say, though nobody asks: one of all workers
 * does it, also one that does no housekeeping, for another one may hang.
 */

static void
ngx_lyftr_housekeeping_probe(ngx_lyftr_lane_t *lane, ngx_int_t rc)
{
    ngx_uint_t           write;
    ngx_msec_t           now;
    ngx_atomic_t         at;
    ngx_lyftr_error_t    err;
    ngx_lyftr_store_t   *store;
    ngx_lyftr_status_t  *status;

    store = lane->channel->store;
    status = store->status;

    if (ngx_lyftr_status_get(status->opened) != store->dsn_hash) {
        return;
    }

    now = ngx_lyftr_clock();
    at = ngx_lyftr_status_get(status->probed);

    if ((at && (ngx_msec_int_t) (now - at) < NGX_LYFTR_KEEPER_PROBE)
        || !ngx_atomic_cmp_set(&status->probed, at, now))
    {
        return;
    }

    write = ngx_lyftr_status_doubtful(store);

    if (rc == NGX_ERROR) {
        err = lane->job_err;

    } else if (lane->seat->conn) {
        rc = store->backend->probe(lane->seat->conn, write, &err);

    } else {
        return;
    }

    ngx_lyftr_status_probed(store, rc, err.code, write);

    if (rc == NGX_ERROR
        && lane->seat->conn
        && !ngx_lyftr_lane_sound(err.code))
    {
        ngx_lyftr_lane_close(lane);
    }
}


/* for the metrics, which never ask the store */

static void
ngx_lyftr_housekeeping_gauges(ngx_lyftr_lane_t *lane)
{
    ngx_uint_t           i;
    ngx_lyftr_store_t   *store;
    ngx_lyftr_gauges_t   gauges;
    ngx_lyftr_status_t  *status;

    store = lane->channel->store;
    status = store->status;

    ngx_memzero(&gauges, sizeof(ngx_lyftr_gauges_t));

    store->backend->gauges(lane->seat->conn, &gauges);

    /* streams hear of what others stored, on this machine or on another */

    ngx_lyftr_status_set(status->last, gauges.last);
    ngx_lyftr_status_set(status->rows, gauges.rows);
    ngx_lyftr_status_set(status->bytes, gauges.bytes);

    for (i = 0; i < NGX_LYFTR_GAUGES_MAX; i++) {
        ngx_lyftr_status_set(status->gauges[i], gauges.own[i]);
    }

    ngx_lyftr_status_set(status->adopted, gauges.adopted + 1);
    ngx_lyftr_status_set(status->looked, ngx_lyftr_clock());

    if (gauges.adopted == -1 && ngx_lyftr_store_unopened(store)) {
        ngx_lyftr_status_set(status->opened, store->dsn_hash);
    }
}


/* reads a part of the store */

void
ngx_lyftr_housekeeping_check(ngx_lyftr_lane_t *lane)
{
    ngx_int_t           rc;
    ngx_msec_t          deadline;
    ngx_lyftr_store_t  *store;
    ngx_lyftr_error_t  *err;

    store = lane->channel->store;
    err = &lane->job_err;

    lane->due = 1;

    /* one of all processes does it, as the housekeeping */

    if (!ngx_lyftr_status_get(store->keeper)) {
        if (lane->seat->conn) {
            ngx_lyftr_lane_close(lane);
        }

        lane->check.active = 0;
        lane->at = ngx_lyftr_clock() + NGX_LYFTR_KEEPER_PAUSE;

        return;
    }

    if (!lane->check.active) {

        if (!ngx_lyftr_check_due(lane)) {
            lane->at = ngx_lyftr_clock() + NGX_LYFTR_KEEPER_PAUSE;
            return;
        }

        /* only what is read from now on can tell that it is gone */

        (void) ngx_atomic_cmp_set(&store->status->damaged, NGX_LYFTR_DAMAGED,
                                  NGX_LYFTR_RECHECKED);

        lane->began = ngx_lyftr_clock();
        lane->total = 0;
    }

    deadline = ngx_lyftr_clock() + store->timeout;

    lane->check.damaged = 0;

    rc = ngx_lyftr_housekeeping_open(lane, deadline);

    if (rc == NGX_OK) {
        rc = store->backend->check(lane->seat->conn, &lane->check, deadline,
                                   err);
    }

    if (lane->check.damaged) {
        (void) ngx_atomic_cmp_set(&store->status->damaged, NGX_LYFTR_SOUND,
                                  NGX_LYFTR_RECHECKED);
    }

    lane->at = ngx_lyftr_clock() + ngx_lyftr_check_rest(lane, rc);

    /* what is not the file's fault is told by those who need the store now */

    if (rc != NGX_ERROR
        || (err->code != NGX_LYFTR_ERR_CORRUPT
            && err->code != NGX_LYFTR_ERR_FAILED))
    {
        err->code = NGX_LYFTR_ERR_NONE;
    }
}


/* may a pass begin?  Damage that a request has met is looked for at once */

static ngx_uint_t
ngx_lyftr_check_due(ngx_lyftr_lane_t *lane)
{
    ngx_msec_int_t       left;
    ngx_lyftr_store_t   *store;
    ngx_lyftr_status_t  *status;

    store = lane->channel->store;
    status = store->status;

    lane->check.begin = (ngx_lyftr_status_get(status->damaged)
                         != NGX_LYFTR_SOUND);
    lane->check.known = (store->check == 0);

    if (lane->again) {
        return (ngx_msec_int_t) (lane->again - ngx_lyftr_clock()) <= 0;
    }

    if (lane->check.begin
        || lane->check.known
        || ngx_lyftr_status_get(status->checked) == 0)
    {
        return 1;
    }

    left = (ngx_msec_int_t) (ngx_lyftr_status_get(status->checked)
                             - ngx_lyftr_clock());

    lane->check.begin = (-left / NGX_LYFTR_CHECK_UNCHANGED >= store->check);

    return left <= 0;
}


/*
 * A pass takes the time of check= if the store is large, and the next one does
 * not begin before that.  Small ones are read sooner, but not all the time.
 */

static ngx_msec_t
ngx_lyftr_check_rest(ngx_lyftr_lane_t *lane, ngx_int_t rc)
{
    ngx_msec_t          rest;
    ngx_lyftr_store_t  *store;

    store = lane->channel->store;

    switch (rc) {

    case NGX_OK:
        lane->total += lane->check.read;

        if (store->check == 0
            || lane->check.again
            || ngx_lyftr_status_get(store->status->damaged))
        {
            return NGX_LYFTR_CHECK_HASTE;
        }

        rest = lane->check.read
               / ngx_max(NGX_LYFTR_CHECK_RATE,
                         lane->check.size / store->check + 1);

        return ngx_max(rest, NGX_LYFTR_CHECK_HASTE);

    case NGX_DONE:
        lane->read = 1;
        lane->again = 0;
        lane->total += lane->check.read;

        rest = lane->total / NGX_LYFTR_CHECK_MEAN;
        rest = ngx_max(rest, NGX_LYFTR_KEEPER_REST);

        if (store->check) {
            rest = ngx_min(rest, (ngx_msec_t) store->check);
        }

        ngx_lyftr_status_set(store->status->checked, (lane->began + rest) | 1);

        return NGX_LYFTR_KEEPER_PAUSE;

    case NGX_DECLINED:
        return NGX_LYFTR_KEEPER_PAUSE;

    default: /* NGX_ERROR */
        return ngx_lyftr_check_failed(lane);
    }
}


static ngx_msec_t
ngx_lyftr_check_failed(ngx_lyftr_lane_t *lane)
{
    ngx_msec_t  rest;

    if (lane->seat->conn) {
        ngx_lyftr_lane_close(lane);
    }

    lane->check.active = 0;

    rest = NGX_LYFTR_CHECK_AGAIN * (ngx_lyftr_clock() - lane->began);
    rest = ngx_max(rest, NGX_LYFTR_KEEPER_REST);

    lane->again = (ngx_lyftr_clock() + rest) | 1;

    return NGX_LYFTR_KEEPER_PAUSE;
}

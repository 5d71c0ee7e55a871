#include <ngx_lyftr_channel.h>


/* msec between two tries of housekeeping, or of a check, if it fails */
#define NGX_LYFTR_UPKEEP_REST      5000

/* the same if something is locked, or there was nothing to do */
#define NGX_LYFTR_UPKEEP_PAUSE     1000
#define NGX_LYFTR_UPKEEP_IDLE      50

/* msec of housekeeping before the event loop is asked if it is to go on */
#define NGX_LYFTR_UPKEEP_SPELL     100

/* msec between two parts of a check, if damage was seen, and between checks */
#define NGX_LYFTR_CHECK_PACE       100
#define NGX_LYFTR_CHECK_HASTE      10
#define NGX_LYFTR_CHECK_REST       10000


static ngx_int_t ngx_lyftr_upkeep_open(ngx_lyftr_lane_t *lane,
    ngx_msec_t deadline);
static void ngx_lyftr_upkeep_gauges(ngx_lyftr_lane_t *lane);


/*
 * What no request asks for; in a pool thread.  A store that nobody has opened
 * yet is left alone: what is there may still have to be set up.
 */

static ngx_int_t
ngx_lyftr_upkeep_open(ngx_lyftr_lane_t *lane, ngx_msec_t deadline)
{
    ngx_lyftr_store_t  *store;

    store = lane->channel->store;

    if (ngx_lyftr_status_get(store->status->opened) != store->dsn_hash) {
        return NGX_DECLINED;
    }

    if (lane->seat->conn) {
        return NGX_OK;
    }

    return ngx_lyftr_lane_open(lane, 0, deadline, &lane->upkeep);
}


void
ngx_lyftr_upkeep_maintain(ngx_lyftr_lane_t *lane)
{
    ngx_int_t             rc;
    ngx_msec_t            rest, start;
    ngx_lyftr_channel_t  *channel;
    ngx_lyftr_backend_t  *backend;

    channel = lane->channel;
    backend = channel->store->backend;

    start = ngx_lyftr_clock();

    do {
        rc = ngx_lyftr_upkeep_open(lane, ngx_lyftr_clock() + channel->timeout);

        if (rc == NGX_OK) {
            rc = backend->maintain(lane->seat->conn,
                                   ngx_lyftr_clock() + channel->timeout,
                                   &lane->upkeep);
        }

    } while (rc == NGX_OK
             && ngx_lyftr_clock() - start < NGX_LYFTR_UPKEEP_SPELL);

    if (rc == NGX_OK || rc == NGX_DONE) {
        ngx_lyftr_upkeep_gauges(lane);
    }

    switch (rc) {

    case NGX_OK:
        rest = 0;
        break;

    case NGX_DONE:
        rest = NGX_LYFTR_UPKEEP_IDLE;
        break;

    case NGX_DECLINED:
        rest = NGX_LYFTR_UPKEEP_PAUSE;
        break;

    default: /* NGX_ERROR */
        rest = NGX_LYFTR_UPKEEP_REST;

        if (lane->seat->conn) {
            ngx_lyftr_lane_close(lane);
        }
    }

    if (rc != NGX_ERROR || lane->upkeep.code == NGX_LYFTR_ERR_BUSY) {
        lane->upkeep.code = NGX_LYFTR_ERR_NONE;
    }

    lane->due = 1;
    lane->at = ngx_lyftr_clock() + rest;
}


/* for the metrics, which never ask the store */

static void
ngx_lyftr_upkeep_gauges(ngx_lyftr_lane_t *lane)
{
    ngx_lyftr_store_t   *store;
    ngx_lyftr_gauges_t   gauges;
    ngx_lyftr_status_t  *status;

    store = lane->channel->store;
    status = store->status;

    store->backend->gauges(lane->seat->conn, &gauges);

    ngx_lyftr_status_set(status->rows, gauges.rows);
    ngx_lyftr_status_set(status->unindexed, gauges.unindexed);
    ngx_lyftr_status_set(status->uncounted, gauges.uncounted);
    ngx_lyftr_status_set(status->search_lag, gauges.search_lag);
    ngx_lyftr_status_set(status->wal_pages, gauges.wal_pages);
    ngx_lyftr_status_set(status->wal_bytes, gauges.wal_bytes);
    ngx_lyftr_status_set(status->bytes, gauges.bytes);
    ngx_lyftr_status_set(status->looked, ngx_lyftr_clock());
}


/* reads a part of the store */

void
ngx_lyftr_upkeep_check(ngx_lyftr_lane_t *lane)
{
    ngx_int_t           rc;
    ngx_msec_t          rest, deadline;
    ngx_lyftr_store_t  *store;
    ngx_lyftr_error_t  *err;

    store = lane->channel->store;
    err = &lane->upkeep;

    if (!lane->reading) {
        (void) ngx_atomic_cmp_set(&store->status->damaged, NGX_LYFTR_DAMAGED,
                                  NGX_LYFTR_RECHECKED);
    }

    deadline = ngx_lyftr_clock() + store->timeout;

    rc = ngx_lyftr_upkeep_open(lane, deadline);

    if (rc == NGX_OK) {
        rc = store->backend->check(lane->seat->conn, deadline, err);
    }

    lane->reading = (rc == NGX_OK);
    lane->read = (rc == NGX_DONE);

    if (rc == NGX_OK) {
        rest = ngx_lyftr_status_get(store->status->damaged)
               ? NGX_LYFTR_CHECK_HASTE : NGX_LYFTR_CHECK_PACE;

    } else if (rc == NGX_DONE) {
        rest = NGX_LYFTR_CHECK_REST;

    } else {
        rest = NGX_LYFTR_UPKEEP_REST;

        if (lane->seat->conn) {
            ngx_lyftr_lane_close(lane);
        }
    }

    lane->due = 1;
    lane->at = ngx_lyftr_clock() + rest;

    /* what is not the file's fault is told by those who need the store now */

    if (rc != NGX_ERROR
        || (err->code != NGX_LYFTR_ERR_CORRUPT
            && err->code != NGX_LYFTR_ERR_FAILED))
    {
        err->code = NGX_LYFTR_ERR_NONE;
    }
}

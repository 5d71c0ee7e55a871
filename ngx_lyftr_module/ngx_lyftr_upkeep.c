#include <ngx_lyftr_channel.h>


/* msec between two tries of maintenance, or of a check, if it fails */
#define NGX_LYFTR_UPKEEP_REST      5000

/* the same if something was locked */
#define NGX_LYFTR_UPKEEP_PAUSE     1000

/* msec that all workers leave between two of them; the longest is reserved */
#define NGX_LYFTR_UPKEEP_SPACE     30
#define NGX_LYFTR_UPKEEP_LONGEST   1000

/* msec between two parts of a check, if damage was seen, and between checks */
#define NGX_LYFTR_CHECK_PACE       100
#define NGX_LYFTR_CHECK_HASTE      10
#define NGX_LYFTR_CHECK_REST       10000


static ngx_msec_t ngx_lyftr_upkeep_turn(ngx_lyftr_status_t *status);


/*
 * What a lane does besides its batches; in a pool thread.  A failure is no
 * message's, but it costs the connection: not too often.
 */

void
ngx_lyftr_upkeep_maintain(ngx_lyftr_lane_t *lane)
{
    ngx_int_t             rc;
    ngx_msec_t            wait, deadline;
    ngx_lyftr_backend_t  *backend;
    ngx_lyftr_status_t   *status;

    backend = lane->channel->store->backend;
    status = lane->channel->store->status;

    wait = ngx_lyftr_upkeep_turn(status);

    if (wait) {
        lane->rest = ngx_lyftr_clock() + wait;
        ngx_lyftr_upkeep_plan(lane);
        return;
    }

    deadline = ngx_lyftr_clock() + lane->channel->timeout;

    rc = backend->maintain(lane->conn, deadline, &lane->upkeep);

    ngx_lyftr_status_set(status->upkept, ngx_lyftr_clock());

    if (rc == NGX_ERROR) {
        lane->rest = ngx_lyftr_clock() + NGX_LYFTR_UPKEEP_REST;
        ngx_lyftr_lane_close(lane);
        return;
    }

    lane->upkeep.code = NGX_LYFTR_ERR_NONE;

    if (rc == NGX_DECLINED) {
        lane->rest = ngx_lyftr_clock() + NGX_LYFTR_UPKEEP_PAUSE;
    }

    ngx_lyftr_upkeep_plan(lane);
}


/*
 * Each worker sees that the same indexes are behind, and the steps of several
 * in a row would keep the batches of all waiting.
 */

static ngx_msec_t
ngx_lyftr_upkeep_turn(ngx_lyftr_status_t *status)
{
    ngx_msec_t         now;
    ngx_msec_int_t     left;
    ngx_atomic_uint_t  last;

    now = ngx_lyftr_clock();
    last = ngx_lyftr_status_get(status->upkept);
    left = (ngx_msec_int_t) (last + NGX_LYFTR_UPKEEP_SPACE - now);

    if (last && left > 0) {
        return (ngx_msec_t) left;
    }

    return ngx_atomic_cmp_set(&status->upkept, last,
                              now + NGX_LYFTR_UPKEEP_LONGEST)
           ? 0 : NGX_LYFTR_UPKEEP_SPACE;
}


/* when maintenance is due */

void
ngx_lyftr_upkeep_plan(ngx_lyftr_lane_t *lane)
{
    ngx_msec_t  msec;

    lane->due = 0;

    if (lane->channel->type != NGX_LYFTR_CHANNEL_WRITE || lane->conn == NULL) {
        return;
    }

    msec = lane->channel->store->backend->due(lane->conn);

    if (msec == NGX_LYFTR_NEVER) {
        return;
    }

    lane->due = 1;
    lane->at = ngx_lyftr_clock() + msec;

    if ((ngx_msec_int_t) (lane->rest - lane->at) > 0) {
        lane->at = lane->rest;
    }
}


/*
 * Reads a part of the store.  One that nobody has opened yet is left alone:
 * what is there may still have to be set up.
 */

void
ngx_lyftr_upkeep_check(ngx_lyftr_lane_t *lane)
{
    ngx_int_t           rc;
    ngx_msec_t          rest, deadline;
    ngx_lyftr_store_t  *store;
    ngx_lyftr_error_t  *err;

    store = lane->channel->store;
    err = &lane->upkeep;

    if (ngx_lyftr_status_get(store->status->opened) != store->dsn_hash) {
        lane->at = ngx_lyftr_clock() + NGX_LYFTR_UPKEEP_REST;
        return;
    }

    if (!lane->reading) {
        (void) ngx_atomic_cmp_set(&store->status->damaged, NGX_LYFTR_DAMAGED,
                                  NGX_LYFTR_RECHECKED);
    }

    rc = NGX_ERROR;
    deadline = ngx_lyftr_clock() + store->timeout;

    if (lane->conn || ngx_lyftr_lane_open(lane, 0, deadline, err) == NGX_OK) {
        rc = store->backend->check(lane->conn, deadline, err);
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

        if (lane->conn) {
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

#include <ngx_lyftr_channel.h>


static ngx_uint_t ngx_lyftr_status_news(ngx_lyftr_lane_t *lane);
static void ngx_lyftr_status_damage(ngx_lyftr_lane_t *lane);


/* the order is that of ngx_lyftr_err_e */

static ngx_str_t  ngx_lyftr_status_texts[] = {
    ngx_string("the store failed"),
    ngx_string("the store is locked"),
    ngx_string("the store is catching up"),
    ngx_string("the store did not answer in time"),
    ngx_string("the store cannot hold this message"),
    ngx_string("the store is full"),
    ngx_string("the store is read-only"),
    ngx_string("the store cannot be opened"),
    ngx_string("the store is a file mounted by itself: mount its folder"),
    ngx_string("the store is a file with hard links: leave it one name"),
    ngx_string("the store is on a network file system: use a local one"),
    ngx_string("the store has another schema than ours"),
    ngx_string("the store is damaged"),
    ngx_string("the store was moved or deleted"),
    ngx_string("a reader keeps the log of the store too long"),
    ngx_string("too many requests wait for the store"),
    ngx_string("the store failed")
};


ngx_str_t *
ngx_lyftr_status_text(ngx_lyftr_err_e error)
{
    return &ngx_lyftr_status_texts[error];
}


/* logs a failure, and tells all workers how the store fares */

void
ngx_lyftr_status_report(ngx_lyftr_lane_t *lane)
{
    ngx_lyftr_store_t   *store;
    ngx_lyftr_status_t  *status;

    store = lane->channel->store;
    status = store->status;

    if (lane->err.code != NGX_LYFTR_ERR_NONE && ngx_lyftr_status_news(lane)) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "lyftr store \"%V\": %*s, %ui of %ui operations failed",
                      &store->name, lane->err.len, lane->err.text,
                      lane->failed, lane->n);
    }

    if (lane->upkeep.code != NGX_LYFTR_ERR_NONE) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "lyftr store \"%V\": %*s, %s failed",
                      &store->name, lane->upkeep.len, lane->upkeep.text,
                      lane->channel->type == NGX_LYFTR_CHANNEL_CHECK
                      ? "check" : "maintenance");
    }

    ngx_lyftr_status_damage(lane);

    if (lane->channel->type != NGX_LYFTR_CHANNEL_WRITE) {
        return;
    }

    if (lane->commits) {
        (void) ngx_atomic_fetch_add(&status->commits, lane->commits);
        (void) ngx_atomic_fetch_add(&status->messages,
                                    lane->n - lane->failed);
        ngx_lyftr_status_set(status->answered, ngx_current_msec);
    }

    if (lane->failed) {
        (void) ngx_atomic_fetch_add(&status->failures, 1);
    }

    switch (lane->err.code) {

    case NGX_LYFTR_ERR_BUSY:
        (void) ngx_atomic_cmp_set(&status->locked, 0, lane->started | 1);
        break;

    case NGX_LYFTR_ERR_NONE:
    case NGX_LYFTR_ERR_DATA:

        if (lane->n) {
            ngx_lyftr_status_set(status->error, NGX_LYFTR_ERR_NONE);
            ngx_lyftr_status_set(status->locked, 0);
        }

        break;

    default:
        ngx_lyftr_status_set(status->error, lane->err.code);
    }
}


/* all meet what refuses beforehand, until it ends: a line a second will do */

static ngx_uint_t
ngx_lyftr_status_news(ngx_lyftr_lane_t *lane)
{
    ngx_lyftr_channel_t  *channel;

    channel = lane->channel;

    if (!ngx_lyftr_lane_sound(lane->err.code)) {
        return 1;
    }

    if (channel->told == ngx_time()) {
        return 0;
    }

    channel->told = ngx_time();

    return 1;
}


/*
 * What has touched a damaged page is an error of its own; that others may be
 * on their way to one is known until a check has read all without meeting one.
 */

static void
ngx_lyftr_status_damage(ngx_lyftr_lane_t *lane)
{
    ngx_lyftr_status_t  *status;

    status = lane->channel->store->status;

    if (lane->err.code == NGX_LYFTR_ERR_CORRUPT
        || lane->upkeep.code == NGX_LYFTR_ERR_CORRUPT)
    {
        ngx_lyftr_status_set(status->damaged, NGX_LYFTR_DAMAGED);
        return;
    }

    if (lane->read) {
        (void) ngx_atomic_cmp_set(&status->damaged, NGX_LYFTR_RECHECKED,
                                  NGX_LYFTR_SOUND);
    }
}

#include <ngx_lyftr_channel.h>


/* A lane has a pool thread: what it does there follows from its channel. */

static void ngx_lyftr_thread_seated(ngx_lyftr_lane_t *lane, ngx_log_t *log);


void
ngx_lyftr_thread_handler(void *data, ngx_log_t *log)
{
    ngx_lyftr_lane_t  *lane = *(ngx_lyftr_lane_t **) data;

    if (ngx_thread_mutex_lock(&lane->seat->mutex, log) != NGX_OK) {
        return;
    }

    ngx_lyftr_thread_seated(lane, log);

    (void) ngx_thread_mutex_unlock(&lane->seat->mutex, log);
}


static void
ngx_lyftr_thread_seated(ngx_lyftr_lane_t *lane, ngx_log_t *log)
{
    lane->failed = 0;
    lane->commits = 0;
    lane->messages = 0;
    lane->err.code = NGX_LYFTR_ERR_NONE;
    lane->job_err.code = NGX_LYFTR_ERR_NONE;
    lane->read = 0;

    switch (lane->channel->type) {

    case NGX_LYFTR_CHANNEL_JOBS:
        ngx_lyftr_housekeeping_step(lane);
        break;

    case NGX_LYFTR_CHANNEL_CHECK:
        ngx_lyftr_housekeeping_check(lane);
        break;

    case NGX_LYFTR_CHANNEL_LEAD:
        ngx_lyftr_lead_run(lane, log);
        break;

    default:
        ngx_lyftr_lane_batch(lane, log);
    }
}

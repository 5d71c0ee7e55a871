#include <ngx_lyftr_channel.h>


/* msec between two lines about the same */
#define NGX_LYFTR_STATUS_TELL      1000


static ngx_atomic_t *ngx_lyftr_status_words(ngx_lyftr_store_t *store,
    ngx_lyftr_status_t *status);
static void ngx_lyftr_status_sound(ngx_lyftr_status_t *status);
static void ngx_lyftr_status_log(ngx_lyftr_lane_t *lane);
static void ngx_lyftr_status_news(ngx_lyftr_lane_t *lane);
static void ngx_lyftr_status_damage(ngx_lyftr_lane_t *lane);


/* the order is that of ngx_lyftr_err_e */

static ngx_str_t  ngx_lyftr_status_texts[] = {
    ngx_string("the store failed"),
    ngx_string("the store is locked"),
    ngx_string("the store is catching up"),
    ngx_string("the store cannot catch up: its flush job fails"),
    ngx_string("the standby of the store does not confirm its commits"),
    ngx_string("the store adopts a database"),
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


void
ngx_lyftr_status_attach(ngx_lyftr_store_t *store, ngx_lyftr_status_t *status)
{
    store->status = status;
    store->dsn->words = ngx_lyftr_status_words(store, status);
    store->dsn->jobs = status->jobs;

    store->backend->renew(store->dsn);
}


/* in the master process, which begins a configuration */

static ngx_atomic_t *
ngx_lyftr_status_words(ngx_lyftr_store_t *store, ngx_lyftr_status_t *status)
{
    ngx_uint_t          i;
    ngx_lyftr_words_t  *words;

    i = status->current;

    if (status->words[i].hash != store->dsn_hash) {
        i = 1 - i;
        status->current = i;
    }

    words = &status->words[i];

    if (words->hash != store->dsn_hash) {
        ngx_memzero(words, sizeof(ngx_lyftr_words_t));
        words->hash = store->dsn_hash;
    }

    return words->words;
}


/* logs a failure, and tells all workers how the store fares */

void
ngx_lyftr_status_report(ngx_lyftr_lane_t *lane)
{
    ngx_lyftr_store_t   *store;
    ngx_lyftr_status_t  *status;

    store = lane->channel->store;
    status = store->status;

    ngx_lyftr_status_log(lane);
    ngx_lyftr_status_damage(lane);

    if (lane->channel->type != NGX_LYFTR_CHANNEL_WRITE
        && lane->channel->type != NGX_LYFTR_CHANNEL_LEAD)
    {
        return;
    }

    ngx_lyftr_status_count(lane);

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
            ngx_lyftr_status_sound(status);
        }

        break;

    case NGX_LYFTR_ERR_ADOPT:
        break;

    default:
        ngx_lyftr_status_set(status->error, lane->err.code);
    }
}


void
ngx_lyftr_status_count(ngx_lyftr_lane_t *lane)
{
    ngx_lyftr_status_t  *status;

    if (lane->commits == 0) {
        return;
    }

    status = lane->channel->store->status;

    (void) ngx_atomic_fetch_add(&status->commits, lane->commits);
    (void) ngx_atomic_fetch_add(&status->messages, lane->messages);
    ngx_lyftr_status_set(status->answered, ngx_lyftr_clock());

    if (lane->err.code == NGX_LYFTR_ERR_NONE) {
        ngx_lyftr_status_sound(status);
    }

    lane->commits = 0;
    lane->messages = 0;
}


static void
ngx_lyftr_status_sound(ngx_lyftr_status_t *status)
{
    ngx_lyftr_status_set(status->error, NGX_LYFTR_ERR_NONE);
    ngx_lyftr_status_set(status->locked, 0);
}


ngx_uint_t
ngx_lyftr_status_doubtful(ngx_lyftr_store_t *store)
{
    return ngx_lyftr_status_get(store->status->error)
           || ngx_lyftr_status_get(store->status->locked);
}


/* after a failure only a write that goes well is a proof */

void
ngx_lyftr_status_probed(ngx_lyftr_store_t *store, ngx_int_t rc,
    ngx_lyftr_err_e error, ngx_uint_t write)
{
    ngx_msec_t           now;
    ngx_lyftr_status_t  *status;

    now = ngx_lyftr_clock();
    status = store->status;

    if (rc == NGX_OK) {
        ngx_lyftr_status_set(status->answered, now);
        ngx_lyftr_status_set(status->probe, NGX_LYFTR_ERR_NONE);

        if (write) {
            ngx_lyftr_status_set(status->error, NGX_LYFTR_ERR_NONE);
            ngx_lyftr_status_set(status->locked, 0);
        }

        return;
    }

    /* how long it lasts tells if that is a fault */

    if (rc == NGX_DECLINED || error == NGX_LYFTR_ERR_BUSY) {
        (void) ngx_atomic_cmp_set(&status->locked, 0, now | 1);
        return;
    }

    ngx_lyftr_status_set(status->probe, error);
}


/* all batches may fail, and all workers meet the same error */

static void
ngx_lyftr_status_log(ngx_lyftr_lane_t *lane)
{
    ngx_lyftr_error_t     *err;
    ngx_lyftr_store_t     *store;
    ngx_lyftr_status_t    *status;
    ngx_lyftr_left_out_t   left_out;

    store = lane->channel->store;
    status = store->status;
    err = &lane->err;

    if (err->code != NGX_LYFTR_ERR_NONE
        && ngx_lyftr_status_tell(&status->told[err->code], &left_out)
           == NGX_OK)
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "lyftr store \"%V\": %*s, %ui of %ui operations "
                      "failed%*s", &store->name, err->len, err->text,
                      lane->failed, lane->n, left_out.len, left_out.data);
    }

    err = &lane->job_err;

    if (lane->news) {
        ngx_lyftr_status_news(lane);
        return;
    }

    if (err->code != NGX_LYFTR_ERR_NONE
        && ngx_lyftr_status_tell(&status->job_told[err->code], &left_out)
           == NGX_OK)
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "lyftr store \"%V\": %*s, %s failed%*s",
                      &store->name, err->len, err->text,
                      lane->channel->type == NGX_LYFTR_CHANNEL_CHECK
                      ? "check" : "housekeeping", left_out.len, left_out.data);
    }
}


/* what came of an adoption */

static void
ngx_lyftr_status_news(ngx_lyftr_lane_t *lane)
{
    ngx_uint_t          level;
    ngx_lyftr_error_t  *err;

    err = &lane->job_err;
    level = (err->code == NGX_LYFTR_ERR_NONE) ? NGX_LOG_NOTICE : NGX_LOG_WARN;

    ngx_log_error(level, ngx_cycle->log, 0, "lyftr store \"%V\": %*s",
                  &lane->channel->store->name, err->len, err->text);
}


ngx_int_t
ngx_lyftr_status_tell(ngx_lyftr_told_t *told, ngx_lyftr_left_out_t *text)
{
    ngx_uint_t  n;
    ngx_msec_t  now, at;

    now = ngx_lyftr_clock() | 1;
    at = ngx_lyftr_status_get(told->at);

    if ((at && (ngx_msec_int_t) (now - at) < NGX_LYFTR_STATUS_TELL)
        || !ngx_atomic_cmp_set(&told->at, at, now))
    {
        (void) ngx_atomic_fetch_add(&told->left_out, 1);
        return NGX_DECLINED;
    }

    n = __atomic_exchange_n(&told->left_out, 0, __ATOMIC_RELAXED);

    text->len = 0;

    if (n) {
        text->len = ngx_sprintf(text->data, ", %ui more such lines left out",
                                n)
                    - text->data;
    }

    return NGX_OK;
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
        || lane->job_err.code == NGX_LYFTR_ERR_CORRUPT)
    {
        ngx_lyftr_status_set(status->damaged, NGX_LYFTR_DAMAGED);
        return;
    }

    if (lane->read) {
        (void) ngx_atomic_cmp_set(&status->damaged, NGX_LYFTR_RECHECKED,
                                  NGX_LYFTR_SOUND);
    }
}

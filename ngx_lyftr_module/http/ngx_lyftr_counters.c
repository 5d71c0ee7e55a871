#include <ngx_lyftr_counters.h>
#include <ngx_lyftr_outcome.h>


static ngx_int_t ngx_lyftr_counters_handler(ngx_http_request_t *r);


/* the order is that of ngx_lyftr_label_e */

static ngx_lyftr_zone_kind_t  ngx_lyftr_counters_kinds[] = {

    { sizeof(ngx_lyftr_path_t),
      NGX_LYFTR_PATHS_MAX,
      0 },

    { sizeof(ngx_lyftr_verifier_t),
      NGX_LYFTR_SECRETS_MAX,
      0 },

    /* only a store has a condition of its own */

    { sizeof(ngx_lyftr_status_t),
      NGX_LYFTR_STORES_MAX,
      1 }
};


static ngx_str_t  ngx_lyftr_counters_other = ngx_string("other");


ngx_int_t
ngx_lyftr_counters_create(ngx_conf_t *cf, ngx_lyftr_main_conf_t *lmcf)
{
    if (ngx_lyftr_zone_create(cf, &lmcf->zone, ngx_lyftr_counters_kinds,
                              NGX_LYFTR_LABELS, sizeof(ngx_lyftr_counters_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* the first one is that of all other locations */

    if (ngx_lyftr_zone_label(cf, &lmcf->zone, NGX_LYFTR_LABEL_PATH,
                             &ngx_lyftr_counters_other)
        == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_counters_init(ngx_conf_t *cf, ngx_lyftr_main_conf_t *lmcf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    if (ngx_lyftr_zone_init(cf, &lmcf->zone, &ngx_http_lyftr_module)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_lyftr_counters_handler;

    return NGX_OK;
}


void
ngx_lyftr_counters_commit(ngx_lyftr_main_conf_t *lmcf)
{
    ngx_uint_t             i;
    ngx_lyftr_store_t    **store;
    ngx_lyftr_counters_t  *counters;

    ngx_lyftr_zone_commit(&lmcf->zone);

    counters = lmcf->zone.data;

    if (counters->started == 0) {
        counters->started = ngx_time();
    }

    counters->loaded = ngx_time();
    counters->load_failed = 0;

    store = lmcf->stores.elts;

    for (i = 0; i < lmcf->stores.nelts; i++) {
        ngx_lyftr_status_attach(store[i],
                                ngx_lyftr_zone_data(&lmcf->zone,
                                                    NGX_LYFTR_LABEL_STORE,
                                                    store[i]->label));
    }
}


/* by the master process, whose configuration is still the one before */

void
ngx_lyftr_counters_read(void)
{
    ngx_lyftr_counters_t   *counters;
    ngx_lyftr_main_conf_t  *lmcf;

    if (ngx_process != NGX_PROCESS_MASTER
        || ngx_test_config
        || ngx_cycle->conf_ctx == NULL)
    {
        return;
    }

    lmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_lyftr_module);

    if (lmcf == NULL || lmcf->zone.data == NULL) {
        return;
    }

    counters = lmcf->zone.data;

    counters->loaded = ngx_time();
    counters->load_failed = 1;
}


/*
 * At a reload the worker before in this place goes on for a while; one that is
 * gone, and has not said so, has died.
 */

void
ngx_lyftr_counters_begin(ngx_lyftr_main_conf_t *lmcf)
{
    ngx_pid_t              pid;
    ngx_lyftr_counters_t  *counters;

    counters = lmcf->zone.data;

    if (counters == NULL || ngx_worker >= NGX_LYFTR_WORKERS_MAX) {
        return;
    }

    pid = (ngx_pid_t) counters->workers[ngx_worker];

    if (pid && kill(pid, 0) == -1 && ngx_errno == ESRCH) {
        (void) ngx_atomic_fetch_add(&counters->died, 1);
    }

    counters->workers[ngx_worker] = ngx_pid;
}


void
ngx_lyftr_counters_end(ngx_lyftr_main_conf_t *lmcf)
{
    ngx_lyftr_counters_t  *counters;

    counters = lmcf->zone.data;

    if (counters == NULL || ngx_worker >= NGX_LYFTR_WORKERS_MAX) {
        return;
    }

    (void) ngx_atomic_cmp_set(&counters->workers[ngx_worker], ngx_pid, 0);
}


/* the handler of the log phase */

static ngx_int_t
ngx_lyftr_counters_handler(ngx_http_request_t *r)
{
    ngx_uint_t              n, status;
    ngx_lyftr_ctx_t        *ctx;
    ngx_lyftr_path_t       *path;
    ngx_lyftr_endpoint_t   *endpoint;
    ngx_lyftr_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_lyftr_module);
    endpoint = ngx_lyftr_location_endpoint(r);

    path = ngx_lyftr_zone_data(&lmcf->zone, NGX_LYFTR_LABEL_PATH,
                               endpoint ? endpoint->label : 0);

    status = ngx_lyftr_outcome_status(r);
    n = (status >= 100 && status <= 599) ? status - 99 : 0;

    (void) ngx_atomic_fetch_add(&path->status[n], 1);

    ctx = ngx_lyftr_request_ctx(r);

    if (ctx == NULL || !ctx->streamed) {
        ngx_lyftr_histogram_add(&path->duration, &ngx_lyftr_seconds,
                                ngx_lyftr_outcome_latency(r));
    }

    if (endpoint && endpoint->kind->webhook) {
        if (ctx == NULL || !ctx->counted) {
            ngx_lyftr_counters_result(lmcf, ngx_lyftr_outcome_result(r));
        }
    }

    return NGX_OK;
}


void
ngx_lyftr_counters_result(ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_result_e result)
{
    ngx_lyftr_counters_t  *counters;

    counters = lmcf->zone.data;

    (void) ngx_atomic_fetch_add(&counters->results[result], 1);
}


void
ngx_lyftr_counters_items(ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_endpoint_t *endpoint, ngx_lyftr_item_e item, ngx_uint_t n)
{
    ngx_lyftr_path_t  *path;

    if (n == 0) {
        return;
    }

    path = ngx_lyftr_zone_data(&lmcf->zone, NGX_LYFTR_LABEL_PATH,
                               endpoint->label);

    (void) ngx_atomic_fetch_add(&path->items[item], n);
}


void
ngx_lyftr_counters_verified(ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_secret_t *secret)
{
    ngx_lyftr_verifier_t  *verifier;

    verifier = ngx_lyftr_zone_data(&lmcf->zone, NGX_LYFTR_LABEL_SECRET,
                                   secret->label);

    (void) ngx_atomic_fetch_add(&verifier->verified, 1);
}


void
ngx_lyftr_counters_refused(ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_refusal_e reason)
{
    ngx_lyftr_counters_t  *counters;

    counters = lmcf->zone.data;

    (void) ngx_atomic_fetch_add(&counters->refusals[reason], 1);
}


/* the process is another one than that which had its slot before */

void
ngx_lyftr_counters_start(ngx_lyftr_main_conf_t *lmcf)
{
    ngx_lyftr_counters_t  *counters;

    counters = lmcf->zone.data;

    if (counters) {
        ngx_lyftr_status_set(counters->streams[ngx_process_slot], 0);
    }
}


void
ngx_lyftr_counters_stream(ngx_lyftr_main_conf_t *lmcf, ngx_int_t n)
{
    ngx_lyftr_counters_t  *counters;

    counters = lmcf->zone.data;

    (void) ngx_atomic_fetch_add(&counters->streams[ngx_process_slot], n);
}


ngx_atomic_uint_t
ngx_lyftr_counters_streams(ngx_lyftr_main_conf_t *lmcf)
{
    ngx_uint_t             i;
    ngx_atomic_uint_t      n;
    ngx_lyftr_counters_t  *counters;

    counters = lmcf->zone.data;

    for (i = 0, n = 0; i < NGX_MAX_PROCESSES; i++) {
        n += counters->streams[i];
    }

    return n;
}


void
ngx_lyftr_counters_ended(ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_stream_end_e reason)
{
    ngx_lyftr_counters_t  *counters;

    counters = lmcf->zone.data;

    (void) ngx_atomic_fetch_add(&counters->ended[reason], 1);
}


void
ngx_lyftr_counters_events(ngx_lyftr_main_conf_t *lmcf, ngx_uint_t n)
{
    ngx_lyftr_counters_t  *counters;

    counters = lmcf->zone.data;

    (void) ngx_atomic_fetch_add(&counters->events, n);
}


void
ngx_lyftr_counters_bytes(ngx_lyftr_main_conf_t *lmcf, off_t n)
{
    ngx_lyftr_counters_t  *counters;

    counters = lmcf->zone.data;

    (void) ngx_atomic_fetch_add(&counters->bytes, n);
}

#include <ngx_lyftr_http.h>
#include <ngx_lyftr_sqlite_backend.h>

#if (NGX_LYFTR_POSTGRES)
#include <ngx_lyftr_postgres_backend.h>
#endif

#ifdef __GLIBC__
#include <malloc.h>
#endif


static char *ngx_lyftr_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_lyftr_endpoint(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_uint_t ngx_lyftr_endpoint_both(ngx_lyftr_endpoint_t *endpoint,
    ngx_command_t *cmd);
static char *ngx_lyftr_endpoint_join(ngx_conf_t *cf,
    ngx_lyftr_endpoint_t *endpoint);
static ngx_int_t ngx_lyftr_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_lyftr_erasable(ngx_conf_t *cf,
    ngx_lyftr_endpoint_t *endpoint);
static ngx_int_t ngx_lyftr_postconfiguration(ngx_conf_t *cf);
static void *ngx_lyftr_create_main_conf(ngx_conf_t *cf);
static void *ngx_lyftr_create_loc_conf(ngx_conf_t *cf);
static char *ngx_lyftr_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_lyftr_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_lyftr_init_process(ngx_cycle_t *cycle);
static void ngx_lyftr_exit_process(ngx_cycle_t *cycle);


static ngx_lyftr_backend_t  *ngx_lyftr_backends[] = {
    &ngx_lyftr_sqlite_backend,
#if (NGX_LYFTR_POSTGRES)
    &ngx_lyftr_postgres_backend,
#endif
    NULL
};


static ngx_lyftr_kind_t  ngx_lyftr_webhook_kind = {
    NGX_HTTP_POST, ngx_string("POST"),
    ngx_lyftr_webhook_handler, 1, 1, 0, 0, 0, NULL
};

static ngx_lyftr_kind_t  ngx_lyftr_messages_kind = {
    NGX_HTTP_GET|NGX_HTTP_HEAD, ngx_string("GET, HEAD"),
    ngx_lyftr_messages_handler, 0, 0, 0, 0, 0, NULL
};

static ngx_lyftr_kind_t  ngx_lyftr_erase_kind = {
    NGX_HTTP_DELETE, ngx_string("DELETE"),
    ngx_lyftr_erase_handler, 0, 0, 0, 0, 1, NULL
};

/* a location of both */

static ngx_lyftr_kind_t  ngx_lyftr_messages_erase_kind = {
    NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_DELETE,
    ngx_string("GET, HEAD, DELETE"),
    ngx_lyftr_erase_or_list, 0, 0, 0, 0, 1, NULL
};

static ngx_lyftr_kind_t  ngx_lyftr_stream_kind = {
    NGX_HTTP_GET|NGX_HTTP_HEAD, ngx_string("GET, HEAD"),
    ngx_lyftr_stream_handler, 0, 0, 1, 0, 0, ngx_lyftr_stream_param
};

static ngx_lyftr_kind_t  ngx_lyftr_export_kind = {
    NGX_HTTP_GET|NGX_HTTP_HEAD, ngx_string("GET, HEAD"),
    ngx_lyftr_export_handler, 0, 0, 0, 1, 0, ngx_lyftr_export_param
};

static ngx_lyftr_kind_t  ngx_lyftr_stats_kind = {
    NGX_HTTP_GET|NGX_HTTP_HEAD, ngx_string("GET, HEAD"),
    ngx_lyftr_stats_handler, 0, 0, 0, 0, 0, NULL
};

static ngx_lyftr_kind_t  ngx_lyftr_ready_kind = {
    NGX_HTTP_GET|NGX_HTTP_HEAD, ngx_string("GET, HEAD"),
    ngx_lyftr_ready_handler, 0, 1, 0, 0, 0, NULL
};

static ngx_lyftr_kind_t  ngx_lyftr_live_kind = {
    NGX_HTTP_GET|NGX_HTTP_HEAD, ngx_string("GET, HEAD"),
    ngx_lyftr_live_handler, 0, 1, 0, 0, 0, NULL
};

static ngx_lyftr_kind_t  ngx_lyftr_metrics_kind = {
    NGX_HTTP_GET|NGX_HTTP_HEAD, ngx_string("GET, HEAD"),
    ngx_lyftr_metrics_handler, 0, 0, 0, 0, 0, NULL
};


static ngx_command_t  ngx_lyftr_commands[] = {

    { ngx_string("lyftr_store"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_lyftr_store,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("lyftr_secret"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE123,
      ngx_lyftr_secret,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("lyftr_signature"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_lyftr_signature,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("lyftr_signature_window"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_lyftr_loc_conf_t, window),
      NULL },

    { ngx_string("lyftr_read_allow"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_set_predicate_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_lyftr_loc_conf_t, readers),
      NULL },

    { ngx_string("lyftr_read_token"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_lyftr_access_token,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_lyftr_loc_conf_t, tokens),
      NULL },

    { ngx_string("lyftr_erase_token"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_lyftr_access_token,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_lyftr_loc_conf_t, erasers),
      NULL },

    { ngx_string("lyftr_verify_token"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_lyftr_handshake_token,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("lyftr_webhook"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE123,
      ngx_lyftr_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_lyftr_webhook_kind },

    { ngx_string("lyftr_messages"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_lyftr_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_lyftr_messages_kind },

    { ngx_string("lyftr_erase"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_lyftr_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_lyftr_erase_kind },

    { ngx_string("lyftr_stream"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_lyftr_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_lyftr_stream_kind },

    { ngx_string("lyftr_export"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_lyftr_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_lyftr_export_kind },

    { ngx_string("lyftr_stats"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_lyftr_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_lyftr_stats_kind },

    { ngx_string("lyftr_ready"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_lyftr_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_lyftr_ready_kind },

    { ngx_string("lyftr_live"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_lyftr_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_lyftr_live_kind },

    { ngx_string("lyftr_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_lyftr_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_lyftr_metrics_kind },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_lyftr_module_ctx = {
    ngx_lyftr_preconfiguration,            /* preconfiguration */
    ngx_lyftr_postconfiguration,           /* postconfiguration */

    ngx_lyftr_create_main_conf,            /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_lyftr_create_loc_conf,             /* create location configuration */
    ngx_lyftr_merge_loc_conf               /* merge location configuration */
};


ngx_module_t  ngx_http_lyftr_module = {
    NGX_MODULE_V1,
    &ngx_http_lyftr_module_ctx,            /* module context */
    ngx_lyftr_commands,                    /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_lyftr_init_module,                 /* init module */
    ngx_lyftr_init_process,                /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_lyftr_exit_process,                /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_lyftr_create_main_conf(ngx_conf_t *cf)
{
    ngx_lyftr_main_conf_t  *lmcf;

    lmcf = ngx_pcalloc(cf->pool, sizeof(ngx_lyftr_main_conf_t));
    if (lmcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     lmcf->token_key = NULL;
     */

    lmcf->backends = ngx_lyftr_backends;

    if (ngx_array_init(&lmcf->stores, cf->pool, 2,
                       sizeof(ngx_lyftr_store_t *))
        != NGX_OK)
    {
        return NULL;
    }

    if (ngx_array_init(&lmcf->endpoints, cf->pool, 8,
                       sizeof(ngx_lyftr_endpoint_t *))
        != NGX_OK)
    {
        return NULL;
    }

    if (ngx_lyftr_counters_create(cf, lmcf) != NGX_OK) {
        return NULL;
    }

    return lmcf;
}


static void *
ngx_lyftr_create_loc_conf(ngx_conf_t *cf)
{
    ngx_lyftr_loc_conf_t  *llcf;

    llcf = ngx_pcalloc(cf->pool, sizeof(ngx_lyftr_loc_conf_t));
    if (llcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     llcf->endpoint = NULL;
     *     llcf->nsecrets = 0;
     *     llcf->keys = NULL;
     */

    llcf->secrets = NGX_CONF_UNSET_PTR;
    llcf->scheme = NGX_CONF_UNSET_PTR;
    llcf->window = NGX_CONF_UNSET;
    llcf->readers = NGX_CONF_UNSET_PTR;
    llcf->tokens = NGX_CONF_UNSET_PTR;
    llcf->erasers = NGX_CONF_UNSET_PTR;
    llcf->token = NGX_CONF_UNSET_PTR;

    return llcf;
}


static char *
ngx_lyftr_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_lyftr_loc_conf_t *prev = parent;
    ngx_lyftr_loc_conf_t *conf = child;

    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* "if" and "limit_except" are parts of a location, nested ones are not */

    if (clcf->noname) {
        conf->endpoint = prev->endpoint;
    }

    ngx_conf_merge_ptr_value(conf->readers, prev->readers, NULL);
    ngx_conf_merge_ptr_value(conf->tokens, prev->tokens, NULL);
    ngx_conf_merge_ptr_value(conf->erasers, prev->erasers, NULL);

    return ngx_lyftr_signature_merge(cf, prev, conf);
}


static char *
ngx_lyftr_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_lyftr_main_conf_t *lmcf = conf;

    char               *rv;
    ngx_str_t          *value, url;
    ngx_lyftr_store_t  *store;

    value = cf->args->elts;

    if (ngx_strncmp(value[2].data, "file:", 5) == 0) {

        if (ngx_lyftr_secret_source(cf, &value[2], &url) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        value[2] = url;
    }

    rv = ngx_lyftr_store_declare(cf, &lmcf->stores, lmcf->backends, &store);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    store->label = ngx_lyftr_zone_label(cf, &lmcf->zone, NGX_LYFTR_LABEL_STORE,
                                        &store->name);
    if (store->label == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_lyftr_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_lyftr_loc_conf_t *llcf = conf;

    char                       *rv;
    ngx_int_t                   rc;
    ngx_str_t                  *value;
    ngx_uint_t                  i;
    ngx_lyftr_endpoint_t       *endpoint, **ep;
    ngx_lyftr_main_conf_t      *lmcf;
    ngx_http_core_loc_conf_t   *clcf;

    if (llcf->endpoint && ngx_lyftr_endpoint_both(llcf->endpoint, cmd)) {
        return ngx_lyftr_endpoint_join(cf, llcf->endpoint);
    }

    if (llcf->endpoint) {
        return llcf->endpoint->directive == cmd
               ? "is duplicate"
               : "conflicts with another lyftr directive of the location";
    }

    endpoint = ngx_pcalloc(cf->pool, sizeof(ngx_lyftr_endpoint_t));
    if (endpoint == NULL) {
        return NGX_CONF_ERROR;
    }

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_lyftr_module);

    ep = ngx_array_push(&lmcf->endpoints);
    if (ep == NULL) {
        return NGX_CONF_ERROR;
    }

    *ep = endpoint;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    endpoint->name = clcf->name;
    endpoint->directive = cmd;
    endpoint->kind = cmd->post;
    endpoint->conf = llcf;

    endpoint->label = ngx_lyftr_zone_label(cf, &lmcf->zone,
                                           NGX_LYFTR_LABEL_PATH, &clcf->name);
    if (endpoint->label == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    if (cf->args->nelts > 1) {
        endpoint->store = ngx_lyftr_store_add(cf, &lmcf->stores,
                                              &value[1]);
        if (endpoint->store == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    if (endpoint->kind->webhook) {
        rv = ngx_lyftr_format_params(cf, endpoint, &lmcf->stores);

        if (rv != NGX_CONF_OK) {
            return rv;
        }

    } else {
        for (i = 2; i < cf->args->nelts; i++) {
            rc = endpoint->kind->param(cf, endpoint, &value[i]);

            if (rc == NGX_DECLINED) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid parameter \"%V\"", &value[i]);
            }

            if (rc != NGX_OK) {
                return NGX_CONF_ERROR;
            }
        }
    }

    llcf->endpoint = endpoint;
    clcf->handler = ngx_lyftr_request_handler;

    return NGX_CONF_OK;
}


/* lists and erases share a location, in any order of their directives */

static ngx_uint_t
ngx_lyftr_endpoint_both(ngx_lyftr_endpoint_t *endpoint, ngx_command_t *cmd)
{
    return (endpoint->kind == &ngx_lyftr_messages_kind
            && cmd->post == &ngx_lyftr_erase_kind)
           || (endpoint->kind == &ngx_lyftr_erase_kind
               && cmd->post == &ngx_lyftr_messages_kind);
}


static char *
ngx_lyftr_endpoint_join(ngx_conf_t *cf, ngx_lyftr_endpoint_t *endpoint)
{
    ngx_str_t              *value;
    ngx_lyftr_main_conf_t  *lmcf;

    value = cf->args->elts;
    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_lyftr_module);

    if (ngx_lyftr_store_add(cf, &lmcf->stores, &value[1]) != endpoint->store) {
        return "must be of the same store as the lists of the location";
    }

    endpoint->kind = &ngx_lyftr_messages_erase_kind;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_lyftr_preconfiguration(ngx_conf_t *cf)
{
    ngx_lyftr_counters_read();

    return ngx_lyftr_variables_add(cf);
}


static ngx_int_t
ngx_lyftr_postconfiguration(ngx_conf_t *cf)
{
    ngx_uint_t               i;
    ngx_lyftr_endpoint_t   **endpoint;
    ngx_lyftr_main_conf_t   *lmcf;

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_lyftr_module);

    if (lmcf->endpoints.nelts == 0 && lmcf->stores.nelts == 0) {
        return NGX_OK;
    }

    if (ngx_lyftr_store_init(cf, &lmcf->stores) != NGX_OK) {
        return NGX_ERROR;
    }

    endpoint = lmcf->endpoints.elts;

    for (i = 0; i < lmcf->endpoints.nelts; i++) {
        if (endpoint[i]->kind->webhook
            && endpoint[i]->conf->keys->nelts == 0)
        {
            endpoint[i]->store->no_secret = 1;

            if (endpoint[i]->statuses) {
                endpoint[i]->statuses->no_secret = 1;
            }
        }

        if (endpoint[i]->kind->erases
            && ngx_lyftr_erasable(cf, endpoint[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_lyftr_hub_init(cf, lmcf) != NGX_OK
        || ngx_lyftr_location_init(cf) != NGX_OK
        || ngx_lyftr_access_init(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_lyftr_counters_init(cf, lmcf);
}


/* never for everybody, nor where ids that were erased could come again */

static ngx_int_t
ngx_lyftr_erasable(ngx_conf_t *cf, ngx_lyftr_endpoint_t *endpoint)
{
    ngx_lyftr_store_t  *store;

    store = endpoint->store;

    if (store->backend->erase == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"lyftr_erase\" in location \"%V\": nothing can be "
                      "erased from the store \"%V\", only from one in SQLite",
                      &endpoint->name, &store->name);
        return NGX_ERROR;
    }

    if (!store->backend->erases(store->dsn)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"lyftr_erase\" in location \"%V\" needs "
                      "\"erase_key=\" of the store \"%V\"",
                      &endpoint->name, &store->name);
        return NGX_ERROR;
    }

    if (endpoint->conf->erasers == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"lyftr_erase\" in location \"%V\" needs "
                      "\"lyftr_erase_token\"", &endpoint->name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* the configuration is in force */

static ngx_int_t
ngx_lyftr_init_module(ngx_cycle_t *cycle)
{
    ngx_core_conf_t        *ccf;
    ngx_lyftr_main_conf_t  *lmcf;

    lmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_lyftr_module);

    if (lmcf && lmcf->zone.shared) {
        ngx_lyftr_counters_commit(lmcf);
    }

    if (lmcf && !ngx_test_config) {
        ngx_lyftr_store_advise(&lmcf->stores, lmcf->backends, cycle->log);
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    if (lmcf && !ngx_test_config && lmcf->stores.nelts
        && ccf->master && ccf->worker_processes > 1
        && ngx_lyftr_share_create(cycle, &lmcf->stores,
                                  ngx_min(ccf->worker_processes,
                                          NGX_LYFTR_WORKERS_MAX))
           == NGX_ERROR)
    {
        return NGX_ERROR;
    }

#ifdef __GLIBC__

    if (lmcf && !ngx_test_config && lmcf->stores.nelts) {

        /*
         * What reads and steps have sorted in stays with a thread's arena, and
         * any thread of the pool may take the next one.
         */

        (void) mallopt(M_ARENA_MAX, 2);
    }

#endif

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_init_process(ngx_cycle_t *cycle)
{
    ngx_lyftr_main_conf_t  *lmcf;

    lmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_lyftr_module);

    if (lmcf == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    ngx_lyftr_counters_begin(lmcf);
    ngx_lyftr_arrival_clock();
    ngx_lyftr_counters_start(lmcf);
    ngx_lyftr_store_start(&lmcf->stores);

    ngx_lyftr_follow_start(cycle, &lmcf->stores);

    return NGX_OK;
}


/* the pool threads have been joined by the core's exit_process */

static void
ngx_lyftr_exit_process(ngx_cycle_t *cycle)
{
    ngx_lyftr_main_conf_t  *lmcf;

    lmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_lyftr_module);

    if (lmcf) {
        ngx_lyftr_store_exit(&lmcf->stores);
        ngx_lyftr_counters_end(lmcf);
    }
}

#include <ngx_lyftr_channel.h>


/*
 * Connections of a process besides its readers: the writer, the probe, the
 * check, and two of the housekeeping.
 */
#define NGX_LYFTR_STORE_OTHERS     5

/* the longest time of a check, a year */
#define NGX_LYFTR_STORE_CHECK      (365 * 24 * 3600 * (ngx_int_t) 1000)

/* the least that a connection works well with */
#define NGX_LYFTR_STORE_CACHE      (256 * 1024)


typedef struct {
    ngx_str_t     name;
    size_t        offset;
    const char   *unit;
    ngx_int_t     min;
    ngx_int_t     max;
} ngx_lyftr_store_param_t;


static char *ngx_lyftr_store_url(ngx_conf_t *cf, ngx_lyftr_store_t *store,
    ngx_lyftr_backend_t **backends, ngx_str_t *url);
static char *ngx_lyftr_store_param(ngx_conf_t *cf, ngx_lyftr_store_t *store,
    ngx_str_t *arg);
static char *ngx_lyftr_store_cache(ngx_conf_t *cf, ngx_lyftr_store_t *store);
static char *ngx_lyftr_store_flag(ngx_conf_t *cf, ngx_int_t *flag,
    ngx_str_t *arg, size_t skip);


/* bits of those whose advice the log has, of this master process */
static ngx_uint_t  ngx_lyftr_store_advised;


static const char  ngx_lyftr_store_msec[] = " milliseconds";
static const char  ngx_lyftr_store_bytes[] = " bytes";


static ngx_lyftr_store_param_t  ngx_lyftr_store_params[] = {

    { ngx_string("batch="),
      offsetof(ngx_lyftr_store_t, batch),
      "", 1, 2048 },

    { ngx_string("readers="),
      offsetof(ngx_lyftr_store_t, readers),
      "", 1, 64 },

    { ngx_string("queue="),
      offsetof(ngx_lyftr_store_t, queue),
      "", 1, 1000000 },

    { ngx_string("delay="),
      offsetof(ngx_lyftr_store_t, delay),
      ngx_lyftr_store_msec, 1, 60000 },

    { ngx_string("timeout="),
      offsetof(ngx_lyftr_store_t, timeout),
      ngx_lyftr_store_msec, 1, 60000 },

    { ngx_string("max_wal="),
      offsetof(ngx_lyftr_store_t, max_wal),
      ngx_lyftr_store_bytes, 16 << 20, NGX_MAX_INT_T_VALUE },

    { ngx_string("cache="),
      offsetof(ngx_lyftr_store_t, cache),
      ngx_lyftr_store_bytes, 1 << 20, NGX_MAX_INT_T_VALUE },

    { ngx_string("check="),
      offsetof(ngx_lyftr_store_t, check),
      ngx_lyftr_store_msec, 1000, NGX_LYFTR_STORE_CHECK },

    { ngx_null_string, 0, NULL, 0, 0 }
};


ngx_lyftr_store_t *
ngx_lyftr_store_add(ngx_conf_t *cf, ngx_array_t *stores, ngx_str_t *name)
{
    ngx_uint_t           i;
    ngx_lyftr_store_t  **storep, *store;

    storep = stores->elts;

    for (i = 0; i < stores->nelts; i++) {
        if (storep[i]->name.len == name->len
            && ngx_strncmp(storep[i]->name.data, name->data, name->len) == 0)
        {
            return storep[i];
        }
    }

    store = ngx_pcalloc(cf->pool, sizeof(ngx_lyftr_store_t));
    if (store == NULL) {
        return NULL;
    }

    storep = ngx_array_push(stores);
    if (storep == NULL) {
        return NULL;
    }

    *storep = store;

    store->name = *name;
    store->batch = 1024;
    store->readers = 4;
    store->queue = 16384;
    store->delay = 500;
    store->timeout = 4000;
    store->max_wal = 256 << 20;
    store->cache = 144 << 20;
    store->check = 24 * 3600 * 1000;
    store->file_name = cf->conf_file->file.name.data;
    store->line = cf->conf_file->line;

    return store;
}


char *
ngx_lyftr_store_declare(ngx_conf_t *cf, ngx_array_t *stores,
    ngx_lyftr_backend_t **backends, ngx_lyftr_store_t **storep)
{
    char               *rv;
    ngx_str_t          *value, url, name, fallback, pool;
    ngx_uint_t          i;
    ngx_lyftr_store_t  *store;

    value = cf->args->elts;

    if (value[1].len == 0) {
        return "has an empty name";
    }

    store = ngx_lyftr_store_add(cf, stores, &value[1]);
    if (store == NULL) {
        return NGX_CONF_ERROR;
    }

    *storep = store;

    if (store->backend) {
        return "is duplicate";
    }

    ngx_str_null(&fallback);
    ngx_str_set(&pool, "default");

    for (i = 3; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "thread_pool=", 12) == 0) {
            pool.len = value[i].len - 12;
            pool.data = value[i].data + 12;
            continue;
        }

        if (ngx_strncmp(value[i].data, "default=", 8) == 0) {
            fallback.len = value[i].len - 8;
            fallback.data = value[i].data + 8;
            continue;
        }

        rv = ngx_lyftr_store_param(cf, store, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    url = value[2];

    if (ngx_strncmp(url.data, "env:", 4) == 0) {
        name.len = url.len - 4;
        name.data = url.data + 4;

        if (ngx_lyftr_env_get(cf, &name, &url) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        if (url.len == 0) {
            url = fallback;
        }

        if (url.len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "environment variable \"%V\" is not set and "
                               "the store \"%V\" has no \"default=\"",
                               &name, &store->name);
            return NGX_CONF_ERROR;
        }
    }

    store->thread_pool = ngx_thread_pool_add(cf, &pool);
    if (store->thread_pool == NULL) {
        return NGX_CONF_ERROR;
    }

    return ngx_lyftr_store_url(cf, store, backends, &url);
}


static char *
ngx_lyftr_store_param(ngx_conf_t *cf, ngx_lyftr_store_t *store, ngx_str_t *arg)
{
    ngx_int_t                 n;
    ngx_str_t                 s;
    ngx_lyftr_store_param_t  *param;

    if (ngx_strncmp(arg->data, "search=", 7) == 0) {
        return ngx_lyftr_store_flag(cf, &store->search, arg, 7);
    }

    if (ngx_strcmp(arg->data, "force") == 0) {
        store->force = 1;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(arg->data, "check=off") == 0) {
        store->check = 0;
        return NGX_CONF_OK;
    }

    for (param = ngx_lyftr_store_params; param->name.len; param++) {

        if (ngx_strncmp(arg->data, param->name.data, param->name.len) != 0) {
            continue;
        }

        s.len = arg->len - param->name.len;
        s.data = arg->data + param->name.len;

        if (param->unit == ngx_lyftr_store_msec) {
            n = ngx_parse_time(&s, 0);

        } else if (param->unit == ngx_lyftr_store_bytes) {
            n = ngx_parse_offset(&s);

        } else {
            n = ngx_atoi(s.data, s.len);
        }

        if (n == NGX_ERROR || n < param->min || n > param->max) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value in \"%V\", it must be from "
                               "%i to %i%s", arg, param->min, param->max,
                               param->unit);
            return NGX_CONF_ERROR;
        }

        *(ngx_int_t *) ((char *) store + param->offset) = n;

        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"", arg);

    return NGX_CONF_ERROR;
}


/* all connections have the same share of it */

static char *
ngx_lyftr_store_cache(ngx_conf_t *cf, ngx_lyftr_store_t *store)
{
    ngx_int_t  n;

    n = store->readers + NGX_LYFTR_STORE_OTHERS;

    if (store->cache < n * NGX_LYFTR_STORE_CACHE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the cache of the store \"%V\" must be at least "
                           "%i bytes with readers=%i", &store->name,
                           n * NGX_LYFTR_STORE_CACHE, store->readers);
        return NGX_CONF_ERROR;
    }

    store->dsn.cache = store->cache / n;

    return NGX_CONF_OK;
}


static char *
ngx_lyftr_store_flag(ngx_conf_t *cf, ngx_int_t *flag, ngx_str_t *arg,
    size_t skip)
{
    char  *value;

    value = (char *) arg->data + skip;

    if (ngx_strcmp(value, "on") != 0 && ngx_strcmp(value, "off") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value in \"%V\", it must be \"on\" or "
                           "\"off\"", arg);
        return NGX_CONF_ERROR;
    }

    *flag = (value[1] == 'n');

    return NGX_CONF_OK;
}


/* the address is never printed: it may hold a password */

static char *
ngx_lyftr_store_url(ngx_conf_t *cf, ngx_lyftr_store_t *store,
    ngx_lyftr_backend_t **backends, ngx_str_t *url)
{
    ngx_str_t             *scheme;
    ngx_uint_t             i;
    ngx_lyftr_error_t      err;
    ngx_lyftr_backend_t   *backend;

    for (i = 0; backends[i]; i++) {
        backend = backends[i];
        scheme = &backend->scheme;

        if (url->len <= scheme->len
            || ngx_strncmp(url->data, scheme->data, scheme->len) != 0
            || (url->data[scheme->len] != ':' && url->data[scheme->len] != '+'))
        {
            continue;
        }

        if (backend->init(&store->dsn, url, &err) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "store \"%V\": %*s",
                               &store->name, err.len, err.text);
            return NGX_CONF_ERROR;
        }

        store->backend = backend;
        store->dsn.max_wal = store->max_wal;
        store->dsn.search = store->search;
        store->dsn.force = store->force;
        store->dsn_hash = ngx_hash_key(store->dsn.path,
                                       ngx_strlen(store->dsn.path)) | 1;

        return ngx_lyftr_store_cache(cf, store);
    }

    if (url->len == sizeof(":memory:") - 1
        && ngx_strncmp(url->data, ":memory:", url->len) == 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "store \"%V\": a database in memory would not "
                           "outlive the process", &store->name);
        return NGX_CONF_ERROR;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "store \"%V\" has a URL of an unknown kind, "
                       "\"sqlite:///path\" is known", &store->name);

    return NGX_CONF_ERROR;
}


ngx_int_t
ngx_lyftr_store_init(ngx_conf_t *cf, ngx_array_t *stores)
{
    ngx_uint_t           i, n;
    ngx_lyftr_store_t  **store;

    store = stores->elts;

    for (i = 0; i < stores->nelts; i++) {

        if (store[i]->backend == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "unknown lyftr_store \"%V\" in %s:%ui",
                          &store[i]->name, store[i]->file_name,
                          store[i]->line);
            return NGX_ERROR;
        }

        /* what one of them learns of a failed sync, the other would not */

        for (n = 0; n < i; n++) {
            if (store[n]->backend == store[i]->backend
                && store[i]->backend->same(&store[n]->dsn, &store[i]->dsn))
            {
                ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                              "lyftr_store \"%V\" and \"%V\" are one "
                              "database, \"%s\" in %s:%ui",
                              &store[n]->name, &store[i]->name,
                              store[i]->dsn.path, store[i]->file_name,
                              store[i]->line);
                return NGX_ERROR;
            }
        }

        for (n = 0; n < NGX_LYFTR_CHANNELS; n++) {
            store[i]->channels[n] = ngx_lyftr_channel_create(cf, store[i], n);
            if (store[i]->channels[n] == NULL) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


void
ngx_lyftr_store_advise(ngx_array_t *stores, ngx_lyftr_backend_t **backends,
    ngx_log_t *log)
{
    ngx_uint_t              i, n;
    ngx_lyftr_error_t       text;
    ngx_lyftr_store_t     **store;

    store = stores->elts;

    for (n = 0; backends[n]; n++) {

        for (i = 0; i < stores->nelts; i++) {
            if (store[i]->backend == backends[n]) {
                break;
            }
        }

        if (i == stores->nelts || (ngx_lyftr_store_advised & (1 << n))) {
            continue;
        }

        ngx_lyftr_store_advised |= 1 << n;

        backends[n]->advice(&text);

        if (text.len) {
            ngx_log_error(NGX_LOG_NOTICE, log, 0, "lyftr: %*s", text.len,
                          text.text);
        }
    }
}


void
ngx_lyftr_store_start(ngx_array_t *stores)
{
    ngx_uint_t           i;
    ngx_lyftr_store_t  **store;

    store = stores->elts;

    for (i = 0; i < stores->nelts; i++) {
        ngx_lyftr_pace_start(store[i]->channels[NGX_LYFTR_CHANNEL_WRITE]);
        ngx_lyftr_channel_start(store[i]->channels[NGX_LYFTR_CHANNEL_UPKEEP]);
        ngx_lyftr_channel_start(store[i]->channels[NGX_LYFTR_CHANNEL_CHECK]);
    }
}


void
ngx_lyftr_store_exit(ngx_array_t *stores)
{
    ngx_uint_t           i, n;
    ngx_lyftr_store_t  **store;

    store = stores->elts;

    for (i = 0; i < stores->nelts; i++) {
        for (n = 0; n < NGX_LYFTR_CHANNELS; n++) {
            ngx_lyftr_channel_close(store[i]->channels[n]);
        }
    }
}

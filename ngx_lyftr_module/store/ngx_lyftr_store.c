#include <ngx_lyftr_channel.h>


/*
 * Connections of a process besides its readers: writer, leader, probe, jobs,
 * check, and two that follow the log.  One that erases is seldom there.
 */
#define NGX_LYFTR_STORE_OTHERS     7

/* bytes of a key */
#define NGX_LYFTR_STORE_KEY_MIN    32
#define NGX_LYFTR_STORE_KEY_MAX    4096

/* the longest time of a check, a year */
#define NGX_LYFTR_STORE_CHECK      (365 * 24 * 3600 * (ngx_int_t) 1000)


static char *ngx_lyftr_store_url(ngx_conf_t *cf, ngx_lyftr_store_t *store,
    ngx_lyftr_backend_t **backends, ngx_str_t *url);
static ngx_uint_t ngx_lyftr_store_text(ngx_str_t *arg, const char *name,
    ngx_str_t *text);
static ngx_int_t ngx_lyftr_store_address(ngx_conf_t *cf,
    ngx_lyftr_store_t *store, ngx_str_t *fallback, ngx_str_t *url);
static void ngx_lyftr_store_defaults(ngx_lyftr_param_t *params, void *base);
static char *ngx_lyftr_store_param(ngx_conf_t *cf, ngx_lyftr_store_t *store,
    ngx_str_t *arg);
static ngx_lyftr_param_t *ngx_lyftr_store_find(ngx_lyftr_param_t *param,
    ngx_str_t *arg);
static char *ngx_lyftr_store_value(ngx_conf_t *cf, ngx_lyftr_param_t *param,
    void *base, ngx_str_t *arg);
static char *ngx_lyftr_store_key(ngx_conf_t *cf, ngx_str_t *key,
    ngx_str_t *arg, ngx_str_t *path);
static char *ngx_lyftr_store_word(ngx_conf_t *cf, ngx_lyftr_param_t *param,
    void *base, ngx_str_t *arg, ngx_str_t *s);
static ngx_uint_t ngx_lyftr_store_takes(ngx_lyftr_backend_t *backend,
    ngx_str_t *url);


/* bits of those whose advice the log has, of this master process */
static ngx_uint_t  ngx_lyftr_store_advised;


/* the order is that of ngx_lyftr_param_e */

static const char  *ngx_lyftr_store_units[] = {
    "",
    " milliseconds",
    " bytes",
    "",
    "",
    "",
    ""
};


/* those of every store: a backend has its own besides */

static ngx_lyftr_param_t  ngx_lyftr_store_params[] = {

    { ngx_string("batch="), NGX_LYFTR_PARAM_NUMBER,
      offsetof(ngx_lyftr_store_t, batch),
      1, 2048, 1024, NULL },

    { ngx_string("readers="), NGX_LYFTR_PARAM_NUMBER,
      offsetof(ngx_lyftr_store_t, readers),
      1, 64, 4, NULL },

    { ngx_string("queue="), NGX_LYFTR_PARAM_NUMBER,
      offsetof(ngx_lyftr_store_t, queue),
      1, 1000000, 16384, NULL },

    { ngx_string("delay="), NGX_LYFTR_PARAM_MSEC,
      offsetof(ngx_lyftr_store_t, delay),
      1, 60000, 500, NULL },

    { ngx_string("timeout="), NGX_LYFTR_PARAM_MSEC,
      offsetof(ngx_lyftr_store_t, timeout),
      1, 60000, 4000, NULL },

    { ngx_string("check="), NGX_LYFTR_PARAM_MSEC,
      offsetof(ngx_lyftr_store_t, check),
      1000, NGX_LYFTR_STORE_CHECK, 24 * 3600 * 1000, NULL },

    { ngx_null_string, 0, 0, 0, 0, 0, NULL }
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
    store->file_name = cf->conf_file->file.name.data;
    store->line = cf->conf_file->line;

    ngx_lyftr_store_defaults(ngx_lyftr_store_params, store);

    return store;
}


char *
ngx_lyftr_store_declare(ngx_conf_t *cf, ngx_array_t *stores,
    ngx_lyftr_backend_t **backends, ngx_lyftr_store_t **storep)
{
    char               *rv;
    ngx_str_t          *value, url, fallback, pool;
    ngx_uint_t          i;
    ngx_lyftr_error_t   err;
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
        (void) ngx_lyftr_store_text(&value[i], "thread_pool=", &pool);
        (void) ngx_lyftr_store_text(&value[i], "default=", &fallback);
    }

    if (ngx_lyftr_store_address(cf, store, &fallback, &url) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    store->thread_pool = ngx_thread_pool_add(cf, &pool);
    if (store->thread_pool == NULL) {
        return NGX_CONF_ERROR;
    }

    rv = ngx_lyftr_store_url(cf, store, backends, &url);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    /* which there are is known now */

    ngx_lyftr_store_defaults(store->backend->params, store->dsn);

    for (i = 3; i < cf->args->nelts; i++) {

        if (ngx_lyftr_store_text(&value[i], "thread_pool=", &pool)
            || ngx_lyftr_store_text(&value[i], "default=", &fallback))
        {
            continue;
        }

        rv = ngx_lyftr_store_param(cf, store, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (store->backend->configure(store->dsn, store->readers
                                              + NGX_LYFTR_STORE_OTHERS, &err)
        != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "store \"%V\": %*s",
                           &store->name, err.len, err.text);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* the text after the name of a parameter, if arg is that */

static ngx_uint_t
ngx_lyftr_store_text(ngx_str_t *arg, const char *name, ngx_str_t *text)
{
    size_t  len;

    len = ngx_strlen(name);

    if (ngx_strncmp(arg->data, name, len) != 0) {
        return 0;
    }

    text->len = arg->len - len;
    text->data = arg->data + len;

    return 1;
}


static ngx_int_t
ngx_lyftr_store_address(ngx_conf_t *cf, ngx_lyftr_store_t *store,
    ngx_str_t *fallback, ngx_str_t *url)
{
    ngx_str_t  *value, name;

    value = cf->args->elts;
    *url = value[2];

    if (!ngx_lyftr_store_text(url, "env:", &name)) {
        return NGX_OK;
    }

    if (ngx_lyftr_env_get(cf, &name, url) != NGX_OK) {
        return NGX_ERROR;
    }

    if (url->len == 0) {
        *url = *fallback;
    }

    if (url->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "environment variable \"%V\" is not set and "
                           "the store \"%V\" has no \"default=\"",
                           &name, &store->name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_lyftr_store_defaults(ngx_lyftr_param_t *params, void *base)
{
    ngx_lyftr_param_t  *param;

    for (param = params; param->name.len; param++) {
        *(ngx_int_t *) ((u_char *) base + param->offset) = param->value;
    }
}


static char *
ngx_lyftr_store_param(ngx_conf_t *cf, ngx_lyftr_store_t *store, ngx_str_t *arg)
{
    ngx_lyftr_param_t  *param;

    if (ngx_strcmp(arg->data, "check=off") == 0) {
        store->check = 0;
        return NGX_CONF_OK;
    }

    param = ngx_lyftr_store_find(ngx_lyftr_store_params, arg);

    if (param) {
        return ngx_lyftr_store_value(cf, param, store, arg);
    }

    param = ngx_lyftr_store_find(store->backend->params, arg);

    if (param) {
        return ngx_lyftr_store_value(cf, param, store->dsn, arg);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"", arg);

    return NGX_CONF_ERROR;
}


static ngx_lyftr_param_t *
ngx_lyftr_store_find(ngx_lyftr_param_t *param, ngx_str_t *arg)
{
    for ( /* void */ ; param->name.len; param++) {

        if (ngx_strncmp(arg->data, param->name.data, param->name.len) == 0
            && (param->type != NGX_LYFTR_PARAM_WORD
                || arg->len == param->name.len))
        {
            return param;
        }
    }

    return NULL;
}


static char *
ngx_lyftr_store_value(ngx_conf_t *cf, ngx_lyftr_param_t *param, void *base,
    ngx_str_t *arg)
{
    ngx_int_t  n;
    ngx_str_t  s;

    s.len = arg->len - param->name.len;
    s.data = arg->data + param->name.len;

    switch (param->type) {

    case NGX_LYFTR_PARAM_MSEC:
        n = ngx_parse_time(&s, 0);
        break;

    case NGX_LYFTR_PARAM_BYTES:
        n = ngx_parse_offset(&s);
        break;

    case NGX_LYFTR_PARAM_FLAG:
        n = (ngx_strcmp(s.data, "on") == 0);

        if (!n && ngx_strcmp(s.data, "off") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value in \"%V\", it must be \"on\" or "
                               "\"off\"", arg);
            return NGX_CONF_ERROR;
        }

        break;

    case NGX_LYFTR_PARAM_WORD:
        n = 1;
        break;

    case NGX_LYFTR_PARAM_KEY:
        return ngx_lyftr_store_key(cf, (ngx_str_t *) ((u_char *) base
                                                      + param->offset),
                                   arg, &s);

    case NGX_LYFTR_PARAM_ENUM:
        return ngx_lyftr_store_word(cf, param, base, arg, &s);

    default: /* NGX_LYFTR_PARAM_NUMBER */
        n = ngx_atoi(s.data, s.len);
    }

    if (n == NGX_ERROR || n < param->min || n > param->max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value in \"%V\", it must be from "
                           "%i to %i%s", arg, param->min, param->max,
                           ngx_lyftr_store_units[param->type]);
        return NGX_CONF_ERROR;
    }

    *(ngx_int_t *) ((u_char *) base + param->offset) = n;

    return NGX_CONF_OK;
}


/*
 * The bytes of a file as they are.  It is read before the workers give up what
 * the master may do, so that they need not be able to.
 */

static char *
ngx_lyftr_store_key(ngx_conf_t *cf, ngx_str_t *key, ngx_str_t *arg,
    ngx_str_t *path)
{
    ssize_t          n;
    ngx_str_t        name;
    const char      *wrong;
    ngx_file_t       file;
    ngx_file_info_t  fi;

    name = *path;

    if (name.len == 0 || ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid value in \"%V\"",
                           arg);
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&file, sizeof(ngx_file_t));

    file.name = name;
    file.log = cf->log;
    file.fd = ngx_open_file(name.data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                            NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", &name);
        return NGX_CONF_ERROR;
    }

    wrong = NULL;
    n = 0;

    key->data = ngx_palloc(cf->pool, NGX_LYFTR_STORE_KEY_MAX + 1);

    if (key->data == NULL) {
        wrong = "cannot be kept";

    } else if (ngx_fd_info(file.fd, &fi) == NGX_FILE_ERROR
               || !ngx_is_file(&fi))
    {
        wrong = "is not a file";

    } else if (fi.st_mode & (S_IRWXG|S_IRWXO)) {
        wrong = "can be read by others, so that it is no secret: chmod 600";

    } else {
        n = ngx_read_file(&file, key->data, NGX_LYFTR_STORE_KEY_MAX + 1, 0);

        if (n == NGX_ERROR || n > NGX_LYFTR_STORE_KEY_MAX) {
            wrong = "is too long, or cannot be read";

        } else if (n < NGX_LYFTR_STORE_KEY_MIN) {
            wrong = "is too short, it must be at least 32 bytes";
        }
    }

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, cf->log, ngx_errno,
                      ngx_close_file_n " \"%V\" failed", &name);
    }

    if (wrong) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the key in \"%V\" %s", &name, wrong);
        return NGX_CONF_ERROR;
    }

    key->len = n;

    return NGX_CONF_OK;
}


static char *
ngx_lyftr_store_word(ngx_conf_t *cf, ngx_lyftr_param_t *param, void *base,
    ngx_str_t *arg, ngx_str_t *s)
{
    ngx_int_t  n;

    for (n = 0; param->words[n].len; n++) {

        if (param->words[n].len == s->len
            && ngx_strncmp(param->words[n].data, s->data, s->len) == 0)
        {
            *(ngx_int_t *) ((u_char *) base + param->offset) = n;
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid value in \"%V\"", arg);

    return NGX_CONF_ERROR;
}


/* the address is never printed: it may hold a password */

static char *
ngx_lyftr_store_url(ngx_conf_t *cf, ngx_lyftr_store_t *store,
    ngx_lyftr_backend_t **backends, ngx_str_t *url)
{
    ngx_uint_t             i;
    ngx_lyftr_error_t      err;
    ngx_lyftr_backend_t   *backend;

    for (i = 0; backends[i]; i++) {
        backend = backends[i];

        if (!ngx_lyftr_store_takes(backend, url)) {
            continue;
        }

        store->dsn = ngx_pcalloc(cf->pool, backend->size);
        if (store->dsn == NULL) {
            return NGX_CONF_ERROR;
        }

        if (backend->init(store->dsn, url, &err) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "store \"%V\": %*s",
                               &store->name, err.len, err.text);
            return NGX_CONF_ERROR;
        }

        store->backend = backend;
        store->dsn_hash = ngx_hash_key(store->dsn->path,
                                       ngx_strlen(store->dsn->path)) | 1;

        return NGX_CONF_OK;
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


static ngx_uint_t
ngx_lyftr_store_takes(ngx_lyftr_backend_t *backend, ngx_str_t *url)
{
    ngx_str_t  *scheme;

    for (scheme = backend->schemes; scheme->len; scheme++) {

        if (url->len > scheme->len
            && ngx_strncmp(url->data, scheme->data, scheme->len) == 0
            && (url->data[scheme->len] == ':' || url->data[scheme->len] == '+'))
        {
            return 1;
        }
    }

    return 0;
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
                && store[i]->backend->same(store[n]->dsn, store[i]->dsn))
            {
                ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                              "lyftr_store \"%V\" and \"%V\" are one "
                              "database, \"%s\" in %s:%ui",
                              &store[n]->name, &store[i]->name,
                              store[i]->dsn->path, store[i]->file_name,
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
        ngx_lyftr_channel_start(store[i]->channels[NGX_LYFTR_CHANNEL_JOBS]);
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

#include <ngx_lyftr.h>
#include <ngx_lyftr_hmac.h>


#define NGX_LYFTR_SECRET_FILE_MAX  65536


static void *ngx_lyftr_secret_key(ngx_conf_t *cf, ngx_str_t *secret);
static ngx_int_t ngx_lyftr_secret_file(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *value);


/* how senders sign: the header, and what stands before the hex digits */

static ngx_lyftr_preset_t  ngx_lyftr_presets[] = {

    { ngx_string("lyftr"),
      ngx_string("http_x_signature"),
      ngx_string("") },

    { ngx_string("hub"),
      ngx_string("http_x_hub_signature_256"),
      ngx_string("sha256=") },

    { ngx_null_string, ngx_null_string, ngx_null_string }
};


ngx_int_t
ngx_lyftr_signature_verify(ngx_http_request_t *r, ngx_str_t *body)
{
    u_char                      sent[NGX_LYFTR_HMAC_LEN];
    u_char                      mac[NGX_LYFTR_HMAC_LEN];
    ngx_uint_t                  i;
    ngx_lyftr_ctx_t            *ctx;
    ngx_lyftr_secret_t         *secrets, *secret;
    ngx_lyftr_loc_conf_t       *llcf;
    ngx_lyftr_main_conf_t      *lmcf;
    ngx_http_variable_value_t  *vv;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_lyftr_module);
    llcf = ngx_http_get_module_loc_conf(r, ngx_http_lyftr_module);

    vv = ngx_http_get_indexed_variable(r, llcf->preset_index);

    if (vv == NULL || vv->not_found || vv->len == 0) {
        ngx_lyftr_metrics_refused(lmcf, NGX_LYFTR_SIGNATURE_MISSING);
        return NGX_DECLINED;
    }

    if (ngx_lyftr_hmac_decode(vv->data, vv->len, &llcf->preset->prefix, sent)
        != NGX_OK)
    {
        ngx_lyftr_metrics_refused(lmcf, NGX_LYFTR_SIGNATURE_MALFORMED);
        return NGX_DECLINED;
    }

    secrets = llcf->secrets->elts;
    secret = NULL;

    /* every secret is tried, whichever verifies */

    for (i = 0; i < llcf->secrets->nelts; i++) {

        if (ngx_lyftr_hmac_sign(secrets[i].key, body, mac) != NGX_OK) {
            ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                          "ngx_lyftr_hmac_sign() failed");
            secret = NULL;
            break;
        }

        if (ngx_lyftr_hmac_equal(mac, sent) && secret == NULL) {
            secret = &secrets[i];
        }
    }

    if (secret == NULL) {
        ngx_lyftr_metrics_refused(lmcf, NGX_LYFTR_SIGNATURE_MISMATCH);
        return NGX_DECLINED;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);
    ctx->secret = secret;

    ngx_lyftr_metrics_verified(lmcf, secret);

    return NGX_OK;
}


char *
ngx_lyftr_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_lyftr_loc_conf_t *llcf = conf;

    ngx_str_t               *value, name, secret;
    ngx_lyftr_secret_t      *s;

    value = cf->args->elts;

    if (llcf->secrets == NGX_CONF_UNSET_PTR) {
        llcf->secrets = ngx_array_create(cf->pool, 2,
                                         sizeof(ngx_lyftr_secret_t));
        if (llcf->secrets == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    llcf->nsecrets++;

    if (cf->args->nelts == 3) {

        if (ngx_strncmp(value[2].data, "name=", 5) != 0 || value[2].len == 5) {

            /* it is not printed: it may be the secret's second word */

            return "has an invalid parameter, \"name=\" is known";
        }

        name.len = value[2].len - 5;
        name.data = value[2].data + 5;

    } else {
        name.data = ngx_pnalloc(cf->pool, NGX_INT_T_LEN);
        if (name.data == NULL) {
            return NGX_CONF_ERROR;
        }

        name.len = ngx_sprintf(name.data, "%ui", llcf->nsecrets) - name.data;
    }

    if (ngx_strncmp(value[1].data, "env:", 4) == 0) {
        value[1].len -= 4;
        value[1].data += 4;

        if (ngx_lyftr_env_get(cf, &value[1], &secret) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        if (secret.len == 0) {

            /* the server starts, and is not ready */

            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "no secret in the environment variable \"%V\": "
                               "without another one webhooks answer 503",
                               &value[1]);
            return NGX_CONF_OK;
        }

    } else if (ngx_strncmp(value[1].data, "file:", 5) == 0) {
        value[1].len -= 5;
        value[1].data += 5;

        if (ngx_lyftr_secret_file(cf, &value[1], &secret) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

    } else {
        secret = value[1];
    }

    if (secret.len == 0) {
        return "has an empty secret";
    }

    s = ngx_array_push(llcf->secrets);
    if (s == NULL) {
        return NGX_CONF_ERROR;
    }

    s->key = ngx_lyftr_secret_key(cf, &secret);
    if (s->key == NULL) {
        return NGX_CONF_ERROR;
    }

    s->label = ngx_lyftr_zone_label(cf, NGX_LYFTR_LABEL_SECRET, &name);

    return s->label == NGX_ERROR ? NGX_CONF_ERROR : NGX_CONF_OK;
}


static void *
ngx_lyftr_secret_key(ngx_conf_t *cf, ngx_str_t *secret)
{
    void                *key;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    key = ngx_lyftr_hmac_key(secret->data, secret->len);

    if (key == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "ngx_lyftr_hmac_key() failed");
        return NULL;
    }

    cln->handler = ngx_lyftr_hmac_free;
    cln->data = key;

    return key;
}


/* a newline at the end is the editor's, not the secret's */

static ngx_int_t
ngx_lyftr_secret_file(ngx_conf_t *cf, ngx_str_t *path, ngx_str_t *value)
{
    ssize_t           n;
    ngx_int_t         rc;
    ngx_file_t        file;

    if (ngx_conf_full_name(cf->cycle, path, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    value->data = ngx_pnalloc(cf->pool, NGX_LYFTR_SECRET_FILE_MAX);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&file, sizeof(ngx_file_t));

    file.name = *path;
    file.log = cf->log;

    file.fd = ngx_open_file(path->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", path);
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    n = ngx_read_file(&file, value->data, NGX_LYFTR_SECRET_FILE_MAX, 0);

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "secret file \"%V\" cannot be read", path);

    } else if (n == NGX_LYFTR_SECRET_FILE_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "secret file \"%V\" is too big", path);

    } else {
        if (n && value->data[n - 1] == LF) {
            n--;

            if (n && value->data[n - 1] == CR) {
                n--;
            }
        }

        value->len = n;
        rc = NGX_OK;
    }

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", path);
    }

    return rc;
}


char *
ngx_lyftr_signature(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_lyftr_loc_conf_t *llcf = conf;

    ngx_str_t           *value;
    ngx_lyftr_preset_t  *preset;

    if (llcf->preset != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (preset = ngx_lyftr_presets; preset->name.len; preset++) {
        if (preset->name.len == value[1].len
            && ngx_strncmp(preset->name.data, value[1].data, value[1].len)
               == 0)
        {
            llcf->preset = preset;
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "unknown preset \"%V\"",
                       &value[1]);

    return NGX_CONF_ERROR;
}


char *
ngx_lyftr_signature_merge(ngx_conf_t *cf, ngx_lyftr_loc_conf_t *prev,
    ngx_lyftr_loc_conf_t *conf)
{
    ngx_conf_merge_ptr_value(conf->secrets, prev->secrets, NULL);
    ngx_conf_merge_ptr_value(conf->preset, prev->preset, ngx_lyftr_presets);

    if (conf->secrets == NULL) {
        conf->secrets = ngx_array_create(cf->pool, 1,
                                         sizeof(ngx_lyftr_secret_t));
        if (conf->secrets == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    if (conf->endpoint && conf->endpoint->kind->webhook) {
        conf->preset_index = ngx_http_get_variable_index(cf,
                                                       &conf->preset->header);
        if (conf->preset_index == NGX_ERROR) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}

#include <ngx_lyftr_delivery.h>


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
ngx_lyftr_signature_read(ngx_http_request_t *r, ngx_lyftr_proof_t *proof)
{
    ngx_lyftr_loc_conf_t       *llcf;
    ngx_lyftr_main_conf_t      *lmcf;
    ngx_http_variable_value_t  *vv;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_lyftr_module);
    llcf = ngx_http_get_module_loc_conf(r, ngx_http_lyftr_module);

    proof->secrets = llcf->secrets->elts;
    proof->n = llcf->secrets->nelts;

    vv = ngx_http_get_indexed_variable(r, llcf->preset_index);

    if (vv == NULL) {
        return NGX_ERROR;
    }

    if (vv->not_found || vv->len == 0) {
        ngx_lyftr_metrics_refused(lmcf, NGX_LYFTR_SIGNATURE_MISSING);
        return NGX_DECLINED;
    }

    if (ngx_lyftr_hmac_decode(vv->data, vv->len, &llcf->preset->prefix,
                              proof->sent)
        != NGX_OK)
    {
        ngx_lyftr_metrics_refused(lmcf, NGX_LYFTR_SIGNATURE_MALFORMED);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_signature_detach(ngx_http_request_t *r, ngx_lyftr_proof_t *proof)
{
    ngx_uint_t           i;
    ngx_pool_cleanup_t  *cln;

    proof->keys = ngx_palloc(r->pool, proof->n * sizeof(void *));
    if (proof->keys == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < proof->n; i++) {
        cln = ngx_pool_cleanup_add(r->pool, 0);
        if (cln == NULL) {
            return NGX_ERROR;
        }

        proof->keys[i] = ngx_lyftr_hmac_copy(proof->secrets[i].key);
        if (proof->keys[i] == NULL) {
            return NGX_ERROR;
        }

        cln->handler = ngx_lyftr_hmac_free;
        cln->data = proof->keys[i];
    }

    return NGX_OK;
}


/* every secret is tried, whichever verifies; maybe in a pool thread */

ngx_int_t
ngx_lyftr_signature_verify(ngx_lyftr_proof_t *proof, ngx_str_t *body)
{
    void        *key;
    u_char       mac[NGX_LYFTR_HMAC_LEN];
    ngx_uint_t   i;

    proof->secret = NULL;

    for (i = 0; i < proof->n; i++) {
        key = proof->keys ? proof->keys[i] : proof->secrets[i].key;

        if (ngx_lyftr_hmac_sign(key, body, mac) != NGX_OK) {
            return NGX_ERROR;
        }

        if (ngx_lyftr_hmac_equal(mac, proof->sent) && proof->secret == NULL) {
            proof->secret = &proof->secrets[i];
        }
    }

    return proof->secret ? NGX_OK : NGX_DECLINED;
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
    if (conf->secrets == NGX_CONF_UNSET_PTR) {
        conf->nsecrets = prev->nsecrets;
    }

    ngx_conf_merge_ptr_value(conf->secrets, prev->secrets, NULL);
    ngx_conf_merge_ptr_value(conf->preset, prev->preset, ngx_lyftr_presets);

    if (conf->secrets == NULL) {
        conf->secrets = ngx_array_create(cf->pool, 1,
                                         sizeof(ngx_lyftr_secret_t));
        if (conf->secrets == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    /* a variable without a value has been warned of */

    if (conf->endpoint && conf->endpoint->kind->webhook
        && conf->endpoint->conf == conf && conf->nsecrets == 0)
    {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "no \"lyftr_secret\" for the location \"%V\": "
                           "it answers 503", &conf->endpoint->name);
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

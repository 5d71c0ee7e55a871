#include <ngx_lyftr_delivery.h>


typedef struct {
    ngx_str_t                     name;
    char                         *(*set)(ngx_lyftr_scheme_t *scheme,
                                      ngx_str_t *value);
} ngx_lyftr_signature_param_t;


static ngx_uint_t ngx_lyftr_signature_header(void *data, ngx_str_t *name,
    ngx_str_t *value);
static char *ngx_lyftr_signature_describe(ngx_conf_t *cf,
    ngx_lyftr_scheme_t *scheme);
static char *ngx_lyftr_signature_set_header(ngx_lyftr_scheme_t *scheme,
    ngx_str_t *value);
static char *ngx_lyftr_signature_set_prefix(ngx_lyftr_scheme_t *scheme,
    ngx_str_t *value);
static char *ngx_lyftr_signature_set_encoding(ngx_lyftr_scheme_t *scheme,
    ngx_str_t *value);
static char *ngx_lyftr_signature_set_timestamp(ngx_lyftr_scheme_t *scheme,
    ngx_str_t *value);
static char *ngx_lyftr_signature_set_signed(ngx_lyftr_scheme_t *scheme,
    ngx_str_t *value);
static ngx_int_t ngx_lyftr_signature_name(ngx_str_t *name);


/* why; the order is that of ngx_lyftr_scheme_reason_e */

static ngx_lyftr_refusal_e  ngx_lyftr_signature_reasons[] = {
    NGX_LYFTR_SIGNATURE_MISSING,
    NGX_LYFTR_SIGNATURE_MALFORMED,
    NGX_LYFTR_SIGNATURE_TIMESTAMP
};


/* of a description; what is signed is looked at when the others are known */

static ngx_lyftr_signature_param_t  ngx_lyftr_signature_params[] = {
    { ngx_string("header="), ngx_lyftr_signature_set_header },
    { ngx_string("prefix="), ngx_lyftr_signature_set_prefix },
    { ngx_string("encoding="), ngx_lyftr_signature_set_encoding },
    { ngx_string("timestamp="), ngx_lyftr_signature_set_timestamp },
    { ngx_string("signed="), ngx_lyftr_signature_set_signed },
    { ngx_null_string, NULL }
};


ngx_int_t
ngx_lyftr_signature_read(ngx_http_request_t *r, ngx_lyftr_proof_t *proof)
{
    ngx_lyftr_loc_conf_t       *llcf;
    ngx_lyftr_main_conf_t      *lmcf;
    ngx_lyftr_scheme_reason_e   reason;

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_lyftr_module);

    proof->keys = llcf->keys->elts;
    proof->n = llcf->keys->nelts;

    if (ngx_lyftr_scheme_read(llcf->scheme, ngx_lyftr_signature_header, r,
                              &proof->claim, &reason)
        == NGX_OK)
    {
        return NGX_OK;
    }

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_lyftr_module);

    ngx_lyftr_counters_refused(lmcf, ngx_lyftr_signature_reasons[reason]);

    return NGX_DECLINED;
}


/* $http_name would give the first one, or all of them with commas */

static ngx_uint_t
ngx_lyftr_signature_header(void *data, ngx_str_t *name, ngx_str_t *value)
{
    ngx_http_request_t *r = data;

    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    n = 0;
    part = &r->headers_in.headers.part;
    header = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {

            if (part->next == NULL) {
                return n;
            }

            part = part->next;
            header = part->elts;
            i = 0;
        }

        if (header[i].hash
            && header[i].key.len == name->len
            && ngx_strncmp(header[i].lowcase_key, name->data, name->len) == 0
            && n++ == 0)
        {
            *value = header[i].value;
        }
    }
}


ngx_int_t
ngx_lyftr_signature_detach(ngx_http_request_t *r, ngx_lyftr_proof_t *proof)
{
    ngx_uint_t           i;
    ngx_pool_cleanup_t  *cln;

    proof->copies = ngx_palloc(r->pool, proof->n * sizeof(void *));
    if (proof->copies == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < proof->n; i++) {
        cln = ngx_pool_cleanup_add(r->pool, 0);
        if (cln == NULL) {
            return NGX_ERROR;
        }

        proof->copies[i] = ngx_lyftr_hmac_copy(proof->keys[i].key);
        if (proof->copies[i] == NULL) {
            return NGX_ERROR;
        }

        cln->handler = ngx_lyftr_hmac_free;
        cln->data = proof->copies[i];
    }

    return NGX_OK;
}


/* every secret is tried, whichever verifies; maybe in a pool thread */

ngx_int_t
ngx_lyftr_signature_verify(ngx_lyftr_proof_t *proof, ngx_str_t *body)
{
    void        *key;
    ngx_str_t    parts[NGX_LYFTR_SCHEME_PARTS];
    ngx_uint_t   i, n;
    u_char       mac[NGX_LYFTR_HMAC_LEN];

    proof->secret = NULL;

    n = ngx_lyftr_scheme_parts(&proof->claim, body, parts);

    for (i = 0; i < proof->n; i++) {
        key = proof->copies ? proof->copies[i] : proof->keys[i].key;

        if (ngx_lyftr_hmac_sign(key, parts, n, mac) != NGX_OK) {
            return NGX_ERROR;
        }

        if (ngx_lyftr_scheme_match(&proof->claim, mac)
            && proof->secret == NULL)
        {
            proof->secret = proof->keys[i].secret;
        }
    }

    return proof->secret ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_lyftr_signature_timely(ngx_http_request_t *r, ngx_lyftr_proof_t *proof)
{
    ngx_lyftr_loc_conf_t  *llcf;

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_lyftr_module);

    return ngx_lyftr_scheme_timely(&proof->claim, ngx_time(), llcf->window)
           ? NGX_OK : NGX_DECLINED;
}


char *
ngx_lyftr_signature(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_lyftr_loc_conf_t *llcf = conf;

    ngx_str_t           *value;
    ngx_lyftr_scheme_t  *scheme;

    if (llcf->scheme != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strlchr(value[1].data, value[1].data + value[1].len, '=')) {
        scheme = ngx_pcalloc(cf->pool, sizeof(ngx_lyftr_scheme_t));
        if (scheme == NULL) {
            return NGX_CONF_ERROR;
        }

        llcf->scheme = scheme;

        return ngx_lyftr_signature_describe(cf, scheme);
    }

    if (cf->args->nelts > 2) {
        return "takes one preset, or a description by parameters";
    }

    llcf->scheme = ngx_lyftr_scheme_find(&value[1]);

    if (llcf->scheme == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "unknown preset \"%V\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_lyftr_signature_describe(ngx_conf_t *cf, ngx_lyftr_scheme_t *scheme)
{
    char                         *rv;
    ngx_str_t                    *value, *words;
    ngx_uint_t                    i, n, seen;
    ngx_lyftr_signature_param_t  *param;

    value = cf->args->elts;
    seen = 0;

    ngx_str_set(&scheme->prefix, "");
    words = NULL;

    for (i = 1; i < cf->args->nelts; i++) {

        for (n = 0; /* void */ ; n++) {
            param = &ngx_lyftr_signature_params[n];

            if (param->name.len == 0) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "unknown parameter \"%V\"", &value[i]);
                return NGX_CONF_ERROR;
            }

            if (value[i].len >= param->name.len
                && ngx_strncmp(value[i].data, param->name.data,
                               param->name.len)
                   == 0)
            {
                break;
            }
        }

        if (seen & (ngx_uint_t) 1 << n) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate parameter \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        seen |= (ngx_uint_t) 1 << n;

        value[i].data += param->name.len;
        value[i].len -= param->name.len;

        if (param->set == ngx_lyftr_signature_set_signed) {
            words = &value[i];
            continue;
        }

        rv = param->set(scheme, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (scheme->header.len == 0) {
        return "needs the parameter \"header=\"";
    }

    if (words) {
        return ngx_lyftr_signature_set_signed(scheme, words);
    }

    (void) ngx_lyftr_scheme_signed(scheme, NULL);

    return NGX_CONF_OK;
}


static char *
ngx_lyftr_signature_set_header(ngx_lyftr_scheme_t *scheme, ngx_str_t *value)
{
    if (ngx_lyftr_signature_name(value) != NGX_OK) {
        return "has a \"header=\" that is no name of a header";
    }

    scheme->header = *value;

    return NGX_CONF_OK;
}


static char *
ngx_lyftr_signature_set_prefix(ngx_lyftr_scheme_t *scheme, ngx_str_t *value)
{
    scheme->prefix = *value;

    return NGX_CONF_OK;
}


static char *
ngx_lyftr_signature_set_encoding(ngx_lyftr_scheme_t *scheme, ngx_str_t *value)
{
    if (value->len == 3 && ngx_strncmp(value->data, "hex", 3) == 0) {
        scheme->encoding = NGX_LYFTR_SCHEME_HEX;
        return NGX_CONF_OK;
    }

    if (value->len == 6 && ngx_strncmp(value->data, "base64", 6) == 0) {
        scheme->encoding = NGX_LYFTR_SCHEME_BASE64;
        return NGX_CONF_OK;
    }

    return "has an unknown \"encoding=\": it is \"hex\" or \"base64\"";
}


static char *
ngx_lyftr_signature_set_timestamp(ngx_lyftr_scheme_t *scheme,
    ngx_str_t *value)
{
    if (ngx_lyftr_signature_name(value) != NGX_OK) {
        return "has a \"timestamp=\" that is no name of a header";
    }

    scheme->timestamp = *value;
    scheme->timed = 1;

    return NGX_CONF_OK;
}


static char *
ngx_lyftr_signature_set_signed(ngx_lyftr_scheme_t *scheme, ngx_str_t *value)
{
    if (!scheme->timed) {
        return "has \"signed=\" without \"timestamp=\"";
    }

    if (ngx_lyftr_scheme_signed(scheme, value) != NGX_OK) {
        return "has a \"signed=\" without {timestamp} and {body} once each, "
               "or with other braces";
    }

    return NGX_CONF_OK;
}


/* of letters, digits and dashes; it is made lower-case */

static ngx_int_t
ngx_lyftr_signature_name(ngx_str_t *name)
{
    u_char  c;
    size_t  i;

    if (name->len == 0) {
        return NGX_DECLINED;
    }

    for (i = 0; i < name->len; i++) {
        c = ngx_tolower(name->data[i]);

        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-') {
            return NGX_DECLINED;
        }

        name->data[i] = c;
    }

    return NGX_OK;
}


char *
ngx_lyftr_signature_merge(ngx_conf_t *cf, ngx_lyftr_loc_conf_t *prev,
    ngx_lyftr_loc_conf_t *conf)
{
    if (conf->secrets == NGX_CONF_UNSET_PTR) {
        conf->nsecrets = prev->nsecrets;
    }

    ngx_conf_merge_ptr_value(conf->secrets, prev->secrets, NULL);
    ngx_conf_merge_ptr_value(conf->token, prev->token, NULL);

    /* a format may have a signature of its own, which is not inherited */

    if (conf->scheme == NGX_CONF_UNSET_PTR
        && conf->endpoint
        && conf->endpoint->conf == conf
        && conf->endpoint->format
        && conf->endpoint->format->signature.len)
    {
        conf->scheme = ngx_lyftr_scheme_find(
                                         &conf->endpoint->format->signature);
    }

    ngx_conf_merge_ptr_value(conf->scheme, prev->scheme, ngx_lyftr_schemes);
    ngx_conf_merge_sec_value(conf->window, prev->window, 300);

    if (conf->endpoint == NULL || !conf->endpoint->kind->webhook) {
        return NGX_CONF_OK;
    }

    /* a variable without a value has been warned of */

    if (conf->endpoint->conf == conf && conf->nsecrets == 0) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "no \"lyftr_secret\" for the location \"%V\": "
                           "it answers 503", &conf->endpoint->name);
    }

    conf->keys = ngx_lyftr_secret_keys(cf, conf);

    return conf->keys ? NGX_CONF_OK : NGX_CONF_ERROR;
}

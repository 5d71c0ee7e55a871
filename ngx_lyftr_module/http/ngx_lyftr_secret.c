#include <ngx_lyftr_request.h>


#define NGX_LYFTR_SECRET_FILE_MAX  65536

/* bytes of a key that Standard Webhooks would take */
#define NGX_LYFTR_SECRET_WHSEC_MIN 16


static char *ngx_lyftr_secret_param(ngx_lyftr_secret_t *secret,
    ngx_str_t *param, ngx_str_t *name);
static void *ngx_lyftr_secret_key(ngx_conf_t *cf, ngx_lyftr_loc_conf_t *llcf,
    ngx_lyftr_secret_t *secret, ngx_lyftr_secret_encoding_e encoding);
static ngx_int_t ngx_lyftr_secret_decode(ngx_conf_t *cf,
    ngx_lyftr_loc_conf_t *llcf, ngx_lyftr_secret_t *secret,
    ngx_lyftr_secret_encoding_e encoding, ngx_str_t *key);
static ngx_int_t ngx_lyftr_secret_file(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *value);
static ngx_int_t ngx_lyftr_secret_read(ngx_conf_t *cf, ngx_file_t *file,
    ngx_str_t *value);
static void ngx_lyftr_secret_check(ngx_conf_t *cf, char *source,
    ngx_str_t *name, ngx_str_t *secret);
static char *ngx_lyftr_secret_oddity(ngx_str_t *secret);
static ngx_uint_t ngx_lyftr_secret_utf16(ngx_str_t *secret);


static ngx_str_t  ngx_lyftr_secret_encodings[] = {
    ngx_string("raw"),
    ngx_string("base64"),
    ngx_string("whsec")
};


char *
ngx_lyftr_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_lyftr_loc_conf_t *llcf = conf;

    char                   *rv;
    ngx_int_t               rc;
    ngx_str_t              *value, name;
    ngx_uint_t              i;
    ngx_lyftr_secret_t     *secret, **s;
    ngx_lyftr_main_conf_t  *lmcf;

    value = cf->args->elts;

    if (llcf->secrets == NGX_CONF_UNSET_PTR) {
        llcf->secrets = ngx_array_create(cf->pool, 2,
                                         sizeof(ngx_lyftr_secret_t *));
        if (llcf->secrets == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    llcf->nsecrets++;

    secret = ngx_pcalloc(cf->pool, sizeof(ngx_lyftr_secret_t));
    if (secret == NULL) {
        return NGX_CONF_ERROR;
    }

    secret->encoding = NGX_LYFTR_SECRET_ENCODINGS;
    ngx_str_null(&name);

    for (i = 2; i < cf->args->nelts; i++) {
        rv = ngx_lyftr_secret_param(secret, &value[i], &name);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (name.len == 0) {
        name.data = ngx_pnalloc(cf->pool, NGX_INT_T_LEN);
        if (name.data == NULL) {
            return NGX_CONF_ERROR;
        }

        name.len = ngx_sprintf(name.data, "%ui", llcf->nsecrets) - name.data;
    }

    rc = ngx_lyftr_secret_value(cf, &value[1], &secret->value,
                                "without another one webhooks answer 503");

    if (rc == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return NGX_CONF_OK;
    }

    if (secret->value.len == 0) {
        return "has an empty secret";
    }

    s = ngx_array_push(llcf->secrets);
    if (s == NULL) {
        return NGX_CONF_ERROR;
    }

    *s = secret;

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_lyftr_module);

    secret->label = ngx_lyftr_zone_label(cf, &lmcf->zone,
                                         NGX_LYFTR_LABEL_SECRET, &name);

    return secret->label == NGX_ERROR ? NGX_CONF_ERROR : NGX_CONF_OK;
}


/* a wrong one is not printed: it may be the secret's second word */

static char *
ngx_lyftr_secret_param(ngx_lyftr_secret_t *secret, ngx_str_t *param,
    ngx_str_t *name)
{
    ngx_str_t   s;
    ngx_uint_t  i;

    if (ngx_strncmp(param->data, "name=", 5) == 0
        && param->len > 5
        && name->len == 0)
    {
        name->data = param->data + 5;
        name->len = param->len - 5;

        return NGX_CONF_OK;
    }

    if (ngx_strncmp(param->data, "encoding=", 9) != 0
        || secret->encoding != NGX_LYFTR_SECRET_ENCODINGS)
    {
        return "has an invalid parameter, \"name=\" and \"encoding=\" are "
               "known, each once";
    }

    s.data = param->data + 9;
    s.len = param->len - 9;

    for (i = 0; i < NGX_LYFTR_SECRET_ENCODINGS; i++) {

        if (s.len == ngx_lyftr_secret_encodings[i].len
            && ngx_strncmp(s.data, ngx_lyftr_secret_encodings[i].data, s.len)
               == 0)
        {
            secret->encoding = i;
            return NGX_CONF_OK;
        }
    }

    return "has an invalid \"encoding=\": it is \"raw\", \"base64\" or "
           "\"whsec\"";
}


ngx_int_t
ngx_lyftr_secret_value(ngx_conf_t *cf, ngx_str_t *arg, ngx_str_t *secret,
    char *follows)
{
    char       *source;
    ngx_int_t   rc;

    source = ngx_strncmp(arg->data, "env:", 4) == 0 ? "environment variable"
             : ngx_strncmp(arg->data, "file:", 5) == 0 ? "file" : NULL;

    rc = ngx_lyftr_secret_source(cf, arg, secret);

    if (rc == NGX_DECLINED) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "no secret in the environment variable \"%V\": "
                           "%s", arg, follows);
    }

    if (rc == NGX_OK) {
        ngx_lyftr_secret_check(cf, source, arg, secret);
    }

    return rc;
}


ngx_int_t
ngx_lyftr_secret_source(ngx_conf_t *cf, ngx_str_t *arg, ngx_str_t *value)
{
    if (ngx_strncmp(arg->data, "env:", 4) == 0) {
        arg->len -= 4;
        arg->data += 4;

        if (ngx_lyftr_env_get(cf, arg, value) != NGX_OK) {
            return NGX_ERROR;
        }

        return value->len ? NGX_OK : NGX_DECLINED;
    }

    if (ngx_strncmp(arg->data, "file:", 5) == 0) {
        arg->len -= 5;
        arg->data += 5;

        return ngx_lyftr_secret_file(cf, arg, value);
    }

    *value = *arg;

    return NGX_OK;
}


ngx_array_t *
ngx_lyftr_secret_keys(ngx_conf_t *cf, ngx_lyftr_loc_conf_t *llcf)
{
    ngx_uint_t                     i;
    ngx_array_t                   *keys;
    ngx_lyftr_signing_key_t               *key;
    ngx_lyftr_secret_t           **secret;
    ngx_lyftr_secret_encoding_e    encoding;

    keys = ngx_array_create(cf->pool, 2, sizeof(ngx_lyftr_signing_key_t));

    if (keys == NULL || llcf->secrets == NULL) {
        return keys;
    }

    secret = llcf->secrets->elts;

    for (i = 0; i < llcf->secrets->nelts; i++) {
        encoding = secret[i]->encoding;

        if (encoding == NGX_LYFTR_SECRET_ENCODINGS) {
            encoding = llcf->scheme->whsec ? NGX_LYFTR_SECRET_WHSEC
                                           : NGX_LYFTR_SECRET_RAW;
        }

        key = ngx_array_push(keys);
        if (key == NULL) {
            return NULL;
        }

        key->secret = secret[i];
        key->key = ngx_lyftr_secret_key(cf, llcf, secret[i], encoding);

        if (key->key == NULL) {
            return NULL;
        }
    }

    return keys;
}


static void *
ngx_lyftr_secret_key(ngx_conf_t *cf, ngx_lyftr_loc_conf_t *llcf,
    ngx_lyftr_secret_t *secret, ngx_lyftr_secret_encoding_e encoding)
{
    void                *key;
    ngx_str_t            value;
    ngx_pool_cleanup_t  *cln;

    if (secret->key[encoding]) {
        return secret->key[encoding];
    }

    if (ngx_lyftr_secret_decode(cf, llcf, secret, encoding, &value)
        != NGX_OK)
    {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    key = ngx_lyftr_hmac_key(value.data, value.len);

    if (key == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "ngx_lyftr_hmac_key() failed");
        return NULL;
    }

    cln->handler = ngx_lyftr_hmac_free;
    cln->data = key;

    secret->key[encoding] = key;

    return key;
}


static ngx_int_t
ngx_lyftr_secret_decode(ngx_conf_t *cf, ngx_lyftr_loc_conf_t *llcf,
    ngx_lyftr_secret_t *secret, ngx_lyftr_secret_encoding_e encoding,
    ngx_str_t *key)
{
    size_t     least;
    ngx_str_t  s;

    s = secret->value;

    if (encoding == NGX_LYFTR_SECRET_RAW) {
        *key = s;
        return NGX_OK;
    }

    least = 1;

    if (encoding == NGX_LYFTR_SECRET_WHSEC) {
        least = NGX_LYFTR_SECRET_WHSEC_MIN;

        if (s.len >= 6 && ngx_strncmp(s.data, "whsec_", 6) == 0) {
            s.data += 6;
            s.len -= 6;
        }
    }

    key->data = ngx_pnalloc(cf->temp_pool, ngx_base64_decoded_length(s.len));
    if (key->data == NULL) {
        return NGX_ERROR;
    }

    if (ngx_lyftr_scheme_base64(key, &s) == NGX_OK && key->len >= least) {
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "a secret of \"lyftr_secret\" for the location \"%V\" "
                       "is not of the encoding \"%V\"%s",
                       &llcf->endpoint->name,
                       &ngx_lyftr_secret_encodings[encoding],
                       encoding == NGX_LYFTR_SECRET_WHSEC
                       ? ", of 16 bytes at least; \"encoding=raw\" is for "
                         "senders that use the text itself as the key" : "");

    return NGX_ERROR;
}


static ngx_int_t
ngx_lyftr_secret_file(ngx_conf_t *cf, ngx_str_t *path, ngx_str_t *value)
{
    ngx_int_t   rc;
    ngx_file_t  file;

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

    /* a FIFO would be waited for */

    file.fd = ngx_open_file(path->data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                            NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", path);
        return NGX_ERROR;
    }

    rc = ngx_lyftr_secret_read(cf, &file, value);

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", path);
    }

    return rc;
}


/* a newline at the end is the editor's, not the secret's */

static ngx_int_t
ngx_lyftr_secret_read(ngx_conf_t *cf, ngx_file_t *file, ngx_str_t *value)
{
    ssize_t  n;

    if (ngx_fd_info(file->fd, &file->info) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", &file->name);
        return NGX_ERROR;
    }

    if (!ngx_is_file(&file->info)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "secret file \"%V\" is not a regular file",
                           &file->name);
        return NGX_ERROR;
    }

    n = ngx_read_file(file, value->data, NGX_LYFTR_SECRET_FILE_MAX, 0);

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "secret file \"%V\" cannot be read", &file->name);
        return NGX_ERROR;
    }

    if (n == NGX_LYFTR_SECRET_FILE_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "secret file \"%V\" is too big", &file->name);
        return NGX_ERROR;
    }

    if (n && value->data[n - 1] == LF) {
        n--;

        if (n && value->data[n - 1] == CR) {
            n--;
        }
    }

    if (n == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "secret file \"%V\" is empty",
                           &file->name);
        return NGX_ERROR;
    }

    value->len = n;

    return NGX_OK;
}


/* signatures that are made with what was meant do not verify */

static void
ngx_lyftr_secret_check(ngx_conf_t *cf, char *source, ngx_str_t *name,
    ngx_str_t *secret)
{
    char  *oddity;

    oddity = ngx_lyftr_secret_oddity(secret);

    if (oddity == NULL) {
        return;
    }

    if (source) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "the secret of the %s \"%V\" %s, and is used as it "
                           "stands", source, name, oddity);
        return;
    }

    ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                       "a secret %s, and is used as it stands", oddity);
}


/* what an editor or a shell adds, and nobody sees; or NULL */

static char *
ngx_lyftr_secret_oddity(ngx_str_t *secret)
{
    u_char  *last;

    if (secret->len == 0) {
        return NULL;
    }

    last = secret->data + secret->len - 1;

    if (ngx_lyftr_secret_utf16(secret)) {
        return "is UTF-16";
    }

    if (secret->len >= 3 && ngx_memcmp(secret->data, "\xef\xbb\xbf", 3) == 0) {
        return "begins with a byte order mark";
    }

    if (*last == CR) {
        return "ends with a carriage return";
    }

    if (*last == LF) {
        return "ends with a newline";
    }

    if (ngx_strlchr(secret->data, last, LF)
        || ngx_strlchr(secret->data, last, CR))
    {
        return "has more than one line";
    }

    if (*last == ' ' || *last == '\t'
        || secret->data[0] == ' ' || secret->data[0] == '\t')
    {
        return "begins or ends with a space";
    }

    return NULL;
}


/* a byte order mark, or each second byte is 0 */

static ngx_uint_t
ngx_lyftr_secret_utf16(ngx_str_t *secret)
{
    size_t  i, n[2];

    if (secret->len < 2) {
        return 0;
    }

    if (ngx_memcmp(secret->data, "\xff\xfe", 2) == 0
        || ngx_memcmp(secret->data, "\xfe\xff", 2) == 0)
    {
        return 1;
    }

    n[0] = 0;
    n[1] = 0;

    for (i = 0; i < secret->len; i++) {
        n[i % 2] += (secret->data[i] == '\0');
    }

    return n[0] == (secret->len + 1) / 2 || n[1] == secret->len / 2;
}

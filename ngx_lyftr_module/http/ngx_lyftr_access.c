#include <ngx_lyftr_request.h>


/*
 * Who may read: whom the configuration knows, by a variable, or whoever brings
 * a token.  Tokens are kept and compared as hashes, so that the time of an
 * answer tells nothing about them, not even their length.
 */

typedef struct {
    u_char  mac[NGX_LYFTR_HMAC_LEN];
} ngx_lyftr_token_t;


/* several tokens stand between these, as they do in the lines of a file */

#define ngx_lyftr_access_space(c)                                             \
    ((c) == ' ' || (c) == '\t' || (c) == CR || (c) == LF)


static ngx_int_t ngx_lyftr_access_handler(ngx_http_request_t *r);
static ngx_int_t ngx_lyftr_access_erase(ngx_http_request_t *r,
    ngx_lyftr_loc_conf_t *llcf);
static ngx_int_t ngx_lyftr_access_check(ngx_http_request_t *r,
    ngx_array_t *tokens);
static ngx_int_t ngx_lyftr_access_bearer(ngx_http_request_t *r,
    ngx_str_t *token);
static ngx_int_t ngx_lyftr_access_challenge(ngx_http_request_t *r);
static char *ngx_lyftr_access_add(ngx_conf_t *cf, ngx_array_t *tokens,
    ngx_str_t *token);
static ngx_uint_t ngx_lyftr_access_valid(ngx_str_t *token);
static ngx_int_t ngx_lyftr_access_hash(ngx_lyftr_main_conf_t *lmcf,
    ngx_str_t *token, u_char *mac);


char *
ngx_lyftr_access_token(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char *base = conf;

    char          *rv;
    u_char        *p, *last;
    ngx_str_t     *value, source, token;
    ngx_array_t  **tokens;

    value = cf->args->elts;
    tokens = (ngx_array_t **) (base + cmd->offset);

    if (*tokens == NGX_CONF_UNSET_PTR) {
        *tokens = ngx_array_create(cf->pool, 2, sizeof(ngx_lyftr_token_t));
        if (*tokens == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_lyftr_secret_source(cf, &value[1], &source) == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    p = source.data;
    last = p + source.len;

    token.len = 0;

    for ( ;; ) {
        while (p < last && ngx_lyftr_access_space(*p)) {
            p++;
        }

        if (p == last) {
            break;
        }

        token.data = p;

        while (p < last && !ngx_lyftr_access_space(*p)) {
            p++;
        }

        token.len = p - token.data;

        rv = ngx_lyftr_access_add(cf, *tokens, &token);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return token.len ? NGX_CONF_OK : "has no token";
}


static char *
ngx_lyftr_access_add(ngx_conf_t *cf, ngx_array_t *tokens, ngx_str_t *token)
{
    ngx_lyftr_token_t      *t;
    ngx_pool_cleanup_t     *cln;
    ngx_lyftr_main_conf_t  *lmcf;

    if (!ngx_lyftr_access_valid(token)) {
        return "has a token that no header can bring: it is of "
               "A-Za-z0-9-._~+/, with = at its end";
    }

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_lyftr_module);

    if (lmcf->token_key == NULL) {
        cln = ngx_pool_cleanup_add(cf->pool, 0);
        if (cln == NULL) {
            return NGX_CONF_ERROR;
        }

        /* hashes are compared, and nobody else ever sees them */

        lmcf->token_key = ngx_lyftr_hmac_key((u_char *) "token", 5);

        if (lmcf->token_key == NULL) {
            return "cannot be hashed: ngx_lyftr_hmac_key() failed";
        }

        cln->handler = ngx_lyftr_hmac_free;
        cln->data = lmcf->token_key;
    }

    t = ngx_array_push(tokens);

    if (t == NULL || ngx_lyftr_access_hash(lmcf, token, t->mac) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* RFC 6750's b64token */

static ngx_uint_t
ngx_lyftr_access_valid(ngx_str_t *token)
{
    u_char  c;
    size_t  i, len;

    len = token->len;

    while (len && token->data[len - 1] == '=') {
        len--;
    }

    for (i = 0; i < len; i++) {
        c = token->data[i];

        if ((ngx_tolower(c) < 'a' || ngx_tolower(c) > 'z')
            && (c < '0' || c > '9')
            && ngx_strchr("-._~+/", c) == NULL)
        {
            return 0;
        }
    }

    return len != 0;
}


static ngx_int_t
ngx_lyftr_access_hash(ngx_lyftr_main_conf_t *lmcf, ngx_str_t *token,
    u_char *mac)
{
    return ngx_lyftr_hmac_sign(lmcf->token_key, token, 1, mac);
}


ngx_int_t
ngx_lyftr_access_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_lyftr_access_handler;

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_access_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_lyftr_loc_conf_t  *llcf;

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_lyftr_module);

    if (llcf->endpoint
        && llcf->endpoint->kind->erases
        && r->method == NGX_HTTP_DELETE)
    {
        return ngx_lyftr_access_erase(r, llcf);
    }

    if (llcf->endpoint == NULL
        || llcf->endpoint->kind->open
        || (llcf->readers == NULL && llcf->tokens == NULL))
    {
        return NGX_DECLINED;
    }

    if (llcf->readers
        && ngx_http_test_predicates(r, llcf->readers) == NGX_DECLINED)
    {
        return NGX_OK;
    }

    if (llcf->tokens == NULL) {
        return NGX_HTTP_FORBIDDEN;
    }

    rc = ngx_lyftr_access_check(r, llcf->tokens);

    return rc == NGX_DECLINED ? ngx_lyftr_access_challenge(r) : rc;
}


/*
 * Whoever may read and has a token of this kind.  Where a token lets one read,
 * this one does.
 */

static ngx_int_t
ngx_lyftr_access_erase(ngx_http_request_t *r, ngx_lyftr_loc_conf_t *llcf)
{
    ngx_int_t  rc;

    if (llcf->readers
        && llcf->tokens == NULL
        && ngx_http_test_predicates(r, llcf->readers) != NGX_DECLINED)
    {
        return NGX_HTTP_FORBIDDEN;
    }

    rc = ngx_lyftr_access_check(r, llcf->erasers);

    return rc == NGX_DECLINED ? ngx_lyftr_access_challenge(r) : rc;
}


/* NGX_DECLINED: it has none of these tokens */

static ngx_int_t
ngx_lyftr_access_check(ngx_http_request_t *r, ngx_array_t *tokens)
{
    u_char                  mac[NGX_LYFTR_HMAC_LEN];
    ngx_str_t               token;
    ngx_uint_t              i, known;
    ngx_lyftr_token_t      *t;
    ngx_lyftr_main_conf_t  *lmcf;

    if (ngx_lyftr_access_bearer(r, &token) != NGX_OK) {
        return NGX_DECLINED;
    }

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_lyftr_module);

    if (ngx_lyftr_access_hash(lmcf, &token, mac) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    t = tokens->elts;
    known = 0;

    for (i = 0; i < tokens->nelts; i++) {
        known |= ngx_lyftr_hmac_equal(mac, t[i].mac);
    }

    return known ? NGX_OK : NGX_DECLINED;
}


/* what follows "Bearer" of any case, and spaces */

static ngx_int_t
ngx_lyftr_access_bearer(ngx_http_request_t *r, ngx_str_t *token)
{
    ngx_table_elt_t  *h;

    h = r->headers_in.authorization;

    if (h == NULL
        || h->value.len < sizeof("Bearer ") - 1
        || ngx_strncasecmp(h->value.data, (u_char *) "Bearer ",
                           sizeof("Bearer ") - 1)
           != 0)
    {
        return NGX_DECLINED;
    }

    *token = h->value;

    token->data += sizeof("Bearer ") - 1;
    token->len -= sizeof("Bearer ") - 1;

    while (token->len && *token->data == ' ') {
        token->data++;
        token->len--;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_access_challenge(ngx_http_request_t *r)
{
    ngx_str_t  key, value;

    ngx_str_set(&key, "WWW-Authenticate");
    ngx_str_set(&value, "Bearer");

    /* for "satisfy any", which takes it back */

    r->headers_out.www_authenticate = ngx_lyftr_http_header(r, &key, &value);

    return r->headers_out.www_authenticate ? NGX_HTTP_UNAUTHORIZED
                                           : NGX_HTTP_INTERNAL_SERVER_ERROR;
}

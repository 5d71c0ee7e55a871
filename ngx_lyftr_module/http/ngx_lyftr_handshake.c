#include <ngx_lyftr_request.h>


/*
 * How Meta makes sure of the owner of a URL: it asks with a token that both
 * know, and wants its challenge back.
 */

#define NGX_LYFTR_CHALLENGE_MAX    4096


typedef enum {
    NGX_LYFTR_HANDSHAKE_MODE = 0,
    NGX_LYFTR_HANDSHAKE_TOKEN,
    NGX_LYFTR_HANDSHAKE_CHALLENGE,
    NGX_LYFTR_HANDSHAKE_ARGS
} ngx_lyftr_handshake_arg_e;


static ngx_int_t ngx_lyftr_handshake_args(ngx_http_request_t *r,
    ngx_str_t *values);
static ngx_int_t ngx_lyftr_handshake_digest(ngx_str_t *token, u_char *md);


static ngx_str_t  ngx_lyftr_handshake_names[NGX_LYFTR_HANDSHAKE_ARGS] = {
    ngx_string("hub.mode"),
    ngx_string("hub.verify_token"),
    ngx_string("hub.challenge")
};


static ngx_str_t  ngx_lyftr_handshake_type = ngx_string("text/plain");


/* digests take the time of what was sent, whatever the token is */

ngx_int_t
ngx_lyftr_handshake_handler(ngx_http_request_t *r)
{
    u_char                 md[NGX_LYFTR_HMAC_LEN];
    ngx_int_t              rc;
    ngx_buf_t             *b;
    ngx_str_t              values[NGX_LYFTR_HANDSHAKE_ARGS], *s, key, value;
    ngx_chain_t            out;
    ngx_lyftr_ctx_t       *ctx;
    ngx_lyftr_loc_conf_t  *llcf;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_lyftr_module);
    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    ctx->result = NGX_LYFTR_FORBIDDEN;
    ctx->counted = 1;

    if (ngx_lyftr_handshake_args(r, values) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_lyftr_handshake_digest(&values[NGX_LYFTR_HANDSHAKE_TOKEN], md)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s = &values[NGX_LYFTR_HANDSHAKE_MODE];

    if (s->len != sizeof("subscribe") - 1
        || ngx_memcmp(s->data, "subscribe", s->len) != 0)
    {
        goto forbidden;
    }

    s = &values[NGX_LYFTR_HANDSHAKE_CHALLENGE];

    if (llcf->token == NULL
        || !ngx_lyftr_hmac_equal(md, llcf->token)
        || s->len == 0
        || s->len > NGX_LYFTR_CHALLENGE_MAX)
    {
        goto forbidden;
    }

    ctx->result = NGX_LYFTR_VERIFIED;

    ngx_str_set(&key, "X-Content-Type-Options");
    ngx_str_set(&value, "nosniff");

    b = ngx_calloc_buf(r->pool);

    if (b == NULL || ngx_lyftr_http_header(r, &key, &value) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = s->data;
    b->last = s->data + s->len;
    b->memory = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_lyftr_http_send_chain(r, NGX_HTTP_OK, &ngx_lyftr_handshake_type,
                                     &out, s->len);

forbidden:

    ngx_str_set(&value, "Forbidden");

    return ngx_lyftr_http_error(r, NGX_HTTP_FORBIDDEN, &value);
}


/* of one that is repeated the last counts, also if it is empty */

static ngx_int_t
ngx_lyftr_handshake_args(ngx_http_request_t *r, ngx_str_t *values)
{
    size_t       len;
    u_char      *p, *last, *end, *eq, *decoded;
    ngx_uint_t   i;

    ngx_memzero(values, NGX_LYFTR_HANDSHAKE_ARGS * sizeof(ngx_str_t));

    decoded = ngx_pnalloc(r->pool, r->args.len + 1);
    if (decoded == NULL) {
        return NGX_ERROR;
    }

    last = r->args.data + r->args.len;

    for (p = r->args.data; p < last; p = end + 1) {
        end = ngx_strlchr(p, last, '&');

        if (end == NULL) {
            end = last;
        }

        eq = ngx_strlchr(p, end, '=');

        if (eq == NULL) {
            eq = end;
        }

        len = ngx_lyftr_query_decode(decoded, p, eq, 1) - decoded;

        for (i = 0; i < NGX_LYFTR_HANDSHAKE_ARGS; i++) {

            if (ngx_lyftr_handshake_names[i].len != len
                || ngx_memcmp(ngx_lyftr_handshake_names[i].data, decoded, len)
                   != 0)
            {
                continue;
            }

            values[i].data = decoded;
            decoded = ngx_lyftr_query_decode(decoded, ngx_min(eq + 1, end),
                                             end, 1);
            values[i].len = decoded - values[i].data;
            break;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_handshake_digest(ngx_str_t *token, u_char *md)
{
    void       *digest;
    ngx_int_t   rc;

    digest = ngx_lyftr_digest_create();

    if (digest == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_lyftr_digest_make(digest, token, md);

    ngx_lyftr_digest_free(digest);

    return rc;
}


char *
ngx_lyftr_handshake_token(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_lyftr_loc_conf_t *llcf = conf;

    ngx_int_t   rc;
    ngx_str_t  *value, token;

    if (llcf->token != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    rc = ngx_lyftr_secret_value(cf, &value[1], &token,
                                "handshakes are answered 403");

    if (rc == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    if (rc == NGX_DECLINED) {
        llcf->token = NULL;
        return NGX_CONF_OK;
    }

    if (token.len == 0) {
        return "has an empty token";
    }

    llcf->token = ngx_pnalloc(cf->pool, NGX_LYFTR_HMAC_LEN);

    if (llcf->token == NULL
        || ngx_lyftr_handshake_digest(&token, llcf->token) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}

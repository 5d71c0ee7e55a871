
#include <ngx_lyftr_scheme.h>
#include <ngx_lyftr_hmac.h>


/* 32 bytes in base64, without padding, and what they are decoded to */
#define NGX_LYFTR_SCHEME_BASE64_LEN    43
#define NGX_LYFTR_SCHEME_BASE64_ROOM   33


static ngx_uint_t ngx_lyftr_scheme_header(ngx_lyftr_scheme_header_pt header,
    void *data, ngx_str_t *name, ngx_str_t *value);
static ngx_uint_t ngx_lyftr_scheme_next(ngx_lyftr_scheme_claim_t *claim,
    ngx_str_t *rest, ngx_str_t *entry);
static ngx_int_t ngx_lyftr_scheme_decode(ngx_lyftr_scheme_t *scheme,
    ngx_str_t *entry, u_char *mac);
static ngx_uint_t ngx_lyftr_scheme_listed(ngx_str_t *signatures,
    ngx_str_t *timestamp);
static ngx_uint_t ngx_lyftr_scheme_is_timestamp(ngx_str_t *s);
static void ngx_lyftr_scheme_trim(ngx_str_t *s);


#define ngx_lyftr_scheme_no_part                                              \
    { NGX_LYFTR_SCHEME_END, ngx_null_string }
#define ngx_lyftr_scheme_value(type)                                          \
    { type, ngx_null_string }
#define ngx_lyftr_scheme_word(s)                                              \
    { NGX_LYFTR_SCHEME_WORD, ngx_string(s) }

#define ngx_lyftr_scheme_body                                                 \
    { ngx_lyftr_scheme_value(NGX_LYFTR_SCHEME_BODY),                          \
      ngx_lyftr_scheme_no_part }
#define ngx_lyftr_scheme_timed_body                                           \
    { ngx_lyftr_scheme_value(NGX_LYFTR_SCHEME_TIMESTAMP),                     \
      ngx_lyftr_scheme_word("."),                                             \
      ngx_lyftr_scheme_value(NGX_LYFTR_SCHEME_BODY),                          \
      ngx_lyftr_scheme_no_part }
#define ngx_lyftr_scheme_named_body                                           \
    { ngx_lyftr_scheme_value(NGX_LYFTR_SCHEME_ID),                            \
      ngx_lyftr_scheme_word("."),                                             \
      ngx_lyftr_scheme_value(NGX_LYFTR_SCHEME_TIMESTAMP),                     \
      ngx_lyftr_scheme_word("."),                                             \
      ngx_lyftr_scheme_value(NGX_LYFTR_SCHEME_BODY),                          \
      ngx_lyftr_scheme_no_part }


/* that of Standard Webhooks, where the names of headers were Svix's */

static ngx_lyftr_scheme_t  ngx_lyftr_scheme_svix =

    { ngx_null_string,
      ngx_string("svix-signature"),
      ngx_string("svix-timestamp"),
      ngx_string("svix-id"),
      ngx_string("v1,"),
      NGX_LYFTR_SCHEME_BASE64,
      NGX_LYFTR_SCHEME_SPACES,
      ngx_lyftr_scheme_named_body,
      NULL, 1, 1 };


ngx_lyftr_scheme_t  ngx_lyftr_schemes[] = {

    { ngx_string("lyftr"),
      ngx_string("x-signature"),
      ngx_null_string,
      ngx_null_string,
      ngx_string(""),
      NGX_LYFTR_SCHEME_HEX,
      NGX_LYFTR_SCHEME_ONE,
      ngx_lyftr_scheme_body,
      NULL, 0, 0 },

    { ngx_string("hub"),
      ngx_string("x-hub-signature-256"),
      ngx_null_string,
      ngx_null_string,
      ngx_string("sha256="),
      NGX_LYFTR_SCHEME_HEX,
      NGX_LYFTR_SCHEME_ONE,
      ngx_lyftr_scheme_body,
      NULL, 0, 0 },

    { ngx_string("standard"),
      ngx_string("webhook-signature"),
      ngx_string("webhook-timestamp"),
      ngx_string("webhook-id"),
      ngx_string("v1,"),
      NGX_LYFTR_SCHEME_BASE64,
      NGX_LYFTR_SCHEME_SPACES,
      ngx_lyftr_scheme_named_body,
      &ngx_lyftr_scheme_svix, 1, 1 },

    { ngx_string("stripe"),
      ngx_string("stripe-signature"),
      ngx_null_string,
      ngx_null_string,
      ngx_string("v1="),
      NGX_LYFTR_SCHEME_HEX,
      NGX_LYFTR_SCHEME_COMMAS,
      ngx_lyftr_scheme_timed_body,
      NULL, 1, 0 },

    { ngx_string("slack"),
      ngx_string("x-slack-signature"),
      ngx_string("x-slack-request-timestamp"),
      ngx_null_string,
      ngx_string("v0="),
      NGX_LYFTR_SCHEME_HEX,
      NGX_LYFTR_SCHEME_ONE,
      { ngx_lyftr_scheme_word("v0:"),
        ngx_lyftr_scheme_value(NGX_LYFTR_SCHEME_TIMESTAMP),
        ngx_lyftr_scheme_word(":"),
        ngx_lyftr_scheme_value(NGX_LYFTR_SCHEME_BODY),
        ngx_lyftr_scheme_no_part },
      NULL, 1, 0 },

    { ngx_string("shopify"),
      ngx_string("x-shopify-hmac-sha256"),
      ngx_null_string,
      ngx_null_string,
      ngx_string(""),
      NGX_LYFTR_SCHEME_BASE64,
      NGX_LYFTR_SCHEME_ONE,
      ngx_lyftr_scheme_body,
      NULL, 0, 0 },

    { ngx_null_string, ngx_null_string, ngx_null_string, ngx_null_string,
      ngx_null_string, NGX_LYFTR_SCHEME_HEX, NGX_LYFTR_SCHEME_ONE,
      { ngx_lyftr_scheme_no_part }, NULL, 0, 0 }
};


ngx_lyftr_scheme_t *
ngx_lyftr_scheme_find(ngx_str_t *name)
{
    ngx_lyftr_scheme_t  *scheme;

    for (scheme = ngx_lyftr_schemes; scheme->name.len; scheme++) {

        if (scheme->name.len == name->len
            && ngx_memcmp(scheme->name.data, name->data, name->len) == 0)
        {
            return scheme;
        }
    }

    return NULL;
}


ngx_int_t
ngx_lyftr_scheme_signed(ngx_lyftr_scheme_t *scheme, ngx_str_t *s)
{
    size_t                    len;
    u_char                   *p, *last, *brace;
    ngx_uint_t                seen;
    ngx_lyftr_scheme_part_e   type;
    ngx_lyftr_scheme_part_t  *part;

    static ngx_str_t  body = ngx_string("{body}");
    static ngx_str_t  timestamp = ngx_string("{timestamp}");
    static ngx_str_t  both = ngx_string("{timestamp}.{body}");

    part = scheme->part;

    if (s == NULL) {
        s = scheme->timed ? &both : &body;
    }

    p = s->data;
    last = p + s->len;
    seen = 0;

    for ( ;; ) {

        for (brace = p; brace < last; brace++) {
            if (*brace == '{' || *brace == '}') {
                break;
            }
        }

        if (brace > p) {
            part->type = NGX_LYFTR_SCHEME_WORD;
            part->word.data = p;
            part->word.len = brace - p;
            part++;
        }

        if (brace == last) {
            break;
        }

        len = last - brace;

        if (len >= body.len && ngx_memcmp(brace, body.data, body.len) == 0) {
            type = NGX_LYFTR_SCHEME_BODY;
            p = brace + body.len;

        } else if (scheme->timed
                   && len >= timestamp.len
                   && ngx_memcmp(brace, timestamp.data, timestamp.len) == 0)
        {
            type = NGX_LYFTR_SCHEME_TIMESTAMP;
            p = brace + timestamp.len;

        } else {
            return NGX_DECLINED;
        }

        if (seen & 1 << type) {
            return NGX_DECLINED;
        }

        seen |= 1 << type;

        part->type = type;
        part++;
    }

    part->type = NGX_LYFTR_SCHEME_END;

    if (!(seen & 1 << NGX_LYFTR_SCHEME_BODY)
        || (scheme->timed && !(seen & 1 << NGX_LYFTR_SCHEME_TIMESTAMP)))
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_scheme_read(ngx_lyftr_scheme_t *scheme,
    ngx_lyftr_scheme_header_pt header, void *data,
    ngx_lyftr_scheme_claim_t *claim, ngx_lyftr_scheme_reason_e *reason)
{
    ngx_str_t   rest, entry;
    ngx_uint_t  n;
    u_char      mac[NGX_LYFTR_HMAC_LEN];

    ngx_memzero(claim, sizeof(ngx_lyftr_scheme_claim_t));

    n = ngx_lyftr_scheme_header(header, data, &scheme->header,
                                &claim->signatures);

    if (n == 0 && scheme->other) {
        return ngx_lyftr_scheme_read(scheme->other, header, data, claim,
                                     reason);
    }

    claim->scheme = scheme;

    *reason = NGX_LYFTR_SCHEME_MISSING;

    if (n == 0 || (n == 1 && claim->signatures.len == 0)) {
        return NGX_DECLINED;
    }

    *reason = NGX_LYFTR_SCHEME_MALFORMED;

    if (n > 1) {
        return NGX_DECLINED;
    }

    rest = claim->signatures;

    do {
        if (!ngx_lyftr_scheme_next(claim, &rest, &entry)) {
            return NGX_DECLINED;
        }

    } while (ngx_lyftr_scheme_decode(scheme, &entry, mac) != NGX_OK);

    if (scheme->id.len
        && (ngx_lyftr_scheme_header(header, data, &scheme->id, &claim->id) != 1
            || claim->id.len == 0
            || memchr(claim->id.data, '.', claim->id.len)))
    {
        return NGX_DECLINED;
    }

    *reason = NGX_LYFTR_SCHEME_UNTIMED;

    if (!scheme->timed) {
        return NGX_OK;
    }

    if (scheme->form == NGX_LYFTR_SCHEME_COMMAS) {
        n = ngx_lyftr_scheme_listed(&claim->signatures, &claim->timestamp);

    } else {
        n = ngx_lyftr_scheme_header(header, data, &scheme->timestamp,
                                    &claim->timestamp);
    }

    return (n == 1 && ngx_lyftr_scheme_is_timestamp(&claim->timestamp))
           ? NGX_OK : NGX_DECLINED;
}


static ngx_uint_t
ngx_lyftr_scheme_header(ngx_lyftr_scheme_header_pt header, void *data,
    ngx_str_t *name, ngx_str_t *value)
{
    ngx_uint_t  n;

    n = header(data, name, value);

    if (n) {
        ngx_lyftr_scheme_trim(value);
    }

    return n;
}


/* the next of the entries; 0: there is none */

static ngx_uint_t
ngx_lyftr_scheme_next(ngx_lyftr_scheme_claim_t *claim, ngx_str_t *rest,
    ngx_str_t *entry)
{
    u_char  *p, separator;
    size_t   len;

    if (rest->data == NULL) {
        return 0;
    }

    *entry = *rest;
    p = NULL;

    if (claim->scheme->form != NGX_LYFTR_SCHEME_ONE) {
        separator = claim->scheme->form == NGX_LYFTR_SCHEME_SPACES ? ' ' : ',';
        p = memchr(rest->data, separator, rest->len);
    }

    if (p == NULL) {
        rest->data = NULL;
        return 1;
    }

    len = p - rest->data;

    entry->len = len;
    rest->data += len + 1;
    rest->len -= len + 1;

    return 1;
}


static ngx_int_t
ngx_lyftr_scheme_decode(ngx_lyftr_scheme_t *scheme, ngx_str_t *entry,
    u_char *mac)
{
    ngx_str_t  src, dst;
    u_char     buf[NGX_LYFTR_SCHEME_BASE64_ROOM];

    if (scheme->encoding == NGX_LYFTR_SCHEME_HEX) {
        return ngx_lyftr_hmac_decode(entry->data, entry->len, &scheme->prefix,
                                     mac);
    }

    if (entry->len < scheme->prefix.len
        || (scheme->prefix.len
            && ngx_memcmp(entry->data, scheme->prefix.data,
                          scheme->prefix.len)
               != 0))
    {
        return NGX_DECLINED;
    }

    src.data = entry->data + scheme->prefix.len;
    src.len = entry->len - scheme->prefix.len;
    dst.data = buf;

    if ((src.len != NGX_LYFTR_SCHEME_BASE64_LEN
         && src.len != NGX_LYFTR_SCHEME_BASE64_LEN + 1)
        || ngx_lyftr_scheme_base64(&dst, &src) != NGX_OK
        || dst.len != NGX_LYFTR_HMAC_LEN)
    {
        return NGX_DECLINED;
    }

    ngx_memcpy(mac, buf, NGX_LYFTR_HMAC_LEN);

    return NGX_OK;
}


/* how many entries say t=, and what the first of them says */

static ngx_uint_t
ngx_lyftr_scheme_listed(ngx_str_t *signatures, ngx_str_t *timestamp)
{
    u_char      *p, *end, *last;
    ngx_uint_t   n;

    n = 0;
    p = signatures->data;
    last = p + signatures->len;

    for ( ;; ) {
        end = memchr(p, ',', last - p);

        if (end == NULL) {
            end = last;
        }

        if (end - p >= 2 && p[0] == 't' && p[1] == '=' && n++ == 0) {
            timestamp->data = p + 2;
            timestamp->len = end - p - 2;
        }

        if (end == last) {
            return n;
        }

        p = end + 1;
    }
}


static ngx_uint_t
ngx_lyftr_scheme_is_timestamp(ngx_str_t *s)
{
    size_t  i;

    if (s->len == 0 || s->len > NGX_LYFTR_SCHEME_DIGITS) {
        return 0;
    }

    for (i = 0; i < s->len; i++) {

        if (s->data[i] < '0' || s->data[i] > '9') {
            return 0;
        }
    }

    return 1;
}


static void
ngx_lyftr_scheme_trim(ngx_str_t *s)
{
    while (s->len && (s->data[0] == ' ' || s->data[0] == '\t')) {
        s->data++;
        s->len--;
    }

    while (s->len && (s->data[s->len - 1] == ' '
                      || s->data[s->len - 1] == '\t'))
    {
        s->len--;
    }
}


ngx_uint_t
ngx_lyftr_scheme_parts(ngx_lyftr_scheme_claim_t *claim, ngx_str_t *body,
    ngx_str_t *parts)
{
    ngx_uint_t                n;
    ngx_lyftr_scheme_part_t  *part;

    part = claim->scheme->part;

    for (n = 0; n < NGX_LYFTR_SCHEME_PARTS; n++, part++) {

        switch (part->type) {

        case NGX_LYFTR_SCHEME_WORD:
            parts[n] = part->word;
            break;

        case NGX_LYFTR_SCHEME_ID:
            parts[n] = claim->id;
            break;

        case NGX_LYFTR_SCHEME_TIMESTAMP:
            parts[n] = claim->timestamp;
            break;

        case NGX_LYFTR_SCHEME_BODY:
            parts[n] = *body;
            break;

        default: /* NGX_LYFTR_SCHEME_END */
            return n;
        }
    }

    return n;
}


ngx_uint_t
ngx_lyftr_scheme_match(ngx_lyftr_scheme_claim_t *claim, u_char *mac)
{
    ngx_str_t   rest, entry;
    ngx_uint_t  match;
    u_char      signature[NGX_LYFTR_HMAC_LEN];

    match = 0;
    rest = claim->signatures;

    while (ngx_lyftr_scheme_next(claim, &rest, &entry)) {

        if (ngx_lyftr_scheme_decode(claim->scheme, &entry, signature)
            == NGX_OK)
        {
            match |= ngx_lyftr_hmac_equal(signature, mac);
        }
    }

    return match;
}


ngx_uint_t
ngx_lyftr_scheme_timely(ngx_lyftr_scheme_claim_t *claim, time_t now,
    time_t window)
{
    size_t   i;
    int64_t  t;

    if (!claim->scheme->timed || window == 0) {
        return 1;
    }

    t = 0;

    for (i = 0; i < claim->timestamp.len; i++) {
        t = t * 10 + (claim->timestamp.data[i] - '0');
    }

    return t >= (int64_t) now - window && t <= (int64_t) now + window;
}


ngx_int_t
ngx_lyftr_scheme_base64(ngx_str_t *dst, ngx_str_t *src)
{
    size_t      len;
    u_char     *s, *d, *last;
    uint32_t    bits;
    ngx_int_t   sextet;
    ngx_uint_t  n;

    s = src->data;
    len = src->len;

    if (len % 4 == 0) {

        /* the padding, of a whole group only */

        for (n = 0; n < 2 && len && s[len - 1] == '='; n++) {
            len--;
        }
    }

    if (len % 4 == 1) {
        return NGX_DECLINED;
    }

    d = dst->data;
    last = s + len;
    bits = 0;

    for (n = 0; s < last; s++) {
        sextet = ngx_lyftr_base64(*s, "+/");

        if (sextet == NGX_ERROR) {
            return NGX_DECLINED;
        }

        bits = (bits << 6 | (uint32_t) sextet) & 0xffff;
        n += 6;

        if (n >= 8) {
            n -= 8;
            *d++ = (u_char) (bits >> n);
        }
    }

    dst->len = d - dst->data;

    return (bits & ((1 << n) - 1)) ? NGX_DECLINED : NGX_OK;
}

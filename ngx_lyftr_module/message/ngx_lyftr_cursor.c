
#include <ngx_lyftr_text.h>


/*
 * A cursor is this in base64url, without padding:
 *
 *     1    flags
 *     8    the store's identity
 *     8    the place of arrival
 *     8    the hash of the id
 *     1    the length of the instant, and the instant or its beginning
 *     ...  the id or its beginning
 *     4    a check of all before, so that a typing error is none of ours
 */

#define NGX_LYFTR_CURSOR_TEXT      0x01
#define NGX_LYFTR_CURSOR_INSTANT   0x02    /* is cut */
#define NGX_LYFTR_CURSOR_ID        0x04    /* is cut */

#define NGX_LYFTR_CURSOR_FIXED     (1 + 3 * 8 + 1)
#define NGX_LYFTR_CURSOR_CHECK     4
#define NGX_LYFTR_CURSOR_BYTES     (NGX_LYFTR_CURSOR_FIXED                    \
                                    + 2 * NGX_LYFTR_CURSOR_PART              \
                                    + NGX_LYFTR_CURSOR_CHECK)


static ngx_int_t ngx_lyftr_cursor_decode(ngx_str_t *s, u_char *buf,
    size_t *len);
static u_char *ngx_lyftr_cursor_encode(u_char *p, u_char *buf, size_t len);
static uint64_t ngx_lyftr_cursor_get(u_char *p, ngx_uint_t n);
static u_char *ngx_lyftr_cursor_put(u_char *p, uint64_t value, ngx_uint_t n);
static uint64_t ngx_lyftr_cursor_check(u_char *buf, size_t len);


void
ngx_lyftr_cursor_set(ngx_lyftr_position_t *position, ngx_str_t *instant,
    ngx_uint_t text, ngx_str_t *id)
{
    position->text = text;

    position->instant_len = ngx_min(instant->len, NGX_LYFTR_CURSOR_PART);
    position->instant_cut = (position->instant_len < instant->len);
    ngx_memcpy(position->instant, instant->data, position->instant_len);

    position->id_len = ngx_min(id->len, NGX_LYFTR_CURSOR_PART);
    position->id_cut = (position->id_len < id->len);
    ngx_memcpy(position->id, id->data, position->id_len);
}


ngx_int_t
ngx_lyftr_cursor_read(ngx_str_t *s, ngx_lyftr_position_t *position)
{
    u_char  *p, *last, buf[NGX_LYFTR_CURSOR_BYTES];
    size_t   len;

    position->seq = 0;

    if (s->len == 1 && s->data[0] == '0') {
        return NGX_OK;
    }

    if (ngx_lyftr_cursor_decode(s, buf, &len) != NGX_OK
        || len < NGX_LYFTR_CURSOR_FIXED + NGX_LYFTR_CURSOR_CHECK)
    {
        return NGX_DECLINED;
    }

    p = buf;
    last = buf + len - NGX_LYFTR_CURSOR_CHECK;

    if (ngx_lyftr_cursor_check(buf, last - buf)
        != ngx_lyftr_cursor_get(last, NGX_LYFTR_CURSOR_CHECK))
    {
        return NGX_DECLINED;
    }

    position->text = ((*p & NGX_LYFTR_CURSOR_TEXT) != 0);
    position->instant_cut = ((*p & NGX_LYFTR_CURSOR_INSTANT) != 0);
    position->id_cut = ((*p & NGX_LYFTR_CURSOR_ID) != 0);
    p++;

    position->store = ngx_lyftr_cursor_get(p, 8);
    position->seq = (int64_t) ngx_lyftr_cursor_get(p + 8, 8);
    position->hash = ngx_lyftr_cursor_get(p + 16, 8);
    p += 24;

    len = *p++;

    if (position->seq <= 0
        || len > NGX_LYFTR_CURSOR_PART
        || len > (size_t) (last - p)
        || (size_t) (last - p) - len > NGX_LYFTR_CURSOR_PART)
    {
        position->seq = 0;
        return NGX_DECLINED;
    }

    position->instant_len = len;
    ngx_memcpy(position->instant, p, len);
    p += len;

    position->id_len = last - p;
    ngx_memcpy(position->id, p, position->id_len);

    return NGX_OK;
}


u_char *
ngx_lyftr_cursor_write(u_char *p, ngx_lyftr_position_t *position)
{
    u_char  *b, buf[NGX_LYFTR_CURSOR_BYTES];

    if (position->seq == 0) {
        *p++ = '0';
        return p;
    }

    b = buf;

    *b++ = (u_char) ((position->text ? NGX_LYFTR_CURSOR_TEXT : 0)
                     | (position->instant_cut ? NGX_LYFTR_CURSOR_INSTANT : 0)
                     | (position->id_cut ? NGX_LYFTR_CURSOR_ID : 0));

    b = ngx_lyftr_cursor_put(b, position->store, 8);
    b = ngx_lyftr_cursor_put(b, (uint64_t) position->seq, 8);
    b = ngx_lyftr_cursor_put(b, position->hash, 8);

    *b++ = (u_char) position->instant_len;

    b = ngx_cpymem(b, position->instant, position->instant_len);
    b = ngx_cpymem(b, position->id, position->id_len);
    b = ngx_lyftr_cursor_put(b, ngx_lyftr_cursor_check(buf, b - buf),
                             NGX_LYFTR_CURSOR_CHECK);

    return ngx_lyftr_cursor_encode(p, buf, b - buf);
}


/* strict: each text is that of one position only */

static ngx_int_t
ngx_lyftr_cursor_decode(ngx_str_t *s, u_char *buf, size_t *len)
{
    u_char      *p;
    size_t       i;
    uint32_t     bits;
    ngx_int_t    digit;
    ngx_uint_t   n;

    if (s->len * 6 / 8 > NGX_LYFTR_CURSOR_BYTES || s->len % 4 == 1) {
        return NGX_DECLINED;
    }

    p = buf;
    bits = 0;
    n = 0;

    for (i = 0; i < s->len; i++) {
        digit = ngx_lyftr_base64(s->data[i], "-_");

        if (digit == NGX_ERROR) {
            return NGX_DECLINED;
        }

        bits = bits << 6 | (uint32_t) digit;
        n += 6;

        if (n >= 8) {
            n -= 8;
            *p++ = (u_char) (bits >> n);
            bits &= (1 << n) - 1;
        }
    }

    *len = p - buf;

    return bits ? NGX_DECLINED : NGX_OK;
}


static u_char *
ngx_lyftr_cursor_encode(u_char *p, u_char *buf, size_t len)
{
    size_t         i;
    uint32_t       bits;
    ngx_uint_t     n;
    static u_char  digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                              "abcdefghijklmnopqrstuvwxyz0123456789-_";

    bits = 0;
    n = 0;

    for (i = 0; i < len; i++) {
        bits = (bits << 8 | buf[i]) & 0xffff;
        n += 8;

        do {
            n -= 6;
            *p++ = digits[bits >> n & 0x3f];
        } while (n >= 6);
    }

    if (n) {
        *p++ = digits[bits << (6 - n) & 0x3f];
    }

    return p;
}


static uint64_t
ngx_lyftr_cursor_get(u_char *p, ngx_uint_t n)
{
    uint64_t  value;

    for (value = 0; n; n--) {
        value = value << 8 | *p++;
    }

    return value;
}


static u_char *
ngx_lyftr_cursor_put(u_char *p, uint64_t value, ngx_uint_t n)
{
    while (n--) {
        *p++ = (u_char) (value >> 8 * n);
    }

    return p;
}


/* no secret: who makes a cursor up learns no more than from one of ours */

static uint64_t
ngx_lyftr_cursor_check(u_char *buf, size_t len)
{
    uint64_t  key[2] = { 0x6c796674722d6375, 0x72736f722d763031 };

    return ngx_lyftr_siphash(key, buf, len) & 0xffffffff;
}


#include <ngx_lyftr_text.h>


#define NGX_LYFTR_JSON_REPLACEMENT      "\xef\xbf\xbd"
#define NGX_LYFTR_JSON_REPLACEMENT_LEN  3
#define NGX_LYFTR_JSON_UNICODE_LEN      6

#define NGX_LYFTR_JSON_NO_SURROGATE     0
#define NGX_LYFTR_JSON_HIGH             1
#define NGX_LYFTR_JSON_LOW              2


static ngx_inline u_char ngx_lyftr_json_escape(u_char c);
static ngx_uint_t ngx_lyftr_json_surrogate(u_char *p);


/* the letter behind the backslash for each control character */

static u_char  ngx_lyftr_json_controls[] = "uuuuuuuubtnufruuuuuuuuuuuuuuuuuu";

static u_char  ngx_lyftr_json_hex[] = "0123456789abcdef";


u_char *
ngx_lyftr_json_string(u_char *p, u_char *s, size_t len)
{
    u_char  *start, *last, c;

    last = s + len;

    *p++ = '"';

    while (s < last) {
        c = ngx_lyftr_json_escape(*s);

        if (c == 0 && *s < 0x80) {
            *p++ = *s++;
            continue;
        }

        if (c == 0) {
            start = s;

            if (ngx_lyftr_utf8_decode(&s, last) == NGX_LYFTR_UTF8_INVALID) {
                p = ngx_cpymem(p, NGX_LYFTR_JSON_REPLACEMENT,
                               NGX_LYFTR_JSON_REPLACEMENT_LEN);
                continue;
            }

            p = ngx_cpymem(p, start, s - start);
            continue;
        }

        *p++ = '\\';
        *p++ = c;

        if (c == 'u') {
            *p++ = '0';
            *p++ = '0';
            *p++ = ngx_lyftr_json_hex[*s >> 4];
            *p++ = ngx_lyftr_json_hex[*s & 0xf];
        }

        s++;
    }

    *p++ = '"';

    return p;
}


size_t
ngx_lyftr_json_string_len(u_char *s, size_t len)
{
    u_char  *start, *last, c;
    size_t   n;

    n = 2;
    last = s + len;

    while (s < last) {
        c = ngx_lyftr_json_escape(*s);

        if (c) {
            n += (c == 'u') ? NGX_LYFTR_JSON_UNICODE_LEN : 2;
            s++;
            continue;
        }

        start = s;

        if (ngx_lyftr_utf8_decode(&s, last) == NGX_LYFTR_UTF8_INVALID) {
            n += NGX_LYFTR_JSON_REPLACEMENT_LEN;

        } else {
            n += s - start;
        }
    }

    return n;
}


static ngx_inline u_char
ngx_lyftr_json_escape(u_char c)
{
    if (c < 0x20) {
        return ngx_lyftr_json_controls[c];
    }

    return (c == '"' || c == '\\') ? c : 0;
}


u_char *
ngx_lyftr_json_int(u_char *p, int64_t n)
{
    u_char    buf[NGX_INT64_LEN], *last;
    uint64_t  u;

    u = (uint64_t) n;

    if (n < 0) {
        *p++ = '-';
        u = 0 - u;
    }

    last = buf + NGX_INT64_LEN;

    do {
        *--last = (u_char) ('0' + u % 10);
        u /= 10;
    } while (u);

    return ngx_cpymem(p, last, buf + NGX_INT64_LEN - last);
}


ngx_uint_t
ngx_lyftr_json_broken(u_char *p, u_char *last)
{
    ngx_uint_t  kind;

    for ( ;; ) {
        p = memchr(p, '\\', last - p);

        if (p == NULL) {
            return 0;
        }

        if (p[1] != 'u') {
            p += 2;
            continue;
        }

        kind = ngx_lyftr_json_surrogate(p);
        p += NGX_LYFTR_JSON_UNICODE_LEN;

        if (kind == NGX_LYFTR_JSON_NO_SURROGATE) {
            continue;
        }

        if (kind == NGX_LYFTR_JSON_LOW
            || p[0] != '\\'
            || p[1] != 'u'
            || ngx_lyftr_json_surrogate(p) != NGX_LYFTR_JSON_LOW)
        {
            return 1;
        }

        p += NGX_LYFTR_JSON_UNICODE_LEN;
    }
}


/* of \uXXXX: D8 to DB begin the high surrogates, DC to DF the low ones */

static ngx_uint_t
ngx_lyftr_json_surrogate(u_char *p)
{
    u_char  c;

    if (p[2] != 'd' && p[2] != 'D') {
        return NGX_LYFTR_JSON_NO_SURROGATE;
    }

    c = p[3] | 0x20;

    if (c == '8' || c == '9' || c == 'a' || c == 'b') {
        return NGX_LYFTR_JSON_HIGH;
    }

    return (c >= 'c') ? NGX_LYFTR_JSON_LOW : NGX_LYFTR_JSON_NO_SURROGATE;
}

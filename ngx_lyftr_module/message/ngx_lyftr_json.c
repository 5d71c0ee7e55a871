
#include <ngx_lyftr_text.h>


#define NGX_LYFTR_JSON_REPLACEMENT      "\xef\xbf\xbd"
#define NGX_LYFTR_JSON_REPLACEMENT_LEN  3
#define NGX_LYFTR_JSON_UNICODE_LEN      6

/* of the bytes of a word */
#define NGX_LYFTR_JSON_EACH             0x0101010101010101ULL
#define NGX_LYFTR_JSON_HIGH_BITS        0x8080808080808080ULL


static u_char *ngx_lyftr_json_unicode(u_char *p, u_char **s, u_char *last,
    uint32_t nul, ngx_uint_t *lone);
static uint32_t ngx_lyftr_json_unit(u_char *s);
static u_char *ngx_lyftr_json_utf8(u_char *p, uint32_t c);
static ngx_inline u_char ngx_lyftr_json_escape(u_char c);
static ngx_inline ngx_uint_t ngx_lyftr_json_plain(u_char *s, u_char *last,
    uint64_t *word);


/* the letter behind the backslash for each control character */

static u_char  ngx_lyftr_json_controls[] = "uuuuuuuubtnufruuuuuuuuuuuuuuuuuu";

static u_char  ngx_lyftr_json_hex[] = "0123456789abcdef";


u_char *
ngx_lyftr_json_string(u_char *p, u_char *s, size_t len)
{
    u_char    *start, *last, c;
    uint64_t   word;

    last = s + len;

    *p++ = '"';

    while (s < last) {

        if (ngx_lyftr_json_plain(s, last, &word)) {
            p = ngx_cpymem(p, &word, sizeof(word));
            s += sizeof(word);
            continue;
        }

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
    u_char    *start, *last, c;
    size_t     n;
    uint64_t   word;

    n = 2;
    last = s + len;

    while (s < last) {

        if (ngx_lyftr_json_plain(s, last, &word)) {
            n += sizeof(word);
            s += sizeof(word);
            continue;
        }

        c = ngx_lyftr_json_escape(*s);

        if (c) {
            n += (c == 'u') ? NGX_LYFTR_JSON_UNICODE_LEN : 2;
            s++;
            continue;
        }

        if (*s < 0x80) {
            n++;
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


/*
 * Does a string have the next eight bytes as they are?  One that is less than
 * what is taken from it has its high bit set then, and so may those above it,
 * by the borrow; but the answer is known by then.
 */

static ngx_inline ngx_uint_t
ngx_lyftr_json_plain(u_char *s, u_char *last, uint64_t *word)
{
    uint64_t  w;

    if (last - s < (ssize_t) sizeof(uint64_t)) {
        return 0;
    }

    ngx_memcpy(&w, s, sizeof(uint64_t));

    *word = w;

    return ((w
             | (w - NGX_LYFTR_JSON_EACH * 0x20)
             | ((w ^ NGX_LYFTR_JSON_EACH * '"') - NGX_LYFTR_JSON_EACH)
             | ((w ^ NGX_LYFTR_JSON_EACH * '\\') - NGX_LYFTR_JSON_EACH))
            & NGX_LYFTR_JSON_HIGH_BITS)
           == 0;
}


size_t
ngx_lyftr_json_decode(u_char *buf, u_char *s, size_t len, uint32_t nul,
    ngx_uint_t *lone)
{
    u_char  *p, *last, *next;

    p = buf;
    last = s + len;
    *lone = 0;

    for ( ;; ) {
        next = memchr(s, '\\', last - s);

        if (next == NULL) {
            return ngx_cpymem(p, s, last - s) - buf;
        }

        p = ngx_cpymem(p, s, next - s);
        s = next + 2;

        switch (next[1]) {

        case 'b':
            *p++ = '\b';
            break;

        case 'f':
            *p++ = '\f';
            break;

        case 'n':
            *p++ = '\n';
            break;

        case 'r':
            *p++ = '\r';
            break;

        case 't':
            *p++ = '\t';
            break;

        case 'u':
            p = ngx_lyftr_json_unicode(p, &s, last, nul, lone);
            break;

        default: /* a quote, a backslash, a slash */
            *p++ = next[1];
        }
    }
}


/* *s is behind the u */

static u_char *
ngx_lyftr_json_unicode(u_char *p, u_char **s, u_char *last, uint32_t nul,
    ngx_uint_t *lone)
{
    uint32_t  c, low;

    c = ngx_lyftr_json_unit(*s);
    *s += 4;

    if (c == 0) {
        return ngx_lyftr_json_utf8(p, nul);
    }

    if (c < 0xd800 || c > 0xdfff) {
        return ngx_lyftr_json_utf8(p, c);
    }

    if (c < 0xdc00
        && last - *s >= NGX_LYFTR_JSON_UNICODE_LEN
        && (*s)[0] == '\\'
        && (*s)[1] == 'u')
    {
        low = ngx_lyftr_json_unit(*s + 2);

        if (low >= 0xdc00 && low <= 0xdfff) {
            *s += NGX_LYFTR_JSON_UNICODE_LEN;

            return ngx_lyftr_json_utf8(p, 0x10000 + ((c - 0xd800) << 10)
                                          + (low - 0xdc00));
        }
    }

    *lone = 1;

    return ngx_cpymem(p, NGX_LYFTR_JSON_REPLACEMENT,
                      NGX_LYFTR_JSON_REPLACEMENT_LEN);
}


static uint32_t
ngx_lyftr_json_unit(u_char *s)
{
    return (uint32_t) (ngx_lyftr_hex(s[0]) << 12 | ngx_lyftr_hex(s[1]) << 8
                       | ngx_lyftr_hex(s[2]) << 4 | ngx_lyftr_hex(s[3]));
}


static u_char *
ngx_lyftr_json_utf8(u_char *p, uint32_t c)
{
    if (c < 0x80) {
        *p++ = (u_char) c;
        return p;
    }

    if (c < 0x800) {
        *p++ = (u_char) (0xc0 | c >> 6);

    } else {

        if (c < 0x10000) {
            *p++ = (u_char) (0xe0 | c >> 12);

        } else {
            *p++ = (u_char) (0xf0 | c >> 18);
            *p++ = (u_char) (0x80 | (c >> 12 & 0x3f));
        }

        *p++ = (u_char) (0x80 | (c >> 6 & 0x3f));
    }

    *p++ = (u_char) (0x80 | (c & 0x3f));

    return p;
}


/* white space of JSON is no part of a token but of strings */

size_t
ngx_lyftr_json_minify(u_char *buf, u_char *s, size_t len)
{
    size_t       i, n;
    ngx_uint_t   string, escaped;

    string = 0;
    escaped = 0;

    for (i = 0, n = 0; i < len; i++) {

        if (string) {
            if (escaped) {
                escaped = 0;

            } else if (s[i] == '\\') {
                escaped = 1;

            } else if (s[i] == '"') {
                string = 0;
            }

        } else if (s[i] == '"') {
            string = 1;

        } else if (s[i] == ' ' || s[i] == '\t' || s[i] == '\n'
                   || s[i] == '\r')
        {
            continue;
        }

        if (buf) {
            buf[n] = s[i];
        }

        n++;
    }

    return n;
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

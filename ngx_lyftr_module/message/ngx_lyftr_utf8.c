
#include <ngx_lyftr_text.h>


#define NGX_LYFTR_UTF8_HIGH_BITS   0x8080808080808080ULL


static ngx_inline u_char *ngx_lyftr_utf8_skip_ascii(u_char *p, u_char *last);


uint32_t
ngx_lyftr_utf8_decode(u_char **p, u_char *last)
{
    u_char    *s, c;
    uint32_t   u, min;
    ngx_int_t  i, n;

    c = *(*p)++;

    if (c < 0x80) {
        return c;
    }

    if (c >= 0xc2 && c <= 0xdf) {
        n = 1;
        u = c & 0x1f;
        min = 0x80;

    } else if (c >= 0xe0 && c <= 0xef) {
        n = 2;
        u = c & 0x0f;
        min = 0x800;

    } else if (c >= 0xf0 && c <= 0xf4) {
        n = 3;
        u = c & 0x07;
        min = 0x10000;

    } else {
        return NGX_LYFTR_UTF8_INVALID;
    }

    s = *p;

    if (last - s < n) {
        return NGX_LYFTR_UTF8_INVALID;
    }

    for (i = 0; i < n; i++) {

        if ((s[i] & 0xc0) != 0x80) {
            return NGX_LYFTR_UTF8_INVALID;
        }

        u = (u << 6) | (s[i] & 0x3f);
    }

    if (u < min || u > 0x10ffff || (u >= 0xd800 && u <= 0xdfff)) {
        return NGX_LYFTR_UTF8_INVALID;
    }

    *p += n;

    return u;
}


size_t
ngx_lyftr_utf8_valid(u_char *s, size_t len)
{
    u_char  *p, *start, *last;

    p = s;
    last = s + len;

    for ( ;; ) {
        p = ngx_lyftr_utf8_skip_ascii(p, last);

        if (p == last) {
            return len;
        }

        start = p;

        if (ngx_lyftr_utf8_decode(&p, last) == NGX_LYFTR_UTF8_INVALID) {
            return start - s;
        }
    }
}


static ngx_inline u_char *
ngx_lyftr_utf8_skip_ascii(u_char *p, u_char *last)
{
    uint64_t  word;

    while (last - p >= (ssize_t) sizeof(uint64_t)) {
        ngx_memcpy(&word, p, sizeof(uint64_t));

        if (word & NGX_LYFTR_UTF8_HIGH_BITS) {
            break;
        }

        p += sizeof(uint64_t);
    }

    while (p < last && *p < 0x80) {
        p++;
    }

    return p;
}


size_t
ngx_lyftr_utf8_count(u_char *s, size_t len)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < len; i++) {
        n += (s[i] & 0xc0) != 0x80;
    }

    return n;
}


size_t
ngx_lyftr_utf8_cut(u_char *s, size_t len, size_t max)
{
    u_char  *p;
    size_t   n;

    if (len <= max) {
        return len;
    }

    n = max;

    while (n > 0 && max - n < 3 && (s[n] & 0xc0) == 0x80) {
        n--;
    }

    p = s + n;

    (void) ngx_lyftr_utf8_decode(&p, s + len);

    /* stray bytes before max are no character to be kept whole */

    return (p > s + max) ? n : max;
}

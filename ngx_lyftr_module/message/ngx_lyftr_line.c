
#include <ngx_lyftr_text.h>


/*
 * An item on one line, whatever its reader takes for the end of a line: U+0085,
 * U+2028 and U+2029 are escaped.  They stand in strings only.
 */

#define NGX_LYFTR_LINE_ESCAPE      (sizeof("\\u2028") - 1)

/* the most that a byte of one grows to: U+0085 has two */
#define NGX_LYFTR_LINE_GROWTH      3


static size_t ngx_lyftr_line_break(u_char *p, u_char *last);
static size_t ngx_lyftr_line_growth(ngx_str_t *s);


size_t
ngx_lyftr_line_len(ngx_lyftr_message_t *m, ngx_lyftr_position_t *position,
    ngx_uint_t fields)
{
    return ngx_lyftr_item_len(m, position, fields)
           + ngx_lyftr_line_growth(&m->message_id)
           + ngx_lyftr_line_growth(&m->from)
           + ngx_lyftr_line_growth(&m->to)
           + ngx_lyftr_line_growth(&m->ts)
           + ngx_lyftr_line_growth(&m->text)
           + ngx_lyftr_line_growth(&m->type)
           + ngx_lyftr_line_growth(&m->raw)
           + ngx_lyftr_line_growth(&m->created_at);
}


size_t
ngx_lyftr_line_room(ngx_lyftr_message_t *m)
{
    return NGX_LYFTR_JSON_GROWTH
           * (m->message_id.len + m->from.len + m->to.len + m->ts.len
              + m->text.len + m->type.len + m->created_at.len)
           + NGX_LYFTR_LINE_GROWTH * m->raw.len
           + NGX_LYFTR_CURSOR_LEN
           + NGX_LYFTR_FIELDS * sizeof("\"message_id\":\"\",");
}


u_char *
ngx_lyftr_line_write(u_char *p, ngx_lyftr_message_t *m,
    ngx_lyftr_position_t *position, ngx_uint_t fields)
{
    u_char      *s, *last, *dst;
    size_t       n, growth;
    ngx_str_t    item;

    last = ngx_lyftr_item_write(p, m, position, fields);

    item.data = p;
    item.len = last - p;

    growth = ngx_lyftr_line_growth(&item);

    if (growth == 0) {
        return last;
    }

    /* there is room behind it: it is moved there, and written again */

    s = p + growth;
    ngx_memmove(s, p, item.len);
    last += growth;

    for (dst = p; s < last; s += n) {
        n = ngx_lyftr_line_break(s, last);

        if (n == 0) {
            n = 1;
            *dst++ = *s;
            continue;
        }

        dst = ngx_cpymem(dst, n == 2 ? "\\u0085"
                              : s[2] == 0xa8 ? "\\u2028" : "\\u2029",
                         NGX_LYFTR_LINE_ESCAPE);
    }

    return dst;
}


/* the length of one that begins here, or 0 */

static size_t
ngx_lyftr_line_break(u_char *p, u_char *last)
{
    if (*p == 0xc2 && last - p > 1 && p[1] == 0x85) {
        return 2;
    }

    if (*p == 0xe2 && last - p > 2 && p[1] == 0x80
        && (p[2] == 0xa8 || p[2] == 0xa9))
    {
        return 3;
    }

    return 0;
}


static size_t
ngx_lyftr_line_growth(ngx_str_t *s)
{
    u_char  *p, *last;
    size_t   n, growth;

    growth = 0;
    last = s->data + s->len;

    /* few texts have any of these */

    if (s->len == 0
        || (memchr(s->data, 0xc2, s->len) == NULL
            && memchr(s->data, 0xe2, s->len) == NULL))
    {
        return 0;
    }

    for (p = s->data; p < last; p++) {

        if (*p < 0xc2 || *p > 0xe2) {
            continue;
        }

        n = ngx_lyftr_line_break(p, last);

        if (n) {
            growth += NGX_LYFTR_LINE_ESCAPE - n;
        }
    }

    return growth;
}

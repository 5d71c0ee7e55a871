#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>


/*
 * Keys that compare as bytes do.  That of the time is an instant and the id:
 *
 *     01, the nine bytes of an instant, message_id
 *     00, a ts that is none, 00 00, message_id
 *
 * and that of a sender is the sender, 00 00, and the key of the time.  A zero
 * inside of a part that another follows is 00 ff.
 */


static u_char *ngx_lyftr_key_part(u_char *p, ngx_str_t *s);


size_t
ngx_lyftr_key_len(ngx_lyftr_sqlite_row_t *row)
{
    return 2 * row->from.len + 2
           + 1 + ngx_max(sizeof(((ngx_lyftr_instant_t *) 0)->data),
                         2 * row->instant.len + 2)
           + row->message_id.len;
}


u_char *
ngx_lyftr_key_sender(u_char *p, ngx_str_t *from)
{
    return ngx_lyftr_key_part(p, from);
}


u_char *
ngx_lyftr_key_instant(u_char *p, ngx_str_t *instant)
{
    size_t  max;

    max = sizeof(((ngx_lyftr_instant_t *) 0)->data);

    *p++ = NGX_LYFTR_KEY_INSTANT;

    ngx_memzero(p, max);
    ngx_memcpy(p, instant->data, ngx_min(instant->len, max));

    return p + max;
}


u_char *
ngx_lyftr_key_time(u_char *p, ngx_lyftr_sqlite_row_t *row)
{
    if (row->text) {
        *p++ = NGX_LYFTR_KEY_TEXT;
        p = ngx_lyftr_key_part(p, &row->instant);

    } else {
        p = ngx_lyftr_key_instant(p, &row->instant);
    }

    return ngx_cpymem(p, row->message_id.data, row->message_id.len);
}


static u_char *
ngx_lyftr_key_part(u_char *p, ngx_str_t *s)
{
    size_t  i;

    for (i = 0; i < s->len; i++) {
        *p++ = s->data[i];

        if (s->data[i] == 0) {
            *p++ = 0xff;
        }
    }

    *p++ = 0;
    *p++ = 0;

    return p;
}


ngx_int_t
ngx_lyftr_key_read(ngx_str_t *part, ngx_lyftr_buf_t *buf,
    ngx_str_t *from)
{
    size_t   i, len;
    u_char  *p;

    p = part->data;
    len = part->len - 2;

    from->data = p;
    from->len = len;

    if (len == 0 || memchr(p, 0, len) == NULL) {
        return NGX_OK;
    }

    buf->len = 0;

    if (ngx_lyftr_buf_reserve(buf, len) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < len; i++) {
        buf->data[buf->len++] = p[i];

        /* the byte after a zero only keeps the order */
        i += (p[i] == 0);
    }

    from->data = buf->data;
    from->len = buf->len;

    return NGX_OK;
}

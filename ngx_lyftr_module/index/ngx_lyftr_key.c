#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_index.h>
#include <ngx_lyftr_message.h>


/*
 * Keys that compare as bytes do.  That of an id is its hash, big endian; that
 * of the time is an instant and the id:
 *
 *     01, the nine bytes of an instant, message_id
 *     00, a ts that is none, 00 00, message_id
 *
 * and that of a sender is the sender, 00 00, and the key of the time.  A zero
 * inside of a part that another follows is 00 ff.
 */


static size_t ngx_lyftr_key_id(u_char *p, ngx_lyftr_row_t *row);
static size_t ngx_lyftr_key_from(u_char *p, ngx_lyftr_row_t *row);
static size_t ngx_lyftr_key_time_len(ngx_lyftr_row_t *row);
static u_char *ngx_lyftr_key_part(u_char *p, ngx_str_t *s);


/*
 * Which trees there are, in the order of ngx_lyftr_tree_e: another order is a
 * row more.  Segments that were made before have to be made anew.
 */

ngx_lyftr_tree_t  ngx_lyftr_trees[] = {
    { ngx_string("id"), ngx_lyftr_key_id, 0 },
    { ngx_string("time"), NULL, 1 },
    { ngx_string("sender"), ngx_lyftr_key_from, 1 }
};


size_t
ngx_lyftr_key_len(ngx_lyftr_row_t *row)
{
    size_t             len, time;
    ngx_uint_t         i;
    ngx_lyftr_tree_t  *tree;

    len = 0;
    time = ngx_lyftr_key_time_len(row);

    for (i = 0; i < NGX_LYFTR_TREES; i++) {
        tree = &ngx_lyftr_trees[i];

        len += tree->head ? tree->head(NULL, row) : 0;
        len += tree->time ? time : 0;
    }

    return len;
}


/*
 * A tree without a head has its keys where another one has them, behind its
 * head; the id ends them all.
 */

ngx_int_t
ngx_lyftr_key_row(ngx_lyftr_row_t *row, ngx_lyftr_buf_t *keys,
    ngx_lyftr_memtable_row_t *to)
{
    u_char            *p, *time, *end;
    ngx_uint_t         i;
    ngx_lyftr_tree_t  *tree;

    if (ngx_lyftr_buf_reserve(keys, ngx_lyftr_key_len(row)) != NGX_OK) {
        return NGX_ERROR;
    }

    p = keys->data + keys->len;
    time = NULL;
    end = NULL;

    to->seq = row->seq;
    to->hash = row->hash;
    to->key = p;

    for (i = 0; i < NGX_LYFTR_TREES; i++) {
        tree = &ngx_lyftr_trees[i];

        if (tree->head == NULL) {
            continue;
        }

        to->at[i] = p - to->key;

        p += tree->head(p, row);

        if (tree->time) {
            time = p;
            end = p = ngx_lyftr_key_time(p, row);
        }

        to->len[i] = p - to->key - to->at[i];
    }

    for (i = 0; i < NGX_LYFTR_TREES; i++) {

        if (ngx_lyftr_trees[i].head == NULL) {
            to->at[i] = time - to->key;
            to->len[i] = end - time;
        }
    }

    to->size = p - to->key;
    to->nid = row->message_id.len;
    to->id = end - to->key - to->nid;

    keys->len = p - keys->data;

    return NGX_OK;
}


static size_t
ngx_lyftr_key_id(u_char *p, ngx_lyftr_row_t *row)
{
    if (p) {
        ngx_lyftr_key_hash(p, row->hash);
    }

    return sizeof(uint64_t);
}


static size_t
ngx_lyftr_key_from(u_char *p, ngx_lyftr_row_t *row)
{
    return p ? (size_t) (ngx_lyftr_key_part(p, &row->from) - p)
             : 2 * row->from.len + 2;
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


static size_t
ngx_lyftr_key_time_len(ngx_lyftr_row_t *row)
{
    return 1 + ngx_max(sizeof(((ngx_lyftr_instant_t *) 0)->data),
                       2 * row->instant.len + 2)
           + row->message_id.len;
}


u_char *
ngx_lyftr_key_time(u_char *p, ngx_lyftr_row_t *row)
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


/* it ends with two zeros */

size_t
ngx_lyftr_key_part_len(u_char *key, size_t len)
{
    size_t  i;

    for (i = 0; i + 1 < len; i++) {

        if (key[i]) {
            continue;
        }

        if (key[++i] == 0) {
            return i + 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_lyftr_key_read(ngx_str_t *part, ngx_lyftr_buf_t *buf, ngx_str_t *from)
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

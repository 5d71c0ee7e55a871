#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres.h>
#include <ngx_lyftr_message.h>


/*
 * Values in PostgreSQL's binary formats: integers are big endian, and an array
 * of one dimension is
 *
 *     4    dimensions
 *     4    are there nulls
 *     4    the type of the elements
 *     4    how many
 *     4    the number of the first
 *
 * and the elements, each after its length, which is -1 of a null.
 */

#define NGX_LYFTR_POSTGRES_ARRAY   20


ngx_int_t
ngx_lyftr_postgres_reserve(ngx_lyftr_postgres_buf_t *buf, size_t len)
{
    size_t   size;
    u_char  *p;

    if (buf->size - buf->len >= len) {
        return NGX_OK;
    }

    size = ngx_max(2 * buf->size, buf->len + len);
    size = ngx_max(size, 1024);

    p = realloc(buf->data, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    buf->data = p;
    buf->size = size;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_postgres_add(ngx_lyftr_postgres_buf_t *buf, const void *p,
    size_t len)
{
    if (ngx_lyftr_postgres_reserve(buf, len) != NGX_OK) {
        return NGX_ERROR;
    }

    if (len) {
        ngx_memcpy(buf->data + buf->len, p, len);
        buf->len += len;
    }

    return NGX_OK;
}


void
ngx_lyftr_postgres_free(ngx_lyftr_postgres_buf_t *buf)
{
    free(buf->data);

    ngx_memzero(buf, sizeof(ngx_lyftr_postgres_buf_t));
}


u_char *
ngx_lyftr_postgres_put(u_char *p, uint64_t n, size_t len)
{
    while (len--) {
        *p++ = (u_char) (n >> 8 * len);
    }

    return p;
}


uint64_t
ngx_lyftr_postgres_get(const u_char *p, size_t len)
{
    uint64_t  n;

    for (n = 0; len; len--) {
        n = n << 8 | *p++;
    }

    return n;
}


ngx_int_t
ngx_lyftr_postgres_array(ngx_lyftr_postgres_buf_t *buf, uint32_t oid,
    ngx_uint_t n)
{
    u_char  *p;

    if (ngx_lyftr_postgres_reserve(buf, NGX_LYFTR_POSTGRES_ARRAY) != NGX_OK) {
        return NGX_ERROR;
    }

    p = buf->data + buf->len;

    /* an empty array has no dimension */

    p = ngx_lyftr_postgres_put(p, n ? 1 : 0, 4);
    p = ngx_lyftr_postgres_put(p, 1, 4);
    p = ngx_lyftr_postgres_put(p, oid, 4);

    if (n) {
        p = ngx_lyftr_postgres_put(p, n, 4);
        p = ngx_lyftr_postgres_put(p, 1, 4);
    }

    buf->len = p - buf->data;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_postgres_element(ngx_lyftr_postgres_buf_t *buf, ngx_str_t *s)
{
    u_char  *p;

    if (ngx_lyftr_postgres_reserve(buf, 4 + s->len) != NGX_OK) {
        return NGX_ERROR;
    }

    p = buf->data + buf->len;

    if (s->data == NULL) {
        p = ngx_lyftr_postgres_put(p, 0xffffffff, 4);

    } else {
        p = ngx_lyftr_postgres_put(p, s->len, 4);
        p = ngx_cpymem(p, s->data, s->len);
    }

    buf->len = p - buf->data;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_postgres_ints(ngx_lyftr_postgres_buf_t *buf, int64_t *n,
    ngx_uint_t count)
{
    u_char      data[8];
    ngx_str_t   s;
    ngx_uint_t  i;

    s.data = data;
    s.len = sizeof(data);

    if (ngx_lyftr_postgres_array(buf, NGX_LYFTR_OID_INT8, count) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < count; i++) {
        (void) ngx_lyftr_postgres_put(data, (uint64_t) n[i], sizeof(data));

        if (ngx_lyftr_postgres_element(buf, &s) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * At a number of characters: where a text is cut at a number of bytes, it would
 * not sort as it does, for a character there is on both sides.
 */

size_t
ngx_lyftr_postgres_cut(ngx_str_t *s)
{
    u_char      *p, *last;
    ngx_uint_t   n;

    if (s->len <= NGX_LYFTR_POSTGRES_KEY) {
        return s->len;
    }

    p = s->data;
    last = p + s->len;

    for (n = 0; n < NGX_LYFTR_POSTGRES_KEY && p < last; n++) {
        (void) ngx_lyftr_utf8_decode(&p, last);
    }

    return p - s->data;
}


void
ngx_lyftr_postgres_arg_int(ngx_lyftr_postgres_args_t *args, int64_t n)
{
    u_char  *p;

    p = args->number[args->n];

    (void) ngx_lyftr_postgres_put(p, (uint64_t) n, 8);

    ngx_lyftr_postgres_arg(args, p, 8);
}


void
ngx_lyftr_postgres_arg_str(ngx_lyftr_postgres_args_t *args, ngx_str_t *s)
{
    ngx_lyftr_postgres_arg(args, s->data, s->len);
}


/* an address of what is empty, too: without one it would be null */

void
ngx_lyftr_postgres_arg(ngx_lyftr_postgres_args_t *args, const void *p,
    size_t len)
{
    args->value[args->n] = (p == NULL && len == 0) ? NULL : (const char *) p;
    args->len[args->n] = (int) len;
    args->n++;
}

#include <ngx_lyftr_block.h>

#include <sqlite3.h>


#define NGX_LYFTR_BLOCK_NUMBER     10      /* bytes of the longest number */


static u_char *ngx_lyftr_block_write(u_char *p, uint64_t n);
static ngx_int_t ngx_lyftr_block_read(ngx_lyftr_block_t *block, uint64_t *n);


ngx_int_t
ngx_lyftr_buf_reserve(ngx_lyftr_buf_t *buf, size_t len)
{
    u_char  *p;
    size_t   max;

    if (buf->max - buf->len >= len) {
        return NGX_OK;
    }

    max = ngx_max(2 * buf->max, buf->len + len);

    p = sqlite3_realloc64(buf->data, max);
    if (p == NULL) {
        return NGX_ERROR;
    }

    buf->data = p;
    buf->max = max;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_buf_add(ngx_lyftr_buf_t *buf, const void *p, size_t len)
{
    if (ngx_lyftr_buf_reserve(buf, len) != NGX_OK) {
        return NGX_ERROR;
    }

    if (len) {
        ngx_memcpy(buf->data + buf->len, p, len);
        buf->len += len;
    }

    return NGX_OK;
}


void
ngx_lyftr_buf_free(ngx_lyftr_buf_t *buf)
{
    sqlite3_free(buf->data);

    ngx_memzero(buf, sizeof(ngx_lyftr_buf_t));
}


ngx_int_t
ngx_lyftr_block_begin(ngx_lyftr_buf_t *block, int64_t first)
{
    block->len = 0;

    if (ngx_lyftr_buf_reserve(block, NGX_LYFTR_BLOCK_LEN) != NGX_OK) {
        return NGX_ERROR;
    }

    block->len = ngx_lyftr_block_write(block->data, (uint64_t) first)
                 - block->data;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_block_add(ngx_lyftr_buf_t *block, ngx_lyftr_buf_t *prev,
    u_char *key, size_t len, int64_t value)
{
    u_char  *p;
    size_t   shared, max;

    shared = 0;
    max = prev ? ngx_min(prev->len, len) : 0;

    while (shared < max && prev->data[shared] == key[shared]) {
        shared++;
    }

    if (ngx_lyftr_buf_reserve(block, 3 * NGX_LYFTR_BLOCK_NUMBER + len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = block->data + block->len;

    p = ngx_lyftr_block_write(p, shared);
    p = ngx_lyftr_block_write(p, len - shared);

    if (len > shared) {
        p = ngx_cpymem(p, key + shared, len - shared);
    }

    p = ngx_lyftr_block_write(p, (uint64_t) value);

    block->len = p - block->data;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_block_open(ngx_lyftr_block_t *block, u_char *data, size_t len)
{
    uint64_t  n;

    block->p = data;
    block->last = data + len;
    block->key.len = 0;

    if (ngx_lyftr_block_read(block, &n) != NGX_OK) {
        return NGX_DECLINED;
    }

    block->first = (int64_t) n;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_block_next(ngx_lyftr_block_t *block)
{
    uint64_t  shared, len, value;

    if (block->p == block->last) {
        return NGX_DONE;
    }

    if (ngx_lyftr_block_read(block, &shared) != NGX_OK
        || ngx_lyftr_block_read(block, &len) != NGX_OK
        || shared > block->key.len
        || len > (uint64_t) (block->last - block->p))
    {
        return NGX_DECLINED;
    }

    block->key.len = shared;

    if (ngx_lyftr_buf_add(&block->key, block->p, len) != NGX_OK) {
        return NGX_ERROR;
    }

    block->p += len;

    if (ngx_lyftr_block_read(block, &value) != NGX_OK) {
        return NGX_DECLINED;
    }

    block->value = (int64_t) value;

    return NGX_OK;
}


/* seven bits a byte, the lowest first */

static u_char *
ngx_lyftr_block_write(u_char *p, uint64_t n)
{
    while (n >= 0x80) {
        *p++ = (u_char) (n | 0x80);
        n >>= 7;
    }

    *p++ = (u_char) n;

    return p;
}


static ngx_int_t
ngx_lyftr_block_read(ngx_lyftr_block_t *block, uint64_t *n)
{
    u_char      c;
    ngx_uint_t  shift;

    *n = 0;

    for (shift = 0; shift < 64 && block->p < block->last; shift += 7) {
        c = *block->p++;
        *n |= (uint64_t) (c & 0x7f) << shift;

        if (c < 0x80) {
            return NGX_OK;
        }
    }

    return NGX_ERROR;
}

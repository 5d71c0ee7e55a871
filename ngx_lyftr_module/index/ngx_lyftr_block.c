#include <ngx_lyftr_block.h>


#define NGX_LYFTR_BLOCK_NUMBER     10      /* bytes of the longest number */


/* an entry, by where its parts are */

typedef struct {
    u_char              *own;              /* what of the key is not shared */
    u_char              *end;
    size_t               shared;
    size_t               len;              /* of the key */
    int64_t              value;
} ngx_lyftr_block_mark_t;


static ngx_int_t ngx_lyftr_block_entry(ngx_lyftr_block_t *block,
    ngx_lyftr_block_mark_t *mark);
static ngx_int_t ngx_lyftr_block_back(ngx_lyftr_block_t *block,
    ngx_lyftr_block_mark_t *mark, size_t kept);
static ngx_int_t ngx_lyftr_block_marks(ngx_lyftr_block_t *block, u_char *to);
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

    p = realloc(buf->data, max);
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
    free(buf->data);

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
ngx_lyftr_block_add(ngx_lyftr_buf_t *block, ngx_lyftr_buf_t *prev, u_char *key,
    size_t len, int64_t value)
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
    block->n = 0;
    block->marks.len = 0;

    if (ngx_lyftr_block_read(block, &n) != NGX_OK) {
        return NGX_DECLINED;
    }

    block->first = (int64_t) n;
    block->entries = block->p;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_block_next(ngx_lyftr_block_t *block)
{
    ngx_int_t               rc;
    ngx_lyftr_block_mark_t  mark;

    mark.len = block->key.len;

    rc = ngx_lyftr_block_entry(block, &mark);

    if (rc != NGX_OK) {
        return rc;
    }

    block->key.len = mark.shared;

    if (ngx_lyftr_buf_add(&block->key, mark.own, mark.len - mark.shared)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    block->value = mark.value;
    block->n++;

    return NGX_OK;
}


/* the entry at p; mark has the length of the key before */

static ngx_int_t
ngx_lyftr_block_entry(ngx_lyftr_block_t *block, ngx_lyftr_block_mark_t *mark)
{
    uint64_t  shared, len, value;

    if (block->p == block->last) {
        return NGX_DONE;
    }

    if (ngx_lyftr_block_read(block, &shared) != NGX_OK
        || ngx_lyftr_block_read(block, &len) != NGX_OK
        || shared > mark->len
        || len > (uint64_t) (block->last - block->p))
    {
        return NGX_DECLINED;
    }

    mark->own = block->p;
    mark->shared = shared;
    mark->len = shared + len;

    block->p += len;

    if (ngx_lyftr_block_read(block, &value) != NGX_OK) {
        return NGX_DECLINED;
    }

    mark->end = block->p;
    mark->value = (int64_t) value;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_block_prev(ngx_lyftr_block_t *block)
{
    ngx_int_t                rc;
    ngx_lyftr_block_mark_t  *mark;

    if (block->n < 2) {
        return NGX_DONE;
    }

    rc = ngx_lyftr_block_marks(block, block->p);

    if (rc != NGX_OK) {
        return rc;
    }

    block->n--;

    mark = (ngx_lyftr_block_mark_t *) block->marks.data + block->n - 1;

    /* what the one after shares with it is in the key */

    return ngx_lyftr_block_back(block, mark, mark[1].shared);
}


ngx_int_t
ngx_lyftr_block_last(ngx_lyftr_block_t *block)
{
    ngx_int_t                rc;
    ngx_lyftr_block_mark_t  *mark;

    rc = ngx_lyftr_block_marks(block, block->last);

    if (rc != NGX_OK) {
        return rc;
    }

    block->n = block->marks.len / sizeof(ngx_lyftr_block_mark_t);

    if (block->n == 0) {
        return NGX_DONE;
    }

    mark = (ngx_lyftr_block_mark_t *) block->marks.data + block->n - 1;

    return ngx_lyftr_block_back(block, mark, 0);
}


/* to an entry, of whose key the block's has the first bytes */

static ngx_int_t
ngx_lyftr_block_back(ngx_lyftr_block_t *block, ngx_lyftr_block_mark_t *mark,
    size_t kept)
{
    size_t                   need, from;
    ngx_lyftr_block_mark_t  *part;

    need = mark->len;

    block->key.len = kept;

    if (ngx_lyftr_buf_reserve(&block->key, need - kept) != NGX_OK) {
        return NGX_ERROR;
    }

    for (part = mark; need > kept; part--) {

        if (part->shared < need) {
            from = ngx_max(part->shared, kept);
            ngx_memcpy(block->key.data + from,
                       part->own + (from - part->shared), need - from);
            need = from;
        }
    }

    block->key.len = mark->len;
    block->value = mark->value;
    block->p = mark->end;

    return NGX_OK;
}


/* of all entries up to there */

static ngx_int_t
ngx_lyftr_block_marks(ngx_lyftr_block_t *block, u_char *to)
{
    u_char                  *p;
    ngx_int_t                rc;
    ngx_uint_t               n;
    ngx_lyftr_block_mark_t  *last, mark;

    n = block->marks.len / sizeof(ngx_lyftr_block_mark_t);

    p = block->p;
    block->p = block->entries;
    mark.len = 0;

    if (n) {
        last = (ngx_lyftr_block_mark_t *) block->marks.data + n - 1;
        block->p = last->end;
        mark.len = last->len;
    }

    for (rc = NGX_OK; rc == NGX_OK && block->p < to; /* void */) {

        rc = ngx_lyftr_block_entry(block, &mark);

        if (rc == NGX_OK) {
            rc = ngx_lyftr_buf_add(&block->marks, &mark, sizeof(mark));
        }
    }

    block->p = p;

    return rc;
}


void
ngx_lyftr_block_free(ngx_lyftr_block_t *block)
{
    ngx_lyftr_buf_free(&block->key);
    ngx_lyftr_buf_free(&block->marks);
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

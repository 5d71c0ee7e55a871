/* What holds the blocks and rows of an index: arrays in memory, in order. */

#ifndef _UNIT_BLOCKS_H_INCLUDED_
#define _UNIT_BLOCKS_H_INCLUDED_


#include <ngx_lyftr_index.h>


typedef struct {
    int64_t              no;
    size_t               len;
    u_char              *p;
} unit_block_t;


typedef struct {
    unit_block_t        *blocks;
    size_t               n;
    size_t               max;
} unit_blocks_t;


typedef struct {
    unit_blocks_t        table[NGX_LYFTR_BLOCKS];
    ngx_lyftr_row_t     *rows;             /* their strings are the test's */
    size_t               nrows;
    ngx_uint_t           calls;
    ngx_uint_t           bad;              /* which of these fails; 0: none */
} unit_holder_t;


static ngx_inline ngx_int_t
unit_holder_fails(unit_holder_t *h, ngx_lyftr_error_t *err)
{
    if (++h->calls != h->bad) {
        return NGX_OK;
    }

    err->code = NGX_LYFTR_ERR_FULL;
    err->len = 0;

    return NGX_ERROR;
}


/* the first block whose number is not less */

static ngx_inline size_t
unit_blocks_bound(unit_blocks_t *t, int64_t no)
{
    size_t  low, high, n;

    for (low = 0, high = t->n; low < high; /* void */) {
        n = low + (high - low) / 2;

        if (t->blocks[n].no < no) {
            low = n + 1;

        } else {
            high = n;
        }
    }

    return low;
}


static ngx_inline ngx_int_t
unit_block_read(void *holder, ngx_lyftr_blocks_e table, int64_t no,
    ngx_lyftr_buf_t *buf, ngx_lyftr_error_t *err)
{
    unit_holder_t *h = holder;

    size_t          i;
    unit_blocks_t  *t;

    if (unit_holder_fails(h, err) != NGX_OK) {
        return NGX_ERROR;
    }

    t = &h->table[table];
    i = unit_blocks_bound(t, no);

    if (i == t->n || t->blocks[i].no != no) {
        return NGX_DECLINED;
    }

    buf->len = 0;

    return ngx_lyftr_buf_add(buf, t->blocks[i].p, t->blocks[i].len) == NGX_OK
           ? NGX_OK : ngx_lyftr_index_memory(err);
}


static ngx_inline ngx_int_t
unit_block_scan(void *holder, ngx_lyftr_blocks_e table, int64_t no,
    ngx_lyftr_block_pt fn, void *data, ngx_lyftr_error_t *err)
{
    unit_holder_t *h = holder;

    size_t          i;
    ngx_int_t       rc;
    unit_blocks_t  *t;

    if (unit_holder_fails(h, err) != NGX_OK) {
        return NGX_ERROR;
    }

    t = &h->table[table];
    i = unit_blocks_bound(t, no);

    if (i && (i == t->n || t->blocks[i].no != no)) {
        i--;
    }

    for (rc = NGX_OK; rc == NGX_OK && i < t->n; i++) {
        rc = fn(data, t->blocks[i].no, t->blocks[i].p, t->blocks[i].len, err);
    }

    return rc;
}


/* a block that is there already is a fault */

static ngx_inline ngx_int_t
unit_block_put(void *holder, ngx_lyftr_blocks_e table, int64_t no, u_char *p,
    size_t len, ngx_lyftr_error_t *err)
{
    unit_holder_t *h = holder;

    size_t          i;
    unit_blocks_t  *t;

    if (unit_holder_fails(h, err) != NGX_OK) {
        return NGX_ERROR;
    }

    t = &h->table[table];
    i = unit_blocks_bound(t, no);

    if (i < t->n && t->blocks[i].no == no) {
        abort();
    }

    if (t->n == t->max) {
        t->max = 2 * t->max + 64;
        t->blocks = realloc(t->blocks, t->max * sizeof(unit_block_t));
    }

    memmove(&t->blocks[i + 1], &t->blocks[i],
            (t->n - i) * sizeof(unit_block_t));
    t->n++;

    t->blocks[i].no = no;
    t->blocks[i].len = len;
    t->blocks[i].p = malloc(len + 1);
    ngx_memcpy(t->blocks[i].p, p, len);

    return NGX_OK;
}


static ngx_inline ngx_int_t
unit_block_remove(void *holder, ngx_lyftr_blocks_e table, int64_t from,
    int64_t to, ngx_uint_t max, ngx_uint_t *n, ngx_lyftr_error_t *err)
{
    unit_holder_t *h = holder;

    size_t          i, end;
    unit_blocks_t  *t;

    if (unit_holder_fails(h, err) != NGX_OK) {
        return NGX_ERROR;
    }

    t = &h->table[table];
    i = unit_blocks_bound(t, from);
    end = ngx_min(unit_blocks_bound(t, to), i + max);

    *n = end - i;

    if (*n == 0) {
        return NGX_OK;
    }

    for (end = i; end < i + *n; end++) {
        free(t->blocks[end].p);
    }

    memmove(&t->blocks[i], &t->blocks[end],
            (t->n - end) * sizeof(unit_block_t));
    t->n -= *n;

    return NGX_OK;
}


static ngx_inline ngx_int_t
unit_block_rows(void *holder, ngx_lyftr_rows_e what, int64_t after, int64_t to,
    ngx_lyftr_index_row_pt fn, void *data, ngx_lyftr_error_t *err)
{
    unit_holder_t *h = holder;

    size_t     low, high, n;
    ngx_int_t  rc;

    if (unit_holder_fails(h, err) != NGX_OK) {
        return NGX_ERROR;
    }

    for (low = 0, high = h->nrows; low < high; /* void */) {
        n = low + (high - low) / 2;

        if (h->rows[n].seq <= after) {
            low = n + 1;

        } else {
            high = n;
        }
    }

    for (rc = NGX_OK;
         rc == NGX_OK && low < h->nrows && h->rows[low].seq <= to;
         low++)
    {
        rc = fn(data, &h->rows[low], err);
    }

    return rc;
}


static const ngx_lyftr_holder_t  unit_holder = {
    unit_block_read,
    unit_block_scan,
    unit_block_put,
    unit_block_remove,
    unit_block_rows
};


static ngx_inline void
unit_holder_free(unit_holder_t *h)
{
    size_t          i;
    ngx_uint_t      n;
    unit_blocks_t  *t;

    for (n = 0; n < NGX_LYFTR_BLOCKS; n++) {
        t = &h->table[n];

        for (i = 0; i < t->n; i++) {
            free(t->blocks[i].p);
        }

        free(t->blocks);
    }

    ngx_memzero(h, sizeof(unit_holder_t));
}


#endif /* _UNIT_BLOCKS_H_INCLUDED_ */

#include <ngx_lyftr_sqlite_idset.h>

#include <sqlite3.h>


#define NGX_LYFTR_SQLITE_TAIL_MIN         1024


static ngx_int_t ngx_lyftr_sqlite_idset_grow(ngx_lyftr_sqlite_idset_t *tail);
static void ngx_lyftr_sqlite_idset_hash(ngx_lyftr_sqlite_idset_t *tail);
static void ngx_lyftr_sqlite_idset_enter(ngx_lyftr_sqlite_idset_t *tail,
    ngx_uint_t i);


ngx_int_t
ngx_lyftr_sqlite_idset_add(ngx_lyftr_sqlite_idset_t *tail, uint64_t hash,
    int64_t seq)
{
    if (tail->n == tail->max && ngx_lyftr_sqlite_idset_grow(tail) != NGX_OK) {
        return NGX_ERROR;
    }

    tail->rows[tail->n].hash = hash;
    tail->rows[tail->n].seq = seq;

    ngx_lyftr_sqlite_idset_enter(tail, tail->n++);

    return NGX_OK;
}


/* the slots are a power of two, at most half of them taken */

static ngx_int_t
ngx_lyftr_sqlite_idset_grow(ngx_lyftr_sqlite_idset_t *tail)
{
    void        *p;
    size_t       size;
    ngx_uint_t   max;

    max = tail->max ? 2 * tail->max : NGX_LYFTR_SQLITE_TAIL_MIN;

    size = sizeof(ngx_lyftr_sqlite_idset_row_t);

    p = sqlite3_realloc64(tail->rows, max * size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    tail->rows = p;

    p = sqlite3_realloc64(tail->slots, 2 * max * sizeof(uint32_t));
    if (p == NULL) {
        return NGX_ERROR;
    }

    tail->slots = p;
    tail->max = max;
    tail->mask = 2 * max - 1;

    ngx_lyftr_sqlite_idset_hash(tail);

    return NGX_OK;
}


static void
ngx_lyftr_sqlite_idset_hash(ngx_lyftr_sqlite_idset_t *tail)
{
    ngx_uint_t  i;

    ngx_memzero(tail->slots, (tail->mask + 1) * sizeof(uint32_t));

    for (i = 0; i < tail->n; i++) {
        ngx_lyftr_sqlite_idset_enter(tail, i);
    }
}


static void
ngx_lyftr_sqlite_idset_enter(ngx_lyftr_sqlite_idset_t *tail, ngx_uint_t i)
{
    ngx_uint_t  slot;

    slot = tail->rows[i].hash & tail->mask;

    while (tail->slots[slot]) {
        slot = (slot + 1) & tail->mask;
    }

    tail->slots[slot] = i + 1;
}


int64_t
ngx_lyftr_sqlite_idset_find(ngx_lyftr_sqlite_idset_t *tail, uint64_t hash,
    ngx_uint_t *slot)
{
    uint32_t               n;
    ngx_lyftr_sqlite_idset_row_t  *row;

    if (tail->n == 0) {
        return 0;
    }

    /* *slot counts the slots that were looked at */

    while ((n = tail->slots[(hash + *slot) & tail->mask]) != 0) {
        (*slot)++;

        row = &tail->rows[n - 1];

        if (row->hash == hash) {
            return row->seq;
        }
    }

    return 0;
}


void
ngx_lyftr_sqlite_idset_cut(ngx_lyftr_sqlite_idset_t *tail, int64_t first,
    ngx_uint_t n)
{
    ngx_uint_t  i;

    if (tail->max == 0) {
        return;
    }

    tail->n = ngx_min(tail->n, n);

    for (i = 0; i < tail->n && tail->rows[i].seq < first; i++) { /* void */ }

    tail->n -= i;

    ngx_memmove(tail->rows, tail->rows + i,
                tail->n * sizeof(ngx_lyftr_sqlite_idset_row_t));

    ngx_lyftr_sqlite_idset_hash(tail);
}


void
ngx_lyftr_sqlite_idset_free(ngx_lyftr_sqlite_idset_t *tail)
{
    sqlite3_free(tail->rows);
    sqlite3_free(tail->slots);

    ngx_memzero(tail, sizeof(ngx_lyftr_sqlite_idset_t));
}

#include <ngx_lyftr_sqlite_idset.h>

#include <sqlite3.h>


#define NGX_LYFTR_SQLITE_IDSET_MIN        1024


static ngx_int_t ngx_lyftr_sqlite_idset_grow(ngx_lyftr_sqlite_idset_t *ids);
static void ngx_lyftr_sqlite_idset_hash(ngx_lyftr_sqlite_idset_t *ids);
static void ngx_lyftr_sqlite_idset_enter(ngx_lyftr_sqlite_idset_t *ids,
    ngx_uint_t i);


ngx_int_t
ngx_lyftr_sqlite_idset_add(ngx_lyftr_sqlite_idset_t *ids, uint64_t hash,
    int64_t seq)
{
    if (ids->n == ids->max && ngx_lyftr_sqlite_idset_grow(ids) != NGX_OK) {
        return NGX_ERROR;
    }

    ids->rows[ids->n].hash = hash;
    ids->rows[ids->n].seq = seq;

    ngx_lyftr_sqlite_idset_enter(ids, ids->n++);

    return NGX_OK;
}


/* the slots are a power of two, at most half of them taken */

static ngx_int_t
ngx_lyftr_sqlite_idset_grow(ngx_lyftr_sqlite_idset_t *ids)
{
    void        *p;
    size_t       size;
    ngx_uint_t   max;

    max = ids->max ? 2 * ids->max : NGX_LYFTR_SQLITE_IDSET_MIN;

    size = sizeof(ngx_lyftr_sqlite_idset_row_t);

    p = sqlite3_realloc64(ids->rows, max * size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ids->rows = p;

    p = sqlite3_realloc64(ids->slots, 2 * max * sizeof(uint32_t));
    if (p == NULL) {
        return NGX_ERROR;
    }

    ids->slots = p;
    ids->max = max;
    ids->mask = 2 * max - 1;

    ngx_lyftr_sqlite_idset_hash(ids);

    return NGX_OK;
}


static void
ngx_lyftr_sqlite_idset_hash(ngx_lyftr_sqlite_idset_t *ids)
{
    ngx_uint_t  i;

    ngx_memzero(ids->slots, (ids->mask + 1) * sizeof(uint32_t));

    for (i = 0; i < ids->n; i++) {
        ngx_lyftr_sqlite_idset_enter(ids, i);
    }
}


static void
ngx_lyftr_sqlite_idset_enter(ngx_lyftr_sqlite_idset_t *ids, ngx_uint_t i)
{
    ngx_uint_t  slot;

    slot = ids->rows[i].hash & ids->mask;

    while (ids->slots[slot]) {
        slot = (slot + 1) & ids->mask;
    }

    ids->slots[slot] = i + 1;
}


int64_t
ngx_lyftr_sqlite_idset_find(ngx_lyftr_sqlite_idset_t *ids, uint64_t hash,
    ngx_uint_t *slot)
{
    uint32_t                       n;
    ngx_lyftr_sqlite_idset_row_t  *row;

    if (ids->n == 0) {
        return 0;
    }

    /* *slot counts the slots that were looked at */

    while ((n = ids->slots[(hash + *slot) & ids->mask]) != 0) {
        (*slot)++;

        row = &ids->rows[n - 1];

        if (row->hash == hash) {
            return row->seq;
        }
    }

    return 0;
}


void
ngx_lyftr_sqlite_idset_cut(ngx_lyftr_sqlite_idset_t *ids, int64_t first,
    ngx_uint_t n)
{
    ngx_uint_t  i;

    if (ids->max == 0) {
        return;
    }

    ids->n = ngx_min(ids->n, n);

    for (i = 0; i < ids->n && ids->rows[i].seq < first; i++) { /* void */ }

    ids->n -= i;

    ngx_memmove(ids->rows, ids->rows + i,
                ids->n * sizeof(ngx_lyftr_sqlite_idset_row_t));

    ngx_lyftr_sqlite_idset_hash(ids);
}


void
ngx_lyftr_sqlite_idset_free(ngx_lyftr_sqlite_idset_t *ids)
{
    sqlite3_free(ids->rows);
    sqlite3_free(ids->slots);

    ngx_memzero(ids, sizeof(ngx_lyftr_sqlite_idset_t));
}

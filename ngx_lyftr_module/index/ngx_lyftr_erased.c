#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_index.h>


/*
 * What is erased is in no list from then on, though segments of before have it
 * until they are made anew.  All rows of a sender stand together in each tree
 * of senders, in the order of the time: so that part of a tree is what is to be
 * taken off, and nothing has to be made for it, however much it is.
 */

static ngx_int_t ngx_lyftr_erased_sender(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_t *sources, ngx_lyftr_erased_t *erased,
    ngx_lyftr_segment_t *segment, ngx_lyftr_tree_e kind,
    ngx_lyftr_error_t *err);
static ngx_lyftr_segment_t *ngx_lyftr_erased_segment(ngx_lyftr_index_t *index,
    int64_t seq);


ngx_int_t
ngx_lyftr_erased_sort(ngx_lyftr_index_t *index, ngx_lyftr_erased_t *erased,
    ngx_lyftr_memtable_row_t *rows, ngx_uint_t n, ngx_lyftr_error_t *err)
{
    uint32_t             *order;
    ngx_uint_t            i, kind;
    ngx_lyftr_segment_t  *segment;

    ngx_lyftr_erased_free(erased);

    erased->rows = malloc((n + 1) * sizeof(ngx_lyftr_memtable_row_t));
    if (erased->rows == NULL) {
        return ngx_lyftr_index_memory(err);
    }

    for (i = 0; i < n; i++) {
        segment = ngx_lyftr_erased_segment(index, rows[i].seq);

        if (segment && segment->id < erased->number) {
            erased->rows[erased->n++] = rows[i];
        }
    }

    for (kind = 0; kind < NGX_LYFTR_TREES; kind++) {
        order = malloc((2 * erased->n + 1) * sizeof(uint32_t));
        if (order == NULL) {
            return ngx_lyftr_index_memory(err);
        }

        ngx_lyftr_memtable_sort(erased->rows, erased->n, kind, order);

        erased->order[kind] = order;
    }

    return NGX_OK;
}


static ngx_lyftr_segment_t *
ngx_lyftr_erased_segment(ngx_lyftr_index_t *index, int64_t seq)
{
    ngx_uint_t            i;
    ngx_lyftr_segment_t  *segment;

    for (i = 0; i < index->nsegments; i++) {
        segment = &index->segments[i];

        if (seq > segment->first && seq <= segment->last) {
            return segment;
        }
    }

    return NULL;
}


void
ngx_lyftr_erased_free(ngx_lyftr_erased_t *erased)
{
    ngx_uint_t  kind;

    for (kind = 0; kind < NGX_LYFTR_TREES; kind++) {
        free(erased->order[kind]);
        erased->order[kind] = NULL;
    }

    free(erased->rows);

    erased->rows = NULL;
    erased->n = 0;
}


ngx_int_t
ngx_lyftr_erased_open(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    ngx_lyftr_tree_e kind, ngx_lyftr_error_t *err)
{
    size_t                    size;
    ngx_uint_t                i, k;
    ngx_lyftr_erased_t       *erased;
    ngx_lyftr_segment_t      *segment;
    ngx_lyftr_merge_child_t  *source;

    if (index->nerased == 0) {
        return NGX_OK;
    }

    size = index->nerased * (index->nsegments + 1)
           * sizeof(ngx_lyftr_merge_child_t);

    sources->erased = malloc(size);
    if (sources->erased == NULL) {
        return ngx_lyftr_index_memory(err);
    }

    ngx_memzero(sources->erased, size);

    for (i = 0; i < index->nerased; i++) {
        erased = &index->erased[i];

        if (erased->part.len == 0) {
            source = &sources->erased[sources->nerased++];

            source->cursor.kind = kind;
            source->row = erased->rows;
            source->order = erased->order[kind];
            source->rows = erased->n;
            source->most = erased->n;
            source->high = erased->n;
            continue;
        }

        for (k = 0; k < index->nsegments; k++) {
            segment = &index->segments[k];

            if (segment->id >= erased->number
                || segment->last <= index->floor)
            {
                continue;
            }

            if (ngx_lyftr_erased_sender(index, sources, erased, segment, kind,
                                        err)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_erased_sender(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    ngx_lyftr_erased_t *erased, ngx_lyftr_segment_t *segment,
    ngx_lyftr_tree_e kind, ngx_lyftr_error_t *err)
{
    int64_t                   low, high;
    ngx_int_t                 rc;
    ngx_lyftr_merge_child_t  *source;

    high = 0;
    source = &sources->erased[sources->nerased++];

    ngx_lyftr_merge_child_segment(source, segment, NGX_LYFTR_TREE_SENDER);

    rc = ngx_lyftr_merge_child_bound(index, source, &erased->part, &low, err);

    if (rc == NGX_OK) {
        erased->part.data[erased->part.len - 1]++;

        rc = ngx_lyftr_merge_child_bound(index, source, &erased->part, &high,
                                         err);

        erased->part.data[erased->part.len - 1]--;
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    source->least = low;
    source->most = high;
    source->low = low;
    source->high = high;

    if (low == high) {
        ngx_lyftr_merge_child_free(source);
        ngx_memzero(source, sizeof(ngx_lyftr_merge_child_t));
        sources->nerased--;

        return NGX_OK;
    }

    if (kind == NGX_LYFTR_TREE_TIME) {
        source->part = erased->part;
    }

    return NGX_OK;
}


void
ngx_lyftr_erased_close(ngx_lyftr_merge_t *sources)
{
    while (sources->nerased) {
        ngx_lyftr_merge_child_free(&sources->erased[--sources->nerased]);
    }

    free(sources->erased);

    sources->erased = NULL;

    ngx_lyftr_buf_free(&sources->key);
}


ngx_int_t
ngx_lyftr_erased_has(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    ngx_lyftr_entry_t *entry, ngx_lyftr_error_t *err)
{
    int64_t                   rank;
    ngx_uint_t                i;
    ngx_lyftr_merge_child_t  *source;

    for (i = 0; i < sources->nerased; i++) {
        source = &sources->erased[i];

        if (source->passed >= source->high - source->low) {
            continue;
        }

        if (!source->loaded) {
            rank = sources->desc ? source->high - 1 - source->passed
                                 : source->low + source->passed;

            if (ngx_lyftr_merge_child_load(index, source, rank, err)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            source->loaded = 1;
        }

        if (source->seq == entry->seq) {
            source->passed++;
            source->loaded = 0;

            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}

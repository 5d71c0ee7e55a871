#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_index.h>


/*
 * All rows in one order: a source is a segment, or a chunk of the recent rows.
 * Each knows the ranks of its entries, so that rows are counted, and passed
 * over, without looking at them.
 */

static ngx_int_t ngx_lyftr_merge_child_chunk(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_child_t *source, ngx_lyftr_view_chunk_t *part,
    ngx_lyftr_tree_e kind, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_merge_child_bound(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_child_t *source, ngx_str_t *key, int64_t *rank,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_merge_skip_by(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_t *sources, int64_t step, int64_t *skip,
    ngx_lyftr_error_t *err);
static int64_t ngx_lyftr_merge_rank(ngx_lyftr_merge_t *sources,
    ngx_lyftr_merge_child_t *source, int64_t n);
static ngx_lyftr_merge_child_t *ngx_lyftr_merge_first(
    ngx_lyftr_merge_t *sources);


ngx_int_t
ngx_lyftr_merge_open(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    ngx_lyftr_tree_e kind, ngx_lyftr_error_t *err)
{
    ngx_uint_t                i, n;
    ngx_lyftr_merge_child_t  *source;
    ngx_lyftr_segment_t      *segment;

    n = index->nsegments + index->view.nchunks;

    sources->n = 0;
    sources->desc = 0;
    sources->elts = malloc((n + 1) * sizeof(ngx_lyftr_merge_child_t));

    if (sources->elts == NULL) {
        return ngx_lyftr_index_memory(err);
    }

    ngx_memzero(sources->elts, n * sizeof(ngx_lyftr_merge_child_t));

    for (i = 0; i < index->nsegments; i++) {
        segment = &index->segments[i];

        if (segment->first < 0 || segment->last < segment->first
            || segment->last > index->last || segment->rows < 0
            || segment->rows > segment->last - segment->first)
        {
            return ngx_lyftr_index_damaged(err);
        }

        /* what was deleted may still be in the list, and in what it holds */

        if (segment->last <= index->floor) {
            continue;
        }

        source = &sources->elts[sources->n++];
        source->rows = segment->rows;
        source->high = source->rows;

        ngx_lyftr_iterator_init(&source->cursor, segment, kind);
    }

    for (i = 0; i < index->view.nchunks; i++) {
        source = &sources->elts[sources->n++];

        if (ngx_lyftr_merge_child_chunk(index, source, &index->view.chunks[i],
                                        kind, err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_merge_child_chunk(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_child_t *source, ngx_lyftr_view_chunk_t *part,
    ngx_lyftr_tree_e kind, ngx_lyftr_error_t *err)
{
    source->cursor.kind = kind;
    source->chunk = part->chunk;
    source->rows = part->n;
    source->high = part->n;

    source->order = ngx_lyftr_memtable_order(index->memtable, part, kind,
                                             &source->own);

    return source->order ? NGX_OK
                         : ngx_lyftr_index_memory(err);
}


void
ngx_lyftr_merge_close(ngx_lyftr_merge_t *sources)
{
    ngx_lyftr_merge_child_t  *source;

    while (sources->n) {
        source = &sources->elts[--sources->n];

        if (source->own) {
            free(source->order);
        }

        ngx_lyftr_iterator_free(&source->cursor);
    }

    free(sources->elts);

    sources->elts = NULL;
}


ngx_int_t
ngx_lyftr_merge_range(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    ngx_str_t *low, ngx_str_t *high, int64_t *total, ngx_lyftr_error_t *err)
{
    ngx_uint_t                i;
    ngx_lyftr_merge_child_t  *source;

    *total = 0;

    for (i = 0; i < sources->n; i++) {
        source = &sources->elts[i];

        if ((low->len && ngx_lyftr_merge_child_bound(index, source, low,
                                                     &source->low,
                                                     err)
                         != NGX_OK)
            || (high->len && ngx_lyftr_merge_child_bound(index, source, high,
                                                         &source->high, err)
                             != NGX_OK))
        {
            return NGX_ERROR;
        }

        if (source->low > source->high) {
            return ngx_lyftr_index_damaged(err);
        }

        source->passed = 0;
        *total += source->high - source->low;
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_merge_after(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    ngx_str_t *key, ngx_lyftr_error_t *err)
{
    int64_t                   rank;
    ngx_uint_t                i;
    ngx_lyftr_merge_child_t  *source;

    for (i = 0; i < sources->n; i++) {
        source = &sources->elts[i];

        if (ngx_lyftr_merge_child_bound(index, source, key, &rank,
                                        err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        rank = sources->desc ? source->high - rank : rank - source->low;

        source->passed = ngx_max(source->passed, rank);
    }

    return NGX_OK;
}


/* the rank of the first entry whose key is not less */

static ngx_int_t
ngx_lyftr_merge_child_bound(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_child_t *source, ngx_str_t *key, int64_t *rank,
    ngx_lyftr_error_t *err)
{
    size_t    len;
    u_char   *p;
    int64_t   low, high, n;

    if (source->chunk == NULL) {

        if (ngx_lyftr_iterator_seek(index, &source->cursor, key->data, key->len,
                                    err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        source->placed = 1;
        *rank = source->cursor.rank;

        return *rank >= 0 && *rank <= source->rows
               ? NGX_OK : ngx_lyftr_index_damaged(err);
    }

    low = 0;
    high = source->rows;

    while (low < high) {
        n = (low + high) / 2;

        p = ngx_lyftr_memtable_key(&source->chunk->row[source->order[n]],
                                   source->cursor.kind, &len);

        if (ngx_lyftr_key_cmp(p, len, key->data, key->len) < 0) {
            low = n + 1;

        } else {
            high = n;
        }
    }

    *rank = low;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_merge_child_load(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_child_t *source, int64_t rank, ngx_lyftr_error_t *err)
{
    ngx_int_t                  rc;
    ngx_lyftr_iterator_t      *cursor;
    ngx_lyftr_memtable_row_t  *row;

    if (source->chunk) {
        row = &source->chunk->row[source->order[rank]];

        source->key.data = ngx_lyftr_memtable_key(row, source->cursor.kind,
                                                  &source->key.len);
        source->seq = row->seq;

        return NGX_OK;
    }

    cursor = &source->cursor;

    rc = NGX_OK;

    if (source->placed && rank == cursor->rank + 1) {
        rc = ngx_lyftr_iterator_next(index, cursor, err);

    } else if (source->placed && rank == cursor->rank - 1) {
        rc = ngx_lyftr_iterator_prev(index, cursor, err);

    } else if (!source->placed || rank != cursor->rank) {
        rc = ngx_lyftr_iterator_at(index, cursor, rank, err);
    }

    source->placed = (rc == NGX_OK && !ngx_lyftr_iterator_end(cursor));

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (cursor->block.value < 1
        || cursor->block.value > cursor->segment->last
                                 - cursor->segment->first)
    {
        return ngx_lyftr_index_damaged(err);
    }

    source->key.data = cursor->block.key.data;
    source->key.len = cursor->block.key.len;
    source->seq = ngx_lyftr_iterator_seq(cursor);

    return NGX_OK;
}


/*
 * Passes over the first rows of all.  If the sources are n, the entries that
 * each has up to the one a step ahead are n steps at most, so all up to the
 * least of those are among the first n steps.
 */

ngx_int_t
ngx_lyftr_merge_skip(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    int64_t skip, ngx_lyftr_error_t *err)
{
    int64_t  step;

    if (sources->n == 0) {
        return NGX_OK;
    }

    for (step = skip / (int64_t) sources->n; skip; step /= 2) {

        if (step == 0) {
            step = 1;
        }

        if (ngx_lyftr_merge_skip_by(index, sources, step, &skip, err) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_merge_skip_by(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    int64_t step, int64_t *skip, ngx_lyftr_error_t *err)
{
    int64_t                   left, rank;
    ngx_uint_t                i;
    ngx_lyftr_merge_child_t  *source;

    for (i = 0; i < sources->n; i++) {
        source = &sources->elts[i];
        source->loaded = 0;
    }

    while (*skip > 0
           && (step == 1 || *skip >= step * (int64_t) sources->n))
    {
        for (i = 0; i < sources->n; i++) {
            source = &sources->elts[i];
            left = source->high - source->low - source->passed;

            if (source->loaded || left <= 0) {
                continue;
            }

            source->step = ngx_min(step, left);
            source->loaded = 1;

            rank = ngx_lyftr_merge_rank(sources, source, source->step - 1);

            if (ngx_lyftr_merge_child_load(index, source, rank, err) != NGX_OK)
            {
                return NGX_ERROR;
            }
        }

        source = ngx_lyftr_merge_first(sources);

        if (source == NULL) {
            *skip = 0;
            break;
        }

        source->passed += source->step;
        source->loaded = 0;
        *skip -= source->step;
    }

    for (i = 0; i < sources->n; i++) {
        sources->elts[i].loaded = 0;
    }

    return NGX_OK;
}


/* of the entry that is so many after the next one */

static int64_t
ngx_lyftr_merge_rank(ngx_lyftr_merge_t *sources,
    ngx_lyftr_merge_child_t *source, int64_t n)
{
    n += source->passed;

    return sources->desc ? source->high - 1 - n : source->low + n;
}


/* of those that are loaded, the one that comes first */

static ngx_lyftr_merge_child_t *
ngx_lyftr_merge_first(ngx_lyftr_merge_t *sources)
{
    int                       cmp;
    ngx_uint_t                i;
    ngx_lyftr_merge_child_t  *source, *first;

    first = NULL;

    for (i = 0; i < sources->n; i++) {
        source = &sources->elts[i];

        if (!source->loaded) {
            continue;
        }

        if (first == NULL) {
            first = source;
            continue;
        }

        cmp = ngx_lyftr_key_cmp(source->key.data, source->key.len,
                                first->key.data, first->key.len);

        /* equal ones in the order of the log, or against it */

        if (sources->desc ? cmp >= 0 : cmp < 0) {
            first = source;
        }
    }

    return first;
}


ngx_int_t
ngx_lyftr_merge_next(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    ngx_lyftr_entry_t *entry, ngx_lyftr_error_t *err)
{
    int64_t                   rank;
    ngx_uint_t                i;
    ngx_lyftr_merge_child_t  *source;

    for (i = 0; i < sources->n; i++) {
        source = &sources->elts[i];

        if (source->loaded
            || source->passed >= source->high - source->low)
        {
            continue;
        }

        rank = ngx_lyftr_merge_rank(sources, source, 0);

        if (ngx_lyftr_merge_child_load(index, source, rank, err) != NGX_OK) {
            return NGX_ERROR;
        }

        source->loaded = 1;
    }

    source = ngx_lyftr_merge_first(sources);

    if (source == NULL) {
        return NGX_DONE;
    }

    source->passed++;
    source->loaded = 0;

    entry->key = source->key;
    entry->seq = source->seq;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_merge_last(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    int64_t *seq, ngx_lyftr_error_t *err)
{
    ngx_uint_t                i;
    ngx_lyftr_merge_child_t  *source, *last;

    last = NULL;

    for (i = 0; i < sources->n; i++) {
        source = &sources->elts[i];

        if (source->low == source->high) {
            continue;
        }

        if (ngx_lyftr_merge_child_load(index, source, source->high - 1,
                                       err) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (last == NULL
            || ngx_lyftr_key_cmp(source->key.data, source->key.len,
                                 last->key.data, last->key.len)
               > 0)
        {
            last = source;
        }
    }

    if (last == NULL) {
        return NGX_DONE;
    }

    *seq = last->seq;

    return NGX_OK;
}

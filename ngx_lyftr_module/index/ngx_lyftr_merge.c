#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_index.h>


/*
 * All rows in one order: a source is a segment, or a chunk of the recent rows.
 * Each knows the ranks of its entries, so that rows are counted, and passed
 * over, without looking at them.  Rows that are erased, and that segments still
 * have, are sources as well: of each number theirs is taken off.
 */

/* rows that are erased, and passed one by one, before it is by more */
#ifndef NGX_LYFTR_MERGE_RUN
#define NGX_LYFTR_MERGE_RUN        64
#endif


static ngx_int_t ngx_lyftr_merge_bounds(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_child_t *elts, ngx_uint_t n, ngx_str_t *low,
    ngx_str_t *high, int64_t *total, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_merge_pass(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_child_t *elts, ngx_uint_t n, ngx_uint_t desc,
    ngx_str_t *key, int64_t *passed, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_merge_level(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_t *sources, int64_t *passed, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_merge_skip_all(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_t *sources, int64_t skip, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_merge_skip_by(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_t *sources, int64_t step, int64_t *skip,
    ngx_lyftr_error_t *err);
static int64_t ngx_lyftr_merge_rank(ngx_lyftr_merge_t *sources,
    ngx_lyftr_merge_child_t *source, int64_t n);
static ngx_lyftr_merge_child_t *ngx_lyftr_merge_first(
    ngx_lyftr_merge_t *sources);
static ngx_uint_t ngx_lyftr_merge_before(ngx_lyftr_merge_t *sources,
    ngx_lyftr_merge_child_t *a, ngx_lyftr_merge_child_t *b);
static ngx_int_t ngx_lyftr_merge_peek(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_t *sources, ngx_lyftr_merge_child_t **first,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_merge_fill(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_t *sources, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_merge_load(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_t *sources, ngx_lyftr_merge_child_t *source,
    ngx_lyftr_error_t *err);
static void ngx_lyftr_merge_sift(ngx_lyftr_merge_t *sources, ngx_uint_t i);
static ngx_int_t ngx_lyftr_merge_run(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_t *sources, ngx_lyftr_error_t *err);
static void ngx_lyftr_merge_keep(ngx_lyftr_merge_child_t *elts, ngx_uint_t n,
    ngx_uint_t back);
static void ngx_lyftr_merge_begin(ngx_lyftr_merge_child_t *elts,
    ngx_uint_t n);


ngx_int_t
ngx_lyftr_merge_open(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    ngx_lyftr_tree_e kind, ngx_lyftr_error_t *err)
{
    ngx_uint_t                i, n;
    ngx_lyftr_merge_child_t  *source;
    ngx_lyftr_segment_t      *segment;

    n = index->nsegments + index->view.nchunks;

    ngx_memzero(sources, sizeof(ngx_lyftr_merge_t));

    sources->elts = malloc((n + 1) * sizeof(ngx_lyftr_merge_child_t));

    if (sources->elts == NULL) {
        return ngx_lyftr_index_memory(err);
    }

    ngx_memzero(sources->elts, n * sizeof(ngx_lyftr_merge_child_t));

    sources->heap = malloc((n + 1) * sizeof(ngx_lyftr_merge_child_t *));
    if (sources->heap == NULL) {
        return ngx_lyftr_index_memory(err);
    }

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

        if (segment->first < index->floor) {
            return ngx_lyftr_index_damaged(err);
        }

        ngx_lyftr_merge_child_segment(&sources->elts[sources->n++], segment,
                                      kind);
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

    return ngx_lyftr_erased_open(index, sources, kind, err);
}


void
ngx_lyftr_merge_close(ngx_lyftr_merge_t *sources)
{
    while (sources->n) {
        ngx_lyftr_merge_child_free(&sources->elts[--sources->n]);
    }

    free(sources->elts);
    free(sources->heap);

    sources->elts = NULL;
    sources->heap = NULL;
    sources->heaped = 0;

    ngx_lyftr_erased_close(sources);
}


ngx_int_t
ngx_lyftr_merge_range(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    ngx_str_t *low, ngx_str_t *high, int64_t *total, ngx_lyftr_error_t *err)
{
    int64_t  erased;

    sources->heaped = 0;

    if (ngx_lyftr_merge_bounds(index, sources->elts, sources->n, low, high,
                               total, err)
        != NGX_OK
        || ngx_lyftr_merge_bounds(index, sources->erased, sources->nerased,
                                  low, high, &erased, err)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    *total -= erased;

    return *total >= 0 ? NGX_OK : ngx_lyftr_index_damaged(err);
}


static ngx_int_t
ngx_lyftr_merge_bounds(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_child_t *elts, ngx_uint_t n, ngx_str_t *low,
    ngx_str_t *high, int64_t *total, ngx_lyftr_error_t *err)
{
    ngx_uint_t                i;
    ngx_lyftr_merge_child_t  *source;

    *total = 0;

    for (i = 0; i < n; i++) {
        source = &elts[i];

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
        source->loaded = 0;
        *total += source->high - source->low;
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_merge_after(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    ngx_str_t *key, ngx_lyftr_error_t *err)
{
    int64_t  passed;

    sources->heaped = 0;

    if (ngx_lyftr_merge_pass(index, sources->elts, sources->n, sources->desc,
                             key, &passed, err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_lyftr_merge_pass(index, sources->erased, sources->nerased,
                                sources->desc, key, &passed, err);
}


static ngx_int_t
ngx_lyftr_merge_pass(ngx_lyftr_index_t *index, ngx_lyftr_merge_child_t *elts,
    ngx_uint_t n, ngx_uint_t desc, ngx_str_t *key, int64_t *passed,
    ngx_lyftr_error_t *err)
{
    int64_t                   rank;
    ngx_uint_t                i;
    ngx_lyftr_merge_child_t  *source;

    *passed = 0;

    for (i = 0; i < n; i++) {
        source = &elts[i];

        if (ngx_lyftr_merge_child_bound(index, source, key, &rank, err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        rank = desc ? source->high - rank : rank - source->low;

        if (rank > source->passed) {
            *passed += rank - source->passed;
            source->passed = rank;
            source->loaded = 0;
        }
    }

    return NGX_OK;
}


/* as many more as of those that were passed are erased */

ngx_int_t
ngx_lyftr_merge_skip(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    int64_t skip, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    do {
        if (ngx_lyftr_merge_skip_all(index, sources, skip, err) != NGX_OK) {
            return NGX_ERROR;
        }

        rc = ngx_lyftr_merge_level(index, sources, &skip, err);

    } while (rc == NGX_OK && skip);

    return rc == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


/*
 * Of the erased rows, passes over those that come before the next one of all,
 * and counts them; NGX_DONE: there is no next one.
 */

static ngx_int_t
ngx_lyftr_merge_level(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    int64_t *passed, ngx_lyftr_error_t *err)
{
    ngx_int_t                 rc;
    ngx_str_t                 key;
    ngx_lyftr_merge_child_t  *source;

    *passed = 0;

    if (sources->nerased == 0) {
        return NGX_OK;
    }

    rc = ngx_lyftr_merge_peek(index, sources, &source, err);

    if (rc != NGX_OK) {
        return rc;
    }

    sources->key.len = 0;

    /* backwards, before it is what is greater */

    if (ngx_lyftr_buf_add(&sources->key, source->key.data, source->key.len)
        != NGX_OK
        || ngx_lyftr_buf_add(&sources->key, "", 1) != NGX_OK)
    {
        return ngx_lyftr_index_memory(err);
    }

    key.data = sources->key.data;
    key.len = source->key.len + (sources->desc != 0);

    return ngx_lyftr_merge_pass(index, sources->erased, sources->nerased,
                                sources->desc, &key, passed, err);
}


/*
 * Passes over the first rows of all.  If the sources are n, the entries that
 * each has up to the one a step ahead are n steps at most, so all up to the
 * least of those are among the first n steps.
 */

static ngx_int_t
ngx_lyftr_merge_skip_all(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    int64_t skip, ngx_lyftr_error_t *err)
{
    int64_t  step;

    sources->heaped = 0;

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
    ngx_uint_t                i;
    ngx_lyftr_merge_child_t  *source, *first;

    first = NULL;

    for (i = 0; i < sources->n; i++) {
        source = &sources->elts[i];

        if (source->loaded
            && (first == NULL
                || ngx_lyftr_merge_before(sources, source, first)))
        {
            first = source;
        }
    }

    return first;
}


static ngx_uint_t
ngx_lyftr_merge_before(ngx_lyftr_merge_t *sources, ngx_lyftr_merge_child_t *a,
    ngx_lyftr_merge_child_t *b)
{
    int  cmp;

    cmp = ngx_lyftr_key_cmp(a->key.data, a->key.len, b->key.data, b->key.len);

    /* equal ones in the order of the log, or against it */

    if (cmp == 0) {
        cmp = (a < b) ? -1 : 1;
    }

    return sources->desc ? cmp > 0 : cmp < 0;
}


ngx_int_t
ngx_lyftr_merge_next(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    ngx_lyftr_entry_t *entry, ngx_lyftr_error_t *err)
{
    ngx_int_t                 rc;
    ngx_uint_t                n;
    ngx_lyftr_merge_child_t  *source;

    for (n = 1; /* void */ ; n++) {
        rc = ngx_lyftr_merge_peek(index, sources, &source, err);

        if (rc != NGX_OK) {
            return rc;
        }

        source->passed++;
        source->loaded = 0;

        entry->key = source->key;
        entry->seq = source->seq;

        rc = ngx_lyftr_erased_has(index, sources, entry, err);

        if (rc != NGX_OK) {
            return rc == NGX_DECLINED ? NGX_OK : rc;
        }

        if (n % NGX_LYFTR_MERGE_RUN == 0
            && ngx_lyftr_merge_run(index, sources, err) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }
}


/*
 * The source of the next row of all, erased or not; NGX_DONE: there is none.
 * Only that of the row before may have come to another one.
 */

static ngx_int_t
ngx_lyftr_merge_peek(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    ngx_lyftr_merge_child_t **first, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (!sources->heaped) {
        if (ngx_lyftr_merge_fill(index, sources, err) != NGX_OK) {
            return NGX_ERROR;
        }

    } else if (sources->nheap && !sources->heap[0]->loaded) {
        rc = ngx_lyftr_merge_load(index, sources, sources->heap[0], err);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_DONE) {
            sources->heap[0] = sources->heap[--sources->nheap];
        }

        ngx_lyftr_merge_sift(sources, 0);
    }

    if (sources->nheap == 0) {
        return NGX_DONE;
    }

    *first = sources->heap[0];

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_merge_fill(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    ngx_lyftr_error_t *err)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    sources->nheap = 0;

    for (i = 0; i < sources->n; i++) {
        rc = ngx_lyftr_merge_load(index, sources, &sources->elts[i], err);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK) {
            sources->heap[sources->nheap++] = &sources->elts[i];
        }
    }

    for (i = sources->nheap / 2; i-- > 0; /* void */) {
        ngx_lyftr_merge_sift(sources, i);
    }

    sources->heaped = 1;

    return NGX_OK;
}


/* the source's next entry; NGX_DONE: it has none */

static ngx_int_t
ngx_lyftr_merge_load(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    ngx_lyftr_merge_child_t *source, ngx_lyftr_error_t *err)
{
    int64_t  rank;

    if (source->passed >= source->high - source->low) {
        return NGX_DONE;
    }

    if (source->loaded) {
        return NGX_OK;
    }

    rank = ngx_lyftr_merge_rank(sources, source, 0);

    if (ngx_lyftr_merge_child_load(index, source, rank, err) != NGX_OK) {
        return NGX_ERROR;
    }

    source->loaded = 1;

    return NGX_OK;
}


static void
ngx_lyftr_merge_sift(ngx_lyftr_merge_t *sources, ngx_uint_t i)
{
    ngx_uint_t                 child;
    ngx_lyftr_merge_child_t   *source, **heap;

    heap = sources->heap;
    source = heap[i];

    for ( ;; ) {
        child = 2 * i + 1;

        if (child + 1 < sources->nheap
            && ngx_lyftr_merge_before(sources, heap[child + 1], heap[child]))
        {
            child++;
        }

        if (child >= sources->nheap
            || !ngx_lyftr_merge_before(sources, heap[child], source))
        {
            break;
        }

        heap[i] = heap[child];
        i = child;
    }

    heap[i] = source;
}


/* passes over many rows that are all erased, by halves */

static ngx_int_t
ngx_lyftr_merge_run(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    ngx_lyftr_error_t *err)
{
    int64_t    step, passed;
    ngx_int_t  rc;

    passed = 0;

    for (step = NGX_LYFTR_MERGE_RUN; step; /* void */ ) {
        ngx_lyftr_merge_keep(sources->elts, sources->n, 0);
        ngx_lyftr_merge_keep(sources->erased, sources->nerased, 0);

        rc = ngx_lyftr_merge_skip_all(index, sources, step, err);

        if (rc == NGX_OK) {
            rc = ngx_lyftr_merge_level(index, sources, &passed, err);
        }

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK && passed == step) {
            step *= 2;
            continue;
        }

        ngx_lyftr_merge_keep(sources->elts, sources->n, 1);
        ngx_lyftr_merge_keep(sources->erased, sources->nerased, 1);
        sources->heaped = 0;

        step /= 2;
    }

    return NGX_OK;
}


static void
ngx_lyftr_merge_keep(ngx_lyftr_merge_child_t *elts, ngx_uint_t n,
    ngx_uint_t back)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {

        if (back) {
            elts[i].passed = elts[i].kept;
            elts[i].loaded = 0;

        } else {
            elts[i].kept = elts[i].passed;
        }
    }
}


ngx_int_t
ngx_lyftr_merge_last(ngx_lyftr_index_t *index, ngx_lyftr_merge_t *sources,
    int64_t *seq, ngx_lyftr_error_t *err)
{
    ngx_int_t          rc;
    ngx_uint_t         desc;
    ngx_lyftr_entry_t  entry;

    desc = sources->desc;
    sources->desc = 1;
    sources->heaped = 0;

    ngx_lyftr_merge_begin(sources->elts, sources->n);
    ngx_lyftr_merge_begin(sources->erased, sources->nerased);

    rc = ngx_lyftr_merge_next(index, sources, &entry, err);

    if (rc == NGX_OK) {
        *seq = entry.seq;
    }

    sources->desc = desc;
    sources->heaped = 0;

    return rc;
}


static void
ngx_lyftr_merge_begin(ngx_lyftr_merge_child_t *elts, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        elts[i].passed = 0;
        elts[i].loaded = 0;
    }
}

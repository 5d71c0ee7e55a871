#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_index.h>


static ngx_int_t ngx_lyftr_bitmap_erased(ngx_lyftr_index_t *index,
    ngx_lyftr_bitmap_t *bits, uint64_t *words, ngx_lyftr_merge_t *sources,
    ngx_lyftr_error_t *err);
static size_t ngx_lyftr_bitmap_size(ngx_lyftr_bitmap_t *bits, int64_t last);
static ngx_int_t ngx_lyftr_bitmap_source(ngx_lyftr_index_t *index,
    ngx_lyftr_bitmap_t *bits, uint64_t *words, ngx_lyftr_merge_child_t *source,
    ngx_lyftr_error_t *err);
static void ngx_lyftr_bitmap_copy(ngx_lyftr_bitmap_t *bits, uint64_t *words,
    int64_t first, int64_t last);
static ngx_int_t ngx_lyftr_bitmap_ranks(ngx_lyftr_index_t *index,
    ngx_lyftr_bitmap_t *bits, uint64_t *words, ngx_lyftr_merge_child_t *source,
    int64_t low, int64_t high, ngx_uint_t in, ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_bitmap_reach(ngx_lyftr_index_t *index, ngx_lyftr_bitmap_t *bits,
    ngx_lyftr_error_t *err)
{
    size_t     size, had;
    uint64_t  *words;

    if (bits->words == NULL) {
        bits->before = ngx_min(index->floor, index->last) / 64;
    }

    size = ngx_lyftr_bitmap_size(bits, index->last);
    had = bits->words ? ngx_lyftr_bitmap_size(bits, bits->last) : 0;

    if (size > had) {
        words = realloc(bits->words, size);
        if (words == NULL) {
            return ngx_lyftr_index_memory(err);
        }

        ngx_memzero((u_char *) words + had, size - had);

        bits->words = words;
    }

    bits->last = index->last;

    return NGX_OK;
}


static size_t
ngx_lyftr_bitmap_size(ngx_lyftr_bitmap_t *bits, int64_t last)
{
    return (ngx_lyftr_bitmap_at(bits, last) + 1) * sizeof(uint64_t);
}


void
ngx_lyftr_bitmap_free(ngx_lyftr_bitmap_t *bits)
{
    free(bits->words);

    ngx_memzero(bits, sizeof(ngx_lyftr_bitmap_t));
}


void
ngx_lyftr_bitmap_cut(ngx_lyftr_bitmap_t *bits, int64_t floor)
{
    int64_t  n;

    floor = ngx_min(floor, bits->last);
    n = ngx_lyftr_bitmap_at(bits, floor);

    if (n < 0) {
        return;
    }

    ngx_memzero(bits->words, n * sizeof(uint64_t));

    bits->words[n] &= ~(uint64_t) 0 << floor % 64 << 1;
}


int64_t
ngx_lyftr_bitmap_count(ngx_lyftr_bitmap_t *bits)
{
    int64_t  i, n;

    for (i = 0, n = 0; i <= ngx_lyftr_bitmap_at(bits, bits->last); i++) {
        n += __builtin_popcountll(bits->words[i]);
    }

    return n;
}


int64_t
ngx_lyftr_bitmap_next(ngx_lyftr_bitmap_t *bits, int64_t seq)
{
    int64_t   i, n;
    uint64_t  word;

    seq = ngx_max(seq, bits->before * 64);
    n = ngx_lyftr_bitmap_at(bits, bits->last) + 1;
    i = ngx_lyftr_bitmap_at(bits, seq);

    if (i >= n) {
        return 0;
    }

    word = bits->words[i] & ~(uint64_t) 0 << seq % 64;

    while (word == 0 && ++i < n) {
        word = bits->words[i];
    }

    return word ? (bits->before + i) * 64 + __builtin_ctzll(word) : 0;
}


ngx_int_t
ngx_lyftr_bitmap_range(ngx_lyftr_index_t *index, ngx_lyftr_bitmap_t *bits,
    ngx_lyftr_merge_t *sources, ngx_lyftr_error_t *err)
{
    int64_t                   rank;
    ngx_uint_t                i;
    ngx_lyftr_merge_child_t  *source;

    if (ngx_lyftr_bitmap_reach(index, bits, err) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < sources->n; i++) {
        source = &sources->elts[i];

        for (rank = source->low; rank < source->high; rank++) {

            if (ngx_lyftr_merge_child_load(index, source, rank,
                                           err)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            ngx_lyftr_bitmap_set(bits, source->seq);
        }
    }

    return ngx_lyftr_bitmap_erased(index, bits, bits->words, sources, err);
}


ngx_int_t
ngx_lyftr_bitmap_narrow(ngx_lyftr_index_t *index, ngx_lyftr_bitmap_t *bits,
    ngx_lyftr_merge_t *sources, ngx_lyftr_error_t *err)
{
    size_t       size;
    uint64_t    *words;
    ngx_uint_t   i;

    size = ngx_lyftr_bitmap_size(bits, bits->last);

    words = malloc(size);
    if (words == NULL) {
        return ngx_lyftr_index_memory(err);
    }

    ngx_memzero(words, size);

    for (i = 0; i < sources->n; i++) {
        if (ngx_lyftr_bitmap_source(index, bits, words, &sources->elts[i], err)
            != NGX_OK)
        {
            free(words);
            return NGX_ERROR;
        }
    }

    if (ngx_lyftr_bitmap_erased(index, bits, words, sources, err) != NGX_OK) {
        free(words);
        return NGX_ERROR;
    }

    free(bits->words);
    bits->words = words;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_bitmap_erase(ngx_lyftr_index_t *index, ngx_lyftr_bitmap_t *bits,
    ngx_lyftr_merge_t *sources, ngx_lyftr_error_t *err)
{
    ngx_uint_t                i;
    ngx_lyftr_merge_child_t  *source;

    for (i = 0; i < sources->nerased; i++) {
        source = &sources->erased[i];
        source->loaded = 0;

        if (ngx_lyftr_bitmap_ranks(index, bits, bits->words, source,
                                   source->least, source->most, 0, err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* takes out the bits of rows that are erased */

static ngx_int_t
ngx_lyftr_bitmap_erased(ngx_lyftr_index_t *index, ngx_lyftr_bitmap_t *bits,
    uint64_t *words, ngx_lyftr_merge_t *sources, ngx_lyftr_error_t *err)
{
    ngx_uint_t                i;
    ngx_lyftr_merge_child_t  *source;

    for (i = 0; i < sources->nerased; i++) {
        source = &sources->erased[i];

        if (ngx_lyftr_bitmap_ranks(index, bits, words, source, source->low,
                                   source->high, 0, err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* looks at the entries that are in the range, or at the others if fewer */

static ngx_int_t
ngx_lyftr_bitmap_source(ngx_lyftr_index_t *index, ngx_lyftr_bitmap_t *bits,
    uint64_t *words, ngx_lyftr_merge_child_t *source, ngx_lyftr_error_t *err)
{
    ngx_lyftr_segment_t  *segment;

    /* while rows are erased, bits may be set that no entry has any more */

    if (source->row
        || index->nerased
        || source->high - source->low < source->rows / 2)
    {
        return ngx_lyftr_bitmap_ranks(index, bits, words, source, source->low,
                                      source->high, 1, err);
    }

    segment = source->cursor.segment;

    ngx_lyftr_bitmap_copy(bits, words, segment->first + 1, segment->last);

    if (ngx_lyftr_bitmap_ranks(index, bits, words, source, 0, source->low, 0,
                               err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_lyftr_bitmap_ranks(index, bits, words, source, source->high,
                                  source->rows, 0, err);
}


static void
ngx_lyftr_bitmap_copy(ngx_lyftr_bitmap_t *bits, uint64_t *words, int64_t first,
    int64_t last)
{
    int64_t   i;
    uint64_t  mask;

    for (i = first / 64; i <= last / 64; i++) {
        mask = ~(uint64_t) 0;

        if (i == first / 64) {
            mask &= ~(uint64_t) 0 << first % 64;
        }

        if (i == last / 64) {
            mask &= ~(uint64_t) 0 >> (63 - last % 64);
        }

        words[i - bits->before] |= bits->words[i - bits->before] & mask;
    }
}


/* takes the bits of these entries over, or out */

static ngx_int_t
ngx_lyftr_bitmap_ranks(ngx_lyftr_index_t *index, ngx_lyftr_bitmap_t *bits,
    uint64_t *words, ngx_lyftr_merge_child_t *source, int64_t low,
    int64_t high, ngx_uint_t in, ngx_lyftr_error_t *err)
{
    int64_t   rank, at;
    uint64_t  bit;

    for (rank = low; rank < high; rank++) {

        if (ngx_lyftr_merge_child_load(index, source, rank, err) != NGX_OK) {
            return NGX_ERROR;
        }

        at = ngx_lyftr_bitmap_at(bits, source->seq);
        bit = (uint64_t) 1 << source->seq % 64;

        if (in) {
            words[at] |= bits->words[at] & bit;

        } else {
            words[at] &= ~bit;
        }
    }

    return NGX_OK;
}

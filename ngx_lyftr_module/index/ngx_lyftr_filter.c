#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_index.h>


/*
 * A Bloom filter of the hashes of a segment's ids, in blocks of one cache line:
 * F. Putze, P. Sanders, J. Singler, "Cache-, Hash- and Space-Efficient Bloom
 * Filters", 2007.  With 16 bits an id and six of them set, about one lookup in
 * a thousand finds an id that is not there.
 */

#define NGX_LYFTR_FILTER_BITS      16
#define NGX_LYFTR_FILTER_SET       6
#define NGX_LYFTR_FILTER_LINE      64      /* bytes, a power of two */


static u_char *ngx_lyftr_filter_line(u_char *filter, size_t len,
    uint64_t *hash);


size_t
ngx_lyftr_filter_len(int64_t rows)
{
    return (rows * NGX_LYFTR_FILTER_BITS / 8 / NGX_LYFTR_FILTER_LINE + 1)
           * NGX_LYFTR_FILTER_LINE;
}


void
ngx_lyftr_filter_add(u_char *filter, size_t len, uint64_t hash)
{
    u_char      *line;
    ngx_uint_t   i;

    line = ngx_lyftr_filter_line(filter, len, &hash);

    for (i = 0; i < NGX_LYFTR_FILTER_SET; i++) {
        line[(hash >> 3) & (NGX_LYFTR_FILTER_LINE - 1)] |= 1 << (hash & 7);
        hash = (hash >> 9) | (hash << 55);
    }
}


ngx_uint_t
ngx_lyftr_filter_has(u_char *filter, size_t len, uint64_t hash)
{
    u_char      *line;
    ngx_uint_t   i;

    line = ngx_lyftr_filter_line(filter, len, &hash);

    for (i = 0; i < NGX_LYFTR_FILTER_SET; i++) {
        if (!(line[(hash >> 3) & (NGX_LYFTR_FILTER_LINE - 1)]
              & (1 << (hash & 7))))
        {
            return 0;
        }

        hash = (hash >> 9) | (hash << 55);
    }

    return 1;
}


/* the high bits choose the line, the low ones the bits in it */

static u_char *
ngx_lyftr_filter_line(u_char *filter, size_t len, uint64_t *hash)
{
    *hash = (*hash ^ *hash >> 32) * 0x9e3779b97f4a7c15;
    *hash ^= *hash >> 29;

    return filter + ((*hash >> 32) * (len / NGX_LYFTR_FILTER_LINE) >> 32)
                    * NGX_LYFTR_FILTER_LINE;
}


ngx_int_t
ngx_lyftr_filter_load_all(ngx_lyftr_index_t *index, ngx_lyftr_error_t *err)
{
    ngx_uint_t  i;

    for (i = 0; i < index->nsegments; i++) {
        if (index->segments[i].filter == NULL
            && ngx_lyftr_filter_load(index, &index->segments[i], err)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_filter_load(ngx_lyftr_index_t *index, ngx_lyftr_segment_t *segment,
    ngx_lyftr_error_t *err)
{
    size_t            len, size, part;
    u_char           *filter;
    int64_t           no, n;
    ngx_int_t         rc;
    ngx_lyftr_buf_t   block;

    size = ngx_lyftr_filter_len(segment->rows);

    filter = malloc(size);
    if (filter == NULL) {
        return ngx_lyftr_index_memory(err);
    }

    segment->filter = filter;
    segment->filter_len = size;

    rc = NGX_OK;
    ngx_memzero(&block, sizeof(ngx_lyftr_buf_t));

    for (len = 0, n = 0; len < size && rc == NGX_OK; len += part, n++) {
        part = ngx_min(size - len, NGX_LYFTR_FILTER_PART);

        no = ngx_lyftr_block_no(segment->id, NGX_LYFTR_TREE_ID,
                                NGX_LYFTR_LEVEL_FILTER, n);

        rc = index->holder->read(index->data, NGX_LYFTR_BLOCKS_TREE, no,
                                 &block, err);

        if (rc == NGX_DECLINED || (rc == NGX_OK && block.len != part)) {
            rc = ngx_lyftr_index_damaged(err);
        }

        if (rc == NGX_OK) {
            ngx_memcpy(filter + len, block.data, part);
        }
    }

    ngx_lyftr_buf_free(&block);

    if (rc != NGX_OK) {
        segment->filter = NULL;
        free(filter);
        return NGX_ERROR;
    }

    return NGX_OK;
}

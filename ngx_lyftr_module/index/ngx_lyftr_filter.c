#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>


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

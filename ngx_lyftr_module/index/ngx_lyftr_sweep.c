#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_index.h>


typedef struct {
    int64_t              from;
    int64_t              no;               /* -1: there is none */
} ngx_lyftr_sweep_next_t;


static ngx_int_t ngx_lyftr_sweep_next(void *data, int64_t no, u_char *p,
    size_t len, ngx_lyftr_error_t *err);
static ngx_uint_t ngx_lyftr_sweep_listed(ngx_lyftr_index_t *index,
    int64_t segment);


ngx_int_t
ngx_lyftr_sweep(ngx_lyftr_index_t *index, int64_t *from,
    ngx_lyftr_wanted_pt wanted, void *data, ngx_uint_t max,
    ngx_lyftr_error_t *err)
{
    int64_t                  segment;
    ngx_uint_t               n;
    ngx_lyftr_sweep_next_t   next;

    for ( ;; ) {
        next.from = *from;
        next.no = -1;

        if (index->holder->scan(index->data, NGX_LYFTR_BLOCKS_TREE, *from,
                                ngx_lyftr_sweep_next, &next, err)
            == NGX_ERROR)
        {
            return NGX_ERROR;
        }

        if (next.no == -1) {
            return NGX_DONE;
        }

        segment = next.no >> NGX_LYFTR_BLOCK_SEGMENT;
        *from = next.no;

        if (!ngx_lyftr_sweep_listed(index, segment) && !wanted(data, segment))
        {
            break;
        }

        *from = (segment + 1) << NGX_LYFTR_BLOCK_SEGMENT;
    }

    return index->holder->remove(index->data, NGX_LYFTR_BLOCKS_TREE, *from,
                                 (segment + 1) << NGX_LYFTR_BLOCK_SEGMENT,
                                 max, &n, err);
}


static ngx_int_t
ngx_lyftr_sweep_next(void *data, int64_t no, u_char *p, size_t len,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_sweep_next_t *next = data;

    if (no < next->from) {
        return NGX_OK;
    }

    next->no = no;

    return NGX_DONE;
}


static ngx_uint_t
ngx_lyftr_sweep_listed(ngx_lyftr_index_t *index, int64_t segment)
{
    ngx_uint_t  i;

    for (i = 0; i < index->nsegments; i++) {
        if (index->segments[i].id == segment) {
            return 1;
        }
    }

    return 0;
}

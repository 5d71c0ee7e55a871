#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_index.h>
#include <ngx_lyftr_message.h>


typedef struct {
    ngx_str_t           *needle;
    ngx_lyftr_bitmap_t  *bits;
    ngx_msec_t           start;
    ngx_msec_t           max;
} ngx_lyftr_search_scan_t;


typedef struct {
    ngx_str_t           *needle;
    ngx_int_t            rc;
} ngx_lyftr_search_one_t;


static ngx_int_t ngx_lyftr_search_scan_row(void *data, ngx_lyftr_row_t *row,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_one(void *data, ngx_lyftr_row_t *row,
    ngx_lyftr_error_t *err);
static ngx_uint_t ngx_lyftr_search_has(ngx_lyftr_row_t *row,
    ngx_str_t *needle);


ngx_int_t
ngx_lyftr_search_scan(ngx_lyftr_index_t *index, ngx_str_t *needle,
    ngx_lyftr_bitmap_t *bits, ngx_msec_t max, ngx_lyftr_error_t *err)
{
    ngx_int_t                 rc;
    ngx_lyftr_search_scan_t   scan;

    scan.needle = needle;
    scan.bits = bits;
    scan.start = ngx_lyftr_clock();
    scan.max = max;

    rc = index->holder->rows(index->data, NGX_LYFTR_ROWS_BODIES, bits->scanned,
                             bits->last, ngx_lyftr_search_scan_row, &scan,
                             err);

    if (rc == NGX_OK) {
        bits->scanned = bits->last;
    }

    return rc == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_lyftr_search_scan_row(void *data, ngx_lyftr_row_t *row,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_search_scan_t *scan = data;

    scan->bits->scanned = row->seq;

    if (ngx_lyftr_search_has(row, scan->needle)) {
        ngx_lyftr_bitmap_set(scan->bits, row->seq);
    }

    return ngx_lyftr_clock() - scan->start >= scan->max ? NGX_DONE : NGX_OK;
}


ngx_int_t
ngx_lyftr_search_wanted(ngx_lyftr_index_t *index, ngx_str_t *needle,
    ngx_lyftr_bitmap_t *bits, ngx_lyftr_bitmap_t *wanted, ngx_msec_t max,
    ngx_lyftr_error_t *err)
{
    int64_t     seq;
    ngx_int_t   rc;
    ngx_msec_t  start;

    start = ngx_lyftr_clock();

    do {
        seq = ngx_lyftr_bitmap_next(wanted, bits->scanned + 1);

        if (seq == 0) {
            bits->scanned = bits->last;
            return NGX_OK;
        }

        rc = ngx_lyftr_search_contains(index, seq, needle, err);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK) {
            ngx_lyftr_bitmap_set(bits, seq);
        }

        bits->scanned = seq;

    } while (ngx_lyftr_clock() - start < max);

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_search_contains(ngx_lyftr_index_t *index, int64_t seq,
    ngx_str_t *needle, ngx_lyftr_error_t *err)
{
    ngx_lyftr_search_one_t  one;

    one.needle = needle;
    one.rc = NGX_ERROR;

    if (index->holder->rows(index->data, NGX_LYFTR_ROWS_BODIES, seq - 1, seq,
                            ngx_lyftr_search_one, &one, err)
        == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    if (one.rc == NGX_ERROR && index->holes) {
        return NGX_DECLINED;
    }

    return one.rc == NGX_ERROR ? ngx_lyftr_index_damaged(err) : one.rc;
}


static ngx_int_t
ngx_lyftr_search_one(void *data, ngx_lyftr_row_t *row, ngx_lyftr_error_t *err)
{
    ngx_lyftr_search_one_t *one = data;

    one->rc = ngx_lyftr_search_has(row, one->needle) ? NGX_OK : NGX_DECLINED;

    return NGX_OK;
}


static ngx_uint_t
ngx_lyftr_search_has(ngx_lyftr_row_t *row, ngx_str_t *needle)
{
    return row->body.data
           && ngx_lyftr_fold_contains(row->body.data, row->body.len,
                                      needle->data, needle->len);
}

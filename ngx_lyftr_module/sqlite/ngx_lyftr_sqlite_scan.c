#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>


/* msec of a scan in one transaction, less than a checkpoint waits for it */
#ifndef NGX_LYFTR_SCAN_STEP
#define NGX_LYFTR_SCAN_STEP        2
#endif


/*
 * A transaction that reads for seconds would keep the WAL from starting anew.
 * The rows of the log never change, so each step has one of its own.
 */

ngx_int_t
ngx_lyftr_sqlite_scan(ngx_lyftr_sqlite_t *c, ngx_str_t *needle,
    ngx_lyftr_bitmap_t *bits, int64_t from, ngx_lyftr_bitmap_t *wanted,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (ngx_lyftr_bitmap_reach(&c->index, bits, err) != NGX_OK) {
        return NGX_ERROR;
    }

    bits->first = from;
    bits->scanned = from;

    while (bits->scanned < bits->last) {

        if (ngx_lyftr_sqlite_again(c, err) != NGX_OK) {
            return NGX_ERROR;
        }

        rc = wanted ? ngx_lyftr_search_wanted(&c->index, needle, bits, wanted,
                                              NGX_LYFTR_SCAN_STEP, err)
                    : ngx_lyftr_search_scan(&c->index, needle, bits,
                                            NGX_LYFTR_SCAN_STEP, err);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_lyftr_sqlite_again(c, err);
}

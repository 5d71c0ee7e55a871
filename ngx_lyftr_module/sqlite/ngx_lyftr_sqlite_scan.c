#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_trigram.h>
#include <ngx_lyftr_text.h>


/* msec of a scan in one transaction, less than a checkpoint waits for it */
#ifndef NGX_LYFTR_SCAN_STEP
#define NGX_LYFTR_SCAN_STEP        2
#endif


static ngx_int_t ngx_lyftr_scan_step(ngx_lyftr_sqlite_t *c, ngx_str_t *needle,
    ngx_lyftr_bitmap_t *bits, ngx_msec_t max, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_scan_wanted(ngx_lyftr_sqlite_t *c,
    ngx_str_t *needle, ngx_lyftr_bitmap_t *bits, ngx_lyftr_bitmap_t *wanted,
    ngx_msec_t max, ngx_lyftr_error_t *err);
static ngx_uint_t ngx_lyftr_scan_has(sqlite3_stmt *st, ngx_str_t *needle);


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

    if (ngx_lyftr_bitmap_reach(c, bits, err) != NGX_OK) {
        return NGX_ERROR;
    }

    bits->first = from;
    bits->scanned = from;

    while (bits->scanned < bits->last) {

        if (ngx_lyftr_sqlite_again(c, err) != NGX_OK) {
            return NGX_ERROR;
        }

        rc = wanted ? ngx_lyftr_scan_wanted(c, needle, bits, wanted,
                                            NGX_LYFTR_SCAN_STEP, err)
                    : ngx_lyftr_scan_step(c, needle, bits,
                                          NGX_LYFTR_SCAN_STEP, err);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_lyftr_sqlite_again(c, err);
}


ngx_int_t
ngx_lyftr_sqlite_scan_rest(ngx_lyftr_sqlite_t *c, ngx_str_t *needle,
    ngx_lyftr_bitmap_t *bits, ngx_lyftr_error_t *err)
{
    return ngx_lyftr_scan_step(c, needle, bits, NGX_MAX_INT_T_VALUE, err);
}


/* what is not known yet, a row at least, for so many msec */

static ngx_int_t
ngx_lyftr_scan_step(ngx_lyftr_sqlite_t *c, ngx_str_t *needle,
    ngx_lyftr_bitmap_t *bits, ngx_msec_t max, ngx_lyftr_error_t *err)
{
    int            rc;
    ngx_msec_t     start;
    sqlite3_stmt  *st;

    start = ngx_lyftr_clock();
    st = c->stmt[NGX_LYFTR_SQL_TEXTS];

    (void) sqlite3_bind_int64(st, 1, bits->scanned);
    (void) sqlite3_bind_int64(st, 2, bits->last);

    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        bits->scanned = sqlite3_column_int64(st, 0);

        if (ngx_lyftr_scan_has(st, needle)) {
            ngx_lyftr_bitmap_set(bits, bits->scanned);
        }

        if (ngx_lyftr_clock() - start >= max) {
            break;
        }
    }

    if (rc == SQLITE_DONE) {
        bits->scanned = bits->last;

    } else if (rc != SQLITE_ROW) {
        (void) ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return rc == SQLITE_DONE || rc == SQLITE_ROW ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_lyftr_scan_wanted(ngx_lyftr_sqlite_t *c, ngx_str_t *needle,
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

        rc = ngx_lyftr_sqlite_contains(c, seq, needle, err);

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
ngx_lyftr_sqlite_contains(ngx_lyftr_sqlite_t *c, int64_t seq,
    ngx_str_t *needle, ngx_lyftr_error_t *err)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_TEXTS];

    (void) sqlite3_bind_int64(st, 1, seq - 1);
    (void) sqlite3_bind_int64(st, 2, seq);

    switch (sqlite3_step(st)) {

    case SQLITE_ROW:
        rc = ngx_lyftr_scan_has(st, needle) ? NGX_OK : NGX_DECLINED;
        break;

    case SQLITE_DONE:
        rc = ngx_lyftr_sqlite_damaged(err);
        break;

    default:
        rc = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return rc;
}


/* a row's text may be NULL */

static ngx_uint_t
ngx_lyftr_scan_has(sqlite3_stmt *st, ngx_str_t *needle)
{
    ngx_str_t  text;

    ngx_lyftr_sqlite_column(st, 1, &text);

    return text.data
           && ngx_lyftr_fold_contains(text.data, text.len, needle->data,
                                      needle->len);
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>
#include <ngx_lyftr_message.h>


/*
 * Rows whose text contains a needle.  If the other filters leave few rows,
 * only their texts are read.  Else all rows of the log that match are found
 * first, and of them those that the filters leave.  If these are few, they
 * are sorted, and if not, the list is gone through, of which then a page is
 * soon full.
 */

#ifndef NGX_LYFTR_SEARCH_FEW
#define NGX_LYFTR_SEARCH_FEW       1000
#endif

/* rows that are read in the time that the index takes, */
#ifndef NGX_LYFTR_SEARCH_READ
#define NGX_LYFTR_SEARCH_READ      2000
#endif

/* and those that are scanned in the time that one is read */
#define NGX_LYFTR_SEARCH_SCAN      4

/* so many are read before the transaction of the list begins */
#ifndef NGX_LYFTR_SEARCH_LONG
#define NGX_LYFTR_SEARCH_LONG      10000
#endif

/* msec of a scan in one transaction, less than a checkpoint waits for it */
#ifndef NGX_LYFTR_SCAN_STEP
#define NGX_LYFTR_SCAN_STEP        2
#endif


typedef struct {
    size_t               key;              /* where it is, in keys */
    size_t               len;
    int64_t              seq;
    u_char              *data;
} ngx_lyftr_found_t;


static ngx_int_t ngx_lyftr_search_needle(ngx_lyftr_query_t *query,
    ngx_str_t *needle, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_ahead(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_str_t *needle, ngx_lyftr_bitmap_t *bits,
    int64_t searched, ngx_uint_t few, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_aside(ngx_lyftr_sqlite_t *c,
    ngx_str_t *needle, ngx_lyftr_bitmap_t *bits, int64_t from,
    ngx_lyftr_bitmap_t *wanted, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_found(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_str_t *needle, ngx_lyftr_bitmap_t *bits,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_list(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_str_t *needle, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_first(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_lyftr_bitmap_t *bits, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_sorted(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_lyftr_bitmap_t *bits, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_row(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, int64_t seq, ngx_lyftr_buf_t *keys,
    ngx_lyftr_buf_t *rows, ngx_lyftr_error_t *err);
static int ngx_lyftr_search_cmp(const void *one, const void *two);


ngx_int_t
ngx_lyftr_sqlite_search(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_lyftr_error_t *err)
{
    int64_t              searched;
    ngx_int_t            rc;
    ngx_str_t            needle;
    ngx_uint_t           few;
    ngx_lyftr_bitmap_t   bits;
    ngx_lyftr_query_t   *query;

    query = list->query;

    if (ngx_lyftr_search_needle(query, &needle, err) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&bits, sizeof(ngx_lyftr_bitmap_t));

    searched = 0;

    rc = (needle.len < NGX_LYFTR_GRAM)
         ? NGX_OK : ngx_lyftr_sqlite_searched(c, &searched, err);

    if (rc != NGX_OK) {
        goto done;
    }

    few = (list->total < (c->index.last - searched) / NGX_LYFTR_SEARCH_SCAN
                         + NGX_LYFTR_SEARCH_READ);

    if (few && list->total < NGX_LYFTR_SEARCH_LONG) {
        rc = ngx_lyftr_search_list(c, list, &needle, err);
        goto done;
    }

    rc = ngx_lyftr_search_ahead(c, list, &needle, &bits, searched, few, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_search_found(c, list, &needle, &bits, err);
    }

done:

    ngx_lyftr_bitmap_free(&bits);
    sqlite3_free(needle.data);

    return rc;
}


ngx_int_t
ngx_lyftr_sqlite_search_few(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_lyftr_error_t *err)
{
    int64_t             searched;
    ngx_int_t           rc;
    ngx_str_t           needle;
    ngx_lyftr_bitmap_t  bits;

    if (ngx_lyftr_search_needle(list->query, &needle, err) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&bits, sizeof(ngx_lyftr_bitmap_t));

    searched = 0;

    rc = (needle.len < NGX_LYFTR_GRAM)
         ? NGX_DECLINED : ngx_lyftr_sqlite_searched(c, &searched, err);

    if (rc == NGX_OK && c->index.last - searched >= NGX_LYFTR_SEARCH_LONG) {
        rc = NGX_DECLINED;
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_match(c, &needle, &bits, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_erased_bits(c, &list->sources, &bits, err);
    }

    if (rc == NGX_OK) {
        rc = (ngx_lyftr_bitmap_count(&bits) > NGX_LYFTR_SEARCH_FEW)
             ? NGX_DECLINED : ngx_lyftr_search_sorted(c, list, &bits, err);
    }

    ngx_lyftr_bitmap_free(&bits);
    sqlite3_free(needle.data);

    return rc;
}


ngx_int_t
ngx_lyftr_sqlite_search_one(ngx_lyftr_sqlite_t *c, ngx_lyftr_query_t *query,
    int64_t seq, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;
    ngx_str_t  needle;

    if (ngx_lyftr_search_needle(query, &needle, err) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_lyftr_search_contains(&c->index, seq, &needle, err);

    sqlite3_free(needle.data);

    return rc;
}


/* what is looked for, folded; to be freed */

static ngx_int_t
ngx_lyftr_search_needle(ngx_lyftr_query_t *query, ngx_str_t *needle,
    ngx_lyftr_error_t *err)
{
    needle->len = ngx_lyftr_fold(NULL, query->q.data, query->q.len);
    needle->data = sqlite3_malloc64(needle->len + 1);

    if (needle->data == NULL) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    (void) ngx_lyftr_fold(needle->data, query->q.data, query->q.len);

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_search_ahead(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_str_t *needle, ngx_lyftr_bitmap_t *bits, int64_t searched,
    ngx_uint_t few, ngx_lyftr_error_t *err)
{
    ngx_int_t           rc;
    ngx_lyftr_bitmap_t  wanted;

    if (!few && c->index.last - searched < NGX_LYFTR_SEARCH_LONG) {
        return NGX_OK;
    }

    ngx_memzero(&wanted, sizeof(ngx_lyftr_bitmap_t));

    rc = few ? ngx_lyftr_bitmap_range(&c->index, &wanted, &list->sources,
                                      err) : NGX_OK;

    ngx_lyftr_merge_close(&list->sources);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_search_aside(c, needle, bits, few ? 0 : searched,
                                    few ? &wanted : NULL, err);
    }

    ngx_lyftr_bitmap_free(&wanted);

    return rc == NGX_OK ? ngx_lyftr_sqlite_range(c, list, err) : NGX_ERROR;
}


/*
 * Finds the rows after one whose text contains the needle, reading all of
 * these texts, or those that are wanted if that is not NULL: then only these
 * are known.  A transaction that reads for seconds would keep the WAL from
 * starting anew.  The rows of the log never change, so each step has one of its
 * own, and after it there may be more rows.
 */

static ngx_int_t
ngx_lyftr_search_aside(ngx_lyftr_sqlite_t *c, ngx_str_t *needle,
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

        if (ngx_lyftr_sqlite_again(c, err) != NGX_OK
            || ngx_lyftr_segments_read(c, err) != NGX_OK)
        {
            return NGX_ERROR;
        }

        /* rows may have left */

        bits->scanned = ngx_max(bits->scanned, c->index.floor);

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


static ngx_int_t
ngx_lyftr_search_found(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_str_t *needle, ngx_lyftr_bitmap_t *bits, ngx_lyftr_error_t *err)
{
    int64_t  n;

    if (ngx_lyftr_sqlite_match(c, needle, bits, err) != NGX_OK
        || ngx_lyftr_sqlite_erased_bits(c, &list->sources, bits, err)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    n = ngx_lyftr_bitmap_count(bits);

    if (n > NGX_LYFTR_SEARCH_FEW && (list->low.len || list->high.len)) {

        if (ngx_lyftr_bitmap_narrow(&c->index, bits, &list->sources,
                                    err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        n = ngx_lyftr_bitmap_count(bits);
    }

    if (n <= NGX_LYFTR_SEARCH_FEW) {
        return ngx_lyftr_search_sorted(c, list, bits, err);
    }

    list->page->total = n;

    return ngx_lyftr_search_first(c, list, bits, err);
}


/* reads the texts of the whole list, and counts */

static ngx_int_t
ngx_lyftr_search_list(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_str_t *needle, ngx_lyftr_error_t *err)
{
    int64_t            passed;
    ngx_int_t          rc;
    ngx_lyftr_entry_t  entry;

    passed = 0;

    while ((rc = ngx_lyftr_merge_next(&c->index, &list->sources, &entry, err))
           == NGX_OK)
    {
        rc = ngx_lyftr_search_contains(&c->index, entry.seq, needle, err);

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        list->page->total++;

        if (ngx_lyftr_sqlite_passed(list, entry.key.data, entry.key.len)
            || passed++ < list->query->offset)
        {
            continue;
        }

        if (ngx_lyftr_sqlite_emit(c, list, entry.seq, err) == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    return rc == NGX_DONE ? NGX_OK : NGX_ERROR;
}


/* as far as the page goes */

static ngx_int_t
ngx_lyftr_search_first(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_lyftr_bitmap_t *bits, ngx_lyftr_error_t *err)
{
    int64_t            passed;
    ngx_int_t          rc;
    ngx_lyftr_entry_t  entry;

    if (list->query->offset >= list->page->total) {
        return NGX_OK;
    }

    if (list->from.len
        && ngx_lyftr_merge_after(&c->index, &list->sources, &list->from, err)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    passed = 0;

    do {
        rc = ngx_lyftr_merge_next(&c->index, &list->sources, &entry, err);

        if (rc == NGX_OK
            && ngx_lyftr_bitmap_has(bits, entry.seq)
            && passed++ >= list->query->offset)
        {
            rc = ngx_lyftr_sqlite_emit(c, list, entry.seq, err);
        }

    } while (rc == NGX_OK);

    return rc == NGX_DONE ? NGX_OK : rc;
}


static ngx_int_t
ngx_lyftr_search_sorted(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_lyftr_bitmap_t *bits, ngx_lyftr_error_t *err)
{
    int64_t             i, at, seq;
    ngx_int_t           rc;
    ngx_uint_t          n;
    ngx_lyftr_buf_t     keys, rows;
    ngx_lyftr_found_t  *found;

    ngx_memzero(&keys, sizeof(ngx_lyftr_buf_t));
    ngx_memzero(&rows, sizeof(ngx_lyftr_buf_t));

    rc = NGX_OK;

    for (seq = ngx_lyftr_bitmap_next(bits, 1);
         seq && rc == NGX_OK;
         seq = ngx_lyftr_bitmap_next(bits, seq + 1))
    {
        rc = ngx_lyftr_search_row(c, list, seq, &keys, &rows, err);
    }

    found = (ngx_lyftr_found_t *) rows.data;
    n = rows.len / sizeof(ngx_lyftr_found_t);

    for (i = 0; i < (int64_t) n; i++) {
        found[i].data = keys.data + found[i].key;
    }

    if (n) {
        ngx_qsort(found, n, sizeof(ngx_lyftr_found_t), ngx_lyftr_search_cmp);
    }

    for (i = list->query->offset; i < (int64_t) n && rc == NGX_OK; i++) {
        at = list->query->desc ? (int64_t) n - 1 - i : i;
        rc = ngx_lyftr_sqlite_emit(c, list, found[at].seq, err);
    }

    ngx_lyftr_buf_free(&keys);
    ngx_lyftr_buf_free(&rows);

    return rc == NGX_DONE ? NGX_OK : rc;
}


/* counts a row if it is in the range, and keeps it if the page may have it */

static ngx_int_t
ngx_lyftr_search_row(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    int64_t seq, ngx_lyftr_buf_t *keys, ngx_lyftr_buf_t *rows,
    ngx_lyftr_error_t *err)
{
    ngx_int_t          rc;
    ngx_lyftr_found_t  found;

    if (ngx_lyftr_sqlite_key(c, list, seq, keys, &found.key, &found.len, err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_lyftr_sqlite_within(list, keys->data + found.key, found.len);

    list->page->total += (rc != NGX_DECLINED);

    if (rc != NGX_OK) {
        return NGX_OK;
    }

    found.seq = seq;

    return ngx_lyftr_buf_add(rows, &found, sizeof(found)) == NGX_OK
           ? NGX_OK
           : ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
}


static int
ngx_lyftr_search_cmp(const void *one, const void *two)
{
    const ngx_lyftr_found_t *a = one;
    const ngx_lyftr_found_t *b = two;

    return ngx_lyftr_key_cmp(a->data, a->len, b->data, b->len);
}

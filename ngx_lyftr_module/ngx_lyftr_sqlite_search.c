#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite.h>
#include <ngx_lyftr_text.h>


/*
 * Rows whose text contains a needle.  They are met in the order of the log, of
 * which those are kept that come first in time; or, for one sender, or far
 * from the first row, in the order of the list.
 */

#define NGX_LYFTR_SEARCH_KEEP      65536


typedef struct {
    u_char              *key;
    size_t               len;
    int64_t              seq;
} ngx_lyftr_match_t;


typedef struct {
    ngx_lyftr_match_t   *elts;             /* a heap, the greatest first */
    ngx_uint_t           n;
    ngx_uint_t           max;
} ngx_lyftr_matches_t;


static ngx_int_t ngx_lyftr_search_list(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_str_t *needle, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_text(ngx_lyftr_sqlite_t *c, int64_t seq,
    ngx_str_t *needle, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_log(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_str_t *needle, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_scan(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_str_t *needle, ngx_lyftr_matches_t *matches,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_keep(ngx_lyftr_list_t *list,
    ngx_lyftr_matches_t *matches, ngx_lyftr_sqlite_row_t *row);
static void ngx_lyftr_search_sift(ngx_lyftr_matches_t *matches, ngx_uint_t i);
static int ngx_lyftr_search_cmp(const void *one, const void *two);


ngx_int_t
ngx_lyftr_sqlite_search(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_lyftr_error_t *err)
{
    ngx_int_t           rc;
    ngx_str_t           needle;
    ngx_lyftr_query_t  *query;

    query = list->query;

    needle.len = ngx_lyftr_fold(NULL, query->q.data, query->q.len);
    needle.data = sqlite3_malloc64(needle.len + 1);

    if (needle.data == NULL) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    (void) ngx_lyftr_fold(needle.data, query->q.data, query->q.len);

    rc = (query->from.len || query->offset > NGX_LYFTR_SEARCH_KEEP)
         ? ngx_lyftr_search_list(c, list, &needle, err)
         : ngx_lyftr_search_log(c, list, &needle, err);

    sqlite3_free(needle.data);

    return rc;
}


static ngx_int_t
ngx_lyftr_search_list(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_str_t *needle, ngx_lyftr_error_t *err)
{
    int64_t              passed;
    ngx_int_t            rc;
    ngx_lyftr_source_t  *source;

    passed = 0;

    while ((rc = ngx_lyftr_sources_next(c, &list->sources, &source, err))
           == NGX_OK)
    {
        rc = ngx_lyftr_search_text(c, source->seq, needle, err);

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        list->page->total++;

        if ((list->from.len
             && ngx_lyftr_key_cmp(source->key.data, source->key.len,
                                  list->from.data, list->from.len)
                < 0)
            || passed++ < list->query->offset)
        {
            continue;
        }

        if (ngx_lyftr_sqlite_emit(c, list, source->seq, err) == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    return rc == NGX_DONE ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_lyftr_search_text(ngx_lyftr_sqlite_t *c, int64_t seq, ngx_str_t *needle,
    ngx_lyftr_error_t *err)
{
    int64_t        found;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_CONTAINS];

    (void) sqlite3_bind_int64(st, 1, seq);
    (void) ngx_lyftr_sqlite_bind(st, 2, needle);

    if (ngx_lyftr_sqlite_int(c, st, &found, err) != NGX_OK) {
        return NGX_ERROR;
    }

    return found ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_lyftr_search_log(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_str_t *needle, ngx_lyftr_error_t *err)
{
    ngx_int_t            rc;
    ngx_uint_t           i;
    ngx_lyftr_query_t   *query;
    ngx_lyftr_matches_t  matches;

    query = list->query;

    /* one more tells if another page follows */

    matches.n = 0;
    matches.max = query->offset + query->limit + 1;
    matches.elts = sqlite3_malloc64(matches.max * sizeof(ngx_lyftr_match_t));

    if (matches.elts == NULL) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    rc = ngx_lyftr_search_scan(c, list, needle, &matches, err);

    ngx_qsort(matches.elts, matches.n, sizeof(ngx_lyftr_match_t),
              ngx_lyftr_search_cmp);

    for (i = query->offset; i < matches.n && rc == NGX_OK; i++) {
        rc = ngx_lyftr_sqlite_emit(c, list, matches.elts[i].seq, err);
    }

    for (i = 0; i < matches.n; i++) {
        sqlite3_free(matches.elts[i].key);
    }

    sqlite3_free(matches.elts);

    return rc == NGX_DONE ? NGX_OK : rc;
}


static ngx_int_t
ngx_lyftr_search_scan(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_str_t *needle, ngx_lyftr_matches_t *matches, ngx_lyftr_error_t *err)
{
    int                      rc;
    sqlite3_stmt            *st;
    ngx_lyftr_query_t       *query;
    ngx_lyftr_sqlite_row_t   row;

    query = list->query;
    st = c->stmt[NGX_LYFTR_SQL_SCAN];

    (void) ngx_lyftr_sqlite_bind(st, 1, needle);

    if (query->since.len) {
        (void) sqlite3_bind_blob(st, 2, query->instant.data,
                                 query->instant.len, SQLITE_STATIC);
    }

    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {

        list->page->total++;

        ngx_lyftr_sqlite_row(st, &row);

        if (ngx_lyftr_search_keep(list, matches, &row) != NGX_OK) {
            (void) ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                         "no memory");
            break;
        }
    }

    if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
        (void) ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);
    (void) sqlite3_clear_bindings(st);

    return rc == SQLITE_DONE ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_lyftr_search_keep(ngx_lyftr_list_t *list, ngx_lyftr_matches_t *matches,
    ngx_lyftr_sqlite_row_t *row)
{
    u_char             *p;
    ngx_uint_t          i;
    ngx_lyftr_match_t   match;

    match.seq = row->seq;
    match.key = sqlite3_malloc64(ngx_lyftr_sqlite_key_len(row));

    if (match.key == NULL) {
        return NGX_ERROR;
    }

    p = ngx_lyftr_sqlite_key_time(match.key, row);

    match.len = p - match.key;

    if ((list->from.len
         && ngx_lyftr_key_cmp(match.key, match.len, list->from.data,
                              list->from.len)
            < 0)
        || (matches->n == matches->max
            && ngx_lyftr_search_cmp(&match, matches->elts) > 0))
    {
        sqlite3_free(match.key);
        return NGX_OK;
    }

    if (matches->n == matches->max) {
        sqlite3_free(matches->elts[0].key);
        matches->elts[0] = match;
        ngx_lyftr_search_sift(matches, 0);
        return NGX_OK;
    }

    for (i = matches->n++; i; i = (i - 1) / 2) {

        if (ngx_lyftr_search_cmp(&match, &matches->elts[(i - 1) / 2]) < 0) {
            break;
        }

        matches->elts[i] = matches->elts[(i - 1) / 2];
    }

    matches->elts[i] = match;

    return NGX_OK;
}


static void
ngx_lyftr_search_sift(ngx_lyftr_matches_t *matches, ngx_uint_t i)
{
    ngx_uint_t          child;
    ngx_lyftr_match_t   match;

    match = matches->elts[i];

    for ( ;; ) {
        child = 2 * i + 1;

        if (child + 1 < matches->n
            && ngx_lyftr_search_cmp(&matches->elts[child],
                                    &matches->elts[child + 1])
               < 0)
        {
            child++;
        }

        if (child >= matches->n
            || ngx_lyftr_search_cmp(&match, &matches->elts[child]) >= 0)
        {
            break;
        }

        matches->elts[i] = matches->elts[child];
        i = child;
    }

    matches->elts[i] = match;
}


static int
ngx_lyftr_search_cmp(const void *one, const void *two)
{
    const ngx_lyftr_match_t *a = one;
    const ngx_lyftr_match_t *b = two;

    return ngx_lyftr_key_cmp(a->key, a->len, b->key, b->len);
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres_list.h>
#include <ngx_lyftr_message.h>


/*
 * Rows whose text contains a needle.  PostgreSQL folds otherwise than we do, so
 * it is asked only for texts that were folded by us, as the housekeeping does
 * with search=on; the others are read and compared here.
 */

/* of a row that was read, and of a text */
#define NGX_LYFTR_POSTGRES_BODY    9
#define NGX_LYFTR_POSTGRES_TEXTS   1000


static ngx_int_t ngx_lyftr_postgres_needle(ngx_lyftr_postgres_t *c,
    ngx_lyftr_query_t *query, ngx_lyftr_postgres_buf_t *needle,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_pattern(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_buf_t *needle, ngx_lyftr_postgres_buf_t *pattern,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_texts(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_lyftr_postgres_buf_t *needle,
    ngx_lyftr_postgres_buf_t *seqs, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_compare(ngx_lyftr_postgres_t *c,
    const PGresult *res, ngx_lyftr_postgres_buf_t *needle,
    ngx_lyftr_postgres_buf_t *seqs, ngx_lyftr_error_t *err);
static PGresult *ngx_lyftr_postgres_found(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_lyftr_postgres_buf_t *seqs,
    ngx_lyftr_postgres_buf_t *pattern, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_found_rows(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, const PGresult *found,
    ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_postgres_search(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_lyftr_error_t *err)
{
    PGresult                  *found;
    ngx_int_t                  rc;
    ngx_lyftr_postgres_buf_t   needle, pattern, seqs;

    found = NULL;

    ngx_memzero(&needle, sizeof(ngx_lyftr_postgres_buf_t));
    ngx_memzero(&pattern, sizeof(ngx_lyftr_postgres_buf_t));
    ngx_memzero(&seqs, sizeof(ngx_lyftr_postgres_buf_t));

    rc = ngx_lyftr_postgres_needle(c, list->query, &needle, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_postgres_pattern(c, &needle, &pattern, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_postgres_texts(c, list, &needle, &seqs, err);
    }

    if (rc == NGX_OK) {
        found = ngx_lyftr_postgres_found(c, list, &seqs, &pattern, err);

        rc = found ? ngx_lyftr_postgres_found_rows(c, list, found, err)
                   : NGX_ERROR;
    }

    PQclear(found);

    ngx_lyftr_postgres_free(&needle);
    ngx_lyftr_postgres_free(&pattern);
    ngx_lyftr_postgres_free(&seqs);

    return rc;
}


ngx_int_t
ngx_lyftr_postgres_search_one(ngx_lyftr_postgres_t *c,
    ngx_lyftr_query_t *query, const PGresult *res, ngx_lyftr_error_t *err)
{
    ngx_int_t                  rc;
    ngx_str_t                  text;
    ngx_lyftr_postgres_buf_t   needle;

    ngx_memzero(&needle, sizeof(ngx_lyftr_postgres_buf_t));

    rc = ngx_lyftr_postgres_needle(c, query, &needle, err);

    if (rc == NGX_OK) {
        ngx_lyftr_postgres_str(res, 0, NGX_LYFTR_POSTGRES_BODY, &text);

        rc = (text.data
              && ngx_lyftr_fold_contains(text.data, text.len, needle.data,
                                         needle.len))
             ? NGX_OK : NGX_DECLINED;
    }

    ngx_lyftr_postgres_free(&needle);

    return rc;
}


/* what is looked for, folded */

static ngx_int_t
ngx_lyftr_postgres_needle(ngx_lyftr_postgres_t *c, ngx_lyftr_query_t *query,
    ngx_lyftr_postgres_buf_t *needle, ngx_lyftr_error_t *err)
{
    size_t  len;

    len = ngx_lyftr_fold(NULL, query->q.data, query->q.len);

    if (ngx_lyftr_postgres_reserve(needle, len) != NGX_OK) {
        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                       "no memory");
    }

    needle->len = ngx_lyftr_fold(needle->data, query->q.data, query->q.len);

    return NGX_OK;
}


/* of LIKE, which is to find it as it stands */

static ngx_int_t
ngx_lyftr_postgres_pattern(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_buf_t *needle, ngx_lyftr_postgres_buf_t *pattern,
    ngx_lyftr_error_t *err)
{
    u_char  *p, *s;
    size_t   i;

    if (ngx_lyftr_postgres_reserve(pattern, 2 * needle->len + 2) != NGX_OK) {
        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                       "no memory");
    }

    p = pattern->data;
    s = needle->data;

    *p++ = '%';

    for (i = 0; i < needle->len; i++) {

        if (s[i] == '%' || s[i] == '_' || s[i] == '\\') {
            *p++ = '\\';
        }

        *p++ = s[i];
    }

    *p++ = '%';

    pattern->len = p - pattern->data;

    return NGX_OK;
}


/* the places of rows whose texts are not folded yet, and which have it */

static ngx_int_t
ngx_lyftr_postgres_texts(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_lyftr_postgres_buf_t *needle,
    ngx_lyftr_postgres_buf_t *seqs, ngx_lyftr_error_t *err)
{
    int                         n;
    PGresult                   *res;
    ngx_int_t                   rc;
    ngx_lyftr_postgres_sql_e    sql;
    ngx_lyftr_postgres_args_t   args;

    sql = NGX_LYFTR_PG_TEXTS_TIME;

    args.n = 0;
    ngx_lyftr_postgres_arg_int(&args, c->state.searched);
    ngx_lyftr_postgres_arg_str(&args, &list->low);
    ngx_lyftr_postgres_arg_str(&args, &list->high);

    if (list->query->from.len) {
        sql = NGX_LYFTR_PG_TEXTS_SENDER;
        ngx_lyftr_postgres_arg_str(&args, &list->from);
        ngx_lyftr_postgres_arg_str(&args, &list->from_rest);
    }

    res = ngx_lyftr_postgres_query(c, sql, &args, c->deadline, err);
    if (res == NULL) {
        return NGX_ERROR;
    }

    do {
        PQclear(res);

        res = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_TEXTS_NEXT, NULL,
                                       c->deadline, err);
        if (res == NULL) {
            return NGX_ERROR;
        }

        n = PQntuples(res);

        rc = ngx_lyftr_postgres_compare(c, res, needle, seqs, err);

    } while (rc == NGX_OK && n == NGX_LYFTR_POSTGRES_TEXTS);

    PQclear(res);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    res = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_TEXTS_CLOSE, NULL,
                                   c->deadline, err);

    PQclear(res);

    return res ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_lyftr_postgres_compare(ngx_lyftr_postgres_t *c, const PGresult *res,
    ngx_lyftr_postgres_buf_t *needle, ngx_lyftr_postgres_buf_t *seqs,
    ngx_lyftr_error_t *err)
{
    int        i, n;
    int64_t    seq;
    ngx_str_t  text;

    n = PQntuples(res);

    for (i = 0; i < n; i++) {
        ngx_lyftr_postgres_str(res, i, 1, &text);

        if (!ngx_lyftr_fold_contains(text.data, text.len, needle->data,
                                     needle->len))
        {
            continue;
        }

        seq = ngx_lyftr_postgres_int(res, i, 0);

        if (ngx_lyftr_postgres_add(seqs, &seq, sizeof(seq)) != NGX_OK) {
            return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                           "no memory");
        }
    }

    return NGX_OK;
}


/* as many as there are, and the places of those on the page, in its order */

static PGresult *
ngx_lyftr_postgres_found(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_lyftr_postgres_buf_t *seqs,
    ngx_lyftr_postgres_buf_t *pattern, ngx_lyftr_error_t *err)
{
    PGresult                   *res;
    ngx_lyftr_query_t          *query;
    ngx_lyftr_postgres_sql_e    sql;
    ngx_lyftr_postgres_buf_t    array;
    ngx_lyftr_postgres_args_t   args;

    query = list->query;

    ngx_memzero(&array, sizeof(ngx_lyftr_postgres_buf_t));

    if (ngx_lyftr_postgres_ints(&array, (int64_t *) seqs->data,
                                seqs->len / sizeof(int64_t))
        != NGX_OK)
    {
        ngx_lyftr_postgres_free(&array);

        (void) ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                       "no memory");
        return NULL;
    }

    args.n = 0;
    ngx_lyftr_postgres_arg(&args, array.data, array.len);
    ngx_lyftr_postgres_arg_int(&args, c->state.searched);
    ngx_lyftr_postgres_arg(&args, pattern->data, pattern->len);
    ngx_lyftr_postgres_arg_str(&args, &list->low);
    ngx_lyftr_postgres_arg_str(&args, &list->high);

    if (query->from.len) {
        ngx_lyftr_postgres_arg_str(&args, &list->from);
        ngx_lyftr_postgres_arg_str(&args, &list->from_rest);

    } else {
        ngx_lyftr_postgres_arg(&args, NULL, 0);
        ngx_lyftr_postgres_arg(&args, NULL, 0);
    }

    ngx_lyftr_postgres_arg_str(&args, &list->key.instant);
    ngx_lyftr_postgres_arg_str(&args, &list->key.id);
    ngx_lyftr_postgres_arg_str(&args, &list->key.rest);
    ngx_lyftr_postgres_arg_int(&args, list->offset);
    ngx_lyftr_postgres_arg_int(&args, query->limit + 1);

    sql = query->desc ? NGX_LYFTR_PG_FOUND_DESC : NGX_LYFTR_PG_FOUND;

    res = ngx_lyftr_postgres_query(c, sql, &args, c->deadline, err);

    ngx_lyftr_postgres_free(&array);

    return res;
}


static ngx_int_t
ngx_lyftr_postgres_found_rows(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, const PGresult *found,
    ngx_lyftr_error_t *err)
{
    int         i, at, n, rows;
    int64_t     seqs[NGX_LYFTR_POSTGRES_CHUNK];
    PGresult   *res;
    ngx_int_t   rc;

    list->page->total = ngx_lyftr_postgres_int(found, 0, 0);

    rows = PQgetisnull(found, 0, 1) ? 0 : PQntuples(found);
    rc = NGX_OK;

    for (at = 0; at < rows && rc == NGX_OK; at += n) {
        n = ngx_min(rows - at, NGX_LYFTR_POSTGRES_CHUNK);

        for (i = 0; i < n; i++) {
            seqs[i] = ngx_lyftr_postgres_int(found, at + i, 1);
        }

        res = ngx_lyftr_postgres_rows(c, seqs, n,
                                      list->query->fields
                                      & NGX_LYFTR_FIELDS_EXTRA, err);
        if (res == NULL) {
            return NGX_ERROR;
        }

        for (i = 0; i < PQntuples(res) && rc == NGX_OK; i++) {
            rc = ngx_lyftr_postgres_emit(c, list, res, i, err);
        }

        PQclear(res);
    }

    return rc;
}

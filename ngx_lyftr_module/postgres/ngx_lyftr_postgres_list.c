#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres_list.h>


static ngx_int_t ngx_lyftr_postgres_page(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_lyftr_error_t *err);
static PGresult *ngx_lyftr_postgres_page_rows(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_int_t limit, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_one(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_postgres_list(void *conn, ngx_lyftr_query_t *query,
    ngx_lyftr_row_pt row, void *data, ngx_lyftr_page_t *page,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_postgres_t *c = conn;

    ngx_int_t                   rc;
    ngx_lyftr_postgres_list_t   list;

    ngx_memzero(page, sizeof(ngx_lyftr_page_t));
    ngx_memzero(&list, sizeof(ngx_lyftr_postgres_list_t));

    list.query = query;
    list.row = row;
    list.data = data;
    list.page = page;

    rc = ngx_lyftr_postgres_bounds(c, &list, err);

    if (rc == NGX_OK && !query->none) {

        if (query->id.len) {
            rc = ngx_lyftr_postgres_one(c, &list, err);

        } else {

            /* each page of a walk would be looked for among all rows */

            page->unsearched = (query->q.len && query->walk);

            rc = (query->q.len && !query->walk)
                 ? ngx_lyftr_postgres_search(c, &list, err)
                 : ngx_lyftr_postgres_page(c, &list, err);
        }
    }

    PQclear(list.held);

    return rc == NGX_DONE ? NGX_OK : rc;
}


/* in pieces, since a row may be long */

static ngx_int_t
ngx_lyftr_postgres_page(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_lyftr_error_t *err)
{
    int         i, n;
    PGresult   *res;
    ngx_int_t   rc, want;

    if (ngx_lyftr_postgres_count(c, list, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (list->query->offset >= list->page->total) {
        return NGX_OK;
    }

    for ( ;; ) {

        /* one more tells if there is a next page */

        want = list->query->limit + 1 - list->n;
        want = ngx_min(want, NGX_LYFTR_POSTGRES_CHUNK);

        res = ngx_lyftr_postgres_page_rows(c, list, want, err);
        if (res == NULL) {
            return NGX_ERROR;
        }

        n = PQntuples(res);
        rc = NGX_OK;

        for (i = 0; i < n && rc == NGX_OK; i++) {
            rc = ngx_lyftr_postgres_emit(c, list, res, i, err);
        }

        if (rc != NGX_OK || n < want) {
            PQclear(res);
            return rc;
        }

        ngx_lyftr_postgres_hold(list, res, n - 1);

        list->offset = 0;
    }
}


static PGresult *
ngx_lyftr_postgres_page_rows(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_int_t limit, ngx_lyftr_error_t *err)
{
    ngx_uint_t                  sql;
    ngx_lyftr_query_t          *query;
    ngx_lyftr_postgres_args_t   args;

    query = list->query;

    sql = query->from.len ? NGX_LYFTR_PG_PAGE_SENDER : NGX_LYFTR_PG_PAGE_TIME;

    if (query->desc) {
        sql += NGX_LYFTR_PG_PAGE_TIME_DESC - NGX_LYFTR_PG_PAGE_TIME;

    } else if (list->including) {
        sql += NGX_LYFTR_PG_PAGE_TIME_FROM - NGX_LYFTR_PG_PAGE_TIME;
    }

    args.n = 0;
    ngx_lyftr_postgres_arg_str(&args, &list->key.instant);
    ngx_lyftr_postgres_arg_str(&args, &list->key.id);
    ngx_lyftr_postgres_arg_str(&args, &list->key.rest);
    ngx_lyftr_postgres_arg_str(&args, query->desc ? &list->low : &list->high);
    ngx_lyftr_postgres_arg_int(&args, list->offset);
    ngx_lyftr_postgres_arg_int(&args, limit);
    ngx_lyftr_postgres_arg_int(&args, query->fields & NGX_LYFTR_FIELDS_EXTRA);

    if (query->from.len) {
        ngx_lyftr_postgres_arg_str(&args, &list->from);
        ngx_lyftr_postgres_arg_str(&args, &list->from_rest);
    }

    return ngx_lyftr_postgres_query(c, sql, &args, c->deadline, err);
}


/* the row of an id, if all else that is asked for holds too */

static ngx_int_t
ngx_lyftr_postgres_one(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_lyftr_error_t *err)
{
    u_char                      h[NGX_LYFTR_POSTGRES_HASH];
    PGresult                   *res;
    ngx_int_t                   rc;
    ngx_lyftr_query_t          *query;
    ngx_lyftr_postgres_args_t   args;

    query = list->query;

    if (ngx_lyftr_postgres_hash(c->digest, &query->id, h) != NGX_OK) {
        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                       "no memory");
    }

    args.n = 0;
    ngx_lyftr_postgres_arg(&args, h, sizeof(h));
    ngx_lyftr_postgres_arg_int(&args, query->fields & NGX_LYFTR_FIELDS_EXTRA);

    res = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_ROW_OF_ID, &args,
                                   c->deadline, err);
    if (res == NULL) {
        return NGX_ERROR;
    }

    rc = PQntuples(res) ? ngx_lyftr_postgres_within(list, res, 0)
                        : NGX_DECLINED;

    if (rc != NGX_DECLINED && query->q.len
        && ngx_lyftr_postgres_search_one(c, query, res, err) != NGX_OK)
    {
        rc = NGX_DECLINED;
    }

    if (rc != NGX_DECLINED) {
        list->page->total = 1;

        if (rc == NGX_OK && query->offset == 0) {
            rc = ngx_lyftr_postgres_emit(c, list, res, 0, err);
        }
    }

    PQclear(res);

    return rc == NGX_ERROR ? NGX_ERROR : NGX_OK;
}

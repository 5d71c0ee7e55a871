#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres_list.h>
#include <ngx_lyftr_message.h>


/*
 * Totals are exact and need no count of all rows: the ranges have counted the
 * log up to a place, the two that the filters cut are counted again as far as
 * they reach, and so is what came after that place.
 */

/* an offset from which on the ranges are asked where it begins */
#ifndef NGX_LYFTR_POSTGRES_DEEP
#define NGX_LYFTR_POSTGRES_DEEP    1000
#endif


static ngx_int_t ngx_lyftr_postgres_ranks(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_uint_t plain,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_place(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_lyftr_error_t *err);
static ngx_uint_t ngx_lyftr_postgres_outside(ngx_lyftr_postgres_list_t *list,
    const PGresult *res, int column);


ngx_int_t
ngx_lyftr_postgres_count(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_lyftr_error_t *err)
{
    ngx_uint_t          plain;
    ngx_lyftr_query_t  *query;

    query = list->query;

    /* the ranges know the beginning of a sender only */

    plain = (ngx_lyftr_utf8_count(list->from.data, list->from.len)
             >= NGX_LYFTR_POSTGRES_KEY);

    if (ngx_lyftr_postgres_ranks(c, list, plain, err) != NGX_OK) {
        return NGX_ERROR;
    }

    list->page->total = list->high_rank - list->low_rank;

    if (plain
        || list->after
        || query->offset < NGX_LYFTR_POSTGRES_DEEP
        || query->offset >= list->page->total)
    {
        return NGX_OK;
    }

    return ngx_lyftr_postgres_place(c, list, err);
}


static ngx_int_t
ngx_lyftr_postgres_ranks(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_uint_t plain, ngx_lyftr_error_t *err)
{
    PGresult                   *res;
    ngx_lyftr_query_t          *query;
    ngx_lyftr_postgres_sql_e    sql;
    ngx_lyftr_postgres_args_t   args;

    query = list->query;
    args.n = 0;

    if (query->from.len == 0 && query->since.len == 0
        && query->until.len == 0)
    {
        ngx_lyftr_postgres_arg_int(&args, c->state.counted);

        res = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_COUNT_ALL, &args,
                                       c->deadline, err);
        if (res == NULL) {
            return NGX_ERROR;
        }

        list->high_rank = c->state.rows + ngx_lyftr_postgres_int(res, 0, 0);

        PQclear(res);

        return NGX_OK;
    }

    ngx_lyftr_postgres_arg_str(&args, &list->low);
    ngx_lyftr_postgres_arg_str(&args, &list->high);

    if (plain) {
        sql = NGX_LYFTR_PG_COUNT_LONG;
        ngx_lyftr_postgres_arg_str(&args, &list->from);
        ngx_lyftr_postgres_arg_str(&args, &list->from_rest);

    } else {
        sql = NGX_LYFTR_PG_COUNT_TIME;
        ngx_lyftr_postgres_arg_int(&args, c->state.counted);

        if (query->from.len) {
            sql = NGX_LYFTR_PG_COUNT_SENDER;
            ngx_lyftr_postgres_arg_str(&args, &list->from);
        }
    }

    res = ngx_lyftr_postgres_query(c, sql, &args, c->deadline, err);
    if (res == NULL) {
        return NGX_ERROR;
    }

    list->low_rank = ngx_lyftr_postgres_int(res, 0, 0);
    list->high_rank = ngx_lyftr_postgres_int(res, 0, 1);

    PQclear(res);

    return NGX_OK;
}


/* the range that the first row of the page is in, unless a filter cuts it */

static ngx_int_t
ngx_lyftr_postgres_place(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_lyftr_error_t *err)
{
    int                         at;
    int64_t                     rank;
    PGresult                   *res;
    ngx_uint_t                  desc;
    ngx_lyftr_query_t          *query;
    ngx_lyftr_postgres_sql_e    sql;
    ngx_lyftr_postgres_args_t   args;

    query = list->query;
    desc = query->desc;

    rank = desc ? list->high_rank - 1 - query->offset
                : list->low_rank + query->offset;

    args.n = 0;
    ngx_lyftr_postgres_arg_int(&args, c->state.counted);
    ngx_lyftr_postgres_arg_int(&args, rank);

    sql = query->from.len ? NGX_LYFTR_PG_PLACE_SENDER
                          : NGX_LYFTR_PG_PLACE_TIME;

    res = ngx_lyftr_postgres_query(c, sql, &args, c->deadline, err);
    if (res == NULL) {
        return NGX_ERROR;
    }

    /* its own columns, or those of the next one: s, i, id and rank */

    at = desc ? 4 : 0;

    if (PQntuples(res) == 0 || ngx_lyftr_postgres_outside(list, res, at)) {
        PQclear(res);
        return NGX_OK;
    }

    list->offset = desc ? ngx_lyftr_postgres_int(res, 0, at + 3) - 1 - rank
                        : rank - ngx_lyftr_postgres_int(res, 0, at + 3);

    ngx_lyftr_postgres_str(res, 0, at + 1, &list->key.instant);
    ngx_lyftr_postgres_str(res, 0, at + 2, &list->key.id);

    list->including = !desc;
    list->held = res;

    return NGX_OK;
}


/* does it begin before what the filters leave, or end behind that? */

static ngx_uint_t
ngx_lyftr_postgres_outside(ngx_lyftr_postgres_list_t *list,
    const PGresult *res, int column)
{
    int        cmp;
    ngx_str_t  s, i;

    if (PQgetisnull(res, 0, column)) {
        return 1;
    }

    ngx_lyftr_postgres_str(res, 0, column, &s);
    ngx_lyftr_postgres_str(res, 0, column + 1, &i);

    cmp = list->query->from.len ? ngx_lyftr_postgres_cmp(&s, &list->from) : 0;

    if (list->query->desc) {
        return cmp ? cmp > 0 : ngx_lyftr_postgres_cmp(&i, &list->high) >= 0;
    }

    return cmp ? cmp < 0 : ngx_lyftr_postgres_cmp(&i, &list->low) < 0;
}

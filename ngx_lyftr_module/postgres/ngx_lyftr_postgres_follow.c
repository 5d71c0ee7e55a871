#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres.h>


/* msec of a step, and rows that are read at once */
#define NGX_LYFTR_POSTGRES_STEP    5
#define NGX_LYFTR_POSTGRES_ROWS    256


static ngx_int_t ngx_lyftr_postgres_follow_begin(ngx_lyftr_postgres_t *c,
    ngx_lyftr_follow_t *follow, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_newest(ngx_lyftr_postgres_t *c,
    ngx_lyftr_position_t *position, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_follow_rows(ngx_lyftr_postgres_t *c,
    ngx_lyftr_follow_t *follow, ngx_lyftr_row_pt row, void *data,
    ngx_lyftr_error_t *err);


/*
 * The places of a batch are given before its commit, one batch after the other,
 * so that no row comes to stand before one that is there.  What is not durable
 * yet is left for the next time.
 */

ngx_int_t
ngx_lyftr_postgres_follow(void *conn, ngx_lyftr_follow_t *follow,
    ngx_lyftr_row_pt row, void *data, ngx_lyftr_error_t *err)
{
    ngx_lyftr_postgres_t *c = conn;

    ngx_int_t   rc;
    ngx_msec_t  start;

    if (follow->begin) {
        rc = ngx_lyftr_postgres_follow_begin(c, follow, err);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (row == NULL) {
        return NGX_OK;
    }

    start = ngx_lyftr_clock();
    follow->end = 0;

    do {
        rc = ngx_lyftr_postgres_follow_rows(c, follow, row, data, err);

    } while (rc == NGX_OK
             && !follow->end
             && ngx_lyftr_clock() - start < NGX_LYFTR_POSTGRES_STEP);

    return rc == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


/* a row that is not there has left by its age, as all before it */

static ngx_int_t
ngx_lyftr_postgres_follow_begin(ngx_lyftr_postgres_t *c,
    ngx_lyftr_follow_t *follow, ngx_lyftr_error_t *err)
{
    PGresult   *res;
    ngx_int_t   rc;

    follow->begin = 0;
    follow->gap = 0;

    if (follow->newest) {
        return ngx_lyftr_postgres_newest(c, &follow->place, err);
    }

    if (follow->place.seq) {
        rc = ngx_lyftr_postgres_locate(c, &follow->place, &res, err);

        if (rc == NGX_OK) {
            PQclear(res);
        }

        if (rc == NGX_ERROR || rc == NGX_DECLINED) {
            return rc;
        }
    }

    follow->gap = (follow->place.seq < c->state.floor);

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_postgres_newest(ngx_lyftr_postgres_t *c,
    ngx_lyftr_position_t *position, ngx_lyftr_error_t *err)
{
    PGresult                   *res;
    ngx_int_t                   rc;
    ngx_lyftr_message_t         m;
    ngx_lyftr_postgres_args_t   args;

    ngx_memzero(position, sizeof(ngx_lyftr_position_t));

    args.n = 0;
    ngx_lyftr_postgres_arg_int(&args, c->state.durable);

    res = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_NEWEST, &args, c->deadline,
                                   err);
    if (res == NULL) {
        return NGX_ERROR;
    }

    rc = PQntuples(res) ? ngx_lyftr_postgres_row(c, res, 0, &m, position, err)
                        : NGX_OK;

    PQclear(res);

    return rc;
}


/* NGX_DONE: no more are wanted */

static ngx_int_t
ngx_lyftr_postgres_follow_rows(ngx_lyftr_postgres_t *c,
    ngx_lyftr_follow_t *follow, ngx_lyftr_row_pt row, void *data,
    ngx_lyftr_error_t *err)
{
    int                         i, n;
    PGresult                   *res;
    ngx_int_t                   rc;
    ngx_lyftr_message_t         m;
    ngx_lyftr_position_t        position;
    ngx_lyftr_postgres_args_t   args;

    args.n = 0;
    ngx_lyftr_postgres_arg_int(&args, follow->place.seq);
    ngx_lyftr_postgres_arg_int(&args, c->state.durable);
    ngx_lyftr_postgres_arg_int(&args, NGX_LYFTR_POSTGRES_ROWS);
    ngx_lyftr_postgres_arg_int(&args, follow->extra);

    res = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_FOLLOW, &args, c->deadline,
                                   err);
    if (res == NULL) {
        return NGX_ERROR;
    }

    n = PQntuples(res);
    rc = NGX_OK;

    for (i = 0; i < n; i++) {
        rc = ngx_lyftr_postgres_row(c, res, i, &m, &position, err);

        if (rc != NGX_OK) {
            break;
        }

        rc = row(data, &m, &position);

        if (rc == NGX_ERROR) {
            (void) ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                           "the reader of the rows stopped");
        }

        if (rc != NGX_OK) {
            break;
        }

        follow->place = position;
    }

    PQclear(res);

    if (rc == NGX_OK && n < NGX_LYFTR_POSTGRES_ROWS) {
        follow->end = 1;
    }

    return rc;
}

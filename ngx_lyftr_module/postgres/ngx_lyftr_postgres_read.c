#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres.h>

#include <stdio.h>


/* msec that the end of a snapshot may take */
#define NGX_LYFTR_POSTGRES_ENDING  1000


/* the server ends by itself what is read too long: no cancel is needed */

ngx_int_t
ngx_lyftr_postgres_begin(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_postgres_t *c = conn;

    int                         n;
    char                        text[NGX_INT64_LEN + 1];
    int64_t                     floor;
    PGresult                   *res[3];
    ngx_int_t                   rc;
    ngx_lyftr_postgres_args_t   args;

    if (ngx_lyftr_postgres_call_gone(c)
        && ngx_lyftr_postgres_connect(c, 0, deadline, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    c->deadline = deadline;

    n = snprintf(text, sizeof(text), "%lu",
                 (unsigned long) ngx_lyftr_postgres_left(deadline) + 1);

    args.n = 0;
    ngx_lyftr_postgres_arg(&args, text, n);

    floor = ngx_lyftr_postgres_floor(c);

    if (ngx_lyftr_postgres_send(c, NGX_LYFTR_PG_BEGIN_READ, NULL, err)
        != NGX_OK
        || ngx_lyftr_postgres_send(c, NGX_LYFTR_PG_LIMIT_READ, &args, err)
           != NGX_OK
        || ngx_lyftr_postgres_send(c, NGX_LYFTR_PG_STATE, NULL, err) != NGX_OK
        || ngx_lyftr_postgres_sync(c, err) != NGX_OK
        || ngx_lyftr_postgres_results(c, res, 3, deadline, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    c->reads = 1;

    rc = ngx_lyftr_postgres_state(c, res[2], floor, err);

    PQclear(res[0]);
    PQclear(res[1]);
    PQclear(res[2]);

    return rc;
}


ngx_int_t
ngx_lyftr_postgres_state(ngx_lyftr_postgres_t *c, const PGresult *res,
    int64_t floor, ngx_lyftr_error_t *err)
{
    ngx_lyftr_postgres_state_t  *state;

    if (PQntuples(res) != 1) {
        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_MOVED,
                                       "the store was there, and is gone");
    }

    state = &c->state;

    state->store = (uint64_t) ngx_lyftr_postgres_int(res, 0, 0);
    state->last = ngx_lyftr_postgres_int(res, 0, 1);
    state->durable = ngx_lyftr_postgres_int(res, 0, 2);
    state->counted = ngx_lyftr_postgres_int(res, 0, 3);
    state->rows = ngx_lyftr_postgres_int(res, 0, 4);
    state->senders = ngx_lyftr_postgres_int(res, 0, 5);
    state->searched = ngx_lyftr_postgres_int(res, 0, 6);
    state->floor = ngx_lyftr_postgres_int(res, 0, 7);
    state->left_rows = ngx_lyftr_postgres_int(res, 0, 8);
    state->left_bytes = ngx_lyftr_postgres_int(res, 0, 9);

    return ngx_lyftr_postgres_same_store(c, err) == NGX_OK
           ? ngx_lyftr_postgres_reached(c, floor, state->durable, 0, err)
           : NGX_ERROR;
}


void
ngx_lyftr_postgres_end(void *conn)
{
    ngx_lyftr_postgres_t *c = conn;

    PGresult           *res;
    ngx_atomic_t       *stop;
    ngx_lyftr_error_t   ignored;

    if (!c->reads) {
        return;
    }

    c->reads = 0;

    if (ngx_lyftr_postgres_dead(c)) {
        return;
    }

    /* nobody may wait for what was read, but others for the connection */

    stop = c->call.stop;
    c->call.stop = NULL;

    res = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_COMMIT, NULL,
                                   ngx_lyftr_clock()
                                   + NGX_LYFTR_POSTGRES_ENDING, &ignored);

    c->call.stop = stop;

    if (res == NULL) {
        ngx_lyftr_postgres_call_close(c);
        return;
    }

    PQclear(res);
}


void
ngx_lyftr_postgres_watch(void *conn, ngx_atomic_t *stop)
{
    ngx_lyftr_postgres_t *c = conn;

    c->call.stop = stop;
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres.h>


/* what is counted, and the rows after that */

ngx_int_t
ngx_lyftr_postgres_stats(void *conn, ngx_lyftr_stats_t *stats,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_postgres_t *c = conn;

    int                         i;
    PGresult                   *res[2];
    ngx_lyftr_postgres_args_t   args;

    ngx_memzero(stats, sizeof(ngx_lyftr_stats_t));

    args.n = 0;
    ngx_lyftr_postgres_arg_int(&args, c->state.counted);

    if (ngx_lyftr_postgres_send(c, NGX_LYFTR_PG_STATS, &args, err) != NGX_OK
        || ngx_lyftr_postgres_send(c, NGX_LYFTR_PG_ENDS, NULL, err) != NGX_OK
        || ngx_lyftr_postgres_sync(c, err) != NGX_OK
        || ngx_lyftr_postgres_results(c, res, 2, c->deadline, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    stats->total = c->state.rows;
    stats->senders = c->state.senders;
    stats->ntop = PQntuples(res[0]);

    for (i = 0; i < (int) stats->ntop; i++) {
        ngx_lyftr_postgres_str(res[0], i, 0, &stats->top[i].from);
        stats->top[i].count = ngx_lyftr_postgres_int(res[0], i, 1);
    }

    if (i) {
        stats->total += ngx_lyftr_postgres_int(res[0], 0, 2);
        stats->senders += ngx_lyftr_postgres_int(res[0], 0, 3);
    }

    ngx_lyftr_postgres_str(res[1], 0, 0, &stats->first);
    ngx_lyftr_postgres_str(res[1], 0, 1, &stats->last);

    /* the strings are of both results */

    PQclear(c->kept[0]);
    PQclear(c->kept[1]);

    c->kept[0] = res[0];
    c->kept[1] = res[1];

    return NGX_OK;
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres_jobs.h>


/*
 * Which rows are to leave, by the server's clock, which has told when they
 * came.  They leave in the order of arrival, so the first one that is too young
 * keeps all after it, whatever these say.  Of a row that says nothing, or a
 * time that is still to come, nothing is known but that it came before the next
 * one.
 *
 * So that a clock that is wrong for a while lets nothing leave, what is too old
 * only since it was set forward waits.
 */

/* so many pieces of keep= leave one after the other */
#define NGX_LYFTR_POSTGRES_PIECES  32

/* rows that are looked at in one go, and msec between two looks */
#define NGX_LYFTR_POSTGRES_AGES    8192
#define NGX_LYFTR_POSTGRES_AGED    500

/* msec: of a leap of the clock that counts, and of the longest wait after it */
#define NGX_LYFTR_POSTGRES_LEAP    1000
#define NGX_LYFTR_POSTGRES_HOLD    3600000

/* pages whose rows tell how large all are, and msec between two looks */
#define NGX_LYFTR_POSTGRES_SAMPLE  256
#define NGX_LYFTR_POSTGRES_WEIGHED 2000


static ngx_int_t ngx_lyftr_postgres_ages(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_keep_t *keep, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
static void ngx_lyftr_postgres_clock(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_keep_t *keep, int64_t now);
static void ngx_lyftr_postgres_due(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_keep_t *keep);
static ngx_int_t ngx_lyftr_postgres_weigh(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_keep_t *keep, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_postgres_keep_look(ngx_lyftr_postgres_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_msec_t                  now;
    ngx_lyftr_postgres_keep_t  *keep;

    keep = &c->jobs->keep;
    now = ngx_lyftr_clock();

    /* the oldest row is another one as soon as rows have left */

    if (now - keep->aged < NGX_LYFTR_POSTGRES_AGED
        && keep->floor == c->state.floor
        && !(c->dsn->keep && keep->more))
    {
        return NGX_OK;
    }

    keep->aged = now;
    keep->floor = c->state.floor;

    /* what others have let leave is behind us */

    keep->seen = ngx_max(keep->seen, keep->floor);
    keep->old = ngx_max(keep->old, keep->floor);

    return ngx_lyftr_postgres_ages(c, keep, deadline, err);
}


ngx_int_t
ngx_lyftr_postgres_keep(ngx_lyftr_postgres_t *c, int64_t *to,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_msec_t                  now;
    ngx_lyftr_postgres_keep_t  *keep;

    keep = &c->jobs->keep;
    now = ngx_lyftr_clock();

    if (c->dsn->keep) {
        ngx_lyftr_postgres_due(c, keep);
    }

    if (c->dsn->keep_bytes
        && keep->to <= c->state.floor
        && now - keep->weighed >= NGX_LYFTR_POSTGRES_WEIGHED)
    {
        keep->weighed = now;

        if (ngx_lyftr_postgres_weigh(c, keep, deadline, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    *to = keep->to;

    return NGX_OK;
}


/* looks on at how old the rows are */

static ngx_int_t
ngx_lyftr_postgres_ages(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_keep_t *keep, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int64_t                     now, seen, old, to;
    PGresult                   *res;
    ngx_lyftr_postgres_args_t   args;

    /* the one that was too young still is */

    now = (int64_t) ngx_lyftr_clock() + keep->ahead;

    to = (c->dsn->keep
          && !(keep->young && now - keep->young <= c->dsn->keep))
         ? c->state.counted : keep->seen;

    args.n = 0;
    ngx_lyftr_postgres_arg_int(&args, keep->seen);
    ngx_lyftr_postgres_arg_int(&args, to);
    ngx_lyftr_postgres_arg_int(&args, NGX_LYFTR_POSTGRES_AGES);
    ngx_lyftr_postgres_arg_int(&args, c->dsn->keep);
    ngx_lyftr_postgres_arg_int(&args, c->state.floor);

    res = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_JOB_AGES, &args, deadline,
                                   err);
    if (res == NULL) {
        return NGX_ERROR;
    }

    now = ngx_lyftr_postgres_int(res, 0, 0);
    seen = ngx_lyftr_postgres_int(res, 0, 3);
    old = ngx_lyftr_postgres_int(res, 0, 4);

    keep->oldest = ngx_lyftr_postgres_int(res, 0, 1);
    keep->more = (ngx_lyftr_postgres_int(res, 0, 2)
                  == NGX_LYFTR_POSTGRES_AGES);

    if (to > keep->seen) {
        keep->young = ngx_lyftr_postgres_int(res, 0, 5);
        keep->more = keep->more && keep->young == 0;

        /* the last places may have no rows */

        if (keep->young == 0 && !keep->more) {
            seen = to;
        }
    }

    PQclear(res);

    keep->seen = ngx_max(keep->seen, seen);
    keep->old = ngx_max(keep->old, old);

    ngx_lyftr_postgres_clock(c, keep, now);

    return NGX_OK;
}


/* what was found of the rows is found again, if the clock was set */

static void
ngx_lyftr_postgres_clock(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_keep_t *keep, int64_t now)
{
    int64_t     leap, piece;
    ngx_msec_t  msec;

    msec = ngx_lyftr_clock();
    leap = now - (int64_t) msec - keep->ahead;
    piece = c->dsn->keep / (2 * NGX_LYFTR_POSTGRES_PIECES);

    keep->ahead += leap;

    if (keep->held && (ngx_msec_int_t) (msec - keep->hold) >= 0) {
        keep->held = 0;
    }

    if (!keep->clocked) {
        keep->clocked = 1;
        return;
    }

    if (leap > -NGX_LYFTR_POSTGRES_LEAP
        && leap < ngx_max(piece, NGX_LYFTR_POSTGRES_LEAP))
    {
        return;
    }

    keep->seen = c->state.floor;
    keep->old = c->state.floor;
    keep->to = c->state.floor;
    keep->young = 0;

    keep->held = (leap > 0);
    keep->hold = msec + ngx_min(piece, NGX_LYFTR_POSTGRES_HOLD);
}


/*
 * A piece at a time, and that up to its end, which is the first row that stays,
 * or the last one of all.
 */

static void
ngx_lyftr_postgres_due(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_keep_t *keep)
{
    int64_t  now, piece;

    now = (int64_t) ngx_lyftr_clock() + keep->ahead;
    piece = c->dsn->keep / NGX_LYFTR_POSTGRES_PIECES;

    if (keep->held
        || keep->to > c->state.floor
        || keep->old <= c->state.floor
        || (keep->young == 0 && !keep->more
            && keep->seen < c->state.durable)
        || (keep->oldest && now - keep->oldest <= c->dsn->keep + piece))
    {
        return;
    }

    keep->to = ngx_min(keep->old, c->state.counted);
}


/* the oldest ones, as many as take about what is too much, and a little more */

static ngx_int_t
ngx_lyftr_postgres_weigh(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_keep_t *keep, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int64_t                     used;
    double                      share;
    PGresult                   *res;
    ngx_lyftr_postgres_args_t   args;

    args.n = 0;
    ngx_lyftr_postgres_arg_int(&args, NGX_LYFTR_POSTGRES_SAMPLE);
    ngx_lyftr_postgres_arg_int(&args, c->dsn->search);

    res = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_JOB_USED, &args, deadline,
                                   err);
    if (res == NULL) {
        return NGX_ERROR;
    }

    used = ngx_lyftr_postgres_int(res, 0, 0)
           * (c->state.rows + c->jobs->tail);

    PQclear(res);

    if (used <= c->dsn->keep_bytes) {
        return NGX_OK;
    }

    share = (double) (used - c->dsn->keep_bytes
                      + c->dsn->keep_bytes / NGX_LYFTR_POSTGRES_PIECES) / used;

    keep->to = c->state.floor + 1
               + (int64_t) ((c->state.last - c->state.floor)
                            * ngx_min(share, 1));

    keep->to = ngx_min(keep->to, c->state.counted);

    return NGX_OK;
}


int64_t
ngx_lyftr_postgres_keep_oldest(ngx_lyftr_postgres_t *c)
{
    return c->jobs->keep.oldest / 1000;
}


int64_t
ngx_lyftr_postgres_keep_lag(ngx_lyftr_postgres_t *c)
{
    int64_t                     now;
    ngx_lyftr_postgres_keep_t  *keep;

    keep = &c->jobs->keep;
    now = (int64_t) ngx_lyftr_clock() + keep->ahead;

    if (c->dsn->keep == 0 || keep->oldest == 0) {
        return 0;
    }

    return ngx_max(now - keep->oldest - c->dsn->keep, 0) / 1000;
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres_jobs.h>
#include <ngx_lyftr_message.h>


/*
 * Steps of the jobs, each a transaction that holds the lock of the state's row.
 * They follow the log up to the newest place that is durable, and are as
 * durable as that with the next barrier: what is lost is done again.
 */

/* places that are counted in a step */
#ifndef NGX_LYFTR_POSTGRES_PLACES
#define NGX_LYFTR_POSTGRES_PLACES  16384
#endif

/* places that are counted at once, and msec after which fewer are, too */
#define NGX_LYFTR_POSTGRES_WORTH   4096
#define NGX_LYFTR_POSTGRES_REST    250

/* from so many on they are sorted, and below looked up one by one */
#ifndef NGX_LYFTR_POSTGRES_MANY
#define NGX_LYFTR_POSTGRES_MANY    1024
#endif

/* the most rows of a range, and those of the ranges it is split into */
#ifndef NGX_LYFTR_POSTGRES_LONG
#define NGX_LYFTR_POSTGRES_LONG    4096
#endif
#define NGX_LYFTR_POSTGRES_SHORT   (NGX_LYFTR_POSTGRES_LONG / 4)

/* texts that are folded in a step, and rows that leave */
#define NGX_LYFTR_POSTGRES_TEXTS   1000
#ifndef NGX_LYFTR_POSTGRES_PIECE
#define NGX_LYFTR_POSTGRES_PIECE   1024
#endif


static ngx_int_t ngx_lyftr_postgres_step_begin(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_step_end(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_sql_e sql, ngx_lyftr_postgres_args_t *args,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_step_undo(ngx_lyftr_postgres_t *c,
    ngx_int_t rc, ngx_msec_t deadline);
static ngx_int_t ngx_lyftr_postgres_counted(ngx_lyftr_postgres_t *c,
    int64_t to, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_split(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_sql_e sql, const PGresult *res, int64_t to,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_index(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_folded(ngx_lyftr_postgres_t *c,
    int64_t *to, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_fold(const PGresult *res,
    ngx_lyftr_postgres_buf_t *seqs, ngx_lyftr_postgres_buf_t *texts);
static ngx_int_t ngx_lyftr_postgres_piece(ngx_lyftr_postgres_t *c,
    int64_t *to, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_left_now(ngx_lyftr_postgres_t *c,
    int64_t to, ngx_msec_t deadline, ngx_lyftr_error_t *err);


/* NGX_DECLINED: somebody else has the lock */

static ngx_int_t
ngx_lyftr_postgres_step_begin(ngx_lyftr_postgres_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int         n;
    int64_t     floor;
    PGresult   *res[3];
    ngx_int_t   rc;

    if (ngx_lyftr_postgres_send(c, NGX_LYFTR_PG_BEGIN, NULL, err) != NGX_OK
        || ngx_lyftr_postgres_limits(c, deadline, err) != NGX_OK
        || ngx_lyftr_postgres_send(c, NGX_LYFTR_PG_JOB_LOCK, NULL, err)
           != NGX_OK
        || ngx_lyftr_postgres_sync(c, err) != NGX_OK
        || ngx_lyftr_postgres_results(c, res, 3, deadline, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    n = PQntuples(res[2]);

    PQclear(res[0]);
    PQclear(res[1]);
    PQclear(res[2]);

    if (n == 0) {
        return NGX_DECLINED;
    }

    /* what others have done since */

    floor = ngx_lyftr_postgres_floor(c);

    res[0] = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_STATE, NULL, deadline,
                                      err);
    if (res[0] == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_lyftr_postgres_state(c, res[0], floor, err);

    PQclear(res[0]);

    return rc;
}


static ngx_int_t
ngx_lyftr_postgres_step_end(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_sql_e sql, ngx_lyftr_postgres_args_t *args,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    PGresult  *res[2];

    if (ngx_lyftr_postgres_send(c, sql, args, err) != NGX_OK
        || ngx_lyftr_postgres_send(c, NGX_LYFTR_PG_COMMIT, NULL, err)
           != NGX_OK
        || ngx_lyftr_postgres_sync(c, err) != NGX_OK
        || ngx_lyftr_postgres_results(c, res, 2, deadline, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    PQclear(res[0]);
    PQclear(res[1]);

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_postgres_step_undo(ngx_lyftr_postgres_t *c, ngx_int_t rc,
    ngx_msec_t deadline)
{
    ngx_lyftr_postgres_rollback(c, deadline);

    return rc;
}


/* adds the next rows of the log to the ranges, and to the senders */

ngx_int_t
ngx_lyftr_postgres_step_count(ngx_lyftr_postgres_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int64_t     to;
    ngx_int_t   rc;
    ngx_msec_t  now;

    if (c->state.counted >= c->state.durable) {
        return NGX_DONE;
    }

    /* a sender's count is updated once a step, and not once a row */

    now = ngx_lyftr_clock();

    if (c->state.durable - c->state.counted < NGX_LYFTR_POSTGRES_WORTH
        && now - c->jobs->counted < NGX_LYFTR_POSTGRES_REST)
    {
        return NGX_DONE;
    }

    c->jobs->counted = now;

    rc = ngx_lyftr_postgres_step_begin(c, deadline, err);

    if (rc == NGX_DECLINED) {
        return ngx_lyftr_postgres_step_undo(c, NGX_DONE, deadline);
    }

    to = ngx_min(c->state.counted + NGX_LYFTR_POSTGRES_PLACES,
                 c->state.durable);

    if (rc == NGX_OK && to <= c->state.counted) {
        return ngx_lyftr_postgres_step_undo(c, NGX_DONE, deadline);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_postgres_counted(c, to, deadline, err);
    }

    if (rc != NGX_OK) {
        return ngx_lyftr_postgres_step_undo(c, NGX_ERROR, deadline);
    }

    return to < c->state.durable ? NGX_OK : NGX_DONE;
}


static ngx_int_t
ngx_lyftr_postgres_counted(ngx_lyftr_postgres_t *c, int64_t to,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    PGresult                   *res[3];
    ngx_int_t                   rc;
    ngx_uint_t                  many;
    ngx_lyftr_postgres_args_t   args;

    many = (to - c->state.counted >= NGX_LYFTR_POSTGRES_MANY);

    args.n = 0;
    ngx_lyftr_postgres_arg_int(&args, c->state.counted);
    ngx_lyftr_postgres_arg_int(&args, to);
    ngx_lyftr_postgres_arg_int(&args, NGX_LYFTR_POSTGRES_LONG);

    if (ngx_lyftr_postgres_send(c, many ? NGX_LYFTR_PG_JOB_TIME_MANY
                                        : NGX_LYFTR_PG_JOB_TIME, &args, err)
        != NGX_OK
        || ngx_lyftr_postgres_send(c, many ? NGX_LYFTR_PG_JOB_SENDER_MANY
                                           : NGX_LYFTR_PG_JOB_SENDER, &args,
                                   err)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    args.n = 2;

    if (ngx_lyftr_postgres_send(c, NGX_LYFTR_PG_JOB_SENDERS, &args, err)
        != NGX_OK
        || ngx_lyftr_postgres_sync(c, err) != NGX_OK
        || ngx_lyftr_postgres_results(c, res, 3, deadline, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_lyftr_postgres_split(c, NGX_LYFTR_PG_JOB_SPLIT_TIME, res[0], to,
                                  deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_postgres_split(c, NGX_LYFTR_PG_JOB_SPLIT_SENDER, res[1],
                                      to, deadline, err);
    }

    if (rc == NGX_OK) {
        args.n = 0;
        ngx_lyftr_postgres_arg_int(&args, to);
        ngx_lyftr_postgres_arg_int(&args,
                                   ngx_lyftr_postgres_int(res[2], 0, 0));
        ngx_lyftr_postgres_arg_int(&args,
                                   ngx_lyftr_postgres_int(res[2], 0, 1));

        rc = ngx_lyftr_postgres_step_end(c, NGX_LYFTR_PG_JOB_COUNTED, &args,
                                         deadline, err);
    }

    PQclear(res[0]);
    PQclear(res[1]);
    PQclear(res[2]);

    return rc;
}


static ngx_int_t
ngx_lyftr_postgres_split(ngx_lyftr_postgres_t *c, ngx_lyftr_postgres_sql_e sql,
    const PGresult *res, int64_t to, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int                         i, n;
    ngx_str_t                   s;
    PGresult                   *done;
    ngx_uint_t                  k;
    ngx_lyftr_postgres_args_t   args;

    n = PQntuples(res);

    for (i = 0; i < n; i++) {
        args.n = 0;

        for (k = 0; k < 3; k++) {
            ngx_lyftr_postgres_str(res, i, k, &s);
            ngx_lyftr_postgres_arg_str(&args, &s);
        }

        ngx_lyftr_postgres_arg_int(&args, to);
        ngx_lyftr_postgres_arg_int(&args, NGX_LYFTR_POSTGRES_SHORT);

        done = ngx_lyftr_postgres_query(c, sql, &args, deadline, err);
        if (done == NULL) {
            return NGX_ERROR;
        }

        PQclear(done);
    }

    return NGX_OK;
}


/* folds the next texts, as we fold what is looked for */

ngx_int_t
ngx_lyftr_postgres_step_fold(ngx_lyftr_postgres_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int64_t                     to;
    ngx_int_t                   rc;
    ngx_lyftr_postgres_args_t   args;

    if (!c->dsn->search || c->state.searched >= c->state.durable) {
        return NGX_DONE;
    }

    if (!c->jobs->indexed
        && ngx_lyftr_postgres_index(c, deadline, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    c->jobs->indexed = 1;
    to = 0;

    rc = ngx_lyftr_postgres_step_begin(c, deadline, err);

    if (rc == NGX_DECLINED
        || (rc == NGX_OK && c->state.searched >= c->state.durable))
    {
        return ngx_lyftr_postgres_step_undo(c, NGX_DONE, deadline);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_postgres_folded(c, &to, deadline, err);
    }

    if (rc == NGX_OK) {
        args.n = 0;
        ngx_lyftr_postgres_arg_int(&args, to);

        rc = ngx_lyftr_postgres_step_end(c, NGX_LYFTR_PG_JOB_FOLDED, &args,
                                         deadline, err);
    }

    if (rc != NGX_OK) {
        return ngx_lyftr_postgres_step_undo(c, NGX_ERROR, deadline);
    }

    return to < c->state.durable ? NGX_OK : NGX_DONE;
}


static ngx_int_t
ngx_lyftr_postgres_index(ngx_lyftr_postgres_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    PGresult                  *res;
    ngx_lyftr_postgres_sql_e   sql;

    for (sql = NGX_LYFTR_PG_JOB_EXTENSION;
         sql <= NGX_LYFTR_PG_JOB_INDEX;
         sql++)
    {
        res = ngx_lyftr_postgres_query(c, sql, NULL, deadline, err);
        if (res == NULL) {
            return NGX_ERROR;
        }

        PQclear(res);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_postgres_folded(ngx_lyftr_postgres_t *c, int64_t *to,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    int                         n;
    PGresult                   *res;
    ngx_int_t                   rc;
    ngx_lyftr_postgres_buf_t    seqs, texts;
    ngx_lyftr_postgres_args_t   args;

    *to = c->state.durable;

    args.n = 0;
    ngx_lyftr_postgres_arg_int(&args, c->state.searched);
    ngx_lyftr_postgres_arg_int(&args, c->state.durable);
    ngx_lyftr_postgres_arg_int(&args, NGX_LYFTR_POSTGRES_TEXTS);

    res = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_JOB_TEXTS, &args, deadline,
                                   err);
    if (res == NULL) {
        return NGX_ERROR;
    }

    n = PQntuples(res);

    if (n == NGX_LYFTR_POSTGRES_TEXTS) {
        *to = ngx_lyftr_postgres_int(res, n - 1, 0);
    }

    ngx_memzero(&seqs, sizeof(ngx_lyftr_postgres_buf_t));
    ngx_memzero(&texts, sizeof(ngx_lyftr_postgres_buf_t));

    rc = ngx_lyftr_postgres_fold(res, &seqs, &texts);

    PQclear(res);

    if (rc == NGX_OK) {
        args.n = 0;
        ngx_lyftr_postgres_arg(&args, seqs.data, seqs.len);
        ngx_lyftr_postgres_arg(&args, texts.data, texts.len);

        res = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_JOB_FOLD, &args,
                                       deadline, err);
        PQclear(res);

        rc = res ? NGX_OK : NGX_ERROR;

    } else {
        (void) ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                       "no memory");
    }

    ngx_lyftr_postgres_free(&seqs);
    ngx_lyftr_postgres_free(&texts);

    return rc;
}


/* a row without a text is none of them */

static ngx_int_t
ngx_lyftr_postgres_fold(const PGresult *res, ngx_lyftr_postgres_buf_t *seqs,
    ngx_lyftr_postgres_buf_t *texts)
{
    int                        i, n, count;
    ngx_int_t                  rc;
    ngx_str_t                  s, text, fold;
    ngx_lyftr_postgres_buf_t   buf;

    n = PQntuples(res);
    count = 0;

    for (i = 0; i < n; i++) {
        count += !PQgetisnull(res, i, 1);
    }

    ngx_memzero(&buf, sizeof(ngx_lyftr_postgres_buf_t));

    rc = ngx_lyftr_postgres_array(seqs, NGX_LYFTR_OID_INT8, count);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_postgres_array(texts, NGX_LYFTR_OID_TEXT, count);
    }

    for (i = 0; i < n && rc == NGX_OK; i++) {
        ngx_lyftr_postgres_str(res, i, 0, &s);
        ngx_lyftr_postgres_str(res, i, 1, &text);

        if (text.data == NULL) {
            continue;
        }

        buf.len = 0;
        fold.len = ngx_lyftr_fold(NULL, text.data, text.len);

        rc = ngx_lyftr_postgres_reserve(&buf, fold.len + 1);

        if (rc == NGX_OK) {
            fold.data = buf.data;
            (void) ngx_lyftr_fold(fold.data, text.data, text.len);

            rc = ngx_lyftr_postgres_element(seqs, &s);
        }

        if (rc == NGX_OK) {
            rc = ngx_lyftr_postgres_element(texts, &fold);
        }
    }

    ngx_lyftr_postgres_free(&buf);

    return rc;
}


/*
 * Rows leave with all that tells of them, in one transaction, so that whoever
 * reads has them in each number, or in none.
 */

ngx_int_t
ngx_lyftr_postgres_step_leave(ngx_lyftr_postgres_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int64_t    to, end;
    ngx_int_t  rc;

    if (ngx_lyftr_postgres_keep(c, &end, deadline, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (end <= c->state.floor) {
        return c->jobs->keep.more ? NGX_OK : NGX_DONE;
    }

    rc = ngx_lyftr_postgres_step_begin(c, deadline, err);

    if (rc == NGX_DECLINED || (rc == NGX_OK && end <= c->state.floor)) {
        return ngx_lyftr_postgres_step_undo(c, NGX_DONE, deadline);
    }

    to = end;

    if (rc == NGX_OK) {
        rc = ngx_lyftr_postgres_piece(c, &to, deadline, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_postgres_left_now(c, to, deadline, err);
    }

    if (rc != NGX_OK) {
        return ngx_lyftr_postgres_step_undo(c, NGX_ERROR, deadline);
    }

    return to < end ? NGX_OK : NGX_DONE;
}


static ngx_int_t
ngx_lyftr_postgres_piece(ngx_lyftr_postgres_t *c, int64_t *to,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    PGresult                   *res;
    ngx_lyftr_postgres_args_t   args;

    args.n = 0;
    ngx_lyftr_postgres_arg_int(&args, c->state.floor);
    ngx_lyftr_postgres_arg_int(&args, *to);
    ngx_lyftr_postgres_arg_int(&args, NGX_LYFTR_POSTGRES_PIECE);

    res = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_JOB_PIECE, &args, deadline,
                                   err);
    if (res == NULL) {
        return NGX_ERROR;
    }

    if (ngx_lyftr_postgres_int(res, 0, 0) == NGX_LYFTR_POSTGRES_PIECE) {
        *to = ngx_lyftr_postgres_int(res, 0, 1);
    }

    PQclear(res);

    return NGX_OK;
}


/* the rows themselves leave last: the others are found by them */

static ngx_int_t
ngx_lyftr_postgres_left_now(ngx_lyftr_postgres_t *c, int64_t to,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    PGresult                   *res[6];
    ngx_int_t                   rc;
    ngx_uint_t                  i;
    ngx_lyftr_postgres_args_t   args, less;

    static ngx_lyftr_postgres_sql_e  sql[] = {
        NGX_LYFTR_PG_JOB_SENDERS_LESS,
        NGX_LYFTR_PG_JOB_TEXTS_LEAVE,
        NGX_LYFTR_PG_JOB_LEAVE
    };

    args.n = 0;
    ngx_lyftr_postgres_arg_int(&args, c->state.floor);
    ngx_lyftr_postgres_arg_int(&args, to);

    less.n = 0;
    ngx_lyftr_postgres_arg_int(&less, c->state.floor);
    ngx_lyftr_postgres_arg_int(&less, to);
    ngx_lyftr_postgres_arg_int(&less, NGX_MAX_INT_T_VALUE);

    if (ngx_lyftr_postgres_send(c, NGX_LYFTR_PG_JOB_TIME_LESS, &less, err)
        != NGX_OK
        || ngx_lyftr_postgres_send(c, NGX_LYFTR_PG_JOB_SENDER_LESS, &less, err)
           != NGX_OK
        || ngx_lyftr_postgres_send(c, NGX_LYFTR_PG_JOB_EMPTY, NULL, err)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < 3; i++) {
        if (ngx_lyftr_postgres_send(c, sql[i], &args, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_lyftr_postgres_sync(c, err) != NGX_OK
        || ngx_lyftr_postgres_results(c, res, 6, deadline, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    args.n = 0;
    ngx_lyftr_postgres_arg_int(&args, to);
    ngx_lyftr_postgres_arg_int(&args, ngx_lyftr_postgres_int(res[5], 0, 0));
    ngx_lyftr_postgres_arg_int(&args, ngx_lyftr_postgres_int(res[3], 0, 0));
    ngx_lyftr_postgres_arg_int(&args, ngx_lyftr_postgres_int(res[5], 0, 1));

    rc = ngx_lyftr_postgres_step_end(c, NGX_LYFTR_PG_JOB_LEFT, &args, deadline,
                                     err);

    for (i = 0; i < 6; i++) {
        PQclear(res[i]);
    }

    return rc;
}

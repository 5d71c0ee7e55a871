#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres.h>

#include <poll.h>
#include <stdio.h>


/*
 * Calls of libpq, which waits for nothing here: the socket is waited for until
 * a deadline.  Statements go in pipelines, many of them in one round trip, and
 * their results are taken in the order in which they were sent.
 */

/* msec between two looks at the word that stops a reader */
#define NGX_LYFTR_POSTGRES_LOOK    20

/* what was sent, besides the number of a statement */
#define NGX_LYFTR_POSTGRES_PREPARE 1000    /* that of one, to be prepared */
#define NGX_LYFTR_POSTGRES_END     2000


static void ngx_lyftr_postgres_notice(void *data, const PGresult *res);
static ngx_int_t ngx_lyftr_postgres_ended(ngx_lyftr_postgres_t *c, PGresult *r,
    ngx_int_t rc, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_wait(ngx_lyftr_postgres_t *c, short events,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static PGresult *ngx_lyftr_postgres_next(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static PGresult *ngx_lyftr_postgres_take(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_sent(ngx_lyftr_postgres_t *c, int what,
    ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_postgres_call_open(ngx_lyftr_postgres_t *c, const char *host,
    const char *port, ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    short                         events;
    PGconn                       *pg;
    ngx_lyftr_postgres_call_t    *call;
    PostgresPollingStatusType     polling;

    /* what the URL says comes after what we would rather have */

    const char  *names[] = {
        "target_session_attrs", "fallback_application_name",
        "tcp_user_timeout", "options", "dbname", "client_encoding",
        host ? "host" : NULL, "port", NULL
    };

    const char  *values[] = {
        "read-write", "lyftr", "10000",
        "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2"
        " -c tcp_keepalives_count=3",
        c->dsn->url, "UTF8", host, port, NULL
    };

    call = &c->call;

    ngx_lyftr_postgres_call_close(c);

    pg = PQconnectStartParams(names, values, 1);
    if (pg == NULL) {
        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                       "no memory");
    }

    call->pg = pg;

    (void) PQsetNoticeReceiver(pg, ngx_lyftr_postgres_notice, c);

    polling = PGRES_POLLING_WRITING;

    while (PQstatus(pg) != CONNECTION_BAD
           && (polling == PGRES_POLLING_WRITING
               || polling == PGRES_POLLING_READING))
    {
        events = (polling == PGRES_POLLING_READING) ? POLLIN : POLLOUT;

        if (ngx_lyftr_postgres_wait(c, events, deadline, err) != NGX_OK) {
            ngx_lyftr_postgres_call_close(c);
            return NGX_ERROR;
        }

        polling = PQconnectPoll(pg);
    }

    if (polling == PGRES_POLLING_OK && PQsetnonblocking(pg, 1) == 0) {
        return NGX_OK;
    }

    (void) ngx_lyftr_postgres_lost(c->dsn, pg, err);

    ngx_lyftr_postgres_call_close(c);

    return NGX_ERROR;
}


void
ngx_lyftr_postgres_call_close(ngx_lyftr_postgres_t *c)
{
    ngx_atomic_t               *stop;
    ngx_lyftr_postgres_call_t  *call;

    call = &c->call;
    stop = call->stop;

    if (call->pg) {
        PQfinish(call->pg);
    }

    ngx_memzero(call, sizeof(ngx_lyftr_postgres_call_t));

    call->stop = stop;
}


ngx_uint_t
ngx_lyftr_postgres_call_gone(ngx_lyftr_postgres_t *c)
{
    ngx_uint_t     n;
    struct pollfd  pfd;

    if (ngx_lyftr_postgres_dead(c)) {
        return 1;
    }

    pfd.fd = PQsocket(c->call.pg);
    pfd.events = POLLIN;

    /* a server that ends says why, and then closes: that is read after it */

    for (n = 0; n < 4 && poll(&pfd, 1, 0) == 1; n++) {

        if (!PQconsumeInput(c->call.pg)) {
            return 1;
        }
    }

    return PQstatus(c->call.pg) != CONNECTION_OK;
}


/* what the server warns of may be that a commit is not what it says */

static void
ngx_lyftr_postgres_notice(void *data, const PGresult *res)
{
    ngx_lyftr_postgres_t *c = data;

    const char  *severity;

    severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);

    if (severity && ngx_strcmp(severity, "WARNING") == 0) {
        c->call.warned = 1;
        (void) ngx_lyftr_postgres_error(c, res, &c->call.warning);
    }
}


ngx_uint_t
ngx_lyftr_postgres_warned(ngx_lyftr_postgres_t *c, ngx_lyftr_error_t *err)
{
    ngx_uint_t  warned;

    warned = c->call.warned;

    if (warned) {
        c->call.warned = 0;
        *err = c->call.warning;
    }

    return warned;
}


ngx_uint_t
ngx_lyftr_postgres_dead(ngx_lyftr_postgres_t *c)
{
    return c->call.pg == NULL || PQstatus(c->call.pg) == CONNECTION_BAD;
}


/* for the socket; of what has not come at the deadline nothing is known */

static ngx_int_t
ngx_lyftr_postgres_wait(ngx_lyftr_postgres_t *c, short events,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    int             n;
    ngx_msec_t      left;
    struct pollfd   pfd;

    for ( ;; ) {
        left = ngx_lyftr_postgres_left(deadline);

        if (left == 0
            || (c->call.stop
                && __atomic_load_n(c->call.stop, __ATOMIC_RELAXED)))
        {
            return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_TIMEOUT,
                                           "no answer in time");
        }

        if (c->call.stop) {
            left = ngx_min(left, NGX_LYFTR_POSTGRES_LOOK);
        }

        pfd.fd = PQsocket(c->call.pg);
        pfd.events = events;

        n = poll(&pfd, 1, (int) ngx_min(left, 60000));

        if (n > 0) {
            return NGX_OK;
        }

        if (n == -1 && errno != EINTR) {
            return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                           "poll() failed: %s",
                                           strerror(errno));
        }
    }
}


/* the next thing that libpq has; NULL with err->code of 0: nothing more */

static PGresult *
ngx_lyftr_postgres_next(ngx_lyftr_postgres_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int      busy;
    PGconn  *pg;

    pg = c->call.pg;

    err->code = NGX_LYFTR_ERR_NONE;

    for ( ;; ) {
        busy = PQflush(pg);

        if (busy == -1 && PQstatus(pg) == CONNECTION_BAD) {
            (void) ngx_lyftr_postgres_lost(c->dsn, pg, err);
            return NULL;
        }

        if (!PQisBusy(pg)) {
            return PQgetResult(pg);
        }

        if (ngx_lyftr_postgres_wait(c, busy == 1 ? POLLIN|POLLOUT : POLLIN,
                                    deadline, err)
            != NGX_OK)
        {
            return NULL;
        }

        if (!PQconsumeInput(pg) && PQstatus(pg) == CONNECTION_BAD) {
            (void) ngx_lyftr_postgres_lost(c->dsn, pg, err);
            return NULL;
        }
    }
}


/* of a pipeline: a statement's result is followed by nothing, once */

static PGresult *
ngx_lyftr_postgres_take(ngx_lyftr_postgres_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    PGresult    *res;
    ngx_uint_t   n;

    for (n = 0; n < 3; n++) {
        res = ngx_lyftr_postgres_next(c, deadline, err);

        if (res || err->code != NGX_LYFTR_ERR_NONE) {
            return res;
        }
    }

    (void) ngx_lyftr_postgres_lost(c->dsn, c->call.pg, err);

    return NULL;
}


PGresult *
ngx_lyftr_postgres_simple(ngx_lyftr_postgres_t *c, const char *sql,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    PGresult        *res, *last;
    ExecStatusType   status;

    if (!PQsendQuery(c->call.pg, sql)) {
        (void) ngx_lyftr_postgres_lost(c->dsn, c->call.pg, err);
        return NULL;
    }

    last = NULL;

    while ((res = ngx_lyftr_postgres_next(c, deadline, err)) != NULL) {

        /* the first error is the one that tells */

        if (last && PQresultStatus(last) == PGRES_FATAL_ERROR) {
            PQclear(res);
            continue;
        }

        PQclear(last);
        last = res;
    }

    if (err->code != NGX_LYFTR_ERR_NONE || last == NULL) {

        if (err->code == NGX_LYFTR_ERR_NONE) {
            (void) ngx_lyftr_postgres_lost(c->dsn, c->call.pg, err);
        }

        PQclear(last);
        return NULL;
    }

    status = PQresultStatus(last);

    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        (void) ngx_lyftr_postgres_error(c, last, err);
        PQclear(last);
        return NULL;
    }

    return last;
}


ngx_int_t
ngx_lyftr_postgres_pipeline(ngx_lyftr_postgres_t *c, ngx_lyftr_error_t *err)
{
    return PQenterPipelineMode(c->call.pg)
           ? NGX_OK : ngx_lyftr_postgres_lost(c->dsn, c->call.pg, err);
}


static ngx_int_t
ngx_lyftr_postgres_sent(ngx_lyftr_postgres_t *c, int what,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_postgres_call_t  *call;

    call = &c->call;

    if (call->nsent == NGX_LYFTR_POSTGRES_CALLS) {
        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                       "the pipeline is full");
    }

    call->sent[call->nsent++] = what;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_postgres_send(ngx_lyftr_postgres_t *c, ngx_lyftr_postgres_sql_e n,
    ngx_lyftr_postgres_args_t *args, ngx_lyftr_error_t *err)
{
    int                         ok, i, nargs;
    char                        name[16];
    const int                  *lens;
    const char *const          *values;
    ngx_lyftr_postgres_call_t  *call;
    static const int            binary[NGX_LYFTR_POSTGRES_ARGS] = {
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
    };

    call = &c->call;

    i = n;
    nargs = args ? (int) args->n : 0;
    values = args ? args->value : NULL;
    lens = args ? args->len : NULL;

    (void) snprintf(name, sizeof(name), "lyftr_%d", i);

    if (!c->dsn->prepare) {
        ok = PQsendQueryParams(call->pg, ngx_lyftr_postgres_sql[n], nargs,
                               NULL, values, lens, binary, 1);

    } else {

        if (!call->prepared[n]) {
            if (!PQsendPrepare(call->pg, name, ngx_lyftr_postgres_sql[n], 0,
                               NULL))
            {
                return ngx_lyftr_postgres_lost(c->dsn, call->pg, err);
            }

            call->prepared[n] = 1;

            if (ngx_lyftr_postgres_sent(c, NGX_LYFTR_POSTGRES_PREPARE + i, err)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }

        ok = PQsendQueryPrepared(call->pg, name, nargs, values, lens, binary,
                                 1);
    }

    return ok ? ngx_lyftr_postgres_sent(c, i, err)
              : ngx_lyftr_postgres_lost(c->dsn, call->pg, err);
}


ngx_int_t
ngx_lyftr_postgres_sync(ngx_lyftr_postgres_t *c, ngx_lyftr_error_t *err)
{
    return PQpipelineSync(c->call.pg)
           ? ngx_lyftr_postgres_sent(c, NGX_LYFTR_POSTGRES_END, err)
           : ngx_lyftr_postgres_lost(c->dsn, c->call.pg, err);
}


/*
 * What was not in a transaction is committed by the end of the pipeline: if
 * that fails, an error comes in its place, and the end after it.
 */

static ngx_int_t
ngx_lyftr_postgres_ended(ngx_lyftr_postgres_t *c, PGresult *r, ngx_int_t rc,
    ngx_lyftr_error_t *err)
{
    if (PQresultStatus(r) != PGRES_PIPELINE_SYNC) {

        if (rc == NGX_OK) {
            rc = ngx_lyftr_postgres_error(c, r, err);
        }

        ngx_lyftr_postgres_call_close(c);
    }

    PQclear(r);

    return rc;
}


ngx_int_t
ngx_lyftr_postgres_results(ngx_lyftr_postgres_t *c, PGresult **res,
    ngx_uint_t n, ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    int                         what;
    PGresult                   *r;
    ngx_int_t                   rc;
    ngx_uint_t                  i, got;
    ExecStatusType              status;
    ngx_lyftr_error_t           failure;
    ngx_lyftr_postgres_call_t  *call;

    call = &c->call;
    rc = NGX_OK;
    got = 0;

    ngx_memzero(res, n * sizeof(PGresult *));

    for (i = 0; i < call->nsent; i++) {
        what = call->sent[i];

        r = ngx_lyftr_postgres_take(c, deadline, &failure);

        if (r == NULL) {

            if (rc == NGX_OK) {
                rc = NGX_ERROR;
                *err = failure;
            }

            /* what comes too late may still come */

            if (failure.code != NGX_LYFTR_ERR_TIMEOUT) {
                ngx_lyftr_postgres_call_close(c);
            }

            break;
        }

        status = PQresultStatus(r);

        if (what == NGX_LYFTR_POSTGRES_END) {
            rc = ngx_lyftr_postgres_ended(c, r, rc, err);
            i++;
            break;
        }

        if (what >= NGX_LYFTR_POSTGRES_PREPARE) {
            call->prepared[what - NGX_LYFTR_POSTGRES_PREPARE]
                = (status == PGRES_COMMAND_OK);
        }

        if (status == PGRES_FATAL_ERROR && rc == NGX_OK) {
            rc = ngx_lyftr_postgres_error(c, r, err);
        }

        if (what >= NGX_LYFTR_POSTGRES_PREPARE
            || got == n
            || (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK))
        {
            PQclear(r);
            continue;
        }

        res[got++] = r;
    }

    if (call->pg) {
        call->nsent -= i;
        ngx_memmove(call->sent, call->sent + i, call->nsent * sizeof(int));
    }

    if (rc == NGX_OK && got == n) {
        return NGX_OK;
    }

    if (rc == NGX_OK) {
        (void) ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                       "the server skipped a statement");
    }

    while (got) {
        PQclear(res[--got]);
    }

    ngx_memzero(res, n * sizeof(PGresult *));

    return NGX_ERROR;
}


PGresult *
ngx_lyftr_postgres_query(ngx_lyftr_postgres_t *c, ngx_lyftr_postgres_sql_e n,
    ngx_lyftr_postgres_args_t *args, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    PGresult  *res;

    if (ngx_lyftr_postgres_send(c, n, args, err) != NGX_OK
        || ngx_lyftr_postgres_sync(c, err) != NGX_OK)
    {
        ngx_lyftr_postgres_call_close(c);
        return NULL;
    }

    return ngx_lyftr_postgres_results(c, &res, 1, deadline, err) == NGX_OK
           ? res : NULL;
}


/* a lock is given up before the deadline, so that an answer comes until it */

ngx_int_t
ngx_lyftr_postgres_limits(ngx_lyftr_postgres_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int                         n;
    char                        text[NGX_INT64_LEN + 1];
    ngx_msec_t                  left;
    ngx_lyftr_postgres_args_t   args;

    left = ngx_lyftr_postgres_left(deadline);
    left = ngx_max(left - left / 8, 1);

    n = snprintf(text, sizeof(text), "%lu", (unsigned long) left);

    args.n = 0;
    ngx_lyftr_postgres_arg(&args, text, n);

    return ngx_lyftr_postgres_send(c, NGX_LYFTR_PG_LIMITS, &args, err);
}


PGresult *
ngx_lyftr_postgres_aside(ngx_lyftr_postgres_t *c, ngx_lyftr_postgres_sql_e n,
    ngx_lyftr_postgres_args_t *args, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    PGresult  *res[2];

    if (ngx_lyftr_postgres_limits(c, deadline, err) != NGX_OK
        || ngx_lyftr_postgres_send(c, n, args, err) != NGX_OK
        || ngx_lyftr_postgres_sync(c, err) != NGX_OK)
    {
        ngx_lyftr_postgres_call_close(c);
        return NULL;
    }

    if (ngx_lyftr_postgres_results(c, res, 2, deadline, err) != NGX_OK) {
        return NULL;
    }

    PQclear(res[0]);

    return res[1];
}


void
ngx_lyftr_postgres_rollback(ngx_lyftr_postgres_t *c, ngx_msec_t deadline)
{
    PGresult           *res;
    ngx_lyftr_error_t   ignored;

    if (ngx_lyftr_postgres_dead(c)) {
        return;
    }

    res = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_ROLLBACK, NULL, deadline,
                                   &ignored);

    if (res == NULL) {
        ngx_lyftr_postgres_call_close(c);
        return;
    }

    PQclear(res);
}


int64_t
ngx_lyftr_postgres_int(const PGresult *res, int row, int column)
{
    return (int64_t) ngx_lyftr_postgres_get(
                               (u_char *) PQgetvalue(res, row, column),
                               PQgetlength(res, row, column));
}


void
ngx_lyftr_postgres_str(const PGresult *res, int row, int column, ngx_str_t *s)
{
    if (PQgetisnull(res, row, column)) {
        ngx_str_null(s);
        return;
    }

    s->data = (u_char *) PQgetvalue(res, row, column);
    s->len = PQgetlength(res, row, column);
}

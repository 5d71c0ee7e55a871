#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres.h>


/*
 * A barrier is a transaction that waits for the disk, and for the standby if
 * there is one: its commit is later in the WAL than all that it says of, so
 * with it all of that is durable.
 *
 * A cancel is never sent, and what the server warns of is not durable: a
 * commit whose wait for the standby is cancelled by an administrator is told
 * as done, with a warning.
 */

/* msec of a probe that asks, or writes */
#define NGX_LYFTR_POSTGRES_PROBE   1000

/* msec before one that was refused is sent again */
#define NGX_LYFTR_POSTGRES_PAUSE   20


static ngx_int_t ngx_lyftr_postgres_durable(ngx_lyftr_postgres_t *c,
    const PGresult *res, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_probe_read(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_postgres_barrier_begin(ngx_lyftr_postgres_t *c,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_postgres_args_t   args;
    ngx_lyftr_postgres_barrier_t  *barrier;

    barrier = &c->barrier;

    args.n = 0;
    ngx_lyftr_postgres_arg_int(&args, c->slot.id);

    /* others may move it on as soon as the server has looked */

    barrier->floor = ngx_lyftr_postgres_floor(c);

    (void) ngx_lyftr_postgres_warned(c, err);

    if (ngx_lyftr_postgres_send(c, NGX_LYFTR_PG_BARRIER, &args, err) != NGX_OK
        || ngx_lyftr_postgres_sync(c, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* NGX_DECLINED: the connection was lost, and nothing is known */

ngx_int_t
ngx_lyftr_postgres_barrier_end(ngx_lyftr_postgres_t *c, int64_t *batch,
    int64_t *base, ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    PGresult   *res;
    ngx_int_t   rc;

    for ( ;; ) {

        if (ngx_lyftr_postgres_results(c, &res, 1, deadline, err) == NGX_OK) {

            if (!ngx_lyftr_postgres_warned(c, err)) {
                break;
            }

            PQclear(res);
            err->code = NGX_LYFTR_ERR_STANDBY;

        } else if (ngx_lyftr_postgres_dead(c)) {
            return NGX_DECLINED;

        } else if (err->code == NGX_LYFTR_ERR_TIMEOUT && c->call.nsent) {

            /* with all that was sent answered, it is the server's own word */

            c->barrier.waits = 1;

            return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_STANDBY,
                                           "the commit is not confirmed");
        }

        /* what the server has warned of, or refused, is another one's */

        if (ngx_lyftr_postgres_left(deadline) <= NGX_LYFTR_POSTGRES_PAUSE) {
            return NGX_ERROR;
        }

        ngx_msleep(NGX_LYFTR_POSTGRES_PAUSE);

        if (ngx_lyftr_postgres_barrier_begin(c, err) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    rc = ngx_lyftr_postgres_durable(c, res, err);

    if (rc == NGX_OK && PQntuples(res) == 1) {
        *batch = ngx_lyftr_postgres_int(res, 0, 0);
        *base = ngx_lyftr_postgres_int(res, 0, 1);

    } else {
        *batch = -1;
        *base = 0;
    }

    PQclear(res);

    return rc;
}


ngx_int_t
ngx_lyftr_postgres_barrier_wait(ngx_lyftr_postgres_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int64_t    batch, base;
    ngx_int_t  rc;

    if (!c->barrier.waits) {
        return NGX_OK;
    }

    c->barrier.waits = 0;

    rc = ngx_lyftr_postgres_barrier_end(c, &batch, &base, deadline, err);

    if (rc == NGX_DECLINED) {
        ngx_lyftr_postgres_call_close(c);
        return NGX_OK;
    }

    return rc;
}


/* does it mean what it should, and is nothing gone that was there? */

static ngx_int_t
ngx_lyftr_postgres_durable(ngx_lyftr_postgres_t *c, const PGresult *res,
    ngx_lyftr_error_t *err)
{
    int64_t      d;
    const char  *sync, *messages;

    if (PQntuples(res) != 1) {
        return NGX_OK;
    }

    d = ngx_lyftr_postgres_int(res, 0, 3);
    sync = PQgetvalue(res, 0, 6);
    messages = PQgetvalue(res, 0, 7);

    if (ngx_strcmp(sync, "on") != 0 && ngx_strcmp(sync, "remote_apply") != 0) {
        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_OPEN,
                                       "synchronous_commit is %s", sync);
    }

    if (ngx_strcmp(messages, "error") == 0) {
        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_OPEN,
                                       "client_min_messages is %s", messages);
    }

    if (ngx_lyftr_postgres_promises(c, PQgetvalue(res, 0, 4),
                                    PQgetvalue(res, 0, 5), err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_lyftr_postgres_reached(c, c->barrier.floor, d, 1, err);
}


/* one that writes is a barrier */

ngx_int_t
ngx_lyftr_postgres_probe(void *conn, ngx_uint_t write, ngx_lyftr_error_t *err)
{
    ngx_lyftr_postgres_t *c = conn;

    int64_t     batch, base;
    ngx_int_t   rc;
    ngx_msec_t  deadline;

    deadline = ngx_lyftr_clock() + NGX_LYFTR_POSTGRES_PROBE;

    if (ngx_lyftr_postgres_barrier_wait(c, deadline, err) != NGX_OK
        || (ngx_lyftr_postgres_call_gone(c)
            && ngx_lyftr_postgres_connect(c, 0, deadline, err) != NGX_OK))
    {
        return NGX_ERROR;
    }

    if (ngx_lyftr_postgres_probe_read(c, deadline, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!write) {
        return NGX_OK;
    }

    do {
        if (ngx_lyftr_postgres_slot(c, deadline, err) != NGX_OK
            || ngx_lyftr_postgres_barrier_begin(c, err) != NGX_OK)
        {
            return NGX_ERROR;
        }

        rc = ngx_lyftr_postgres_barrier_end(c, &batch, &base, deadline, err);

        /* one of long ago, which was taken away, has written nothing */

        if (rc == NGX_OK && batch == -1) {
            ngx_lyftr_postgres_slot_lose(c);
        }

    } while (rc == NGX_OK && batch == -1);

    return rc == NGX_OK ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_lyftr_postgres_probe_read(ngx_lyftr_postgres_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int64_t     floor, last;
    PGresult   *res;
    ngx_uint_t  off;

    floor = ngx_lyftr_postgres_floor(c);

    res = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_PROBE, NULL, deadline, err);
    if (res == NULL) {
        return NGX_ERROR;
    }

    if (PQntuples(res) != 1) {
        PQclear(res);
        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_MOVED,
                                       "the store was there, and is gone");
    }

    c->state.store = (uint64_t) ngx_lyftr_postgres_int(res, 0, 0);
    last = ngx_lyftr_postgres_int(res, 0, 1);
    off = (ngx_strcmp(PQgetvalue(res, 0, 2), "off") == 0);

    PQclear(res);

    if (!off) {
        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_READONLY,
                                       "its transactions are read-only");
    }

    return ngx_lyftr_postgres_same_store(c, err) == NGX_OK
           ? ngx_lyftr_postgres_reached(c, floor, last, 0, err) : NGX_ERROR;
}

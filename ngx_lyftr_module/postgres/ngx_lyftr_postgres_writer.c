#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres.h>
#include <ngx_lyftr_message.h>


/*
 * A batch takes its places from one row, the ticket, and commits without
 * waiting for the disk, so that the row is locked for a short time only.  The
 * barrier after it waits for the disk and the standby: with it all before it
 * is durable.  After a lost connection the slot tells if the batch was
 * committed.
 */

/* msec after the deadline in which what is not known yet may become known */
#define NGX_LYFTR_POSTGRES_GRACE   6000

/* msec between two tries to reach a server that has gone */
#define NGX_LYFTR_POSTGRES_PAUSE   100

/* bytes of a batch: it is in memory here twice, and there */
#define NGX_LYFTR_POSTGRES_SUM     (64 * 1024 * 1024)

/* tries of a batch that others keep from being committed */
#define NGX_LYFTR_POSTGRES_TRIES   8


/* a batch, and what is known of it */

typedef struct {
    ngx_lyftr_batch_t   *batch;
    ngx_uint_t           k;                /* messages */
    ngx_msec_t           deadline;
    ngx_msec_t           limit;            /* of what is not known */
    int64_t              base;             /* the place before the first */
    int64_t             *before;           /* places got before, or NULL */
} ngx_lyftr_postgres_try_t;


static ngx_int_t ngx_lyftr_postgres_prepare(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_try_t *try, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_before(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_try_t *try, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_attempt(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_try_t *try, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_transaction(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_try_t *try, ngx_lyftr_error_t *err);
static void ngx_lyftr_postgres_note(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_try_t *try, ngx_uint_t here);
static ngx_int_t ngx_lyftr_postgres_undo(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_try_t *try, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_settle(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_try_t *try, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_stored(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_try_t *try, ngx_lyftr_error_t *err);
static void ngx_lyftr_postgres_created(ngx_lyftr_postgres_try_t *try,
    const PGresult *res);
static ngx_int_t ngx_lyftr_postgres_became(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_try_t *try, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_became_row(ngx_lyftr_postgres_t *c,
    ngx_lyftr_message_t *m, int64_t place, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);


/*
 * There is no turn to wait for, unless a barrier has not been answered: more
 * of them would wait for the standby, too, each with a server process.
 */

ngx_int_t
ngx_lyftr_postgres_turn(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_postgres_t *c = conn;

    if (ngx_lyftr_postgres_barrier_wait(c, deadline, err) != NGX_OK) {
        return err->code == NGX_LYFTR_ERR_STANDBY ? NGX_DECLINED : NGX_ERROR;
    }

    if (ngx_lyftr_postgres_call_gone(c)
        && ngx_lyftr_postgres_connect_wait(c, 0, deadline, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* a store that is closed for a move is opened soon */

    while (ngx_lyftr_postgres_slot(c, deadline, err) != NGX_OK) {

        if (err->code != NGX_LYFTR_ERR_BUSY) {
            return NGX_ERROR;
        }

        if (ngx_lyftr_postgres_left(deadline) <= NGX_LYFTR_POSTGRES_PAUSE) {
            return NGX_DECLINED;
        }

        ngx_msleep(NGX_LYFTR_POSTGRES_PAUSE);
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_postgres_write(void *conn, ngx_lyftr_batch_t *batch,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_lyftr_postgres_t *c = conn;

    int64_t                    start;
    ngx_int_t                  rc;
    ngx_uint_t                 n;
    ngx_lyftr_postgres_try_t   try;

    ngx_memzero(&try, sizeof(ngx_lyftr_postgres_try_t));

    try.batch = batch;
    try.deadline = deadline;
    try.limit = deadline + NGX_LYFTR_POSTGRES_GRACE;

    start = ngx_lyftr_usec();

    rc = ngx_lyftr_postgres_prepare(c, &try, err);

    if (rc == NGX_OK) {
        rc = NGX_AGAIN;
    }

    for (n = 0; rc == NGX_AGAIN; n++) {

        if (n && (n == NGX_LYFTR_POSTGRES_TRIES
                  || ngx_lyftr_postgres_left(deadline) == 0))
        {
            rc = NGX_ERROR;
            break;
        }

        rc = ngx_lyftr_postgres_attempt(c, &try, err);
    }

    if (rc == NGX_OK && try.before) {
        rc = ngx_lyftr_postgres_became(c, &try, err);
    }

    free(try.before);

    batch->usec = ngx_lyftr_usec() - start;

    return rc;
}


/* before anything is sent: is it too large, and has somebody tried it? */

static ngx_int_t
ngx_lyftr_postgres_prepare(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_try_t *try, ngx_lyftr_error_t *err)
{
    size_t                len, sum;
    ngx_uint_t            i, n, noted;
    ngx_lyftr_write_t    *write;
    ngx_lyftr_message_t  *m;

    sum = 0;
    noted = 0;

    for (i = 0; i < try->batch->n; i++) {
        write = try->batch->writes[i];
        try->k += write->n;

        for (n = 0; n < write->n; n++) {
            m = &write->messages[n];
            noted |= (write->rows && write->rows[n]);

            len = m->message_id.len + m->from.len + m->to.len + m->ts.len
                  + m->text.len;

            if (len > NGX_LYFTR_POSTGRES_LENGTH
                || m->type.len + m->raw.len > NGX_LYFTR_POSTGRES_LENGTH)
            {
                return ngx_lyftr_postgres_fail(c->dsn, err,
                                               NGX_LYFTR_ERR_DATA,
                                               "a message is too large");
            }

            sum += len + m->type.len + m->raw.len;
        }
    }

    /* what is too large together goes one by one */

    if (sum > NGX_LYFTR_POSTGRES_SUM && try->batch->n > 1) {
        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_DATA,
                                       "a batch is too large");
    }

    return noted ? ngx_lyftr_postgres_before(c, try, err) : NGX_OK;
}


/*
 * What others have noted is found out before it is tried again: a batch that
 * was not committed by then never is, so that its notes mean nothing more.
 */

static ngx_int_t
ngx_lyftr_postgres_before(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_try_t *try, ngx_lyftr_error_t *err)
{
    ngx_uint_t                    i, k, n;
    ngx_lyftr_write_t            *write;
    ngx_lyftr_postgres_places_t   places;

    try->before = calloc(try->k, sizeof(int64_t));
    if (try->before == NULL) {
        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                       "no memory");
    }

    ngx_memzero(&places, sizeof(ngx_lyftr_postgres_places_t));

    for (i = 0, k = 0; i < try->batch->n; i++) {
        write = try->batch->writes[i];

        for (n = 0; n < write->n; n++, k++) {

            if (write->rows && write->rows[n]
                && ngx_lyftr_postgres_slot_place(c, write->rows[n], &places,
                                                 &try->before[k],
                                                 try->deadline, err)
                   != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


/* NGX_AGAIN: nothing of it was committed, and it may be tried again */

static ngx_int_t
ngx_lyftr_postgres_attempt(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_try_t *try, ngx_lyftr_error_t *err)
{
    PGresult   *res[4];
    int64_t     batch;
    ngx_int_t   rc;

    if ((ngx_lyftr_postgres_dead(c)
         && ngx_lyftr_postgres_connect_wait(c, 0, try->deadline, err)
            != NGX_OK)
        || ngx_lyftr_postgres_slot(c, try->deadline, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    c->slot.batch++;

    ngx_lyftr_postgres_note(c, try, 1);

    if (ngx_lyftr_postgres_transaction(c, try, err) != NGX_OK) {
        ngx_lyftr_postgres_call_close(c);
        return ngx_lyftr_postgres_settle(c, try, err);
    }

    if (ngx_lyftr_postgres_results(c, res, 4, try->deadline, err) != NGX_OK) {

        if (ngx_lyftr_postgres_dead(c) || err->code == NGX_LYFTR_ERR_TIMEOUT) {
            return ngx_lyftr_postgres_settle(c, try, err);
        }

        return ngx_lyftr_postgres_undo(c, try, err);
    }

    rc = ngx_lyftr_postgres_barrier_end(c, &batch, &try->base, try->limit,
                                        err);

    if (rc == NGX_OK && batch != c->slot.batch) {

        /* the slot was taken away: nothing was stored */

        ngx_lyftr_postgres_slot_lose(c);
        (void) ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                       "the slot of a batch is gone");
        rc = NGX_AGAIN;
    }

    if (rc == NGX_OK) {
        ngx_lyftr_postgres_created(try, res[2]);
    }

    PQclear(res[0]);
    PQclear(res[1]);
    PQclear(res[2]);
    PQclear(res[3]);

    return rc == NGX_DECLINED ? ngx_lyftr_postgres_settle(c, try, err) : rc;
}


static ngx_int_t
ngx_lyftr_postgres_transaction(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_try_t *try, ngx_lyftr_error_t *err)
{
    ngx_lyftr_postgres_args_t   args;

    args.n = 0;
    ngx_lyftr_postgres_arg_int(&args, try->k);
    ngx_lyftr_postgres_arg_int(&args, c->slot.id);
    ngx_lyftr_postgres_arg_int(&args, c->slot.batch);

    if (ngx_lyftr_postgres_columns(&c->writer.columns, c->digest,
                                   try->batch, try->k, &args)
        != NGX_OK)
    {
        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                       "no memory");
    }

    /* a database that has less takes none, which its barrier then says */

    ngx_lyftr_postgres_arg_int(&args, ngx_lyftr_postgres_floor(c));

    if (ngx_lyftr_postgres_send(c, NGX_LYFTR_PG_BEGIN, NULL, err) != NGX_OK
        || ngx_lyftr_postgres_limits(c, try->deadline, err) != NGX_OK
        || ngx_lyftr_postgres_send(c, NGX_LYFTR_PG_INSERT, &args, err)
           != NGX_OK
        || ngx_lyftr_postgres_send(c, NGX_LYFTR_PG_COMMIT, NULL, err)
           != NGX_OK
        || ngx_lyftr_postgres_sync(c, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_lyftr_postgres_barrier_begin(c, err);
}


/*
 * Whoever goes on with it, if this process is killed now, finds the slot, the
 * batch, and which message of it each was.  One that has a row keeps what was
 * noted of that.
 */

static void
ngx_lyftr_postgres_note(ngx_lyftr_postgres_t *c, ngx_lyftr_postgres_try_t *try,
    ngx_uint_t here)
{
    ngx_uint_t          i, k, n;
    ngx_lyftr_write_t  *write;

    for (i = 0, k = 0; i < try->batch->n; i++) {
        write = try->batch->writes[i];

        for (n = 0; n < write->n; n++, k++) {

            if (write->rows && (try->before == NULL || try->before[k] == 0)) {
                write->rows[n] = here
                                 ? ngx_lyftr_postgres_slot_note(c->slot.id,
                                                                c->slot.batch,
                                                                k)
                                 : 0;
            }
        }
    }
}


/* the server has refused it: the transaction is still open, and has failed */

static ngx_int_t
ngx_lyftr_postgres_undo(ngx_lyftr_postgres_t *c, ngx_lyftr_postgres_try_t *try,
    ngx_lyftr_error_t *err)
{
    PGresult           *res;
    ngx_lyftr_error_t   ignored;

    c->slot.batch--;
    ngx_lyftr_postgres_note(c, try, 0);

    if (ngx_lyftr_postgres_results(c, &res, 1, try->limit, &ignored)
        == NGX_OK)
    {
        PQclear(res);
    }

    ngx_lyftr_postgres_rollback(c, try->limit);

    return err->code == NGX_LYFTR_ERR_BUSY ? NGX_AGAIN : NGX_ERROR;
}


/*
 * The answer to the commit, or to the barrier, was lost.  What can still be
 * reached until the limit tells; later the slot is not used again, and what was
 * not answered is not acknowledged.
 */

static ngx_int_t
ngx_lyftr_postgres_settle(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_try_t *try, ngx_lyftr_error_t *err)
{
    int64_t                       batch, base;
    ngx_int_t                     rc;
    ngx_uint_t                    n, known;
    ngx_lyftr_error_t             why;
    ngx_lyftr_postgres_places_t   places;

    known = 0;
    why = *err;

    for (n = 0; ngx_lyftr_postgres_left(try->limit); n++) {

        ngx_lyftr_postgres_call_close(c);

        if (n) {
            ngx_msleep(NGX_LYFTR_POSTGRES_PAUSE);
        }

        if (ngx_lyftr_postgres_connect(c, 0, try->limit, &why) != NGX_OK) {
            continue;
        }

        if (!known) {
            rc = ngx_lyftr_postgres_slot_settle(c, &places, try->limit, &why);

            if (rc == NGX_DECLINED) {
                return NGX_AGAIN;
            }

            if (rc == NGX_ERROR) {

                if (why.code == NGX_LYFTR_ERR_FAILED) {
                    break;
                }

                continue;
            }

            try->base = places.base;
            known = 1;
        }

        if (ngx_lyftr_postgres_barrier_begin(c, &why) != NGX_OK) {
            continue;
        }

        rc = ngx_lyftr_postgres_barrier_end(c, &batch, &base, try->limit,
                                            &why);

        if (rc == NGX_OK) {
            rc = ngx_lyftr_postgres_stored(c, try, &why);
        }

        if (rc != NGX_DECLINED) {
            *err = why;
            return rc;
        }
    }

    ngx_lyftr_postgres_slot_lose(c);

    *err = why;

    return NGX_ERROR;
}


/* NGX_DECLINED: the connection was lost again */

static ngx_int_t
ngx_lyftr_postgres_stored(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_try_t *try, ngx_lyftr_error_t *err)
{
    PGresult                   *res;
    ngx_lyftr_postgres_args_t   args;

    args.n = 0;
    ngx_lyftr_postgres_arg_int(&args, try->base);
    ngx_lyftr_postgres_arg_int(&args, try->k);

    res = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_STORED, &args, try->limit,
                                   err);
    if (res == NULL) {
        return NGX_DECLINED;
    }

    ngx_lyftr_postgres_created(try, res);

    PQclear(res);

    return NGX_OK;
}


/* a message's place is the base and its number in the batch */

static void
ngx_lyftr_postgres_created(ngx_lyftr_postgres_try_t *try, const PGresult *res)
{
    int                   row, rows;
    int64_t               at, n;
    ngx_uint_t            i;
    ngx_lyftr_write_t    *write;

    for (i = 0; i < try->batch->n; i++) {
        write = try->batch->writes[i];

        for (n = 0; n < (int64_t) write->n; n++) {
            write->messages[n].known = 1;
        }
    }

    rows = PQntuples(res);

    for (row = 0; row < rows; row++) {
        at = ngx_lyftr_postgres_int(res, row, 0) - try->base - 1;

        for (i = 0; i < try->batch->n && at >= 0; i++) {
            write = try->batch->writes[i];

            if (at < (int64_t) write->n) {
                write->messages[at].known = 0;
                break;
            }

            at -= write->n;
        }
    }
}


/* of what is known: is it the row that the message became in a try before? */

static ngx_int_t
ngx_lyftr_postgres_became(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_try_t *try, ngx_lyftr_error_t *err)
{
    ngx_int_t             rc;
    ngx_uint_t            i, k, n;
    ngx_lyftr_write_t    *write;
    ngx_lyftr_message_t  *m;

    for (i = 0, k = 0; i < try->batch->n; i++) {
        write = try->batch->writes[i];

        for (n = 0; n < write->n; n++, k++) {
            m = &write->messages[n];

            if (!m->known || try->before[k] == 0) {
                continue;
            }

            rc = ngx_lyftr_postgres_became_row(c, m, try->before[k],
                                               try->limit, err);
            if (rc == NGX_ERROR) {
                return NGX_ERROR;
            }

            m->known = (rc == NGX_DECLINED);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_postgres_became_row(ngx_lyftr_postgres_t *c, ngx_lyftr_message_t *m,
    int64_t place, ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    u_char                      h[NGX_LYFTR_POSTGRES_HASH];
    PGresult                   *res;
    ngx_int_t                   rc;
    ngx_lyftr_postgres_args_t   args;

    if (ngx_lyftr_postgres_hash(c->digest, &m->message_id, h) != NGX_OK) {
        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                       "no memory");
    }

    args.n = 0;
    ngx_lyftr_postgres_arg(&args, h, sizeof(h));
    ngx_lyftr_postgres_arg_int(&args, 0);

    res = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_ROW_OF_ID, &args, deadline,
                                   err);
    if (res == NULL) {
        return NGX_ERROR;
    }

    rc = (PQntuples(res) && ngx_lyftr_postgres_int(res, 0, 0) == place)
         ? NGX_OK : NGX_DECLINED;

    PQclear(res);

    return rc;
}


void
ngx_lyftr_postgres_writer_free(ngx_lyftr_postgres_t *c)
{
    ngx_lyftr_postgres_free(&c->writer.columns);
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres_jobs.h>


/* msec after which another process of this host takes over */
#define NGX_LYFTR_POSTGRES_LEASE   3000

/* msec between two looks at the size of the store, and at slots of old */
#define NGX_LYFTR_POSTGRES_SIZED   10000
#define NGX_LYFTR_POSTGRES_CLEANED (3600 * 1000)

/* msec that a barrier is waited for, which a probe has sent */
#define NGX_LYFTR_POSTGRES_MOMENT  1


static ngx_uint_t ngx_lyftr_postgres_keeps(ngx_lyftr_postgres_t *c);
static ngx_int_t ngx_lyftr_postgres_look_at(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_tidy(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_work(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static void ngx_lyftr_postgres_tell(ngx_lyftr_postgres_t *c, ngx_uint_t n,
    ngx_lyftr_error_t *failure);


typedef ngx_int_t (*ngx_lyftr_postgres_step_pt)(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);

static ngx_lyftr_postgres_step_pt  ngx_lyftr_postgres_steps[] = {
    ngx_lyftr_postgres_step_count,
    ngx_lyftr_postgres_step_fold,
    ngx_lyftr_postgres_step_leave
};


/* the names of the same, for all who tell of them */

ngx_str_t  ngx_lyftr_postgres_jobs[] = {
    ngx_string("count"),
    ngx_string("search"),
    ngx_string("leave"),
    ngx_null_string
};


/*
 * One process of a host looks after the store, and one host of all does a step:
 * whoever gets the lock of the state's row.
 */

ngx_int_t
ngx_lyftr_postgres_housekeep(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_postgres_t *c = conn;

    ngx_int_t  rc;

    err->code = NGX_LYFTR_ERR_NONE;

    if (c->jobs == NULL) {
        c->jobs = calloc(1, sizeof(ngx_lyftr_postgres_jobs_t));
        if (c->jobs == NULL) {
            return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                           "no memory");
        }
    }

    if (!ngx_lyftr_postgres_keeps(c)) {
        return NGX_DECLINED;
    }

    rc = ngx_lyftr_postgres_barrier_wait(c, ngx_lyftr_clock()
                                            + NGX_LYFTR_POSTGRES_MOMENT, err);

    if (rc != NGX_OK && err->code == NGX_LYFTR_ERR_STANDBY) {

        /* those who write tell of it */

        err->code = NGX_LYFTR_ERR_NONE;
        return NGX_DONE;
    }

    if (rc != NGX_OK
        || (ngx_lyftr_postgres_call_gone(c)
            && ngx_lyftr_postgres_connect(c, 0, deadline, err) != NGX_OK)
        || ngx_lyftr_postgres_look_at(c, deadline, err) != NGX_OK
        || ngx_lyftr_postgres_tidy(c, deadline, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (c->dsn->alone && !c->dsn->told) {
        c->dsn->told = 1;

        (void) ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_NONE,
                                       "no standby confirms its commits: they "
                                       "are as durable as its disk");
        return NGX_AGAIN;
    }

    return ngx_lyftr_postgres_work(c, deadline, err);
}


static ngx_uint_t
ngx_lyftr_postgres_keeps(ngx_lyftr_postgres_t *c)
{
    ngx_atomic_t       *keeper, *beat;
    ngx_msec_t          now;
    ngx_atomic_uint_t   who;

    if (c->dsn->common.words == NULL) {
        return 1;
    }

    keeper = &c->dsn->common.words[NGX_LYFTR_WORD_KEEPER];
    beat = &c->dsn->common.words[NGX_LYFTR_WORD_BEAT];

    now = ngx_lyftr_clock();
    who = __atomic_load_n(keeper, __ATOMIC_SEQ_CST);

    if (who != (ngx_atomic_uint_t) getpid()) {

        if (who
            && (ngx_msec_int_t) (now - __atomic_load_n(beat, __ATOMIC_SEQ_CST))
               < NGX_LYFTR_POSTGRES_LEASE)
        {
            return 0;
        }

        if (!ngx_atomic_cmp_set(keeper, who, getpid())) {
            return 0;
        }
    }

    __atomic_store_n(beat, now, __ATOMIC_SEQ_CST);

    return 1;
}


static ngx_int_t
ngx_lyftr_postgres_look_at(ngx_lyftr_postgres_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int64_t                     floor;
    PGresult                   *res;
    ngx_int_t                   rc;
    ngx_lyftr_postgres_args_t   args;

    floor = ngx_lyftr_postgres_floor(c);

    res = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_STATE, NULL, deadline, err);
    if (res == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_lyftr_postgres_state(c, res, floor, err);

    PQclear(res);

    c->jobs->tail = 0;

    if (rc != NGX_OK || c->state.counted == c->state.last) {
        return rc;
    }

    args.n = 0;
    ngx_lyftr_postgres_arg_int(&args, c->state.counted);

    res = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_COUNT_ALL, &args, deadline,
                                   err);
    if (res == NULL) {
        return NGX_ERROR;
    }

    c->jobs->tail = ngx_lyftr_postgres_int(res, 0, 0);

    PQclear(res);

    return NGX_OK;
}


/* what is done now and then */

static ngx_int_t
ngx_lyftr_postgres_tidy(ngx_lyftr_postgres_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    PGresult                   *res;
    ngx_msec_t                  now;
    ngx_lyftr_postgres_jobs_t  *jobs;

    jobs = c->jobs;
    now = ngx_lyftr_clock();

    if (ngx_lyftr_postgres_keep_look(c, deadline, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (jobs->sized == 0 || now - jobs->sized >= NGX_LYFTR_POSTGRES_SIZED) {
        res = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_SIZE, NULL, deadline,
                                       err);
        if (res == NULL) {
            return NGX_ERROR;
        }

        jobs->bytes = ngx_lyftr_postgres_int(res, 0, 0);
        jobs->sized = now | 1;

        PQclear(res);
    }

    if (jobs->cleaned == 0
        || now - jobs->cleaned >= NGX_LYFTR_POSTGRES_CLEANED)
    {
        res = ngx_lyftr_postgres_aside(c, NGX_LYFTR_PG_JOB_SLOTS, NULL,
                                       deadline, err);
        if (res == NULL) {
            return NGX_ERROR;
        }

        jobs->cleaned = now | 1;

        PQclear(res);
    }

    return NGX_OK;
}


/* a job that has more to do is the last one of the next time */

static ngx_int_t
ngx_lyftr_postgres_work(ngx_lyftr_postgres_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t          rc;
    ngx_uint_t         i, n;
    ngx_lyftr_error_t  failure;

    for (i = 0; i < NGX_LYFTR_POSTGRES_JOBS; i++) {
        n = c->jobs->next;
        c->jobs->next = (n + 1) % NGX_LYFTR_POSTGRES_JOBS;

        rc = ngx_lyftr_postgres_steps[n](c, deadline, &failure);

        if (rc == NGX_OK || rc == NGX_DONE) {
            ngx_lyftr_postgres_tell(c, n, NULL);
        }

        if (rc == NGX_OK) {
            return NGX_OK;
        }

        if (rc == NGX_ERROR) {

            if (failure.code == NGX_LYFTR_ERR_BUSY) {
                *err = failure;
                return NGX_BUSY;
            }

            (void) ngx_lyftr_postgres_fail(c->dsn, err, failure.code,
                                           "%s: %.*s",
                                           ngx_lyftr_postgres_jobs[n].data,
                                           (int) failure.len, failure.text);

            ngx_lyftr_postgres_tell(c, n, &failure);

            return NGX_ERROR;
        }
    }

    return NGX_DONE;
}


/* all processes; NULL: it does not fail any more */

static void
ngx_lyftr_postgres_tell(ngx_lyftr_postgres_t *c, ngx_uint_t n,
    ngx_lyftr_error_t *failure)
{
    if (c->dsn->common.jobs) {
        ngx_lyftr_backend_job_tell(&c->dsn->common.jobs[n], failure);
    }
}


void
ngx_lyftr_postgres_gauges(void *conn, ngx_lyftr_gauges_t *gauges)
{
    ngx_lyftr_postgres_t *c = conn;

    int64_t                     *own;
    ngx_lyftr_postgres_state_t  *state;

    state = &c->state;

    gauges->rows = state->rows + c->jobs->tail;
    gauges->bytes = c->jobs->bytes;
    gauges->last = state->durable;
    gauges->adopted = -1;

    own = gauges->own;

    own[NGX_LYFTR_POSTGRES_COUNT_LAG] = ngx_max(state->last - state->counted,
                                                0);
    own[NGX_LYFTR_POSTGRES_SEARCH_LAG] = c->dsn->search
                                         ? ngx_max(state->last
                                                   - state->searched, 0)
                                         : 0;
    own[NGX_LYFTR_POSTGRES_OLDEST] = ngx_lyftr_postgres_keep_oldest(c);
    own[NGX_LYFTR_POSTGRES_KEEP_SECONDS] = c->dsn->keep / 1000;
    own[NGX_LYFTR_POSTGRES_KEEP_LAG] = ngx_lyftr_postgres_keep_lag(c);
    own[NGX_LYFTR_POSTGRES_LEFT_ROWS] = state->left_rows;
    own[NGX_LYFTR_POSTGRES_LEFT_BYTES] = state->left_bytes;
}


void
ngx_lyftr_postgres_jobs_free(ngx_lyftr_postgres_t *c)
{
    ngx_atomic_t  *words;

    if (c->jobs == NULL) {
        return;
    }

    words = c->dsn->common.words;

    if (words) {
        (void) ngx_atomic_cmp_set(&words[NGX_LYFTR_WORD_KEEPER], getpid(), 0);
    }

    free(c->jobs);

    c->jobs = NULL;
}

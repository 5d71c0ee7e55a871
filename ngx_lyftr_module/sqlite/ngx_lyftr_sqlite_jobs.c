#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>
#include <ngx_lyftr_sqlite_setup.h>
#include <ngx_lyftr_sqlite_jobs.h>

#include <time.h>


/*
 * After a step, or within one after so many nsec, it rests for so many times
 * what that took of a processor, and so many nsec at most, while rows come;
 * unless so many have no segment, or for so many msec there always was
 * something to do.
 */
#ifndef NGX_LYFTR_JOBS_REST_WITHIN
#define NGX_LYFTR_JOBS_REST_WITHIN 500000
#endif
#define NGX_LYFTR_JOBS_REST        2
#define NGX_LYFTR_JOBS_REST_MOST   20000000
#define NGX_LYFTR_JOBS_REST_ROWS   (NGX_LYFTR_SLOW * 3 / 8)
#define NGX_LYFTR_JOBS_REST_BUSY   5000
#define NGX_LYFTR_JOBS_REST_QUIET  100

/*
 * One step of so many is first offered to those who erase, or make room; while
 * a database is adopted, its rows would come faster than segments of them.
 */
#define NGX_LYFTR_JOBS_FAIR        4


static ngx_int_t ngx_lyftr_jobs_create(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static void ngx_lyftr_jobs_begin(ngx_lyftr_sqlite_t *c);
static ngx_int_t ngx_lyftr_jobs_look(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_jobs_step(ngx_lyftr_sqlite_t *c, ngx_uint_t n,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static void ngx_lyftr_jobs_pause(void *conn);
static void ngx_lyftr_jobs_rest(ngx_lyftr_sqlite_t *c);
static int64_t ngx_lyftr_jobs_cost(void);
static ngx_int_t ngx_lyftr_job_rebuild(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_uint_t ngx_lyftr_job_rebuild_active(ngx_lyftr_sqlite_jobs_t *jobs);
static void ngx_lyftr_job_rebuild_forget(ngx_lyftr_sqlite_jobs_t *jobs);
static void ngx_lyftr_jobs_forget(ngx_lyftr_sqlite_jobs_t *jobs,
    ngx_lyftr_job_t *job);
static void ngx_lyftr_jobs_failed(ngx_lyftr_sqlite_t *c, ngx_uint_t n,
    ngx_lyftr_error_t *failure, ngx_lyftr_error_t *err);
static void ngx_lyftr_jobs_tell(ngx_lyftr_sqlite_t *c, ngx_uint_t n,
    ngx_lyftr_error_t *failure);
static void ngx_lyftr_jobs_anew(ngx_lyftr_sqlite_t *c);


/*
 * The most urgent first; what makes room stands before what needs it.  Where
 * rows never cease to come the first ones always have something to do.
 */

static ngx_lyftr_job_t  ngx_lyftr_jobs[] = {

    { ngx_lyftr_job_checkpoint,
      NULL,
      ngx_lyftr_job_checkpoint_forget },

    { ngx_lyftr_job_flush,
      ngx_lyftr_job_flush_active,
      ngx_lyftr_job_flush_forget },

    { ngx_lyftr_job_count,
      ngx_lyftr_job_count_active,
      ngx_lyftr_job_count_forget },

    { ngx_lyftr_job_erase,
      ngx_lyftr_job_erase_active,
      ngx_lyftr_job_erase_forget },

    { ngx_lyftr_job_leave,
      ngx_lyftr_job_leave_active,
      ngx_lyftr_job_leave_forget },

    { ngx_lyftr_job_clear,
      ngx_lyftr_job_clear_active,
      ngx_lyftr_job_clear_forget },

    { ngx_lyftr_job_sweep,
      ngx_lyftr_job_sweep_active,
      ngx_lyftr_job_sweep_forget },

    { ngx_lyftr_job_merge,
      ngx_lyftr_job_merge_active,
      ngx_lyftr_job_merge_forget },

    { ngx_lyftr_job_rebuild,
      ngx_lyftr_job_rebuild_active,
      ngx_lyftr_job_rebuild_forget },

    { ngx_lyftr_sqlite_adopt_step,
      NULL,
      NULL },

    { ngx_lyftr_job_search,
      ngx_lyftr_job_search_active,
      ngx_lyftr_job_search_forget }
};


/* the names of the same, for all who tell of them */

ngx_str_t  ngx_lyftr_sqlite_jobs[] = {
    ngx_string("checkpoint"),
    ngx_string("flush"),
    ngx_string("count"),
    ngx_string("erase"),
    ngx_string("leave"),
    ngx_string("clear"),
    ngx_string("sweep"),
    ngx_string("merge"),
    ngx_string("rebuild"),
    ngx_string("adopt"),
    ngx_string("search"),
    ngx_null_string
};


ngx_int_t
ngx_lyftr_sqlite_housekeep(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    ngx_int_t   rc;
    ngx_uint_t  i, first, owner;

    err->code = NGX_LYFTR_ERR_NONE;

    rc = ngx_lyftr_jobs_create(c, err);

    if (rc != NGX_OK) {
        return rc;
    }

    c->jobs->rested = ngx_lyftr_jobs_cost();

    owner = ngx_lyftr_lease_owned(c);

    rc = ngx_lyftr_jobs_own(c, deadline, err);

    if (rc != NGX_OK) {
        return rc;
    }

    if (!owner) {
        ngx_lyftr_jobs_begin(c);
    }

    rc = ngx_lyftr_jobs_look(c, deadline, err);

    first = (c->adopt || ++c->jobs->turns % NGX_LYFTR_JOBS_FAIR)
            ? 0 : NGX_LYFTR_JOB_ERASE;

    for (i = 0; i < NGX_LYFTR_JOBS && rc == NGX_DONE; i++) {
        rc = ngx_lyftr_jobs_step(c, (first + i) % NGX_LYFTR_JOBS, deadline,
                                 err);
    }

    if (!ngx_lyftr_lease_owned(c)) {
        ngx_lyftr_jobs_anew(c);
        return NGX_DECLINED;
    }

    if (rc == NGX_OK) {
        ngx_lyftr_jobs_rest(c);

    } else if (rc == NGX_DONE) {
        c->jobs->idle = ngx_lyftr_clock();
    }

    return rc;
}


/* within a step that reads; its deadline is for what it does */

static void
ngx_lyftr_jobs_pause(void *conn)
{
    ngx_lyftr_sqlite_t *c = conn;

    ngx_msec_t  now;

    if (ngx_lyftr_jobs_cost() - c->jobs->rested < NGX_LYFTR_JOBS_REST_WITHIN) {
        return;
    }

    now = ngx_lyftr_clock();

    ngx_lyftr_jobs_rest(c);

    c->transaction.deadline += ngx_lyftr_clock() - now;
}


/*
 * What it has to do comes in bursts, and in each a message would wait for a
 * processor, and a batch for its turn.
 */

static void
ngx_lyftr_jobs_rest(ngx_lyftr_sqlite_t *c)
{
    int64_t          rest;
    ngx_msec_t       now;
    struct timespec  ts;

    rest = ngx_lyftr_jobs_cost() - c->jobs->rested;

    c->jobs->rested += rest;

    now = ngx_lyftr_clock();

    if (now - c->jobs->steps.since >= NGX_LYFTR_JOBS_REST_QUIET
        || now - c->jobs->idle >= NGX_LYFTR_JOBS_REST_BUSY
        || c->index.last - c->state.indexed >= NGX_LYFTR_JOBS_REST_ROWS
        || c->adopt)
    {
        return;
    }

    rest *= NGX_LYFTR_JOBS_REST;

    ts.tv_sec = 0;
    ts.tv_nsec = ngx_min(rest, NGX_LYFTR_JOBS_REST_MOST);

    (void) nanosleep(&ts, NULL);
}


/* nsec of a processor that the thread has had */

static int64_t
ngx_lyftr_jobs_cost(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);

    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}


static ngx_int_t
ngx_lyftr_jobs_create(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    if (c->jobs) {
        return NGX_OK;
    }

    c->jobs = sqlite3_malloc(sizeof(ngx_lyftr_sqlite_jobs_t));
    if (c->jobs == NULL) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    ngx_memzero(c->jobs, sizeof(ngx_lyftr_sqlite_jobs_t));

    ngx_lyftr_steps_init(c->jobs);

    c->transaction.pause = ngx_lyftr_jobs_pause;

    return NGX_OK;
}


/* whoever had it before may have left something */

static void
ngx_lyftr_jobs_begin(ngx_lyftr_sqlite_t *c)
{
    ngx_uint_t  n;

    for (n = 0; n < NGX_LYFTR_JOBS; n++) {
        ngx_lyftr_jobs_tell(c, n, NULL);
    }

    ngx_lyftr_job_erase_forget(c->jobs);
    ngx_lyftr_job_leave_forget(c->jobs);
    ngx_lyftr_job_clear_forget(c->jobs);
    ngx_lyftr_job_sweep_forget(c->jobs);
}


static ngx_int_t
ngx_lyftr_jobs_look(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_lease_fence(c, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_last(c, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_many(c, err);
    }

    /* nobody else adds to it */

    if (rc == NGX_OK && c->dsn->search && c->searched == 0) {
        rc = ngx_lyftr_sqlite_searched(c, &c->searched, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_BUSY : rc;
    }

    ngx_lyftr_steps_see(c->jobs, c->index.last);

    return NGX_DONE;
}


/*
 * A job that fails begins anew after a while, and the others go on meanwhile:
 * it has done nothing, as if it were not due.  It still fails until it has come
 * to its end.
 */

static ngx_int_t
ngx_lyftr_jobs_step(ngx_lyftr_sqlite_t *c, ngx_uint_t n, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t                 rc;
    ngx_msec_t                now;
    ngx_lyftr_error_t         failure;
    ngx_lyftr_job_t          *job;
    ngx_lyftr_job_try_t      *try;
    ngx_lyftr_sqlite_jobs_t  *jobs;

    jobs = c->jobs;
    job = &ngx_lyftr_jobs[n];
    try = &jobs->tries[n];
    now = ngx_lyftr_clock();

    if (try->failures
        && ((ngx_msec_int_t) (now - try->at) < 0
            || now - jobs->failed < NGX_LYFTR_JOBS_APART))
    {
        return NGX_DONE;
    }

    rc = job->step(c, deadline, &failure);

    if (rc == NGX_DECLINED) {
        *err = failure;
        return NGX_BUSY;
    }

    if (rc == NGX_ERROR) {
        ngx_lyftr_jobs_forget(jobs, job);

        if (failure.code == NGX_LYFTR_ERR_BUSY) {
            *err = failure;
            return NGX_BUSY;
        }

        /* that is the fault of no job */

        if (failure.code == NGX_LYFTR_ERR_MOVED) {
            *err = failure;
            return NGX_ERROR;
        }

        ngx_lyftr_jobs_failed(c, n, &failure, err);

        return NGX_OK;
    }

    if (try->failures && (job->active == NULL || !job->active(jobs))) {
        try->failures = 0;
        ngx_lyftr_jobs_tell(c, n, NULL);
    }

    if (rc == NGX_AGAIN) {
        *err = failure;
    }

    return rc;
}


/* what was made of what is to go is given up, and what failed is tried */

static ngx_int_t
ngx_lyftr_job_rebuild(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t   rc;
    ngx_uint_t  n, begun;

    begun = (c->state.rebuild != 0);

    /* it would make segments of rows that are erased and not yet gone */

    if (!begun && c->state.erase) {
        return NGX_DONE;
    }

    rc = ngx_lyftr_rebuild_step(c, deadline, err);

    if (rc == NGX_OK && !begun) {
        ngx_lyftr_job_merge_forget(c->jobs);

        for (n = 0; n < NGX_LYFTR_JOBS; n++) {
            c->jobs->tries[n].at = ngx_lyftr_clock();
        }
    }

    return rc;
}


static ngx_uint_t
ngx_lyftr_job_rebuild_active(ngx_lyftr_sqlite_jobs_t *jobs)
{
    return ngx_lyftr_rebuild_active(&jobs->rebuild);
}


static void
ngx_lyftr_job_rebuild_forget(ngx_lyftr_sqlite_jobs_t *jobs)
{
    ngx_lyftr_rebuild_forget(&jobs->rebuild);
}


static void
ngx_lyftr_jobs_forget(ngx_lyftr_sqlite_jobs_t *jobs,
    ngx_lyftr_job_t *job)
{
    if (job->forget) {
        job->forget(jobs);
    }
}


static void
ngx_lyftr_jobs_failed(ngx_lyftr_sqlite_t *c, ngx_uint_t n,
    ngx_lyftr_error_t *failure, ngx_lyftr_error_t *err)
{
    ngx_msec_t                wait;
    ngx_lyftr_job_try_t      *try;
    ngx_lyftr_sqlite_jobs_t  *jobs;

    jobs = c->jobs;
    try = &jobs->tries[n];

    wait = NGX_LYFTR_JOBS_AGAIN << ngx_min(try->failures, 4);

    jobs->failed = ngx_lyftr_clock();

    try->failures++;
    try->at = jobs->failed + ngx_min(wait, NGX_LYFTR_JOBS_MOST);

    (void) ngx_lyftr_sqlite_fail(err, failure->code, "%s: %.*s",
                                 ngx_lyftr_sqlite_jobs[n].data,
                                 (int) failure->len, failure->text);

    ngx_lyftr_jobs_tell(c, n, failure);
}


/* all processes; NULL: it does not fail any more */

static void
ngx_lyftr_jobs_tell(ngx_lyftr_sqlite_t *c, ngx_uint_t n,
    ngx_lyftr_error_t *failure)
{
    ngx_lyftr_backend_job_t  *job;

    job = ngx_lyftr_sqlite_job(c, n);

    if (job) {
        ngx_lyftr_backend_job_tell(job, failure);
    }
}


/* what is half done is forgotten, and what has failed: others do it */

static void
ngx_lyftr_jobs_anew(ngx_lyftr_sqlite_t *c)
{
    ngx_uint_t  n;

    for (n = 0; n < NGX_LYFTR_JOBS; n++) {
        ngx_lyftr_jobs_forget(c->jobs, &ngx_lyftr_jobs[n]);
    }

    ngx_memzero(c->jobs->tries, sizeof(c->jobs->tries));

    ngx_lyftr_lease_leave(c);
}


void
ngx_lyftr_sqlite_jobs_free(ngx_lyftr_sqlite_t *c)
{
    if (c->jobs == NULL) {
        return;
    }

    ngx_lyftr_jobs_anew(c);

    sqlite3_free(c->jobs);

    c->jobs = NULL;
    c->transaction.pause = NULL;
}


/* by what look() has read; a step after it may have changed the state */

void
ngx_lyftr_sqlite_gauges(void *conn, ngx_lyftr_gauges_t *gauges)
{
    ngx_lyftr_sqlite_t *c = conn;

    int64_t  *own, last;

    own = gauges->own;
    last = c->index.last;

    own[NGX_LYFTR_GAUGE_UNINDEXED] = ngx_max(last - c->state.indexed, 0);
    own[NGX_LYFTR_GAUGE_UNCOUNTED] = ngx_max(last - c->state.counted, 0);
    own[NGX_LYFTR_GAUGE_SEARCH_LAG] = c->dsn->search
                                      ? ngx_max(last - c->searched, 0) : 0;
    gauges->rows = c->many + (last - c->many_to);
    gauges->last = last;

    own[NGX_LYFTR_GAUGE_WAL_PAGES] = ngx_lyftr_sqlite_pages(c);
    own[NGX_LYFTR_GAUGE_WAL_BYTES] = ngx_lyftr_sqlite_wal_size(c);
    own[NGX_LYFTR_GAUGE_FREE] = ngx_lyftr_sqlite_free_bytes(c);

    if (c->jobs) {
        own[NGX_LYFTR_GAUGE_OLDEST] =
                                 ngx_lyftr_keep_oldest(&c->jobs->steps.keep);
        own[NGX_LYFTR_GAUGE_KEEP_LAG] =
                                 ngx_lyftr_keep_lag(c, &c->jobs->steps.keep);
    }

    own[NGX_LYFTR_GAUGE_KEEP] = c->dsn->keep / 1000;
    own[NGX_LYFTR_GAUGE_LEFT] = c->state.gone;
    own[NGX_LYFTR_GAUGE_LEFT_BYTES] = c->state.gone_bytes;
    own[NGX_LYFTR_GAUGE_ERASING] = c->state.erasing - c->state.deleted;

    if (own[NGX_LYFTR_GAUGE_ERASING] == 0
        && (c->state.erase || c->state.emptying))
    {
        own[NGX_LYFTR_GAUGE_ERASING] = 1;
    }

    own[NGX_LYFTR_GAUGE_ERASED] = c->state.erased;
    gauges->bytes = ngx_lyftr_sqlite_size(c);
    gauges->adopted = ngx_lyftr_sqlite_adopt_share(c);
}


/*
 * A number of the log may have no row, and the rows of segments may become
 * fewer: these know theirs.  Of the others none is looked at twice; of very
 * many, as after an adoption, some are counted each time.
 */

ngx_int_t
ngx_lyftr_sqlite_many(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int64_t               to, n;
    ngx_uint_t            i;
    sqlite3_stmt         *st;
    ngx_lyftr_segment_t  *s;

    if (ngx_lyftr_sqlite_erased_total(c, &n, err) != NGX_OK) {
        return NGX_ERROR;
    }

    c->many = -n;

    for (i = 0; i < c->index.nsegments; i++) {
        s = &c->index.segments[i];

        c->many += s->rows;

        if (s->last <= c->many_after) {
            continue;
        }

        /* they were counted as rows without one, or some of them */

        c->many_tail -= s->rows;

        if (s->first < c->many_after) {
            c->many_to = 0;
        }
    }

    c->many_after = c->state.indexed;

    /* some may have left, and have been in no segment */

    if (c->many_to <= c->many_after || c->state.floor > c->many_floor) {
        c->many_to = c->many_after;
        c->many_tail = 0;
        c->many_floor = c->state.floor;
    }

    to = ngx_min(c->index.last, c->many_to + NGX_LYFTR_SLOW);

    if (to > c->many_to) {
        st = c->stmt[NGX_LYFTR_SQL_MANY];

        (void) sqlite3_bind_int64(st, 1, c->many_to);
        (void) sqlite3_bind_int64(st, 2, to);

        if (ngx_lyftr_sqlite_int(c, st, &n, err) != NGX_OK) {
            return NGX_ERROR;
        }

        c->many_tail += n;
        c->many_to = to;
    }

    c->many += c->many_tail;

    return NGX_OK;
}

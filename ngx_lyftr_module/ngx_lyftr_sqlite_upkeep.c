#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>
#include <ngx_lyftr_sqlite_disk.h>
#include <ngx_lyftr_sqlite_gram.h>


/* pages of the WAL between two checkpoints */
#define NGX_LYFTR_UPKEEP_PAGES     8000

/* blocks of segments that are no more, deleted in one turn */
#define NGX_LYFTR_UPKEEP_BLOCKS    200

/* msec without a new row, after which the rest is counted */
#define NGX_LYFTR_UPKEEP_IDLE      200


struct ngx_lyftr_sqlite_upkeep_s {
    ngx_uint_t           owner;            /* of all processes, this one */
    ngx_lyftr_sqlite_t  *guard;            /* of checkpoints */
    ngx_lyftr_job_t      flush;
    ngx_lyftr_job_t      merge;
    ngx_lyftr_count_t    count;
    ngx_lyftr_grow_t     search;
    int                  pages;            /* at the last checkpoint */
    int64_t              rows;             /* the last one seen, */
    ngx_msec_t           since;            /* at this time */
    ngx_uint_t           sweep;            /* blocks may have to go, */
    int64_t              swept;            /* from this one on */
};


static ngx_int_t ngx_lyftr_upkeep_own(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_upkeep_look(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_upkeep_checkpoint(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_upkeep_flush(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_upkeep_count(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_upkeep_merge(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_upkeep_sweep(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_upkeep_sweep_from(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_upkeep_search(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_uint_t ngx_lyftr_upkeep_wanted(ngx_lyftr_sqlite_t *c,
    int64_t segment);


/* NGX_DONE: it had nothing to do */

typedef ngx_int_t (*ngx_lyftr_upkeep_pt)(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);


/* the most urgent first */

static ngx_lyftr_upkeep_pt  ngx_lyftr_upkeeps[] = {
    ngx_lyftr_upkeep_checkpoint,
    ngx_lyftr_upkeep_flush,
    ngx_lyftr_upkeep_count,
    ngx_lyftr_upkeep_merge,
    ngx_lyftr_upkeep_sweep,
    ngx_lyftr_upkeep_search,
    NULL
};


ngx_int_t
ngx_lyftr_sqlite_maintain(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    ngx_int_t   rc;
    ngx_uint_t  i;

    rc = ngx_lyftr_upkeep_own(c, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_upkeep_look(c, deadline, err);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    rc = NGX_DONE;

    for (i = 0; ngx_lyftr_upkeeps[i] && rc == NGX_DONE; i++) {
        rc = ngx_lyftr_upkeeps[i](c, deadline, err);
    }

    return rc;
}


/* the lock ends with the process that has it */

static ngx_int_t
ngx_lyftr_upkeep_own(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_int_t                    rc;
    ngx_lyftr_sqlite_upkeep_t   *upkeep;

    upkeep = c->upkeep;

    if (upkeep == NULL) {
        upkeep = sqlite3_malloc(sizeof(ngx_lyftr_sqlite_upkeep_t));
        if (upkeep == NULL) {
            return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                         "no memory");
        }

        ngx_memzero(upkeep, sizeof(ngx_lyftr_sqlite_upkeep_t));

        c->upkeep = upkeep;
    }

    if (upkeep->owner) {
        return ngx_lyftr_sqlite_files(c, err);
    }

    rc = ngx_lyftr_flock_own(&c->lock);

    if (rc == NGX_ERROR) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                     "file lock: %s", strerror(errno));
    }

    if (rc != NGX_OK) {
        return NGX_DECLINED;
    }

    /* what it commits can be done again: the next writer's sync will do */

    if (sqlite3_exec(c->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL)
        != SQLITE_OK)
    {
        return ngx_lyftr_sqlite_error(c, err);
    }

    /* whoever had it before may have left something */

    upkeep->owner = 1;
    upkeep->sweep = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_upkeep_look(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t                    rc;
    ngx_lyftr_sqlite_upkeep_t   *upkeep;

    upkeep = c->upkeep;

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_look(c, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_int(c, c->stmt[NGX_LYFTR_SQL_LAST], &c->last,
                                  err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_many(c, err);
    }

    /* nobody else adds to it */

    if (rc == NGX_OK && c->dsn->search && c->searched == 0) {
        rc = ngx_lyftr_sqlite_searched(c, &c->searched, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc == NGX_OK && c->last != upkeep->rows) {
        upkeep->rows = c->last;
        upkeep->since = ngx_lyftr_clock();
    }

    return rc;
}


static ngx_int_t
ngx_lyftr_upkeep_checkpoint(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int                          pages;
    ngx_int_t                    rc;
    ngx_lyftr_sqlite_upkeep_t   *upkeep;

    upkeep = c->upkeep;
    pages = ngx_lyftr_sqlite_pages(c);

    if (pages < upkeep->pages) {
        /* the WAL has begun anew */
        upkeep->pages = 0;
    }

    if (pages - upkeep->pages < NGX_LYFTR_UPKEEP_PAGES
        && !ngx_lyftr_sqlite_long(c))
    {
        return NGX_DONE;
    }

    if (upkeep->guard == NULL) {
        upkeep->guard = ngx_lyftr_sqlite_open(c->dsn, 0, deadline, err);

        if (upkeep->guard == NULL) {
            return NGX_ERROR;
        }
    }

    rc = ngx_lyftr_sqlite_checkpoint(c, upkeep->guard, deadline, err);

    /* if a reader held it up, the next try is as many pages later */

    upkeep->pages = ngx_lyftr_sqlite_pages(c);

    return rc;
}


/* a segment of what is counted */

static ngx_int_t
ngx_lyftr_upkeep_flush(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int64_t           first, last;
    ngx_int_t         rc;
    ngx_lyftr_job_t  *job;

    job = &c->upkeep->flush;

    if (!job->active) {
        first = c->state.indexed;
        last = first + NGX_LYFTR_SEGMENT;

        if (c->state.counted < last) {
            return NGX_DONE;
        }

        return ngx_lyftr_job_flush(c, job, first, last, deadline, err);
    }

    rc = ngx_lyftr_job_step(c, job, deadline, err);

    if (rc == NGX_DONE) {
        ngx_lyftr_job_free(job);
        return NGX_OK;
    }

    return rc;
}


static ngx_int_t
ngx_lyftr_upkeep_count(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int64_t                      n;
    ngx_int_t                    rc;
    ngx_lyftr_sqlite_upkeep_t   *upkeep;

    upkeep = c->upkeep;

    if (!upkeep->count.active) {
        n = c->last - c->state.counted;

        if (n <= 0
            || (n < NGX_LYFTR_TALLY
                && ngx_lyftr_clock() - upkeep->since < NGX_LYFTR_UPKEEP_IDLE))
        {
            return NGX_DONE;
        }

        n = ngx_min(n, NGX_LYFTR_TALLY);

        return ngx_lyftr_count_begin(c, &upkeep->count, c->state.counted + n,
                                     deadline, err);
    }

    rc = ngx_lyftr_count_step(c, &upkeep->count, deadline, err);

    return rc == NGX_DONE ? NGX_OK : rc;
}


/* as many neighbours of one level become one of the next */

static ngx_int_t
ngx_lyftr_upkeep_merge(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t             rc;
    ngx_uint_t            i, n;
    ngx_lyftr_job_t      *job;
    ngx_lyftr_segment_t  *s;

    job = &c->upkeep->merge;

    if (job->active) {
        rc = ngx_lyftr_job_step(c, job, deadline, err);

        if (rc == NGX_DONE) {
            ngx_lyftr_job_free(job);

            c->upkeep->sweep = 1;
            c->upkeep->swept = 0;

            return NGX_OK;
        }

        return rc;
    }

    s = c->segments;

    for (i = 0, n = 1; i + 1 < c->nsegments && n < NGX_LYFTR_FANOUT; i++) {
        n = (s[i].level == s[i + 1].level
             && s[i].ties == s[i + 1].ties
             && s[i].level < NGX_LYFTR_LEVELS)
            ? n + 1 : 1;
    }

    if (n < NGX_LYFTR_FANOUT) {
        return NGX_DONE;
    }

    return ngx_lyftr_job_merge(c, job, &s[i + 1 - n], n, deadline, err);
}


/*
 * Deletes blocks of what is no segment: it was merged, or was being made when
 * its maker went away.
 */

static ngx_int_t
ngx_lyftr_upkeep_sweep(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (!c->upkeep->sweep) {
        return NGX_DONE;
    }

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_UPKEEP, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_look(c, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_upkeep_sweep_from(c, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


static ngx_int_t
ngx_lyftr_upkeep_sweep_from(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int                          rc;
    int64_t                      no, segment;
    sqlite3_stmt                *st;
    ngx_lyftr_sqlite_upkeep_t   *upkeep;

    upkeep = c->upkeep;

    for ( ;; ) {
        st = c->stmt[NGX_LYFTR_SQL_BLOCK_NEXT];

        (void) sqlite3_bind_int64(st, 1, upkeep->swept);

        rc = sqlite3_step(st);
        no = (rc == SQLITE_ROW) ? sqlite3_column_int64(st, 0) : 0;

        if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
            (void) ngx_lyftr_sqlite_error(c, err);
        }

        (void) sqlite3_reset(st);

        if (rc == SQLITE_DONE) {
            upkeep->sweep = 0;
            upkeep->swept = 0;
            return NGX_OK;
        }

        if (rc != SQLITE_ROW) {
            return NGX_ERROR;
        }

        segment = no >> NGX_LYFTR_BLOCK_SEGMENT;
        upkeep->swept = no;

        if (!ngx_lyftr_upkeep_wanted(c, segment)) {
            break;
        }

        upkeep->swept = (segment + 1) << NGX_LYFTR_BLOCK_SEGMENT;
    }

    st = c->stmt[NGX_LYFTR_SQL_BLOCK_DELETE];

    (void) sqlite3_bind_int64(st, 1, no);
    (void) sqlite3_bind_int64(st, 2, (segment + 1) << NGX_LYFTR_BLOCK_SEGMENT);
    (void) sqlite3_bind_int64(st, 3, NGX_LYFTR_UPKEEP_BLOCKS);

    return ngx_lyftr_sqlite_run(c, st, err);
}


static ngx_uint_t
ngx_lyftr_upkeep_wanted(ngx_lyftr_sqlite_t *c, int64_t segment)
{
    ngx_uint_t                   i;
    ngx_lyftr_sqlite_upkeep_t   *upkeep;

    upkeep = c->upkeep;

    if ((upkeep->flush.active && upkeep->flush.segment.id == segment)
        || (upkeep->merge.active && upkeep->merge.segment.id == segment))
    {
        return 1;
    }

    for (i = 0; i < c->nsegments; i++) {
        if (c->segments[i].id == segment) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_lyftr_upkeep_search(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    return ngx_lyftr_grow_step(c, &c->upkeep->search, deadline, err);
}


void
ngx_lyftr_sqlite_upkeep_free(ngx_lyftr_sqlite_t *c)
{
    ngx_lyftr_sqlite_upkeep_t  *upkeep;

    upkeep = c->upkeep;

    if (upkeep == NULL) {
        return;
    }

    if (upkeep->guard) {
        ngx_lyftr_sqlite_close(upkeep->guard);
    }

    ngx_lyftr_job_free(&upkeep->flush);
    ngx_lyftr_job_free(&upkeep->merge);
    ngx_lyftr_count_free(&upkeep->count);
    ngx_lyftr_grow_free(&upkeep->search);

    sqlite3_free(upkeep);

    c->upkeep = NULL;
}

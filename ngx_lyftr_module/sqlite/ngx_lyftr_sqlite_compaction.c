#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_jobs.h>


/* how a segment is made, in transactions that read and that write */

static ngx_int_t ngx_lyftr_sqlite_segment_begin(ngx_lyftr_sqlite_t *c,
    int64_t *id, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_segment_register(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_compaction_t *job, ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_sqlite_flush(ngx_lyftr_sqlite_t *c, ngx_lyftr_compaction_t *job,
    int64_t first, int64_t last, ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    int64_t    id;
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_segment_begin(c, &id, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_compaction_flush(&c->index, job, id, first, last, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


ngx_int_t
ngx_lyftr_sqlite_merge(ngx_lyftr_sqlite_t *c, ngx_lyftr_compaction_t *job,
    ngx_lyftr_segment_t *from, ngx_uint_t n, ngx_lyftr_leave_t *leave,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    int64_t    id;
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_segment_begin(c, &id, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_compaction_merge(&c->index, job, id, from, n, leave,
                                        err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


/* a number for it, and then a transaction that reads */

static ngx_int_t
ngx_lyftr_sqlite_segment_begin(ngx_lyftr_sqlite_t *c, int64_t *id,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_jobs_number(c, id, deadline, err);

    return rc == NGX_OK ? ngx_lyftr_sqlite_begin(c, 0, deadline, err) : rc;
}


ngx_int_t
ngx_lyftr_sqlite_compact(ngx_lyftr_sqlite_t *c, ngx_lyftr_compaction_t *job,
    ngx_uint_t aside, ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc, done;

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_compaction_read(&c->index, job, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc == NGX_OK && !ngx_lyftr_compaction_waits(job)) {
        return NGX_OK;
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    done = ngx_lyftr_compaction_write(&c->index, job, err);

    rc = (done == NGX_ERROR) ? NGX_ERROR : NGX_OK;

    if (done == NGX_DONE && !aside) {
        rc = ngx_lyftr_sqlite_segment_register(c, job, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc == NGX_OK ? done : rc;
}


static ngx_int_t
ngx_lyftr_sqlite_segment_register(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_compaction_t *job, ngx_lyftr_error_t *err)
{
    ngx_uint_t     i;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_SEGMENT_DELETE];

    for (i = 0; i < job->nfrom; i++) {
        (void) sqlite3_bind_int64(st, 1, job->from[i].id);

        if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_lyftr_sqlite_segment_add(c, &job->segment, err) != NGX_OK) {
        return NGX_ERROR;
    }

    st = c->stmt[NGX_LYFTR_SQL_INDEXED];

    (void) sqlite3_bind_int64(st, 1, job->segment.last);

    return ngx_lyftr_sqlite_run(c, st, err);
}


ngx_int_t
ngx_lyftr_sqlite_segment_add(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_segment_t *segment, ngx_lyftr_error_t *err)
{
    ngx_uint_t     i;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_SEGMENT_ADD];

    (void) sqlite3_bind_int64(st, 1, segment->id);
    (void) sqlite3_bind_int64(st, 2, segment->level);
    (void) sqlite3_bind_int64(st, 3, segment->first);
    (void) sqlite3_bind_int64(st, 4, segment->last);
    (void) sqlite3_bind_int64(st, 5, segment->rows);

    for (i = 0; i < NGX_LYFTR_SQLITE_HEIGHTS; i++) {
        (void) sqlite3_bind_int64(st, 6 + i, segment->height[i]);
    }

    if (segment->summed) {
        (void) sqlite3_bind_int64(st, 6 + i, (int64_t) segment->sum);
    }

    (void) sqlite3_bind_int64(st, 7 + i, segment->ties);

    return ngx_lyftr_sqlite_run(c, st, err);
}

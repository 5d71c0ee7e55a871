#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>
#include <ngx_lyftr_sqlite_jobs.h>


/* pages of the WAL between two checkpoints */
#define NGX_LYFTR_CHECKPOINT_PAGES 8000

/* blocks of segments that are no more, deleted in one step */
#define NGX_LYFTR_JOBS_BLOCKS    200

/* msec without a new row, after which the rest is counted */
#define NGX_LYFTR_JOBS_IDLE      200


static ngx_int_t ngx_lyftr_job_guard(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_uint_t ngx_lyftr_job_counts(ngx_lyftr_sqlite_t *c, int64_t last);
static ngx_int_t ngx_lyftr_job_leave_due(ngx_lyftr_sqlite_t *c, int64_t *to,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_job_sweep_from(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static ngx_uint_t ngx_lyftr_job_wanted(void *data, int64_t segment);


void
ngx_lyftr_steps_init(ngx_lyftr_sqlite_jobs_t *jobs)
{
    jobs->steps.share = NGX_LYFTR_MERGE_SHARE;
}


void
ngx_lyftr_steps_see(ngx_lyftr_sqlite_jobs_t *jobs, int64_t last)
{
    if (jobs->steps.rows != last) {
        jobs->steps.rows = last;
        jobs->steps.since = ngx_lyftr_clock();
    }
}


ngx_int_t
ngx_lyftr_job_checkpoint(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int                       pages;
    ngx_int_t                 rc;
    ngx_lyftr_sqlite_jobs_t  *jobs;

    jobs = c->jobs;
    pages = ngx_lyftr_sqlite_pages(c);

    if (pages < jobs->steps.pages) {
        /* the WAL has begun anew */
        jobs->steps.pages = 0;
    }

    if (pages - jobs->steps.pages < NGX_LYFTR_CHECKPOINT_PAGES
        && !ngx_lyftr_sqlite_long(c))
    {
        return NGX_DONE;
    }

    if (ngx_lyftr_job_guard(c, deadline, err) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_lyftr_sqlite_checkpoint(c, jobs->steps.guard, deadline, err);

    /* if a reader held it up, the next try is as many pages later */

    jobs->steps.pages = ngx_lyftr_sqlite_pages(c);

    return rc;
}


static ngx_int_t
ngx_lyftr_job_guard(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_steps_t  *steps;

    steps = &c->jobs->steps;

    if (steps->guard == NULL) {
        steps->guard = ngx_lyftr_sqlite_open(c->dsn, NGX_LYFTR_OPEN_JOBS,
                                             deadline, err);
    }

    return steps->guard ? NGX_OK : NGX_ERROR;
}


void
ngx_lyftr_job_checkpoint_forget(ngx_lyftr_sqlite_jobs_t *jobs)
{
    if (jobs->steps.guard) {
        ngx_lyftr_sqlite_close(jobs->steps.guard);
        jobs->steps.guard = NULL;
    }
}


/* a segment of what is counted */

ngx_int_t
ngx_lyftr_job_flush(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int64_t                  first, last;
    ngx_int_t                rc;
    ngx_lyftr_compaction_t  *job;

    job = &c->jobs->steps.flush;

    if (!job->active) {

        /* after a floor, up to where it would have ended without one */

        first = c->state.indexed;
        last = ngx_lyftr_memtable_number(first + 1) + NGX_LYFTR_SEGMENT;

        /* or of as few rows as there are, so that they can be erased */

        if (first < c->jobs->steps.erasing.upto) {
            last = ngx_min(last, c->jobs->steps.erasing.upto);
        }

        if (c->index.last < last
            || ngx_lyftr_erasing_holds(c, &c->jobs->steps.erasing)
            || ngx_lyftr_job_counts(c, last)
            || (c->jobs->steps.leaving.active
                && c->jobs->steps.leaving.segment.id == 0))
        {
            return NGX_DONE;
        }

        return ngx_lyftr_sqlite_flush(c, job, first, last, deadline, err);
    }

    rc = ngx_lyftr_sqlite_compact(c, job, 0, deadline, err);

    if (rc == NGX_DONE) {
        ngx_lyftr_compaction_free(job);
        return NGX_OK;
    }

    return rc;
}


ngx_uint_t
ngx_lyftr_job_flush_active(ngx_lyftr_sqlite_jobs_t *jobs)
{
    return jobs->steps.flush.active;
}


void
ngx_lyftr_job_flush_forget(ngx_lyftr_sqlite_jobs_t *jobs)
{
    if (jobs->steps.flush.active) {
        ngx_lyftr_compaction_free(&jobs->steps.flush);
        ngx_lyftr_job_sweep_forget(jobs);
    }
}


/*
 * What stats() adds to the counts is in memory: so a segment waits for them,
 * unless they fail, or have not come to the segments before it either.
 */

static ngx_uint_t
ngx_lyftr_job_counts(ngx_lyftr_sqlite_t *c, int64_t last)
{
    return c->state.counted < last
           && c->state.counted >= c->state.indexed
           && !ngx_lyftr_job_fails(c->jobs, NGX_LYFTR_JOB_COUNT);
}


ngx_int_t
ngx_lyftr_job_count(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int64_t                   n;
    ngx_int_t                 rc;
    ngx_lyftr_leaving_t      *leaving;
    ngx_lyftr_sqlite_jobs_t  *jobs;

    jobs = c->jobs;

    if (!jobs->steps.count.active) {
        n = c->index.last - c->state.counted;

        if (n <= 0
            || ngx_lyftr_erasing_holds(c, &jobs->steps.erasing)
            || (n < NGX_LYFTR_TALLY
                && c->state.counted >= jobs->steps.erasing.upto
                && ngx_lyftr_clock() - jobs->steps.since < NGX_LYFTR_JOBS_IDLE))
        {
            return NGX_DONE;
        }

        n = ngx_min(n, NGX_LYFTR_TALLY);

        return ngx_lyftr_count_begin(c, &jobs->steps.count,
                                     c->state.counted + n, deadline, err);
    }

    ngx_memzero(&jobs->steps.count.next, sizeof(ngx_lyftr_count_next_t));

    leaving = jobs->steps.leaving.active ? &jobs->steps.leaving
                                         : &jobs->steps.erasing.leaving;

    if (leaving->active) {
        jobs->steps.count.next.top = &leaving->top;
        jobs->steps.count.next.ranked = &leaving->ranked;
        jobs->steps.count.next.gone = &leaving->gone;
    }

    rc = ngx_lyftr_count_step(c, &jobs->steps.count, deadline, err);

    return rc == NGX_DONE ? NGX_OK : rc;
}


ngx_uint_t
ngx_lyftr_job_count_active(ngx_lyftr_sqlite_jobs_t *jobs)
{
    return jobs->steps.count.active;
}


void
ngx_lyftr_job_count_forget(ngx_lyftr_sqlite_jobs_t *jobs)
{
    ngx_lyftr_count_free(&jobs->steps.count);
    jobs->steps.count.active = 0;

    /* what it has told them may not have come to be */

    if (jobs->steps.leaving.active) {
        ngx_lyftr_job_leave_forget(jobs);
    }

    if (jobs->steps.erasing.leaving.active) {
        ngx_lyftr_job_erase_forget(jobs);
    }
}


/* rows that somebody wants to be erased */

ngx_int_t
ngx_lyftr_job_erase(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t            rc;
    ngx_lyftr_steps_t   *steps;
    ngx_lyftr_erasing_t *erasing;

    steps = &c->jobs->steps;
    erasing = &steps->erasing;

    if (c->adopt || c->state.rebuild
        || (c->state.erase == 0 && c->state.emptying == 0))
    {
        return NGX_DONE;
    }

    if (ngx_lyftr_job_guard(c, deadline, err) != NGX_OK) {
        return NGX_ERROR;
    }

    /* what changes the counts, or the segments, ends before */

    erasing->busy = steps->leaving.active || steps->settle
                    || steps->flush.active || steps->count.active;
    erasing->merging = steps->merge.active;
    erasing->sweeping = steps->sweep || steps->adopted;

    rc = ngx_lyftr_erasing_step(c, erasing, deadline, err);

    if (rc == NGX_DONE && erasing->id == 0) {
        rc = ngx_lyftr_erasing_rest(c, erasing, steps->guard, deadline, err);
    }

    if (erasing->settle) {
        erasing->settle = 0;
        steps->settle = 1;
    }

    if (erasing->sweep) {
        erasing->sweep = 0;
        ngx_lyftr_job_sweep_forget(c->jobs);
    }

    return rc;
}


ngx_uint_t
ngx_lyftr_job_erase_active(ngx_lyftr_sqlite_jobs_t *jobs)
{
    return ngx_lyftr_erasing_active(&jobs->steps.erasing);
}


void
ngx_lyftr_job_erase_forget(ngx_lyftr_sqlite_jobs_t *jobs)
{
    ngx_lyftr_erasing_free(&jobs->steps.erasing);
    ngx_lyftr_job_sweep_forget(jobs);

    jobs->steps.settle = 1;
}


/* rows that are too old, or too many, leave */

ngx_int_t
ngx_lyftr_job_leave(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int64_t                   to;
    ngx_int_t                 rc;
    ngx_lyftr_sqlite_jobs_t  *jobs;

    jobs = c->jobs;

    if (jobs->steps.leaving.active) {
        rc = ngx_lyftr_leave_step(c, &jobs->steps.leaving, deadline, err);

        if (!jobs->steps.leaving.active) {
            jobs->steps.settle = 1;
            jobs->steps.clear = 1;

            ngx_lyftr_job_sweep_forget(jobs);
        }

        return rc == NGX_DONE ? NGX_OK : rc;
    }

    if (jobs->steps.settle && !jobs->steps.erasing.leaving.active) {
        rc = ngx_lyftr_leave_settle(c, deadline, err);

        if (rc == NGX_DONE) {
            jobs->steps.settle = 0;
        }

        return rc == NGX_DONE ? NGX_OK : rc;
    }

    to = 0;

    rc = ngx_lyftr_keep_look(c, &jobs->steps.keep, deadline, err);

    if (rc == NGX_DONE) {
        rc = ngx_lyftr_job_leave_due(c, &to, deadline, err);
    }

    if (rc != NGX_DONE) {
        return rc;
    }

    if (to == 0) {
        return NGX_DONE;
    }

    ngx_lyftr_leave_begin(c, &jobs->steps.leaving, to);

    return NGX_OK;
}


/* NGX_DONE: up to this row, or 0 */

static ngx_int_t
ngx_lyftr_job_leave_due(ngx_lyftr_sqlite_t *c, int64_t *to,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t           rc;
    ngx_lyftr_steps_t  *steps;

    steps = &c->jobs->steps;

    /* what is made anew, or is a segment soon, is waited for */

    if (c->adopt
        || c->state.rebuild
        || c->state.erase
        || (c->index.nsegments == 0
            && (steps->flush.active
                || c->index.last - c->state.indexed >= NGX_LYFTR_SEGMENT)))
    {
        return NGX_DONE;
    }

    *to = ngx_lyftr_keep_due(c, &steps->keep);

    /* how much is used is known when what left before is gone */

    if (*to == 0 && !steps->clear && !steps->sweep) {
        rc = ngx_lyftr_keep_large(c, &steps->keep, to, deadline, err);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (*to > c->state.counted) {
        *to = 0;
    }

    if (*to && steps->merge.active && steps->merge.segment.first < *to) {
        ngx_lyftr_job_merge_forget(c->jobs);
    }

    return NGX_DONE;
}


ngx_uint_t
ngx_lyftr_job_leave_active(ngx_lyftr_sqlite_jobs_t *jobs)
{
    return jobs->steps.leaving.active || jobs->steps.settle;
}


void
ngx_lyftr_job_leave_forget(ngx_lyftr_sqlite_jobs_t *jobs)
{
    if (jobs->steps.leaving.active) {
        ngx_lyftr_leave_free(&jobs->steps.leaving);
        ngx_lyftr_job_sweep_forget(jobs);
    }

    jobs->steps.settle = 1;
}


/* what left is deleted */

ngx_int_t
ngx_lyftr_job_clear(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t           rc;
    ngx_lyftr_steps_t  *steps;

    steps = &c->jobs->steps;

    if (steps->clear) {
        rc = ngx_lyftr_clear_step(c, deadline, err);

        if (rc == NGX_DONE) {
            steps->clear = 0;
        }

        return rc == NGX_DONE ? NGX_OK : rc;
    }

    /* also when rows are erased, for it has them too */

    if (steps->adopted
        && c->adopt == NULL
        && (c->dsn->keep || c->dsn->keep_bytes || c->state.erase))
    {
        rc = ngx_lyftr_clear_adopted(c, deadline, err);

        if (rc == NGX_DONE) {
            steps->adopted = 0;
        }

        return rc == NGX_DONE ? NGX_OK : rc;
    }

    return NGX_DONE;
}


ngx_uint_t
ngx_lyftr_job_clear_active(ngx_lyftr_sqlite_jobs_t *jobs)
{
    return jobs->steps.clear;
}


void
ngx_lyftr_job_clear_forget(ngx_lyftr_sqlite_jobs_t *jobs)
{
    jobs->steps.clear = 1;
    jobs->steps.adopted = 1;
}


/*
 * Deletes blocks of what is no segment: it was merged, or was being made when
 * its maker went away.
 */

ngx_int_t
ngx_lyftr_job_sweep(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (ngx_lyftr_rebuild_left(&c->jobs->rebuild)) {
        ngx_lyftr_job_sweep_forget(c->jobs);
    }

    if (!c->jobs->steps.sweep) {
        return NGX_DONE;
    }

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_job_sweep_from(c, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


static ngx_int_t
ngx_lyftr_job_sweep_from(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_int_t           rc;
    ngx_lyftr_steps_t  *steps;

    steps = &c->jobs->steps;

    rc = ngx_lyftr_sweep(&c->index, &steps->swept, ngx_lyftr_job_wanted,
                         c->jobs, NGX_LYFTR_JOBS_BLOCKS, err);

    if (rc == NGX_DONE) {
        steps->sweep = 0;
        steps->swept = 0;
        return NGX_OK;
    }

    return rc;
}


/* is it being made? */

static ngx_uint_t
ngx_lyftr_job_wanted(void *data, int64_t segment)
{
    ngx_lyftr_sqlite_jobs_t *jobs = data;

    return (jobs->steps.flush.active
            && jobs->steps.flush.segment.id == segment)
           || (jobs->steps.merge.active
               && jobs->steps.merge.segment.id == segment)
           || ngx_lyftr_leave_wants(&jobs->steps.leaving, segment)
           || ngx_lyftr_erasing_wants(&jobs->steps.erasing, segment)
           || ngx_lyftr_rebuild_wants(&jobs->rebuild, segment);
}


ngx_uint_t
ngx_lyftr_job_sweep_active(ngx_lyftr_sqlite_jobs_t *jobs)
{
    return jobs->steps.sweep;
}


void
ngx_lyftr_job_sweep_forget(ngx_lyftr_sqlite_jobs_t *jobs)
{
    jobs->steps.sweep = 1;
    jobs->steps.swept = 0;
}


ngx_int_t
ngx_lyftr_job_merge(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t                rc;
    ngx_lyftr_policy_t       policy;
    ngx_lyftr_segment_t     *from;
    ngx_lyftr_compaction_t  *job;

    job = &c->jobs->steps.merge;

    if (job->active) {
        rc = ngx_lyftr_sqlite_compact(c, job, 0, deadline, err);

        if (rc == NGX_DONE) {
            ngx_lyftr_compaction_free(job);

            ngx_lyftr_job_sweep_forget(c->jobs);

            return NGX_OK;
        }

        return rc;
    }

    /* what is erased from segments is known by their numbers */

    if (c->state.erase) {
        return NGX_DONE;
    }

    ngx_memzero(&policy, sizeof(ngx_lyftr_policy_t));

    policy.from = c->state.rebuild;
    policy.share = c->jobs->steps.share;

    if (c->dsn->keep) {
        policy.apart = ngx_lyftr_keep_apart;
        policy.data = c;
    }

    /* a segment is what leaves in one go */

    if (c->dsn->keep_bytes) {
        policy.share = ngx_max(policy.share, NGX_LYFTR_KEEP_PIECES / 2);
    }

    if (c->jobs->steps.leaving.active) {
        policy.after = c->jobs->steps.leaving.to;
    }

    from = ngx_lyftr_policy_merge(&c->index, &policy);

    return from ? ngx_lyftr_sqlite_merge(c, job, from, policy.n, NULL,
                                         deadline, err)
                : NGX_DONE;
}


ngx_uint_t
ngx_lyftr_job_merge_active(ngx_lyftr_sqlite_jobs_t *jobs)
{
    return jobs->steps.merge.active;
}


void
ngx_lyftr_job_merge_forget(ngx_lyftr_sqlite_jobs_t *jobs)
{
    if (jobs->steps.merge.active) {
        ngx_lyftr_compaction_free(&jobs->steps.merge);
        ngx_lyftr_job_sweep_forget(jobs);
    }
}


ngx_int_t
ngx_lyftr_job_search(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    return ngx_lyftr_sqlite_parts_step(c, &c->jobs->steps.search,
                                       &c->jobs->steps.erasing.limit, deadline,
                                       err);
}


ngx_uint_t
ngx_lyftr_job_search_active(ngx_lyftr_sqlite_jobs_t *jobs)
{
    return jobs->steps.search.part.id != 0;
}


void
ngx_lyftr_job_search_forget(ngx_lyftr_sqlite_jobs_t *jobs)
{
    ngx_lyftr_search_add_free(&jobs->steps.search);
}

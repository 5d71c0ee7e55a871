#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>
#include <ngx_lyftr_sqlite_jobs.h>


/* pages of the WAL between two checkpoints */
#define NGX_LYFTR_UPKEEP_PAGES     8000

/* msec without a new row, after which the rest is counted */
#define NGX_LYFTR_UPKEEP_IDLE      200


static ngx_uint_t ngx_lyftr_upkeep_counts(ngx_lyftr_sqlite_t *c,
    int64_t last);
static ngx_uint_t ngx_lyftr_upkeep_small(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_segment_t *from);


ngx_int_t
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
        upkeep->guard = ngx_lyftr_sqlite_open(c->dsn, NGX_LYFTR_OPEN_UPKEEP,
                                              deadline, err);

        if (upkeep->guard == NULL) {
            return NGX_ERROR;
        }
    }

    rc = ngx_lyftr_sqlite_checkpoint(c, upkeep->guard, deadline, err);

    /* if a reader held it up, the next try is as many pages later */

    upkeep->pages = ngx_lyftr_sqlite_pages(c);

    return rc;
}


void
ngx_lyftr_upkeep_checkpoint_forget(ngx_lyftr_sqlite_upkeep_t *upkeep)
{
    if (upkeep->guard) {
        ngx_lyftr_sqlite_close(upkeep->guard);
        upkeep->guard = NULL;
    }
}


/* a segment of what is counted */

ngx_int_t
ngx_lyftr_upkeep_flush(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int64_t           first, last;
    ngx_int_t         rc;
    ngx_lyftr_compaction_t  *job;

    job = &c->upkeep->flush;

    if (!job->active) {
        first = c->state.indexed;
        last = first + NGX_LYFTR_SEGMENT;

        if (c->last < last || ngx_lyftr_upkeep_counts(c, last)) {
            return NGX_DONE;
        }

        return ngx_lyftr_compaction_flush(c, job, first, last, deadline, err);
    }

    rc = ngx_lyftr_compaction_step(c, job, deadline, err);

    if (rc == NGX_DONE) {
        ngx_lyftr_compaction_free(job);
        return NGX_OK;
    }

    return rc;
}


ngx_uint_t
ngx_lyftr_upkeep_flush_active(ngx_lyftr_sqlite_upkeep_t *upkeep)
{
    return upkeep->flush.active;
}


void
ngx_lyftr_upkeep_flush_forget(ngx_lyftr_sqlite_upkeep_t *upkeep)
{
    if (upkeep->flush.active) {
        ngx_lyftr_compaction_free(&upkeep->flush);
        ngx_lyftr_upkeep_sweep_forget(upkeep);
    }
}


/*
 * What stats() adds to the counts is in memory: so a segment waits for them,
 * unless they fail, or have not come to the segments before it either.
 */

static ngx_uint_t
ngx_lyftr_upkeep_counts(ngx_lyftr_sqlite_t *c, int64_t last)
{
    return c->state.counted < last
           && c->state.counted >= c->state.indexed
           && c->upkeep->tries[NGX_LYFTR_JOB_COUNT].failures == 0;
}


ngx_int_t
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


ngx_uint_t
ngx_lyftr_upkeep_count_active(ngx_lyftr_sqlite_upkeep_t *upkeep)
{
    return upkeep->count.active;
}


void
ngx_lyftr_upkeep_count_forget(ngx_lyftr_sqlite_upkeep_t *upkeep)
{
    ngx_lyftr_count_free(&upkeep->count);
    upkeep->count.active = 0;
}


ngx_uint_t
ngx_lyftr_upkeep_sweep_active(ngx_lyftr_sqlite_upkeep_t *upkeep)
{
    return upkeep->sweep;
}


void
ngx_lyftr_upkeep_sweep_forget(ngx_lyftr_sqlite_upkeep_t *upkeep)
{
    upkeep->sweep = 1;
    upkeep->swept = 0;
}


/* as many neighbours of one level become one of the next */

ngx_int_t
ngx_lyftr_upkeep_merge(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t             rc;
    ngx_uint_t            i, n;
    ngx_lyftr_compaction_t      *job;
    ngx_lyftr_segment_t  *s;

    job = &c->upkeep->merge;

    if (job->active) {
        rc = ngx_lyftr_compaction_step(c, job, deadline, err);

        if (rc == NGX_DONE) {
            ngx_lyftr_compaction_free(job);

            ngx_lyftr_upkeep_sweep_forget(c->upkeep);

            return NGX_OK;
        }

        return rc;
    }

    s = c->segments;

    for (i = 0, n = 1; i + 1 < c->nsegments; i++) {
        n = (s[i].level == s[i + 1].level
             && s[i].ties == s[i + 1].ties
             && s[i].id >= c->state.rebuild
             && s[i + 1].id >= c->state.rebuild
             && s[i].level < NGX_LYFTR_LEVELS)
            ? n + 1 : 1;

        if (n < NGX_LYFTR_FANOUT) {
            continue;
        }

        if (ngx_lyftr_upkeep_small(c, &s[i + 2 - n])) {
            return ngx_lyftr_compaction_merge(c, job, &s[i + 2 - n], n, deadline,
                                              err);
        }

        n--;
    }

    return NGX_DONE;
}


/*
 * What a merge reads stays in the file until it is done, and then as free pages
 * until something else takes them.  So those of most rows wait until there are
 * more of them: the file is not much larger than what is in it.
 */

static ngx_uint_t
ngx_lyftr_upkeep_small(ngx_lyftr_sqlite_t *c, ngx_lyftr_segment_t *from)
{
    int64_t     rows, all;
    ngx_uint_t  i;

    for (i = 0, rows = 0; i < NGX_LYFTR_FANOUT; i++) {
        rows += from[i].rows;
    }

    for (i = 0, all = 0; i < c->nsegments; i++) {
        all += c->segments[i].rows;
    }

    return rows <= all / c->upkeep->share;
}


ngx_uint_t
ngx_lyftr_upkeep_merge_active(ngx_lyftr_sqlite_upkeep_t *upkeep)
{
    return upkeep->merge.active;
}


void
ngx_lyftr_upkeep_merge_forget(ngx_lyftr_sqlite_upkeep_t *upkeep)
{
    if (upkeep->merge.active) {
        ngx_lyftr_compaction_free(&upkeep->merge);
        ngx_lyftr_upkeep_sweep_forget(upkeep);
    }
}


ngx_int_t
ngx_lyftr_upkeep_search(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    return ngx_lyftr_search_add_step(c, &c->upkeep->search, deadline, err);
}


ngx_uint_t
ngx_lyftr_upkeep_search_active(ngx_lyftr_sqlite_upkeep_t *upkeep)
{
    return upkeep->search.id != 0;
}


void
ngx_lyftr_upkeep_search_forget(ngx_lyftr_sqlite_upkeep_t *upkeep)
{
    ngx_lyftr_search_add_free(&upkeep->search);
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_jobs.h>


/*
 * Who wants all that follows the log made anew creates a file beside the
 * database, which is removed when that is done.  lyftr_state.rebuild is the
 * number from which on segments are new: each of those before is replaced by
 * new ones of its rows, in one transaction, so that reads and writers have one
 * or the others.  The counts are put right where they stand.  The search index
 * goes at once, and comes again as it always does: searches read the log
 * meanwhile.
 */

static ngx_int_t ngx_lyftr_rebuild_request(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_rebuild_t *rebuild, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
static void ngx_lyftr_rebuild_name(ngx_lyftr_sqlite_t *c, char *name);
static ngx_int_t ngx_lyftr_rebuild_finish(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_rebuild_t *rebuild, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
static void ngx_lyftr_rebuild_range(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_rebuild_t *rebuild);
static ngx_int_t ngx_lyftr_rebuild_make(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_rebuild_t *rebuild, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_rebuild_place(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_rebuild_t *rebuild, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_rebuild_replace(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_rebuild_t *rebuild, ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_upkeep_rebuild(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t             rc;
    ngx_lyftr_rebuild_t  *rebuild;

    rebuild = &c->upkeep->rebuild;

    if (c->state.rebuild == 0) {
        return ngx_lyftr_rebuild_request(c, rebuild, deadline, err);
    }

    if (rebuild->to == 0) {
        ngx_lyftr_rebuild_range(c, rebuild);
    }

    if (rebuild->counting) {
        return ngx_lyftr_rebuild_finish(c, rebuild, deadline, err);
    }

    if (rebuild->at < rebuild->to) {
        return ngx_lyftr_rebuild_make(c, rebuild, deadline, err);
    }

    rc = ngx_lyftr_rebuild_place(c, rebuild, deadline, err);

    if (rc == NGX_OK) {
        rebuild->made.len = 0;
        rebuild->to = 0;
        ngx_lyftr_upkeep_sweep_forget(c->upkeep);
    }

    return rc;
}


ngx_uint_t
ngx_lyftr_upkeep_rebuild_active(ngx_lyftr_sqlite_upkeep_t *upkeep)
{
    return upkeep->rebuild.to || upkeep->rebuild.begun;
}


void
ngx_lyftr_upkeep_rebuild_forget(ngx_lyftr_sqlite_upkeep_t *upkeep)
{
    if (upkeep->rebuild.to) {
        ngx_lyftr_upkeep_sweep_forget(upkeep);
    }

    ngx_lyftr_rebuild_free(&upkeep->rebuild);
}


static ngx_int_t
ngx_lyftr_rebuild_request(ngx_lyftr_sqlite_t *c, ngx_lyftr_rebuild_t *rebuild,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    char                         name[NGX_LYFTR_SQLITE_NAME_LEN];
    int64_t                      number;
    ngx_int_t                    rc;
    ngx_uint_t                   n;
    sqlite3_stmt                *st;
    ngx_lyftr_sqlite_upkeep_t   *upkeep;

    upkeep = c->upkeep;

    ngx_lyftr_rebuild_name(c, name);

    if (rebuild->kept || access(name, F_OK) == -1) {
        return NGX_DONE;
    }

    /* all segments that are there, or are being made, have a lower one */

    rc = ngx_lyftr_upkeep_number(c, &number, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_UPKEEP, deadline, err);
    }

    st = c->stmt[NGX_LYFTR_SQL_REBUILD];

    (void) sqlite3_bind_int64(st, 1, number);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_run(c, st, err);
    }

    if (rc == NGX_OK) {
        st = c->stmt[NGX_LYFTR_SQL_SEARCH_FORGET];
        rc = ngx_lyftr_sqlite_run(c, st, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc != NGX_OK) {
        return rc;
    }

    c->searched = 0;

    /* what was made of what is to go is given up, and what failed is tried */

    ngx_lyftr_upkeep_merge_forget(upkeep);

    for (n = 0; n < NGX_LYFTR_JOBS; n++) {
        upkeep->tries[n].at = ngx_lyftr_clock();
    }

    return NGX_OK;
}


static void
ngx_lyftr_rebuild_name(ngx_lyftr_sqlite_t *c, char *name)
{
    (void) snprintf(name, NGX_LYFTR_SQLITE_NAME_LEN, "%s%s", c->path,
                    NGX_LYFTR_SQLITE_REBUILD);
}


static ngx_int_t
ngx_lyftr_rebuild_finish(ngx_lyftr_sqlite_t *c, ngx_lyftr_rebuild_t *rebuild,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    char       name[NGX_LYFTR_SQLITE_NAME_LEN];
    ngx_int_t  rc;

    /* the counts come as far as the segments first, and end their step */

    if (c->state.counting > c->state.counted
        || c->state.counted < c->state.indexed)
    {
        return NGX_DONE;
    }

    rc = ngx_lyftr_rebuild_counts(c, rebuild, deadline, err);

    if (rc != NGX_DONE) {
        return rc;
    }

    /* one that was under way when it began may have come meanwhile */

    ngx_lyftr_rebuild_range(c, rebuild);

    if (!rebuild->counting) {
        return NGX_OK;
    }

    rc = ngx_lyftr_rebuild_end(c, deadline, err);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_lyftr_rebuild_free(rebuild);
    ngx_lyftr_rebuild_name(c, name);

    if (unlink(name) == -1 && errno != ENOENT) {
        rebuild->kept = 1;

        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                     "cannot remove \"%.150s\": %s", name,
                                     strerror(errno));
    }

    return NGX_OK;
}


/*
 * The rows after those of the new segments, as far as one of before goes; also
 * where none of before is, for one may be lost.
 */

static void
ngx_lyftr_rebuild_range(ngx_lyftr_sqlite_t *c, ngx_lyftr_rebuild_t *rebuild)
{
    int64_t               at, to;
    ngx_uint_t            i;
    ngx_lyftr_segment_t  *s;

    at = 0;
    to = c->state.indexed;

    for (i = 0; i < c->nsegments; i++) {
        s = &c->segments[i];

        if (s->id >= c->state.rebuild) {

            if (s->first != at) {
                to = ngx_max(ngx_min(to, s->first), at);
                break;
            }

            at = s->last;
        }
    }

    for (i = 0; i < c->nsegments; i++) {
        s = &c->segments[i];

        if (s->id < c->state.rebuild && s->last > at) {
            to = ngx_min(to, s->last);
        }
    }

    rebuild->at = at;
    rebuild->to = to;
    rebuild->made.len = 0;
    rebuild->counting = (at >= to);
}


static ngx_int_t
ngx_lyftr_rebuild_make(ngx_lyftr_sqlite_t *c, ngx_lyftr_rebuild_t *rebuild,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    int64_t           last;
    ngx_int_t         rc;
    ngx_lyftr_compaction_t  *job;

    job = &rebuild->job;

    if (!job->active) {
        last = ngx_min(rebuild->at + NGX_LYFTR_SEGMENT, rebuild->to);
        job->aside = 1;

        return ngx_lyftr_compaction_flush(c, job, rebuild->at, last, deadline, err);
    }

    rc = ngx_lyftr_compaction_step(c, job, deadline, err);

    if (rc != NGX_DONE) {
        return rc;
    }

    rc = ngx_lyftr_buf_add(&rebuild->made, &job->segment,
                           sizeof(ngx_lyftr_segment_t));

    rebuild->at = job->segment.last;

    ngx_lyftr_compaction_free(job);

    return rc == NGX_OK ? NGX_OK : ngx_lyftr_compaction_memory(err);
}


static ngx_int_t
ngx_lyftr_rebuild_place(ngx_lyftr_sqlite_t *c, ngx_lyftr_rebuild_t *rebuild,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_UPKEEP, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_segments_read(c, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_rebuild_replace(c, rebuild, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


static ngx_int_t
ngx_lyftr_rebuild_replace(ngx_lyftr_sqlite_t *c, ngx_lyftr_rebuild_t *rebuild,
    ngx_lyftr_error_t *err)
{
    size_t                n;
    ngx_uint_t            i;
    sqlite3_stmt         *st;
    ngx_lyftr_segment_t  *s;

    st = c->stmt[NGX_LYFTR_SQL_SEGMENT_DELETE];

    for (i = 0; i < c->nsegments; i++) {
        s = &c->segments[i];

        if (s->id >= c->state.rebuild || s->last > rebuild->to) {
            continue;
        }

        (void) sqlite3_bind_int64(st, 1, s->id);

        if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    s = (ngx_lyftr_segment_t *) rebuild->made.data;

    for (n = rebuild->made.len / sizeof(ngx_lyftr_segment_t); n; n--) {
        if (ngx_lyftr_compaction_place(c, s++, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    st = c->stmt[NGX_LYFTR_SQL_INDEXED];

    (void) sqlite3_bind_int64(st, 1, rebuild->to);

    return ngx_lyftr_sqlite_run(c, st, err);
}


ngx_uint_t
ngx_lyftr_rebuild_wants(ngx_lyftr_rebuild_t *rebuild, int64_t id)
{
    size_t                n;
    ngx_lyftr_segment_t  *s;

    if (rebuild->job.active && rebuild->job.segment.id == id) {
        return 1;
    }

    s = (ngx_lyftr_segment_t *) rebuild->made.data;

    for (n = rebuild->made.len / sizeof(ngx_lyftr_segment_t); n; n--) {
        if (s++->id == id) {
            return 1;
        }
    }

    return 0;
}


void
ngx_lyftr_rebuild_free(ngx_lyftr_rebuild_t *rebuild)
{
    ngx_uint_t  kept;

    kept = rebuild->kept;

    ngx_lyftr_compaction_free(&rebuild->job);
    ngx_lyftr_buf_free(&rebuild->made);
    ngx_lyftr_buf_free(&rebuild->sender);
    ngx_lyftr_buf_free(&rebuild->changes);

    ngx_memzero(rebuild, sizeof(ngx_lyftr_rebuild_t));

    rebuild->kept = kept;
}

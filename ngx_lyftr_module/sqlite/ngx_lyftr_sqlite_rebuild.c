#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>
#include <ngx_lyftr_sqlite_jobs.h>
#include <ngx_lyftr_sqlite_senders.h>


/*
 * Who wants all that follows the log made anew creates a file beside the
 * database, which is removed when that is done.  lyftr_state.rebuild is the
 * number from which on segments are new: each of those before is replaced by
 * new ones of its rows, in one transaction, so that reads and writers have one
 * or the others.  The counts are put right where they stand.  The search index
 * goes at once, and comes again as it always does: searches read the log
 * meanwhile.
 */

/* senders that are looked at in one go, and counted in one transaction */
#define NGX_LYFTR_RECOUNT          256


typedef struct {
    int64_t              rows;             /* 0: it has no count */
    size_t               len;              /* of the sender, which follows */
} ngx_lyftr_recount_head_t;

static ngx_int_t ngx_lyftr_rebuild_request(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_rebuild_t *rebuild, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static void ngx_lyftr_rebuild_name(ngx_lyftr_sqlite_t *c, char *name);
static ngx_int_t ngx_lyftr_rebuild_finish(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_rebuild_t *rebuild, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static void ngx_lyftr_rebuild_range(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_rebuild_t *rebuild);
static ngx_int_t ngx_lyftr_rebuild_make(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_rebuild_t *rebuild, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_rebuild_place(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_rebuild_t *rebuild, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_rebuild_replace(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_rebuild_t *rebuild, ngx_lyftr_error_t *err);
static void ngx_lyftr_rebuild_free(ngx_lyftr_rebuild_t *rebuild);
static ngx_int_t ngx_lyftr_rebuild_counts(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_rebuild_t *rebuild, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_recount_read(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_rebuild_t *rebuild, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_recount_change(ngx_lyftr_rebuild_t *rebuild,
    ngx_lyftr_senders_t *s);
static ngx_int_t ngx_lyftr_recount_write(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_rebuild_t *rebuild, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_rebuild_end(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_rebuild_step(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t             rc;
    ngx_lyftr_rebuild_t  *rebuild;

    rebuild = &c->jobs->rebuild;

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
        rebuild->left = 1;
    }

    return rc;
}


ngx_uint_t
ngx_lyftr_rebuild_active(ngx_lyftr_rebuild_t *rebuild)
{
    return rebuild->to || rebuild->begun;
}


void
ngx_lyftr_rebuild_forget(ngx_lyftr_rebuild_t *rebuild)
{
    rebuild->left |= (rebuild->to != 0);

    ngx_lyftr_rebuild_free(rebuild);
}


ngx_uint_t
ngx_lyftr_rebuild_left(ngx_lyftr_rebuild_t *rebuild)
{
    ngx_uint_t  left;

    left = rebuild->left;
    rebuild->left = 0;

    return left;
}


static ngx_int_t
ngx_lyftr_rebuild_request(ngx_lyftr_sqlite_t *c, ngx_lyftr_rebuild_t *rebuild,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    char           name[NGX_LYFTR_SQLITE_NAME_LEN];
    int64_t        number;
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    ngx_lyftr_rebuild_name(c, name);

    if (rebuild->kept || access(name, F_OK) == -1) {
        return NGX_DONE;
    }

    /* all segments that are there, or are being made, have a lower one */

    rc = ngx_lyftr_jobs_number(c, &number, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);
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

    if (rc == NGX_OK) {
        c->searched = 0;
    }

    return rc;
}


static void
ngx_lyftr_rebuild_name(ngx_lyftr_sqlite_t *c, char *name)
{
    (void) snprintf(name, NGX_LYFTR_SQLITE_NAME_LEN, "%s%s",
                    ngx_lyftr_sqlite_path(c), NGX_LYFTR_SQLITE_REBUILD);
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

    at = c->state.floor;
    to = c->state.indexed;

    for (i = 0; i < c->index.nsegments; i++) {
        s = &c->index.segments[i];

        if (s->id >= c->state.rebuild) {

            if (s->first != at) {
                to = ngx_max(ngx_min(to, s->first), at);
                break;
            }

            at = s->last;
        }
    }

    for (i = 0; i < c->index.nsegments; i++) {
        s = &c->index.segments[i];

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
    int64_t                  last;
    ngx_int_t                rc;
    ngx_lyftr_compaction_t  *job;

    job = &rebuild->job;

    if (!job->active) {
        last = ngx_min(rebuild->at + NGX_LYFTR_SEGMENT, rebuild->to);

        return ngx_lyftr_sqlite_flush(c, job, rebuild->at, last, deadline, err);
    }

    rc = ngx_lyftr_sqlite_compact(c, job, 1, deadline, err);

    if (rc != NGX_DONE) {
        return rc;
    }

    rc = ngx_lyftr_buf_add(&rebuild->made, &job->segment,
                           sizeof(ngx_lyftr_segment_t));

    rebuild->at = job->segment.last;

    ngx_lyftr_compaction_free(job);

    return rc == NGX_OK ? NGX_OK : ngx_lyftr_index_memory(err);
}


static ngx_int_t
ngx_lyftr_rebuild_place(ngx_lyftr_sqlite_t *c, ngx_lyftr_rebuild_t *rebuild,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);

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

    for (i = 0; i < c->index.nsegments; i++) {
        s = &c->index.segments[i];

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
        if (ngx_lyftr_sqlite_segment_add(c, s++, err) != NGX_OK) {
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


static void
ngx_lyftr_rebuild_free(ngx_lyftr_rebuild_t *rebuild)
{
    ngx_uint_t  kept, left;

    kept = rebuild->kept;
    left = rebuild->left;

    ngx_lyftr_compaction_free(&rebuild->job);
    ngx_lyftr_buf_free(&rebuild->made);
    ngx_lyftr_buf_free(&rebuild->sender);
    ngx_lyftr_buf_free(&rebuild->changes);

    ngx_memzero(rebuild, sizeof(ngx_lyftr_rebuild_t));

    rebuild->kept = kept;
    rebuild->left = left;
}


/*
 * Nobody else changes counts: so what is wrong is found in a transaction that
 * reads, and put right in another one.
 */

static ngx_int_t
ngx_lyftr_rebuild_counts(ngx_lyftr_sqlite_t *c, ngx_lyftr_rebuild_t *rebuild,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc, more;

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_segments_read(c, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_recount_read(c, rebuild, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if ((rc != NGX_OK && rc != NGX_DONE) || rebuild->changes.len == 0) {
        return rc;
    }

    more = rc;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_recount_write(c, rebuild, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc != NGX_OK) {
        /* those that were read are lost: all over again */
        rebuild->begun = 0;
        return rc;
    }

    return more;
}


static ngx_int_t
ngx_lyftr_recount_read(ngx_lyftr_sqlite_t *c, ngx_lyftr_rebuild_t *rebuild,
    ngx_lyftr_error_t *err)
{
    ngx_int_t            rc;
    ngx_str_t            after;
    ngx_uint_t           n;
    ngx_lyftr_senders_t  s;

    after.data = rebuild->sender.data;
    after.len = rebuild->sender.len;

    rebuild->changes.len = 0;

    rc = ngx_lyftr_senders_open(c, &s, rebuild->begun ? &after : NULL, err);

    for (n = 0; rc == NGX_OK && n < NGX_LYFTR_RECOUNT; n++) {

        rc = ngx_lyftr_senders_next(c, &s, err);

        if (rc != NGX_OK) {
            break;
        }

        rebuild->begun = 1;
        rebuild->sender.len = 0;

        if (ngx_lyftr_buf_add(&rebuild->sender, s.sender.data, s.sender.len)
            != NGX_OK
            || ngx_lyftr_recount_change(rebuild, &s) != NGX_OK)
        {
            rc = ngx_lyftr_index_memory(err);
        }
    }

    ngx_lyftr_senders_close(&s);

    return rc;
}


static ngx_int_t
ngx_lyftr_recount_change(ngx_lyftr_rebuild_t *rebuild, ngx_lyftr_senders_t *s)
{
    ngx_lyftr_recount_head_t  head;

    if (s->rows == (s->count == -1 ? 0 : s->count)
        && (s->rows || s->count == -1))
    {
        return NGX_OK;
    }

    ngx_memzero(&head, sizeof(head));

    head.rows = s->rows;
    head.len = s->sender.len;

    if (ngx_lyftr_buf_add(&rebuild->changes, &head, sizeof(head)) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_lyftr_buf_add(&rebuild->changes, s->sender.data,
                             s->sender.len);
}


static ngx_int_t
ngx_lyftr_recount_write(ngx_lyftr_sqlite_t *c, ngx_lyftr_rebuild_t *rebuild,
    ngx_lyftr_error_t *err)
{
    size_t                     i;
    ngx_str_t                  sender;
    sqlite3_stmt              *st;
    ngx_lyftr_recount_head_t   head;

    for (i = 0; i < rebuild->changes.len; i += sizeof(head) + head.len) {

        ngx_memcpy(&head, rebuild->changes.data + i, sizeof(head));

        sender.data = rebuild->changes.data + i + sizeof(head);
        sender.len = head.len;

        st = c->stmt[head.rows ? NGX_LYFTR_SQL_COUNT_SET
                               : NGX_LYFTR_SQL_COUNT_DELETE];

        (void) ngx_lyftr_sqlite_bind(st, 1, &sender);

        if (head.rows) {
            (void) sqlite3_bind_int64(st, 2, head.rows);
            (void) sqlite3_bind_int64(st, 3, c->state.counted);
        }

        if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* no count changes meanwhile, for this is one piece of the housekeeping */

static ngx_int_t
ngx_lyftr_rebuild_end(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int64_t             senders;
    ngx_int_t           rc;
    sqlite3_stmt       *st;
    ngx_lyftr_buf_t     sender;
    ngx_lyftr_top_t     top;

    senders = 0;

    ngx_memzero(&top, sizeof(ngx_lyftr_top_t));
    ngx_memzero(&sender, sizeof(ngx_lyftr_buf_t));

    do {
        rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

        if (rc == NGX_OK) {
            rc = ngx_lyftr_count_rank(c, &top, &sender, &senders, 0, err);
        }

        ngx_lyftr_sqlite_rollback(c);

        deadline = ngx_max(deadline, ngx_lyftr_clock() + 1000);

    } while (rc == NGX_OK);

    if (rc == NGX_DONE) {
        rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_count_write_top(c, &top, err);
    }

    if (rc == NGX_OK) {
        st = c->stmt[NGX_LYFTR_SQL_SEGMENTS_OLD];
        rc = ngx_lyftr_sqlite_run(c, st, err);
    }

    if (rc == NGX_OK) {
        st = c->stmt[NGX_LYFTR_SQL_REBUILT];

        (void) sqlite3_bind_int64(st, 1, senders);

        rc = ngx_lyftr_sqlite_run(c, st, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);
    ngx_lyftr_top_free(&top);
    ngx_lyftr_buf_free(&sender);

    return rc;
}

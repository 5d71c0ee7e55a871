#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>
#include <ngx_lyftr_sqlite_jobs.h>


/*
 * What was erased from all that is read goes from wherever it is: ids are
 * remembered, segments made anew without the rows, the rows deleted from the
 * log, the parts of the search index made anew, and then the WAL is emptied.
 * Each stage ends before the next one, and all begin anew when more is erased.
 */

/* rows that are read, and deleted, in one go, and that are sorted together */
#ifndef NGX_LYFTR_ERASING_READ
#define NGX_LYFTR_ERASING_READ     512
#define NGX_LYFTR_ERASING_DELETE   64
#define NGX_LYFTR_ERASING_SORT     16384
#endif

/* msec after an answer, until when somebody may still ask for it */
#ifndef NGX_LYFTR_ERASING_WAIT
#define NGX_LYFTR_ERASING_WAIT     1000
#endif

/* msec that the WAL is waited for, and until it is tried again */
#define NGX_LYFTR_ERASING_WAL      20
#define NGX_LYFTR_ERASING_RETRY    200


typedef ngx_int_t (*ngx_lyftr_erasing_pt)(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_msec_t deadline, ngx_lyftr_error_t *err);


static ngx_int_t ngx_lyftr_erasing_list(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erasing_mark(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erasing_part(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_str_t *sender, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erasing_rows(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_lyftr_merge_t *sources,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erasing_sorted(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static int ngx_lyftr_erasing_tomb_cmp(const void *one, const void *two);
static int ngx_lyftr_erasing_seq_cmp(const void *one, const void *two);
static ngx_int_t ngx_lyftr_erasing_segments(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erasing_segment(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erasing_sum(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_lyftr_error_t *err);
static ngx_uint_t ngx_lyftr_erasing_out(void *data, int64_t seq);
static ngx_int_t ngx_lyftr_erasing_made(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erasing_log(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erasing_parts(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erasing_last(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erasing_wal(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_lyftr_sqlite_t *guard, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);


static ngx_lyftr_erasing_pt  ngx_lyftr_erasing_stages[] = {
    ngx_lyftr_erasing_list,
    ngx_lyftr_erasing_segments,
    ngx_lyftr_erasing_made,
    ngx_lyftr_erasing_log,
    ngx_lyftr_erasing_parts,
    ngx_lyftr_erasing_last,
    NULL
};


ngx_int_t
ngx_lyftr_erasing_rest(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_lyftr_sqlite_t *guard, ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (c->state.erase == 0) {
        e->stage = 0;
        return ngx_lyftr_erasing_wal(c, e, guard, deadline, err);
    }

    rc = ngx_lyftr_erasing_stages[e->stage](c, e, deadline, err);

    if (rc != NGX_AGAIN) {
        return rc;
    }

    /* the next one; after the last there is nothing left to erase */

    if (ngx_lyftr_erasing_stages[++e->stage] == NULL) {
        e->stage = 0;
    }

    e->at = 0;

    return NGX_OK;
}


/* the rows of senders; each function of a stage returns NGX_AGAIN at its end */

static ngx_int_t
ngx_lyftr_erasing_list(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (e->ended || e->seqs.len >= NGX_LYFTR_ERASING_SORT * sizeof(int64_t)) {
        return ngx_lyftr_erasing_sorted(c, e, deadline, err);
    }

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_segments_read(c, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_erasing_mark(c, e, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


/* the first sender whose rows are not listed yet */

static ngx_int_t
ngx_lyftr_erasing_mark(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_lyftr_error_t *err)
{
    int            rc;
    ngx_int_t      ok;
    ngx_str_t      sender;
    sqlite3_stmt  *st;

    if (sqlite3_prepare_v2(c->db, "SELECT id, value, number, upto FROM"
                                  " lyftr_erase WHERE state = 1 ORDER BY id"
                                  " LIMIT 1", -1, &st, NULL)
        != SQLITE_OK)
    {
        return ngx_lyftr_sqlite_error(c, err);
    }

    rc = sqlite3_step(st);

    if (rc == SQLITE_ROW) {
        ngx_lyftr_sqlite_column(st, 1, &sender);

        e->mark = sqlite3_column_int64(st, 0);
        e->number = sqlite3_column_int64(st, 2);
        e->at = sqlite3_column_int64(st, 3);

        ok = ngx_lyftr_erasing_part(c, e, &sender, err);

    } else {
        ok = (rc == SQLITE_DONE) ? NGX_AGAIN : ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_finalize(st);

    return ok;
}


/* as if nothing was erased */

static ngx_int_t
ngx_lyftr_erasing_part(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_str_t *sender, ngx_lyftr_error_t *err)
{
    u_char             *p;
    int64_t             total;
    ngx_int_t           rc;
    ngx_str_t           low, high;
    ngx_uint_t          n;
    ngx_lyftr_buf_t     buf;
    ngx_lyftr_merge_t   sources;

    ngx_memzero(&buf, sizeof(ngx_lyftr_buf_t));

    if (ngx_lyftr_buf_reserve(&buf, 2 * (2 * sender->len + 2)) != NGX_OK) {
        return ngx_lyftr_index_memory(err);
    }

    low.data = buf.data;
    p = ngx_lyftr_key_sender(buf.data, sender);
    low.len = p - low.data;

    high.data = p;
    p = ngx_lyftr_key_sender(p, sender);
    high.len = p - high.data;

    p[-1] = 1;

    if (e->key.len) {
        low.data = e->key.data;
        low.len = e->key.len;
    }

    n = c->index.nerased;
    c->index.nerased = 0;

    rc = ngx_lyftr_merge_open(&c->index, &sources, NGX_LYFTR_TREE_SENDER, err);

    c->index.nerased = n;

    if (rc == NGX_OK) {
        rc = ngx_lyftr_merge_range(&c->index, &sources, &low, &high, &total,
                                   err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_erasing_rows(c, e, &sources, err);
    }

    ngx_lyftr_merge_close(&sources);
    ngx_lyftr_buf_free(&buf);

    return rc;
}


static ngx_int_t
ngx_lyftr_erasing_rows(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_lyftr_merge_t *sources, ngx_lyftr_error_t *err)
{
    ngx_int_t           rc;
    ngx_uint_t          n;
    sqlite3_stmt       *st;
    ngx_lyftr_row_t     row;
    ngx_lyftr_entry_t   entry;

    st = c->stmt[NGX_LYFTR_SQL_POSITION];

    for (n = 0; n < NGX_LYFTR_ERASING_READ; n++) {
        rc = ngx_lyftr_merge_next(&c->index, sources, &entry, err);

        if (rc == NGX_DONE) {
            e->ended = 1;
            return NGX_OK;
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        /* the next one is greater than it */

        e->key.len = 0;

        if (ngx_lyftr_buf_add(&e->key, entry.key.data, entry.key.len)
            != NGX_OK
            || ngx_lyftr_buf_add(&e->key, "", 1) != NGX_OK)
        {
            return ngx_lyftr_index_memory(err);
        }

        if (entry.seq > e->at) {
            continue;
        }

        (void) sqlite3_bind_int64(st, 1, entry.seq);

        if (ngx_lyftr_sqlite_row_step(c, st, err) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_lyftr_sqlite_row(st, &row);

        rc = ngx_lyftr_erasing_take(c, e, &row, err);

        (void) sqlite3_reset(st);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* in an order in which few pages change with each turn */

static ngx_int_t
ngx_lyftr_erasing_sorted(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    char        sql[128];
    ngx_int_t   rc;
    ngx_uint_t  n;

    n = e->seqs.len / sizeof(int64_t);

    if (e->done == 0 && n) {
        ngx_qsort(e->tombs.data, n, sizeof(ngx_lyftr_sqlite_tomb_t),
                  ngx_lyftr_erasing_tomb_cmp);
        ngx_qsort(e->seqs.data, n, sizeof(int64_t),
                  ngx_lyftr_erasing_seq_cmp);
    }

    rc = ngx_lyftr_erasing_remember(c, e, deadline, err);

    if (rc != NGX_DONE) {
        return rc;
    }

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_erasing_add(c, e, 1, NGX_LYFTR_ERASING_READ, err);
    }

    if (rc == NGX_OK && n - e->added <= NGX_LYFTR_ERASING_READ && e->ended) {
        (void) snprintf(sql, sizeof(sql),
                        "UPDATE lyftr_erase SET state = 2 WHERE id = %lld",
                        (long long) e->mark);

        rc = ngx_lyftr_sqlite_exec(c, sql, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc != NGX_OK) {
        return rc;
    }

    e->added += ngx_min(n - e->added, NGX_LYFTR_ERASING_READ);

    if (e->added == n) {
        e->added = 0;
        e->done = 0;
        e->rows = 0;
        e->seqs.len = 0;
        e->tombs.len = 0;
        e->senders.len = 0;

        if (e->ended) {
            e->ended = 0;
            e->key.len = 0;
        }
    }

    return NGX_OK;
}


static int
ngx_lyftr_erasing_tomb_cmp(const void *one, const void *two)
{
    const ngx_lyftr_sqlite_tomb_t *a = one;
    const ngx_lyftr_sqlite_tomb_t *b = two;

    return (int64_t) a->mark < (int64_t) b->mark
           ? -1 : (int64_t) a->mark > (int64_t) b->mark;
}


static int
ngx_lyftr_erasing_seq_cmp(const void *one, const void *two)
{
    const int64_t *a = one;
    const int64_t *b = two;

    return *a < *b ? -1 : *a > *b;
}


/*
 * One after the other, each that has such rows.  What is erased meanwhile has a
 * number that is not less than that of the segment being made.
 */

static ngx_int_t
ngx_lyftr_erasing_segments(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (e->compact.active) {
        rc = ngx_lyftr_sqlite_compact(c, &e->compact, 0, deadline, err);

        if (rc == NGX_DONE) {
            ngx_lyftr_compaction_free(&e->compact);
            free(e->bits);

            e->bits = NULL;
            e->sweep = 1;
        }

        return rc == NGX_DONE ? NGX_OK : rc;
    }

    /* one that is merged is part of another soon; and blocks go first */

    if (e->merging || e->sweeping) {
        return NGX_DONE;
    }

    if (e->bits && e->at == e->segment.last) {
        return ngx_lyftr_sqlite_merge(c, &e->compact, &e->segment, 1,
                                      &e->leave, deadline, err);
    }

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_segments_read(c, err);
    }

    if (rc == NGX_OK) {
        rc = e->bits ? ngx_lyftr_erasing_sum(c, e, err)
                     : ngx_lyftr_erasing_segment(c, e, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


/* the first of them, and which rows it is made without */

static ngx_int_t
ngx_lyftr_erasing_segment(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_lyftr_error_t *err)
{
    int                   rc;
    int64_t               seq;
    ngx_uint_t            i;
    sqlite3_stmt         *st;
    ngx_lyftr_segment_t  *s;

    st = c->stmt[NGX_LYFTR_SQL_ERASED_ALL];

    for (i = 0; i < c->index.nsegments; i++) {
        s = &c->index.segments[i];

        if (s->last <= c->state.floor) {
            continue;
        }

        (void) sqlite3_bind_int64(st, 1, s->first);
        (void) sqlite3_bind_int64(st, 2, s->last);
        (void) sqlite3_bind_int64(st, 3, s->id);

        rc = sqlite3_step(st);

        if (rc == SQLITE_ROW) {
            e->segment = *s;
            e->segment.filter = NULL;
            e->at = s->first;

            e->bits = calloc(1, (s->last - s->first) / 8 + 1);
        }

        while (rc == SQLITE_ROW && e->bits) {
            seq = sqlite3_column_int64(st, 0) - s->first;
            e->bits[seq / 8] |= 1 << seq % 8;

            rc = sqlite3_step(st);
        }

        if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
            (void) ngx_lyftr_sqlite_error(c, err);
        }

        (void) sqlite3_reset(st);

        if (rc == SQLITE_ROW) {
            return ngx_lyftr_index_memory(err);
        }

        if (rc != SQLITE_DONE) {
            free(e->bits);
            e->bits = NULL;
            return NGX_ERROR;
        }

        if (e->bits) {
            ngx_memzero(&e->leave, sizeof(ngx_lyftr_leave_t));

            e->leave.out = ngx_lyftr_erasing_out;
            e->leave.data = e;

            return NGX_OK;
        }
    }

    return NGX_AGAIN;
}


static ngx_int_t
ngx_lyftr_erasing_sum(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_lyftr_error_t *err)
{
    ngx_int_t      rc;
    ngx_uint_t     n;
    sqlite3_stmt  *st;

    rc = NGX_OK;
    st = c->stmt[NGX_LYFTR_SQL_ROW];

    for (n = 0; n < NGX_LYFTR_ERASING_READ && e->at < e->segment.last;
         e->at++)
    {
        if (!ngx_lyftr_erasing_out(e, e->at + 1)) {
            continue;
        }

        (void) sqlite3_bind_int64(st, 1, e->at + 1);

        rc = ngx_lyftr_sqlite_row_step(c, st, err);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        e->leave.rows++;
        e->leave.sum += ngx_lyftr_sqlite_row_sum(st);
        n++;

        (void) sqlite3_reset(st);
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_lyftr_erasing_out(void *data, int64_t seq)
{
    ngx_lyftr_erasing_t *e = data;

    seq -= e->segment.first;

    return e->bits[seq / 8] >> seq % 8 & 1;
}


/* no segment has any of them */

static ngx_int_t
ngx_lyftr_erasing_made(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_erasing_run(c, "UPDATE lyftr_erase SET state = 3"
                                  " WHERE state = 2;"
                                  "UPDATE lyftr_state"
                                  " SET generation = generation + 1",
                               deadline, err);

    return rc == NGX_OK ? NGX_AGAIN : rc;
}


static ngx_int_t
ngx_lyftr_erasing_log(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    char       sql[768];
    int64_t    last;
    ngx_int_t  rc;

    last = 0;

    /* from the last one on, up to as many as one turn has */

    (void) snprintf(sql, sizeof(sql),
                    "SELECT ifnull(max(seq), 0) FROM (SELECT seq FROM"
                    " lyftr_erased WHERE seq > %lld AND deleted = 0"
                    " ORDER BY seq LIMIT %d)", (long long) e->at,
                    NGX_LYFTR_ERASING_DELETE);

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_get(c, sql, &last, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc != NGX_OK) {
        return rc;
    }

    if (last == 0) {
        return NGX_AGAIN;
    }

    (void) snprintf(sql, sizeof(sql),
                    "DELETE FROM lyftr_message WHERE seq IN (SELECT seq FROM"
                    " lyftr_erased WHERE seq > %lld AND seq <= %lld"
                    " AND deleted = 0);"
                    "DELETE FROM lyftr_extra WHERE seq IN (SELECT seq FROM"
                    " lyftr_erased WHERE seq > %lld AND seq <= %lld"
                    " AND deleted = 0);"
                    "UPDATE lyftr_erased SET deleted = 1 WHERE seq > %lld"
                    " AND seq <= %lld AND deleted = 0;"
                    "UPDATE lyftr_state SET deleted = deleted + changes()",
                    (long long) e->at, (long long) last, (long long) e->at,
                    (long long) last, (long long) e->at, (long long) last);

    rc = ngx_lyftr_erasing_run(c, sql, deadline, err);

    if (rc == NGX_OK) {
        e->at = last;
    }

    return rc;
}


/* the job that makes them does it */

static ngx_int_t
ngx_lyftr_erasing_parts(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (e->limit) {
        return NGX_DONE;
    }

    if (e->at) {
        return NGX_AGAIN;
    }

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_get(c, "SELECT ifnull(max(id), 0) + 1"
                                     " FROM lyftr_search", &e->limit, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    e->at = (rc == NGX_OK);

    return rc;
}


/* all of it is gone when what others do is done */

static ngx_int_t
ngx_lyftr_erasing_last(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    char       sql[256];
    int64_t    n;
    ngx_int_t  rc;

    if (e->busy || e->sweeping
        || ngx_lyftr_clock() - e->seen < NGX_LYFTR_ERASING_WAIT)
    {
        return NGX_DONE;
    }

    n = 0;

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_get(c, "SELECT ifnull(max(seq), 0) FROM (SELECT"
                                     " seq FROM lyftr_erased ORDER BY seq"
                                     " LIMIT 1024)", &n, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc != NGX_OK) {
        return rc;
    }

    /* what is read counts on them, until there are none left */

    if (n) {
        (void) snprintf(sql, sizeof(sql),
                        "DELETE FROM lyftr_erased WHERE seq <= %lld",
                        (long long) n);

        return ngx_lyftr_erasing_run(c, sql, deadline, err);
    }

    rc = ngx_lyftr_erasing_run(c, "UPDATE lyftr_state SET erase = erase -"
                                  " (SELECT count(*) FROM lyftr_erase"
                                  " WHERE state = 3), erasing = 0,"
                                  " deleted = 0, emptying = 1,"
                                  " generation = generation + 1;"
                                  "DELETE FROM lyftr_erase WHERE state = 3",
                               deadline, err);

    return rc == NGX_OK ? NGX_AGAIN : rc;
}


/* pages of before stay in the WAL until it is written over, or cut off */

static ngx_int_t
ngx_lyftr_erasing_wal(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_lyftr_sqlite_t *guard, ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (c->state.emptying == 0
        || guard == NULL
        || ngx_lyftr_flock_left(e->retry))
    {
        return NGX_DONE;
    }

    e->retry = ngx_lyftr_clock() + NGX_LYFTR_ERASING_RETRY;

    rc = ngx_lyftr_sqlite_checkpoint(c, guard, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_empty(c, NGX_LYFTR_ERASING_WAL, deadline, err);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_lyftr_erasing_run(c, "UPDATE lyftr_state SET emptying = 0",
                                 deadline, err);
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_leave.h>


/*
 * Nobody sees anything of it until one short transaction, which raises the
 * floor, takes the segment out of the list, and the senders out of the counts.
 * What it needs is made before, in small steps: the segment of the rows that
 * stay, what each count becomes less by, with the number of this step, and
 * who then are the largest.  The counts themselves follow after it.
 */

/*
 * Senders that are taken down in one turn, entries of each that are looked at,
 * and rows that are added up in one go; unit tests have few.
 */
#ifndef NGX_LYFTR_LEAVE_SENDERS
#define NGX_LYFTR_LEAVE_SENDERS    128
#define NGX_LYFTR_LEAVE_ENTRIES    64
#define NGX_LYFTR_LEAVE_ROWS       4096
#endif


typedef struct {
    int64_t                rows;
    size_t                 len;            /* of the sender, which follows */
} ngx_lyftr_leave_head_t;


typedef ngx_int_t (*ngx_lyftr_leave_pt)(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_leaving_t *l, ngx_msec_t deadline, ngx_lyftr_error_t *err);


static ngx_uint_t ngx_lyftr_leave_valid(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_leaving_t *l);
static ngx_uint_t ngx_lyftr_leave_whole(ngx_lyftr_leaving_t *l);
static ngx_int_t ngx_lyftr_leave_read(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_leaving_t *l, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_leave_sum(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_leaving_t *l, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_leave_row(void *data, ngx_lyftr_row_t *row,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_leave_rest(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_leaving_t *l, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_uint_t ngx_lyftr_leave_out(void *data, int64_t seq);
static ngx_int_t ngx_lyftr_leave_tally(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_leaving_t *l, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_leave_segment(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_leaving_t *l, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_leave_log(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_leaving_t *l, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_leave_less(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_leaving_t *l, size_t *done, int64_t *gone,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_leave_end(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_leaving_t *l, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_leave_change(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_leaving_t *l, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_leave_taken(ngx_lyftr_sqlite_t *c,
    ngx_uint_t *some, ngx_lyftr_error_t *err);


static ngx_lyftr_leave_pt  ngx_lyftr_leave_phases[] = {
    ngx_lyftr_leave_sum,
    ngx_lyftr_leave_rest,
    ngx_lyftr_leave_count,
    ngx_lyftr_leave_rank,
    ngx_lyftr_leave_end,
    NULL
};


void
ngx_lyftr_leave_begin(ngx_lyftr_sqlite_t *c, ngx_lyftr_leaving_t *l,
    int64_t to)
{
    ngx_memzero(l, sizeof(ngx_lyftr_leaving_t));

    l->active = 1;
    l->floor = c->state.floor;
    l->to = to;
    l->seq = l->floor;

    if (c->index.nsegments) {
        l->segment = c->index.segments[0];
        l->segment.filter = NULL;
    }
}


ngx_int_t
ngx_lyftr_leave_step(ngx_lyftr_sqlite_t *c, ngx_lyftr_leaving_t *l,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    /* what somebody else has changed meanwhile is begun anew */

    if (!ngx_lyftr_leave_valid(c, l)) {
        ngx_lyftr_leave_free(l);
        return NGX_OK;
    }

    rc = ngx_lyftr_leave_phases[l->phase](c, l, deadline, err);

    if (rc != NGX_DONE) {
        return rc;
    }

    if (ngx_lyftr_leave_phases[++l->phase]) {
        return NGX_OK;
    }

    ngx_lyftr_leave_free(l);

    return NGX_DONE;
}


static ngx_uint_t
ngx_lyftr_leave_valid(ngx_lyftr_sqlite_t *c, ngx_lyftr_leaving_t *l)
{
    if (c->state.floor != l->floor || c->state.rebuild) {
        return 0;
    }

    if (l->erases) {
        return 1;
    }

    if (c->state.erase) {
        return 0;
    }

    return c->index.nsegments ? c->index.segments[0].id == l->segment.id
                              : l->segment.id == 0;
}


static ngx_uint_t
ngx_lyftr_leave_whole(ngx_lyftr_leaving_t *l)
{
    return l->segment.id == 0 || l->to == l->segment.last;
}


/* begins a transaction that reads; NGX_DECLINED: not now */

static ngx_int_t
ngx_lyftr_leave_read(ngx_lyftr_sqlite_t *c, ngx_lyftr_leaving_t *l,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_segments_read(c, err);
    }

    if (rc == NGX_OK && !ngx_lyftr_leave_valid(c, l)) {
        rc = ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_BUSY,
                                   "rows have changed");
    }

    return rc;
}


/* how many rows of a segment go, and their sum */

static ngx_int_t
ngx_lyftr_leave_sum(ngx_lyftr_sqlite_t *c, ngx_lyftr_leaving_t *l,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (ngx_lyftr_leave_whole(l)) {
        return NGX_DONE;
    }

    rc = ngx_lyftr_leave_read(c, l, deadline, err);

    if (rc == NGX_OK) {
        rc = c->index.holder->rows(c->index.data, NGX_LYFTR_ROWS_SUMS, l->seq,
                                   ngx_min(l->seq + NGX_LYFTR_LEAVE_ROWS,
                                           l->to),
                                   ngx_lyftr_leave_row, l, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc != NGX_OK) {
        return rc;
    }

    l->seq = ngx_min(l->seq + NGX_LYFTR_LEAVE_ROWS, l->to);

    if (l->seq < l->to) {
        return NGX_OK;
    }

    /* places without a row may follow */

    if (l->leave.rows == l->segment.rows) {
        l->to = l->segment.last;
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_lyftr_leave_row(void *data, ngx_lyftr_row_t *row, ngx_lyftr_error_t *err)
{
    ngx_lyftr_leaving_t *l = data;

    l->leave.rows++;
    l->leave.sum += row->sum;

    return NGX_OK;
}


/* a segment of those that stay */

static ngx_int_t
ngx_lyftr_leave_rest(ngx_lyftr_sqlite_t *c, ngx_lyftr_leaving_t *l,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    if (ngx_lyftr_leave_whole(l)) {
        return NGX_DONE;
    }

    if (l->rest.active) {
        return ngx_lyftr_sqlite_compact(c, &l->rest, 1, deadline, err);
    }

    l->leave.out = ngx_lyftr_leave_out;
    l->leave.data = &l->to;
    l->leave.first = l->to;

    return ngx_lyftr_sqlite_merge(c, &l->rest, &l->segment, 1, &l->leave,
                                  deadline, err);
}


static ngx_uint_t
ngx_lyftr_leave_out(void *data, int64_t seq)
{
    return seq <= *(int64_t *) data;
}


/* some senders are read, and then taken down */

ngx_int_t
ngx_lyftr_leave_count(ngx_lyftr_sqlite_t *c, ngx_lyftr_leaving_t *l,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    size_t     done;
    int64_t    gone;
    ngx_int_t  rc;

    if (l->done == l->tally.len) {

        if (l->ended) {
            return NGX_DONE;
        }

        rc = ngx_lyftr_leave_read(c, l, deadline, err);

        if (rc == NGX_OK) {
            rc = ngx_lyftr_leave_tally(c, l, err);
        }

        ngx_lyftr_sqlite_rollback(c);

        if (rc != NGX_OK || l->tally.len == 0) {
            return rc;
        }
    }

    done = l->done;
    gone = 0;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_leave_less(c, l, &done, &gone, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc == NGX_OK) {
        l->done = done;
        l->gone += gone;
    }

    return rc;
}


static ngx_int_t
ngx_lyftr_leave_tally(ngx_lyftr_sqlite_t *c, ngx_lyftr_leaving_t *l,
    ngx_lyftr_error_t *err)
{
    l->tally.len = 0;
    l->done = 0;

    return l->segment.id ? ngx_lyftr_leave_segment(c, l, err)
                         : ngx_lyftr_leave_log(c, l, err);
}


static ngx_int_t
ngx_lyftr_leave_segment(ngx_lyftr_sqlite_t *c, ngx_lyftr_leaving_t *l,
    ngx_lyftr_error_t *err)
{
    int64_t     rows;
    ngx_int_t   rc;
    ngx_str_t   sender;
    ngx_uint_t  n;

    rc = NGX_OK;

    if (!l->begun) {
        rc = ngx_lyftr_tally_begin(&c->index, &l->senders, &l->segment, l->to,
                                   err);
        l->begun = 1;
    }

    for (n = 0; rc == NGX_OK && n < NGX_LYFTR_LEAVE_SENDERS; n++) {

        rc = ngx_lyftr_tally_next(&c->index, &l->senders,
                                  NGX_LYFTR_LEAVE_ENTRIES, &sender, &rows,
                                  err);

        if (rc == NGX_OK && rows) {
            rc = ngx_lyftr_leave_add(l, &sender, rows, err);
        }

        if (rc == NGX_AGAIN) {
            rc = NGX_OK;
        }
    }

    l->ended = (rc == NGX_DONE);

    return rc == NGX_DONE ? NGX_OK : rc;
}


/* rows that no segment has, which are not many */

static ngx_int_t
ngx_lyftr_leave_log(ngx_lyftr_sqlite_t *c, ngx_lyftr_leaving_t *l,
    ngx_lyftr_error_t *err)
{
    int            rc;
    ngx_int_t      ok;
    ngx_str_t      sender;
    sqlite3_stmt  *st;

    ok = NGX_OK;
    st = c->stmt[NGX_LYFTR_SQL_TALLY];

    (void) sqlite3_bind_int64(st, 1, l->floor);
    (void) sqlite3_bind_int64(st, 2, l->to);

    while (ok == NGX_OK && (rc = sqlite3_step(st)) != SQLITE_DONE) {

        if (rc != SQLITE_ROW) {
            ok = ngx_lyftr_sqlite_error(c, err);
            break;
        }

        ngx_lyftr_sqlite_column(st, 0, &sender);

        ok = ngx_lyftr_leave_add(l, &sender, sqlite3_column_int64(st, 1), err);
    }

    (void) sqlite3_reset(st);

    l->ended = 1;

    return ok;
}


ngx_int_t
ngx_lyftr_leave_add(ngx_lyftr_leaving_t *l, ngx_str_t *sender, int64_t rows,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_leave_head_t  head;

    ngx_memzero(&head, sizeof(head));

    head.rows = rows;
    head.len = sender->len;

    if (ngx_lyftr_buf_add(&l->tally, &head, sizeof(head)) != NGX_OK
        || ngx_lyftr_buf_add(&l->tally, sender->data, sender->len) != NGX_OK)
    {
        return ngx_lyftr_index_memory(err);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_leave_less(ngx_lyftr_sqlite_t *c, ngx_lyftr_leaving_t *l,
    size_t *done, int64_t *gone, ngx_lyftr_error_t *err)
{
    int                      rc;
    ngx_str_t                sender;
    ngx_uint_t               n;
    sqlite3_stmt            *st;
    ngx_lyftr_leave_head_t   head;

    st = c->stmt[NGX_LYFTR_SQL_LESS_ADD];

    for (n = 0; n < NGX_LYFTR_LEAVE_SENDERS && *done < l->tally.len; n++) {

        ngx_memcpy(&head, l->tally.data + *done, sizeof(head));

        sender.data = l->tally.data + *done + sizeof(head);
        sender.len = head.len;

        *done += sizeof(head) + head.len;

        (void) ngx_lyftr_sqlite_bind(st, 1, &sender);
        (void) sqlite3_bind_int64(st, 2, head.rows);
        (void) sqlite3_bind_int64(st, 3, c->state.step + 1);

        rc = sqlite3_step(st);

        if (rc == SQLITE_ROW) {
            *gone += (sqlite3_column_int64(st, 0) == 0);
            rc = sqlite3_step(st);
        }

        if (rc != SQLITE_DONE) {
            (void) ngx_lyftr_sqlite_error(c, err);
        }

        (void) sqlite3_reset(st);
        (void) sqlite3_clear_bindings(st);

        if (rc != SQLITE_DONE) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * All senders are looked at.  Those that have been, and of whom rows are
 * counted meanwhile, are ranked again by who counts them.
 */

ngx_int_t
ngx_lyftr_leave_rank(ngx_lyftr_sqlite_t *c, ngx_lyftr_leaving_t *l,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    int64_t    n;
    ngx_int_t  rc;

    rc = ngx_lyftr_leave_read(c, l, deadline, err);

    if (rc == NGX_OK) {
        n = l->ranked;
        rc = ngx_lyftr_count_rank(c, &l->top, &l->sender, &n, 1, err);
        l->ranked = 1;
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


static ngx_int_t
ngx_lyftr_leave_end(ngx_lyftr_sqlite_t *c, ngx_lyftr_leaving_t *l,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);

    if (rc == NGX_OK && !ngx_lyftr_leave_valid(c, l)) {
        rc = ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_BUSY,
                                   "rows have changed");
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_leave_change(c, l, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc == NGX_OK ? NGX_DONE : rc;
}


static ngx_int_t
ngx_lyftr_leave_change(ngx_lyftr_sqlite_t *c, ngx_lyftr_leaving_t *l,
    ngx_lyftr_error_t *err)
{
    sqlite3_stmt  *st;

    if (l->segment.id) {
        st = c->stmt[NGX_LYFTR_SQL_SEGMENT_DELETE];

        (void) sqlite3_bind_int64(st, 1, l->segment.id);

        if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (l->rest.active
        && ngx_lyftr_sqlite_segment_add(c, &l->rest.segment, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    st = c->stmt[NGX_LYFTR_SQL_SEARCH_LEAVE];

    (void) sqlite3_bind_int64(st, 1, l->to);

    if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK
        || ngx_lyftr_count_write_top(c, &l->top, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    st = c->stmt[NGX_LYFTR_SQL_LEAVE];

    (void) sqlite3_bind_int64(st, 1, l->to);
    (void) sqlite3_bind_int64(st, 2, l->gone);

    return ngx_lyftr_sqlite_run(c, st, err);
}


ngx_int_t
ngx_lyftr_leave_ranks(ngx_lyftr_sqlite_t *c, ngx_lyftr_leaving_t *l,
    ngx_uint_t *ranks, ngx_lyftr_error_t *err)
{
    size_t                   at;
    ngx_int_t                rc;
    ngx_uint_t               i;
    ngx_lyftr_top_t          top;
    ngx_lyftr_leave_head_t   head;

    *ranks = 0;

    ngx_memzero(&top, sizeof(ngx_lyftr_top_t));

    rc = ngx_lyftr_count_top(c, &top, err);

    for (at = 0; rc == NGX_OK && at < l->tally.len; at += head.len) {

        ngx_memcpy(&head, l->tally.data + at, sizeof(head));

        at += sizeof(head);

        for (i = 0; i < top.n; i++) {
            *ranks |= (ngx_lyftr_key_cmp(top.sender[i].data,
                                         top.sender[i].len,
                                         l->tally.data + at, head.len)
                       == 0);
        }
    }

    ngx_lyftr_top_free(&top);

    return rc;
}


void
ngx_lyftr_leave_free(ngx_lyftr_leaving_t *l)
{
    ngx_lyftr_compaction_free(&l->rest);
    ngx_lyftr_tally_free(&l->senders);
    ngx_lyftr_buf_free(&l->tally);
    ngx_lyftr_top_free(&l->top);
    ngx_lyftr_buf_free(&l->sender);

    ngx_memzero(l, sizeof(ngx_lyftr_leaving_t));
}


ngx_uint_t
ngx_lyftr_leave_wants(ngx_lyftr_leaving_t *l, int64_t id)
{
    return l->rest.active && l->rest.segment.id == id;
}


ngx_int_t
ngx_lyftr_leave_settle(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t   rc;
    ngx_uint_t  some;

    some = 0;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_leave_taken(c, &some, err);
    }

    if (rc == NGX_OK && some) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc == NGX_OK && !some ? NGX_DONE : rc;
}


static ngx_int_t
ngx_lyftr_leave_taken(ngx_lyftr_sqlite_t *c, ngx_uint_t *some,
    ngx_lyftr_error_t *err)
{
    int               rc;
    ngx_int_t         ok;
    ngx_str_t         last;
    ngx_uint_t        i;
    sqlite3_stmt     *st;
    ngx_lyftr_buf_t   buf;

    static ngx_lyftr_sql_e  statements[] = {
        NGX_LYFTR_SQL_LESS_DELETE,
        NGX_LYFTR_SQL_LESS_TAKE
    };

    ngx_memzero(&buf, sizeof(ngx_lyftr_buf_t));

    st = c->stmt[NGX_LYFTR_SQL_LESS_TO];

    (void) sqlite3_bind_int64(st, 1, NGX_LYFTR_LEAVE_SENDERS);

    rc = sqlite3_step(st);
    ok = (rc == SQLITE_ROW) ? NGX_OK : ngx_lyftr_sqlite_error(c, err);

    *some = (ok == NGX_OK && sqlite3_column_type(st, 0) != SQLITE_NULL);

    if (*some) {
        ngx_lyftr_sqlite_column(st, 0, &last);

        /* that which is empty has memory, too: it is not null */

        if (ngx_lyftr_buf_reserve(&buf, last.len + 1) != NGX_OK) {
            ok = ngx_lyftr_index_memory(err);

        } else {
            (void) ngx_lyftr_buf_add(&buf, last.data, last.len);
        }
    }

    (void) sqlite3_reset(st);

    for (i = 0; *some && ok == NGX_OK && i < 2; i++) {
        st = c->stmt[statements[i]];

        last.data = buf.data;
        last.len = buf.len;

        (void) ngx_lyftr_sqlite_bind(st, 1, &last);
        (void) sqlite3_bind_int64(st, 2, c->state.step);

        ok = ngx_lyftr_sqlite_run(c, st, err);
    }

    ngx_lyftr_buf_free(&buf);

    return ok;
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>
#include <ngx_lyftr_sqlite_jobs.h>


/*
 * What is to be erased are rows up to the newest one there is now, which are
 * counted and put into segments first.  Then they are known by these: one short
 * transaction says so, with which the counts are worth less, as when rows
 * leave.  All of a sender are a part of a tree, and are not even looked at; of
 * others a list is made before, and what remembers their ids.
 */

/* rows of a list that are erased at once, and of all that segments have */
#ifndef NGX_LYFTR_ERASING_LIST
#define NGX_LYFTR_ERASING_LIST     8192
#define NGX_LYFTR_ERASING_MOST     65536
#endif

/* ids that are remembered in one turn, and msec of a look at the log */
#ifndef NGX_LYFTR_ERASING_TOMBS
#define NGX_LYFTR_ERASING_TOMBS    128
#endif
#define NGX_LYFTR_ERASING_STEP     2
#define NGX_LYFTR_ERASING_ROWS     64


enum {
    NGX_LYFTR_ERASING_BEGIN = 0,
    NGX_LYFTR_ERASING_FIND,
    NGX_LYFTR_ERASING_REMEMBER,
    NGX_LYFTR_ERASING_COUNT,
    NGX_LYFTR_ERASING_RANK,
    NGX_LYFTR_ERASING_END
};


static ngx_int_t ngx_lyftr_erasing_pick(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erasing_picked(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erasing_begin(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e);
static ngx_int_t ngx_lyftr_erasing_find(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erasing_find_id(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erasing_find_from(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erasing_find_to(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erasing_row(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, int64_t seq, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erasing_senders(ngx_lyftr_erasing_t *e,
    ngx_lyftr_error_t *err);
static int ngx_lyftr_erasing_cmp(const void *one, const void *two);
static ngx_int_t ngx_lyftr_erasing_end(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erasing_change(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_lyftr_error_t *err);
static void ngx_lyftr_erasing_reset(ngx_lyftr_erasing_t *e);


ngx_int_t
ngx_lyftr_erasing_step(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (e->id == 0) {
        return c->state.erase ? ngx_lyftr_erasing_pick(c, e, deadline, err)
                              : NGX_DONE;
    }

    switch (e->phase) {

    case NGX_LYFTR_ERASING_BEGIN:
        return ngx_lyftr_erasing_begin(c, e);

    case NGX_LYFTR_ERASING_FIND:
        rc = ngx_lyftr_erasing_find(c, e, deadline, err);
        break;

    case NGX_LYFTR_ERASING_REMEMBER:
        rc = ngx_lyftr_erasing_remember(c, e, deadline, err);
        break;

    case NGX_LYFTR_ERASING_COUNT:
        rc = ngx_lyftr_leave_count(c, &e->leaving, deadline, err);
        break;

    case NGX_LYFTR_ERASING_RANK:
        rc = e->leaving.ranked
             ? ngx_lyftr_leave_rank(c, &e->leaving, deadline, err) : NGX_DONE;
        break;

    default:
        rc = ngx_lyftr_erasing_end(c, e, deadline, err);

        if (rc == NGX_DONE) {
            ngx_lyftr_erasing_reset(e);
            e->settle = 1;
            e->stage = 0;
            e->limit = 0;
            e->seen = ngx_lyftr_clock();
        }

        return rc == NGX_DONE ? NGX_OK : rc;
    }

    if (rc == NGX_DONE) {
        e->phase++;
        rc = NGX_OK;
    }

    return rc;
}


/* what was asked for first; NGX_DONE: nothing else is */

static ngx_int_t
ngx_lyftr_erasing_pick(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_erasing_picked(c, e, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


static ngx_int_t
ngx_lyftr_erasing_picked(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_lyftr_error_t *err)
{
    int            rc;
    ngx_int_t      ok;
    ngx_str_t      value;
    sqlite3_stmt  *st;

    if (ngx_lyftr_segments_read(c, err) != NGX_OK
        || ngx_lyftr_sqlite_last(c, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* a long list is done in pieces, and what is listed is in memory */

    if (sqlite3_prepare_v2(c->db, "SELECT id, kind, value, rows, upto, number"
                                  " FROM lyftr_erase WHERE state = 0 AND"
                                  " (rows = 0 OR ?1 < ?2) ORDER BY id LIMIT 1",
                           -1, &st, NULL)
        != SQLITE_OK)
    {
        return ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_bind_int64(st, 1, c->erased.rows.len
                                     / sizeof(ngx_lyftr_memtable_row_t));
    (void) sqlite3_bind_int64(st, 2, NGX_LYFTR_ERASING_MOST);

    rc = sqlite3_step(st);

    if (rc == SQLITE_ROW) {
        ngx_lyftr_erasing_reset(e);
        ngx_lyftr_sqlite_column(st, 2, &value);

        /* a segment that is not begun yet is to be without these rows, too */

        if (!e->compact.active) {
            free(e->bits);
            e->bits = NULL;
        }

        ok = ngx_lyftr_buf_add(&e->value, value.data, value.len);

        if (ok == NGX_OK) {
            e->id = sqlite3_column_int64(st, 0);
            e->kind = sqlite3_column_int(st, 1);
            e->before = sqlite3_column_int64(st, 3);
            e->at = sqlite3_column_int64(st, 5);

            /* the pieces are all of the same rows */

            e->upto = e->at ? sqlite3_column_int64(st, 4) : c->index.last;

        } else {
            (void) ngx_lyftr_index_memory(err);
        }

    } else {
        ok = (rc == SQLITE_DONE) ? NGX_DONE : ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_finalize(st);

    return ok;
}


/* when the rows are counted, and in segments, and nobody changes these */

static ngx_int_t
ngx_lyftr_erasing_begin(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e)
{
    ngx_lyftr_leaving_t  *l;

    if (e->busy || !ngx_lyftr_erasing_holds(c, e)) {
        return NGX_DONE;
    }

    l = &e->leaving;

    ngx_memzero(l, sizeof(ngx_lyftr_leaving_t));

    l->active = 1;
    l->erases = 1;
    l->ended = 1;
    l->floor = c->state.floor;

    e->number = c->state.next;
    e->phase++;

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_erasing_find(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_segments_read(c, err);
    }

    if (rc == NGX_OK) {
        switch (e->kind) {

        case NGX_LYFTR_ERASE_ID:
            rc = ngx_lyftr_erasing_find_id(c, e, err);
            break;

        case NGX_LYFTR_ERASE_FROM:
            rc = ngx_lyftr_erasing_find_from(c, e, err);
            break;

        default:
            rc = ngx_lyftr_erasing_find_to(c, e, err);
        }
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc != NGX_DONE) {
        return rc;
    }

    return e->kind == NGX_LYFTR_ERASE_FROM
           ? NGX_DONE
           : ngx_lyftr_erasing_senders(e, err) == NGX_OK ? NGX_DONE
                                                         : NGX_ERROR;
}


static ngx_int_t
ngx_lyftr_erasing_find_id(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_lyftr_error_t *err)
{
    int64_t     seq;
    uint64_t    hash;
    ngx_int_t   rc;
    ngx_str_t   id;
    ngx_uint_t  i;

    id.data = e->value.data;
    id.len = e->value.len;
    hash = ngx_lyftr_sqlite_hash(id.data, id.len);

    for (i = 0; i < c->index.nsegments; i++) {
        rc = ngx_lyftr_sqlite_known_segment(c, &c->index.segments[i], &id, hash,
                                            &seq, err);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_DECLINED) {
            rc = ngx_lyftr_erasing_row(c, e, seq, err);
            return rc == NGX_OK ? NGX_DONE : rc;
        }
    }

    return NGX_DONE;
}


/* those of newer segments are of newer rows */

static ngx_int_t
ngx_lyftr_erasing_find_from(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_lyftr_error_t *err)
{
    u_char                   *p;
    int64_t                   total;
    ngx_int_t                 rc;
    ngx_str_t                 sender, low, high;
    ngx_uint_t                i;
    ngx_lyftr_buf_t           buf;
    ngx_lyftr_merge_t         sources;
    ngx_lyftr_merge_child_t  *source;

    sender.data = e->value.data;
    sender.len = e->value.len;

    ngx_memzero(&buf, sizeof(ngx_lyftr_buf_t));

    if (ngx_lyftr_buf_reserve(&buf, 2 * (2 * sender.len + 2)) != NGX_OK) {
        return ngx_lyftr_index_memory(err);
    }

    low.data = buf.data;
    p = ngx_lyftr_key_sender(buf.data, &sender);
    low.len = p - low.data;

    high.data = p;
    p = ngx_lyftr_key_sender(p, &sender);
    high.len = p - high.data;

    /* greater than all keys of the sender */

    p[-1] = 1;

    rc = ngx_lyftr_merge_open(&c->index, &sources, NGX_LYFTR_TREE_SENDER, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_merge_range(&c->index, &sources, &low, &high, &total,
                                   err);
    }

    e->rows = 0;

    for (i = 0; rc == NGX_OK && i < sources.n; i++) {
        source = &sources.elts[i];

        if (source->row == NULL && source->cursor.segment->id < e->number) {
            e->rows += source->high - source->low;
        }
    }

    for (i = 0; rc == NGX_OK && i < sources.nerased; i++) {
        source = &sources.erased[i];
        e->rows -= source->high - source->low;
    }

    ngx_lyftr_merge_close(&sources);
    ngx_lyftr_buf_free(&buf);

    if (rc == NGX_OK && e->rows) {
        rc = ngx_lyftr_leave_add(&e->leaving, &sender, e->rows, err);
    }

    return rc == NGX_OK ? NGX_DONE : rc;
}


/* no tree has them: the log is read, piece by piece */

static ngx_int_t
ngx_lyftr_erasing_find_to(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_lyftr_error_t *err)
{
    int              rc;
    ngx_int_t        ok;
    ngx_str_t        to, from;
    ngx_msec_t       start;
    ngx_uint_t       n;
    sqlite3_stmt    *st;
    ngx_lyftr_row_t  row;

    if (sqlite3_prepare_v2(c->db, "SELECT seq, id_hash, instant, message_id,"
                                  " from_msisdn, to_msisdn FROM lyftr_message"
                                  " WHERE seq > ?1 AND seq <= ?2 ORDER BY seq",
                           -1, &st, NULL)
        != SQLITE_OK)
    {
        return ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_bind_int64(st, 1, ngx_max(e->at, c->state.floor));
    (void) sqlite3_bind_int64(st, 2, e->upto);

    ok = NGX_OK;
    start = ngx_lyftr_clock();

    for (n = 1; ok == NGX_OK; n++) {
        rc = sqlite3_step(st);

        if (rc != SQLITE_ROW) {
            e->at = e->upto;
            ok = (rc == SQLITE_DONE) ? NGX_DONE
                                     : ngx_lyftr_sqlite_error(c, err);
            break;
        }

        ngx_lyftr_sqlite_column(st, 5, &to);

        e->at = sqlite3_column_int64(st, 0);

        if (ngx_lyftr_key_cmp(to.data, to.len, e->value.data, e->value.len)
            == 0)
        {
            ngx_lyftr_sqlite_column(st, 4, &from);

            ok = ngx_lyftr_sqlite_erased(c, e->at, &from, err);

            if (ok == NGX_DECLINED) {
                ngx_lyftr_sqlite_row(st, &row);
                ok = ngx_lyftr_erasing_take(c, e, &row, err);
            }

            if (ok == NGX_OK && e->rows == NGX_LYFTR_ERASING_LIST) {
                ok = NGX_DONE;
            }
        }

        if (n % NGX_LYFTR_ERASING_ROWS == 0
            && ngx_lyftr_clock() - start >= NGX_LYFTR_ERASING_STEP)
        {
            break;
        }
    }

    (void) sqlite3_finalize(st);

    return ok;
}


/* of an index, if it is not erased yet */

static ngx_int_t
ngx_lyftr_erasing_row(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    int64_t seq, ngx_lyftr_error_t *err)
{
    ngx_int_t        rc;
    sqlite3_stmt    *st;
    ngx_lyftr_row_t  row;

    st = c->stmt[NGX_LYFTR_SQL_POSITION];

    (void) sqlite3_bind_int64(st, 1, seq);

    if (ngx_lyftr_sqlite_row_step(c, st, err) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_lyftr_sqlite_row(st, &row);

    rc = ngx_lyftr_sqlite_erased(c, seq, &row.from, err);

    if (rc == NGX_DECLINED) {
        rc = ngx_lyftr_erasing_take(c, e, &row, err);
    }

    (void) sqlite3_reset(st);

    return rc;
}


ngx_int_t
ngx_lyftr_erasing_take(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_lyftr_row_t *row, ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_tomb_t  tomb;

    ngx_memzero(&tomb, sizeof(ngx_lyftr_sqlite_tomb_t));

    if (ngx_lyftr_sqlite_tomb(c, &row->message_id, &tomb, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_lyftr_buf_add(&e->seqs, &row->seq, sizeof(row->seq)) != NGX_OK
        || ngx_lyftr_buf_add(&e->tombs, &tomb, sizeof(tomb)) != NGX_OK
        || ngx_lyftr_buf_add(&e->senders, &row->from.len, sizeof(size_t))
           != NGX_OK
        || ngx_lyftr_buf_add(&e->senders, row->from.data, row->from.len)
           != NGX_OK)
    {
        return ngx_lyftr_index_memory(err);
    }

    e->rows++;

    return NGX_OK;
}


/* how many rows each has of the list */

static ngx_int_t
ngx_lyftr_erasing_senders(ngx_lyftr_erasing_t *e, ngx_lyftr_error_t *err)
{
    size_t      at;
    ngx_int_t   rc;
    ngx_str_t  *from;
    ngx_uint_t  i, n, first;

    n = e->rows;

    from = malloc((n + 1) * sizeof(ngx_str_t));
    if (from == NULL) {
        return ngx_lyftr_index_memory(err);
    }

    for (i = 0, at = 0; i < n; i++) {
        ngx_memcpy(&from[i].len, e->senders.data + at, sizeof(size_t));

        from[i].data = e->senders.data + at + sizeof(size_t);
        at += sizeof(size_t) + from[i].len;
    }

    if (n) {
        ngx_qsort(from, n, sizeof(ngx_str_t), ngx_lyftr_erasing_cmp);
    }

    rc = NGX_OK;

    for (i = 0; rc == NGX_OK && i < n; /* void */ ) {
        first = i;

        while (i < n && ngx_lyftr_erasing_cmp(&from[i], &from[first]) == 0) {
            i++;
        }

        rc = ngx_lyftr_leave_add(&e->leaving, &from[first], i - first, err);
    }

    free(from);

    return rc;
}


static int
ngx_lyftr_erasing_cmp(const void *one, const void *two)
{
    const ngx_str_t *a = one;
    const ngx_str_t *b = two;

    return ngx_lyftr_key_cmp(a->data, a->len, b->data, b->len);
}


ngx_int_t
ngx_lyftr_erasing_remember(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t                 rc;
    ngx_uint_t                n;
    ngx_lyftr_sqlite_tomb_t  *tombs;

    tombs = (ngx_lyftr_sqlite_tomb_t *) e->tombs.data;
    n = e->tombs.len / sizeof(ngx_lyftr_sqlite_tomb_t) - e->done;
    n = ngx_min(n, NGX_LYFTR_ERASING_TOMBS);

    if (n == 0) {
        return NGX_DONE;
    }

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_tombs_add(c, tombs + e->done, n, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc == NGX_OK) {
        e->done += n;
    }

    return rc;
}


/* who are the largest is found out first, if it may have changed */

static ngx_int_t
ngx_lyftr_erasing_end(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t   rc;
    ngx_uint_t  ranks;

    ranks = 0;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);

    if (rc == NGX_OK
        && (c->state.floor != e->leaving.floor || c->state.rebuild))
    {
        rc = ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_BUSY,
                                   "rows have changed");
    }

    if (rc == NGX_OK && !e->leaving.ranked) {
        rc = ngx_lyftr_leave_ranks(c, &e->leaving, &ranks, err);
    }

    if (rc == NGX_OK && !ranks) {
        rc = ngx_lyftr_erasing_change(c, e, err);

        if (rc == NGX_OK) {
            rc = ngx_lyftr_sqlite_commit(c, err);
        }

        rc = (rc == NGX_OK) ? NGX_DONE : rc;
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc == NGX_OK) {
        e->phase = NGX_LYFTR_ERASING_RANK;
        return ngx_lyftr_leave_rank(c, &e->leaving, deadline, err)
               == NGX_ERROR ? NGX_ERROR : NGX_OK;
    }

    return rc;
}


static ngx_int_t
ngx_lyftr_erasing_change(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_lyftr_error_t *err)
{
    char           sql[512];
    int64_t        state;
    sqlite3_stmt  *st;

    if (ngx_lyftr_erasing_add(c, e, 0, NGX_MAX_INT_T_VALUE, err) != NGX_OK
        || (e->leaving.ranked
            && ngx_lyftr_count_write_top(c, &e->leaving.top, err) != NGX_OK))
    {
        return NGX_ERROR;
    }

    st = c->stmt[NGX_LYFTR_SQL_LEAVE];

    (void) sqlite3_bind_int64(st, 1, c->state.floor);
    (void) sqlite3_bind_int64(st, 2, e->leaving.gone);

    if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
        return NGX_ERROR;
    }

    /* a sender's rows are listed later; number is the place in a long list */

    state = (e->kind == NGX_LYFTR_ERASE_FROM) ? 1 : 2;

    if (e->kind == NGX_LYFTR_ERASE_TO && e->at < e->upto) {
        state = 0;
    }

    (void) snprintf(sql, sizeof(sql),
                    "UPDATE lyftr_erase SET state = %d, number = %lld,"
                    " upto = %lld, rows = rows + %lld WHERE id = %lld;"
                    "UPDATE lyftr_state SET erasing = erasing + %lld,"
                    " erased = erased + %lld",
                    (int) state,
                    (long long) (state ? e->number : e->at),
                    (long long) e->upto, (long long) e->rows,
                    (long long) e->id, (long long) e->rows,
                    (long long) e->rows);

    return ngx_lyftr_sqlite_exec(c, sql, err);
}


ngx_int_t
ngx_lyftr_erasing_add(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_uint_t part, ngx_uint_t max, ngx_lyftr_error_t *err)
{
    int64_t       *seq;
    ngx_uint_t     i, n;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_ERASED_ADD];

    seq = (int64_t *) e->seqs.data;
    n = ngx_min(e->seqs.len / sizeof(int64_t) - e->added, max);

    for (i = e->added; i < e->added + n; i++) {
        (void) sqlite3_bind_int64(st, 1, seq[i]);
        (void) sqlite3_bind_int64(st, 2, e->number);
        (void) sqlite3_bind_int64(st, 3, part);

        if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_erasing_run(ngx_lyftr_sqlite_t *c, const char *sql,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_exec(c, sql, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


static void
ngx_lyftr_erasing_reset(ngx_lyftr_erasing_t *e)
{
    ngx_lyftr_leave_free(&e->leaving);

    e->id = 0;
    e->phase = 0;
    e->upto = 0;
    e->rows = 0;
    e->done = 0;
    e->added = 0;
    e->value.len = 0;
    e->seqs.len = 0;
    e->tombs.len = 0;
    e->senders.len = 0;
    e->key.len = 0;
    e->ended = 0;
}


ngx_uint_t
ngx_lyftr_erasing_active(ngx_lyftr_erasing_t *e)
{
    return e->id || e->stage;
}


void
ngx_lyftr_erasing_free(ngx_lyftr_erasing_t *e)
{
    ngx_lyftr_erasing_reset(e);
    ngx_lyftr_compaction_free(&e->compact);

    ngx_lyftr_buf_free(&e->value);
    ngx_lyftr_buf_free(&e->seqs);
    ngx_lyftr_buf_free(&e->tombs);
    ngx_lyftr_buf_free(&e->senders);
    ngx_lyftr_buf_free(&e->key);

    free(e->bits);

    ngx_memzero(e, sizeof(ngx_lyftr_erasing_t));
}


ngx_uint_t
ngx_lyftr_erasing_holds(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e)
{
    return e->id
           && e->phase == NGX_LYFTR_ERASING_BEGIN
           && c->state.counted >= e->upto
           && c->state.indexed >= e->upto;
}


ngx_uint_t
ngx_lyftr_erasing_wants(ngx_lyftr_erasing_t *e, int64_t id)
{
    return e->compact.active && e->compact.segment.id == id;
}

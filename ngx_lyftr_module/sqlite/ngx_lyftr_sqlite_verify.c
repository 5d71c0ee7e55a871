#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_verify.h>
#include <ngx_lyftr_sqlite_senders.h>


/*
 * Looks for damage by reading all there is, and by comparing what is there
 * twice: the trees of the segments, the counts and the log; and the sums that
 * were taken when they were made.
 */

/*
 * Bytes that a row without a segment counts for when the counts are compared:
 * each part of them reads all of these rows anew.
 */
#define NGX_LYFTR_VERIFY_TAIL      64


static ngx_int_t ngx_lyftr_verify_part(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_check_t *check,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_begin(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_check_t *check,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_write(ngx_lyftr_sqlite_t *c, const char *sql,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_version(ngx_lyftr_sqlite_t *c,
    int64_t *version, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_tables(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_extra(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_extra_row(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, sqlite3_stmt *st, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_counts(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_senders(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_senders_t *s,
    ngx_lyftr_top_t *top, ngx_lyftr_error_t *err);
static ngx_uint_t ngx_lyftr_verify_top(ngx_lyftr_top_t *top,
    ngx_str_t *sender, int64_t n);


static ngx_lyftr_verify_pt  ngx_lyftr_verify_steps[] = {
    ngx_lyftr_verify_tables,
    ngx_lyftr_verify_segments,
    ngx_lyftr_verify_tail,
    ngx_lyftr_verify_extra,
    ngx_lyftr_verify_counts,
    ngx_lyftr_verify_search,
    NULL
};


/* each counts what does not fit */

static const char  *ngx_lyftr_verify_faults[] = {

    /* segments follow each other */

    "SELECT (SELECT count(*) FROM"
    " (SELECT first, last, rows, lag(last, 1, floor) OVER (ORDER BY first)"
    " AS before FROM lyftr_segment)"
    " WHERE first <> before OR last <= first OR rows > last - first)"
    " + (indexed <> (SELECT ifnull(max(last), floor) FROM lyftr_segment))"
    " FROM lyftr_state",

    /* the largest senders are counted as the others are */

    "SELECT count(*) FROM lyftr_top AS t LEFT JOIN lyftr_count AS c"
    " ON c.from_msisdn = t.from_msisdn WHERE c.count - CASE"
    " WHEN c.less > 0 AND c.step = (SELECT step FROM lyftr_state)"
    " THEN c.less ELSE 0 END IS NOT t.count",

    /* parts of a level do not overlap, and all of them have no gap */

    "SELECT count(*) FROM"
    " (SELECT first, last, max(last) OVER (PARTITION BY level"
    " ORDER BY first ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    " AS same, max(last) OVER (ORDER BY first, level DESC"
    " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before"
    " FROM lyftr_search WHERE level >= 0)"
    " WHERE last <= first OR first < same OR first > max(ifnull(before, 0),"
    " (SELECT floor FROM lyftr_state))"
    " OR last > (SELECT max(ifnull(max(seq), 0), (SELECT indexed FROM"
    " lyftr_state)) FROM lyftr_message)",

    NULL
};


ngx_int_t
ngx_lyftr_sqlite_verify(void *conn, ngx_lyftr_check_t *check,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    int64_t                     version;
    ngx_int_t                   rc;
    ngx_lyftr_sqlite_verify_t  *v;

    check->read = 0;

    v = c->verify;

    if (v == NULL) {
        v = sqlite3_malloc(sizeof(ngx_lyftr_sqlite_verify_t));
        if (v == NULL) {
            return ngx_lyftr_verify_memory(err);
        }

        ngx_memzero(v, sizeof(ngx_lyftr_sqlite_verify_t));

        c->verify = v;
    }

    /* what nobody has written to is not even looked at */

    if (!v->active && !check->begin) {

        if (ngx_lyftr_verify_version(c, &version, err) != NGX_OK) {
            return NGX_ERROR;
        }

        if (version == v->version) {
            return NGX_DECLINED;
        }
    }

    rc = ngx_lyftr_verify_part(c, v, check, deadline, err);

    if (rc == NGX_ERROR && err->code == NGX_LYFTR_ERR_CORRUPT) {
        (void) snprintf(v->sql, sizeof(v->sql),
                        "UPDATE lyftr_state SET damaged = 1");

    } else if (rc == NGX_DONE && c->state.damaged) {
        (void) snprintf(v->sql, sizeof(v->sql),
                        "UPDATE lyftr_state SET damaged = 0");
    }

    if (v->sql[0]) {

        /* it is told in any case, and kept if that is possible */

        (void) ngx_lyftr_verify_write(c, v->sql, deadline, err);
        v->sql[0] = '\0';
    }

    check->active = v->active;
    check->again = v->again;

    return rc;
}


static ngx_int_t
ngx_lyftr_verify_part(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_check_t *check, ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    v->n = 0;
    v->len = 0;

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_lyftr_segments_read(c, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_verify_begin(c, v, check, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_verify_steps[v->step](c, v, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    /* what is cached would hide what becomes of the file */

    (void) sqlite3_db_release_memory(c->db);

    check->read = v->len;

    if (rc == NGX_DONE && ngx_lyftr_verify_steps[++v->step]) {
        v->begun = 0;
        return NGX_OK;
    }

    if (rc == NGX_DONE || rc == NGX_ERROR) {
        v->active = 0;
        v->again = 0;
        ngx_lyftr_verify_segment_free(v);
    }

    return rc;
}


/*
 * While all is made anew there is nothing to compare, and while rows are erased
 * not everything has them any more.
 */

static ngx_int_t
ngx_lyftr_verify_begin(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_check_t *check, ngx_lyftr_error_t *err)
{
    int64_t  pages, size;

    if (c->state.rebuild || c->state.erase) {
        v->active = 0;
        v->version = 0;
        ngx_lyftr_verify_segment_free(v);

        return NGX_DECLINED;
    }

    if (v->active) {
        return NGX_OK;
    }

    if (ngx_lyftr_verify_version(c, &v->version, err) != NGX_OK
        || ngx_lyftr_sqlite_get(c, "PRAGMA page_count", &pages, err) != NGX_OK
        || ngx_lyftr_sqlite_get(c, "PRAGMA page_size", &size, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (check->known && !check->begin && !c->state.damaged) {
        return NGX_DECLINED;
    }

    check->size = pages * size;
    check->damaged = c->state.damaged;

    v->active = 1;
    v->step = 0;
    v->begun = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_verify_write(ngx_lyftr_sqlite_t *c, const char *sql,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t          rc;
    ngx_lyftr_error_t  ignored;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline,
                                &ignored);

    if (rc == NGX_OK
        && sqlite3_exec(c->db, sql, NULL, NULL, NULL) == SQLITE_OK)
    {
        rc = ngx_lyftr_sqlite_commit(c, &ignored);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


/* it is another one once somebody else has committed */

static ngx_int_t
ngx_lyftr_verify_version(ngx_lyftr_sqlite_t *c, int64_t *version,
    ngx_lyftr_error_t *err)
{
    return ngx_lyftr_sqlite_get(c, "PRAGMA data_version", version, err);
}


static ngx_int_t
ngx_lyftr_verify_tables(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_error_t *err)
{
    int64_t     faults;
    ngx_uint_t  i;

    for (i = 0; ngx_lyftr_verify_faults[i]; i++) {

        if (ngx_lyftr_sqlite_get(c, ngx_lyftr_verify_faults[i], &faults, err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (faults) {
            return ngx_lyftr_index_damaged(err);
        }
    }

    return NGX_DONE;
}


/* what some rows have besides is as it was stored, of rows that are there */

static ngx_int_t
ngx_lyftr_verify_extra(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_error_t *err)
{
    int            rc;
    ngx_int_t      ok;
    sqlite3_stmt  *st;

    if (!v->begun) {
        v->begun = 1;
        v->seq = 0;
    }

    ok = NGX_OK;
    rc = SQLITE_ROW;
    st = c->stmt[NGX_LYFTR_SQL_EXTRAS];

    (void) sqlite3_bind_int64(st, 1, ngx_max(v->seq, c->state.floor));

    while (ok == NGX_OK
           && !ngx_lyftr_verify_full(v)
           && (rc = sqlite3_step(st)) == SQLITE_ROW)
    {
        ok = ngx_lyftr_verify_extra_row(c, v, st, err);
    }

    if (ok == NGX_OK && rc == SQLITE_DONE) {
        ok = NGX_DONE;

    } else if (ok == NGX_OK && rc != SQLITE_ROW) {
        ok = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return ok;
}


/* a file in UTF-16, which only an adopted one is, does not keep all texts */

static ngx_int_t
ngx_lyftr_verify_extra_row(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    sqlite3_stmt *st, ngx_lyftr_error_t *err)
{
    int64_t    exact;
    uint64_t   sum;
    ngx_str_t  type, raw;

    v->seq = sqlite3_column_int64(st, 0);

    ngx_lyftr_sqlite_column(st, 1, &type);
    ngx_lyftr_sqlite_column(st, 2, &raw);

    v->n++;
    v->len += type.len + raw.len + 2 * sizeof(int64_t);

    sum = ngx_lyftr_sqlite_extra_sum(v->seq, &type, &raw);
    exact = 0;

    if (sum != (uint64_t) sqlite3_column_int64(st, 3)
        && ngx_lyftr_sqlite_get(c, "SELECT encoding = 'UTF-8'"
                                   " FROM pragma_encoding", &exact, err)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (exact || sqlite3_column_type(st, 4) == SQLITE_NULL) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_CORRUPT,
                                     "row %lld is damaged",
                                     (long long) v->seq);
    }

    return NGX_OK;
}


/* the counts of senders are those of their entries and rows */

static ngx_int_t
ngx_lyftr_verify_counts(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_error_t *err)
{
    ngx_int_t            rc;
    ngx_str_t            after;
    ngx_lyftr_top_t      top;
    ngx_lyftr_senders_t  s;

    if (ngx_lyftr_sqlite_last(c, err) != NGX_OK) {
        return NGX_ERROR;
    }

    /*
     * The rows without a segment are read once a part; and if the counts fail
     * there are segments that they have not come to.
     */

    if (c->index.last - c->state.indexed > NGX_LYFTR_MOST
        || c->state.counted < c->state.indexed)
    {
        return NGX_DECLINED;
    }

    if (!v->begun) {
        v->begun = 1;
        v->seq = 0;
        v->senders = 0;
        v->before = c->state.senders;
        v->leave = c->state.step;
    }

    after.data = v->sender.data;
    after.len = v->sender.len;

    ngx_memzero(&top, sizeof(ngx_lyftr_top_t));

    rc = ngx_lyftr_senders_open(c, &s, v->seq ? &after : NULL, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_count_top(c, &top, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_verify_senders(c, v, &s, &top, err);
    }

    v->len += (c->index.last - c->state.indexed) * NGX_LYFTR_VERIFY_TAIL;

    ngx_lyftr_senders_close(&s);
    ngx_lyftr_top_free(&top);

    if (rc == NGX_DECLINED) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_CORRUPT,
                                     "the counts of senders are damaged");
    }

    return rc;
}


/*
 * Senders that came meanwhile may have been passed already: so their number is
 * between what it was and what it is, if no rows have left.
 */

static ngx_int_t
ngx_lyftr_verify_senders(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_senders_t *s, ngx_lyftr_top_t *top, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    while ((rc = ngx_lyftr_senders_next(c, s, err)) == NGX_OK) {

        if (s->count == -1 && s->rows == 0) {
            continue;
        }

        if (s->count != s->rows
            || !ngx_lyftr_verify_top(top, &s->sender, s->rows))
        {
            return NGX_DECLINED;
        }

        v->n++;
        v->len += s->sender.len + 2 * sizeof(int64_t);
        v->senders++;

        if (!ngx_lyftr_verify_full(v)) {
            continue;
        }

        v->seq = 1;
        v->sender.len = 0;

        return ngx_lyftr_buf_add(&v->sender, s->sender.data, s->sender.len)
               == NGX_OK ? NGX_OK : ngx_lyftr_verify_memory(err);
    }

    if (rc != NGX_DONE) {
        return rc;
    }

    if (v->leave != c->state.step) {
        return NGX_DONE;
    }

    return v->senders >= ngx_min(v->before, c->state.senders)
           && v->senders <= ngx_max(v->before, c->state.senders)
           ? NGX_DONE : NGX_DECLINED;
}


/* among the largest, if it is one of them */

static ngx_uint_t
ngx_lyftr_verify_top(ngx_lyftr_top_t *top, ngx_str_t *sender, int64_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < top->n; i++) {
        if (ngx_lyftr_key_cmp(top->sender[i].data, top->sender[i].len,
                              sender->data, sender->len)
            == 0)
        {
            return top->count[i] == n;
        }
    }

    if (i < NGX_LYFTR_TOP) {
        return 0;
    }

    i--;

    return n < top->count[i]
           || (n == top->count[i]
               && ngx_lyftr_key_cmp(top->sender[i].data, top->sender[i].len,
                                    sender->data, sender->len)
                  < 0);
}


void
ngx_lyftr_sqlite_verify_free(ngx_lyftr_sqlite_t *c)
{
    ngx_uint_t                  i;
    ngx_lyftr_sqlite_verify_t  *v;

    v = c->verify;

    if (v == NULL) {
        return;
    }

    ngx_lyftr_verify_segment_free(v);
    ngx_lyftr_buf_free(&v->keys);
    ngx_lyftr_buf_free(&v->last);
    ngx_lyftr_buf_free(&v->sender);

    for (i = 0; i < NGX_LYFTR_HEIGHT; i++) {
        ngx_lyftr_buf_free(&v->level[i].data);
        ngx_lyftr_block_free(&v->level[i].block);
    }

    sqlite3_free(v);

    c->verify = NULL;
}

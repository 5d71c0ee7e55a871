#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite.h>


/*
 * The log is the truth: a row is appended, and what it adds to the large
 * indexes follows in steps of many rows, sorted, so that a page of an index is
 * written once for many of them.  Until then the rows are the tail: reads scan
 * it, and the writer knows its ids.
 */

static ngx_int_t ngx_lyftr_sqlite_is(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    int64_t n, ngx_str_t *id, ngx_lyftr_error_t *err);


static ngx_lyftr_sql_e  ngx_lyftr_sqlite_steps[][2] = {
    { NGX_LYFTR_SQL_STEP_ID, NGX_LYFTR_SQL_MARK_ID },
    { NGX_LYFTR_SQL_STEP_TIME, NGX_LYFTR_SQL_MARK_TIME },
    { NGX_LYFTR_SQL_STEP_SENDER, NGX_LYFTR_SQL_MARK_SENDER },
    { NGX_LYFTR_SQL_STEP_COUNT, NGX_LYFTR_SQL_MARK_COUNT }
};


ngx_int_t
ngx_lyftr_sqlite_follow(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int            rc;
    int64_t        mark;
    uint64_t       hash;
    ngx_uint_t     i;
    sqlite3_stmt  *st;

    mark = c->mark[NGX_LYFTR_INDEX_ID];
    st = c->stmt[NGX_LYFTR_SQL_MARKS];

    if (sqlite3_step(st) != SQLITE_ROW) {
        (void) ngx_lyftr_sqlite_error(c, err);
        (void) sqlite3_reset(st);
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_LYFTR_INDEXES; i++) {
        c->mark[i] = sqlite3_column_int64(st, i);
    }

    (void) sqlite3_reset(st);

    if (c->mark[NGX_LYFTR_INDEX_ID] != mark) {
        mark = c->mark[NGX_LYFTR_INDEX_ID];
        c->seen = ngx_max(c->seen, mark);

        ngx_lyftr_sqlite_tail_cut(&c->tail, mark + 1, c->tail.n);
        c->committed = c->tail.n;
    }

    st = c->stmt[NGX_LYFTR_SQL_FOLLOW];

    (void) sqlite3_bind_int64(st, 1, c->seen);

    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        c->seen = sqlite3_column_int64(st, 0);
        hash = (uint64_t) sqlite3_column_int64(st, 1);

        if (ngx_lyftr_sqlite_tail_add(&c->tail, hash, c->seen) != NGX_OK) {
            (void) sqlite3_reset(st);
            return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                         "no memory");
        }
    }

    if (rc != SQLITE_DONE) {
        (void) ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    c->committed = c->tail.n;

    return rc == SQLITE_DONE ? NGX_OK : NGX_ERROR;
}


/* a hash only tells where to look: the ids themselves are compared */

ngx_int_t
ngx_lyftr_sqlite_known(ngx_lyftr_sqlite_t *c, ngx_str_t *id, uint64_t hash,
    ngx_lyftr_error_t *err)
{
    int64_t     seq;
    ngx_int_t   rc;
    ngx_uint_t  slot;

    slot = 0;

    while ((seq = ngx_lyftr_sqlite_tail_find(&c->tail, hash, &slot)) != 0) {
        rc = ngx_lyftr_sqlite_is(c, c->stmt[NGX_LYFTR_SQL_SAME], seq, id, err);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return ngx_lyftr_sqlite_is(c, c->stmt[NGX_LYFTR_SQL_KNOWN],
                               (int64_t) hash, id, err);
}


/* NGX_DECLINED if the statement finds a row */

static ngx_int_t
ngx_lyftr_sqlite_is(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st, int64_t n,
    ngx_str_t *id, ngx_lyftr_error_t *err)
{
    int        rc;
    ngx_int_t  result;

    (void) sqlite3_bind_int64(st, 1, n);

    rc = ngx_lyftr_sqlite_bind(st, 2, id);

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
    }

    switch (rc) {

    case SQLITE_DONE:
        result = NGX_OK;
        break;

    case SQLITE_ROW:
        result = NGX_DECLINED;
        break;

    default:
        result = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);
    (void) sqlite3_clear_bindings(st);

    return result;
}


void
ngx_lyftr_sqlite_unlearn(ngx_lyftr_sqlite_t *c)
{
    if (c->tail.n == c->committed) {
        return;
    }

    ngx_lyftr_sqlite_tail_cut(&c->tail, 0, c->committed);

    c->seen = c->tail.n ? c->tail.rows[c->tail.n - 1].seq
                        : c->mark[NGX_LYFTR_INDEX_ID];
}


ngx_lyftr_index_e
ngx_lyftr_sqlite_behind(ngx_lyftr_sqlite_t *c)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_LYFTR_INDEXES; i++) {
        if (c->seen - c->mark[i] >= NGX_LYFTR_SQLITE_STEP) {
            break;
        }
    }

    return i;
}


ngx_int_t
ngx_lyftr_sqlite_step(ngx_lyftr_sqlite_t *c, ngx_lyftr_index_e index,
    int64_t last, ngx_lyftr_error_t *err)
{
    ngx_uint_t     i;
    sqlite3_stmt  *st;

    for (i = 0; i < 2; i++) {
        st = c->stmt[ngx_lyftr_sqlite_steps[index][i]];

        (void) sqlite3_bind_int64(st, 1, c->mark[index]);
        (void) sqlite3_bind_int64(st, 2, last);

        if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}

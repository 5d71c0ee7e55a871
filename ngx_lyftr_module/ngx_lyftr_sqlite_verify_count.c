#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_verify.h>


/* entries of a sender that are gone through, before the rest is passed over */
#define NGX_LYFTR_VERIFY_WALK      64


/*
 * The counts of senders beside the trees of senders, and the rows that have no
 * segment: all are in one order, so that each entry must be one of the sender
 * whose count is next.
 */

typedef struct {
    ngx_lyftr_cursor_t  *cursors;
    sqlite3_stmt        *counts;           /* sender, count, last row */
    sqlite3_stmt        *tail;             /* sender, counted rows, all rows */
    int                  more;             /* the tail has a row */
    ngx_lyftr_count_t    top;
} ngx_lyftr_verify_count_t;


static ngx_int_t ngx_lyftr_verify_count_open(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_verify_count_t *count,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_count_seek(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_verify_count_t *count,
    ngx_lyftr_error_t *err);
static void ngx_lyftr_verify_count_close(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_verify_count_t *count);
static ngx_int_t ngx_lyftr_verify_count_rows(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_verify_count_t *count,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_sender(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_verify_count_t *count,
    ngx_str_t *sender, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_walk(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_cursor_t *cursor, int64_t *n,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_tail_step(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_verify_count_t *count, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_tail_rows(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_verify_count_t *count, ngx_str_t *sender, int64_t last,
    int64_t *n, ngx_lyftr_error_t *err);
static ngx_uint_t ngx_lyftr_verify_top(ngx_lyftr_verify_count_t *count,
    ngx_str_t *sender, int64_t n);
static ngx_int_t ngx_lyftr_verify_counts_end(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_verify_count_t *count);


ngx_int_t
ngx_lyftr_verify_counts(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_error_t *err)
{
    ngx_int_t                 rc;
    ngx_lyftr_verify_count_t  count;

    if (ngx_lyftr_sqlite_int(c, c->stmt[NGX_LYFTR_SQL_LAST], &c->last, err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* the rows without a segment are read once a part */

    if (c->last - c->state.indexed > NGX_LYFTR_MOST) {
        return NGX_DECLINED;
    }

    if (!v->begun) {
        v->begun = 1;
        v->seq = 0;
        v->senders = 0;
        v->before = c->state.senders;
    }

    rc = ngx_lyftr_verify_count_open(c, v, &count, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_verify_count_rows(c, v, &count, err);
    }

    ngx_lyftr_verify_count_close(c, &count);

    if (rc == NGX_DECLINED) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_CORRUPT,
                                     "the counts of senders are damaged");
    }

    return rc;
}


static ngx_int_t
ngx_lyftr_verify_count_open(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_verify_count_t *count,
    ngx_lyftr_error_t *err)
{
    char        sql[NGX_LYFTR_ERROR_LEN];
    ngx_str_t   sender;

    ngx_memzero(count, sizeof(ngx_lyftr_verify_count_t));

    sender.data = v->sender.data;
    sender.len = v->sender.len;

    (void) snprintf(sql, sizeof(sql),
                    "SELECT from_msisdn, count, last FROM lyftr_count%s"
                    " ORDER BY from_msisdn",
                    v->seq ? " WHERE from_msisdn > ?1" : "");

    if (sqlite3_prepare_v2(c->db, sql, -1, &count->counts, NULL) != SQLITE_OK
        || (v->seq && ngx_lyftr_sqlite_bind(count->counts, 1, &sender)
                      != SQLITE_OK))
    {
        return ngx_lyftr_sqlite_error(c, err);
    }

    (void) snprintf(sql, sizeof(sql),
                    "SELECT from_msisdn, sum(seq <= ?3), count(*)"
                    " FROM lyftr_message WHERE seq > ?1 AND seq <= ?2%s"
                    " GROUP BY from_msisdn ORDER BY from_msisdn",
                    v->seq ? " AND from_msisdn > ?4" : "");

    if (sqlite3_prepare_v2(c->db, sql, -1, &count->tail, NULL) != SQLITE_OK
        || (v->seq && ngx_lyftr_sqlite_bind(count->tail, 4, &sender)
                      != SQLITE_OK))
    {
        return ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_bind_int64(count->tail, 1, c->state.indexed);
    (void) sqlite3_bind_int64(count->tail, 2, ngx_max(c->state.counted,
                                                      c->state.counting));
    (void) sqlite3_bind_int64(count->tail, 3, c->state.counted);

    if (ngx_lyftr_verify_tail_step(c, count, err) != NGX_OK
        || ngx_lyftr_count_top(c, &count->top, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_lyftr_verify_count_seek(c, v, count, err);
}


/* behind all entries of the last sender */

static ngx_int_t
ngx_lyftr_verify_count_seek(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_verify_count_t *count,
    ngx_lyftr_error_t *err)
{
    ngx_int_t    rc;
    ngx_str_t    sender;
    ngx_uint_t   i;

    count->cursors = sqlite3_malloc64((c->nsegments + 1)
                                      * sizeof(ngx_lyftr_cursor_t));

    if (count->cursors == NULL) {
        return ngx_lyftr_verify_memory(err);
    }

    for (i = 0; i < c->nsegments; i++) {
        ngx_lyftr_cursor_init(&count->cursors[i], &c->segments[i],
                              NGX_LYFTR_KIND_SENDER);
    }

    v->keys.len = 0;

    if (v->seq) {
        sender.data = v->sender.data;
        sender.len = v->sender.len;

        if (ngx_lyftr_buf_reserve(&v->keys, 2 * sender.len + 2) != NGX_OK) {
            return ngx_lyftr_verify_memory(err);
        }

        v->keys.len = ngx_lyftr_sqlite_key_sender(v->keys.data, &sender)
                      - v->keys.data;
        v->keys.data[v->keys.len - 1] = 1;
    }

    for (i = 0; i < c->nsegments; i++) {

        rc = v->seq ? ngx_lyftr_cursor_seek(c, &count->cursors[i],
                                            v->keys.data, v->keys.len, err)
                    : ngx_lyftr_cursor_at(c, &count->cursors[i], 0, err);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_lyftr_verify_count_close(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_verify_count_t *count)
{
    ngx_uint_t  i;

    for (i = 0; i < c->nsegments && count->cursors; i++) {
        ngx_lyftr_cursor_free(&count->cursors[i]);
    }

    sqlite3_free(count->cursors);
    ngx_lyftr_count_free(&count->top);

    (void) sqlite3_finalize(count->counts);
    (void) sqlite3_finalize(count->tail);
}


static ngx_int_t
ngx_lyftr_verify_count_rows(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_verify_count_t *count,
    ngx_lyftr_error_t *err)
{
    int        rc;
    ngx_int_t  ok;
    ngx_str_t  sender;

    while ((rc = sqlite3_step(count->counts)) == SQLITE_ROW) {

        ngx_lyftr_sqlite_column(count->counts, 0, &sender);

        ok = ngx_lyftr_verify_sender(c, v, count, &sender, err);

        if (ok != NGX_OK) {
            return ok;
        }

        v->n++;
        v->len += sender.len + 2 * sizeof(int64_t);
        v->senders++;

        if (!ngx_lyftr_verify_full(v)) {
            continue;
        }

        v->seq = 1;
        v->sender.len = 0;

        return ngx_lyftr_buf_add(&v->sender, sender.data, sender.len)
               == NGX_OK ? NGX_OK : ngx_lyftr_verify_memory(err);
    }

    return rc == SQLITE_DONE ? ngx_lyftr_verify_counts_end(c, v, count)
                             : ngx_lyftr_sqlite_error(c, err);
}


static ngx_int_t
ngx_lyftr_verify_sender(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_verify_count_t *count, ngx_str_t *sender,
    ngx_lyftr_error_t *err)
{
    int64_t     n;
    ngx_int_t   rc;
    ngx_uint_t  i;

    v->keys.len = 0;

    if (ngx_lyftr_buf_reserve(&v->keys, 2 * sender->len + 2) != NGX_OK) {
        return ngx_lyftr_verify_memory(err);
    }

    v->keys.len = ngx_lyftr_sqlite_key_sender(v->keys.data, sender)
                  - v->keys.data;
    n = 0;

    for (i = 0; i < c->nsegments; i++) {
        rc = ngx_lyftr_verify_walk(c, v, &count->cursors[i], &n, err);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = ngx_lyftr_verify_tail_rows(c, count, sender,
                                    sqlite3_column_int64(count->counts, 2),
                                    &n, err);

    if (rc != NGX_OK) {
        return rc;
    }

    return n == sqlite3_column_int64(count->counts, 1)
           && ngx_lyftr_verify_top(count, sender, n)
           ? NGX_OK : NGX_DECLINED;
}


/* adds the entries of the sender whose part of a key is in v->keys */

static ngx_int_t
ngx_lyftr_verify_walk(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_cursor_t *cursor, int64_t *n, ngx_lyftr_error_t *err)
{
    int               cmp;
    int64_t           from;
    ngx_int_t         rc;
    ngx_lyftr_buf_t  *key;

    rc = NGX_OK;
    from = cursor->rank;
    key = &cursor->block.key;

    while (rc == NGX_OK && !ngx_lyftr_cursor_end(cursor)) {

        cmp = ngx_lyftr_key_cmp(key->data, ngx_min(key->len, v->keys.len),
                                v->keys.data, v->keys.len);

        if (cmp < 0) {
            /* of a sender that has no count */
            return NGX_DECLINED;
        }

        if (cmp > 0) {
            break;
        }

        if (cursor->rank - from < NGX_LYFTR_VERIFY_WALK) {
            rc = ngx_lyftr_cursor_next(c, cursor, err);
            continue;
        }

        v->keys.data[v->keys.len - 1] = 1;

        rc = ngx_lyftr_cursor_seek(c, cursor, v->keys.data, v->keys.len, err);

        v->keys.data[v->keys.len - 1] = 0;
        break;
    }

    *n += cursor->rank - from;
    v->len += ngx_min(cursor->rank - from, NGX_LYFTR_VERIFY_WALK)
              * sizeof(int64_t);

    return rc;
}


static ngx_int_t
ngx_lyftr_verify_tail_step(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_verify_count_t *count, ngx_lyftr_error_t *err)
{
    int  rc;

    rc = sqlite3_step(count->tail);

    count->more = (rc == SQLITE_ROW);

    return rc == SQLITE_ROW || rc == SQLITE_DONE
           ? NGX_OK : ngx_lyftr_sqlite_error(c, err);
}


/* adds those of the sender; a step of the counts may be under way */

static ngx_int_t
ngx_lyftr_verify_tail_rows(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_verify_count_t *count, ngx_str_t *sender, int64_t last,
    int64_t *n, ngx_lyftr_error_t *err)
{
    int        cmp;
    ngx_str_t  s;

    while (count->more) {

        ngx_lyftr_sqlite_column(count->tail, 0, &s);

        cmp = ngx_lyftr_key_cmp(s.data, s.len, sender->data, sender->len);

        if (cmp > 0) {
            return NGX_OK;
        }

        if (cmp == 0) {
            *n += sqlite3_column_int64(count->tail,
                                       last > c->state.counted ? 2 : 1);

        } else if (sqlite3_column_int64(count->tail, 1)) {
            return NGX_DECLINED;
        }

        if (ngx_lyftr_verify_tail_step(c, count, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* among the largest, if it is one of them */

static ngx_uint_t
ngx_lyftr_verify_top(ngx_lyftr_verify_count_t *count, ngx_str_t *sender,
    int64_t n)
{
    ngx_uint_t          i;
    ngx_lyftr_count_t  *top;

    top = &count->top;

    for (i = 0; i < top->ntop; i++) {
        if (ngx_lyftr_key_cmp(top->sender[i].data, top->sender[i].len,
                              sender->data, sender->len)
            == 0)
        {
            return top->count[i] == n;
        }
    }

    if (i < NGX_LYFTR_TOP_SENDERS) {
        return 0;
    }

    i--;

    return n < top->count[i]
           || (n == top->count[i]
               && ngx_lyftr_key_cmp(top->sender[i].data, top->sender[i].len,
                                    sender->data, sender->len)
                  < 0);
}


/*
 * Nobody is left over.  Senders that came, or went, meanwhile may have been
 * passed already: so their number is between what it was and what it is.
 */

static ngx_int_t
ngx_lyftr_verify_counts_end(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_verify_count_t *count)
{
    ngx_uint_t  i;

    while (count->more) {

        if (sqlite3_column_int64(count->tail, 1)) {
            return NGX_DECLINED;
        }

        count->more = (sqlite3_step(count->tail) == SQLITE_ROW);
    }

    for (i = 0; i < c->nsegments; i++) {
        if (!ngx_lyftr_cursor_end(&count->cursors[i])) {
            return NGX_DECLINED;
        }
    }

    return v->senders >= ngx_min(v->before, c->state.senders)
           && v->senders <= ngx_max(v->before, c->state.senders)
           ? NGX_DONE : NGX_DECLINED;
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_senders.h>


/* entries of a sender that are gone through, before the rest is passed over */
#define NGX_LYFTR_SENDERS_WALK     64


static ngx_int_t ngx_lyftr_senders_seek(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_senders_t *s, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_senders_step(ngx_lyftr_sqlite_t *c,
    sqlite3_stmt *st, ngx_uint_t *more, ngx_lyftr_buf_t *part,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_senders_part(ngx_lyftr_buf_t *part,
    ngx_str_t *sender);
static ngx_int_t ngx_lyftr_senders_least(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_senders_t *s, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_senders_walk(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_senders_t *s, ngx_lyftr_iterator_t *cursor,
    ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_senders_open(ngx_lyftr_sqlite_t *c, ngx_lyftr_senders_t *s,
    ngx_str_t *after, ngx_lyftr_error_t *err)
{
    char  sql[NGX_LYFTR_ERROR_LEN];

    ngx_memzero(s, sizeof(ngx_lyftr_senders_t));

    (void) snprintf(sql, sizeof(sql),
                    "SELECT from_msisdn, count, last, less, step"
                    " FROM lyftr_count%s ORDER BY from_msisdn",
                    after ? " WHERE from_msisdn > ?1" : "");

    if (sqlite3_prepare_v2(c->db, sql, -1, &s->counts, NULL) != SQLITE_OK
        || (after && ngx_lyftr_sqlite_bind(s->counts, 1, after) != SQLITE_OK))
    {
        return ngx_lyftr_sqlite_error(c, err);
    }

    (void) snprintf(sql, sizeof(sql),
                    "SELECT from_msisdn, sum(seq <= ?3), count(*)"
                    " FROM lyftr_message WHERE seq > ?1 AND seq <= ?2%s"
                    " GROUP BY from_msisdn ORDER BY from_msisdn",
                    after ? " AND from_msisdn > ?4" : "");

    if (sqlite3_prepare_v2(c->db, sql, -1, &s->tail, NULL) != SQLITE_OK
        || (after && ngx_lyftr_sqlite_bind(s->tail, 4, after) != SQLITE_OK))
    {
        return ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_bind_int64(s->tail, 1, c->state.indexed);
    (void) sqlite3_bind_int64(s->tail, 2, ngx_max(c->state.counted,
                                                  c->state.counting));
    (void) sqlite3_bind_int64(s->tail, 3, c->state.counted);

    if (after && ngx_lyftr_senders_part(&s->part, after) != NGX_OK) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    if (ngx_lyftr_senders_step(c, s->counts, &s->counted, &s->count_part, err)
        != NGX_OK
        || ngx_lyftr_senders_step(c, s->tail, &s->recent, &s->tail_part, err)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_lyftr_senders_seek(c, s, err);
}


/* behind all entries of the last sender, if there was one */

static ngx_int_t
ngx_lyftr_senders_seek(ngx_lyftr_sqlite_t *c, ngx_lyftr_senders_t *s,
    ngx_lyftr_error_t *err)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    s->cursors = sqlite3_malloc64((c->index.nsegments + 1)
                                  * sizeof(ngx_lyftr_iterator_t));

    if (s->cursors == NULL) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    for (i = 0; i < c->index.nsegments; i++) {
        ngx_lyftr_iterator_init(&s->cursors[i], &c->index.segments[i],
                                NGX_LYFTR_TREE_SENDER);
    }

    s->ncursors = c->index.nsegments;

    if (s->part.len) {
        /* greater than all keys of the sender */
        s->part.data[s->part.len - 1] = 1;
    }

    for (i = 0; i < s->ncursors; i++) {

        rc = s->part.len ? ngx_lyftr_iterator_seek(&c->index, &s->cursors[i],
                                                   s->part.data, s->part.len,
                                                   err)
                         : ngx_lyftr_iterator_at(&c->index, &s->cursors[i], 0,
                                                 err);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_lyftr_senders_close(ngx_lyftr_senders_t *s)
{
    ngx_uint_t  i;

    for (i = 0; i < s->ncursors; i++) {
        ngx_lyftr_iterator_free(&s->cursors[i]);
    }

    sqlite3_free(s->cursors);

    (void) sqlite3_finalize(s->counts);
    (void) sqlite3_finalize(s->tail);

    ngx_lyftr_buf_free(&s->part);
    ngx_lyftr_buf_free(&s->count_part);
    ngx_lyftr_buf_free(&s->tail_part);
    ngx_lyftr_buf_free(&s->buf);
}


static ngx_int_t
ngx_lyftr_senders_step(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    ngx_uint_t *more, ngx_lyftr_buf_t *part, ngx_lyftr_error_t *err)
{
    int        rc;
    ngx_str_t  sender;

    rc = sqlite3_step(st);

    *more = (rc == SQLITE_ROW);

    if (rc == SQLITE_DONE) {
        return NGX_OK;
    }

    if (rc != SQLITE_ROW) {
        return ngx_lyftr_sqlite_error(c, err);
    }

    ngx_lyftr_sqlite_column(st, 0, &sender);

    return ngx_lyftr_senders_part(part, &sender) == NGX_OK
           ? NGX_OK : ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                            "no memory");
}


static ngx_int_t
ngx_lyftr_senders_part(ngx_lyftr_buf_t *part, ngx_str_t *sender)
{
    part->len = 0;

    if (ngx_lyftr_buf_reserve(part, 2 * sender->len + 2) != NGX_OK) {
        return NGX_ERROR;
    }

    part->len = ngx_lyftr_key_sender(part->data, sender) - part->data;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_senders_next(ngx_lyftr_sqlite_t *c, ngx_lyftr_senders_t *s,
    ngx_lyftr_error_t *err)
{
    int64_t     last;
    ngx_int_t   rc;
    ngx_str_t   part;
    ngx_uint_t  i;

    rc = ngx_lyftr_senders_least(c, s, err);

    if (rc != NGX_OK) {
        return rc;
    }

    s->rows = 0;
    s->count = -1;
    last = 0;

    for (i = 0; i < s->ncursors; i++) {
        if (ngx_lyftr_senders_walk(c, s, &s->cursors[i], err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (s->counted
        && ngx_lyftr_key_cmp(s->count_part.data, s->count_part.len,
                             s->part.data, s->part.len)
           == 0)
    {
        s->count = sqlite3_column_int64(s->counts, 1);
        last = sqlite3_column_int64(s->counts, 2);

        if (sqlite3_column_int64(s->counts, 4) == c->state.step) {
            s->count -= sqlite3_column_int64(s->counts, 3);
        }

        /* all that was counted left, and its count is to go */

        if (s->count == 0 && sqlite3_column_int64(s->counts, 3)) {
            s->count = -1;
        }

        if (ngx_lyftr_senders_step(c, s->counts, &s->counted, &s->count_part,
                                   err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    /* a step of the counts may be under way, and have come to this one */

    if (s->recent
        && ngx_lyftr_key_cmp(s->tail_part.data, s->tail_part.len,
                             s->part.data, s->part.len)
           == 0)
    {
        s->rows += sqlite3_column_int64(s->tail,
                                        last > c->state.counted ? 2 : 1);

        if (ngx_lyftr_senders_step(c, s->tail, &s->recent, &s->tail_part, err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    part.data = s->part.data;
    part.len = s->part.len;

    return ngx_lyftr_key_read(&part, &s->buf, &s->sender) == NGX_OK
           ? NGX_OK : ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                            "no memory");
}


/* copies the least part of a key that is next anywhere */

static ngx_int_t
ngx_lyftr_senders_least(ngx_lyftr_sqlite_t *c, ngx_lyftr_senders_t *s,
    ngx_lyftr_error_t *err)
{
    u_char           *p;
    size_t            len, n;
    ngx_uint_t        i;
    ngx_lyftr_buf_t  *key;

    p = NULL;
    len = 0;

    for (i = 0; i < s->ncursors + 2; i++) {

        if (i < s->ncursors) {
            if (ngx_lyftr_iterator_end(&s->cursors[i])) {
                continue;
            }

            key = ngx_lyftr_iterator_key(&s->cursors[i]);
            n = ngx_lyftr_key_part_len(key->data, key->len);

            if (n == 0) {
                return ngx_lyftr_index_damaged(err);
            }

        } else {
            if (!(i == s->ncursors ? s->counted : s->recent)) {
                continue;
            }

            key = (i == s->ncursors) ? &s->count_part : &s->tail_part;
            n = key->len;
        }

        if (p == NULL || ngx_lyftr_key_cmp(key->data, n, p, len) < 0) {
            p = key->data;
            len = n;
        }
    }

    if (p == NULL) {
        return NGX_DONE;
    }

    s->part.len = 0;

    return ngx_lyftr_buf_add(&s->part, p, len) == NGX_OK
           ? NGX_OK : ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                            "no memory");
}


/* adds the entries of the sender */

static ngx_int_t
ngx_lyftr_senders_walk(ngx_lyftr_sqlite_t *c, ngx_lyftr_senders_t *s,
    ngx_lyftr_iterator_t *cursor, ngx_lyftr_error_t *err)
{
    int64_t           from;
    ngx_int_t         rc;
    ngx_lyftr_buf_t  *key;

    rc = NGX_OK;
    from = ngx_lyftr_iterator_rank(cursor);
    key = ngx_lyftr_iterator_key(cursor);

    while (rc == NGX_OK
           && !ngx_lyftr_iterator_end(cursor)
           && ngx_lyftr_key_cmp(key->data, ngx_min(key->len, s->part.len),
                                s->part.data, s->part.len)
              == 0)
    {
        if (ngx_lyftr_iterator_rank(cursor) - from < NGX_LYFTR_SENDERS_WALK) {
            rc = ngx_lyftr_iterator_next(&c->index, cursor, err);
            continue;
        }

        s->part.data[s->part.len - 1] = 1;

        rc = ngx_lyftr_iterator_seek(&c->index, cursor, s->part.data,
                                     s->part.len, err);

        s->part.data[s->part.len - 1] = 0;
        break;
    }

    s->rows += ngx_lyftr_iterator_rank(cursor) - from;

    return rc;
}

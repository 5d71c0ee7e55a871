#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>


/*
 * What the writer knows of ids: those of the recent rows by their hashes, and
 * those of the segments by filters that tell where to look.
 */

static void ngx_lyftr_sqlite_see(ngx_lyftr_sqlite_t *c, int64_t seq,
    size_t len);
static ngx_int_t ngx_lyftr_sqlite_known_segment(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_segment_t *segment, ngx_str_t *id, uint64_t hash,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_same(ngx_lyftr_sqlite_t *c, int64_t seq,
    ngx_str_t *id, ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_sqlite_learn(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_int_t                rc;
    ngx_uint_t               i, n;
    ngx_lyftr_chunk_t       *chunk;
    ngx_lyftr_recent_row_t  *row;

    if (c->seen < c->state.indexed) {
        c->seen = c->state.indexed;
        ngx_lyftr_sqlite_tail_cut(&c->tail, INT64_MAX, 0);

    } else if (c->tail.n && c->tail.rows[0].seq <= c->state.indexed) {
        ngx_lyftr_sqlite_tail_cut(&c->tail, c->state.indexed + 1, c->tail.n);
    }

    c->committed = c->tail.n;

    if (ngx_lyftr_sqlite_follow(c, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (c->last == c->seen) {
        return NGX_OK;
    }

    rc = ngx_lyftr_recent_view(c->recent, &c->view, c->seen & ~(int64_t)
                               (NGX_LYFTR_CHUNK - 1), c->last);

    for (i = 0; i < c->view.nchunks && rc == NGX_OK; i++) {
        chunk = c->view.chunks[i].chunk;

        for (n = 0; n < c->view.chunks[i].n && rc == NGX_OK; n++) {
            row = &chunk->row[n];

            if (row->seq > c->seen) {
                ngx_lyftr_sqlite_see(c, row->seq, row->len);
                rc = ngx_lyftr_sqlite_tail_add(&c->tail, row->hash, row->seq);
            }
        }
    }

    ngx_lyftr_recent_leave(c->recent, &c->view);

    c->committed = c->tail.n;

    return rc == NGX_OK ? NGX_OK
                        : ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                                "no memory");
}


static void
ngx_lyftr_sqlite_see(ngx_lyftr_sqlite_t *c, int64_t seq, size_t len)
{
    if (ngx_lyftr_recent_number(seq) != ngx_lyftr_recent_number(c->seen)) {
        c->weight = 0;
    }

    c->weight += len;
    c->seen = seq;
}


/*
 * All that is kept in memory, and each step of the upkeep, is limited by
 * numbers of rows.  So a row after long ids takes more of them: the places
 * between stay empty.
 */

int64_t
ngx_lyftr_sqlite_number(ngx_lyftr_sqlite_t *c)
{
    if (c->weight < NGX_LYFTR_CHUNK_LEN) {
        return 0;
    }

    return ngx_lyftr_recent_number(c->seen) + NGX_LYFTR_CHUNK + 1;
}


/* a hash only tells where to look: the ids themselves are compared */

ngx_int_t
ngx_lyftr_sqlite_known(ngx_lyftr_sqlite_t *c, ngx_str_t *id, uint64_t hash,
    ngx_lyftr_error_t *err)
{
    int64_t               seq;
    ngx_int_t             rc;
    ngx_uint_t            i, slot;
    ngx_lyftr_segment_t  *segment;

    slot = 0;

    while ((seq = ngx_lyftr_sqlite_tail_find(&c->tail, hash, &slot)) != 0) {
        rc = ngx_lyftr_sqlite_same(c, seq, id, err);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    for (i = 0; i < c->nsegments; i++) {
        segment = &c->segments[i];

        if (!ngx_lyftr_sqlite_filter_has(segment->filter, segment->filter_len,
                                         hash))
        {
            continue;
        }

        rc = ngx_lyftr_sqlite_known_segment(c, segment, id, hash, err);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_sqlite_known_segment(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_segment_t *segment, ngx_str_t *id, uint64_t hash,
    ngx_lyftr_error_t *err)
{
    u_char              key[sizeof(uint64_t)];
    ngx_int_t           rc;
    ngx_lyftr_cursor_t  cursor;

    ngx_lyftr_sqlite_hash_key(key, hash);

    ngx_lyftr_cursor_init(&cursor, segment, NGX_LYFTR_KIND_ID);

    rc = ngx_lyftr_cursor_seek(c, &cursor, key, sizeof(key), err);

    while (rc == NGX_OK
           && !ngx_lyftr_cursor_end(&cursor)
           && ngx_lyftr_key_cmp(cursor.block.key.data, cursor.block.key.len,
                                key, sizeof(key))
              == 0)
    {
        rc = ngx_lyftr_sqlite_same(c, ngx_lyftr_cursor_seq(&cursor), id, err);

        if (rc == NGX_OK) {
            rc = ngx_lyftr_cursor_next(c, &cursor, err);
        }
    }

    ngx_lyftr_cursor_free(&cursor);

    return rc;
}


/* NGX_DECLINED if the row has that id */

static ngx_int_t
ngx_lyftr_sqlite_same(ngx_lyftr_sqlite_t *c, int64_t seq, ngx_str_t *id,
    ngx_lyftr_error_t *err)
{
    int            rc;
    ngx_int_t      result;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_SAME];

    (void) sqlite3_bind_int64(st, 1, seq);

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


ngx_int_t
ngx_lyftr_sqlite_add(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_row_t *row,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_recent_row_t  recent;

    if (ngx_lyftr_sqlite_row_keys(row, &c->keys, &recent) != NGX_OK
        || ngx_lyftr_buf_add(&c->rows, &recent, sizeof(recent)) != NGX_OK
        || ngx_lyftr_sqlite_tail_add(&c->tail, row->hash, row->seq) != NGX_OK)
    {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    ngx_lyftr_sqlite_see(c, row->seq, recent.len);

    return NGX_OK;
}


/*
 * The keys may have moved while their memory grew.  If there is no memory now,
 * the rows are read from the log when somebody follows.
 */

void
ngx_lyftr_sqlite_added(ngx_lyftr_sqlite_t *c)
{
    u_char                  *key;
    ngx_uint_t               i, n;
    ngx_lyftr_recent_row_t  *rows;

    key = c->keys.data;
    rows = (ngx_lyftr_recent_row_t *) c->rows.data;
    n = c->rows.len / sizeof(ngx_lyftr_recent_row_t);

    ngx_lyftr_recent_lock(c->recent);

    for (i = 0; i < n; i++) {
        rows[i].key = key;
        key += rows[i].len;

        if (ngx_lyftr_recent_add(c->recent, &rows[i]) != NGX_OK) {
            break;
        }
    }

    ngx_lyftr_recent_unlock(c->recent);

    c->committed = c->tail.n;
    c->keys.len = 0;
    c->rows.len = 0;
}


void
ngx_lyftr_sqlite_unlearn(ngx_lyftr_sqlite_t *c)
{
    c->keys.len = 0;
    c->rows.len = 0;

    if (c->tail.n == c->committed) {
        return;
    }

    ngx_lyftr_sqlite_tail_cut(&c->tail, 0, c->committed);

    c->seen = c->tail.n ? c->tail.rows[c->tail.n - 1].seq : c->state.indexed;
}

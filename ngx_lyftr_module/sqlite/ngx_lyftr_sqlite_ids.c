#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>
#include <ngx_lyftr_text.h>


/*
 * What the writer knows of ids: those of the recent rows by hashes of a key of
 * its own, and those of the segments by filters that tell where to look.  There
 * the hash is one that a sender can make collide: so ids of one hash are in
 * order, but in segments of a version before.
 */

/* ids of one hash that are compared one by one */
#define NGX_LYFTR_IDS_FEW          4


static void ngx_lyftr_sqlite_see(ngx_lyftr_sqlite_t *c, int64_t seq,
    size_t len);
static ngx_int_t ngx_lyftr_sqlite_known_segment(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_segment_t *segment, ngx_str_t *id, uint64_t hash,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_known_tie(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_iterator_t *cursor, ngx_str_t *id, uint64_t hash,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_id_cmp(ngx_lyftr_sqlite_t *c, int64_t seq,
    ngx_str_t *id, int *cmp, ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_sqlite_ids_refresh(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    uint64_t                 mark;
    ngx_int_t                rc;
    ngx_uint_t               i, n;
    ngx_lyftr_chunk_t       *chunk;
    ngx_lyftr_memtable_row_t  *row;

    if (c->seen < c->state.indexed) {
        c->seen = c->state.indexed;
        ngx_lyftr_sqlite_idset_cut(&c->tail, INT64_MAX, 0);

    } else if (c->tail.n && c->tail.rows[0].seq <= c->state.indexed) {
        ngx_lyftr_sqlite_idset_cut(&c->tail, c->state.indexed + 1, c->tail.n);
    }

    c->committed = c->tail.n;

    if (ngx_lyftr_sqlite_follow(c, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (c->last == c->seen) {
        return NGX_OK;
    }

    rc = ngx_lyftr_memtable_view(c->recent, &c->view, c->seen & ~(int64_t)
                                 (NGX_LYFTR_CHUNK - 1), c->last);

    for (i = 0; i < c->view.nchunks && rc == NGX_OK; i++) {
        chunk = c->view.chunks[i].chunk;

        for (n = 0; n < c->view.chunks[i].n && rc == NGX_OK; n++) {
            row = &chunk->row[n];

            if (row->seq > c->seen) {
                ngx_lyftr_sqlite_see(c, row->seq, row->len);

                mark = ngx_lyftr_siphash(c->secret, row->key + row->id,
                                         row->len - row->id);
                rc = ngx_lyftr_sqlite_idset_add(&c->tail, mark, row->seq);
            }
        }
    }

    ngx_lyftr_memtable_leave(c->recent, &c->view);

    c->committed = c->tail.n;

    return rc == NGX_OK ? NGX_OK
                        : ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                                "no memory");
}


static void
ngx_lyftr_sqlite_see(ngx_lyftr_sqlite_t *c, int64_t seq, size_t len)
{
    if (ngx_lyftr_memtable_number(seq) != ngx_lyftr_memtable_number(c->seen)) {
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

    return ngx_lyftr_memtable_number(c->seen) + NGX_LYFTR_CHUNK + 1;
}


/* hashes only tell where to look: the ids themselves are compared */

ngx_int_t
ngx_lyftr_sqlite_known(ngx_lyftr_sqlite_t *c, ngx_str_t *id, uint64_t hash,
    uint64_t mark, ngx_lyftr_error_t *err)
{
    int                   cmp;
    int64_t               seq;
    ngx_int_t             rc;
    ngx_uint_t            i, slot;
    ngx_lyftr_segment_t  *segment;

    slot = 0;

    while ((seq = ngx_lyftr_sqlite_idset_find(&c->tail, mark, &slot)) != 0) {

        if (ngx_lyftr_sqlite_id_cmp(c, seq, id, &cmp, err) != NGX_OK) {
            return NGX_ERROR;
        }

        if (cmp == 0) {
            return NGX_DECLINED;
        }
    }

    for (i = 0; i < c->nsegments; i++) {
        segment = &c->segments[i];

        if (!ngx_lyftr_filter_has(segment->filter, segment->filter_len,
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
    int                 cmp;
    u_char              key[sizeof(uint64_t)];
    ngx_int_t           rc;
    ngx_uint_t          n;
    ngx_lyftr_iterator_t  cursor;

    ngx_lyftr_sqlite_hash_key(key, hash);

    ngx_lyftr_iterator_init(&cursor, segment, NGX_LYFTR_TREE_ID);

    rc = ngx_lyftr_iterator_seek(c, &cursor, key, sizeof(key), err);

    for (n = 0;
         rc == NGX_OK
         && !ngx_lyftr_iterator_end(&cursor)
         && ngx_lyftr_key_cmp(cursor.block.key.data, cursor.block.key.len,
                              key, sizeof(key))
            == 0;
         n++)
    {
        if (n == NGX_LYFTR_IDS_FEW && segment->ties) {
            rc = ngx_lyftr_sqlite_known_tie(c, &cursor, id, hash, err);
            break;
        }

        rc = ngx_lyftr_sqlite_id_cmp(c, ngx_lyftr_iterator_seq(&cursor), id,
                                     &cmp, err);

        if (rc == NGX_OK) {
            rc = cmp ? ngx_lyftr_iterator_next(c, &cursor, err) : NGX_DECLINED;
        }
    }

    ngx_lyftr_iterator_free(&cursor);

    return rc;
}


/* among those from the cursor on that have the hash, by halves */

static ngx_int_t
ngx_lyftr_sqlite_known_tie(ngx_lyftr_sqlite_t *c, ngx_lyftr_iterator_t *cursor,
    ngx_str_t *id, uint64_t hash, ngx_lyftr_error_t *err)
{
    int        cmp;
    u_char     key[sizeof(uint64_t)];
    int64_t    low, high, rank;

    low = cursor->rank;
    high = cursor->segment->rows;

    if (hash != UINT64_MAX) {
        ngx_lyftr_sqlite_hash_key(key, hash + 1);

        if (ngx_lyftr_iterator_seek(c, cursor, key, sizeof(key), err) != NGX_OK)
        {
            return NGX_ERROR;
        }

        high = cursor->rank;
    }

    while (low < high) {
        rank = low + (high - low) / 2;

        if (ngx_lyftr_iterator_at(c, cursor, rank, err) != NGX_OK
            || ngx_lyftr_sqlite_id_cmp(c, ngx_lyftr_iterator_seq(cursor), id,
                                       &cmp, err)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (cmp == 0) {
            return NGX_DECLINED;
        }

        if (cmp < 0) {
            low = rank + 1;

        } else {
            high = rank;
        }
    }

    return NGX_OK;
}


/* of the id of a row to another */

static ngx_int_t
ngx_lyftr_sqlite_id_cmp(ngx_lyftr_sqlite_t *c, int64_t seq, ngx_str_t *id,
    int *cmp, ngx_lyftr_error_t *err)
{
    if (ngx_lyftr_sqlite_id(c, seq, &c->id, err) != NGX_OK) {
        return NGX_ERROR;
    }

    *cmp = ngx_lyftr_key_cmp(c->id.data, c->id.len, id->data, id->len);

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_sqlite_id(ngx_lyftr_sqlite_t *c, int64_t seq, ngx_lyftr_buf_t *id,
    ngx_lyftr_error_t *err)
{
    ngx_int_t      rc;
    ngx_str_t      of;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_ID];

    (void) sqlite3_bind_int64(st, 1, seq);

    switch (sqlite3_step(st)) {

    case SQLITE_ROW:
        ngx_lyftr_sqlite_column(st, 0, &of);

        id->len = 0;
        rc = ngx_lyftr_buf_add(id, of.data, of.len);

        if (rc != NGX_OK) {
            (void) ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                         "no memory");
        }

        break;

    case SQLITE_DONE:
        rc = ngx_lyftr_sqlite_damaged(err);
        break;

    default:
        rc = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return rc;
}


ngx_int_t
ngx_lyftr_sqlite_add(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_row_t *row,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_memtable_row_t  recent;

    if (ngx_lyftr_sqlite_row_keys(row, &c->keys, &recent) != NGX_OK
        || ngx_lyftr_buf_add(&c->rows, &recent, sizeof(recent)) != NGX_OK
        || ngx_lyftr_sqlite_idset_add(&c->tail, row->mark, row->seq) != NGX_OK)
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
    ngx_lyftr_memtable_row_t  *rows;

    key = c->keys.data;
    rows = (ngx_lyftr_memtable_row_t *) c->rows.data;
    n = c->rows.len / sizeof(ngx_lyftr_memtable_row_t);

    ngx_lyftr_memtable_lock(c->recent);

    for (i = 0; i < n; i++) {
        rows[i].key = key;
        key += rows[i].len;

        if (ngx_lyftr_memtable_add(c->recent, &rows[i]) != NGX_OK) {
            break;
        }
    }

    ngx_lyftr_memtable_unlock(c->recent);

    c->committed = c->tail.n;
    c->keys.len = 0;
    c->rows.len = 0;
}


void
ngx_lyftr_sqlite_ids_forget(ngx_lyftr_sqlite_t *c)
{
    c->keys.len = 0;
    c->rows.len = 0;

    if (c->tail.n == c->committed) {
        return;
    }

    ngx_lyftr_sqlite_idset_cut(&c->tail, 0, c->committed);

    c->seen = c->tail.n ? c->tail.rows[c->tail.n - 1].seq : c->state.indexed;
}

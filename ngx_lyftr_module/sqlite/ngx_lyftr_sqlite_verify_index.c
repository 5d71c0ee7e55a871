#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_verify.h>
#include <ngx_lyftr_message.h>


/*
 * A segment is right if the log still has the rows that it was made of, and
 * each of its trees has the entries that these rows would have today.  Sums
 * tell, so that their order does not matter.
 */

static ngx_int_t ngx_lyftr_verify_next(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v);
static ngx_int_t ngx_lyftr_verify_log(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_row(ngx_lyftr_sqlite_verify_t *v,
    sqlite3_stmt *st, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_sums(ngx_lyftr_sqlite_verify_t *v,
    sqlite3_stmt *st, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_compare(ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_error_t *err);
static void ngx_lyftr_verify_ended(ngx_lyftr_sqlite_verify_t *v);
static ngx_int_t ngx_lyftr_verify_tree(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_begin_tree(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_load(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_uint_t level, int64_t first,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_above(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_uint_t level, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_entries(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_end_tree(ngx_lyftr_sqlite_verify_t *v);
static uint64_t ngx_lyftr_verify_entry(ngx_uint_t kind, u_char *key,
    size_t len, int64_t seq);


ngx_int_t
ngx_lyftr_verify_segments(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (!v->begun) {
        v->begun = 1;
        v->done = 0;
        v->target = c->state.indexed;
    }

    if (ngx_lyftr_verify_next(c, v) != NGX_OK) {
        return NGX_DONE;
    }

    if (v->kind == NGX_LYFTR_TREES) {
        rc = ngx_lyftr_verify_log(c, v, err);

    } else {
        rc = ngx_lyftr_verify_tree(c, v, err);
    }

    if (rc == NGX_DECLINED) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_CORRUPT,
                                     "segment %lld is damaged",
                                     (long long) v->segment.id);
    }

    if (rc != NGX_DONE) {
        return rc;
    }

    if (v->kind == NGX_LYFTR_TREES && v->segment.rows) {
        v->kind = 0;

    } else if (++v->kind >= NGX_LYFTR_TREES) {
        ngx_lyftr_verify_ended(v);
    }

    v->rows = 0;
    v->sum = 0;

    return NGX_OK;
}


/*
 * One that was merged while it was read is read again, in what it has become;
 * then faster, so that it comes to an end however many rows come.
 */

static ngx_int_t
ngx_lyftr_verify_next(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v)
{
    ngx_uint_t            i;
    ngx_lyftr_segment_t  *s;

    for (i = 0; i < c->index.nsegments && v->segment.id; i++) {
        if (c->index.segments[i].id == v->segment.id) {
            return NGX_OK;
        }
    }

    v->again = (v->segment.id != 0);

    ngx_lyftr_verify_segment_free(v);

    for (i = 0; i < c->index.nsegments && v->done < v->target; i++) {
        s = &c->index.segments[i];

        if (s->last <= v->done) {
            continue;
        }

        v->segment = *s;
        v->segment.filter = NULL;
        v->seq = s->first;
        v->kind = NGX_LYFTR_TREES;
        v->rows = 0;
        v->sum = 0;

        ngx_memzero(v->sums, sizeof(v->sums));

        return NGX_OK;
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_lyftr_verify_log(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_error_t *err)
{
    int            rc;
    ngx_int_t      ok;
    sqlite3_stmt  *st;

    ok = NGX_OK;
    rc = SQLITE_ROW;
    st = c->stmt[NGX_LYFTR_SQL_ROWS];

    (void) sqlite3_bind_int64(st, 1, v->seq);
    (void) sqlite3_bind_int64(st, 2, v->segment.last);

    while (ok == NGX_OK
           && !ngx_lyftr_verify_full(v)
           && (rc = sqlite3_step(st)) == SQLITE_ROW)
    {
        ok = ngx_lyftr_verify_row(v, st, err);

        if (ok == NGX_OK) {
            ok = ngx_lyftr_verify_sums(v, st, err);
        }
    }

    if (ok == NGX_OK && rc != SQLITE_ROW && rc != SQLITE_DONE) {
        ok = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return ok == NGX_OK && rc == SQLITE_DONE
           ? ngx_lyftr_verify_compare(v, err) : ok;
}


/* what of a row tells of the rest: the hash of its id, and the instant */

static ngx_int_t
ngx_lyftr_verify_row(ngx_lyftr_sqlite_verify_t *v, sqlite3_stmt *st,
    ngx_lyftr_error_t *err)
{
    int                  i;
    ngx_str_t            ts;
    ngx_uint_t           right;
    ngx_lyftr_instant_t  instant;
    ngx_lyftr_row_t      row;

    ngx_lyftr_sqlite_row(st, &row);
    ngx_lyftr_sqlite_column(st, 6, &ts);

    if (row.text) {
        right = (ts.len == row.instant.len
                 && (ts.len == 0
                     || ngx_memcmp(ts.data, row.instant.data, ts.len) == 0));

    } else {
        right = (ts.data != NULL
                 && ngx_lyftr_instant_parse(ts.data, ts.len, &instant)
                    == NGX_OK
                 && instant.len == row.instant.len
                 && ngx_memcmp(instant.data, row.instant.data, instant.len)
                    == 0);
    }

    for (i = 0; i < sqlite3_column_count(st); i++) {
        v->len += sqlite3_column_bytes(st, i);
    }

    v->n++;
    v->seq = row.seq;

    if (right
        && ngx_lyftr_sqlite_hash(row.message_id.data, row.message_id.len)
           == row.hash)
    {
        return NGX_OK;
    }

    return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_CORRUPT,
                                 "row %lld is damaged", (long long) row.seq);
}


static ngx_int_t
ngx_lyftr_verify_sums(ngx_lyftr_sqlite_verify_t *v, sqlite3_stmt *st,
    ngx_lyftr_error_t *err)
{
    u_char                    *key;
    size_t                     len;
    ngx_uint_t                 kind;
    ngx_lyftr_memtable_row_t   to;
    ngx_lyftr_row_t            row;

    ngx_lyftr_sqlite_row(st, &row);

    v->keys.len = 0;

    if (ngx_lyftr_key_row(&row, &v->keys, &to) != NGX_OK) {
        return ngx_lyftr_verify_memory(err);
    }

    v->rows++;
    v->sum += ngx_lyftr_sqlite_row_sum(st);

    for (kind = 0; kind < NGX_LYFTR_TREES; kind++) {

        key = ngx_lyftr_memtable_key(&to, kind, &len);

        v->sums[kind] += ngx_lyftr_verify_entry(kind, key, len, row.seq);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_verify_compare(ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_error_t *err)
{
    if (v->rows == v->segment.rows
        && (!v->segment.summed || v->sum == v->segment.sum))
    {
        v->segment.sum = v->sum;
        return NGX_DONE;
    }

    return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_CORRUPT,
                                 "rows %lld to %lld are damaged",
                                 (long long) v->segment.first + 1,
                                 (long long) v->segment.last);
}


/* what had no sum gets one, now that it is known to be right */

static void
ngx_lyftr_verify_ended(ngx_lyftr_sqlite_verify_t *v)
{
    if (!v->segment.summed) {
        (void) snprintf(v->sql, sizeof(v->sql),
                        "UPDATE lyftr_segment SET sum = %lld WHERE id = %lld;"
                        "UPDATE lyftr_state SET generation = generation + 1",
                        (long long) v->segment.sum,
                        (long long) v->segment.id);
    }

    v->done = v->segment.last;

    ngx_lyftr_verify_segment_free(v);
}


/* the rows that have no segment yet; those that come meanwhile are left */

ngx_int_t
ngx_lyftr_verify_tail(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_error_t *err)
{
    int            rc;
    ngx_int_t      ok;
    sqlite3_stmt  *st;

    if (!v->begun) {
        v->begun = 1;
        v->seq = ngx_max(v->done, c->state.floor);

        if (ngx_lyftr_sqlite_last(c, err) != NGX_OK) {
            return NGX_ERROR;
        }

        v->target = c->index.last;
    }

    ok = NGX_OK;
    rc = SQLITE_ROW;
    st = c->stmt[NGX_LYFTR_SQL_ROWS];

    (void) sqlite3_bind_int64(st, 1, v->seq);
    (void) sqlite3_bind_int64(st, 2, v->target);

    while (ok == NGX_OK
           && !ngx_lyftr_verify_full(v)
           && (rc = sqlite3_step(st)) == SQLITE_ROW)
    {
        ok = ngx_lyftr_verify_row(v, st, err);
    }

    if (ok == NGX_OK && rc == SQLITE_DONE) {
        ok = NGX_DONE;

    } else if (ok == NGX_OK && rc != SQLITE_ROW) {
        ok = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return ok;
}


ngx_int_t
ngx_lyftr_verify_memory(ngx_lyftr_error_t *err)
{
    return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
}


void
ngx_lyftr_verify_segment_free(ngx_lyftr_sqlite_verify_t *v)
{
    free(v->segment.filter);

    v->segment.filter = NULL;
    v->segment.id = 0;
}


/*
 * The blocks of a tree are read in their order, with the rank and the key of
 * the entry before, and beside them the entries above that stand for them.
 */

static ngx_int_t
ngx_lyftr_verify_tree(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = NGX_OK;

    if (v->rows == 0) {
        rc = ngx_lyftr_verify_begin_tree(c, v, err);
    }

    while (rc == NGX_OK
           && v->rows < v->segment.rows
           && !ngx_lyftr_verify_full(v))
    {
        rc = ngx_lyftr_verify_load(c, v, 0, v->rows, err);

        if (rc == NGX_OK) {
            rc = ngx_lyftr_verify_entries(c, v, err);
        }
    }

    if (rc != NGX_OK || v->rows < v->segment.rows) {
        return rc;
    }

    return ngx_lyftr_verify_end_tree(v);
}


static ngx_int_t
ngx_lyftr_verify_begin_tree(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_error_t *err)
{
    ngx_uint_t                 i;
    ngx_lyftr_verify_level_t  *l;

    if (ngx_lyftr_iterator_height(&c->index, &v->segment, v->kind, err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (v->segment.height[v->kind] < 1
        || v->segment.height[v->kind] > NGX_LYFTR_HEIGHT)
    {
        return NGX_DECLINED;
    }

    v->last.len = 0;

    for (i = 0; i < NGX_LYFTR_HEIGHT; i++) {
        l = &v->level[i];

        l->n = 0;
        l->data.len = 0;
        l->block.key.len = 0;
        l->block.p = NULL;
        l->block.last = NULL;
    }

    /* as it is stored, since ids that it does not have would be new ones */

    return v->kind == NGX_LYFTR_TREE_ID && v->segment.filter == NULL
           ? ngx_lyftr_filter_load(&c->index, &v->segment, err) : NGX_OK;
}


/* the next block of a level, which must begin with that number */

static ngx_int_t
ngx_lyftr_verify_load(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_uint_t level, int64_t first, ngx_lyftr_error_t *err)
{
    int64_t                    no;
    ngx_int_t                  rc;
    ngx_lyftr_verify_level_t  *l;

    l = &v->level[level];

    no = ngx_lyftr_block_no(v->segment.id, v->kind, level, l->n);

    rc = c->index.holder->read(c, NGX_LYFTR_BLOCKS_TREE, no, &l->data, err);

    if (rc != NGX_OK) {
        return rc;
    }

    v->n++;
    v->len += l->data.len;
    l->n++;

    return ngx_lyftr_block_open(&l->block, l->data.data, l->data.len) == NGX_OK
           && l->block.first == first
           ? NGX_OK : NGX_DECLINED;
}


/*
 * The entry for the block of the level below that was loaded: its key is one
 * between the last entry before that block and the first one in it.
 */

static ngx_int_t
ngx_lyftr_verify_above(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_uint_t level, ngx_lyftr_error_t *err)
{
    size_t              len;
    int64_t             n;
    ngx_int_t           rc;
    ngx_lyftr_block_t  *block, *first;

    n = v->level[level - 1].n - 1;

    if (level == v->segment.height[v->kind]) {
        return n == 0 ? NGX_OK : NGX_DECLINED;
    }

    first = &v->level[0].block;
    block = &v->level[level].block;

    rc = ngx_lyftr_block_next(block);

    if (rc == NGX_DONE) {
        rc = ngx_lyftr_verify_load(c, v, level, n, err);

        if (rc == NGX_OK) {
            rc = ngx_lyftr_verify_above(c, v, level + 1, err);
        }

        if (rc != NGX_OK) {
            return rc;
        }

        rc = ngx_lyftr_block_next(block);
    }

    if (rc == NGX_ERROR) {
        return ngx_lyftr_verify_memory(err);
    }

    /* of one that may be cut, so much is known */

    len = (block->key.len == NGX_LYFTR_SEPARATOR)
          ? ngx_min(v->last.len, NGX_LYFTR_SEPARATOR) : v->last.len;

    return rc == NGX_OK
           && block->value == v->rows
           && ngx_lyftr_key_cmp(block->key.data, block->key.len,
                                first->key.data, first->key.len)
              <= 0
           && ngx_lyftr_key_cmp(block->key.data, block->key.len,
                                v->last.data, len)
              >= 0
           ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_lyftr_verify_entries(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_error_t *err)
{
    uint64_t              hash;
    ngx_int_t             rc;
    ngx_uint_t            n;
    ngx_lyftr_block_t    *block;
    ngx_lyftr_segment_t  *s;

    s = &v->segment;
    block = &v->level[0].block;

    for (n = 0; (rc = ngx_lyftr_block_next(block)) == NGX_OK; n++) {

        if (n == 0) {
            rc = ngx_lyftr_verify_above(c, v, 1, err);

            if (rc != NGX_OK) {
                return rc;
            }
        }

        if (ngx_lyftr_key_cmp(v->last.data, v->last.len, block->key.data,
                              block->key.len)
            > 0
            || block->value < 1
            || block->value > s->last - s->first)
        {
            return NGX_DECLINED;
        }

        if (v->kind == NGX_LYFTR_TREE_ID) {

            if (block->key.len != sizeof(hash)) {
                return NGX_DECLINED;
            }

            ngx_memcpy(&hash, block->key.data, sizeof(hash));

            if (!ngx_lyftr_filter_has(s->filter, s->filter_len,
                                      be64toh(hash)))
            {
                return NGX_DECLINED;
            }
        }

        v->rows++;
        v->sum += ngx_lyftr_verify_entry(v->kind, block->key.data,
                                         block->key.len,
                                         s->first + block->value);
        v->last.len = 0;

        if (ngx_lyftr_buf_add(&v->last, block->key.data, block->key.len)
            != NGX_OK)
        {
            return ngx_lyftr_verify_memory(err);
        }
    }

    if (rc == NGX_ERROR) {
        return ngx_lyftr_verify_memory(err);
    }

    return rc == NGX_DONE && n ? NGX_OK : NGX_DECLINED;
}


/* all entries above have been met, and the entries are those of the rows */

static ngx_int_t
ngx_lyftr_verify_end_tree(ngx_lyftr_sqlite_verify_t *v)
{
    ngx_uint_t  i;

    for (i = 1; i < v->segment.height[v->kind]; i++) {
        if (ngx_lyftr_block_next(&v->level[i].block) != NGX_DONE) {
            return NGX_DECLINED;
        }
    }

    return v->rows == v->segment.rows && v->sum == v->sums[v->kind]
           ? NGX_DONE : NGX_DECLINED;
}


static uint64_t
ngx_lyftr_verify_entry(ngx_uint_t kind, u_char *key, size_t len, int64_t seq)
{
    return ngx_lyftr_checksum(((uint64_t) seq << 2) + kind, key, len);
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_verify.h>


/*
 * The blocks of a tree are read in their order, with the rank and the key of
 * the entry before, and beside them the entries above that stand for them.
 */

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


ngx_int_t
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
           ? ngx_lyftr_segment_filter(c, &v->segment, err) : NGX_OK;
}


/* the next block of a level, which must begin with that number */

static ngx_int_t
ngx_lyftr_verify_load(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_uint_t level, int64_t first, ngx_lyftr_error_t *err)
{
    int                        rc;
    size_t                     len;
    ngx_int_t                  ok;
    sqlite3_stmt              *st;
    ngx_lyftr_verify_level_t  *l;

    l = &v->level[level];
    st = c->stmt[NGX_LYFTR_SQL_BLOCK];

    (void) sqlite3_bind_int64(st, 1,
                              ngx_lyftr_sqlite_block_no(v->segment.id, v->kind,
                                                        level, l->n));

    ok = NGX_OK;
    rc = sqlite3_step(st);

    if (rc == SQLITE_DONE) {
        ok = NGX_DECLINED;

    } else if (rc != SQLITE_ROW) {
        ok = ngx_lyftr_sqlite_error(c, err);

    } else {
        len = sqlite3_column_bytes(st, 0);

        v->n++;
        v->len += len;
        l->data.len = 0;

        if (ngx_lyftr_buf_add(&l->data, sqlite3_column_blob(st, 0), len)
            != NGX_OK)
        {
            ok = ngx_lyftr_verify_memory(err);
        }
    }

    (void) sqlite3_reset(st);

    if (ok != NGX_OK) {
        return ok;
    }

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


uint64_t
ngx_lyftr_verify_entry(ngx_uint_t kind, u_char *key, size_t len, int64_t seq)
{
    return ngx_lyftr_checksum(((uint64_t) seq << 2) + kind, key, len);
}

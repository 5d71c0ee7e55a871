#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_index.h>


/*
 * A tree of a segment has its entries in the blocks of level 0.  An entry of a
 * level above stands for a block below: its key, a separator, is one that is
 * not greater than the first there, nor less than any before it; its number is
 * the rank of the first entry there.  The number of a block is that of the
 * first below.  The highest level has one block.
 *
 * A separator that would be longer than NGX_LYFTR_SEPARATOR is cut there, so
 * one of that length may be less than keys before it: where a key that is
 * looked for begins with it, the first key of the block below decides.  In
 * trees of before there are longer ones, which are whole.
 */

static ngx_int_t ngx_lyftr_iterator_load(ngx_lyftr_index_t *index,
    ngx_lyftr_iterator_t *cursor, ngx_uint_t level, int64_t n,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_iterator_descend(ngx_lyftr_index_t *index,
    ngx_lyftr_iterator_t *cursor, u_char *key, size_t len, int64_t rank,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_iterator_below(ngx_lyftr_index_t *index,
    ngx_lyftr_iterator_t *cursor, ngx_uint_t level, u_char *key, size_t len,
    int64_t low, int64_t high, int64_t *n, ngx_lyftr_error_t *err);
static int ngx_lyftr_iterator_cmp(ngx_lyftr_block_t *block, u_char *key,
    size_t len, ngx_uint_t *cut);
static ngx_int_t ngx_lyftr_iterator_walk(ngx_lyftr_iterator_t *cursor,
    int64_t rank, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_iterator_step(ngx_lyftr_iterator_t *cursor,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_iterator_fail(ngx_int_t rc, ngx_lyftr_error_t *err);


void
ngx_lyftr_iterator_init(ngx_lyftr_iterator_t *cursor,
    ngx_lyftr_segment_t *segment, ngx_lyftr_tree_e kind)
{
    ngx_memzero(cursor, sizeof(ngx_lyftr_iterator_t));

    cursor->segment = segment;
    cursor->kind = kind;
}


void
ngx_lyftr_iterator_free(ngx_lyftr_iterator_t *cursor)
{
    ngx_lyftr_buf_free(&cursor->data);
    ngx_lyftr_block_free(&cursor->block);
}


ngx_int_t
ngx_lyftr_iterator_seek(ngx_lyftr_index_t *index, ngx_lyftr_iterator_t *cursor,
    u_char *key, size_t len, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (cursor->segment->rows == 0) {
        cursor->rank = 0;
        return NGX_OK;
    }

    if (ngx_lyftr_iterator_descend(index, cursor, key, len, 0, err) != NGX_OK) {
        return NGX_ERROR;
    }

    cursor->rank = cursor->block.first;

    for ( ;; ) {
        rc = ngx_lyftr_iterator_step(cursor, err);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_DONE) {
            cursor->rank--;
            return ngx_lyftr_iterator_next(index, cursor, err);
        }

        if (ngx_lyftr_key_cmp(cursor->block.key.data, cursor->block.key.len,
                              key, len)
            >= 0)
        {
            return NGX_OK;
        }

        cursor->rank++;
    }
}


ngx_int_t
ngx_lyftr_iterator_at(ngx_lyftr_index_t *index, ngx_lyftr_iterator_t *cursor,
    int64_t rank, ngx_lyftr_error_t *err)
{
    if (rank >= cursor->segment->rows) {
        cursor->rank = cursor->segment->rows;
        return NGX_OK;
    }

    if (ngx_lyftr_iterator_descend(index, cursor, NULL, 0, rank,
                                   err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_lyftr_iterator_walk(cursor, rank, err);
}


/* to the entry of a rank, in the block that has it */

static ngx_int_t
ngx_lyftr_iterator_walk(ngx_lyftr_iterator_t *cursor, int64_t rank,
    ngx_lyftr_error_t *err)
{
    for (cursor->rank = cursor->block.first; /* void */ ; cursor->rank++) {

        if (cursor->rank > rank
            || ngx_lyftr_iterator_step(cursor, err) != NGX_OK)
        {
            return ngx_lyftr_index_damaged(err);
        }

        if (cursor->rank == rank) {
            return NGX_OK;
        }
    }
}


ngx_int_t
ngx_lyftr_iterator_next(ngx_lyftr_index_t *index, ngx_lyftr_iterator_t *cursor,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    cursor->rank++;

    if (ngx_lyftr_iterator_end(cursor)) {
        return NGX_OK;
    }

    rc = ngx_lyftr_iterator_step(cursor, err);

    if (rc != NGX_DONE) {
        return rc;
    }

    if (ngx_lyftr_iterator_load(index, cursor, 0, cursor->number + 1, err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_lyftr_iterator_step(cursor, err) == NGX_OK
           && cursor->block.first == cursor->rank
           ? NGX_OK : ngx_lyftr_index_damaged(err);
}


ngx_int_t
ngx_lyftr_iterator_prev(ngx_lyftr_index_t *index, ngx_lyftr_iterator_t *cursor,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    /* at the end it may be in no block */

    if (ngx_lyftr_iterator_end(cursor)) {
        return ngx_lyftr_iterator_last(index, cursor, err);
    }

    if (cursor->rank <= 0) {
        cursor->rank = -1;
        return NGX_OK;
    }

    rc = ngx_lyftr_block_prev(&cursor->block);

    if (rc == NGX_OK) {
        cursor->rank--;
        return NGX_OK;
    }

    if (rc != NGX_DONE) {
        return ngx_lyftr_iterator_fail(rc, err);
    }

    if (ngx_lyftr_iterator_load(index, cursor, 0, cursor->number - 1, err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_lyftr_block_last(&cursor->block);

    if (rc == NGX_ERROR) {
        return ngx_lyftr_index_memory(err);
    }

    cursor->rank--;

    return rc == NGX_OK
           && cursor->block.first + (int64_t) cursor->block.n - 1
              == cursor->rank
           ? NGX_OK : ngx_lyftr_index_damaged(err);
}


ngx_int_t
ngx_lyftr_iterator_last(ngx_lyftr_index_t *index, ngx_lyftr_iterator_t *cursor,
    ngx_lyftr_error_t *err)
{
    if (cursor->segment->rows == 0) {
        cursor->rank = -1;
        return NGX_OK;
    }

    return ngx_lyftr_iterator_at(index, cursor, cursor->segment->rows - 1, err);
}


ngx_int_t
ngx_lyftr_iterator_before(ngx_lyftr_index_t *index,
    ngx_lyftr_iterator_t *cursor, u_char *key, size_t len,
    ngx_lyftr_error_t *err)
{
    if (ngx_lyftr_iterator_seek(index, cursor, key, len, err) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_lyftr_iterator_prev(index, cursor, err);
}


/* each level has a first block */

ngx_int_t
ngx_lyftr_iterator_height(ngx_lyftr_index_t *index,
    ngx_lyftr_segment_t *segment, ngx_lyftr_tree_e kind,
    ngx_lyftr_error_t *err)
{
    ngx_int_t        rc;
    ngx_uint_t       n;
    ngx_lyftr_buf_t  buf;

    if (segment->height[kind] != NGX_LYFTR_HEIGHT_UNKNOWN) {
        return NGX_OK;
    }

    rc = NGX_OK;
    ngx_memzero(&buf, sizeof(ngx_lyftr_buf_t));

    for (n = 0; n < NGX_LYFTR_HEIGHT; n++) {
        rc = index->holder->read(index->data, NGX_LYFTR_BLOCKS_TREE,
                                 ngx_lyftr_block_no(segment->id, kind, n, 0),
                                 &buf, err);
        if (rc != NGX_OK) {
            break;
        }
    }

    ngx_lyftr_buf_free(&buf);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    segment->height[kind] = n;

    return NGX_OK;
}


/*
 * To the block of level 0 that has the rank, before its entries; or to the one
 * that has the key, or ends before it: equal keys may be in several blocks.
 */

static ngx_int_t
ngx_lyftr_iterator_descend(ngx_lyftr_index_t *index,
    ngx_lyftr_iterator_t *cursor, u_char *key, size_t len, int64_t rank,
    ngx_lyftr_error_t *err)
{
    int64_t             n, below, high;
    ngx_int_t           rc;
    ngx_uint_t          level, cut;
    ngx_lyftr_block_t  *block;

    if (ngx_lyftr_iterator_height(index, cursor->segment, cursor->kind, err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    n = 0;
    block = &cursor->block;

    for (level = cursor->segment->height[cursor->kind]; level-- > 0; ) {

        if (ngx_lyftr_iterator_load(index, cursor, level, n, err) != NGX_OK) {
            return NGX_ERROR;
        }

        if (level == 0) {
            return NGX_OK;
        }

        n = block->first;
        high = n;

        for (below = n; /* void */ ; below++) {
            rc = ngx_lyftr_iterator_step(cursor, err);

            if (rc == NGX_ERROR) {
                return NGX_ERROR;
            }

            cut = 0;

            if (rc == NGX_DONE
                || (key ? ngx_lyftr_iterator_cmp(block, key, len, &cut) >= 0
                        : block->value > rank))
            {
                break;
            }

            high = below;
            n = cut ? n : below;
        }

        if (ngx_lyftr_iterator_below(index, cursor, level - 1, key, len, n,
                                     high, &n,
                                     err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_lyftr_index_damaged(err);
}


/* of the separator to the key; one that is cut is less, as far as is known */

static int
ngx_lyftr_iterator_cmp(ngx_lyftr_block_t *block, u_char *key, size_t len,
    ngx_uint_t *cut)
{
    *cut = (block->key.len == NGX_LYFTR_SEPARATOR
            && len >= NGX_LYFTR_SEPARATOR
            && ngx_memcmp(block->key.data, key, NGX_LYFTR_SEPARATOR) == 0);

    return *cut ? -1
                : ngx_lyftr_key_cmp(block->key.data, block->key.len, key, len);
}


/* the last of the blocks whose first key is less, or the lowest if none is */

static ngx_int_t
ngx_lyftr_iterator_below(ngx_lyftr_index_t *index,
    ngx_lyftr_iterator_t *cursor, ngx_uint_t level, u_char *key, size_t len,
    int64_t low, int64_t high, int64_t *n, ngx_lyftr_error_t *err)
{
    int64_t     at, first;
    ngx_uint_t  l;

    while (low < high) {
        at = low + (high - low + 1) / 2;
        first = at;

        for (l = level + 1; l-- > 0; first = cursor->block.first) {
            if (ngx_lyftr_iterator_load(index, cursor, l, first,
                                        err)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }

        if (ngx_lyftr_iterator_step(cursor, err) != NGX_OK) {
            return ngx_lyftr_index_damaged(err);
        }

        if (ngx_lyftr_key_cmp(cursor->block.key.data, cursor->block.key.len,
                              key, len)
            < 0)
        {
            low = at;

        } else {
            high = at - 1;
        }
    }

    *n = low;

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_iterator_load(ngx_lyftr_index_t *index, ngx_lyftr_iterator_t *cursor,
    ngx_uint_t level, int64_t n, ngx_lyftr_error_t *err)
{
    int64_t    no;
    ngx_int_t  rc;

    no = ngx_lyftr_block_no(cursor->segment->id, cursor->kind, level, n);

    rc = index->holder->read(index->data, NGX_LYFTR_BLOCKS_TREE, no,
                             &cursor->data, err);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? ngx_lyftr_index_damaged(err) : NGX_ERROR;
    }

    cursor->number = n;

    return ngx_lyftr_block_open(&cursor->block, cursor->data.data,
                                cursor->data.len)
           == NGX_OK ? NGX_OK : ngx_lyftr_index_damaged(err);
}


static ngx_int_t
ngx_lyftr_iterator_step(ngx_lyftr_iterator_t *cursor, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_block_next(&cursor->block);

    return rc == NGX_OK || rc == NGX_DONE ? rc
                                          : ngx_lyftr_iterator_fail(rc, err);
}


/* what a block has said, as an error */

static ngx_int_t
ngx_lyftr_iterator_fail(ngx_int_t rc, ngx_lyftr_error_t *err)
{
    return rc == NGX_DECLINED
           ? ngx_lyftr_index_damaged(err)
           : ngx_lyftr_index_memory(err);
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_index.h>


/* entries of a sender that are gone through, before the rest is passed over */
#define NGX_LYFTR_TALLY_WALK       64


static ngx_uint_t ngx_lyftr_tally_same(ngx_lyftr_tally_t *tally);
static ngx_int_t ngx_lyftr_tally_pass(ngx_lyftr_index_t *index,
    ngx_lyftr_tally_t *tally, ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_tally_begin(ngx_lyftr_index_t *index, ngx_lyftr_tally_t *tally,
    ngx_lyftr_segment_t *segment, int64_t last, ngx_lyftr_error_t *err)
{
    ngx_lyftr_tally_free(tally);

    tally->last = last;
    tally->whole = (last >= segment->last);

    ngx_lyftr_iterator_init(&tally->cursor, segment, NGX_LYFTR_TREE_SENDER);

    return ngx_lyftr_iterator_at(index, &tally->cursor, 0, err);
}


ngx_int_t
ngx_lyftr_tally_next(ngx_lyftr_index_t *index, ngx_lyftr_tally_t *tally,
    ngx_uint_t max, ngx_str_t *sender, int64_t *rows, ngx_lyftr_error_t *err)
{
    size_t                 len;
    int64_t                from;
    ngx_str_t              part;
    ngx_uint_t             n;
    ngx_lyftr_buf_t       *key;
    ngx_lyftr_iterator_t  *cursor;

    cursor = &tally->cursor;
    key = &cursor->block.key;

    if (tally->part.len == 0) {

        if (ngx_lyftr_iterator_end(cursor)) {
            return NGX_DONE;
        }

        len = ngx_lyftr_key_part_len(key->data, key->len);

        if (len == 0) {
            return ngx_lyftr_index_damaged(err);
        }

        tally->rows = 0;

        if (ngx_lyftr_buf_add(&tally->part, key->data, len) != NGX_OK) {
            return ngx_lyftr_index_memory(err);
        }
    }

    for (n = 0, from = cursor->rank; ngx_lyftr_tally_same(tally); n++) {

        if (tally->whole && cursor->rank - from == NGX_LYFTR_TALLY_WALK) {
            if (ngx_lyftr_tally_pass(index, tally, err) != NGX_OK) {
                return NGX_ERROR;
            }

            continue;
        }

        if (n == max) {
            return NGX_AGAIN;
        }

        tally->rows += (ngx_lyftr_iterator_seq(cursor) <= tally->last);

        if (ngx_lyftr_iterator_next(index, cursor, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    part.data = tally->part.data;
    part.len = tally->part.len;
    tally->part.len = 0;

    if (ngx_lyftr_key_read(&part, &tally->sender, sender) != NGX_OK) {
        return ngx_lyftr_index_memory(err);
    }

    *rows = tally->rows;

    return NGX_OK;
}


/* is the entry one of the sender that is being counted? */

static ngx_uint_t
ngx_lyftr_tally_same(ngx_lyftr_tally_t *tally)
{
    ngx_lyftr_buf_t  *key;

    key = &tally->cursor.block.key;

    return !ngx_lyftr_iterator_end(&tally->cursor)
           && key->len >= tally->part.len
           && ngx_memcmp(key->data, tally->part.data, tally->part.len) == 0;
}


/* behind the last entry of the sender */

static ngx_int_t
ngx_lyftr_tally_pass(ngx_lyftr_index_t *index, ngx_lyftr_tally_t *tally,
    ngx_lyftr_error_t *err)
{
    int64_t           from;
    ngx_int_t         rc;
    ngx_lyftr_buf_t  *part;

    part = &tally->part;
    from = tally->cursor.rank;

    part->data[part->len - 1] = 1;

    rc = ngx_lyftr_iterator_seek(index, &tally->cursor, part->data, part->len,
                                 err);

    part->data[part->len - 1] = 0;

    tally->rows += tally->cursor.rank - from;

    return rc;
}


void
ngx_lyftr_tally_free(ngx_lyftr_tally_t *tally)
{
    ngx_lyftr_iterator_free(&tally->cursor);
    ngx_lyftr_buf_free(&tally->part);
    ngx_lyftr_buf_free(&tally->sender);

    ngx_memzero(tally, sizeof(ngx_lyftr_tally_t));
}

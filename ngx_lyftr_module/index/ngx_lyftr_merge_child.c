#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_index.h>


static ngx_int_t ngx_lyftr_merge_child_seek(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_child_t *source, ngx_str_t *key, int64_t *rank,
    ngx_lyftr_error_t *err);


void
ngx_lyftr_merge_child_segment(ngx_lyftr_merge_child_t *source,
    ngx_lyftr_segment_t *segment, ngx_lyftr_tree_e kind)
{
    source->rows = segment->rows;
    source->most = segment->rows;
    source->high = segment->rows;

    ngx_lyftr_iterator_init(&source->cursor, segment, kind);
}


ngx_int_t
ngx_lyftr_merge_child_chunk(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_child_t *source, ngx_lyftr_view_chunk_t *part,
    ngx_lyftr_tree_e kind, ngx_lyftr_error_t *err)
{
    source->cursor.kind = kind;
    source->row = part->row;
    source->rows = part->n;
    source->most = part->n;
    source->high = part->n;

    source->order = ngx_lyftr_memtable_order(index->memtable, part, kind,
                                             &source->own);

    return source->order ? NGX_OK
                         : ngx_lyftr_index_memory(err);
}


ngx_int_t
ngx_lyftr_merge_child_bound(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_child_t *source, ngx_str_t *key, int64_t *rank,
    ngx_lyftr_error_t *err)
{
    size_t    len;
    u_char   *p;
    int64_t   low, high, n;

    if (source->row == NULL) {
        return ngx_lyftr_merge_child_seek(index, source, key, rank, err);
    }

    low = 0;
    high = source->rows;

    while (low < high) {
        n = (low + high) / 2;

        p = ngx_lyftr_memtable_key(&source->row[source->order[n]],
                                   source->cursor.kind, &len);

        if (ngx_lyftr_key_cmp(p, len, key->data, key->len) < 0) {
            low = n + 1;

        } else {
            high = n;
        }
    }

    *rank = low;

    return NGX_OK;
}


/* of a part of a tree, keys have not the beginning that all have there */

static ngx_int_t
ngx_lyftr_merge_child_seek(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_child_t *source, ngx_str_t *key, int64_t *rank,
    ngx_lyftr_error_t *err)
{
    ngx_str_t  whole;

    whole = *key;

    if (source->part.len) {
        source->whole.len = 0;

        if (ngx_lyftr_buf_add(&source->whole, source->part.data,
                              source->part.len)
            != NGX_OK
            || ngx_lyftr_buf_add(&source->whole, key->data, key->len)
               != NGX_OK)
        {
            return ngx_lyftr_index_memory(err);
        }

        whole.data = source->whole.data;
        whole.len = source->whole.len;
    }

    if (ngx_lyftr_iterator_seek(index, &source->cursor, whole.data, whole.len,
                                err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    source->placed = 1;
    *rank = source->cursor.rank;

    if (*rank < 0 || *rank > source->rows) {
        return ngx_lyftr_index_damaged(err);
    }

    *rank = ngx_max(*rank, source->least);
    *rank = ngx_min(*rank, source->most);

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_merge_child_load(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_child_t *source, int64_t rank, ngx_lyftr_error_t *err)
{
    ngx_int_t                  rc;
    ngx_lyftr_iterator_t      *cursor;
    ngx_lyftr_memtable_row_t  *row;

    if (source->row) {
        row = &source->row[source->order[rank]];

        source->key.data = ngx_lyftr_memtable_key(row, source->cursor.kind,
                                                  &source->key.len);
        source->seq = row->seq;

        return NGX_OK;
    }

    cursor = &source->cursor;

    rc = NGX_OK;

    if (source->placed && rank == cursor->rank + 1) {
        rc = ngx_lyftr_iterator_next(index, cursor, err);

    } else if (source->placed && rank == cursor->rank - 1) {
        rc = ngx_lyftr_iterator_prev(index, cursor, err);

    } else if (!source->placed || rank != cursor->rank) {
        rc = ngx_lyftr_iterator_at(index, cursor, rank, err);
    }

    source->placed = (rc == NGX_OK && !ngx_lyftr_iterator_end(cursor));

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (cursor->block.value < 1
        || cursor->block.value > cursor->segment->last
                                 - cursor->segment->first)
    {
        return ngx_lyftr_index_damaged(err);
    }

    if (cursor->block.key.len < source->part.len) {
        return ngx_lyftr_index_damaged(err);
    }

    source->key.data = cursor->block.key.data + source->part.len;
    source->key.len = cursor->block.key.len - source->part.len;
    source->seq = ngx_lyftr_iterator_seq(cursor);

    return NGX_OK;
}


void
ngx_lyftr_merge_child_free(ngx_lyftr_merge_child_t *source)
{
    if (source->own) {
        free(source->order);
    }

    ngx_lyftr_iterator_free(&source->cursor);
    ngx_lyftr_buf_free(&source->whole);
}

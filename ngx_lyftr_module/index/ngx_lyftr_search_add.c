#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_index.h>


/* rows that are read in one go, or bytes of texts, whichever are first */
#define NGX_LYFTR_SEARCH_ADD_ROWS  512
#define NGX_LYFTR_SEARCH_ADD_TEXT  (128 * 1024)

/* blocks that are stored, or deleted, in one go */
#define NGX_LYFTR_SEARCH_BLOCKS    64


typedef struct {
    ngx_lyftr_search_add_t  *add;
    size_t                   len;          /* of the texts that were read */
} ngx_lyftr_search_add_texts_t;


typedef struct {
    int64_t              no;
    size_t               len;
} ngx_lyftr_search_add_head_t;


static ngx_int_t ngx_lyftr_search_add_text(void *data, ngx_lyftr_row_t *row,
    ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_search_add_read(ngx_lyftr_index_t *index,
    ngx_lyftr_search_add_t *add, ngx_lyftr_error_t *err)
{
    int64_t                        to;
    ngx_int_t                      rc;
    ngx_lyftr_search_add_texts_t   texts;

    if (add->seq >= add->part.last) {
        return NGX_DONE;
    }

    texts.add = add;
    texts.len = 0;

    add->grams.secret = index->secret;

    to = ngx_min(add->seq + NGX_LYFTR_SEARCH_ADD_ROWS, add->part.last);

    rc = index->holder->rows(index->data, NGX_LYFTR_ROWS_BODIES, add->seq, to,
                             ngx_lyftr_search_add_text, &texts, err);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    /* rows may be missing */

    if (rc == NGX_OK) {
        add->seq = to;
    }

    /* one that replaces another has no more than that, and its rows */

    if (add->grams.memory.len >= NGX_LYFTR_SEARCH_MEMORY && add->old == 0) {
        add->part.last = add->seq;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_search_add_text(void *data, ngx_lyftr_row_t *row,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_search_add_texts_t *texts = data;

    ngx_lyftr_search_add_t  *add;

    add = texts->add;
    add->seq = row->seq;

    if (ngx_lyftr_trigrams_add(&add->grams, add->seq - add->part.first,
                               row->body.data, row->body.len)
        != NGX_OK)
    {
        return ngx_lyftr_index_memory(err);
    }

    texts->len += row->body.len;

    return texts->len < NGX_LYFTR_SEARCH_ADD_TEXT ? NGX_OK : NGX_DONE;
}


/* what is there is stored first */

ngx_int_t
ngx_lyftr_search_add_blocks(ngx_lyftr_search_add_t *add,
    ngx_lyftr_error_t *err)
{
    u_char                       *p;
    ngx_uint_t                    i;
    ngx_lyftr_search_add_head_t   head;

    if (!add->sorted) {
        ngx_lyftr_trigrams_sort(&add->grams);
        add->sorted = 1;
    }

    if (add->out.len) {
        return NGX_OK;
    }

    for (i = 0; i < NGX_LYFTR_SEARCH_BLOCKS; i++) {

        if (ngx_lyftr_buf_reserve(&add->out,
                                  sizeof(head) + NGX_LYFTR_GRAM_BLOCK)
            != NGX_OK)
        {
            return ngx_lyftr_index_memory(err);
        }

        p = add->out.data + add->out.len;

        head.len = ngx_lyftr_trigrams_block(&add->grams, p + sizeof(head),
                                            add->part.id, &head.no);

        if (head.len == 0) {
            add->ended = 1;
            break;
        }

        ngx_memcpy(p, &head, sizeof(head));
        add->out.len += sizeof(head) + head.len;
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_search_add_write(ngx_lyftr_index_t *index,
    ngx_lyftr_search_add_t *add, ngx_lyftr_error_t *err)
{
    u_char                       *p;
    ngx_lyftr_search_add_head_t   head;

    for (p = add->out.data;
         p < add->out.data + add->out.len;
         p += sizeof(head) + head.len)
    {
        ngx_memcpy(&head, p, sizeof(head));

        if (index->holder->put(index->data, NGX_LYFTR_BLOCKS_GRAM, head.no,
                               p + sizeof(head), head.len, err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        add->sum += ngx_lyftr_checksum_block(head.no, p + sizeof(head),
                                             head.len);
    }

    add->out.len = 0;

    return add->ended ? NGX_DONE : NGX_OK;
}


void
ngx_lyftr_search_add_free(ngx_lyftr_search_add_t *add)
{
    ngx_lyftr_trigrams_free(&add->grams);
    ngx_lyftr_buf_free(&add->out);

    ngx_memzero(add, sizeof(ngx_lyftr_search_add_t));
}


ngx_int_t
ngx_lyftr_search_sweep(ngx_lyftr_index_t *index, int64_t id,
    ngx_lyftr_error_t *err)
{
    ngx_uint_t  n;

    if (index->holder->remove(index->data, NGX_LYFTR_BLOCKS_GRAM,
                              ngx_lyftr_postings_no(id, 0, 0),
                              ngx_lyftr_postings_no(id + 1, 0, 0),
                              NGX_LYFTR_SEARCH_BLOCKS, &n, err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return n < NGX_LYFTR_SEARCH_BLOCKS ? NGX_DONE : NGX_OK;
}

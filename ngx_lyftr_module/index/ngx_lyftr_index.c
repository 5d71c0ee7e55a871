#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_index.h>


typedef struct {
    ngx_lyftr_buf_t     *id;
    ngx_uint_t           found;
} ngx_lyftr_index_id_t;


static ngx_int_t ngx_lyftr_index_fail(ngx_lyftr_error_t *err,
    ngx_lyftr_err_e code, const char *text);
static ngx_int_t ngx_lyftr_index_id_row(void *data, ngx_lyftr_row_t *row,
    ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_index_damaged(ngx_lyftr_error_t *err)
{
    return ngx_lyftr_index_fail(err, NGX_LYFTR_ERR_CORRUPT,
                                "an index is damaged");
}


ngx_int_t
ngx_lyftr_index_memory(ngx_lyftr_error_t *err)
{
    return ngx_lyftr_index_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
}


static ngx_int_t
ngx_lyftr_index_fail(ngx_lyftr_error_t *err, ngx_lyftr_err_e code,
    const char *text)
{
    err->code = code;
    err->len = ngx_strlen(text);

    ngx_memcpy(err->text, text, err->len + 1);

    return NGX_ERROR;
}


ngx_int_t
ngx_lyftr_index_id(ngx_lyftr_index_t *index, int64_t seq, ngx_lyftr_buf_t *id,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_index_id_t  of;

    of.id = id;
    of.found = 0;

    if (index->holder->rows(index->data, NGX_LYFTR_ROWS_KEYS, seq - 1, seq,
                            ngx_lyftr_index_id_row, &of, err)
        == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    return of.found ? NGX_OK : ngx_lyftr_index_damaged(err);
}


static ngx_int_t
ngx_lyftr_index_id_row(void *data, ngx_lyftr_row_t *row,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_index_id_t *of = data;

    of->found = 1;
    of->id->len = 0;

    return ngx_lyftr_buf_add(of->id, row->message_id.data, row->message_id.len)
           == NGX_OK ? NGX_OK : ngx_lyftr_index_memory(err);
}


void
ngx_lyftr_index_forget(ngx_lyftr_index_t *index)
{
    ngx_uint_t  i;

    for (i = 0; i < index->nsegments; i++) {
        free(index->segments[i].filter);
    }

    free(index->segments);

    index->segments = NULL;
    index->nsegments = 0;
}

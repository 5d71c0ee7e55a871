#include <ngx_lyftr_output.h>
#include <ngx_lyftr_text.h>


#define NGX_LYFTR_OUTPUT_BUFFER    16384


void
ngx_lyftr_output_init(ngx_lyftr_output_t *out, ngx_pool_t *pool)
{
    out->pool = pool;
    out->out = NULL;
    out->last = &out->out;
    out->link = NULL;
    out->buf = NULL;
}


ngx_int_t
ngx_lyftr_output_reserve(ngx_lyftr_output_t *out, size_t size)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    b = out->buf;

    if (b && (size_t) (b->end - b->last) >= size) {
        return NGX_OK;
    }

    b = ngx_create_temp_buf(out->pool, ngx_max(size, NGX_LYFTR_OUTPUT_BUFFER));
    if (b == NULL) {
        return NGX_ERROR;
    }

    cl = ngx_alloc_chain_link(out->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    cl->buf = b;
    cl->next = NULL;

    *out->last = cl;
    out->last = &cl->next;
    out->link = cl;
    out->buf = b;

    return NGX_OK;
}


void
ngx_lyftr_output_literal(ngx_lyftr_output_t *out, const char *s)
{
    out->buf->last = ngx_cpymem(out->buf->last, s, ngx_strlen(s));
}


void
ngx_lyftr_output_int(ngx_lyftr_output_t *out, int64_t n)
{
    out->buf->last = ngx_lyftr_json_int(out->buf->last, n);
}


void
ngx_lyftr_output_string(ngx_lyftr_output_t *out, ngx_str_t *s)
{
    if (s->data == NULL) {
        ngx_lyftr_output_literal(out, "null");
        return;
    }

    out->buf->last = ngx_lyftr_json_string(out->buf->last, s->data, s->len);
}


size_t
ngx_lyftr_output_string_len(ngx_str_t *s)
{
    return s->data ? ngx_lyftr_json_string_len(s->data, s->len)
                   : sizeof("null") - 1;
}


off_t
ngx_lyftr_output_len(ngx_lyftr_output_t *out)
{
    off_t         len;
    ngx_chain_t  *cl;

    len = 0;

    for (cl = out->out; cl; cl = cl->next) {
        len += ngx_buf_size(cl->buf);
    }

    return len;
}

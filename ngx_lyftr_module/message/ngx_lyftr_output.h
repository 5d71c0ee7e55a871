#ifndef _NGX_LYFTR_OUTPUT_H_INCLUDED_
#define _NGX_LYFTR_OUTPUT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* a chain that grows; its functions may run in a pool thread */

typedef struct {
    ngx_pool_t                   *pool;
    ngx_chain_t                  *out;
    ngx_chain_t                 **last;
    ngx_chain_t                  *link;          /* the last of the chain, */
    ngx_buf_t                    *buf;           /* and its buffer */
} ngx_lyftr_output_t;

void ngx_lyftr_output_init(ngx_lyftr_output_t *out, ngx_pool_t *pool);

/* makes room for size bytes at out->buf->last; NGX_OK or NGX_ERROR */
ngx_int_t ngx_lyftr_output_reserve(ngx_lyftr_output_t *out, size_t size);

/* these write into the room that is there; a string without data is null */
void ngx_lyftr_output_literal(ngx_lyftr_output_t *out, const char *s);
void ngx_lyftr_output_int(ngx_lyftr_output_t *out, int64_t n);
void ngx_lyftr_output_string(ngx_lyftr_output_t *out, ngx_str_t *s);

size_t ngx_lyftr_output_string_len(ngx_str_t *s);
off_t ngx_lyftr_output_len(ngx_lyftr_output_t *out);


#endif /* _NGX_LYFTR_OUTPUT_H_INCLUDED_ */

/*
 * JSON as a row of tokens, each with its place in the text.
 */


#ifndef _NGX_LYFTR_READER_H_INCLUDED_
#define _NGX_LYFTR_READER_H_INCLUDED_


#include <ngx_lyftr_text.h>


/*
 * Called for each token in the order of the text; text is the whole of it,
 * of a string what is between the quotes, of an object or array its bracket.
 * They return 1, or 0 to stop: the caller's memory is at its end.
 */

typedef struct {
    int                (*key)(void *data, const u_char *name, size_t len);
    int                (*value)(void *data, ngx_lyftr_input_e type,
                             ngx_str_t *text);
    int                (*close)(void *data, u_char *bracket);
} ngx_lyftr_reader_handlers_t;


/* what reading len bytes takes of memory */
size_t ngx_lyftr_reader_memory(size_t len);

/*
 * Reads RFC 8259 in UTF-8, one value, no deeper than NGX_LYFTR_DEPTH_MAX.
 * Keys come decoded, other strings as they stand: ngx_lyftr_json_decode().
 *
 * NGX_OK, NGX_DECLINED with the position of what is no JSON, or NGX_ERROR: a
 * handler has stopped, or memory is too small.
 */
ngx_int_t ngx_lyftr_reader_read(ngx_str_t *body, ngx_str_t *memory,
    ngx_lyftr_reader_handlers_t *handlers, void *data, size_t *position);


#endif /* _NGX_LYFTR_READER_H_INCLUDED_ */

/*
 * An export: what it is written as, and how far it has come.
 */


#ifndef _NGX_LYFTR_EXPORT_H_INCLUDED_
#define _NGX_LYFTR_EXPORT_H_INCLUDED_


#include <ngx_lyftr_message.h>
#include <ngx_lyftr_request.h>


/*
 * An export outlives its request for as long as a thread reads for it, and
 * buffers point to its page: both have a reference.
 */

typedef struct {
    void                         *ident[4];      /* for ngx_event_ident() */
    ngx_lyftr_op_t                op;
    ngx_pool_t                   *pool;
    ngx_uint_t                    refs;
    ngx_http_request_t           *request;       /* NULL: it is gone */
    ngx_lyftr_endpoint_t         *endpoint;
    ngx_lyftr_query_t             query;
    ngx_str_t                     needle;        /* q, folded */
    ngx_uint_t                    fields;        /* that are written */
    ngx_lyftr_follow_t            follow;        /* the newest as it began */
    ngx_lyftr_page_t              page;
    ngx_pool_t                   *text;
    ngx_lyftr_output_t            out;
    ngx_chain_t                  *free;          /* of the request's pool */
    ngx_chain_t                  *busy;
    size_t                        size;
    ngx_uint_t                    rows;          /* that the page looked at, */
    ngx_msec_t                    started;       /* since then */
    off_t                         taken;
    ngx_event_t                   rest;
    ngx_atomic_uint_t             stored;        /* messages of the store */
    int64_t                       since;         /* usec of that, or 0 */
    int64_t                       owed;          /* usec */
    unsigned                      reading:1;
    unsigned                      flushed:1;     /* as it half closed */
    unsigned                      begun:1;       /* a CSV has its head */
    unsigned                      active:1;
} ngx_lyftr_export_t;


/* ngx_lyftr_export_head.c */

/* chooses the format that the client prefers, if it asked for none */
void ngx_lyftr_export_accept(ngx_http_request_t *r, ngx_lyftr_query_t *query);

/* as ngx_http_send_header() */
ngx_int_t ngx_lyftr_export_head(ngx_http_request_t *r, ngx_lyftr_export_t *e);


#endif /* _NGX_LYFTR_EXPORT_H_INCLUDED_ */

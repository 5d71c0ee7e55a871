/*
 * The senders of a store in their order, from wherever they are: the trees of
 * the segments, the rows after these, and the counts.
 */


#ifndef _NGX_LYFTR_SQLITE_SENDERS_H_INCLUDED_
#define _NGX_LYFTR_SQLITE_SENDERS_H_INCLUDED_


#include <ngx_lyftr_sqlite_index.h>


typedef struct {
    ngx_str_t            sender;
    int64_t              rows;             /* that are to be counted, */
    int64_t              count;            /* and what is; -1: nothing */

    ngx_lyftr_iterator_t  *cursors;
    ngx_uint_t           ncursors;
    sqlite3_stmt        *counts;           /* as the table has them */
    sqlite3_stmt        *tail;             /* sender, counted rows, all rows */
    ngx_uint_t           counted;          /* the first has a row, */
    ngx_uint_t           recent;           /* and the second */
    ngx_lyftr_buf_t      count_part;       /* of a key: their senders, */
    ngx_lyftr_buf_t      tail_part;
    ngx_lyftr_buf_t      part;             /* and that of all */
    ngx_lyftr_buf_t      buf;
} ngx_lyftr_senders_t;


/* those after one, or all; in a transaction.  To be closed in any case. */
ngx_int_t ngx_lyftr_senders_open(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_senders_t *s, ngx_str_t *after, ngx_lyftr_error_t *err);
void ngx_lyftr_senders_close(ngx_lyftr_senders_t *s);

/* NGX_OK, NGX_DONE or NGX_ERROR */
ngx_int_t ngx_lyftr_senders_next(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_senders_t *s, ngx_lyftr_error_t *err);


#endif /* _NGX_LYFTR_SQLITE_SENDERS_H_INCLUDED_ */

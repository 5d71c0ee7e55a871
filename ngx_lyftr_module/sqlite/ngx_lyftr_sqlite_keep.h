/*
 * Which rows are to leave: by their age, or because the store is too large.
 */


#ifndef _NGX_LYFTR_SQLITE_KEEP_H_INCLUDED_
#define _NGX_LYFTR_SQLITE_KEEP_H_INCLUDED_


#include <ngx_lyftr_sqlite_index.h>


/* so many pieces of keep= leave one after the other */
#define NGX_LYFTR_KEEP_PIECES      32


/* times are milliseconds of the wall clock */

typedef struct {
    int64_t              floor;            /* as it was */
    int64_t              seen;             /* rows up to this one were read, */
    int64_t              old;              /* and are to leave to this one */
    int64_t              oldest;           /* when the first one came, or 0 */
    int64_t              none;             /* there was no row up to this one */
    int64_t              young;            /* the same of one that stays */

    int64_t              ahead;            /* of the clock of deadlines */
    ngx_msec_t           hold;             /* nothing leaves before */
    unsigned             clocked:1;        /* ahead is known, */
    unsigned             held:1;           /* and has grown */
    ngx_msec_t           sized;            /* the size was asked for */
} ngx_lyftr_keep_t;


/*
 * Looks on at how old the rows are; NGX_OK: there is more to look at, NGX_DONE:
 * not for now.  Also sets when the rows of segments came, if it is wanted.
 */
ngx_int_t ngx_lyftr_keep_look(ngx_lyftr_sqlite_t *c, ngx_lyftr_keep_t *keep,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);

/* the last row that is to leave now; 0: none, or it is not wanted */
int64_t ngx_lyftr_keep_due(ngx_lyftr_sqlite_t *c, ngx_lyftr_keep_t *keep);

/* the same because of the size; NGX_OK or NGX_ERROR */
ngx_int_t ngx_lyftr_keep_large(ngx_lyftr_sqlite_t *c, ngx_lyftr_keep_t *keep,
    int64_t *to, ngx_msec_t deadline, ngx_lyftr_error_t *err);

/* do two segments leave one after the other?  of a policy */
ngx_uint_t ngx_lyftr_keep_apart(void *data, ngx_lyftr_segment_t *one,
    ngx_lyftr_segment_t *two);

/* seconds: when the oldest row came, and for how long it should have left */
int64_t ngx_lyftr_keep_oldest(ngx_lyftr_keep_t *keep);
int64_t ngx_lyftr_keep_lag(ngx_lyftr_sqlite_t *c, ngx_lyftr_keep_t *keep);


#endif /* _NGX_LYFTR_SQLITE_KEEP_H_INCLUDED_ */

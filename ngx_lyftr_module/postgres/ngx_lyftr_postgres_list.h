/*
 * What the files that make a page of a list share.
 */


#ifndef _NGX_LYFTR_POSTGRES_LIST_H_INCLUDED_
#define _NGX_LYFTR_POSTGRES_LIST_H_INCLUDED_


#include <ngx_lyftr_postgres.h>


/* rows that are read at once */
#define NGX_LYFTR_POSTGRES_CHUNK   128


/* where a row stands in the order of time */

typedef struct {
    ngx_str_t            instant;
    ngx_str_t            id;
    ngx_str_t            rest;
} ngx_lyftr_postgres_key_t;


typedef struct {
    ngx_lyftr_query_t   *query;
    ngx_lyftr_row_pt     row;
    void                *data;
    ngx_lyftr_page_t    *page;

    ngx_str_t            low;              /* instants of the filters: from, */
    ngx_str_t            high;             /* and less than this one */
    ngx_str_t            from;             /* the sender, if there is one, */
    ngx_str_t            from_rest;        /* in two parts */

    ngx_lyftr_postgres_key_t   key;        /* the page begins after it, */
    ngx_uint_t           including;        /* or with it */
    ngx_uint_t           after;            /* it is that of a cursor */
    int64_t              offset;           /* rows to pass from there */

    int64_t              low_rank;         /* rows before the first, */
    int64_t              high_rank;        /* and up to the last */

    ngx_int_t            n;                /* rows given */
    ngx_lyftr_position_t last;             /* the last one of them */

    PGresult            *held;             /* what key points to */
    u_char               bounds[2][NGX_LYFTR_POSTGRES_INSTANT];
    u_char               cut[2 * NGX_LYFTR_CURSOR_PART];
} ngx_lyftr_postgres_list_t;


/* ngx_lyftr_postgres_bounds.c */

/* what the filters, and a cursor, leave; NGX_DECLINED: it is not ours */
ngx_int_t ngx_lyftr_postgres_bounds(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_lyftr_error_t *err);

/* as PostgreSQL compares bytes, and texts of the collation C */
int ngx_lyftr_postgres_cmp(ngx_str_t *a, ngx_str_t *b);

/* the key of a row of a result, which is held from now on */
void ngx_lyftr_postgres_hold(ngx_lyftr_postgres_list_t *list, PGresult *res,
    int row);

/* NGX_OK; NGX_DONE: it stands before the page; NGX_DECLINED: not in the list */
ngx_int_t ngx_lyftr_postgres_within(ngx_lyftr_postgres_list_t *list,
    const PGresult *res, int row);


/* ngx_lyftr_postgres_count.c */

/* fills the ranks, the total, and finds where a large offset begins */
ngx_int_t ngx_lyftr_postgres_count(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_lyftr_error_t *err);


/* ngx_lyftr_postgres_emit.c */

/* a row of the page; NGX_DONE: it is on the next one */
ngx_int_t ngx_lyftr_postgres_emit(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, const PGresult *res, int row,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_postgres_search.c */

ngx_int_t ngx_lyftr_postgres_search(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_lyftr_error_t *err);

/* does the text of a row have what is looked for?  NGX_OK, or NGX_DECLINED */
ngx_int_t ngx_lyftr_postgres_search_one(ngx_lyftr_postgres_t *c,
    ngx_lyftr_query_t *query, const PGresult *res, ngx_lyftr_error_t *err);


#endif /* _NGX_LYFTR_POSTGRES_LIST_H_INCLUDED_ */

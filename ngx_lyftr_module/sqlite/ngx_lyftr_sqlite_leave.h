/*
 * How rows leave: all up to one of them, at once, whatever they are in.
 */


#ifndef _NGX_LYFTR_SQLITE_LEAVE_H_INCLUDED_
#define _NGX_LYFTR_SQLITE_LEAVE_H_INCLUDED_


#include <ngx_lyftr_sqlite_index.h>


typedef struct {
    ngx_uint_t             active;
    ngx_uint_t             erases;         /* others than the first rows */
    ngx_uint_t             phase;
    int64_t                floor;          /* the rows after this one, */
    int64_t                to;             /* up to this one */
    ngx_lyftr_segment_t    segment;        /* has them; id 0: none has */

    /* what is left of the segment, if not all of it goes */
    int64_t                seq;            /* the last row that was looked at */
    ngx_lyftr_leave_t      leave;
    ngx_lyftr_compaction_t rest;

    /* the senders, and those that are to be taken down */
    ngx_lyftr_tally_t      senders;
    ngx_uint_t             begun;
    ngx_uint_t             ended;          /* the last one was read */
    ngx_lyftr_buf_t        tally;
    size_t                 done;           /* bytes of it */
    int64_t                gone;           /* of which no row is left */

    /* the largest of those that are left */
    ngx_lyftr_top_t        top;
    ngx_lyftr_buf_t        sender;         /* the last one that was ranked */
    ngx_uint_t             ranked;         /* some are */
} ngx_lyftr_leaving_t;


/* ngx_lyftr_sqlite_leave.c */

/* begins with the rows up to one, which are counted; of the first segment */
void ngx_lyftr_leave_begin(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_leaving_t *leaving, int64_t to);

/*
 * Of rows that are erased: what each sender has of them, each once; then these
 * counts are taken down, and the others ranked.  NGX_DONE: all are.
 */
ngx_int_t ngx_lyftr_leave_add(ngx_lyftr_leaving_t *leaving, ngx_str_t *sender,
    int64_t rows, ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_leave_count(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_leaving_t *leaving, ngx_msec_t deadline, ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_leave_rank(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_leaving_t *leaving, ngx_msec_t deadline, ngx_lyftr_error_t *err);

/* is one of them among the largest, so that these are to be ranked? */
ngx_int_t ngx_lyftr_leave_ranks(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_leaving_t *leaving, ngx_uint_t *ranks, ngx_lyftr_error_t *err);

/* the next piece; NGX_DONE: they have left, and active is cleared */
ngx_int_t ngx_lyftr_leave_step(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_leaving_t *leaving, ngx_msec_t deadline, ngx_lyftr_error_t *err);
void ngx_lyftr_leave_free(ngx_lyftr_leaving_t *leaving);

/* are blocks of this segment still wanted? */
ngx_uint_t ngx_lyftr_leave_wants(ngx_lyftr_leaving_t *leaving, int64_t id);

/*
 * Takes what has left off some counts, and forgets what was never to be; to be
 * done before the next ones leave.  NGX_DONE: there are no such counts.
 */
ngx_int_t ngx_lyftr_leave_settle(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_clear.c */

/* deletes some rows that left from the log; NGX_DONE: there are none */
ngx_int_t ngx_lyftr_clear_step(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);

/* the same of the table that was adopted */
ngx_int_t ngx_lyftr_clear_adopted(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);


#endif /* _NGX_LYFTR_SQLITE_LEAVE_H_INCLUDED_ */

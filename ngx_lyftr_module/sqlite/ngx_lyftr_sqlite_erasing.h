/*
 * How rows are erased: at once from all that is read, and then, piece by piece,
 * from wherever they are.
 */


#ifndef _NGX_LYFTR_SQLITE_ERASING_H_INCLUDED_
#define _NGX_LYFTR_SQLITE_ERASING_H_INCLUDED_


#include <ngx_lyftr_sqlite_leave.h>


typedef struct {

    /* what is being taken out of all that is read */
    int64_t                  id;           /* of it; 0: nothing is */
    ngx_uint_t               kind;
    ngx_lyftr_buf_t          value;
    int64_t                  upto;         /* the last row that counts */
    int64_t                  number;       /* segments before this one */
    int64_t                  at;           /* the last row looked at */
    ngx_uint_t               phase;
    int64_t                  rows;         /* that were found */
    int64_t                  before;       /* by pieces before this one */
    ngx_lyftr_leaving_t      leaving;

    /* rows, and what remembers their ids */
    ngx_lyftr_buf_t          seqs;
    ngx_lyftr_buf_t          tombs;
    ngx_lyftr_buf_t          senders;
    ngx_uint_t               done;         /* of the tombs, */
    ngx_uint_t               added;        /* and of the rows */

    /* what is left of it elsewhere */
    ngx_uint_t               stage;
    int64_t                  mark;         /* the sender whose rows are read */
    ngx_uint_t               ended;        /* all of a sender were read */
    ngx_lyftr_buf_t          key;          /* of the last one */
    ngx_lyftr_compaction_t   compact;
    ngx_lyftr_segment_t      segment;
    ngx_lyftr_leave_t        leave;
    u_char                  *bits;         /* of its rows that go */
    int64_t                  limit;        /* parts before this one */
    ngx_msec_t               seen;         /* when it was answered last */
    ngx_msec_t               retry;

    /* the caller's: others are at work, and have to do something */
    unsigned                 busy:1;
    unsigned                 merging:1;
    unsigned                 sweeping:1;
    unsigned                 settle:1;
    unsigned                 sweep:1;
} ngx_lyftr_erasing_t;


/* the next piece; NGX_DONE: there is none, or it waits for others */
ngx_int_t ngx_lyftr_erasing_step(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_msec_t deadline, ngx_lyftr_error_t *err);

/* is something half done? */
ngx_uint_t ngx_lyftr_erasing_active(ngx_lyftr_erasing_t *e);
void ngx_lyftr_erasing_free(ngx_lyftr_erasing_t *e);

/* does it only wait for others to end what they do, and begin no more? */
ngx_uint_t ngx_lyftr_erasing_holds(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e);

/* are blocks of this segment still wanted? */
ngx_uint_t ngx_lyftr_erasing_wants(ngx_lyftr_erasing_t *e, int64_t id);


/* ngx_lyftr_sqlite_erasing_rest.c */

/* the same for what is answered, if nothing else is asked for */
ngx_int_t ngx_lyftr_erasing_rest(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_lyftr_sqlite_t *guard, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_erasing.c */

/* takes down a row, of a statement that gives what the indexes know of it */
ngx_int_t ngx_lyftr_erasing_take(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_lyftr_row_t *row, ngx_lyftr_error_t *err);

/* stores what remembers some of them; NGX_DONE: there are no more */
ngx_int_t ngx_lyftr_erasing_remember(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erasing_t *e, ngx_msec_t deadline, ngx_lyftr_error_t *err);

/* the rows, up to max of them; in a transaction */
ngx_int_t ngx_lyftr_erasing_add(ngx_lyftr_sqlite_t *c, ngx_lyftr_erasing_t *e,
    ngx_uint_t part, ngx_uint_t max, ngx_lyftr_error_t *err);

/* one transaction that runs these statements; NGX_OK or not */
ngx_int_t ngx_lyftr_erasing_run(ngx_lyftr_sqlite_t *c, const char *sql,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);


#endif /* _NGX_LYFTR_SQLITE_ERASING_H_INCLUDED_ */

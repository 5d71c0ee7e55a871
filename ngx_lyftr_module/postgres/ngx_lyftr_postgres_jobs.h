/*
 * What the files of the housekeeping share.
 */


#ifndef _NGX_LYFTR_POSTGRES_JOBS_H_INCLUDED_
#define _NGX_LYFTR_POSTGRES_JOBS_H_INCLUDED_


#include <ngx_lyftr_postgres.h>


/* the order is that of ngx_lyftr_postgres_jobs[] */

typedef enum {
    NGX_LYFTR_POSTGRES_COUNT = 0,
    NGX_LYFTR_POSTGRES_FOLD,
    NGX_LYFTR_POSTGRES_LEAVE,
    NGX_LYFTR_POSTGRES_JOBS
} ngx_lyftr_postgres_job_e;


/* the order is that of ngx_lyftr_postgres_gauge[] */

typedef enum {
    NGX_LYFTR_POSTGRES_COUNT_LAG = 0,
    NGX_LYFTR_POSTGRES_SEARCH_LAG,
    NGX_LYFTR_POSTGRES_OLDEST,
    NGX_LYFTR_POSTGRES_KEEP_SECONDS,
    NGX_LYFTR_POSTGRES_KEEP_LAG,
    NGX_LYFTR_POSTGRES_LEFT_ROWS,
    NGX_LYFTR_POSTGRES_LEFT_BYTES
} ngx_lyftr_postgres_gauge_e;


/* ngx_lyftr_postgres_keep.c: milliseconds of the server's clock, but msec_t */

typedef struct {
    int64_t              floor;            /* as it was */
    int64_t              seen;             /* rows up to this one were read, */
    int64_t              old;              /* are too old up to this one, */
    int64_t              to;               /* and leave up to this one now */
    int64_t              oldest;           /* when the first one came, or 0 */
    int64_t              young;            /* the same of one that stays */
    int64_t              ahead;            /* of the clock of deadlines */
    ngx_msec_t           hold;             /* nothing leaves before */
    ngx_msec_t           aged;             /* ages were looked at, */
    ngx_msec_t           weighed;          /* and bytes */
    unsigned             more:1;           /* there is more to look at */
    unsigned             clocked:1;        /* ahead is known, */
    unsigned             held:1;           /* and has grown */
} ngx_lyftr_postgres_keep_t;


struct ngx_lyftr_postgres_jobs_s {
    ngx_uint_t           indexed;          /* the texts have their index */
    ngx_msec_t           counted;          /* rows, at this time */
    ngx_msec_t           cleaned;          /* the same of slots */
    ngx_msec_t           sized;            /* and of bytes */
    int64_t              bytes;
    int64_t              tail;             /* rows that are not counted */
    ngx_uint_t           next;             /* the job that comes first */
    ngx_lyftr_postgres_keep_t  keep;
};


/* ngx_lyftr_postgres_keep.c */

/* looks on at how old the rows are, if it is time for that */
ngx_int_t ngx_lyftr_postgres_keep_look(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);

/* the last row that is to leave now; those up to state.floor have left */
ngx_int_t ngx_lyftr_postgres_keep(ngx_lyftr_postgres_t *c, int64_t *to,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);

/* seconds: when the oldest row came, and for how long it should have left */
int64_t ngx_lyftr_postgres_keep_oldest(ngx_lyftr_postgres_t *c);
int64_t ngx_lyftr_postgres_keep_lag(ngx_lyftr_postgres_t *c);


/* ngx_lyftr_postgres_steps.c */

/*
 * The next step of a job: NGX_OK: there may be more to do, NGX_DONE: there is
 * not, or another host does it.  After NGX_ERROR nothing of it was done.
 */
ngx_int_t ngx_lyftr_postgres_step_count(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_postgres_step_fold(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_postgres_step_leave(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);


#endif /* _NGX_LYFTR_POSTGRES_JOBS_H_INCLUDED_ */

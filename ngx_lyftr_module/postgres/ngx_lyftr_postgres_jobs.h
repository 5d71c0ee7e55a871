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
    NGX_LYFTR_POSTGRES_JOBS
} ngx_lyftr_postgres_job_e;


struct ngx_lyftr_postgres_jobs_s {
    ngx_uint_t           indexed;          /* the texts have their index */
    ngx_msec_t           counted;          /* rows, at this time */
    ngx_msec_t           cleaned;          /* the same of slots */
    ngx_msec_t           sized;            /* and of bytes */
    int64_t              bytes;
    int64_t              tail;             /* rows that are not counted */
};


/* ngx_lyftr_postgres_steps.c */

/*
 * The next step of a job: NGX_OK: there may be more to do, NGX_DONE: there is
 * not, or another host does it.  After NGX_ERROR nothing of it was done.
 */
ngx_int_t ngx_lyftr_postgres_step_count(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_postgres_step_fold(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);


#endif /* _NGX_LYFTR_POSTGRES_JOBS_H_INCLUDED_ */

/*
 * The housekeeping of a store: jobs, of which each fails and is tried again for
 * itself, and the process that does them.
 */


#ifndef _NGX_LYFTR_SQLITE_JOBS_H_INCLUDED_
#define _NGX_LYFTR_SQLITE_JOBS_H_INCLUDED_


#include <ngx_lyftr_trigram.h>
#include <ngx_lyftr_sqlite_rebuild.h>


/*
 * msec until a job that has failed is tried again, which double with each
 * failure up to the most, and between two such tries: a line of the log each
 */
#define NGX_LYFTR_UPKEEP_AGAIN     5000
#define NGX_LYFTR_UPKEEP_MOST      60000
#define NGX_LYFTR_UPKEEP_APART     1000

/*
 * Of all rows that segments have, one merge takes a third at most; unit tests
 * have few.
 */
#ifndef NGX_LYFTR_UPKEEP_SHARE
#define NGX_LYFTR_UPKEEP_SHARE     3
#endif

/* msec without a beat, after which a process is taken for one that hangs */
#define NGX_LYFTR_UPKEEP_LEASE     10000


/* the order is that of the table in ngx_lyftr_sqlite_jobs.c */

typedef enum {
    NGX_LYFTR_JOB_CHECKPOINT = 0,
    NGX_LYFTR_JOB_FLUSH,
    NGX_LYFTR_JOB_COUNT,
    NGX_LYFTR_JOB_SWEEP,
    NGX_LYFTR_JOB_MERGE,
    NGX_LYFTR_JOB_REBUILD,
    NGX_LYFTR_JOB_ADOPT,
    NGX_LYFTR_JOB_SEARCH,
    NGX_LYFTR_JOBS
} ngx_lyftr_upkeep_job_e;


/* NGX_OK: it did something, NGX_DONE: it had nothing to do */

typedef ngx_int_t (*ngx_lyftr_upkeep_pt)(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);

typedef struct {
    ngx_lyftr_upkeep_pt      step;

    /* is something half done?  to be done anew after a failure; or NULL */
    ngx_uint_t             (*active)(ngx_lyftr_sqlite_upkeep_t *upkeep);
    void                   (*forget)(ngx_lyftr_sqlite_upkeep_t *upkeep);
} ngx_lyftr_upkeep_job_t;


/* since a job was done last */

typedef struct {
    ngx_uint_t               failures;
    ngx_msec_t               at;           /* it is tried again */
} ngx_lyftr_upkeep_try_t;


struct ngx_lyftr_sqlite_upkeep_s {
    ngx_lyftr_upkeep_try_t   tries[NGX_LYFTR_JOBS];
    ngx_msec_t               failed;       /* any of them, last */

    ngx_uint_t               owner;        /* of all processes, this one */
    ngx_uint_t               locked;       /* the lock of it is ours */
    ngx_msec_t               beat;         /* the last one */
    int64_t                  next;         /* segment, if nobody else is */

    ngx_lyftr_sqlite_t      *guard;        /* of checkpoints */
    ngx_lyftr_compaction_t          flush;
    ngx_lyftr_compaction_t          merge;
    int64_t                  share;        /* of the rows, that it takes */
    ngx_lyftr_count_t        count;
    ngx_lyftr_rebuild_t      rebuild;
    ngx_lyftr_search_add_t         search;
    int                      pages;        /* at the last checkpoint */
    int64_t                  rows;         /* the last one seen, */
    ngx_msec_t               since;        /* at this time */
    ngx_uint_t               sweep;        /* blocks may have to go, */
    int64_t                  swept;        /* from this one on */
};


/* ngx_lyftr_sqlite_jobs.c */

ngx_int_t ngx_lyftr_sqlite_maintain(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
void ngx_lyftr_sqlite_upkeep_free(ngx_lyftr_sqlite_t *c);
void ngx_lyftr_sqlite_gauges(void *conn, ngx_lyftr_gauges_t *gauges);

extern ngx_str_t  ngx_lyftr_sqlite_jobs[];


/* ngx_lyftr_sqlite_steps.c; sweep() is in ngx_lyftr_sqlite_sweep.c */

ngx_int_t ngx_lyftr_upkeep_checkpoint(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
void ngx_lyftr_upkeep_checkpoint_forget(ngx_lyftr_sqlite_upkeep_t *upkeep);
ngx_int_t ngx_lyftr_upkeep_flush(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
ngx_uint_t ngx_lyftr_upkeep_flush_active(ngx_lyftr_sqlite_upkeep_t *upkeep);
void ngx_lyftr_upkeep_flush_forget(ngx_lyftr_sqlite_upkeep_t *upkeep);
ngx_int_t ngx_lyftr_upkeep_count(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
ngx_uint_t ngx_lyftr_upkeep_count_active(ngx_lyftr_sqlite_upkeep_t *upkeep);
void ngx_lyftr_upkeep_count_forget(ngx_lyftr_sqlite_upkeep_t *upkeep);
ngx_uint_t ngx_lyftr_upkeep_sweep_active(ngx_lyftr_sqlite_upkeep_t *upkeep);
void ngx_lyftr_upkeep_sweep_forget(ngx_lyftr_sqlite_upkeep_t *upkeep);
ngx_int_t ngx_lyftr_upkeep_merge(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
ngx_uint_t ngx_lyftr_upkeep_merge_active(ngx_lyftr_sqlite_upkeep_t *upkeep);
void ngx_lyftr_upkeep_merge_forget(ngx_lyftr_sqlite_upkeep_t *upkeep);
ngx_int_t ngx_lyftr_upkeep_search(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
ngx_uint_t ngx_lyftr_upkeep_search_active(ngx_lyftr_sqlite_upkeep_t *upkeep);
void ngx_lyftr_upkeep_search_forget(ngx_lyftr_sqlite_upkeep_t *upkeep);


/* ngx_lyftr_sqlite_rebuild.c */

ngx_int_t ngx_lyftr_upkeep_rebuild(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
ngx_uint_t ngx_lyftr_upkeep_rebuild_active(ngx_lyftr_sqlite_upkeep_t *upkeep);
void ngx_lyftr_upkeep_rebuild_forget(ngx_lyftr_sqlite_upkeep_t *upkeep);


/* ngx_lyftr_sqlite_owner.c */

/* NGX_OK: this process does it, NGX_DECLINED: another one, NGX_BUSY */
ngx_int_t ngx_lyftr_upkeep_own(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);

/* tells the others that this process is at work */
void ngx_lyftr_upkeep_beat(ngx_lyftr_sqlite_t *c);
void ngx_lyftr_upkeep_leave(ngx_lyftr_sqlite_t *c);

/* a number for a new segment; NGX_OK, NGX_DECLINED or NGX_ERROR */
ngx_int_t ngx_lyftr_upkeep_number(ngx_lyftr_sqlite_t *c, int64_t *number,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);

/* reads lyftr_state; NGX_LYFTR_ERR_BUSY: somebody else does the upkeep now */
ngx_int_t ngx_lyftr_upkeep_fence(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* what all processes know of a job; NULL: there is nothing for this file */
ngx_lyftr_backend_job_t *ngx_lyftr_sqlite_job(ngx_lyftr_sqlite_t *c,
    ngx_uint_t n);


/* ngx_lyftr_sqlite_view.c */

/* may rows be added now?  NGX_LYFTR_ERR_BEHIND, or NGX_LYFTR_ERR_STUCK */
ngx_int_t ngx_lyftr_sqlite_admit(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* too many rows are in no segment: fills *err, and why; NGX_ERROR */
ngx_int_t ngx_lyftr_sqlite_behind(ngx_lyftr_sqlite_t *c, int64_t rows,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_sweep.c */

/* deletes some of the blocks that no segment has */
ngx_int_t ngx_lyftr_upkeep_sweep(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);


#endif /* _NGX_LYFTR_SQLITE_JOBS_H_INCLUDED_ */

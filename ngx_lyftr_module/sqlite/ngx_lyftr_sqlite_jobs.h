/*
 * The housekeeping of a store: jobs, of which each fails and is tried again for
 * itself, and the process that does them.
 */


#ifndef _NGX_LYFTR_SQLITE_JOBS_H_INCLUDED_
#define _NGX_LYFTR_SQLITE_JOBS_H_INCLUDED_


#include <ngx_lyftr_sqlite_index.h>
#include <ngx_lyftr_sqlite_keep.h>
#include <ngx_lyftr_sqlite_leave.h>
#include <ngx_lyftr_sqlite_erasing.h>
#include <ngx_lyftr_sqlite_rebuild.h>


/*
 * msec until a job that has failed is tried again, which double with each
 * failure up to the most, and between two such tries: a line of the log each
 */
#define NGX_LYFTR_JOBS_AGAIN     5000
#define NGX_LYFTR_JOBS_MOST      60000
#define NGX_LYFTR_JOBS_APART     1000

/*
 * Of all rows that segments have, one merge takes a third at most; unit tests
 * have few.
 */
#ifndef NGX_LYFTR_MERGE_SHARE
#define NGX_LYFTR_MERGE_SHARE      3
#endif


/* the order is that of the table in ngx_lyftr_sqlite_jobs.c */

typedef enum {
    NGX_LYFTR_JOB_CHECKPOINT = 0,
    NGX_LYFTR_JOB_FLUSH,
    NGX_LYFTR_JOB_COUNT,
    NGX_LYFTR_JOB_ERASE,
    NGX_LYFTR_JOB_LEAVE,
    NGX_LYFTR_JOB_CLEAR,
    NGX_LYFTR_JOB_SWEEP,
    NGX_LYFTR_JOB_MERGE,
    NGX_LYFTR_JOB_REBUILD,
    NGX_LYFTR_JOB_ADOPT,
    NGX_LYFTR_JOB_SEARCH,
    NGX_LYFTR_JOBS
} ngx_lyftr_sqlite_job_e;


/* the order is that of the table in ngx_lyftr_sqlite.c */

typedef enum {
    NGX_LYFTR_GAUGE_UNINDEXED = 0,
    NGX_LYFTR_GAUGE_UNCOUNTED,
    NGX_LYFTR_GAUGE_SEARCH_LAG,
    NGX_LYFTR_GAUGE_WAL_PAGES,
    NGX_LYFTR_GAUGE_WAL_BYTES,
    NGX_LYFTR_GAUGE_WAL_LIMIT,         /* of the configuration */
    NGX_LYFTR_GAUGE_FREE,
    NGX_LYFTR_GAUGE_OLDEST,
    NGX_LYFTR_GAUGE_KEEP,              /* of the configuration */
    NGX_LYFTR_GAUGE_KEEP_LAG,
    NGX_LYFTR_GAUGE_LEFT,
    NGX_LYFTR_GAUGE_LEFT_BYTES,
    NGX_LYFTR_GAUGE_ERASING,
    NGX_LYFTR_GAUGE_ERASED
} ngx_lyftr_sqlite_gauge_e;


/* NGX_OK: it did something, NGX_DONE: it had nothing to do */

typedef ngx_int_t (*ngx_lyftr_job_pt)(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);

typedef struct {
    ngx_lyftr_job_pt      step;

    /* is something half done?  to be done anew after a failure; or NULL */
    ngx_uint_t             (*active)(ngx_lyftr_sqlite_jobs_t *jobs);
    void                   (*forget)(ngx_lyftr_sqlite_jobs_t *jobs);
} ngx_lyftr_job_t;


/* since a job was done last */

typedef struct {
    ngx_uint_t               failures;
    ngx_msec_t               at;           /* it is tried again */
} ngx_lyftr_job_try_t;


/* ngx_lyftr_sqlite_steps.c */

typedef struct {
    ngx_lyftr_sqlite_t      *guard;        /* of checkpoints */
    int                      pages;        /* at the last one */
    ngx_lyftr_compaction_t   flush;
    ngx_lyftr_compaction_t   merge;
    int64_t                  share;        /* of the rows, that it takes */
    ngx_lyftr_count_t        count;
    ngx_lyftr_search_add_t   search;
    int64_t                  rows;         /* the last one seen, */
    ngx_msec_t               since;        /* at this time */
    ngx_uint_t               sweep;        /* blocks may have to go, */
    int64_t                  swept;        /* from this one on */
    ngx_lyftr_keep_t         keep;
    ngx_lyftr_leaving_t      leaving;
    ngx_lyftr_erasing_t      erasing;
    ngx_uint_t               settle;       /* counts may have to follow, */
    ngx_uint_t               clear;        /* rows may have to go, */
    ngx_uint_t               adopted;      /* and a table of before */
} ngx_lyftr_steps_t;


struct ngx_lyftr_sqlite_jobs_s {
    ngx_lyftr_job_try_t      tries[NGX_LYFTR_JOBS];
    ngx_uint_t               turns;
    ngx_msec_t               failed;       /* any of them, last */
    ngx_msec_t               idle;         /* there was nothing to do, last */
    int64_t                  rested;       /* when a thread had had this cost */

    ngx_lyftr_steps_t        steps;
    ngx_lyftr_rebuild_t      rebuild;
};


#define ngx_lyftr_job_fails(jobs, n)  ((jobs)->tries[n].failures != 0)


/* ngx_lyftr_sqlite_jobs.c */

/* functions of the backend */
ngx_int_t ngx_lyftr_sqlite_housekeep(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
void ngx_lyftr_sqlite_gauges(void *conn, ngx_lyftr_gauges_t *gauges);

void ngx_lyftr_sqlite_jobs_free(ngx_lyftr_sqlite_t *c);

extern ngx_str_t  ngx_lyftr_sqlite_jobs[];


/* ngx_lyftr_sqlite_checkpoint.c */

/*
 * Copies the WAL into the database; guard is another connection.  NGX_OK,
 * NGX_DECLINED or NGX_ERROR.
 */
ngx_int_t ngx_lyftr_sqlite_checkpoint(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_t *guard, ngx_msec_t deadline, ngx_lyftr_error_t *err);

/* the last one of a process */
void ngx_lyftr_sqlite_settle(void *conn, ngx_msec_t deadline);


/* ngx_lyftr_sqlite_steps.c */

void ngx_lyftr_steps_init(ngx_lyftr_sqlite_jobs_t *jobs);

/* the log ends with this row now */
void ngx_lyftr_steps_see(ngx_lyftr_sqlite_jobs_t *jobs, int64_t last);

ngx_int_t ngx_lyftr_job_checkpoint(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
void ngx_lyftr_job_checkpoint_forget(ngx_lyftr_sqlite_jobs_t *jobs);
ngx_int_t ngx_lyftr_job_flush(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
ngx_uint_t ngx_lyftr_job_flush_active(ngx_lyftr_sqlite_jobs_t *jobs);
void ngx_lyftr_job_flush_forget(ngx_lyftr_sqlite_jobs_t *jobs);
ngx_int_t ngx_lyftr_job_count(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
ngx_uint_t ngx_lyftr_job_count_active(ngx_lyftr_sqlite_jobs_t *jobs);
void ngx_lyftr_job_count_forget(ngx_lyftr_sqlite_jobs_t *jobs);
ngx_int_t ngx_lyftr_job_leave(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
ngx_uint_t ngx_lyftr_job_leave_active(ngx_lyftr_sqlite_jobs_t *jobs);
void ngx_lyftr_job_leave_forget(ngx_lyftr_sqlite_jobs_t *jobs);
ngx_int_t ngx_lyftr_job_erase(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
ngx_uint_t ngx_lyftr_job_erase_active(ngx_lyftr_sqlite_jobs_t *jobs);
void ngx_lyftr_job_erase_forget(ngx_lyftr_sqlite_jobs_t *jobs);
ngx_int_t ngx_lyftr_job_clear(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
ngx_uint_t ngx_lyftr_job_clear_active(ngx_lyftr_sqlite_jobs_t *jobs);
void ngx_lyftr_job_clear_forget(ngx_lyftr_sqlite_jobs_t *jobs);
ngx_int_t ngx_lyftr_job_sweep(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
ngx_uint_t ngx_lyftr_job_sweep_active(ngx_lyftr_sqlite_jobs_t *jobs);
void ngx_lyftr_job_sweep_forget(ngx_lyftr_sqlite_jobs_t *jobs);
ngx_int_t ngx_lyftr_job_merge(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
ngx_uint_t ngx_lyftr_job_merge_active(ngx_lyftr_sqlite_jobs_t *jobs);
void ngx_lyftr_job_merge_forget(ngx_lyftr_sqlite_jobs_t *jobs);
ngx_int_t ngx_lyftr_job_search(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
ngx_uint_t ngx_lyftr_job_search_active(ngx_lyftr_sqlite_jobs_t *jobs);
void ngx_lyftr_job_search_forget(ngx_lyftr_sqlite_jobs_t *jobs);


/* ngx_lyftr_sqlite_rebuild.c */

ngx_int_t ngx_lyftr_rebuild_step(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_owner.c */

/* NGX_OK: this process does it, NGX_DECLINED: another one, NGX_BUSY */
ngx_int_t ngx_lyftr_jobs_own(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);

/* a number for a new segment; NGX_OK, NGX_DECLINED or NGX_ERROR */
ngx_int_t ngx_lyftr_jobs_number(ngx_lyftr_sqlite_t *c, int64_t *number,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);


#endif /* _NGX_LYFTR_SQLITE_JOBS_H_INCLUDED_ */

/*
 * How a database becomes ours: one that is empty, one of an older version, or
 * one that a service of the same contract wrote, which is adopted.
 */


#ifndef _NGX_LYFTR_SQLITE_SETUP_H_INCLUDED_
#define _NGX_LYFTR_SQLITE_SETUP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite.h>


/* the application_id of a database that is ours */
#define NGX_LYFTR_SQLITE_APP       0x4c594652  /* LYFR */
#define NGX_LYFTR_SQLITE_VERSION   6


struct ngx_lyftr_adopt_s {
    char                *first;            /* the statements: rows, */
    char                *next;             /* after those before, */
    char                *first_to;         /* and how far they go */
    char                *next_to;

    /* of the rows that have been passed, these are not in the log */
    int64_t              passed;
    int64_t              repeated;
    int64_t              nameless;
    int64_t              large;

    double               place;            /* of the last one, */
    double               low;              /* in what there is */
    double               high;
};


/* ngx_lyftr_sqlite_schema.c */

/*
 * NGX_OK: ours and ready, NGX_DECLINED: to be set up, NGX_AGAIN: to be
 * adopted, or on the way to it, or NGX_ERROR
 */
ngx_int_t ngx_lyftr_sqlite_check(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* the same in a transaction that has begun */
ngx_int_t ngx_lyftr_sqlite_check_here(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* NGX_ERROR: a set-up would be refused, and nothing has changed */
ngx_int_t ngx_lyftr_sqlite_rehearse(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);

/*
 * Creates, or begins to adopt, whichever check() calls for; under the file
 * lock.  NGX_AGAIN: the housekeeping is to adopt it.
 */
ngx_int_t ngx_lyftr_sqlite_setup(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);

/* all rows are there: the file is ours now; in a transaction */
ngx_int_t ngx_lyftr_sqlite_adopted(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_adopt_sql.c */

/* of ours, that has begun to adopt the database; 0: none has */
ngx_int_t ngx_lyftr_sqlite_adopt_version(ngx_lyftr_sqlite_t *c,
    int64_t *version, ngx_lyftr_error_t *err);

/* NGX_ERROR: the database is damaged.  Reads all of it; in a transaction. */
ngx_int_t ngx_lyftr_sqlite_adopt_sound(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/*
 * Makes our tables beside what is there, unless that was begun, or instead of
 * those of an older version; in a transaction.
 */
ngx_int_t ngx_lyftr_sqlite_adopt_begin(ngx_lyftr_sqlite_t *c,
    const char *tables, ngx_lyftr_error_t *err);

/* sets c->adopt; under the file lock, or another process ends it meanwhile */
ngx_int_t ngx_lyftr_sqlite_adopt_open(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
void ngx_lyftr_sqlite_adopt_free(ngx_lyftr_sqlite_t *c);

/* reads into c->adopt how far it is */
ngx_int_t ngx_lyftr_sqlite_adopt_state(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_adopt.c */

/*
 * Copies some rows; NGX_DONE: nothing is being adopted.  NGX_AGAIN: these were
 * the last, c->adopt is gone, and *err says what came of it, with
 * NGX_LYFTR_ERR_DATA if rows were too large.
 */
ngx_int_t ngx_lyftr_sqlite_adopt_step(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);

/* percent of the rows, about; -1: nothing is being adopted */
ngx_int_t ngx_lyftr_sqlite_adopt_share(ngx_lyftr_sqlite_t *c);


#endif /* _NGX_LYFTR_SQLITE_SETUP_H_INCLUDED_ */

/*
 * The files of a store: where they are, how long they may be, and what of them
 * has to be synced.
 */


#ifndef _NGX_LYFTR_SQLITE_DISK_H_INCLUDED_
#define _NGX_LYFTR_SQLITE_DISK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite.h>


/* ngx_lyftr_sqlite_wal.c */

/* a word that all processes share; NULL: there is none for this file */
ngx_atomic_t *ngx_lyftr_sqlite_word(ngx_lyftr_sqlite_t *c, ngx_uint_t word);

/* pages that have come into the WAL since it began */
int ngx_lyftr_sqlite_pages(ngx_lyftr_sqlite_t *c);

/*
 * Copies the WAL into the database; guard is another connection.  NGX_OK,
 * NGX_DECLINED or NGX_ERROR.
 */
ngx_int_t ngx_lyftr_sqlite_checkpoint(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_t *guard, ngx_msec_t deadline, ngx_lyftr_error_t *err);

/*
 * Makes durable what was committed before the connection was opened, or before
 * a sync failed; under the file lock.
 */
ngx_int_t ngx_lyftr_sqlite_sync(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err);

/* tells all writers that a commit may have left what is not durable */
void ngx_lyftr_sqlite_unsynced(ngx_lyftr_sqlite_t *c);

/* as SQLite does it, in one of its modes; what it returned */
int ngx_lyftr_sqlite_checkpoint_as(ngx_lyftr_sqlite_t *c, int mode);


/* ngx_lyftr_sqlite_room.c */

/* is the WAL so long that it is worth to wait for readers, now? */
ngx_uint_t ngx_lyftr_sqlite_long(ngx_lyftr_sqlite_t *c);

/*
 * The rest needs the file lock, and no transaction.  NGX_LYFTR_ERR_LOG if
 * nothing must be written.
 */
ngx_int_t ngx_lyftr_sqlite_room(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* has the WAL begin anew, waiting for readers; what SQLite returned */
int ngx_lyftr_sqlite_restart(ngx_lyftr_sqlite_t *c, int wait);

/* gives the disk what the WAL has behind the last commit */
void ngx_lyftr_sqlite_cut(ngx_lyftr_sqlite_t *c);


/* ngx_lyftr_sqlite_place.c */

ngx_uint_t ngx_lyftr_sqlite_equal(ngx_lyftr_dsn_t *a, ngx_lyftr_dsn_t *b);

/* sets c->path */
ngx_int_t ngx_lyftr_sqlite_resolve(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* before anything is opened or created: can a store be kept here? */
ngx_int_t ngx_lyftr_sqlite_place(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* a system call on a file has failed, with errno */
ngx_int_t ngx_lyftr_sqlite_cannot(ngx_lyftr_error_t *err, const char *what,
    const char *path);

/* the end of a path, as much as an error has room for */
const char *ngx_lyftr_sqlite_end(const char *path);


/* ngx_lyftr_sqlite_files.c */

void ngx_lyftr_sqlite_name(ngx_lyftr_sqlite_t *c, ngx_lyftr_file_e file,
    char *name);

/* checks that the files are those that were opened first */
ngx_int_t ngx_lyftr_sqlite_files(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* the same before opening them, and after that */
ngx_int_t ngx_lyftr_sqlite_files_known(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_sqlite_files_learn(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);


#endif /* _NGX_LYFTR_SQLITE_DISK_H_INCLUDED_ */

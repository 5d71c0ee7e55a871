/*
 * The files of a store: where they are, how long they may be, what of them has
 * to be synced, and what all processes know of them.
 */


#ifndef _NGX_LYFTR_SQLITE_DISK_H_INCLUDED_
#define _NGX_LYFTR_SQLITE_DISK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite.h>


/* ngx_lyftr_sqlite_shared.c */

/* a word that all processes share; NULL: there is none for this file */
ngx_atomic_t *ngx_lyftr_sqlite_word(ngx_lyftr_sqlite_t *c, ngx_uint_t word);

/* what all processes know of a job; NULL: there is nothing for this file */
ngx_lyftr_backend_job_t *ngx_lyftr_sqlite_job(ngx_lyftr_sqlite_t *c,
    ngx_uint_t n);


/* ngx_lyftr_sqlite_lock.c: of all who write */

void ngx_lyftr_sqlite_lock_init(ngx_lyftr_sqlite_t *c);
ngx_int_t ngx_lyftr_sqlite_lock_open(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
void ngx_lyftr_sqlite_lock_close(ngx_lyftr_sqlite_t *c);

/* NGX_DECLINED: not until the deadline, or not now */
ngx_int_t ngx_lyftr_sqlite_lock(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_sqlite_lock_try(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
void ngx_lyftr_sqlite_unlock(ngx_lyftr_sqlite_t *c);

/* another lock of the same file: that of the lease */
ngx_int_t ngx_lyftr_sqlite_lock_own(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
void ngx_lyftr_sqlite_lock_disown(ngx_lyftr_sqlite_t *c);


/* ngx_lyftr_sqlite_lease.c: which process does the housekeeping */

/* msec without a beat, after which a process is taken for one that hangs */
#define NGX_LYFTR_LEASE            10000

/* NGX_OK: this one, or it may begin; NGX_DECLINED: another one */
ngx_int_t ngx_lyftr_lease_take(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err);
ngx_uint_t ngx_lyftr_lease_owned(ngx_lyftr_sqlite_t *c);
void ngx_lyftr_lease_begin(ngx_lyftr_sqlite_t *c);

/* tells the others that this process is at work */
void ngx_lyftr_lease_beat(ngx_lyftr_sqlite_t *c);
void ngx_lyftr_lease_leave(ngx_lyftr_sqlite_t *c);

/* the number that the next segment gets, if nobody else takes one */
void ngx_lyftr_lease_number(ngx_lyftr_sqlite_t *c, int64_t next);

/* reads lyftr_state; NGX_LYFTR_ERR_BUSY: another process has it now */
ngx_int_t ngx_lyftr_lease_fence(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_wal.c */

/* is there something that was not made durable when it was committed? */
void ngx_lyftr_sqlite_wal_init(ngx_lyftr_sqlite_t *c, ngx_uint_t failed);

/* takes down how many pages it has; SQLite calls it after a commit */
int ngx_lyftr_sqlite_wal_hook(void *data, sqlite3 *db, const char *name,
    int pages);

/* pages that have come into the WAL since it began */
int ngx_lyftr_sqlite_pages(ngx_lyftr_sqlite_t *c);

/*
 * Makes durable what was committed before any of these processes wrote, or
 * before a sync failed; under the file lock.
 */
ngx_int_t ngx_lyftr_sqlite_sync(ngx_lyftr_sqlite_t *c, ngx_uint_t write,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);

/* the database, of which a part was copied */
ngx_int_t ngx_lyftr_sqlite_sync_db(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* tells all writers that a commit may have left what is not durable */
void ngx_lyftr_sqlite_unsynced(ngx_lyftr_sqlite_t *c);

/* a commit has begun, or has ended well */
void ngx_lyftr_sqlite_committing(ngx_lyftr_sqlite_t *c, ngx_uint_t begun);

/* as SQLite does it, in one of its modes; what it returned */
int ngx_lyftr_sqlite_checkpoint_as(ngx_lyftr_sqlite_t *c, int mode);

/* is the WAL so long that it is worth to wait for readers, now? */
ngx_uint_t ngx_lyftr_sqlite_long(ngx_lyftr_sqlite_t *c);

/*
 * The rest needs the file lock, and no transaction.  NGX_LYFTR_ERR_LOG if
 * nothing must be written.
 */
ngx_int_t ngx_lyftr_sqlite_room(ngx_lyftr_sqlite_t *c, ngx_uint_t write,
    ngx_lyftr_error_t *err);

/* has the WAL begin anew, waiting for readers; what SQLite returned */
int ngx_lyftr_sqlite_restart(ngx_lyftr_sqlite_t *c, int wait);

/* empties it; takes the lock.  NGX_DONE: a reader holds it */
ngx_int_t ngx_lyftr_sqlite_empty(ngx_lyftr_sqlite_t *c, int wait,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);

/* gives the disk what the WAL has behind the last commit */
void ngx_lyftr_sqlite_wal_trim(ngx_lyftr_sqlite_t *c);


/* ngx_lyftr_sqlite_place.c */

ngx_uint_t ngx_lyftr_sqlite_equal(void *a, void *b);

/* finds the path */
ngx_int_t ngx_lyftr_sqlite_resolve(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* before anything is opened or created: can a store be kept here? */
ngx_int_t ngx_lyftr_sqlite_place(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_files.c */

void ngx_lyftr_sqlite_name(ngx_lyftr_sqlite_t *c, ngx_lyftr_file_e file,
    char *name);

/* that with all links resolved */
char *ngx_lyftr_sqlite_path(ngx_lyftr_sqlite_t *c);

/* bytes, when they were looked at last; those of the WAL may be cut */
off_t ngx_lyftr_sqlite_size(ngx_lyftr_sqlite_t *c);
off_t ngx_lyftr_sqlite_wal_size(ngx_lyftr_sqlite_t *c);

/* bytes that are free on its disk, for this user */
int64_t ngx_lyftr_sqlite_free_bytes(ngx_lyftr_sqlite_t *c);
void ngx_lyftr_sqlite_wal_cut(ngx_lyftr_sqlite_t *c, off_t size);

/* checks that the files are those that were opened first */
ngx_int_t ngx_lyftr_sqlite_files(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* the same before opening them, and after that */
ngx_int_t ngx_lyftr_sqlite_files_known(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_sqlite_files_learn(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);


#endif /* _NGX_LYFTR_SQLITE_DISK_H_INCLUDED_ */

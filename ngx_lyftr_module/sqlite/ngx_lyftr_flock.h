/*
 * A lock on a file between processes and threads, with a deadline.  The kernel
 * frees it when its holder dies.  Runs in pool threads.
 */


#ifndef _NGX_LYFTR_FLOCK_H_INCLUDED_
#define _NGX_LYFTR_FLOCK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    int                  fd;
    unsigned             held:1;
} ngx_lyftr_flock_t;


/* creates the file, mode 0600; NGX_OK, or NGX_ERROR and errno */
ngx_int_t ngx_lyftr_flock_open(ngx_lyftr_flock_t *lock, const char *path);
void ngx_lyftr_flock_close(ngx_lyftr_flock_t *lock);

/* NGX_OK, NGX_DECLINED: somebody else has it, or NGX_ERROR and errno */
ngx_int_t ngx_lyftr_flock_try(ngx_lyftr_flock_t *lock);

/* the same, but waits until the deadline, in ms of CLOCK_MONOTONIC */
ngx_int_t ngx_lyftr_flock_take(ngx_lyftr_flock_t *lock, ngx_msec_t deadline);
void ngx_lyftr_flock_release(ngx_lyftr_flock_t *lock);

/*
 * Another lock of the same file, which is held until it is disowned or the
 * file is closed.  NGX_OK, NGX_DECLINED: somebody else has it, or NGX_ERROR and
 * errno.
 */
ngx_int_t ngx_lyftr_flock_own(ngx_lyftr_flock_t *lock);
void ngx_lyftr_flock_disown(ngx_lyftr_flock_t *lock);

/* the milliseconds left until the deadline; 0 if it has passed */
ngx_msec_t ngx_lyftr_flock_left(ngx_msec_t deadline);


#endif /* _NGX_LYFTR_FLOCK_H_INCLUDED_ */

/*
 * The clock of deadlines, for threads and for what knows no event loop.
 */


#ifndef _NGX_LYFTR_CLOCK_H_INCLUDED_
#define _NGX_LYFTR_CLOCK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <time.h>


/* that of the deadlines, for threads: ngx_current_msec is the event loop's */

static ngx_inline ngx_msec_t
ngx_lyftr_clock(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (ngx_msec_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


/* the same clock in microseconds */

static ngx_inline int64_t
ngx_lyftr_usec(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


#endif /* _NGX_LYFTR_CLOCK_H_INCLUDED_ */

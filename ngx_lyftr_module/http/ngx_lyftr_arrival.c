#include <ngx_lyftr_outcome.h>


/* usec; a process may have to wait between two looks at clocks */
#define NGX_LYFTR_ARRIVAL_STEP     10000


static int64_t ngx_lyftr_arrival_now(void);


/* of this process: between the two clocks, and when that was last another */

static int64_t  ngx_lyftr_arrival_offset;
static int64_t  ngx_lyftr_arrival_stepped;


/*
 * nginx notes by the clock of the wall when a request came.  As long as that
 * does not step, it differs from the other clock by the same; after a step it
 * tells nothing about a request that came before.
 */

int64_t
ngx_lyftr_arrival_usec(ngx_http_request_t *r)
{
    int64_t  now, start;

    now = ngx_lyftr_arrival_now();

    start = (int64_t) r->start_sec * 1000000 + (int64_t) r->start_msec * 1000
            - ngx_lyftr_arrival_offset;

    return (start < ngx_lyftr_arrival_stepped || start > now) ? now : start;
}


void
ngx_lyftr_arrival_clock(void)
{
    (void) ngx_lyftr_arrival_now();
}


static int64_t
ngx_lyftr_arrival_now(void)
{
    int64_t         now, offset, step;
    struct timeval  tv;

    ngx_gettimeofday(&tv);

    now = ngx_lyftr_usec();
    offset = (int64_t) tv.tv_sec * 1000000 + tv.tv_usec - now;
    step = offset - ngx_lyftr_arrival_offset;

    if (step > NGX_LYFTR_ARRIVAL_STEP || step < -NGX_LYFTR_ARRIVAL_STEP) {
        ngx_lyftr_arrival_stepped = now;
        ngx_lyftr_arrival_offset = offset;
    }

    return now;
}

#ifndef _NGX_LYFTR_HISTOGRAM_H_INCLUDED_
#define _NGX_LYFTR_HISTOGRAM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* the most of a scale */
#define NGX_LYFTR_BUCKETS          14


/* the last limit of a scale is the largest number there is */

typedef struct {
    int64_t                       limit;
    char                         *le;
} ngx_lyftr_bucket_t;


typedef struct {
    int64_t                       unit;          /* so many are 1 of a sum */
    ngx_lyftr_bucket_t            bucket[NGX_LYFTR_BUCKETS];
} ngx_lyftr_scale_t;


/* shared by all processes; it begins as zeroes */

typedef struct {
    ngx_atomic_t                  bucket[NGX_LYFTR_BUCKETS];
    ngx_atomic_t                  sum;
} ngx_lyftr_histogram_t;


/* of one thread, until it is added to a histogram; it begins as zeroes */

typedef struct {
    ngx_uint_t                    n;
    int64_t                       sum;
    ngx_uint_t                    bucket[NGX_LYFTR_BUCKETS];
} ngx_lyftr_tally_t;


/* the values of these are microseconds, milliseconds, and numbers */

extern ngx_lyftr_scale_t  ngx_lyftr_seconds;
extern ngx_lyftr_scale_t  ngx_lyftr_skews;
extern ngx_lyftr_scale_t  ngx_lyftr_sizes;


void ngx_lyftr_tally_add(ngx_lyftr_tally_t *tally, ngx_lyftr_scale_t *scale,
    int64_t value);

/* costs an atomic addition for the sum, and one a bucket that has something */
void ngx_lyftr_histogram_merge(ngx_lyftr_histogram_t *histogram,
    ngx_lyftr_tally_t *tally);

/* one value */
void ngx_lyftr_histogram_add(ngx_lyftr_histogram_t *histogram,
    ngx_lyftr_scale_t *scale, int64_t value);


#endif /* _NGX_LYFTR_HISTOGRAM_H_INCLUDED_ */

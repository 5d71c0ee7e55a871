/*
 * Numbers that all processes share, and how Prometheus reads them: histograms,
 * a zone that keeps something for each label, and lines of the text format.
 * This folder takes values.  It never knows a request, a store, or what is
 * counted: who counts, and which metrics there are, is in http/.
 */


#ifndef _NGX_LYFTR_METRICS_H_INCLUDED_
#define _NGX_LYFTR_METRICS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_message.h>


/* ngx_lyftr_histogram.c */

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


/* ngx_lyftr_zone.c */

#define NGX_LYFTR_LABEL_LEN        128
#define NGX_LYFTR_ZONE_KINDS       4

/* as many again for labels that only workers which are to exit still have */
#define NGX_LYFTR_SLOTS(max)       (2 * (max))


/* a kind of labels, and how much is kept for each; that begins as zeroes */

typedef struct {
    size_t                        size;
    ngx_uint_t                    max;           /* of a configuration */
    ngx_uint_t                    strict;        /* more are refused */
} ngx_lyftr_zone_kind_t;


typedef struct {
    ngx_str_t                     name;
    void                         *data;          /* when it is mapped */
} ngx_lyftr_label_t;


typedef struct ngx_lyftr_zone_shared_s  ngx_lyftr_zone_shared_t;


/* what a configuration has of it */

typedef struct {
    ngx_lyftr_zone_kind_t        *kinds;
    ngx_uint_t                    n;
    size_t                        size;          /* of what has no label */
    void                         *data;          /* that, when it is mapped */
    ngx_array_t                   labels[NGX_LYFTR_ZONE_KINDS];
    ngx_lyftr_zone_shared_t      *shared;
} ngx_lyftr_zone_t;


/* with the table of its kinds; NGX_OK or NGX_ERROR */
ngx_int_t ngx_lyftr_zone_create(ngx_conf_t *cf, ngx_lyftr_zone_t *zone,
    ngx_lyftr_zone_kind_t *kinds, ngx_uint_t n, size_t size);

/* finds or adds a label; its index, or NGX_ERROR */
ngx_int_t ngx_lyftr_zone_label(ngx_conf_t *cf, ngx_lyftr_zone_t *zone,
    ngx_uint_t kind, ngx_str_t *name);

/* all labels are known: asks nginx for the memory; tag is that of the module */
ngx_int_t ngx_lyftr_zone_init(ngx_conf_t *cf, ngx_lyftr_zone_t *zone,
    void *tag);

/* gives the labels their slots, now that the configuration is in force */
void ngx_lyftr_zone_commit(ngx_lyftr_zone_t *zone);

/* of a label by its index */

#define ngx_lyftr_zone_name(zone, kind, i)                                    \
    (&((ngx_lyftr_label_t *) (zone)->labels[kind].elts)[i].name)

#define ngx_lyftr_zone_data(zone, kind, i)                                    \
    (((ngx_lyftr_label_t *) (zone)->labels[kind].elts)[i].data)


/* ngx_lyftr_metrics.c: these append to out; NGX_OK or NGX_ERROR */

/* a label of a line */

typedef struct {
    char                         *name;
    ngx_str_t                    *value;
} ngx_lyftr_metric_label_t;


/* the lines before those of a metric */
ngx_int_t ngx_lyftr_metrics_head(ngx_lyftr_output_t *out, char *metric,
    char *type, char *help);

/* value / unit, where unit is a power of ten; with a unit of 0 it is NaN */
ngx_int_t ngx_lyftr_metrics_line(ngx_lyftr_output_t *out, char *metric,
    ngx_lyftr_metric_label_t *labels, ngx_uint_t n, int64_t value,
    int64_t unit);

ngx_int_t ngx_lyftr_metrics_histogram(ngx_lyftr_output_t *out, char *metric,
    ngx_lyftr_metric_label_t *label, ngx_lyftr_histogram_t *histogram,
    ngx_lyftr_scale_t *scale);


#endif /* _NGX_LYFTR_METRICS_H_INCLUDED_ */

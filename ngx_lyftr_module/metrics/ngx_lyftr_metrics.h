#ifndef _NGX_LYFTR_METRICS_H_INCLUDED_
#define _NGX_LYFTR_METRICS_H_INCLUDED_


#include <ngx_lyftr_output.h>
#include <ngx_lyftr_zone.h>


/* an upper bound of a line less its label */
#define NGX_LYFTR_LINE_LEN         256

/* what a label can grow to: %FF for a byte */
#define NGX_LYFTR_METRIC_LABEL     (3 * NGX_LYFTR_LABEL_LEN)


typedef struct ngx_lyftr_metric_s  ngx_lyftr_metric_t;

typedef ngx_int_t (*ngx_lyftr_metric_pt)(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);

struct ngx_lyftr_metric_s {
    char                         *name;
    char                         *type;
    char                         *help;
    ngx_lyftr_metric_pt           write;

    /* of a store: where its status has it, and what writes that, or a scale */
    size_t                        offset;
    u_char                     *(*value)(u_char *p, ngx_lyftr_store_t *store,
                                      ngx_atomic_t *word);
    ngx_lyftr_scale_t            *scale;
};


/* ngx_lyftr_metrics_write.c */

ngx_int_t ngx_lyftr_metrics_write_requests(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
ngx_int_t ngx_lyftr_metrics_write_durations(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
ngx_int_t ngx_lyftr_metrics_write_results(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
ngx_int_t ngx_lyftr_metrics_write_refusals(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
ngx_int_t ngx_lyftr_metrics_write_secrets(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
ngx_int_t ngx_lyftr_metrics_write_build(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
ngx_int_t ngx_lyftr_metrics_write_store(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
ngx_int_t ngx_lyftr_metrics_write_jobs(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
ngx_int_t ngx_lyftr_metrics_write_histogram(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);

u_char *ngx_lyftr_metrics_count(u_char *p, ngx_lyftr_store_t *store,
    ngx_atomic_t *word);
u_char *ngx_lyftr_metrics_flag(u_char *p, ngx_lyftr_store_t *store,
    ngx_atomic_t *word);
u_char *ngx_lyftr_metrics_gauge(u_char *p, ngx_lyftr_store_t *store,
    ngx_atomic_t *word);
u_char *ngx_lyftr_metrics_age(u_char *p, ngx_lyftr_store_t *store,
    ngx_atomic_t *word);
u_char *ngx_lyftr_metrics_pending(u_char *p, ngx_lyftr_store_t *store,
    ngx_atomic_t *word);
u_char *ngx_lyftr_metrics_ready(u_char *p, ngx_lyftr_store_t *store,
    ngx_atomic_t *word);
u_char *ngx_lyftr_metrics_max_wal(u_char *p, ngx_lyftr_store_t *store,
    ngx_atomic_t *word);


#endif /* _NGX_LYFTR_METRICS_H_INCLUDED_ */

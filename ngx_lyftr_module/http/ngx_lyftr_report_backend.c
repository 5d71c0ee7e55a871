#include <ngx_lyftr_counters.h>
#include <ngx_lyftr_outcome.h>


static ngx_lyftr_gauge_t *ngx_lyftr_report_named(ngx_lyftr_backend_t *backend,
    char *name);
static ngx_int_t ngx_lyftr_report_stores(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, char *name);


ngx_int_t
ngx_lyftr_report_backend(ngx_lyftr_output_t *out, ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_backend_t *backend)
{
    ngx_uint_t             n;
    ngx_lyftr_gauge_t     *gauge;
    ngx_lyftr_backend_t  **before;

    for (n = 0; backend->gauge[n].name; n++) {
        gauge = &backend->gauge[n];

        for (before = lmcf->backends; *before != backend; before++) {
            if (ngx_lyftr_report_named(*before, gauge->name)) {
                break;
            }
        }

        if (*before == backend
            && (ngx_lyftr_metrics_head(out, gauge->name, gauge->type,
                                       gauge->help)
                != NGX_OK
                || ngx_lyftr_report_stores(out, lmcf, gauge->name) != NGX_OK))
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_lyftr_gauge_t *
ngx_lyftr_report_named(ngx_lyftr_backend_t *backend, char *name)
{
    ngx_uint_t  n;

    for (n = 0; backend->gauge[n].name; n++) {
        if (ngx_strcmp(backend->gauge[n].name, name) == 0) {
            return &backend->gauge[n];
        }
    }

    return NULL;
}


static ngx_int_t
ngx_lyftr_report_stores(ngx_lyftr_output_t *out, ngx_lyftr_main_conf_t *lmcf,
    char *name)
{
    int64_t                    value, unit;
    ngx_uint_t                 i;
    ngx_atomic_t              *word;
    ngx_lyftr_gauge_t         *gauge;
    ngx_lyftr_store_t        **store;
    ngx_lyftr_metric_label_t   label;

    store = lmcf->stores.elts;
    label.name = "store";

    for (i = 0; i < lmcf->stores.nelts; i++) {
        gauge = ngx_lyftr_report_named(store[i]->backend, name);

        if (gauge == NULL) {
            continue;
        }

        label.value = &store[i]->name;
        word = &store[i]->status->gauges[gauge - store[i]->backend->gauge];
        unit = 1;

        value = gauge->param
                ? *(ngx_int_t *) ((u_char *) store[i]->dsn + gauge->param)
                : ngx_lyftr_report_gauge(store[i], word, &unit);

        if (ngx_lyftr_metrics_line(out, name, &label, 1, value, unit)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* what the housekeeping has seen */

int64_t
ngx_lyftr_report_gauge(ngx_lyftr_store_t *store, ngx_atomic_t *word,
    int64_t *unit)
{
    if (ngx_lyftr_status_get(store->status->looked) == 0) {
        *unit = 0;
    }

    return (int64_t) ngx_lyftr_status_get(*word);
}

#include <ngx_lyftr_metrics.h>
#include <ngx_lyftr_outcome.h>


static ngx_int_t ngx_lyftr_metrics_histogram(ngx_lyftr_output_t *out,
    char *metric, char *kind, ngx_str_t *label,
    ngx_lyftr_histogram_t *histogram, ngx_lyftr_scale_t *scale);
static u_char *ngx_lyftr_metrics_decimal(u_char *p, int64_t n, int64_t unit);
static u_char *ngx_lyftr_metrics_escape(u_char *p, ngx_str_t *label);


/* the order is that of ngx_lyftr_refusal_e */

static ngx_str_t  ngx_lyftr_refusals[] = {
    ngx_string("missing"),
    ngx_string("malformed"),
    ngx_string("timestamp"),
    ngx_string("mismatch"),
    ngx_string("window")
};


/* 200 is written from the start, other statuses once they have been seen */

ngx_int_t
ngx_lyftr_metrics_write_requests(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric)
{
    u_char             *p;
    ngx_uint_t          i, n;
    ngx_lyftr_path_t   *path;
    ngx_lyftr_label_t  *label;

    label = lmcf->labels[NGX_LYFTR_LABEL_PATH].elts;

    for (i = 0; i < lmcf->labels[NGX_LYFTR_LABEL_PATH].nelts; i++) {
        path = label[i].slot;

        for (n = 0; n < NGX_LYFTR_STATUSES; n++) {

            if (path->status[n] == 0 && n != NGX_HTTP_OK - 99) {
                continue;
            }

            if (ngx_lyftr_output_reserve(out, NGX_LYFTR_LINE_LEN
                                              + NGX_LYFTR_METRIC_LABEL)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            p = ngx_sprintf(out->buf->last, "%s{path=\"", metric->name);
            p = ngx_lyftr_metrics_escape(p, &label[i].name);
            out->buf->last = ngx_sprintf(p, "\",status=\"%03ui\"} %uA\n",
                                         n ? n + 99 : 0, path->status[n]);
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_metrics_write_durations(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric)
{
    ngx_uint_t          i;
    ngx_lyftr_path_t   *path;
    ngx_lyftr_label_t  *label;

    label = lmcf->labels[NGX_LYFTR_LABEL_PATH].elts;

    for (i = 0; i < lmcf->labels[NGX_LYFTR_LABEL_PATH].nelts; i++) {
        path = label[i].slot;

        if (ngx_lyftr_metrics_histogram(out, metric->name, "path",
                                        &label[i].name, &path->duration,
                                        &ngx_lyftr_seconds)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_metrics_write_results(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric)
{
    ngx_uint_t  i;

    if (ngx_lyftr_output_reserve(out, NGX_LYFTR_RESULTS * NGX_LYFTR_LINE_LEN)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = NGX_LYFTR_RESULT_NONE + 1; i < NGX_LYFTR_RESULTS; i++) {
        out->buf->last = ngx_sprintf(out->buf->last, "%s{result=\"%V\"} %uA\n",
                                     metric->name, &ngx_lyftr_results[i],
                                     lmcf->zone->results[i]);
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_metrics_write_refusals(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric)
{
    ngx_uint_t  i;

    if (ngx_lyftr_output_reserve(out, NGX_LYFTR_REFUSALS * NGX_LYFTR_LINE_LEN)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_LYFTR_REFUSALS; i++) {
        out->buf->last = ngx_sprintf(out->buf->last, "%s{reason=\"%V\"} %uA\n",
                                     metric->name, &ngx_lyftr_refusals[i],
                                     lmcf->zone->refusals[i]);
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_metrics_write_secrets(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric)
{
    u_char                *p;
    ngx_uint_t             i;
    ngx_lyftr_label_t     *label;
    ngx_lyftr_verifier_t  *verifier;

    label = lmcf->labels[NGX_LYFTR_LABEL_SECRET].elts;

    for (i = 0; i < lmcf->labels[NGX_LYFTR_LABEL_SECRET].nelts; i++) {
        verifier = label[i].slot;

        if (ngx_lyftr_output_reserve(out, NGX_LYFTR_LINE_LEN
                                          + NGX_LYFTR_METRIC_LABEL)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        p = ngx_sprintf(out->buf->last, "%s{secret=\"", metric->name);
        p = ngx_lyftr_metrics_escape(p, &label[i].name);
        out->buf->last = ngx_sprintf(p, "\"} %uA\n", verifier->verified);
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_metrics_write_build(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric)
{
    u_char                *p;
    ngx_lyftr_backend_t  **backend;

    if (ngx_lyftr_output_reserve(out, 2 * NGX_LYFTR_LINE_LEN) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(out->buf->last, "%s{version=\"" NGX_LYFTR_VERSION
                    "\",nginx=\"" NGINX_VERSION "\"", metric->name);

    for (backend = lmcf->backends; *backend; backend++) {
        p = ngx_sprintf(p, ",%V=\"%s\"", &(*backend)->scheme,
                        (*backend)->version());
    }

    out->buf->last = ngx_sprintf(p, "} 1\n");

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_metrics_write_store(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric)
{
    u_char              *p;
    ngx_uint_t           i;
    ngx_atomic_t        *word;
    ngx_lyftr_store_t  **store;

    store = lmcf->stores.elts;

    for (i = 0; i < lmcf->stores.nelts; i++) {
        word = (ngx_atomic_t *) ((u_char *) store[i]->status + metric->offset);

        if (ngx_lyftr_output_reserve(out, NGX_LYFTR_LINE_LEN
                                          + NGX_LYFTR_METRIC_LABEL)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        p = ngx_sprintf(out->buf->last, "%s{store=\"", metric->name);
        p = ngx_lyftr_metrics_escape(p, &store[i]->name);
        p = ngx_cpymem(p, "\"} ", sizeof("\"} ") - 1);
        p = metric->value(p, store[i], word);
        *p++ = LF;

        out->buf->last = p;
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_metrics_write_jobs(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric)
{
    u_char                   *p;
    ngx_str_t                *name;
    ngx_uint_t                i, n;
    ngx_lyftr_store_t       **store;
    ngx_lyftr_backend_job_t  *job;

    store = lmcf->stores.elts;

    for (i = 0; i < lmcf->stores.nelts; i++) {
        name = store[i]->backend->jobs;

        for (n = 0; name[n].len; n++) {
            job = &store[i]->status->jobs[n];

            if (ngx_lyftr_output_reserve(out, NGX_LYFTR_LINE_LEN
                                              + 2 * NGX_LYFTR_LABEL_LEN)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            p = ngx_sprintf(out->buf->last, "%s{store=\"", metric->name);
            p = ngx_lyftr_metrics_escape(p, &store[i]->name);
            p = ngx_sprintf(p, "\",task=\"%V\"} ", &name[n]);
            p = metric->value(p, store[i],
                              (ngx_atomic_t *) ((u_char *) job
                                                + metric->offset));
            *p++ = LF;

            out->buf->last = p;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_metrics_write_histogram(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric)
{
    u_char              *histogram;
    ngx_uint_t           i;
    ngx_lyftr_store_t  **store;

    store = lmcf->stores.elts;

    for (i = 0; i < lmcf->stores.nelts; i++) {
        histogram = (u_char *) store[i]->status + metric->offset;

        if (ngx_lyftr_metrics_histogram(out, metric->name, "store",
                                        &store[i]->name,
                                        (ngx_lyftr_histogram_t *) histogram,
                                        metric->scale)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_metrics_histogram(ngx_lyftr_output_t *out, char *metric, char *kind,
    ngx_str_t *label, ngx_lyftr_histogram_t *histogram,
    ngx_lyftr_scale_t *scale)
{
    u_char      *p;
    uint64_t     count;
    ngx_str_t    name;
    ngx_uint_t   i;
    u_char       buf[NGX_LYFTR_METRIC_LABEL];

    name.data = buf;
    name.len = ngx_lyftr_metrics_escape(buf, label) - buf;

    if (ngx_lyftr_output_reserve(out, (NGX_LYFTR_BUCKETS + 2)
                                      * (NGX_LYFTR_LINE_LEN + name.len))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = out->buf->last;
    i = 0;
    count = 0;

    do {
        count += ngx_lyftr_status_get(histogram->bucket[i]);

        p = ngx_sprintf(p, "%s_bucket{%s=\"%V\",le=\"%s\"} %uL\n", metric,
                        kind, &name, scale->bucket[i].le, count);

    } while (scale->bucket[i++].limit != INT64_MAX);

    p = ngx_sprintf(p, "%s_sum{%s=\"%V\"} ", metric, kind, &name);
    p = ngx_lyftr_metrics_decimal(p,
                                (int64_t) ngx_lyftr_status_get(histogram->sum),
                                scale->unit);
    p = ngx_sprintf(p, "\n%s_count{%s=\"%V\"} %uL\n", metric, kind, &name,
                    count);

    out->buf->last = p;

    return NGX_OK;
}


u_char *
ngx_lyftr_metrics_count(u_char *p, ngx_lyftr_store_t *store,
    ngx_atomic_t *word)
{
    return ngx_sprintf(p, "%uA", ngx_lyftr_status_get(*word));
}


u_char *
ngx_lyftr_metrics_flag(u_char *p, ngx_lyftr_store_t *store,
    ngx_atomic_t *word)
{
    *p++ = ngx_lyftr_status_get(*word) ? '1' : '0';

    return p;
}


/* what the housekeeping has seen */

u_char *
ngx_lyftr_metrics_gauge(u_char *p, ngx_lyftr_store_t *store,
    ngx_atomic_t *word)
{
    if (ngx_lyftr_status_get(store->status->looked) == 0) {
        return ngx_cpymem(p, "NaN", sizeof("NaN") - 1);
    }

    return ngx_lyftr_metrics_count(p, store, word);
}


u_char *
ngx_lyftr_metrics_age(u_char *p, ngx_lyftr_store_t *store, ngx_atomic_t *word)
{
    ngx_msec_t      at;
    ngx_msec_int_t  age;

    at = ngx_lyftr_status_get(*word);

    if (at == 0) {
        return ngx_cpymem(p, "NaN", sizeof("NaN") - 1);
    }

    age = (ngx_msec_int_t) (ngx_lyftr_clock() - at);

    return ngx_lyftr_metrics_decimal(p, ngx_max(age, 0), 1000);
}


/* the workers that are gone have left no words that count */

u_char *
ngx_lyftr_metrics_pending(u_char *p, ngx_lyftr_store_t *store,
    ngx_atomic_t *word)
{
    ngx_int_t         i, n;
    ngx_uint_t        pending;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);

    n = ngx_min(ccf->worker_processes, NGX_LYFTR_WORKERS_MAX);
    pending = 0;

    for (i = 0; i < n; i++) {
        pending += ngx_lyftr_status_get(store->status->pending[i].n);
    }

    return ngx_sprintf(p, "%ui", pending);
}


u_char *
ngx_lyftr_metrics_ready(u_char *p, ngx_lyftr_store_t *store,
    ngx_atomic_t *word)
{
    *p++ = (!store->no_secret
            && ngx_lyftr_ready_known(store) == NGX_LYFTR_ERR_NONE) ? '1' : '0';

    return p;
}


u_char *
ngx_lyftr_metrics_max_wal(u_char *p, ngx_lyftr_store_t *store,
    ngx_atomic_t *word)
{
    return ngx_sprintf(p, "%i", store->max_wal);
}


/* n / unit; unit is a power of ten */

static u_char *
ngx_lyftr_metrics_decimal(u_char *p, int64_t n, int64_t unit)
{
    if (n < 0) {
        *p++ = '-';
        n = -n;
    }

    p = ngx_sprintf(p, "%L", n / unit);

    if (unit == 1) {
        return p;
    }

    *p++ = '.';

    for (unit /= 10; unit > 0; unit /= 10) {
        *p++ = (u_char) ('0' + n / unit % 10);
    }

    return p;
}


/*
 * The format takes UTF-8 and three escapes.  What is no text is written as in a
 * URL, and with it "%", so that two labels never become one.
 */

static u_char *
ngx_lyftr_metrics_escape(u_char *p, ngx_str_t *label)
{
    u_char    *s, *from, *last;
    uint32_t   ch;

    s = label->data;
    last = s + label->len;

    while (s < last) {
        from = s;
        ch = ngx_lyftr_utf8_decode(&s, last);

        if (ch == NGX_LYFTR_UTF8_INVALID || ch < 0x20 || ch == 0x7f
            || ch == '%')
        {
            p = ngx_sprintf(p, "%%%02Xi", (ngx_uint_t) *from);
            continue;
        }

        if (ch == '"' || ch == '\\') {
            *p++ = '\\';
        }

        p = ngx_cpymem(p, from, s - from);
    }

    return p;
}

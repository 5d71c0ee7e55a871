#include <ngx_lyftr_zone.h>


/* an upper bound of a line less its label */
#define NGX_LYFTR_LINE_LEN         256


typedef struct ngx_lyftr_metric_s  ngx_lyftr_metric_t;

struct ngx_lyftr_metric_s {
    char                         *name;
    char                         *type;
    char                         *help;
    ngx_int_t                   (*write)(ngx_lyftr_output_t *out,
                                      ngx_lyftr_main_conf_t *lmcf,
                                      ngx_lyftr_metric_t *metric);
    size_t                        offset;
};


typedef struct {
    ngx_uint_t                    usec;
    char                         *le;
} ngx_lyftr_bucket_t;


static ngx_int_t ngx_lyftr_metrics_write_requests(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
static ngx_int_t ngx_lyftr_metrics_write_durations(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
static ngx_int_t ngx_lyftr_metrics_write_results(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
static ngx_int_t ngx_lyftr_metrics_write_secrets(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
static ngx_int_t ngx_lyftr_metrics_write_store(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
static u_char *ngx_lyftr_metrics_escape(u_char *p, ngx_str_t *label);


static ngx_lyftr_metric_t  ngx_lyftr_metrics[] = {

    { "http_requests_total", "counter",
      "Requests that ended, by location and status.",
      ngx_lyftr_metrics_write_requests,
      0 },

    { "http_request_duration_seconds", "histogram",
      "Time from the first byte of a request to its end, by location; "
      "the same as request_latency_ms, in seconds.",
      ngx_lyftr_metrics_write_durations,
      0 },

    { "webhook_requests_total", "counter",
      "Deliveries by what became of them; a message that is stored counts "
      "as created even if its client has left.",
      ngx_lyftr_metrics_write_results,
      0 },

    { "lyftr_signatures_verified_total", "counter",
      "Signatures by the secret that verified them; a secret that stands "
      "still can be retired.",
      ngx_lyftr_metrics_write_secrets,
      0 },

    { "lyftr_store_commits_total", "counter",
      "Transactions committed to the store.",
      ngx_lyftr_metrics_write_store,
      offsetof(ngx_lyftr_status_t, commits) },

    { "lyftr_store_commit_deliveries_total", "counter",
      "Deliveries in these transactions; divided by their number it is the "
      "size of a batch.",
      ngx_lyftr_metrics_write_store,
      offsetof(ngx_lyftr_status_t, messages) },

    { "lyftr_store_failures_total", "counter",
      "Batches that could not be committed; the error log says why.",
      ngx_lyftr_metrics_write_store,
      offsetof(ngx_lyftr_status_t, failures) },

    { NULL, NULL, NULL, NULL, 0 }
};


static ngx_lyftr_bucket_t  ngx_lyftr_buckets[] = {
    { 500, "0.0005" },
    { 1000, "0.001" },
    { 2500, "0.0025" },
    { 5000, "0.005" },
    { 10000, "0.01" },
    { 25000, "0.025" },
    { 50000, "0.05" },
    { 100000, "0.1" },
    { 250000, "0.25" },
    { 500000, "0.5" },
    { 1000000, "1" },
    { 2500000, "2.5" },
    { 5000000, "5" },
    { (ngx_uint_t) -1, "+Inf" }
};


static ngx_str_t  ngx_lyftr_metrics_type =
    ngx_string("text/plain; version=0.0.4; charset=utf-8");


/* by the status, so before any other handler of the log phase may change it */

ngx_int_t
ngx_lyftr_metrics_log_handler(ngx_http_request_t *r)
{
    uint64_t                usec;
    ngx_uint_t              i, n, status;
    ngx_lyftr_ctx_t        *ctx;
    ngx_lyftr_path_t       *path;
    ngx_lyftr_label_t      *label;
    ngx_lyftr_result_e      result;
    ngx_lyftr_endpoint_t   *endpoint;
    ngx_lyftr_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_lyftr_module);
    endpoint = ngx_lyftr_request_endpoint(r);

    label = lmcf->labels[NGX_LYFTR_LABEL_PATH].elts;
    path = label[endpoint ? endpoint->label : 0].slot;

    status = ngx_lyftr_variables_status(r);
    n = (status >= 100 && status <= 599) ? status - 99 : 0;

    (void) ngx_atomic_fetch_add(&path->status[n], 1);

    usec = ngx_lyftr_variables_latency(r);

    for (i = 0; usec > ngx_lyftr_buckets[i].usec; i++) { /* void */ }

    (void) ngx_atomic_fetch_add(&path->bucket[i], 1);
    (void) ngx_atomic_fetch_add(&path->usec, (ngx_atomic_int_t) usec);

    if (endpoint && endpoint->kind->webhook) {
        ctx = ngx_lyftr_request_ctx(r);

        if (ctx == NULL || !ctx->counted) {
            result = ngx_lyftr_variables_result(r);
            ngx_lyftr_metrics_result(lmcf, result);
        }
    }

    return NGX_OK;
}


void
ngx_lyftr_metrics_result(ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_result_e result)
{
    (void) ngx_atomic_fetch_add(&lmcf->zone->results[result], 1);
}


void
ngx_lyftr_metrics_verified(ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_secret_t *secret)
{
    ngx_lyftr_label_t     *label;
    ngx_lyftr_verifier_t  *verifier;

    label = lmcf->labels[NGX_LYFTR_LABEL_SECRET].elts;
    verifier = label[secret->label].slot;

    (void) ngx_atomic_fetch_add(&verifier->verified, 1);
}


ngx_int_t
ngx_lyftr_metrics_handler(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_lyftr_output_t      out;
    ngx_lyftr_metric_t     *metric;
    ngx_lyftr_main_conf_t  *lmcf;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_lyftr_module);

    ngx_lyftr_output_init(&out, r->pool);

    for (metric = ngx_lyftr_metrics; metric->name; metric++) {

        if (ngx_lyftr_output_reserve(&out, 4 * NGX_LYFTR_LINE_LEN) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        out.buf->last = ngx_sprintf(out.buf->last,
                                    "# HELP %s %s\n# TYPE %s %s\n",
                                    metric->name, metric->help,
                                    metric->name, metric->type);

        if (metric->write(&out, lmcf, metric) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return ngx_lyftr_http_send_chain(r, NGX_HTTP_OK, &ngx_lyftr_metrics_type,
                                     out.out, ngx_lyftr_output_len(&out));
}


/* 200 is written from the start, other statuses once they have been seen */

static ngx_int_t
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
                                              + 2 * NGX_LYFTR_LABEL_LEN)
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


static ngx_int_t
ngx_lyftr_metrics_write_durations(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric)
{
    u_char             *p;
    uint64_t            usec, count;
    ngx_str_t           name;
    ngx_uint_t          i, n;
    ngx_lyftr_path_t   *path;
    ngx_lyftr_label_t  *label;
    u_char              buf[2 * NGX_LYFTR_LABEL_LEN];

    label = lmcf->labels[NGX_LYFTR_LABEL_PATH].elts;

    for (i = 0; i < lmcf->labels[NGX_LYFTR_LABEL_PATH].nelts; i++) {
        path = label[i].slot;

        name.data = buf;
        name.len = ngx_lyftr_metrics_escape(buf, &label[i].name) - buf;

        if (ngx_lyftr_output_reserve(out, (NGX_LYFTR_BUCKETS + 2)
                                          * (NGX_LYFTR_LINE_LEN + name.len))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        p = out->buf->last;
        count = 0;

        for (n = 0; n < NGX_LYFTR_BUCKETS; n++) {
            count += path->bucket[n];

            p = ngx_sprintf(p, "%s_bucket{path=\"%V\",le=\"%s\"} %uL\n",
                            metric->name, &name, ngx_lyftr_buckets[n].le,
                            count);
        }

        usec = path->usec;

        p = ngx_sprintf(p, "%s_sum{path=\"%V\"} %uL.%06uL\n",
                        metric->name, &name, usec / 1000000, usec % 1000000);
        p = ngx_sprintf(p, "%s_count{path=\"%V\"} %uL\n",
                        metric->name, &name, count);

        out->buf->last = p;
    }

    return NGX_OK;
}


static ngx_int_t
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


static ngx_int_t
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
                                          + 2 * NGX_LYFTR_LABEL_LEN)
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


static ngx_int_t
ngx_lyftr_metrics_write_store(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric)
{
    u_char                  *p;
    ngx_uint_t               i;
    ngx_atomic_t            *counter;
    ngx_lyftr_label_t       *label;
    ngx_lyftr_store_slot_t  *store;

    label = lmcf->labels[NGX_LYFTR_LABEL_STORE].elts;

    for (i = 0; i < lmcf->labels[NGX_LYFTR_LABEL_STORE].nelts; i++) {
        store = label[i].slot;
        counter = (ngx_atomic_t *) ((u_char *) &store->status
                                    + metric->offset);

        if (ngx_lyftr_output_reserve(out, NGX_LYFTR_LINE_LEN
                                          + 2 * NGX_LYFTR_LABEL_LEN)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        p = ngx_sprintf(out->buf->last, "%s{store=\"", metric->name);
        p = ngx_lyftr_metrics_escape(p, &label[i].name);
        out->buf->last = ngx_sprintf(p, "\"} %uA\n", *counter);
    }

    return NGX_OK;
}


/* the format takes UTF-8 and three escapes; a label here is plain ASCII */

static u_char *
ngx_lyftr_metrics_escape(u_char *p, ngx_str_t *label)
{
    u_char      ch;
    ngx_uint_t  i;

    for (i = 0; i < label->len; i++) {
        ch = label->data[i];

        if (ch < 0x20 || ch > 0x7e) {
            ch = '_';

        } else if (ch == '"' || ch == '\\') {
            *p++ = '\\';
        }

        *p++ = ch;
    }

    return p;
}

#include <ngx_lyftr_counters.h>
#include <ngx_lyftr_outcome.h>


/* that of the module, of nginx, and of the libraries of backends */
#define NGX_LYFTR_REPORT_VERSIONS  8


typedef struct ngx_lyftr_metric_s  ngx_lyftr_metric_t;

struct ngx_lyftr_metric_s {
    char                         *name;
    char                         *type;
    char                         *help;
    ngx_int_t                   (*write)(ngx_lyftr_output_t *out,
                                      ngx_lyftr_main_conf_t *lmcf,
                                      ngx_lyftr_metric_t *metric);

    /*
     * Of a store: where its status has it, and what makes a value of that, or a
     * scale.  A unit that becomes 0 says that the value is not known.
     */
    size_t                        offset;
    int64_t                     (*value)(ngx_lyftr_store_t *store,
                                      ngx_atomic_t *word, int64_t *unit);
    ngx_lyftr_scale_t            *scale;
};


static ngx_int_t ngx_lyftr_report_requests(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
static ngx_int_t ngx_lyftr_report_durations(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
static ngx_int_t ngx_lyftr_report_results(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
static ngx_int_t ngx_lyftr_report_items(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
static ngx_uint_t ngx_lyftr_report_has_items(ngx_lyftr_main_conf_t *lmcf,
    ngx_int_t label);
static ngx_int_t ngx_lyftr_report_streams(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
static ngx_int_t ngx_lyftr_report_refusals(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
static ngx_int_t ngx_lyftr_report_words(ngx_lyftr_output_t *out,
    ngx_lyftr_metric_t *metric, char *name, ngx_str_t *word,
    ngx_atomic_t *counter, ngx_uint_t n);
static ngx_int_t ngx_lyftr_report_process(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
static ngx_int_t ngx_lyftr_report_load(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
static ngx_int_t ngx_lyftr_report_secrets(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
static ngx_int_t ngx_lyftr_report_store(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
static ngx_int_t ngx_lyftr_report_jobs(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
static ngx_int_t ngx_lyftr_report_histogram(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
static ngx_int_t ngx_lyftr_report_build(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric);
static int64_t ngx_lyftr_report_count(ngx_lyftr_store_t *store,
    ngx_atomic_t *word, int64_t *unit);
static int64_t ngx_lyftr_report_flag(ngx_lyftr_store_t *store,
    ngx_atomic_t *word, int64_t *unit);
static int64_t ngx_lyftr_report_time(ngx_lyftr_store_t *store,
    ngx_atomic_t *word, int64_t *unit);
static int64_t ngx_lyftr_report_pending(ngx_lyftr_store_t *store,
    ngx_atomic_t *word, int64_t *unit);
static int64_t ngx_lyftr_report_ready(ngx_lyftr_store_t *store,
    ngx_atomic_t *word, int64_t *unit);


static ngx_lyftr_metric_t  ngx_lyftr_report_metrics[] = {

    { "http_requests_total", "counter",
      "Requests that ended, by location and status; a rise of 5xx: see "
      "webhook_requests_total, and the error log for the reason.",
      ngx_lyftr_report_requests,
      0, NULL, NULL },

    { "http_request_duration_seconds", "histogram",
      "Time from the first byte of a request to its end, by location; the "
      "same as request_latency_ms, in seconds. If it grows under "
      "/webhook, compare it with the wait and the commits of the store.",
      ngx_lyftr_report_durations,
      0, NULL, NULL },

    { "webhook_requests_total", "counter",
      "Deliveries by what became of them; a message that is stored counts "
      "as created even if its client has left. Ask the sender about "
      "invalid_signature and validation_error, and the error log about "
      "unavailable.",
      ngx_lyftr_report_results,
      0, NULL, NULL },

    { "lyftr_webhook_items_total", "counter",
      "What deliveries of format=whatsapp held, by kind and by what became of "
      "it; look at the type of malformed rows for what a sender has changed, "
      "and give the location statuses= to keep those that are ignored.",
      ngx_lyftr_report_items,
      0, NULL, NULL },

    { "lyftr_signature_failures_total", "counter",
      "Deliveries with invalid signatures: missing means that somebody "
      "else sends or a proxy drops the header, malformed that a sender "
      "has another format, mismatch that a secret is wrong.",
      ngx_lyftr_report_refusals,
      0, NULL, NULL },

    { "lyftr_signatures_verified_total", "counter",
      "Signatures by the secret that verified them; a secret that stands "
      "still can be retired.",
      ngx_lyftr_report_secrets,
      0, NULL, NULL },

    { "lyftr_streams", "gauge",
      "Streams that are open now; over max= of a worker more are refused.",
      ngx_lyftr_report_streams,
      0, NULL, NULL },

    { "lyftr_stream_events_total", "counter",
      "Messages that were sent on streams.",
      ngx_lyftr_report_process,
      offsetof(ngx_lyftr_counters_t, events), NULL, NULL },

    { "lyftr_stream_bytes_total", "counter",
      "Bytes that were sent on streams.",
      ngx_lyftr_report_process,
      offsetof(ngx_lyftr_counters_t, bytes), NULL, NULL },

    { "lyftr_streams_ended_total", "counter",
      "Streams that ended, by the reason; slow took nothing for send_timeout, "
      "and of store the error log has more.",
      ngx_lyftr_report_refusals,
      offsetof(ngx_lyftr_counters_t, ended), NULL, NULL },

    { "lyftr_store_ready", "gauge",
      "1 if nothing that is known makes the store unready; at 0 ask the "
      "path of lyftr_ready for the reason.",
      ngx_lyftr_report_store,
      offsetof(ngx_lyftr_status_t, error),
      ngx_lyftr_report_ready, NULL },

    { "lyftr_store_commits_total", "counter",
      "Transactions committed to the store; if it stands still while "
      "deliveries come, look at the failures.",
      ngx_lyftr_report_store,
      offsetof(ngx_lyftr_status_t, commits),
      ngx_lyftr_report_count, NULL },

    { "lyftr_store_commit_deliveries_total", "counter",
      "Deliveries in these transactions; divided by their number it is "
      "the size of a batch.",
      ngx_lyftr_report_store,
      offsetof(ngx_lyftr_status_t, messages),
      ngx_lyftr_report_count, NULL },

    { "lyftr_store_failures_total", "counter",
      "Batches that could not be committed; the error log says why.",
      ngx_lyftr_report_store,
      offsetof(ngx_lyftr_status_t, failures),
      ngx_lyftr_report_count, NULL },

    { "lyftr_store_commit_duration_seconds", "histogram",
      "Time that a commit took until it was durable; if it grows, the "
      "disk is slow or busy.",
      ngx_lyftr_report_histogram,
      offsetof(ngx_lyftr_status_t, commit), NULL,
      &ngx_lyftr_seconds },

    { "lyftr_store_batch_deliveries", "histogram",
      "Deliveries in a transaction; if most are as large as batch= "
      "allows, raise it.",
      ngx_lyftr_report_histogram,
      offsetof(ngx_lyftr_status_t, batch), NULL,
      &ngx_lyftr_sizes },

    { "lyftr_store_queue_depth", "gauge",
      "Deliveries that wait for a transaction; if it does not fall again, "
      "the disk does not keep up with the senders.",
      ngx_lyftr_report_store,
      offsetof(ngx_lyftr_status_t, pending),
      ngx_lyftr_report_pending, NULL },

    { "lyftr_store_queue_wait_seconds", "histogram",
      "Time that a delivery waited until its transaction began; if it "
      "grows and commits are short, another process holds the lock.",
      ngx_lyftr_report_histogram,
      offsetof(ngx_lyftr_status_t, wait[NGX_LYFTR_CHANNEL_WRITE]), NULL,
      &ngx_lyftr_seconds },

    { "lyftr_store_read_wait_seconds", "histogram",
      "Time that a read waited for a connection; if it grows, raise "
      "readers= and the threads of the pool.",
      ngx_lyftr_report_histogram,
      offsetof(ngx_lyftr_status_t, wait[NGX_LYFTR_CHANNEL_READ]), NULL,
      &ngx_lyftr_seconds },

    { "lyftr_message_clock_skew_seconds", "histogram",
      "Time from the ts of a message to its arrival, for those that were "
      "created, a year at most; below 0 a sender's clock is ahead of "
      "ours: check both, and above it the sender is behind with its "
      "deliveries.",
      ngx_lyftr_report_histogram,
      offsetof(ngx_lyftr_status_t, skew), NULL,
      &ngx_lyftr_skews },

    { "lyftr_store_last_commit_timestamp_seconds", "gauge",
      "Time of the last commit, NaN before the first; if it stands still "
      "while deliveries come, look at the failures.",
      ngx_lyftr_report_store,
      offsetof(ngx_lyftr_status_t, committed),
      ngx_lyftr_report_time, NULL },

    { "lyftr_store_upkeep_timestamp_seconds", "gauge",
      "Time at which the housekeeping looked at the store last: the gauges "
      "that follow are of then; NaN before that. If it stands still, the "
      "error log says why.",
      ngx_lyftr_report_store,
      offsetof(ngx_lyftr_status_t, looked),
      ngx_lyftr_report_time, NULL },

    { "lyftr_store_job_failing", "gauge",
      "1 if a job of the housekeeping has failed and was not done since, 0 "
      "otherwise; the error log says why, and what follows from it depends "
      "on the job.",
      ngx_lyftr_report_jobs,
      offsetof(ngx_lyftr_backend_job_t, failing),
      ngx_lyftr_report_flag, NULL },

    { "lyftr_store_job_failures_total", "counter",
      "Times that a job of the housekeeping failed; the others go on, and "
      "it is tried again.",
      ngx_lyftr_report_jobs,
      offsetof(ngx_lyftr_backend_job_t, failures),
      ngx_lyftr_report_count, NULL },

    { "lyftr_store_rows", "gauge",
      "Messages that are stored; plan the disk by its growth.",
      ngx_lyftr_report_store,
      offsetof(ngx_lyftr_status_t, rows),
      ngx_lyftr_report_gauge, NULL },

    { "lyftr_store_database_bytes", "gauge",
      "Size of the database without its WAL; see that the disk has room "
      "for more.",
      ngx_lyftr_report_store,
      offsetof(ngx_lyftr_status_t, bytes),
      ngx_lyftr_report_gauge, NULL },

    { "process_start_time_seconds", "gauge",
      "Time at which nginx was started; a reload does not change it. If it "
      "changes by itself, see what has ended nginx.",
      ngx_lyftr_report_process,
      offsetof(ngx_lyftr_counters_t, started), NULL, NULL },

    { "lyftr_config_last_load_successful", "gauge",
      "1 if the configuration that was read last is in force; at 0 it was "
      "refused, and the one before goes on: nginx -t says why.",
      ngx_lyftr_report_load,
      offsetof(ngx_lyftr_counters_t, load_failed), NULL, NULL },

    { "lyftr_config_last_load_timestamp_seconds", "gauge",
      "Time at which a configuration was read last, at a start or a reload; "
      "see that it is later than your change.",
      ngx_lyftr_report_process,
      offsetof(ngx_lyftr_counters_t, loaded), NULL, NULL },

    { "lyftr_workers_died_total", "counter",
      "Worker processes that ended without being told to, and were "
      "replaced; the error log has the signal.",
      ngx_lyftr_report_process,
      offsetof(ngx_lyftr_counters_t, died), NULL, NULL },

    { "lyftr_build_info", "gauge",
      "Always 1; the versions are the labels: see that all instances have "
      "the same after an upgrade.",
      ngx_lyftr_report_build,
      0, NULL, NULL },

    { NULL, NULL, NULL, NULL, 0, NULL, NULL }
};


static ngx_str_t  ngx_lyftr_report_type =
    ngx_string("text/plain; version=0.0.4; charset=utf-8");


/* the kinds and results of items; the order is that of ngx_lyftr_item_e */

static struct {
    ngx_str_t  kind;
    ngx_str_t  result;

} ngx_lyftr_report_series[NGX_LYFTR_ITEMS] = {

    { ngx_string("message"), ngx_string("created") },
    { ngx_string("message"), ngx_string("duplicate") },
    { ngx_string("message"), ngx_string("malformed") },
    { ngx_string("status"), ngx_string("created") },
    { ngx_string("status"), ngx_string("duplicate") },
    { ngx_string("status"), ngx_string("malformed") },
    { ngx_string("status"), ngx_string("ignored") },
    { ngx_string("other"), ngx_string("ignored") }
};


/* the order is that of ngx_lyftr_stream_end_e */

static ngx_str_t  ngx_lyftr_report_ends[] = {
    ngx_string("client"), ngx_string("slow"),
    ngx_string("shutdown"), ngx_string("store")
};


/* the order is that of ngx_lyftr_refusal_e */

static ngx_str_t  ngx_lyftr_refusals[] = {
    ngx_string("missing"),
    ngx_string("malformed"),
    ngx_string("timestamp"),
    ngx_string("mismatch"),
    ngx_string("window")
};


ngx_int_t
ngx_lyftr_metrics_handler(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_lyftr_output_t      out;
    ngx_lyftr_metric_t     *metric;
    ngx_lyftr_backend_t   **backend;
    ngx_lyftr_main_conf_t  *lmcf;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_lyftr_module);

    ngx_lyftr_output_init(&out, r->pool);

    for (metric = ngx_lyftr_report_metrics; metric->name; metric++) {

        if (ngx_lyftr_metrics_head(&out, metric->name, metric->type,
                                   metric->help)
            != NGX_OK
            || metric->write(&out, lmcf, metric) != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    for (backend = lmcf->backends; *backend; backend++) {
        if (ngx_lyftr_report_backend(&out, lmcf, *backend) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return ngx_lyftr_http_send_chain(r, NGX_HTTP_OK, &ngx_lyftr_report_type,
                                     out.out, ngx_lyftr_output_len(&out));
}


/* 200 is written from the start, other statuses once they have been seen */

static ngx_int_t
ngx_lyftr_report_requests(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric)
{
    u_char                     buf[NGX_INT_T_LEN];
    ngx_str_t                  status;
    ngx_uint_t                 i, n;
    ngx_lyftr_path_t          *path;
    ngx_lyftr_metric_label_t   labels[2];

    status.data = buf;

    labels[0].name = "path";
    labels[1].name = "status";
    labels[1].value = &status;

    for (i = 0; i < lmcf->zone.labels[NGX_LYFTR_LABEL_PATH].nelts; i++) {
        path = ngx_lyftr_zone_data(&lmcf->zone, NGX_LYFTR_LABEL_PATH, i);
        labels[0].value = ngx_lyftr_zone_name(&lmcf->zone,
                                              NGX_LYFTR_LABEL_PATH, i);

        for (n = 0; n < NGX_LYFTR_STATUSES; n++) {

            if (path->status[n] == 0 && n != NGX_HTTP_OK - 99) {
                continue;
            }

            status.len = ngx_sprintf(buf, "%03ui", n ? n + 99 : 0) - buf;

            if (ngx_lyftr_metrics_line(out, metric->name, labels, 2,
                                       path->status[n], 1)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_report_durations(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric)
{
    ngx_uint_t                 i;
    ngx_lyftr_path_t          *path;
    ngx_lyftr_metric_label_t   label;

    label.name = "path";

    for (i = 0; i < lmcf->zone.labels[NGX_LYFTR_LABEL_PATH].nelts; i++) {
        path = ngx_lyftr_zone_data(&lmcf->zone, NGX_LYFTR_LABEL_PATH, i);
        label.value = ngx_lyftr_zone_name(&lmcf->zone, NGX_LYFTR_LABEL_PATH,
                                          i);

        if (ngx_lyftr_metrics_histogram(out, metric->name, &label,
                                        &path->duration, &ngx_lyftr_seconds)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_report_results(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric)
{
    ngx_lyftr_counters_t  *counters;

    counters = lmcf->zone.data;

    return ngx_lyftr_report_words(out, metric, "result",
                                  &ngx_lyftr_results[NGX_LYFTR_CREATED],
                                  &counters->results[NGX_LYFTR_CREATED],
                                  NGX_LYFTR_RESULTS_COUNTED
                                  - NGX_LYFTR_CREATED);
}


static ngx_int_t
ngx_lyftr_report_items(ngx_lyftr_output_t *out, ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_metric_t *metric)
{
    ngx_uint_t                 i, n;
    ngx_lyftr_path_t          *path;
    ngx_lyftr_metric_label_t   labels[3];

    labels[0].name = "path";
    labels[1].name = "kind";
    labels[2].name = "result";

    for (i = 0; i < lmcf->zone.labels[NGX_LYFTR_LABEL_PATH].nelts; i++) {

        if (!ngx_lyftr_report_has_items(lmcf, i)) {
            continue;
        }

        path = ngx_lyftr_zone_data(&lmcf->zone, NGX_LYFTR_LABEL_PATH, i);
        labels[0].value = ngx_lyftr_zone_name(&lmcf->zone,
                                              NGX_LYFTR_LABEL_PATH, i);

        for (n = 0; n < NGX_LYFTR_ITEMS; n++) {
            labels[1].value = &ngx_lyftr_report_series[n].kind;
            labels[2].value = &ngx_lyftr_report_series[n].result;

            if (ngx_lyftr_metrics_line(out, metric->name, labels, 3,
                                       path->items[n], 1)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


/* has a location of this label a format with many items? */

static ngx_uint_t
ngx_lyftr_report_has_items(ngx_lyftr_main_conf_t *lmcf, ngx_int_t label)
{
    ngx_uint_t              i;
    ngx_lyftr_endpoint_t  **endpoint;

    endpoint = lmcf->endpoints.elts;

    for (i = 0; i < lmcf->endpoints.nelts; i++) {

        if (endpoint[i]->label == label
            && endpoint[i]->kind == &ngx_lyftr_format_items)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_lyftr_report_streams(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric)
{
    return ngx_lyftr_metrics_line(out, metric->name, NULL, 0,
                                  ngx_lyftr_counters_streams(lmcf), 1);
}


static ngx_int_t
ngx_lyftr_report_refusals(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric)
{
    ngx_lyftr_counters_t  *counters;

    counters = lmcf->zone.data;

    if (metric->offset == offsetof(ngx_lyftr_counters_t, ended)) {
        return ngx_lyftr_report_words(out, metric, "reason",
                                      ngx_lyftr_report_ends, counters->ended,
                                      NGX_LYFTR_STREAM_ENDS);
    }

    return ngx_lyftr_report_words(out, metric, "reason", ngx_lyftr_refusals,
                                  counters->refusals, NGX_LYFTR_REFUSALS);
}


/* a counter for each of n words */

static ngx_int_t
ngx_lyftr_report_words(ngx_lyftr_output_t *out, ngx_lyftr_metric_t *metric,
    char *name, ngx_str_t *word, ngx_atomic_t *counter, ngx_uint_t n)
{
    ngx_uint_t                 i;
    ngx_lyftr_metric_label_t   label;

    label.name = name;

    for (i = 0; i < n; i++) {
        label.value = &word[i];

        if (ngx_lyftr_metrics_line(out, metric->name, &label, 1, counter[i], 1)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_report_process(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric)
{
    ngx_atomic_t  *word;

    word = (ngx_atomic_t *) ((u_char *) lmcf->zone.data + metric->offset);

    return ngx_lyftr_metrics_line(out, metric->name, NULL, 0, *word, 1);
}


static ngx_int_t
ngx_lyftr_report_load(ngx_lyftr_output_t *out, ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_metric_t *metric)
{
    ngx_atomic_t  *word;

    word = (ngx_atomic_t *) ((u_char *) lmcf->zone.data + metric->offset);

    return ngx_lyftr_metrics_line(out, metric->name, NULL, 0, *word == 0, 1);
}


static ngx_int_t
ngx_lyftr_report_secrets(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric)
{
    ngx_uint_t                 i;
    ngx_lyftr_verifier_t      *verifier;
    ngx_lyftr_metric_label_t   label;

    label.name = "secret";

    for (i = 0; i < lmcf->zone.labels[NGX_LYFTR_LABEL_SECRET].nelts; i++) {
        verifier = ngx_lyftr_zone_data(&lmcf->zone, NGX_LYFTR_LABEL_SECRET, i);
        label.value = ngx_lyftr_zone_name(&lmcf->zone, NGX_LYFTR_LABEL_SECRET,
                                          i);

        if (ngx_lyftr_metrics_line(out, metric->name, &label, 1,
                                   verifier->verified, 1)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_report_store(ngx_lyftr_output_t *out, ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_metric_t *metric)
{
    int64_t                    value, unit;
    ngx_uint_t                 i;
    ngx_atomic_t              *word;
    ngx_lyftr_store_t        **store;
    ngx_lyftr_metric_label_t   label;

    store = lmcf->stores.elts;
    label.name = "store";

    for (i = 0; i < lmcf->stores.nelts; i++) {
        label.value = &store[i]->name;

        word = (ngx_atomic_t *) ((u_char *) store[i]->status + metric->offset);

        unit = 1;
        value = metric->value(store[i], word, &unit);

        if (ngx_lyftr_metrics_line(out, metric->name, &label, 1, value, unit)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_report_jobs(ngx_lyftr_output_t *out, ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_metric_t *metric)
{
    int64_t                    value, unit;
    ngx_str_t                 *name;
    ngx_uint_t                 i, n;
    ngx_atomic_t              *word;
    ngx_lyftr_store_t        **store;
    ngx_lyftr_metric_label_t   labels[2];

    store = lmcf->stores.elts;
    labels[0].name = "store";
    labels[1].name = "task";

    for (i = 0; i < lmcf->stores.nelts; i++) {
        labels[0].value = &store[i]->name;

        name = store[i]->backend->jobs;

        for (n = 0; name[n].len; n++) {
            labels[1].value = &name[n];

            word = (ngx_atomic_t *) ((u_char *) &store[i]->status->jobs[n]
                                     + metric->offset);

            unit = 1;
            value = metric->value(store[i], word, &unit);

            if (ngx_lyftr_metrics_line(out, metric->name, labels, 2, value,
                                       unit)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_report_histogram(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_metric_t *metric)
{
    u_char                    *histogram;
    ngx_uint_t                 i;
    ngx_lyftr_store_t        **store;
    ngx_lyftr_metric_label_t   label;

    store = lmcf->stores.elts;
    label.name = "store";

    for (i = 0; i < lmcf->stores.nelts; i++) {
        label.value = &store[i]->name;

        histogram = (u_char *) store[i]->status + metric->offset;

        if (ngx_lyftr_metrics_histogram(out, metric->name, &label,
                                        (ngx_lyftr_histogram_t *) histogram,
                                        metric->scale)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* the versions are the labels, one for the library of each backend */

static ngx_int_t
ngx_lyftr_report_build(ngx_lyftr_output_t *out, ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_metric_t *metric)
{
    ngx_str_t                  versions[NGX_LYFTR_REPORT_VERSIONS];
    ngx_uint_t                 n;
    ngx_lyftr_backend_t      **backend;
    ngx_lyftr_metric_label_t   labels[NGX_LYFTR_REPORT_VERSIONS];

    ngx_str_set(&versions[0], NGX_LYFTR_VERSION);
    ngx_str_set(&versions[1], NGINX_VERSION);

    labels[0].name = "version";
    labels[0].value = &versions[0];
    labels[1].name = "nginx";
    labels[1].value = &versions[1];

    n = 2;

    for (backend = lmcf->backends; *backend; backend++) {
        versions[n].data = (u_char *) (*backend)->version();
        versions[n].len = ngx_strlen(versions[n].data);

        labels[n].name = (char *) (*backend)->schemes[0].data;
        labels[n].value = &versions[n];

        if (++n == NGX_LYFTR_REPORT_VERSIONS) {
            break;
        }
    }

    return ngx_lyftr_metrics_line(out, metric->name, labels, n, 1, 1);
}


static int64_t
ngx_lyftr_report_count(ngx_lyftr_store_t *store, ngx_atomic_t *word,
    int64_t *unit)
{
    return (int64_t) ngx_lyftr_status_get(*word);
}


static int64_t
ngx_lyftr_report_flag(ngx_lyftr_store_t *store, ngx_atomic_t *word,
    int64_t *unit)
{
    return ngx_lyftr_status_get(*word) != 0;
}


/* by the clock of the wall, of which the zone knows nothing */

static int64_t
ngx_lyftr_report_time(ngx_lyftr_store_t *store, ngx_atomic_t *word,
    int64_t *unit)
{
    ngx_msec_t       at;
    ngx_msec_int_t   age;
    struct timespec  now;

    at = ngx_lyftr_status_get(*word);

    *unit = at ? 1000 : 0;

    age = (ngx_msec_int_t) (ngx_lyftr_clock() - at);

    (void) clock_gettime(CLOCK_REALTIME, &now);

    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000
           - ngx_max(age, 0);
}


/* the workers that are gone have left no words that count */

static int64_t
ngx_lyftr_report_pending(ngx_lyftr_store_t *store, ngx_atomic_t *word,
    int64_t *unit)
{
    int64_t           pending;
    ngx_int_t         i, n;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);

    n = ngx_min(ccf->worker_processes, NGX_LYFTR_WORKERS_MAX);
    pending = 0;

    for (i = 0; i < n; i++) {
        pending += (int64_t) ngx_lyftr_status_get(store->status->pending[i].n);
    }

    return pending;
}


static int64_t
ngx_lyftr_report_ready(ngx_lyftr_store_t *store, ngx_atomic_t *word,
    int64_t *unit)
{
    return !store->no_secret
           && ngx_lyftr_ready_known(store) == NGX_LYFTR_ERR_NONE;
}

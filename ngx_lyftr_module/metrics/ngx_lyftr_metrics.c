#include <ngx_lyftr_metrics.h>
#include <ngx_lyftr_outcome.h>


static ngx_lyftr_metric_t  ngx_lyftr_metrics[] = {

    { "http_requests_total", "counter",
      "Requests that ended, by location and status; a rise of 5xx: see "
      "webhook_requests_total, and the error log for the reason.",
      ngx_lyftr_metrics_write_requests,
      0, NULL, NULL },

    { "http_request_duration_seconds", "histogram",
      "Time from the first byte of a request to its end, by location; the "
      "same as request_latency_ms, in seconds. If it grows under "
      "/webhook, compare it with the wait and the commits of the store.",
      ngx_lyftr_metrics_write_durations,
      0, NULL, NULL },

    { "webhook_requests_total", "counter",
      "Deliveries by what became of them; a message that is stored counts "
      "as created even if its client has left. Ask the sender about "
      "invalid_signature and validation_error, and the error log about "
      "unavailable.",
      ngx_lyftr_metrics_write_results,
      0, NULL, NULL },

    { "lyftr_signature_failures_total", "counter",
      "Deliveries with invalid signatures: missing means that somebody "
      "else sends or a proxy drops the header, malformed that a sender "
      "has another format, mismatch that a secret is wrong.",
      ngx_lyftr_metrics_write_refusals,
      0, NULL, NULL },

    { "lyftr_signatures_verified_total", "counter",
      "Signatures by the secret that verified them; a secret that stands "
      "still can be retired.",
      ngx_lyftr_metrics_write_secrets,
      0, NULL, NULL },

    { "lyftr_store_ready", "gauge",
      "1 if nothing that is known makes the store unready; at 0 ask the "
      "path of lyftr_ready for the reason.",
      ngx_lyftr_metrics_write_store,
      offsetof(ngx_lyftr_status_t, error),
      ngx_lyftr_metrics_ready, NULL },

    { "lyftr_store_commits_total", "counter",
      "Transactions committed to the store; if it stands still while "
      "deliveries come, look at the failures.",
      ngx_lyftr_metrics_write_store,
      offsetof(ngx_lyftr_status_t, commits),
      ngx_lyftr_metrics_count, NULL },

    { "lyftr_store_commit_deliveries_total", "counter",
      "Deliveries in these transactions; divided by their number it is "
      "the size of a batch.",
      ngx_lyftr_metrics_write_store,
      offsetof(ngx_lyftr_status_t, messages),
      ngx_lyftr_metrics_count, NULL },

    { "lyftr_store_failures_total", "counter",
      "Batches that could not be committed; the error log says why.",
      ngx_lyftr_metrics_write_store,
      offsetof(ngx_lyftr_status_t, failures),
      ngx_lyftr_metrics_count, NULL },

    { "lyftr_store_commit_duration_seconds", "histogram",
      "Time that a commit took until it was durable; if it grows, the "
      "disk is slow or busy.",
      ngx_lyftr_metrics_write_histogram,
      offsetof(ngx_lyftr_status_t, commit), NULL,
      &ngx_lyftr_seconds },

    { "lyftr_store_batch_deliveries", "histogram",
      "Deliveries in a transaction; if most are as large as batch= "
      "allows, raise it.",
      ngx_lyftr_metrics_write_histogram,
      offsetof(ngx_lyftr_status_t, batch), NULL,
      &ngx_lyftr_sizes },

    { "lyftr_store_queue_depth", "gauge",
      "Deliveries that wait for a transaction; if it does not fall again, "
      "the disk does not keep up with the senders.",
      ngx_lyftr_metrics_write_store,
      offsetof(ngx_lyftr_status_t, pending),
      ngx_lyftr_metrics_pending, NULL },

    { "lyftr_store_queue_wait_seconds", "histogram",
      "Time that a delivery waited until its transaction began; if it "
      "grows and commits are short, another process holds the lock.",
      ngx_lyftr_metrics_write_histogram,
      offsetof(ngx_lyftr_status_t, wait[NGX_LYFTR_CHANNEL_WRITE]), NULL,
      &ngx_lyftr_seconds },

    { "lyftr_store_read_wait_seconds", "histogram",
      "Time that a read waited for a connection; if it grows, raise "
      "readers= and the threads of the pool.",
      ngx_lyftr_metrics_write_histogram,
      offsetof(ngx_lyftr_status_t, wait[NGX_LYFTR_CHANNEL_READ]), NULL,
      &ngx_lyftr_seconds },

    { "lyftr_message_clock_skew_seconds", "histogram",
      "Time from the ts of a message to its arrival, for those that were "
      "created, a year at most; below 0 a sender's clock is ahead of "
      "ours: check both, and above it the sender is behind with its "
      "deliveries.",
      ngx_lyftr_metrics_write_histogram,
      offsetof(ngx_lyftr_status_t, skew), NULL,
      &ngx_lyftr_skews },

    { "lyftr_store_last_commit_age_seconds", "gauge",
      "Time since the last commit, NaN before the first; if it grows "
      "while deliveries come, look at the failures.",
      ngx_lyftr_metrics_write_store,
      offsetof(ngx_lyftr_status_t, committed),
      ngx_lyftr_metrics_age, NULL },

    { "lyftr_store_upkeep_age_seconds", "gauge",
      "Time since the housekeeping looked at the store last: the gauges "
      "that follow are as old; NaN before that. If it grows, the error "
      "log says why.",
      ngx_lyftr_metrics_write_store,
      offsetof(ngx_lyftr_status_t, looked),
      ngx_lyftr_metrics_age, NULL },

    { "lyftr_store_job_failing", "gauge",
      "1 if a job of the housekeeping has failed and was not done since, 0 "
      "otherwise; the error log says why, and what follows from it depends "
      "on the job.",
      ngx_lyftr_metrics_write_jobs,
      offsetof(ngx_lyftr_backend_job_t, failing),
      ngx_lyftr_metrics_flag, NULL },

    { "lyftr_store_job_failures_total", "counter",
      "Times that a job of the housekeeping failed; the others go on, and "
      "it is tried again.",
      ngx_lyftr_metrics_write_jobs,
      offsetof(ngx_lyftr_backend_job_t, failures),
      ngx_lyftr_metrics_count, NULL },

    { "lyftr_store_rows", "gauge",
      "Messages that are stored; plan the disk by its growth.",
      ngx_lyftr_metrics_write_store,
      offsetof(ngx_lyftr_status_t, rows),
      ngx_lyftr_metrics_gauge, NULL },

    { "lyftr_store_unindexed_rows", "gauge",
      "The newest messages, which no segment has yet; if it grows beyond "
      "131072 writers are slowed down, so lower the load or get a faster "
      "disk.",
      ngx_lyftr_metrics_write_store,
      offsetof(ngx_lyftr_status_t, unindexed),
      ngx_lyftr_metrics_gauge, NULL },

    { "lyftr_store_uncounted_rows", "gauge",
      "The newest messages, which the counts of senders do not have yet; "
      "reads count them one by one, so if it grows the housekeeping is "
      "behind.",
      ngx_lyftr_metrics_write_store,
      offsetof(ngx_lyftr_status_t, uncounted),
      ngx_lyftr_metrics_gauge, NULL },

    { "lyftr_store_search_lag_rows", "gauge",
      "The newest messages, which the search index does not have yet, 0 if "
      "the store makes none; a search scans them, so if it grows the "
      "housekeeping is behind.",
      ngx_lyftr_metrics_write_store,
      offsetof(ngx_lyftr_status_t, search_lag),
      ngx_lyftr_metrics_gauge, NULL },

    { "lyftr_store_wal_pages", "gauge",
      "Pages in the WAL since it began anew; if it only grows, a reader "
      "that does not end keeps the checkpoints from it.",
      ngx_lyftr_metrics_write_store,
      offsetof(ngx_lyftr_status_t, wal_pages),
      ngx_lyftr_metrics_gauge, NULL },

    { "lyftr_store_wal_bytes", "gauge",
      "Size of the WAL's file; when what it holds comes to the limit "
      "deliveries are refused, so look for long reads before.",
      ngx_lyftr_metrics_write_store,
      offsetof(ngx_lyftr_status_t, wal_bytes),
      ngx_lyftr_metrics_gauge, NULL },

    { "lyftr_store_wal_limit_bytes", "gauge",
      "The limit: max_wal= of the store.",
      ngx_lyftr_metrics_write_store,
      offsetof(ngx_lyftr_status_t, wal_bytes),
      ngx_lyftr_metrics_max_wal, NULL },

    { "lyftr_store_database_bytes", "gauge",
      "Size of the database without its WAL; see that the disk has room "
      "for more.",
      ngx_lyftr_metrics_write_store,
      offsetof(ngx_lyftr_status_t, bytes),
      ngx_lyftr_metrics_gauge, NULL },

    { "lyftr_build_info", "gauge",
      "Always 1; the versions are the labels: see that all instances have "
      "the same after an upgrade.",
      ngx_lyftr_metrics_write_build,
      0, NULL, NULL },

    { NULL, NULL, NULL, NULL, 0, NULL, NULL }
};


static ngx_str_t  ngx_lyftr_metrics_type =
    ngx_string("text/plain; version=0.0.4; charset=utf-8");


/* by the status, so before any other handler of the log phase may change it */

ngx_int_t
ngx_lyftr_metrics_log_handler(ngx_http_request_t *r)
{
    ngx_uint_t              n, status;
    ngx_lyftr_ctx_t        *ctx;
    ngx_lyftr_path_t       *path;
    ngx_lyftr_label_t      *label;
    ngx_lyftr_result_e      result;
    ngx_lyftr_endpoint_t   *endpoint;
    ngx_lyftr_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_lyftr_module);
    endpoint = ngx_lyftr_location_endpoint(r);

    label = lmcf->labels[NGX_LYFTR_LABEL_PATH].elts;
    path = label[endpoint ? endpoint->label : 0].slot;

    status = ngx_lyftr_outcome_status(r);
    n = (status >= 100 && status <= 599) ? status - 99 : 0;

    (void) ngx_atomic_fetch_add(&path->status[n], 1);

    ngx_lyftr_histogram_add(&path->duration, &ngx_lyftr_seconds,
                            ngx_lyftr_outcome_latency(r));

    if (endpoint && endpoint->kind->webhook) {
        ctx = ngx_lyftr_request_ctx(r);

        if (ctx == NULL || !ctx->counted) {
            result = ngx_lyftr_outcome_result(r);
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


void
ngx_lyftr_metrics_refused(ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_refusal_e reason)
{
    (void) ngx_atomic_fetch_add(&lmcf->zone->refusals[reason], 1);
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

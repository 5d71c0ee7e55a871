#include <ngx_lyftr_metrics.h>


static ngx_uint_t ngx_lyftr_histogram_bucket(ngx_lyftr_scale_t *scale,
    int64_t value);


ngx_lyftr_scale_t  ngx_lyftr_seconds = {
    1000000,
    { { 500, "0.0005" },
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
      { INT64_MAX, "+Inf" } }
};


ngx_lyftr_scale_t  ngx_lyftr_skews = {
    1000,
    { { -3600000, "-3600" },
      { -60000, "-60" },
      { -10000, "-10" },
      { -1000, "-1" },
      { 0, "0" },
      { 1000, "1" },
      { 10000, "10" },
      { 60000, "60" },
      { 600000, "600" },
      { 3600000, "3600" },
      { 86400000, "86400" },
      { 604800000, "604800" },
      { INT64_MAX, "+Inf" } }
};


ngx_lyftr_scale_t  ngx_lyftr_sizes = {
    1,
    { { 1, "1" },
      { 2, "2" },
      { 4, "4" },
      { 8, "8" },
      { 16, "16" },
      { 32, "32" },
      { 64, "64" },
      { 128, "128" },
      { 256, "256" },
      { 512, "512" },
      { 1024, "1024" },
      { INT64_MAX, "+Inf" } }
};


void
ngx_lyftr_tally_add(ngx_lyftr_tally_t *tally, ngx_lyftr_scale_t *scale,
    int64_t value)
{
    tally->n++;
    tally->sum += value;
    tally->bucket[ngx_lyftr_histogram_bucket(scale, value)]++;
}


static ngx_uint_t
ngx_lyftr_histogram_bucket(ngx_lyftr_scale_t *scale, int64_t value)
{
    ngx_uint_t  i;

    for (i = 0; value > scale->bucket[i].limit; i++) { /* void */ }

    return i;
}


void
ngx_lyftr_histogram_merge(ngx_lyftr_histogram_t *histogram,
    ngx_lyftr_tally_t *tally)
{
    ngx_uint_t  i;

    if (tally->n == 0) {
        return;
    }

    for (i = 0; i < NGX_LYFTR_BUCKETS; i++) {
        if (tally->bucket[i]) {
            (void) __atomic_fetch_add(&histogram->bucket[i], tally->bucket[i],
                                      __ATOMIC_RELAXED);
        }
    }

    (void) __atomic_fetch_add(&histogram->sum, (ngx_atomic_uint_t) tally->sum,
                              __ATOMIC_RELAXED);
}


void
ngx_lyftr_histogram_add(ngx_lyftr_histogram_t *histogram,
    ngx_lyftr_scale_t *scale, int64_t value)
{
    ngx_uint_t  i;

    i = ngx_lyftr_histogram_bucket(scale, value);

    (void) __atomic_fetch_add(&histogram->bucket[i], 1, __ATOMIC_RELAXED);
    (void) __atomic_fetch_add(&histogram->sum, (ngx_atomic_uint_t) value,
                              __ATOMIC_RELAXED);
}

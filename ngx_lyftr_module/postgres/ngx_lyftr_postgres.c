#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres_backend.h>
#include <ngx_lyftr_postgres_jobs.h>

#include <stdio.h>


/* the longest keep=, a hundred years, and the shortest that needs no force */
#define NGX_LYFTR_POSTGRES_LONGEST                                            \
    ((ngx_int_t) 36500 * 24 * 3600 * 1000)
#define NGX_LYFTR_POSTGRES_SHORTEST ((ngx_int_t) 8 * 24 * 3600 * 1000)


static void ngx_lyftr_postgres_advice(ngx_lyftr_error_t *text);
static const char *ngx_lyftr_postgres_version(void);
static ngx_int_t ngx_lyftr_postgres_configure(void *data,
    ngx_uint_t connections, ngx_lyftr_error_t *err);
static void ngx_lyftr_postgres_renew(void *data);
static ngx_int_t ngx_lyftr_postgres_verify(void *conn,
    ngx_lyftr_check_t *check, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static void ngx_lyftr_postgres_settle(void *conn, ngx_msec_t deadline);


static ngx_str_t  ngx_lyftr_postgres_schemes[] = {
    ngx_string("postgresql"),
    ngx_string("postgres"),
    ngx_null_string
};


/* the order is that of ngx_lyftr_postgres_durability_e */

static ngx_str_t  ngx_lyftr_postgres_durabilities[] = {
    ngx_string("any"),
    ngx_string("standby"),
    ngx_string("storage"),
    ngx_null_string
};


static ngx_lyftr_param_t  ngx_lyftr_postgres_params[] = {

    { ngx_string("durability="), NGX_LYFTR_PARAM_ENUM,
      offsetof(ngx_lyftr_postgres_dsn_t, durability),
      0, 2, NGX_LYFTR_POSTGRES_ANY, ngx_lyftr_postgres_durabilities },

    { ngx_string("prepare="), NGX_LYFTR_PARAM_FLAG,
      offsetof(ngx_lyftr_postgres_dsn_t, prepare),
      0, 1, 1, NULL },

    { ngx_string("search="), NGX_LYFTR_PARAM_FLAG,
      offsetof(ngx_lyftr_postgres_dsn_t, search),
      0, 1, 0, NULL },

    { ngx_string("keep="), NGX_LYFTR_PARAM_MSEC,
      offsetof(ngx_lyftr_postgres_dsn_t, keep),
      1000, NGX_LYFTR_POSTGRES_LONGEST, 0, NULL },

    { ngx_string("keep_bytes="), NGX_LYFTR_PARAM_BYTES,
      offsetof(ngx_lyftr_postgres_dsn_t, keep_bytes),
      1 << 20, NGX_MAX_INT_T_VALUE, 0, NULL },

    { ngx_string("keep_force"), NGX_LYFTR_PARAM_WORD,
      offsetof(ngx_lyftr_postgres_dsn_t, keep_force),
      0, 1, 0, NULL },

    { ngx_null_string, 0, 0, 0, 0, 0, NULL }
};


/* the order is that of ngx_lyftr_postgres_gauge_e */

static ngx_lyftr_gauge_t  ngx_lyftr_postgres_gauge[] = {

    { "lyftr_store_count_lag_places", "gauge",
      "The newest places of the log, which the counts in PostgreSQL do not "
      "have yet; reads count them one by one, so if it grows the housekeeping "
      "is behind.",
      0 },

    { "lyftr_store_search_lag_places", "gauge",
      "The newest places of the log, which the search index in PostgreSQL does "
      "not have yet, 0 if the store makes none; a search reads them, so if it "
      "grows the housekeeping is behind.",
      0 },

    { "lyftr_store_oldest_timestamp_seconds", "gauge",
      "When the oldest message came, 0 if there is none.",
      0 },

    { "lyftr_store_keep_seconds", "gauge",
      "keep= of the store, 0 if messages stay for ever.",
      0 },

    { "lyftr_store_keep_lag_seconds", "gauge",
      "For how long the oldest message should have left by keep=; up to a "
      "twentieth of that is as it should be, beyond look at the jobs \"leave\" "
      "and \"rebuild\".",
      0 },

    { "lyftr_store_left_rows_total", "counter",
      "Messages that left by keep= or keep_bytes= and were deleted.",
      0 },

    { "lyftr_store_left_bytes_total", "counter",
      "Bytes of these messages.",
      0 },

    { NULL, NULL, NULL, 0 }
};


ngx_lyftr_backend_t  ngx_lyftr_postgres_backend = {
    .schemes = ngx_lyftr_postgres_schemes,
    .size = sizeof(ngx_lyftr_postgres_dsn_t),
    .params = ngx_lyftr_postgres_params,
    .gauge = ngx_lyftr_postgres_gauge,
    .jobs = ngx_lyftr_postgres_jobs,
    .advice = ngx_lyftr_postgres_advice,
    .version = ngx_lyftr_postgres_version,
    .init = ngx_lyftr_postgres_init,
    .configure = ngx_lyftr_postgres_configure,
    .same = ngx_lyftr_postgres_same,
    .renew = ngx_lyftr_postgres_renew,
    .open = ngx_lyftr_postgres_open,
    .close = ngx_lyftr_postgres_close,
    .begin = ngx_lyftr_postgres_begin,
    .turn = ngx_lyftr_postgres_turn,
    .write = ngx_lyftr_postgres_write,
    .end = ngx_lyftr_postgres_end,
    .watch = ngx_lyftr_postgres_watch,
    .list = ngx_lyftr_postgres_list,
    .follow = ngx_lyftr_postgres_follow,
    .stats = ngx_lyftr_postgres_stats,
    .probe = ngx_lyftr_postgres_probe,
    .housekeep = ngx_lyftr_postgres_housekeep,
    .gauges = ngx_lyftr_postgres_gauges,
    .check = ngx_lyftr_postgres_verify,
    .settle = ngx_lyftr_postgres_settle
};


static void
ngx_lyftr_postgres_advice(ngx_lyftr_error_t *text)
{
    text->len = 0;
}


/* that of libpq */

static const char *
ngx_lyftr_postgres_version(void)
{
    int          n;
    static char  version[32];

    n = PQlibVersion();

    (void) snprintf(version, sizeof(version), "%d.%d", n / 10000, n % 10000);

    return version;
}


static ngx_int_t
ngx_lyftr_postgres_configure(void *data, ngx_uint_t connections,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_postgres_dsn_t *dsn = data;

    /* an id that left is new again, and some deliver it for a week */

    if (dsn->keep && dsn->keep < NGX_LYFTR_POSTGRES_SHORTEST
        && !dsn->keep_force)
    {
        return ngx_lyftr_postgres_fail(dsn, err, NGX_LYFTR_ERR_OPEN,
                                       "keep= must be at least 8 days, since "
                                       "senders try again for 7, or needs "
                                       "keep_force");
    }

    return NGX_OK;
}


/* what is there now is right, also if it is another store, or has less */

static void
ngx_lyftr_postgres_renew(void *data)
{
    ngx_lyftr_postgres_dsn_t *dsn = data;

    ngx_memzero((void *) dsn->common.words,
                NGX_LYFTR_POSTGRES_WORDS * sizeof(ngx_atomic_t));
}


/* damage of its pages is for PostgreSQL to find: its checksums, amcheck */

static ngx_int_t
ngx_lyftr_postgres_verify(void *conn, ngx_lyftr_check_t *check,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    return NGX_DECLINED;
}


/* all that was committed is where it belongs */

static void
ngx_lyftr_postgres_settle(void *conn, ngx_msec_t deadline)
{
}

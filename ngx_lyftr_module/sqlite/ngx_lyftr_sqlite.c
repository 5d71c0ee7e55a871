#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_backend.h>
#include <ngx_lyftr_sqlite_disk.h>
#include <ngx_lyftr_sqlite_jobs.h>


/* the longest keep=, a hundred years, and the shortest that needs no force */
#define NGX_LYFTR_SQLITE_LONG      ((ngx_int_t) 36500 * 24 * 3600 * 1000)
#define NGX_LYFTR_SQLITE_SHORT     ((ngx_int_t) 8 * 24 * 3600 * 1000)

/* the least that a connection works well with */
#define NGX_LYFTR_SQLITE_CACHE     (256 * 1024)


static void ngx_lyftr_sqlite_advice(ngx_lyftr_error_t *text);
static ngx_int_t ngx_lyftr_sqlite_configure(void *data, ngx_uint_t connections,
    ngx_lyftr_error_t *err);
static void ngx_lyftr_sqlite_renew(void *data);
static ngx_uint_t ngx_lyftr_sqlite_erases(void *data);
static void ngx_lyftr_sqlite_finish(void *conn);
static ngx_int_t ngx_lyftr_sqlite_begin_read(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_begin_write(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_write(void *conn, ngx_lyftr_batch_t *batch,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);


static ngx_str_t  ngx_lyftr_sqlite_schemes[] = {
    ngx_string("sqlite"),
    ngx_null_string
};


static ngx_lyftr_param_t  ngx_lyftr_sqlite_params[] = {

    { ngx_string("max_wal="), NGX_LYFTR_PARAM_BYTES,
      offsetof(ngx_lyftr_sqlite_dsn_t, max_wal),
      16 << 20, NGX_MAX_INT_T_VALUE, 256 << 20, NULL },

    { ngx_string("cache="), NGX_LYFTR_PARAM_BYTES,
      offsetof(ngx_lyftr_sqlite_dsn_t, caches),
      1 << 20, NGX_MAX_INT_T_VALUE, 144 << 20, NULL },

    { ngx_string("search="), NGX_LYFTR_PARAM_FLAG,
      offsetof(ngx_lyftr_sqlite_dsn_t, search),
      0, 1, 0, NULL },

    { ngx_string("force"), NGX_LYFTR_PARAM_WORD,
      offsetof(ngx_lyftr_sqlite_dsn_t, force),
      0, 1, 0, NULL },

    { ngx_string("keep="), NGX_LYFTR_PARAM_MSEC,
      offsetof(ngx_lyftr_sqlite_dsn_t, keep),
      1000, NGX_LYFTR_SQLITE_LONG, 0, NULL },

    { ngx_string("keep_bytes="), NGX_LYFTR_PARAM_BYTES,
      offsetof(ngx_lyftr_sqlite_dsn_t, keep_bytes),
      1 << 20, NGX_MAX_INT_T_VALUE, 0, NULL },

    { ngx_string("keep_force"), NGX_LYFTR_PARAM_WORD,
      offsetof(ngx_lyftr_sqlite_dsn_t, keep_force),
      0, 1, 0, NULL },

    { ngx_string("erase_key="), NGX_LYFTR_PARAM_KEY,
      offsetof(ngx_lyftr_sqlite_dsn_t, erase_key),
      0, 0, 0, NULL },

    { ngx_null_string, 0, 0, 0, 0, 0, NULL }
};


static ngx_lyftr_gauge_t  ngx_lyftr_sqlite_gauge[] = {

    { "lyftr_store_unindexed_rows", "gauge",
      "The newest messages, which no segment has yet; if it grows beyond "
      "131072 writers are slowed down, so lower the load or get a faster "
      "disk.",
      0 },

    { "lyftr_store_uncounted_rows", "gauge",
      "The newest messages, which the counts of senders do not have yet; "
      "reads count them one by one, so if it grows the housekeeping is "
      "behind.",
      0 },

    { "lyftr_store_search_lag_rows", "gauge",
      "The newest messages, which the search index does not have yet, 0 if "
      "the store makes none; a search scans them, so if it grows the "
      "housekeeping is behind.",
      0 },

    { "lyftr_store_wal_pages", "gauge",
      "Pages in the WAL since it began anew; if it only grows, a reader "
      "that does not end keeps the checkpoints from it.",
      0 },

    { "lyftr_store_wal_bytes", "gauge",
      "Size of the WAL's file; when what it holds comes to the limit "
      "deliveries are refused, so look for long reads before.",
      0 },

    { "lyftr_store_wal_limit_bytes", "gauge",
      "The limit: max_wal= of the store.",
      offsetof(ngx_lyftr_sqlite_dsn_t, max_wal) },

    { "lyftr_store_free_bytes", "gauge",
      "Room on the disk of the database for the worker's user; when there is "
      "none deliveries are refused, so make some before.",
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

    { "lyftr_store_erasing_rows", "gauge",
      "Messages that were erased, and are not yet overwritten wherever they "
      "were, or 1 if only the WAL is left; if it does not fall look at the job "
      "\"erase\".",
      0 },

    { "lyftr_store_erased_rows_total", "counter",
      "Messages that were erased.",
      0 },

    { NULL, NULL, NULL, 0 }
};


/* what all processes share has room for them */

_Static_assert(NGX_LYFTR_WORD_SYNCED < NGX_LYFTR_WORDS, "words");
_Static_assert(NGX_LYFTR_JOBS <= NGX_LYFTR_JOBS_MAX, "jobs");
_Static_assert(sizeof(ngx_lyftr_sqlite_gauge) / sizeof(ngx_lyftr_gauge_t)
               <= NGX_LYFTR_GAUGES_MAX + 1, "gauges");


ngx_lyftr_backend_t  ngx_lyftr_sqlite_backend = {
    ngx_lyftr_sqlite_schemes,
    sizeof(ngx_lyftr_sqlite_dsn_t),
    ngx_lyftr_sqlite_params,
    ngx_lyftr_sqlite_gauge,
    ngx_lyftr_sqlite_jobs,
    ngx_lyftr_sqlite_advice,
    sqlite3_libversion,
    ngx_lyftr_sqlite_init,
    ngx_lyftr_sqlite_configure,
    ngx_lyftr_sqlite_equal,
    ngx_lyftr_sqlite_renew,
    ngx_lyftr_sqlite_open,
    ngx_lyftr_sqlite_finish,
    ngx_lyftr_sqlite_begin_read,
    ngx_lyftr_sqlite_begin_write,
    ngx_lyftr_sqlite_write,
    ngx_lyftr_sqlite_rollback,
    ngx_lyftr_sqlite_watch,
    ngx_lyftr_sqlite_list,
    ngx_lyftr_sqlite_follow,
    ngx_lyftr_sqlite_stats,
    ngx_lyftr_sqlite_probe,
    ngx_lyftr_sqlite_housekeep,
    ngx_lyftr_sqlite_gauges,
    ngx_lyftr_sqlite_verify,
    ngx_lyftr_sqlite_settle,
    ngx_lyftr_sqlite_erase,
    ngx_lyftr_sqlite_erases
};


/* https://sqlite.org/wal.html, "The WAL-Reset Bug" */

static void
ngx_lyftr_sqlite_advice(ngx_lyftr_error_t *text)
{
    int  version;

    version = sqlite3_libversion_number();

    text->len = 0;

    if (version >= 3051003
        || (version >= 3050007 && version < 3051000)
        || (version >= 3044006 && version < 3045000))
    {
        return;
    }

    (void) ngx_lyftr_sqlite_fail(text, NGX_LYFTR_ERR_NONE,
                                 "SQLite %s has the WAL-reset bug, which is "
                                 "avoided here, but not if another program "
                                 "writes to a store", sqlite3_libversion());
}


/* all connections, and the guard of checkpoints, have the same share of it */

static ngx_int_t
ngx_lyftr_sqlite_configure(void *data, ngx_uint_t connections,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_dsn_t *dsn = data;

    ngx_int_t  n;

    n = connections + 1;

    if (dsn->caches < n * NGX_LYFTR_SQLITE_CACHE) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_OPEN,
                                     "cache= must be at least %lld bytes with "
                                     "so many readers",
                                     (long long) n * NGX_LYFTR_SQLITE_CACHE);
    }

    /* an id that left is new again, and some deliver it for a week */

    if (dsn->keep && dsn->keep < NGX_LYFTR_SQLITE_SHORT && !dsn->keep_force) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_OPEN,
                                     "keep= must be at least 8 days, since "
                                     "senders try again for 7, or needs "
                                     "keep_force");
    }

    dsn->cache = dsn->caches / n;

    /*
     * SQLite takes a lock with each allocation, to count the memory that it
     * has, which nobody asks for.  Refused if it is in use already.
     */

    (void) sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);

    return NGX_OK;
}


/* the files that are there now are the right ones */

static void
ngx_lyftr_sqlite_renew(void *data)
{
    ngx_lyftr_sqlite_dsn_t *dsn = data;

    ngx_memzero((void *) dsn->common.words,
                NGX_LYFTR_FILE_N * sizeof(ngx_atomic_t));

    dsn->common.words[NGX_LYFTR_WORD_SYNCED] = 0;
}


static ngx_uint_t
ngx_lyftr_sqlite_erases(void *data)
{
    ngx_lyftr_sqlite_dsn_t *dsn = data;

    return dsn->erase_key.len != 0;
}


/* a connection of a lane, with what only such a one has */

static void
ngx_lyftr_sqlite_finish(void *conn)
{
    ngx_lyftr_sqlite_jobs_free(conn);
    ngx_lyftr_sqlite_verify_free(conn);
    ngx_lyftr_sqlite_close(conn);
}


static ngx_int_t
ngx_lyftr_sqlite_begin_read(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    return ngx_lyftr_sqlite_begin(conn, 0, deadline, err);
}


static ngx_int_t
ngx_lyftr_sqlite_begin_write(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    return ngx_lyftr_sqlite_begin(conn, NGX_LYFTR_SQLITE_WRITE, deadline, err);
}


static ngx_int_t
ngx_lyftr_sqlite_write(void *conn, ngx_lyftr_batch_t *batch,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    int64_t               start;
    ngx_int_t             rc;
    ngx_uint_t            i, n;
    ngx_lyftr_write_t    *write;
    ngx_lyftr_message_t  *m;

    for (i = 0; i < batch->n; i++) {
        write = batch->writes[i];

        for (n = 0; n < write->n; n++) {
            m = &write->messages[n];

            rc = ngx_lyftr_sqlite_store(conn, m,
                                        write->rows ? &write->rows[n] : NULL,
                                        err);

            if (rc == NGX_ERROR) {
                ngx_lyftr_sqlite_rollback(conn);
                return NGX_ERROR;
            }

            m->known = (rc == NGX_DECLINED);
        }
    }

    start = ngx_lyftr_usec();

    rc = ngx_lyftr_sqlite_commit(conn, err);

    batch->usec = ngx_lyftr_usec() - start;

    return rc;
}

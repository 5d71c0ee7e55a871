#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_backend.h>
#include <ngx_lyftr_sqlite_disk.h>
#include <ngx_lyftr_sqlite_jobs.h>


static void ngx_lyftr_sqlite_advice(ngx_lyftr_error_t *text);
static void ngx_lyftr_sqlite_finish(void *conn);
static ngx_int_t ngx_lyftr_sqlite_begin_read(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_begin_write(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_write(void *conn, ngx_lyftr_batch_t *batch,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);


ngx_lyftr_backend_t  ngx_lyftr_sqlite_backend = {
    ngx_string("sqlite"),
    ngx_lyftr_sqlite_jobs,
    ngx_lyftr_sqlite_advice,
    sqlite3_libversion,
    ngx_lyftr_sqlite_init,
    ngx_lyftr_sqlite_equal,
    ngx_lyftr_sqlite_open,
    ngx_lyftr_sqlite_finish,
    ngx_lyftr_sqlite_begin_read,
    ngx_lyftr_sqlite_begin_write,
    ngx_lyftr_sqlite_write,
    ngx_lyftr_sqlite_rollback,
    ngx_lyftr_sqlite_watch,
    ngx_lyftr_sqlite_list,
    ngx_lyftr_sqlite_stats,
    ngx_lyftr_sqlite_probe,
    ngx_lyftr_sqlite_maintain,
    ngx_lyftr_sqlite_gauges,
    ngx_lyftr_sqlite_verify
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

            rc = ngx_lyftr_sqlite_insert(conn, m, err);

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

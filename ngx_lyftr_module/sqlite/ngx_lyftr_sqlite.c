#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>
#include <ngx_lyftr_sqlite_jobs.h>


static void ngx_lyftr_sqlite_advice(ngx_lyftr_error_t *text);
static void ngx_lyftr_sqlite_finish(void *conn);


ngx_lyftr_backend_t  ngx_lyftr_sqlite_backend = {
    ngx_string("sqlite"),
    ngx_lyftr_sqlite_jobs,
    ngx_lyftr_sqlite_advice,
    sqlite3_libversion,
    ngx_lyftr_sqlite_init,
    ngx_lyftr_sqlite_equal,
    ngx_lyftr_sqlite_open,
    ngx_lyftr_sqlite_finish,
    ngx_lyftr_sqlite_begin,
    ngx_lyftr_sqlite_commit,
    ngx_lyftr_sqlite_rollback,
    ngx_lyftr_sqlite_watch,
    ngx_lyftr_sqlite_insert,
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

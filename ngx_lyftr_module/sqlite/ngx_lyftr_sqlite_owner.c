#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>
#include <ngx_lyftr_sqlite_jobs.h>


ngx_int_t
ngx_lyftr_jobs_own(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int64_t    number;
    ngx_int_t  rc;

    rc = ngx_lyftr_lease_take(c, err);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_lyftr_lease_owned(c)) {
        return ngx_lyftr_sqlite_files(c, err);
    }

    /* what it commits can be done again: the next writer's sync will do */

    if (sqlite3_exec(c->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL)
        != SQLITE_OK)
    {
        return ngx_lyftr_sqlite_error(c, err);
    }

    rc = ngx_lyftr_jobs_number(c, &number, deadline, err);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_BUSY : rc;
    }

    ngx_lyftr_lease_begin(c);

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_jobs_number(ngx_lyftr_sqlite_t *c, int64_t *number,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);

    if (rc == NGX_OK) {
        *number = c->state.next;
        rc = ngx_lyftr_sqlite_run(c, c->stmt[NGX_LYFTR_SQL_NEXT], err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc == NGX_OK) {
        c->state.next = *number + 1;
        ngx_lyftr_lease_number(c, c->state.next);
    }

    return rc;
}

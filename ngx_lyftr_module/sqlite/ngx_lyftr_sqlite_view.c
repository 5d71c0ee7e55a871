#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>
#include <ngx_lyftr_sqlite_jobs.h>


/* transactions that begin after the rows they want are gone */
#define NGX_LYFTR_SQLITE_TRIES     8


static ngx_int_t ngx_lyftr_sqlite_view_read(ngx_lyftr_sqlite_t *c,
    int64_t from, ngx_lyftr_error_t *err);


/* the rows that the segments have, or that left, may be gone from the log */

ngx_int_t
ngx_lyftr_sqlite_last(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    if (ngx_lyftr_sqlite_int(c, c->stmt[NGX_LYFTR_SQL_LAST], &c->index.last,
                             err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    c->index.last = ngx_max(c->index.last, c->state.indexed);

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_sqlite_admit(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    if (ngx_lyftr_sqlite_last(c, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (c->index.last - c->state.indexed > NGX_LYFTR_MOST) {
        return ngx_lyftr_sqlite_behind(c, c->index.last - c->state.indexed,
                                       err);
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_sqlite_behind(ngx_lyftr_sqlite_t *c, int64_t rows,
    ngx_lyftr_error_t *err)
{
    ngx_uint_t                i;
    ngx_atomic_t              reason[NGX_LYFTR_JOB_REASON + 1];
    ngx_lyftr_backend_job_t  *job;

    job = ngx_lyftr_sqlite_job(c, NGX_LYFTR_JOB_FLUSH);

    if (job == NULL || __atomic_load_n(&job->failing, __ATOMIC_ACQUIRE) == 0) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_BEHIND,
                                     "%lld rows have no index yet",
                                     (long long) rows);
    }

    ngx_memzero((void *) reason, sizeof(reason));

    for (i = 0; i < NGX_LYFTR_JOB_REASON; i++) {
        reason[i] = __atomic_load_n(&job->reason[i], __ATOMIC_RELAXED);
    }

    return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_STUCK,
                                 "%lld rows have no index yet, flush fails: "
                                 "%s", (long long) rows, (char *) reason);
}


ngx_int_t
ngx_lyftr_sqlite_view_rows(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int64_t    from;
    ngx_int_t  rc;

    if (ngx_lyftr_sqlite_last(c, err) != NGX_OK) {
        return NGX_ERROR;
    }

    /* only a database that was adopted can have so many */

    if (c->index.last - c->state.indexed > NGX_LYFTR_LAST) {
        return ngx_lyftr_sqlite_behind(c, c->index.last - c->state.indexed,
                                       err);
    }

    ngx_lyftr_memtable_lock(c->index.memtable);

    from = ngx_lyftr_memtable_last(c->index.memtable, c->state.indexed);

    rc = (from < c->index.last) ? ngx_lyftr_sqlite_view_read(c, from,
                                                             err) : NGX_OK;

    ngx_lyftr_memtable_unlock(c->index.memtable);

    return rc;
}


static ngx_int_t
ngx_lyftr_sqlite_view_read(ngx_lyftr_sqlite_t *c, int64_t from,
    ngx_lyftr_error_t *err)
{
    int                        rc;
    sqlite3_stmt              *st;
    ngx_lyftr_buf_t            keys;
    ngx_lyftr_memtable_row_t   recent;
    ngx_lyftr_row_t     row;

    ngx_memzero(&keys, sizeof(ngx_lyftr_buf_t));

    st = c->stmt[NGX_LYFTR_SQL_RECENT];

    (void) sqlite3_bind_int64(st, 1, from);
    (void) sqlite3_bind_int64(st, 2, INT64_MAX);

    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {

        ngx_lyftr_sqlite_row(st, &row);

        keys.len = 0;

        if (ngx_lyftr_key_row(&row, &keys, &recent) != NGX_OK
            || ngx_lyftr_memtable_add(c->index.memtable, &recent) != NGX_OK)
        {
            rc = SQLITE_NOMEM;
            (void) ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                         "no memory");
            break;
        }
    }

    if (rc != SQLITE_DONE && rc != SQLITE_NOMEM) {
        (void) ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    ngx_lyftr_buf_free(&keys);

    return rc == SQLITE_DONE ? NGX_OK : NGX_ERROR;
}


/*
 * Rows may have gone into a segment, and out of memory, since the transaction
 * began: then it begins anew.
 */

ngx_int_t
ngx_lyftr_sqlite_view(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    if (c->viewed) {
        return NGX_OK;
    }

    for (i = 0; i < NGX_LYFTR_SQLITE_TRIES; i++) {

        if (i && ngx_lyftr_sqlite_again(c, err) != NGX_OK) {
            return NGX_ERROR;
        }

        if (ngx_lyftr_segments_read(c, err) != NGX_OK
            || ngx_lyftr_sqlite_view_rows(c, err) != NGX_OK)
        {
            return NGX_ERROR;
        }

        rc = ngx_lyftr_memtable_view(c->index.memtable, &c->index.view,
                                     c->state.indexed, c->index.last);

        if (rc == NGX_OK) {
            c->viewed = 1;
            return NGX_OK;
        }

        if (rc == NGX_ERROR) {
            return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                         "no memory");
        }
    }

    return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_TIMEOUT,
                                 "rows went too fast");
}


ngx_int_t
ngx_lyftr_sqlite_again(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    sqlite3_stmt  *st;

    ngx_lyftr_sqlite_view_leave(c);

    (void) sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);

    st = c->stmt[NGX_LYFTR_SQL_BEGIN_READ];

    return ngx_lyftr_sqlite_run(c, st, err);
}


void
ngx_lyftr_sqlite_view_leave(ngx_lyftr_sqlite_t *c)
{
    ngx_lyftr_memtable_leave(c->index.memtable, &c->index.view);

    c->viewed = 0;
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_jobs.h>


/* blocks of segments that are no more, deleted in one turn */
#define NGX_LYFTR_UPKEEP_BLOCKS    200


static ngx_int_t ngx_lyftr_upkeep_sweep_from(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static ngx_uint_t ngx_lyftr_upkeep_wanted(ngx_lyftr_sqlite_t *c,
    int64_t segment);


/*
 * Deletes blocks of what is no segment: it was merged, or was being made when
 * its maker went away.
 */

ngx_int_t
ngx_lyftr_upkeep_sweep(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (!c->upkeep->sweep) {
        return NGX_DONE;
    }

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_UPKEEP, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_upkeep_sweep_from(c, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


static ngx_int_t
ngx_lyftr_upkeep_sweep_from(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int                          rc;
    int64_t                      no, segment;
    sqlite3_stmt                *st;
    ngx_lyftr_sqlite_upkeep_t   *upkeep;

    upkeep = c->upkeep;

    for ( ;; ) {
        st = c->stmt[NGX_LYFTR_SQL_BLOCK_NEXT];

        (void) sqlite3_bind_int64(st, 1, upkeep->swept);

        rc = sqlite3_step(st);
        no = (rc == SQLITE_ROW) ? sqlite3_column_int64(st, 0) : 0;

        if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
            (void) ngx_lyftr_sqlite_error(c, err);
        }

        (void) sqlite3_reset(st);

        if (rc == SQLITE_DONE) {
            upkeep->sweep = 0;
            upkeep->swept = 0;
            return NGX_OK;
        }

        if (rc != SQLITE_ROW) {
            return NGX_ERROR;
        }

        segment = no >> NGX_LYFTR_BLOCK_SEGMENT;
        upkeep->swept = no;

        if (!ngx_lyftr_upkeep_wanted(c, segment)) {
            break;
        }

        upkeep->swept = (segment + 1) << NGX_LYFTR_BLOCK_SEGMENT;
    }

    st = c->stmt[NGX_LYFTR_SQL_BLOCK_DELETE];

    (void) sqlite3_bind_int64(st, 1, no);
    (void) sqlite3_bind_int64(st, 2, (segment + 1) << NGX_LYFTR_BLOCK_SEGMENT);
    (void) sqlite3_bind_int64(st, 3, NGX_LYFTR_UPKEEP_BLOCKS);

    return ngx_lyftr_sqlite_run(c, st, err);
}


static ngx_uint_t
ngx_lyftr_upkeep_wanted(ngx_lyftr_sqlite_t *c, int64_t segment)
{
    ngx_uint_t                   i;
    ngx_lyftr_sqlite_upkeep_t   *upkeep;

    upkeep = c->upkeep;

    if ((upkeep->flush.active && upkeep->flush.segment.id == segment)
        || (upkeep->merge.active && upkeep->merge.segment.id == segment)
        || ngx_lyftr_rebuild_wants(&upkeep->rebuild, segment))
    {
        return 1;
    }

    for (i = 0; i < c->nsegments; i++) {
        if (c->segments[i].id == segment) {
            return 1;
        }
    }

    return 0;
}

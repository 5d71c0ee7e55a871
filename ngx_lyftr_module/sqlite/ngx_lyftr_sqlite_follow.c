#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>


/* msec of a step, less than a checkpoint waits for, and rows between looks */
#define NGX_LYFTR_FOLLOW_STEP      2
#define NGX_LYFTR_FOLLOW_ROWS      32

#define ngx_lyftr_follow_late(n, start)                                       \
    ((n) % NGX_LYFTR_FOLLOW_ROWS == 0                                         \
     && ngx_lyftr_clock() - (start) >= NGX_LYFTR_FOLLOW_STEP)


static ngx_int_t ngx_lyftr_follow_begin(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_follow_t *follow, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_follow_newest(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_position_t *position, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_follow_row(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    ngx_lyftr_message_t *m, ngx_lyftr_position_t *position,
    ngx_lyftr_error_t *err);
static void ngx_lyftr_follow_place(ngx_lyftr_sqlite_t *c, int64_t seq,
    ngx_lyftr_position_t *position);
static ngx_int_t ngx_lyftr_follow_rows(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_follow_t *follow, ngx_lyftr_row_pt row, void *data,
    ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_sqlite_follow(void *conn, ngx_lyftr_follow_t *follow,
    ngx_lyftr_row_pt row, void *data, ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    ngx_int_t  rc;

    if (ngx_lyftr_segments_read(c, err) != NGX_OK
        || ngx_lyftr_sqlite_last(c, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (follow->begin) {
        rc = ngx_lyftr_follow_begin(c, follow, err);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return row ? ngx_lyftr_follow_rows(c, follow, row, data, err) : NGX_OK;
}


/*
 * What left by its age were the oldest rows, so it is missed if it stood after
 * the place and before the oldest one that is there.
 */

static ngx_int_t
ngx_lyftr_follow_begin(ngx_lyftr_sqlite_t *c, ngx_lyftr_follow_t *follow,
    ngx_lyftr_error_t *err)
{
    int64_t        oldest;
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    follow->begin = 0;
    follow->gap = 0;

    if (follow->newest) {
        return ngx_lyftr_follow_newest(c, &follow->place, err);
    }

    if (follow->place.seq) {
        st = c->stmt[NGX_LYFTR_SQL_POSITION];

        rc = ngx_lyftr_sqlite_locate(c, &follow->place, st, err);

        (void) sqlite3_reset(st);

        if (rc == NGX_ERROR || rc == NGX_DECLINED) {
            return rc;
        }
    }

    st = c->stmt[NGX_LYFTR_SQL_FIRST];

    (void) sqlite3_bind_int64(st, 1, c->state.floor);

    if (ngx_lyftr_sqlite_int(c, st, &oldest, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (oldest == 0) {
        oldest = ngx_max(c->state.mark, c->state.floor) + 1;
    }

    follow->gap = (follow->place.seq + 1 < oldest);

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_follow_newest(ngx_lyftr_sqlite_t *c, ngx_lyftr_position_t *position,
    ngx_lyftr_error_t *err)
{
    int            rc;
    int64_t        seq;
    ngx_int_t      erased;
    ngx_str_t      from;
    sqlite3_stmt  *st;

    seq = ngx_max(c->index.last, c->state.mark);

    ngx_memzero(position, sizeof(ngx_lyftr_position_t));

    if (seq == 0) {
        return NGX_OK;
    }

    /* if it left, only where it stood is known */

    ngx_lyftr_follow_place(c, seq, position);

    if (c->index.last <= c->state.floor) {
        return NGX_OK;
    }

    st = c->stmt[NGX_LYFTR_SQL_POSITION];

    (void) sqlite3_bind_int64(st, 1, c->index.last);

    rc = sqlite3_step(st);

    erased = NGX_OK;

    if (rc == SQLITE_ROW) {
        ngx_lyftr_sqlite_column(st, 4, &from);

        erased = ngx_lyftr_sqlite_erased(c, c->index.last, &from, err);

        if (erased == NGX_DECLINED) {
            ngx_lyftr_sqlite_position(c, st, position);
        }

    } else if (rc != SQLITE_DONE) {
        erased = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return erased == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


/* the place of a row that nobody may see */

static void
ngx_lyftr_follow_place(ngx_lyftr_sqlite_t *c, int64_t seq,
    ngx_lyftr_position_t *position)
{
    ngx_memzero(position, sizeof(ngx_lyftr_position_t));

    position->seq = seq;
    position->store = c->state.store;
    position->text = 1;
}


static ngx_int_t
ngx_lyftr_follow_rows(ngx_lyftr_sqlite_t *c, ngx_lyftr_follow_t *follow,
    ngx_lyftr_row_pt row, void *data, ngx_lyftr_error_t *err)
{
    int                    rc;
    int64_t                extra;
    ngx_int_t              result;
    ngx_msec_t             start;
    ngx_uint_t             n;
    sqlite3_stmt          *st;
    ngx_lyftr_message_t    m;
    ngx_lyftr_position_t   position;

    start = ngx_lyftr_clock();
    result = NGX_OK;
    follow->end = 0;
    extra = 0;

    if (follow->extra
        && ngx_lyftr_sqlite_int(c, c->stmt[NGX_LYFTR_SQL_EXTRA_LAST], &extra,
                                err)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    st = c->stmt[NGX_LYFTR_SQL_FOLLOW];

    (void) sqlite3_bind_int64(st, 1, ngx_max(follow->place.seq,
                                             c->state.floor));

    for (n = 1; (rc = sqlite3_step(st)) == SQLITE_ROW; n++) {

        result = ngx_lyftr_follow_row(c, st, &m, &position, err);

        if (result == NGX_OK && position.seq <= extra) {
            result = ngx_lyftr_sqlite_extra_read(c, position.seq, &m, err);
        }

        if (result == NGX_ERROR) {
            rc = SQLITE_ERROR;
            break;
        }

        result = (result == NGX_DECLINED) ? NGX_OK : row(data, &m, &position);

        if (follow->extra) {
            ngx_lyftr_sqlite_extra_done(c);
        }

        if (result != NGX_OK) {
            break;
        }

        follow->place = position;

        if (ngx_lyftr_follow_late(n, start)) {
            break;
        }
    }

    if (rc == SQLITE_DONE) {
        follow->end = 1;

    } else if (rc != SQLITE_ROW) {

        if (result != NGX_ERROR) {
            result = ngx_lyftr_sqlite_error(c, err);
        }

    } else if (result == NGX_DONE) {
        result = NGX_OK;

    } else if (result == NGX_ERROR) {
        (void) ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                     "the reader of the rows stopped");
    }

    (void) sqlite3_reset(st);

    return result;
}


/* NGX_DECLINED: it is erased, and only its place is there */

static ngx_int_t
ngx_lyftr_follow_row(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    ngx_lyftr_message_t *m, ngx_lyftr_position_t *position,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    ngx_lyftr_sqlite_message(st, m);
    ngx_lyftr_sqlite_position(c, st, position);

    rc = ngx_lyftr_sqlite_erased(c, position->seq, &m->from, err);

    if (rc == NGX_OK) {
        ngx_lyftr_follow_place(c, position->seq, position);
        return NGX_DECLINED;
    }

    return rc == NGX_DECLINED ? NGX_OK : NGX_ERROR;
}

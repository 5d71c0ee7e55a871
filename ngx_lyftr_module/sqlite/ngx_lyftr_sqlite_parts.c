#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>


/* the parts of the search index, and the job that makes them */

/* what lyftr_search says */

typedef struct {
    int64_t              last;             /* row that the index has, */
    int64_t              whole;            /* and of those of level 1 */
    int64_t              dead;             /* 0: there is none */
} ngx_lyftr_sqlite_parts_state_t;


static ngx_int_t ngx_lyftr_sqlite_parts_state(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_parts_state_t *state, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_parts_sweep(ngx_lyftr_sqlite_t *c,
    int64_t id, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_parts_old(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_add_t *add, int64_t limit, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_parts_forget(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_part_begin(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_add_t *add, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_part_read(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_add_t *add, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_part_write(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_add_t *add, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_part_register(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_add_t *add, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_parts(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_buf_t *parts, ngx_lyftr_error_t *err);


/*
 * Parts of a few rows follow the log closely, so that few texts are left to be
 * scanned; one of many rows, made of the log again, takes the place of them.
 */

ngx_int_t
ngx_lyftr_sqlite_parts_step(ngx_lyftr_sqlite_t *c, ngx_lyftr_search_add_t *add,
    int64_t *limit, ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t                        rc;
    ngx_lyftr_sqlite_parts_state_t   state;

    if (add->part.id) {
        return add->seq < add->part.last
               ? ngx_lyftr_sqlite_part_read(c, add, deadline, err)
               : ngx_lyftr_sqlite_part_write(c, add, deadline, err);
    }

    rc = ngx_lyftr_sqlite_parts_state(c, &state, deadline, err);

    if (rc != NGX_OK) {
        return rc;
    }

    if (state.dead) {
        return ngx_lyftr_sqlite_parts_sweep(c, state.dead, deadline, err);
    }

    add->old = 0;

    if (*limit) {
        rc = ngx_lyftr_sqlite_parts_old(c, add, *limit, deadline, err);

        if (rc != NGX_DONE) {
            return rc;
        }

        *limit = 0;
    }

    if (!c->dsn->search) {
        return NGX_DONE;
    }

    if (c->index.last - state.whole >= NGX_LYFTR_SEARCH_ROWS) {
        add->level = 1;
        add->part.first = state.whole;
        add->part.last = state.whole + NGX_LYFTR_SEARCH_ROWS;

    } else if (c->index.last - state.last >= NGX_LYFTR_SEARCH_PART) {
        add->level = 0;
        add->part.first = state.last;
        add->part.last = state.last + NGX_LYFTR_SEARCH_PART;

    } else {
        return NGX_DONE;
    }

    return ngx_lyftr_sqlite_part_begin(c, add, deadline, err);
}


static ngx_int_t
ngx_lyftr_sqlite_parts_state(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_parts_state_t *state, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memzero(state, sizeof(ngx_lyftr_sqlite_parts_state_t));

    st = c->stmt[NGX_LYFTR_SQL_SEARCH_STATE];

    if (sqlite3_step(st) == SQLITE_ROW) {
        state->last = ngx_max(sqlite3_column_int64(st, 0), c->state.floor);
        state->whole = ngx_max(sqlite3_column_int64(st, 1), c->state.floor);
        state->dead = sqlite3_column_int64(st, 2);

    } else {
        rc = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


/* begins the first one that is to be made anew; NGX_DONE: none is */

static ngx_int_t
ngx_lyftr_sqlite_parts_old(ngx_lyftr_sqlite_t *c, ngx_lyftr_search_add_t *add,
    int64_t limit, ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    int            rc;
    ngx_int_t      ok;
    sqlite3_stmt  *st;

    ok = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (ok != NGX_OK) {
        return ok;
    }

    st = c->stmt[NGX_LYFTR_SQL_SEARCH_OLD];

    (void) sqlite3_bind_int64(st, 1, limit);

    rc = sqlite3_step(st);

    if (rc == SQLITE_ROW) {
        add->old = sqlite3_column_int64(st, 0);
        add->level = sqlite3_column_int64(st, 1);
        add->part.first = sqlite3_column_int64(st, 2);
        add->part.last = sqlite3_column_int64(st, 3);

    } else if (rc != SQLITE_DONE) {
        (void) ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    ngx_lyftr_sqlite_rollback(c);

    if (rc == SQLITE_ROW) {
        return c->dsn->search
               ? ngx_lyftr_sqlite_part_begin(c, add, deadline, err)
               : ngx_lyftr_sqlite_parts_forget(c, deadline, err);
    }

    return rc == SQLITE_DONE ? NGX_DONE : NGX_ERROR;
}


/* nobody makes them any more, and without one of them none is of use */

static ngx_int_t
ngx_lyftr_sqlite_parts_forget(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_run(c, c->stmt[NGX_LYFTR_SQL_SEARCH_FORGET],
                                  err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


/* its blocks first, then itself */

static ngx_int_t
ngx_lyftr_sqlite_parts_sweep(ngx_lyftr_sqlite_t *c, int64_t id,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_lyftr_search_sweep(&c->index, id, err);

    if (rc == NGX_DONE) {
        st = c->stmt[NGX_LYFTR_SQL_SEARCH_DELETE];

        (void) sqlite3_bind_int64(st, 1, id);

        rc = ngx_lyftr_sqlite_run(c, st, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


/* if its maker goes away, it is there, and dead */

static ngx_int_t
ngx_lyftr_sqlite_part_begin(ngx_lyftr_sqlite_t *c, ngx_lyftr_search_add_t *add,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    int64_t    id;
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_lyftr_sqlite_run(c, c->stmt[NGX_LYFTR_SQL_SEARCH_ADD], err);
    id = sqlite3_last_insert_rowid(c->db);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc == NGX_OK) {
        add->part.id = id;
        add->seq = add->part.first;
    }

    return rc;
}


static ngx_int_t
ngx_lyftr_sqlite_part_read(ngx_lyftr_sqlite_t *c, ngx_lyftr_search_add_t *add,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_search_add_read(&c->index, add, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


static ngx_int_t
ngx_lyftr_sqlite_part_write(ngx_lyftr_sqlite_t *c, ngx_lyftr_search_add_t *add,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc, done;

    rc = ngx_lyftr_search_add_blocks(add, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    done = ngx_lyftr_search_add_write(&c->index, add, err);

    rc = (done == NGX_ERROR) ? NGX_ERROR : NGX_OK;

    if (done == NGX_DONE) {
        rc = ngx_lyftr_sqlite_part_register(c, add, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc == NGX_OK && done == NGX_DONE) {
        c->searched = ngx_max(c->searched, add->part.last);
        ngx_lyftr_search_add_free(add);
    }

    return rc;
}


static ngx_int_t
ngx_lyftr_sqlite_part_register(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_add_t *add, ngx_lyftr_error_t *err)
{
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_SEARCH_DONE];

    (void) sqlite3_bind_int64(st, 1, add->part.id);
    (void) sqlite3_bind_int64(st, 2, add->level);
    (void) sqlite3_bind_int64(st, 3, add->part.first);
    (void) sqlite3_bind_int64(st, 4, add->part.last);
    (void) sqlite3_bind_int64(st, 5, (int64_t) add->sum);

    if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (add->old) {
        st = c->stmt[NGX_LYFTR_SQL_SEARCH_REPLACE];

        (void) sqlite3_bind_int64(st, 1, add->old);

        if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (add->level == 0) {
        return NGX_OK;
    }

    st = c->stmt[NGX_LYFTR_SQL_SEARCH_RETIRE];

    (void) sqlite3_bind_int64(st, 1, add->part.last);

    return ngx_lyftr_sqlite_run(c, st, err);
}


ngx_int_t
ngx_lyftr_sqlite_searched(ngx_lyftr_sqlite_t *c, int64_t *last,
    ngx_lyftr_error_t *err)
{
    if (ngx_lyftr_sqlite_int(c, c->stmt[NGX_LYFTR_SQL_SEARCH_STATE], last,
                             err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (*last < 0) {
        return ngx_lyftr_index_damaged(err);
    }

    *last = ngx_max(*last, c->state.floor);

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_sqlite_match(ngx_lyftr_sqlite_t *c, ngx_str_t *needle,
    ngx_lyftr_bitmap_t *bits, ngx_lyftr_error_t *err)
{
    ngx_int_t        rc;
    ngx_lyftr_buf_t  parts;

    ngx_memzero(&parts, sizeof(ngx_lyftr_buf_t));

    rc = ngx_lyftr_sqlite_parts(c, &parts, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_search_match(&c->index, needle,
                                    (ngx_lyftr_part_t *) parts.data,
                                    parts.len / sizeof(ngx_lyftr_part_t), bits,
                                    err);
    }

    ngx_lyftr_buf_free(&parts);

    return rc;
}


static ngx_int_t
ngx_lyftr_sqlite_parts(ngx_lyftr_sqlite_t *c, ngx_lyftr_buf_t *parts,
    ngx_lyftr_error_t *err)
{
    int                rc;
    ngx_int_t          ok;
    sqlite3_stmt      *st;
    ngx_lyftr_part_t   part;

    ok = NGX_OK;
    st = c->stmt[NGX_LYFTR_SQL_SEARCH];

    while (ok == NGX_OK && (rc = sqlite3_step(st)) != SQLITE_DONE) {

        if (rc != SQLITE_ROW) {
            ok = ngx_lyftr_sqlite_error(c, err);
            break;
        }

        part.id = sqlite3_column_int64(st, 0);
        part.first = sqlite3_column_int64(st, 1);
        part.last = sqlite3_column_int64(st, 2);

        if (ngx_lyftr_buf_add(parts, &part, sizeof(part)) != NGX_OK) {
            ok = ngx_lyftr_index_memory(err);
        }
    }

    (void) sqlite3_reset(st);

    return ok;
}

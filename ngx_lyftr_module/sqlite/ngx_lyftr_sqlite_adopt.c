#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_setup.h>
#include <ngx_lyftr_message.h>


/*
 * A database that a service of the same contract wrote.  The housekeeping
 * appends its rows to the log, some in a transaction, in the order of the old
 * table's key; which ids have come before, the log's own indexes tell.  Until
 * the last one is there the old table stays as it is, and the file is the old
 * service's.
 */

/* rows of a step, and bytes after which it ends */
#define NGX_LYFTR_ADOPT_ROWS       (NGX_LYFTR_SEGMENT / 4)
#define NGX_LYFTR_ADOPT_BYTES      (4 * 1024 * 1024)


static ngx_int_t ngx_lyftr_adopt_rows(ngx_lyftr_sqlite_t *c, int64_t *n,
    ngx_uint_t *last, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_adopt_row(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    size_t *len, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_adopt_passed(ngx_lyftr_sqlite_t *c, const char *sql,
    int64_t n, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_adopt_end(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_sqlite_adopt_share(ngx_lyftr_sqlite_t *c)
{
    ngx_lyftr_adopt_t  *adopt;

    adopt = c->adopt;

    if (adopt == NULL) {
        return -1;
    }

    if (adopt->passed == 0 || adopt->high <= adopt->low) {
        return 0;
    }

    return (ngx_int_t) (100 * (adopt->place - adopt->low)
                        / (adopt->high - adopt->low));
}


/* comes after what makes indexes: there is none to make before it goes on */

ngx_int_t
ngx_lyftr_sqlite_adopt_step(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int64_t      n;
    ngx_int_t    rc;
    ngx_uint_t   first, last;

    if (c->adopt == NULL) {
        return NGX_DONE;
    }

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_WRITE, deadline, err);

    if (rc != NGX_OK) {
        return rc;
    }

    n = 0;
    last = 0;

    rc = ngx_lyftr_sqlite_check_here(c, err);

    if (rc == NGX_OK) {
        /* another process was first */
        ngx_lyftr_sqlite_rollback(c);
        ngx_lyftr_sqlite_adopt_free(c);
        return NGX_OK;
    }

    if (rc != NGX_ERROR) {
        rc = ngx_lyftr_sqlite_adopt_state(c, err);
    }

    first = (c->adopt->passed == 0);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_adopt_rows(c, &n, &last, err);
    }

    if (rc == NGX_OK && n) {
        rc = ngx_lyftr_adopt_passed(c, first ? c->adopt->first_to
                                             : c->adopt->next_to, n, err);
    }

    if (rc == NGX_OK && last) {
        rc = ngx_lyftr_sqlite_adopted(c, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return (rc == NGX_OK && last) ? ngx_lyftr_adopt_end(c, err) : rc;
}


static ngx_int_t
ngx_lyftr_adopt_rows(ngx_lyftr_sqlite_t *c, int64_t *n, ngx_uint_t *last,
    ngx_lyftr_error_t *err)
{
    int                 step;
    size_t              len;
    ngx_int_t           rc;
    sqlite3_stmt       *st;
    ngx_lyftr_adopt_t  *adopt;

    adopt = c->adopt;

    if (sqlite3_prepare_v2(c->db, adopt->passed ? adopt->next : adopt->first,
                           -1, &st, NULL)
        != SQLITE_OK)
    {
        return ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_bind_int64(st, 1, NGX_LYFTR_ADOPT_ROWS);

    len = 0;
    rc = NGX_OK;

    while (rc == NGX_OK && len < NGX_LYFTR_ADOPT_BYTES) {
        step = sqlite3_step(st);

        if (step == SQLITE_ROW) {
            (*n)++;
            rc = ngx_lyftr_adopt_row(c, st, &len, err);
            continue;
        }

        if (step != SQLITE_DONE) {
            rc = ngx_lyftr_sqlite_error(c, err);
        }

        *last = (*n < NGX_LYFTR_ADOPT_ROWS);
        break;
    }

    (void) sqlite3_finalize(st);

    return rc;
}


static ngx_int_t
ngx_lyftr_adopt_row(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st, size_t *len,
    ngx_lyftr_error_t *err)
{
    ngx_int_t                rc;
    ngx_str_t                created;
    ngx_lyftr_adopt_t       *adopt;
    ngx_lyftr_message_t      m;
    ngx_lyftr_row_t   row;

    adopt = c->adopt;
    adopt->passed++;

    if (sqlite3_column_type(st, 0) == SQLITE_NULL) {
        adopt->nameless++;
        return NGX_OK;
    }

    ngx_memzero(&m, sizeof(ngx_lyftr_message_t));

    ngx_lyftr_sqlite_column(st, 0, &m.message_id);
    ngx_lyftr_sqlite_column(st, 1, &m.from);
    ngx_lyftr_sqlite_column(st, 2, &m.to);
    ngx_lyftr_sqlite_column(st, 3, &m.ts);
    ngx_lyftr_sqlite_column(st, 4, &m.text);
    ngx_lyftr_sqlite_column(st, 5, &created);

    if (sqlite3_errcode(c->db) == SQLITE_NOMEM) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    *len += m.message_id.len + m.from.len + m.to.len + m.ts.len + m.text.len;

    row.text = (ngx_lyftr_instant_parse(m.ts.data, m.ts.len, &m.instant)
                != NGX_OK);

    row.instant.len = row.text ? m.ts.len : m.instant.len;
    row.instant.data = row.text ? m.ts.data : m.instant.data;

    rc = ngx_lyftr_sqlite_append(c, &m, &created, &row, err);

    if (rc == NGX_DECLINED) {
        adopt->repeated++;
        return NGX_OK;
    }

    if (rc == NGX_ERROR && err->code == NGX_LYFTR_ERR_DATA) {
        adopt->large++;
        return NGX_OK;
    }

    return rc;
}


/* the next step begins after the last of these n rows */

static ngx_int_t
ngx_lyftr_adopt_passed(ngx_lyftr_sqlite_t *c, const char *sql, int64_t n,
    ngx_lyftr_error_t *err)
{
    ngx_int_t           rc;
    sqlite3_stmt       *st;
    ngx_lyftr_adopt_t  *adopt;

    adopt = c->adopt;

    if (sqlite3_prepare_v2(c->db, sql, -1, &st, NULL) != SQLITE_OK) {
        return ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_bind_int64(st, 1, adopt->passed);
    (void) sqlite3_bind_int64(st, 2, adopt->repeated);
    (void) sqlite3_bind_int64(st, 3, adopt->nameless);
    (void) sqlite3_bind_int64(st, 4, adopt->large);
    (void) sqlite3_bind_int64(st, 5, n - 1);

    rc = ngx_lyftr_sqlite_run(c, st, err);

    (void) sqlite3_finalize(st);

    return rc;
}


static ngx_int_t
ngx_lyftr_adopt_end(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_lyftr_adopt_t  *adopt;

    adopt = c->adopt;

    (void) ngx_lyftr_sqlite_fail(err, adopt->large ? NGX_LYFTR_ERR_DATA
                                                   : NGX_LYFTR_ERR_NONE,
                                 "adopted %lld of %lld rows: %lld have an id "
                                 "that came before, %lld have none, and %lld "
                                 "are larger than 16 MiB",
                                 (long long) (adopt->passed - adopt->repeated
                                              - adopt->nameless
                                              - adopt->large),
                                 (long long) adopt->passed,
                                 (long long) adopt->repeated,
                                 (long long) adopt->nameless,
                                 (long long) adopt->large);

    ngx_lyftr_sqlite_adopt_free(c);

    /* the writers have filters of their own */

    ngx_lyftr_segments_forget(c);

    return NGX_AGAIN;
}

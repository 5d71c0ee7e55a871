#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_leave.h>


/*
 * What left is deleted from the log, and from what an adopted database was
 * before: nobody looks at either any more, so each step is small and may come
 * when there is time.
 */

/* rows of a step, or bytes of them, whichever are reached first */
#ifndef NGX_LYFTR_CLEAR_ROWS
#define NGX_LYFTR_CLEAR_ROWS       256
#endif
#define NGX_LYFTR_CLEAR_BYTES      (256 * 1024)


typedef struct {
    int64_t              last;
    int64_t              rows;
    int64_t              bytes;
} ngx_lyftr_clear_t;


static ngx_int_t ngx_lyftr_clear_rows(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_clear_t *clear, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_clear_extra(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_clear_t *clear, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_clear_delete(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_clear_t *clear, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_clear_old(ngx_lyftr_sqlite_t *c,
    ngx_uint_t *some, ngx_lyftr_error_t *err);


/* without the writers' turn rows are read, since their bytes are counted */

ngx_int_t
ngx_lyftr_clear_step(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t          rc;
    ngx_lyftr_clear_t  clear;

    ngx_memzero(&clear, sizeof(ngx_lyftr_clear_t));

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_segments_read(c, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_clear_rows(c, &clear, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc != NGX_OK) {
        return rc;
    }

    if (clear.last == 0) {
        return NGX_DONE;
    }

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_clear_delete(c, &clear, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


static ngx_int_t
ngx_lyftr_clear_rows(ngx_lyftr_sqlite_t *c, ngx_lyftr_clear_t *clear,
    ngx_lyftr_error_t *err)
{
    int                   i, rc;
    ngx_int_t             ok;
    sqlite3_stmt         *st;
    ngx_lyftr_message_t   m;

    ok = NGX_OK;
    rc = SQLITE_ROW;
    st = c->stmt[NGX_LYFTR_SQL_ROWS];

    (void) sqlite3_bind_int64(st, 1, 0);
    (void) sqlite3_bind_int64(st, 2, c->state.floor);

    while (ok == NGX_OK
           && clear->rows < NGX_LYFTR_CLEAR_ROWS
           && clear->bytes < NGX_LYFTR_CLEAR_BYTES
           && (rc = sqlite3_step(st)) == SQLITE_ROW)
    {
        clear->rows++;
        clear->last = sqlite3_column_int64(st, 0);

        for (i = 1; i < sqlite3_column_count(st); i++) {
            clear->bytes += sqlite3_column_bytes(st, i);
        }

        ngx_memzero(&m, sizeof(ngx_lyftr_message_t));

        ok = ngx_lyftr_sqlite_extra_read(c, clear->last, &m, err);

        clear->bytes += m.type.len + m.raw.len;

        ngx_lyftr_sqlite_extra_done(c);
    }

    if (ok == NGX_OK && rc != SQLITE_ROW && rc != SQLITE_DONE) {
        ok = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    /* a copy may have what only belongs to rows that it does not have */

    return ok == NGX_OK && clear->rows == 0
           ? ngx_lyftr_clear_extra(c, clear, err) : ok;
}


static ngx_int_t
ngx_lyftr_clear_extra(ngx_lyftr_sqlite_t *c, ngx_lyftr_clear_t *clear,
    ngx_lyftr_error_t *err)
{
    int64_t  seq;

    if (ngx_lyftr_sqlite_get(c, "SELECT ifnull(min(seq), 0) FROM lyftr_extra",
                             &seq, err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (seq && seq <= c->state.floor) {
        clear->last = c->state.floor;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_clear_delete(ngx_lyftr_sqlite_t *c, ngx_lyftr_clear_t *clear,
    ngx_lyftr_error_t *err)
{
    ngx_uint_t     i;
    sqlite3_stmt  *st;

    static ngx_lyftr_sql_e  statements[] = {
        NGX_LYFTR_SQL_CLEAR,
        NGX_LYFTR_SQL_CLEAR_EXTRA
    };

    for (i = 0; i < 2; i++) {
        st = c->stmt[statements[i]];

        (void) sqlite3_bind_int64(st, 1, clear->last);

        if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    st = c->stmt[NGX_LYFTR_SQL_CLEARED];

    (void) sqlite3_bind_int64(st, 1, clear->rows);
    (void) sqlite3_bind_int64(st, 2, clear->bytes);

    return ngx_lyftr_sqlite_run(c, st, err);
}


/*
 * The table that a database was adopted of has rows that the log has too, some
 * of which left, and those that were left out; all of it goes, and then the
 * table itself.
 */

ngx_int_t
ngx_lyftr_clear_adopted(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t   rc;
    ngx_uint_t  some;

    some = 0;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);

    if (rc != NGX_OK) {
        return rc;
    }

    /* what another service has to be done with its rows is not done now */

    (void) sqlite3_db_config(c->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);

    rc = ngx_lyftr_clear_old(c, &some, err);

    (void) sqlite3_db_config(c->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 1, NULL);

    if (rc == NGX_OK && some) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc == NGX_OK && !some ? NGX_DONE : rc;
}


/* a table without rowids has its id for a key, as a rule */

static ngx_int_t
ngx_lyftr_clear_old(ngx_lyftr_sqlite_t *c, ngx_uint_t *some,
    ngx_lyftr_error_t *err)
{
    int64_t  n, rowids;

    if (ngx_lyftr_sqlite_get(c, "SELECT count(*) FROM pragma_table_list"
                                " WHERE schema = 'main' AND type = 'table'"
                                " AND name = 'messages_adopted'", &n, err)
        != NGX_OK
        || ngx_lyftr_sqlite_get(c, "SELECT count(*) FROM pragma_table_list"
                                   " WHERE schema = 'main' AND NOT wr"
                                   " AND name = 'messages_adopted'", &rowids,
                                err)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    *some = (n != 0);

    if (!*some) {
        return NGX_OK;
    }

    if (sqlite3_exec(c->db, rowids
                            ? "DELETE FROM messages_adopted WHERE _rowid_ IN"
                              " (SELECT _rowid_ FROM messages_adopted LIMIT 64)"
                            : "DELETE FROM messages_adopted WHERE message_id"
                              " IN (SELECT message_id FROM messages_adopted"
                              " LIMIT 64)", NULL, NULL, NULL)
        != SQLITE_OK)
    {
        return ngx_lyftr_sqlite_error(c, err);
    }

    if (sqlite3_changes(c->db)) {
        return NGX_OK;
    }

    return ngx_lyftr_sqlite_exec(c, "DROP TABLE messages_adopted", err);
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_jobs.h>
#include <ngx_lyftr_text.h>


static ngx_int_t ngx_lyftr_sqlite_insert_row(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_message_t *m, ngx_str_t *created, ngx_lyftr_sqlite_row_t *row,
    ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_sqlite_append(ngx_lyftr_sqlite_t *c, ngx_lyftr_message_t *m,
    ngx_str_t *created, ngx_lyftr_sqlite_row_t *row, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    /* SQLite would store more, and no page could hold it */

    if (m->message_id.len + m->from.len + m->to.len + m->ts.len + m->text.len
        + created->len > NGX_LYFTR_SQLITE_LENGTH)
    {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_DATA,
                                     "string or blob too big (18)");
    }

    row->hash = ngx_lyftr_sqlite_hash(m->message_id.data, m->message_id.len);
    row->mark = ngx_lyftr_siphash(c->secret, m->message_id.data,
                                  m->message_id.len);
    row->message_id = m->message_id;
    row->from = m->from;

    rc = ngx_lyftr_sqlite_known(c, &m->message_id, row->hash, row->mark,
                                err);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_lyftr_sqlite_insert_row(c, m, created, row, err) != NGX_OK) {
        return NGX_ERROR;
    }

    row->seq = sqlite3_last_insert_rowid(c->db);

    return ngx_lyftr_sqlite_add(c, row, err);
}


static ngx_int_t
ngx_lyftr_sqlite_insert_row(ngx_lyftr_sqlite_t *c, ngx_lyftr_message_t *m,
    ngx_str_t *created, ngx_lyftr_sqlite_row_t *row, ngx_lyftr_error_t *err)
{
    int            rc;
    int64_t        seq;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_INSERT];

    (void) sqlite3_bind_int64(st, 1, (int64_t) row->hash);

    rc = row->text ? ngx_lyftr_sqlite_bind(st, 2, &row->instant)
                   : sqlite3_bind_blob(st, 2, row->instant.data,
                                       row->instant.len, SQLITE_STATIC);

    seq = ngx_lyftr_sqlite_number(c);

    /* long ids take many numbers */

    if (ngx_max(seq, c->seen + 1) - c->state.indexed > NGX_LYFTR_LAST) {
        (void) sqlite3_clear_bindings(st);
        return ngx_lyftr_sqlite_behind(c, c->seen - c->state.indexed, err);
    }

    if (seq) {
        (void) sqlite3_bind_int64(st, 9, seq);
    }

    if (rc != SQLITE_OK
        || ngx_lyftr_sqlite_bind(st, 3, &m->message_id) != SQLITE_OK
        || ngx_lyftr_sqlite_bind(st, 4, &m->from) != SQLITE_OK
        || ngx_lyftr_sqlite_bind(st, 5, &m->to) != SQLITE_OK
        || ngx_lyftr_sqlite_bind(st, 6, &m->ts) != SQLITE_OK
        || ngx_lyftr_sqlite_bind(st, 7, created) != SQLITE_OK
        || ngx_lyftr_sqlite_bind(st, 8, &m->text) != SQLITE_OK)
    {
        (void) ngx_lyftr_sqlite_error(c, err);
        (void) sqlite3_clear_bindings(st);
        return NGX_ERROR;
    }

    return ngx_lyftr_sqlite_run(c, st, err);
}

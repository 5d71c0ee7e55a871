#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite.h>


/*
 * What only messages have that another service sent in a form of its own: few
 * columns, one of them long.  The log, which is read for texts, senders and
 * ids, does not have them.
 */


ngx_int_t
ngx_lyftr_sqlite_extra_add(ngx_lyftr_sqlite_t *c, int64_t seq,
    ngx_lyftr_message_t *m, ngx_lyftr_error_t *err)
{
    uint64_t       sum;
    sqlite3_stmt  *st;

    if (m->type.data == NULL && m->raw.data == NULL) {
        return NGX_OK;
    }

    st = c->stmt[NGX_LYFTR_SQL_EXTRA_ADD];
    sum = ngx_lyftr_sqlite_extra_sum(seq, &m->type, &m->raw);

    (void) sqlite3_bind_int64(st, 1, seq);
    (void) sqlite3_bind_int64(st, 4, (int64_t) sum);

    if (ngx_lyftr_sqlite_bind(st, 2, &m->type) != SQLITE_OK
        || ngx_lyftr_sqlite_bind(st, 3, &m->raw) != SQLITE_OK)
    {
        (void) ngx_lyftr_sqlite_error(c, err);
        (void) sqlite3_clear_bindings(st);
        return NGX_ERROR;
    }

    return ngx_lyftr_sqlite_run(c, st, err);
}


/* what is read stays until the statement is reset */

ngx_int_t
ngx_lyftr_sqlite_extra_read(ngx_lyftr_sqlite_t *c, int64_t seq,
    ngx_lyftr_message_t *m, ngx_lyftr_error_t *err)
{
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_EXTRA];

    (void) sqlite3_bind_int64(st, 1, seq);

    switch (sqlite3_step(st)) {

    case SQLITE_ROW:
        ngx_lyftr_sqlite_column(st, 0, &m->type);
        ngx_lyftr_sqlite_column(st, 1, &m->raw);
        return NGX_OK;

    case SQLITE_DONE:
        return NGX_OK;

    default:
        return ngx_lyftr_sqlite_error(c, err);
    }
}


void
ngx_lyftr_sqlite_extra_done(ngx_lyftr_sqlite_t *c)
{
    (void) sqlite3_reset(c->stmt[NGX_LYFTR_SQL_EXTRA]);
}

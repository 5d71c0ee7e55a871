#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>


/* the columns of a row that others are made of */

static int  ngx_lyftr_sqlite_sent[] = { 3, 4, 5, 6, 7, 8 };


ngx_int_t
ngx_lyftr_sqlite_row_step(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    switch (sqlite3_step(st)) {

    case SQLITE_ROW:
        return NGX_OK;

    case SQLITE_DONE:
        rc = ngx_lyftr_index_damaged(err);
        break;

    default:
        rc = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return rc;
}


void
ngx_lyftr_sqlite_row(sqlite3_stmt *st, ngx_lyftr_row_t *row)
{
    row->seq = sqlite3_column_int64(st, 0);
    row->hash = (uint64_t) sqlite3_column_int64(st, 1);
    row->text = (sqlite3_column_type(st, 2) == SQLITE_TEXT);
    row->instant.data = (u_char *) sqlite3_column_blob(st, 2);
    row->instant.len = sqlite3_column_bytes(st, 2);

    /* what is empty has no address, but is copied as all else is */

    if (row->instant.len == 0) {
        row->instant.data = (u_char *) "";
    }

    ngx_lyftr_sqlite_column(st, 3, &row->message_id);
    ngx_lyftr_sqlite_column(st, 4, &row->from);
}


void
ngx_lyftr_sqlite_message(sqlite3_stmt *st, ngx_lyftr_message_t *m)
{
    ngx_memzero(m, sizeof(ngx_lyftr_message_t));

    ngx_lyftr_sqlite_column(st, 3, &m->message_id);
    ngx_lyftr_sqlite_column(st, 4, &m->from);
    ngx_lyftr_sqlite_column(st, 5, &m->to);
    ngx_lyftr_sqlite_column(st, 6, &m->ts);
    ngx_lyftr_sqlite_column(st, 7, &m->created_at);
    ngx_lyftr_sqlite_column(st, 8, &m->text);
}


void
ngx_lyftr_sqlite_position(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    ngx_lyftr_position_t *position)
{
    ngx_lyftr_row_t  row;

    ngx_lyftr_sqlite_row(st, &row);

    position->store = c->state.store;
    position->seq = row.seq;
    position->hash = row.hash;

    ngx_lyftr_cursor_set(position, &row.instant, row.text, &row.message_id);
}


uint64_t
ngx_lyftr_sqlite_row_sum(sqlite3_stmt *st)
{
    int          n, type;
    uint64_t     sum, seq;
    const void  *p;
    ngx_uint_t   i;

    seq = htole64((uint64_t) sqlite3_column_int64(st, 0));
    sum = ngx_lyftr_checksum(0, &seq, sizeof(seq));

    for (i = 0;
         i < sizeof(ngx_lyftr_sqlite_sent) / sizeof(ngx_lyftr_sqlite_sent[0]);
         i++)
    {
        n = ngx_lyftr_sqlite_sent[i];
        type = sqlite3_column_type(st, n);
        p = sqlite3_column_blob(st, n);

        sum = ngx_lyftr_checksum(sum + (uint64_t) type, p,
                                 sqlite3_column_bytes(st, n));
    }

    return sum;
}

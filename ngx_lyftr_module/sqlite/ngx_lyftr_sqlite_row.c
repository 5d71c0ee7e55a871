#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>


void
ngx_lyftr_sqlite_row(sqlite3_stmt *st, ngx_lyftr_sqlite_row_t *row)
{
    row->seq = sqlite3_column_int64(st, 0);
    row->hash = (uint64_t) sqlite3_column_int64(st, 1);
    row->text = (sqlite3_column_type(st, 2) == SQLITE_TEXT);
    row->instant.data = (u_char *) sqlite3_column_blob(st, 2);
    row->instant.len = sqlite3_column_bytes(st, 2);

    ngx_lyftr_sqlite_column(st, 3, &row->message_id);
    ngx_lyftr_sqlite_column(st, 4, &row->from);
}


void
ngx_lyftr_sqlite_position(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    ngx_lyftr_position_t *position)
{
    ngx_lyftr_sqlite_row_t  row;

    ngx_lyftr_sqlite_row(st, &row);

    position->store = c->state.store;
    position->seq = row.seq;
    position->hash = row.hash;

    ngx_lyftr_cursor_set(position, &row.instant, row.text, &row.message_id);
}


ngx_int_t
ngx_lyftr_sqlite_row_keys(ngx_lyftr_sqlite_row_t *row, ngx_lyftr_buf_t *keys,
    ngx_lyftr_memtable_row_t *to)
{
    u_char  *p, *key;

    if (ngx_lyftr_buf_reserve(keys, ngx_lyftr_key_len(row)) != NGX_OK) {
        return NGX_ERROR;
    }

    key = keys->data + keys->len;

    p = ngx_lyftr_key_sender(key, &row->from);
    to->sender = p - key;

    p = ngx_lyftr_key_time(p, row);
    to->len = p - key;
    to->id = to->len - row->message_id.len;

    to->seq = row->seq;
    to->hash = row->hash;
    to->key = key;

    keys->len = p - keys->data;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_sqlite_id(ngx_lyftr_sqlite_t *c, int64_t seq, ngx_lyftr_buf_t *id,
    ngx_lyftr_error_t *err)
{
    ngx_int_t      rc;
    ngx_str_t      of;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_ID];

    (void) sqlite3_bind_int64(st, 1, seq);

    switch (sqlite3_step(st)) {

    case SQLITE_ROW:
        ngx_lyftr_sqlite_column(st, 0, &of);

        id->len = 0;
        rc = ngx_lyftr_buf_add(id, of.data, of.len);

        if (rc != NGX_OK) {
            (void) ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                         "no memory");
        }

        break;

    case SQLITE_DONE:
        rc = ngx_lyftr_sqlite_damaged(err);
        break;

    default:
        rc = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return rc;
}

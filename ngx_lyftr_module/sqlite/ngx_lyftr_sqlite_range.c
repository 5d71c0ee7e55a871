#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>


static ngx_int_t ngx_lyftr_sqlite_after(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_keys(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_sqlite_range(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    list->keys.len = 0;

    rc = ngx_lyftr_sqlite_view(c, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_after(c, list, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_keys(c, list, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_merge_open(c, &list->sources, list->kind, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_merge_range(c, &list->sources, &list->low,
                                   &list->high, &list->total, err);
    }

    return rc;
}


/* the key that the page begins after; NGX_DECLINED if it is no row's */

static ngx_int_t
ngx_lyftr_sqlite_after(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_lyftr_error_t *err)
{
    int                        rc;
    size_t                     skip;
    ngx_int_t                  result;
    sqlite3_stmt              *st;
    ngx_lyftr_query_t         *query;
    ngx_lyftr_memtable_row_t   keys;
    ngx_lyftr_sqlite_row_t     row;

    query = list->query;

    if (query->after.seq == 0) {
        return NGX_OK;
    }

    st = c->stmt[NGX_LYFTR_SQL_POSITION];

    (void) sqlite3_bind_int64(st, 1, query->after.seq);
    (void) sqlite3_bind_int64(st, 2, (int64_t) query->after.check);

    rc = sqlite3_step(st);

    if (rc == SQLITE_DONE) {
        result = NGX_DECLINED;

    } else if (rc != SQLITE_ROW) {
        result = ngx_lyftr_sqlite_error(c, err);

    } else {
        ngx_lyftr_sqlite_row(st, &row);

        result = ngx_lyftr_sqlite_row_keys(&row, &list->keys, &keys);

        /* the least key that is greater */

        if (result == NGX_OK) {
            result = ngx_lyftr_buf_add(&list->keys, "", 1);
        }

        if (result != NGX_OK) {
            (void) ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                         "no memory");

        } else {
            skip = (list->kind == NGX_LYFTR_TREE_TIME) ? keys.sender : 0;

            list->nafter = keys.len + 1 - skip;
            list->after = skip;
        }
    }

    (void) sqlite3_reset(st);

    return result;
}


/* those that the filters begin and end with */

static ngx_int_t
ngx_lyftr_sqlite_keys(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_lyftr_error_t *err)
{
    u_char             *p;
    size_t              len;
    ngx_str_t           instant;
    ngx_lyftr_query_t  *query;

    query = list->query;

    len = 2 * (2 * query->from.len + 2) + sizeof(query->instant.data) + 1;

    if (ngx_lyftr_buf_reserve(&list->keys, len) != NGX_OK) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    p = list->keys.data + list->keys.len;

    if (query->from.len) {
        list->high.data = p;
        p = ngx_lyftr_key_sender(p, &query->from);
        list->high.len = p - list->high.data;

        /* greater than all keys of the sender */
        p[-1] = 1;
    }

    list->low.data = p;

    if (query->from.len) {
        p = ngx_lyftr_key_sender(p, &query->from);
    }

    if (query->since.len) {
        instant.data = query->instant.data;
        instant.len = query->instant.len;

        p = ngx_lyftr_key_instant(p, &instant);
    }

    list->low.len = p - list->low.data;

    if (list->nafter) {
        list->from.data = list->keys.data + list->after;
        list->from.len = list->nafter;
    }

    return NGX_OK;
}


/* a row of the page; NGX_DONE: it is on the next one */

ngx_int_t
ngx_lyftr_sqlite_emit(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    int64_t seq, ngx_lyftr_error_t *err)
{
    ngx_int_t             rc;
    sqlite3_stmt         *st;
    ngx_lyftr_message_t   m;

    if (list->n == list->query->limit) {
        list->page->next = list->last;
        return NGX_DONE;
    }

    ngx_memzero(&m, sizeof(ngx_lyftr_message_t));

    st = c->stmt[NGX_LYFTR_SQL_ROW];

    (void) sqlite3_bind_int64(st, 1, seq);

    switch (sqlite3_step(st)) {

    case SQLITE_ROW:
        list->n++;
        list->last.seq = seq;
        list->last.check = (uint64_t) sqlite3_column_int64(st, 0);

        ngx_lyftr_sqlite_column(st, 1, &m.message_id);
        ngx_lyftr_sqlite_column(st, 2, &m.from);
        ngx_lyftr_sqlite_column(st, 3, &m.to);
        ngx_lyftr_sqlite_column(st, 4, &m.ts);
        ngx_lyftr_sqlite_column(st, 5, &m.text);

        rc = list->row(list->data, &m);

        if (rc != NGX_OK) {
            rc = ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                       "the reader of the rows stopped");
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

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>


static ngx_int_t ngx_lyftr_sqlite_after(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_after_row(ngx_lyftr_list_t *list,
    ngx_lyftr_row_t *row, ngx_uint_t instant_cut, ngx_uint_t id_cut);
static u_char *ngx_lyftr_sqlite_above(u_char *key, u_char *last,
    ngx_uint_t cut);
static ngx_int_t ngx_lyftr_sqlite_keys(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_emit_row(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, sqlite3_stmt *st, ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_sqlite_bounds(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    list->keys.len = 0;

    rc = ngx_lyftr_sqlite_view(c, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_after(c, list, err);
    }

    if (rc == NGX_OK && (list->query->fields & NGX_LYFTR_FIELDS_EXTRA)) {
        rc = ngx_lyftr_sqlite_int(c, c->stmt[NGX_LYFTR_SQL_EXTRA_LAST],
                                  &list->extra, err);
    }

    return rc == NGX_OK ? ngx_lyftr_sqlite_keys(c, list, err) : rc;
}


ngx_int_t
ngx_lyftr_sqlite_range(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_bounds(c, list, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_merge_open(&c->index, &list->sources, list->kind, err);
    }

    if (rc == NGX_OK) {
        list->sources.desc = list->query->desc;

        rc = ngx_lyftr_merge_range(&c->index, &list->sources, &list->low,
                                   &list->high, &list->total, err);
    }

    return rc;
}


/*
 * The key that the page begins after.  That of a row that left is made of what
 * the cursor has of it.  NGX_DECLINED: it is none of this store.
 */

static ngx_int_t
ngx_lyftr_sqlite_after(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_lyftr_error_t *err)
{
    ngx_int_t              rc;
    sqlite3_stmt          *st;
    ngx_lyftr_position_t  *after;
    ngx_lyftr_row_t        row;

    after = &list->query->after;

    if (after->seq == 0) {
        return NGX_OK;
    }

    st = c->stmt[NGX_LYFTR_SQL_POSITION];

    rc = ngx_lyftr_sqlite_locate(c, after, st, err);

    if (rc == NGX_OK) {
        ngx_lyftr_sqlite_row(st, &row);
        rc = ngx_lyftr_sqlite_after_row(list, &row, 0, 0);

    } else if (rc == NGX_DONE) {
        row.text = after->text;
        row.instant.data = after->instant;
        row.instant.len = after->instant_len;
        row.message_id.data = after->id;
        row.message_id.len = after->id_len;

        rc = ngx_lyftr_sqlite_after_row(list, &row, after->instant_cut,
                                        after->id_cut);
    }

    (void) sqlite3_reset(st);

    if (rc == NGX_ABORT) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    return rc;
}


ngx_int_t
ngx_lyftr_sqlite_locate(ngx_lyftr_sqlite_t *c, ngx_lyftr_position_t *position,
    sqlite3_stmt *st, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;
    ngx_str_t  from;

    if (position->store != c->state.store
        || position->seq > ngx_max(c->index.last, c->state.mark))
    {
        return NGX_DECLINED;
    }

    if (position->seq <= c->state.floor) {
        return NGX_DONE;
    }

    (void) sqlite3_bind_int64(st, 1, position->seq);

    switch (sqlite3_step(st)) {

    case SQLITE_ROW:
        ngx_lyftr_sqlite_column(st, 4, &from);

        rc = ngx_lyftr_sqlite_erased(c, position->seq, &from, err);

        if (rc != NGX_DECLINED) {
            return rc == NGX_OK ? NGX_DONE : NGX_ERROR;
        }

        return (uint64_t) sqlite3_column_int64(st, 1) == position->hash
               ? NGX_OK : NGX_DECLINED;

    case SQLITE_DONE:
        return NGX_DONE;

    default:
        return ngx_lyftr_sqlite_error(c, err);
    }
}


/* NGX_ABORT: no memory */

static ngx_int_t
ngx_lyftr_sqlite_after_row(ngx_lyftr_list_t *list, ngx_lyftr_row_t *row,
    ngx_uint_t instant_cut, ngx_uint_t id_cut)
{
    u_char      *p;
    ngx_uint_t   cut;

    row->from = list->query->from;

    if (ngx_lyftr_buf_reserve(&list->keys, ngx_lyftr_key_len(row) + 1)
        != NGX_OK)
    {
        return NGX_ABORT;
    }

    p = list->keys.data;

    if (list->kind == NGX_LYFTR_TREE_SENDER) {
        p = ngx_lyftr_key_sender(p, &row->from);
    }

    p = ngx_lyftr_key_time(p, row);

    if (instant_cut) {

        /* of an instant that goes on nothing follows */

        p -= row->message_id.len + 2;
    }

    cut = instant_cut || id_cut;

    if (list->query->desc ? cut : !cut) {
        p = ngx_lyftr_sqlite_above(list->keys.data, p, cut);
    }

    list->keys.len = p - list->keys.data;
    list->nafter = list->keys.len;

    return NGX_OK;
}


/* the least key that is greater; if it is cut, than all that begin with it */

static u_char *
ngx_lyftr_sqlite_above(u_char *key, u_char *last, ngx_uint_t cut)
{
    if (!cut) {
        *last++ = '\0';
        return last;
    }

    while (last > key && last[-1] == 0xff) {
        last--;
    }

    if (last > key) {
        last[-1]++;
    }

    return last;
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

    len = 2 * (2 * query->from.len + 2 + 1 + sizeof(query->instant.data));

    if (ngx_lyftr_buf_reserve(&list->keys, len) != NGX_OK) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    p = list->keys.data + list->keys.len;

    list->high.data = p;

    if (query->from.len) {
        p = ngx_lyftr_key_sender(p, &query->from);

        if (query->until.len == 0) {
            /* greater than all keys of the sender */
            p[-1] = 1;
        }
    }

    if (query->until.len) {
        instant.data = query->end.data;
        instant.len = query->end.len;

        p = ngx_lyftr_key_instant(p, &instant);
    }

    list->high.len = p - list->high.data;
    list->low.data = p;

    if (query->from.len) {
        p = ngx_lyftr_key_sender(p, &query->from);
    }

    if (query->since.len) {
        instant.data = query->instant.data;
        instant.len = query->instant.len;

        p = ngx_lyftr_key_instant(p, &instant);

    } else if (query->until.len) {
        /* less than all that are instants */
        *p++ = NGX_LYFTR_KEY_INSTANT;
    }

    list->low.len = p - list->low.data;

    if (query->until.len
        && ngx_lyftr_key_cmp(list->low.data, list->low.len, list->high.data,
                             list->high.len)
           > 0)
    {
        list->high = list->low;
    }

    if (list->nafter) {
        list->from.data = list->keys.data;
        list->from.len = list->nafter;
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_sqlite_within(ngx_lyftr_list_t *list, u_char *key, size_t len)
{
    ngx_str_t  *low, *high;

    low = &list->low;
    high = &list->high;

    if ((low->len && ngx_lyftr_key_cmp(key, len, low->data, low->len) < 0)
        || (high->len
            && ngx_lyftr_key_cmp(key, len, high->data, high->len) >= 0))
    {
        return NGX_DECLINED;
    }

    return ngx_lyftr_sqlite_passed(list, key, len) ? NGX_DONE : NGX_OK;
}


ngx_uint_t
ngx_lyftr_sqlite_passed(ngx_lyftr_list_t *list, u_char *key, size_t len)
{
    int  cmp;

    if (list->from.len == 0) {
        return 0;
    }

    cmp = ngx_lyftr_key_cmp(key, len, list->from.data, list->from.len);

    return list->query->desc ? cmp >= 0 : cmp < 0;
}


ngx_int_t
ngx_lyftr_sqlite_key(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    int64_t seq, ngx_lyftr_buf_t *keys, size_t *key, size_t *len,
    ngx_lyftr_error_t *err)
{
    ngx_int_t                  rc;
    sqlite3_stmt              *st;
    ngx_lyftr_memtable_row_t   to;
    ngx_lyftr_row_t            row;

    st = c->stmt[NGX_LYFTR_SQL_RECENT];

    (void) sqlite3_bind_int64(st, 1, seq - 1);
    (void) sqlite3_bind_int64(st, 2, seq);

    if (ngx_lyftr_sqlite_row_step(c, st, err) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_lyftr_sqlite_row(st, &row);

    *key = keys->len;

    rc = ngx_lyftr_key_row(&row, keys, &to);

    if (rc == NGX_OK) {
        *key += to.at[list->kind];
        *len = to.len[list->kind];

    } else {
        (void) ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    (void) sqlite3_reset(st);

    return rc;
}


/* a row of the page; NGX_DONE: it is on the next one */

ngx_int_t
ngx_lyftr_sqlite_emit(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    int64_t seq, ngx_lyftr_error_t *err)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    if (list->page->next.seq) {
        return NGX_DONE;
    }

    if (list->n == list->query->limit) {
        list->page->next = list->last;
        return NGX_DONE;
    }

    st = c->stmt[NGX_LYFTR_SQL_ROW];

    (void) sqlite3_bind_int64(st, 1, seq);

    if (ngx_lyftr_sqlite_row_step(c, st, err) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_lyftr_sqlite_emit_row(c, list, st, err);

    (void) sqlite3_reset(st);

    return rc;
}


ngx_int_t
ngx_lyftr_sqlite_emit_given(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_lyftr_error_t *err)
{
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    sqlite3_stmt              *st;
    ngx_lyftr_sqlite_given_t  *given;

    given = &c->given;
    st = c->stmt[NGX_LYFTR_SQL_GIVEN];

    rc = NGX_OK;

    for (i = 0; i < given->n && rc == NGX_OK; i++) {

        if (ngx_lyftr_sqlite_row_step(c, st, err) != NGX_OK) {
            return NGX_ERROR;
        }

        rc = (sqlite3_column_int64(st, 0) == given->seq[i])
             ? ngx_lyftr_sqlite_emit_row(c, list, st, err)
             : ngx_lyftr_index_damaged(err);
    }

    (void) sqlite3_reset(st);

    return rc;
}


/* with what few rows have, if it is asked for */

static ngx_int_t
ngx_lyftr_sqlite_emit_row(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    sqlite3_stmt *st, ngx_lyftr_error_t *err)
{
    ngx_int_t              rc;
    ngx_uint_t             extra;
    ngx_lyftr_message_t    m;
    ngx_lyftr_position_t   position;

    ngx_lyftr_sqlite_message(st, &m);
    ngx_lyftr_sqlite_position(c, st, &position);

    extra = ((list->query->fields & NGX_LYFTR_FIELDS_EXTRA)
             && position.seq <= list->extra);

    rc = extra ? ngx_lyftr_sqlite_extra_read(c, position.seq, &m, err)
               : NGX_OK;

    if (rc == NGX_OK) {
        rc = list->row(list->data, &m, &position);

        if (rc == NGX_OK) {
            list->n++;
            list->last = position;

        } else if (rc == NGX_DONE) {
            list->page->next = list->last;

        } else {
            (void) ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                         "the reader of the rows stopped");
        }
    }

    if (extra) {
        ngx_lyftr_sqlite_extra_done(c);
    }

    return rc;
}

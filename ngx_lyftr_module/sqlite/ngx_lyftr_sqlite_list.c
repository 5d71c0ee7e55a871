#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>
#include <ngx_lyftr_message.h>


static ngx_int_t ngx_lyftr_sqlite_page(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_rows_next(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_one(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_one_erased(ngx_lyftr_sqlite_t *c,
    int64_t seq, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_one_matches(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, int64_t seq, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_find(ngx_lyftr_sqlite_t *c, ngx_str_t *id,
    int64_t *seq, ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_sqlite_list(void *conn, ngx_lyftr_query_t *query,
    ngx_lyftr_row_pt row, void *data, ngx_lyftr_page_t *page,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    ngx_int_t         rc;
    ngx_lyftr_list_t  list;

    ngx_memzero(page, sizeof(ngx_lyftr_page_t));
    ngx_memzero(&list, sizeof(ngx_lyftr_list_t));

    list.query = query;
    list.row = row;
    list.data = data;
    list.page = page;
    list.kind = query->from.len ? NGX_LYFTR_TREE_SENDER : NGX_LYFTR_TREE_TIME;

    rc = query->id.len ? ngx_lyftr_sqlite_bounds(c, &list, err)
                       : ngx_lyftr_sqlite_range(c, &list, err);

    if (rc != NGX_OK || query->none) {
        goto done;
    }

    if (query->id.len) {
        rc = ngx_lyftr_sqlite_one(c, &list, err);

    } else if (query->q.len == 0) {
        rc = ngx_lyftr_sqlite_page(c, &list, err);

    } else if (query->walk) {
        rc = ngx_lyftr_sqlite_search_few(c, &list, err);

        if (rc == NGX_DECLINED) {
            page->unsearched = 1;
            rc = ngx_lyftr_sqlite_page(c, &list, err);
        }

    } else {
        rc = ngx_lyftr_sqlite_search(c, &list, err);
    }

done:

    ngx_lyftr_merge_close(&list.sources);
    ngx_lyftr_buf_free(&list.keys);

    return rc;
}


static ngx_int_t
ngx_lyftr_sqlite_page(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_lyftr_error_t *err)
{
    ngx_int_t           rc;
    ngx_lyftr_query_t  *query;

    query = list->query;

    list->page->total = list->total;

    if (query->offset >= list->total) {
        return NGX_OK;
    }

    if (list->from.len
        && ngx_lyftr_merge_after(&c->index, &list->sources, &list->from, err)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_lyftr_merge_skip(&c->index, &list->sources, query->offset, err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    do {
        rc = ngx_lyftr_sqlite_rows_next(c, list, err);
    } while (rc == NGX_OK);

    return rc == NGX_DONE ? NGX_OK : NGX_ERROR;
}


/* some rows of the page; NGX_DONE: there are no more on it */

static ngx_int_t
ngx_lyftr_sqlite_rows_next(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_lyftr_error_t *err)
{
    ngx_int_t                  rc;
    ngx_uint_t                 left;
    ngx_lyftr_entry_t          entry;
    ngx_lyftr_sqlite_given_t  *given;

    given = &c->given;
    given->n = 0;

    left = list->query->limit - list->n;

    do {
        rc = ngx_lyftr_merge_next(&c->index, &list->sources, &entry, err);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_DONE) {
            break;
        }

        if (left == 0) {
            list->page->next = list->last;
            return NGX_DONE;
        }

        given->seq[given->n++] = entry.seq;

    } while (given->n < ngx_min(left, NGX_LYFTR_GIVEN));

    if (given->n == 0) {
        return NGX_DONE;
    }

    return ngx_lyftr_sqlite_emit_given(c, list, err);
}


/* the row of an id, if all else that is asked for holds too */

static ngx_int_t
ngx_lyftr_sqlite_one(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_lyftr_error_t *err)
{
    int64_t     seq;
    ngx_int_t   rc;

    rc = ngx_lyftr_sqlite_find(c, &list->query->id, &seq, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_one_erased(c, seq, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_one_matches(c, list, seq, err);
    }

    if (rc == NGX_ERROR || rc == NGX_DECLINED) {
        return rc == NGX_ERROR ? NGX_ERROR : NGX_OK;
    }

    list->page->total = 1;

    if (rc == NGX_DONE || list->query->offset) {
        return NGX_OK;
    }

    return ngx_lyftr_sqlite_emit(c, list, seq, err);
}


/* NGX_OK: it is not, NGX_DECLINED: it is */

static ngx_int_t
ngx_lyftr_sqlite_one_erased(ngx_lyftr_sqlite_t *c, int64_t seq,
    ngx_lyftr_error_t *err)
{
    ngx_int_t      rc;
    ngx_str_t      from;
    sqlite3_stmt  *st;

    if (c->state.erasing == 0) {
        return NGX_OK;
    }

    st = c->stmt[NGX_LYFTR_SQL_POSITION];

    (void) sqlite3_bind_int64(st, 1, seq);

    if (ngx_lyftr_sqlite_row_step(c, st, err) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_lyftr_sqlite_column(st, 4, &from);

    rc = ngx_lyftr_sqlite_erased(c, seq, &from, err);

    (void) sqlite3_reset(st);

    return rc == NGX_ERROR ? NGX_ERROR
                           : rc == NGX_OK ? NGX_DECLINED : NGX_OK;
}


/* NGX_DONE: it does, and is on a page before */

static ngx_int_t
ngx_lyftr_sqlite_one_matches(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    int64_t seq, ngx_lyftr_error_t *err)
{
    size_t            key, len;
    ngx_int_t         rc;
    ngx_lyftr_buf_t   keys;

    if (list->query->q.len) {
        rc = ngx_lyftr_sqlite_search_one(c, list->query, seq, err);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    ngx_memzero(&keys, sizeof(ngx_lyftr_buf_t));

    rc = ngx_lyftr_sqlite_key(c, list, seq, &keys, &key, &len, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_within(list, keys.data + key, len);
    }

    ngx_lyftr_buf_free(&keys);

    return rc;
}


/*
 * Among the rows that no segment has their hashes are compared, and in segments
 * they tell where to look.  NGX_DECLINED: there is no such row.
 */

static ngx_int_t
ngx_lyftr_sqlite_find(ngx_lyftr_sqlite_t *c, ngx_str_t *id, int64_t *seq,
    ngx_lyftr_error_t *err)
{
    uint64_t                   hash;
    ngx_int_t                  rc;
    ngx_uint_t                 i, n;
    ngx_lyftr_memtable_row_t  *row;

    hash = ngx_lyftr_sqlite_hash(id->data, id->len);

    for (i = 0; i < c->index.view.nchunks; i++) {
        row = c->index.view.chunks[i].row;

        for (n = c->index.view.chunks[i].n; n; n--, row++) {

            if (row->hash == hash
                && ngx_lyftr_key_cmp(row->key + row->id, row->nid, id->data,
                                     id->len)
                   == 0)
            {
                *seq = row->seq;
                return NGX_OK;
            }
        }
    }

    for (i = 0; i < c->index.nsegments; i++) {
        rc = ngx_lyftr_sqlite_known_segment(c, &c->index.segments[i], id, hash,
                                            seq, err);

        if (rc != NGX_OK) {
            return rc == NGX_DECLINED ? NGX_OK : rc;
        }
    }

    return NGX_DECLINED;
}

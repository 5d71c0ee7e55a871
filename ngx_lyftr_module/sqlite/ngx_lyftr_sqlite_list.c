#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>
#include <ngx_lyftr_text.h>


static ngx_int_t ngx_lyftr_sqlite_page(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_lyftr_error_t *err);


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

    rc = ngx_lyftr_sqlite_range(c, &list, err);

    if (rc == NGX_OK && !query->none) {
        rc = query->q.len ? ngx_lyftr_sqlite_search(c, &list, err)
                          : ngx_lyftr_sqlite_page(c, &list, err);
    }

    ngx_lyftr_merge_close(&list.sources);
    ngx_lyftr_buf_free(&list.keys);

    return rc;
}


static ngx_int_t
ngx_lyftr_sqlite_page(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    ngx_lyftr_error_t *err)
{
    ngx_int_t                 rc;
    ngx_lyftr_query_t        *query;
    ngx_lyftr_merge_child_t  *source;

    query = list->query;

    list->page->total = list->total;

    if (query->offset >= list->total) {
        return NGX_OK;
    }

    if (list->from.len
        && ngx_lyftr_merge_after(c, &list->sources, &list->from, err)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_lyftr_merge_skip(c, &list->sources, query->offset, err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for ( ;; ) {
        rc = ngx_lyftr_merge_next(c, &list->sources, &source, err);

        if (rc == NGX_OK) {
            rc = ngx_lyftr_sqlite_emit(c, list, source->seq, err);
        }

        if (rc != NGX_OK) {
            return rc == NGX_DONE ? NGX_OK : rc;
        }
    }
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres_list.h>


ngx_int_t
ngx_lyftr_postgres_emit(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, const PGresult *res, int row,
    ngx_lyftr_error_t *err)
{
    ngx_int_t              rc;
    ngx_lyftr_message_t    m;
    ngx_lyftr_position_t   position;

    if (list->n == list->query->limit) {
        list->page->next = list->last;
        return NGX_DONE;
    }

    if (ngx_lyftr_postgres_row(c, res, row, &m, &position, err) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = list->row(list->data, &m, &position);

    if (rc == NGX_OK) {
        list->n++;
        list->last = position;

    } else if (rc == NGX_DONE) {
        list->page->next = list->last;

    } else {
        (void) ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                       "the reader of the rows stopped");
    }

    return rc;
}

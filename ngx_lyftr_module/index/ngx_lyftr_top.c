#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_index.h>


static ngx_uint_t ngx_lyftr_top_before(ngx_lyftr_top_t *top, ngx_uint_t i,
    ngx_str_t *sender, int64_t total);


/* by count and then by name */

ngx_int_t
ngx_lyftr_top_rank(ngx_lyftr_top_t *top, ngx_str_t *sender, int64_t total)
{
    ngx_uint_t        i, n, fell;
    ngx_lyftr_buf_t   buf;

    for (i = 0; i < top->n; i++) {
        if (ngx_lyftr_key_cmp(top->sender[i].data, top->sender[i].len,
                              sender->data, sender->len)
            == 0)
        {
            break;
        }
    }

    n = top->n;
    fell = (i < n && total < top->count[i]);

    if (i == n && n == NGX_LYFTR_TOP) {

        /* the last one goes, if it is not larger */

        i--;

        if (ngx_lyftr_top_before(top, i, sender, total)) {
            return NGX_OK;
        }
    }

    buf = top->sender[i];
    buf.len = 0;

    /* that which is empty has memory, too: it is not null */

    if (ngx_lyftr_buf_reserve(&buf, sender->len + 1) != NGX_OK) {
        return NGX_ERROR;
    }

    (void) ngx_lyftr_buf_add(&buf, sender->data, sender->len);

    top->n = ngx_max(n, i + 1);

    for ( /* void */ ; i + 1 < top->n; i++) {
        top->sender[i] = top->sender[i + 1];
        top->count[i] = top->count[i + 1];
    }

    for ( /* void */ ; i; i--) {

        if (ngx_lyftr_top_before(top, i - 1, sender, total)) {
            break;
        }

        top->sender[i] = top->sender[i - 1];
        top->count[i] = top->count[i - 1];
    }

    top->sender[i] = buf;
    top->count[i] = total;

    /* any that is not among them may be larger now */

    return fell && i + 1 == NGX_LYFTR_TOP ? NGX_DECLINED : NGX_OK;
}


static ngx_uint_t
ngx_lyftr_top_before(ngx_lyftr_top_t *top, ngx_uint_t i, ngx_str_t *sender,
    int64_t total)
{
    return top->count[i] > total
           || (top->count[i] == total
               && ngx_lyftr_key_cmp(top->sender[i].data, top->sender[i].len,
                                    sender->data, sender->len)
                  < 0);
}


void
ngx_lyftr_top_free(ngx_lyftr_top_t *top)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_LYFTR_TOP; i++) {
        ngx_lyftr_buf_free(&top->sender[i]);
    }

    ngx_memzero(top, sizeof(ngx_lyftr_top_t));
}

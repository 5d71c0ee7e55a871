#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_verify.h>
#include <ngx_lyftr_sqlite_senders.h>


/* the counts of senders are those of their entries and rows */

static ngx_int_t ngx_lyftr_verify_senders(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_senders_t *s,
    ngx_lyftr_count_t *top, ngx_lyftr_error_t *err);
static ngx_uint_t ngx_lyftr_verify_top(ngx_lyftr_count_t *top,
    ngx_str_t *sender, int64_t n);


ngx_int_t
ngx_lyftr_verify_counts(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_error_t *err)
{
    ngx_int_t            rc;
    ngx_str_t            after;
    ngx_lyftr_count_t    top;
    ngx_lyftr_senders_t  s;

    if (ngx_lyftr_sqlite_int(c, c->stmt[NGX_LYFTR_SQL_LAST], &c->last, err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /*
     * The rows without a segment are read once a part; and if the counts fail
     * there are segments that they have not come to.
     */

    if (c->last - c->state.indexed > NGX_LYFTR_MOST
        || c->state.counted < c->state.indexed)
    {
        return NGX_DECLINED;
    }

    if (!v->begun) {
        v->begun = 1;
        v->seq = 0;
        v->senders = 0;
        v->before = c->state.senders;
    }

    after.data = v->sender.data;
    after.len = v->sender.len;

    ngx_memzero(&top, sizeof(ngx_lyftr_count_t));

    rc = ngx_lyftr_senders_open(c, &s, v->seq ? &after : NULL, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_count_top(c, &top, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_verify_senders(c, v, &s, &top, err);
    }

    ngx_lyftr_senders_close(&s);
    ngx_lyftr_count_free(&top);

    if (rc == NGX_DECLINED) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_CORRUPT,
                                     "the counts of senders are damaged");
    }

    return rc;
}


/*
 * Senders that came, or went, meanwhile may have been passed already: so their
 * number is between what it was and what it is.
 */

static ngx_int_t
ngx_lyftr_verify_senders(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_senders_t *s, ngx_lyftr_count_t *top, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    while ((rc = ngx_lyftr_senders_next(c, s, err)) == NGX_OK) {

        if (s->count == -1 && s->rows == 0) {
            continue;
        }

        if (s->count != s->rows
            || !ngx_lyftr_verify_top(top, &s->sender, s->rows))
        {
            return NGX_DECLINED;
        }

        v->n++;
        v->len += s->sender.len + 2 * sizeof(int64_t);
        v->senders++;

        if (!ngx_lyftr_verify_full(v)) {
            continue;
        }

        v->seq = 1;
        v->sender.len = 0;

        return ngx_lyftr_buf_add(&v->sender, s->sender.data, s->sender.len)
               == NGX_OK ? NGX_OK : ngx_lyftr_verify_memory(err);
    }

    if (rc != NGX_DONE) {
        return rc;
    }

    return v->senders >= ngx_min(v->before, c->state.senders)
           && v->senders <= ngx_max(v->before, c->state.senders)
           ? NGX_DONE : NGX_DECLINED;
}


/* among the largest, if it is one of them */

static ngx_uint_t
ngx_lyftr_verify_top(ngx_lyftr_count_t *top, ngx_str_t *sender, int64_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < top->ntop; i++) {
        if (ngx_lyftr_key_cmp(top->sender[i].data, top->sender[i].len,
                              sender->data, sender->len)
            == 0)
        {
            return top->count[i] == n;
        }
    }

    if (i < NGX_LYFTR_TOP_SENDERS) {
        return 0;
    }

    i--;

    return n < top->count[i]
           || (n == top->count[i]
               && ngx_lyftr_key_cmp(top->sender[i].data, top->sender[i].len,
                                    sender->data, sender->len)
                  < 0);
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite.h>


static ngx_int_t ngx_lyftr_sqlite_top(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_stats_t *stats, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_ts(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    ngx_str_t *s, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_keep(ngx_lyftr_sqlite_t *c,
    sqlite3_stmt *st, int i, ngx_str_t *s, ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_sqlite_stats(void *conn, ngx_lyftr_stats_t *stats,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    ngx_lyftr_query_t  query;

    ngx_lyftr_sqlite_forget(c);

    ngx_memzero(stats, sizeof(ngx_lyftr_stats_t));
    ngx_memzero(&query, sizeof(ngx_lyftr_query_t));

    if (ngx_lyftr_sqlite_total(c, &query, NULL, &stats->total, err) != NGX_OK
        || ngx_lyftr_sqlite_int(c, c->stmt[NGX_LYFTR_SQL_SENDERS],
                                &stats->senders, err)
           != NGX_OK
        || ngx_lyftr_sqlite_top(c, stats, err) != NGX_OK
        || ngx_lyftr_sqlite_ts(c, c->stmt[NGX_LYFTR_SQL_FIRST], &stats->first,
                               err)
           != NGX_OK
        || ngx_lyftr_sqlite_ts(c, c->stmt[NGX_LYFTR_SQL_LAST], &stats->last,
                               err)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_sqlite_top(ngx_lyftr_sqlite_t *c, ngx_lyftr_stats_t *stats,
    ngx_lyftr_error_t *err)
{
    int                  n;
    ngx_int_t            rc;
    sqlite3_stmt        *st;
    ngx_lyftr_sender_t  *sender;

    rc = NGX_OK;
    st = c->stmt[NGX_LYFTR_SQL_TOP];

    (void) sqlite3_bind_int64(st, 1, NGX_LYFTR_TOP_SENDERS);

    while ((n = sqlite3_step(st)) == SQLITE_ROW) {
        sender = &stats->top[stats->ntop++];
        sender->count = sqlite3_column_int64(st, 1);

        rc = ngx_lyftr_sqlite_keep(c, st, 0, &sender->from, err);

        if (rc != NGX_OK) {
            break;
        }
    }

    if (n != SQLITE_ROW && n != SQLITE_DONE) {
        rc = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return rc;
}


static ngx_int_t
ngx_lyftr_sqlite_ts(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st, ngx_str_t *s,
    ngx_lyftr_error_t *err)
{
    int        n;
    ngx_int_t  rc;

    rc = NGX_OK;
    n = sqlite3_step(st);

    if (n == SQLITE_ROW) {
        rc = ngx_lyftr_sqlite_keep(c, st, 2, s, err);

    } else if (n != SQLITE_DONE) {
        rc = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return rc;
}


static ngx_int_t
ngx_lyftr_sqlite_keep(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st, int i,
    ngx_str_t *s, ngx_lyftr_error_t *err)
{
    ngx_str_t  value;

    ngx_lyftr_sqlite_column(st, i, &value);

    s->data = sqlite3_malloc64(value.len + 1);

    if (s->data == NULL) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    if (value.len) {
        ngx_memcpy(s->data, value.data, value.len);
    }

    s->len = value.len;
    c->kept[c->nkept++] = s->data;

    return NGX_OK;
}


void
ngx_lyftr_sqlite_forget(ngx_lyftr_sqlite_t *c)
{
    while (c->nkept) {
        sqlite3_free(c->kept[--c->nkept]);
    }
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres.h>
#include <ngx_lyftr_message.h>


/* the order is that of NGX_LYFTR_POSTGRES_COLUMNS, and of what may follow */

typedef enum {
    NGX_LYFTR_POSTGRES_SEQ = 0,
    NGX_LYFTR_POSTGRES_H,
    NGX_LYFTR_POSTGRES_TIME,
    NGX_LYFTR_POSTGRES_ID,
    NGX_LYFTR_POSTGRES_ID_REST,
    NGX_LYFTR_POSTGRES_FROM,
    NGX_LYFTR_POSTGRES_FROM_REST,
    NGX_LYFTR_POSTGRES_TO,
    NGX_LYFTR_POSTGRES_TS,
    NGX_LYFTR_POSTGRES_TEXT,
    NGX_LYFTR_POSTGRES_CREATED,
    NGX_LYFTR_POSTGRES_TYPE,
    NGX_LYFTR_POSTGRES_RAW
} ngx_lyftr_postgres_member_e;


static ngx_int_t ngx_lyftr_postgres_joined(ngx_lyftr_postgres_t *c,
    const PGresult *res, int row, int column, ngx_lyftr_postgres_buf_t *buf,
    ngx_str_t *s, ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_postgres_row(ngx_lyftr_postgres_t *c, const PGresult *res, int row,
    ngx_lyftr_message_t *m, ngx_lyftr_position_t *position,
    ngx_lyftr_error_t *err)
{
    ngx_str_t  h, instant;

    ngx_memzero(m, sizeof(ngx_lyftr_message_t));

    if (ngx_lyftr_postgres_joined(c, res, row, NGX_LYFTR_POSTGRES_ID,
                                  &c->row.id, &m->message_id, err)
        != NGX_OK
        || ngx_lyftr_postgres_joined(c, res, row, NGX_LYFTR_POSTGRES_FROM,
                                     &c->row.from, &m->from, err)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_lyftr_postgres_str(res, row, NGX_LYFTR_POSTGRES_TO, &m->to);
    ngx_lyftr_postgres_str(res, row, NGX_LYFTR_POSTGRES_TS, &m->ts);
    ngx_lyftr_postgres_str(res, row, NGX_LYFTR_POSTGRES_TEXT, &m->text);
    ngx_lyftr_postgres_str(res, row, NGX_LYFTR_POSTGRES_CREATED,
                           &m->created_at);

    if (PQnfields(res) > NGX_LYFTR_POSTGRES_RAW) {
        ngx_lyftr_postgres_str(res, row, NGX_LYFTR_POSTGRES_TYPE, &m->type);
        ngx_lyftr_postgres_str(res, row, NGX_LYFTR_POSTGRES_RAW, &m->raw);
    }

    ngx_lyftr_postgres_str(res, row, NGX_LYFTR_POSTGRES_H, &h);
    ngx_lyftr_postgres_str(res, row, NGX_LYFTR_POSTGRES_TIME, &instant);

    position->store = c->state.store;
    position->seq = ngx_lyftr_postgres_int(res, row, NGX_LYFTR_POSTGRES_SEQ);
    position->hash = ngx_lyftr_postgres_get(h.data, sizeof(uint64_t));

    /* its first byte tells what it is */

    instant.data++;
    instant.len--;

    ngx_lyftr_cursor_set(position, &instant, instant.data[-1] == 0,
                         &m->message_id);

    return NGX_OK;
}


/* a text that stands in two columns */

static ngx_int_t
ngx_lyftr_postgres_joined(ngx_lyftr_postgres_t *c, const PGresult *res,
    int row, int column, ngx_lyftr_postgres_buf_t *buf, ngx_str_t *s,
    ngx_lyftr_error_t *err)
{
    ngx_str_t  rest;

    ngx_lyftr_postgres_str(res, row, column, s);
    ngx_lyftr_postgres_str(res, row, column + 1, &rest);

    if (rest.len == 0) {
        return NGX_OK;
    }

    buf->len = 0;

    if (ngx_lyftr_postgres_add(buf, s->data, s->len) != NGX_OK
        || ngx_lyftr_postgres_add(buf, rest.data, rest.len) != NGX_OK)
    {
        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                       "no memory");
    }

    s->data = buf->data;
    s->len = buf->len;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_postgres_locate(ngx_lyftr_postgres_t *c,
    ngx_lyftr_position_t *position, PGresult **res, ngx_lyftr_error_t *err)
{
    ngx_str_t  h;

    if (position->store != c->state.store
        || position->seq > c->state.last)
    {
        return NGX_DECLINED;
    }

    *res = ngx_lyftr_postgres_rows(c, &position->seq, 1, 0, err);
    if (*res == NULL) {
        return NGX_ERROR;
    }

    if (PQntuples(*res) == 0) {
        PQclear(*res);
        return NGX_DONE;
    }

    ngx_lyftr_postgres_str(*res, 0, NGX_LYFTR_POSTGRES_H, &h);

    if (ngx_lyftr_postgres_get(h.data, sizeof(uint64_t)) != position->hash) {
        PQclear(*res);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


PGresult *
ngx_lyftr_postgres_rows(ngx_lyftr_postgres_t *c, int64_t *seqs, ngx_uint_t n,
    ngx_uint_t extra, ngx_lyftr_error_t *err)
{
    PGresult                   *res;
    ngx_lyftr_postgres_buf_t    buf;
    ngx_lyftr_postgres_args_t   args;

    ngx_memzero(&buf, sizeof(ngx_lyftr_postgres_buf_t));

    if (ngx_lyftr_postgres_ints(&buf, seqs, n) != NGX_OK) {
        (void) ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                       "no memory");
        ngx_lyftr_postgres_free(&buf);
        return NULL;
    }

    args.n = 0;
    ngx_lyftr_postgres_arg(&args, buf.data, buf.len);
    ngx_lyftr_postgres_arg_int(&args, extra);

    res = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_ROW, &args, c->deadline,
                                   err);

    ngx_lyftr_postgres_free(&buf);

    return res;
}


void
ngx_lyftr_postgres_row_free(ngx_lyftr_postgres_t *c)
{
    ngx_lyftr_postgres_free(&c->row.id);
    ngx_lyftr_postgres_free(&c->row.from);
}

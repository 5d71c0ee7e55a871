#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres.h>

#include <stdio.h>


typedef struct {
    const char          *state;            /* or its class */
    ngx_lyftr_err_e      code;
} ngx_lyftr_postgres_state_code_t;


/* whole SQLSTATEs first */

static ngx_lyftr_postgres_state_code_t  ngx_lyftr_postgres_codes[] = {
    { "23505", NGX_LYFTR_ERR_BUSY },
    { "23514", NGX_LYFTR_ERR_BUSY },
    { "25006", NGX_LYFTR_ERR_READONLY },
    { "42501", NGX_LYFTR_ERR_OPEN },
    { "53100", NGX_LYFTR_ERR_FULL },
    { "54000", NGX_LYFTR_ERR_DATA },
    { "55P03", NGX_LYFTR_ERR_BUSY },
    { "57014", NGX_LYFTR_ERR_TIMEOUT },
    { "XX001", NGX_LYFTR_ERR_CORRUPT },
    { "XX002", NGX_LYFTR_ERR_CORRUPT },
    { "08", NGX_LYFTR_ERR_OPEN },
    { "22", NGX_LYFTR_ERR_DATA },
    { "28", NGX_LYFTR_ERR_OPEN },
    { "3D", NGX_LYFTR_ERR_OPEN },
    { "3F", NGX_LYFTR_ERR_MOVED },
    { "40", NGX_LYFTR_ERR_BUSY },
    { "42", NGX_LYFTR_ERR_SCHEMA },
    { "53", NGX_LYFTR_ERR_OPEN },
    { "57", NGX_LYFTR_ERR_OPEN },
    { NULL, NGX_LYFTR_ERR_FAILED }
};


static ngx_int_t ngx_lyftr_postgres_line(ngx_lyftr_postgres_dsn_t *dsn,
    ngx_lyftr_error_t *err, ngx_lyftr_err_e code, const char *text);


ngx_int_t
ngx_lyftr_postgres_fail(ngx_lyftr_postgres_dsn_t *dsn, ngx_lyftr_error_t *err,
    ngx_lyftr_err_e code, const char *fmt, ...)
{
    char     text[NGX_LYFTR_ERROR_LEN];
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    return ngx_lyftr_postgres_line(dsn, err, code, text);
}


/* which database, and its text up to the end of the line */

static ngx_int_t
ngx_lyftr_postgres_line(ngx_lyftr_postgres_dsn_t *dsn, ngx_lyftr_error_t *err,
    ngx_lyftr_err_e code, const char *text)
{
    int      n;
    size_t   i;

    n = snprintf((char *) err->text, NGX_LYFTR_ERROR_LEN, "%.100s%s%s",
                 (char *) dsn->common.path, dsn->common.path[0] ? ": " : "",
                 text);

    err->code = code;
    err->len = n < 0 ? 0 : ngx_min((size_t) n, NGX_LYFTR_ERROR_LEN - 1);

    for (i = 0; i < err->len; i++) {

        if (err->text[i] == '\n') {
            err->len = i;
            break;
        }

        if (err->text[i] < 0x20 || err->text[i] == 0x7f) {
            err->text[i] = '?';
        }
    }

    return NGX_ERROR;
}


/* the primary message has no values of ours: these are in DETAIL */

ngx_int_t
ngx_lyftr_postgres_error(ngx_lyftr_postgres_t *c, const PGresult *res,
    ngx_lyftr_error_t *err)
{
    const char  *state, *text;

    state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

    if (state == NULL || text == NULL) {
        return ngx_lyftr_postgres_lost(c->dsn, c->call.pg, err);
    }

    return ngx_lyftr_postgres_fail(c->dsn, err, ngx_lyftr_postgres_code(state),
                                   "%s (%s)", text, state);
}


ngx_int_t
ngx_lyftr_postgres_lost(ngx_lyftr_postgres_dsn_t *dsn, PGconn *pg,
    ngx_lyftr_error_t *err)
{
    const char  *text;

    text = pg ? PQerrorMessage(pg) : "";

    return ngx_lyftr_postgres_line(dsn, err, NGX_LYFTR_ERR_OPEN,
                                   text[0] ? text : "the connection was lost");
}


ngx_lyftr_err_e
ngx_lyftr_postgres_code(const char *state)
{
    ngx_lyftr_postgres_state_code_t  *p;

    for (p = ngx_lyftr_postgres_codes; p->state; p++) {
        if (ngx_strncmp(state, p->state, ngx_strlen(p->state)) == 0) {
            break;
        }
    }

    return p->code;
}


ngx_msec_t
ngx_lyftr_postgres_left(ngx_msec_t deadline)
{
    ngx_msec_int_t  left;

    left = (ngx_msec_int_t) (deadline - ngx_lyftr_clock());

    return left > 0 ? (ngx_msec_t) left : 0;
}

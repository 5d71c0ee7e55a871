#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres.h>
#include <ngx_lyftr_message.h>


void *
ngx_lyftr_postgres_open(void *data, ngx_uint_t flags, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_postgres_dsn_t *dsn = data;

    ngx_lyftr_postgres_t  *c;

    c = calloc(1, sizeof(ngx_lyftr_postgres_t));
    if (c == NULL) {
        (void) ngx_lyftr_postgres_fail(dsn, err, NGX_LYFTR_ERR_FAILED,
                                       "no memory");
        return NULL;
    }

    c->dsn = dsn;
    c->digest = ngx_lyftr_digest_create();

    if (c->digest == NULL) {
        (void) ngx_lyftr_postgres_fail(dsn, err, NGX_LYFTR_ERR_FAILED,
                                       "no memory");
        ngx_lyftr_postgres_close(c);
        return NULL;
    }

    if (ngx_lyftr_postgres_connect_wait(c, flags, deadline, err) != NGX_OK) {
        ngx_lyftr_postgres_close(c);
        return NULL;
    }

    return c;
}


void
ngx_lyftr_postgres_close(void *conn)
{
    ngx_lyftr_postgres_t *c = conn;

    PQclear(c->kept[0]);
    PQclear(c->kept[1]);

    /* a barrier without an answer has it still */

    if (c->barrier.waits) {
        ngx_lyftr_postgres_slot_lose(c);
    }

    ngx_lyftr_postgres_slot_leave(c);
    ngx_lyftr_postgres_jobs_free(c);
    ngx_lyftr_postgres_writer_free(c);
    ngx_lyftr_postgres_row_free(c);
    ngx_lyftr_postgres_call_close(c);

    if (c->digest) {
        ngx_lyftr_digest_free(c->digest);
    }

    free(c);
}

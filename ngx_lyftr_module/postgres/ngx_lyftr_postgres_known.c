#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres.h>


/*
 * What all processes of this host know of the store: which one it is, and how
 * far it was acknowledged.  A database that has less has lost rows.
 */


/* that of the database which all processes have met before */

ngx_int_t
ngx_lyftr_postgres_same_store(ngx_lyftr_postgres_t *c, ngx_lyftr_error_t *err)
{
    ngx_atomic_t  *word;

    if (c->dsn->common.words == NULL) {
        return NGX_OK;
    }

    word = &c->dsn->common.words[NGX_LYFTR_WORD_STORE];

    (void) ngx_atomic_cmp_set(word, 0, c->state.store);

    return __atomic_load_n(word, __ATOMIC_RELAXED) == c->state.store
           ? NGX_OK
           : ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_MOVED,
                                     "another store is there now");
}


int64_t
ngx_lyftr_postgres_floor(ngx_lyftr_postgres_t *c)
{
    return c->dsn->common.words
           ? (int64_t) __atomic_load_n(&c->dsn->common.words
                                            [NGX_LYFTR_WORD_DURABLE],
                                       __ATOMIC_SEQ_CST)
           : 0;
}


ngx_int_t
ngx_lyftr_postgres_reached(ngx_lyftr_postgres_t *c, int64_t floor, int64_t d,
    ngx_uint_t durable, ngx_lyftr_error_t *err)
{
    int64_t        now;
    ngx_atomic_t  *word;

    if (d < floor) {
        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_MOVED,
                                       "its newest rows are gone");
    }

    if (!durable || c->dsn->common.words == NULL) {
        return NGX_OK;
    }

    word = &c->dsn->common.words[NGX_LYFTR_WORD_DURABLE];

    do {
        now = ngx_lyftr_postgres_floor(c);
    } while (now < d && !ngx_atomic_cmp_set(word, now, d));

    return NGX_OK;
}

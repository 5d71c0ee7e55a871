#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite.h>


/*
 * After a reload the words may belong to another store, while a process of the
 * old configuration still works: they are those of the file whose number they
 * begin with.
 */

ngx_atomic_t *
ngx_lyftr_sqlite_word(ngx_lyftr_sqlite_t *c, ngx_uint_t word)
{
    ngx_atomic_t            *words;
    ngx_lyftr_sqlite_dsn_t  *dsn;

    dsn = c->dsn;
    words = dsn->common.words;

    if (words == NULL
        || __atomic_load_n(&words[NGX_LYFTR_FILE_DB], __ATOMIC_SEQ_CST)
           != dsn->file[NGX_LYFTR_FILE_DB].id)
    {
        return NULL;
    }

    return &words[word];
}


ngx_lyftr_backend_job_t *
ngx_lyftr_sqlite_job(ngx_lyftr_sqlite_t *c, ngx_uint_t n)
{
    ngx_lyftr_backend_job_t  *jobs;

    jobs = c->dsn->common.jobs;

    return jobs && ngx_lyftr_sqlite_word(c, NGX_LYFTR_WORD_BEAT) ? &jobs[n]
                                                                 : NULL;
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>


/* the entries of a segment that is being made, in their order */

static ngx_int_t ngx_lyftr_job_entry_row(ngx_lyftr_job_t *job);
static ngx_int_t ngx_lyftr_job_entry_merged(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_job_t *job, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_job_add(ngx_lyftr_job_t *job, u_char *key,
    size_t len, int64_t seq);


ngx_int_t
ngx_lyftr_job_entry(ngx_lyftr_sqlite_t *c, ngx_lyftr_job_t *job,
    ngx_lyftr_error_t *err)
{
    if (job->nfrom) {
        return ngx_lyftr_job_entry_merged(c, job, err);
    }

    return ngx_lyftr_job_entry_row(job) == NGX_OK ? NGX_OK
                                                  : ngx_lyftr_job_memory(err);
}


static ngx_int_t
ngx_lyftr_job_entry_row(ngx_lyftr_job_t *job)
{
    u_char                  *key, hash[sizeof(uint64_t)];
    size_t                   len;
    ngx_lyftr_recent_row_t  *row;

    row = (ngx_lyftr_recent_row_t *) job->rows.data + job->order[job->pos++];

    if (job->kind == NGX_LYFTR_KIND_ID) {
        ngx_lyftr_sqlite_hash_key(hash, row->hash);

        return ngx_lyftr_job_add(job, hash, sizeof(hash), row->seq);
    }

    key = ngx_lyftr_recent_key(row, job->kind, &len);

    return ngx_lyftr_job_add(job, key, len, row->seq);
}


static ngx_int_t
ngx_lyftr_job_entry_merged(ngx_lyftr_sqlite_t *c, ngx_lyftr_job_t *job,
    ngx_lyftr_error_t *err)
{
    ngx_uint_t           i;
    ngx_lyftr_buf_t     *key;
    ngx_lyftr_cursor_t  *least, *cursor;

    least = NULL;

    for (i = 0; i < job->nfrom; i++) {
        cursor = &job->cursor[i];

        if (!ngx_lyftr_cursor_end(cursor)
            && (least == NULL
                || ngx_lyftr_key_cmp(cursor->block.key.data,
                                     cursor->block.key.len,
                                     least->block.key.data,
                                     least->block.key.len)
                   < 0))
        {
            least = cursor;
        }
    }

    if (least == NULL) {
        return ngx_lyftr_sqlite_damaged(err);
    }

    key = &least->block.key;

    if (ngx_lyftr_job_add(job, key->data, key->len,
                          ngx_lyftr_cursor_seq(least))
        != NGX_OK)
    {
        return ngx_lyftr_job_memory(err);
    }

    return ngx_lyftr_cursor_next(c, least, err);
}


static ngx_int_t
ngx_lyftr_job_add(ngx_lyftr_job_t *job, u_char *key, size_t len, int64_t seq)
{
    uint64_t  hash;

    if (job->kind == NGX_LYFTR_KIND_ID && len == sizeof(hash)) {
        ngx_memcpy(&hash, key, sizeof(hash));

        ngx_lyftr_sqlite_filter_add(job->segment.filter,
                                    job->segment.filter_len, be64toh(hash));
    }

    return ngx_lyftr_build_add(&job->build, key, len,
                               seq - job->segment.first);
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>


/* the entries of a segment that is being made, in their order */

static ngx_int_t ngx_lyftr_compaction_entry_row(ngx_lyftr_compaction_t *job);
static ngx_int_t ngx_lyftr_compaction_entry_merged(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_compaction_t *job, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_compaction_less(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_compaction_t *job, ngx_uint_t a, ngx_uint_t b, ngx_uint_t *less,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_compaction_id(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_compaction_t *job,
    ngx_uint_t i, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_compaction_add(ngx_lyftr_compaction_t *job,
    u_char *key,
    size_t len, int64_t seq);


ngx_int_t
ngx_lyftr_compaction_entry(ngx_lyftr_sqlite_t *c, ngx_lyftr_compaction_t *job,
    ngx_lyftr_error_t *err)
{
    if (job->nfrom) {
        return ngx_lyftr_compaction_entry_merged(c, job, err);
    }

    return ngx_lyftr_compaction_entry_row(job) == NGX_OK ? NGX_OK
                                                  : ngx_lyftr_compaction_memory(
                                                      err);
}


static ngx_int_t
ngx_lyftr_compaction_entry_row(ngx_lyftr_compaction_t *job)
{
    u_char                  *key, hash[sizeof(uint64_t)];
    size_t                   len;
    ngx_lyftr_memtable_row_t  *row;

    row = (ngx_lyftr_memtable_row_t *) job->rows.data + job->order[job->pos++];

    if (job->kind == NGX_LYFTR_TREE_ID) {
        ngx_lyftr_sqlite_hash_key(hash, row->hash);

        return ngx_lyftr_compaction_add(job, hash, sizeof(hash), row->seq);
    }

    key = ngx_lyftr_memtable_key(row, job->kind, &len);

    return ngx_lyftr_compaction_add(job, key, len, row->seq);
}


static ngx_int_t
ngx_lyftr_compaction_entry_merged(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_compaction_t *job,
    ngx_lyftr_error_t *err)
{
    ngx_uint_t           i, least, less;
    ngx_lyftr_buf_t     *key;
    ngx_lyftr_iterator_t  *cursor;

    least = job->nfrom;

    for (i = 0; i < job->nfrom; i++) {

        if (ngx_lyftr_iterator_end(&job->cursor[i])) {
            continue;
        }

        less = (least == job->nfrom);

        if (!less
            && ngx_lyftr_compaction_less(c, job, i, least, &less,
                                         err) != NGX_OK)
        {
            return NGX_ERROR;
        }

        least = less ? i : least;
    }

    if (least == job->nfrom) {
        return ngx_lyftr_sqlite_damaged(err);
    }

    cursor = &job->cursor[least];
    key = &cursor->block.key;

    if (ngx_lyftr_compaction_add(job, key->data, key->len,
                                 ngx_lyftr_iterator_seq(cursor))
        != NGX_OK)
    {
        return ngx_lyftr_compaction_memory(err);
    }

    return ngx_lyftr_iterator_next(c, cursor, err);
}


/* of the entries that two cursors are at; ids of one hash are compared */

static ngx_int_t
ngx_lyftr_compaction_less(ngx_lyftr_sqlite_t *c, ngx_lyftr_compaction_t *job,
    ngx_uint_t a,
    ngx_uint_t b, ngx_uint_t *less, ngx_lyftr_error_t *err)
{
    int                  cmp;
    ngx_lyftr_block_t   *one, *two;

    one = &job->cursor[a].block;
    two = &job->cursor[b].block;

    cmp = ngx_lyftr_key_cmp(one->key.data, one->key.len, two->key.data,
                            two->key.len);

    if (cmp == 0 && job->kind == NGX_LYFTR_TREE_ID && job->segment.ties) {

        if (ngx_lyftr_compaction_id(c, job, a, err) != NGX_OK
            || ngx_lyftr_compaction_id(c, job, b, err) != NGX_OK)
        {
            return NGX_ERROR;
        }

        cmp = ngx_lyftr_key_cmp(job->id[a].data, job->id[a].len,
                                job->id[b].data, job->id[b].len);
    }

    *less = (cmp < 0);

    return NGX_OK;
}


/* reads the id of the entry that a cursor is at, once */

static ngx_int_t
ngx_lyftr_compaction_id(ngx_lyftr_sqlite_t *c, ngx_lyftr_compaction_t *job,
    ngx_uint_t i,
    ngx_lyftr_error_t *err)
{
    int64_t  seq;

    seq = ngx_lyftr_iterator_seq(&job->cursor[i]);

    if (seq == job->id_of[i]) {
        return NGX_OK;
    }

    job->id_of[i] = 0;

    if (ngx_lyftr_sqlite_id(c, seq, &job->id[i], err) != NGX_OK) {
        return NGX_ERROR;
    }

    job->id_of[i] = seq;

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_compaction_add(ngx_lyftr_compaction_t *job, u_char *key, size_t len,
    int64_t seq)
{
    uint64_t  hash;

    if (job->kind == NGX_LYFTR_TREE_ID && len == sizeof(hash)) {
        ngx_memcpy(&hash, key, sizeof(hash));

        ngx_lyftr_filter_add(job->segment.filter,
                             job->segment.filter_len, be64toh(hash));
    }

    return ngx_lyftr_builder_add(&job->build, key, len,
                                 seq - job->segment.first);
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_index.h>


/* in one go: blocks that are stored, entries that are made, rows sorted */
#define NGX_LYFTR_JOB_BLOCKS       64
#define NGX_LYFTR_JOB_ENTRIES      4096
#ifndef NGX_LYFTR_JOB_RUN
#define NGX_LYFTR_JOB_RUN          4096
#endif


static ngx_int_t ngx_lyftr_compaction_begin(ngx_lyftr_compaction_t *job,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_compaction_rows(ngx_lyftr_index_t *index,
    ngx_lyftr_compaction_t *job, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_compaction_row(void *data, ngx_lyftr_row_t *row,
    ngx_lyftr_error_t *err);
static void ngx_lyftr_compaction_sort(ngx_lyftr_compaction_t *job);
static ngx_int_t ngx_lyftr_compaction_tree(ngx_lyftr_index_t *index,
    ngx_lyftr_compaction_t *job, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_compaction_ended(ngx_lyftr_compaction_t *job);
static ngx_int_t ngx_lyftr_compaction_sorted(ngx_lyftr_compaction_t *job);
static ngx_int_t ngx_lyftr_compaction_merged(ngx_lyftr_index_t *index,
    ngx_lyftr_compaction_t *job, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_compaction_pass(ngx_lyftr_index_t *index,
    ngx_lyftr_compaction_t *job, ngx_uint_t i, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_compaction_less(ngx_lyftr_index_t *index,
    ngx_lyftr_compaction_t *job, ngx_uint_t a, ngx_uint_t b, ngx_uint_t *less,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_compaction_id(ngx_lyftr_index_t *index,
    ngx_lyftr_compaction_t *job, ngx_uint_t i, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_compaction_add(ngx_lyftr_compaction_t *job,
    u_char *key, size_t len, int64_t seq);


ngx_int_t
ngx_lyftr_compaction_flush(ngx_lyftr_index_t *index,
    ngx_lyftr_compaction_t *job, int64_t id, int64_t first, int64_t last,
    ngx_lyftr_error_t *err)
{
    job->nfrom = 0;

    job->segment.id = id;
    job->segment.level = 0;
    job->segment.first = first;
    job->segment.last = last;

    if (ngx_lyftr_compaction_rows(index, job, err) != NGX_OK) {
        ngx_lyftr_compaction_free(job);
        return NGX_ERROR;
    }

    return ngx_lyftr_compaction_begin(job, err);
}


ngx_int_t
ngx_lyftr_compaction_merge(ngx_lyftr_index_t *index,
    ngx_lyftr_compaction_t *job, int64_t id, ngx_lyftr_segment_t *from,
    ngx_uint_t n, ngx_lyftr_leave_t *leave, ngx_lyftr_error_t *err)
{
    ngx_uint_t  i;

    job->nfrom = n;

    job->segment.id = id;
    job->segment.level = from[0].level;
    job->segment.first = from[0].first;
    job->segment.last = from[n - 1].last;
    job->segment.rows = 0;
    job->segment.sum = 0;
    job->segment.summed = 1;
    job->segment.ties = from[0].ties;

    for (i = 0; i < n; i++) {
        job->from[i] = from[i];
        job->from[i].filter = NULL;
        job->segment.level = ngx_max(job->segment.level, from[i].level);
        job->segment.rows += from[i].rows;
        job->segment.sum += from[i].sum;
        job->segment.summed &= from[i].summed;
    }

    if (n > 1 && job->segment.level < NGX_LYFTR_LEVELS) {
        job->segment.level++;
    }

    if (leave) {
        job->leave = *leave;
        job->segment.rows -= leave->rows;
        job->segment.sum -= leave->sum;
        job->segment.first = ngx_max(job->segment.first, leave->first);
    }

    if (job->segment.rows < 0) {
        ngx_lyftr_compaction_free(job);
        return ngx_lyftr_index_damaged(err);
    }

    return ngx_lyftr_compaction_begin(job, err);
}


static ngx_int_t
ngx_lyftr_compaction_begin(ngx_lyftr_compaction_t *job, ngx_lyftr_error_t *err)
{
    size_t  len;

    len = ngx_lyftr_filter_len(job->segment.rows);

    job->segment.filter = calloc(1, len);
    job->segment.filter_len = len;

    if (job->segment.filter == NULL) {
        ngx_lyftr_compaction_free(job);
        return ngx_lyftr_index_memory(err);
    }

    job->kind = 0;
    job->sorted = 0;
    job->begun = 0;
    job->ended = 0;
    job->active = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_compaction_rows(ngx_lyftr_index_t *index,
    ngx_lyftr_compaction_t *job, ngx_lyftr_error_t *err)
{
    u_char                    *key;
    ngx_uint_t                 i;
    ngx_lyftr_memtable_row_t  *rows;

    job->keys.len = 0;
    job->rows.len = 0;
    job->segment.sum = 0;
    job->segment.summed = 1;
    job->segment.ties = 1;

    if (index->holder->rows(index->data, NGX_LYFTR_ROWS_SUMS,
                            job->segment.first, job->segment.last,
                            ngx_lyftr_compaction_row, job, err)
        == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    /* the keys may have moved while their memory grew */

    key = job->keys.data;
    rows = (ngx_lyftr_memtable_row_t *) job->rows.data;

    job->segment.rows = job->rows.len / sizeof(ngx_lyftr_memtable_row_t);

    for (i = 0; i < (ngx_uint_t) job->segment.rows; i++) {
        rows[i].key = key;
        key += rows[i].size;
    }

    job->order = malloc((2 * job->segment.rows + 1) * sizeof(uint32_t));

    return job->order ? NGX_OK : ngx_lyftr_index_memory(err);
}


static ngx_int_t
ngx_lyftr_compaction_row(void *data, ngx_lyftr_row_t *row,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_compaction_t *job = data;

    ngx_lyftr_memtable_row_t  to;

    if (ngx_lyftr_key_row(row, &job->keys, &to) != NGX_OK
        || ngx_lyftr_buf_add(&job->rows, &to, sizeof(to)) != NGX_OK)
    {
        return ngx_lyftr_index_memory(err);
    }

    job->segment.sum += row->sum;

    return NGX_OK;
}


/* one run more, and of those that are there two of a length become one */

static void
ngx_lyftr_compaction_sort(ngx_lyftr_compaction_t *job)
{
    uint32_t                  *order;
    ngx_uint_t                 i, n, rows, first, half, end;
    ngx_lyftr_memtable_row_t  *row;

    row = (ngx_lyftr_memtable_row_t *) job->rows.data;
    rows = job->segment.rows;
    first = job->sorted;
    order = job->order + first;
    n = ngx_min(rows - first, NGX_LYFTR_JOB_RUN);

    ngx_lyftr_memtable_sort(row + first, n, job->kind, order);

    for (i = 0; i < n; i++) {
        order[i] += first;
    }

    job->sorted += n;

    for (half = NGX_LYFTR_JOB_RUN; half < rows; half *= 2) {
        first -= first % (2 * half);
        end = ngx_min(first + 2 * half, rows);

        if (job->sorted < end) {
            return;
        }

        if (first + half < end) {
            ngx_lyftr_memtable_join(row, end - first, half, job->kind,
                                    job->order + first, job->order + rows);
        }
    }
}


/* begins a tree */

static ngx_int_t
ngx_lyftr_compaction_tree(ngx_lyftr_index_t *index,
    ngx_lyftr_compaction_t *job, ngx_lyftr_error_t *err)
{
    ngx_uint_t  i;

    ngx_lyftr_builder_begin(&job->build, job->segment.id, job->kind);

    job->stored = 0;
    job->pos = 0;

    for (i = 0; i < job->nfrom; i++) {
        ngx_lyftr_iterator_free(&job->cursor[i]);
        ngx_lyftr_iterator_init(&job->cursor[i], &job->from[i], job->kind);

        if (ngx_lyftr_iterator_at(index, &job->cursor[i], 0, err) != NGX_OK
            || ngx_lyftr_compaction_pass(index, job, i, err) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    job->begun = 1;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_compaction_read(ngx_lyftr_index_t *index,
    ngx_lyftr_compaction_t *job, ngx_lyftr_error_t *err)
{
    ngx_uint_t  n;

    if (job->nfrom == 0 && job->sorted < (ngx_uint_t) job->segment.rows) {
        ngx_lyftr_compaction_sort(job);
        return NGX_OK;
    }

    if (!job->begun && ngx_lyftr_compaction_tree(index, job, err) != NGX_OK) {
        return NGX_ERROR;
    }

    for (n = 0;
         !job->ended
         && n < NGX_LYFTR_JOB_ENTRIES
         && job->build.out.len < NGX_LYFTR_JOB_BLOCKS * NGX_LYFTR_BLOCK_LEN;
         n++)
    {
        if (job->build.rank == job->segment.rows) {

            /* as many are left out as was said */

            for (n = 0; n < job->nfrom; n++) {
                if (!ngx_lyftr_iterator_end(&job->cursor[n])) {
                    return ngx_lyftr_index_damaged(err);
                }
            }

            return ngx_lyftr_compaction_ended(job) == NGX_OK
                   ? NGX_OK : ngx_lyftr_index_memory(err);
        }

        if (ngx_lyftr_compaction_entry(index, job, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_compaction_ended(ngx_lyftr_compaction_t *job)
{
    if (job->kind == NGX_LYFTR_TREE_ID
        && ngx_lyftr_builder_filter(&job->build, job->segment.filter,
                                    job->segment.filter_len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    job->ended = 1;
    job->segment.height[job->kind] = job->build.height;

    return ngx_lyftr_builder_end(&job->build);
}


ngx_int_t
ngx_lyftr_compaction_write(ngx_lyftr_index_t *index,
    ngx_lyftr_compaction_t *job, ngx_lyftr_error_t *err)
{
    if (ngx_lyftr_builder_store(index, &job->build, &job->stored,
                                NGX_LYFTR_JOB_BLOCKS, err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (job->stored < job->build.out.len) {
        return NGX_OK;
    }

    job->build.out.len = 0;
    job->stored = 0;

    if (!job->ended) {
        return NGX_OK;
    }

    if (job->kind + 1 == NGX_LYFTR_TREES) {
        return NGX_DONE;
    }

    job->kind++;
    job->sorted = 0;
    job->begun = 0;
    job->ended = 0;

    return NGX_OK;
}


void
ngx_lyftr_compaction_free(ngx_lyftr_compaction_t *job)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_LYFTR_FANOUT; i++) {
        ngx_lyftr_iterator_free(&job->cursor[i]);
        ngx_lyftr_buf_free(&job->id[i]);
    }

    ngx_lyftr_builder_free(&job->build);
    ngx_lyftr_buf_free(&job->keys);
    ngx_lyftr_buf_free(&job->rows);
    free(job->order);
    free(job->segment.filter);

    ngx_memzero(job, sizeof(ngx_lyftr_compaction_t));
}


ngx_int_t
ngx_lyftr_compaction_entry(ngx_lyftr_index_t *index,
    ngx_lyftr_compaction_t *job, ngx_lyftr_error_t *err)
{
    if (job->nfrom) {
        return ngx_lyftr_compaction_merged(index, job, err);
    }

    return ngx_lyftr_compaction_sorted(job) == NGX_OK
           ? NGX_OK : ngx_lyftr_index_memory(err);
}


static ngx_int_t
ngx_lyftr_compaction_sorted(ngx_lyftr_compaction_t *job)
{
    u_char                    *key;
    size_t                     len;
    ngx_lyftr_memtable_row_t  *row;

    row = (ngx_lyftr_memtable_row_t *) job->rows.data + job->order[job->pos++];
    key = ngx_lyftr_memtable_key(row, job->kind, &len);

    return ngx_lyftr_compaction_add(job, key, len, row->seq);
}


static ngx_int_t
ngx_lyftr_compaction_merged(ngx_lyftr_index_t *index,
    ngx_lyftr_compaction_t *job, ngx_lyftr_error_t *err)
{
    ngx_uint_t             i, least, less;
    ngx_lyftr_buf_t       *key;
    ngx_lyftr_iterator_t  *cursor;

    least = job->nfrom;

    for (i = 0; i < job->nfrom; i++) {

        if (ngx_lyftr_iterator_end(&job->cursor[i])) {
            continue;
        }

        less = (least == job->nfrom);

        if (!less
            && ngx_lyftr_compaction_less(index, job, i, least, &less,
                                         err) != NGX_OK)
        {
            return NGX_ERROR;
        }

        least = less ? i : least;
    }

    if (least == job->nfrom) {
        return ngx_lyftr_index_damaged(err);
    }

    cursor = &job->cursor[least];
    key = &cursor->block.key;

    if (ngx_lyftr_compaction_add(job, key->data, key->len,
                                 ngx_lyftr_iterator_seq(cursor))
        != NGX_OK)
    {
        return ngx_lyftr_index_memory(err);
    }

    if (ngx_lyftr_iterator_next(index, cursor, err) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_lyftr_compaction_pass(index, job, least, err);
}


/* passes over entries that are left out */

static ngx_int_t
ngx_lyftr_compaction_pass(ngx_lyftr_index_t *index,
    ngx_lyftr_compaction_t *job, ngx_uint_t i, ngx_lyftr_error_t *err)
{
    ngx_lyftr_iterator_t  *cursor;

    cursor = &job->cursor[i];

    while (job->leave.out
           && !ngx_lyftr_iterator_end(cursor)
           && job->leave.out(job->leave.data, ngx_lyftr_iterator_seq(cursor)))
    {
        if (ngx_lyftr_iterator_next(index, cursor, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* of the entries that two cursors are at; ids of one hash are compared */

static ngx_int_t
ngx_lyftr_compaction_less(ngx_lyftr_index_t *index,
    ngx_lyftr_compaction_t *job, ngx_uint_t a, ngx_uint_t b, ngx_uint_t *less,
    ngx_lyftr_error_t *err)
{
    int                  cmp;
    ngx_lyftr_block_t   *one, *two;

    one = &job->cursor[a].block;
    two = &job->cursor[b].block;

    cmp = ngx_lyftr_key_cmp(one->key.data, one->key.len, two->key.data,
                            two->key.len);

    if (cmp == 0 && !ngx_lyftr_trees[job->kind].time && job->segment.ties) {

        if (ngx_lyftr_compaction_id(index, job, a, err) != NGX_OK
            || ngx_lyftr_compaction_id(index, job, b, err) != NGX_OK)
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
ngx_lyftr_compaction_id(ngx_lyftr_index_t *index, ngx_lyftr_compaction_t *job,
    ngx_uint_t i, ngx_lyftr_error_t *err)
{
    int64_t  seq;

    seq = ngx_lyftr_iterator_seq(&job->cursor[i]);

    if (seq == job->id_of[i]) {
        return NGX_OK;
    }

    job->id_of[i] = 0;

    if (ngx_lyftr_index_id(index, seq, &job->id[i], err) != NGX_OK) {
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

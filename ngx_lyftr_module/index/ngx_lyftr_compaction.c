#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_jobs.h>


/* blocks that are stored in one turn, and entries that are sorted in one go */
#define NGX_LYFTR_JOB_BLOCKS       64
#define NGX_LYFTR_JOB_ENTRIES      8192


static ngx_int_t ngx_lyftr_compaction_begin(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_compaction_t *job, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_compaction_filter(ngx_lyftr_compaction_t *job,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_compaction_rows(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_compaction_t *job, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_compaction_entries(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_compaction_t *job, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_compaction_kind(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_compaction_t *job, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_compaction_ended(ngx_lyftr_compaction_t *job);
static ngx_int_t ngx_lyftr_compaction_register(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_compaction_t *job, ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_compaction_flush(ngx_lyftr_sqlite_t *c, ngx_lyftr_compaction_t *job,
    int64_t first, int64_t last, ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    job->nfrom = 0;

    job->segment.level = 0;
    job->segment.first = first;
    job->segment.last = last;

    return ngx_lyftr_compaction_begin(c, job, deadline, err);
}


ngx_int_t
ngx_lyftr_compaction_merge(ngx_lyftr_sqlite_t *c, ngx_lyftr_compaction_t *job,
    ngx_lyftr_segment_t *from, ngx_uint_t n, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_uint_t  i;

    job->nfrom = n;

    job->segment.level = from[0].level + 1;
    job->segment.first = from[0].first;
    job->segment.last = from[n - 1].last;
    job->segment.rows = 0;
    job->segment.sum = 0;
    job->segment.summed = 1;
    job->segment.ties = from[0].ties;

    for (i = 0; i < n; i++) {
        job->from[i] = from[i];
        job->from[i].filter = NULL;
        job->segment.rows += from[i].rows;
        job->segment.sum += from[i].sum;
        job->segment.summed &= from[i].summed;
    }

    return ngx_lyftr_compaction_begin(c, job, deadline, err);
}


static ngx_int_t
ngx_lyftr_compaction_begin(ngx_lyftr_sqlite_t *c, ngx_lyftr_compaction_t *job,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_upkeep_number(c, &job->segment.id, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);
    }

    if (rc == NGX_OK && job->nfrom == 0) {
        rc = ngx_lyftr_compaction_rows(c, job, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_compaction_filter(job, err);
    }

    job->kind = NGX_LYFTR_TREE_ID;

    if (rc == NGX_OK) {
        rc = ngx_lyftr_compaction_kind(c, job, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc == NGX_OK) {
        job->active = 1;

    } else {
        ngx_lyftr_compaction_free(job);
    }

    return rc;
}


static ngx_int_t
ngx_lyftr_compaction_filter(ngx_lyftr_compaction_t *job, ngx_lyftr_error_t *err)
{
    size_t  len;

    len = ngx_lyftr_filter_len(job->segment.rows);

    job->segment.filter = sqlite3_malloc64(len);
    job->segment.filter_len = len;

    if (job->segment.filter == NULL) {
        return ngx_lyftr_compaction_memory(err);
    }

    ngx_memzero(job->segment.filter, len);

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_compaction_rows(ngx_lyftr_sqlite_t *c, ngx_lyftr_compaction_t *job,
    ngx_lyftr_error_t *err)
{
    int                      rc;
    u_char                  *key;
    ngx_uint_t               i;
    sqlite3_stmt            *st;
    ngx_lyftr_sqlite_row_t   row;
    ngx_lyftr_memtable_row_t   to, *rows;

    job->keys.len = 0;
    job->rows.len = 0;
    job->segment.sum = 0;
    job->segment.summed = 1;
    job->segment.ties = 1;

    st = c->stmt[NGX_LYFTR_SQL_ROWS];

    (void) sqlite3_bind_int64(st, 1, job->segment.first);
    (void) sqlite3_bind_int64(st, 2, job->segment.last);

    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {

        ngx_lyftr_sqlite_row(st, &row);

        if (ngx_lyftr_sqlite_row_keys(&row, &job->keys, &to) != NGX_OK
            || ngx_lyftr_buf_add(&job->rows, &to, sizeof(to)) != NGX_OK)
        {
            (void) sqlite3_reset(st);
            return ngx_lyftr_compaction_memory(err);
        }

        job->segment.sum += ngx_lyftr_checksum_row(st);
    }

    if (rc != SQLITE_DONE) {
        (void) ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    if (rc != SQLITE_DONE) {
        return NGX_ERROR;
    }

    /* the keys may have moved while their memory grew */

    key = job->keys.data;
    rows = (ngx_lyftr_memtable_row_t *) job->rows.data;

    job->segment.rows = job->rows.len / sizeof(ngx_lyftr_memtable_row_t);

    for (i = 0; i < (ngx_uint_t) job->segment.rows; i++) {
        rows[i].key = key;
        key += rows[i].len;
    }

    job->order = sqlite3_malloc64((2 * job->segment.rows + 1)
                                  * sizeof(uint32_t));

    return job->order ? NGX_OK : ngx_lyftr_compaction_memory(err);
}


/* begins a tree */

static ngx_int_t
ngx_lyftr_compaction_kind(ngx_lyftr_sqlite_t *c, ngx_lyftr_compaction_t *job,
    ngx_lyftr_error_t *err)
{
    ngx_uint_t  i;

    ngx_lyftr_builder_begin(&job->build, job->segment.id, job->kind);

    job->ended = 0;
    job->stored = 0;
    job->pos = 0;

    if (job->nfrom == 0) {
        ngx_lyftr_memtable_sort((ngx_lyftr_memtable_row_t *) job->rows.data,
                                job->segment.rows, job->kind, job->order);
        return NGX_OK;
    }

    for (i = 0; i < job->nfrom; i++) {
        ngx_lyftr_iterator_free(&job->cursor[i]);
        ngx_lyftr_iterator_init(&job->cursor[i], &job->from[i], job->kind);

        if (ngx_lyftr_iterator_at(c, &job->cursor[i], 0, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_compaction_step(ngx_lyftr_sqlite_t *c, ngx_lyftr_compaction_t *job,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (!job->ended) {
        rc = ngx_lyftr_compaction_entries(c, job, deadline, err);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_UPKEEP, deadline, err);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_lyftr_builder_store(c, &job->build, &job->stored,
                                 NGX_LYFTR_JOB_BLOCKS, err);

    if (rc == NGX_OK
        && job->ended
        && job->stored == job->build.out.len
        && job->kind + 1 == NGX_LYFTR_TREES)
    {
        if (!job->aside) {
            rc = ngx_lyftr_compaction_register(c, job, err);
        }

        if (rc == NGX_OK) {
            rc = NGX_DONE;
        }
    }

    if (rc != NGX_ERROR && ngx_lyftr_sqlite_commit(c, err) != NGX_OK) {
        rc = NGX_ERROR;
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc != NGX_OK || job->stored < job->build.out.len) {
        return rc;
    }

    job->build.out.len = 0;
    job->stored = 0;

    if (!job->ended) {
        return NGX_OK;
    }

    job->kind++;

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_compaction_kind(c, job, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


/* entries for as many blocks as are stored in one turn */

static ngx_int_t
ngx_lyftr_compaction_entries(ngx_lyftr_sqlite_t *c, ngx_lyftr_compaction_t *job,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t   rc;
    ngx_uint_t  n;

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    for (n = 0;
         rc == NGX_OK
         && n < NGX_LYFTR_JOB_ENTRIES
         && job->build.out.len < NGX_LYFTR_JOB_BLOCKS * NGX_LYFTR_BLOCK_LEN;
         n++)
    {
        if (job->build.rank == job->segment.rows) {
            job->ended = 1;
            rc = ngx_lyftr_compaction_ended(job) == NGX_OK
                 ? NGX_OK : ngx_lyftr_compaction_memory(err);
            break;
        }

        rc = ngx_lyftr_compaction_entry(c, job, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc;
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

    job->segment.height[job->kind] = job->build.height;

    return ngx_lyftr_builder_end(&job->build);
}


static ngx_int_t
ngx_lyftr_compaction_register(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_compaction_t *job,
    ngx_lyftr_error_t *err)
{
    ngx_uint_t     i;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_SEGMENT_DELETE];

    for (i = 0; i < job->nfrom; i++) {
        (void) sqlite3_bind_int64(st, 1, job->from[i].id);

        if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_lyftr_compaction_place(c, &job->segment, err) != NGX_OK) {
        return NGX_ERROR;
    }

    st = c->stmt[NGX_LYFTR_SQL_INDEXED];

    (void) sqlite3_bind_int64(st, 1, job->segment.last);

    return ngx_lyftr_sqlite_run(c, st, err);
}


ngx_int_t
ngx_lyftr_compaction_place(ngx_lyftr_sqlite_t *c, ngx_lyftr_segment_t *segment,
    ngx_lyftr_error_t *err)
{
    ngx_uint_t     i;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_SEGMENT_ADD];

    (void) sqlite3_bind_int64(st, 1, segment->id);
    (void) sqlite3_bind_int64(st, 2, segment->level);
    (void) sqlite3_bind_int64(st, 3, segment->first);
    (void) sqlite3_bind_int64(st, 4, segment->last);
    (void) sqlite3_bind_int64(st, 5, segment->rows);

    for (i = 0; i < NGX_LYFTR_TREES; i++) {
        (void) sqlite3_bind_int64(st, 6 + i, segment->height[i]);
    }

    if (segment->summed) {
        (void) sqlite3_bind_int64(st, 6 + i, (int64_t) segment->sum);
    }

    (void) sqlite3_bind_int64(st, 7 + i, segment->ties);

    return ngx_lyftr_sqlite_run(c, st, err);
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
    sqlite3_free(job->order);
    sqlite3_free(job->segment.filter);

    ngx_memzero(job, sizeof(ngx_lyftr_compaction_t));
}


ngx_int_t
ngx_lyftr_compaction_memory(ngx_lyftr_error_t *err)
{
    return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
}

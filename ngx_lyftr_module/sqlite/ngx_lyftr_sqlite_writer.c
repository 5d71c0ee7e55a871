#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>
#include <ngx_lyftr_message.h>

#include <time.h>


/*
 * What the writer knows of ids: those of the recent rows by hashes of a key of
 * its own, and those of the segments by filters that tell where to look.  There
 * the hash is one that a sender can make collide: so ids of one hash are in
 * order, but in segments of a version before.
 */

/* ids of one hash that are compared one by one */
#define NGX_LYFTR_IDS_FEW          4

/*
 * Nanoseconds that a batch is held back if the indexes are far behind; twice as
 * long each time that they come so much nearer to where it would be refused.
 */
#define NGX_LYFTR_SQLITE_PAUSE     2000000
#define NGX_LYFTR_SQLITE_DOUBLE    ((NGX_LYFTR_MOST - NGX_LYFTR_SLOW) / 10)
#define NGX_LYFTR_SQLITE_DOUBLES   5


static void ngx_lyftr_sqlite_time(char *buf);
static void ngx_lyftr_sqlite_slow(ngx_lyftr_sqlite_t *c);
static ngx_int_t ngx_lyftr_sqlite_ids_refresh(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_became(ngx_lyftr_sqlite_t *c, ngx_str_t *id,
    int64_t seq, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_insert_row(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_message_t *m, ngx_str_t *created, ngx_lyftr_row_t *row,
    ngx_lyftr_error_t *err);
static void ngx_lyftr_sqlite_see(ngx_lyftr_sqlite_t *c, int64_t seq,
    size_t len);
static int64_t ngx_lyftr_sqlite_number(ngx_lyftr_sqlite_t *c);
static ngx_int_t ngx_lyftr_sqlite_known_tie(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_iterator_t *cursor, ngx_str_t *id, uint64_t hash,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_id_cmp(ngx_lyftr_sqlite_t *c, int64_t seq,
    ngx_str_t *id, int *cmp, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_add(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_row_t *row, uint64_t mark, ngx_lyftr_error_t *err);


/* server time, RFC 3339 */

static void
ngx_lyftr_sqlite_time(char *buf)
{
    struct tm        tm;
    struct timespec  ts;

    (void) clock_gettime(CLOCK_REALTIME, &ts);
    (void) gmtime_r(&ts.tv_sec, &tm);

    (void) strftime(buf, sizeof(NGX_LYFTR_SQLITE_TIME),
                    "%Y-%m-%dT%H:%M:%S.000Z", &tm);

    buf += sizeof("2026-11-23T10:00:00.") - 1;

    *buf++ = '0' + ts.tv_nsec / 100000000;
    *buf++ = '0' + ts.tv_nsec / 10000000 % 10;
    *buf = '0' + ts.tv_nsec / 1000000 % 10;
}


/* lets the housekeeping catch up, which has as much to do a row as a writer */

static void
ngx_lyftr_sqlite_slow(ngx_lyftr_sqlite_t *c)
{
    int64_t          rows, left;
    struct timespec  ts;

    rows = c->index.last - c->state.indexed;

    if (rows < NGX_LYFTR_SLOW) {
        return;
    }

    left = ngx_max(NGX_LYFTR_MOST - rows, 0) / NGX_LYFTR_SQLITE_DOUBLE;

    ts.tv_sec = 0;
    ts.tv_nsec = NGX_LYFTR_SQLITE_PAUSE;

    if (left < NGX_LYFTR_SQLITE_DOUBLES) {
        ts.tv_nsec <<= NGX_LYFTR_SQLITE_DOUBLES - left;
    }

    (void) nanosleep(&ts, NULL);
}


/* what takes a while is not done under the lock */

ngx_int_t
ngx_lyftr_sqlite_writer_prepare(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    ngx_lyftr_sqlite_slow(c);

    if (!ngx_lyftr_segments_changed(c)) {
        return NGX_OK;
    }

    st = c->stmt[NGX_LYFTR_SQL_BEGIN_READ];

    if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_lyftr_segments_read(c, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_filter_load_all(&c->index, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_tombs_read(c, err);
    }

    (void) sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);

    return rc;
}


ngx_int_t
ngx_lyftr_sqlite_writer_begin(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_writer_t  *w;

    w = &c->writer;

    ngx_lyftr_sqlite_time(w->now);

    if (ngx_lyftr_segments_read(c, err) != NGX_OK
        || ngx_lyftr_sqlite_admit(c, err) != NGX_OK
        || ngx_lyftr_filter_load_all(&c->index, err) != NGX_OK
        || ngx_lyftr_sqlite_tombs_read(c, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_lyftr_sqlite_ids_refresh(c, err);
}


/* learns the ids that other writers have committed */

static ngx_int_t
ngx_lyftr_sqlite_ids_refresh(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    uint64_t                    mark;
    ngx_int_t                   rc;
    ngx_uint_t                  i, n;
    ngx_lyftr_memtable_row_t   *row;
    ngx_lyftr_sqlite_writer_t  *w;

    w = &c->writer;

    if (w->seen < c->state.indexed) {
        w->seen = c->state.indexed;
        ngx_lyftr_sqlite_idset_cut(&w->ids, INT64_MAX, 0);

    } else if (w->ids.n && w->ids.rows[0].seq <= c->state.indexed) {
        ngx_lyftr_sqlite_idset_cut(&w->ids, c->state.indexed + 1, w->ids.n);
    }

    w->committed = w->ids.n;

    if (ngx_lyftr_sqlite_view_rows(c, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (c->index.last == w->seen) {
        return NGX_OK;
    }

    rc = ngx_lyftr_memtable_view(c->index.memtable, &c->index.view, w->seen,
                                 c->index.last);

    for (i = 0; i < c->index.view.nchunks && rc == NGX_OK; i++) {
        row = c->index.view.chunks[i].row;

        for (n = c->index.view.chunks[i].n; n && rc == NGX_OK; n--, row++) {
            ngx_lyftr_sqlite_see(c, row->seq, row->size);

            mark = ngx_lyftr_siphash(c->secret, row->key + row->id, row->nid);
            rc = ngx_lyftr_sqlite_idset_add(&w->ids, mark, row->seq);
        }
    }

    ngx_lyftr_memtable_leave(c->index.memtable, &c->index.view);

    w->committed = w->ids.n;

    return rc == NGX_OK ? NGX_OK
                        : ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                                "no memory");
}


ngx_int_t
ngx_lyftr_sqlite_insert(void *conn, ngx_lyftr_message_t *m,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    ngx_str_t               created;
    ngx_lyftr_row_t  row;

    created.len = sizeof(c->writer.now) - 1;
    created.data = (u_char *) c->writer.now;

    row.instant.len = m->instant.len;
    row.instant.data = m->instant.data;
    row.text = 0;

    return ngx_lyftr_sqlite_append(c, m, &created, &row, err);
}


ngx_int_t
ngx_lyftr_sqlite_store(ngx_lyftr_sqlite_t *c, ngx_lyftr_message_t *m,
    uint64_t *row, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (row == NULL) {
        return ngx_lyftr_sqlite_insert(c, m, err);
    }

    if (*row) {
        rc = ngx_lyftr_sqlite_became(c, &m->message_id, *row, err);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    rc = ngx_lyftr_sqlite_insert(c, m, err);

    *row = (rc == NGX_OK) ? (uint64_t) c->writer.seen : 0;

    return rc;
}


/* NGX_DECLINED if there is no row of this number with the id */

static ngx_int_t
ngx_lyftr_sqlite_became(ngx_lyftr_sqlite_t *c, ngx_str_t *id, int64_t seq,
    ngx_lyftr_error_t *err)
{
    int            rc;
    ngx_str_t      of;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_POSITION];

    (void) sqlite3_bind_int64(st, 1, seq);

    rc = sqlite3_step(st);

    if (rc == SQLITE_ROW) {
        ngx_lyftr_sqlite_column(st, 3, &of);

        if (ngx_lyftr_key_cmp(of.data, of.len, id->data, id->len) != 0) {
            rc = SQLITE_DONE;
        }
    }

    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        (void) ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    if (rc == SQLITE_ROW) {
        return NGX_OK;
    }

    return rc == SQLITE_DONE ? NGX_DECLINED : NGX_ERROR;
}


ngx_int_t
ngx_lyftr_sqlite_append(ngx_lyftr_sqlite_t *c, ngx_lyftr_message_t *m,
    ngx_str_t *created, ngx_lyftr_row_t *row, ngx_lyftr_error_t *err)
{
    uint64_t   mark;
    ngx_int_t  rc;

    /* SQLite would store more, and no page could hold it */

    if (m->message_id.len + m->from.len + m->to.len + m->ts.len + m->text.len
        + created->len > NGX_LYFTR_SQLITE_LENGTH
        || m->type.len + m->raw.len > NGX_LYFTR_SQLITE_LENGTH)
    {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_DATA,
                                     "string or blob too big (18)");
    }

    row->hash = ngx_lyftr_sqlite_hash(m->message_id.data, m->message_id.len);
    mark = ngx_lyftr_siphash(c->secret, m->message_id.data,
                             m->message_id.len);
    row->message_id = m->message_id;
    row->from = m->from;

    rc = ngx_lyftr_sqlite_known(c, &m->message_id, row->hash, mark, err);

    if (rc != NGX_OK) {
        return rc;
    }

    if (c->state.tombs) {
        rc = ngx_lyftr_sqlite_tombs_has(c, &m->message_id, err);

        if (rc != NGX_DECLINED) {
            return rc == NGX_OK ? NGX_DECLINED : NGX_ERROR;
        }
    }

    if (ngx_lyftr_sqlite_insert_row(c, m, created, row, err) != NGX_OK) {
        return NGX_ERROR;
    }

    row->seq = sqlite3_last_insert_rowid(c->db);

    if (ngx_lyftr_sqlite_extra_add(c, row->seq, m, err) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_lyftr_sqlite_add(c, row, mark, err);
}


static ngx_int_t
ngx_lyftr_sqlite_insert_row(ngx_lyftr_sqlite_t *c, ngx_lyftr_message_t *m,
    ngx_str_t *created, ngx_lyftr_row_t *row, ngx_lyftr_error_t *err)
{
    int                         rc;
    int64_t                     seq;
    sqlite3_stmt               *st;
    ngx_lyftr_sqlite_writer_t  *w;

    w = &c->writer;

    st = c->stmt[NGX_LYFTR_SQL_INSERT];

    (void) sqlite3_bind_int64(st, 1, (int64_t) row->hash);

    rc = row->text ? ngx_lyftr_sqlite_bind(st, 2, &row->instant)
                   : sqlite3_bind_blob(st, 2, row->instant.data,
                                       row->instant.len, SQLITE_STATIC);

    seq = ngx_lyftr_sqlite_number(c);

    /* long ids take many numbers */

    if (seq - c->state.indexed > NGX_LYFTR_LAST) {
        (void) sqlite3_clear_bindings(st);
        return ngx_lyftr_sqlite_behind(c, w->seen - c->state.indexed, err);
    }

    (void) sqlite3_bind_int64(st, 9, seq);

    if (rc != SQLITE_OK
        || ngx_lyftr_sqlite_bind(st, 3, &m->message_id) != SQLITE_OK
        || ngx_lyftr_sqlite_bind(st, 4, &m->from) != SQLITE_OK
        || ngx_lyftr_sqlite_bind(st, 5, &m->to) != SQLITE_OK
        || ngx_lyftr_sqlite_bind(st, 6, &m->ts) != SQLITE_OK
        || ngx_lyftr_sqlite_bind(st, 7, created) != SQLITE_OK
        || ngx_lyftr_sqlite_bind(st, 8, &m->text) != SQLITE_OK)
    {
        (void) ngx_lyftr_sqlite_error(c, err);
        (void) sqlite3_clear_bindings(st);
        return NGX_ERROR;
    }

    return ngx_lyftr_sqlite_run(c, st, err);
}


static void
ngx_lyftr_sqlite_see(ngx_lyftr_sqlite_t *c, int64_t seq, size_t len)
{
    ngx_lyftr_sqlite_writer_t  *w;

    w = &c->writer;

    if (ngx_lyftr_memtable_number(seq) != ngx_lyftr_memtable_number(w->seen)) {
        w->weight = 0;
    }

    w->weight += len;
    w->seen = seq;
}


/*
 * All that is kept in memory, and each step of a job, is limited by
 * numbers of rows.  So a row after long ids takes more of them: the places
 * between stay empty.  So do those of newer rows that left.
 */

static int64_t
ngx_lyftr_sqlite_number(ngx_lyftr_sqlite_t *c)
{
    int64_t                     seq;
    ngx_lyftr_sqlite_writer_t  *w;

    w = &c->writer;

    seq = ngx_max(c->state.mark, w->seen) + 1;

    if (w->weight < NGX_LYFTR_CHUNK_LEN) {
        return seq;
    }

    return ngx_max(seq, ngx_lyftr_memtable_number(w->seen)
                        + NGX_LYFTR_CHUNK + 1);
}


/* hashes only tell where to look: the ids themselves are compared */

ngx_int_t
ngx_lyftr_sqlite_known(ngx_lyftr_sqlite_t *c, ngx_str_t *id, uint64_t hash,
    uint64_t mark, ngx_lyftr_error_t *err)
{
    int                         cmp;
    int64_t                     seq;
    ngx_int_t                   rc;
    ngx_uint_t                  i, slot;
    ngx_lyftr_segment_t        *segment;
    ngx_lyftr_sqlite_writer_t  *w;

    w = &c->writer;

    slot = 0;

    while ((seq = ngx_lyftr_sqlite_idset_find(&w->ids, mark, &slot)) != 0) {

        if (ngx_lyftr_sqlite_id_cmp(c, seq, id, &cmp, err) != NGX_OK) {
            return NGX_ERROR;
        }

        if (cmp == 0) {
            return NGX_DECLINED;
        }
    }

    for (i = 0; i < c->index.nsegments; i++) {
        segment = &c->index.segments[i];

        if (!ngx_lyftr_filter_has(segment->filter, segment->filter_len,
                                  hash))
        {
            continue;
        }

        rc = ngx_lyftr_sqlite_known_segment(c, segment, id, hash, &seq, err);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_sqlite_known_segment(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_segment_t *segment, ngx_str_t *id, uint64_t hash, int64_t *seq,
    ngx_lyftr_error_t *err)
{
    int                    cmp;
    u_char                 key[sizeof(uint64_t)];
    ngx_int_t              rc;
    ngx_uint_t             n;
    ngx_lyftr_buf_t       *at;
    ngx_lyftr_iterator_t   cursor;

    at = ngx_lyftr_iterator_key(&cursor);
    ngx_lyftr_key_hash(key, hash);

    ngx_lyftr_iterator_init(&cursor, segment, NGX_LYFTR_TREE_ID);

    rc = ngx_lyftr_iterator_seek(&c->index, &cursor, key, sizeof(key), err);

    for (n = 0;
         rc == NGX_OK
         && !ngx_lyftr_iterator_end(&cursor)
         && ngx_lyftr_key_cmp(at->data, at->len, key, sizeof(key)) == 0;
         n++)
    {
        if (n == NGX_LYFTR_IDS_FEW && segment->ties) {
            rc = ngx_lyftr_sqlite_known_tie(c, &cursor, id, hash, err);
            break;
        }

        rc = ngx_lyftr_sqlite_id_cmp(c, ngx_lyftr_iterator_seq(&cursor), id,
                                     &cmp, err);

        if (rc == NGX_OK) {
            rc = cmp ? ngx_lyftr_iterator_next(&c->index, &cursor,
                                               err) : NGX_DECLINED;
        }
    }

    if (rc == NGX_DECLINED) {
        *seq = ngx_lyftr_iterator_seq(&cursor);
    }

    ngx_lyftr_iterator_free(&cursor);

    return rc;
}


/* among those from the cursor on that have the hash, by halves */

static ngx_int_t
ngx_lyftr_sqlite_known_tie(ngx_lyftr_sqlite_t *c, ngx_lyftr_iterator_t *cursor,
    ngx_str_t *id, uint64_t hash, ngx_lyftr_error_t *err)
{
    int        cmp;
    u_char     key[sizeof(uint64_t)];
    int64_t    low, high, rank;

    low = ngx_lyftr_iterator_rank(cursor);
    high = ngx_lyftr_iterator_rows(cursor);

    if (hash != UINT64_MAX) {
        ngx_lyftr_key_hash(key, hash + 1);

        if (ngx_lyftr_iterator_seek(&c->index, cursor, key, sizeof(key),
                                    err) != NGX_OK)
        {
            return NGX_ERROR;
        }

        high = ngx_lyftr_iterator_rank(cursor);
    }

    while (low < high) {
        rank = low + (high - low) / 2;

        if (ngx_lyftr_iterator_at(&c->index, cursor, rank, err) != NGX_OK
            || ngx_lyftr_sqlite_id_cmp(c, ngx_lyftr_iterator_seq(cursor), id,
                                       &cmp, err)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (cmp == 0) {
            return NGX_DECLINED;
        }

        if (cmp < 0) {
            low = rank + 1;

        } else {
            high = rank;
        }
    }

    return NGX_OK;
}


/* of the id of a row to another */

static ngx_int_t
ngx_lyftr_sqlite_id_cmp(ngx_lyftr_sqlite_t *c, int64_t seq, ngx_str_t *id,
    int *cmp, ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_writer_t  *w;

    w = &c->writer;

    if (ngx_lyftr_index_id(&c->index, seq, &w->id, err) != NGX_OK) {
        return NGX_ERROR;
    }

    *cmp = ngx_lyftr_key_cmp(w->id.data, w->id.len, id->data, id->len);

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_sqlite_add(ngx_lyftr_sqlite_t *c, ngx_lyftr_row_t *row,
    uint64_t mark, ngx_lyftr_error_t *err)
{
    ngx_lyftr_memtable_row_t    recent;
    ngx_lyftr_sqlite_writer_t  *w;

    w = &c->writer;

    if (ngx_lyftr_key_row(row, &w->keys, &recent) != NGX_OK
        || ngx_lyftr_buf_add(&w->rows, &recent, sizeof(recent)) != NGX_OK
        || ngx_lyftr_sqlite_idset_add(&w->ids, mark, row->seq) != NGX_OK)
    {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    ngx_lyftr_sqlite_see(c, row->seq, recent.size);

    return NGX_OK;
}


/*
 * The keys may have moved while their memory grew.  If there is no memory now,
 * the rows are read from the log when somebody follows.
 */

void
ngx_lyftr_sqlite_writer_commit(ngx_lyftr_sqlite_t *c)
{
    u_char                     *key;
    ngx_uint_t                  i, n;
    ngx_lyftr_memtable_row_t   *rows;
    ngx_lyftr_sqlite_writer_t  *w;

    w = &c->writer;

    key = w->keys.data;
    rows = (ngx_lyftr_memtable_row_t *) w->rows.data;
    n = w->rows.len / sizeof(ngx_lyftr_memtable_row_t);

    ngx_lyftr_memtable_lock(c->index.memtable);

    for (i = 0; i < n; i++) {
        rows[i].key = key;
        key += rows[i].size;

        if (ngx_lyftr_memtable_add(c->index.memtable, &rows[i]) != NGX_OK) {
            break;
        }
    }

    ngx_lyftr_memtable_unlock(c->index.memtable);

    w->committed = w->ids.n;
    w->keys.len = 0;
    w->rows.len = 0;
}


void
ngx_lyftr_sqlite_writer_rollback(ngx_lyftr_sqlite_t *c)
{
    ngx_lyftr_sqlite_writer_t  *w;

    w = &c->writer;

    w->keys.len = 0;
    w->rows.len = 0;

    if (w->ids.n == w->committed) {
        return;
    }

    ngx_lyftr_sqlite_idset_cut(&w->ids, 0, w->committed);

    w->seen = w->ids.n ? w->ids.rows[w->ids.n - 1].seq : c->state.indexed;
}


void
ngx_lyftr_sqlite_writer_free(ngx_lyftr_sqlite_t *c)
{
    ngx_lyftr_sqlite_writer_t  *w;

    w = &c->writer;

    ngx_lyftr_sqlite_idset_free(&w->ids);
    ngx_lyftr_buf_free(&w->keys);
    ngx_lyftr_buf_free(&w->rows);
    ngx_lyftr_buf_free(&w->id);
}

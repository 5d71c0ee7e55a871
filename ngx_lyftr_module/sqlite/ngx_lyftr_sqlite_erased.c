#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>


/*
 * What is erased is read with the segments, in one snapshot, since each of both
 * only means something beside the other: a row is in the trees of its segment
 * as long as that is of a lower number than the row was erased with.  All rows
 * of a sender are one part of a tree, and the others are a list.
 */

/* of a sender, the rows up to one; and the segments that have them */

typedef struct {
    int64_t              upto;
    int64_t              number;           /* 0: none has */
    size_t               len;              /* of the sender */
    size_t               part;             /* and of what keys have of it */
} ngx_lyftr_erased_mark_t;


static ngx_int_t ngx_lyftr_erased_marks(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erased_mark(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erased_listed(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static ngx_uint_t ngx_lyftr_erased_in(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_row_t *row, int64_t number);
static ngx_int_t ngx_lyftr_erased_set(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_sqlite_erased_read(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_erased_free(c);

    if (c->state.erase == 0) {
        return NGX_OK;
    }

    if (ngx_lyftr_erased_marks(c, err) != NGX_OK
        || ngx_lyftr_erased_listed(c, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_lyftr_erased_set(c, err);
}


void
ngx_lyftr_sqlite_erased_free(ngx_lyftr_sqlite_t *c)
{
    ngx_uint_t                  i;
    ngx_lyftr_sqlite_erased_t  *e;

    e = &c->erased;

    for (i = 0; i < c->index.nerased; i++) {
        ngx_lyftr_erased_free(&c->index.erased[i]);
    }

    c->index.erased = NULL;
    c->index.nerased = 0;

    ngx_lyftr_buf_free(&e->marks);
    ngx_lyftr_buf_free(&e->senders);
    ngx_lyftr_buf_free(&e->parts);
    ngx_lyftr_buf_free(&e->keys);
    ngx_lyftr_buf_free(&e->rows);

    e->total = 0;
}


static ngx_int_t
ngx_lyftr_erased_marks(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int            rc;
    ngx_int_t      ok;
    sqlite3_stmt  *st;

    ok = NGX_OK;
    st = c->stmt[NGX_LYFTR_SQL_ERASE_MARKS];

    while (ok == NGX_OK && (rc = sqlite3_step(st)) != SQLITE_DONE) {
        ok = (rc == SQLITE_ROW) ? ngx_lyftr_erased_mark(c, st, err)
                                : ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return ok;
}


/* the sender as it is, and behind it as keys begin with it */

static ngx_int_t
ngx_lyftr_erased_mark(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    ngx_lyftr_error_t *err)
{
    u_char                     *p;
    ngx_str_t                   sender;
    ngx_lyftr_erased_mark_t     mark;
    ngx_lyftr_sqlite_erased_t  *e;

    e = &c->erased;

    ngx_lyftr_sqlite_column(st, 0, &sender);

    if (ngx_lyftr_buf_add(&e->senders, sender.data, sender.len) != NGX_OK
        || ngx_lyftr_buf_reserve(&e->senders, 2 * sender.len + 2) != NGX_OK)
    {
        return ngx_lyftr_index_memory(err);
    }

    p = e->senders.data + e->senders.len;

    ngx_memzero(&mark, sizeof(ngx_lyftr_erased_mark_t));

    mark.upto = sqlite3_column_int64(st, 1);
    mark.number = sqlite3_column_int64(st, 2);
    mark.len = sender.len;
    mark.part = ngx_lyftr_key_sender(p, &sender) - p;

    e->senders.len += mark.part;

    return ngx_lyftr_buf_add(&e->marks, &mark, sizeof(mark)) == NGX_OK
           ? NGX_OK : ngx_lyftr_index_memory(err);
}


static ngx_int_t
ngx_lyftr_erased_listed(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int                         rc;
    ngx_int_t                   ok;
    sqlite3_stmt               *st;
    ngx_lyftr_row_t             row;
    ngx_lyftr_memtable_row_t    to;
    ngx_lyftr_sqlite_erased_t  *e;

    e = &c->erased;

    ok = NGX_OK;
    st = c->stmt[NGX_LYFTR_SQL_ERASE_LISTED];

    while (ok == NGX_OK && (rc = sqlite3_step(st)) != SQLITE_DONE) {

        if (rc != SQLITE_ROW) {
            ok = ngx_lyftr_sqlite_error(c, err);
            break;
        }

        ngx_lyftr_sqlite_row(st, &row);

        if (ngx_lyftr_erased_in(c, &row, sqlite3_column_int64(st, 5))
            && (ngx_lyftr_key_row(&row, &e->keys, &to) != NGX_OK
                || ngx_lyftr_buf_add(&e->rows, &to, sizeof(to)) != NGX_OK))
        {
            ok = ngx_lyftr_index_memory(err);
        }
    }

    (void) sqlite3_reset(st);

    return ok;
}


/* does its segment still have the row, and no sender's part of it? */

static ngx_uint_t
ngx_lyftr_erased_in(ngx_lyftr_sqlite_t *c, ngx_lyftr_row_t *row,
    int64_t number)
{
    u_char                   *p;
    ngx_uint_t                i, n;
    ngx_lyftr_segment_t      *s, *segment;
    ngx_lyftr_erased_mark_t  *mark;

    segment = NULL;

    for (i = 0; i < c->index.nsegments; i++) {
        s = &c->index.segments[i];

        if (row->seq > s->first && row->seq <= s->last) {
            segment = s;
            break;
        }
    }

    if (segment == NULL || segment->id >= number) {
        return 0;
    }

    mark = (ngx_lyftr_erased_mark_t *) c->erased.marks.data;
    n = c->erased.marks.len / sizeof(ngx_lyftr_erased_mark_t);
    p = c->erased.senders.data;

    for (i = 0; i < n; i++) {
        if (segment->id < mark[i].number
            && ngx_lyftr_key_cmp(p, mark[i].len, row->from.data, row->from.len)
               == 0)
        {
            return 0;
        }

        p += mark[i].len + mark[i].part;
    }

    return 1;
}


/* as the index wants it */

static ngx_int_t
ngx_lyftr_erased_set(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    u_char                     *p;
    ngx_uint_t                  i, n;
    ngx_lyftr_erased_t         *erased;
    ngx_lyftr_erased_mark_t    *mark;
    ngx_lyftr_memtable_row_t   *rows;
    ngx_lyftr_sqlite_erased_t  *e;

    e = &c->erased;

    mark = (ngx_lyftr_erased_mark_t *) e->marks.data;
    n = e->marks.len / sizeof(ngx_lyftr_erased_mark_t);

    if (ngx_lyftr_buf_reserve(&e->parts, (n + 1) * sizeof(ngx_lyftr_erased_t))
        != NGX_OK)
    {
        return ngx_lyftr_index_memory(err);
    }

    erased = (ngx_lyftr_erased_t *) e->parts.data;

    ngx_memzero(erased, (n + 1) * sizeof(ngx_lyftr_erased_t));

    c->index.erased = erased;

    p = e->senders.data;

    for (i = 0; i < n; i++) {

        if (mark[i].number) {
            erased->number = mark[i].number;
            erased->part.data = p + mark[i].len;
            erased->part.len = mark[i].part;

            erased++;
            c->index.nerased++;
        }

        p += mark[i].len + mark[i].part;
    }

    rows = (ngx_lyftr_memtable_row_t *) e->rows.data;
    n = e->rows.len / sizeof(ngx_lyftr_memtable_row_t);
    p = e->keys.data;

    for (i = 0; i < n; i++) {
        rows[i].key = p;
        p += rows[i].size;
    }

    if (n) {
        erased->number = INT64_MAX;
        c->index.nerased++;

        if (ngx_lyftr_erased_sort(&c->index, erased, rows, n, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    e->total = c->index.nerased ? -1 : 0;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_sqlite_erased(ngx_lyftr_sqlite_t *c, int64_t seq, ngx_str_t *from,
    ngx_lyftr_error_t *err)
{
    int                       rc;
    u_char                   *p;
    ngx_uint_t                i, n;
    sqlite3_stmt             *st;
    ngx_lyftr_erased_mark_t  *mark;

    if (c->state.erasing == 0) {
        return NGX_DECLINED;
    }

    mark = (ngx_lyftr_erased_mark_t *) c->erased.marks.data;
    n = c->erased.marks.len / sizeof(ngx_lyftr_erased_mark_t);
    p = c->erased.senders.data;

    for (i = 0; i < n; i++) {
        if (seq <= mark[i].upto
            && ngx_lyftr_key_cmp(p, mark[i].len, from->data, from->len) == 0)
        {
            return NGX_OK;
        }

        p += mark[i].len + mark[i].part;
    }

    st = c->stmt[NGX_LYFTR_SQL_ERASED];

    (void) sqlite3_bind_int64(st, 1, seq);

    rc = sqlite3_step(st);

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
ngx_lyftr_sqlite_erased_total(ngx_lyftr_sqlite_t *c, int64_t *total,
    ngx_lyftr_error_t *err)
{
    ngx_int_t          rc;
    ngx_uint_t         i;
    ngx_lyftr_merge_t  sources;

    if (c->erased.total < 0) {
        ngx_memzero(&sources, sizeof(ngx_lyftr_merge_t));

        rc = ngx_lyftr_erased_open(&c->index, &sources, NGX_LYFTR_TREE_TIME,
                                   err);

        *total = 0;

        for (i = 0; i < sources.nerased; i++) {
            *total += sources.erased[i].most - sources.erased[i].least;
        }

        ngx_lyftr_erased_close(&sources);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        c->erased.total = *total;
    }

    *total = c->erased.total;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_sqlite_erased_bits(ngx_lyftr_sqlite_t *c, ngx_lyftr_merge_t *sources,
    ngx_lyftr_bitmap_t *bits, ngx_lyftr_error_t *err)
{
    int            rc;
    int64_t        seq;
    sqlite3_stmt  *st;

    if (c->state.erasing == 0) {
        return NGX_OK;
    }

    if (ngx_lyftr_bitmap_erase(&c->index, bits, sources, err) != NGX_OK) {
        return NGX_ERROR;
    }

    st = c->stmt[NGX_LYFTR_SQL_ERASED_ALL];

    (void) sqlite3_bind_int64(st, 1, ngx_max(c->state.floor,
                                             bits->before * 64 - 1));
    (void) sqlite3_bind_int64(st, 2, bits->last);
    (void) sqlite3_bind_int64(st, 3, 0);

    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        seq = sqlite3_column_int64(st, 0);

        bits->words[ngx_lyftr_bitmap_at(bits, seq)]
                                           &= ~((uint64_t) 1 << seq % 64);
    }

    (void) sqlite3_reset(st);

    return rc == SQLITE_DONE ? NGX_OK : ngx_lyftr_sqlite_error(c, err);
}

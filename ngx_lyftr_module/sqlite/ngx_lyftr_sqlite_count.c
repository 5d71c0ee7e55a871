#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>


/* senders that are counted in one turn */
#ifndef NGX_LYFTR_COUNT_SENDERS
#define NGX_LYFTR_COUNT_SENDERS    256
#endif

/* and that are ranked in one go */
#ifndef NGX_LYFTR_COUNT_RANKED
#define NGX_LYFTR_COUNT_RANKED     20000
#endif


/*
 * The count of a sender holds its rows up to one of them, which is kept beside
 * it: so the counts can follow the log in small steps, of which each is taken
 * once, and a reader knows which rows are to be added.
 */

typedef struct {
    int64_t              rows;
    size_t               len;              /* of the sender, which follows */
} ngx_lyftr_count_head_t;


/* the count of a sender as it is now */

typedef struct {
    int64_t              rows;             /* 0: it had been counted already */
    int64_t              less;             /* to be taken off, */
    int64_t              step;             /* from this one on */
} ngx_lyftr_counted_t;


/* the sender of a row */

typedef struct {
    size_t               at;               /* among all of them */
    ngx_str_t            s;
} ngx_lyftr_count_row_t;


static ngx_int_t ngx_lyftr_count_tally(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_count_t *count, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_count_read(ngx_lyftr_sqlite_t *c, int64_t to,
    ngx_lyftr_buf_t *senders, ngx_lyftr_buf_t *rows, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_count_group(ngx_lyftr_buf_t *tally,
    ngx_lyftr_count_row_t *rows, ngx_uint_t n);
static int ngx_lyftr_count_cmp(const void *one, const void *two);
static ngx_int_t ngx_lyftr_count_senders(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_count_t *count, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_count_sender(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_count_t *count, ngx_lyftr_count_head_t *head, ngx_str_t *sender,
    ngx_lyftr_counted_t *counted, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_count_next(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_count_next_t *next, ngx_lyftr_count_head_t *head,
    ngx_str_t *sender, ngx_lyftr_counted_t *counted);


ngx_int_t
ngx_lyftr_count_begin(ngx_lyftr_sqlite_t *c, ngx_lyftr_count_t *count,
    int64_t to, ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_segments_read(c, err);
    }

    /* a step that another process has begun is ended as it was begun */

    count->to = (c->state.counting > c->state.counted) ? c->state.counting
                                                       : to;
    count->done = 0;

    if (rc == NGX_OK) {
        rc = ngx_lyftr_count_tally(c, count, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    count->active = (rc == NGX_OK);

    return rc;
}


/* sorted here, which takes half of what it takes SQLite to group them */

static ngx_int_t
ngx_lyftr_count_tally(ngx_lyftr_sqlite_t *c, ngx_lyftr_count_t *count,
    ngx_lyftr_error_t *err)
{
    ngx_int_t               rc;
    ngx_uint_t              i, n;
    ngx_lyftr_buf_t         senders, rows;
    ngx_lyftr_count_row_t  *row;

    ngx_memzero(&senders, sizeof(ngx_lyftr_buf_t));
    ngx_memzero(&rows, sizeof(ngx_lyftr_buf_t));

    rc = ngx_lyftr_count_read(c, count->to, &senders, &rows, err);

    if (rc == NGX_OK) {
        row = (ngx_lyftr_count_row_t *) rows.data;
        n = rows.len / sizeof(ngx_lyftr_count_row_t);

        for (i = 0; i < n; i++) {
            row[i].s.data = senders.data + row[i].at;
        }

        count->tally.len = 0;

        if (ngx_lyftr_count_group(&count->tally, row, n) != NGX_OK) {
            rc = ngx_lyftr_index_memory(err);
        }
    }

    ngx_lyftr_buf_free(&senders);
    ngx_lyftr_buf_free(&rows);

    return rc;
}


static ngx_int_t
ngx_lyftr_count_read(ngx_lyftr_sqlite_t *c, int64_t to,
    ngx_lyftr_buf_t *senders, ngx_lyftr_buf_t *rows, ngx_lyftr_error_t *err)
{
    int                     rc;
    ngx_int_t               ok;
    sqlite3_stmt           *st;
    ngx_lyftr_count_row_t   row;

    ok = NGX_OK;
    st = c->stmt[NGX_LYFTR_SQL_SENDERS];

    (void) sqlite3_bind_int64(st, 1, c->state.counted);
    (void) sqlite3_bind_int64(st, 2, to);

    while ((rc = sqlite3_step(st)) == SQLITE_ROW && ok == NGX_OK) {

        ngx_lyftr_sqlite_column(st, 0, &row.s);

        row.at = senders->len;

        if (ngx_lyftr_buf_add(senders, row.s.data, row.s.len) != NGX_OK
            || ngx_lyftr_buf_add(rows, &row, sizeof(row)) != NGX_OK)
        {
            ok = ngx_lyftr_index_memory(err);
        }
    }

    if (ok == NGX_OK && rc != SQLITE_DONE) {
        ok = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return ok;
}


/* in the order of the table that has their counts */

static ngx_int_t
ngx_lyftr_count_group(ngx_lyftr_buf_t *tally, ngx_lyftr_count_row_t *rows,
    ngx_uint_t n)
{
    ngx_uint_t              i, first;
    ngx_lyftr_count_head_t  head;

    if (n) {
        ngx_qsort(rows, n, sizeof(ngx_lyftr_count_row_t), ngx_lyftr_count_cmp);
    }

    for (i = 0; i < n; /* void */ ) {

        for (first = i++;
             i < n && ngx_lyftr_count_cmp(&rows[first], &rows[i]) == 0;
             i++)
        {
            /* void */
        }

        ngx_memzero(&head, sizeof(head));

        head.rows = i - first;
        head.len = rows[first].s.len;

        if (ngx_lyftr_buf_add(tally, &head, sizeof(head)) != NGX_OK
            || ngx_lyftr_buf_add(tally, rows[first].s.data, head.len)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static int
ngx_lyftr_count_cmp(const void *one, const void *two)
{
    const ngx_lyftr_count_row_t *a = one;
    const ngx_lyftr_count_row_t *b = two;

    return ngx_lyftr_key_cmp(a->s.data, a->s.len, b->s.data, b->s.len);
}


ngx_int_t
ngx_lyftr_count_top(ngx_lyftr_sqlite_t *c, ngx_lyftr_top_t *top,
    ngx_lyftr_error_t *err)
{
    int            rc;
    ngx_int_t      ok;
    ngx_str_t      sender;
    sqlite3_stmt  *st;

    top->n = 0;

    ok = NGX_OK;
    st = c->stmt[NGX_LYFTR_SQL_TOP];

    while ((rc = sqlite3_step(st)) == SQLITE_ROW && ok == NGX_OK) {

        ngx_lyftr_sqlite_column(st, 0, &sender);

        ok = ngx_lyftr_top_rank(top, &sender, sqlite3_column_int64(st, 1));
    }

    if (ok != NGX_OK) {
        (void) ngx_lyftr_index_memory(err);

    } else if (rc != SQLITE_DONE) {
        ok = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return ok;
}


ngx_int_t
ngx_lyftr_count_step(ngx_lyftr_sqlite_t *c, ngx_lyftr_count_t *count,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB, deadline, err);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_lyftr_count_senders(c, count, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc != NGX_OK || count->done < count->tally.len) {
        return rc;
    }

    count->active = 0;

    return NGX_DONE;
}


static ngx_int_t
ngx_lyftr_count_senders(ngx_lyftr_sqlite_t *c, ngx_lyftr_count_t *count,
    ngx_lyftr_error_t *err)
{
    int64_t                  total, added;
    ngx_str_t                sender;
    ngx_uint_t               n;
    sqlite3_stmt            *st;
    ngx_lyftr_counted_t      counted;
    ngx_lyftr_count_head_t   head;

    added = 0;

    if (ngx_lyftr_count_top(c, &count->top, err) != NGX_OK) {
        return NGX_ERROR;
    }

    for (n = 0;
         n < NGX_LYFTR_COUNT_SENDERS && count->done < count->tally.len;
         n++)
    {
        ngx_memcpy(&head, count->tally.data + count->done, sizeof(head));

        sender.data = count->tally.data + count->done + sizeof(head);
        sender.len = head.len;

        count->done += sizeof(head) + head.len;

        if (ngx_lyftr_count_sender(c, count, &head, &sender, &counted, err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (counted.rows == 0) {
            continue;
        }

        total = counted.rows;

        if (counted.step == c->state.step) {
            total -= counted.less;
        }

        added += (total == head.rows);

        if (ngx_lyftr_top_rank(&count->top, &sender, total) != NGX_OK
            || (count->next.top
                && ngx_lyftr_count_next(c, &count->next, &head, &sender,
                                        &counted)
                   != NGX_OK))
        {
            return ngx_lyftr_index_memory(err);
        }
    }

    st = c->stmt[NGX_LYFTR_SQL_COUNTED];

    (void) sqlite3_bind_int64(st, 1, count->to);
    (void) sqlite3_bind_int64(st, 2, count->done == count->tally.len
                                     ? count->to : c->state.counted);
    (void) sqlite3_bind_int64(st, 3, added);

    if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_lyftr_count_write_top(c, &count->top, err);
}


/*
 * Two statements, for one with RETURNING makes a table of its own each time,
 * which takes longer than both.
 */

static ngx_int_t
ngx_lyftr_count_sender(ngx_lyftr_sqlite_t *c, ngx_lyftr_count_t *count,
    ngx_lyftr_count_head_t *head, ngx_str_t *sender,
    ngx_lyftr_counted_t *counted, ngx_lyftr_error_t *err)
{
    int            rc;
    sqlite3_stmt  *st, *set;

    ngx_memzero(counted, sizeof(ngx_lyftr_counted_t));

    set = c->stmt[NGX_LYFTR_SQL_COUNT_SET];
    counted->rows = head->rows;

    st = c->stmt[NGX_LYFTR_SQL_COUNT];

    (void) ngx_lyftr_sqlite_bind(st, 1, sender);

    rc = sqlite3_step(st);

    if (rc == SQLITE_ROW) {
        set = c->stmt[NGX_LYFTR_SQL_COUNT_ADD];

        counted->rows += sqlite3_column_int64(st, 0);
        counted->less = sqlite3_column_int64(st, 1);
        counted->step = sqlite3_column_int64(st, 2);

        if (sqlite3_column_int64(st, 3) >= count->to) {
            counted->rows = 0;
        }
    }

    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        (void) ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);
    (void) sqlite3_clear_bindings(st);

    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        return NGX_ERROR;
    }

    if (counted->rows == 0) {
        return NGX_OK;
    }

    (void) ngx_lyftr_sqlite_bind(set, 1, sender);
    (void) sqlite3_bind_int64(set, 2, counted->rows);
    (void) sqlite3_bind_int64(set, 3, count->to);

    return ngx_lyftr_sqlite_run(c, set, err);
}


/* what the next step of leaving rows has found of it is no more so */

static ngx_int_t
ngx_lyftr_count_next(ngx_lyftr_sqlite_t *c, ngx_lyftr_count_next_t *next,
    ngx_lyftr_count_head_t *head, ngx_str_t *sender,
    ngx_lyftr_counted_t *counted)
{
    int64_t  less;

    less = (counted->step == c->state.step + 1) ? counted->less : 0;

    if (less && counted->rows - head->rows == less) {
        (*next->gone)--;
    }

    if (!*next->ranked) {
        return NGX_OK;
    }

    return ngx_lyftr_top_rank(next->top, sender, counted->rows - less);
}


ngx_int_t
ngx_lyftr_count_write_top(ngx_lyftr_sqlite_t *c, ngx_lyftr_top_t *top,
    ngx_lyftr_error_t *err)
{
    ngx_uint_t     i;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_TOP_CLEAR];

    if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
        return NGX_ERROR;
    }

    st = c->stmt[NGX_LYFTR_SQL_TOP_ADD];

    for (i = 0; i < top->n; i++) {

        (void) sqlite3_bind_text64(st, 1, (char *) top->sender[i].data,
                                   top->sender[i].len, SQLITE_STATIC,
                                   SQLITE_UTF8);
        (void) sqlite3_bind_int64(st, 2, top->count[i]);

        if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_count_rank(ngx_lyftr_sqlite_t *c, ngx_lyftr_top_t *top,
    ngx_lyftr_buf_t *after, int64_t *n, ngx_uint_t ahead,
    ngx_lyftr_error_t *err)
{
    int            rc;
    int64_t        rows;
    ngx_int_t      ok;
    ngx_str_t      s;
    ngx_uint_t     i;
    sqlite3_stmt  *st;

    ok = NGX_OK;
    rc = SQLITE_ROW;
    st = c->stmt[*n ? NGX_LYFTR_SQL_COUNTS_AFTER : NGX_LYFTR_SQL_COUNTS];

    if (*n) {
        s.data = after->data;
        s.len = after->len;

        (void) ngx_lyftr_sqlite_bind(st, 1, &s);
    }

    for (i = 0; ok == NGX_OK && i < NGX_LYFTR_COUNT_RANKED; i++) {

        rc = sqlite3_step(st);

        if (rc != SQLITE_ROW) {
            break;
        }

        ngx_lyftr_sqlite_column(st, 0, &s);

        (*n)++;

        rows = sqlite3_column_int64(st, 1);

        if (ahead && sqlite3_column_int64(st, 3) == c->state.step + 1) {
            rows -= sqlite3_column_int64(st, 2);
        }

        if (rows > 0) {
            ok = ngx_lyftr_top_rank(top, &s, rows);
        }

        if (ok == NGX_OK && i + 1 == NGX_LYFTR_COUNT_RANKED) {
            after->len = 0;
            ok = ngx_lyftr_buf_add(after, s.data, s.len);
        }
    }

    if (ok != NGX_OK) {
        (void) ngx_lyftr_index_memory(err);

    } else if (rc == SQLITE_DONE) {
        ok = NGX_DONE;

    } else if (rc != SQLITE_ROW) {
        ok = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);
    (void) sqlite3_clear_bindings(st);

    return ok;
}


void
ngx_lyftr_count_free(ngx_lyftr_count_t *count)
{
    ngx_lyftr_top_free(&count->top);
    ngx_lyftr_buf_free(&count->tally);
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>


/* senders that are counted in one turn */
#ifndef NGX_LYFTR_COUNT_SENDERS
#define NGX_LYFTR_COUNT_SENDERS    256
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


static ngx_int_t ngx_lyftr_count_tally(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_count_t *count, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_count_senders(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_count_t *count, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_count_sender(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_count_t *count, ngx_lyftr_count_head_t *head, ngx_str_t *sender,
    int64_t *total, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_count_memory(ngx_lyftr_error_t *err);


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

    if (rc == NGX_OK) {
        rc = ngx_lyftr_count_top(c, count, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    count->active = (rc == NGX_OK);

    return rc;
}


static ngx_int_t
ngx_lyftr_count_tally(ngx_lyftr_sqlite_t *c, ngx_lyftr_count_t *count,
    ngx_lyftr_error_t *err)
{
    int                      rc;
    ngx_str_t                sender;
    sqlite3_stmt            *st;
    ngx_lyftr_count_head_t   head;

    count->tally.len = 0;

    st = c->stmt[NGX_LYFTR_SQL_TALLY];

    (void) sqlite3_bind_int64(st, 1, c->state.counted);
    (void) sqlite3_bind_int64(st, 2, count->to);

    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {

        ngx_lyftr_sqlite_column(st, 0, &sender);

        ngx_memzero(&head, sizeof(head));

        head.len = sender.len;
        head.rows = sqlite3_column_int64(st, 1);

        if (ngx_lyftr_buf_add(&count->tally, &head, sizeof(head)) != NGX_OK
            || ngx_lyftr_buf_add(&count->tally, sender.data, sender.len)
               != NGX_OK)
        {
            (void) sqlite3_reset(st);
            return ngx_lyftr_count_memory(err);
        }
    }

    if (rc != SQLITE_DONE) {
        (void) ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return rc == SQLITE_DONE ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_lyftr_count_top(ngx_lyftr_sqlite_t *c, ngx_lyftr_count_t *count,
    ngx_lyftr_error_t *err)
{
    int            rc;
    ngx_int_t      ok;
    ngx_str_t      sender;
    sqlite3_stmt  *st;

    count->ntop = 0;

    ok = NGX_OK;
    st = c->stmt[NGX_LYFTR_SQL_TOP];

    while ((rc = sqlite3_step(st)) == SQLITE_ROW && ok == NGX_OK) {

        ngx_lyftr_sqlite_column(st, 0, &sender);

        ok = ngx_lyftr_count_rank(count, &sender, sqlite3_column_int64(st, 1));
    }

    if (ok != NGX_OK) {
        (void) ngx_lyftr_count_memory(err);

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

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_UPKEEP, deadline, err);

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
    ngx_lyftr_count_head_t   head;

    added = 0;

    for (n = 0;
         n < NGX_LYFTR_COUNT_SENDERS && count->done < count->tally.len;
         n++)
    {
        ngx_memcpy(&head, count->tally.data + count->done, sizeof(head));

        sender.data = count->tally.data + count->done + sizeof(head);
        sender.len = head.len;

        count->done += sizeof(head) + head.len;

        if (ngx_lyftr_count_sender(c, count, &head, &sender, &total, err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        /* it had been counted already */

        if (total == 0) {
            continue;
        }

        added += (total == head.rows);

        if (ngx_lyftr_count_rank(count, &sender, total) != NGX_OK) {
            return ngx_lyftr_count_memory(err);
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

    return ngx_lyftr_count_write_top(c, count, err);
}


static ngx_int_t
ngx_lyftr_count_sender(ngx_lyftr_sqlite_t *c, ngx_lyftr_count_t *count,
    ngx_lyftr_count_head_t *head, ngx_str_t *sender, int64_t *total,
    ngx_lyftr_error_t *err)
{
    int            rc;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_COUNT];

    (void) ngx_lyftr_sqlite_bind(st, 1, sender);
    (void) sqlite3_bind_int64(st, 2, head->rows);
    (void) sqlite3_bind_int64(st, 3, count->to);

    *total = 0;

    rc = sqlite3_step(st);

    if (rc == SQLITE_ROW) {
        *total = sqlite3_column_int64(st, 0);
        rc = sqlite3_step(st);
    }

    if (rc != SQLITE_DONE) {
        (void) ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);
    (void) sqlite3_clear_bindings(st);

    return rc == SQLITE_DONE ? NGX_OK : NGX_ERROR;
}


/* puts a sender in its place among the largest, by count and then by name */

ngx_int_t
ngx_lyftr_count_rank(ngx_lyftr_count_t *count, ngx_str_t *sender,
    int64_t total)
{
    ngx_uint_t        i;
    ngx_lyftr_buf_t   spare;

    for (i = 0; i < count->ntop; i++) {
        if (ngx_lyftr_key_cmp(count->sender[i].data, count->sender[i].len,
                              sender->data, sender->len)
            == 0)
        {
            break;
        }
    }

    if (i == count->ntop && i < NGX_LYFTR_TOP_SENDERS) {
        count->ntop++;

    } else if (i == count->ntop) {
        i--;

        if (total < count->count[i]
            || (total == count->count[i]
                && ngx_lyftr_key_cmp(sender->data, sender->len,
                                     count->sender[i].data,
                                     count->sender[i].len)
                   > 0))
        {
            return NGX_OK;
        }
    }

    spare = count->sender[i];
    spare.len = 0;

    /* that which is empty has memory, too: it is not null */

    if (ngx_lyftr_buf_reserve(&spare, sender->len + 1) != NGX_OK) {
        return NGX_ERROR;
    }

    (void) ngx_lyftr_buf_add(&spare, sender->data, sender->len);

    for ( /* void */ ; i; i--) {

        if (count->count[i - 1] > total
            || (count->count[i - 1] == total
                && ngx_lyftr_key_cmp(count->sender[i - 1].data,
                                     count->sender[i - 1].len,
                                     sender->data, sender->len)
                   < 0))
        {
            break;
        }

        count->sender[i] = count->sender[i - 1];
        count->count[i] = count->count[i - 1];
    }

    count->sender[i] = spare;
    count->count[i] = total;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_count_write_top(ngx_lyftr_sqlite_t *c, ngx_lyftr_count_t *count,
    ngx_lyftr_error_t *err)
{
    ngx_uint_t     i;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_TOP_CLEAR];

    if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
        return NGX_ERROR;
    }

    st = c->stmt[NGX_LYFTR_SQL_TOP_ADD];

    for (i = 0; i < count->ntop; i++) {

        (void) sqlite3_bind_text64(st, 1, (char *) count->sender[i].data,
                                   count->sender[i].len, SQLITE_STATIC,
                                   SQLITE_UTF8);
        (void) sqlite3_bind_int64(st, 2, count->count[i]);

        if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_lyftr_count_free(ngx_lyftr_count_t *count)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_LYFTR_TOP_SENDERS; i++) {
        ngx_lyftr_buf_free(&count->sender[i]);
    }

    ngx_lyftr_buf_free(&count->tally);
}


static ngx_int_t
ngx_lyftr_count_memory(ngx_lyftr_error_t *err)
{
    return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
}

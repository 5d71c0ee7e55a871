#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_rebuild.h>
#include <ngx_lyftr_sqlite_senders.h>


/* senders that are looked at in one go, and counted in one transaction */
#define NGX_LYFTR_RECOUNT          256
#define NGX_LYFTR_RECOUNT_ROWS     20000


typedef struct {
    int64_t              rows;             /* 0: it has no count */
    size_t               len;              /* of the sender, which follows */
} ngx_lyftr_recount_head_t;


static ngx_int_t ngx_lyftr_recount_read(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_rebuild_t *rebuild, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_recount_change(ngx_lyftr_rebuild_t *rebuild,
    ngx_lyftr_senders_t *s);
static ngx_int_t ngx_lyftr_recount_write(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_rebuild_t *rebuild, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_recount_totals(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_count_t *top, ngx_lyftr_buf_t *sender, int64_t *n,
    ngx_lyftr_error_t *err);


/*
 * Nobody else changes counts: so what is wrong is found in a transaction that
 * reads, and put right in another one.
 */

ngx_int_t
ngx_lyftr_rebuild_counts(ngx_lyftr_sqlite_t *c, ngx_lyftr_rebuild_t *rebuild,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc, more;

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_segments_read(c, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_recount_read(c, rebuild, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if ((rc != NGX_OK && rc != NGX_DONE) || rebuild->changes.len == 0) {
        return rc;
    }

    more = rc;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_UPKEEP, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_recount_write(c, rebuild, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc != NGX_OK) {
        /* those that were read are lost: all over again */
        rebuild->begun = 0;
        return rc;
    }

    return more;
}


static ngx_int_t
ngx_lyftr_recount_read(ngx_lyftr_sqlite_t *c, ngx_lyftr_rebuild_t *rebuild,
    ngx_lyftr_error_t *err)
{
    ngx_int_t            rc;
    ngx_str_t            after;
    ngx_uint_t           n;
    ngx_lyftr_senders_t  s;

    after.data = rebuild->sender.data;
    after.len = rebuild->sender.len;

    rebuild->changes.len = 0;

    rc = ngx_lyftr_senders_open(c, &s, rebuild->begun ? &after : NULL, err);

    for (n = 0; rc == NGX_OK && n < NGX_LYFTR_RECOUNT; n++) {

        rc = ngx_lyftr_senders_next(c, &s, err);

        if (rc != NGX_OK) {
            break;
        }

        rebuild->begun = 1;
        rebuild->sender.len = 0;

        if (ngx_lyftr_buf_add(&rebuild->sender, s.sender.data, s.sender.len)
            != NGX_OK
            || ngx_lyftr_recount_change(rebuild, &s) != NGX_OK)
        {
            rc = ngx_lyftr_compaction_memory(err);
        }
    }

    ngx_lyftr_senders_close(&s);

    return rc;
}


static ngx_int_t
ngx_lyftr_recount_change(ngx_lyftr_rebuild_t *rebuild, ngx_lyftr_senders_t *s)
{
    ngx_lyftr_recount_head_t  head;

    if (s->rows == (s->count == -1 ? 0 : s->count)
        && (s->rows || s->count == -1))
    {
        return NGX_OK;
    }

    ngx_memzero(&head, sizeof(head));

    head.rows = s->rows;
    head.len = s->sender.len;

    if (ngx_lyftr_buf_add(&rebuild->changes, &head, sizeof(head)) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_lyftr_buf_add(&rebuild->changes, s->sender.data,
                             s->sender.len);
}


static ngx_int_t
ngx_lyftr_recount_write(ngx_lyftr_sqlite_t *c, ngx_lyftr_rebuild_t *rebuild,
    ngx_lyftr_error_t *err)
{
    size_t                     i;
    ngx_str_t                  sender;
    sqlite3_stmt              *st;
    ngx_lyftr_recount_head_t   head;

    for (i = 0; i < rebuild->changes.len; i += sizeof(head) + head.len) {

        ngx_memcpy(&head, rebuild->changes.data + i, sizeof(head));

        sender.data = rebuild->changes.data + i + sizeof(head);
        sender.len = head.len;

        st = c->stmt[head.rows ? NGX_LYFTR_SQL_COUNT_SET
                               : NGX_LYFTR_SQL_COUNT_DELETE];

        (void) ngx_lyftr_sqlite_bind(st, 1, &sender);

        if (head.rows) {
            (void) sqlite3_bind_int64(st, 2, head.rows);
            (void) sqlite3_bind_int64(st, 3, c->state.counted);
        }

        if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* no count changes meanwhile, for this is one piece of the housekeeping */

ngx_int_t
ngx_lyftr_rebuild_end(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int64_t             senders;
    ngx_int_t           rc;
    sqlite3_stmt       *st;
    ngx_lyftr_buf_t     sender;
    ngx_lyftr_count_t   top;

    senders = 0;

    ngx_memzero(&top, sizeof(ngx_lyftr_count_t));
    ngx_memzero(&sender, sizeof(ngx_lyftr_buf_t));

    do {
        rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

        if (rc == NGX_OK) {
            rc = ngx_lyftr_recount_totals(c, &top, &sender, &senders, err);
        }

        ngx_lyftr_sqlite_rollback(c);

        deadline = ngx_max(deadline, ngx_lyftr_clock() + 1000);

    } while (rc == NGX_OK);

    if (rc == NGX_DONE) {
        rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_UPKEEP, deadline, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_count_write_top(c, &top, err);
    }

    if (rc == NGX_OK) {
        st = c->stmt[NGX_LYFTR_SQL_SEGMENTS_OLD];
        rc = ngx_lyftr_sqlite_run(c, st, err);
    }

    if (rc == NGX_OK) {
        st = c->stmt[NGX_LYFTR_SQL_REBUILT];

        (void) sqlite3_bind_int64(st, 1, senders);

        rc = ngx_lyftr_sqlite_run(c, st, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);
    ngx_lyftr_count_free(&top);
    ngx_lyftr_buf_free(&sender);

    return rc;
}


static ngx_int_t
ngx_lyftr_recount_totals(ngx_lyftr_sqlite_t *c, ngx_lyftr_count_t *top,
    ngx_lyftr_buf_t *sender, int64_t *n, ngx_lyftr_error_t *err)
{
    int            rc;
    ngx_int_t      ok;
    ngx_str_t      s;
    ngx_uint_t     i;
    sqlite3_stmt  *st;

    ok = NGX_OK;
    rc = SQLITE_ROW;
    st = c->stmt[*n ? NGX_LYFTR_SQL_COUNTS_AFTER : NGX_LYFTR_SQL_COUNTS];

    if (*n) {
        s.data = sender->data;
        s.len = sender->len;

        (void) ngx_lyftr_sqlite_bind(st, 1, &s);
    }

    for (i = 0; ok == NGX_OK && i < NGX_LYFTR_RECOUNT_ROWS; i++) {

        rc = sqlite3_step(st);

        if (rc != SQLITE_ROW) {
            break;
        }

        ngx_lyftr_sqlite_column(st, 0, &s);

        (*n)++;

        ok = ngx_lyftr_count_rank(top, &s, sqlite3_column_int64(st, 1));

        if (ok == NGX_OK && i + 1 == NGX_LYFTR_RECOUNT_ROWS) {
            sender->len = 0;
            ok = ngx_lyftr_buf_add(sender, s.data, s.len);
        }
    }

    if (ok != NGX_OK) {
        (void) ngx_lyftr_compaction_memory(err);

    } else if (rc == SQLITE_DONE) {
        ok = NGX_DONE;

    } else if (rc != SQLITE_ROW) {
        ok = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);
    (void) sqlite3_clear_bindings(st);

    return ok;
}

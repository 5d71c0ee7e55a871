#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>
#include <ngx_lyftr_message.h>


/* the recent rows of a sender: before and after the counts' next step */

typedef struct {
    ngx_str_t            from;
    int64_t              before;
    int64_t              after;
} ngx_lyftr_stats_group_t;


static ngx_int_t ngx_lyftr_stats_senders(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_stats_t *stats, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_stats_recent(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_stats_t *stats, ngx_lyftr_top_t *top,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_stats_log(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_stats_t *stats, ngx_lyftr_top_t *top,
    ngx_lyftr_error_t *err);
static ngx_uint_t ngx_lyftr_stats_group(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_stats_group_t *groups, ngx_uint_t mask);
static ngx_int_t ngx_lyftr_stats_counts(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_stats_t *stats, ngx_lyftr_top_t *top,
    ngx_lyftr_stats_group_t *groups, ngx_uint_t n, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_stats_sender(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_stats_t *stats, ngx_lyftr_top_t *top,
    ngx_lyftr_stats_group_t *group, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_stats_count(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_stats_group_t *group, int64_t *total, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_stats_top(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_stats_t *stats, ngx_lyftr_top_t *top,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_stats_ends(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_stats_t *stats, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_stats_ts(ngx_lyftr_sqlite_t *c, int64_t seq,
    ngx_str_t *ts, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_stats_keep(ngx_lyftr_sqlite_t *c, u_char *data,
    size_t len, ngx_str_t *s, ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_sqlite_stats(void *conn, ngx_lyftr_stats_t *stats,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    int64_t     erased;
    ngx_uint_t  i;

    ngx_lyftr_sqlite_stats_free(c);

    ngx_memzero(stats, sizeof(ngx_lyftr_stats_t));

    if (ngx_lyftr_sqlite_view(c, err) != NGX_OK
        || ngx_lyftr_sqlite_erased_total(c, &erased, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    stats->total = c->index.view.rows - erased;

    for (i = 0; i < c->index.nsegments; i++) {
        stats->total += c->index.segments[i].rows;
    }

    if (ngx_lyftr_stats_senders(c, stats, err) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_lyftr_stats_ends(c, stats, err);
}


/* what is counted, and the rows after that: of memory, or if need be the log */

static ngx_int_t
ngx_lyftr_stats_senders(ngx_lyftr_sqlite_t *c, ngx_lyftr_stats_t *stats,
    ngx_lyftr_error_t *err)
{
    ngx_int_t        rc;
    ngx_lyftr_top_t  top;

    ngx_memzero(&top, sizeof(ngx_lyftr_top_t));

    stats->senders = c->state.senders;

    rc = ngx_lyftr_count_top(c, &top, err);

    if (rc == NGX_OK) {
        rc = (c->state.counted < c->state.indexed)
             ? ngx_lyftr_stats_log(c, stats, &top, err)
             : ngx_lyftr_stats_recent(c, stats, &top, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_stats_top(c, stats, &top, err);
    }

    ngx_lyftr_top_free(&top);

    return rc;
}


/* grouped in a table of hashes */

static ngx_int_t
ngx_lyftr_stats_recent(ngx_lyftr_sqlite_t *c, ngx_lyftr_stats_t *stats,
    ngx_lyftr_top_t *top, ngx_lyftr_error_t *err)
{
    size_t                    size;
    ngx_int_t                 rc;
    ngx_uint_t                mask, n;
    ngx_lyftr_stats_group_t  *groups;

    n = c->index.view.rows;

    for (mask = 15; mask < 2 * n; mask = 2 * mask + 1) { /* void */ }

    size = (mask + 1) * sizeof(ngx_lyftr_stats_group_t);

    groups = sqlite3_malloc64(size);
    if (groups == NULL) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    ngx_memzero(groups, size);

    n = ngx_lyftr_stats_group(c, groups, mask);

    rc = n ? ngx_lyftr_stats_counts(c, stats, top, groups, mask + 1, err)
           : NGX_OK;

    sqlite3_free(groups);

    return rc;
}


/* segments have what is not counted yet */

static ngx_int_t
ngx_lyftr_stats_log(ngx_lyftr_sqlite_t *c, ngx_lyftr_stats_t *stats,
    ngx_lyftr_top_t *top, ngx_lyftr_error_t *err)
{
    int                       rc;
    ngx_int_t                 ok;
    sqlite3_stmt             *st;
    ngx_lyftr_stats_group_t   group;

    ok = NGX_OK;
    st = c->stmt[NGX_LYFTR_SQL_UNCOUNTED];

    (void) sqlite3_bind_int64(st, 1, c->state.counted);
    (void) sqlite3_bind_int64(st, 2, c->state.counting);

    while ((rc = sqlite3_step(st)) == SQLITE_ROW && ok == NGX_OK) {

        ngx_lyftr_sqlite_column(st, 0, &group.from);
        group.before = sqlite3_column_int64(st, 1);
        group.after = sqlite3_column_int64(st, 2);

        ok = ngx_lyftr_stats_sender(c, stats, top, &group, err);
    }

    if (ok == NGX_OK && rc != SQLITE_DONE) {
        ok = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return ok;
}


static ngx_uint_t
ngx_lyftr_stats_group(ngx_lyftr_sqlite_t *c, ngx_lyftr_stats_group_t *groups,
    ngx_uint_t mask)
{
    size_t                     len;
    u_char                    *sender;
    ngx_uint_t                 i, j, k, n;
    ngx_lyftr_view_chunk_t    *part;
    ngx_lyftr_memtable_row_t  *row;
    ngx_lyftr_stats_group_t   *group;

    n = 0;

    for (i = 0; i < c->index.view.nchunks; i++) {
        part = &c->index.view.chunks[i];

        for (j = 0; j < part->n; j++) {
            row = &part->row[j];

            if (row->seq <= c->state.counted) {
                continue;
            }

            sender = ngx_lyftr_memtable_key(row, NGX_LYFTR_TREE_SENDER, &len);
            len -= row->len[NGX_LYFTR_TREE_TIME];

            k = ngx_lyftr_siphash(c->secret, sender, len);

            for ( ;; k++) {
                group = &groups[k & mask];

                if (group->from.data == NULL) {
                    group->from.data = sender;
                    group->from.len = len;
                    n++;
                    break;
                }

                if (group->from.len == len
                    && ngx_memcmp(group->from.data, sender, len) == 0)
                {
                    break;
                }
            }

            if (row->seq <= c->state.counting) {
                group->before++;

            } else {
                group->after++;
            }
        }
    }

    return n;
}


static ngx_int_t
ngx_lyftr_stats_counts(ngx_lyftr_sqlite_t *c, ngx_lyftr_stats_t *stats,
    ngx_lyftr_top_t *top, ngx_lyftr_stats_group_t *groups, ngx_uint_t n,
    ngx_lyftr_error_t *err)
{
    ngx_int_t        rc;
    ngx_uint_t       i;
    ngx_lyftr_buf_t  buf;

    rc = NGX_OK;
    ngx_memzero(&buf, sizeof(ngx_lyftr_buf_t));

    for (i = 0; i < n && rc == NGX_OK; i++) {

        if (groups[i].from.data == NULL) {
            continue;
        }

        if (ngx_lyftr_key_read(&groups[i].from, &buf, &groups[i].from)
            != NGX_OK)
        {
            rc = ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
            break;
        }

        rc = ngx_lyftr_stats_sender(c, stats, top, &groups[i], err);
    }

    ngx_lyftr_buf_free(&buf);

    return rc;
}


static ngx_int_t
ngx_lyftr_stats_sender(ngx_lyftr_sqlite_t *c, ngx_lyftr_stats_t *stats,
    ngx_lyftr_top_t *top, ngx_lyftr_stats_group_t *group,
    ngx_lyftr_error_t *err)
{
    int64_t    total;
    ngx_int_t  rc;

    rc = ngx_lyftr_stats_count(c, group, &total, err);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {
        stats->senders++;
    }

    if (ngx_lyftr_top_rank(top, &group->from, total) != NGX_OK) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    return NGX_OK;
}


/* NGX_DECLINED: it was not counted before */

static ngx_int_t
ngx_lyftr_stats_count(ngx_lyftr_sqlite_t *c, ngx_lyftr_stats_group_t *group,
    int64_t *total, ngx_lyftr_error_t *err)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_COUNT_OF];

    (void) ngx_lyftr_sqlite_bind(st, 1, &group->from);

    *total = group->before + group->after;

    switch (sqlite3_step(st)) {

    case SQLITE_ROW:

        if (sqlite3_column_int64(st, 1) > c->state.counted) {
            *total -= group->before;
        }

        /* all that was counted may have left */

        rc = sqlite3_column_int64(st, 0) ? NGX_OK : NGX_DECLINED;

        *total += sqlite3_column_int64(st, 0);
        break;

    case SQLITE_DONE:
        rc = NGX_DECLINED;
        break;

    default:
        rc = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return rc;
}


static ngx_int_t
ngx_lyftr_stats_top(ngx_lyftr_sqlite_t *c, ngx_lyftr_stats_t *stats,
    ngx_lyftr_top_t *top, ngx_lyftr_error_t *err)
{
    ngx_uint_t           i;
    ngx_lyftr_sender_t  *sender;

    for (i = 0; i < top->n; i++) {
        sender = &stats->top[i];
        sender->count = top->count[i];

        if (ngx_lyftr_stats_keep(c, top->sender[i].data,
                                 top->sender[i].len, &sender->from, err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    stats->ntop = top->n;

    return NGX_OK;
}


/* of the rows whose ts is one */

static ngx_int_t
ngx_lyftr_stats_ends(ngx_lyftr_sqlite_t *c, ngx_lyftr_stats_t *stats,
    ngx_lyftr_error_t *err)
{
    u_char             tag;
    int64_t            n, seq;
    ngx_int_t          rc;
    ngx_str_t          low, high;
    ngx_lyftr_entry_t  entry;
    ngx_lyftr_merge_t  sources;

    seq = 0;
    entry.seq = 0;
    tag = NGX_LYFTR_KEY_INSTANT;
    low.data = &tag;
    low.len = 1;
    ngx_str_null(&high);

    rc = ngx_lyftr_merge_open(&c->index, &sources, NGX_LYFTR_TREE_TIME, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_merge_range(&c->index, &sources, &low, &high, &n, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_merge_next(&c->index, &sources, &entry, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_stats_ts(c, entry.seq, &stats->first, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_merge_last(&c->index, &sources, &seq, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_stats_ts(c, seq, &stats->last, err);
    }

    ngx_lyftr_merge_close(&sources);

    return rc == NGX_DONE ? NGX_OK : rc;
}


static ngx_int_t
ngx_lyftr_stats_ts(ngx_lyftr_sqlite_t *c, int64_t seq, ngx_str_t *ts,
    ngx_lyftr_error_t *err)
{
    ngx_int_t      rc;
    ngx_str_t      value;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_ROW];

    (void) sqlite3_bind_int64(st, 1, seq);

    if (ngx_lyftr_sqlite_row_step(c, st, err) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_lyftr_sqlite_column(st, 6, &value);

    rc = ngx_lyftr_stats_keep(c, value.data, value.len, ts, err);

    (void) sqlite3_reset(st);

    return rc;
}


static ngx_int_t
ngx_lyftr_stats_keep(ngx_lyftr_sqlite_t *c, u_char *data, size_t len,
    ngx_str_t *s, ngx_lyftr_error_t *err)
{
    s->data = sqlite3_malloc64(len + 1);

    if (s->data == NULL) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    if (len) {
        ngx_memcpy(s->data, data, len);
    }

    s->len = len;
    c->stats.strings[c->stats.n++] = s->data;

    return NGX_OK;
}


void
ngx_lyftr_sqlite_stats_free(ngx_lyftr_sqlite_t *c)
{
    while (c->stats.n) {
        sqlite3_free(c->stats.strings[--c->stats.n]);
    }
}

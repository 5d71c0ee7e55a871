#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite.h>
#include <ngx_lyftr_text.h>


/*
 * Every read is of the rows in the large indexes, which are in order, and of
 * the tail, which is short and sorted.
 */

#define NGX_LYFTR_SQLITE_BOTH                                                 \
    (NGX_LYFTR_SQLITE_SINCE|NGX_LYFTR_SQLITE_AFTER)


typedef struct {
    ngx_uint_t           of;
    ngx_uint_t           set;
    const char          *sql;
} ngx_lyftr_sqlite_filter_t;


/* the plus keeps since from the index, which is entered by the later bound */

static ngx_lyftr_sqlite_filter_t  ngx_lyftr_sqlite_filters[] = {

    { NGX_LYFTR_SQLITE_FROM, NGX_LYFTR_SQLITE_FROM,
      " AND i.from_msisdn = ?1" },

    { NGX_LYFTR_SQLITE_BOTH, NGX_LYFTR_SQLITE_SINCE,
      " AND i.instant >= ?2" },

    { NGX_LYFTR_SQLITE_BOTH, NGX_LYFTR_SQLITE_BOTH,
      " AND +i.instant >= ?2" },

    { NGX_LYFTR_SQLITE_Q, NGX_LYFTR_SQLITE_Q,
      " AND lyftr_contains(i.text, ?3)" },

    { NGX_LYFTR_SQLITE_AFTER, NGX_LYFTR_SQLITE_AFTER,
      " AND i.instant >= ?4 AND (i.instant, i.message_id) > (?4, ?5)" },

    { 0, 0, NULL }
};


/*
 * What a list reads.  A join is left, so that SQLite begins with the index,
 * and omits the rows where nothing of them is asked for.
 */

static const char  ngx_lyftr_sqlite_by_time[] =
    "(SELECT x.seq, x.instant, x.message_id, m.text FROM lyftr_time AS x"
    " LEFT JOIN lyftr_message AS m ON m.seq = x.seq) AS i WHERE true";
static const char  ngx_lyftr_sqlite_by_sender[] =
    "(SELECT x.seq, x.from_msisdn, x.instant, m.message_id, m.text"
    " FROM lyftr_sender AS x"
    " LEFT JOIN lyftr_message AS m ON m.seq = x.seq) AS i WHERE true";
static const char  ngx_lyftr_sqlite_time_tail[] =
    ngx_lyftr_sqlite_tail("time_to");
static const char  ngx_lyftr_sqlite_sender_tail[] =
    ngx_lyftr_sqlite_tail("sender_to");
static const char  ngx_lyftr_sqlite_count_tail[] =
    ngx_lyftr_sqlite_tail("count_to");
static const char  ngx_lyftr_sqlite_all[] = "lyftr_message AS i WHERE true";


static ngx_uint_t ngx_lyftr_sqlite_mask(ngx_lyftr_query_t *query);
static ngx_int_t ngx_lyftr_sqlite_folded(ngx_str_t *q, ngx_str_t *needle,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_assemble(ngx_lyftr_sqlite_t *c,
    sqlite3_stmt **st, ngx_uint_t mask, ngx_uint_t count,
    ngx_lyftr_error_t *err);
static void ngx_lyftr_sqlite_where(sqlite3_str *sql, const char *from,
    ngx_uint_t mask);
static ngx_int_t ngx_lyftr_sqlite_after(ngx_lyftr_sqlite_t *c,
    sqlite3_stmt *st, ngx_lyftr_query_t *query, ngx_lyftr_error_t *err);
static int ngx_lyftr_sqlite_bind_filters(sqlite3_stmt *st, ngx_uint_t mask,
    ngx_lyftr_query_t *query, ngx_str_t *needle);
static ngx_int_t ngx_lyftr_sqlite_page(ngx_lyftr_sqlite_t *c,
    sqlite3_stmt *st, ngx_lyftr_query_t *query, ngx_lyftr_row_pt row,
    void *data, ngx_lyftr_page_t *page, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_row(ngx_lyftr_sqlite_t *c, int64_t seq,
    ngx_lyftr_row_pt row, void *data, uint64_t *check,
    ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_sqlite_list(void *conn, ngx_lyftr_query_t *query,
    ngx_lyftr_row_pt row, void *data, ngx_lyftr_page_t *page,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    ngx_int_t      rc;
    ngx_str_t      needle;
    ngx_uint_t     mask;
    sqlite3_stmt  *st;

    mask = ngx_lyftr_sqlite_mask(query);

    ngx_memzero(page, sizeof(ngx_lyftr_page_t));
    ngx_str_null(&needle);

    if (ngx_lyftr_sqlite_assemble(c, &c->list[mask], mask, 0, err) != NGX_OK) {
        return NGX_ERROR;
    }

    st = c->list[mask];
    rc = ngx_lyftr_sqlite_after(c, st, query, err);

    if (rc != NGX_OK || query->none) {
        goto done;
    }

    rc = ngx_lyftr_sqlite_folded(&query->q, &needle, err);

    if (rc != NGX_OK) {
        goto done;
    }

    rc = ngx_lyftr_sqlite_total(c, query, &needle, &page->total, err);

    if (rc != NGX_OK || query->offset >= page->total) {
        goto done;
    }

    if (ngx_lyftr_sqlite_bind_filters(st, mask, query, &needle) != SQLITE_OK) {
        rc = ngx_lyftr_sqlite_error(c, err);
        goto done;
    }

    rc = ngx_lyftr_sqlite_page(c, st, query, row, data, page, err);

done:

    (void) sqlite3_reset(st);
    (void) sqlite3_clear_bindings(st);

    sqlite3_free(needle.data);

    return rc;
}


static ngx_uint_t
ngx_lyftr_sqlite_mask(ngx_lyftr_query_t *query)
{
    return (query->from.len ? NGX_LYFTR_SQLITE_FROM : 0)
           | (query->since.len ? NGX_LYFTR_SQLITE_SINCE : 0)
           | (query->q.len ? NGX_LYFTR_SQLITE_Q : 0)
           | (query->after.seq ? NGX_LYFTR_SQLITE_AFTER : 0);
}


static ngx_int_t
ngx_lyftr_sqlite_folded(ngx_str_t *q, ngx_str_t *needle,
    ngx_lyftr_error_t *err)
{
    if (q->len == 0) {
        return NGX_OK;
    }

    needle->len = ngx_lyftr_fold(NULL, q->data, q->len);
    needle->data = sqlite3_malloc64(needle->len + 1);

    if (needle->data == NULL) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    (void) ngx_lyftr_fold(needle->data, q->data, q->len);

    return NGX_OK;
}


/* of fixed parts only; the values are bound */

static ngx_int_t
ngx_lyftr_sqlite_assemble(ngx_lyftr_sqlite_t *c, sqlite3_stmt **st,
    ngx_uint_t mask, ngx_uint_t count, ngx_lyftr_error_t *err)
{
    int           rc;
    char         *text;
    const char   *indexed, *tail;
    sqlite3_str  *sql;

    if (*st) {
        return NGX_OK;
    }

    if (mask & NGX_LYFTR_SQLITE_FROM) {
        indexed = ngx_lyftr_sqlite_by_sender;
        tail = ngx_lyftr_sqlite_sender_tail;

    } else {
        indexed = ngx_lyftr_sqlite_by_time;
        tail = ngx_lyftr_sqlite_time_tail;
    }

    sql = sqlite3_str_new(c->db);

    if (!count) {
        sqlite3_str_appendall(sql,
                              "SELECT i.seq, i.instant, i.message_id FROM ");
        ngx_lyftr_sqlite_where(sql, indexed, mask);
        sqlite3_str_appendall(sql, " UNION ALL"
                              " SELECT i.seq, i.instant, i.message_id FROM ");
        ngx_lyftr_sqlite_where(sql, tail, mask);
        sqlite3_str_appendall(sql, " ORDER BY 2, 3 LIMIT ?6 OFFSET ?7");

    } else if ((mask & NGX_LYFTR_SQLITE_Q) && !(mask & NGX_LYFTR_SQLITE_FROM)) {

        /* every text is looked at, so in the order of the file */

        sqlite3_str_appendall(sql, "SELECT count(*) FROM ");
        ngx_lyftr_sqlite_where(sql, ngx_lyftr_sqlite_all, mask);

    } else {
        sqlite3_str_appendall(sql, "SELECT ifnull((SELECT ");

        if (mask == 0) {
            sqlite3_str_appendall(sql, "counted FROM lyftr_state");
            tail = ngx_lyftr_sqlite_count_tail;

        } else if (mask == NGX_LYFTR_SQLITE_FROM) {
            sqlite3_str_appendall(sql, "count FROM lyftr_count"
                                       " WHERE from_msisdn = ?1");
            tail = ngx_lyftr_sqlite_count_tail;

        } else {
            sqlite3_str_appendall(sql, "count(*) FROM ");
            ngx_lyftr_sqlite_where(sql, indexed, mask);
        }

        sqlite3_str_appendall(sql, "), 0) + (SELECT count(*) FROM ");
        ngx_lyftr_sqlite_where(sql, tail, mask);
        sqlite3_str_appendall(sql, ")");
    }

    text = sqlite3_str_finish(sql);

    if (text == NULL) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    rc = sqlite3_prepare_v3(c->db, text, -1, SQLITE_PREPARE_PERSISTENT, st,
                            NULL);

    sqlite3_free(text);

    return rc == SQLITE_OK ? NGX_OK : ngx_lyftr_sqlite_error(c, err);
}


static void
ngx_lyftr_sqlite_where(sqlite3_str *sql, const char *from, ngx_uint_t mask)
{
    ngx_lyftr_sqlite_filter_t  *f;

    sqlite3_str_appendall(sql, from);

    for (f = ngx_lyftr_sqlite_filters; f->sql; f++) {
        if ((mask & f->of) == f->set) {
            sqlite3_str_appendall(sql, f->sql);
        }
    }
}


/* NGX_DECLINED if there is no such row, or it is another one */

static ngx_int_t
ngx_lyftr_sqlite_after(ngx_lyftr_sqlite_t *c, sqlite3_stmt *list,
    ngx_lyftr_query_t *query, ngx_lyftr_error_t *err)
{
    int            n;
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    if (query->after.seq == 0) {
        return NGX_OK;
    }

    st = c->stmt[NGX_LYFTR_SQL_POSITION];

    (void) sqlite3_bind_int64(st, 1, query->after.seq);
    (void) sqlite3_bind_int64(st, 2, (int64_t) query->after.check);

    n = sqlite3_step(st);

    if (n == SQLITE_DONE) {
        rc = NGX_DECLINED;

    } else if (n != SQLITE_ROW
               || sqlite3_bind_value(list, 4, sqlite3_column_value(st, 0))
                  != SQLITE_OK
               || sqlite3_bind_value(list, 5, sqlite3_column_value(st, 1))
                  != SQLITE_OK)
    {
        rc = ngx_lyftr_sqlite_error(c, err);

    } else {
        rc = NGX_OK;
    }

    (void) sqlite3_reset(st);
    (void) sqlite3_clear_bindings(st);

    return rc;
}


static int
ngx_lyftr_sqlite_bind_filters(sqlite3_stmt *st, ngx_uint_t mask,
    ngx_lyftr_query_t *query, ngx_str_t *needle)
{
    int  rc;

    rc = SQLITE_OK;

    if (mask & NGX_LYFTR_SQLITE_FROM) {
        rc = ngx_lyftr_sqlite_bind(st, 1, &query->from);
    }

    if (rc == SQLITE_OK && (mask & NGX_LYFTR_SQLITE_SINCE)) {
        rc = sqlite3_bind_blob(st, 2, query->instant.data, query->instant.len,
                               SQLITE_STATIC);
    }

    if (rc == SQLITE_OK && (mask & NGX_LYFTR_SQLITE_Q)) {
        rc = ngx_lyftr_sqlite_bind(st, 3, needle);
    }

    return rc;
}


ngx_int_t
ngx_lyftr_sqlite_total(ngx_lyftr_sqlite_t *c, ngx_lyftr_query_t *query,
    ngx_str_t *needle, int64_t *total, ngx_lyftr_error_t *err)
{
    ngx_uint_t     mask;
    sqlite3_stmt  *st;

    mask = ngx_lyftr_sqlite_mask(query) & (NGX_LYFTR_SQLITE_FILTERS - 1);

    if (ngx_lyftr_sqlite_assemble(c, &c->count[mask], mask, 1, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    st = c->count[mask];

    if (ngx_lyftr_sqlite_bind_filters(st, mask, query, needle) != SQLITE_OK) {
        return ngx_lyftr_sqlite_error(c, err);
    }

    return ngx_lyftr_sqlite_int(c, st, total, err);
}


/* the list gives places in the indexes; only rows of the page are read */

static ngx_int_t
ngx_lyftr_sqlite_page(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    ngx_lyftr_query_t *query, ngx_lyftr_row_pt row, void *data,
    ngx_lyftr_page_t *page, ngx_lyftr_error_t *err)
{
    int                   rc;
    ngx_int_t             n;
    ngx_lyftr_position_t  last;

    ngx_memzero(&last, sizeof(ngx_lyftr_position_t));

    /* one more tells if another page follows */

    (void) sqlite3_bind_int64(st, 6, (int64_t) query->limit + 1);
    (void) sqlite3_bind_int64(st, 7, query->offset);

    for (n = 0; (rc = sqlite3_step(st)) == SQLITE_ROW; n++) {

        if (n == query->limit) {
            page->next = last;
            return NGX_OK;
        }

        last.seq = sqlite3_column_int64(st, 0);

        if (ngx_lyftr_sqlite_row(c, last.seq, row, data, &last.check, err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return rc == SQLITE_DONE ? NGX_OK : ngx_lyftr_sqlite_error(c, err);
}


static ngx_int_t
ngx_lyftr_sqlite_row(ngx_lyftr_sqlite_t *c, int64_t seq, ngx_lyftr_row_pt row,
    void *data, uint64_t *check, ngx_lyftr_error_t *err)
{
    ngx_int_t            rc;
    sqlite3_stmt        *st;
    ngx_lyftr_message_t  m;

    ngx_memzero(&m, sizeof(ngx_lyftr_message_t));

    st = c->stmt[NGX_LYFTR_SQL_ROW];

    (void) sqlite3_bind_int64(st, 1, seq);

    if (sqlite3_step(st) != SQLITE_ROW) {
        rc = ngx_lyftr_sqlite_error(c, err);

    } else {
        *check = (uint64_t) sqlite3_column_int64(st, 0);

        ngx_lyftr_sqlite_column(st, 1, &m.message_id);
        ngx_lyftr_sqlite_column(st, 2, &m.from);
        ngx_lyftr_sqlite_column(st, 3, &m.to);
        ngx_lyftr_sqlite_column(st, 4, &m.ts);
        ngx_lyftr_sqlite_column(st, 5, &m.text);

        rc = row(data, &m);

        if (rc != NGX_OK) {
            rc = ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                       "the reader of the rows stopped");
        }
    }

    (void) sqlite3_reset(st);

    return rc;
}


void
ngx_lyftr_sqlite_column(sqlite3_stmt *st, int i, ngx_str_t *s)
{
    s->data = (u_char *) sqlite3_column_text(st, i);
    s->len = sqlite3_column_bytes(st, i);
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>


/* rows of a part, and bytes of its columns, whichever are reached first */
#ifndef NGX_LYFTR_SQLITE_PART
#define NGX_LYFTR_SQLITE_PART      1000
#endif
#define NGX_LYFTR_SQLITE_PART_LEN  (4 * 1024 * 1024)


/*
 * Looks for damage as SQLite finds it, by reading: every row of every table,
 * with all of its columns, in the order of the keys.  Of bytes that were
 * changed and still make sense others tell: the hash of an id, the order of
 * entries, and the filter, which must have each id of its segment.
 */

typedef struct {
    const char          *rows;             /* the key's columns come first */
    const char          *key;
    const char          *after;
    int                  nkey;
    const char          *faults;           /* counts what does not fit */

    /* is a row right?  NGX_OK, NGX_DECLINED or NGX_ERROR */
    ngx_int_t          (*row)(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
                           ngx_lyftr_error_t *err);
} ngx_lyftr_sqlite_table_t;


static ngx_int_t ngx_lyftr_sqlite_verify_part(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_table_t *table, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_verify_rows(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_table_t *table, sqlite3_stmt *st,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_verify_row(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_table_t *table, sqlite3_stmt *st, size_t *len,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_verify_message(ngx_lyftr_sqlite_t *c,
    sqlite3_stmt *st, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_verify_key(ngx_lyftr_sqlite_t *c,
    sqlite3_stmt *st, int n);


static ngx_lyftr_sqlite_table_t  ngx_lyftr_sqlite_checked[] = {

    { "seq, id_hash, message_id, * FROM lyftr_message",
      "seq", "?1", 1, NULL, ngx_lyftr_sqlite_verify_message },

    { "no, data FROM lyftr_block",
      "no", "?1", 1, NULL, ngx_lyftr_sqlite_verify_block },

    /* segments follow each other */

    { "* FROM lyftr_segment",
      "id", "?1", 1,
      "SELECT (SELECT count(*) FROM"
      " (SELECT first, last, rows, lag(last, 1, 0) OVER (ORDER BY first)"
      " AS before FROM lyftr_segment)"
      " WHERE first <> before OR last <= first OR rows > last - first)"
      " + (indexed <> (SELECT ifnull(max(last), 0) FROM lyftr_segment))"
      " FROM lyftr_state", NULL },

    { "* FROM lyftr_count",
      "from_msisdn", "?1", 1, NULL, NULL },

    { "no, data FROM lyftr_gram",
      "no", "?1", 1, NULL, ngx_lyftr_sqlite_verify_gram },

    /* parts of a level do not overlap, and all of them have no gap */

    { "* FROM lyftr_search",
      "id", "?1", 1,
      "SELECT count(*) FROM"
      " (SELECT first, last, max(last) OVER (PARTITION BY level"
      " ORDER BY first ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
      " AS same, max(last) OVER (ORDER BY first, level DESC"
      " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before"
      " FROM lyftr_search WHERE level >= 0)"
      " WHERE last <= first OR first < same OR first > ifnull(before, 0)"
      " OR last > (SELECT max(seq) FROM lyftr_message)", NULL },

    { NULL, NULL, NULL, 0, NULL, NULL }
};


ngx_int_t
ngx_lyftr_sqlite_verify(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    ngx_int_t                  rc;
    ngx_lyftr_sqlite_table_t  *table;

    table = &ngx_lyftr_sqlite_checked[c->table];

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : rc;
    }

    c->list.asked = 0;

    rc = ngx_lyftr_sqlite_look(c, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_verify_part(c, table, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    /* what is cached would hide what becomes of the file */

    (void) sqlite3_db_release_memory(c->db);

    if (rc != NGX_DONE) {
        return rc;
    }

    /* the next check reads the filters anew */

    ngx_lyftr_sqlite_verify_forget(c);
    ngx_lyftr_sqlite_unlook(c);
    ngx_memzero(&c->list, sizeof(ngx_lyftr_sqlite_list_t));

    c->table++;

    if (ngx_lyftr_sqlite_checked[c->table].rows) {
        return NGX_OK;
    }

    c->table = 0;

    return NGX_DONE;
}


/* NGX_DONE if there are no more rows */

static ngx_int_t
ngx_lyftr_sqlite_verify_part(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_table_t *table, ngx_lyftr_error_t *err)
{
    int            i;
    char           sql[NGX_LYFTR_ERROR_LEN];
    int64_t        faults;
    ngx_int_t      rc;
    ngx_uint_t     next;
    sqlite3_stmt  *st;

    next = (c->key[0] != NULL);
    faults = 0;

    if (table->faults && !next
        && ngx_lyftr_sqlite_get(c, table->faults, &faults, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (faults) {
        return ngx_lyftr_sqlite_damaged(err);
    }

    (void) snprintf(sql, sizeof(sql),
                    "SELECT %s%s%s%s%s%s ORDER BY %s LIMIT %d",
                    table->rows, next ? " WHERE (" : "",
                    next ? table->key : "", next ? ") > (" : "",
                    next ? table->after : "", next ? ")" : "",
                    table->key, NGX_LYFTR_SQLITE_PART);

    if (sqlite3_prepare_v2(c->db, sql, -1, &st, NULL) != SQLITE_OK) {
        return ngx_lyftr_sqlite_error(c, err);
    }

    rc = NGX_OK;

    for (i = 0; i < table->nkey && next; i++) {
        if (sqlite3_bind_value(st, i + 1, c->key[i]) != SQLITE_OK) {
            rc = ngx_lyftr_sqlite_error(c, err);
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_verify_rows(c, table, st, err);
    }

    (void) sqlite3_finalize(st);

    return rc;
}


static ngx_int_t
ngx_lyftr_sqlite_verify_rows(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_table_t *table, sqlite3_stmt *st,
    ngx_lyftr_error_t *err)
{
    int         rc;
    size_t      len;
    ngx_int_t   ok;
    ngx_uint_t  n;

    len = 0;

    for (n = 1; (rc = sqlite3_step(st)) == SQLITE_ROW; n++) {

        ok = ngx_lyftr_sqlite_verify_row(c, table, st, &len, err);

        if (ok == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (ok != NGX_OK) {
            return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_CORRUPT,
                                         "row %lld is damaged", (long long)
                                         sqlite3_column_int64(st, 0));
        }

        if (n == NGX_LYFTR_SQLITE_PART || len >= NGX_LYFTR_SQLITE_PART_LEN) {
            return ngx_lyftr_sqlite_verify_key(c, st, table->nkey) == NGX_OK
                   ? NGX_OK
                   : ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                           "no memory");
        }
    }

    return rc == SQLITE_DONE ? NGX_DONE : ngx_lyftr_sqlite_error(c, err);
}


static ngx_int_t
ngx_lyftr_sqlite_verify_row(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_table_t *table, sqlite3_stmt *st, size_t *len,
    ngx_lyftr_error_t *err)
{
    int  i;

    for (i = 0; i < sqlite3_column_count(st); i++) {
        (void) sqlite3_column_blob(st, i);
        *len += sqlite3_column_bytes(st, i);
    }

    return table->row ? table->row(c, st, err) : NGX_OK;
}


static ngx_int_t
ngx_lyftr_sqlite_verify_message(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    ngx_lyftr_error_t *err)
{
    uint64_t   hash;
    ngx_str_t  id;

    hash = (uint64_t) sqlite3_column_int64(st, 1);

    ngx_lyftr_sqlite_column(st, 2, &id);

    return ngx_lyftr_sqlite_hash(id.data, id.len) == hash ? NGX_OK
                                                          : NGX_DECLINED;
}


/* keeps the key of the last row of a part */

static ngx_int_t
ngx_lyftr_sqlite_verify_key(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st, int n)
{
    int  i;

    ngx_lyftr_sqlite_verify_forget(c);

    for (i = 0; i < n; i++) {
        c->key[i] = sqlite3_value_dup(sqlite3_column_value(st, i));

        if (c->key[i] == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_lyftr_sqlite_verify_forget(ngx_lyftr_sqlite_t *c)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_LYFTR_SQLITE_KEY; i++) {
        sqlite3_value_free(c->key[i]);
        c->key[i] = NULL;
    }
}

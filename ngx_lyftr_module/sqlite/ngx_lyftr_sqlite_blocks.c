#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>


/* what the index wants of the database, in the transaction that there is */

static ngx_int_t ngx_lyftr_sqlite_block_read(void *holder,
    ngx_lyftr_blocks_e table, int64_t no, ngx_lyftr_buf_t *buf,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_block_scan(void *holder,
    ngx_lyftr_blocks_e table, int64_t no, ngx_lyftr_block_pt fn, void *data,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_block_put(void *holder,
    ngx_lyftr_blocks_e table, int64_t no, u_char *p, size_t len,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_block_remove(void *holder,
    ngx_lyftr_blocks_e table, int64_t from, int64_t to, ngx_uint_t max,
    ngx_uint_t *n, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_rows(void *holder, ngx_lyftr_rows_e what,
    int64_t after, int64_t to, ngx_lyftr_index_row_pt fn, void *data,
    ngx_lyftr_error_t *err);


const ngx_lyftr_holder_t  ngx_lyftr_sqlite_holder = {
    ngx_lyftr_sqlite_block_read,
    ngx_lyftr_sqlite_block_scan,
    ngx_lyftr_sqlite_block_put,
    ngx_lyftr_sqlite_block_remove,
    ngx_lyftr_sqlite_rows
};


/* the statements of each table */

static struct {
    ngx_lyftr_sql_e      read;
    ngx_lyftr_sql_e      scan;
    ngx_lyftr_sql_e      add;
    ngx_lyftr_sql_e      remove;
} ngx_lyftr_sqlite_blocks[] = {
    { NGX_LYFTR_SQL_BLOCK,
      NGX_LYFTR_SQL_BLOCKS,
      NGX_LYFTR_SQL_BLOCK_ADD,
      NGX_LYFTR_SQL_BLOCK_DELETE },

    { NGX_LYFTR_SQL_GRAM,
      NGX_LYFTR_SQL_GRAMS,
      NGX_LYFTR_SQL_GRAM_ADD,
      NGX_LYFTR_SQL_GRAM_DELETE }
};


static ngx_int_t
ngx_lyftr_sqlite_block_read(void *holder, ngx_lyftr_blocks_e table, int64_t no,
    ngx_lyftr_buf_t *buf, ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = holder;

    ngx_int_t      rc;
    sqlite3_stmt  *st;

    st = c->stmt[ngx_lyftr_sqlite_blocks[table].read];

    (void) sqlite3_bind_int64(st, 1, no);

    switch (sqlite3_step(st)) {

    case SQLITE_ROW:
        buf->len = 0;
        rc = ngx_lyftr_buf_add(buf, sqlite3_column_blob(st, 0),
                               sqlite3_column_bytes(st, 0));

        if (rc != NGX_OK) {
            (void) ngx_lyftr_index_memory(err);
        }

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
ngx_lyftr_sqlite_block_scan(void *holder, ngx_lyftr_blocks_e table, int64_t no,
    ngx_lyftr_block_pt fn, void *data, ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = holder;

    int            step;
    u_char        *p;
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    rc = NGX_OK;
    st = c->stmt[ngx_lyftr_sqlite_blocks[table].scan];

    (void) sqlite3_bind_int64(st, 1, no);

    while (rc == NGX_OK && (step = sqlite3_step(st)) != SQLITE_DONE) {

        if (step != SQLITE_ROW) {
            rc = ngx_lyftr_sqlite_error(c, err);
            break;
        }

        p = (u_char *) sqlite3_column_blob(st, 1);

        rc = fn(data, sqlite3_column_int64(st, 0), p,
                sqlite3_column_bytes(st, 1), err);
    }

    (void) sqlite3_reset(st);

    return rc;
}


static ngx_int_t
ngx_lyftr_sqlite_block_put(void *holder, ngx_lyftr_blocks_e table, int64_t no,
    u_char *p, size_t len, ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = holder;

    sqlite3_stmt  *st;

    st = c->stmt[ngx_lyftr_sqlite_blocks[table].add];

    (void) sqlite3_bind_int64(st, 1, no);
    (void) sqlite3_bind_blob64(st, 2, p, len, SQLITE_STATIC);

    return ngx_lyftr_sqlite_run(c, st, err);
}


static ngx_int_t
ngx_lyftr_sqlite_block_remove(void *holder, ngx_lyftr_blocks_e table,
    int64_t from, int64_t to, ngx_uint_t max, ngx_uint_t *n,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = holder;

    sqlite3_stmt  *st;

    st = c->stmt[ngx_lyftr_sqlite_blocks[table].remove];

    (void) sqlite3_bind_int64(st, 1, from);
    (void) sqlite3_bind_int64(st, 2, to);
    (void) sqlite3_bind_int64(st, 3, max);

    if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
        return NGX_ERROR;
    }

    *n = sqlite3_changes(c->db);

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_sqlite_rows(void *holder, ngx_lyftr_rows_e what, int64_t after,
    int64_t to, ngx_lyftr_index_row_pt fn, void *data, ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = holder;

    int               step;
    ngx_int_t         rc;
    sqlite3_stmt     *st;
    ngx_lyftr_row_t   row;

    static ngx_lyftr_sql_e  statements[] = {
        NGX_LYFTR_SQL_RECENT,
        NGX_LYFTR_SQL_ROWS,
        NGX_LYFTR_SQL_TEXTS
    };

    rc = NGX_OK;
    st = c->stmt[statements[what]];

    (void) sqlite3_bind_int64(st, 1, after);
    (void) sqlite3_bind_int64(st, 2, to);

    while (rc == NGX_OK && (step = sqlite3_step(st)) != SQLITE_DONE) {

        if (step != SQLITE_ROW) {
            rc = ngx_lyftr_sqlite_error(c, err);
            break;
        }

        if (what == NGX_LYFTR_ROWS_BODIES) {
            row.seq = sqlite3_column_int64(st, 0);
            ngx_lyftr_sqlite_column(st, 1, &row.body);

        } else {
            ngx_lyftr_sqlite_row(st, &row);
        }

        if (what == NGX_LYFTR_ROWS_SUMS) {
            row.sum = ngx_lyftr_sqlite_row_sum(st);
        }

        rc = fn(data, &row, err);
    }

    (void) sqlite3_reset(st);

    return rc;
}

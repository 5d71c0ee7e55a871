#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite.h>


/*
 * The table lyftr_given: numbers of rows, as a column, in the order that they
 * were put there.  One statement that joins it with the log reads many rows,
 * which one for each row does in nearly twice the time.
 */

typedef struct {
    sqlite3_vtab               table;
    ngx_lyftr_sqlite_given_t  *given;
} ngx_lyftr_given_table_t;


typedef struct {
    sqlite3_vtab_cursor        cursor;
    ngx_lyftr_sqlite_given_t  *given;
    ngx_uint_t                 i;
} ngx_lyftr_given_cursor_t;


static int ngx_lyftr_given_connect(sqlite3 *db, void *data, int argc,
    const char *const *argv, sqlite3_vtab **table, char **err);
static int ngx_lyftr_given_disconnect(sqlite3_vtab *table);
static int ngx_lyftr_given_plan(sqlite3_vtab *table, sqlite3_index_info *info);
static int ngx_lyftr_given_open(sqlite3_vtab *table,
    sqlite3_vtab_cursor **cursor);
static int ngx_lyftr_given_close(sqlite3_vtab_cursor *cursor);
static int ngx_lyftr_given_first(sqlite3_vtab_cursor *cursor, int number,
    const char *name, int argc, sqlite3_value **argv);
static int ngx_lyftr_given_next(sqlite3_vtab_cursor *cursor);
static int ngx_lyftr_given_eof(sqlite3_vtab_cursor *cursor);
static int ngx_lyftr_given_column(sqlite3_vtab_cursor *cursor,
    sqlite3_context *context, int n);
static int ngx_lyftr_given_rowid(sqlite3_vtab_cursor *cursor,
    sqlite3_int64 *rowid);


/* without xCreate it is there, and cannot be made */

static sqlite3_module  ngx_lyftr_given_module = {
    .xConnect = ngx_lyftr_given_connect,
    .xBestIndex = ngx_lyftr_given_plan,
    .xDisconnect = ngx_lyftr_given_disconnect,
    .xOpen = ngx_lyftr_given_open,
    .xClose = ngx_lyftr_given_close,
    .xFilter = ngx_lyftr_given_first,
    .xNext = ngx_lyftr_given_next,
    .xEof = ngx_lyftr_given_eof,
    .xColumn = ngx_lyftr_given_column,
    .xRowid = ngx_lyftr_given_rowid
};


ngx_int_t
ngx_lyftr_sqlite_given(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    return sqlite3_create_module(c->db, "lyftr_given", &ngx_lyftr_given_module,
                                 &c->given)
           == SQLITE_OK ? NGX_OK : ngx_lyftr_sqlite_error(c, err);
}


static int
ngx_lyftr_given_connect(sqlite3 *db, void *data, int argc,
    const char *const *argv, sqlite3_vtab **table, char **err)
{
    ngx_lyftr_given_table_t  *t;

    t = sqlite3_malloc(sizeof(ngx_lyftr_given_table_t));
    if (t == NULL) {
        return SQLITE_NOMEM;
    }

    ngx_memzero(t, sizeof(ngx_lyftr_given_table_t));

    t->given = data;
    *table = &t->table;

    return sqlite3_declare_vtab(db, "CREATE TABLE given (seq INTEGER)");
}


static int
ngx_lyftr_given_disconnect(sqlite3_vtab *table)
{
    sqlite3_free(table);

    return SQLITE_OK;
}


static int
ngx_lyftr_given_plan(sqlite3_vtab *table, sqlite3_index_info *info)
{
    info->estimatedCost = NGX_LYFTR_GIVEN;

    return SQLITE_OK;
}


static int
ngx_lyftr_given_open(sqlite3_vtab *table, sqlite3_vtab_cursor **cursor)
{
    ngx_lyftr_given_cursor_t  *at;

    at = sqlite3_malloc(sizeof(ngx_lyftr_given_cursor_t));
    if (at == NULL) {
        return SQLITE_NOMEM;
    }

    ngx_memzero(at, sizeof(ngx_lyftr_given_cursor_t));

    at->given = ((ngx_lyftr_given_table_t *) table)->given;
    *cursor = &at->cursor;

    return SQLITE_OK;
}


static int
ngx_lyftr_given_close(sqlite3_vtab_cursor *cursor)
{
    sqlite3_free(cursor);

    return SQLITE_OK;
}


static int
ngx_lyftr_given_first(sqlite3_vtab_cursor *cursor, int number,
    const char *name, int argc, sqlite3_value **argv)
{
    ((ngx_lyftr_given_cursor_t *) cursor)->i = 0;

    return SQLITE_OK;
}


static int
ngx_lyftr_given_next(sqlite3_vtab_cursor *cursor)
{
    ((ngx_lyftr_given_cursor_t *) cursor)->i++;

    return SQLITE_OK;
}


static int
ngx_lyftr_given_eof(sqlite3_vtab_cursor *cursor)
{
    ngx_lyftr_given_cursor_t  *at;

    at = (ngx_lyftr_given_cursor_t *) cursor;

    return at->i >= at->given->n;
}


static int
ngx_lyftr_given_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context,
    int n)
{
    ngx_lyftr_given_cursor_t  *at;

    at = (ngx_lyftr_given_cursor_t *) cursor;

    sqlite3_result_int64(context, at->given->seq[at->i]);

    return SQLITE_OK;
}


static int
ngx_lyftr_given_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *rowid)
{
    *rowid = (sqlite3_int64) ((ngx_lyftr_given_cursor_t *) cursor)->i;

    return SQLITE_OK;
}

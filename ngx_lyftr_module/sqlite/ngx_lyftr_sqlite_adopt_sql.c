#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_setup.h>


/* How another's table of messages is to be read, and beforehand, if it can. */


/* bytes of pages: what is copied is passed once, and the filters need memory */
#define NGX_LYFTR_ADOPT_CACHE      (2 * 1024 * 1024)


static ngx_int_t ngx_lyftr_adopt_text(ngx_lyftr_sqlite_t *c, const char *sql,
    char **text, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_adopt_drop(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static void ngx_lyftr_adopt_cache(ngx_lyftr_sqlite_t *c, ngx_int_t bytes);
static ngx_int_t ngx_lyftr_adopt_keys(ngx_lyftr_sqlite_t *c,
    ngx_uint_t *rowid, char **keys, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_adopt_statements(ngx_lyftr_sqlite_t *c,
    const char *keys, const char *names, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_adopt_range(ngx_lyftr_sqlite_t *c, ngx_uint_t rowid,
    const char *keys, ngx_lyftr_error_t *err);


/* SQL that gives SQL: the columns of the key, and names for them */

static const char  ngx_lyftr_adopt_wr[] =
    "SELECT count(*) FROM pragma_table_list WHERE schema = 'main'"
    " AND lower(name) = 'messages' AND wr";

static const char  ngx_lyftr_adopt_wr_keys[] =
    "SELECT group_concat('\"' || replace(name, '\"', '\"\"') || '\"', ', ')"
    " FROM (SELECT name FROM pragma_table_info('messages') WHERE pk"
    " ORDER BY pk)";

static const char  ngx_lyftr_adopt_wr_names[] =
    "SELECT group_concat('k' || pk, ', ')"
    " FROM (SELECT pk FROM pragma_table_info('messages') WHERE pk"
    " ORDER BY pk)";

static const char  ngx_lyftr_adopt_rowid[] =
    "SELECT column1 FROM (VALUES ('_rowid_'), ('rowid'), ('oid'))"
    " WHERE column1 NOT IN"
    " (SELECT lower(name) FROM pragma_table_xinfo('messages'))";

static const char  ngx_lyftr_adopt_created[] =
    "SELECT ifnull((SELECT 'created_at' FROM pragma_table_xinfo('messages')"
    " WHERE lower(name) = 'created_at'), 'NULL')";

static const char  ngx_lyftr_adopt_ours[] =
    "SELECT group_concat('DROP TABLE \"' || name || '\"', ';')"
    " FROM sqlite_master WHERE type = 'table'"
    " AND name LIKE 'lyftr\\_%' ESCAPE '\\'";


/* the arguments: what is created_at, a condition, and the keys */

static const char  ngx_lyftr_adopt_select[] =
    "SELECT CAST(message_id AS TEXT), ifnull(CAST(from_msisdn AS TEXT), ''),"
    " ifnull(CAST(to_msisdn AS TEXT), ''), ifnull(CAST(ts AS TEXT), ''),"
    " CAST(text AS TEXT), CAST(%s AS TEXT)"
    " FROM messages%s ORDER BY %s LIMIT ?1";

/* names of the keys, the keys, a condition, and the keys */

static const char  ngx_lyftr_adopt_update[] =
    "UPDATE lyftr_adopt SET (passed, repeated, nameless, large, %s) ="
    " (SELECT ?1, ?2, ?3, ?4, %s FROM messages%s ORDER BY %s"
    " LIMIT 1 OFFSET ?5)";


/* that before the first one which took it down is of version 3 */

ngx_int_t
ngx_lyftr_sqlite_adopt_version(ngx_lyftr_sqlite_t *c, int64_t *version,
    ngx_lyftr_error_t *err)
{
    int64_t  tables, columns;

    *version = 0;

    if (ngx_lyftr_sqlite_get(c, "SELECT count(*) FROM sqlite_master"
                                " WHERE name = 'lyftr_adopt'", &tables, err)
        != NGX_OK
        || ngx_lyftr_sqlite_get(c, "SELECT count(*) FROM"
                                   " pragma_table_info('lyftr_adopt')"
                                   " WHERE name = 'version'", &columns, err)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (tables == 0 || columns == 0) {
        *version = tables ? 3 : 0;
        return NGX_OK;
    }

    return ngx_lyftr_sqlite_get(c, "SELECT version FROM lyftr_adopt", version,
                                err);
}


/*
 * Only trees that are broken count: that a row does not meet a constraint of
 * its table is no fault of ours.
 */

ngx_int_t
ngx_lyftr_sqlite_adopt_sound(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int            rc;
    u_char        *text;
    int64_t        version;
    ngx_uint_t     damaged;
    sqlite3_stmt  *st;

    if (ngx_lyftr_sqlite_adopt_version(c, &version, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (version) {
        return NGX_OK;
    }

    if (sqlite3_prepare_v2(c->db, "PRAGMA quick_check(1)", -1, &st, NULL)
        != SQLITE_OK)
    {
        return ngx_lyftr_sqlite_error(c, err);
    }

    damaged = 0;

    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        text = (u_char *) sqlite3_column_text(st, 0);

        damaged |= (text == NULL || ngx_strncmp(text, "***", 3) == 0);
    }

    if (rc != SQLITE_DONE) {
        (void) ngx_lyftr_sqlite_error(c, err);

    } else if (damaged) {
        (void) ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_CORRUPT,
                                     "database disk image is malformed (11)");
    }

    (void) sqlite3_finalize(st);

    return (rc == SQLITE_DONE && !damaged) ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_lyftr_sqlite_adopt_begin(ngx_lyftr_sqlite_t *c, const char *tables,
    ngx_lyftr_error_t *err)
{
    char        *sql, *keys, *columns;
    int64_t      version;
    ngx_int_t    rc;
    ngx_uint_t   rowid;

    if (ngx_lyftr_sqlite_adopt_version(c, &version, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (version == NGX_LYFTR_SQLITE_VERSION) {
        return NGX_OK;
    }

    if ((version && ngx_lyftr_adopt_drop(c, err) != NGX_OK)
        || ngx_lyftr_sqlite_exec(c, tables, err) != NGX_OK
        || ngx_lyftr_adopt_keys(c, &rowid, &keys, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = NGX_OK;
    columns = NULL;

    if (!rowid) {
        rc = ngx_lyftr_adopt_text(c, ngx_lyftr_adopt_wr_names, &columns, err);
    }

    if (rc == NGX_OK) {
        sql = sqlite3_mprintf("CREATE TABLE lyftr_adopt (version, passed,"
                              " repeated, nameless, large, %s);"
                              "INSERT INTO lyftr_adopt (version, passed,"
                              " repeated, nameless, large)"
                              " VALUES (%d, 0, 0, 0, 0)",
                              rowid ? "k1" : columns,
                              NGX_LYFTR_SQLITE_VERSION);

        rc = sql ? ngx_lyftr_sqlite_exec(c, sql, err)
                 : ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                         "no memory");
        sqlite3_free(sql);
    }

    sqlite3_free(keys);
    sqlite3_free(columns);

    return rc;
}


/* ours alone: the old table is there, and has all that they have */

static ngx_int_t
ngx_lyftr_adopt_drop(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    char       *sql;
    ngx_int_t   rc;

    if (ngx_lyftr_adopt_text(c, ngx_lyftr_adopt_ours, &sql, err) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_lyftr_sqlite_exec(c, sql, err);

    sqlite3_free(sql);

    return rc;
}


ngx_int_t
ngx_lyftr_sqlite_adopt_open(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    char        *keys, *names;
    ngx_int_t    rc;
    ngx_uint_t   rowid;

    c->adopt = sqlite3_malloc(sizeof(ngx_lyftr_adopt_t));
    if (c->adopt == NULL) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    ngx_memzero(c->adopt, sizeof(ngx_lyftr_adopt_t));

    ngx_lyftr_adopt_cache(c, ngx_min(c->dsn->cache, NGX_LYFTR_ADOPT_CACHE));

    if (ngx_lyftr_adopt_keys(c, &rowid, &keys, err) != NGX_OK) {
        return NGX_ERROR;
    }

    names = NULL;

    rc = rowid ? NGX_OK
               : ngx_lyftr_adopt_text(c, ngx_lyftr_adopt_wr_names, &names,
                                      err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_adopt_statements(c, keys, rowid ? "k1" : names, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_adopt_range(c, rowid, keys, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_adopt_state(c, err);
    }

    sqlite3_free(keys);
    sqlite3_free(names);

    return rc;
}


ngx_int_t
ngx_lyftr_sqlite_adopt_state(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_int_t           rc;
    sqlite3_stmt       *st;
    ngx_lyftr_adopt_t  *adopt;

    adopt = c->adopt;

    if (sqlite3_prepare_v2(c->db, "SELECT passed, repeated, nameless, large,"
                                  " k1 FROM lyftr_adopt", -1, &st, NULL)
        != SQLITE_OK
        || sqlite3_step(st) != SQLITE_ROW)
    {
        rc = ngx_lyftr_sqlite_error(c, err);

    } else {
        rc = NGX_OK;

        adopt->passed = sqlite3_column_int64(st, 0);
        adopt->repeated = sqlite3_column_int64(st, 1);
        adopt->nameless = sqlite3_column_int64(st, 2);
        adopt->large = sqlite3_column_int64(st, 3);
        adopt->place = sqlite3_column_double(st, 4);
    }

    (void) sqlite3_finalize(st);

    return rc;
}


void
ngx_lyftr_sqlite_adopt_free(ngx_lyftr_sqlite_t *c)
{
    if (c->adopt == NULL) {
        return;
    }

    sqlite3_free(c->adopt->first);
    sqlite3_free(c->adopt->next);
    sqlite3_free(c->adopt->first_to);
    sqlite3_free(c->adopt->next_to);
    sqlite3_free(c->adopt);

    c->adopt = NULL;

    ngx_lyftr_adopt_cache(c, c->dsn->cache);
}


static void
ngx_lyftr_adopt_cache(ngx_lyftr_sqlite_t *c, ngx_int_t bytes)
{
    char  sql[64];

    (void) snprintf(sql, sizeof(sql), "PRAGMA cache_size = -%lld",
                    (long long) (bytes / 1024));

    (void) sqlite3_exec(c->db, sql, NULL, NULL, NULL);
}


/* the text in the first row, to be freed */

static ngx_int_t
ngx_lyftr_adopt_text(ngx_lyftr_sqlite_t *c, const char *sql, char **text,
    ngx_lyftr_error_t *err)
{
    int            rc;
    u_char        *p;
    sqlite3_stmt  *st;

    if (sqlite3_prepare_v2(c->db, sql, -1, &st, NULL) != SQLITE_OK) {
        return ngx_lyftr_sqlite_error(c, err);
    }

    rc = sqlite3_step(st);

    if (rc == SQLITE_ROW) {
        p = (u_char *) sqlite3_column_text(st, 0);
        *text = p ? sqlite3_mprintf("%s", p) : NULL;

        if (*text == NULL) {
            (void) ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                         "no memory");
        }

    } else if (rc == SQLITE_DONE) {
        *text = NULL;
        (void) ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_SCHEMA,
                                     "the rows of messages have no names");

    } else {
        *text = NULL;
        (void) ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_finalize(st);

    return *text ? NGX_OK : NGX_ERROR;
}


/* what the rows are in the order of: the first row with an id is the oldest */

static ngx_int_t
ngx_lyftr_adopt_keys(ngx_lyftr_sqlite_t *c, ngx_uint_t *rowid, char **keys,
    ngx_lyftr_error_t *err)
{
    int64_t  wr;

    if (ngx_lyftr_sqlite_get(c, ngx_lyftr_adopt_wr, &wr, err) != NGX_OK) {
        return NGX_ERROR;
    }

    *rowid = (wr == 0);

    return ngx_lyftr_adopt_text(c, wr ? ngx_lyftr_adopt_wr_keys
                                      : ngx_lyftr_adopt_rowid, keys, err);
}


static ngx_int_t
ngx_lyftr_adopt_statements(ngx_lyftr_sqlite_t *c, const char *keys,
    const char *names, ngx_lyftr_error_t *err)
{
    char               *created, *after;
    ngx_lyftr_adopt_t  *adopt;

    adopt = c->adopt;

    if (ngx_lyftr_adopt_text(c, ngx_lyftr_adopt_created, &created, err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    after = sqlite3_mprintf(" WHERE (%s) > (SELECT %s FROM lyftr_adopt)",
                            keys, names);

    if (after) {
        adopt->first = sqlite3_mprintf(ngx_lyftr_adopt_select, created, "",
                                       keys);
        adopt->next = sqlite3_mprintf(ngx_lyftr_adopt_select, created, after,
                                      keys);
        adopt->first_to = sqlite3_mprintf(ngx_lyftr_adopt_update, names, keys,
                                          "", keys);
        adopt->next_to = sqlite3_mprintf(ngx_lyftr_adopt_update, names, keys,
                                         after, keys);
    }

    sqlite3_free(created);
    sqlite3_free(after);

    return (adopt->first && adopt->next && adopt->first_to && adopt->next_to)
           ? NGX_OK
           : ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
}


/* for the share that is done: by the numbers of the rows, or how many */

static ngx_int_t
ngx_lyftr_adopt_range(ngx_lyftr_sqlite_t *c, ngx_uint_t rowid,
    const char *keys, ngx_lyftr_error_t *err)
{
    char       *sql;
    int64_t     n;
    ngx_int_t   rc;

    n = 0;

    if (!rowid) {
        rc = ngx_lyftr_sqlite_get(c, "SELECT count(*) FROM messages", &n, err);
        c->adopt->high = (double) n;
        return rc;
    }

    sql = sqlite3_mprintf("SELECT ifnull(min(%s), 0) FROM messages", keys);

    rc = sql ? ngx_lyftr_sqlite_get(c, sql, &n, err)
             : ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");

    sqlite3_free(sql);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    c->adopt->low = (double) n;

    sql = sqlite3_mprintf("SELECT ifnull(max(%s), 0) FROM messages", keys);

    rc = sql ? ngx_lyftr_sqlite_get(c, sql, &n, err)
             : ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");

    sqlite3_free(sql);

    c->adopt->high = (double) n;

    return rc;
}

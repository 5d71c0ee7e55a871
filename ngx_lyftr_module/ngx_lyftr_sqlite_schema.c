#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite.h>
#include <ngx_lyftr_text.h>


#define NGX_LYFTR_SQLITE_APP       0x4c594652  /* LYFR */
#define NGX_LYFTR_SQLITE_VERSION   3


static void ngx_lyftr_sqlite_hash_sql(sqlite3_context *ctx, int n,
    sqlite3_value **v);
static void ngx_lyftr_sqlite_instant_sql(sqlite3_context *ctx, int n,
    sqlite3_value **v);
static ngx_int_t ngx_lyftr_sqlite_check_app(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_check_other(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_is_wal(ngx_lyftr_sqlite_t *c,
    const char *sql, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_adopt(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_exec(ngx_lyftr_sqlite_t *c, const char *sql,
    ngx_lyftr_error_t *err);


typedef struct {
    const char          *name;
    int                  args;
    void               (*func)(sqlite3_context *, int, sqlite3_value **);
} ngx_lyftr_sqlite_func_t;


static ngx_lyftr_sqlite_func_t  ngx_lyftr_sqlite_funcs[] = {
    { "lyftr_hash", 1, ngx_lyftr_sqlite_hash_sql },
    { "lyftr_instant", 1, ngx_lyftr_sqlite_instant_sql },
    { NULL, 0, NULL }
};


/*
 * instant is a blob, or the text of a ts that is not in our form: SQLite sorts
 * text before blobs.  The small columns are before text, which may be long.
 * The sums are null where version 2 made what they are of.
 */

#define NGX_LYFTR_SQLITE_INDEXES                                              \
    "CREATE TABLE lyftr_segment ("                                            \
    " id INTEGER PRIMARY KEY,"                                                \
    " level INTEGER NOT NULL,"                                                \
    " first INTEGER NOT NULL,"                                                \
    " last INTEGER NOT NULL,"                                                 \
    " rows INTEGER NOT NULL,"                                                 \
    " id_height INTEGER NOT NULL,"                                            \
    " time_height INTEGER NOT NULL,"                                          \
    " sender_height INTEGER NOT NULL,"                                        \
    " sum INTEGER,"                                                           \
    " ties INTEGER NOT NULL DEFAULT 0);"                                      \
                                                                              \
    "CREATE TABLE lyftr_block ("                                              \
    " no INTEGER PRIMARY KEY,"                                                \
    " data BLOB NOT NULL);"                                                   \
                                                                              \
    "CREATE TABLE lyftr_count ("                                              \
    " from_msisdn TEXT PRIMARY KEY,"                                          \
    " count INTEGER NOT NULL,"                                                \
    " last INTEGER NOT NULL) WITHOUT ROWID;"                                  \
                                                                              \
    "CREATE TABLE lyftr_top ("                                                \
    " from_msisdn TEXT PRIMARY KEY,"                                          \
    " count INTEGER NOT NULL) WITHOUT ROWID;"                                 \
                                                                              \
    "CREATE TABLE lyftr_state ("                                              \
    " id INTEGER PRIMARY KEY CHECK (id = 1),"                                 \
    " generation INTEGER NOT NULL DEFAULT 1,"                                 \
    " indexed INTEGER NOT NULL DEFAULT 0,"                                    \
    " counted INTEGER NOT NULL DEFAULT 0,"                                    \
    " counting INTEGER NOT NULL DEFAULT 0,"                                   \
    " senders INTEGER NOT NULL DEFAULT 0,"                                    \
    " next INTEGER NOT NULL DEFAULT 1,"                                       \
    " damaged INTEGER NOT NULL DEFAULT 0,"                                    \
    " rebuild INTEGER NOT NULL DEFAULT 0);"                                   \
                                                                              \
    "CREATE TABLE lyftr_search ("                                             \
    " id INTEGER PRIMARY KEY,"                                                \
    " level INTEGER NOT NULL,"                                                \
    " first INTEGER NOT NULL,"                                                \
    " last INTEGER NOT NULL,"                                                 \
    " sum INTEGER);"                                                          \
                                                                              \
    "CREATE TABLE lyftr_gram ("                                               \
    " no INTEGER PRIMARY KEY,"                                                \
    " data BLOB NOT NULL);"                                                   \
                                                                              \
    "CREATE TABLE lyftr_probe ("                                              \
    " id INTEGER PRIMARY KEY CHECK (id = 1),"                                 \
    " touched INTEGER NOT NULL DEFAULT 0,"                                    \
    " data BLOB);"                                                            \
                                                                              \
    "INSERT INTO lyftr_state (id) VALUES (1);"                                \
    "INSERT INTO lyftr_probe (id) VALUES (1);"


static const char  ngx_lyftr_sqlite_tables[] =
    "CREATE TABLE lyftr_message ("
    " seq INTEGER PRIMARY KEY,"
    " id_hash INTEGER NOT NULL,"
    " instant NOT NULL,"
    " message_id TEXT NOT NULL,"
    " from_msisdn TEXT NOT NULL,"
    " to_msisdn TEXT NOT NULL,"
    " ts TEXT NOT NULL,"
    " created_at TEXT,"
    " text TEXT);"

    NGX_LYFTR_SQLITE_INDEXES

    "CREATE VIEW messages AS SELECT"
    " message_id, from_msisdn, to_msisdn, ts, text, created_at"
    " FROM lyftr_message;";


static const char  ngx_lyftr_sqlite_mark[] =
    "PRAGMA application_id = 0x4c594652;"
    "PRAGMA user_version = 3;";


/* the log of version 1 is that of this one, as are the segments of version 2 */

static const char  ngx_lyftr_sqlite_version_1[] =
    "DROP TABLE lyftr_id;"
    "DROP TABLE lyftr_time;"
    "DROP TABLE lyftr_sender;"
    "DROP TABLE lyftr_count;"
    "DROP TABLE lyftr_state;"
    NGX_LYFTR_SQLITE_INDEXES
    "PRAGMA user_version = 3;";


static const char  ngx_lyftr_sqlite_version_2[] =
    "ALTER TABLE lyftr_segment ADD COLUMN sum INTEGER;"
    "ALTER TABLE lyftr_segment ADD COLUMN ties INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE lyftr_search ADD COLUMN sum INTEGER;"
    "ALTER TABLE lyftr_state ADD COLUMN damaged INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE lyftr_state ADD COLUMN rebuild INTEGER NOT NULL DEFAULT 0;"
    "PRAGMA user_version = 3;";


/* what brings each version, from 1 on, to this one */

static const char  *ngx_lyftr_sqlite_migrations[] = {
    ngx_lyftr_sqlite_version_1,
    ngx_lyftr_sqlite_version_2
};


/* the arguments: created_at or NULL, and the order of the rows */

static const char  ngx_lyftr_sqlite_copy[] =
    "INSERT INTO lyftr_message (id_hash, instant, message_id,"
    " from_msisdn, to_msisdn, ts, created_at, text)"
    " SELECT lyftr_hash(i), lyftr_instant(s), i, f, t, s, c, x FROM"
    " (SELECT CAST(message_id AS TEXT) AS i,"
    " ifnull(CAST(from_msisdn AS TEXT), '') AS f,"
    " ifnull(CAST(to_msisdn AS TEXT), '') AS t,"
    " ifnull(CAST(ts AS TEXT), '') AS s,"
    " CAST(%s AS TEXT) AS c,"
    " CAST(text AS TEXT) AS x"
    " FROM messages_adopted WHERE message_id IS NOT NULL%s)";


static const char  ngx_lyftr_sqlite_unify[] =
    "DELETE FROM lyftr_message WHERE seq NOT IN"
    " (SELECT min(seq) FROM lyftr_message GROUP BY message_id)";


int
ngx_lyftr_sqlite_functions(sqlite3 *db)
{
    int                       rc;
    ngx_lyftr_sqlite_func_t  *f;

    for (f = ngx_lyftr_sqlite_funcs; f->name; f++) {
        rc = sqlite3_create_function(db, f->name, f->args,
                                     SQLITE_UTF8|SQLITE_DETERMINISTIC
                                     |SQLITE_DIRECTONLY,
                                     NULL, f->func, NULL, NULL);

        if (rc != SQLITE_OK) {
            return rc;
        }
    }

    return SQLITE_OK;
}


static void
ngx_lyftr_sqlite_hash_sql(sqlite3_context *ctx, int n, sqlite3_value **v)
{
    u_char  *p;

    p = (u_char *) sqlite3_value_text(v[0]);

    sqlite3_result_int64(ctx, (int64_t)
                         ngx_lyftr_sqlite_hash(p, sqlite3_value_bytes(v[0])));
}


static void
ngx_lyftr_sqlite_instant_sql(sqlite3_context *ctx, int n, sqlite3_value **v)
{
    u_char               *p;
    ngx_lyftr_instant_t   t;

    p = (u_char *) sqlite3_value_text(v[0]);

    if (p == NULL
        || ngx_lyftr_instant_parse(p, sqlite3_value_bytes(v[0]), &t) != NGX_OK)
    {
        sqlite3_result_value(ctx, v[0]);
        return;
    }

    sqlite3_result_blob(ctx, t.data, t.len, SQLITE_TRANSIENT);
}


/* of a text and a folded needle; null never contains */

/* in one snapshot: another process may be creating it just now */

ngx_int_t
ngx_lyftr_sqlite_check(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (ngx_lyftr_sqlite_exec(c, "BEGIN", err) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_lyftr_sqlite_check_app(c, err);

    (void) sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);

    return rc;
}


static ngx_int_t
ngx_lyftr_sqlite_check_app(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int64_t  app, version;

    if (ngx_lyftr_sqlite_get(c, "PRAGMA application_id", &app, err) != NGX_OK
        || ngx_lyftr_sqlite_get(c, "PRAGMA user_version", &version, err)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (app == 0) {
        return ngx_lyftr_sqlite_check_other(c, err);
    }

    if (app != NGX_LYFTR_SQLITE_APP) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_SCHEMA,
                                     "the database of another application");
    }

    if (version >= 1 && version < NGX_LYFTR_SQLITE_VERSION) {
        return NGX_DECLINED;
    }

    if (version != NGX_LYFTR_SQLITE_VERSION) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_SCHEMA,
                                     "the schema is %s: version %d, not %d",
                                     version > NGX_LYFTR_SQLITE_VERSION
                                     ? "newer" : "unknown", (int) version,
                                     NGX_LYFTR_SQLITE_VERSION);
    }

    return ngx_lyftr_sqlite_is_wal(c, "PRAGMA journal_mode", err);
}


/* a file that is empty, or that a service of the same contract wrote */

static ngx_int_t
ngx_lyftr_sqlite_check_other(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int64_t  objects, columns;

    if (ngx_lyftr_sqlite_get(c,
                             "SELECT count(*) FROM sqlite_master"
                             " WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
                             &objects, err)
        != NGX_OK
        || ngx_lyftr_sqlite_get(c,
                                "SELECT count(*) FROM sqlite_master AS s,"
                                " pragma_table_info(s.name) AS c"
                                " WHERE s.type = 'table'"
                                " AND lower(s.name) = 'messages'"
                                " AND lower(c.name) IN ('message_id',"
                                " 'from_msisdn', 'to_msisdn', 'ts', 'text')",
                                &columns, err)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (objects && columns != 5) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_SCHEMA,
                                     "not a database of messages");
    }

    return NGX_DECLINED;
}


/* the pragma silently keeps another mode where it cannot have this one */

static ngx_int_t
ngx_lyftr_sqlite_is_wal(ngx_lyftr_sqlite_t *c, const char *sql,
    ngx_lyftr_error_t *err)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    if (sqlite3_prepare_v2(c->db, sql, -1, &st, NULL) != SQLITE_OK
        || sqlite3_step(st) != SQLITE_ROW)
    {
        rc = ngx_lyftr_sqlite_error(c, err);

    } else {
        rc = sqlite3_stricmp((char *) sqlite3_column_text(st, 0), "wal") == 0
             ? NGX_OK : NGX_DECLINED;
    }

    (void) sqlite3_finalize(st);

    return rc;
}


ngx_int_t
ngx_lyftr_sqlite_setup(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int64_t    app, version, objects;
    ngx_int_t  rc;

    /* another process may have done it meanwhile */

    rc = ngx_lyftr_sqlite_check(c, err);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_lyftr_sqlite_is_wal(c, "PRAGMA journal_mode = WAL", err);

    if (rc == NGX_DECLINED) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_OPEN,
                                     "the file system cannot do WAL");
    }

    if (rc != NGX_OK
        || ngx_lyftr_sqlite_exec(c, "BEGIN IMMEDIATE", err) != NGX_OK
        || ngx_lyftr_sqlite_get(c, "PRAGMA application_id", &app, err)
           != NGX_OK
        || ngx_lyftr_sqlite_get(c,
                                "SELECT count(*) FROM sqlite_master"
                                " WHERE type = 'table'"
                                " AND lower(name) = 'messages'",
                                &objects, err)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (app != 0) {

        /* ours: of an older version, or only not in WAL mode any more */

        if (ngx_lyftr_sqlite_get(c, "PRAGMA user_version", &version, err)
            != NGX_OK
            || (version < NGX_LYFTR_SQLITE_VERSION
                && ngx_lyftr_sqlite_exec(c,
                                         ngx_lyftr_sqlite_migrations[version
                                                                     - 1],
                                         err)
                   != NGX_OK))
        {
            return NGX_ERROR;
        }

        return ngx_lyftr_sqlite_exec(c, "COMMIT", err);
    }

    if (objects) {
        rc = ngx_lyftr_sqlite_adopt(c, err);

    } else {
        rc = ngx_lyftr_sqlite_exec(c, ngx_lyftr_sqlite_tables, err);
    }

    if (rc != NGX_OK
        || ngx_lyftr_sqlite_exec(c, ngx_lyftr_sqlite_mark, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_lyftr_sqlite_exec(c, "COMMIT", err);
}


/* the old table stays as it is, under another name */

static ngx_int_t
ngx_lyftr_sqlite_adopt(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    char           *sql;
    int64_t         created;
    ngx_int_t       rc;
    const char     *order;
    sqlite3_stmt   *st;

    if (ngx_lyftr_sqlite_get(c,
                             "SELECT count(*) FROM"
                             " pragma_table_info('messages')"
                             " WHERE lower(name) = 'created_at'",
                             &created, err)
        != NGX_OK
        || ngx_lyftr_sqlite_exec(c,
                                 "ALTER TABLE messages"
                                 " RENAME TO messages_adopted", err)
           != NGX_OK
        || ngx_lyftr_sqlite_exec(c, ngx_lyftr_sqlite_tables, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* a table WITHOUT ROWID has no such column, and no repeated ids */

    order = sqlite3_prepare_v2(c->db, "SELECT _rowid_ FROM messages_adopted",
                               -1, &st, NULL)
            == SQLITE_OK ? " ORDER BY _rowid_" : "";

    (void) sqlite3_finalize(st);

    sql = sqlite3_mprintf(ngx_lyftr_sqlite_copy,
                          created ? "created_at" : "NULL", order);
    if (sql == NULL) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    rc = ngx_lyftr_sqlite_exec(c, sql, err);

    sqlite3_free(sql);

    return rc == NGX_OK ? ngx_lyftr_sqlite_exec(c, ngx_lyftr_sqlite_unify, err)
                        : NGX_ERROR;
}


static ngx_int_t
ngx_lyftr_sqlite_exec(ngx_lyftr_sqlite_t *c, const char *sql,
    ngx_lyftr_error_t *err)
{
    int  rc;

    rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);

    if (rc == SQLITE_ERROR) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_SCHEMA,
                                     "cannot set up the schema: %s",
                                     sqlite3_errmsg(c->db));
    }

    return rc == SQLITE_OK ? NGX_OK : ngx_lyftr_sqlite_error(c, err);
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_setup.h>


/* nanoseconds between two tries of what SQLite does not wait for */
#define NGX_LYFTR_SQLITE_RETRY     20000000


static ngx_int_t ngx_lyftr_sqlite_check_other(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_wrong(int64_t version,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_is_wal(ngx_lyftr_sqlite_t *c,
    const char *sql, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_inspect(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_set_wal(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_sqlite_change(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static ngx_uint_t ngx_lyftr_sqlite_dumped(ngx_lyftr_sqlite_t *c);
static sqlite3_stmt *ngx_lyftr_sqlite_columns(sqlite3 *db);


/* the counts of which something is to be taken off */

#define NGX_LYFTR_SQLITE_LESS                                                 \
    "CREATE INDEX lyftr_less ON lyftr_count (from_msisdn) WHERE less > 0;"


/*
 * instant is a blob, or the text of a ts that is not in our form: SQLite sorts
 * text before blobs.  The small columns are before text, which may be long.
 * The sums are null where version 2 made what they are of.  What few rows have
 * is apart, where nothing that reads the log comes by.
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
    " last INTEGER NOT NULL,"                                                 \
    " less INTEGER NOT NULL DEFAULT 0,"                                       \
    " step INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"                        \
                                                                              \
    NGX_LYFTR_SQLITE_LESS                                                     \
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
    " rebuild INTEGER NOT NULL DEFAULT 0,"                                    \
    " mark INTEGER NOT NULL DEFAULT 0,"                                       \
    " store INTEGER NOT NULL DEFAULT 0,"                                      \
    " floor INTEGER NOT NULL DEFAULT 0,"                                      \
    " step INTEGER NOT NULL DEFAULT 0,"                                       \
    " gone INTEGER NOT NULL DEFAULT 0,"                                       \
    " gone_bytes INTEGER NOT NULL DEFAULT 0,"                                 \
    " erase INTEGER NOT NULL DEFAULT 0,"                                      \
    " erasing INTEGER NOT NULL DEFAULT 0,"                                    \
    " deleted INTEGER NOT NULL DEFAULT 0,"                                    \
    " erased INTEGER NOT NULL DEFAULT 0,"                                     \
    " emptying INTEGER NOT NULL DEFAULT 0,"                                   \
    " tombs INTEGER NOT NULL DEFAULT 0,"                                      \
    " erase_key TEXT NOT NULL DEFAULT '');"                                   \
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
    "INSERT INTO lyftr_state (id, store) VALUES (1, random());"               \
    "INSERT INTO lyftr_probe (id) VALUES (1);"


/*
 * What is to be erased, and the rows that are, until nothing of them is left.
 * What remembers their ids afterwards is made with a key of the operator's.
 */

#define NGX_LYFTR_SQLITE_ERASE                                                \
    "CREATE TABLE lyftr_erase ("                                              \
    " id INTEGER PRIMARY KEY,"                                                \
    " kind INTEGER NOT NULL,"                                                 \
    " value TEXT NOT NULL,"                                                   \
    " state INTEGER NOT NULL DEFAULT 0,"                                      \
    " number INTEGER NOT NULL DEFAULT 0,"                                     \
    " upto INTEGER NOT NULL DEFAULT 0,"                                       \
    " rows INTEGER NOT NULL DEFAULT 0);"                                      \
                                                                              \
    "CREATE TABLE lyftr_erased ("                                             \
    " seq INTEGER PRIMARY KEY,"                                               \
    " number INTEGER NOT NULL,"                                               \
    " part INTEGER NOT NULL,"                                                 \
    " deleted INTEGER NOT NULL DEFAULT 0);"                                   \
                                                                              \
    "CREATE INDEX lyftr_listed ON lyftr_erased (seq)"                         \
    " WHERE part = 0 AND deleted = 0;"                                        \
                                                                              \
    "CREATE TABLE lyftr_tomb ("                                               \
    " no INTEGER PRIMARY KEY,"                                                \
    " mark INTEGER NOT NULL,"                                                 \
    " hash BLOB NOT NULL);"                                                   \
                                                                              \
    "CREATE INDEX lyftr_tomb_mark ON lyftr_tomb (mark);"


/* the place of the newest row is not given again when it leaves */

#define NGX_LYFTR_SQLITE_LEAVE                                                \
    "CREATE TRIGGER lyftr_leave AFTER DELETE ON lyftr_message"                \
    " WHEN NOT EXISTS (SELECT 1 FROM lyftr_message WHERE seq > old.seq)"      \
    " BEGIN UPDATE lyftr_state SET mark = max(mark, old.seq); END;"


#define NGX_LYFTR_SQLITE_EXTRA                                                \
    "CREATE TABLE lyftr_extra ("                                              \
    " seq INTEGER PRIMARY KEY,"                                               \
    " type TEXT,"                                                             \
    " raw TEXT,"                                                              \
    " sum INTEGER NOT NULL);"


#define NGX_LYFTR_SQLITE_VIEW                                                 \
    "CREATE VIEW messages AS SELECT"                                          \
    " message_id, from_msisdn, to_msisdn, ts, text, created_at, type, raw"    \
    " FROM lyftr_message LEFT JOIN lyftr_extra USING (seq)"                   \
    " WHERE seq > (SELECT floor FROM lyftr_state)"                            \
    " AND NOT EXISTS (SELECT 1 FROM lyftr_erased AS e"                        \
    " WHERE e.seq = lyftr_message.seq)"                                       \
    " AND NOT EXISTS (SELECT 1 FROM lyftr_erase WHERE kind = 1"               \
    " AND state > 0 AND value = from_msisdn"                                  \
    " AND upto >= lyftr_message.seq);"


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

    NGX_LYFTR_SQLITE_LEAVE
    NGX_LYFTR_SQLITE_EXTRA
    NGX_LYFTR_SQLITE_INDEXES
    NGX_LYFTR_SQLITE_ERASE;


/* with it the file is ours */

#define NGX_LYFTR_SQLITE_MINE                                                 \
    "PRAGMA application_id = 0x4c594652;"                                     \
    "PRAGMA user_version = 6;"

static const char  ngx_lyftr_sqlite_mine[] = NGX_LYFTR_SQLITE_MINE;

static const char  ngx_lyftr_sqlite_mark[] =
    NGX_LYFTR_SQLITE_VIEW
    NGX_LYFTR_SQLITE_MINE;


/* what is not in the tables that an older version has */

#define NGX_LYFTR_SQLITE_NEWER                                                \
    "DROP VIEW messages;"                                                     \
    NGX_LYFTR_SQLITE_EXTRA                                                    \
    NGX_LYFTR_SQLITE_VIEW


/* what version 5 lacks but the view, what version 4 does, and version 3 */

#define NGX_LYFTR_SQLITE_ERASES                                               \
    "ALTER TABLE lyftr_state ADD COLUMN erase INTEGER NOT NULL DEFAULT 0;"    \
    "ALTER TABLE lyftr_state ADD COLUMN erasing INTEGER NOT NULL DEFAULT 0;"  \
    "ALTER TABLE lyftr_state ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;"  \
    "ALTER TABLE lyftr_state ADD COLUMN erased INTEGER NOT NULL DEFAULT 0;"   \
    "ALTER TABLE lyftr_state ADD COLUMN emptying INTEGER NOT NULL DEFAULT 0;" \
    "ALTER TABLE lyftr_state ADD COLUMN tombs INTEGER NOT NULL DEFAULT 0;"    \
    "ALTER TABLE lyftr_state ADD COLUMN erase_key TEXT NOT NULL DEFAULT '';"  \
    NGX_LYFTR_SQLITE_ERASE                                                    \
    "PRAGMA user_version = 6;"

#define NGX_LYFTR_SQLITE_FLOOR                                                \
    "ALTER TABLE lyftr_state ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;"    \
    "ALTER TABLE lyftr_state ADD COLUMN step INTEGER NOT NULL DEFAULT 0;"     \
    "ALTER TABLE lyftr_state ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;"     \
    "ALTER TABLE lyftr_state ADD COLUMN gone_bytes INTEGER NOT NULL"          \
    " DEFAULT 0;"                                                             \
    "ALTER TABLE lyftr_count ADD COLUMN less INTEGER NOT NULL DEFAULT 0;"     \
    "ALTER TABLE lyftr_count ADD COLUMN step INTEGER NOT NULL DEFAULT 0;"     \
    NGX_LYFTR_SQLITE_LESS                                                     \
    NGX_LYFTR_SQLITE_ERASES

#define NGX_LYFTR_SQLITE_VERSION_3                                            \
    NGX_LYFTR_SQLITE_NEWER                                                    \
    NGX_LYFTR_SQLITE_LEAVE                                                    \
    "ALTER TABLE lyftr_state ADD COLUMN mark INTEGER NOT NULL DEFAULT 0;"     \
    "ALTER TABLE lyftr_state ADD COLUMN store INTEGER NOT NULL DEFAULT 0;"    \
    "UPDATE lyftr_state SET store = random();"                                \
    NGX_LYFTR_SQLITE_FLOOR


/* the log of version 1 is that of this one, as are the segments of version 2 */

static const char  ngx_lyftr_sqlite_version_1[] =
    "DROP TABLE lyftr_id;"
    "DROP TABLE lyftr_time;"
    "DROP TABLE lyftr_sender;"
    "DROP TABLE lyftr_count;"
    "DROP TABLE lyftr_state;"
    NGX_LYFTR_SQLITE_LEAVE
    NGX_LYFTR_SQLITE_INDEXES
    NGX_LYFTR_SQLITE_ERASE
    NGX_LYFTR_SQLITE_NEWER
    "PRAGMA user_version = 6;";


static const char  ngx_lyftr_sqlite_version_2[] =
    "ALTER TABLE lyftr_segment ADD COLUMN sum INTEGER;"
    "ALTER TABLE lyftr_segment ADD COLUMN ties INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE lyftr_search ADD COLUMN sum INTEGER;"
    "ALTER TABLE lyftr_state ADD COLUMN damaged INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE lyftr_state ADD COLUMN rebuild INTEGER NOT NULL DEFAULT 0;"
    NGX_LYFTR_SQLITE_VERSION_3;


/*
 * Workers of these may be at work, and go on with the connections that they
 * have.
 */

static const char  ngx_lyftr_sqlite_version_3[] =
    NGX_LYFTR_SQLITE_VERSION_3;

static const char  ngx_lyftr_sqlite_version_4[] =
    "DROP VIEW messages;"
    NGX_LYFTR_SQLITE_FLOOR
    NGX_LYFTR_SQLITE_VIEW;

static const char  ngx_lyftr_sqlite_version_5[] =
    "DROP VIEW messages;"
    NGX_LYFTR_SQLITE_ERASES
    NGX_LYFTR_SQLITE_VIEW;


/* what brings each version, from 1 on, to this one */

static const char  *ngx_lyftr_sqlite_migrations[] = {
    ngx_lyftr_sqlite_version_1,
    ngx_lyftr_sqlite_version_2,
    ngx_lyftr_sqlite_version_3,
    ngx_lyftr_sqlite_version_4,
    ngx_lyftr_sqlite_version_5
};


/* in one snapshot: another process may be creating it just now */

ngx_int_t
ngx_lyftr_sqlite_check(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (ngx_lyftr_sqlite_exec(c, "BEGIN", err) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_lyftr_sqlite_check_here(c, err);

    (void) sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);

    return rc;
}


ngx_int_t
ngx_lyftr_sqlite_check_here(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
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
        return ngx_lyftr_sqlite_wrong(version, err);
    }

    return ngx_lyftr_sqlite_is_wal(c, "PRAGMA journal_mode", err);
}


static ngx_int_t
ngx_lyftr_sqlite_wrong(int64_t version, ngx_lyftr_error_t *err)
{
    return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_SCHEMA,
                                 "the schema is %s: version %d, not %d",
                                 version > NGX_LYFTR_SQLITE_VERSION
                                 ? "newer" : "unknown", (int) version,
                                 NGX_LYFTR_SQLITE_VERSION);
}


/*
 * A file that is empty, or that a service of the same contract wrote.  One that
 * is half adopted knows which version has begun that: this one goes on with its
 * own and begins those of older ones anew, for the old table still has all
 * rows, and leaves those of newer ones to them.
 */

static ngx_int_t
ngx_lyftr_sqlite_check_other(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int64_t  objects, columns, version;

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

    if (objects == 0) {
        return NGX_DECLINED;
    }

    if (columns != 5 && ngx_lyftr_sqlite_dumped(c)) {
        return NGX_DECLINED;
    }

    if (columns != 5) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_SCHEMA,
                                     "not a database of messages");
    }

    if (ngx_lyftr_sqlite_adopt_version(c, &version, err) != NGX_OK) {
        return NGX_ERROR;
    }

    return version > NGX_LYFTR_SQLITE_VERSION
           ? ngx_lyftr_sqlite_wrong(version, err) : NGX_AGAIN;
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


/*
 * What a set-up would come to, before anything is written: a file that is
 * refused stays as it is.
 */

ngx_int_t
ngx_lyftr_sqlite_rehearse(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (ngx_lyftr_sqlite_exec(c, "BEGIN", err) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_lyftr_sqlite_inspect(c, err);

    (void) sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);

    if (rc == NGX_OK || rc == NGX_ERROR) {
        return rc;
    }

    (void) sqlite3_busy_timeout(c->db, (int) ngx_lyftr_flock_left(deadline));

    rc = ngx_lyftr_sqlite_change(c, err);

    if (rc == NGX_AGAIN) {
        rc = ngx_lyftr_sqlite_adopted(c, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_prepare(c, err);
    }

    (void) sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);

    return rc;
}


/* in one snapshot; NGX_OK: there is no more to be known */

static ngx_int_t
ngx_lyftr_sqlite_inspect(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int64_t    pages;
    ngx_int_t  rc, wal;

    rc = ngx_lyftr_sqlite_check_here(c, err);

    if (rc == NGX_OK || rc == NGX_ERROR) {
        return rc;
    }

    wal = ngx_lyftr_sqlite_is_wal(c, "PRAGMA journal_mode", err);

    if (wal == NGX_ERROR
        || ngx_lyftr_sqlite_get(c, "PRAGMA page_count", &pages, err) != NGX_OK
        || (rc == NGX_AGAIN
            && ngx_lyftr_sqlite_adopt_sound(c, err) != NGX_OK))
    {
        return NGX_ERROR;
    }

    /* in WAL mode the one transaction that fails changes nothing either */

    return (pages == 0 || (rc == NGX_DECLINED && wal == NGX_OK)) ? NGX_OK : rc;
}


ngx_int_t
ngx_lyftr_sqlite_setup(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    /* another process may have done it meanwhile */

    rc = ngx_lyftr_sqlite_check(c, err);

    if (rc == NGX_OK || rc == NGX_ERROR) {
        return rc;
    }

    if (ngx_lyftr_sqlite_set_wal(c, deadline, err) != NGX_OK) {
        return NGX_ERROR;
    }

    (void) sqlite3_busy_timeout(c->db, (int) ngx_lyftr_flock_left(deadline));

    rc = ngx_lyftr_sqlite_change(c, err);

    if (rc == NGX_ERROR || ngx_lyftr_sqlite_exec(c, "COMMIT", err) != NGX_OK) {
        (void) sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
        return NGX_ERROR;
    }

    return rc;
}


/* SQLite waits for some of the locks that this needs, and not for others */

static ngx_int_t
ngx_lyftr_sqlite_set_wal(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t        rc;
    struct timespec  ts;

    for ( ;; ) {
        (void) sqlite3_busy_timeout(c->db,
                                    (int) ngx_lyftr_flock_left(deadline));

        rc = ngx_lyftr_sqlite_is_wal(c, "PRAGMA journal_mode = WAL", err);

        if (rc == NGX_DECLINED) {
            return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_OPEN,
                                         "the file system cannot do WAL");
        }

        if (rc == NGX_OK
            || err->code != NGX_LYFTR_ERR_BUSY
            || ngx_lyftr_flock_left(deadline) == 0)
        {
            return rc;
        }

        ts.tv_sec = 0;
        ts.tv_nsec = NGX_LYFTR_SQLITE_RETRY;

        (void) nanosleep(&ts, NULL);
    }
}


/* begins a transaction with all that is to be changed now */

static ngx_int_t
ngx_lyftr_sqlite_change(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int64_t    app, version;
    ngx_int_t  rc;

    if (ngx_lyftr_sqlite_exec(c, "BEGIN IMMEDIATE", err) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_lyftr_sqlite_check_here(c, err);

    if (rc == NGX_AGAIN) {
        return ngx_lyftr_sqlite_adopt_begin(c, ngx_lyftr_sqlite_tables, err)
               == NGX_OK ? NGX_AGAIN : NGX_ERROR;
    }

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (ngx_lyftr_sqlite_get(c, "PRAGMA application_id", &app, err) != NGX_OK
        || ngx_lyftr_sqlite_get(c, "PRAGMA user_version", &version, err)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (app == 0 && ngx_lyftr_sqlite_dumped(c)) {
        return ngx_lyftr_sqlite_exec(c, ngx_lyftr_sqlite_mine, err);
    }

    if (app == 0) {
        rc = ngx_lyftr_sqlite_exec(c, ngx_lyftr_sqlite_tables, err);

        return rc == NGX_OK ? ngx_lyftr_sqlite_exec(c, ngx_lyftr_sqlite_mark,
                                                    err)
                            : NGX_ERROR;
    }

    /* ours: of an older version, or only not in WAL mode any more */

    return version < NGX_LYFTR_SQLITE_VERSION
           ? ngx_lyftr_sqlite_exec(c,
                                   ngx_lyftr_sqlite_migrations[version - 1],
                                   err)
           : NGX_OK;
}


/* the old table stays as it is, under another name */

ngx_int_t
ngx_lyftr_sqlite_adopted(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    if (ngx_lyftr_sqlite_exec(c, "DROP TABLE lyftr_adopt;"
                                 "ALTER TABLE messages"
                                 " RENAME TO messages_adopted", err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_lyftr_sqlite_exec(c, ngx_lyftr_sqlite_mark, err);
}


/*
 * A dump has all of a store but for its mark: it is the same if all columns are
 * those that a new one has.
 */

static ngx_uint_t
ngx_lyftr_sqlite_dumped(ngx_lyftr_sqlite_t *c)
{
    sqlite3       *db;
    ngx_uint_t     same;
    sqlite3_stmt  *here, *fresh;

    same = 0;
    here = NULL;
    fresh = NULL;

    if (sqlite3_open(":memory:", &db) == SQLITE_OK
        && sqlite3_exec(db, ngx_lyftr_sqlite_tables, NULL, NULL, NULL)
           == SQLITE_OK)
    {
        here = ngx_lyftr_sqlite_columns(c->db);
        fresh = ngx_lyftr_sqlite_columns(db);
    }

    if (here && fresh) {
        same = sqlite3_stricmp((char *) sqlite3_column_text(here, 0),
                               (char *) sqlite3_column_text(fresh, 0))
               == 0;
    }

    (void) sqlite3_finalize(here);
    (void) sqlite3_finalize(fresh);
    (void) sqlite3_close(db);

    return same;
}


/* a row with all columns of our tables, or NULL */

static sqlite3_stmt *
ngx_lyftr_sqlite_columns(sqlite3 *db)
{
    sqlite3_stmt  *st;

    if (sqlite3_prepare_v2(db,
                           "SELECT group_concat(x) FROM (SELECT s.name || '.'"
                           " || c.name || ' ' || c.type || c.pk AS x"
                           " FROM sqlite_master AS s,"
                           " pragma_table_info(s.name) AS c"
                           " WHERE s.type = 'table'"
                           " AND s.name LIKE 'lyftr\\_%' ESCAPE '\\'"
                           " ORDER BY 1)",
                           -1, &st, NULL)
        != SQLITE_OK)
    {
        return NULL;
    }

    if (sqlite3_step(st) == SQLITE_ROW && sqlite3_column_text(st, 0)) {
        return st;
    }

    (void) sqlite3_finalize(st);

    return NULL;
}

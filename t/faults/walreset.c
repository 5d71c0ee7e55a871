/*
 * walreset [plain|ours database]
 *
 * SQLite's WAL-reset bug, made to happen: while a passive checkpoint begins,
 * having read how much there is to copy, and before it looks how much is
 * copied, a writer commits, and starts the WAL anew.  The checkpoint of a plain
 * connection, or that of this module.  Prints how often the writer came in
 * between, and ok, corrupt, or how many rows are lost; without arguments the
 * version of the library.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_backend.h>
#include <ngx_lyftr_sqlite_jobs.h>

#include <stdio.h>


#define WALRESET_BEFORE  50
#define WALRESET_WITHIN  5
#define WALRESET_AFTER   10
#define WALRESET_TEXT    3000

#define walreset_in(msec)  (ngx_lyftr_clock() + (msec))


static ngx_lyftr_backend_t     *b = &ngx_lyftr_sqlite_backend;
static ngx_lyftr_sqlite_dsn_t   dsn;
static ngx_lyftr_error_t        err;

static const char              *name;
static const char              *table;
static sqlite3                 *plain;     /* a writer, or one that copies */
static void                    *conn;      /* a writer of the backend's */
static unsigned                 rows;

static sqlite3                 *copier;    /* in whose checkpoint they come */
static const sqlite3_io_methods  *methods;
static unsigned                 armed;
static unsigned                 within;


int __real_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *schema, int mode,
    int *log, int *copied);


static void
walreset_fail(const char *what)
{
    if (err.code == NGX_LYFTR_ERR_CORRUPT) {
        printf("%u corrupt\n", within);
        exit(0);
    }

    fprintf(stderr, "walreset: %s: %.*s\n", what, (int) err.len,
            (char *) err.text);
    exit(2);
}


static void
walreset_sql(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "walreset: %s: %s\n", sql, sqlite3_errmsg(db));
    }
}


/* so many commits */

static void
walreset_write(unsigned n)
{
    char                 id[32];
    ngx_lyftr_batch_t    batch;
    ngx_lyftr_write_t    write, *writes[1];
    ngx_lyftr_message_t  m;

    static u_char  text[WALRESET_TEXT];

    ngx_memset(text, 'x', sizeof(text));

    for ( /* void */ ; n; n--) {
        rows++;

        if (conn == NULL) {
            walreset_sql(plain, "INSERT INTO t (data) VALUES"
                                " (randomblob(3000))");
            continue;
        }

        ngx_memzero(&m, sizeof(m));

        write.messages = &m;
        write.n = 1;
        write.rows = NULL;
        writes[0] = &write;
        batch.writes = writes;
        batch.n = 1;

        ngx_str_set(&m.from, "+919876543210");
        ngx_str_set(&m.to, "+14155550100");
        ngx_str_set(&m.ts, "2025-01-15T10:00:00Z");

        m.text.data = text;
        m.text.len = sizeof(text);
        m.message_id.data = (u_char *) id;
        m.message_id.len = snprintf(id, sizeof(id), "m%u", rows);

        if (ngx_lyftr_instant_parse(m.ts.data, m.ts.len, &m.instant) != NGX_OK
            || b->turn(conn, walreset_in(5000), &err) != NGX_OK
            || b->write(conn, &batch, walreset_in(5000), &err) != NGX_OK)
        {
            walreset_fail("write");
        }
    }
}


/* SQLite gives back what it has mapped of the database, when it has changed */

static int
walreset_unfetch(sqlite3_file *file, sqlite3_int64 offset, void *p)
{
    if (armed) {
        armed = 0;
        within++;
        walreset_write(WALRESET_WITHIN);
    }

    return methods->xUnfetch(file, offset, p);
}


/*
 * Others commit and copy just before it: what is copied already, but for what
 * a reader holds back, may be overwritten.
 */

int
__wrap_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *schema, int mode,
    int *log, int *copied)
{
    int            rc;
    sqlite3_file  *file;

    static sqlite3_io_methods  hooked;

    if (db != copier || mode != SQLITE_CHECKPOINT_PASSIVE || methods) {
        return __real_sqlite3_wal_checkpoint_v2(db, schema, mode, log, copied);
    }

    (void) sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);

    methods = file->pMethods;
    hooked = *methods;
    hooked.xUnfetch = walreset_unfetch;
    file->pMethods = &hooked;

    walreset_write(WALRESET_BEFORE);
    (void) __real_sqlite3_wal_checkpoint_v2(plain, NULL, mode, NULL, NULL);

    armed = 1;
    rc = __real_sqlite3_wal_checkpoint_v2(db, schema, mode, log, copied);
    armed = 0;

    file->pMethods = methods;

    return rc;
}


static sqlite3 *
walreset_open(void)
{
    sqlite3  *db;

    if (sqlite3_open(name, &db) != SQLITE_OK) {
        walreset_fail("open");
    }

    sqlite3_busy_timeout(db, 5000);
    sqlite3_wal_autocheckpoint(db, 0);
    (void) sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);

    return db;
}


static void
walreset_plain(void)
{
    plain = walreset_open();
    table = "t";

    walreset_sql(plain, "PRAGMA journal_mode = WAL;"
                        "CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB)");
    walreset_write(WALRESET_BEFORE);

    copier = walreset_open();
    walreset_sql(copier, "SELECT count(*) FROM t");

    (void) sqlite3_wal_checkpoint_v2(copier, NULL, SQLITE_CHECKPOINT_PASSIVE,
                                     NULL, NULL);

    walreset_write(WALRESET_AFTER);

    sqlite3_close(copier);
}


static void
walreset_ours(void)
{
    char                 url[512];
    ngx_str_t            s;
    ngx_lyftr_sqlite_t  *keeper, *guard;

    s.data = (u_char *) url;
    s.len = snprintf(url, sizeof(url), "sqlite:///%s", name);

    if (b->init(&dsn, &s, &err) != NGX_OK) {
        walreset_fail("init");
    }

    dsn.max_wal = 256 * 1024 * 1024;
    dsn.cache = 16 * 1024 * 1024;
    table = "lyftr_message";

    conn = b->open(&dsn, NGX_LYFTR_OPEN_CREATE, walreset_in(5000), &err);
    keeper = b->open(&dsn, 0, walreset_in(5000), &err);
    guard = b->open(&dsn, 0, walreset_in(5000), &err);

    if (conn == NULL || keeper == NULL || guard == NULL) {
        walreset_fail("open");
    }

    plain = walreset_open();
    walreset_sql(plain, "SELECT count(*) FROM messages");
    walreset_write(WALRESET_BEFORE);

    copier = keeper->db;

    if (ngx_lyftr_sqlite_checkpoint(keeper, guard, walreset_in(5000), &err)
        != NGX_OK)
    {
        walreset_fail("checkpoint");
    }

    walreset_write(WALRESET_AFTER);

    b->close(guard);
    b->close(keeper);
    b->close(conn);
}


static int
walreset_row(void *data, int n, char **value, char **column)
{
    (void) snprintf(data, 64, "%s", value[0]);

    return 0;
}


int
main(int argc, char *const *argv)
{
    char  sql[64], said[64], have[64];

    if (argc != 3) {
        printf("%d %s\n", sqlite3_libversion_number(), sqlite3_libversion());
        return 0;
    }

    name = argv[2];

    if (strcmp(argv[1], "ours") == 0) {
        walreset_ours();

    } else {
        walreset_plain();
    }

    /* what is not copied now is gone */

    (void) __real_sqlite3_wal_checkpoint_v2(plain, NULL,
                                            SQLITE_CHECKPOINT_TRUNCATE, NULL,
                                            NULL);
    sqlite3_close(plain);

    plain = walreset_open();
    said[0] = have[0] = '\0';

    (void) snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);

    sqlite3_exec(plain, "PRAGMA integrity_check(1)", walreset_row, said, NULL);
    sqlite3_exec(plain, sql, walreset_row, have, NULL);
    sqlite3_close(plain);

    if (strcmp(said, "ok") != 0) {
        printf("%u corrupt\n", within);

    } else if (strtoul(have, NULL, 10) != rows) {
        printf("%u lost %s of %u\n", within, have, rows);

    } else {
        printf("%u ok\n", within);
    }

    return 0;
}

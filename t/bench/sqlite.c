
/*
 * SQLite itself: one thread appends the rows of the load generator, so many a
 * transaction, each synced before the next.
 *
 * sqlite FILE append|indexed BATCH SECONDS
 */

#include "load.h"

#include <sqlite3.h>


#define BENCH_BATCH_MAX  4096


static int bench_open(const char *name, int indexed);
static int bench_batch(uint64_t batch);
static int bench_exec(const char *sql);


static const char  bench_schema[] =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = FULL;"
    "PRAGMA cache_size = -16384;"
    "CREATE TABLE message (seq INTEGER PRIMARY KEY,"
    " message_id TEXT NOT NULL, from_msisdn TEXT NOT NULL,"
    " to_msisdn TEXT NOT NULL, ts TEXT NOT NULL, text TEXT,"
    " created_at TEXT NOT NULL);";

static const char  bench_indexes[] =
    "CREATE UNIQUE INDEX message_by_id ON message (message_id);"
    "CREATE INDEX message_by_ts ON message (ts, message_id);"
    "CREATE INDEX message_by_sender ON message (from_msisdn, ts);";

static const char  bench_insert[] =
    "INSERT INTO message (message_id, from_msisdn, to_msisdn, ts, text,"
    " created_at) VALUES (?, ?, ?, ?, ?, ?)";

static u_char         bench_bodies[BENCH_BATCH_MAX][LOAD_MESSAGE_SIZE];
static load_value_t   bench_values[BENCH_BATCH_MAX][LOAD_VALUES];
static sqlite3       *bench_db;
static sqlite3_stmt  *bench_stmt;


int
main(int argc, char *const *argv)
{
    int              indexed;
    double           seconds;
    uint64_t         i, batch, rows, spent, start;
    load_source_t    s;
    load_options_t   o;

    if (argc != 5) {
        fprintf(stderr, "usage: sqlite FILE append|indexed BATCH SECONDS\n");
        return 2;
    }

    indexed = strcmp(argv[2], "indexed") == 0;
    batch = strtoull(argv[3], NULL, 10);
    seconds = strtod(argv[4], NULL);

    if (batch == 0 || batch > BENCH_BATCH_MAX) {
        fprintf(stderr, "sqlite: a batch has 1 to %d rows\n", BENCH_BATCH_MAX);
        return 2;
    }

    memset(&s, 0, sizeof(load_source_t));
    memset(&o, 0, sizeof(load_options_t));

    o.seed = load_now();
    o.uuid = 1;
    o.wamid = 1;

    load_body_init(&s, &o, 0);

    if (bench_open(argv[1], indexed) == -1) {
        return 1;
    }

    /* the time of making the rows does not count */

    spent = 0;

    for (rows = 0; spent < seconds * LOAD_SECOND; rows += batch) {

        for (i = 0; i < batch; i++) {
            load_body(&s, bench_bodies[i], bench_values[i]);
        }

        start = load_now();

        if (bench_batch(batch) == -1) {
            fprintf(stderr, "sqlite: %s\n", sqlite3_errmsg(bench_db));
            return 1;
        }

        spent += load_now() - start;
    }

    sqlite3_finalize(bench_stmt);
    sqlite3_close(bench_db);

    printf("{\"acknowledged\":%lu,\"rate\":%.1f,\"commits_a_second\":%.1f,"
           "\"batch\":%lu}\n", rows, rows * 1.0 * LOAD_SECOND / spent,
           rows / batch * 1.0 * LOAD_SECOND / spent, batch);

    return 0;
}


static int
bench_open(const char *name, int indexed)
{
    if (sqlite3_open(name, &bench_db) != SQLITE_OK
        || bench_exec(bench_schema) == -1
        || (indexed && bench_exec(bench_indexes) == -1)
        || sqlite3_prepare_v2(bench_db, bench_insert, -1, &bench_stmt, NULL)
           != SQLITE_OK)
    {
        fprintf(stderr, "sqlite: %s\n", sqlite3_errmsg(bench_db));
        return -1;
    }

    return 0;
}


static int
bench_batch(uint64_t batch)
{
    int            rc;
    uint64_t       i, n;
    load_value_t  *v;

    if (bench_exec("BEGIN IMMEDIATE") == -1) {
        return -1;
    }

    for (i = 0; i < batch; i++) {

        for (n = 0; n < LOAD_VALUES; n++) {
            v = &bench_values[i][n];
            sqlite3_bind_text(bench_stmt, n + 1, (char *) v->data, v->len,
                              SQLITE_STATIC);
        }

        sqlite3_bind_text(bench_stmt, LOAD_VALUES + 1, "2026-11-23T10:00:00Z",
                          -1, SQLITE_STATIC);

        rc = sqlite3_step(bench_stmt);
        sqlite3_reset(bench_stmt);

        if (rc != SQLITE_DONE) {
            return -1;
        }
    }

    return bench_exec("COMMIT");
}


static int
bench_exec(const char *sql)
{
    return sqlite3_exec(bench_db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

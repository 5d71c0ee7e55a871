/*
 * A store in SQLite, for move.  Another program's rows come into the log by the
 * rules of its writers: in turn by the file lock, and by numbers which leave
 * room for long ids.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_setup.h>

#include "move.h"


/* msec in which the housekeeping of a store moves on */
#define MOVE_PATIENCE       30000

/* bytes of a row's keys, as far as they follow what it has */
#define move_weight(row)                                                      \
    ((row)->column[MOVE_ID].len + (row)->column[MOVE_FROM].len + 64)


typedef struct {
    sqlite3       *db;
    sqlite3_stmt  *read;
    sqlite3_stmt  *insert;
    sqlite3_stmt  *extra;
    int            lock;
    int            held;                   /* until it is opened again */
    int            known;                  /* the next two are */
    int64_t        seen;                   /* the newest number */
    size_t         weight;                 /* of its chunk */
} move_sqlite_t;


/* of a step, before its values */

typedef struct move_block_s  move_block_t;

struct move_block_s {
    move_block_t  *next;
};


static void move_sqlite_open(move_store_t *store, const char *name);
static int64_t move_sqlite_closed(move_store_t *store);
static void move_sqlite_close(move_store_t *store, int64_t other);
static void move_sqlite_reopen(move_store_t *store);
static int64_t move_sqlite_last(move_store_t *store);
static void move_sqlite_read(move_store_t *store, int64_t after,
    move_rows_t *rows);
static void move_sqlite_row(sqlite3_stmt *st, move_row_t *row,
    move_block_t **blocks);
static void move_sqlite_write(move_store_t *store, move_rows_t *rows);
static void move_sqlite_insert(move_store_t *store, move_row_t *row);
static int64_t move_sqlite_number(move_store_t *store, move_row_t *row);
static void move_sqlite_wait(move_store_t *store);
static int64_t move_sqlite_place(move_store_t *store, move_row_t *row);
static void move_sqlite_hold(move_store_t *store);
static void move_sqlite_lock(move_store_t *store, int how);
static void move_sqlite_lock_open(move_store_t *store);
static void move_sqlite_run(move_store_t *store, sqlite3_stmt *st);
static void move_sqlite_text(sqlite3_stmt *st, int i, ngx_str_t *s);

/* with SQLite's conversions, as %Q */
static void move_sqlite_exec(move_store_t *store, const char *format, ...);
static int64_t move_sqlite_get(move_store_t *store, const char *sql);
static sqlite3_stmt *move_sqlite_prepare(move_store_t *store, const char *sql);
static void move_sqlite_fail(move_store_t *store)
    __attribute__((noreturn));


const move_kind_t  move_sqlite = {
    move_sqlite_open,
    move_sqlite_closed,
    move_sqlite_close,
    move_sqlite_reopen,
    move_sqlite_last,
    move_sqlite_read,
    move_sqlite_write,
    move_sqlite_place,
    move_sqlite_hold
};


/* a time in our form as it is, another one in our form, if it is any */

#define MOVE_FORM                                                             \
    "'[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:"      \
    "[0-9][0-9].[0-9][0-9][0-9]Z'"

static const char  move_sqlite_read_sql[] =
    "SELECT m.seq, CASE typeof(instant) WHEN 'blob' THEN instant END,"
    " message_id, from_msisdn, to_msisdn, ts,"
    " CASE WHEN created_at GLOB " MOVE_FORM
    " AND strftime('%Y-%m-%dT%H:%M:%S', created_at) = substr(created_at, 1, 19)"
    " THEN created_at ELSE strftime('%Y-%m-%dT%H:%M:%fZ', created_at) END,"
    " text, type, raw, created_at"
    " FROM lyftr_message AS m LEFT JOIN lyftr_extra AS e ON e.seq = m.seq"
    " WHERE m.seq > max(?1, (SELECT floor FROM lyftr_state))"
    " ORDER BY m.seq LIMIT 4096";

static const char  move_sqlite_insert_sql[] =
    "INSERT INTO lyftr_message (seq, id_hash, instant, message_id,"
    " from_msisdn, to_msisdn, ts, created_at, text)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

static const char  move_sqlite_extra_sql[] =
    "INSERT INTO lyftr_extra (seq, type, raw, sum) VALUES (?1, ?2, ?3, ?4)";


static void
move_sqlite_open(move_store_t *store, const char *name)
{
    move_sqlite_t  *s;

    s = move_alloc(sizeof(move_sqlite_t));

    store->name = name;
    store->data = s;

    if (sqlite3_open_v2(name, &s->db, SQLITE_OPEN_READWRITE, NULL)
        != SQLITE_OK)
    {
        move_sqlite_fail(store);
    }

    /* its log is the server's, and what closes it is for others */

    (void) sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    (void) sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    (void) sqlite3_wal_autocheckpoint(s->db, 0);
    (void) sqlite3_busy_timeout(s->db, MOVE_WAIT);

    if (move_sqlite_get(store, "PRAGMA application_id")
        != NGX_LYFTR_SQLITE_APP)
    {
        move_fail("%s: this is no store, or one that adopts a database", name);
    }

    if (move_sqlite_get(store, "PRAGMA user_version")
        != NGX_LYFTR_SQLITE_VERSION)
    {
        move_fail("%s: it has another version: have nginx open it before",
                  name);
    }

    if (move_sqlite_get(store, "SELECT erase OR tombs FROM lyftr_state")) {
        move_fail("%s: messages were erased, and in PostgreSQL they would come"
                  " again", name);
    }

    move_sqlite_exec(store, "PRAGMA synchronous = FULL");
    move_sqlite_lock_open(store);

    store->id = move_sqlite_get(store, "SELECT store FROM lyftr_state");

    s->read = move_sqlite_prepare(store, move_sqlite_read_sql);
    s->insert = move_sqlite_prepare(store, move_sqlite_insert_sql);
    s->extra = move_sqlite_prepare(store, move_sqlite_extra_sql);
}


/* one that we make is the server's, too */

static void
move_sqlite_lock_open(move_store_t *store)
{
    char            name[PATH_MAX];
    struct stat     sb;
    move_sqlite_t  *s = store->data;

    if (snprintf(name, sizeof(name), "%s" NGX_LYFTR_SQLITE_LOCK, store->name)
        >= (int) sizeof(name))
    {
        move_fail("%s: the name is too long", store->name);
    }

    s->lock = open(name, O_RDWR|O_CREAT|O_NOFOLLOW|O_CLOEXEC, 0600);

    if (s->lock == -1
        || stat(store->name, &sb) == -1
        || (geteuid() == 0 && fchown(s->lock, sb.st_uid, sb.st_gid) == -1))
    {
        move_fail("%s: %s", name, strerror(errno));
    }
}


static int64_t
move_sqlite_closed(move_store_t *store)
{
    int64_t        other;
    sqlite3_stmt  *st;

    other = 0;
    st = move_sqlite_prepare(store, "SELECT name FROM sqlite_master"
                             " WHERE type = 'trigger'"
                             " AND name LIKE 'lyftr\\_move\\_%' ESCAPE '\\'");

    if (sqlite3_step(st) == SQLITE_ROW) {
        other = move_other((char *) sqlite3_column_text(st, 0));
    }

    (void) sqlite3_finalize(st);

    return other;
}


/* the second one tells those who ask if it can be written to */

static void
move_sqlite_close(move_store_t *store, int64_t other)
{
    move_sqlite_lock(store, LOCK_EX);

    move_sqlite_exec(store, "BEGIN IMMEDIATE;"
                     " CREATE TRIGGER lyftr_move_%016llx"
                     " BEFORE INSERT ON lyftr_message"
                     " BEGIN SELECT RAISE(ABORT, 'closed'); END;"
                     " CREATE TRIGGER lyftr_moves"
                     " BEFORE UPDATE OF data ON lyftr_probe"
                     " BEGIN SELECT RAISE(ABORT, 'closed'); END;"
                     " COMMIT", (unsigned long long) other);

    move_sqlite_lock(store, LOCK_UN);
}


static void
move_sqlite_reopen(move_store_t *store)
{
    move_sqlite_t  *s = store->data;

    move_sqlite_lock(store, LOCK_EX);

    move_sqlite_exec(store, "BEGIN IMMEDIATE;"
                     " DROP TRIGGER lyftr_move_%016llx;"
                     " DROP TRIGGER lyftr_moves;"
                     " COMMIT",
                     (unsigned long long) move_sqlite_closed(store));

    s->held = 0;

    move_sqlite_lock(store, LOCK_UN);
}


static int64_t
move_sqlite_last(move_store_t *store)
{
    return move_sqlite_get(store, "SELECT max(mark, (SELECT"
                           " coalesce(max(seq), 0) FROM lyftr_message))"
                           " FROM lyftr_state");
}


static void
move_sqlite_read(move_store_t *store, int64_t after, move_rows_t *rows)
{
    int              i, rc;
    size_t           sum;
    move_row_t      *row;
    move_block_t    *block, *blocks;
    move_sqlite_t   *s = store->data;

    while (rows->memory) {
        block = rows->memory;
        rows->memory = block->next;
        free(block);
    }

    blocks = NULL;
    rows->n = 0;
    sum = 0;

    (void) sqlite3_bind_int64(s->read, 1, after);

    while ((rc = sqlite3_step(s->read)) == SQLITE_ROW) {
        row = &rows->rows[rows->n++];

        move_sqlite_row(s->read, row, &blocks);

        for (i = 1; i <= MOVE_COLUMNS; i++) {
            sum += sqlite3_column_bytes(s->read, i);
        }

        if (rows->n == MOVE_ROWS || sum >= MOVE_BYTES) {
            rc = SQLITE_DONE;
            break;
        }
    }

    if (rc != SQLITE_DONE) {
        move_sqlite_fail(store);
    }

    (void) sqlite3_reset(s->read);

    rows->memory = blocks;
}


static void
move_sqlite_row(sqlite3_stmt *st, move_row_t *row, move_block_t **blocks)
{
    int            i;
    u_char        *p;
    size_t         sum;
    ngx_str_t     *s, created;
    move_block_t  *block;

    sum = sizeof(move_block_t) + MOVE_COLUMNS;

    for (i = 1; i <= MOVE_COLUMNS; i++) {
        sum += sqlite3_column_bytes(st, i);
    }

    block = move_alloc(sum);
    block->next = *blocks;
    *blocks = block;

    p = (u_char *) block + sizeof(move_block_t);

    row->seq = sqlite3_column_int64(st, 0);

    for (i = 0; i < MOVE_COLUMNS; i++) {
        s = &row->column[i];
        s->data = NULL;
        s->len = sqlite3_column_bytes(st, i + 1);

        if (sqlite3_column_type(st, i + 1) != SQLITE_NULL) {
            s->data = p;

            if (s->len) {
                memcpy(p, sqlite3_column_blob(st, i + 1), s->len);
            }

            p += s->len + 1;
        }
    }

    created.data = (u_char *) sqlite3_column_text(st, MOVE_COLUMNS + 1);
    created.len = sqlite3_column_bytes(st, MOVE_COLUMNS + 1);

    row->changed = !move_same(&created, &row->column[MOVE_CREATED]);
}


static void
move_sqlite_write(move_store_t *store, move_rows_t *rows)
{
    int             i;
    char            sql[256];
    move_sqlite_t  *s = store->data;

    if (!s->known) {
        s->known = 1;
        s->seen = move_sqlite_last(store);

        (void) snprintf(sql, sizeof(sql), "SELECT coalesce(sum("
                        "length(CAST(message_id AS BLOB))"
                        " + length(CAST(from_msisdn AS BLOB)) + 64), 0)"
                        " FROM lyftr_message WHERE seq > %lld",
                        (long long) ngx_lyftr_memtable_number(s->seen));

        s->weight = move_sqlite_get(store, sql);
    }

    move_sqlite_wait(store);

    move_sqlite_lock(store, LOCK_EX);
    move_sqlite_exec(store, "BEGIN IMMEDIATE");

    if (move_sqlite_last(store) != s->seen) {
        move_fail("%s: somebody else writes to it", store->name);
    }

    for (i = 0; i < rows->n; i++) {
        move_sqlite_insert(store, &rows->rows[i]);
    }

    move_sqlite_exec(store, "COMMIT");
    move_sqlite_lock(store, LOCK_UN);
}


static void
move_sqlite_insert(move_store_t *store, move_row_t *row)
{
    int             i;
    int64_t         seq;
    ngx_str_t      *column;
    sqlite3_stmt   *st;
    move_sqlite_t  *s = store->data;

    column = row->column;

    st = s->insert;
    seq = move_sqlite_number(store, row);

    (void) sqlite3_bind_int64(st, 1, seq);
    (void) sqlite3_bind_int64(st, 2, (int64_t)
                              ngx_lyftr_sqlite_hash(column[MOVE_ID].data,
                                                    column[MOVE_ID].len));

    if (column[MOVE_INSTANT].data) {
        (void) sqlite3_bind_blob(st, 3, column[MOVE_INSTANT].data,
                                 column[MOVE_INSTANT].len, SQLITE_STATIC);
    } else {
        move_sqlite_text(st, 3, &column[MOVE_TS]);
    }

    for (i = MOVE_ID; i <= MOVE_TEXT; i++) {
        move_sqlite_text(st, 3 + i, &column[i]);
    }

    move_sqlite_run(store, st);

    if (column[MOVE_TYPE].data == NULL && column[MOVE_RAW].data == NULL) {
        return;
    }

    st = s->extra;

    (void) sqlite3_bind_int64(st, 1, seq);
    move_sqlite_text(st, 2, &column[MOVE_TYPE]);
    move_sqlite_text(st, 3, &column[MOVE_RAW]);
    (void) sqlite3_bind_int64(st, 4, (int64_t)
                              ngx_lyftr_sqlite_extra_sum(seq,
                                                         &column[MOVE_TYPE],
                                                         &column[MOVE_RAW]));

    move_sqlite_run(store, st);
}


/* as its writers do: behind a chunk with long ids comes another one */

static int64_t
move_sqlite_number(move_store_t *store, move_row_t *row)
{
    int64_t         seq, chunk;
    move_sqlite_t  *s = store->data;

    seq = ngx_max(row->seq + store->shift, s->seen + 1);
    chunk = ngx_lyftr_memtable_number(s->seen);

    if (s->weight >= NGX_LYFTR_CHUNK_LEN) {
        seq = ngx_max(seq, chunk + NGX_LYFTR_CHUNK + 1);
    }

    if (ngx_lyftr_memtable_number(seq) != chunk) {
        s->weight = 0;
    }

    s->weight += move_weight(row);
    s->seen = seq;
    store->shift = seq - row->seq;

    return seq;
}


/* writers are refused if it is far behind, and so it has to come along */

static void
move_sqlite_wait(move_store_t *store)
{
    int64_t         indexed, before, since;
    move_sqlite_t  *s = store->data;

    before = -1;
    since = 0;

    while (!s->held) {
        indexed = move_sqlite_get(store, "SELECT indexed FROM lyftr_state");

        if (s->seen - indexed <= NGX_LYFTR_SLOW) {
            return;
        }

        if (indexed != before) {
            before = indexed;
            since = move_msec();
        }

        if (move_msec() - since > MOVE_PATIENCE) {
            move_fail("%s: nobody does its housekeeping: have nginx open it",
                      store->name);
        }

        move_sleep(20);
    }
}


/* rows that came to it by move have the places that they had there */

static int64_t
move_sqlite_place(move_store_t *store, move_row_t *row)
{
    int            rc;
    int64_t        seq;
    sqlite3_stmt  *st;

    st = move_sqlite_prepare(store, "SELECT message_id = ?2"
                             " FROM lyftr_message WHERE seq = ?1");

    (void) sqlite3_bind_int64(st, 1, row->seq);
    move_sqlite_text(st, 2, &row->column[MOVE_ID]);

    rc = sqlite3_step(st);
    seq = 0;

    if (rc == SQLITE_ROW) {
        seq = sqlite3_column_int(st, 0) ? row->seq : -1;

    } else if (rc != SQLITE_DONE) {
        move_sqlite_fail(store);
    }

    (void) sqlite3_finalize(st);

    return seq;
}


static void
move_sqlite_hold(move_store_t *store)
{
    move_sqlite_t  *s = store->data;

    move_sqlite_lock(store, LOCK_EX);

    s->held = 1;
}


static void
move_sqlite_lock(move_store_t *store, int how)
{
    move_sqlite_t  *s = store->data;

    if (!s->held && flock(s->lock, how) == -1) {
        move_fail("%s" NGX_LYFTR_SQLITE_LOCK ": %s", store->name,
                  strerror(errno));
    }
}


static void
move_sqlite_text(sqlite3_stmt *st, int i, ngx_str_t *s)
{
    if (s->data) {
        (void) sqlite3_bind_text(st, i, (char *) s->data, s->len,
                                 SQLITE_STATIC);

    } else {
        (void) sqlite3_bind_null(st, i);
    }
}


static void
move_sqlite_run(move_store_t *store, sqlite3_stmt *st)
{
    if (sqlite3_step(st) != SQLITE_DONE || sqlite3_reset(st) != SQLITE_OK) {
        move_sqlite_fail(store);
    }
}


static void
move_sqlite_exec(move_store_t *store, const char *format, ...)
{
    char           *sql;
    va_list         args;
    move_sqlite_t  *s = store->data;

    va_start(args, format);
    sql = sqlite3_vmprintf(format, args);
    va_end(args);

    if (sql == NULL
        || sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK)
    {
        move_sqlite_fail(store);
    }

    sqlite3_free(sql);
}


static int64_t
move_sqlite_get(move_store_t *store, const char *sql)
{
    int64_t        n;
    sqlite3_stmt  *st;

    st = move_sqlite_prepare(store, sql);

    if (sqlite3_step(st) != SQLITE_ROW) {
        move_sqlite_fail(store);
    }

    n = sqlite3_column_int64(st, 0);

    (void) sqlite3_finalize(st);

    return n;
}


static sqlite3_stmt *
move_sqlite_prepare(move_store_t *store, const char *sql)
{
    sqlite3_stmt   *st;
    move_sqlite_t  *s = store->data;

    if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) != SQLITE_OK) {
        move_sqlite_fail(store);
    }

    return st;
}


static void
move_sqlite_fail(move_store_t *store)
{
    move_sqlite_t  *s = store->data;

    move_fail("%s: %s", store->name, sqlite3_errmsg(s->db));
}

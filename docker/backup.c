/*
 * backup [--verify] STORE COPY: copies a store of ngx_lyftr_module, also one
 * that takes messages, into a new file that is a store by itself.
 *
 * Rows are read in steps by their keys, each in a transaction of its own that
 * is over before what it read is written, so that a slow disk of the copy keeps
 * no snapshot and the store's WAL does not grow.  In the copy is each row that
 * was there when it began, and none that came later.  What follows from the
 * rows is not copied: whoever opens the copy makes it anew.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>


#define BACKUP_APP            0x4c594652   /* LYFR */

/* what one step reads at most; one row may be larger */
#define BACKUP_ROWS           4096
#define BACKUP_BYTES          (512 * 1024)

#define BACKUP_WAIT           10000        /* msec for a lock of others */


typedef struct {
    char            *name;
    char            *keys;                 /* rowid, or the primary key */
    char            *columns;              /* all of them */
    int              nkeys;
    int              ncolumns;
    int              rowid;                /* or 0: WITHOUT ROWID */
    int64_t          last;                 /* the greatest rowid at the start */
    int64_t          seen;                 /* the greatest that was copied */
    int64_t          rows;
    uint64_t         sum;
} backup_table_t;


typedef struct {
    sqlite3         *from;
    sqlite3         *to;
    char            *part;                 /* the copy, until it is whole */
    backup_table_t  *tables;
    int              n;
    int64_t          version;              /* of the schema */
    int64_t          rows;                 /* that will be copied, about */
    int64_t          done;
    int64_t          erased;               /* rows, as it began */
} backup_t;


static void backup_open(backup_t *b, const char *store);
static void backup_create(backup_t *b, const char *copy);
static void backup_begin(backup_t *b);
static int64_t backup_erased(backup_t *b);
static void backup_schema(backup_t *b, const char *kinds);
static void backup_table(backup_t *b, const char *name);
static void backup_add(char **list, int *n, const unsigned char *name);
static void backup_rows(backup_t *b, backup_table_t *table);
static int backup_read(backup_t *b, backup_table_t *table, sqlite3_stmt *st,
    sqlite3_value **values);
static void backup_write(backup_t *b, backup_table_t *table, sqlite3_stmt *st,
    sqlite3_value **row);
static sqlite3_stmt *backup_select(sqlite3 *db, backup_table_t *table,
    int first);
static char *backup_marks(int n);
static void backup_finish(backup_t *b);
static void backup_sync(const char *path, int flags);
static void backup_verify(backup_t *b);
static uint64_t backup_sum(uint64_t sum, sqlite3_value *value);
static void backup_progress(backup_t *b, const char *what, int end);

/* with SQLite's conversions, as %Q */
static void backup_exec(sqlite3 *db, const char *format, ...);
static int64_t backup_number(sqlite3 *db, const char *format, ...);
static sqlite3_stmt *backup_prepare(sqlite3 *db, const char *format, ...);
static char *backup_text(const char *format, va_list args);

static void backup_fail(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));
static void backup_rename(const char *part, const char *copy);
static void backup_remove(void);
static void backup_signal(int signo);


/* what follows from the rows, and what is known of how far it has come */

static const char  *backup_derived[] = {
    "lyftr_segment", "lyftr_block", "lyftr_count", "lyftr_top",
    "lyftr_search", "lyftr_gram"
};

static const char  backup_reset[] =
    "UPDATE lyftr_state SET indexed = floor, counted = floor, counting = floor,"
    " senders = 0, next = 1, damaged = 0, rebuild = 0";


/* removed if the program ends early */
static char  backup_parts[3][PATH_MAX];


int
main(int argc, char *argv[])
{
    int       i, verify;
    backup_t  b;

    verify = argc > 1 && strcmp(argv[1], "--verify") == 0;

    if (argc != 3 + verify || argv[1 + verify][0] == '-') {
        fprintf(stderr,
                "usage: backup [--verify] STORE COPY\n\n"
                "Copies a store, such as data/app.db, while it is in use, into "
                "a new file.\n--verify reads the copy whole afterwards.\n");
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }

    memset(&b, 0, sizeof(backup_t));

    backup_open(&b, argv[1 + verify]);
    backup_create(&b, argv[2 + verify]);

    backup_begin(&b);

    for (i = 0; i < b.n; i++) {
        backup_rows(&b, &b.tables[i]);
    }

    backup_progress(&b, "copied", 1);
    backup_finish(&b);

    if (verify) {
        backup_verify(&b);
        backup_progress(&b, "verified", 1);
    }

    backup_rename(b.part, argv[2 + verify]);
    backup_sync(argv[2 + verify], O_RDONLY);

    return 0;
}


static void
backup_open(backup_t *b, const char *store)
{
    if (sqlite3_open_v2(store, &b->from, SQLITE_OPEN_READONLY, NULL)
        != SQLITE_OK)
    {
        backup_fail("%s: %s", store, sqlite3_errmsg(b->from));
    }

    /* the log is the server's, also when nobody else has it open */

    (void) sqlite3_db_config(b->from, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1,
                             NULL);
    (void) sqlite3_busy_timeout(b->from, BACKUP_WAIT);

    if (backup_number(b->from, "PRAGMA application_id") != BACKUP_APP) {
        backup_fail("%s: this is no store, or one that adopts a database",
                    store);
    }
}


/* nobody else may read it, from the first byte on */

static void
backup_create(backup_t *b, const char *copy)
{
    int          fd;
    struct stat  sb;

    if (strlen(copy) > PATH_MAX - 16) {
        backup_fail("the name of the copy is too long");
    }

    if (lstat(copy, &sb) == 0) {
        backup_fail("%s: there is such a file", copy);
    }

    b->part = sqlite3_mprintf("%s.part", copy);

    fd = open(b->part, O_RDWR|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, 0600);
    if (fd == -1) {
        backup_fail("%s: %s", b->part, strerror(errno));
    }

    (void) close(fd);

    (void) snprintf(backup_parts[1], PATH_MAX, "%s-wal", b->part);
    (void) snprintf(backup_parts[2], PATH_MAX, "%s-shm", b->part);
    (void) snprintf(backup_parts[0], PATH_MAX, "%s", b->part);

    (void) atexit(backup_remove);
    (void) signal(SIGINT, backup_signal);
    (void) signal(SIGTERM, backup_signal);
    (void) signal(SIGHUP, backup_signal);

    if (sqlite3_open_v2(b->part, &b->to, SQLITE_OPEN_READWRITE, NULL)
        != SQLITE_OK)
    {
        backup_fail("%s: %s", b->part, sqlite3_errmsg(b->to));
    }
}


/* not over another file, where the file system can tell */

static void
backup_rename(const char *part, const char *copy)
{
    if (renameat2(AT_FDCWD, part, AT_FDCWD, copy, RENAME_NOREPLACE) == -1
        && (errno != EINVAL || rename(part, copy) == -1))
    {
        backup_fail("%s: %s", copy, strerror(errno));
    }

    backup_parts[0][0] = '\0';
}


static void
backup_remove(void)
{
    int  i;

    for (i = 0; i < 3; i++) {
        if (backup_parts[0][0]) {
            (void) unlink(backup_parts[i]);
        }
    }
}


static void
backup_signal(int signo)
{
    backup_remove();
    _exit(128 + signo);
}


/* in one snapshot: the schema, and which rows there are */

static void
backup_begin(backup_t *b)
{
    sqlite3_stmt  *st;

    backup_exec(b->from, "BEGIN");

    b->version = backup_number(b->from, "PRAGMA schema_version");
    b->erased = backup_erased(b);

    backup_exec(b->to, "PRAGMA page_size = %lld",
                (long long) backup_number(b->from, "PRAGMA page_size"));
    backup_exec(b->to, "PRAGMA locking_mode = EXCLUSIVE");
    backup_exec(b->to, "PRAGMA journal_mode = OFF");
    backup_exec(b->to, "PRAGMA synchronous = OFF");

    backup_schema(b, "'table'");

    st = backup_prepare(b->from, "SELECT name FROM sqlite_master"
                        " WHERE type = 'table' AND name NOT LIKE"
                        " 'sqlite\\_%%' ESCAPE '\\' ORDER BY rowid");

    while (sqlite3_step(st) == SQLITE_ROW) {
        backup_table(b, (char *) sqlite3_column_text(st, 0));
    }

    (void) sqlite3_finalize(st);

    backup_exec(b->from, "COMMIT");
}


/*
 * Messages that were erased, since ever.  While some are, they are still in the
 * tables, and a copy of these would have them.
 */

static int64_t
backup_erased(backup_t *b)
{
    if (backup_number(b->from, "SELECT count(*) FROM"
                      " pragma_table_info('lyftr_state')"
                      " WHERE name = 'erased'") == 0)
    {
        return 0;
    }

    if (backup_number(b->from, "SELECT erase FROM lyftr_state")) {
        backup_fail("messages are being erased: begin anew when"
                    " lyftr_store_erasing_rows is 0");
    }

    return backup_number(b->from, "SELECT erased FROM lyftr_state");
}


/* makes what of the schema is of some kinds */

static void
backup_schema(backup_t *b, const char *kinds)
{
    sqlite3_stmt  *st;

    st = backup_prepare(b->from, "SELECT sql FROM sqlite_master"
                        " WHERE sql IS NOT NULL AND type IN (%s) AND name"
                        " NOT LIKE 'sqlite\\_%%' ESCAPE '\\' ORDER BY rowid",
                        kinds);

    while (sqlite3_step(st) == SQLITE_ROW) {
        backup_exec(b->to, "%s", (char *) sqlite3_column_text(st, 0));
    }

    (void) sqlite3_finalize(st);
}


static void
backup_table(backup_t *b, const char *name)
{
    size_t           i;
    sqlite3_stmt    *st;
    backup_table_t  *table;

    for (i = 0; i < sizeof(backup_derived) / sizeof(backup_derived[0]); i++) {
        if (strcmp(name, backup_derived[i]) == 0) {
            return;
        }
    }

    b->tables = sqlite3_realloc64(b->tables,
                                  (b->n + 1) * sizeof(backup_table_t));
    if (b->tables == NULL) {
        backup_fail("no memory");
    }

    table = &b->tables[b->n++];
    memset(table, 0, sizeof(backup_table_t));

    table->name = sqlite3_mprintf("%s", name);
    table->columns = sqlite3_mprintf("");
    table->keys = sqlite3_mprintf("");

    st = backup_prepare(b->from, "SELECT name, pk FROM pragma_table_info(%Q)"
                        " ORDER BY pk = 0, pk", name);

    while (sqlite3_step(st) == SQLITE_ROW) {
        backup_add(&table->columns, &table->ncolumns,
                   sqlite3_column_text(st, 0));

        if (sqlite3_column_int(st, 1)) {
            backup_add(&table->keys, &table->nkeys,
                       sqlite3_column_text(st, 0));
        }
    }

    (void) sqlite3_finalize(st);

    table->rowid = backup_number(b->from, "SELECT wr = 0 FROM"
                                 " pragma_table_list(%Q)", name);

    if (table->rowid) {
        sqlite3_free(table->keys);
        table->keys = sqlite3_mprintf("rowid");
        table->nkeys = 1;

        table->last = backup_number(b->from, "SELECT coalesce(max(rowid), 0)"
                                    " FROM \"%w\"", name);
        b->rows += table->last;
    }
}


static void
backup_add(char **list, int *n, const unsigned char *name)
{
    char  *more;

    more = sqlite3_mprintf("%s%s\"%w\"", *list, *n ? ", " : "", name);

    sqlite3_free(*list);

    *list = more;
    (*n)++;
}


static void
backup_rows(backup_t *b, backup_table_t *table)
{
    int             i, n, k, width;
    char           *marks;
    sqlite3_stmt   *first, *next, *read, *write;
    sqlite3_value  **values, **row;

    width = table->nkeys + table->ncolumns;

    values = malloc(sizeof(sqlite3_value *) * width * BACKUP_ROWS);
    if (values == NULL) {
        backup_fail("no memory");
    }

    marks = backup_marks(table->rowid + table->ncolumns);

    first = backup_select(b->from, table, 1);
    next = backup_select(b->from, table, 0);
    write = backup_prepare(b->to, "INSERT INTO \"%w\" (%s%s) VALUES (%s)",
                           table->name, table->rowid ? "rowid, " : "",
                           table->columns, marks);

    for (read = first; /* void */ ; read = next) {
        n = backup_read(b, table, read, values);

        if (n == 0) {
            break;
        }

        backup_exec(b->to, "BEGIN");

        for (i = 0; i < n; i++) {
            backup_write(b, table, write, &values[i * width]);
        }

        backup_exec(b->to, "COMMIT");

        row = &values[(n - 1) * width];

        for (k = 0; k < table->nkeys; k++) {
            (void) sqlite3_bind_value(next, k + 1, row[k]);
        }

        if (table->rowid) {
            b->done += sqlite3_value_int64(row[0]) - table->seen;
            table->seen = sqlite3_value_int64(row[0]);
        }

        for (i = 0; i < n * width; i++) {
            sqlite3_value_free(values[i]);
        }

        backup_progress(b, "copied", 0);
    }

    (void) sqlite3_finalize(first);
    (void) sqlite3_finalize(next);
    (void) sqlite3_finalize(write);

    sqlite3_free(marks);
    free(values);
}


/* a step: its keys and columns of so many rows, in a snapshot of its own */

static int
backup_read(backup_t *b, backup_table_t *table, sqlite3_stmt *st,
    sqlite3_value **values)
{
    int            i, n, rc, width;
    size_t         bytes;
    sqlite3_value  *value;

    n = 0;
    bytes = 0;
    width = table->nkeys + table->ncolumns;

    backup_exec(b->from, "BEGIN");

    if (backup_number(b->from, "PRAGMA schema_version") != b->version) {
        backup_fail("the schema was changed meanwhile: begin anew");
    }

    if (backup_erased(b) != b->erased) {
        backup_fail("messages were erased meanwhile: begin anew");
    }

    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {

        for (i = 0; i < width; i++) {
            value = sqlite3_value_dup(sqlite3_column_value(st, i));
            if (value == NULL) {
                backup_fail("no memory");
            }

            values[n * width + i] = value;
            bytes += sqlite3_value_bytes(value) + 8;
        }

        if (++n == BACKUP_ROWS || bytes >= BACKUP_BYTES) {
            rc = SQLITE_DONE;
            break;
        }
    }

    if (rc != SQLITE_DONE) {
        backup_fail("%s", sqlite3_errmsg(b->from));
    }

    (void) sqlite3_reset(st);

    backup_exec(b->from, "COMMIT");

    return n;
}


static void
backup_write(backup_t *b, backup_table_t *table, sqlite3_stmt *st,
    sqlite3_value **row)
{
    int  i, skip;

    /* the row id is one more column, and another key is among them */

    skip = table->rowid ? 0 : table->nkeys;

    for (i = skip; i < table->nkeys + table->ncolumns; i++) {
        (void) sqlite3_bind_value(st, i - skip + 1, row[i]);
        table->sum = backup_sum(table->sum, row[i]);
    }

    if (sqlite3_step(st) != SQLITE_DONE || sqlite3_reset(st) != SQLITE_OK) {
        backup_fail("%s: %s", b->part, sqlite3_errmsg(b->to));
    }

    table->rows++;
}


static sqlite3_stmt *
backup_select(sqlite3 *db, backup_table_t *table, int first)
{
    char          *marks, *after, *until;
    sqlite3_stmt  *st;

    marks = backup_marks(table->nkeys);

    after = sqlite3_mprintf("(%s) > (%s)", table->keys, marks);
    until = sqlite3_mprintf("rowid <= %lld", (long long) table->last);

    st = backup_prepare(db, "SELECT %s, %s FROM \"%w\" WHERE %s AND %s"
                        " ORDER BY %s", table->keys, table->columns,
                        table->name, first ? "1" : after,
                        table->rowid ? until : "1", table->keys);

    sqlite3_free(until);
    sqlite3_free(after);
    sqlite3_free(marks);

    return st;
}


static char *
backup_marks(int n)
{
    int   i;
    char  *marks, *more;

    marks = sqlite3_mprintf("?");

    for (i = 1; i < n; i++) {
        more = sqlite3_mprintf("%s, ?", marks);
        sqlite3_free(marks);
        marks = more;
    }

    return marks;
}


/* all but the rows, and then it is on the disk, in the mode of a store */

static void
backup_finish(backup_t *b)
{
    sqlite3_stmt  *st;

    backup_exec(b->from, "BEGIN");

    if (backup_number(b->from, "PRAGMA schema_version") != b->version) {
        backup_fail("the schema was changed meanwhile: begin anew");
    }

    backup_schema(b, "'index', 'view', 'trigger'");

    /* of AUTOINCREMENT */

    if (backup_number(b->to, "SELECT count(*) FROM sqlite_master"
                      " WHERE name = 'sqlite_sequence'"))
    {
        backup_exec(b->to, "DELETE FROM sqlite_sequence");

        st = backup_prepare(b->from, "SELECT name, seq FROM sqlite_sequence");

        while (sqlite3_step(st) == SQLITE_ROW) {
            backup_exec(b->to, "INSERT INTO sqlite_sequence VALUES (%Q, %lld)",
                        (char *) sqlite3_column_text(st, 0),
                        (long long) sqlite3_column_int64(st, 1));
        }

        (void) sqlite3_finalize(st);
    }

    backup_exec(b->to, "PRAGMA application_id = %d", BACKUP_APP);
    backup_exec(b->to, "PRAGMA user_version = %lld",
                (long long) backup_number(b->from, "PRAGMA user_version"));

    backup_exec(b->from, "COMMIT");

    backup_exec(b->to, backup_reset);
    backup_exec(b->to, "PRAGMA locking_mode = NORMAL");
    backup_exec(b->to, "PRAGMA journal_mode = WAL");

    if (sqlite3_close(b->to) != SQLITE_OK
        || sqlite3_close(b->from) != SQLITE_OK)
    {
        backup_fail("%s: it cannot be closed", b->part);
    }

    backup_sync(b->part, O_RDWR);
}


/* a file, or the folder that it is in */

static void
backup_sync(const char *path, int flags)
{
    int   fd;
    char  *end, name[PATH_MAX];

    (void) snprintf(name, sizeof(name), "%s", path);

    if (flags == O_RDONLY) {
        end = strrchr(name, '/');

        if (end == NULL) {
            strcpy(name, ".");

        } else {
            end[end == name] = '\0';
        }
    }

    fd = open(name, flags|O_CLOEXEC);

    if (fd == -1 || fsync(fd) == -1) {
        backup_fail("%s: %s", name, strerror(errno));
    }

    /* what is verified then comes from the disk */

    (void) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    (void) close(fd);
}


/* each page, and then each row */

static void
backup_verify(backup_t *b)
{
    int              i, k;
    int64_t          rows;
    uint64_t         sum;
    sqlite3_stmt    *st;
    backup_table_t  *table;

    if (sqlite3_open_v2(b->part, &b->to, SQLITE_OPEN_READWRITE, NULL)
        != SQLITE_OK)
    {
        backup_fail("%s: %s", b->part, sqlite3_errmsg(b->to));
    }

    st = backup_prepare(b->to, "PRAGMA integrity_check");

    if (sqlite3_step(st) != SQLITE_ROW
        || strcmp((char *) sqlite3_column_text(st, 0), "ok") != 0)
    {
        backup_fail("%s: it is damaged", b->part);
    }

    (void) sqlite3_finalize(st);

    for (i = 0; i < b->n; i++) {
        table = &b->tables[i];

        if (strcmp(table->name, "lyftr_state") == 0) {
            continue;
        }

        rows = 0;
        sum = 0;
        st = backup_select(b->to, table, 1);

        while (sqlite3_step(st) == SQLITE_ROW) {
            for (k = table->rowid ? 0 : table->nkeys;
                 k < sqlite3_column_count(st);
                 k++)
            {
                sum = backup_sum(sum, sqlite3_column_value(st, k));
            }

            rows++;
        }

        if (sqlite3_finalize(st) != SQLITE_OK || rows != table->rows
            || sum != table->sum)
        {
            backup_fail("%s: the rows of %s are not those that were read",
                        b->part, table->name);
        }
    }

    if (sqlite3_close(b->to) != SQLITE_OK) {
        backup_fail("%s: it cannot be closed", b->part);
    }

    b->to = NULL;
}


/* FNV-1a, of the type and the bytes */

static uint64_t
backup_sum(uint64_t sum, sqlite3_value *value)
{
    int                   i, n;
    const unsigned char  *p;

    n = sqlite3_value_type(value);
    sum = (sum ^ n) * 1099511628211ULL;

    p = sqlite3_value_blob(value);
    n = sqlite3_value_bytes(value);

    for (i = 0; i < n; i++) {
        sum = (sum ^ p[i]) * 1099511628211ULL;
    }

    return (sum ^ n) * 1099511628211ULL;
}


/* some times a second on a terminal, and at the end in any case */

static void
backup_progress(backup_t *b, const char *what, int end)
{
    int              i;
    int64_t          rows;
    struct timespec  now;

    static int64_t   shown;

    (void) clock_gettime(CLOCK_MONOTONIC, &now);

    if (!end && (!isatty(STDERR_FILENO)
                 || now.tv_sec * 5 + now.tv_nsec / 200000000 == shown))
    {
        return;
    }

    shown = now.tv_sec * 5 + now.tv_nsec / 200000000;

    for (rows = 0, i = 0; i < b->n; i++) {
        if (strcmp(b->tables[i].name, "lyftr_message") == 0) {
            rows = b->tables[i].rows;
        }
    }

    if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r%3d%% ",
                b->rows ? (int) (b->done * 100 / b->rows) : 100);
    }

    fprintf(stderr, "%s: %lld messages%s", what, (long long) rows,
            end ? "\n" : "");
}


static void
backup_exec(sqlite3 *db, const char *format, ...)
{
    int      rc;
    char     *sql;
    va_list  args;

    va_start(args, format);
    sql = backup_text(format, args);
    va_end(args);

    rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

    if (rc != SQLITE_OK) {
        backup_fail("%s: %s", sql, sqlite3_errmsg(db));
    }

    sqlite3_free(sql);
}


static int64_t
backup_number(sqlite3 *db, const char *format, ...)
{
    char          *sql;
    int64_t        n;
    va_list        args;
    sqlite3_stmt  *st;

    va_start(args, format);
    sql = backup_text(format, args);
    va_end(args);

    st = backup_prepare(db, "%s", sql);

    if (sqlite3_step(st) != SQLITE_ROW) {
        backup_fail("%s: %s", sql, sqlite3_errmsg(db));
    }

    n = sqlite3_column_int64(st, 0);

    (void) sqlite3_finalize(st);
    sqlite3_free(sql);

    return n;
}


static sqlite3_stmt *
backup_prepare(sqlite3 *db, const char *format, ...)
{
    char          *sql;
    va_list        args;
    sqlite3_stmt  *st;

    va_start(args, format);
    sql = backup_text(format, args);
    va_end(args);

    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK) {
        backup_fail("%s: %s", sql, sqlite3_errmsg(db));
    }

    sqlite3_free(sql);

    return st;
}


static char *
backup_text(const char *format, va_list args)
{
    char  *text;

    text = sqlite3_vmprintf(format, args);

    if (text == NULL) {
        backup_fail("no memory");
    }

    return text;
}


static void
backup_fail(const char *format, ...)
{
    va_list  args;

    fprintf(stderr, "backup: ");

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);

    fprintf(stderr, "\n");

    exit(1);
}

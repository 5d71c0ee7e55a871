/*
 * move [--verify] [--switch COMMAND] FROM TO: moves the messages of a store of
 * ngx_lyftr_module, also one that takes messages, from SQLite to PostgreSQL, or
 * back.
 *
 * TO is closed to all writers but this one from the first row on, and says of
 * which store.  Rows are copied in steps by their places, a transaction each:
 * who was killed goes on behind the last one.  At the switch FROM is closed as
 * well, what came last is copied, and only then TO is opened.  So nothing is in
 * TO that is not behind all of FROM, whoever delivers to which of them.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "move.h"


/* msec after the switch, until nothing comes to FROM any more */
#define MOVE_LINGER    1000
#define MOVE_QUIET     200
#define MOVE_LONGEST   3000

/* a URL in a file */
#define MOVE_URL       8192


typedef struct {
    move_store_t     from;
    move_store_t     to;
    move_rows_t     *rows;
    move_rows_t     *others;
    const char      *command;              /* NULL: no switch */
    int              verify;
    int64_t          start;                /* what is shown is behind it */
    int64_t          end;
    int64_t          after;                /* copied, as FROM counts */
    int64_t          copied;               /* by this process */
    int64_t          changed;
    int64_t          compared;
    int64_t          left;
    int64_t          verified;             /* up to this place of FROM, */
    int64_t          beside;               /* which has this one in TO */
} move_t;


static void move_open(move_store_t *store, const char *name);
static const char *move_file(const char *name);
static void move_begin(move_t *m);
static void move_resume(move_t *m);
static int move_copy(move_t *m);
static void move_switch(move_t *m);
static void move_drain(move_t *m);
static void move_verify(move_t *m);
static int move_pair(move_t *m, move_row_t *row, int64_t shift);
static int move_row(move_row_t *a, move_row_t *b);
static void move_progress(const char *what, int64_t n, int64_t at,
    int64_t end, int last);
static int move_reopen(const char *name);
static int move_usage(int code);


int
main(int argc, char *argv[])
{
    int      i;
    move_t  *m;

    m = move_alloc(sizeof(move_t));

    for (i = 1; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {

        if (strcmp(argv[i], "--verify") == 0) {
            m->verify = 1;

        } else if (strcmp(argv[i], "--switch") == 0 && i + 1 < argc) {
            m->command = argv[++i];

        } else if (strcmp(argv[i], "--reopen") == 0 && argc == 3 && i == 1) {
            return move_reopen(argv[2]);

        } else {
            return move_usage(strcmp(argv[i], "--help") == 0 && argc == 2
                              ? 0 : 2);
        }
    }

    if (argc - i != 2 || argv[i][0] == '-' || argv[i + 1][0] == '-') {
        return move_usage(2);
    }

    m->rows = move_alloc(sizeof(move_rows_t));
    m->others = move_alloc(sizeof(move_rows_t));

    move_open(&m->from, argv[i]);
    move_open(&m->to, argv[i + 1]);

    if (m->from.kind == m->to.kind) {
        move_fail("one of them is to be in SQLite, and one in PostgreSQL");
    }

    move_begin(m);

    while (move_copy(m)) { /* void */ }

    move_progress("copied", m->copied, m->after, m->end, 1);

    if (m->verify) {
        move_verify(m);
    }

    if (m->command) {
        move_switch(m);
    }

    if (m->changed) {
        fprintf(stderr, "times of arrival that were not in our form: %lld\n",
                (long long) m->changed);
    }

    return 0;
}


static int
move_usage(int code)
{
    fprintf(stderr,
            "usage: move [--verify] [--switch COMMAND] FROM TO\n"
            "       move --reopen STORE\n\n"
            "Copies the messages of a store, such as data/app.db, while it is "
            "in use, into\nanother one that is new and empty, such as "
            "postgresql://host/database, or back;\nfile:NAME is a file with "
            "the name.  Called again it goes on where it was.\n--verify "
            "compares all rows.  --switch has the command lead the senders "
            "to TO,\nsuch as 'nginx -s reload', and moves what came last.  "
            "--reopen has a store take\nmessages that was closed for a move "
            "which is given up.\n");

    return code;
}


static void
move_open(move_store_t *store, const char *name)
{
    if (strncmp(name, "file:", 5) == 0) {
        name = move_file(name + 5);
    }

    if (strncmp(name, "sqlite:///", 10) == 0) {
        name += 10;
    }

    store->kind = strncmp(name, "postgres", 8) == 0 && strstr(name, "://")
                  ? &move_postgres : &move_sqlite;
    store->kind->open(store, name);
}


/* its first line */

static const char *
move_file(const char *name)
{
    FILE  *in;
    char  *url;

    url = move_alloc(MOVE_URL);
    in = fopen(name, "re");

    if (in == NULL || fgets(url, MOVE_URL, in) == NULL) {
        move_fail("%s: %s", name,
                  in && feof(in) ? "it is empty" : strerror(errno));
    }

    (void) fclose(in);

    url[strcspn(url, "\r\n")] = '\0';

    return url;
}


/* TO is new, or what a move of the same store has left */

static void
move_begin(move_t *m)
{
    int64_t        from, to;
    move_store_t  *store;

    from = m->from.kind->closed(&m->from);
    to = m->to.kind->closed(&m->to);

    if (from && from != m->to.id) {
        move_fail("%s: it is closed, for a move from or to another store",
                  m->from.name);
    }

    if (to && to != m->from.id) {
        move_fail("%s: it is closed, for a move from or to another store",
                  m->to.name);
    }

    if (from && to == 0) {
        fprintf(stderr, "moved already\n");
        exit(0);
    }

    if (from && m->command == NULL) {
        move_fail("the switch has begun: go on with --switch");
    }

    store = &m->to;

    if (to == 0) {

        if (store->kind->last(store)) {
            move_fail("%s: it is not empty", store->name);
        }

        store->kind->close(store, m->from.id);

        if (store->kind->last(store)) {
            move_fail("%s: somebody has written to it just now: "
                      "give it a new database, or reopen it", store->name);
        }
    }

    move_resume(m);
}


/* behind the newest row of TO, which FROM is to have as well */

static void
move_resume(move_t *m)
{
    int64_t        at, last;
    move_store_t  *from, *to;

    from = &m->from;
    to = &m->to;

    last = to->kind->last(to);
    m->end = from->kind->last(from);

    if (last) {
        to->kind->read(to, last - 1, m->others);

        at = m->others->n ? from->kind->place(from, &m->others->rows[0]) : 0;

        /* it may have left both of them, and no place is given twice */

        if (at < 0 || (at == 0 && last > m->end)) {
            move_fail("%s does not have the newest row of %s: begin anew with "
                      "an empty one", from->name, to->name);
        }

        m->after = at ? at : last;
        to->shift = last - m->after;
    }

    m->start = m->after;
}


/* 0: there is no more for now */

static int
move_copy(move_t *m)
{
    int  i;

    m->from.kind->read(&m->from, m->after, m->rows);

    if (m->rows->n == 0) {
        return 0;
    }

    m->to.kind->write(&m->to, m->rows);

    for (i = 0; i < m->rows->n; i++) {
        m->changed += m->rows->rows[i].changed;
    }

    m->after = m->rows->rows[m->rows->n - 1].seq;
    m->copied += m->rows->n;

    move_progress("copied", m->copied, m->after - m->start,
                  m->end - m->start, 0);

    return 1;
}


/* senders wait meanwhile, or are told to try again */

static void
move_switch(move_t *m)
{
    int            rc;
    int64_t        start;
    move_store_t  *from, *to;

    from = &m->from;
    to = &m->to;

    start = move_msec();

    to->kind->hold(to);

    if (from->kind->closed(from) == 0) {
        rc = system(m->command);

        if (rc != 0) {
            move_fail("the command has failed with %d: nothing is switched",
                      WIFEXITED(rc) ? WEXITSTATUS(rc) : rc);
        }

        move_drain(m);

        from->kind->close(from, to->id);
    }

    while (move_copy(m)) { /* void */ }

    if (m->verify) {
        move_verify(m);
    }

    to->kind->reopen(to);

    fprintf(stderr, "moved: %s takes messages, after %lld msec\n", to->name,
            (long long) (move_msec() - start));
}


/* workers of the old configuration finish what they have begun */

static void
move_drain(move_t *m)
{
    int64_t  start, quiet;

    start = move_msec();
    quiet = start + MOVE_LINGER - MOVE_QUIET;

    while (move_msec() < quiet + MOVE_QUIET
           && move_msec() < start + MOVE_LONGEST)
    {
        if (!move_copy(m)) {
            move_sleep(20);

        } else if (move_msec() > quiet) {
            quiet = move_msec();
        }
    }
}


/* all rows that are not yet, and what TO has besides */

static void
move_verify(move_t *m)
{
    int           i;
    int64_t       shift;
    move_rows_t  *rows, *others;

    rows = m->rows;
    others = m->others;
    others->n = 0;

    shift = m->beside - m->verified;

    for ( ;; ) {
        m->from.kind->read(&m->from, m->verified, rows);

        for (i = 0; i < rows->n && rows->rows[i].seq <= m->after; i++) {

            if (!move_pair(m, &rows->rows[i], shift)) {
                move_fail("row %lld of %s is not in %s as it is there",
                          (long long) rows->rows[i].seq, m->from.name,
                          m->to.name);
            }

            m->verified = rows->rows[i].seq;
            m->compared++;
            shift = m->beside - m->verified;
        }

        if (i == 0) {
            break;
        }

        move_progress("compared", m->compared, m->verified, m->after, 0);
    }

    move_progress("compared", m->compared, 1, 1, 1);

    if (m->left) {
        fprintf(stderr, "rows that have left %s meanwhile: %lld\n",
                m->from.name, (long long) m->left);
    }
}


/* the next one of TO, behind those that FROM has no more */

static int
move_pair(move_t *m, move_row_t *row, int64_t shift)
{
    move_row_t   *other;
    move_rows_t  *others;

    static int    at;

    others = m->others;

    for ( ;; ) {

        if (others->n == 0 || at == others->n) {
            m->to.kind->read(&m->to, m->beside, others);
            at = 0;

            if (others->n == 0) {
                return 0;
            }
        }

        other = &others->rows[at];

        if (other->seq >= row->seq + shift) {
            break;
        }

        m->beside = other->seq;
        m->left++;
        at++;
    }

    m->beside = other->seq;
    at++;

    return move_row(row, other);
}


static int
move_row(move_row_t *a, move_row_t *b)
{
    int  i;

    for (i = 0; i < MOVE_COLUMNS; i++) {
        if (!move_same(&a->column[i], &b->column[i])) {
            return 0;
        }
    }

    return 1;
}


/* some times a second on a terminal, and at the end in any case */

static void
move_progress(const char *what, int64_t n, int64_t at, int64_t end, int last)
{
    static int64_t  shown;

    if (!last && (!isatty(STDERR_FILENO) || move_msec() / 200 == shown)) {
        return;
    }

    shown = move_msec() / 200;

    if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r%3d%% ",
                last || at >= end ? 100 : (int) (at * 100 / end));
    }

    fprintf(stderr, "%s: %lld messages%s", what, (long long) n,
            last ? "\n" : "");
}


static int
move_reopen(const char *name)
{
    move_store_t  store;

    memset(&store, 0, sizeof(move_store_t));

    move_open(&store, name);

    if (store.kind->closed(&store) == 0) {
        move_fail("%s: it is not closed", store.name);
    }

    store.kind->reopen(&store);

    return 0;
}


int64_t
move_other(const char *name)
{
    return (int64_t) strtoull(strrchr(name, '_') + 1, NULL, 16);
}


int
move_same(ngx_str_t *a, ngx_str_t *b)
{
    return (a->data == NULL) == (b->data == NULL)
           && a->len == b->len
           && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}


int64_t
move_msec(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


void
move_sleep(int msec)
{
    struct timespec  ts;

    ts.tv_sec = msec / 1000;
    ts.tv_nsec = msec % 1000 * 1000000;

    (void) nanosleep(&ts, NULL);
}


void *
move_alloc(size_t size)
{
    void  *p;

    p = calloc(1, size);

    if (p == NULL) {
        move_fail("no memory");
    }

    return p;
}


/* one line, whatever a library says */

void
move_fail(const char *format, ...)
{
    char     text[1024];
    va_list  args;

    va_start(args, format);
    (void) vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    text[strcspn(text, "\n")] = '\0';

    fprintf(stderr, "move: %s\n", text);

    exit(1);
}

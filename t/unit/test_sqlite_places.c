/*
 * Each place of the backend and the index that takes memory or calls SQLite
 * fails there once, in a script of an adoption, commits, reads of all kinds, a
 * check, housekeeping, and all made anew.  What is answered nevertheless is
 * right, at the end the store is what it should be, and of what the process
 * had for it nothing is left.
 */

#include "unit_check.h"

#include <ngx_lyftr_sqlite_jobs.h>
#include <ngx_lyftr_sqlite_rebuild.h>

#include <dirent.h>


#define TEST_OLD     40
#define TEST_ROWS    (TEST_OLD + 12 * NGX_LYFTR_TALLY)
#define TEST_PLACES  512


/* where a call comes from, and of a statement its text */

typedef struct {
    void                *from;
    const char          *what;
    ngx_uint_t           calls;
} test_place_t;


static test_place_t  places[TEST_PLACES];
static ngx_uint_t    nplaces;

static ngx_uint_t    armed;                /* the script runs */
static ngx_uint_t    bad, left;            /* the place, and the call there */
static ngx_uint_t    hits;
static int           faked;                /* what SQLite is to have said */
static ngx_int_t     allocated;

static unit_row_t    rows[TEST_ROWS];      /* in the order of arrival */


static ngx_uint_t
test_fails(void *from, const char *what)
{
    ngx_uint_t  i;

    if (!armed) {
        return 0;
    }

    for (i = 0; i < nplaces; i++) {
        if (places[i].from == from && strcmp(places[i].what, what) == 0) {
            break;
        }
    }

    if (i == nplaces) {
        assert_true(nplaces < TEST_PLACES);
        places[nplaces].from = from;
        places[nplaces++].what = strdup(what);
    }

    places[i].calls++;

    if (i + 1 != bad || --left) {
        return 0;
    }

    hits++;

    return 1;
}


#define test_from  __builtin_return_address(0)

void *__real_malloc(size_t len);
void *__real_calloc(size_t n, size_t len);
void *__real_realloc(void *p, size_t len);
void __real_free(void *p);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t n, size_t len);
void *__wrap_realloc(void *p, size_t len);
void __wrap_free(void *p);

void *__real_sqlite3_malloc(int len);
void *__real_sqlite3_malloc64(sqlite3_uint64 len);
void *__real_sqlite3_realloc64(void *p, sqlite3_uint64 len);
char *__real_sqlite3_mprintf(const char *fmt, ...);
void *__wrap_sqlite3_malloc(int len);
void *__wrap_sqlite3_malloc64(sqlite3_uint64 len);
void *__wrap_sqlite3_realloc64(void *p, sqlite3_uint64 len);

int __real_sqlite3_step(sqlite3_stmt *st);
int __real_sqlite3_exec(sqlite3 *db, const char *sql,
    int (*f)(void *, int, char **, char **), void *data, char **msg);
int __real_sqlite3_prepare_v2(sqlite3 *db, const char *sql, int len,
    sqlite3_stmt **st, const char **tail);
int __real_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int len,
    unsigned int flags, sqlite3_stmt **st, const char **tail);
int __real_sqlite3_extended_errcode(sqlite3 *db);
int __wrap_sqlite3_step(sqlite3_stmt *st);
int __wrap_sqlite3_exec(sqlite3 *db, const char *sql,
    int (*f)(void *, int, char **, char **), void *data, char **msg);
int __wrap_sqlite3_prepare_v2(sqlite3 *db, const char *sql, int len,
    sqlite3_stmt **st, const char **tail);
int __wrap_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int len,
    unsigned int flags, sqlite3_stmt **st, const char **tail);
int __wrap_sqlite3_extended_errcode(sqlite3 *db);


void *
__wrap_malloc(size_t len)
{
    if (test_fails(test_from, "malloc")) {
        return NULL;
    }

    allocated++;

    return __real_malloc(len);
}


void *
__wrap_calloc(size_t n, size_t len)
{
    if (test_fails(test_from, "calloc")) {
        return NULL;
    }

    allocated++;

    return __real_calloc(n, len);
}


void *
__wrap_realloc(void *p, size_t len)
{
    if (test_fails(test_from, "realloc")) {
        return NULL;
    }

    allocated += (p == NULL);

    return __real_realloc(p, len);
}


void
__wrap_free(void *p)
{
    allocated -= (p != NULL);
    __real_free(p);
}


void *
__wrap_sqlite3_malloc(int len)
{
    return test_fails(test_from, "sqlite3_malloc")
           ? NULL : __real_sqlite3_malloc(len);
}


void *
__wrap_sqlite3_malloc64(sqlite3_uint64 len)
{
    return test_fails(test_from, "sqlite3_malloc64")
           ? NULL : __real_sqlite3_malloc64(len);
}


void *
__wrap_sqlite3_realloc64(void *p, sqlite3_uint64 len)
{
    return test_fails(test_from, "sqlite3_realloc64")
           ? NULL : __real_sqlite3_realloc64(p, len);
}


/* the disk does not let it be read, or written */

static int
test_faked(void)
{
    faked = SQLITE_IOERR_WRITE;

    return SQLITE_IOERR_WRITE;
}


int
__wrap_sqlite3_step(sqlite3_stmt *st)
{
    faked = 0;

    return test_fails(test_from, sqlite3_sql(st))
           ? test_faked() : __real_sqlite3_step(st);
}


int
__wrap_sqlite3_exec(sqlite3 *db, const char *sql,
    int (*f)(void *, int, char **, char **), void *data, char **msg)
{
    faked = 0;

    /* what was begun is ended, or else SQLite ends it with the connection */

    return strcmp(sql, "ROLLBACK") != 0 && test_fails(test_from, sql)
           ? test_faked() : __real_sqlite3_exec(db, sql, f, data, msg);
}


int
__wrap_sqlite3_prepare_v2(sqlite3 *db, const char *sql, int len,
    sqlite3_stmt **st, const char **tail)
{
    faked = 0;

    if (test_fails(test_from, "prepare")) {
        *st = NULL;
        return test_faked();
    }

    return __real_sqlite3_prepare_v2(db, sql, len, st, tail);
}


int
__wrap_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int len,
    unsigned int flags, sqlite3_stmt **st, const char **tail)
{
    faked = 0;

    if (test_fails(test_from, "prepare")) {
        *st = NULL;
        return test_faked();
    }

    return __real_sqlite3_prepare_v3(db, sql, len, flags, st, tail);
}


int
__wrap_sqlite3_extended_errcode(sqlite3 *db)
{
    return faked ? faked : __real_sqlite3_extended_errcode(db);
}


/* a connection of a lane, which is made anew after an error */

typedef struct {
    void                *c;
    ngx_uint_t           flags;
    ngx_uint_t           failed;           /* the last commit */
} test_lane_t;


static ngx_uint_t
test_open(test_lane_t *lane)
{
    ngx_uint_t  flags;

    if (lane->c == NULL) {
        flags = NGX_LYFTR_OPEN_CREATE|lane->flags
                |(lane->failed ? NGX_LYFTR_OPEN_FAILED : 0);

        lane->c = b->open(&dsn, flags, unit_in(20000), &err);
    }

    return lane->c != NULL;
}


static void
test_close(test_lane_t *lane)
{
    if (lane->c) {
        b->close(lane->c);
        lane->c = NULL;
    }
}


/* it failed: that is right only if a call did */

static void
test_failed(test_lane_t *lane, const char *what)
{
    assert_true(err.len > 0);

    if (hits == 0 && err.code != NGX_LYFTR_ERR_ADOPT) {
        fail_msg("%s: %.*s", what, (int) err.len, err.text);
    }

    test_close(lane);
}


static ngx_int_t
test_batch(test_lane_t *lane, ngx_uint_t from, ngx_uint_t n)
{
    ngx_int_t            rc;
    ngx_uint_t           i;
    ngx_lyftr_batch_t    batch;
    ngx_lyftr_write_t    write, *writes;
    ngx_lyftr_message_t  m[20];

    if (!test_open(lane)) {
        test_failed(lane, "open");
        return NGX_ERROR;
    }

    rc = b->turn(lane->c, unit_in(20000), &err);

    if (rc == NGX_DECLINED) {
        return rc;
    }

    if (rc == NGX_ERROR) {
        test_failed(lane, "turn");
        return rc;
    }

    ngx_memzero(m, sizeof(m));

    for (i = 0; i < n; i++) {
        m[i].message_id = rows[from + i].id;
        m[i].from = rows[from + i].from;
        m[i].to = unit_str("+200");
        m[i].ts = rows[from + i].ts;
        m[i].text = rows[from + i].text;
        m[i].type = rows[from + i].type;
        m[i].raw = rows[from + i].raw;
        m[i].instant = rows[from + i].t;
    }

    ngx_memzero(&write, sizeof(write));
    write.messages = m;
    write.n = n;

    ngx_memzero(&batch, sizeof(batch));
    writes = &write;
    batch.writes = &writes;
    batch.n = 1;

    rc = b->write(lane->c, &batch, unit_in(20000), &err);
    lane->failed = (rc != NGX_OK);

    if (rc != NGX_OK) {
        test_failed(lane, "write");
    }

    return rc;
}


/* until there is nothing to do, or so many steps */

static void
test_housekeep(test_lane_t *lane, ngx_uint_t steps)
{
    ngx_int_t   rc;
    ngx_uint_t  n;

    for (n = 0; n < steps; n++) {

        if (!test_open(lane)) {
            test_failed(lane, "open");
            continue;
        }

        err.code = NGX_LYFTR_ERR_NONE;

        rc = b->housekeep(lane->c, unit_in(20000), &err);

        if (rc == NGX_ERROR) {
            test_failed(lane, "housekeep");
            continue;
        }

        /* in another process it has not failed, and need not wait */

        if (err.code != NGX_LYFTR_ERR_NONE && rc != NGX_AGAIN) {
            test_failed(lane, "a job");
            continue;
        }

        if (rc == NGX_DONE) {
            return;
        }
    }
}


/* the first rows, sorted: those that the store is to have */

static void
test_model(ngx_uint_t n)
{
    ngx_memcpy(model, rows, n * sizeof(unit_row_t));
    nmodel = n;
    unit_model_sort();
}


/* a list, in pages; it fails, or is right */

static ngx_int_t
test_list(test_lane_t *lane, ngx_lyftr_query_t *q)
{
    ngx_int_t           rc;
    ngx_uint_t          i, k, n;
    unit_sink_t         sink;
    ngx_lyftr_page_t    page;
    static unit_row_t  *want[UNIT_ROWS + 1];

    for (i = 0, n = 0; i < nmodel; i++) {
        k = q->desc ? nmodel - 1 - i : i;

        if (unit_row_matches(&model[k], q)) {
            want[n++] = &model[k];
        }
    }

    want[n] = NULL;
    sink.want = want;
    sink.fields = q->fields;
    sink.n = 0;
    sink.bad = 0;

    do {
        rc = b->list(lane->c, q, unit_sink, &sink, &page, &err);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        assert_int_equal(page.total, n);
        assert_int_equal(sink.bad, 0);
        assert_int_equal(sink.n < n, page.next.seq != 0);

        q->after = page.next;

    } while (page.next.seq);

    assert_int_equal(sink.n, n);

    return NGX_OK;
}


static ngx_int_t
test_lists(test_lane_t *lane)
{
    ngx_uint_t         i;
    ngx_lyftr_query_t  q;

    static const char  *needles[] = { "needle", "100%_", "x", "dle he" };

    for (i = 0; i < 12; i++) {
        ngx_memzero(&q, sizeof(ngx_lyftr_query_t));

        q.limit = 90;
        q.desc = i % 2;
        q.fields = i % 3 ? NGX_LYFTR_FIELDS_DEFAULT : NGX_LYFTR_FIELDS_EXTRA;

        if (i % 4 == 1) {
            q.from = rows[i].from;
        }

        if (i % 4 == 2) {
            q.since = unit_str("2025-01-15T10:00:10Z");
            (void) ngx_lyftr_instant_parse_since(q.since.data, q.since.len,
                                                 &q.instant);
        }

        if (i % 4 == 3) {
            q.id = rows[i].id;
        }

        if (i >= 4 && i < 8) {
            q.q = unit_str(needles[i - 4]);
        }

        if (test_list(lane, &q) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
test_follower(void *data, ngx_lyftr_message_t *m,
    ngx_lyftr_position_t *position)
{
    ngx_uint_t *n = data;

    assert_true(*n < TEST_ROWS);
    assert_int_equal(unit_str_cmp(&m->message_id, &rows[*n].id), 0);
    assert_int_equal(unit_differs(&m->raw, &rows[*n].raw), 0);
    (*n)++;

    return NGX_OK;
}


static ngx_int_t
test_stats(test_lane_t *lane)
{
    ngx_uint_t         i, n;
    ngx_lyftr_stats_t  s;

    if (b->stats(lane->c, &s, &err) != NGX_OK) {
        return NGX_ERROR;
    }

    assert_int_equal(s.total, nmodel);

    for (i = 0, n = 0; i < nmodel; i++) {
        n += (unit_str_cmp(&model[i].from, &s.top[0].from) == 0);
    }

    assert_int_equal(s.top[0].count, n);
    assert_int_equal(unit_str_cmp(&s.first, &model[0].ts), 0);
    assert_int_equal(unit_str_cmp(&s.last, &model[nmodel - 1].ts), 0);

    return NGX_OK;
}


/* what is read of so many rows; there is no row that nobody knows of */

static void
test_reads(test_lane_t *lane, ngx_uint_t n)
{
    ngx_uint_t          followed;
    ngx_lyftr_follow_t  follow;

    if (!test_open(lane)) {
        test_failed(lane, "open");
        return;
    }

    test_model(n);

    ngx_memzero(&follow, sizeof(ngx_lyftr_follow_t));
    follow.begin = 1;
    follow.extra = 1;
    followed = 0;

    if (b->begin(lane->c, unit_in(20000), &err) != NGX_OK
        || test_stats(lane) != NGX_OK
        || test_lists(lane) != NGX_OK)
    {
        b->end(lane->c);
        test_failed(lane, "a read");
        return;
    }

    b->end(lane->c);

    do {
        if (b->begin(lane->c, unit_in(20000), &err) != NGX_OK
            || b->follow(lane->c, &follow, test_follower, &followed, &err)
               != NGX_OK)
        {
            b->end(lane->c);
            test_failed(lane, "follow");
            return;
        }

        b->end(lane->c);

    } while (!follow.end);

    assert_int_equal(followed, n);

    if (b->probe(lane->c, 1, &err) == NGX_ERROR) {
        test_failed(lane, "probe");
    }
}


/* to the end; damage that is none must not be seen */

static void
test_check(test_lane_t *lane)
{
    ngx_int_t   rc;
    ngx_uint_t  n;

    for (n = 0; n < 500; n++) {

        if (!test_open(lane)) {
            test_failed(lane, "open");
            continue;
        }

        rc = unit_verify(lane->c, 20000);

        if (rc == NGX_DONE) {
            return;
        }

        if (rc == NGX_ERROR) {
            assert_int_not_equal(err.code, NGX_LYFTR_ERR_CORRUPT);
            test_failed(lane, "check");
        }
    }
}


static void
test_script(void)
{
    int            fd;
    char           name[128];
    ngx_uint_t     i, tries;
    test_lane_t    writer, reader, keeper, checker;

    ngx_memzero(&writer, sizeof(test_lane_t));
    ngx_memzero(&reader, sizeof(test_lane_t));
    ngx_memzero(&keeper, sizeof(test_lane_t));
    ngx_memzero(&checker, sizeof(test_lane_t));

    keeper.flags = NGX_LYFTR_OPEN_JOBS;

    test_housekeep(&keeper, 100);

    for (i = TEST_OLD; i < TEST_ROWS; i += 16) {

        /* the sender tries again until it gets its 200 */

        for (tries = 0; test_batch(&writer, i, 16) != NGX_OK; tries++) {
            if (tries == 3) {
                fail_msg("commit: %.*s", (int) err.len, err.text);
            }
        }

        test_housekeep(&keeper, 12);

        if (i % 5 == 0) {
            test_reads(&reader, i + 16);
        }

        if (i % 96 == 40 && keeper.c && reader.c
            && ngx_lyftr_sqlite_checkpoint(keeper.c, reader.c, unit_in(20000),
                                           &err)
               == NGX_ERROR)
        {
            test_failed(&reader, "checkpoint");
            test_close(&keeper);
        }
    }

    test_housekeep(&keeper, 2000);
    test_check(&checker);

    /* and all of it is made anew */

    (void) snprintf(name, sizeof(name), "%s/t.db%s", dir,
                    NGX_LYFTR_SQLITE_REBUILD);
    fd = open(name, O_CREAT|O_WRONLY, 0644);
    assert_int_not_equal(fd, -1);
    (void) close(fd);

    for (i = 0; i < 20 && access(name, F_OK) == 0; i++) {
        test_housekeep(&keeper, 1000);
    }

    test_reads(&reader, TEST_ROWS);
    test_check(&checker);

    test_close(&writer);
    test_close(&keeper);
    test_close(&reader);
    test_close(&checker);
}


/* one who has seen nothing of it finds all, and in order */

static void
test_judge(void)
{
    void  *c;

    static const char  *faults =
        "SELECT (SELECT count(*) FROM pragma_integrity_check"
        " WHERE integrity_check <> 'ok')"
        " + (SELECT count(*) FROM lyftr_block WHERE no >> 36 NOT IN"
        " (SELECT id FROM lyftr_segment))"
        " + (SELECT count(*) FROM lyftr_gram WHERE no >> 40 NOT IN"
        " (SELECT id FROM lyftr_search))"
        " + (SELECT count(*) FROM lyftr_search WHERE level < 0)"
        " + (SELECT count(*) FROM (SELECT from_msisdn, count(*) AS n"
        " FROM lyftr_message GROUP BY 1) LEFT JOIN lyftr_count"
        " USING (from_msisdn) WHERE n IS NOT count)"
        " + (SELECT senders <> (SELECT count(*) FROM lyftr_count)"
        " FROM lyftr_state)"
        " + (SELECT rebuild FROM lyftr_state)";

    test_model(TEST_ROWS);

    c = unit_open_as(NGX_LYFTR_OPEN_CREATE|NGX_LYFTR_OPEN_JOBS);
    unit_housekeep_all(c);
    unit_check(c, 20, 1);
    unit_model_known(c);

    if (unit_pass(c) == -1) {
        fail_msg("check: %.*s", (int) err.len, err.text);
    }

    b->close(c);

    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_message"),
                     TEST_ROWS);
    assert_int_equal(unit_sql_int(faults), 0);
}


static ngx_uint_t
test_descriptors(void)
{
    DIR         *d;
    ngx_uint_t   n;

    d = opendir("/proc/self/fd");
    assert_non_null(d);

    for (n = 0; readdir(d); n++) { /* void */ }

    (void) closedir(d);

    return n;
}


/* a database of the service before, with the first rows */

static void
test_old(void)
{
    int            rc;
    ngx_uint_t     i;
    sqlite3       *db;
    sqlite3_stmt  *st;

    unit_sql("CREATE TABLE messages (message_id TEXT PRIMARY KEY, from_msisdn"
             " TEXT NOT NULL, to_msisdn TEXT NOT NULL, ts TEXT NOT NULL,"
             " text TEXT, created_at TEXT NOT NULL DEFAULT 'now')");

    assert_int_equal(sqlite3_open((char *) dsn.common.path, &db), SQLITE_OK);
    rc = sqlite3_prepare_v2(db, "INSERT INTO messages (message_id, from_msisdn,"
                            " to_msisdn, ts, text) VALUES (?, ?, '+200', ?, ?)",
                            -1, &st, NULL);
    assert_int_equal(rc, SQLITE_OK);

    for (i = 0; i < TEST_OLD; i++) {
        (void) sqlite3_bind_text(st, 1, (char *) rows[i].id.data,
                                 rows[i].id.len, SQLITE_STATIC);
        (void) sqlite3_bind_text(st, 2, (char *) rows[i].from.data,
                                 rows[i].from.len, SQLITE_STATIC);
        (void) sqlite3_bind_text(st, 3, (char *) rows[i].ts.data,
                                 rows[i].ts.len, SQLITE_STATIC);
        (void) sqlite3_bind_text(st, 4, (char *) rows[i].text.data,
                                 rows[i].text.len, SQLITE_STATIC);
        assert_int_equal(sqlite3_step(st), SQLITE_DONE);
        (void) sqlite3_reset(st);
    }

    assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}


/* the call of that number at the place fails; 0: none */

static void
test_run(ngx_uint_t place, ngx_uint_t call)
{
    int64_t     sqlite;
    ngx_int_t   memory;
    ngx_uint_t  i, files;

    for (i = 0; i < nplaces; i++) {
        places[i].calls = 0;
    }

    memory = allocated;
    sqlite = sqlite3_memory_used();
    files = test_descriptors();

    assert_int_equal(unit_setup(NULL), 0);
    ngx_memzero((void *) words, sizeof(words));
    dsn.common.words = words;
    dsn.search = 1;

    test_old();

    bad = place;
    left = call;
    hits = 0;
    faked = 0;

    armed = 1;
    test_script();
    armed = 0;

    test_judge();

    nmodel = 0;
    assert_int_equal(unit_teardown(NULL), 0);

    assert_int_equal(allocated, memory);
    assert_int_equal(sqlite3_memory_used(), sqlite);
    assert_int_equal(test_descriptors(), files);
}


static void
test_places(void **state)
{
    ngx_uint_t  i, n, calls[TEST_PLACES], met;

    seed = 7;

    for (i = 0; i < TEST_ROWS; i++) {
        rows[i] = *unit_model_random();

        /* that service had neither */

        if (i < TEST_OLD) {
            ngx_str_null(&rows[i].type);
            ngx_str_null(&rows[i].raw);
        }
    }

    /* twice: what is made once a process is there then */

    test_run(0, 0);
    test_run(0, 0);

    n = nplaces;
    assert_true(n > 100);

    for (i = 0; i < n; i++) {
        calls[i] = places[i].calls;
    }

    for (i = 0, met = 0; i < n; i++) {

        if (calls[i] == 0) {
            continue;
        }

        test_run(i + 1, 1);
        met += hits;

        if (calls[i] > 2) {
            test_run(i + 1, calls[i] / 2);
        }
    }

    /* the clock is in it: a place is not always passed */

    assert_true(met * 10 > n * 9);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_places)
    };

    return cmocka_run_group_tests_name("sqlite_places", tests, NULL, NULL);
}

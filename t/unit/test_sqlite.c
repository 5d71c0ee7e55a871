#include "unit.h"

#include <sqlite3.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>


#define TEST_ROWS    4600
#define TEST_PROCS   8


typedef struct {
    char                 id[32];
    char                 from[16];
    char                 ts[40];
    char                 text[48];
    ngx_uint_t           null;
    ngx_lyftr_instant_t  t;
} test_row_t;


typedef struct {
    ngx_uint_t           n;
    ngx_int_t            stop;
    test_row_t           rows[128];
} test_sink_t;


static ngx_lyftr_backend_t  *b = &ngx_lyftr_sqlite_backend;
static ngx_lyftr_error_t     err;
static ngx_lyftr_dsn_t       dsn;
static char                  dir[64];

static test_row_t            model[TEST_ROWS];
static ngx_uint_t            nmodel;


/* SQLite's calls come here */

static ngx_uint_t            syncs;
static ngx_uint_t            bad_sync;      /* which call fails, from now on */


int
fdatasync(int fd)
{
    if (bad_sync && --bad_sync == 0) {
        errno = EIO;
        return -1;
    }

    syncs++;

    return syscall(SYS_fdatasync, fd);
}


#define test_in(msec)  (ngx_lyftr_clock() + (msec))


static ngx_str_t
test_str(const char *s)
{
    ngx_str_t  str;

    str.data = (u_char *) s;
    str.len = s ? strlen(s) : 0;

    return str;
}


static void
test_sql(const char *sql)
{
    char     *msg;
    sqlite3  *db;

    msg = NULL;

    assert_int_equal(sqlite3_open((char *) dsn.path, &db), SQLITE_OK);
    (void) sqlite3_busy_timeout(db, 2000);

    if (sqlite3_exec(db, sql, NULL, NULL, &msg) != SQLITE_OK) {
        print_error("%s\n", msg);
        fail();
    }

    (void) sqlite3_close(db);
}


static void *
test_open(void)
{
    void  *c;

    c = b->open(&dsn, 1, test_in(4000), &err);

    if (c == NULL) {
        print_error("open: %.*s\n", (int) err.len, err.text);
        fail();
    }

    return c;
}


static void
test_fails(ngx_lyftr_err_e code)
{
    err.code = NGX_LYFTR_ERR_NONE;

    assert_null(b->open(&dsn, 1, test_in(300), &err));

    if (err.code != code) {
        print_error("code %d: %.*s\n", err.code, (int) err.len, err.text);
        fail();
    }

    assert_true(err.len > 0 && err.len < NGX_LYFTR_ERROR_LEN);
    assert_null(memchr(err.text, '\n', err.len));
}


static ngx_int_t
test_add(void *c, test_row_t *r)
{
    ngx_lyftr_message_t  m;

    m.message_id = test_str(r->id);
    m.from = test_str(r->from);
    m.to = test_str("+200");
    m.ts = test_str(r->ts);
    m.text = test_str(r->null ? NULL : r->text);

    assert_int_equal(ngx_lyftr_instant_parse(m.ts.data, m.ts.len, &r->t),
                     NGX_OK);
    m.instant = r->t;

    return b->insert(c, &m, &err);
}


static ngx_int_t
test_one(void *c, const char *id)
{
    ngx_int_t   rc;
    test_row_t  r;

    ngx_memzero(&r, sizeof(test_row_t));
    (void) snprintf(r.id, sizeof(r.id), "%s", id);
    (void) strcpy(r.from, "+1");
    (void) strcpy(r.ts, "2025-01-15T10:00:00Z");

    assert_int_equal(b->begin(c, 1, test_in(2000), &err), NGX_OK);
    rc = test_add(c, &r);
    assert_int_equal(b->commit(c, &err), NGX_OK);

    return rc;
}


static ngx_int_t
test_sink(void *data, ngx_lyftr_message_t *m)
{
    test_sink_t *sink = data;

    test_row_t  *r;

    if (sink->stop) {
        return NGX_ERROR;
    }

    assert_true(sink->n < unit_count(sink->rows));

    r = &sink->rows[sink->n++];
    ngx_memzero(r, sizeof(test_row_t));

    (void) snprintf(r->id, sizeof(r->id), "%.*s", (int) m->message_id.len,
                    m->message_id.data);
    (void) snprintf(r->from, sizeof(r->from), "%.*s", (int) m->from.len,
                    m->from.data);
    (void) snprintf(r->ts, sizeof(r->ts), "%.*s", (int) m->ts.len,
                    m->ts.data);

    r->null = (m->text.data == NULL);

    if (!r->null) {
        (void) snprintf(r->text, sizeof(r->text), "%.*s", (int) m->text.len,
                        m->text.data);
    }

    return NGX_OK;
}


static ngx_int_t
test_list(void *c, ngx_lyftr_query_t *q, test_sink_t *sink,
    ngx_lyftr_page_t *page)
{
    ngx_int_t  rc;

    sink->n = 0;
    sink->stop = 0;

    assert_int_equal(b->begin(c, 0, test_in(4000), &err), NGX_OK);
    rc = b->list(c, q, test_sink, sink, page, &err);

    if (rc == NGX_ERROR) {
        print_error("list: %.*s\n", (int) err.len, err.text);
    }

    assert_int_equal(b->commit(c, &err), NGX_OK);

    return rc;
}


static int
test_cmp(const void *one, const void *two)
{
    int               rc;
    const test_row_t  *x, *y;

    x = one;
    y = two;

    rc = memcmp(x->t.data, y->t.data, ngx_min(x->t.len, y->t.len));

    if (rc == 0) {
        rc = (int) x->t.len - (int) y->t.len;
    }

    return rc ? rc : strcmp(x->id, y->id);
}


static int
test_setup(void **state)
{
    ngx_str_t  url;
    char       buf[128];

    (void) strcpy(dir, "/tmp/test_sqlite.XXXXXX");

    if (mkdtemp(dir) == NULL) {
        return -1;
    }

    (void) snprintf(buf, sizeof(buf), "sqlite:///%s/t.db", dir);
    url = test_str(buf);

    if (b->init(&dsn, &url, &err) != NGX_OK) {
        return -1;
    }

    dsn.max_wal = 256 << 20;

    return 0;
}


static int
test_teardown(void **state)
{
    char  buf[128];

    (void) snprintf(buf, sizeof(buf), "rm -rf '%s'", dir);

    return system(buf);
}


static void
test_init(void **state)
{
    char             want[2 * NGX_MAX_PATH], cwd[NGX_MAX_PATH];
    ngx_str_t        url;
    ngx_uint_t       i;
    ngx_lyftr_dsn_t  d;

    static struct {
        char        *url;
        char        *path;
    } ok[] = {
        { "sqlite:////data/app.db", "/data/app.db" },
        { "sqlite+aiosqlite:////data/app.db", "/data/app.db" },
        { "sqlite:////a%20b.db?x=1&y", "/a%20b.db" },
        { "sqlite:///app.db", "app.db" },
        { "sqlite+pysqlite:///data/app.db", "data/app.db" }
    };

    static ngx_str_t  bad[] = {
        ngx_string(""),
        ngx_string("sqlite"),
        ngx_string("sqlite:"),
        ngx_string("sqlite://"),
        ngx_string("sqlite:///"),
        ngx_string("sqlite:///?x"),
        ngx_string("sqlite:///:memory:"),
        ngx_string("sqlite+:////a.db"),
        ngx_string("sqlite+a-b:////a.db"),
        ngx_string("sqlite://host/a.db"),
        ngx_string("sqlite:////data/"),
        ngx_string("sqlite:////a\0b"),
        ngx_string("postgresql:///a")
    };

    assert_non_null(getcwd(cwd, sizeof(cwd)));

    for (i = 0; i < unit_count(ok); i++) {
        url = test_str(ok[i].url);
        assert_int_equal(b->init(&d, &url, &err), NGX_OK);

        (void) snprintf(want, sizeof(want), "%s%s%s",
                        ok[i].path[0] == '/' ? "" : cwd,
                        ok[i].path[0] == '/' ? "" : "/", ok[i].path);
        assert_string_equal(d.path, want);
    }

    for (i = 0; i < unit_count(bad); i++) {
        err.len = 0;
        assert_int_equal(b->init(&d, &bad[i], &err), NGX_ERROR);
        assert_true(err.len > 0);
    }

    url.len = NGX_MAX_PATH + 10;
    url.data = malloc(url.len);
    ngx_memset(url.data, 'x', url.len);
    ngx_memcpy(url.data, "sqlite:////", 11);
    assert_int_equal(b->init(&d, &url, &err), NGX_ERROR);
    free(url.data);
}


static void
test_files(void **state)
{
    void         *c;
    char          path[160];
    ngx_uint_t    i;
    struct stat   sb;

    static char  *suffixes[] = { "", "-wal", "-shm", "-lock" };

    (void) umask(0);

    c = test_open();
    assert_int_equal(test_one(c, "a"), NGX_OK);

    for (i = 0; i < unit_count(suffixes); i++) {
        (void) snprintf(path, sizeof(path), "%s/t.db%s", dir, suffixes[i]);
        assert_int_equal(stat(path, &sb), 0);
        assert_int_equal(sb.st_mode & 0777, 0600);
    }

    b->close(c);

    /* the log stays, and with it the row */

    c = test_open();
    assert_int_equal(test_one(c, "a"), NGX_DECLINED);
    assert_int_equal(test_one(c, "A"), NGX_OK);
    b->close(c);

    test_sql("CREATE TEMP TABLE t (n CHECK (n = 2));"
             "INSERT INTO t SELECT count(*) FROM messages WHERE"
             " from_msisdn = '+1' AND to_msisdn = '+200' AND text = ''"
             " AND created_at LIKE '20__-__-__T__:__:__.___Z'");
}


/* the rows of the model that match, in order; -1: all */

static void
test_compare(void *c, const char *from, const char *since, const char *q,
    ngx_uint_t paged)
{
    ngx_int_t            offset;
    test_row_t          *r, *want[TEST_ROWS];
    ngx_uint_t           i, n, seen;
    test_sink_t          sink;
    ngx_lyftr_page_t     page;
    ngx_lyftr_query_t    query;

    ngx_memzero(&query, sizeof(ngx_lyftr_query_t));

    query.from = test_str(from);
    query.q = test_str(q);
    query.since = test_str(since);

    if (since) {
        assert_int_equal(ngx_lyftr_instant_parse_since(query.since.data,
                                                       query.since.len,
                                                       &query.instant),
                         NGX_OK);
    }

    for (i = 0, n = 0; i < nmodel; i++) {
        r = &model[i];

        if ((from && strcmp(r->from, from) != 0)
            || (q && (r->null || strcasestr(r->text, q) == NULL)))
        {
            continue;
        }

        if (since) {
            test_row_t  s;

            s.t = query.instant;
            s.id[0] = '\0';

            if (test_cmp(r, &s) < 0) {
                continue;
            }
        }

        want[n++] = r;
    }

    query.limit = paged ? 97 : 100;

    for (offset = 0, seen = 0; /* void */; offset = seen) {
        query.offset = query.after.seq ? 0 : offset;

        assert_int_equal(test_list(c, &query, &sink, &page), NGX_OK);
        assert_int_equal(page.total, n);
        assert_int_equal(sink.n, ngx_min((ngx_uint_t) query.limit, n - seen));

        for (i = 0; i < sink.n; i++, seen++) {
            assert_string_equal(sink.rows[i].id, want[seen]->id);
            assert_string_equal(sink.rows[i].from, want[seen]->from);
            assert_string_equal(sink.rows[i].ts, want[seen]->ts);
            assert_string_equal(sink.rows[i].text, want[seen]->text);
            assert_int_equal(sink.rows[i].null, want[seen]->null);
        }

        assert_int_equal(page.next.seq != 0, seen < n);

        if (seen == n) {
            break;
        }

        if (paged) {
            query.after = page.next;
        }
    }
}


static void
test_check_stats(void *c)
{
    int                i, j, n, best;
    int64_t            counts[100];
    char               from[16];
    ngx_lyftr_stats_t  s;

    ngx_memzero(counts, sizeof(counts));

    for (i = 0, n = 0; i < (int) nmodel; i++) {
        n += (counts[atoi(model[i].from + 1)]++ == 0);
    }

    assert_int_equal(b->begin(c, 0, test_in(4000), &err), NGX_OK);
    assert_int_equal(b->stats(c, &s, &err), NGX_OK);

    assert_int_equal(s.total, nmodel);
    assert_int_equal(s.senders, n);
    assert_int_equal(s.ntop, ngx_min(n, NGX_LYFTR_TOP_SENDERS));

    for (i = 0; i < (int) s.ntop; i++) {

        for (best = 10, j = 10; j < 100; j++) {
            if (counts[j] > counts[best]) {
                best = j;
            }
        }

        (void) snprintf(from, sizeof(from), "+%d", best);
        unit_equal_str(s.top[i].from.data, s.top[i].from.len, from);
        assert_int_equal(s.top[i].count, counts[best]);
        counts[best] = 0;
    }

    if (nmodel) {
        unit_equal_str(s.first.data, s.first.len, model[0].ts);
        unit_equal_str(s.last.data, s.last.len, model[nmodel - 1].ts);

    } else {
        assert_null(s.first.data);
        assert_null(s.last.data);
    }

    assert_int_equal(b->commit(c, &err), NGX_OK);
}


static void
test_check(void *c)
{
    qsort(model, nmodel, sizeof(test_row_t), test_cmp);

    test_compare(c, NULL, NULL, NULL, 0);
    test_compare(c, NULL, NULL, NULL, 1);
    test_compare(c, "+12", NULL, NULL, 1);
    test_compare(c, "+77", NULL, "needle", 0);
    test_compare(c, "+9999", NULL, NULL, 0);
    test_compare(c, NULL, "2025-01-15T10:00:30Z", NULL, 0);
    test_compare(c, NULL, "2025-01-15t10:00:30.5+00:00", NULL, 1);
    test_compare(c, "+12", "2025-01-15T10:00:30Z", NULL, 1);
    test_compare(c, NULL, NULL, "NEEDLE", 1);
    test_compare(c, NULL, "2025-01-15T10:00:10Z", "100%_", 1);
    test_compare(c, "+12", "2025-01-15T10:00:10Z", "dLe", 1);
    test_check_stats(c);
}


static void
test_model(void **state)
{
    void        *c, *r;
    unsigned     seed;
    test_row_t  *row;
    ngx_uint_t   i, steps;

    static char  *texts[] = {
        "", "a Needle here", "needle 100%_ sure", "100 percent", "x"
    };

    seed = 1;
    steps = 0;
    nmodel = 0;

    c = test_open();
    r = test_open();

    test_check(r);

    while (nmodel < TEST_ROWS) {
        assert_int_equal(b->begin(c, 1, test_in(2000), &err), NGX_OK);

        for (i = 0; i < 50 && nmodel < TEST_ROWS; i++) {
            row = &model[nmodel];
            ngx_memzero(row, sizeof(test_row_t));

            (void) snprintf(row->id, sizeof(row->id), "%c%08x",
                            'a' + rand_r(&seed) % 26, rand_r(&seed));
            (void) snprintf(row->from, sizeof(row->from), "+%d",
                            10 + rand_r(&seed) % (1 + rand_r(&seed) % 90));
            (void) snprintf(row->ts, sizeof(row->ts),
                            rand_r(&seed) % 2 ? "2025-01-15T10:00:%02dZ"
                            : "2025-01-15T10:00:%02d.%dZ",
                            rand_r(&seed) % 60, rand_r(&seed) % 1000);
            row->null = (rand_r(&seed) % 7 == 0);

            if (!row->null) {
                (void) strcpy(row->text, texts[rand_r(&seed) % 5]);
            }

            assert_int_equal(test_add(c, row), NGX_OK);
            assert_int_equal(test_add(c, row), NGX_DECLINED);
            nmodel++;
            assert_int_equal(test_add(c, &model[rand_r(&seed) % nmodel]),
                             NGX_DECLINED);
        }

        assert_int_equal(b->commit(c, &err), NGX_OK);

        if (nmodel == 500) {
            test_check(r);
        }

        /* each call brings one index forward, and the others stay behind */

        while (b->due(c) == 0) {
            steps++;
            assert_int_equal(b->maintain(c, test_in(2000), &err), NGX_OK);
            test_check(r);
        }
    }

    assert_true(steps >= 16);
    test_check(r);

    b->close(r);
    b->close(c);

    c = test_open();
    test_check(c);
    b->close(c);

    test_sql("PRAGMA integrity_check");
}


static void
test_query(void **state)
{
    void               *c;
    test_sink_t         sink;
    ngx_lyftr_page_t    page;
    ngx_lyftr_query_t   q;

    c = test_open();
    assert_int_equal(test_one(c, "a"), NGX_OK);
    assert_int_equal(test_one(c, "b"), NGX_OK);

    ngx_memzero(&q, sizeof(ngx_lyftr_query_t));

    q.limit = 1;
    assert_int_equal(test_list(c, &q, &sink, &page), NGX_OK);
    assert_int_equal(sink.n, 1);
    assert_true(page.next.seq != 0);

    q.after = page.next;
    q.after.check++;
    assert_int_equal(test_list(c, &q, &sink, &page), NGX_DECLINED);

    q.after.check--;
    q.after.seq = 1000;
    assert_int_equal(test_list(c, &q, &sink, &page), NGX_DECLINED);

    q.after.seq = 0;
    q.offset = INT64_MAX;
    assert_int_equal(test_list(c, &q, &sink, &page), NGX_OK);
    assert_int_equal(sink.n, 0);
    assert_int_equal(page.total, 2);

    q.offset = 0;
    q.none = 1;
    assert_int_equal(test_list(c, &q, &sink, &page), NGX_OK);
    assert_int_equal(sink.n, 0);
    assert_int_equal(page.total, 0);

    q.none = 0;
    sink.stop = 1;
    assert_int_equal(b->begin(c, 0, test_in(1000), &err), NGX_OK);
    assert_int_equal(b->list(c, &q, test_sink, &sink, &page, &err),
                     NGX_ERROR);
    b->rollback(c);

    b->close(c);
}


static void
test_transaction(void **state)
{
    void                *c, *r;
    char                *big;
    test_row_t           row;
    test_sink_t          sink;
    ngx_lyftr_page_t     page;
    ngx_lyftr_query_t    q;
    ngx_lyftr_message_t  m;

    c = test_open();
    r = test_open();

    ngx_memzero(&row, sizeof(test_row_t));
    (void) strcpy(row.id, "a");
    (void) strcpy(row.from, "+1");
    (void) strcpy(row.ts, "2025-01-15T10:00:00Z");

    ngx_memzero(&q, sizeof(ngx_lyftr_query_t));
    q.limit = 10;

    /* what is rolled back is gone; the lock is free again */

    assert_int_equal(b->begin(c, 1, test_in(1000), &err), NGX_OK);
    assert_int_equal(test_add(c, &row), NGX_OK);
    b->rollback(c);
    b->rollback(c);
    assert_int_equal(test_list(r, &q, &sink, &page), NGX_OK);
    assert_int_equal(page.total, 0);

    /* a message that is too big fails alone */

    big = malloc(17 * 1024 * 1024);
    ngx_memset(big, 'x', 17 * 1024 * 1024);

    assert_int_equal(b->begin(r, 1, test_in(1000), &err), NGX_OK);
    assert_int_equal(test_add(r, &row), NGX_OK);

    m.message_id.data = (u_char *) big;
    m.message_id.len = 17 * 1024 * 1024;
    m.from = m.to = m.ts = test_str("+1");
    m.text = test_str(NULL);
    m.instant = row.t;

    assert_int_equal(b->insert(r, &m, &err), NGX_ERROR);
    assert_int_equal(err.code, NGX_LYFTR_ERR_DATA);

    m.message_id = test_str("b");
    m.text.data = (u_char *) big;
    m.text.len = 16 * 1024 * 1024;
    assert_int_equal(b->insert(r, &m, &err), NGX_ERROR);
    assert_int_equal(err.code, NGX_LYFTR_ERR_DATA);

    m.text.len = 3 * 1024 * 1024;
    assert_int_equal(b->insert(r, &m, &err), NGX_OK);
    assert_int_equal(b->commit(r, &err), NGX_OK);

    free(big);

    /* a snapshot stays as it was */

    assert_int_equal(b->begin(r, 0, test_in(4000), &err), NGX_OK);
    sink.n = 0;
    sink.stop = 0;
    q.limit = 1;
    assert_int_equal(b->list(r, &q, test_sink, &sink, &page, &err), NGX_OK);
    assert_int_equal(test_one(c, "z"), NGX_OK);
    assert_int_equal(b->list(r, &q, test_sink, &sink, &page, &err), NGX_OK);
    assert_int_equal(page.total, 2);
    assert_int_equal(b->commit(r, &err), NGX_OK);
    assert_int_equal(test_list(r, &q, &sink, &page), NGX_OK);
    assert_int_equal(page.total, 3);

    /* a read that takes too long */

    test_sql("INSERT INTO lyftr_message (id_hash, instant, message_id,"
             " from_msisdn, to_msisdn, ts, text)"
             " WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1"
             " FROM n WHERE i < 200000)"
             " SELECT 1, x'00', i, '', '', '', 'some text' FROM n");

    q.q = test_str("nothing");
    assert_int_equal(b->begin(r, 0, test_in(10), &err), NGX_OK);
    assert_int_equal(b->list(r, &q, test_sink, &sink, &page, &err),
                     NGX_ERROR);
    assert_int_equal(err.code, NGX_LYFTR_ERR_TIMEOUT);

    b->close(r);
    b->close(c);
}


static void
test_busy(void **state)
{
    void        *c, *d;
    sqlite3     *db;
    ngx_msec_t   start;

    c = test_open();
    d = test_open();

    assert_int_equal(b->probe(c, 0, &err), NGX_OK);
    assert_int_equal(b->probe(c, 1, &err), NGX_OK);

    /* our own writers wait for each other */

    assert_int_equal(b->begin(d, 1, test_in(1000), &err), NGX_OK);
    assert_int_equal(b->probe(c, 1, &err), NGX_DECLINED);

    start = ngx_lyftr_clock();
    assert_int_equal(b->begin(c, 1, start + 200, &err), NGX_DECLINED);
    assert_int_equal(err.code, NGX_LYFTR_ERR_BUSY);
    assert_in_range(ngx_lyftr_clock() - start, 190, 400);

    b->rollback(c);
    b->close(d);
    assert_int_equal(test_one(c, "a"), NGX_OK);

    /* an outsider has SQLite's lock */

    assert_int_equal(sqlite3_open((char *) dsn.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL),
                     SQLITE_OK);

    start = ngx_lyftr_clock();
    assert_int_equal(b->probe(c, 0, &err), NGX_DECLINED);
    assert_int_equal(b->probe(c, 1, &err), NGX_DECLINED);
    assert_true(ngx_lyftr_clock() - start < 50);

    assert_int_equal(b->begin(c, 1, start + 200, &err), NGX_DECLINED);
    assert_int_equal(err.code, NGX_LYFTR_ERR_BUSY);
    assert_in_range(ngx_lyftr_clock() - start, 150, 500);

    /* opening what is set up does not need the lock */

    d = test_open();
    b->close(d);

    (void) sqlite3_close(db);

    assert_int_equal(test_one(c, "b"), NGX_OK);
    assert_int_equal(b->probe(c, 1, &err), NGX_OK);
    b->close(c);
}


/*
 * A transaction whose fsync() failed is recovered by the next connection: its
 * ids are known then, and one of them must not be acknowledged unsynced.
 */

static void
test_failed_sync(void **state)
{
    void        *c;
    test_row_t   row;

    ngx_memzero(&row, sizeof(test_row_t));
    (void) strcpy(row.id, "failed");
    (void) strcpy(row.from, "+1");
    (void) strcpy(row.ts, "2025-01-15T10:00:00Z");
    (void) ngx_lyftr_instant_parse((u_char *) row.ts, strlen(row.ts), &row.t);

    c = test_open();

    assert_int_equal(b->begin(c, 1, test_in(1000), &err), NGX_OK);
    assert_int_equal(test_add(c, &row), NGX_OK);

    /* the first is of the header of the log */

    bad_sync = 2;
    assert_int_equal(b->commit(c, &err), NGX_ERROR);
    assert_int_equal(bad_sync, 0);

    b->close(c);

    c = test_open();
    syncs = 0;

    assert_int_equal(b->begin(c, 1, test_in(1000), &err), NGX_OK);
    assert_int_equal(test_add(c, &row), NGX_DECLINED);
    assert_int_equal(b->commit(c, &err), NGX_OK);
    assert_true(syncs > 0);

    b->close(c);
}


/* a reader holds the checkpoint up: then a sync does, if no write has failed */

static void
test_sync_beside_reader(void **state)
{
    void               *c, *d, *r;
    test_row_t          row;
    ngx_lyftr_stats_t   s;

    ngx_memzero(&row, sizeof(test_row_t));
    (void) strcpy(row.from, "+1");
    (void) strcpy(row.ts, "2025-01-15T10:00:00Z");
    (void) ngx_lyftr_instant_parse((u_char *) row.ts, strlen(row.ts), &row.t);

    c = test_open();
    r = test_open();

    (void) strcpy(row.id, "first");
    assert_int_equal(b->begin(c, 1, test_in(1000), &err), NGX_OK);
    assert_int_equal(test_add(c, &row), NGX_OK);
    assert_int_equal(b->commit(c, &err), NGX_OK);

    assert_int_equal(b->begin(r, 0, test_in(10000), &err), NGX_OK);
    assert_int_equal(b->stats(r, &s, &err), NGX_OK);
    assert_int_equal(s.total, 1);

    (void) strcpy(row.id, "second");
    assert_int_equal(b->begin(c, 1, test_in(1000), &err), NGX_OK);
    assert_int_equal(test_add(c, &row), NGX_OK);
    assert_int_equal(b->commit(c, &err), NGX_OK);

    d = b->open(&dsn, NGX_LYFTR_OPEN_FAILED, test_in(1000), &err);
    assert_non_null(d);
    assert_int_equal(b->begin(d, 1, test_in(300), &err), NGX_DECLINED);
    assert_int_equal(err.code, NGX_LYFTR_ERR_BUSY);
    b->close(d);

    d = b->open(&dsn, 0, test_in(1000), &err);
    assert_non_null(d);
    syncs = 0;
    assert_int_equal(b->begin(d, 1, test_in(300), &err), NGX_OK);
    assert_true(syncs > 0);
    assert_int_equal(test_add(d, &row), NGX_DECLINED);
    assert_int_equal(b->commit(d, &err), NGX_OK);

    b->close(d);
    b->close(r);
    b->close(c);
}


static void
test_moved(void **state)
{
    void         *c;
    char          path[160], other[170];
    ngx_uint_t    i;

    static char  *suffixes[] = { "", "-wal", "-shm", "-lock" };

    for (i = 0; i < unit_count(suffixes); i++) {
        c = test_open();
        assert_int_equal(b->begin(c, 1, test_in(1000), &err), NGX_OK);

        (void) snprintf(path, sizeof(path), "%s/t.db%s", dir, suffixes[i]);
        (void) snprintf(other, sizeof(other), "%s.away", path);
        assert_int_equal(rename(path, other), 0);

        assert_int_equal(b->commit(c, &err), NGX_ERROR);
        assert_int_equal(err.code, NGX_LYFTR_ERR_MOVED);
        assert_int_equal(b->begin(c, 1, test_in(1000), &err), NGX_ERROR);
        assert_int_equal(err.code, NGX_LYFTR_ERR_MOVED);
        assert_int_equal(b->begin(c, 0, test_in(1000), &err), NGX_ERROR);
        assert_int_equal(err.code, NGX_LYFTR_ERR_MOVED);
        assert_int_equal(b->probe(c, 0, &err), NGX_ERROR);
        assert_int_equal(err.code, NGX_LYFTR_ERR_MOVED);

        /* replaced: the lock file by a new one, made by another process */

        assert_int_equal(close(open(path, O_CREAT|O_WRONLY, 0600)), 0);
        assert_int_equal(b->probe(c, 0, &err), NGX_ERROR);
        assert_int_equal(err.code, NGX_LYFTR_ERR_MOVED);
        assert_int_equal(rename(other, path), 0);

        assert_int_equal(b->probe(c, 1, &err), NGX_OK);
        b->close(c);
    }
}


static void
test_adopt(void **state)
{
    void               *c;
    ngx_uint_t          i, k;
    test_sink_t         sink;
    ngx_lyftr_page_t    page;
    ngx_lyftr_query_t   q;
    ngx_lyftr_stats_t   s;
    struct stat         sb;

    static char  *tables[] = {
        ("CREATE TABLE messages (message_id TEXT PRIMARY KEY, from_msisdn TEXT"
         " NOT NULL, to_msisdn TEXT NOT NULL, ts TEXT NOT NULL, text TEXT,"
         " created_at TEXT NOT NULL DEFAULT 'now');"
         "CREATE INDEX idx_ts ON messages (ts);"),

        ("CREATE TABLE Messages (id INTEGER PRIMARY KEY AUTOINCREMENT,"
         " Message_Id VARCHAR, from_msisdn, to_msisdn, ts DATETIME, text);"
         "CREATE TABLE alembic_version (v);"
         "CREATE VIEW v AS SELECT ts FROM messages;"),

        ("CREATE TABLE messages (message_id TEXT PRIMARY KEY, from_msisdn,"
         " to_msisdn, ts, text, created_at) WITHOUT ROWID;")
    };

    static char  *want[] = { "old2", "old1", "m0", "m2", "m1" };

    for (i = 0; i < unit_count(tables); i++) {
        test_sql(tables[i]);
        test_sql("INSERT INTO messages (message_id, from_msisdn, to_msisdn,"
                 " ts, text) VALUES"
                 " ('m1', '+1', '+2', '2025-01-15T10:00:00.5Z', 'x'),"
                 " ('m2', '+1', '+2', '2025-01-15T10:00:00Z', NULL),"
                 " ('m0', '+3', '+2', '2025-01-15T10:00:00Z', ''),"
                 " ('old1', '+3', '+2', '2025-01-15 10:00:00', 'y'),"
                 " ('old2', '+3', '+2', '2024', 'y')");

        if (i == 1) {
            test_sql("INSERT INTO messages (message_id, from_msisdn) VALUES"
                     " ('m1', '+9'), (NULL, '+9'), ('m1', '+9')");
        }

        c = test_open();
        ngx_memzero(&q, sizeof(ngx_lyftr_query_t));
        q.limit = 10;

        assert_int_equal(test_list(c, &q, &sink, &page), NGX_OK);
        assert_int_equal(page.total, 5);
        assert_int_equal(sink.n, 5);

        for (k = 0; k < 5; k++) {
            assert_string_equal(sink.rows[k].id, want[k]);
        }

        assert_string_equal(sink.rows[4].from, "+1");
        assert_true(sink.rows[3].null);
        assert_false(sink.rows[2].null);

        q.since = test_str("0001-01-01T00:00:00Z");
        assert_int_equal(ngx_lyftr_instant_parse_since(q.since.data,
                                                       q.since.len,
                                                       &q.instant), NGX_OK);
        assert_int_equal(test_list(c, &q, &sink, &page), NGX_OK);
        assert_int_equal(page.total, 3);

        assert_int_equal(b->begin(c, 0, test_in(1000), &err), NGX_OK);
        assert_int_equal(b->stats(c, &s, &err), NGX_OK);
        assert_int_equal(s.total, 5);
        assert_int_equal(s.senders, 2);
        unit_equal(s.top[0].from.data, s.top[0].from.len, "+3");
        unit_equal(s.first.data, s.first.len, "2025-01-15T10:00:00Z");
        unit_equal(s.last.data, s.last.len, "2025-01-15T10:00:00.5Z");
        assert_int_equal(b->commit(c, &err), NGX_OK);

        assert_int_equal(test_one(c, "m1"), NGX_DECLINED);
        assert_int_equal(test_one(c, "m3"), NGX_OK);
        b->close(c);

        test_sql("SELECT count(*) FROM messages_adopted;"
                 "SELECT created_at FROM messages;");

        assert_int_equal(stat((char *) dsn.path, &sb), 0);
        (void) test_teardown(NULL);
        (void) test_setup(NULL);
    }
}


static void
test_refuse(void **state)
{
    FILE        *f;
    ngx_uint_t   i;

    static struct {
        char             *sql;
        ngx_lyftr_err_e   code;
    } t[] = {
        { "CREATE TABLE other (a)", NGX_LYFTR_ERR_SCHEMA },
        { "CREATE TABLE messages (message_id, ts)", NGX_LYFTR_ERR_SCHEMA },
        { "PRAGMA application_id = 7", NGX_LYFTR_ERR_SCHEMA },
        { "PRAGMA application_id = 0x4c594652; PRAGMA user_version = 2",
          NGX_LYFTR_ERR_SCHEMA },
        { "PRAGMA application_id = 0x4c594652; PRAGMA user_version = 1;"
          " PRAGMA journal_mode = WAL", NGX_LYFTR_ERR_SCHEMA }
    };

    for (i = 0; i < unit_count(t); i++) {
        test_sql(t[i].sql);
        test_fails(t[i].code);
        (void) test_teardown(NULL);
        (void) test_setup(NULL);
    }

    f = fopen((char *) dsn.path, "w");
    for (i = 0; i < 5000; i++) {
        (void) fputs("garbage ", f);
    }
    (void) fclose(f);
    test_fails(NGX_LYFTR_ERR_CORRUPT);

    (void) unlink((char *) dsn.path);
    (void) symlink("nowhere", (char *) dsn.path);
    test_fails(NGX_LYFTR_ERR_OPEN);

    (void) unlink((char *) dsn.path);
    (void) mkdir((char *) dsn.path, 0700);
    test_fails(NGX_LYFTR_ERR_OPEN);

    (void) test_teardown(NULL);
    test_fails(NGX_LYFTR_ERR_OPEN);
}


/* all open the same new file at once and write the same rows */

static void
test_racing(void)
{
    int                i, k, status, n;
    void              *c;
    char               id[32];
    ngx_lyftr_stats_t  s;

    for (i = 0; i < TEST_PROCS; i++) {

        if (fork() == 0) {
            c = b->open(&dsn, 1, test_in(4000), &err);

            if (c == NULL) {
                print_error("%.*s\n", (int) err.len, err.text);
                _exit(255);
            }

            for (k = 0, n = 0; k < 20; k++) {
                (void) snprintf(id, sizeof(id), "id%d", k);
                n += (test_one(c, id) == NGX_OK);
            }

            b->close(c);
            _exit(n);
        }
    }

    for (i = 0, n = 0; i < TEST_PROCS; i++) {
        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status));
        assert_int_not_equal(WEXITSTATUS(status), 255);
        n += WEXITSTATUS(status);
    }

    assert_int_equal(n, 20);

    c = test_open();
    assert_int_equal(b->begin(c, 0, test_in(1000), &err), NGX_OK);
    assert_int_equal(b->stats(c, &s, &err), NGX_OK);
    assert_int_equal(s.total, 20);
    b->close(c);
}


static void
test_race(void **state)
{
    test_racing();
}


static void
test_race_adopt(void **state)
{
    test_sql("CREATE TABLE messages (message_id, from_msisdn, to_msisdn,"
             " ts, text)");
    test_racing();
}


#define unit_fresh(f)                                                         \
    cmocka_unit_test_setup_teardown(f, test_setup, test_teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        unit_fresh(test_race),
        unit_fresh(test_race_adopt),
        cmocka_unit_test(test_init),
        unit_fresh(test_files),
        unit_fresh(test_model),
        unit_fresh(test_query),
        unit_fresh(test_transaction),
        unit_fresh(test_busy),
        unit_fresh(test_failed_sync),
        unit_fresh(test_sync_beside_reader),
        unit_fresh(test_moved),
        unit_fresh(test_adopt),
        unit_fresh(test_refuse)
    };

    return cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
}

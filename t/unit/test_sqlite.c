/* The backend of one connection, and of two. */

#include "unit_store.h"


static void
test_init(void **state)
{
    char             want[2 * NGX_MAX_PATH], cwd[NGX_MAX_PATH];
    ngx_str_t        url;
    ngx_uint_t       i;
    ngx_lyftr_sqlite_dsn_t  d;

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
        url = unit_str(ok[i].url);
        assert_int_equal(b->init(&d, &url, &err), NGX_OK);

        (void) snprintf(want, sizeof(want), "%s%s%s",
                        ok[i].path[0] == '/' ? "" : cwd,
                        ok[i].path[0] == '/' ? "" : "/", ok[i].path);
        assert_string_equal(d.common.path, want);
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

    c = unit_open();
    assert_int_equal(unit_one(c, "a"), NGX_OK);

    for (i = 0; i < unit_count(suffixes); i++) {
        (void) snprintf(path, sizeof(path), "%s/t.db%s", dir, suffixes[i]);
        assert_int_equal(stat(path, &sb), 0);
        assert_int_equal(sb.st_mode & 0777, 0600);
    }

    b->close(c);

    /* the log stays, and with it the row */

    c = unit_open();
    assert_int_equal(unit_one(c, "a"), NGX_DECLINED);
    assert_int_equal(unit_one(c, "A"), NGX_OK);
    b->close(c);

    unit_sql("CREATE TEMP TABLE t (n CHECK (n = 2));"
             "INSERT INTO t SELECT count(*) FROM messages WHERE"
             " from_msisdn = '+1' AND to_msisdn = '+200' AND text = ''"
             " AND created_at LIKE '20__-__-__T__:__:__.___Z'");
}


/* a store of version 3 gets what it lacks */

static void
test_version_3(void **state)
{
    void  *c;

    c = unit_open();
    assert_int_equal(unit_one(c, "a"), NGX_OK);
    b->close(c);

    unit_version_3();

    c = unit_open();
    assert_int_equal(unit_one(c, "a"), NGX_DECLINED);
    assert_int_equal(unit_one(c, "b"), NGX_OK);
    b->close(c);

    assert_int_equal(unit_sql_int("PRAGMA user_version"), 6);
    assert_int_equal(unit_sql_int("SELECT store <> 0 FROM lyftr_state"), 1);

    unit_sql("DELETE FROM lyftr_message WHERE message_id = 'b'");

    assert_int_equal(unit_sql_int("SELECT mark FROM lyftr_state"), 2);
}


/*
 * A ts that is no date, and longer than a cursor: what begins as it does is
 * what a page after its row begins with, and behind it in the other order.
 */

static void
test_leave_long(void **state)
{
    void               *c;
    unit_rows_t         rows;
    ngx_lyftr_page_t    page;
    ngx_lyftr_query_t   q;

    c = unit_open();
    assert_int_equal(unit_one(c, "z"), NGX_OK);
    b->close(c);

    unit_sql("WITH t (i, id) AS (VALUES (2, 'a'), (3, 'b'), (4, 'c'))"
             "INSERT INTO lyftr_message (seq, id_hash, instant, message_id,"
             " from_msisdn, to_msisdn, ts, text)"
             " SELECT i, i, x, id, '+1', '+2', x, '' FROM (SELECT *,"
             " replace(hex(zeroblob(60)), '0', 'x') || id AS x FROM t)");

    c = unit_open();
    ngx_memzero(&q, sizeof(ngx_lyftr_query_t));

    q.limit = 2;
    assert_int_equal(unit_list(c, &q, &rows, &page), NGX_OK);
    assert_string_equal(rows.rows[1].id, "b");
    assert_int_equal(page.next.instant_cut, 1);
    q.after = page.next;
    b->close(c);

    unit_sql("DELETE FROM lyftr_message WHERE seq = 3");

    c = unit_open();
    q.limit = 10;
    assert_int_equal(unit_list(c, &q, &rows, &page), NGX_OK);
    assert_int_equal(rows.n, 3);
    assert_string_equal(rows.rows[0].id, "a");

    q.desc = 1;
    assert_int_equal(unit_list(c, &q, &rows, &page), NGX_OK);
    assert_int_equal(rows.n, 2);
    assert_string_equal(rows.rows[0].id, "c");
    assert_string_equal(rows.rows[1].id, "a");
    b->close(c);
}


/* rows leave, also the newest, whose place nobody else gets */

static void
test_leave(void **state)
{
    char                  id[8];
    void                 *c;
    ngx_uint_t            i;
    unit_rows_t           rows;
    ngx_lyftr_page_t      page;
    ngx_lyftr_query_t     q;

    c = unit_open();

    for (i = 0; i < 6; i++) {
        (void) snprintf(id, sizeof(id), "%c", (int) ('a' + i));
        assert_int_equal(unit_one(c, id), NGX_OK);
    }

    ngx_memzero(&q, sizeof(ngx_lyftr_query_t));

    q.limit = 4;
    assert_int_equal(unit_list(c, &q, &rows, &page), NGX_OK);
    assert_int_equal(page.next.seq, 4);
    assert_int_equal(rows.last.seq, 4);
    q.after = page.next;
    b->close(c);

    unit_sql("DELETE FROM lyftr_message WHERE seq IN (2, 4)");
    assert_int_equal(unit_sql_int("SELECT mark FROM lyftr_state"), 0);

    c = unit_open();
    assert_int_equal(unit_list(c, &q, &rows, &page), NGX_OK);
    assert_int_equal(rows.n, 2);
    assert_string_equal(rows.rows[0].id, "e");

    /* one whose id is cut goes on with what begins as it does */

    q.after.id_cut = 1;
    q.after.id[0] = 'e';
    assert_int_equal(unit_list(c, &q, &rows, &page), NGX_OK);
    assert_int_equal(rows.n, 2);

    q.after.id_cut = 0;
    assert_int_equal(unit_list(c, &q, &rows, &page), NGX_OK);
    assert_int_equal(rows.n, 1);
    assert_string_equal(rows.rows[0].id, "f");

    /* the instant counts, too, and in each sender's order */

    q.after.instant[0]--;
    q.from = unit_str("+1");
    assert_int_equal(unit_list(c, &q, &rows, &page), NGX_OK);
    assert_int_equal(rows.n, 4);

    q.after.store++;
    assert_int_equal(unit_list(c, &q, &rows, &page), NGX_DECLINED);
    q.after.store--;

    b->close(c);

    unit_sql("DELETE FROM lyftr_message WHERE seq >= 5");
    assert_int_equal(unit_sql_int("SELECT mark FROM lyftr_state"), 6);

    c = unit_open();
    q.after.seq = 6;
    assert_int_equal(unit_list(c, &q, &rows, &page), NGX_OK);
    q.after.seq = 7;
    assert_int_equal(unit_list(c, &q, &rows, &page), NGX_DECLINED);

    assert_int_equal(unit_one(c, "g"), NGX_OK);
    assert_int_equal(unit_sql_int("SELECT max(seq) FROM lyftr_message"), 7);
    b->close(c);
}


static void
test_query(void **state)
{
    void               *c;
    unit_rows_t         rows;
    ngx_lyftr_page_t    page;
    ngx_lyftr_query_t   q;

    c = unit_open();
    assert_int_equal(unit_one(c, "a"), NGX_OK);
    assert_int_equal(unit_one(c, "b"), NGX_OK);

    ngx_memzero(&q, sizeof(ngx_lyftr_query_t));

    q.limit = 1;
    assert_int_equal(unit_list(c, &q, &rows, &page), NGX_OK);
    assert_int_equal(rows.n, 1);
    assert_true(page.next.seq != 0);

    q.after = page.next;
    q.after.hash++;
    assert_int_equal(unit_list(c, &q, &rows, &page), NGX_DECLINED);

    q.after.hash--;
    q.after.seq = 1000;
    assert_int_equal(unit_list(c, &q, &rows, &page), NGX_DECLINED);

    q.after.seq = 0;
    q.offset = INT64_MAX;
    assert_int_equal(unit_list(c, &q, &rows, &page), NGX_OK);
    assert_int_equal(rows.n, 0);
    assert_int_equal(page.total, 2);

    q.offset = 0;
    q.none = 1;
    assert_int_equal(unit_list(c, &q, &rows, &page), NGX_OK);
    assert_int_equal(rows.n, 0);
    assert_int_equal(page.total, 0);

    q.none = 0;
    rows.stop = 1;
    assert_int_equal(b->begin(c, unit_in(1000), &err), NGX_OK);
    assert_int_equal(b->list(c, &q, unit_rows, &rows, &page, &err),
                     NGX_ERROR);
    b->end(c);

    b->close(c);
}


static void
test_transaction(void **state)
{
    void                *c, *r;
    char                *big;
    ngx_str_t            id, text;
    unit_rows_t          rows;
    ngx_lyftr_page_t     page;
    ngx_lyftr_query_t    q;
    ngx_lyftr_message_t  m;

    c = unit_open();
    r = unit_open();

    id = unit_str("a");
    text = unit_str("");

    ngx_memzero(&q, sizeof(ngx_lyftr_query_t));
    q.limit = 10;

    /* what is rolled back is gone; the lock is free again */

    assert_int_equal(b->turn(c, unit_in(1000), &err), NGX_OK);
    assert_true(unit_insert(c, &id, "+1", "2025-01-15T10:00:00Z", &text));
    b->end(c);
    b->end(c);
    assert_int_equal(unit_list(r, &q, &rows, &page), NGX_OK);
    assert_int_equal(page.total, 0);

    /* a message that is too big fails alone */

    big = malloc(17 * 1024 * 1024);
    ngx_memset(big, 'x', 17 * 1024 * 1024);

    ngx_memzero(&m, sizeof(m));

    assert_int_equal(b->turn(r, unit_in(1000), &err), NGX_OK);
    assert_true(unit_insert(r, &id, "+1", "2025-01-15T10:00:00Z", &text));

    m.message_id.data = (u_char *) big;
    m.message_id.len = 17 * 1024 * 1024;
    m.from = m.to = m.ts = unit_str("+1");
    m.text = unit_str(NULL);
    m.instant.len = 0;

    assert_int_equal(unit_put(r, &m, &err), NGX_ERROR);
    assert_int_equal(err.code, NGX_LYFTR_ERR_DATA);

    m.message_id = unit_str("b");
    m.text.data = (u_char *) big;
    m.text.len = 16 * 1024 * 1024;
    assert_int_equal(unit_put(r, &m, &err), NGX_ERROR);
    assert_int_equal(err.code, NGX_LYFTR_ERR_DATA);

    m.text.len = 3 * 1024 * 1024;
    assert_int_equal(unit_put(r, &m, &err), NGX_OK);
    assert_int_equal(unit_commit(r, &err), NGX_OK);

    free(big);

    /* a snapshot stays as it was */

    assert_int_equal(b->begin(r, unit_in(4000), &err), NGX_OK);
    rows.n = 0;
    rows.stop = 0;
    q.limit = 1;
    assert_int_equal(b->list(r, &q, unit_rows, &rows, &page, &err), NGX_OK);
    assert_int_equal(unit_one(c, "z"), NGX_OK);
    assert_int_equal(b->list(r, &q, unit_rows, &rows, &page, &err), NGX_OK);
    assert_int_equal(page.total, 2);
    assert_int_equal(unit_commit(r, &err), NGX_OK);
    assert_int_equal(unit_list(r, &q, &rows, &page), NGX_OK);
    assert_int_equal(page.total, 3);

    /* a read that takes too long */

    unit_sql("INSERT INTO lyftr_message (id_hash, instant, message_id,"
             " from_msisdn, to_msisdn, ts, text)"
             " WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1"
             " FROM n WHERE i < 400)"
             " SELECT 1, x'00', i, '', '', '', hex(zeroblob(50000)) FROM n");

    q.q = unit_str("nothing");
    assert_int_equal(b->begin(r, unit_in(10), &err), NGX_OK);
    assert_int_equal(b->list(r, &q, unit_rows, &rows, &page, &err),
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

    c = unit_open();
    d = unit_open();

    assert_int_equal(b->probe(c, 0, &err), NGX_OK);
    assert_int_equal(b->probe(c, 1, &err), NGX_OK);

    /* our own writers wait for each other */

    assert_int_equal(b->turn(d, unit_in(1000), &err), NGX_OK);
    assert_int_equal(b->probe(c, 1, &err), NGX_DECLINED);

    start = ngx_lyftr_clock();
    assert_int_equal(b->turn(c, start + 200, &err), NGX_DECLINED);
    assert_int_equal(err.code, NGX_LYFTR_ERR_BUSY);
    assert_in_range(ngx_lyftr_clock() - start, 190, 400);

    b->end(c);
    b->close(d);
    assert_int_equal(unit_one(c, "a"), NGX_OK);

    /* an outsider has SQLite's lock */

    assert_int_equal(sqlite3_open((char *) dsn.common.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL),
                     SQLITE_OK);

    start = ngx_lyftr_clock();
    assert_int_equal(b->probe(c, 0, &err), NGX_DECLINED);
    assert_int_equal(b->probe(c, 1, &err), NGX_DECLINED);
    assert_true(ngx_lyftr_clock() - start < 50);

    assert_int_equal(b->turn(c, start + 200, &err), NGX_DECLINED);
    assert_int_equal(err.code, NGX_LYFTR_ERR_BUSY);
    assert_in_range(ngx_lyftr_clock() - start, 150, 500);

    /* opening what is set up does not need the lock */

    d = unit_open();
    b->close(d);

    (void) sqlite3_close(db);

    assert_int_equal(unit_one(c, "b"), NGX_OK);
    assert_int_equal(b->probe(c, 1, &err), NGX_OK);
    b->close(c);
}


/* a read is interrupted when somebody says so, and the next one is not */

static void
test_watch(void **state)
{
    char                id[16];
    void               *c;
    ngx_str_t           s, text;
    ngx_uint_t          i;
    ngx_atomic_t        stop;
    unit_rows_t         rows;
    ngx_lyftr_page_t    page;
    ngx_lyftr_query_t   q;

    c = unit_open();
    text = unit_str("some text");

    for (i = 0; i < 2000; i++) {

        if (i % 100 == 0) {
            assert_int_equal(b->turn(c, unit_in(4000), &err), NGX_OK);
        }

        (void) snprintf(id, sizeof(id), "m%lu", (unsigned long) i);
        s = unit_str(id);
        (void) unit_insert(c, &s, "+1", "2025-01-15T10:00:00Z", &text);

        if (i % 100 == 99) {
            assert_int_equal(unit_commit(c, &err), NGX_OK);
            unit_housekeep_all(c);
        }
    }

    ngx_memzero(&q, sizeof(ngx_lyftr_query_t));
    q.limit = 1;
    q.q = unit_str("nowhere");

    stop = 0;
    b->watch(c, &stop);
    assert_int_equal(unit_list(c, &q, &rows, &page), NGX_OK);

    stop = 1;
    assert_int_equal(b->begin(c, unit_in(4000), &err), NGX_OK);
    assert_int_equal(b->list(c, &q, unit_rows, &rows, &page, &err), NGX_ERROR);
    assert_int_equal(err.code, NGX_LYFTR_ERR_TIMEOUT);

    b->close(c);
}


/* a batch is stored as a whole, and tells of each message, or not at all */

static void
test_write(void **state)
{
    void                 *c, *r;
    char                 *big;
    ngx_uint_t            i;
    unit_rows_t           rows;
    ngx_lyftr_page_t      page;
    ngx_lyftr_query_t     q;
    ngx_lyftr_batch_t     batch;
    ngx_lyftr_write_t     write[2], *writes[2];
    ngx_lyftr_message_t   m[4];

    static const char    *ids[] = { "a", "b", "a", "c" };

    c = unit_open();
    r = unit_open();

    ngx_memzero(&q, sizeof(ngx_lyftr_query_t));
    q.limit = 10;

    ngx_memzero(m, sizeof(m));

    for (i = 0; i < 4; i++) {
        m[i].message_id = unit_str(ids[i]);
        m[i].from = m[i].to = unit_str("+1");
        m[i].ts = unit_str("2025-01-15T10:00:00Z");
        m[i].text = unit_str("");
        assert_int_equal(ngx_lyftr_instant_parse(m[i].ts.data, m[i].ts.len,
                                                 &m[i].instant), NGX_OK);
    }

    write[0].messages = &m[0];
    write[0].n = 3;
    write[1].messages = &m[3];
    write[1].n = 1;
    write[0].rows = write[1].rows = NULL;
    writes[0] = &write[0];
    writes[1] = &write[1];
    batch.writes = writes;
    batch.n = 2;

    /* the last one cannot be stored, so that none is; the turn has ended */

    big = malloc(17 * 1024 * 1024);
    ngx_memset(big, 'x', 17 * 1024 * 1024);
    m[3].text.data = (u_char *) big;
    m[3].text.len = 17 * 1024 * 1024;

    assert_int_equal(b->turn(c, unit_in(1000), &err), NGX_OK);
    assert_int_equal(b->write(c, &batch, unit_in(1000), &err), NGX_ERROR);
    assert_int_equal(err.code, NGX_LYFTR_ERR_DATA);
    assert_int_equal(unit_list(r, &q, &rows, &page), NGX_OK);
    assert_int_equal(page.total, 0);

    m[3].text = unit_str(NULL);

    assert_int_equal(b->turn(r, unit_in(1000), &err), NGX_OK);
    b->end(r);

    for (i = 0; i < 2; i++) {
        assert_int_equal(b->turn(c, unit_in(1000), &err), NGX_OK);
        batch.usec = -1;
        assert_int_equal(b->write(c, &batch, unit_in(1000), &err), NGX_OK);
        assert_true(batch.usec >= 0);
        assert_int_equal(m[0].known, i);
        assert_int_equal(m[1].known, i);
        assert_int_equal(m[2].known, 1);
        assert_int_equal(m[3].known, i);
        assert_int_equal(unit_list(r, &q, &rows, &page), NGX_OK);
        assert_int_equal(page.total, 3);
    }

    free(big);
    b->close(c);
    b->close(r);
}


/* each connection has the same share: those of a process, and a guard */

static void
test_configure(void **state)
{
    ngx_uint_t              i;
    ngx_lyftr_sqlite_dsn_t  d;

    static struct {
        ngx_uint_t  connections;
        ngx_int_t   caches;
        ngx_int_t   cache;                 /* 0: refused */
    } tests[] = {
        { 8, 144 << 20, 16 << 20 },
        { 5, 144 << 20, 24 << 20 },
        { 5, 1572864, 256 * 1024 },
        { 5, 1572863, 0 },
        { 68, 17 << 20, 0 }
    };

    for (i = 0; i < unit_count(tests); i++) {
        d.caches = tests[i].caches;
        d.cache = 0;

        assert_int_equal(b->configure(&d, tests[i].connections, &err),
                         tests[i].cache ? NGX_OK : NGX_ERROR);
        assert_int_equal(d.cache, tests[i].cache);
    }
}


/* after a reload the files that are there are the right ones */

static void
test_renew(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_LYFTR_WORDS; i++) {
        words[i] = i + 1;
    }

    dsn.common.words = words;
    b->renew(&dsn);
    dsn.common.words = NULL;

    for (i = 0; i < NGX_LYFTR_WORDS; i++) {
        assert_int_equal(words[i], i < NGX_LYFTR_FILE_N
                                   || i == NGX_LYFTR_WORD_SYNCED ? 0 : i + 1);
    }

    ngx_memzero((void *) words, sizeof(words));
}


/* rows of a try that was cut off are none that were known before */

static void
test_again(void **state)
{
    void                 *c;
    ngx_uint_t            i;
    ngx_lyftr_batch_t     batch;
    ngx_lyftr_write_t     write, *writes[1];
    ngx_lyftr_message_t   m[3];

    static uint64_t       noted[3];
    static const char    *ids[] = { "d", "b", "d" };

    c = unit_open();

    assert_int_equal(unit_one(c, "a"), NGX_OK);
    assert_int_equal(unit_one(c, "b"), NGX_OK);

    ngx_memzero(m, sizeof(m));

    for (i = 0; i < 3; i++) {
        m[i].message_id = unit_str(ids[i]);
        m[i].from = m[i].to = unit_str("+1");
        m[i].ts = unit_str("2025-01-15T10:00:00Z");
    }

    write.messages = m;
    write.n = 3;
    write.rows = noted;
    writes[0] = &write;
    batch.writes = writes;
    batch.n = 1;

    for (i = 0; i < 4; i++) {

        /* a number that no row has, and that of another row */

        noted[1] = (i == 2) ? 1000 : 0;
        noted[0] -= (i == 3);

        assert_int_equal(b->turn(c, unit_in(1000), &err), NGX_OK);
        assert_int_equal(b->write(c, &batch, unit_in(1000), &err), NGX_OK);
        assert_int_equal(m[0].known, i == 3);
        assert_int_equal(m[1].known, 1);
        assert_int_equal(m[2].known, 1);
        assert_int_equal(noted[0] != 0, i < 3);
        assert_int_equal(noted[1], 0);
        assert_int_equal(noted[2], 0);
        assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_message"),
                         3);
    }

    b->close(c);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_configure),
        cmocka_unit_test(test_renew),
        cmocka_unit_test(test_init),
        unit_fresh(test_files),
        unit_fresh(test_version_3),
        unit_fresh(test_leave),
        unit_fresh(test_leave_long),
        unit_fresh(test_query),
        unit_fresh(test_transaction),
        unit_fresh(test_write),
        unit_fresh(test_again),
        unit_fresh(test_busy),
        unit_fresh(test_watch)
    };

    return cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
}

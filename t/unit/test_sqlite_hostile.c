/* Messages that are meant to do harm: segments of them are made, and merged. */

#include "unit_store.h"


typedef struct {
    ngx_uint_t           segments;
    ngx_uint_t           rows;             /* of each, with one more */
    size_t               from;             /* bytes that senders, */
    size_t               id;               /* and ids begin with */
} test_case_t;


static test_case_t  cases[] = {
    { 1, 2400, 1300, 3 },
    { 1, 2400, 1, 1290 },
    { 8, 400, 1300, 3 },
    { 8, 400, 1, 1290 },
    { 8, 600, 80, 40 },
    { 2, 50, 1, 1024 * 1024 - 300 },
    { 2, 50, 1024 * 1024 - 300, 3 },
    { 1, 3, 1, 16 * 1024 * 1024 - 100 }
};


static void
test_hash_sql(sqlite3_context *ctx, int n, sqlite3_value **v)
{
    u_char  *p;

    p = (u_char *) sqlite3_value_text(v[0]);

    sqlite3_result_int64(ctx, (int64_t)
                         ngx_lyftr_sqlite_hash(p, sqlite3_value_bytes(v[0])));
}


static void
test_instant_sql(sqlite3_context *ctx, int n, sqlite3_value **v)
{
    u_char               *p;
    ngx_lyftr_instant_t   t;

    p = (u_char *) sqlite3_value_text(v[0]);

    assert_int_equal(ngx_lyftr_instant_parse(p, sqlite3_value_bytes(v[0]), &t),
                     NGX_OK);

    sqlite3_result_blob(ctx, t.data, t.len, SQLITE_TRANSIENT);
}


static void
test_sql(const char *sql)
{
    sqlite3  *db;

    assert_int_equal(sqlite3_open((char *) dsn.common.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_create_function(db, "lyftr_hash", 1, SQLITE_UTF8,
                                             NULL, test_hash_sql, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_create_function(db, "lyftr_instant", 1,
                                             SQLITE_UTF8, NULL,
                                             test_instant_sql, NULL, NULL),
                     SQLITE_OK);
    (void) sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}


static void
test_add(test_case_t *t)
{
    char        sql[2048];
    ngx_uint_t  i;

    for (i = 0; i < t->segments; i++) {
        (void) snprintf(sql, sizeof(sql),
            "INSERT INTO lyftr_message (seq, id_hash, instant, message_id,"
            " from_msisdn, to_msisdn, ts, created_at, text)"
            " WITH RECURSIVE n(i) AS"
            " (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %u),"
            " m(seq, id) AS (SELECT %u + i, printf('%%.%uc%%09d', 'x', %u + i)"
            " FROM n)"
            " SELECT seq, lyftr_hash(id),"
            " lyftr_instant('2025-01-15T10:00:00Z'), id,"
            " printf('+%%.%uc', '7'), '+2', '2025-01-15T10:00:00Z',"
            " '2025-01-15T10:00:00Z', 'text' FROM m;"
            "INSERT INTO lyftr_message SELECT %u, lyftr_hash(id), instant, id,"
            " '+1', to_msisdn, ts, created_at, text FROM lyftr_message,"
            " (SELECT printf('last%u%%.1000c', 'l') AS id) WHERE seq = 1",
            (unsigned) t->rows, (unsigned) i * NGX_LYFTR_SEGMENT,
            (unsigned) t->id, (unsigned) i * NGX_LYFTR_SEGMENT,
            (unsigned) t->from, (unsigned) (i + 1) * NGX_LYFTR_SEGMENT,
            (unsigned) i);

        test_sql(sql);
    }
}


typedef struct {
    ngx_uint_t           n;
    u_char               id[10];           /* the end of the last one */
} test_seen_t;


static ngx_int_t
test_row(void *data, ngx_lyftr_message_t *m,
    ngx_lyftr_position_t *position)
{
    test_seen_t  *seen = data;

    u_char  *p;

    p = m->message_id.data + m->message_id.len - 9;

    assert_true(memcmp(p, seen->id, 9) > 0);

    ngx_memcpy(seen->id, p, 9);
    seen->n++;

    return NGX_OK;
}


/* all rows of the sender, page by page */

static void
test_pages(void *c, test_case_t *t)
{
    ngx_str_t           from;
    test_seen_t         seen;
    ngx_lyftr_page_t    page;
    ngx_lyftr_query_t   q;

    from.len = 1 + t->from;
    from.data = malloc(from.len);
    ngx_memset(from.data, '7', from.len);
    from.data[0] = '+';

    ngx_memzero(&q, sizeof(ngx_lyftr_query_t));
    ngx_memzero(&seen, sizeof(test_seen_t));

    q.from = from;
    q.limit = 100;

    do {
        assert_int_equal(b->begin(c, unit_in(60000), &err), NGX_OK);
        assert_int_equal(b->list(c, &q, test_row, &seen, &page, &err),
                         NGX_OK);
        assert_int_equal(unit_commit(c, &err), NGX_OK);

        assert_int_equal(page.total, t->segments * t->rows);
        q.after = page.next;
    } while (page.next.seq);

    assert_int_equal(seen.n, t->segments * t->rows);

    free(from.data);
}


static void
test_stats(void *c, test_case_t *t)
{
    ngx_lyftr_stats_t  s;

    assert_int_equal(b->begin(c, unit_in(60000), &err), NGX_OK);
    assert_int_equal(b->stats(c, &s, &err), NGX_OK);
    assert_int_equal(s.total, t->segments * (t->rows + 1));
    assert_int_equal(s.senders, 2);
    assert_int_equal(s.top[0].count, t->segments * t->rows);
    assert_int_equal(unit_commit(c, &err), NGX_OK);
}


/* every row is known, and its neighbours are not */

static void
test_known(void *c, test_case_t *t)
{
    u_char      *p;
    ngx_str_t    id, text;
    ngx_uint_t   i, k;

    id.len = t->id + 9;
    id.data = p = malloc(id.len + 1);
    ngx_memset(p, 'x', t->id);
    text = unit_str("");

    assert_int_equal(b->turn(c, unit_in(60000), &err), NGX_OK);

    for (i = 0; i < t->segments; i++) {
        for (k = 1; k <= t->rows + 1; k += 1 + t->rows / 20) {
            (void) sprintf((char *) p + t->id, "%09u",
                           (unsigned) (i * NGX_LYFTR_SEGMENT + k));
            assert_int_equal(unit_insert(c, &id, "+3", "2025-01-15T10:00:00Z",
                                         &text),
                             k > t->rows);
        }
    }

    b->end(c);

    free(p);
}


static void
test_hostile(void **state)
{
    void                 *c, *keeper;
    ngx_int_t             rc;
    test_case_t          *t;
    ngx_lyftr_sqlite_t   *s;

    t = *state;

    if (t->rows >= NGX_LYFTR_SEGMENT) {
        skip();
    }

    assert_int_equal(unit_setup(state), 0);

    dsn.search = 1;

    c = unit_open();
    keeper = s = unit_open();

    test_add(t);
    test_pages(c, t);

    unit_housekeep_all(keeper);

    assert_int_equal(s->state.indexed, t->segments * NGX_LYFTR_SEGMENT);
    assert_int_equal(s->index.nsegments, t->segments == 8 ? 1 : t->segments);
    assert_int_equal(s->index.segments[0].level, t->segments == 8);

    test_pages(c, t);
    test_stats(c, t);
    test_known(c, t);

    do {
        rc = unit_verify(c, 60000);
    } while (rc == NGX_OK);

    assert_int_equal(rc, NGX_DONE);

    b->close(c);
    b->close(keeper);

    assert_int_equal(unit_teardown(state), 0);
}


#define test_of(n)  { "case " #n, test_hostile, NULL, NULL, &cases[n] }


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        test_of(0), test_of(1), test_of(2), test_of(3), test_of(4),
        test_of(5), test_of(6), test_of(7)
    };

    return cmocka_run_group_tests_name("sqlite_hostile", tests, NULL, NULL);
}

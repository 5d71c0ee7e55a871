/* A database of another program, or of an older version, is opened. */

#include "unit_check.h"


static void
test_fails(ngx_lyftr_err_e code)
{
    err.code = NGX_LYFTR_ERR_NONE;

    assert_null(b->open(&dsn, 1, unit_in(300), &err));

    if (err.code != code) {
        print_error("code %d: %.*s\n", err.code, (int) err.len, err.text);
        fail();
    }

    assert_true(err.len > 0 && err.len < NGX_LYFTR_ERROR_LEN);
    assert_null(memchr(err.text, '\n', err.len));
}


/* the housekeeping, as far as an adoption; at most so many steps of it */

static ngx_lyftr_sqlite_t *
test_adopting(ngx_uint_t steps)
{
    ngx_int_t            rc;
    ngx_lyftr_sqlite_t  *u;

    u = unit_open_as(NGX_LYFTR_OPEN_JOBS|NGX_LYFTR_OPEN_CREATE);

    while (u->adopt && steps--) {
        rc = unit_housekeep(u);

        assert_true(rc == NGX_OK || (rc == NGX_AGAIN && u->adopt == NULL));
    }

    return u;
}


static void
test_adopted(void)
{
    ngx_lyftr_sqlite_t  *u;

    u = test_adopting(NGX_MAX_INT_T_VALUE);

    assert_null(u->adopt);
    b->close(u);
}


static void
test_adopt(void **state)
{
    void               *c;
    ngx_uint_t          i, k;
    unit_rows_t         rows;
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
        unit_sql(tables[i]);
        unit_sql("INSERT INTO messages (message_id, from_msisdn, to_msisdn,"
                 " ts, text) VALUES"
                 " ('m1', '+1', '+2', '2025-01-15T10:00:00.5Z', 'x'),"
                 " ('m2', '+1', '+2', '2025-01-15T10:00:00Z', NULL),"
                 " ('m0', '+3', '+2', '2025-01-15T10:00:00Z', ''),"
                 " ('old1', '+3', '+2', '2025-01-15 10:00:00', 'y'),"
                 " ('old2', '+3', '+2', '2024', 'y')");

        if (i == 1) {
            unit_sql("INSERT INTO messages (message_id, from_msisdn) VALUES"
                     " ('m1', '+9'), (NULL, '+9'), ('m1', '+9')");
        }

        test_adopted();

        c = unit_open();
        ngx_memzero(&q, sizeof(ngx_lyftr_query_t));
        q.limit = 10;

        assert_int_equal(unit_list(c, &q, &rows, &page), NGX_OK);
        assert_int_equal(page.total, 5);
        assert_int_equal(rows.n, 5);

        for (k = 0; k < 5; k++) {
            assert_string_equal(rows.rows[k].id, want[k]);
        }

        assert_string_equal(rows.rows[4].from, "+1");
        assert_true(rows.rows[3].null);
        assert_false(rows.rows[2].null);

        q.since = unit_str("0001-01-01T00:00:00Z");
        assert_int_equal(ngx_lyftr_instant_parse_since(q.since.data,
                                                       q.since.len,
                                                       &q.instant), NGX_OK);
        assert_int_equal(unit_list(c, &q, &rows, &page), NGX_OK);
        assert_int_equal(page.total, 3);

        assert_int_equal(b->begin(c, unit_in(1000), &err), NGX_OK);
        assert_int_equal(b->stats(c, &s, &err), NGX_OK);
        assert_int_equal(s.total, 5);
        assert_int_equal(s.senders, 2);
        unit_equal(s.top[0].from.data, s.top[0].from.len, "+3");
        unit_equal(s.first.data, s.first.len, "2025-01-15T10:00:00Z");
        unit_equal(s.last.data, s.last.len, "2025-01-15T10:00:00.5Z");
        assert_int_equal(unit_commit(c, &err), NGX_OK);

        assert_int_equal(unit_one(c, "m1"), NGX_DECLINED);
        assert_int_equal(unit_one(c, "m3"), NGX_OK);
        b->close(c);

        unit_sql("SELECT count(*) FROM messages_adopted;"
                 "SELECT created_at FROM messages;");

        assert_int_equal(stat((char *) dsn.common.path, &sb), 0);
        (void) unit_teardown(NULL);
        (void) unit_setup(NULL);
    }
}


/* a file that is refused, also by the housekeeping, stays as it is, alone */

static void
test_unchanged(void **state)
{
    char        cmd[512];
    ngx_uint_t  i;

    static struct {
        char             *sql;
        char             *damage;
        ngx_lyftr_err_e   code;
    } t[] = {
        { "CREATE TABLE other (a)", "", NGX_LYFTR_ERR_SCHEMA },
        { "PRAGMA application_id = 7", "", NGX_LYFTR_ERR_SCHEMA },
        { "PRAGMA application_id = 0x4c594652; PRAGMA user_version = 99", "",
          NGX_LYFTR_ERR_SCHEMA },
        { "PRAGMA application_id = 0x4c594652; PRAGMA user_version = 1", "",
          NGX_LYFTR_ERR_SCHEMA },
        { "CREATE TABLE messages (message_id, from_msisdn, to_msisdn, ts,"
          " text); CREATE TABLE messages_adopted (a)", "",
          NGX_LYFTR_ERR_SCHEMA },
        { "CREATE TABLE messages (message_id, from_msisdn, to_msisdn, ts,"
          " text); CREATE TABLE lyftr_count (a)", "", NGX_LYFTR_ERR_SCHEMA },
        { "CREATE TABLE messages (message_id, from_msisdn, to_msisdn, ts,"
          " text); INSERT INTO messages VALUES (1, 2, 3, 4,"
          " randomblob(50000)), (2, 2, 3, 4, randomblob(50000))",
          "dd if=/dev/zero of=t.db bs=4096 seek=1 count=1 conv=notrunc"
          " 2>/dev/null;", NGX_LYFTR_ERR_CORRUPT }
    };

    for (i = 0; i < unit_count(t); i++) {
        unit_sql(t[i].sql);

        (void) snprintf(cmd, sizeof(cmd), "cd '%s'; %s cp t.db $PWD.was", dir,
                        t[i].damage);
        assert_int_equal(system(cmd), 0);

        test_fails(t[i].code == NGX_LYFTR_ERR_CORRUPT ? NGX_LYFTR_ERR_ADOPT
                   : i == 4 || i == 5 ? NGX_LYFTR_ERR_ADOPT : t[i].code);

        assert_null(b->open(&dsn, NGX_LYFTR_OPEN_JOBS, unit_in(300), &err));
        assert_int_equal(err.code, t[i].code);

        (void) snprintf(cmd, sizeof(cmd), "cd '%s'; cmp t.db $PWD.was"
                        " && test \"$(ls)\" = t.db; r=$?; rm $PWD.was;"
                        " exit $r", dir);
        assert_int_equal(system(cmd), 0);

        (void) unit_teardown(NULL);
        (void) unit_setup(NULL);
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
        { "PRAGMA application_id = 0x4c594652; PRAGMA user_version = 7",
          NGX_LYFTR_ERR_SCHEMA },
        { "PRAGMA application_id = 0x4c594652; PRAGMA user_version = 1",
          NGX_LYFTR_ERR_SCHEMA },
        { "PRAGMA application_id = 0x4c594652; PRAGMA user_version = 6;"
          " PRAGMA journal_mode = WAL", NGX_LYFTR_ERR_SCHEMA },
        { "PRAGMA application_id = 0x4c594652; PRAGMA user_version = 5;"
          " PRAGMA journal_mode = WAL", NGX_LYFTR_ERR_SCHEMA },
        { "PRAGMA application_id = 0x4c594652; PRAGMA user_version = 4;"
          " PRAGMA journal_mode = WAL", NGX_LYFTR_ERR_SCHEMA },
        { "PRAGMA application_id = 0x4c594652; PRAGMA user_version = 3;"
          " PRAGMA journal_mode = WAL", NGX_LYFTR_ERR_SCHEMA },
        { "PRAGMA application_id = 0x4c594652; PRAGMA user_version = 2;"
          " PRAGMA journal_mode = WAL", NGX_LYFTR_ERR_SCHEMA }
    };

    for (i = 0; i < unit_count(t); i++) {
        unit_sql(t[i].sql);
        test_fails(t[i].code);
        (void) unit_teardown(NULL);
        (void) unit_setup(NULL);
    }

    f = fopen((char *) dsn.common.path, "w");
    for (i = 0; i < 5000; i++) {
        (void) fputs("garbage ", f);
    }
    (void) fclose(f);
    test_fails(NGX_LYFTR_ERR_CORRUPT);

    (void) unlink((char *) dsn.common.path);
    (void) symlink("nowhere", (char *) dsn.common.path);
    test_fails(NGX_LYFTR_ERR_OPEN);

    (void) unlink((char *) dsn.common.path);
    (void) mkdir((char *) dsn.common.path, 0700);
    test_fails(NGX_LYFTR_ERR_OPEN);

    (void) unit_teardown(NULL);
    test_fails(NGX_LYFTR_ERR_OPEN);
}


/* what the log of version 1 holds besides */

static void
test_hash(sqlite3_context *ctx, int n, sqlite3_value **v)
{
    u_char  *p;

    p = (u_char *) sqlite3_value_text(v[0]);

    sqlite3_result_int64(ctx, (int64_t)
                         ngx_lyftr_sqlite_hash(p, sqlite3_value_bytes(v[0])));
}


static void
test_instant(sqlite3_context *ctx, int n, sqlite3_value **v)
{
    u_char               *p;
    ngx_lyftr_instant_t   t;

    p = (u_char *) sqlite3_value_text(v[0]);

    if (ngx_lyftr_instant_parse(p, sqlite3_value_bytes(v[0]), &t) == NGX_OK) {
        sqlite3_result_blob(ctx, t.data, t.len, SQLITE_TRANSIENT);

    } else {
        sqlite3_result_value(ctx, v[0]);
    }
}


static void
test_functions(sqlite3 *db)
{
    assert_int_equal(sqlite3_create_function(db, "lyftr_hash", 1, SQLITE_UTF8,
                                             NULL, test_hash, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_create_function(db, "lyftr_instant", 1,
                                             SQLITE_UTF8, NULL, test_instant,
                                             NULL, NULL), SQLITE_OK);
}


/* the model as a table that another program wrote, or as version 1 did */

static void
test_put(const char *tables, const char *insert)
{
    sqlite3       *db;
    ngx_uint_t     i;
    unit_row_t    *r;
    sqlite3_stmt  *st;

    unit_sql(tables);

    assert_int_equal(sqlite3_open((char *) dsn.common.path, &db), SQLITE_OK);
    test_functions(db);
    assert_int_equal(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, insert, -1, &st, NULL),
                     SQLITE_OK);

    for (i = 0; i < nmodel; i++) {
        r = &model[i];

        assert_int_equal(ngx_lyftr_sqlite_bind(st, 1, &r->id), SQLITE_OK);
        assert_int_equal(ngx_lyftr_sqlite_bind(st, 2, &r->from), SQLITE_OK);
        assert_int_equal(ngx_lyftr_sqlite_bind(st, 3, &r->ts), SQLITE_OK);
        assert_int_equal(ngx_lyftr_sqlite_bind(st, 4, &r->text), SQLITE_OK);
        assert_int_equal(sqlite3_step(st), SQLITE_DONE);
        (void) sqlite3_reset(st);
    }

    (void) sqlite3_finalize(st);
    assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}


/* as it is read, and after each step of the jobs, which new rows follow */

static void
test_follow(void)
{
    void                *c, *r, *keeper;
    ngx_lyftr_sqlite_t  *s;

    keeper = s = test_adopting(NGX_MAX_INT_T_VALUE);
    c = unit_open();
    r = unit_open();

    (void) unit_housekeep(keeper);

    if (s->index.last - s->state.indexed > NGX_LYFTR_MOST) {
        assert_int_equal(b->turn(c, unit_in(1000), &err), NGX_DECLINED);
        assert_int_equal(err.code, NGX_LYFTR_ERR_BEHIND);
    }

    while (s->index.last - s->state.indexed > NGX_LYFTR_MOST - 100) {
        (void) unit_housekeep(keeper);
    }

    unit_check(r, 20, 1);
    unit_model_known(c);
    unit_model_add(c, 30);

    while (unit_housekeep(keeper) == NGX_OK) {
        unit_check(r, 1, 0);
    }

    unit_housekeep_all(keeper);
    unit_check(r, 40, 1);
    unit_model_known(c);

    b->close(c);
    b->close(r);
    b->close(keeper);
}


/* bytes that are no UTF-8, or none at all, and times that are none */

static void
test_odd(ngx_uint_t n)
{
    char        id[64];
    ngx_str_t   s[4];

    static ngx_str_t  odd[] = {
        ngx_string("+12"), ngx_string("+12\0"), ngx_string("+12\0\0x"),
        ngx_string("\xff\xfe"), ngx_string("\xff"), ngx_string("\0"),
        ngx_string(""), ngx_string("+12\1"), ngx_string("+1")
    };

    static ngx_str_t  times[] = {
        ngx_string("2025-01-15T10:00:00Z"), ngx_string("2025"),
        ngx_string("2025-01-15T10:00:00.000000001Z"), ngx_string(""),
        ngx_string("2025\0"), ngx_string("\xff"),
        ngx_string("0001-01-01T00:00:00Z"), ngx_string("2025\1"),
        ngx_string("9999-12-31T23:59:59.999999999Z")
    };

    static ngx_str_t  texts[] = {
        ngx_string("a needle"), ngx_null_string, ngx_string(""),
        ngx_string("x\0 NEEDLE"), ngx_string("100%_")
    };

    while (n--) {
        s[0].data = (u_char *) id;
        s[0].len = sprintf(id, "%c%c%d", rand_r(&seed) % 3,
                           rand_r(&seed) % 256, (int) n);

        if (n == 7) {
            s[0].len = 0;
        }

        s[1] = odd[rand_r(&seed) % unit_count(odd)];
        s[2] = times[rand_r(&seed) % unit_count(times)];
        s[3] = texts[rand_r(&seed) % unit_count(texts)];

        (void) unit_model_row(&s[0], &s[1], &s[2], &s[3]);
    }
}


static void
test_adopt_model(void **state)
{
    seed = 1;

    test_odd(900);
    test_put("CREATE TABLE messages (message_id, from_msisdn, to_msisdn, ts,"
             " text)",
             "INSERT INTO messages VALUES (?1, ?2, '+200', ?3, ?4)");

    /* the first ones stay */

    unit_sql("INSERT INTO messages SELECT * FROM messages LIMIT 300");

    test_follow();
}


/*
 * Whoever goes on after a kill does what was not committed, and no more; some
 * live for as many steps as a segment needs.
 */

static void
test_kill(void **state)
{
    ngx_uint_t           i;
    ngx_lyftr_sqlite_t  *u;

    seed = 4;

    test_odd(400);
    test_put("CREATE TABLE messages (message_id, from_msisdn, to_msisdn, ts,"
             " text)",
             "INSERT INTO messages VALUES (?1, ?2, '+200', ?3, ?4)");

    /* larger than a row may be, without a name, and one more with an id */

    unit_sql("INSERT INTO messages VALUES ('large', '+1', '+2', '2025',"
             " zeroblob(17000000)), (NULL, '+1', '+2', '2025', 'x');"
             "INSERT INTO messages SELECT * FROM messages LIMIT 1");

    for (i = 0; i < 1000; i++) {
        u = test_adopting(i % NGX_LYFTR_SEGMENT + 3);

        if (u->adopt == NULL) {
            break;
        }

        assert_null(b->open(&dsn, NGX_LYFTR_OPEN_CREATE, unit_in(1000), &err));
        assert_int_equal(err.code, NGX_LYFTR_ERR_ADOPT);
        assert_int_equal(unit_sql_int("SELECT count(*) FROM messages"),
                         nmodel + 3);
        b->close(u);
    }

    assert_null(u->adopt);
    assert_true(i > 10);
    b->close(u);

    test_follow();

    assert_int_equal(unit_sql_int("SELECT count(*) FROM messages_adopted"),
                     400 + 3);
}


/*
 * A file that another version has half adopted: a newer one has it for itself,
 * what an older one had done is done anew, also one that took down no version.
 */

static void
test_versions(void **state)
{
    ngx_uint_t           i;
    ngx_lyftr_gauges_t   gauges;
    ngx_lyftr_sqlite_t  *u;

    static struct {
        char       *sql;
        ngx_int_t   passed;              /* rows, when it is opened again */
    } t[] = {
        { "", 1 },
        { "ALTER TABLE lyftr_adopt DROP COLUMN version", 0 },
        { "UPDATE lyftr_adopt SET version = 7", -1 },
        { "UPDATE lyftr_adopt SET version = 3; DROP TABLE lyftr_extra", 0 },
        { "UPDATE lyftr_adopt SET version = 2; DROP TABLE lyftr_top;"
          "ALTER TABLE lyftr_state DROP COLUMN rebuild;"
          "CREATE TABLE lyftr_old (a); CREATE INDEX lyftr_i ON lyftr_old (a)",
          0 }
    };

    for (i = 0; i < unit_count(t); i++) {
        seed = 5;

        test_odd(100);
        test_put("CREATE TABLE messages (message_id, from_msisdn, to_msisdn,"
                 " ts, text); CREATE INDEX mine ON messages (ts);"
                 "CREATE TABLE lyftrs (a)",
                 "INSERT INTO messages VALUES (?1, ?2, '+200', ?3, ?4)");

        b->close(test_adopting(4));
        assert_true(unit_sql_int("SELECT passed FROM lyftr_adopt") > 0);
        unit_sql(t[i].sql);

        u = b->open(&dsn, NGX_LYFTR_OPEN_JOBS, unit_in(1000), &err);

        if (t[i].passed == -1) {
            assert_null(u);
            assert_int_equal(err.code, NGX_LYFTR_ERR_SCHEMA);
            assert_int_equal(unit_sql_int("SELECT version FROM lyftr_adopt"),
                             7);

        } else {
            assert_non_null(u);
            assert_int_equal(unit_sql_int("SELECT passed > 0"
                                          " FROM lyftr_adopt"), t[i].passed);

            /* and says so before its first step */

            b->gauges(u, &gauges);
            assert_int_equal(gauges.adopted > 0, t[i].passed);
            b->close(u);

            test_follow();

            assert_int_equal(unit_sql_int("SELECT count(*) FROM sqlite_master"
                                          " WHERE name IN ('lyftr_old',"
                                          " 'lyftr_i')"), 0);
            assert_int_equal(unit_sql_int("SELECT count(*) FROM sqlite_master"
                                          " WHERE name IN ('lyftrs', 'mine',"
                                          " 'messages_adopted')"), 3);
        }

        (void) unit_teardown_model(NULL);
        (void) unit_setup(NULL);
    }
}


/* what an older version adopted may be larger than a row may be now */

static void
test_large(void **state)
{
    char                id[16];
    void               *c, *u;
    ngx_uint_t          i;
    unit_rows_t         rows;
    ngx_lyftr_page_t    page;
    ngx_lyftr_query_t   q;

    b->close(unit_open());
    unit_sql("INSERT INTO lyftr_message (id_hash, instant, message_id,"
             " from_msisdn, to_msisdn, ts, text) VALUES (1, '2025', 'large',"
             " '+1', '+2', '2025', CAST(zeroblob(17000000) AS TEXT))");

    c = unit_open();
    ngx_memzero(&q, sizeof(ngx_lyftr_query_t));
    q.limit = 10;

    assert_int_equal(unit_list(c, &q, &rows, &page), NGX_OK);
    assert_int_equal(rows.n, 1);

    /* nor is it in the way of segments, and of the search index */

    dsn.search = 1;
    unit_sql("UPDATE lyftr_message SET text = printf('%.*c', 17000000, 'x')"
             " || ' needle'");

    for (i = 0; i < 3 * NGX_LYFTR_SEGMENT; i++) {
        (void) snprintf(id, sizeof(id), "m%d", (int) i);
        assert_int_equal(unit_one(c, id), NGX_OK);
    }

    u = unit_open_as(NGX_LYFTR_OPEN_JOBS);
    unit_housekeep_all(u);
    b->close(u);

    assert_true(unit_sql_int("SELECT indexed >= 128 FROM lyftr_state"));
    assert_true(unit_sql_int("SELECT max(last) >= 128 AND min(first) < 2"
                             " FROM lyftr_search"));

    q.q = unit_str("X NEEDLE");
    assert_int_equal(unit_list(c, &q, &rows, &page), NGX_OK);
    assert_int_equal(page.total, 1);
    assert_int_equal(rows.n, 1);
    assert_string_equal(rows.rows[0].id, "large");

    b->close(c);
    dsn.search = 0;
}


/* an older version left places in the log empty, also of whole segments */

static void
test_empty(void **state)
{
    seed = 2;

    b->close(unit_open());
    unit_forget();

    test_odd(150);
    test_put("",
             "INSERT INTO lyftr_message (seq, id_hash, instant, message_id,"
             " from_msisdn, to_msisdn, ts, text) SELECT n + 3 + n / 100 % 2"
             " * 150, lyftr_hash(?1), lyftr_instant(?3), ?1, ?2, '+200', ?3,"
             " ?4 FROM (SELECT ifnull(max(seq), 0) AS n FROM lyftr_message)");

    test_follow();

    assert_true(unit_sql_int("SELECT count(*) * 2 < indexed"
                             " FROM lyftr_message, lyftr_state"
                             " WHERE seq <= indexed"));
}


/* the schema of version 1, with indexes that had come this far */

static void
test_migrate(void **state)
{
    seed = 3;

    test_odd(700);
    test_put("PRAGMA journal_mode = WAL;"
             "CREATE TABLE lyftr_message (seq INTEGER PRIMARY KEY,"
             " id_hash INTEGER NOT NULL, instant NOT NULL,"
             " message_id TEXT NOT NULL, from_msisdn TEXT NOT NULL,"
             " to_msisdn TEXT NOT NULL, ts TEXT NOT NULL, created_at TEXT,"
             " text TEXT);"
             "CREATE TABLE lyftr_id (id_hash INTEGER NOT NULL,"
             " seq INTEGER NOT NULL, PRIMARY KEY (id_hash, seq))"
             " WITHOUT ROWID;"
             "CREATE TABLE lyftr_time (instant NOT NULL,"
             " message_id TEXT NOT NULL, seq INTEGER NOT NULL,"
             " PRIMARY KEY (instant, message_id)) WITHOUT ROWID;"
             "CREATE TABLE lyftr_sender (from_msisdn TEXT NOT NULL,"
             " instant NOT NULL, seq INTEGER NOT NULL,"
             " PRIMARY KEY (from_msisdn, instant, seq)) WITHOUT ROWID;"
             "CREATE TABLE lyftr_count (from_msisdn TEXT PRIMARY KEY,"
             " count INTEGER NOT NULL) WITHOUT ROWID;"
             "CREATE INDEX lyftr_top ON lyftr_count (count DESC,"
             " from_msisdn);"
             "CREATE TABLE lyftr_state (id INTEGER PRIMARY KEY"
             " CHECK (id = 1), id_to INTEGER NOT NULL DEFAULT 0,"
             " time_to INTEGER NOT NULL DEFAULT 0,"
             " sender_to INTEGER NOT NULL DEFAULT 0,"
             " count_to INTEGER NOT NULL DEFAULT 0,"
             " counted INTEGER NOT NULL DEFAULT 0, probe BLOB);"
             "INSERT INTO lyftr_state (id) VALUES (1);"
             "CREATE VIEW messages AS SELECT message_id, from_msisdn,"
             " to_msisdn, ts, text, created_at FROM lyftr_message;"
             "PRAGMA application_id = 0x4c594652;"
             "PRAGMA user_version = 1",
             "INSERT INTO lyftr_message (id_hash, instant, message_id,"
             " from_msisdn, to_msisdn, ts, text)"
             " VALUES (lyftr_hash(?1), lyftr_instant(?3), ?1, ?2, '+200', ?3,"
             " ?4)");

    unit_sql("INSERT INTO lyftr_id SELECT id_hash, seq FROM lyftr_message"
             " WHERE seq < 300;"
             "INSERT INTO lyftr_count SELECT from_msisdn, count(*) FROM"
             " lyftr_message WHERE seq < 300 GROUP BY 1;"
             "UPDATE lyftr_state SET id_to = 299, count_to = 299");

    test_follow();

    assert_int_equal(unit_sql_int("SELECT count(*) FROM messages"), nmodel);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM sqlite_master"
                                  " WHERE name IN ('lyftr_id', 'lyftr_time',"
                                  " 'lyftr_sender')"), 0);
    assert_int_equal(unit_sql_int("PRAGMA user_version"), 6);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        unit_fresh(test_adopt),
        unit_fresh(test_refuse),
        unit_fresh(test_unchanged),
        unit_fresh_model(test_adopt_model),
        unit_fresh_model(test_kill),
        unit_fresh_model(test_versions),
        unit_fresh(test_large),
        unit_fresh_model(test_empty),
        unit_fresh_model(test_migrate)
    };

    return cmocka_run_group_tests_name("sqlite_adopt", tests, NULL, NULL);
}

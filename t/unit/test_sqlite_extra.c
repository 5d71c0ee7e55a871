/* What only some rows have: type and raw, in a table beside the log. */

#include "unit_check.h"


static ngx_int_t
test_put(void *c, const char *id, const char *type, ngx_str_t *raw)
{
    ngx_lyftr_message_t  m;

    ngx_memzero(&m, sizeof(m));

    m.message_id = unit_str(id);
    m.from = m.to = unit_str("+1");
    m.ts = unit_str("2025-01-15T10:00:00Z");
    m.type = unit_str(type);

    if (raw) {
        m.raw = *raw;
    }

    assert_int_equal(ngx_lyftr_instant_parse(m.ts.data, m.ts.len, &m.instant),
                     NGX_OK);

    return unit_put(c, &m, &err);
}


static int64_t
test_rows(void)
{
    return unit_sql_int("SELECT count(*) FROM lyftr_extra");
}


/* in the transaction of its row, which has one of them, both or none */

static void
test_stored(void **state)
{
    void       *c;
    char       *big;
    ngx_str_t   raw;

    c = unit_open();
    ngx_str_set(&raw, "{ \"a\": 1 }");

    assert_int_equal(b->turn(c, unit_in(2000), &err), NGX_OK);
    assert_int_equal(test_put(c, "a", "text", &raw), NGX_OK);
    b->end(c);
    assert_int_equal(test_rows(), 0);

    assert_int_equal(b->turn(c, unit_in(2000), &err), NGX_OK);
    assert_int_equal(test_put(c, "a", NULL, NULL), NGX_OK);
    assert_int_equal(test_put(c, "b", "text", NULL), NGX_OK);
    assert_int_equal(test_put(c, "c", NULL, &raw), NGX_OK);
    assert_int_equal(test_put(c, "d", "", &raw), NGX_OK);
    assert_int_equal(test_put(c, "d", "image", &raw), NGX_DECLINED);
    assert_int_equal(test_put(c, "a", "image", &raw), NGX_DECLINED);
    assert_int_equal(unit_commit(c, &err), NGX_OK);

    assert_int_equal(test_rows(), 3);
    assert_int_equal(unit_sql_int("SELECT sum(CASE message_id"
                                  " WHEN 'a' THEN type IS NULL AND raw IS NULL"
                                  " WHEN 'b' THEN type = 'text'"
                                  " AND raw IS NULL"
                                  " WHEN 'c' THEN type IS NULL"
                                  " AND raw = '{ \"a\": 1 }'"
                                  " ELSE type = '' AND raw = '{ \"a\": 1 }'"
                                  " END) FROM messages"), 4);

    /* one that is too large fails alone, and is no reason for a smaller one */

    big = malloc(NGX_LYFTR_SQLITE_LENGTH + 1);
    ngx_memset(big, ' ', NGX_LYFTR_SQLITE_LENGTH + 1);
    raw.data = (u_char *) big;
    raw.len = NGX_LYFTR_SQLITE_LENGTH;

    assert_int_equal(b->turn(c, unit_in(2000), &err), NGX_OK);
    assert_int_equal(test_put(c, "e", "x", &raw), NGX_ERROR);
    assert_int_equal(err.code, NGX_LYFTR_ERR_DATA);
    b->end(c);

    assert_int_equal(b->turn(c, unit_in(2000), &err), NGX_OK);
    assert_int_equal(test_put(c, "e", NULL, &raw), NGX_OK);
    assert_int_equal(unit_commit(c, &err), NGX_OK);
    assert_int_equal(unit_sql_int("SELECT length(raw) FROM messages"
                                  " WHERE message_id = 'e'"),
                     NGX_LYFTR_SQLITE_LENGTH);

    assert_true(unit_pass(c) > 0);

    free(big);
    b->close(c);
}


/* a page ends where its reader says, and the next one begins there */

static ngx_int_t
test_some(void *data, ngx_lyftr_message_t *m, ngx_lyftr_position_t *position)
{
    unit_sink_t *sink = data;

    return sink->n == 3 ? NGX_DONE : unit_sink(data, m, position);
}


static void
test_page_ends(void **state)
{
    void               *c;
    ngx_uint_t          i, n, q;
    unit_row_t         *want[101];
    unit_sink_t         sink;
    ngx_lyftr_page_t    page;
    ngx_lyftr_query_t   query;

    seed = 4;
    c = unit_open();
    unit_model_add(c, 100);
    unit_model_sort();

    /* all, and with a text: of those that are indexed, and of others */

    for (q = 0; q < 4; q++) {
        ngx_memzero(&query, sizeof(query));
        query.limit = 50;
        query.fields = NGX_LYFTR_FIELDS_EXTRA;
        query.desc = q / 2;
        query.q = unit_str(q % 2 ? "needle" : NULL);

        for (i = 0, n = 0; i < nmodel; i++) {
            if (unit_row_matches(&model[q / 2 ? nmodel - 1 - i : i], &query)) {
                want[n++] = &model[q / 2 ? nmodel - 1 - i : i];
            }
        }

        want[n] = NULL;
        assert_true(n > 20);

        for (i = 0; i < n; i += 3) {
            sink.want = &want[i];
            sink.fields = query.fields;
            sink.n = 0;
            sink.bad = 0;

            assert_int_equal(b->begin(c, unit_in(4000), &err), NGX_OK);
            assert_int_equal(b->list(c, &query, test_some, &sink, &page,
                                     &err), NGX_OK);
            b->end(c);

            assert_int_equal(sink.n, ngx_min(3, n - i));
            assert_int_equal(sink.bad, 0);
            assert_int_equal(page.total, n);
            assert_int_equal(page.next.seq != 0, i + 3 < n);

            query.after = page.next;
        }
    }

    b->close(c);
}


/* a connection of a worker of version 3: the statements that it had other */

static void *
test_open_3(void)
{
    ngx_uint_t            i;
    sqlite3_stmt        **st;
    ngx_lyftr_sqlite_t   *c;

    static struct {
        ngx_lyftr_sql_e   n;
        const char       *sql;
    } old[] = {
        { NGX_LYFTR_SQL_STATE,
          "SELECT generation, indexed, counted, counting, senders, next,"
          " damaged, rebuild, 0, 0, 0, 0 FROM lyftr_state" },

        { NGX_LYFTR_SQL_COUNT,
          "SELECT count, 0, 0, last FROM lyftr_count"
          " WHERE from_msisdn = ?1" },

        { NGX_LYFTR_SQL_COUNT_OF,
          "SELECT count, last FROM lyftr_count WHERE from_msisdn = ?1" }
    };

    c = unit_open();

    for (i = 0; i < unit_count(old); i++) {
        st = &c->stmt[old[i].n];

        (void) sqlite3_finalize(*st);
        assert_int_equal(sqlite3_prepare_v2(c->db, old[i].sql, -1, st, NULL),
                         SQLITE_OK);
    }

    return c;
}


/* it goes on with what it has, and those of this version see what it writes */

static void
test_version_3(void **state)
{
    void        *c, *r, *keeper;
    unit_row_t  *row;

    seed = 5;

    c = test_open_3();
    keeper = test_open_3();
    unit_version_3();

    /* of rows that have nothing besides */

    while (nmodel < 100) {
        row = unit_model_random();
        free(row->type.data);
        free(row->raw.data);
        ngx_str_null(&row->type);
        ngx_str_null(&row->raw);

        assert_int_equal(b->turn(c, unit_in(2000), &err), NGX_OK);
        assert_int_equal(unit_model_insert(c, row), NGX_OK);
        assert_int_equal(unit_commit(c, &err), NGX_OK);

        if (nmodel != 50) {
            continue;
        }

        (void) unit_housekeep(keeper);

        assert_int_equal(unit_sql_int("PRAGMA user_version"), 3);

        r = unit_open();
        assert_int_equal(unit_sql_int("PRAGMA user_version"), 6);
        assert_int_equal(unit_sql_int("SELECT count(type) FROM messages"), 0);
        unit_check(r, 4, 1);

        assert_int_equal(b->turn(r, unit_in(2000), &err), NGX_OK);
        row = unit_model_random();
        unit_model_extra(row);
        assert_int_equal(unit_model_insert(r, row), NGX_OK);
        assert_int_equal(unit_commit(r, &err), NGX_OK);
        b->close(r);
    }

    unit_housekeep_all(keeper);

    assert_true(test_rows() > 0);
    assert_true(unit_pass(keeper) > 0);

    b->close(c);
    b->close(keeper);

    c = unit_open();
    unit_check(c, 20, 1);
    unit_model_known(c);
    b->close(c);
}


static void
test_damage(void **state)
{
    void        *c;
    char         sql[200];
    int64_t      seq;
    ngx_uint_t   i;

    static const char  *damage[] = {
        "UPDATE lyftr_extra SET raw = replace(raw, 'id', 'iD')"
        " WHERE seq = %d",
        "UPDATE lyftr_extra SET type = NULL WHERE seq = %d",
        "UPDATE lyftr_extra SET type = '' WHERE seq = %d",
        "UPDATE lyftr_extra SET sum = sum + 1 WHERE seq = %d",
        "UPDATE lyftr_extra SET seq = 99999 WHERE seq = %d",
        "INSERT INTO lyftr_extra (seq, sum) VALUES (77777, %d)"
    };

    for (i = 0; i < unit_count(damage); i++) {
        seed = 6;
        c = unit_open();
        unit_model_add(c, 80);
        assert_true(unit_pass(c) > 0);

        seq = unit_sql_int("SELECT max(seq) FROM lyftr_extra"
                           " WHERE type IS NOT NULL");
        (void) snprintf(sql, sizeof(sql), damage[i], (int) seq);
        unit_sql(sql);

        assert_int_equal(unit_pass(c), -1);
        assert_non_null(strstr((char *) err.text, " is damaged"));

        b->close(c);
        (void) unit_teardown_model(NULL);
        (void) unit_setup(NULL);
    }
}


/* what sqlite3 writes for a backup gives the same store */

static void
test_dump(void **state)
{
    void  *c;
    char   cmd[512];

    seed = 7;
    c = unit_open();
    unit_model_add(c, 150);
    unit_housekeep_all(c);
    b->close(c);

    (void) snprintf(cmd, sizeof(cmd), "cd '%s' && sqlite3 t.db .dump"
                    " | sqlite3 new.db && sqlite3 new.db 'PRAGMA"
                    " application_id = 0x4c594652; PRAGMA user_version = 6'"
                    " && rm t.db* && mv new.db t.db", dir);
    assert_int_equal(system(cmd), 0);

    unit_forget();

    c = unit_open();
    unit_check(c, 20, 1);
    unit_model_known(c);
    assert_true(unit_pass(c) > 0);
    b->close(c);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        unit_fresh_model(test_stored),
        unit_fresh_model(test_page_ends),
        unit_fresh_model(test_version_3),
        unit_fresh_model(test_damage),
        unit_fresh_model(test_dump)
    };

    return cmocka_run_group_tests_name("sqlite_extra", tests, NULL, NULL);
}

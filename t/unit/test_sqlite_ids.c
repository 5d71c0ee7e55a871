/* Every id is known that was stored, and no other. */

#include "unit_model.h"


#define TEST_LONG    100000


/* ids that differ at their end only, or in length, and are long */

static void
test_long(void **state)
{
    char        *id;
    void        *c, *upkeep;
    ngx_str_t    s[4];
    ngx_uint_t   i;
    unit_row_t  *r;

    seed = 1;
    c = unit_open();
    upkeep = unit_open();

    id = malloc(TEST_LONG);
    ngx_memset(id, 'l', TEST_LONG);

    s[0].data = (u_char *) id;
    ngx_str_set(&s[1], "+1");
    ngx_str_set(&s[2], "2025-01-15T10:00:00Z");
    ngx_str_set(&s[3], "needle");

    for (i = 0; i < 150; i++) {
        s[0].len = 1 + rand_r(&seed) % 300;

        if (i % 3 == 0) {
            s[0].len = TEST_LONG - i;
        }

        id[s[0].len - 1] = 'a' + i % 26;
        (void) unit_model_row(&s[0], &s[1], &s[2], &s[3]);
        id[s[0].len - 1] = 'l';

        r = &model[nmodel - 1];

        assert_int_equal(b->begin(c, 1, unit_in(10000), &err), NGX_OK);

        if (unit_model_insert(c, r) == NGX_DECLINED) {
            free(r->id.data);
            free(r->from.data);
            free(r->ts.data);
            free(r->text.data);
            nmodel--;
        }

        assert_int_equal(b->commit(c, &err), NGX_OK);
        (void) unit_maintain(upkeep);
    }

    free(id);

    assert_true(nmodel > 130);

    unit_check(c, 5, 1);
    unit_maintain_all(upkeep);
    unit_check(c, 5, 1);
    unit_model_known(c);

    b->close(c);
    b->close(upkeep);
}


/* all of some rows have one hash, also when they are in segments and merged */

static void
test_same_hash(void **state)
{
    char                 id[16];
    void                *c, *upkeep;
    ngx_str_t            s, text;
    ngx_uint_t           i, k;
    ngx_lyftr_sqlite_t  *w;

    c = unit_open();
    upkeep = unit_open();
    text = unit_str("");

    for (k = 0; k < 3; k++) {
        assert_int_equal(b->begin(c, 1, unit_in(2000), &err), NGX_OK);

        for (i = 0; i < 100; i++) {
            (void) sprintf(id, "i%d", (int) (100 * k + i));
            s = unit_str(id);
            assert_true(unit_insert(c, &s, "+1", "2025-01-15T10:00:00Z",
                                    &text));
        }

        assert_int_equal(b->commit(c, &err), NGX_OK);
    }

    b->close(c);
    b->close(upkeep);

    /* no process has them in memory now */

    unit_sql("UPDATE lyftr_message SET id_hash = 77 WHERE seq % 5 < 3");

    c = w = unit_open();
    upkeep = unit_open();

    for ( ;; ) {
        assert_int_equal(b->begin(c, 1, unit_in(2000), &err), NGX_OK);

        for (i = 0; i < 300; i++) {
            (void) sprintf(id, "i%d", (int) i);
            s = unit_str(id);

            assert_int_equal(ngx_lyftr_sqlite_known(w, &s,
                                 (i + 1) % 5 < 3 ? 77
                                 : ngx_lyftr_sqlite_hash(s.data, s.len),
                                 &err),
                             NGX_DECLINED);
        }

        s = unit_str("new");
        assert_int_equal(ngx_lyftr_sqlite_known(w, &s, 77, &err), NGX_OK);

        b->rollback(c);

        if (w->state.indexed == 256 && w->nsegments < 4) {
            break;
        }

        (void) unit_maintain(upkeep);
    }

    b->close(c);
    b->close(upkeep);
}


/* where the filters are wrong, the ids decide */

static void
test_wrong_filter(void **state)
{
    char        id[16];
    void       *c, *upkeep;
    ngx_uint_t  i;

    seed = 2;
    c = unit_open();
    upkeep = unit_open();

    unit_model_add(c, 200);
    unit_maintain_all(upkeep);
    b->close(c);

    unit_sql("UPDATE lyftr_block SET data = replace(hex(zeroblob("
             "length(data))), '00', x'ff') WHERE (no >> 30) & 15 = 15;"
             "UPDATE lyftr_block SET data = CAST(data AS BLOB)");

    c = unit_open();
    unit_model_known(c);

    for (i = 0; i < 100; i++) {
        (void) sprintf(id, "other%d", (int) i);
        assert_int_equal(unit_one(c, id), NGX_OK);
    }

    b->close(c);
    b->close(upkeep);
}


/* writers by turns, of which some give up */

static void
test_rollbacks(void **state)
{
    char         id[16];
    void        *c[3], *upkeep;
    ngx_str_t    s, text;
    ngx_uint_t   i, k, m, n;

    seed = 3;
    upkeep = unit_open();
    text = unit_str("");

    for (i = 0; i < 3; i++) {
        c[i] = unit_open();
    }

    for (i = 0, n = 0; i < 300; i++) {
        k = rand_r(&seed) % 3;

        assert_int_equal(b->begin(c[k], 1, unit_in(2000), &err), NGX_OK);

        /* those that are there, and the one that was rolled back before */

        for (m = n > 10 ? n - 10 : 0; m < n + 3; m++) {
            (void) sprintf(id, "i%d", (int) m);
            s = unit_str(id);
            assert_int_equal(unit_insert(c[k], &s, "+1",
                                         "2025-01-15T10:00:00Z", &text),
                             m >= n);
        }

        if (rand_r(&seed) % 2) {
            b->rollback(c[k]);
            continue;
        }

        assert_int_equal(b->commit(c[k], &err), NGX_OK);
        n += 3;

        (void) unit_maintain(upkeep);
    }

    assert_true(unit_sql_int("SELECT count(*) FROM messages") > 200);
    assert_int_equal(unit_sql_int("SELECT count(*) = count(DISTINCT"
                                  " message_id) FROM messages"), 1);

    for (i = 0; i < 3; i++) {
        b->close(c[i]);
    }

    b->close(upkeep);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        unit_fresh_model(test_long),
        unit_fresh_model(test_same_hash),
        unit_fresh_model(test_wrong_filter),
        unit_fresh_model(test_rollbacks)
    };

    return cmocka_run_group_tests_name("sqlite_ids", tests, NULL, NULL);
}

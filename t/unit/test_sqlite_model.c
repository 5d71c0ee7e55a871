/* A store against a model, in every state that its segments can have. */

#include "unit_check.h"


#define TEST_ROWS    1500


static ngx_uint_t
test_segments(ngx_uint_t level)
{
    char  sql[100];

    (void) sprintf(sql, "SELECT count(*) FROM lyftr_segment WHERE level >= %d",
                   (int) level);

    return unit_sql_int(sql);
}


/* what no segment has may be so much that nothing is answered */

static void
test_add(void *c, ngx_uint_t n, void *keeper)
{
    ngx_lyftr_sqlite_t  *s = keeper;

    unit_model_add(c, n);

    while (nmodel - (ngx_uint_t) s->state.indexed > NGX_LYFTR_MOST - 100) {
        (void) unit_housekeep(keeper);
    }
}


static void
test_empty(void **state)
{
    void  *c;

    c = unit_open();

    unit_check(c, 10, 1);
    unit_housekeep_all(c);
    assert_int_equal(unit_housekeep(c), NGX_DONE);
    unit_check(c, 10, 1);

    unit_model_add(c, 1);
    unit_check(c, 10, 1);
    unit_housekeep_all(c);
    unit_check(c, 10, 1);

    b->close(c);
}


/* after each call of housekeep(), as one who follows and as one who opens */

static void
test_steps(void **state)
{
    void        *c, *r, *fresh, *keeper;
    ngx_uint_t   steps;

    seed = 1;

    c = unit_open();
    r = unit_open();
    keeper = unit_open();

    for (steps = 0; nmodel < TEST_ROWS; steps++) {

        if (rand_r(&seed) % 3 == 0) {
            test_add(c, rand_r(&seed) % 40, keeper);
        }

        (void) unit_housekeep(keeper);
        unit_check(r, 2, 0);

        if (steps % 8 == 0) {
            fresh = unit_open();
            unit_check(fresh, 4, 1);
            unit_model_known(fresh);
            b->close(fresh);
        }
    }

    unit_housekeep_all(keeper);

    assert_true(test_segments(0) > 1);
    assert_true(test_segments(2) > 0);

    unit_check(r, 20, 1);
    unit_model_known(c);

    b->close(c);
    b->close(r);
    b->close(keeper);

    /* one process that has seen nothing of it */

    c = unit_open();
    unit_check(c, 20, 1);
    unit_model_known(c);
    b->close(c);

    assert_int_equal(unit_sql_int("SELECT count(*) FROM"
                                  " pragma_integrity_check WHERE"
                                  " integrity_check <> 'ok'"), 0);
}


/* it goes away in the middle of whatever it does, and another goes on */

static void
test_owner_dies(void **state)
{
    void        *c, *r, *keeper;
    ngx_uint_t   i, n, strays, halves;

    seed = 2;
    strays = 0;
    halves = 0;

    c = unit_open();
    r = unit_open();

    for (i = 0; nmodel < TEST_ROWS; i++) {
        keeper = unit_open();
        (void) unit_housekeep(keeper);

        test_add(c, 20, keeper);

        for (n = rand_r(&seed) % 40; n; n--) {
            (void) unit_housekeep(keeper);
        }

        b->close(keeper);

        strays += (unit_strays() > 0);
        halves += unit_sql_int("SELECT counting > counted FROM lyftr_state");

        unit_check(r, 1, 0);
    }

    assert_true(strays > 0);

    keeper = unit_open();
    unit_housekeep_all(keeper);

    assert_int_equal(unit_strays(), 0);

    unit_check(r, 20, 1);
    unit_model_known(c);

    b->close(c);
    b->close(r);
    b->close(keeper);
}


static void
test_add_senders(void *c, ngx_uint_t n)
{
    char         id[16], from[16];
    ngx_str_t    s[4];
    unit_row_t  *r;

    ngx_str_set(&s[2], "2025-01-15T10:00:00Z");
    ngx_str_null(&s[3]);

    assert_int_equal(b->turn(c, unit_in(4000), &err), NGX_OK);

    while (n--) {
        (void) sprintf(id, "i%d", (int) nmodel);
        (void) sprintf(from, "+%d",
                       1000 + (int) (nmodel % 31 * (nmodel % 4)));
        s[0] = unit_str(id);
        s[1] = unit_str(from);
        r = unit_model_row(&s[0], &s[1], &s[2], &s[3]);
        assert_int_equal(unit_model_insert(c, r), NGX_OK);
    }

    assert_int_equal(unit_commit(c, &err), NGX_OK);
}


/* more senders than are counted in one turn: it dies between two of a step */

static void
test_counts(void **state)
{
    void        *c, *keeper;
    ngx_uint_t   n;

    static const char  half[] = "SELECT counting > counted FROM lyftr_state";

    c = unit_open();
    keeper = unit_open();

    test_add_senders(c, 480);

    for (n = 0; unit_sql_int("SELECT counted FROM lyftr_state") < 480; ) {

        (void) unit_housekeep(keeper);
        unit_check(c, 1, 0);

        n += unit_sql_int(half);

        if (n % 12 == 1) {
            b->close(keeper);
            keeper = unit_open();
            n++;
        }
    }

    assert_true(n > 50);

    /* a step of fewer rows than there are when another one goes on with it */

    test_add_senders(c, 10);

    for (n = 0; n < 400 && !unit_sql_int(half); n++) {
        (void) unit_housekeep(keeper);
        (void) usleep(10000);
    }

    assert_true(unit_sql_int(half));
    b->close(keeper);

    test_add_senders(c, 30);

    keeper = unit_open();
    unit_check(c, 1, 0);

    while (unit_housekeep(keeper) == NGX_OK) {
        unit_check(c, 1, 0);
    }

    unit_housekeep_all(keeper);
    unit_check(c, 4, 1);

    assert_int_equal(unit_sql_int("SELECT sum(count) FROM lyftr_count"), 520);
    assert_int_equal(unit_sql_int("SELECT senders = (SELECT count(*) FROM"
                                  " lyftr_count) FROM lyftr_state"), 1);

    b->close(c);
    b->close(keeper);
}


/* each connection keeps what it saw when its transaction began */

static void
test_snapshots(void **state)
{
    void                *c, *keeper, *r[5];
    ngx_uint_t           i, k, n[5];
    ngx_lyftr_stats_t    s;

    seed = 3;

    c = unit_open();
    keeper = unit_open();

    for (i = 0; i < 5; i++) {
        r[i] = unit_open();
    }

    for (k = 0; k < 12; k++) {

        for (i = 0; i < 5; i++) {
            test_add(c, 25, keeper);
            n[i] = nmodel;

            assert_int_equal(b->begin(r[i], unit_in(20000), &err), NGX_OK);
            assert_int_equal(b->stats(r[i], &s, &err), NGX_OK);
            assert_int_equal(s.total, n[i]);
        }

        /* what they have seen goes into segments, and out of memory */

        unit_housekeep_all(keeper);
        test_add(c, 64, keeper);
        unit_housekeep_all(keeper);
        unit_check(keeper, 1, 0);

        for (i = 0; i < 5; i++) {
            assert_int_equal(b->stats(r[i], &s, &err), NGX_OK);
            assert_int_equal(s.total, n[i]);
            assert_int_equal(unit_commit(r[i], &err), NGX_OK);
            unit_check(r[i], 1, 1);
        }
    }

    for (i = 0; i < 5; i++) {
        b->close(r[i]);
    }

    b->close(c);
    b->close(keeper);
}


/* rows that no segment has are so many that no more are taken */

static void
test_most(void **state)
{
    void        *c, *keeper;
    ngx_msec_t   begin;

    seed = 6;

    c = unit_open();
    keeper = unit_open();

    while (nmodel <= NGX_LYFTR_MOST - 100) {
        unit_model_add(c, 100);
    }

    /* near to that a batch is held back, far from it it is not */

    begin = ngx_lyftr_clock();
    unit_model_add(c, NGX_LYFTR_MOST + 1 - nmodel);
    assert_true(ngx_lyftr_clock() - begin >= 4);

    begin = ngx_lyftr_clock();
    assert_int_equal(b->turn(c, unit_in(100), &err), NGX_DECLINED);
    assert_true(ngx_lyftr_clock() - begin >= 63);
    assert_int_equal(err.code, NGX_LYFTR_ERR_BEHIND);

    assert_int_equal(b->probe(c, 0, &err), NGX_ERROR);
    assert_int_equal(err.code, NGX_LYFTR_ERR_BEHIND);

    unit_check(c, 10, 1);
    unit_housekeep_all(keeper);

    assert_int_equal(b->probe(c, 0, &err), NGX_OK);

    unit_check(c, 10, 1);
    unit_model_add(c, 10);
    unit_model_known(c);

    b->close(c);
    b->close(keeper);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        unit_fresh_model(test_empty),
        unit_fresh_model(test_steps),
        unit_fresh_model(test_owner_dies),
        unit_fresh_model(test_counts),
        unit_fresh_model(test_snapshots),
        unit_fresh_model(test_most)
    };

    return cmocka_run_group_tests_name("sqlite_model", tests, NULL, NULL);
}

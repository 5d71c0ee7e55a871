/* All that follows the log is made anew, while it is in use. */

#include "unit_check.h"

#include <ngx_lyftr_sqlite_rebuild.h>

#include <sys/stat.h>


static char  request[128];


static int
test_setup(void **state)
{
    if (unit_setup(state) != 0) {
        return -1;
    }

    dsn.search = 1;
    seed = 1;

    (void) snprintf(request, sizeof(request), "%s/t.db%s", dir,
                    NGX_LYFTR_SQLITE_REBUILD);

    return 0;
}


static void
test_ask(void)
{
    int  fd;

    fd = open(request, O_CREAT|O_WRONLY, 0644);
    assert_int_not_equal(fd, -1);
    (void) close(fd);
}


static ngx_uint_t
test_asked(void)
{
    return access(request, F_OK) == 0;
}


/* nothing of before is left, and all of it is right */

static void
test_new(void *c, int64_t before)
{
    char  sql[128];

    assert_false(test_asked());
    assert_int_equal(unit_sql_int("SELECT rebuild FROM lyftr_state"), 0);

    (void) sprintf(sql, "SELECT count(*) FROM lyftr_segment WHERE id <= %d",
                   (int) before);
    assert_int_equal(unit_sql_int(sql), 0);
    assert_true(unit_sql_int("SELECT count(*) FROM lyftr_segment") > 0);

    (void) sprintf(sql, "SELECT count(*) FROM lyftr_block WHERE no >> 36"
                   " NOT IN (SELECT id FROM lyftr_segment)");
    assert_int_equal(unit_sql_int(sql), 0);

    if (unit_pass(c) == -1) {
        fail_msg("%.*s", (int) err.len, err.text);
    }

    unit_check(c, 20, 1);
    unit_model_known(c);
}


/* after each piece of it, while rows come, all is answered as ever */

static void
test_meanwhile(void **state)
{
    void       *c, *r, *keeper;
    int64_t     before;
    ngx_int_t   rc;
    ngx_uint_t  n;

    c = unit_open();
    r = unit_open();
    keeper = unit_open();

    unit_model_add(c, 9 * NGX_LYFTR_SEGMENT + 20);
    unit_housekeep_all(keeper);

    before = unit_sql_int("SELECT max(id) FROM lyftr_segment");

    test_ask();

    for (n = 0; test_asked(); n++) {
        assert_true(n < 10000);

        rc = unit_housekeep(keeper);
        assert_int_not_equal(rc, NGX_ERROR);

        if (n % 5 == 0 && n < 200) {
            unit_model_add(c, rand_r(&seed) % 8);
        }

        unit_check(r, 1, n % 16 == 0);

        /* another process takes it over */

        if (n % 37 == 36 && n < 300) {
            b->close(keeper);
            keeper = unit_open();
        }
    }

    assert_true(n > 50);

    unit_housekeep_all(keeper);
    test_new(r, before);

    b->close(c);
    b->close(r);
    b->close(keeper);
}


/* whatever is broken, it comes right of the log alone */

static void
test_mend(void **state)
{
    char        *msg;
    void        *c, *keeper;
    int64_t      before;
    sqlite3     *db;
    ngx_uint_t   i, n;

    static const char  *damages[] = {
        "DELETE FROM lyftr_block WHERE no % 3 = 0",
        "DELETE FROM lyftr_block",
        "UPDATE lyftr_block SET data = x'00'",
        "UPDATE lyftr_segment SET rows = rows - 1",
        "UPDATE lyftr_segment SET id_height = 1, sender_height = 2",
        "DELETE FROM lyftr_segment WHERE first = 0",
        "DELETE FROM lyftr_segment WHERE last ="
        " (SELECT max(last) FROM lyftr_segment)",
        "DELETE FROM lyftr_segment",
        "DELETE FROM lyftr_count",
        "UPDATE lyftr_count SET count = count + 1",
        "INSERT INTO lyftr_count (from_msisdn, count, last)"
        " VALUES ('', 7, 1), ('+zz', 3, 1)",
        "DELETE FROM lyftr_count WHERE count < 20",
        "DELETE FROM lyftr_top",
        "UPDATE lyftr_top SET count = 1000000",
        "UPDATE lyftr_state SET senders = 1000",
        "DELETE FROM lyftr_gram",
        "UPDATE lyftr_search SET first = 1 WHERE first = 0"
    };

    for (i = 0; i < unit_count(damages); i++) {
        c = unit_open();
        keeper = unit_open();

        if (i == 0) {
            unit_model_add(c, 9 * NGX_LYFTR_SEGMENT + 20);
            unit_housekeep_all(keeper);
        }

        before = unit_sql_int("SELECT max(id) FROM lyftr_segment");

        msg = NULL;
        assert_int_equal(sqlite3_open((char *) dsn.common.path, &db),
                         SQLITE_OK);
        (void) sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1,
                                 NULL);

        if (sqlite3_exec(db, damages[i], NULL, NULL, &msg) != SQLITE_OK) {
            fail_msg("%s", msg);
        }

        assert_int_equal(sqlite3_close(db), SQLITE_OK);

        unit_sql("UPDATE lyftr_state SET generation = generation + 1");

        if (unit_pass(c) != -1) {
            fail_msg("not found: %s", damages[i]);
        }

        b->close(c);
        c = unit_open();

        test_ask();

        for (n = 0; test_asked(); n++) {
            if (n == 10000) {
                fail_msg("%s", damages[i]);
            }

            (void) b->housekeep(keeper, unit_in(4000), &err);
        }

        unit_housekeep_all(keeper);
        test_new(c, before);

        b->close(c);
        b->close(keeper);
    }
}


/* a request that cannot be taken away is told once, and done once */

static void
test_kept(void **state)
{
    void        *c, *keeper;
    int64_t      number;
    ngx_uint_t   i, told;

    c = unit_open();
    keeper = unit_open();

    unit_model_add(c, 2 * NGX_LYFTR_SEGMENT);
    unit_housekeep_all(keeper);

    assert_int_equal(mkdir(request, 0755), 0);

    for (i = 0, told = 0; i < 2000; i++) {
        (void) b->housekeep(keeper, unit_in(4000), &err);

        if (err.code != NGX_LYFTR_ERR_NONE) {
            told++;
            assert_non_null(memmem(err.text, err.len, "cannot remove", 13));
        }
    }

    assert_int_equal(told, 1);

    number = unit_sql_int("SELECT next FROM lyftr_state");
    assert_int_equal(unit_sql_int("SELECT rebuild FROM lyftr_state"), 0);

    for (i = 0; i < 100; i++) {
        (void) b->housekeep(keeper, unit_in(4000), &err);
    }

    assert_int_equal(unit_sql_int("SELECT next FROM lyftr_state"), number);

    (void) rmdir(request);

    b->close(c);
    b->close(keeper);
}


int
main(void)
{
#define test_fresh(f)                                                         \
    cmocka_unit_test_setup_teardown(f, test_setup, unit_teardown_model)

    const struct CMUnitTest  tests[] = {
        test_fresh(test_meanwhile),
        test_fresh(test_mend),
        test_fresh(test_kept)
    };

    return cmocka_run_group_tests_name("sqlite_rebuild", tests, NULL, NULL);
}

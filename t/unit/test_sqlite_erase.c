/* Rows are erased, in every state of the store, against a model. */

#include "unit_check.h"

#include <ngx_lyftr_sqlite_jobs.h>


#define TEST_KEY  "0123456789abcdef0123456789abcdef"


/* ids that were erased, and those that are asked for */
static ngx_str_t     gone[4 * UNIT_ROWS];
static ngx_uint_t    ngone;
static ngx_uint_t    nasked;               /* the last one's number, */
static ngx_uint_t    nseen;                /* and that of the last answer */
static ngx_uint_t    nkind;
static ngx_str_t     value;
static ngx_uint_t    nerased;


static int
test_setup(void **state)
{
    if (unit_setup(state) != 0) {
        return -1;
    }

    dsn.search = 1;
    dsn.erase_key = unit_str(TEST_KEY);

    nasked = 0;
    nseen = 0;
    nerased = 0;

    return 0;
}


static int
test_teardown(void **state)
{
    while (ngone) {
        free(gone[--ngone].data);
    }

    free(value.data);
    ngx_str_null(&value);

    return unit_teardown_model(state);
}


/* as somebody else does, who does not wait */

static void
test_ask(ngx_uint_t kind, ngx_str_t *of)
{
    sqlite3       *db;
    sqlite3_stmt  *st;

    free(value.data);
    value = unit_dup(of->data, of->len);
    nkind = kind;

    assert_int_equal(sqlite3_open((char *) dsn.common.path, &db), SQLITE_OK);
    (void) sqlite3_busy_timeout(db, 2000);
    (void) sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);

    assert_int_equal(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "INSERT INTO lyftr_erase"
                                        " (id, kind, value) SELECT 1 +"
                                        " max(step, (SELECT ifnull(max(id), 0)"
                                        " FROM lyftr_erase)), ?1, ?2"
                                        " FROM lyftr_state", -1,
                                        &st, NULL), SQLITE_OK);
    (void) sqlite3_bind_int64(st, 1, kind);
    (void) sqlite3_bind_text(st, 2, (char *) of->data, of->len, NULL);
    assert_int_equal(sqlite3_step(st), SQLITE_DONE);
    (void) sqlite3_finalize(st);

    nasked = sqlite3_last_insert_rowid(db);

    assert_int_equal(sqlite3_exec(db, "UPDATE lyftr_state SET erase = erase"
                                      " + 1; COMMIT", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}


static int64_t
test_of_asked(const char *what)
{
    char  sql[256];

    (void) sprintf(sql, "SELECT ifnull((SELECT %s FROM lyftr_erase WHERE"
                        " id = %d), -1)", what, (int) nasked);

    return unit_sql_int(sql);
}


/* takes out of the model what nobody may see any more */

static void
test_sync(void)
{
    int64_t     upto, done;
    ngx_uint_t  i, n, rows, out;

    if (nasked == nseen) {
        return;
    }

    done = test_of_asked("state");

    assert_true(done >= 0);

    if (!done && nkind != NGX_LYFTR_ERASE_TO) {
        return;
    }

    upto = test_of_asked(done ? "upto" : "number");
    rows = 0;

    for (i = 0, n = 0; i < nmodel; i++) {

        out = model[i].seq <= upto
              && (nkind == NGX_LYFTR_ERASE_TO
                  || !unit_differs(nkind == NGX_LYFTR_ERASE_FROM
                                   ? &model[i].from : &model[i].id, &value));

        if (!out) {
            model[n++] = model[i];
            continue;
        }

        rows++;

        assert_true(ngone < unit_count(gone));
        gone[ngone++] = model[i].id;

        free(model[i].from.data);
        free(model[i].ts.data);
        free(model[i].text.data);
        free(model[i].type.data);
        free(model[i].raw.data);
    }

    nmodel = n;
    nerased += rows;

    if (nkind != NGX_LYFTR_ERASE_TO) {
        assert_int_equal(test_of_asked("rows"), rows);
    }

    if (done) {
        nseen = nasked;
    }
}


static void
test_add(void *c, ngx_uint_t n)
{
    unit_row_t  *r;
    unit_row_t   again;

    assert_int_equal(b->turn(c, unit_in(60000), &err), NGX_OK);

    while (n--) {
        r = unit_model_random();

        assert_int_equal(unit_model_insert(c, r), NGX_OK);
        assert_int_equal(unit_model_insert(c, r), NGX_DECLINED);

        /* what was erased does not come again */

        if (ngone) {
            again = *r;
            again.id = gone[rand_r(&seed) % ngone];
            assert_int_equal(unit_model_insert(c, &again), NGX_DECLINED);
        }
    }

    assert_int_equal(unit_commit(c, &err), NGX_OK);
}


static void
test_any(void)
{
    ngx_str_t   to;
    unit_row_t  *r;

    if (nmodel == 0 || nasked != nseen) {
        return;
    }

    r = &model[rand_r(&seed) % nmodel];
    to = unit_str("+200");

    switch (rand_r(&seed) % 24) {

    case 0:
        test_ask(NGX_LYFTR_ERASE_TO, &to);
        break;

    case 1: case 2: case 3: case 4: case 5: case 6: case 7: case 8:
        test_ask(NGX_LYFTR_ERASE_FROM, &r->from);
        break;

    default:
        test_ask(NGX_LYFTR_ERASE_ID, &r->id);
    }
}


/* nothing is left of it, and all the rest is as it was */

static void
test_rest(void *c)
{
    ngx_uint_t  n;

    for (n = 0; unit_sql_int("SELECT erase + emptying FROM lyftr_state"); n++)
    {
        if (unit_housekeep(c) == NGX_DONE) {
            (void) usleep(10000);
        }

        test_sync();

        assert_true(n < 100000);
    }

    unit_housekeep_all(c);

    while (unit_housekeep(c) == NGX_OK) { /* void */ }

    assert_int_equal(nseen, nasked);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_message"),
                     nmodel);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM messages"), nmodel);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_erase"), 0);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_erased"), 0);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_tomb"), nerased);
    assert_int_equal(unit_sql_int("SELECT erased FROM lyftr_state"), nerased);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_extra"
                                  " WHERE seq NOT IN (SELECT seq FROM"
                                  " lyftr_message)"), 0);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_count"
                                  " WHERE less OR count < 1"), 0);
    assert_int_equal(unit_sql_int("SELECT total(count) FROM lyftr_count"),
                     nmodel);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_gram WHERE"
                                  " no >> 40 NOT IN (SELECT id FROM"
                                  " lyftr_search WHERE level >= 0)"), 0);
    assert_int_equal(unit_strays(), 0);

    unit_check(c, 10, 1);
    assert_true(unit_pass(c) > 0);
}


static void
test_steps(unsigned n, ngx_uint_t dies, ngx_uint_t often, ngx_uint_t rows)
{
    void        *c, *r, *v, *fresh, *keeper;
    ngx_uint_t   steps;

    seed = n;

    c = unit_open();
    r = unit_open();
    v = unit_open();
    keeper = unit_open();

    for (steps = 0; nids < rows; steps++) {

        if (nmodel < NGX_LYFTR_MOST - 200 && rand_r(&seed) % 3 == 0) {
            test_add(c, rand_r(&seed) % 20);
        }

        if (rand_r(&seed) % often == 0) {
            test_any();
        }

        (void) unit_housekeep(keeper);

        test_sync();
        unit_check(r, 2, 0);

        if (steps % 16 == 0) {
            fresh = unit_open();
            unit_check(fresh, 4, 1);
            unit_model_known(fresh);
            assert_int_equal(unit_sql_int("SELECT count(*) FROM messages"),
                             nmodel);
            b->close(fresh);
        }

        /* a check goes on meanwhile */

        if (unit_verify(v, 4000) == NGX_ERROR) {
            fail_msg("%.*s", (int) err.len, err.text);
        }

        if (dies && rand_r(&seed) % 16 == 0) {
            b->close(keeper);
            keeper = unit_open();
        }

        if (steps % 1000 == 999) {
            test_rest(keeper);
        }
    }

    test_rest(keeper);

    b->close(c);
    b->close(r);
    b->close(v);
    b->close(keeper);
}


static void
test_model(void **state)
{
    test_steps(1, 0, 12, 600);
}


static void
test_seldom(void **state)
{
    test_steps(2, 0, 100, 600);
}


static void
test_owner_dies(void **state)
{
    test_steps(3, 1, 40, 500);
}


/* by the backend's function, while another process does the housekeeping */

static void
test_ask_other(void **state)
{
    int                  status;
    void                *c;
    pid_t                pid;
    ngx_uint_t           i, n;
    ngx_lyftr_erase_t    erase;

    seed = 4;

    c = unit_open();
    test_add(c, 150);
    b->close(c);

    pid = fork();
    assert_int_not_equal(pid, -1);

    if (pid == 0) {
        c = unit_open();

        for (i = 0; i < 20000; i++) {
            if (b->housekeep(c, unit_in(4000), &err) != NGX_OK) {
                (void) usleep(500);
            }
        }

        _exit(1);
    }

    c = unit_open();

    erase.kind = NGX_LYFTR_ERASE_ID;
    erase.value = model[7].id;

    assert_int_equal(b->erase(c, &erase, unit_in(20000), &err), NGX_OK);
    assert_int_equal(erase.rows, 1);

    assert_int_equal(b->erase(c, &erase, unit_in(20000), &err), NGX_OK);
    assert_int_equal(erase.rows, 0);

    erase.kind = NGX_LYFTR_ERASE_FROM;
    erase.value = model[9].from;

    for (i = 0, n = 0; i < nmodel; i++) {
        n += !unit_differs(&model[i].from, &model[9].from) && i != 7;
    }

    assert_int_equal(b->erase(c, &erase, unit_in(20000), &err), NGX_OK);
    assert_int_equal(erase.rows, n);

    erase.kind = NGX_LYFTR_ERASE_TO;
    erase.value = unit_str("+200");

    assert_int_equal(b->erase(c, &erase, unit_in(20000), &err), NGX_OK);
    assert_int_equal(erase.rows, nmodel - 1 - n);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM messages"), 0);

    (void) kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);

    b->close(c);
}


/* nobody does it: what was asked for is there when somebody does */

static void
test_late(void **state)
{
    void               *c;
    ngx_lyftr_erase_t   erase;

    seed = 5;

    c = unit_open();
    test_add(c, 20);

    erase.kind = NGX_LYFTR_ERASE_ID;
    erase.value = model[3].id;

    assert_int_equal(b->erase(c, &erase, unit_in(300), &err), NGX_ERROR);
    assert_int_equal(err.code, NGX_LYFTR_ERR_TIMEOUT);
    b->close(c);

    c = unit_open();
    assert_int_equal(b->erase(c, &erase, unit_in(300), &err), NGX_ERROR);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_erase"), 1);
    b->close(c);

    c = unit_open();
    (void) unit_housekeep(c);

    nasked = 1;
    nkind = NGX_LYFTR_ERASE_ID;
    value = unit_dup(model[3].id.data, model[3].id.len);

    test_rest(c);
    b->close(c);
}


/* a store that has erased rows is of no use without the key, or with another */

static void
test_key(void **state)
{
    void  *c;

    seed = 6;

    c = unit_open();
    test_add(c, 20);
    test_ask(NGX_LYFTR_ERASE_ID, &model[3].id);
    b->close(c);

    c = unit_open();
    test_rest(c);
    unit_sql("UPDATE lyftr_state SET erase_key = 'none of it'");
    b->close(c);

    assert_null(b->open(&dsn, 0, unit_in(4000), &err));
    assert_int_equal(err.code, NGX_LYFTR_ERR_OPEN);
    assert_non_null(strstr((char *) err.text, "another one"));

    ngx_str_null(&dsn.erase_key);

    assert_null(b->open(&dsn, 0, unit_in(4000), &err));
    assert_int_equal(err.code, NGX_LYFTR_ERR_OPEN);
    assert_non_null(strstr((char *) err.text, "without erase_key="));
}


int
main(void)
{
#define test_fresh(f)                                                         \
    cmocka_unit_test_setup_teardown(f, test_setup, test_teardown)

    const struct CMUnitTest  tests[] = {
        test_fresh(test_key),
        test_fresh(test_late),
        test_fresh(test_ask_other),
        test_fresh(test_model),
        test_fresh(test_seldom),
        test_fresh(test_owner_dies)
    };

    return cmocka_run_group_tests_name("sqlite_erase", tests, NULL, NULL);
}

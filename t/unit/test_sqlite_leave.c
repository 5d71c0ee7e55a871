/* Rows leave by their age, in every state of the store, against a model. */

#include "unit_check.h"

#include <ngx_lyftr_sqlite_jobs.h>

#include <sys/syscall.h>
#include <time.h>


/* rows came so many milliseconds apart, and so many stay */
#define TEST_EVERY   100000
#define TEST_STAY    (400 * (int64_t) TEST_EVERY)

/* the test takes less than that */
#define TEST_SLACK   (10 * 60000)


/* when each row came, by its place, and the ids of those that left */
static int64_t       came[2 * UNIT_ROWS];
static ngx_str_t     gone[2 * UNIT_ROWS];
static ngx_uint_t    ngone;

static int64_t       clock_;               /* of the rows, in msec */
static ngx_uint_t    nrows;                /* that were added */
static ngx_uint_t    told;                 /* each says when it came */


/* msec that have passed for all, and that the clock of the wall is ahead */
static int64_t       passed;
static int64_t       ahead;


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int64_t  msec;

    if (syscall(SYS_clock_gettime, id, ts) == -1) {
        return -1;
    }

    msec = passed + (id == CLOCK_REALTIME ? ahead : 0);

    ts->tv_sec += msec / 1000;

    return 0;
}


static int64_t
test_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_REALTIME, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


static int
test_setup(void **state)
{
    clock_ = test_now() - 5000 * (int64_t) TEST_EVERY;
    nrows = 0;
    told = 0;

    if (unit_setup(state) != 0) {
        return -1;
    }

    dsn.search = 1;

    return 0;
}


static int
test_teardown(void **state)
{
    while (ngone) {
        free(gone[--ngone].data);
    }

    return unit_teardown_model(state);
}


/* of the transaction that has begun; 0: it does not say */

static void
test_stamp(void *conn, int64_t msec)
{
    ngx_lyftr_sqlite_t *c = conn;

    char       now[sizeof(c->writer.now) + 16];
    time_t     t;
    struct tm  tm;

    t = msec / 1000;
    (void) gmtime_r(&t, &tm);

    (void) strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%S", &tm);
    (void) sprintf(now + strlen(now), ".%03dZ", (int) (msec % 1000));

    ngx_memcpy(c->writer.now, msec ? now : "when it comes out hot... ",
               sizeof(c->writer.now) - 1);
}


/* the rows that the model has no more; none of them is younger than that */

static void
test_sync(int64_t oldest)
{
    int64_t     floor;
    ngx_uint_t  i, n;

    floor = unit_sql_int("SELECT floor FROM lyftr_state");

    for (i = 0, n = 0; i < nmodel; i++) {

        if (model[i].seq > floor) {
            model[n++] = model[i];
            continue;
        }

        assert_true(came[model[i].seq] <= oldest + TEST_SLACK);

        gone[ngone++] = model[i].id;

        free(model[i].from.data);
        free(model[i].ts.data);
        free(model[i].text.data);
        free(model[i].type.data);
        free(model[i].raw.data);
    }

    nmodel = n;
}


static void
test_add(void *c, ngx_uint_t n)
{
    unit_row_t  *r;

    assert_int_equal(b->turn(c, unit_in(60000), &err), NGX_OK);

    while (n--) {
        clock_ += rand_r(&seed) % (2 * TEST_EVERY);

        test_stamp(c, told || rand_r(&seed) % 20 ? clock_ : 0);

        r = unit_model_random();

        /* its id has left */

        if (ngone && rand_r(&seed) % 4 == 0) {
            free(r->id.data);
            r->id = gone[--ngone];
        }

        assert_int_equal(unit_model_insert(c, r), NGX_OK);
        assert_int_equal(unit_model_insert(c, r), NGX_DECLINED);

        came[r->seq] = clock_;
        nrows++;
    }

    assert_int_equal(unit_commit(c, &err), NGX_OK);
}


/* the rows that are older than those that are to stay */

static int64_t
test_keep(void)
{
    int64_t  oldest;

    oldest = clock_ - TEST_STAY;
    dsn.keep = test_now() - oldest;

    return oldest;
}


/* a page after a row that left goes on with what follows it */

static void
test_after(void *c, unit_row_t *row, ngx_lyftr_position_t *place)
{
    ngx_uint_t          i, at;
    ngx_lyftr_page_t    page;
    ngx_lyftr_query_t   q;
    static unit_row_t  *want[UNIT_ROWS + 1];

    unit_model_sort();

    for (i = 0, at = 0; i < nmodel; i++) {
        want[i] = &model[i];
        at += (unit_row_cmp(&model[i], row) <= 0);
    }

    want[i] = NULL;

    ngx_memzero(&q, sizeof(ngx_lyftr_query_t));
    q.limit = 30;
    q.after = *place;

    assert_int_equal(b->begin(c, unit_in(4000), &err), NGX_OK);
    unit_page(c, &q, want, nmodel, at, &page);
    assert_int_equal(unit_commit(c, &err), NGX_OK);
}


/* where one of the rows stands, and a copy of it */

static void
test_place(void *c, unit_row_t *row, ngx_lyftr_position_t *place)
{
    unit_rows_t         rows;
    ngx_lyftr_page_t    page;
    ngx_lyftr_query_t   q;

    unit_model_sort();

    *row = model[nmodel / 2];
    row->id = unit_dup(row->id.data, row->id.len);
    row->ts = unit_dup(row->ts.data, row->ts.len);

    ngx_memzero(&q, sizeof(ngx_lyftr_query_t));
    q.limit = 1;
    q.offset = nmodel / 2;

    assert_int_equal(unit_list(c, &q, &rows, &page), NGX_OK);

    *place = rows.last;
}


/* nothing of what left is in the file any more */

static void
test_rest(void *c, int64_t oldest)
{
    ngx_lyftr_sqlite_t *s = c;

    unit_housekeep_all(c);

    while (unit_housekeep(c) == NGX_OK || s->jobs->steps.settle) {
        /* void */
    }

    test_sync(oldest);

    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_message, "
                                  "lyftr_state WHERE seq <= floor"), 0);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_extra"
                                  " WHERE seq NOT IN (SELECT seq FROM"
                                  " lyftr_message)"), 0);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_count"
                                  " WHERE less OR count < 1"), 0);
    assert_int_equal(unit_sql_int("SELECT total(count) FROM lyftr_count"),
                     nmodel);
    assert_int_equal(unit_sql_int("SELECT count(*) = senders FROM"
                                  " lyftr_count, lyftr_state"), nmodel > 0);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM messages"), nmodel);
    assert_int_equal(unit_sql_int("SELECT gone FROM lyftr_state"),
                     nrows - nmodel);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_gram WHERE"
                                  " no >> 40 NOT IN (SELECT id FROM"
                                  " lyftr_search WHERE level >= 0)"), 0);
    assert_int_equal(unit_strays(), 0);
}


/* all that follows the log is made of the rows that are left */

static void
test_anew(void *keeper)
{
    char   name[NGX_MAX_PATH + 16];
    FILE  *f;

    (void) snprintf(name, sizeof(name), "%s-rebuild", dsn.common.path);

    f = fopen(name, "w");
    assert_non_null(f);
    (void) fclose(f);

    while (access(name, F_OK) == 0) {
        if (unit_housekeep(keeper) == NGX_DONE) {
            (void) usleep(10000);
        }
    }

    unit_check(keeper, 10, 1);
    assert_true(unit_pass(keeper) > 0);
}


/* none is there that is too old; then all leave, and others come */

static void
test_end(void *c, void *r, void *keeper)
{
    int64_t     oldest;
    ngx_uint_t  i, n;

    for (i = 0; i < 3; i++) {
        oldest = test_keep();

        test_rest(keeper, oldest);
        unit_check(r, 10, 1);

        assert_true(unit_sql_int("SELECT floor FROM lyftr_state") > 0);

        for (n = 0; n < nmodel; n++) {
            assert_true(clock_ - came[model[n].seq]
                        <= TEST_STAY + dsn.keep / 20);
        }

        assert_true(unit_pass(r) > 0);

        if (i < 2) {
            test_anew(keeper);
            test_add(c, 100);
        }
    }

    /* all of them leave, and what comes then is taken as ever */

    told = 1;
    test_add(c, 1);
    dsn.keep = 1000;
    oldest = clock_;
    test_rest(keeper, oldest);
    assert_int_equal(nmodel, 0);
    unit_check(r, 4, 1);

    dsn.keep = 0;
    test_add(c, 100);
    unit_check(r, 4, 1);
    test_rest(keeper, oldest);
    unit_check(r, 4, 1);
    assert_true(unit_pass(r) > 0);
}


static void
test_steps(unsigned n, ngx_uint_t dies, ngx_uint_t few, ngx_uint_t rows)
{
    void                   *c, *r, *v, *fresh, *keeper;
    int64_t                 oldest;
    ngx_uint_t              steps, taken;
    unit_row_t              row;
    ngx_lyftr_sqlite_t     *s;
    ngx_lyftr_position_t    place;

    seed = n;
    taken = 0;
    oldest = 0;

    c = unit_open();
    r = unit_open();
    v = unit_open();
    keeper = unit_open();

    for (steps = 0; nrows < rows; steps++) {
        s = keeper;

        if (rand_r(&seed) % 3 == 0) {
            test_add(c, rand_r(&seed) % few);
        }

        if (rand_r(&seed) % (s->jobs && s->jobs->steps.leaving.active
                             ? 40 : 4) == 0)
        {
            oldest = test_keep();
        }

        if (nmodel > NGX_LYFTR_MOST - 100) {
            unit_housekeep_all(keeper);
        }

        (void) unit_housekeep(keeper);

        test_sync(oldest);
        unit_check(r, 2, 0);

        if (!taken && nmodel > 100) {
            test_place(r, &row, &place);
            taken = 1;
        }

        if (taken && steps % 4 == 0) {
            test_after(r, &row, &place);
        }

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

        if (dies && rand_r(&seed) % 8 == 0) {
            b->close(keeper);
            keeper = unit_open();
        }
    }

    test_end(c, r, keeper);

    test_after(r, &row, &place);
    free(row.id.data);
    free(row.ts.data);

    b->close(c);
    b->close(r);
    b->close(v);
    b->close(keeper);
}


static void
test_model(void **state)
{
    test_steps(1, 0, 40, 1500);
}


static void
test_owner_dies(void **state)
{
    test_steps(2, 1, 40, 1200);
}


/* few rows, which no segment has when they leave */

static void
test_few(void **state)
{
    test_steps(3, 0, 4, 600);
}


/* rows leave while there always is another segment to make */

static void
test_endless(void **state)
{
    void        *c, *keeper;
    ngx_uint_t   steps;

    c = unit_open();
    keeper = unit_open();

    for (steps = 0; unit_sql_int("SELECT floor FROM lyftr_state") == 0; steps++)
    {
        assert_true(steps < 1500);

        if (unit_sql_int("SELECT max(seq) - indexed FROM lyftr_message,"
                         " lyftr_state") < 2 * NGX_LYFTR_SEGMENT)
        {
            test_add(c, NGX_LYFTR_SEGMENT);
        }

        (void) test_keep();
        (void) unit_housekeep(keeper);
    }

    b->close(c);
    b->close(keeper);
}


/* what is too old only since the clock was set forward stays for a while */

static void
test_leap(void **state)
{
    void        *c, *keeper;
    ngx_uint_t   i;

    static const struct {
        int64_t  passes;
        int64_t  leaps;
        int64_t  left;
    } steps[] = {
        { 1000, 0, 0 },
        { 0, 60000, 0 },
        { 1000, 0, 0 },
        { 2000, 0, 3 }
    };

    /* a leap is 2 s, and so is the while */

    dsn.keep = 128000;

    c = unit_open();
    keeper = unit_open();

    assert_int_equal(b->turn(c, unit_in(60000), &err), NGX_OK);
    test_stamp(c, test_now() - 100000);

    for (i = 0; i < 3; i++) {
        assert_int_equal(unit_model_insert(c, unit_model_random()), NGX_OK);
    }

    assert_int_equal(unit_commit(c, &err), NGX_OK);

    unit_housekeep_all(keeper);

    for (i = 0; i < unit_count(steps); i++) {
        passed += steps[i].passes;
        ahead += steps[i].leaps;

        unit_housekeep_all(keeper);

        assert_int_equal(unit_sql_int("SELECT floor FROM lyftr_state"),
                         steps[i].left);
    }

    b->close(c);
    b->close(keeper);
}


int
main(void)
{
#define test_fresh(f)                                                         \
    cmocka_unit_test_setup_teardown(f, test_setup, test_teardown)

    const struct CMUnitTest  tests[] = {
        test_fresh(test_model),
        test_fresh(test_owner_dies),
        test_fresh(test_few),
        test_fresh(test_endless),
        test_fresh(test_leap)
    };

    return cmocka_run_group_tests_name("sqlite_leave", tests, NULL, NULL);
}

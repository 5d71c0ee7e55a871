/* Ids that are long: what is in memory stays within limits. */

#include "unit_check.h"

#include <malloc.h>


#define TEST_MB      (1024 * 1024)
#define TEST_LEN     (200 * 1024)

/* chunks of so many rows as may wait for a segment, each with a row too many */
#define TEST_LIMIT                                                            \
    ((NGX_LYFTR_MOST / NGX_LYFTR_CHUNK + 1)                                   \
     * (NGX_LYFTR_CHUNK_LEN + TEST_LEN))


/* what the index has of the C library, and the test does not keep itself */

static int64_t     held, most_held;
static ngx_uint_t  own;

void *__real_malloc(size_t len);
void *__real_calloc(size_t n, size_t len);
void *__real_realloc(void *p, size_t len);
void __real_free(void *p);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t n, size_t len);
void *__wrap_realloc(void *p, size_t len);
void __wrap_free(void *p);


static void *
test_held(void *p)
{
    if (!own) {
        held += malloc_usable_size(p);
        most_held = ngx_max(most_held, held);
    }

    return p;
}


void *
__wrap_malloc(size_t len)
{
    return test_held(__real_malloc(len));
}


void *
__wrap_calloc(size_t n, size_t len)
{
    return test_held(__real_calloc(n, len));
}


void *
__wrap_realloc(void *p, size_t len)
{
    held -= own ? 0 : malloc_usable_size(p);

    return test_held(__real_realloc(p, len));
}


void
__wrap_free(void *p)
{
    held -= own ? 0 : malloc_usable_size(p);
    __real_free(p);
}


static unit_row_t *
test_row(size_t len)
{
    char        from[16], ts[40];
    u_char     *id;
    ngx_str_t   s[4];

    own = 1;

    id = malloc(len + 16);
    assert_non_null(id);

    ngx_memset(id, 'p', len);

    s[0].data = id;
    s[0].len = len + sprintf((char *) id + len, "%u", (unsigned) nmodel);
    (void) sprintf(from, "+%u", (unsigned) nmodel % 7);
    (void) sprintf(ts, "2025-01-15T10:00:%02dZ", rand_r(&seed) % 60);
    s[1] = unit_str(from);
    s[2] = unit_str(ts);
    s[3] = unit_str("a needle");

    (void) unit_model_row(&s[0], &s[1], &s[2], &s[3]);
    free(id);

    own = 0;

    return &model[nmodel - 1];
}


/* the gauge of the rows, as the housekeeping saw them last */

static void
test_gauge(void *keeper, ngx_uint_t rows)
{
    ngx_lyftr_gauges_t  gauges;

    (void) unit_housekeep(keeper);

    b->gauges(keeper, &gauges);
    assert_int_equal(gauges.rows, rows);
}


/* one row; NGX_DECLINED: too many wait */

static ngx_int_t
test_insert(void *c, size_t len)
{
    ngx_int_t  rc;

    rc = b->turn(c, unit_in(4000), &err);

    if (rc == NGX_OK) {
        assert_int_equal(unit_model_insert(c, test_row(len)), NGX_OK);
        assert_int_equal(unit_commit(c, &err), NGX_OK);
    }

    return rc;
}


static void
test_most(void **state)
{
    void           *c, *other, *keeper;
    ngx_int_t       rc;
    sqlite3_int64   used, most, now;

    seed = 1;
    dsn.search = 1;

    c = unit_open();
    other = unit_open();
    keeper = unit_open();

    used = sqlite3_memory_used() + held;
    most = 0;

    do {
        rc = test_insert(nmodel % 3 ? c : other, TEST_LEN);
        now = sqlite3_memory_used() + held - used;
        most = ngx_max(most, now);
    } while (rc == NGX_OK);

    assert_int_equal(rc, NGX_DECLINED);
    assert_int_equal(err.code, NGX_LYFTR_ERR_BEHIND);

    /* the page caches are of 16 MiB each */

    assert_in_range(most, 10 * TEST_MB, TEST_LIMIT + 2 * 16 * TEST_MB);
    assert_in_range(nmodel, 100, 400);

    /* neither do the segments take more, one after the other */

    (void) sqlite3_memory_highwater(1);
    most_held = held;
    unit_housekeep_all(keeper);

    assert_in_range(sqlite3_memory_highwater(0) + most_held - used, 0,
                    TEST_LIMIT + 3 * 16 * TEST_MB
                    + 8 * NGX_LYFTR_SEGMENT / NGX_LYFTR_CHUNK * 2 * TEST_MB);

    unit_check(c, 10, 1);
    unit_model_known(other);

    /* short ones take the next number again */

    while (test_insert(c, 10) == NGX_OK && nmodel % 64) { /* void */ }

    assert_int_equal(unit_sql_int("SELECT max(seq) - (SELECT max(seq) FROM"
                                  " lyftr_message WHERE seq < m) FROM"
                                  " lyftr_message, (SELECT max(seq) AS m"
                                  " FROM lyftr_message)"), 1);

    unit_housekeep_all(keeper);
    unit_check(c, 10, 1);

    b->close(c);
    b->close(other);
    b->close(keeper);
}


/* lengths of all kinds, read and indexed as they come */

static void
test_mixed(void **state)
{
    void       *c, *r, *keeper;
    ngx_int_t   rc;

    seed = 2;
    dsn.search = 1;

    c = unit_open();
    r = unit_open();
    keeper = unit_open();

    while (nmodel < 300) {

        if (test_insert(c, rand_r(&seed) % 4 ? rand_r(&seed) % 50
                                             : rand_r(&seed) % (3 * TEST_LEN))
            != NGX_OK
            || nmodel % 3 == 0)
        {
            (void) unit_housekeep(keeper);
        }

        if (nmodel % 50 == 0) {
            unit_check(r, 2, 0);
            test_gauge(keeper, nmodel);
        }
    }

    unit_housekeep_all(keeper);
    unit_check(r, 10, 1);
    unit_model_known(c);
    test_gauge(keeper, nmodel);

    b->close(keeper);
    keeper = unit_open();
    test_gauge(keeper, nmodel);

    do {
        rc = unit_verify(r, 4000);
    } while (rc == NGX_OK);

    assert_int_equal(rc, NGX_DONE);
    assert_true(unit_sql_int("SELECT max(seq) > count(*) + 16"
                             " FROM lyftr_message"));

    b->close(c);
    b->close(r);
    b->close(keeper);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        unit_fresh_model(test_most),
        unit_fresh_model(test_mixed)
    };

    return cmocka_run_group_tests_name("sqlite_large", tests, NULL, NULL);
}

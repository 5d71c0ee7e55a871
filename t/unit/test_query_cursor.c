/* Cursors: as they are read, and as the link to the next page has them. */

#include "unit_query.h"


static void
test_after(void **state)
{
    u_char  *p;

    test_good("after=" TEST_CURSOR);
    assert_true(test_q.after.seq == 255);
    assert_true(test_q.after.check == 0x0123456789abcdefULL);
    unit_equal(test_q.cursor.data, test_q.cursor.len, TEST_CURSOR);

    ngx_lyftr_query_bad_cursor(&test_q, &test_faults);
    p = ngx_lyftr_fault_write(test_answer, &test_faults);
    unit_equal(test_answer, p - test_answer,
               TEST_DETAIL(TEST_AFTER("\"" TEST_CURSOR "\"")));

    test_good("after=7fffffffffffffffffffffffffffffff&limit=5&q=a");
    assert_true(test_q.after.seq == INT64_MAX);
    assert_true(test_q.after.check == UINT64_MAX);

    test_good("after=%30000000000000001fedcba9876543210");
    assert_true(test_q.after.seq == 1);
    assert_true(test_q.after.check == 0xfedcba9876543210ULL);
}


typedef struct {
    char  *args;
    char  *want;
} test_next_t;


static test_next_t  test_nexts[] = {
    { "", "limit=50&after=" TEST_CURSOR },
    { "limit=100&offset=7", "limit=100&after=" TEST_CURSOR },
    { "x=y&after=00000000000000010000000000000000&limit=1",
      "limit=1&after=" TEST_CURSOR },
    { "q=&from=%2B1", "limit=50&from=%2B1&after=" TEST_CURSOR },
    { "q=a+b%26%25%C3%A9~-._Z9=/%7F&since=2025-01-15t10:00:00.5%2B05:30"
      "&from=+12&limit=2",
      "limit=2&from=%2B12&since=2025-01-15t10%3A00%3A00.5%2B05%3A30"
      "&q=a%20b%26%25%C3%A9~-._Z9%3D%2F%7F&after=" TEST_CURSOR }
};


static void
test_next(void **state)
{
    u_char                *p, buf[512];
    size_t                 len;
    ngx_str_t              args;
    ngx_uint_t             i;
    ngx_lyftr_query_t      q;
    ngx_lyftr_position_t   last;

    last.seq = 255;
    last.check = 0x0123456789abcdefULL;

    for (i = 0; i < unit_count(test_nexts); i++) {
        test_good(test_nexts[i].args);

        p = ngx_lyftr_query_write_next(buf, &test_q, &last);
        len = p - buf;

        assert_true(len <= ngx_lyftr_query_next_len(&test_q));
        unit_equal_str(buf, len, test_nexts[i].want);

        /* what is written is read as the same query */

        q = test_q;
        args.data = buf;
        args.len = len;

        p = unit_copy("", 0);
        p = realloc(p, len);
        assert_non_null(p);

        assert_int_equal(ngx_lyftr_query_parse(&args, p, &test_q,
                                               &test_faults), NGX_OK);

        assert_int_equal(q.limit, test_q.limit);
        assert_true(test_q.after.seq == last.seq);
        assert_true(test_q.after.check == last.check);
        assert_int_equal(q.q.len, test_q.q.len);
        assert_int_equal(q.from.len, test_q.from.len);
        assert_int_equal(q.since.len, test_q.since.len);

        if (q.q.len) {
            assert_memory_equal(q.q.data, test_q.q.data, q.q.len);
        }

        free(p);
    }

}


/* there is room for it, however many of its bytes are escaped */

static void
test_next_len(void **state)
{
    char                   args[256];
    u_char                *p, buf[1024];
    ngx_uint_t             i;
    ngx_lyftr_position_t   last;

    static char  *names[] = { "q", "from" };

    last.seq = INT64_MAX;
    last.check = UINT64_MAX;

    for (i = 0; i < unit_count(names); i++) {
        (void) snprintf(args, sizeof(args),
                        "limit=100&since=0001-01-01T00:00:00Z&%s=%0100d",
                        names[i], 0);
        ngx_memset(args + strlen(args) - 100, '/', 100);

        test_good(args);

        p = ngx_lyftr_query_write_next(buf, &test_q, &last);
        assert_in_range(p - buf, 300, ngx_lyftr_query_next_len(&test_q));
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_after),
        cmocka_unit_test(test_next),
        cmocka_unit_test(test_next_len)
    };

    return cmocka_run_group_tests_name("query_cursor", tests, NULL,
                                       test_release);
}

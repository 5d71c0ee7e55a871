/* Cursors: as they are read, and as the link to the next page has them. */

#include "unit_query.h"

#include <ctype.h>


static char  test_id[] =
    "0123456789012345678901234567890123456789012345678901234567890123456789"
    "0123456789012345678901234567890123456789";


static void
test_set(ngx_lyftr_position_t *position, int64_t seq, size_t instant,
    size_t id)
{
    ngx_str_t  s, t;

    ngx_memzero(position, sizeof(ngx_lyftr_position_t));

    position->store = 0xfedcba9876543210ULL;
    position->seq = seq;
    position->hash = 0x0123456789abcdefULL;

    s.data = (u_char *) test_id;
    s.len = instant;
    t.data = (u_char *) test_id;
    t.len = id;

    ngx_lyftr_cursor_set(position, &s, instant > 9, &t);
}


/* what is written is read, and nothing else is */

static void
test_read(void **state)
{
    size_t                 i, n, len;
    u_char                 buf[NGX_LYFTR_CURSOR_LEN + 2];
    ngx_str_t              s;
    ngx_uint_t             k;
    ngx_lyftr_position_t   a, b;

    static struct {
        int64_t   seq;
        size_t    instant;
        size_t    id;
    } t[] = {
        { 1, 9, 3 }, { 255, 5, 0 }, { INT64_MAX, 0, 96 }, { 7, 6, 97 },
        { 8, 96, 96 }, { 9, 97, 110 }, { 10, 110, 1 }, { 11, 7, 2 }
    };

    for (i = 0; i < unit_count(t); i++) {
        test_set(&a, t[i].seq, t[i].instant, t[i].id);

        s.data = buf;
        s.len = ngx_lyftr_cursor_write(buf, &a) - buf;

        assert_in_range(s.len, 1, 300);

        for (n = 0; n < s.len; n++) {
            assert_true(isalnum(buf[n]) || buf[n] == '-' || buf[n] == '_');
        }

        ngx_memzero(&b, sizeof(ngx_lyftr_position_t));
        assert_int_equal(ngx_lyftr_cursor_read(&s, &b), NGX_OK);
        assert_memory_equal(&a, &b, sizeof(ngx_lyftr_position_t));

        assert_int_equal(a.id_cut, t[i].id > 96);
        assert_int_equal(a.instant_cut, t[i].instant > 96);

        /* each bit of it counts, and nothing follows */

        for (n = 0; n < s.len; n++) {
            for (k = 0; k < 8; k++) {
                buf[n] ^= 1 << k;
                assert_int_equal(ngx_lyftr_cursor_read(&s, &b), NGX_DECLINED);
                assert_int_equal(b.seq, 0);
                buf[n] ^= 1 << k;
            }
        }

        len = s.len;
        buf[len] = 'A';

        for (s.len = 0; s.len < len + 2; s.len++) {
            assert_int_equal(ngx_lyftr_cursor_read(&s, &b),
                             s.len == len ? NGX_OK : NGX_DECLINED);
        }
    }
}


static void
test_before(void **state)
{
    u_char                 buf[4];
    ngx_str_t              s;
    ngx_lyftr_position_t   a;

    test_set(&a, 0, 9, 9);
    assert_int_equal(ngx_lyftr_cursor_write(buf, &a) - buf, 1);
    assert_int_equal(buf[0], '0');

    ngx_str_set(&s, "0");
    assert_int_equal(ngx_lyftr_cursor_read(&s, &a), NGX_OK);
    assert_int_equal(a.seq, 0);

    ngx_str_set(&s, "00");
    assert_int_equal(ngx_lyftr_cursor_read(&s, &a), NGX_DECLINED);
}


static void
test_after(void **state)
{
    char     args[128];
    u_char  *p;

    test_good("after=" TEST_CURSOR);
    assert_true(test_q.after.seq == 255);
    assert_true(test_q.after.hash == 0x0123456789abcdefULL);
    unit_equal(test_q.cursor.data, test_q.cursor.len, TEST_CURSOR);

    ngx_lyftr_query_bad_cursor(&test_q, &test_faults);
    p = ngx_lyftr_fault_write(test_answer, &test_faults);
    unit_equal(test_answer, p - test_answer,
               TEST_DETAIL(TEST_AFTER("\"" TEST_CURSOR "\"")));

    test_good("after=0&limit=5&q=a");
    assert_true(test_q.after.seq == 0);

    (void) snprintf(args, sizeof(args), "after=%%41%s", TEST_CURSOR + 1);
    test_good(args);
    assert_true(test_q.after.seq == 255);
}


typedef struct {
    char  *args;
    char  *want;
} test_next_t;


static test_next_t  test_nexts[] = {
    { "", "limit=50&after=" TEST_CURSOR },
    { "limit=100&offset=7", "limit=100&after=" TEST_CURSOR },
    { "x=y&after=0&limit=1",
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

    test_set(&last, 255, 9, 3);

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
        assert_true(test_q.after.hash == last.hash);
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
    u_char                *p, buf[2048];
    ngx_uint_t             i;
    ngx_lyftr_position_t   last;

    static char  *names[] = { "q", "from" };

    test_set(&last, INT64_MAX, 96, 96);

    for (i = 0; i < unit_count(names); i++) {
        (void) snprintf(args, sizeof(args),
                        "limit=100&since=0001-01-01T00:00:00Z&%s=%0100d",
                        names[i], 0);
        ngx_memset(args + strlen(args) - 100, '/', 100);

        test_good(args);

        p = ngx_lyftr_query_write_next(buf, &test_q, &last);
        assert_in_range(p - buf, 500, ngx_lyftr_query_next_len(&test_q));
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_before),
        cmocka_unit_test(test_after),
        cmocka_unit_test(test_next),
        cmocka_unit_test(test_next_len)
    };

    return cmocka_run_group_tests_name("cursor", tests, NULL,
                                       test_release);
}


#include "unit.h"


/* what both forms take, what only since takes, and what both refuse */

static char  *test_ts[] = {
    "2025-01-15T10:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59.999999999Z",
    "2025-01-31T00:00:00Z",
    "2025-03-31T00:00:00Z",
    "2025-04-30T00:00:00Z",
    "2025-12-31T00:00:00Z",
    "2025-02-28T00:00:00Z",
    "2024-02-29T00:00:00Z",
    "2000-02-29T00:00:00Z",
    "0004-02-29T00:00:00Z",
    "2025-01-15T23:59:59Z",
    "2025-01-15T00:00:00.0Z",
    "2025-01-15T00:00:00.1Z",
    "2025-01-15T00:00:00.12Z",
    "2025-01-15T00:00:00.123Z",
    "2025-01-15T00:00:00.1234Z",
    "2025-01-15T00:00:00.12345Z",
    "2025-01-15T00:00:00.123456Z",
    "2025-01-15T00:00:00.1234567Z",
    "2025-01-15T00:00:00.12345678Z",
    "2025-01-15T00:00:00.123456789Z"
};


static char  *test_since[] = {
    "2025-01-15t10:00:00z",
    "2025-01-15t10:00:00Z",
    "2025-01-15T10:00:00z",
    "2025-01-15T10:00:00+00:00",
    "2025-01-15T10:00:00-00:00",
    "2025-01-15T10:00:00+05:30",
    "2025-01-15T10:00:00-23:59",
    "2025-01-15T10:00:00+23:59",
    "2025-01-15t10:00:00.123456789+05:30",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59.999999999-23:59"
};


static char  *test_refused[] = {
    "",
    "2",
    "2025-01-15",
    "2025-01-15T10:00Z",
    "2025-01-15T10:00:00",
    "2025-01-15 10:00:00Z",
    "2025-01-15T10:00:00 Z",
    " 2025-01-15T10:00:00Z",
    "2025-01-15T10:00:00Z ",
    "2025-01-15T10:00:00Z\n",
    "2025-01-15T10:00:00ZZ",
    "2025/01/15T10:00:00Z",
    "2025-01/15T10:00:00Z",
    "2025-01-15T10.00:00Z",
    "2025-01-15T10:00.00Z",
    "20250115T100000Z",
    "25-01-15T10:00:00Z",
    "02025-01-15T10:00:00Z",
    "+2025-01-15T10:00:00Z",
    "-001-01-15T10:00:00Z",
    "2025-1-15T10:00:00Z",
    "2025-01-5T10:00:00Z0",
    "2025-01-15T1:00:00Z0",
    "0000-01-01T00:00:00Z",
    "0000-12-31T23:59:59Z",
    "10000-01-01T00:00:00Z",
    "2025-00-15T10:00:00Z",
    "2025-13-15T10:00:00Z",
    "2025-01-00T10:00:00Z",
    "2025-01-32T10:00:00Z",
    "2025-02-29T10:00:00Z",
    "2025-02-30T10:00:00Z",
    "2024-02-30T10:00:00Z",
    "1900-02-29T10:00:00Z",
    "2100-02-29T10:00:00Z",
    "2025-04-31T10:00:00Z",
    "2025-06-31T10:00:00Z",
    "2025-09-31T10:00:00Z",
    "2025-11-31T10:00:00Z",
    "2025-01-15T24:00:00Z",
    "2025-01-15T10:60:00Z",
    "2025-01-15T10:00:60Z",
    "2016-12-31T23:59:60Z",
    "2025-01-15T10:00:00.Z",
    "2025-01-15T10:00:00,5Z",
    "2025-01-15T10:00:00.0000000000Z",
    "2025-01-15T10:00:00.1234567890Z",
    "2025-01-15T10:00:00.5",
    "2025-01-15T10:00:00.-5Z",
    "2025-01-15T10:00:00.5.5Z",
    "2025-01-15T10:00:00+24:00",
    "2025-01-15T10:00:00+05:60",
    "2025-01-15T10:00:00+0530",
    "2025-01-15T10:00:00+05",
    "2025-01-15T10:00:00+5:30",
    "2025-01-15T10:00:00+05:3",
    "2025-01-15T10:00:00+05-30",
    "2025-01-15T10:00:00 05:30",
    "2025-01-15T10:00:00+05:30Z",
    "2025-01-15T10:00:00Z+05:30",
    "2025-01-15T10:00:00+-5:30",
    "2025-01-15T1\xd9\xa0:00:00Z",
    "yyyy-mm-ddThh:mm:ssZ"
};


static ngx_int_t
test_parse(char *text, ngx_uint_t since, ngx_lyftr_instant_t *t)
{
    u_char     *s;
    size_t      len;
    ngx_int_t   rc;

    len = strlen(text);
    s = unit_copy(text, len);

    rc = since ? ngx_lyftr_instant_parse_since(s, len, t)
               : ngx_lyftr_instant_parse(s, len, t);
    free(s);

    return rc;
}


static void
test_expect(char *text, ngx_uint_t since, ngx_int_t want)
{
    ngx_lyftr_instant_t  t;

    if (test_parse(text, since, &t) != want) {
        print_error("%s (since: %d)\n", text, (int) since);
        fail();
    }
}


static void
test_grammar(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < unit_count(test_ts); i++) {
        test_expect(test_ts[i], 0, NGX_OK);
        test_expect(test_ts[i], 1, NGX_OK);
    }

    for (i = 0; i < unit_count(test_since); i++) {
        test_expect(test_since[i], 0, NGX_DECLINED);
        test_expect(test_since[i], 1, NGX_OK);
    }

    for (i = 0; i < unit_count(test_refused); i++) {
        test_expect(test_refused[i], 0, NGX_DECLINED);
        test_expect(test_refused[i], 1, NGX_DECLINED);
    }

    /* a zero byte is a byte like any other */

    assert_int_equal(
        ngx_lyftr_instant_parse(unit_lit("2025-01-15T10:00:00Z\0"),
                                &(ngx_lyftr_instant_t) { 0, "" }),
        NGX_DECLINED);
}


/* every byte of the form matters */

static void
test_bytes(void **state)
{
    char        s[64];
    size_t      i;
    ngx_uint_t  c, digit;

    static char  form[] = "2025-05-15T10:00:00.123Z";

    for (i = 0; i < sizeof(form) - 1; i++) {
        for (c = 1; c < 256; c++) {
            ngx_memcpy(s, form, sizeof(form));
            s[i] = (char) c;

            digit = form[i] >= '0' && form[i] <= '9';

            if ((u_char) form[i] == c
                || (digit && c >= '0' && c <= '9'))
            {
                continue;
            }

            test_expect(s, 0, NGX_DECLINED);
        }
    }
}


typedef struct {
    char    *s;
    u_char  *want;
    size_t   len;
} test_value_t;


static test_value_t  test_values[] = {
    { "0001-01-01T00:00:00Z", unit_lit("\0\0\0\0\0") },
    { "0001-01-01T00:00:00.000000001Z", unit_lit("\0\0\0\0\0\0\0\0\x01") },
    { "0001-01-01T00:00:00.000000256Z", unit_lit("\0\0\0\0\0\0\0\x01") },
    { "0001-01-01T00:00:01Z", unit_lit("\0\0\0\0\x01") },
    { "0001-01-02T00:00:00Z", unit_lit("\0\0\x01\x51\x80") },
    { "1970-01-01T00:00:00Z", unit_lit("\x0e\x77\x91\xf7\x00") },
    { "2000-02-29T12:34:56.5Z",
      unit_lit("\x0e\xb0\x4d\xb3\xf0\x1d\xcd\x65") },
    { "9999-12-31T23:59:59.999999999Z",
      unit_lit("\x49\x77\x86\x38\x7f\x3b\x9a\xc9\xff") },
    { "2025-01-15T15:30:00+05:30", unit_lit("\x0e\xdf\x19\x7e\x20") },
    { "2025-01-15T10:00:00Z", unit_lit("\x0e\xdf\x19\x7e\x20") },
    { "2025-01-15T10:00:00-00:00", unit_lit("\x0e\xdf\x19\x7e\x20") },
    { "2025-01-14T10:01:00-23:59", unit_lit("\x0e\xdf\x19\x7e\x20") },
    { "0001-01-01T05:30:00+05:30", unit_lit("\0\0\0\0\0") },
    { "0001-01-01T05:29:59.9+05:30", unit_lit("") },
    { "0001-01-01T00:00:00+23:59", unit_lit("") },
    { "9999-12-31T23:59:59-23:59", unit_lit("\x49\x77\x87\x89\xc3") }
};


static void
test_value(void **state)
{
    ngx_uint_t            i;
    ngx_lyftr_instant_t   t;
    test_value_t         *v;

    for (i = 0; i < unit_count(test_values); i++) {
        v = &test_values[i];

        assert_int_equal(test_parse(v->s, 1, &t), NGX_OK);

        if (t.len != v->len || memcmp(t.data, v->want, t.len) != 0) {
            print_error("%s: %d bytes, %02x %02x %02x %02x %02x\n", v->s,
                        (int) t.len, t.data[0], t.data[1], t.data[2],
                        t.data[3], t.data[4]);
            fail();
        }
    }
}


/* each day of ten thousand years is one day after the day before */

static void
test_days(void **state)
{
    int                   year, month, day, seen;
    char                  s[64];
    int64_t               n, last;
    ngx_uint_t            i;
    ngx_lyftr_instant_t   t;

    seen = 0;
    last = -86400;

    for (year = 1; year <= 9999; year++) {
        for (month = 1; month <= 12; month++) {
            for (day = 1; day <= 31; day++) {
                (void) snprintf(s, sizeof(s), "%04d-%02d-%02dT00:00:00Z",
                                year, month, day);

                if (ngx_lyftr_instant_parse((u_char *) s, 20, &t) != NGX_OK) {
                    assert_true(day > 28);
                    continue;
                }

                for (n = 0, i = 0; i < 5; i++) {
                    n = n << 8 | t.data[i];
                }

                assert_true(n == last + 86400);
                last = n;
                seen++;
            }
        }
    }

    assert_int_equal(seen, 3652059);
}


static char  *test_orders[] = {
    "0001-01-01T00:00:00+00:01",
    "0001-01-01T00:00:00Z",
    "2025-01-15T09:59:59.999999999Z",
    "2025-01-15T10:00:00Z",
    "2025-01-15T10:00:00.000000001Z",
    "2025-01-15T10:00:00.000000255Z",
    "2025-01-15T10:00:00.000000256Z",
    "2025-01-15T10:00:00.000000257Z",
    "2025-01-15T10:00:00.1Z",
    "2025-01-15T10:00:00.10000001Z",
    "2025-01-15T10:00:00.5Z",
    "2025-01-15T10:00:01Z"
};


static void
test_order(void **state)
{
    int                   rc;
    ngx_uint_t            i, k;
    ngx_lyftr_instant_t   a, b;

    for (i = 0; i < unit_count(test_orders); i++) {
        for (k = 0; k < unit_count(test_orders); k++) {
            assert_int_equal(test_parse(test_orders[i], 1, &a), NGX_OK);
            assert_int_equal(test_parse(test_orders[k], 1, &b), NGX_OK);

            rc = memcmp(a.data, b.data, ngx_min(a.len, b.len));

            if (rc == 0) {
                rc = (int) a.len - (int) b.len;
            }

            assert_int_equal((rc > 0) - (rc < 0), (i > k) - (i < k));
        }
    }

    assert_int_equal(test_parse("2025-01-15T10:00:00.5Z", 0, &a), NGX_OK);
    assert_int_equal(test_parse("2025-01-15T10:00:00.500Z", 0, &b), NGX_OK);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
}


static struct {
    char     *ts;
    int64_t   msec;
} test_msecs[] = {
    { "1970-01-01T00:00:00Z", 0 },
    { "1970-01-01T00:00:00.0009Z", 0 },
    { "1970-01-01T00:00:01.5Z", 1500 },
    { "1969-12-31T23:59:59.999999Z", -1 },
    { "2025-01-15T10:00:00.123456789Z", 1736935200123 },
    { "0001-01-01T00:00:00Z", -62135596800000 },
    { "9999-12-31T23:59:59.999Z", 253402300799999 }
};


static void
test_msec(void **state)
{
    ngx_uint_t           i;
    ngx_lyftr_instant_t  t;

    for (i = 0; i < unit_count(test_msecs); i++) {
        assert_int_equal(test_parse(test_msecs[i].ts, 0, &t), NGX_OK);
        assert_int_equal(ngx_lyftr_instant_msec(&t), test_msecs[i].msec);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_grammar),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_value),
        cmocka_unit_test(test_days),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_msec)
    };

    return cmocka_run_group_tests_name("instant", tests, NULL, NULL);
}

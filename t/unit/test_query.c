
#include "unit_query.h"


static void
test_defaults(void **state)
{
    ngx_str_t    none;
    ngx_uint_t   i;

    static char  *args[] = { "", "&", "&&&", "=", "a", "a=b", "=limit",
                             "Limit=7", "LIMIT=7", "limit%00=7", "limi=7",
                             "limits=7", "+limit=7", "limit+=7", "?limit=7",
                             "a;limit=7", "from=&since=&q=", "from&since&q",
                             "until=&id=&fields=&order=", "id&until&order",
                             "order=desc&order=&fields=x&fields=",
                             "Order=desc", "field=raw",
                             "%6Cimi=7", "lim%it=7", "FROM=%2B1&Q=x",
                             "q=a&q=&from=a&from=&since=x&since=" };

    for (i = 0; i < unit_count(args); i++) {
        test_good(args[i]);

        assert_int_equal(test_q.limit, 50);
        assert_int_equal(test_q.offset, 0);
        assert_int_equal(test_q.after.seq, 0);
        assert_int_equal(test_q.from.len, 0);
        assert_int_equal(test_q.q.len, 0);
        assert_int_equal(test_q.since.len, 0);
        assert_int_equal(test_q.cursor.len, 0);
        assert_int_equal(test_q.none, 0);
        assert_int_equal(test_q.id.len, 0);
        assert_int_equal(test_q.until.len, 0);
        assert_int_equal(test_q.fields, NGX_LYFTR_FIELDS_DEFAULT);
        assert_int_equal(test_q.desc, 0);
    }

    ngx_str_null(&none);
    assert_int_equal(ngx_lyftr_query_parse(&none, NULL, &test_q,
                                           &test_faults), NGX_OK);
    assert_int_equal(test_q.limit, 50);
}


typedef struct {
    char       *args;
    ngx_int_t   limit;
    int64_t     offset;
} test_int_t;


static test_int_t  test_ints[] = {
    { "limit=1", 1, 0 },
    { "limit=100", 100, 0 },
    { "limit=007", 7, 0 },
    { "limit=+7+", 7, 0 },
    { "limit=%20%20+7", 7, 0 },
    { "limit=%37", 7, 0 },
    { "%6cimit=7", 7, 0 },
    { "l%69mi%74=7", 7, 0 },
    { "&&limit=7&&", 7, 0 },
    { "limit=9&limit=7", 7, 0 },
    { "limit=x&limit=7", 7, 0 },
    { "limit=7&Limit=x&limits=8", 7, 0 },
    { "offset=0", 50, 0 },
    { "offset=-0", 50, 0 },
    { "offset=-000", 50, 0 },
    { "offset=12&limit=3", 3, 12 },
    { "offset=9223372036854775807", 50, INT64_MAX },
    { "offset=9223372036854775806", 50, INT64_MAX - 1 },
    { "offset=00000000000000000000000000000009223372036854775807", 50,
      INT64_MAX },
    { "offset=922337203685477580", 50, 922337203685477580 }
};


static void
test_int(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < unit_count(test_ints); i++) {
        test_good(test_ints[i].args);
        assert_int_equal(test_q.limit, test_ints[i].limit);
        assert_true(test_q.offset == test_ints[i].offset);
    }
}


typedef struct {
    char  *args;
    char  *want;
} test_bad_t;


static test_bad_t  test_bads[] = {
    { "limit", TEST_DETAIL(TEST_INT("limit", "\"\"")) },
    { "limit=", TEST_DETAIL(TEST_INT("limit", "\"\"")) },
    { "limit=++", TEST_DETAIL(TEST_INT("limit", "\"  \"")) },
    { "limit=-", TEST_DETAIL(TEST_INT("limit", "\"-\"")) },
    { "limit=--1", TEST_DETAIL(TEST_INT("limit", "\"--1\"")) },
    { "limit=-+1", TEST_DETAIL(TEST_INT("limit", "\"- 1\"")) },
    { "limit=1+1", TEST_DETAIL(TEST_INT("limit", "\"1 1\"")) },
    { "limit=%2B7", TEST_DETAIL(TEST_INT("limit", "\"+7\"")) },
    { "limit=1.0", TEST_DETAIL(TEST_INT("limit", "\"1.0\"")) },
    { "limit=1e1", TEST_DETAIL(TEST_INT("limit", "\"1e1\"")) },
    { "limit=0x1", TEST_DETAIL(TEST_INT("limit", "\"0x1\"")) },
    { "limit=1_0", TEST_DETAIL(TEST_INT("limit", "\"1_0\"")) },
    { "limit=abc", TEST_DETAIL(TEST_INT("limit", "\"abc\"")) },
    { "limit=7=8", TEST_DETAIL(TEST_INT("limit", "\"7=8\"")) },
    { "limit=7%", TEST_DETAIL(TEST_INT("limit", "\"7%\"")) },
    { "limit=7%3", TEST_DETAIL(TEST_INT("limit", "\"7%3\"")) },
    { "limit=%zz", TEST_DETAIL(TEST_INT("limit", "\"%zz\"")) },
    { "limit=7%00", TEST_DETAIL(TEST_INT("limit", "\"7\\u0000\"")) },
    { "limit=7%09", TEST_DETAIL(TEST_INT("limit", "\"7\\t\"")) },
    { "limit=7%0A", TEST_DETAIL(TEST_INT("limit", "\"7\\n\"")) },
    { "limit=%d9%a1", TEST_DETAIL(TEST_INT("limit", "\"\xd9\xa1\"")) },
    { "limit=%ff", TEST_DETAIL(TEST_INT("limit", "\"\xef\xbf\xbd\"")) },
    { "limit=99999999999999999999x",
      TEST_DETAIL(TEST_INT("limit", "\"99999999999999999999x\"")) },
    { "limit=0", TEST_DETAIL(TEST_LEAST("limit", "1", "\"0\"")) },
    { "limit=-0", TEST_DETAIL(TEST_LEAST("limit", "1", "\"-0\"")) },
    { "limit=-1", TEST_DETAIL(TEST_LEAST("limit", "1", "\"-1\"")) },
    { "limit=-50", TEST_DETAIL(TEST_LEAST("limit", "1", "\"-50\"")) },
    { "limit=101", TEST_DETAIL(TEST_GREATEST("limit", "100", "\"101\"")) },
    { "limit=+0000101",
      TEST_DETAIL(TEST_GREATEST("limit", "100", "\" 0000101\"")) },
    { "limit=18446744073709551617",
      TEST_DETAIL(TEST_GREATEST("limit", "100",
                                "\"18446744073709551617\"")) },
    { "limit=7&limit=x", TEST_DETAIL(TEST_INT("limit", "\"x\"")) },

    { "offset=", TEST_DETAIL(TEST_INT("offset", "\"\"")) },
    { "offset=-1", TEST_DETAIL(TEST_LEAST("offset", "0", "\"-1\"")) },
    { "offset=-9223372036854775809",
      TEST_DETAIL(TEST_LEAST("offset", "0", "\"-9223372036854775809\"")) },
    { "offset=9223372036854775808",
      TEST_DETAIL(TEST_GREATEST("offset", TEST_INT64,
                                "\"9223372036854775808\"")) },
    { "offset=9223372036854775810",
      TEST_DETAIL(TEST_GREATEST("offset", TEST_INT64,
                                "\"9223372036854775810\"")) },
    { "offset=18446744073709551616",
      TEST_DETAIL(TEST_GREATEST("offset", TEST_INT64,
                                "\"18446744073709551616\"")) },
    { "offset=92233720368547758070",
      TEST_DETAIL(TEST_GREATEST("offset", TEST_INT64,
                                "\"92233720368547758070\"")) },

    { "since=x", TEST_DETAIL(TEST_SINCE("\"x\"")) },
    { "since=+", TEST_DETAIL(TEST_SINCE("\"+\"")) },
    { "since=2025-01-15T10:00:00",
      TEST_DETAIL(TEST_SINCE("\"2025-01-15T10:00:00\"")) },
    { "since=2025-02-30T10:00:00Z",
      TEST_DETAIL(TEST_SINCE("\"2025-02-30T10:00:00Z\"")) },
    { "since=2025-01-15T10:00:00%2005:30",
      TEST_DETAIL(TEST_SINCE("\"2025-01-15T10:00:00 05:30\"")) },
    { "since=2025-01-15T10:00:00Z%00",
      TEST_DETAIL(TEST_SINCE("\"2025-01-15T10:00:00Z\\u0000\"")) },

    { "until=x", TEST_DETAIL(TEST_UNTIL("\"x\"")) },
    { "until=2025-01-15T10:00:00",
      TEST_DETAIL(TEST_UNTIL("\"2025-01-15T10:00:00\"")) },

    { "fields=x", TEST_DETAIL(TEST_FIELDS("\"x\"")) },
    { "fields=,", TEST_DETAIL(TEST_FIELDS("\",\"")) },
    { "fields=from,", TEST_DETAIL(TEST_FIELDS("\"from,\"")) },
    { "fields=,from", TEST_DETAIL(TEST_FIELDS("\",from\"")) },
    { "fields=to,,from", TEST_DETAIL(TEST_FIELDS("\"to,,from\"")) },
    { "fields=to,from,to", TEST_DETAIL(TEST_FIELDS("\"to,from,to\"")) },
    { "fields=to,+from", TEST_DETAIL(TEST_FIELDS("\"to, from\"")) },
    { "fields=Raw", TEST_DETAIL(TEST_FIELDS("\"Raw\"")) },
    { "fields=raw%00", TEST_DETAIL(TEST_FIELDS("\"raw\\u0000\"")) },

    { "order=DESC", TEST_DETAIL(TEST_ORDER("\"DESC\"")) },
    { "order=descending", TEST_DETAIL(TEST_ORDER("\"descending\"")) },
    { "order=+asc", TEST_DETAIL(TEST_ORDER("\" asc\"")) },
    { "order=as", TEST_DETAIL(TEST_ORDER("\"as\"")) },

    { "after", TEST_DETAIL(TEST_AFTER("\"\"")) },
    { "after=", TEST_DETAIL(TEST_AFTER("\"\"")) },
    { "after=xyz", TEST_DETAIL(TEST_AFTER("\"xyz\"")) },
    { "after=00", TEST_DETAIL(TEST_AFTER("\"00\"")) },
    { "after=" TEST_CURSOR "A",
      TEST_DETAIL(TEST_AFTER("\"" TEST_CURSOR "A\"")) },
    { "after=" TEST_CURSOR "%2B",
      TEST_DETAIL(TEST_AFTER("\"" TEST_CURSOR "+\"")) },
    { "after=+" TEST_CURSOR,
      TEST_DETAIL(TEST_AFTER("\"+" TEST_CURSOR "\"")) },
    { "after=0&offset=0", TEST_DETAIL(TEST_AFTER("\"0\"")) },
    { "after=" TEST_CURSOR "&offset=0",
      TEST_DETAIL(TEST_AFTER("\"" TEST_CURSOR "\"")) },
    { "offset=5&after=" TEST_CURSOR,
      TEST_DETAIL(TEST_AFTER("\"" TEST_CURSOR "\"")) },
    { "offset&after=" TEST_CURSOR,
      TEST_DETAIL(TEST_INT("offset", "\"\"") ","
                  TEST_AFTER("\"" TEST_CURSOR "\"")) },

    /* all at once, in the table's order */

    { "after=1&q=%00&since=z&order=1&from=%ff&offset=b&limit=0&fields=2"
      "&until=3&id=%ff",
      TEST_DETAIL(TEST_LEAST("limit", "1", "\"0\"") ","
                  TEST_INT("offset", "\"b\"") "," TEST_SINCE("\"z\"") ","
                  TEST_UNTIL("\"3\"") "," TEST_FIELDS("\"2\"") ","
                  TEST_ORDER("\"1\"") ","
                  TEST_AFTER("\"1\"")) }
};


static void
test_faulty(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < unit_count(test_bads); i++) {
        test_bad(test_bads[i].args, test_bads[i].want);
    }
}


/* a thousand digits are judged as any number is */

static void
test_digits(void **state)
{
    char         args[1100];
    size_t       i, n;

    static char       *names[] = { "limit=", "limit=-", "offset=",
                                   "offset=-" };
    ngx_lyftr_fault_e  type;

    for (i = 0; i < unit_count(names); i++) {
        n = strlen(names[i]);
        type = (i % 2) ? NGX_LYFTR_GREATER_EQUAL : NGX_LYFTR_LESS_EQUAL;

        ngx_memcpy(args, names[i], n);
        ngx_memset(args + n, '9', 1000);
        args[n + 1000] = '\0';

        assert_int_equal(test_parse(args, n + 1000), NGX_DECLINED);
        assert_int_equal(test_faults.fault[0].type, type);

        ngx_memset(args + n, '0', 999);
        args[n + 999] = '7';

        if (i % 2) {
            assert_int_equal(test_parse(args, n + 1000), NGX_DECLINED);
            assert_int_equal(test_faults.fault[0].type, type);

        } else {
            test_good(args);
            assert_true((i ? test_q.offset : test_q.limit) == 7);
        }
    }
}


static void
test_strings(void **state)
{
    test_good("from=+919876543210&q=a+b%2Bc&since=2025-01-15T10:00:00+05:30");
    unit_equal(test_q.from.data, test_q.from.len, "+919876543210");
    unit_equal(test_q.q.data, test_q.q.len, "a b+c");
    unit_equal(test_q.since.data, test_q.since.len,
               "2025-01-15T10:00:00+05:30");
    assert_int_equal(test_q.instant.len, 5);
    assert_memory_equal(test_q.instant.data, "\x0e\xdf\x19\x30\xc8", 5);

    test_good("from=%2b1&since=2025-01-15t10%3A00:00%2B05:30&q=%25_%5C%26");
    unit_equal(test_q.from.data, test_q.from.len, "+1");
    unit_equal(test_q.q.data, test_q.q.len, "%_\\&");
    assert_memory_equal(test_q.instant.data, "\x0e\xdf\x19\x30\xc8", 5);

    test_good("q=100%&from=%+1");
    unit_equal(test_q.q.data, test_q.q.len, "100%");
    unit_equal(test_q.from.data, test_q.from.len, "%+1");

    test_good("q=%2&from=%g1%1g%2B");
    unit_equal(test_q.q.data, test_q.q.len, "%2");
    unit_equal(test_q.from.data, test_q.from.len, "%g1%1g+");

    test_good("q=%2525;a=b=c&q");
    assert_int_equal(test_q.q.len, 0);

    test_good("q&q=%2525;a=b=c");
    unit_equal(test_q.q.data, test_q.q.len, "%25;a=b=c");

    test_good("q=%C3%89cole&q=\xc3\xa9");
    unit_equal(test_q.q.data, test_q.q.len, "\xc3\xa9");

    test_good("since=0001-01-01T00:00:00%2B00:01");
    assert_int_equal(test_q.instant.len, 0);
    assert_int_equal(test_q.since.len, 25);
}


static void
test_shown(void **state)
{
    test_good("id=a+b%2Bc&until=2025-01-15T10:00:00+05:30&order=desc"
              "&fields=cursor,raw,from");
    unit_equal(test_q.id.data, test_q.id.len, "a+b+c");
    unit_equal(test_q.until.data, test_q.until.len,
               "2025-01-15T10:00:00+05:30");
    assert_int_equal(test_q.end.len, 5);
    assert_memory_equal(test_q.end.data, "\x0e\xdf\x19\x30\xc8", 5);
    assert_int_equal(test_q.desc, 1);
    assert_int_equal(test_q.fields,
                     ngx_lyftr_field(NGX_LYFTR_FIELD_FROM)
                     | ngx_lyftr_field(NGX_LYFTR_FIELD_RAW)
                     | ngx_lyftr_field(NGX_LYFTR_FIELD_CURSOR));

    test_good("order=desc&order=asc&fields=raw&fields=text");
    assert_int_equal(test_q.desc, 0);
    assert_int_equal(test_q.fields, ngx_lyftr_field(NGX_LYFTR_FIELD_TEXT));
}


/* what was asked for is in the arguments of the next page */

static void
test_next(void **state)
{
    u_char                *p, buf[1024];
    ngx_lyftr_position_t   last;

    ngx_memzero(&last, sizeof(last));

    test_good("order=desc&fields=raw,to&id=a%20b&q=x+y&until=2025-01-15T10:00"
              ":00Z&since=2025-01-15T09:00:00%2B01:00&from=+1&offset=7"
              "&limit=3&x=y");

    p = ngx_lyftr_query_write_next(buf, &test_q, &last);

    assert_true((size_t) (p - buf) <= ngx_lyftr_query_next_len(&test_q));
    unit_equal_str(buf, p - buf,
                   "limit=3&from=%2B1&since=2025-01-15T09%3A00%3A00%2B01%3A00"
                   "&until=2025-01-15T10%3A00%3A00Z&q=x%20y&id=a%20b"
                   "&fields=raw%2Cto&order=desc&after=0");
}


static void
test_none(void **state)
{
    ngx_uint_t    i;

    static char  *args[] = { "q=%00", "q=a%00b", "q=%ff", "q=%ed%a0%80",
                             "q=%c3", "from=%00", "from=%2B1%00", "from=%80",
                             "q=x&from=%c0%80", "q=%ff&from=%2B1",
                             "id=%00", "id=a%00", "id=%ff&q=a" };

    for (i = 0; i < unit_count(args); i++) {
        test_good(args[i]);
        assert_int_equal(test_q.none, 1);
    }

    test_good("q=%00&q=a&from=%ff&from=%2B1&x=%00");
    assert_int_equal(test_q.none, 0);

    assert_int_equal(test_parse(unit_lit("q=a\0")), NGX_OK);
    assert_int_equal(test_q.none, 1);
}


static void
test_formats(void **state)
{
    u_char      *arena;
    ngx_str_t    args;
    ngx_uint_t   i;

    static const struct {
        char       *args;
        ngx_int_t   rc;
        ngx_uint_t  format;
    } formats[] = {
        { "", NGX_OK, NGX_LYFTR_FORMAT_ANY },
        { "format", NGX_OK, NGX_LYFTR_FORMAT_ANY },
        { "format=", NGX_OK, NGX_LYFTR_FORMAT_ANY },
        { "format=ndjson", NGX_OK, NGX_LYFTR_FORMAT_NDJSON },
        { "format=csv", NGX_OK, NGX_LYFTR_FORMAT_CSV },
        { "format=csv&format=sheet", NGX_OK, NGX_LYFTR_FORMAT_SHEET },
        { "format=CSV", NGX_DECLINED, 0 },
        { "format=cs", NGX_DECLINED, 0 }
    };

    for (i = 0; i < unit_count(formats); i++) {
        args.len = strlen(formats[i].args);
        args.data = unit_copy(formats[i].args, args.len);
        arena = unit_copy(formats[i].args, args.len);

        assert_int_equal(ngx_lyftr_query_parse_as(NGX_LYFTR_QUERY_EXPORT,
                                                  &args, arena, &test_q,
                                                  &test_faults),
                         formats[i].rc);

        if (formats[i].rc == NGX_OK) {
            assert_int_equal(test_q.format, formats[i].format);
        }

        free(args.data);
        free(arena);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_int),
        cmocka_unit_test(test_faulty),
        cmocka_unit_test(test_digits),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_shown),
        cmocka_unit_test(test_next),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_formats)
    };

    return cmocka_run_group_tests_name("query", tests, NULL, test_release);
}

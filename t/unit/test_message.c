
#include "unit_message.h"


static void
test_fields(void **state)
{
    ngx_lyftr_instant_t  t;

    test_good(unit_lit("{" TEST_GOOD ",\"text\":\"Hello\"}"));

    unit_equal(test_m.message_id.data, test_m.message_id.len, "m1");
    unit_equal(test_m.from.data, test_m.from.len, "+919876543210");
    unit_equal(test_m.to.data, test_m.to.len, "+14155550100");
    unit_equal(test_m.ts.data, test_m.ts.len, "2025-01-15T10:00:00Z");
    unit_equal(test_m.text.data, test_m.text.len, "Hello");

    assert_int_equal(ngx_lyftr_instant_parse(test_m.ts.data, test_m.ts.len,
                                             &t), NGX_OK);
    assert_int_equal(t.len, test_m.instant.len);
    assert_memory_equal(t.data, test_m.instant.data, t.len);

    test_good(unit_lit("{" TEST_GOOD "}"));
    assert_null(test_m.text.data);

    test_good(unit_lit("{" TEST_GOOD ",\"text\":null}"));
    assert_null(test_m.text.data);

    test_good(unit_lit("{" TEST_GOOD ",\"text\":\"\"}"));
    assert_non_null(test_m.text.data);
    assert_int_equal(test_m.text.len, 0);
}


static void
test_escapes(void **state)
{
    test_good(unit_lit("\r\n\t { \"m\\u0065ssage_id\" \n:\t \"\\u00e9\\ud83d"
                       "\\uDE00\\\"\\\\\\/\\b\\f\\n\\r\\t\" ,\"from\":"
                       "\"\\u002b1\",\"to\":\"+\\u0032\","
                       "\"ts\":\"2025-01-15T10:00:00\\u005a\",\"te\\u0078t\":"
                       "\"\xf0\x9f\x98\x80 \xc3\xa9\"} \r\n\t "));

    unit_equal(test_m.message_id.data, test_m.message_id.len,
               "\xc3\xa9\xf0\x9f\x98\x80\"\\/\b\f\n\r\t");
    unit_equal(test_m.from.data, test_m.from.len, "+1");
    unit_equal(test_m.to.data, test_m.to.len, "+2");
    unit_equal(test_m.ts.data, test_m.ts.len, "2025-01-15T10:00:00Z");
    unit_equal(test_m.text.data, test_m.text.len,
               "\xf0\x9f\x98\x80 \xc3\xa9");

    /* a backslash that is escaped begins no escape */

    test_good(unit_lit("{" TEST_GOOD ",\"text\":\"\\\\ud800 \\\\\\\\uDC00\"}"));
    unit_equal(test_m.text.data, test_m.text.len, "\\ud800 \\\\uDC00");

    /* what is next to the surrogates is none */

    test_good(unit_lit("{" TEST_GOOD ",\"text\":\"\\uD7FF\\ue000\\udbff\\udfff"
                       "\\uD800\\uDC00\\ud83d\\ude00\"}"));
}


static void
test_repeated(void **state)
{
    test_good(unit_lit("{\"message_id\":7," TEST_GOOD ",\"from\":\"+1\","
                       "\"text\":[1],\"text\":\"a\",\"text\":\"b\","
                       "\"from\":\"+2\"}"));
    unit_equal(test_m.from.data, test_m.from.len, "+2");
    unit_equal(test_m.text.data, test_m.text.len, "b");

    test_good(unit_lit("{" TEST_GOOD ",\"text\":\"\\ud800\",\"text\":null}"));
    assert_null(test_m.text.data);

    test_good(unit_lit("{" TEST_GOOD ",\"text\":\"\\ud800\",\"text\":\"a\"}"));

    test_bad(unit_lit("{" TEST_GOOD ",\"message_id\":{\"a\":1}}"),
             TEST_DETAIL(TEST_TYPE("message_id", "{}")));
    assert_null(test_m.message_id.data);

    test_bad(unit_lit("{" TEST_GOOD ",\"m\\u0065ssage_id\":\"\"}"),
             TEST_DETAIL(TEST_SHORT("message_id", "\"\"")));
}


static void
test_unknown(void **state)
{
    test_good(unit_lit("{\"message_id \":1,\"Text\":2,\"\":3,\"tex\":4,"
                       "\"texts\":5," TEST_GOOD ",\"n\":{\"message_id\":null,"
                       "\"text\":[{\"text\":\"\\ud800\"}]},\"s\":\"\\udc00"
                       "\\ud800\\u0000\",\"\\ud800\":0,\"text\\u0000\":1,"
                       "\"big\":-123456789012345678901234567890123456789e"
                       "+99999999999,\"f\":1.7976931348623157e99999,"
                       "\"t\":[true,false,null,\"x\",1]}"));

    assert_null(test_m.text.data);
    unit_equal(test_m.message_id.data, test_m.message_id.len, "m1");

    /* a field's value ends with its value */

    test_good(unit_lit("{" TEST_GOOD ",\"text\":null,\"a\":\"x\"}"));
    assert_null(test_m.text.data);
}


#define TEST_ID(v)                                                           \
    unit_lit("{" TEST_GOOD ",\"message_id\":" v "}")
#define TEST_FROM(v)                                                         \
    unit_lit("{" TEST_GOOD ",\"from\":" v "}")
#define TEST_TO(v)                                                           \
    unit_lit("{" TEST_GOOD ",\"to\":" v "}")
#define TEST_TS(v)                                                           \
    unit_lit("{" TEST_GOOD ",\"ts\":" v "}")
#define TEST_TEXT(v)                                                         \
    unit_lit("{" TEST_GOOD ",\"text\":" v "}")


static test_case_t  test_schemas[] = {

    { unit_lit(""), TEST_DETAIL(TEST_FAULT("missing", "\"body\"",
                                           "Field required", "{}")) },

    { unit_lit("null"), TEST_DETAIL(TEST_OBJECT("null")) },
    { unit_lit(" true "), TEST_DETAIL(TEST_OBJECT("true")) },
    { unit_lit("false"), TEST_DETAIL(TEST_OBJECT("false")) },
    { unit_lit("123"), TEST_DETAIL(TEST_OBJECT("123")) },
    { unit_lit(" -1.50E+7\n"), TEST_DETAIL(TEST_OBJECT("-1.50E+7")) },
    { unit_lit("\"a\\n\xc3\xa9\""),
      TEST_DETAIL(TEST_OBJECT("\"a\\n\xc3\xa9\"")) },
    { unit_lit(" \"\\ud800\""), TEST_DETAIL(TEST_OBJECT("\"\\\\ud800\"")) },
    { unit_lit("[]"), TEST_DETAIL(TEST_OBJECT("[]")) },
    { unit_lit("[{" TEST_GOOD "}]"), TEST_DETAIL(TEST_OBJECT("[]")) },
    { unit_lit("[\"message_id\",{}]"), TEST_DETAIL(TEST_OBJECT("[]")) },

    { unit_lit("{}"),
      TEST_DETAIL(TEST_MISSING("message_id") "," TEST_MISSING("from") ","
                  TEST_MISSING("to") "," TEST_MISSING("ts")) },

    /* the order is that of the schema, whatever that of the body */

    { unit_lit("{\"text\":5,\"ts\":false,\"to\":[1],\"from\":{\"a\":1},"
               "\"message_id\":null}"),
      TEST_DETAIL(TEST_TYPE("message_id", "null") ","
                  TEST_TYPE("from", "{}") "," TEST_TYPE("to", "[]") ","
                  TEST_TYPE("ts", "false") "," TEST_TYPE("text", "5")) },

    { unit_lit("{\"message_id\":\"\",\"from\":\"1\",\"ts\":\"now\","
               "\"text\":true}"),
      TEST_DETAIL(TEST_SHORT("message_id", "\"\"") ","
                  TEST_PATTERN("from", "\"1\"") "," TEST_MISSING("to") ","
                  TEST_DATETIME("\"now\"") "," TEST_TYPE("text", "true")) },

    { TEST_ID("1"), TEST_DETAIL(TEST_TYPE("message_id", "1")) },
    { TEST_ID("\"\""), TEST_DETAIL(TEST_SHORT("message_id", "\"\"")) },
    { TEST_ID("\"\\u0000\""),
      TEST_DETAIL(TEST_UNICODE("message_id", "\"\\u0000\"")) },
    { TEST_ID("\"a\\udfffb\""),
      TEST_DETAIL(TEST_UNICODE("message_id", "\"a\\\\udfffb\"")) },

    { TEST_FROM("null"), TEST_DETAIL(TEST_TYPE("from", "null")) },
    { TEST_FROM("919876543210"),
      TEST_DETAIL(TEST_TYPE("from", "919876543210")) },
    { TEST_FROM("\"\""), TEST_DETAIL(TEST_PATTERN("from", "\"\"")) },
    { TEST_FROM("\"+\""), TEST_DETAIL(TEST_PATTERN("from", "\"+\"")) },
    { TEST_FROM("\"12\""), TEST_DETAIL(TEST_PATTERN("from", "\"12\"")) },
    { TEST_FROM("\"++1\""), TEST_DETAIL(TEST_PATTERN("from", "\"++1\"")) },
    { TEST_FROM("\"+1a\""), TEST_DETAIL(TEST_PATTERN("from", "\"+1a\"")) },
    { TEST_FROM("\"+1/\""), TEST_DETAIL(TEST_PATTERN("from", "\"+1/\"")) },
    { TEST_FROM("\"+1:\""), TEST_DETAIL(TEST_PATTERN("from", "\"+1:\"")) },
    { TEST_FROM("\"+1\\n\""),
      TEST_DETAIL(TEST_PATTERN("from", "\"+1\\n\"")) },
    { TEST_FROM("\" +1\""), TEST_DETAIL(TEST_PATTERN("from", "\" +1\"")) },
    { TEST_FROM("\"+1 \""), TEST_DETAIL(TEST_PATTERN("from", "\"+1 \"")) },
    { TEST_FROM("\"+\xd9\xa1\xd9\xa2\""),
      TEST_DETAIL(TEST_PATTERN("from", "\"+\xd9\xa1\xd9\xa2\"")) },
    { TEST_FROM("\"\xef\xbc\x8b" "1\""),
      TEST_DETAIL(TEST_PATTERN("from", "\"\xef\xbc\x8b" "1\"")) },
    { TEST_FROM("\"+1\\u0000\""),
      TEST_DETAIL(TEST_UNICODE("from", "\"+1\\u0000\"")) },

    { TEST_TO("\"\""), TEST_DETAIL(TEST_PATTERN("to", "\"\"")) },
    { TEST_TO("\"+12\\n\""), TEST_DETAIL(TEST_PATTERN("to", "\"+12\\n\"")) },
    { TEST_TO("\"\\ud800\""),
      TEST_DETAIL(TEST_UNICODE("to", "\"\\\\ud800\"")) },

    { TEST_TS("1736935200"), TEST_DETAIL(TEST_TYPE("ts", "1736935200")) },
    { TEST_TS("\"\""), TEST_DETAIL(TEST_DATETIME("\"\"")) },
    { TEST_TS("\"2025-02-29T10:00:00Z\""),
      TEST_DETAIL(TEST_DATETIME("\"2025-02-29T10:00:00Z\"")) },
    { TEST_TS("\"2025-01-15T10:00:00+00:00\""),
      TEST_DETAIL(TEST_DATETIME("\"2025-01-15T10:00:00+00:00\"")) },
    { TEST_TS("\"2025-01-15T10:00:00Z\\u0000\""),
      TEST_DETAIL(TEST_UNICODE("ts", "\"2025-01-15T10:00:00Z\\u0000\"")) },
    { TEST_TS("\"\\udc00\""),
      TEST_DETAIL(TEST_UNICODE("ts", "\"\\\\udc00\"")) },

    { TEST_TEXT("0"), TEST_DETAIL(TEST_TYPE("text", "0")) },
    { TEST_TEXT("[\"a\"]"), TEST_DETAIL(TEST_TYPE("text", "[]")) },
    { TEST_TEXT("{}"), TEST_DETAIL(TEST_TYPE("text", "{}")) },
    { TEST_TEXT("\"\\u0000\""),
      TEST_DETAIL(TEST_UNICODE("text", "\"\\u0000\"")) },
    { TEST_TEXT("\"\\ud800\""),
      TEST_DETAIL(TEST_UNICODE("text", "\"\\\\ud800\"")) },
    { TEST_TEXT("\"\\uDBFF \\uDFFF\""),
      TEST_DETAIL(TEST_UNICODE("text", "\"\\\\uDBFF \\\\uDFFF\"")) },
    { TEST_TEXT("\"\\ud800\\ud800\\udc00\""),
      TEST_DETAIL(TEST_UNICODE("text", "\"\\\\ud800\\\\ud800\\\\udc00\"")) },
    { TEST_TEXT("\"\\ud83d\\ude00\\ude00\""),
      TEST_DETAIL(TEST_UNICODE("text", "\"\\\\ud83d\\\\ude00\\\\ude00\"")) },
    { TEST_TEXT("\"\\udc00\\udc00\""),
      TEST_DETAIL(TEST_UNICODE("text", "\"\\\\udc00\\\\udc00\"")) },
    { TEST_TEXT("\"\\ud800\\u0041\""),
      TEST_DETAIL(TEST_UNICODE("text", "\"\\\\ud800\\\\u0041\"")) },
    { TEST_TEXT("\"\\ud800\\n\""),
      TEST_DETAIL(TEST_UNICODE("text", "\"\\\\ud800\\\\n\"")) }
};


static void
test_schema(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < unit_count(test_schemas); i++) {
        test_bad(test_schemas[i].body, test_schemas[i].len,
                 test_schemas[i].want);
    }
}


/* the id is known, and can be logged, also where the message is refused */

static void
test_id(void **state)
{
    assert_int_equal(test_parse(unit_lit("{\"text\":1,\"message_id\":\"id\"}")),
                     NGX_DECLINED);
    unit_equal(test_m.message_id.data, test_m.message_id.len, "id");

    assert_int_equal(test_parse(unit_lit("{\"message_id\":\"\\ud800\"}")),
                     NGX_DECLINED);
    assert_int_equal(test_m.message_id.len, 0);

    assert_int_equal(test_parse(unit_lit("{\"message_id\":\"a\\u0000\"}")),
                     NGX_DECLINED);
    assert_int_equal(test_m.message_id.len, 0);

    assert_int_equal(test_parse(unit_lit("{\"message_id\":\"id\",}")),
                     NGX_DECLINED);
    assert_int_equal(test_m.message_id.len, 0);

    assert_int_equal(test_parse(unit_lit("")), NGX_DECLINED);
    assert_int_equal(test_m.message_id.len, 0);
}


/* the limit counts code points: n of them, each written as unit */

static void
test_one_length(char *unit, size_t n, ngx_uint_t good)
{
    char    *body, *p;
    size_t   i;

    body = malloc(100000);
    assert_non_null(body);

    p = (char *) ngx_cpymem(body, "{" TEST_GOOD ",\"text\":\"",
                            sizeof("{" TEST_GOOD ",\"text\":\"") - 1);

    for (i = 0; i < n; i++) {
        p = (char *) ngx_cpymem(p, unit, strlen(unit));
    }

    *p++ = '"';
    *p++ = '}';

    if (good) {
        test_good(body, p - body);

    } else {
        assert_int_equal(test_parse(body, p - body), NGX_DECLINED);
        assert_int_equal(test_faults.n, 1);
        assert_int_equal(test_faults.fault[0].type, NGX_LYFTR_STRING_TOO_LONG);
        unit_equal(test_faults.fault[0].field.data,
                   test_faults.fault[0].field.len, "text");
    }

    free(body);
}


static void
test_length(void **state)
{
    ngx_uint_t    i;

    static char  *units[] = { "a", "\xc3\xa9", "\xe2\x82\xac",
                              "\xf0\x9f\x98\x80", "\\n", "\\u00e9",
                              "\\ud83d\\ude00" };

    for (i = 0; i < unit_count(units); i++) {
        test_one_length(units[i], 4095, 1);
        test_one_length(units[i], 4096, 1);
        test_one_length(units[i], 4097, 0);
    }
}


/* what is decoded fits, also where it is as long as what is written */

static void
test_bounds(void **state)
{
    char    *body, *p;
    size_t   i;

    body = malloc(100000);
    assert_non_null(body);

    p = (char *) ngx_cpymem(body, "{" TEST_GOOD, sizeof("{" TEST_GOOD) - 1);

    for (i = 0; i < 3000; i++) {
        p = (char *) ngx_cpymem(p, ",\"text\":\"\xf0\x9f\x98\x80\"", 14);
        p = (char *) ngx_cpymem(p, ",\"text\":12345", 13);
    }

    p = (char *) ngx_cpymem(p, ",\"text\":\"z\"}", 12);

    test_good(body, p - body);
    unit_equal(test_m.text.data, test_m.text.len, "z");

    free(body);

    test_bad(unit_lit("7"), TEST_DETAIL(TEST_OBJECT("7")));
}


/* bodies that take as much memory as can be: it is there */

static void
test_memory(void **state)
{
    char        *body, *p;
    size_t       n, len;
    ngx_int_t    rc;
    ngx_uint_t   i, k;

    /* of body, so often: opened by the first, and closed or cut */

    static struct {
        char  *open;
        char  *unit;
        char  *close;
    } tests[] = {
        { "{\"text\":\"", "\\n", "\"}" },
        { "{\"text\":\"", "\\u00e9", "\"}" },
        { "{\"text\":\"", "\\uffff", "\"}" },
        { "{\"text\":\"", "\\ud83d\\ude00", "\"}" },
        { "{\"text\":\"", "\\\\", "" },
        { "{\"text\":\"\\n", "a", "\"}" },
        { "{\"text\":\"\\n", "a", "" },
        { "{\"", "a\\t", "\":1}" },
        { "{\"a\":", "1", "" },
        { "", "7", "" },
        { "[", "\"\\n\",", "\"\\u0001" },
        { "[", "[", "" },
        { "", "{\"\\n\":", "\"\\n\"" },
        { "", "[\"\\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",", "0" }
    };

    for (i = 0; i < unit_count(tests); i++) {

        for (n = 1; n < 70000; n = n * 5 / 4 + 1) {
            len = strlen(tests[i].unit);
            body = malloc(n * len + 64);
            assert_non_null(body);

            p = stpcpy(body, tests[i].open);

            for (k = 0; k < n; k++) {
                p = (char *) ngx_cpymem(p, tests[i].unit, len);
            }

            p = stpcpy(p, tests[i].close);

            rc = test_parse(body, p - body);
            free(body);

            if (rc == NGX_ERROR) {
                print_error("no memory for %zu of %s\n", n, tests[i].unit);
                fail();
            }
        }
    }
}


/* whatever is missing of it, that is told, and nothing else is touched */

static void
test_no_memory(void **state)
{
    char        *body, *p;
    ngx_uint_t   i, refused;

    body = malloc(20000);
    assert_non_null(body);

    p = stpcpy(body, "{" TEST_GOOD ",\"text\":\"");

    for (i = 0; i < 4000; i++) {
        p = stpcpy(p, "\\n");
    }

    p = stpcpy(p, "\",\"a\":[[[[1]]]]}");

    refused = 0;

    for (test_less = 0; test_less < 60000; test_less += 7) {
        refused += (test_parse(body, p - body) == NGX_ERROR);
    }

    test_less = 0;
    free(body);

    assert_in_range(refused, 60000 / 7 / 2, 60000 / 7);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_schema),
        cmocka_unit_test(test_id),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_no_memory)
    };

    return cmocka_run_group_tests_name("message", tests, NULL, test_release);
}

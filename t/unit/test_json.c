
#include "unit.h"


typedef struct {
    u_char  *s;
    size_t   len;
    char    *want;
} test_string_t;


static test_string_t  test_strings[] = {
    { unit_lit(""), "\"\"" },
    { unit_lit("plain"), "\"plain\"" },
    { unit_lit("\"\\/"), "\"\\\"\\\\/\"" },
    { unit_lit("\b\t\n\f\r"), "\"\\b\\t\\n\\f\\r\"" },
    { unit_lit("\0\x01\x02\x03\x04\x05\x06\x07"),
      "\"\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\"" },
    { unit_lit("\x0b\x0e\x0f"), "\"\\u000b\\u000e\\u000f\"" },
    { unit_lit("\x10\x11\x12\x13\x14\x15\x16\x17"),
      "\"\\u0010\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017\"" },
    { unit_lit("\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"),
      "\"\\u0018\\u0019\\u001a\\u001b\\u001c\\u001d\\u001e\\u001f\"" },
    { unit_lit(" \x7f"), "\" \x7f\"" },
    { unit_lit("\xc2\x80\xe2\x80\xa8\xf0\x9f\x98\x80"),
      "\"\xc2\x80\xe2\x80\xa8\xf0\x9f\x98\x80\"" },
    { unit_lit("a\xff" "b"), "\"a\xef\xbf\xbd" "b\"" },
    { unit_lit("\xe2\x82"), "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
    { unit_lit("\xed\xa0\x80"),
      "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
    { unit_lit("\xc3\""), "\"\xef\xbf\xbd\\\"\"" }
};


static void
test_string(void **state)
{
    u_char         *s, *p, buf[256];
    size_t          len;
    ngx_uint_t      i;
    test_string_t  *t;

    for (i = 0; i < unit_count(test_strings); i++) {
        t = &test_strings[i];
        s = unit_copy(t->s, t->len);

        p = ngx_lyftr_json_string(buf, s, t->len);
        len = ngx_lyftr_json_string_len(s, t->len);

        unit_equal_str(buf, p - buf, t->want);
        assert_int_equal(len, p - buf);
        assert_true(len <= NGX_LYFTR_JSON_GROWTH * t->len + 2);

        free(s);
    }
}


/* each byte at each place of a word, and before and after one */

static void
test_string_words(void **state)
{
    int          c;
    u_char      *s, *p, *want, one[1], buf[256], text[256];
    size_t       len;
    ngx_uint_t   at;

    for (at = 0; at < 24; at++) {
        for (c = 0; c < 256; c++) {
            s = unit_copy((u_char *) "0123456789 !#[]~abcdefgh", 24);

            want = ngx_cpymem(text, "\"", 1);
            want = ngx_cpymem(want, s, at);

            one[0] = c;
            p = ngx_lyftr_json_string(buf, one, 1);

            want = ngx_cpymem(want, buf + 1, p - buf - 2);
            want = ngx_cpymem(want, s + at + 1, 24 - at - 1);
            want = ngx_cpymem(want, "\"", 1);

            s[at] = c;
            p = ngx_lyftr_json_string(buf, s, 24);
            len = ngx_lyftr_json_string_len(s, 24);

            assert_int_equal(len, p - buf);
            assert_int_equal(len, want - text);
            assert_memory_equal(buf, text, len);

            free(s);
        }
    }
}


typedef struct {
    int64_t  n;
    char    *want;
} test_int_t;


static test_int_t  test_ints[] = {
    { 0, "0" },
    { 7, "7" },
    { 10, "10" },
    { -1, "-1" },
    { 1234567890, "1234567890" },
    { INT64_MAX, "9223372036854775807" },
    { INT64_MIN, "-9223372036854775808" }
};


static void
test_int(void **state)
{
    u_char      *p, buf[NGX_INT64_LEN];
    ngx_uint_t   i;

    for (i = 0; i < unit_count(test_ints); i++) {
        p = ngx_lyftr_json_int(buf, test_ints[i].n);
        unit_equal_str(buf, p - buf, test_ints[i].want);
    }
}


typedef struct {
    char  *s;
    char  *want;
} test_minify_t;


static test_minify_t  test_minifies[] = {
    { "", "" },
    { " \t\r\n", "" },
    { "{}", "{}" },
    { " [ ] ", "[]" },
    { "{ \"a b\" : \"c  d\" }", "{\"a b\":\"c  d\"}" },
    { "[\"\\\\\" , \"\\\" \", \" \\\\\\\" \"]",
      "[\"\\\\\",\"\\\" \",\" \\\\\\\" \"]" },
    { "[ -1.5e+3 , true ,\tnull ]", "[-1.5e+3,true,null]" },
    { "\"\xc2\xa0 \xe2\x80\xa8\"", "\"\xc2\xa0 \xe2\x80\xa8\"" },
    { " \"\\u0020 \\/\" ", "\"\\u0020 \\/\"" }
};


static void
test_minify(void **state)
{
    u_char          *s, buf[64];
    size_t           len, n;
    ngx_uint_t       i;
    test_minify_t   *t;

    for (i = 0; i < unit_count(test_minifies); i++) {
        t = &test_minifies[i];
        len = strlen(t->s);
        s = unit_copy(t->s, len);

        n = ngx_lyftr_json_minify(buf, s, len);

        unit_equal_str(buf, n, t->want);
        assert_int_equal(ngx_lyftr_json_minify(NULL, s, len), n);

        /* in its own place, and again */

        assert_int_equal(ngx_lyftr_json_minify(s, s, len), n);
        assert_int_equal(ngx_lyftr_json_minify(s, s, n), n);
        unit_equal_str(s, n, t->want);

        free(s);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_string),
        cmocka_unit_test(test_string_words),
        cmocka_unit_test(test_int),
        cmocka_unit_test(test_minify)
    };

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}

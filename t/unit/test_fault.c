
#include "unit.h"


static u_char  test_buf[16384];


static size_t
test_write(ngx_lyftr_faults_t *faults)
{
    u_char  *p;

    p = ngx_lyftr_fault_write(test_buf, faults);

    assert_true((size_t) (p - test_buf) <= ngx_lyftr_fault_len(faults));

    return p - test_buf;
}


static char  *test_texts[] = {
    "missing\",\"loc\":[\"body\",\"f\"],\"msg\":\"Field required",
    "string_type\",\"loc\":[\"body\",\"f\"],"
    "\"msg\":\"Input should be a valid string",
    "string_too_short\",\"loc\":[\"body\",\"f\"],"
    "\"msg\":\"String should not be empty",
    "string_too_long\",\"loc\":[\"body\",\"f\"],"
    "\"msg\":\"String should have 4096 characters or fewer",
    "string_pattern_mismatch\",\"loc\":[\"body\",\"f\"],"
    "\"msg\":\"String should be a plus sign followed by digits",
    "string_unicode\",\"loc\":[\"body\",\"f\"],"
    "\"msg\":\"String should have no U+0000 and no lone surrogate",
    "json_invalid\",\"loc\":[\"body\",\"f\"],"
    "\"msg\":\"Body should be valid JSON in UTF-8",
    "model_attributes_type\",\"loc\":[\"body\",\"f\"],"
    "\"msg\":\"Input should be a JSON object",
    "datetime_parsing\",\"loc\":[\"body\",\"f\"],"
    "\"msg\":\"Input should be a date and time that exists,"
    " like 2025-01-15T10:00:00Z",
    "int_parsing\",\"loc\":[\"body\",\"f\"],"
    "\"msg\":\"Input should be an integer in decimal digits",
    "greater_than_equal\",\"loc\":[\"body\",\"f\"],"
    "\"msg\":\"Input should be greater than or equal to 0",
    "less_than_equal\",\"loc\":[\"body\",\"f\"],"
    "\"msg\":\"Input should be less than or equal to 0",
    "value_error\",\"loc\":[\"body\",\"f\"],"
    "\"msg\":\"Input should be a cursor from a Link header,"
    " without an offset"
};


static void
test_types(void **state)
{
    char                 want[512];
    size_t               n;
    ngx_str_t            field;
    ngx_uint_t           i;
    ngx_lyftr_faults_t   faults;

    ngx_str_set(&faults.in, "body");
    ngx_str_set(&field, "f");

    assert_int_equal(unit_count(test_texts), NGX_LYFTR_CURSOR + 1);

    for (i = 0; i < unit_count(test_texts); i++) {
        faults.n = 0;
        assert_non_null(ngx_lyftr_fault_add(&faults, i, &field));
        n = test_write(&faults);

        (void) snprintf(want, sizeof(want),
                        "{\"detail\":[{\"type\":\"%s\",\"input\":{}}]}",
                        test_texts[i]);
        unit_equal_str(test_buf, n, want);
    }
}


static void
test_loc(void **state)
{
    size_t               n;
    ngx_str_t            field;
    ngx_lyftr_fault_t   *fault;
    ngx_lyftr_faults_t   faults;

    ngx_str_set(&faults.in, "query");
    faults.n = 0;
    ngx_str_null(&field);

    n = test_write(&faults);
    unit_equal(test_buf, n, "{\"detail\":[]}");

    fault = ngx_lyftr_fault_add(&faults, NGX_LYFTR_MISSING, NULL);
    fault->input_type = NGX_LYFTR_INPUT_ARRAY;

    n = test_write(&faults);
    unit_equal(test_buf, n,
               "{\"detail\":[{\"type\":\"missing\",\"loc\":[\"query\"],"
               "\"msg\":\"Field required\",\"input\":[]}]}");

    fault = ngx_lyftr_fault_add(&faults, NGX_LYFTR_MISSING, &field);
    fault->position = 0;

    fault = ngx_lyftr_fault_add(&faults, NGX_LYFTR_MISSING, &field);
    fault->position = 1234567;

    n = test_write(&faults);
    unit_equal(test_buf, n,
               "{\"detail\":[{\"type\":\"missing\",\"loc\":[\"query\"],"
               "\"msg\":\"Field required\",\"input\":[]},"
               "{\"type\":\"missing\",\"loc\":[\"query\",0],"
               "\"msg\":\"Field required\",\"input\":{}},"
               "{\"type\":\"missing\",\"loc\":[\"query\",1234567],"
               "\"msg\":\"Field required\",\"input\":{}}]}");
}


static void
test_full(void **state)
{
    ngx_uint_t           i;
    ngx_lyftr_faults_t   faults;

    ngx_str_set(&faults.in, "body");
    faults.n = 0;

    for (i = 0; i < NGX_LYFTR_FAULTS_MAX; i++) {
        assert_non_null(ngx_lyftr_fault_add(&faults, NGX_LYFTR_MISSING, NULL));
    }

    assert_null(ngx_lyftr_fault_add(&faults, NGX_LYFTR_MISSING, NULL));
    assert_int_equal(faults.n, NGX_LYFTR_FAULTS_MAX);
}


static void
test_one_input(ngx_lyftr_input_e type, char *s, char *want)
{
    char                 all[4096];
    size_t               n;
    ngx_lyftr_fault_t   *fault;
    ngx_lyftr_faults_t   faults;

    ngx_str_set(&faults.in, "body");
    faults.n = 0;

    fault = ngx_lyftr_fault_add(&faults, NGX_LYFTR_MISSING, NULL);
    fault->input_type = type;
    fault->input.len = strlen(s);
    fault->input.data = unit_copy(s, strlen(s));

    n = test_write(&faults);

    (void) snprintf(all, sizeof(all),
                    "{\"detail\":[{\"type\":\"missing\",\"loc\":[\"body\"],"
                    "\"msg\":\"Field required\",\"input\":%s}]}", want);
    unit_equal_str(test_buf, n, all);

    free(fault->input.data);
}


/* n times c, then the tail, in quotes or not; one of three static buffers */

static char *
test_many(int n, char c, char *tail, char *quote)
{
    static char        bufs[3][2048], many[2048];
    static ngx_uint_t  i;

    i = (i + 1) % 3;

    ngx_memset(many, c, n);
    many[n] = '\0';

    (void) snprintf(bufs[i], sizeof(bufs[i]), "%s%s%s%s", quote, many, tail,
                    quote);

    return bufs[i];
}


static void
test_input(void **state)
{
    char        want[2048], *p;
    ngx_uint_t  i;

    test_one_input(NGX_LYFTR_INPUT_OBJECT, "x", "{}");
    test_one_input(NGX_LYFTR_INPUT_ARRAY, "x", "[]");
    test_one_input(NGX_LYFTR_INPUT_LITERAL, "null", "null");
    test_one_input(NGX_LYFTR_INPUT_LITERAL, "-1.5e+7", "-1.5e+7");
    test_one_input(NGX_LYFTR_INPUT_STRING, "", "\"\"");
    test_one_input(NGX_LYFTR_INPUT_STRING, "a\"\n\xff",
                   "\"a\\\"\\n\xef\xbf\xbd\"");

    test_one_input(NGX_LYFTR_INPUT_STRING, test_many(255, 'a', "", ""),
                   test_many(255, 'a', "", "\""));
    test_one_input(NGX_LYFTR_INPUT_STRING, test_many(256, 'a', "", ""),
                   test_many(255, 'a', "", "\""));
    test_one_input(NGX_LYFTR_INPUT_STRING, test_many(253, 'a', "\xc3\xa9", ""),
                   test_many(253, 'a', "\xc3\xa9", "\""));
    test_one_input(NGX_LYFTR_INPUT_STRING, test_many(254, 'a', "\xc3\xa9", ""),
                   test_many(254, 'a', "", "\""));
    test_one_input(NGX_LYFTR_INPUT_STRING,
                   test_many(252, 'a', "\xf0\x9f\x98\x80", ""),
                   test_many(252, 'a', "", "\""));

    /* the longest answer that an input can cause */

    p = want;
    *p++ = '"';

    for (i = 0; i < 255; i++) {
        p = (char *) ngx_cpymem(p, "\\u0001", 6);
    }

    ngx_memcpy(p, "\"", 2);

    test_one_input(NGX_LYFTR_INPUT_STRING, test_many(300, '\1', "", ""), want);

    /* numbers stay numbers */

    test_one_input(NGX_LYFTR_INPUT_LITERAL, test_many(255, '9', "", ""),
                   test_many(255, '9', "", ""));
    test_one_input(NGX_LYFTR_INPUT_LITERAL, test_many(1000, '9', "", ""),
                   test_many(255, '9', "", ""));
    test_one_input(NGX_LYFTR_INPUT_LITERAL, test_many(254, '9', ".5", ""),
                   test_many(254, '9', "", ""));
    test_one_input(NGX_LYFTR_INPUT_LITERAL, test_many(253, '9', ".5", ""),
                   test_many(253, '9', ".5", ""));
    test_one_input(NGX_LYFTR_INPUT_LITERAL, test_many(254, '9', "e+5", ""),
                   test_many(254, '9', "", ""));
    test_one_input(NGX_LYFTR_INPUT_LITERAL, test_many(253, '9', "E-55", ""),
                   test_many(253, '9', "", ""));
    test_one_input(NGX_LYFTR_INPUT_LITERAL, test_many(251, '9', "E-55", ""),
                   test_many(251, '9', "E-55", ""));
    test_one_input(NGX_LYFTR_INPUT_LITERAL, test_many(251, '9', "E-555", ""),
                   test_many(251, '9', "E-55", ""));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_loc),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_input)
    };

    return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}

/* Bodies that are no JSON, or are cut, or too deep. */

#include "unit_message.h"


static test_case_t  test_jsons[] = {
    { unit_lit(" "), TEST_DETAIL(TEST_JSON("1")) },
    { unit_lit(" \r\n\t"), TEST_DETAIL(TEST_JSON("4")) },
    { unit_lit("{"), TEST_DETAIL(TEST_JSON("1")) },
    { unit_lit("{\"a\":1"), TEST_DETAIL(TEST_JSON("6")) },
    { unit_lit("{\"a\":[1]"), TEST_DETAIL(TEST_JSON("8")) },
    { unit_lit("{\"a"), TEST_DETAIL(TEST_JSON("3")) },
    { unit_lit("{" TEST_GOOD), NULL },
    { unit_lit("{a:1}"), NULL },
    { unit_lit("{'a':1}"), NULL },
    { unit_lit("{\"a\" 1}"), TEST_DETAIL(TEST_JSON("6")) },
    { unit_lit("{\"a\":1 \"b\":2}"), NULL },
    { unit_lit("{\"a\"}"), NULL },
    { unit_lit("{1:2}"), NULL },
    { unit_lit("{,}"), NULL },
    { unit_lit("{" TEST_GOOD ",}"), NULL },
    { unit_lit("[1,]"), NULL },
    { unit_lit("[,1]"), NULL },
    { unit_lit("[1 2]"), NULL },
    { unit_lit("[}"), NULL },
    { unit_lit("{]"), NULL },
    { unit_lit("]"), NULL },
    { unit_lit("tru"), TEST_DETAIL(TEST_JSON("3")) },
    { unit_lit("True"), NULL },
    { unit_lit("truex"), NULL },
    { unit_lit("nul"), NULL },
    { unit_lit("undefined"), NULL },

    /* behind the value, cut tokens too, which yajl lets pass */

    { unit_lit("{" TEST_GOOD "}x"), NULL },
    { unit_lit("{} {}"), TEST_DETAIL(TEST_JSON("3")) },
    { unit_lit("{}{}"), NULL },
    { unit_lit("{}}"), NULL },
    { unit_lit("{},"), NULL },
    { unit_lit("{}]"), NULL },
    { unit_lit("{} 1"), TEST_DETAIL(TEST_JSON("3")) },
    { unit_lit("{} tru"), TEST_DETAIL(TEST_JSON("3")) },
    { unit_lit("{} \"abc"), TEST_DETAIL(TEST_JSON("3")) },
    { unit_lit("{}\""), TEST_DETAIL(TEST_JSON("2")) },
    { unit_lit("[]\"\\"), NULL },
    { unit_lit("null \"a"), NULL },
    { unit_lit("\"a\" \"a"), NULL },
    { unit_lit("1 2"), NULL },
    { unit_lit("12 \"a"), NULL },
    { unit_lit("{}-"), NULL },
    { unit_lit("{}\0"), TEST_DETAIL(TEST_JSON("2")) },
    { unit_lit("{}//"), NULL },
    { unit_lit("{}/**/"), NULL },
    { unit_lit("/**/{}"), NULL },
    { unit_lit("{/**/}"), NULL },

    /* white space is four characters */

    { unit_lit("{}\v"), TEST_DETAIL(TEST_JSON("2")) },
    { unit_lit("{}\f"), TEST_DETAIL(TEST_JSON("2")) },
    { unit_lit("\f{}"), TEST_DETAIL(TEST_JSON("0")) },
    { unit_lit("{\v}"), TEST_DETAIL(TEST_JSON("1")) },
    { unit_lit("\xc2\xa0{}"), NULL },
    { unit_lit("{\xe2\x80\xa8}"), NULL },
    { unit_lit("\0{}"), NULL },

    /* numbers */

    { unit_lit("{\"a\":NaN}"), NULL },
    { unit_lit("NaN"), NULL },
    { unit_lit("{\"a\":Infinity}"), NULL },
    { unit_lit("{\"a\":-Infinity}"), NULL },
    { unit_lit("{\"a\":+1}"), NULL },
    { unit_lit("{\"a\":01}"), NULL },
    { unit_lit("{\"a\":-01}"), NULL },
    { unit_lit("{\"a\":1.}"), NULL },
    { unit_lit("{\"a\":.5}"), NULL },
    { unit_lit("{\"a\":1e}"), NULL },
    { unit_lit("{\"a\":1e+}"), NULL },
    { unit_lit("{\"a\":-}"), NULL },
    { unit_lit("{\"a\":0x10}"), NULL },
    { unit_lit("-"), NULL },
    { unit_lit("1."), NULL },
    { unit_lit("1e"), NULL },

    /* strings */

    { unit_lit("{\"a\":\"\t\"}"), NULL },
    { unit_lit("{\"a\":\"\n\"}"), NULL },
    { unit_lit("{\"a\":\"\0\"}"), NULL },
    { unit_lit("{\"a\":\"\x1f\"}"), NULL },
    { unit_lit("{\"a\":\"\f\"}"), NULL },
    { unit_lit("{\"\t\":1}"), NULL },
    { unit_lit("{\"a\":\"\\x\"}"), NULL },
    { unit_lit("{\"a\":\"\\'\"}"), NULL },
    { unit_lit("{\"a\":\"\\u12\"}"), NULL },
    { unit_lit("{\"a\":\"\\u12g4\"}"), NULL },
    { unit_lit("{\"a\":\"\\U0041\"}"), NULL },
    { unit_lit("{\"a\":\"\\"), NULL },
    { unit_lit("{\"a\":\"\\u"), NULL },
    { unit_lit("{\"a\":\"\\ud800\\"), NULL },
    { unit_lit("{\"text\":\"\\ud800\\u"), NULL },
    { unit_lit("{\"text\":\"\\ud800\\udc0"), NULL },

    /* encodings */

    { unit_lit("\xef\xbb\xbf{" TEST_GOOD "}"), NULL },
    { unit_lit("{\0}\0"), NULL },
    { unit_lit("\0{\0}"), NULL },
    { unit_lit("\xff\xfe{\0}\0"), TEST_DETAIL(TEST_JSON("0")) },
    { unit_lit("{\"a\":\"\xff\"}"), TEST_DETAIL(TEST_JSON("6")) },
    { unit_lit("{\"a\":\"\xc0\x80\"}"), TEST_DETAIL(TEST_JSON("6")) },
    { unit_lit("{\"a\":\"\xed\xa0\x80\"}"), TEST_DETAIL(TEST_JSON("6")) },
    { unit_lit("{\"a\":\"\xf4\x90\x80\x80\"}"), TEST_DETAIL(TEST_JSON("6")) },
    { unit_lit("{\"a\":\"\xc3\"}"), TEST_DETAIL(TEST_JSON("6")) },
    { unit_lit("{\"\xe2\x82\":1}"), TEST_DETAIL(TEST_JSON("2")) },
    { unit_lit("{} \xc3"), TEST_DETAIL(TEST_JSON("3")) },
    { unit_lit("{x \xff"), TEST_DETAIL(TEST_JSON("3")) },
    { unit_lit("\xff"), TEST_DETAIL(TEST_JSON("0")) }
};


static void
test_json(void **state)
{
    ngx_uint_t    i;
    test_case_t  *t;

    for (i = 0; i < unit_count(test_jsons); i++) {
        t = &test_jsons[i];

        if (t->want) {
            test_bad(t->body, t->len, t->want);
            continue;
        }

        if (test_parse(t->body, t->len) != NGX_DECLINED
            || test_faults.n != 1
            || test_faults.fault[0].type != NGX_LYFTR_JSON_INVALID
            || test_faults.fault[0].field.len != 0
            || test_faults.fault[0].position < 0
            || test_faults.fault[0].position > (ngx_int_t) t->len)
        {
            print_error("case %d: %.*s\n", (int) i, (int) t->len, t->body);
            fail();
        }
    }
}


/* a good body that is cut anywhere is broken */

static void
test_cut(void **state)
{
    size_t       i;

    static char  body[] = "{\"a\":[{\"b\":-1.5e+7,\"c\":\"\\ud83d\\ude00\"}],"
                          TEST_GOOD ",\"text\":\"\xc3\xa9 \\u00e9\"}";

    test_good(body, sizeof(body) - 1);

    for (i = 1; i < sizeof(body) - 1; i++) {
        assert_int_equal(test_parse(body, i), NGX_DECLINED);
        assert_int_equal(test_faults.n, 1);
        assert_int_equal(test_faults.fault[0].type, NGX_LYFTR_JSON_INVALID);
    }
}


/* depth includes the object itself */

static void
test_depth(void **state)
{
    char    *body, *p;
    size_t   i, depth, kind;

    body = malloc(65536);
    assert_non_null(body);

    for (kind = 0; kind < 2; kind++) {
        for (depth = 511; depth <= 514; depth++) {
            p = (char *) ngx_cpymem(body, "{" TEST_GOOD ",\"x\":",
                                    sizeof("{" TEST_GOOD ",\"x\":") - 1);

            for (i = 1; i < depth; i++) {
                p = (char *) (kind ? ngx_cpymem(p, "[", 1)
                                   : ngx_cpymem(p, "{\"x\":", 5));
            }

            *p++ = '1';

            for (i = 1; i < depth; i++) {
                *p++ = kind ? ']' : '}';
            }

            *p++ = '}';

            if (depth <= NGX_LYFTR_DEPTH_MAX) {
                test_good(body, p - body);

            } else {
                assert_int_equal(test_parse(body, p - body), NGX_DECLINED);
                assert_int_equal(test_faults.fault[0].type,
                                 NGX_LYFTR_JSON_INVALID);
            }
        }
    }

    /* many, but not deep; and deep as the body itself */

    ngx_memset(body, ' ', 65536);
    body[0] = '[';

    for (i = 1; i < 60000; i += 3) {
        ngx_memcpy(body + i, "[],", 3);
    }

    ngx_memcpy(body + i, "[]]", 3);
    test_bad(body, i + 3, TEST_DETAIL(TEST_OBJECT("[]")));

    ngx_memset(body, '[', 512);
    ngx_memset(body + 512, ']', 512);
    test_bad(body, 1024, TEST_DETAIL(TEST_OBJECT("[]")));

    ngx_memset(body, '[', 513);
    ngx_memset(body + 513, ']', 513);
    test_bad(body, 1026, TEST_DETAIL(TEST_JSON("513")));

    free(body);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_depth)
    };

    return cmocka_run_group_tests_name("message_json", tests, NULL,
                                       test_release);
}

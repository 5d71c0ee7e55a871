
#include "unit.h"


typedef struct {
    u_char    *s;
    size_t     len;
    uint32_t   want;
    size_t     step;
} test_char_t;


static test_char_t  test_chars[] = {
    { unit_lit("\0"), 0, 1 },
    { unit_lit("a"), 'a', 1 },
    { unit_lit("\x7f"), 0x7f, 1 },
    { unit_lit("\xc2\x80"), 0x80, 2 },
    { unit_lit("\xdf\xbf"), 0x7ff, 2 },
    { unit_lit("\xe0\xa0\x80"), 0x800, 3 },
    { unit_lit("\xed\x9f\xbf"), 0xd7ff, 3 },
    { unit_lit("\xee\x80\x80"), 0xe000, 3 },
    { unit_lit("\xef\xbf\xbf"), 0xffff, 3 },
    { unit_lit("\xf0\x90\x80\x80"), 0x10000, 4 },
    { unit_lit("\xf4\x8f\xbf\xbf"), 0x10ffff, 4 },

    /* continuation alone, overlong, surrogate, too big, cut, broken */

    { unit_lit("\x80"), NGX_LYFTR_UTF8_INVALID, 1 },
    { unit_lit("\xbf"), NGX_LYFTR_UTF8_INVALID, 1 },
    { unit_lit("\xc0\x80"), NGX_LYFTR_UTF8_INVALID, 1 },
    { unit_lit("\xc1\xbf"), NGX_LYFTR_UTF8_INVALID, 1 },
    { unit_lit("\xe0\x80\x80"), NGX_LYFTR_UTF8_INVALID, 1 },
    { unit_lit("\xe0\x9f\xbf"), NGX_LYFTR_UTF8_INVALID, 1 },
    { unit_lit("\xf0\x8f\xbf\xbf"), NGX_LYFTR_UTF8_INVALID, 1 },
    { unit_lit("\xed\xa0\x80"), NGX_LYFTR_UTF8_INVALID, 1 },
    { unit_lit("\xed\xbf\xbf"), NGX_LYFTR_UTF8_INVALID, 1 },
    { unit_lit("\xf4\x90\x80\x80"), NGX_LYFTR_UTF8_INVALID, 1 },
    { unit_lit("\xf5\x80\x80\x80"), NGX_LYFTR_UTF8_INVALID, 1 },
    { unit_lit("\xf8\x88\x80\x80\x80"), NGX_LYFTR_UTF8_INVALID, 1 },
    { unit_lit("\xff"), NGX_LYFTR_UTF8_INVALID, 1 },
    { unit_lit("\xc3"), NGX_LYFTR_UTF8_INVALID, 1 },
    { unit_lit("\xe2\x82"), NGX_LYFTR_UTF8_INVALID, 1 },
    { unit_lit("\xf0\x9f\x98"), NGX_LYFTR_UTF8_INVALID, 1 },
    { unit_lit("\xc3("), NGX_LYFTR_UTF8_INVALID, 1 },
    { unit_lit("\xe2(\xa1"), NGX_LYFTR_UTF8_INVALID, 1 },
    { unit_lit("\xe2\x82("), NGX_LYFTR_UTF8_INVALID, 1 },
    { unit_lit("\xf0\x9f\x98("), NGX_LYFTR_UTF8_INVALID, 1 }
};


static void
test_decode(void **state)
{
    u_char       *s, *p;
    uint32_t      u;
    ngx_uint_t    i;
    test_char_t  *t;

    for (i = 0; i < unit_count(test_chars); i++) {
        t = &test_chars[i];
        s = unit_copy(t->s, t->len);
        p = s;

        u = ngx_lyftr_utf8_decode(&p, s + t->len);

        if (u != t->want || (size_t) (p - s) != t->step) {
            print_error("case %d: got %x, step %d\n", (int) i, u,
                        (int) (p - s));
            fail();
        }

        free(s);
    }
}


/* each code point, encoded here, is what is decoded */

static void
test_decode_all(void **state)
{
    u_char    s[4], *p;
    size_t    len;
    uint32_t  u, got;

    for (u = 0; u <= 0x110000; u++) {

        if (u < 0x80) {
            s[0] = (u_char) u;
            len = 1;

        } else if (u < 0x800) {
            s[0] = (u_char) (0xc0 | u >> 6);
            len = 2;

        } else if (u < 0x10000) {
            s[0] = (u_char) (0xe0 | u >> 12);
            s[1] = (u_char) (0x80 | (u >> 6 & 0x3f));
            len = 3;

        } else {
            s[0] = (u_char) (0xf0 | u >> 18);
            s[1] = (u_char) (0x80 | (u >> 12 & 0x3f));
            s[2] = (u_char) (0x80 | (u >> 6 & 0x3f));
            len = 4;
        }

        if (len > 1) {
            s[len - 1] = (u_char) (0x80 | (u & 0x3f));
        }

        p = s;
        got = ngx_lyftr_utf8_decode(&p, s + len);

        if ((u >= 0xd800 && u <= 0xdfff) || u > 0x10ffff) {
            assert_int_equal(got, NGX_LYFTR_UTF8_INVALID);
            assert_int_equal(p - s, 1);

        } else {
            assert_int_equal(got, u);
            assert_int_equal(p - s, len);
        }
    }
}


static void
test_valid(void **state)
{
    u_char      *s;
    size_t       i, len;

    static char  text[] = "0123456789abcdef\xc3\xa9 0123456789\xf0\x9f\x98\x80";

    len = sizeof(text) - 1;

    assert_int_equal(ngx_lyftr_utf8_valid((u_char *) text, len), len);
    assert_int_equal(ngx_lyftr_utf8_valid((u_char *) text, 0), 0);

    /* one bad byte, wherever it is */

    for (i = 0; i < len; i++) {
        s = unit_copy(text, len);
        s[i] = 0xff;

        if (i == 17) {
            assert_int_equal(ngx_lyftr_utf8_valid(s, len), 16);

        } else if (i > len - 4) {
            assert_int_equal(ngx_lyftr_utf8_valid(s, len), len - 4);

        } else {
            assert_int_equal(ngx_lyftr_utf8_valid(s, len), i);
        }

        free(s);
    }

    s = unit_copy(text, len - 1);
    assert_int_equal(ngx_lyftr_utf8_valid(s, len - 1), len - 4);
    free(s);
}


static void
test_utf8_count(void **state)
{
    assert_int_equal(ngx_lyftr_utf8_count(unit_lit("")), 0);
    assert_int_equal(ngx_lyftr_utf8_count(unit_lit("abc")), 3);
    assert_int_equal(
        ngx_lyftr_utf8_count(unit_lit("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")),
        4);
}


typedef struct {
    u_char  *s;
    size_t   len;
    size_t   max;
    size_t   want;
} test_cut_t;


static test_cut_t  test_cuts[] = {
    { unit_lit("abc"), 3, 3 },
    { unit_lit("abc"), 9, 3 },
    { unit_lit("abc"), 2, 2 },
    { unit_lit("abc"), 0, 0 },
    { unit_lit("a\xc3\xa9" "b"), 1, 1 },
    { unit_lit("a\xc3\xa9" "b"), 2, 1 },
    { unit_lit("a\xc3\xa9" "b"), 3, 3 },
    { unit_lit("a\xe2\x82\xac" "b"), 2, 1 },
    { unit_lit("a\xe2\x82\xac" "b"), 3, 1 },
    { unit_lit("a\xe2\x82\xac" "b"), 4, 4 },
    { unit_lit("\xf0\x9f\x98\x80" "b"), 1, 0 },
    { unit_lit("\xf0\x9f\x98\x80" "b"), 2, 0 },
    { unit_lit("\xf0\x9f\x98\x80" "b"), 3, 0 },
    { unit_lit("\xf0\x9f\x98\x80" "b"), 4, 4 },

    /* what is no character is not kept whole */

    { unit_lit("\x80\x80\x80\x80\x80\x80"), 4, 4 },
    { unit_lit("a\xc3\xa9\x80\x80"), 4, 4 },
    { unit_lit("a\xc3\xc3\xc3"), 2, 2 },
    { unit_lit("a\xf0\x9f\x98"), 3, 3 }
};


static void
test_cut(void **state)
{
    u_char      *s;
    size_t       n;
    ngx_uint_t   i;
    test_cut_t  *t;

    for (i = 0; i < unit_count(test_cuts); i++) {
        t = &test_cuts[i];
        s = unit_copy(t->s, t->len);

        n = ngx_lyftr_utf8_cut(s, t->len, t->max);

        if (n != t->want) {
            print_error("case %d: got %d\n", (int) i, (int) n);
            fail();
        }

        free(s);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_decode_all),
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_utf8_count),
        cmocka_unit_test(test_cut)
    };

    return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}

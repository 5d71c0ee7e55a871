
#include "unit.h"


typedef struct {
    char  *s;
    char  *want;
} test_fold_t;


static test_fold_t  test_folds[] = {
    { "", "" },
    { "Hello, WORLD @[`{09", "hello, world @[`{09" },
    { "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz" },
    { "abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyz" },
    { "\x01@AZ[`az{\x7f", "\x01@az[`az{\x7f" },
    { "\xc3\x89" "COLE", "\xc3\xa9" "cole" },
    { "E\xcc\x81" "cole", "e\xcc\x81" "cole" },        /* not composed */
    { "\xef\xac\x81", "fi" },                          /* ligature fi */
    { "\xc3\x9f \xe1\xba\x9e SS", "ss ss ss" },        /* sharp s */
    { "\xce\xa3\xcf\x83\xcf\x82", "\xcf\x83\xcf\x83\xcf\x83" },
    { "\xc4\xb0", "i\xcc\x87" },                       /* I with dot */
    { "\xe2\x84\xaa", "k" },                           /* Kelvin */
    { "\xce\x90", "\xce\xb9\xcc\x88\xcc\x81" },        /* three of one */
    { "\xf0\x90\x90\x80", "\xf0\x90\x90\xa8" },        /* Deseret */
    { "\xe1\x8e\xa0 \xea\xad\xb0", "\xe1\x8e\xa0 \xe1\x8e\xa0" },
    { "\xef\xbc\xa1", "\xef\xbd\x81" },                /* full-width */
    { "\xe2\x91\xa0\xc2\xad", "\xe2\x91\xa0\xc2\xad" },  /* kept */
    { "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
    { "A\xff" "B\xc3", "a\xff" "b\xc3" },              /* bad bytes */
    { "\xed\xa0\x80" "A", "\xed\xa0\x80" "a" }
};


static void
test_fold(void **state)
{
    u_char       *s, buf[256];
    size_t        len, n;
    ngx_uint_t    i;
    test_fold_t  *t;

    for (i = 0; i < unit_count(test_folds); i++) {
        t = &test_folds[i];
        len = strlen(t->s);
        s = unit_copy(t->s, len);

        n = ngx_lyftr_fold(buf, s, len);
        unit_equal_str(buf, n, t->want);
        assert_int_equal(ngx_lyftr_fold(NULL, s, len), n);

        free(s);
    }
}


/* each ASCII character at each place of a word of eight */

static void
test_fold_ascii(void **state)
{
    u_char      s[17], buf[32];
    size_t      n, i;
    ngx_uint_t  c;

    for (c = 0; c < 128; c++) {
        for (i = 0; i < sizeof(s); i++) {
            ngx_memset(s, '-', sizeof(s));
            s[i] = (u_char) c;

            n = ngx_lyftr_fold(buf, s, sizeof(s));

            assert_int_equal(n, sizeof(s));
            assert_int_equal(buf[i], (c >= 'A' && c <= 'Z') ? c + 32 : c);

            s[i] = '-';
            buf[i] = '-';
            assert_memory_equal(buf, s, sizeof(s));
        }
    }
}


typedef struct {
    char        *s;
    char        *needle;
    ngx_uint_t   want;
} test_contains_t;


static test_contains_t  test_contain[] = {
    { "", "", 1 },
    { "abc", "", 1 },
    { "", "a", 0 },
    { "Hello", "hello", 1 },
    { "Hello", "ell", 1 },
    { "Hello", "o", 1 },
    { "Hello", "hello!", 0 },
    { "Hello", "hallo", 0 },
    { "100%_\\", "%_\\", 1 },
    { "100x", "%", 0 },
    { "\xc3\x89" "COLE", "\xc3\xa9" "cole", 1 },
    { "\xc3\x89" "COLE", "e\xcc\x81" "cole", 0 },
    { "STRA\xc3\x9f" "E", "strasse", 1 },
    { "STRA\xc3\x9f" "E", "se", 1 },
    { "aaab", "aab", 1 },
    { "ababac", "abac", 1 }
};


static void
test_contains(void **state)
{
    u_char           *s, *needle;
    ngx_uint_t        i;
    test_contains_t  *t;

    for (i = 0; i < unit_count(test_contain); i++) {
        t = &test_contain[i];

        s = unit_copy(t->s, strlen(t->s));
        needle = unit_copy(t->needle, strlen(t->needle));

        if (ngx_lyftr_fold_contains(s, strlen(t->s), needle,
                                    strlen(t->needle))
            != t->want)
        {
            print_error("case %d\n", (int) i);
            fail();
        }

        free(s);
        free(needle);
    }

    assert_int_equal(ngx_lyftr_fold_contains(unit_lit("a\0B"),
                                             unit_lit("\0b")), 1);
}


/*
 * Texts and needles that are longer than any buffer, at many places: the
 * answer is that of a plain search in the folded text.
 */

static void
test_contains_long(void **state)
{
    u_char      *s, *folded, *needle;
    size_t       i, len, size, place, n;
    uint32_t     seed;
    ngx_uint_t   k, want;

    static size_t  lens[] = { 1, 2, 500, 511, 512, 513, 9000, 32767,
                              32768, 32769, 33000, 65535, 65536, 65537,
                              100000 };

    len = 120000;
    seed = 1;
    s = unit_copy("", 0);
    s = realloc(s, len);
    folded = malloc(3 * len);
    needle = malloc(3 * len);
    assert_true(s && folded && needle);

    for (i = 0; i + 2 <= len; i += 2) {
        seed = seed * 1103515245 + 12345;
        n = seed >> 16;

        if (n % 5 == 0) {
            ngx_memcpy(s + i, "\xc3\x9f", 2);

        } else if (n % 5 == 1) {
            ngx_memcpy(s + i, "\xce\x90", 2);

        } else {
            s[i] = (u_char) ('A' + n % 3);
            s[i + 1] = (u_char) ('A' + n % 2);
        }
    }

    size = ngx_lyftr_fold(folded, s, len);
    assert_true(size > len);

    for (k = 0; k < unit_count(lens); k++) {
        for (place = 0; place + lens[k] < size; place += 20011) {
            ngx_memcpy(needle, folded + place, lens[k]);
            assert_int_equal(ngx_lyftr_fold_contains(s, len, needle, lens[k]),
                             1);

            needle[lens[k] - 1] ^= 1;
            want = memmem(folded, size, needle, lens[k]) != NULL;
            assert_int_equal(ngx_lyftr_fold_contains(s, len, needle, lens[k]),
                             want);
        }
    }

    /* at the very end, the whole, and one byte more than the whole */

    assert_int_equal(ngx_lyftr_fold_contains(s, len, folded + size - 40000,
                                             40000), 1);
    assert_int_equal(ngx_lyftr_fold_contains(s, len, folded, size), 1);

    ngx_memcpy(needle, folded, size);
    needle[size] = 'a';
    assert_int_equal(ngx_lyftr_fold_contains(s, len, needle, size + 1), 0);

    free(s);
    free(folded);
    free(needle);
}


/* a false start overlaps the match, in text that repeats */

static void
test_contains_repeats(void **state)
{
    u_char  *s, *needle;
    size_t   len;

    len = 34000;
    s = malloc(len);
    needle = malloc(len);
    assert_true(s && needle);

    ngx_memset(s, 'A', len);
    ngx_memset(needle, 'a', len);

    s[len - 1] = 'B';
    needle[32999] = 'b';

    assert_int_equal(ngx_lyftr_fold_contains(s, len, needle, 33000), 1);

    s[len - 1] = 'C';
    assert_int_equal(ngx_lyftr_fold_contains(s, len, needle, 33000), 0);

    free(s);
    free(needle);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_fold),
        cmocka_unit_test(test_fold_ascii),
        cmocka_unit_test(test_contains),
        cmocka_unit_test(test_contains_long),
        cmocka_unit_test(test_contains_repeats)
    };

    return cmocka_run_group_tests_name("fold", tests, NULL, NULL);
}

/* A filter has what was added, and little else. */

#include "unit_store.h"


static uint64_t
test_hash(uint64_t n)
{
    return ngx_lyftr_sqlite_hash((u_char *) &n, sizeof(n));
}


static void
test_filter(void **state)
{
    size_t       len;
    u_char      *filter;
    uint64_t     i;
    ngx_uint_t   n, wrong;

    for (n = 0; n < 40000; n = 3 * n + 1) {
        len = ngx_lyftr_filter_len(n);

        /* what is outside of it is seen by the sanitizer */

        filter = malloc(len);
        ngx_memzero(filter, len);

        for (i = 0; i < 1000; i++) {
            assert_false(ngx_lyftr_filter_has(filter, len,
                                              test_hash(i)));
        }

        for (i = 0; i < n; i++) {
            ngx_lyftr_filter_add(filter, len, test_hash(i));
        }

        for (i = 0; i < n; i++) {
            assert_true(ngx_lyftr_filter_has(filter, len,
                                             test_hash(i)));
        }

        for (i = 0, wrong = 0; i < 20000; i++) {
            wrong += ngx_lyftr_filter_has(filter, len,
                                          test_hash(1000000 + i));
        }

        /* one in a thousand is meant */

        assert_in_range(wrong, 0, 60);

        free(filter);
    }
}


/* hashes that are alike in many bits */

static void
test_extremes(void **state)
{
    size_t        len;
    u_char       *filter;
    ngx_uint_t    i, k, wrong;

    len = ngx_lyftr_filter_len(64);
    filter = malloc(len);
    ngx_memzero(filter, len);

    ngx_lyftr_filter_add(filter, len, 0);
    ngx_lyftr_filter_add(filter, len, UINT64_MAX);

    for (i = 0; i < 64; i += 2) {
        ngx_lyftr_filter_add(filter, len, 1ULL << i);
    }

    assert_true(ngx_lyftr_filter_has(filter, len, 0));
    assert_true(ngx_lyftr_filter_has(filter, len, UINT64_MAX));

    for (i = 0, wrong = 0; i < 64; i++) {
        k = ngx_lyftr_filter_has(filter, len, 1ULL << i);
        assert_true(k || i % 2);
        wrong += (k && i % 2);
    }

    assert_in_range(wrong, 0, 2);

    free(filter);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_extremes)
    };

    return cmocka_run_group_tests_name("sqlite_filter", tests, NULL, NULL);
}

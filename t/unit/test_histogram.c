/* Which bucket a value is in, and tallies. */

#include "unit.h"

#include <ngx_lyftr_metrics.h>


static struct {
    ngx_lyftr_scale_t  *scale;
    int64_t             value;
    char               *le;
} test_values[] = {
    { &ngx_lyftr_seconds, 0, "0.0005" },
    { &ngx_lyftr_seconds, 500, "0.0005" },
    { &ngx_lyftr_seconds, 501, "0.001" },
    { &ngx_lyftr_seconds, 5000000, "5" },
    { &ngx_lyftr_seconds, 5000001, "+Inf" },
    { &ngx_lyftr_skews, INT64_MIN, "-3600" },
    { &ngx_lyftr_skews, -3599999, "-60" },
    { &ngx_lyftr_skews, -1, "0" },
    { &ngx_lyftr_skews, 0, "0" },
    { &ngx_lyftr_skews, 1, "1" },
    { &ngx_lyftr_skews, INT64_MAX, "+Inf" },
    { &ngx_lyftr_sizes, 1, "1" },
    { &ngx_lyftr_sizes, 3, "4" },
    { &ngx_lyftr_sizes, 1025, "+Inf" }
};


static void
test_bucket(void **state)
{
    ngx_uint_t              i, k;
    ngx_lyftr_histogram_t   histogram;

    for (i = 0; i < unit_count(test_values); i++) {
        ngx_memzero(&histogram, sizeof(histogram));

        ngx_lyftr_histogram_add(&histogram, test_values[i].scale,
                                test_values[i].value);

        for (k = 0; histogram.bucket[k] == 0; k++) { /* void */ }

        assert_string_equal(test_values[i].scale->bucket[k].le,
                            test_values[i].le);
        assert_int_equal((int64_t) histogram.sum, test_values[i].value);
    }
}


/* the limits are those that the labels say, and rise to the largest number */

static void
test_scale(void **state)
{
    ngx_uint_t           i, k;
    ngx_lyftr_scale_t   *scale;
    ngx_lyftr_scale_t   *scales[] = { &ngx_lyftr_seconds, &ngx_lyftr_skews,
                                      &ngx_lyftr_sizes };

    for (i = 0; i < unit_count(scales); i++) {
        scale = scales[i];

        for (k = 0; scale->bucket[k].limit != INT64_MAX; k++) {
            assert_true(k + 1 < NGX_LYFTR_BUCKETS);
            assert_true(scale->bucket[k].limit < scale->bucket[k + 1].limit);
            assert_true(strtod(scale->bucket[k].le, NULL)
                        == (double) scale->bucket[k].limit / scale->unit);
        }

        assert_string_equal(scale->bucket[k].le, "+Inf");
    }
}


static void
test_merge(void **state)
{
    ngx_lyftr_tally_t       tally;
    ngx_lyftr_histogram_t   histogram;

    ngx_memzero(&tally, sizeof(tally));
    ngx_memzero(&histogram, sizeof(histogram));

    ngx_lyftr_histogram_merge(&histogram, &tally);
    assert_int_equal(histogram.sum, 0);

    ngx_lyftr_tally_add(&tally, &ngx_lyftr_skews, -70000);
    ngx_lyftr_tally_add(&tally, &ngx_lyftr_skews, -80000);
    ngx_lyftr_tally_add(&tally, &ngx_lyftr_skews, 500);

    ngx_lyftr_histogram_merge(&histogram, &tally);
    ngx_lyftr_histogram_merge(&histogram, &tally);

    assert_int_equal(histogram.bucket[1], 4);
    assert_int_equal(histogram.bucket[5], 2);
    assert_int_equal((int64_t) histogram.sum, 2 * -149500);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_bucket),
        cmocka_unit_test(test_scale),
        cmocka_unit_test(test_merge)
    };

    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}

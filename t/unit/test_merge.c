/* Sources: rows are skipped by rank as one by one. */

#include "unit_model.h"


#define TEST_ROWS    330


/* the numbers in the log of all rows of a range, in order */

static ngx_uint_t
test_rows(ngx_lyftr_sqlite_t *c, ngx_lyftr_merge_t *sources, int64_t *seq)
{
    ngx_int_t            rc;
    ngx_uint_t           n;
    ngx_lyftr_merge_child_t  *source;

    for (n = 0; /* void */; n++) {
        rc = ngx_lyftr_merge_next(c, sources, &source, &err);

        if (rc == NGX_DONE) {
            return n;
        }

        assert_int_equal(rc, NGX_OK);
        assert_true(n < TEST_ROWS);
        seq[n] = source->seq;
    }
}


static void
test_range(ngx_lyftr_sqlite_t *c, ngx_lyftr_tree_e kind, ngx_str_t *low,
    ngx_str_t *high)
{
    int64_t              want[TEST_ROWS], seq[TEST_ROWS], total, last;
    ngx_int_t            rc;
    ngx_uint_t           i, n, skip;
    ngx_lyftr_merge_t  sources;

    assert_int_equal(ngx_lyftr_merge_open(c, &sources, kind, &err), NGX_OK);
    assert_int_equal(ngx_lyftr_merge_range(c, &sources, low, high, &total,
                                           &err), NGX_OK);
    n = test_rows(c, &sources, want);
    assert_int_equal(total, n);

    rc = ngx_lyftr_merge_last(c, &sources, &last, &err);
    assert_int_equal(rc, n ? NGX_OK : NGX_DONE);

    if (n) {
        assert_int_equal(last, want[n - 1]);
    }

    for (skip = 0; skip <= n + 1; skip += 1 + skip / 7) {
        assert_int_equal(ngx_lyftr_merge_range(c, &sources, low, high,
                                               &total, &err), NGX_OK);

        for (i = 0; i < sources.n; i++) {
            sources.elts[i].loaded = 0;
        }

        assert_int_equal(ngx_lyftr_merge_skip(c, &sources, skip, &err),
                         NGX_OK);
        i = test_rows(c, &sources, seq);
        assert_int_equal(i, n - ngx_min(skip, n));
        assert_memory_equal(seq, want + n - i, i * sizeof(int64_t));
    }

    ngx_lyftr_merge_close(&sources);
}


/* none, segments only, chunks only, and both */

static void
test_sources(void **state)
{
    u_char               low[64], high[64];
    ngx_str_t            l, h, none;
    ngx_uint_t           i, step;
    ngx_lyftr_sqlite_t  *c, *upkeep;

    seed = 1;
    ngx_str_null(&none);

    c = unit_open();
    upkeep = unit_open();

    for (step = 0; step < 8; step++) {
        assert_int_equal(b->begin(c, unit_in(20000), &err), NGX_OK);
        assert_int_equal(ngx_lyftr_sqlite_view(c, &err), NGX_OK);

        test_range(c, NGX_LYFTR_TREE_TIME, &none, &none);
        test_range(c, NGX_LYFTR_TREE_SENDER, &none, &none);

        for (i = 0; i < nmodel; i += 1 + nmodel / 10) {
            l.data = low;
            l.len = ngx_lyftr_key_sender(low, &model[i].from) - low;
            h.data = high;
            h.len = ngx_lyftr_key_sender(high, &model[i].from) - high;
            high[h.len - 1] = 1;

            test_range(c, NGX_LYFTR_TREE_SENDER, &l, &h);
            test_range(c, NGX_LYFTR_TREE_SENDER, &l, &none);
            test_range(c, NGX_LYFTR_TREE_SENDER, &none, &h);
        }

        b->end(c);

        switch (step) {
        case 0:
            unit_model_add(c, 1);
            break;
        case 2:
        case 5:
            unit_maintain_all(upkeep);
            break;
        default:
            unit_model_add(c, 64);
        }
    }

    assert_true(c->nsegments > 0 && nmodel <= TEST_ROWS);

    b->close(c);
    b->close(upkeep);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        unit_fresh_model(test_sources)
    };

    return cmocka_run_group_tests_name("sqlite_source", tests, NULL, NULL);
}

/* Sources: rows are skipped by rank as one by one. */

#include "unit_model.h"


#define TEST_ROWS    330


/* the numbers in the log of all rows of a range, in order */

static ngx_uint_t
test_rows(ngx_lyftr_sqlite_t *c, ngx_lyftr_merge_t *sources, int64_t *seq)
{
    ngx_int_t          rc;
    ngx_uint_t         n;
    ngx_lyftr_entry_t  entry;

    for (n = 0; /* void */; n++) {
        rc = ngx_lyftr_merge_next(&c->index, sources, &entry, &err);

        if (rc == NGX_DONE) {
            return n;
        }

        assert_int_equal(rc, NGX_OK);
        assert_true(n < TEST_ROWS);
        seq[n] = entry.seq;
    }
}


/* passes over so many, as many are left, which are those of want */

static void
test_skip(ngx_lyftr_sqlite_t *c, ngx_lyftr_merge_t *sources, ngx_uint_t skip,
    int64_t *want, ngx_uint_t n)
{
    int64_t     seq[TEST_ROWS];
    ngx_uint_t  i;

    for (i = 0; i < sources->n; i++) {
        sources->elts[i].loaded = 0;
    }

    assert_int_equal(ngx_lyftr_merge_skip(&c->index, sources, skip, &err),
                     NGX_OK);

    i = test_rows(c, sources, seq);

    assert_int_equal(i, n - ngx_min(skip, n));
    assert_memory_equal(seq, want + n - i, i * sizeof(int64_t));
}


/* from a row on, of which the key is that of the log */

static void
test_after(ngx_lyftr_sqlite_t *c, ngx_lyftr_merge_t *sources, ngx_str_t *low,
    ngx_str_t *high, int64_t *want, ngx_uint_t n)
{
    int64_t            total;
    ngx_str_t          key;
    ngx_uint_t         i, skip;
    ngx_lyftr_entry_t  entry;

    for (i = 0; i < n; i += 1 + n / 9) {
        assert_int_equal(ngx_lyftr_merge_range(&c->index, sources, low, high,
                                               &total, &err), NGX_OK);
        assert_int_equal(ngx_lyftr_merge_skip(&c->index, sources, i, &err),
                         NGX_OK);
        assert_int_equal(ngx_lyftr_merge_next(&c->index, sources, &entry,
                                              &err), NGX_OK);

        /* with a byte more, it is the least key that is greater */

        key.len = entry.key.len + !sources->desc;
        key.data = calloc(1, key.len);
        ngx_memcpy(key.data, entry.key.data, entry.key.len);

        for (skip = 0; skip < 3; skip++) {
            assert_int_equal(ngx_lyftr_merge_range(&c->index, sources, low,
                                                   high, &total, &err), NGX_OK);
            assert_int_equal(ngx_lyftr_merge_after(&c->index, sources, &key,
                                                   &err), NGX_OK);
            test_skip(c, sources, skip, want + i + 1, n - i - 1);
        }

        free(key.data);
    }
}


/* the same from the last to the first, if desc is set */

static void
test_order(ngx_lyftr_sqlite_t *c, ngx_lyftr_tree_e kind, ngx_str_t *low,
    ngx_str_t *high, ngx_uint_t desc, int64_t *want, ngx_uint_t *n)
{
    int64_t            total, last;
    ngx_int_t          rc;
    ngx_uint_t         skip;
    ngx_lyftr_merge_t  sources;

    assert_int_equal(ngx_lyftr_merge_open(&c->index, &sources, kind, &err),
                     NGX_OK);

    sources.desc = desc;

    assert_int_equal(ngx_lyftr_merge_range(&c->index, &sources, low, high,
                                           &total, &err), NGX_OK);
    *n = test_rows(c, &sources, want);
    assert_int_equal(total, *n);

    rc = ngx_lyftr_merge_last(&c->index, &sources, &last, &err);
    assert_int_equal(rc, *n ? NGX_OK : NGX_DONE);

    if (*n) {
        assert_int_equal(last, want[desc ? 0 : *n - 1]);
    }

    for (skip = 0; skip <= *n + 1; skip += 1 + skip / 7) {
        assert_int_equal(ngx_lyftr_merge_range(&c->index, &sources, low, high,
                                               &total, &err), NGX_OK);
        test_skip(c, &sources, skip, want, *n);
    }

    test_after(c, &sources, low, high, want, *n);

    ngx_lyftr_merge_close(&sources);
}


static void
test_range(ngx_lyftr_sqlite_t *c, ngx_lyftr_tree_e kind, ngx_str_t *low,
    ngx_str_t *high)
{
    int64_t     asc[TEST_ROWS], desc[TEST_ROWS];
    ngx_uint_t  i, n, m;

    test_order(c, kind, low, high, 0, asc, &n);
    test_order(c, kind, low, high, 1, desc, &m);

    assert_int_equal(n, m);

    for (i = 0; i < n; i++) {
        assert_int_equal(asc[i], desc[n - 1 - i]);
    }
}


/* none, segments only, chunks only, and both */

static void
test_sources(void **state)
{
    u_char               low[64], high[64];
    ngx_str_t            l, h, none;
    ngx_uint_t           i, step;
    ngx_lyftr_sqlite_t  *c, *keeper;

    seed = 1;
    ngx_str_null(&none);

    c = unit_open();
    keeper = unit_open();

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
            unit_housekeep_all(keeper);
            break;
        default:
            unit_model_add(c, 64);
        }
    }

    assert_true(c->index.nsegments > 0 && nmodel <= TEST_ROWS);

    b->close(c);
    b->close(keeper);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        unit_fresh_model(test_sources)
    };

    return cmocka_run_group_tests_name("sqlite_source", tests, NULL, NULL);
}

/* The index alone: whatever it is made of, it says what an array says. */

#include "unit_index.h"


/* whatever is flushed, and merged, all is there and in order */

static void
test_property(void **state)
{
    int64_t     last;
    ngx_uint_t  i, n, step;

    for (i = 0; i < 12; i++) {
        seed = 1 + i;
        n = i < 3 ? i : (ngx_uint_t) rand_r(&seed) % UNIT_INDEX_ROWS;

        unit_index_begin(n);
        unit_index_recent();
        unit_index_all();

        for (step = 0; step < 8; step++) {

            last = tree.nsegments ? tree.segments[tree.nsegments - 1].last : 0;

            if (tree.nsegments >= NGX_LYFTR_FANOUT && rand_r(&seed) % 2) {
                unit_index_merge(rand_r(&seed)
                           % (tree.nsegments - NGX_LYFTR_FANOUT + 1),
                           NGX_LYFTR_FANOUT);

            } else {
                last += rand_r(&seed) % 3 * NGX_LYFTR_CHUNK;
                last -= last % NGX_LYFTR_CHUNK;

                if (last <= tree.last) {
                    unit_index_flush(last);
                }
            }
        }

        unit_index_recent();
        unit_index_all();
        unit_index_known();
        unit_index_end();
    }
}


static void
test_searches(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < 4; i++) {
        seed = 20 + i;
        unit_index_begin(i ? 100 * i : 5);
        unit_index_search_all();
        unit_index_end();
    }
}


static ngx_uint_t
test_none(void *data, int64_t segment)
{
    return segment == *(int64_t *) data;
}


/* blocks of what is in no list go, and no others */

static void
test_sweep(void **state)
{
    int64_t    from, kept;
    size_t     i;
    ngx_int_t  rc;

    seed = 3;
    unit_index_begin(300);

    for (i = 0; i < NGX_LYFTR_FANOUT; i++) {
        unit_index_flush((i + 1) * 2 * NGX_LYFTR_CHUNK);
    }

    unit_index_merge(0, NGX_LYFTR_FANOUT);

    from = 0;
    kept = 2;

    do {
        rc = ngx_lyftr_sweep(&tree, &from, test_none, &kept, 2, &err);
    } while (rc == NGX_OK);

    assert_int_equal(rc, NGX_DONE);
    assert_true(held.table[NGX_LYFTR_BLOCKS_TREE].n > 0);

    for (i = 0; i < held.table[NGX_LYFTR_BLOCKS_TREE].n; i++) {
        kept = held.table[NGX_LYFTR_BLOCKS_TREE].blocks[i].no
               >> NGX_LYFTR_BLOCK_SEGMENT;
        assert_true(kept == 2 || kept == number);
    }

    unit_index_recent();
    unit_index_all();
    unit_index_end();
}


/* each call of what holds the blocks fails once, and is told of */

static void
test_fails(void **state)
{
    int64_t                  total;
    ngx_int_t                rc;
    ngx_str_t                none;
    ngx_uint_t               bad;
    ngx_lyftr_merge_t        merge;
    ngx_lyftr_entry_t        entry;
    ngx_lyftr_compaction_t   job;

    ngx_str_null(&none);
    seed = 4;
    unit_index_begin(200);
    unit_index_flush(15 * NGX_LYFTR_CHUNK);
    unit_index_flush(30 * NGX_LYFTR_CHUNK);
    unit_index_recent();

    for (bad = 1, rc = NGX_ERROR; rc == NGX_ERROR; bad++) {
        held.calls = 0;
        held.bad = bad;
        err.code = NGX_LYFTR_ERR_NONE;

        ngx_memzero(&job, sizeof(ngx_lyftr_compaction_t));

        rc = ngx_lyftr_compaction_merge(&tree, &job, ++number, tree.segments,
                                        2, NULL, &err);

        if (rc == NGX_OK) {
            rc = unit_index_compact(&job);
        }

        ngx_lyftr_compaction_free(&job);

        assert_int_equal(err.code, rc == NGX_ERROR ? NGX_LYFTR_ERR_FULL
                                                   : NGX_LYFTR_ERR_NONE);
    }

    assert_int_equal(rc, NGX_DONE);
    assert_true(bad > 20);

    for (bad = 1, rc = NGX_ERROR; rc == NGX_ERROR; bad++) {
        held.calls = 0;
        held.bad = bad;

        assert_int_equal(ngx_lyftr_merge_open(&tree, &merge,
                                              NGX_LYFTR_TREE_TIME, &err),
                         NGX_OK);
        merge.desc = bad % 2;

        rc = ngx_lyftr_merge_range(&tree, &merge, &none, &none, &total, &err);

        if (rc == NGX_OK) {
            rc = ngx_lyftr_merge_skip(&tree, &merge, 9, &err);
        }

        while (rc == NGX_OK) {
            rc = ngx_lyftr_merge_next(&tree, &merge, &entry, &err);
        }

        ngx_lyftr_merge_close(&merge);
    }

    assert_int_equal(rc, NGX_DONE);
    assert_true(bad > 10);

    held.bad = 0;
    unit_index_end();
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_property),
        cmocka_unit_test(test_searches),
        cmocka_unit_test(test_sweep),
        cmocka_unit_test(test_fails)
    };

    return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}

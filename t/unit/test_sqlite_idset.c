#include "unit.h"

#include <ngx_lyftr_sqlite_idset.h>


#define TEST_ROWS    5000


static uint64_t
test_hash(uint64_t i)
{
    return i * 0x9e3779b97f4a7c15;
}


static void
test_empty(void **state)
{
    ngx_uint_t               slot;
    ngx_lyftr_sqlite_idset_t  tail;

    ngx_memzero(&tail, sizeof(ngx_lyftr_sqlite_idset_t));

    slot = 0;

    assert_int_equal(ngx_lyftr_sqlite_idset_find(&tail, 7, &slot), 0);

    ngx_lyftr_sqlite_idset_cut(&tail, 1, 0);
    ngx_lyftr_sqlite_idset_free(&tail);
}


/* rows of one hash are all found, each once */

static void
test_same_hash(void **state)
{
    int64_t                  seq, sum;
    ngx_uint_t               slot;
    ngx_lyftr_sqlite_idset_t  tail;

    ngx_memzero(&tail, sizeof(ngx_lyftr_sqlite_idset_t));

    /* these share their low bits, and two of them all bits */

    assert_int_equal(ngx_lyftr_sqlite_idset_add(&tail, 5, 1), NGX_OK);
    assert_int_equal(ngx_lyftr_sqlite_idset_add(&tail, 5 + (1ULL << 40), 2),
                     NGX_OK);
    assert_int_equal(ngx_lyftr_sqlite_idset_add(&tail, 5, 4), NGX_OK);

    slot = 0;
    sum = 0;

    while ((seq = ngx_lyftr_sqlite_idset_find(&tail, 5, &slot)) != 0) {
        sum += seq;
    }

    assert_int_equal(sum, 5);

    ngx_lyftr_sqlite_idset_free(&tail);
}


/* against every row that is to be there, while it grows and is cut */

static void
test_cut(void **state)
{
    ngx_uint_t               i, slot;
    ngx_lyftr_sqlite_idset_t  tail;

    ngx_memzero(&tail, sizeof(ngx_lyftr_sqlite_idset_t));

    for (i = 1; i <= TEST_ROWS; i++) {
        assert_int_equal(ngx_lyftr_sqlite_idset_add(&tail, test_hash(i), i),
                         NGX_OK);
    }

    /* a rollback takes from the end, an index step from the beginning */

    ngx_lyftr_sqlite_idset_cut(&tail, 0, TEST_ROWS - 10);
    ngx_lyftr_sqlite_idset_cut(&tail, 2001, tail.n);

    assert_int_equal(tail.n, TEST_ROWS - 2010);

    for (i = 1; i <= TEST_ROWS; i++) {
        slot = 0;

        assert_int_equal(ngx_lyftr_sqlite_idset_find(&tail, test_hash(i),
                                                     &slot),
                         i > 2000 && i <= TEST_ROWS - 10 ? i : 0);
    }

    ngx_lyftr_sqlite_idset_free(&tail);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_same_hash),
        cmocka_unit_test(test_cut)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

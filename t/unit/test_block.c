/* Blocks: what is written is read, and nothing else is taken for one. */

#include "unit_store.h"


static void
test_write(ngx_lyftr_buf_t *block, ngx_str_t *keys, int64_t *values,
    ngx_uint_t n, int64_t first)
{
    ngx_uint_t        i;
    ngx_lyftr_buf_t   prev;

    assert_int_equal(ngx_lyftr_block_begin(block, first), NGX_OK);

    for (i = 0; i < n; i++) {

        if (i) {
            prev.data = keys[i - 1].data;
            prev.len = keys[i - 1].len;
        }

        assert_int_equal(ngx_lyftr_block_add(block, i ? &prev : NULL,
                                             keys[i].data, keys[i].len,
                                             values[i]),
                         NGX_OK);
    }
}


static ngx_str_t  keys[] = {
    ngx_string(""), ngx_string("\0"), ngx_string("\0\0"), ngx_string("a"),
    ngx_string("aardvark"), ngx_string("aardvarks"), ngx_string("aardvarks"),
    ngx_string("b"), ngx_string("\xff\xff")
};

static int64_t    values[] = {
    0, 1, 127, 128, 16383, 16384, INT64_MAX, 1LL << 40, 7
};


static void
test_entry(ngx_lyftr_block_t *block, ngx_uint_t i)
{
    unit_equal_bytes(block->key.data, block->key.len, keys[i].data,
                     keys[i].len, __LINE__);
    assert_int_equal(block->value, values[i]);
}


static void
test_read(void **state)
{
    u_char             *copy;
    ngx_uint_t          i;
    ngx_lyftr_buf_t     buf;
    ngx_lyftr_block_t   block;

    ngx_memzero(&buf, sizeof(ngx_lyftr_buf_t));
    ngx_memzero(&block, sizeof(ngx_lyftr_block_t));

    test_write(&buf, keys, values, unit_count(keys), INT64_MAX);
    copy = unit_copy(buf.data, buf.len);

    assert_int_equal(ngx_lyftr_block_open(&block, copy, buf.len), NGX_OK);
    assert_int_equal(block.first, INT64_MAX);

    for (i = 0; i < unit_count(keys); i++) {
        assert_int_equal(ngx_lyftr_block_next(&block), NGX_OK);
        test_entry(&block, i);
    }

    assert_int_equal(ngx_lyftr_block_next(&block), NGX_DONE);
    assert_int_equal(ngx_lyftr_block_next(&block), NGX_DONE);

    while (--i) {
        assert_int_equal(ngx_lyftr_block_prev(&block), NGX_OK);
        test_entry(&block, i - 1);
    }

    assert_int_equal(ngx_lyftr_block_prev(&block), NGX_DONE);
    assert_int_equal(ngx_lyftr_block_prev(&block), NGX_DONE);
    test_entry(&block, 0);

    assert_int_equal(ngx_lyftr_block_last(&block), NGX_OK);
    test_entry(&block, unit_count(keys) - 1);

    assert_int_equal(ngx_lyftr_block_open(&block, copy, buf.len), NGX_OK);
    assert_int_equal(ngx_lyftr_block_last(&block), NGX_OK);
    test_entry(&block, unit_count(keys) - 1);
    assert_int_equal(ngx_lyftr_block_next(&block), NGX_DONE);

    free(copy);
    ngx_lyftr_buf_free(&buf);
    ngx_lyftr_block_free(&block);
}


/* forth and back, from anywhere to anywhere */

static void
test_ways(void **state)
{
    ngx_uint_t          i, at, n;
    ngx_lyftr_buf_t     buf;
    ngx_lyftr_block_t   block;

    ngx_memzero(&buf, sizeof(ngx_lyftr_buf_t));
    ngx_memzero(&block, sizeof(ngx_lyftr_block_t));

    srand(1);
    test_write(&buf, keys, values, unit_count(keys), 0);

    for (i = 0; i < 1000; i++) {
        assert_int_equal(ngx_lyftr_block_open(&block, buf.data, buf.len),
                         NGX_OK);
        assert_int_equal(ngx_lyftr_block_prev(&block), NGX_DONE);
        assert_int_equal(ngx_lyftr_block_next(&block), NGX_OK);

        for (at = 0, n = 0; n < 20; n++) {

            if (rand() % 2) {
                assert_int_equal(ngx_lyftr_block_next(&block),
                                 at + 1 < unit_count(keys) ? NGX_OK
                                                           : NGX_DONE);
                at += (at + 1 < unit_count(keys));

            } else {
                assert_int_equal(ngx_lyftr_block_prev(&block),
                                 at ? NGX_OK : NGX_DONE);
                at -= (at > 0);
            }

            assert_int_equal(block.n, at + 1);
            test_entry(&block, at);
        }
    }

    ngx_lyftr_buf_free(&buf);
    ngx_lyftr_block_free(&block);
}


/* cut anywhere but between two entries, it is none */

static void
test_cut(void **state)
{
    u_char             *copy;
    size_t              len;
    ngx_int_t           rc;
    ngx_uint_t          whole;
    ngx_lyftr_buf_t     buf;
    ngx_lyftr_block_t   block;

    ngx_memzero(&buf, sizeof(ngx_lyftr_buf_t));
    ngx_memzero(&block, sizeof(ngx_lyftr_block_t));

    test_write(&buf, keys, values, unit_count(keys), 5);

    for (len = 0, whole = 0; len <= buf.len; len++) {
        copy = unit_copy(buf.data, len);

        rc = ngx_lyftr_block_open(&block, copy, len);

        while (rc == NGX_OK) {
            rc = ngx_lyftr_block_next(&block);
        }

        assert_true(rc == NGX_DONE || rc == NGX_DECLINED);
        whole += (rc == NGX_DONE);

        free(copy);
    }

    assert_int_equal(whole, 1 + unit_count(keys));

    ngx_lyftr_buf_free(&buf);
    ngx_lyftr_block_free(&block);
}


static void
test_bad(void **state)
{
    u_char             *copy;
    ngx_int_t           rc;
    ngx_uint_t          i;
    ngx_lyftr_block_t   block;

    static ngx_str_t  bad[] = {
        ngx_string("\x80"),                     /* a number without an end */
        ngx_string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ngx_string("\0\1\0\0"),                 /* shares what is not there */
        ngx_string("\0\0\1\0\0\2\0\0"),
        ngx_string("\0\0\5ab\0"),               /* longer than the block */
        ngx_string("\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1ab\0"),
        ngx_string("\0\0\2ab")                  /* no value */
    };

    ngx_memzero(&block, sizeof(ngx_lyftr_block_t));

    for (i = 0; i < unit_count(bad); i++) {
        copy = unit_copy(bad[i].data, bad[i].len);

        rc = ngx_lyftr_block_open(&block, copy, bad[i].len);

        while (rc == NGX_OK) {
            rc = ngx_lyftr_block_next(&block);
        }

        assert_int_equal(rc, NGX_DECLINED);
        free(copy);
    }

    ngx_lyftr_block_free(&block);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_ways),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_bad)
    };

    return cmocka_run_group_tests_name("sqlite_block", tests, NULL, NULL);
}

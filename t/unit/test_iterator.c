/* Trees that are built and read again, against arrays in order. */

#include "unit_tree.h"


#define TEST_KEYS    2000


/* of few letters, so that many begin alike; equal ones if same is set */

static void
test_keys(ngx_uint_t n, ngx_uint_t same)
{
    u_char      *p;
    size_t       len, i;
    ngx_str_t   *key, *from;
    ngx_uint_t   k, m;

    for (k = 0; k < n; k++) {
        key = &keys[k];
        from = &keys[rand_r(&seed) % ngx_max(k, 1)];

        len = rand_r(&seed) % 12;
        len += (rand_r(&seed) % 50 == 0) ? rand_r(&seed) % 3000 : 0;

        if (k && same && rand_r(&seed) % 3 == 0) {
            key->data = unit_copy(from->data, from->len);
            key->len = from->len;
            continue;
        }

        m = (k && rand_r(&seed) % 3 == 0) ? from->len : 0;

        key->len = m + len;
        key->data = p = malloc(key->len + 1);

        if (m) {
            ngx_memcpy(p, from->data, m);
        }

        for (i = m; i < key->len; i++) {
            p[i] = "\0\1ab\xff"[rand_r(&seed) % 5];
        }
    }

    qsort(keys, n, sizeof(ngx_str_t), unit_key_cmp);

    for (nkeys = 0, k = 0; k < n; k++) {

        if (!same && nkeys && unit_key_cmp(&keys[nkeys - 1], &keys[k]) == 0) {
            free(keys[k].data);
            continue;
        }

        keys[nkeys++] = keys[k];
    }
}


static void
test_tree(ngx_lyftr_sqlite_t *c, ngx_uint_t n, ngx_uint_t same)
{
    ngx_uint_t            i, step;
    ngx_lyftr_iterator_t  cursor;
    ngx_lyftr_segment_t   segment;

    static int64_t        id;

    ngx_memzero(&segment, sizeof(ngx_lyftr_segment_t));
    segment.id = 1000000 + id++;
    segment.first = 1000;

    test_keys(n, same);
    unit_tree_build(c, &segment, n % NGX_LYFTR_TREES, 0);

    assert_int_equal(ngx_lyftr_sqlite_begin(c, 0, unit_in(60000), &err),
                     NGX_OK);

    ngx_lyftr_iterator_init(&cursor, &segment, n % NGX_LYFTR_TREES);

    step = 1 + nkeys / 150;

    for (i = rand_r(&seed) % step; i < nkeys; i += step) {
        unit_tree_around(c, &cursor, &keys[i]);

        assert_int_equal(ngx_lyftr_iterator_at(&c->index, &cursor, i, &err),
                         NGX_OK);
        unit_tree_at(c, &cursor, i);
    }

    unit_tree_seek(c, &cursor, (u_char *) "", 0);
    unit_tree_seek(c, &cursor, (u_char *) "\xff\xff\xff\xff\xff\xff\xff\xff"
                                     "\xff\xff\xff\xff\xff\xff\xff\xff", 16);
    assert_int_equal(ngx_lyftr_iterator_at(&c->index, &cursor, nkeys, &err),
                     NGX_OK);
    unit_tree_at(c, &cursor, nkeys);

    assert_int_equal(ngx_lyftr_iterator_last(&c->index, &cursor, &err), NGX_OK);
    unit_tree_here(&cursor, (ngx_int_t) nkeys - 1);

    while (cursor.rank >= 0) {
        i = cursor.rank;
        assert_int_equal(ngx_lyftr_iterator_prev(&c->index, &cursor, &err),
                         NGX_OK);
        unit_tree_here(&cursor, (ngx_int_t) i - 1);
    }

    ngx_lyftr_iterator_free(&cursor);
    b->end(c);

    if (nkeys > 500) {
        assert_true(segment.height[n % NGX_LYFTR_TREES] > 2);
    }

    unit_keys_free();
}


static void
test_trees(void **state)
{
    void        *c;
    ngx_uint_t   i;

    c = unit_open();
    seed = 1;

    for (i = 0; i < 40; i++) {
        test_tree(c, i, 0);
    }

    for (i = 0; i < 25; i++) {
        test_tree(c, rand_r(&seed) % TEST_KEYS, 0);
    }

    b->close(c);
}


/* the first of equal keys is found, on whichever block it is */

static void
test_equal(void **state)
{
    void        *c;
    ngx_uint_t   i;

    c = unit_open();
    seed = 2;

    for (i = 0; i < 40; i++) {
        test_tree(c, rand_r(&seed) % 500, 1);
    }

    b->close(c);
}


/* a block that is gone, or is none */

static void
test_damage(void **state)
{
    ngx_lyftr_sqlite_t    *c;
    char                   sql[256];
    int64_t                no;
    ngx_uint_t             i;
    ngx_lyftr_iterator_t   cursor;
    ngx_lyftr_segment_t    segment;

    static const char  *damages[] = {
        "DELETE FROM lyftr_block WHERE no = %lld",
        "UPDATE lyftr_block SET data = x'' WHERE no = %lld",
        "UPDATE lyftr_block SET data = x'ff' WHERE no = %lld",
        "UPDATE lyftr_block SET data = x'00ff01' WHERE no = %lld",
        "UPDATE lyftr_block SET data = substr(data, 1, 20) WHERE no = %lld",
        "UPDATE lyftr_block SET data = x'7f' || substr(data, 2)"
        " WHERE no = %lld"
    };

    c = unit_open();
    seed = 3;

    for (i = 0; i < unit_count(damages); i++) {
        ngx_memzero(&segment, sizeof(ngx_lyftr_segment_t));
        segment.id = 1 + i;

        test_keys(300, 0);
        unit_tree_build(c, &segment, NGX_LYFTR_TREE_TIME, 0);

        no = ngx_lyftr_block_no(segment.id, NGX_LYFTR_TREE_TIME, 0, 5);
        (void) snprintf(sql, sizeof(sql), damages[i], (long long) no);
        unit_sql(sql);

        assert_int_equal(ngx_lyftr_sqlite_begin(c, 0, unit_in(10000), &err),
                         NGX_OK);

        ngx_lyftr_iterator_init(&cursor, &segment, NGX_LYFTR_TREE_TIME);

        assert_int_equal(ngx_lyftr_iterator_at(&c->index, &cursor, 0, &err),
                         NGX_OK);

        while (ngx_lyftr_iterator_next(&c->index, &cursor, &err) == NGX_OK) {
            assert_false(ngx_lyftr_iterator_end(&cursor));
        }

        assert_int_equal(err.code, NGX_LYFTR_ERR_CORRUPT);
        err.code = NGX_LYFTR_ERR_NONE;

        assert_int_equal(ngx_lyftr_iterator_last(&c->index, &cursor, &err),
                         NGX_OK);

        while (ngx_lyftr_iterator_prev(&c->index, &cursor, &err) == NGX_OK) {
            assert_true(cursor.rank >= 0);
        }

        assert_int_equal(err.code, NGX_LYFTR_ERR_CORRUPT);

        ngx_lyftr_iterator_free(&cursor);
        b->end(c);

        unit_keys_free();
    }

    b->close(c);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        unit_fresh(test_trees),
        unit_fresh(test_equal),
        unit_fresh(test_damage)
    };

    return cmocka_run_group_tests_name("sqlite_cursor", tests, NULL, NULL);
}

/* Trees that are built and read again, against arrays in order. */

#include "unit_store.h"


#define TEST_KEYS    2000


static ngx_str_t     keys[TEST_KEYS];
static ngx_uint_t    nkeys;
static unsigned      seed;


static int
test_cmp(const void *one, const void *two)
{
    const ngx_str_t  *x = one, *y = two;

    return ngx_lyftr_key_cmp(x->data, x->len, y->data, y->len);
}


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

    qsort(keys, n, sizeof(ngx_str_t), test_cmp);

    for (nkeys = 0, k = 0; k < n; k++) {

        if (!same && nkeys && test_cmp(&keys[nkeys - 1], &keys[k]) == 0) {
            free(keys[k].data);
            continue;
        }

        keys[nkeys++] = keys[k];
    }
}


static void
test_build(ngx_lyftr_sqlite_t *c, ngx_lyftr_segment_t *segment,
    ngx_lyftr_kind_e kind)
{
    size_t             from;
    ngx_uint_t         i;
    ngx_lyftr_build_t  build;

    ngx_memzero(&build, sizeof(ngx_lyftr_build_t));

    ngx_lyftr_build_begin(&build, segment->id, kind);

    assert_int_equal(ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_UPKEEP,
                                            unit_in(10000), &err),
                     NGX_OK);

    for (i = 0, from = 0; i < nkeys; i++) {
        assert_int_equal(ngx_lyftr_build_add(&build, keys[i].data,
                                             keys[i].len, i), NGX_OK);

        if (i % 100 == 99) {
            assert_int_equal(ngx_lyftr_build_store(c, &build, &from, 3, &err),
                             NGX_OK);
        }
    }

    assert_int_equal(ngx_lyftr_build_end(&build), NGX_OK);

    while (from < build.out.len) {
        assert_int_equal(ngx_lyftr_build_store(c, &build, &from, 7, &err),
                         NGX_OK);
    }

    assert_int_equal(ngx_lyftr_sqlite_commit(c, &err), NGX_OK);

    segment->rows = nkeys;
    segment->height[kind] = build.height;

    ngx_lyftr_build_free(&build);
}


static ngx_uint_t
test_bound(u_char *key, size_t len)
{
    ngx_uint_t  i;

    for (i = 0; i < nkeys; i++) {
        if (ngx_lyftr_key_cmp(keys[i].data, keys[i].len, key, len) >= 0) {
            break;
        }
    }

    return i;
}


/* the cursor is there, and goes on from there */

static void
test_at(ngx_lyftr_sqlite_t *c, ngx_lyftr_cursor_t *cursor, ngx_uint_t rank)
{
    ngx_uint_t  i;

    for (i = 0; i < 4; i++) {
        assert_int_equal(cursor->rank, rank);
        assert_int_equal(ngx_lyftr_cursor_end(cursor), rank == nkeys);

        if (rank == nkeys) {
            return;
        }

        assert_int_equal(ngx_lyftr_cursor_seq(cursor), 1000 + rank);
        unit_equal_bytes(cursor->block.key.data, cursor->block.key.len,
                         keys[rank].data, keys[rank].len, __LINE__);

        assert_int_equal(ngx_lyftr_cursor_next(c, cursor, &err), NGX_OK);
        rank++;
    }
}


static void
test_seek(ngx_lyftr_sqlite_t *c, ngx_lyftr_cursor_t *cursor, u_char *key,
    size_t len)
{
    assert_int_equal(ngx_lyftr_cursor_seek(c, cursor, key, len, &err),
                     NGX_OK);

    test_at(c, cursor, test_bound(key, len));
}


/* a key, and its neighbours */

static void
test_around(ngx_lyftr_sqlite_t *c, ngx_lyftr_cursor_t *cursor, ngx_str_t *key)
{
    u_char  *p;
    size_t   len;

    len = key->len;
    p = malloc(len + 1);
    ngx_memcpy(p, key->data, len);

    test_seek(c, cursor, p, len);

    p[len] = 0;
    test_seek(c, cursor, p, len + 1);

    if (len) {
        test_seek(c, cursor, p, len - 1);
        p[len - 1]++;
        test_seek(c, cursor, p, len);
    }

    free(p);
}


static void
test_tree(ngx_lyftr_sqlite_t *c, ngx_uint_t n, ngx_uint_t same)
{
    ngx_uint_t            i, step;
    ngx_lyftr_cursor_t    cursor;
    ngx_lyftr_segment_t   segment;

    static int64_t        id;

    ngx_memzero(&segment, sizeof(ngx_lyftr_segment_t));
    segment.id = 1000000 + id++;
    segment.first = 1000;

    test_keys(n, same);
    test_build(c, &segment, n % NGX_LYFTR_KINDS);

    assert_int_equal(ngx_lyftr_sqlite_begin(c, 0, unit_in(60000), &err),
                     NGX_OK);

    ngx_lyftr_cursor_init(&cursor, &segment, n % NGX_LYFTR_KINDS);

    step = 1 + nkeys / 150;

    for (i = rand_r(&seed) % step; i < nkeys; i += step) {
        test_around(c, &cursor, &keys[i]);

        assert_int_equal(ngx_lyftr_cursor_at(c, &cursor, i, &err), NGX_OK);
        test_at(c, &cursor, i);
    }

    test_seek(c, &cursor, (u_char *) "", 0);
    test_seek(c, &cursor, (u_char *) "\xff\xff\xff\xff\xff\xff\xff\xff"
                                     "\xff\xff\xff\xff\xff\xff\xff\xff", 16);
    assert_int_equal(ngx_lyftr_cursor_at(c, &cursor, nkeys, &err), NGX_OK);
    test_at(c, &cursor, nkeys);

    ngx_lyftr_cursor_free(&cursor);
    b->rollback(c);

    if (nkeys > 500) {
        assert_true(segment.height[n % NGX_LYFTR_KINDS] > 2);
    }

    while (nkeys) {
        free(keys[--nkeys].data);
    }
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
    void                 *c;
    char                  sql[256];
    int64_t               no;
    ngx_uint_t            i;
    ngx_lyftr_cursor_t    cursor;
    ngx_lyftr_segment_t   segment;

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
        test_build(c, &segment, NGX_LYFTR_KIND_TIME);

        no = ngx_lyftr_sqlite_block_no(segment.id, NGX_LYFTR_KIND_TIME, 0, 5);
        (void) snprintf(sql, sizeof(sql), damages[i], (long long) no);
        unit_sql(sql);

        assert_int_equal(ngx_lyftr_sqlite_begin(c, 0, unit_in(10000), &err),
                         NGX_OK);

        ngx_lyftr_cursor_init(&cursor, &segment, NGX_LYFTR_KIND_TIME);

        assert_int_equal(ngx_lyftr_cursor_at(c, &cursor, 0, &err), NGX_OK);

        while (ngx_lyftr_cursor_next(c, &cursor, &err) == NGX_OK) {
            assert_false(ngx_lyftr_cursor_end(&cursor));
        }

        assert_int_equal(err.code, NGX_LYFTR_ERR_CORRUPT);

        ngx_lyftr_cursor_free(&cursor);
        b->rollback(c);

        while (nkeys) {
            free(keys[--nkeys].data);
        }
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

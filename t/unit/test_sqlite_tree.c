/* Trees of keys that are meant to do harm, built and merged. */

#include "unit_tree.h"


#define TEST_MB      (1024 * 1024)


/* keys that share so many bytes, all of them or as many as follow each other */

typedef struct {
    ngx_uint_t           n;
    size_t               shared;
    ngx_uint_t           group;            /* 0: all share them */
    size_t               tail;             /* bytes after that, at most */
    ngx_uint_t           same;             /* one of so many is equal to one */
} test_shape_t;


static test_shape_t  shapes[] = {
    { 3000, 0, 0, 40, 0 },
    { 3000, NGX_LYFTR_SEPARATOR - 1, 0, 3, 0 },
    { 3000, NGX_LYFTR_SEPARATOR, 0, 2, 0 },
    { 2500, 1290, 0, 20, 0 },
    { 2500, 1290, 0, 20, 3 },
    { 2500, 1290, 0, 0, 1 },
    { 1500, 1290, 2, 40, 0 },
    { 1500, 1290, 17, 40, 5 },
    { 600, NGX_LYFTR_SEPARATOR, 2, 3000, 0 },
    { 400, 70000, 0, 8, 0 },
    { 200, 70000, 2, 8, 0 },
    { 40, TEST_MB, 0, 100, 0 },
    { 40, TEST_MB, 2, 100, 4 }
};


static void
test_fill(u_char *p, size_t len)
{
    while (len--) {
        *p++ = "\0\1ab\xff"[rand_r(&seed) % 5];
    }
}


static void
test_keys(test_shape_t *shape)
{
    size_t       tail;
    ngx_str_t   *key, *from;
    ngx_uint_t   i;

    for (i = 0; i < shape->n; i++) {
        key = &keys[i];

        from = i ? &keys[rand_r(&seed) % i] : NULL;

        if (from && shape->same && rand_r(&seed) % shape->same == 0) {
            key->data = unit_copy(from->data, from->len);
            key->len = from->len;
            continue;
        }

        tail = shape->tail ? rand_r(&seed) % (shape->tail + 1) : 0;

        key->len = shape->shared + tail;
        key->data = malloc(key->len + 1);
        assert_non_null(key->data);

        if (i && (shape->group == 0 || i % shape->group)) {
            ngx_memcpy(key->data, keys[i - 1].data, shape->shared);

        } else {
            test_fill(key->data, shape->shared);
        }

        test_fill(key->data + shape->shared, tail);
    }

    nkeys = shape->n;
    qsort(keys, nkeys, sizeof(ngx_str_t), unit_key_cmp);
}


/* a block of many children is short, and no block much longer than its keys */

static void
test_blocks(ngx_lyftr_segment_t *segment, ngx_lyftr_kind_e kind)
{
    char        sql[256];
    size_t      most;
    ngx_uint_t  i, n, height;

    static const char  select[] =
        "SELECT ifnull(max(length(data)), 0) FROM lyftr_block"
        " WHERE no >> 36 = %lld AND (no >> 30 & 15) %s 0";

    for (i = 0, most = 0; i < nkeys; i++) {
        most = ngx_max(most, keys[i].len);
    }

    (void) snprintf(sql, sizeof(sql), select, (long long) segment->id, "=");
    assert_in_range(unit_sql_int(sql), 1,
                    ngx_max(most + 32, 2 * NGX_LYFTR_BLOCK_LEN + 32));

    (void) snprintf(sql, sizeof(sql), select, (long long) segment->id, ">");
    assert_in_range(unit_sql_int(sql), 0,
                    NGX_LYFTR_BLOCK_LEN
                    + NGX_LYFTR_CHILDREN * (NGX_LYFTR_SEPARATOR + 16));

    for (n = nkeys, height = 1; n > 1; n = (n + 15) / NGX_LYFTR_CHILDREN) {
        height++;
    }

    assert_in_range(segment->height[kind], 1, height);
}


static void
test_tree(ngx_lyftr_sqlite_t *c, ngx_lyftr_segment_t *segment,
    ngx_lyftr_kind_e kind)
{
    ngx_uint_t           i, step;
    ngx_lyftr_cursor_t   cursor;

    assert_int_equal(segment->rows, nkeys);
    test_blocks(segment, kind);

    assert_int_equal(ngx_lyftr_sqlite_begin(c, 0, unit_in(120000), &err),
                     NGX_OK);

    ngx_lyftr_cursor_init(&cursor, segment, kind);

    step = 1 + nkeys / 40;

    for (i = rand_r(&seed) % step; i < nkeys; i += step) {
        unit_tree_around(c, &cursor, &keys[i]);

        assert_int_equal(ngx_lyftr_cursor_at(c, &cursor, i, &err), NGX_OK);
        unit_tree_at(c, &cursor, i);
    }

    unit_tree_seek(c, &cursor, (u_char *) "", 0);

    ngx_lyftr_cursor_free(&cursor);
    b->rollback(c);
}


static void
test_merge(ngx_lyftr_sqlite_t *c, ngx_lyftr_segment_t *segment,
    ngx_lyftr_segment_t *from, ngx_uint_t n, ngx_lyftr_kind_e kind)
{
    ngx_uint_t       i;
    ngx_lyftr_job_t  job;

    ngx_memzero(&job, sizeof(ngx_lyftr_job_t));

    job.segment = *segment;
    job.kind = kind;
    job.nfrom = n;

    assert_int_equal(ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_UPKEEP,
                                            unit_in(120000), &err),
                     NGX_OK);

    for (i = 0; i < n; i++) {
        job.from[i] = from[i];
        ngx_lyftr_cursor_init(&job.cursor[i], &job.from[i], kind);
        assert_int_equal(ngx_lyftr_cursor_at(c, &job.cursor[i], 0, &err),
                         NGX_OK);
    }

    ngx_lyftr_build_begin(&job.build, segment->id, kind);

    for (i = 0; i < nkeys; i++) {
        assert_int_equal(ngx_lyftr_job_entry(c, &job, &err), NGX_OK);
    }

    unit_tree_store(c, segment, &job.build, 0);
    assert_int_equal(ngx_lyftr_sqlite_commit(c, &err), NGX_OK);

    ngx_lyftr_job_free(&job);
}


static void
test_shape(ngx_lyftr_sqlite_t *c, ngx_uint_t shape)
{
    ngx_uint_t           i;
    ngx_lyftr_kind_e     kind;
    ngx_lyftr_segment_t  segment, from[3];

    kind = shape % 2 ? NGX_LYFTR_KIND_TIME : NGX_LYFTR_KIND_SENDER;

    ngx_memzero(&segment, sizeof(ngx_lyftr_segment_t));
    ngx_memzero(from, sizeof(from));
    ngx_memzero(owner, sizeof(owner));

    segment.id = 1000000 + 10 * shape;
    segment.first = 1000;

    test_keys(&shapes[shape]);

    unit_tree_build(c, &segment, kind, 0);
    test_tree(c, &segment, kind);

    /* equal keys come from the first of the trees first */

    for (i = 0; i < nkeys; i++) {
        owner[i] = (i && unit_key_cmp(&keys[i - 1], &keys[i]) == 0)
                   ? owner[i - 1] : rand_r(&seed) % 3;
    }

    for (i = 0; i < 3; i++) {
        from[i].id = segment.id + 1 + i;
        from[i].first = 1000;
        unit_tree_build(c, &from[i], kind, i);
    }

    segment.id += 4;

    test_merge(c, &segment, from, 3, kind);
    test_tree(c, &segment, kind);

    unit_keys_free();
}


static void
test_shapes(void **state)
{
    void        *c;
    ngx_uint_t   i;

    c = unit_open();
    seed = 1;

    for (i = 0; i < unit_count(shapes); i++) {
        test_shape(c, i);
    }

    b->close(c);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        unit_fresh(test_shapes)
    };

    return cmocka_run_group_tests_name("sqlite_tree", tests, NULL, NULL);
}

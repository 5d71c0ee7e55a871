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
test_blocks(ngx_lyftr_segment_t *segment, ngx_lyftr_tree_e kind)
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
test_cursor(ngx_lyftr_sqlite_t *c, ngx_lyftr_segment_t *segment,
    ngx_lyftr_tree_e kind)
{
    ngx_uint_t           i, step;
    ngx_lyftr_iterator_t   cursor;

    assert_int_equal(ngx_lyftr_sqlite_begin(c, 0, unit_in(120000), &err),
                     NGX_OK);

    ngx_lyftr_iterator_init(&cursor, segment, kind);

    step = 1 + nkeys / 40;

    for (i = rand_r(&seed) % step; i < nkeys; i += step) {
        unit_tree_around(c, &cursor, &keys[i]);

        assert_int_equal(ngx_lyftr_iterator_at(&c->index, &cursor, i, &err),
                         NGX_OK);
        unit_tree_at(c, &cursor, i);
    }

    unit_tree_seek(c, &cursor, (u_char *) "", 0);

    ngx_lyftr_iterator_free(&cursor);
    b->end(c);
}


static void
test_tree(ngx_lyftr_sqlite_t *c, ngx_lyftr_segment_t *segment,
    ngx_lyftr_tree_e kind)
{
    assert_int_equal(segment->rows, nkeys);
    test_blocks(segment, kind);
    test_cursor(c, segment, kind);
}


static void
test_merge(ngx_lyftr_sqlite_t *c, ngx_lyftr_segment_t *segment,
    ngx_lyftr_segment_t *from, ngx_uint_t n, ngx_lyftr_tree_e kind)
{
    ngx_uint_t       i;
    ngx_lyftr_compaction_t  job;

    ngx_memzero(&job, sizeof(ngx_lyftr_compaction_t));

    job.segment = *segment;
    job.kind = kind;
    job.nfrom = n;

    assert_int_equal(ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB,
                                            unit_in(120000), &err),
                     NGX_OK);

    for (i = 0; i < n; i++) {
        job.from[i] = from[i];
        ngx_lyftr_iterator_init(&job.cursor[i], &job.from[i], kind);
        assert_int_equal(ngx_lyftr_iterator_at(&c->index, &job.cursor[i], 0,
                                               &err), NGX_OK);
    }

    ngx_lyftr_builder_begin(&job.build, segment->id, kind);

    for (i = 0; i < nkeys; i++) {
        assert_int_equal(ngx_lyftr_compaction_entry(&c->index, &job, &err),
                         NGX_OK);
    }

    unit_tree_store(c, segment, &job.build, 0);
    assert_int_equal(ngx_lyftr_sqlite_commit(c, &err), NGX_OK);

    ngx_lyftr_compaction_free(&job);
}


static void
test_shape(ngx_lyftr_sqlite_t *c, ngx_uint_t shape)
{
    ngx_uint_t           i;
    ngx_lyftr_tree_e     kind;
    ngx_lyftr_segment_t  segment, from[3];

    kind = shape % 2 ? NGX_LYFTR_TREE_TIME : NGX_LYFTR_TREE_SENDER;

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


/* the block of level 0 of that number, opened; NGX_DONE: there is none */

static ngx_int_t
test_load(ngx_lyftr_sqlite_t *c, ngx_lyftr_segment_t *segment,
    ngx_lyftr_tree_e kind, int64_t n, ngx_lyftr_buf_t *data,
    ngx_lyftr_block_t *block)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    rc = NGX_DONE;
    st = c->stmt[NGX_LYFTR_SQL_BLOCK];

    (void) sqlite3_bind_int64(st, 1, ngx_lyftr_block_no(segment->id,
                                                               kind, 0, n));

    if (sqlite3_step(st) == SQLITE_ROW) {
        data->len = 0;
        assert_int_equal(ngx_lyftr_buf_add(data, sqlite3_column_blob(st, 0),
                                           sqlite3_column_bytes(st, 0)),
                         NGX_OK);
        rc = ngx_lyftr_block_open(block, data->data, data->len);
    }

    (void) sqlite3_reset(st);

    return rc;
}


/* what tells the first key of each block of level 0 from the one before */

static ngx_uint_t
test_separators(ngx_lyftr_sqlite_t *c, ngx_lyftr_segment_t *segment,
    ngx_lyftr_tree_e kind, ngx_str_t *separators, int64_t *ranks)
{
    size_t              i;
    ngx_uint_t          n, rank;
    ngx_lyftr_buf_t     data;
    ngx_lyftr_block_t   block;

    ngx_memzero(&data, sizeof(ngx_lyftr_buf_t));
    ngx_memzero(&block, sizeof(ngx_lyftr_block_t));

    for (n = 0; test_load(c, segment, kind, n, &data, &block) == NGX_OK; n++) {
        rank = block.first;

        for (i = 0; rank && i < keys[rank].len && i < keys[rank - 1].len; i++)
        {
            if (keys[rank].data[i] != keys[rank - 1].data[i]) {
                break;
            }
        }

        separators[n].data = keys[rank].data;
        separators[n].len = rank ? ngx_min(i + 1, keys[rank].len) : 0;
        ranks[n] = rank;
    }

    ngx_lyftr_buf_free(&data);
    ngx_lyftr_block_free(&block);

    return n;
}


static void
test_put_block(ngx_lyftr_sqlite_t *c, int64_t no, ngx_lyftr_buf_t *block)
{
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_BLOCK_ADD];

    (void) sqlite3_bind_int64(st, 1, no);
    (void) sqlite3_bind_blob64(st, 2, block->data, block->len, SQLITE_STATIC);

    assert_int_equal(ngx_lyftr_sqlite_run(c, st, &err), NGX_OK);
}


/*
 * The levels above the first, as they were made before: separators are whole,
 * and two of them may be a block.
 */

static void
test_before_levels(ngx_lyftr_sqlite_t *c, ngx_lyftr_segment_t *segment,
    ngx_lyftr_tree_e kind, ngx_str_t *separators, int64_t *ranks, ngx_uint_t n)
{
    ngx_uint_t        i, k, level, entries;
    ngx_lyftr_buf_t   block, prev;

    ngx_memzero(&block, sizeof(ngx_lyftr_buf_t));

    for (level = 1; n > 1; level++, n = k) {

        for (i = 0, k = 0; i < n; k++) {
            assert_int_equal(ngx_lyftr_block_begin(&block, i), NGX_OK);

            separators[k] = separators[i];
            ranks[k] = ranks[i];

            for (entries = 0;
                 i < n && (block.len < NGX_LYFTR_BLOCK_LEN || entries < 2);
                 i++, entries++)
            {
                assert_int_equal(ngx_lyftr_block_add(&block,
                                                     entries ? &prev : NULL,
                                                     separators[i].data,
                                                     separators[i].len,
                                                     ranks[i]),
                                 NGX_OK);
                prev.data = separators[i].data;
                prev.len = separators[i].len;
            }

            test_put_block(c, ngx_lyftr_block_no(segment->id, kind,
                                                        level, k), &block);
        }
    }

    segment->height[kind] = level;

    ngx_lyftr_buf_free(&block);
}


static void
test_before(void **state)
{
    void                 *c;
    ngx_uint_t            i, n, high;
    test_shape_t          shape;
    ngx_lyftr_segment_t   segment;

    static int64_t        ranks[UNIT_KEYS];
    static ngx_str_t      separators[UNIT_KEYS];

    c = unit_open();
    seed = 2;
    high = 0;

    for (i = 0; i < unit_count(shapes); i++) {
        shape = shapes[i];
        shape.n = ngx_min(shape.n, 500);

        ngx_memzero(&segment, sizeof(ngx_lyftr_segment_t));
        ngx_memzero(owner, sizeof(owner));

        segment.id = 1000000 + i;
        segment.first = 1000;

        test_keys(&shape);
        unit_tree_build(c, &segment, NGX_LYFTR_TREE_TIME, 0);

        unit_sql("DELETE FROM lyftr_block WHERE (no >> 30 & 15) > 0");

        assert_int_equal(ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB,
                                                unit_in(120000), &err),
                         NGX_OK);

        n = test_separators(c, &segment, NGX_LYFTR_TREE_TIME, separators,
                            ranks);
        test_before_levels(c, &segment, NGX_LYFTR_TREE_TIME, separators,
                           ranks, n);

        assert_int_equal(ngx_lyftr_sqlite_commit(c, &err), NGX_OK);

        high = ngx_max(high, segment.height[NGX_LYFTR_TREE_TIME]);

        test_cursor(c, &segment, NGX_LYFTR_TREE_TIME);

        unit_keys_free();
    }

    /* there were more levels than are needed now */

    assert_true(high > 8);

    b->close(c);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        unit_fresh(test_shapes),
        unit_fresh(test_before)
    };

    return cmocka_run_group_tests_name("sqlite_tree", tests, NULL, NULL);
}

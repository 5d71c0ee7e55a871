#include "fuzz.h"

#include "../unit/unit_blocks.h"


/*
 * Keys are sorted, shared out among trees, and these merged: what cursors then
 * say is what is in the array.
 */

#define FUZZ_KEYS    2000
#define FUZZ_BYTES   (1024 * 1024)
#define FUZZ_TREES   3


typedef struct {
    u_char              *data;
    size_t               len;
    ngx_uint_t           tree;
} fuzz_key_t;


static fuzz_key_t           keys[FUZZ_KEYS];
static ngx_uint_t           nkeys;
static unit_holder_t        held;

static ngx_lyftr_index_t    tree = {
    .holder = &unit_holder,
    .data = &held
};

static ngx_lyftr_error_t    err;


static int
fuzz_key_cmp(const void *one, const void *two)
{
    int                rc;
    const fuzz_key_t  *x = one, *y = two;

    rc = ngx_lyftr_key_cmp(x->data, x->len, y->data, y->len);

    /* of equal ones, those of the first tree come first */

    return rc ? rc : (x->tree > y->tree) - (x->tree < y->tree);
}


/*
 * A key is three bytes, and some of its own: how much of the key before it
 * begins with, how often its last byte is there, and how many are its own.
 */

static void
fuzz_keys(const uint8_t *p, const uint8_t *last)
{
    size_t       shared, own, run, total;
    fuzz_key_t  *key, *prev;

    static size_t  lens[] = {
        0, 1, 8, NGX_LYFTR_SEPARATOR - 1, NGX_LYFTR_SEPARATOR,
        NGX_LYFTR_SEPARATOR + 1, 300, 1290, NGX_LYFTR_BLOCK_LEN, 5000, 70000,
        SIZE_MAX
    };

    total = 0;

    for (nkeys = 0; nkeys < FUZZ_KEYS && last - p >= 3; nkeys++) {
        key = &keys[nkeys];
        prev = nkeys ? key - 1 : NULL;

        shared = lens[p[0] % (sizeof(lens) / sizeof(lens[0]))];
        shared = prev ? ngx_min(shared, prev->len) : 0;
        run = lens[p[1] % (sizeof(lens) / sizeof(lens[0]) - 1)];
        own = ngx_min((size_t) p[2] % 8, (size_t) (last - p - 3));
        key->tree = p[2] / 8 % FUZZ_TREES;
        p += 3;

        key->len = shared + own + (own ? run : 0);
        total += key->len;

        if (total > FUZZ_BYTES) {
            break;
        }

        key->data = malloc(key->len + 1);
        fuzz_assert(key->data);

        if (shared) {
            ngx_memcpy(key->data, prev->data, shared);
        }

        if (own) {
            ngx_memcpy(key->data + shared, p, own);
            ngx_memset(key->data + shared + own, p[own - 1], run);
        }

        p += own;
    }

    qsort(keys, nkeys, sizeof(fuzz_key_t), fuzz_key_cmp);
}


static void
fuzz_store(ngx_lyftr_segment_t *segment, ngx_lyftr_builder_t *build)
{
    size_t      from;
    ngx_uint_t  n, height;

    fuzz_assert(ngx_lyftr_builder_end(build) == NGX_OK);

    for (from = 0; from < build->out.len; /* void */) {
        fuzz_assert(ngx_lyftr_builder_store(&tree, build, &from, 5, &err)
                    == NGX_OK);
    }

    segment->rows = build->rank;
    segment->height[build->kind] = build->height;

    for (n = build->rank, height = 1; n > 1; height++) {
        n = (n + NGX_LYFTR_CHILDREN - 1) / NGX_LYFTR_CHILDREN;
    }

    fuzz_assert(build->height <= height && height <= NGX_LYFTR_HEIGHT);

    ngx_lyftr_builder_free(build);
}


static void
fuzz_build(ngx_lyftr_segment_t *segment, ngx_uint_t tree)
{
    ngx_uint_t         i;
    ngx_lyftr_builder_t  build;

    ngx_memzero(&build, sizeof(ngx_lyftr_builder_t));
    ngx_lyftr_builder_begin(&build, segment->id, NGX_LYFTR_TREE_TIME);

    for (i = 0; i < nkeys; i++) {
        if (keys[i].tree == tree) {
            fuzz_assert(ngx_lyftr_builder_add(&build, keys[i].data, keys[i].len,
                                              i)
                        == NGX_OK);
        }
    }

    fuzz_store(segment, &build);
}


static void
fuzz_merge(ngx_lyftr_segment_t *segment)
{
    ngx_uint_t       i;
    ngx_lyftr_compaction_t  job;

    ngx_memzero(&job, sizeof(ngx_lyftr_compaction_t));

    job.kind = NGX_LYFTR_TREE_TIME;
    job.nfrom = FUZZ_TREES;

    for (i = 0; i < FUZZ_TREES; i++) {
        job.from[i].id = 1 + i;
        fuzz_build(&job.from[i], i);

        ngx_lyftr_iterator_init(&job.cursor[i], &job.from[i], job.kind);
        fuzz_assert(ngx_lyftr_iterator_at(&tree, &job.cursor[i], 0, &err)
                    == NGX_OK);
    }

    ngx_lyftr_builder_begin(&job.build, segment->id, job.kind);

    for (i = 0; i < nkeys; i++) {
        fuzz_assert(ngx_lyftr_compaction_entry(&tree, &job, &err) == NGX_OK);
    }

    fuzz_store(segment, &job.build);
    ngx_lyftr_compaction_free(&job);
}


/* the cursor is at the first key that is not less */

static void
fuzz_seek(ngx_lyftr_iterator_t *cursor, u_char *p, size_t len)
{
    ngx_uint_t  low, high, n;

    fuzz_assert(ngx_lyftr_iterator_seek(&tree, cursor, p, len, &err) == NGX_OK);

    for (low = 0, high = nkeys; low < high; /* void */) {
        n = (low + high) / 2;

        if (ngx_lyftr_key_cmp(keys[n].data, keys[n].len, p, len) < 0) {
            low = n + 1;

        } else {
            high = n;
        }
    }

    fuzz_assert(cursor->rank == (int64_t) low);
    fuzz_assert(low == nkeys || cursor->block.value == (int64_t) low);
}


static void
fuzz_check(ngx_lyftr_segment_t *segment)
{
    ngx_uint_t           i;
    ngx_lyftr_iterator_t   cursor;

    ngx_lyftr_iterator_init(&cursor, segment, NGX_LYFTR_TREE_TIME);

    fuzz_assert(ngx_lyftr_iterator_at(&tree, &cursor, 0, &err) == NGX_OK);

    for (i = 0; i < nkeys; i++) {
        fuzz_assert(!ngx_lyftr_iterator_end(&cursor));
        fuzz_assert(cursor.block.value == (int64_t) i);
        fuzz_assert(ngx_lyftr_key_cmp(cursor.block.key.data,
                                      cursor.block.key.len, keys[i].data,
                                      keys[i].len)
                    == 0);
        fuzz_assert(ngx_lyftr_iterator_next(&tree, &cursor, &err) == NGX_OK);
    }

    fuzz_assert(ngx_lyftr_iterator_end(&cursor));

    while (i) {
        fuzz_assert(ngx_lyftr_iterator_prev(&tree, &cursor, &err) == NGX_OK);
        fuzz_assert(cursor.rank == (int64_t) --i);
        fuzz_assert(cursor.block.value == (int64_t) i);
        fuzz_assert(ngx_lyftr_key_cmp(cursor.block.key.data,
                                      cursor.block.key.len, keys[i].data,
                                      keys[i].len)
                    == 0);
    }

    fuzz_assert(ngx_lyftr_iterator_prev(&tree, &cursor, &err) == NGX_OK);
    fuzz_assert(cursor.rank == -1);

    for (i = 0; i < nkeys; i += 1 + nkeys / 64) {
        fuzz_seek(&cursor, keys[i].data, keys[i].len);
        fuzz_seek(&cursor, keys[i].data, keys[i].len / 2);

        keys[i].data[keys[i].len] = 0;
        fuzz_seek(&cursor, keys[i].data, keys[i].len + 1);

        fuzz_assert(ngx_lyftr_iterator_at(&tree, &cursor, i, &err) == NGX_OK);
        fuzz_assert(cursor.block.value == (int64_t) i);
    }

    ngx_lyftr_iterator_free(&cursor);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_lyftr_segment_t  segment;

    ngx_memzero(&segment, sizeof(ngx_lyftr_segment_t));
    segment.id = 1 + FUZZ_TREES;

    fuzz_keys(data, data + size);
    fuzz_merge(&segment);
    fuzz_check(&segment);

    unit_holder_free(&held);

    while (nkeys) {
        free(keys[--nkeys].data);
    }

    return 0;
}

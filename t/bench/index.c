/*
 * index [ROWS...]: what the index alone does in a second, over blocks and rows
 * in memory: rows that are flushed and merged, ids that are looked up, pages
 * that are found at a random offset, forth and back.
 */

#include "../unit/unit_blocks.h"

#include <ngx_lyftr_clock.h>


#define BENCH_SENDERS    1000
#define BENCH_PAGE       50
#define BENCH_USEC       500000


static unit_holder_t        held;
static ngx_lyftr_index_t    tree = { .holder = &unit_holder, .data = &held };
static ngx_lyftr_error_t    err;
static ngx_lyftr_row_t     *rows;
static u_char              *text;
static int64_t              number;
static uint64_t             seed;


static void
bench_check(ngx_int_t rc)
{
    if (rc == NGX_ERROR) {
        (void) fprintf(stderr, "failed: %.*s\n", (int) err.len, err.text);
        exit(1);
    }
}


static uint64_t
bench_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return seed;
}


/* one millisecond after the other, each of some sender */

static void
bench_rows(int64_t n)
{
    u_char           *p;
    int64_t           i;
    uint64_t          x;
    ngx_lyftr_row_t  *row;

    rows = calloc(n, sizeof(ngx_lyftr_row_t));
    text = malloc(n * 64);
    seed = 1;

    for (i = 0, p = text; i < n; i++) {
        row = &rows[i];
        x = bench_random();

        row->seq = i + 1;
        row->hash = x;

        row->message_id.data = p;
        row->message_id.len = sprintf((char *) p, "m-%016lx",
                                      (unsigned long) x);
        p += row->message_id.len;

        row->from.data = p;
        row->from.len = sprintf((char *) p, "+4917%08d",
                                (int) (bench_random() % BENCH_SENDERS));
        p += row->from.len;

        row->instant.data = p;
        row->instant.len = 9;

        x = htobe64((uint64_t) 63900000000 << 24 | i);
        ngx_memcpy(p, &x, sizeof(x));
        p[8] = 0;
        p += 9;
    }

    held.rows = rows;
    held.nrows = n;
    tree.last = n;
}


static void
bench_compact(ngx_lyftr_compaction_t *job)
{
    ngx_int_t  rc;

    do {
        rc = ngx_lyftr_compaction_read(&tree, job, &err);
        bench_check(rc);

        rc = ngx_lyftr_compaction_write(&tree, job, &err);
        bench_check(rc);

    } while (rc == NGX_OK);
}


/* in the place of n segments */

static void
bench_place(ngx_lyftr_compaction_t *job, ngx_lyftr_segment_t *at, ngx_uint_t n)
{
    at[0] = job->segment;
    at[0].filter = NULL;

    if (n) {
        memmove(at + 1, at + n,
                (tree.segments + tree.nsegments - (at + n)) * sizeof(*at));
    }

    tree.nsegments = tree.nsegments + 1 - n;

    ngx_lyftr_compaction_free(job);
}


static double
bench_flush(int64_t n)
{
    int64_t                  first, start;
    ngx_lyftr_compaction_t   job;

    tree.segments = calloc(n / NGX_LYFTR_SEGMENT + 2,
                           sizeof(ngx_lyftr_segment_t));
    start = ngx_lyftr_usec();

    for (first = 0; first < n; first += NGX_LYFTR_SEGMENT) {
        ngx_memzero(&job, sizeof(ngx_lyftr_compaction_t));

        bench_check(ngx_lyftr_compaction_flush(&tree, &job, ++number, first,
                                               ngx_min(first
                                                       + NGX_LYFTR_SEGMENT, n),
                                               &err));
        bench_compact(&job);
        bench_place(&job, tree.segments + tree.nsegments, 0);
    }

    return n * 1e6 / (ngx_lyftr_usec() - start);
}


static double
bench_merge(void)
{
    int64_t                  start, n;
    ngx_lyftr_policy_t       policy;
    ngx_lyftr_segment_t     *from;
    ngx_lyftr_compaction_t   job;

    ngx_memzero(&policy, sizeof(ngx_lyftr_policy_t));
    policy.share = 1;

    n = 0;
    start = ngx_lyftr_usec();

    while ((from = ngx_lyftr_policy_merge(&tree, &policy)) != NULL) {
        ngx_memzero(&job, sizeof(ngx_lyftr_compaction_t));

        bench_check(ngx_lyftr_compaction_merge(&tree, &job, ++number, from,
                                               NGX_LYFTR_FANOUT, NULL, &err));
        bench_compact(&job);

        n += job.segment.rows;
        bench_place(&job, from, NGX_LYFTR_FANOUT);
    }

    return n ? n * 1e6 / (ngx_lyftr_usec() - start) : 0;
}


static double
bench_lookup(int64_t rows_n)
{
    u_char                 key[sizeof(uint64_t)];
    int64_t                start, n, took;
    uint64_t               hash;
    ngx_uint_t             i, found;
    ngx_lyftr_segment_t   *s;
    ngx_lyftr_iterator_t   cursor;

    bench_check(ngx_lyftr_filter_load_all(&tree, &err));
    start = ngx_lyftr_usec();

    for (n = 0; (took = ngx_lyftr_usec() - start) < BENCH_USEC; n++) {
        hash = rows[bench_random() % rows_n].hash;
        ngx_lyftr_key_hash(key, hash);

        for (i = 0, found = 0; i < tree.nsegments && !found; i++) {
            s = &tree.segments[i];

            if (!ngx_lyftr_filter_has(s->filter, s->filter_len, hash)) {
                continue;
            }

            ngx_lyftr_iterator_init(&cursor, s, NGX_LYFTR_TREE_ID);
            bench_check(ngx_lyftr_iterator_seek(&tree, &cursor, key,
                                                sizeof(key), &err));

            found = !ngx_lyftr_iterator_end(&cursor)
                    && ngx_memcmp(cursor.block.key.data, key, sizeof(key))
                       == 0;
            ngx_lyftr_iterator_free(&cursor);
        }

        if (!found) {
            (void) fprintf(stderr, "an id is not found\n");
            exit(1);
        }
    }

    return n * 1e6 / took;
}


static double
bench_pages(ngx_uint_t desc)
{
    int64_t            start, n, total, took;
    ngx_str_t          none;
    ngx_uint_t         i;
    ngx_lyftr_merge_t  merge;
    ngx_lyftr_entry_t  entry;

    ngx_str_null(&none);
    start = ngx_lyftr_usec();

    for (n = 0; (took = ngx_lyftr_usec() - start) < BENCH_USEC; n++) {
        bench_check(ngx_lyftr_merge_open(&tree, &merge, NGX_LYFTR_TREE_TIME,
                                         &err));
        merge.desc = desc;

        bench_check(ngx_lyftr_merge_range(&tree, &merge, &none, &none, &total,
                                          &err));
        bench_check(ngx_lyftr_merge_skip(&tree, &merge,
                                         bench_random() % total, &err));

        for (i = 0; i < BENCH_PAGE; i++) {
            bench_check(ngx_lyftr_merge_next(&tree, &merge, &entry, &err));
        }

        ngx_lyftr_merge_close(&merge);
    }

    return n * 1e6 / took;
}


static void
bench_size(int64_t n)
{
    size_t  i, len;
    double  flushed, merged, looked, forth, back;

    bench_rows(n);

    flushed = bench_flush(n);
    merged = bench_merge();
    looked = bench_lookup(n);
    forth = bench_pages(0);
    back = bench_pages(1);

    for (i = 0, len = 0; i < held.table[NGX_LYFTR_BLOCKS_TREE].n; i++) {
        if (held.table[NGX_LYFTR_BLOCKS_TREE].blocks[i].no
            >> NGX_LYFTR_BLOCK_SEGMENT == tree.segments[0].id)
        {
            len += held.table[NGX_LYFTR_BLOCKS_TREE].blocks[i].len;
        }
    }

    (void) printf("%10ld %10.0f %10.0f %10.0f %10.0f %10.0f %8.1f\n", (long) n,
                  flushed, merged, looked, forth, back,
                  (double) len / tree.segments[0].rows);
    (void) fflush(stdout);

    ngx_lyftr_index_forget(&tree);
    unit_holder_free(&held);
    free(rows);
    free(text);
}


int
main(int argc, char **argv)
{
    int  i;

    (void) printf("%10s %10s %10s %10s %10s %10s %8s\n", "rows", "flushed/s",
                  "merged/s", "ids/s", "pages/s", "desc/s", "bytes");

    for (i = 1; i < argc; i++) {
        bench_size(atol(argv[i]));
    }

    if (argc == 1) {
        bench_size(32768);
        bench_size(262144);
        bench_size(1048576);
    }

    return 0;
}

/*
 * The index alone, over blocks and rows in memory, and beside it arrays in
 * order, which say what it is to say.
 */

#ifndef _UNIT_INDEX_H_INCLUDED_
#define _UNIT_INDEX_H_INCLUDED_


#include "unit.h"
#include "unit_blocks.h"


#define UNIT_INDEX_ROWS    400


typedef struct {
    u_char              *key;
    size_t               len;
    int64_t              seq;
} unit_entry_t;


static unit_holder_t        held;
static ngx_lyftr_index_t    tree;
static ngx_lyftr_error_t    err;
static void                *shared;
static int64_t              number;        /* of the last segment */
static unsigned             seed;

static ngx_lyftr_row_t      rows[UNIT_INDEX_ROWS];
static ngx_uint_t           nrows;
static unit_entry_t         entries[NGX_LYFTR_TREES][UNIT_INDEX_ROWS];

static ngx_str_t  parts[] = {
    ngx_string(""), ngx_string("\0"), ngx_string("\0\0"), ngx_string("\0\xff"),
    ngx_string("\1"), ngx_string("+1"), ngx_string("+1\0"),
    ngx_string("+1\0\0"), ngx_string("+1\1"), ngx_string("+12"),
    ngx_string("\xff"), ngx_string("\xff\0"), ngx_string("+491700000000001"),
    ngx_string("+491700000000002")
};

static ngx_str_t  instants[] = {
    ngx_string("\0\0\0\0\0"), ngx_string("\0\0\0\0\0\1"),
    ngx_string("\0\0\0\0\1"), ngx_string("\xf\xff\xff\xff\xff"),
    ngx_string("\xf\xff\xff\xff\xff\0\0\0\1"),
    ngx_string("\xf\xff\xff\xff\xff\1")
};


static ngx_inline int
unit_index_entry_cmp(const void *one, const void *two)
{
    int                  rc;
    const unit_entry_t  *x = one, *y = two;

    rc = ngx_lyftr_key_cmp(x->key, x->len, y->key, y->len);

    return rc ? rc : (x->seq > y->seq) - (x->seq < y->seq);
}


/* ids may be long, and begin alike; numbers may be missing */

static ngx_inline void
unit_index_row(ngx_lyftr_row_t *row, int64_t seq)
{
    char    id[4000];
    size_t  len;

    ngx_memzero(row, sizeof(ngx_lyftr_row_t));

    len = rand_r(&seed) % 60 ? rand_r(&seed) % 8 : rand_r(&seed) % 3000;

    ngx_memset(id, 'a', len);
    len += sprintf(id + len, "%ld", (long) seq);

    row->seq = seq;
    row->message_id.data = unit_copy(id, len);
    row->message_id.len = len;
    row->hash = rand_r(&seed) % 4 ? (uint64_t) seq * 0x9e3779b97f4a7c15 : 7;
    row->from = parts[rand_r(&seed) % unit_count(parts)];
    row->text = (rand_r(&seed) % 5 == 0);
    row->instant = row->text ? parts[rand_r(&seed) % unit_count(parts)]
                             : instants[rand_r(&seed) % unit_count(instants)];
    row->sum = rand_r(&seed);

    len = sprintf(id, "say %d or %c needle %d", rand_r(&seed) % 9,
                  rand_r(&seed) % 3 ? 'a' : 'z', rand_r(&seed) % 3);

    if (rand_r(&seed) % 10) {
        row->body.data = unit_copy(id, len);
        row->body.len = len;
    }
}


/* those of the rows */

static ngx_inline void
unit_index_entries(void)
{
    ngx_uint_t                 i, kind;
    unit_entry_t              *e;
    ngx_lyftr_buf_t            keys;
    ngx_lyftr_memtable_row_t   to;

    for (i = 0; i < nrows; i++) {
        ngx_memzero(&keys, sizeof(ngx_lyftr_buf_t));
        assert_int_equal(ngx_lyftr_key_row(&rows[i], &keys, &to), NGX_OK);

        for (kind = 0; kind < NGX_LYFTR_TREES; kind++) {
            e = &entries[kind][i];

            e->key = ngx_lyftr_memtable_key(&to, kind, &e->len);
            e->key = unit_copy(e->key, e->len);
            e->seq = rows[i].seq;
        }

        ngx_lyftr_buf_free(&keys);
    }

    for (kind = 0; kind < NGX_LYFTR_TREES; kind++) {
        qsort(entries[kind], nrows, sizeof(unit_entry_t),
              unit_index_entry_cmp);
    }
}


static ngx_inline void
unit_index_begin(ngx_uint_t n)
{
    int64_t     seq;
    ngx_uint_t  i;

    ngx_memzero(&tree, sizeof(ngx_lyftr_index_t));

    tree.holder = &unit_holder;
    tree.data = &held;
    tree.memtable = ngx_lyftr_memtable_attach(&shared);

    number = 0;
    nrows = n;

    for (i = 0, seq = 0; i < n; i++) {
        seq += rand_r(&seed) % 8 ? 1 : 1 + rand_r(&seed) % 40;
        unit_index_row(&rows[i], seq);
    }

    unit_index_entries();

    held.rows = rows;
    held.nrows = n;
    tree.last = n ? rows[n - 1].seq : 0;
}


static ngx_inline void
unit_index_end(void)
{
    ngx_uint_t  kind;

    ngx_lyftr_memtable_leave(tree.memtable, &tree.view);
    ngx_lyftr_memtable_view_free(&tree.view);
    ngx_lyftr_memtable_detach(&shared);
    ngx_lyftr_index_forget(&tree);

    while (nrows) {
        nrows--;
        free(rows[nrows].message_id.data);
        free(rows[nrows].body.data);

        for (kind = 0; kind < NGX_LYFTR_TREES; kind++) {
            free(entries[kind][nrows].key);
        }
    }

    unit_holder_free(&held);
}


/* to the end of what has begun */

static ngx_inline ngx_int_t
unit_index_compact(ngx_lyftr_compaction_t *job)
{
    ngx_int_t  rc;

    do {
        rc = ngx_lyftr_compaction_read(&tree, job, &err);

        if (rc == NGX_OK) {
            rc = ngx_lyftr_compaction_write(&tree, job, &err);
        }

    } while (rc == NGX_OK);

    return rc;
}


/* puts a segment in the place of n others */

static ngx_inline void
unit_index_place(ngx_lyftr_compaction_t *job, ngx_uint_t at, ngx_uint_t n)
{
    ngx_uint_t            i;
    ngx_lyftr_segment_t  *s;

    s = calloc(tree.nsegments + 1, sizeof(ngx_lyftr_segment_t));

    for (i = 0; i < at; i++) {
        s[i] = tree.segments[i];
    }

    s[at] = job->segment;
    s[at].filter = NULL;

    /* as of a tree for whose height there is no column */

    if (number % 2) {
        s[at].height[number % NGX_LYFTR_TREES] = NGX_LYFTR_HEIGHT_UNKNOWN;
    }

    for (i = at; i < at + n; i++) {
        free(tree.segments[i].filter);
    }

    for (i = at + n; i < tree.nsegments; i++) {
        s[i + 1 - n] = tree.segments[i];
    }

    free(tree.segments);

    tree.segments = s;
    tree.nsegments = tree.nsegments + 1 - n;

    ngx_lyftr_compaction_free(job);
}


static ngx_inline void
unit_index_flush(int64_t last)
{
    int64_t                  first;
    ngx_lyftr_compaction_t   job;

    first = tree.nsegments ? tree.segments[tree.nsegments - 1].last : 0;

    ngx_memzero(&job, sizeof(ngx_lyftr_compaction_t));

    assert_int_equal(ngx_lyftr_compaction_flush(&tree, &job, ++number, first,
                                                last, &err), NGX_OK);
    assert_int_equal(unit_index_compact(&job), NGX_DONE);

    unit_index_place(&job, tree.nsegments, 0);
}


static ngx_inline void
unit_index_merge(ngx_uint_t at, ngx_uint_t n)
{
    ngx_lyftr_compaction_t  job;

    ngx_memzero(&job, sizeof(ngx_lyftr_compaction_t));

    assert_int_equal(ngx_lyftr_compaction_merge(&tree, &job, ++number,
                                                &tree.segments[at], n, NULL,
                                                &err),
                     NGX_OK);
    assert_int_equal(unit_index_compact(&job), NGX_DONE);

    unit_index_place(&job, at, n);
}


/* the rows that no segment has, in memory */

static ngx_inline void
unit_index_recent(void)
{
    int64_t                    indexed;
    ngx_uint_t                 i;
    ngx_lyftr_buf_t            keys;
    ngx_lyftr_memtable_row_t   to;

    indexed = tree.nsegments ? tree.segments[tree.nsegments - 1].last : 0;

    ngx_memzero(&keys, sizeof(ngx_lyftr_buf_t));

    ngx_lyftr_memtable_lock(tree.memtable);
    (void) ngx_lyftr_memtable_last(tree.memtable, indexed);

    for (i = 0; i < nrows; i++) {

        if (rows[i].seq > indexed) {
            keys.len = 0;
            assert_int_equal(ngx_lyftr_key_row(&rows[i], &keys, &to), NGX_OK);
            assert_int_equal(ngx_lyftr_memtable_add(tree.memtable, &to),
                             NGX_OK);
        }
    }

    ngx_lyftr_memtable_unlock(tree.memtable);
    ngx_lyftr_buf_free(&keys);

    ngx_lyftr_memtable_leave(tree.memtable, &tree.view);
    assert_int_equal(ngx_lyftr_memtable_view(tree.memtable, &tree.view,
                                             indexed, tree.last), NGX_OK);
}


static ngx_inline ngx_uint_t
unit_index_bound(ngx_uint_t kind, ngx_str_t *key)
{
    ngx_uint_t  i;

    for (i = 0; i < nrows; i++) {
        if (ngx_lyftr_key_cmp(entries[kind][i].key, entries[kind][i].len,
                              key->data, key->len)
            >= 0)
        {
            break;
        }
    }

    return i;
}


/* from a place on there are so many entries, of these numbers */

static ngx_inline void
unit_index_rest(ngx_lyftr_merge_t *merge, ngx_uint_t kind, ngx_uint_t low,
    ngx_uint_t high, ngx_uint_t passed)
{
    ngx_uint_t         i, at;
    ngx_lyftr_entry_t  entry;

    for (i = low + passed; i < high; i++) {
        at = merge->desc ? high - 1 - (i - low) : i;

        assert_int_equal(ngx_lyftr_merge_next(&tree, merge, &entry, &err),
                         NGX_OK);
        assert_int_equal(entry.seq, entries[kind][at].seq);
        unit_equal_bytes(entry.key.data, entry.key.len,
                         entries[kind][at].key, entries[kind][at].len,
                         __LINE__);
    }

    assert_int_equal(ngx_lyftr_merge_next(&tree, merge, &entry, &err),
                     NGX_DONE);
}


/* a range, from each of its places on, by rank and by key */

static ngx_inline void
unit_index_range(ngx_uint_t kind, ngx_str_t *low, ngx_str_t *high,
    ngx_uint_t desc)
{
    int64_t            total;
    ngx_str_t          key;
    ngx_uint_t         from, to, i, at;
    ngx_lyftr_merge_t  merge;

    from = low->len ? unit_index_bound(kind, low) : 0;
    to = high->len ? unit_index_bound(kind, high) : nrows;

    assert_int_equal(ngx_lyftr_merge_open(&tree, &merge, kind, &err), NGX_OK);
    merge.desc = desc;

    for (i = 0; i <= to - from; i += 1 + (to - from) / 12) {
        assert_int_equal(ngx_lyftr_merge_range(&tree, &merge, low, high,
                                               &total, &err), NGX_OK);
        assert_int_equal(total, to - from);
        assert_int_equal(ngx_lyftr_merge_skip(&tree, &merge, i, &err),
                         NGX_OK);
        unit_index_rest(&merge, kind, from, to, i);

        if (i == to - from) {
            break;
        }

        /* after an entry: with a zero more it is the least that is greater */

        at = desc ? to - 1 - i : from + i;

        key.len = entries[kind][at].len + !desc;
        key.data = calloc(1, key.len + 1);
        ngx_memcpy(key.data, entries[kind][at].key, entries[kind][at].len);

        assert_int_equal(ngx_lyftr_merge_range(&tree, &merge, low, high,
                                               &total, &err), NGX_OK);
        assert_int_equal(ngx_lyftr_merge_after(&tree, &merge, &key, &err),
                         NGX_OK);
        unit_index_rest(&merge, kind, from, to, i + 1);

        free(key.data);
    }

    ngx_lyftr_merge_close(&merge);
}


/* keys of ids may be equal: they are looked for, and not listed */

static ngx_inline void
unit_index_all(void)
{
    u_char      low[64], high[64];
    ngx_str_t   l, h, none;
    ngx_uint_t  i, k;

    ngx_str_null(&none);

    for (k = 0; k < 2; k++) {
        for (i = 0; i < NGX_LYFTR_TREES; i++) {
            if (ngx_lyftr_trees[i].time) {
                unit_index_range(i, &none, &none, k);
            }
        }

        for (i = 0; i < unit_count(parts); i++) {
            l.data = low;
            l.len = ngx_lyftr_key_sender(low, &parts[i]) - low;
            h.data = high;
            h.len = ngx_lyftr_key_sender(high, &parts[i]) - high;
            high[h.len - 1] = 1;

            unit_index_range(NGX_LYFTR_TREE_SENDER, &l, &h, k);
            unit_index_range(NGX_LYFTR_TREE_SENDER, &none, &l, k);
        }

        for (i = 0; i < unit_count(instants); i++) {
            l.data = low;
            l.len = ngx_lyftr_key_instant(low, &instants[i]) - low;

            unit_index_range(NGX_LYFTR_TREE_TIME, &l, &none, k);
            unit_index_range(NGX_LYFTR_TREE_TIME, &none, &l, k);
        }
    }
}


static ngx_inline void
unit_index_known(void)
{
    uint64_t              hash;
    ngx_uint_t            i, n;
    ngx_lyftr_segment_t  *s;

    assert_int_equal(ngx_lyftr_filter_load_all(&tree, &err), NGX_OK);

    for (n = 0; n < tree.nsegments; n++) {
        s = &tree.segments[n];

        for (i = 0; i < nrows; i++) {
            hash = rows[i].hash;

            if (rows[i].seq > s->first && rows[i].seq <= s->last) {
                assert_true(ngx_lyftr_filter_has(s->filter, s->filter_len,
                                                 hash));
            }
        }
    }
}


/* parts of some rows, and one of many, which takes their place */

static ngx_inline void
unit_index_part(ngx_lyftr_part_t *part)
{
    ngx_int_t                rc;
    ngx_lyftr_search_add_t   add;

    ngx_memzero(&add, sizeof(ngx_lyftr_search_add_t));

    add.part = *part;
    add.seq = part->first;

    do {
        rc = ngx_lyftr_search_add_read(&tree, &add, &err);
    } while (rc == NGX_OK);

    assert_int_equal(rc, NGX_DONE);

    do {
        assert_int_equal(ngx_lyftr_search_add_blocks(&add, &err), NGX_OK);
        rc = ngx_lyftr_search_add_write(&tree, &add, &err);
    } while (rc == NGX_OK);

    assert_int_equal(rc, NGX_DONE);

    ngx_lyftr_search_add_free(&add);
}


/* the rows that contain a needle are those that do, however many parts */

static ngx_inline void
unit_index_search_all(void)
{
    int64_t              n, want;
    ngx_str_t            needle;
    ngx_uint_t           i, k, nparts;
    ngx_lyftr_bitmap_t   bits;
    ngx_lyftr_part_t     part[4];

    static const char  *needles[] = {
        "say", "needle 1", "z needle", "or a n", "nothing", "le", "y 7 or z"
    };

    for (i = 0; i < 4; i++) {
        part[i].id = i + 1;
        part[i].first = i * tree.last / 5;
        part[i].last = (i + 1) * tree.last / 5;

        (void) ngx_lyftr_search_sweep(&tree, part[i].id, &err);

        while (ngx_lyftr_search_sweep(&tree, part[i].id, &err) == NGX_OK) {
            /* void */
        }

        unit_index_part(&part[i]);
    }

    for (i = 0; i < unit_count(needles); i++) {

        needle.data = (u_char *) needles[i];
        needle.len = strlen(needles[i]);

        for (nparts = 0; nparts <= 4; nparts++) {
            ngx_memzero(&bits, sizeof(ngx_lyftr_bitmap_t));

            assert_int_equal(ngx_lyftr_search_match(&tree, &needle, part,
                                                    nparts, &bits, &err),
                             NGX_OK);

            for (k = 0, want = 0; k < nrows; k++) {
                n = rows[k].body.len
                    && memmem(rows[k].body.data, rows[k].body.len,
                              needle.data, needle.len) != NULL;
                want += n;

                assert_int_equal(ngx_lyftr_bitmap_has(&bits, rows[k].seq), n);
            }

            assert_int_equal(ngx_lyftr_bitmap_count(&bits), want);
            ngx_lyftr_bitmap_free(&bits);
        }
    }
}


#endif /* _UNIT_INDEX_H_INCLUDED_ */

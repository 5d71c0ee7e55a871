/* The index alone, when rows go: one by one, all up to a floor, and by days. */

#include "unit_index.h"


/* every third row is left out */

static ngx_uint_t
test_out(void *data, int64_t seq)
{
    return seq % 3 == 0;
}


static ngx_uint_t
test_up(void *data, int64_t seq)
{
    return seq <= *(int64_t *) data;
}


static ngx_uint_t
test_below(void *data, int64_t seq)
{
    return test_up(data, seq) && test_out(NULL, seq);
}


/* the rows that are left, in the log and in the arrays */

static void
test_forget(ngx_uint_t (*out)(void *data, int64_t seq), void *data)
{
    ngx_uint_t     i, n, kind;
    unit_entry_t  *e;

    for (kind = 0; kind < NGX_LYFTR_TREES; kind++) {
        e = entries[kind];

        for (i = 0, n = 0; i < nrows; i++) {
            if (out(data, e[i].seq)) {
                free(e[i].key);

            } else {
                e[n++] = e[i];
            }
        }
    }

    for (i = 0, n = 0; i < nrows; i++) {
        if (out(data, rows[i].seq)) {
            free(rows[i].message_id.data);
            free(rows[i].body.data);

        } else {
            rows[n++] = rows[i];
        }
    }

    nrows = n;
    held.nrows = n;
}


/* a compaction of some segments, and of one, without some of their rows */

static void
test_leave(void **state)
{
    ngx_uint_t               i, n, round;
    ngx_lyftr_leave_t        leave;
    ngx_lyftr_segment_t      whole;
    ngx_lyftr_compaction_t   job;

    for (round = 0; round < 6; round++) {
        seed = 10 + round;
        unit_index_begin(300);

        for (i = 0; i < NGX_LYFTR_FANOUT; i++) {
            unit_index_flush((i + 1) * 8 * NGX_LYFTR_CHUNK);
        }

        n = round % 2 ? 1 : NGX_LYFTR_FANOUT;
        whole = tree.segments[0];
        whole.last = tree.segments[n - 1].last;

        ngx_memzero(&job, sizeof(ngx_lyftr_compaction_t));
        ngx_memzero(&leave, sizeof(ngx_lyftr_leave_t));

        leave.out = test_out;

        for (i = 0; i < nrows && rows[i].seq <= whole.last; i++) {
            if (rows[i].seq % 3 == 0) {
                leave.rows++;
                leave.sum += rows[i].sum;
            }
        }

        /* what is said not to be there must be what is left out */

        leave.rows += (round == 2) - (round == 3);

        assert_int_equal(ngx_lyftr_compaction_merge(&tree, &job, ++number,
                                                    tree.segments, n, &leave,
                                                    &err), NGX_OK);
        if (round == 2 || round == 3) {
            assert_int_equal(unit_index_compact(&job), NGX_ERROR);
            assert_int_equal(err.code, NGX_LYFTR_ERR_CORRUPT);
            ngx_lyftr_compaction_free(&job);
            unit_index_end();
            continue;
        }

        assert_int_equal(unit_index_compact(&job), NGX_DONE);
        assert_int_equal(job.segment.level, n > 1);

        for (i = 0; i < nrows && rows[i].seq <= whole.last; i++) {
            job.segment.sum -= rows[i].seq % 3 ? rows[i].sum : 0;
        }

        assert_int_equal(job.segment.sum, 0);

        unit_index_place(&job, 0, n);
        test_forget(test_below, &whole.last);
        unit_index_recent();
        unit_index_all();
        unit_index_known();
        unit_index_end();
    }
}


/* what is up to the floor is in no list, though its segments are */

static void
test_floor(void **state)
{
    ngx_uint_t  i;

    seed = 5;
    unit_index_begin(300);

    for (i = 0; i < 5; i++) {
        unit_index_flush((i + 1) * 4 * NGX_LYFTR_CHUNK);
    }

    tree.floor = tree.segments[1].last;
    test_forget(test_up, &tree.floor);

    unit_index_recent();
    unit_index_all();
    unit_index_search_all();

    tree.floor = tree.segments[4].last;
    test_forget(test_up, &tree.floor);

    unit_index_recent();
    unit_index_all();
    unit_index_search_all();
    unit_index_end();
}


/* of a sender, and of a list, those that older segments have */

static ngx_str_t   *gone;
static int64_t      gone_to;


static ngx_uint_t
test_listed(int64_t seq)
{
    return seq % 5 == 0 && seq <= gone_to;
}


static ngx_uint_t
test_erased_row(void *data, int64_t seq)
{
    ngx_uint_t  i;

    if (test_listed(seq)) {
        return 1;
    }

    for (i = 0; i < nrows && rows[i].seq < seq; i++) { /* void */ }

    return seq <= gone_to && rows[i].from.len == gone->len
           && ngx_memcmp(rows[i].from.data, gone->data, gone->len) == 0;
}


/* bits of what is there, whatever was set */

static void
test_bits(void)
{
    int64_t              n;
    ngx_str_t            none;
    ngx_uint_t           i;
    ngx_lyftr_merge_t    merge;
    ngx_lyftr_bitmap_t   bits, all;

    ngx_str_null(&none);
    ngx_memzero(&bits, sizeof(ngx_lyftr_bitmap_t));
    ngx_memzero(&all, sizeof(ngx_lyftr_bitmap_t));

    assert_int_equal(ngx_lyftr_merge_open(&tree, &merge, NGX_LYFTR_TREE_TIME,
                                          &err), NGX_OK);
    assert_int_equal(ngx_lyftr_merge_range(&tree, &merge, &none, &none, &n,
                                           &err), NGX_OK);
    assert_int_equal(n, nrows);

    assert_int_equal(ngx_lyftr_bitmap_range(&tree, &bits, &merge, &err),
                     NGX_OK);
    assert_int_equal(ngx_lyftr_bitmap_reach(&tree, &all, &err), NGX_OK);
    ngx_memset(all.words, 0xff,
               (ngx_lyftr_bitmap_at(&all, all.last) + 1) * sizeof(uint64_t));
    assert_int_equal(ngx_lyftr_bitmap_narrow(&tree, &all, &merge, &err),
                     NGX_OK);

    for (i = 0; i < nrows; i++) {
        assert_true(ngx_lyftr_bitmap_has(&bits, rows[i].seq));
        assert_true(ngx_lyftr_bitmap_has(&all, rows[i].seq));
    }

    assert_int_equal(ngx_lyftr_bitmap_count(&bits), nrows);
    assert_int_equal(ngx_lyftr_bitmap_count(&all), nrows);

    ngx_lyftr_bitmap_free(&bits);
    ngx_lyftr_bitmap_free(&all);
    ngx_lyftr_merge_close(&merge);
}


/* takes them out of the arrays; segments still have them */

static ngx_lyftr_row_t  gone_rows[UNIT_INDEX_ROWS];
static ngx_uint_t       ngone;


static ngx_uint_t
test_gone(void *data, int64_t seq)
{
    ngx_uint_t  i;

    for (i = 0; i < ngone; i++) {
        if (gone_rows[i].seq == seq) {
            return 1;
        }
    }

    return 0;
}


static void
test_keep(ngx_uint_t (*out)(void *data, int64_t seq))
{
    ngx_uint_t     i, n, kind;
    unit_entry_t  *e;

    for (i = 0, ngone = 0; i < nrows; i++) {
        if (out(NULL, rows[i].seq)) {
            gone_rows[ngone++] = rows[i];
        }
    }

    for (kind = 0; kind < NGX_LYFTR_TREES; kind++) {
        e = entries[kind];

        for (i = 0, n = 0; i < nrows; i++) {
            if (test_gone(NULL, e[i].seq)) {
                free(e[i].key);

            } else {
                e[n++] = e[i];
            }
        }
    }

    for (i = 0, n = 0; i < nrows; i++) {
        if (!test_gone(NULL, rows[i].seq)) {
            rows[n++] = rows[i];
        }
    }

    nrows = n;
    held.nrows = n;
}


/* the sender may have most of the rows, so that runs are long */

static void
test_erased_begin(ngx_uint_t share)
{
    ngx_uint_t  i, k;

    for (i = 0; share && i < nrows; i++) {
        if (i % 16 < share * 7) {
            rows[i].from = *gone;
        }
    }

    for (i = 0; i < nrows; i++) {
        for (k = 0; k < NGX_LYFTR_TREES; k++) {
            free(entries[k][i].key);
        }
    }

    unit_index_entries();
}


/* a segment is made anew, without them */

static void
test_erased_make(ngx_uint_t k)
{
    ngx_uint_t              i;
    ngx_lyftr_leave_t       leave;
    ngx_lyftr_compaction_t  job;

    ngx_memzero(&job, sizeof(ngx_lyftr_compaction_t));
    ngx_memzero(&leave, sizeof(ngx_lyftr_leave_t));

    leave.out = test_gone;

    for (i = 0; i < ngone; i++) {
        if (gone_rows[i].seq > tree.segments[k].first
            && gone_rows[i].seq <= tree.segments[k].last)
        {
            leave.rows++;
            leave.sum += gone_rows[i].sum;
        }
    }

    assert_int_equal(ngx_lyftr_compaction_merge(&tree, &job, ++number,
                                                &tree.segments[k], 1, &leave,
                                                &err), NGX_OK);
    assert_int_equal(unit_index_compact(&job), NGX_DONE);
    unit_index_place(&job, k, 1);
}


static void
test_erased(void **state)
{
    u_char                     part[64];
    ngx_uint_t                 i, k, round, nlist;
    ngx_lyftr_buf_t            keys[UNIT_INDEX_ROWS];
    ngx_lyftr_erased_t         erased[2];
    ngx_lyftr_memtable_row_t   list[UNIT_INDEX_ROWS];

    for (round = 0; round < 3 * unit_count(parts); round++) {
        seed = 30 + round;
        unit_index_begin(300);

        gone = &parts[round % unit_count(parts)];

        test_erased_begin(round % 3);

        for (i = 0; i < 4; i++) {
            unit_index_flush((i + 1) * 8 * NGX_LYFTR_CHUNK);
        }

        ngx_memzero(erased, sizeof(erased));
        gone_to = tree.segments[3].last;
        erased[0].number = number + 1;
        erased[0].part.data = part;
        erased[0].part.len = ngx_lyftr_key_sender(part, gone) - part;
        erased[1].number = number + 1;
        tree.erased = erased;
        tree.nerased = 2;

        for (i = 0, nlist = 0; i < nrows; i++) {
            if (test_listed(rows[i].seq)
                && (rows[i].from.len != gone->len
                    || ngx_memcmp(rows[i].from.data, gone->data, gone->len)))
            {
                ngx_memzero(&keys[nlist], sizeof(ngx_lyftr_buf_t));
                assert_int_equal(ngx_lyftr_key_row(&rows[i], &keys[nlist],
                                                   &list[nlist]), NGX_OK);
                nlist++;
            }
        }

        /* a segment after the other is made without them */

        for (k = 0; k <= 4; k++) {

            assert_int_equal(ngx_lyftr_erased_sort(&tree, &erased[1], list,
                                                   nlist, &err), NGX_OK);

            if (k == 0) {
                test_keep(test_erased_row);
            }

            unit_index_recent();
            unit_index_all();
            test_bits();

            if (k == 4) {
                break;
            }

            test_erased_make(k);
        }

        tree.nerased = 0;
        unit_index_all();

        ngx_lyftr_erased_free(&erased[1]);

        while (nlist) {
            ngx_lyftr_buf_free(&keys[--nlist]);
        }

        unit_index_end();

        while (ngone) {
            ngone--;
            free(gone_rows[ngone].message_id.data);
            free(gone_rows[ngone].body.data);
        }
    }
}


/* of each sender of a segment, in order, as many rows as there are */

static void
test_tally(void **state)
{
    u_char                before[128], key[128];
    size_t                len, nbefore;
    int64_t               n, last, all, here;
    ngx_int_t             rc;
    ngx_str_t             sender;
    ngx_uint_t            i, round, max;
    ngx_lyftr_tally_t     tally;
    ngx_lyftr_segment_t  *s;

    ngx_memzero(&tally, sizeof(ngx_lyftr_tally_t));

    for (round = 0; round < 12; round++) {
        seed = 40 + round;
        unit_index_begin(300);
        unit_index_flush(16 * NGX_LYFTR_CHUNK);

        s = tree.segments;
        last = round % 3 ? rand_r(&seed) % s->last : s->last;
        max = round % 2 ? 1 : 1000;
        nbefore = 0;

        assert_int_equal(ngx_lyftr_tally_begin(&tree, &tally, s, last, &err),
                         NGX_OK);

        for (all = 0; /* void */ ; all += n) {

            do {
                rc = ngx_lyftr_tally_next(&tree, &tally, max, &sender, &n,
                                          &err);
            } while (rc == NGX_AGAIN);

            if (rc == NGX_DONE) {
                break;
            }

            assert_int_equal(rc, NGX_OK);

            len = ngx_lyftr_key_sender(key, &sender) - key;
            assert_true(ngx_lyftr_key_cmp(before, nbefore, key, len) < 0);
            ngx_memcpy(before, key, len);
            nbefore = len;

            for (i = 0, here = 0; i < nrows && rows[i].seq <= last; i++) {
                here += (ngx_lyftr_key_cmp(rows[i].from.data, rows[i].from.len,
                                           sender.data, sender.len)
                         == 0);
            }

            assert_int_equal(n, here);
        }

        for (i = 0, here = 0; i < nrows && rows[i].seq <= last; i++) {
            here++;
        }

        assert_int_equal(all, here);

        ngx_lyftr_tally_free(&tally);
        unit_index_end();
    }
}


static ngx_uint_t
test_day(void *data, ngx_lyftr_segment_t *one, ngx_lyftr_segment_t *two)
{
    int64_t  *day = data;

    return (one->last - 1) / *day != (two->last - 1) / *day;
}


static void
test_levels(void **state)
{
    ngx_uint_t            i, level;
    ngx_lyftr_policy_t    policy;
    ngx_lyftr_segment_t   s[2 * NGX_LYFTR_FANOUT];

    ngx_memzero(&tree, sizeof(ngx_lyftr_index_t));
    ngx_memzero(&policy, sizeof(ngx_lyftr_policy_t));
    ngx_memzero(s, sizeof(s));

    tree.segments = s;
    tree.nsegments = 2 * NGX_LYFTR_FANOUT;
    policy.share = 1;

    for (level = 0; level <= NGX_LYFTR_LEVELS; level++) {

        for (i = 0; i < tree.nsegments; i++) {
            s[i].level = level;
            s[i].rows = 100;
        }

        /* there is a highest one */

        assert_ptr_equal(ngx_lyftr_policy_merge(&tree, &policy),
                         level < NGX_LYFTR_LEVELS ? s : NULL);
    }
}


/* neighbours of a level become one, but for those of two days */

static void
test_policy(void **state)
{
    int64_t               day;
    ngx_uint_t            i, n;
    ngx_lyftr_policy_t    policy;
    ngx_lyftr_segment_t  *from, s[3 * NGX_LYFTR_FANOUT];

    n = 2 * NGX_LYFTR_FANOUT;

    ngx_memzero(&tree, sizeof(ngx_lyftr_index_t));
    ngx_memzero(&policy, sizeof(ngx_lyftr_policy_t));
    ngx_memzero(s, sizeof(s));

    for (i = 0; i < n; i++) {
        s[i].id = i + 1;
        s[i].first = i * 100;
        s[i].last = i * 100 + 100;
        s[i].rows = 100;
    }

    tree.segments = s;
    policy.share = 1;

    for (i = 0; i <= n; i++) {
        tree.nsegments = i;
        from = ngx_lyftr_policy_merge(&tree, &policy);
        assert_ptr_equal(from, i < NGX_LYFTR_FANOUT ? NULL : s);
    }

    policy.share = 3;
    assert_null(ngx_lyftr_policy_merge(&tree, &policy));
    policy.share = 2;
    assert_ptr_equal(ngx_lyftr_policy_merge(&tree, &policy), s);

    policy.from = 3;
    assert_ptr_equal(ngx_lyftr_policy_merge(&tree, &policy), s + 2);
    policy.from = 0;

    s[1].level = 1;
    assert_ptr_equal(ngx_lyftr_policy_merge(&tree, &policy), s + 2);
    s[1].level = 0;
    s[0].ties = 1;
    assert_ptr_equal(ngx_lyftr_policy_merge(&tree, &policy), s + 1);
    s[0].ties = 0;

    /* a day ends with the second segment, and after FANOUT more */

    policy.apart = test_day;
    policy.data = &day;
    policy.share = 1;
    day = 200;
    assert_ptr_equal(ngx_lyftr_policy_merge(&tree, &policy), s);
    assert_int_equal(policy.n, 2);

    day = NGX_LYFTR_FANOUT * 100;
    assert_ptr_equal(ngx_lyftr_policy_merge(&tree, &policy), s);
    assert_int_equal(policy.n, NGX_LYFTR_FANOUT);

    s[0].level = 1;
    assert_ptr_equal(ngx_lyftr_policy_merge(&tree, &policy),
                     s + NGX_LYFTR_FANOUT);

    /* what follows a day is its end: then all of it becomes one */

    s[NGX_LYFTR_FANOUT].level = 1;
    assert_ptr_equal(ngx_lyftr_policy_merge(&tree, &policy), s);
    assert_int_equal(policy.n, NGX_LYFTR_FANOUT);
    policy.share = 3;
    assert_null(ngx_lyftr_policy_merge(&tree, &policy));
    policy.share = 1;

    tree.nsegments = NGX_LYFTR_FANOUT;
    assert_null(ngx_lyftr_policy_merge(&tree, &policy));

    /* of so many rows, the last ones first, and none that are leaving */

    day = (n - 1) * 100;
    tree.nsegments = n;
    s[1].level = 2;
    s[n - 3].level = 1;
    from = ngx_lyftr_policy_merge(&tree, &policy);
    assert_ptr_equal(from, s + n - 1 - NGX_LYFTR_FANOUT);

    policy.after = s[n - 3].first;
    assert_ptr_equal(ngx_lyftr_policy_merge(&tree, &policy), s + n - 3);
    assert_int_equal(policy.n, 2);

    policy.after = s[n - 2].first;
    assert_null(ngx_lyftr_policy_merge(&tree, &policy));

    ngx_memzero(&tree, sizeof(ngx_lyftr_index_t));
}


/* counts rise and fall; what is not among the largest is not known */

static void
test_top(void **state)
{
    char              name[8];
    int64_t           count[30];
    ngx_int_t         rc;
    ngx_str_t         sender;
    ngx_uint_t        i, k, n, at;
    ngx_lyftr_top_t   top;

    seed = 6;
    ngx_memzero(&top, sizeof(ngx_lyftr_top_t));
    ngx_memzero(count, sizeof(count));

    for (i = 0; i < 4000; i++) {
        k = rand_r(&seed) % (i < 60 ? 5 : 30);
        count[k] = rand_r(&seed) % 3 ? count[k] + 1 + rand_r(&seed) % 9
                                     : 1 + rand_r(&seed) % (count[k] + 1);

        sender.len = sprintf(name, "%02d", (int) k);
        sender.data = (u_char *) name;

        rc = ngx_lyftr_top_rank(&top, &sender, count[k]);

        if (rc == NGX_DECLINED) {
            ngx_lyftr_top_free(&top);

            for (n = 0; n < 30; n++) {
                sender.len = sprintf(name, "%02d", (int) n);

                if (count[n]) {
                    assert_int_equal(ngx_lyftr_top_rank(&top, &sender,
                                                        count[n]), NGX_OK);
                }
            }

        } else {
            assert_int_equal(rc, NGX_OK);
        }

        /* each is the first of those that none before it is */

        for (n = 0; n < top.n; n++) {

            for (at = 0, k = 0; k < 30; k++) {
                at += count[k] > top.count[n];
            }

            assert_true(at <= n);
            assert_true(n == 0 || top.count[n] <= top.count[n - 1]);

            k = (top.sender[n].data[0] - '0') * 10 + top.sender[n].data[1]
                - '0';
            assert_int_equal(count[k], top.count[n]);
        }
    }

    ngx_lyftr_top_free(&top);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_leave),
        cmocka_unit_test(test_floor),
        cmocka_unit_test(test_erased),
        cmocka_unit_test(test_tally),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_top)
    };

    return cmocka_run_group_tests_name("index_deletes", tests, NULL, NULL);
}

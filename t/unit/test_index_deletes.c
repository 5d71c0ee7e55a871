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


static ngx_uint_t
test_day(void *data, ngx_lyftr_segment_t *one, ngx_lyftr_segment_t *two)
{
    int64_t  *day = data;

    return (one->last - 1) / *day != (two->last - 1) / *day;
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
    day = 200;
    assert_null(ngx_lyftr_policy_merge(&tree, &policy));

    day = NGX_LYFTR_FANOUT * 100;
    assert_ptr_equal(ngx_lyftr_policy_merge(&tree, &policy), s);

    s[0].level = 1;
    assert_ptr_equal(ngx_lyftr_policy_merge(&tree, &policy),
                     s + NGX_LYFTR_FANOUT);

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
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_top)
    };

    return cmocka_run_group_tests_name("index_deletes", tests, NULL, NULL);
}

/* The rows in memory: what is added, seen, sorted and forgotten. */

#include "unit_store.h"

#include <pthread.h>


#define TEST_ROWS    4000


static void                *shared;
static ngx_lyftr_memtable_t  *memtable;
static int64_t              committed;     /* what readers may want */
static int64_t              indexed;


/* a key that tells the number, and sorts otherwise */

static ngx_int_t
test_add(int64_t seq)
{
    u_char                     key[64];
    ngx_uint_t                 i;
    ngx_lyftr_memtable_row_t   row;

    row.seq = seq;
    row.key = key;
    row.size = sprintf((char *) key, "+%ld.%016lx", (long) seq % 7,
                       (unsigned long) seq * 0x9e3779b97f4a7c15);
    row.id = row.size;
    row.nid = 0;

    for (i = 0; i < NGX_LYFTR_TREES; i++) {
        row.at[i] = (i == NGX_LYFTR_TREE_SENDER) ? 0 : 3;
        row.len[i] = row.size - row.at[i];
    }

    return ngx_lyftr_memtable_add(memtable, &row);
}


static int64_t
test_last(int64_t seq)
{
    int64_t  last;

    ngx_lyftr_memtable_lock(memtable);
    last = ngx_lyftr_memtable_last(memtable, seq);
    ngx_lyftr_memtable_unlock(memtable);

    return last;
}


/* each row once and in order, and all kinds sorted */

static ngx_uint_t
test_view(ngx_lyftr_view_t *view, int64_t from, int64_t to)
{
    int                        rc;
    size_t                     len[2];
    u_char                    *key[2];
    int64_t                    seq;
    uint32_t                  *order;
    ngx_uint_t                 i, k, kind, own;
    ngx_lyftr_memtable_row_t  *rows, *row[2];

    for (i = 0, seq = from; i < view->nchunks; i++) {
        rows = view->chunks[i].row;

        for (k = 0; k < view->chunks[i].n; k++) {
            if (rows[k].seq != ++seq) {
                return 0;
            }
        }

        for (kind = 0; kind < NGX_LYFTR_TREES; kind++) {
            order = ngx_lyftr_memtable_order(memtable, &view->chunks[i], kind,
                                             &own);

            for (k = 1; k < view->chunks[i].n; k++) {
                row[0] = &rows[order[k - 1]];
                row[1] = &rows[order[k]];

                key[0] = ngx_lyftr_memtable_key(row[0], kind, &len[0]);
                key[1] = ngx_lyftr_memtable_key(row[1], kind, &len[1]);
                rc = ngx_lyftr_key_cmp(key[0], len[0], key[1], len[1]);

                if (rc >= 0) {
                    return 0;
                }
            }

            if (own) {
                free(order);
            }
        }
    }

    return seq == to && view->rows == to - from;
}


static int
test_setup(void **state)
{
    shared = NULL;
    memtable = ngx_lyftr_memtable_attach(&shared);
    committed = 0;
    indexed = 0;

    return memtable ? 0 : -1;
}


static int
test_teardown(void **state)
{
    ngx_lyftr_memtable_detach(&shared);

    return shared ? -1 : 0;
}


static void
test_rows(void **state)
{
    int64_t            seq, last;
    ngx_lyftr_view_t   view, old;

    ngx_memzero(&view, sizeof(ngx_lyftr_view_t));
    ngx_memzero(&old, sizeof(ngx_lyftr_view_t));

    assert_int_equal(test_last(0), 0);

    for (seq = 1; seq <= 200; seq++) {
        assert_int_equal(test_add(seq), NGX_OK);
        assert_int_equal(test_add(seq), NGX_OK);
        assert_int_equal(test_last(0), seq);
    }

    for (last = 0; last <= 200; last++) {
        for (seq = 0; seq <= last; seq += 1 + last / 20) {
            assert_int_equal(ngx_lyftr_memtable_view(memtable, &view, seq,
                                                     last),
                             NGX_OK);
            assert_true(test_view(&view, seq, last));
            ngx_lyftr_memtable_leave(memtable, &view);
        }
    }

    /* what a view has stays, and what was indexed before stays to be seen */

    assert_int_equal(ngx_lyftr_memtable_view(memtable, &old, 0, 199), NGX_OK);
    assert_int_equal(test_last(64), 200);
    assert_int_equal(ngx_lyftr_memtable_view(memtable, &view, 0, 200), NGX_OK);
    assert_true(test_view(&view, 0, 200));
    ngx_lyftr_memtable_leave(memtable, &view);

    assert_int_equal(test_last(128), 200);
    assert_int_equal(ngx_lyftr_memtable_view(memtable, &view, 0, 200),
                     NGX_DECLINED);
    assert_int_equal(view.nchunks, 0);
    assert_int_equal(ngx_lyftr_memtable_view(memtable, &view, 64, 200), NGX_OK);
    assert_true(test_view(&view, 64, 200));
    ngx_lyftr_memtable_leave(memtable, &view);

    assert_true(test_view(&old, 0, 199));
    ngx_lyftr_memtable_leave(memtable, &old);

    /* one who comes late finds that nothing is there */

    assert_int_equal(test_last(1024), 1024);
    assert_int_equal(ngx_lyftr_memtable_view(memtable, &view, 128, 1024),
                     NGX_DECLINED);
    assert_int_equal(test_add(1025), NGX_OK);
    assert_int_equal(ngx_lyftr_memtable_view(memtable, &view, 1024, 1025),
                     NGX_OK);
    assert_true(test_view(&view, 1024, 1025));
    ngx_lyftr_memtable_leave(memtable, &view);

    ngx_lyftr_memtable_view_free(&view);
    ngx_lyftr_memtable_view_free(&old);
}


static void *
test_reader(void *data)
{
    int64_t            from, to;
    ngx_int_t          rc;
    ngx_lyftr_view_t   view;

    ngx_memzero(&view, sizeof(ngx_lyftr_view_t));

    do {
        to = __atomic_load_n(&committed, __ATOMIC_SEQ_CST);
        from = __atomic_load_n(&indexed, __ATOMIC_SEQ_CST);

        rc = ngx_lyftr_memtable_view(memtable, &view, from, ngx_max(from, to));

        if (rc == NGX_OK && from < to && !test_view(&view, from, to)) {
            return "a view is wrong";
        }

        ngx_lyftr_memtable_leave(memtable, &view);

    } while (to < TEST_ROWS);

    ngx_lyftr_memtable_view_free(&view);

    return NULL;
}


/* several threads read while one adds, and old rows go */

static void
test_threads(void **state)
{
    void        *fault;
    int64_t      seq;
    pthread_t    t[3];
    ngx_uint_t   i;

    for (i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&t[i], NULL, test_reader, NULL), 0);
    }

    for (seq = 1; seq <= TEST_ROWS; seq++) {
        ngx_lyftr_memtable_lock(memtable);
        assert_int_equal(test_add(seq), NGX_OK);
        ngx_lyftr_memtable_unlock(memtable);

        __atomic_store_n(&committed, seq, __ATOMIC_SEQ_CST);

        if (seq % NGX_LYFTR_SEGMENT == 20 && seq > 300) {
            __atomic_store_n(&indexed, seq - 20 - 192, __ATOMIC_SEQ_CST);
            assert_int_equal(test_last(seq - 20 - 192), seq);
        }
    }

    for (i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(t[i], &fault), 0);

        if (fault) {
            fail_msg("%s", (char *) fault);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup_teardown(test_rows, test_setup, test_teardown),
        cmocka_unit_test_setup_teardown(test_threads, test_setup,
                                        test_teardown)
    };

    return cmocka_run_group_tests_name("memtable", tests, NULL, NULL);
}

/* Who has which slot of the zone, over reloads that work, fail and overlap. */

#include "unit_zone.h"


/* a server that runs with paths of which each has counted its number */

static void
test_serve(ngx_uint_t number)
{
    ngx_uint_t  i;

    ngx_last_process = 0;
    log_unused.log_level = NGX_LOG_EMERG;

    test_begin(0);
    test_paths(0, 'a', number);
    assert_int_equal(test_map(0, 0), NGX_OK);
    ngx_lyftr_zone_commit(&confs[0].zone);

    for (i = 0; i <= number; i++) {
        test_path(0, i)->n[1] = i + 1;
    }
}


static void
test_reload(ngx_uint_t n, char prefix, ngx_uint_t number)
{
    test_begin(n);
    test_paths(n, prefix, number);
    assert_int_equal(test_map(n, 1), NGX_OK);
    ngx_lyftr_zone_commit(&confs[n].zone);
}


static void
test_workers(ngx_uint_t exiting)
{
    ngx_memzero(ngx_processes, sizeof(ngx_processes));

    ngx_last_process = 3;
    ngx_processes[0].pid = 100;
    ngx_processes[0].exiting = exiting;
    ngx_processes[1].pid = -1;
    ngx_processes[1].exiting = 1;
    ngx_processes[2].pid = 102;

    /* of one that is forgotten */

    ngx_processes[3].pid = 103;
    ngx_processes[3].exiting = 1;
}


/* a reload that fails later has changed nothing */

static void
test_failed(void **state)
{
    ngx_uint_t  i;

    test_serve(TEST_MAX - 1);

    ngx_memcpy(before, shared, sizeof(shared));

    test_begin(1);
    test_paths(1, 'b', TEST_MAX - 1);
    assert_int_equal(test_map(1, 1), NGX_OK);

    assert_memory_equal(shared, before, sizeof(shared));

    /* the one after it works, and none counts where another does */

    test_reload(1, 'c', TEST_MAX - 1);

    for (i = 0; i < TEST_MAX; i++) {
        assert_int_equal(test_path(0, i)->n[1], i + 1);
        assert_int_equal(test_path(1, i)->n[1], i ? 0 : 1);
    }
}


/* labels that stay keep their counters wherever they stand now */

static void
test_kept(void **state)
{
    test_serve(3);

    test_begin(1);
    (void) test_label(1, TEST_PATH, "other", 5);
    (void) test_label(1, TEST_PATH, "/new", 4);
    (void) test_label(1, TEST_PATH, "/a2", 3);

    assert_int_equal(test_map(1, 1), NGX_OK);
    ngx_lyftr_zone_commit(&confs[1].zone);

    assert_int_equal(test_path(1, 0)->n[1], 1);
    assert_int_equal(test_path(1, 1)->n[1], 0);
    assert_int_equal(test_path(1, 2)->n[1], 4);
}


/* the name of a secret is not found among the paths, nor of a store there */

static void
test_kinds(void **state)
{
    u_char       *secret, *store;
    test_path_t  *path;

    ngx_last_process = 0;
    log_unused.log_level = NGX_LOG_EMERG;

    test_begin(0);
    (void) test_label(0, TEST_SECRET, "same", 4);
    (void) test_label(0, TEST_STORE, "alike", 5);
    assert_int_equal(test_map(0, 0), NGX_OK);
    ngx_lyftr_zone_commit(&confs[0].zone);

    test_begin(1);
    (void) test_label(1, TEST_PATH, "same", 4);
    (void) test_label(1, TEST_SECRET, "alike", 5);
    assert_int_equal(test_map(1, 1), NGX_OK);
    ngx_lyftr_zone_commit(&confs[1].zone);

    /* each has what its kind has room for, and none meets what has no label */

    path = test_path(1, 0);
    secret = ngx_lyftr_zone_data(&confs[1].zone, TEST_SECRET, 0);
    store = ngx_lyftr_zone_data(&confs[0].zone, TEST_STORE, 0);

    assert_true((u_char *) confs[1].zone.data + sizeof(ngx_atomic_t)
                <= (u_char *) path);
    assert_true((u_char *) (path + 1) <= secret);
    assert_true(secret + 1 <= store);
    assert_true((uintptr_t) store % sizeof(ngx_atomic_t) == 0);

    ngx_memset(path, 1, sizeof(test_path_t));
    ngx_memset(secret, 1, 1);
    ngx_memset(store, 1, 12);
    ngx_memset(confs[1].zone.data, 1, sizeof(ngx_atomic_t));

    test_begin(0);
    (void) test_label(0, TEST_STORE, "alike", 5);
    (void) test_label(0, TEST_SECRET, "alike", 5);
    (void) test_label(0, TEST_PATH, "same", 4);
    assert_int_equal(test_map(0, 1), NGX_OK);

    assert_ptr_equal(test_path(0, 0), path);
    assert_ptr_equal(ngx_lyftr_zone_data(&confs[0].zone, TEST_SECRET, 0),
                     secret);
    assert_ptr_equal(ngx_lyftr_zone_data(&confs[0].zone, TEST_STORE, 0),
                     store);
}


/*
 * Configurations with other labels each: what the last two have is never given
 * away, nor what a worker may have that has not exited yet.
 */

static void
test_full(void **state)
{
    ngx_uint_t  i, n, round;

    test_serve(TEST_MAX - 1);
    test_workers(0);

    for (round = 1; round < 6; round++) {
        n = round % 2;

        test_begin(n);
        test_paths(n, 'a' + round, TEST_MAX - 1);
        assert_int_equal(test_map(n, 1), NGX_OK);

        for (i = 1; i < TEST_MAX; i++) {
            assert_ptr_not_equal(test_path(0, i), test_path(1, i));
            assert_int_equal(test_path(!n, i)->n[1], i + 1);
        }

        ngx_lyftr_zone_commit(&confs[n].zone);

        for (i = 1; i < TEST_MAX; i++) {
            assert_int_equal(test_path(n, i)->n[1], 0);
            test_path(n, i)->n[1] = i + 1;
        }
    }

    assert_int_equal(test_path(1, 0)->n[1], 1);
}


static void
test_exiting(void **state)
{
    ngx_uint_t  i;

    test_serve(TEST_MAX - 1);
    test_workers(0);

    test_reload(1, 'b', TEST_MAX - 1);

    /* a worker that is exiting may have the first configuration */

    test_workers(1);

    test_begin(0);
    test_paths(0, 'c', TEST_MAX - 1);
    ngx_memcpy(before, shared, sizeof(shared));
    told = 0;

    assert_int_equal(test_map(0, 1), NGX_ERROR);
    assert_int_equal(told, 1);
    assert_memory_equal(shared, before, sizeof(shared));

    /* there is one slot that was never taken, the last, and it is kept */

    test_begin(0);
    test_paths(0, 'c', 2);
    assert_int_equal(test_map(0, 1), NGX_ERROR);

    test_reload(0, 'c', 1);
    test_path(0, 1)->n[1] = 77;

    test_reload(1, 'c', 1);
    assert_int_equal(test_path(1, 1)->n[1], 77);

    /* it has gone, though the master has not heard of it yet */

    ngx_processes[0].exited = 1;
    test_reload(0, 'c', 1);

    test_reload(0, 'c', TEST_MAX - 1);

    for (i = 2; i < TEST_MAX; i++) {
        assert_int_equal(test_path(0, i)->n[1], 0);
    }
}


/* what had left before a worker began to exit may be given away meanwhile */

static void
test_exiting_later(void **state)
{
    test_serve(TEST_MAX - 1);
    test_workers(0);

    test_reload(1, 'b', TEST_MAX - 1);
    test_reload(0, 'b', TEST_MAX - 1);

    test_workers(1);

    test_reload(1, 'c', TEST_MAX - 1);
    assert_int_equal(test_path(1, 1)->n[1], 0);
}


/* the label that has left for the longest time gives up its slot */

static void
test_longest(void **state)
{
    ngx_uint_t  i;

    test_serve(TEST_MAX - 1);
    test_workers(0);

    test_reload(1, 'b', TEST_MAX - 1);

    for (i = 1; i < TEST_MAX; i++) {
        test_path(1, i)->n[1] = i + 1;
    }

    test_reload(0, 'c', 1);
    test_reload(1, 'd', 2);
    test_reload(0, 'b', TEST_MAX - 1);

    for (i = 1; i < TEST_MAX; i++) {
        assert_int_equal(test_path(0, i)->n[1], i + 1);
    }
}


/* reloads while the same worker is exiting: it may have any since */

static void
test_exiting_long(void **state)
{
    test_path_t  *first;

    test_serve(TEST_MAX / 2);
    test_workers(0);
    first = test_path(0, 1);

    test_reload(1, 'b', TEST_MAX / 2);

    test_workers(1);

    test_reload(0, 'c', TEST_MAX / 2);

    test_begin(1);
    test_paths(1, 'd', TEST_MAX - 1);
    assert_int_equal(test_map(1, 1), NGX_ERROR);

    assert_int_equal(first->n[1], 2);
}


/* a name that is too long, empty, or one too many */

static void
test_labels(void **state)
{
    char        name[NGX_LYFTR_LABEL_LEN + 1];
    ngx_int_t   other;
    ngx_uint_t  i;

    ngx_memset(name, 'x', sizeof(name));

    test_begin(0);
    told = 0;

    assert_int_equal(test_label(0, TEST_PATH, "other", 5), 0);
    assert_int_equal(test_label(0, TEST_PATH, "", 0), 0);
    assert_int_equal(test_label(0, TEST_PATH, name, sizeof(name)),
                     0);
    assert_int_equal(test_label(0, TEST_PATH, name,
                                sizeof(name) - 1), 1);
    assert_int_equal(test_label(0, TEST_PATH, name,
                                sizeof(name) - 1), 1);
    assert_int_equal(test_label(0, TEST_PATH, name,
                                sizeof(name) - 2), 2);

    for (i = 0; i < TEST_MAX - 1; i++) {
        (void) snprintf((char *) names[0][i], 16, "%u", (unsigned) i);
        assert_int_equal(test_label(0, TEST_SECRET,
                                    (char *) names[0][i],
                                    strlen((char *) names[0][i])), i);
    }

    other = test_label(0, TEST_SECRET, "one", 3);
    assert_int_equal(other, TEST_MAX - 1);
    assert_int_equal(test_label(0, TEST_SECRET, "more", 4), other);
    assert_int_equal(test_label(0, TEST_SECRET, name,
                                sizeof(name)), other);
    unit_equal(elts[0][TEST_SECRET][other].name.data,
               elts[0][TEST_SECRET][other].name.len, "other");
    assert_int_equal(told, 0);

    /* stores share nothing */

    for (i = 0; i < TEST_FEW; i++) {
        assert_int_equal(test_label(0, TEST_STORE,
                                    (char *) names[0][i],
                                    strlen((char *) names[0][i])), i);
    }

    assert_int_equal(test_label(0, TEST_STORE, "more", 4),
                     NGX_ERROR);
    assert_int_equal(test_label(0, TEST_STORE, "1", 1), 1);

    test_begin(0);
    assert_int_equal(test_label(0, TEST_STORE, name,
                                sizeof(name)), NGX_ERROR);
    assert_int_equal(told, 2);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_failed),
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_exiting),
        cmocka_unit_test(test_exiting_later),
        cmocka_unit_test(test_exiting_long),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_labels)
    };

    return cmocka_run_group_tests_name("zone", tests, NULL, NULL);
}

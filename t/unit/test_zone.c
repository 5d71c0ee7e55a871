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
    ngx_lyftr_zone_commit(&confs[0].main);

    for (i = 0; i <= number; i++) {
        test_path(0, i)->status[1] = i + 1;
    }
}


static void
test_reload(ngx_uint_t n, char prefix, ngx_uint_t number)
{
    test_begin(n);
    test_paths(n, prefix, number);
    assert_int_equal(test_map(n, 1), NGX_OK);
    ngx_lyftr_zone_commit(&confs[n].main);
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

    before = zone;

    test_begin(1);
    test_paths(1, 'b', TEST_MAX - 1);
    assert_int_equal(test_map(1, 1), NGX_OK);

    assert_memory_equal(&zone, &before, sizeof(zone));

    /* the one after it works, and none counts where another does */

    test_reload(1, 'c', TEST_MAX - 1);

    for (i = 0; i < TEST_MAX; i++) {
        assert_int_equal(test_path(0, i)->status[1], i + 1);
        assert_int_equal(test_path(1, i)->status[1], i ? 0 : 1);
    }
}


/* labels that stay keep their counters wherever they stand now */

static void
test_kept(void **state)
{
    test_serve(3);

    test_begin(1);
    (void) test_label(1, NGX_LYFTR_LABEL_PATH, "other", 5);
    (void) test_label(1, NGX_LYFTR_LABEL_PATH, "/new", 4);
    (void) test_label(1, NGX_LYFTR_LABEL_PATH, "/a2", 3);

    assert_int_equal(test_map(1, 1), NGX_OK);
    ngx_lyftr_zone_commit(&confs[1].main);

    assert_int_equal(test_path(1, 0)->status[1], 1);
    assert_int_equal(test_path(1, 1)->status[1], 0);
    assert_int_equal(test_path(1, 2)->status[1], 4);
}


/* the name of a secret is not found among the paths, nor of a store there */

static void
test_kinds(void **state)
{
    ngx_uint_t  i;

    ngx_last_process = 0;
    log_unused.log_level = NGX_LOG_EMERG;

    test_begin(0);
    (void) test_label(0, NGX_LYFTR_LABEL_SECRET, "same", 4);
    (void) test_label(0, NGX_LYFTR_LABEL_STORE, "alike", 5);
    assert_int_equal(test_map(0, 0), NGX_OK);
    ngx_lyftr_zone_commit(&confs[0].main);

    test_begin(1);
    (void) test_label(1, NGX_LYFTR_LABEL_PATH, "same", 4);
    (void) test_label(1, NGX_LYFTR_LABEL_SECRET, "alike", 5);
    assert_int_equal(test_map(1, 1), NGX_OK);
    ngx_lyftr_zone_commit(&confs[1].main);

    for (i = 0; i < NGX_LYFTR_SLOTS(NGX_LYFTR_PATHS_MAX); i++) {
        if (test_path(1, 0) == &zone.paths[i]) {
            break;
        }
    }

    assert_true(i < NGX_LYFTR_SLOTS(NGX_LYFTR_PATHS_MAX));

    assert_true((u_char *) elts[1][NGX_LYFTR_LABEL_SECRET][0].slot
                < (u_char *) zone.stores);
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
            assert_int_equal(test_path(!n, i)->status[1], i + 1);
        }

        ngx_lyftr_zone_commit(&confs[n].main);

        for (i = 1; i < TEST_MAX; i++) {
            assert_int_equal(test_path(n, i)->status[1], 0);
            test_path(n, i)->status[1] = i + 1;
        }
    }

    assert_int_equal(test_path(1, 0)->status[1], 1);
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
    before = zone;
    told = 0;

    assert_int_equal(test_map(0, 1), NGX_ERROR);
    assert_int_equal(told, 1);
    assert_memory_equal(&zone, &before, sizeof(zone));

    /* there is one slot that was never taken, the last, and it is kept */

    test_begin(0);
    test_paths(0, 'c', 2);
    assert_int_equal(test_map(0, 1), NGX_ERROR);

    test_reload(0, 'c', 1);
    test_path(0, 1)->status[1] = 77;

    test_reload(1, 'c', 1);
    assert_int_equal(test_path(1, 1)->status[1], 77);
    assert_int_equal(test_path(1, 0)->slot.len, 5);

    /* it has gone, though the master has not heard of it yet */

    ngx_processes[0].exited = 1;
    test_reload(0, 'c', 1);

    test_reload(0, 'c', TEST_MAX - 1);

    for (i = 2; i < TEST_MAX; i++) {
        assert_int_equal(test_path(0, i)->status[1], 0);
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
    assert_int_equal(test_path(1, 1)->status[1], 0);
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
        test_path(1, i)->status[1] = i + 1;
    }

    test_reload(0, 'c', 1);
    test_reload(1, 'd', 2);
    test_reload(0, 'b', TEST_MAX - 1);

    for (i = 1; i < TEST_MAX; i++) {
        assert_int_equal(test_path(0, i)->status[1], i + 1);
    }
}


/* reloads while the same worker is exiting: it may have any since */

static void
test_exiting_long(void **state)
{
    ngx_lyftr_path_t  *first;

    test_serve(TEST_MAX / 2);
    test_workers(0);
    first = test_path(0, 1);

    test_reload(1, 'b', TEST_MAX / 2);

    test_workers(1);

    test_reload(0, 'c', TEST_MAX / 2);

    test_begin(1);
    test_paths(1, 'd', TEST_MAX - 1);
    assert_int_equal(test_map(1, 1), NGX_ERROR);

    assert_int_equal(first->status[1], 2);
    assert_int_equal(first->slot.len, 3);
}


/* what a reload forgets of a store, and what it keeps */

static void
test_words(void **state)
{
    ngx_uint_t           i, n;
    ngx_lyftr_status_t  *status;

    ngx_last_process = 0;

    for (n = 0; n < 2; n++) {
        test_begin(n);
        test_paths(n, 'a', 1);

        confs[n].stores[0] = &confs[n].store;
        confs[n].main.stores.nelts = 1;
        confs[n].store.label = test_label(n, NGX_LYFTR_LABEL_STORE, "main", 4);

        assert_int_equal(test_map(n, n), NGX_OK);

        status = confs[n].store.status;
        assert_ptr_equal(confs[n].store.dsn.words, status->words);

        if (n == 1) {
            assert_ptr_equal(status, confs[0].store.status);

            for (i = 0; i < NGX_LYFTR_WORDS; i++) {
                assert_int_equal(status->words[i], i + 1);
            }
        }

        ngx_lyftr_zone_commit(&confs[n].main);

        for (i = 0; i < NGX_LYFTR_WORDS; i++) {
            assert_int_equal(status->words[i],
                             (n && i >= NGX_LYFTR_WORDS_FORGOTTEN) ? i + 1
                                                                   : 0);
            status->words[i] = i + 1;
        }

        status->commits += 5;
    }

    assert_int_equal(status->commits, 10);
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

    assert_int_equal(test_label(0, NGX_LYFTR_LABEL_PATH, "other", 5), 0);
    assert_int_equal(test_label(0, NGX_LYFTR_LABEL_PATH, "", 0), 0);
    assert_int_equal(test_label(0, NGX_LYFTR_LABEL_PATH, name, sizeof(name)),
                     0);
    assert_int_equal(test_label(0, NGX_LYFTR_LABEL_PATH, name,
                                sizeof(name) - 1), 1);
    assert_int_equal(test_label(0, NGX_LYFTR_LABEL_PATH, name,
                                sizeof(name) - 1), 1);
    assert_int_equal(test_label(0, NGX_LYFTR_LABEL_PATH, name,
                                sizeof(name) - 2), 2);

    for (i = 0; i < NGX_LYFTR_SECRETS_MAX - 1; i++) {
        (void) snprintf((char *) names[0][i], 16, "%u", (unsigned) i);
        assert_int_equal(test_label(0, NGX_LYFTR_LABEL_SECRET,
                                    (char *) names[0][i],
                                    strlen((char *) names[0][i])), i);
    }

    other = test_label(0, NGX_LYFTR_LABEL_SECRET, "one", 3);
    assert_int_equal(other, NGX_LYFTR_SECRETS_MAX - 1);
    assert_int_equal(test_label(0, NGX_LYFTR_LABEL_SECRET, "more", 4), other);
    assert_int_equal(test_label(0, NGX_LYFTR_LABEL_SECRET, name,
                                sizeof(name)), other);
    unit_equal(elts[0][NGX_LYFTR_LABEL_SECRET][other].name.data,
               elts[0][NGX_LYFTR_LABEL_SECRET][other].name.len, "other");
    assert_int_equal(told, 0);

    /* stores share nothing */

    for (i = 0; i < NGX_LYFTR_STORES_MAX; i++) {
        assert_int_equal(test_label(0, NGX_LYFTR_LABEL_STORE,
                                    (char *) names[0][i],
                                    strlen((char *) names[0][i])), i);
    }

    assert_int_equal(test_label(0, NGX_LYFTR_LABEL_STORE, "more", 4),
                     NGX_ERROR);
    assert_int_equal(test_label(0, NGX_LYFTR_LABEL_STORE, "1", 1), 1);

    test_begin(0);
    assert_int_equal(test_label(0, NGX_LYFTR_LABEL_STORE, name,
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
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_labels)
    };

    return cmocka_run_group_tests_name("zone", tests, NULL, NULL);
}

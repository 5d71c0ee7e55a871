/* What is acknowledged is durable, also after a sync that failed. */

#include "unit_disk.h"

#include <ngx_lyftr_sqlite_jobs.h>


/* what could not be synced is not stored, and nothing follows it in the log */

static void
test_failed(void **state)
{
    void  *c, *d;

    c = unit_open();
    d = unit_open();
    assert_int_equal(unit_one(c, "a"), NGX_OK);
    assert_int_equal(unit_one(d, "b"), NGX_OK);

    assert_true(unit_begin(c, "failed"));
    bad_sync = 1;
    assert_int_equal(unit_commit(c, &err), NGX_ERROR);
    assert_int_equal(bad_sync, 0);
    b->close(c);

    /* one who has the store open empties the log, once */

    assert_true(words[NGX_LYFTR_WORD_UNSYNCED] != 0);

    syncs = 0;
    assert_true(unit_begin(d, "failed"));
    assert_true(syncs > 0);
    assert_int_equal(unit_commit(d, &err), NGX_OK);
    assert_int_equal(words[NGX_LYFTR_WORD_UNSYNCED], 0);

    syncs = 0;
    assert_int_equal(unit_one(d, "c"), NGX_OK);
    assert_in_range(syncs, 1, 2);

    b->close(d);
}


/*
 * What the housekeeping has committed stands in the log before what others
 * will, and is not synced: a sync that fails for a checkpoint must not lose it,
 * also if a reader keeps the rest from being copied.
 */

static void
test_failed_checkpoint(void **state)
{
    char                id[32];
    void               *c, *r, *keeper;
    ngx_uint_t          i, n;
    ngx_lyftr_stats_t   s;

    watched = 1;

    /* in the housekeeping's checkpoint; in that of a connection that is new */

    for (n = 0; n < 2; n++) {
        c = unit_open();
        r = unit_open();
        keeper = unit_open();

        for (i = 0; i < 200; i++) {
            (void) sprintf(id, "%c%d", (int) ('a' + n), (int) i);
            assert_int_equal(unit_one(c, id), NGX_OK);

            if (i == 100) {
                unit_housekeep_all(keeper);
            }
        }

        assert_int_equal(b->begin(r, unit_in(20000), &err), NGX_OK);
        assert_int_equal(b->stats(r, &s, &err), NGX_OK);

        unit_housekeep_all(keeper);

        bad_sync = 1;

        if (n == 0) {
            (void) ngx_lyftr_sqlite_checkpoint(keeper, c, unit_in(1000), &err);

        } else {
            b->close(c);
            words[NGX_LYFTR_WORD_SYNCED] = 0;
            c = unit_open();
            assert_int_equal(b->turn(c, unit_in(1000), &err), NGX_ERROR);
            b->close(c);
            c = unit_open();
        }

        assert_int_equal(bad_sync, 0);

        if (b->turn(c, unit_in(300), &err) != NGX_OK) {
            assert_int_equal(err.code, NGX_LYFTR_ERR_BUSY);
            b->end(r);
        }

        b->end(c);

        (void) sprintf(id, "acknowledged%d", (int) n);
        assert_int_equal(unit_one(c, id), NGX_OK);

        b->end(r);
        b->close(r);
        b->close(c);
        b->close(keeper);
        unit_power_cut();

        c = unit_open();
        assert_int_equal(unit_one(c, id), NGX_DECLINED);
        b->close(c);
    }
}


/* if that fails too, it is tried again */

static void
test_failed_again(void **state)
{
    void  *c;

    c = unit_open();
    assert_int_equal(unit_one(c, "a"), NGX_OK);

    assert_true(unit_begin(c, "failed"));
    bad_sync = 1;
    assert_int_equal(unit_commit(c, &err), NGX_ERROR);
    b->close(c);

    c = unit_open();
    bad_sync = 1;
    assert_int_equal(b->turn(c, unit_in(1000), &err), NGX_ERROR);
    assert_int_equal(bad_sync, 0);
    assert_true(words[NGX_LYFTR_WORD_UNSYNCED] != 0);
    b->close(c);

    c = unit_open();
    assert_false(unit_begin(c, "failed"));
    assert_int_equal(unit_commit(c, &err), NGX_OK);
    assert_int_equal(words[NGX_LYFTR_WORD_UNSYNCED], 0);
    b->close(c);
}


/* without shared words, as the lane tells by a flag */

static void
test_failed_flag(void **state)
{
    void  *c;

    dsn.common.words = NULL;

    c = unit_open();
    assert_true(unit_begin(c, "failed"));

    /* the first is of the header of the log */

    bad_sync = 2;
    assert_int_equal(unit_commit(c, &err), NGX_ERROR);
    assert_int_equal(bad_sync, 0);
    b->close(c);

    c = unit_open_as(NGX_LYFTR_OPEN_FAILED);
    syncs = 0;
    assert_false(unit_begin(c, "failed"));
    assert_true(syncs >= 2);
    assert_int_equal(unit_commit(c, &err), NGX_OK);
    b->close(c);
}


/*
 * Frames behind those of a failed sync are worth nothing after a power cut,
 * also while a reader keeps the log from beginning anew.
 */

static void
test_failed_frames(void **state)
{
    void               *c, *r;
    ngx_lyftr_stats_t   s;

    watched = 1;

    c = unit_open();
    r = unit_open();
    assert_int_equal(unit_one(c, "a"), NGX_OK);

    assert_true(unit_begin(c, "failed"));
    bad_sync = 1;
    assert_int_equal(unit_commit(c, &err), NGX_ERROR);
    b->close(c);

    assert_int_equal(b->begin(r, unit_in(10000), &err), NGX_OK);
    assert_int_equal(b->stats(r, &s, &err), NGX_OK);

    c = unit_open();

    if (b->turn(c, unit_in(300), &err) != NGX_OK) {
        assert_int_equal(err.code, NGX_LYFTR_ERR_BUSY);
        b->end(r);
    }

    b->end(c);

    assert_int_equal(unit_one(c, "acknowledged"), NGX_OK);

    b->end(r);
    b->close(r);
    b->close(c);

    unit_power_cut();

    c = unit_open();
    assert_int_equal(unit_one(c, "a"), NGX_DECLINED);
    assert_int_equal(unit_one(c, "acknowledged"), NGX_DECLINED);
    b->close(c);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        unit_fresh_disks(test_failed),
        unit_fresh_disks(test_failed_checkpoint),
        unit_fresh_disks(test_failed_again),
        unit_fresh_disks(test_failed_flag),
        unit_fresh_disks(test_failed_frames)
    };

    return cmocka_run_group_tests_name("sqlite_failed", tests, NULL, NULL);
}

/* What is acknowledged is durable: when syncs come. */

#include "unit_disk.h"

#include <ngx_lyftr_sqlite_jobs.h>

#include <sys/stat.h>


/* one sync a commit, and the next writer's turn comes after it */

static void
test_order(void **state)
{
    void  *c;

    c = unit_open();
    other = unit_open();

    assert_int_equal(unit_one(c, "a"), NGX_OK);

    syncs = 0;
    locked = 0;
    assert_int_equal(unit_one(c, "b"), NGX_OK);
    assert_int_equal(syncs, 1);
    assert_int_equal(locked, 1);

    assert_int_equal(b->begin(c, unit_in(1000), &err), NGX_OK);
    assert_int_equal(unit_commit(c, &err), NGX_OK);
    assert_int_equal(syncs, 1);

    b->close(other);
    b->close(c);
}


/* the jobs' commits are not waited for: if they are lost, they are done anew */

static void
test_housekeeping(void **state)
{
    char        id[16];
    void       *c, *keeper;
    ngx_uint_t  i;

    watched = 1;
    c = unit_open();
    keeper = unit_open();

    for (i = 0; i < 300; i++) {
        (void) sprintf(id, "i%d", (int) i);
        assert_int_equal(unit_one(c, id), NGX_OK);
    }

    /* its first transaction makes durable what it finds */

    for (i = 0, syncs = 0; syncs == 0 && i < 10; i++) {
        (void) unit_housekeep(keeper);
    }

    syncs = 0;
    unit_housekeep_all(keeper);
    assert_int_equal(syncs, 0);
    assert_true(unit_sql_int("SELECT count(*) FROM lyftr_segment") > 0);

    b->close(c);
    b->close(keeper);
    unit_power_cut();

    c = unit_open();
    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_segment"), 0);
    unit_housekeep_all(c);
    assert_true(unit_sql_int("SELECT count(*) FROM lyftr_segment") > 0);
    assert_int_equal(unit_sql_int("SELECT sum(count) FROM lyftr_count"), 300);

    for (i = 0; i < 300; i++) {
        (void) sprintf(id, "i%d", (int) i);
        assert_int_equal(unit_one(c, id), NGX_DECLINED);
    }

    b->close(c);
}


/*
 * A writer was killed within a commit: its row may be there and on no disk, and
 * whoever is told that it is known is told so after a sync.
 */

static void
test_cut_off(void **state)
{
    void  *c, *d;

    c = unit_open();
    d = unit_open();

    assert_int_equal(unit_one(c, "a"), NGX_OK);
    assert_int_equal(unit_one(d, "b"), NGX_OK);
    assert_int_equal(words[NGX_LYFTR_WORD_COMMIT], 0);

    syncs = 0;
    assert_int_equal(unit_one(d, "a"), NGX_DECLINED);
    assert_int_equal(syncs, 0);

    words[NGX_LYFTR_WORD_COMMIT] = 1;

    assert_int_equal(unit_one(d, "a"), NGX_DECLINED);
    assert_int_equal(syncs, 1);
    assert_int_equal(words[NGX_LYFTR_WORD_COMMIT], 0);

    assert_int_equal(unit_one(d, "a"), NGX_DECLINED);
    assert_int_equal(syncs, 1);

    b->close(d);
    b->close(c);
}


/*
 * What there was before is made durable once: a writer that is new then knows
 * that all others, if they have ended, have synced what they committed.
 */

static void
test_synced(void **state)
{
    void  *c, *keeper;

    /* not by the housekeeping, which adopts rows and syncs none of them */

    keeper = unit_open();
    (void) unit_housekeep(keeper);
    assert_int_equal(words[NGX_LYFTR_WORD_SYNCED], 0);

    c = unit_open();
    syncs = 0;
    assert_int_equal(unit_one(c, "a"), NGX_OK);
    assert_true(syncs > 1);
    assert_int_equal(words[NGX_LYFTR_WORD_SYNCED], 1);
    b->close(c);

    c = unit_open();
    syncs = 0;
    assert_int_equal(unit_one(c, "a"), NGX_DECLINED);
    assert_int_equal(syncs, 0);
    assert_int_equal(unit_one(c, "b"), NGX_OK);
    assert_in_range(syncs, 1, 2);
    b->close(c);

    /* but for one that was killed within a commit, or failed */

    words[NGX_LYFTR_WORD_COMMIT] = 1;

    c = unit_open();
    syncs = 0;
    assert_int_equal(unit_one(c, "b"), NGX_DECLINED);
    assert_int_equal(syncs, 1);
    b->close(c);

    c = unit_open_as(NGX_LYFTR_OPEN_FAILED);
    syncs = 0;
    assert_int_equal(unit_one(c, "b"), NGX_DECLINED);
    assert_true(syncs > 1);
    b->close(c);
    b->close(keeper);

    /* after a reload the files may be others */

    b->renew(&dsn);
    assert_int_equal(words[NGX_LYFTR_WORD_SYNCED], 0);
}


/* a reader holds the checkpoint up: then a sync does, if no write has failed */

static void
test_reader(void **state)
{
    void               *c, *d, *r;
    ngx_lyftr_stats_t   s;

    c = unit_open();
    r = unit_open();

    assert_int_equal(unit_one(c, "first"), NGX_OK);

    assert_int_equal(b->begin(r, unit_in(10000), &err), NGX_OK);
    assert_int_equal(b->stats(r, &s, &err), NGX_OK);
    assert_int_equal(s.total, 1);

    assert_int_equal(unit_one(c, "second"), NGX_OK);

    d = unit_open_as(NGX_LYFTR_OPEN_FAILED);
    assert_int_equal(b->turn(d, unit_in(300), &err), NGX_DECLINED);
    assert_int_equal(err.code, NGX_LYFTR_ERR_BUSY);
    b->close(d);

    words[NGX_LYFTR_WORD_SYNCED] = 0;

    d = unit_open_as(0);
    syncs = 0;
    assert_false(unit_begin(d, "second"));
    assert_true(syncs > 0);
    assert_int_equal(unit_commit(d, &err), NGX_OK);

    b->close(d);
    b->close(r);
    b->close(c);
}


/* power is cut after each of some commits and steps of the housekeeping */

static void
test_cuts(void **state)
{
    char        id[16];
    void       *c, *keeper;
    ngx_uint_t  i, n, cut;

    watched = 1;

    for (n = 0, cut = 0; cut < 12; cut++) {
        c = unit_open();
        keeper = unit_open();

        for (i = 0; i < 30 + cut; i++) {
            (void) sprintf(id, "i%d", (int) n++);
            assert_int_equal(unit_one(c, id), NGX_OK);

            (void) unit_housekeep(keeper);

            if (i == 10 + cut) {
                assert_int_equal(ngx_lyftr_sqlite_checkpoint(keeper, c,
                                     unit_in(1000), &err), NGX_OK);
            }
        }

        b->close(c);
        b->close(keeper);
        unit_power_cut();

        c = unit_open();

        for (i = 0; i < n; i++) {
            (void) sprintf(id, "i%d", (int) i);
            assert_int_equal(unit_one(c, id), NGX_DECLINED);
        }

        b->close(c);
    }

    c = unit_open();
    unit_housekeep_all(c);
    assert_int_equal(unit_sql_int("SELECT sum(count) FROM lyftr_count"), n);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM pragma_integrity_check"
                                  " WHERE integrity_check <> 'ok'"), 0);
    b->close(c);
}


/* what a checkpoint copies beside the commits is synced in small parts */

static void
test_trickle(void **state)
{
    char         id[16], path[160], text[3000];
    void        *c, *keeper;
    ngx_str_t    s, t;
    ngx_uint_t   i;
    struct stat  sb;

    ngx_memset(text, 'x', sizeof(text));
    t.data = (u_char *) text;
    t.len = sizeof(text);

    watched = 1;

    c = unit_open();
    keeper = unit_open();

    /* its first transaction copies what it finds */

    (void) unit_housekeep(keeper);

    for (i = 0; i < 200; i++) {
        (void) sprintf(id, "i%d", (int) i);
        s = unit_str(id);

        assert_int_equal(b->turn(c, unit_in(2000), &err), NGX_OK);
        assert_true(unit_insert(c, &s, "+1", "2025-01-15T10:00:00Z", &t));
        assert_int_equal(unit_commit(c, &err), NGX_OK);
    }

    most = 0;
    assert_int_equal(ngx_lyftr_sqlite_checkpoint(keeper, c, unit_in(1000),
                                                 &err), NGX_OK);
    assert_in_range(most, 1, 128 * 1024 / UNIT_DISK_PAGE);

    /* if one of these syncs fails, the log is emptied into the database */

    for (i = 200; i < 400; i++) {
        (void) sprintf(id, "i%d", (int) i);
        s = unit_str(id);

        assert_int_equal(b->turn(c, unit_in(2000), &err), NGX_OK);
        assert_true(unit_insert(c, &s, "+1", "2025-01-15T10:00:00Z", &t));
        assert_int_equal(unit_commit(c, &err), NGX_OK);
    }

    bad_sync = 3;
    (void) ngx_lyftr_sqlite_checkpoint(keeper, c, unit_in(1000), &err);
    assert_int_equal(bad_sync, 0);

    (void) snprintf(path, sizeof(path), "%s/t.db-wal", dir);
    assert_int_equal(stat(path, &sb), 0);
    assert_in_range(sb.st_size, 0, 20 * UNIT_DISK_PAGE);

    b->close(c);
    b->close(keeper);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        unit_fresh_disks(test_order),
        unit_fresh_disks(test_housekeeping),
        unit_fresh_disks(test_cut_off),
        unit_fresh_disks(test_synced),
        unit_fresh_disks(test_reader),
        unit_fresh_disks(test_trickle),
        unit_fresh_disks(test_cuts)
    };

    return cmocka_run_group_tests_name("sqlite_sync", tests, NULL, NULL);
}

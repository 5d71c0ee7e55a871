/* What is acknowledged is durable: when syncs come, and when they fail. */

#include "unit_store.h"

#include <sys/syscall.h>


#define TEST_PAGE    4096
#define TEST_MAX     (4 * 1024 * 1024)
#define TEST_DISKS   2


/* what a power cut would leave of a file, and what the kernel takes for it */

typedef struct {
    const char          *suffix;
    size_t               len;
    u_char               disk[TEST_MAX];
    u_char               clean[TEST_MAX];
} test_disk_t;


static ngx_uint_t            syncs;
static ngx_uint_t            bad_sync;     /* which call fails, from now on */
static ngx_lyftr_sqlite_t   *other;        /* tries the lock at each sync */
static ngx_uint_t            locked;
static ngx_uint_t            watched;

static test_disk_t           disks[TEST_DISKS] = {
    { .suffix = "t.db" },
    { .suffix = "t.db-wal" }
};


/*
 * A failed sync may leave pages as they were on the disk, and have the kernel
 * take them for written: so does this one.
 */

static void
test_disk(int fd, ngx_uint_t ok)
{
    char           name[64], path[256];
    size_t         at;
    ssize_t        n;
    ngx_uint_t     i;
    test_disk_t   *d;
    static u_char  now[TEST_MAX];

    (void) sprintf(name, "/proc/self/fd/%d", fd);
    n = readlink(name, path, sizeof(path) - 1);
    assert_true(n > 0);
    path[n] = '\0';

    for (i = 0; i < TEST_DISKS; i++) {
        d = &disks[i];

        if (strcmp(strrchr(path, '/') + 1, d->suffix) == 0) {
            break;
        }
    }

    if (i == TEST_DISKS) {
        return;
    }

    ngx_memzero(now, TEST_MAX);
    n = pread(fd, now, TEST_MAX, 0);
    assert_in_range(n, 0, TEST_MAX - 1);

    for (at = 0; at < TEST_MAX; at += TEST_PAGE) {

        if (memcmp(now + at, d->clean + at, TEST_PAGE) == 0) {
            continue;
        }

        ngx_memcpy(d->clean + at, now + at, TEST_PAGE);

        if (ok) {
            ngx_memcpy(d->disk + at, now + at, TEST_PAGE);
        }
    }

    if (ok) {
        d->len = n;
    }
}


/* SQLite's calls come here, too */

int
fdatasync(int fd)
{
    ngx_uint_t  ok;

    ok = !(bad_sync && --bad_sync == 0);

    if (other) {
        if (ngx_lyftr_flock_try(&other->lock) == NGX_OK) {
            ngx_lyftr_flock_release(&other->lock);

        } else {
            locked++;
        }
    }

    if (watched) {
        test_disk(fd, ok);
    }

    if (!ok) {
        errno = EIO;
        return -1;
    }

    syncs++;

    return syscall(SYS_fdatasync, fd);
}


static int
test_setup(void **state)
{
    ngx_uint_t  i;

    if (unit_setup(state) != 0) {
        return -1;
    }

    ngx_memzero((void *) words, sizeof(words));
    dsn.words = words;

    for (i = 0; i < TEST_DISKS; i++) {
        disks[i].len = 0;
        ngx_memzero(disks[i].disk, TEST_MAX);
        ngx_memzero(disks[i].clean, TEST_MAX);
    }

    syncs = 0;
    bad_sync = 0;
    other = NULL;
    locked = 0;
    watched = 0;

    return 0;
}


/* the files as they are after a power cut */

static void
test_power_cut(void)
{
    int          fd;
    char         path[160];
    ngx_uint_t   i;

    for (i = 0; i < TEST_DISKS; i++) {
        (void) snprintf(path, sizeof(path), "%s/%s", dir, disks[i].suffix);
        fd = open(path, O_WRONLY|O_TRUNC);
        assert_true(fd != -1);
        assert_int_equal(write(fd, disks[i].disk, disks[i].len),
                         disks[i].len);
        (void) close(fd);
    }

    (void) snprintf(path, sizeof(path), "%s/t.db-shm", dir);
    (void) unlink(path);

    unit_forget();
}


/* an id in a transaction that is not ended yet; false if it is known */

static ngx_uint_t
test_begin(void *c, const char *id)
{
    ngx_str_t  s, text;

    s = unit_str(id);
    text = unit_str("x");

    assert_int_equal(b->begin(c, 1, unit_in(2000), &err), NGX_OK);

    return unit_insert(c, &s, "+1", "2025-01-15T10:00:00Z", &text);
}


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

    assert_int_equal(b->begin(c, 0, unit_in(1000), &err), NGX_OK);
    assert_int_equal(b->commit(c, &err), NGX_OK);
    assert_int_equal(syncs, 1);

    b->close(other);
    b->close(c);
}


/* the upkeep's commits are not waited for: if they are lost, it does them */

static void
test_upkeep(void **state)
{
    char        id[16];
    void       *c, *upkeep;
    ngx_uint_t  i;

    watched = 1;
    c = unit_open();
    upkeep = unit_open();

    for (i = 0; i < 300; i++) {
        (void) sprintf(id, "i%d", (int) i);
        assert_int_equal(unit_one(c, id), NGX_OK);
    }

    /* its first transaction makes durable what it finds */

    for (i = 0, syncs = 0; syncs == 0 && i < 10; i++) {
        (void) unit_maintain(upkeep);
    }

    syncs = 0;
    unit_maintain_all(upkeep);
    assert_int_equal(syncs, 0);
    assert_true(unit_sql_int("SELECT count(*) FROM lyftr_segment") > 0);

    b->close(c);
    b->close(upkeep);
    test_power_cut();

    c = unit_open();
    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_segment"), 0);
    unit_maintain_all(c);
    assert_true(unit_sql_int("SELECT count(*) FROM lyftr_segment") > 0);
    assert_int_equal(unit_sql_int("SELECT sum(count) FROM lyftr_count"), 300);

    for (i = 0; i < 300; i++) {
        (void) sprintf(id, "i%d", (int) i);
        assert_int_equal(unit_one(c, id), NGX_DECLINED);
    }

    b->close(c);
}


/* what could not be synced is not stored, and nothing follows it in the log */

static void
test_failed(void **state)
{
    void  *c, *d;

    c = unit_open();
    d = unit_open();
    assert_int_equal(unit_one(c, "a"), NGX_OK);
    assert_int_equal(unit_one(d, "b"), NGX_OK);

    assert_true(test_begin(c, "failed"));
    bad_sync = 1;
    assert_int_equal(b->commit(c, &err), NGX_ERROR);
    assert_int_equal(bad_sync, 0);
    b->close(c);

    /* one who has the store open empties the log, once */

    assert_true(words[NGX_LYFTR_WORD_UNSYNCED] != 0);

    syncs = 0;
    assert_true(test_begin(d, "failed"));
    assert_true(syncs > 0);
    assert_int_equal(b->commit(d, &err), NGX_OK);
    assert_int_equal(words[NGX_LYFTR_WORD_UNSYNCED], 0);

    syncs = 0;
    assert_int_equal(unit_one(d, "c"), NGX_OK);
    assert_in_range(syncs, 1, 2);

    b->close(d);
}


/*
 * What the upkeep has committed stands in the log before what others will, and
 * is not synced: a sync that fails for a checkpoint must not lose it, also if a
 * reader keeps the rest from being copied.
 */

static void
test_failed_checkpoint(void **state)
{
    char                id[32];
    void               *c, *r, *upkeep;
    ngx_uint_t          i, n;
    ngx_lyftr_stats_t   s;

    watched = 1;

    /* in the upkeep's checkpoint; in that of a connection that is new */

    for (n = 0; n < 2; n++) {
        c = unit_open();
        r = unit_open();
        upkeep = unit_open();

        for (i = 0; i < 200; i++) {
            (void) sprintf(id, "%c%d", (int) ('a' + n), (int) i);
            assert_int_equal(unit_one(c, id), NGX_OK);

            if (i == 100) {
                unit_maintain_all(upkeep);
            }
        }

        assert_int_equal(b->begin(r, 0, unit_in(20000), &err), NGX_OK);
        assert_int_equal(b->stats(r, &s, &err), NGX_OK);

        unit_maintain_all(upkeep);

        bad_sync = 1;

        if (n == 0) {
            (void) ngx_lyftr_sqlite_checkpoint(upkeep, c, unit_in(1000), &err);

        } else {
            b->close(c);
            c = unit_open();
            assert_int_equal(b->begin(c, 1, unit_in(1000), &err), NGX_ERROR);
            b->close(c);
            c = unit_open();
        }

        assert_int_equal(bad_sync, 0);

        if (b->begin(c, 1, unit_in(300), &err) != NGX_OK) {
            assert_int_equal(err.code, NGX_LYFTR_ERR_BUSY);
            b->rollback(r);
        }

        b->rollback(c);

        (void) sprintf(id, "acknowledged%d", (int) n);
        assert_int_equal(unit_one(c, id), NGX_OK);

        b->rollback(r);
        b->close(r);
        b->close(c);
        b->close(upkeep);
        test_power_cut();

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

    assert_true(test_begin(c, "failed"));
    bad_sync = 1;
    assert_int_equal(b->commit(c, &err), NGX_ERROR);
    b->close(c);

    c = unit_open();
    bad_sync = 1;
    assert_int_equal(b->begin(c, 1, unit_in(1000), &err), NGX_ERROR);
    assert_int_equal(bad_sync, 0);
    assert_true(words[NGX_LYFTR_WORD_UNSYNCED] != 0);
    b->close(c);

    c = unit_open();
    assert_false(test_begin(c, "failed"));
    assert_int_equal(b->commit(c, &err), NGX_OK);
    assert_int_equal(words[NGX_LYFTR_WORD_UNSYNCED], 0);
    b->close(c);
}


/* without shared words, as the lane tells by a flag */

static void
test_failed_flag(void **state)
{
    void  *c;

    dsn.words = NULL;

    c = unit_open();
    assert_true(test_begin(c, "failed"));

    /* the first is of the header of the log */

    bad_sync = 2;
    assert_int_equal(b->commit(c, &err), NGX_ERROR);
    assert_int_equal(bad_sync, 0);
    b->close(c);

    c = unit_open_as(NGX_LYFTR_OPEN_FAILED);
    syncs = 0;
    assert_false(test_begin(c, "failed"));
    assert_true(syncs >= 2);
    assert_int_equal(b->commit(c, &err), NGX_OK);
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

    assert_true(test_begin(c, "failed"));
    bad_sync = 1;
    assert_int_equal(b->commit(c, &err), NGX_ERROR);
    b->close(c);

    assert_int_equal(b->begin(r, 0, unit_in(10000), &err), NGX_OK);
    assert_int_equal(b->stats(r, &s, &err), NGX_OK);

    c = unit_open();

    if (b->begin(c, 1, unit_in(300), &err) != NGX_OK) {
        assert_int_equal(err.code, NGX_LYFTR_ERR_BUSY);
        b->rollback(r);
    }

    b->rollback(c);

    assert_int_equal(unit_one(c, "acknowledged"), NGX_OK);

    b->rollback(r);
    b->close(r);
    b->close(c);

    test_power_cut();

    c = unit_open();
    assert_int_equal(unit_one(c, "a"), NGX_DECLINED);
    assert_int_equal(unit_one(c, "acknowledged"), NGX_DECLINED);
    b->close(c);
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

    assert_int_equal(b->begin(r, 0, unit_in(10000), &err), NGX_OK);
    assert_int_equal(b->stats(r, &s, &err), NGX_OK);
    assert_int_equal(s.total, 1);

    assert_int_equal(unit_one(c, "second"), NGX_OK);

    d = unit_open_as(NGX_LYFTR_OPEN_FAILED);
    assert_int_equal(b->begin(d, 1, unit_in(300), &err), NGX_DECLINED);
    assert_int_equal(err.code, NGX_LYFTR_ERR_BUSY);
    b->close(d);

    d = unit_open_as(0);
    syncs = 0;
    assert_false(test_begin(d, "second"));
    assert_true(syncs > 0);
    assert_int_equal(b->commit(d, &err), NGX_OK);

    b->close(d);
    b->close(r);
    b->close(c);
}


/* power is cut after each of some commits and steps of the upkeep */

static void
test_cuts(void **state)
{
    char        id[16];
    void       *c, *upkeep;
    ngx_uint_t  i, n, cut;

    watched = 1;

    for (n = 0, cut = 0; cut < 12; cut++) {
        c = unit_open();
        upkeep = unit_open();

        for (i = 0; i < 30 + cut; i++) {
            (void) sprintf(id, "i%d", (int) n++);
            assert_int_equal(unit_one(c, id), NGX_OK);

            (void) unit_maintain(upkeep);

            if (i == 10 + cut) {
                assert_int_equal(ngx_lyftr_sqlite_checkpoint(upkeep, c,
                                     unit_in(1000), &err), NGX_OK);
            }
        }

        b->close(c);
        b->close(upkeep);
        test_power_cut();

        c = unit_open();

        for (i = 0; i < n; i++) {
            (void) sprintf(id, "i%d", (int) i);
            assert_int_equal(unit_one(c, id), NGX_DECLINED);
        }

        b->close(c);
    }

    c = unit_open();
    unit_maintain_all(c);
    assert_int_equal(unit_sql_int("SELECT sum(count) FROM lyftr_count"), n);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM pragma_integrity_check"
                                  " WHERE integrity_check <> 'ok'"), 0);
    b->close(c);
}


#define test_fresh(f)                                                         \
    cmocka_unit_test_setup_teardown(f, test_setup, unit_teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        test_fresh(test_order),
        test_fresh(test_upkeep),
        test_fresh(test_failed),
        test_fresh(test_failed_checkpoint),
        test_fresh(test_failed_again),
        test_fresh(test_failed_flag),
        test_fresh(test_failed_frames),
        test_fresh(test_reader),
        test_fresh(test_cuts)
    };

    return cmocka_run_group_tests_name("sqlite_sync", tests, NULL, NULL);
}

/* The check for damage: what it finds, and that it finds nothing else. */

#include "unit_store.h"

#include <ngx_lyftr_sqlite_index.h>

#include <fcntl.h>


static ngx_uint_t  added;


static int
test_setup(void **state)
{
    added = 0;

    if (unit_setup(state) != 0) {
        return -1;
    }

    dsn.search = 1;

    return 0;
}


/* in texts that are much alike, some lists of the search index are long */

static void
test_add(void *c, ngx_uint_t n)
{
    char       id[32], s[100];
    ngx_str_t  str, text;

    assert_int_equal(b->turn(c, unit_in(2000), &err), NGX_OK);

    while (n--) {
        (void) sprintf(id, "m%u", (unsigned) added);
        (void) sprintf(s, "the same the same the same the %u",
                       (unsigned) added++ * 7919);

        str = unit_str(id);
        text = unit_str(s);

        assert_true(unit_insert(c, &str, "+1", "2025-01-15T10:00:00Z",
                                &text));
    }

    assert_int_equal(unit_commit(c, &err), NGX_OK);
}


/* a leaf of every tree, overwritten and put right */

static void
test_damage(void **state)
{
    int             fd, parts;
    void           *c;
    char            sql[256];
    u_char          page[4096], bad[4096];
    int64_t         n;
    ngx_uint_t      i;

    static const char  *trees[] = {
        "lyftr_message", "lyftr_block"
    };

    c = unit_open();

    for (i = 0; i < 6; i++) {
        test_add(c, 200);
        unit_housekeep_all(c);
    }

    b->close(c);

    unit_sql("PRAGMA wal_checkpoint(TRUNCATE)");

    /* that was the last connection: the files that it leaves are new ones */

    unit_forget();

    /* 1200 rows are two parts, and the segments one of each other table */

    c = unit_open();
    parts = unit_pass(c);
    assert_true(parts >= 5);

    ngx_memset(bad, 0xa5, sizeof(bad));

    for (i = 0; i < unit_count(trees); i++) {
        (void) snprintf(sql, sizeof(sql), "SELECT max(pageno) FROM dbstat"
                        " WHERE name = '%s' AND pagetype = 'leaf'", trees[i]);
        n = unit_sql_int(sql);

        fd = open((char *) dsn.common.path, O_RDWR);
        assert_int_equal(pread(fd, page, 4096, (n - 1) * 4096), 4096);
        assert_int_equal(pwrite(fd, bad, 4096, (n - 1) * 4096), 4096);

        assert_int_equal(unit_pass(c), -1);

        /* as one who has opened it anew */

        b->close(c);
        c = unit_open();
        assert_int_equal(unit_pass(c), -1);
        b->close(c);

        assert_int_equal(pwrite(fd, page, 4096, (n - 1) * 4096), 4096);
        (void) close(fd);

        c = unit_open();
        assert_int_equal(unit_pass(c), parts);
    }

    /* what only the hash of the id tells */

    unit_sql("UPDATE lyftr_message SET message_id = 'M7' WHERE seq = 8");
    assert_int_equal(unit_pass(c), -1);

    b->close(c);
}


/* of the first block that is meant, one byte; what it was */

static int
test_byte(const char *table, const char *where, ngx_uint_t at, int byte)
{
    int            old;
    char           sql[400];
    u_char        *p;
    size_t         len;
    sqlite3       *db;
    sqlite3_stmt  *st;

    assert_int_equal(sqlite3_open((char *) dsn.common.path, &db), SQLITE_OK);
    (void) sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);

    (void) snprintf(sql, sizeof(sql), "SELECT data, no FROM %s WHERE %s"
                    " ORDER BY no LIMIT 1", table, where);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);

    len = sqlite3_column_bytes(st, 0);
    assert_true(at < len);
    p = unit_copy(sqlite3_column_blob(st, 0), len);
    old = p[at];

    (void) snprintf(sql, sizeof(sql), "UPDATE %s SET data = ? WHERE no = %lld",
                    table, (long long) sqlite3_column_int64(st, 1));
    (void) sqlite3_finalize(st);

    if (byte >= 0) {
        p[at] = byte;
        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL),
                         SQLITE_OK);
        (void) sqlite3_bind_blob(st, 1, p, len, SQLITE_STATIC);
        assert_int_equal(sqlite3_step(st), SQLITE_DONE);
        (void) sqlite3_finalize(st);
    }

    free(p);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);

    return old;
}


/* each bit of it that is set is one of an id */

static void
test_filter(void **state)
{
    int          byte, bit, bits;
    void        *c;
    ngx_uint_t   at;

    static const char  *filter = "(no >> 30 & 15) = 15";

    c = unit_open();
    test_add(c, 100);
    unit_housekeep_all(c);
    assert_true(unit_pass(c) > 0);

    for (at = 0, bits = 0; at < 128; at++) {
        byte = test_byte("lyftr_block", filter, at, -1);

        for (bit = 1; bit < 256; bit *= 2) {

            if (!(byte & bit)) {
                continue;
            }

            bits++;

            if (bits % 10 == 0) {
                (void) test_byte("lyftr_block", filter, at, byte & ~bit);
                assert_int_equal(unit_pass(c), -1);

                /* as the lane does */

                b->close(c);
                c = unit_open();
            }
        }

        (void) test_byte("lyftr_block", filter, at, byte);
    }

    assert_in_range(bits, 200, 64 * 6);
    assert_true(unit_pass(c) > 0);

    /* too short, or away */

    unit_sql("UPDATE lyftr_block SET data = x'00' WHERE (no >> 30 & 15) = 15");
    assert_int_equal(unit_pass(c), -1);
    b->close(c);

    unit_sql("DELETE FROM lyftr_block WHERE (no >> 30 & 15) = 15");
    c = unit_open();
    assert_int_equal(unit_pass(c), -1);
    b->close(c);
}


/* what only the order, or the ranges, tell; each is undone */

static void
test_order(void **state)
{
    void        *c;
    ngx_uint_t   i;

    static struct {
        const char  *change;
        const char  *undo;
    } faults[] = {

        /* a piece of a list is away; a block has the key of another */

        { "CREATE TABLE t AS SELECT * FROM lyftr_gram WHERE no & 65535 = 1"
          " LIMIT 1; DELETE FROM lyftr_gram WHERE no IN (SELECT no FROM t)",
          "INSERT INTO lyftr_gram SELECT * FROM t; DROP TABLE t" },

        { "UPDATE lyftr_gram SET no = no + 65536 WHERE no ="
          " (SELECT max(no) FROM lyftr_gram)",
          "UPDATE lyftr_gram SET no = no - 65536 WHERE no ="
          " (SELECT max(no) FROM lyftr_gram)" },

        /* rows that are not those of the part */

        { "UPDATE lyftr_search SET last = last - 6 WHERE id ="
          " (SELECT max(id) FROM lyftr_search)",
          "UPDATE lyftr_search SET last = last + 6 WHERE id ="
          " (SELECT max(id) FROM lyftr_search)" },

        /* parts that overlap, that leave a gap, that are too long */

        { "UPDATE lyftr_search SET first = first - 1 WHERE id ="
          " (SELECT max(id) FROM lyftr_search)",
          "UPDATE lyftr_search SET first = first + 1 WHERE id ="
          " (SELECT max(id) FROM lyftr_search)" },

        { "UPDATE lyftr_search SET first = first + 1 WHERE id ="
          " (SELECT max(id) FROM lyftr_search)",
          "UPDATE lyftr_search SET first = first - 1 WHERE id ="
          " (SELECT max(id) FROM lyftr_search)" },

        { "UPDATE lyftr_search SET last = last + 100 WHERE id ="
          " (SELECT max(id) FROM lyftr_search)",
          "UPDATE lyftr_search SET last = last - 100 WHERE id ="
          " (SELECT max(id) FROM lyftr_search)" },

        /* segments */

        { "UPDATE lyftr_segment SET first = first + 1 WHERE first > 0",
          "UPDATE lyftr_segment SET first = first - 1 WHERE first > 0" },

        { "UPDATE lyftr_segment SET rows = rows + 1",
          "UPDATE lyftr_segment SET rows = rows - 1" },

        { "UPDATE lyftr_state SET indexed = indexed + 1",
          "UPDATE lyftr_state SET indexed = indexed - 1" }
    };

    c = unit_open();
    test_add(c, 150);
    unit_housekeep_all(c);

    assert_true(unit_sql_int("SELECT count(*) FROM lyftr_search"
                             " WHERE level = 1") > 1);
    assert_true(unit_sql_int("SELECT count(*) FROM lyftr_search"
                             " WHERE level = 0") > 1);

    for (i = 0; i < unit_count(faults); i++) {
        unit_sql(faults[i].change);

        if (unit_pass(c) != -1) {
            fail_msg("%s", faults[i].change);
        }

        b->close(c);
        unit_sql(faults[i].undo);

        c = unit_open();
        assert_true(unit_pass(c) > 0);
    }

    b->close(c);
}


/* a byte that is another: of a gram, of the length, of a row, of a place */

static void
test_list(void **state)
{
    int          byte;
    void        *c;
    ngx_uint_t   i;

    static ngx_uint_t   at[] = { 0, 2, 3, 4, 5 };
    static const char  *gram = "no & 65535 = 0";

    c = unit_open();
    test_add(c, 150);
    unit_housekeep_all(c);

    for (i = 0; i < unit_count(at); i++) {
        byte = test_byte("lyftr_gram", gram, at[i], -1);
        (void) test_byte("lyftr_gram", gram, at[i], at[i] < 5 ? 0x7f : 0xff);

        if (unit_pass(c) != -1) {
            fail_msg("byte %d", (int) at[i]);
        }

        b->close(c);
        (void) test_byte("lyftr_gram", gram, at[i], byte);

        c = unit_open();
        assert_true(unit_pass(c) > 0);
    }

    b->close(c);
}


/* while it reads, rows come, and the jobs make and delete what they make */

static void
test_meanwhile(void **state)
{
    void        *c, *keeper, *r;
    ngx_uint_t   i, done;
    ngx_int_t    rc;

    srand(1);

    c = unit_open();
    keeper = unit_open();
    r = unit_open();

    for (i = 0, done = 0; i < 4000 || done < 5; i++) {

        if (i < 4000 && rand() % 8 == 0) {
            test_add(c, rand() % 4);
        }

        (void) unit_housekeep(keeper);

        rc = unit_verify(r, 4000);

        if (rc == NGX_ERROR) {
            fail_msg("%.*s", (int) err.len, err.text);
        }

        done += (rc == NGX_DONE);
    }

    b->close(c);
    b->close(keeper);
    b->close(r);
}


/* of version 2: what has no sum yet gets it from the first pass that is good */

static void
test_sums(void **state)
{
    void     *c;
    int64_t   segments, parts;

    c = unit_open();
    test_add(c, 150);
    unit_housekeep_all(c);
    b->close(c);

    unit_version_2();

    c = unit_open();
    assert_int_equal(unit_sql_int("PRAGMA user_version"), 6);

    segments = unit_sql_int("SELECT count(*) FROM lyftr_segment"
                            " WHERE sum IS NULL");
    parts = unit_sql_int("SELECT count(*) FROM lyftr_search"
                         " WHERE sum IS NULL AND level >= 0");
    assert_true(segments > 0 && parts > 0);

    assert_true(unit_pass(c) > 0);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_segment"
                                  " WHERE sum IS NULL"), 0);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_search"
                                  " WHERE sum IS NULL AND level >= 0"), 0);

    /* what is merged from now on has one, and it is the right one */

    test_add(c, 9 * NGX_LYFTR_SEGMENT);
    unit_housekeep_all(c);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_segment"
                                  " WHERE sum IS NULL"), 0);
    assert_true(unit_pass(c) > 0);
    b->close(c);
}


int
main(void)
{
#define test_fresh(f)                                                         \
    cmocka_unit_test_setup_teardown(f, test_setup, unit_teardown)

    const struct CMUnitTest  tests[] = {
        test_fresh(test_damage),
        test_fresh(test_filter),
        test_fresh(test_order),
        test_fresh(test_list),
        test_fresh(test_sums),
        test_fresh(test_meanwhile)
    };

    return cmocka_run_group_tests_name("sqlite_verify", tests, NULL, NULL);
}

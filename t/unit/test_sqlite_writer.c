/* Every id is known that was stored, and no other. */

#include "unit_check.h"

#include <pthread.h>


#define TEST_LONG    100000


/* ids that differ at their end only, or in length, and are long */

static void
test_long(void **state)
{
    char        *id;
    void        *c, *keeper;
    ngx_str_t    s[4];
    ngx_uint_t   i;
    unit_row_t  *r;

    seed = 1;
    c = unit_open();
    keeper = unit_open();

    id = malloc(TEST_LONG);
    ngx_memset(id, 'l', TEST_LONG);

    s[0].data = (u_char *) id;
    ngx_str_set(&s[1], "+1");
    ngx_str_set(&s[2], "2025-01-15T10:00:00Z");
    ngx_str_set(&s[3], "needle");

    for (i = 0; i < 150; i++) {
        s[0].len = 1 + rand_r(&seed) % 300;

        if (i % 3 == 0) {
            s[0].len = TEST_LONG - i;
        }

        id[s[0].len - 1] = 'a' + i % 26;
        (void) unit_model_row(&s[0], &s[1], &s[2], &s[3]);
        id[s[0].len - 1] = 'l';

        r = &model[nmodel - 1];

        assert_int_equal(b->turn(c, unit_in(10000), &err), NGX_OK);

        if (unit_model_insert(c, r) == NGX_DECLINED) {
            free(r->id.data);
            free(r->from.data);
            free(r->ts.data);
            free(r->text.data);
            nmodel--;
        }

        assert_int_equal(unit_commit(c, &err), NGX_OK);
        (void) unit_housekeep(keeper);
    }

    free(id);

    assert_true(nmodel > 130);

    unit_check(c, 5, 1);
    unit_housekeep_all(keeper);
    unit_check(c, 5, 1);
    unit_model_known(c);

    b->close(c);
    b->close(keeper);
}


/* how often the id of a row was read, for one that is known or is not */

static int
test_reads(ngx_lyftr_sqlite_t *c, const char *id, uint64_t hash, ngx_int_t rc)
{
    uint64_t       mark;
    ngx_str_t      s;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_RECENT];
    s = unit_str(id);
    mark = ngx_lyftr_siphash(c->secret, s.data, s.len);

    (void) sqlite3_stmt_status(st, SQLITE_STMTSTATUS_RUN, 1);

    assert_int_equal(ngx_lyftr_sqlite_known(c, &s, hash, mark, &err), rc);

    return sqlite3_stmt_status(st, SQLITE_STMTSTATUS_RUN, 1);
}


/*
 * Ids of one hash, and others, are known.  If they are in order, few rows are
 * read for it: in each segment four, and some of up to 300 by halves.
 */

static void
test_all_known(ngx_lyftr_sqlite_t *c, ngx_uint_t n, ngx_uint_t ties)
{
    int         most;
    char        id[16];
    ngx_str_t   s;
    ngx_uint_t  i;

    static uint64_t  hash;

    assert_int_equal(b->turn(c, unit_in(20000), &err), NGX_OK);

    most = ties ? (int) (1 + c->index.nsegments * (4 + 9)) : (int) n;

    for (i = 0; i < n; i++) {
        (void) sprintf(id, "i%d", (int) i);
        s = unit_str(id);
        hash = (i + 1) % 5 < 3 ? 77 : ngx_lyftr_sqlite_hash(s.data, s.len);

        assert_in_range(test_reads(c, id, hash, NGX_DECLINED), 1, most);

        (void) sprintf(id, "i%d.", (int) i);
        assert_in_range(test_reads(c, id, 77, NGX_OK), 0, most);
    }

    assert_in_range(test_reads(c, "", 77, NGX_OK), 0, most);
    assert_in_range(test_reads(c, "new", 77, NGX_OK), 0, most);

    b->end(c);
}


static void
test_put(ngx_uint_t from, ngx_uint_t n)
{
    char       id[16];
    void      *c;
    ngx_str_t  s, text;

    c = unit_open();
    text = unit_str("");

    assert_int_equal(b->turn(c, unit_in(2000), &err), NGX_OK);

    for (n += from; from < n; from++) {
        (void) sprintf(id, "i%d", (int) from);
        s = unit_str(id);
        assert_true(unit_insert(c, &s, "+1", "2025-01-15T10:00:00Z", &text));
    }

    assert_int_equal(unit_commit(c, &err), NGX_OK);

    b->close(c);

    /* no process has them in memory now */

    unit_sql("UPDATE lyftr_message SET id_hash = 77 WHERE seq % 5 < 3");
}


/* many rows have one hash, also when they are in segments and merged */

static void
test_same_hash(void **state)
{
    void                *keeper;
    ngx_lyftr_sqlite_t  *c;

    test_put(0, 500);

    c = unit_open();
    keeper = unit_open();

    for ( ;; ) {
        test_all_known(c, 500, 1);

        if (c->state.indexed == 448 && c->index.nsegments == 3) {
            break;
        }

        (void) unit_housekeep(keeper);
    }

    assert_true(c->index.segments[0].ties);

    b->close(c);
    b->close(keeper);
}


/* segments of version 2 have them in no order, and are merged by themselves */

static void
test_version_2(void **state)
{
    void                *keeper;
    ngx_uint_t           i, n;
    ngx_lyftr_sqlite_t  *c;

    test_put(0, 320);

    keeper = unit_open();
    unit_housekeep_all(keeper);
    b->close(keeper);

    unit_sql("UPDATE lyftr_segment SET ties = 0");
    unit_version_2();

    c = unit_open();
    test_all_known(c, 320, 0);
    assert_true(c->index.nsegments == 3);
    b->close(c);

    test_put(320, 320);

    c = unit_open();
    keeper = unit_open();
    unit_housekeep_all(keeper);

    test_all_known(c, 640, 0);

    for (i = 0, n = 0; i < c->index.nsegments; i++) {
        assert_int_equal(c->index.segments[i].ties,
                         c->index.segments[i].last > 320);
        n += c->index.segments[i].ties;
    }

    assert_true(n > 0 && c->index.nsegments > n);

    b->close(c);
    b->close(keeper);
}


/* where the filters are wrong, the ids decide */

static void
test_wrong_filter(void **state)
{
    char        id[16];
    void       *c, *keeper;
    ngx_uint_t  i;

    seed = 2;
    c = unit_open();
    keeper = unit_open();

    unit_model_add(c, 200);
    unit_housekeep_all(keeper);
    b->close(c);

    unit_sql("UPDATE lyftr_block SET data = replace(hex(zeroblob("
             "length(data))), '00', x'ff') WHERE (no >> 30) & 15 = 15;"
             "UPDATE lyftr_block SET data = CAST(data AS BLOB)");

    c = unit_open();
    unit_model_known(c);

    for (i = 0; i < 100; i++) {
        (void) sprintf(id, "other%d", (int) i);
        assert_int_equal(unit_one(c, id), NGX_OK);
    }

    b->close(c);
    b->close(keeper);
}


/* writers by turns, of which some give up */

static void
test_rollbacks(void **state)
{
    char         id[16];
    void        *c[3], *keeper;
    ngx_str_t    s, text;
    ngx_uint_t   i, k, m, n;

    seed = 3;
    keeper = unit_open();
    text = unit_str("");

    for (i = 0; i < 3; i++) {
        c[i] = unit_open();
    }

    for (i = 0, n = 0; i < 300; i++) {
        k = rand_r(&seed) % 3;

        assert_int_equal(b->turn(c[k], unit_in(2000), &err), NGX_OK);

        /* those that are there, and the one that was rolled back before */

        for (m = n > 10 ? n - 10 : 0; m < n + 3; m++) {
            (void) sprintf(id, "i%d", (int) m);
            s = unit_str(id);
            assert_int_equal(unit_insert(c[k], &s, "+1",
                                         "2025-01-15T10:00:00Z", &text),
                             m >= n);
        }

        if (rand_r(&seed) % 2) {
            b->end(c[k]);
            continue;
        }

        assert_int_equal(unit_commit(c[k], &err), NGX_OK);
        n += 3;

        (void) unit_housekeep(keeper);
    }

    assert_true(unit_sql_int("SELECT count(*) FROM messages") > 200);
    assert_int_equal(unit_sql_int("SELECT count(*) = count(DISTINCT"
                                  " message_id) FROM messages"), 1);

    for (i = 0; i < 3; i++) {
        b->close(c[i]);
    }

    b->close(keeper);
}


/* ids in one transaction: are they new? */

static void
test_batch(void *c, const char *name, ngx_uint_t n, ngx_uint_t fresh)
{
    char       id[32];
    ngx_str_t  s, text;

    text = unit_str("");

    while (n--) {
        (void) sprintf(id, "%s.%d", name, (int) n);
        s = unit_str(id);
        assert_int_equal(unit_insert(c, &s, "+1", "2025-01-15T10:00:00Z",
                                     &text),
                         fresh);
    }
}


/* the numbers of rows that were rolled back get others, of another writer */

static void
test_rolled_back(void **state)
{
    char         name[16];
    void        *one, *two;
    ngx_uint_t   i;

    one = unit_open();
    two = unit_open();

    for (i = 0; i < 20; i++) {
        (void) sprintf(name, "gone%d", (int) i);

        assert_int_equal(b->turn(one, unit_in(2000), &err), NGX_OK);
        test_batch(one, name, 1 + i, 1);
        b->end(one);

        (void) sprintf(name, "kept%d", (int) i);

        assert_int_equal(b->turn(two, unit_in(2000), &err), NGX_OK);
        test_batch(two, name, 1 + i, 1);
        assert_int_equal(unit_commit(two, &err), NGX_OK);

        assert_int_equal(b->turn(one, unit_in(2000), &err), NGX_OK);
        test_batch(one, name, 1 + i, 0);

        (void) sprintf(name, "gone%d", (int) i);

        test_batch(one, name, 1 + i, 1);
        test_batch(one, name, 1 + i, 0);

        if (i % 2) {
            b->end(one);
            continue;
        }

        assert_int_equal(unit_commit(one, &err), NGX_OK);

        assert_int_equal(b->turn(two, unit_in(2000), &err), NGX_OK);
        test_batch(two, name, 1 + i, 0);
        b->end(two);
    }

    assert_int_equal(unit_sql_int("SELECT count(*) = count(DISTINCT"
                                  " message_id) FROM messages"), 1);

    b->close(one);
    b->close(two);
}


static ngx_uint_t  committed;


static void *
test_commit(void *c)
{
    ngx_int_t  rc;

    rc = unit_commit(c, &err);

    __atomic_store_n(&committed, 1, __ATOMIC_SEQ_CST);

    return rc == NGX_OK ? NULL : c;
}


/* keys come into the memtable while nobody reads it */

static void
test_held(void **state)
{
    void                  *c, *fault;
    pthread_t              t;
    ngx_uint_t             i;
    ngx_lyftr_memtable_t  *memtable;

    c = unit_open();

    assert_int_equal(b->turn(c, unit_in(10000), &err), NGX_OK);
    test_batch(c, "held", 3, 1);

    memtable = ((ngx_lyftr_sqlite_t *) c)->index.memtable;

    ngx_lyftr_memtable_lock(memtable);

    assert_int_equal(pthread_create(&t, NULL, test_commit, c), 0);

    for (i = 0; i < 50; i++) {
        (void) usleep(2000);
        assert_false(__atomic_load_n(&committed, __ATOMIC_SEQ_CST));
    }

    ngx_lyftr_memtable_unlock(memtable);

    assert_int_equal(pthread_join(t, &fault), 0);
    assert_null(fault);

    b->close(c);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        unit_fresh_model(test_long),
        unit_fresh_model(test_same_hash),
        unit_fresh_model(test_version_2),
        unit_fresh_model(test_wrong_filter),
        unit_fresh_model(test_rollbacks),
        unit_fresh_model(test_rolled_back),
        unit_fresh_model(test_held)
    };

    return cmocka_run_group_tests_name("sqlite_writer", tests, NULL, NULL);
}

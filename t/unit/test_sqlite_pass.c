/* The check for damage: when it reads, and how much. */

#include "unit_store.h"


/* messages that are not there yet */

static void
test_add(void *c, ngx_uint_t n)
{
    char        id[32];
    ngx_str_t   str, text;

    static ngx_uint_t  added;

    text = unit_str("text");

    assert_int_equal(b->turn(c, unit_in(2000), &err), NGX_OK);

    while (n--) {
        (void) sprintf(id, "m%u", (unsigned) added++);
        str = unit_str(id);

        assert_true(unit_insert(c, &str, "+1", "2025-01-15T10:00:00Z",
                                &text));
    }

    assert_int_equal(unit_commit(c, &err), NGX_OK);
}


/* a part ends after so many bytes, and the next goes on behind them */

static void
test_bytes(void **state)
{
    int         n;
    void       *c;
    char       *s;
    off_t       sum;
    ngx_int_t   rc;
    ngx_str_t   id, text;
    char        name[32];

    c = unit_open();

    text.len = 1024 * 1024;
    text.data = (u_char *) (s = malloc(text.len));
    ngx_memset(s, 'x', text.len);

    dsn.search = 0;

    for (n = 0; n < 12; n++) {
        (void) sprintf(name, "m%d", n);
        id = unit_str(name);
        assert_int_equal(b->turn(c, unit_in(4000), &err), NGX_OK);
        assert_true(unit_insert(c, &id, "+1", "2025-01-15T10:00:00Z", &text));
        assert_int_equal(unit_commit(c, &err), NGX_OK);
    }

    free(s);
    unit_housekeep_all(c);

    sum = 0;

    do {
        rc = unit_verify(c, 4000);
        assert_int_not_equal(rc, NGX_ERROR);
        assert_true(checked.read < 5 * 1024 * 1024 + 4096);
        sum += checked.read;
    } while (rc == NGX_OK);

    assert_true(sum > 12 * 1024 * 1024);
    assert_true(checked.size > 12 * 1024 * 1024);
    b->close(c);
}


/* or after so many rows, blocks or senders: the rest waits meanwhile */

static void
test_parts(void **state)
{
    void        *c;
    char         id[32], from[32], words[64];
    ngx_int_t    rc;
    ngx_str_t    str, text;
    ngx_uint_t   i, dear;

    c = unit_open();
    dsn.search = 1;

    for (i = 0; i < 600 + NGX_LYFTR_SEGMENT / 2; i++) {
        (void) sprintf(id, "m%u", (unsigned) i);
        (void) sprintf(from, "+%u", (unsigned) i);
        (void) sprintf(words, "%08x%08x%08x", (unsigned) (i * 2654435761),
                       (unsigned) (i * 3266489917), (unsigned) i);
        str = unit_str(id);
        text = unit_str(words);

        assert_int_equal(b->turn(c, unit_in(4000), &err), NGX_OK);
        assert_true(unit_insert(c, &str, from, "2025-01-15T10:00:00Z",
                                &text));
        assert_int_equal(unit_commit(c, &err), NGX_OK);
        (void) unit_housekeep(c);
    }

    unit_housekeep_all(c);

    dear = 0;

    do {
        rc = unit_verify(c, 4000);
        assert_int_not_equal(rc, NGX_ERROR);

        /* beside the counts all rows without a segment are read */

        if (checked.read < NGX_LYFTR_SQLITE_PART * 200) {
            continue;
        }

        dear++;
        assert_true(checked.read < NGX_LYFTR_SQLITE_PART * 200
                                   + NGX_LYFTR_SEGMENT / 2 * 64);

    } while (rc == NGX_OK);

    /* with each part of them */

    assert_in_range(dear, 600 / NGX_LYFTR_SQLITE_PART,
                    700 / NGX_LYFTR_SQLITE_PART);

    b->close(c);
}


/* a pass begins only if something has changed, or if it is asked for */

static void
test_changed(void **state)
{
    void  *c, *d;

    c = unit_open();
    d = unit_open();
    test_add(c, 100);
    unit_housekeep_all(c);
    assert_true(unit_pass(d) > 0);

    checked.begin = 0;
    assert_int_equal(b->check(d, &checked, unit_in(1000), &err),
                     NGX_DECLINED);
    assert_int_equal(checked.active, 0);
    assert_int_equal(checked.read, 0);

    test_add(c, 1);
    assert_int_equal(b->check(d, &checked, unit_in(1000), &err), NGX_OK);
    assert_int_equal(checked.active, 1);

    while (b->check(d, &checked, unit_in(1000), &err) == NGX_OK) {
        /* void */
    }

    assert_int_equal(checked.active, 0);
    assert_int_equal(b->check(d, &checked, unit_in(1000), &err),
                     NGX_DECLINED);

    /* from another program, too */

    unit_sql("UPDATE lyftr_message SET text = 'another' WHERE seq = 1");
    assert_int_equal(b->check(d, &checked, unit_in(1000), &err), NGX_OK);

    b->close(c);
    b->close(d);
}


/* what one has found is known to the next, until a pass finds nothing */

static void
test_kept(void **state)
{
    void  *c;

    c = unit_open();
    test_add(c, 100);
    unit_housekeep_all(c);

    unit_sql("UPDATE lyftr_state SET senders = senders + 1");
    assert_int_equal(unit_pass(c), -1);
    assert_int_equal(checked.active, 0);
    b->close(c);

    unit_sql("UPDATE lyftr_state SET senders = senders - 1");
    c = unit_open();
    checked.damaged = 0;
    checked.begin = 0;
    checked.known = 1;
    assert_int_equal(b->check(c, &checked, unit_in(1000), &err), NGX_OK);
    assert_int_equal(checked.damaged, 1);
    checked.known = 0;
    assert_int_equal(unit_sql_int("SELECT damaged FROM lyftr_state"), 1);
    assert_true(unit_pass(c) > 0);
    assert_int_equal(unit_sql_int("SELECT damaged FROM lyftr_state"), 0);
    b->close(c);

    c = unit_open();
    checked.begin = 0;
    checked.known = 1;
    assert_int_equal(b->check(c, &checked, unit_in(1000), &err),
                     NGX_DECLINED);
    checked.known = 0;
    b->close(c);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        unit_fresh(test_bytes),
        unit_fresh(test_parts),
        unit_fresh(test_changed),
        unit_fresh(test_kept)
    };

    return cmocka_run_group_tests_name("sqlite_pass", tests, NULL, NULL);
}

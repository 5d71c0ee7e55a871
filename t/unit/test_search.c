/* The index of q: in every state of it, against a model that reads all. */

#include "unit_store.h"

#include <ngx_lyftr_sqlite_index.h>
#include <ngx_lyftr_text.h>


#define TEST_ROWS  300


typedef struct {
    char       text[256];
    ngx_uint_t null;
    ngx_uint_t gone;
    ngx_uint_t sender;
} test_row_t;


typedef struct {
    ngx_uint_t n;
    ngx_uint_t first;
    ngx_uint_t last;
    uint64_t   sum;
} test_got_t;


static const char  *alphabet[] = {
    "a", "b", "A", "c", " ", "ß", "s", "S", "İ", "i", "ſ", "É", "é", "е", "Е",
    "न", "👍", "ΐ"
};

static const char  *senders[] = { "+1", "+2", "+3" };

static test_row_t  rows[TEST_ROWS];
static ngx_uint_t  nrows;


static void
test_text(char *p, ngx_uint_t n, ngx_uint_t letters)
{
    *p = '\0';

    while (n--) {
        (void) strcat(p, alphabet[(ngx_uint_t) rand() % letters]);
    }
}


/*
 * Every third text is of few letters, so that there is much to find, and one
 * sender has most rows of each segment, but not the first nor the last ones.
 */

static void
test_add(void *c, ngx_uint_t n)
{
    char         id[32], ts[32];
    ngx_str_t    s, text;
    test_row_t  *row;

    assert_int_equal(b->turn(c, unit_in(2000), &err), NGX_OK);

    while (n--) {
        row = &rows[nrows];

        row->null = (rand() % 8 == 0);
        row->gone = 0;
        row->sender = rand() % 4 ? 1 : rand() % unit_count(senders);
        test_text(row->text, rand() % 40,
                  nrows % 3 ? unit_count(alphabet) : 4);

        (void) snprintf(id, sizeof(id), "m%u", (unsigned) nrows);
        (void) snprintf(ts, sizeof(ts), "2025-01-15T10:%02u:%02uZ",
                        (unsigned) nrows / 60, (unsigned) nrows % 60);

        s = unit_str(id);
        text = unit_str(row->null ? NULL : row->text);

        assert_true(unit_insert(c, &s, senders[row->sender], ts, &text));
        nrows++;
    }

    assert_int_equal(unit_commit(c, &err), NGX_OK);
}


static ngx_int_t
test_row(void *data, ngx_lyftr_message_t *m,
    ngx_lyftr_position_t *position)
{
    test_got_t *got = data;

    ngx_uint_t  i;

    i = strtoul((char *) m->message_id.data + 1, NULL, 10);

    if (got->n == 0) {
        got->first = i;
    }

    got->n++;
    got->last = i;
    got->sum = got->sum * 1000003 + i;

    return NGX_OK;
}


static ngx_uint_t
test_has(test_row_t *row, ngx_str_t *needle)
{
    return !row->null && !row->gone
           && ngx_lyftr_fold_contains((u_char *) row->text, strlen(row->text),
                                      needle->data, needle->len);
}


static void
test_query(void *c, const char *q, ngx_uint_t since, ngx_uint_t sender,
    ngx_uint_t offset, ngx_uint_t limit)
{
    char               ts[32];
    u_char             buf[256];
    int64_t            total;
    ngx_str_t          needle;
    ngx_uint_t         i;
    test_got_t         want, got;
    ngx_lyftr_page_t   page;
    ngx_lyftr_query_t  query;

    ngx_memzero(&query, sizeof(query));
    ngx_memzero(&want, sizeof(want));
    ngx_memzero(&got, sizeof(got));

    query.limit = limit;
    query.offset = offset;
    query.q = unit_str(q);

    if (since) {
        (void) snprintf(ts, sizeof(ts), "2025-01-15T10:%02u:%02uZ",
                        (unsigned) since / 60, (unsigned) since % 60);
        query.since = unit_str(ts);
        assert_int_equal(ngx_lyftr_instant_parse(query.since.data,
                                                 query.since.len,
                                                 &query.instant), NGX_OK);
    }

    if (sender < unit_count(senders)) {
        query.from = unit_str(senders[sender]);
    }

    needle.data = buf;
    needle.len = ngx_lyftr_fold(buf, query.q.data, query.q.len);

    total = 0;

    for (i = since; i < nrows; i++) {
        if (test_has(&rows[i], &needle)
            && (query.from.len == 0 || rows[i].sender == sender)
            && (ngx_uint_t) total++ >= offset && want.n < limit)
        {
            char                 id[32];
            ngx_lyftr_message_t  m;

            (void) snprintf(id, sizeof(id), "m%u", (unsigned) i);
            m.message_id = unit_str(id);
            (void) test_row(&want, &m, NULL);
        }
    }

    assert_int_equal(b->begin(c, unit_in(4000), &err), NGX_OK);

    if (b->list(c, &query, test_row, &got, &page, &err) != NGX_OK) {
        print_error("list: %.*s\n", (int) err.len, err.text);
        fail();
    }

    b->end(c);

    if (page.total != total || got.n != want.n || got.sum != want.sum) {
        print_error("\"%s\" since %d from %d offset %d limit %d of %d: "
                    "%d rows of %d, not %d of %d\n", q, (int) since,
                    (int) sender, (int) offset, (int) limit, (int) nrows,
                    (int) got.n, (int) page.total, (int) want.n, (int) total);
        fail();
    }

    assert_int_equal(page.next.seq != 0,
                     total > (int64_t) (offset + limit));
}


static void
test_queries(void *c, ngx_uint_t n)
{
    char        q[256], *p;
    ngx_uint_t  i;

    while (n--) {
        i = (ngx_uint_t) rand() % nrows;

        /* what is there, as far as it has whole characters, or what may be */

        if (n % 2 && !rows[i].null && rows[i].text[0]) {
            p = rows[i].text + (ngx_uint_t) rand() % strlen(rows[i].text);

            while ((*p & 0xc0) == 0x80) {
                p--;
            }

            (void) strcpy(q, p);
            i = ngx_min(strlen(q), (size_t) (1 + rand() % 16));

            while ((q[i] & 0xc0) == 0x80) {
                i++;
            }

            q[i] = '\0';

        } else {
            test_text(q, 1 + rand() % 8, n % 3 ? 4 : unit_count(alphabet));
        }

        test_query(c, q, 0, 9, 0, 1 + rand() % 400);
        test_query(c, q, 0, 9, rand() % 10, 1 + rand() % 5);
        test_query(c, q, rand() % nrows, rand() % 4, rand() % 3,
                   1 + rand() % 5);
    }
}


static int64_t
test_count(const char *what)
{
    char  sql[128];

    (void) snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", what);

    return unit_sql_int(sql);
}


/* one step of the housekeeping after the other, with queries between them */

static void
test_housekeeping(void *c, void *r)
{
    ngx_int_t  rc;

    do {
        rc = b->housekeep(c, unit_in(2000), &err);
        assert_int_not_equal(rc, NGX_ERROR);
        test_queries(r, 2);

    } while (rc == NGX_OK);
}


static void
test_states(void **state)
{
    void  *w, *c, *r;

    nrows = 0;
    dsn.search = 0;

    w = unit_open();
    c = unit_open();
    r = unit_open();

    test_add(w, 10);
    test_housekeeping(c, r);

    /* off: nothing is made */

    test_add(w, 2 * NGX_LYFTR_SEARCH_PART);
    test_housekeeping(c, r);
    assert_int_equal(test_count("lyftr_gram"), 0);

    dsn.search = 1;

    while (nrows < 150) {
        test_add(w, 1 + (ngx_uint_t) rand() % 14);
        test_housekeeping(c, r);
    }

    assert_true(test_count("lyftr_search WHERE level = 1") > 0);
    assert_int_equal(test_count("lyftr_search WHERE level = 0 AND last <="
                                " (SELECT max(last) FROM lyftr_search"
                                " WHERE level = 1)"), 0);
    assert_int_equal(test_count("lyftr_search WHERE level < 0"), 0);
    assert_int_equal(test_count("lyftr_gram WHERE no >> 40 NOT IN"
                                " (SELECT id FROM lyftr_search)"), 0);

    /* off again: what is there is used */

    dsn.search = 0;
    test_add(w, 70);
    test_housekeeping(c, r);
    test_queries(r, 1500);

    dsn.search = 1;
    test_housekeeping(c, r);
    test_queries(r, 1500);

    b->close(w);
    b->close(c);
    b->close(r);
}


/* the maker goes away at any step: another one makes it */

static void
test_gone(void **state)
{
    void        *w, *c, *r;
    ngx_uint_t   i, n;

    nrows = 0;
    dsn.search = 1;

    w = unit_open();
    r = unit_open();

    test_add(w, 200);

    for (n = 1; n < 40; n++) {
        c = unit_open();

        for (i = 0; i < n; i++) {
            assert_int_not_equal(b->housekeep(c, unit_in(2000), &err),
                                 NGX_ERROR);
        }

        b->close(c);
        test_queries(r, 5);
    }

    c = unit_open();
    test_housekeeping(c, r);

    assert_int_equal(test_count("lyftr_search WHERE level < 0"), 0);
    assert_int_equal(unit_sql_int("SELECT max(last) FROM lyftr_search"),
                     200 - 200 % NGX_LYFTR_SEARCH_PART);

    b->close(w);
    b->close(c);
    b->close(r);
}


/* places in the log that no row has */

static void
test_gaps(void **state)
{
    void        *w, *c, *r;
    char         sql[128];
    ngx_uint_t   i;

    nrows = 0;
    dsn.search = 0;

    w = unit_open();
    test_add(w, 290);
    b->close(w);

    for (i = 0; i < nrows - 1; i++) {
        rows[i].gone = (rand() % 4 == 0);

        if (rows[i].gone) {
            (void) snprintf(sql, sizeof(sql), "DELETE FROM lyftr_message"
                            " WHERE message_id = 'm%u'", (unsigned) i);
            unit_sql(sql);
        }
    }

    c = unit_open();
    r = unit_open();

    test_housekeeping(c, r);
    test_queries(r, 500);

    dsn.search = 1;

    test_housekeeping(c, r);
    test_queries(r, 500);

    b->close(c);
    b->close(r);
}


/*
 * Rows that are not in the log, or not of the segment, or no rows at all; and
 * lists that are cut off.
 */

static void
test_damage(void **state)
{
    void              *w, *c;
    char               sql[128];
    ngx_int_t          rc;
    ngx_uint_t         i, n;
    test_got_t         got;
    ngx_lyftr_page_t   page;
    ngx_lyftr_query_t  query;

    static const char  *damage[][2] = {
        { "lyftr_search SET first = -1000000 WHERE first = 0",
          "lyftr_search SET first = 0 WHERE first = -1000000" },
        { "lyftr_search SET last = last - 1000000",
          "lyftr_search SET last = last + 1000000" },
        { "lyftr_segment SET rows = rows + 1000 WHERE first = 0",
          "lyftr_segment SET rows = rows - 1000 WHERE first = 0" },
        { "lyftr_segment SET rows = -rows WHERE first = 0",
          "lyftr_segment SET rows = -rows WHERE first = 0" },
        { "lyftr_segment SET last = last + 1000 WHERE first = 0",
          "lyftr_segment SET last = last - 1000 WHERE first = 0" },
        { "lyftr_segment SET first = -1000 WHERE first = 0",
          "lyftr_segment SET first = 0 WHERE first = -1000" },
        { "lyftr_gram SET data = substr(data, 1, length(data) - 1)", NULL }
    };

    nrows = 0;
    dsn.search = 1;

    w = unit_open();

    test_add(w, 200);

    while (b->housekeep(w, unit_in(2000), &err) == NGX_OK) {
        /* void */
    }

    b->close(w);

    ngx_memzero(&query, sizeof(query));
    query.limit = 10;
    query.q = unit_str("👍👍👍");

    for (i = 0; i < 2 * unit_count(damage) - 1; i++) {
        n = i % 2;

        (void) snprintf(sql, sizeof(sql), "UPDATE %s", damage[i / 2][n]);
        unit_sql(sql);

        c = unit_open();

        assert_int_equal(b->begin(c, unit_in(4000), &err), NGX_OK);

        rc = b->list(c, &query, test_row, &got, &page, &err);
        assert_int_equal(rc, n ? NGX_OK : NGX_ERROR);

        if (rc == NGX_ERROR) {
            assert_int_equal(err.code, NGX_LYFTR_ERR_CORRUPT);
        }

        b->close(c);
    }
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        unit_fresh(test_states),
        unit_fresh(test_gone),
        unit_fresh(test_gaps),
        unit_fresh(test_damage)
    };

    srand(time(NULL) ^ getpid());

    return cmocka_run_group_tests(tests, NULL, NULL);
}

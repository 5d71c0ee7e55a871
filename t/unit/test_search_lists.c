/* The lists of grams: which one is read, and which are deleted. */

#include "unit_store.h"

#include <ngx_lyftr_sqlite_index.h>


#define TEST_LEN   256


/* commits rows of one text, each with an id of its own */

static void
test_add(void *c, const char *letters, ngx_uint_t n)
{
    char       id[32];
    ngx_str_t  s, text;

    static ngx_uint_t  rows;

    text = unit_str(letters);

    assert_int_equal(b->turn(c, unit_in(2000), &err), NGX_OK);

    while (n--) {
        (void) snprintf(id, sizeof(id), "m%u", (unsigned) rows++);
        s = unit_str(id);
        assert_true(unit_insert(c, &s, "+1", "2025-01-15T10:00:00Z", &text));
    }

    assert_int_equal(unit_commit(c, &err), NGX_OK);
}


static ngx_int_t
test_row(void *data, ngx_lyftr_message_t *m,
    ngx_lyftr_position_t *position)
{
    const char  *q = data;

    assert_non_null(memmem(m->text.data, m->text.len, q, strlen(q)));

    return NGX_OK;
}


/* how many rows are found; each has it */

static int64_t
test_found(void *c, const char *q)
{
    ngx_lyftr_page_t   page;
    ngx_lyftr_query_t  query;

    ngx_memzero(&query, sizeof(ngx_lyftr_query_t));

    query.limit = 100;
    query.q = unit_str(q);

    assert_int_equal(b->begin(c, unit_in(4000), &err), NGX_OK);
    assert_int_equal(b->list(c, &query, test_row, (void *) q, &page, &err),
                     NGX_OK);
    b->end(c);

    return page.total;
}


/*
 * A part that does not have a gram: where its list would be, there is that of
 * the part before, or of another gram.
 */

static void
test_neighbours(void **state)
{
    char         q[4];
    void        *c, *keeper;
    int64_t      want;
    ngx_uint_t   i, k, n, text, count[6];

    static const char  *texts[] = {
        "aaaa", "mmmm", "zzzz", "aaaa zzzz", "mmmmzzzz", "aaaammmm"
    };

    dsn.search = 1;

    c = unit_open();
    keeper = unit_open();

    srand(1);
    ngx_memzero(count, sizeof(count));

    for (i = 0; i < 60; i++) {
        text = (ngx_uint_t) rand() % unit_count(texts);
        count[text]++;

        test_add(c, texts[text], NGX_LYFTR_SEARCH_PART);

        while (unit_housekeep(keeper) == NGX_OK) { /* void */ }

        for (k = 'a'; k <= 'z'; k++) {
            (void) snprintf(q, sizeof(q), "%c%c%c", (int) k, (int) k, (int) k);

            for (n = 0, want = 0; n < unit_count(texts); n++) {
                want += strstr(texts[n], q) ? count[n] : 0;
            }

            assert_int_equal(test_found(c, q), want * NGX_LYFTR_SEARCH_PART);
        }
    }

    b->close(c);
    b->close(keeper);
}


/* a part that goes has more blocks than one turn deletes */

static void
test_sweep(void **state)
{
    char         text[TEST_LEN];
    void        *c, *keeper;
    int64_t      most;
    ngx_uint_t   i, k;

    dsn.search = 1;
    most = 0;

    c = unit_open();
    keeper = unit_open();

    srand(2);

    for (i = 0; i < NGX_LYFTR_SEARCH_ROWS; i++) {

        for (k = 0; k < TEST_LEN - 1; k++) {
            text[k] = (char) ('!' + rand() % 64);
        }

        text[k] = '\0';
        test_add(c, text, 1);

        /* parts of a few rows first */

        while (unit_housekeep(keeper) == NGX_OK) {
            most = ngx_max(most, unit_sql_int("SELECT count(*) FROM lyftr_gram"
                                              " WHERE no >> 40 = (SELECT"
                                              " min(id) FROM lyftr_search"
                                              " WHERE level < 0)"));
        }
    }

    assert_true(most > 2 * 64);

    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_search"
                                  " WHERE level = 1"), 1);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_search"
                                  " WHERE level <> 1"), 0);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_gram WHERE"
                                  " no >> 40 NOT IN"
                                  " (SELECT id FROM lyftr_search)"), 0);

    b->close(c);
    b->close(keeper);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        unit_fresh(test_neighbours),
        unit_fresh(test_sweep)
    };

    return cmocka_run_group_tests_name("search_lists", tests, NULL, NULL);
}

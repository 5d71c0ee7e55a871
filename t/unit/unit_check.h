/* Whether a store gives what it is to hold, and just that. */

#ifndef _UNIT_CHECK_H_INCLUDED_
#define _UNIT_CHECK_H_INCLUDED_


#include "unit_model.h"


/* rows that are given are compared with those that are wanted */

typedef struct {
    unit_row_t         **want;
    ngx_uint_t           fields;           /* that were asked for */
    ngx_uint_t           n;
    ngx_uint_t           bad;
} unit_sink_t;


static ngx_inline ngx_uint_t
unit_differs(ngx_str_t *x, ngx_str_t *y)
{
    return (x->data == NULL) != (y->data == NULL) || unit_str_cmp(x, y) != 0;
}


/* no text of the model has what folds otherwise than ASCII */

static ngx_inline ngx_uint_t
unit_row_matches(unit_row_t *r, ngx_lyftr_query_t *q)
{
    size_t      i;
    unit_row_t  since, until;

    if (q->id.len && unit_str_cmp(&r->id, &q->id) != 0) {
        return 0;
    }

    if (q->from.len && unit_str_cmp(&r->from, &q->from) != 0) {
        return 0;
    }

    if (q->since.len) {
        ngx_memzero(&since, sizeof(unit_row_t));
        since.t = q->instant;

        if (unit_row_cmp(r, &since) < 0) {
            return 0;
        }
    }

    if (q->until.len) {
        ngx_memzero(&until, sizeof(unit_row_t));
        until.t = q->end;

        if (r->none || unit_row_cmp(r, &until) >= 0) {
            return 0;
        }
    }

    if (q->q.len == 0) {
        return 1;
    }

    for (i = 0; i + q->q.len <= r->text.len; i++) {
        if (strncasecmp((char *) r->text.data + i, (char *) q->q.data,
                        q->q.len)
            == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_inline ngx_int_t
unit_sink(void *data, ngx_lyftr_message_t *m,
    ngx_lyftr_position_t *position)
{
    unit_sink_t *sink = data;

    unit_row_t  *r, row;

    r = sink->want[sink->n++];

    if (r == NULL) {
        sink->bad++;
        return NGX_OK;
    }

    row = *r;

    if ((sink->fields & NGX_LYFTR_FIELDS_EXTRA) == 0) {
        ngx_str_null(&row.type);
        ngx_str_null(&row.raw);
    }

    sink->bad += (unit_str_cmp(&row.id, &m->message_id) != 0
                  || unit_str_cmp(&row.from, &m->from) != 0
                  || unit_str_cmp(&row.ts, &m->ts) != 0
                  || unit_differs(&row.text, &m->text)
                  || unit_differs(&row.type, &m->type)
                  || unit_differs(&row.raw, &m->raw));

    return NGX_OK;
}


/* one page, from the row of that number on; in a transaction */

static ngx_inline void
unit_page(void *c, ngx_lyftr_query_t *q, unit_row_t **want, ngx_uint_t n,
    ngx_uint_t from, ngx_lyftr_page_t *page)
{
    ngx_int_t    rc;
    ngx_uint_t   len;
    unit_sink_t  sink;

    len = from < n ? ngx_min((ngx_uint_t) q->limit, n - from) : 0;

    sink.want = &want[ngx_min(from, n)];
    sink.fields = q->fields;
    sink.n = 0;
    sink.bad = 0;

    rc = b->list(c, q, unit_sink, &sink, page, &err);

    if (rc == NGX_ERROR) {
        print_error("list: %.*s\n", (int) err.len, err.text);
    }

    if (rc != NGX_OK || (ngx_uint_t) page->total != n || sink.n != len
        || sink.bad || (page->next.seq != 0) != (from + len < n))
    {
        fail_msg("from \"%.*s\" since \"%.*s\" until \"%.*s\" q \"%.*s\""
                 " id \"%.*s\" desc %d at %d: %d rows of %d, %d wrong,"
                 " total %d of %d, next %d",
                 (int) q->from.len, q->from.data, (int) q->since.len,
                 q->since.data, (int) q->until.len, q->until.data,
                 (int) q->q.len, q->q.data, (int) q->id.len, q->id.data,
                 q->desc, (int) from,
                 (int) sink.n, (int) len, (int) sink.bad, (int) page->total,
                 (int) n, (int) page->next.seq);
    }
}


/*
 * To after any row but the last, also one that the filters but from leave out;
 * how many of those that they do not are up to it.
 */

static ngx_inline ngx_uint_t
unit_after(void *c, ngx_lyftr_query_t *q, unit_row_t **want, ngx_uint_t n)
{
    ngx_uint_t          i, at;
    unit_sink_t         sink;
    unit_row_t         *row;
    ngx_lyftr_page_t    page;
    ngx_lyftr_query_t   one;

    i = rand_r(&seed) % (nmodel - 1);

    while (i && q->from.len && unit_str_cmp(&model[i].from, &q->from) != 0) {
        i--;
    }

    if (q->from.len && unit_str_cmp(&model[i].from, &q->from) != 0) {
        return q->offset;
    }

    row = &model[i];

    ngx_memzero(&one, sizeof(ngx_lyftr_query_t));
    one.limit = 1;
    one.offset = i;

    sink.want = &row;
    sink.fields = 0;
    sink.n = 0;
    sink.bad = 0;

    assert_int_equal(b->list(c, &one, unit_sink, &sink, &page, &err), NGX_OK);
    assert_int_equal(sink.bad, 0);
    assert_true(page.next.seq);

    q->offset = 0;
    q->after = page.next;

    for (at = 0;
         at < n && (q->desc ? want[at] >= row : want[at] <= row);
         at++)
    {
        /* void */
    }

    return at;
}


typedef struct {
    unit_row_t         **want;
    ngx_uint_t           n;
    ngx_uint_t           others;
} unit_walk_t;


static ngx_inline ngx_int_t
unit_walk_row(void *data, ngx_lyftr_message_t *m,
    ngx_lyftr_position_t *position)
{
    unit_walk_t *walk = data;

    unit_row_t  *r;

    r = walk->want[walk->n];

    if (r && unit_str_cmp(&r->id, &m->message_id) == 0) {
        walk->n++;

    } else {
        walk->others++;
    }

    return NGX_OK;
}


/* by one who looks at the texts himself, where the index does not tell */

static ngx_inline void
unit_walk(void *c, ngx_lyftr_query_t *query, unit_row_t **want, ngx_uint_t n)
{
    unit_walk_t         walk;
    ngx_lyftr_page_t    page;
    ngx_lyftr_query_t   q;

    ngx_memzero(&walk, sizeof(unit_walk_t));
    walk.want = want;

    q = *query;
    q.walk = 1;
    q.offset = 0;

    do {
        assert_int_equal(b->list(c, &q, unit_walk_row, &walk, &page, &err),
                         NGX_OK);

        if (page.unsearched) {
            q.q.len = 0;

        } else if (q.q.len) {
            assert_int_equal(walk.others, 0);
        }

        q.after = page.next;

    } while (page.next.seq);

    assert_int_equal(walk.n, n);
}


/* the rows that match, in the order that is asked for, and how many they are */

static ngx_inline ngx_uint_t
unit_wanted(ngx_lyftr_query_t *q, unit_row_t **want)
{
    ngx_uint_t   i, k, n;
    unit_row_t  *row;

    for (i = 0, n = 0; i < nmodel; i++) {
        if (unit_row_matches(&model[i], q)) {
            want[n++] = &model[i];
        }
    }

    for (i = 0, k = n; q->desc && i + 1 < k; i++) {
        row = want[i];
        want[i] = want[--k];
        want[k] = row;
    }

    want[n] = NULL;

    return n;
}


/*
 * Filters, limit and start are chosen at random.  all: page by page to the
 * end, each by its number or after the one before.
 */

static ngx_inline void
unit_check_list(void *c, ngx_uint_t all)
{
    ngx_uint_t          n, at;
    static unit_row_t  *want[UNIT_ROWS + 1];
    ngx_lyftr_page_t    page;
    ngx_lyftr_query_t   q;

    static const char  *needles[] = { "NEEDLE", "100%_", "dLe", "nothing" };
    static const char  *sinces[] = {
        "2025-01-15T10:00:30Z", "2025-01-15t15:30:30.5+05:30",
        "0001-01-01T00:00:00Z", "2025-01-15T10:00:59.999Z"
    };

    ngx_memzero(&q, sizeof(ngx_lyftr_query_t));

    if (nmodel && rand_r(&seed) % 2) {
        q.from = model[rand_r(&seed) % nmodel].from;
    }

    if (rand_r(&seed) % 2) {
        q.since = unit_str(sinces[rand_r(&seed) % 4]);

        assert_int_equal(ngx_lyftr_instant_parse_since(q.since.data,
                                                       q.since.len,
                                                       &q.instant),
                         NGX_OK);
    }

    if (rand_r(&seed) % 3 == 0) {
        q.until = unit_str(sinces[rand_r(&seed) % 4]);

        assert_int_equal(ngx_lyftr_instant_parse_since(q.until.data,
                                                       q.until.len, &q.end),
                         NGX_OK);
    }

    if (rand_r(&seed) % 4 == 0) {
        q.q = unit_str(needles[rand_r(&seed) % 4]);
    }

    if (nmodel && rand_r(&seed) % 6 == 0) {
        q.id = rand_r(&seed) % 6 ? model[rand_r(&seed) % nmodel].id
                                 : unit_str("none");
    }

    q.fields = rand_r(&seed) % 2 ? NGX_LYFTR_FIELDS_DEFAULT
                                 : NGX_LYFTR_FIELDS_EXTRA;
    q.desc = rand_r(&seed) % 2;

    n = unit_wanted(&q, want);

    q.limit = 1 + rand_r(&seed) % 100;

    if (q.q.len && q.id.len == 0) {
        unit_walk(c, &q, want, n);
    }

    q.offset = all ? 0 : rand_r(&seed) % (n + 2);
    at = q.offset;

    if (nmodel > 1 && rand_r(&seed) % 3 == 0) {
        at = unit_after(c, &q, want, n);
    }

    for ( /* void */ ; /* void */ ; at += q.limit) {
        unit_page(c, &q, want, n, at, &page);

        if (!page.next.seq || !(all || rand_r(&seed) % 2)) {
            break;
        }

        q.offset = 0;
        q.after = page.next;

        if (rand_r(&seed) % 2) {
            q.offset = at + q.limit;
            q.after.seq = 0;
        }
    }
}


static ngx_inline int
unit_from_cmp(const void *one, const void *two)
{
    const unit_row_t  *x = *(unit_row_t **) one, *y = *(unit_row_t **) two;

    return unit_str_cmp(&x->from, &y->from);
}


/* of the senders in order, the first ten of those with the most rows */

static ngx_inline void
unit_check_stats(void *c)
{
    ngx_uint_t          i, k, n, top, first;
    ngx_lyftr_stats_t   s;
    static unit_row_t  *rows[UNIT_ROWS], *from[UNIT_ROWS];
    static ngx_uint_t   count[UNIT_ROWS];

    for (i = 0, first = nmodel; i < nmodel; i++) {
        rows[i] = &model[i];

        if (!model[i].none && first == nmodel) {
            first = i;
        }
    }

    qsort(rows, nmodel, sizeof(unit_row_t *), unit_from_cmp);

    for (i = 0, n = 0; i < nmodel; i++) {

        if (i == 0 || unit_from_cmp(&rows[i], &rows[i - 1]) != 0) {
            from[n] = rows[i];
            count[n++] = 0;
        }

        count[n - 1]++;
    }

    assert_int_equal(b->stats(c, &s, &err), NGX_OK);
    assert_int_equal(s.total, nmodel);
    assert_int_equal(s.senders, n);
    assert_int_equal(s.ntop, ngx_min(n, NGX_LYFTR_TOP_SENDERS));

    for (k = 0; k < s.ntop; k++) {

        for (i = 0, top = 0; i < n; i++) {
            top = (count[i] > count[top]) ? i : top;
        }

        assert_int_equal(s.top[k].count, count[top]);
        assert_int_equal(unit_str_cmp(&s.top[k].from, &from[top]->from), 0);
        count[top] = 0;
    }

    if (first == nmodel) {
        assert_null(s.first.data);
        assert_null(s.last.data);
        return;
    }

    assert_int_equal(unit_str_cmp(&s.first, &model[first].ts), 0);
    assert_int_equal(unit_str_cmp(&s.last, &model[nmodel - 1].ts), 0);
}


/* in one transaction: some pages, or all of some lists, and the stats */

static ngx_inline void
unit_check(void *c, ngx_uint_t lists, ngx_uint_t all)
{
    unit_model_sort();

    if (b->begin(c, unit_in(120000), &err) != NGX_OK) {
        fail_msg("begin: %.*s", (int) err.len, err.text);
    }

    unit_check_stats(c);

    while (lists--) {
        unit_check_list(c, all);
    }

    assert_int_equal(unit_commit(c, &err), NGX_OK);
}


/* blocks that no segment has */

static ngx_inline ngx_uint_t
unit_strays(void)
{
    return unit_sql_int("SELECT count(*) FROM lyftr_block WHERE no >> 36"
                        " NOT IN (SELECT id FROM lyftr_segment)");
}


#endif /* _UNIT_CHECK_H_INCLUDED_ */

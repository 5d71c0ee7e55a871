/* What a store is to hold, and whether it gives just that. */

#ifndef _UNIT_MODEL_H_INCLUDED_
#define _UNIT_MODEL_H_INCLUDED_


#include "unit_store.h"


#define UNIT_ROWS    4096


typedef struct {
    ngx_str_t            id;
    ngx_str_t            from;
    ngx_str_t            ts;
    ngx_str_t            text;
    ngx_uint_t           none;             /* ts is none */
    ngx_lyftr_instant_t  t;
} unit_row_t;


/* rows that are given are compared with those that are wanted */

typedef struct {
    unit_row_t         **want;
    ngx_uint_t           n;
    ngx_uint_t           bad;
} unit_sink_t;


static unit_row_t    model[UNIT_ROWS];     /* in order when it is checked */
static ngx_uint_t    nmodel;
static unsigned      seed;


static ngx_inline void
unit_model_clear(void)
{
    while (nmodel) {
        nmodel--;
        free(model[nmodel].id.data);
        free(model[nmodel].from.data);
        free(model[nmodel].ts.data);
        free(model[nmodel].text.data);
    }
}


static ngx_inline int
unit_teardown_model(void **state)
{
    unit_model_clear();

    return unit_teardown(state);
}


#define unit_fresh_model(f)                                                   \
    cmocka_unit_test_setup_teardown(f, unit_setup, unit_teardown_model)


static ngx_inline ngx_str_t
unit_dup(const void *p, size_t len)
{
    ngx_str_t  s;

    s.data = unit_copy(p, len);
    s.len = len;

    return s;
}


static ngx_inline unit_row_t *
unit_model_row(ngx_str_t *id, ngx_str_t *from, ngx_str_t *ts, ngx_str_t *text)
{
    unit_row_t  *r;

    assert_true(nmodel < UNIT_ROWS);

    r = &model[nmodel++];

    r->id = unit_dup(id->data, id->len);
    r->from = unit_dup(from->data, from->len);
    r->ts = unit_dup(ts->data, ts->len);
    ngx_str_null(&r->text);

    if (text->data) {
        r->text = unit_dup(text->data, text->len);
    }

    r->none = (ngx_lyftr_instant_parse(ts->data, ts->len, &r->t) != NGX_OK);

    return r;
}


/* some ids are long, and some begin alike */

static ngx_inline unit_row_t *
unit_model_random(void)
{
    int        len;
    char       id[1200], from[32], ts[40];
    ngx_str_t  s[4];

    static const char  *texts[] = {
        "", "a Needle here", "needle 100%_ sure", "100 percent", "x"
    };

    len = (rand_r(&seed) % 20 == 0) ? rand_r(&seed) % 1000
                                    : rand_r(&seed) % 20;

    ngx_memset(id, 'p', len);
    (void) sprintf(id + len, "%x.%u", rand_r(&seed) % 16, (unsigned) nmodel);
    (void) sprintf(from, "+%d",
                   10 + rand_r(&seed) % (1 + rand_r(&seed) % 90));
    (void) sprintf(ts, rand_r(&seed) % 2 ? "2025-01-15T10:00:%02dZ"
                                         : "2025-01-15T10:00:%02d.%dZ",
                   rand_r(&seed) % 60, rand_r(&seed) % 1000);

    s[0] = unit_str(id);
    s[1] = unit_str(from);
    s[2] = unit_str(ts);
    s[3] = unit_str(rand_r(&seed) % 7 ? texts[rand_r(&seed) % 5] : NULL);

    return unit_model_row(&s[0], &s[1], &s[2], &s[3]);
}


/* inserts a row of the model: NGX_OK, or NGX_DECLINED: it is known */

static ngx_inline ngx_int_t
unit_model_insert(void *c, unit_row_t *r)
{
    ngx_int_t            rc;
    ngx_lyftr_message_t  m;

    m.message_id = r->id;
    m.from = r->from;
    m.to = unit_str("+200");
    m.ts = r->ts;
    m.text = r->text;
    m.instant = r->t;

    rc = b->insert(c, &m, &err);

    if (rc == NGX_ERROR) {
        fail_msg("insert: %.*s", (int) err.len, err.text);
    }

    return rc;
}


/* commits n new rows, in between some that are known */

static ngx_inline void
unit_model_add(void *c, ngx_uint_t n)
{
    unit_row_t  *r;

    assert_int_equal(b->begin(c, 1, unit_in(60000), &err), NGX_OK);

    while (n--) {
        r = unit_model_random();

        assert_int_equal(unit_model_insert(c, r), NGX_OK);
        assert_int_equal(unit_model_insert(c, r), NGX_DECLINED);

        r = &model[rand_r(&seed) % nmodel];
        assert_int_equal(unit_model_insert(c, r), NGX_DECLINED);
    }

    assert_int_equal(b->commit(c, &err), NGX_OK);
}


/* every id of the model is known */

static ngx_inline void
unit_model_known(void *c)
{
    ngx_uint_t  i;

    assert_int_equal(b->begin(c, 1, unit_in(60000), &err), NGX_OK);

    for (i = 0; i < nmodel; i++) {
        assert_int_equal(unit_model_insert(c, &model[i]), NGX_DECLINED);
    }

    assert_int_equal(b->commit(c, &err), NGX_OK);
}


static ngx_inline int
unit_str_cmp(const ngx_str_t *x, const ngx_str_t *y)
{
    return ngx_lyftr_key_cmp(x->data, x->len, y->data, y->len);
}


/* what is no instant comes first, by its text */

static ngx_inline int
unit_row_cmp(const void *one, const void *two)
{
    int                rc;
    const unit_row_t  *x = one, *y = two;

    if (x->none != y->none) {
        return x->none ? -1 : 1;
    }

    rc = x->none ? unit_str_cmp(&x->ts, &y->ts)
                 : ngx_lyftr_key_cmp((u_char *) x->t.data, x->t.len,
                                     (u_char *) y->t.data, y->t.len);

    return rc ? rc : unit_str_cmp(&x->id, &y->id);
}


static ngx_inline void
unit_model_sort(void)
{
    qsort(model, nmodel, sizeof(unit_row_t), unit_row_cmp);
}


/* no text of the model has what folds otherwise than ASCII */

static ngx_inline ngx_uint_t
unit_row_matches(unit_row_t *r, ngx_lyftr_query_t *q)
{
    size_t      i;
    unit_row_t  since;

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
unit_sink(void *data, ngx_lyftr_message_t *m)
{
    unit_sink_t *sink = data;

    unit_row_t  *r;

    r = sink->want[sink->n++];

    sink->bad += (r == NULL
                  || unit_str_cmp(&r->id, &m->message_id) != 0
                  || unit_str_cmp(&r->from, &m->from) != 0
                  || unit_str_cmp(&r->ts, &m->ts) != 0
                  || (r->text.data == NULL) != (m->text.data == NULL)
                  || unit_str_cmp(&r->text, &m->text) != 0);

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
    sink.n = 0;
    sink.bad = 0;

    rc = b->list(c, q, unit_sink, &sink, page, &err);

    if (rc == NGX_ERROR) {
        print_error("list: %.*s\n", (int) err.len, err.text);
    }

    if (rc != NGX_OK || (ngx_uint_t) page->total != n || sink.n != len
        || sink.bad || (page->next.seq != 0) != (from + len < n))
    {
        fail_msg("from \"%.*s\" since \"%.*s\" q \"%.*s\" at %d: %d rows"
                 " of %d, %d wrong, total %d of %d, next %d",
                 (int) q->from.len, q->from.data, (int) q->since.len,
                 q->since.data, (int) q->q.len, q->q.data, (int) from,
                 (int) sink.n, (int) len, (int) sink.bad, (int) page->total,
                 (int) n, (int) page->next.seq);
    }
}


/*
 * Filters, limit and start are chosen at random.  all: page by page to the
 * end, each by its number or after the one before.
 */

static ngx_inline void
unit_check_list(void *c, ngx_uint_t all)
{
    ngx_uint_t          i, n, at;
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

    if (rand_r(&seed) % 4 == 0) {
        q.q = unit_str(needles[rand_r(&seed) % 4]);
    }

    for (i = 0, n = 0; i < nmodel; i++) {
        if (unit_row_matches(&model[i], &q)) {
            want[n++] = &model[i];
        }
    }

    want[n] = NULL;

    q.limit = 1 + rand_r(&seed) % 100;
    q.offset = all ? 0 : rand_r(&seed) % (n + 2);

    for (at = q.offset; /* void */; at += q.limit) {
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

    if (b->begin(c, 0, unit_in(120000), &err) != NGX_OK) {
        fail_msg("begin: %.*s", (int) err.len, err.text);
    }

    unit_check_stats(c);

    while (lists--) {
        unit_check_list(c, all);
    }

    assert_int_equal(b->commit(c, &err), NGX_OK);
}


/* blocks that no segment has */

static ngx_inline ngx_uint_t
unit_strays(void)
{
    return unit_sql_int("SELECT count(*) FROM lyftr_block WHERE no >> 36"
                        " NOT IN (SELECT id FROM lyftr_segment)");
}


#endif /* _UNIT_MODEL_H_INCLUDED_ */

/* What a store is to hold. */

#ifndef _UNIT_MODEL_H_INCLUDED_
#define _UNIT_MODEL_H_INCLUDED_


#include "unit_store.h"


#define UNIT_ROWS    4096


typedef struct {
    ngx_str_t            id;
    ngx_str_t            from;
    ngx_str_t            ts;
    ngx_str_t            text;
    ngx_str_t            type;             /* of some rows only */
    ngx_str_t            raw;
    ngx_uint_t           none;             /* ts is none */
    ngx_lyftr_instant_t  t;
    int64_t              seq;              /* its place, once it has one */
} unit_row_t;


static unit_row_t    model[UNIT_ROWS];     /* in order when it is checked */
static ngx_uint_t    nmodel;
static ngx_uint_t    nids;                 /* that were made up */
static unsigned      seed;


static ngx_inline void
unit_model_clear(void)
{
    nids = 0;

    while (nmodel) {
        nmodel--;
        free(model[nmodel].id.data);
        free(model[nmodel].from.data);
        free(model[nmodel].ts.data);
        free(model[nmodel].text.data);
        free(model[nmodel].type.data);
        free(model[nmodel].raw.data);
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
    ngx_str_null(&r->type);
    ngx_str_null(&r->raw);

    if (text->data) {
        r->text = unit_dup(text->data, text->len);
    }

    r->none = (ngx_lyftr_instant_parse(ts->data, ts->len, &r->t) != NGX_OK);

    return r;
}


/* what not all rows have, and which may be longer than a page of the file */

static ngx_inline void
unit_model_extra(unit_row_t *r)
{
    int   len;
    char  raw[20000];

    static const char  *types[] = { "text", "image", "malformed" };

    if (rand_r(&seed) % 4) {
        r->type = unit_str(types[rand_r(&seed) % 3]);
        r->type = unit_dup(r->type.data, r->type.len);
    }

    len = rand_r(&seed) % 100 ? rand_r(&seed) % 200 : rand_r(&seed) % 19000;
    len = sprintf(raw, "{ \"id\": %u, \"x\": \"%*s\" }", (unsigned) nmodel,
                  len, "\xc3\x89");

    r->raw = unit_dup(raw, len);
}


/* some ids are long, and some begin alike */

static ngx_inline unit_row_t *
unit_model_random(void)
{
    int          len;
    char         id[1200], from[32], ts[40];
    ngx_str_t    s[4];
    unit_row_t  *r;

    static const char  *texts[] = {
        "", "a Needle here", "needle 100%_ sure", "100 percent", "x"
    };

    len = (rand_r(&seed) % 20 == 0) ? rand_r(&seed) % 1000
                                    : rand_r(&seed) % 20;

    ngx_memset(id, 'p', len);
    (void) sprintf(id + len, "%x.%u", rand_r(&seed) % 16, (unsigned) nids++);
    (void) sprintf(from, "+%d",
                   10 + rand_r(&seed) % (1 + rand_r(&seed) % 90));
    (void) sprintf(ts, rand_r(&seed) % 2 ? "2025-01-15T10:00:%02dZ"
                                         : "2025-01-15T10:00:%02d.%dZ",
                   rand_r(&seed) % 60, rand_r(&seed) % 1000);

    s[0] = unit_str(id);
    s[1] = unit_str(from);
    s[2] = unit_str(ts);
    s[3] = unit_str(rand_r(&seed) % 7 ? texts[rand_r(&seed) % 5] : NULL);

    r = unit_model_row(&s[0], &s[1], &s[2], &s[3]);

    if (rand_r(&seed) % 3 == 0) {
        unit_model_extra(r);
    }

    return r;
}


/* inserts a row of the model: NGX_OK, or NGX_DECLINED: it is known */

static ngx_inline ngx_int_t
unit_model_insert(void *c, unit_row_t *r)
{
    ngx_int_t            rc;
    ngx_lyftr_message_t  m;

    ngx_memzero(&m, sizeof(m));

    m.message_id = r->id;
    m.from = r->from;
    m.to = unit_str("+200");
    m.ts = r->ts;
    m.text = r->text;
    m.type = r->type;
    m.raw = r->raw;
    m.instant = r->t;

    rc = unit_put(c, &m, &err);

    if (rc == NGX_ERROR) {
        fail_msg("insert: %.*s", (int) err.len, err.text);
    }

    if (rc == NGX_OK) {
        r->seq = ((ngx_lyftr_sqlite_t *) c)->writer.seen;
    }

    return rc;
}


/* commits n new rows, in between some that are known */

static ngx_inline void
unit_model_add(void *c, ngx_uint_t n)
{
    unit_row_t  *r;

    assert_int_equal(b->turn(c, unit_in(60000), &err), NGX_OK);

    while (n--) {
        r = unit_model_random();

        assert_int_equal(unit_model_insert(c, r), NGX_OK);
        assert_int_equal(unit_model_insert(c, r), NGX_DECLINED);

        r = &model[rand_r(&seed) % nmodel];
        assert_int_equal(unit_model_insert(c, r), NGX_DECLINED);
    }

    assert_int_equal(unit_commit(c, &err), NGX_OK);
}


/* every id of the model is known */

static ngx_inline void
unit_model_known(void *c)
{
    ngx_uint_t  i;

    assert_int_equal(b->turn(c, unit_in(60000), &err), NGX_OK);

    for (i = 0; i < nmodel; i++) {
        assert_int_equal(unit_model_insert(c, &model[i]), NGX_DECLINED);
    }

    assert_int_equal(unit_commit(c, &err), NGX_OK);
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


#endif /* _UNIT_MODEL_H_INCLUDED_ */

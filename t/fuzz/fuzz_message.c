
#include "fuzz.h"


static void
fuzz_string(ngx_str_t *s, u_char *arena, size_t size)
{
    fuzz_assert(s->data >= arena && s->data + s->len <= arena + size);
    fuzz_assert(ngx_lyftr_utf8_valid(s->data, s->len) == s->len);
    fuzz_assert(memchr(s->data, '\0', s->len) == NULL);
}


/* the schema's rules, once more */

static void
fuzz_rules(ngx_lyftr_message_t *m)
{
    size_t               i, n;
    ngx_uint_t           k;
    ngx_str_t           *msisdn;
    ngx_lyftr_instant_t  t;

    for (k = 0; k < 2; k++) {
        msisdn = k ? &m->to : &m->from;
        fuzz_assert(msisdn->len > 1 && msisdn->data[0] == '+');

        for (i = 1; i < msisdn->len; i++) {
            fuzz_assert(msisdn->data[i] >= '0' && msisdn->data[i] <= '9');
        }
    }

    for (i = 0, n = 0; i < m->text.len; i++) {
        n += (m->text.data[i] & 0xc0) != 0x80;
    }

    fuzz_assert(n <= NGX_LYFTR_TEXT_MAX);

    fuzz_assert(ngx_lyftr_instant_parse(m->ts.data, m->ts.len, &t) == NGX_OK);
    fuzz_assert(t.len == m->instant.len
                && memcmp(t.data, m->instant.data, t.len) == 0);
}


/* all the memory that a body may take */

static void
fuzz_arena(ngx_str_t *arena, size_t size)
{
    arena->len = ngx_lyftr_message_arena(size);
    arena->data = malloc(arena->len);
    fuzz_assert(arena->data);
}


/* a body that is accepted is so as a whole: not if cut, nor with more */

static void
fuzz_whole(u_char *body, size_t size)
{
    size_t                i, len, cuts[3];
    u_char               *s;
    ngx_str_t             arena;
    ngx_lyftr_faults_t    faults;
    ngx_lyftr_message_t   m;

    for (len = size; memchr(" \t\r\n", body[len - 1], 4); len--) {
        /* void */
    }

    fuzz_assert(body[len - 1] == '}');

    cuts[0] = len - 1;
    cuts[1] = len / 2;
    cuts[2] = len * 2654435761U % len;

    for (i = 0; i < 3; i++) {
        s = fuzz_copy(body, cuts[i]);
        fuzz_arena(&arena, cuts[i]);
        fuzz_assert(ngx_lyftr_message_parse(s, cuts[i], &arena, &m, &faults)
                    == NGX_DECLINED);
        free(s);
        free(arena.data);
    }

    s = fuzz_copy(body, size);
    s = realloc(s, size + 1);
    fuzz_assert(s);
    fuzz_arena(&arena, size + 1);
    s[size] = "x{,\0"[size % 4];
    fuzz_assert(ngx_lyftr_message_parse(s, size + 1, &arena, &m, &faults)
                == NGX_DECLINED);
    free(s);
    free(arena.data);
}


/* what is accepted keeps the rules, and is accepted when written again */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char               *body, *again, *p;
    ngx_int_t             rc;
    ngx_str_t             arena, other;
    ngx_lyftr_faults_t    faults;
    ngx_lyftr_message_t   m, n;

    body = fuzz_copy(data, size);
    fuzz_arena(&arena, size);

    rc = ngx_lyftr_message_parse(body, size, &arena, &m, &faults);

    if (m.message_id.data) {
        fuzz_string(&m.message_id, arena.data, size);
    }

    if (rc == NGX_OK) {
        fuzz_assert(faults.n == 0 && m.message_id.len > 0);
        fuzz_string(&m.from, arena.data, size);
        fuzz_string(&m.to, arena.data, size);
        fuzz_string(&m.ts, arena.data, size);
        fuzz_rules(&m);
        fuzz_whole(body, size);

        again = malloc(NGX_LYFTR_JSON_GROWTH * size + 128);
        fuzz_assert(again);

        p = ngx_cpymem(again, "{\"message_id\":", 14);
        p = ngx_lyftr_json_string(p, m.message_id.data, m.message_id.len);
        p = ngx_cpymem(p, ",\"from\":", 8);
        p = ngx_lyftr_json_string(p, m.from.data, m.from.len);
        p = ngx_cpymem(p, ",\"to\":", 6);
        p = ngx_lyftr_json_string(p, m.to.data, m.to.len);
        p = ngx_cpymem(p, ",\"ts\":", 6);
        p = ngx_lyftr_json_string(p, m.ts.data, m.ts.len);

        if (m.text.data) {
            fuzz_string(&m.text, arena.data, size);
            p = ngx_cpymem(p, ",\"text\":", 8);
            p = ngx_lyftr_json_string(p, m.text.data, m.text.len);
        }

        *p++ = '}';

        fuzz_arena(&other, p - again);

        fuzz_assert(ngx_lyftr_message_parse(again, p - again, &other, &n,
                                            &faults) == NGX_OK);
        fuzz_assert(n.message_id.len == m.message_id.len);
        fuzz_assert(n.text.len == m.text.len);
        fuzz_assert((n.text.data == NULL) == (m.text.data == NULL));
        fuzz_assert(n.instant.len == m.instant.len
                    && memcmp(n.instant.data, m.instant.data, n.instant.len)
                       == 0);
        free(again);
        free(other.data);

    } else {
        fuzz_assert(rc == NGX_DECLINED);
        fuzz_answer(&faults);
    }

    free(body);
    free(arena.data);

    return 0;
}


#include "fuzz.h"


static void
fuzz_string(ngx_str_t *s, u_char *strings, size_t size)
{
    fuzz_assert(s->data >= strings && s->data + s->len <= strings + size);
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


/* parses with all the memory that a body may take; strings are to be freed */

static ngx_int_t
fuzz_parse(u_char *body, size_t size, u_char **strings,
    ngx_lyftr_message_t *m, ngx_lyftr_faults_t *faults)
{
    ngx_int_t  rc;
    ngx_str_t  memory;

    memory.len = ngx_lyftr_message_memory(size);
    memory.data = malloc(memory.len);
    *strings = malloc(size + 1);
    fuzz_assert(memory.data && *strings);

    rc = ngx_lyftr_message_parse(body, size, *strings, &memory, m, faults);

    free(memory.data);

    return rc;
}


/* a body that is accepted is so as a whole: not if cut, nor with more */

static void
fuzz_whole(u_char *body, size_t size)
{
    size_t                i, len, cuts[3];
    u_char               *s, *strings;
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
        fuzz_assert(fuzz_parse(s, cuts[i], &strings, &m, &faults)
                    == NGX_DECLINED);
        free(s);
        free(strings);
    }

    s = fuzz_copy(body, size);
    s = realloc(s, size + 1);
    fuzz_assert(s);
    s[size] = "x{,\0"[size % 4];
    fuzz_assert(fuzz_parse(s, size + 1, &strings, &m, &faults)
                == NGX_DECLINED);
    free(s);
    free(strings);
}


/* what is accepted keeps the rules, and is accepted when written again */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char               *body, *again, *p, *strings, *other;
    ngx_int_t             rc;
    ngx_lyftr_faults_t    faults;
    ngx_lyftr_message_t   m, n;

    body = fuzz_copy(data, size);

    rc = fuzz_parse(body, size, &strings, &m, &faults);

    if (m.message_id.data) {
        fuzz_string(&m.message_id, strings, size);
    }

    if (rc == NGX_OK) {
        fuzz_assert(faults.n == 0 && m.message_id.len > 0);
        fuzz_string(&m.from, strings, size);
        fuzz_string(&m.to, strings, size);
        fuzz_string(&m.ts, strings, size);
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
            fuzz_string(&m.text, strings, size);
            p = ngx_cpymem(p, ",\"text\":", 8);
            p = ngx_lyftr_json_string(p, m.text.data, m.text.len);
        }

        *p++ = '}';

        fuzz_assert(fuzz_parse(again, p - again, &other, &n, &faults)
                    == NGX_OK);
        fuzz_assert(n.message_id.len == m.message_id.len);
        fuzz_assert(n.text.len == m.text.len);
        fuzz_assert((n.text.data == NULL) == (m.text.data == NULL));
        fuzz_assert(n.instant.len == m.instant.len
                    && memcmp(n.instant.data, m.instant.data, n.instant.len)
                       == 0);
        free(again);
        free(other);

    } else {
        fuzz_assert(rc == NGX_DECLINED);
        fuzz_answer(&faults);
    }

    free(body);
    free(strings);

    return 0;
}


#include "fuzz.h"

#include <ngx_lyftr_whatsapp.h>


static ngx_str_t  fuzz_now = ngx_string("2026-11-29T05:06:07.089Z");


static ngx_int_t
fuzz_parse(ngx_str_t *body, ngx_lyftr_whatsapp_t *wa,
    ngx_lyftr_whatsapp_rows_t *rows)
{
    ngx_int_t           rc;
    ngx_str_t           memory;
    ngx_lyftr_faults_t  faults;

    ngx_memzero(wa, sizeof(ngx_lyftr_whatsapp_t));
    ngx_memzero(rows, sizeof(ngx_lyftr_whatsapp_rows_t));

    memory.len = ngx_lyftr_reader_memory(body->len);
    memory.data = malloc(memory.len);
    fuzz_assert(memory.data);

    rc = ngx_lyftr_whatsapp_parse(body, &memory, wa, &faults);

    fuzz_assert(rc != NGX_ERROR);

    if (rc == NGX_OK) {
        fuzz_assert(ngx_lyftr_whatsapp_make(wa, &fuzz_now, 1, rows)
                    == NGX_OK);
    } else {
        fuzz_answer(&faults);
    }

    free(memory.data);

    return rc;
}


static void
fuzz_string(ngx_str_t *s)
{
    if (s->len == 0) {
        return;
    }

    fuzz_assert(ngx_lyftr_utf8_valid(s->data, s->len) == s->len);
    fuzz_assert(memchr(s->data, '\0', s->len) == NULL);
}


/* what every row keeps, whatever came */

static void
fuzz_row(ngx_lyftr_message_t *m, ngx_str_t *body)
{
    ngx_lyftr_instant_t  t;

    fuzz_string(&m->message_id);
    fuzz_string(&m->from);
    fuzz_string(&m->to);
    fuzz_string(&m->text);
    fuzz_string(&m->type);

    fuzz_assert(m->message_id.len >= 1 && m->message_id.len <= 65536);
    fuzz_assert(m->from.len && m->to.len);

    fuzz_assert(ngx_lyftr_instant_parse(m->ts.data, m->ts.len, &t) == NGX_OK);
    fuzz_assert(t.len == m->instant.len
                && memcmp(t.data, m->instant.data, t.len) == 0);

    fuzz_assert(m->raw.len && m->raw.data > body->data
                && m->raw.data + m->raw.len < body->data + body->len);
}


static ngx_uint_t
fuzz_same(ngx_str_t *a, ngx_str_t *b)
{
    return a->len == b->len && (a->data == NULL) == (b->data == NULL)
           && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}


/* the element alone is the same one, but for what its change has told */

static void
fuzz_alone(ngx_lyftr_message_t *m, const char *list)
{
    size_t                     len;
    ngx_str_t                  body;
    ngx_lyftr_whatsapp_t       wa;
    ngx_lyftr_message_t       *n;
    ngx_lyftr_whatsapp_rows_t  rows;

    body.data = malloc(m->raw.len + 256);
    fuzz_assert(body.data);

    len = sprintf((char *) body.data,
                  "{\"entry\":[{\"changes\":[{\"value\":{\"%s\":[", list);
    ngx_memcpy(body.data + len, m->raw.data, m->raw.len);
    len += m->raw.len;
    len += sprintf((char *) body.data + len,
                   "]},\"field\":\"messages\"}]}],"
                   "\"object\":\"whatsapp_business_account\"}");

    body.data = realloc(body.data, len);
    body.len = len;

    fuzz_assert(fuzz_parse(&body, &wa, &rows) == NGX_OK);
    fuzz_assert(rows.nmessages + rows.nstatuses == 1 && wa.other == 0);

    n = rows.nmessages ? rows.messages : rows.statuses;

    fuzz_assert(fuzz_same(&m->message_id, &n->message_id));
    fuzz_assert(fuzz_same(&m->ts, &n->ts));
    fuzz_assert(fuzz_same(&m->text, &n->text));
    fuzz_assert(fuzz_same(&m->type, &n->type));
    fuzz_assert(fuzz_same(&m->raw, &n->raw));

    free(body.data);
    free(rows.memory);
    free(wa.items);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t                  body;
    ngx_uint_t                 i;
    ngx_lyftr_whatsapp_t       wa;
    ngx_lyftr_whatsapp_rows_t  rows;

    body.data = fuzz_copy(data, size);
    body.len = size;

    if (fuzz_parse(&body, &wa, &rows) == NGX_OK) {
        fuzz_assert(rows.nmessages + rows.nstatuses == wa.n);

        for (i = 0; i < rows.nmessages; i++) {
            fuzz_row(&rows.messages[i], &body);
            fuzz_alone(&rows.messages[i], "messages");
        }

        for (i = 0; i < rows.nstatuses; i++) {
            fuzz_row(&rows.statuses[i], &body);
            fuzz_alone(&rows.statuses[i], "statuses");
        }
    }

    free(body.data);
    free(rows.memory);
    free(wa.items);

    return 0;
}

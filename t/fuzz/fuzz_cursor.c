
#include "fuzz.h"


/* after=, each byte encoded, and what stands behind it */

static ngx_int_t
fuzz_after(const uint8_t *data, size_t size, const char *tail,
    ngx_lyftr_position_t *position)
{
    size_t               i;
    u_char              *s, *p, *arena;
    ngx_int_t            rc;
    ngx_str_t            args;
    ngx_lyftr_query_t    q;
    ngx_lyftr_faults_t   faults;

    s = malloc(sizeof("after=") + 3 * size + strlen(tail));
    fuzz_assert(s);

    p = ngx_cpymem(s, "after=", 6);

    for (i = 0; i < size; i++) {
        p += sprintf((char *) p, "%%%02x", data[i]);
    }

    p = ngx_cpymem(p, tail, strlen(tail));

    args.data = s;
    args.len = p - s;
    arena = fuzz_copy(s, args.len);

    rc = ngx_lyftr_query_parse(&args, arena, &q, &faults);

    fuzz_assert(rc == NGX_OK || rc == NGX_DECLINED);
    fuzz_assert(q.cursor.len == size);
    fuzz_assert(memcmp(q.cursor.data, data, size) == 0);

    if (rc == NGX_OK) {
        *position = q.after;
        ngx_lyftr_query_bad_cursor(&q, &faults);

    } else {
        fuzz_assert(q.after.seq == 0);
    }

    fuzz_assert(faults.n == 1 && faults.fault[0].type == NGX_LYFTR_CURSOR);
    fuzz_answer(&faults);

    free(s);
    free(arena);

    return rc;
}


/* the cursor in the arguments of the page after the position */

static size_t
fuzz_write(ngx_lyftr_position_t *position, u_char *cursor)
{
    size_t              max, len;
    u_char             *s, *p;
    ngx_lyftr_query_t   q;

    ngx_memzero(&q, sizeof(ngx_lyftr_query_t));
    q.limit = 1;

    max = ngx_lyftr_query_next_len(&q);
    s = malloc(max);
    fuzz_assert(s);

    p = ngx_lyftr_query_write_next(s, &q, position);

    fuzz_assert(p <= s + max);
    fuzz_assert(memcmp(s, "limit=1&after=", sizeof("limit=1&after=") - 1)
                == 0);

    len = p - s - (sizeof("limit=1&after=") - 1);

    ngx_memcpy(cursor, p - len, len);

    free(s);

    return len;
}


static void
fuzz_same(ngx_lyftr_position_t *a, ngx_lyftr_position_t *b)
{
    fuzz_assert(a->seq == b->seq);

    if (a->seq == 0) {
        return;
    }

    fuzz_assert(a->store == b->store && a->hash == b->hash);
    fuzz_assert(a->text == b->text && a->instant_cut == b->instant_cut
                && a->id_cut == b->id_cut);
    fuzz_assert(a->instant_len == b->instant_len && a->id_len == b->id_len);
    fuzz_assert(memcmp(a->instant, b->instant, a->instant_len) == 0);
    fuzz_assert(memcmp(a->id, b->id, a->id_len) == 0);
}


/* text that is a cursor is written as it was; so is each position */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                  len, n;
    u_char                  cursor[NGX_LYFTR_CURSOR_LEN], *copy;
    ngx_int_t               rc;
    ngx_str_t               instant, id;
    ngx_lyftr_position_t    a, b;

    rc = fuzz_after(data, size, "", &a);

    fuzz_assert(fuzz_after(data, size, "&offset=0", &b) == NGX_DECLINED);

    if (rc == NGX_OK) {
        len = fuzz_write(&a, cursor);
        fuzz_assert(len == size && memcmp(cursor, data, len) == 0);
    }

    if (size < 26) {
        return 0;
    }

    /* of a place, a hash, a store, two lengths and what has these */

    copy = fuzz_copy(data + 26, size - 26);

    ngx_memzero(&a, sizeof(ngx_lyftr_position_t));
    ngx_memcpy(&a.seq, data, 8);
    ngx_memcpy(&a.hash, data + 8, 8);
    ngx_memcpy(&a.store, data + 16, 8);

    a.seq &= INT64_MAX;
    a.seq += (a.seq == 0);

    n = size - 26;

    instant.data = copy;
    instant.len = ngx_min(data[24], n);
    id.data = copy + instant.len;
    id.len = ngx_min(data[25], n - instant.len);

    ngx_lyftr_cursor_set(&a, &instant, data[24] & 1, &id);

    len = fuzz_write(&a, cursor);
    fuzz_assert(len <= NGX_LYFTR_CURSOR_LEN);

    fuzz_assert(fuzz_after(cursor, len, "", &b) == NGX_OK);
    fuzz_same(&a, &b);

    /* a bit of it makes it none, also one of the last digit */

    cursor[len - 1] ^= 1;
    fuzz_assert(fuzz_after(cursor, len, "", &b) == NGX_DECLINED);
    cursor[len - 1] ^= 1;

    cursor[data[0] % len] ^= 1 << (data[1] & 7);
    fuzz_assert(fuzz_after(cursor, len, "", &b) == NGX_DECLINED);

    free(copy);

    return 0;
}

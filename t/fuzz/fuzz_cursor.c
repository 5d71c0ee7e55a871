
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


/* what a cursor is, once more: NGX_OK with what it says */

static ngx_int_t
fuzz_is_cursor(const uint8_t *data, size_t size,
    ngx_lyftr_position_t *position)
{
    int   n;
    char  s[NGX_LYFTR_CURSOR_LEN + 1];

    if (size != NGX_LYFTR_CURSOR_LEN) {
        return NGX_DECLINED;
    }

    ngx_memcpy(s, data, size);
    s[size] = '\0';

    if (strspn(s, "0123456789abcdef") != size) {
        return NGX_DECLINED;
    }

    n = sscanf(s, "%16" SCNx64 "%16" SCNx64, (uint64_t *) &position->seq,
               &position->check);

    return (n == 2 && position->seq > 0) ? NGX_OK : NGX_DECLINED;
}


/* the cursor in the arguments of the page after the position */

static void
fuzz_write(ngx_lyftr_position_t *position, u_char *cursor)
{
    size_t              max;
    u_char             *s, *p;
    ngx_lyftr_query_t   q;

    ngx_memzero(&q, sizeof(ngx_lyftr_query_t));
    q.limit = 1;

    max = ngx_lyftr_query_next_len(&q);
    s = malloc(max);
    fuzz_assert(s);

    p = ngx_lyftr_query_write_next(s, &q, position);

    fuzz_assert(p <= s + max);
    fuzz_assert(p - s == sizeof("limit=1&after=") - 1 + NGX_LYFTR_CURSOR_LEN);
    fuzz_assert(memcmp(s, "limit=1&after=", sizeof("limit=1&after=") - 1)
                == 0);

    ngx_memcpy(cursor, p - NGX_LYFTR_CURSOR_LEN, NGX_LYFTR_CURSOR_LEN);

    free(s);
}


/* text that is a cursor is written as it was; so is each position */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char                  cursor[NGX_LYFTR_CURSOR_LEN];
    ngx_int_t               rc;
    ngx_lyftr_position_t    a, b;

    rc = fuzz_after(data, size, "", &a);

    fuzz_assert(rc == fuzz_is_cursor(data, size, &b));
    fuzz_assert(fuzz_after(data, size, "&offset=0", &b) == NGX_DECLINED);

    if (rc == NGX_OK) {
        fuzz_assert(a.seq == b.seq && a.check == b.check);

        fuzz_write(&a, cursor);
        fuzz_assert(memcmp(cursor, data, NGX_LYFTR_CURSOR_LEN) == 0);
    }

    if (size >= 16) {
        ngx_memcpy(&a.seq, data, 8);
        ngx_memcpy(&a.check, data + 8, 8);

        a.seq &= INT64_MAX;
        a.seq += (a.seq == 0);

        fuzz_write(&a, cursor);
        fuzz_assert(fuzz_after(cursor, NGX_LYFTR_CURSOR_LEN, "", &b)
                    == NGX_OK);
        fuzz_assert(a.seq == b.seq && a.check == b.check);
    }

    return 0;
}


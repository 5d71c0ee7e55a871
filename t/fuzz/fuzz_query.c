
#include "fuzz.h"


static void
fuzz_same(ngx_str_t *a, ngx_str_t *b)
{
    fuzz_assert(a->len == b->len);
    fuzz_assert(a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}


/* what is accepted is in range, and its next page keeps the filters */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                  i, len, max;
    u_char                 *s, *arena, *next, *more;
    ngx_str_t               args;
    ngx_lyftr_query_t       q, r;
    ngx_lyftr_faults_t      faults;
    ngx_lyftr_position_t    last;

    static ngx_uint_t       kinds[] = { NGX_LYFTR_QUERY_STREAM,
                                        NGX_LYFTR_QUERY_EXPORT };

    s = fuzz_copy(data, size);
    arena = fuzz_copy(data, size);

    args.data = s;
    args.len = size;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (ngx_lyftr_query_parse_as(kinds[i], &args, arena, &q, &faults)
            != NGX_OK)
        {
            fuzz_answer(&faults);
        }
    }

    if (ngx_lyftr_query_parse(&args, arena, &q, &faults) != NGX_OK) {
        fuzz_answer(&faults);
        goto done;
    }

    fuzz_assert(q.limit >= 1 && q.limit <= 100 && q.offset >= 0);
    fuzz_assert(q.after.seq >= 0);
    fuzz_assert(q.after.seq == 0 || q.offset == 0);

    ngx_memzero(&last, sizeof(ngx_lyftr_position_t));

    last.seq = 1 + (int64_t) size;
    last.hash = ~(uint64_t) size;

    max = ngx_lyftr_query_next_len(&q);
    next = malloc(max);
    more = malloc(max);
    fuzz_assert(next && more);

    len = ngx_lyftr_query_write_next(next, &q, &last) - next;
    fuzz_assert(len <= max);

    args.data = next;
    args.len = len;

    fuzz_assert(ngx_lyftr_query_parse(&args, more, &r, &faults) == NGX_OK);
    fuzz_assert(r.limit == q.limit && r.none == q.none);
    fuzz_assert(r.after.seq == last.seq && r.after.hash == last.hash);
    fuzz_same(&q.from, &r.from);
    fuzz_same(&q.since, &r.since);
    fuzz_same(&q.until, &r.until);
    fuzz_same(&q.q, &r.q);
    fuzz_same(&q.id, &r.id);
    fuzz_assert(r.fields == q.fields && r.fields != 0 && r.desc == q.desc);

    free(next);
    free(more);

done:

    free(s);
    free(arena);

    return 0;
}


#include "fuzz.h"


/* what is a ts is also a since, of the same instant; instants are canonical */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char                *s;
    ngx_int_t              ts, since;
    ngx_lyftr_instant_t    a, b;

    s = fuzz_copy(data, size);

    ts = ngx_lyftr_instant_parse(s, size, &a);
    since = ngx_lyftr_instant_parse_since(s, size, &b);

    fuzz_assert(ts == NGX_OK || ts == NGX_DECLINED);
    fuzz_assert(since == NGX_OK || since == NGX_DECLINED);

    if (ts == NGX_OK) {
        fuzz_assert(size >= 20 && size <= 30 && s[size - 1] == 'Z');
        fuzz_assert(since == NGX_OK && a.len >= 5 && a.len == b.len);
        fuzz_assert(memcmp(a.data, b.data, a.len) == 0);
    }

    if (since == NGX_OK) {
        fuzz_assert(size >= 20 && size <= 35);
        fuzz_assert(b.len == 0 || (b.len >= 5 && b.len <= 9));
        fuzz_assert(b.len <= 5 || b.data[b.len - 1] != 0);
    }

    free(s);

    return 0;
}


#include "fuzz.h"


/* JSON strings are valid, as long as announced; folding is consistent */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t   i, len, n;
    u_char  *s, *p, *folded, *needle;

    s = fuzz_copy(data, size);

    len = ngx_lyftr_json_string_len(s, size);
    fuzz_assert(len <= NGX_LYFTR_JSON_GROWTH * size + 2);

    p = malloc(len);
    fuzz_assert(p && ngx_lyftr_json_string(p, s, size) == p + len);
    fuzz_assert(ngx_lyftr_utf8_valid(p, len) == len);

    for (i = 1; i < len - 1; i++) {
        fuzz_assert(p[i] >= 0x20);
        fuzz_assert(p[i] != '"');
        i += (p[i] == '\\');
    }

    fuzz_assert(i == len - 1 && p[0] == '"' && p[i] == '"');
    free(p);

    n = ngx_lyftr_fold(NULL, s, size);
    folded = fuzz_copy("", 0);
    folded = realloc(folded, n + 1);
    fuzz_assert(folded && ngx_lyftr_fold(folded, s, size) == n);

    /* folded twice is folded once; each part of it is found */

    fuzz_assert(ngx_lyftr_fold(NULL, folded, n) == n);
    fuzz_assert(ngx_lyftr_fold_contains(s, size, folded, n));

    if (n > 1) {
        len = 1 + data[0] % (n - 1);
        needle = fuzz_copy(folded + (n - len) / 2, len);
        fuzz_assert(ngx_lyftr_fold_contains(s, size, needle, len));

        needle[len - 1] ^= data[size - 1];
        fuzz_assert(ngx_lyftr_fold_contains(s, size, needle, len)
                    == (memmem(folded, n, needle, len) != NULL));
        free(needle);
    }

    free(folded);
    free(s);

    return 0;
}

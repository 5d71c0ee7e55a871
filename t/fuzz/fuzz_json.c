
#include "fuzz.h"


/* what an escape stands for, once more; p is behind the backslash */

static size_t
fuzz_unescape(u_char *p, u_char *c)
{
    char          hex[5] = { 0 };
    unsigned      n;
    const char   *at;
    static char   from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";

    if (*p == 'u') {
        ngx_memcpy(hex, p + 1, 4);
        fuzz_assert(sscanf(hex, "%4x", &n) == 1 && n < 0x20);
        *c = (u_char) n;
        return 5;
    }

    at = *p ? strchr(from, *p) : NULL;
    fuzz_assert(at);
    *c = to[at - from];

    return 1;
}


/* UTF-8 comes out again; other bytes have become U+FFFD */

static void
fuzz_read_back(u_char *s, size_t size, u_char *p, size_t len)
{
    u_char  *again, *q, *last;

    last = p + len - 1;
    q = again = malloc(len);
    fuzz_assert(again);

    for (p++; p < last; q++) {

        if (*p == '\\') {
            p += 1 + fuzz_unescape(p + 1, q);

        } else {
            *q = *p++;
        }
    }

    if (ngx_lyftr_utf8_valid(s, size) == size) {
        fuzz_assert((size_t) (q - again) == size);
        fuzz_assert(memcmp(again, s, size) == 0);

    } else {
        fuzz_assert(memmem(again, q - again, "\xef\xbf\xbd", 3));
    }

    free(again);
}


/* as long as announced, and nothing is left to take out */

static void
fuzz_minify(u_char *s, size_t size)
{
    size_t   n;
    u_char  *p;

    n = ngx_lyftr_json_minify(NULL, s, size);
    fuzz_assert(n <= size);

    p = malloc(n + 1);
    fuzz_assert(p);

    p[n] = 0xee;
    fuzz_assert(ngx_lyftr_json_minify(p, s, size) == n && p[n] == 0xee);
    fuzz_assert(ngx_lyftr_json_minify(NULL, p, n) == n);

    free(p);
}


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
    fuzz_read_back(s, size, p, len);
    fuzz_minify(s, size);
    fuzz_minify(p, len);
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

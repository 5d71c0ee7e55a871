
#include "fuzz.h"

#include <ctype.h>
#include <ngx_lyftr_hmac.h>


/* what a signature is, once more */

static ngx_uint_t
fuzz_is_signature(u_char *s, size_t size, ngx_str_t *prefix)
{
    size_t  i;

    if (size != prefix->len + 64
        || memcmp(s, prefix->data, prefix->len) != 0)
    {
        return 0;
    }

    for (i = prefix->len; i < size; i++) {
        if (!isxdigit(s[i])) {
            return 0;
        }
    }

    return 1;
}


/* hex of these bytes is read as these bytes, and of no other */

static void
fuzz_round_trip(u_char *mac, ngx_str_t *prefix, const char *format)
{
    size_t   i;
    u_char  *s, *again;

    s = fuzz_copy(prefix->data, prefix->len);
    s = realloc(s, prefix->len + 65);
    again = malloc(NGX_LYFTR_HMAC_LEN);
    fuzz_assert(s && again);

    for (i = 0; i < NGX_LYFTR_HMAC_LEN; i++) {
        (void) sprintf((char *) s + prefix->len + 2 * i, format, mac[i]);
    }

    fuzz_assert(ngx_lyftr_hmac_decode(s, prefix->len + 64, prefix, again)
                == NGX_OK);
    fuzz_assert(memcmp(mac, again, NGX_LYFTR_HMAC_LEN) == 0);
    fuzz_assert(ngx_lyftr_hmac_equal(mac, again));

    i = again[0] % NGX_LYFTR_HMAC_LEN;
    again[i] ^= 1 << again[31] % 8;

    fuzz_assert(!ngx_lyftr_hmac_equal(mac, again));

    free(s);
    free(again);
}


/* a header's value, which is also a body, and whose beginning is a secret */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void        *key;
    u_char      *s, *mac, *sent;
    ngx_str_t    body;
    ngx_int_t    rc;
    ngx_uint_t   i;

    static ngx_str_t  prefixes[] = {
        ngx_string(""),
        ngx_string("sha256=")
    };

    s = fuzz_copy(data, size);
    mac = malloc(NGX_LYFTR_HMAC_LEN);
    sent = malloc(NGX_LYFTR_HMAC_LEN);
    fuzz_assert(mac && sent);

    for (i = 0; i < 2; i++) {
        rc = ngx_lyftr_hmac_decode(s, size, &prefixes[i], sent);

        fuzz_assert(rc == NGX_OK || rc == NGX_DECLINED);
        fuzz_assert((rc == NGX_OK)
                    == fuzz_is_signature(s, size, &prefixes[i]));

        if (rc == NGX_OK) {
            fuzz_round_trip(sent, &prefixes[i], "%02x");
        }
    }

    body.data = s;
    body.len = size;

    key = ngx_lyftr_hmac_key(s, 1 + size / 2 < size ? 1 + size / 2 : size);
    fuzz_assert(key);

    fuzz_assert(ngx_lyftr_hmac_sign(key, &body, 1, sent) == NGX_OK);
    fuzz_assert(ngx_lyftr_hmac_sign(key, &body, 1, mac) == NGX_OK);
    fuzz_assert(ngx_lyftr_hmac_equal(mac, sent));

    fuzz_round_trip(mac, &prefixes[0], "%02X");
    fuzz_round_trip(mac, &prefixes[1], "%02x");

    if (size) {
        s[size - 1] ^= 1;

        fuzz_assert(ngx_lyftr_hmac_sign(key, &body, 1, sent) == NGX_OK);
        fuzz_assert(!ngx_lyftr_hmac_equal(mac, sent));
    }

    ngx_lyftr_hmac_free(key);

    free(sent);
    free(mac);
    free(s);

    return 0;
}


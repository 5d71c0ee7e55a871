#include <ngx_lyftr_text.h>


/*
 * J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", 2012;
 * two rounds a word, and four at the end.
 */

static void ngx_lyftr_siphash_rounds(uint64_t *v, ngx_uint_t n);
static uint64_t ngx_lyftr_siphash_word(u_char *p, size_t len);


#define ngx_lyftr_siphash_turn(n, bits)                                       \
    ((n) << (bits) | (n) >> (64 - (bits)))


uint64_t
ngx_lyftr_siphash(uint64_t *key, u_char *p, size_t len)
{
    u_char    *last;
    uint64_t   v[4], word;

    v[0] = key[0] ^ 0x736f6d6570736575;
    v[1] = key[1] ^ 0x646f72616e646f6d;
    v[2] = key[0] ^ 0x6c7967656e657261;
    v[3] = key[1] ^ 0x7465646279746573;

    for (last = p + len; last - p >= 8; p += 8) {
        word = ngx_lyftr_siphash_word(p, 8);

        v[3] ^= word;
        ngx_lyftr_siphash_rounds(v, 2);
        v[0] ^= word;
    }

    word = ngx_lyftr_siphash_word(p, last - p) | (uint64_t) len << 56;

    v[3] ^= word;
    ngx_lyftr_siphash_rounds(v, 2);
    v[0] ^= word;

    v[2] ^= 0xff;
    ngx_lyftr_siphash_rounds(v, 4);

    return v[0] ^ v[1] ^ v[2] ^ v[3];
}


static void
ngx_lyftr_siphash_rounds(uint64_t *v, ngx_uint_t n)
{
    while (n--) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = ngx_lyftr_siphash_turn(v[1], 13) ^ v[0];
        v[3] = ngx_lyftr_siphash_turn(v[3], 16) ^ v[2];
        v[0] = ngx_lyftr_siphash_turn(v[0], 32);

        v[2] += v[1];
        v[0] += v[3];
        v[1] = ngx_lyftr_siphash_turn(v[1], 17) ^ v[2];
        v[3] = ngx_lyftr_siphash_turn(v[3], 21) ^ v[0];
        v[2] = ngx_lyftr_siphash_turn(v[2], 32);
    }
}


/* up to eight bytes, the lowest first */

static uint64_t
ngx_lyftr_siphash_word(u_char *p, size_t len)
{
    uint64_t  word;

    word = 0;

    if (len) {
        ngx_memcpy(&word, p, len);
    }

    return le64toh(word);
}

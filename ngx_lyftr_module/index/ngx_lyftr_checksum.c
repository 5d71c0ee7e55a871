#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_index.h>


/*
 * Sums of 64 bits by which damage is known, and no attack: each word is mixed
 * in by an odd factor and a shift, both of which lose nothing.
 */

#define NGX_LYFTR_SUM_FACTOR       0x9e3779b97f4a7c15
#define NGX_LYFTR_SUM_END          0xd6e8feb86659fd93


static uint64_t ngx_lyftr_checksum_mix(uint64_t sum, uint64_t word,
    uint64_t factor);


uint64_t
ngx_lyftr_checksum(uint64_t sum, const void *data, size_t len)
{
    size_t         n;
    uint64_t       word;
    const u_char  *p;

    p = data;

    sum = ngx_lyftr_checksum_mix(sum, len, NGX_LYFTR_SUM_FACTOR);

    for ( /* void */ ; len; len -= n) {
        n = ngx_min(len, sizeof(word));
        word = 0;

        ngx_memcpy(&word, p, n);
        sum = ngx_lyftr_checksum_mix(sum, le64toh(word), NGX_LYFTR_SUM_FACTOR);

        p += n;
    }

    return ngx_lyftr_checksum_mix(sum, 0, NGX_LYFTR_SUM_END);
}


static uint64_t
ngx_lyftr_checksum_mix(uint64_t sum, uint64_t word, uint64_t factor)
{
    sum = (sum ^ word) * factor;

    return sum ^ sum >> 32;
}


uint64_t
ngx_lyftr_checksum_block(int64_t no, const void *data, size_t len)
{
    uint64_t  key;

    key = htole64((uint64_t) no);

    return ngx_lyftr_checksum(ngx_lyftr_checksum(0, &key, sizeof(key)),
                              data, len);
}

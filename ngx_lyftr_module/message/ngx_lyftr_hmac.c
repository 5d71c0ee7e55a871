
#include <ngx_lyftr_hmac.h>
#include <ngx_lyftr_text.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>


/* one more than what a digit is worth; 0: it is none */

static const u_char  ngx_lyftr_hmac_digits[256] = {
    ['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6,
    ['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12,
    ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12,
    ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16
};


void *
ngx_lyftr_hmac_key(u_char *secret, size_t len)
{
    EVP_MAC      *hmac;
    OSSL_PARAM    params[2];
    EVP_MAC_CTX  *ctx;

    hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (hmac == NULL) {
        return NULL;
    }

    ctx = EVP_MAC_CTX_new(hmac);
    EVP_MAC_free(hmac);

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                                 "SHA256", 0);
    params[1] = OSSL_PARAM_construct_end();

    if (ctx == NULL || !EVP_MAC_init(ctx, secret, len, params)) {
        EVP_MAC_CTX_free(ctx);
        return NULL;
    }

    return ctx;
}


void
ngx_lyftr_hmac_free(void *key)
{
    EVP_MAC_CTX_free(key);
}


void *
ngx_lyftr_hmac_copy(void *key)
{
    return EVP_MAC_CTX_dup(key);
}


ngx_int_t
ngx_lyftr_hmac_sign(void *key, ngx_str_t *parts, ngx_uint_t n, u_char *mac)
{
    size_t      len;
    ngx_uint_t  i;

    /* without a secret it is that of the key again */

    if (!EVP_MAC_init(key, NULL, 0, NULL)) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        if (!EVP_MAC_update(key, parts[i].data, parts[i].len)) {
            return NGX_ERROR;
        }
    }

    return EVP_MAC_final(key, mac, &len, NGX_LYFTR_HMAC_LEN)
           ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_lyftr_hmac_decode(u_char *s, size_t len, ngx_str_t *prefix, u_char *mac)
{
    ngx_uint_t  i, high, low, none;

    if (len != prefix->len + 2 * NGX_LYFTR_HMAC_LEN
        || ngx_memcmp(s, prefix->data, prefix->len) != 0)
    {
        return NGX_DECLINED;
    }

    s += prefix->len;
    none = 0;

    /* digits are random: to branch at each would be to guess each */

    for (i = 0; i < NGX_LYFTR_HMAC_LEN; i++) {
        high = ngx_lyftr_hmac_digits[*s++];
        low = ngx_lyftr_hmac_digits[*s++];

        none |= (high == 0) | (low == 0);
        mac[i] = (u_char) ((high - 1) << 4 | (low - 1));
    }

    return none ? NGX_DECLINED : NGX_OK;
}


void *
ngx_lyftr_digest_create(void)
{
    EVP_MD_CTX  *ctx;

    ctx = EVP_MD_CTX_new();

    if (ctx == NULL || !EVP_DigestInit_ex(ctx, EVP_sha256(), NULL)) {
        EVP_MD_CTX_free(ctx);
        return NULL;
    }

    return ctx;
}


void
ngx_lyftr_digest_free(void *digest)
{
    EVP_MD_CTX_free(digest);
}


ngx_int_t
ngx_lyftr_digest_make(void *digest, ngx_str_t *s, u_char *md)
{
    /* without an algorithm it is the same one again */

    if (!EVP_DigestInit_ex(digest, NULL, NULL)
        || !EVP_DigestUpdate(digest, s->data, s->len))
    {
        return NGX_ERROR;
    }

    return EVP_DigestFinal_ex(digest, md, NULL) ? NGX_OK : NGX_ERROR;
}


ngx_uint_t
ngx_lyftr_hmac_equal(u_char *a, u_char *b)
{
    return CRYPTO_memcmp(a, b, NGX_LYFTR_HMAC_LEN) == 0;
}

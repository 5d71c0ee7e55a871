/*
 * HMAC-SHA256: keys, and signatures in hex; SHA-256 without a key.
 */


#ifndef _NGX_LYFTR_HMAC_H_INCLUDED_
#define _NGX_LYFTR_HMAC_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_LYFTR_HMAC_LEN         32


/* a key, to be freed, that keeps nothing of secret; NULL if there is none */
void *ngx_lyftr_hmac_key(u_char *secret, size_t len);
void ngx_lyftr_hmac_free(void *key);

/* a key may be used by one thread at a time: another one; NULL: no memory */
void *ngx_lyftr_hmac_copy(void *key);

/* fills mac with that of n strings in a row; NGX_OK or NGX_ERROR */
ngx_int_t ngx_lyftr_hmac_sign(void *key, ngx_str_t *parts, ngx_uint_t n,
    u_char *mac);

/* reads the prefix and 64 hex digits of any case; NGX_OK or NGX_DECLINED */
ngx_int_t ngx_lyftr_hmac_decode(u_char *s, size_t len, ngx_str_t *prefix,
    u_char *mac);

/* what makes digests, one after the other, to be freed; NULL: no memory */
void *ngx_lyftr_digest_create(void);
void ngx_lyftr_digest_free(void *digest);

/* fills md, of the same length, with SHA-256 of s; NGX_OK or NGX_ERROR */
ngx_int_t ngx_lyftr_digest_make(void *digest, ngx_str_t *s, u_char *md);

/* in a time that does not tell where they differ */
ngx_uint_t ngx_lyftr_hmac_equal(u_char *a, u_char *b);


#endif /* _NGX_LYFTR_HMAC_H_INCLUDED_ */

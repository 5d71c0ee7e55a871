/*
 * What is checked of a delivery before it goes to a store.  What may run in a
 * pool thread touches nothing but its arguments.
 */


#ifndef _NGX_LYFTR_DELIVERY_H_INCLUDED_
#define _NGX_LYFTR_DELIVERY_H_INCLUDED_


#include <ngx_lyftr_request.h>


/* ngx_lyftr_http.c */

/* a body that was read, and where its parts are collected */

typedef struct {
    ngx_chain_t                  *chain;         /* NULL: there is one part */
    ngx_str_t                     text;
    ngx_err_t                     err;           /* if it could not be read */
} ngx_lyftr_body_t;

/* makes room for the body; NGX_OK or NGX_ERROR */
ngx_int_t ngx_lyftr_http_body(ngx_http_request_t *r, ngx_lyftr_body_t *body);

/* collects it, maybe in a pool thread; NGX_OK or NGX_ERROR */
ngx_int_t ngx_lyftr_http_collect(ngx_lyftr_body_t *body);


/* ngx_lyftr_signature.c */

typedef struct {
    ngx_lyftr_scheme_claim_t      claim;
    ngx_lyftr_signing_key_t              *keys;
    ngx_uint_t                    n;
    void                        **copies;        /* of the keys, or NULL */
    ngx_lyftr_secret_t           *secret;        /* that has verified */
} ngx_lyftr_proof_t;

/*
 * Reads what was sent.  NGX_OK; NGX_DECLINED: it is no signature, which is
 * counted.
 */
ngx_int_t ngx_lyftr_signature_read(ngx_http_request_t *r,
    ngx_lyftr_proof_t *proof);

/* gives it keys of its own, for a pool thread; NGX_OK or NGX_ERROR */
ngx_int_t ngx_lyftr_signature_detach(ngx_http_request_t *r,
    ngx_lyftr_proof_t *proof);

/*
 * Maybe in a pool thread.  NGX_OK; NGX_DECLINED: no secret verifies the body;
 * NGX_ERROR: OpenSSL has failed.
 */
ngx_int_t ngx_lyftr_signature_verify(ngx_lyftr_proof_t *proof,
    ngx_str_t *body);

/* NGX_OK; NGX_DECLINED: it was signed too long ago, or is to be */
ngx_int_t ngx_lyftr_signature_timely(ngx_http_request_t *r,
    ngx_lyftr_proof_t *proof);


#endif /* _NGX_LYFTR_DELIVERY_H_INCLUDED_ */

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


/* what is needed only while a delivery is checked */

typedef struct {
    ngx_str_t                     memory;
    ngx_lyftr_faults_t            faults;
} ngx_lyftr_scratch_t;


/* what of a delivery goes to a store */

typedef struct {
    ngx_lyftr_store_t            *store;
    ngx_lyftr_message_t          *messages;
    ngx_uint_t                    n;
    ngx_uint_t                    again;         /* duplicates without a row */
    ngx_uint_t                    item;          /* if it is created */
} ngx_lyftr_delivery_part_t;


/* what is checked of a delivery, and what came of it; its operation owns it */

typedef struct {
    ngx_lyftr_format_t           *format;
    ngx_lyftr_body_t              body;
    ngx_lyftr_proof_t             proof;
    ngx_lyftr_scratch_t          *scratch;

    ngx_int_t                     collected;
    ngx_int_t                     verified;
    ngx_int_t                     parsed;

    /* of one message */
    u_char                       *strings;
    ngx_lyftr_message_t           message;

    /* of many */
    ngx_str_t                     receipt;
    ngx_uint_t                    keep_statuses;
    ngx_lyftr_whatsapp_rows_t     rows;
    ngx_uint_t                    other;
    ngx_lyftr_delivery_part_t     parts[2];
    ngx_uint_t                    nparts;
    ngx_uint_t                    stored;        /* parts of these */
} ngx_lyftr_delivery_t;


struct ngx_lyftr_format_s {
    ngx_str_t                     name;
    ngx_str_t                     signature;     /* a preset, or empty */

    /* before the checks; NGX_OK or NGX_ERROR */
    ngx_int_t                   (*init)(ngx_http_request_t *r,
                                      ngx_lyftr_delivery_t *delivery);

    /* maybe in a pool thread; NGX_OK, NGX_DECLINED with faults, NGX_ERROR */
    ngx_int_t                   (*parse)(ngx_lyftr_delivery_t *delivery);

    /* what was parsed; as ngx_lyftr_request_write() */
    ngx_int_t                   (*store)(ngx_http_request_t *r,
                                      ngx_lyftr_delivery_t *delivery);
};


/* ngx_lyftr_webhook.c */

extern ngx_lyftr_format_t  ngx_lyftr_webhook_format;


/* ngx_lyftr_items.c */

extern ngx_lyftr_format_t  ngx_lyftr_items_format;


#endif /* _NGX_LYFTR_DELIVERY_H_INCLUDED_ */

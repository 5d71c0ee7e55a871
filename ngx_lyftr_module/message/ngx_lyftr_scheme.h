/*
 * Ways to sign a body with HMAC-SHA256: what of a request is signed, and where
 * its signatures are.
 */


#ifndef _NGX_LYFTR_SCHEME_H_INCLUDED_
#define _NGX_LYFTR_SCHEME_H_INCLUDED_


#include <ngx_lyftr_text.h>


/* a word before each of three values, and one behind them */
#define NGX_LYFTR_SCHEME_PARTS     7

#define NGX_LYFTR_SCHEME_DIGITS    15      /* of a timestamp */


typedef enum {
    NGX_LYFTR_SCHEME_HEX = 0,
    NGX_LYFTR_SCHEME_BASE64
} ngx_lyftr_scheme_encoding_e;


/* how the signatures stand in their header */

typedef enum {
    NGX_LYFTR_SCHEME_ONE = 0,
    NGX_LYFTR_SCHEME_SPACES,               /* entries between spaces */
    NGX_LYFTR_SCHEME_COMMAS                /* t=... among entries */
} ngx_lyftr_scheme_form_e;


typedef enum {
    NGX_LYFTR_SCHEME_END = 0,
    NGX_LYFTR_SCHEME_WORD,
    NGX_LYFTR_SCHEME_ID,
    NGX_LYFTR_SCHEME_TIMESTAMP,
    NGX_LYFTR_SCHEME_BODY
} ngx_lyftr_scheme_part_e;


typedef struct {
    ngx_lyftr_scheme_part_e      type;
    ngx_str_t                    word;
} ngx_lyftr_scheme_part_t;


typedef struct ngx_lyftr_scheme_s  ngx_lyftr_scheme_t;

struct ngx_lyftr_scheme_s {
    ngx_str_t                    name;
    ngx_str_t                    header;       /* of the signatures */
    ngx_str_t                    timestamp;    /* a header's name; or empty */
    ngx_str_t                    id;           /* the same */
    ngx_str_t                    prefix;       /* of each entry */
    ngx_lyftr_scheme_encoding_e  encoding;
    ngx_lyftr_scheme_form_e      form;
    ngx_lyftr_scheme_part_t      part[NGX_LYFTR_SCHEME_PARTS];
    ngx_lyftr_scheme_t          *other;        /* if there is no header */
    unsigned                     timed:1;
    unsigned                     whsec:1;      /* how its keys are written */
};


/* what a request says of its signature; of its headers */

typedef struct {
    ngx_lyftr_scheme_t          *scheme;
    ngx_str_t                    signatures;
    ngx_str_t                    timestamp;
    ngx_str_t                    id;
} ngx_lyftr_scheme_claim_t;


typedef enum {
    NGX_LYFTR_SCHEME_MISSING = 0,
    NGX_LYFTR_SCHEME_MALFORMED,
    NGX_LYFTR_SCHEME_UNTIMED                   /* no timestamp, or none */
} ngx_lyftr_scheme_reason_e;


/* how many headers of that name there are; sets value to the first one's */

typedef ngx_uint_t (*ngx_lyftr_scheme_header_pt)(void *data, ngx_str_t *name,
    ngx_str_t *value);


extern ngx_lyftr_scheme_t  ngx_lyftr_schemes[];


/* a preset, or NULL */
ngx_lyftr_scheme_t *ngx_lyftr_scheme_find(ngx_str_t *name);

/*
 * Sets what is signed by a description's "signed": {timestamp} and {body} once
 * each, and no other brace; without s, the timestamp if there is one, a dot,
 * and the body.  NGX_OK or NGX_DECLINED.
 */
ngx_int_t ngx_lyftr_scheme_signed(ngx_lyftr_scheme_t *scheme, ngx_str_t *s);

/* reads the headers; NGX_OK, or NGX_DECLINED with the reason */
ngx_int_t ngx_lyftr_scheme_read(ngx_lyftr_scheme_t *scheme,
    ngx_lyftr_scheme_header_pt header, void *data,
    ngx_lyftr_scheme_claim_t *claim, ngx_lyftr_scheme_reason_e *reason);

/* what is signed, piece by piece: NGX_LYFTR_SCHEME_PARTS at most; how many */
ngx_uint_t ngx_lyftr_scheme_parts(ngx_lyftr_scheme_claim_t *claim,
    ngx_str_t *body, ngx_str_t *parts);

/* 1 if one of the signatures is mac */
ngx_uint_t ngx_lyftr_scheme_match(ngx_lyftr_scheme_claim_t *claim,
    u_char *mac);

/* 1 if the timestamp is no more than window seconds from now; 0: no window */
ngx_uint_t ngx_lyftr_scheme_timely(ngx_lyftr_scheme_claim_t *claim,
    time_t now, time_t window);

/*
 * Decodes base64 (RFC 4648, section 4), padded or not, without bits left over;
 * dst has room for 3 bytes for each 4 that are begun.  NGX_OK or NGX_DECLINED.
 */
ngx_int_t ngx_lyftr_scheme_base64(ngx_str_t *dst, ngx_str_t *src);


#endif /* _NGX_LYFTR_SCHEME_H_INCLUDED_ */

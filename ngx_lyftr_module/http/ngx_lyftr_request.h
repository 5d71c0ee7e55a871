/*
 * A request of ours, while it is answered: what the endpoints share.
 */


#ifndef _NGX_LYFTR_REQUEST_H_INCLUDED_
#define _NGX_LYFTR_REQUEST_H_INCLUDED_


#include <ngx_lyftr_http.h>


typedef struct ngx_lyftr_ctx_s        ngx_lyftr_ctx_t;
typedef struct ngx_lyftr_stream_s     ngx_lyftr_stream_t;


#define NGX_LYFTR_UNPROCESSABLE    422


/* what became of a delivery; the order is that of ngx_lyftr_results[] */

typedef enum {
    NGX_LYFTR_RESULT_NONE = 0,
    NGX_LYFTR_CREATED,
    NGX_LYFTR_DUPLICATE,
    NGX_LYFTR_INVALID_SIGNATURE,
    NGX_LYFTR_VALIDATION_ERROR,
    NGX_LYFTR_UNAVAILABLE,             /* 503, or another 5xx */
    NGX_LYFTR_REJECTED,                /* refused unread: 405, 413, 400 */
    NGX_LYFTR_ABORTED,                 /* the client left before an answer */
    NGX_LYFTR_IGNORED,                 /* had nothing to be stored */
    NGX_LYFTR_RESULTS_COUNTED,
    NGX_LYFTR_VERIFIED = NGX_LYFTR_RESULTS_COUNTED,    /* a handshake */
    NGX_LYFTR_FORBIDDEN,
    NGX_LYFTR_RESULTS
} ngx_lyftr_result_e;


/*
 * What became of the items of a delivery; the order is that of
 * ngx_lyftr_report_series[].  A status has those of a message, and one more.
 */

typedef enum {
    NGX_LYFTR_ITEM_CREATED = 0,
    NGX_LYFTR_ITEM_DUPLICATE,
    NGX_LYFTR_ITEM_MALFORMED,          /* stored, too */
    NGX_LYFTR_ITEM_STATUS,
    NGX_LYFTR_ITEM_STATUS_IGNORED = 2 * NGX_LYFTR_ITEM_STATUS,
    NGX_LYFTR_ITEM_OTHER_IGNORED,
    NGX_LYFTR_ITEMS
} ngx_lyftr_item_e;


/* why a signature was refused; the order is that of ngx_lyftr_refusals[] */

typedef enum {
    NGX_LYFTR_SIGNATURE_MISSING = 0,   /* or empty */
    NGX_LYFTR_SIGNATURE_MALFORMED,
    NGX_LYFTR_SIGNATURE_TIMESTAMP,
    NGX_LYFTR_SIGNATURE_MISMATCH,
    NGX_LYFTR_SIGNATURE_WINDOW,
    NGX_LYFTR_REFUSALS
} ngx_lyftr_refusal_e;


/* why a stream ended; the order is that of ngx_lyftr_report_ends[] */

typedef enum {
    NGX_LYFTR_STREAM_CLIENT = 0,       /* it left */
    NGX_LYFTR_STREAM_SLOW,             /* it took nothing for send_timeout */
    NGX_LYFTR_STREAM_SHUTDOWN,         /* of the worker process */
    NGX_LYFTR_STREAM_STORE,            /* it could not be read */
    NGX_LYFTR_STREAM_ENDS
} ngx_lyftr_stream_end_e;


/* the operation of ctx is over; the request may have been terminated */
typedef void (*ngx_lyftr_done_pt)(ngx_lyftr_ctx_t *ctx);

struct ngx_lyftr_ctx_s {
    ngx_http_request_t           *request;
    ngx_lyftr_endpoint_t         *endpoint;
    ngx_lyftr_main_conf_t        *main;
    ngx_lyftr_result_e            result;
    ngx_str_t                     message_id;
    ngx_uint_t                    items;         /* messages and statuses */
    ngx_lyftr_secret_t           *secret;        /* that has verified it */
    ngx_lyftr_op_t                op;
    ngx_lyftr_stream_t           *stream;        /* or NULL */

    /* sends the answer when the operation is over, or has expired */
    ngx_http_handler_pt           answer;
    ngx_lyftr_done_pt             done;          /* before it; or NULL */
    unsigned                      counted:1;     /* the result */
    unsigned                      expired:1;     /* answered, thread goes on */
    unsigned                      half_closed:1; /* by the client */
    unsigned                      streamed:1;    /* its answer was a stream */
};


/* that of an operation: the request's may be another by now, or none */

#define ngx_lyftr_op_ctx(op)                                                  \
    ((ngx_lyftr_ctx_t *) ((u_char *) (op) - offsetof(ngx_lyftr_ctx_t, op)))


/* ngx_lyftr_health.c */

/* what a probe would say, as far as the last one and others have told */
ngx_lyftr_err_e ngx_lyftr_ready_known(ngx_lyftr_store_t *store);


/* ngx_lyftr_request.c */

/* the context, also after an internal redirect has hidden it; or NULL */
ngx_lyftr_ctx_t *ngx_lyftr_request_ctx(ngx_http_request_t *r);

/*
 * Hands the operation of ctx to a store; ctx->answer is called when it is
 * over.  NGX_DONE with a reference to the request taken, or the result of an
 * answer that was sent at once.
 */
ngx_int_t ngx_lyftr_request_submit(ngx_http_request_t *r,
    ngx_lyftr_channel_e channel, ngx_lyftr_op_run_pt run,
    ngx_lyftr_done_pt done, void *data, ngx_http_handler_pt answer);

/*
 * The same for messages that are to be stored, together or not at all; data is
 * for done.  A second operation of a request keeps the deadline of the first.
 */
ngx_int_t ngx_lyftr_request_write(ngx_http_request_t *r,
    ngx_lyftr_store_t *store, ngx_lyftr_message_t *messages, ngx_uint_t n,
    ngx_lyftr_done_pt done, void *data, ngx_http_handler_pt answer);

/* answers as if the store had refused the operation */
ngx_int_t ngx_lyftr_request_refuse(ngx_http_request_t *r,
    ngx_lyftr_channel_e channel);

/*
 * Has the end of what the client sends come, and no error?  Then it may still
 * read.
 */
ngx_uint_t ngx_lyftr_request_half_closed(ngx_http_request_t *r);

/* the operation of ctx has no result, because it failed or took too long */
#define ngx_lyftr_request_failed(ctx)                                         \
    ((ctx)->op.state != NGX_LYFTR_OP_DONE || (ctx)->op.rc == NGX_ERROR)

/* why, where no memory was to be had in a pool thread */

static ngx_inline ngx_int_t
ngx_lyftr_request_memory(ngx_lyftr_error_t *err)
{
    err->code = NGX_LYFTR_ERR_FAILED;
    err->len = sizeof("no memory") - 1;

    ngx_memcpy(err->text, "no memory", sizeof("no memory"));

    return NGX_ERROR;
}


/* answers for such an operation: 503, or 500 if trying again is no use */
ngx_int_t ngx_lyftr_request_failure(ngx_http_request_t *r);


/* ngx_lyftr_http.c */

/* send a whole answer; what they return is for ngx_http_finalize_request() */
ngx_int_t ngx_lyftr_http_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *body);
ngx_int_t ngx_lyftr_http_send_chain(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_chain_t *out, off_t len);

/* {"detail":...}, with the headers that belong to the status */
ngx_int_t ngx_lyftr_http_error(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *detail);

/* the same for 503; retry is in seconds */
ngx_int_t ngx_lyftr_http_unavailable(ngx_http_request_t *r, ngx_str_t *detail,
    time_t retry);
ngx_int_t ngx_lyftr_http_faults(ngx_http_request_t *r,
    ngx_lyftr_faults_t *faults);

/* adds a header to the answer; NULL: no memory */
ngx_table_elt_t *ngx_lyftr_http_header(ngx_http_request_t *r, ngx_str_t *key,
    ngx_str_t *value);

/*
 * After a part of a long answer was sent.  NGX_OK: nothing is left of it;
 * NGX_AGAIN: the client has not taken all yet, writer is called when it does,
 * or when it has taken nothing for send_timeout; or NGX_ERROR.  taken is what
 * it had when this was last called.
 */
ngx_int_t ngx_lyftr_http_wait(ngx_http_request_t *r, ngx_uint_t blocked,
    off_t *taken, ngx_http_event_handler_pt writer);

extern ngx_str_t  ngx_lyftr_json_type;


/* ngx_lyftr_secret.c */

/* the keys of a webhook's location */
ngx_array_t *ngx_lyftr_secret_keys(ngx_conf_t *cf, ngx_lyftr_loc_conf_t *llcf);

/*
 * The value of a string, an env:NAME or a file:PATH.  NGX_OK, NGX_ERROR, or
 * NGX_DECLINED: the variable has none, which is warned of, and what follows
 * from that.
 */
ngx_int_t ngx_lyftr_secret_value(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_str_t *secret, char *follows);


/* ngx_lyftr_handshake.c */

ngx_int_t ngx_lyftr_handshake_handler(ngx_http_request_t *r);


/* ngx_lyftr_counters.c */

void ngx_lyftr_counters_result(ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_result_e result);
void ngx_lyftr_counters_items(ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_endpoint_t *endpoint, ngx_lyftr_item_e item, ngx_uint_t n);
void ngx_lyftr_counters_verified(ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_secret_t *secret);
void ngx_lyftr_counters_refused(ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_refusal_e reason);

/* a stream began, or ended; what it sent */
void ngx_lyftr_counters_stream(ngx_lyftr_main_conf_t *lmcf, ngx_int_t n);
ngx_atomic_uint_t ngx_lyftr_counters_streams(ngx_lyftr_main_conf_t *lmcf);
void ngx_lyftr_counters_ended(ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_stream_end_e reason);
void ngx_lyftr_counters_events(ngx_lyftr_main_conf_t *lmcf, ngx_uint_t n);
void ngx_lyftr_counters_bytes(ngx_lyftr_main_conf_t *lmcf, off_t n);


#endif /* _NGX_LYFTR_REQUEST_H_INCLUDED_ */

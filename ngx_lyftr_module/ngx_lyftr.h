#ifndef _NGX_LYFTR_H_INCLUDED_
#define _NGX_LYFTR_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_lyftr_backend.h>
#include <ngx_lyftr_histogram.h>
#include <ngx_lyftr_scheme.h>
#include <ngx_lyftr_text.h>


typedef struct ngx_lyftr_op_s         ngx_lyftr_op_t;
typedef struct ngx_lyftr_store_s      ngx_lyftr_store_t;
typedef struct ngx_lyftr_channel_s    ngx_lyftr_channel_t;
typedef struct ngx_lyftr_ctx_s        ngx_lyftr_ctx_t;
typedef struct ngx_lyftr_zone_s       ngx_lyftr_zone_t;


/* that of CHANGES.md */
#define NGX_LYFTR_VERSION          "0.1.0"

#define NGX_LYFTR_UNPROCESSABLE    422

/* those whose queues are known to all; each word has its cache line */
#define NGX_LYFTR_WORKERS_MAX      256


typedef enum {
    NGX_LYFTR_CHANNEL_WRITE = 0,
    NGX_LYFTR_CHANNEL_READ,
    NGX_LYFTR_CHANNEL_PROBE,           /* no transaction around operations */
    NGX_LYFTR_CHANNEL_BODY,            /* nor a connection */
    NGX_LYFTR_CHANNEL_UPKEEP,          /* this and the next: no operations */
    NGX_LYFTR_CHANNEL_CHECK,
    NGX_LYFTR_CHANNELS
} ngx_lyftr_channel_e;


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
    NGX_LYFTR_RESULTS
} ngx_lyftr_result_e;


/* why a signature was refused; the order is that of ngx_lyftr_refusals[] */

typedef enum {
    NGX_LYFTR_SIGNATURE_MISSING = 0,   /* or empty */
    NGX_LYFTR_SIGNATURE_MALFORMED,
    NGX_LYFTR_SIGNATURE_TIMESTAMP,
    NGX_LYFTR_SIGNATURE_MISMATCH,
    NGX_LYFTR_SIGNATURE_WINDOW,
    NGX_LYFTR_REFUSALS
} ngx_lyftr_refusal_e;


/* what metrics are labelled with: names of the configuration only */

typedef enum {
    NGX_LYFTR_LABEL_PATH = 0,          /* the first one is "other" */
    NGX_LYFTR_LABEL_SECRET,
    NGX_LYFTR_LABEL_STORE,
    NGX_LYFTR_LABELS
} ngx_lyftr_label_e;


typedef struct {
    ngx_str_t                     name;
    void                         *slot;          /* of the zone */
} ngx_lyftr_label_t;


/* a line of the log that may come too often, in all workers */

typedef struct {
    ngx_atomic_t                  at;            /* msec of the last one */
    ngx_atomic_t                  left_out;      /* of them since */
} ngx_lyftr_told_t;


/* a store's condition and counters, shared by all workers */

typedef struct {
    ngx_atomic_t                  commits;
    ngx_atomic_t                  messages;      /* in these commits */
    ngx_atomic_t                  failures;      /* batches not committed */
    ngx_atomic_t                  error;         /* of the last batch */
    ngx_atomic_t                  answered;      /* msec of the last success */
    ngx_atomic_t                  locked;        /* msec since when, or 0 */
    ngx_atomic_t                  probed;        /* msec of the last one, */
    ngx_atomic_t                  probe;         /* and its error */
    ngx_atomic_t                  opened;        /* hash of the address */
    ngx_atomic_t                  adopted;       /* percent + 1, or 0 */
    ngx_atomic_t                  refused;       /* why it is not adopted */
    ngx_atomic_t                  words[NGX_LYFTR_WORDS];  /* the backend's */
    ngx_lyftr_backend_job_t       jobs[NGX_LYFTR_JOBS_MAX];
    ngx_atomic_t                  damaged;       /* see below */
    ngx_atomic_t                  checked;       /* msec of the next pass */
    ngx_atomic_t                  committed;     /* msec of the last one */

    ngx_lyftr_told_t              told[NGX_LYFTR_ERRS];    /* of operations */
    ngx_lyftr_told_t              upkeep_told[NGX_LYFTR_ERRS];

    ngx_atomic_t                  looked;        /* msec of what follows */
    ngx_atomic_t                  rows;
    ngx_atomic_t                  unindexed;
    ngx_atomic_t                  uncounted;
    ngx_atomic_t                  search_lag;
    ngx_atomic_t                  wal_pages;
    ngx_atomic_t                  wal_bytes;
    ngx_atomic_t                  bytes;

    ngx_lyftr_histogram_t         commit;        /* how long, of how many */
    ngx_lyftr_histogram_t         batch;
    ngx_lyftr_histogram_t         skew;          /* of what was created */
    ngx_lyftr_histogram_t         wait[NGX_LYFTR_CHANNEL_PROBE];

    struct {
        ngx_atomic_t              n;
        u_char                    line[64 - sizeof(ngx_atomic_t)];
    } pending[NGX_LYFTR_WORKERS_MAX];
} ngx_lyftr_status_t;


/* threads have no other order between them than that of such a word */

#define ngx_lyftr_status_get(word)                                            \
    __atomic_load_n(&(word), __ATOMIC_RELAXED)

#define ngx_lyftr_status_set(word, value)                                     \
    __atomic_store_n(&(word), value, __ATOMIC_RELAXED)


/* damage is believed in until the whole store was read after it was seen */

typedef enum {
    NGX_LYFTR_SOUND = 0,
    NGX_LYFTR_DAMAGED,
    NGX_LYFTR_RECHECKED                          /* being read once more */
} ngx_lyftr_damage_e;


struct ngx_lyftr_store_s {
    ngx_str_t                     name;
    ngx_lyftr_backend_t          *backend;       /* NULL: not declared yet */
    ngx_lyftr_dsn_t               dsn;
    ngx_uint_t                    dsn_hash;
    struct ngx_thread_pool_s     *thread_pool;

    ngx_int_t                     batch;
    ngx_int_t                     readers;
    ngx_int_t                     queue;
    ngx_msec_t                    delay;         /* the most in the queue */
    ngx_msec_t                    timeout;
    ngx_int_t                     max_wal;       /* bytes */
    ngx_int_t                     cache;         /* bytes, of a process */
    ngx_int_t                     search;
    ngx_int_t                     force;
    ngx_int_t                     check;         /* msec of a pass, 0: off */

    ngx_lyftr_channel_t          *channels[NGX_LYFTR_CHANNELS];
    ngx_int_t                     label;
    ngx_lyftr_status_t           *status;        /* in the zone */
    ngx_atomic_t                  keeper;        /* does the housekeeping */

    u_char                       *file_name;     /* of the first mention */
    ngx_uint_t                    line;
    unsigned                      no_secret:1;   /* at a webhook location */
};


/* how a secret is written; the order is that of ngx_lyftr_secret_encodings[] */

typedef enum {
    NGX_LYFTR_SECRET_RAW = 0,
    NGX_LYFTR_SECRET_BASE64,
    NGX_LYFTR_SECRET_WHSEC,
    NGX_LYFTR_SECRET_ENCODINGS,        /* as the location's signature has it */
} ngx_lyftr_secret_encoding_e;


typedef struct {
    ngx_str_t                     value;         /* while it is configured */
    ngx_lyftr_secret_encoding_e   encoding;
    ngx_int_t                     label;

    /* of ngx_lyftr_hmac.h, those that a location needs */
    void                         *key[NGX_LYFTR_SECRET_ENCODINGS];
} ngx_lyftr_secret_t;


/* a secret as a location reads it */

typedef struct {
    void                         *key;
    ngx_lyftr_secret_t           *secret;
} ngx_lyftr_signing_key_t;


/* what a location of ours does */

typedef struct {
    ngx_uint_t                    methods;
    ngx_str_t                     allow;
    ngx_http_handler_pt           handler;
    unsigned                      webhook:1;
} ngx_lyftr_kind_t;


/* a location that has one of our directives */

typedef struct ngx_lyftr_loc_conf_s  ngx_lyftr_loc_conf_t;

typedef struct {
    ngx_str_t                     name;
    ngx_lyftr_kind_t             *kind;
    ngx_lyftr_store_t            *store;         /* NULL: needs none */
    ngx_lyftr_loc_conf_t         *conf;
    ngx_int_t                     label;
} ngx_lyftr_endpoint_t;


typedef struct {
    ngx_array_t                   stores;        /* ngx_lyftr_store_t * */
    ngx_array_t                   endpoints;     /* ngx_lyftr_endpoint_t * */
    ngx_array_t                   labels[NGX_LYFTR_LABELS];
    ngx_shm_zone_t               *shm_zone;
    ngx_lyftr_zone_t             *zone;          /* set when it is mapped */
} ngx_lyftr_main_conf_t;


struct ngx_lyftr_loc_conf_s {
    ngx_lyftr_endpoint_t         *endpoint;      /* NULL: not ours */
    ngx_array_t                  *secrets;       /* ngx_lyftr_secret_t * */
    ngx_uint_t                    nsecrets;      /* named, even if unset */
    ngx_array_t                  *keys;          /* of a webhook */
    ngx_lyftr_scheme_t           *scheme;
    time_t                        window;        /* 0: there is none */
};


/*
 * One operation of a store.  Between submit and done it belongs to the store;
 * what it points to lives in the request's pool, which r->blocked keeps.
 */

typedef ngx_int_t (*ngx_lyftr_op_run_pt)(ngx_lyftr_op_t *op,
    ngx_lyftr_backend_t *backend, void *conn, ngx_lyftr_error_t *err);
typedef void (*ngx_lyftr_op_done_pt)(ngx_lyftr_op_t *op);

typedef enum {
    NGX_LYFTR_OP_WAITING = 0,
    NGX_LYFTR_OP_EXPIRED,              /* answered, its thread goes on */
    NGX_LYFTR_OP_DONE
} ngx_lyftr_op_state_e;

struct ngx_lyftr_op_s {
    ngx_queue_t                   queue;         /* pending, then a batch */
    ngx_queue_t                   age;           /* outstanding, oldest first */
    ngx_lyftr_channel_t          *channel;
    ngx_http_request_t           *request;
    ngx_msec_t                    deadline;
    int64_t                       since;         /* usec */
    int64_t                       skew;          /* msec, of a message */

    ngx_lyftr_op_run_pt           run;           /* in a pool thread */
    ngx_lyftr_op_done_pt          done;          /* in the loop, or NULL */
    ngx_http_event_handler_pt     resume;        /* write event handler */
    void                         *data;

    ngx_lyftr_op_state_e          state;
    ngx_int_t                     rc;            /* of run, when DONE */
    ngx_lyftr_err_e               error;         /* if rc is NGX_ERROR */
    unsigned                      timed:1;       /* has its deadline */
    struct ngx_lyftr_lane_s      *lane;          /* that took it; mutex */
};


struct ngx_lyftr_ctx_s {
    ngx_lyftr_endpoint_t         *endpoint;
    ngx_lyftr_main_conf_t        *main;
    ngx_lyftr_result_e            result;
    ngx_str_t                     message_id;
    ngx_lyftr_secret_t           *secret;        /* that has verified it */
    ngx_lyftr_op_t                op;

    /* sends the answer when the operation is over, or has expired */
    ngx_http_handler_pt           answer;
    unsigned                      counted:1;     /* the result */
};


/* that of an operation: the request's may be another by now, or none */

#define ngx_lyftr_op_ctx(op)                                                  \
    ((ngx_lyftr_ctx_t *) ((u_char *) (op) - offsetof(ngx_lyftr_ctx_t, op)))


/* ngx_lyftr_module.c */

extern ngx_module_t  ngx_http_lyftr_module;


/* ngx_lyftr_store.c */

/* finds a store by its name, or adds one that is still to be declared */
ngx_lyftr_store_t *ngx_lyftr_store_add(ngx_conf_t *cf, ngx_str_t *name);

/* the lyftr_store directive */
char *ngx_lyftr_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* makes the channels of all stores; refuses one that was never declared */
ngx_int_t ngx_lyftr_store_init(ngx_conf_t *cf, ngx_array_t *stores);

/* logs, once, what an operator has to know of the libraries */
void ngx_lyftr_store_advise(ngx_array_t *stores, ngx_log_t *log);

/* begins the work of a worker process */
void ngx_lyftr_store_start(ngx_array_t *stores);

/* writes the versions of the backends as labels */
u_char *ngx_lyftr_store_versions(u_char *p);

/* closes the connections: the process has no pool threads any more */
void ngx_lyftr_store_exit(ngx_array_t *stores);


/* ngx_lyftr_status.c */

/* a plain sentence for the caller */
ngx_str_t *ngx_lyftr_status_text(ngx_lyftr_err_e error);


/* ngx_lyftr_env.c */

/* reads the value of an env:NAME argument and keeps NAME for the workers */
ngx_int_t ngx_lyftr_env_get(ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *value);


/* ngx_lyftr_channel.c */

ngx_lyftr_channel_t *ngx_lyftr_channel_create(ngx_conf_t *cf,
    ngx_lyftr_store_t *store, ngx_lyftr_channel_e type);
void ngx_lyftr_channel_start(ngx_lyftr_channel_t *channel);
void ngx_lyftr_channel_close(ngx_lyftr_channel_t *channel);

/*
 * Queues the operation, whose request is then resumed through op->resume.
 * NGX_OK; NGX_BUSY: the queue is full, or too slow.
 */
ngx_int_t ngx_lyftr_channel_submit(ngx_lyftr_channel_t *channel,
    ngx_lyftr_op_t *op);


/* ngx_lyftr_expire.c */

/* its request ends before it: nobody waits for what it reads */
void ngx_lyftr_channel_cancel(ngx_lyftr_op_t *op);


/* ngx_lyftr_pace.c */

/* would a new operation be refused? */
ngx_uint_t ngx_lyftr_pace_overload(ngx_lyftr_channel_t *channel);

/* msec that a new operation would probably wait for its answer */
ngx_msec_t ngx_lyftr_pace_wait(ngx_lyftr_channel_t *channel);

/* msec since which a thread of this worker has not come back, or 0 */
ngx_msec_t ngx_lyftr_pace_busy(ngx_lyftr_channel_t *channel);


/* ngx_lyftr_webhook.c */

ngx_int_t ngx_lyftr_webhook_handler(ngx_http_request_t *r);


/* ngx_lyftr_api.c */

ngx_int_t ngx_lyftr_messages_handler(ngx_http_request_t *r);
ngx_int_t ngx_lyftr_stats_handler(ngx_http_request_t *r);


/* ngx_lyftr_health.c */

ngx_int_t ngx_lyftr_live_handler(ngx_http_request_t *r);
ngx_int_t ngx_lyftr_ready_handler(ngx_http_request_t *r);

/* has nobody opened it yet? */

#define ngx_lyftr_store_unopened(store)                                       \
    (ngx_lyftr_status_get((store)->status->opened) != (store)->dsn_hash)

/* what a probe would say, as far as the last one and others have told */
ngx_lyftr_err_e ngx_lyftr_ready_known(ngx_lyftr_store_t *store);


/* ngx_lyftr_request.c */

/* the content handler of every location of ours */
ngx_int_t ngx_lyftr_request_handler(ngx_http_request_t *r);

/* the context, also after an internal redirect has hidden it; or NULL */
ngx_lyftr_ctx_t *ngx_lyftr_request_ctx(ngx_http_request_t *r);

/*
 * Hands the operation of ctx to a store; ctx->answer is called when it is
 * over.  NGX_DONE with a reference to the request taken, or the result of an
 * answer that was sent at once.
 */
ngx_int_t ngx_lyftr_request_submit(ngx_http_request_t *r,
    ngx_lyftr_channel_e channel, ngx_lyftr_op_run_pt run,
    ngx_lyftr_op_done_pt done, void *data, ngx_http_handler_pt answer);

/* answers as if the store had refused the operation */
ngx_int_t ngx_lyftr_request_refuse(ngx_http_request_t *r,
    ngx_lyftr_channel_e channel);

/* the operation of ctx has no result, because it failed or took too long */
#define ngx_lyftr_request_failed(ctx)                                         \
    ((ctx)->op.state != NGX_LYFTR_OP_DONE || (ctx)->op.rc == NGX_ERROR)

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

ngx_int_t ngx_lyftr_http_header(ngx_http_request_t *r, ngx_str_t *key,
    ngx_str_t *value);

extern ngx_str_t  ngx_lyftr_json_type;


/* ngx_lyftr_secret.c */

/* the lyftr_secret directive */
char *ngx_lyftr_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* the keys of a webhook's location */
ngx_array_t *ngx_lyftr_secret_keys(ngx_conf_t *cf, ngx_lyftr_loc_conf_t *llcf);


/* ngx_lyftr_signature.c */

/* the lyftr_signature directive */
char *ngx_lyftr_signature(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

char *ngx_lyftr_signature_merge(ngx_conf_t *cf, ngx_lyftr_loc_conf_t *prev,
    ngx_lyftr_loc_conf_t *conf);


/* ngx_lyftr_zone.c */

/* finds or adds a label; its index, or NGX_ERROR */
ngx_int_t ngx_lyftr_zone_label(ngx_conf_t *cf, ngx_lyftr_label_e kind,
    ngx_str_t *name);

/* adds the zone */
ngx_int_t ngx_lyftr_zone_init(ngx_conf_t *cf, ngx_lyftr_main_conf_t *lmcf);

/* gives the labels their slots, now that the configuration is in force */
void ngx_lyftr_zone_commit(ngx_lyftr_main_conf_t *lmcf);


/* ngx_lyftr_metrics.c */

ngx_int_t ngx_lyftr_metrics_handler(ngx_http_request_t *r);
ngx_int_t ngx_lyftr_metrics_log_handler(ngx_http_request_t *r);

void ngx_lyftr_metrics_result(ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_result_e result);
void ngx_lyftr_metrics_verified(ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_secret_t *secret);
void ngx_lyftr_metrics_refused(ngx_lyftr_main_conf_t *lmcf,
    ngx_lyftr_refusal_e reason);


/* ngx_lyftr_variables.c */

ngx_int_t ngx_lyftr_variables_add(ngx_conf_t *cf);


#endif /* _NGX_LYFTR_H_INCLUDED_ */

/*
 * What a request is, and what it is answered: the endpoints, secrets and
 * signatures, variables, what is counted of requests, and /metrics.  This
 * folder never knows SQL, files or threads: it hands values to a store's
 * channel and is woken.  Here is what the module's directives and hooks need.
 */


#ifndef _NGX_LYFTR_HTTP_H_INCLUDED_
#define _NGX_LYFTR_HTTP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_lyftr_metrics.h>
#include <ngx_lyftr_message.h>
#include <ngx_lyftr_store.h>


/* that of CHANGES.md */
#define NGX_LYFTR_VERSION          "0.2.0"


/* what metrics are labelled with: names of the configuration only */

typedef enum {
    NGX_LYFTR_LABEL_PATH = 0,          /* the first one is "other" */
    NGX_LYFTR_LABEL_SECRET,
    NGX_LYFTR_LABEL_STORE,
    NGX_LYFTR_LABELS
} ngx_lyftr_label_e;


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

typedef struct ngx_lyftr_endpoint_s  ngx_lyftr_endpoint_t;
typedef struct ngx_lyftr_loc_conf_s  ngx_lyftr_loc_conf_t;
typedef struct ngx_lyftr_hub_s       ngx_lyftr_hub_t;

typedef struct {
    ngx_uint_t                    methods;
    ngx_str_t                     allow;
    ngx_http_handler_pt           handler;
    unsigned                      webhook:1;
    unsigned                      open:1;        /* for everybody */
    unsigned                      follows:1;     /* the log, by a hub */
    unsigned                      exports:1;
    unsigned                      erases:1;      /* by DELETE */

    /* takes a parameter after the store, or NGX_DECLINED: an unknown one */
    ngx_int_t                   (*param)(ngx_conf_t *cf,
                                      ngx_lyftr_endpoint_t *endpoint,
                                      ngx_str_t *arg);
} ngx_lyftr_kind_t;


/* what senders send; see ngx_lyftr_delivery.h */

typedef struct ngx_lyftr_format_s  ngx_lyftr_format_t;


/* a location that has one of our directives */

struct ngx_lyftr_endpoint_s {
    ngx_str_t                     name;
    ngx_command_t                *directive;
    ngx_lyftr_kind_t             *kind;
    ngx_lyftr_store_t            *store;         /* NULL: needs none */
    ngx_lyftr_loc_conf_t         *conf;
    ngx_int_t                     label;

    /* of a webhook */
    ngx_lyftr_format_t           *format;
    ngx_lyftr_store_t            *statuses;      /* NULL: they are dropped */

    /* of a stream, or an export */
    ngx_uint_t                    max;           /* of a process; 0: default */
    ngx_uint_t                    active;
    ngx_msec_t                    heartbeat;
    ngx_lyftr_hub_t              *hub;
};


typedef struct {
    ngx_array_t                   stores;        /* ngx_lyftr_store_t * */
    ngx_lyftr_backend_t         **backends;      /* those that there are */
    ngx_array_t                   endpoints;     /* ngx_lyftr_endpoint_t * */
    ngx_lyftr_zone_t              zone;
    void                         *token_key;     /* hashes tokens, or NULL */
} ngx_lyftr_main_conf_t;


struct ngx_lyftr_loc_conf_s {
    ngx_lyftr_endpoint_t         *endpoint;      /* NULL: not ours */
    ngx_array_t                  *secrets;       /* ngx_lyftr_secret_t * */
    ngx_uint_t                    nsecrets;      /* named, even if unset */
    ngx_array_t                  *keys;          /* of a webhook */
    ngx_lyftr_scheme_t           *scheme;
    time_t                        window;        /* 0: there is none */
    ngx_array_t                  *readers;       /* predicates, or NULL */
    ngx_array_t                  *tokens;        /* hashes, or NULL */
    ngx_array_t                  *erasers;       /* the same, who may erase */
    u_char                       *token;         /* its digest; or NULL */
};


/* ngx_lyftr_module.c */

extern ngx_module_t  ngx_http_lyftr_module;


/* ngx_lyftr_request.c */

/* the content handler of every location of ours */
ngx_int_t ngx_lyftr_request_handler(ngx_http_request_t *r);


/* ngx_lyftr_webhook.c */

ngx_int_t ngx_lyftr_webhook_handler(ngx_http_request_t *r);


/* ngx_lyftr_format.c */

/* what "lyftr_webhook" is told of a location, but its store */
char *ngx_lyftr_format_params(ngx_conf_t *cf, ngx_lyftr_endpoint_t *endpoint,
    ngx_array_t *stores);

/* of a location whose deliveries have many items */
extern ngx_lyftr_kind_t  ngx_lyftr_format_items;


/* ngx_lyftr_handshake.c */

/* the lyftr_verify_token directive */
char *ngx_lyftr_handshake_token(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/* ngx_lyftr_api.c */

ngx_int_t ngx_lyftr_messages_handler(ngx_http_request_t *r);
ngx_int_t ngx_lyftr_stats_handler(ngx_http_request_t *r);


/* ngx_lyftr_erase.c */

ngx_int_t ngx_lyftr_erase_handler(ngx_http_request_t *r);
ngx_int_t ngx_lyftr_erase_or_list(ngx_http_request_t *r);


/* ngx_lyftr_stream.c */

/* max= and heartbeat= */
ngx_int_t ngx_lyftr_stream_param(ngx_conf_t *cf,
    ngx_lyftr_endpoint_t *endpoint, ngx_str_t *arg);
ngx_int_t ngx_lyftr_stream_handler(ngx_http_request_t *r);


/* ngx_lyftr_export.c */

/* max= */
ngx_int_t ngx_lyftr_export_param(ngx_conf_t *cf,
    ngx_lyftr_endpoint_t *endpoint, ngx_str_t *arg);
ngx_int_t ngx_lyftr_export_handler(ngx_http_request_t *r);


/* ngx_lyftr_hub.c */

/* gives the streams of a store the hub that they share */
ngx_int_t ngx_lyftr_hub_init(ngx_conf_t *cf, ngx_lyftr_main_conf_t *lmcf);


/* ngx_lyftr_health.c */

ngx_int_t ngx_lyftr_live_handler(ngx_http_request_t *r);
ngx_int_t ngx_lyftr_ready_handler(ngx_http_request_t *r);


/* ngx_lyftr_report.c */

ngx_int_t ngx_lyftr_metrics_handler(ngx_http_request_t *r);


/* ngx_lyftr_report_backend.c */

/* gauges that not all stores have, but those of backends before this one */
ngx_int_t ngx_lyftr_report_backend(ngx_lyftr_output_t *out,
    ngx_lyftr_main_conf_t *lmcf, ngx_lyftr_backend_t *backend);

/* what the housekeeping has seen; of a unit of 0 nothing is known */
int64_t ngx_lyftr_report_gauge(ngx_lyftr_store_t *store, ngx_atomic_t *word,
    int64_t *unit);


/* ngx_lyftr_access.c */

/* the directives lyftr_read_token and lyftr_erase_token */
char *ngx_lyftr_access_token(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* asks in the access phase who may read */
ngx_int_t ngx_lyftr_access_init(ngx_conf_t *cf);


/* ngx_lyftr_secret.c */

/* the lyftr_secret directive */
char *ngx_lyftr_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


/* ngx_lyftr_signature.c */

/* the lyftr_signature directive */
char *ngx_lyftr_signature(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

char *ngx_lyftr_signature_merge(ngx_conf_t *cf, ngx_lyftr_loc_conf_t *prev,
    ngx_lyftr_loc_conf_t *conf);


/* ngx_lyftr_variables.c */

ngx_int_t ngx_lyftr_variables_add(ngx_conf_t *cf);


/* ngx_lyftr_secret.c */

/*
 * What a string, env:NAME or file:PATH stands for; arg becomes the name or the
 * path.  NGX_DECLINED with an empty value if there is no such variable.
 */
ngx_int_t ngx_lyftr_secret_source(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_str_t *value);


/* ngx_lyftr_location.c */

/* notes which location is chosen for each request */
ngx_int_t ngx_lyftr_location_init(ngx_conf_t *cf);


/* ngx_lyftr_arrival.c */

/* from now on steps of the clock are noticed */
void ngx_lyftr_arrival_clock(void);


/* ngx_lyftr_counters.c */

/* the zone of a configuration, with the label of all other locations */
ngx_int_t ngx_lyftr_counters_create(ngx_conf_t *cf,
    ngx_lyftr_main_conf_t *lmcf);

/* from now on requests are counted */
ngx_int_t ngx_lyftr_counters_init(ngx_conf_t *cf, ngx_lyftr_main_conf_t *lmcf);

/* a configuration is read, and has failed until it is in force */
void ngx_lyftr_counters_read(void);

/* a worker process begins, and ends as it should */
void ngx_lyftr_counters_begin(ngx_lyftr_main_conf_t *lmcf);
void ngx_lyftr_counters_end(ngx_lyftr_main_conf_t *lmcf);

/* the configuration is in force: what the zone has of it is known */
void ngx_lyftr_counters_commit(ngx_lyftr_main_conf_t *lmcf);

/* a worker process begins */
void ngx_lyftr_counters_start(ngx_lyftr_main_conf_t *lmcf);


#endif /* _NGX_LYFTR_HTTP_H_INCLUDED_ */

/*
 * What is counted of requests, in the zone.
 */


#ifndef _NGX_LYFTR_COUNTERS_H_INCLUDED_
#define _NGX_LYFTR_COUNTERS_H_INCLUDED_


#include <ngx_lyftr_request.h>


#define NGX_LYFTR_PATHS_MAX        64
#define NGX_LYFTR_SECRETS_MAX      64
#define NGX_LYFTR_STORES_MAX       16

/* statuses from 100 to 599, and one for all others */
#define NGX_LYFTR_STATUSES         501


/* of a path */

typedef struct {
    ngx_atomic_t                  status[NGX_LYFTR_STATUSES];
    ngx_lyftr_histogram_t         duration;
    ngx_atomic_t                  items[NGX_LYFTR_ITEMS];
} ngx_lyftr_path_t;


/* of a secret */

typedef struct {
    ngx_atomic_t                  verified;
} ngx_lyftr_verifier_t;


/* of all */

typedef struct {
    ngx_atomic_t                  results[NGX_LYFTR_RESULTS_COUNTED];
    ngx_atomic_t                  refusals[NGX_LYFTR_REFUSALS];
    ngx_atomic_t                  started;       /* seconds of the wall */
    ngx_atomic_t                  loaded;        /* or refused, the same */
    ngx_atomic_t                  load_failed;
    ngx_atomic_t                  died;

    /* the process ids of workers that have not ended by themselves */
    ngx_atomic_t                  workers[NGX_LYFTR_WORKERS_MAX];

    ngx_atomic_t                  events;        /* of streams, */
    ngx_atomic_t                  bytes;
    ngx_atomic_t                  ended[NGX_LYFTR_STREAM_ENDS];

    /* and how many there are now, by process: one that dies leaves none */
    ngx_atomic_t                  streams[NGX_MAX_PROCESSES];
} ngx_lyftr_counters_t;


#endif /* _NGX_LYFTR_COUNTERS_H_INCLUDED_ */

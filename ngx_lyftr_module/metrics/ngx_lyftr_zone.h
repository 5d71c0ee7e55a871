#ifndef _NGX_LYFTR_ZONE_H_INCLUDED_
#define _NGX_LYFTR_ZONE_H_INCLUDED_


#include <ngx_lyftr.h>


#define NGX_LYFTR_LABEL_LEN        128
#define NGX_LYFTR_PATHS_MAX        64
#define NGX_LYFTR_SECRETS_MAX      64
#define NGX_LYFTR_STORES_MAX       16

/* statuses from 100 to 599, and one for all others */
#define NGX_LYFTR_STATUSES         501


/* as many again for labels that only workers which are to exit still have */
#define NGX_LYFTR_SLOTS(max)       (2 * (max))


/*
 * The zone has a fixed size, and its slots are found by their labels, so that
 * it is kept over a reload whatever the new configuration says.  There is no
 * lock: counters are atomic, and a slot is only given away by the master, once
 * a new configuration is in force and no process has the old label any more.
 */

typedef struct {
    ngx_uint_t                    last;          /* configuration with it */
    size_t                        len;
    u_char                        data[NGX_LYFTR_LABEL_LEN];
} ngx_lyftr_slot_t;


typedef struct {
    ngx_lyftr_slot_t              slot;
    ngx_atomic_t                  status[NGX_LYFTR_STATUSES];
    ngx_lyftr_histogram_t         duration;
} ngx_lyftr_path_t;


typedef struct {
    ngx_lyftr_slot_t              slot;
    ngx_atomic_t                  verified;
} ngx_lyftr_verifier_t;


typedef struct {
    ngx_lyftr_slot_t              slot;
    ngx_lyftr_status_t            status;
} ngx_lyftr_store_slot_t;


struct ngx_lyftr_zone_s {
    ngx_uint_t                    generation;    /* the one in force */
    ngx_uint_t                    oldest;        /* that a process may have */

    ngx_atomic_t                  results[NGX_LYFTR_RESULTS];
    ngx_atomic_t                  refusals[NGX_LYFTR_REFUSALS];

    ngx_lyftr_path_t         paths[NGX_LYFTR_SLOTS(NGX_LYFTR_PATHS_MAX)];
    ngx_lyftr_verifier_t     secrets[NGX_LYFTR_SLOTS(NGX_LYFTR_SECRETS_MAX)];
    ngx_lyftr_store_slot_t   stores[NGX_LYFTR_SLOTS(NGX_LYFTR_STORES_MAX)];
};


#endif /* _NGX_LYFTR_ZONE_H_INCLUDED_ */

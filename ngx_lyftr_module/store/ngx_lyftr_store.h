/*
 * The stores of a configuration: an operation is queued in a channel, run by a
 * lane, in a thread of the pool with a connection of the backend, and its owner
 * is woken in the event loop when it is over, or its deadline has come.  This
 * folder never knows a request, an answer or a location, nor which backends
 * there are: it is handed a table of them, which ngx_lyftr_backend.h describes.
 */


#ifndef _NGX_LYFTR_STORE_H_INCLUDED_
#define _NGX_LYFTR_STORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_backend.h>
#include <ngx_lyftr_ring.h>
#include <ngx_lyftr_metrics.h>


typedef struct ngx_lyftr_op_s         ngx_lyftr_op_t;
typedef struct ngx_lyftr_store_s      ngx_lyftr_store_t;
typedef struct ngx_lyftr_channel_s    ngx_lyftr_channel_t;
typedef struct ngx_lyftr_share_s      ngx_lyftr_share_t;


/* those whose queues are known to all; each word has its cache line */
#define NGX_LYFTR_WORKERS_MAX      256


typedef enum {
    NGX_LYFTR_CHANNEL_WRITE = 0,
    NGX_LYFTR_CHANNEL_READ,
    NGX_LYFTR_CHANNEL_PROBE,           /* no transaction around operations */
    NGX_LYFTR_CHANNEL_BODY,            /* nor a connection */
    NGX_LYFTR_CHANNEL_FOLLOW,          /* short reads, one after the other */
    NGX_LYFTR_CHANNEL_ERASE,           /* no transaction around operations */
    NGX_LYFTR_CHANNEL_LEAD,            /* this and the next: no operations */
    NGX_LYFTR_CHANNEL_JOBS,
    NGX_LYFTR_CHANNEL_CHECK,
    NGX_LYFTR_CHANNELS
} ngx_lyftr_channel_e;


/* a line of the log that may come too often, in all workers */

typedef struct {
    ngx_atomic_t                  at;            /* msec of the last one */
    ngx_atomic_t                  left_out;      /* of them since */
} ngx_lyftr_told_t;


/*
 * The words of a backend.  While a reload gives a name another address, workers
 * of the old one have the words of that.
 */

typedef struct {
    ngx_atomic_t                  hash;          /* of the address */
    ngx_atomic_t                  words[NGX_LYFTR_WORDS];
} ngx_lyftr_words_t;


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
    ngx_lyftr_words_t             words[2];
    ngx_atomic_t                  current;       /* of these */
    ngx_lyftr_backend_job_t       jobs[NGX_LYFTR_JOBS_MAX];
    ngx_atomic_t                  damaged;       /* see below */
    ngx_atomic_t                  checked;       /* msec of the next pass */
    ngx_atomic_t                  committed;     /* msec of the last one */
    ngx_atomic_t                  moved;         /* by what was stored */

    ngx_lyftr_told_t              told[NGX_LYFTR_ERRS];    /* of operations */
    ngx_lyftr_told_t              job_told[NGX_LYFTR_ERRS];

    ngx_atomic_t                  looked;        /* msec of what follows */
    ngx_atomic_t                  last;          /* the newest place */
    ngx_atomic_t                  rows;
    ngx_atomic_t                  bytes;
    ngx_atomic_t                  gauges[NGX_LYFTR_GAUGES_MAX];  /* as well */

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
    ngx_lyftr_dsn_t              *dsn;           /* of the backend's size */
    ngx_uint_t                    dsn_hash;
    struct ngx_thread_pool_s     *thread_pool;

    ngx_int_t                     batch;
    ngx_int_t                     readers;
    ngx_int_t                     queue;
    ngx_msec_t                    delay;         /* the most in the queue */
    ngx_msec_t                    timeout;
    ngx_int_t                     check;         /* msec of a pass, 0: off */

    ngx_lyftr_channel_t          *channels[NGX_LYFTR_CHANNELS];
    ngx_lyftr_share_t            *share;         /* NULL: nothing is shared */
    ngx_int_t                     label;
    ngx_lyftr_status_t           *status;        /* in the zone */
    ngx_atomic_t                  keeper;        /* does the housekeeping */

    u_char                       *file_name;     /* of the first mention */
    ngx_uint_t                    line;
    unsigned                      no_secret:1;   /* at a webhook location */
};


/*
 * One operation of a store.  Between submit and the end it belongs to the
 * store; what it points to is kept by its owner until then.
 */

typedef ngx_int_t (*ngx_lyftr_op_run_pt)(ngx_lyftr_op_t *op,
    ngx_lyftr_backend_t *backend, void *conn, ngx_lyftr_error_t *err);
typedef void (*ngx_lyftr_op_wake_pt)(ngx_lyftr_op_t *op);

typedef enum {
    NGX_LYFTR_OP_WAITING = 0,
    NGX_LYFTR_OP_EXPIRED,              /* at its deadline, a thread has it */
    NGX_LYFTR_OP_DONE                  /* its owner hears of both */
} ngx_lyftr_op_state_e;

struct ngx_lyftr_op_s {
    ngx_queue_t                   queue;         /* pending, then a batch */
    ngx_queue_t                   age;           /* outstanding, oldest first */
    ngx_lyftr_channel_t          *channel;
    ngx_msec_t                    deadline;
    int64_t                       since;         /* usec */
    int64_t                       arrived;       /* msec, of the calendar */

    ngx_lyftr_write_t             write;         /* of the writer's channel, */
    ngx_lyftr_op_run_pt           run;           /* others; in a pool thread */
    ngx_lyftr_op_wake_pt          wake;          /* in the event loop */
    void                         *data;

    ngx_lyftr_op_state_e          state;
    ngx_int_t                     rc;            /* of run, when DONE */
    ngx_lyftr_err_e               error;         /* if rc is NGX_ERROR */
    unsigned                      timed:1;       /* has its deadline */
    ngx_lyftr_ticket_t            ticket;        /* if another process has it */
    struct ngx_lyftr_lane_s      *lane;          /* that took it; mutex */
};


/* has nobody opened it yet? */

#define ngx_lyftr_store_unopened(store)                                       \
    (ngx_lyftr_status_get((store)->status->opened) != (store)->dsn_hash)


/* ngx_lyftr_store.c */

/* finds a store by its name, or adds one that is still to be declared */
ngx_lyftr_store_t *ngx_lyftr_store_add(ngx_conf_t *cf, ngx_array_t *stores,
    ngx_str_t *name);

/* the lyftr_store directive; the table of backends ends with NULL */
char *ngx_lyftr_store_declare(ngx_conf_t *cf, ngx_array_t *stores,
    ngx_lyftr_backend_t **backends, ngx_lyftr_store_t **storep);

/* makes the channels of all stores; refuses one that was never declared */
ngx_int_t ngx_lyftr_store_init(ngx_conf_t *cf, ngx_array_t *stores);

/* logs, once, what an operator has to know of the libraries */
void ngx_lyftr_store_advise(ngx_array_t *stores,
    ngx_lyftr_backend_t **backends, ngx_log_t *log);

/* makes what so many workers share; before they are there, in each cycle */
ngx_int_t ngx_lyftr_share_create(ngx_cycle_t *cycle, ngx_array_t *stores,
    ngx_uint_t workers);

/* from now on the worker's messages may be committed by another one */
void ngx_lyftr_follow_start(ngx_cycle_t *cycle, ngx_array_t *stores);

/* begins the work of a worker process */
void ngx_lyftr_store_start(ngx_array_t *stores);

/* closes the connections: the process has no pool threads any more */
void ngx_lyftr_store_exit(ngx_array_t *stores);


/* ngx_lyftr_status.c */

/*
 * Its condition and counters, which all processes share, are there now.  With a
 * reload the operator says that what is there is right.
 */
void ngx_lyftr_status_attach(ngx_lyftr_store_t *store,
    ngx_lyftr_status_t *status);

/* a plain sentence for the caller */
ngx_str_t *ngx_lyftr_status_text(ngx_lyftr_err_e error);

/* what came of a probe, and if it has written; in any thread */
void ngx_lyftr_status_probed(ngx_lyftr_store_t *store, ngx_int_t rc,
    ngx_lyftr_err_e error, ngx_uint_t write);

/* is what the last operations have told an error, or a lock? */
ngx_uint_t ngx_lyftr_status_doubtful(ngx_lyftr_store_t *store);


/* ngx_lyftr_env.c */

/* reads the value of an env:NAME argument and keeps NAME for the workers */
ngx_int_t ngx_lyftr_env_get(ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *value);


/* ngx_lyftr_channel.c */

ngx_lyftr_channel_t *ngx_lyftr_channel_create(ngx_conf_t *cf,
    ngx_lyftr_store_t *store, ngx_lyftr_channel_e type);
void ngx_lyftr_channel_start(ngx_lyftr_channel_t *channel);
void ngx_lyftr_channel_close(ngx_lyftr_channel_t *channel);

/*
 * Queues the operation; its owner hears of it through op->wake, not before the
 * event loop goes on.  NGX_OK; NGX_BUSY: the queue is full, or too slow.
 */
ngx_int_t ngx_lyftr_channel_submit(ngx_lyftr_channel_t *channel,
    ngx_lyftr_op_t *op);


/* ngx_lyftr_expire.c */

/*
 * Nobody waits for what it reads any more.  NGX_OK: it has ended, and nobody is
 * told; NGX_DECLINED: it had, or its thread hurries, and tells.
 */
ngx_int_t ngx_lyftr_channel_cancel(ngx_lyftr_op_t *op);


/* ngx_lyftr_pace.c */

/* would a new operation be refused? */
ngx_uint_t ngx_lyftr_pace_overload(ngx_lyftr_channel_t *channel);

/* msec that a new operation would probably wait for its answer */
ngx_msec_t ngx_lyftr_pace_wait(ngx_lyftr_channel_t *channel);

/* msec since which a thread of this worker has not come back, or 0 */
ngx_msec_t ngx_lyftr_pace_busy(ngx_lyftr_channel_t *channel);


#endif /* _NGX_LYFTR_STORE_H_INCLUDED_ */

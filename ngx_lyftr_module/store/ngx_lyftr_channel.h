#ifndef _NGX_LYFTR_CHANNEL_H_INCLUDED_
#define _NGX_LYFTR_CHANNEL_H_INCLUDED_


#include <ngx_lyftr_store.h>
#include <ngx_lyftr_ring.h>
#include <ngx_thread_pool.h>


/*
 * A lane is one reusable thread task, and has a seat with a connection.  An
 * idle lane belongs to the event loop, a busy one to a pool thread.  A channel
 * is a queue of pending operations and some lanes: the readers' has several
 * and a batch of one; the writer's has a large batch and two lanes that share
 * one seat, so that the next batch begins as soon as the last is durable, and
 * not when the event loop has heard of it.  The queue is filled by the event
 * loop and taken by the thread once it may write, so that a batch grows while
 * it waits for its turn: this hand-over has a mutex, and so has a seat.
 */

typedef struct {
    ngx_thread_mutex_t            mutex;
    void                         *conn;
} ngx_lyftr_seat_t;


typedef struct ngx_lyftr_lane_s  ngx_lyftr_lane_t;

struct ngx_lyftr_lane_s {
    void                         *ident[4];      /* for ngx_event_ident() */
    ngx_lyftr_channel_t          *channel;
    ngx_thread_task_t            *task;
    ngx_lyftr_seat_t             *seat;
    ngx_queue_t                   batch;         /* of taken operations */
    ngx_uint_t                    n;
    ngx_uint_t                    failed;        /* of them */
    ngx_lyftr_write_t           **writes;        /* of them, or NULL */
    ngx_uint_t                    commits;
    ngx_uint_t                    messages;      /* in these commits */
    ngx_msec_t                    started;
    ngx_lyftr_error_t             err;
    ngx_lyftr_error_t             job_err;       /* of what none asked for */
    ngx_uint_t                    busy;          /* the event loop's */
    ngx_uint_t                    exiting;       /* as it began, the worker */
    ngx_atomic_t                  stop;          /* what it reads */

    /* the thread's, if busy: what no request asks for is due at this time */
    ngx_uint_t                    due;
    ngx_msec_t                    at;

    /* of the check */
    ngx_lyftr_check_t             check;         /* the part that it reads */
    ngx_msec_t                    began;         /* the pass, */
    off_t                         total;         /* which read so many bytes */
    ngx_msec_t                    again;         /* if it failed, not before */
    ngx_uint_t                    read;          /* the pass is at its end */

    ngx_uint_t                    news;          /* job_err is no failure */
};


/* what all workers of a configuration have of a store; ngx_lyftr_share.c */

typedef struct ngx_lyftr_share_words_s  ngx_lyftr_share_words_t;

struct ngx_lyftr_share_s {
    ngx_uint_t                    workers;
    size_t                        size;          /* of a ring's data */
    u_char                       *rings;
    ngx_lyftr_share_words_t      *words;
    ngx_fd_t                      fd;
    ngx_uint_t                    number;        /* of the store */
    ngx_fd_t                     *events;        /* one for each worker */
};


typedef struct ngx_lyftr_lead_s  ngx_lyftr_lead_t;

struct ngx_lyftr_channel_s {
    void                         *ident[4];
    ngx_lyftr_store_t            *store;
    ngx_lyftr_channel_e           type;
    ngx_uint_t                    batch;
    ngx_msec_t                    timeout;
    ngx_uint_t                    nlanes;
    ngx_lyftr_lane_t             *lanes;
    ngx_lyftr_seat_t             *seats;         /* one for each, or for all */
    ngx_uint_t                    nseats;

    ngx_thread_mutex_t            mutex;         /* of these two */
    ngx_queue_t                   pending;
    ngx_uint_t                    npending;      /* messages, or others */
    ngx_atomic_t                 *shown;         /* it, to all workers */

    /* the writer's, if another process may commit for this one */
    ngx_uint_t                    follows;
    ngx_lyftr_ring_t              ring;
    ngx_queue_t                   shared;        /* what it has in there */
    ngx_uint_t                    nshared;       /* messages; mutex */
    ngx_event_t                   post;
    ngx_event_t                   look;

    /* the leader's */
    ngx_lyftr_lead_t             *lead;          /* its memory */
    ngx_uint_t                    leads;
    ngx_uint_t                    ready;         /* or is to be, to lead */

    ngx_msec_t                    pace;          /* of a batch, in 1/8 msec */

    ngx_queue_t                   outstanding;   /* oldest first */
    ngx_event_t                   expire;
    ngx_event_t                   wake;          /* for what is due */
    ngx_uint_t                    starved;       /* no room in the pool */
};


typedef struct {
    size_t                        len;
    u_char                        data[64];
} ngx_lyftr_left_out_t;


/* errors that refuse beforehand, and tell nothing of the connection */

#define ngx_lyftr_lane_sound(error)                                           \
    ((error) == NGX_LYFTR_ERR_LOG || (error) == NGX_LYFTR_ERR_BEHIND          \
     || (error) == NGX_LYFTR_ERR_STUCK                                      \
     || (error) == NGX_LYFTR_ERR_STANDBY                                    \
     || (error) == NGX_LYFTR_ERR_ADOPT)


/* what it counts in a queue, and in a batch */

#define ngx_lyftr_op_size(op)                                                 \
    ((op)->write.n ? (op)->write.n : 1)


/* has the mutex */

#define ngx_lyftr_channel_show(channel)                                       \
    if ((channel)->shown) {                                                   \
        ngx_lyftr_status_set(*(channel)->shown,                               \
                             (channel)->npending + (channel)->nshared);       \
    }


/* ngx_lyftr_expire.c */

/* takes it back from the leader, if that has not begun; has the mutex */
ngx_int_t ngx_lyftr_channel_withdraw(ngx_lyftr_op_t *op);

/* the operation is over: wakes its owner */
void ngx_lyftr_channel_complete(ngx_lyftr_op_t *op);

/* answers what has waited too long; the handler of the timer */
void ngx_lyftr_channel_expire(ngx_event_t *ev);


/* ngx_lyftr_thread.c */

/* the handler of a lane's task */
void ngx_lyftr_thread_handler(void *data, ngx_log_t *log);


/* ngx_lyftr_lane.c, in a pool thread */

/* runs one batch of operations */
void ngx_lyftr_lane_batch(ngx_lyftr_lane_t *lane, ngx_log_t *log);

ngx_int_t ngx_lyftr_lane_open(ngx_lyftr_lane_t *lane, ngx_uint_t flags,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
void ngx_lyftr_lane_close(ngx_lyftr_lane_t *lane);

/* begins a turn, or a snapshot; NGX_OK, else lane->err tells */
ngx_int_t ngx_lyftr_lane_begin(ngx_lyftr_lane_t *lane, ngx_msec_t deadline);

/*
 * Stores the operations of the lane's batch, which has the turn, and tells each
 * what came of it.  NGX_ERROR: the connection is to be closed.
 */
ngx_int_t ngx_lyftr_lane_write(ngx_lyftr_lane_t *lane, ngx_msec_t deadline);

/* all operations of the lane's batch from this one on have failed */
void ngx_lyftr_lane_fail(ngx_lyftr_lane_t *lane, ngx_queue_t *from);


/* ngx_lyftr_lead.c, in a pool thread */

/* commits for all workers, as long as there is work */
void ngx_lyftr_lead_run(ngx_lyftr_lane_t *lane, ngx_log_t *log);

/* leads no more, and tells those who wait; also in the event loop */
void ngx_lyftr_lead_leave(ngx_lyftr_channel_t *channel);

void ngx_lyftr_lead_free(ngx_lyftr_lead_t *lead);


/* ngx_lyftr_follow.c */

/* gives the operation to the leader; NGX_DECLINED: there is no room, or none */
ngx_int_t ngx_lyftr_follow_put(ngx_lyftr_channel_t *channel,
    ngx_lyftr_op_t *op);

/* this worker leads, if it waits for something, and nobody does */
void ngx_lyftr_follow_check(ngx_lyftr_store_t *store);


/* ngx_lyftr_share.c */

/* the ring of a worker */
void ngx_lyftr_share_ring(ngx_lyftr_share_t *share, ngx_uint_t worker,
    ngx_lyftr_ring_t *ring);

/* this process leads from now on; NGX_DECLINED: another one does */
ngx_int_t ngx_lyftr_share_lead(ngx_lyftr_share_t *share);
void ngx_lyftr_share_leave(ngx_lyftr_share_t *share);

/* does one lead?  It may have been killed, which the other one finds out */
ngx_uint_t ngx_lyftr_share_led(ngx_lyftr_share_t *share);
ngx_uint_t ngx_lyftr_share_orphaned(ngx_lyftr_share_t *share);

/*
 * A leader without work says that it is about to sleep, looks once more, and
 * sleeps; whoever has work then rouses it.
 */
void ngx_lyftr_share_drowse(ngx_lyftr_share_t *share);
void ngx_lyftr_share_sleep(ngx_lyftr_share_t *share, ngx_msec_t msec);
void ngx_lyftr_share_rouse(ngx_lyftr_share_t *share);

/* wakes the event loop of a worker, which has heard of it */
void ngx_lyftr_share_wake(ngx_lyftr_share_t *share, ngx_uint_t worker);
void ngx_lyftr_share_woken(ngx_lyftr_share_t *share, ngx_uint_t worker);


/* ngx_lyftr_housekeeping.c, in a pool thread */

/* the store's housekeeping, for a while */
void ngx_lyftr_housekeeping_step(ngx_lyftr_lane_t *lane);

/* reads a part of the store, to see if it is damaged */
void ngx_lyftr_housekeeping_check(ngx_lyftr_lane_t *lane);


/* ngx_lyftr_pace.c */

/* from now on all workers see how many operations of this one are pending */
void ngx_lyftr_pace_start(ngx_lyftr_channel_t *channel);

/* takes down how long the lane's batch has taken */
void ngx_lyftr_pace_note(ngx_lyftr_lane_t *lane);

/* the same of a leader's, whose oldest answered operation came at this time */
void ngx_lyftr_pace_follow(ngx_lyftr_channel_t *channel, int64_t since);

/* may no operation join the n that are pending? */
ngx_uint_t ngx_lyftr_pace_full(ngx_lyftr_channel_t *channel, ngx_uint_t n);

/* logs that none may */
void ngx_lyftr_pace_log(ngx_lyftr_channel_t *channel, ngx_uint_t n);

/* msec that the last of n pending operations would probably wait */
ngx_msec_t ngx_lyftr_pace_estimate(ngx_lyftr_channel_t *channel,
    ngx_uint_t n);


/* ngx_lyftr_status.c */

/* tells the log, and all workers, what came of a batch */
void ngx_lyftr_status_report(ngx_lyftr_lane_t *lane);

/* tells all workers of the lane's commits, in any thread */
void ngx_lyftr_status_count(ngx_lyftr_lane_t *lane);

/*
 * At most one line a second: NGX_OK, and what to add to it about those that
 * were left out, or NGX_DECLINED for one that is.
 */
ngx_int_t ngx_lyftr_status_tell(ngx_lyftr_told_t *told,
    ngx_lyftr_left_out_t *text);


#endif /* _NGX_LYFTR_CHANNEL_H_INCLUDED_ */

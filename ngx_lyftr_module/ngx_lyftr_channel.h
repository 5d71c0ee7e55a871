#ifndef _NGX_LYFTR_CHANNEL_H_INCLUDED_
#define _NGX_LYFTR_CHANNEL_H_INCLUDED_


#include <ngx_lyftr.h>
#include <ngx_thread_pool.h>


/*
 * A lane is one connection and one reusable thread task.  An idle lane belongs
 * to the event loop, a busy one to a pool thread.  A channel is a queue of
 * pending operations and some lanes: the writer's has one lane and a large
 * batch, the readers' several lanes and a batch of one.  The queue is filled
 * by the event loop and taken by the thread once it may write, so that a batch
 * grows while it waits for its turn: this hand-over has a mutex, nothing else.
 */

typedef struct ngx_lyftr_lane_s  ngx_lyftr_lane_t;

struct ngx_lyftr_lane_s {
    void                         *ident[4];      /* for ngx_event_ident() */
    ngx_lyftr_channel_t          *channel;
    ngx_thread_task_t            *task;
    void                         *conn;
    ngx_queue_t                   batch;         /* of taken operations */
    ngx_uint_t                    n;
    ngx_uint_t                    failed;        /* of them */
    ngx_uint_t                    commits;
    ngx_msec_t                    started;
    ngx_lyftr_error_t             err;
    ngx_lyftr_error_t             upkeep;        /* of maintenance */
    ngx_msec_t                    rest;          /* no maintenance before */
    ngx_uint_t                    busy;          /* the event loop's */
    ngx_uint_t                    due;           /* the thread's, if busy */
};


struct ngx_lyftr_channel_s {
    void                         *ident[4];
    ngx_lyftr_store_t            *store;
    ngx_lyftr_channel_e           type;
    ngx_uint_t                    batch;
    ngx_msec_t                    timeout;
    ngx_uint_t                    nlanes;
    ngx_lyftr_lane_t             *lanes;

    ngx_thread_mutex_t            mutex;         /* of these two */
    ngx_queue_t                   pending;
    ngx_uint_t                    npending;

    ngx_queue_t                   outstanding;   /* oldest first */
    ngx_event_t                   expire;
};


/* runs one batch; the handler of a lane's task, in a pool thread */
void ngx_lyftr_lane_thread(void *data, ngx_log_t *log);


#endif /* _NGX_LYFTR_CHANNEL_H_INCLUDED_ */

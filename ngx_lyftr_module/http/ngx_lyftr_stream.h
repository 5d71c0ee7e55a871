/*
 * Streams of a worker.  Those of a store have a hub, which reads the log for
 * all that stand at the newest place; one that is behind reads for itself.
 */


#ifndef _NGX_LYFTR_STREAM_H_INCLUDED_
#define _NGX_LYFTR_STREAM_H_INCLUDED_


#include <ngx_lyftr_request.h>
#include <ngx_lyftr_message.h>


typedef struct ngx_lyftr_feed_s    ngx_lyftr_feed_t;


/* what streams ask for: equal ones share their text */

typedef struct {
    ngx_queue_t                   queue;         /* of the hub */
    ngx_uint_t                    refs;
    ngx_lyftr_query_t             query;
    ngx_str_t                     needle;        /* q, folded */
    struct ngx_lyftr_text_s      *text;          /* of a read of the hub */
} ngx_lyftr_view_t;


/* where an event stands, in a buffer of the text */

typedef struct {
    int64_t                       seq;
    ngx_chain_t                  *chain;
    u_char                       *pos;
} ngx_lyftr_event_t;


/* the events of a read for a view */

typedef struct ngx_lyftr_text_s {
    ngx_uint_t                    refs;
    ngx_pool_t                   *pool;
    ngx_lyftr_view_t             *view;
    ngx_lyftr_output_t            out;
    size_t                        size;
    size_t                        len;           /* of what a row adds, or 0 */
    ngx_array_t                   events;        /* ngx_lyftr_event_t */
    ngx_uint_t                    skipped;       /* rows after the last one */
} ngx_lyftr_text_t;


/* of a store, in a worker process */

struct ngx_lyftr_hub_s {
    void                         *ident[4];      /* for ngx_event_ident() */
    ngx_lyftr_store_t            *store;
    ngx_lyftr_main_conf_t        *main;
    ngx_queue_t                   streams;       /* all of them */
    ngx_queue_t                   head;          /* at the newest place, */
    ngx_lyftr_position_t          place;         /* which is this one */
    ngx_queue_t                   retry;         /* the store failed them */
    ngx_queue_t                   views;
    ngx_lyftr_feed_t             *feed;          /* that is under way */
    ngx_event_t                   tick;
    ngx_atomic_uint_t             moved;         /* the words, when it read */
    ngx_atomic_uint_t             last;
    ngx_msec_t                    read;          /* msec of that */
    ngx_uint_t                    failed;
    ngx_uint_t                    again;         /* there was more to read */
};


struct ngx_lyftr_stream_s {
    void                         *ident[4];

    /* hands it a text, of which it takes the events after its place */
    void                        (*deliver)(ngx_lyftr_stream_t *s,
                                      ngx_lyftr_text_t *text,
                                      ngx_lyftr_position_t *place);

    /* ends it, whole */
    void                        (*end)(ngx_lyftr_stream_t *s,
                                      ngx_lyftr_stream_end_e reason);

    ngx_queue_t                   queue;         /* of all */
    ngx_queue_t                   wait;          /* of head, or of retry */
    ngx_http_request_t           *request;
    ngx_lyftr_endpoint_t         *endpoint;
    ngx_lyftr_hub_t              *hub;
    ngx_lyftr_query_t            *query;
    ngx_lyftr_view_t             *view;
    ngx_lyftr_follow_t            follow;        /* the place of its events */
    ngx_lyftr_feed_t             *feed;          /* its own, under way */
    ngx_lyftr_text_t             *text;          /* what is being sent */
    ngx_chain_t                  *free;
    ngx_chain_t                  *busy;
    ngx_event_t                   timer;         /* of the heartbeat */
    ngx_msec_t                    sent;
    ngx_msec_t                    tried;
    off_t                         taken;         /* bytes, by the client */
    ngx_lyftr_stream_end_e        reason;
    u_char                       *note;
    unsigned                      open:1;
    unsigned                      waiting:1;     /* in head, or retry */
    unsigned                      failed:1;
    unsigned                      skipped:1;     /* rows, since what was sent */
    unsigned                      ending:1;
};


#define ngx_lyftr_stream_blocked(s)                                           \
    ((s)->busy || (s)->request->buffered                                      \
     || (s)->request->connection->buffered)


/* ngx_lyftr_hub.c */

/* NGX_OK, or NGX_ERROR: no memory */
ngx_int_t ngx_lyftr_hub_add(ngx_lyftr_stream_t *s, ngx_lyftr_query_t *query);
void ngx_lyftr_hub_remove(ngx_lyftr_stream_t *s);

/* all that was sent has left: reads on, or waits at the newest place */
void ngx_lyftr_hub_continue(ngx_lyftr_stream_t *s);

void ngx_lyftr_hub_release(ngx_lyftr_text_t *text);


#endif /* _NGX_LYFTR_STREAM_H_INCLUDED_ */

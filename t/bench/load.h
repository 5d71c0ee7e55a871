
#ifndef _LOAD_H_INCLUDED_
#define _LOAD_H_INCLUDED_


#define _GNU_SOURCE

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

#include <openssl/evp.h>


#define LOAD_MESSAGE_SIZE  1024
#define LOAD_ITEMS_MAX     64
#define LOAD_REQUEST_SIZE  (LOAD_MESSAGE_SIZE * (LOAD_ITEMS_MAX + 1))
#define LOAD_HEAD_SIZE     512
#define LOAD_RECV_SIZE     16384

#define LOAD_SECOND        1000000000ULL
#define LOAD_MSEC          1000000ULL

#define LOAD_SUB_BITS      7
#define LOAD_SUB           (1 << LOAD_SUB_BITS)
#define LOAD_BUCKETS       ((64 - LOAD_SUB_BITS + 1) * LOAD_SUB)

#define LOAD_STATUSES      1000
#define LOAD_SIGNS_SIZE    64


typedef struct {
    const char               *host;
    const char               *port;
    const char               *path;
    const char               *secret;
    const char               *method;
    const char               *ids;
    const char               *paths_name;
    const char               *bodies;
    const char               *scheme;
    const char               *acks_name;
    FILE                     *acks;
    uint64_t                  connections;
    uint64_t                  messages;
    uint64_t                  items;
    uint64_t                  presigned;
    uint64_t                  seed;
    uint64_t                  threads;
    uint64_t                  timeout;
    double                    seconds;
    double                    rate;
    double                    patience;
    unsigned                  expected;
    unsigned                  uuid:1;
    unsigned                  wamid:1;
    unsigned                  refused:1;
    unsigned                  get:1;
    unsigned                  standard:1;

    struct sockaddr_storage   addr;
    socklen_t                 addrlen;
} load_options_t;


typedef enum {
    LOAD_ID = 0,
    LOAD_FROM,
    LOAD_TO,
    LOAD_TS,
    LOAD_TEXT,
    LOAD_VALUES
} load_value_e;


typedef struct {
    u_char                   *data;
    size_t                    len;
} load_value_t;


/* a whole request; the byte after an appended body is a newline */

typedef struct {
    u_char                   *data;
    uint32_t                  len;
    uint32_t                  body;
} load_message_t;


typedef struct {
    const load_options_t     *options;
    EVP_MAC_CTX              *mac;
    uint64_t                  random;
    time_t                    day;
    char                      date[16];

    u_char                    head[LOAD_HEAD_SIZE];
    size_t                    head_len;
    size_t                    length_at;
    int                       digits;        /* of a length */
    size_t                    signature_at;
    char                      signs[LOAD_SIGNS_SIZE]; /* before the body */
    size_t                    signs_len;

    load_message_t           *ready;
    uint64_t                  ready_n;
    uint64_t                  ready_next;
    uint64_t                  live;
} load_source_t;


typedef enum {
    LOAD_HEAD = 0,
    LOAD_BODY,
    LOAD_BODY_TO_EOF,
    LOAD_CHUNK_SIZE,
    LOAD_CHUNK_DATA,
    LOAD_CHUNK_TRAILER
} load_response_state_e;


typedef struct {
    load_response_state_e     state;
    unsigned                  status;
    unsigned                  close:1;
    uint64_t                  left;
    uint64_t                  line;
    size_t                    have;
    u_char                    buf[LOAD_RECV_SIZE];
} load_response_t;


typedef struct load_conn_s  load_conn_t;


typedef struct {
    const load_options_t     *options;
    unsigned                  index;
    load_source_t             source;

    int                       epfd;
    load_conn_t              *conns;
    load_conn_t             **idle;
    uint64_t                  conns_n;
    uint64_t                  idle_head;
    uint64_t                  idle_n;
    uint64_t                  busy_n;

    uint64_t                  start;
    uint64_t                  end;
    uint64_t                  finish;
    uint64_t                  tick;
    uint64_t                  limit;
    uint64_t                  issued;

    uint64_t                  errors;
    uint64_t                  failed;
    uint64_t                  retries;
    uint64_t                  reconnects;
    uint64_t                  latency_max;
    uint64_t                  statuses[LOAD_STATUSES];
    uint64_t                  buckets[LOAD_BUCKETS];
} load_worker_t;


void load_body_init(load_source_t *s, const load_options_t *o,
    unsigned index);
u_char *load_body(load_source_t *s, u_char *p, load_value_t *values);
u_char *load_whatsapp(load_source_t *s, u_char *p);
u_char *load_put_digits(u_char *p, uint64_t value, int n);
u_char *load_put_hex(u_char *p, uint64_t value, int n);

int load_source_init(load_source_t *s, const load_options_t *o,
    unsigned index);
int load_source_presign(load_source_t *s, uint64_t n);
void load_source_next(load_source_t *s, load_message_t *m, u_char *buf);

int load_worker_connect(load_worker_t *w);
void load_worker_run(load_worker_t *w);

int load_response_parse(load_response_t *r);

void load_latency_record(load_worker_t *w, uint64_t value);


extern volatile sig_atomic_t  load_stop;


static inline uint64_t
load_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return ts.tv_sec * LOAD_SECOND + ts.tv_nsec;
}


#endif /* _LOAD_H_INCLUDED_ */

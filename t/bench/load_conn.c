
#include "load.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>


#define LOAD_EVENTS         256
#define LOAD_TICK           (20 * LOAD_MSEC)
#define LOAD_CONNECT_LIMIT  (5 * LOAD_SECOND)


typedef enum {
    LOAD_WAIT = 0,
    LOAD_CONNECT,
    LOAD_READY
} load_state_e;


struct load_conn_s {
    int                fd;
    load_state_e       state;

    unsigned           busy:1;
    unsigned           idle:1;
    unsigned           eof:1;
    unsigned           proven:1;

    uint64_t           start;
    uint64_t           first;
    uint64_t           due;

    uint32_t           sent;
    load_message_t     message;
    load_response_t    response;

    u_char             buf[LOAD_REQUEST_SIZE];
};


static void load_poll(load_worker_t *w, uint64_t now);
static uint64_t load_due(load_worker_t *w);
static int load_exhausted(load_worker_t *w, uint64_t now);
static void load_dispatch(load_worker_t *w, uint64_t now);
static void load_tick(load_worker_t *w, uint64_t now);
static void load_conn_open(load_worker_t *w, load_conn_t *c);
static void load_conn_event(load_worker_t *w, load_conn_t *c, uint32_t events);
static void load_conn_ready(load_worker_t *w, load_conn_t *c);
static void load_conn_send(load_worker_t *w, load_conn_t *c);
static void load_conn_recv(load_worker_t *w, load_conn_t *c);
static void load_conn_broken(load_worker_t *w, load_conn_t *c);
static void load_conn_drop(load_worker_t *w, load_conn_t *c, uint64_t wait);
static void load_conn_done(load_worker_t *w, load_conn_t *c);


/* connections are made, and made again, before the clock starts */

int
load_worker_connect(load_worker_t *w)
{
    uint64_t  i, now, limit;

    w->epfd = epoll_create1(0);
    w->conns = calloc(w->conns_n, sizeof(load_conn_t));
    w->idle = calloc(w->conns_n, sizeof(load_conn_t *));

    if (w->epfd == -1 || w->conns == NULL || w->idle == NULL) {
        return -1;
    }

    for (i = 0; i < w->conns_n; i++) {
        w->conns[i].fd = -1;
        load_conn_open(w, &w->conns[i]);
    }

    now = load_now();
    limit = now + LOAD_CONNECT_LIMIT;

    while (w->idle_n < w->conns_n) {

        if (now > limit || load_stop) {
            return -1;
        }

        load_poll(w, now);
        now = load_now();
    }

    w->failed = 0;
    w->reconnects = 0;

    return 0;
}


void
load_worker_run(load_worker_t *w)
{
    uint64_t  now;

    now = load_now();

    w->finish = now;

    for ( ;; ) {
        load_dispatch(w, now);

        if (w->busy_n == 0 && load_exhausted(w, now)) {
            return;
        }

        load_poll(w, now);
        now = load_now();
    }
}


static void
load_poll(load_worker_t *w, uint64_t now)
{
    int                    i, n;
    uint64_t               due, wait;
    struct timespec        ts;
    struct epoll_event     events[LOAD_EVENTS];
    const load_options_t  *o;

    o = w->options;
    wait = LOAD_TICK;

    if (o->rate && w->start && w->idle_n && !load_exhausted(w, now)) {
        due = load_due(w);
        wait = due <= now ? 0 : due - now < wait ? due - now : wait;
    }

    ts.tv_sec = 0;
    ts.tv_nsec = wait;

    n = epoll_pwait2(w->epfd, events, LOAD_EVENTS, &ts, NULL);

    for (i = 0; i < n; i++) {
        load_conn_event(w, events[i].data.ptr, events[i].events);

        if (w->idle_n && w->start && !o->rate) {
            load_dispatch(w, load_now());
        }
    }

    /* what the list lacks when the power is cut, nobody misses */

    if (n > 0 && o->acks) {
        fflush(o->acks);
    }

    if (now >= w->tick) {
        load_tick(w, now);
        w->tick = now + LOAD_TICK;
    }
}


static uint64_t
load_due(load_worker_t *w)
{
    uint64_t  n;

    n = w->issued * w->options->threads + w->index;

    return w->start + (uint64_t) (n * (LOAD_SECOND / w->options->rate));
}


static int
load_exhausted(load_worker_t *w, uint64_t now)
{
    return w->issued >= w->limit || now >= w->end || load_stop;
}


static void
load_dispatch(load_worker_t *w, uint64_t now)
{
    uint64_t               due;
    load_conn_t           *c;
    const load_options_t  *o;

    o = w->options;

    while (w->idle_n && !load_exhausted(w, now)) {

        due = now;

        if (o->rate) {
            due = load_due(w);

            if (due > now) {
                return;
            }
        }

        c = w->idle[w->idle_head];
        w->idle_head = (w->idle_head + 1) % w->conns_n;
        w->idle_n--;

        c->idle = 0;

        if (c->state != LOAD_READY) {

            /* closed while idle: it comes back by itself */

            continue;
        }

        w->issued++;
        w->busy_n++;

        load_source_next(&w->source, &c->message, c->buf);

        if (c->message.data == c->buf) {
            now = load_now();
        }

        c->busy = 1;
        c->start = o->rate ? due : now;
        c->first = now;
        c->sent = 0;

        load_conn_send(w, c);
    }
}


static void
load_tick(load_worker_t *w, uint64_t now)
{
    uint64_t      i;
    load_conn_t  *c;

    for (i = 0; i < w->conns_n; i++) {
        c = &w->conns[i];

        if (c->busy && now > c->first + w->options->timeout) {
            c->busy = 0;
            w->busy_n--;
            w->errors++;
            w->finish = now;

            load_conn_drop(w, c, 0);
        }

        if (c->state == LOAD_WAIT && now >= c->due) {
            load_conn_open(w, c);
        }
    }
}


static void
load_conn_open(load_worker_t *w, load_conn_t *c)
{
    int                  on;
    struct sockaddr     *sa;
    struct epoll_event   ev;

    c->fd = socket(w->options->addr.ss_family, SOCK_STREAM|SOCK_NONBLOCK, 0);

    if (c->fd == -1) {
        load_conn_drop(w, c, LOAD_TICK);
        return;
    }

    c->state = LOAD_CONNECT;
    c->eof = 0;
    c->proven = 0;

    c->response.state = LOAD_HEAD;
    c->response.have = 0;

    on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(int));

    ev.events = EPOLLIN|EPOLLOUT|EPOLLRDHUP|EPOLLET;
    ev.data.ptr = c;

    sa = (struct sockaddr *) &w->options->addr;

    if (epoll_ctl(w->epfd, EPOLL_CTL_ADD, c->fd, &ev) == -1
        || (connect(c->fd, sa, w->options->addrlen) == -1
            && errno != EINPROGRESS))
    {
        load_conn_broken(w, c);
    }
}


static void
load_conn_event(load_worker_t *w, load_conn_t *c, uint32_t events)
{
    if (c->state == LOAD_WAIT) {
        return;
    }

    if (events & (EPOLLRDHUP|EPOLLHUP|EPOLLERR)) {
        c->eof = 1;
    }

    if (c->state == LOAD_CONNECT) {

        if (c->eof) {
            load_conn_broken(w, c);

        } else if (events & EPOLLOUT) {
            load_conn_ready(w, c);
        }

        return;
    }

    if (c->busy && c->sent < c->message.len) {
        load_conn_send(w, c);

        if (c->state != LOAD_READY) {
            return;
        }
    }

    if (events & EPOLLIN || c->eof) {
        load_conn_recv(w, c);
    }
}


static void
load_conn_ready(load_worker_t *w, load_conn_t *c)
{
    c->state = LOAD_READY;

    if (c->busy) {
        w->retries++;
        c->sent = 0;
        load_conn_send(w, c);
        return;
    }

    if (!c->idle) {
        c->idle = 1;
        w->idle[(w->idle_head + w->idle_n++) % w->conns_n] = c;
    }
}


static void
load_conn_send(load_worker_t *w, load_conn_t *c)
{
    ssize_t  n;

    n = send(c->fd, c->message.data + c->sent, c->message.len - c->sent,
             MSG_NOSIGNAL);

    if (n == -1) {
        if (errno != EAGAIN && errno != EINTR) {
            load_conn_broken(w, c);
        }

        return;
    }

    c->sent += n;
}


static void
load_conn_recv(load_worker_t *w, load_conn_t *c)
{
    int               rc;
    size_t            room;
    ssize_t           n;
    load_response_t  *r;

    r = &c->response;

    for ( ;; ) {
        room = LOAD_RECV_SIZE - r->have;
        n = recv(c->fd, r->buf + r->have, room, 0);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == -1 && errno == EAGAIN) {
            return;
        }

        if (n == 0 && c->busy && r->state == LOAD_BODY_TO_EOF) {
            load_conn_done(w, c);
            return;
        }

        /* bytes that nobody asked for break a connection as well */

        if (n <= 0 || !c->busy) {
            load_conn_broken(w, c);
            return;
        }

        r->have += n;

        rc = load_response_parse(r);

        if (rc < 0) {
            load_conn_broken(w, c);
            return;
        }

        if (rc > 0) {
            load_conn_done(w, c);
            return;
        }

        /* edge-triggered: a short read has emptied the socket */

        if ((size_t) n < room && !c->eof) {
            return;
        }
    }
}


/*
 * A keep-alive connection that had answered is reopened at once, any other
 * a little later, and has failed; the message it carried is sent again.
 */

static void
load_conn_broken(load_worker_t *w, load_conn_t *c)
{
    w->failed += !c->proven;

    load_conn_drop(w, c, c->proven ? 0 : LOAD_TICK);
}


static void
load_conn_drop(load_worker_t *w, load_conn_t *c, uint64_t wait)
{
    if (c->fd != -1) {
        close(c->fd);
        c->fd = -1;
        w->reconnects++;
    }

    c->state = LOAD_WAIT;

    if (wait) {
        c->due = load_now() + wait;
        return;
    }

    load_conn_open(w, c);
}


static void
load_conn_done(load_worker_t *w, load_conn_t *c)
{
    uint64_t          now;
    load_message_t   *m;
    load_response_t  *r;

    now = load_now();
    m = &c->message;
    r = &c->response;

    w->statuses[r->status]++;
    w->finish = now;
    w->busy_n--;

    if (r->status == w->options->expected) {
        load_latency_record(w, now - c->start);

        if (w->options->acks && m->body < m->len) {
            fwrite(m->data + m->body, m->len - m->body + 1, 1,
                   w->options->acks);
        }
    }

    c->busy = 0;
    c->proven = 1;

    r->state = LOAD_HEAD;
    r->have = 0;

    if (r->close || c->eof) {
        load_conn_drop(w, c, 0);
        return;
    }

    load_conn_ready(w, c);
}

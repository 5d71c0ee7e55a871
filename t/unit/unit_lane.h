/* A lane, and a backend that plays what it is told to. */

#ifndef _UNIT_LANE_H_INCLUDED_
#define _UNIT_LANE_H_INCLUDED_


#include "unit.h"

#include <ngx_lyftr_channel.h>


#define TEST_OPS       4
#define TEST_MESSAGES  3
#define TEST_WORKERS   3
#define TEST_RING      8192


static ngx_lyftr_channel_t  channel;
static ngx_lyftr_lane_t     lane;
static ngx_lyftr_seat_t     seat;
static ngx_lyftr_store_t    store;
static ngx_lyftr_status_t   status;
static ngx_lyftr_op_t       ops[TEST_OPS];
static ngx_lyftr_message_t  messages[TEST_OPS][TEST_MESSAGES];
static ngx_lyftr_write_t   *writes[TEST_OPS];

/* the turn() that declines, and how the others fare */
static ngx_lyftr_err_e      declined;
static ngx_uint_t           begin_at;
static ngx_uint_t           nbegin;
static ngx_uint_t           expires;       /* what is pending, meanwhile */
static ngx_lyftr_err_e      check_err;
static ngx_int_t            check_rc;
static ngx_lyftr_check_t    check_out;
static ngx_uint_t           ncheck;
static ngx_uint_t           check_begin;
static ngx_msec_t           busy_msec;
static ngx_int_t            housekeep_rc;
static ngx_lyftr_err_e      housekeep_err;
static ngx_uint_t           nhousekeep;

/* how a probe fares, its calls, and if the last one was to write */
static ngx_int_t            probe_rc;
static ngx_lyftr_err_e      probe_err;
static ngx_uint_t           nprobes;
static ngx_uint_t           probe_write;
static ngx_uint_t           open_flags;
static ngx_lyftr_err_e      open_err;
static ngx_int_t            adopted;
static ngx_lyftr_err_e      commit_err;
static ngx_uint_t           nclosed;

/* of the writer */
static ngx_uint_t           begun;         /* it has its turn */
static ngx_uint_t           stored;        /* rows, */
static ngx_uint_t           nwrites;       /* in so many transactions */
static u_char               test_large[1], test_fails[1], test_known[1];
static u_char              *test_large_id, *test_known_id;

/* what workers share: their rings, and who leads */
static uint64_t             test_rings[TEST_WORKERS]
                                      [ngx_lyftr_ring_memory(TEST_RING) / 8];
static ngx_int_t            test_led;
static ngx_uint_t           test_left, test_slept, test_woken[TEST_WORKERS];


ngx_int_t
ngx_thread_mutex_lock(ngx_thread_mutex_t *mtx, ngx_log_t *log)
{
    return NGX_OK;
}


ngx_int_t
ngx_thread_mutex_unlock(ngx_thread_mutex_t *mtx, ngx_log_t *log)
{
    return NGX_OK;
}


/* what the event loop has */

static ngx_log_t       test_log;
static ngx_cycle_t     test_cycle = { .log = &test_log };
static ngx_time_t      test_now;
volatile ngx_cycle_t  *ngx_cycle = &test_cycle;
volatile ngx_msec_t    ngx_current_msec;
volatile ngx_time_t   *ngx_cached_time = &test_now;
ngx_uint_t             ngx_worker;


void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    return malloc(size);
}


void *
ngx_calloc(size_t size, ngx_log_t *log)
{
    return calloc(1, size);
}


void
ngx_lyftr_share_ring(ngx_lyftr_share_t *share, ngx_uint_t worker,
    ngx_lyftr_ring_t *ring)
{
    ngx_lyftr_ring_init(ring, test_rings[worker], share->size);
}


ngx_int_t
ngx_lyftr_share_lead(ngx_lyftr_share_t *share)
{
    return test_led;
}


void
ngx_lyftr_share_leave(ngx_lyftr_share_t *share)
{
    test_left++;
}


void
ngx_lyftr_share_drowse(ngx_lyftr_share_t *share)
{
}


void
ngx_lyftr_share_sleep(ngx_lyftr_share_t *share, ngx_msec_t msec)
{
    test_slept++;
    (void) usleep(msec * 1000);
}


void
ngx_lyftr_share_wake(ngx_lyftr_share_t *share, ngx_uint_t worker)
{
    test_woken[worker]++;
}


#if (NGX_HAVE_VARIADIC_MACROS)

void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
}

#endif


u_char *
ngx_sprintf(u_char *buf, const char *fmt, ...)
{
    return buf;
}


static void *
test_open(void *dsn, ngx_uint_t flags, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    open_flags = flags;
    err->code = open_err;

    return open_err ? NULL : &stored;
}


static void
test_close(void *conn)
{
    nclosed++;
}


static ngx_int_t
test_turn(void *conn, ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    begun = 1;

    if (expires) {
        ngx_queue_init(&channel.pending);
        channel.npending = 0;
    }

    if (++nbegin == begin_at) {
        err->code = declined;
        begun = 0;
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_uint_t
test_is(ngx_lyftr_message_t *m, u_char *id)
{
    return id && m->message_id.len == 1 && m->message_id.data[0] == *id;
}


/*
 * The text of a message says what becomes of it: it is too much, the store
 * fails, or the id is known.  All of that is told with the commit only.
 */

static ngx_int_t
test_write(void *conn, ngx_lyftr_batch_t *batch, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_uint_t            i, n, rows;
    ngx_lyftr_message_t  *m;

    assert_int_equal(begun, 1);

    (void) usleep(busy_msec * 1000);

    begun = 0;
    rows = 0;
    err->code = NGX_LYFTR_ERR_NONE;

    for (i = 0; i < batch->n; i++) {
        for (n = 0; n < batch->writes[i]->n; n++) {
            m = &batch->writes[i]->messages[n];

            if (m->text.data == test_large
                || test_is(m, test_large_id))
            {
                err->code = NGX_LYFTR_ERR_DATA;

            } else if (m->text.data == test_fails) {
                err->code = NGX_LYFTR_ERR_FAILED;
            }

            m->known = (m->text.data == test_known
                        || test_is(m, test_known_id));
            rows += !m->known;
        }
    }

    if (err->code == NGX_LYFTR_ERR_NONE) {
        err->code = commit_err;
    }

    if (err->code) {
        return NGX_ERROR;
    }

    batch->usec = 1000;
    stored += rows;
    nwrites++;

    return NGX_OK;
}


static void
test_end(void *conn)
{
    begun = 0;
}


static ngx_int_t
test_housekeep(void *conn, ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    (void) usleep(busy_msec * 1000);

    nhousekeep++;
    err->code = housekeep_err;

    return housekeep_rc;
}


static void
test_gauges(void *conn, ngx_lyftr_gauges_t *gauges)
{
    ngx_memset(gauges, 0, sizeof(ngx_lyftr_gauges_t));

    gauges->rows = 7;
    gauges->adopted = adopted;
}


static ngx_int_t
test_check(void *conn, ngx_lyftr_check_t *check, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    (void) usleep(busy_msec * 1000);

    ncheck++;
    check_begin = check->begin;
    err->code = check_err;

    check->read = check_out.read;
    check->size = check_out.size;
    check->damaged = check_out.damaged;
    check->again = check_out.again;
    check->active = (check_err == NGX_LYFTR_ERR_NONE && check_rc == NGX_OK);

    return check_err ? NGX_ERROR : check_rc;
}


static ngx_int_t
test_probe(void *conn, ngx_uint_t write, ngx_lyftr_error_t *err)
{
    nprobes++;
    probe_write = write;
    err->code = probe_err;

    return probe_rc;
}


static ngx_lyftr_backend_t  backend = {
    .open = test_open,
    .close = test_close,
    .turn = test_turn,
    .write = test_write,
    .end = test_end,
    .probe = test_probe,
    .housekeep = test_housekeep,
    .gauges = test_gauges,
    .check = test_check
};


static ngx_inline int
test_setup(void **state)
{
    ngx_uint_t  i;

    ngx_memzero(&channel, sizeof(channel));
    ngx_memzero(&lane, sizeof(lane));
    ngx_memzero(&seat, sizeof(seat));
    ngx_memzero(&store, sizeof(store));
    ngx_memzero(&status, sizeof(status));
    ngx_memzero(ops, sizeof(ops));
    ngx_memzero(messages, sizeof(messages));

    store.backend = &backend;
    store.status = &status;
    store.timeout = 4000;
    store.check = 24 * 3600 * 1000;
    store.dsn_hash = 1;
    store.keeper = 1;
    status.opened = 1;

    channel.store = &store;
    channel.batch = TEST_OPS;
    channel.timeout = 4000;
    channel.lanes = &lane;
    channel.nlanes = 1;
    ngx_queue_init(&channel.pending);

    lane.channel = &channel;
    lane.seat = &seat;
    lane.writes = writes;
    ngx_queue_init(&lane.batch);

    for (i = 0; i < TEST_OPS; i++) {
        ops[i].write.messages = messages[i];
        ops[i].write.n = 1;
        ops[i].deadline = ngx_lyftr_clock() + 4000;
        ngx_queue_insert_tail(&channel.pending, &ops[i].queue);
        channel.npending++;
    }

    declined = NGX_LYFTR_ERR_BUSY;
    begin_at = 0;
    nbegin = 0;
    expires = 0;
    begun = 0;
    check_err = NGX_LYFTR_ERR_NONE;
    check_rc = NGX_OK;
    ngx_memzero(&check_out, sizeof(check_out));
    ncheck = 0;
    busy_msec = 0;
    housekeep_rc = NGX_DECLINED;
    housekeep_err = NGX_LYFTR_ERR_BUSY;
    nhousekeep = 0;
    probe_rc = NGX_OK;
    probe_err = NGX_LYFTR_ERR_NONE;
    nprobes = 0;
    open_flags = 0;
    open_err = NGX_LYFTR_ERR_NONE;
    adopted = -1;
    commit_err = NGX_LYFTR_ERR_NONE;
    nclosed = 0;
    stored = 0;
    nwrites = 0;
    test_large_id = NULL;
    test_known_id = NULL;

    return 0;
}


static ngx_inline void
test_thread(void)
{
    ngx_lyftr_lane_t  *p = &lane;

    ngx_lyftr_thread_handler(&p, NULL);
}


#endif /* _UNIT_LANE_H_INCLUDED_ */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_ring.h>


/* of the strings of a message, one that is null */
#define NGX_LYFTR_RING_NULL        UINT32_MAX

#define NGX_LYFTR_RING_FACTOR      0x9e3779b97f4a7c15

/* what an answer is, by its sum */
#define NGX_LYFTR_RING_STORED      1
#define NGX_LYFTR_RING_KNOWN       2
#define NGX_LYFTR_RING_FAILED      0x100   /* and the error */


/*
 * An entry: this; a word for each message that is its row, and one that is its
 * answer; the messages, and their strings.  Without messages it only fills the
 * ring up to its end, and is no longer than len and n.
 */

typedef struct {
    uint32_t                      len;           /* a multiple of eight */
    uint32_t                      n;
    uint64_t                      sum;           /* of what the owner wrote */
    int64_t                       since;
    int64_t                       arrived;
    uint64_t                      state;         /* see below */
} ngx_lyftr_ring_head_t;


/* once one of them has said so, the other one has to do without it */

#define NGX_LYFTR_RING_WAITING     0
#define NGX_LYFTR_RING_TAKEN       1             /* by a leader, or more */
#define NGX_LYFTR_RING_WITHDRAWN   2             /* by the owner */


#define NGX_LYFTR_RING_STRINGS     7

typedef struct {
    uint32_t                      len[NGX_LYFTR_RING_STRINGS];
    uint32_t                      instant_len;
    u_char                        instant[16];
} ngx_lyftr_ring_message_t;


#define ngx_lyftr_ring_fixed(n)                                               \
    (sizeof(ngx_lyftr_ring_head_t)                                            \
     + (n) * (2 * sizeof(uint64_t) + sizeof(ngx_lyftr_ring_message_t)))

#define ngx_lyftr_ring_at(ring, pos)                                          \
    ((ring)->data + ((pos) & ((ring)->size - 1)))

#define ngx_lyftr_ring_string(m, i)                                           \
    ((ngx_str_t *) ((u_char *) (m) + ngx_lyftr_ring_strings[i]))


static size_t ngx_lyftr_ring_len(ngx_lyftr_ring_t *ring,
    ngx_lyftr_write_t *write);
static void ngx_lyftr_ring_fill(ngx_lyftr_ring_t *ring, size_t len);
static uint64_t ngx_lyftr_ring_claim(ngx_lyftr_ring_t *ring, uint64_t pos,
    uint64_t state);
static uint64_t *ngx_lyftr_ring_words(ngx_lyftr_ring_t *ring, uint64_t pos);
static uint64_t ngx_lyftr_ring_sum(u_char *entry, size_t len, ngx_uint_t n,
    uint64_t pos);
static uint64_t ngx_lyftr_ring_mix(uint64_t sum, u_char *p, size_t len);
static ngx_int_t ngx_lyftr_ring_head(ngx_lyftr_ring_t *ring,
    ngx_lyftr_ring_head_t *head);
static ngx_int_t ngx_lyftr_ring_messages(u_char *entry, size_t len,
    ngx_uint_t n, ngx_lyftr_message_t *messages);


/* all that a delivery may have; created_at is of a row that is read */

static const size_t  ngx_lyftr_ring_strings[] = {
    offsetof(ngx_lyftr_message_t, message_id),
    offsetof(ngx_lyftr_message_t, from),
    offsetof(ngx_lyftr_message_t, to),
    offsetof(ngx_lyftr_message_t, ts),
    offsetof(ngx_lyftr_message_t, text),
    offsetof(ngx_lyftr_message_t, type),
    offsetof(ngx_lyftr_message_t, raw)
};

_Static_assert(sizeof(ngx_lyftr_message_t)
               == (NGX_LYFTR_RING_STRINGS + 1) * sizeof(ngx_str_t)
                  + sizeof(ngx_lyftr_instant_t) + sizeof(ngx_uint_t),
               "a member of a message that is not copied");


void
ngx_lyftr_ring_init(ngx_lyftr_ring_t *ring, void *memory, size_t size)
{
    ring->words = memory;
    ring->data = (u_char *) memory + sizeof(ngx_lyftr_ring_words_t);
    ring->size = size;
    ring->tail = 0;
    ring->done = 0;
}


void
ngx_lyftr_ring_adopt(ngx_lyftr_ring_t *ring)
{
    ring->tail = __atomic_load_n(&ring->words->tail, __ATOMIC_ACQUIRE);
    ring->done = __atomic_load_n(&ring->words->done, __ATOMIC_ACQUIRE);

    if (ring->tail % 8 || ring->done % 8
        || ring->tail - ring->done > ring->size
        || __atomic_load_n(&ring->words->refused, __ATOMIC_ACQUIRE))
    {
        ngx_lyftr_ring_reset(ring);
    }

    __atomic_store_n(&ring->words->woken, 0, __ATOMIC_SEQ_CST);
}


/*
 * A leader that is at work has the tail, and the entries, as they were: it is
 * kept away until it is told that there is nothing, and what it still writes is
 * no answer to what comes then, for that begins a ring's length later.
 */

void
ngx_lyftr_ring_reset(ngx_lyftr_ring_t *ring)
{
    __atomic_store_n(&ring->words->refused, 1, __ATOMIC_SEQ_CST);

    ring->tail = (ring->tail & ~(uint64_t) (ring->size - 1)) + 2 * ring->size;
    ring->done = ring->tail;

    __atomic_store_n(&ring->words->done, ring->done, __ATOMIC_SEQ_CST);
    __atomic_store_n(&ring->words->tail, ring->tail, __ATOMIC_SEQ_CST);
    __atomic_store_n(&ring->words->woken, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&ring->words->refused, 0, __ATOMIC_SEQ_CST);
}


/* 0: too much for an entry */

static size_t
ngx_lyftr_ring_len(ngx_lyftr_ring_t *ring, ngx_lyftr_write_t *write)
{
    size_t      len, max;
    ngx_str_t  *s;
    ngx_uint_t  n, i;

    if (write->n == 0 || write->n > NGX_LYFTR_RING_MESSAGES) {
        return 0;
    }

    max = ring->size / 8;
    len = ngx_lyftr_ring_fixed(write->n);

    for (n = 0; n < write->n; n++) {
        for (i = 0; i < NGX_LYFTR_RING_STRINGS; i++) {
            s = ngx_lyftr_ring_string(&write->messages[n], i);

            if (s->data && s->len > max) {
                return 0;
            }

            len += s->data ? s->len : 0;
        }
    }

    len = ngx_align(len, 8);

    return len <= max ? len : 0;
}


ngx_int_t
ngx_lyftr_ring_put(ngx_lyftr_ring_t *ring, ngx_lyftr_write_t *write,
    int64_t since, int64_t arrived, ngx_lyftr_ticket_t *ticket)
{
    u_char                    *entry, *p;
    size_t                     len, left;
    ngx_str_t                 *s;
    ngx_uint_t                 n, i;
    ngx_lyftr_message_t       *m;
    ngx_lyftr_ring_head_t     *head;
    ngx_lyftr_ring_message_t  *to;

    len = ngx_lyftr_ring_len(ring, write);
    left = ring->size - (ring->tail & (ring->size - 1));

    if (len == 0
        || ring->tail + len + (left < len ? left : 0) - ring->done
           > ring->size)
    {
        return NGX_DECLINED;
    }

    if (left < len) {
        ngx_lyftr_ring_fill(ring, left);
    }

    entry = ngx_lyftr_ring_at(ring, ring->tail);

    head = (ngx_lyftr_ring_head_t *) entry;
    head->len = len;
    head->n = write->n;
    head->since = since;
    head->arrived = arrived;
    head->state = NGX_LYFTR_RING_WAITING;

    ngx_memzero(ngx_lyftr_ring_words(ring, ring->tail),
                write->n * 2 * sizeof(uint64_t));

    to = (ngx_lyftr_ring_message_t *)
             (ngx_lyftr_ring_words(ring, ring->tail) + 2 * write->n);
    p = (u_char *) (to + write->n);

    for (n = 0; n < write->n; n++, to++) {
        m = &write->messages[n];

        for (i = 0; i < NGX_LYFTR_RING_STRINGS; i++) {
            s = ngx_lyftr_ring_string(m, i);
            to->len[i] = s->data ? s->len : NGX_LYFTR_RING_NULL;

            if (s->data) {
                p = ngx_cpymem(p, s->data, s->len);
            }
        }

        to->instant_len = m->instant.len;

        ngx_memzero(to->instant, sizeof(to->instant));
        ngx_memcpy(to->instant, m->instant.data, m->instant.len);
    }

    ngx_memzero(p, entry + len - p);

    head->sum = ngx_lyftr_ring_sum(entry, len, write->n, ring->tail);

    ticket->pos = ring->tail;
    ticket->end = ring->tail + len;
    ticket->sum = head->sum;

    ring->tail += len;

    /* who sees it there sees the entry; who sleeps is looked for after this */

    __atomic_store_n(&ring->words->tail, ring->tail, __ATOMIC_SEQ_CST);

    return NGX_OK;
}


static void
ngx_lyftr_ring_fill(ngx_lyftr_ring_t *ring, size_t len)
{
    uint32_t  *p;

    p = (uint32_t *) ngx_lyftr_ring_at(ring, ring->tail);

    p[0] = len;
    p[1] = 0;

    ring->tail += len;
}


ngx_int_t
ngx_lyftr_ring_look(ngx_lyftr_ring_t *ring)
{
    uint64_t  done;

    /* what is answered from now on wakes the owner again */

    __atomic_store_n(&ring->words->woken, 0, __ATOMIC_SEQ_CST);

    done = __atomic_load_n(&ring->words->done, __ATOMIC_SEQ_CST);

    if (done % 8
        || done - ring->done > ring->tail - ring->done
        || __atomic_load_n(&ring->words->tail, __ATOMIC_RELAXED) != ring->tail
        || __atomic_load_n(&ring->words->refused, __ATOMIC_SEQ_CST))
    {
        return NGX_ERROR;
    }

    ring->done = done;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_ring_withdraw(ngx_lyftr_ring_t *ring, ngx_lyftr_ticket_t *ticket)
{
    return ngx_lyftr_ring_claim(ring, ticket->pos, NGX_LYFTR_RING_WITHDRAWN)
           == NGX_LYFTR_RING_WITHDRAWN
           ? NGX_OK : NGX_DECLINED;
}


/* the state that the entry has then */

static uint64_t
ngx_lyftr_ring_claim(ngx_lyftr_ring_t *ring, uint64_t pos, uint64_t state)
{
    uint64_t                is;
    ngx_lyftr_ring_head_t  *head;

    head = (ngx_lyftr_ring_head_t *) ngx_lyftr_ring_at(ring, pos);
    is = NGX_LYFTR_RING_WAITING;

    if (__atomic_compare_exchange_n(&head->state, &is, state, 0,
                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    {
        return state;
    }

    return is;
}


ngx_int_t
ngx_lyftr_ring_answer(ngx_lyftr_ring_t *ring, ngx_lyftr_ticket_t *ticket,
    ngx_lyftr_write_t *write, ngx_lyftr_err_e *error)
{
    uint64_t    *words, answer;
    ngx_uint_t   n;

    words = ngx_lyftr_ring_words(ring, ticket->pos) + write->n;

    for (n = 0; n < write->n; n++) {
        answer = words[n] ^ (ticket->sum + n);

        if (answer > NGX_LYFTR_RING_FAILED
            && answer < NGX_LYFTR_RING_FAILED + NGX_LYFTR_ERRS)
        {
            *error = answer - NGX_LYFTR_RING_FAILED;
            return NGX_DECLINED;
        }

        if (answer != NGX_LYFTR_RING_STORED
            && answer != NGX_LYFTR_RING_KNOWN)
        {
            return NGX_ERROR;
        }

        write->messages[n].known = (answer == NGX_LYFTR_RING_KNOWN);
    }

    return NGX_OK;
}


static uint64_t *
ngx_lyftr_ring_words(ngx_lyftr_ring_t *ring, uint64_t pos)
{
    return (uint64_t *) (ngx_lyftr_ring_at(ring, pos)
                         + sizeof(ngx_lyftr_ring_head_t));
}


/* all but the sum itself, and the words that the leader writes */

static uint64_t
ngx_lyftr_ring_sum(u_char *entry, size_t len, ngx_uint_t n, uint64_t pos)
{
    size_t    words;
    uint64_t  sum;

    words = n * 2 * sizeof(uint64_t);

    sum = ngx_lyftr_ring_mix(pos, entry,
                             offsetof(ngx_lyftr_ring_head_t, sum));
    sum = ngx_lyftr_ring_mix(sum,
                             entry + offsetof(ngx_lyftr_ring_head_t, since),
                             2 * sizeof(int64_t));

    return ngx_lyftr_ring_mix(sum,
                              entry + sizeof(ngx_lyftr_ring_head_t) + words,
                              len - sizeof(ngx_lyftr_ring_head_t) - words);
}


static uint64_t
ngx_lyftr_ring_mix(uint64_t sum, u_char *p, size_t len)
{
    uint64_t  word;

    for ( /* void */ ; len; len -= sizeof(word), p += sizeof(word)) {
        ngx_memcpy(&word, p, sizeof(word));

        sum = (sum ^ word) * NGX_LYFTR_RING_FACTOR;
        sum ^= sum >> 32;
    }

    return sum;
}


ngx_uint_t
ngx_lyftr_ring_waits(ngx_lyftr_ring_t *ring)
{
    return __atomic_load_n(&ring->words->tail, __ATOMIC_SEQ_CST)
           != __atomic_load_n(&ring->words->done, __ATOMIC_RELAXED)
           && !__atomic_load_n(&ring->words->refused, __ATOMIC_RELAXED);
}


ngx_int_t
ngx_lyftr_ring_begin(ngx_lyftr_ring_t *ring)
{
    ring->done = __atomic_load_n(&ring->words->done, __ATOMIC_ACQUIRE);
    ring->tail = __atomic_load_n(&ring->words->tail, __ATOMIC_ACQUIRE);

    return (ring->done % 8
            || ring->tail % 8
            || ring->tail - ring->done > ring->size)
           ? NGX_ERROR : NGX_OK;
}


ngx_int_t
ngx_lyftr_ring_take(ngx_lyftr_ring_t *ring, u_char **p, u_char *last,
    ngx_lyftr_message_t *messages, ngx_uint_t max,
    ngx_lyftr_ring_entry_t *entry)
{
    u_char                 *copy;
    ngx_int_t               rc;
    ngx_lyftr_ring_head_t   head;

    rc = ngx_lyftr_ring_head(ring, &head);

    while (rc == NGX_OK && head.state == NGX_LYFTR_RING_WITHDRAWN) {
        ring->done += head.len;
        rc = ngx_lyftr_ring_head(ring, &head);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (head.n > max || head.len > (size_t) (last - *p)) {
        return NGX_DECLINED;
    }

    /* once it is a copy, nobody else writes to it */

    copy = *p;

    ngx_memcpy(copy, ngx_lyftr_ring_at(ring, ring->done), head.len);

    if (ngx_memcmp(copy, &head, offsetof(ngx_lyftr_ring_head_t, state)) != 0
        || ngx_lyftr_ring_sum(copy, head.len, head.n, ring->done) != head.sum
        || ngx_lyftr_ring_messages(copy, head.len, head.n, messages) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_lyftr_ring_claim(ring, ring->done, NGX_LYFTR_RING_TAKEN)
        == NGX_LYFTR_RING_WITHDRAWN)
    {
        ring->done += head.len;
        return ngx_lyftr_ring_take(ring, p, last, messages, max, entry);
    }

    *p += head.len;

    entry->ticket.pos = ring->done;
    entry->ticket.end = ring->done + head.len;
    entry->ticket.sum = head.sum;
    entry->since = head.since;
    entry->arrived = head.arrived;
    entry->write.messages = messages;
    entry->write.n = head.n;
    entry->write.rows = ngx_lyftr_ring_words(ring, ring->done);

    ring->done += head.len;

    return NGX_OK;
}


/* that of the next entry, after what only fills the ring */

static ngx_int_t
ngx_lyftr_ring_head(ngx_lyftr_ring_t *ring, ngx_lyftr_ring_head_t *head)
{
    u_char    *p;
    size_t     left;
    uint32_t   fill[2];

    for ( ;; ) {

        if (ring->done == ring->tail) {
            return NGX_DONE;
        }

        p = ngx_lyftr_ring_at(ring, ring->done);
        left = ring->data + ring->size - p;

        ngx_memcpy(fill, p, sizeof(fill));

        if (fill[1] != 0) {
            break;
        }

        if (fill[0] != left || left >= ring->tail - ring->done) {
            return NGX_ERROR;
        }

        ring->done += left;
    }

    if (left < sizeof(ngx_lyftr_ring_head_t)) {
        return NGX_ERROR;
    }

    ngx_memcpy(head, p, sizeof(ngx_lyftr_ring_head_t));

    if (head->n == 0
        || head->n > NGX_LYFTR_RING_MESSAGES
        || head->len % 8
        || head->len < ngx_lyftr_ring_fixed(head->n)
        || head->len > ngx_min(left, ring->size / 8)
        || head->len > ring->tail - ring->done)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_ring_messages(u_char *entry, size_t len, ngx_uint_t n,
    ngx_lyftr_message_t *messages)
{
    u_char                    *p, *last;
    ngx_str_t                 *s;
    ngx_uint_t                 i;
    ngx_lyftr_message_t       *m;
    ngx_lyftr_ring_message_t  *from;

    from = (ngx_lyftr_ring_message_t *)
               (entry + sizeof(ngx_lyftr_ring_head_t)
                + n * 2 * sizeof(uint64_t));
    p = (u_char *) (from + n);
    last = entry + len;

    for (m = messages; n; n--, m++, from++) {
        ngx_memzero(m, sizeof(ngx_lyftr_message_t));

        for (i = 0; i < NGX_LYFTR_RING_STRINGS; i++) {
            s = ngx_lyftr_ring_string(m, i);

            if (from->len[i] == NGX_LYFTR_RING_NULL) {
                continue;
            }

            if (from->len[i] > (size_t) (last - p)) {
                return NGX_ERROR;
            }

            s->len = from->len[i];
            s->data = p;
            p += s->len;
        }

        if (from->instant_len > sizeof(m->instant.data)) {
            return NGX_ERROR;
        }

        m->instant.len = from->instant_len;
        ngx_memcpy(m->instant.data, from->instant, m->instant.len);
    }

    return last - p < 8 ? NGX_OK : NGX_ERROR;
}


void
ngx_lyftr_ring_reply(ngx_lyftr_ring_t *ring, ngx_lyftr_ring_entry_t *entry,
    ngx_lyftr_err_e error)
{
    uint64_t    *words, answer;
    ngx_uint_t   n;

    words = ngx_lyftr_ring_words(ring, entry->ticket.pos) + entry->write.n;

    for (n = 0; n < entry->write.n; n++) {

        if (error != NGX_LYFTR_ERR_NONE) {
            answer = NGX_LYFTR_RING_FAILED + error;

        } else {
            answer = entry->write.messages[n].known ? NGX_LYFTR_RING_KNOWN
                                                    : NGX_LYFTR_RING_STORED;
        }

        words[n] = answer ^ (entry->ticket.sum + n);
    }
}


ngx_uint_t
ngx_lyftr_ring_end(ngx_lyftr_ring_t *ring)
{
    if (__atomic_load_n(&ring->words->refused, __ATOMIC_SEQ_CST)
        || ring->done == __atomic_load_n(&ring->words->done, __ATOMIC_RELAXED))
    {
        return 0;
    }

    __atomic_store_n(&ring->words->done, ring->done, __ATOMIC_SEQ_CST);

    return __atomic_exchange_n(&ring->words->woken, 1, __ATOMIC_SEQ_CST) == 0;
}


void
ngx_lyftr_ring_refuse(ngx_lyftr_ring_t *ring)
{
    __atomic_store_n(&ring->words->refused, 1, __ATOMIC_SEQ_CST);
}

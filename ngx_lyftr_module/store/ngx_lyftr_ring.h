/*
 * Messages on their way from a worker process to the one that commits for all,
 * in memory that both have.  The owner of a ring appends entries, and whoever
 * leads answers them in their order, where they are.  Either of them may be
 * killed at any time, and neither believes what it finds there: whatever does
 * not fit, or has another sum, is NGX_ERROR, and nothing is read that is not
 * in the ring.
 */


#ifndef _NGX_LYFTR_RING_H_INCLUDED_
#define _NGX_LYFTR_RING_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_backend.h>


/* messages of an entry, at the most; an entry takes an eighth of its ring */
#define NGX_LYFTR_RING_MESSAGES    64


/* positions are bytes since the ring was made, and each has its writer */

typedef struct {
    uint64_t                      tail;          /* the owner's */
    uint64_t                      refused;       /* see below */
    u_char                        line[64 - 2 * sizeof(uint64_t)];

    uint64_t                      done;          /* the leader's */
    uint64_t                      woken;         /* and the owner's */
    u_char                        another[64 - 2 * sizeof(uint64_t)];
} ngx_lyftr_ring_words_t;


typedef struct {
    ngx_lyftr_ring_words_t       *words;
    u_char                       *data;
    size_t                        size;          /* of it, a power of two */
    uint64_t                      tail;          /* of what the user knows */
    uint64_t                      done;
} ngx_lyftr_ring_t;


/* where an entry is, and by which sum its answers are known */

typedef struct {
    uint64_t                      pos;
    uint64_t                      end;
    uint64_t                      sum;
} ngx_lyftr_ticket_t;


/* an entry that a leader has taken, with copies of its strings */

typedef struct {
    ngx_lyftr_ticket_t            ticket;
    ngx_lyftr_write_t             write;
    int64_t                       since;
    int64_t                       arrived;
} ngx_lyftr_ring_entry_t;


/* the memory that a ring with so many bytes of data has */
#define ngx_lyftr_ring_memory(size)                                           \
    (sizeof(ngx_lyftr_ring_words_t) + (size))

/* a ring in this memory, as either side sees it */
void ngx_lyftr_ring_init(ngx_lyftr_ring_t *ring, void *memory, size_t size);


/* of the owner */

/*
 * Takes the ring over from a process that had it before: nobody waits for what
 * that one has left there, which is stored all the same.
 */
void ngx_lyftr_ring_adopt(ngx_lyftr_ring_t *ring);

/* begins anew, after NGX_ERROR or when the leader has refused the ring */
void ngx_lyftr_ring_reset(ngx_lyftr_ring_t *ring);

/* NGX_DECLINED: it has no room for so much, now or ever */
ngx_int_t ngx_lyftr_ring_put(ngx_lyftr_ring_t *ring, ngx_lyftr_write_t *write,
    int64_t since, int64_t arrived, ngx_lyftr_ticket_t *ticket);

/* learns how far the answers are, in ring->done */
ngx_int_t ngx_lyftr_ring_look(ngx_lyftr_ring_t *ring);

/* nobody is to store it; NGX_DECLINED: somebody may be about to */
ngx_int_t ngx_lyftr_ring_withdraw(ngx_lyftr_ring_t *ring,
    ngx_lyftr_ticket_t *ticket);

/*
 * The answer to an entry that has one.  NGX_OK: the messages know if they were
 * known; NGX_DECLINED: with *error; NGX_ERROR: it is none.
 */
ngx_int_t ngx_lyftr_ring_answer(ngx_lyftr_ring_t *ring,
    ngx_lyftr_ticket_t *ticket, ngx_lyftr_write_t *write,
    ngx_lyftr_err_e *error);


/* of the leader */

/* has it something to take? */
ngx_uint_t ngx_lyftr_ring_waits(ngx_lyftr_ring_t *ring);

/* begins with the first entry that has no answer; NGX_ERROR */
ngx_int_t ngx_lyftr_ring_begin(ngx_lyftr_ring_t *ring);

/*
 * Takes the next entry: up to max messages, with all that they point to in
 * memory from *p on, which ends at last.  The rows of its write are words of
 * the ring.  NGX_DONE: there is none; NGX_DECLINED: it does not fit; NGX_ERROR.
 */
ngx_int_t ngx_lyftr_ring_take(ngx_lyftr_ring_t *ring, u_char **p, u_char *last,
    ngx_lyftr_message_t *messages, ngx_uint_t max,
    ngx_lyftr_ring_entry_t *entry);

/* the next answer, in the order of the entries; error: of all its messages */
void ngx_lyftr_ring_reply(ngx_lyftr_ring_t *ring,
    ngx_lyftr_ring_entry_t *entry, ngx_lyftr_err_e error);

/* the owner may read the answers; is it to be woken? */
ngx_uint_t ngx_lyftr_ring_end(ngx_lyftr_ring_t *ring);

/* leaves the ring alone until its owner begins anew */
void ngx_lyftr_ring_refuse(ngx_lyftr_ring_t *ring);


#endif /* _NGX_LYFTR_RING_H_INCLUDED_ */

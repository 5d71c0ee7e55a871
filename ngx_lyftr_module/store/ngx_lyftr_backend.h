/*
 * The backend boundary: what a storage backend takes and returns.  A backend
 * is a set of blocking functions of (connection, input, output); it knows no
 * request, no configuration and no callback into nginx, and calls no function
 * of nginx.
 */


#ifndef _NGX_LYFTR_BACKEND_H_INCLUDED_
#define _NGX_LYFTR_BACKEND_H_INCLUDED_


#include <ngx_lyftr_message.h>


#define NGX_LYFTR_TOP_SENDERS      10

/*
 * What all processes share of a store has room for so many of a backend's
 * words, gauges and jobs, and for so many words of the reason why one fails.
 */
#define NGX_LYFTR_WORDS            10
#define NGX_LYFTR_GAUGES_MAX       16
#define NGX_LYFTR_JOBS_MAX         12
#define NGX_LYFTR_JOB_REASON       12

/* flags of open() */
#define NGX_LYFTR_OPEN_CREATE      0x01    /* make a store that is not there */
#define NGX_LYFTR_OPEN_FAILED      0x02    /* the last write did not go well */
#define NGX_LYFTR_OPEN_JOBS        0x04    /* of the housekeeping */


/*
 * Messages that are stored together or not at all: those of a delivery.  The
 * row of an id that is known stays as it is, and known says so of the message.
 *
 * Whoever may be asked to store them again after a process was killed with
 * their commit has a word for each, at first 0: before the commit the store
 * notes there which row a message becomes, and a message that is found to be
 * that row is none that was known.
 */

typedef struct {
    ngx_lyftr_message_t *messages;
    ngx_uint_t           n;
    uint64_t            *rows;             /* or NULL */
} ngx_lyftr_write_t;


/* what a transaction is to store, and how long its commit has taken */

typedef struct {
    ngx_lyftr_write_t  **writes;
    ngx_uint_t           n;
    int64_t              usec;
} ngx_lyftr_batch_t;


/*
 * Takes the next row, and where it stands; its strings are valid during the
 * call only.  NGX_OK, NGX_DONE: the page ends before it, or NGX_ERROR to stop.
 */
typedef ngx_int_t (*ngx_lyftr_row_pt)(void *data, ngx_lyftr_message_t *row,
    ngx_lyftr_position_t *position);


typedef struct {
    int64_t              total;            /* of the rows that match */
    ngx_lyftr_position_t next;             /* seq == 0: the last page */
    ngx_uint_t           unsearched;       /* q was left to the reader */
} ngx_lyftr_page_t;


/*
 * How the log is read in the order of arrival: from a place on, or from now on.
 * A place that was not read from before is looked at, once.
 */

typedef struct {
    ngx_lyftr_position_t place;            /* then: that of the last row read */
    ngx_uint_t           begin;            /* it is to be looked at */
    ngx_uint_t           newest;           /* it is to be the newest row's */
    ngx_uint_t           extra;            /* type and raw are wanted */
    ngx_uint_t           gap;              /* rows after it left by age */
    ngx_uint_t           end;              /* there was no row after place */
} ngx_lyftr_follow_t;


typedef struct {
    ngx_str_t            from;
    int64_t              count;
} ngx_lyftr_sender_t;


typedef struct {
    int64_t              total;
    int64_t              senders;
    ngx_uint_t           ntop;
    ngx_lyftr_sender_t   top[NGX_LYFTR_TOP_SENDERS];
    ngx_str_t            first;            /* data == NULL: null */
    ngx_str_t            last;
} ngx_lyftr_stats_t;


/* what is to be erased: all rows that have this value there */

typedef enum {
    NGX_LYFTR_ERASE_ID = 0,
    NGX_LYFTR_ERASE_FROM,
    NGX_LYFTR_ERASE_TO
} ngx_lyftr_erase_e;


typedef struct {
    ngx_lyftr_erase_e    kind;
    ngx_str_t            value;
    int64_t              rows;             /* then: that it had */
} ngx_lyftr_erase_t;


/* how the value of a parameter is written, and kept as an ngx_int_t */

typedef enum {
    NGX_LYFTR_PARAM_NUMBER = 0,
    NGX_LYFTR_PARAM_MSEC,                  /* a time, as nginx reads it */
    NGX_LYFTR_PARAM_BYTES,                 /* a size */
    NGX_LYFTR_PARAM_FLAG,                  /* on or off */
    NGX_LYFTR_PARAM_WORD,                  /* it is there, or is not */
    NGX_LYFTR_PARAM_ENUM,                  /* one of some words */
    NGX_LYFTR_PARAM_KEY                    /* a file; its bytes, an ngx_str_t */
} ngx_lyftr_param_e;


/* a parameter of lyftr_store */

typedef struct {
    ngx_str_t            name;             /* with its "=" if it has one */
    ngx_lyftr_param_e    type;
    size_t               offset;           /* where its value is kept */
    ngx_int_t            min;
    ngx_int_t            max;
    ngx_int_t            value;            /* if it is not given */
    ngx_str_t           *words;            /* of an enum; len == 0 */
} ngx_lyftr_param_t;


/* a gauge of /metrics */

typedef struct {
    char                *name;             /* NULL: there are no more */
    char                *type;
    char                *help;
    size_t               param;            /* it shows this one; 0: none */
} ngx_lyftr_gauge_t;


/* what the housekeeping saw of the store when it looked last */

typedef struct {
    int64_t              rows;
    int64_t              bytes;
    int64_t              last;             /* the newest place */
    ngx_int_t            adopted;          /* percent; -1: all there is */
    int64_t              own[NGX_LYFTR_GAUGES_MAX];    /* as the table has */
} ngx_lyftr_gauges_t;


/* a part of a check: what it is to do, and what it has done */

typedef struct {
    ngx_uint_t           begin;            /* also if nothing has changed */
    ngx_uint_t           known;            /* only if damage was found before */
    off_t                read;             /* bytes */
    off_t                size;             /* of the store, as it began */
    ngx_uint_t           active;           /* a pass has begun, and goes on */
    ngx_uint_t           damaged;          /* the last one had found damage */
    ngx_uint_t           again;            /* what it read changes too fast */
} ngx_lyftr_check_t;


/* how a job of the housekeeping fares, for all processes */

typedef struct {
    ngx_atomic_t         failures;
    ngx_atomic_t         failing;          /* ngx_lyftr_err_e: now, and why */
    ngx_atomic_t         reason[NGX_LYFTR_JOB_REASON];  /* a text */
} ngx_lyftr_backend_job_t;


/* says so to all processes; NULL: it does not fail any more */

static ngx_inline void
ngx_lyftr_backend_job_tell(ngx_lyftr_backend_job_t *job,
    ngx_lyftr_error_t *failure)
{
    size_t        len;
    ngx_uint_t    i;
    ngx_atomic_t  reason[NGX_LYFTR_JOB_REASON];

    if (failure) {
        ngx_memzero((void *) reason, sizeof(reason));

        len = ngx_min(failure->len, sizeof(reason) - 1);
        ngx_memcpy((void *) reason, failure->text, len);

        for (i = 0; i < NGX_LYFTR_JOB_REASON; i++) {
            __atomic_store_n(&job->reason[i], reason[i], __ATOMIC_RELAXED);
        }

        (void) ngx_atomic_fetch_add(&job->failures, 1);
    }

    __atomic_store_n(&job->failing, failure ? failure->code
                                            : NGX_LYFTR_ERR_NONE,
                     __ATOMIC_RELEASE);
}


/*
 * How what a backend keeps of a store begins.  The rest is its own: where its
 * parameters are kept, and what this process has of the store.
 */

typedef struct {
    u_char               path[NGX_MAX_PATH + 1];   /* its name for the log */
    ngx_atomic_t        *words;            /* of all processes, or NULL */
    ngx_lyftr_backend_job_t  *jobs;        /* the same, in their order */
} ngx_lyftr_dsn_t;


/*
 * init(), configure() and same() are called while the configuration is parsed,
 * in this order, and open no file; dsn is what a backend keeps of a store.
 * advice(), version() and renew() are called outside of threads, and so are
 * settle() and the last close(), when no thread runs any more.  All others run
 * in a pool thread, one at a time a connection.
 *
 * Deadlines are milliseconds of CLOCK_MONOTONIC, as ngx_current_msec is.
 * Functions return NGX_OK, or NGX_ERROR with *err filled; after any NGX_ERROR
 * but that of write() with NGX_LYFTR_ERR_DATA, and those with
 * NGX_LYFTR_ERR_LOG, NGX_LYFTR_ERR_BEHIND, NGX_LYFTR_ERR_STUCK or
 * NGX_LYFTR_ERR_STANDBY, the caller
 * closes the connection and does not use it again.
 */

typedef struct {
    ngx_str_t           *schemes;          /* of the URLs it takes; len == 0 */
    size_t               size;             /* of what it keeps of a store */
    ngx_lyftr_param_t   *params;           /* of lyftr_store; len == 0 */
    ngx_lyftr_gauge_t   *gauge;            /* besides those of every store */
    ngx_str_t           *jobs;             /* of its housekeeping; len == 0 */

    /* what an operator has to know of the library; len == 0: nothing */
    void               (*advice)(ngx_lyftr_error_t *text);

    /* of the library */
    const char        *(*version)(void);

    /* checks the URL and resolves its path; touches no file */
    ngx_int_t          (*init)(void *dsn, ngx_str_t *url,
                             ngx_lyftr_error_t *err);

    /* its parameters are known, and how many connections a process will have */
    ngx_int_t          (*configure)(void *dsn, ngx_uint_t connections,
                             ngx_lyftr_error_t *err);

    /* do both mean one store?  Looks at the files, and opens none */
    ngx_uint_t         (*same)(void *a, void *b);

    /* of its words, forgets what a reload says is right as it is now */
    void               (*renew)(void *dsn);

    /*
     * Connects; creates the schema, or migrates what is there.  A database
     * of another service is adopted by housekeep(): others than its connections
     * get NGX_LYFTR_ERR_ADOPT until that is done.
     * NULL with *err filled if it cannot.
     */
    void              *(*open)(void *dsn, ngx_uint_t flags,
                             ngx_msec_t deadline, ngx_lyftr_error_t *err);
    void               (*close)(void *conn);

    /*
     * Reads see one snapshot from begin() to end(), and are interrupted at the
     * deadline: NGX_LYFTR_ERR_TIMEOUT.
     */
    ngx_int_t          (*begin)(void *conn, ngx_msec_t deadline,
                             ngx_lyftr_error_t *err);

    /*
     * A writer's turn among all writers of all processes, which is waited for
     * until the deadline: NGX_LYFTR_ERR_BUSY.  Messages that arrive meanwhile
     * join the batch, so that nothing of it is known before.  A backend whose
     * writers need no turn has it at once.
     * NGX_DECLINED with *err filled: not now, and the connection stays good.
     */
    ngx_int_t          (*turn)(void *conn, ngx_msec_t deadline,
                             ngx_lyftr_error_t *err);

    /*
     * Stores a batch in one transaction, and ends the turn in any case.
     * NGX_OK: all of it is durable, and it is known of each message.
     * NGX_ERROR: nothing of it is to be answered as stored.  With
     * NGX_LYFTR_ERR_DATA one of the writes cannot be stored at all, and none
     * was: the caller finds out which one, by a turn for each.
     */
    ngx_int_t          (*write)(void *conn, ngx_lyftr_batch_t *batch,
                             ngx_msec_t deadline, ngx_lyftr_error_t *err);

    /* ends a snapshot, or a turn without a batch; at any time, never fails */
    void               (*end)(void *conn);

    /*
     * From now on reads are interrupted, as at the deadline, when another
     * thread has set this word.
     */
    void               (*watch)(void *conn, ngx_atomic_t *stop);

    /*
     * NGX_DECLINED if query->after is not a position of this store.  With
     * query->walk there may also be rows whose texts have no q, which
     * page->unsearched tells: no page after it need be asked for q.
     */
    ngx_int_t          (*list)(void *conn, ngx_lyftr_query_t *query,
                             ngx_lyftr_row_pt row, void *data,
                             ngx_lyftr_page_t *page, ngx_lyftr_error_t *err);

    /*
     * Reads rows in the order of arrival, for some milliseconds, or until row()
     * says NGX_DONE: that one was not read.  row may be NULL.  NGX_DECLINED if
     * follow->place, which is to be looked at, is none of this store.
     */
    ngx_int_t          (*follow)(void *conn, ngx_lyftr_follow_t *follow,
                             ngx_lyftr_row_pt row, void *data,
                             ngx_lyftr_error_t *err);

    /* what the strings point to is valid until the next call on conn */
    ngx_int_t          (*stats)(void *conn, ngx_lyftr_stats_t *stats,
                             ngx_lyftr_error_t *err);

    /*
     * Can the store be written to?  Waits for nothing: NGX_DECLINED if it is
     * locked, also by a writer of ours, whose outcome tells.  With write set,
     * also writes and commits something.
     */
    ngx_int_t          (*probe)(void *conn, ngx_uint_t write,
                             ngx_lyftr_error_t *err);

    /*
     * Does the next piece of housekeeping that no message waits for, and keeps
     * the writers from their turn for a short time only.  Of all processes one
     * does it.  Called outside of a transaction.  NGX_OK: there is more to do,
     * NGX_DONE: there is nothing for now, NGX_BUSY: something is locked,
     * NGX_DECLINED: another process does it.  If one of its jobs has failed,
     * *err tells, also with NGX_OK: the others go on.
     * NGX_AGAIN: there is more to do, and *err has what an operator is to
     * hear of, as a warning if it has a code.
     */
    ngx_int_t          (*housekeep)(void *conn, ngx_msec_t deadline,
                             ngx_lyftr_error_t *err);

    /* what the last housekeep() that did not decline saw; touches nothing */
    void               (*gauges)(void *conn, ngx_lyftr_gauges_t *gauges);

    /*
     * Reads the next part of the store, to see if it is damaged:
     * NGX_LYFTR_ERR_CORRUPT.  NGX_DONE: that was the last part, and the next
     * call begins anew.  NGX_DECLINED: not now, or nothing has changed since
     * the last pass began.  Called outside of a transaction.
     */
    ngx_int_t          (*check)(void *conn, ngx_lyftr_check_t *check,
                             ngx_msec_t deadline, ngx_lyftr_error_t *err);

    /*
     * The process ends, and no thread runs any more: after the last one all
     * that was committed is in the store's own file.
     */
    void               (*settle)(void *conn, ngx_msec_t deadline);

    /*
     * Erases rows: when it returns NGX_OK nothing that is read shows any of
     * them, nor ever will, and what is left of them goes by the housekeeping.
     * Called outside of a transaction.  What has begun goes on after
     * NGX_LYFTR_ERR_TIMEOUT, and the same again waits for the rest.  NULL: the
     * backend cannot.  erases() says if this store can.
     */
    ngx_int_t          (*erase)(void *conn, ngx_lyftr_erase_t *erase,
                             ngx_msec_t deadline, ngx_lyftr_error_t *err);
    ngx_uint_t         (*erases)(void *dsn);
} ngx_lyftr_backend_t;


#endif /* _NGX_LYFTR_BACKEND_H_INCLUDED_ */

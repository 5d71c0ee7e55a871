/*
 * What the files of the PostgreSQL backend share.
 */


#ifndef _NGX_LYFTR_POSTGRES_H_INCLUDED_
#define _NGX_LYFTR_POSTGRES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_backend.h>

#include <libpq-fe.h>


/* of a URL, with its zero */
#define NGX_LYFTR_POSTGRES_URL     2048

/* of a list of hosts, or of their ports */
#define NGX_LYFTR_POSTGRES_HOSTS   1024

/* bytes of a row: of its own columns, and of type and raw */
#define NGX_LYFTR_POSTGRES_LENGTH  (16 * 1024 * 1024)

/* characters of an id, or of a sender, that an index has */
#define NGX_LYFTR_POSTGRES_KEY     225

/* the slots of writers that have left, which a process keeps for others */
#define NGX_LYFTR_POSTGRES_SLOTS   8

#define NGX_LYFTR_POSTGRES_ARGS    16

/* calls of a pipeline, with the statements that they prepare, and its ends */
#define NGX_LYFTR_POSTGRES_CALLS   32


/* the order is that of the table in ngx_lyftr_postgres_stmt.c */

typedef enum {
    NGX_LYFTR_PG_BEGIN = 0,
    NGX_LYFTR_PG_BEGIN_READ,
    NGX_LYFTR_PG_COMMIT,
    NGX_LYFTR_PG_ROLLBACK,
    NGX_LYFTR_PG_LIMITS,
    NGX_LYFTR_PG_LIMIT_READ,
    NGX_LYFTR_PG_STATE,
    NGX_LYFTR_PG_INSERT,
    NGX_LYFTR_PG_BARRIER,
    NGX_LYFTR_PG_SLOT_ADD,
    NGX_LYFTR_PG_SLOT_FENCE,
    NGX_LYFTR_PG_SLOT_READ,
    NGX_LYFTR_PG_STORED,
    NGX_LYFTR_PG_ROW,
    NGX_LYFTR_PG_ROW_OF_ID,
    NGX_LYFTR_PG_NEWEST,
    NGX_LYFTR_PG_FOLLOW,
    NGX_LYFTR_PG_COUNT_ALL,
    NGX_LYFTR_PG_COUNT_TIME,
    NGX_LYFTR_PG_COUNT_SENDER,
    NGX_LYFTR_PG_COUNT_LONG,
    NGX_LYFTR_PG_PLACE_TIME,
    NGX_LYFTR_PG_PLACE_SENDER,
    NGX_LYFTR_PG_PAGE_TIME,
    NGX_LYFTR_PG_PAGE_TIME_FROM,
    NGX_LYFTR_PG_PAGE_TIME_DESC,
    NGX_LYFTR_PG_PAGE_SENDER,
    NGX_LYFTR_PG_PAGE_SENDER_FROM,
    NGX_LYFTR_PG_PAGE_SENDER_DESC,
    NGX_LYFTR_PG_TEXTS_TIME,
    NGX_LYFTR_PG_TEXTS_SENDER,
    NGX_LYFTR_PG_TEXTS_NEXT,
    NGX_LYFTR_PG_TEXTS_CLOSE,
    NGX_LYFTR_PG_FOUND,
    NGX_LYFTR_PG_FOUND_DESC,
    NGX_LYFTR_PG_STATS,
    NGX_LYFTR_PG_ENDS,
    NGX_LYFTR_PG_PROBE,
    NGX_LYFTR_PG_JOB_LOCK,
    NGX_LYFTR_PG_JOB_TIME,
    NGX_LYFTR_PG_JOB_SENDER,
    NGX_LYFTR_PG_JOB_TIME_MANY,
    NGX_LYFTR_PG_JOB_SENDER_MANY,
    NGX_LYFTR_PG_JOB_SENDERS,
    NGX_LYFTR_PG_JOB_COUNTED,
    NGX_LYFTR_PG_JOB_SPLIT_TIME,
    NGX_LYFTR_PG_JOB_SPLIT_SENDER,
    NGX_LYFTR_PG_JOB_EXTENSION,
    NGX_LYFTR_PG_JOB_INDEX,
    NGX_LYFTR_PG_JOB_TEXTS,
    NGX_LYFTR_PG_JOB_FOLD,
    NGX_LYFTR_PG_JOB_FOLDED,
    NGX_LYFTR_PG_JOB_AGES,
    NGX_LYFTR_PG_JOB_USED,
    NGX_LYFTR_PG_JOB_PIECE,
    NGX_LYFTR_PG_JOB_TIME_LESS,
    NGX_LYFTR_PG_JOB_SENDER_LESS,
    NGX_LYFTR_PG_JOB_SENDERS_LESS,
    NGX_LYFTR_PG_JOB_TEXTS_LEAVE,
    NGX_LYFTR_PG_JOB_LEAVE,
    NGX_LYFTR_PG_JOB_LEFT,
    NGX_LYFTR_PG_JOB_EMPTY,
    NGX_LYFTR_PG_JOB_SLOTS,
    NGX_LYFTR_PG_SIZE,
    NGX_LYFTR_PG_N
} ngx_lyftr_postgres_sql_e;


/* what the database has to promise; the order is that of durability= */

typedef enum {
    NGX_LYFTR_POSTGRES_ANY = 0,
    NGX_LYFTR_POSTGRES_STANDBY,
    NGX_LYFTR_POSTGRES_STORAGE
} ngx_lyftr_postgres_durability_e;


/* what is kept of a store; the parameters are those of its directive */

typedef struct {
    ngx_lyftr_dsn_t      common;           /* see ngx_lyftr_backend.h */

    ngx_int_t            durability;
    ngx_int_t            prepare;          /* statements by name */
    ngx_int_t            search;
    ngx_int_t            keep;             /* msec; 0: for ever */
    ngx_int_t            keep_bytes;       /* 0: no end */
    ngx_int_t            keep_force;

    char                 hosts[NGX_LYFTR_POSTGRES_HOSTS];   /* those of the */
    char                 ports[NGX_LYFTR_POSTGRES_HOSTS];   /* URL, if many */
    ngx_uint_t           nhosts;           /* 0: one, or libpq knows */

    /* of this process */
    ngx_uint_t           host;             /* which took writes last */
    ngx_uint_t           alone;            /* no standby is waited for, */
    ngx_uint_t           told;             /* and the log has it */
    ngx_atomic_t         slots[NGX_LYFTR_POSTGRES_SLOTS];

    char                 url[NGX_LYFTR_POSTGRES_URL];
} ngx_lyftr_postgres_dsn_t;


/* words that all processes share */

#define NGX_LYFTR_WORD_DURABLE     0       /* the newest place acknowledged */
#define NGX_LYFTR_WORD_STORE       1       /* whose it is */
#define NGX_LYFTR_WORD_KEEPER      2       /* who does the housekeeping here, */
#define NGX_LYFTR_WORD_BEAT        3       /* and was there at this time */
#define NGX_LYFTR_POSTGRES_WORDS   4


/* what a snapshot begins with */

typedef struct {
    uint64_t             store;            /* its identity */
    int64_t              last;             /* the place given last */
    int64_t              durable;          /* all up to this one are */
    int64_t              counted;          /* ranges and senders have these, */
    int64_t              rows;             /* which are so many, */
    int64_t              senders;          /* of so many */
    int64_t              searched;         /* the texts that are folded */
    int64_t              floor;            /* all up to this one have left, */
    int64_t              left_rows;        /* so many, and */
    int64_t              left_bytes;       /* of so many bytes */
} ngx_lyftr_postgres_state_t;


/* memory that grows */

typedef struct {
    u_char              *data;
    size_t               len;
    size_t               size;
} ngx_lyftr_postgres_buf_t;


/* the arguments of a statement, all of them as PostgreSQL's binary formats */

typedef struct {
    ngx_uint_t           n;
    const char          *value[NGX_LYFTR_POSTGRES_ARGS];
    int                  len[NGX_LYFTR_POSTGRES_ARGS];
    u_char               number[NGX_LYFTR_POSTGRES_ARGS][8];
} ngx_lyftr_postgres_args_t;


/*
 * The parts of a connection.  The file that is named touches the members of a
 * part, and no other does.
 */


/* ngx_lyftr_postgres_call.c */

typedef struct {
    PGconn              *pg;               /* NULL: there is none */
    ngx_atomic_t        *stop;             /* ends what is read, or NULL */
    u_char               prepared[NGX_LYFTR_PG_N];
    int                  sent[NGX_LYFTR_POSTGRES_CALLS];   /* in this order */
    ngx_uint_t           nsent;
    ngx_uint_t           warned;           /* by the server, since last asked */
    ngx_lyftr_error_t    warning;
} ngx_lyftr_postgres_call_t;


/* ngx_lyftr_postgres_slot.c */

typedef struct {
    int64_t              id;               /* 0: it has none */
    int64_t              batch;            /* the last one that it knows */
} ngx_lyftr_postgres_slot_t;


/* what a slot says of a batch */

typedef struct {
    uint64_t             of;               /* the batch, with its slot's id */
    ngx_uint_t           known;            /* it is the slot's last one */
    int64_t              base;             /* its places come after this one */
    int64_t              k;                /* so many; 0: it has none */
} ngx_lyftr_postgres_places_t;


/* ngx_lyftr_postgres_barrier.c */

typedef struct {
    ngx_uint_t           waits;            /* it has not been answered */
    int64_t              floor;            /* what was durable before */
} ngx_lyftr_postgres_barrier_t;


/* ngx_lyftr_postgres_writer.c */

typedef struct {
    ngx_lyftr_postgres_buf_t   columns;    /* arrays, one after the other */
} ngx_lyftr_postgres_writer_t;


/* ngx_lyftr_postgres_row.c */

typedef struct {
    ngx_lyftr_postgres_buf_t   id;         /* what stands in two columns */
    ngx_lyftr_postgres_buf_t   from;
} ngx_lyftr_postgres_row_t;


typedef struct ngx_lyftr_postgres_jobs_s  ngx_lyftr_postgres_jobs_t;


typedef struct {
    ngx_lyftr_postgres_dsn_t    *dsn;
    ngx_lyftr_postgres_call_t    call;
    ngx_lyftr_postgres_state_t   state;
    ngx_msec_t                   deadline; /* of the snapshot */
    ngx_uint_t                   reads;    /* there is one */
    void                        *digest;   /* of ids */
    PGresult                    *kept[2];  /* what stats() has given */
    ngx_lyftr_postgres_slot_t    slot;
    ngx_lyftr_postgres_barrier_t  barrier;
    ngx_lyftr_postgres_writer_t  writer;
    ngx_lyftr_postgres_row_t     row;
    ngx_lyftr_postgres_jobs_t   *jobs;     /* of the lane that does them */
} ngx_lyftr_postgres_t;


/* the columns of a statement that gives rows of the log, in this order */

#define NGX_LYFTR_POSTGRES_COLUMNS                                            \
    " m.seq, m.h, m.instant, m.id, m.id_rest, m.sender, m.sender_rest,"       \
    " m.rcpt, m.ts, m.body,"                                                  \
    " to_char(m.created_at AT TIME ZONE 'UTC',"                               \
    " 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"


/* ngx_lyftr_postgres_error.c */

/* fills *err, one line; NGX_ERROR */
ngx_int_t ngx_lyftr_postgres_fail(ngx_lyftr_postgres_dsn_t *dsn,
    ngx_lyftr_error_t *err, ngx_lyftr_err_e code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* the same of what the server has answered; the connection may be lost */
ngx_int_t ngx_lyftr_postgres_error(ngx_lyftr_postgres_t *c,
    const PGresult *res, ngx_lyftr_error_t *err);

/* the same of what libpq says, which has lost its connection, or has none */
ngx_int_t ngx_lyftr_postgres_lost(ngx_lyftr_postgres_dsn_t *dsn, PGconn *pg,
    ngx_lyftr_error_t *err);

/* what an SQLSTATE means here */
ngx_lyftr_err_e ngx_lyftr_postgres_code(const char *state);

/* milliseconds until then, at least 0 */
ngx_msec_t ngx_lyftr_postgres_left(ngx_msec_t deadline);


/* ngx_lyftr_postgres_url.c */

ngx_int_t ngx_lyftr_postgres_init(void *data, ngx_str_t *url,
    ngx_lyftr_error_t *err);
ngx_uint_t ngx_lyftr_postgres_same(void *a, void *b);

/* copies the nth part of a list with commas; the only one is that of all */
void ngx_lyftr_postgres_part(const char *list, ngx_uint_t n, char *buf,
    size_t size);


/* ngx_lyftr_postgres_buf.c */

/* room for so many bytes more; NGX_OK or NGX_ERROR: no memory */
ngx_int_t ngx_lyftr_postgres_reserve(ngx_lyftr_postgres_buf_t *buf,
    size_t len);
ngx_int_t ngx_lyftr_postgres_add(ngx_lyftr_postgres_buf_t *buf,
    const void *p, size_t len);
void ngx_lyftr_postgres_free(ngx_lyftr_postgres_buf_t *buf);

/* numbers as PostgreSQL sends them */
u_char *ngx_lyftr_postgres_put(u_char *p, uint64_t n, size_t len);
uint64_t ngx_lyftr_postgres_get(const u_char *p, size_t len);

/* begins an array of n elements of a type, known by its OID */
ngx_int_t ngx_lyftr_postgres_array(ngx_lyftr_postgres_buf_t *buf, uint32_t oid,
    ngx_uint_t n);

/* adds the next one; data == NULL: null */
ngx_int_t ngx_lyftr_postgres_element(ngx_lyftr_postgres_buf_t *buf,
    ngx_str_t *s);

/* a whole array of numbers */
ngx_int_t ngx_lyftr_postgres_ints(ngx_lyftr_postgres_buf_t *buf,
    int64_t *n, ngx_uint_t count);

/* where the characters that an index has end */
size_t ngx_lyftr_postgres_cut(ngx_str_t *s);

/* the arguments of a statement, one after the other */
void ngx_lyftr_postgres_arg_int(ngx_lyftr_postgres_args_t *args, int64_t n);
void ngx_lyftr_postgres_arg_str(ngx_lyftr_postgres_args_t *args, ngx_str_t *s);
void ngx_lyftr_postgres_arg(ngx_lyftr_postgres_args_t *args, const void *p,
    size_t len);


/* ngx_lyftr_postgres_stmt.c */

extern const char  *ngx_lyftr_postgres_sql[];

#define NGX_LYFTR_OID_BYTEA        17
#define NGX_LYFTR_OID_INT8         20
#define NGX_LYFTR_OID_TEXT         25
#define NGX_LYFTR_OID_UUID         2950


/* ngx_lyftr_postgres_call.c */

/* connects, until the deadline, to one host of those of the URL, or NULL */
ngx_int_t ngx_lyftr_postgres_call_open(ngx_lyftr_postgres_t *c,
    const char *host, const char *port, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
void ngx_lyftr_postgres_call_close(ngx_lyftr_postgres_t *c);

/* has the server gone, as far as is known without asking it? */
ngx_uint_t ngx_lyftr_postgres_call_gone(ngx_lyftr_postgres_t *c);

/* runs SQL that is used once, outside of a pipeline; its rows are text */
PGresult *ngx_lyftr_postgres_simple(ngx_lyftr_postgres_t *c, const char *sql,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);

/* from now on there are pipelines only */
ngx_int_t ngx_lyftr_postgres_pipeline(ngx_lyftr_postgres_t *c,
    ngx_lyftr_error_t *err);

/* adds a statement, or an end, to the pipeline; NULL: it has no arguments */
ngx_int_t ngx_lyftr_postgres_send(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_sql_e n, ngx_lyftr_postgres_args_t *args,
    ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_postgres_sync(ngx_lyftr_postgres_t *c,
    ngx_lyftr_error_t *err);

/*
 * Takes the results of the statements up to the next end of the pipeline, to
 * be cleared: n of them.  NGX_OK: all went well.  NGX_ERROR: not all of them,
 * *err tells of the first, and res has none.  The connection is good unless
 * ngx_lyftr_postgres_dead() says that it is not.
 */
ngx_int_t ngx_lyftr_postgres_results(ngx_lyftr_postgres_t *c, PGresult **res,
    ngx_uint_t n, ngx_msec_t deadline, ngx_lyftr_error_t *err);

/* a statement with its end, and the result */
PGresult *ngx_lyftr_postgres_query(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_sql_e n, ngx_lyftr_postgres_args_t *args,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);

/*
 * The same without a wait for a standby, and for a lock until the deadline:
 * what it stores is durable with the next barrier.
 */
PGresult *ngx_lyftr_postgres_aside(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_sql_e n, ngx_lyftr_postgres_args_t *args,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);

/* ends a transaction that has failed, or is not wanted any more */
void ngx_lyftr_postgres_rollback(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline);

/* sends what makes a transaction such a one */
ngx_int_t ngx_lyftr_postgres_limits(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);

/* does it have no connection that is of use? */
ngx_uint_t ngx_lyftr_postgres_dead(ngx_lyftr_postgres_t *c);

/* has the server warned since this was asked last? */
ngx_uint_t ngx_lyftr_postgres_warned(ngx_lyftr_postgres_t *c,
    ngx_lyftr_error_t *err);

/* a value of a result */
int64_t ngx_lyftr_postgres_int(const PGresult *res, int row, int column);
void ngx_lyftr_postgres_str(const PGresult *res, int row, int column,
    ngx_str_t *s);


/* ngx_lyftr_postgres_open.c */

void *ngx_lyftr_postgres_open(void *data, ngx_uint_t flags,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
void ngx_lyftr_postgres_close(void *conn);


/* ngx_lyftr_postgres_connect.c */

/* connects, also again: the flags are those of open() */
ngx_int_t ngx_lyftr_postgres_connect(ngx_lyftr_postgres_t *c,
    ngx_uint_t flags, ngx_msec_t deadline, ngx_lyftr_error_t *err);

/* the same until the deadline, as long as there is no server to be reached */
ngx_int_t ngx_lyftr_postgres_connect_wait(ngx_lyftr_postgres_t *c,
    ngx_uint_t flags, ngx_msec_t deadline, ngx_lyftr_error_t *err);

/* does the database still promise what durability= asks for? */
ngx_int_t ngx_lyftr_postgres_promises(ngx_lyftr_postgres_t *c,
    const char *fsync, const char *standbys, ngx_lyftr_error_t *err);


/* ngx_lyftr_postgres_schema.c */

/* looks at what is there, and makes it if flags say so */
ngx_int_t ngx_lyftr_postgres_schema(ngx_lyftr_postgres_t *c, ngx_uint_t flags,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);


/* ngx_lyftr_postgres_slot.c */

/* gets one for this connection, if it has none */
ngx_int_t ngx_lyftr_postgres_slot(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);

/* another one is needed: this one may still be in use, or is gone */
void ngx_lyftr_postgres_slot_lose(ngx_lyftr_postgres_t *c);

/* others of this process may use it */
void ngx_lyftr_postgres_slot_leave(ngx_lyftr_postgres_t *c);

/*
 * What became of the connection's last batch, whose commit was not answered:
 * from now on it cannot be committed any more.  NGX_OK: it was;
 * NGX_DECLINED: it was not.
 */
ngx_int_t ngx_lyftr_postgres_slot_settle(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_places_t *places, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);

/* a batch as a word, and back */
uint64_t ngx_lyftr_postgres_slot_word(int64_t slot, int64_t batch);
void ngx_lyftr_postgres_slot_of(uint64_t word, int64_t *slot, int64_t *batch);

/* the nth message of a batch as a word */
uint64_t ngx_lyftr_postgres_slot_note(int64_t slot, int64_t batch,
    ngx_uint_t nth);

/*
 * The place that the message got, or 0: its batch was not committed, and cannot
 * be any more.  places, at first zeroes, are those of the batch.
 */
ngx_int_t ngx_lyftr_postgres_slot_place(ngx_lyftr_postgres_t *c,
    uint64_t note, ngx_lyftr_postgres_places_t *places, int64_t *place,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);


/* ngx_lyftr_postgres_barrier.c */

/* sends one, with a slot that is there */
ngx_int_t ngx_lyftr_postgres_barrier_begin(ngx_lyftr_postgres_t *c,
    ngx_lyftr_error_t *err);

/*
 * NGX_OK: all that was committed before it is durable; what its slot says, or
 * a batch of -1: there is no such slot, and nothing is known.
 * NGX_DECLINED: the connection was lost.  With NGX_LYFTR_ERR_STANDBY it may
 * still be answered, and no other one is to be sent before that.
 */
ngx_int_t ngx_lyftr_postgres_barrier_end(ngx_lyftr_postgres_t *c,
    int64_t *batch, int64_t *base, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);

/* the answer to one that had none, if there is such a one */
ngx_int_t ngx_lyftr_postgres_barrier_wait(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);

ngx_int_t ngx_lyftr_postgres_probe(void *conn, ngx_uint_t write,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_postgres_known.c */

/* is c->state.store what it was?  NGX_LYFTR_ERR_MOVED */
ngx_int_t ngx_lyftr_postgres_same_store(ngx_lyftr_postgres_t *c,
    ngx_lyftr_error_t *err);

/*
 * The newest place that was acknowledged; and is it there, by the newest one
 * that the server knows, which was asked later?  NGX_LYFTR_ERR_MOVED
 */
int64_t ngx_lyftr_postgres_floor(ngx_lyftr_postgres_t *c);
ngx_int_t ngx_lyftr_postgres_reached(ngx_lyftr_postgres_t *c, int64_t floor,
    int64_t d, ngx_uint_t durable, ngx_lyftr_error_t *err);


/* ngx_lyftr_postgres_writer.c */

ngx_int_t ngx_lyftr_postgres_turn(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_postgres_write(void *conn, ngx_lyftr_batch_t *batch,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
void ngx_lyftr_postgres_writer_free(ngx_lyftr_postgres_t *c);


/* ngx_lyftr_postgres_columns.c */

/* the arguments of a batch's rows, in the order of their columns */
ngx_int_t ngx_lyftr_postgres_columns(ngx_lyftr_postgres_buf_t *buf,
    void *digest, ngx_lyftr_batch_t *batch, ngx_uint_t k,
    ngx_lyftr_postgres_args_t *args);

/* the first half of an id's SHA-256, by which it is known */
ngx_int_t ngx_lyftr_postgres_hash(void *digest, ngx_str_t *id, u_char *h);

/* an instant as it is stored: it begins with a byte of its own */
void ngx_lyftr_postgres_instant(u_char *buf, ngx_lyftr_instant_t *t,
    ngx_str_t *s);

#define NGX_LYFTR_POSTGRES_HASH    16
#define NGX_LYFTR_POSTGRES_INSTANT (1 + sizeof(((ngx_lyftr_instant_t *) 0)    \
                                               ->data))


/* ngx_lyftr_postgres_read.c */

ngx_int_t ngx_lyftr_postgres_begin(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
void ngx_lyftr_postgres_end(void *conn);
void ngx_lyftr_postgres_watch(void *conn, ngx_atomic_t *stop);

/* fills c->state from a row of NGX_LYFTR_PG_STATE; floor is of before */
ngx_int_t ngx_lyftr_postgres_state(ngx_lyftr_postgres_t *c,
    const PGresult *res, int64_t floor, ngx_lyftr_error_t *err);


/* ngx_lyftr_postgres_row.c */

/* what m and position point to is valid until the next one is read */
ngx_int_t ngx_lyftr_postgres_row(ngx_lyftr_postgres_t *c, const PGresult *res,
    int row, ngx_lyftr_message_t *m, ngx_lyftr_position_t *position,
    ngx_lyftr_error_t *err);

/*
 * Looks where the row of a position is: NGX_OK with its result, to be cleared;
 * NGX_DONE: it has left; NGX_DECLINED: it is none of this store.
 */
ngx_int_t ngx_lyftr_postgres_locate(ngx_lyftr_postgres_t *c,
    ngx_lyftr_position_t *position, PGresult **res, ngx_lyftr_error_t *err);

/* the rows of these places, in this order, those that are there */
PGresult *ngx_lyftr_postgres_rows(ngx_lyftr_postgres_t *c, int64_t *seqs,
    ngx_uint_t n, ngx_uint_t extra, ngx_lyftr_error_t *err);

void ngx_lyftr_postgres_row_free(ngx_lyftr_postgres_t *c);


/* ngx_lyftr_postgres_list.c */

ngx_int_t ngx_lyftr_postgres_list(void *conn, ngx_lyftr_query_t *query,
    ngx_lyftr_row_pt row, void *data, ngx_lyftr_page_t *page,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_postgres_follow.c */

ngx_int_t ngx_lyftr_postgres_follow(void *conn, ngx_lyftr_follow_t *follow,
    ngx_lyftr_row_pt row, void *data, ngx_lyftr_error_t *err);


/* ngx_lyftr_postgres_stats.c */

ngx_int_t ngx_lyftr_postgres_stats(void *conn, ngx_lyftr_stats_t *stats,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_postgres_jobs.c */

extern ngx_str_t  ngx_lyftr_postgres_jobs[];

ngx_int_t ngx_lyftr_postgres_housekeep(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
void ngx_lyftr_postgres_gauges(void *conn, ngx_lyftr_gauges_t *gauges);
void ngx_lyftr_postgres_jobs_free(ngx_lyftr_postgres_t *c);


#endif /* _NGX_LYFTR_POSTGRES_H_INCLUDED_ */

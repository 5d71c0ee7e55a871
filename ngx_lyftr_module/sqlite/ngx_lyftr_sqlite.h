/*
 * What the files of the SQLite backend share.
 */


#ifndef _NGX_LYFTR_SQLITE_H_INCLUDED_
#define _NGX_LYFTR_SQLITE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_backend.h>
#include <ngx_lyftr_flock.h>
#include <ngx_lyftr_index.h>
#include <ngx_lyftr_sqlite_idset.h>

#include <sqlite3.h>


/* of a path with a suffix */
#define NGX_LYFTR_SQLITE_NAME_LEN  (NGX_MAX_PATH + 16)

#define NGX_LYFTR_SQLITE_LOCK      "-lock"

/*
 * Rows that no segment has: from so many on writers are slowed, and refused; no
 * batch makes more than the last number, and reads keep as many in memory.
 */
#ifndef NGX_LYFTR_SLOW
#define NGX_LYFTR_SLOW             131072
#endif
#define NGX_LYFTR_MOST             (2 * NGX_LYFTR_SLOW)
#define NGX_LYFTR_LAST             (4 * NGX_LYFTR_SLOW)

/* the counts of senders follow in smaller steps */
#define NGX_LYFTR_TALLY            (NGX_LYFTR_SEGMENT / 4)

/* bytes of a row */
#define NGX_LYFTR_SQLITE_LENGTH    (16 * 1024 * 1024)

/* rows that one statement reads by their numbers */
#ifndef NGX_LYFTR_GIVEN
#define NGX_LYFTR_GIVEN            64
#endif

#define NGX_LYFTR_SQLITE_TIME      "2026-11-23T10:00:00.000Z"


/* the order is that of the table in ngx_lyftr_sqlite_stmt.c */

typedef enum {
    NGX_LYFTR_SQL_BEGIN_WRITE = 0,
    NGX_LYFTR_SQL_BEGIN_READ,
    NGX_LYFTR_SQL_COMMIT,
    NGX_LYFTR_SQL_STATE,
    NGX_LYFTR_SQL_SEGMENTS,
    NGX_LYFTR_SQL_LAST,
    NGX_LYFTR_SQL_FIRST,
    NGX_LYFTR_SQL_FOLLOW,
    NGX_LYFTR_SQL_MANY,
    NGX_LYFTR_SQL_RECENT,
    NGX_LYFTR_SQL_ROWS,
    NGX_LYFTR_SQL_INSERT,
    NGX_LYFTR_SQL_PROBE,
    NGX_LYFTR_SQL_TOUCH,
    NGX_LYFTR_SQL_BLOCK,
    NGX_LYFTR_SQL_BLOCKS,
    NGX_LYFTR_SQL_BLOCK_ADD,
    NGX_LYFTR_SQL_BLOCK_DELETE,
    NGX_LYFTR_SQL_SEGMENT_ADD,
    NGX_LYFTR_SQL_SEGMENT_DELETE,
    NGX_LYFTR_SQL_NEXT,
    NGX_LYFTR_SQL_INDEXED,
    NGX_LYFTR_SQL_TALLY,
    NGX_LYFTR_SQL_SENDERS,
    NGX_LYFTR_SQL_COUNT,
    NGX_LYFTR_SQL_COUNT_ADD,
    NGX_LYFTR_SQL_COUNTED,
    NGX_LYFTR_SQL_LESS_ADD,
    NGX_LYFTR_SQL_LESS_TO,
    NGX_LYFTR_SQL_LESS_DELETE,
    NGX_LYFTR_SQL_LESS_TAKE,
    NGX_LYFTR_SQL_LEAVE,
    NGX_LYFTR_SQL_AGES,
    NGX_LYFTR_SQL_AGE,
    NGX_LYFTR_SQL_CLEAR,
    NGX_LYFTR_SQL_CLEAR_EXTRA,
    NGX_LYFTR_SQL_CLEARED,
    NGX_LYFTR_SQL_COUNTS,
    NGX_LYFTR_SQL_COUNTS_AFTER,
    NGX_LYFTR_SQL_COUNT_SET,
    NGX_LYFTR_SQL_COUNT_DELETE,
    NGX_LYFTR_SQL_REBUILD,
    NGX_LYFTR_SQL_REBUILT,
    NGX_LYFTR_SQL_SEGMENTS_OLD,
    NGX_LYFTR_SQL_COUNT_OF,
    NGX_LYFTR_SQL_UNCOUNTED,
    NGX_LYFTR_SQL_TOP,
    NGX_LYFTR_SQL_TOP_CLEAR,
    NGX_LYFTR_SQL_TOP_ADD,
    NGX_LYFTR_SQL_ROW,
    NGX_LYFTR_SQL_GIVEN,
    NGX_LYFTR_SQL_EXTRA,
    NGX_LYFTR_SQL_EXTRA_LAST,
    NGX_LYFTR_SQL_EXTRA_ADD,
    NGX_LYFTR_SQL_EXTRAS,
    NGX_LYFTR_SQL_POSITION,
    NGX_LYFTR_SQL_TEXTS,
    NGX_LYFTR_SQL_SEARCH_STATE,
    NGX_LYFTR_SQL_SEARCH,
    NGX_LYFTR_SQL_SEARCH_NEXT,
    NGX_LYFTR_SQL_SEARCH_ADD,
    NGX_LYFTR_SQL_SEARCH_DONE,
    NGX_LYFTR_SQL_SEARCH_RETIRE,
    NGX_LYFTR_SQL_SEARCH_FORGET,
    NGX_LYFTR_SQL_SEARCH_LEAVE,
    NGX_LYFTR_SQL_SEARCH_DELETE,
    NGX_LYFTR_SQL_SEARCH_OLD,
    NGX_LYFTR_SQL_SEARCH_REPLACE,
    NGX_LYFTR_SQL_ERASE_MARKS,
    NGX_LYFTR_SQL_ERASE_LISTED,
    NGX_LYFTR_SQL_ERASED,
    NGX_LYFTR_SQL_ERASED_ALL,
    NGX_LYFTR_SQL_ERASED_ADD,
    NGX_LYFTR_SQL_TOMBS,
    NGX_LYFTR_SQL_TOMB,
    NGX_LYFTR_SQL_TOMB_ADD,
    NGX_LYFTR_SQL_GRAM,
    NGX_LYFTR_SQL_GRAMS,
    NGX_LYFTR_SQL_GRAM_ADD,
    NGX_LYFTR_SQL_GRAM_DELETE,
    NGX_LYFTR_SQL_N
} ngx_lyftr_sql_e;


/* the order is that of the table in ngx_lyftr_sqlite_files.c */

typedef enum {
    NGX_LYFTR_FILE_DB = 0,
    NGX_LYFTR_FILE_WAL,
    NGX_LYFTR_FILE_SHM,
    NGX_LYFTR_FILE_LOCK,
    NGX_LYFTR_FILE_N
} ngx_lyftr_file_e;


/* what is kept of a store; the parameters are those of its directive */

typedef struct {
    ngx_lyftr_dsn_t      common;           /* see ngx_lyftr_backend.h */

    ngx_int_t            max_wal;          /* bytes */
    ngx_int_t            caches;           /* bytes, of a process, */
    ngx_int_t            cache;            /* and of a connection */
    ngx_int_t            search;           /* an index of texts, 1: is made */
    ngx_int_t            force;            /* on any file system */
    ngx_int_t            keep;             /* msec that rows stay, or 0 */
    ngx_int_t            keep_bytes;       /* the most they may be, or 0 */
    ngx_int_t            keep_force;       /* also for a short time */
    ngx_str_t            erase_key;        /* of hashes of ids; or none */

    /* of this process */
    struct {
        ngx_atomic_uint_t  id;
        ngx_fd_t           fd;             /* keeps it from another file */
    } file[NGX_LYFTR_FILE_N];
    ngx_uint_t           opened;
    void                *shared;           /* the memtable's */
} ngx_lyftr_sqlite_dsn_t;


/* words that all processes share, after those of the files */

#define NGX_LYFTR_WORD_WAL         NGX_LYFTR_FILE_N      /* its pages */
#define NGX_LYFTR_WORD_UNSYNCED    (NGX_LYFTR_FILE_N + 1) /* a sync failed */
#define NGX_LYFTR_WORD_GENERATION  (NGX_LYFTR_FILE_N + 2) /* of segments */
#define NGX_LYFTR_WORD_BEAT        (NGX_LYFTR_FILE_N + 3) /* of the lease */
#define NGX_LYFTR_WORD_COMMIT      (NGX_LYFTR_FILE_N + 4) /* one has begun */
#define NGX_LYFTR_WORD_SYNCED      (NGX_LYFTR_FILE_N + 5) /* by a writer */


/* what lyftr_state says in this transaction */

typedef struct {
    int64_t              generation;       /* of the segments */
    int64_t              indexed;          /* the last row of a segment, */
    int64_t              counted;          /* and of the senders' counts, */
    int64_t              counting;         /* which are on the way to it */
    int64_t              senders;
    int64_t              next;             /* segment */
    ngx_uint_t           damaged;          /* a check has found it to be */
    int64_t              rebuild;          /* segments before this one go */
    int64_t              mark;             /* the newest row that left */
    uint64_t             store;            /* its identity */
    int64_t              floor;            /* all rows up to this one left */
    int64_t              step;             /* of counts that become less */
    int64_t              gone;             /* rows that were deleted, */
    int64_t              gone_bytes;       /* and bytes of them */
    int64_t              erase;            /* what is to be erased, */
    int64_t              erasing;          /* rows of that, */
    int64_t              deleted;          /* and that the log has no more */
    int64_t              erased;           /* rows, since ever */
    int64_t              emptying;         /* the WAL has what is erased */
    int64_t              tombs;            /* the newest one */
} ngx_lyftr_sqlite_state_t;


typedef struct ngx_lyftr_sqlite_jobs_s  ngx_lyftr_sqlite_jobs_t;
typedef struct ngx_lyftr_sqlite_verify_s  ngx_lyftr_sqlite_verify_t;
typedef struct ngx_lyftr_adopt_s  ngx_lyftr_adopt_t;


/*
 * The parts of a connection.  The file that is named touches the members of a
 * part, and no other does.
 */


/* ngx_lyftr_sqlite_files.c */

typedef struct {
    off_t                size;             /* of the database */
    off_t                wal_size;

    /* with all links resolved; room for the suffix of the lock's name */
    char                 path[NGX_MAX_PATH + sizeof(NGX_LYFTR_SQLITE_LOCK)];
} ngx_lyftr_sqlite_files_t;


/* ngx_lyftr_sqlite_wal.c */

typedef struct {
    int                  pages;            /* after the last commit */
    ngx_msec_t           retry;            /* not made to start anew before */
    unsigned             synced:1;         /* what it found when it opened */
    unsigned             failed:1;         /* NGX_LYFTR_OPEN_FAILED */
} ngx_lyftr_sqlite_wal_t;


/* ngx_lyftr_sqlite_lease.c */

typedef struct {
    ngx_uint_t           owner;            /* of all processes, this one */
    ngx_uint_t           locked;           /* the lock of it is ours */
    ngx_msec_t           beat;             /* the last one */
    int64_t              next;             /* segment, if nobody else is */
} ngx_lyftr_sqlite_lease_t;


/* ngx_lyftr_sqlite_transaction.c */

typedef struct {
    ngx_msec_t           deadline;         /* of one that reads */
    ngx_atomic_t        *stop;             /* another end of it, or NULL */
    ngx_uint_t           write;            /* what it does */
    void               (*pause)(void *conn);   /* NULL: none */
} ngx_lyftr_sqlite_transaction_t;


/* ngx_lyftr_sqlite_writer.c */

typedef struct {
    ngx_lyftr_sqlite_idset_t  ids;         /* of the recent rows */
    ngx_uint_t           committed;        /* of these */
    int64_t              seen;             /* the last row, */
    size_t               weight;           /* and the keys of its chunk */
    ngx_lyftr_buf_t      keys;             /* of rows not yet committed, */
    ngx_lyftr_buf_t      rows;             /* which are these */
    ngx_lyftr_buf_t      id;               /* of a row that is compared */
    char                 now[sizeof(NGX_LYFTR_SQLITE_TIME)];
} ngx_lyftr_sqlite_writer_t;


/* ngx_lyftr_sqlite_given.c: rows that one statement reads, in this order */

typedef struct {
    ngx_uint_t           n;
    int64_t              seq[NGX_LYFTR_GIVEN];
} ngx_lyftr_sqlite_given_t;


/* ngx_lyftr_sqlite_erased.c: what is erased, as this generation has it */

typedef struct {
    ngx_lyftr_buf_t      marks;            /* of senders, */
    ngx_lyftr_buf_t      senders;          /* which are these */
    ngx_lyftr_buf_t      parts;            /* for the index */
    ngx_lyftr_buf_t      keys;
    ngx_lyftr_buf_t      rows;
    int64_t              total;            /* -1: not known yet */
} ngx_lyftr_sqlite_erased_t;


/* ngx_lyftr_sqlite_tombs.c: ids that were erased, and are to stay so */

typedef struct {
    void                *hmac;             /* NULL: there is no key */
    uint64_t             key[2];
    u_char              *filter;
    size_t               len;
    int64_t              max;              /* that the filter is for */
    int64_t              last;             /* it has those up to this one */
} ngx_lyftr_sqlite_tombs_t;


/* ngx_lyftr_sqlite_stats.c: what the strings of the last one point to */

typedef struct {
    ngx_uint_t           n;
    u_char              *strings[NGX_LYFTR_TOP_SENDERS + 2];
} ngx_lyftr_sqlite_stats_t;


typedef struct {
    sqlite3             *db;
    sqlite3_stmt        *stmt[NGX_LYFTR_SQL_N];

    ngx_lyftr_sqlite_dsn_t  *dsn;

    ngx_lyftr_sqlite_state_t  state;
    ngx_lyftr_index_t    index;
    int64_t              generation;       /* of its segments */
    ngx_uint_t           viewed;           /* the transaction has its view */

    uint64_t             secret[2];        /* of hashes that are in memory */

    int64_t              searched;         /* the search index has this row */
    int64_t              many;             /* rows that there are, */
    int64_t              many_to;          /* up to this one; */
    int64_t              many_after;       /* of these, after this one, */
    int64_t              many_tail;        /* as many */
    int64_t              many_floor;

    ngx_lyftr_flock_t                lock;      /* ngx_lyftr_sqlite_lock.c */
    ngx_lyftr_sqlite_files_t         files;
    ngx_lyftr_sqlite_wal_t           wal;
    ngx_lyftr_sqlite_lease_t         lease;
    ngx_lyftr_sqlite_transaction_t   transaction;
    ngx_lyftr_sqlite_writer_t        writer;
    ngx_lyftr_sqlite_stats_t         stats;
    ngx_lyftr_sqlite_given_t         given;
    ngx_lyftr_sqlite_erased_t        erased;
    ngx_lyftr_sqlite_tombs_t         tombs;
    ngx_lyftr_sqlite_jobs_t         *jobs;      /* of the lane that does them */
    ngx_lyftr_sqlite_verify_t       *verify;    /* of the check's */
    ngx_lyftr_adopt_t               *adopt;     /* it is not ours yet */
} ngx_lyftr_sqlite_t;


/* 64-bit FNV-1a */

static ngx_inline uint64_t
ngx_lyftr_sqlite_hash(u_char *p, size_t len)
{
    uint64_t  h;

    h = 0xcbf29ce484222325;

    while (len--) {
        h = (h ^ *p++) * 0x100000001b3;
    }

    return h;
}


/* ngx_lyftr_sqlite_error.c */

/* fills *err, one line; NGX_ERROR */
ngx_int_t ngx_lyftr_sqlite_fail(ngx_lyftr_error_t *err, ngx_lyftr_err_e code,
    const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* the same from SQLite's last error on the connection */
ngx_int_t ngx_lyftr_sqlite_error(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* a system call on a file has failed, with errno */
ngx_int_t ngx_lyftr_sqlite_cannot(ngx_lyftr_error_t *err, const char *what,
    const char *path);

/* the end of a path, as much as an error has room for */
const char *ngx_lyftr_sqlite_end(const char *path);


/* ngx_lyftr_sqlite_stmt.c */

ngx_int_t ngx_lyftr_sqlite_prepare(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* runs and resets a statement that gives no row */
ngx_int_t ngx_lyftr_sqlite_run(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    ngx_lyftr_error_t *err);

/* the integer in the statement's first row; resets it */
ngx_int_t ngx_lyftr_sqlite_int(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    int64_t *n, ngx_lyftr_error_t *err);

/* the same for a statement that is used once */
ngx_int_t ngx_lyftr_sqlite_get(ngx_lyftr_sqlite_t *c, const char *sql,
    int64_t *n, ngx_lyftr_error_t *err);

/* runs statements that give no rows, of the schema */
ngx_int_t ngx_lyftr_sqlite_exec(ngx_lyftr_sqlite_t *c, const char *sql,
    ngx_lyftr_error_t *err);

int ngx_lyftr_sqlite_bind(sqlite3_stmt *st, int i, ngx_str_t *s);
void ngx_lyftr_sqlite_column(sqlite3_stmt *st, int i, ngx_str_t *s);


/* ngx_lyftr_sqlite_url.c */

ngx_int_t ngx_lyftr_sqlite_init(void *data, ngx_str_t *url,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_given.c */

/* what the statements of a new connection need for rows by their numbers */
ngx_int_t ngx_lyftr_sqlite_given(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_row.c */

/*
 * Steps to a row that the index says is there.  NGX_OK, and the caller resets
 * the statement; otherwise the store is damaged or failed, and it is reset.
 */
ngx_int_t ngx_lyftr_sqlite_row_step(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    ngx_lyftr_error_t *err);

/* reads what the indexes know of rows, from a statement that gives that */
void ngx_lyftr_sqlite_row(sqlite3_stmt *st, ngx_lyftr_row_t *row);

/* the rest of it as well, from a statement that gives whole rows */
void ngx_lyftr_sqlite_message(sqlite3_stmt *st, ngx_lyftr_message_t *m);

/* where it stands, for a cursor; the state of the transaction has been read */
void ngx_lyftr_sqlite_position(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    ngx_lyftr_position_t *position);

/* of a row of NGX_LYFTR_SQL_ROWS; those of rows are added up, in any order */
uint64_t ngx_lyftr_sqlite_row_sum(sqlite3_stmt *st);


/* ngx_lyftr_sqlite_extra.c */

/* stores what only some messages have, if this one does */
ngx_int_t ngx_lyftr_sqlite_extra_add(ngx_lyftr_sqlite_t *c, int64_t seq,
    ngx_lyftr_message_t *m, ngx_lyftr_error_t *err);

/* reads it, where it is; what m points to then stays until it is done with */
ngx_int_t ngx_lyftr_sqlite_extra_read(ngx_lyftr_sqlite_t *c, int64_t seq,
    ngx_lyftr_message_t *m, ngx_lyftr_error_t *err);
void ngx_lyftr_sqlite_extra_done(ngx_lyftr_sqlite_t *c);

/* by which damage is known */

static ngx_inline uint64_t
ngx_lyftr_sqlite_extra_sum(int64_t seq, ngx_str_t *type, ngx_str_t *raw)
{
    uint64_t  sum, key;

    key = htole64((uint64_t) seq);

    sum = ngx_lyftr_checksum(0, &key, sizeof(key));
    sum = ngx_lyftr_checksum(sum + (type->data != NULL), type->data,
                             type->len);

    return ngx_lyftr_checksum(sum + (raw->data != NULL), raw->data, raw->len);
}


/* ngx_lyftr_sqlite_blocks.c */

extern const ngx_lyftr_holder_t  ngx_lyftr_sqlite_holder;


/* ngx_lyftr_sqlite_segments.c */

/* reads lyftr_state, and the segments if they have changed */
ngx_int_t ngx_lyftr_segments_read(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* have the segments probably changed since this connection looked? */
ngx_uint_t ngx_lyftr_segments_changed(ngx_lyftr_sqlite_t *c);

/* forgets the segments, and frees their memory */
void ngx_lyftr_segments_forget(ngx_lyftr_sqlite_t *c);


/* ngx_lyftr_sqlite_view.c */

/* sets c->index.last, the last row; the state of the transaction was read */
ngx_int_t ngx_lyftr_sqlite_last(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err);

/* may rows be added now?  NGX_LYFTR_ERR_BEHIND, or NGX_LYFTR_ERR_STUCK */
ngx_int_t ngx_lyftr_sqlite_admit(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* too many rows are in no segment: fills *err, and why; NGX_ERROR */
ngx_int_t ngx_lyftr_sqlite_behind(ngx_lyftr_sqlite_t *c, int64_t rows,
    ngx_lyftr_error_t *err);

/* reads the recent rows that the process does not have yet */
ngx_int_t ngx_lyftr_sqlite_view_rows(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* fills c->index.view with the rows that are in no segment; in a transaction */
ngx_int_t ngx_lyftr_sqlite_view(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err);
void ngx_lyftr_sqlite_view_leave(ngx_lyftr_sqlite_t *c);

/* a reader's transaction ends, and another one begins */
ngx_int_t ngx_lyftr_sqlite_again(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_erased.c */

/* reads what is erased, with the segments of the transaction */
ngx_int_t ngx_lyftr_sqlite_erased_read(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
void ngx_lyftr_sqlite_erased_free(ngx_lyftr_sqlite_t *c);

/* is a row of this sender?  NGX_OK, NGX_DECLINED or NGX_ERROR */
ngx_int_t ngx_lyftr_sqlite_erased(ngx_lyftr_sqlite_t *c, int64_t seq,
    ngx_str_t *from, ngx_lyftr_error_t *err);

/* the rows that segments have all the same */
ngx_int_t ngx_lyftr_sqlite_erased_total(ngx_lyftr_sqlite_t *c, int64_t *total,
    ngx_lyftr_error_t *err);

/* clears their bits, also of those that no segment has any more */
ngx_int_t ngx_lyftr_sqlite_erased_bits(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_merge_t *sources, ngx_lyftr_bitmap_t *bits,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_tombs.c */

typedef struct {
    uint64_t             mark;
    u_char               hash[16];
} ngx_lyftr_sqlite_tomb_t;


/* takes the key, which is the one that the store knows, or it knows none */
ngx_int_t ngx_lyftr_sqlite_tombs_open(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
void ngx_lyftr_sqlite_tombs_close(ngx_lyftr_sqlite_t *c);

/* by which a store knows its key: hex digits, and a zero */
ngx_int_t ngx_lyftr_sqlite_tombs_print(ngx_lyftr_sqlite_t *c, char *print,
    ngx_lyftr_error_t *err);

/* learns of those that came; in a transaction whose state was read */
ngx_int_t ngx_lyftr_sqlite_tombs_read(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* is this id one?  NGX_OK, NGX_DECLINED or NGX_ERROR */
ngx_int_t ngx_lyftr_sqlite_tombs_has(ngx_lyftr_sqlite_t *c, ngx_str_t *id,
    ngx_lyftr_error_t *err);

ngx_int_t ngx_lyftr_sqlite_tomb(ngx_lyftr_sqlite_t *c, ngx_str_t *id,
    ngx_lyftr_sqlite_tomb_t *tomb, ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_sqlite_tombs_add(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_tomb_t *tombs, ngx_uint_t n, ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_erase.c */

/* function of the backend */
ngx_int_t ngx_lyftr_sqlite_erase(void *conn, ngx_lyftr_erase_t *erase,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_writer.c */

/* before the lock is taken, and in the transaction */
ngx_int_t ngx_lyftr_sqlite_writer_prepare(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_sqlite_writer_begin(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* all rows of the transaction are committed, or none */
void ngx_lyftr_sqlite_writer_commit(ngx_lyftr_sqlite_t *c);
void ngx_lyftr_sqlite_writer_rollback(ngx_lyftr_sqlite_t *c);

/*
 * Stores a message whose id is new; row has what it is sorted by.  Otherwise
 * NGX_DECLINED.
 */
ngx_int_t ngx_lyftr_sqlite_append(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_message_t *m, ngx_str_t *created, ngx_lyftr_row_t *row,
    ngx_lyftr_error_t *err);

/*
 * NGX_OK if the id is new, NGX_DECLINED if it is known; hash is that of the
 * log, and mark that of c->secret.
 */
ngx_int_t ngx_lyftr_sqlite_known(ngx_lyftr_sqlite_t *c, ngx_str_t *id,
    uint64_t hash, uint64_t mark, ngx_lyftr_error_t *err);

/* the same for a segment, whatever its filter says, and which row it is */
ngx_int_t ngx_lyftr_sqlite_known_segment(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_segment_t *segment, ngx_str_t *id, uint64_t hash, int64_t *seq,
    ngx_lyftr_error_t *err);

/* NGX_DECLINED if the id is known: the row that is there stays */
ngx_int_t ngx_lyftr_sqlite_insert(void *conn, ngx_lyftr_message_t *m,
    ngx_lyftr_error_t *err);

/*
 * The same, with the number of the row, or zero, in *row, if it is not NULL.
 * If the message became that row in a try that was cut off, that is NGX_OK.
 */
ngx_int_t ngx_lyftr_sqlite_store(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_message_t *m, uint64_t *row, ngx_lyftr_error_t *err);

void ngx_lyftr_sqlite_writer_free(ngx_lyftr_sqlite_t *c);


/* ngx_lyftr_sqlite_transaction.c */

/* what a transaction does: only the first one stores messages */
#define NGX_LYFTR_SQLITE_WRITE     1
#define NGX_LYFTR_SQLITE_JOB       2
#define NGX_LYFTR_SQLITE_ASK       3

/* NGX_DECLINED: not now, and the connection stays good */
ngx_int_t ngx_lyftr_sqlite_begin(void *conn, ngx_uint_t write,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_sqlite_commit(void *conn, ngx_lyftr_error_t *err);
void ngx_lyftr_sqlite_rollback(void *conn);
void ngx_lyftr_sqlite_watch(void *conn, ngx_atomic_t *stop);
ngx_int_t ngx_lyftr_sqlite_probe(void *conn, ngx_uint_t write,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_list.c */

ngx_int_t ngx_lyftr_sqlite_list(void *conn, ngx_lyftr_query_t *query,
    ngx_lyftr_row_pt row, void *data, ngx_lyftr_page_t *page,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_follow.c */

ngx_int_t ngx_lyftr_sqlite_follow(void *conn, ngx_lyftr_follow_t *follow,
    ngx_lyftr_row_pt row, void *data, ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_stats.c */

ngx_int_t ngx_lyftr_sqlite_stats(void *conn, ngx_lyftr_stats_t *stats,
    ngx_lyftr_error_t *err);
void ngx_lyftr_sqlite_stats_free(ngx_lyftr_sqlite_t *c);


/* ngx_lyftr_sqlite_open.c */

void *ngx_lyftr_sqlite_open(void *dsn, ngx_uint_t flags,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
void ngx_lyftr_sqlite_close(void *conn);


/* ngx_lyftr_sqlite_verify.c */

ngx_int_t ngx_lyftr_sqlite_verify(void *conn, ngx_lyftr_check_t *check,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
void ngx_lyftr_sqlite_verify_free(ngx_lyftr_sqlite_t *c);


#endif /* _NGX_LYFTR_SQLITE_H_INCLUDED_ */

/*
 * What the files of the SQLite backend share.
 */


#ifndef _NGX_LYFTR_SQLITE_H_INCLUDED_
#define _NGX_LYFTR_SQLITE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_backend.h>
#include <ngx_lyftr_flock.h>
#include <ngx_lyftr_sqlite_tail.h>

#include <sqlite3.h>


/* of a path with a suffix */
#define NGX_LYFTR_SQLITE_NAME_LEN  (NGX_MAX_PATH + 16)

#define NGX_LYFTR_SQLITE_LOCK      "-lock"

/* the rows that an index has not reached yet */
#define ngx_lyftr_sqlite_tail(mark)                                           \
    "lyftr_message AS i WHERE i.seq > (SELECT " mark " FROM lyftr_state)"

/* the filters of a list, and the place it goes on after */
#define NGX_LYFTR_SQLITE_FROM      0x01
#define NGX_LYFTR_SQLITE_SINCE     0x02
#define NGX_LYFTR_SQLITE_Q         0x04
#define NGX_LYFTR_SQLITE_FILTERS   0x08
#define NGX_LYFTR_SQLITE_AFTER     0x08
#define NGX_LYFTR_SQLITE_LISTS     0x10

/*
 * An index follows the log in steps of so many rows: the more, the fewer pages
 * a row costs, but the longer the tail that reads scan.  Fewer in unit tests.
 */
#ifndef NGX_LYFTR_SQLITE_STEP
#define NGX_LYFTR_SQLITE_STEP      64000
#endif

/* columns of the widest primary key */
#define NGX_LYFTR_SQLITE_KEY       3

#define NGX_LYFTR_SQLITE_TIME      "2026-11-23T10:00:00.000Z"


/* the order is that of the table in ngx_lyftr_sqlite_index.c */

typedef enum {
    NGX_LYFTR_INDEX_ID = 0,
    NGX_LYFTR_INDEX_TIME,
    NGX_LYFTR_INDEX_SENDER,
    NGX_LYFTR_INDEX_COUNT,
    NGX_LYFTR_INDEXES
} ngx_lyftr_index_e;


/* the order is that of the table in ngx_lyftr_sqlite_stmt.c */

typedef enum {
    NGX_LYFTR_SQL_BEGIN_WRITE = 0,
    NGX_LYFTR_SQL_BEGIN_READ,
    NGX_LYFTR_SQL_COMMIT,
    NGX_LYFTR_SQL_MARKS,
    NGX_LYFTR_SQL_FOLLOW,
    NGX_LYFTR_SQL_KNOWN,
    NGX_LYFTR_SQL_SAME,
    NGX_LYFTR_SQL_INSERT,
    NGX_LYFTR_SQL_PROBE,
    NGX_LYFTR_SQL_STEP_ID,
    NGX_LYFTR_SQL_STEP_TIME,
    NGX_LYFTR_SQL_STEP_SENDER,
    NGX_LYFTR_SQL_STEP_COUNT,
    NGX_LYFTR_SQL_MARK_ID,
    NGX_LYFTR_SQL_MARK_TIME,
    NGX_LYFTR_SQL_MARK_SENDER,
    NGX_LYFTR_SQL_MARK_COUNT,
    NGX_LYFTR_SQL_ROW,
    NGX_LYFTR_SQL_POSITION,
    NGX_LYFTR_SQL_SENDERS,
    NGX_LYFTR_SQL_TOP,
    NGX_LYFTR_SQL_FIRST,
    NGX_LYFTR_SQL_LAST,
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


typedef struct {
    sqlite3             *db;
    sqlite3_stmt        *stmt[NGX_LYFTR_SQL_N];

    /* prepared when first used */
    sqlite3_stmt        *list[NGX_LYFTR_SQLITE_LISTS];
    sqlite3_stmt        *count[NGX_LYFTR_SQLITE_FILTERS];

    ngx_lyftr_flock_t    lock;

    /* the rows that the id index has not reached */
    ngx_lyftr_sqlite_tail_t  tail;

    ngx_lyftr_dsn_t     *dsn;

    ngx_msec_t           deadline;         /* of a reading transaction */

    /* of the writer */
    ngx_uint_t           committed;        /* rows of the tail */
    int64_t              seen;             /* the last row */
    int64_t              mark[NGX_LYFTR_INDEXES];  /* the last row of each */
    char                 now[sizeof(NGX_LYFTR_SQLITE_TIME)];

    int                  wal;              /* pages after the last commit */
    int                  wal_done;         /* of them checkpointed */
    off_t                wal_size;         /* bytes */
    ngx_msec_t           wal_retry;        /* not made to start anew before */

    /* of the check: the table, and the key of the last row read */
    ngx_uint_t           table;
    sqlite3_value       *key[NGX_LYFTR_SQLITE_KEY];

    /* what the strings of the last stats() point to */
    ngx_uint_t           nkept;
    u_char              *kept[NGX_LYFTR_TOP_SENDERS + 2];

    unsigned             write:1;
    unsigned             synced:1;         /* what it found when it opened */
    unsigned             failed:1;         /* NGX_LYFTR_OPEN_FAILED */

    /* with all links resolved; room for the suffix of the lock's name */
    char                 path[NGX_MAX_PATH + sizeof(NGX_LYFTR_SQLITE_LOCK)];
} ngx_lyftr_sqlite_t;


/* ngx_lyftr_sqlite.c */

uint64_t ngx_lyftr_sqlite_hash(u_char *p, size_t len);

/* functions of the backend */
ngx_int_t ngx_lyftr_sqlite_begin(void *conn, ngx_uint_t write,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_sqlite_commit(void *conn, ngx_lyftr_error_t *err);
void ngx_lyftr_sqlite_rollback(void *conn);


/* ngx_lyftr_sqlite_upkeep.c */

ngx_msec_t ngx_lyftr_sqlite_due(void *conn);
ngx_int_t ngx_lyftr_sqlite_maintain(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);

/* NGX_LYFTR_ERR_LOG if nothing must be written; under the file lock */
ngx_int_t ngx_lyftr_sqlite_room(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_verify.c */

ngx_int_t ngx_lyftr_sqlite_verify(void *conn, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);

/* frees the key */
void ngx_lyftr_sqlite_verify_forget(ngx_lyftr_sqlite_t *c);


/* ngx_lyftr_sqlite_index.c */

/* learns what other writers have committed and indexed */
ngx_int_t ngx_lyftr_sqlite_follow(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* NGX_OK if the id is new, NGX_DECLINED if it is known */
ngx_int_t ngx_lyftr_sqlite_known(ngx_lyftr_sqlite_t *c, ngx_str_t *id,
    uint64_t hash, ngx_lyftr_error_t *err);

/* forgets the rows of a transaction that is rolled back */
void ngx_lyftr_sqlite_unlearn(ngx_lyftr_sqlite_t *c);

/* the index that is a step or more behind; NGX_LYFTR_INDEXES: none */
ngx_lyftr_index_e ngx_lyftr_sqlite_behind(ngx_lyftr_sqlite_t *c);

/* brings an index forward, up to the row last */
ngx_int_t ngx_lyftr_sqlite_step(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_index_e index, int64_t last, ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_stmt.c */

/* fills *err, one line; NGX_ERROR */
ngx_int_t ngx_lyftr_sqlite_fail(ngx_lyftr_error_t *err, ngx_lyftr_err_e code,
    const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* the same from SQLite's last error on the connection */
ngx_int_t ngx_lyftr_sqlite_error(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

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

int ngx_lyftr_sqlite_bind(sqlite3_stmt *st, int i, ngx_str_t *s);


/* ngx_lyftr_sqlite_url.c */

ngx_int_t ngx_lyftr_sqlite_init(ngx_lyftr_dsn_t *dsn, ngx_str_t *url,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_open.c */

void *ngx_lyftr_sqlite_open(ngx_lyftr_dsn_t *dsn, ngx_uint_t flags,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
void ngx_lyftr_sqlite_close(void *conn);


/* ngx_lyftr_sqlite_files.c */

void ngx_lyftr_sqlite_name(ngx_lyftr_sqlite_t *c, ngx_lyftr_file_e file,
    char *name);

/* checks that the files are those that were opened first */
ngx_int_t ngx_lyftr_sqlite_files(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* the same before opening them, and after that */
ngx_int_t ngx_lyftr_sqlite_files_known(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_sqlite_files_learn(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* fsync()s the log; NGX_ERROR with *err filled */
ngx_int_t ngx_lyftr_sqlite_sync_log(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_schema.c */

/* the functions that our statements call */
int ngx_lyftr_sqlite_functions(sqlite3 *db);

/* NGX_OK: ours and ready, NGX_DECLINED: to be set up, or NGX_ERROR */
ngx_int_t ngx_lyftr_sqlite_check(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);

/* creates or adopts, whichever check() calls for; under the file lock */
ngx_int_t ngx_lyftr_sqlite_setup(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_list.c */

ngx_int_t ngx_lyftr_sqlite_list(void *conn, ngx_lyftr_query_t *query,
    ngx_lyftr_row_pt row, void *data, ngx_lyftr_page_t *page,
    ngx_lyftr_error_t *err);

/* the same without rows; needle is the folded q */
ngx_int_t ngx_lyftr_sqlite_total(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_query_t *query, ngx_str_t *needle, int64_t *total,
    ngx_lyftr_error_t *err);

void ngx_lyftr_sqlite_column(sqlite3_stmt *st, int i, ngx_str_t *s);


/* ngx_lyftr_sqlite_stats.c */

ngx_int_t ngx_lyftr_sqlite_stats(void *conn, ngx_lyftr_stats_t *stats,
    ngx_lyftr_error_t *err);
void ngx_lyftr_sqlite_forget(ngx_lyftr_sqlite_t *c);


#endif /* _NGX_LYFTR_SQLITE_H_INCLUDED_ */

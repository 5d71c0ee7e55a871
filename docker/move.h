/*
 * A store, as move sees it: rows in the order of arrival, and if it is closed
 * to writers.  move_sqlite.c and move_postgres.c know how each is kept.
 */

#ifndef _MOVE_H_INCLUDED_
#define _MOVE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* what one step reads at most; one row may be larger */
#define MOVE_ROWS      4096
#define MOVE_BYTES     (4 * 1024 * 1024)

/* msec for a lock of others */
#define MOVE_WAIT      10000

/* our form of a time, such as 2026-11-29T12:00:00.000Z */
#define MOVE_TIME      24


/* the columns of a row; the order is that of both statements that read rows */

typedef enum {
    MOVE_INSTANT = 0,                      /* as bytes; null: ts is none */
    MOVE_ID,
    MOVE_FROM,
    MOVE_TO,
    MOVE_TS,
    MOVE_CREATED,                          /* in our form */
    MOVE_TEXT,
    MOVE_TYPE,
    MOVE_RAW,
    MOVE_COLUMNS
} move_column_e;


typedef struct {
    int64_t             seq;
    ngx_str_t           column[MOVE_COLUMNS];   /* data == NULL: it is null */
    int                 changed;           /* created was in another form */
} move_row_t;


/* rows of one step, in memory of their own */

typedef struct {
    move_row_t          rows[MOVE_ROWS];
    int                 n;
    void               *memory;
} move_rows_t;


typedef struct move_store_s  move_store_t;

typedef struct {

    /* never returns if there is no store of this name, or a newer one */
    void              (*open)(move_store_t *store, const char *name);

    /*
     * The store that this one is closed for, or 0: while it is, nobody writes
     * to it but move.  close() returns when nobody does any more.
     */
    int64_t           (*closed)(move_store_t *store);
    void              (*close)(move_store_t *store, int64_t other);
    void              (*reopen)(move_store_t *store);

    /* the newest place that was given */
    int64_t           (*last)(move_store_t *store);

    /* the next rows behind a place, of those that are durable */
    void              (*read)(move_store_t *store, int64_t after,
                            move_rows_t *rows);

    /* appends them in one transaction; nobody else did since the last one */
    void              (*write)(move_store_t *store, move_rows_t *rows);

    /* the place of a row of the other store; 0: it is not, -1: another is */
    int64_t           (*place)(move_store_t *store, move_row_t *row);

    /* those who want to write wait, until reopen() */
    void              (*hold)(move_store_t *store);
} move_kind_t;


struct move_store_s {
    const move_kind_t  *kind;
    const char         *name;              /* in messages */
    void               *data;
    int64_t             id;                /* what the store calls itself */
    int64_t             shift;             /* its places are so much greater */
};


extern const move_kind_t  move_sqlite;
extern const move_kind_t  move_postgres;


void move_fail(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));
void *move_alloc(size_t size);
int64_t move_msec(void);
void move_sleep(int msec);
int move_same(ngx_str_t *a, ngx_str_t *b);

/* the other store's id in the name by which a store is closed */
int64_t move_other(const char *name);


#endif /* _MOVE_H_INCLUDED_ */

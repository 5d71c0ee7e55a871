/*
 * The check for damage: it reads all there is, in parts, each in a transaction
 * of its own.
 */


#ifndef _NGX_LYFTR_SQLITE_VERIFY_H_INCLUDED_
#define _NGX_LYFTR_SQLITE_VERIFY_H_INCLUDED_


#include <ngx_lyftr_sqlite_index.h>


/* rows or blocks of a part, and bytes of them, whichever are reached first */
#ifndef NGX_LYFTR_SQLITE_PART
#define NGX_LYFTR_SQLITE_PART      1000
#endif
#ifndef NGX_LYFTR_SQLITE_PART_LEN
#define NGX_LYFTR_SQLITE_PART_LEN  (4 * 1024 * 1024)
#endif


/* how far it has come in a level of a tree above the lowest */

typedef struct {
    ngx_lyftr_buf_t      data;
    ngx_lyftr_block_t    block;
    int64_t              n;                /* the next block */
} ngx_lyftr_verify_level_t;


/* how far it has come in a list of the search index */

typedef struct {
    uint32_t             gram;             /* and one; 0: there was none */
    uint32_t             piece;
    uint64_t             row;              /* of the place that is read */
    uint64_t             number;           /* as far as it is read, */
    ngx_uint_t           shift;            /* bits of it */
    ngx_uint_t           more;             /* the list goes on */
    ngx_uint_t           pos;              /* a position comes next, */
    ngx_uint_t           same;             /* in the row of the last place */
} ngx_lyftr_verify_list_t;


struct ngx_lyftr_sqlite_verify_s {
    ngx_uint_t           active;           /* a pass has begun, */
    ngx_uint_t           step;             /* and come to this step, */
    ngx_uint_t           begun;            /* which has begun */
    int64_t              version;          /* of the data, when it began */
    ngx_uint_t           n;                /* rows or blocks of the part, */
    size_t               len;              /* and bytes */

    /* to be done when the transaction has ended; empty: nothing */
    char                 sql[256];

    int64_t              done;             /* the last one that is checked, */
    int64_t              target;           /* of these */
    int64_t              seq;              /* the last row, or block, read */

    /* the segment that is read: first its rows of the log, then its trees */
    ngx_lyftr_segment_t  segment;          /* id == 0: none */
    ngx_uint_t           again;            /* the last one went meanwhile */
    ngx_uint_t           kind;             /* KINDS: the rows */
    int64_t              rows;
    uint64_t             sum;
    uint64_t             sums[NGX_LYFTR_TREES];    /* that the trees have */
    ngx_lyftr_buf_t      keys;
    ngx_lyftr_buf_t      last;             /* key of an entry */
    ngx_lyftr_verify_level_t  level[NGX_LYFTR_HEIGHT];

    /* the counts of senders */
    ngx_lyftr_buf_t      sender;           /* the last one */
    int64_t              senders;
    int64_t              before;           /* as the state said at first, */
    int64_t              leave;            /* which also was at this step */

    /* the part of the search index that is read */
    int64_t              part;             /* 0: none */
    ngx_lyftr_verify_list_t   list;
    ngx_uint_t           wrong;            /* a block of it is */
};


/*
 * A step of a pass, in a transaction.  NGX_OK: it has more to read, NGX_DONE,
 * NGX_DECLINED: not now, or NGX_ERROR.
 */
typedef ngx_int_t (*ngx_lyftr_verify_pt)(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_error_t *err);


#define ngx_lyftr_verify_full(v)                                              \
    ((v)->n >= NGX_LYFTR_SQLITE_PART || (v)->len >= NGX_LYFTR_SQLITE_PART_LEN)


/* ngx_lyftr_sqlite_verify_index.c */

/* the segments that there were at the beginning, or have become of them */
ngx_int_t ngx_lyftr_verify_segments(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_error_t *err);
void ngx_lyftr_verify_segment_free(ngx_lyftr_sqlite_verify_t *v);

/* the rows that have no segment yet */
ngx_int_t ngx_lyftr_verify_tail(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_error_t *err);

ngx_int_t ngx_lyftr_verify_memory(ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_verify_search.c */

ngx_int_t ngx_lyftr_verify_search(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_error_t *err);


#endif /* _NGX_LYFTR_SQLITE_VERIFY_H_INCLUDED_ */

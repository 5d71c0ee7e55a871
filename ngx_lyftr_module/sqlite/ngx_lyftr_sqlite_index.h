/*
 * The segments and parts that follow the log, and what is read from them: the
 * operations of the backend over the index.
 */


#ifndef _NGX_LYFTR_SQLITE_INDEX_H_INCLUDED_
#define _NGX_LYFTR_SQLITE_INDEX_H_INCLUDED_


#include <ngx_lyftr_sqlite.h>


/* the first trees have a column each for their height */
#define NGX_LYFTR_SQLITE_HEIGHTS   3


/* ngx_lyftr_sqlite_compaction.c */

/*
 * Begin a segment, of the rows after first, up to last, or of n segments, which
 * follow each other, but for the rows that leave, if any; NGX_DECLINED: not
 * now.
 */
ngx_int_t ngx_lyftr_sqlite_flush(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_compaction_t *job, int64_t first, int64_t last,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_sqlite_merge(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_compaction_t *job, ngx_lyftr_segment_t *from, ngx_uint_t n,
    ngx_lyftr_leave_t *leave, ngx_msec_t deadline, ngx_lyftr_error_t *err);

/* the next piece; NGX_DONE: it is in its place, or, aside, can be put there */
ngx_int_t ngx_lyftr_sqlite_compact(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_compaction_t *job, ngx_uint_t aside, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);

/* puts a segment in its place, which is free; in a transaction */
ngx_int_t ngx_lyftr_sqlite_segment_add(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_segment_t *segment, ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_count.c */

/* what will hold when the rows that are about to leave have left */

typedef struct {
    ngx_lyftr_top_t     *top;              /* NULL: there are none; */
    ngx_uint_t          *ranked;           /* if some are already */
    int64_t             *gone;             /* senders of whom there is none */
} ngx_lyftr_count_next_t;


/* counts the rows of each sender, after those that are counted */

typedef struct {
    ngx_uint_t           active;
    int64_t              to;               /* the last row */
    ngx_lyftr_buf_t      tally;            /* of the rows, by sender */
    size_t               done;             /* bytes of it */
    ngx_lyftr_top_t      top;
    ngx_lyftr_count_next_t  next;          /* the caller's */
} ngx_lyftr_count_t;


ngx_int_t ngx_lyftr_count_begin(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_count_t *count, int64_t to, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);

/* the next piece; NGX_DONE: all is counted */
ngx_int_t ngx_lyftr_count_step(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_count_t *count, ngx_msec_t deadline, ngx_lyftr_error_t *err);
void ngx_lyftr_count_free(ngx_lyftr_count_t *count);

/* reads the largest senders, of those that are counted, and keeps them */
ngx_int_t ngx_lyftr_count_top(ngx_lyftr_sqlite_t *c, ngx_lyftr_top_t *top,
    ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_count_write_top(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_top_t *top, ngx_lyftr_error_t *err);

/*
 * Ranks all senders, some at a time: those after one, if n have been, and keeps
 * the last; ahead: as they will count once rows have left.  NGX_DONE: there are
 * no more.
 */
ngx_int_t ngx_lyftr_count_rank(ngx_lyftr_sqlite_t *c, ngx_lyftr_top_t *top,
    ngx_lyftr_buf_t *after, int64_t *n, ngx_uint_t ahead,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_parts.c */

/*
 * The next piece of the search index; NGX_DONE: there is nothing to do.  If
 * limit is not 0, parts of a lower number that have rows which were erased are
 * made anew, and it is set to 0 when none is left.
 */
ngx_int_t ngx_lyftr_sqlite_parts_step(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_add_t *add, int64_t *limit, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);

/* the last row that it has */
ngx_int_t ngx_lyftr_sqlite_searched(ngx_lyftr_sqlite_t *c, int64_t *last,
    ngx_lyftr_error_t *err);

/* finds the rows, but those that are known, in the transaction there is */
ngx_int_t ngx_lyftr_sqlite_match(ngx_lyftr_sqlite_t *c, ngx_str_t *needle,
    ngx_lyftr_bitmap_t *bits, ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_jobs.c */

/* goes on counting the rows, up to c->index.last, for the gauges */
ngx_int_t ngx_lyftr_sqlite_many(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_range.c */

typedef struct {
    ngx_lyftr_query_t    *query;
    ngx_lyftr_row_pt      row;
    void                 *data;
    ngx_lyftr_page_t     *page;
    ngx_lyftr_tree_e      kind;
    ngx_lyftr_merge_t   sources;
    int64_t               total;           /* of the range */
    ngx_lyftr_buf_t       keys;
    ngx_str_t             low;
    ngx_str_t             high;
    ngx_str_t             from;            /* if the page is after a row */
    size_t                nafter;          /* its length, in keys */
    ngx_int_t             n;               /* rows of the page */
    int64_t               extra;           /* the last row that may have any */
    ngx_lyftr_position_t  last;
} ngx_lyftr_list_t;


/*
 * Finds the keys that bound the filters, and the page, in a transaction.
 * NGX_DECLINED: the position is no row's.
 */
ngx_int_t ngx_lyftr_sqlite_bounds(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_lyftr_error_t *err);

/* the same, and opens the sources within these bounds */
ngx_int_t ngx_lyftr_sqlite_range(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_lyftr_error_t *err);

/*
 * Looks for the row of a position, with a statement that gives what the indexes
 * know of one, and is to be reset.  NGX_OK: it is there; NGX_DONE: it left;
 * NGX_DECLINED: it never was in this store.
 */
ngx_int_t ngx_lyftr_sqlite_locate(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_position_t *position, sqlite3_stmt *st, ngx_lyftr_error_t *err);

/*
 * Is a key within the bounds?  NGX_OK, NGX_DECLINED: it is not, or NGX_DONE: on
 * a page before.
 */
ngx_int_t ngx_lyftr_sqlite_within(ngx_lyftr_list_t *list, u_char *key,
    size_t len);

/* is it on a page before, if it is within the others? */
ngx_uint_t ngx_lyftr_sqlite_passed(ngx_lyftr_list_t *list, u_char *key,
    size_t len);

/* the key of a row, at the end of keys; where it is there, and how long */
ngx_int_t ngx_lyftr_sqlite_key(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, int64_t seq, ngx_lyftr_buf_t *keys, size_t *key,
    size_t *len, ngx_lyftr_error_t *err);

/* gives the next row of the page; NGX_DONE: it is on the next page */
ngx_int_t ngx_lyftr_sqlite_emit(ngx_lyftr_sqlite_t *c, ngx_lyftr_list_t *list,
    int64_t seq, ngx_lyftr_error_t *err);

/* the same of the rows of c->given, which are no more than the page has */
ngx_int_t ngx_lyftr_sqlite_emit_given(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_search.c */

/* lists, and counts, the rows that contain query->q */
ngx_int_t ngx_lyftr_sqlite_search(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_lyftr_error_t *err);

/* the same of all pages if they have few rows, and the index tells which; else
 * NGX_DECLINED */
ngx_int_t ngx_lyftr_sqlite_search_few(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_lyftr_error_t *err);

/* does a row contain it?  NGX_OK or NGX_DECLINED */
ngx_int_t ngx_lyftr_sqlite_search_one(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_query_t *query, int64_t seq, ngx_lyftr_error_t *err);


#endif /* _NGX_LYFTR_SQLITE_INDEX_H_INCLUDED_ */

/*
 * The segments that follow the log, and what is read from them.
 */


#ifndef _NGX_LYFTR_SQLITE_INDEX_H_INCLUDED_
#define _NGX_LYFTR_SQLITE_INDEX_H_INCLUDED_


#include <ngx_lyftr_sqlite.h>


/* the highest level of segments: so many rows as a tree has blocks at most */
#define NGX_LYFTR_LEVELS           5

/*
 * Children of a block, at least, if it is not the last of its level; and levels
 * of blocks.  There are 2^30 numbers for those of a level, and each level has
 * a sixteenth of the blocks of the one below, so the ninth has one: 16^8 is
 * more than 2^30.
 */
#define NGX_LYFTR_CHILDREN         16
#define NGX_LYFTR_HEIGHT           9

/* bytes of a key in a block that has children, at most */
#ifndef NGX_LYFTR_SEPARATOR
#define NGX_LYFTR_SEPARATOR        128
#endif


/* ngx_lyftr_key.c */

/* an upper bound of a sender's key */
size_t ngx_lyftr_key_len(ngx_lyftr_sqlite_row_t *row);

/* each writes a part, and returns its end */
u_char *ngx_lyftr_key_sender(u_char *p, ngx_str_t *from);
u_char *ngx_lyftr_key_time(u_char *p, ngx_lyftr_sqlite_row_t *row);

/* the sender of such a part, in buf if need be; NGX_ERROR: no memory */
ngx_int_t ngx_lyftr_key_read(ngx_str_t *part, ngx_lyftr_buf_t *buf,
    ngx_str_t *from);

/* the beginning of all keys of that time */
u_char *ngx_lyftr_key_instant(u_char *p, ngx_str_t *instant);


/* ngx_lyftr_filter.c */

size_t ngx_lyftr_filter_len(int64_t rows);
void ngx_lyftr_filter_add(u_char *filter, size_t len, uint64_t hash);
ngx_uint_t ngx_lyftr_filter_has(u_char *filter, size_t len,
    uint64_t hash);


/* ngx_lyftr_iterator.c */

/* a place in a tree of a segment, at the entry of that rank */

typedef struct {
    ngx_lyftr_segment_t *segment;
    ngx_lyftr_tree_e     kind;
    int64_t              number;           /* of the block */
    int64_t              rank;
    ngx_lyftr_buf_t      data;
    ngx_lyftr_block_t    block;
} ngx_lyftr_iterator_t;


#define NGX_LYFTR_LEVEL_FILTER     15
#define NGX_LYFTR_FILTER_PART      4032    /* bytes in one block */

/* the key of a block in its table */
#define NGX_LYFTR_BLOCK_SEGMENT    36
#define NGX_LYFTR_BLOCK_LEVEL      30
#define ngx_lyftr_sqlite_block_no(segment, kind, level, n)                    \
    ((int64_t) (segment) << NGX_LYFTR_BLOCK_SEGMENT                           \
     | (int64_t) (kind) << 34                                                 \
     | (int64_t) (level) << NGX_LYFTR_BLOCK_LEVEL | (int64_t) (n))

#define ngx_lyftr_sqlite_block_kind(no)   ((no) >> 34 & 3)
#define ngx_lyftr_sqlite_block_level(no)                                      \
    ((no) >> NGX_LYFTR_BLOCK_LEVEL & NGX_LYFTR_LEVEL_FILTER)

/* the key of an id: its hash, big endian */
#define ngx_lyftr_sqlite_hash_key(p, hash)                                    \
    do {                                                                      \
        uint64_t  h__ = htobe64(hash);                                        \
        ngx_memcpy(p, &h__, sizeof(uint64_t));                                \
    } while (0)

#define ngx_lyftr_iterator_end(cursor)  \
    ((cursor)->rank >= (cursor)->segment->rows)

#define ngx_lyftr_iterator_seq(cursor)  \
    ((cursor)->segment->first + (cursor)->block.value)

void ngx_lyftr_iterator_init(ngx_lyftr_iterator_t *cursor,
    ngx_lyftr_segment_t *segment, ngx_lyftr_tree_e kind);
void ngx_lyftr_iterator_free(ngx_lyftr_iterator_t *cursor);

/*
 * To the first entry whose key is not less, or the last whose key is; to the
 * entry of a rank; to the last; to the next, or the one before.  NGX_OK or
 * NGX_ERROR; after the last, the rank is the number of rows, and before the
 * first it is -1.
 */
ngx_int_t ngx_lyftr_iterator_seek(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_iterator_t *cursor, u_char *key, size_t len,
    ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_iterator_at(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_iterator_t *cursor, int64_t rank, ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_iterator_next(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_iterator_t *cursor, ngx_lyftr_error_t *err);

ngx_int_t ngx_lyftr_iterator_before(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_iterator_t *cursor, u_char *key, size_t len,
    ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_iterator_last(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_iterator_t *cursor, ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_iterator_prev(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_iterator_t *cursor, ngx_lyftr_error_t *err);

ngx_int_t ngx_lyftr_sqlite_damaged(ngx_lyftr_error_t *err);


/* ngx_lyftr_builder.c */

/* makes the trees of a segment from entries that come in order */

typedef struct {
    ngx_lyftr_buf_t      block;            /* the one being filled */
    ngx_lyftr_buf_t      key;              /* of its last entry */
    int64_t              n;                /* blocks before it */
    ngx_uint_t           entries;          /* of it, */
    int64_t              total;            /* and of all */
} ngx_lyftr_builder_level_t;


typedef struct {
    int64_t                  segment;
    ngx_lyftr_tree_e         kind;
    int64_t                  rank;
    ngx_uint_t               height;
    ngx_lyftr_builder_level_t  level[NGX_LYFTR_HEIGHT];

    /* finished blocks: their number, length and bytes */
    ngx_lyftr_buf_t          out;          /* of level 0, */
    ngx_lyftr_buf_t          upper;        /* and the others */
} ngx_lyftr_builder_t;


void ngx_lyftr_builder_begin(ngx_lyftr_builder_t *build, int64_t segment,
    ngx_lyftr_tree_e kind);
ngx_int_t ngx_lyftr_builder_add(ngx_lyftr_builder_t *build, u_char *key,
    size_t len, int64_t value);

/* finishes the last blocks of all levels, and moves them to out */
ngx_int_t ngx_lyftr_builder_end(ngx_lyftr_builder_t *build);
ngx_int_t ngx_lyftr_builder_filter(ngx_lyftr_builder_t *build, u_char *filter,
    size_t len);
void ngx_lyftr_builder_free(ngx_lyftr_builder_t *build);

/* stores up to max of the finished blocks; in a transaction that writes */
ngx_int_t ngx_lyftr_builder_store(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_builder_t *build, size_t *from, ngx_uint_t max,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_compaction.c */

/* makes a segment, of rows of the log or of other segments, piece by piece */

typedef struct {
    ngx_uint_t               active;
    ngx_uint_t               aside;        /* it is not put in its place */
    ngx_lyftr_segment_t      segment;      /* it makes this one */
    ngx_uint_t               kind;         /* and is at this tree */
    ngx_uint_t               ended;        /* of which it has all entries */
    ngx_lyftr_builder_t        build;
    size_t                   stored;       /* bytes of what is built */

    /* of rows */
    ngx_lyftr_buf_t          keys;
    ngx_lyftr_buf_t          rows;
    uint32_t                *order;
    ngx_uint_t               pos;

    /* of segments */
    ngx_lyftr_segment_t      from[NGX_LYFTR_FANOUT];
    ngx_lyftr_iterator_t       cursor[NGX_LYFTR_FANOUT];
    ngx_lyftr_buf_t          id[NGX_LYFTR_FANOUT];
    int64_t                  id_of[NGX_LYFTR_FANOUT];  /* the row, or 0 */
    ngx_uint_t               nfrom;
} ngx_lyftr_compaction_t;


/* of the rows after first, up to last */
ngx_int_t ngx_lyftr_compaction_flush(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_compaction_t *job,
    int64_t first, int64_t last, ngx_msec_t deadline, ngx_lyftr_error_t *err);

/* of n segments, which follow each other */
ngx_int_t ngx_lyftr_compaction_merge(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_compaction_t *job,
    ngx_lyftr_segment_t *from, ngx_uint_t n, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);

/* the next piece; NGX_DONE: the segment is in its place */
ngx_int_t ngx_lyftr_compaction_step(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_compaction_t *job,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
void ngx_lyftr_compaction_free(ngx_lyftr_compaction_t *job);

/* puts a segment in its place, which is free; in a transaction */
ngx_int_t ngx_lyftr_compaction_place(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_segment_t *segment, ngx_lyftr_error_t *err);

/* fills *err; NGX_ERROR */
ngx_int_t ngx_lyftr_compaction_memory(ngx_lyftr_error_t *err);


/* ngx_lyftr_compaction_entry.c */

/* adds the next entry to the tree that is being made */
ngx_int_t ngx_lyftr_compaction_entry(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_compaction_t *job,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_count.c */

/* counts the rows of each sender, after those that are counted */

typedef struct {
    ngx_uint_t           active;
    int64_t              to;               /* the last row */
    ngx_lyftr_buf_t      tally;            /* of the rows, by sender */
    size_t               done;             /* bytes of it */
    ngx_uint_t           ntop;
    int64_t              count[NGX_LYFTR_TOP_SENDERS];
    ngx_lyftr_buf_t      sender[NGX_LYFTR_TOP_SENDERS];
} ngx_lyftr_count_t;


ngx_int_t ngx_lyftr_count_begin(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_count_t *count, int64_t to, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);

/* the next piece; NGX_DONE: all is counted */
ngx_int_t ngx_lyftr_count_step(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_count_t *count, ngx_msec_t deadline, ngx_lyftr_error_t *err);
void ngx_lyftr_count_free(ngx_lyftr_count_t *count);

/* reads the largest senders, of those that are counted */
ngx_int_t ngx_lyftr_count_top(ngx_lyftr_sqlite_t *c, ngx_lyftr_count_t *count,
    ngx_lyftr_error_t *err);

/* keeps the largest senders */
ngx_int_t ngx_lyftr_count_write_top(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_count_t *count, ngx_lyftr_error_t *err);

/* puts a sender in its place among the largest; NGX_ERROR: no memory */
ngx_int_t ngx_lyftr_count_rank(ngx_lyftr_count_t *count, ngx_str_t *sender,
    int64_t total);


/* ngx_lyftr_sqlite_jobs.c */

/* goes on counting the rows, up to c->last, for the gauges */
ngx_int_t ngx_lyftr_sqlite_many(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err);


/* ngx_lyftr_merge.c */

typedef struct {
    ngx_lyftr_iterator_t   cursor;
    ngx_lyftr_chunk_t   *chunk;            /* NULL: a segment */
    uint32_t            *order;
    int64_t              rows;
    int64_t              low;              /* ranks of the range, */
    int64_t              high;
    int64_t              passed;           /* entries of it */
    int64_t              step;
    ngx_str_t            key;              /* of the entry that was loaded */
    int64_t              seq;
    ngx_uint_t           own;              /* order is to be freed */
    unsigned             placed:1;         /* the cursor is at its rank */
    unsigned             loaded:1;
} ngx_lyftr_merge_child_t;


typedef struct {
    ngx_lyftr_merge_child_t  *elts;
    ngx_uint_t           n;
    ngx_uint_t           desc;             /* from the last to the first */
} ngx_lyftr_merge_t;


/*
 * Of the segments, and of c->view; to be closed in any case.  Once it is open,
 * desc may be set.
 */
ngx_int_t ngx_lyftr_merge_open(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_merge_t *sources, ngx_lyftr_tree_e kind,
    ngx_lyftr_error_t *err);
void ngx_lyftr_merge_close(ngx_lyftr_merge_t *sources);

/* from low on, before high; one that is empty is no limit */
ngx_int_t ngx_lyftr_merge_range(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_merge_t *sources, ngx_str_t *low, ngx_str_t *high,
    int64_t *total, ngx_lyftr_error_t *err);

/* passes over those that are less than the key; if desc is set, that are not */
ngx_int_t ngx_lyftr_merge_after(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_merge_t *sources, ngx_str_t *key, ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_merge_skip(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_merge_t *sources, int64_t skip, ngx_lyftr_error_t *err);

/* NGX_DONE: there is none */
ngx_int_t ngx_lyftr_merge_next(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_merge_t *sources, ngx_lyftr_merge_child_t **next,
    ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_merge_last(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_merge_t *sources, int64_t *seq, ngx_lyftr_error_t *err);

/* the key and the seq of the entry of that rank, which is there */
ngx_int_t ngx_lyftr_merge_child_load(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_merge_child_t *source, int64_t rank, ngx_lyftr_error_t *err);


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


/* ngx_lyftr_sqlite_search.c */

/* lists, and counts, the rows that contain query->q */
ngx_int_t ngx_lyftr_sqlite_search(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_list_t *list, ngx_lyftr_error_t *err);

/* does a row contain it?  NGX_OK or NGX_DECLINED */
ngx_int_t ngx_lyftr_sqlite_search_one(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_query_t *query, int64_t seq, ngx_lyftr_error_t *err);


#endif /* _NGX_LYFTR_SQLITE_INDEX_H_INCLUDED_ */

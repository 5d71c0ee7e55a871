/*
 * A library of sorted segments that follow a log of rows: memtable, trees of
 * keys in blocks, filters, merging iterator, flush, compaction, the largest
 * senders, and the search for a needle.  What holds blocks and rows gives it a
 * few functions.  It never knows SQLite, a connection, its transactions and
 * files, a lock of others, or a request.
 */


#ifndef _NGX_LYFTR_INDEX_H_INCLUDED_
#define _NGX_LYFTR_INDEX_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_message.h>
#include <ngx_lyftr_block.h>
#include <ngx_lyftr_memtable.h>
#include <ngx_lyftr_trigram.h>


/*
 * A segment is made of so many rows, and so many segments of a level become
 * one of the next: the more rows, the fewer segments that a read looks into,
 * and the more rows are kept in memory, which the successor of a leader that
 * was killed has to read first.  Fewer in unit tests.
 */
#ifndef NGX_LYFTR_SEGMENT
#define NGX_LYFTR_SEGMENT          20480
#endif
#ifndef NGX_LYFTR_FANOUT
#define NGX_LYFTR_FANOUT           8
#endif

/* rows of a part of the search index, and of one that takes their place */
#ifndef NGX_LYFTR_SEARCH_PART
#define NGX_LYFTR_SEARCH_PART      4096
#endif
#ifndef NGX_LYFTR_SEARCH_ROWS
#define NGX_LYFTR_SEARCH_ROWS      65536
#endif

/* the highest level of segments: so many rows as a tree has blocks at most */
#define NGX_LYFTR_LEVELS           5

/* the first byte of the key of a time */
#define NGX_LYFTR_KEY_TEXT         0x00
#define NGX_LYFTR_KEY_INSTANT      0x01


/* of a row of the log, what an index may want to know */

typedef struct {
    int64_t              seq;
    uint64_t             hash;             /* of the id */
    ngx_str_t            instant;
    ngx_uint_t           text;             /* it is a ts that is none */
    ngx_str_t            message_id;
    ngx_str_t            from;

    /* if asked for */
    uint64_t             sum;              /* of all that was sent */
    ngx_str_t            body;             /* data is NULL: it has none */
} ngx_lyftr_row_t;


/* which of these are asked for */

typedef enum {
    NGX_LYFTR_ROWS_KEYS = 0,
    NGX_LYFTR_ROWS_SUMS,
    NGX_LYFTR_ROWS_BODIES                  /* and of the others, the seq only */
} ngx_lyftr_rows_e;


/* the tables of blocks */

typedef enum {
    NGX_LYFTR_BLOCKS_TREE = 0,
    NGX_LYFTR_BLOCKS_GRAM,
    NGX_LYFTR_BLOCKS
} ngx_lyftr_blocks_e;


/* NGX_OK: the next one, NGX_DONE: no more, or NGX_ERROR, with *err filled */

typedef ngx_int_t (*ngx_lyftr_block_pt)(void *data, int64_t no, u_char *p,
    size_t len, ngx_lyftr_error_t *err);
typedef ngx_int_t (*ngx_lyftr_index_row_pt)(void *data, ngx_lyftr_row_t *row,
    ngx_lyftr_error_t *err);


/*
 * What holds blocks and rows, as one transaction sees them; it is the caller
 * who begins and ends that.  All return NGX_ERROR with *err filled, if not
 * NGX_OK or what is said.
 */

typedef struct {

    /* copies a block into buf; NGX_DECLINED: there is none */
    ngx_int_t          (*read)(void *holder, ngx_lyftr_blocks_e table,
                               int64_t no, ngx_lyftr_buf_t *buf,
                               ngx_lyftr_error_t *err);

    /*
     * Gives the blocks in the order of their numbers, from the last one on that
     * is not greater, or the first.  What the last call has returned.
     */
    ngx_int_t          (*scan)(void *holder, ngx_lyftr_blocks_e table,
                               int64_t no, ngx_lyftr_block_pt fn, void *data,
                               ngx_lyftr_error_t *err);

    ngx_int_t          (*put)(void *holder, ngx_lyftr_blocks_e table,
                              int64_t no, u_char *p, size_t len,
                              ngx_lyftr_error_t *err);

    /* deletes the first ones from a number on, before another, up to max */
    ngx_int_t          (*remove)(void *holder, ngx_lyftr_blocks_e table,
                                 int64_t from, int64_t to, ngx_uint_t max,
                                 ngx_uint_t *n, ngx_lyftr_error_t *err);

    /* gives the rows after one, up to another, in order; the same */
    ngx_int_t          (*rows)(void *holder, ngx_lyftr_rows_e what,
                               int64_t after, int64_t to,
                               ngx_lyftr_index_row_pt fn, void *data,
                               ngx_lyftr_error_t *err);
} ngx_lyftr_holder_t;


/* rows of a range of seq, in the order of some keys */

typedef struct {
    int64_t              id;
    ngx_uint_t           level;
    int64_t              first;            /* seq of the row before it */
    int64_t              last;
    int64_t              rows;
    ngx_uint_t           height[NGX_LYFTR_TREES];
    uint64_t             sum;              /* of the rows, */
    ngx_uint_t           summed;           /* if it is known */
    ngx_uint_t           ties;             /* ids of one hash are in order */
    int64_t              time;             /* the caller's, of the last row */

    /* of the ids; the writer's */
    u_char              *filter;
    size_t               filter_len;
} ngx_lyftr_segment_t;


/*
 * Rows that are erased and that older segments still have: all of a sender, or
 * those of a list.
 */

typedef struct {
    int64_t                    number;     /* segments before this one */
    ngx_str_t                  part;       /* that keys of the sender have */
    ngx_lyftr_memtable_row_t  *rows;       /* if part is empty */
    ngx_uint_t                 n;
    uint32_t                  *order[NGX_LYFTR_TREES];
} ngx_lyftr_erased_t;


/* what is read: the segments, and the rows after them */

typedef struct {
    const ngx_lyftr_holder_t  *holder;
    void                      *data;
    uint64_t                   secret;     /* of hashes that are in memory */

    ngx_lyftr_segment_t       *segments;   /* in the order of their rows */
    ngx_uint_t                 nsegments;
    ngx_lyftr_memtable_t      *memtable;
    ngx_lyftr_view_t           view;       /* of the other rows, */
    int64_t                    last;       /* up to this one */
    int64_t                    floor;      /* none up to this one */

    ngx_lyftr_erased_t        *erased;     /* of the segments, these are none */
    ngx_uint_t                 nerased;
    ngx_uint_t                 holes;      /* the log may not have them */
} ngx_lyftr_index_t;


/* ngx_lyftr_index.c */

/* fill *err; NGX_ERROR */
ngx_int_t ngx_lyftr_index_damaged(ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_index_memory(ngx_lyftr_error_t *err);

/* copies the id of a row, which is there */
ngx_int_t ngx_lyftr_index_id(ngx_lyftr_index_t *index, int64_t seq,
    ngx_lyftr_buf_t *id, ngx_lyftr_error_t *err);

/* frees the segments, and their filters */
void ngx_lyftr_index_forget(ngx_lyftr_index_t *index);


/* ngx_lyftr_checksum.c */

/* of bytes, after what else was summed */
uint64_t ngx_lyftr_checksum(uint64_t sum, const void *data, size_t len);

/* of a numbered block, of which those are added up as well */
uint64_t ngx_lyftr_checksum_block(int64_t no, const void *data, size_t len);


/* ngx_lyftr_key.c */

/*
 * A tree: what its keys begin with, and if they end with the time and the id,
 * which every order has that is listed.  head writes that, and returns how long
 * it is, or, if p is NULL, how long it can be.
 */

typedef struct {
    ngx_str_t            name;
    size_t             (*head)(u_char *p, ngx_lyftr_row_t *row);
    ngx_uint_t           time;
} ngx_lyftr_tree_t;

extern ngx_lyftr_tree_t  ngx_lyftr_trees[];

/* an upper bound of a row's keys */
size_t ngx_lyftr_key_len(ngx_lyftr_row_t *row);

/* appends the keys of a row, and takes them down; NGX_ERROR: no memory */
ngx_int_t ngx_lyftr_key_row(ngx_lyftr_row_t *row, ngx_lyftr_buf_t *keys,
    ngx_lyftr_memtable_row_t *to);

/* each writes a part, and returns its end */
u_char *ngx_lyftr_key_sender(u_char *p, ngx_str_t *from);
u_char *ngx_lyftr_key_time(u_char *p, ngx_lyftr_row_t *row);

/* how long the part is that a key begins with; 0: it begins with none */
size_t ngx_lyftr_key_part_len(u_char *key, size_t len);

/* the sender of such a part, in buf if need be; NGX_ERROR: no memory */
ngx_int_t ngx_lyftr_key_read(ngx_str_t *part, ngx_lyftr_buf_t *buf,
    ngx_str_t *from);

/* the beginning of all keys of that time */
u_char *ngx_lyftr_key_instant(u_char *p, ngx_str_t *instant);

/* the key of an id: its hash, big endian */
#define ngx_lyftr_key_hash(p, hash)                                           \
    do {                                                                      \
        uint64_t  h__ = htobe64(hash);                                        \
        ngx_memcpy(p, &h__, sizeof(uint64_t));                                \
    } while (0)


/* ngx_lyftr_filter.c */

size_t ngx_lyftr_filter_len(int64_t rows);
void ngx_lyftr_filter_add(u_char *filter, size_t len, uint64_t hash);
ngx_uint_t ngx_lyftr_filter_has(u_char *filter, size_t len, uint64_t hash);

/* loads that of a segment, or those of all that have none yet */
ngx_int_t ngx_lyftr_filter_load(ngx_lyftr_index_t *index,
    ngx_lyftr_segment_t *segment, ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_filter_load_all(ngx_lyftr_index_t *index,
    ngx_lyftr_error_t *err);


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


#define ngx_lyftr_iterator_end(cursor)  \
    ((cursor)->rank >= (cursor)->segment->rows)

#define ngx_lyftr_iterator_seq(cursor)  \
    ((cursor)->segment->first + (cursor)->block.value)

#define ngx_lyftr_iterator_rank(cursor)   ((cursor)->rank)
#define ngx_lyftr_iterator_rows(cursor)   ((cursor)->segment->rows)

/* of the entry: an ngx_lyftr_buf_t, which changes with the place */
#define ngx_lyftr_iterator_key(cursor)    (&(cursor)->block.key)

/* finds the height of a tree, if it is unknown; 0: there is no such tree */
ngx_int_t ngx_lyftr_iterator_height(ngx_lyftr_index_t *index,
    ngx_lyftr_segment_t *segment, ngx_lyftr_tree_e kind,
    ngx_lyftr_error_t *err);

void ngx_lyftr_iterator_init(ngx_lyftr_iterator_t *cursor,
    ngx_lyftr_segment_t *segment, ngx_lyftr_tree_e kind);
void ngx_lyftr_iterator_free(ngx_lyftr_iterator_t *cursor);

/*
 * To the first entry whose key is not less, or the last whose key is; to the
 * entry of a rank; to the last; to the next, or the one before.  NGX_OK or
 * NGX_ERROR; after the last, the rank is the number of rows, and before the
 * first it is -1.
 */
ngx_int_t ngx_lyftr_iterator_seek(ngx_lyftr_index_t *index,
    ngx_lyftr_iterator_t *cursor, u_char *key, size_t len,
    ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_iterator_before(ngx_lyftr_index_t *index,
    ngx_lyftr_iterator_t *cursor, u_char *key, size_t len,
    ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_iterator_at(ngx_lyftr_index_t *index,
    ngx_lyftr_iterator_t *cursor, int64_t rank, ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_iterator_last(ngx_lyftr_index_t *index,
    ngx_lyftr_iterator_t *cursor, ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_iterator_next(ngx_lyftr_index_t *index,
    ngx_lyftr_iterator_t *cursor, ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_iterator_prev(ngx_lyftr_index_t *index,
    ngx_lyftr_iterator_t *cursor, ngx_lyftr_error_t *err);


/* ngx_lyftr_tally.c */

/* the senders of a segment in order, and how many rows of each are in it */

typedef struct {
    ngx_lyftr_iterator_t   cursor;
    int64_t                last;           /* row that counts; all do: */
    ngx_uint_t             whole;
    ngx_lyftr_buf_t        part;           /* of keys: the one being counted */
    int64_t                rows;
    ngx_lyftr_buf_t        sender;
} ngx_lyftr_tally_t;


/*
 * Begins with the first one.  The segment stays as it is until the end, but
 * each call may be in another transaction.
 */
ngx_int_t ngx_lyftr_tally_begin(ngx_lyftr_index_t *index,
    ngx_lyftr_tally_t *tally, ngx_lyftr_segment_t *segment, int64_t last,
    ngx_lyftr_error_t *err);

/*
 * The next one, whose rows up to the last that counts may be none.  NGX_AGAIN:
 * it has more than max entries, which are counted so far; NGX_DONE.
 */
ngx_int_t ngx_lyftr_tally_next(ngx_lyftr_index_t *index,
    ngx_lyftr_tally_t *tally, ngx_uint_t max, ngx_str_t *sender,
    int64_t *rows, ngx_lyftr_error_t *err);
void ngx_lyftr_tally_free(ngx_lyftr_tally_t *tally);


/* ngx_lyftr_merge_child.c */

typedef struct {
    ngx_lyftr_iterator_t       cursor;
    ngx_lyftr_memtable_row_t  *row;        /* NULL: a segment */
    uint32_t                  *order;
    int64_t                    rows;
    int64_t                    least;      /* ranks that there are, */
    int64_t                    most;
    int64_t                    low;        /* and of the range, */
    int64_t                    high;
    int64_t                    passed;     /* entries of it */
    int64_t                    kept;
    int64_t                    step;
    ngx_str_t                  part;       /* keys are without this one, */
    ngx_lyftr_buf_t            whole;      /* but not in the tree */
    ngx_str_t                  key;        /* of the entry that was loaded */
    int64_t                    seq;
    ngx_uint_t                 own;        /* order is to be freed */
    unsigned                   placed:1;   /* the cursor is at its rank */
    unsigned                   loaded:1;
} ngx_lyftr_merge_child_t;


typedef struct {
    ngx_lyftr_merge_child_t  *elts;
    ngx_uint_t                n;
    ngx_lyftr_merge_child_t **heap;        /* of those that have a next entry */
    ngx_uint_t                nheap;
    ngx_uint_t                heaped;      /* it is one */
    ngx_lyftr_merge_child_t  *erased;      /* of the entries, these are none */
    ngx_uint_t                nerased;
    ngx_uint_t                desc;        /* from the last to the first */
    ngx_lyftr_buf_t           key;
} ngx_lyftr_merge_t;


typedef struct {
    ngx_str_t            key;
    int64_t              seq;              /* of the row */
} ngx_lyftr_entry_t;


/* of a tree, or of a chunk of a view; what has no memory yet is zeroed */
void ngx_lyftr_merge_child_segment(ngx_lyftr_merge_child_t *source,
    ngx_lyftr_segment_t *segment, ngx_lyftr_tree_e kind);
ngx_int_t ngx_lyftr_merge_child_chunk(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_child_t *source, ngx_lyftr_view_chunk_t *part,
    ngx_lyftr_tree_e kind, ngx_lyftr_error_t *err);
void ngx_lyftr_merge_child_free(ngx_lyftr_merge_child_t *source);

/* the rank of the first entry whose key is not less */
ngx_int_t ngx_lyftr_merge_child_bound(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_child_t *source, ngx_str_t *key, int64_t *rank,
    ngx_lyftr_error_t *err);

/* the key and the seq of the entry of that rank, which is there */
ngx_int_t ngx_lyftr_merge_child_load(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_child_t *source, int64_t rank, ngx_lyftr_error_t *err);


/* ngx_lyftr_erased.c */

/* sorts the rows that have been added, but those of newer segments */
ngx_int_t ngx_lyftr_erased_sort(ngx_lyftr_index_t *index,
    ngx_lyftr_erased_t *erased, ngx_lyftr_memtable_row_t *rows, ngx_uint_t n,
    ngx_lyftr_error_t *err);
void ngx_lyftr_erased_free(ngx_lyftr_erased_t *erased);

/* the sources of the rows that are erased */
ngx_int_t ngx_lyftr_erased_open(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_t *sources, ngx_lyftr_tree_e kind, ngx_lyftr_error_t *err);
void ngx_lyftr_erased_close(ngx_lyftr_merge_t *sources);

/* is the next entry one of them?  NGX_OK, and it is passed; NGX_DECLINED */
ngx_int_t ngx_lyftr_erased_has(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_t *sources, ngx_lyftr_entry_t *entry,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_merge.c */

/*
 * Of the segments, and of the view; to be closed in any case.  Once it is open,
 * desc may be set.
 */
ngx_int_t ngx_lyftr_merge_open(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_t *sources, ngx_lyftr_tree_e kind, ngx_lyftr_error_t *err);
void ngx_lyftr_merge_close(ngx_lyftr_merge_t *sources);

/* from low on, before high; one that is empty is no limit */
ngx_int_t ngx_lyftr_merge_range(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_t *sources, ngx_str_t *low, ngx_str_t *high,
    int64_t *total, ngx_lyftr_error_t *err);

/* passes over those that are less than the key; if desc is set, that are not */
ngx_int_t ngx_lyftr_merge_after(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_t *sources, ngx_str_t *key, ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_merge_skip(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_t *sources, int64_t skip, ngx_lyftr_error_t *err);

/* NGX_DONE: there is none; the key is valid until the next call */
ngx_int_t ngx_lyftr_merge_next(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_t *sources, ngx_lyftr_entry_t *entry,
    ngx_lyftr_error_t *err);
/* of the last one; nothing is next after it */
ngx_int_t ngx_lyftr_merge_last(ngx_lyftr_index_t *index,
    ngx_lyftr_merge_t *sources, int64_t *seq, ngx_lyftr_error_t *err);


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
    int64_t                    segment;
    ngx_lyftr_tree_e           kind;
    int64_t                    rank;
    ngx_uint_t                 height;
    ngx_lyftr_builder_level_t  level[NGX_LYFTR_HEIGHT];

    /* finished blocks: their number, length and bytes */
    ngx_lyftr_buf_t            out;        /* of level 0, */
    ngx_lyftr_buf_t            upper;      /* and the others */
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

/* stores up to max of the finished blocks */
ngx_int_t ngx_lyftr_builder_store(ngx_lyftr_index_t *index,
    ngx_lyftr_builder_t *build, size_t *from, ngx_uint_t max,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_policy.c */

/* which segments become one */

typedef struct {
    int64_t              from;             /* none of a lower number, */
    int64_t              after;            /* nor of rows up to this one */
    int64_t              share;            /* of all rows, as many at most */

    /* do two neighbours stay apart, as those of two days?  NULL: none */
    ngx_uint_t         (*apart)(void *data, ngx_lyftr_segment_t *one,
                                ngx_lyftr_segment_t *two);
    void                *data;
    ngx_uint_t           n;                /* that are to be merged */
} ngx_lyftr_policy_t;


/*
 * The first of them, sets n; NULL: there is nothing to merge.  Where no more
 * will come, since those that follow stay apart, fewer become one, too.
 */
ngx_lyftr_segment_t *ngx_lyftr_policy_merge(ngx_lyftr_index_t *index,
    ngx_lyftr_policy_t *policy);


/* ngx_lyftr_compaction.c */

/* rows that a compaction leaves out: which, how many, and the sum of theirs */

typedef struct {
    ngx_uint_t             (*out)(void *data, int64_t seq);
    void                    *data;
    int64_t                  rows;
    uint64_t                 sum;
    int64_t                  first;        /* if these are all up to this one */
} ngx_lyftr_leave_t;


/* makes a segment, of rows of the log or of other segments, piece by piece */

typedef struct {
    ngx_uint_t               active;
    ngx_lyftr_segment_t      segment;      /* it makes this one */
    ngx_uint_t               kind;         /* and is at this tree, */
    ngx_uint_t               begun;        /* which has begun, */
    ngx_uint_t               ended;        /* or of which it has all entries */
    ngx_lyftr_builder_t      build;
    size_t                   stored;       /* bytes of what is built */

    /* of rows */
    ngx_lyftr_buf_t          keys;
    ngx_lyftr_buf_t          rows;
    uint32_t                *order;
    ngx_uint_t               sorted;       /* of them, in runs */
    ngx_uint_t               pos;

    /* of segments */
    ngx_lyftr_segment_t      from[NGX_LYFTR_FANOUT];
    ngx_lyftr_iterator_t     cursor[NGX_LYFTR_FANOUT];
    ngx_lyftr_buf_t          id[NGX_LYFTR_FANOUT];
    int64_t                  id_of[NGX_LYFTR_FANOUT];  /* the row, or 0 */
    ngx_uint_t               nfrom;
    ngx_lyftr_leave_t        leave;        /* out is NULL: none */
} ngx_lyftr_compaction_t;


/* begins one of the rows after first, up to last */
ngx_int_t ngx_lyftr_compaction_flush(ngx_lyftr_index_t *index,
    ngx_lyftr_compaction_t *job, int64_t id, int64_t first, int64_t last,
    ngx_lyftr_error_t *err);

/*
 * Begins one of n segments, which follow each other, without the rows that are
 * left out, if any; of one, that is all it is for.
 */
ngx_int_t ngx_lyftr_compaction_merge(ngx_lyftr_index_t *index,
    ngx_lyftr_compaction_t *job, int64_t id, ngx_lyftr_segment_t *from,
    ngx_uint_t n, ngx_lyftr_leave_t *leave, ngx_lyftr_error_t *err);

/*
 * Sorts a part of the rows, or makes entries for as many blocks as are stored
 * in one go, if there are none yet.
 */
ngx_int_t ngx_lyftr_compaction_read(ngx_lyftr_index_t *index,
    ngx_lyftr_compaction_t *job, ngx_lyftr_error_t *err);

/* has it made what is to be stored? */
#define ngx_lyftr_compaction_waits(job)                                       \
    ((job)->build.out.len || (job)->ended)

/* stores these; NGX_DONE: the segment can be put in its place */
ngx_int_t ngx_lyftr_compaction_write(ngx_lyftr_index_t *index,
    ngx_lyftr_compaction_t *job, ngx_lyftr_error_t *err);
void ngx_lyftr_compaction_free(ngx_lyftr_compaction_t *job);

/* adds the next entry to the tree that is being made */
ngx_int_t ngx_lyftr_compaction_entry(ngx_lyftr_index_t *index,
    ngx_lyftr_compaction_t *job, ngx_lyftr_error_t *err);


/* ngx_lyftr_sweep.c */

typedef ngx_uint_t (*ngx_lyftr_wanted_pt)(void *data, int64_t segment);

/*
 * Deletes up to max blocks, from one on, of a segment that is neither in the
 * list nor wanted; NGX_DONE: there are none.
 */
ngx_int_t ngx_lyftr_sweep(ngx_lyftr_index_t *index, int64_t *from,
    ngx_lyftr_wanted_pt wanted, void *data, ngx_uint_t max,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_top.c */

/* the senders with the most rows */

#define NGX_LYFTR_TOP              10

typedef struct {
    ngx_uint_t           n;
    int64_t              count[NGX_LYFTR_TOP];
    ngx_lyftr_buf_t      sender[NGX_LYFTR_TOP];
} ngx_lyftr_top_t;


/*
 * Puts a sender in its place among them.  NGX_DECLINED: it has fallen to the
 * last one, so that others may be larger, and all have to be ranked anew;
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_lyftr_top_rank(ngx_lyftr_top_t *top, ngx_str_t *sender,
    int64_t total);
void ngx_lyftr_top_free(ngx_lyftr_top_t *top);


/* ngx_lyftr_bitmap.c */

/* a bit for each row of the log, by seq, from the floor on */

typedef struct {
    uint64_t            *words;
    int64_t              before;           /* that are not kept, */
    int64_t              last;             /* row */
    int64_t              first;            /* from the row after this one */
    int64_t              scanned;          /* to this one, all are known */
} ngx_lyftr_bitmap_t;


#define ngx_lyftr_bitmap_at(bits, seq)      ((seq) / 64 - (bits)->before)
#define ngx_lyftr_bitmap_set(bits, seq)                                       \
    ((bits)->words[ngx_lyftr_bitmap_at(bits, seq)]                            \
     |= (uint64_t) 1 << (seq) % 64)
#define ngx_lyftr_bitmap_has(bits, seq)                                       \
    ((bits)->words[ngx_lyftr_bitmap_at(bits, seq)] >> (seq) % 64 & 1)


/* makes room for all rows that are there */
ngx_int_t ngx_lyftr_bitmap_reach(ngx_lyftr_index_t *index,
    ngx_lyftr_bitmap_t *bits, ngx_lyftr_error_t *err);
void ngx_lyftr_bitmap_free(ngx_lyftr_bitmap_t *bits);

/* clears those of the rows up to one */
void ngx_lyftr_bitmap_cut(ngx_lyftr_bitmap_t *bits, int64_t floor);

int64_t ngx_lyftr_bitmap_count(ngx_lyftr_bitmap_t *bits);

/* the first that is set, from seq on; 0 if there is none */
int64_t ngx_lyftr_bitmap_next(ngx_lyftr_bitmap_t *bits, int64_t seq);

/* clears those of all rows that are erased, also outside of the range */
ngx_int_t ngx_lyftr_bitmap_erase(ngx_lyftr_index_t *index,
    ngx_lyftr_bitmap_t *bits, ngx_lyftr_merge_t *sources,
    ngx_lyftr_error_t *err);

/* sets the bits of all rows in the range of the sources */
ngx_int_t ngx_lyftr_bitmap_range(ngx_lyftr_index_t *index,
    ngx_lyftr_bitmap_t *bits, ngx_lyftr_merge_t *sources,
    ngx_lyftr_error_t *err);

/* clears those of the rows that are not in it */
ngx_int_t ngx_lyftr_bitmap_narrow(ngx_lyftr_index_t *index,
    ngx_lyftr_bitmap_t *bits, ngx_lyftr_merge_t *sources,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_search_add.c */

/* a part of the search index: of a range of rows, as the log has them */

typedef struct {
    int64_t              id;
    int64_t              first;            /* the row before it */
    int64_t              last;
} ngx_lyftr_part_t;


/* makes one, piece by piece */

typedef struct {
    ngx_lyftr_part_t       part;           /* id 0: none is being made */
    ngx_uint_t             level;          /* the caller's, */
    int64_t                old;            /* and this */
    int64_t                seq;            /* the last row that was read */
    ngx_uint_t             sorted;
    ngx_uint_t             ended;          /* out has the last block */
    uint64_t               sum;            /* of the blocks that are stored */
    ngx_lyftr_trigrams_t   grams;
    ngx_lyftr_buf_t        out;
} ngx_lyftr_search_add_t;


/* reads some texts; NGX_DONE: all, so there are blocks to be stored */
ngx_int_t ngx_lyftr_search_add_read(ngx_lyftr_index_t *index,
    ngx_lyftr_search_add_t *add, ngx_lyftr_error_t *err);

/*
 * Makes as many blocks as are stored in one go; and stores these.  NGX_DONE: it
 * was the last of them.
 */
ngx_int_t ngx_lyftr_search_add_blocks(ngx_lyftr_search_add_t *add,
    ngx_lyftr_error_t *err);
ngx_int_t ngx_lyftr_search_add_write(ngx_lyftr_index_t *index,
    ngx_lyftr_search_add_t *add, ngx_lyftr_error_t *err);
void ngx_lyftr_search_add_free(ngx_lyftr_search_add_t *add);

/* deletes some blocks of a part; NGX_DONE: it has no more */
ngx_int_t ngx_lyftr_search_sweep(ngx_lyftr_index_t *index, int64_t id,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_search_match.c */

/*
 * Finds the rows whose text contains a folded needle, but those that are known,
 * by the parts, in their order, and by reading the texts after these.
 */
ngx_int_t ngx_lyftr_search_match(ngx_lyftr_index_t *index, ngx_str_t *needle,
    ngx_lyftr_part_t *parts, ngx_uint_t n, ngx_lyftr_bitmap_t *bits,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_search_scan.c */

/* reads the texts of the rows that are not known yet, for so many msec */
ngx_int_t ngx_lyftr_search_scan(ngx_lyftr_index_t *index, ngx_str_t *needle,
    ngx_lyftr_bitmap_t *bits, ngx_msec_t max, ngx_lyftr_error_t *err);

/* the same of those only that are wanted */
ngx_int_t ngx_lyftr_search_wanted(ngx_lyftr_index_t *index, ngx_str_t *needle,
    ngx_lyftr_bitmap_t *bits, ngx_lyftr_bitmap_t *wanted, ngx_msec_t max,
    ngx_lyftr_error_t *err);

/* does the text of a row contain it?  NGX_OK, NGX_DECLINED or NGX_ERROR */
ngx_int_t ngx_lyftr_search_contains(ngx_lyftr_index_t *index, int64_t seq,
    ngx_str_t *needle, ngx_lyftr_error_t *err);


#endif /* _NGX_LYFTR_INDEX_H_INCLUDED_ */

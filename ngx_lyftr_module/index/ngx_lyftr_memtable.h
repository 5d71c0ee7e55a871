/*
 * The rows of the log that no segment has yet, as keys in memory: one for all
 * connections of a process.  A chunk holds the rows of a fixed range of seq
 * and only grows, so that what a reader has seen of it stays.
 */


#ifndef _NGX_LYFTR_MEMTABLE_H_INCLUDED_
#define _NGX_LYFTR_MEMTABLE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* a power of two; segments end at a multiple of it, but for short ones */
#ifndef NGX_LYFTR_CHUNK
#define NGX_LYFTR_CHUNK            1024
#endif

/* bytes of keys, after which a row gets the first number of the next chunk */
#define NGX_LYFTR_CHUNK_LEN        (1024 * 1024)

#define ngx_lyftr_memtable_number(seq)                                        \
    (((seq) - 1) & ~(int64_t) (NGX_LYFTR_CHUNK - 1))


/* the trees of a segment; the order is that of the table in ngx_lyftr_key.c */

typedef enum {
    NGX_LYFTR_TREE_ID = 0,                 /* the hash of the id */
    NGX_LYFTR_TREE_TIME,
    NGX_LYFTR_TREE_SENDER,
    NGX_LYFTR_TREES
} ngx_lyftr_tree_e;


/* the keys of a row follow each other, or are the end of another one */

typedef struct {
    int64_t              seq;
    uint64_t             hash;             /* of the id */
    u_char              *key;
    uint32_t             size;             /* of all */
    uint32_t             id;               /* where it is, */
    uint32_t             nid;              /* and how long */
    uint32_t             at[NGX_LYFTR_TREES];
    uint32_t             len[NGX_LYFTR_TREES];
} ngx_lyftr_memtable_row_t;


typedef struct ngx_lyftr_memtable_arena_s  ngx_lyftr_memtable_arena_t;
typedef struct ngx_lyftr_chunk_s  ngx_lyftr_chunk_t;
typedef struct ngx_lyftr_memtable_s  ngx_lyftr_memtable_t;

struct ngx_lyftr_chunk_s {
    ngx_lyftr_chunk_t        *next;
    int64_t                   number;      /* of seq - 1, less the low bits */
    ngx_uint_t                refs;
    ngx_uint_t                n;
    ngx_lyftr_memtable_row_t    row[NGX_LYFTR_CHUNK];
    ngx_lyftr_memtable_arena_t        *arena;

    /* of a chunk that is full; made when needed */
    uint32_t                 *order[NGX_LYFTR_TREES];
};


/* what a transaction sees: the rows after the segments, up to its last */

typedef struct {
    ngx_lyftr_chunk_t        *chunk;
    ngx_lyftr_memtable_row_t *row;         /* of it the first that is seen, */
    ngx_uint_t                n;           /* and how many */
} ngx_lyftr_view_chunk_t;


typedef struct {
    ngx_lyftr_view_chunk_t   *chunks;
    ngx_uint_t                nchunks;
    ngx_uint_t                max;
    int64_t                   rows;
} ngx_lyftr_view_t;


/* NULL: no memory.  Others of the process attach to what there is. */
ngx_lyftr_memtable_t *ngx_lyftr_memtable_attach(void **shared);
void ngx_lyftr_memtable_detach(void **shared);

/* while rows are added, no other thread adds any */
void ngx_lyftr_memtable_lock(ngx_lyftr_memtable_t *memtable);
void ngx_lyftr_memtable_unlock(ngx_lyftr_memtable_t *memtable);

/*
 * Under the lock: the last row that is there, after what the segments hold was
 * forgotten, but for what another transaction may still want.
 */
int64_t ngx_lyftr_memtable_last(ngx_lyftr_memtable_t *memtable,
    int64_t indexed);

/* under the lock; a row that is there is passed over.  NGX_ERROR: no memory */
ngx_int_t ngx_lyftr_memtable_add(ngx_lyftr_memtable_t *memtable,
    ngx_lyftr_memtable_row_t *row);

/* NGX_DECLINED: the oldest of these rows are gone.  NGX_ERROR: no memory */
ngx_int_t ngx_lyftr_memtable_view(ngx_lyftr_memtable_t *memtable,
    ngx_lyftr_view_t *view, int64_t indexed, int64_t last);
void ngx_lyftr_memtable_leave(ngx_lyftr_memtable_t *memtable,
    ngx_lyftr_view_t *view);

/* the memory of a view that was left */
void ngx_lyftr_memtable_view_free(ngx_lyftr_view_t *view);

/* the key of a row in a tree */

static ngx_inline u_char *
ngx_lyftr_memtable_key(ngx_lyftr_memtable_row_t *row, ngx_lyftr_tree_e kind,
    size_t *len)
{
    *len = row->len[kind];

    return row->key + row->at[kind];
}


/*
 * The rows of a part of a view in order, by their places after its first one;
 * NULL: no memory.  If own is set, it is to be freed.
 */
uint32_t *ngx_lyftr_memtable_order(ngx_lyftr_memtable_t *memtable,
    ngx_lyftr_view_chunk_t *part, ngx_lyftr_tree_e kind, ngx_uint_t *own);

/* fills order with the numbers of n rows; the memory is for 2 * n */
void ngx_lyftr_memtable_sort(ngx_lyftr_memtable_row_t *rows, ngx_uint_t n,
    ngx_lyftr_tree_e kind, uint32_t *order);

/* n numbers, of which the first half and the rest are in order; spare: half */
void ngx_lyftr_memtable_join(ngx_lyftr_memtable_row_t *rows, ngx_uint_t n,
    ngx_uint_t half, ngx_lyftr_tree_e kind, uint32_t *order, uint32_t *spare);


#endif /* _NGX_LYFTR_MEMTABLE_H_INCLUDED_ */

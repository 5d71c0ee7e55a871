/*
 * The index of q.  A gram is three bytes that follow each other in a folded
 * text; the index knows of each gram the rows, and in them the places, where
 * it stands.  So bytes that follow each other in a needle are looked for where
 * they follow each other in a text, and no text has to be read.
 */


#ifndef _NGX_LYFTR_TRIGRAM_H_INCLUDED_
#define _NGX_LYFTR_TRIGRAM_H_INCLUDED_


#include <ngx_lyftr_sqlite_index.h>


#define NGX_LYFTR_GRAM             3

/* rows of a part of the index, and of one that takes the place of parts */
#ifndef NGX_LYFTR_SEARCH_PART
#define NGX_LYFTR_SEARCH_PART      4096
#endif
#ifndef NGX_LYFTR_SEARCH_ROWS
#define NGX_LYFTR_SEARCH_ROWS      65536
#endif

/* bytes of memory, after which either ends earlier */
#ifndef NGX_LYFTR_SEARCH_MEMORY
#define NGX_LYFTR_SEARCH_MEMORY    (24 * 1024 * 1024)
#endif

/* bytes of a block: one fills a page of SQLite */
#ifndef NGX_LYFTR_GRAM_BLOCK
#define NGX_LYFTR_GRAM_BLOCK       4000
#endif

/* the key of a block: of its first gram, and the pieces of it before */
#define NGX_LYFTR_GRAM_PART        40
#define ngx_lyftr_postings_no(id, gram, piece)                                \
    ((int64_t) (id) << NGX_LYFTR_GRAM_PART                                    \
     | (int64_t) (gram) << 16 | (int64_t) (piece))

#define ngx_lyftr_postings_of(p)                                              \
    ((uint32_t) (p)[0] << 16 | (p)[1] << 8 | (p)[2])


/* ngx_lyftr_trigram.c */

/* where a gram stands: numbers, of which each is the distance to the last */

typedef struct {
    uint32_t             gram;             /* and one; 0: there is none */
    uint32_t             row;              /* the last place */
    uint32_t             pos;
    uint32_t             first;            /* pieces of memory */
    uint32_t             last;
    uint32_t             len;              /* bytes */
} ngx_lyftr_postings_t;


typedef struct {
    ngx_lyftr_postings_t    *slots;            /* a hash table, then in order */
    ngx_uint_t           size;
    uint64_t             odd;              /* drawn at random: of the hash */
    ngx_uint_t           n;
    ngx_lyftr_buf_t      memory;
    ngx_lyftr_buf_t      text;

    /* what the next block begins with */
    ngx_uint_t           next;
    uint32_t             done;             /* bytes of it, */
    uint32_t             pieces;
    uint32_t             at;               /* and where the others are */
} ngx_lyftr_trigrams_t;


/* NGX_ERROR: no memory */
ngx_int_t ngx_lyftr_trigrams_add(ngx_lyftr_trigrams_t *grams, uint32_t row,
    u_char *text, size_t len);

/* before the first block; nothing is added after that */
void ngx_lyftr_trigrams_sort(ngx_lyftr_trigrams_t *grams);

/* the next block; its length, or 0: there is none */
size_t ngx_lyftr_trigrams_block(ngx_lyftr_trigrams_t *grams, u_char *block,
    int64_t id, int64_t *no);
void ngx_lyftr_trigrams_free(ngx_lyftr_trigrams_t *grams);

/* NGX_OK, or NGX_DECLINED: there is no number */
ngx_int_t ngx_lyftr_postings_read(u_char **p, u_char *last, uint64_t *n);

/* a gram in a block; NGX_DECLINED: it has none, NGX_ERROR: this is no block */
ngx_int_t ngx_lyftr_postings_find(u_char *block, size_t len, uint32_t gram,
    ngx_str_t *list, ngx_uint_t *more);


/* ngx_lyftr_search_add.c */

/* makes a part of the index, piece by piece */

typedef struct {
    int64_t              id;               /* 0: none is being made */
    ngx_uint_t           level;
    int64_t              first;            /* the row before it, */
    int64_t              last;
    int64_t              seq;              /* and the last one read */
    ngx_uint_t           sorted;
    ngx_uint_t           ended;            /* out has the last block */
    uint64_t             sum;              /* of the blocks that are stored */
    ngx_lyftr_trigrams_t    grams;
    ngx_lyftr_buf_t      out;
} ngx_lyftr_search_add_t;


/* NGX_DONE: there is nothing to do */
ngx_int_t ngx_lyftr_search_add_step(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_add_t *grow,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
void ngx_lyftr_search_add_free(ngx_lyftr_search_add_t *grow);


/* ngx_lyftr_bitmap.c */

/* a bit for each row of the log, by seq */

typedef struct {
    uint64_t            *words;
    int64_t              last;             /* row */
    int64_t              first;            /* from the row after this one */
    int64_t              scanned;          /* to this one, all are known */
} ngx_lyftr_bitmap_t;


#define ngx_lyftr_bitmap_words(last)        ((last) / 64 + 1)
#define ngx_lyftr_bitmap_set(bits, seq)                                       \
    ((bits)->words[(seq) / 64] |= (uint64_t) 1 << (seq) % 64)
#define ngx_lyftr_bitmap_has(bits, seq)                                       \
    ((bits)->words[(seq) / 64] >> (seq) % 64 & 1)


/* makes room for all rows that are there; words are to be freed */
ngx_int_t ngx_lyftr_bitmap_reach(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_bitmap_t *bits, ngx_lyftr_error_t *err);
int64_t ngx_lyftr_bitmap_count(ngx_lyftr_bitmap_t *bits);

/* the first that is set, from seq on; 0 if there is none */
int64_t ngx_lyftr_bitmap_next(ngx_lyftr_bitmap_t *bits, int64_t seq);

/* sets the bits of all rows in the range of the sources */
ngx_int_t ngx_lyftr_bitmap_range(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_bitmap_t *bits,
    ngx_lyftr_merge_t *sources, ngx_lyftr_error_t *err);

/* clears those of the rows that are not in it */
ngx_int_t ngx_lyftr_bitmap_narrow(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_bitmap_t *bits, ngx_lyftr_merge_t *sources,
    ngx_lyftr_error_t *err);


/* ngx_lyftr_sqlite_scan.c */

/*
 * Finds the rows after one whose text contains the folded needle, reading all
 * of these texts, or those that are wanted if that is not NULL: then only
 * these are known.  The transaction that there is ends, and another one begins,
 * in which there may be more rows.
 */
ngx_int_t ngx_lyftr_sqlite_scan(ngx_lyftr_sqlite_t *c, ngx_str_t *needle,
    ngx_lyftr_bitmap_t *bits, int64_t from, ngx_lyftr_bitmap_t *wanted,
    ngx_lyftr_error_t *err);

/* what is after bits->scanned, in the transaction that there is */
ngx_int_t ngx_lyftr_sqlite_scan_rest(ngx_lyftr_sqlite_t *c, ngx_str_t *needle,
    ngx_lyftr_bitmap_t *bits, ngx_lyftr_error_t *err);

/* does the text of a row contain it?  NGX_OK, NGX_DECLINED or NGX_ERROR */
ngx_int_t ngx_lyftr_sqlite_contains(ngx_lyftr_sqlite_t *c, int64_t seq,
    ngx_str_t *needle, ngx_lyftr_error_t *err);


/* ngx_lyftr_search_match.c */

/* the last row that the index has */
ngx_int_t ngx_lyftr_sqlite_searched(ngx_lyftr_sqlite_t *c, int64_t *last,
    ngx_lyftr_error_t *err);

/* finds the rows, but those that are known, in the transaction there is */
ngx_int_t ngx_lyftr_sqlite_match(ngx_lyftr_sqlite_t *c, ngx_str_t *needle,
    ngx_lyftr_bitmap_t *bits, ngx_lyftr_error_t *err);


#endif /* _NGX_LYFTR_TRIGRAM_H_INCLUDED_ */

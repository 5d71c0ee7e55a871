/*
 * The index of q.  A gram is three bytes that follow each other in a folded
 * text; the index knows of each gram the rows, and in them the places, where
 * it stands.  So bytes that follow each other in a needle are looked for where
 * they follow each other in a text, and no text has to be read.
 */


#ifndef _NGX_LYFTR_TRIGRAM_H_INCLUDED_
#define _NGX_LYFTR_TRIGRAM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_block.h>


#define NGX_LYFTR_GRAM             3

/* bytes of memory, after which a part ends earlier */
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
    uint64_t             secret;           /* of the hash */
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


#endif /* _NGX_LYFTR_TRIGRAM_H_INCLUDED_ */

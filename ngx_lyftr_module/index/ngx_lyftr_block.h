/*
 * Blocks of entries in the order of their keys: what a segment consists of.
 * An entry is a key, any bytes, and a number; a key shares its beginning with
 * the one before it.  A block begins with a number of its own.
 */


#ifndef _NGX_LYFTR_BLOCK_H_INCLUDED_
#define _NGX_LYFTR_BLOCK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* a block is full at so many bytes: three of them fill a page of SQLite */
#ifndef NGX_LYFTR_BLOCK_LEN
#define NGX_LYFTR_BLOCK_LEN        1300
#endif

/*
 * Children of a block, at least, if it is not the last of its level; and levels
 * of blocks.  There are 2^30 numbers for those of a level, and each level has
 * a sixteenth of the blocks of the one below, so the ninth has one: 16^8 is
 * more than 2^30.
 */
#define NGX_LYFTR_CHILDREN         16
#define NGX_LYFTR_HEIGHT           9

/* that of a tree which is not known until its blocks are asked */
#define NGX_LYFTR_HEIGHT_UNKNOWN   255

/* bytes of a key in a block that has children, at most */
#ifndef NGX_LYFTR_SEPARATOR
#define NGX_LYFTR_SEPARATOR        128
#endif

/* blocks of a filter are of a level of their own, and so long */
#define NGX_LYFTR_LEVEL_FILTER     15
#define NGX_LYFTR_FILTER_PART      4032

/* the number of a block: its segment, tree, level, and which it is of these */
#define NGX_LYFTR_BLOCK_SEGMENT    36
#define NGX_LYFTR_BLOCK_LEVEL      30
#define ngx_lyftr_block_no(segment, kind, level, n)                           \
    ((int64_t) (segment) << NGX_LYFTR_BLOCK_SEGMENT                           \
     | (int64_t) (kind) << 34                                                 \
     | (int64_t) (level) << NGX_LYFTR_BLOCK_LEVEL | (int64_t) (n))


typedef struct {
    u_char              *data;
    size_t               len;
    size_t               max;
} ngx_lyftr_buf_t;


/*
 * Reads the entries of a block, one after the other, both ways.  The key of the
 * one before is made of what that does not share, and of entries before it: so
 * these are marked once, when the first goes back.
 */

typedef struct {
    u_char              *p;
    u_char              *last;
    int64_t              first;            /* the block's number */
    ngx_lyftr_buf_t      key;              /* of the entry that was read */
    int64_t              value;

    u_char              *entries;          /* where the first begins */
    ngx_uint_t           n;                /* entries before p */
    ngx_lyftr_buf_t      marks;            /* of those that are known */
} ngx_lyftr_block_t;


/* as bytes; a shorter key comes before a longer one that begins with it */

static ngx_inline int
ngx_lyftr_key_cmp(u_char *a, size_t alen, u_char *b, size_t blen)
{
    int     rc;
    size_t  len;

    len = ngx_min(alen, blen);

    /* what is empty may be nowhere */

    rc = len ? ngx_memcmp(a, b, len) : 0;

    return rc ? rc : (alen > blen) - (alen < blen);
}


/* NGX_OK, or NGX_ERROR: no memory */
ngx_int_t ngx_lyftr_buf_reserve(ngx_lyftr_buf_t *buf, size_t len);
ngx_int_t ngx_lyftr_buf_add(ngx_lyftr_buf_t *buf, const void *p, size_t len);
void ngx_lyftr_buf_free(ngx_lyftr_buf_t *buf);


/* begins a block, and appends an entry; prev is the key before, if any */
ngx_int_t ngx_lyftr_block_begin(ngx_lyftr_buf_t *block, int64_t first);
ngx_int_t ngx_lyftr_block_add(ngx_lyftr_buf_t *block, ngx_lyftr_buf_t *prev,
    u_char *key, size_t len, int64_t value);

/*
 * NGX_OK; NGX_DONE after the last entry, or before the first; NGX_DECLINED:
 * this is no block; NGX_ERROR: no memory
 */
ngx_int_t ngx_lyftr_block_open(ngx_lyftr_block_t *block, u_char *data,
    size_t len);
ngx_int_t ngx_lyftr_block_next(ngx_lyftr_block_t *block);
ngx_int_t ngx_lyftr_block_prev(ngx_lyftr_block_t *block);
ngx_int_t ngx_lyftr_block_last(ngx_lyftr_block_t *block);
void ngx_lyftr_block_free(ngx_lyftr_block_t *block);


#endif /* _NGX_LYFTR_BLOCK_H_INCLUDED_ */

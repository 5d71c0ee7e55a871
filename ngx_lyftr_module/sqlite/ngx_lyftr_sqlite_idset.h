/*
 * The ids of the rows that the large indexes have not reached yet, by hash.
 * It belongs to one connection, and its memory is SQLite's.
 */


#ifndef _NGX_LYFTR_SQLITE_IDSET_H_INCLUDED_
#define _NGX_LYFTR_SQLITE_IDSET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    uint64_t                  hash;
    int64_t                   seq;
} ngx_lyftr_sqlite_idset_row_t;


typedef struct {
    ngx_lyftr_sqlite_idset_row_t     *rows;        /* in rising order of seq */
    ngx_uint_t                n;
    ngx_uint_t                max;

    uint32_t                 *slots;       /* 1 + an index of rows, or 0 */
    ngx_uint_t                mask;
} ngx_lyftr_sqlite_idset_t;


/* appends a row; NGX_OK, or NGX_ERROR: no memory */
ngx_int_t ngx_lyftr_sqlite_idset_add(ngx_lyftr_sqlite_idset_t *ids,
    uint64_t hash, int64_t seq);

/*
 * The next row of that hash; *slot is 0 at first and keeps the place.  0 if
 * there is none.
 */
int64_t ngx_lyftr_sqlite_idset_find(ngx_lyftr_sqlite_idset_t *ids,
    uint64_t hash, ngx_uint_t *slot);

/* keeps the rows from first on, up to n of them */
void ngx_lyftr_sqlite_idset_cut(ngx_lyftr_sqlite_idset_t *ids, int64_t first,
    ngx_uint_t n);

void ngx_lyftr_sqlite_idset_free(ngx_lyftr_sqlite_idset_t *ids);


#endif /* _NGX_LYFTR_SQLITE_IDSET_H_INCLUDED_ */

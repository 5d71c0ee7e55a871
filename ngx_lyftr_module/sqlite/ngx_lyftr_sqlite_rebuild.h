/*
 * Makes all that follows the log anew, range by range, while it is in use.
 */


#ifndef _NGX_LYFTR_SQLITE_REBUILD_H_INCLUDED_
#define _NGX_LYFTR_SQLITE_REBUILD_H_INCLUDED_


#include <ngx_lyftr_sqlite_index.h>


typedef struct {
    ngx_uint_t           kept;             /* the request cannot be removed */
    ngx_uint_t           left;             /* blocks have to go */
    ngx_lyftr_compaction_t  job;           /* the segment that is made, */
    ngx_lyftr_buf_t      made;             /* those before it */
    int64_t              at;               /* the last row of them, */
    int64_t              to;               /* and of the range; 0: none */
    ngx_uint_t           counting;         /* all segments are new ones */
    ngx_uint_t           begun;
    ngx_lyftr_buf_t      sender;           /* the last one that is counted */
    ngx_lyftr_buf_t      changes;          /* of counts */
} ngx_lyftr_rebuild_t;


/* the file beside the database by which it is asked for */
#define NGX_LYFTR_SQLITE_REBUILD   "-rebuild"


/* ngx_lyftr_sqlite_rebuild.c */

/* is something half done?  to be done anew */
ngx_uint_t ngx_lyftr_rebuild_active(ngx_lyftr_rebuild_t *rebuild);
void ngx_lyftr_rebuild_forget(ngx_lyftr_rebuild_t *rebuild);

/* are blocks of this segment still wanted? */
ngx_uint_t ngx_lyftr_rebuild_wants(ngx_lyftr_rebuild_t *rebuild, int64_t id);

/* has it left blocks that have to go, since it was asked last? */
ngx_uint_t ngx_lyftr_rebuild_left(ngx_lyftr_rebuild_t *rebuild);


#endif /* _NGX_LYFTR_SQLITE_REBUILD_H_INCLUDED_ */

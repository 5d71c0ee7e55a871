/*
 * What an operation that failed says of it: a code, by which others decide,
 * and a line for the error log.
 */


#ifndef _NGX_LYFTR_ERROR_H_INCLUDED_
#define _NGX_LYFTR_ERROR_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_LYFTR_ERROR_LEN        256


/* the order is that of the table in ngx_lyftr_status.c */

typedef enum {
    NGX_LYFTR_ERR_NONE = 0,
    NGX_LYFTR_ERR_BUSY,          /* locked by somebody until the deadline */
    NGX_LYFTR_ERR_BEHIND,        /* its housekeeping has too much to do, */
    NGX_LYFTR_ERR_STUCK,         /* or fails */
    NGX_LYFTR_ERR_STANDBY,       /* a commit is not confirmed by its copy */
    NGX_LYFTR_ERR_ADOPT,         /* the housekeeping still adopts it */
    NGX_LYFTR_ERR_TIMEOUT,       /* not answered until the deadline */
    NGX_LYFTR_ERR_DATA,          /* this message cannot be stored: too big */
    NGX_LYFTR_ERR_FULL,          /* no space */
    NGX_LYFTR_ERR_READONLY,
    NGX_LYFTR_ERR_OPEN,          /* no such directory, no permission */
    NGX_LYFTR_ERR_MOUNTED,       /* its file is a mount, its log is not in it */
    NGX_LYFTR_ERR_LINKED,        /* its file has two names, each with a log */
    NGX_LYFTR_ERR_NETWORK,       /* a file system of other machines, too */
    NGX_LYFTR_ERR_SCHEMA,        /* not our schema, or a newer one */
    NGX_LYFTR_ERR_CORRUPT,       /* damaged, or not a database */
    NGX_LYFTR_ERR_MOVED,         /* deleted or replaced while it was open */
    NGX_LYFTR_ERR_LOG,           /* a reader keeps its log too long */
    NGX_LYFTR_ERR_OVERLOAD,      /* not of a backend: the queue is full */
    NGX_LYFTR_ERR_FAILED,        /* anything else */
    NGX_LYFTR_ERRS
} ngx_lyftr_err_e;


/* one line, without secrets, SQL or values; not terminated by a zero */

typedef struct {
    ngx_lyftr_err_e      code;
    size_t               len;
    u_char               text[NGX_LYFTR_ERROR_LEN];
} ngx_lyftr_error_t;


#endif /* _NGX_LYFTR_ERROR_H_INCLUDED_ */

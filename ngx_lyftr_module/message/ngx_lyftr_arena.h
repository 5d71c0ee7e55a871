/*
 * Memory for a library that does not look at what its allocator returns: what
 * does not fit jumps out of it.
 */


#ifndef _NGX_LYFTR_ARENA_H_INCLUDED_
#define _NGX_LYFTR_ARENA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <setjmp.h>


/* from this size on a block is large */
#define NGX_LYFTR_ARENA_LARGE      2048

/* what all small blocks have */
#define NGX_LYFTR_ARENA_SMALL      4096

/* what is lost to the head of a block and its alignment */
#define NGX_LYFTR_ARENA_OVERHEAD   32


/*
 * Small blocks and large ones do not stand in each other's way: the last large
 * block grows where it is.
 */

typedef struct {
    u_char              *small;
    u_char              *small_last;
    u_char              *large;
    u_char              *large_last;
    jmp_buf              full;
} ngx_lyftr_arena_t;


void ngx_lyftr_arena_init(ngx_lyftr_arena_t *arena, u_char *p, size_t size);

/* they return memory, or to arena->full; what is freed is not used again */
void *ngx_lyftr_arena_alloc(void *arena, size_t size);
void *ngx_lyftr_arena_realloc(void *arena, void *p, size_t size);
void ngx_lyftr_arena_free(void *arena, void *p);


#endif /* _NGX_LYFTR_ARENA_H_INCLUDED_ */


#include <ngx_lyftr_arena.h>


#define NGX_LYFTR_ARENA_ALIGNMENT  16


/* stands before a block, and is as long as the alignment */

typedef struct {
    size_t               size;
    size_t               unused;
} ngx_lyftr_arena_head_t;


void
ngx_lyftr_arena_init(ngx_lyftr_arena_t *arena, u_char *p, size_t size)
{
    arena->small = p;
    arena->small_last = p + ngx_min(size, NGX_LYFTR_ARENA_SMALL);
    arena->large = arena->small_last;
    arena->large_last = p + size;
}


void *
ngx_lyftr_arena_alloc(void *data, size_t size)
{
    u_char                  *p, **next, *last;
    ngx_lyftr_arena_t       *arena;
    ngx_lyftr_arena_head_t  *head;

    arena = data;

    if (size < NGX_LYFTR_ARENA_LARGE) {
        next = &arena->small;
        last = arena->small_last;

    } else {
        next = &arena->large;
        last = arena->large_last;
    }

    p = ngx_align_ptr(*next, NGX_LYFTR_ARENA_ALIGNMENT);

    if (p > last
        || (size_t) (last - p) < sizeof(ngx_lyftr_arena_head_t)
        || (size_t) (last - p) - sizeof(ngx_lyftr_arena_head_t) < size)
    {
        longjmp(arena->full, 1);
    }

    head = (ngx_lyftr_arena_head_t *) p;
    head->size = size;

    p += sizeof(ngx_lyftr_arena_head_t);
    *next = p + size;

    return p;
}


void *
ngx_lyftr_arena_realloc(void *data, void *old, size_t size)
{
    u_char                  *p;
    ngx_lyftr_arena_t       *arena;
    ngx_lyftr_arena_head_t  *head;

    if (old == NULL) {
        return ngx_lyftr_arena_alloc(data, size);
    }

    arena = data;
    head = (ngx_lyftr_arena_head_t *) old - 1;

    if (size <= head->size) {
        return old;
    }

    if ((u_char *) old + head->size == arena->large
        && (size_t) (arena->large_last - (u_char *) old) >= size)
    {
        head->size = size;
        arena->large = (u_char *) old + size;

        return old;
    }

    p = ngx_lyftr_arena_alloc(data, size);

    ngx_memcpy(p, old, head->size);

    return p;
}


void
ngx_lyftr_arena_free(void *arena, void *p)
{
    /* all of it is freed at once */
}

#include <ngx_lyftr_memtable.h>
#include <ngx_lyftr_block.h>

#include <pthread.h>


#define NGX_LYFTR_ARENA            16384


struct ngx_lyftr_memtable_arena_s {
    ngx_lyftr_memtable_arena_t   *next;
    size_t               len;
    size_t               max;
    u_char               data[];
};


struct ngx_lyftr_memtable_s {
    pthread_mutex_t      mutex;
    ngx_uint_t           refs;             /* connections */
    ngx_lyftr_chunk_t   *head;
    ngx_lyftr_chunk_t   *tail;
    int64_t              from;             /* all rows after it are here, */
    int64_t              last;             /* up to this one */
    int64_t              indexed;          /* what the segments hold, */
    int64_t              before;           /* and what they did before */
};


static ngx_lyftr_chunk_t *ngx_lyftr_memtable_chunk(
    ngx_lyftr_memtable_t *memtable, int64_t seq);
static u_char *ngx_lyftr_memtable_copy(ngx_lyftr_chunk_t *chunk, u_char *data,
    size_t len);
static void ngx_lyftr_memtable_drop(ngx_lyftr_chunk_t *chunk);
static void ngx_lyftr_memtable_forget(ngx_lyftr_memtable_t *memtable,
    int64_t seq);
static void ngx_lyftr_memtable_merge(ngx_lyftr_memtable_row_t *rows,
    ngx_uint_t n, ngx_lyftr_tree_e kind, uint32_t *order, uint32_t *spare);
static ngx_int_t ngx_lyftr_memtable_less(ngx_lyftr_memtable_row_t *a,
    ngx_lyftr_memtable_row_t *b, ngx_lyftr_tree_e kind);


/* of those who attach and detach */
static pthread_mutex_t  ngx_lyftr_memtable_mutex = PTHREAD_MUTEX_INITIALIZER;


ngx_lyftr_memtable_t *
ngx_lyftr_memtable_attach(void **shared)
{
    ngx_lyftr_memtable_t  *memtable;

    (void) pthread_mutex_lock(&ngx_lyftr_memtable_mutex);

    memtable = *shared;

    if (memtable == NULL) {
        memtable = malloc(sizeof(ngx_lyftr_memtable_t));

        if (memtable) {
            ngx_memzero(memtable, sizeof(ngx_lyftr_memtable_t));

            (void) pthread_mutex_init(&memtable->mutex, NULL);
            *shared = memtable;
        }
    }

    if (memtable) {
        memtable->refs++;
    }

    (void) pthread_mutex_unlock(&ngx_lyftr_memtable_mutex);

    return memtable;
}


void
ngx_lyftr_memtable_detach(void **shared)
{
    ngx_lyftr_memtable_t  *memtable;

    (void) pthread_mutex_lock(&ngx_lyftr_memtable_mutex);

    memtable = *shared;

    if (--memtable->refs == 0) {
        ngx_lyftr_memtable_forget(memtable, INT64_MAX);
        (void) pthread_mutex_destroy(&memtable->mutex);
        free(memtable);
        *shared = NULL;
    }

    (void) pthread_mutex_unlock(&ngx_lyftr_memtable_mutex);
}


void
ngx_lyftr_memtable_lock(ngx_lyftr_memtable_t *memtable)
{
    (void) pthread_mutex_lock(&memtable->mutex);
}


void
ngx_lyftr_memtable_unlock(ngx_lyftr_memtable_t *memtable)
{
    (void) pthread_mutex_unlock(&memtable->mutex);
}


int64_t
ngx_lyftr_memtable_last(ngx_lyftr_memtable_t *memtable, int64_t indexed)
{
    if (indexed > memtable->indexed) {
        memtable->before = memtable->indexed;
        memtable->indexed = indexed;

        ngx_lyftr_memtable_forget(memtable, memtable->before);
    }

    if (memtable->last < indexed) {
        ngx_lyftr_memtable_forget(memtable, INT64_MAX);
        memtable->from = indexed;
        memtable->last = indexed;
    }

    return memtable->last;
}


/* drops the chunks of which no row is after seq */

static void
ngx_lyftr_memtable_forget(ngx_lyftr_memtable_t *memtable, int64_t seq)
{
    ngx_lyftr_chunk_t  *chunk;

    while ((chunk = memtable->head) != NULL
           && chunk->number + NGX_LYFTR_CHUNK <= seq)
    {
        memtable->head = chunk->next;
        memtable->from = chunk->number + NGX_LYFTR_CHUNK;
        chunk->next = NULL;

        ngx_lyftr_memtable_drop(chunk);
    }

    if (memtable->head == NULL) {
        memtable->tail = NULL;
    }
}


static void
ngx_lyftr_memtable_drop(ngx_lyftr_chunk_t *chunk)
{
    ngx_uint_t                   i;
    ngx_lyftr_memtable_arena_t  *arena;

    if (--chunk->refs) {
        return;
    }

    while ((arena = chunk->arena) != NULL) {
        chunk->arena = arena->next;
        free(arena);
    }

    for (i = 0; i < NGX_LYFTR_TREES; i++) {
        free(chunk->order[i]);
    }

    free(chunk);
}


ngx_int_t
ngx_lyftr_memtable_add(ngx_lyftr_memtable_t *memtable,
    ngx_lyftr_memtable_row_t *row)
{
    u_char                    *key;
    ngx_lyftr_chunk_t         *chunk;
    ngx_lyftr_memtable_row_t  *to;

    if (row->seq <= memtable->last) {
        return NGX_OK;
    }

    chunk = ngx_lyftr_memtable_chunk(memtable, row->seq);
    if (chunk == NULL) {
        return NGX_ERROR;
    }

    key = ngx_lyftr_memtable_copy(chunk, row->key, row->size);
    if (key == NULL) {
        return NGX_ERROR;
    }

    to = &chunk->row[chunk->n++];
    *to = *row;
    to->key = key;

    memtable->last = row->seq;

    return NGX_OK;
}


static ngx_lyftr_chunk_t *
ngx_lyftr_memtable_chunk(ngx_lyftr_memtable_t *memtable, int64_t seq)
{
    int64_t             number;
    ngx_lyftr_chunk_t  *chunk;

    number = ngx_lyftr_memtable_number(seq);

    chunk = memtable->tail;

    if (chunk && chunk->number == number) {
        return chunk;
    }

    chunk = malloc(sizeof(ngx_lyftr_chunk_t));
    if (chunk == NULL) {
        return NULL;
    }

    chunk->next = NULL;
    chunk->number = number;
    chunk->refs = 1;
    chunk->n = 0;
    chunk->arena = NULL;

    ngx_memzero(chunk->order, sizeof(chunk->order));

    if (memtable->tail) {
        memtable->tail->next = chunk;

    } else {
        memtable->head = chunk;
    }

    memtable->tail = chunk;

    return chunk;
}


static u_char *
ngx_lyftr_memtable_copy(ngx_lyftr_chunk_t *chunk, u_char *data, size_t len)
{
    u_char                      *p;
    size_t                       max;
    ngx_lyftr_memtable_arena_t  *arena;

    arena = chunk->arena;

    if (arena == NULL || arena->max - arena->len < len) {
        max = ngx_max(NGX_LYFTR_ARENA, len);

        arena = malloc(sizeof(ngx_lyftr_memtable_arena_t) + max);
        if (arena == NULL) {
            return NULL;
        }

        arena->next = chunk->arena;
        arena->len = 0;
        arena->max = max;

        chunk->arena = arena;
    }

    p = arena->data + arena->len;
    arena->len += len;

    ngx_memcpy(p, data, len);

    return p;
}


ngx_int_t
ngx_lyftr_memtable_view(ngx_lyftr_memtable_t *memtable, ngx_lyftr_view_t *view,
    int64_t indexed, int64_t last)
{
    void                      *p;
    ngx_int_t                  rc;
    ngx_uint_t                 n;
    ngx_lyftr_chunk_t         *chunk;
    ngx_lyftr_view_chunk_t    *part;
    ngx_lyftr_memtable_row_t  *row;

    view->nchunks = 0;
    view->rows = 0;

    rc = NGX_OK;

    (void) pthread_mutex_lock(&memtable->mutex);

    if (memtable->from > indexed) {
        rc = NGX_DECLINED;
    }

    for (chunk = memtable->head; chunk && rc == NGX_OK; chunk = chunk->next) {

        if (chunk->number + NGX_LYFTR_CHUNK <= indexed
            || chunk->number >= last)
        {
            continue;
        }

        if (view->nchunks == view->max) {
            n = 2 * view->max + 16;

            p = realloc(view->chunks,
                                  n * sizeof(ngx_lyftr_view_chunk_t));
            if (p == NULL) {
                rc = NGX_ERROR;
                break;
            }

            view->chunks = p;
            view->max = n;
        }

        for (n = chunk->n; n && chunk->row[n - 1].seq > last; n--) {
            /* void */
        }

        for (row = chunk->row; n && row->seq <= indexed; row++) {
            n--;
        }

        if (n == 0) {
            continue;
        }

        part = &view->chunks[view->nchunks++];
        part->chunk = chunk;
        part->row = row;
        part->n = n;

        chunk->refs++;
        view->rows += n;
    }

    (void) pthread_mutex_unlock(&memtable->mutex);

    return rc;
}


void
ngx_lyftr_memtable_leave(ngx_lyftr_memtable_t *memtable,
    ngx_lyftr_view_t *view)
{
    if (view->nchunks == 0) {
        return;
    }

    (void) pthread_mutex_lock(&memtable->mutex);

    while (view->nchunks) {
        ngx_lyftr_memtable_drop(view->chunks[--view->nchunks].chunk);
    }

    (void) pthread_mutex_unlock(&memtable->mutex);
}


void
ngx_lyftr_memtable_view_free(ngx_lyftr_view_t *view)
{
    free(view->chunks);

    view->chunks = NULL;
    view->max = 0;
}


/* that of a full chunk, all of it, is kept; another belongs to the caller */

uint32_t *
ngx_lyftr_memtable_order(ngx_lyftr_memtable_t *memtable,
    ngx_lyftr_view_chunk_t *part, ngx_lyftr_tree_e kind, ngx_uint_t *own)
{
    uint32_t           *order;
    ngx_uint_t          full;
    ngx_lyftr_chunk_t  *chunk;

    chunk = part->chunk;
    full = (part->row == chunk->row
            && part->row[part->n - 1].seq == chunk->number + NGX_LYFTR_CHUNK);

    *own = 0;

    if (full) {
        (void) pthread_mutex_lock(&memtable->mutex);
        order = chunk->order[kind];
        (void) pthread_mutex_unlock(&memtable->mutex);

        if (order) {
            return order;
        }
    }

    order = malloc(2 * part->n * sizeof(uint32_t));
    if (order == NULL) {
        return NULL;
    }

    ngx_lyftr_memtable_sort(part->row, part->n, kind, order);

    *own = 1;

    if (full) {
        (void) pthread_mutex_lock(&memtable->mutex);

        if (chunk->order[kind] == NULL) {
            chunk->order[kind] = order;
            *own = 0;
        }

        (void) pthread_mutex_unlock(&memtable->mutex);
    }

    return order;
}


void
ngx_lyftr_memtable_sort(ngx_lyftr_memtable_row_t *rows, ngx_uint_t n,
    ngx_lyftr_tree_e kind, uint32_t *order)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        order[i] = i;
    }

    ngx_lyftr_memtable_merge(rows, n, kind, order, order + n);
}


/* a merge sort: qsort() takes no argument for its function */

static void
ngx_lyftr_memtable_merge(ngx_lyftr_memtable_row_t *rows, ngx_uint_t n,
    ngx_lyftr_tree_e kind, uint32_t *order, uint32_t *spare)
{
    ngx_uint_t  half;

    if (n < 2) {
        return;
    }

    half = n / 2;

    ngx_lyftr_memtable_merge(rows, half, kind, order, spare);
    ngx_lyftr_memtable_merge(rows, n - half, kind, order + half, spare);

    ngx_lyftr_memtable_join(rows, n, half, kind, order, spare);
}


void
ngx_lyftr_memtable_join(ngx_lyftr_memtable_row_t *rows, ngx_uint_t n,
    ngx_uint_t half, ngx_lyftr_tree_e kind, uint32_t *order, uint32_t *spare)
{
    ngx_uint_t  i, j, k;

    ngx_memcpy(spare, order, half * sizeof(uint32_t));

    for (i = 0, j = half, k = 0; i < half; k++) {

        if (j < n && ngx_lyftr_memtable_less(&rows[order[j]], &rows[spare[i]],
                                             kind))
        {
            order[k] = order[j++];

        } else {
            order[k] = spare[i++];
        }
    }
}


static ngx_int_t
ngx_lyftr_memtable_less(ngx_lyftr_memtable_row_t *a,
    ngx_lyftr_memtable_row_t *b, ngx_lyftr_tree_e kind)
{
    int      rc;
    size_t   alen, blen;
    u_char  *akey, *bkey;

    /* without a look at the keys, which are anywhere in memory */

    if (kind == NGX_LYFTR_TREE_ID && a->hash != b->hash) {
        return a->hash < b->hash;
    }

    akey = ngx_lyftr_memtable_key(a, kind, &alen);
    bkey = ngx_lyftr_memtable_key(b, kind, &blen);

    rc = ngx_lyftr_key_cmp(akey, alen, bkey, blen);

    /* ids of one hash are in order */

    if (rc == 0) {
        rc = ngx_lyftr_key_cmp(a->key + a->id, a->nid, b->key + b->id,
                               b->nid);
    }

    return rc < 0;
}

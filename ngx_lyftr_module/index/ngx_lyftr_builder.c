#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_index.h>


typedef struct {
    int64_t              no;
    size_t               len;
} ngx_lyftr_builder_head_t;


static ngx_int_t ngx_lyftr_builder_push(ngx_lyftr_builder_t *build,
    ngx_uint_t level, u_char *key, size_t len, int64_t value, int64_t rank);
static ngx_uint_t ngx_lyftr_builder_full(ngx_lyftr_builder_t *build,
    ngx_uint_t level, size_t len);
static size_t ngx_lyftr_builder_shortest(ngx_lyftr_buf_t *prev, u_char *key,
    size_t len);
static ngx_int_t ngx_lyftr_builder_finish(ngx_lyftr_builder_t *build,
    ngx_uint_t level);
static ngx_int_t ngx_lyftr_builder_out(ngx_lyftr_builder_t *build,
    ngx_uint_t level, int64_t n, u_char *data, size_t len);


void
ngx_lyftr_builder_begin(ngx_lyftr_builder_t *build, int64_t segment,
    ngx_lyftr_tree_e kind)
{
    ngx_uint_t  i;

    build->segment = segment;
    build->kind = kind;
    build->rank = 0;
    build->height = 1;
    build->out.len = 0;
    build->upper.len = 0;

    for (i = 0; i < NGX_LYFTR_HEIGHT; i++) {
        build->level[i].block.len = 0;
        build->level[i].key.len = 0;
        build->level[i].n = 0;
        build->level[i].entries = 0;
        build->level[i].total = 0;
    }
}


ngx_int_t
ngx_lyftr_builder_add(ngx_lyftr_builder_t *build, u_char *key, size_t len,
    int64_t value)
{
    return ngx_lyftr_builder_push(build, 0, key, len, value, build->rank++);
}


/* rank is that of the first entry of level 0 that the entry stands for */

static ngx_int_t
ngx_lyftr_builder_push(ngx_lyftr_builder_t *build, ngx_uint_t level,
    u_char *key, size_t len, int64_t value, int64_t rank)
{
    size_t                      n;
    ngx_lyftr_builder_level_t  *l;

    l = &build->level[level];

    if (ngx_lyftr_builder_full(build, level, len)) {

        if (ngx_lyftr_builder_finish(build, level) != NGX_OK) {
            return NGX_ERROR;
        }

        /* the first block of all has no entry above yet */

        if (build->height == level + 1) {
            build->height++;

            if (ngx_lyftr_builder_push(build, level + 1, (u_char *) "", 0, 0, 0)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }

        n = level ? len : ngx_lyftr_builder_shortest(&l->key, key, len);

        if (ngx_lyftr_builder_push(build, level + 1, key, n, rank, rank)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (l->entries == 0
        && ngx_lyftr_block_begin(&l->block, l->total) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_lyftr_block_add(&l->block, l->entries ? &l->key : NULL, key, len,
                            value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    l->entries++;
    l->total++;
    l->key.len = 0;

    return ngx_lyftr_buf_add(&l->key, key, len);
}


/*
 * Does the next entry begin a block?  A long key has one of its own, so that
 * no block is longer than the row it is of; above, blocks are bounded by what
 * a separator has, and the height by how many children they have.
 */

static ngx_uint_t
ngx_lyftr_builder_full(ngx_lyftr_builder_t *build, ngx_uint_t level,
    size_t len)
{
    ngx_lyftr_builder_level_t  *l;

    l = &build->level[level];

    if (l->entries < (level ? NGX_LYFTR_CHILDREN : 1)) {
        return 0;
    }

    return l->block.len >= NGX_LYFTR_BLOCK_LEN || len > NGX_LYFTR_BLOCK_LEN;
}


/* of a key, what tells it from the one before, if that is not long */

static size_t
ngx_lyftr_builder_shortest(ngx_lyftr_buf_t *prev, u_char *key, size_t len)
{
    size_t  n, max;

    max = ngx_min(prev->len, len);
    max = ngx_min(max, NGX_LYFTR_SEPARATOR - 1);

    for (n = 0; n < max && prev->data[n] == key[n]; n++) { /* void */ }

    return ngx_min(n + 1, len);
}


static ngx_int_t
ngx_lyftr_builder_finish(ngx_lyftr_builder_t *build, ngx_uint_t level)
{
    ngx_lyftr_builder_level_t  *l;

    l = &build->level[level];

    if (l->entries == 0) {
        return NGX_OK;
    }

    l->entries = 0;

    return ngx_lyftr_builder_out(build, level, l->n++, l->block.data,
                                 l->block.len);
}


/* the upper levels come last, so that the table only grows at its end */

static ngx_int_t
ngx_lyftr_builder_out(ngx_lyftr_builder_t *build, ngx_uint_t level, int64_t n,
    u_char *data, size_t len)
{
    ngx_lyftr_buf_t           *out;
    ngx_lyftr_builder_head_t   head;

    out = level ? &build->upper : &build->out;

    head.no = ngx_lyftr_block_no(build->segment, build->kind, level, n);
    head.len = len;

    if (ngx_lyftr_buf_add(out, &head, sizeof(head)) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_lyftr_buf_add(out, data, len);
}


ngx_int_t
ngx_lyftr_builder_end(ngx_lyftr_builder_t *build)
{
    ngx_uint_t  i;

    for (i = 0; i < build->height; i++) {
        if (ngx_lyftr_builder_finish(build, i) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_lyftr_buf_add(&build->out, build->upper.data,
                             build->upper.len);
}


ngx_int_t
ngx_lyftr_builder_filter(ngx_lyftr_builder_t *build, u_char *filter,
    size_t len)
{
    size_t   size;
    int64_t  n;

    for (n = 0; len; n++) {
        size = ngx_min(len, NGX_LYFTR_FILTER_PART);

        if (ngx_lyftr_builder_out(build, NGX_LYFTR_LEVEL_FILTER, n, filter,
                                  size)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        filter += size;
        len -= size;
    }

    return NGX_OK;
}


void
ngx_lyftr_builder_free(ngx_lyftr_builder_t *build)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_LYFTR_HEIGHT; i++) {
        ngx_lyftr_buf_free(&build->level[i].block);
        ngx_lyftr_buf_free(&build->level[i].key);
    }

    ngx_lyftr_buf_free(&build->out);
    ngx_lyftr_buf_free(&build->upper);
}


ngx_int_t
ngx_lyftr_builder_store(ngx_lyftr_index_t *index, ngx_lyftr_builder_t *build,
    size_t *from, ngx_uint_t max, ngx_lyftr_error_t *err)
{
    u_char                    *p;
    ngx_lyftr_builder_head_t   head;

    while (*from < build->out.len && max--) {
        p = build->out.data + *from;

        ngx_memcpy(&head, p, sizeof(head));

        if (index->holder->put(index->data, NGX_LYFTR_BLOCKS_TREE, head.no,
                               p + sizeof(head), head.len, err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        *from += sizeof(head) + head.len;
    }

    return NGX_OK;
}

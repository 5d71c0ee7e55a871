/* A tree of keys that are in an array, in order, and what its cursors say. */

#ifndef _UNIT_TREE_H_INCLUDED_
#define _UNIT_TREE_H_INCLUDED_


#include "unit_store.h"


#define UNIT_KEYS    4096


static ngx_str_t     keys[UNIT_KEYS];
static ngx_uint_t    nkeys;
static u_char        owner[UNIT_KEYS];     /* the tree that has the key */
static unsigned      seed;


static ngx_inline int
unit_key_cmp(const void *one, const void *two)
{
    const ngx_str_t  *x = one, *y = two;

    return ngx_lyftr_key_cmp(x->data, x->len, y->data, y->len);
}


static ngx_inline void
unit_keys_free(void)
{
    while (nkeys) {
        free(keys[--nkeys].data);
    }
}


/* stores what is built */

static ngx_inline void
unit_tree_store(ngx_lyftr_sqlite_t *c, ngx_lyftr_segment_t *segment,
    ngx_lyftr_builder_t *build, size_t from)
{
    assert_int_equal(ngx_lyftr_builder_end(build), NGX_OK);

    while (from < build->out.len) {
        assert_int_equal(ngx_lyftr_builder_store(&c->index, build, &from, 7,
                                                 &err), NGX_OK);
    }

    segment->rows = build->rank;
    segment->height[build->kind] = build->height;

    ngx_lyftr_builder_free(build);
}


/* of the keys that are its own; the values are their numbers */

static ngx_inline void
unit_tree_build(ngx_lyftr_sqlite_t *c, ngx_lyftr_segment_t *segment,
    ngx_lyftr_tree_e kind, ngx_uint_t own)
{
    size_t             from;
    ngx_uint_t         i;
    ngx_lyftr_builder_t  build;

    ngx_memzero(&build, sizeof(ngx_lyftr_builder_t));

    ngx_lyftr_builder_begin(&build, segment->id, kind);

    assert_int_equal(ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_JOB,
                                            unit_in(10000), &err),
                     NGX_OK);

    for (i = 0, from = 0; i < nkeys; i++) {

        if (owner[i] != own) {
            continue;
        }

        assert_int_equal(ngx_lyftr_builder_add(&build, keys[i].data,
                                               keys[i].len, i), NGX_OK);

        if (i % 100 == 99) {
            assert_int_equal(ngx_lyftr_builder_store(&c->index, &build, &from,
                                                     3, &err), NGX_OK);
        }
    }

    unit_tree_store(c, segment, &build, from);

    assert_int_equal(ngx_lyftr_sqlite_commit(c, &err), NGX_OK);
}


static ngx_inline ngx_uint_t
unit_tree_bound(u_char *key, size_t len)
{
    ngx_uint_t  i;

    for (i = 0; i < nkeys; i++) {
        if (ngx_lyftr_key_cmp(keys[i].data, keys[i].len, key, len) >= 0) {
            break;
        }
    }

    return i;
}


/* the cursor is there */

static ngx_inline void
unit_tree_here(ngx_lyftr_iterator_t *cursor, ngx_int_t rank)
{
    assert_int_equal(cursor->rank, rank);
    assert_int_equal(ngx_lyftr_iterator_end(cursor),
                     rank == (ngx_int_t) nkeys);

    if (rank >= 0 && rank < (ngx_int_t) nkeys) {
        assert_int_equal(ngx_lyftr_iterator_seq(cursor), 1000 + rank);
        unit_equal_bytes(cursor->block.key.data, cursor->block.key.len,
                         keys[rank].data, keys[rank].len, __LINE__);
    }
}


/* and goes on from there, and back past it, and is there again */

static ngx_inline void
unit_tree_at(ngx_lyftr_sqlite_t *c, ngx_lyftr_iterator_t *cursor,
             ngx_uint_t rank)
{
    ngx_int_t  at, end;

    at = rank;
    unit_tree_here(cursor, at);

    end = ngx_min(at + 4, (ngx_int_t) nkeys);

    while (at < end) {
        assert_int_equal(ngx_lyftr_iterator_next(&c->index, cursor, &err),
                         NGX_OK);
        unit_tree_here(cursor, ++at);
    }

    end = ngx_max((ngx_int_t) rank - 8, -1);

    while (at > end) {
        assert_int_equal(ngx_lyftr_iterator_prev(&c->index, cursor, &err),
                         NGX_OK);
        unit_tree_here(cursor, --at);
    }

    while (at >= 0 && at < (ngx_int_t) rank) {
        assert_int_equal(ngx_lyftr_iterator_next(&c->index, cursor, &err),
                         NGX_OK);
        unit_tree_here(cursor, ++at);
    }
}


static ngx_inline void
unit_tree_seek(ngx_lyftr_sqlite_t *c, ngx_lyftr_iterator_t *cursor, u_char *key,
    size_t len)
{
    assert_int_equal(ngx_lyftr_iterator_seek(&c->index, cursor, key, len, &err),
                     NGX_OK);

    unit_tree_at(c, cursor, unit_tree_bound(key, len));

    assert_int_equal(ngx_lyftr_iterator_before(&c->index, cursor, key, len,
                                               &err), NGX_OK);

    unit_tree_here(cursor, (ngx_int_t) unit_tree_bound(key, len) - 1);
}


/* a key, and its neighbours */

static ngx_inline void
unit_tree_around(ngx_lyftr_sqlite_t *c, ngx_lyftr_iterator_t *cursor,
    ngx_str_t *key)
{
    u_char  *p;
    size_t   len;

    len = key->len;
    p = malloc(len + 1);
    ngx_memcpy(p, key->data, len);

    unit_tree_seek(c, cursor, p, len);

    p[len] = 0;
    unit_tree_seek(c, cursor, p, len + 1);

    if (len) {
        unit_tree_seek(c, cursor, p, len - 1);
        p[len - 1]++;
        unit_tree_seek(c, cursor, p, len);
    }

    free(p);
}


#endif /* _UNIT_TREE_H_INCLUDED_ */

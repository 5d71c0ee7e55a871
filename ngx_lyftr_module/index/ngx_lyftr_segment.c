#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>
#include <ngx_lyftr_sqlite_disk.h>


static ngx_int_t ngx_lyftr_sqlite_segments(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static void ngx_lyftr_sqlite_segment(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    ngx_lyftr_segment_t *segment);


ngx_int_t
ngx_lyftr_segments_read(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    sqlite3_stmt              *st;
    ngx_lyftr_sqlite_state_t  *state;

    state = &c->state;
    st = c->stmt[NGX_LYFTR_SQL_STATE];

    if (sqlite3_step(st) != SQLITE_ROW) {
        (void) ngx_lyftr_sqlite_error(c, err);
        (void) sqlite3_reset(st);
        return NGX_ERROR;
    }

    state->generation = sqlite3_column_int64(st, 0);
    state->indexed = sqlite3_column_int64(st, 1);
    state->counted = sqlite3_column_int64(st, 2);
    state->counting = sqlite3_column_int64(st, 3);
    state->senders = sqlite3_column_int64(st, 4);
    state->next = sqlite3_column_int64(st, 5);
    state->damaged = (sqlite3_column_int64(st, 6) != 0);
    state->rebuild = sqlite3_column_int64(st, 7);
    state->mark = sqlite3_column_int64(st, 8);
    state->store = (uint64_t) sqlite3_column_int64(st, 9);

    (void) sqlite3_reset(st);

    if (state->generation == c->generation) {
        return NGX_OK;
    }

    return ngx_lyftr_sqlite_segments(c, err);
}


/* a hint: what lyftr_state says is what counts */

ngx_uint_t
ngx_lyftr_segments_changed(ngx_lyftr_sqlite_t *c)
{
    ngx_atomic_t  *word;

    word = ngx_lyftr_sqlite_word(c, NGX_LYFTR_WORD_GENERATION);

    return word == NULL
           || (int64_t) __atomic_load_n(word, __ATOMIC_RELAXED)
              != c->generation;
}


static ngx_int_t
ngx_lyftr_sqlite_segments(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int                   rc;
    ngx_uint_t            i, n;
    sqlite3_stmt         *st;
    ngx_atomic_t         *word;
    ngx_lyftr_buf_t       list;
    ngx_lyftr_segment_t   segment;

    ngx_memzero(&list, sizeof(ngx_lyftr_buf_t));

    st = c->stmt[NGX_LYFTR_SQL_SEGMENTS];

    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {

        ngx_lyftr_sqlite_segment(c, st, &segment);

        if (ngx_lyftr_buf_add(&list, &segment, sizeof(segment)) != NGX_OK) {
            rc = SQLITE_NOMEM;
            break;
        }
    }

    if (rc != SQLITE_DONE) {
        (void) ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    if (rc != SQLITE_DONE) {
        ngx_lyftr_buf_free(&list);
        return NGX_ERROR;
    }

    /* those that are not in the list any more keep their filters until here */

    n = list.len / sizeof(segment);

    for (i = 0; i < c->nsegments; i++) {
        sqlite3_free(c->segments[i].filter);
    }

    sqlite3_free(c->segments);

    c->segments = (ngx_lyftr_segment_t *) list.data;
    c->nsegments = n;
    c->generation = c->state.generation;

    word = ngx_lyftr_sqlite_word(c, NGX_LYFTR_WORD_GENERATION);

    if (word) {
        __atomic_store_n(word, c->generation, __ATOMIC_RELAXED);
    }

    return NGX_OK;
}


/* takes over the filter that is loaded */

static void
ngx_lyftr_sqlite_segment(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    ngx_lyftr_segment_t *segment)
{
    ngx_uint_t            i;
    ngx_lyftr_segment_t  *old;

    ngx_memzero(segment, sizeof(ngx_lyftr_segment_t));

    segment->id = sqlite3_column_int64(st, 0);
    segment->level = sqlite3_column_int(st, 1);
    segment->first = sqlite3_column_int64(st, 2);
    segment->last = sqlite3_column_int64(st, 3);
    segment->rows = sqlite3_column_int64(st, 4);

    for (i = 0; i < NGX_LYFTR_TREES; i++) {
        segment->height[i] = sqlite3_column_int(st, 5 + i);
    }

    segment->sum = (uint64_t) sqlite3_column_int64(st, 8);
    segment->summed = (sqlite3_column_type(st, 8) != SQLITE_NULL);
    segment->ties = (sqlite3_column_int(st, 9) != 0);

    for (i = 0; i < c->nsegments; i++) {
        old = &c->segments[i];

        if (old->id == segment->id) {
            segment->filter = old->filter;
            segment->filter_len = old->filter_len;
            old->filter = NULL;
        }
    }
}


void
ngx_lyftr_segments_forget(ngx_lyftr_sqlite_t *c)
{
    ngx_uint_t  i;

    for (i = 0; i < c->nsegments; i++) {
        sqlite3_free(c->segments[i].filter);
    }

    sqlite3_free(c->segments);

    c->segments = NULL;
    c->nsegments = 0;
    c->generation = 0;
}


ngx_int_t
ngx_lyftr_segment_filters(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_uint_t  i;

    for (i = 0; i < c->nsegments; i++) {
        if (c->segments[i].filter == NULL
            && ngx_lyftr_segment_filter(c, &c->segments[i], err) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_segment_filter(ngx_lyftr_sqlite_t *c, ngx_lyftr_segment_t *segment,
    ngx_lyftr_error_t *err)
{
    size_t         len, size, part;
    u_char        *filter;
    int64_t        n;
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    size = ngx_lyftr_filter_len(segment->rows);

    filter = sqlite3_malloc64(size);
    if (filter == NULL) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    rc = NGX_OK;
    st = c->stmt[NGX_LYFTR_SQL_BLOCK];

    for (len = 0, n = 0; len < size && rc == NGX_OK; len += part, n++) {
        part = ngx_min(size - len, NGX_LYFTR_FILTER_PART);

        (void) sqlite3_bind_int64(st, 1,
                                  ngx_lyftr_sqlite_block_no(segment->id,
                                                     NGX_LYFTR_TREE_ID,
                                                     NGX_LYFTR_LEVEL_FILTER,
                                                     n));

        switch (sqlite3_step(st)) {

        case SQLITE_ROW:

            if ((size_t) sqlite3_column_bytes(st, 0) == part) {
                ngx_memcpy(filter + len, sqlite3_column_blob(st, 0), part);
                break;
            }

            /* fall through */

        case SQLITE_DONE:
            rc = ngx_lyftr_sqlite_damaged(err);
            break;

        default:
            rc = ngx_lyftr_sqlite_error(c, err);
        }

        (void) sqlite3_reset(st);
    }

    if (rc != NGX_OK) {
        sqlite3_free(filter);
        return NGX_ERROR;
    }

    segment->filter = filter;
    segment->filter_len = size;

    return NGX_OK;
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>
#include <ngx_lyftr_sqlite_index.h>


static ngx_int_t ngx_lyftr_sqlite_segments(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static void ngx_lyftr_sqlite_segment(sqlite3_stmt *st,
    ngx_lyftr_segment_t *segment);
static void ngx_lyftr_sqlite_segment_take(ngx_lyftr_sqlite_t *c,
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
    state->floor = sqlite3_column_int64(st, 10);
    state->step = sqlite3_column_int64(st, 11);
    state->gone = sqlite3_column_int64(st, 12);
    state->gone_bytes = sqlite3_column_int64(st, 13);
    state->erase = sqlite3_column_int64(st, 14);
    state->erasing = sqlite3_column_int64(st, 15);
    state->deleted = sqlite3_column_int64(st, 16);
    state->erased = sqlite3_column_int64(st, 17);
    state->emptying = sqlite3_column_int64(st, 18);
    state->tombs = sqlite3_column_int64(st, 19);

    c->index.holes = (state->erasing != 0);
    c->index.floor = state->floor;

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
    ngx_lyftr_segment_t   segment, *segments;

    ngx_memzero(&list, sizeof(ngx_lyftr_buf_t));

    st = c->stmt[NGX_LYFTR_SQL_SEGMENTS];

    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {

        ngx_lyftr_sqlite_segment(st, &segment);

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

    segments = (ngx_lyftr_segment_t *) list.data;
    n = list.len / sizeof(segment);

    for (i = 0; i < n; i++) {
        ngx_lyftr_sqlite_segment_take(c, &segments[i]);
    }

    /* those that are not in the list any more keep their filters until here */

    ngx_lyftr_index_forget(&c->index);

    c->index.segments = segments;
    c->index.nsegments = n;
    c->generation = 0;

    if (ngx_lyftr_sqlite_erased_read(c, err) != NGX_OK) {
        return NGX_ERROR;
    }

    c->generation = c->state.generation;

    word = ngx_lyftr_sqlite_word(c, NGX_LYFTR_WORD_GENERATION);

    if (word) {
        __atomic_store_n(word, c->generation, __ATOMIC_RELAXED);
    }

    return NGX_OK;
}


static void
ngx_lyftr_sqlite_segment(sqlite3_stmt *st, ngx_lyftr_segment_t *segment)
{
    ngx_uint_t  i;

    ngx_memzero(segment, sizeof(ngx_lyftr_segment_t));

    segment->id = sqlite3_column_int64(st, 0);
    segment->level = sqlite3_column_int(st, 1);
    segment->first = sqlite3_column_int64(st, 2);
    segment->last = sqlite3_column_int64(st, 3);
    segment->rows = sqlite3_column_int64(st, 4);

    for (i = 0; i < NGX_LYFTR_TREES; i++) {
        segment->height[i] = i < NGX_LYFTR_SQLITE_HEIGHTS
                             ? (ngx_uint_t) sqlite3_column_int(st, 5 + i)
                             : NGX_LYFTR_HEIGHT_UNKNOWN;
    }

    segment->sum = (uint64_t) sqlite3_column_int64(st, 8);
    segment->summed = (sqlite3_column_type(st, 8) != SQLITE_NULL);
    segment->ties = (sqlite3_column_int(st, 9) != 0);
}


/* what is in memory of it */

static void
ngx_lyftr_sqlite_segment_take(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_segment_t *segment)
{
    ngx_uint_t            i;
    ngx_lyftr_segment_t  *old;

    for (i = 0; i < c->index.nsegments; i++) {
        old = &c->index.segments[i];

        if (old->id == segment->id) {
            segment->time = old->time;
            segment->filter = old->filter;
            segment->filter_len = old->filter_len;
            old->filter = NULL;
        }
    }
}


void
ngx_lyftr_segments_forget(ngx_lyftr_sqlite_t *c)
{
    ngx_lyftr_index_forget(&c->index);
    ngx_lyftr_sqlite_erased_free(c);

    c->generation = 0;
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_trigram.h>


/* rows that are read in one go, or bytes of texts, whichever are first */
#define NGX_LYFTR_GROW_ROWS        512
#define NGX_LYFTR_GROW_TEXT        (128 * 1024)

/* blocks that are stored, or deleted, in one turn */
#define NGX_LYFTR_GROW_BLOCKS      64


typedef struct {
    int64_t              no;
    size_t               len;
} ngx_lyftr_search_add_head_t;


/* what lyftr_search says */

typedef struct {
    int64_t              last;             /* row that the index has, */
    int64_t              whole;            /* and of those of level 1 */
    int64_t              dead;             /* 0: there is none */
} ngx_lyftr_search_add_state_t;


static ngx_int_t ngx_lyftr_search_add_state(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_add_state_t *state, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_add_sweep(ngx_lyftr_sqlite_t *c, int64_t id,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_add_begin(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_add_t *grow, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_add_rows(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_add_t *grow, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_add_texts(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_add_t *grow, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_add_blocks(ngx_lyftr_search_add_t *grow,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_add_store(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_add_t *grow, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_add_register(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_add_t *grow, uint64_t sum, ngx_lyftr_error_t *err);


/*
 * Parts of a few rows follow the log closely, so that few texts are left to be
 * scanned; one of many rows, made of the log again, takes the place of them.
 */

ngx_int_t
ngx_lyftr_search_add_step(ngx_lyftr_sqlite_t *c, ngx_lyftr_search_add_t *grow,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t                rc;
    ngx_lyftr_search_add_state_t   state;

    if (grow->id) {

        if (grow->seq < grow->last) {
            return ngx_lyftr_search_add_rows(c, grow, deadline, err);
        }

        rc = ngx_lyftr_search_add_store(c, grow, deadline, err);

        if (rc == NGX_DONE) {
            c->searched = ngx_max(c->searched, grow->last);
            ngx_lyftr_search_add_free(grow);
            return NGX_OK;
        }

        return rc;
    }

    rc = ngx_lyftr_search_add_state(c, &state, deadline, err);

    if (rc != NGX_OK) {
        return rc;
    }

    if (state.dead) {
        return ngx_lyftr_search_add_sweep(c, state.dead, deadline, err);
    }

    if (!c->dsn->search) {
        return NGX_DONE;
    }

    if (c->last - state.whole >= NGX_LYFTR_SEARCH_ROWS) {
        grow->level = 1;
        grow->first = state.whole;
        grow->last = state.whole + NGX_LYFTR_SEARCH_ROWS;

    } else if (c->last - state.last >= NGX_LYFTR_SEARCH_PART) {
        grow->level = 0;
        grow->first = state.last;
        grow->last = state.last + NGX_LYFTR_SEARCH_PART;

    } else {
        return NGX_DONE;
    }

    return ngx_lyftr_search_add_begin(c, grow, deadline, err);
}


static ngx_int_t
ngx_lyftr_search_add_state(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_add_state_t *state,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memzero(state, sizeof(ngx_lyftr_search_add_state_t));

    st = c->stmt[NGX_LYFTR_SQL_SEARCH_STATE];

    if (sqlite3_step(st) == SQLITE_ROW) {
        state->last = sqlite3_column_int64(st, 0);
        state->whole = sqlite3_column_int64(st, 1);
        state->dead = sqlite3_column_int64(st, 2);

    } else {
        rc = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


/* its blocks first, then itself */

static ngx_int_t
ngx_lyftr_search_add_sweep(ngx_lyftr_sqlite_t *c, int64_t id,
    ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_UPKEEP, deadline, err);

    if (rc != NGX_OK) {
        return rc;
    }

    st = c->stmt[NGX_LYFTR_SQL_GRAM_DELETE];

    (void) sqlite3_bind_int64(st, 1, ngx_lyftr_postings_no(id, 0, 0));
    (void) sqlite3_bind_int64(st, 2, ngx_lyftr_postings_no(id + 1, 0, 0));
    (void) sqlite3_bind_int64(st, 3, NGX_LYFTR_GROW_BLOCKS);

    rc = ngx_lyftr_sqlite_run(c, st, err);

    if (rc == NGX_OK && sqlite3_changes(c->db) < NGX_LYFTR_GROW_BLOCKS) {
        st = c->stmt[NGX_LYFTR_SQL_SEARCH_DELETE];

        (void) sqlite3_bind_int64(st, 1, id);

        rc = ngx_lyftr_sqlite_run(c, st, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


/* if its maker goes away, it is there, and dead */

static ngx_int_t
ngx_lyftr_search_add_begin(ngx_lyftr_sqlite_t *c, ngx_lyftr_search_add_t *grow,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    int64_t    id;
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_UPKEEP, deadline, err);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_lyftr_sqlite_run(c, c->stmt[NGX_LYFTR_SQL_SEARCH_ADD], err);
    id = sqlite3_last_insert_rowid(c->db);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc == NGX_OK) {
        grow->id = id;
        grow->seq = grow->first;
    }

    return rc;
}


static ngx_int_t
ngx_lyftr_search_add_rows(ngx_lyftr_sqlite_t *c, ngx_lyftr_search_add_t *grow,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_search_add_texts(c, grow, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc == NGX_OK && grow->grams.memory.len >= NGX_LYFTR_SEARCH_MEMORY) {
        grow->last = grow->seq;
    }

    return rc;
}


static ngx_int_t
ngx_lyftr_search_add_texts(ngx_lyftr_sqlite_t *c, ngx_lyftr_search_add_t *grow,
    ngx_lyftr_error_t *err)
{
    int            rc;
    size_t         len;
    int64_t        to;
    ngx_str_t      text;
    sqlite3_stmt  *st;

    rc = SQLITE_ROW;
    to = ngx_min(grow->seq + NGX_LYFTR_GROW_ROWS, grow->last);
    st = c->stmt[NGX_LYFTR_SQL_TEXTS];

    (void) sqlite3_bind_int64(st, 1, grow->seq);
    (void) sqlite3_bind_int64(st, 2, to);

    for (len = 0; len < NGX_LYFTR_GROW_TEXT; len += text.len) {

        rc = sqlite3_step(st);

        if (rc != SQLITE_ROW) {
            break;
        }

        grow->seq = sqlite3_column_int64(st, 0);
        ngx_lyftr_sqlite_column(st, 1, &text);

        if (ngx_lyftr_trigrams_add(&grow->grams, grow->seq - grow->first,
                                   text.data, text.len)
            != NGX_OK)
        {
            (void) sqlite3_reset(st);
            return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                         "no memory");
        }
    }

    /* rows may be missing */

    if (rc == SQLITE_DONE) {
        grow->seq = to;

    } else if (rc != SQLITE_ROW) {
        (void) ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return rc == SQLITE_DONE || rc == SQLITE_ROW ? NGX_OK : NGX_ERROR;
}


/* as many as are stored in one turn; what is there is stored first */

static ngx_int_t
ngx_lyftr_search_add_blocks(ngx_lyftr_search_add_t *grow,
    ngx_lyftr_error_t *err)
{
    u_char                 *p;
    ngx_uint_t              i;
    ngx_lyftr_search_add_head_t   head;

    if (!grow->sorted) {
        ngx_lyftr_trigrams_sort(&grow->grams);
        grow->sorted = 1;
    }

    if (grow->out.len) {
        return NGX_OK;
    }

    for (i = 0; i < NGX_LYFTR_GROW_BLOCKS; i++) {

        if (ngx_lyftr_buf_reserve(&grow->out,
                                  sizeof(head) + NGX_LYFTR_GRAM_BLOCK)
            != NGX_OK)
        {
            return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                         "no memory");
        }

        p = grow->out.data + grow->out.len;

        head.len = ngx_lyftr_trigrams_block(&grow->grams, p + sizeof(head),
                                            grow->id, &head.no);

        if (head.len == 0) {
            grow->ended = 1;
            break;
        }

        ngx_memcpy(p, &head, sizeof(head));
        grow->out.len += sizeof(head) + head.len;
    }

    return NGX_OK;
}


/* NGX_DONE: the part is in its place */

static ngx_int_t
ngx_lyftr_search_add_store(ngx_lyftr_sqlite_t *c, ngx_lyftr_search_add_t *grow,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    u_char                 *p;
    uint64_t                sum;
    ngx_int_t               rc;
    sqlite3_stmt           *st;
    ngx_lyftr_search_add_head_t   head;

    rc = ngx_lyftr_search_add_blocks(grow, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_UPKEEP, deadline, err);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    sum = grow->sum;
    st = c->stmt[NGX_LYFTR_SQL_GRAM_ADD];

    for (p = grow->out.data;
         rc == NGX_OK && p < grow->out.data + grow->out.len;
         p += sizeof(head) + head.len)
    {
        ngx_memcpy(&head, p, sizeof(head));

        (void) sqlite3_bind_int64(st, 1, head.no);
        (void) sqlite3_bind_blob64(st, 2, p + sizeof(head), head.len,
                                   SQLITE_STATIC);

        rc = ngx_lyftr_sqlite_run(c, st, err);
        sum += ngx_lyftr_checksum_block(head.no, p + sizeof(head), head.len);
    }

    if (rc == NGX_OK && grow->ended) {
        rc = ngx_lyftr_search_add_register(c, grow, sum, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc != NGX_OK) {
        return rc;
    }

    grow->out.len = 0;
    grow->sum = sum;

    return grow->ended ? NGX_DONE : NGX_OK;
}


static ngx_int_t
ngx_lyftr_search_add_register(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_add_t *grow,
    uint64_t sum, ngx_lyftr_error_t *err)
{
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_SEARCH_DONE];

    (void) sqlite3_bind_int64(st, 1, grow->id);
    (void) sqlite3_bind_int64(st, 2, grow->level);
    (void) sqlite3_bind_int64(st, 3, grow->first);
    (void) sqlite3_bind_int64(st, 4, grow->last);
    (void) sqlite3_bind_int64(st, 5, (int64_t) sum);

    if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (grow->level == 0) {
        return NGX_OK;
    }

    st = c->stmt[NGX_LYFTR_SQL_SEARCH_RETIRE];

    (void) sqlite3_bind_int64(st, 1, grow->last);

    return ngx_lyftr_sqlite_run(c, st, err);
}


void
ngx_lyftr_search_add_free(ngx_lyftr_search_add_t *grow)
{
    ngx_lyftr_trigrams_free(&grow->grams);
    ngx_lyftr_buf_free(&grow->out);

    ngx_memzero(grow, sizeof(ngx_lyftr_search_add_t));
}

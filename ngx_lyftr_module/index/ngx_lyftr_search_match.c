#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_trigram.h>


/* so few places are looked at in the texts, rather than in more lists */
#define NGX_LYFTR_MATCH_FEW        8


/* grams that together are the needle */

typedef struct {
    uint32_t             gram;
    uint32_t             offset;
    size_t               len;              /* of the list that was last read */
} ngx_lyftr_search_match_gram_t;


typedef struct {
    ngx_str_t               *needle;
    ngx_lyftr_search_match_gram_t  *grams;
    ngx_uint_t               n;
    ngx_lyftr_buf_t          list;

    /* where the needle may begin: the row, and the byte, in one number */
    ngx_lyftr_buf_t          places;
} ngx_lyftr_search_match_t;


static ngx_int_t ngx_lyftr_search_match_parts(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_match_t *match, ngx_lyftr_bitmap_t *bits, int64_t *covered,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_match_grams(ngx_lyftr_search_match_t *match);
static ngx_int_t ngx_lyftr_search_match_part(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_match_t *match, ngx_lyftr_bitmap_t *bits, int64_t id,
    int64_t first, ngx_lyftr_error_t *err);
static void ngx_lyftr_search_match_sort(ngx_lyftr_search_match_t *match);
static ngx_int_t ngx_lyftr_search_match_list(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_buf_t *list, int64_t id, uint32_t gram, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_match_first(ngx_lyftr_search_match_t *match,
    uint32_t offset);
static ngx_int_t ngx_lyftr_search_match_next(ngx_lyftr_search_match_t *match,
    uint32_t offset);
static ngx_int_t ngx_lyftr_search_match_texts(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_match_t *match, ngx_lyftr_bitmap_t *bits, int64_t first,
    ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_sqlite_searched(ngx_lyftr_sqlite_t *c, int64_t *last,
    ngx_lyftr_error_t *err)
{
    if (ngx_lyftr_sqlite_int(c, c->stmt[NGX_LYFTR_SQL_SEARCH_STATE], last,
                             err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return *last >= 0 ? NGX_OK : ngx_lyftr_sqlite_damaged(err);
}


ngx_int_t
ngx_lyftr_sqlite_match(ngx_lyftr_sqlite_t *c, ngx_str_t *needle,
    ngx_lyftr_bitmap_t *bits, ngx_lyftr_error_t *err)
{
    int64_t            covered;
    ngx_int_t          rc;
    ngx_lyftr_search_match_t  match;

    if (ngx_lyftr_bitmap_reach(c, bits, err) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&match, sizeof(ngx_lyftr_search_match_t));

    match.needle = needle;

    covered = bits->first ? 0 : bits->scanned;
    rc = NGX_OK;

    if (needle->len >= NGX_LYFTR_GRAM) {
        rc = ngx_lyftr_search_match_parts(c, &match, bits, &covered, err);
    }

    if (rc == NGX_OK) {
        if (bits->first > covered || bits->scanned < covered) {
            bits->scanned = covered;
        }

        rc = ngx_lyftr_sqlite_scan_rest(c, needle, bits, err);
    }

    sqlite3_free(match.grams);
    ngx_lyftr_buf_free(&match.list);
    ngx_lyftr_buf_free(&match.places);

    return rc;
}


/* a part may have rows that the one before has, too */

static ngx_int_t
ngx_lyftr_search_match_parts(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_match_t *match,
    ngx_lyftr_bitmap_t *bits, int64_t *covered, ngx_lyftr_error_t *err)
{
    int            rc;
    int64_t        first, last;
    ngx_int_t      ok;
    sqlite3_stmt  *st;

    if (ngx_lyftr_search_match_grams(match) != NGX_OK) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    rc = SQLITE_ROW;
    ok = NGX_OK;
    st = c->stmt[NGX_LYFTR_SQL_SEARCH];

    while (ok == NGX_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        first = sqlite3_column_int64(st, 1);
        last = sqlite3_column_int64(st, 2);

        if (first < 0 || first > *covered || last > bits->last) {
            ok = ngx_lyftr_sqlite_damaged(err);

        } else if (last > *covered) {
            ok = ngx_lyftr_search_match_part(c, match, bits,
                                             sqlite3_column_int64(st, 0),
                                             first, err);
            *covered = last;
        }
    }

    if (ok == NGX_OK && rc != SQLITE_DONE) {
        ok = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return ok;
}


static ngx_int_t
ngx_lyftr_search_match_grams(ngx_lyftr_search_match_t *match)
{
    size_t      offset, end;
    ngx_uint_t  i;

    end = match->needle->len - NGX_LYFTR_GRAM;

    match->n = (match->needle->len + NGX_LYFTR_GRAM - 1) / NGX_LYFTR_GRAM;
    match->grams =
        sqlite3_malloc64(match->n * sizeof(ngx_lyftr_search_match_gram_t));

    if (match->grams == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < match->n; i++) {
        offset = ngx_min(i * NGX_LYFTR_GRAM, end);

        match->grams[i].gram =
                             ngx_lyftr_postings_of(
                                 match->needle->data + offset);
        match->grams[i].offset = offset;
        match->grams[i].len = 0;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_search_match_part(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_match_t *match,
    ngx_lyftr_bitmap_t *bits, int64_t id, int64_t first, ngx_lyftr_error_t *err)
{
    int64_t                  seq;
    uint64_t                *place;
    ngx_int_t                rc;
    ngx_uint_t               i, n;
    ngx_lyftr_search_match_gram_t  *gram;

    ngx_lyftr_search_match_sort(match);

    n = 0;

    for (i = 0; i < match->n; i++) {
        gram = &match->grams[i];

        if (ngx_lyftr_search_match_list(c, &match->list, id, gram->gram, err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        gram->len = match->list.len;

        rc = i ? ngx_lyftr_search_match_next(match, gram->offset)
               : ngx_lyftr_search_match_first(match, gram->offset);

        if (rc != NGX_OK) {
            return rc == NGX_ERROR
                   ? ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                           "no memory")
                   : ngx_lyftr_sqlite_damaged(err);
        }

        n = match->places.len / sizeof(uint64_t);

        if (n == 0) {
            return NGX_OK;
        }

        if (n <= NGX_LYFTR_MATCH_FEW && i + 1 < match->n) {
            return ngx_lyftr_search_match_texts(c, match, bits, first, err);
        }
    }

    place = (uint64_t *) match->places.data;

    for (i = 0; i < n; i++) {
        seq = first + (place[i] >> 32);

        if (seq > bits->last) {
            return ngx_lyftr_sqlite_damaged(err);
        }

        ngx_lyftr_bitmap_set(bits, seq);
    }

    return NGX_OK;
}


/* the rarest first, as far as is known from the part before */

static void
ngx_lyftr_search_match_sort(ngx_lyftr_search_match_t *match)
{
    ngx_uint_t               i, n;
    ngx_lyftr_search_match_gram_t   gram;

    for (n = 1; n < match->n; n++) {
        gram = match->grams[n];

        for (i = n; i && match->grams[i - 1].len > gram.len; i--) {
            match->grams[i] = match->grams[i - 1];
        }

        match->grams[i] = gram;
    }
}


/* one that is not there is empty */

static ngx_int_t
ngx_lyftr_search_match_list(ngx_lyftr_sqlite_t *c, ngx_lyftr_buf_t *list,
    int64_t id, uint32_t gram, ngx_lyftr_error_t *err)
{
    int            rc;
    u_char        *block;
    ngx_int_t      found;
    ngx_str_t      piece;
    ngx_uint_t     more;
    sqlite3_stmt  *st;

    list->len = 0;

    rc = SQLITE_ROW;
    more = 1;
    found = NGX_OK;
    st = c->stmt[NGX_LYFTR_SQL_GRAM];

    (void) sqlite3_bind_int64(st, 1, ngx_lyftr_postings_no(id, gram, 0));

    while (more && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        block = (u_char *) sqlite3_column_blob(st, 1);

        found = ngx_lyftr_postings_find(block, sqlite3_column_bytes(st, 1),
                                        gram,
                                        &piece, &more);

        /* the block is that of a gram before, of this part or another */

        if (found != NGX_OK
            || sqlite3_column_int64(st, 0) < ngx_lyftr_postings_no(id, 0, 0))
        {
            break;
        }

        if (ngx_lyftr_buf_add(list, piece.data, piece.len) != NGX_OK) {
            (void) sqlite3_reset(st);
            return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                         "no memory");
        }
    }

    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        (void) ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        return NGX_ERROR;
    }

    /* the list was to go on */

    if (found == NGX_ERROR || (list->len && more)) {
        return ngx_lyftr_sqlite_damaged(err);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_search_match_first(ngx_lyftr_search_match_t *match, uint32_t offset)
{
    u_char    *p, *last;
    uint64_t   row, pos, n, *place;

    /* a place is two bytes at least */

    match->places.len = 0;

    if (ngx_lyftr_buf_reserve(&match->places,
                              match->list.len / 2 * sizeof(uint64_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    place = (uint64_t *) match->places.data;
    p = match->list.data;
    last = p + match->list.len;
    row = 0;
    pos = 0;

    while (p < last) {
        if (ngx_lyftr_postings_read(&p, last, &n) != NGX_OK) {
            return NGX_DECLINED;
        }

        row += n;
        pos = n ? 0 : pos;

        if (ngx_lyftr_postings_read(&p, last, &n) != NGX_OK) {
            return NGX_DECLINED;
        }

        pos += n;

        if (pos >= offset) {
            *place++ = row << 32 | (pos - offset);
        }
    }

    match->places.len = (u_char *) place - match->places.data;

    return NGX_OK;
}


/* keeps the places that the next gram has, too */

static ngx_int_t
ngx_lyftr_search_match_next(ngx_lyftr_search_match_t *match, uint32_t offset)
{
    u_char    *p, *last;
    uint64_t   row, pos, n, here, *place, *end, *kept;

    place = (uint64_t *) match->places.data;
    end = place + match->places.len / sizeof(uint64_t);
    kept = place;

    p = match->list.data;
    last = p + match->list.len;
    row = 0;
    pos = 0;

    while (p < last && place < end) {
        if (ngx_lyftr_postings_read(&p, last, &n) != NGX_OK) {
            return NGX_DECLINED;
        }

        row += n;
        pos = n ? 0 : pos;

        if (ngx_lyftr_postings_read(&p, last, &n) != NGX_OK) {
            return NGX_DECLINED;
        }

        pos += n;

        if (pos < offset) {
            continue;
        }

        here = row << 32 | (pos - offset);

        while (place < end && *place < here) {
            place++;
        }

        if (place < end && *place == here) {
            *kept++ = *place++;
        }
    }

    match->places.len = (u_char *) kept - match->places.data;

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_search_match_texts(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_search_match_t *match,
    ngx_lyftr_bitmap_t *bits, int64_t first, ngx_lyftr_error_t *err)
{
    int64_t      seq;
    uint64_t    *place, *end;
    ngx_int_t    rc;

    place = (uint64_t *) match->places.data;
    end = place + match->places.len / sizeof(uint64_t);

    for ( /* void */ ; place < end; place++) {
        seq = first + (*place >> 32);

        if (seq > bits->last) {
            return ngx_lyftr_sqlite_damaged(err);
        }

        rc = ngx_lyftr_sqlite_contains(c, seq, match->needle, err);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK) {
            ngx_lyftr_bitmap_set(bits, seq);
        }
    }

    return NGX_OK;
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_index.h>


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


/* a list that is read, piece by piece */

typedef struct {
    ngx_lyftr_buf_t     *buf;
    int64_t              id;
    uint32_t             gram;
    ngx_uint_t           more;
} ngx_lyftr_search_match_list_t;


static ngx_int_t ngx_lyftr_search_match_parts(ngx_lyftr_index_t *index,
    ngx_lyftr_search_match_t *match, ngx_lyftr_part_t *parts, ngx_uint_t n,
    ngx_lyftr_bitmap_t *bits, int64_t *covered, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_match_grams(ngx_lyftr_search_match_t *match);
static ngx_int_t ngx_lyftr_search_match_part(ngx_lyftr_index_t *index,
    ngx_lyftr_search_match_t *match, ngx_lyftr_bitmap_t *bits, int64_t id,
    int64_t first, ngx_lyftr_error_t *err);
static void ngx_lyftr_search_match_sort(ngx_lyftr_search_match_t *match);
static ngx_int_t ngx_lyftr_search_match_list(ngx_lyftr_index_t *index,
    ngx_lyftr_search_match_t *match, int64_t id, uint32_t gram,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_match_block(void *data, int64_t no,
    u_char *p, size_t len, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_search_match_first(ngx_lyftr_search_match_t *match,
    uint32_t offset);
static ngx_int_t ngx_lyftr_search_match_next(ngx_lyftr_search_match_t *match,
    uint32_t offset);
static ngx_int_t ngx_lyftr_search_match_texts(ngx_lyftr_index_t *index,
    ngx_lyftr_search_match_t *match, ngx_lyftr_bitmap_t *bits, int64_t first,
    ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_search_match(ngx_lyftr_index_t *index, ngx_str_t *needle,
    ngx_lyftr_part_t *parts, ngx_uint_t n, ngx_lyftr_bitmap_t *bits,
    ngx_lyftr_error_t *err)
{
    int64_t                    covered;
    ngx_int_t                  rc;
    ngx_lyftr_search_match_t   match;

    if (ngx_lyftr_bitmap_reach(index, bits, err) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&match, sizeof(ngx_lyftr_search_match_t));

    match.needle = needle;

    /* rows that were found may have left, and what does not exist is known */

    ngx_lyftr_bitmap_cut(bits, index->floor);

    covered = ngx_max(index->floor, bits->first ? 0 : bits->scanned);
    rc = NGX_OK;

    if (needle->len >= NGX_LYFTR_GRAM) {
        rc = ngx_lyftr_search_match_parts(index, &match, parts, n, bits,
                                          &covered, err);
    }

    if (rc == NGX_OK) {
        if (bits->first > covered || bits->scanned < covered) {
            bits->scanned = covered;
        }

        rc = ngx_lyftr_search_scan(index, needle, bits, NGX_MAX_INT_T_VALUE,
                                   err);
    }

    free(match.grams);
    ngx_lyftr_buf_free(&match.list);
    ngx_lyftr_buf_free(&match.places);

    return rc;
}


/* a part may have rows that the one before has, too */

static ngx_int_t
ngx_lyftr_search_match_parts(ngx_lyftr_index_t *index,
    ngx_lyftr_search_match_t *match, ngx_lyftr_part_t *parts, ngx_uint_t n,
    ngx_lyftr_bitmap_t *bits, int64_t *covered, ngx_lyftr_error_t *err)
{
    ngx_uint_t         i;
    ngx_lyftr_part_t  *part;

    if (ngx_lyftr_search_match_grams(match) != NGX_OK) {
        return ngx_lyftr_index_memory(err);
    }

    for (i = 0; i < n; i++) {
        part = &parts[i];

        if (part->first < 0 || part->first > *covered
            || part->last > bits->last)
        {
            return ngx_lyftr_index_damaged(err);
        }

        if (part->last <= *covered) {
            continue;
        }

        if (ngx_lyftr_search_match_part(index, match, bits, part->id,
                                        part->first, err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        *covered = part->last;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_search_match_grams(ngx_lyftr_search_match_t *match)
{
    size_t      offset, end;
    ngx_uint_t  i;

    end = match->needle->len - NGX_LYFTR_GRAM;

    match->n = (match->needle->len + NGX_LYFTR_GRAM - 1) / NGX_LYFTR_GRAM;
    match->grams =
        malloc(match->n * sizeof(ngx_lyftr_search_match_gram_t));

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
ngx_lyftr_search_match_part(ngx_lyftr_index_t *index,
    ngx_lyftr_search_match_t *match, ngx_lyftr_bitmap_t *bits, int64_t id,
    int64_t first, ngx_lyftr_error_t *err)
{
    int64_t                         seq;
    uint64_t                       *place;
    ngx_int_t                       rc;
    ngx_uint_t                      i, n;
    ngx_lyftr_search_match_gram_t  *gram;

    ngx_lyftr_search_match_sort(match);

    n = 0;

    for (i = 0; i < match->n; i++) {
        gram = &match->grams[i];

        if (ngx_lyftr_search_match_list(index, match, id, gram->gram, err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        gram->len = match->list.len;

        rc = i ? ngx_lyftr_search_match_next(match, gram->offset)
               : ngx_lyftr_search_match_first(match, gram->offset);

        if (rc != NGX_OK) {
            return rc == NGX_ERROR
                   ? ngx_lyftr_index_memory(err)
                   : ngx_lyftr_index_damaged(err);
        }

        n = match->places.len / sizeof(uint64_t);

        if (n == 0) {
            return NGX_OK;
        }

        if (n <= NGX_LYFTR_MATCH_FEW && i + 1 < match->n) {
            return ngx_lyftr_search_match_texts(index, match, bits, first, err);
        }
    }

    place = (uint64_t *) match->places.data;

    for (i = 0; i < n; i++) {
        seq = first + (place[i] >> 32);

        if (seq > bits->last) {
            return ngx_lyftr_index_damaged(err);
        }

        if (seq > index->floor) {
            ngx_lyftr_bitmap_set(bits, seq);
        }
    }

    return NGX_OK;
}


/* the rarest first, as far as is known from the part before */

static void
ngx_lyftr_search_match_sort(ngx_lyftr_search_match_t *match)
{
    ngx_uint_t                     i, n;
    ngx_lyftr_search_match_gram_t  gram;

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
ngx_lyftr_search_match_list(ngx_lyftr_index_t *index,
    ngx_lyftr_search_match_t *match, int64_t id, uint32_t gram,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_search_match_list_t  list;

    list.buf = &match->list;
    list.id = id;
    list.gram = gram;
    list.more = 1;

    match->list.len = 0;

    if (index->holder->scan(index->data, NGX_LYFTR_BLOCKS_GRAM,
                            ngx_lyftr_postings_no(id, gram, 0),
                            ngx_lyftr_search_match_block, &list, err)
        == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    /* the list was to go on */

    return match->list.len && list.more ? ngx_lyftr_index_damaged(err)
                                        : NGX_OK;
}


static ngx_int_t
ngx_lyftr_search_match_block(void *data, int64_t no, u_char *p, size_t len,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_search_match_list_t *list = data;

    ngx_int_t  rc;
    ngx_str_t  piece;

    rc = ngx_lyftr_postings_find(p, len, list->gram, &piece, &list->more);

    if (rc == NGX_ERROR) {
        return ngx_lyftr_index_damaged(err);
    }

    /* the block is that of a gram before, of this part, or of another part */

    if (rc != NGX_OK
        || no < ngx_lyftr_postings_no(list->id, 0, 0)
        || no >= ngx_lyftr_postings_no(list->id + 1, 0, 0))
    {
        return NGX_DONE;
    }

    if (ngx_lyftr_buf_add(list->buf, piece.data, piece.len) != NGX_OK) {
        return ngx_lyftr_index_memory(err);
    }

    return list->more ? NGX_OK : NGX_DONE;
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
ngx_lyftr_search_match_texts(ngx_lyftr_index_t *index,
    ngx_lyftr_search_match_t *match, ngx_lyftr_bitmap_t *bits, int64_t first,
    ngx_lyftr_error_t *err)
{
    int64_t      seq;
    uint64_t    *place, *end;
    ngx_int_t    rc;

    place = (uint64_t *) match->places.data;
    end = place + match->places.len / sizeof(uint64_t);

    for ( /* void */ ; place < end; place++) {
        seq = first + (*place >> 32);

        if (seq > bits->last) {
            return ngx_lyftr_index_damaged(err);
        }

        if (seq <= index->floor) {
            continue;
        }

        rc = ngx_lyftr_search_contains(index, seq, match->needle, err);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK) {
            ngx_lyftr_bitmap_set(bits, seq);
        }
    }

    return NGX_OK;
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_index.h>
#include <ngx_lyftr_message.h>


#define NGX_LYFTR_GRAM_SLOTS       16384

/* of a gram, and of its length, at the beginning of its list in a block */
#define NGX_LYFTR_GRAM_HEAD        (NGX_LYFTR_GRAM + 5)

/* a list is not cut for less */
#define NGX_LYFTR_GRAM_CUT         32


/* a list is in small pieces of memory, for it grows with every row */

typedef struct {
    uint32_t             next;
    u_char               data[28];
} ngx_lyftr_postings_piece_t;


static ngx_int_t ngx_lyftr_trigrams_grow(ngx_lyftr_trigrams_t *grams);
static ngx_lyftr_postings_t *ngx_lyftr_trigrams_slot(
    ngx_lyftr_trigrams_t *grams, uint32_t gram);
static ngx_int_t ngx_lyftr_trigrams_place(ngx_lyftr_trigrams_t *grams,
    ngx_lyftr_postings_t *gram, uint32_t row, uint32_t pos);
static ngx_int_t ngx_lyftr_trigrams_number(ngx_lyftr_trigrams_t *grams,
    ngx_lyftr_postings_t *gram, uint32_t n);
static ngx_int_t ngx_lyftr_trigrams_byte(ngx_lyftr_trigrams_t *grams,
    ngx_lyftr_postings_t *gram, u_char c);
static int ngx_lyftr_trigrams_cmp(const void *one, const void *two);
static u_char *ngx_lyftr_trigrams_copy(ngx_lyftr_trigrams_t *grams, u_char *p,
    size_t len);


#define ngx_lyftr_trigrams_piece(grams, i)                                    \
    ((ngx_lyftr_postings_piece_t *) (grams)->memory.data + (i))


ngx_int_t
ngx_lyftr_trigrams_add(ngx_lyftr_trigrams_t *grams, uint32_t row, u_char *text,
    size_t len)
{
    u_char                *p;
    size_t                 i, n;
    uint32_t               g;
    ngx_lyftr_postings_t  *gram;

    n = ngx_lyftr_fold(NULL, text, len);

    if (n < NGX_LYFTR_GRAM) {
        return NGX_OK;
    }

    grams->text.len = 0;

    if (ngx_lyftr_buf_reserve(&grams->text, n) != NGX_OK) {
        return NGX_ERROR;
    }

    p = grams->text.data;
    (void) ngx_lyftr_fold(p, text, len);

    for (i = 0; i + NGX_LYFTR_GRAM <= n; i++) {

        if (2 * grams->n >= grams->size
            && ngx_lyftr_trigrams_grow(grams) != NGX_OK)
        {
            return NGX_ERROR;
        }

        g = ngx_lyftr_postings_of(p + i) + 1;
        gram = ngx_lyftr_trigrams_slot(grams, g);

        if (gram->gram == 0) {
            gram->gram = g;
            grams->n++;
        }

        if (ngx_lyftr_trigrams_place(grams, gram, row, i) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_trigrams_grow(ngx_lyftr_trigrams_t *grams)
{
    ngx_uint_t             i, size;
    ngx_lyftr_postings_t  *old;

    old = grams->slots;
    size = grams->size;

    grams->size = size ? 2 * size : NGX_LYFTR_GRAM_SLOTS;
    grams->slots = malloc(grams->size * sizeof(ngx_lyftr_postings_t));

    if (grams->slots == NULL) {
        grams->slots = old;
        grams->size = size;
        return NGX_ERROR;
    }

    ngx_memzero(grams->slots, grams->size * sizeof(ngx_lyftr_postings_t));

    for (i = 0; i < size; i++) {
        if (old[i].gram) {
            *ngx_lyftr_trigrams_slot(grams, old[i].gram) = old[i];
        }
    }

    free(old);

    return NGX_OK;
}


/* texts that are made to fill neighbouring slots must not be possible */

static ngx_lyftr_postings_t *
ngx_lyftr_trigrams_slot(ngx_lyftr_trigrams_t *grams, uint32_t gram)
{
    ngx_uint_t  i;

    i = gram * (grams->secret | 1) >> 32;

    for ( ;; ) {
        i &= grams->size - 1;

        if (grams->slots[i].gram == gram || grams->slots[i].gram == 0) {
            return &grams->slots[i];
        }

        i++;
    }
}


/* the rows since the last place; of the same row, the bytes since that */

static ngx_int_t
ngx_lyftr_trigrams_place(ngx_lyftr_trigrams_t *grams,
    ngx_lyftr_postings_t *gram, uint32_t row, uint32_t pos)
{
    uint32_t  from;

    from = (gram->row == row) ? gram->pos : 0;

    if (ngx_lyftr_trigrams_number(grams, gram, row - gram->row) != NGX_OK
        || ngx_lyftr_trigrams_number(grams, gram, pos - from) != NGX_OK)
    {
        return NGX_ERROR;
    }

    gram->row = row;
    gram->pos = pos;

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_trigrams_number(ngx_lyftr_trigrams_t *grams,
    ngx_lyftr_postings_t *gram, uint32_t n)
{
    while (n >= 0x80) {
        if (ngx_lyftr_trigrams_byte(grams, gram, n | 0x80) != NGX_OK) {
            return NGX_ERROR;
        }

        n >>= 7;
    }

    return ngx_lyftr_trigrams_byte(grams, gram, n);
}


static ngx_int_t
ngx_lyftr_trigrams_byte(ngx_lyftr_trigrams_t *grams,
    ngx_lyftr_postings_t *gram, u_char c)
{
    uint32_t                     i;
    ngx_uint_t                   used;
    ngx_lyftr_postings_piece_t  *piece;

    piece = ngx_lyftr_trigrams_piece(grams, gram->last);
    used = gram->len % sizeof(piece->data);

    if (used == 0) {
        i = grams->memory.len / sizeof(ngx_lyftr_postings_piece_t);

        if (ngx_lyftr_buf_reserve(&grams->memory, sizeof(*piece)) != NGX_OK) {
            return NGX_ERROR;
        }

        grams->memory.len += sizeof(*piece);

        if (gram->len) {
            ngx_lyftr_trigrams_piece(grams, gram->last)->next = i;

        } else {
            gram->first = i;
        }

        gram->last = i;
        piece = ngx_lyftr_trigrams_piece(grams, i);
    }

    piece->data[used] = c;
    gram->len++;

    return NGX_OK;
}


void
ngx_lyftr_trigrams_sort(ngx_lyftr_trigrams_t *grams)
{
    ngx_uint_t  i, n;

    for (i = 0, n = 0; i < grams->size; i++) {
        if (grams->slots[i].gram) {
            grams->slots[n++] = grams->slots[i];
        }
    }

    if (n) {
        ngx_qsort(grams->slots, n, sizeof(ngx_lyftr_postings_t),
                  ngx_lyftr_trigrams_cmp);
    }
}


static int
ngx_lyftr_trigrams_cmp(const void *one, const void *two)
{
    const ngx_lyftr_postings_t *a = one;
    const ngx_lyftr_postings_t *b = two;

    return (a->gram > b->gram) - (a->gram < b->gram);
}


/* of each gram: its bytes, how long its list is and if it goes on, the list */

size_t
ngx_lyftr_trigrams_block(ngx_lyftr_trigrams_t *grams, u_char *block,
    int64_t id, int64_t *no)
{
    u_char                *p, *last;
    size_t                 len;
    uint64_t               n;
    ngx_uint_t             more;
    ngx_lyftr_postings_t  *gram;

    p = block;
    last = block + NGX_LYFTR_GRAM_BLOCK;

    while (grams->next < grams->n) {
        gram = &grams->slots[grams->next];

        len = gram->len - grams->done;
        more = (len + NGX_LYFTR_GRAM_HEAD > (size_t) (last - p));

        if (more) {
            if (last - p < NGX_LYFTR_GRAM_HEAD + NGX_LYFTR_GRAM_CUT) {
                break;
            }

            len = last - p - NGX_LYFTR_GRAM_HEAD;
        }

        if (p == block) {
            *no = ngx_lyftr_postings_no(id, gram->gram - 1, grams->pieces);
        }

        if (grams->done == 0) {
            grams->at = gram->first;
        }

        *p++ = (u_char) ((gram->gram - 1) >> 16);
        *p++ = (u_char) ((gram->gram - 1) >> 8);
        *p++ = (u_char) (gram->gram - 1);

        for (n = len << 1 | more; n >= 0x80; n >>= 7) {
            *p++ = (u_char) (n | 0x80);
        }

        *p++ = (u_char) n;
        p = ngx_lyftr_trigrams_copy(grams, p, len);

        if (more) {
            grams->pieces++;
            break;
        }

        grams->next++;
        grams->done = 0;
        grams->pieces = 0;
    }

    return p - block;
}


static u_char *
ngx_lyftr_trigrams_copy(ngx_lyftr_trigrams_t *grams, u_char *p, size_t len)
{
    size_t                       used, n;
    ngx_lyftr_postings_piece_t  *piece;

    while (len) {
        piece = ngx_lyftr_trigrams_piece(grams, grams->at);
        used = grams->done % sizeof(piece->data);
        n = ngx_min(len, sizeof(piece->data) - used);

        p = ngx_cpymem(p, piece->data + used, n);
        len -= n;
        grams->done += n;

        if (used + n == sizeof(piece->data)) {
            grams->at = piece->next;
        }
    }

    return p;
}


void
ngx_lyftr_trigrams_free(ngx_lyftr_trigrams_t *grams)
{
    free(grams->slots);
    ngx_lyftr_buf_free(&grams->memory);
    ngx_lyftr_buf_free(&grams->text);

    ngx_memzero(grams, sizeof(ngx_lyftr_trigrams_t));
}


ngx_int_t
ngx_lyftr_postings_read(u_char **p, u_char *last, uint64_t *n)
{
    u_char      c;
    ngx_uint_t  shift;

    *n = 0;

    for (shift = 0; shift < 35 && *p < last; shift += 7) {
        c = *(*p)++;
        *n |= (uint64_t) (c & 0x7f) << shift;

        if (c < 0x80) {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_lyftr_postings_find(u_char *block, size_t len, uint32_t gram,
    ngx_str_t *list, ngx_uint_t *more)
{
    u_char    *p, *last;
    uint32_t   g;
    uint64_t   n;

    p = block;
    last = block + len;

    while (p < last) {
        if (last - p < NGX_LYFTR_GRAM) {
            return NGX_ERROR;
        }

        g = ngx_lyftr_postings_of(p);
        p += NGX_LYFTR_GRAM;

        if (ngx_lyftr_postings_read(&p, last, &n) != NGX_OK
            || n >> 1 > (uint64_t) (last - p))
        {
            return NGX_ERROR;
        }

        if (g >= gram) {
            list->data = p;
            list->len = n >> 1;
            *more = n & 1;

            return g == gram ? NGX_OK : NGX_DECLINED;
        }

        p += n >> 1;
    }

    return NGX_DECLINED;
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_gram.h>


/* what the check looks at in the blocks of segments, and of the search index */

static ngx_int_t ngx_lyftr_sqlite_verify_segment(ngx_lyftr_sqlite_t *c,
    int64_t no, ngx_lyftr_segment_t **segment, ngx_lyftr_error_t *err);
static ngx_uint_t ngx_lyftr_sqlite_verify_entry(ngx_lyftr_segment_t *segment,
    ngx_lyftr_block_t *block, int64_t no);
static ngx_int_t ngx_lyftr_sqlite_verify_lists(ngx_lyftr_sqlite_list_t *list,
    u_char *p, u_char *last);
static ngx_int_t ngx_lyftr_sqlite_verify_places(ngx_lyftr_sqlite_list_t *list,
    u_char *p, u_char *last);


/* entries, in rising order */

ngx_int_t
ngx_lyftr_sqlite_verify_block(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    ngx_lyftr_error_t *err)
{
    int64_t               no;
    ngx_int_t             rc;
    ngx_lyftr_buf_t       prev;
    ngx_lyftr_block_t     block;
    ngx_lyftr_segment_t  *segment;

    no = sqlite3_column_int64(st, 0);

    if (ngx_lyftr_sqlite_block_level(no) == NGX_LYFTR_LEVEL_FILTER) {
        return NGX_OK;
    }

    if (ngx_lyftr_sqlite_verify_segment(c, no, &segment, err) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&prev, sizeof(ngx_lyftr_buf_t));
    ngx_memzero(&block, sizeof(ngx_lyftr_block_t));

    rc = ngx_lyftr_block_open(&block, (u_char *) sqlite3_column_blob(st, 1),
                              sqlite3_column_bytes(st, 1));

    while (rc == NGX_OK && (rc = ngx_lyftr_block_next(&block)) == NGX_OK) {

        if (ngx_lyftr_key_cmp(prev.data, prev.len, block.key.data,
                              block.key.len)
            > 0
            || !ngx_lyftr_sqlite_verify_entry(segment, &block, no))
        {
            rc = NGX_DECLINED;
            break;
        }

        prev.len = 0;
        rc = ngx_lyftr_buf_add(&prev, block.key.data, block.key.len);
    }

    ngx_lyftr_buf_free(&prev);
    ngx_lyftr_buf_free(&block.key);

    if (rc == NGX_ERROR) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    return rc == NGX_DONE ? NGX_OK : NGX_DECLINED;
}


/*
 * That of the entries of a block, if it is one; with its filter, if they are
 * ids.  There is one filter in memory: the trees are read one by one.
 */

static ngx_int_t
ngx_lyftr_sqlite_verify_segment(ngx_lyftr_sqlite_t *c, int64_t no,
    ngx_lyftr_segment_t **segment, ngx_lyftr_error_t *err)
{
    ngx_uint_t            i;
    ngx_lyftr_segment_t  *s;

    *segment = NULL;

    if (ngx_lyftr_sqlite_block_level(no) != 0) {
        return NGX_OK;
    }

    for (i = 0; i < c->nsegments; i++) {
        s = &c->segments[i];

        if (s->id == no >> NGX_LYFTR_BLOCK_SEGMENT) {
            *segment = s;
            continue;
        }

        sqlite3_free(s->filter);
        s->filter = NULL;
    }

    s = *segment;

    if (s == NULL
        || s->filter
        || ngx_lyftr_sqlite_block_kind(no) != NGX_LYFTR_KIND_ID)
    {
        return NGX_OK;
    }

    return ngx_lyftr_sqlite_filter(c, s, err);
}


static ngx_uint_t
ngx_lyftr_sqlite_verify_entry(ngx_lyftr_segment_t *segment,
    ngx_lyftr_block_t *block, int64_t no)
{
    uint64_t  hash;

    if (segment == NULL) {
        return 1;
    }

    if (block->value < 1 || block->value > segment->last - segment->first) {
        return 0;
    }

    if (ngx_lyftr_sqlite_block_kind(no) != NGX_LYFTR_KIND_ID) {
        return 1;
    }

    if (block->key.len != sizeof(hash)) {
        return 0;
    }

    ngx_memcpy(&hash, block->key.data, sizeof(hash));

    return ngx_lyftr_sqlite_filter_has(segment->filter, segment->filter_len,
                                       be64toh(hash));
}


/*
 * Grams rise, and a list that goes on does so at the beginning of the next
 * block.  Of a part that is being made, or is to go, nothing is known.
 */

ngx_int_t
ngx_lyftr_sqlite_verify_gram(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    ngx_lyftr_error_t *err)
{
    char                      sql[NGX_LYFTR_ERROR_LEN];
    u_char                   *p;
    int64_t                   no, part;
    uint32_t                  gram, piece;
    ngx_lyftr_sqlite_list_t  *list;

    list = &c->list;

    no = sqlite3_column_int64(st, 0);
    part = no >> NGX_LYFTR_GRAM_PART;
    gram = no >> 16 & 0xffffff;
    piece = no & 0xffff;

    if (part != list->part) {
        ngx_memzero(list, sizeof(ngx_lyftr_sqlite_list_t));
        list->part = part;
    }

    if (!list->asked) {
        (void) snprintf(sql, sizeof(sql), "SELECT ifnull((SELECT last - first"
                        " FROM lyftr_search WHERE level >= 0 AND id = %lld),"
                        " 0)", (long long) part);

        if (ngx_lyftr_sqlite_get(c, sql, &list->rows, err) != NGX_OK) {
            return NGX_ERROR;
        }

        list->asked = 1;
    }

    if (list->rows == 0 || list->lost) {
        list->lost = 1;
        return NGX_OK;
    }

    if (list->more ? gram + 1 != list->gram || piece != list->piece + 1
                   : gram < list->gram || piece != 0)
    {
        return NGX_DECLINED;
    }

    list->piece = piece;

    p = (u_char *) sqlite3_column_blob(st, 1);

    if (sqlite3_column_bytes(st, 1) < NGX_LYFTR_GRAM
        || ngx_lyftr_gram_of(p) != gram)
    {
        return NGX_DECLINED;
    }

    return ngx_lyftr_sqlite_verify_lists(list, p,
                                         p + sqlite3_column_bytes(st, 1));
}


static ngx_int_t
ngx_lyftr_sqlite_verify_lists(ngx_lyftr_sqlite_list_t *list, u_char *p,
    u_char *last)
{
    uint32_t  gram;
    uint64_t  n;

    while (p < last) {

        if (last - p < NGX_LYFTR_GRAM) {
            return NGX_DECLINED;
        }

        gram = ngx_lyftr_gram_of(p) + 1;
        p += NGX_LYFTR_GRAM;

        if (list->more ? gram != list->gram : gram <= list->gram) {
            return NGX_DECLINED;
        }

        if (gram != list->gram) {
            list->piece = 0;
            list->row = 0;
        }

        list->gram = gram;

        if (ngx_lyftr_gram_read(&p, last, &n) != NGX_OK
            || n >> 1 == 0
            || n >> 1 > (uint64_t) (last - p))
        {
            return NGX_DECLINED;
        }

        list->more = n & 1;

        if (ngx_lyftr_sqlite_verify_places(list, p, p + (n >> 1)) != NGX_OK) {
            return NGX_DECLINED;
        }

        p += n >> 1;

        if (list->more ? p != last : list->pos || list->shift) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/* a list may have been cut at any byte */

static ngx_int_t
ngx_lyftr_sqlite_verify_places(ngx_lyftr_sqlite_list_t *list, u_char *p,
    u_char *last)
{
    for ( /* void */ ; p < last; p++) {

        if (list->shift >= 35) {
            return NGX_DECLINED;
        }

        list->number |= (uint64_t) (*p & 0x7f) << list->shift;
        list->shift += 7;

        if (*p >= 0x80) {
            continue;
        }

        if (list->pos) {
            if (list->same && list->number == 0) {
                return NGX_DECLINED;
            }

        } else {
            list->same = (list->number == 0);
            list->row += list->number;

            if (list->row == 0 || list->row > (uint64_t) list->rows) {
                return NGX_DECLINED;
            }
        }

        list->pos = !list->pos;
        list->number = 0;
        list->shift = 0;
    }

    return NGX_OK;
}

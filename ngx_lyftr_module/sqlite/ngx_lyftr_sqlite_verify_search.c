#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_verify.h>


/*
 * A part of the search index is right if it has the blocks that were made for
 * it, by their sum, and all lists in them make sense.
 */

static ngx_int_t ngx_lyftr_verify_part_next(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_part_blocks(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_part_block(void *data, int64_t no, u_char *p,
    size_t len, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_part_end(ngx_lyftr_sqlite_verify_t *v);
static ngx_int_t ngx_lyftr_verify_gram(ngx_lyftr_sqlite_verify_t *v,
    int64_t no, u_char *p, size_t len);
static ngx_int_t ngx_lyftr_verify_lists(ngx_lyftr_sqlite_verify_t *v,
    u_char *p, u_char *last);
static ngx_int_t ngx_lyftr_verify_places(ngx_lyftr_sqlite_verify_t *v,
    u_char *p, u_char *last);


ngx_int_t
ngx_lyftr_verify_search(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (!v->begun) {
        v->begun = 1;
        v->done = 0;
        v->part = 0;

        if (ngx_lyftr_sqlite_get(c, "SELECT ifnull(max(id), 0)"
                                 " FROM lyftr_search", &v->target, err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    rc = ngx_lyftr_verify_part_next(c, v, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_verify_part_blocks(c, v, err);
    }

    if (rc == NGX_DECLINED) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_CORRUPT,
                                     "part %lld of the search index is"
                                     " damaged", (long long) v->part);
    }

    return rc;
}


/*
 * The one that is being read, if it is still there, or the next.  One that is
 * being made, or is to go, is no part.
 */

static ngx_int_t
ngx_lyftr_verify_part_next(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_error_t *err)
{
    int            rc;
    int64_t        part;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_SEARCH_NEXT];

    (void) sqlite3_bind_int64(st, 1, v->part ? v->part : v->done + 1);
    (void) sqlite3_bind_int64(st, 2, v->target);

    rc = sqlite3_step(st);

    if (rc == SQLITE_ROW) {
        part = sqlite3_column_int64(st, 0);

        v->rows = sqlite3_column_int64(st, 1);
        v->segment.sum = (uint64_t) sqlite3_column_int64(st, 2);
        v->segment.summed = (sqlite3_column_type(st, 2) != SQLITE_NULL);

        if (part != v->part) {
            ngx_memzero(&v->list, sizeof(ngx_lyftr_verify_list_t));

            v->part = part;
            v->sum = 0;
            v->seq = ngx_lyftr_postings_no(part, 0, 0) - 1;
        }
    }

    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        (void) ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return rc == SQLITE_ROW ? NGX_OK
                            : rc == SQLITE_DONE ? NGX_DONE : NGX_ERROR;
}


static ngx_int_t
ngx_lyftr_verify_part_blocks(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    v->wrong = 0;

    rc = c->index.holder->scan(c, NGX_LYFTR_BLOCKS_GRAM, v->seq + 1,
                               ngx_lyftr_verify_part_block, v, err);

    if (v->wrong) {
        return NGX_DECLINED;
    }

    if (rc == NGX_DONE && ngx_lyftr_verify_full(v)) {
        return NGX_OK;
    }

    return rc == NGX_ERROR ? NGX_ERROR : ngx_lyftr_verify_part_end(v);
}


/* those of the part before are passed over, and that after it ends it */

static ngx_int_t
ngx_lyftr_verify_part_block(void *data, int64_t no, u_char *p, size_t len,
    ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_verify_t *v = data;

    if (no <= v->seq) {
        return NGX_OK;
    }

    if (no >= ngx_lyftr_postings_no(v->part + 1, 0, 0)) {
        return NGX_DONE;
    }

    v->seq = no;
    v->sum += ngx_lyftr_checksum_block(no, p, len);
    v->n++;
    v->len += len;
    v->wrong = (ngx_lyftr_verify_gram(v, no, p, len) != NGX_OK);

    return v->wrong || ngx_lyftr_verify_full(v) ? NGX_DONE : NGX_OK;
}


/* what had no sum gets one, now that its lists are known to make sense */

static ngx_int_t
ngx_lyftr_verify_part_end(ngx_lyftr_sqlite_verify_t *v)
{
    if (v->list.more || (v->segment.summed && v->sum != v->segment.sum)) {
        return NGX_DECLINED;
    }

    if (!v->segment.summed) {
        (void) snprintf(v->sql, sizeof(v->sql),
                        "UPDATE lyftr_search SET sum = %lld WHERE id = %lld",
                        (long long) v->sum, (long long) v->part);
    }

    v->done = v->part;
    v->part = 0;

    return NGX_OK;
}


/* grams rise, and a list that goes on does so at the beginning of a block */

static ngx_int_t
ngx_lyftr_verify_gram(ngx_lyftr_sqlite_verify_t *v, int64_t no, u_char *p,
    size_t len)
{
    uint32_t                  gram, piece;
    ngx_lyftr_verify_list_t  *list;

    list = &v->list;

    gram = no >> 16 & 0xffffff;
    piece = no & 0xffff;

    if (list->more ? gram + 1 != list->gram || piece != list->piece + 1
                   : gram < list->gram || piece != 0)
    {
        return NGX_DECLINED;
    }

    list->piece = piece;

    if (len < NGX_LYFTR_GRAM || ngx_lyftr_postings_of(p) != gram) {
        return NGX_DECLINED;
    }

    return ngx_lyftr_verify_lists(v, p, p + len);
}


static ngx_int_t
ngx_lyftr_verify_lists(ngx_lyftr_sqlite_verify_t *v, u_char *p, u_char *last)
{
    uint32_t                  gram;
    uint64_t                  n;
    ngx_lyftr_verify_list_t  *list;

    list = &v->list;

    while (p < last) {

        if (last - p < NGX_LYFTR_GRAM) {
            return NGX_DECLINED;
        }

        gram = ngx_lyftr_postings_of(p) + 1;
        p += NGX_LYFTR_GRAM;

        if (list->more ? gram != list->gram : gram <= list->gram) {
            return NGX_DECLINED;
        }

        if (gram != list->gram) {
            list->piece = 0;
            list->row = 0;
        }

        list->gram = gram;

        if (ngx_lyftr_postings_read(&p, last, &n) != NGX_OK
            || n >> 1 == 0
            || n >> 1 > (uint64_t) (last - p))
        {
            return NGX_DECLINED;
        }

        list->more = n & 1;

        if (ngx_lyftr_verify_places(v, p, p + (n >> 1)) != NGX_OK) {
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
ngx_lyftr_verify_places(ngx_lyftr_sqlite_verify_t *v, u_char *p, u_char *last)
{
    ngx_lyftr_verify_list_t  *list;

    list = &v->list;

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

            if (list->row == 0 || list->row > (uint64_t) v->rows) {
                return NGX_DECLINED;
            }
        }

        list->pos = !list->pos;
        list->number = 0;
        list->shift = 0;
    }

    return NGX_OK;
}

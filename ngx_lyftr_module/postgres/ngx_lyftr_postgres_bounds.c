#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres_list.h>
#include <ngx_lyftr_message.h>


/* the columns of a row that are its key, and which tell its sender */
#define NGX_LYFTR_POSTGRES_AT      2
#define NGX_LYFTR_POSTGRES_OF      5

/* less, and greater, than all that are instants */
static u_char  ngx_lyftr_postgres_first[] = { 1 };
static u_char  ngx_lyftr_postgres_end_of[] = { 0xff };


static ngx_int_t ngx_lyftr_postgres_after(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_lyftr_postgres_key_t *key,
    ngx_lyftr_error_t *err);
static void ngx_lyftr_postgres_left_row(ngx_lyftr_postgres_list_t *list,
    ngx_lyftr_postgres_key_t *key);
static void ngx_lyftr_postgres_key(ngx_lyftr_postgres_key_t *key,
    const PGresult *res, int row);
static int ngx_lyftr_postgres_key_cmp(ngx_lyftr_postgres_key_t *a,
    ngx_lyftr_postgres_key_t *b);


ngx_int_t
ngx_lyftr_postgres_bounds(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_lyftr_error_t *err)
{
    ngx_int_t                  rc;
    ngx_lyftr_query_t         *query;
    ngx_lyftr_postgres_key_t   after;

    query = list->query;

    list->low.data = ngx_lyftr_postgres_first;
    list->low.len = query->until.len ? 1 : 0;
    list->high.data = ngx_lyftr_postgres_end_of;
    list->high.len = 1;

    if (query->since.len) {
        ngx_lyftr_postgres_instant(list->bounds[0], &query->instant,
                                   &list->low);
    }

    if (query->until.len) {
        ngx_lyftr_postgres_instant(list->bounds[1], &query->end, &list->high);

        if (ngx_lyftr_postgres_cmp(&list->low, &list->high) > 0) {
            list->high = list->low;
        }
    }

    list->from.data = query->from.data;
    list->from.len = ngx_lyftr_postgres_cut(&query->from);
    list->from_rest.data = query->from.data + list->from.len;
    list->from_rest.len = query->from.len - list->from.len;

    list->key.instant = query->desc ? list->high : list->low;
    ngx_str_set(&list->key.id, "");
    ngx_str_set(&list->key.rest, "");
    list->offset = query->offset;

    if (query->after.seq == 0) {
        return NGX_OK;
    }

    rc = ngx_lyftr_postgres_after(c, list, &after, err);

    if (rc != NGX_OK) {
        return rc;
    }

    list->after = 1;

    rc = ngx_lyftr_postgres_key_cmp(&after, &list->key);

    if (query->desc ? rc < 0 : rc > 0) {
        list->key = after;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_postgres_after(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_list_t *list, ngx_lyftr_postgres_key_t *key,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_postgres_locate(c, &list->query->after, &list->held, err);

    if (rc == NGX_OK) {
        ngx_lyftr_postgres_key(key, list->held, 0);

    } else {
        list->held = NULL;
    }

    if (rc == NGX_DONE) {
        ngx_lyftr_postgres_left_row(list, key);
        rc = NGX_OK;
    }

    return rc;
}


/*
 * Of a row that left the cursor has the beginning.  What is cut, and is the
 * last one of a page, is made greater than all that begin so.
 */

static void
ngx_lyftr_postgres_left_row(ngx_lyftr_postgres_list_t *list,
    ngx_lyftr_postgres_key_t *key)
{
    u_char                *p;
    size_t                 len;
    ngx_uint_t             desc;
    ngx_lyftr_position_t  *after;

    after = &list->query->after;
    desc = list->query->desc;
    p = list->cut;

    key->instant.data = p;

    *p++ = after->text ? 0 : 1;
    p = ngx_cpymem(p, after->instant, after->instant_len);

    if (after->instant_cut && desc) {
        *p++ = 0xff;
    }

    key->instant.len = p - key->instant.data;
    key->id.data = p;

    /* a cursor may be cut inside of a character, or be made up */

    len = after->instant_cut ? 0
          : ngx_lyftr_utf8_valid(after->id, after->id_len);
    len = ngx_lyftr_find(after->id, after->id + len, '\0') - after->id;

    p = ngx_cpymem(p, after->id, len);

    if (desc && (after->id_cut || len < after->id_len)) {
        p = ngx_cpymem(p, "\xf4\x8f\xbf\xbf", 4);
    }

    key->id.len = p - key->id.data;

    ngx_str_set(&key->rest, "");
}


static void
ngx_lyftr_postgres_key(ngx_lyftr_postgres_key_t *key, const PGresult *res,
    int row)
{
    int  at;

    at = NGX_LYFTR_POSTGRES_AT;

    ngx_lyftr_postgres_str(res, row, at, &key->instant);
    ngx_lyftr_postgres_str(res, row, at + 1, &key->id);
    ngx_lyftr_postgres_str(res, row, at + 2, &key->rest);
}


void
ngx_lyftr_postgres_hold(ngx_lyftr_postgres_list_t *list, PGresult *res,
    int row)
{
    PQclear(list->held);

    list->held = res;
    list->including = 0;

    ngx_lyftr_postgres_key(&list->key, res, row);
}


ngx_int_t
ngx_lyftr_postgres_within(ngx_lyftr_postgres_list_t *list, const PGresult *res,
    int row)
{
    int                        cmp;
    ngx_str_t                  from, rest;
    ngx_lyftr_postgres_key_t   key;

    ngx_lyftr_postgres_str(res, row, NGX_LYFTR_POSTGRES_OF, &from);
    ngx_lyftr_postgres_str(res, row, NGX_LYFTR_POSTGRES_OF + 1, &rest);

    ngx_lyftr_postgres_key(&key, res, row);

    if ((list->query->from.len
         && (ngx_lyftr_postgres_cmp(&from, &list->from) != 0
             || ngx_lyftr_postgres_cmp(&rest, &list->from_rest) != 0))
        || ngx_lyftr_postgres_cmp(&key.instant, &list->low) < 0
        || ngx_lyftr_postgres_cmp(&key.instant, &list->high) >= 0)
    {
        return NGX_DECLINED;
    }

    cmp = ngx_lyftr_postgres_key_cmp(&key, &list->key);

    return (list->query->desc ? cmp < 0 : cmp > 0) ? NGX_OK : NGX_DONE;
}


/* as PostgreSQL compares bytes, and texts of the collation C */

int
ngx_lyftr_postgres_cmp(ngx_str_t *a, ngx_str_t *b)
{
    int     rc;
    size_t  len;

    len = ngx_min(a->len, b->len);
    rc = len ? ngx_memcmp(a->data, b->data, len) : 0;

    return rc ? rc : (a->len > b->len) - (a->len < b->len);
}


static int
ngx_lyftr_postgres_key_cmp(ngx_lyftr_postgres_key_t *a,
    ngx_lyftr_postgres_key_t *b)
{
    int  rc;

    rc = ngx_lyftr_postgres_cmp(&a->instant, &b->instant);

    if (rc == 0) {
        rc = ngx_lyftr_postgres_cmp(&a->id, &b->id);
    }

    return rc ? rc : ngx_lyftr_postgres_cmp(&a->rest, &b->rest);
}

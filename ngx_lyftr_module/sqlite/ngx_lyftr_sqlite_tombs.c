#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite.h>


/*
 * An id that was erased stays so: what remembers it are two hashes of it, with
 * keys that only the operator has.  The first one is quick, and a filter in
 * memory has those that there are; so an id that is none of them costs a hash,
 * and nothing at all as long as there are none.
 */

/* hex digits of what a store knows its key by */
#define NGX_LYFTR_TOMBS_PRINT      32

#define NGX_LYFTR_TOMBS_LEAST      1024


static ngx_int_t ngx_lyftr_tombs_sign(ngx_lyftr_sqlite_t *c, const char *what,
    ngx_str_t *text, u_char *mac, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_tombs_keyless(ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_tombs_known(ngx_lyftr_sqlite_t *c, char *print,
    ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_sqlite_tombs_open(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    char        print[NGX_LYFTR_TOMBS_PRINT + 1], known[sizeof(print)];
    u_char      mac[NGX_LYFTR_HMAC_LEN];
    ngx_str_t  *key;

    if (ngx_lyftr_tombs_known(c, known, err) != NGX_OK) {
        return NGX_ERROR;
    }

    key = &c->dsn->erase_key;

    if (key->len == 0) {
        return known[0] == '\0' ? NGX_OK : ngx_lyftr_tombs_keyless(err);
    }

    c->tombs.hmac = ngx_lyftr_hmac_key(key->data, key->len);

    if (c->tombs.hmac == NULL
        || ngx_lyftr_tombs_sign(c, "mark", NULL, mac, err) != NGX_OK)
    {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    ngx_memcpy(c->tombs.key, mac, sizeof(c->tombs.key));

    if (ngx_lyftr_sqlite_tombs_print(c, print, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (known[0] && ngx_strcmp(known, print) != 0) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_OPEN,
                                     "erase_key= is another one than that with "
                                     "which messages were erased");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_tombs_keyless(ngx_lyftr_error_t *err)
{
    return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_OPEN,
                                 "messages were erased, and would come again "
                                 "without erase_key=");
}


static ngx_int_t
ngx_lyftr_tombs_known(ngx_lyftr_sqlite_t *c, char *print,
    ngx_lyftr_error_t *err)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    if (sqlite3_prepare_v2(c->db, "SELECT substr(erase_key, 1, 32)"
                                  " FROM lyftr_state", -1, &st, NULL)
        != SQLITE_OK
        || sqlite3_step(st) != SQLITE_ROW)
    {
        rc = ngx_lyftr_sqlite_error(c, err);

    } else {
        rc = NGX_OK;
        (void) snprintf(print, NGX_LYFTR_TOMBS_PRINT + 1, "%s",
                        (char *) sqlite3_column_text(st, 0));
    }

    (void) sqlite3_finalize(st);

    return rc;
}


void
ngx_lyftr_sqlite_tombs_close(ngx_lyftr_sqlite_t *c)
{
    ngx_lyftr_hmac_free(c->tombs.hmac);
    free(c->tombs.filter);
}


static ngx_int_t
ngx_lyftr_tombs_sign(ngx_lyftr_sqlite_t *c, const char *what, ngx_str_t *text,
    u_char *mac, ngx_lyftr_error_t *err)
{
    ngx_str_t  parts[2];

    /* what is signed for one purpose is of no use for another */

    parts[0].data = (u_char *) what;
    parts[0].len = ngx_strlen(what) + 1;

    if (text) {
        parts[1] = *text;
    }

    if (ngx_lyftr_hmac_sign(c->tombs.hmac, parts, text ? 2 : 1, mac)
        != NGX_OK)
    {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "no memory");
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_sqlite_tombs_print(ngx_lyftr_sqlite_t *c, char *print,
    ngx_lyftr_error_t *err)
{
    u_char      mac[NGX_LYFTR_HMAC_LEN];
    ngx_uint_t  i;

    if (ngx_lyftr_tombs_sign(c, "print", NULL, mac, err) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_LYFTR_TOMBS_PRINT / 2; i++) {
        (void) snprintf(print + 2 * i, 3, "%02x", mac[i]);
    }

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_sqlite_tomb(ngx_lyftr_sqlite_t *c, ngx_str_t *id,
    ngx_lyftr_sqlite_tomb_t *tomb, ngx_lyftr_error_t *err)
{
    u_char  mac[NGX_LYFTR_HMAC_LEN];

    if (ngx_lyftr_tombs_sign(c, "id", id, mac, err) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(tomb->hash, mac, sizeof(tomb->hash));

    tomb->mark = ngx_lyftr_siphash(c->tombs.key, id->data, id->len);

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_sqlite_tombs_add(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_tomb_t *tombs, ngx_uint_t n, ngx_lyftr_error_t *err)
{
    ngx_uint_t     i;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_TOMB_ADD];

    for (i = 0; i < n; i++) {
        (void) sqlite3_bind_int64(st, 1, (int64_t) tombs[i].mark);
        (void) sqlite3_bind_blob(st, 2, tombs[i].hash, sizeof(tombs[i].hash),
                                 SQLITE_STATIC);

        if (ngx_lyftr_sqlite_run(c, st, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_lyftr_sqlite_exec(c, "UPDATE lyftr_state SET tombs ="
                                    " (SELECT ifnull(max(no), 0)"
                                    " FROM lyftr_tomb)", err);
}


ngx_int_t
ngx_lyftr_sqlite_tombs_read(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int                        rc;
    size_t                     len;
    u_char                    *filter;
    sqlite3_stmt              *st;
    ngx_lyftr_sqlite_tombs_t  *t;

    t = &c->tombs;

    if (c->state.tombs == t->last) {
        return NGX_OK;
    }

    if (c->state.tombs > t->max) {
        t->max = ngx_max(2 * c->state.tombs, NGX_LYFTR_TOMBS_LEAST);
        len = ngx_lyftr_filter_len(t->max);

        filter = calloc(1, len);
        if (filter == NULL) {
            t->max = 0;
            return ngx_lyftr_index_memory(err);
        }

        free(t->filter);

        t->filter = filter;
        t->len = len;
        t->last = 0;
    }

    st = c->stmt[NGX_LYFTR_SQL_TOMBS];

    (void) sqlite3_bind_int64(st, 1, t->last);

    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        ngx_lyftr_filter_add(t->filter, t->len,
                             (uint64_t) sqlite3_column_int64(st, 1));
        t->last = sqlite3_column_int64(st, 0);
    }

    if (rc != SQLITE_DONE) {
        (void) ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return rc == SQLITE_DONE ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_lyftr_sqlite_tombs_has(ngx_lyftr_sqlite_t *c, ngx_str_t *id,
    ngx_lyftr_error_t *err)
{
    int                       rc;
    uint64_t                  mark;
    sqlite3_stmt             *st;
    ngx_lyftr_sqlite_tomb_t   tomb;

    /* a worker of before, whose store had erased nothing when it opened it */

    if (c->tombs.hmac == NULL) {
        return ngx_lyftr_tombs_keyless(err);
    }

    mark = ngx_lyftr_siphash(c->tombs.key, id->data, id->len);

    if (!ngx_lyftr_filter_has(c->tombs.filter, c->tombs.len, mark)) {
        return NGX_DECLINED;
    }

    if (ngx_lyftr_sqlite_tomb(c, id, &tomb, err) != NGX_OK) {
        return NGX_ERROR;
    }

    st = c->stmt[NGX_LYFTR_SQL_TOMB];

    (void) sqlite3_bind_int64(st, 1, (int64_t) tomb.mark);
    (void) sqlite3_bind_blob(st, 2, tomb.hash, sizeof(tomb.hash),
                             SQLITE_STATIC);

    rc = sqlite3_step(st);

    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        (void) ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);
    (void) sqlite3_clear_bindings(st);

    if (rc == SQLITE_ROW) {
        return NGX_OK;
    }

    return rc == SQLITE_DONE ? NGX_DECLINED : NGX_ERROR;
}

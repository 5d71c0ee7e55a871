#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_verify.h>


/*
 * A segment is right if the log still has the rows that it was made of, and
 * each of its trees has the entries that these rows would have today.  Sums
 * tell, so that their order does not matter.
 */

static ngx_int_t ngx_lyftr_verify_next(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v);
static ngx_int_t ngx_lyftr_verify_log(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_sums(ngx_lyftr_sqlite_verify_t *v,
    sqlite3_stmt *st, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_verify_compare(ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_error_t *err);
static void ngx_lyftr_verify_ended(ngx_lyftr_sqlite_verify_t *v);


ngx_int_t
ngx_lyftr_verify_segments(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (!v->begun) {
        v->begun = 1;
        v->done = 0;
        v->target = c->state.indexed;
    }

    if (ngx_lyftr_verify_next(c, v) != NGX_OK) {
        return NGX_DONE;
    }

    if (v->kind == NGX_LYFTR_TREES) {
        rc = ngx_lyftr_verify_log(c, v, err);

    } else {
        rc = ngx_lyftr_verify_tree(c, v, err);
    }

    if (rc == NGX_DECLINED) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_CORRUPT,
                                     "segment %lld is damaged",
                                     (long long) v->segment.id);
    }

    if (rc != NGX_DONE) {
        return rc;
    }

    if (v->kind == NGX_LYFTR_TREES && v->segment.rows) {
        v->kind = 0;

    } else if (++v->kind >= NGX_LYFTR_TREES) {
        ngx_lyftr_verify_ended(v);
    }

    v->rows = 0;
    v->sum = 0;

    return NGX_OK;
}


/*
 * One that was merged while it was read is read again, in what it has become;
 * then faster, so that it comes to an end however many rows come.
 */

static ngx_int_t
ngx_lyftr_verify_next(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v)
{
    ngx_uint_t            i;
    ngx_lyftr_segment_t  *s;

    for (i = 0; i < c->nsegments && v->segment.id; i++) {
        if (c->segments[i].id == v->segment.id) {
            return NGX_OK;
        }
    }

    v->again = (v->segment.id != 0);

    ngx_lyftr_verify_segment_free(v);

    for (i = 0; i < c->nsegments && v->done < v->target; i++) {
        s = &c->segments[i];

        if (s->last <= v->done) {
            continue;
        }

        v->segment = *s;
        v->segment.filter = NULL;
        v->seq = s->first;
        v->kind = NGX_LYFTR_TREES;
        v->rows = 0;
        v->sum = 0;

        ngx_memzero(v->sums, sizeof(v->sums));

        return NGX_OK;
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_lyftr_verify_log(ngx_lyftr_sqlite_t *c, ngx_lyftr_sqlite_verify_t *v,
    ngx_lyftr_error_t *err)
{
    int            rc;
    ngx_int_t      ok;
    sqlite3_stmt  *st;

    ok = NGX_OK;
    rc = SQLITE_ROW;
    st = c->stmt[NGX_LYFTR_SQL_ROWS];

    (void) sqlite3_bind_int64(st, 1, v->seq);
    (void) sqlite3_bind_int64(st, 2, v->segment.last);

    while (ok == NGX_OK
           && !ngx_lyftr_verify_full(v)
           && (rc = sqlite3_step(st)) == SQLITE_ROW)
    {
        ok = ngx_lyftr_verify_row(v, st, err);

        if (ok == NGX_OK) {
            ok = ngx_lyftr_verify_sums(v, st, err);
        }
    }

    if (ok == NGX_OK && rc != SQLITE_ROW && rc != SQLITE_DONE) {
        ok = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    return ok == NGX_OK && rc == SQLITE_DONE
           ? ngx_lyftr_verify_compare(v, err) : ok;
}


static ngx_int_t
ngx_lyftr_verify_sums(ngx_lyftr_sqlite_verify_t *v, sqlite3_stmt *st,
    ngx_lyftr_error_t *err)
{
    u_char                  *key, hash[sizeof(uint64_t)];
    size_t                   len;
    ngx_uint_t               kind;
    ngx_lyftr_memtable_row_t   to;
    ngx_lyftr_sqlite_row_t   row;

    ngx_lyftr_sqlite_row(st, &row);

    v->keys.len = 0;

    if (ngx_lyftr_sqlite_row_keys(&row, &v->keys, &to) != NGX_OK) {
        return ngx_lyftr_verify_memory(err);
    }

    v->rows++;
    v->sum += ngx_lyftr_checksum_row(st);

    for (kind = 0; kind < NGX_LYFTR_TREES; kind++) {

        if (kind == NGX_LYFTR_TREE_ID) {
            ngx_lyftr_sqlite_hash_key(hash, row.hash);
            key = hash;
            len = sizeof(hash);

        } else {
            key = ngx_lyftr_memtable_key(&to, kind, &len);
        }

        v->sums[kind] += ngx_lyftr_verify_entry(kind, key, len, row.seq);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_verify_compare(ngx_lyftr_sqlite_verify_t *v, ngx_lyftr_error_t *err)
{
    if (v->rows == v->segment.rows
        && (!v->segment.summed || v->sum == v->segment.sum))
    {
        v->segment.sum = v->sum;
        return NGX_DONE;
    }

    return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_CORRUPT,
                                 "rows %lld to %lld are damaged",
                                 (long long) v->segment.first + 1,
                                 (long long) v->segment.last);
}


/* what had no sum gets one, now that it is known to be right */

static void
ngx_lyftr_verify_ended(ngx_lyftr_sqlite_verify_t *v)
{
    if (!v->segment.summed) {
        (void) snprintf(v->sql, sizeof(v->sql),
                        "UPDATE lyftr_segment SET sum = %lld WHERE id = %lld;"
                        "UPDATE lyftr_state SET generation = generation + 1",
                        (long long) v->segment.sum,
                        (long long) v->segment.id);
    }

    v->done = v->segment.last;

    ngx_lyftr_verify_segment_free(v);
}


void
ngx_lyftr_verify_segment_free(ngx_lyftr_sqlite_verify_t *v)
{
    sqlite3_free(v->segment.filter);

    v->segment.filter = NULL;
    v->segment.id = 0;
}

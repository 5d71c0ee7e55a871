#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite.h>


/* the rows of a step */
#define NGX_LYFTR_SQLITE_RANGE                                                \
    " FROM lyftr_message WHERE seq > ?1 AND seq <= ?2"

#define NGX_LYFTR_SQLITE_ENDS                                                 \
    "SELECT i.instant, i.message_id,"                                         \
    " (SELECT ts FROM lyftr_message WHERE seq = i.seq)"                       \
    " FROM lyftr_time AS i WHERE i.instant >= x''"                            \
    " UNION ALL"                                                              \
    " SELECT i.instant, i.message_id, i.ts FROM "                             \
    ngx_lyftr_sqlite_tail("time_to")                                          \
    " AND i.instant >= x''"


typedef struct {
    int                  rc;
    ngx_lyftr_err_e      code;
} ngx_lyftr_sqlite_code_t;


/* extended codes first */

static ngx_lyftr_sqlite_code_t  ngx_lyftr_sqlite_codes[] = {
    { SQLITE_READONLY_DBMOVED, NGX_LYFTR_ERR_MOVED },
    { SQLITE_IOERR_READ, NGX_LYFTR_ERR_CORRUPT },
    { SQLITE_IOERR_SHORT_READ, NGX_LYFTR_ERR_CORRUPT },
    { SQLITE_IOERR_CORRUPTFS, NGX_LYFTR_ERR_CORRUPT },
    { SQLITE_IOERR_LOCK, NGX_LYFTR_ERR_BUSY },
    { SQLITE_BUSY, NGX_LYFTR_ERR_BUSY },
    { SQLITE_LOCKED, NGX_LYFTR_ERR_BUSY },
    { SQLITE_PROTOCOL, NGX_LYFTR_ERR_BUSY },
    { SQLITE_INTERRUPT, NGX_LYFTR_ERR_TIMEOUT },
    { SQLITE_TOOBIG, NGX_LYFTR_ERR_DATA },
    { SQLITE_MISMATCH, NGX_LYFTR_ERR_DATA },
    { SQLITE_CONSTRAINT, NGX_LYFTR_ERR_DATA },
    { SQLITE_FULL, NGX_LYFTR_ERR_FULL },
    { SQLITE_READONLY, NGX_LYFTR_ERR_READONLY },
    { SQLITE_PERM, NGX_LYFTR_ERR_READONLY },
    { SQLITE_CANTOPEN, NGX_LYFTR_ERR_OPEN },
    { SQLITE_CORRUPT, NGX_LYFTR_ERR_CORRUPT },
    { SQLITE_NOTADB, NGX_LYFTR_ERR_CORRUPT },
    { SQLITE_OK, NGX_LYFTR_ERR_FAILED }
};


static const char  *ngx_lyftr_sqlite_statements[] = {

    /* NGX_LYFTR_SQL_BEGIN_WRITE */
    "BEGIN IMMEDIATE",

    /* NGX_LYFTR_SQL_BEGIN_READ */
    "BEGIN",

    /* NGX_LYFTR_SQL_COMMIT */
    "COMMIT",

    /* NGX_LYFTR_SQL_MARKS */
    "SELECT id_to, time_to, sender_to, count_to FROM lyftr_state",

    /* NGX_LYFTR_SQL_FOLLOW */
    "SELECT seq, id_hash FROM lyftr_message WHERE seq > ?1 ORDER BY seq",

    /* NGX_LYFTR_SQL_KNOWN */
    "SELECT 1 FROM lyftr_id AS i CROSS JOIN lyftr_message AS m"
    " ON m.seq = i.seq WHERE i.id_hash = ?1 AND m.message_id = ?2",

    /* NGX_LYFTR_SQL_SAME */
    "SELECT 1 FROM lyftr_message WHERE seq = ?1 AND message_id = ?2",

    /* NGX_LYFTR_SQL_INSERT */
    "INSERT INTO lyftr_message (id_hash, instant, message_id, from_msisdn,"
    " to_msisdn, ts, created_at, text)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",

    /* NGX_LYFTR_SQL_PROBE: as much as a batch, for one page may still fit */
    "UPDATE lyftr_state SET probe = randomblob(65536)",

    /*
     * NGX_LYFTR_SQL_STEP_ID: a statement that could fail alone would have a
     * copy of each page kept in memory, https://sqlite.org/tempfiles.html 2.5
     */
    "INSERT OR ROLLBACK INTO lyftr_id (id_hash, seq) SELECT id_hash, seq"
    NGX_LYFTR_SQLITE_RANGE " ORDER BY 1",

    /* NGX_LYFTR_SQL_STEP_TIME */
    "INSERT OR ROLLBACK INTO lyftr_time (instant, message_id, seq)"
    " SELECT instant, message_id, seq"
    NGX_LYFTR_SQLITE_RANGE " ORDER BY 1, 2",

    /* NGX_LYFTR_SQL_STEP_SENDER */
    "INSERT OR ROLLBACK INTO lyftr_sender (from_msisdn, instant, seq)"
    " SELECT from_msisdn, instant, seq"
    NGX_LYFTR_SQLITE_RANGE " ORDER BY 1, 2, 3",

    /* NGX_LYFTR_SQL_STEP_COUNT */
    "INSERT OR ROLLBACK INTO lyftr_count (from_msisdn, count)"
    " SELECT from_msisdn, count(*)"
    NGX_LYFTR_SQLITE_RANGE " GROUP BY from_msisdn"
    " ON CONFLICT (from_msisdn) DO UPDATE SET count = count + excluded.count",

    /* NGX_LYFTR_SQL_MARK_ID */
    "UPDATE lyftr_state SET id_to = ?2",

    /* NGX_LYFTR_SQL_MARK_TIME */
    "UPDATE lyftr_state SET time_to = ?2",

    /* NGX_LYFTR_SQL_MARK_SENDER */
    "UPDATE lyftr_state SET sender_to = ?2",

    /* NGX_LYFTR_SQL_MARK_COUNT */
    "UPDATE lyftr_state SET count_to = ?2,"
    " counted = counted + (SELECT count(*)" NGX_LYFTR_SQLITE_RANGE ")",

    /* NGX_LYFTR_SQL_ROW */
    "SELECT id_hash, message_id, from_msisdn, to_msisdn, ts, text"
    " FROM lyftr_message WHERE seq = ?1",

    /* NGX_LYFTR_SQL_POSITION */
    "SELECT instant, message_id FROM lyftr_message"
    " WHERE seq = ?1 AND id_hash = ?2",

    /* NGX_LYFTR_SQL_SENDERS */
    "SELECT (SELECT count(*) FROM lyftr_count)"
    " + (SELECT count(DISTINCT from_msisdn) FROM "
    ngx_lyftr_sqlite_tail("count_to")
    " AND from_msisdn NOT IN (SELECT from_msisdn FROM lyftr_count))",

    /* NGX_LYFTR_SQL_TOP: of those not in the tail only the first can be in */
    "WITH tail (sender, n) AS MATERIALIZED (SELECT from_msisdn, count(*)"
    " FROM " ngx_lyftr_sqlite_tail("count_to") " GROUP BY from_msisdn)"
    " SELECT * FROM (SELECT from_msisdn, count FROM lyftr_count"
    " WHERE from_msisdn NOT IN (SELECT sender FROM tail)"
    " ORDER BY count DESC, from_msisdn LIMIT ?1)"
    " UNION ALL"
    " SELECT sender, n + ifnull((SELECT count FROM lyftr_count"
    " WHERE from_msisdn = sender), 0) FROM tail"
    " ORDER BY 2 DESC, 1 LIMIT ?1",

    /* NGX_LYFTR_SQL_FIRST: text sorts before a blob, whatever it is */
    NGX_LYFTR_SQLITE_ENDS " ORDER BY 1, 2 LIMIT 1",

    /* NGX_LYFTR_SQL_LAST */
    NGX_LYFTR_SQLITE_ENDS " ORDER BY 1 DESC, 2 DESC LIMIT 1"
};


ngx_int_t
ngx_lyftr_sqlite_fail(ngx_lyftr_error_t *err, ngx_lyftr_err_e code,
    const char *fmt, ...)
{
    int      n;
    size_t   i;
    va_list  args;

    va_start(args, fmt);
    n = vsnprintf((char *) err->text, NGX_LYFTR_ERROR_LEN, fmt, args);
    va_end(args);

    err->code = code;
    err->len = n < 0 ? 0 : ngx_min((size_t) n, NGX_LYFTR_ERROR_LEN - 1);

    /* a path may hold anything */

    for (i = 0; i < err->len; i++) {
        if (err->text[i] < 0x20 || err->text[i] == 0x7f) {
            err->text[i] = '?';
        }
    }

    return NGX_ERROR;
}


ngx_int_t
ngx_lyftr_sqlite_error(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int                       rc, sys;
    ngx_lyftr_err_e           code;
    ngx_lyftr_sqlite_code_t  *p;

    rc = sqlite3_extended_errcode(c->db);
    sys = 0;

    for (p = ngx_lyftr_sqlite_codes; p->rc != SQLITE_OK; p++) {
        if (p->rc == rc || p->rc == (rc & 0xff)) {
            break;
        }
    }

    code = p->code;

    if ((rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN) {
        sys = sqlite3_system_errno(c->db);

        if (sys == ENOSPC || sys == EDQUOT) {
            code = NGX_LYFTR_ERR_FULL;
        }
    }

    if (sys) {
        return ngx_lyftr_sqlite_fail(err, code, "%s (%d), errno %d",
                                     sqlite3_errstr(rc), rc, sys);
    }

    return ngx_lyftr_sqlite_fail(err, code, "%s (%d)", sqlite3_errstr(rc), rc);
}


ngx_int_t
ngx_lyftr_sqlite_run(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = NGX_OK;

    if (sqlite3_step(st) != SQLITE_DONE) {
        rc = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);
    (void) sqlite3_clear_bindings(st);

    return rc;
}


ngx_int_t
ngx_lyftr_sqlite_int(ngx_lyftr_sqlite_t *c, sqlite3_stmt *st, int64_t *n,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = NGX_OK;

    if (sqlite3_step(st) == SQLITE_ROW) {
        *n = sqlite3_column_int64(st, 0);

    } else {
        rc = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);
    (void) sqlite3_clear_bindings(st);

    return rc;
}


ngx_int_t
ngx_lyftr_sqlite_get(ngx_lyftr_sqlite_t *c, const char *sql, int64_t *n,
    ngx_lyftr_error_t *err)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    if (sqlite3_prepare_v2(c->db, sql, -1, &st, NULL) != SQLITE_OK) {
        return ngx_lyftr_sqlite_error(c, err);
    }

    rc = ngx_lyftr_sqlite_int(c, st, n, err);

    (void) sqlite3_finalize(st);

    return rc;
}


int
ngx_lyftr_sqlite_bind(sqlite3_stmt *st, int i, ngx_str_t *s)
{
    return sqlite3_bind_text64(st, i, (char *) s->data, s->len, SQLITE_STATIC,
                               SQLITE_UTF8);
}


ngx_int_t
ngx_lyftr_sqlite_prepare(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int         rc;
    ngx_uint_t  i;

    for (i = 0; i < NGX_LYFTR_SQL_N; i++) {

        if (c->stmt[i]) {
            continue;
        }

        rc = sqlite3_prepare_v3(c->db, ngx_lyftr_sqlite_statements[i], -1,
                                SQLITE_PREPARE_PERSISTENT, &c->stmt[i], NULL);

        if (rc == SQLITE_ERROR) {
            return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_SCHEMA,
                                         "the schema is damaged: %s",
                                         sqlite3_errmsg(c->db));
        }

        if (rc != SQLITE_OK) {
            return ngx_lyftr_sqlite_error(c, err);
        }
    }

    return NGX_OK;
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite.h>


/*
 * What a count is worth: what is to be taken off it counts from the step on
 * that the state is at.
 */

#define NGX_LYFTR_SQLITE_WORTH                                                \
    "count - CASE WHEN less > 0 AND step = (SELECT step FROM lyftr_state)"    \
    " THEN less ELSE 0 END"


static const char  *ngx_lyftr_sqlite_statements[] = {

    /* NGX_LYFTR_SQL_BEGIN_WRITE */
    "BEGIN IMMEDIATE",

    /* NGX_LYFTR_SQL_BEGIN_READ */
    "BEGIN",

    /* NGX_LYFTR_SQL_COMMIT */
    "COMMIT",

    /* NGX_LYFTR_SQL_STATE */
    "SELECT generation, indexed, counted, counting, senders, next, damaged,"
    " rebuild, mark, store, floor, step, gone, gone_bytes, erase, erasing,"
    " deleted, erased, emptying, tombs FROM lyftr_state",

    /* NGX_LYFTR_SQL_SEGMENTS */
    "SELECT id, level, first, last, rows, id_height, time_height,"
    " sender_height, sum, ties FROM lyftr_segment ORDER BY first",

    /* NGX_LYFTR_SQL_LAST */
    "SELECT ifnull(max(seq), 0) FROM lyftr_message",

    /* NGX_LYFTR_SQL_FIRST */
    "SELECT ifnull(min(seq), 0) FROM lyftr_message WHERE seq > ?1",

    /* NGX_LYFTR_SQL_FOLLOW */
    "SELECT seq, id_hash, instant, message_id, from_msisdn, to_msisdn, ts,"
    " created_at, text FROM lyftr_message WHERE seq > ?1 ORDER BY seq",

    /* NGX_LYFTR_SQL_MANY */
    "SELECT count(*) FROM lyftr_message WHERE seq > ?1 AND seq <= ?2",

    /* NGX_LYFTR_SQL_RECENT */
    "SELECT seq, id_hash, instant, message_id, from_msisdn"
    " FROM lyftr_message WHERE seq > ?1 AND seq <= ?2 ORDER BY seq",

    /* NGX_LYFTR_SQL_ROWS: whole ones */
    "SELECT seq, id_hash, instant, message_id, from_msisdn, to_msisdn, ts,"
    " created_at, text"
    " FROM lyftr_message WHERE seq > ?1 AND seq <= ?2 ORDER BY seq",

    /* NGX_LYFTR_SQL_INSERT */
    "INSERT INTO lyftr_message (id_hash, instant, message_id, from_msisdn,"
    " to_msisdn, ts, created_at, text, seq)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",

    /* NGX_LYFTR_SQL_PROBE: as much as a batch, for one page may still fit */
    "UPDATE lyftr_probe SET data = randomblob(65536)",

    /* NGX_LYFTR_SQL_TOUCH */
    "UPDATE lyftr_probe SET touched = touched + 1",

    /* NGX_LYFTR_SQL_BLOCK */
    "SELECT data FROM lyftr_block WHERE no = ?1",

    /* NGX_LYFTR_SQL_BLOCKS: that with a number, or before, and those after */
    "SELECT no, data FROM lyftr_block WHERE no >="
    " ifnull((SELECT max(no) FROM lyftr_block WHERE no <= ?1), 0) ORDER BY no",

    /* NGX_LYFTR_SQL_BLOCK_ADD */
    "INSERT INTO lyftr_block (no, data) VALUES (?1, ?2)",

    /* NGX_LYFTR_SQL_BLOCK_DELETE */
    "DELETE FROM lyftr_block WHERE no >= ?1 AND no <="
    " (SELECT max(no) FROM (SELECT no FROM lyftr_block"
    " WHERE no >= ?1 AND no < ?2 ORDER BY no LIMIT ?3))",

    /* NGX_LYFTR_SQL_SEGMENT_ADD */
    "INSERT INTO lyftr_segment (id, level, first, last, rows, id_height,"
    " time_height, sender_height, sum, ties)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",

    /* NGX_LYFTR_SQL_SEGMENT_DELETE */
    "DELETE FROM lyftr_segment WHERE id = ?1",

    /* NGX_LYFTR_SQL_NEXT */
    "UPDATE lyftr_state SET next = next + 1",

    /* NGX_LYFTR_SQL_INDEXED */
    "UPDATE lyftr_state SET generation = generation + 1,"
    " indexed = max(indexed, ?1)",

    /* NGX_LYFTR_SQL_TALLY */
    "SELECT from_msisdn, count(*) FROM lyftr_message"
    " WHERE seq > ?1 AND seq <= ?2 GROUP BY from_msisdn",

    /* NGX_LYFTR_SQL_SENDERS */
    "SELECT from_msisdn FROM lyftr_message WHERE seq > ?1 AND seq <= ?2",

    /* NGX_LYFTR_SQL_COUNT */
    "SELECT count, less, step, last FROM lyftr_count WHERE from_msisdn = ?1",

    /* NGX_LYFTR_SQL_COUNT_ADD */
    "UPDATE lyftr_count SET count = ?2, last = ?3 WHERE from_msisdn = ?1",

    /* NGX_LYFTR_SQL_COUNTED */
    "UPDATE lyftr_state SET counting = ?1, counted = ?2,"
    " senders = senders + ?3",

    /* NGX_LYFTR_SQL_LESS_ADD: a count that is damaged is not below zero */
    "UPDATE lyftr_count SET less = min(count, ?2), step = ?3"
    " WHERE from_msisdn = ?1 RETURNING count - less",

    /* NGX_LYFTR_SQL_LESS_TO */
    "SELECT max(from_msisdn) FROM (SELECT from_msisdn FROM lyftr_count"
    " INDEXED BY lyftr_less WHERE less > 0 ORDER BY from_msisdn LIMIT ?1)",

    /* NGX_LYFTR_SQL_LESS_DELETE */
    "DELETE FROM lyftr_count INDEXED BY lyftr_less WHERE less > 0"
    " AND from_msisdn <= ?1 AND step = ?2 AND count <= less",

    /* NGX_LYFTR_SQL_LESS_TAKE */
    "UPDATE lyftr_count INDEXED BY lyftr_less SET less = 0,"
    " count = count - CASE WHEN step = ?2 THEN less ELSE 0 END"
    " WHERE less > 0 AND from_msisdn <= ?1",

    /* NGX_LYFTR_SQL_LEAVE */
    "UPDATE lyftr_state SET floor = ?1, step = step + 1,"
    " generation = generation + 1, indexed = max(indexed, ?1),"
    " senders = senders - ?2",

    /* NGX_LYFTR_SQL_AGES: milliseconds, or null */
    "SELECT seq, CAST(round((julianday(created_at) - 2440587.5) * 86400000)"
    " AS INTEGER) FROM lyftr_message WHERE seq > ?1 ORDER BY seq",

    /* NGX_LYFTR_SQL_AGE */
    "SELECT CAST(round((julianday(created_at) - 2440587.5) * 86400000)"
    " AS INTEGER) FROM lyftr_message WHERE seq <= ?1"
    " ORDER BY seq DESC LIMIT 1",

    /* NGX_LYFTR_SQL_CLEAR */
    "DELETE FROM lyftr_message WHERE seq <= ?1",

    /* NGX_LYFTR_SQL_CLEAR_EXTRA */
    "DELETE FROM lyftr_extra WHERE seq <= ?1",

    /* NGX_LYFTR_SQL_CLEARED */
    "UPDATE lyftr_state SET gone = gone + ?1, gone_bytes = gone_bytes + ?2",

    /* NGX_LYFTR_SQL_COUNTS */
    "SELECT from_msisdn, " NGX_LYFTR_SQLITE_WORTH ", less, step"
    " FROM lyftr_count ORDER BY from_msisdn",

    /* NGX_LYFTR_SQL_COUNTS_AFTER */
    "SELECT from_msisdn, " NGX_LYFTR_SQLITE_WORTH ", less, step"
    " FROM lyftr_count WHERE from_msisdn > ?1 ORDER BY from_msisdn",

    /* NGX_LYFTR_SQL_COUNT_SET */
    "INSERT OR REPLACE INTO lyftr_count (from_msisdn, count, last)"
    " VALUES (?1, ?2, ?3)",

    /* NGX_LYFTR_SQL_COUNT_DELETE */
    "DELETE FROM lyftr_count WHERE from_msisdn = ?1",

    /* NGX_LYFTR_SQL_REBUILD */
    "UPDATE lyftr_state SET rebuild = ?1",

    /* NGX_LYFTR_SQL_REBUILT */
    "UPDATE lyftr_state SET rebuild = 0, generation = generation + 1,"
    " senders = ?1",

    /* NGX_LYFTR_SQL_SEGMENTS_OLD */
    "DELETE FROM lyftr_segment WHERE id < (SELECT rebuild FROM lyftr_state)",

    /* NGX_LYFTR_SQL_COUNT_OF */
    "SELECT " NGX_LYFTR_SQLITE_WORTH ", last FROM lyftr_count"
    " WHERE from_msisdn = ?1",

    /* NGX_LYFTR_SQL_UNCOUNTED: before and after the counts' next step */
    "SELECT from_msisdn, sum(seq <= ?2), sum(seq > ?2) FROM lyftr_message"
    " WHERE seq > ?1 GROUP BY from_msisdn",

    /* NGX_LYFTR_SQL_TOP */
    "SELECT from_msisdn, count FROM lyftr_top",

    /* NGX_LYFTR_SQL_TOP_CLEAR */
    "DELETE FROM lyftr_top",

    /* NGX_LYFTR_SQL_TOP_ADD */
    "INSERT INTO lyftr_top (from_msisdn, count) VALUES (?1, ?2)",

    /* NGX_LYFTR_SQL_ROW */
    "SELECT seq, id_hash, instant, message_id, from_msisdn, to_msisdn, ts,"
    " created_at, text FROM lyftr_message WHERE seq = ?1",

    /* NGX_LYFTR_SQL_GIVEN: the same of many */
    "SELECT m.seq, id_hash, instant, message_id, from_msisdn, to_msisdn, ts,"
    " created_at, text FROM lyftr_given AS g CROSS JOIN lyftr_message AS m"
    " ON m.seq = g.seq",

    /* NGX_LYFTR_SQL_EXTRA */
    "SELECT type, raw FROM lyftr_extra WHERE seq = ?1",

    /* NGX_LYFTR_SQL_EXTRA_LAST */
    "SELECT ifnull(max(seq), 0) FROM lyftr_extra",

    /* NGX_LYFTR_SQL_EXTRA_ADD */
    "INSERT INTO lyftr_extra (seq, type, raw, sum) VALUES (?1, ?2, ?3, ?4)",

    /* NGX_LYFTR_SQL_EXTRAS: with those that no row has */
    "SELECT e.seq, e.type, e.raw, e.sum, m.seq FROM lyftr_extra AS e"
    " LEFT JOIN lyftr_message AS m ON m.seq = e.seq"
    " WHERE e.seq > ?1 ORDER BY e.seq",

    /* NGX_LYFTR_SQL_POSITION */
    "SELECT seq, id_hash, instant, message_id, from_msisdn"
    " FROM lyftr_message WHERE seq = ?1",

    /* NGX_LYFTR_SQL_TEXTS */
    "SELECT seq, text FROM lyftr_message WHERE seq > ?1 AND seq <= ?2"
    " ORDER BY seq",

    /* NGX_LYFTR_SQL_SEARCH_STATE: level -1 is being made, or is to go */
    "SELECT ifnull((SELECT max(last) FROM lyftr_search WHERE level >= 0), 0),"
    " ifnull((SELECT max(last) FROM lyftr_search WHERE level = 1), 0),"
    " ifnull((SELECT min(id) FROM lyftr_search WHERE level < 0), 0)",

    /* NGX_LYFTR_SQL_SEARCH */
    "SELECT id, first, last FROM lyftr_search WHERE level >= 0"
    " ORDER BY first, level DESC",

    /* NGX_LYFTR_SQL_SEARCH_NEXT */
    "SELECT id, last - first, sum FROM lyftr_search WHERE id >= ?1"
    " AND id <= ?2 AND level >= 0 ORDER BY id LIMIT 1",

    /* NGX_LYFTR_SQL_SEARCH_ADD */
    "INSERT INTO lyftr_search (level, first, last) VALUES (-1, 0, 0)",

    /* NGX_LYFTR_SQL_SEARCH_DONE */
    "UPDATE lyftr_search SET level = ?2, first = ?3, last = ?4, sum = ?5"
    " WHERE id = ?1",

    /* NGX_LYFTR_SQL_SEARCH_RETIRE */
    "UPDATE lyftr_search SET level = -1 WHERE level = 0 AND last <= ?1",

    /* NGX_LYFTR_SQL_SEARCH_FORGET */
    "UPDATE lyftr_search SET level = -1",

    /* NGX_LYFTR_SQL_SEARCH_LEAVE */
    "UPDATE lyftr_search SET level = -1 WHERE level >= 0 AND last <= ?1",

    /* NGX_LYFTR_SQL_SEARCH_DELETE */
    "DELETE FROM lyftr_search WHERE id = ?1",

    /* NGX_LYFTR_SQL_SEARCH_OLD: a part of before that has rows that went */
    "SELECT id, level, first, last FROM lyftr_search AS s WHERE level >= 0"
    " AND id < ?1 AND EXISTS (SELECT 1 FROM lyftr_erased"
    " WHERE seq > s.first AND seq <= s.last) LIMIT 1",

    /* NGX_LYFTR_SQL_SEARCH_REPLACE */
    "UPDATE lyftr_search SET level = -1 WHERE id = ?1",

    /* NGX_LYFTR_SQL_ERASE_MARKS: those of senders */
    "SELECT value, max(upto), max(CASE WHEN state < 3 THEN number ELSE 0 END)"
    " FROM lyftr_erase WHERE kind = 1 AND state > 0 GROUP BY value",

    /* NGX_LYFTR_SQL_ERASE_LISTED */
    "SELECT m.seq, m.id_hash, m.instant, m.message_id, m.from_msisdn,"
    " e.number FROM lyftr_erased AS e INDEXED BY lyftr_listed"
    " CROSS JOIN lyftr_message AS m ON m.seq = e.seq"
    " WHERE e.part = 0 AND e.deleted = 0 ORDER BY e.seq",

    /* NGX_LYFTR_SQL_ERASED */
    "SELECT 1 FROM lyftr_erased WHERE seq = ?1",

    /* NGX_LYFTR_SQL_ERASED_ALL */
    "SELECT seq FROM lyftr_erased WHERE seq > ?1 AND seq <= ?2"
    " AND number > ?3 ORDER BY seq",

    /* NGX_LYFTR_SQL_ERASED_ADD */
    "INSERT OR IGNORE INTO lyftr_erased (seq, number, part)"
    " VALUES (?1, ?2, ?3)",

    /* NGX_LYFTR_SQL_TOMBS */
    "SELECT no, mark FROM lyftr_tomb WHERE no > ?1 ORDER BY no",

    /* NGX_LYFTR_SQL_TOMB */
    "SELECT 1 FROM lyftr_tomb WHERE mark = ?1 AND hash = ?2",

    /* NGX_LYFTR_SQL_TOMB_ADD */
    "INSERT INTO lyftr_tomb (mark, hash) SELECT ?1, ?2 WHERE NOT EXISTS"
    " (SELECT 1 FROM lyftr_tomb WHERE mark = ?1 AND hash = ?2)",

    /* NGX_LYFTR_SQL_GRAM */
    "SELECT data FROM lyftr_gram WHERE no = ?1",

    /* NGX_LYFTR_SQL_GRAMS: as those of trees */
    "SELECT no, data FROM lyftr_gram WHERE no >="
    " ifnull((SELECT max(no) FROM lyftr_gram WHERE no <= ?1), 0) ORDER BY no",

    /* NGX_LYFTR_SQL_GRAM_ADD */
    "INSERT INTO lyftr_gram (no, data) VALUES (?1, ?2)",

    /* NGX_LYFTR_SQL_GRAM_DELETE */
    "DELETE FROM lyftr_gram WHERE no >= ?1 AND no <="
    " (SELECT max(no) FROM (SELECT no FROM lyftr_gram"
    " WHERE no >= ?1 AND no < ?2 ORDER BY no LIMIT ?3))"
};


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


void
ngx_lyftr_sqlite_column(sqlite3_stmt *st, int i, ngx_str_t *s)
{
    s->data = (u_char *) sqlite3_column_text(st, i);
    s->len = sqlite3_column_bytes(st, i);
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


ngx_int_t
ngx_lyftr_sqlite_exec(ngx_lyftr_sqlite_t *c, const char *sql,
    ngx_lyftr_error_t *err)
{
    int  rc;

    rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);

    if (rc == SQLITE_ERROR) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_SCHEMA,
                                     "cannot set up the schema: %s",
                                     sqlite3_errmsg(c->db));
    }

    return rc == SQLITE_OK ? NGX_OK : ngx_lyftr_sqlite_error(c, err);
}

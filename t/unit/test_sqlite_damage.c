/* Each kind of damage is found by one pass of the check. */

#include "unit_store.h"


/* each is told by a whole pass, however little of it is told inside of a row */

static const char  *damages[] = {

    /* blocks that are gone */

    "DELETE FROM lyftr_block WHERE no = (SELECT min(no) FROM lyftr_block"
    " WHERE no >> 30 & 63 = %d)",

    "DELETE FROM lyftr_block WHERE no = (SELECT max(no) FROM lyftr_block"
    " WHERE no >> 30 & 63 = %d)",

    /* a write that went astray: a block is that of a neighbour */

    "UPDATE lyftr_block SET data = (SELECT b.data FROM lyftr_block AS b"
    " WHERE b.no > lyftr_block.no ORDER BY b.no LIMIT 1) WHERE no ="
    " (SELECT min(no) FROM lyftr_block WHERE no >> 30 & 63 = %d)",

    /* or of the same place in another segment */

    "UPDATE lyftr_block SET data = (SELECT b.data FROM lyftr_block AS b"
    " WHERE b.no & 0xfffffffff = lyftr_block.no & 0xfffffffff"
    " AND b.no <> lyftr_block.no) WHERE no ="
    " (SELECT min(no) FROM lyftr_block WHERE no >> 30 & 63 = %d)",

    /* or was lost: it is what it was before the last entry came */

    "UPDATE lyftr_block SET data = test_before(data) WHERE no ="
    " (SELECT max(no) FROM lyftr_block WHERE no >> 30 & 63 = %d)",

    /* or names another row, one before the segment, or one after it */

    "UPDATE lyftr_block SET data = CAST(substr(data, 1, length(data) - 1)"
    " || x'02' AS BLOB) WHERE no ="
    " (SELECT min(no) FROM lyftr_block WHERE no >> 30 & 63 = %d)",

    "UPDATE lyftr_block SET data = CAST(substr(data, 1, length(data) - 1)"
    " || x'00' AS BLOB) WHERE no ="
    " (SELECT max(no) FROM lyftr_block WHERE no >> 30 & 63 = %d)",

    "UPDATE lyftr_block SET data = test_far(data, 0x4000000000000000)"
    " WHERE no ="
    " (SELECT max(no) FROM lyftr_block WHERE no >> 30 & 63 = %d)",

    "UPDATE lyftr_block SET data = test_far(data, -0x4000000000000000)"
    " WHERE no ="
    " (SELECT max(no) FROM lyftr_block WHERE no >> 30 & 63 = %d)",

    NULL
};


static struct {
    const char  *sql;
    const char  *text;
} faults[] = {

    /* the log: in a segment, and after all of them */

    { "DELETE FROM lyftr_message WHERE seq = 1", "rows 1 to " },
    { "DELETE FROM lyftr_message WHERE seq = 70", "rows " },
    { "DELETE FROM lyftr_message WHERE seq ="
      " (SELECT max(seq) - 2 FROM lyftr_message)", "the counts of senders" },
    { "DELETE FROM lyftr_message WHERE seq ="
      " (SELECT max(seq) FROM lyftr_message)", "the counts of senders" },
    { "UPDATE lyftr_message SET seq = 1000 WHERE seq = 70", NULL },
    { "UPDATE lyftr_message SET from_msisdn = '+2' WHERE seq = 70", NULL },
    { "UPDATE lyftr_message SET from_msisdn = '+2' WHERE seq ="
      " (SELECT max(seq) FROM lyftr_message)", "the counts of senders" },
    { "UPDATE lyftr_message SET ts = '2025-01-15T10:00:01Z' WHERE seq = 70",
      "row 70 " },
    { "UPDATE lyftr_message SET ts = '2025-01-15T10:00:01Z' WHERE seq ="
      " (SELECT max(seq) FROM lyftr_message)", "row " },
    { "UPDATE lyftr_message SET ts = '2025-01-15T10:00:01Z',"
      " instant = lyftr_instant('2025-01-15T10:00:01Z') WHERE seq = 70",
      "rows " },
    { "UPDATE lyftr_message SET instant = x'00' WHERE seq = 70", "row 70 " },
    { "UPDATE lyftr_message SET instant = 'then' WHERE seq = 70", "row 70 " },
    { "UPDATE lyftr_message SET message_id = 'm' WHERE seq = 70", "row 70 " },
    { "UPDATE lyftr_message SET message_id = 'm', id_hash = lyftr_hash('m')"
      " WHERE seq = 70", "rows " },
    { "UPDATE lyftr_message SET to_msisdn = '+201' WHERE seq = 70", "rows " },
    { "UPDATE lyftr_message SET created_at = NULL WHERE seq = 70", "rows " },
    { "UPDATE lyftr_message SET text = 'another' WHERE seq = 70", "rows " },
    { "UPDATE lyftr_message SET text = NULL WHERE seq = 71", "rows " },

    /* two rows have each other's texts */

    { "UPDATE lyftr_message SET text = (SELECT m.text FROM lyftr_message AS m"
      " WHERE m.seq = 141 - lyftr_message.seq) WHERE seq IN (70, 71)",
      "rows " },

    /* what is told of segments */

    { "UPDATE lyftr_segment SET rows = rows - 1", "rows " },
    { "UPDATE lyftr_segment SET sum = sum + 1", "rows " },
    { "UPDATE lyftr_segment SET id_height = id_height + 1", "segment " },
    { "UPDATE lyftr_segment SET sender_height = 1", "segment " },
    { "UPDATE lyftr_segment SET time_height = 99", "segment " },
    { "DELETE FROM lyftr_segment WHERE first ="
      " (SELECT max(first) FROM lyftr_segment)", "an index " },
    { "DELETE FROM lyftr_segment WHERE first = 0", "an index " },

    /* counts */

    { "UPDATE lyftr_count SET count = count + 1 WHERE from_msisdn ="
      " '+1'", "an index " },
    { "UPDATE lyftr_count SET count = count - 1 WHERE from_msisdn ="
      " '+1'; UPDATE lyftr_top SET count = count - 1 WHERE from_msisdn ="
      " '+1'", "the counts of senders" },
    { "UPDATE lyftr_count SET count = count - 1 WHERE from_msisdn ="
      " (SELECT max(from_msisdn)"
      " FROM lyftr_count WHERE from_msisdn NOT IN"
      " (SELECT from_msisdn FROM lyftr_top))", "the counts of senders" },
    { "DELETE FROM lyftr_count WHERE from_msisdn ="
      " (SELECT max(from_msisdn)"
      " FROM lyftr_count WHERE from_msisdn NOT IN"
      " (SELECT from_msisdn FROM lyftr_top))", "the counts of senders" },
    { "DELETE FROM lyftr_count WHERE from_msisdn ="
      " (SELECT max(from_msisdn) FROM lyftr_count)", NULL },
    { "INSERT INTO lyftr_count VALUES ('+zz', 0, 1, 0, 0)",
      "the counts of senders" },
    { "UPDATE lyftr_state SET senders = senders + 1",
      "the counts of senders" },
    { "UPDATE lyftr_state SET senders = senders - 1",
      "the counts of senders" },
    { "UPDATE lyftr_top SET count = count + 1 WHERE from_msisdn = '+1'",
      "an index " },
    { "DELETE FROM lyftr_top WHERE from_msisdn = '+1'",
      "the counts of senders" },
    { "DELETE FROM lyftr_top WHERE from_msisdn = '+1'; INSERT INTO lyftr_top"
      " SELECT from_msisdn, count FROM lyftr_count"
      " WHERE from_msisdn ="
      " (SELECT max(from_msisdn)"
      " FROM lyftr_count WHERE from_msisdn NOT IN"
      " (SELECT from_msisdn FROM lyftr_top))", "the counts of senders" },

    /* the search index */

    { "DELETE FROM lyftr_gram WHERE no = (SELECT max(no) FROM lyftr_gram)",
      "part " },
    { "DELETE FROM lyftr_gram WHERE no >> 40 ="
      " (SELECT max(id) FROM lyftr_search WHERE level >= 0)", "part " },
    { "DELETE FROM lyftr_gram WHERE no = (SELECT no FROM lyftr_gram"
      " WHERE no & 65535 = 0 LIMIT 1 OFFSET 3)", "part " },
    { "UPDATE lyftr_search SET sum = sum + 1", "part " }
};


/* a block without its last entry */

static void
test_before(sqlite3_context *ctx, int n, sqlite3_value **v)
{
    u_char             *p;
    ngx_lyftr_block_t   block;

    ngx_memzero(&block, sizeof(block));

    p = (u_char *) sqlite3_value_blob(v[0]);

    assert_int_equal(ngx_lyftr_block_open(&block, p,
                                          sqlite3_value_bytes(v[0])), NGX_OK);

    do {
        n = block.p - p;
        assert_int_equal(ngx_lyftr_block_next(&block), NGX_OK);
    } while (block.p < block.last);

    ngx_lyftr_block_free(&block);

    sqlite3_result_blob(ctx, p, n, SQLITE_TRANSIENT);
}


/* the row of its last entry so much further, which no sum tells */

static void
test_far(sqlite3_context *ctx, int n, sqlite3_value **v)
{
    u_char              p[1024];
    uint64_t            row;
    ngx_lyftr_block_t   block;

    ngx_memzero(&block, sizeof(block));

    n = sqlite3_value_bytes(v[0]);
    ngx_memcpy(p, sqlite3_value_blob(v[0]), n);

    assert_int_equal(ngx_lyftr_block_open(&block, p, n), NGX_OK);

    while (block.p < block.last) {
        assert_int_equal(ngx_lyftr_block_next(&block), NGX_OK);
    }

    ngx_lyftr_buf_free(&block.key);

    n -= 1 + (block.value >= 0x80);
    row = (uint64_t) block.value + (uint64_t) sqlite3_value_int64(v[1]);

    for ( /* void */ ; row >= 0x80; row >>= 7) {
        p[n++] = row | 0x80;
    }

    p[n++] = row;

    sqlite3_result_blob(ctx, p, n, SQLITE_TRANSIENT);
}


static void
test_hash(sqlite3_context *ctx, int n, sqlite3_value **v)
{
    u_char  *p;

    p = (u_char *) sqlite3_value_text(v[0]);

    sqlite3_result_int64(ctx, (int64_t)
                         ngx_lyftr_sqlite_hash(p, sqlite3_value_bytes(v[0])));
}


static void
test_instant(sqlite3_context *ctx, int n, sqlite3_value **v)
{
    u_char               *p;
    ngx_lyftr_instant_t   t;

    p = (u_char *) sqlite3_value_text(v[0]);

    assert_int_equal(ngx_lyftr_instant_parse(p, sqlite3_value_bytes(v[0]),
                                             &t), NGX_OK);

    sqlite3_result_blob(ctx, t.data, t.len, SQLITE_TRANSIENT);
}


static void
test_shell(const char *format)
{
    char  s[512];

    (void) snprintf(s, sizeof(s), format, dir, dir, dir, dir);
    assert_int_equal(system(s), 0);
}


/* damages the store that was kept, and looks at it from the beginning */

static void
test_fault(const char *sql, const char *text)
{
    char     *msg;
    void     *c;
    sqlite3  *db;

    test_shell("cd %s && rm -f t.db-wal t.db-shm && cp kept t.db");
    unit_forget();

    msg = NULL;

    assert_int_equal(sqlite3_open((char *) dsn.common.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_create_function(db, "lyftr_hash", 1,
                                             SQLITE_UTF8, NULL, test_hash,
                                             NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_create_function(db, "lyftr_instant", 1,
                                             SQLITE_UTF8, NULL, test_instant,
                                             NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_create_function(db, "test_before", 1,
                                             SQLITE_UTF8, NULL, test_before,
                                             NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_create_function(db, "test_far", 2,
                                             SQLITE_UTF8, NULL, test_far,
                                             NULL, NULL), SQLITE_OK);

    if (sqlite3_exec(db, sql, NULL, NULL, &msg) != SQLITE_OK
        || sqlite3_total_changes(db) == 0)
    {
        fail_msg("%s: %s", sql, msg ? msg : "nothing has changed");
    }

    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    unit_forget();

    c = unit_open();

    if (unit_pass(c) != -1) {
        fail_msg("not found: %s", sql);
    }

    if (text && (err.len < strlen(text)
                 || memcmp(err.text, text, strlen(text)) != 0))
    {
        fail_msg("%s: %.*s", sql, (int) err.len, err.text);
    }

    b->close(c);

    assert_int_equal(unit_sql_int("SELECT damaged FROM lyftr_state"), 1);
}


static int
test_setup(void **state)
{
    if (unit_setup(state) != 0) {
        return -1;
    }

    dsn.search = 1;

    return 0;
}


/* two segments of two levels, and rows after them, of 20 senders */

static void
test_damages(void **state)
{
    char         sql[512], id[32], from[8], ts[32];
    void        *c;
    ngx_str_t    str, text;
    ngx_uint_t   i, kind;

    c = unit_open();

    for (i = 0; i < 3 * NGX_LYFTR_SEGMENT + NGX_LYFTR_SEGMENT + 21; i++) {
        (void) sprintf(id, "m%u", (unsigned) i);
        (void) sprintf(from, "+%u", (unsigned) (i * i % 7 ? i % 20 : 1));
        (void) sprintf(ts, "2025-01-15T10:%02u:00Z", (unsigned) i % 60);

        str = unit_str(id);
        text = unit_str(i % 3 ? "the same, and the same" : "something else");

        assert_int_equal(b->turn(c, unit_in(2000), &err), NGX_OK);
        assert_true(unit_insert(c, &str, from, ts, &text));
        assert_int_equal(unit_commit(c, &err), NGX_OK);
    }

    unit_housekeep_all(c);
    assert_true(unit_pass(c) > 0);
    b->close(c);

    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_segment"), 2);
    assert_true(unit_sql_int("SELECT min(sender_height)"
                             " FROM lyftr_segment") > 1);
    assert_int_equal(unit_sql_int("SELECT count(*) FROM lyftr_segment"
                                  " WHERE sum IS NULL"), 0);

    unit_sql("PRAGMA wal_checkpoint(TRUNCATE)");
    test_shell("cd %s && cp t.db kept");

    for (i = 0; i < unit_count(faults); i++) {
        test_fault(faults[i].sql, faults[i].text);
    }

    /* of each tree, in the lowest level and the next; and of the filter */

    for (i = 0; damages[i]; i++) {
        for (kind = 0; kind < NGX_LYFTR_TREES; kind++) {
            (void) snprintf(sql, sizeof(sql), damages[i], (int) kind << 4);
            test_fault(sql, NULL);

            (void) snprintf(sql, sizeof(sql), damages[i],
                            (int) (kind << 4 | 1));
            test_fault(sql, NULL);
        }
    }

    (void) snprintf(sql, sizeof(sql), damages[0], NGX_LYFTR_LEVEL_FILTER);
    test_fault(sql, "an index ");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup_teardown(test_damages, test_setup,
                                        unit_teardown)
    };

    return cmocka_run_group_tests_name("sqlite_damage", tests, NULL, NULL);
}

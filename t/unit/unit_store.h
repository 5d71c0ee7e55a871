/* A store in a folder of its own, for the tests of the SQLite backend. */

#ifndef _UNIT_STORE_H_INCLUDED_
#define _UNIT_STORE_H_INCLUDED_


#include "unit.h"

#include <ngx_lyftr_sqlite_backend.h>
#include <ngx_lyftr_sqlite_disk.h>
#include <ngx_lyftr_sqlite_index.h>

#include <sys/wait.h>


#define unit_in(msec)  (ngx_lyftr_clock() + (msec))

/* the steps of a write, which the boundary has as one */
#define unit_put       ngx_lyftr_sqlite_insert
#define unit_commit    ngx_lyftr_sqlite_commit


/* a test with a store that is not there yet */
#define unit_fresh(f)                                                         \
    cmocka_unit_test_setup_teardown(f, unit_setup, unit_teardown)


static ngx_lyftr_backend_t  *b = &ngx_lyftr_sqlite_backend;
static ngx_lyftr_error_t     err;
static ngx_lyftr_sqlite_dsn_t  dsn;
static ngx_lyftr_check_t     checked;
static ngx_atomic_t          words[NGX_LYFTR_WORDS];
static char                  dir[64];


static ngx_inline ngx_str_t
unit_str(const char *s)
{
    ngx_str_t  str;

    str.data = (u_char *) s;
    str.len = s ? strlen(s) : 0;

    return str;
}


static ngx_inline int
unit_setup(void **state)
{
    char        buf[128];
    ngx_str_t   url;
    const char  *tmp = getenv("LYFTR_UNIT_DIR");

    (void) snprintf(dir, sizeof(dir), "%s/test_sqlite.XXXXXX",
                    tmp ? tmp : "/tmp");

    if (mkdtemp(dir) == NULL) {
        return -1;
    }

    (void) snprintf(buf, sizeof(buf), "sqlite:///%s/t.db", dir);
    url = unit_str(buf);

    ngx_memzero(&dsn, sizeof(ngx_lyftr_sqlite_dsn_t));

    if (b->init(&dsn, &url, &err) != NGX_OK) {
        return -1;
    }

    dsn.max_wal = 256 << 20;
    dsn.cache = 16 << 20;

    return 0;
}


static ngx_inline int
unit_teardown(void **state)
{
    char        buf[128];
    ngx_uint_t  i;

    for (i = 0; i < NGX_LYFTR_FILE_N; i++) {
        if (dsn.file[i].fd) {
            (void) close(dsn.file[i].fd);
            dsn.file[i].fd = 0;
        }
    }

    /* of connections that are closed, nothing is left */

    if (dsn.shared) {
        print_error("a connection is not closed\n");
        return -1;
    }

    (void) snprintf(buf, sizeof(buf), "rm -rf '%s'", dir);

    return system(buf);
}


/* as one who has not opened the files before: they may be other ones now */

static ngx_inline void
unit_forget(void)
{
    dsn.opened = 0;
    ngx_memzero((void *) words, sizeof(words));
}


static ngx_inline void
unit_sql(const char *sql)
{
    char     *msg;
    sqlite3  *db;

    msg = NULL;

    assert_int_equal(sqlite3_open((char *) dsn.common.path, &db), SQLITE_OK);
    (void) sqlite3_busy_timeout(db, 2000);
    (void) sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);

    if (sqlite3_exec(db, sql, NULL, NULL, &msg) != SQLITE_OK) {
        print_error("%s\n", msg);
        fail();
    }

    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}


/* brings the schema back to versions of before */

static ngx_inline void
unit_version_5(void)
{
    unit_sql("BEGIN;"
             "DROP VIEW messages;"
             "DROP TABLE lyftr_erase;"
             "DROP TABLE lyftr_erased;"
             "DROP TABLE lyftr_tomb;"
             "ALTER TABLE lyftr_state DROP COLUMN erase;"
             "ALTER TABLE lyftr_state DROP COLUMN erasing;"
             "ALTER TABLE lyftr_state DROP COLUMN deleted;"
             "ALTER TABLE lyftr_state DROP COLUMN erased;"
             "ALTER TABLE lyftr_state DROP COLUMN emptying;"
             "ALTER TABLE lyftr_state DROP COLUMN tombs;"
             "ALTER TABLE lyftr_state DROP COLUMN erase_key;"
             "CREATE VIEW messages AS SELECT message_id, from_msisdn,"
             " to_msisdn, ts, text, created_at, type, raw"
             " FROM lyftr_message LEFT JOIN lyftr_extra USING (seq)"
             " WHERE seq > (SELECT floor FROM lyftr_state);"
             "PRAGMA user_version = 5;"
             "COMMIT");
}


static ngx_inline void
unit_version_4(void)
{
    unit_version_5();
    unit_sql("BEGIN;"
             "DROP VIEW messages;"
             "DROP INDEX lyftr_less;"
             "ALTER TABLE lyftr_count DROP COLUMN less;"
             "ALTER TABLE lyftr_count DROP COLUMN step;"
             "ALTER TABLE lyftr_state DROP COLUMN floor;"
             "ALTER TABLE lyftr_state DROP COLUMN step;"
             "ALTER TABLE lyftr_state DROP COLUMN gone;"
             "ALTER TABLE lyftr_state DROP COLUMN gone_bytes;"
             "CREATE VIEW messages AS SELECT message_id, from_msisdn,"
             " to_msisdn, ts, text, created_at, type, raw"
             " FROM lyftr_message LEFT JOIN lyftr_extra USING (seq);"
             "PRAGMA user_version = 4;"
             "COMMIT");
}


static ngx_inline void
unit_version_3(void)
{
    unit_version_4();
    unit_sql("BEGIN;"
             "DROP VIEW messages;"
             "DROP TABLE lyftr_extra;"
             "DROP TRIGGER lyftr_leave;"
             "ALTER TABLE lyftr_state DROP COLUMN mark;"
             "ALTER TABLE lyftr_state DROP COLUMN store;"
             "CREATE VIEW messages AS SELECT message_id, from_msisdn,"
             " to_msisdn, ts, text, created_at FROM lyftr_message;"
             "PRAGMA user_version = 3;"
             "COMMIT");
}


static ngx_inline void
unit_version_2(void)
{
    unit_version_3();
    unit_sql("BEGIN;"
             "ALTER TABLE lyftr_segment DROP COLUMN ties;"
             "ALTER TABLE lyftr_segment DROP COLUMN sum;"
             "ALTER TABLE lyftr_search DROP COLUMN sum;"
             "ALTER TABLE lyftr_state DROP COLUMN damaged;"
             "ALTER TABLE lyftr_state DROP COLUMN rebuild;"
             "PRAGMA user_version = 2;"
             "COMMIT");
}


/* the integer that a statement gives */

static ngx_inline int64_t
unit_sql_int(const char *sql)
{
    int64_t        n;
    sqlite3       *db;
    sqlite3_stmt  *st;

    assert_int_equal(sqlite3_open((char *) dsn.common.path, &db), SQLITE_OK);
    (void) sqlite3_busy_timeout(db, 2000);
    (void) sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);

    n = sqlite3_column_int64(st, 0);

    (void) sqlite3_finalize(st);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);

    return n;
}


static ngx_inline void *
unit_open_as(ngx_uint_t flags)
{
    void  *c;

    c = b->open(&dsn, flags, unit_in(4000), &err);

    if (c == NULL) {
        print_error("open: %.*s\n", (int) err.len, err.text);
        fail();
    }

    return c;
}


static ngx_inline void *
unit_open(void)
{
    return unit_open_as(NGX_LYFTR_OPEN_CREATE);
}


/* a message with what matters; false if it is known */

static ngx_inline ngx_uint_t
unit_insert(void *c, ngx_str_t *id, const char *from, const char *ts,
    ngx_str_t *text)
{
    ngx_int_t            rc;
    ngx_lyftr_message_t  m;

    ngx_memzero(&m, sizeof(m));

    m.message_id = *id;
    m.from = unit_str(from);
    m.to = unit_str("+200");
    m.ts = unit_str(ts);
    m.text = *text;

    assert_int_equal(ngx_lyftr_instant_parse(m.ts.data, m.ts.len, &m.instant),
                     NGX_OK);

    rc = unit_put(c, &m, &err);
    assert_int_not_equal(rc, NGX_ERROR);

    return rc == NGX_OK;
}


/* one message, in a transaction of its own */

static ngx_inline ngx_int_t
unit_one(void *c, const char *id)
{
    ngx_str_t   s, text;
    ngx_uint_t  fresh;

    s = unit_str(id);
    text = unit_str("");

    assert_int_equal(b->turn(c, unit_in(2000), &err), NGX_OK);
    fresh = unit_insert(c, &s, "+1", "2025-01-15T10:00:00Z", &text);
    assert_int_equal(unit_commit(c, &err), NGX_OK);

    return fresh ? NGX_OK : NGX_DECLINED;
}


/* the first rows that are given */

typedef struct {
    ngx_uint_t           n;
    ngx_uint_t           stop;
    ngx_lyftr_position_t  last;
    struct {
        char             id[32];
        char             from[16];
        ngx_uint_t       null;
    } rows[16];
} unit_rows_t;


static ngx_inline ngx_int_t
unit_rows(void *data, ngx_lyftr_message_t *m,
    ngx_lyftr_position_t *position)
{
    unit_rows_t *rows = data;

    if (rows->stop) {
        return NGX_ERROR;
    }

    assert_true(rows->n < unit_count(rows->rows));

    (void) snprintf(rows->rows[rows->n].id, 32, "%.*s",
                    (int) m->message_id.len, m->message_id.data);
    (void) snprintf(rows->rows[rows->n].from, 16, "%.*s", (int) m->from.len,
                    m->from.data);
    rows->last = *position;
    rows->rows[rows->n++].null = (m->text.data == NULL);

    return NGX_OK;
}


/* in a transaction of its own */

static ngx_inline ngx_int_t
unit_list(void *c, ngx_lyftr_query_t *q, unit_rows_t *rows,
    ngx_lyftr_page_t *page)
{
    ngx_int_t  rc;

    rows->n = 0;
    rows->stop = 0;

    assert_int_equal(b->begin(c, unit_in(4000), &err), NGX_OK);
    rc = b->list(c, q, unit_rows, rows, page, &err);

    if (rc == NGX_ERROR) {
        print_error("list: %.*s\n", (int) err.len, err.text);
    }

    assert_int_equal(unit_commit(c, &err), NGX_OK);

    return rc;
}


/* one call of housekeep(); the counts wait for a pause in the rows */

static ngx_inline ngx_int_t
unit_housekeep(void *c)
{
    ngx_int_t  rc;

    rc = b->housekeep(c, unit_in(4000), &err);

    if (rc == NGX_ERROR
        || ((rc == NGX_OK || rc == NGX_DONE)
            && err.code != NGX_LYFTR_ERR_NONE))
    {
        print_error("housekeep: %.*s\n", (int) err.len, err.text);
        fail();
    }

    return rc;
}


/* the next part of a check, also if nothing has changed */

static ngx_inline ngx_int_t
unit_verify(void *c, ngx_msec_t msec)
{
    checked.begin = 1;

    return b->check(c, &checked, unit_in(msec), &err);
}


/* the calls that one check takes; -1: damage */

static ngx_inline int
unit_pass(void *c)
{
    int        n;
    ngx_int_t  rc;

    for (n = 1; n < 10000; n++) {
        rc = unit_verify(c, 4000);

        if (rc == NGX_DONE) {
            return n;
        }

        if (rc == NGX_ERROR) {
            assert_int_equal(err.code, NGX_LYFTR_ERR_CORRUPT);
            return -1;
        }
    }

    fail();

    return 0;
}


/* until there is nothing to do, also for the counts, which wait a little */

static ngx_inline void
unit_housekeep_all(void *c)
{
    ngx_uint_t           idle;
    ngx_lyftr_sqlite_t  *s = c;

    for (idle = 0; idle < 200; idle++) {

        while (unit_housekeep(c) == NGX_OK) {
            idle = 0;
        }

        if (s->state.counted == s->index.last) {
            return;
        }

        (void) usleep(10000);
    }

    fail_msg("the housekeeping does not end");
}


#endif /* _UNIT_STORE_H_INCLUDED_ */

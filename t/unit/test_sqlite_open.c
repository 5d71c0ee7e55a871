/* Files that are moved away, and processes that open one at once. */

#include "unit_model.h"

#include <ngx_lyftr_sqlite_setup.h>

#include <dirent.h>


#define TEST_PROCS   8


/* what of a file is said to be another's */

typedef enum {
    TEST_NONE = 0,
    TEST_MAJOR,
    TEST_MINOR,
    TEST_INODE,
    TEST_OTHERS
} test_other_e;

static test_other_e  test_other;


int __real_statx(int dirfd, const char *path, int flags, unsigned int mask,
    struct statx *sx);
int __wrap_statx(int dirfd, const char *path, int flags, unsigned int mask,
    struct statx *sx);


int
__wrap_statx(int dirfd, const char *path, int flags, unsigned int mask,
    struct statx *sx)
{
    int  rc;

    rc = __real_statx(dirfd, path, flags, mask, sx);

    sx->stx_dev_major += (test_other == TEST_MAJOR);
    sx->stx_dev_minor += (test_other == TEST_MINOR);
    sx->stx_ino += (test_other == TEST_INODE);

    return rc;
}


static void
test_moved(void **state)
{
    void         *c;
    char          path[160], other[170];
    ngx_uint_t    i;

    static char  *suffixes[] = { "", "-wal", "-shm", "-lock" };

    for (i = 0; i < unit_count(suffixes); i++) {
        c = unit_open();
        assert_int_equal(b->turn(c, unit_in(1000), &err), NGX_OK);

        (void) snprintf(path, sizeof(path), "%s/t.db%s", dir, suffixes[i]);
        (void) snprintf(other, sizeof(other), "%s.away", path);
        assert_int_equal(rename(path, other), 0);

        assert_int_equal(unit_commit(c, &err), NGX_ERROR);
        assert_int_equal(err.code, NGX_LYFTR_ERR_MOVED);
        assert_int_equal(b->turn(c, unit_in(1000), &err), NGX_ERROR);
        assert_int_equal(err.code, NGX_LYFTR_ERR_MOVED);
        assert_int_equal(b->begin(c, unit_in(1000), &err), NGX_ERROR);
        assert_int_equal(err.code, NGX_LYFTR_ERR_MOVED);
        assert_int_equal(b->probe(c, 0, &err), NGX_ERROR);
        assert_int_equal(err.code, NGX_LYFTR_ERR_MOVED);

        /* replaced: the lock file by a new one, made by another process */

        assert_int_equal(close(open(path, O_CREAT|O_WRONLY, 0600)), 0);
        assert_int_equal(b->probe(c, 0, &err), NGX_ERROR);
        assert_int_equal(err.code, NGX_LYFTR_ERR_MOVED);
        assert_int_equal(rename(other, path), 0);

        assert_int_equal(b->probe(c, 1, &err), NGX_OK);
        b->close(c);
    }
}


/* a file of another disk may have the same number */

static void
test_other_file(void **state)
{
    void  *c;

    c = unit_open();

    for (test_other = TEST_MAJOR; test_other < TEST_OTHERS; test_other++) {
        assert_int_equal(b->probe(c, 0, &err), NGX_ERROR);
        assert_int_equal(err.code, NGX_LYFTR_ERR_MOVED);
    }

    test_other = TEST_NONE;

    assert_int_equal(b->probe(c, 1, &err), NGX_OK);
    b->close(c);
}


static ngx_uint_t
test_descriptors(void)
{
    DIR         *fds;
    ngx_uint_t   n;

    fds = opendir("/proc/self/fd");
    assert_non_null(fds);

    for (n = 0; readdir(fds); n++) { /* void */ }

    (void) closedir(fds);

    return n;
}


/* one descriptor keeps each file, also one that was opened again */

static void
test_pins(void **state)
{
    ngx_uint_t  i, before;

    before = test_descriptors();

    for (i = 0; i < 3; i++) {
        unit_forget();
        b->close(unit_open());
        assert_int_equal(test_descriptors(), before + NGX_LYFTR_FILE_N);
    }
}


/*
 * Whoever has the turn adopts a part of it, in as many steps as a segment may
 * need, which is in memory until it is whole; NULL: it is not all there yet.
 */

static void *
test_open(void)
{
    void        *c;
    ngx_int_t    rc;
    ngx_uint_t   i;

    c = b->open(&dsn, NGX_LYFTR_OPEN_CREATE, unit_in(4000), &err);

    if (c || err.code != NGX_LYFTR_ERR_ADOPT) {
        return c;
    }

    c = b->open(&dsn, NGX_LYFTR_OPEN_JOBS, unit_in(4000), &err);

    if (c) {
        for (i = 0, rc = NGX_OK; i < NGX_LYFTR_SEGMENT && rc == NGX_OK; i++) {
            rc = b->housekeep(c, unit_in(4000), &err);
        }

        b->close(c);

        if (rc != NGX_ERROR) {
            err.code = NGX_LYFTR_ERR_ADOPT;
        }
    }

    return NULL;
}


/* all open the same new file at once and write the same rows */

static void
test_racing(int rows)
{
    int                i, k, status, n;
    void              *c;
    char               id[32];
    ngx_lyftr_stats_t  s;

    for (i = 0; i < TEST_PROCS; i++) {

        if (fork() == 0) {
            do {
                c = test_open();
            } while (c == NULL && err.code == NGX_LYFTR_ERR_ADOPT);

            if (c == NULL) {
                print_error("%.*s\n", (int) err.len, err.text);
                _exit(255);
            }

            for (k = 0, n = 0; k < 20; k++) {
                (void) snprintf(id, sizeof(id), "id%d", k);
                n += (unit_one(c, id) == NGX_OK);
            }

            b->close(c);
            _exit(n);
        }
    }

    for (i = 0, n = 0; i < TEST_PROCS; i++) {
        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status));
        assert_int_not_equal(WEXITSTATUS(status), 255);
        n += WEXITSTATUS(status);
    }

    assert_int_equal(n, 20);

    c = unit_open();
    assert_int_equal(b->begin(c, unit_in(1000), &err), NGX_OK);
    assert_int_equal(b->stats(c, &s, &err), NGX_OK);
    assert_int_equal(s.total, rows + 20);
    b->close(c);
}


static void
test_race(void **state)
{
    test_racing(0);
}


static void
test_race_adopt(void **state)
{
    unit_sql("CREATE TABLE messages (message_id, from_msisdn, to_msisdn,"
             " ts, text);"
             "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1"
             " FROM n WHERE i < 300) INSERT INTO messages"
             " SELECT 'old' || (i % 100), '+1', '+2', '2025', 'x' FROM n");
    test_racing(100);
}


/* what ends an adoption, by another process, before a writer's transaction */

static int
test_end(unsigned type, void *data, void *st, void *sql)
{
    char  end[300];

    if (strncmp(sql, "BEGIN IMMEDIATE", sizeof("BEGIN IMMEDIATE") - 1) == 0
        && (*(ngx_uint_t *) data)++ == 0)
    {
        (void) snprintf(end, sizeof(end),
                        "BEGIN; DROP TABLE lyftr_adopt;"
                        "ALTER TABLE messages RENAME TO messages_adopted;"
                        "CREATE VIEW messages AS SELECT * FROM lyftr_message;"
                        "PRAGMA application_id = 0x4c594652;"
                        "PRAGMA user_version = %d; COMMIT",
                        NGX_LYFTR_SQLITE_VERSION);
        unit_sql(end);
    }

    return 0;
}


static void
test_ended(void **state)
{
    ngx_uint_t           n;
    ngx_lyftr_sqlite_t  *u;

    unit_sql("CREATE TABLE messages (message_id, from_msisdn, to_msisdn,"
             " ts, text);"
             "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1"
             " FROM n WHERE i < 300) INSERT INTO messages"
             " SELECT i, '+1', '+2', '2025', 'x' FROM n");

    u = unit_open_as(NGX_LYFTR_OPEN_JOBS);
    assert_int_equal(unit_housekeep(u), NGX_OK);
    assert_non_null(u->adopt);

    n = 0;
    (void) sqlite3_trace_v2(u->db, SQLITE_TRACE_STMT, test_end, &n);

    while (n == 0 || u->adopt) {
        assert_int_equal(unit_housekeep(u), NGX_OK);
    }

    (void) sqlite3_trace_v2(u->db, 0, NULL, NULL);

    unit_housekeep_all(u);
    b->close(u);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        unit_fresh(test_race),
        unit_fresh(test_race_adopt),
        unit_fresh(test_ended),
        unit_fresh(test_moved),
        unit_fresh(test_other_file),
        unit_fresh(test_pins)
    };

    return cmocka_run_group_tests_name("sqlite_open", tests, NULL, NULL);
}

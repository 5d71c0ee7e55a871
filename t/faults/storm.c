/*
 * storm database seconds
 *
 * The backend without nginx, as many commits as can be: processes that store
 * one message a transaction, one that has the housekeeping, and readers.
 * Prints the number of commits, that of checkpoints beside the writers, and
 * corrupt, or lost, or ok.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite.h>
#include <ngx_lyftr_sqlite_backend.h>

#include <sqlite3.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>


#define STORM_WRITERS  6
#define STORM_READERS  2
#define STORM_WORDS    16
#define STORM_PATIENCE 10000

#define storm_in(msec)  (ngx_lyftr_clock() + (msec))


typedef struct {
    ngx_atomic_t    words[STORM_WORDS];
    unsigned long   commits;
    int             stop;
    int             corrupt;
} storm_t;


typedef void (*storm_pt)(void *conn, unsigned n);


static void storm_write(void *conn, unsigned n);
static void storm_housekeep(void *conn, unsigned n);
static void storm_read(void *conn, unsigned n);
static int storm_row(void *data, int n, char **value, char **column);


static storm_t              *storm;
static ngx_lyftr_backend_t  *b = &ngx_lyftr_sqlite_backend;
static ngx_lyftr_sqlite_dsn_t  dsn;
static ngx_lyftr_error_t     err;


static struct {
    storm_pt    work;
    unsigned    n;
} storm_processes[] = {
    { storm_write, STORM_WRITERS },
    { storm_housekeep, 1 },
    { storm_read, STORM_READERS }
};


/* what could not be done, and why */

static void
storm_failed(const char *what)
{
    if (err.code == NGX_LYFTR_ERR_CORRUPT || err.code == NGX_LYFTR_ERR_SCHEMA)
    {
        storm->corrupt = 1;
    }

    fprintf(stderr, "storm: %s: %.*s\n", what, (int) err.len,
            (char *) err.text);
}


static void
storm_write(void *conn, unsigned n)
{
    char                 id[64];
    ngx_int_t            rc;
    unsigned long        i;
    ngx_lyftr_batch_t    batch;
    ngx_lyftr_write_t    write, *writes[1];
    ngx_lyftr_message_t  m;

    ngx_memzero(&m, sizeof(m));

    ngx_str_set(&m.from, "+919876543210");
    ngx_str_set(&m.to, "+14155550100");
    ngx_str_set(&m.ts, "2025-01-15T10:00:00Z");

    if (ngx_lyftr_instant_parse(m.ts.data, m.ts.len, &m.instant) != NGX_OK) {
        return;
    }

    m.message_id.data = (u_char *) id;

    write.messages = &m;
    write.n = 1;
    write.rows = NULL;
    writes[0] = &write;
    batch.writes = writes;
    batch.n = 1;

    for (i = 0; !storm->stop; i++) {
        m.message_id.len = snprintf(id, sizeof(id), "%lx.%u",
                                    i * 0x9e3779b97f4a7c15UL, n);

        rc = b->turn(conn, storm_in(STORM_PATIENCE), &err);

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (rc != NGX_OK
            || b->write(conn, &batch, storm_in(STORM_PATIENCE), &err)
               != NGX_OK
            || m.known)
        {
            storm_failed("write");
            return;
        }

        __sync_fetch_and_add(&storm->commits, 1);
    }
}


static void
storm_housekeep(void *conn, unsigned n)
{
    while (!storm->stop) {
        if (b->housekeep(conn, storm_in(STORM_PATIENCE), &err) == NGX_ERROR) {
            storm_failed("keeper");
            return;
        }
    }
}


static void
storm_read(void *conn, unsigned n)
{
    ngx_lyftr_stats_t  stats;

    while (!storm->stop) {
        if (b->begin(conn, storm_in(STORM_PATIENCE), &err) == NGX_ERROR
            || b->stats(conn, &stats, &err) == NGX_ERROR)
        {
            storm_failed("read");

            if (storm->corrupt) {
                return;
            }
        }

        b->end(conn);
        usleep(1000);
    }
}


static int
storm_row(void *data, int n, char **value, char **column)
{
    (void) snprintf(data, 64, "%s", value[0]);

    return 0;
}


int
main(int argc, char *const *argv)
{
    char       url[512], said[64], rows[64], copies[64];
    void      *conn;
    time_t     end;
    sqlite3   *db;
    unsigned   i, n;
    ngx_str_t  s;

    if (argc != 3) {
        return 2;
    }

    storm = mmap(NULL, sizeof(storm_t), PROT_READ|PROT_WRITE,
                 MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    s.data = (u_char *) url;
    s.len = snprintf(url, sizeof(url), "sqlite:///%s", argv[1]);

    if (storm == MAP_FAILED || b->init(&dsn, &s, &err) != NGX_OK) {
        return 2;
    }

    dsn.max_wal = 256 * 1024 * 1024;
    dsn.cache = 16 * 1024 * 1024;
    dsn.common.words = storm->words;

    for (i = 0; i < sizeof(storm_processes) / sizeof(storm_processes[0]); i++)
    {
        for (n = 0; n < storm_processes[i].n; n++) {
            if (fork() != 0) {
                continue;
            }

            (void) prctl(PR_SET_PDEATHSIG, SIGKILL);

            conn = b->open(&dsn, NGX_LYFTR_OPEN_CREATE,
                           storm_in(STORM_PATIENCE), &err);

            if (conn == NULL) {
                storm_failed("open");
                _exit(1);
            }

            storm_processes[i].work(conn, n);

            _exit(0);
        }
    }

    end = time(NULL) + atoi(argv[2]);

    while (time(NULL) < end && !storm->corrupt) {
        usleep(50000);
    }

    storm->stop = 1;

    while (wait(NULL) > 0) { /* void */ }

    said[0] = rows[0] = copies[0] = '\0';

    if (sqlite3_open(argv[1], &db) == SQLITE_OK) {
        sqlite3_exec(db, "SELECT count(*) FROM lyftr_message", storm_row, rows,
                     NULL);
        sqlite3_exec(db, "SELECT touched FROM lyftr_probe", storm_row, copies,
                     NULL);
        sqlite3_exec(db, "PRAGMA integrity_check(1)", storm_row, said, NULL);
    }

    printf("%lu %s %s\n", storm->commits, copies[0] ? copies : "0",
           storm->corrupt || strcmp(said, "ok") != 0 ? "corrupt"
           : strtoul(rows, NULL, 10) < storm->commits ? "lost" : "ok");

    return 0;
}

/*
 * walreset [database seconds]
 *
 * What this module does not do: two processes write with a checkpoint after
 * each commit, and others make passive checkpoints without a pause.
 * Prints the number of commits, and corrupt or ok; without arguments the
 * version of the library.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>


#define WALRESET_WRITERS        2
#define WALRESET_CHECKPOINTERS  3


typedef struct {
    unsigned long   commits;
    int             stop;
    int             corrupt;
} walreset_t;


static sqlite3 *walreset_open(const char *name, int autocheckpoint);
static void walreset_write(sqlite3 *db, walreset_t *shared);
static void walreset_checkpoint(sqlite3 *db, walreset_t *shared);
static void walreset_result(walreset_t *shared, int rc);
static int walreset_check(const char *name);
static int walreset_intact(void *data, int n, char **value, char **column);


int
main(int argc, char *const *argv)
{
    int          i;
    time_t       end;
    sqlite3     *db;
    walreset_t  *shared;

    if (argc != 3) {
        printf("%d %s\n", sqlite3_libversion_number(), sqlite3_libversion());
        return 0;
    }

    shared = mmap(NULL, sizeof(walreset_t), PROT_READ|PROT_WRITE,
                  MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (shared == MAP_FAILED) {
        return 2;
    }

    db = walreset_open(argv[1], 1);

    if (sqlite3_exec(db, "PRAGMA journal_mode = WAL;"
                     "CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB)",
                     NULL, NULL, NULL)
        != SQLITE_OK)
    {
        fprintf(stderr, "walreset: %s\n", sqlite3_errmsg(db));
        return 2;
    }

    sqlite3_close(db);

    for (i = 0; i < WALRESET_WRITERS + WALRESET_CHECKPOINTERS; i++) {
        if (fork() == 0) {
            db = walreset_open(argv[1], i < WALRESET_WRITERS);

            if (i < WALRESET_WRITERS) {
                walreset_write(db, shared);

            } else {
                walreset_checkpoint(db, shared);
            }

            _exit(0);
        }
    }

    end = time(NULL) + atoi(argv[2]);

    while (time(NULL) < end && !shared->corrupt) {
        usleep(50000);
    }

    shared->stop = 1;

    while (wait(NULL) > 0) { /* void */ }

    printf("%lu %s\n", shared->commits,
           shared->corrupt || !walreset_check(argv[1]) ? "corrupt" : "ok");

    return 0;
}


static sqlite3 *
walreset_open(const char *name, int autocheckpoint)
{
    sqlite3  *db;

    if (sqlite3_open(name, &db) != SQLITE_OK) {
        exit(2);
    }

    sqlite3_busy_timeout(db, 5000);
    sqlite3_wal_autocheckpoint(db, autocheckpoint);
    sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);

    return db;
}


static void
walreset_write(sqlite3 *db, walreset_t *shared)
{
    int  rc;

    while (!shared->stop) {
        rc = sqlite3_exec(db, "INSERT INTO t (data) VALUES (randomblob(700))",
                          NULL, NULL, NULL);

        walreset_result(shared, rc);

        if (rc == SQLITE_OK) {
            __sync_fetch_and_add(&shared->commits, 1);
        }
    }
}


static void
walreset_checkpoint(sqlite3 *db, walreset_t *shared)
{
    while (!shared->stop) {
        walreset_result(shared,
                        sqlite3_wal_checkpoint_v2(db, NULL,
                                                  SQLITE_CHECKPOINT_PASSIVE,
                                                  NULL, NULL));
    }
}


static void
walreset_result(walreset_t *shared, int rc)
{
    if (rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB) {
        shared->corrupt = 1;
        shared->stop = 1;
    }
}


static int
walreset_check(const char *name)
{
    int       intact;
    sqlite3  *db;

    db = walreset_open(name, 0);
    intact = 0;

    sqlite3_exec(db, "PRAGMA integrity_check", walreset_intact, &intact, NULL);
    sqlite3_close(db);

    return intact;
}


static int
walreset_intact(void *data, int n, char **value, char **column)
{
    *(int *) data = strcmp(value[0], "ok") == 0;

    return 0;
}

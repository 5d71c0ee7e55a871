/* Processes and threads that work at one store. */

#include "unit_check.h"

#include <pthread.h>


#define TEST_ROWS    1500


/* the other process: it writes, or does the housekeeping, until it is told */

static pid_t
test_fork(int *to, int *from, ngx_uint_t keeper)
{
    int     in[2], out[2];
    char    byte;
    pid_t   pid;
    void   *c;

    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);

    pid = fork();

    if (pid == 0) {
        (void) close(in[1]);
        (void) close(out[0]);

        c = NULL;

        while (read(in[0], &byte, 1) == 1) {

            if (c == NULL) {
                c = unit_open();
            }

            if (keeper) {
                (void) unit_housekeep(c);

            } else {
                unit_model_add(c, byte);
            }

            if (write(out[1], &byte, 1) != 1) {
                break;
            }
        }

        _exit(0);
    }

    (void) close(in[0]);
    (void) close(out[1]);

    *to = in[1];
    *from = out[0];

    return pid;
}


/* the same rows are made on both sides: seed and model are */

static void
test_tell(int to, int from, char byte)
{
    assert_int_equal(write(to, &byte, 1), 1);
    assert_int_equal(read(from, &byte, 1), 1);
}


static void
test_processes(void **state)
{
    int         to[2], from[2], status;
    void       *r;
    pid_t       pid[2];
    unsigned    saved;
    ngx_uint_t  i, n;

    seed = 4;

    pid[0] = test_fork(&to[0], &from[0], 0);
    pid[1] = test_fork(&to[1], &from[1], 1);

    test_tell(to[0], from[0], 1);
    saved = seed;
    r = NULL;

    for (i = 0; nmodel < TEST_ROWS; i++) {
        n = 1;

        if (i) {
            n = 1 + i % 17;
            test_tell(to[0], from[0], n);
        }

        /* as the writer has made them, so does this one */

        seed = saved;

        while (n--) {
            (void) unit_model_random();
            (void) rand_r(&seed);
        }

        saved = seed;

        /* as many steps as it takes to keep up */

        for (n = 0; n < NGX_LYFTR_SEGMENT / 4; n++) {
            test_tell(to[1], from[1], 1);
        }

        if (r == NULL) {
            r = unit_open();
        }

        if (i % 4 == 0) {
            unit_check(r, 1, i % 16 == 0);
        }
    }

    unit_model_known(r);
    assert_int_equal(unit_housekeep(r), NGX_DECLINED);

    /* whoever did the housekeeping is killed: this one does it now */

    (void) kill(pid[1], SIGKILL);
    assert_int_equal(waitpid(pid[1], &status, 0), pid[1]);

    unit_housekeep_all(r);
    unit_check(r, 10, 1);
    assert_int_equal(unit_strays(), 0);

    (void) kill(pid[0], SIGKILL);
    assert_int_equal(waitpid(pid[0], &status, 0), pid[0]);

    for (i = 0; i < 2; i++) {
        (void) close(to[i]);
        (void) close(from[i]);
    }

    b->close(r);
}


static ngx_uint_t  stop;


static void *
test_reader(void *data)
{
    void                *c;
    int64_t              last;
    ngx_lyftr_error_t    e;
    ngx_lyftr_stats_t    s;

    c = b->open(&dsn, 0, unit_in(4000), &e);

    if (c == NULL) {
        return "open";
    }

    for (last = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); last = s.total) {

        if (b->begin(c, unit_in(20000), &e) != NGX_OK
            || b->stats(c, &s, &e) != NGX_OK
            || unit_commit(c, &e) != NGX_OK)
        {
            return "stats";
        }

        if (s.total < last) {
            return "fewer rows";
        }
    }

    b->close(c);

    return NULL;
}


static void *
test_keeper(void *data)
{
    void               *c;
    ngx_lyftr_error_t   e;

    c = b->open(&dsn, 0, unit_in(4000), &e);

    while (c && !__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        if (b->housekeep(c, unit_in(20000), &e) == NGX_ERROR) {
            return "housekeep";
        }
    }

    b->close(c);

    return NULL;
}


/* writer, keeper and readers are threads of one process */

static void
test_threads(void **state)
{
    void        *c, *fault;
    pthread_t    t[4];
    ngx_uint_t   i;

    seed = 5;
    stop = 0;

    c = unit_open();

    for (i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&t[i], NULL,
                                        i ? test_reader : test_keeper, NULL),
                         0);
    }

    while (nmodel < TEST_ROWS) {

        if (nmodel % 64 == 0) {
            unit_check(c, 1, 0);
        }

        if (b->turn(c, unit_in(20000), &err) == NGX_DECLINED) {
            assert_int_equal(err.code, NGX_LYFTR_ERR_BUSY);
            (void) usleep(1000);
            continue;
        }

        b->end(c);
        unit_model_add(c, 4);
    }

    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);

    for (i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(t[i], &fault), 0);

        if (fault) {
            fail_msg("%s", (char *) fault);
        }
    }

    unit_check(c, 10, 1);
    unit_model_known(c);
    b->close(c);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        unit_fresh_model(test_processes),
        unit_fresh_model(test_threads)
    };

    return cmocka_run_group_tests_name("sqlite_together", tests, NULL, NULL);
}

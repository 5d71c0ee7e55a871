#include "unit.h"

#include <ngx_lyftr_flock.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>


static char  path[64];


static ngx_msec_t
test_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (ngx_msec_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


/* a thread that blocks all signals, as those of nginx's pools do */

static void *
test_thread(void *data)
{
    ngx_int_t          *rc = data;

    int                 i;
    sigset_t            set, before, after;
    ngx_msec_t          start;
    ngx_lyftr_flock_t   lock;

    (void) sigfillset(&set);
    (void) pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void) pthread_sigmask(SIG_BLOCK, NULL, &before);

    *rc = ngx_lyftr_flock_open(&lock, path);

    if (*rc == NGX_OK) {
        start = test_now();
        *rc = ngx_lyftr_flock_take(&lock, start + 100);

        if (*rc == NGX_DECLINED
            && (test_now() - start < 95 || test_now() - start > 400))
        {
            *rc = NGX_ERROR;
        }

        ngx_lyftr_flock_close(&lock);
    }

    /* the mask is as it was, and no signal is left over */

    (void) pthread_sigmask(SIG_BLOCK, NULL, &after);
    (void) sigpending(&set);

    for (i = 1; i <= SIGRTMAX; i++) {
        if (sigismember(&before, i) != sigismember(&after, i)
            || sigismember(&set, i) == 1)
        {
            *rc = NGX_ERROR;
        }
    }

    return NULL;
}


static void
test_deadline(void **state)
{
    pthread_t          tid[4];
    ngx_uint_t         i;
    ngx_lyftr_flock_t  lock, other;

    static ngx_int_t   rc[4];

    assert_int_equal(ngx_lyftr_flock_open(&lock, path), NGX_OK);
    assert_int_equal(ngx_lyftr_flock_open(&other, path), NGX_OK);

    assert_int_equal(ngx_lyftr_flock_try(&lock), NGX_OK);
    assert_int_equal(ngx_lyftr_flock_try(&other), NGX_DECLINED);
    assert_int_equal(ngx_lyftr_flock_take(&other, test_now()), NGX_DECLINED);

    for (i = 0; i < 4; i++) {
        (void) pthread_create(&tid[i], NULL, test_thread, &rc[i]);
    }

    for (i = 0; i < 4; i++) {
        (void) pthread_join(tid[i], NULL);
        assert_int_equal(rc[i], NGX_DECLINED);
    }

    /* freed while it is waited for */

    (void) pthread_create(&tid[0], NULL, test_thread, &rc[0]);
    (void) usleep(30000);
    ngx_lyftr_flock_release(&lock);
    (void) pthread_join(tid[0], NULL);
    assert_int_equal(rc[0], NGX_OK);

    assert_int_equal(ngx_lyftr_flock_take(&other, test_now()), NGX_OK);

    ngx_lyftr_flock_close(&other);
    ngx_lyftr_flock_close(&lock);
    ngx_lyftr_flock_close(&lock);
}


static void
test_killed(void **state)
{
    int                fd[2];
    char               c;
    pid_t              pid;
    ngx_lyftr_flock_t  lock;

    assert_int_equal(pipe(fd), 0);

    pid = fork();

    if (pid == 0) {
        (void) ngx_lyftr_flock_open(&lock, path);
        (void) ngx_lyftr_flock_try(&lock);
        (void) !write(fd[1], "x", 1);
        (void) pause();
        _exit(0);
    }

    assert_int_equal(read(fd[0], &c, 1), 1);
    assert_int_equal(ngx_lyftr_flock_open(&lock, path), NGX_OK);
    assert_int_equal(ngx_lyftr_flock_try(&lock), NGX_DECLINED);

    (void) kill(pid, SIGKILL);
    (void) waitpid(pid, NULL, 0);

    assert_int_equal(ngx_lyftr_flock_try(&lock), NGX_OK);
    ngx_lyftr_flock_close(&lock);

    (void) close(fd[0]);
    (void) close(fd[1]);
}


int
main(void)
{
    int  rc;

    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_killed)
    };

    (void) strcpy(path, "/tmp/test_flock.XXXXXX");
    (void) close(mkstemp(path));

    rc = cmocka_run_group_tests_name("flock", tests, NULL, NULL);

    (void) unlink(path);

    return rc;
}

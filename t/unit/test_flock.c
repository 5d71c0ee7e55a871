#include "unit.h"

#include <ngx_lyftr_flock.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>


static char          path[64];

static ngx_atomic_t  made;                 /* timers */
static ngx_uint_t    stuck;                /* none can be set */


int __real_timer_create(clockid_t clock, struct sigevent *sev, timer_t *timer);
int __real_timer_settime(timer_t timer, int flags,
    const struct itimerspec *its, struct itimerspec *old);


int
__wrap_timer_create(clockid_t clock, struct sigevent *sev, timer_t *timer)
{
    int  rc;

    rc = __real_timer_create(clock, sev, timer);

    if (rc == 0) {
        (void) ngx_atomic_fetch_add(&made, 1);
    }

    return rc;
}


int
__wrap_timer_settime(timer_t timer, int flags, const struct itimerspec *its,
    struct itimerspec *old)
{
    if (stuck) {
        errno = EINVAL;
        return -1;
    }

    return __real_timer_settime(timer, flags, its, old);
}


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

    int                 i, n;
    sigset_t            set, before, after;
    ngx_msec_t          start;
    ngx_lyftr_flock_t   lock;

    (void) sigfillset(&set);
    (void) pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void) pthread_sigmask(SIG_BLOCK, NULL, &before);

    *rc = ngx_lyftr_flock_open(&lock, path);

    for (n = 0; n < 3 && *rc != NGX_ERROR; n++) {
        start = test_now();
        *rc = ngx_lyftr_flock_take(&lock, start + 100);

        if (*rc == NGX_DECLINED
            && (test_now() - start < 95 || test_now() - start > 400))
        {
            *rc = NGX_ERROR;
        }

        if (*rc == NGX_OK) {
            break;
        }
    }

    ngx_lyftr_flock_close(&lock);

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
test_threads(void)
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


/* a thread has one timer, however often it waits */

static void
test_deadline(void **state)
{
    made = 0;

    test_threads();

    assert_int_equal(made, 5);
}


/* all signals that the user may have are used up, by whatever process */

static void
test_no_timers(void **state)
{
    struct rlimit  saved, none;

    assert_int_equal(getrlimit(RLIMIT_SIGPENDING, &saved), 0);

    none = saved;
    none.rlim_cur = 0;
    made = 0;

    assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &none), 0);
    test_threads();
    assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &saved), 0);

    assert_int_equal(made, 0);
}


static void
test_stuck(void **state)
{
    stuck = 1;
    test_threads();
    stuck = 0;
}


/* a timer is not there after a fork(), and its number may be another's */

static void
test_fork(void **state)
{
    int                status;
    pid_t              pid;
    ngx_lyftr_flock_t  lock, other;

    assert_int_equal(ngx_lyftr_flock_open(&lock, path), NGX_OK);
    assert_int_equal(ngx_lyftr_flock_open(&other, path), NGX_OK);
    assert_int_equal(ngx_lyftr_flock_try(&lock), NGX_OK);

    made = 0;
    assert_int_equal(ngx_lyftr_flock_take(&other, test_now() + 20),
                     NGX_DECLINED);
    assert_int_equal(made, 1);

    pid = fork();

    if (pid == 0) {
        (void) alarm(10);
        _exit(ngx_lyftr_flock_take(&other, test_now() + 20) != NGX_DECLINED
              || made != 2);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);

    ngx_lyftr_flock_close(&other);
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
        cmocka_unit_test(test_no_timers),
        cmocka_unit_test(test_stuck),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_killed)
    };

    (void) strcpy(path, "/tmp/test_flock.XXXXXX");
    (void) close(mkstemp(path));

    rc = cmocka_run_group_tests_name("flock", tests, NULL, NULL);

    (void) unlink(path);

    return rc;
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_backend.h>
#include <ngx_lyftr_flock.h>

#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>


/* far from those that glibc and others take from the low end */
#define NGX_LYFTR_FLOCK_SIGNAL     (SIGRTMAX - 3)

/* a signal that came just before flock() slept is repeated after these ms */
#define NGX_LYFTR_FLOCK_REPEAT     5

/* msec between two tries, if there is no timer */
#define NGX_LYFTR_FLOCK_POLL       2

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id     _sigev_un._tid
#endif


/* a thread's own; tid == 0: it has none */

typedef struct {
    pid_t                tid;
    timer_t              id;
} ngx_lyftr_flock_timer_t;


static ngx_int_t ngx_lyftr_flock_wait(ngx_lyftr_flock_t *lock,
    ngx_msec_t deadline);
static ngx_int_t ngx_lyftr_flock_poll(ngx_lyftr_flock_t *lock,
    ngx_msec_t deadline);
static ngx_int_t ngx_lyftr_flock_timer(void);
static ngx_int_t ngx_lyftr_flock_timer_set(ngx_msec_t msec);
static void ngx_lyftr_flock_install(void);
static void ngx_lyftr_flock_handler(int signo);


static pthread_once_t  ngx_lyftr_flock_once = PTHREAD_ONCE_INIT;

static __thread ngx_lyftr_flock_timer_t  ngx_lyftr_flock_own_timer;


ngx_int_t
ngx_lyftr_flock_open(ngx_lyftr_flock_t *lock, const char *path)
{
    lock->held = 0;
    lock->fd = open(path, O_RDWR|O_CREAT|O_CLOEXEC|O_NOFOLLOW, 0600);

    return lock->fd == -1 ? NGX_ERROR : NGX_OK;
}


void
ngx_lyftr_flock_close(ngx_lyftr_flock_t *lock)
{
    ngx_lyftr_flock_release(lock);

    if (lock->fd != -1) {
        (void) close(lock->fd);
        lock->fd = -1;
    }
}


ngx_int_t
ngx_lyftr_flock_try(ngx_lyftr_flock_t *lock)
{
    while (flock(lock->fd, LOCK_EX|LOCK_NB) == -1) {

        if (errno == EINTR) {
            continue;
        }

        return errno == EWOULDBLOCK ? NGX_DECLINED : NGX_ERROR;
    }

    lock->held = 1;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_flock_take(ngx_lyftr_flock_t *lock, ngx_msec_t deadline)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_flock_try(lock);

    if (rc == NGX_DECLINED) {
        rc = ngx_lyftr_flock_wait(lock, deadline);
        lock->held = (rc == NGX_OK);
    }

    return rc;
}


void
ngx_lyftr_flock_release(ngx_lyftr_flock_t *lock)
{
    if (lock->held) {
        (void) flock(lock->fd, LOCK_UN);
        lock->held = 0;
    }
}


/* of the open file, as flock() is: fcntl(2), "Open file description locks" */

ngx_int_t
ngx_lyftr_flock_own(ngx_lyftr_flock_t *lock)
{
    struct flock  fl;

    ngx_memzero(&fl, sizeof(struct flock));

    fl.l_type = F_WRLCK;
    fl.l_whence = SEEK_SET;
    fl.l_len = 1;

    if (fcntl(lock->fd, F_OFD_SETLK, &fl) == 0) {
        return NGX_OK;
    }

    return (errno == EAGAIN || errno == EACCES) ? NGX_DECLINED : NGX_ERROR;
}


void
ngx_lyftr_flock_disown(ngx_lyftr_flock_t *lock)
{
    struct flock  fl;

    ngx_memzero(&fl, sizeof(struct flock));

    fl.l_type = F_UNLCK;
    fl.l_whence = SEEK_SET;
    fl.l_len = 1;

    (void) fcntl(lock->fd, F_OFD_SETLK, &fl);
}


ngx_msec_t
ngx_lyftr_flock_left(ngx_msec_t deadline)
{
    ngx_msec_t  now;

    now = ngx_lyftr_clock();

    return (ngx_msec_int_t) (deadline - now) > 0 ? deadline - now : 0;
}


/* flock() has no deadline, so a timer interrupts it by a signal */

static ngx_int_t
ngx_lyftr_flock_wait(ngx_lyftr_flock_t *lock, ngx_msec_t deadline)
{
    int         rc;
    sigset_t    set, saved;
    ngx_err_t   err;
    ngx_msec_t  left;

    left = ngx_lyftr_flock_left(deadline);

    if (left == 0) {
        return NGX_DECLINED;
    }

    if (ngx_lyftr_flock_timer() != NGX_OK
        || ngx_lyftr_flock_timer_set(left) != NGX_OK)
    {
        return ngx_lyftr_flock_poll(lock, deadline);
    }

    (void) sigemptyset(&set);
    (void) sigaddset(&set, NGX_LYFTR_FLOCK_SIGNAL);
    (void) pthread_sigmask(SIG_UNBLOCK, &set, &saved);

    do {
        rc = flock(lock->fd, LOCK_EX);
        err = rc == -1 ? errno : 0;

    } while (err == EINTR && ngx_lyftr_flock_left(deadline));

    (void) ngx_lyftr_flock_timer_set(0);
    (void) pthread_sigmask(SIG_SETMASK, &saved, NULL);

    if (err == 0) {
        return NGX_OK;
    }

    errno = err;

    return err == EINTR ? NGX_DECLINED : NGX_ERROR;
}


/* slower, and not in turn; but a lock that is only busy is no fault */

static ngx_int_t
ngx_lyftr_flock_poll(ngx_lyftr_flock_t *lock, ngx_msec_t deadline)
{
    ngx_int_t   rc;
    ngx_msec_t  left;

    do {
        left = ngx_lyftr_flock_left(deadline);

        ngx_msleep(ngx_min(left, NGX_LYFTR_FLOCK_POLL));

        rc = ngx_lyftr_flock_try(lock);

    } while (rc == NGX_DECLINED && ngx_lyftr_flock_left(deadline));

    return rc;
}


/*
 * A timer keeps a signal of the few that a user may have in all of his
 * processes, so a thread makes one, and when there is none left, it goes
 * without.  One from before a fork() is not there any more.  It ends with the
 * process, as do the threads of a pool: what ran when they end would find the
 * module unloaded.
 */

static ngx_int_t
ngx_lyftr_flock_timer(void)
{
    pid_t                     tid;
    struct sigevent           sev;
    ngx_lyftr_flock_timer_t  *timer;

    timer = &ngx_lyftr_flock_own_timer;
    tid = (pid_t) syscall(SYS_gettid);

    if (timer->tid == tid) {
        return NGX_OK;
    }

    (void) pthread_once(&ngx_lyftr_flock_once, ngx_lyftr_flock_install);

    ngx_memzero(&sev, sizeof(struct sigevent));

    sev.sigev_notify = SIGEV_THREAD_ID;
    sev.sigev_signo = NGX_LYFTR_FLOCK_SIGNAL;
    sev.sigev_notify_thread_id = tid;

    timer->tid = 0;

    if (timer_create(CLOCK_MONOTONIC, &sev, &timer->id) == -1) {
        return NGX_ERROR;
    }

    timer->tid = tid;

    return NGX_OK;
}


/* 0: it is to stop */

static ngx_int_t
ngx_lyftr_flock_timer_set(ngx_msec_t msec)
{
    struct itimerspec  its;

    ngx_memzero(&its, sizeof(struct itimerspec));

    if (msec) {
        its.it_value.tv_sec = msec / 1000;
        its.it_value.tv_nsec = (msec % 1000) * 1000000;
        its.it_interval.tv_nsec = NGX_LYFTR_FLOCK_REPEAT * 1000000;
    }

    return timer_settime(ngx_lyftr_flock_own_timer.id, 0, &its, NULL) == 0
           ? NGX_OK : NGX_ERROR;
}


static void
ngx_lyftr_flock_install(void)
{
    struct sigaction  sa;

    ngx_memzero(&sa, sizeof(struct sigaction));

    /* without SA_RESTART, so that flock() returns */
    sa.sa_handler = ngx_lyftr_flock_handler;
    (void) sigemptyset(&sa.sa_mask);

    (void) sigaction(NGX_LYFTR_FLOCK_SIGNAL, &sa, NULL);
}


static void
ngx_lyftr_flock_handler(int signo)
{
}

#include <ngx_lyftr_channel.h>

#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>


/*
 * What the worker processes of a configuration share so that one of them, the
 * leader, commits for all: of each store a ring for each worker, and words; a
 * descriptor for each worker, by which it is woken.  All of it is made before
 * the workers are, and a reload makes its own, so that two configurations meet
 * only where any two writers do, at the store's own lock.
 *
 * Who leads is told by a lock of the file that the memory is in: the kernel
 * frees it when the process ends, however it does.  The words only say where
 * to look.
 */

/* bytes of a ring, and of all rings of a store */
#define NGX_LYFTR_SHARE_RING       (512 * 1024)
#define NGX_LYFTR_SHARE_RING_MIN   (64 * 1024)
#define NGX_LYFTR_SHARE_RINGS      (16 * 1024 * 1024)


struct ngx_lyftr_share_words_s {
    uint32_t                      leading;
    u_char                        line[64 - sizeof(uint32_t)];
    uint32_t                      asleep;
    u_char                        another[64 - sizeof(uint32_t)];
};


/* of all stores */

typedef struct {
    ngx_fd_t                      fd;
    u_char                       *memory;
    size_t                        size;
    ngx_uint_t                    n;
    ngx_fd_t                     *events;
    ngx_log_t                    *log;
} ngx_lyftr_share_file_t;


static ngx_int_t ngx_lyftr_share_open(ngx_lyftr_share_file_t *file,
    ngx_cycle_t *cycle, ngx_uint_t workers);
static void ngx_lyftr_share_cleanup(void *data);
static ngx_int_t ngx_lyftr_share_lock(ngx_lyftr_share_t *share, int cmd,
    struct flock *fl, short type);


ngx_int_t
ngx_lyftr_share_create(ngx_cycle_t *cycle, ngx_array_t *stores,
    ngx_uint_t workers)
{
    size_t                   size, ring;
    ngx_uint_t               i;
    ngx_lyftr_share_t       *share;
    ngx_pool_cleanup_t      *cln;
    ngx_lyftr_store_t      **store;
    ngx_lyftr_share_file_t  *file;

    for (ring = NGX_LYFTR_SHARE_RING;
         ring > NGX_LYFTR_SHARE_RING_MIN
         && ring * workers > NGX_LYFTR_SHARE_RINGS;
         ring /= 2)
    {
        /* void */
    }

    size = sizeof(ngx_lyftr_share_words_t)
           + workers * ngx_lyftr_ring_memory(ring);

    cln = ngx_pool_cleanup_add(cycle->pool, sizeof(ngx_lyftr_share_file_t));
    share = ngx_pcalloc(cycle->pool,
                        stores->nelts * sizeof(ngx_lyftr_share_t));

    if (cln == NULL || share == NULL) {
        return NGX_ERROR;
    }

    file = cln->data;
    file->fd = NGX_INVALID_FILE;
    file->memory = MAP_FAILED;
    file->size = stores->nelts * size;
    file->n = 0;
    file->log = cycle->log;

    cln->handler = ngx_lyftr_share_cleanup;

    if (ngx_lyftr_share_open(file, cycle, workers) != NGX_OK) {
        return NGX_DECLINED;
    }

    store = stores->elts;

    for (i = 0; i < stores->nelts; i++, share++) {
        share->workers = workers;
        share->size = ring;
        share->fd = file->fd;
        share->number = i;
        share->events = file->events;
        share->words = (ngx_lyftr_share_words_t *) (file->memory + i * size);
        share->rings = (u_char *) share->words
                       + sizeof(ngx_lyftr_share_words_t);

        store[i]->share = share;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_share_open(ngx_lyftr_share_file_t *file, ngx_cycle_t *cycle,
    ngx_uint_t workers)
{
    file->events = ngx_palloc(cycle->pool, workers * sizeof(ngx_fd_t));
    if (file->events == NULL) {
        return NGX_ERROR;
    }

    file->fd = memfd_create("lyftr", MFD_CLOEXEC);

    if (file->fd == -1 || ftruncate(file->fd, file->size) == -1) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno,
                      "lyftr: memfd_create() failed, each worker commits by "
                      "itself");
        return NGX_ERROR;
    }

    file->memory = mmap(NULL, file->size, PROT_READ|PROT_WRITE, MAP_SHARED,
                        file->fd, 0);

    if (file->memory == MAP_FAILED) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno,
                      "lyftr: mmap(%uz) failed, each worker commits by "
                      "itself", file->size);
        return NGX_ERROR;
    }

    while (file->n < workers) {
        file->events[file->n] = eventfd(0, EFD_CLOEXEC|EFD_NONBLOCK);

        if (file->events[file->n] == -1) {
            ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno,
                          "lyftr: eventfd() failed, each worker commits by "
                          "itself");
            return NGX_ERROR;
        }

        file->n++;
    }

    return NGX_OK;
}


static void
ngx_lyftr_share_cleanup(void *data)
{
    ngx_lyftr_share_file_t *file = data;

    if (file->memory != MAP_FAILED
        && munmap(file->memory, file->size) == -1)
    {
        ngx_log_error(NGX_LOG_ALERT, file->log, ngx_errno,
                      "munmap(%p, %uz) failed", file->memory, file->size);
    }

    while (file->n) {
        (void) close(file->events[--file->n]);
    }

    if (file->fd != NGX_INVALID_FILE) {
        (void) close(file->fd);
    }
}


void
ngx_lyftr_share_ring(ngx_lyftr_share_t *share, ngx_uint_t worker,
    ngx_lyftr_ring_t *ring)
{
    ngx_lyftr_ring_init(ring, share->rings
                              + worker * ngx_lyftr_ring_memory(share->size),
                        share->size);
}


/* a lock of the process, and not of the descriptor, which all have as one */

ngx_int_t
ngx_lyftr_share_lead(ngx_lyftr_share_t *share)
{
    struct flock  fl;

    if (ngx_lyftr_share_lock(share, F_SETLK, &fl, F_WRLCK) != NGX_OK) {
        return NGX_DECLINED;
    }

    __atomic_store_n(&share->words->leading, 1, __ATOMIC_SEQ_CST);

    return NGX_OK;
}


void
ngx_lyftr_share_leave(ngx_lyftr_share_t *share)
{
    struct flock  fl;

    __atomic_store_n(&share->words->leading, 0, __ATOMIC_SEQ_CST);

    (void) ngx_lyftr_share_lock(share, F_SETLK, &fl, F_UNLCK);
}


ngx_uint_t
ngx_lyftr_share_led(ngx_lyftr_share_t *share)
{
    return __atomic_load_n(&share->words->leading, __ATOMIC_SEQ_CST);
}


ngx_uint_t
ngx_lyftr_share_orphaned(ngx_lyftr_share_t *share)
{
    struct flock  fl;

    return ngx_lyftr_share_lock(share, F_GETLK, &fl, F_WRLCK) == NGX_OK
           && fl.l_type == F_UNLCK;
}


static ngx_int_t
ngx_lyftr_share_lock(ngx_lyftr_share_t *share, int cmd, struct flock *fl,
    short type)
{
    ngx_memzero(fl, sizeof(struct flock));

    fl->l_type = type;
    fl->l_whence = SEEK_SET;
    fl->l_start = share->number;
    fl->l_len = 1;

    return fcntl(share->fd, cmd, fl) == -1 ? NGX_ERROR : NGX_OK;
}


void
ngx_lyftr_share_drowse(ngx_lyftr_share_t *share)
{
    __atomic_store_n(&share->words->asleep, 1, __ATOMIC_SEQ_CST);
}


void
ngx_lyftr_share_sleep(ngx_lyftr_share_t *share, ngx_msec_t msec)
{
    struct timespec  ts;

    ts.tv_sec = msec / 1000;
    ts.tv_nsec = (msec % 1000) * 1000000;

    (void) syscall(SYS_futex, &share->words->asleep, FUTEX_WAIT, 1, &ts, NULL,
                   0);
}


void
ngx_lyftr_share_rouse(ngx_lyftr_share_t *share)
{
    if (__atomic_load_n(&share->words->asleep, __ATOMIC_SEQ_CST)
        && __atomic_exchange_n(&share->words->asleep, 0, __ATOMIC_SEQ_CST))
    {
        (void) syscall(SYS_futex, &share->words->asleep, FUTEX_WAKE, 1, NULL,
                       NULL, 0);
    }
}


void
ngx_lyftr_share_wake(ngx_lyftr_share_t *share, ngx_uint_t worker)
{
    uint64_t  one;

    one = 1;

    /* one that has been woken as often as can be counted is awake */

    (void) !write(share->events[worker], &one, sizeof(uint64_t));
}


void
ngx_lyftr_share_woken(ngx_lyftr_share_t *share, ngx_uint_t worker)
{
    uint64_t  n;

    (void) !read(share->events[worker], &n, sizeof(uint64_t));
}

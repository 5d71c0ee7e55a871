/* What workers share: who leads, who is woken, and that all of it goes. */

#include "unit.h"

#include <ngx_lyftr_channel.h>

#include <dirent.h>
#include <sys/mman.h>
#include <sys/wait.h>


#define TEST_WORKERS  3


static ngx_cycle_t          cycle;
static ngx_pool_t           pool;
static ngx_log_t            log_;
static ngx_pool_cleanup_t   cleanup;
static void                *memory[3];
static ngx_uint_t           nmemory;
static ngx_lyftr_store_t    stores[2];


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    fail();
}


void *
ngx_palloc(ngx_pool_t *p, size_t size)
{
    assert_ptr_equal(p, &pool);

    return memory[nmemory++] = malloc(size);
}


void *
ngx_pcalloc(ngx_pool_t *p, size_t size)
{
    return memset(ngx_palloc(p, size), 0, size);
}


ngx_pool_cleanup_t *
ngx_pool_cleanup_add(ngx_pool_t *p, size_t size)
{
    cleanup.data = ngx_palloc(p, size);

    return &cleanup;
}


void
ngx_lyftr_ring_init(ngx_lyftr_ring_t *ring, void *data, size_t size)
{
    ring->data = data;
}


static ngx_uint_t
test_descriptors(void)
{
    DIR         *fds;
    ngx_uint_t   n;

    fds = opendir("/proc/self/fd");
    assert_non_null(fds);

    for (n = 0; readdir(fds); n++) { /* void */ }

    assert_int_equal(closedir(fds), 0);

    return n;
}


static void
test_create(void)
{
    ngx_array_t         array;
    ngx_lyftr_store_t  *elts[2];

    elts[0] = &stores[0];
    elts[1] = &stores[1];
    array.elts = elts;
    array.nelts = 2;

    cycle.pool = &pool;
    cycle.log = &log_;

    assert_int_equal(ngx_lyftr_share_create(&cycle, &array, TEST_WORKERS),
                     NGX_OK);
}


static void
test_destroy(void)
{
    cleanup.handler(cleanup.data);

    while (nmemory) {
        free(memory[--nmemory]);
    }
}


/* what another process finds: has it become the leader, was there one? */

static int
test_other(ngx_lyftr_share_t *share)
{
    int    status;
    pid_t  pid;

    pid = fork();
    assert_int_not_equal(pid, -1);

    if (pid == 0) {
        status = ngx_lyftr_share_led(share);
        status |= ngx_lyftr_share_orphaned(share) << 1;
        status |= (ngx_lyftr_share_lead(share) == NGX_OK) << 2;

        _exit(status);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));

    return WEXITSTATUS(status);
}


static void
test_leader(void **state)
{
    ngx_lyftr_share_t  *share;

    test_create();

    share = stores[1].share;

    assert_int_equal(ngx_lyftr_share_lead(share), NGX_OK);
    assert_int_equal(test_other(share), 1);

    /* another store has another one, which ends with its process */

    assert_int_equal(test_other(stores[0].share), 2 | 4);
    assert_int_equal(test_other(stores[0].share), 1 | 2 | 4);

    ngx_lyftr_share_leave(share);

    assert_int_equal(ngx_lyftr_share_led(share), 0);
    assert_int_equal(test_other(share), 2 | 4);

    test_destroy();
}


static void
test_wake(void **state)
{
    uint64_t            n;
    ngx_uint_t          i;
    ngx_lyftr_share_t  *share;

    test_create();

    share = stores[0].share;

    for (i = 0; i < TEST_WORKERS; i++) {
        assert_int_equal(read(share->events[i], &n, sizeof(n)), -1);
        ngx_lyftr_share_wake(share, i);
        ngx_lyftr_share_wake(share, i);
    }

    for (i = 0; i < TEST_WORKERS; i++) {
        assert_int_equal(read(share->events[i], &n, sizeof(n)), sizeof(n));
        assert_int_equal(read(share->events[i], &n, sizeof(n)), -1);
    }

    test_destroy();
}


/* the rings of all stores, none over another, up to the end of the memory */

static void
test_memory(void **state)
{
    void               *at;
    size_t              size;
    ngx_uint_t          i, k, n;
    ngx_lyftr_ring_t    ring;
    ngx_lyftr_share_t  *share;

    n = test_descriptors();

    test_create();

    at = stores[0].share->words;
    size = ngx_lyftr_ring_memory(stores[0].share->size);

    for (i = 0; i < 2; i++) {
        share = stores[i].share;
        assert_int_equal(share->number, i);

        for (k = 0; k < TEST_WORKERS; k++) {
            ngx_lyftr_share_ring(share, k, &ring);
            ngx_memset(ring.data, 1 + i * TEST_WORKERS + k, size);
        }
    }

    for (i = 0; i < 2; i++) {
        for (k = 0; k < TEST_WORKERS; k++) {
            ngx_lyftr_share_ring(stores[i].share, k, &ring);
            assert_int_equal(ring.data[0], 1 + i * TEST_WORKERS + k);
            assert_int_equal(ring.data[size - 1], ring.data[0]);
        }
    }

    assert_int_equal(ngx_lyftr_share_led(stores[1].share), 0);
    assert_int_equal(msync(at, 1, MS_ASYNC), 0);

    test_destroy();

    assert_int_equal(msync(at, 1, MS_ASYNC), -1);

    assert_int_equal(test_descriptors(), n);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_leader),
        cmocka_unit_test(test_wake)
    };

    return cmocka_run_group_tests_name("share", tests, NULL, NULL);
}

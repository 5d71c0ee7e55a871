/* Configurations with labels, and the parts of nginx that the zone needs. */

#ifndef _UNIT_ZONE_H_INCLUDED_
#define _UNIT_ZONE_H_INCLUDED_


#include "unit.h"

#include <ngx_lyftr_metrics.h>


#define TEST_MAX   64
#define TEST_FEW   16


/* three kinds, of which the last is strict */

enum { TEST_PATH = 0, TEST_SECRET, TEST_STORE, TEST_KINDS };

typedef struct {
    ngx_atomic_t           n[5];
} test_path_t;

static ngx_lyftr_zone_kind_t  kinds[] = {
    { sizeof(test_path_t), TEST_MAX, 0 },
    { 1, TEST_MAX, 0 },
    { 12, TEST_FEW, 1 }
};


ngx_process_t              ngx_processes[NGX_MAX_PROCESSES];
ngx_int_t                  ngx_last_process;
ngx_uint_t                 ngx_pagesize = 4096;

static u_char              shared[512 * 1024], before[sizeof(shared)];
static size_t              size_asked;
static ngx_slab_pool_t     shpool;
static ngx_log_t           log_unused;
static ngx_uint_t          told;

static ngx_lyftr_label_t   elts[2][TEST_KINDS][TEST_MAX];
static u_char              names[2][TEST_MAX][16];


static struct test_conf_s {
    ngx_lyftr_zone_t       zone;
    ngx_shm_zone_t         shm_zone;
} confs[2];


void
ngx_conf_log_error(ngx_uint_t level, ngx_conf_t *cf, ngx_err_t err,
    const char *fmt, ...)
{
    told++;
}


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    told++;
}


void *
ngx_array_push(ngx_array_t *a)
{
    assert_true(a->nelts < a->nalloc);

    return (u_char *) a->elts + a->size * a->nelts++;
}


ngx_shm_zone_t *
ngx_shared_memory_add(ngx_conf_t *cf, ngx_str_t *name, size_t size, void *tag)
{
    size_asked = size;

    return cf->handler_conf;
}


void *
ngx_slab_calloc(ngx_slab_pool_t *pool, size_t size)
{
    assert_true(size <= size_asked && size <= sizeof(shared));
    ngx_memzero(shared, sizeof(shared));

    return shared;
}


/* those of nginx, which the zone makes, are full when a test says so */

void *
ngx_palloc(ngx_pool_t *pool, size_t size)
{
    return (void *) pool;
}


static void
test_begin(ngx_uint_t n)
{
    ngx_uint_t           i;
    ngx_conf_t           cf;
    struct test_conf_s  *conf;

    conf = &confs[n];
    ngx_memzero(conf, sizeof(struct test_conf_s));
    ngx_memzero(&cf, sizeof(ngx_conf_t));
    cf.pool = (ngx_pool_t *) elts;

    assert_int_equal(ngx_lyftr_zone_create(&cf, &conf->zone, kinds, TEST_KINDS,
                                           sizeof(ngx_atomic_t)), NGX_OK);

    for (i = 0; i < TEST_KINDS; i++) {
        conf->zone.labels[i].elts = elts[n][i];
        conf->zone.labels[i].nalloc = TEST_MAX;
    }
}


/* adds a label to a configuration that is being parsed */

static ngx_int_t
test_label(ngx_uint_t n, ngx_uint_t kind, char *data, size_t len)
{
    ngx_str_t   name;
    ngx_conf_t  cf;

    ngx_memzero(&cf, sizeof(cf));

    name.data = (u_char *) data;
    name.len = len;

    return ngx_lyftr_zone_label(&cf, &confs[n].zone, kind, &name);
}


/* "other", and as many paths as there may be besides, or fewer */

static void
test_paths(ngx_uint_t n, char prefix, ngx_uint_t number)
{
    ngx_uint_t  i;

    (void) test_label(n, TEST_PATH, "other", 5);

    for (i = 0; i < number; i++) {
        (void) snprintf((char *) names[n][i], 16, "/%c%u", prefix,
                        (unsigned) i);
        (void) test_label(n, TEST_PATH, (char *) names[n][i],
                          strlen((char *) names[n][i]));
    }
}


static ngx_int_t
test_map(ngx_uint_t n, ngx_uint_t reload)
{
    ngx_conf_t           cf;
    struct test_conf_s  *conf;

    conf = &confs[n];

    ngx_memzero(&cf, sizeof(cf));
    cf.handler_conf = (char *) &conf->shm_zone;
    conf->shm_zone.shm.addr = (u_char *) &shpool;
    conf->shm_zone.shm.log = &log_unused;

    assert_int_equal(ngx_lyftr_zone_init(&cf, &conf->zone, NULL), NGX_OK);

    return conf->shm_zone.init(&conf->shm_zone,
                               reload ? &confs[!n].zone : NULL);
}


static test_path_t *
test_path(ngx_uint_t n, ngx_uint_t i)
{
    return ngx_lyftr_zone_data(&confs[n].zone, TEST_PATH, i);
}


#endif /* _UNIT_ZONE_H_INCLUDED_ */

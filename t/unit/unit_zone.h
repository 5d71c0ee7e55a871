/* Configurations with labels, and the parts of nginx that the zone needs. */

#ifndef _UNIT_ZONE_H_INCLUDED_
#define _UNIT_ZONE_H_INCLUDED_


#include "unit.h"

#include <ngx_lyftr_zone.h>


/* of nginx, for the files beside it */

volatile ngx_cycle_t  *ngx_cycle;
volatile ngx_msec_t    ngx_current_msec;


u_char *
ngx_sprintf(u_char *buf, const char *fmt, ...)
{
    return buf;
}


#define TEST_MAX   NGX_LYFTR_PATHS_MAX


ngx_module_t               ngx_http_lyftr_module;
ngx_process_t              ngx_processes[NGX_MAX_PROCESSES];
ngx_int_t                  ngx_last_process;
ngx_uint_t                 ngx_pagesize = 4096;

static ngx_lyftr_zone_t    zone, before;
static ngx_slab_pool_t     shpool;
static ngx_log_t           log_unused;
static ngx_uint_t          told;

static ngx_lyftr_label_t   elts[2][NGX_LYFTR_LABELS][TEST_MAX];
static u_char              names[2][TEST_MAX][16];


static struct test_conf_s {
    ngx_lyftr_main_conf_t  main;
    ngx_shm_zone_t         shm_zone;
    ngx_lyftr_store_t      store;
    ngx_lyftr_store_t     *stores[1];
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
    assert_true(size >= sizeof(ngx_lyftr_zone_t));

    return cf->handler_conf;
}


void *
ngx_slab_calloc(ngx_slab_pool_t *pool, size_t size)
{
    ngx_memzero(&zone, sizeof(zone));

    return &zone;
}


static void
test_begin(ngx_uint_t n)
{
    ngx_uint_t           i;
    struct test_conf_s  *conf;

    conf = &confs[n];
    ngx_memzero(conf, sizeof(struct test_conf_s));

    for (i = 0; i < NGX_LYFTR_LABELS; i++) {
        conf->main.labels[i].elts = elts[n][i];
        conf->main.labels[i].size = sizeof(ngx_lyftr_label_t);
        conf->main.labels[i].nalloc = TEST_MAX;
    }

    conf->main.stores.elts = conf->stores;
}


/* adds a label to a configuration that is being parsed */

static ngx_int_t
test_label(ngx_uint_t n, ngx_lyftr_label_e kind, char *data, size_t len)
{
    ngx_str_t            name;
    ngx_conf_t           cf;
    ngx_http_conf_ctx_t  ctx;
    void                *main_conf[1];

    ngx_memzero(&cf, sizeof(cf));
    ngx_memzero(&ctx, sizeof(ctx));

    main_conf[0] = &confs[n].main;
    ctx.main_conf = main_conf;
    cf.ctx = &ctx;

    name.data = (u_char *) data;
    name.len = len;

    return ngx_lyftr_zone_label(&cf, kind, &name);
}


/* "other", and as many paths as there may be besides, or fewer */

static void
test_paths(ngx_uint_t n, char prefix, ngx_uint_t number)
{
    ngx_uint_t  i;

    (void) test_label(n, NGX_LYFTR_LABEL_PATH, "other", 5);

    for (i = 0; i < number; i++) {
        (void) snprintf((char *) names[n][i], 16, "/%c%u", prefix,
                        (unsigned) i);
        (void) test_label(n, NGX_LYFTR_LABEL_PATH, (char *) names[n][i],
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

    assert_int_equal(ngx_lyftr_zone_init(&cf, &conf->main), NGX_OK);

    return conf->shm_zone.init(&conf->shm_zone,
                               reload ? &confs[!n].main : NULL);
}


static ngx_lyftr_path_t *
test_path(ngx_uint_t n, ngx_uint_t i)
{
    return elts[n][NGX_LYFTR_LABEL_PATH][i].slot;
}


#endif /* _UNIT_ZONE_H_INCLUDED_ */

/* What a store is told by its directive, and what it does of it. */

#include "unit.h"

#include <ngx_lyftr_channel.h>


static ngx_pool_t             pool;
static ngx_conf_file_t        file;
static ngx_array_t            array;
static ngx_conf_t             cf;
static ngx_log_t              log_all;
static ngx_array_t            args;
static ngx_str_t              value[8];

static ngx_lyftr_store_t      stores[4], *storep[4], *declared;
static ngx_uint_t             nstores;
static ngx_lyftr_channel_t    channels[NGX_LYFTR_CHANNELS];
static ngx_uint_t             created, most, closed;
static ngx_uint_t             started[NGX_LYFTR_CHANNELS];
static ngx_uint_t             paced;

static ngx_str_t              url, threads, advice;
static ngx_str_t              env;
static ngx_int_t              env_rc, init_rc;
static ngx_uint_t             same;
static void                  *same_as;
static ngx_uint_t             connections;
static u_char                 memory[8192];

/* what the backend keeps of a store */

typedef struct {
    ngx_lyftr_dsn_t           common;
    ngx_int_t                 size;
    ngx_int_t                 flag;
    ngx_int_t                 word;
    ngx_int_t                 which;
    ngx_str_t                 key;
} test_dsn_t;

static test_dsn_t             dsns[4];
static ngx_uint_t             ndsns;

static char                   told[512];
static ngx_uint_t             ntold;


static void
test_tell(const char *fmt)
{
    ntold++;
    (void) snprintf(told, sizeof(told), "%s", fmt);
}


void
ngx_conf_log_error(ngx_uint_t level, ngx_conf_t *c, ngx_err_t err,
    const char *fmt, ...)
{
    assert_int_equal(level, NGX_LOG_EMERG);
    test_tell(fmt);
}


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    test_tell(fmt);
}


void *
ngx_pcalloc(ngx_pool_t *p, size_t size)
{
    if (size == sizeof(test_dsn_t)) {
        assert_true(ndsns < unit_count(dsns));

        return &dsns[ndsns++];
    }

    assert_int_equal(size, sizeof(ngx_lyftr_store_t));
    assert_true(nstores < unit_count(stores));

    return &stores[nstores++];
}


void *
ngx_array_push(ngx_array_t *a)
{
    assert_true(a->nelts < a->nalloc);

    return (u_char *) a->elts + a->size * a->nelts++;
}


void *
ngx_palloc(ngx_pool_t *p, size_t size)
{
    assert_true(size <= sizeof(memory));

    return memory;
}


ngx_int_t
ngx_conf_full_name(ngx_cycle_t *cycle, ngx_str_t *name, ngx_uint_t prefix)
{
    return NGX_OK;
}


ssize_t
ngx_read_file(ngx_file_t *f, u_char *buf, size_t size, off_t offset)
{
    return pread(f->fd, buf, size, offset);
}


ngx_int_t
ngx_atoi(u_char *line, size_t n)
{
    char  *end;
    long   number;

    number = strtol((char *) line, &end, 10);

    return (n && end == (char *) line + n) ? number : NGX_ERROR;
}


off_t
ngx_parse_offset(ngx_str_t *s)
{
    off_t  number;

    if (s->len && s->data[s->len - 1] == 'm') {
        number = ngx_atoi(s->data, s->len - 1);
        return number == NGX_ERROR ? number : number << 20;
    }

    return ngx_atoi(s->data, s->len);
}


ngx_int_t
ngx_parse_time(ngx_str_t *s, ngx_uint_t is_sec)
{
    assert_int_equal(is_sec, 0);

    return s->len > 2 ? ngx_atoi(s->data, s->len - 2) : NGX_ERROR;
}


ngx_uint_t
ngx_hash_key(u_char *data, size_t len)
{
    return 2 * len;
}


ngx_thread_pool_t *
ngx_thread_pool_add(ngx_conf_t *c, ngx_str_t *name)
{
    threads = *name;

    return name->len ? (ngx_thread_pool_t *) &threads : NULL;
}


ngx_int_t
ngx_lyftr_env_get(ngx_conf_t *c, ngx_str_t *name, ngx_str_t *text)
{
    unit_equal(name->data, name->len, "NAME");
    *text = env;

    return env_rc;
}


ngx_lyftr_channel_t *
ngx_lyftr_channel_create(ngx_conf_t *c, ngx_lyftr_store_t *store,
    ngx_lyftr_channel_e type)
{
    return ++created > most ? NULL : &channels[type];
}


void
ngx_lyftr_channel_start(ngx_lyftr_channel_t *channel)
{
    started[channel - channels]++;
}


void
ngx_lyftr_pace_start(ngx_lyftr_channel_t *channel)
{
    assert_ptr_equal(channel, &channels[NGX_LYFTR_CHANNEL_WRITE]);
    paced++;
}


void
ngx_lyftr_channel_close(ngx_lyftr_channel_t *channel)
{
    assert_ptr_equal(channel, &channels[closed++ % NGX_LYFTR_CHANNELS]);
}


static void
test_advice(ngx_lyftr_error_t *text)
{
    text->len = advice.len;
}


static ngx_int_t
test_init(void *data, ngx_str_t *s, ngx_lyftr_error_t *err)
{
    ngx_lyftr_dsn_t  *dsn = data;

    url = *s;
    err->len = 0;
    (void) strcpy((char *) dsn->path, "/a/path");

    return init_rc;
}


static ngx_int_t
test_configure(void *data, ngx_uint_t n, ngx_lyftr_error_t *err)
{
    test_dsn_t  *dsn = data;

    connections = n;
    err->len = 0;

    return dsn->size == 32 << 20 ? NGX_ERROR : NGX_OK;
}


static ngx_uint_t
test_same(void *a, void *b)
{
    assert_true(a != b);

    return same || a == same_as;
}


static ngx_str_t  which[] = {
    ngx_string("one"),
    ngx_string("other"),
    ngx_null_string
};


static ngx_lyftr_param_t  params[] = {

    { ngx_string("size="), NGX_LYFTR_PARAM_BYTES,
      offsetof(test_dsn_t, size), 16 << 20, NGX_MAX_INT_T_VALUE, 256 << 20,
      NULL },

    { ngx_string("flag="), NGX_LYFTR_PARAM_FLAG,
      offsetof(test_dsn_t, flag), 0, 1, 0, NULL },

    { ngx_string("word"), NGX_LYFTR_PARAM_WORD,
      offsetof(test_dsn_t, word), 0, 1, 0, NULL },

    { ngx_string("which="), NGX_LYFTR_PARAM_ENUM,
      offsetof(test_dsn_t, which), 0, 1, 1, which },

    { ngx_string("key="), NGX_LYFTR_PARAM_KEY,
      offsetof(test_dsn_t, key), 0, 0, 0, NULL },

    { ngx_null_string, 0, 0, 0, 0, 0, NULL }
};


static ngx_str_t  schemes[] = {
    ngx_string("sqlite"),
    ngx_null_string
};


static ngx_lyftr_backend_t  backend = {
    .schemes = schemes,
    .size = sizeof(test_dsn_t),
    .params = params,
    .configure = test_configure,
    .advice = test_advice,
    .init = test_init,
    .same = test_same
};


static ngx_lyftr_backend_t  *backends[] = { &backend, NULL };


static int
test_setup(void **state)
{
    ngx_memzero(stores, sizeof(stores));
    nstores = 0;
    ngx_memzero(dsns, sizeof(dsns));
    ndsns = 0;

    array.elts = storep;
    array.nelts = 0;
    array.nalloc = unit_count(storep);
    array.size = sizeof(storep[0]);

    cf.pool = &pool;
    cf.log = &log_all;
    log_all.log_level = NGX_LOG_DEBUG;
    cf.args = &args;
    cf.conf_file = &file;
    file.line = 12;
    args.elts = value;

    env_rc = NGX_OK;
    init_rc = NGX_OK;
    same = 0;
    same_as = NULL;
    ntold = 0;
    told[0] = '\0';
    created = 0;
    most = NGX_LYFTR_CHANNELS;
    closed = 0;
    paced = 0;
    ngx_memzero(started, sizeof(started));

    return 0;
}


static void
test_str(ngx_str_t *s, const char *text)
{
    s->data = (u_char *) text;
    s->len = strlen(text);
}


/* the directive, with one parameter more, or two */

static char *
test_directive(const char *name, const char *address, const char *one,
    const char *two)
{
    args.nelts = 3 + (one != NULL) + (two != NULL);

    test_str(&value[1], name);
    test_str(&value[2], address);
    test_str(&value[3], one ? one : "");
    test_str(&value[4], two ? two : "");

    return ngx_lyftr_store_declare(&cf, &array, backends, &declared);
}


static ngx_lyftr_store_t *
test_store(const char *one, const char *two)
{
    (void) test_setup(NULL);

    assert_ptr_equal(test_directive("main", "sqlite:///f", one, two),
                     NGX_CONF_OK);
    assert_int_equal(ntold, 0);
    assert_ptr_equal(declared, &stores[0]);

    return declared;
}


static void
test_refused(const char *one, const char *two, const char *why)
{
    (void) test_setup(NULL);

    assert_ptr_equal(test_directive("main", "sqlite:///f", one, two),
                     NGX_CONF_ERROR);
    assert_int_equal(ntold, 1);

    if (strstr(told, why) == NULL) {
        fail_msg("%s: %s", one, told);
    }
}


static void
test_defaults(void **state)
{
    ngx_lyftr_store_t  *store;

    store = test_store(NULL, NULL);

    unit_equal(store->name.data, store->name.len, "main");
    unit_equal(url.data, url.len, "sqlite:///f");
    unit_equal(threads.data, threads.len, "default");
    assert_ptr_equal(store->backend, &backend);
    assert_int_equal(store->line, 12);
    assert_int_equal(store->dsn_hash, 15);

    assert_int_equal(store->batch, 1024);
    assert_int_equal(store->readers, 4);
    assert_int_equal(store->queue, 16384);
    assert_int_equal(store->delay, 500);
    assert_int_equal(store->timeout, 4000);
    assert_int_equal(store->check, 24 * 3600 * 1000);
    assert_ptr_equal(store->dsn, &dsns[0]);
    assert_int_equal(dsns[0].size, 256 << 20);
    assert_int_equal(dsns[0].flag, 0);
    assert_int_equal(dsns[0].word, 0);
    assert_int_equal(connections, 11);
}


/* the first and the last value that each takes, and those beside them */

static void
test_ranges(void **state)
{
    char                buf[64];
    ngx_uint_t          i, n;
    ngx_lyftr_store_t  *store;

    static struct {
        const char  *name;
        const char  *unit;
        size_t       offset;
        long long    min;
        long long    max;
    } tests[] = {
        { "batch=", "", offsetof(ngx_lyftr_store_t, batch), 1, 2048 },
        { "readers=", "", offsetof(ngx_lyftr_store_t, readers), 1, 64 },
        { "queue=", "", offsetof(ngx_lyftr_store_t, queue), 1, 1000000 },
        { "delay=", "ms", offsetof(ngx_lyftr_store_t, delay), 1, 60000 },
        { "timeout=", "ms", offsetof(ngx_lyftr_store_t, timeout), 1, 60000 },
        { "check=", "ms", offsetof(ngx_lyftr_store_t, check), 1000,
          365LL * 24 * 3600 * 1000 }
    };

    for (i = 0; i < unit_count(tests); i++) {

        for (n = 0; n < 2; n++) {
            if (n && tests[i].max == 0) {
                continue;
            }

            (void) sprintf(buf, "%s%lld%s", tests[i].name,
                           n ? tests[i].max : tests[i].min, tests[i].unit);

            store = test_store(buf, NULL);
            assert_int_equal(*(ngx_int_t *) ((char *) store
                                             + tests[i].offset),
                             n ? tests[i].max : tests[i].min);

            (void) sprintf(buf, "%s%lld%s", tests[i].name,
                           n ? tests[i].max + 1 : tests[i].min - 1,
                           tests[i].unit);

            test_refused(buf, NULL, "must be from");
        }

        (void) sprintf(buf, "%sx", tests[i].name);
        test_refused(buf, NULL, "must be from");
    }

    test_refused("size=16777215", NULL, "must be from");
    test_refused("size=x", NULL, "must be from");
    test_refused("what=1", NULL, "invalid parameter");
    test_refused("batch", NULL, "invalid parameter");
    test_refused("thread_pool:a", NULL, "invalid parameter");
    test_refused("default:a", NULL, "invalid parameter");
    test_refused("flag:on", NULL, "invalid parameter");
    test_refused("check:off", NULL, "invalid parameter");
    test_refused("words", NULL, "invalid parameter");
    test_refused("wor", NULL, "invalid parameter");
    test_refused("word=", NULL, "invalid parameter");
}


/* the bytes of a file, which nobody else may read */

static void
test_key(void **state)
{
    int         fd;
    char        name[] = "/tmp/test_store.XXXXXX", arg[64];
    char        bytes[4097];
    ngx_uint_t  i;

    static const struct {
        size_t       len;
        int          mode;
        const char  *text;
    } tests[] = {
        { 31, 0600, "the key in" },
        { 32, 0640, "the key in" },
        { 32, 0604, "the key in" },
        { 32, 0600, NULL },
        { 4096, 0400, NULL },
        { 4097, 0600, "the key in" }
    };

    ngx_memset(bytes, 'k', sizeof(bytes));
    bytes[31] = '\n';

    fd = mkstemp(name);
    assert_int_not_equal(fd, -1);

    (void) sprintf(arg, "key=%s", name);

    for (i = 0; i < unit_count(tests); i++) {
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, bytes, tests[i].len, 0), tests[i].len);
        assert_int_equal(fchmod(fd, tests[i].mode), 0);

        if (tests[i].text) {
            test_refused(arg, NULL, tests[i].text);
            continue;
        }

        (void) test_store(arg, NULL);

        assert_int_equal(dsns[0].key.len, tests[i].len);
        assert_memory_equal(dsns[0].key.data, bytes, tests[i].len);
    }

    (void) close(fd);
    (void) unlink(name);

    test_refused(arg, NULL, "open() ");
    test_refused("key=/tmp", NULL, "the key in");
    test_refused("key=", NULL, "invalid value");
}


static void
test_flags(void **state)
{
    assert_int_equal(test_store("check=off", NULL)->check, 0);

    (void) test_store("word", "flag=on");
    assert_int_equal(dsns[0].word, 1);
    assert_int_equal(dsns[0].flag, 1);

    (void) test_store("flag=on", "flag=off");
    assert_int_equal(dsns[0].flag, 0);

    (void) test_store("size=16m", NULL);
    assert_int_equal(dsns[0].size, 16 << 20);

    (void) test_store("word", NULL);
    assert_int_equal(dsns[0].which, 1);

    (void) test_store("which=one", NULL);
    assert_int_equal(dsns[0].which, 0);

    test_refused("which=", NULL, "invalid value");
    test_refused("which=ones", NULL, "invalid value");
    test_refused("which=o", NULL, "invalid value");

    test_refused("flag=yes", NULL, "must be");
    test_refused("flag=", NULL, "must be");

    (void) test_store("thread_pool=other", NULL);
    unit_equal(threads.data, threads.len, "other");

    (void) test_setup(NULL);
    assert_ptr_equal(test_directive("main", "sqlite:///f", "thread_pool=",
                                    NULL),
                     NGX_CONF_ERROR);
}


/* the backend hears of all parameters at once, and may refuse them */

static void
test_configured(void **state)
{
    (void) test_store("readers=1", NULL);
    assert_int_equal(connections, 8);

    (void) test_store("size=33m", "readers=64");
    assert_int_equal(connections, 71);

    test_refused("size=32m", NULL, "store");
}


static void
test_addresses(void **state)
{
    ngx_uint_t  i;

    static const char  *unknown[] = {
        "", "sqlite", "sqlit:///f", "sqlitex:///f", "mysql:///f",
        "env.NAME", "en:NAME"
    };

    assert_ptr_equal(test_directive("main", "sqlite+aiosqlite:///f", NULL,
                                    NULL),
                     NGX_CONF_OK);

    for (i = 0; i < unit_count(unknown); i++) {
        (void) test_setup(NULL);
        assert_ptr_equal(test_directive("main", unknown[i], NULL, NULL),
                         NGX_CONF_ERROR);
        assert_non_null(strstr(told, "a URL of an unknown kind"));
    }

    (void) test_setup(NULL);
    init_rc = NGX_ERROR;
    assert_ptr_equal(test_directive("main", "sqlite:///f", NULL, NULL),
                     NGX_CONF_ERROR);
    assert_int_equal(ntold, 1);
}


static void
test_environment(void **state)
{
    test_str(&env, "sqlite:///of-env");
    assert_ptr_equal(test_directive("main", "env:NAME", "default=sqlite:///d",
                                    NULL),
                     NGX_CONF_OK);
    unit_equal(url.data, url.len, "sqlite:///of-env");

    (void) test_setup(NULL);
    ngx_str_null(&env);
    assert_ptr_equal(test_directive("main", "env:NAME", "default=sqlite:///d",
                                    NULL),
                     NGX_CONF_OK);
    unit_equal(url.data, url.len, "sqlite:///d");

    (void) test_setup(NULL);
    assert_ptr_equal(test_directive("main", "env:NAME", NULL, NULL),
                     NGX_CONF_ERROR);
    assert_non_null(strstr(told, "is not set"));

    (void) test_setup(NULL);
    env_rc = NGX_ERROR;
    assert_ptr_equal(test_directive("main", "env:NAME", NULL, NULL),
                     NGX_CONF_ERROR);
    assert_int_equal(ntold, 0);
}


/* one that was only named before is the same when it is declared */

static void
test_names(void **state)
{
    ngx_str_t           name;
    ngx_lyftr_store_t  *store;

    assert_string_equal(test_directive("", "sqlite:///f", NULL, NULL),
                        "has an empty name");

    test_str(&name, "main");
    store = ngx_lyftr_store_add(&cf, &array, &name);
    assert_null(store->backend);

    /* it was never declared */

    assert_int_equal(ngx_lyftr_store_init(&cf, &array), NGX_ERROR);
    assert_non_null(strstr(told, "unknown lyftr_store"));

    assert_ptr_equal(test_directive("mais", "sqlite:///f", NULL, NULL),
                     NGX_CONF_OK);
    assert_ptr_equal(test_directive("main", "sqlite:///f", NULL, NULL),
                     NGX_CONF_OK);
    assert_ptr_equal(ngx_lyftr_store_add(&cf, &array, &name), store);
    assert_int_equal(array.nelts, 2);

    assert_string_equal(test_directive("main", "sqlite:///f", NULL, NULL),
                        "is duplicate");

    /* two of them on one database, whichever they are */

    assert_ptr_equal(test_directive("third", "sqlite:///f", NULL, NULL),
                     NGX_CONF_OK);

    most = 3 * NGX_LYFTR_CHANNELS;
    same_as = stores[1].dsn;
    assert_int_equal(ngx_lyftr_store_init(&cf, &array), NGX_ERROR);
    assert_non_null(strstr(told, "are one database"));

    same_as = NULL;
    told[0] = '\0';
    same = 1;
    assert_int_equal(ngx_lyftr_store_init(&cf, &array), NGX_ERROR);
    assert_non_null(strstr(told, "are one database"));
}


static void
test_channels(void **state)
{
    ngx_uint_t          n;
    ngx_lyftr_store_t  *store;

    store = test_store(NULL, NULL);

    assert_int_equal(ngx_lyftr_store_init(&cf, &array), NGX_OK);

    for (n = 0; n < NGX_LYFTR_CHANNELS; n++) {
        assert_ptr_equal(store->channels[n], &channels[n]);
    }

    ngx_lyftr_store_start(&array);
    assert_int_equal(paced, 1);

    for (n = 0; n < NGX_LYFTR_CHANNELS; n++) {
        assert_int_equal(started[n], n == NGX_LYFTR_CHANNEL_JOBS
                                     || n == NGX_LYFTR_CHANNEL_CHECK);
    }

    ngx_lyftr_store_exit(&array);
    assert_int_equal(closed, NGX_LYFTR_CHANNELS);

    /* there is no memory for one more */

    assert_int_equal(ngx_lyftr_store_init(&cf, &array), NGX_ERROR);
}


/* advice is given once, if there is any, and only if a store is of the kind */

static void
test_advise(void **state)
{
    ngx_lyftr_store_advise(&array, backends, &log_all);
    assert_int_equal(ntold, 0);

    (void) test_store(NULL, NULL);
    test_str(&advice, "beware");

    ngx_lyftr_store_advise(&array, backends, &log_all);
    assert_int_equal(ntold, 1);

    ngx_lyftr_store_advise(&array, backends, &log_all);
    assert_int_equal(ntold, 1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup(test_defaults, test_setup),
        cmocka_unit_test_setup(test_ranges, test_setup),
        cmocka_unit_test_setup(test_key, test_setup),
        cmocka_unit_test_setup(test_flags, test_setup),
        cmocka_unit_test_setup(test_configured, test_setup),
        cmocka_unit_test_setup(test_addresses, test_setup),
        cmocka_unit_test_setup(test_environment, test_setup),
        cmocka_unit_test_setup(test_names, test_setup),
        cmocka_unit_test_setup(test_channels, test_setup),
        cmocka_unit_test_setup(test_advise, test_setup)
    };

    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}

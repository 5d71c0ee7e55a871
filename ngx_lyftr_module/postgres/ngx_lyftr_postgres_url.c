#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres.h>

#include <stdio.h>


static char *ngx_lyftr_postgres_scheme(ngx_str_t *url, size_t *left);
static void ngx_lyftr_postgres_name(ngx_lyftr_postgres_dsn_t *dsn,
    PQconninfoOption *options);
static void ngx_lyftr_postgres_hosts(ngx_lyftr_postgres_dsn_t *dsn,
    PQconninfoOption *options);
static const char *ngx_lyftr_postgres_option(PQconninfoOption *options,
    const char *name, const char *other);


/*
 * What is wrong with it is not printed: it may hold a password.  An address of
 * SQLAlchemy may name a driver, which is left out.
 */

ngx_int_t
ngx_lyftr_postgres_init(void *data, ngx_str_t *url, ngx_lyftr_error_t *err)
{
    ngx_lyftr_postgres_dsn_t *dsn = data;

    int                n;
    char              *rest, *why;
    size_t             len;
    PQconninfoOption  *options;

    ngx_memzero(dsn, sizeof(ngx_lyftr_postgres_dsn_t));

    rest = ngx_lyftr_postgres_scheme(url, &len);

    if (rest == NULL || memchr(rest, '\0', len)) {
        goto invalid;
    }

    n = snprintf(dsn->url, sizeof(dsn->url), "postgresql%.*s", (int) len,
                 rest);

    if (n < 0 || (size_t) n >= sizeof(dsn->url)) {
        return ngx_lyftr_postgres_fail(dsn, err, NGX_LYFTR_ERR_OPEN,
                                       "the URL is too long");
    }

    why = NULL;
    options = PQconninfoParse(dsn->url, &why);
    PQfreemem(why);

    if (options == NULL) {
        goto invalid;
    }

    ngx_lyftr_postgres_name(dsn, options);
    ngx_lyftr_postgres_hosts(dsn, options);

    PQconninfoFree(options);

    return NGX_OK;

invalid:

    return ngx_lyftr_postgres_fail(dsn, err, NGX_LYFTR_ERR_OPEN,
                                   "not a URL such as "
                                   "postgresql://host/database");
}


/* what follows postgresql or postgres, and a driver; NULL: none of these */

static char *
ngx_lyftr_postgres_scheme(ngx_str_t *url, size_t *left)
{
    u_char  *p, *last;

    p = url->data;
    last = p + url->len;

    if (url->len < 8 || ngx_memcmp(p, "postgres", 8) != 0) {
        return NULL;
    }

    p += 8;

    if (last - p >= 2 && p[0] == 'q' && p[1] == 'l') {
        p += 2;
    }

    if (p < last && *p == '+') {
        for (p++; p < last && *p != ':'; p++) { /* void */ }
    }

    *left = last - p;

    return (*left < 3 || ngx_memcmp(p, "://", 3) != 0) ? NULL : (char *) p;
}


/* host, port and database, as the log shows it; no user and no password */

static void
ngx_lyftr_postgres_name(ngx_lyftr_postgres_dsn_t *dsn,
    PQconninfoOption *options)
{
    const char  *service;

    service = ngx_lyftr_postgres_option(options, "service", NULL);

    if (service) {
        (void) snprintf((char *) dsn->common.path, sizeof(dsn->common.path),
                        "service %s", service);
        return;
    }

    (void) snprintf((char *) dsn->common.path, sizeof(dsn->common.path),
                    "%s:%s/%s",
                    ngx_lyftr_postgres_option(options, "host", "local"),
                    ngx_lyftr_postgres_option(options, "port", "5432"),
                    ngx_lyftr_postgres_option(options, "dbname", ""));
}


/*
 * libpq goes on to the next host when one refuses, but waits for one that is
 * silent as long as it is let; so each has its own time.
 */

static void
ngx_lyftr_postgres_hosts(ngx_lyftr_postgres_dsn_t *dsn,
    PQconninfoOption *options)
{
    const char  *hosts, *ports, *p;

    hosts = ngx_lyftr_postgres_option(options, "host", "");
    ports = ngx_lyftr_postgres_option(options, "port", "");

    if (strchr(hosts, ',') == NULL
        || ngx_lyftr_postgres_option(options, "hostaddr", NULL)
        || ngx_strlen(hosts) >= NGX_LYFTR_POSTGRES_HOSTS
        || ngx_strlen(ports) >= NGX_LYFTR_POSTGRES_HOSTS)
    {
        return;
    }

    (void) strcpy(dsn->hosts, hosts);
    (void) strcpy(dsn->ports, ports);

    dsn->nhosts = 1;

    for (p = hosts; *p; p++) {
        dsn->nhosts += (*p == ',');
    }
}


void
ngx_lyftr_postgres_part(const char *list, ngx_uint_t n, char *buf, size_t size)
{
    size_t       len;
    const char  *end;

    if (strchr(list, ',') == NULL) {
        n = 0;
    }

    for ( /* void */ ; n && (end = strchr(list, ',')) != NULL; n--) {
        list = end + 1;
    }

    len = ngx_min(strcspn(list, ","), size - 1);

    ngx_memcpy(buf, list, len);
    buf[len] = '\0';
}


static const char *
ngx_lyftr_postgres_option(PQconninfoOption *options, const char *name,
    const char *other)
{
    PQconninfoOption  *option;

    for (option = options; option->keyword; option++) {
        if (ngx_strcmp(option->keyword, name) == 0) {
            return option->val && option->val[0] ? option->val : other;
        }
    }

    return other;
}


/* two other names of one database do no harm: they are as two hosts */

ngx_uint_t
ngx_lyftr_postgres_same(void *a, void *b)
{
    ngx_lyftr_postgres_dsn_t *one = a;
    ngx_lyftr_postgres_dsn_t *other = b;

    return ngx_strcmp(one->common.path, other->common.path) == 0;
}

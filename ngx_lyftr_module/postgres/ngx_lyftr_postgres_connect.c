#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres.h>


/* msec that connecting may take, whatever the deadline is */
#define NGX_LYFTR_POSTGRES_CONNECT 1000

/* msec between two tries: the first ones, and the most */
#define NGX_LYFTR_POSTGRES_PAUSE   50
#define NGX_LYFTR_POSTGRES_PAUSES  800

/* where a host listens of which the URL does not say it */
#define NGX_LYFTR_POSTGRES_PORT    "5432"

/* the oldest server */
#define NGX_LYFTR_POSTGRES_SERVER  130000


static ngx_int_t ngx_lyftr_postgres_reach(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_check(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);


/* what is set, and what is asked: of the server, and of the database */

static const char  ngx_lyftr_postgres_settings[] =
    "SET client_min_messages = warning; SET synchronous_commit = on;"
    " SET jit = off;"
    " SET default_transaction_isolation = 'read committed';"
    " SELECT current_setting('server_encoding', true),"
    " current_setting('fsync', true),"
    " current_setting('full_page_writes', true),"
    " current_setting('synchronous_standby_names', true)";


/* a server that starts again, or its standby, may be there soon */

ngx_int_t
ngx_lyftr_postgres_connect_wait(ngx_lyftr_postgres_t *c, ngx_uint_t flags,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_msec_t  pause;

    pause = NGX_LYFTR_POSTGRES_PAUSE;

    for ( ;; ) {

        if (ngx_lyftr_postgres_connect(c, flags, deadline, err) == NGX_OK) {
            return NGX_OK;
        }

        if (err->code != NGX_LYFTR_ERR_OPEN
            || ngx_lyftr_postgres_left(deadline) <= pause)
        {
            return NGX_ERROR;
        }

        ngx_msleep(pause);

        pause = ngx_min(2 * pause, NGX_LYFTR_POSTGRES_PAUSES);
    }
}


/* a probe has less time than a connection takes: that is for the next one */

ngx_int_t
ngx_lyftr_postgres_connect(ngx_lyftr_postgres_t *c, ngx_uint_t flags,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    if (ngx_lyftr_postgres_left(deadline) < NGX_LYFTR_POSTGRES_CONNECT) {
        deadline = ngx_lyftr_clock() + NGX_LYFTR_POSTGRES_CONNECT;
    }

    c->reads = 0;

    if (ngx_lyftr_postgres_reach(c, deadline, err) == NGX_OK
        && ngx_lyftr_postgres_check(c, deadline, err) == NGX_OK
        && ngx_lyftr_postgres_schema(c, flags, deadline, err) == NGX_OK
        && ngx_lyftr_postgres_pipeline(c, err) == NGX_OK)
    {
        return NGX_OK;
    }

    ngx_lyftr_postgres_call_close(c);

    return NGX_ERROR;
}


/* the host that took writes last comes first; each has its share of the time */

static ngx_int_t
ngx_lyftr_postgres_reach(ngx_lyftr_postgres_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    char                       host[NGX_LYFTR_POSTGRES_HOSTS];
    char                       port[NGX_LYFTR_POSTGRES_HOSTS];
    ngx_uint_t                 i, n, first;
    ngx_msec_t                 until;
    ngx_lyftr_postgres_dsn_t  *dsn;

    dsn = c->dsn;

    if (dsn->nhosts == 0) {
        return ngx_lyftr_postgres_call_open(c, NULL, NULL, deadline, err);
    }

    first = __atomic_load_n(&dsn->host, __ATOMIC_RELAXED);

    for (i = 0; i < dsn->nhosts; i++) {
        n = (first + i) % dsn->nhosts;

        ngx_lyftr_postgres_part(dsn->hosts, n, host, sizeof(host));
        ngx_lyftr_postgres_part(dsn->ports, n, port, sizeof(port));

        /* an empty one would leave the URL's list in force */

        if (port[0] == '\0') {
            (void) strcpy(port, NGX_LYFTR_POSTGRES_PORT);
        }

        until = ngx_lyftr_clock()
                + ngx_lyftr_postgres_left(deadline) / (dsn->nhosts - i);

        if (ngx_lyftr_postgres_call_open(c, host, port, until, err) == NGX_OK)
        {
            __atomic_store_n(&dsn->host, n, __ATOMIC_RELAXED);
            return NGX_OK;
        }
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_lyftr_postgres_check(ngx_lyftr_postgres_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    PGresult   *res;
    ngx_int_t   rc;

    if (PQserverVersion(c->call.pg) < NGX_LYFTR_POSTGRES_SERVER) {
        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_OPEN,
                                       "the server is older than 13");
    }

    res = ngx_lyftr_postgres_simple(c, ngx_lyftr_postgres_settings, deadline,
                                    err);
    if (res == NULL) {
        return NGX_ERROR;
    }

    if (ngx_strcmp(PQgetvalue(res, 0, 0), "UTF8") != 0) {
        rc = ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_OPEN,
                                     "its encoding is not UTF8");

    } else if (ngx_strcmp(PQgetvalue(res, 0, 2), "off") == 0
               && c->dsn->durability != NGX_LYFTR_POSTGRES_STORAGE)
    {
        rc = ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_OPEN,
                                     "full_page_writes is off");

    } else {
        rc = ngx_lyftr_postgres_promises(c, PQgetvalue(res, 0, 1),
                                         PQgetvalue(res, 0, 3), err);

        c->dsn->alone = (c->dsn->durability == NGX_LYFTR_POSTGRES_ANY
                         && PQgetlength(res, 0, 3) == 0);
    }

    PQclear(res);

    return rc;
}


ngx_int_t
ngx_lyftr_postgres_promises(ngx_lyftr_postgres_t *c, const char *fsync,
    const char *standbys, ngx_lyftr_error_t *err)
{
    if (ngx_strcmp(fsync, "off") == 0) {
        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_OPEN,
                                       "fsync is off");
    }

    if (c->dsn->durability == NGX_LYFTR_POSTGRES_STANDBY
        && standbys[0] == '\0')
    {
        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_OPEN,
                                       "synchronous_standby_names is empty");
    }

    return NGX_OK;
}

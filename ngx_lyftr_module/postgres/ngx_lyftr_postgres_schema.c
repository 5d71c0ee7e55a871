#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>


/* the version that this one makes, and the oldest that may use what it makes */
#define NGX_LYFTR_POSTGRES_VERSION 2
#define NGX_LYFTR_POSTGRES_LEAST   1

/* msec until one that others make is looked at again */
#define NGX_LYFTR_POSTGRES_AGAIN   50


static ngx_int_t ngx_lyftr_postgres_look(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_known(ngx_lyftr_postgres_t *c,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_make(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_upgrade(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);


/*
 * Statements in one query are one transaction.  The columns that sort have the
 * collation that compares bytes.
 */

static const char  ngx_lyftr_postgres_tables[] =

    "CREATE SCHEMA IF NOT EXISTS lyftr;"

    /* the truth: the log, in the order of arrival */

    "CREATE TABLE lyftr.message ("
    " seq bigint PRIMARY KEY,"
    " h uuid NOT NULL UNIQUE,"
    " created_at timestamptz DEFAULT now(),"
    " instant bytea NOT NULL,"
    " id text COLLATE \"C\" NOT NULL,"
    " id_rest text COLLATE \"C\" NOT NULL DEFAULT '',"
    " sender text COLLATE \"C\" NOT NULL,"
    " sender_rest text COLLATE \"C\" NOT NULL DEFAULT '',"
    " rcpt text COLLATE \"C\" NOT NULL,"
    " ts text COLLATE \"C\" NOT NULL,"
    " body text COLLATE \"C\","
    " type text COLLATE \"C\","
    " raw bytea);"

    "CREATE INDEX message_time ON lyftr.message (instant, id);"
    "CREATE INDEX message_sender ON lyftr.message (sender, instant, id);"

    "CREATE VIEW lyftr.messages AS SELECT id || id_rest AS message_id,"
    " sender || sender_rest AS from_msisdn, rcpt AS to_msisdn, ts,"
    " body AS text, created_at, type, convert_from(raw, 'UTF8') AS raw"
    " FROM lyftr.message;"

    /* the last place given, and what each writer has done last */

    "CREATE TABLE lyftr.ticket (n bigint NOT NULL) WITH (fillfactor = 10);"
    "INSERT INTO lyftr.ticket VALUES (0);"

    "CREATE TABLE lyftr.slot ("
    " id bigint PRIMARY KEY,"
    " host text,"
    " batch bigint NOT NULL DEFAULT 0,"
    " base bigint NOT NULL DEFAULT 0,"
    " k bigint NOT NULL DEFAULT 0,"
    " d bigint NOT NULL DEFAULT 0,"
    " seen timestamptz NOT NULL DEFAULT now()) WITH (fillfactor = 20);"

    /* what follows the log */

    "CREATE TABLE lyftr.range ("
    " tree int NOT NULL,"
    " s text COLLATE \"C\" NOT NULL,"
    " i bytea NOT NULL,"
    " id text COLLATE \"C\" NOT NULL,"
    " n int NOT NULL,"
    " PRIMARY KEY (tree, s, i, id)) WITH (fillfactor = 50);"
    "INSERT INTO lyftr.range VALUES (0, '', '', '', 0), (1, '', '', '', 0);"

    "CREATE TABLE lyftr.sender ("
    " h uuid PRIMARY KEY,"
    " sender text COLLATE \"C\" NOT NULL,"
    " sender_rest text COLLATE \"C\" NOT NULL,"
    " n bigint NOT NULL) WITH (fillfactor = 70);"
    "CREATE INDEX sender_top ON lyftr.sender (n DESC, sender);"

    "CREATE TABLE lyftr.search ("
    " seq bigint PRIMARY KEY,"
    " fold text COLLATE \"C\" NOT NULL);"

    "CREATE TABLE lyftr.state ("
    " id int PRIMARY KEY CHECK (id = 1),"
    " version int NOT NULL,"
    " min_version int NOT NULL,"
    " store bigint NOT NULL,"
    " counted bigint NOT NULL DEFAULT 0,"
    " rows bigint NOT NULL DEFAULT 0,"
    " senders bigint NOT NULL DEFAULT 0,"
    " searched bigint NOT NULL DEFAULT 0,"
    " floor bigint NOT NULL DEFAULT 0,"
    " left_rows bigint NOT NULL DEFAULT 0,"
    " left_bytes bigint NOT NULL DEFAULT 0);";

/* whoever reads has the table of version 1 for a moment only */

static const char  ngx_lyftr_postgres_upgrade_sql[] =
    "SET LOCAL lock_timeout = 500;"
    "ALTER TABLE lyftr.state"
    " ADD COLUMN IF NOT EXISTS floor bigint NOT NULL DEFAULT 0,"
    " ADD COLUMN IF NOT EXISTS left_rows bigint NOT NULL DEFAULT 0,"
    " ADD COLUMN IF NOT EXISTS left_bytes bigint NOT NULL DEFAULT 0;"
    "UPDATE lyftr.state SET version = 2 WHERE version = 1";

static const char  ngx_lyftr_postgres_state_sql[] =
    "%s INSERT INTO lyftr.state (id, version, min_version, store)"
    " VALUES (1, %d, %d, %lld)";

static const char  ngx_lyftr_postgres_look_sql[] =
    "SELECT version, min_version, store FROM lyftr.state WHERE id = 1";


/* several hosts may find nothing, and make it: one does, the others look */

ngx_int_t
ngx_lyftr_postgres_schema(ngx_lyftr_postgres_t *c, ngx_uint_t flags,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    for ( ;; ) {
        rc = ngx_lyftr_postgres_look(c, deadline, err);

        if (rc == NGX_OK || rc == NGX_ERROR) {
            return rc == NGX_OK ? ngx_lyftr_postgres_same_store(c, err)
                                : NGX_ERROR;
        }

        if (rc == NGX_AGAIN) {
            rc = ngx_lyftr_postgres_upgrade(c, deadline, err);

        } else if (flags & NGX_LYFTR_OPEN_CREATE) {
            rc = ngx_lyftr_postgres_make(c, deadline, err);

        } else {
            return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_MOVED,
                                           "the store was there, and is gone");
        }

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_DECLINED) {

            if (ngx_lyftr_postgres_left(deadline) < NGX_LYFTR_POSTGRES_AGAIN) {
                return NGX_ERROR;
            }

            ngx_msleep(NGX_LYFTR_POSTGRES_AGAIN);
        }
    }
}


/* NGX_DECLINED: there is none, NGX_AGAIN: it is of an older version */

static ngx_int_t
ngx_lyftr_postgres_look(ngx_lyftr_postgres_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int         version, min_version;
    PGresult   *res;
    ngx_int_t   rc;

    res = ngx_lyftr_postgres_simple(c, ngx_lyftr_postgres_look_sql, deadline,
                                    err);

    if (res == NULL) {
        return ngx_lyftr_postgres_known(c, err);
    }

    if (PQntuples(res) != 1) {
        PQclear(res);

        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_SCHEMA,
                                       "lyftr.state has not one row");
    }

    version = atoi(PQgetvalue(res, 0, 0));
    min_version = atoi(PQgetvalue(res, 0, 1));
    c->state.store = (uint64_t) strtoll(PQgetvalue(res, 0, 2), NULL, 10);

    rc = version < NGX_LYFTR_POSTGRES_VERSION ? NGX_AGAIN : NGX_OK;

    if (version < NGX_LYFTR_POSTGRES_LEAST
        || min_version > NGX_LYFTR_POSTGRES_VERSION)
    {
        rc = ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_SCHEMA,
                                     "the store has version %d, which needs "
                                     "%d at least, and this is %d", version,
                                     min_version, NGX_LYFTR_POSTGRES_VERSION);
    }

    PQclear(res);

    return rc;
}


/* a table, or a schema, that is not there is no failure */

static ngx_int_t
ngx_lyftr_postgres_known(ngx_lyftr_postgres_t *c, ngx_lyftr_error_t *err)
{
    if (ngx_lyftr_postgres_dead(c)) {
        return NGX_ERROR;
    }

    return (err->code == NGX_LYFTR_ERR_SCHEMA
            || err->code == NGX_LYFTR_ERR_MOVED) ? NGX_DECLINED : NGX_ERROR;
}


/* NGX_DECLINED: perhaps another one has made it meanwhile */

static ngx_int_t
ngx_lyftr_postgres_make(ngx_lyftr_postgres_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    char      *sql;
    size_t     size;
    int64_t    store;
    PGresult  *res;

    do {
        if (getrandom(&store, sizeof(store), 0) != sizeof(store)) {
            return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                           "getrandom() failed: %s",
                                           strerror(errno));
        }
    } while (store == 0);

    size = sizeof(ngx_lyftr_postgres_tables)
           + sizeof(ngx_lyftr_postgres_state_sql) + 64;

    sql = malloc(size);
    if (sql == NULL) {
        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                       "no memory");
    }

    (void) snprintf(sql, size, ngx_lyftr_postgres_state_sql,
                    ngx_lyftr_postgres_tables, NGX_LYFTR_POSTGRES_VERSION,
                    NGX_LYFTR_POSTGRES_LEAST, (long long) store);

    res = ngx_lyftr_postgres_simple(c, sql, deadline, err);

    free(sql);

    if (res) {
        PQclear(res);
        return NGX_OK;
    }

    /* an object that is there, or was made at the same time */

    if (ngx_lyftr_postgres_dead(c)
        || err->code == NGX_LYFTR_ERR_OPEN
        || err->code == NGX_LYFTR_ERR_TIMEOUT
        || err->code == NGX_LYFTR_ERR_READONLY
        || err->code == NGX_LYFTR_ERR_FULL)
    {
        return NGX_ERROR;
    }

    return NGX_DECLINED;
}


/* NGX_DECLINED: others read it, or do the same */

static ngx_int_t
ngx_lyftr_postgres_upgrade(ngx_lyftr_postgres_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    PGresult  *res;

    res = ngx_lyftr_postgres_simple(c, ngx_lyftr_postgres_upgrade_sql,
                                    deadline, err);
    if (res) {
        PQclear(res);
        return NGX_OK;
    }

    return err->code == NGX_LYFTR_ERR_BUSY && !ngx_lyftr_postgres_dead(c)
           ? NGX_DECLINED : NGX_ERROR;
}

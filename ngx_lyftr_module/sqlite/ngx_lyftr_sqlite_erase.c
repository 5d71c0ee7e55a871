#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_index.h>

#include <time.h>


/*
 * Who wants rows erased writes that down, so that it is done whatever becomes
 * of him, and waits until the one process that does the housekeeping has taken
 * them out of all that is read.
 */

/* nanoseconds between two looks */
#define NGX_LYFTR_ERASE_LOOK       4000000


static ngx_int_t ngx_lyftr_erase_none(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erase_t *erase, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erase_row(void *data, ngx_lyftr_message_t *row,
    ngx_lyftr_position_t *position);
static ngx_int_t ngx_lyftr_erase_ask(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erase_t *erase, int64_t *id, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erase_put(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_erase_t *erase, int64_t *id, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erase_asked(ngx_lyftr_sqlite_t *c, const char *sql,
    ngx_lyftr_erase_t *erase, int64_t *id, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erase_look(ngx_lyftr_sqlite_t *c, int64_t id,
    ngx_lyftr_erase_t *erase, ngx_msec_t deadline, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erase_sync(ngx_lyftr_sqlite_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_sqlite_erase(void *conn, ngx_lyftr_erase_t *erase,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_t *c = conn;

    int64_t          id;
    ngx_int_t        rc;
    struct timespec  ts;

    erase->rows = 0;

    rc = ngx_lyftr_erase_none(c, erase, deadline, err);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_lyftr_erase_ask(c, erase, &id, deadline, err);

    ts.tv_sec = 0;
    ts.tv_nsec = NGX_LYFTR_ERASE_LOOK;

    while (rc == NGX_OK) {
        rc = ngx_lyftr_erase_look(c, id, erase, deadline, err);

        if (rc != NGX_AGAIN) {
            break;
        }

        if (ngx_lyftr_flock_left(deadline) == 0) {
            return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_TIMEOUT,
                                         "rows are still being erased");
        }

        (void) nanosleep(&ts, NULL);

        rc = NGX_OK;
    }

    return rc == NGX_OK ? ngx_lyftr_erase_sync(c, deadline, err) : NGX_ERROR;
}


/* NGX_OK: there is nothing to erase, and nothing that has to be remembered */

static ngx_int_t
ngx_lyftr_erase_none(ngx_lyftr_sqlite_t *c, ngx_lyftr_erase_t *erase,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t          rc;
    ngx_lyftr_page_t   page;
    ngx_lyftr_query_t  query;

    if (erase->kind == NGX_LYFTR_ERASE_TO) {
        return NGX_DECLINED;
    }

    ngx_memzero(&query, sizeof(ngx_lyftr_query_t));

    query.limit = 1;

    if (erase->kind == NGX_LYFTR_ERASE_ID) {
        query.id = erase->value;

    } else {
        query.from = erase->value;
    }

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_list(c, &query, ngx_lyftr_erase_row, NULL, &page,
                                   err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    return page.total ? NGX_DECLINED : NGX_OK;
}


static ngx_int_t
ngx_lyftr_erase_row(void *data, ngx_lyftr_message_t *row,
    ngx_lyftr_position_t *position)
{
    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_erase_ask(ngx_lyftr_sqlite_t *c, ngx_lyftr_erase_t *erase,
    int64_t *id, ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_ASK, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_erase_put(c, erase, id, err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc == NGX_OK ? NGX_OK : NGX_ERROR;
}


/* what is asked for and has not begun is waited for */

static ngx_int_t
ngx_lyftr_erase_put(ngx_lyftr_sqlite_t *c, ngx_lyftr_erase_t *erase,
    int64_t *id, ngx_lyftr_error_t *err)
{
    char  print[64], sql[128];

    if (ngx_lyftr_erase_asked(c, "SELECT ifnull((SELECT id FROM lyftr_erase"
                                 " WHERE state = 0 AND kind = ?1"
                                 " AND value = ?2 LIMIT 1), 0)", erase, id, err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (*id) {
        return NGX_OK;
    }

    /* each takes a step at least, so that no number is given twice */

    if (ngx_lyftr_erase_asked(c, "INSERT INTO lyftr_erase (id, kind, value)"
                                 " SELECT 1 + max(step, (SELECT"
                                 " ifnull(max(id), 0) FROM lyftr_erase)),"
                                 " ?1, ?2 FROM lyftr_state RETURNING id",
                              erase, id, err)
        != NGX_OK
        || ngx_lyftr_sqlite_tombs_print(c, print, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    (void) snprintf(sql, sizeof(sql), "UPDATE lyftr_state SET"
                                      " erase = erase + 1, erase_key = '%s'",
                    print);

    return ngx_lyftr_sqlite_exec(c, sql, err);
}


static ngx_int_t
ngx_lyftr_erase_asked(ngx_lyftr_sqlite_t *c, const char *sql,
    ngx_lyftr_erase_t *erase, int64_t *id, ngx_lyftr_error_t *err)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    if (sqlite3_prepare_v2(c->db, sql, -1, &st, NULL) != SQLITE_OK) {
        return ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_bind_int64(st, 1, erase->kind);
    (void) ngx_lyftr_sqlite_bind(st, 2, &erase->value);

    rc = NGX_OK;

    if (sqlite3_step(st) == SQLITE_ROW) {
        *id = sqlite3_column_int64(st, 0);

    } else {
        rc = ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_finalize(st);

    return rc;
}


/* NGX_AGAIN: they are still seen */

static ngx_int_t
ngx_lyftr_erase_look(ngx_lyftr_sqlite_t *c, int64_t id,
    ngx_lyftr_erase_t *erase, ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    int64_t    rows;
    ngx_int_t  rc;
    char       sql[128];

    rows = 0;

    (void) snprintf(sql, sizeof(sql),
                    "SELECT ifnull((SELECT CASE WHEN state THEN rows ELSE -1"
                    " END FROM lyftr_erase WHERE id = %lld), 0)",
                    (long long) id);

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_get(c, sql, &rows, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (rows < 0) {
        return NGX_AGAIN;
    }

    erase->rows = rows;

    return NGX_OK;
}


/* what the housekeeping commits is durable with the next commit of a writer */

static ngx_int_t
ngx_lyftr_erase_sync(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_ASK, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_run(c, c->stmt[NGX_LYFTR_SQL_TOUCH], err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc == NGX_OK ? NGX_OK : NGX_ERROR;
}

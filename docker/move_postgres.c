/*
 * A store in PostgreSQL, for move.  Whoever adds rows takes their places from
 * the ticket, and says in a slot which batch they were; so what closes the
 * store is a constraint that no slot of theirs meets.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres.h>

#include "move.h"


#define MOVE_VERSION        1

/* our slot, which no host has */
#define MOVE_SLOT           "0"

/* bytes of a ts that is none, which they have, too */
#define MOVE_NONE           512

/* seconds from 1970 to 2000, which times are counted from */
#define MOVE_EPOCH          946684800

/* columns of the statement that copies */
#define MOVE_POSTGRES       13


typedef struct {
    PGconn                    *pg;
    char                      *warning;    /* of the last statements */
    int64_t                    ticket;     /* as we left it; -1: not yet */
    ngx_lyftr_postgres_buf_t   buf;        /* of a COPY */
} move_postgres_t;


static void move_postgres_open(move_store_t *store, const char *name);
static void move_postgres_connect(move_store_t *store, const char *url);
static void move_postgres_notice(void *data, const PGresult *res);
static int64_t move_postgres_closed(move_store_t *store);
static void move_postgres_close(move_store_t *store, int64_t other);
static void move_postgres_reopen(move_store_t *store);
static int64_t move_postgres_last(move_store_t *store);
static void move_postgres_read(move_store_t *store, int64_t after,
    move_rows_t *rows);
static void move_postgres_row(PGresult *res, int n, move_row_t *row);
static void move_postgres_write(move_store_t *store, move_rows_t *rows);
static void move_postgres_copy(move_store_t *store, move_row_t *row);
static void move_postgres_created(move_store_t *store, move_row_t *row);
static int64_t move_postgres_place(move_store_t *store, move_row_t *row);
static void move_postgres_hold(move_store_t *store);

static void move_postgres_hash(ngx_str_t *id, u_char *h);
static void move_postgres_halves(move_postgres_t *p, ngx_str_t *s);
static void move_postgres_int(move_postgres_t *p, int64_t n);
static void move_postgres_element(move_postgres_t *p, ngx_str_t *s);
static void move_postgres_bytes(move_postgres_t *p, void *data, size_t len);
static void move_postgres_add(move_postgres_t *p, const void *data,
    size_t len);
static void move_postgres_put(move_store_t *store);
static void move_postgres_end(move_store_t *store, move_rows_t *rows);

static PGresult *move_postgres_query(move_store_t *store, const char *sql,
    ...);
static void move_postgres_exec(move_store_t *store, const char *sql, ...);
static int64_t move_postgres_get(move_store_t *store, const char *sql);
static PGresult *move_postgres_result(move_store_t *store, PGresult *res);


const move_kind_t  move_postgres = {
    move_postgres_open,
    move_postgres_closed,
    move_postgres_close,
    move_postgres_reopen,
    move_postgres_last,
    move_postgres_read,
    move_postgres_write,
    move_postgres_place,
    move_postgres_hold
};


/* so many rows, but not too many bytes; one may be larger */

static const char  move_postgres_read_sql[] =
    "SELECT seq, instant, id || id_rest, sender || sender_rest, rcpt, ts,"
    " to_char(created_at AT TIME ZONE 'UTC',"
    " 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), body, type, raw"
    " FROM (SELECT *, sum(len) OVER (ORDER BY seq) - len AS before"
    " FROM (SELECT *, (octet_length(id_rest) + octet_length(sender_rest)"
    " + octet_length(rcpt) + octet_length(ts)"
    " + coalesce(octet_length(body), 0)"
    " + coalesce(octet_length(raw), 0))::bigint AS len FROM lyftr.message"
    " WHERE seq > $1::bigint AND seq <= $2::bigint ORDER BY seq"
    " LIMIT $3::bigint) m) m WHERE before < $4::bigint ORDER BY seq";

static const char  move_postgres_copy_sql[] =
    "COPY lyftr.message (seq, h, created_at, instant, id, id_rest, sender,"
    " sender_rest, rcpt, ts, body, type, raw) FROM STDIN (FORMAT binary)";

static const char  move_postgres_closed_sql[] =
    "SELECT conname FROM pg_constraint"
    " WHERE conrelid = 'lyftr.slot'::regclass AND conname LIKE 'move\\_%'";


static void
move_postgres_open(move_store_t *store, const char *name)
{
    PGresult         *res;
    move_postgres_t  *p;

    p = move_alloc(sizeof(move_postgres_t));
    p->ticket = -1;

    store->data = p;

    move_postgres_connect(store, name);

    res = move_postgres_query(store, "SELECT to_regclass('lyftr.state')");

    if (PQgetisnull(res, 0, 0)) {
        move_fail("%s: there is no store: have nginx open it before",
                  store->name);
    }

    PQclear(res);

    if (move_postgres_get(store, "SELECT min_version FROM lyftr.state")
        > MOVE_VERSION
        || move_postgres_get(store, "SELECT version FROM lyftr.state")
           < MOVE_VERSION)
    {
        move_fail("%s: it has another version", store->name);
    }

    store->id = move_postgres_get(store, "SELECT store FROM lyftr.state");
}


/* its name has no password, and what is wrong with a URL may show one */

static void
move_postgres_connect(move_store_t *store, const char *url)
{
    char             *name;
    size_t            size;
    move_postgres_t  *p = store->data;
    PQconninfoOption *options;

    const char  *keys[] = { "target_session_attrs", "fallback_application_name",
                            "dbname", NULL };
    const char  *values[] = { "read-write", "lyftr move", url, NULL };

    options = PQconninfoParse(url, NULL);

    if (options == NULL) {
        move_fail("not a URL such as postgresql://host/database");
    }

    PQconninfoFree(options);

    p->pg = PQconnectdbParams(keys, values, 1);

    if (PQstatus(p->pg) != CONNECTION_OK) {
        move_fail("%s", PQerrorMessage(p->pg));
    }

    size = strlen(PQhost(p->pg)) + strlen(PQport(p->pg))
           + strlen(PQdb(p->pg)) + 3;

    name = move_alloc(size);
    (void) snprintf(name, size, "%s:%s/%s", PQhost(p->pg), PQport(p->pg),
                    PQdb(p->pg));

    store->name = name;

    (void) PQsetNoticeReceiver(p->pg, move_postgres_notice, p);

    move_postgres_exec(store, "SET client_min_messages = warning");
    move_postgres_exec(store, "SET synchronous_commit = on");
    move_postgres_exec(store, "SET lock_timeout = '10s'");
}


/* of a commit that an administrator has kept from its standby */

static void
move_postgres_notice(void *data, const PGresult *res)
{
    const char       *text;
    move_postgres_t  *p = data;

    text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

    free(p->warning);

    p->warning = strdup(text ? text : "");
}


static int64_t
move_postgres_closed(move_store_t *store)
{
    int64_t    other;
    PGresult  *res;

    res = move_postgres_query(store, move_postgres_closed_sql);
    other = PQntuples(res) ? move_other(PQgetvalue(res, 0, 0)) : 0;

    PQclear(res);

    return other;
}


/* waits for those who are writing, and what they have written is durable */

static void
move_postgres_close(move_store_t *store, int64_t other)
{
    char  sql[128];

    (void) snprintf(sql, sizeof(sql), "ALTER TABLE lyftr.slot ADD CONSTRAINT"
                    " move_%016llx CHECK (id = " MOVE_SLOT ") NOT VALID",
                    (unsigned long long) other);

    move_postgres_exec(store, sql);
}


static void
move_postgres_reopen(move_store_t *store)
{
    char  sql[128];

    (void) snprintf(sql, sizeof(sql), "ALTER TABLE lyftr.slot DROP CONSTRAINT"
                    " move_%016llx",
                    (unsigned long long) move_postgres_closed(store));

    move_postgres_exec(store, sql);
}


static int64_t
move_postgres_last(move_store_t *store)
{
    return move_postgres_get(store, "SELECT greatest((SELECT n FROM"
                             " lyftr.ticket), (SELECT coalesce(max(seq), 0)"
                             " FROM lyftr.message))");
}


/* of a store that is closed all rows are durable */

static void
move_postgres_read(move_store_t *store, int64_t after, move_rows_t *rows)
{
    int               i;
    char              a[24], b[24];
    int64_t           last;
    PGresult         *res;
    move_postgres_t  *p = store->data;

    const char  *values[] = { a, b, "4096", "4194304" };

    PQclear(rows->memory);

    last = move_postgres_closed(store)
           ? move_postgres_last(store)
           : move_postgres_get(store, "SELECT coalesce(max(d), 0)"
                                      " FROM lyftr.slot");

    (void) snprintf(a, sizeof(a), "%lld", (long long) after);
    (void) snprintf(b, sizeof(b), "%lld", (long long) last);

    res = move_postgres_result(store,
                               PQexecParams(p->pg, move_postgres_read_sql, 4,
                                            NULL, values, NULL, NULL, 1));
    rows->memory = res;
    rows->n = PQntuples(res);

    for (i = 0; i < rows->n; i++) {
        move_postgres_row(res, i, &rows->rows[i]);
    }
}


static void
move_postgres_row(PGresult *res, int n, move_row_t *row)
{
    int         i;
    ngx_str_t  *s;

    row->seq = (int64_t) ngx_lyftr_postgres_get((u_char *)
                                                PQgetvalue(res, n, 0), 8);

    for (i = 0; i < MOVE_COLUMNS; i++) {
        s = &row->column[i];
        s->data = PQgetisnull(res, n, i + 1)
                  ? NULL : (u_char *) PQgetvalue(res, n, i + 1);
        s->len = PQgetlength(res, n, i + 1);
    }

    /* its first byte tells if it is one */

    s = &row->column[MOVE_INSTANT];

    if (s->data[0] == 0) {
        ngx_str_null(s);

    } else {
        s->data++;
        s->len--;
    }

    row->changed = 0;
}


/* a transaction: the ticket, the rows, and how far they are durable with it */

static void
move_postgres_write(move_store_t *store, move_rows_t *rows)
{
    int               i;
    char              a[24], b[24];
    int64_t           last;
    PGresult         *res;
    move_postgres_t  *p = store->data;

    if (p->ticket == -1) {
        p->ticket = move_postgres_last(store);
    }

    last = rows->rows[rows->n - 1].seq;

    (void) snprintf(a, sizeof(a), "%lld", (long long) p->ticket);
    (void) snprintf(b, sizeof(b), "%lld", (long long) last);

    move_postgres_exec(store, "BEGIN");

    res = move_postgres_query(store, "UPDATE lyftr.ticket SET n = $2::bigint"
                              " WHERE n = $1::bigint RETURNING n", a, b, NULL);

    if (PQntuples(res) != 1) {
        move_fail("%s: somebody else writes to it", store->name);
    }

    PQclear(res);

    res = move_postgres_result(store, PQexec(p->pg, move_postgres_copy_sql));
    PQclear(res);

    p->buf.len = 0;
    move_postgres_add(p, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);

    for (i = 0; i < rows->n; i++) {
        move_postgres_copy(store, &rows->rows[i]);
    }

    move_postgres_add(p, "\377\377", 2);
    move_postgres_end(store, rows);

    move_postgres_exec(store, "INSERT INTO lyftr.slot (id, host, d)"
                       " VALUES (" MOVE_SLOT ", 'move', $1::bigint)"
                       " ON CONFLICT (id) DO UPDATE SET d = excluded.d,"
                       " seen = now()", b, NULL);
    move_postgres_exec(store, "COMMIT");

    p->ticket = last;
}


static void
move_postgres_copy(move_store_t *store, move_row_t *row)
{
    int               i;
    u_char            n[2], none[1 + MOVE_NONE], h[EVP_MAX_MD_SIZE];
    ngx_str_t         instant;
    move_postgres_t  *p = store->data;

    (void) ngx_lyftr_postgres_put(n, MOVE_POSTGRES, sizeof(n));
    move_postgres_add(p, n, sizeof(n));

    move_postgres_hash(&row->column[MOVE_ID], h);

    move_postgres_int(p, row->seq);
    move_postgres_bytes(p, h, 16);
    move_postgres_created(store, row);

    /* before all that are instants stand those that are none */

    instant = row->column[MOVE_INSTANT];
    none[0] = instant.data != NULL;

    if (instant.data == NULL) {
        instant = row->column[MOVE_TS];
        instant.len = ngx_min(instant.len, MOVE_NONE);
    }

    memcpy(none + 1, instant.data, instant.len);
    move_postgres_bytes(p, none, 1 + instant.len);

    move_postgres_halves(p, &row->column[MOVE_ID]);
    move_postgres_halves(p, &row->column[MOVE_FROM]);
    move_postgres_element(p, &row->column[MOVE_TO]);
    move_postgres_element(p, &row->column[MOVE_TS]);

    for (i = MOVE_TEXT; i < MOVE_COLUMNS; i++) {
        move_postgres_element(p, &row->column[i]);
    }

    if (p->buf.len >= MOVE_BYTES / 16) {
        move_postgres_put(store);
    }
}


/* microseconds since 2000; our form has a digit in each place */

static void
move_postgres_created(move_store_t *store, move_row_t *row)
{
    int               year, month, day, hour, min, sec, msec, era;
    int64_t           days, usec;
    ngx_str_t        *created;
    move_postgres_t  *p = store->data;

    created = &row->column[MOVE_CREATED];

    if (created->data == NULL) {
        move_postgres_element(p, created);
        return;
    }

    if (created->len != MOVE_TIME
        || sscanf((char *) created->data, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ",
                  &year, &month, &day, &hour, &min, &sec, &msec) != 7)
    {
        move_fail("row %lld: a time of arrival that is none",
                  (long long) row->seq);
    }

    /* days of a year that begins in March, as leap days are its last ones */

    year -= (month <= 2);
    month += month <= 2 ? 9 : -3;
    era = year / 400;
    year -= era * 400;

    days = (int64_t) era * 146097 + year * 365 + year / 4 - year / 100
           + (153 * month + 2) / 5 + day - 1 - 719468;

    usec = ((days * 24 + hour) * 60 + min) * 60 + sec - MOVE_EPOCH;

    move_postgres_int(p, (usec * 1000 + msec) * 1000);
}


static int64_t
move_postgres_place(move_store_t *store, move_row_t *row)
{
    int               i;
    char              hex[33];
    int64_t           seq;
    PGresult         *res;
    u_char            h[EVP_MAX_MD_SIZE];

    move_postgres_hash(&row->column[MOVE_ID], h);

    for (i = 0; i < 16; i++) {
        (void) snprintf(hex + 2 * i, 3, "%02x", h[i]);
    }

    res = move_postgres_query(store, "SELECT seq FROM lyftr.message"
                              " WHERE h = $1::uuid", hex, NULL);

    seq = PQntuples(res) ? strtoll(PQgetvalue(res, 0, 0), NULL, 10) : 0;

    PQclear(res);

    return seq;
}


/* those who may not write try again by themselves */

static void
move_postgres_hold(move_store_t *store)
{
    (void) store;
}


/* a row is known by the first half of this */

static void
move_postgres_hash(ngx_str_t *id, u_char *h)
{
    if (EVP_Digest(id->data, id->len, h, NULL, EVP_sha256(), NULL) != 1) {
        move_fail("no memory");
    }
}


/* what an index has of it, and the rest */

static void
move_postgres_halves(move_postgres_t *p, ngx_str_t *s)
{
    size_t  cut;

    cut = ngx_lyftr_postgres_cut(s);

    move_postgres_bytes(p, s->data, cut);
    move_postgres_bytes(p, s->data + cut, s->len - cut);
}


static void
move_postgres_int(move_postgres_t *p, int64_t n)
{
    u_char  data[8];

    (void) ngx_lyftr_postgres_put(data, (uint64_t) n, sizeof(data));

    move_postgres_bytes(p, data, sizeof(data));
}


static void
move_postgres_bytes(move_postgres_t *p, void *data, size_t len)
{
    ngx_str_t  s;

    s.data = data;
    s.len = len;

    move_postgres_element(p, &s);
}


/* a value of a COPY is as an element of an array */

static void
move_postgres_element(move_postgres_t *p, ngx_str_t *s)
{
    if (ngx_lyftr_postgres_element(&p->buf, s) != NGX_OK) {
        move_fail("no memory");
    }
}


static void
move_postgres_add(move_postgres_t *p, const void *data, size_t len)
{
    if (ngx_lyftr_postgres_add(&p->buf, data, len) != NGX_OK) {
        move_fail("no memory");
    }
}


static void
move_postgres_put(move_store_t *store)
{
    move_postgres_t  *p = store->data;

    if (PQputCopyData(p->pg, (char *) p->buf.data, p->buf.len) != 1) {
        move_fail("%s: %s", store->name, PQerrorMessage(p->pg));
    }

    p->buf.len = 0;
}


/* of a COPY; a text that another program has left may be none */

static void
move_postgres_end(move_store_t *store, move_rows_t *rows)
{
    PGresult         *res;
    move_postgres_t  *p = store->data;

    move_postgres_put(store);

    if (PQputCopyEnd(p->pg, NULL) != 1) {
        move_fail("%s: %s", store->name, PQerrorMessage(p->pg));
    }

    while ((res = PQgetResult(p->pg)) != NULL) {

        if (PQresultStatus(res) == PGRES_FATAL_ERROR) {
            move_fail("%s: one of the rows %lld to %lld: %s", store->name,
                      (long long) rows->rows[0].seq,
                      (long long) rows->rows[rows->n - 1].seq,
                      PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY)
                      ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY)
                      : PQerrorMessage(p->pg));
        }

        PQclear(move_postgres_result(store, res));
    }
}


/* its arguments, the last one is NULL */

static PGresult *
move_postgres_query(move_store_t *store, const char *sql, ...)
{
    int               n;
    va_list           args;
    const char       *values[4];
    move_postgres_t  *p = store->data;

    n = 0;

    if (strchr(sql, '$')) {
        va_start(args, sql);

        while (n < 4 && (values[n] = va_arg(args, const char *)) != NULL) {
            n++;
        }

        va_end(args);
    }

    return move_postgres_result(store, PQexecParams(p->pg, sql, n, NULL,
                                                    values, NULL, NULL, 0));
}


static void
move_postgres_exec(move_store_t *store, const char *sql, ...)
{
    va_list      args;
    const char  *value;

    value = NULL;

    if (strchr(sql, '$')) {
        va_start(args, sql);
        value = va_arg(args, const char *);
        va_end(args);
    }

    PQclear(move_postgres_query(store, sql, value, NULL));
}


static int64_t
move_postgres_get(move_store_t *store, const char *sql)
{
    int64_t    n;
    PGresult  *res;

    res = move_postgres_query(store, sql);
    n = PQntuples(res) ? strtoll(PQgetvalue(res, 0, 0), NULL, 10) : 0;

    PQclear(res);

    return n;
}


/* a text of the server has no values of ours: these are in its details */

static PGresult *
move_postgres_result(move_store_t *store, PGresult *res)
{
    const char       *text;
    move_postgres_t  *p = store->data;

    switch (PQresultStatus(res)) {

    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_COPY_IN:

        if (p->warning) {
            move_fail("%s: %s", store->name, p->warning);
        }

        return res;

    default:
        text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

        move_fail("%s: %s", store->name,
                  text ? text : PQerrorMessage(p->pg));
    }
}

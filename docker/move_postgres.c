/*
 * A store in PostgreSQL, for move.  Whoever adds rows takes their places from
 * the ticket, and says in a slot which batch they were; so what closes the
 * store is a constraint that no slot of theirs meets.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <openssl/evp.h>

#include "move.h"


#define MOVE_VERSION        1

/* our slot, which no host has */
#define MOVE_SLOT           "0"

/* characters of an id, or of a sender, that the indexes have */
#define MOVE_BEGINNING      225

/* bytes of a ts that is none, which they have, too */
#define MOVE_NONE           512

/* seconds from 1970 to 2000, which times are counted from */
#define MOVE_EPOCH          946684800

#define MOVE_COLUMNS        13

/* what a column of a COPY has at most */
#define MOVE_NULL           0xffffffff


typedef struct {
    PGconn        *pg;
    char          *warning;                /* of the last statements */
    int64_t        ticket;                 /* as we left it; -1: not yet */
    char          *buf;
    size_t         len;
    size_t         size;
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
static void move_postgres_write(move_store_t *store, const move_rows_t *rows);
static void move_postgres_copy(move_store_t *store, const move_row_t *row);
static void move_postgres_created(move_store_t *store, const move_row_t *row);
static int64_t move_postgres_place(move_store_t *store, const move_row_t *row);
static void move_postgres_hold(move_store_t *store);

static void move_postgres_hash(const move_str_t *id, unsigned char *h);
static size_t move_postgres_cut(const move_str_t *s);
static void move_postgres_field(move_postgres_t *p, const void *data,
    size_t len);
static void move_postgres_string(move_postgres_t *p, const move_str_t *s);
static void move_postgres_add(move_postgres_t *p, const void *data,
    size_t len);
static void move_postgres_end(move_store_t *store, const move_rows_t *rows);

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
    int            i;
    move_str_t    *s[9];
    unsigned char *seq;

    s[0] = &row->instant;
    s[1] = &row->id;
    s[2] = &row->from;
    s[3] = &row->to;
    s[4] = &row->ts;
    s[5] = &row->created;
    s[6] = &row->text;
    s[7] = &row->type;
    s[8] = &row->raw;

    seq = (unsigned char *) PQgetvalue(res, n, 0);
    row->seq = 0;

    for (i = 0; i < 8; i++) {
        row->seq = row->seq << 8 | seq[i];
    }

    for (i = 0; i < 9; i++) {
        s[i]->data = PQgetisnull(res, n, i + 1) ? NULL
                                                : PQgetvalue(res, n, i + 1);
        s[i]->len = PQgetlength(res, n, i + 1);
    }

    /* its first byte tells if it is one */

    if (row->instant.data[0] == 0) {
        row->instant.data = NULL;
        row->instant.len = 0;

    } else {
        row->instant.data++;
        row->instant.len--;
    }

    row->changed = 0;
}


/* a transaction: the ticket, the rows, and how far they are durable with it */

static void
move_postgres_write(move_store_t *store, const move_rows_t *rows)
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

    p->len = 0;
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
move_postgres_copy(move_store_t *store, const move_row_t *row)
{
    char              none[MOVE_NONE + 1];
    size_t            id, from, len;
    uint16_t          n;
    uint32_t          seq[2];
    unsigned char     h[EVP_MAX_MD_SIZE];
    move_postgres_t  *p = store->data;

    n = htons(MOVE_COLUMNS);
    move_postgres_add(p, &n, sizeof(n));

    seq[0] = htonl((uint32_t) (row->seq >> 32));
    seq[1] = htonl((uint32_t) row->seq);

    move_postgres_hash(&row->id, h);

    move_postgres_field(p, seq, sizeof(seq));
    move_postgres_field(p, h, 16);
    move_postgres_created(store, row);

    /* before all that are instants stand those that are none */

    if (row->instant.data) {
        none[0] = 1;
        len = row->instant.len;
        memcpy(none + 1, row->instant.data, len);

    } else {
        none[0] = 0;
        len = row->ts.len < MOVE_NONE ? row->ts.len : MOVE_NONE;
        memcpy(none + 1, row->ts.data, len);
    }

    move_postgres_field(p, none, len + 1);

    id = move_postgres_cut(&row->id);
    from = move_postgres_cut(&row->from);

    move_postgres_field(p, row->id.data, id);
    move_postgres_field(p, row->id.data + id, row->id.len - id);
    move_postgres_field(p, row->from.data, from);
    move_postgres_field(p, row->from.data + from, row->from.len - from);
    move_postgres_string(p, &row->to);
    move_postgres_string(p, &row->ts);
    move_postgres_string(p, &row->text);
    move_postgres_string(p, &row->type);
    move_postgres_string(p, &row->raw);

    if (p->len >= MOVE_BYTES / 16
        && PQputCopyData(p->pg, p->buf, p->len) != 1)
    {
        move_fail("%s: %s", store->name, PQerrorMessage(p->pg));
    }

    if (p->len >= MOVE_BYTES / 16) {
        p->len = 0;
    }
}


/* microseconds since 2000; our form has a digit in each place */

static void
move_postgres_created(move_store_t *store, const move_row_t *row)
{
    int               year, month, day, hour, min, sec, msec, era;
    int64_t           days, usec;
    uint32_t          n[2];
    move_postgres_t  *p = store->data;

    if (row->created.data == NULL) {
        move_postgres_string(p, &row->created);
        return;
    }

    if (row->created.len != MOVE_TIME
        || sscanf(row->created.data, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &year,
                  &month, &day, &hour, &min, &sec, &msec) != 7)
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
    usec = (usec * 1000 + msec) * 1000;

    n[0] = htonl((uint32_t) (usec >> 32));
    n[1] = htonl((uint32_t) usec);

    move_postgres_field(p, n, sizeof(n));
}


static int64_t
move_postgres_place(move_store_t *store, const move_row_t *row)
{
    int               i;
    char              hex[33];
    int64_t           seq;
    PGresult         *res;
    unsigned char     h[EVP_MAX_MD_SIZE];

    move_postgres_hash(&row->id, h);

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
move_postgres_hash(const move_str_t *id, unsigned char *h)
{
    if (EVP_Digest(id->data, id->len, h, NULL, EVP_sha256(), NULL) != 1) {
        move_fail("no memory");
    }
}


/* bytes of the first characters */

static size_t
move_postgres_cut(const move_str_t *s)
{
    int     n;
    size_t  i;

    n = 0;

    for (i = 0; i < s->len; i++) {
        if (((unsigned char) s->data[i] & 0xc0) != 0x80
            && ++n > MOVE_BEGINNING)
        {
            break;
        }
    }

    return i;
}


static void
move_postgres_string(move_postgres_t *p, const move_str_t *s)
{
    uint32_t  null;

    if (s->data) {
        move_postgres_field(p, s->data, s->len);
        return;
    }

    null = MOVE_NULL;
    move_postgres_add(p, &null, sizeof(null));
}


static void
move_postgres_field(move_postgres_t *p, const void *data, size_t len)
{
    uint32_t  n;

    n = htonl((uint32_t) len);

    move_postgres_add(p, &n, sizeof(n));
    move_postgres_add(p, data, len);
}


static void
move_postgres_add(move_postgres_t *p, const void *data, size_t len)
{
    if (p->len + len > p->size) {
        p->size = 2 * (p->len + len) + MOVE_BYTES / 8;
        p->buf = realloc(p->buf, p->size);

        if (p->buf == NULL) {
            move_fail("no memory");
        }
    }

    if (len) {
        memcpy(p->buf + p->len, data, len);
        p->len += len;
    }
}


/* of a COPY; a text that another program has left may be none */

static void
move_postgres_end(move_store_t *store, const move_rows_t *rows)
{
    PGresult         *res;
    move_postgres_t  *p = store->data;

    if (PQputCopyData(p->pg, p->buf, p->len) != 1
        || PQputCopyEnd(p->pg, NULL) != 1)
    {
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

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres.h>


/*
 * The statements.  All names are with their schema, so that no search_path
 * leads elsewhere, and all arguments have their type, since they are binary.
 *
 * Two trees of ranges count the log up to state.counted: 0 has its rows in the
 * order of time, 1 in that of senders.  A range begins with its key, and n of
 * the rows that are counted stand before the next one.
 */


/* a range that a key is in: of the time, and of a sender */

#define NGX_LYFTR_PG_RANGE(name, tree, s, i)                                  \
    name " AS (SELECT s, i, id FROM lyftr.range"                              \
    " WHERE tree = " tree " AND (s, i, id) <= (" s ", " i ", '')"             \
    " ORDER BY s DESC, i DESC, id DESC LIMIT 1)"

/* the rows before such a range, as they were counted */

#define NGX_LYFTR_PG_BEFORE(name, tree)                                       \
    "(SELECT coalesce(sum(n), 0) FROM lyftr.range WHERE tree = " tree         \
    " AND (s, i, id) < ((SELECT s FROM " name "), (SELECT i FROM " name "),"  \
    " (SELECT id FROM " name ")))"

/*
 * And of these behind it, those before the key.  Of a row of columns the
 * planner knows nothing; two bounds of one column tell it that they are few,
 * and it reads an index rather than all rows.
 */

#define NGX_LYFTR_PG_WITHIN_TIME(name, i)                                     \
    "(SELECT count(*) FROM lyftr.message WHERE seq <= $3::bigint"             \
    " AND (instant, id) >= ((SELECT i FROM " name "),"                        \
    " (SELECT id FROM " name "))"                                             \
    " AND instant >= (SELECT i FROM " name ") AND instant < " i ")"

#define NGX_LYFTR_PG_WITHIN_SENDER(name, i)                                   \
    "(SELECT count(*) FROM lyftr.message WHERE seq <= $3::bigint"             \
    " AND (sender, instant, id) >= ((SELECT s FROM " name "),"                \
    " (SELECT i FROM " name "), (SELECT id FROM " name "))"                   \
    " AND (sender, instant) < ($4::text, " i ")"                              \
    " AND sender >= (SELECT s FROM " name ") AND sender <= $4::text)"

#define NGX_LYFTR_PG_RANKS(tree, s, within, low, high)                        \
    "WITH " NGX_LYFTR_PG_RANGE("a", tree, s, "$1::bytea") ", "                \
    NGX_LYFTR_PG_RANGE("b", tree, s, "$2::bytea") ","                         \
    " t AS (SELECT count(*) FILTER (WHERE " low ") AS a,"                     \
    " count(*) FILTER (WHERE " high ") AS b"                                  \
    " FROM lyftr.message WHERE seq > $3::bigint)"                             \
    " SELECT (" NGX_LYFTR_PG_BEFORE("a", tree) " + " within("a", "$1::bytea") \
    " + t.a)::bigint,"                                                        \
    " (" NGX_LYFTR_PG_BEFORE("b", tree) " + " within("b", "$2::bytea")        \
    " + t.b)::bigint FROM t"

/* the range that the row of a rank is in, its rank, and the next range */

#define NGX_LYFTR_PG_PLACE(tree, sender)                                      \
    "WITH x AS (SELECT s, i, id, n::bigint AS n, 1 AS k FROM lyftr.range"     \
    " WHERE tree = " tree " UNION ALL"                                        \
    " SELECT " sender ", instant, id, 1, 0 FROM lyftr.message"                \
    " WHERE seq > $1::bigint),"                                               \
    " y AS (SELECT s, i, id, k, sum(n) OVER (ORDER BY s, i, id, k DESC"       \
    " ROWS UNBOUNDED PRECEDING) - n AS rank FROM x),"                         \
    " z AS (SELECT s, i, id, rank, lead(s) OVER w AS ns,"                     \
    " lead(i) OVER w AS ni, lead(id) OVER w AS nid, lead(rank) OVER w AS nr"  \
    " FROM y WHERE k = 1 WINDOW w AS (ORDER BY s, i, id))"                    \
    " SELECT s, i, id, rank::bigint, ns, ni, nid, nr::bigint FROM z"          \
    " WHERE rank <= $2::bigint"                                               \
    " ORDER BY rank DESC, s DESC, i DESC, id DESC LIMIT 1"

#define NGX_LYFTR_PG_EXTRA(arg)                                               \
    ", CASE WHEN " arg "::bigint <> 0 THEN m.type END,"                       \
    " CASE WHEN " arg "::bigint <> 0 THEN m.raw END"

/* a page: key, the other bound, offset, limit; is the rest wanted, a sender */

#define NGX_LYFTR_PG_PAGE(op, bound, desc, sender)                            \
    "SELECT" NGX_LYFTR_POSTGRES_COLUMNS NGX_LYFTR_PG_EXTRA("$7")              \
    " FROM lyftr.message m WHERE (m.instant, m.id, m.id_rest) " op            \
    " ($1::bytea, $2::text, $3::text) AND m.instant " bound " $4::bytea"      \
    sender                                                                    \
    " ORDER BY m.instant" desc ", m.id" desc ", m.id_rest" desc               \
    " OFFSET $5::bigint LIMIT $6::bigint"

#define NGX_LYFTR_PG_OF_SENDER                                                \
    " AND m.sender = $8::text AND m.sender_rest = $9::text"

/* texts that we compare ourselves, after a place */

#define NGX_LYFTR_PG_TEXTS(sender)                                            \
    "DECLARE lyftr_texts NO SCROLL CURSOR FOR SELECT m.seq, m.body"           \
    " FROM lyftr.message m WHERE m.seq > $1::bigint"                          \
    " AND m.instant >= $2::bytea AND m.instant < $3::bytea"                   \
    " AND m.body IS NOT NULL" sender

/*
 * Rows that we have found, and those that the index finds: as many as match,
 * and those of a page.
 */

#define NGX_LYFTR_PG_MATCHES(op, desc)                                        \
    "WITH f AS (SELECT unnest($1::bigint[]) AS seq UNION ALL"                 \
    " SELECT t.seq FROM lyftr.search t"                                       \
    " WHERE t.seq <= $2::bigint AND t.fold LIKE $3::text),"                   \
    " g AS MATERIALIZED (SELECT m.seq, m.instant, m.id, m.id_rest"            \
    " FROM f JOIN lyftr.message m ON m.seq = f.seq"                           \
    " WHERE m.instant >= $4::bytea AND m.instant < $5::bytea"                 \
    " AND ($6::text IS NULL"                                                  \
    " OR (m.sender = $6::text AND m.sender_rest = $7::text))),"               \
    " p AS (SELECT seq FROM g WHERE (instant, id, id_rest) " op               \
    " ($8::bytea, $9::text, $10::text)"                                       \
    " ORDER BY instant" desc ", id" desc ", id_rest" desc                     \
    " OFFSET $11::bigint LIMIT $12::bigint)"                                  \
    " SELECT (SELECT count(*) FROM g), p.seq"                                 \
    " FROM (SELECT 1) one LEFT JOIN p ON true"

/* a sender's key: an index holds no text of any length */

#define NGX_LYFTR_PG_SENDER_HASH                                              \
    "left(encode(sha256(convert_to(m.sender || m.sender_rest, 'UTF8')),"      \
    " 'hex'), 32)::uuid"

/* adds rows that are not counted yet, and gives the ranges that are too long */

#define NGX_LYFTR_PG_COUNT(tree, s)                                           \
    "WITH x AS (SELECT l.s, l.i, l.id, count(*)::int AS n"                    \
    " FROM lyftr.message m CROSS JOIN LATERAL (SELECT s, i, id"               \
    " FROM lyftr.range WHERE tree = " tree                                    \
    " AND (s, i, id) <= (" s ", m.instant, m.id)"                             \
    " ORDER BY s DESC, i DESC, id DESC LIMIT 1) l"                            \
    " WHERE m.seq > $1::bigint AND m.seq <= $2::bigint GROUP BY 1, 2, 3),"    \
    " u AS (UPDATE lyftr.range r SET n = r.n + x.n FROM x"                    \
    " WHERE r.tree = " tree " AND r.s = x.s AND r.i = x.i AND r.id = x.id"    \
    " RETURNING r.s, r.i, r.id, r.n)"                                         \
    " SELECT s, i, id FROM u WHERE n > $3::bigint"

/*
 * The same for many rows, or, with a minus, takes those away that leave: they
 * are sorted among the ranges, where each belongs to the last one before it.
 */

#define NGX_LYFTR_PG_COUNT_MANY(tree, s, sign)                                \
    "WITH k AS (SELECT s, i, id, 1 AS r FROM lyftr.range"                     \
    " WHERE tree = " tree " UNION ALL"                                        \
    " SELECT " s ", instant, id, 0 FROM lyftr.message"                        \
    " WHERE seq > $1::bigint AND seq <= $2::bigint),"                         \
    " g AS (SELECT s, i, id, r, sum(r) OVER (ORDER BY s, i, id, r DESC"       \
    " ROWS UNBOUNDED PRECEDING) AS g FROM k),"                                \
    " x AS (SELECT (array_agg(s) FILTER (WHERE r = 1))[1] AS s,"              \
    " (array_agg(i) FILTER (WHERE r = 1))[1] AS i,"                           \
    " (array_agg(id) FILTER (WHERE r = 1))[1] AS id,"                         \
    " (count(*) - 1)::int AS n FROM g GROUP BY g HAVING count(*) > 1),"       \
    " u AS (UPDATE lyftr.range r SET n = r.n " sign " x.n FROM x"             \
    " WHERE r.tree = " tree " AND r.s = x.s AND r.i = x.i AND r.id = x.id"    \
    " RETURNING r.s, r.i, r.id, r.n)"                                         \
    " SELECT s, i, id FROM u WHERE n > $3::bigint"

/*
 * Ranges of $5 rows take the place of one.  Rows whose keys are the same are
 * never parted, so a range of theirs may be long.
 */

#define NGX_LYFTR_PG_SPLIT(tree, s, from, to)                                 \
    "WITH e AS (SELECT s, i, id FROM lyftr.range WHERE tree = " tree          \
    " AND (s, i, id) > ($1::text, $2::bytea, $3::text)"                       \
    " ORDER BY s, i, id LIMIT 1),"                                            \
    " k AS (SELECT " s " AS s, m.instant AS i, m.id, count(*) AS c"           \
    " FROM lyftr.message m WHERE m.seq <= $4::bigint"                         \
    " AND " from " AND " to " GROUP BY 1, 2, 3),"                             \
    " g AS (SELECT s, i, id, c, (sum(c) OVER (ORDER BY s, i, id"              \
    " ROWS UNBOUNDED PRECEDING) - c)::bigint / $5::bigint AS p FROM k),"      \
    " h AS (SELECT DISTINCT ON (p) p, s, i, id,"                              \
    " (sum(c) OVER (PARTITION BY p))::int AS n FROM g ORDER BY p, s, i, id)"  \
    " INSERT INTO lyftr.range (tree, s, i, id, n) SELECT " tree ","           \
    " CASE WHEN p = 0 THEN $1::text ELSE s END,"                              \
    " CASE WHEN p = 0 THEN $2::bytea ELSE i END,"                             \
    " CASE WHEN p = 0 THEN $3::text ELSE id END, n FROM h"                    \
    " ON CONFLICT (tree, s, i, id) DO UPDATE SET n = excluded.n"

/* milliseconds of the server's clock */

#define NGX_LYFTR_PG_MSEC(t)                                                  \
    "(extract(epoch FROM " t ") * 1000)::bigint"

/* what a row takes, and its entries in the indexes, about */

#define NGX_LYFTR_PG_BYTES                                                    \
    "(160 + pg_column_size(m.rcpt) + pg_column_size(m.ts)"                    \
    " + 3 * (pg_column_size(m.id) + pg_column_size(m.instant))"               \
    " + 2 * pg_column_size(m.sender) + pg_column_size(m.id_rest)"             \
    " + pg_column_size(m.sender_rest) + coalesce(pg_column_size(m.body), 0)"  \
    " + coalesce(pg_column_size(m.type), 0)"                                  \
    " + coalesce(pg_column_size(m.raw), 0))"

/* greater than all that begin with a character */

#define NGX_LYFTR_PG_MOST                                                     \
    "coalesce((SELECT s FROM e), repeat(chr(1114111), 300))"


const char  *ngx_lyftr_postgres_sql[] = {

    /* NGX_LYFTR_PG_BEGIN */
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",

    /* NGX_LYFTR_PG_BEGIN_READ */
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",

    /* NGX_LYFTR_PG_COMMIT */
    "COMMIT",

    /* NGX_LYFTR_PG_ROLLBACK */
    "ROLLBACK",

    /* NGX_LYFTR_PG_LIMITS */
    "SELECT set_config('synchronous_commit', 'off', true),"
    " set_config('lock_timeout', $1::text, true)",

    /* NGX_LYFTR_PG_LIMIT_READ */
    "SELECT set_config('statement_timeout', $1::text, true)",

    /* NGX_LYFTR_PG_STATE */
    "SELECT store, (SELECT n FROM lyftr.ticket),"
    " (SELECT coalesce(max(d), 0) FROM lyftr.slot),"
    " counted, rows, senders, searched, floor, left_rows, left_bytes"
    " FROM lyftr.state WHERE id = 1",

    /* NGX_LYFTR_PG_INSERT */
    "WITH t AS (UPDATE lyftr.ticket SET n = n + $1::bigint"
    " WHERE n >= $15::bigint RETURNING n),"
    " s AS (UPDATE lyftr.slot SET batch = $3::bigint, k = $1::bigint,"
    " base = t.n - $1::bigint, seen = now() FROM t"
    " WHERE slot.id = $2::bigint AND slot.batch = $3::bigint - 1"
    " RETURNING slot.base)"
    " INSERT INTO lyftr.message (seq, h, id, id_rest, sender, sender_rest,"
    " rcpt, ts, body, type, raw, instant)"
    " SELECT s.base + u.o, u.h, u.id, u.id_rest, u.sender, u.sender_rest,"
    " u.rcpt, u.ts, u.body, u.type, u.raw, u.instant FROM s,"
    " unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[],"
    " $9::text[], $10::text[], $11::text[], $12::text[], $13::bytea[],"
    " $14::bytea[]) WITH ORDINALITY AS u(h, id, id_rest, sender, sender_rest,"
    " rcpt, ts, body, type, raw, instant, o)"
    " ON CONFLICT (h) DO NOTHING RETURNING seq",

    /* NGX_LYFTR_PG_BARRIER */
    "UPDATE lyftr.slot SET d = (SELECT n FROM lyftr.ticket)"
    " WHERE id = $1::bigint RETURNING batch, base, k, d,"
    " current_setting('fsync', true),"
    " current_setting('synchronous_standby_names', true),"
    " current_setting('synchronous_commit'),"
    " current_setting('client_min_messages')",

    /* NGX_LYFTR_PG_SLOT_ADD */
    "INSERT INTO lyftr.slot (id, host) VALUES ($1::bigint, $2::text)"
    " ON CONFLICT (id) DO NOTHING RETURNING id",

    /* NGX_LYFTR_PG_SLOT_FENCE */
    "UPDATE lyftr.slot SET batch = batch + 1, base = 0, k = 0, seen = now()"
    " WHERE id = $1::bigint AND (batch + 1) & $3::bigint = $2::bigint",

    /* NGX_LYFTR_PG_SLOT_READ */
    "SELECT batch, base, k FROM lyftr.slot WHERE id = $1::bigint",

    /* NGX_LYFTR_PG_STORED */
    "SELECT seq FROM lyftr.message"
    " WHERE seq > $1::bigint AND seq <= $1::bigint + $2::bigint",

    /* NGX_LYFTR_PG_ROW */
    "SELECT" NGX_LYFTR_POSTGRES_COLUMNS NGX_LYFTR_PG_EXTRA("$2")
    " FROM unnest($1::bigint[]) WITH ORDINALITY AS u(seq, o)"
    " JOIN lyftr.message m ON m.seq = u.seq ORDER BY u.o",

    /* NGX_LYFTR_PG_ROW_OF_ID */
    "SELECT" NGX_LYFTR_POSTGRES_COLUMNS NGX_LYFTR_PG_EXTRA("$2")
    " FROM lyftr.message m WHERE m.h = $1::uuid",

    /* NGX_LYFTR_PG_NEWEST */
    "SELECT" NGX_LYFTR_POSTGRES_COLUMNS
    " FROM lyftr.message m WHERE m.seq <= $1::bigint"
    " ORDER BY m.seq DESC LIMIT 1",

    /* NGX_LYFTR_PG_FOLLOW */
    "SELECT" NGX_LYFTR_POSTGRES_COLUMNS NGX_LYFTR_PG_EXTRA("$4")
    " FROM lyftr.message m WHERE m.seq > $1::bigint AND m.seq <= $2::bigint"
    " ORDER BY m.seq LIMIT $3::bigint",

    /* NGX_LYFTR_PG_COUNT_ALL */
    "SELECT count(*) FROM lyftr.message WHERE seq > $1::bigint",

    /* NGX_LYFTR_PG_COUNT_TIME */
    NGX_LYFTR_PG_RANKS("0", "''", NGX_LYFTR_PG_WITHIN_TIME,
                       "instant < $1::bytea", "instant < $2::bytea"),

    /* NGX_LYFTR_PG_COUNT_SENDER */
    NGX_LYFTR_PG_RANKS("1", "$4::text", NGX_LYFTR_PG_WITHIN_SENDER,
                       "(sender, instant) < ($4::text, $1::bytea)",
                       "(sender, instant) < ($4::text, $2::bytea)"),

    /* NGX_LYFTR_PG_COUNT_LONG */
    "SELECT 0::bigint, count(*) FROM lyftr.message"
    " WHERE sender = $3::text AND sender_rest = $4::text"
    " AND instant >= $1::bytea AND instant < $2::bytea",

    /* NGX_LYFTR_PG_PLACE_TIME */
    NGX_LYFTR_PG_PLACE("0", "''::text"),

    /* NGX_LYFTR_PG_PLACE_SENDER */
    NGX_LYFTR_PG_PLACE("1", "sender"),

    /* NGX_LYFTR_PG_PAGE_TIME */
    NGX_LYFTR_PG_PAGE(">", "<", "", ""),

    /* NGX_LYFTR_PG_PAGE_TIME_FROM */
    NGX_LYFTR_PG_PAGE(">=", "<", "", ""),

    /* NGX_LYFTR_PG_PAGE_TIME_DESC */
    NGX_LYFTR_PG_PAGE("<", ">=", " DESC", ""),

    /* NGX_LYFTR_PG_PAGE_SENDER */
    NGX_LYFTR_PG_PAGE(">", "<", "", NGX_LYFTR_PG_OF_SENDER),

    /* NGX_LYFTR_PG_PAGE_SENDER_FROM */
    NGX_LYFTR_PG_PAGE(">=", "<", "", NGX_LYFTR_PG_OF_SENDER),

    /* NGX_LYFTR_PG_PAGE_SENDER_DESC */
    NGX_LYFTR_PG_PAGE("<", ">=", " DESC", NGX_LYFTR_PG_OF_SENDER),

    /* NGX_LYFTR_PG_TEXTS_TIME */
    NGX_LYFTR_PG_TEXTS(""),

    /* NGX_LYFTR_PG_TEXTS_SENDER */
    NGX_LYFTR_PG_TEXTS(" AND m.sender = $4::text AND m.sender_rest = $5::text"),

    /* NGX_LYFTR_PG_TEXTS_NEXT */
    "FETCH 1000 FROM lyftr_texts",

    /* NGX_LYFTR_PG_TEXTS_CLOSE */
    "CLOSE lyftr_texts",

    /* NGX_LYFTR_PG_FOUND */
    NGX_LYFTR_PG_MATCHES(">", ""),

    /* NGX_LYFTR_PG_FOUND_DESC */
    NGX_LYFTR_PG_MATCHES("<", " DESC"),

    /* NGX_LYFTR_PG_STATS */
    "WITH t AS MATERIALIZED (SELECT m.sender, m.sender_rest, count(*) AS c"
    " FROM lyftr.message m WHERE m.seq > $1::bigint GROUP BY 1, 2),"
    " x AS MATERIALIZED (SELECT m.sender, m.sender_rest, m.c, r.n, r.h"
    " FROM t m LEFT JOIN lyftr.sender r ON r.h = " NGX_LYFTR_PG_SENDER_HASH
    "), y AS (SELECT sender, sender_rest, c + coalesce(n, 0) AS n FROM x"
    " UNION ALL (SELECT sender, sender_rest, n FROM lyftr.sender"
    " WHERE h <> ALL (ARRAY(SELECT h FROM x WHERE h IS NOT NULL))"
    " ORDER BY n DESC, sender, sender_rest LIMIT 10))"
    " SELECT y.sender || y.sender_rest, y.n,"
    " (SELECT coalesce(sum(c), 0)::bigint FROM x),"
    " (SELECT count(*) FROM x WHERE n IS NULL) FROM y"
    " ORDER BY y.n DESC, y.sender, y.sender_rest LIMIT 10",

    /* NGX_LYFTR_PG_ENDS */
    "SELECT (SELECT ts FROM lyftr.message WHERE instant >= '\\x01'"
    " ORDER BY instant, id, id_rest LIMIT 1),"
    " (SELECT ts FROM lyftr.message WHERE instant >= '\\x01'"
    " ORDER BY instant DESC, id DESC, id_rest DESC LIMIT 1)",

    /* NGX_LYFTR_PG_PROBE */
    "SELECT store, (SELECT n FROM lyftr.ticket),"
    " current_setting('transaction_read_only') FROM lyftr.state WHERE id = 1",

    /* NGX_LYFTR_PG_JOB_LOCK */
    "SELECT 1::bigint FROM lyftr.state WHERE id = 1 FOR UPDATE SKIP LOCKED",

    /* NGX_LYFTR_PG_JOB_TIME */
    NGX_LYFTR_PG_COUNT("0", "''"),

    /* NGX_LYFTR_PG_JOB_SENDER */
    NGX_LYFTR_PG_COUNT("1", "m.sender"),

    /* NGX_LYFTR_PG_JOB_TIME_MANY */
    NGX_LYFTR_PG_COUNT_MANY("0", "''::text", "+"),

    /* NGX_LYFTR_PG_JOB_SENDER_MANY */
    NGX_LYFTR_PG_COUNT_MANY("1", "sender", "+"),

    /* NGX_LYFTR_PG_JOB_SENDERS */
    "WITH m AS MATERIALIZED (SELECT sender, sender_rest, count(*) AS n"
    " FROM lyftr.message WHERE seq > $1::bigint AND seq <= $2::bigint"
    " GROUP BY 1, 2), g AS MATERIALIZED (SELECT " NGX_LYFTR_PG_SENDER_HASH
    " AS h, m.sender, m.sender_rest, m.n FROM m),"
    " u AS (INSERT INTO lyftr.sender AS s (h, sender, sender_rest, n)"
    " SELECT h, sender, sender_rest, n FROM g ORDER BY h"
    " ON CONFLICT (h) DO UPDATE SET n = s.n + excluded.n)"
    " SELECT coalesce(sum(g.n), 0)::bigint, count(*) FILTER (WHERE s.h IS NULL)"
    " FROM g LEFT JOIN lyftr.sender s ON s.h = g.h",

    /* NGX_LYFTR_PG_JOB_COUNTED */
    "UPDATE lyftr.state SET counted = $1::bigint, rows = rows + $2::bigint,"
    " senders = senders + $3::bigint WHERE id = 1",

    /* NGX_LYFTR_PG_JOB_SPLIT_TIME */
    NGX_LYFTR_PG_SPLIT("0", "''::text COLLATE \"C\"",
                       "(m.instant, m.id) >= ($2::bytea, $3::text)",
                       "(m.instant, m.id) <"
                       " (coalesce((SELECT i FROM e), '\\xff'),"
                       " coalesce((SELECT id FROM e), ''))"),

    /* NGX_LYFTR_PG_JOB_SPLIT_SENDER */
    NGX_LYFTR_PG_SPLIT("1", "m.sender",
                       "(m.sender, m.instant, m.id)"
                       " >= ($1::text, $2::bytea, $3::text)",
                       "(m.sender, m.instant, m.id) < (" NGX_LYFTR_PG_MOST ","
                       " coalesce((SELECT i FROM e), '\\xff'),"
                       " coalesce((SELECT id FROM e), ''))"),

    /* NGX_LYFTR_PG_JOB_EXTENSION */
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",

    /* NGX_LYFTR_PG_JOB_INDEX */
    "CREATE INDEX IF NOT EXISTS search_fold ON lyftr.search"
    " USING gin (fold gin_trgm_ops)",

    /* NGX_LYFTR_PG_JOB_TEXTS */
    "SELECT seq, body FROM lyftr.message"
    " WHERE seq > $1::bigint AND seq <= $2::bigint ORDER BY seq"
    " LIMIT $3::bigint",

    /* NGX_LYFTR_PG_JOB_FOLD */
    "INSERT INTO lyftr.search (seq, fold)"
    " SELECT seq, fold FROM unnest($1::bigint[], $2::text[]) AS u(seq, fold)"
    " ON CONFLICT (seq) DO NOTHING",

    /* NGX_LYFTR_PG_JOB_FOLDED */
    "UPDATE lyftr.state SET searched = $1::bigint WHERE id = 1",

    /* NGX_LYFTR_PG_JOB_AGES */
    "WITH r AS MATERIALIZED (SELECT seq, created_at AS t FROM lyftr.message"
    " WHERE seq > $1::bigint AND seq <= $2::bigint ORDER BY seq"
    " LIMIT $3::bigint),"
    " y AS (SELECT seq, t FROM r WHERE t <= now()"
    " AND t >= now() - $4::bigint::float8 * interval '1 millisecond'"
    " ORDER BY seq LIMIT 1),"
    " k AS (SELECT * FROM r"
    " WHERE seq < coalesce((SELECT seq FROM y), $2::bigint + 1)),"
    " o AS (SELECT t FROM (SELECT seq, created_at AS t FROM lyftr.message"
    " WHERE seq > $5::bigint ORDER BY seq LIMIT $3::bigint) f"
    " WHERE t <= now() AND t > '-infinity' ORDER BY seq LIMIT 1)"
    " SELECT " NGX_LYFTR_PG_MSEC("now()") ","
    " coalesce((SELECT " NGX_LYFTR_PG_MSEC("t") " FROM o), 0),"
    " (SELECT count(*) FROM r),"
    " (SELECT coalesce(max(seq), 0) FROM k),"
    " (SELECT coalesce(max(seq), 0) FROM k WHERE t <= now()),"
    " coalesce((SELECT " NGX_LYFTR_PG_MSEC("t") " FROM y), 0)",

    /* NGX_LYFTR_PG_JOB_USED */
    "SELECT coalesce(avg(" NGX_LYFTR_PG_BYTES " + CASE WHEN $2::bigint <> 0"
    " THEN 3 * coalesce(pg_column_size(m.body), 0) ELSE 0 END), 0)::bigint"
    " FROM lyftr.message m TABLESAMPLE SYSTEM"
    " (least(100, 100 * $1::bigint * current_setting('block_size')::real"
    " / greatest(1, pg_relation_size('lyftr.message'))))",

    /* NGX_LYFTR_PG_JOB_PIECE */
    "SELECT count(*), coalesce(max(seq), 0) FROM (SELECT seq"
    " FROM lyftr.message WHERE seq > $1::bigint AND seq <= $2::bigint"
    " ORDER BY seq LIMIT $3::bigint) r",

    /* NGX_LYFTR_PG_JOB_TIME_LESS */
    NGX_LYFTR_PG_COUNT_MANY("0", "''::text", "-"),

    /* NGX_LYFTR_PG_JOB_SENDER_LESS */
    NGX_LYFTR_PG_COUNT_MANY("1", "sender", "-"),

    /* NGX_LYFTR_PG_JOB_SENDERS_LESS */
    "WITH m AS MATERIALIZED (SELECT sender, sender_rest, count(*) AS n"
    " FROM lyftr.message WHERE seq > $1::bigint AND seq <= $2::bigint"
    " GROUP BY 1, 2), g AS MATERIALIZED (SELECT " NGX_LYFTR_PG_SENDER_HASH
    " AS h, m.n FROM m),"
    " d AS (DELETE FROM lyftr.sender s USING g WHERE s.h = g.h"
    " AND s.n <= g.n RETURNING s.h),"
    " u AS (UPDATE lyftr.sender s SET n = s.n - g.n FROM g WHERE s.h = g.h"
    " AND s.n > g.n)"
    " SELECT count(*) FROM d",

    /* NGX_LYFTR_PG_JOB_TEXTS_LEAVE */
    "DELETE FROM lyftr.search WHERE seq > $1::bigint AND seq <= $2::bigint",

    /* NGX_LYFTR_PG_JOB_LEAVE */
    "WITH d AS (DELETE FROM lyftr.message m WHERE seq > $1::bigint"
    " AND seq <= $2::bigint RETURNING " NGX_LYFTR_PG_BYTES " AS n)"
    " SELECT count(*), coalesce(sum(n), 0)::bigint FROM d",

    /* NGX_LYFTR_PG_JOB_LEFT */
    "UPDATE lyftr.state SET floor = $1::bigint, rows = rows - $2::bigint,"
    " senders = senders - $3::bigint, left_rows = left_rows + $2::bigint,"
    " left_bytes = left_bytes + $4::bigint WHERE id = 1",

    /* NGX_LYFTR_PG_JOB_EMPTY */
    "DELETE FROM lyftr.range WHERE n = 0 AND (s, i, id) <> ('', '', '')",

    /* NGX_LYFTR_PG_JOB_SLOTS */
    "DELETE FROM lyftr.slot WHERE seen < now() - interval '7 days'"
    " AND d < (SELECT max(d) FROM lyftr.slot)",

    /* NGX_LYFTR_PG_SIZE */
    "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = 'lyftr' AND c.relkind = 'r'"
};

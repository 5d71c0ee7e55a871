#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_keep.h>

#include <time.h>


/*
 * Rows leave in the order of arrival, so the first one that is too young keeps
 * all after it, whatever these say.  Of a row that says nothing, or a time that
 * is still to come, nothing is known but that it came before the next one.
 *
 * So that a clock that is wrong for a while lets nothing leave, what is too old
 * only since it was set forward waits.
 */

/* rows that are looked at in one go */
#ifndef NGX_LYFTR_KEEP_ROWS
#define NGX_LYFTR_KEEP_ROWS        8192
#endif

/* msec: of a leap of the clock that counts, and of the longest wait after it */
#define NGX_LYFTR_KEEP_LEAP        1000
#define NGX_LYFTR_KEEP_HOLD        3600000

/* msec between two looks at the size */
#define NGX_LYFTR_KEEP_SIZE        1000


static int64_t ngx_lyftr_keep_now(void);
static void ngx_lyftr_keep_clock(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_keep_t *keep, int64_t now);
static ngx_uint_t ngx_lyftr_keep_idle(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_keep_t *keep, int64_t now);
static ngx_int_t ngx_lyftr_keep_first(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_keep_t *keep, int64_t now, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_keep_ages(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_keep_t *keep, int64_t now, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_keep_times(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_keep_size(ngx_lyftr_sqlite_t *c, int64_t *bytes,
    ngx_lyftr_error_t *err);
static int64_t ngx_lyftr_keep_share(ngx_lyftr_sqlite_t *c, int64_t bytes);


static int64_t
ngx_lyftr_keep_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_REALTIME, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


ngx_int_t
ngx_lyftr_keep_look(ngx_lyftr_sqlite_t *c, ngx_lyftr_keep_t *keep,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    int64_t    now;
    ngx_int_t  rc;

    now = ngx_lyftr_keep_now();

    ngx_lyftr_keep_clock(c, keep, now);

    if (c->state.floor != keep->floor) {
        keep->floor = c->state.floor;
        keep->seen = ngx_max(keep->seen, keep->floor);
        keep->old = ngx_max(keep->old, keep->floor);
        keep->oldest = 0;
    }

    if (ngx_lyftr_keep_idle(c, keep, now)) {
        return NGX_DONE;
    }

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_segments_read(c, err);
    }

    if (rc == NGX_OK && keep->oldest == 0) {
        rc = ngx_lyftr_keep_first(c, keep, now, err);
    }

    if (rc == NGX_OK && c->dsn->keep) {
        rc = ngx_lyftr_keep_ages(c, keep, now, err);
    }

    if (rc == NGX_OK && c->dsn->keep) {
        rc = ngx_lyftr_keep_times(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    return rc;
}


/* what was found of the rows is found again, if the clock was set */

static void
ngx_lyftr_keep_clock(ngx_lyftr_sqlite_t *c, ngx_lyftr_keep_t *keep,
    int64_t now)
{
    int64_t     leap;
    ngx_msec_t  msec;

    msec = ngx_lyftr_clock();
    leap = now - (int64_t) msec - keep->ahead;

    keep->ahead += leap;

    if (keep->held && (ngx_msec_int_t) (msec - keep->hold) >= 0) {
        keep->held = 0;
    }

    if (!keep->clocked) {
        keep->clocked = 1;
        return;
    }

    if (leap > -NGX_LYFTR_KEEP_LEAP
        && leap < ngx_max(c->dsn->keep / (2 * NGX_LYFTR_KEEP_PIECES),
                          NGX_LYFTR_KEEP_LEAP))
    {
        return;
    }

    keep->floor = -1;
    keep->seen = 0;
    keep->old = 0;
    keep->young = 0;

    keep->held = (leap > 0);
    keep->hold = msec + ngx_min(c->dsn->keep / (2 * NGX_LYFTR_KEEP_PIECES),
                                NGX_LYFTR_KEEP_HOLD);
}


static ngx_uint_t
ngx_lyftr_keep_idle(ngx_lyftr_sqlite_t *c, ngx_lyftr_keep_t *keep,
    int64_t now)
{
    ngx_uint_t  i;

    if (keep->oldest == 0
        && c->index.last > ngx_max(keep->floor, keep->none))
    {
        return 0;
    }

    if (c->dsn->keep == 0) {
        return 1;
    }

    for (i = 0; i < c->index.nsegments; i++) {
        if (c->index.segments[i].time == 0) {
            return 0;
        }
    }

    return c->index.last <= keep->seen
           || (keep->young && now - keep->young <= c->dsn->keep);
}


/* of many that say nothing, -1: it is not looked for again */

static ngx_int_t
ngx_lyftr_keep_first(ngx_lyftr_sqlite_t *c, ngx_lyftr_keep_t *keep,
    int64_t now, ngx_lyftr_error_t *err)
{
    int            rc;
    int64_t        time;
    ngx_uint_t     n;
    sqlite3_stmt  *st;

    st = c->stmt[NGX_LYFTR_SQL_AGES];

    (void) sqlite3_bind_int64(st, 1, keep->floor);

    rc = SQLITE_ROW;

    for (n = 0; n < NGX_LYFTR_KEEP_ROWS && keep->oldest == 0; n++) {

        rc = sqlite3_step(st);

        if (rc != SQLITE_ROW) {
            break;
        }

        time = sqlite3_column_int64(st, 1);

        if (time > 0 && time <= now) {
            keep->oldest = time;
        }
    }

    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        (void) ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        return NGX_ERROR;
    }

    if (keep->oldest == 0) {
        keep->oldest = n ? -1 : 0;
        keep->none = c->index.last;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_keep_ages(ngx_lyftr_sqlite_t *c, ngx_lyftr_keep_t *keep,
    int64_t now, ngx_lyftr_error_t *err)
{
    int            rc;
    int64_t        time;
    ngx_uint_t     n;
    sqlite3_stmt  *st;

    keep->young = 0;

    st = c->stmt[NGX_LYFTR_SQL_AGES];

    (void) sqlite3_bind_int64(st, 1, keep->seen);

    rc = SQLITE_ROW;

    for (n = 0; n < NGX_LYFTR_KEEP_ROWS; n++) {

        rc = sqlite3_step(st);

        if (rc != SQLITE_ROW) {
            break;
        }

        time = sqlite3_column_int64(st, 1);

        if (time > 0 && time <= now && now - time <= c->dsn->keep) {
            keep->young = time;
            break;
        }

        keep->seen = sqlite3_column_int64(st, 0);

        if (time > 0 && time <= now) {
            keep->old = keep->seen;
        }
    }

    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        (void) ngx_lyftr_sqlite_error(c, err);
    }

    (void) sqlite3_reset(st);

    if (rc == SQLITE_DONE) {

        /* the last ones may have left */

        keep->seen = ngx_max(keep->seen, c->index.last);
    }

    return rc == SQLITE_ROW || rc == SQLITE_DONE ? NGX_OK : NGX_ERROR;
}


/* when the last row of each segment came; -1: it does not say */

static ngx_int_t
ngx_lyftr_keep_times(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int                   rc;
    ngx_uint_t            i;
    sqlite3_stmt         *st;
    ngx_lyftr_segment_t  *s;

    rc = SQLITE_DONE;
    st = c->stmt[NGX_LYFTR_SQL_AGE];

    for (i = 0; i < c->index.nsegments; i++) {
        s = &c->index.segments[i];

        if (s->time) {
            continue;
        }

        (void) sqlite3_bind_int64(st, 1, s->last);

        rc = sqlite3_step(st);

        if (rc == SQLITE_ROW) {
            s->time = sqlite3_column_int64(st, 0);
        }

        if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
            (void) ngx_lyftr_sqlite_error(c, err);
        }

        (void) sqlite3_reset(st);

        if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
            return NGX_ERROR;
        }

        if (s->time <= 0) {
            s->time = -1;
        }
    }

    return NGX_OK;
}


int64_t
ngx_lyftr_keep_due(ngx_lyftr_sqlite_t *c, ngx_lyftr_keep_t *keep)
{
    int64_t               to;
    ngx_lyftr_segment_t  *s;

    if (c->dsn->keep == 0 || keep->held || keep->floor != c->state.floor) {
        return 0;
    }

    to = ngx_min(keep->old, c->state.counted);
    s = c->index.nsegments ? &c->index.segments[0] : NULL;

    if (s && s->last <= to) {
        return s->last;
    }

    if (to <= keep->floor
        || (keep->oldest > 0
            && ngx_lyftr_keep_now() - keep->oldest
               <= c->dsn->keep + c->dsn->keep / NGX_LYFTR_KEEP_PIECES))
    {
        return 0;
    }

    return s ? to : ngx_min(to, keep->floor + NGX_LYFTR_SEGMENT);
}


ngx_int_t
ngx_lyftr_keep_large(ngx_lyftr_sqlite_t *c, ngx_lyftr_keep_t *keep,
    int64_t *to, ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    int64_t     bytes;
    ngx_int_t   rc;
    ngx_msec_t  now;

    *to = 0;
    bytes = 0;
    now = ngx_lyftr_clock();

    if (c->dsn->keep_bytes == 0
        || (keep->sized && now - keep->sized < NGX_LYFTR_KEEP_SIZE))
    {
        return NGX_OK;
    }

    keep->sized = now | 1;

    rc = ngx_lyftr_sqlite_begin(c, 0, deadline, err);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_keep_size(c, &bytes, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc == NGX_OK && bytes > c->dsn->keep_bytes) {
        *to = ngx_lyftr_keep_share(c, bytes);
    }

    return rc;
}


/* of what is used of the file */

static ngx_int_t
ngx_lyftr_keep_size(ngx_lyftr_sqlite_t *c, int64_t *bytes,
    ngx_lyftr_error_t *err)
{
    int64_t  pages, unused, size;

    if (ngx_lyftr_sqlite_get(c, "PRAGMA page_count", &pages, err) != NGX_OK
        || ngx_lyftr_sqlite_get(c, "PRAGMA freelist_count", &unused, err)
           != NGX_OK
        || ngx_lyftr_sqlite_get(c, "PRAGMA page_size", &size, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    *bytes = (pages - unused) * size;

    return NGX_OK;
}


/* the oldest ones, as many as take about what is too much, and a little more */

static int64_t
ngx_lyftr_keep_share(ngx_lyftr_sqlite_t *c, int64_t bytes)
{
    int64_t               last, to;
    double                share;
    ngx_lyftr_segment_t  *s;

    share = (double) (bytes - c->dsn->keep_bytes
                      + c->dsn->keep_bytes / NGX_LYFTR_KEEP_PIECES) / bytes;
    last = c->index.last;

    to = c->state.floor + 1
         + (int64_t) ((last - c->state.floor) * ngx_min(share, 1));

    to = ngx_min(to, c->state.counted);

    if (to <= c->state.floor) {
        return 0;
    }

    if (c->index.nsegments == 0) {
        return ngx_min(to, c->state.floor + NGX_LYFTR_SEGMENT);
    }

    s = &c->index.segments[0];

    /* to make another one of half of it is not worth while */

    return to - s->first > (s->last - s->first) / 2 ? s->last : to;
}


ngx_uint_t
ngx_lyftr_keep_apart(void *data, ngx_lyftr_segment_t *one,
    ngx_lyftr_segment_t *two)
{
    ngx_lyftr_sqlite_t *c = data;

    int64_t  piece;

    piece = c->dsn->keep / NGX_LYFTR_KEEP_PIECES;

    return one->time / piece != two->time / piece;
}


int64_t
ngx_lyftr_keep_oldest(ngx_lyftr_keep_t *keep)
{
    return ngx_max(keep->oldest, 0) / 1000;
}


int64_t
ngx_lyftr_keep_lag(ngx_lyftr_sqlite_t *c, ngx_lyftr_keep_t *keep)
{
    if (c->dsn->keep == 0 || keep->oldest <= 0) {
        return 0;
    }

    return ngx_max(ngx_lyftr_keep_now() - keep->oldest - c->dsn->keep, 0)
           / 1000;
}

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>


/*
 * Of all processes one does the housekeeping: the one that has a lock, which
 * ends with it.  A process that hangs keeps its lock, so it also has to beat:
 * if it has not for so many msec, another one with the same shared words takes
 * its place.
 *
 * That the first one then goes on does no harm.  Who begins takes a number of
 * a segment, and only who does the housekeeping does: so in each transaction
 * the next number tells if somebody else has begun, and what writes and does
 * not find it as it was ends without a commit.
 */


static ngx_int_t ngx_lyftr_lease_lock(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);
static ngx_uint_t ngx_lyftr_lease_hangs(ngx_lyftr_sqlite_t *c);


ngx_uint_t
ngx_lyftr_lease_owned(ngx_lyftr_sqlite_t *c)
{
    return c->lease.owner;
}


ngx_int_t
ngx_lyftr_lease_take(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_lease_lock(c, err);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (c->lease.owner) {
        ngx_lyftr_lease_beat(c);
        return NGX_OK;
    }

    return rc == NGX_OK || ngx_lyftr_lease_hangs(c) ? NGX_OK : NGX_DECLINED;
}


void
ngx_lyftr_lease_begin(ngx_lyftr_sqlite_t *c)
{
    ngx_lyftr_lease_beat(c);

    c->lease.owner = 1;
}


void
ngx_lyftr_lease_number(ngx_lyftr_sqlite_t *c, int64_t next)
{
    c->lease.next = next;
}


/* NGX_DECLINED: another process has it */

static ngx_int_t
ngx_lyftr_lease_lock(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (c->lease.locked) {
        return NGX_OK;
    }

    rc = ngx_lyftr_sqlite_lock_own(c, err);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    c->lease.locked = (rc == NGX_OK);

    return rc;
}


/* of several that see it, one takes its place */

static ngx_uint_t
ngx_lyftr_lease_hangs(ngx_lyftr_sqlite_t *c)
{
    ngx_msec_t     now;
    ngx_atomic_t  *word;
    ngx_atomic_t   beat;

    word = ngx_lyftr_sqlite_word(c, NGX_LYFTR_WORD_BEAT);

    if (word == NULL) {
        return 0;
    }

    now = ngx_lyftr_clock() | 1;
    beat = __atomic_load_n(word, __ATOMIC_SEQ_CST);

    /* nobody of ours has it, or this process was about to */

    if (beat == 0 || beat == c->lease.beat) {
        return beat != 0;
    }

    if ((ngx_msec_int_t) (now - beat) < NGX_LYFTR_LEASE
        || !ngx_atomic_cmp_set(word, beat, now))
    {
        return 0;
    }

    c->lease.beat = now;

    return 1;
}


void
ngx_lyftr_lease_beat(ngx_lyftr_sqlite_t *c)
{
    ngx_atomic_t  *word;

    word = ngx_lyftr_sqlite_word(c, NGX_LYFTR_WORD_BEAT);

    if (word) {
        c->lease.beat = ngx_lyftr_clock() | 1;
        __atomic_store_n(word, c->lease.beat, __ATOMIC_SEQ_CST);
    }
}


/* the beats of another process stay */

void
ngx_lyftr_lease_leave(ngx_lyftr_sqlite_t *c)
{
    ngx_atomic_t  *word;

    word = ngx_lyftr_sqlite_word(c, NGX_LYFTR_WORD_BEAT);

    if (word && c->lease.beat) {
        (void) ngx_atomic_cmp_set(word, c->lease.beat, 0);
    }

    c->lease.owner = 0;
    c->lease.beat = 0;

    if (c->lease.locked) {
        ngx_lyftr_sqlite_lock_disown(c);
        c->lease.locked = 0;
    }
}


ngx_int_t
ngx_lyftr_lease_fence(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    if (ngx_lyftr_segments_read(c, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!c->lease.owner || c->state.next == c->lease.next) {
        return NGX_OK;
    }

    c->lease.owner = 0;

    return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_BUSY,
                                 "another process does it now");
}

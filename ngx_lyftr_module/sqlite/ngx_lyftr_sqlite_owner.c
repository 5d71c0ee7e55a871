#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>
#include <ngx_lyftr_sqlite_jobs.h>


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


static ngx_uint_t ngx_lyftr_upkeep_hangs(ngx_lyftr_sqlite_t *c);
static ngx_int_t ngx_lyftr_upkeep_lock(ngx_lyftr_sqlite_t *c,
    ngx_lyftr_error_t *err);


ngx_int_t
ngx_lyftr_upkeep_own(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int64_t                      number;
    ngx_int_t                    rc;
    ngx_lyftr_sqlite_upkeep_t   *upkeep;

    upkeep = c->upkeep;

    rc = ngx_lyftr_upkeep_lock(c, err);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (upkeep->owner) {
        ngx_lyftr_upkeep_beat(c);
        return ngx_lyftr_sqlite_files(c, err);
    }

    if (rc != NGX_OK && !ngx_lyftr_upkeep_hangs(c)) {
        return NGX_DECLINED;
    }

    /* what it commits can be done again: the next writer's sync will do */

    if (sqlite3_exec(c->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL)
        != SQLITE_OK)
    {
        return ngx_lyftr_sqlite_error(c, err);
    }

    rc = ngx_lyftr_upkeep_number(c, &number, deadline, err);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_BUSY : rc;
    }

    ngx_lyftr_upkeep_beat(c);

    /* whoever had it before may have left something */

    upkeep->owner = 1;
    upkeep->sweep = 1;
    upkeep->swept = 0;

    return NGX_OK;
}


/* NGX_DECLINED: another process has it */

static ngx_int_t
ngx_lyftr_upkeep_lock(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    if (c->upkeep->locked) {
        return NGX_OK;
    }

    rc = ngx_lyftr_flock_own(&c->lock);

    if (rc == NGX_ERROR) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED,
                                     "file lock: %s", strerror(errno));
    }

    c->upkeep->locked = (rc == NGX_OK);

    return rc;
}


/* of several that see it, one takes its place */

static ngx_uint_t
ngx_lyftr_upkeep_hangs(ngx_lyftr_sqlite_t *c)
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

    if (beat == 0 || beat == c->upkeep->beat) {
        return beat != 0;
    }

    if ((ngx_msec_int_t) (now - beat) < NGX_LYFTR_UPKEEP_LEASE
        || !ngx_atomic_cmp_set(word, beat, now))
    {
        return 0;
    }

    c->upkeep->beat = now;

    return 1;
}


void
ngx_lyftr_upkeep_beat(ngx_lyftr_sqlite_t *c)
{
    ngx_atomic_t  *word;

    word = ngx_lyftr_sqlite_word(c, NGX_LYFTR_WORD_BEAT);

    if (word) {
        c->upkeep->beat = ngx_lyftr_clock() | 1;
        __atomic_store_n(word, c->upkeep->beat, __ATOMIC_SEQ_CST);
    }
}


/* the beats of another process stay */

void
ngx_lyftr_upkeep_leave(ngx_lyftr_sqlite_t *c)
{
    ngx_atomic_t               *word;
    ngx_lyftr_sqlite_upkeep_t  *upkeep;

    upkeep = c->upkeep;
    word = ngx_lyftr_sqlite_word(c, NGX_LYFTR_WORD_BEAT);

    if (word && upkeep->beat) {
        (void) ngx_atomic_cmp_set(word, upkeep->beat, 0);
    }

    upkeep->owner = 0;
    upkeep->beat = 0;

    if (upkeep->locked) {
        ngx_lyftr_flock_disown(&c->lock);
        upkeep->locked = 0;
    }
}


ngx_lyftr_backend_job_t *
ngx_lyftr_sqlite_job(ngx_lyftr_sqlite_t *c, ngx_uint_t n)
{
    ngx_lyftr_backend_job_t  *jobs;

    jobs = c->dsn->jobs;

    return jobs && ngx_lyftr_sqlite_word(c, NGX_LYFTR_WORD_BEAT) ? &jobs[n]
                                                                 : NULL;
}


ngx_int_t
ngx_lyftr_upkeep_number(ngx_lyftr_sqlite_t *c, int64_t *number,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR_SQLITE_UPKEEP, deadline, err);

    if (rc == NGX_OK) {
        *number = c->state.next;
        rc = ngx_lyftr_sqlite_run(c, c->stmt[NGX_LYFTR_SQL_NEXT], err);
    }

    if (rc == NGX_OK) {
        rc = ngx_lyftr_sqlite_commit(c, err);
    }

    ngx_lyftr_sqlite_rollback(c);

    if (rc == NGX_OK) {
        c->state.next = *number + 1;

        if (c->upkeep) {
            c->upkeep->next = c->state.next;
        }
    }

    return rc;
}


ngx_int_t
ngx_lyftr_upkeep_fence(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    if (ngx_lyftr_segments_read(c, err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (c->upkeep == NULL || !c->upkeep->owner
        || c->state.next == c->upkeep->next)
    {
        return NGX_OK;
    }

    c->upkeep->owner = 0;

    return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_BUSY,
                                 "another process does it now");
}

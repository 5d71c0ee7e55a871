#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite_disk.h>


static ngx_int_t ngx_lyftr_sqlite_lock_failed(ngx_lyftr_error_t *err);


void
ngx_lyftr_sqlite_lock_init(ngx_lyftr_sqlite_t *c)
{
    c->lock.fd = -1;
}


ngx_int_t
ngx_lyftr_sqlite_lock_open(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    char  lock[NGX_LYFTR_SQLITE_NAME_LEN];

    ngx_lyftr_sqlite_name(c, NGX_LYFTR_FILE_LOCK, lock);

    if (ngx_lyftr_flock_open(&c->lock, lock) != NGX_OK) {
        return ngx_lyftr_sqlite_cannot(err, "open", lock);
    }

    return NGX_OK;
}


void
ngx_lyftr_sqlite_lock_close(ngx_lyftr_sqlite_t *c)
{
    ngx_lyftr_flock_close(&c->lock);
}


ngx_int_t
ngx_lyftr_sqlite_lock(ngx_lyftr_sqlite_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_flock_take(&c->lock, deadline);

    if (rc == NGX_DECLINED) {
        (void) ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_BUSY,
                                     "locked by another writer");
        return NGX_DECLINED;
    }

    return rc == NGX_OK ? NGX_OK : ngx_lyftr_sqlite_lock_failed(err);
}


ngx_int_t
ngx_lyftr_sqlite_lock_try(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_flock_try(&c->lock);

    return rc == NGX_ERROR ? ngx_lyftr_sqlite_lock_failed(err) : rc;
}


void
ngx_lyftr_sqlite_unlock(ngx_lyftr_sqlite_t *c)
{
    ngx_lyftr_flock_release(&c->lock);
}


ngx_int_t
ngx_lyftr_sqlite_lock_own(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    ngx_int_t  rc;

    rc = ngx_lyftr_flock_own(&c->lock);

    return rc == NGX_ERROR ? ngx_lyftr_sqlite_lock_failed(err) : rc;
}


void
ngx_lyftr_sqlite_lock_disown(ngx_lyftr_sqlite_t *c)
{
    ngx_lyftr_flock_disown(&c->lock);
}


static ngx_int_t
ngx_lyftr_sqlite_lock_failed(ngx_lyftr_error_t *err)
{
    return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_FAILED, "file lock: %s",
                                 strerror(errno));
}

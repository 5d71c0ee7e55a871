#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite.h>


/* bytes of a path that an error has room for */
#define NGX_LYFTR_SQLITE_PATH_END  150


typedef struct {
    int                  rc;
    ngx_lyftr_err_e      code;
} ngx_lyftr_sqlite_code_t;


/* extended codes first */

static ngx_lyftr_sqlite_code_t  ngx_lyftr_sqlite_codes[] = {
    { SQLITE_READONLY_DBMOVED, NGX_LYFTR_ERR_MOVED },
    { SQLITE_IOERR_READ, NGX_LYFTR_ERR_CORRUPT },
    { SQLITE_IOERR_SHORT_READ, NGX_LYFTR_ERR_CORRUPT },
    { SQLITE_IOERR_CORRUPTFS, NGX_LYFTR_ERR_CORRUPT },
    { SQLITE_IOERR_LOCK, NGX_LYFTR_ERR_BUSY },
    { SQLITE_BUSY, NGX_LYFTR_ERR_BUSY },
    { SQLITE_LOCKED, NGX_LYFTR_ERR_BUSY },
    { SQLITE_PROTOCOL, NGX_LYFTR_ERR_BUSY },
    { SQLITE_INTERRUPT, NGX_LYFTR_ERR_TIMEOUT },
    { SQLITE_TOOBIG, NGX_LYFTR_ERR_DATA },
    { SQLITE_CONSTRAINT_TRIGGER, NGX_LYFTR_ERR_BUSY },
    { SQLITE_MISMATCH, NGX_LYFTR_ERR_DATA },
    { SQLITE_CONSTRAINT, NGX_LYFTR_ERR_DATA },
    { SQLITE_FULL, NGX_LYFTR_ERR_FULL },
    { SQLITE_READONLY, NGX_LYFTR_ERR_READONLY },
    { SQLITE_PERM, NGX_LYFTR_ERR_READONLY },
    { SQLITE_CANTOPEN, NGX_LYFTR_ERR_OPEN },
    { SQLITE_CORRUPT, NGX_LYFTR_ERR_CORRUPT },
    { SQLITE_NOTADB, NGX_LYFTR_ERR_CORRUPT },
    { SQLITE_OK, NGX_LYFTR_ERR_FAILED }
};


ngx_int_t
ngx_lyftr_sqlite_fail(ngx_lyftr_error_t *err, ngx_lyftr_err_e code,
    const char *fmt, ...)
{
    int      n;
    size_t   i;
    va_list  args;

    va_start(args, fmt);
    n = vsnprintf((char *) err->text, NGX_LYFTR_ERROR_LEN, fmt, args);
    va_end(args);

    err->code = code;
    err->len = n < 0 ? 0 : ngx_min((size_t) n, NGX_LYFTR_ERROR_LEN - 1);

    /* a path may hold anything */

    for (i = 0; i < err->len; i++) {
        if (err->text[i] < 0x20 || err->text[i] == 0x7f) {
            err->text[i] = '?';
        }
    }

    return NGX_ERROR;
}


ngx_int_t
ngx_lyftr_sqlite_error(ngx_lyftr_sqlite_t *c, ngx_lyftr_error_t *err)
{
    int                       rc, sys;
    ngx_lyftr_err_e           code;
    ngx_lyftr_sqlite_code_t  *p;

    rc = sqlite3_extended_errcode(c->db);
    sys = 0;

    for (p = ngx_lyftr_sqlite_codes; p->rc != SQLITE_OK; p++) {
        if (p->rc == rc || p->rc == (rc & 0xff)) {
            break;
        }
    }

    code = p->code;

    if ((rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN) {
        sys = sqlite3_system_errno(c->db);

        if (sys == ENOSPC || sys == EDQUOT) {
            code = NGX_LYFTR_ERR_FULL;
        }
    }

    if (sys) {
        return ngx_lyftr_sqlite_fail(err, code, "%s (%d), errno %d",
                                     sqlite3_errstr(rc), rc, sys);
    }

    return ngx_lyftr_sqlite_fail(err, code, "%s (%d)", sqlite3_errstr(rc), rc);
}


ngx_int_t
ngx_lyftr_sqlite_cannot(ngx_lyftr_error_t *err, const char *what,
    const char *path)
{
    ngx_lyftr_err_e  code;

    switch (errno) {

    case EROFS:
        code = NGX_LYFTR_ERR_READONLY;
        break;

    case ENOSPC:
    case EDQUOT:
        code = NGX_LYFTR_ERR_FULL;
        break;

    default:
        code = NGX_LYFTR_ERR_OPEN;
    }

    return ngx_lyftr_sqlite_fail(err, code, "cannot %s \"%s\": %s", what,
                                 ngx_lyftr_sqlite_end(path), strerror(errno));
}


const char *
ngx_lyftr_sqlite_end(const char *path)
{
    size_t  len;

    len = ngx_strlen(path);

    return len > NGX_LYFTR_SQLITE_PATH_END
           ? path + len - NGX_LYFTR_SQLITE_PATH_END : path;
}

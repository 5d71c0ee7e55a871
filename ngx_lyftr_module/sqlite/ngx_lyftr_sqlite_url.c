#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_sqlite.h>


#define ngx_lyftr_sqlite_url_word(ch)                                         \
    ((ch) == '_' || ((ch) >= '0' && (ch) <= '9')                              \
     || (((ch) | 0x20) >= 'a' && ((ch) | 0x20) <= 'z'))

#define ngx_lyftr_sqlite_memory(p, last)                                      \
    ((last) - (p) == 8 && ngx_memcmp(p, ":memory:", 8) == 0)


static u_char *ngx_lyftr_sqlite_scheme(u_char *p, u_char *last);


ngx_int_t
ngx_lyftr_sqlite_init(void *data, ngx_str_t *url, ngx_lyftr_error_t *err)
{
    ngx_lyftr_sqlite_dsn_t *dsn = data;

    size_t   len, cwd;
    u_char  *p, *last, *query;

    ngx_memzero(dsn, sizeof(ngx_lyftr_sqlite_dsn_t));

    p = url->data;
    last = p + url->len;
    cwd = 0;

    p = ngx_lyftr_sqlite_scheme(p, last);

    if (p == NULL) {
        goto invalid;
    }

    query = memchr(p, '?', last - p);

    if (query) {
        last = query;
    }

    if (ngx_lyftr_sqlite_memory(p, last)) {
        goto memory;
    }

    if (p < last && *p != '/') {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_OPEN,
                      "a host in the URL: a file has three slashes or four");
    }

    p += (p < last);
    len = last - p;

    if (len == 0 || ngx_lyftr_sqlite_memory(p, last)) {
        goto memory;
    }

    if (memchr(p, '\0', len)) {
        goto invalid;
    }

    if (last[-1] == '/') {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_OPEN,
                      "a folder: the URL names the file of the database");
    }

    if (*p != '/') {
        if (getcwd((char *) dsn->common.path, NGX_MAX_PATH) == NULL) {
            return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_OPEN,
                                         "getcwd() failed: %s",
                                         strerror(errno));
        }

        cwd = ngx_strlen(dsn->common.path);

        if (dsn->common.path[cwd - 1] != '/') {
            dsn->common.path[cwd++] = '/';
        }
    }

    /* the names of the other files are longer */

    if (cwd + len + sizeof(NGX_LYFTR_SQLITE_LOCK) > NGX_MAX_PATH) {
        return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_OPEN,
                                     "the path is too long");
    }

    ngx_memcpy(dsn->common.path + cwd, p, len);
    dsn->common.path[cwd + len] = '\0';

    return NGX_OK;

memory:

    return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_OPEN,
                      "a database in memory would not outlive the process");

invalid:

    return ngx_lyftr_sqlite_fail(err, NGX_LYFTR_ERR_OPEN,
                      "not a URL such as sqlite:////data/app.db");
}


/* what follows sqlite:// or sqlite+driver://; NULL: it is none of these */

static u_char *
ngx_lyftr_sqlite_scheme(u_char *p, u_char *last)
{
    if (last - p < 6 || ngx_memcmp(p, "sqlite", 6) != 0) {
        return NULL;
    }

    p += 6;

    if (p < last && *p == '+') {
        for (p++; p < last && ngx_lyftr_sqlite_url_word(*p); p++) {
            /* void */
        }

        if (p[-1] == '+') {
            return NULL;
        }
    }

    return (last - p < 3 || ngx_memcmp(p, "://", 3) != 0) ? NULL : p + 3;
}

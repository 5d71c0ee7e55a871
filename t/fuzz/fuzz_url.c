
#include "fuzz.h"

#include <ngx_lyftr_sqlite_index.h>
#include <regex.h>


/* what a URL of a file is, once more: the path in it, or NULL */

static char *
fuzz_path(const uint8_t *data, size_t size)
{
    char            *s, *path;
    size_t           len;
    regmatch_t       match[3];
    static regex_t  *re;

    if (re == NULL) {
        re = malloc(sizeof(regex_t));
        fuzz_assert(re && regcomp(re, "^sqlite(\\+[A-Za-z0-9_]+)?:///"
                                      "(.*[^/])$", REG_EXTENDED) == 0);
    }

    s = malloc(size + 1);
    fuzz_assert(s);

    ngx_memcpy(s, data, size);
    s[size] = '?';

    len = strchrnul(s, '?') - s;
    path = NULL;

    if (s[len] == '?') {
        s[len] = '\0';

        if (regexec(re, s, 3, match, 0) == 0
            && strcmp(s + match[2].rm_so, ":memory:") != 0)
        {
            path = strdup(s + match[2].rm_so);
        }
    }

    free(s);

    return path;
}


/* a path is whole, absolute and short enough; a refusal says why */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                *path, want[2 * NGX_MAX_PATH + 8192];
    size_t               i, len;
    ngx_int_t            rc;
    ngx_str_t            url;
    ngx_lyftr_sqlite_dsn_t     *dsn;
    ngx_lyftr_error_t   *err;

    if (size > 8192 - 2) {
        return 0;
    }

    url.data = fuzz_copy(data, size);
    url.len = size;

    dsn = malloc(sizeof(ngx_lyftr_sqlite_dsn_t));
    err = malloc(sizeof(ngx_lyftr_error_t));
    fuzz_assert(dsn && err);

    rc = ngx_lyftr_sqlite_init(dsn, &url, err);
    path = fuzz_path(data, size);

    want[0] = '\0';

    if (path && path[0] != '/') {
        fuzz_assert(getcwd(want, NGX_MAX_PATH));
        (void) strcat(want, want[1] ? "/" : "");
    }

    (void) strcat(want, path ? path : "");
    len = strlen(want);

    if (path && len + sizeof("-lock") <= NGX_MAX_PATH) {
        fuzz_assert(rc == NGX_OK);
        fuzz_assert(strcmp((char *) dsn->common.path, want) == 0);
        fuzz_assert(dsn->common.path[0] == '/' && dsn->opened == 0);

    } else {
        fuzz_assert(rc == NGX_ERROR && err->code == NGX_LYFTR_ERR_OPEN);
        fuzz_assert(err->len > 0 && err->len <= NGX_LYFTR_ERROR_LEN);

        for (i = 0; i < err->len; i++) {
            fuzz_assert(err->text[i] >= 0x20 && err->text[i] < 0x7f);
        }
    }

    free(path);
    free(dsn);
    free(err);
    free(url.data);

    return 0;
}



#ifndef _UNIT_H_INCLUDED_
#define _UNIT_H_INCLUDED_


#include <ngx_lyftr_text.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>


#define unit_count(a)     (sizeof(a) / sizeof((a)[0]))

/* a literal's bytes and length, zero bytes inside included */
#define unit_lit(s)       (u_char *) (s), sizeof(s) - 1

#define unit_equal(data, size, want)                                         \
    unit_equal_bytes((u_char *) (data), (size_t) (size),                     \
                     (u_char *) (want), sizeof(want) - 1, __LINE__)

#define unit_equal_str(data, size, want)                                     \
    unit_equal_bytes((u_char *) (data), (size_t) (size),                     \
                     (u_char *) (want), strlen(want), __LINE__)


/* a copy that ends where its memory ends, so that over-reads are seen */

static ngx_inline u_char *
unit_copy(const void *s, size_t len)
{
    u_char  *p;

    p = malloc(len ? len : 1);
    assert_non_null(p);

    if (len) {
        ngx_memcpy(p, s, len);
    }

    return p;
}


static ngx_inline void
unit_equal_bytes(u_char *data, size_t size, u_char *want, size_t len,
    int line)
{
    if (size == len && (len == 0 || memcmp(data, want, len) == 0)) {
        return;
    }

    print_error("line %d\n got: %.*s\nwant: %.*s\n", line, (int) size, data,
                (int) len, want);
    fail();
}


#endif /* _UNIT_H_INCLUDED_ */

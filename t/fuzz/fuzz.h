
#ifndef _FUZZ_H_INCLUDED_
#define _FUZZ_H_INCLUDED_


#include <ngx_lyftr_text.h>


#define fuzz_assert(e)                                                       \
    if (!(e)) {                                                              \
        (void) fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__,    \
                       #e);                                                  \
        abort();                                                             \
    }


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* a copy that ends where its memory ends, so that overruns are seen */

static ngx_inline u_char *
fuzz_copy(const void *s, size_t len)
{
    u_char  *p;

    p = malloc(len ? len : 1);
    fuzz_assert(p);

    if (len) {
        ngx_memcpy(p, s, len);
    }

    return p;
}


/* the answer fits in what was asked for, and is UTF-8 in one line */

static ngx_inline void
fuzz_answer(ngx_lyftr_faults_t *faults)
{
    size_t   i, len, max;
    u_char  *p;

    max = ngx_lyftr_fault_len(faults);
    p = malloc(max);
    fuzz_assert(p && faults->n > 0);

    len = ngx_lyftr_fault_write(p, faults) - p;

    fuzz_assert(len <= max);
    fuzz_assert(ngx_lyftr_utf8_valid(p, len) == len);

    for (i = 0; i < len; i++) {
        fuzz_assert(p[i] >= 0x20);
    }

    free(p);
}


#endif /* _FUZZ_H_INCLUDED_ */

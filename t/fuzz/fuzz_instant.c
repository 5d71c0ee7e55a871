
#include "fuzz.h"

#include <regex.h>
#include <time.h>


/* seconds from 0001-01-01 to 1970-01-01 */
#define FUZZ_EPOCH  62135596800


/* groups of the regular expression */

enum {
    FUZZ_T = 1,
    FUZZ_FRACTION = 3,
    FUZZ_ZONE = 4,
    FUZZ_GROUPS = 5
};


/* what a since is, once more, by the C library: 2 if it is also a ts */

static ngx_uint_t
fuzz_is_instant(const uint8_t *data, size_t size, int64_t *seconds,
    long *nanos)
{
    int              hours, minutes;
    char             s[64], digits[] = "000000000";
    struct tm        tm, norm;
    regmatch_t       m[FUZZ_GROUPS];
    static regex_t  *re;

    if (re == NULL) {
        re = malloc(sizeof(regex_t));
        fuzz_assert(re && regcomp(re,
                    "^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt])"
                    "[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.([0-9]{1,9}))?"
                    "([Zz]|[+-][0-9]{2}:[0-9]{2})$", REG_EXTENDED) == 0);
    }

    if (size >= sizeof(s) || memchr(data, '\0', size)) {
        return 0;
    }

    ngx_memcpy(s, data, size);
    s[size] = '\0';

    if (regexec(re, s, FUZZ_GROUPS, m, 0) != 0) {
        return 0;
    }

    ngx_memzero(&tm, sizeof(struct tm));

    fuzz_assert(sscanf(s, "%4d-%2d-%2d%*1c%2d:%2d:%2d", &tm.tm_year,
                       &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
                       &tm.tm_sec) == 6);

    if (tm.tm_year == 0) {
        return 0;
    }

    tm.tm_year -= 1900;
    tm.tm_mon--;

    norm = tm;
    *seconds = timegm(&norm) + FUZZ_EPOCH;

    if (norm.tm_mon != tm.tm_mon || norm.tm_mday != tm.tm_mday
        || norm.tm_hour != tm.tm_hour || norm.tm_min != tm.tm_min
        || norm.tm_sec != tm.tm_sec)
    {
        return 0;
    }

    if (m[FUZZ_FRACTION].rm_so != -1) {
        ngx_memcpy(digits, s + m[FUZZ_FRACTION].rm_so,
                   m[FUZZ_FRACTION].rm_eo - m[FUZZ_FRACTION].rm_so);
    }

    *nanos = strtol(digits, NULL, 10);

    if (sscanf(s + m[FUZZ_ZONE].rm_so + 1, "%2d:%2d", &hours, &minutes) == 2) {

        if (hours > 23 || minutes > 59) {
            return 0;
        }

        *seconds += (s[m[FUZZ_ZONE].rm_so] == '+' ? -60 : 60)
                    * (60 * hours + minutes);
        return 1;
    }

    return 1 + (s[m[FUZZ_T].rm_so] == 'T' && s[m[FUZZ_ZONE].rm_so] == 'Z');
}


static void
fuzz_value(ngx_lyftr_instant_t *t, int64_t seconds, long nanos)
{
    size_t   i;
    int64_t  value;

    fuzz_assert(t->len == 0 || (t->len >= 5 && t->len <= 9));
    fuzz_assert(t->len <= 5 || t->data[t->len - 1] != 0);
    fuzz_assert((t->len == 0) == (seconds < 0));

    if (t->len == 0) {
        return;
    }

    for (value = 0, i = 0; i < 5; i++) {
        value = value << 8 | t->data[i];
    }

    fuzz_assert(value == seconds);

    for (value = 0; i < 9; i++) {
        value = value << 8 | (i < t->len ? t->data[i] : 0);
    }

    fuzz_assert(value == nanos);
}


/* what is a ts is also a since, of the same instant; instants are canonical */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    long                   nanos;
    u_char                *s;
    int64_t                seconds;
    ngx_int_t              ts, since;
    ngx_uint_t             is;
    ngx_lyftr_instant_t    a, b;

    s = fuzz_copy(data, size);

    ts = ngx_lyftr_instant_parse(s, size, &a);
    since = ngx_lyftr_instant_parse_since(s, size, &b);
    is = fuzz_is_instant(data, size, &seconds, &nanos);

    fuzz_assert(ts == (is == 2 ? NGX_OK : NGX_DECLINED));
    fuzz_assert(since == (is ? NGX_OK : NGX_DECLINED));

    if (since == NGX_OK) {
        fuzz_value(&b, seconds, nanos);
    }

    if (ts == NGX_OK) {
        fuzz_assert(a.len == b.len && memcmp(a.data, b.data, a.len) == 0);
    }

    free(s);

    return 0;
}


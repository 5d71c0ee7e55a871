
#include <ngx_lyftr_text.h>


#define NGX_LYFTR_INSTANT_DATE_LEN      (sizeof("YYYY-MM-DDThh:mm:ss") - 1)
#define NGX_LYFTR_INSTANT_OFFSET_LEN    (sizeof("+hh:mm") - 1)
#define NGX_LYFTR_INSTANT_DIGITS_MAX    9

#define NGX_LYFTR_INSTANT_SECONDS_LEN   5
#define NGX_LYFTR_INSTANT_NANOS_LEN     4

/* 1970-01-01 in seconds since 0001-01-01 */
#define NGX_LYFTR_INSTANT_EPOCH         62135596800

/* and 9999-12-31T23:59:59 */
#define NGX_LYFTR_INSTANT_LAST          315537897599


/* what a template's letter stands for, in the order of the text */

typedef enum {
    NGX_LYFTR_INSTANT_YEAR = 0,
    NGX_LYFTR_INSTANT_MONTH,
    NGX_LYFTR_INSTANT_DAY,
    NGX_LYFTR_INSTANT_HOUR,
    NGX_LYFTR_INSTANT_MINUTE,
    NGX_LYFTR_INSTANT_SECOND,
    NGX_LYFTR_INSTANT_PARTS
} ngx_lyftr_instant_part_e;


typedef struct {
    size_t      offset;
    size_t      digits;
    ngx_int_t   min;
    ngx_int_t   max;
} ngx_lyftr_instant_part_t;


static ngx_int_t ngx_lyftr_instant_date(u_char *s, int64_t *seconds);
static u_char *ngx_lyftr_instant_fraction(u_char *p, u_char *last,
    uint32_t *nanos);
static ngx_int_t ngx_lyftr_instant_offset(u_char *s, size_t len,
    int64_t *seconds);
static ngx_int_t ngx_lyftr_instant_number(u_char *s, size_t n, ngx_int_t min,
    ngx_int_t max);
static ngx_uint_t ngx_lyftr_instant_leap(ngx_int_t year);
static u_char *ngx_lyftr_instant_digits(u_char *p, int64_t n,
    ngx_uint_t digits, u_char ch);
static void ngx_lyftr_instant_set(ngx_lyftr_instant_t *t, int64_t seconds,
    uint32_t nanos);


static ngx_lyftr_instant_part_t
    ngx_lyftr_instant_parts[NGX_LYFTR_INSTANT_PARTS] =
{
    { 0, 4, 1, 9999 },
    { 5, 2, 1, 12 },
    { 8, 2, 1, 31 },
    { 11, 2, 0, 23 },
    { 14, 2, 0, 59 },
    { 17, 2, 0, 59 }
};


/* the days of a common year before each month, and of the whole */

static ngx_int_t  ngx_lyftr_instant_days[] = {
    0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365
};


ngx_int_t
ngx_lyftr_instant_parse(u_char *s, size_t len, ngx_lyftr_instant_t *t)
{
    u_char    *p, *last;
    int64_t    seconds;
    uint32_t   nanos;

    last = s + len;

    if (len <= NGX_LYFTR_INSTANT_DATE_LEN
        || s[10] != 'T'
        || ngx_lyftr_instant_date(s, &seconds) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    p = ngx_lyftr_instant_fraction(s + NGX_LYFTR_INSTANT_DATE_LEN, last,
                                   &nanos);

    if (p == NULL || last - p != 1 || *p != 'Z') {
        return NGX_DECLINED;
    }

    ngx_lyftr_instant_set(t, seconds, nanos);

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_instant_parse_since(u_char *s, size_t len, ngx_lyftr_instant_t *t)
{
    u_char    *p, *last;
    int64_t    seconds, offset;
    uint32_t   nanos;

    last = s + len;

    if (len <= NGX_LYFTR_INSTANT_DATE_LEN
        || (s[10] != 'T' && s[10] != 't')
        || ngx_lyftr_instant_date(s, &seconds) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    p = ngx_lyftr_instant_fraction(s + NGX_LYFTR_INSTANT_DATE_LEN, last,
                                   &nanos);

    if (p == NULL
        || ngx_lyftr_instant_offset(p, last - p, &offset) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    seconds -= offset;

    if (seconds < 0) {
        t->len = 0;
        return NGX_OK;
    }

    ngx_lyftr_instant_set(t, seconds, nanos);

    return NGX_OK;
}


/* all of YYYY-MM-DDThh:mm:ss but the T */

static ngx_int_t
ngx_lyftr_instant_date(u_char *s, int64_t *seconds)
{
    int64_t                    days;
    ngx_int_t                  v[NGX_LYFTR_INSTANT_PARTS], year, month, last;
    ngx_uint_t                 i;
    ngx_lyftr_instant_part_t  *part;

    if (s[4] != '-' || s[7] != '-' || s[13] != ':' || s[16] != ':') {
        return NGX_DECLINED;
    }

    for (i = 0; i < NGX_LYFTR_INSTANT_PARTS; i++) {
        part = &ngx_lyftr_instant_parts[i];

        v[i] = ngx_lyftr_instant_number(s + part->offset, part->digits,
                                        part->min, part->max);
        if (v[i] == NGX_ERROR) {
            return NGX_DECLINED;
        }
    }

    year = v[NGX_LYFTR_INSTANT_YEAR];
    month = v[NGX_LYFTR_INSTANT_MONTH];

    last = ngx_lyftr_instant_days[month] - ngx_lyftr_instant_days[month - 1];

    if (month == 2) {
        last += ngx_lyftr_instant_leap(year);
    }

    if (v[NGX_LYFTR_INSTANT_DAY] > last) {
        return NGX_DECLINED;
    }

    days = (year - 1) * 365 + (year - 1) / 4 - (year - 1) / 100
           + (year - 1) / 400
           + ngx_lyftr_instant_days[month - 1]
           + v[NGX_LYFTR_INSTANT_DAY] - 1;

    if (month > 2) {
        days += ngx_lyftr_instant_leap(year);
    }

    *seconds = days * 86400
               + v[NGX_LYFTR_INSTANT_HOUR] * 3600
               + v[NGX_LYFTR_INSTANT_MINUTE] * 60
               + v[NGX_LYFTR_INSTANT_SECOND];

    return NGX_OK;
}


/* an optional fraction; where it ends, or NULL */

static u_char *
ngx_lyftr_instant_fraction(u_char *p, u_char *last, uint32_t *nanos)
{
    ngx_uint_t  n;

    *nanos = 0;

    if (p == last || *p != '.') {
        return p;
    }

    p++;

    for (n = 0; p < last && *p >= '0' && *p <= '9'; n++) {

        if (n == NGX_LYFTR_INSTANT_DIGITS_MAX) {
            return NULL;
        }

        *nanos = *nanos * 10 + (*p++ - '0');
    }

    if (n == 0) {
        return NULL;
    }

    for ( /* void */ ; n < NGX_LYFTR_INSTANT_DIGITS_MAX; n++) {
        *nanos *= 10;
    }

    return p;
}


static ngx_int_t
ngx_lyftr_instant_offset(u_char *s, size_t len, int64_t *seconds)
{
    ngx_int_t  hours, minutes;

    if (len == 1 && (*s == 'Z' || *s == 'z')) {
        *seconds = 0;
        return NGX_OK;
    }

    if (len != NGX_LYFTR_INSTANT_OFFSET_LEN
        || (s[0] != '+' && s[0] != '-')
        || s[3] != ':')
    {
        return NGX_DECLINED;
    }

    hours = ngx_lyftr_instant_number(s + 1, 2, 0, 23);
    minutes = ngx_lyftr_instant_number(s + 4, 2, 0, 59);

    if (hours == NGX_ERROR || minutes == NGX_ERROR) {
        return NGX_DECLINED;
    }

    *seconds = hours * 3600 + minutes * 60;

    if (s[0] == '-') {
        *seconds = -*seconds;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_instant_number(u_char *s, size_t n, ngx_int_t min, ngx_int_t max)
{
    size_t     i;
    ngx_int_t  value;

    value = 0;

    for (i = 0; i < n; i++) {

        if (s[i] < '0' || s[i] > '9') {
            return NGX_ERROR;
        }

        value = value * 10 + (s[i] - '0');
    }

    return (value < min || value > max) ? NGX_ERROR : value;
}


static ngx_uint_t
ngx_lyftr_instant_leap(ngx_int_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}


static void
ngx_lyftr_instant_set(ngx_lyftr_instant_t *t, int64_t seconds, uint32_t nanos)
{
    ngx_int_t  i;

    for (i = NGX_LYFTR_INSTANT_SECONDS_LEN - 1; i >= 0; i--) {
        t->data[i] = (u_char) (seconds & 0xff);
        seconds >>= 8;
    }

    for (i = NGX_LYFTR_INSTANT_NANOS_LEN - 1; i >= 0; i--) {
        t->data[NGX_LYFTR_INSTANT_SECONDS_LEN + i] = (u_char) (nanos & 0xff);
        nanos >>= 8;
    }

    t->len = NGX_LYFTR_INSTANT_SECONDS_LEN + NGX_LYFTR_INSTANT_NANOS_LEN;

    while (t->len > NGX_LYFTR_INSTANT_SECONDS_LEN
           && t->data[t->len - 1] == 0)
    {
        t->len--;
    }
}


u_char *
ngx_lyftr_instant_write(u_char *p, int64_t seconds)
{
    int64_t    days, year;
    ngx_int_t  month, leap;

    seconds += NGX_LYFTR_INSTANT_EPOCH;

    if (seconds < 0 || seconds > NGX_LYFTR_INSTANT_LAST) {
        return NULL;
    }

    days = seconds / 86400;
    seconds %= 86400;

    /* of 400 years, of 100 and of 4 the last one is longer than the others */

    year = days / 146097 * 400;
    days %= 146097;

    leap = ngx_min(days / 36524, 3);
    year += leap * 100;
    days -= leap * 36524;

    year += days / 1461 * 4;
    days %= 1461;

    leap = ngx_min(days / 365, 3);
    year += leap + 1;
    days -= leap * 365;

    leap = ngx_lyftr_instant_leap(year);

    for (month = 12; month > 1; month--) {

        if (days >= ngx_lyftr_instant_days[month - 1] + (month > 2) * leap) {
            days -= ngx_lyftr_instant_days[month - 1] + (month > 2) * leap;
            break;
        }
    }

    p = ngx_lyftr_instant_digits(p, year, 4, '-');
    p = ngx_lyftr_instant_digits(p, month, 2, '-');
    p = ngx_lyftr_instant_digits(p, days + 1, 2, 'T');
    p = ngx_lyftr_instant_digits(p, seconds / 3600, 2, ':');
    p = ngx_lyftr_instant_digits(p, seconds / 60 % 60, 2, ':');

    return ngx_lyftr_instant_digits(p, seconds % 60, 2, 'Z');
}


static u_char *
ngx_lyftr_instant_digits(u_char *p, int64_t n, ngx_uint_t digits, u_char ch)
{
    ngx_uint_t  i;

    for (i = digits; i-- > 0; n /= 10) {
        p[i] = (u_char) ('0' + n % 10);
    }

    p[digits] = ch;

    return p + digits + 1;
}


int64_t
ngx_lyftr_instant_msec(ngx_lyftr_instant_t *t)
{
    size_t    i;
    int64_t   seconds;
    uint32_t  nanos;

    seconds = 0;
    nanos = 0;

    for (i = 0; i < NGX_LYFTR_INSTANT_SECONDS_LEN; i++) {
        seconds = seconds << 8 | t->data[i];
    }

    for ( /* void */ ; i < sizeof(t->data); i++) {
        nanos = nanos << 8 | (i < t->len ? t->data[i] : 0);
    }

    return (seconds - NGX_LYFTR_INSTANT_EPOCH) * 1000 + nanos / 1000000;
}

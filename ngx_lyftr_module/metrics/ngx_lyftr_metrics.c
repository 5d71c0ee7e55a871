#include <ngx_lyftr_metrics.h>


/* an upper bound of a line less its labels */
#define NGX_LYFTR_METRICS_LINE     256


static u_char *ngx_lyftr_metrics_name(u_char *p, char *metric,
    ngx_lyftr_metric_label_t *labels, ngx_uint_t n);
static u_char *ngx_lyftr_metrics_decimal(u_char *p, int64_t n, int64_t unit);
static size_t ngx_lyftr_metrics_len(ngx_lyftr_metric_label_t *labels,
    ngx_uint_t n);
static u_char *ngx_lyftr_metrics_escape(u_char *p, ngx_str_t *label);


ngx_int_t
ngx_lyftr_metrics_head(ngx_lyftr_output_t *out, char *metric, char *type,
    char *help)
{
    if (ngx_lyftr_output_reserve(out, 2 * NGX_LYFTR_METRICS_LINE
                                      + ngx_strlen(help))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    out->buf->last = ngx_sprintf(out->buf->last,
                                 "# HELP %s %s\n# TYPE %s %s\n",
                                 metric, help, metric, type);

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_metrics_line(ngx_lyftr_output_t *out, char *metric,
    ngx_lyftr_metric_label_t *labels, ngx_uint_t n, int64_t value,
    int64_t unit)
{
    u_char  *p;

    if (ngx_lyftr_output_reserve(out, ngx_lyftr_metrics_len(labels, n))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = ngx_lyftr_metrics_name(out->buf->last, metric, labels, n);
    *p++ = ' ';

    p = unit ? ngx_lyftr_metrics_decimal(p, value, unit)
             : ngx_cpymem(p, "NaN", sizeof("NaN") - 1);
    *p++ = LF;

    out->buf->last = p;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_metrics_histogram(ngx_lyftr_output_t *out, char *metric,
    ngx_lyftr_metric_label_t *label, ngx_lyftr_histogram_t *histogram,
    ngx_lyftr_scale_t *scale)
{
    u_char                    *p;
    int64_t                    count;
    ngx_str_t                  le;
    ngx_uint_t                 i;
    ngx_lyftr_metric_label_t   labels[2];

    /* the longest of the three names of a line, with its zero */

    u_char                     name[NGX_LYFTR_METRICS_LINE];

    labels[0] = *label;
    labels[1].name = "le";
    labels[1].value = &le;

    p = ngx_sprintf(name, "%s_bucket%Z", metric);
    p -= sizeof("_bucket");

    i = 0;
    count = 0;

    do {
        count += (int64_t) __atomic_load_n(&histogram->bucket[i],
                                           __ATOMIC_RELAXED);

        le.data = (u_char *) scale->bucket[i].le;
        le.len = ngx_strlen(le.data);

        if (ngx_lyftr_metrics_line(out, (char *) name, labels, 2, count, 1)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

    } while (scale->bucket[i++].limit != INT64_MAX);

    ngx_memcpy(p, "_sum", sizeof("_sum"));

    if (ngx_lyftr_metrics_line(out, (char *) name, label, 1,
                               (int64_t) __atomic_load_n(&histogram->sum,
                                                         __ATOMIC_RELAXED),
                               scale->unit)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(p, "_count", sizeof("_count"));

    return ngx_lyftr_metrics_line(out, (char *) name, label, 1, count, 1);
}


static u_char *
ngx_lyftr_metrics_name(u_char *p, char *metric,
    ngx_lyftr_metric_label_t *labels, ngx_uint_t n)
{
    ngx_uint_t  i;

    p = ngx_cpymem(p, metric, ngx_strlen(metric));

    for (i = 0; i < n; i++) {
        *p++ = i ? ',' : '{';
        p = ngx_sprintf(p, "%s=\"", labels[i].name);
        p = ngx_lyftr_metrics_escape(p, labels[i].value);
        *p++ = '"';
    }

    if (n) {
        *p++ = '}';
    }

    return p;
}


static size_t
ngx_lyftr_metrics_len(ngx_lyftr_metric_label_t *labels, ngx_uint_t n)
{
    size_t      len;
    ngx_uint_t  i;

    len = NGX_LYFTR_METRICS_LINE;

    for (i = 0; i < n; i++) {

        /* a byte can grow to %FF */

        len += sizeof(",=\"\"") + ngx_strlen(labels[i].name)
               + 3 * labels[i].value->len;
    }

    return len;
}


/* n / unit; unit is a power of ten */

static u_char *
ngx_lyftr_metrics_decimal(u_char *p, int64_t n, int64_t unit)
{
    if (n < 0) {
        *p++ = '-';
        n = -n;
    }

    p = ngx_sprintf(p, "%L", n / unit);

    if (unit == 1) {
        return p;
    }

    *p++ = '.';

    for (unit /= 10; unit > 0; unit /= 10) {
        *p++ = (u_char) ('0' + n / unit % 10);
    }

    return p;
}


/*
 * The format takes UTF-8 and three escapes.  What is no text is written as in a
 * URL, and with it "%", so that two labels never become one.
 */

static u_char *
ngx_lyftr_metrics_escape(u_char *p, ngx_str_t *label)
{
    u_char    *s, *from, *last;
    uint32_t   ch;

    s = label->data;
    last = s + label->len;

    while (s < last) {
        from = s;
        ch = ngx_lyftr_utf8_decode(&s, last);

        if (ch == NGX_LYFTR_UTF8_INVALID || ch < 0x20 || ch == 0x7f
            || ch == '%')
        {
            p = ngx_sprintf(p, "%%%02Xi", (ngx_uint_t) *from);
            continue;
        }

        if (ch == '"' || ch == '\\') {
            *p++ = '\\';
        }

        p = ngx_cpymem(p, from, s - from);
    }

    return p;
}

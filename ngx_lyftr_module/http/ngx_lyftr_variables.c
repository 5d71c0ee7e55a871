#include <ngx_lyftr_outcome.h>


/*
 * A log line stays within PIPE_BUF, 4096 bytes, so that lines of several
 * workers never mix in a pipe: what a caller sends is cut.  These are lengths
 * after the escaping of log_format's escape=json.
 */

#define NGX_LYFTR_LOG_PATH_LEN     2048
#define NGX_LYFTR_LOG_ID_LEN       1024
#define NGX_LYFTR_LOG_METHOD_LEN   32
#define NGX_LYFTR_LOG_SECRET_LEN   128


static ngx_int_t ngx_lyftr_variable_ts(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_lyftr_variable_level(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_lyftr_variable_method(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_lyftr_variable_path(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_lyftr_variable_latency_ms(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_lyftr_variable_result(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_lyftr_variable_dup(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_lyftr_variable_message_id(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_lyftr_variable_items(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_lyftr_variable_secret_name(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_lyftr_variable_body_length(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_lyftr_variable_allow(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);

static void ngx_lyftr_variable_line(ngx_http_request_t *r, ngx_str_t *line);
static void ngx_lyftr_variable_set(ngx_http_variable_value_t *v, u_char *data,
    size_t len);
static ngx_int_t ngx_lyftr_variable_text(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, u_char *data, size_t len, size_t max);


static ngx_http_variable_t  ngx_lyftr_vars[] = {

    { ngx_string("lyftr_ts"), NULL, ngx_lyftr_variable_ts,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("lyftr_level"), NULL, ngx_lyftr_variable_level,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("lyftr_method"), NULL, ngx_lyftr_variable_method,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("lyftr_path"), NULL, ngx_lyftr_variable_path,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("lyftr_latency_ms"), NULL, ngx_lyftr_variable_latency_ms,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("lyftr_result"), NULL, ngx_lyftr_variable_result,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("lyftr_dup"), NULL, ngx_lyftr_variable_dup,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("lyftr_message_id"), NULL, ngx_lyftr_variable_message_id,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("lyftr_items"), NULL, ngx_lyftr_variable_items,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("lyftr_secret_name"), NULL, ngx_lyftr_variable_secret_name,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("lyftr_body_length"), NULL, ngx_lyftr_variable_body_length,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("lyftr_allow"), NULL, ngx_lyftr_variable_allow,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


/* RFC 3339 in UTC with milliseconds */

static ngx_int_t
ngx_lyftr_variable_ts(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char      *p;
    ngx_tm_t     tm;
    ngx_time_t  *tp;

    p = ngx_pnalloc(r->pool, sizeof("1970-09-28T12:00:00.000Z") - 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    tp = ngx_timeofday();
    ngx_gmtime(tp->sec, &tm);

    v->data = p;
    v->len = ngx_sprintf(p, "%04d-%02d-%02dT%02d:%02d:%02d.%03MZ",
                         tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                         tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec,
                         tp->msec)
             - p;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_variable_level(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_uint_t  status;

    status = ngx_lyftr_outcome_status(r);

    if (status >= NGX_HTTP_INTERNAL_SERVER_ERROR
        || ngx_lyftr_outcome_result(r) == NGX_LYFTR_INVALID_SIGNATURE)
    {
        ngx_lyftr_variable_set(v, (u_char *) "ERROR", 5);

    } else if (status >= NGX_HTTP_BAD_REQUEST) {
        ngx_lyftr_variable_set(v, (u_char *) "WARNING", 7);

    } else {
        ngx_lyftr_variable_set(v, (u_char *) "INFO", 4);
    }

    return NGX_OK;
}


/* an internal redirect makes the method GET, the request line keeps it */

static ngx_int_t
ngx_lyftr_variable_method(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char     *p, *last;
    ngx_str_t   line;

    ngx_lyftr_variable_line(r, &line);

    p = line.data;
    last = ngx_lyftr_find(p, p + line.len, ' ');

    return ngx_lyftr_variable_text(r, v, p, last - p,
                                   NGX_LYFTR_LOG_METHOD_LEN);
}


/* a request line that could not be parsed, or was too long, has no URI */

static ngx_int_t
ngx_lyftr_variable_path(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char     *p, *last;
    ngx_str_t   line;

    p = r->unparsed_uri.data;
    last = p + r->unparsed_uri.len;

    if (p == last) {
        ngx_lyftr_variable_line(r, &line);

        last = line.data + line.len;
        p = ngx_lyftr_find(line.data, last, ' ');
        p += (p < last);
        last = ngx_lyftr_find(p, last, ' ');
    }

    last = ngx_lyftr_find(p, last, '?');

    return ngx_lyftr_variable_text(r, v, p, last - p, NGX_LYFTR_LOG_PATH_LEN);
}


static void
ngx_lyftr_variable_line(ngx_http_request_t *r, ngx_str_t *line)
{
    u_char     *p, *last;
    ngx_buf_t  *b;

    *line = r->request_line;

    b = r->header_in;
    p = r->request_start;

    if (line->len || b == NULL || p < b->start || p >= b->last) {
        return;
    }

    last = ngx_lyftr_find(p, b->last, LF);
    last = ngx_lyftr_find(p, last, CR);

    line->data = p;
    line->len = last - p;
}


static ngx_int_t
ngx_lyftr_variable_latency_ms(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char   *p;
    int64_t   usec;

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN + 4);
    if (p == NULL) {
        return NGX_ERROR;
    }

    usec = ngx_lyftr_outcome_latency(r);

    ngx_lyftr_variable_set(v, p, 0);
    v->len = ngx_sprintf(p, "%L.%03L", usec / 1000, usec % 1000) - p;

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_variable_result(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_str_t  *result;

    result = &ngx_lyftr_results[ngx_lyftr_outcome_result(r)];

    ngx_lyftr_variable_set(v, result->data, result->len);

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_variable_dup(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    if (ngx_lyftr_outcome_result(r) == NGX_LYFTR_DUPLICATE) {
        ngx_lyftr_variable_set(v, (u_char *) "true", 4);

    } else {
        ngx_lyftr_variable_set(v, (u_char *) "false", 5);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_variable_message_id(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_lyftr_ctx_t  *ctx;

    ctx = ngx_lyftr_request_ctx(r);

    if (ctx == NULL) {
        ngx_lyftr_variable_set(v, (u_char *) "", 0);
        return NGX_OK;
    }

    return ngx_lyftr_variable_text(r, v, ctx->message_id.data,
                                   ctx->message_id.len, NGX_LYFTR_LOG_ID_LEN);
}


static ngx_int_t
ngx_lyftr_variable_items(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char           *p;
    ngx_lyftr_ctx_t  *ctx;

    p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx = ngx_lyftr_request_ctx(r);

    ngx_lyftr_variable_set(v, p, 0);
    v->len = ngx_sprintf(p, "%ui", ctx ? ctx->items : 0) - p;

    return NGX_OK;
}


/* that of the secret which has verified the signature */

static ngx_int_t
ngx_lyftr_variable_secret_name(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t        *name;
    ngx_lyftr_ctx_t  *ctx;

    ctx = ngx_lyftr_request_ctx(r);

    if (ctx == NULL || ctx->secret == NULL) {
        ngx_lyftr_variable_set(v, (u_char *) "", 0);
        return NGX_OK;
    }

    name = ngx_lyftr_zone_name(&ctx->main->zone, NGX_LYFTR_LABEL_SECRET,
                               ctx->secret->label);

    return ngx_lyftr_variable_text(r, v, name->data, name->len,
                                   NGX_LYFTR_LOG_SECRET_LEN);
}


/* of what was read, or else of what the header announces */

static ngx_int_t
ngx_lyftr_variable_body_length(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    off_t         len;
    u_char       *p;
    ngx_chain_t  *cl;

    p = ngx_pnalloc(r->pool, NGX_OFF_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    len = 0;

    if (r->request_body && r->request_body->bufs) {

        for (cl = r->request_body->bufs; cl; cl = cl->next) {
            len += ngx_buf_size(cl->buf);
        }

    } else if (r->headers_in.content_length_n > 0) {
        len = r->headers_in.content_length_n;
    }

    ngx_lyftr_variable_set(v, p, 0);
    v->len = ngx_sprintf(p, "%O", len) - p;

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_variable_allow(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_lyftr_endpoint_t  *endpoint;

    endpoint = ngx_lyftr_location_endpoint(r);

    if (endpoint) {
        ngx_lyftr_variable_set(v, endpoint->kind->allow.data,
                               endpoint->kind->allow.len);
    } else {
        ngx_lyftr_variable_set(v, (u_char *) "", 0);
    }

    return NGX_OK;
}


static void
ngx_lyftr_variable_set(ngx_http_variable_value_t *v, u_char *data, size_t len)
{
    v->data = data;
    v->len = len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
}


/*
 * Makes text of a caller valid UTF-8 and cuts it, so that it has at most max
 * bytes once log_format has escaped it.
 */

static ngx_int_t
ngx_lyftr_variable_text(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    u_char *data, size_t len, size_t max)
{
    u_char    *p, *dst, *from, *last;
    size_t     size, cost;
    uint32_t   ch;

    dst = ngx_pnalloc(r->pool, ngx_min(3 * len, max));
    if (dst == NULL) {
        return NGX_ERROR;
    }

    ngx_lyftr_variable_set(v, dst, 0);

    p = data;
    last = data + len;
    size = 0;

    while (p < last) {
        from = p;
        ch = ngx_lyftr_utf8_decode(&p, last);

        if (ch == NGX_LYFTR_UTF8_INVALID) {
            cost = 3;

        } else if (ch < 0x20) {
            cost = sizeof("\\u001f") - 1;

        } else if (ch == '"' || ch == '\\') {
            cost = 2;

        } else {
            cost = p - from;
        }

        if (size + cost > max) {
            break;
        }

        size += cost;

        dst = (ch == NGX_LYFTR_UTF8_INVALID)
              ? ngx_cpymem(dst, "\xef\xbf\xbd", 3)
              : ngx_cpymem(dst, from, p - from);
    }

    v->len = dst - v->data;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_variables_add(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_lyftr_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}

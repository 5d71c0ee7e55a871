
#include <ngx_lyftr_text.h>


#define NGX_LYFTR_QUERY_LIMIT_MAX  100
#define NGX_LYFTR_QUERY_LIMIT      50


/* the order is that of the faults */

typedef enum {
    NGX_LYFTR_QUERY_LIMIT_ARG = 0,
    NGX_LYFTR_QUERY_OFFSET_ARG,
    NGX_LYFTR_QUERY_FROM_ARG,
    NGX_LYFTR_QUERY_SINCE_ARG,
    NGX_LYFTR_QUERY_UNTIL_ARG,
    NGX_LYFTR_QUERY_Q_ARG,
    NGX_LYFTR_QUERY_ID_ARG,
    NGX_LYFTR_QUERY_TYPE_ARG,
    NGX_LYFTR_QUERY_FORMAT_ARG,
    NGX_LYFTR_QUERY_FIELDS_ARG,
    NGX_LYFTR_QUERY_ORDER_ARG,
    NGX_LYFTR_QUERY_AFTER_ARG,
    NGX_LYFTR_QUERY_ARGS
} ngx_lyftr_query_arg_e;


typedef struct {
    ngx_str_t    name;
    ngx_uint_t   form;                     /* '+' is a space */
    ngx_uint_t   kinds;                    /* of queries that know it, */
    ngx_uint_t   refuse;                   /* and those that refuse it */
    ngx_int_t  (*parse)(ngx_str_t *values, ngx_str_t *value,
                     ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault);

    /* where the next page has it from; 0: it does not */
    size_t       next;
} ngx_lyftr_query_arg_t;


static ngx_uint_t ngx_lyftr_query_absent(ngx_uint_t kind, ngx_uint_t arg,
    ngx_str_t *value);
static void ngx_lyftr_query_split(ngx_str_t *args, u_char *arena,
    ngx_str_t *values);
static ngx_int_t ngx_lyftr_query_limit(ngx_str_t *values, ngx_str_t *value,
    ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault);
static ngx_int_t ngx_lyftr_query_offset(ngx_str_t *values, ngx_str_t *value,
    ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault);
static ngx_int_t ngx_lyftr_query_from(ngx_str_t *values, ngx_str_t *value,
    ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault);
static ngx_int_t ngx_lyftr_query_since(ngx_str_t *values, ngx_str_t *value,
    ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault);
static ngx_int_t ngx_lyftr_query_until(ngx_str_t *values, ngx_str_t *value,
    ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault);
static ngx_int_t ngx_lyftr_query_q(ngx_str_t *values, ngx_str_t *value,
    ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault);
static ngx_int_t ngx_lyftr_query_id(ngx_str_t *values, ngx_str_t *value,
    ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault);
static ngx_int_t ngx_lyftr_query_type(ngx_str_t *values, ngx_str_t *value,
    ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault);
static ngx_int_t ngx_lyftr_query_format(ngx_str_t *values, ngx_str_t *value,
    ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault);
static ngx_int_t ngx_lyftr_query_fields(ngx_str_t *values, ngx_str_t *value,
    ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault);
static ngx_int_t ngx_lyftr_query_order(ngx_str_t *values, ngx_str_t *value,
    ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault);
static ngx_int_t ngx_lyftr_query_after(ngx_str_t *values, ngx_str_t *value,
    ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault);
static ngx_int_t ngx_lyftr_query_int(ngx_str_t *s, int64_t min, int64_t max,
    int64_t *n, ngx_lyftr_fault_t *fault);
static ngx_uint_t ngx_lyftr_query_matchable(ngx_str_t *s);
static u_char *ngx_lyftr_query_write_arg(u_char *p, ngx_str_t *name,
    ngx_str_t *value);
static ngx_uint_t ngx_lyftr_query_unreserved(u_char c);


#define NGX_LYFTR_QUERY_LISTS                                                 \
    (NGX_LYFTR_QUERY_LIST|NGX_LYFTR_QUERY_EXPORT)

#define NGX_LYFTR_QUERY_OUTS                                                  \
    (NGX_LYFTR_QUERY_STREAM|NGX_LYFTR_QUERY_EXPORT)

#define NGX_LYFTR_QUERY_ALL                                                   \
    (NGX_LYFTR_QUERY_LIST|NGX_LYFTR_QUERY_OUTS)


static ngx_lyftr_query_arg_t  ngx_lyftr_query_args[NGX_LYFTR_QUERY_ARGS] = {

    { ngx_string("limit"), 1, NGX_LYFTR_QUERY_LIST, NGX_LYFTR_QUERY_OUTS,
      ngx_lyftr_query_limit, 0 },

    { ngx_string("offset"), 1, NGX_LYFTR_QUERY_LIST, NGX_LYFTR_QUERY_OUTS,
      ngx_lyftr_query_offset, 0 },

    { ngx_string("from"), 0, NGX_LYFTR_QUERY_ALL, 0,
      ngx_lyftr_query_from, offsetof(ngx_lyftr_query_t, from) },

    { ngx_string("since"), 0, NGX_LYFTR_QUERY_LISTS, NGX_LYFTR_QUERY_STREAM,
      ngx_lyftr_query_since, offsetof(ngx_lyftr_query_t, since) },

    { ngx_string("until"), 0, NGX_LYFTR_QUERY_LISTS, NGX_LYFTR_QUERY_STREAM,
      ngx_lyftr_query_until, offsetof(ngx_lyftr_query_t, until) },

    { ngx_string("q"), 1, NGX_LYFTR_QUERY_ALL, 0,
      ngx_lyftr_query_q, offsetof(ngx_lyftr_query_t, q) },

    { ngx_string("id"), 0, NGX_LYFTR_QUERY_LISTS, NGX_LYFTR_QUERY_STREAM,
      ngx_lyftr_query_id, offsetof(ngx_lyftr_query_t, id) },

    { ngx_string("type"), 1, NGX_LYFTR_QUERY_OUTS, 0,
      ngx_lyftr_query_type, 0 },

    { ngx_string("format"), 1, NGX_LYFTR_QUERY_EXPORT, 0,
      ngx_lyftr_query_format, 0 },

    { ngx_string("fields"), 1, NGX_LYFTR_QUERY_ALL, 0,
      ngx_lyftr_query_fields, offsetof(ngx_lyftr_query_t, show) },

    { ngx_string("order"), 1, NGX_LYFTR_QUERY_LISTS, NGX_LYFTR_QUERY_STREAM,
      ngx_lyftr_query_order, offsetof(ngx_lyftr_query_t, order) },

    { ngx_string("after"), 0, NGX_LYFTR_QUERY_ALL, 0,
      ngx_lyftr_query_after, 0 }
};


ngx_int_t
ngx_lyftr_query_parse_as(ngx_uint_t kind, ngx_str_t *args, u_char *arena,
    ngx_lyftr_query_t *q, ngx_lyftr_faults_t *faults)
{
    ngx_str_t               values[NGX_LYFTR_QUERY_ARGS];
    ngx_uint_t              i;
    ngx_lyftr_fault_t      *fault, why;
    ngx_lyftr_query_arg_t  *arg;

    ngx_memzero(q, sizeof(ngx_lyftr_query_t));
    ngx_memzero(values, sizeof(values));

    q->limit = NGX_LYFTR_QUERY_LIMIT;
    q->fields = (kind == NGX_LYFTR_QUERY_EXPORT) ? NGX_LYFTR_FIELDS_EXPORT
                                                 : NGX_LYFTR_FIELDS_DEFAULT;

    ngx_str_set(&faults->in, "query");
    faults->n = 0;

    if (args->len) {
        ngx_lyftr_query_split(args, arena, values);
    }

    for (i = 0; i < NGX_LYFTR_QUERY_ARGS; i++) {
        arg = &ngx_lyftr_query_args[i];

        if (values[i].data == NULL) {
            continue;
        }

        if (kind & arg->refuse) {
            why.type = NGX_LYFTR_EXTRA;

        } else if (!(kind & arg->kinds)
                   || ngx_lyftr_query_absent(kind, i, &values[i])
                   || arg->parse(values, &values[i], q, &why) == NGX_OK)
        {
            continue;
        }

        fault = ngx_lyftr_fault_add(faults, why.type, &arg->name);

        if (fault) {
            fault->bound = why.bound;
            fault->input_type = NGX_LYFTR_INPUT_STRING;
            fault->input = values[i];
        }
    }

    return faults->n ? NGX_DECLINED : NGX_OK;
}


/* where a walk begins: a header says it, or it is from the start */

static ngx_uint_t
ngx_lyftr_query_absent(ngx_uint_t kind, ngx_uint_t arg, ngx_str_t *value)
{
    return arg == NGX_LYFTR_QUERY_AFTER_ARG
           && ((kind & NGX_LYFTR_QUERY_RESUME)
               || ((kind & NGX_LYFTR_QUERY_OUTS) && value->len == 0));
}


/* of a parameter that is repeated the last value stays */

static void
ngx_lyftr_query_split(ngx_str_t *args, u_char *arena, ngx_str_t *values)
{
    u_char      *p, *last, *end, *eq, *value, *name_last;
    size_t       len;
    ngx_str_t   *name;
    ngx_uint_t   i;

    last = args->data + args->len;

    for (p = args->data; p < last; p = end + 1) {
        end = ngx_strlchr(p, last, '&');

        if (end == NULL) {
            end = last;
        }

        eq = ngx_strlchr(p, end, '=');

        name_last = eq ? eq : end;
        value = eq ? eq + 1 : end;

        len = ngx_lyftr_query_decode(arena, p, name_last, 1) - arena;

        for (i = 0; i < NGX_LYFTR_QUERY_ARGS; i++) {
            name = &ngx_lyftr_query_args[i].name;

            if (name->len != len || ngx_memcmp(name->data, arena, len) != 0) {
                continue;
            }

            values[i].data = arena;
            arena = ngx_lyftr_query_decode(arena, value, end,
                                           ngx_lyftr_query_args[i].form);
            values[i].len = arena - values[i].data;
            break;
        }
    }
}


u_char *
ngx_lyftr_query_decode(u_char *dst, u_char *s, u_char *last, ngx_uint_t form)
{
    ngx_int_t  high, low;

    for ( /* void */ ; s < last; s++) {

        if (*s == '%' && last - s > 2) {
            high = ngx_lyftr_hex(s[1]);
            low = ngx_lyftr_hex(s[2]);

            if (high != NGX_ERROR && low != NGX_ERROR) {
                *dst++ = (u_char) (high << 4 | low);
                s += 2;
                continue;
            }
        }

        *dst++ = (form && *s == '+') ? ' ' : *s;
    }

    return dst;
}


static ngx_int_t
ngx_lyftr_query_limit(ngx_str_t *values, ngx_str_t *value,
    ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault)
{
    int64_t  n;

    if (ngx_lyftr_query_int(value, 1, NGX_LYFTR_QUERY_LIMIT_MAX, &n, fault)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    q->limit = (ngx_int_t) n;

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_query_offset(ngx_str_t *values, ngx_str_t *value,
    ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault)
{
    return ngx_lyftr_query_int(value, 0, INT64_MAX, &q->offset, fault);
}


static ngx_int_t
ngx_lyftr_query_from(ngx_str_t *values, ngx_str_t *value,
    ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault)
{
    q->from = *value;

    if (!ngx_lyftr_query_matchable(value)) {
        q->none = 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_query_since(ngx_str_t *values, ngx_str_t *value,
    ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault)
{
    if (value->len == 0) {
        return NGX_OK;
    }

    q->since = *value;
    fault->type = NGX_LYFTR_DATETIME;

    return ngx_lyftr_instant_parse_since(value->data, value->len,
                                         &q->instant);
}


static ngx_int_t
ngx_lyftr_query_until(ngx_str_t *values, ngx_str_t *value,
    ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault)
{
    if (value->len == 0) {
        return NGX_OK;
    }

    q->until = *value;
    fault->type = NGX_LYFTR_DATETIME;

    return ngx_lyftr_instant_parse_since(value->data, value->len, &q->end);
}


static ngx_int_t
ngx_lyftr_query_q(ngx_str_t *values, ngx_str_t *value, ngx_lyftr_query_t *q,
    ngx_lyftr_fault_t *fault)
{
    q->q = *value;

    if (!ngx_lyftr_query_matchable(value)) {
        q->none = 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_query_id(ngx_str_t *values, ngx_str_t *value, ngx_lyftr_query_t *q,
    ngx_lyftr_fault_t *fault)
{
    q->id = *value;

    if (!ngx_lyftr_query_matchable(value)) {
        q->none = 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_query_type(ngx_str_t *values, ngx_str_t *value, ngx_lyftr_query_t *q,
    ngx_lyftr_fault_t *fault)
{
    q->type = *value;

    if (!ngx_lyftr_query_matchable(value)) {
        q->none = 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_query_format(ngx_str_t *values, ngx_str_t *value,
    ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault)
{
    ngx_uint_t        i;
    static ngx_str_t  formats[] = {
        ngx_string(""),
        ngx_string("ndjson"),
        ngx_string("csv"),
        ngx_string("sheet")
    };

    fault->type = NGX_LYFTR_LITERAL_FORMAT;

    for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {

        if (value->len == formats[i].len
            && ngx_memcmp(value->data, formats[i].data, value->len) == 0)
        {
            q->format = i;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_lyftr_query_fields(ngx_str_t *values, ngx_str_t *value,
    ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault)
{
    u_char      *p, *last, *end;
    ngx_int_t    field;
    ngx_uint_t   fields;

    if (value->len == 0) {
        return NGX_OK;
    }

    fault->type = NGX_LYFTR_LITERAL_FIELDS;
    fields = 0;

    last = value->data + value->len;

    for (p = value->data; p <= last; p = end + 1) {
        end = ngx_strlchr(p, last, ',');

        if (end == NULL) {
            end = last;
        }

        field = ngx_lyftr_item_field(p, end - p);

        if (field == NGX_DECLINED || (fields & ngx_lyftr_field(field))) {
            return NGX_DECLINED;
        }

        fields |= ngx_lyftr_field(field);
    }

    q->show = *value;
    q->fields = fields;

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_query_order(ngx_str_t *values, ngx_str_t *value,
    ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault)
{
    q->order = *value;
    fault->type = NGX_LYFTR_LITERAL_ORDER;

    if (value->len == 4 && ngx_memcmp(value->data, "desc", 4) == 0) {
        q->desc = 1;
        return NGX_OK;
    }

    return value->len == 0
           || (value->len == 3 && ngx_memcmp(value->data, "asc", 3) == 0)
           ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_lyftr_query_after(ngx_str_t *values, ngx_str_t *value,
    ngx_lyftr_query_t *q, ngx_lyftr_fault_t *fault)
{
    q->cursor = *value;
    fault->type = NGX_LYFTR_CURSOR;

    if (values[NGX_LYFTR_QUERY_OFFSET_ARG].data) {
        return NGX_DECLINED;
    }

    return ngx_lyftr_cursor_read(value, &q->after);
}


static ngx_int_t
ngx_lyftr_query_int(ngx_str_t *s, int64_t min, int64_t max, int64_t *n,
    ngx_lyftr_fault_t *fault)
{
    u_char      *p, *last;
    uint64_t     u;
    ngx_uint_t   negative;

    p = s->data;
    last = s->data + s->len;

    while (p < last && *p == ' ') {
        p++;
    }

    while (p < last && *(last - 1) == ' ') {
        last--;
    }

    negative = (p < last && *p == '-');
    p += negative;

    fault->type = NGX_LYFTR_INT_PARSING;

    if (p == last) {
        return NGX_DECLINED;
    }

    /* u stops growing where it is out of any range */

    for (u = 0; p < last; p++) {

        if (*p < '0' || *p > '9') {
            return NGX_DECLINED;
        }

        u = (u > INT64_MAX / 10) ? (uint64_t) INT64_MAX + 1
                                 : u * 10 + (*p - '0');
    }

    if (negative ? (u > 0 || min > 0) : (u < (uint64_t) min)) {
        fault->type = NGX_LYFTR_GREATER_EQUAL;
        fault->bound = min;
        return NGX_DECLINED;
    }

    if (u > (uint64_t) max) {
        fault->type = NGX_LYFTR_LESS_EQUAL;
        fault->bound = max;
        return NGX_DECLINED;
    }

    *n = (int64_t) u;

    return NGX_OK;
}


/* no stored string has what JSON or our schema refuses */

static ngx_uint_t
ngx_lyftr_query_matchable(ngx_str_t *s)
{
    return memchr(s->data, '\0', s->len) == NULL
           && ngx_lyftr_utf8_valid(s->data, s->len) == s->len;
}


size_t
ngx_lyftr_query_next_len(ngx_lyftr_query_t *q)
{
    size_t                  len;
    ngx_uint_t              i;
    ngx_lyftr_query_arg_t  *arg;

    len = sizeof("limit=&after=") - 1 + NGX_INT64_LEN + NGX_LYFTR_CURSOR_LEN;

    for (i = 0; i < NGX_LYFTR_QUERY_ARGS; i++) {
        arg = &ngx_lyftr_query_args[i];

        if (arg->next) {
            len += arg->name.len + 2
                   + 3 * ((ngx_str_t *) ((u_char *) q + arg->next))->len;
        }
    }

    return len;
}


u_char *
ngx_lyftr_query_write_next(u_char *p, ngx_lyftr_query_t *q,
    ngx_lyftr_position_t *last)
{
    ngx_uint_t              i;
    ngx_lyftr_query_arg_t  *arg;

    p = ngx_cpymem(p, "limit=", sizeof("limit=") - 1);
    p = ngx_lyftr_json_int(p, q->limit);

    for (i = 0; i < NGX_LYFTR_QUERY_ARGS; i++) {
        arg = &ngx_lyftr_query_args[i];

        if (arg->next) {
            p = ngx_lyftr_query_write_arg(p, &arg->name,
                                 (ngx_str_t *) ((u_char *) q + arg->next));
        }
    }

    p = ngx_cpymem(p, "&after=", sizeof("&after=") - 1);

    return ngx_lyftr_cursor_write(p, last);
}


static u_char *
ngx_lyftr_query_write_arg(u_char *p, ngx_str_t *name, ngx_str_t *value)
{
    size_t         i;
    u_char         c;
    static u_char  hex[] = "0123456789ABCDEF";

    if (value->len == 0) {
        return p;
    }

    *p++ = '&';
    p = ngx_cpymem(p, name->data, name->len);
    *p++ = '=';

    for (i = 0; i < value->len; i++) {
        c = value->data[i];

        if (ngx_lyftr_query_unreserved(c)) {
            *p++ = c;
            continue;
        }

        *p++ = '%';
        *p++ = hex[c >> 4];
        *p++ = hex[c & 0xf];
    }

    return p;
}


static ngx_uint_t
ngx_lyftr_query_unreserved(u_char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
           || (c >= 'a' && c <= 'z')
           || c == '-' || c == '.' || c == '_' || c == '~';
}


void
ngx_lyftr_query_bad_cursor(ngx_lyftr_query_t *q, ngx_lyftr_faults_t *faults)
{
    ngx_str_t          *name;
    ngx_lyftr_fault_t  *fault;

    ngx_str_set(&faults->in, "query");
    faults->n = 0;

    name = &ngx_lyftr_query_args[NGX_LYFTR_QUERY_AFTER_ARG].name;
    fault = ngx_lyftr_fault_add(faults, NGX_LYFTR_CURSOR, name);

    if (fault) {
        fault->input_type = NGX_LYFTR_INPUT_STRING;
        fault->input = q->cursor;
    }
}


void
ngx_lyftr_query_bad_header(ngx_lyftr_query_t *q, ngx_lyftr_faults_t *faults)
{
    ngx_lyftr_fault_t  *fault;
    static ngx_str_t    name = ngx_string("last-event-id");

    ngx_str_set(&faults->in, "header");
    faults->n = 0;

    fault = ngx_lyftr_fault_add(faults, NGX_LYFTR_CURSOR, &name);

    if (fault) {
        fault->input_type = NGX_LYFTR_INPUT_STRING;
        fault->input = q->cursor;
    }
}

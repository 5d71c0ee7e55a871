
#include <ngx_lyftr_text.h>
#include <ngx_lyftr_schema.h>


typedef struct {
    ngx_str_t            name;
    size_t               offset;           /* in ngx_lyftr_message_t */
    ngx_uint_t           optional;         /* may be absent or null */
    ngx_int_t          (*check)(ngx_str_t *s, ngx_lyftr_message_t *m);
    ngx_lyftr_fault_e    fault;            /* if check fails */
} ngx_lyftr_schema_field_t;


static ngx_int_t ngx_lyftr_schema_check(ngx_lyftr_schema_field_t *field,
    ngx_lyftr_schema_value_t *value, ngx_lyftr_message_t *m,
    ngx_lyftr_fault_e *type);
static ngx_uint_t ngx_lyftr_schema_null(ngx_lyftr_schema_value_t *value);
static ngx_int_t ngx_lyftr_schema_check_id(ngx_str_t *s,
    ngx_lyftr_message_t *m);
static ngx_int_t ngx_lyftr_schema_check_msisdn(ngx_str_t *s,
    ngx_lyftr_message_t *m);
static ngx_int_t ngx_lyftr_schema_check_ts(ngx_str_t *s,
    ngx_lyftr_message_t *m);
static ngx_int_t ngx_lyftr_schema_check_text(ngx_str_t *s,
    ngx_lyftr_message_t *m);


/* the order is that of the faults */

static ngx_lyftr_schema_field_t
    ngx_lyftr_schema_fields[NGX_LYFTR_SCHEMA_FIELDS] =
{
    { ngx_string("message_id"),
      offsetof(ngx_lyftr_message_t, message_id),
      0,
      ngx_lyftr_schema_check_id,
      NGX_LYFTR_STRING_TOO_SHORT },

    { ngx_string("from"),
      offsetof(ngx_lyftr_message_t, from),
      0,
      ngx_lyftr_schema_check_msisdn,
      NGX_LYFTR_STRING_PATTERN },

    { ngx_string("to"),
      offsetof(ngx_lyftr_message_t, to),
      0,
      ngx_lyftr_schema_check_msisdn,
      NGX_LYFTR_STRING_PATTERN },

    { ngx_string("ts"),
      offsetof(ngx_lyftr_message_t, ts),
      0,
      ngx_lyftr_schema_check_ts,
      NGX_LYFTR_DATETIME },

    { ngx_string("text"),
      offsetof(ngx_lyftr_message_t, text),
      1,
      ngx_lyftr_schema_check_text,
      NGX_LYFTR_STRING_TOO_LONG }
};


ngx_int_t
ngx_lyftr_schema_field(const u_char *name, size_t len)
{
    ngx_int_t   i;
    ngx_str_t  *field;

    for (i = 0; i < NGX_LYFTR_SCHEMA_FIELDS; i++) {
        field = &ngx_lyftr_schema_fields[i].name;

        if (field->len == len && ngx_memcmp(field->data, name, len) == 0) {
            return i;
        }
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_lyftr_schema_validate(ngx_lyftr_schema_value_t *values,
    ngx_lyftr_message_t *m, ngx_lyftr_faults_t *faults)
{
    ngx_uint_t                 i;
    ngx_lyftr_fault_e          type;
    ngx_lyftr_fault_t         *fault;
    ngx_lyftr_schema_field_t  *field;

    for (i = 0; i < NGX_LYFTR_SCHEMA_FIELDS; i++) {
        field = &ngx_lyftr_schema_fields[i];

        if (ngx_lyftr_schema_check(field, &values[i], m, &type) == NGX_OK) {
            continue;
        }

        fault = ngx_lyftr_fault_add(faults, type, &field->name);

        if (fault) {
            fault->input_type = values[i].type;
            fault->input = values[i].input;
        }
    }

    return faults->n ? NGX_DECLINED : NGX_OK;
}


static ngx_int_t
ngx_lyftr_schema_check(ngx_lyftr_schema_field_t *field,
    ngx_lyftr_schema_value_t *value, ngx_lyftr_message_t *m,
    ngx_lyftr_fault_e *type)
{
    ngx_str_t  *s;

    if (field->optional && (!value->present || ngx_lyftr_schema_null(value))) {
        return NGX_OK;
    }

    if (!value->present) {
        *type = NGX_LYFTR_MISSING;
        return NGX_DECLINED;
    }

    if (value->type != NGX_LYFTR_INPUT_STRING) {
        *type = NGX_LYFTR_STRING_TYPE;
        return NGX_DECLINED;
    }

    if (value->broken || memchr(value->input.data, '\0', value->input.len)) {
        *type = NGX_LYFTR_STRING_UNICODE;
        return NGX_DECLINED;
    }

    s = (ngx_str_t *) ((u_char *) m + field->offset);
    *s = value->input;

    *type = field->fault;

    return field->check(s, m);
}


static ngx_uint_t
ngx_lyftr_schema_null(ngx_lyftr_schema_value_t *value)
{
    return value->type == NGX_LYFTR_INPUT_LITERAL
           && value->input.data[0] == 'n';
}


static ngx_int_t
ngx_lyftr_schema_check_id(ngx_str_t *s, ngx_lyftr_message_t *m)
{
    return s->len ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_lyftr_schema_check_msisdn(ngx_str_t *s, ngx_lyftr_message_t *m)
{
    size_t  i;

    if (s->len < 2 || s->data[0] != '+') {
        return NGX_DECLINED;
    }

    for (i = 1; i < s->len; i++) {

        if (s->data[i] < '0' || s->data[i] > '9') {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_schema_check_ts(ngx_str_t *s, ngx_lyftr_message_t *m)
{
    return ngx_lyftr_instant_parse(s->data, s->len, &m->instant);
}


static ngx_int_t
ngx_lyftr_schema_check_text(ngx_str_t *s, ngx_lyftr_message_t *m)
{
    return ngx_lyftr_utf8_count(s->data, s->len) <= NGX_LYFTR_TEXT_MAX
           ? NGX_OK : NGX_DECLINED;
}

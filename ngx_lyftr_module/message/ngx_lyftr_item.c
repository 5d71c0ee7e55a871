
#include <ngx_lyftr_text.h>


typedef enum {
    NGX_LYFTR_ITEM_STRING = 0,
    NGX_LYFTR_ITEM_JSON,                   /* a value, and no string of one */
    NGX_LYFTR_ITEM_CURSOR
} ngx_lyftr_item_e;


typedef struct {
    ngx_str_t          name;
    ngx_lyftr_item_e   type;
    size_t             offset;             /* in ngx_lyftr_message_t */
} ngx_lyftr_item_field_t;


static size_t ngx_lyftr_item_value_len(ngx_lyftr_message_t *m,
    ngx_lyftr_position_t *position, ngx_lyftr_item_field_t *field);
static u_char *ngx_lyftr_item_value(u_char *p, ngx_lyftr_message_t *m,
    ngx_lyftr_position_t *position, ngx_lyftr_item_field_t *field);


/* the order is that of the members */

static ngx_lyftr_item_field_t  ngx_lyftr_item_fields[NGX_LYFTR_FIELDS] = {

    { ngx_string("message_id"), NGX_LYFTR_ITEM_STRING,
      offsetof(ngx_lyftr_message_t, message_id) },

    { ngx_string("from"), NGX_LYFTR_ITEM_STRING,
      offsetof(ngx_lyftr_message_t, from) },

    { ngx_string("to"), NGX_LYFTR_ITEM_STRING,
      offsetof(ngx_lyftr_message_t, to) },

    { ngx_string("ts"), NGX_LYFTR_ITEM_STRING,
      offsetof(ngx_lyftr_message_t, ts) },

    { ngx_string("text"), NGX_LYFTR_ITEM_STRING,
      offsetof(ngx_lyftr_message_t, text) },

    { ngx_string("type"), NGX_LYFTR_ITEM_STRING,
      offsetof(ngx_lyftr_message_t, type) },

    { ngx_string("raw"), NGX_LYFTR_ITEM_JSON,
      offsetof(ngx_lyftr_message_t, raw) },

    { ngx_string("created_at"), NGX_LYFTR_ITEM_STRING,
      offsetof(ngx_lyftr_message_t, created_at) },

    { ngx_string("cursor"), NGX_LYFTR_ITEM_CURSOR, 0 }
};


ngx_int_t
ngx_lyftr_item_field(u_char *name, size_t len)
{
    ngx_uint_t   i;
    ngx_str_t   *field;

    for (i = 0; i < NGX_LYFTR_FIELDS; i++) {
        field = &ngx_lyftr_item_fields[i].name;

        if (field->len == len && ngx_memcmp(field->data, name, len) == 0) {
            return i;
        }
    }

    return NGX_DECLINED;
}


ngx_str_t *
ngx_lyftr_item_name(ngx_uint_t field)
{
    return &ngx_lyftr_item_fields[field].name;
}


ngx_str_t *
ngx_lyftr_item_member(ngx_lyftr_message_t *m, ngx_uint_t field)
{
    return (ngx_str_t *) ((u_char *) m + ngx_lyftr_item_fields[field].offset);
}


size_t
ngx_lyftr_item_len(ngx_lyftr_message_t *m, ngx_lyftr_position_t *position,
    ngx_uint_t fields)
{
    size_t                   len;
    ngx_uint_t               i;
    ngx_lyftr_item_field_t  *field;

    len = sizeof("{}") - 1;

    for (i = 0; i < NGX_LYFTR_FIELDS; i++) {

        if (!(fields & ngx_lyftr_field(i))) {
            continue;
        }

        field = &ngx_lyftr_item_fields[i];

        len += (len > 2) + sizeof("\"\":") - 1 + field->name.len
               + ngx_lyftr_item_value_len(m, position, field);
    }

    return len;
}


u_char *
ngx_lyftr_item_write(u_char *p, ngx_lyftr_message_t *m,
    ngx_lyftr_position_t *position, ngx_uint_t fields)
{
    ngx_uint_t               i;
    ngx_lyftr_item_field_t  *field;

    *p++ = '{';

    for (i = 0; i < NGX_LYFTR_FIELDS; i++) {

        if (!(fields & ngx_lyftr_field(i))) {
            continue;
        }

        if (p[-1] != '{') {
            *p++ = ',';
        }

        field = &ngx_lyftr_item_fields[i];

        *p++ = '"';
        p = ngx_cpymem(p, field->name.data, field->name.len);
        *p++ = '"';
        *p++ = ':';

        p = ngx_lyftr_item_value(p, m, position, field);
    }

    *p++ = '}';

    return p;
}


static size_t
ngx_lyftr_item_value_len(ngx_lyftr_message_t *m,
    ngx_lyftr_position_t *position, ngx_lyftr_item_field_t *field)
{
    u_char      buf[NGX_LYFTR_CURSOR_LEN];
    ngx_str_t  *s;

    if (field->type == NGX_LYFTR_ITEM_CURSOR) {
        return 2 + (ngx_lyftr_cursor_write(buf, position) - buf);
    }

    s = (ngx_str_t *) ((u_char *) m + field->offset);

    if (s->data == NULL) {
        return sizeof("null") - 1;
    }

    return field->type == NGX_LYFTR_ITEM_JSON
           ? ngx_lyftr_json_minify(NULL, s->data, s->len)
           : ngx_lyftr_json_string_len(s->data, s->len);
}


static u_char *
ngx_lyftr_item_value(u_char *p, ngx_lyftr_message_t *m,
    ngx_lyftr_position_t *position, ngx_lyftr_item_field_t *field)
{
    ngx_str_t  *s;

    if (field->type == NGX_LYFTR_ITEM_CURSOR) {
        *p++ = '"';
        p = ngx_lyftr_cursor_write(p, position);
        *p++ = '"';

        return p;
    }

    s = (ngx_str_t *) ((u_char *) m + field->offset);

    if (s->data == NULL) {
        return ngx_cpymem(p, "null", sizeof("null") - 1);
    }

    return field->type == NGX_LYFTR_ITEM_JSON
           ? p + ngx_lyftr_json_minify(p, s->data, s->len)
           : ngx_lyftr_json_string(p, s->data, s->len);
}

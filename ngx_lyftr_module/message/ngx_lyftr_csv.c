
#include <ngx_lyftr_text.h>


/* RFC 4180, and how spreadsheets are kept from taking text for a formula */


static u_char *ngx_lyftr_csv_value(u_char *p, ngx_str_t *s, ngx_uint_t sheet);


size_t
ngx_lyftr_csv_len(ngx_lyftr_message_t *m)
{
    return 2 * (m->message_id.len + m->from.len + m->to.len + m->ts.len
                + m->text.len + m->type.len + m->created_at.len
                + NGX_LYFTR_CURSOR_LEN)
           + 3 * m->raw.len
           + NGX_LYFTR_FIELDS * sizeof("\"'\",") + sizeof(CRLF);
}


u_char *
ngx_lyftr_csv_write(u_char *p, ngx_lyftr_message_t *m,
    ngx_lyftr_position_t *position, ngx_uint_t fields, ngx_uint_t sheet)
{
    u_char      *end, buf[NGX_LYFTR_CURSOR_LEN];
    ngx_str_t    s;
    ngx_uint_t   i, n;

    /* where raw is made small: behind all that is written */

    end = p + ngx_lyftr_csv_len(m) - m->raw.len;

    for (i = 0, n = 0; i < NGX_LYFTR_FIELDS; i++) {

        if (!(fields & ngx_lyftr_field(i))) {
            continue;
        }

        if (n++) {
            *p++ = ',';
        }

        if (i == NGX_LYFTR_FIELD_CURSOR) {
            s.data = buf;
            s.len = ngx_lyftr_cursor_write(buf, position) - buf;

        } else {
            s = *ngx_lyftr_item_member(m, i);
        }

        if (i == NGX_LYFTR_FIELD_RAW && s.data) {
            s.len = ngx_lyftr_json_minify(end, s.data, s.len);
            s.data = end;
        }

        p = ngx_lyftr_csv_value(p, &s, sheet);
    }

    *p++ = CR;
    *p++ = LF;

    return p;
}


u_char *
ngx_lyftr_csv_head(u_char *p, ngx_uint_t fields, ngx_uint_t sheet)
{
    ngx_str_t   *name;
    ngx_uint_t   i, n;

    if (sheet) {
        p = ngx_cpymem(p, "\xef\xbb\xbf", 3);
    }

    for (i = 0, n = 0; i < NGX_LYFTR_FIELDS; i++) {

        if (fields & ngx_lyftr_field(i)) {

            if (n++) {
                *p++ = ',';
            }

            name = ngx_lyftr_item_name(i);
            p = ngx_cpymem(p, name->data, name->len);
        }
    }

    *p++ = CR;
    *p++ = LF;

    return p;
}


static u_char *
ngx_lyftr_csv_value(u_char *p, ngx_str_t *s, ngx_uint_t sheet)
{
    u_char      c;
    size_t      i;
    ngx_uint_t  quote, mark;

    if (s->data == NULL) {
        return p;
    }

    quote = (s->len == 0);

    for (i = 0; i < s->len && !quote; i++) {
        c = s->data[i];
        quote = (c == ',' || c == '"' || c == CR || c == LF);
    }

    mark = 0;

    if (sheet && s->len) {
        c = s->data[0];
        mark = (c == '=' || c == '+' || c == '-' || c == '@' || c == '\t'
                || c == CR || c == LF);
    }

    if (quote) {
        *p++ = '"';
    }

    if (mark) {
        *p++ = '\'';
    }

    for (i = 0; i < s->len; i++) {
        c = s->data[i];
        *p++ = c;

        if (c == '"') {
            *p++ = '"';
        }
    }

    if (quote) {
        *p++ = '"';
    }

    return p;
}

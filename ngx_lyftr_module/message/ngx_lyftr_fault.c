
#include <ngx_lyftr_text.h>


typedef struct {
    ngx_str_t    type;
    ngx_str_t    msg;
    ngx_uint_t   bound;                    /* the fault's ends it */
} ngx_lyftr_fault_text_t;


static u_char *ngx_lyftr_fault_write_one(u_char *p, ngx_str_t *in,
    ngx_lyftr_fault_t *fault);
static u_char *ngx_lyftr_fault_write_input(u_char *p,
    ngx_lyftr_fault_t *fault);
static ngx_inline u_char *ngx_lyftr_fault_copy(u_char *p, ngx_str_t *s);


static ngx_str_t  ngx_lyftr_fault_open = ngx_string("{\"detail\":[");
static ngx_str_t  ngx_lyftr_fault_close = ngx_string("]}");
static ngx_str_t  ngx_lyftr_fault_type = ngx_string("{\"type\":\"");
static ngx_str_t  ngx_lyftr_fault_loc = ngx_string("\",\"loc\":[");
static ngx_str_t  ngx_lyftr_fault_msg = ngx_string("],\"msg\":\"");
static ngx_str_t  ngx_lyftr_fault_input = ngx_string("\",\"input\":");
static ngx_str_t  ngx_lyftr_fault_object = ngx_string("{}");
static ngx_str_t  ngx_lyftr_fault_array = ngx_string("[]");


static ngx_lyftr_fault_text_t  ngx_lyftr_fault_texts[] = {

    { ngx_string("missing"),
      ngx_string("Field required"), 0 },

    { ngx_string("string_type"),
      ngx_string("Input should be a valid string"), 0 },

    { ngx_string("string_too_short"),
      ngx_string("String should not be empty"), 0 },

    { ngx_string("string_too_long"),
      ngx_string("String should have 4096 characters or fewer"), 0 },

    { ngx_string("string_pattern_mismatch"),
      ngx_string("String should be a plus sign followed by digits"), 0 },

    { ngx_string("string_unicode"),
      ngx_string("String should have no U+0000 and no lone surrogate"), 0 },

    { ngx_string("json_invalid"),
      ngx_string("Body should be valid JSON in UTF-8"), 0 },

    { ngx_string("model_attributes_type"),
      ngx_string("Input should be a JSON object"), 0 },

    { ngx_string("datetime_parsing"),
      ngx_string("Input should be a date and time that exists,"
                 " like 2025-01-15T10:00:00Z"), 0 },

    { ngx_string("int_parsing"),
      ngx_string("Input should be an integer in decimal digits"), 0 },

    { ngx_string("greater_than_equal"),
      ngx_string("Input should be greater than or equal to "), 1 },

    { ngx_string("less_than_equal"),
      ngx_string("Input should be less than or equal to "), 1 },

    { ngx_string("value_error"),
      ngx_string("Input should be a cursor from a Link header,"
                 " without an offset"), 0 },

    { ngx_string("literal_error"),
      ngx_string("Input should be a word that is known here"), 0 },

    { ngx_string("list_type"),
      ngx_string("Input should be a JSON array"), 0 },

    { ngx_string("literal_error"),
      ngx_string("Input should be a comma-separated list, without spaces,"
                 " of message_id, from, to, ts, text, type, raw, created_at"
                 " and cursor, each once at most"), 0 },

    { ngx_string("literal_error"),
      ngx_string("Input should be asc or desc"), 0 },

    { ngx_string("literal_error"),
      ngx_string("Input should be ndjson, csv or sheet"), 0 },

    { ngx_string("extra_forbidden"),
      ngx_string("Input is not permitted here"), 0 }
};


ngx_lyftr_fault_t *
ngx_lyftr_fault_add(ngx_lyftr_faults_t *faults, ngx_lyftr_fault_e type,
    ngx_str_t *field)
{
    ngx_lyftr_fault_t  *fault;

    if (faults->n == NGX_LYFTR_FAULTS_MAX) {
        return NULL;
    }

    fault = &faults->fault[faults->n++];

    fault->type = type;
    fault->input_type = NGX_LYFTR_INPUT_OBJECT;
    ngx_str_null(&fault->input);
    ngx_str_null(&fault->field);
    fault->position = -1;
    fault->bound = 0;

    if (field) {
        fault->field = *field;
    }

    return fault;
}


size_t
ngx_lyftr_fault_len(ngx_lyftr_faults_t *faults)
{
    size_t                   len;
    ngx_uint_t               i;
    ngx_lyftr_fault_t       *fault;
    ngx_lyftr_fault_text_t  *text;

    len = ngx_lyftr_fault_open.len + ngx_lyftr_fault_close.len;

    for (i = 0; i < faults->n; i++) {
        fault = &faults->fault[i];
        text = &ngx_lyftr_fault_texts[fault->type];

        len += ngx_lyftr_fault_type.len + text->type.len
               + ngx_lyftr_fault_loc.len
               + NGX_LYFTR_JSON_GROWTH * (faults->in.len + fault->field.len)
               + sizeof("\"\",\"\",") - 1 + NGX_INT64_LEN
               + ngx_lyftr_fault_msg.len + text->msg.len + NGX_INT64_LEN
               + ngx_lyftr_fault_input.len
               + NGX_LYFTR_JSON_GROWTH
                 * ngx_min(fault->input.len, NGX_LYFTR_INPUT_MAX) + 2
               + sizeof("},") - 1;
    }

    return len;
}


u_char *
ngx_lyftr_fault_write(u_char *p, ngx_lyftr_faults_t *faults)
{
    ngx_uint_t  i;

    p = ngx_lyftr_fault_copy(p, &ngx_lyftr_fault_open);

    for (i = 0; i < faults->n; i++) {

        if (i > 0) {
            *p++ = ',';
        }

        p = ngx_lyftr_fault_write_one(p, &faults->in, &faults->fault[i]);
    }

    return ngx_lyftr_fault_copy(p, &ngx_lyftr_fault_close);
}


static u_char *
ngx_lyftr_fault_write_one(u_char *p, ngx_str_t *in, ngx_lyftr_fault_t *fault)
{
    ngx_lyftr_fault_text_t  *text;

    text = &ngx_lyftr_fault_texts[fault->type];

    p = ngx_lyftr_fault_copy(p, &ngx_lyftr_fault_type);
    p = ngx_lyftr_fault_copy(p, &text->type);
    p = ngx_lyftr_fault_copy(p, &ngx_lyftr_fault_loc);
    p = ngx_lyftr_json_string(p, in->data, in->len);

    if (fault->field.len) {
        *p++ = ',';
        p = ngx_lyftr_json_string(p, fault->field.data, fault->field.len);
    }

    if (fault->position >= 0) {
        *p++ = ',';
        p = ngx_lyftr_json_int(p, fault->position);
    }

    p = ngx_lyftr_fault_copy(p, &ngx_lyftr_fault_msg);
    p = ngx_lyftr_fault_copy(p, &text->msg);

    if (text->bound) {
        p = ngx_lyftr_json_int(p, fault->bound);
    }

    p = ngx_lyftr_fault_copy(p, &ngx_lyftr_fault_input);
    p = ngx_lyftr_fault_write_input(p, fault);

    *p++ = '}';

    return p;
}


static u_char *
ngx_lyftr_fault_write_input(u_char *p, ngx_lyftr_fault_t *fault)
{
    ngx_str_t  input;

    input = fault->input;

    switch (fault->input_type) {

    case NGX_LYFTR_INPUT_STRING:
        input.len = ngx_lyftr_utf8_cut(input.data, input.len,
                                       NGX_LYFTR_INPUT_MAX);

        return ngx_lyftr_json_string(p, input.data, input.len);

    case NGX_LYFTR_INPUT_LITERAL:

        /* a number that is cut behind a digit is still a number */

        if (input.len > NGX_LYFTR_INPUT_MAX) {
            input.len = NGX_LYFTR_INPUT_MAX;

            while (input.data[input.len - 1] < '0'
                   || input.data[input.len - 1] > '9')
            {
                input.len--;
            }
        }

        return ngx_lyftr_fault_copy(p, &input);

    case NGX_LYFTR_INPUT_ARRAY:
        return ngx_lyftr_fault_copy(p, &ngx_lyftr_fault_array);

    default: /* NGX_LYFTR_INPUT_OBJECT */
        return ngx_lyftr_fault_copy(p, &ngx_lyftr_fault_object);
    }
}


static ngx_inline u_char *
ngx_lyftr_fault_copy(u_char *p, ngx_str_t *s)
{
    return ngx_cpymem(p, s->data, s->len);
}


#include <ngx_lyftr_text.h>
#include <ngx_lyftr_reader.h>
#include <ngx_lyftr_schema.h>


typedef struct {
    u_char                    *strings;    /* decoded ones */
    ngx_uint_t                 depth;

    ngx_lyftr_schema_value_t  *value;      /* the last key's, if ours */
    ngx_lyftr_schema_value_t   root;
    ngx_lyftr_schema_value_t   values[NGX_LYFTR_SCHEMA_FIELDS];
} ngx_lyftr_message_ctx_t;


static int ngx_lyftr_message_key(void *data, const u_char *name, size_t len);
static int ngx_lyftr_message_value(void *data, ngx_lyftr_input_e type,
    ngx_str_t *text);
static int ngx_lyftr_message_close(void *data, u_char *bracket);
static void ngx_lyftr_message_take(ngx_lyftr_message_ctx_t *ctx,
    ngx_lyftr_schema_value_t *value, ngx_lyftr_input_e type,
    ngx_str_t *text);
static ngx_int_t ngx_lyftr_message_refuse(ngx_lyftr_faults_t *faults,
    ngx_lyftr_fault_e type, ngx_int_t position);


static ngx_lyftr_reader_handlers_t  ngx_lyftr_message_handlers = {
    ngx_lyftr_message_key,
    ngx_lyftr_message_value,
    ngx_lyftr_message_close
};


size_t
ngx_lyftr_message_memory(size_t len)
{
    return ngx_lyftr_reader_memory(len);
}


ngx_int_t
ngx_lyftr_message_parse(u_char *body, size_t len, u_char *strings,
    ngx_str_t *memory, ngx_lyftr_message_t *m, ngx_lyftr_faults_t *faults)
{
    size_t                   position;
    ngx_int_t                rc;
    ngx_str_t                text;
    ngx_lyftr_message_ctx_t  ctx;

    ngx_memzero(m, sizeof(ngx_lyftr_message_t));

    ngx_str_set(&faults->in, "body");
    faults->n = 0;

    if (len == 0) {
        return ngx_lyftr_message_refuse(faults, NGX_LYFTR_MISSING, -1);
    }

    ngx_memzero(&ctx, sizeof(ngx_lyftr_message_ctx_t));

    ctx.strings = strings;

    text.data = body;
    text.len = len;

    rc = ngx_lyftr_reader_read(&text, memory, &ngx_lyftr_message_handlers,
                               &ctx, &position);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return ngx_lyftr_message_refuse(faults, NGX_LYFTR_JSON_INVALID,
                                        position);
    }

    if (ctx.root.type != NGX_LYFTR_INPUT_OBJECT) {
        (void) ngx_lyftr_message_refuse(faults, NGX_LYFTR_NOT_OBJECT, -1);

        faults->fault[0].input_type = ctx.root.type;
        faults->fault[0].input = ctx.root.input;

        return NGX_DECLINED;
    }

    return ngx_lyftr_schema_validate(ctx.values, m, faults);
}


static int
ngx_lyftr_message_key(void *data, const u_char *name, size_t len)
{
    ngx_int_t                 i;
    ngx_lyftr_message_ctx_t  *ctx;

    ctx = data;

    if (ctx->depth == 1) {
        i = ngx_lyftr_schema_field(name, len);
        ctx->value = (i == NGX_DECLINED) ? NULL : &ctx->values[i];
    }

    return 1;
}


static int
ngx_lyftr_message_value(void *data, ngx_lyftr_input_e type, ngx_str_t *text)
{
    ngx_uint_t                 depth;
    ngx_lyftr_message_ctx_t   *ctx;
    ngx_lyftr_schema_value_t  *value;

    ctx = data;
    depth = ctx->depth;

    if (type == NGX_LYFTR_INPUT_OBJECT || type == NGX_LYFTR_INPUT_ARRAY) {
        ctx->depth++;
    }

    value = (depth == 0) ? &ctx->root : (depth == 1) ? ctx->value : NULL;

    if (value) {
        ngx_lyftr_message_take(ctx, value, type, text);
    }

    return 1;
}


static int
ngx_lyftr_message_close(void *data, u_char *bracket)
{
    ngx_lyftr_message_ctx_t  *ctx;

    ctx = data;
    ctx->depth--;

    return 1;
}


static void
ngx_lyftr_message_take(ngx_lyftr_message_ctx_t *ctx,
    ngx_lyftr_schema_value_t *value, ngx_lyftr_input_e type, ngx_str_t *text)
{
    size_t  len;

    ngx_memzero(value, sizeof(ngx_lyftr_schema_value_t));

    value->present = 1;
    value->type = type;

    if (type == NGX_LYFTR_INPUT_LITERAL) {
        value->input = *text;
        return;
    }

    if (type != NGX_LYFTR_INPUT_STRING) {
        return;
    }

    /* all are no longer than the body that they are decoded from */

    len = ngx_lyftr_json_decode(ctx->strings, text->data, text->len, 0,
                                &value->broken);

    if (value->broken) {

        /* it is told as it is written */

        value->input = *text;
        return;
    }

    value->input.data = ctx->strings;
    value->input.len = len;

    ctx->strings += len;
}


static ngx_int_t
ngx_lyftr_message_refuse(ngx_lyftr_faults_t *faults, ngx_lyftr_fault_e type,
    ngx_int_t position)
{
    ngx_lyftr_fault_t  *fault;

    fault = ngx_lyftr_fault_add(faults, type, NULL);

    if (fault) {
        fault->position = position;
    }

    return NGX_DECLINED;
}

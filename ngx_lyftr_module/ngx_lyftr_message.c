
#include <ngx_lyftr_text.h>
#include <ngx_lyftr_arena.h>
#include <ngx_lyftr_schema.h>
#include <yajl/yajl_parse.h>


/*
 * What yajl needs for a body.  Small: the parser, and a stack of bytes that
 * grows by 128 up to NGX_LYFTR_DEPTH_MAX, each time in a new block.  Large: two
 * buffers, for a string without its escapes and for a token that the end of
 * the body cuts, plus the space that yajl ends it with.  Each has 2048 bytes,
 * or the power of two above what is in it, and both together hold no more than
 * the body has; the second one begins when the first has stopped growing.
 */
#define NGX_LYFTR_MESSAGE_YAJL(len)                                           \
    (NGX_LYFTR_ARENA_SMALL                                                    \
     + 2 * (NGX_LYFTR_ARENA_LARGE + NGX_LYFTR_ARENA_OVERHEAD)                 \
     + 2 * ((len) + 1))


typedef struct {
    yajl_handle                yajl;
    u_char                    *body;
    u_char                    *last;

    u_char                    *arena;
    u_char                    *arena_last;
    ngx_lyftr_arena_t          memory;     /* yajl's */

    ngx_uint_t                 depth;
    size_t                     key;        /* where the last key ended */
    size_t                     end;        /* where the last value ended */

    ngx_lyftr_schema_value_t  *value;      /* the last key's, if ours */
    ngx_lyftr_schema_value_t   root;
    ngx_lyftr_schema_value_t   values[NGX_LYFTR_SCHEMA_FIELDS];
} ngx_lyftr_message_ctx_t;


static ngx_int_t ngx_lyftr_message_scan(u_char *body, size_t len,
    size_t *position);
static ngx_int_t ngx_lyftr_message_read(ngx_lyftr_message_ctx_t *ctx,
    size_t *position);
static ngx_int_t ngx_lyftr_message_yajl(ngx_lyftr_message_ctx_t *ctx,
    size_t *position);
static ngx_int_t ngx_lyftr_message_end(ngx_lyftr_message_ctx_t *ctx,
    size_t *position);
static int ngx_lyftr_message_null(void *data);
static int ngx_lyftr_message_boolean(void *data, int value);
static int ngx_lyftr_message_number(void *data, const char *s, size_t len);
static int ngx_lyftr_message_string(void *data, const unsigned char *s,
    size_t len);
static int ngx_lyftr_message_key(void *data, const unsigned char *s,
    size_t len);
static int ngx_lyftr_message_map(void *data);
static int ngx_lyftr_message_array(void *data);
static int ngx_lyftr_message_close(void *data);
static ngx_lyftr_schema_value_t *ngx_lyftr_message_value(
    ngx_lyftr_message_ctx_t *ctx, ngx_lyftr_input_e type);
static int ngx_lyftr_message_copy(ngx_lyftr_message_ctx_t *ctx,
    ngx_lyftr_schema_value_t *value, const void *s, size_t len);
static ngx_int_t ngx_lyftr_message_refuse(ngx_lyftr_faults_t *faults,
    ngx_lyftr_fault_e type, ngx_int_t position);


/* numbers are taken as text: yajl would refuse the big ones otherwise */

static yajl_callbacks  ngx_lyftr_message_callbacks = {
    ngx_lyftr_message_null,
    ngx_lyftr_message_boolean,
    NULL,
    NULL,
    ngx_lyftr_message_number,
    ngx_lyftr_message_string,
    ngx_lyftr_message_map,
    ngx_lyftr_message_key,
    ngx_lyftr_message_close,
    ngx_lyftr_message_array,
    ngx_lyftr_message_close
};


size_t
ngx_lyftr_message_arena(size_t len)
{
    return len + NGX_LYFTR_MESSAGE_YAJL(len);
}


ngx_int_t
ngx_lyftr_message_parse(u_char *body, size_t len, ngx_str_t *arena,
    ngx_lyftr_message_t *m, ngx_lyftr_faults_t *faults)
{
    size_t                   position;
    ngx_int_t                rc;
    ngx_lyftr_message_ctx_t  ctx;

    ngx_memzero(m, sizeof(ngx_lyftr_message_t));

    ngx_str_set(&faults->in, "body");
    faults->n = 0;

    if (len == 0) {
        return ngx_lyftr_message_refuse(faults, NGX_LYFTR_MISSING, -1);
    }

    if (arena->len < len) {
        return NGX_ERROR;
    }

    ngx_memzero(&ctx, sizeof(ngx_lyftr_message_ctx_t));

    ctx.body = body;
    ctx.last = body + len;
    ctx.arena = arena->data;
    ctx.arena_last = arena->data + len;
    ctx.end = len;

    ngx_lyftr_arena_init(&ctx.memory, ctx.arena_last, arena->len - len);

    rc = ngx_lyftr_message_scan(body, len, &position);

    if (rc == NGX_OK) {
        rc = ngx_lyftr_message_read(&ctx, &position);
    }

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


/* what yajl would let pass: bad UTF-8, and two controls as white space */

static ngx_int_t
ngx_lyftr_message_scan(u_char *body, size_t len, size_t *position)
{
    u_char  *p;

    *position = ngx_lyftr_utf8_valid(body, len);

    if (*position != len) {
        return NGX_DECLINED;
    }

    p = memchr(body, '\v', len);

    if (p == NULL) {
        p = memchr(body, '\f', len);
    }

    if (p) {
        *position = p - body;
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* the arena takes the place of yajl_free() */

static ngx_int_t
ngx_lyftr_message_read(ngx_lyftr_message_ctx_t *ctx, size_t *position)
{
    if (setjmp(ctx->memory.full) != 0) {
        return NGX_ERROR;
    }

    return ngx_lyftr_message_yajl(ctx, position);
}


static ngx_int_t
ngx_lyftr_message_yajl(ngx_lyftr_message_ctx_t *ctx, size_t *position)
{
    size_t            len;
    ngx_int_t         rc;
    yajl_status       status;
    yajl_alloc_funcs  funcs;

    funcs.malloc = ngx_lyftr_arena_alloc;
    funcs.realloc = ngx_lyftr_arena_realloc;
    funcs.free = ngx_lyftr_arena_free;
    funcs.ctx = &ctx->memory;

    ctx->yajl = yajl_alloc(&ngx_lyftr_message_callbacks, &funcs, ctx);

    len = ctx->last - ctx->body;
    *position = len;

    status = yajl_parse(ctx->yajl, ctx->body, len);

    if (status != yajl_status_ok) {
        *position = yajl_get_bytes_consumed(ctx->yajl);
    }

    rc = ngx_lyftr_message_end(ctx, position);

    if (rc == NGX_OK && status == yajl_status_ok) {
        status = yajl_complete_parse(ctx->yajl);
    }

    return (status == yajl_status_ok) ? rc : NGX_DECLINED;
}


/* yajl does not see a token behind the value that the body's end cuts */

static ngx_int_t
ngx_lyftr_message_end(ngx_lyftr_message_ctx_t *ctx, size_t *position)
{
    u_char  *p;

    if (ctx->depth > 0) {
        return NGX_OK;
    }

    for (p = ctx->body + ctx->end; p < ctx->last; p++) {

        if (*p != ' ' && *p != '\t' && *p != '\n' && *p != '\r') {
            *position = p - ctx->body;
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static int
ngx_lyftr_message_null(void *data)
{
    ngx_lyftr_schema_value_t  *value;

    value = ngx_lyftr_message_value(data, NGX_LYFTR_INPUT_LITERAL);

    if (value) {
        ngx_str_set(&value->input, "null");
    }

    return 1;
}


static int
ngx_lyftr_message_boolean(void *data, int is_true)
{
    ngx_lyftr_schema_value_t  *value;

    value = ngx_lyftr_message_value(data, NGX_LYFTR_INPUT_LITERAL);

    if (value && is_true) {
        ngx_str_set(&value->input, "true");

    } else if (value) {
        ngx_str_set(&value->input, "false");
    }

    return 1;
}


static int
ngx_lyftr_message_number(void *data, const char *s, size_t len)
{
    ngx_lyftr_schema_value_t  *value;

    value = ngx_lyftr_message_value(data, NGX_LYFTR_INPUT_LITERAL);

    return value ? ngx_lyftr_message_copy(data, value, s, len) : 1;
}


static int
ngx_lyftr_message_string(void *data, const unsigned char *s, size_t len)
{
    u_char                     *start, *last;
    ngx_lyftr_message_ctx_t    *ctx;
    ngx_lyftr_schema_value_t  *value;

    ctx = data;
    value = ngx_lyftr_message_value(ctx, NGX_LYFTR_INPUT_STRING);

    if (value == NULL) {
        return 1;
    }

    /* the string as written: behind its key are white space and a colon */

    start = memchr(ctx->body + ctx->key, '"', ctx->last - ctx->body - ctx->key);
    start++;
    last = ctx->body + yajl_get_bytes_consumed(ctx->yajl) - 1;

    if (ngx_lyftr_json_broken(start, last)) {

        /* yajl has made up characters for the surrogates */

        value->broken = 1;
        value->input.data = start;
        value->input.len = last - start;

        return 1;
    }

    return ngx_lyftr_message_copy(ctx, value, s, len);
}


static int
ngx_lyftr_message_key(void *data, const unsigned char *s, size_t len)
{
    ngx_int_t                 i;
    ngx_lyftr_message_ctx_t  *ctx;

    ctx = data;

    if (ctx->depth == 1) {
        i = ngx_lyftr_schema_field(s, len);

        ctx->key = yajl_get_bytes_consumed(ctx->yajl);
        ctx->value = (i == NGX_DECLINED) ? NULL : &ctx->values[i];
    }

    return 1;
}


static int
ngx_lyftr_message_map(void *data)
{
    ngx_lyftr_message_ctx_t  *ctx;

    ctx = data;

    (void) ngx_lyftr_message_value(ctx, NGX_LYFTR_INPUT_OBJECT);

    return ++ctx->depth <= NGX_LYFTR_DEPTH_MAX;
}


static int
ngx_lyftr_message_array(void *data)
{
    ngx_lyftr_message_ctx_t  *ctx;

    ctx = data;

    (void) ngx_lyftr_message_value(ctx, NGX_LYFTR_INPUT_ARRAY);

    return ++ctx->depth <= NGX_LYFTR_DEPTH_MAX;
}


static int
ngx_lyftr_message_close(void *data)
{
    ngx_lyftr_message_ctx_t  *ctx;

    ctx = data;

    ctx->depth--;
    ctx->end = yajl_get_bytes_consumed(ctx->yajl);

    return 1;
}


/* a value begins: whose it is, or NULL if nobody wants it */

static ngx_lyftr_schema_value_t *
ngx_lyftr_message_value(ngx_lyftr_message_ctx_t *ctx, ngx_lyftr_input_e type)
{
    ngx_lyftr_schema_value_t  *value;

    switch (ctx->depth) {

    case 0:
        value = &ctx->root;
        ctx->end = yajl_get_bytes_consumed(ctx->yajl);
        break;

    case 1:
        value = ctx->value;
        break;

    default:
        return NULL;
    }

    if (value) {
        ngx_memzero(value, sizeof(ngx_lyftr_schema_value_t));

        value->present = 1;
        value->type = type;
    }

    return value;
}


/* what is decoded is never longer than what it was decoded from */

static int
ngx_lyftr_message_copy(ngx_lyftr_message_ctx_t *ctx,
    ngx_lyftr_schema_value_t *value, const void *s, size_t len)
{
    if ((size_t) (ctx->arena_last - ctx->arena) < len) {
        return 0;
    }

    value->input.data = ctx->arena;
    value->input.len = len;

    if (len) {
        ctx->arena = ngx_cpymem(ctx->arena, s, len);
    }

    return 1;
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

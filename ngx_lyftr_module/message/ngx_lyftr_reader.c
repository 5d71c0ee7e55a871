
#include <ngx_lyftr_reader.h>
#include <ngx_lyftr_arena.h>
#include <yajl/yajl_parse.h>


/*
 * What yajl needs.  Small: the parser, and a stack of bytes that grows by 128
 * up to NGX_LYFTR_DEPTH_MAX, each time in a new block.  Large: two buffers, for
 * a string without its escapes and for a token that the end of the body cuts,
 * plus the space that yajl ends it with.  Each has 2048 bytes, or the power of
 * two above what is in it, and both together hold no more than the body has;
 * the second one begins when the first has stopped growing.
 */
#define NGX_LYFTR_READER_YAJL(len)                                            \
    (NGX_LYFTR_ARENA_SMALL                                                    \
     + 2 * (NGX_LYFTR_ARENA_LARGE + NGX_LYFTR_ARENA_OVERHEAD)                 \
     + 2 * ((len) + 1))


typedef struct {
    yajl_handle                   yajl;
    u_char                       *body;
    u_char                       *last;
    ngx_lyftr_reader_handlers_t  *handlers;
    void                         *data;
    ngx_lyftr_arena_t             arena;   /* yajl's */

    ngx_uint_t                    depth;
    size_t                        token;   /* where the last one ended */
    size_t                        end;     /* and the value of the whole */
    ngx_uint_t                    stopped; /* by a handler */
    ngx_uint_t                    ended;   /* all of the body is consumed */
} ngx_lyftr_reader_t;


static ngx_int_t ngx_lyftr_reader_scan(u_char *body, size_t len,
    size_t *position);
static ngx_int_t ngx_lyftr_reader_parse(ngx_lyftr_reader_t *reader,
    size_t *position);
static ngx_int_t ngx_lyftr_reader_yajl(ngx_lyftr_reader_t *reader,
    size_t *position);
static ngx_int_t ngx_lyftr_reader_rest(ngx_lyftr_reader_t *reader,
    size_t *position);
static int ngx_lyftr_reader_null(void *data);
static int ngx_lyftr_reader_boolean(void *data, int value);
static int ngx_lyftr_reader_number(void *data, const char *s, size_t len);
static int ngx_lyftr_reader_string(void *data, const unsigned char *s,
    size_t len);
static int ngx_lyftr_reader_map(void *data);
static int ngx_lyftr_reader_key(void *data, const unsigned char *s,
    size_t len);
static int ngx_lyftr_reader_array(void *data);
static int ngx_lyftr_reader_close(void *data);
static int ngx_lyftr_reader_open(ngx_lyftr_reader_t *reader,
    ngx_lyftr_input_e type);
static int ngx_lyftr_reader_literal(ngx_lyftr_reader_t *reader, size_t len);
static int ngx_lyftr_reader_value(ngx_lyftr_reader_t *reader,
    ngx_lyftr_input_e type, ngx_str_t *text);
static int ngx_lyftr_reader_go(ngx_lyftr_reader_t *reader, int go);


/* numbers are taken as text: yajl would refuse the big ones otherwise */

static yajl_callbacks  ngx_lyftr_reader_callbacks = {
    ngx_lyftr_reader_null,
    ngx_lyftr_reader_boolean,
    NULL,
    NULL,
    ngx_lyftr_reader_number,
    ngx_lyftr_reader_string,
    ngx_lyftr_reader_map,
    ngx_lyftr_reader_key,
    ngx_lyftr_reader_close,
    ngx_lyftr_reader_array,
    ngx_lyftr_reader_close
};


size_t
ngx_lyftr_reader_memory(size_t len)
{
    return NGX_LYFTR_READER_YAJL(len);
}


ngx_int_t
ngx_lyftr_reader_read(ngx_str_t *body, ngx_str_t *memory,
    ngx_lyftr_reader_handlers_t *handlers, void *data, size_t *position)
{
    ngx_lyftr_reader_t  reader;

    if (ngx_lyftr_reader_scan(body->data, body->len, position) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_memzero(&reader, sizeof(ngx_lyftr_reader_t));

    reader.body = body->data;
    reader.last = body->data + body->len;
    reader.handlers = handlers;
    reader.data = data;
    reader.end = body->len;

    ngx_lyftr_arena_init(&reader.arena, memory->data, memory->len);

    return ngx_lyftr_reader_parse(&reader, position);
}


/* the arena takes the place of yajl_free() */

static ngx_int_t
ngx_lyftr_reader_parse(ngx_lyftr_reader_t *reader, size_t *position)
{
    if (setjmp(reader->arena.full) != 0) {
        return NGX_ERROR;
    }

    return ngx_lyftr_reader_yajl(reader, position);
}


static ngx_int_t
ngx_lyftr_reader_yajl(ngx_lyftr_reader_t *reader, size_t *position)
{
    size_t            len;
    ngx_int_t         rc;
    yajl_status       status;
    yajl_alloc_funcs  funcs;

    funcs.malloc = ngx_lyftr_arena_alloc;
    funcs.realloc = ngx_lyftr_arena_realloc;
    funcs.free = ngx_lyftr_arena_free;
    funcs.ctx = &reader->arena;

    reader->yajl = yajl_alloc(&ngx_lyftr_reader_callbacks, &funcs, reader);

    len = reader->last - reader->body;
    *position = len;

    status = yajl_parse(reader->yajl, reader->body, len);

    if (status != yajl_status_ok) {
        *position = yajl_get_bytes_consumed(reader->yajl);
    }

    rc = ngx_lyftr_reader_rest(reader, position);

    if (rc == NGX_OK && status == yajl_status_ok) {
        reader->ended = 1;
        status = yajl_complete_parse(reader->yajl);
    }

    if (reader->stopped) {
        return NGX_ERROR;
    }

    return (status == yajl_status_ok) ? rc : NGX_DECLINED;
}


/* what yajl would let pass: bad UTF-8, and two controls as white space */

static ngx_int_t
ngx_lyftr_reader_scan(u_char *body, size_t len, size_t *position)
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


/* yajl does not see a token behind the value that the body's end cuts */

static ngx_int_t
ngx_lyftr_reader_rest(ngx_lyftr_reader_t *reader, size_t *position)
{
    u_char  *p;

    if (reader->depth > 0) {
        return NGX_OK;
    }

    for (p = reader->body + reader->end; p < reader->last; p++) {

        if (*p != ' ' && *p != '\t' && *p != '\n' && *p != '\r') {
            *position = p - reader->body;
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static int
ngx_lyftr_reader_null(void *data)
{
    return ngx_lyftr_reader_literal(data, sizeof("null") - 1);
}


static int
ngx_lyftr_reader_boolean(void *data, int value)
{
    return ngx_lyftr_reader_literal(data, value ? sizeof("true") - 1
                                                : sizeof("false") - 1);
}


static int
ngx_lyftr_reader_number(void *data, const char *s, size_t len)
{
    return ngx_lyftr_reader_literal(data, len);
}


static int
ngx_lyftr_reader_literal(ngx_lyftr_reader_t *reader, size_t len)
{
    u_char     *p;
    ngx_str_t   text;

    if (reader->ended && reader->depth > 0) {

        /* yajl counts anew, and what it is in has no end */

        return 0;
    }

    p = reader->body + yajl_get_bytes_consumed(reader->yajl) - len;

    if (reader->depth == 0) {

        /* a number that the body's end ends is read when all is consumed */

        for (p = reader->body; *p == ' ' || *p == '\t' || *p == '\n'
                               || *p == '\r'; p++)
        {
            /* void */
        }
    }

    text.data = p;
    text.len = len;

    return ngx_lyftr_reader_value(reader, NGX_LYFTR_INPUT_LITERAL, &text);
}


static int
ngx_lyftr_reader_string(void *data, const unsigned char *s, size_t len)
{
    u_char              *p;
    ngx_str_t            text;
    ngx_lyftr_reader_t  *reader;

    reader = data;

    /* behind the last token are white space, a colon or a comma */

    p = reader->body + reader->token;

    text.data = (u_char *) memchr(p, '"', reader->last - p) + 1;
    text.len = reader->body + yajl_get_bytes_consumed(reader->yajl) - 1
               - text.data;

    return ngx_lyftr_reader_value(reader, NGX_LYFTR_INPUT_STRING, &text);
}


static int
ngx_lyftr_reader_map(void *data)
{
    return ngx_lyftr_reader_open(data, NGX_LYFTR_INPUT_OBJECT);
}


static int
ngx_lyftr_reader_array(void *data)
{
    return ngx_lyftr_reader_open(data, NGX_LYFTR_INPUT_ARRAY);
}


static int
ngx_lyftr_reader_open(ngx_lyftr_reader_t *reader, ngx_lyftr_input_e type)
{
    ngx_str_t  text;

    text.data = reader->body + yajl_get_bytes_consumed(reader->yajl) - 1;
    text.len = 1;

    if (!ngx_lyftr_reader_value(reader, type, &text)) {
        return 0;
    }

    return ++reader->depth <= NGX_LYFTR_DEPTH_MAX;
}


static int
ngx_lyftr_reader_key(void *data, const unsigned char *s, size_t len)
{
    ngx_lyftr_reader_t  *reader;

    reader = data;
    reader->token = yajl_get_bytes_consumed(reader->yajl);

    return ngx_lyftr_reader_go(reader,
                               reader->handlers->key(reader->data, s, len));
}


static int
ngx_lyftr_reader_close(void *data)
{
    ngx_lyftr_reader_t  *reader;

    reader = data;

    reader->depth--;
    reader->token = yajl_get_bytes_consumed(reader->yajl);
    reader->end = reader->token;

    return ngx_lyftr_reader_go(reader,
                               reader->handlers->close(reader->data,
                                             reader->body + reader->token - 1));
}


static int
ngx_lyftr_reader_value(ngx_lyftr_reader_t *reader, ngx_lyftr_input_e type,
    ngx_str_t *text)
{
    reader->token = yajl_get_bytes_consumed(reader->yajl);

    if (reader->depth == 0) {
        reader->end = reader->token;
    }

    return ngx_lyftr_reader_go(reader,
                               reader->handlers->value(reader->data, type,
                                                       text));
}


/* yajl stops for a handler as it does for an error */

static int
ngx_lyftr_reader_go(ngx_lyftr_reader_t *reader, int go)
{
    if (!go) {
        reader->stopped = 1;
    }

    return go;
}

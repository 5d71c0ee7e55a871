
#include <ngx_lyftr_whatsapp.h>


/* an envelope is no deeper, as far as it is looked into */
#define NGX_LYFTR_WHATSAPP_DEPTH   16

/* an element that is no longer has no id, and may come a million times */
#define NGX_LYFTR_WHATSAPP_SHORT   sizeof(uint64_t)
#define NGX_LYFTR_WHATSAPP_SLOTS   1024


/* where a value stands in the envelope */

typedef enum {
    NGX_LYFTR_WHATSAPP_NOWHERE = 0,        /* or where only a path goes on */
    NGX_LYFTR_WHATSAPP_BODY,
    NGX_LYFTR_WHATSAPP_OBJECT,
    NGX_LYFTR_WHATSAPP_ENTRIES,
    NGX_LYFTR_WHATSAPP_ENTRY,
    NGX_LYFTR_WHATSAPP_CHANGES,
    NGX_LYFTR_WHATSAPP_CHANGE,
    NGX_LYFTR_WHATSAPP_VALUE,
    NGX_LYFTR_WHATSAPP_LIST,               /* and those of the other kinds */
    NGX_LYFTR_WHATSAPP_LISTS = NGX_LYFTR_WHATSAPP_LIST
                               + NGX_LYFTR_WHATSAPP_KINDS,
    NGX_LYFTR_WHATSAPP_ITEM = NGX_LYFTR_WHATSAPP_LISTS,
    NGX_LYFTR_WHATSAPP_PLACES
} ngx_lyftr_whatsapp_place_e;


/* the way from a place to the next one; name.len == 0: to an element */

typedef struct {
    ngx_uint_t                   from;
    ngx_str_t                    name;
    ngx_uint_t                   to;
} ngx_lyftr_whatsapp_way_t;


/* an object or array that is open */

typedef struct {
    ngx_uint_t                   place;
    ngx_uint_t                   array;
    ngx_uint_t                   i;        /* of its next element */
    ngx_lyftr_whatsapp_match_t   match;
} ngx_lyftr_whatsapp_frame_t;


/* the elements of a list, in a row */

typedef struct {
    ngx_uint_t                   first;
    ngx_uint_t                   n;
} ngx_lyftr_whatsapp_range_t;


typedef struct {
    ngx_uint_t                   present;
    ngx_lyftr_input_e            type;
    ngx_str_t                    text;
} ngx_lyftr_whatsapp_value_t;


typedef struct {
    ngx_lyftr_whatsapp_t        *wa;

    ngx_lyftr_whatsapp_frame_t   frames[NGX_LYFTR_WHATSAPP_DEPTH];
    ngx_uint_t                   depth;
    ngx_uint_t                   ignored;  /* open ones that nobody needs */
    ngx_lyftr_whatsapp_frame_t   next;     /* that of the last key */

    ngx_lyftr_whatsapp_value_t   body;
    ngx_lyftr_whatsapp_value_t   object;
    ngx_lyftr_whatsapp_value_t   entries;

    /* of the entry, the change and the element that are open */
    ngx_uint_t                   changes;  /* it has an array of them */
    ngx_uint_t                   n;        /* when it began */
    ngx_uint_t                   other;
    ngx_uint_t                   begin;    /* the same of the change */
    ngx_lyftr_whatsapp_range_t   lists[NGX_LYFTR_WHATSAPP_KINDS];
    ngx_str_t                    change[NGX_LYFTR_WHATSAPP_ROWS];
    ngx_str_t                    found[NGX_LYFTR_WHATSAPP_ROWS];
    ngx_str_t                    nested[NGX_LYFTR_WHATSAPP_ROWS];

    uint32_t                     slots[NGX_LYFTR_WHATSAPP_SLOTS];
} ngx_lyftr_whatsapp_ctx_t;


static int ngx_lyftr_whatsapp_key(void *data, const u_char *name, size_t len);
static int ngx_lyftr_whatsapp_value(void *data, ngx_lyftr_input_e type,
    ngx_str_t *text);
static int ngx_lyftr_whatsapp_close(void *data, u_char *bracket);
static ngx_uint_t ngx_lyftr_whatsapp_go(ngx_uint_t from, const u_char *name,
    size_t len);
static ngx_int_t ngx_lyftr_whatsapp_arrive(ngx_lyftr_whatsapp_ctx_t *ctx,
    ngx_lyftr_whatsapp_frame_t *from, ngx_lyftr_input_e type,
    ngx_str_t *text);
static ngx_int_t ngx_lyftr_whatsapp_item(ngx_lyftr_whatsapp_ctx_t *ctx,
    ngx_uint_t kind, ngx_lyftr_input_e type, ngx_str_t *text);
static void ngx_lyftr_whatsapp_again(ngx_lyftr_whatsapp_ctx_t *ctx);
static void ngx_lyftr_whatsapp_open(ngx_lyftr_whatsapp_ctx_t *ctx,
    ngx_lyftr_whatsapp_frame_t *frame, ngx_lyftr_input_e type);
static void ngx_lyftr_whatsapp_finish(ngx_lyftr_whatsapp_ctx_t *ctx);
static ngx_uint_t ngx_lyftr_whatsapp_field(ngx_str_t *field);
static void ngx_lyftr_whatsapp_gather(ngx_lyftr_whatsapp_ctx_t *ctx);
static ngx_int_t ngx_lyftr_whatsapp_validate(ngx_lyftr_whatsapp_ctx_t *ctx,
    ngx_str_t *memory, ngx_lyftr_faults_t *faults);
static void ngx_lyftr_whatsapp_fault(ngx_lyftr_faults_t *faults,
    ngx_lyftr_fault_e type, ngx_str_t *field,
    ngx_lyftr_whatsapp_value_t *value, u_char *decoded);


static ngx_lyftr_reader_handlers_t  ngx_lyftr_whatsapp_handlers = {
    ngx_lyftr_whatsapp_key,
    ngx_lyftr_whatsapp_value,
    ngx_lyftr_whatsapp_close
};


static ngx_lyftr_whatsapp_way_t  ngx_lyftr_whatsapp_ways[] = {

    { NGX_LYFTR_WHATSAPP_BODY, ngx_string("object"),
      NGX_LYFTR_WHATSAPP_OBJECT },

    { NGX_LYFTR_WHATSAPP_BODY, ngx_string("entry"),
      NGX_LYFTR_WHATSAPP_ENTRIES },

    { NGX_LYFTR_WHATSAPP_ENTRIES, ngx_null_string,
      NGX_LYFTR_WHATSAPP_ENTRY },

    { NGX_LYFTR_WHATSAPP_ENTRY, ngx_string("changes"),
      NGX_LYFTR_WHATSAPP_CHANGES },

    { NGX_LYFTR_WHATSAPP_CHANGES, ngx_null_string,
      NGX_LYFTR_WHATSAPP_CHANGE },

    { NGX_LYFTR_WHATSAPP_CHANGE, ngx_string("value"),
      NGX_LYFTR_WHATSAPP_VALUE },

    { NGX_LYFTR_WHATSAPP_VALUE, ngx_string("messages"),
      NGX_LYFTR_WHATSAPP_LIST + NGX_LYFTR_WHATSAPP_MESSAGE },

    { NGX_LYFTR_WHATSAPP_VALUE, ngx_string("message_echoes"),
      NGX_LYFTR_WHATSAPP_LIST + NGX_LYFTR_WHATSAPP_ECHO },

    { NGX_LYFTR_WHATSAPP_VALUE, ngx_string("statuses"),
      NGX_LYFTR_WHATSAPP_LIST + NGX_LYFTR_WHATSAPP_STATUS },

    { NGX_LYFTR_WHATSAPP_LIST + NGX_LYFTR_WHATSAPP_MESSAGE, ngx_null_string,
      NGX_LYFTR_WHATSAPP_ITEM },

    { NGX_LYFTR_WHATSAPP_LIST + NGX_LYFTR_WHATSAPP_ECHO, ngx_null_string,
      NGX_LYFTR_WHATSAPP_ITEM },

    { NGX_LYFTR_WHATSAPP_LIST + NGX_LYFTR_WHATSAPP_STATUS, ngx_null_string,
      NGX_LYFTR_WHATSAPP_ITEM },

    { NGX_LYFTR_WHATSAPP_NOWHERE, ngx_null_string, 0 }
};


/* the changes that are looked into: another one may repeat old messages */

static ngx_str_t  ngx_lyftr_whatsapp_fields[] = {
    ngx_string("messages"),
    ngx_string("standby"),
    ngx_string("smb_message_echoes"),
    ngx_string("message_echoes"),
    ngx_null_string
};


static ngx_str_t  ngx_lyftr_whatsapp_account =
    ngx_string("whatsapp_business_account");


ngx_int_t
ngx_lyftr_whatsapp_parse(ngx_str_t *body, ngx_str_t *memory,
    ngx_lyftr_whatsapp_t *wa, ngx_lyftr_faults_t *faults)
{
    size_t                     position;
    ngx_int_t                  rc;
    ngx_lyftr_fault_t         *fault;
    ngx_lyftr_whatsapp_ctx_t   ctx;

    wa->n = 0;
    wa->other = 0;

    ngx_str_set(&faults->in, "body");
    faults->n = 0;

    if (body->len == 0) {
        (void) ngx_lyftr_fault_add(faults, NGX_LYFTR_MISSING, NULL);

        return NGX_DECLINED;
    }

    ngx_memzero(&ctx, sizeof(ngx_lyftr_whatsapp_ctx_t));

    ctx.wa = wa;

    rc = ngx_lyftr_reader_read(body, memory, &ngx_lyftr_whatsapp_handlers,
                               &ctx, &position);

    if (rc == NGX_DECLINED) {
        fault = ngx_lyftr_fault_add(faults, NGX_LYFTR_JSON_INVALID, NULL);
        fault->position = position;
    }

    return (rc == NGX_OK) ? ngx_lyftr_whatsapp_validate(&ctx, memory, faults)
                          : rc;
}


static int
ngx_lyftr_whatsapp_key(void *data, const u_char *name, size_t len)
{
    ngx_lyftr_whatsapp_ctx_t    *ctx;
    ngx_lyftr_whatsapp_frame_t  *frame;

    ctx = data;

    if (ctx->ignored) {
        return 1;
    }

    frame = &ctx->frames[ctx->depth - 1];

    ctx->next.place = ngx_lyftr_whatsapp_go(frame->place, name, len);
    ctx->next.match = frame->match;

    ngx_lyftr_whatsapp_match_key(&ctx->next.match, name, len);

    return 1;
}


static int
ngx_lyftr_whatsapp_value(void *data, ngx_lyftr_input_e type, ngx_str_t *text)
{
    ngx_lyftr_whatsapp_ctx_t    *ctx;
    ngx_lyftr_whatsapp_frame_t  *frame, *next;

    ctx = data;

    if (ctx->ignored) {
        ctx->ignored += (type == NGX_LYFTR_INPUT_OBJECT
                         || type == NGX_LYFTR_INPUT_ARRAY);
        return 1;
    }

    next = &ctx->next;
    frame = ctx->depth ? &ctx->frames[ctx->depth - 1] : next;

    if (ctx->depth == 0) {
        next->place = NGX_LYFTR_WHATSAPP_BODY;

    } else if (frame->array) {
        next->place = ngx_lyftr_whatsapp_go(frame->place, NULL, 0);
        next->match = frame->match;

        ngx_lyftr_whatsapp_match_index(&next->match, frame->i++);
    }

    if (ngx_lyftr_whatsapp_match_value(&next->match, type, text)) {
        ngx_lyftr_whatsapp_match_nested(&next->match, ctx->nested);
    }

    if (ngx_lyftr_whatsapp_arrive(ctx, frame, type, text) != NGX_OK) {
        return 0;
    }

    if (type == NGX_LYFTR_INPUT_OBJECT || type == NGX_LYFTR_INPUT_ARRAY) {
        ngx_lyftr_whatsapp_open(ctx, next, type);
    }

    return 1;
}


static ngx_uint_t
ngx_lyftr_whatsapp_go(ngx_uint_t from, const u_char *name, size_t len)
{
    ngx_lyftr_whatsapp_way_t  *way;

    for (way = ngx_lyftr_whatsapp_ways; way->from; way++) {

        if (way->from == from
            && way->name.len == len
            && (name == NULL || ngx_memcmp(way->name.data, name, len) == 0))
        {
            return way->to;
        }
    }

    return NGX_LYFTR_WHATSAPP_NOWHERE;
}


/* what a repeated key had brought is forgotten, for the last one counts */

static ngx_int_t
ngx_lyftr_whatsapp_arrive(ngx_lyftr_whatsapp_ctx_t *ctx,
    ngx_lyftr_whatsapp_frame_t *from, ngx_lyftr_input_e type, ngx_str_t *text)
{
    ngx_uint_t                   place;
    ngx_lyftr_whatsapp_t        *wa;
    ngx_lyftr_whatsapp_value_t   value;

    wa = ctx->wa;
    place = ctx->next.place;

    value.present = 1;
    value.type = type;
    value.text = *text;

    switch (place) {

    case NGX_LYFTR_WHATSAPP_NOWHERE:
        break;

    case NGX_LYFTR_WHATSAPP_BODY:
        ctx->body = value;
        break;

    case NGX_LYFTR_WHATSAPP_OBJECT:
        ctx->object = value;
        break;

    case NGX_LYFTR_WHATSAPP_ENTRIES:
        ctx->entries = value;
        wa->n = 0;
        wa->other = 0;
        break;

    case NGX_LYFTR_WHATSAPP_ENTRY:
        ctx->changes = 0;
        ctx->n = wa->n;
        ctx->other = wa->other;

        wa->other += (type != NGX_LYFTR_INPUT_OBJECT);
        break;

    case NGX_LYFTR_WHATSAPP_CHANGES:
        ctx->changes = (type == NGX_LYFTR_INPUT_ARRAY);
        wa->n = ctx->n;
        wa->other = ctx->other;
        break;

    case NGX_LYFTR_WHATSAPP_CHANGE:
        ctx->begin = wa->n;
        ngx_memzero(ctx->lists, sizeof(ctx->lists));
        ngx_lyftr_whatsapp_match_all(&ctx->next.match,
                                     &ngx_lyftr_whatsapp_change, ctx->change);

        wa->other += (type != NGX_LYFTR_INPUT_OBJECT);
        break;

    case NGX_LYFTR_WHATSAPP_VALUE:
        wa->n = ctx->begin;
        ngx_memzero(ctx->lists, sizeof(ctx->lists));
        break;

    case NGX_LYFTR_WHATSAPP_ITEM:
        return ngx_lyftr_whatsapp_item(ctx, from->place
                                            - NGX_LYFTR_WHATSAPP_LIST,
                                       type, text);

    default: /* a list */
        place -= NGX_LYFTR_WHATSAPP_LIST;
        ctx->lists[place].first = wa->n;
        ctx->lists[place].n = 0;
        break;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_whatsapp_item(ngx_lyftr_whatsapp_ctx_t *ctx, ngx_uint_t kind,
    ngx_lyftr_input_e type, ngx_str_t *text)
{
    ngx_lyftr_whatsapp_t       *wa;
    ngx_lyftr_whatsapp_item_t  *item;

    wa = ctx->wa;

    if (wa->n == wa->size && ngx_lyftr_whatsapp_grow(wa) != NGX_OK) {
        return NGX_ERROR;
    }

    item = &wa->items[wa->n++];
    ctx->lists[kind].n++;

    ngx_memzero(item, sizeof(ngx_lyftr_whatsapp_item_t));

    item->kind = kind;
    item->raw = *text;

    if (type == NGX_LYFTR_INPUT_STRING) {
        item->raw.data--;
        item->raw.len += 2;
    }

    if (type == NGX_LYFTR_INPUT_OBJECT) {
        ngx_lyftr_whatsapp_match_all(&ctx->next.match,
                                     &ngx_lyftr_whatsapp_elements[kind],
                                     ctx->found);

    } else if (type != NGX_LYFTR_INPUT_ARRAY) {
        ngx_lyftr_whatsapp_again(ctx);
    }

    return NGX_OK;
}


/*
 * The last element has ended.  A short one is only counted if the list has it;
 * a slot may be wrong, or have another one, and then a store finds it out.
 */

static void
ngx_lyftr_whatsapp_again(ngx_lyftr_whatsapp_ctx_t *ctx)
{
    uint32_t                    *slot;
    uint64_t                     key;
    ngx_lyftr_whatsapp_t        *wa;
    ngx_lyftr_whatsapp_item_t   *item, *seen;
    ngx_lyftr_whatsapp_range_t  *list;

    wa = ctx->wa;
    item = &wa->items[wa->n - 1];

    if (item->raw.len > NGX_LYFTR_WHATSAPP_SHORT) {
        return;
    }

    key = 0;
    ngx_memcpy(&key, item->raw.data, item->raw.len);

    slot = &ctx->slots[(key * 0x9e3779b97f4a7c15 >> 32)
                       % NGX_LYFTR_WHATSAPP_SLOTS];

    list = &ctx->lists[item->kind];
    seen = &wa->items[*slot];

    if (*slot >= list->first
        && *slot < wa->n - 1
        && seen->raw.len == item->raw.len
        && ngx_memcmp(seen->raw.data, item->raw.data, item->raw.len) == 0)
    {
        seen->again++;
        list->n--;
        wa->n--;
        return;
    }

    *slot = wa->n - 1;
}


/* a place takes one kind of bracket, and the end of an element is noted */

static void
ngx_lyftr_whatsapp_open(ngx_lyftr_whatsapp_ctx_t *ctx,
    ngx_lyftr_whatsapp_frame_t *frame, ngx_lyftr_input_e type)
{
    ngx_uint_t  array, list;

    array = (type == NGX_LYFTR_INPUT_ARRAY);

    list = frame->place == NGX_LYFTR_WHATSAPP_ENTRIES
           || frame->place == NGX_LYFTR_WHATSAPP_CHANGES
           || (frame->place >= NGX_LYFTR_WHATSAPP_LIST
               && frame->place < NGX_LYFTR_WHATSAPP_LISTS);

    if (frame->place == NGX_LYFTR_WHATSAPP_OBJECT
        || (array != list && frame->place != NGX_LYFTR_WHATSAPP_ITEM))
    {
        frame->place = NGX_LYFTR_WHATSAPP_NOWHERE;
    }

    if ((frame->place == NGX_LYFTR_WHATSAPP_NOWHERE && frame->match.set == 0)
        || ctx->depth == NGX_LYFTR_WHATSAPP_DEPTH)
    {
        ctx->ignored = 1;
        return;
    }

    frame->array = array;
    frame->i = 0;

    ctx->frames[ctx->depth++] = *frame;
}


static int
ngx_lyftr_whatsapp_close(void *data, u_char *bracket)
{
    ngx_lyftr_whatsapp_t        *wa;
    ngx_lyftr_whatsapp_ctx_t    *ctx;
    ngx_lyftr_whatsapp_item_t   *item;
    ngx_lyftr_whatsapp_frame_t  *frame;

    ctx = data;

    if (ctx->ignored) {
        ctx->ignored--;
        return 1;
    }

    wa = ctx->wa;
    frame = &ctx->frames[--ctx->depth];

    switch (frame->place) {

    case NGX_LYFTR_WHATSAPP_ENTRY:
        wa->other += !ctx->changes;
        break;

    case NGX_LYFTR_WHATSAPP_CHANGE:
        ngx_lyftr_whatsapp_finish(ctx);
        break;

    case NGX_LYFTR_WHATSAPP_ITEM:
        item = &wa->items[wa->n - 1];
        item->raw.len = bracket + 1 - item->raw.data;

        if (!frame->array) {
            ngx_lyftr_whatsapp_parts(item, ctx->found, ctx->nested);
        }

        ngx_lyftr_whatsapp_again(ctx);
        break;

    default:
        break;
    }

    return 1;
}


/* only now it is known what a change is about, and whose its messages are */

static void
ngx_lyftr_whatsapp_finish(ngx_lyftr_whatsapp_ctx_t *ctx)
{
    ngx_uint_t                  i, k;
    ngx_lyftr_whatsapp_t       *wa;
    ngx_lyftr_whatsapp_item_t  *item;

    wa = ctx->wa;

    if (ngx_lyftr_whatsapp_field(&ctx->change[NGX_LYFTR_WHATSAPP_FIELD])) {
        ngx_lyftr_whatsapp_gather(ctx);

    } else {
        wa->n = ctx->begin;
    }

    if (wa->n == ctx->begin) {
        wa->other++;
        return;
    }

    if (ctx->change[NGX_LYFTR_WHATSAPP_CONTACTS].data) {
        ngx_str_null(&ctx->change[NGX_LYFTR_WHATSAPP_CONTACT_ROW]);
        ngx_str_null(&ctx->change[NGX_LYFTR_WHATSAPP_CONTACT_ROW + 1]);
    }

    for (i = ctx->begin; i < wa->n; i++) {
        item = &wa->items[i];

        for (k = 0; k < NGX_LYFTR_WHATSAPP_OF_CHANGE; k++) {
            item->part[NGX_LYFTR_WHATSAPP_NUMBER + k] = ctx->change[k];
        }
    }
}


static ngx_uint_t
ngx_lyftr_whatsapp_field(ngx_str_t *field)
{
    ngx_str_t  *name;

    for (name = ngx_lyftr_whatsapp_fields; name->len; name++) {

        if (field->data && ngx_lyftr_whatsapp_is(field, name)) {
            return 1;
        }
    }

    return 0;
}


/* those of the lists that count, in their order */

static void
ngx_lyftr_whatsapp_gather(ngx_lyftr_whatsapp_ctx_t *ctx)
{
    ngx_uint_t                   i, n;
    ngx_lyftr_whatsapp_t        *wa;
    ngx_lyftr_whatsapp_range_t  *list, *next;

    wa = ctx->wa;
    n = ctx->begin;

    for ( ;; ) {
        next = NULL;

        for (i = 0; i < NGX_LYFTR_WHATSAPP_KINDS; i++) {
            list = &ctx->lists[i];

            if (list->n && (next == NULL || list->first < next->first)) {
                next = list;
            }
        }

        if (next == NULL) {
            break;
        }

        if (next->first != n) {
            ngx_memmove(&wa->items[n], &wa->items[next->first],
                        next->n * sizeof(ngx_lyftr_whatsapp_item_t));
        }

        n += next->n;
        next->n = 0;
    }

    wa->n = n;
}


/* the reader is done with its memory */

static ngx_int_t
ngx_lyftr_whatsapp_validate(ngx_lyftr_whatsapp_ctx_t *ctx, ngx_str_t *memory,
    ngx_lyftr_faults_t *faults)
{
    static ngx_str_t  object = ngx_string("object");
    static ngx_str_t  entry = ngx_string("entry");

    if (ctx->body.type != NGX_LYFTR_INPUT_OBJECT) {
        ngx_lyftr_whatsapp_fault(faults, NGX_LYFTR_NOT_OBJECT, NULL,
                                 &ctx->body, memory->data);
        return NGX_DECLINED;
    }

    if (!ctx->object.present) {
        (void) ngx_lyftr_fault_add(faults, NGX_LYFTR_MISSING, &object);

    } else if (ctx->object.type != NGX_LYFTR_INPUT_STRING
               || !ngx_lyftr_whatsapp_is(&ctx->object.text,
                                         &ngx_lyftr_whatsapp_account))
    {
        ngx_lyftr_whatsapp_fault(faults, NGX_LYFTR_LITERAL, &object,
                                 &ctx->object, memory->data);
    }

    if (!ctx->entries.present) {
        (void) ngx_lyftr_fault_add(faults, NGX_LYFTR_MISSING, &entry);

    } else if (ctx->entries.type != NGX_LYFTR_INPUT_ARRAY) {
        ngx_lyftr_whatsapp_fault(faults, NGX_LYFTR_LIST_TYPE, &entry,
                                 &ctx->entries,
                                 memory->data + ctx->object.text.len);
    }

    return faults->n ? NGX_DECLINED : NGX_OK;
}


/* a string that is no valid Unicode is told as it is written */

static void
ngx_lyftr_whatsapp_fault(ngx_lyftr_faults_t *faults, ngx_lyftr_fault_e type,
    ngx_str_t *field, ngx_lyftr_whatsapp_value_t *value, u_char *decoded)
{
    size_t              len;
    ngx_uint_t          lone;
    ngx_lyftr_fault_t  *fault;

    fault = ngx_lyftr_fault_add(faults, type, field);

    fault->input_type = value->type;
    fault->input = value->text;

    if (value->type != NGX_LYFTR_INPUT_STRING) {
        return;
    }

    len = ngx_lyftr_json_decode(decoded, value->text.data, value->text.len, 0,
                                &lone);

    if (!lone) {
        fault->input.data = decoded;
        fault->input.len = len;
    }
}

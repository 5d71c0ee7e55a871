
#include <ngx_lyftr_whatsapp.h>


#define NGX_LYFTR_WHATSAPP_TEXTS                                              \
    NGX_LYFTR_WHATSAPP_TEXT, NGX_LYFTR_WHATSAPP_STRING|NGX_LYFTR_WHATSAPP_EMPTY

/* no key has these names: the first and the second element of an array */
#define ngx_lyftr_whatsapp_first   { 0, (u_char *) "0" }
#define ngx_lyftr_whatsapp_second  { 0, (u_char *) "1" }

#define ngx_lyftr_whatsapp_map(paths)                                         \
    { paths, sizeof(paths) / sizeof(ngx_lyftr_whatsapp_path_t) }

#define ngx_lyftr_whatsapp_ends(path, level)                                  \
    ((level) == NGX_LYFTR_WHATSAPP_PATH                                       \
     || (path)->name[level].data == NULL)


static ngx_uint_t ngx_lyftr_whatsapp_accepts(ngx_uint_t accepts,
    ngx_lyftr_input_e type, ngx_str_t *text);
static ngx_uint_t ngx_lyftr_whatsapp_integer(ngx_str_t *text);
static void ngx_lyftr_whatsapp_text(ngx_str_t *found, ngx_str_t *text);


/* of a change; more than one contact tells nothing of whose a message is */

static ngx_lyftr_whatsapp_path_t  ngx_lyftr_whatsapp_change_paths[] = {

    { NGX_LYFTR_WHATSAPP_NUMBER, NGX_LYFTR_WHATSAPP_STRING,
      { ngx_string("value"), ngx_string("metadata"),
        ngx_string("display_phone_number") } },

    { NGX_LYFTR_WHATSAPP_NUMBER_ID, NGX_LYFTR_WHATSAPP_STRING,
      { ngx_string("value"), ngx_string("metadata"),
        ngx_string("phone_number_id") } },

    { NGX_LYFTR_WHATSAPP_CONTACT, NGX_LYFTR_WHATSAPP_STRING,
      { ngx_string("value"), ngx_string("contacts"),
        ngx_lyftr_whatsapp_first, ngx_string("wa_id") } },

    { NGX_LYFTR_WHATSAPP_CONTACT_USER, NGX_LYFTR_WHATSAPP_STRING,
      { ngx_string("value"), ngx_string("contacts"),
        ngx_lyftr_whatsapp_first, ngx_string("user_id") } },

    { NGX_LYFTR_WHATSAPP_PARTS, NGX_LYFTR_WHATSAPP_ANY,
      { ngx_string("value"), ngx_string("contacts"),
        ngx_lyftr_whatsapp_second } },

    { NGX_LYFTR_WHATSAPP_PARTS, NGX_LYFTR_WHATSAPP_STRING,
      { ngx_string("field") } }
};


/*
 * Of a message, whose text stands where its type says: a path of a text begins
 * with the type, and the first one that is there counts.
 */

static ngx_lyftr_whatsapp_path_t  ngx_lyftr_whatsapp_message_paths[] = {

    { NGX_LYFTR_WHATSAPP_ID, NGX_LYFTR_WHATSAPP_STRING,
      { ngx_string("id") } },

    { NGX_LYFTR_WHATSAPP_TYPE, NGX_LYFTR_WHATSAPP_STRING,
      { ngx_string("type") } },

    { NGX_LYFTR_WHATSAPP_TIMESTAMP,
      NGX_LYFTR_WHATSAPP_STRING|NGX_LYFTR_WHATSAPP_INTEGER,
      { ngx_string("timestamp") } },

    { NGX_LYFTR_WHATSAPP_FROM, NGX_LYFTR_WHATSAPP_STRING,
      { ngx_string("from") } },

    { NGX_LYFTR_WHATSAPP_FROM_USER, NGX_LYFTR_WHATSAPP_STRING,
      { ngx_string("from_user_id") } },

    { NGX_LYFTR_WHATSAPP_TO, NGX_LYFTR_WHATSAPP_STRING,
      { ngx_string("to") } },

    { NGX_LYFTR_WHATSAPP_TO_USER, NGX_LYFTR_WHATSAPP_STRING,
      { ngx_string("to_user_id") } },

    { NGX_LYFTR_WHATSAPP_TEXTS,
      { ngx_string("text"), ngx_string("body") } },

    { NGX_LYFTR_WHATSAPP_TEXTS,
      { ngx_string("image"), ngx_string("caption") } },

    { NGX_LYFTR_WHATSAPP_TEXTS,
      { ngx_string("video"), ngx_string("caption") } },

    { NGX_LYFTR_WHATSAPP_TEXTS,
      { ngx_string("document"), ngx_string("caption") } },

    { NGX_LYFTR_WHATSAPP_TEXTS,
      { ngx_string("button"), ngx_string("text") } },

    { NGX_LYFTR_WHATSAPP_TEXTS,
      { ngx_string("interactive"), ngx_string("button_reply"),
        ngx_string("title") } },

    { NGX_LYFTR_WHATSAPP_TEXTS,
      { ngx_string("interactive"), ngx_string("list_reply"),
        ngx_string("title") } },

    { NGX_LYFTR_WHATSAPP_TEXTS,
      { ngx_string("interactive"), ngx_string("nfm_reply"),
        ngx_string("body") } },

    { NGX_LYFTR_WHATSAPP_TEXTS,
      { ngx_string("interactive"), ngx_string("body"),
        ngx_string("text") } },

    { NGX_LYFTR_WHATSAPP_TEXTS,
      { ngx_string("reaction"), ngx_string("emoji") } },

    { NGX_LYFTR_WHATSAPP_TEXTS,
      { ngx_string("system"), ngx_string("body") } },

    { NGX_LYFTR_WHATSAPP_TEXTS,
      { ngx_string("order"), ngx_string("text") } },

    { NGX_LYFTR_WHATSAPP_TEXTS,
      { ngx_string("location"), ngx_string("name") } },

    { NGX_LYFTR_WHATSAPP_TEXT, NGX_LYFTR_WHATSAPP_NESTED,
      { ngx_string("edit"), ngx_string("message") } }
};


static ngx_lyftr_whatsapp_path_t  ngx_lyftr_whatsapp_status_paths[] = {

    { NGX_LYFTR_WHATSAPP_ID, NGX_LYFTR_WHATSAPP_STRING,
      { ngx_string("id") } },

    { NGX_LYFTR_WHATSAPP_TYPE, NGX_LYFTR_WHATSAPP_STRING,
      { ngx_string("type") } },

    { NGX_LYFTR_WHATSAPP_TIMESTAMP,
      NGX_LYFTR_WHATSAPP_STRING|NGX_LYFTR_WHATSAPP_INTEGER,
      { ngx_string("timestamp") } },

    { NGX_LYFTR_WHATSAPP_WORD, NGX_LYFTR_WHATSAPP_STRING,
      { ngx_string("status") } },

    { NGX_LYFTR_WHATSAPP_PARTICIPANT, NGX_LYFTR_WHATSAPP_STRING,
      { ngx_string("recipient_participant_id") } },

    { NGX_LYFTR_WHATSAPP_PARTICIPANT_USER, NGX_LYFTR_WHATSAPP_STRING,
      { ngx_string("recipient_participant_user_id") } },

    { NGX_LYFTR_WHATSAPP_RECIPIENT, NGX_LYFTR_WHATSAPP_STRING,
      { ngx_string("recipient_id") } },

    { NGX_LYFTR_WHATSAPP_RECIPIENT_USER, NGX_LYFTR_WHATSAPP_STRING,
      { ngx_string("recipient_user_id") } },

    { NGX_LYFTR_WHATSAPP_CODE,
      NGX_LYFTR_WHATSAPP_STRING|NGX_LYFTR_WHATSAPP_INTEGER,
      { ngx_string("errors"), ngx_lyftr_whatsapp_first,
        ngx_string("code") } },

    { NGX_LYFTR_WHATSAPP_TITLE, NGX_LYFTR_WHATSAPP_STRING,
      { ngx_string("errors"), ngx_lyftr_whatsapp_first,
        ngx_string("title") } }
};


ngx_lyftr_whatsapp_map_t  ngx_lyftr_whatsapp_change =
    ngx_lyftr_whatsapp_map(ngx_lyftr_whatsapp_change_paths);


/* the order is that of ngx_lyftr_whatsapp_kind_e */

ngx_lyftr_whatsapp_map_t  ngx_lyftr_whatsapp_elements[] = {
    ngx_lyftr_whatsapp_map(ngx_lyftr_whatsapp_message_paths),
    ngx_lyftr_whatsapp_map(ngx_lyftr_whatsapp_message_paths),
    ngx_lyftr_whatsapp_map(ngx_lyftr_whatsapp_status_paths)
};


void
ngx_lyftr_whatsapp_match_all(ngx_lyftr_whatsapp_match_t *match,
    ngx_lyftr_whatsapp_map_t *map, ngx_str_t *found)
{
    match->map = map;
    match->set = ((uint32_t) 1 << map->n) - 1;
    match->level = 0;
    match->found = found;

    ngx_memzero(found, map->n * sizeof(ngx_str_t));
}


/* one level deep: but for the last path */

void
ngx_lyftr_whatsapp_match_nested(ngx_lyftr_whatsapp_match_t *match,
    ngx_str_t *found)
{
    ngx_lyftr_whatsapp_match_all(match, match->map, found);

    match->set >>= 1;
}


void
ngx_lyftr_whatsapp_match_key(ngx_lyftr_whatsapp_match_t *match,
    const u_char *name, size_t len)
{
    uint32_t    bit;
    ngx_str_t  *s;
    ngx_uint_t  i;

    for (i = 0, bit = 1; bit && bit <= match->set; i++, bit <<= 1) {
        if (!(match->set & bit)) {
            continue;
        }

        s = &match->map->paths[i].name[match->level];

        if (len == 0 || s->len != len || ngx_memcmp(s->data, name, len) != 0) {
            match->set &= ~bit;
        }
    }

    match->level++;
}


void
ngx_lyftr_whatsapp_match_index(ngx_lyftr_whatsapp_match_t *match,
    ngx_uint_t i)
{
    uint32_t    bit;
    ngx_str_t  *s;
    ngx_uint_t  k;

    for (k = 0, bit = 1; bit && bit <= match->set; k++, bit <<= 1) {
        if (!(match->set & bit)) {
            continue;
        }

        s = &match->map->paths[k].name[match->level];

        if (s->len != 0 || (ngx_uint_t) (s->data[0] - '0') != i) {
            match->set &= ~bit;
        }
    }

    match->level++;
}


ngx_uint_t
ngx_lyftr_whatsapp_match_value(ngx_lyftr_whatsapp_match_t *match,
    ngx_lyftr_input_e type, ngx_str_t *text)
{
    uint32_t                    bit;
    ngx_uint_t                  i, nested;
    ngx_lyftr_whatsapp_path_t  *path;

    nested = 0;

    for (i = 0, bit = 1; bit && bit <= match->set; i++, bit <<= 1) {

        if (!(match->set & bit)) {
            continue;
        }

        path = &match->map->paths[i];

        ngx_str_null(&match->found[i]);

        if (!ngx_lyftr_whatsapp_ends(path, match->level)) {
            continue;
        }

        match->set &= ~bit;

        if (ngx_lyftr_whatsapp_accepts(path->accepts, type, text)) {
            match->found[i] = *text;
            nested |= path->accepts & NGX_LYFTR_WHATSAPP_NESTED;
        }
    }

    return nested != 0;
}


static ngx_uint_t
ngx_lyftr_whatsapp_accepts(ngx_uint_t accepts, ngx_lyftr_input_e type,
    ngx_str_t *text)
{
    if (accepts & NGX_LYFTR_WHATSAPP_ANY) {
        return 1;
    }

    switch (type) {

    case NGX_LYFTR_INPUT_STRING:
        return (accepts & (text->len ? NGX_LYFTR_WHATSAPP_STRING
                                     : NGX_LYFTR_WHATSAPP_EMPTY)) != 0;

    case NGX_LYFTR_INPUT_LITERAL:
        return (accepts & NGX_LYFTR_WHATSAPP_INTEGER)
               && ngx_lyftr_whatsapp_integer(text);

    case NGX_LYFTR_INPUT_OBJECT:
        return (accepts & NGX_LYFTR_WHATSAPP_NESTED) != 0;

    default: /* NGX_LYFTR_INPUT_ARRAY */
        return 0;
    }
}


/* neither a fraction, nor an exponent, nor a word */

static ngx_uint_t
ngx_lyftr_whatsapp_integer(ngx_str_t *text)
{
    size_t  i;

    for (i = (text->data[0] == '-'); i < text->len; i++) {

        if (text->data[i] < '0' || text->data[i] > '9') {
            return 0;
        }
    }

    return 1;
}


void
ngx_lyftr_whatsapp_parts(ngx_lyftr_whatsapp_item_t *item, ngx_str_t *found,
    ngx_str_t *nested)
{
    ngx_str_t                  *text;
    ngx_uint_t                  i;
    ngx_lyftr_whatsapp_map_t   *map;

    map = &ngx_lyftr_whatsapp_elements[item->kind];

    for (i = 0; i < map->n; i++) {
        if (map->paths[i].part != NGX_LYFTR_WHATSAPP_TEXT
            || item->kind == NGX_LYFTR_WHATSAPP_STATUS)
        {
            item->part[map->paths[i].part] = found[i];
        }
    }

    if (item->kind == NGX_LYFTR_WHATSAPP_STATUS) {
        return;
    }

    text = &item->part[NGX_LYFTR_WHATSAPP_TEXT];

    ngx_lyftr_whatsapp_text(found, text);

    /* the last path is the one to another message */

    if (text->data && text->data == found[map->n - 1].data) {
        ngx_str_null(text);

        ngx_lyftr_whatsapp_text(nested, text);
    }
}


static void
ngx_lyftr_whatsapp_text(ngx_str_t *found, ngx_str_t *text)
{
    ngx_str_t                  *type;
    ngx_uint_t                  i;
    ngx_lyftr_whatsapp_map_t   *map;
    ngx_lyftr_whatsapp_path_t  *path;

    map = &ngx_lyftr_whatsapp_elements[NGX_LYFTR_WHATSAPP_MESSAGE];
    type = &found[NGX_LYFTR_WHATSAPP_TYPE];

    if (type->data == NULL) {
        return;
    }

    for (i = 0; i < map->n; i++) {
        path = &map->paths[i];

        if (path->part == NGX_LYFTR_WHATSAPP_TEXT
            && found[i].data
            && ngx_lyftr_whatsapp_is(type, &path->name[0]))
        {
            *text = found[i];
            return;
        }
    }
}


/* one character takes six at most */

ngx_uint_t
ngx_lyftr_whatsapp_is(ngx_str_t *raw, ngx_str_t *name)
{
    size_t      len;
    u_char      buf[NGX_LYFTR_JSON_GROWTH * 32];
    ngx_uint_t  lone;

    if (raw->len == name->len) {
        return ngx_memcmp(raw->data, name->data, name->len) == 0;
    }

    if (raw->len < name->len
        || raw->len > NGX_LYFTR_JSON_GROWTH * name->len
        || raw->len > sizeof(buf)
        || raw->data == NULL
        || memchr(raw->data, '\\', raw->len) == NULL)
    {
        return 0;
    }

    len = ngx_lyftr_json_decode(buf, raw->data, raw->len, 0, &lone);

    return len == name->len && ngx_memcmp(buf, name->data, len) == 0;
}

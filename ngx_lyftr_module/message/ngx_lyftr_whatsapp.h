/*
 * A delivery of WhatsApp's Cloud API: an envelope with any number of messages
 * and statuses.  It is walked in one pass, which keeps where the parts of each
 * element stand; their rows are made afterwards.
 */


#ifndef _NGX_LYFTR_WHATSAPP_H_INCLUDED_
#define _NGX_LYFTR_WHATSAPP_H_INCLUDED_


#include <ngx_lyftr_text.h>
#include <ngx_lyftr_reader.h>


typedef enum {
    NGX_LYFTR_WHATSAPP_MESSAGE = 0,
    NGX_LYFTR_WHATSAPP_ECHO,               /* from the business to a user */
    NGX_LYFTR_WHATSAPP_STATUS,
    NGX_LYFTR_WHATSAPP_KINDS
} ngx_lyftr_whatsapp_kind_e;


/* what is kept of an element; those of both kinds, then of each */

typedef enum {
    NGX_LYFTR_WHATSAPP_ID = 0,
    NGX_LYFTR_WHATSAPP_TYPE,
    NGX_LYFTR_WHATSAPP_TIMESTAMP,

    NGX_LYFTR_WHATSAPP_NUMBER,             /* these four are its change's */
    NGX_LYFTR_WHATSAPP_NUMBER_ID,
    NGX_LYFTR_WHATSAPP_CONTACT,
    NGX_LYFTR_WHATSAPP_CONTACT_USER,

    NGX_LYFTR_WHATSAPP_FROM,               /* of a message */
    NGX_LYFTR_WHATSAPP_FROM_USER,
    NGX_LYFTR_WHATSAPP_TO,
    NGX_LYFTR_WHATSAPP_TO_USER,
    NGX_LYFTR_WHATSAPP_TEXT,
    NGX_LYFTR_WHATSAPP_MESSAGE_PARTS,

    NGX_LYFTR_WHATSAPP_WORD = NGX_LYFTR_WHATSAPP_FROM,  /* of a status */
    NGX_LYFTR_WHATSAPP_PARTICIPANT,
    NGX_LYFTR_WHATSAPP_PARTICIPANT_USER,
    NGX_LYFTR_WHATSAPP_RECIPIENT,
    NGX_LYFTR_WHATSAPP_RECIPIENT_USER,
    NGX_LYFTR_WHATSAPP_CODE,
    NGX_LYFTR_WHATSAPP_TITLE,
    NGX_LYFTR_WHATSAPP_PARTS
} ngx_lyftr_whatsapp_part_e;


/* an element; its strings are in the body as they stand, NULL if absent */

typedef struct {
    ngx_lyftr_whatsapp_kind_e  kind;
    ngx_uint_t                 again;      /* how often it was repeated */
    ngx_str_t                  raw;
    ngx_str_t                  part[NGX_LYFTR_WHATSAPP_PARTS];
} ngx_lyftr_whatsapp_item_t;


/* all zero at first; items is to be freed, and may be used for the next one */

typedef struct {
    ngx_lyftr_whatsapp_item_t *items;      /* in the order of the payload */
    ngx_uint_t                 n;
    ngx_uint_t                 size;       /* those that there is room for */
    ngx_uint_t                 other;
} ngx_lyftr_whatsapp_t;


/* the rows of a delivery; memory is to be freed */

typedef struct {
    void                      *memory;
    ngx_lyftr_message_t       *messages;
    ngx_uint_t                 nmessages;
    ngx_lyftr_message_t       *statuses;
    ngx_uint_t                 nstatuses;
    ngx_uint_t                 messages_again;  /* that came, and have no row */
    ngx_uint_t                 statuses_again;
    ngx_str_t                  first;      /* message_id of the first item */
} ngx_lyftr_whatsapp_rows_t;


/* ngx_lyftr_whatsapp.c */

/*
 * Walks a delivery; memory is what ngx_lyftr_message_memory() says.  The items
 * point into body, and the faults into both.
 *
 * NGX_OK, NGX_DECLINED with all faults of the body, or NGX_ERROR: there is no
 * memory.
 */
ngx_int_t ngx_lyftr_whatsapp_parse(ngx_str_t *body, ngx_str_t *memory,
    ngx_lyftr_whatsapp_t *wa, ngx_lyftr_faults_t *faults);


/* ngx_lyftr_whatsapp_map.c */

#define NGX_LYFTR_WHATSAPP_PATH    4       /* names of a path */
#define NGX_LYFTR_WHATSAPP_ROWS    32      /* paths of a table */

/* what may stand at the end of a path */
#define NGX_LYFTR_WHATSAPP_STRING  0x01    /* one that is not empty */
#define NGX_LYFTR_WHATSAPP_EMPTY   0x02    /* one that is */
#define NGX_LYFTR_WHATSAPP_INTEGER 0x04
#define NGX_LYFTR_WHATSAPP_ANY     0x08
#define NGX_LYFTR_WHATSAPP_NESTED  0x10    /* another message */

typedef struct {
    ngx_uint_t                 part;
    ngx_uint_t                 accepts;
    ngx_str_t                  name[NGX_LYFTR_WHATSAPP_PATH];
} ngx_lyftr_whatsapp_path_t;

typedef struct {
    ngx_lyftr_whatsapp_path_t *paths;
    ngx_uint_t                 n;
} ngx_lyftr_whatsapp_map_t;

/* the paths of a change: those that its elements get, in their order, then */

#define NGX_LYFTR_WHATSAPP_CONTACT_ROW   2
#define NGX_LYFTR_WHATSAPP_OF_CHANGE     4
#define NGX_LYFTR_WHATSAPP_CONTACTS      4 /* more than one */
#define NGX_LYFTR_WHATSAPP_FIELD         5

extern ngx_lyftr_whatsapp_map_t  ngx_lyftr_whatsapp_change;
extern ngx_lyftr_whatsapp_map_t  ngx_lyftr_whatsapp_elements[];

/* a set of paths, and how many of their names have been met */

typedef struct {
    ngx_lyftr_whatsapp_map_t  *map;        /* NULL: none */
    uint32_t                   set;
    ngx_uint_t                 level;
    ngx_str_t                 *found;      /* of each path */
} ngx_lyftr_whatsapp_match_t;

/* begins with all paths of map */
void ngx_lyftr_whatsapp_match_all(ngx_lyftr_whatsapp_match_t *match,
    ngx_lyftr_whatsapp_map_t *map, ngx_str_t *found);

/* the same for the message inside of one that has edited it */
void ngx_lyftr_whatsapp_match_nested(ngx_lyftr_whatsapp_match_t *match,
    ngx_str_t *found);

/* leaves those of match that go on with a key, or with an array's element */
void ngx_lyftr_whatsapp_match_key(ngx_lyftr_whatsapp_match_t *match,
    const u_char *name, size_t len);
void ngx_lyftr_whatsapp_match_index(ngx_lyftr_whatsapp_match_t *match,
    ngx_uint_t i);

/*
 * A value has come: what was found there before is forgotten, and it is taken
 * if one of the paths ends here.  Leaves those that go on; 1 if it is another
 * message.
 */
ngx_uint_t ngx_lyftr_whatsapp_match_value(ngx_lyftr_whatsapp_match_t *match,
    ngx_lyftr_input_e type, ngx_str_t *text);

/* the parts of an item from what was found of its own; nested may be NULL */
void ngx_lyftr_whatsapp_parts(ngx_lyftr_whatsapp_item_t *item,
    ngx_str_t *found, ngx_str_t *nested);

/* is what stands between quotes this? */
ngx_uint_t ngx_lyftr_whatsapp_is(ngx_str_t *raw, ngx_str_t *name);


/* ngx_lyftr_whatsapp_row.c */

/* room for more items; NGX_OK or NGX_ERROR */
ngx_int_t ngx_lyftr_whatsapp_grow(ngx_lyftr_whatsapp_t *wa);

/* the type of an element that has no usable id; a row has this very string */
extern ngx_str_t  ngx_lyftr_whatsapp_malformed;

/*
 * Makes the rows of wa, without the statuses if those are to be dropped.
 * receipt is the time of it, for what has none of its own, and together with
 * the body is pointed to.  NGX_OK, or NGX_ERROR: there is no memory.
 */
ngx_int_t ngx_lyftr_whatsapp_make(ngx_lyftr_whatsapp_t *wa,
    ngx_str_t *receipt, ngx_uint_t statuses, ngx_lyftr_whatsapp_rows_t *rows);


#endif /* _NGX_LYFTR_WHATSAPP_H_INCLUDED_ */

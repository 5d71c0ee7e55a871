
#include <ngx_lyftr_whatsapp.h>
#include <ngx_lyftr_hmac.h>


#define NGX_LYFTR_WHATSAPP_ID_MAX       65536
#define NGX_LYFTR_WHATSAPP_DIGEST       "sha256:"
#define NGX_LYFTR_WHATSAPP_DIGEST_LEN   (7 + 2 * NGX_LYFTR_HMAC_LEN)
#define NGX_LYFTR_WHATSAPP_TS_LEN       (sizeof("YYYY-MM-DDThh:mm:ssZ") - 1)

#define NGX_LYFTR_WHATSAPP_ITEMS        16     /* to begin with */

/* what the rows of a delivery may have of their changes, all together */
#define NGX_LYFTR_WHATSAPP_SHARED_MAX   (64 * 1024 * 1024)

/* what a row has beside the parts of its item, of which two may come twice */
#define NGX_LYFTR_WHATSAPP_ROW_LEN                                            \
    (NGX_LYFTR_WHATSAPP_DIGEST_LEN + NGX_LYFTR_WHATSAPP_TS_LEN                \
     + sizeof("++::::  "))

/* the last instant has twelve digits */
#define NGX_LYFTR_WHATSAPP_DIGITS       12


/* what a part of a change has become, which its elements share */

typedef struct {
    u_char                      *part;
    ngx_str_t                    s;            /* NULL: nothing */
} ngx_lyftr_whatsapp_shared_t;


/* a row that is being made */

typedef struct {
    u_char                      *p;            /* where its strings go on */
    ngx_lyftr_whatsapp_shared_t  shared[NGX_LYFTR_WHATSAPP_OF_CHANGE];
    ngx_uint_t                   apart;        /* that would be too much */
    ngx_lyftr_whatsapp_item_t   *item;
    ngx_lyftr_message_t         *m;
    ngx_str_t                   *receipt;
    ngx_lyftr_instant_t         *now;
    void                        *digest;       /* or NULL: not needed yet */
    ngx_lyftr_message_t          dropped;
} ngx_lyftr_whatsapp_row_t;


/* how a party is written: a number gets its plus sign */

typedef enum {
    NGX_LYFTR_WHATSAPP_AS_IS = 0,
    NGX_LYFTR_WHATSAPP_PLUS,
    NGX_LYFTR_WHATSAPP_DIGITS_ONLY
} ngx_lyftr_whatsapp_form_e;


typedef struct {
    ngx_uint_t                   part;
    ngx_lyftr_whatsapp_form_e    form;
} ngx_lyftr_whatsapp_party_t;


static size_t ngx_lyftr_whatsapp_len(ngx_lyftr_whatsapp_item_t *item,
    ngx_lyftr_whatsapp_item_t *before, size_t *shared);
static ngx_int_t ngx_lyftr_whatsapp_write(ngx_lyftr_whatsapp_t *wa,
    ngx_uint_t statuses, ngx_lyftr_whatsapp_row_t *row,
    ngx_lyftr_whatsapp_rows_t *rows);
static ngx_int_t ngx_lyftr_whatsapp_row(ngx_lyftr_whatsapp_row_t *row);
static ngx_int_t ngx_lyftr_whatsapp_digest(ngx_lyftr_whatsapp_row_t *row);
static ngx_int_t ngx_lyftr_whatsapp_status_id(ngx_lyftr_whatsapp_row_t *row);
static ngx_int_t ngx_lyftr_whatsapp_id(ngx_lyftr_whatsapp_row_t *row,
    ngx_str_t **parts, ngx_uint_t n);
static void ngx_lyftr_whatsapp_party(ngx_lyftr_whatsapp_row_t *row,
    ngx_lyftr_whatsapp_party_t *parties, ngx_str_t *s);
static ngx_str_t *ngx_lyftr_whatsapp_share(ngx_lyftr_whatsapp_row_t *row,
    ngx_lyftr_whatsapp_party_t *party);
static ngx_uint_t ngx_lyftr_whatsapp_write_party(ngx_lyftr_whatsapp_row_t *row,
    ngx_str_t *part, ngx_lyftr_whatsapp_form_e form, ngx_str_t *s);
static void ngx_lyftr_whatsapp_ts(ngx_lyftr_whatsapp_row_t *row);
static ngx_int_t ngx_lyftr_whatsapp_seconds(u_char *s, size_t len,
    int64_t *seconds);
static void ngx_lyftr_whatsapp_status_text(ngx_lyftr_whatsapp_row_t *row);
static void ngx_lyftr_whatsapp_copy(ngx_lyftr_whatsapp_row_t *row,
    ngx_str_t *part, ngx_str_t *s);


#define NGX_LYFTR_WHATSAPP_BUSINESS                                           \
    { NGX_LYFTR_WHATSAPP_NUMBER, NGX_LYFTR_WHATSAPP_DIGITS_ONLY },            \
    { NGX_LYFTR_WHATSAPP_NUMBER_ID, NGX_LYFTR_WHATSAPP_AS_IS }

#define NGX_LYFTR_WHATSAPP_THE_CONTACT                                        \
    { NGX_LYFTR_WHATSAPP_CONTACT, NGX_LYFTR_WHATSAPP_PLUS },                  \
    { NGX_LYFTR_WHATSAPP_CONTACT_USER, NGX_LYFTR_WHATSAPP_AS_IS }

#define ngx_lyftr_whatsapp_of_change(part)                                    \
    ((part) >= NGX_LYFTR_WHATSAPP_NUMBER                                      \
     && (part) < NGX_LYFTR_WHATSAPP_NUMBER + NGX_LYFTR_WHATSAPP_OF_CHANGE)

#define NGX_LYFTR_WHATSAPP_NOBODY                                             \
    { NGX_LYFTR_WHATSAPP_PARTS, NGX_LYFTR_WHATSAPP_AS_IS }


/* whom the first part that is there tells; the order is that of the kinds */

static ngx_lyftr_whatsapp_party_t  ngx_lyftr_whatsapp_from[][6] = {

    { { NGX_LYFTR_WHATSAPP_FROM, NGX_LYFTR_WHATSAPP_PLUS },
      { NGX_LYFTR_WHATSAPP_FROM_USER, NGX_LYFTR_WHATSAPP_AS_IS },
      NGX_LYFTR_WHATSAPP_THE_CONTACT,
      NGX_LYFTR_WHATSAPP_NOBODY },

    { { NGX_LYFTR_WHATSAPP_FROM, NGX_LYFTR_WHATSAPP_PLUS },
      NGX_LYFTR_WHATSAPP_BUSINESS,
      NGX_LYFTR_WHATSAPP_NOBODY },

    { { NGX_LYFTR_WHATSAPP_PARTICIPANT, NGX_LYFTR_WHATSAPP_PLUS },
      { NGX_LYFTR_WHATSAPP_PARTICIPANT_USER, NGX_LYFTR_WHATSAPP_PLUS },
      { NGX_LYFTR_WHATSAPP_RECIPIENT, NGX_LYFTR_WHATSAPP_PLUS },
      { NGX_LYFTR_WHATSAPP_RECIPIENT_USER, NGX_LYFTR_WHATSAPP_AS_IS },
      NGX_LYFTR_WHATSAPP_NOBODY }
};


static ngx_lyftr_whatsapp_party_t  ngx_lyftr_whatsapp_to[][6] = {

    { NGX_LYFTR_WHATSAPP_BUSINESS,
      NGX_LYFTR_WHATSAPP_NOBODY },

    { { NGX_LYFTR_WHATSAPP_TO, NGX_LYFTR_WHATSAPP_PLUS },
      { NGX_LYFTR_WHATSAPP_TO_USER, NGX_LYFTR_WHATSAPP_AS_IS },
      NGX_LYFTR_WHATSAPP_THE_CONTACT,
      NGX_LYFTR_WHATSAPP_NOBODY },

    { NGX_LYFTR_WHATSAPP_BUSINESS,
      NGX_LYFTR_WHATSAPP_NOBODY }
};


ngx_str_t  ngx_lyftr_whatsapp_malformed = ngx_string("malformed");

static ngx_str_t  ngx_lyftr_whatsapp_unknown = ngx_string("unknown");
static ngx_str_t  ngx_lyftr_whatsapp_status = ngx_string("status");
static ngx_str_t  ngx_lyftr_whatsapp_failed = ngx_string("failed");


ngx_int_t
ngx_lyftr_whatsapp_grow(ngx_lyftr_whatsapp_t *wa)
{
    void        *items;
    ngx_uint_t   size;

    size = wa->size ? 2 * wa->size : NGX_LYFTR_WHATSAPP_ITEMS;

    items = realloc(wa->items, size * sizeof(ngx_lyftr_whatsapp_item_t));
    if (items == NULL) {
        return NGX_ERROR;
    }

    wa->items = items;
    wa->size = size;

    return NGX_OK;
}


/* a status that is dropped has a row only to tell its id, if it is the first */

ngx_int_t
ngx_lyftr_whatsapp_make(ngx_lyftr_whatsapp_t *wa, ngx_str_t *receipt,
    ngx_uint_t statuses, ngx_lyftr_whatsapp_rows_t *rows)
{
    size_t                      len, shared;
    ngx_int_t                   rc;
    ngx_uint_t                  i;
    ngx_lyftr_instant_t         now;
    ngx_lyftr_whatsapp_row_t    row;
    ngx_lyftr_whatsapp_item_t  *item, *before;

    ngx_memzero(rows, sizeof(ngx_lyftr_whatsapp_rows_t));

    if (wa->n == 0) {
        return NGX_OK;
    }

    len = 0;
    shared = 0;
    before = NULL;

    for (i = 0; i < wa->n; i++) {
        item = &wa->items[i];

        if (item->kind != NGX_LYFTR_WHATSAPP_STATUS) {
            rows->nmessages++;
            rows->messages_again += item->again;

        } else {
            rows->nstatuses++;
            rows->statuses_again += item->again;

            if (!statuses && i > 0) {
                continue;
            }
        }

        len += sizeof(ngx_lyftr_message_t)
               + ngx_lyftr_whatsapp_len(item, before, &shared);
        before = item;
    }

    rows->memory = malloc(len);
    if (rows->memory == NULL) {
        return NGX_ERROR;
    }

    rows->messages = rows->memory;
    rows->statuses = statuses ? rows->messages + rows->nmessages : NULL;

    row.p = (u_char *) (rows->messages + rows->nmessages
                        + (statuses ? rows->nstatuses : 0));
    ngx_memzero(row.shared, sizeof(row.shared));

    row.apart = (shared > NGX_LYFTR_WHATSAPP_SHARED_MAX);
    row.receipt = receipt;
    row.now = &now;

    row.digest = NULL;

    (void) ngx_lyftr_instant_parse(receipt->data, receipt->len, &now);

    rc = ngx_lyftr_whatsapp_write(wa, statuses, &row, rows);

    if (row.digest) {
        ngx_lyftr_digest_free(row.digest);
    }

    if (rc != NGX_OK) {
        free(rows->memory);
        rows->memory = NULL;
    }

    return rc;
}


static ngx_int_t
ngx_lyftr_whatsapp_write(ngx_lyftr_whatsapp_t *wa, ngx_uint_t statuses,
    ngx_lyftr_whatsapp_row_t *row, ngx_lyftr_whatsapp_rows_t *rows)
{
    ngx_uint_t  i;

    rows->nmessages = 0;
    rows->nstatuses = 0;

    for (i = 0; i < wa->n; i++) {
        row->item = &wa->items[i];

        if (row->item->kind != NGX_LYFTR_WHATSAPP_STATUS) {
            row->m = &rows->messages[rows->nmessages++];

        } else if (statuses) {
            row->m = &rows->statuses[rows->nstatuses++];

        } else {
            rows->nstatuses++;

            if (i > 0) {
                continue;
            }

            row->m = &row->dropped;
        }

        if (ngx_lyftr_whatsapp_row(row) != NGX_OK) {
            return NGX_ERROR;
        }

        if (i == 0) {
            rows->first = row->m->message_id;
        }
    }

    return NGX_OK;
}


/* an upper bound of what the strings of a row take, after those before it */

static size_t
ngx_lyftr_whatsapp_len(ngx_lyftr_whatsapp_item_t *item,
    ngx_lyftr_whatsapp_item_t *before, size_t *shared)
{
    size_t      len;
    ngx_uint_t  i;

    len = NGX_LYFTR_WHATSAPP_ROW_LEN;

    for (i = 0; i < NGX_LYFTR_WHATSAPP_PARTS; i++) {

        if (ngx_lyftr_whatsapp_of_change(i)) {
            *shared += item->part[i].len;

            if (before && before->part[i].data == item->part[i].data) {
                continue;
            }
        }

        len += item->part[i].len;
    }

    if (item->kind == NGX_LYFTR_WHATSAPP_STATUS) {
        len += item->part[NGX_LYFTR_WHATSAPP_WORD].len
               + item->part[NGX_LYFTR_WHATSAPP_TIMESTAMP].len
               + item->part[NGX_LYFTR_WHATSAPP_PARTICIPANT].len
               + item->part[NGX_LYFTR_WHATSAPP_PARTICIPANT_USER].len;
    }

    return len;
}


static ngx_int_t
ngx_lyftr_whatsapp_row(ngx_lyftr_whatsapp_row_t *row)
{
    ngx_int_t                   rc;
    ngx_str_t                  *id;
    ngx_lyftr_message_t        *m;
    ngx_lyftr_whatsapp_item_t  *item;

    m = row->m;
    item = row->item;

    ngx_memzero(m, sizeof(ngx_lyftr_message_t));

    m->raw = item->raw;

    ngx_lyftr_whatsapp_party(row, ngx_lyftr_whatsapp_from[item->kind],
                             &m->from);
    ngx_lyftr_whatsapp_party(row, ngx_lyftr_whatsapp_to[item->kind], &m->to);
    ngx_lyftr_whatsapp_ts(row);

    if (item->kind == NGX_LYFTR_WHATSAPP_STATUS) {
        ngx_lyftr_whatsapp_status_text(row);
        m->type = ngx_lyftr_whatsapp_status;

        rc = ngx_lyftr_whatsapp_status_id(row);

    } else {
        ngx_lyftr_whatsapp_copy(row, &item->part[NGX_LYFTR_WHATSAPP_TEXT],
                                &m->text);
        ngx_lyftr_whatsapp_copy(row, &item->part[NGX_LYFTR_WHATSAPP_TYPE],
                                &m->type);

        id = &item->part[NGX_LYFTR_WHATSAPP_ID];
        rc = ngx_lyftr_whatsapp_id(row, &id, 1);
    }

    return (rc == NGX_OK) ? NGX_OK : ngx_lyftr_whatsapp_digest(row);
}


/* nothing is lost: an element without an id is known by its bytes */

static ngx_int_t
ngx_lyftr_whatsapp_digest(ngx_lyftr_whatsapp_row_t *row)
{
    u_char     *p, md[NGX_LYFTR_HMAC_LEN];
    ngx_str_t  *id;
    ngx_uint_t  i;

    static u_char  hex[] = "0123456789abcdef";

    if (row->digest == NULL) {
        row->digest = ngx_lyftr_digest_create();
        if (row->digest == NULL) {
            return NGX_ERROR;
        }
    }

    p = ngx_cpymem(row->p, NGX_LYFTR_WHATSAPP_DIGEST,
                   sizeof(NGX_LYFTR_WHATSAPP_DIGEST) - 1);

    if (ngx_lyftr_digest_make(row->digest, &row->item->raw, md) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_LYFTR_HMAC_LEN; i++) {
        *p++ = hex[md[i] >> 4];
        *p++ = hex[md[i] & 0xf];
    }

    id = &row->m->message_id;

    id->data = row->p;
    id->len = p - row->p;

    row->p = p;
    row->m->type = ngx_lyftr_whatsapp_malformed;

    return NGX_OK;
}


/* a message has a status more than once, and a group's one of each member */

static ngx_int_t
ngx_lyftr_whatsapp_status_id(ngx_lyftr_whatsapp_row_t *row)
{
    ngx_str_t   *part, *member, *parts[5];
    ngx_uint_t   n;

    static ngx_str_t  none = ngx_string("");

    part = row->item->part;
    n = 0;

    parts[n++] = &part[NGX_LYFTR_WHATSAPP_ID];
    parts[n++] = &part[NGX_LYFTR_WHATSAPP_WORD];

    if (part[NGX_LYFTR_WHATSAPP_TYPE].data) {
        parts[n++] = &part[NGX_LYFTR_WHATSAPP_TYPE];
        parts[n++] = part[NGX_LYFTR_WHATSAPP_TIMESTAMP].data
                     ? &part[NGX_LYFTR_WHATSAPP_TIMESTAMP] : &none;
    }

    member = part[NGX_LYFTR_WHATSAPP_PARTICIPANT].data
             ? &part[NGX_LYFTR_WHATSAPP_PARTICIPANT]
             : &part[NGX_LYFTR_WHATSAPP_PARTICIPANT_USER];

    if (member->data) {
        parts[n++] = member;
    }

    return ngx_lyftr_whatsapp_id(row, parts, n);
}


/* n parts with colons between; NGX_DECLINED if it would not do as an id */

static ngx_int_t
ngx_lyftr_whatsapp_id(ngx_lyftr_whatsapp_row_t *row, ngx_str_t **parts,
    ngx_uint_t n)
{
    size_t      len;
    u_char     *p;
    ngx_str_t  *id;
    ngx_uint_t  i, lone;

    p = row->p;

    for (i = 0; i < n; i++) {

        if (parts[i]->data == NULL) {
            return NGX_DECLINED;
        }

        if (i > 0) {
            *p++ = ':';
        }

        len = ngx_lyftr_json_decode(p, parts[i]->data, parts[i]->len, 0,
                                    &lone);

        if (lone || memchr(p, '\0', len)) {
            return NGX_DECLINED;
        }

        p += len;
    }

    id = &row->m->message_id;

    id->data = row->p;
    id->len = p - row->p;

    if (id->len > NGX_LYFTR_WHATSAPP_ID_MAX) {
        return NGX_DECLINED;
    }

    row->p = p;

    return NGX_OK;
}


static void
ngx_lyftr_whatsapp_party(ngx_lyftr_whatsapp_row_t *row,
    ngx_lyftr_whatsapp_party_t *party, ngx_str_t *s)
{
    ngx_str_t  *part, *shared;

    for ( /* void */ ; party->part != NGX_LYFTR_WHATSAPP_PARTS; party++) {
        part = &row->item->part[party->part];

        if (part->data == NULL
            || (row->apart && ngx_lyftr_whatsapp_of_change(party->part)))
        {
            continue;
        }

        if (ngx_lyftr_whatsapp_of_change(party->part)) {
            shared = ngx_lyftr_whatsapp_share(row, party);

            if (shared->data) {
                *s = *shared;
                return;
            }

        } else if (ngx_lyftr_whatsapp_write_party(row, part, party->form, s)) {
            return;
        }
    }

    *s = ngx_lyftr_whatsapp_unknown;
}


/* once a change: a long number must not be there for each of its elements */

static ngx_str_t *
ngx_lyftr_whatsapp_share(ngx_lyftr_whatsapp_row_t *row,
    ngx_lyftr_whatsapp_party_t *party)
{
    ngx_str_t                    *part;
    ngx_lyftr_whatsapp_shared_t  *shared;

    part = &row->item->part[party->part];
    shared = &row->shared[party->part - NGX_LYFTR_WHATSAPP_NUMBER];

    if (shared->part != part->data) {
        shared->part = part->data;

        if (!ngx_lyftr_whatsapp_write_party(row, part, party->form,
                                            &shared->s))
        {
            ngx_str_null(&shared->s);
        }
    }

    return &shared->s;
}


/* 0 if it has no digit, and should */

static ngx_uint_t
ngx_lyftr_whatsapp_write_party(ngx_lyftr_whatsapp_row_t *row, ngx_str_t *part,
    ngx_lyftr_whatsapp_form_e form, ngx_str_t *s)
{
    size_t      i, len, n;
    u_char     *p;
    ngx_uint_t  lone;

    if (form == NGX_LYFTR_WHATSAPP_AS_IS) {
        ngx_lyftr_whatsapp_copy(row, part, s);
        return 1;
    }

    p = row->p;
    *p++ = '+';

    len = ngx_lyftr_json_decode(p, part->data, part->len, 0xfffd, &lone);

    /* the digits move to the front, and are all of it, or not */

    for (i = 0, n = 0; i < len; i++) {

        if (p[i] >= '0' && p[i] <= '9') {
            n++;

            if (form == NGX_LYFTR_WHATSAPP_DIGITS_ONLY) {
                p[n - 1] = p[i];
            }
        }
    }

    if (form == NGX_LYFTR_WHATSAPP_DIGITS_ONLY) {
        len = n;
    }

    if (len == 0) {
        return 0;
    }

    row->p = p + len;

    s->data = (n == len) ? p - 1 : p;
    s->len = row->p - s->data;

    return 1;
}


/* what is no time is that of the receipt */

static void
ngx_lyftr_whatsapp_ts(ngx_lyftr_whatsapp_row_t *row)
{
    size_t      len;
    int64_t     seconds;
    ngx_str_t  *part, *ts;
    ngx_uint_t  lone;

    part = &row->item->part[NGX_LYFTR_WHATSAPP_TIMESTAMP];
    ts = &row->m->ts;

    if (part->data) {
        len = ngx_lyftr_json_decode(row->p, part->data, part->len, 0, &lone);

        if (ngx_lyftr_whatsapp_seconds(row->p, len, &seconds) == NGX_OK
            && ngx_lyftr_instant_write(row->p, seconds))
        {
            ts->data = row->p;
            ts->len = NGX_LYFTR_WHATSAPP_TS_LEN;

            row->p += ts->len;

            (void) ngx_lyftr_instant_parse(ts->data, ts->len,
                                           &row->m->instant);
            return;
        }
    }

    *ts = *row->receipt;
    row->m->instant = *row->now;
}


static ngx_int_t
ngx_lyftr_whatsapp_seconds(u_char *s, size_t len, int64_t *seconds)
{
    size_t      i, digits;
    int64_t     n;
    ngx_uint_t  minus;

    minus = (len > 0 && s[0] == '-');

    if (len == minus) {
        return NGX_DECLINED;
    }

    n = 0;
    digits = 0;

    for (i = minus; i < len; i++) {

        if (s[i] < '0' || s[i] > '9') {
            return NGX_DECLINED;
        }

        digits += (digits || s[i] != '0');

        if (digits <= NGX_LYFTR_WHATSAPP_DIGITS) {
            n = n * 10 + (s[i] - '0');
        }
    }

    *seconds = minus ? -n : n;

    return (digits <= NGX_LYFTR_WHATSAPP_DIGITS) ? NGX_OK : NGX_DECLINED;
}


/* the word, and of one that failed why */

static void
ngx_lyftr_whatsapp_status_text(ngx_lyftr_whatsapp_row_t *row)
{
    ngx_str_t   *part, *text;
    ngx_uint_t   i, lone;

    part = row->item->part;
    text = &row->m->text;

    if (part[NGX_LYFTR_WHATSAPP_WORD].data == NULL) {
        return;
    }

    if (!ngx_lyftr_whatsapp_is(&part[NGX_LYFTR_WHATSAPP_WORD],
                               &ngx_lyftr_whatsapp_failed))
    {
        ngx_lyftr_whatsapp_copy(row, &part[NGX_LYFTR_WHATSAPP_WORD], text);
        return;
    }

    text->data = row->p;
    row->p = ngx_cpymem(row->p, ngx_lyftr_whatsapp_failed.data,
                        ngx_lyftr_whatsapp_failed.len);

    for (i = NGX_LYFTR_WHATSAPP_CODE; i <= NGX_LYFTR_WHATSAPP_TITLE; i++) {

        if (part[i].data) {
            *row->p++ = ' ';
            row->p += ngx_lyftr_json_decode(row->p, part[i].data, part[i].len,
                                            0xfffd, &lone);
        }
    }

    text->len = row->p - text->data;
}


/* what has no escapes stays where it is */

static void
ngx_lyftr_whatsapp_copy(ngx_lyftr_whatsapp_row_t *row, ngx_str_t *part,
    ngx_str_t *s)
{
    ngx_uint_t  lone;

    *s = *part;

    if (part->data == NULL || memchr(part->data, '\\', part->len) == NULL) {
        return;
    }

    s->data = row->p;
    s->len = ngx_lyftr_json_decode(row->p, part->data, part->len, 0xfffd,
                                   &lone);
    row->p += s->len;
}

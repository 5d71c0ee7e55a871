/*
 * The pure part: text in, values out.  No nginx function is called, no memory
 * is allocated from a pool and nothing is logged, so every file that is listed
 * here is unit-tested and fuzzed without nginx.
 */


#ifndef _NGX_LYFTR_TEXT_H_INCLUDED_
#define _NGX_LYFTR_TEXT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* what one escaped byte can grow to: \u001f, or U+FFFD for a bad byte */
#define NGX_LYFTR_JSON_GROWTH      6

/* a cursor is no longer, and has no more of an id, or of a ts that is none */
#define NGX_LYFTR_CURSOR_LEN       512
#define NGX_LYFTR_CURSOR_PART      96

#define NGX_LYFTR_TEXT_MAX         4096    /* code points */
#define NGX_LYFTR_DEPTH_MAX        512
#define NGX_LYFTR_INPUT_MAX        255     /* bytes of "input" in a fault */
#define NGX_LYFTR_FAULTS_MAX       10


/*
 * An instant that compares as bytes do, a shorter one being the smaller: five
 * bytes of seconds since 0001-01-01T00:00:00Z, big endian, then four bytes of
 * nanoseconds less their trailing zero bytes.  Sixty-four bits cannot hold
 * nanoseconds of 9,999 years.
 */

typedef struct {
    size_t               len;
    u_char               data[9];
} ngx_lyftr_instant_t;


typedef struct {
    ngx_str_t            message_id;
    ngx_str_t            from;
    ngx_str_t            to;
    ngx_str_t            ts;
    ngx_str_t            text;             /* data == NULL: null */
    ngx_str_t            type;             /* the same */
    ngx_str_t            raw;              /* the same: JSON, as it came */
    ngx_str_t            created_at;       /* the same; of a row read */
    ngx_lyftr_instant_t  instant;          /* of ts; not set in a row read */
    ngx_uint_t           known;            /* set by a store: it had the id */
} ngx_lyftr_message_t;


/* what a list shows of a row, in this order; that of a table */

typedef enum {
    NGX_LYFTR_FIELD_MESSAGE_ID = 0,
    NGX_LYFTR_FIELD_FROM,
    NGX_LYFTR_FIELD_TO,
    NGX_LYFTR_FIELD_TS,
    NGX_LYFTR_FIELD_TEXT,
    NGX_LYFTR_FIELD_TYPE,
    NGX_LYFTR_FIELD_RAW,
    NGX_LYFTR_FIELD_CREATED_AT,
    NGX_LYFTR_FIELD_CURSOR,
    NGX_LYFTR_FIELDS
} ngx_lyftr_field_e;

#define ngx_lyftr_field(n)         ((ngx_uint_t) 1 << (n))

/* the first five */
#define NGX_LYFTR_FIELDS_DEFAULT   (ngx_lyftr_field(NGX_LYFTR_FIELD_TYPE) - 1)

/* all but raw, which is before created_at, and cursor */
#define NGX_LYFTR_FIELDS_EXPORT                                               \
    ((ngx_lyftr_field(NGX_LYFTR_FIELD_RAW) - 1)                               \
     | ngx_lyftr_field(NGX_LYFTR_FIELD_CREATED_AT))

/* those that few rows have */
#define NGX_LYFTR_FIELDS_EXTRA     (ngx_lyftr_field(NGX_LYFTR_FIELD_TYPE)     \
                                    | ngx_lyftr_field(NGX_LYFTR_FIELD_RAW))


/*
 * Where a row stands, or stood, in the order of arrival and in that of time.
 * What is cut is its beginning only.
 */

typedef struct {
    uint64_t             store;            /* its identity */
    int64_t              seq;              /* 0: before all rows, or nowhere */
    uint64_t             hash;             /* of the id */
    size_t               instant_len;
    size_t               id_len;
    u_char               instant[NGX_LYFTR_CURSOR_PART];
    u_char               id[NGX_LYFTR_CURSOR_PART];
    unsigned             text:1;           /* instant is a ts that is none */
    unsigned             instant_cut:1;
    unsigned             id_cut:1;
} ngx_lyftr_position_t;


typedef struct {
    ngx_int_t            limit;
    int64_t              offset;
    ngx_lyftr_position_t after;
    ngx_uint_t           fields;           /* a bit for each */

    /* absent: len == 0 */
    ngx_str_t            from;
    ngx_str_t            q;                /* not folded */
    ngx_str_t            id;
    ngx_str_t            since;            /* as sent, */
    ngx_str_t            until;            /* these too */
    ngx_str_t            show;             /* the list of fields */
    ngx_str_t            type;
    ngx_str_t            order;
    ngx_str_t            cursor;           /* of after */
    ngx_lyftr_instant_t  instant;          /* of since, if since.len, */
    ngx_lyftr_instant_t  end;              /* and of until */

    unsigned             none:1;           /* no row can match */
    unsigned             desc:1;           /* the last one comes first */
    unsigned             walk:1;           /* q may be left to the reader */
    unsigned             resumed:1;        /* the cursor is of a header */
    unsigned             format:2;         /* ngx_lyftr_format_e */
} ngx_lyftr_query_t;


/* how an export is written */

typedef enum {
    NGX_LYFTR_FORMAT_ANY = 0,              /* none was asked for */
    NGX_LYFTR_FORMAT_NDJSON,
    NGX_LYFTR_FORMAT_CSV,
    NGX_LYFTR_FORMAT_SHEET
} ngx_lyftr_format_e;


/* what a query is for: a bit tells which parameters there are */

#define NGX_LYFTR_QUERY_LIST       0x01
#define NGX_LYFTR_QUERY_STREAM     0x02
#define NGX_LYFTR_QUERY_EXPORT     0x04
#define NGX_LYFTR_QUERY_RESUME     0x08    /* a stream; a header says where */


/* the order is that of the table in ngx_lyftr_fault.c */

typedef enum {
    NGX_LYFTR_MISSING = 0,
    NGX_LYFTR_STRING_TYPE,
    NGX_LYFTR_STRING_TOO_SHORT,
    NGX_LYFTR_STRING_TOO_LONG,
    NGX_LYFTR_STRING_PATTERN,
    NGX_LYFTR_STRING_UNICODE,
    NGX_LYFTR_JSON_INVALID,
    NGX_LYFTR_NOT_OBJECT,
    NGX_LYFTR_DATETIME,
    NGX_LYFTR_INT_PARSING,
    NGX_LYFTR_GREATER_EQUAL,
    NGX_LYFTR_LESS_EQUAL,
    NGX_LYFTR_CURSOR,
    NGX_LYFTR_LITERAL,
    NGX_LYFTR_LIST_TYPE,
    NGX_LYFTR_LITERAL_FIELDS,
    NGX_LYFTR_LITERAL_ORDER,
    NGX_LYFTR_LITERAL_FORMAT,
    NGX_LYFTR_EXTRA
} ngx_lyftr_fault_e;


typedef enum {
    NGX_LYFTR_INPUT_OBJECT = 0,            /* {}, also for what is missing */
    NGX_LYFTR_INPUT_ARRAY,                 /* [] */
    NGX_LYFTR_INPUT_STRING,
    NGX_LYFTR_INPUT_LITERAL                /* a number, true, false, null */
} ngx_lyftr_input_e;


typedef struct {
    ngx_lyftr_fault_e    type;
    ngx_lyftr_input_e    input_type;
    ngx_str_t            input;
    ngx_str_t            field;            /* empty: the whole body */
    ngx_int_t            position;         /* of broken JSON, else -1 */
    int64_t              bound;            /* of what is out of range */
} ngx_lyftr_fault_t;


typedef struct {
    ngx_str_t            in;               /* "body" or "query" */
    ngx_uint_t           n;
    ngx_lyftr_fault_t    fault[NGX_LYFTR_FAULTS_MAX];
} ngx_lyftr_faults_t;


/* where ch stands, or the end */

static ngx_inline u_char *
ngx_lyftr_find(u_char *p, u_char *last, u_char ch)
{
    while (p < last && *p != ch) {
        p++;
    }

    return p;
}


/* the value of a hex digit, or NGX_ERROR */

static ngx_inline ngx_int_t
ngx_lyftr_hex(u_char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : NGX_ERROR;
}


/* that of a base64 digit, of which these are the last two, or NGX_ERROR */

static ngx_inline ngx_int_t
ngx_lyftr_base64(u_char c, const char *last)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }

    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }

    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }

    return (c == last[0]) ? 62 : (c == last[1]) ? 63 : NGX_ERROR;
}


/* ngx_lyftr_utf8.c */

/*
 * Decodes the character at *p, which is before last, and steps over it.  Bytes
 * that are not UTF-8 (RFC 3629: overlong, surrogate, above U+10FFFF, cut) give
 * NGX_LYFTR_UTF8_INVALID and a step of one byte.
 */
uint32_t ngx_lyftr_utf8_decode(u_char **p, u_char *last);

#define NGX_LYFTR_UTF8_INVALID     0xffffffff

/* the offset of the first byte that is not UTF-8; len if there is none */
size_t ngx_lyftr_utf8_valid(u_char *s, size_t len);

/* the code points of valid UTF-8 */
size_t ngx_lyftr_utf8_count(u_char *s, size_t len);

/* the largest length up to max that does not end inside a character */
size_t ngx_lyftr_utf8_cut(u_char *s, size_t len, size_t max);


/* ngx_lyftr_json.c */

/*
 * Writes s between quotes, escaped as RFC 8259, section 7 demands; a byte that
 * is not UTF-8 becomes U+FFFD.  At most NGX_LYFTR_JSON_GROWTH * len + 2 bytes.
 */
u_char *ngx_lyftr_json_string(u_char *p, u_char *s, size_t len);

/* what ngx_lyftr_json_string() will write */
size_t ngx_lyftr_json_string_len(u_char *s, size_t len);

/*
 * Decodes what is between the quotes of a valid string; the length, which is
 * never more than len.  U+0000 becomes nul, and a lone surrogate U+FFFD, which
 * lone tells.
 */
size_t ngx_lyftr_json_decode(u_char *buf, u_char *s, size_t len, uint32_t nul,
    ngx_uint_t *lone);

/*
 * Takes the white space between the tokens of valid JSON out; the length, which
 * is never more than len.  buf may be NULL: only the length is returned.
 */
size_t ngx_lyftr_json_minify(u_char *buf, u_char *s, size_t len);

/* at most NGX_INT64_LEN bytes */
u_char *ngx_lyftr_json_int(u_char *p, int64_t n);


/* ngx_lyftr_instant.c */

/*
 * Reads the ts of a message: YYYY-MM-DDThh:mm:ss[.f{1,9}]Z, a date that exists.
 * NGX_OK or NGX_DECLINED.
 */
ngx_int_t ngx_lyftr_instant_parse(u_char *s, size_t len,
    ngx_lyftr_instant_t *t);

/*
 * Reads the since of a query: RFC 3339 with T and Z in either case, or an
 * offset +hh:mm or -hh:mm.  An instant before year 1 gives the smallest one.
 * NGX_OK or NGX_DECLINED.
 */
ngx_int_t ngx_lyftr_instant_parse_since(u_char *s, size_t len,
    ngx_lyftr_instant_t *t);

/*
 * Writes whole seconds since 1970 as YYYY-MM-DDThh:mm:ssZ; NULL if the year is
 * none of 1 to 9999.
 */
u_char *ngx_lyftr_instant_write(u_char *p, int64_t seconds);

/* milliseconds since 1970, rounded down */
int64_t ngx_lyftr_instant_msec(ngx_lyftr_instant_t *t);


/* ngx_lyftr_fold.c */

/*
 * Unicode's full case folding of UTF-8, without normalisation; invalid bytes
 * are kept as they are.  buf may be NULL: only the length is returned.
 */
size_t ngx_lyftr_fold(u_char *buf, u_char *s, size_t len);

/* 1 if folded s contains the folded needle, else 0 */
ngx_uint_t ngx_lyftr_fold_contains(u_char *s, size_t len, u_char *needle,
    size_t needle_len);


/* ngx_lyftr_siphash.c */

/* a hash that nobody can foretell who does not know the key, of two words */
uint64_t ngx_lyftr_siphash(uint64_t *key, u_char *p, size_t len);


/* ngx_lyftr_fault.c */

/* appends; what is over NGX_LYFTR_FAULTS_MAX is dropped */
ngx_lyftr_fault_t *ngx_lyftr_fault_add(ngx_lyftr_faults_t *faults,
    ngx_lyftr_fault_e type, ngx_str_t *field);

/* an upper bound of what ngx_lyftr_fault_write() writes */
size_t ngx_lyftr_fault_len(ngx_lyftr_faults_t *faults);

/* writes {"detail":[...]} in FastAPI's shape */
u_char *ngx_lyftr_fault_write(u_char *p, ngx_lyftr_faults_t *faults);


/* ngx_lyftr_message.c */

/* the memory that reading a body of this length needs at most */
size_t ngx_lyftr_message_memory(size_t len);

/*
 * Parses and validates one message.  What the message and the faults point to
 * is in strings, which has len bytes, and in body; memory is used meanwhile.
 * m->message_id is set whenever it is a string of valid Unicode, also in a
 * message that is refused.
 *
 * NGX_OK, NGX_DECLINED with all faults of the body, or NGX_ERROR: the memory
 * is too small.
 */
ngx_int_t ngx_lyftr_message_parse(u_char *body, size_t len, u_char *strings,
    ngx_str_t *memory, ngx_lyftr_message_t *m, ngx_lyftr_faults_t *faults);


/* ngx_lyftr_cursor.c */

/* sets what a position says of the order of time */
void ngx_lyftr_cursor_set(ngx_lyftr_position_t *position, ngx_str_t *instant,
    ngx_uint_t text, ngx_str_t *id);

/* NGX_OK, or NGX_DECLINED with position->seq of 0: it is no cursor */
ngx_int_t ngx_lyftr_cursor_read(ngx_str_t *s, ngx_lyftr_position_t *position);

/* at most NGX_LYFTR_CURSOR_LEN bytes */
u_char *ngx_lyftr_cursor_write(u_char *p, ngx_lyftr_position_t *position);


/* ngx_lyftr_item.c */

/* the field of that name, or NGX_DECLINED */
ngx_int_t ngx_lyftr_item_field(u_char *name, size_t len);

/* what ngx_lyftr_item_write() will write */
size_t ngx_lyftr_item_len(ngx_lyftr_message_t *m,
    ngx_lyftr_position_t *position, ngx_uint_t fields);

/* writes an object with these fields of a row, in their order, on one line */
u_char *ngx_lyftr_item_write(u_char *p, ngx_lyftr_message_t *m,
    ngx_lyftr_position_t *position, ngx_uint_t fields);


/* its name, and where a row has it, if that is no cursor */
ngx_str_t *ngx_lyftr_item_name(ngx_uint_t field);
ngx_str_t *ngx_lyftr_item_member(ngx_lyftr_message_t *m, ngx_uint_t field);


/* ngx_lyftr_csv.c */

/* the room that a record needs, and the record; with sheet, for spreadsheets */
size_t ngx_lyftr_csv_len(ngx_lyftr_message_t *m);
u_char *ngx_lyftr_csv_write(u_char *p, ngx_lyftr_message_t *m,
    ngx_lyftr_position_t *position, ngx_uint_t fields, ngx_uint_t sheet);

/* the names; at most 128 bytes */
u_char *ngx_lyftr_csv_head(u_char *p, ngx_uint_t fields, ngx_uint_t sheet);


/* ngx_lyftr_line.c */

/* the same as an item, without what some readers take for the end of a line */
size_t ngx_lyftr_line_len(ngx_lyftr_message_t *m,
    ngx_lyftr_position_t *position, ngx_uint_t fields);

/* room for it, of all fields, which is found without a look at their bytes */
size_t ngx_lyftr_line_room(ngx_lyftr_message_t *m);

u_char *ngx_lyftr_line_write(u_char *p, ngx_lyftr_message_t *m,
    ngx_lyftr_position_t *position, ngx_uint_t fields);


/* ngx_lyftr_query.c */

/*
 * Parses the arguments of a request; what the strings of q point to is in
 * arena, which has args->len bytes.  NGX_OK or NGX_DECLINED with all faults.
 */
ngx_int_t ngx_lyftr_query_parse_as(ngx_uint_t kind, ngx_str_t *args,
    u_char *arena, ngx_lyftr_query_t *q, ngx_lyftr_faults_t *faults);

/* those of /messages */
#define ngx_lyftr_query_parse(args, arena, q, faults)                         \
    ngx_lyftr_query_parse_as(NGX_LYFTR_QUERY_LIST, args, arena, q, faults)

/*
 * Decodes what is percent-encoded, and of a form also a plus, which is a space
 * there; where it ends.
 */
u_char *ngx_lyftr_query_decode(u_char *dst, u_char *s, u_char *last,
    ngx_uint_t form);

/* an upper bound of what ngx_lyftr_query_write_next() writes */
size_t ngx_lyftr_query_next_len(ngx_lyftr_query_t *q);

/*
 * Writes the arguments of the page that follows the position: limit, all that
 * was asked but the offset, and after, percent-encoded.
 */
u_char *ngx_lyftr_query_write_next(u_char *p, ngx_lyftr_query_t *q,
    ngx_lyftr_position_t *last);

/* the fault of a cursor that no row of the store answers to */
void ngx_lyftr_query_bad_cursor(ngx_lyftr_query_t *q,
    ngx_lyftr_faults_t *faults);

/* the same of Last-Event-ID */
void ngx_lyftr_query_bad_header(ngx_lyftr_query_t *q,
    ngx_lyftr_faults_t *faults);


#endif /* _NGX_LYFTR_TEXT_H_INCLUDED_ */

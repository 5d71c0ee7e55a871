#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres.h>
#include <ngx_lyftr_message.h>


/*
 * Messages as the columns of rows: an array for each column.  What an index
 * has of an id, or of a sender, is its beginning only, since a key has at most
 * 2,704 bytes; the rest is in a column of its own.
 */

typedef enum {
    NGX_LYFTR_COLUMN_HASH = 0,
    NGX_LYFTR_COLUMN_TEXT,
    NGX_LYFTR_COLUMN_BEGINNING,
    NGX_LYFTR_COLUMN_REST,
    NGX_LYFTR_COLUMN_INSTANT
} ngx_lyftr_postgres_column_e;


typedef struct {
    ngx_lyftr_postgres_column_e   type;
    uint32_t                      oid;
    size_t                        offset;  /* in ngx_lyftr_message_t */
} ngx_lyftr_postgres_column_t;


/* the order is that of NGX_LYFTR_PG_INSERT */

static ngx_lyftr_postgres_column_t  ngx_lyftr_postgres_table[] = {

    { NGX_LYFTR_COLUMN_HASH, NGX_LYFTR_OID_UUID,
      offsetof(ngx_lyftr_message_t, message_id) },

    { NGX_LYFTR_COLUMN_BEGINNING, NGX_LYFTR_OID_TEXT,
      offsetof(ngx_lyftr_message_t, message_id) },

    { NGX_LYFTR_COLUMN_REST, NGX_LYFTR_OID_TEXT,
      offsetof(ngx_lyftr_message_t, message_id) },

    { NGX_LYFTR_COLUMN_BEGINNING, NGX_LYFTR_OID_TEXT,
      offsetof(ngx_lyftr_message_t, from) },

    { NGX_LYFTR_COLUMN_REST, NGX_LYFTR_OID_TEXT,
      offsetof(ngx_lyftr_message_t, from) },

    { NGX_LYFTR_COLUMN_TEXT, NGX_LYFTR_OID_TEXT,
      offsetof(ngx_lyftr_message_t, to) },

    { NGX_LYFTR_COLUMN_TEXT, NGX_LYFTR_OID_TEXT,
      offsetof(ngx_lyftr_message_t, ts) },

    { NGX_LYFTR_COLUMN_TEXT, NGX_LYFTR_OID_TEXT,
      offsetof(ngx_lyftr_message_t, text) },

    { NGX_LYFTR_COLUMN_TEXT, NGX_LYFTR_OID_TEXT,
      offsetof(ngx_lyftr_message_t, type) },

    { NGX_LYFTR_COLUMN_TEXT, NGX_LYFTR_OID_BYTEA,
      offsetof(ngx_lyftr_message_t, raw) },

    { NGX_LYFTR_COLUMN_INSTANT, NGX_LYFTR_OID_BYTEA,
      offsetof(ngx_lyftr_message_t, instant) }
};

#define NGX_LYFTR_POSTGRES_TABLE   (sizeof(ngx_lyftr_postgres_table)          \
                                    / sizeof(ngx_lyftr_postgres_column_t))


static ngx_int_t ngx_lyftr_postgres_column(ngx_lyftr_postgres_buf_t *buf,
    void *digest, ngx_lyftr_postgres_column_t *column, ngx_lyftr_message_t *m);


ngx_int_t
ngx_lyftr_postgres_columns(ngx_lyftr_postgres_buf_t *buf, void *digest,
    ngx_lyftr_batch_t *batch, ngx_uint_t k, ngx_lyftr_postgres_args_t *args)
{
    size_t                        at[NGX_LYFTR_POSTGRES_TABLE + 1];
    ngx_uint_t                    i, j, n;
    ngx_lyftr_write_t            *write;
    ngx_lyftr_postgres_column_t  *column;

    buf->len = 0;

    for (i = 0; i < NGX_LYFTR_POSTGRES_TABLE; i++) {
        column = &ngx_lyftr_postgres_table[i];
        at[i] = buf->len;

        if (ngx_lyftr_postgres_array(buf, column->oid, k) != NGX_OK) {
            return NGX_ERROR;
        }

        for (n = 0; n < batch->n; n++) {
            write = batch->writes[n];

            for (j = 0; j < write->n; j++) {
                if (ngx_lyftr_postgres_column(buf, digest, column,
                                              &write->messages[j])
                    != NGX_OK)
                {
                    return NGX_ERROR;
                }
            }
        }
    }

    at[i] = buf->len;

    /* it has stopped growing, and moving */

    for (i = 0; i < NGX_LYFTR_POSTGRES_TABLE; i++) {
        ngx_lyftr_postgres_arg(args, buf->data + at[i], at[i + 1] - at[i]);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_postgres_column(ngx_lyftr_postgres_buf_t *buf, void *digest,
    ngx_lyftr_postgres_column_t *column, ngx_lyftr_message_t *m)
{
    size_t      cut;
    u_char      bytes[NGX_LYFTR_HMAC_LEN];
    ngx_str_t   s, *member;

    member = (ngx_str_t *) ((u_char *) m + column->offset);

    switch (column->type) {

    case NGX_LYFTR_COLUMN_HASH:

        if (ngx_lyftr_postgres_hash(digest, member, bytes) != NGX_OK) {
            return NGX_ERROR;
        }

        s.data = bytes;
        s.len = NGX_LYFTR_POSTGRES_HASH;
        break;

    case NGX_LYFTR_COLUMN_INSTANT:
        ngx_lyftr_postgres_instant(bytes, &m->instant, &s);
        break;

    case NGX_LYFTR_COLUMN_BEGINNING:
        s.data = member->data;
        s.len = ngx_lyftr_postgres_cut(member);
        break;

    case NGX_LYFTR_COLUMN_REST:
        cut = ngx_lyftr_postgres_cut(member);
        s.data = member->data + cut;
        s.len = member->len - cut;
        break;

    default: /* NGX_LYFTR_COLUMN_TEXT */
        s = *member;
    }

    return ngx_lyftr_postgres_element(buf, &s);
}


ngx_int_t
ngx_lyftr_postgres_hash(void *digest, ngx_str_t *id, u_char *h)
{
    u_char  md[NGX_LYFTR_HMAC_LEN];

    if (ngx_lyftr_digest_make(digest, id, md) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(h, md, NGX_LYFTR_POSTGRES_HASH);

    return NGX_OK;
}


/* before all of them stand those that are none, which begin with 00 */

void
ngx_lyftr_postgres_instant(u_char *buf, ngx_lyftr_instant_t *t, ngx_str_t *s)
{
    buf[0] = 1;
    ngx_memcpy(buf + 1, t->data, t->len);

    s->data = buf;
    s->len = 1 + t->len;
}

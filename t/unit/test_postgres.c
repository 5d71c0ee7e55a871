/* The PostgreSQL backend, as far as it needs no server. */

#include "unit.h"

#include <ngx_lyftr_postgres_backend.h>
#include <ngx_lyftr_postgres_list.h>
#include <ngx_lyftr_message.h>


static ngx_lyftr_backend_t       *b = &ngx_lyftr_postgres_backend;
static ngx_lyftr_error_t          err;
static ngx_lyftr_postgres_dsn_t   dsn;


static ngx_str_t
test_str(const char *s)
{
    ngx_str_t  str;

    str.data = (u_char *) s;
    str.len = strlen(s);

    return str;
}


static void
test_urls(void **state)
{
    ngx_str_t    url;
    ngx_uint_t   i;

    static struct {
        char        *url;
        char        *path;
        char        *kept;
    } ok[] = {
        { "postgresql://host/db", "host:5432/db", "postgresql://host/db" },
        { "postgres://host/db", "host:5432/db", "postgresql://host/db" },
        { "postgresql+asyncpg://u:p%40ss@a:1,b:2/db?sslmode=require",
          "a,b:1,2/db",
          "postgresql://u:p%40ss@a:1,b:2/db?sslmode=require" },
        { "postgresql:///db?host=/run/pg", "/run/pg:5432/db",
          "postgresql:///db?host=/run/pg" },
        { "postgresql://?service=main", "service main",
          "postgresql://?service=main" }
    };

    static ngx_str_t  bad[] = {
        ngx_string(""),
        ngx_string("postgresql"),
        ngx_string("postgresql:"),
        ngx_string("postgresql:/host"),
        ngx_string("postgresqlx://host"),
        ngx_string("postgresql://u:secret@host/db?unknown=1"),
        ngx_string("postgresql://u:secret@[host/db"),
        ngx_string("postgresql://u:secret%@host/db"),
        ngx_string("postgresql://host/a\0b"),
        ngx_string("sqlite:///a")
    };

    for (i = 0; i < unit_count(ok); i++) {
        url = test_str(ok[i].url);
        assert_int_equal(b->init(&dsn, &url, &err), NGX_OK);
        assert_string_equal(dsn.common.path, ok[i].path);
        assert_string_equal(dsn.url, ok[i].kept);
    }

    /* what is refused is not shown: it may have a password */

    for (i = 0; i < unit_count(bad); i++) {
        assert_int_equal(b->init(&dsn, &bad[i], &err), NGX_ERROR);
        unit_equal(err.text, err.len,
                   "not a URL such as postgresql://host/database");
    }

    url.len = NGX_LYFTR_POSTGRES_URL + 10;
    url.data = malloc(url.len);
    ngx_memset(url.data, 'x', url.len);
    ngx_memcpy(url.data, "postgresql://", 13);
    assert_int_equal(b->init(&dsn, &url, &err), NGX_ERROR);
    unit_equal(err.text, err.len, "the URL is too long");
    free(url.data);
}


/* of several hosts, each is tried for a time of its own */

static void
test_hosts(void **state)
{
    char        part[8];
    ngx_str_t   url;

    url = test_str("postgresql://a:1,b,c:3/db");
    assert_int_equal(b->init(&dsn, &url, &err), NGX_OK);
    assert_int_equal(dsn.nhosts, 3);

    ngx_lyftr_postgres_part(dsn.hosts, 0, part, sizeof(part));
    assert_string_equal(part, "a");
    ngx_lyftr_postgres_part(dsn.hosts, 2, part, sizeof(part));
    assert_string_equal(part, "c");
    ngx_lyftr_postgres_part(dsn.ports, 1, part, sizeof(part));
    assert_string_equal(part, "");
    ngx_lyftr_postgres_part(dsn.ports, 2, part, sizeof(part));
    assert_string_equal(part, "3");

    url = test_str("postgresql:///db?host=/x,/y&port=7");
    assert_int_equal(b->init(&dsn, &url, &err), NGX_OK);
    assert_int_equal(dsn.nhosts, 2);

    ngx_lyftr_postgres_part(dsn.hosts, 1, part, sizeof(part));
    assert_string_equal(part, "/y");
    ngx_lyftr_postgres_part(dsn.ports, 1, part, sizeof(part));
    assert_string_equal(part, "7");
    ngx_lyftr_postgres_part("0123456789,x", 0, part, sizeof(part));
    assert_string_equal(part, "0123456");

    url = test_str("postgresql://a/db");
    assert_int_equal(b->init(&dsn, &url, &err), NGX_OK);
    assert_int_equal(dsn.nhosts, 0);
}


static void
test_errors(void **state)
{
    ngx_uint_t  i;

    static struct {
        char             *state;
        ngx_lyftr_err_e   code;
    } codes[] = {
        { "22021", NGX_LYFTR_ERR_DATA },
        { "54000", NGX_LYFTR_ERR_DATA },
        { "53100", NGX_LYFTR_ERR_FULL },
        { "53300", NGX_LYFTR_ERR_OPEN },
        { "25006", NGX_LYFTR_ERR_READONLY },
        { "40001", NGX_LYFTR_ERR_BUSY },
        { "40P01", NGX_LYFTR_ERR_BUSY },
        { "55P03", NGX_LYFTR_ERR_BUSY },
        { "57014", NGX_LYFTR_ERR_TIMEOUT },
        { "57P01", NGX_LYFTR_ERR_OPEN },
        { "08006", NGX_LYFTR_ERR_OPEN },
        { "42P01", NGX_LYFTR_ERR_SCHEMA },
        { "42501", NGX_LYFTR_ERR_OPEN },
        { "3F000", NGX_LYFTR_ERR_MOVED },
        { "XX001", NGX_LYFTR_ERR_CORRUPT },
        { "99999", NGX_LYFTR_ERR_FAILED }
    };

    for (i = 0; i < unit_count(codes); i++) {
        assert_int_equal(ngx_lyftr_postgres_code(codes[i].state),
                         codes[i].code);
    }

    /* one line, whatever the server says */

    (void) snprintf((char *) dsn.common.path, sizeof(dsn.common.path), "a/b");
    (void) ngx_lyftr_postgres_fail(&dsn, &err, NGX_LYFTR_ERR_OPEN,
                                   "x\ty\nDETAIL: z");
    unit_equal(err.text, err.len, "a/b: x?y");
}


static void
test_arrays(void **state)
{
    ngx_str_t                  s, null;
    ngx_lyftr_postgres_buf_t   buf;

    ngx_memzero(&buf, sizeof(ngx_lyftr_postgres_buf_t));

    ngx_str_null(&null);
    s = test_str("ab");

    assert_int_equal(ngx_lyftr_postgres_array(&buf, NGX_LYFTR_OID_TEXT, 2),
                     NGX_OK);
    assert_int_equal(ngx_lyftr_postgres_element(&buf, &s), NGX_OK);
    assert_int_equal(ngx_lyftr_postgres_element(&buf, &null), NGX_OK);

    unit_equal(buf.data, buf.len,
               "\0\0\0\1\0\0\0\1\0\0\0\x19\0\0\0\2\0\0\0\1"
               "\0\0\0\2" "ab" "\xff\xff\xff\xff");

    buf.len = 0;

    assert_int_equal(ngx_lyftr_postgres_ints(&buf, NULL, 0), NGX_OK);
    unit_equal(buf.data, buf.len, "\0\0\0\0\0\0\0\1\0\0\0\x14");

    ngx_lyftr_postgres_free(&buf);
}


/* at characters, whatever they have of bytes */

static void
test_cut(void **state)
{
    u_char      data[4 * (NGX_LYFTR_POSTGRES_KEY + 2)];
    ngx_str_t   s;
    ngx_uint_t  i, n;

    s.data = data;

    for (n = NGX_LYFTR_POSTGRES_KEY - 1; n < NGX_LYFTR_POSTGRES_KEY + 2; n++) {

        for (i = 0; i < n; i++) {
            ngx_memcpy(data + 4 * i, "\xf0\x9f\x98\x80", 4);
        }

        s.len = 4 * n;
        assert_int_equal(ngx_lyftr_postgres_cut(&s),
                         4 * ngx_min(n, NGX_LYFTR_POSTGRES_KEY));

        ngx_memset(data, 'x', n);
        s.len = n;
        assert_int_equal(ngx_lyftr_postgres_cut(&s),
                         ngx_min(n, NGX_LYFTR_POSTGRES_KEY));
    }
}


static void
test_slots(void **state)
{
    int64_t     slot, batch;
    uint64_t    word;
    ngx_uint_t  i;

    static struct {
        int64_t  slot;
        int64_t  batch;
    } words[] = {
        { 1, 0 },
        { 1, 1 },
        { 0x7fffff, ((int64_t) 1 << 40) - 1 },
        { 4711, 815 }
    };

    for (i = 0; i < unit_count(words); i++) {
        word = ngx_lyftr_postgres_slot_word(words[i].slot, words[i].batch);

        assert_true(word != 0);

        ngx_lyftr_postgres_slot_of(word, &slot, &batch);

        assert_int_equal(slot, words[i].slot);
        assert_int_equal(batch, words[i].batch);
    }

    /* what is noted of messages is of one each, and never nothing */

    assert_true(ngx_lyftr_postgres_slot_note(1, 0, 0) != 0);
    assert_true(ngx_lyftr_postgres_slot_note(1, 2, 0)
                != ngx_lyftr_postgres_slot_note(1, 2, 1));
    assert_true(ngx_lyftr_postgres_slot_note(1, 2, 0xffff)
                != ngx_lyftr_postgres_slot_note(1, 3, 0));
    assert_true(ngx_lyftr_postgres_slot_note(1, 0xffffff, 0)
                != ngx_lyftr_postgres_slot_note(2, 0, 0));
    assert_true(ngx_lyftr_postgres_slot_note(0x7fffff, 0xffffff, 0xffff)
                == (uint64_t) -1 >> 1);
}


/* one array a column, of all messages of all writes */

static void
test_columns(void **state)
{
    char                       *text[2];
    void                       *digest;
    size_t                      len;
    u_char                      h[NGX_LYFTR_POSTGRES_HASH];
    ngx_uint_t                  i;
    ngx_lyftr_batch_t           batch;
    ngx_lyftr_write_t           write[2], *writes[2];
    ngx_lyftr_message_t         m[2];
    ngx_lyftr_postgres_buf_t    buf;
    ngx_lyftr_postgres_args_t   args;

    ngx_memzero(m, sizeof(m));
    ngx_memzero(&buf, sizeof(ngx_lyftr_postgres_buf_t));

    text[0] = "a";
    text[1] = "b";

    m[0].message_id = test_str(text[0]);
    m[1].message_id = test_str(text[1]);
    m[0].from = m[1].from = test_str("+1");
    m[0].to = m[1].to = test_str("+2");
    m[0].ts = m[1].ts = test_str("2025-01-15T10:00:00Z");
    m[1].text = test_str("t");

    assert_int_equal(ngx_lyftr_instant_parse(m[0].ts.data, m[0].ts.len,
                                             &m[0].instant), NGX_OK);
    m[1].instant = m[0].instant;

    write[0].messages = &m[0];
    write[1].messages = &m[1];
    write[0].n = write[1].n = 1;
    writes[0] = &write[0];
    writes[1] = &write[1];

    batch.writes = writes;
    batch.n = 2;

    digest = ngx_lyftr_digest_create();
    assert_non_null(digest);

    /* the memory is used again */

    for (i = 0, len = 0; i < 2; i++) {
        args.n = 0;
        assert_int_equal(ngx_lyftr_postgres_columns(&buf, digest, &batch, 2,
                                                    &args), NGX_OK);
        assert_int_equal(args.n, 11);
        assert_true(len == 0 || buf.len == len);

        len = buf.len;
    }

    /* SHA-256 of "a" begins so */

    assert_int_equal(ngx_lyftr_postgres_hash(digest, &m[0].message_id, h),
                     NGX_OK);
    unit_equal(h, 4, "\xca\x97\x81\x12");
    unit_equal_bytes((u_char *) args.value[0] + 24, sizeof(h), h, sizeof(h),
                     __LINE__);

    unit_equal(args.value[1], args.len[1],
               "\0\0\0\1\0\0\0\1\0\0\0\x19\0\0\0\2\0\0\0\1"
               "\0\0\0\1a\0\0\0\1b");
    unit_equal(args.value[2], args.len[2],
               "\0\0\0\1\0\0\0\1\0\0\0\x19\0\0\0\2\0\0\0\1"
               "\0\0\0\0\0\0\0\0");
    unit_equal(args.value[7], args.len[7],
               "\0\0\0\1\0\0\0\1\0\0\0\x19\0\0\0\2\0\0\0\1"
               "\xff\xff\xff\xff\0\0\0\1t");

    /* an instant has a byte before it */

    assert_int_equal(args.value[10][23], 1 + m[0].instant.len);
    assert_int_equal(args.value[10][24], 1);

    ngx_lyftr_digest_free(digest);
    ngx_lyftr_postgres_free(&buf);
}


/* each statement is there, and has no more arguments than there is room for */

static void
test_statements(void **state)
{
    const char  *p;
    ngx_uint_t   i;

    for (i = 0; i < NGX_LYFTR_PG_N; i++) {
        assert_non_null(ngx_lyftr_postgres_sql[i]);

        for (p = strchr(ngx_lyftr_postgres_sql[i], '$');
             p;
             p = strchr(p + 1, '$'))
        {
            assert_true(atoi(p + 1) >= 1);
            assert_true(atoi(p + 1) <= NGX_LYFTR_POSTGRES_ARGS);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_statements)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A row as a record of a CSV, and on one line for all readers. */

#include "unit.h"


static ngx_lyftr_message_t   m;
static ngx_lyftr_position_t  position;


/* no more is written than there is said to be room for */

static void
test_write(ngx_uint_t fields, ngx_uint_t sheet, char *want)
{
    u_char  *p, *buf;

    buf = malloc(ngx_lyftr_csv_len(&m));
    assert_non_null(buf);

    p = ngx_lyftr_csv_write(buf, &m, &position, fields, sheet);

    assert_true((size_t) (p - buf) <= ngx_lyftr_csv_len(&m));
    unit_equal_str(buf, p - buf, want);

    free(buf);
}


static void
test_text(char *text, ngx_uint_t sheet, char *want)
{
    m.text.data = (u_char *) text;
    m.text.len = text ? strlen(text) : 0;

    test_write(ngx_lyftr_field(NGX_LYFTR_FIELD_TEXT), sheet, want);
}


static void
test_values(void **state)
{
    ngx_memzero(&m, sizeof(m));

    test_text(NULL, 0, "\r\n");
    test_text("", 0, "\"\"\r\n");
    test_text(" a b ", 0, " a b \r\n");
    test_text("a,b", 0, "\"a,b\"\r\n");
    test_text("\"", 0, "\"\"\"\"\r\n");
    test_text("a\nb", 0, "\"a\nb\"\r\n");
    test_text("a\rb", 0, "\"a\rb\"\r\n");
    test_text("=1", 0, "=1\r\n");
}


static void
test_sheet(void **state)
{
    ngx_memzero(&m, sizeof(m));

    test_text(NULL, 1, "\r\n");
    test_text("", 1, "\"\"\r\n");
    test_text("=1", 1, "'=1\r\n");
    test_text("+1", 1, "'+1\r\n");
    test_text("-1", 1, "'-1\r\n");
    test_text("@a", 1, "'@a\r\n");
    test_text("\ta", 1, "'\ta\r\n");
    test_text("\na", 1, "\"'\na\"\r\n");
    test_text("\ra", 1, "\"'\ra\"\r\n");
    test_text("a=1", 1, "a=1\r\n");
    test_text("=\",\"", 1, "\"'=\"\",\"\"\"\r\n");
}


static void
test_record(void **state)
{
    u_char      *p, buf[128];
    ngx_uint_t   all;

    all = ngx_lyftr_field(NGX_LYFTR_FIELDS) - 1;

    ngx_memzero(&m, sizeof(m));
    ngx_memzero(&position, sizeof(position));

    ngx_str_set(&m.message_id, "a");
    ngx_str_set(&m.from, "+1");
    ngx_str_set(&m.to, "+2");
    ngx_str_set(&m.ts, "2025-01-15T10:00:00Z");
    ngx_str_set(&m.raw, " { \"a\" : \"\" } ");

    test_write(all, 0, "a,+1,+2,2025-01-15T10:00:00Z,,,"
                       "\"{\"\"a\"\":\"\"\"\"}\",,0\r\n");

    /* nothing but quotes needs the most */

    ngx_str_set(&m.raw, "\"\\\"\\\"\\\"\\\"\"");

    test_write(ngx_lyftr_field(NGX_LYFTR_FIELD_RAW), 0,
               "\"\"\"\\\"\"\\\"\"\\\"\"\\\"\"\"\"\"\r\n");

    p = ngx_lyftr_csv_head(buf, all, 1);

    unit_equal_str(buf, p - buf, "\xef\xbb\xbfmessage_id,from,to,ts,text,type,"
                                 "raw,created_at,cursor\r\n");
}


static void
test_line(void **state)
{
    u_char      *p, *buf;
    size_t       len;
    ngx_uint_t   fields;

    ngx_memzero(&m, sizeof(m));

    ngx_str_set(&m.text,
                "\xc2\x85\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xa7\xc3\xa9");
    ngx_str_set(&m.raw, "[ \"\xe2\x80\xa8\" ]");
    ngx_str_set(&m.created_at, "\xe2\x80\xa8");

    fields = ngx_lyftr_field(NGX_LYFTR_FIELD_TEXT)
             | ngx_lyftr_field(NGX_LYFTR_FIELD_RAW)
             | ngx_lyftr_field(NGX_LYFTR_FIELD_CREATED_AT);
    len = ngx_lyftr_line_len(&m, &position, fields);

    assert_true(len <= ngx_lyftr_line_room(&m));

    buf = malloc(len);
    assert_non_null(buf);

    p = ngx_lyftr_line_write(buf, &m, &position, fields);

    assert_true((size_t) (p - buf) <= len);
    unit_equal_str(buf, p - buf,
                   "{\"text\":\"\\u0085\\u2028\\u2029\xe2\x80\xa7\xc3\xa9\","
                   "\"raw\":[\"\\u2028\"],\"created_at\":\"\\u2028\"}");

    free(buf);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_sheet),
        cmocka_unit_test(test_record),
        cmocka_unit_test(test_line)
    };

    return cmocka_run_group_tests_name("csv", tests, NULL, NULL);
}

/* A row as an item of a list. */

#include "unit.h"


static ngx_lyftr_message_t   m;
static ngx_lyftr_position_t  position;

static char  raw[] = " { \"a\" :\t[ 1 ,\r\n 2 ] , \"b c\" : \" \\\" \" } ";


/* len is what is written, and no byte after it is touched */

static void
test_write(ngx_uint_t fields, char *want)
{
    u_char  *p, *buf;
    size_t   len;

    len = ngx_lyftr_item_len(&m, &position, fields);

    buf = malloc(len);
    assert_non_null(buf);

    p = ngx_lyftr_item_write(buf, &m, &position, fields);

    assert_int_equal(p - buf, len);
    unit_equal_str(buf, len, want);

    free(buf);
}


static void
test_fields(void **state)
{
    ngx_uint_t  all, extra;

    all = ngx_lyftr_field(NGX_LYFTR_FIELDS) - 1;
    extra = NGX_LYFTR_FIELDS_EXTRA;

    ngx_memzero(&m, sizeof(m));
    ngx_memzero(&position, sizeof(position));

    ngx_str_set(&m.message_id, "a\"b");
    ngx_str_set(&m.from, "+1");
    ngx_str_set(&m.to, "+2");
    ngx_str_set(&m.ts, "2025-01-15T10:00:00Z");

    test_write(NGX_LYFTR_FIELDS_DEFAULT,
               "{\"message_id\":\"a\\\"b\",\"from\":\"+1\",\"to\":\"+2\","
               "\"ts\":\"2025-01-15T10:00:00Z\",\"text\":null}");
    test_write(extra, "{\"type\":null,\"raw\":null}");
    test_write(ngx_lyftr_field(NGX_LYFTR_FIELD_CREATED_AT),
               "{\"created_at\":null}");
    test_write(ngx_lyftr_field(NGX_LYFTR_FIELD_CURSOR), "{\"cursor\":\"0\"}");

    ngx_str_set(&m.text, "");
    ngx_str_set(&m.type, "text");
    ngx_str_set(&m.created_at, "2025-01-15T10:00:01.000Z");
    m.raw.data = (u_char *) raw;
    m.raw.len = sizeof(raw) - 1;

    test_write(all, "{\"message_id\":\"a\\\"b\",\"from\":\"+1\",\"to\":\"+2\","
                    "\"ts\":\"2025-01-15T10:00:00Z\",\"text\":\"\","
                    "\"type\":\"text\","
                    "\"raw\":{\"a\":[1,2],\"b c\":\" \\\" \"},"
                    "\"created_at\":\"2025-01-15T10:00:01.000Z\","
                    "\"cursor\":\"0\"}");
    test_write(all & ~extra & ~NGX_LYFTR_FIELDS_DEFAULT,
               "{\"created_at\":\"2025-01-15T10:00:01.000Z\","
               "\"cursor\":\"0\"}");
}


static void
test_names(void **state)
{
    ngx_uint_t    i;

    static char  *names[] = { "message_id", "from", "to", "ts", "text", "type",
                              "raw", "created_at", "cursor" };
    static char  *others[] = { "", "Raw", "ra", "raws", "id", "from ", "ts\0" };

    assert_int_equal(unit_count(names), NGX_LYFTR_FIELDS);

    for (i = 0; i < unit_count(names); i++) {
        assert_int_equal(ngx_lyftr_item_field((u_char *) names[i],
                                              strlen(names[i])), i);
    }

    for (i = 0; i < unit_count(others); i++) {
        assert_int_equal(ngx_lyftr_item_field((u_char *) others[i],
                                              strlen(others[i])
                                              + (i == 6)), NGX_DECLINED);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_names)
    };

    return cmocka_run_group_tests_name("item", tests, NULL, NULL);
}


#include "unit.h"

#include <ngx_lyftr_whatsapp.h>


#define TEST_NOW         "2026-11-29T05:06:07.089Z"

#define TEST_BODY(changes)                                                   \
    "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"changes\":["    \
    changes "]}]}"
#define TEST_VALUE(value)                                                    \
    "{\"value\":{\"metadata\":{\"display_phone_number\":\"1 (555) 07-8\"},"  \
    value "},\"field\":\"messages\"}"

/* an element between, in the three lists of a value */
#define test_message(element, want)                                          \
    test_row(TEST_BODY(TEST_VALUE("\"messages\":[" element "]")), want)
#define test_echo(element, want)                                             \
    test_row(TEST_BODY(TEST_VALUE("\"message_echoes\":[" element "]")), want)
#define test_status(element, want)                                           \
    test_row(TEST_BODY(TEST_VALUE("\"statuses\":[" element "]")), want)
#define test_text(members, text)                                             \
    test_message("{\"id\":\"a\",\"from\":\"1\",\"timestamp\":\"0\","         \
                 members "}", "a +1 +1555078 1970-01-01T00:00:00Z " text)
#define test_ts(timestamp, ts)                                               \
    test_message("{\"id\":\"a\",\"from\":\"1\",\"timestamp\":" timestamp     \
                 "}", "a +1 +1555078 " ts " - -")


static u_char                     *test_body;
static ngx_str_t                   test_memory;
static ngx_lyftr_whatsapp_t        test_wa;
static ngx_lyftr_whatsapp_rows_t   test_rows;
static ngx_lyftr_faults_t          test_faults;


static ngx_int_t
test_parse(const char *s, size_t len, ngx_uint_t statuses)
{
    ngx_int_t         rc;
    ngx_str_t         body;
    static ngx_str_t  now = ngx_string(TEST_NOW);

    free(test_body);
    free(test_memory.data);
    free(test_rows.memory);

    ngx_memzero(&test_rows, sizeof(ngx_lyftr_whatsapp_rows_t));

    test_body = unit_copy(s, len);
    body.data = test_body;
    body.len = len;

    test_memory.len = ngx_lyftr_reader_memory(len);
    test_memory.data = malloc(test_memory.len);
    assert_non_null(test_memory.data);

    rc = ngx_lyftr_whatsapp_parse(&body, &test_memory, &test_wa, &test_faults);

    if (rc == NGX_OK) {
        assert_int_equal(ngx_lyftr_whatsapp_make(&test_wa, &now, statuses,
                                                 &test_rows), NGX_OK);
    }

    return rc;
}


static u_char *
test_add(u_char *p, ngx_str_t *s)
{
    if (s->data == NULL) {
        *p++ = '-';
        return p;
    }

    return ngx_cpymem(p, s->data, s->len);
}


/* id from to ts type text */

static void
test_row(const char *body, const char *want)
{
    u_char                buf[1024], *p;
    ngx_lyftr_instant_t   t;
    ngx_lyftr_message_t  *m;

    assert_int_equal(test_parse(body, strlen(body), 1), NGX_OK);
    assert_int_equal(test_rows.nmessages + test_rows.nstatuses, 1);
    assert_int_equal(test_wa.other, 0);

    m = test_rows.nmessages ? test_rows.messages : test_rows.statuses;

    p = test_add(buf, &m->message_id);
    *p++ = ' ';
    p = test_add(p, &m->from);
    *p++ = ' ';
    p = test_add(p, &m->to);
    *p++ = ' ';
    p = test_add(p, &m->ts);
    *p++ = ' ';
    p = test_add(p, &m->type);
    *p++ = ' ';
    p = test_add(p, &m->text);

    unit_equal_str(buf, p - buf, want);

    assert_ptr_equal(test_rows.first.data, m->message_id.data);

    assert_int_equal(ngx_lyftr_instant_parse(m->ts.data, m->ts.len, &t),
                     NGX_OK);
    assert_int_equal(t.len, m->instant.len);
    assert_memory_equal(t.data, m->instant.data, t.len);
}


static void
test_counts(const char *body, ngx_uint_t messages, ngx_uint_t statuses,
    ngx_uint_t other)
{
    assert_int_equal(test_parse(body, strlen(body), 1), NGX_OK);
    assert_int_equal(test_rows.nmessages + test_rows.messages_again, messages);
    assert_int_equal(test_rows.nstatuses + test_rows.statuses_again, statuses);
    assert_int_equal(test_wa.other, other);
}


static void
test_fault(const char *body, const char *want)
{
    u_char  *p, *end;

    assert_int_equal(test_parse(body, strlen(body), 1), NGX_DECLINED);

    p = malloc(ngx_lyftr_fault_len(&test_faults));
    assert_non_null(p);

    end = ngx_lyftr_fault_write(p, &test_faults);

    unit_equal_str(p, end - p, want);
    free(p);
}


static void
test_texts(void **state)
{
    test_text("\"type\":\"text\",\"text\":{\"body\":\"Hi\"}", "text Hi");
    test_text("\"text\":{\"body\":\"Hi\"},\"type\":\"text\"", "text Hi");
    test_text("\"type\":\"text\",\"text\":{\"body\":\"\"}", "text ");
    test_text("\"type\":\"text\",\"text\":{\"body\":7}", "text -");
    test_text("\"type\":\"text\",\"text\":[\"body\",\"Hi\"]", "text -");
    test_text("\"type\":\"text\",\"image\":{\"caption\":\"Hi\"}", "text -");
    test_text("\"type\":\"te\\u0078t\",\"text\":{\"b\\u006fdy\":\"\\u00e9\"}",
              "text \xc3\xa9");
    test_text("\"type\":\"image\",\"image\":{\"caption\":\"c\"}", "image c");
    test_text("\"type\":\"video\",\"video\":{\"caption\":\"c\"}", "video c");
    test_text("\"type\":\"document\",\"document\":{\"caption\":\"c\"}",
              "document c");
    test_text("\"type\":\"button\",\"button\":{\"text\":\"b\"}", "button b");
    test_text("\"type\":\"reaction\",\"reaction\":{\"emoji\":\"\"}",
              "reaction ");
    test_text("\"type\":\"reaction\",\"reaction\":{}", "reaction -");
    test_text("\"type\":\"system\",\"system\":{\"body\":\"s\"}", "system s");
    test_text("\"type\":\"order\",\"order\":{\"text\":\"o\"}", "order o");
    test_text("\"type\":\"location\",\"location\":{\"name\":\"l\"}",
              "location l");
    test_text("\"type\":\"audio\",\"audio\":{\"caption\":\"c\"}", "audio -");
    test_text("\"text\":{\"body\":\"Hi\"}", "- -");
    test_text("\"type\":\"a\\u0000\\ud800\"", "a\xef\xbf\xbd\xef\xbf\xbd -");
}


static void
test_interactive(void **state)
{
    test_text("\"type\":\"interactive\",\"interactive\":{"
              "\"list_reply\":{\"title\":\"l\"},"
              "\"button_reply\":{\"title\":\"b\"}}", "interactive b");
    test_text("\"type\":\"interactive\",\"interactive\":{"
              "\"list_reply\":{\"title\":\"l\"},"
              "\"button_reply\":{\"title\":null}}", "interactive l");
    test_text("\"type\":\"interactive\",\"interactive\":{"
              "\"body\":{\"text\":\"t\"},\"nfm_reply\":{\"body\":\"n\"}}",
              "interactive n");
    test_text("\"type\":\"interactive\",\"interactive\":{"
              "\"body\":{\"text\":\"t\"},\"button_reply\":{}}",
              "interactive t");
}


static void
test_edit(void **state)
{
    test_text("\"type\":\"edit\",\"edit\":{\"message\":{\"type\":\"text\","
              "\"text\":{\"body\":\"new\"}}},\"text\":{\"body\":\"old\"}",
              "edit new");
    test_text("\"type\":\"edit\",\"edit\":{\"message\":{\"type\":\"edit\","
              "\"edit\":{\"message\":{\"type\":\"text\","
              "\"text\":{\"body\":\"new\"}}}}}", "edit -");
    test_text("\"type\":\"edit\",\"edit\":{\"message\":{\"type\":\"text\","
              "\"text\":{\"body\":\"new\"}}},\"edit\":{}", "edit -");
    test_text("\"type\":\"edit\",\"edit\":{\"message\":{\"type\":\"text\","
              "\"text\":{\"body\":\"new\"}},\"message\":{}}", "edit -");
    test_text("\"type\":\"text\",\"edit\":{\"message\":{\"type\":\"text\","
              "\"text\":{\"body\":\"new\"}}}", "text -");
}


static void
test_repeated(void **state)
{
    test_text("\"id\":7,\"id\":\"a\",\"type\":\"text\","
              "\"text\":{\"body\":\"1\"},\"text\":{\"body\":\"2\"}",
              "text 2");
    test_text("\"type\":\"text\",\"text\":{\"body\":\"1\"},\"text\":{}",
              "text -");
    test_text("\"type\":\"text\",\"text\":{\"body\":\"1\",\"body\":null}",
              "text -");

    /* of each level */

    test_counts("{\"entry\":[{\"changes\":[" TEST_VALUE("\"messages\":[{}]")
                "]},0],\"object\":\"whatsapp_business_account\","
                "\"entry\":[]}", 0, 0, 0);
    test_counts("{\"object\":\"whatsapp_business_account\",\"entry\":["
                "{\"changes\":[0," TEST_VALUE("\"messages\":[{}]") "],"
                "\"changes\":[" TEST_VALUE("\"messages\":[{},{}]") "]},"
                "{\"changes\":[],\"changes\":0}]}", 2, 0, 1);
    test_counts(TEST_BODY("{\"field\":\"messages\",\"value\":{\"messages\":"
                          "[{},{}],\"statuses\":[{}]},\"value\":"
                          "{\"messages\":[{}]}}"), 1, 0, 0);
    test_counts(TEST_BODY(TEST_VALUE("\"messages\":[{},{}],\"statuses\":[{}],"
                                     "\"messages\":[{}]")), 1, 1, 0);
    test_counts(TEST_BODY(TEST_VALUE("\"messages\":[{}],\"messages\":0")),
                0, 0, 1);
    test_counts(TEST_BODY("{\"field\":\"messages\",\"value\":{\"messages\":"
                          "[{}]},\"field\":\"calls\"}"), 0, 0, 1);
}


static void
test_others(void **state)
{
    test_counts("{\"object\":\"whatsapp_business_\\u0061ccount\","
                "\"entry\":[0,{},{\"changes\":{}},{\"changes\":[0,[],{}]}]}",
                0, 0, 6);
    test_counts(TEST_BODY(""), 0, 0, 0);
    test_counts(TEST_BODY(TEST_VALUE("\"messages\":[]") ","
                          TEST_VALUE("\"contacts\":[{}]") ","
                          TEST_VALUE("\"errors\":[{}]") ","
                          TEST_VALUE("\"messages\":{\"0\":{}}")), 0, 0, 4);
    test_counts(TEST_BODY("{\"value\":{\"statuses\":[{}]},\"field\":\"calls\"}"
                          ",{\"value\":{\"messages\":[{}]},"
                          "\"field\":\"Messages\"},"
                          "{\"value\":{\"messages\":[{}]}}"), 0, 0, 3);
    test_counts(TEST_BODY("{\"value\":{\"messages\":[{}]},"
                          "\"field\":\"standby\"},"
                          "{\"value\":{\"message_echoes\":[{}]},"
                          "\"field\":\"smb_message_echoes\"},"
                          "{\"value\":{\"statuses\":[{},{}]},"
                          "\"field\":\"message_echoes\"}"), 2, 2, 0);
    test_counts("{\"\":[{\"changes\":[{\"\":{}}]}],\"entry\":[{\"\":[]}],"
                "\"object\":\"whatsapp_business_account\"}", 0, 0, 1);
}


static void
test_parties(void **state)
{
    test_message("{\"id\":\"a\",\"from\":\"12x\"}",
                 "a 12x +1555078 " TEST_NOW " - -");
    test_message("{\"id\":\"a\",\"from\":\"\",\"from_user_id\":\"7\"}",
                 "a 7 +1555078 " TEST_NOW " - -");
    test_message("{\"id\":\"a\",\"from\":1}", "a unknown +1555078 " TEST_NOW
                 " - -");
    test_message("{\"id\":\"a\",\"from\":\"\\u0661\"}",
                 "a \xd9\xa1 +1555078 " TEST_NOW " - -");

    test_row(TEST_BODY(TEST_VALUE("\"messages\":[{\"id\":\"a\"}],\"contacts\":"
                                  "[{\"wa_id\":\"2\",\"user_id\":\"U\"}]")),
             "a +2 +1555078 " TEST_NOW " - -");
    test_row(TEST_BODY(TEST_VALUE("\"contacts\":[{\"user_id\":\"2\"}],"
                                  "\"messages\":[{\"id\":\"a\"}]")),
             "a 2 +1555078 " TEST_NOW " - -");
    test_row(TEST_BODY(TEST_VALUE("\"contacts\":[{\"wa_id\":\"2\"},0],"
                                  "\"messages\":[{\"id\":\"a\"}]")),
             "a unknown +1555078 " TEST_NOW " - -");

    test_row(TEST_BODY("{\"field\":\"messages\",\"value\":{\"messages\":"
                       "[{\"id\":\"a\"}],\"metadata\":{"
                       "\"display_phone_number\":\"none\","
                       "\"phone_number_id\":\"106\"}}}"),
             "a unknown 106 " TEST_NOW " - -");
    test_row(TEST_BODY("{\"field\":\"messages\",\"value\":{\"messages\":"
                       "[{\"id\":\"a\"}]}}"),
             "a unknown unknown " TEST_NOW " - -");

    test_echo("{\"id\":\"a\",\"from\":\"1\",\"to\":\"2\"}",
              "a +1 +2 " TEST_NOW " - -");
    test_echo("{\"id\":\"a\",\"from_user_id\":\"F\",\"to_user_id\":\"3\"}",
              "a +1555078 3 " TEST_NOW " - -");
}


/* a long number is there once, and not for each element of its change */

static void
test_shared(void **state)
{
    ngx_lyftr_message_t  *m;

    static const char  body[] =
        TEST_BODY(TEST_VALUE("\"messages\":[{\"id\":\"a\"},{\"id\":\"b\"}],"
                             "\"contacts\":[{\"wa_id\":\"2\"}],"
                             "\"statuses\":[{\"id\":\"s\",\"status\":\"x\"}]")
                  ",{\"value\":{\"metadata\":{\"display_phone_number\":\"3\"},"
                  "\"messages\":[{\"id\":\"c\"}]},\"field\":\"messages\"}");

    assert_int_equal(test_parse(body, sizeof(body) - 1, 1), NGX_OK);
    assert_int_equal(test_rows.nmessages, 3);
    assert_int_equal(test_rows.nstatuses, 1);

    m = test_rows.messages;

    unit_equal(m[1].to.data, m[1].to.len, "+1555078");
    assert_ptr_equal(m[0].to.data, m[1].to.data);
    assert_ptr_equal(m[0].to.data, test_rows.statuses[0].to.data);

    unit_equal(m[1].from.data, m[1].from.len, "+2");
    assert_ptr_equal(m[0].from.data, m[1].from.data);

    unit_equal(m[2].to.data, m[2].to.len, "+3");
    unit_equal(m[2].from.data, m[2].from.len, "unknown");
}


/* one of a MiB stands in so many rows, and in more it would fill a disk */

static void
test_much(ngx_uint_t n, size_t len)
{
    u_char         *s, *p;

    static u_char   before[] = "{\"object\":\"whatsapp_business_account\","
                               "\"entry\":[{\"changes\":[{\"field\":"
                               "\"messages\",\"value\":{\"metadata\":{"
                               "\"display_phone_number\":\"";
    static u_char   between[] = "\"},\"messages\":[{\"id\":\"a\"}";
    static u_char   after[] = "]}}]}]}";

    s = malloc(sizeof(before) + sizeof(between) + sizeof(after) + (1 << 20)
               + 10 * n);
    assert_non_null(s);

    p = ngx_cpymem(s, before, sizeof(before) - 1);

    ngx_memset(p, '1', 1 << 20);
    p = ngx_cpymem(p + (1 << 20), between, sizeof(between) - 1);

    while (--n) {
        p = ngx_cpymem(p, ",[0,0,0,0]", 10);
    }

    p = ngx_cpymem(p, after, sizeof(after) - 1);

    assert_int_equal(test_parse((char *) s, p - s, 1), NGX_OK);
    assert_int_equal(test_rows.messages[0].to.len, len);

    free(s);
}


static void
test_much_shared(void **state)
{
    test_much(64, (1 << 20) + 1);
    test_much(65, sizeof("unknown") - 1);
}


static void
test_times(void **state)
{
    test_ts("\"1700000000\"", "2023-11-14T22:13:20Z");
    test_ts("1700000000", "2023-11-14T22:13:20Z");
    test_ts("\"0000000000000000000000001\"", "1970-01-01T00:00:01Z");
    test_ts("\"-1\"", "1969-12-31T23:59:59Z");
    test_ts("-62135596800", "0001-01-01T00:00:00Z");
    test_ts("-62135596801", TEST_NOW);
    test_ts("253402300799", "9999-12-31T23:59:59Z");
    test_ts("253402300800", TEST_NOW);
    test_ts("951782400", "2000-02-29T00:00:00Z");
    test_ts("4107542399", "2100-02-28T23:59:59Z");
    test_ts("4107542400", "2100-03-01T00:00:00Z");
    test_ts("1704067199", "2023-12-31T23:59:59Z");
    test_ts("1735603200", "2024-12-31T00:00:00Z");
    test_ts("\"17\\u0030\"", "1970-01-01T00:02:50Z");
    test_ts("1700000000000", TEST_NOW);
    test_ts("99999999999999999999999999999999", TEST_NOW);
    test_ts("1.0", TEST_NOW);
    test_ts("1e3", TEST_NOW);
    test_ts("true", TEST_NOW);
    test_ts("\"-\"", TEST_NOW);
    test_ts("\"\"", TEST_NOW);
    test_ts("\" 1\"", TEST_NOW);
    test_ts("\"+1\"", TEST_NOW);
}


static void
test_statuses(void **state)
{
    static char  dropped[] =
        TEST_BODY(TEST_VALUE("\"statuses\":[{\"id\":\"a\","
                             "\"status\":\"read\"},{}]"));

    test_status("{\"id\":\"a\",\"status\":\"read\",\"recipient_id\":\"2\"}",
                "a:read +2 +1555078 " TEST_NOW " status read");
    test_status("{\"id\":\"a\",\"status\":\"read\",\"type\":\"payment\","
                "\"timestamp\":\"01\",\"recipient_user_id\":\"2\"}",
                "a:read:payment:01 2 +1555078 1970-01-01T00:00:01Z status "
                "read");
    test_status("{\"id\":\"a\",\"status\":\"read\",\"type\":\"payment\","
                "\"timestamp\":1.5}",
                "a:read:payment: unknown +1555078 " TEST_NOW " status read");
    test_status("{\"id\":\"a\",\"status\":\"read\",\"recipient_id\":\"2\","
                "\"recipient_participant_user_id\":\"U\"}",
                "a:read:U U +1555078 " TEST_NOW " status read");
    test_status("{\"id\":\"a\",\"status\":\"read\","
                "\"recipient_participant_id\":\"3\","
                "\"recipient_participant_user_id\":\"U\"}",
                "a:read:3 +3 +1555078 " TEST_NOW " status read");
    test_status("{\"id\":\"a\",\"status\":\"failed\",\"errors\":["
                "{\"code\":131047,\"title\":\"Re-engagement message\"},"
                "{\"code\":1,\"title\":\"2\"}]}",
                "a:failed unknown +1555078 " TEST_NOW " status "
                "failed 131047 Re-engagement message");
    test_status("{\"id\":\"a\",\"status\":\"failed\",\"errors\":["
                "{\"title\":\"t\"}],\"errors\":[{\"code\":1}]}",
                "a:failed unknown +1555078 " TEST_NOW " status failed 1");
    test_status("{\"id\":\"a\",\"status\":\"sent\",\"errors\":["
                "{\"code\":1}]}",
                "a:sent unknown +1555078 " TEST_NOW " status sent");

    /* those that are dropped are counted, and the first one is told */

    assert_int_equal(test_parse(dropped, sizeof(dropped) - 1, 0), NGX_OK);
    assert_int_equal(test_rows.nstatuses, 2);
    assert_null(test_rows.statuses);
    unit_equal(test_rows.first.data, test_rows.first.len, "a:read");
}


/* sha256sum has made the digests */

static void
test_malformed(void **state)
{
    ngx_uint_t  i;

    test_message("{}", "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e"
                 "8310c060f61caaff8a unknown +1555078 " TEST_NOW
                 " malformed -");
    test_message(" \"x\" ", "sha256:ba2df4903a2c14e86dc3bcca58911b44ac1d2514b"
                 "7227bf6eb08cfb978f55a1b"
                 " unknown +1555078 " TEST_NOW " malformed -");

    assert_ptr_equal(test_rows.messages[0].type.data,
                     ngx_lyftr_whatsapp_malformed.data);
    unit_equal(test_rows.messages[0].raw.data, test_rows.messages[0].raw.len,
               "\"x\"");

    test_counts(TEST_BODY(TEST_VALUE("\"messages\":[[ {} ] , {\"id\":\"\"},"
                                     "{\"id\":\"\\ud800\"},"
                                     "{\"id\":\"\\u0000\"}]")), 4, 0, 0);

    for (i = 0; i < 4; i++) {
        assert_ptr_equal(test_rows.messages[i].type.data,
                         ngx_lyftr_whatsapp_malformed.data);
    }

    unit_equal(test_rows.messages[0].raw.data, test_rows.messages[0].raw.len,
               "[ {} ]");
}


/* short elements are counted, and are a row once a list */

static void
test_again(void **state)
{
    test_counts(TEST_BODY(TEST_VALUE("\"messages\":[0,[],0 , 1,{},[],[ ],0,"
                                     "{\"id\":1},\"0\",{\"id\":1}],"
                                     "\"statuses\":[0,0,{},0]")), 11, 4, 0);
    assert_int_equal(test_rows.messages_again, 4);
    assert_int_equal(test_rows.statuses_again, 2);

    unit_equal(test_rows.messages[2].raw.data, test_rows.messages[2].raw.len,
               "1");
    unit_equal(test_rows.messages[6].raw.data, test_rows.messages[6].raw.len,
               "\"0\"");
    unit_equal(test_rows.statuses[1].raw.data, test_rows.statuses[1].raw.len,
               "{}");

    /* one of another list, or of one that does not count, is none of these */

    test_counts(TEST_BODY(TEST_VALUE("\"messages\":[0,0,1],\"messages\":[1]")
                          ",{\"field\":\"calls\",\"value\":{\"messages\":"
                          "[1,1]}}," TEST_VALUE("\"messages\":[1]")), 2, 0, 1);
    assert_int_equal(test_rows.messages_again, 0);

    /* a long one may have an id */

    test_counts(TEST_BODY(TEST_VALUE("\"messages\":[{\"id\":\"1\"},"
                                     "{\"id\":\"1\"},123456789,123456789,"
                                     "12345678,12345678]")), 6, 0, 0);
    assert_int_equal(test_rows.messages_again, 1);
}


/* an id has 65536 bytes at most */

static void
test_long_id(size_t len, ngx_uint_t malformed)
{
    size_t         n;
    u_char        *s, *p;

    static u_char  before[] = "{\"object\":\"whatsapp_business_account\","
                              "\"entry\":[{\"changes\":[{\"field\":"
                              "\"messages\",\"value\":{\"messages\":"
                              "[{\"id\":\"";
    static u_char  after[] = "\"}]}}]}]}";

    n = sizeof(before) - 1 + len + sizeof(after) - 1;

    s = malloc(n);
    assert_non_null(s);

    p = ngx_cpymem(s, before, sizeof(before) - 1);
    ngx_memset(p, 'i', len);
    ngx_memcpy(p + len, after, sizeof(after) - 1);

    assert_int_equal(test_parse((char *) s, n, 1), NGX_OK);
    assert_int_equal(test_rows.nmessages, 1);
    assert_int_equal(test_rows.messages[0].type.data
                     == ngx_lyftr_whatsapp_malformed.data, malformed);

    free(s);
}


static void
test_long_ids(void **state)
{
    test_long_id(65536, 0);
    test_long_id(65537, 1);
}


#define TEST_AT(type, field, msg, input)                                     \
    "{\"type\":\"" type "\",\"loc\":[\"body\"" field "],\"msg\":\"" msg      \
    "\",\"input\":" input "}"
#define TEST_OBJECT      ",\"object\""
#define TEST_ENTRY       ",\"entry\""
#define TEST_WORD        "Input should be a word that is known here"
#define TEST_LIST        "Input should be a JSON array"
#define TEST_DETAIL(s)   "{\"detail\":[" s "]}"


static void
test_refused(void **state)
{
    test_fault("", TEST_DETAIL(TEST_AT("missing", "", "Field required",
                                       "{}")));
    test_fault("[]", TEST_DETAIL(TEST_AT("model_attributes_type", "",
                                         "Input should be a JSON object",
                                         "[]")));
    test_fault("{\"object\":\"whatsapp_business_account\",\"entry\":[{"
               "\"changes\":[{\"value\":{\"messages\":[{\"timestamp\":17",
               TEST_DETAIL("{\"type\":\"json_invalid\",\"loc\":[\"body\",96],"
                           "\"msg\":\"Body should be valid JSON in UTF-8\","
                           "\"input\":{}}"));
    test_fault("{}", TEST_DETAIL(TEST_AT("missing", TEST_OBJECT,
                                         "Field required", "{}") ","
                                 TEST_AT("missing", TEST_ENTRY,
                                         "Field required", "{}")));
    test_fault("{\"object\":\"p\\u0061ge\",\"entry\":\"\\u0065\"}",
               TEST_DETAIL(TEST_AT("literal_error", TEST_OBJECT, TEST_WORD,
                                   "\"page\"") ","
                           TEST_AT("list_type", TEST_ENTRY, TEST_LIST,
                                   "\"e\"")));
    test_fault("{\"object\":null,\"entry\":{}}",
               TEST_DETAIL(TEST_AT("literal_error", TEST_OBJECT, TEST_WORD,
                                   "null") ","
                           TEST_AT("list_type", TEST_ENTRY, TEST_LIST,
                                   "{}")));
    test_fault("{\"object\":\"whatsapp_business_account\",\"entry\":[}",
               TEST_DETAIL("{\"type\":\"json_invalid\",\"loc\":[\"body\",48],"
                           "\"msg\":\"Body should be valid JSON in UTF-8\","
                           "\"input\":{}}"));
}


static int
test_teardown(void **state)
{
    free(test_body);
    free(test_memory.data);
    free(test_rows.memory);
    free(test_wa.items);

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_interactive),
        cmocka_unit_test(test_edit),
        cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_parties),
        cmocka_unit_test(test_shared),
        cmocka_unit_test(test_much_shared),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_again),
        cmocka_unit_test(test_long_ids),
        cmocka_unit_test(test_refused)
    };

    return cmocka_run_group_tests(tests, NULL, test_teardown);
}

/* Reads a body, and compares what is told of it. */

#ifndef _UNIT_MESSAGE_H_INCLUDED_
#define _UNIT_MESSAGE_H_INCLUDED_


#include "unit.h"


#define TEST_GOOD                                                            \
    "\"message_id\":\"m1\",\"from\":\"+919876543210\","                      \
    "\"to\":\"+14155550100\",\"ts\":\"2025-01-15T10:00:00Z\""

#define TEST_FAULT(type, loc, msg, input)                                    \
    "{\"type\":\"" type "\",\"loc\":[" loc "],\"msg\":\"" msg                \
    "\",\"input\":" input "}"

#define TEST_DETAIL(s)           "{\"detail\":[" s "]}"

#define TEST_MISSING(field)                                                  \
    TEST_FAULT("missing", "\"body\",\"" field "\"", "Field required", "{}")
#define TEST_TYPE(field, input)                                              \
    TEST_FAULT("string_type", "\"body\",\"" field "\"",                      \
               "Input should be a valid string", input)
#define TEST_SHORT(field, input)                                             \
    TEST_FAULT("string_too_short", "\"body\",\"" field "\"",                 \
               "String should not be empty", input)
#define TEST_PATTERN(field, input)                                           \
    TEST_FAULT("string_pattern_mismatch", "\"body\",\"" field "\"",          \
               "String should be a plus sign followed by digits", input)
#define TEST_UNICODE(field, input)                                           \
    TEST_FAULT("string_unicode", "\"body\",\"" field "\"",                   \
               "String should have no U+0000 and no lone surrogate", input)
#define TEST_DATETIME(input)                                                 \
    TEST_FAULT("datetime_parsing", "\"body\",\"ts\"",                        \
               "Input should be a date and time that exists,"                \
               " like 2025-01-15T10:00:00Z", input)
#define TEST_JSON(position)                                                  \
    TEST_FAULT("json_invalid", "\"body\"," position,                         \
               "Body should be valid JSON in UTF-8", "{}")
#define TEST_OBJECT(input)                                                   \
    TEST_FAULT("model_attributes_type", "\"body\"",                          \
               "Input should be a JSON object", input)


static u_char               test_answer[16384];
static u_char              *test_body;
static u_char              *test_strings;
static u_char              *test_scratch;
static ngx_lyftr_message_t  test_m;
static ngx_lyftr_faults_t   test_faults;
static size_t               test_less;     /* memory than there has to be */


static ngx_inline ngx_int_t
test_parse(const void *body, size_t len)
{
    ngx_str_t  memory;

    free(test_body);
    free(test_strings);
    free(test_scratch);

    memory.len = ngx_lyftr_message_memory(len);
    memory.len -= ngx_min(memory.len, test_less);

    test_body = unit_copy(body, len);
    test_strings = unit_copy(body, len);
    test_scratch = malloc(memory.len + 1);
    assert_non_null(test_scratch);

    memory.data = test_scratch + 1;
    ngx_memset(&test_m, 0xee, sizeof(ngx_lyftr_message_t));

    return ngx_lyftr_message_parse(test_body, len, test_strings, &memory,
                                   &test_m, &test_faults);
}


static ngx_inline void
test_good(const void *body, size_t len)
{
    if (test_parse(body, len) != NGX_OK) {
        print_error("refused: %.*s\n", (int) len, (char *) body);
        fail();
    }

    assert_int_equal(test_faults.n, 0);
}


static ngx_inline void
test_bad(const void *body, size_t len, char *want)
{
    u_char  *p;

    if (test_parse(body, len) != NGX_DECLINED) {
        print_error("not refused: %.*s\n", (int) len, (char *) body);
        fail();
    }

    p = ngx_lyftr_fault_write(test_answer, &test_faults);

    assert_true((size_t) (p - test_answer)
                <= ngx_lyftr_fault_len(&test_faults));

    if (strlen(want) != (size_t) (p - test_answer)
        || memcmp(test_answer, want, p - test_answer) != 0)
    {
        print_error("body: %.*s\n got: %.*s\nwant: %s\n", (int) len,
                    (char *) body, (int) (p - test_answer), test_answer,
                    want);
        fail();
    }
}


static ngx_inline int
test_release(void **state)
{
    free(test_body);
    free(test_strings);
    free(test_scratch);

    return 0;
}


typedef struct {
    u_char  *body;
    size_t   len;
    char    *want;
} test_case_t;


#endif /* _UNIT_MESSAGE_H_INCLUDED_ */

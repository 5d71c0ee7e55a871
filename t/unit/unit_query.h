/* Reads the arguments of a query, and compares what is told of them. */

#ifndef _UNIT_QUERY_H_INCLUDED_
#define _UNIT_QUERY_H_INCLUDED_


#include "unit.h"


#define TEST_FAULT(type, name, msg, input)                                   \
    "{\"type\":\"" type "\",\"loc\":[\"query\",\"" name "\"],\"msg\":\"" msg \
    "\",\"input\":" input "}"

#define TEST_DETAIL(s)           "{\"detail\":[" s "]}"

#define TEST_INT(name, input)                                                \
    TEST_FAULT("int_parsing", name,                                          \
               "Input should be an integer in decimal digits", input)
#define TEST_LEAST(name, least, input)                                       \
    TEST_FAULT("greater_than_equal", name,                                   \
               "Input should be greater than or equal to " least, input)
#define TEST_GREATEST(name, greatest, input)                                 \
    TEST_FAULT("less_than_equal", name,                                      \
               "Input should be less than or equal to " greatest, input)
#define TEST_SINCE(input)                                                    \
    TEST_FAULT("datetime_parsing", "since",                                  \
               "Input should be a date and time that exists,"                \
               " like 2025-01-15T10:00:00Z", input)
#define TEST_UNTIL(input)                                                    \
    TEST_FAULT("datetime_parsing", "until",                                  \
               "Input should be a date and time that exists,"                \
               " like 2025-01-15T10:00:00Z", input)
#define TEST_FIELDS(input)                                                   \
    TEST_FAULT("literal_error", "fields",                                    \
               "Input should be a comma-separated list, without spaces,"     \
               " of message_id, from, to, ts, text, type, raw, created_at"   \
               " and cursor, each once at most", input)
#define TEST_ORDER(input)                                                    \
    TEST_FAULT("literal_error", "order",                                     \
               "Input should be asc or desc", input)
#define TEST_AFTER(input)                                                    \
    TEST_FAULT("value_error", "after",                                       \
               "Input should be a cursor from a Link header,"                \
               " without an offset", input)

#define TEST_INT64               "9223372036854775807"
#define TEST_CURSOR                                                          \
    "AP7cuph2VDIQAAAAAAAAAP8BI0VniavN7wkwMTIzNDU2NzgwMTJju0pL"


static u_char              *test_args;
static u_char              *test_arena;
static u_char               test_answer[16384];
static ngx_lyftr_query_t    test_q;
static ngx_lyftr_faults_t   test_faults;


static ngx_inline ngx_int_t
test_parse(const void *args, size_t len)
{
    ngx_str_t  s;

    free(test_args);
    free(test_arena);

    test_args = unit_copy(args, len);
    test_arena = unit_copy(args, len);
    ngx_memset(&test_q, 0xee, sizeof(ngx_lyftr_query_t));

    s.data = test_args;
    s.len = len;

    return ngx_lyftr_query_parse(&s, test_arena, &test_q, &test_faults);
}


static ngx_inline void
test_good(char *args)
{
    if (test_parse(args, strlen(args)) != NGX_OK) {
        print_error("refused: %s\n", args);
        fail();
    }

    assert_int_equal(test_faults.n, 0);
}


static ngx_inline void
test_bad(char *args, char *want)
{
    u_char  *p;

    if (test_parse(args, strlen(args)) != NGX_DECLINED) {
        print_error("not refused: %s\n", args);
        fail();
    }

    p = ngx_lyftr_fault_write(test_answer, &test_faults);

    assert_true((size_t) (p - test_answer)
                <= ngx_lyftr_fault_len(&test_faults));
    unit_equal_str(test_answer, p - test_answer, want);
}


static ngx_inline int
test_release(void **state)
{
    free(test_args);
    free(test_arena);

    return 0;
}


#endif /* _UNIT_QUERY_H_INCLUDED_ */

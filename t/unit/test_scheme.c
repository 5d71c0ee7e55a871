
/*
 * Ways to sign.  Vectors: the specification of Standard Webhooks, GitHub's
 * "Validating webhook deliveries", Slack's "Verifying requests from Slack";
 * the others were made by openssl dgst.
 */

#include "unit.h"

#include <ngx_lyftr_hmac.h>
#include <ngx_lyftr_scheme.h>


typedef struct {
    const char  *name;
    const char  *value;
} test_header_t;


static ngx_uint_t
test_get(void *data, ngx_str_t *name, ngx_str_t *value)
{
    size_t          i;
    ngx_uint_t      n;
    test_header_t  *header = data;

    n = 0;

    for (i = 0; header[i].name; i++) {

        if (strlen(header[i].name) != name->len
            || strncmp(header[i].name, (char *) name->data, name->len) != 0)
        {
            continue;
        }

        if (n++ == 0) {
            value->data = (u_char *) header[i].value;
            value->len = strlen(header[i].value);
        }
    }

    return n;
}


/* what the receiver does: 0 verified, else a letter that tells why not */

static char
test_verify(ngx_lyftr_scheme_t *scheme, test_header_t *headers,
    const void *secret, size_t len, const char *body, time_t now)
{
    void                       *key;
    ngx_str_t                   s, parts[NGX_LYFTR_SCHEME_PARTS];
    ngx_uint_t                  n, match;
    u_char                      mac[NGX_LYFTR_HMAC_LEN];
    ngx_lyftr_scheme_claim_t    claim;
    ngx_lyftr_scheme_reason_e   reason;

    if (ngx_lyftr_scheme_read(scheme, test_get, headers, &claim, &reason)
        != NGX_OK)
    {
        return "-ft"[reason];
    }

    s.data = (u_char *) body;
    s.len = strlen(body);

    n = ngx_lyftr_scheme_parts(&claim, &s, parts);

    key = ngx_lyftr_hmac_key((u_char *) secret, len);
    assert_non_null(key);
    assert_int_equal(ngx_lyftr_hmac_sign(key, parts, n, mac), NGX_OK);
    ngx_lyftr_hmac_free(key);

    match = ngx_lyftr_scheme_match(&claim, mac);

    if (!match) {
        return 'm';
    }

    return ngx_lyftr_scheme_timely(&claim, now, 300) ? 0 : 'w';
}


static ngx_lyftr_scheme_t *
test_scheme(const char *name)
{
    ngx_str_t  s;

    s.data = (u_char *) name;
    s.len = strlen(name);

    return ngx_lyftr_scheme_find(&s);
}


#define TEST_BODY      "{\"a\":1}"
#define TEST_AT        1733000000

#define TEST_LYFTR                                                           \
    "0f4a604a9e9ad182034b3224fb61724a9ef127c2d5de3554995cc31f9cc3c499"
#define TEST_STRIPE                                                          \
    "d6b23872c47718e0527bd351a337c93abc241e6de8312f87ab11fed88286151b"
#define TEST_ZOOM                                                            \
    "61dda176a6c3c7f379dc534b8f282e4f7ebce8b40b1483ab8644833febbd8e1b"
#define TEST_DOT                                                             \
    "e4f7b893f28d2ececb9c793a82781e4ad7d62fe4fd5b43b723186f1f67ab1f9c"
#define TEST_SHOPIFY   "3+Yq/TpwjqJ7IXuMq8EfED7b+y0XbokqOKLUdagDxMI"

#define TEST_ID        "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define TEST_STANDARD  "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

#define TEST_ZEROS                                                           \
    "0000000000000000000000000000000000000000000000000000000000000000"


typedef struct {
    const char     *scheme;
    const char     *secret;
    const char     *body;
    time_t          now;
    char            want;
    test_header_t   headers[5];
} test_case_t;


#define TEST_SIGNED(scheme, secret, want, ...)                               \
    { scheme, secret, TEST_BODY, TEST_AT, want, { __VA_ARGS__ } }


static test_case_t  test_cases[] = {

    /* as published; Slack's body is long */

    { "hub", "It's a Secret to Everybody", "Hello, World!", 0, 0,
      { { "x-hub-signature-256", "sha256="
          "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17" }
      } },

    { "slack", "8f742231b10e8888abcd99yyyzzz85a5",
      "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain="
      "testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA"
      "&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url="
      "https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F"
      "96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121."
      "803a0bc887a14d10d2c447fce8b6703c", 1531420618, 0,
      { { "x-slack-request-timestamp", "1531420618" },
        { "x-slack-signature", "v0="
          "a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503" }
      } },

    /* where the signature is */

    TEST_SIGNED("lyftr", "testsecret", 0, { "x-signature", TEST_LYFTR }),
    TEST_SIGNED("lyftr", "testsecret", 0,
                { "x-signature", " \t" TEST_LYFTR "\t " }),
    TEST_SIGNED("lyftr", "other", 'm', { "x-signature", TEST_LYFTR }),
    TEST_SIGNED("lyftr", "testsecret", '-', { "x", "y" }),
    TEST_SIGNED("lyftr", "testsecret", '-', { "x-signature", "" }),
    TEST_SIGNED("lyftr", "testsecret", '-', { "x-signature", "  " }),
    TEST_SIGNED("lyftr", "testsecret", 'f', { "x-signature", "123" }),
    TEST_SIGNED("lyftr", "testsecret", 'f', { "x-signature", TEST_LYFTR "0" }),
    TEST_SIGNED("lyftr", "testsecret", 'f', { "x-signature", TEST_LYFTR },
                { "x-signature", TEST_LYFTR }),
    TEST_SIGNED("hub", "testsecret", 0,
                { "x-hub-signature-256", "sha256=" TEST_LYFTR }),
    TEST_SIGNED("hub", "testsecret", 'f',
                { "x-hub-signature-256", TEST_LYFTR }),
    TEST_SIGNED("hub", "testsecret", 'f',
                { "x-hub-signature-256", "SHA256=" TEST_LYFTR }),
    TEST_SIGNED("shopify", "hush", 0,
                { "x-shopify-hmac-sha256", TEST_SHOPIFY "=" }),
    TEST_SIGNED("shopify", "hush", 0,
                { "x-shopify-hmac-sha256", TEST_SHOPIFY }),
    TEST_SIGNED("shopify", "hush", 'f',
                { "x-shopify-hmac-sha256", TEST_SHOPIFY "==" }),
    TEST_SIGNED("shopify", "hush", 'f',
                { "x-shopify-hmac-sha256",
                  "3+Yq/TpwjqJ7IXuMq8EfED7b+y0XbokqOKLUdagDxMJ=" }),

    /* Stripe's list */

    TEST_SIGNED("stripe", "whsec_test_secret", 0,
                { "stripe-signature", "t=1733000000,v1=" TEST_STRIPE }),
    TEST_SIGNED("stripe", "whsec_test_secret", 0,
                { "stripe-signature", "v1=" TEST_ZEROS ",v1=x,v2=y,,v1="
                  TEST_STRIPE ",t=1733000000" }),
    TEST_SIGNED("stripe", "whsec_test_secret", 'f',
                { "stripe-signature", "t=1733000000,v0=" TEST_STRIPE }),
    TEST_SIGNED("stripe", "whsec_test_secret", 't',
                { "stripe-signature", "v1=" TEST_STRIPE }),
    TEST_SIGNED("stripe", "whsec_test_secret", 't',
                { "stripe-signature", "t=1733000000,t=1733000000,v1="
                  TEST_STRIPE }),
    TEST_SIGNED("stripe", "whsec_test_secret", 't',
                { "stripe-signature", "t=-1,v1=" TEST_STRIPE }),
    TEST_SIGNED("stripe", "whsec_test_secret", 'm',
                { "stripe-signature", "t=1733000001,v1=" TEST_STRIPE }),

    /* Slack's two headers */

    TEST_SIGNED("slack", "zoom", 0, { "x-slack-signature", "v0=" TEST_ZOOM },
                { "x-slack-request-timestamp", "1733000000" }),
    TEST_SIGNED("slack", "zoom", 't', { "x-slack-signature", "v0=" TEST_ZOOM }),
    TEST_SIGNED("slack", "zoom", 't', { "x-slack-signature", "v0=" TEST_ZOOM },
                { "x-slack-request-timestamp", "1733000000" },
                { "x-slack-request-timestamp", "1733000000" }),
    TEST_SIGNED("slack", "zoom", 't', { "x-slack-signature", "v0=" TEST_ZOOM },
                { "x-slack-request-timestamp", "1733000000.0" }),
    TEST_SIGNED("slack", "zoom", 't', { "x-slack-signature", "v0=" TEST_ZOOM },
                { "x-slack-request-timestamp", "0000001733000000" }),
    TEST_SIGNED("slack", "zoom", '-',
                { "x-slack-request-timestamp", "1733000000" }),

    /* the window is inclusive, and looked at last */

    { "slack", "zoom", TEST_BODY, TEST_AT + 300, 0,
      { { "x-slack-signature", "v0=" TEST_ZOOM },
        { "x-slack-request-timestamp", "1733000000" } } },
    { "slack", "zoom", TEST_BODY, TEST_AT + 301, 'w',
      { { "x-slack-signature", "v0=" TEST_ZOOM },
        { "x-slack-request-timestamp", "1733000000" } } },
    { "slack", "zoom", TEST_BODY, TEST_AT - 300, 0,
      { { "x-slack-signature", "v0=" TEST_ZOOM },
        { "x-slack-request-timestamp", "1733000000" } } },
    { "slack", "zoom", TEST_BODY, TEST_AT - 301, 'w',
      { { "x-slack-signature", "v0=" TEST_ZOOM },
        { "x-slack-request-timestamp", "1733000000" } } },
    { "slack", "other", TEST_BODY, TEST_AT + 301, 'm',
      { { "x-slack-signature", "v0=" TEST_ZOOM },
        { "x-slack-request-timestamp", "1733000000" } } },
};


static void
test_all(void **state)
{
    char          got;
    size_t        i;
    test_case_t  *c;

    for (i = 0; i < unit_count(test_cases); i++) {
        c = &test_cases[i];

        got = test_verify(test_scheme(c->scheme), c->headers, c->secret,
                          strlen(c->secret), c->body, c->now);

        if (got != c->want) {
            print_error("case %d, %s: got '%c', want '%c'\n", (int) i,
                        c->scheme, got, c->want);
            fail();
        }
    }

    assert_null(test_scheme("Hub"));
    assert_null(test_scheme("hu"));
    assert_null(test_scheme(""));
}


static char
test_standard(test_header_t *headers)
{
    ngx_str_t  key, src = ngx_string("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    u_char     buf[24];

    key.data = buf;
    assert_int_equal(ngx_lyftr_scheme_base64(&key, &src), NGX_OK);
    assert_int_equal(key.len, 24);

    return test_verify(test_scheme("standard"), headers, key.data, key.len,
                       "{\"test\": 2432232314}", 1614265330);
}


#define test_webhook(want, ...)                                              \
    {                                                                        \
        test_header_t  h[] = { __VA_ARGS__, { NULL, NULL } };                \
        assert_int_equal(test_standard(h), want);                            \
    }
#define TEST_WEBHOOK(id, timestamp, signature)                               \
    { "webhook-id", id }, { "webhook-timestamp", timestamp },                \
    { "webhook-signature", signature }


static void
test_standards(void **state)
{
    test_webhook(0, TEST_WEBHOOK(TEST_ID, "1614265330", "v1," TEST_STANDARD));
    test_webhook(0, TEST_WEBHOOK(TEST_ID, "1614265330",
                                 "v1,AAAA v2," TEST_STANDARD " v1a,x  v1,"
                                 TEST_STANDARD));
    test_webhook('f', TEST_WEBHOOK(TEST_ID, "1614265330",
                                   "v2," TEST_STANDARD));
    test_webhook('f', TEST_WEBHOOK(TEST_ID, "1614265330", TEST_STANDARD));
    test_webhook('f', TEST_WEBHOOK(TEST_ID, "1614265330",
                                   "v1," TEST_STANDARD ",v1,"
                                   TEST_STANDARD));
    test_webhook('m', TEST_WEBHOOK(TEST_ID "x", "1614265330",
                                   "v1," TEST_STANDARD));
    test_webhook('m', TEST_WEBHOOK(TEST_ID, "1614265331",
                                   "v1," TEST_STANDARD));
    test_webhook('f', TEST_WEBHOOK("", "1614265330", "v1," TEST_STANDARD));
    test_webhook('f', TEST_WEBHOOK("a.b", "1614265330",
                                   "v1," TEST_STANDARD));
    test_webhook('f', TEST_WEBHOOK(TEST_ID, "1614265330",
                                   "v1," TEST_STANDARD),
                 { "webhook-id", TEST_ID });
    test_webhook('t', TEST_WEBHOOK(TEST_ID, "now", "v1," TEST_STANDARD));

    /* the same by Svix's names, all three of one family */

    test_webhook(0, { "svix-id", TEST_ID }, { "svix-timestamp", "1614265330" },
                 { "svix-signature", "v1," TEST_STANDARD });
    test_webhook('f', { "webhook-id", TEST_ID },
                 { "svix-timestamp", "1614265330" },
                 { "svix-signature", "v1," TEST_STANDARD });
    test_webhook('t', { "svix-id", TEST_ID },
                 { "webhook-timestamp", "1614265330" },
                 { "svix-signature", "v1," TEST_STANDARD });
    test_webhook('-', { "svix-id", TEST_ID },
                 { "svix-timestamp", "1614265330" },
                 { "svix-signature", "v1," TEST_STANDARD },
                 { "webhook-signature", "" });
    test_webhook('-', { "svix-id", TEST_ID });
}


static ngx_int_t
test_describe(ngx_lyftr_scheme_t *scheme, const char *header,
    const char *timestamp, const char *words)
{
    ngx_str_t  s;

    ngx_memzero(scheme, sizeof(ngx_lyftr_scheme_t));

    scheme->header.data = (u_char *) header;
    scheme->header.len = strlen(header);
    ngx_str_set(&scheme->prefix, "v0=");

    if (timestamp) {
        scheme->timestamp.data = (u_char *) timestamp;
        scheme->timestamp.len = strlen(timestamp);
        scheme->timed = 1;
    }

    s.data = (u_char *) words;
    s.len = words ? strlen(words) : 0;

    return ngx_lyftr_scheme_signed(scheme, words ? &s : NULL);
}


static void
test_descriptions(void **state)
{
    size_t              i;
    ngx_lyftr_scheme_t  scheme;

    static test_header_t  zoom[] = {
        { "x-zm-signature", "v0=" TEST_ZOOM },
        { "x-zm-request-timestamp", "1733000000" }, { NULL, NULL } };
    static test_header_t  dot[] = {
        { "x-zm-signature", "v0=" TEST_DOT },
        { "x-zm-request-timestamp", "1733000000" }, { NULL, NULL } };
    static test_header_t  body[] = {
        { "x-zm-signature", "v0=" TEST_LYFTR }, { NULL, NULL } };

    static const char  *bad[] = { "", "{body}", "{timestamp}",
        "{body}{body}{timestamp}", "{timestamp}{timestamp}{body}",
        "{body}{timestamp}{", "}{body}{timestamp}", "{id}{body}{timestamp}",
        "{Body}{timestamp}", "{timestamp}.{body" };

    assert_int_equal(test_describe(&scheme, "x-zm-signature",
                                   "x-zm-request-timestamp",
                                   "v0:{timestamp}:{body}"), NGX_OK);
    assert_int_equal(test_verify(&scheme, zoom, "zoom", 4, TEST_BODY,
                                 TEST_AT), 0);
    assert_int_equal(test_verify(&scheme, dot, "zoom", 4, TEST_BODY, TEST_AT),
                     'm');

    assert_int_equal(test_describe(&scheme, "x-zm-signature",
                                   "x-zm-request-timestamp", NULL), NGX_OK);
    assert_int_equal(test_verify(&scheme, dot, "zoom", 4, TEST_BODY, TEST_AT),
                     0);

    assert_int_equal(test_describe(&scheme, "x-zm-signature", NULL, NULL),
                     NGX_OK);
    assert_int_equal(test_verify(&scheme, body, "testsecret", 10, TEST_BODY,
                                 0), 0);

    for (i = 0; i < unit_count(bad); i++) {
        assert_int_equal(test_describe(&scheme, "x", "y", bad[i]),
                         NGX_DECLINED);
    }

    assert_int_equal(test_describe(&scheme, "x", NULL, "{timestamp}{body}"),
                     NGX_DECLINED);

    /* words, values and words */

    assert_int_equal(test_describe(&scheme, "x", "y", "a{body}b{timestamp}c"),
                     NGX_OK);
    assert_int_equal(scheme.part[4].type, NGX_LYFTR_SCHEME_WORD);
    assert_int_equal(scheme.part[5].type, NGX_LYFTR_SCHEME_END);
}


static void
test_window_off(void **state)
{
    ngx_lyftr_scheme_claim_t  claim;

    claim.scheme = test_scheme("slack");
    ngx_str_set(&claim.timestamp, "999999999999999");

    assert_int_equal(ngx_lyftr_scheme_timely(&claim, TEST_AT, 0), 1);
    assert_int_equal(ngx_lyftr_scheme_timely(&claim, TEST_AT, 1), 0);

    claim.scheme = test_scheme("lyftr");

    assert_int_equal(ngx_lyftr_scheme_timely(&claim, TEST_AT, 1), 1);
}


static void
test_base64(void **state)
{
    size_t     i;
    u_char     buf[16];
    ngx_str_t  src, dst;

    static const struct {
        const char  *src;
        const char  *want;                 /* NULL: refused */
    } cases[] = {
        { "", "" }, { "Zg==", "f" }, { "Zg", "f" }, { "Zm8=", "fo" },
        { "Zm8", "fo" }, { "Zm9v", "foo" }, { "Zm9vYg==", "foob" },
        { "Zm9vYmE", "fooba" }, { "Zm9vYmFy", "foobar" }, { "+/+/", NULL },
        { "Zh==", NULL }, { "Zm9=", NULL }, { "Z", NULL }, { "Zg=", NULL },
        { "Zg===", NULL }, { "====", NULL }, { "=", NULL }, { "Zm9v=", NULL },
        { "Zm 9v", NULL }, { "Zm9v\n", NULL }, { "Zm-v", NULL },
        { "Zm_v", NULL }, { "Zg==Zg==", NULL }
    };

    for (i = 0; i < unit_count(cases); i++) {
        src.data = (u_char *) cases[i].src;
        src.len = strlen(cases[i].src);
        dst.data = buf;

        if (ngx_lyftr_scheme_base64(&dst, &src) != NGX_OK) {
            if (cases[i].want) {
                print_error("%s: refused\n", cases[i].src);
                fail();
            }

            continue;
        }

        if (strcmp(cases[i].src, "+/+/") == 0) {
            unit_equal(dst.data, dst.len, "\xfb\xff\xbf");
            continue;
        }

        if (cases[i].want == NULL) {
            print_error("%s: not refused\n", cases[i].src);
            fail();
        }

        unit_equal_str(dst.data, dst.len, cases[i].want);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_standards),
        cmocka_unit_test(test_descriptions),
        cmocka_unit_test(test_window_off),
        cmocka_unit_test(test_base64)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

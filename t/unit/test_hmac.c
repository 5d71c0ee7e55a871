
#include "unit.h"

#include <ngx_lyftr_hmac.h>

#include <openssl/evp.h>


#define TEST_A32  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define TEST_A64  TEST_A32 TEST_A32
#define TEST_HEX  "00017f80ff0123456789abcdef102030"                         \
                  "405060708090a0b0c0d0e0f0fedcba98"

#define TEST_131  TEST_16 TEST_16 TEST_16 TEST_16 TEST_16 TEST_16 TEST_16    \
                  TEST_16 "\xaa\xaa\xaa"
#define TEST_16   "\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa"                         \
                  "\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa"
#define TEST_20   TEST_16 "\xaa\xaa\xaa\xaa"
#define TEST_DD   "\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd"
#define TEST_CD   "\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd"


typedef struct {
    u_char     *key;
    size_t      key_len;
    ngx_str_t   body;
    char       *mac;
} test_hmac_t;


/* RFC 4231, the fifth apart, which is cut; and a body without bytes */

static test_hmac_t  test_hmacs[] = {

    { unit_lit("\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"
               "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"),
      ngx_string("Hi There"),
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },

    { unit_lit("Jefe"),
      ngx_string("what do ya want for nothing?"),
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },

    { unit_lit(TEST_20),
      ngx_string(TEST_DD TEST_DD TEST_DD TEST_DD TEST_DD),
      "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },

    { unit_lit("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d"
               "\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19"),
      ngx_string(TEST_CD TEST_CD TEST_CD TEST_CD TEST_CD),
      "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b" },

    { unit_lit(TEST_131),
      ngx_string("Test Using Larger Than Block-Size Key - Hash Key First"),
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },

    { unit_lit(TEST_131),
      ngx_string("This is a test using a larger than block-size key and a "
                 "larger than block-size data. The key needs to be hashed "
                 "before being used by the HMAC algorithm."),
      "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2" },

    { unit_lit("key"),
      ngx_string(""),
      "5d5d139563c95b5967b9bd9a8c9b233a9dedb45072794cd232dc1b74832607d0" }
};


/* what was compared, and what comes of it if it is not asked itself */

static ngx_uint_t    compared;
static const void   *compared_with[2];
static size_t        compared_len;
static ngx_uint_t    told;
static int           answer;


int __real_CRYPTO_memcmp(const void *a, const void *b, size_t len);


int
__wrap_CRYPTO_memcmp(const void *a, const void *b, size_t len)
{
    compared++;
    compared_with[0] = a;
    compared_with[1] = b;
    compared_len = len;

    return told ? answer : __real_CRYPTO_memcmp(a, b, len);
}


static void
test_hex(u_char *mac, char *want)
{
    char        got[2 * NGX_LYFTR_HMAC_LEN + 1];
    ngx_uint_t  i;

    for (i = 0; i < NGX_LYFTR_HMAC_LEN; i++) {
        (void) sprintf(got + 2 * i, "%02x", mac[i]);
    }

    assert_string_equal(got, want);
}


/* a key serves any number of bodies, beside other keys */

static void
test_sign(void **state)
{
    void         *keys[unit_count(test_hmacs)];
    u_char       *secret, *mac;
    ngx_str_t     other = ngx_string("another body");
    ngx_uint_t    i, n;
    test_hmac_t  *t;

    mac = unit_copy("", 0);
    mac = realloc(mac, NGX_LYFTR_HMAC_LEN);
    assert_non_null(mac);

    for (i = 0; i < unit_count(test_hmacs); i++) {
        t = &test_hmacs[i];

        secret = unit_copy(t->key, t->key_len);
        keys[i] = ngx_lyftr_hmac_key(secret, t->key_len);
        assert_non_null(keys[i]);

        ngx_memset(secret, 0, t->key_len);
        free(secret);
    }

    for (n = 0; n < 3; n++) {
        for (i = 0; i < unit_count(test_hmacs); i++) {
            t = &test_hmacs[i];

            assert_int_equal(ngx_lyftr_hmac_sign(keys[i], &t->body, 1, mac),
                             NGX_OK);
            test_hex(mac, t->mac);

            assert_int_equal(ngx_lyftr_hmac_sign(keys[i], &other, 1, mac),
                             NGX_OK);
        }
    }

    for (i = 0; i < unit_count(test_hmacs); i++) {
        ngx_lyftr_hmac_free(keys[i]);
    }

    free(mac);
}


typedef struct {
    ngx_str_t   prefix;
    u_char     *s;
    size_t      len;
    char       *mac;               /* NULL: refused */
} test_decode_t;


static test_decode_t  test_decodes[] = {

    { ngx_string(""), unit_lit(TEST_HEX), TEST_HEX },
    { ngx_string("sha256="), unit_lit("sha256=" TEST_HEX), TEST_HEX },
    { ngx_string(""), unit_lit(TEST_A64), TEST_A64 },

    { ngx_string(""),
      unit_lit("00017F80FF0123456789ABCDEF102030405060708090A0B0C0D0E0F0FEDCBA"
               "98"), TEST_HEX },
    { ngx_string("sha256="),
      unit_lit("sha256=00017f80fF0123456789aBcDeF102030405060708090A0b0C0d0E0f0"
               "FedCba98"), TEST_HEX },

    /* lengths */

    { ngx_string(""), unit_lit(""), NULL },
    { ngx_string(""), unit_lit("123"), NULL },
    { ngx_string(""), unit_lit(TEST_A64 "a"), NULL },
    { ngx_string(""), unit_lit(TEST_A64 "aa"), NULL },
    { ngx_string(""), unit_lit(TEST_A64 TEST_A64), NULL },
    { ngx_string(""), (u_char *) TEST_A64, 63, NULL },
    { ngx_string(""), (u_char *) TEST_A64, 62, NULL },
    { ngx_string(""), (u_char *) TEST_A64, 32, NULL },
    { ngx_string("sha256="), unit_lit("sha256="), NULL },
    { ngx_string("sha256="), unit_lit("sha256=" TEST_A64 "a"), NULL },
    { ngx_string("sha256="), (u_char *) "sha256=" TEST_A64, 70, NULL },

    /* prefixes */

    { ngx_string("sha256="), unit_lit(TEST_A64), NULL },
    { ngx_string("sha256="), unit_lit("sha512=" TEST_A64), NULL },
    { ngx_string("sha256="), unit_lit("SHA256=" TEST_A64), NULL },
    { ngx_string("sha256="), unit_lit("sha256 " TEST_A64), NULL },
    { ngx_string("sha256="), unit_lit("\0ha256=" TEST_A64), NULL },
    { ngx_string("sha256="), unit_lit("aaaaaaa" TEST_A64), NULL },
    { ngx_string(""), unit_lit("sha256=" TEST_A64), NULL }
};


static void
test_decode(void **state)
{
    u_char          mac[NGX_LYFTR_HMAC_LEN], *s;
    ngx_int_t       rc;
    ngx_uint_t      i;
    test_decode_t  *t;

    for (i = 0; i < unit_count(test_decodes); i++) {
        t = &test_decodes[i];
        s = unit_copy(t->s, t->len);

        rc = ngx_lyftr_hmac_decode(s, t->len, &t->prefix, mac);

        if (t->mac) {
            assert_int_equal(rc, NGX_OK);
            test_hex(mac, t->mac);

        } else {
            assert_int_equal(rc, NGX_DECLINED);
        }

        free(s);
    }
}


/* each byte in each place: the digits alone are accepted */

static void
test_digits(void **state)
{
    char        byte[3];
    u_char      s[sizeof(TEST_A64)], mac[NGX_LYFTR_HMAC_LEN];
    ngx_str_t   prefix = ngx_string("");
    ngx_int_t   rc;
    ngx_uint_t  i, c;

    byte[2] = '\0';

    for (i = 0; i < 2 * NGX_LYFTR_HMAC_LEN; i++) {
        for (c = 0; c < 256; c++) {
            ngx_memcpy(s, TEST_A64, sizeof(TEST_A64));
            s[i] = (u_char) c;

            rc = ngx_lyftr_hmac_decode(s, 2 * NGX_LYFTR_HMAC_LEN, &prefix,
                                       mac);

            if (c == '\0' || strchr("0123456789abcdefABCDEF", c) == NULL) {
                assert_int_equal(rc, NGX_DECLINED);
                continue;
            }

            ngx_memcpy(byte, s + (i & ~1), 2);

            assert_int_equal(rc, NGX_OK);
            assert_int_equal(mac[i / 2], strtol(byte, NULL, 16));
            assert_int_equal(mac[(i / 2 + 1) % NGX_LYFTR_HMAC_LEN], 0xaa);
        }
    }
}


/* every bit counts */

static void
test_equal(void **state)
{
    u_char      *a, *b;
    ngx_uint_t   i;

    a = unit_copy(TEST_131, NGX_LYFTR_HMAC_LEN);
    b = unit_copy(TEST_131, NGX_LYFTR_HMAC_LEN);

    assert_int_equal(ngx_lyftr_hmac_equal(a, b), 1);

    for (i = 0; i < 8 * NGX_LYFTR_HMAC_LEN; i++) {
        b[i / 8] ^= 1 << i % 8;
        assert_int_equal(ngx_lyftr_hmac_equal(a, b), 0);
        assert_int_equal(ngx_lyftr_hmac_equal(b, a), 0);
        b[i / 8] ^= 1 << i % 8;
    }

    assert_int_equal(ngx_lyftr_hmac_equal(a, b), 1);

    free(a);
    free(b);
}


/*
 * What takes the same time for all signatures has the only say: it is given
 * all of them, also if they differ at once, and its word is the answer.
 */

static void
test_constant(void **state)
{
    u_char      *a, *b;
    ngx_uint_t   i, k;

    a = unit_copy(TEST_131, NGX_LYFTR_HMAC_LEN);
    b = unit_copy(TEST_131, NGX_LYFTR_HMAC_LEN);
    told = 1;

    for (i = 0; i <= NGX_LYFTR_HMAC_LEN; i++) {
        for (k = 0; k < 2; k++) {
            answer = k;
            compared = 0;

            assert_int_equal(ngx_lyftr_hmac_equal(a, b), !k);

            assert_int_equal(compared, 1);
            assert_ptr_equal(compared_with[0], a);
            assert_ptr_equal(compared_with[1], b);
            assert_int_equal(compared_len, NGX_LYFTR_HMAC_LEN);
        }

        /* one byte more differs, from the first one on */

        if (i < NGX_LYFTR_HMAC_LEN) {
            b[i] ^= 0xff;
        }
    }

    told = 0;
    free(a);
    free(b);
}


/* OpenSSL may be set up so that it has no HMAC */

static void
test_none(void **state)
{
    void  *key;

    assert_int_equal(EVP_set_default_properties(NULL, "provider=none"), 1);

    assert_null(ngx_lyftr_hmac_key(unit_lit("key")));

    assert_int_equal(EVP_set_default_properties(NULL, ""), 1);

    key = ngx_lyftr_hmac_key(unit_lit("key"));
    assert_non_null(key);
    ngx_lyftr_hmac_free(key);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_sign),
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_digits),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_constant),
        cmocka_unit_test(test_none)
    };

    return cmocka_run_group_tests_name("hmac", tests, NULL, NULL);
}

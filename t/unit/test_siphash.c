#include "unit.h"


/* the values of the paper's own program: bytes from 0 on, key and input */

static void
test_vectors(void **state)
{
    u_char      p[64], *copy;
    uint64_t    key[2];
    ngx_uint_t  i;

    static struct {
        size_t    len;
        uint64_t  hash;
    } vectors[] = {
        { 0, 0x726fdb47dd0e0e31 },
        { 1, 0x74f839c593dc67fd },
        { 7, 0xab0200f58b01d137 },
        { 8, 0x93f5f5799a932462 },
        { 15, 0xa129ca6149be45e5 },
        { 16, 0x3f2acc7f57c29bdb },
        { 63, 0x958a324ceb064572 }
    };

    for (i = 0; i < 64; i++) {
        p[i] = (u_char) i;
    }

    key[0] = 0x0706050403020100;
    key[1] = 0x0f0e0d0c0b0a0908;

    for (i = 0; i < unit_count(vectors); i++) {
        copy = unit_copy(p, vectors[i].len);
        assert_true(ngx_lyftr_siphash(key, copy, vectors[i].len)
                    == vectors[i].hash);
        free(copy);
    }

    assert_true(ngx_lyftr_siphash(key, NULL, 0) == vectors[0].hash);

    key[1]++;
    assert_true(ngx_lyftr_siphash(key, p, 8) != vectors[3].hash);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_vectors)
    };

    return cmocka_run_group_tests_name("siphash", tests, NULL, NULL);
}

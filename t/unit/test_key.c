/* Keys compare as what they are made of does. */

#include "unit_store.h"


#define TEST_ROWS    300


static ngx_str_t  parts[] = {
    ngx_string(""), ngx_string("\0"), ngx_string("\0\0"), ngx_string("\0\xff"),
    ngx_string("\1"), ngx_string("+1"), ngx_string("+1\0"),
    ngx_string("+1\0\0"), ngx_string("+1\1"), ngx_string("+12"),
    ngx_string("\xff"), ngx_string("\xff\0")
};

static ngx_str_t  instants[] = {
    ngx_string("\0\0\0\0\0"), ngx_string("\0\0\0\0\0\1"),
    ngx_string("\0\0\0\0\1"), ngx_string("\xf\xff\xff\xff\xff"),
    ngx_string("\xf\xff\xff\xff\xff\0\0\0\1"),
    ngx_string("\xf\xff\xff\xff\xff\1")
};


static int
test_str_cmp(ngx_str_t *x, ngx_str_t *y)
{
    return ngx_lyftr_key_cmp(x->data, x->len, y->data, y->len);
}


/* sender, then time: texts before instants, and then the id */

static int
test_row_cmp(ngx_lyftr_sqlite_row_t *x, ngx_lyftr_sqlite_row_t *y,
    ngx_uint_t sender)
{
    int  rc;

    rc = sender ? test_str_cmp(&x->from, &y->from) : 0;

    if (rc == 0) {
        rc = (int) y->text - (int) x->text;
    }

    if (rc == 0) {
        rc = test_str_cmp(&x->instant, &y->instant);
    }

    return rc ? rc : test_str_cmp(&x->message_id, &y->message_id);
}


static int
test_sign(int n)
{
    return (n > 0) - (n < 0);
}


static void
test_order(void **state)
{
    u_char                  *key[TEST_ROWS];
    unsigned                 seed;
    ngx_uint_t               i, k, sender[TEST_ROWS], len[TEST_ROWS];
    ngx_lyftr_buf_t          buf;
    ngx_lyftr_memtable_row_t   to;
    ngx_lyftr_sqlite_row_t  *row, rows[TEST_ROWS];

    seed = 1;

    for (i = 0; i < TEST_ROWS; i++) {
        row = &rows[i];
        ngx_memzero(row, sizeof(ngx_lyftr_sqlite_row_t));

        row->from = parts[rand_r(&seed) % unit_count(parts)];
        row->message_id = parts[rand_r(&seed) % unit_count(parts)];
        row->text = rand_r(&seed) % 2;
        row->instant = row->text
                       ? parts[rand_r(&seed) % unit_count(parts)]
                       : instants[rand_r(&seed) % unit_count(instants)];

        ngx_memzero(&buf, sizeof(ngx_lyftr_buf_t));
        assert_int_equal(ngx_lyftr_sqlite_row_keys(row, &buf, &to), NGX_OK);
        assert_true(buf.len <= ngx_lyftr_key_len(row));
        assert_int_equal(buf.len, to.len);

        key[i] = unit_copy(to.key, to.len);
        len[i] = to.len;
        sender[i] = to.sender;

        ngx_lyftr_buf_free(&buf);
    }

    for (i = 0; i < TEST_ROWS; i++) {
        for (k = 0; k < TEST_ROWS; k++) {
            assert_int_equal(test_sign(ngx_lyftr_key_cmp(key[i], len[i],
                                                         key[k], len[k])),
                             test_sign(test_row_cmp(&rows[i], &rows[k], 1)));

            assert_int_equal(test_sign(ngx_lyftr_key_cmp(key[i] + sender[i],
                                                         len[i] - sender[i],
                                                         key[k] + sender[k],
                                                         len[k] - sender[k])),
                             test_sign(test_row_cmp(&rows[i], &rows[k], 0)));
        }
    }

    for (i = 0; i < TEST_ROWS; i++) {
        free(key[i]);
    }
}


/* the sender is read from its key as it was */

static void
test_sender(void **state)
{
    u_char           *copy, key[64];
    ngx_str_t         part, from;
    ngx_uint_t        i;
    ngx_lyftr_buf_t   buf;

    ngx_memzero(&buf, sizeof(ngx_lyftr_buf_t));

    for (i = 0; i < unit_count(parts); i++) {
        part.len = ngx_lyftr_key_sender(key, &parts[i]) - key;
        part.data = copy = unit_copy(key, part.len);

        assert_int_equal(ngx_lyftr_key_read(&part, &buf, &from),
                         NGX_OK);
        unit_equal_bytes(from.data, from.len, parts[i].data, parts[i].len,
                         __LINE__);
        free(copy);
    }

    ngx_lyftr_buf_free(&buf);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_sender)
    };

    return cmocka_run_group_tests_name("sqlite_key", tests, NULL, NULL);
}

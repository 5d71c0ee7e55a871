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
test_row_cmp(ngx_lyftr_row_t *x, ngx_lyftr_row_t *y,
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


/* ids by their hashes, the others as what they are made of */

static int
test_cmp(ngx_lyftr_row_t *x, ngx_lyftr_row_t *y, ngx_uint_t kind)
{
    return kind == NGX_LYFTR_TREE_ID
           ? (x->hash > y->hash) - (x->hash < y->hash)
           : test_row_cmp(x, y, kind == NGX_LYFTR_TREE_SENDER);
}


static void
test_order(void **state)
{
    size_t                     len[2];
    u_char                    *key[2], *copy[TEST_ROWS];
    unsigned                   seed;
    ngx_uint_t                 i, k, kind;
    ngx_lyftr_buf_t            buf;
    ngx_lyftr_row_t           *row, rows[TEST_ROWS];
    ngx_lyftr_memtable_row_t   to[TEST_ROWS];

    seed = 1;

    for (i = 0; i < TEST_ROWS; i++) {
        row = &rows[i];
        ngx_memzero(row, sizeof(ngx_lyftr_row_t));

        row->hash = (uint64_t) rand_r(&seed) << rand_r(&seed) % 33;
        row->from = parts[rand_r(&seed) % unit_count(parts)];
        row->message_id = parts[rand_r(&seed) % unit_count(parts)];
        row->text = rand_r(&seed) % 2;
        row->instant = row->text
                       ? parts[rand_r(&seed) % unit_count(parts)]
                       : instants[rand_r(&seed) % unit_count(instants)];

        ngx_memzero(&buf, sizeof(ngx_lyftr_buf_t));
        assert_int_equal(ngx_lyftr_key_row(row, &buf, &to[i]), NGX_OK);
        assert_true(buf.len <= ngx_lyftr_key_len(row));
        assert_int_equal(buf.len, to[i].size);

        unit_equal_bytes(to[i].key + to[i].id, to[i].nid,
                         row->message_id.data, row->message_id.len, __LINE__);

        to[i].key = copy[i] = unit_copy(buf.data, buf.len);

        ngx_lyftr_buf_free(&buf);
    }

    for (kind = 0; kind < NGX_LYFTR_TREES; kind++) {
        for (i = 0; i < TEST_ROWS; i++) {
            for (k = 0; k < TEST_ROWS; k++) {
                key[0] = ngx_lyftr_memtable_key(&to[i], kind, &len[0]);
                key[1] = ngx_lyftr_memtable_key(&to[k], kind, &len[1]);

                assert_int_equal(test_sign(ngx_lyftr_key_cmp(key[0], len[0],
                                                             key[1], len[1])),
                                 test_sign(test_cmp(&rows[i], &rows[k],
                                                    kind)));
            }
        }
    }

    for (i = 0; i < TEST_ROWS; i++) {
        free(copy[i]);
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

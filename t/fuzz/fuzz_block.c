
#include "fuzz.h"

#include <ngx_lyftr_block.h>


/* what can be read can be written, and is then read as the same */

static void
fuzz_again(ngx_lyftr_buf_t *written, int64_t first, ngx_lyftr_buf_t *entries)
{
    size_t              at;
    u_char             *copy;
    struct {
        size_t          len;
        int64_t         value;
    } head;
    ngx_lyftr_block_t   block;

    ngx_memzero(&block, sizeof(ngx_lyftr_block_t));

    copy = fuzz_copy(written->data, written->len);

    fuzz_assert(ngx_lyftr_block_open(&block, copy, written->len) == NGX_OK);
    fuzz_assert(block.first == first);

    for (at = 0; at < entries->len; at += sizeof(head) + head.len) {
        ngx_memcpy(&head, entries->data + at, sizeof(head));

        fuzz_assert(ngx_lyftr_block_next(&block) == NGX_OK);
        fuzz_assert(block.value == head.value);
        fuzz_assert(ngx_lyftr_key_cmp(block.key.data, block.key.len,
                                      entries->data + at + sizeof(head),
                                      head.len)
                    == 0);
    }

    fuzz_assert(ngx_lyftr_block_next(&block) == NGX_DONE);

    ngx_lyftr_block_free(&block);
    free(copy);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char             *copy;
    ngx_int_t           rc;
    struct {
        size_t          len;
        int64_t         value;
    } head;
    ngx_uint_t          n;
    ngx_lyftr_buf_t     written, prev, entries;
    ngx_lyftr_block_t   block;

    ngx_memzero(&block, sizeof(ngx_lyftr_block_t));
    ngx_memzero(&written, sizeof(ngx_lyftr_buf_t));
    ngx_memzero(&prev, sizeof(ngx_lyftr_buf_t));
    ngx_memzero(&entries, sizeof(ngx_lyftr_buf_t));
    ngx_memzero(&head, sizeof(head));

    copy = fuzz_copy(data, size);
    rc = ngx_lyftr_block_open(&block, copy, size);

    if (rc == NGX_OK) {
        fuzz_assert(ngx_lyftr_block_begin(&written, block.first) == NGX_OK);
    }

    for (n = 0; rc == NGX_OK; n++) {
        rc = ngx_lyftr_block_next(&block);

        if (rc != NGX_OK) {
            break;
        }

        /* no key is longer than what was read */

        fuzz_assert(block.key.len <= size);
        fuzz_assert(block.p <= block.last);

        head.len = block.key.len;
        head.value = block.value;

        fuzz_assert(ngx_lyftr_block_add(&written, n ? &prev : NULL,
                                        block.key.data, block.key.len,
                                        block.value)
                    == NGX_OK);
        fuzz_assert(ngx_lyftr_buf_add(&entries, &head, sizeof(head))
                    == NGX_OK);
        fuzz_assert(ngx_lyftr_buf_add(&entries, block.key.data,
                                      block.key.len)
                    == NGX_OK);

        prev.len = 0;
        fuzz_assert(ngx_lyftr_buf_add(&prev, block.key.data, block.key.len)
                    == NGX_OK);
    }

    fuzz_assert(rc == NGX_DONE || rc == NGX_DECLINED);

    if (written.len) {
        fuzz_again(&written, block.first, &entries);
    }

    ngx_lyftr_block_free(&block);
    ngx_lyftr_buf_free(&written);
    ngx_lyftr_buf_free(&prev);
    ngx_lyftr_buf_free(&entries);
    free(copy);

    return 0;
}


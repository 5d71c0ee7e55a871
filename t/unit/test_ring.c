/* A ring between an owner and a leader, in memory that nobody can trust. */

#include "unit.h"

#include <ngx_lyftr_ring.h>


#define TEST_SIZE      8192
#define TEST_ROUNDS    20000
#define TEST_MOST      8


static u_char              *memory;
static ngx_lyftr_ring_t     owner, leader;
static u_char               copies[TEST_SIZE];
static ngx_lyftr_message_t  taken[NGX_LYFTR_RING_MESSAGES];
static uint64_t             seed;


static uint64_t
test_random(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return seed % below;
}


static int
test_setup(void **state)
{
    memory = calloc(1, ngx_lyftr_ring_memory(TEST_SIZE));
    assert_non_null(memory);

    ngx_lyftr_ring_init(&owner, memory, TEST_SIZE);
    ngx_lyftr_ring_init(&leader, memory, TEST_SIZE);
    ngx_lyftr_ring_adopt(&owner);

    seed = 88172645463325252;

    return 0;
}


static int
test_teardown(void **state)
{
    free(memory);

    return 0;
}


/* n messages whose strings tell which they are; the text is of this length */

static void
test_message(ngx_lyftr_message_t *m, ngx_uint_t n, uint64_t number, size_t len)
{
    static u_char  text[TEST_SIZE], ids[TEST_MOST][32];

    for ( /* void */ ; n; n--, m++, number++) {
        ngx_memzero(m, sizeof(ngx_lyftr_message_t));

        m->message_id.data = ids[n % TEST_MOST];
        m->message_id.len = snprintf((char *) m->message_id.data, 32, "id.%llu",
                                     (unsigned long long) number);
        m->from.data = (u_char *) "from";
        m->from.len = 4;
        m->to.data = (u_char *) "";
        m->to.len = 0;

        if (len) {
            ngx_memset(text, 'a' + len % 26, len);
            m->text.data = text;
            m->text.len = len;
        }

        m->instant.len = number % 10;
        ngx_memset(m->instant.data, number & 0xff, m->instant.len);
    }
}


static ngx_int_t
test_put(ngx_uint_t n, uint64_t number, size_t len, ngx_lyftr_ticket_t *ticket)
{
    ngx_lyftr_write_t    write;
    ngx_lyftr_message_t  m[NGX_LYFTR_RING_MESSAGES + 1];

    test_message(m, n, number, len);

    write.messages = m;
    write.n = n;
    write.rows = NULL;

    return ngx_lyftr_ring_put(&owner, &write, number, -(int64_t) number,
                              ticket);
}


static ngx_int_t
test_take(ngx_uint_t max, ngx_lyftr_ring_entry_t *entry)
{
    u_char  *p;

    p = copies;

    return ngx_lyftr_ring_take(&leader, &p, copies + sizeof(copies), taken,
                               max, entry);
}


/* takes one that must be there as it was put, and answers it */

static void
test_serve(ngx_uint_t n, uint64_t number, size_t len, ngx_lyftr_err_e error)
{
    ngx_uint_t              i;
    ngx_lyftr_message_t     m[NGX_LYFTR_RING_MESSAGES];
    ngx_lyftr_ring_entry_t  entry;

    assert_int_equal(test_take(NGX_LYFTR_RING_MESSAGES, &entry), NGX_OK);
    assert_int_equal(entry.write.n, n);
    assert_int_equal(entry.since, number);
    assert_int_equal(entry.arrived, -(int64_t) number);

    test_message(m, n, number, len);

    for (i = 0; i < n; i++) {
        unit_equal_bytes(taken[i].message_id.data, taken[i].message_id.len,
                         m[i].message_id.data, m[i].message_id.len, __LINE__);
        unit_equal_bytes(taken[i].text.data, taken[i].text.len,
                         m[i].text.data, m[i].text.len, __LINE__);
        assert_int_equal(taken[i].text.data == NULL, len == 0);
        assert_non_null(taken[i].to.data);
        assert_int_equal(taken[i].to.len, 0);
        assert_null(taken[i].raw.data);
        assert_int_equal(taken[i].instant.len, m[i].instant.len);
        assert_memory_equal(taken[i].instant.data, m[i].instant.data,
                            m[i].instant.len);

        assert_int_equal(entry.write.rows[i], 0);
        taken[i].known = (number + i) & 1;
    }

    ngx_lyftr_ring_reply(&leader, &entry, error);
}


/* the owner learns it */

static void
test_learn(ngx_lyftr_ticket_t *ticket, ngx_uint_t n, uint64_t number,
    ngx_lyftr_err_e error)
{
    ngx_uint_t           i;
    ngx_lyftr_err_e      told;
    ngx_lyftr_write_t    write;
    ngx_lyftr_message_t  m[NGX_LYFTR_RING_MESSAGES];

    write.messages = m;
    write.n = n;

    assert_true(ticket->end <= owner.done);

    if (error) {
        assert_int_equal(ngx_lyftr_ring_answer(&owner, ticket, &write, &told),
                         NGX_DECLINED);
        assert_int_equal(told, error);
        return;
    }

    assert_int_equal(ngx_lyftr_ring_answer(&owner, ticket, &write, &told),
                     NGX_OK);

    for (i = 0; i < n; i++) {
        assert_int_equal(m[i].known, (number + i) & 1);
    }
}


static void
test_one(void **state)
{
    ngx_lyftr_ticket_t      ticket, second;
    ngx_lyftr_ring_entry_t  entry;

    assert_false(ngx_lyftr_ring_waits(&leader));
    assert_int_equal(ngx_lyftr_ring_begin(&leader), NGX_OK);
    assert_int_equal(test_take(1, &entry), NGX_DONE);

    assert_int_equal(test_put(1, 7, 100, &ticket), NGX_OK);
    assert_true(ngx_lyftr_ring_waits(&leader));

    assert_int_equal(ngx_lyftr_ring_begin(&leader), NGX_OK);
    test_serve(1, 7, 100, NGX_LYFTR_ERR_NONE);

    /* nothing is told before the end, and an owner is woken once */

    assert_int_equal(ngx_lyftr_ring_look(&owner), NGX_OK);
    assert_true(owner.done < ticket.end);

    assert_true(ngx_lyftr_ring_end(&leader));
    assert_false(ngx_lyftr_ring_waits(&leader));

    assert_int_equal(test_put(1, 8, 10, &second), NGX_OK);
    assert_int_equal(ngx_lyftr_ring_begin(&leader), NGX_OK);
    test_serve(1, 8, 10, NGX_LYFTR_ERR_NONE);
    assert_false(ngx_lyftr_ring_end(&leader));

    assert_int_equal(ngx_lyftr_ring_look(&owner), NGX_OK);
    test_learn(&ticket, 1, 7, NGX_LYFTR_ERR_NONE);
    test_learn(&second, 1, 8, NGX_LYFTR_ERR_NONE);

    /* after that one it is woken again */

    assert_int_equal(test_put(1, 9, 10, &second), NGX_OK);
    assert_int_equal(ngx_lyftr_ring_begin(&leader), NGX_OK);
    test_serve(1, 9, 10, NGX_LYFTR_ERR_NONE);
    assert_true(ngx_lyftr_ring_end(&leader));
}


/* what is too much for it, or for the leader's batch, or for its memory */

static void
test_limits(void **state)
{
    u_char                 *p;
    ngx_uint_t              n;
    ngx_lyftr_ticket_t      ticket;
    ngx_lyftr_ring_entry_t  entry;

    assert_int_equal(test_put(1, 1, TEST_SIZE / 8, &ticket), NGX_DECLINED);
    assert_int_equal(test_put(NGX_LYFTR_RING_MESSAGES + 1, 1, 0, &ticket),
                     NGX_DECLINED);
    assert_int_equal(test_put(0, 1, 0, &ticket), NGX_DECLINED);

    for (n = 0; test_put(3, n, 0, &ticket) == NGX_OK; n++) { /* void */ }

    assert_true(n >= 15);
    assert_true(owner.tail - owner.done <= TEST_SIZE);

    assert_int_equal(ngx_lyftr_ring_begin(&leader), NGX_OK);
    assert_int_equal(test_take(2, &entry), NGX_DECLINED);

    p = copies;
    assert_int_equal(ngx_lyftr_ring_take(&leader, &p, copies + 64, taken, 3,
                                         &entry), NGX_DECLINED);
    assert_ptr_equal(p, copies);

    test_serve(3, 0, 0, NGX_LYFTR_ERR_NONE);
    test_serve(3, 1, 0, NGX_LYFTR_ERR_NONE);
    assert_true(ngx_lyftr_ring_end(&leader));

    /* there is room when the owner has heard of it */

    assert_int_equal(test_put(3, n, 0, &ticket), NGX_DECLINED);
    assert_int_equal(ngx_lyftr_ring_look(&owner), NGX_OK);
    assert_int_equal(test_put(3, n, 0, &ticket), NGX_OK);
}


/* all lengths, around the end of the memory, in batches of all sizes */

static void
test_many(void **state)
{
    uint64_t            put, served, learned;
    ngx_uint_t          i, k;
    ngx_lyftr_ticket_t  ticket[64];

    static struct {
        ngx_uint_t       n;
        uint64_t         number;
        size_t           len;
        ngx_lyftr_err_e  error;
    } op[64];

    put = served = learned = 0;

    for (i = 0; i < TEST_ROUNDS; i++) {

        if (put - learned < 64) {
            k = put % 64;

            op[k].n = 1 + test_random(3);
            op[k].number = put;
            op[k].len = test_random(200);
            op[k].error = test_random(5) ? NGX_LYFTR_ERR_NONE
                                         : 1 + test_random(NGX_LYFTR_ERRS - 1);

            if (test_put(op[k].n, op[k].number, op[k].len, &ticket[k])
                == NGX_OK)
            {
                put++;
            }
        }

        if (test_random(4) == 0) {
            assert_int_equal(ngx_lyftr_ring_begin(&leader), NGX_OK);

            while (served < put && test_random(8)) {
                k = served++ % 64;
                test_serve(op[k].n, op[k].number, op[k].len, op[k].error);
            }

            (void) ngx_lyftr_ring_end(&leader);
        }

        if (test_random(4) == 0) {
            assert_int_equal(ngx_lyftr_ring_look(&owner), NGX_OK);

            while (learned < served) {
                k = learned++ % 64;
                test_learn(&ticket[k], op[k].n, op[k].number, op[k].error);
            }
        }
    }

    assert_true(put > TEST_ROUNDS / 2);
}


/* a leader is killed: the next one finds what it noted, and all that waits */

static void
test_leader_killed(void **state)
{
    ngx_lyftr_ticket_t      ticket[2];
    ngx_lyftr_ring_entry_t  entry;

    assert_int_equal(test_put(1, 0, 10, &ticket[0]), NGX_OK);
    assert_int_equal(test_put(2, 1, 10, &ticket[1]), NGX_OK);

    assert_int_equal(ngx_lyftr_ring_begin(&leader), NGX_OK);
    assert_int_equal(test_take(9, &entry), NGX_OK);
    entry.write.rows[0] = 5;
    assert_int_equal(test_take(9, &entry), NGX_OK);
    entry.write.rows[1] = 6;
    ngx_lyftr_ring_reply(&leader, &entry, NGX_LYFTR_ERR_NONE);

    ngx_lyftr_ring_init(&leader, memory, TEST_SIZE);

    assert_int_equal(ngx_lyftr_ring_begin(&leader), NGX_OK);
    assert_int_equal(test_take(9, &entry), NGX_OK);
    assert_int_equal(entry.write.n, 1);
    assert_int_equal(entry.write.rows[0], 5);
    ngx_lyftr_ring_reply(&leader, &entry, NGX_LYFTR_ERR_NONE);

    assert_int_equal(test_take(9, &entry), NGX_OK);
    assert_int_equal(entry.write.n, 2);
    assert_int_equal(entry.write.rows[0], 0);
    assert_int_equal(entry.write.rows[1], 6);
    assert_int_equal(test_take(9, &entry), NGX_DONE);
}


/* one of them has it, and an entry that a killed leader had is not withdrawn */

static void
test_withdrawn(void **state)
{
    ngx_lyftr_ticket_t      ticket[4];
    ngx_lyftr_ring_entry_t  entry;

    assert_int_equal(test_put(1, 0, 10, &ticket[0]), NGX_OK);
    assert_int_equal(test_put(1, 1, 10, &ticket[1]), NGX_OK);
    assert_int_equal(test_put(1, 2, 10, &ticket[2]), NGX_OK);
    assert_int_equal(test_put(1, 3, 10, &ticket[3]), NGX_OK);

    assert_int_equal(ngx_lyftr_ring_withdraw(&owner, &ticket[0]), NGX_OK);
    assert_int_equal(ngx_lyftr_ring_begin(&leader), NGX_OK);
    assert_int_equal(ngx_lyftr_ring_withdraw(&owner, &ticket[3]), NGX_OK);
    assert_int_equal(test_take(1, &entry), NGX_OK);
    assert_int_equal(entry.since, 1);
    assert_int_equal(ngx_lyftr_ring_withdraw(&owner, &ticket[1]),
                     NGX_DECLINED);

    ngx_lyftr_ring_init(&leader, memory, TEST_SIZE);

    assert_int_equal(ngx_lyftr_ring_begin(&leader), NGX_OK);
    test_serve(1, 1, 10, NGX_LYFTR_ERR_NONE);
    test_serve(1, 2, 10, NGX_LYFTR_ERR_NONE);
    assert_int_equal(test_take(1, &entry), NGX_DONE);
    assert_true(ngx_lyftr_ring_end(&leader));
    assert_false(ngx_lyftr_ring_waits(&leader));

    assert_int_equal(ngx_lyftr_ring_look(&owner), NGX_OK);
    assert_int_equal(owner.done, ticket[3].end);
    test_learn(&ticket[1], 1, 1, NGX_LYFTR_ERR_NONE);
    test_learn(&ticket[2], 1, 2, NGX_LYFTR_ERR_NONE);
}


/* an owner is killed: what it left is served, and its successor goes on */

static void
test_owner_killed(void **state)
{
    ngx_lyftr_ticket_t  ticket;

    assert_int_equal(test_put(1, 1, 10, &ticket), NGX_OK);
    assert_int_equal(ngx_lyftr_ring_begin(&leader), NGX_OK);

    ngx_lyftr_ring_init(&owner, memory, TEST_SIZE);
    ngx_lyftr_ring_adopt(&owner);

    assert_int_equal(test_put(1, 2, 10, &ticket), NGX_OK);

    test_serve(1, 1, 10, NGX_LYFTR_ERR_NONE);
    assert_true(ngx_lyftr_ring_end(&leader));

    assert_int_equal(ngx_lyftr_ring_look(&owner), NGX_OK);
    assert_true(owner.done < ticket.end);

    assert_int_equal(ngx_lyftr_ring_begin(&leader), NGX_OK);
    test_serve(1, 2, 10, NGX_LYFTR_ERR_NONE);
    assert_true(ngx_lyftr_ring_end(&leader));

    assert_int_equal(ngx_lyftr_ring_look(&owner), NGX_OK);
    test_learn(&ticket, 1, 2, NGX_LYFTR_ERR_NONE);
}


/*
 * Whatever is written over it, nobody reads elsewhere, and nothing passes for
 * an answer; both sides go on when the owner has begun anew.
 */

static void
test_poisoned(void **state)
{
    u_char                  *p;
    ngx_int_t                rc;
    ngx_uint_t               i, n, k, refused, taken_in, written;
    ngx_lyftr_err_e          error;
    ngx_lyftr_write_t        write;
    ngx_lyftr_ticket_t       ticket[4];
    ngx_lyftr_message_t      m[4];
    ngx_lyftr_ring_entry_t   entry;

    refused = 0;
    taken_in = 0;
    write.messages = m;

    for (i = 0; i < TEST_ROUNDS; i++) {

        for (n = 0; n < 4 && test_put(1 + n % 2, n, 30, &ticket[n]) == NGX_OK;
             n++)
        {
            /* void */
        }

        /* a few bytes, a word, or all of it; of the words, or the entries */

        k = test_random(3) ? ngx_lyftr_ring_memory(TEST_SIZE)
                           : sizeof(ngx_lyftr_ring_words_t);

        for (written = test_random(4) ? 1 + test_random(8) : k; written;
             written--)
        {
            p = memory + test_random(k);
            *p = test_random(256);
        }

        if (ngx_lyftr_ring_begin(&leader) == NGX_OK) {

            while ((rc = test_take(3, &entry)) == NGX_OK) {
                taken_in++;

                assert_true(entry.write.n <= 3);

                for (k = 0; k < entry.write.n; k++) {
                    assert_true(taken[k].message_id.data >= copies);
                    assert_true(taken[k].message_id.data
                                + taken[k].message_id.len
                                <= copies + sizeof(copies));
                    assert_true(taken[k].instant.len
                                <= sizeof(taken[k].instant.data));
                }
            }

            refused += (rc == NGX_ERROR);
        }

        /* nothing was answered, and so there is no answer */

        if (ngx_lyftr_ring_look(&owner) == NGX_OK) {
            for (k = 0; k < n; k++) {
                write.n = 1 + k % 2;

                if ((int64_t) (ticket[k].end - owner.done) <= 0) {
                    assert_int_equal(ngx_lyftr_ring_answer(&owner, &ticket[k],
                                                           &write, &error),
                                     NGX_ERROR);
                }
            }
        }

        ngx_lyftr_ring_reset(&owner);

        if (i % 100 == 0) {
            assert_int_equal(test_put(1, i, 50, ticket), NGX_OK);
            assert_int_equal(ngx_lyftr_ring_begin(&leader), NGX_OK);
            test_serve(1, i, 50, NGX_LYFTR_ERR_NONE);
            assert_true(ngx_lyftr_ring_end(&leader));
            assert_int_equal(ngx_lyftr_ring_look(&owner), NGX_OK);
            test_learn(ticket, 1, i, NGX_LYFTR_ERR_NONE);
        }
    }

    assert_true(refused > TEST_ROUNDS / 10);
    assert_true(taken_in > TEST_ROUNDS / 10);
}


/* what is refused is left alone until the owner begins anew */

static void
test_refused(void **state)
{
    ngx_lyftr_ticket_t  ticket;

    assert_int_equal(test_put(1, 1, 10, &ticket), NGX_OK);
    assert_int_equal(ngx_lyftr_ring_begin(&leader), NGX_OK);
    test_serve(1, 1, 10, NGX_LYFTR_ERR_NONE);

    ngx_lyftr_ring_refuse(&leader);

    assert_false(ngx_lyftr_ring_waits(&leader));
    assert_false(ngx_lyftr_ring_end(&leader));
    assert_int_equal(ngx_lyftr_ring_look(&owner), NGX_ERROR);

    ngx_lyftr_ring_reset(&owner);

    assert_int_equal(test_put(1, 2, 10, &ticket), NGX_OK);
    assert_true(ngx_lyftr_ring_waits(&leader));
    assert_int_equal(ngx_lyftr_ring_begin(&leader), NGX_OK);
    test_serve(1, 2, 10, NGX_LYFTR_ERR_NONE);

    /* so does one who takes over what is refused */

    ngx_lyftr_ring_refuse(&leader);
    ngx_lyftr_ring_init(&owner, memory, TEST_SIZE);
    ngx_lyftr_ring_adopt(&owner);

    assert_int_equal(test_put(1, 3, 10, &ticket), NGX_OK);
    assert_int_equal(ngx_lyftr_ring_begin(&leader), NGX_OK);
    test_serve(1, 3, 10, NGX_LYFTR_ERR_NONE);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup_teardown(test_one, test_setup, test_teardown),
        cmocka_unit_test_setup_teardown(test_limits, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_many, test_setup, test_teardown),
        cmocka_unit_test_setup_teardown(test_leader_killed, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_withdrawn, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_owner_killed, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_poisoned, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_refused, test_setup,
                                        test_teardown)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

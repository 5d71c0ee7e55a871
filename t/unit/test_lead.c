/* The leader commits what is in the rings of all workers. */

#include "unit_lane.h"


#define TEST_EACH      2


static ngx_lyftr_share_t    test_share = { .workers = TEST_WORKERS,
                                           .size = TEST_RING };
static ngx_lyftr_ring_t     owners[TEST_WORKERS];
static ngx_lyftr_write_t    put[TEST_WORKERS][TEST_EACH];
static ngx_lyftr_message_t  mine[TEST_WORKERS][TEST_EACH];
static ngx_lyftr_ticket_t   ticket[TEST_WORKERS][TEST_EACH];
static u_char               ids[TEST_WORKERS][TEST_EACH];


/* each worker has some messages, and nothing else is pending */

static int
test_lead_setup(void **state)
{
    ngx_uint_t  i, n;

    (void) test_setup(NULL);

    ngx_queue_init(&channel.pending);
    channel.npending = 0;
    channel.type = NGX_LYFTR_CHANNEL_LEAD;
    channel.batch = 64;
    lane.writes = calloc(64, sizeof(ngx_lyftr_write_t *));
    store.share = &test_share;

    ngx_memzero(test_rings, sizeof(test_rings));
    ngx_memzero(test_woken, sizeof(test_woken));
    ngx_memzero(mine, sizeof(mine));

    test_led = NGX_OK;
    test_left = 0;
    test_slept = 0;

    for (i = 0; i < TEST_WORKERS; i++) {
        ngx_lyftr_share_ring(&test_share, i, &owners[i]);
        ngx_lyftr_ring_adopt(&owners[i]);

        for (n = 0; n < TEST_EACH; n++) {
            ids[i][n] = 'a' + 10 * i + n;
            mine[i][n].message_id.data = &ids[i][n];
            mine[i][n].message_id.len = 1;
            put[i][n].messages = &mine[i][n];
            put[i][n].n = 1;

            assert_int_equal(ngx_lyftr_ring_put(&owners[i], &put[i][n],
                                                ngx_lyftr_usec(), 0,
                                                &ticket[i][n]), NGX_OK);
        }
    }

    return 0;
}


static int
test_lead_teardown(void **state)
{
    free(lane.writes);

    if (channel.lead) {
        ngx_lyftr_lead_free(channel.lead);
    }

    return 0;
}


static ngx_int_t
test_told(ngx_uint_t i, ngx_uint_t n, ngx_lyftr_err_e *error)
{
    if (ngx_lyftr_ring_look(&owners[i]) != NGX_OK) {
        return NGX_ERROR;
    }

    if (owners[i].done < ticket[i][n].end) {
        return NGX_AGAIN;
    }

    return ngx_lyftr_ring_answer(&owners[i], &ticket[i][n], &put[i][n], error);
}


/* all that waits is one transaction, and each worker is woken once */

static void
test_together(void **state)
{
    ngx_uint_t       i, n;
    ngx_lyftr_err_e  error;

    test_known_id = &ids[1][0];

    test_thread();

    assert_int_equal(nwrites, 1);
    assert_int_equal(stored, TEST_WORKERS * TEST_EACH - 1);
    assert_int_equal(status.commits, 1);
    assert_int_equal(status.messages, TEST_WORKERS * TEST_EACH);

    for (i = 0; i < TEST_WORKERS; i++) {
        assert_int_equal(test_woken[i], 1);

        for (n = 0; n < TEST_EACH; n++) {
            assert_int_equal(test_told(i, n, &error), NGX_OK);
            assert_int_equal(mine[i][n].known, i == 1 && n == 0);
        }
    }

    /* then it rests for a while, and leaves */

    assert_true(test_slept > 0);
    assert_int_equal(test_left, 1);
    assert_int_equal(lane.due, 0);
    assert_int_equal(lane.n, 0);
    assert_true(ngx_queue_empty(&lane.batch));
}


/* a worker whose messages were left out comes first the next time */

static void
test_small_batches(void **state)
{
    ngx_uint_t       i, n;
    ngx_lyftr_err_e  error;

    channel.batch = TEST_EACH + 1;

    test_thread();

    assert_true(nwrites >= TEST_WORKERS * TEST_EACH / channel.batch);
    assert_int_equal(stored, TEST_WORKERS * TEST_EACH);

    for (i = 0; i < TEST_WORKERS; i++) {
        for (n = 0; n < TEST_EACH; n++) {
            assert_int_equal(test_told(i, n, &error), NGX_OK);
        }
    }
}


static void
test_another_leads(void **state)
{
    test_led = NGX_DECLINED;

    test_thread();

    assert_int_equal(nwrites, 0);
    assert_int_equal(nbegin, 0);
    assert_int_equal(test_left, 0);

    /* it is ready to, with a store that is there */

    assert_non_null(seat.conn);

    seat.conn = NULL;
    status.opened = 0;

    test_thread();

    assert_null(seat.conn);
}


/* of a lock that nobody gives away no answer tells; of what fails, each */

static void
test_failure(void **state)
{
    ngx_uint_t       i, n;
    ngx_lyftr_err_e  error;

    begin_at = 1;

    test_thread();

    assert_int_equal(lane.err.code, NGX_LYFTR_ERR_BUSY);
    assert_int_equal(test_left, 1);
    assert_int_equal(test_told(0, 0, &error), NGX_AGAIN);

    /* those who wait are told that nobody leads */

    for (i = 0; i < TEST_WORKERS; i++) {
        assert_int_equal(test_woken[i], 1);
    }

    begin_at = 0;
    commit_err = NGX_LYFTR_ERR_FULL;

    test_thread();

    assert_int_equal(lane.err.code, NGX_LYFTR_ERR_FULL);
    assert_int_equal(lane.failed, TEST_WORKERS * TEST_EACH);
    assert_int_equal(nclosed, 1);
    assert_int_equal(test_left, 2);
    assert_int_equal(stored, 0);
    assert_true(ngx_queue_empty(&lane.batch));

    for (i = 0; i < TEST_WORKERS; i++) {
        for (n = 0; n < TEST_EACH; n++) {
            assert_int_equal(test_told(i, n, &error), NGX_DECLINED);
            assert_int_equal(error, NGX_LYFTR_ERR_FULL);
        }
    }
}


static void
test_cannot_open(void **state)
{
    ngx_uint_t       i, n;
    ngx_lyftr_err_e  error;

    open_err = NGX_LYFTR_ERR_OPEN;

    test_thread();

    assert_int_equal(lane.err.code, NGX_LYFTR_ERR_OPEN);

    for (i = 0; i < TEST_WORKERS; i++) {
        for (n = 0; n < TEST_EACH; n++) {
            assert_int_equal(test_told(i, n, &error), NGX_DECLINED);
            assert_int_equal(error, NGX_LYFTR_ERR_OPEN);
        }
    }
}


/* a message that the store cannot hold fails alone */

static void
test_too_large(void **state)
{
    ngx_lyftr_err_e  error;

    test_large_id = &ids[0][1];

    test_thread();

    assert_int_equal(stored, TEST_WORKERS * TEST_EACH - 1);
    assert_int_equal(test_told(0, 0, &error), NGX_OK);
    assert_int_equal(test_told(0, 1, &error), NGX_DECLINED);
    assert_int_equal(error, NGX_LYFTR_ERR_DATA);
    assert_int_equal(test_told(2, 1, &error), NGX_OK);
}


/* what is damaged is left out, and the others are served */

static void
test_damaged(void **state)
{
    ngx_lyftr_err_e  error;

    owners[1].data[200] ^= 1;

    test_thread();

    assert_int_equal(test_told(0, 1, &error), NGX_OK);
    assert_int_equal(test_told(2, 1, &error), NGX_OK);
    assert_int_equal(test_told(1, 1, &error), NGX_ERROR);
    assert_true(test_woken[1] > 0);
    assert_true(stored < TEST_WORKERS * TEST_EACH);

    ngx_lyftr_ring_reset(&owners[1]);

    assert_int_equal(ngx_lyftr_ring_put(&owners[1], &put[1][0],
                                        ngx_lyftr_usec(), 0, &ticket[1][0]),
                     NGX_OK);

    test_thread();

    assert_int_equal(test_told(1, 0, &error), NGX_OK);
}


/* the event loop is asked if it is to go on, and nobody else leads meanwhile */

static void
test_spell(void **state)
{
    busy_msec = 300;

    test_thread();

    assert_int_equal(stored, TEST_WORKERS * TEST_EACH);
    assert_int_equal(lane.due, 1);
    assert_int_equal(test_left, 0);
    assert_int_equal(channel.leads, 1);

    lane.exiting = 1;

    test_thread();

    assert_int_equal(lane.due, 0);
    assert_int_equal(test_left, 1);
    assert_int_equal(channel.leads, 0);
}


/* what was withdrawn is stored by none, and waits no more */

static void
test_withdrawn(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < TEST_EACH; i++) {
        assert_int_equal(ngx_lyftr_ring_withdraw(&owners[0], &ticket[0][i]),
                         NGX_OK);
    }

    test_thread();

    assert_int_equal(stored, (TEST_WORKERS - 1) * TEST_EACH);
    assert_int_equal(test_left, 1);
    assert_false(ngx_lyftr_ring_waits(&owners[0]));
}


#define test_case(f)                                                          \
    cmocka_unit_test_setup_teardown(f, test_lead_setup, test_lead_teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        test_case(test_together),
        test_case(test_small_batches),
        test_case(test_another_leads),
        test_case(test_failure),
        test_case(test_cannot_open),
        test_case(test_too_large),
        test_case(test_damaged),
        test_case(test_withdrawn),
        test_case(test_spell)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

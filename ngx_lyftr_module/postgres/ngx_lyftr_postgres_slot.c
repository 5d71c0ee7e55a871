#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_lyftr_postgres.h>

#include <sys/random.h>


/*
 * Each connection that writes has a slot, a row that says which batch of its
 * own was committed last, and which places it got.  So a commit that was not
 * answered is known afterwards, also to another process.
 */

/* a batch as a word: its number in the lower bits, that of its slot above */
#define NGX_LYFTR_POSTGRES_BATCH   40

#define NGX_LYFTR_POSTGRES_MASK                                               \
    (((int64_t) 1 << NGX_LYFTR_POSTGRES_BATCH) - 1)

/* a message of it: its own number, fewer bits of the batch's, the slot's */
#define NGX_LYFTR_POSTGRES_NTH     16
#define NGX_LYFTR_POSTGRES_RECENT  24

/* numbers of slots, which are made up */
#define NGX_LYFTR_POSTGRES_IDS     0x7fffff

/* tries to find one that nobody has */
#define NGX_LYFTR_POSTGRES_TRIES   8


static ngx_int_t ngx_lyftr_postgres_slot_fence(ngx_lyftr_postgres_t *c,
    int64_t slot, int64_t batch, int64_t mask,
    ngx_lyftr_postgres_places_t *places, ngx_msec_t deadline,
    ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_postgres_slot_add(ngx_lyftr_postgres_t *c,
    ngx_msec_t deadline, ngx_lyftr_error_t *err);


uint64_t
ngx_lyftr_postgres_slot_word(int64_t slot, int64_t batch)
{
    return (uint64_t) (slot << NGX_LYFTR_POSTGRES_BATCH
                       | (batch & NGX_LYFTR_POSTGRES_MASK));
}


void
ngx_lyftr_postgres_slot_of(uint64_t word, int64_t *slot, int64_t *batch)
{
    *slot = (int64_t) (word >> NGX_LYFTR_POSTGRES_BATCH);
    *batch = (int64_t) word & NGX_LYFTR_POSTGRES_MASK;
}


uint64_t
ngx_lyftr_postgres_slot_note(int64_t slot, int64_t batch, ngx_uint_t nth)
{
    batch &= ((int64_t) 1 << NGX_LYFTR_POSTGRES_RECENT) - 1;

    return (uint64_t) (slot << (NGX_LYFTR_POSTGRES_RECENT
                                + NGX_LYFTR_POSTGRES_NTH)
                       | batch << NGX_LYFTR_POSTGRES_NTH
                       | (int64_t) nth);
}


ngx_int_t
ngx_lyftr_postgres_slot_place(ngx_lyftr_postgres_t *c, uint64_t note,
    ngx_lyftr_postgres_places_t *places, int64_t *place, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int64_t   mask, nth;
    uint64_t  of;

    mask = ((int64_t) 1 << NGX_LYFTR_POSTGRES_RECENT) - 1;
    nth = (int64_t) note & (((int64_t) 1 << NGX_LYFTR_POSTGRES_NTH) - 1);
    of = note >> NGX_LYFTR_POSTGRES_NTH;

    /* those of one batch come one after the other */

    if (of != places->of) {
        places->of = of;

        if (ngx_lyftr_postgres_slot_fence(c, (int64_t) (of
                                              >> NGX_LYFTR_POSTGRES_RECENT),
                                          (int64_t) of & mask, mask, places,
                                          deadline, err)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    *place = nth < places->k ? places->base + 1 + nth : 0;

    return NGX_OK;
}


ngx_int_t
ngx_lyftr_postgres_slot(ngx_lyftr_postgres_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    ngx_uint_t         i;
    ngx_atomic_uint_t  word;

    if (c->slot.id) {
        return NGX_OK;
    }

    for (i = 0; i < NGX_LYFTR_POSTGRES_SLOTS; i++) {
        word = __atomic_exchange_n(&c->dsn->slots[i], 0, __ATOMIC_SEQ_CST);

        if (word) {
            ngx_lyftr_postgres_slot_of(word, &c->slot.id, &c->slot.batch);
            return NGX_OK;
        }
    }

    return ngx_lyftr_postgres_slot_add(c, deadline, err);
}


static ngx_int_t
ngx_lyftr_postgres_slot_add(ngx_lyftr_postgres_t *c, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    int                         n;
    char                        host[256];
    int64_t                     id;
    uint32_t                    random;
    PGresult                   *res;
    ngx_uint_t                  i;
    ngx_lyftr_postgres_args_t   args;

    if (gethostname(host, sizeof(host)) == -1) {
        host[0] = '\0';
    }

    host[sizeof(host) - 1] = '\0';

    for (i = 0; i < NGX_LYFTR_POSTGRES_TRIES; i++) {

        if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
            break;
        }

        id = 1 + random % NGX_LYFTR_POSTGRES_IDS;

        args.n = 0;
        ngx_lyftr_postgres_arg_int(&args, id);
        ngx_lyftr_postgres_arg(&args, host, ngx_strlen(host));

        res = ngx_lyftr_postgres_aside(c, NGX_LYFTR_PG_SLOT_ADD, &args,
                                       deadline, err);
        if (res == NULL) {
            return NGX_ERROR;
        }

        n = PQntuples(res);

        PQclear(res);

        if (n == 1) {
            c->slot.id = id;
            c->slot.batch = 0;
            return NGX_OK;
        }
    }

    return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                   "there is no slot to be had");
}


void
ngx_lyftr_postgres_slot_lose(ngx_lyftr_postgres_t *c)
{
    c->slot.id = 0;
}


void
ngx_lyftr_postgres_slot_leave(ngx_lyftr_postgres_t *c)
{
    uint64_t    word;
    ngx_uint_t  i;

    if (c->slot.id == 0) {
        return;
    }

    word = ngx_lyftr_postgres_slot_word(c->slot.id, c->slot.batch);

    for (i = 0; i < NGX_LYFTR_POSTGRES_SLOTS; i++) {
        if (ngx_atomic_cmp_set(&c->dsn->slots[i], 0, word)) {
            break;
        }
    }

    c->slot.id = 0;
}


ngx_int_t
ngx_lyftr_postgres_slot_settle(ngx_lyftr_postgres_t *c,
    ngx_lyftr_postgres_places_t *places, ngx_msec_t deadline,
    ngx_lyftr_error_t *err)
{
    if (ngx_lyftr_postgres_slot_fence(c, c->slot.id, c->slot.batch,
                                      NGX_LYFTR_POSTGRES_MASK, places,
                                      deadline, err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!places->known) {
        return ngx_lyftr_postgres_fail(c->dsn, err, NGX_LYFTR_ERR_FAILED,
                                       "the slot of a batch is gone");
    }

    return places->k ? NGX_OK : NGX_DECLINED;
}


/* waits for a transaction that has the slot's row, and is its end */

static ngx_int_t
ngx_lyftr_postgres_slot_fence(ngx_lyftr_postgres_t *c, int64_t slot,
    int64_t batch, int64_t mask, ngx_lyftr_postgres_places_t *places,
    ngx_msec_t deadline, ngx_lyftr_error_t *err)
{
    PGresult                   *res;
    ngx_lyftr_postgres_args_t   args;

    places->known = 0;
    places->base = 0;
    places->k = 0;

    args.n = 0;
    ngx_lyftr_postgres_arg_int(&args, slot);
    ngx_lyftr_postgres_arg_int(&args, batch);
    ngx_lyftr_postgres_arg_int(&args, mask);

    res = ngx_lyftr_postgres_aside(c, NGX_LYFTR_PG_SLOT_FENCE, &args, deadline,
                                   err);
    if (res == NULL) {
        return NGX_ERROR;
    }

    PQclear(res);

    args.n = 1;

    res = ngx_lyftr_postgres_query(c, NGX_LYFTR_PG_SLOT_READ, &args, deadline,
                                   err);
    if (res == NULL) {
        return NGX_ERROR;
    }

    if (PQntuples(res) == 1
        && (ngx_lyftr_postgres_int(res, 0, 0) & mask) == batch)
    {
        places->known = 1;
        places->base = ngx_lyftr_postgres_int(res, 0, 1);
        places->k = ngx_lyftr_postgres_int(res, 0, 2);
    }

    PQclear(res);

    return NGX_OK;
}

/*
 * dudect: does comparing signatures tell where they differ?
 *
 * Two classes of forged signatures are compared with the right one, in random
 * order, and Welch's t-test says whether their times come from one mean.  The
 * slowest part of the samples is left out, as interrupts are no comparing,
 * for several parts, and the largest |t| counts.  The control is a loop that
 * stops at the first wrong byte.
 *
 * Prints {"ours":|t|,"control":|t|}; a constant time gives less than 4.5.
 */


#include <ngx_lyftr_hmac.h>

#include <math.h>
#include <sched.h>


#define DUDECT_SAMPLES  400000             /* of both classes of a pair */
#define DUDECT_WARM     20000              /* before them, not counted */
#define DUDECT_BATCH    32                 /* comparisons in a sample */
#define DUDECT_CLASSES  2
#define DUDECT_NONE     NGX_LYFTR_HMAC_LEN
#define DUDECT_T_MAX    1e6                /* two means without a variance */


typedef ngx_uint_t (*dudect_equal_pt)(u_char *a, u_char *b);


typedef struct {
    u_char      class;
    uint64_t    time;
} dudect_sample_t;


/* where the first wrong byte of a class stands */

typedef struct {
    ngx_uint_t  wrong[DUDECT_CLASSES];
} dudect_pair_t;


static void dudect_pin(void);
static double dudect_pair(dudect_pair_t *pair, dudect_equal_pt equal);
static void dudect_measure(u_char forged[][NGX_LYFTR_HMAC_LEN],
    dudect_equal_pt equal);
static uint64_t dudect_random(void);
static uint64_t dudect_now(void);
static int dudect_order(const void *a, const void *b);
static double dudect_welch(uint64_t limit);
static ngx_uint_t dudect_loop(u_char *a, u_char *b);


static dudect_pair_t  dudect_pairs[] = {
    { { 0, 31 } },
    { { 0, DUDECT_NONE } },
    { { 0, 15 } },
    { { 16, 31 } }
};


/* parts of the samples, in thousandths, from the fastest on */

static ngx_uint_t  dudect_kept[] = { 1000, 990, 950, 900, 800, 700, 600, 500 };


static u_char             right[NGX_LYFTR_HMAC_LEN];
static dudect_sample_t    samples[DUDECT_WARM + DUDECT_SAMPLES];
static uint64_t           sorted[DUDECT_SAMPLES];

/* a result that nobody reads is not computed */
static volatile ngx_uint_t  dudect_sink;


int
main(void)
{
    double      t, ours, control;
    ngx_uint_t  i;

    dudect_pin();

    ours = 0;

    for (i = 0; i < sizeof(dudect_pairs) / sizeof(dudect_pair_t); i++) {
        t = dudect_pair(&dudect_pairs[i], ngx_lyftr_hmac_equal);
        ours = fmax(ours, t);
    }

    control = dudect_pair(&dudect_pairs[0], dudect_loop);

    (void) printf("{\"ours\":%.2f,\"control\":%.2f}\n", ours, control);

    return 0;
}


/* cycle counters of two processors need not agree; without it, as it comes */

static void
dudect_pin(void)
{
    int        cpu;
    cpu_set_t  set;

    cpu = sched_getcpu();

    if (cpu >= 0) {
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        (void) sched_setaffinity(0, sizeof(set), &set);
    }
}


static double
dudect_pair(dudect_pair_t *pair, dudect_equal_pt equal)
{
    double      t;
    size_t      i;
    u_char      forged[DUDECT_CLASSES][NGX_LYFTR_HMAC_LEN];
    ngx_uint_t  n;

    for (i = 0; i < NGX_LYFTR_HMAC_LEN; i++) {
        right[i] = (u_char) dudect_random();

        for (n = 0; n < DUDECT_CLASSES; n++) {
            forged[n][i] = right[i] ^ (i == pair->wrong[n] ? 0x55 : 0);
        }
    }

    dudect_measure(forged, equal);

    for (i = 0; i < DUDECT_SAMPLES; i++) {
        sorted[i] = samples[DUDECT_WARM + i].time;
    }

    qsort(sorted, DUDECT_SAMPLES, sizeof(uint64_t), dudect_order);

    t = 0;

    for (n = 0; n < sizeof(dudect_kept) / sizeof(ngx_uint_t); n++) {
        i = DUDECT_SAMPLES / 1000 * dudect_kept[n] - 1;
        t = fmax(t, dudect_welch(sorted[i]));
    }

    return t;
}


/* both classes are read from one place, so that only their bytes differ */

static void
dudect_measure(u_char forged[][NGX_LYFTR_HMAC_LEN], dudect_equal_pt equal)
{
    size_t      i, k;
    u_char      class, sent[NGX_LYFTR_HMAC_LEN];
    uint64_t    start;
    ngx_uint_t  sum;

    for (i = 0; i < DUDECT_WARM + DUDECT_SAMPLES; i++) {
        class = dudect_random() % DUDECT_CLASSES;
        ngx_memcpy(sent, forged[class], NGX_LYFTR_HMAC_LEN);

        sum = 0;
        start = dudect_now();

        for (k = 0; k < DUDECT_BATCH; k++) {
            sum += equal(right, sent);
        }

        samples[i].time = dudect_now() - start;
        samples[i].class = class;

        dudect_sink = sum;
    }
}


/* xorshift64*, seeded from the clock; its upper half is the better one */

static uint64_t
dudect_random(void)
{
    static uint64_t  x;

    if (x == 0) {
        x = dudect_now() | 1;
    }

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;

    return (x * 2685821657736338717ULL) >> 32;
}


static uint64_t
dudect_now(void)
{
#if (__x86_64__)

    uint32_t  low, high;

    __asm__ volatile ("lfence; rdtsc; lfence"
                      : "=a" (low), "=d" (high) : : "memory");

    return (uint64_t) high << 32 | low;

#else

    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;

#endif
}


static int
dudect_order(const void *a, const void *b)
{
    uint64_t  x, y;

    x = *(const uint64_t *) a;
    y = *(const uint64_t *) b;

    return (x > y) - (x < y);
}


/* |t| of the samples up to the limit */

static double
dudect_welch(uint64_t limit)
{
    double            n[DUDECT_CLASSES] = { 0 }, mean[DUDECT_CLASSES] = { 0 };
    double            m2[DUDECT_CLASSES] = { 0 }, d, var;
    size_t            i;
    dudect_sample_t  *s;

    for (i = 0; i < DUDECT_SAMPLES; i++) {
        s = &samples[DUDECT_WARM + i];

        if (s->time > limit) {
            continue;
        }

        n[s->class]++;
        d = s->time - mean[s->class];
        mean[s->class] += d / n[s->class];
        m2[s->class] += d * (s->time - mean[s->class]);
    }

    /* no part of the slower class is left: larger parts have told */

    if (n[0] < 2 || n[1] < 2) {
        return 0;
    }

    var = m2[0] / (n[0] - 1) / n[0] + m2[1] / (n[1] - 1) / n[1];

    d = fabs(mean[0] - mean[1]);

    return d == 0 ? 0 : fmin(d / sqrt(var), DUDECT_T_MAX);
}


static ngx_uint_t __attribute__((noinline))
dudect_loop(u_char *a, u_char *b)
{
    size_t            i;
    volatile u_char  *x, *y;

    x = a;
    y = b;

    for (i = 0; i < NGX_LYFTR_HMAC_LEN; i++) {
        if (x[i] != y[i]) {
            return 0;
        }
    }

    return 1;
}

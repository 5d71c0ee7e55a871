
#include "load.h"

#include <math.h>
#include <netdb.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>


typedef enum {
    LOAD_STRING = 0,
    LOAD_NUMBER,
    LOAD_REAL
} load_option_e;


typedef struct {
    load_worker_t      worker;
    pthread_t          thread;
} load_thread_t;


static int load_options(load_options_t *o, int argc, char *const *argv);
static int load_check(load_options_t *o);
static int load_resolve(load_options_t *o);
static int load_usage(void);
static int load_init(load_options_t *o, load_thread_t *threads);
static void *load_thread(void *data);
static void load_schedule(load_worker_t *w, uint64_t start);
static void load_merge(load_worker_t *to, const load_worker_t *from);
static void load_report(const load_options_t *o, const load_worker_t *w,
    const struct rusage *ru);
static double load_percentile(const load_worker_t *w, uint64_t total,
    double part);
static double load_cpu(const struct timeval *from, const struct timeval *to);
static void load_signal(int signo);


volatile sig_atomic_t     load_stop;

static uint64_t           load_start;
static pthread_barrier_t  load_prepared;
static pthread_barrier_t  load_started;


static const struct {
    char                  letter;
    load_option_e         type;
    size_t                offset;
    const char           *help;
} load_option_table[] = {
    { 'H', LOAD_STRING, offsetof(load_options_t, host),
      "host     127.0.0.1" },
    { 'P', LOAD_STRING, offsetof(load_options_t, port),
      "port     8000" },
    { 'u', LOAD_STRING, offsetof(load_options_t, path),
      "path     /webhook" },
    { 'k', LOAD_STRING, offsetof(load_options_t, secret),
      "secret   testsecret" },
    { 'm', LOAD_STRING, offsetof(load_options_t, method),
      "method   post, or get" },
    { 'i', LOAD_STRING, offsetof(load_options_t, ids),
      "form     of message ids: uuid, wamid, or mixed" },
    { 'b', LOAD_STRING, offsetof(load_options_t, bodies),
      "bodies   valid, or refused with 422 for their ts" },
    { 'g', LOAD_STRING, offsetof(load_options_t, scheme),
      "scheme   of the signature: lyftr, or standard; hub with -w" },
    { 'w', LOAD_NUMBER, offsetof(load_options_t, items),
      "number   of messages in a delivery of WhatsApp; 0: one of our own" },
    { 'f', LOAD_STRING, offsetof(load_options_t, paths_name),
      "file     of paths to get in turn, one a line" },
    { 's', LOAD_NUMBER, offsetof(load_options_t, seed),
      "seed     the same seed makes the same ids; random" },
    { 'c', LOAD_NUMBER, offsetof(load_options_t, connections),
      "number   of connections; 64" },
    { 'j', LOAD_NUMBER, offsetof(load_options_t, threads),
      "number   of threads; 1" },
    { 'd', LOAD_REAL, offsetof(load_options_t, seconds),
      "seconds  to run; 10 unless -n is given" },
    { 'n', LOAD_NUMBER, offsetof(load_options_t, messages),
      "number   of requests, exact" },
    { 'r', LOAD_REAL, offsetof(load_options_t, rate),
      "rate     of an open loop, a second; closed loop" },
    { 'p', LOAD_NUMBER, offsetof(load_options_t, presigned),
      "number   of messages signed before the clock starts; 0" },
    { 't', LOAD_REAL, offsetof(load_options_t, patience),
      "seconds  after which a message is given up; 30" },
    { 'a', LOAD_STRING, offsetof(load_options_t, acks_name),
      "file     to append the acknowledged bodies to, one a line" }
};

#define LOAD_OPTIONS                                                          \
    (sizeof(load_option_table) / sizeof(load_option_table[0]))


static const struct {
    const char           *name;
    double                part;
} load_percentiles[] = {
    { "p50", 0.5 },
    { "p90", 0.9 },
    { "p99", 0.99 },
    { "p99.9", 0.999 }
};


int
main(int argc, char *const *argv)
{
    uint64_t         i;
    struct rusage    ru[2];
    load_thread_t   *threads;
    load_options_t   o;

    memset(&o, 0, sizeof(load_options_t));

    o.host = "127.0.0.1";
    o.port = "8000";
    o.path = "/webhook";
    o.secret = "testsecret";
    o.method = "post";
    o.ids = "uuid";
    o.bodies = "valid";
    o.scheme = "lyftr";
    o.connections = 64;
    o.threads = 1;
    o.patience = 30;

    if (getrandom(&o.seed, sizeof(o.seed), 0) != sizeof(o.seed)) {
        return 1;
    }

    if (load_options(&o, argc, argv) == -1) {
        return load_usage();
    }

    if (load_resolve(&o) == -1) {
        return 1;
    }

    threads = calloc(o.threads, sizeof(load_thread_t));

    if (threads == NULL || load_init(&o, threads) == -1) {
        fprintf(stderr, "load: could not start\n");
        return 1;
    }

    pthread_barrier_wait(&load_prepared);

    getrusage(RUSAGE_SELF, &ru[0]);
    load_start = load_now();

    pthread_barrier_wait(&load_started);

    for (i = 0; i < o.threads; i++) {
        pthread_join(threads[i].thread, NULL);

        if (i) {
            load_merge(&threads[0].worker, &threads[i].worker);
        }
    }

    getrusage(RUSAGE_SELF, &ru[1]);

    if (o.acks && fclose(o.acks) != 0) {
        perror("load: could not write the acknowledged messages");
        return 1;
    }

    load_report(&o, &threads[0].worker, ru);

    return 0;
}


static int
load_options(load_options_t *o, int argc, char *const *argv)
{
    int     c;
    char    letters[2 * LOAD_OPTIONS + 1], *p, *end;
    void   *value;
    size_t  i;

    p = letters;

    for (i = 0; i < LOAD_OPTIONS; i++) {
        *p++ = load_option_table[i].letter;
        *p++ = ':';
    }

    *p = '\0';

    while ((c = getopt(argc, argv, letters)) != -1) {

        for (i = 0; i < LOAD_OPTIONS; i++) {
            if (load_option_table[i].letter == c) {
                break;
            }
        }

        if (i == LOAD_OPTIONS) {
            return -1;
        }

        value = (char *) o + load_option_table[i].offset;
        end = "";

        switch (load_option_table[i].type) {

        case LOAD_STRING:
            *(const char **) value = optarg;
            break;

        case LOAD_NUMBER:
            *(uint64_t *) value = strtoull(optarg, &end, 10);
            break;

        case LOAD_REAL:
            *(double *) value = strtod(optarg, &end);
            break;
        }

        if (*end != '\0') {
            return -1;
        }
    }

    o->get = strcmp(o->method, "get") == 0;
    o->uuid = strcmp(o->ids, "wamid") != 0;
    o->wamid = strcmp(o->ids, "uuid") != 0;
    o->standard = strcmp(o->scheme, "standard") == 0;
    o->refused = strcmp(o->bodies, "refused") == 0;
    o->expected = o->refused ? 422 : 200;

    if (o->get && optind < argc) {
        o->path = argv[optind++];
    }

    return optind == argc ? load_check(o) : -1;
}


static int
load_check(load_options_t *o)
{
    if ((!o->get && strcmp(o->method, "post") != 0)
        || (o->uuid && o->wamid && strcmp(o->ids, "mixed") != 0)
        || (!o->refused && strcmp(o->bodies, "valid") != 0)
        || (!o->standard && strcmp(o->scheme, "lyftr") != 0)
        || o->threads == 0
        || o->items > LOAD_ITEMS_MAX
        || o->connections < o->threads
        || o->rate < 0
        || o->seconds < 0
        || o->patience <= 0)
    {
        return -1;
    }

    o->timeout = o->patience * LOAD_SECOND;

    if (o->messages == 0 && o->seconds == 0) {
        o->seconds = 10;
    }

    if (o->acks_name == NULL) {
        return 0;
    }

    o->acks = fopen(o->acks_name, "a");

    if (o->acks == NULL) {
        perror(o->acks_name);
        return -1;
    }

    setvbuf(o->acks, NULL, _IOFBF, 1 << 20);

    return 0;
}


static int
load_resolve(load_options_t *o)
{
    int               rc;
    struct addrinfo   hints, *res;

    memset(&hints, 0, sizeof(hints));
    hints.ai_socktype = SOCK_STREAM;

    rc = getaddrinfo(o->host, o->port, &hints, &res);

    if (rc != 0) {
        fprintf(stderr, "load: %s:%s: %s\n", o->host, o->port,
                gai_strerror(rc));
        return -1;
    }

    memcpy(&o->addr, res->ai_addr, res->ai_addrlen);
    o->addrlen = res->ai_addrlen;

    freeaddrinfo(res);

    return 0;
}


static int
load_usage(void)
{
    size_t  i;

    fprintf(stderr, "usage: load [options]               signed POSTs\n"
                    "       load [options] -m get path   GETs of the path\n");

    for (i = 0; i < LOAD_OPTIONS; i++) {
        fprintf(stderr, "  -%c %s\n", load_option_table[i].letter,
                load_option_table[i].help);
    }

    return 2;
}


static int
load_init(load_options_t *o, load_thread_t *threads)
{
    uint64_t        i;
    load_worker_t  *w;

    signal(SIGINT, load_signal);
    signal(SIGTERM, load_signal);

    /* epoll's timeouts are late by the slack, 50 us by default */

    prctl(PR_SET_TIMERSLACK, 1);

    if (pthread_barrier_init(&load_prepared, NULL, o->threads + 1) != 0
        || pthread_barrier_init(&load_started, NULL, o->threads + 1) != 0)
    {
        return -1;
    }

    for (i = 0; i < o->threads; i++) {
        w = &threads[i].worker;

        w->options = o;
        w->index = i;
        w->conns_n = o->connections / o->threads
                     + (i < o->connections % o->threads);

        if (load_source_init(&w->source, o, i) == -1
            || pthread_create(&threads[i].thread, NULL, load_thread, w) != 0)
        {
            return -1;
        }
    }

    return 0;
}


static void *
load_thread(void *data)
{
    load_worker_t *w = data;

    uint64_t               n;
    const load_options_t  *o;

    o = w->options;
    n = o->presigned / o->threads + (w->index < o->presigned % o->threads);

    if (load_source_presign(&w->source, o->get ? 0 : n) == -1) {
        fprintf(stderr, "load: no memory for presigned messages\n");
        exit(1);
    }

    if (load_worker_connect(w) == -1) {
        fprintf(stderr, "load: could not connect to %s:%s\n",
                o->host, o->port);
        exit(1);
    }

    pthread_barrier_wait(&load_prepared);
    pthread_barrier_wait(&load_started);

    load_schedule(w, load_start);
    load_worker_run(w);

    return NULL;
}


static void
load_schedule(load_worker_t *w, uint64_t start)
{
    uint64_t               n;
    const load_options_t  *o;

    o = w->options;
    n = o->messages;

    w->start = start;
    w->end = UINT64_MAX;
    w->limit = UINT64_MAX;

    if (o->rate && o->seconds && (n == 0 || n > o->rate * o->seconds)) {
        n = o->rate * o->seconds;
    }

    if (n) {
        w->limit = n / o->threads + (w->index < n % o->threads);
    }

    if (o->rate) {

        /* all that is due is sent, unless the server hopelessly lags */

        w->end = start + (uint64_t) (n / o->rate * LOAD_SECOND) + o->timeout;

    } else if (o->seconds) {
        w->end = start + (uint64_t) (o->seconds * LOAD_SECOND);
    }
}


static void
load_merge(load_worker_t *to, const load_worker_t *from)
{
    int  i;

    to->limit += from->limit;
    to->issued += from->issued;
    to->errors += from->errors;
    to->failed += from->failed;
    to->retries += from->retries;
    to->reconnects += from->reconnects;
    to->source.live += from->source.live;

    if (from->finish > to->finish) {
        to->finish = from->finish;
    }

    if (from->latency_max > to->latency_max) {
        to->latency_max = from->latency_max;
    }

    for (i = 0; i < LOAD_STATUSES; i++) {
        to->statuses[i] += from->statuses[i];
    }

    for (i = 0; i < LOAD_BUCKETS; i++) {
        to->buckets[i] += from->buckets[i];
    }
}


static void
load_report(const load_options_t *o, const load_worker_t *w,
    const struct rusage *ru)
{
    double       seconds;
    size_t       i;
    uint64_t     acked;
    const char  *comma;

    acked = w->statuses[o->expected];
    seconds = (double) (w->finish - w->start) / LOAD_SECOND;

    printf("{\"requests\":%lu,\"acknowledged\":%lu,\"statuses\":{",
           w->issued, acked);

    comma = "";

    for (i = 0; i < LOAD_STATUSES; i++) {
        if (i != o->expected && w->statuses[i]) {
            printf("%s\"%zu\":%lu", comma, i, w->statuses[i]);
            comma = ",";
        }
    }

    printf("},\"errors\":%lu,\"failed\":%lu,\"retries\":%lu,"
           "\"reconnects\":%lu,\"unsent\":%lu,\"seconds\":%.3f,"
           "\"rate\":%.1f,\"latency_ms\":{",
           w->errors, w->failed, w->retries, w->reconnects,
           o->rate ? w->limit - w->issued : 0,
           seconds, seconds > 0 ? acked / seconds : 0);

    for (i = 0; i < sizeof(load_percentiles) / sizeof(load_percentiles[0]);
         i++)
    {
        printf("\"%s\":%.3f,", load_percentiles[i].name,
               load_percentile(w, acked, load_percentiles[i].part));
    }

    printf("\"max\":%.3f},\"signed_live\":%lu,\"cpu_user\":%.3f,"
           "\"cpu_system\":%.3f,\"seed\":%lu}\n",
           (double) w->latency_max / LOAD_MSEC, w->source.live,
           load_cpu(&ru[0].ru_utime, &ru[1].ru_utime),
           load_cpu(&ru[0].ru_stime, &ru[1].ru_stime), o->seed);
}


/* buckets are exact below 128 ns and within 0.8 % above */

void
load_latency_record(load_worker_t *w, uint64_t value)
{
    int  shift;

    if (value > w->latency_max) {
        w->latency_max = value;
    }

    if (value < LOAD_SUB) {
        w->buckets[value]++;
        return;
    }

    shift = 63 - LOAD_SUB_BITS - __builtin_clzll(value);

    w->buckets[shift * LOAD_SUB + (value >> shift)]++;
}


static double
load_percentile(const load_worker_t *w, uint64_t total, double part)
{
    int       i, shift;
    uint64_t  seen, rank, value;

    seen = 0;
    rank = ceil(total * part);

    for (i = 0; i < LOAD_BUCKETS; i++) {
        seen += w->buckets[i];

        if (seen >= rank) {
            break;
        }
    }

    value = i;

    if (i >= 2 * LOAD_SUB) {
        shift = i / LOAD_SUB - 1;
        value = ((uint64_t) (i % LOAD_SUB + LOAD_SUB + 1) << shift) - 1;
    }

    if (value > w->latency_max) {
        value = w->latency_max;
    }

    return (double) value / LOAD_MSEC;
}


static double
load_cpu(const struct timeval *from, const struct timeval *to)
{
    return to->tv_sec - from->tv_sec + (to->tv_usec - from->tv_usec) * 1e-6;
}


static void
load_signal(int signo)
{
    load_stop = 1;
}


#include "load.h"

#include <math.h>

#include <openssl/core_names.h>
#include <openssl/params.h>


#define LOAD_SENDERS    20000
#define LOAD_TEXT_MIN   20
#define LOAD_TEXT_MAX   200

#define load_put(p, s)                                                        \
    (memcpy(p, s, sizeof(s) - 1), (p) + sizeof(s) - 1)


static u_char *load_body(load_source_t *s, u_char *p);
static u_char *load_put_uuid(load_source_t *s, u_char *p);
static u_char *load_put_wamid(load_source_t *s, u_char *p,
    const u_char *sender);
static u_char *load_put_ts(load_source_t *s, u_char *p);
static u_char *load_put_text(load_source_t *s, u_char *p);
static u_char *load_put_digits(u_char *p, uint64_t value, int n);
static u_char *load_put_hex(u_char *p, uint64_t value, int n);
static uint64_t load_random(load_source_t *s);


static const char  *load_words[] = {
    "hello", "order", "please", "thanks", "delivery", "tomorrow", "invoice",
    "payment", "yes", "no", "when", "where", "address", "number", "call",
    "me", "back", "today", "the", "and", "with", "for", "my", "your", "is",
    "not", "working", "again", "price", "of", "two", "boxes", "at", "noon",
    "ticket", "refund", "status", "ok", "sure", "morning", "evening", "team",
    "help", "need", "account", "password", "reset", "link", "sent", "photo",
    "meeting", "late", "sorry", "great", "100%", "a_b", "école", "Straße",
    "niño", "नमस्ते", "धन्यवाद", "привет", "こんにちは", "👍"
};

#define LOAD_WORDS  (sizeof(load_words) / sizeof(load_words[0]))

static uint8_t  load_word_len[LOAD_WORDS];


int
load_source_init(load_source_t *s, const load_options_t *o, unsigned index)
{
    int         n;
    size_t      i;
    EVP_MAC    *mac;
    OSSL_PARAM  params[2];

    s->options = o;
    s->day = -1;

    s->random = o->seed;
    s->random = load_random(s) + index * 0xd1342543de82ef95ULL;

    if (o->get) {
        n = snprintf((char *) s->head, LOAD_HEAD_SIZE,
                     "GET %s HTTP/1.1\r\nHost: %s:%s\r\n\r\n",
                     o->path, o->host, o->port);

        s->head_len = n;

        return n < LOAD_HEAD_SIZE ? 0 : -1;
    }

    /* every body has three digits of length: one head serves them all */

    n = snprintf((char *) s->head, LOAD_HEAD_SIZE,
                 "POST %s HTTP/1.1\r\nHost: %s:%s\r\n"
                 "Content-Type: application/json\r\n"
                 "Content-Length: 000\r\nX-Signature: %064d\r\n\r\n",
                 o->path, o->host, o->port, 0);

    if (n >= LOAD_HEAD_SIZE) {
        return -1;
    }

    s->head_len = n;
    s->signature_at = n - 4 - 64;
    s->length_at = s->signature_at - (sizeof("\r\nX-Signature: ") - 1) - 3;

    for (i = 0; i < LOAD_WORDS; i++) {
        load_word_len[i] = strlen(load_words[i]);
    }

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                                 (char *) "SHA256", 0);
    params[1] = OSSL_PARAM_construct_end();

    mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (mac == NULL) {
        return -1;
    }

    s->mac = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);

    if (s->mac == NULL
        || EVP_MAC_init(s->mac, (const u_char *) o->secret,
                        strlen(o->secret), params) != 1)
    {
        return -1;
    }

    return 0;
}


int
load_source_presign(load_source_t *s, uint64_t n)
{
    u_char    *p;
    uint64_t   i;

    if (n == 0) {
        return 0;
    }

    s->ready = calloc(n, sizeof(load_message_t));
    p = malloc(n * LOAD_MESSAGE_SIZE);

    if (s->ready == NULL || p == NULL) {
        return -1;
    }

    /* packed: what the messages do not need is never touched */

    for (i = 0; i < n; i++) {
        load_source_next(s, &s->ready[i], p);
        p += s->ready[i].len + 1;
    }

    s->ready_n = n;
    s->live = 0;

    return 0;
}


void
load_source_next(load_source_t *s, load_message_t *m, u_char *buf)
{
    size_t   len, i;
    u_char  *p, *body, digest[EVP_MAX_MD_SIZE];

    if (s->options->get) {
        m->data = s->head;
        m->len = s->head_len;
        m->body = s->head_len;
        return;
    }

    if (s->ready_next < s->ready_n) {
        *m = s->ready[s->ready_next++];
        return;
    }

    s->live++;

    memcpy(buf, s->head, s->head_len);

    body = buf + s->head_len;
    p = load_body(s, body);
    len = p - body;
    *p = '\n';

    load_put_digits(buf + s->length_at, len, 3);

    if (EVP_MAC_init(s->mac, NULL, 0, NULL) != 1
        || EVP_MAC_update(s->mac, body, len) != 1
        || EVP_MAC_final(s->mac, digest, &i, sizeof(digest)) != 1)
    {
        fprintf(stderr, "load: signing failed\n");
        exit(1);
    }

    p = buf + s->signature_at;

    for (i = 0; i < 32; i++) {
        p = load_put_hex(p, digest[i], 2);
    }

    m->data = buf;
    m->len = s->head_len + len;
    m->body = s->head_len;
}


static u_char *
load_body(load_source_t *s, u_char *p)
{
    double    u;
    u_char    sender[12];
    uint64_t  rank;

    /*
     * The logarithm of the rank is uniform, which is close to Zipf's law;
     * ranks are spread over the numbers so that the busy are no neighbours.
     */

    u = (load_random(s) >> 11) * 0x1p-53;
    rank = (uint64_t) exp(u * log(LOAD_SENDERS + 1)) - 1;
    rank = rank * 7919 % LOAD_SENDERS;

    memcpy(sender, "91", 2);
    load_put_digits(sender + 2, 7000000000 + rank * 149993, 10);

    p = load_put(p, "{\"message_id\":\"");
    p = s->options->wamid ? load_put_wamid(s, p, sender)
                          : load_put_uuid(s, p);

    p = load_put(p, "\",\"from\":\"+");
    memcpy(p, sender, 12);
    p += 12;

    p = load_put(p, "\",\"to\":\"+1415555010");
    *p++ = '0' + load_random(s) % 8;

    p = load_put(p, "\",\"ts\":\"");
    p = load_put_ts(s, p);

    p = load_put(p, "\",\"text\":\"");
    p = load_put_text(s, p);

    return load_put(p, "\"}");
}


static u_char *
load_put_uuid(load_source_t *s, u_char *p)
{
    uint64_t  a, b;

    a = load_random(s);
    b = load_random(s);

    p = load_put_hex(p, a >> 32, 8);
    *p++ = '-';
    p = load_put_hex(p, a >> 16, 4);
    p = load_put(p, "-4");
    p = load_put_hex(p, a, 3);
    *p++ = '-';
    *p++ = "89ab"[b >> 62];
    p = load_put_hex(p, b >> 48, 3);
    *p++ = '-';

    return load_put_hex(p, b, 12);
}


static u_char *
load_put_wamid(load_source_t *s, u_char *p, const u_char *sender)
{
    int      i;
    u_char  *hex, unique[18];

    hex = load_put_hex(unique, load_random(s), 16);
    load_put_hex(hex, load_random(s), 2);

    for (i = 0; i < 18; i++) {
        if (unique[i] >= 'a') {
            unique[i] -= 'a' - 'A';
        }
    }

    p = load_put(p, "wamid.HBgM");
    p += EVP_EncodeBlock(p, sender, 12);
    p = load_put(p, "FQIAEhgS");
    p += EVP_EncodeBlock(p, unique, 18);

    return load_put(p, "AA==");
}


static u_char *
load_put_ts(load_source_t *s, u_char *p)
{
    time_t           day, sec;
    uint64_t         r, ms, delay;
    struct tm        tm;
    struct timespec  now;

    clock_gettime(CLOCK_REALTIME, &now);

    /* one in sixteen comes up to ten minutes late, the others two seconds */

    r = load_random(s);
    delay = (r & 15) == 0 ? (r >> 8) % 600000 : (r >> 8) % 2000;
    ms = now.tv_sec * 1000ULL + now.tv_nsec / 1000000 - delay;

    sec = ms / 1000;
    day = sec / 86400;

    if (day != s->day) {
        gmtime_r(&sec, &tm);
        strftime(s->date, sizeof(s->date), "%Y-%m-%dT", &tm);
        s->day = day;
    }

    memcpy(p, s->date, 11);
    p += 11;

    p = load_put_digits(p, sec % 86400 / 3600, 2);
    *p++ = ':';
    p = load_put_digits(p, sec % 3600 / 60, 2);
    *p++ = ':';
    p = load_put_digits(p, sec % 60, 2);

    if (r & 16) {
        *p++ = '.';
        p = load_put_digits(p, ms % 1000, 3);
    }

    *p++ = 'Z';

    return p;
}


static u_char *
load_put_text(load_source_t *s, u_char *p)
{
    size_t    len;
    u_char   *last;
    uint64_t  r, word;

    r = load_random(s);
    last = p + LOAD_TEXT_MIN + r % (LOAD_TEXT_MAX - LOAD_TEXT_MIN + 1);

    for (r = 0; /* void */ ; r >>= 8) {

        if (r == 0) {
            r = load_random(s);
        }

        word = (r & 0xff) % LOAD_WORDS;
        len = load_word_len[word];

        if (len + 1 > (size_t) (last - p)) {
            break;
        }

        memcpy(p, load_words[word], len);
        p += len;
        *p++ = ' ';
    }

    memset(p, '.', last - p);

    return last;
}


static u_char *
load_put_digits(u_char *p, uint64_t value, int n)
{
    int  i;

    for (i = n - 1; i >= 0; i--) {
        p[i] = '0' + value % 10;
        value /= 10;
    }

    return p + n;
}


static u_char *
load_put_hex(u_char *p, uint64_t value, int n)
{
    int  i;

    for (i = n - 1; i >= 0; i--) {
        p[i] = "0123456789abcdef"[value & 15];
        value >>= 4;
    }

    return p + n;
}


static uint64_t
load_random(load_source_t *s)
{
    uint64_t  z;

    /* splitmix64 */

    s->random += 0x9e3779b97f4a7c15ULL;

    z = s->random;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;

    return z ^ (z >> 31);
}


#include "load.h"

#include <math.h>


#define LOAD_SENDERS    20000
#define LOAD_TEXT_MIN   20
#define LOAD_TEXT_MAX   200

#define load_put(p, s)                                                        \
    (memcpy(p, s, sizeof(s) - 1), (p) + sizeof(s) - 1)


static u_char *load_put_uuid(load_source_t *s, u_char *p);
static u_char *load_put_wamid(load_source_t *s, u_char *p,
    const u_char *sender);
static u_char *load_put_ts(load_source_t *s, u_char *p);
static u_char *load_put_text(load_source_t *s, u_char *p);
static const char *load_mark(load_source_t *s);
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

/* words by which texts are searched; one row of so many has one of them */

static const struct {
    const char           *word;
    uint64_t              rows;
} load_marks[] = {
    { "xylophone", 1000000 },
    { "Évora", 1000 },
    { "voucher", 10 }
};

#define LOAD_MARKS  (sizeof(load_marks) / sizeof(load_marks[0]))


static uint8_t  load_word_len[LOAD_WORDS];


void
load_body_init(load_source_t *s, const load_options_t *o, unsigned index)
{
    size_t  i;

    s->options = o;
    s->day = -1;

    s->random = o->seed;
    s->random = load_random(s) + index * 0xd1342543de82ef95ULL;

    for (i = 0; i < LOAD_WORDS; i++) {
        load_word_len[i] = strlen(load_words[i]);
    }
}


/* nothing in a value needs an escape: it is also what is stored */

u_char *
load_body(load_source_t *s, u_char *p, load_value_t *values)
{
    double          u;
    u_char          sender[12];
    uint64_t        rank;
    load_value_t    unused[LOAD_VALUES];

    /*
     * The logarithm of the rank is uniform, which is close to Zipf's law;
     * ranks are spread over the numbers so that the busy are no neighbours.
     */

    u = (load_random(s) >> 11) * 0x1p-53;
    rank = (uint64_t) exp(u * log(LOAD_SENDERS + 1)) - 1;
    rank = rank * 7919 % LOAD_SENDERS;

    memcpy(sender, "91", 2);
    load_put_digits(sender + 2, 7000000000 + rank * 149993, 10);

    if (values == NULL) {
        values = unused;
    }

    p = load_put(p, "{\"message_id\":\"");
    values[LOAD_ID].data = p;
    p = s->options->wamid && (!s->options->uuid || load_random(s) & 1)
        ? load_put_wamid(s, p, sender) : load_put_uuid(s, p);
    values[LOAD_ID].len = p - values[LOAD_ID].data;

    p = load_put(p, "\",\"from\":\"");
    values[LOAD_FROM].data = p;
    *p++ = '+';
    memcpy(p, sender, 12);
    p += 12;
    values[LOAD_FROM].len = p - values[LOAD_FROM].data;

    p = load_put(p, "\",\"to\":\"");
    values[LOAD_TO].data = p;
    p = load_put(p, "+1415555010");
    *p++ = '0' + load_random(s) % 8;
    values[LOAD_TO].len = p - values[LOAD_TO].data;

    p = load_put(p, "\",\"ts\":\"");
    values[LOAD_TS].data = p;
    p = load_put_ts(s, p);
    values[LOAD_TS].len = p - values[LOAD_TS].data;

    p = load_put(p, "\",\"text\":\"");
    values[LOAD_TEXT].data = p;
    p = load_put_text(s, p);
    values[LOAD_TEXT].len = p - values[LOAD_TEXT].data;

    return load_put(p, "\"}");
}


/* as Meta's are, with one contact */

u_char *
load_whatsapp(load_source_t *s, u_char *p)
{
    time_t    now;
    u_char    sender[12];
    uint64_t  i;

    memcpy(sender, "91", 2);
    load_put_digits(sender + 2, 7000000000 + load_random(s) % LOAD_SENDERS
                                             * 149993, 10);
    now = time(NULL);

    p = load_put(p, "{\"object\":\"whatsapp_business_account\",\"entry\":[{"
                    "\"id\":\"102290129340398\",\"changes\":[{\"value\":{"
                    "\"messaging_product\":\"whatsapp\",\"metadata\":{"
                    "\"display_phone_number\":\"14155550100\","
                    "\"phone_number_id\":\"106540352242922\"},\"contacts\":[{"
                    "\"profile\":{\"name\":\"Asha Rao\"},\"wa_id\":\"");
    memcpy(p, sender, 12);
    p = load_put(p + 12, "\"}],\"messages\":[");

    for (i = 0; i < s->options->items; i++) {

        if (i) {
            *p++ = ',';
        }

        p = load_put(p, "{\"from\":\"");
        memcpy(p, sender, 12);
        p = load_put(p + 12, "\",\"id\":\"");
        p = load_put_wamid(s, p, sender);
        p = load_put(p, "\",\"timestamp\":\"");
        p = load_put_digits(p, now, 10);
        p = load_put(p, "\",\"text\":{\"body\":\"");
        p = load_put_text(s, p);
        p = load_put(p, "\"},\"type\":\"text\"}");
    }

    return load_put(p, "]},\"field\":\"messages\"}]}]}");
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

    if ((r & 48) == 0) {
        *p++ = '.';
        p = load_put_digits(p, ms % 1000, 3);
    }

    *p++ = s->options->refused ? 'z' : 'Z';

    return p;
}


static u_char *
load_put_text(load_source_t *s, u_char *p)
{
    size_t       len;
    u_char      *last;
    uint64_t     r, word;
    const char  *mark;

    r = load_random(s);
    last = p + LOAD_TEXT_MIN + r % (LOAD_TEXT_MAX - LOAD_TEXT_MIN + 1);

    mark = load_mark(s);

    if (mark) {
        len = strlen(mark);
        memcpy(p, mark, len);
        p += len;
        *p++ = ' ';
    }

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


static const char *
load_mark(load_source_t *s)
{
    size_t    i;
    uint64_t  r;

    r = load_random(s);

    for (i = 0; i < LOAD_MARKS; i++) {
        if (r % load_marks[i].rows == 0) {
            return load_marks[i].word;
        }
    }

    return NULL;
}


u_char *
load_put_digits(u_char *p, uint64_t value, int n)
{
    int  i;

    for (i = n - 1; i >= 0; i--) {
        p[i] = '0' + value % 10;
        value /= 10;
    }

    return p + n;
}


u_char *
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


#include "load.h"

#include <openssl/core_names.h>
#include <openssl/params.h>


/* as many characters as a digest has in hex, and in base64 */
#define LOAD_HEX     64
#define LOAD_BASE64  44


static int load_source_head(load_source_t *s);
static int load_source_paths(load_source_t *s, unsigned index);
static int load_source_path(load_source_t *s, const char *path);


int
load_source_init(load_source_t *s, const load_options_t *o, unsigned index)
{
    EVP_MAC     *mac;
    OSSL_PARAM   params[2];

    s->options = o;

    if (o->get) {
        return load_source_paths(s, index);
    }

    load_body_init(s, o, index);

    if (load_source_head(s) == -1) {
        return -1;
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


/* every length has so many digits: one head serves all bodies */

static int
load_source_head(load_source_t *s)
{
    int                    n, len;
    char                   header[LOAD_HEAD_SIZE];
    long                   now;
    const load_options_t  *o;

    o = s->options;
    now = time(NULL);
    len = o->standard ? LOAD_BASE64 : LOAD_HEX;

    if (o->standard) {
        s->signs_len = snprintf(s->signs, LOAD_SIGNS_SIZE, "msg_load.%ld.",
                                now);
        snprintf(header, LOAD_HEAD_SIZE,
                 "webhook-id: msg_load\r\nwebhook-timestamp: %ld\r\n"
                 "webhook-signature: v1,", now);

    } else {
        snprintf(header, LOAD_HEAD_SIZE, "%s", o->items
                 ? "X-Hub-Signature-256: sha256=" : "X-Signature: ");
    }

    s->digits = o->items ? 5 : 3;

    n = snprintf((char *) s->head, LOAD_HEAD_SIZE,
                 "POST %s HTTP/1.1\r\nHost: %s:%s\r\n"
                 "Content-Type: application/json\r\n"
                 "Content-Length: %0*d\r\n%s%0*d\r\n\r\n",
                 o->path, o->host, o->port, s->digits, 0, header, len, 0);

    if (n >= LOAD_HEAD_SIZE) {
        return -1;
    }

    s->head_len = n;
    s->signature_at = n - 4 - len;
    s->length_at = s->signature_at - strlen(header) - 2 - s->digits;

    return 0;
}


static int
load_source_paths(load_source_t *s, unsigned index)
{
    FILE  *file;
    char   line[LOAD_HEAD_SIZE];

    if (s->options->paths_name == NULL) {
        return load_source_path(s, s->options->path);
    }

    file = fopen(s->options->paths_name, "r");
    if (file == NULL) {
        return -1;
    }

    while (fgets(line, LOAD_HEAD_SIZE, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';

        if (load_source_path(s, line) == -1) {
            fclose(file);
            return -1;
        }
    }

    fclose(file);

    s->ready_next = index;

    return s->ready_n ? 0 : -1;
}


static int
load_source_path(load_source_t *s, const char *path)
{
    int              n;
    load_message_t  *m;

    m = realloc(s->ready, (s->ready_n + 1) * sizeof(load_message_t));
    if (m == NULL) {
        return -1;
    }

    s->ready = m;
    m += s->ready_n++;

    m->data = malloc(LOAD_MESSAGE_SIZE);
    if (m->data == NULL) {
        return -1;
    }

    n = snprintf((char *) m->data, LOAD_MESSAGE_SIZE,
                 "GET %s HTTP/1.1\r\nHost: %s:%s\r\n\r\n",
                 path, s->options->host, s->options->port);

    m->len = n;
    m->body = n;

    return n < LOAD_MESSAGE_SIZE ? 0 : -1;
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
    p = malloc(n * LOAD_MESSAGE_SIZE * (s->options->items + 1));

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
    u_char  *p, *body, digest[EVP_MAX_MD_SIZE], base64[LOAD_BASE64 + 1];

    if (s->options->get) {
        *m = s->ready[s->ready_next++ % s->ready_n];
        return;
    }

    if (s->ready_next < s->ready_n) {
        *m = s->ready[s->ready_next++];
        return;
    }

    s->live++;

    memcpy(buf, s->head, s->head_len);

    body = buf + s->head_len;
    p = s->options->items ? load_whatsapp(s, body) : load_body(s, body, NULL);
    len = p - body;
    *p = '\n';

    load_put_digits(buf + s->length_at, len, s->digits);

    if (EVP_MAC_init(s->mac, NULL, 0, NULL) != 1
        || EVP_MAC_update(s->mac, (u_char *) s->signs, s->signs_len) != 1
        || EVP_MAC_update(s->mac, body, len) != 1
        || EVP_MAC_final(s->mac, digest, &i, sizeof(digest)) != 1)
    {
        fprintf(stderr, "load: signing failed\n");
        exit(1);
    }

    p = buf + s->signature_at;

    if (s->options->standard) {
        EVP_EncodeBlock(base64, digest, 32);
        memcpy(p, base64, LOAD_BASE64);

    } else {
        for (i = 0; i < 32; i++) {
            p = load_put_hex(p, digest[i], 2);
        }
    }

    m->data = buf;
    m->len = s->head_len + len;
    m->body = s->head_len;
}

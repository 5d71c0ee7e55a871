
#include "load.h"

#include <ctype.h>


#define load_header(p, len, name)                                             \
    (len >= sizeof(name) - 1                                                  \
     && strncasecmp((char *) p, name, sizeof(name) - 1) == 0)


static int load_parse_head(load_response_t *r);
static void load_parse_chunk(load_response_t *r, u_char ch);


/* 1: a whole answer, 0: more to come, -1: not HTTP */

int
load_response_parse(load_response_t *r)
{
    int     rc;
    size_t  i, n;

    if (r->state == LOAD_HEAD) {
        rc = load_parse_head(r);

        if (rc <= 0) {
            return rc;
        }
    }

    for (i = 0; i < r->have; i += n) {

        switch (r->state) {

        case LOAD_BODY:
        case LOAD_CHUNK_DATA:
            n = r->have - i < r->left ? r->have - i : r->left;
            r->left -= n;

            if (n == 0) {
                return -1;
            }

            if (r->left == 0 && r->state == LOAD_CHUNK_DATA) {
                r->state = LOAD_CHUNK_SIZE;
            }

            break;

        case LOAD_CHUNK_SIZE:
        case LOAD_CHUNK_TRAILER:
            n = 1;
            load_parse_chunk(r, r->buf[i]);
            break;

        default: /* LOAD_BODY_TO_EOF */
            n = r->have - i;
        }
    }

    r->have = 0;

    return r->state == LOAD_BODY && r->left == 0;
}


static int
load_parse_head(load_response_t *r)
{
    size_t   len;
    u_char  *p, *end, *lf;

    p = r->buf;
    end = memmem(p, r->have, "\r\n\r\n", 4);

    if (end == NULL) {
        return r->have < LOAD_RECV_SIZE ? 0 : -1;
    }

    end += 4;

    if (end - p < 16 || memcmp(p, "HTTP/1.", 7) != 0) {
        return -1;
    }

    r->status = strtoul((char *) p + 9, NULL, 10);
    r->close = p[7] == '0';
    r->state = LOAD_BODY_TO_EOF;

    if (r->status < 200 || r->status >= LOAD_STATUSES) {
        return -1;
    }

    if (r->status == 204 || r->status == 304) {
        r->state = LOAD_BODY;
        r->left = 0;
    }

    for ( /* void */ ; p < end; p = lf + 1) {
        lf = memchr(p, '\n', end - p);
        len = lf - p;

        if (load_header(p, len, "Content-Length:")) {
            r->left = strtoull((char *) p + 15, NULL, 10);
            r->state = LOAD_BODY;

        } else if (load_header(p, len, "Transfer-Encoding: chunked")) {
            r->left = 0;
            r->state = LOAD_CHUNK_SIZE;

        } else if (load_header(p, len, "Connection: close")) {
            r->close = 1;
        }
    }

    r->have -= end - r->buf;
    memmove(r->buf, end, r->have);

    return 1;
}


static void
load_parse_chunk(load_response_t *r, u_char ch)
{
    if (r->state == LOAD_CHUNK_TRAILER) {

        if (ch == '\n' && r->line == 0) {
            r->state = LOAD_BODY;
            r->left = 0;
        }

        r->line = ch == '\n' ? 0 : r->line + (ch != '\r');

        return;
    }

    /* chunk extensions are not expected */

    if (isxdigit(ch)) {
        r->left *= 16;
        r->left += isdigit(ch) ? ch - '0' : tolower(ch) - 'a' + 10;
        return;
    }

    if (ch != '\n') {
        return;
    }

    if (r->left == 0) {
        r->state = LOAD_CHUNK_TRAILER;
        r->line = 0;
        return;
    }

    r->state = LOAD_CHUNK_DATA;
    r->left += sizeof("\r\n") - 1;
}

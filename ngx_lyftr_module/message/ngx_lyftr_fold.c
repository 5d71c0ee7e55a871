
#include <ngx_lyftr_text.h>
#include <utf8proc.h>


/* code points that one code point folds to, and their bytes */
#define NGX_LYFTR_FOLD_CHARS       4
#define NGX_LYFTR_FOLD_BYTES       (NGX_LYFTR_FOLD_CHARS * 4)

#define NGX_LYFTR_FOLD_WINDOW      65536
#define NGX_LYFTR_FOLD_PIECE       512

#define NGX_LYFTR_FOLD_ONES        0x0101010101010101ULL
#define NGX_LYFTR_FOLD_HIGH_BITS   0x8080808080808080ULL


static u_char *ngx_lyftr_fold_piece(u_char *p, u_char *end, u_char **s,
    u_char *last);
static ngx_inline uint64_t ngx_lyftr_fold_word(uint64_t word);
static size_t ngx_lyftr_fold_char(u_char *buf, u_char **s, u_char *last);
static ngx_uint_t ngx_lyftr_fold_match(u_char *p, size_t n, u_char *s,
    u_char *last, u_char *needle, size_t len);


size_t
ngx_lyftr_fold(u_char *buf, u_char *s, size_t len)
{
    u_char  *p, *last, piece[NGX_LYFTR_FOLD_PIECE];
    size_t   n, size;

    n = 0;
    last = s + len;

    while (s < last) {
        p = ngx_lyftr_fold_piece(piece, piece + NGX_LYFTR_FOLD_PIECE, &s,
                                 last);
        size = p - piece;

        if (buf) {
            ngx_memcpy(buf + n, piece, size);
        }

        n += size;
    }

    return n;
}


ngx_uint_t
ngx_lyftr_fold_contains(u_char *s, size_t len, u_char *needle,
    size_t needle_len)
{
    u_char  *p, *end, *last, window[NGX_LYFTR_FOLD_WINDOW];
    size_t   head;

    if (needle_len == 0) {
        return 1;
    }

    /* the head is searched for, what is behind it is compared */

    head = ngx_min(needle_len, NGX_LYFTR_FOLD_WINDOW / 2);

    end = window;
    last = s + len;

    for ( ;; ) {
        end = ngx_lyftr_fold_piece(end, window + NGX_LYFTR_FOLD_WINDOW, &s,
                                   last);
        p = window;

        for ( ;; ) {
            p = memmem(p, end - p, needle, head);

            if (p == NULL) {
                break;
            }

            if (ngx_lyftr_fold_match(p + head, end - p - head, s, last,
                                     needle + head, needle_len - head))
            {
                return 1;
            }

            p++;
        }

        if (s == last) {
            return 0;
        }

        /* a match may begin in this window and end in the next one */

        ngx_memmove(window, end - (head - 1), head - 1);
        end = window + head - 1;
    }
}


/* folds until the buffer cannot take another code point */

static u_char *
ngx_lyftr_fold_piece(u_char *p, u_char *end, u_char **s, u_char *last)
{
    u_char    *src;
    uint64_t   word;

    src = *s;

    while (src < last && end - p >= NGX_LYFTR_FOLD_BYTES) {

        if (last - src >= (ssize_t) sizeof(uint64_t)) {
            ngx_memcpy(&word, src, sizeof(uint64_t));

            if ((word & NGX_LYFTR_FOLD_HIGH_BITS) == 0) {
                word = ngx_lyftr_fold_word(word);
                p = ngx_cpymem(p, &word, sizeof(uint64_t));
                src += sizeof(uint64_t);
                continue;
            }
        }

        if (*src < 0x80) {
            *p++ = ngx_tolower(*src);
            src++;
            continue;
        }

        p += ngx_lyftr_fold_char(p, &src, last);
    }

    *s = src;

    return p;
}


/* eight ASCII characters at once: the high bit marks a capital letter */

static ngx_inline uint64_t
ngx_lyftr_fold_word(uint64_t word)
{
    uint64_t  from_a, after_z;

    from_a = word + (0x80 - 'A') * NGX_LYFTR_FOLD_ONES;
    after_z = word + (0x7f - 'Z') * NGX_LYFTR_FOLD_ONES;

    return word | (((from_a ^ after_z) & NGX_LYFTR_FOLD_HIGH_BITS) >> 2);
}


static size_t
ngx_lyftr_fold_char(u_char *buf, u_char **s, u_char *last)
{
    u_char             *start, *p;
    uint32_t            u;
    utf8proc_int32_t    dst[NGX_LYFTR_FOLD_CHARS];
    utf8proc_ssize_t    i, n;

    start = *s;
    u = ngx_lyftr_utf8_decode(s, last);

    if (u != NGX_LYFTR_UTF8_INVALID) {
        n = utf8proc_decompose_char(u, dst, NGX_LYFTR_FOLD_CHARS,
                                    UTF8PROC_CASEFOLD, NULL);

        if (n > 0 && n <= NGX_LYFTR_FOLD_CHARS) {
            p = buf;

            for (i = 0; i < n; i++) {
                p += utf8proc_encode_char(dst[i], p);
            }

            return p - buf;
        }
    }

    ngx_memcpy(buf, start, *s - start);

    return *s - start;
}


/* folded p, n and what s still has, compared to the rest of the needle */

static ngx_uint_t
ngx_lyftr_fold_match(u_char *p, size_t n, u_char *s, u_char *last,
    u_char *needle, size_t len)
{
    u_char  piece[NGX_LYFTR_FOLD_PIECE];

    for ( ;; ) {
        n = ngx_min(n, len);

        if (ngx_memcmp(p, needle, n) != 0) {
            return 0;
        }

        needle += n;
        len -= n;

        if (len == 0) {
            return 1;
        }

        if (s == last) {
            return 0;
        }

        p = piece;
        n = ngx_lyftr_fold_piece(piece, piece + NGX_LYFTR_FOLD_PIECE, &s,
                                 last)
            - piece;
    }
}

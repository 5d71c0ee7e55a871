#include <ngx_lyftr_export.h>


static ngx_uint_t ngx_lyftr_export_quality(ngx_str_t *accept, ngx_str_t *type);


static ngx_str_t  ngx_lyftr_export_ndjson = ngx_string("application/x-ndjson");
static ngx_str_t  ngx_lyftr_export_csv = ngx_string("text/csv");

static ngx_str_t  ngx_lyftr_export_csv_type =
    ngx_string("text/csv; charset=utf-8; header=present");


/* what is named by name counts, and NDJSON where both are as good */

void
ngx_lyftr_export_accept(ngx_http_request_t *r, ngx_lyftr_query_t *query)
{
    ngx_str_t         accept;
    ngx_uint_t        i, csv, json, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (query->format != NGX_LYFTR_FORMAT_ANY) {
        return;
    }

    query->format = NGX_LYFTR_FORMAT_NDJSON;

    csv = 0;
    json = 0;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len != sizeof("accept") - 1
            || ngx_strncasecmp(h[i].key.data, (u_char *) "accept", 6) != 0)
        {
            continue;
        }

        accept = h[i].value;

        n = ngx_lyftr_export_quality(&accept, &ngx_lyftr_export_ndjson);
        json = ngx_max(json, n);

        n = ngx_lyftr_export_quality(&accept, &ngx_lyftr_export_csv);
        csv = ngx_max(csv, n);
    }

    if (csv > json) {
        query->format = NGX_LYFTR_FORMAT_CSV;
    }
}


/* in thousandths; 0 if it is not named */

static ngx_uint_t
ngx_lyftr_export_quality(ngx_str_t *accept, ngx_str_t *type)
{
    u_char      *p, *end, *q, *last;
    ngx_uint_t   n, digit, best;

    best = 0;
    last = accept->data + accept->len;

    for (p = accept->data; p < last; p = end + 1) {
        end = ngx_strlchr(p, last, ',');

        if (end == NULL) {
            end = last;
        }

        while (p < end && (*p == ' ' || *p == '\t')) {
            p++;
        }

        if ((size_t) (end - p) < type->len
            || ngx_strncasecmp(p, type->data, type->len) != 0)
        {
            continue;
        }

        q = p + type->len;

        if (q < end && *q != ';' && *q != ' ' && *q != '\t') {
            continue;
        }

        n = 1000;

        for ( /* void */ ; q + 2 < end; q++) {

            if ((q[0] != ';' && q[0] != ' ' && q[0] != '\t')
                || (q[1] | 0x20) != 'q' || q[2] != '=')
            {
                continue;
            }

            q += 3;
            n = (q < end && *q == '1') ? 1000 : 0;

            if (n == 0 && q + 1 < end && q[1] == '.') {
                for (q += 2, digit = 100; q < end && digit; q++, digit /= 10) {

                    if (*q < '0' || *q > '9') {
                        break;
                    }

                    n += digit * (*q - '0');
                }
            }

            break;
        }

        best = ngx_max(best, n);
    }

    return best;
}


ngx_int_t
ngx_lyftr_export_head(ngx_http_request_t *r, ngx_lyftr_export_t *e)
{
    u_char                *p, c;
    ngx_tm_t               tm;
    ngx_str_t              key, value, *name;
    ngx_uint_t             i, csv;
    ngx_lyftr_ctx_t       *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);
    csv = (e->query.format != NGX_LYFTR_FORMAT_NDJSON);

    ngx_str_set(&key, "Cache-Control");
    ngx_str_set(&value, "no-store");

    if (ngx_lyftr_http_header(r, &key, &value) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_set(&key, "Vary");
    ngx_str_set(&value, "Accept");

    if (ngx_lyftr_http_header(r, &key, &value) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (e->follow.newest) {
        value.data = ngx_pnalloc(r->pool, NGX_LYFTR_CURSOR_LEN);
        if (value.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        value.len = ngx_lyftr_cursor_write(value.data, &e->follow.place)
                    - value.data;

        ngx_str_set(&key, "Last-Event-ID");

        if (ngx_lyftr_http_header(r, &key, &value) == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    name = &ctx->endpoint->store->name;

    value.data = ngx_pnalloc(r->pool, name->len
                 + sizeof("attachment; filename=\"-YYYY-MM-DD.ndjson\""));
    if (value.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(value.data, "attachment; filename=\"",
                   sizeof("attachment; filename=\"") - 1);

    for (i = 0; i < name->len; i++) {
        c = name->data[i];

        *p++ = ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
                || (c >= 'a' && c <= 'z') || c == '.' || c == '_' || c == '-')
               ? c : '_';
    }

    ngx_gmtime(ngx_time(), &tm);

    p = ngx_sprintf(p, "-%04d-%02d-%02d.%s\"", tm.ngx_tm_year, tm.ngx_tm_mon,
                    tm.ngx_tm_mday, csv ? "csv" : "ndjson");

    value.len = p - value.data;

    ngx_str_set(&key, "Content-Disposition");

    if (ngx_lyftr_http_header(r, &key, &value) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_type = csv ? ngx_lyftr_export_csv_type
                                      : ngx_lyftr_export_ndjson;
    r->headers_out.content_type_len = csv ? ngx_lyftr_export_csv.len
                                          : ngx_lyftr_export_ndjson.len;
    r->headers_out.content_type_lowcase = NULL;

    r->disable_not_modified = 1;

    return ngx_http_send_header(r);
}

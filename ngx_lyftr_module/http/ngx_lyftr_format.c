#include <ngx_lyftr_delivery.h>


static ngx_int_t ngx_lyftr_format_handler(ngx_http_request_t *r);


static ngx_lyftr_format_t  *ngx_lyftr_formats[] = {
    &ngx_lyftr_webhook_format,
    &ngx_lyftr_items_format,
    NULL
};


ngx_lyftr_kind_t  ngx_lyftr_format_items = {
    NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST, ngx_string("GET, HEAD, POST"),
    ngx_lyftr_format_handler, 1, 1, 0, 0, 0, NULL
};


static ngx_int_t
ngx_lyftr_format_handler(ngx_http_request_t *r)
{
    return (r->method == NGX_HTTP_POST) ? ngx_lyftr_webhook_handler(r)
                                        : ngx_lyftr_handshake_handler(r);
}


char *
ngx_lyftr_format_params(ngx_conf_t *cf, ngx_lyftr_endpoint_t *endpoint,
    ngx_array_t *stores)
{
    ngx_str_t           *value, s;
    ngx_uint_t           i;
    ngx_lyftr_format_t **format;

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "format=", 7) == 0
            && endpoint->format == NULL)
        {
            s.data = value[i].data + 7;
            s.len = value[i].len - 7;

            for (format = ngx_lyftr_formats; *format; format++) {

                if ((*format)->name.len == s.len
                    && ngx_strncmp((*format)->name.data, s.data, s.len) == 0)
                {
                    endpoint->format = *format;
                }
            }

            if (endpoint->format == NULL) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "unknown format \"%V\"", &s);
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "statuses=", 9) == 0
            && value[i].len > 9
            && endpoint->statuses == NULL)
        {
            s.data = value[i].data + 9;
            s.len = value[i].len - 9;

            endpoint->statuses = ngx_lyftr_store_add(cf, stores, &s);
            if (endpoint->statuses == NULL) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                           &value[i]);
        return NGX_CONF_ERROR;
    }

    if (endpoint->format == NULL) {
        endpoint->format = &ngx_lyftr_webhook_format;
    }

    if (endpoint->format == &ngx_lyftr_items_format) {
        endpoint->kind = &ngx_lyftr_format_items;

    } else if (endpoint->statuses) {
        return "has \"statuses=\" without \"format=whatsapp\"";
    }

    if (endpoint->statuses == endpoint->store) {
        return "has one store for messages and statuses";
    }

    return NGX_CONF_OK;
}

#include <ngx_lyftr_delivery.h>


ngx_str_t  ngx_lyftr_json_type = ngx_string("application/json");

/* nginx has no text for this status */

static ngx_str_t  ngx_lyftr_unprocessable =
    ngx_string("422 Unprocessable Entity");


/*
 * The chain may hold buffers in memory, in a file, and, at the end of a chunked
 * body, one that is neither.
 */

ngx_int_t
ngx_lyftr_http_body(ngx_http_request_t *r, ngx_lyftr_body_t *body)
{
    off_t         len;
    ngx_chain_t  *cl;

    ngx_memzero(body, sizeof(ngx_lyftr_body_t));

    if (r->request_body == NULL) {
        return NGX_OK;
    }

    len = 0;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        len += ngx_buf_size(cl->buf);
    }

    if (len == 0) {
        return NGX_OK;
    }

    cl = r->request_body->bufs;

    body->text.len = len;

    if (cl->next == NULL && ngx_buf_in_memory(cl->buf)) {
        body->text.data = cl->buf->pos;
        return NGX_OK;
    }

    body->chain = cl;
    body->text.data = ngx_pnalloc(r->pool, len);

    return body->text.data ? NGX_OK : NGX_ERROR;
}


/* nothing else touches the buffers meanwhile, nor their file */

ngx_int_t
ngx_lyftr_http_collect(ngx_lyftr_body_t *body)
{
    u_char       *p;
    size_t        size;
    ssize_t       n;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    p = body->text.data;

    for (cl = body->chain; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_special(b)) {
            continue;
        }

        size = (size_t) ngx_buf_size(b);

        if (size == 0) {
            continue;
        }

        if (ngx_buf_in_memory(b)) {
            p = ngx_cpymem(p, b->pos, size);
            continue;
        }

        n = pread(b->file->fd, p, size, b->file_pos);

        if (n != (ssize_t) size) {
            body->err = (n == -1) ? ngx_errno : 0;
            return NGX_ERROR;
        }

        p += n;
    }

    return NGX_OK;
}


/* without memory nginx answers with the same status, but for a 200 */

ngx_int_t
ngx_lyftr_http_send(ngx_http_request_t *r, ngx_uint_t status, ngx_str_t *body)
{
    ngx_buf_t    *b;
    ngx_chain_t   out;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return (status == NGX_HTTP_OK) ? NGX_HTTP_INTERNAL_SERVER_ERROR
                                       : (ngx_int_t) status;
    }

    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_lyftr_http_send_chain(r, status, &ngx_lyftr_json_type, &out,
                                     body->len);
}


/* the chain ends with its last buffer, which is marked as such here */

ngx_int_t
ngx_lyftr_http_send_chain(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_chain_t *out, off_t len)
{
    ngx_int_t     rc;
    ngx_chain_t  *cl;

    for (cl = out; cl->next; cl = cl->next) { /* void */ }

    cl->buf->last_buf = (r == r->main);
    cl->buf->last_in_chain = 1;

    r->headers_out.status = status;
    r->headers_out.content_length_n = len;
    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;

    /* an answer tells what was done, whatever it was conditional on */

    r->disable_not_modified = 1;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, out);
}


ngx_int_t
ngx_lyftr_http_error(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *detail)
{
    u_char           *p;
    ngx_str_t         body, key;
    ngx_lyftr_ctx_t  *ctx;

    if (status == NGX_HTTP_NOT_ALLOWED) {
        ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

        ngx_str_set(&key, "Allow");

        if (ngx_lyftr_http_header(r, &key, &ctx->endpoint->kind->allow)
            == NULL)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    p = ngx_pnalloc(r->pool, sizeof("{\"detail\":}") - 1
                    + ngx_lyftr_json_string_len(detail->data, detail->len));
    if (p == NULL) {
        return status;
    }

    body.data = p;

    p = ngx_cpymem(p, "{\"detail\":", sizeof("{\"detail\":") - 1);
    p = ngx_lyftr_json_string(p, detail->data, detail->len);
    *p++ = '}';

    body.len = p - body.data;

    return ngx_lyftr_http_send(r, status, &body);
}


ngx_int_t
ngx_lyftr_http_unavailable(ngx_http_request_t *r, ngx_str_t *detail,
    time_t retry)
{
    ngx_str_t  key, value;

    ngx_str_set(&key, "Retry-After");

    value.data = ngx_pnalloc(r->pool, NGX_TIME_T_LEN);
    if (value.data == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    value.len = ngx_sprintf(value.data, "%T", retry) - value.data;

    if (ngx_lyftr_http_header(r, &key, &value) == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    return ngx_lyftr_http_error(r, NGX_HTTP_SERVICE_UNAVAILABLE, detail);
}


ngx_int_t
ngx_lyftr_http_faults(ngx_http_request_t *r, ngx_lyftr_faults_t *faults)
{
    ngx_str_t  body;

    body.data = ngx_pnalloc(r->pool, ngx_lyftr_fault_len(faults));
    if (body.data == NULL) {
        return NGX_LYFTR_UNPROCESSABLE;
    }

    body.len = ngx_lyftr_fault_write(body.data, faults) - body.data;

    r->headers_out.status_line = ngx_lyftr_unprocessable;

    return ngx_lyftr_http_send(r, NGX_LYFTR_UNPROCESSABLE, &body);
}


ngx_table_elt_t *
ngx_lyftr_http_header(ngx_http_request_t *r, ngx_str_t *key, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }

    h->hash = 1;
    h->key = *key;
    h->value = *value;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return h;
}


ngx_int_t
ngx_lyftr_http_wait(ngx_http_request_t *r, ngx_uint_t blocked, off_t *taken,
    ngx_http_event_handler_pt writer)
{
    ngx_event_t               *wev;
    ngx_connection_t          *c;
    ngx_http_core_loc_conf_t  *clcf;

    c = r->connection;
    wev = c->write;

    if (!blocked) {
        if (wev->timer_set) {
            ngx_del_timer(wev);
        }

        r->write_event_handler = ngx_http_request_empty_handler;

        return NGX_OK;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    r->write_event_handler = writer;

    if (c->sent != *taken && !wev->delayed && wev->timer_set) {
        ngx_del_timer(wev);
    }

    *taken = c->sent;

    if (!wev->delayed && !wev->timer_set) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    return ngx_handle_write_event(wev, clcf->send_lowat) == NGX_OK
           ? NGX_AGAIN : NGX_ERROR;
}

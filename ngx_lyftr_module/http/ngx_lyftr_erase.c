#include <ngx_lyftr_request.h>


/*
 * DELETE with exactly one of id, from and to: what else is given, and is known
 * or not, is refused, for whoever wants less than that to be erased must not
 * get it all.
 */

static ngx_str_t  ngx_lyftr_erase_names[] = {
    ngx_string("id"),
    ngx_string("from"),
    ngx_string("to"),
    ngx_null_string
};


static ngx_int_t ngx_lyftr_erase_parse(ngx_http_request_t *r,
    ngx_lyftr_erase_t *erase, ngx_lyftr_faults_t *faults);
static void ngx_lyftr_erase_arg(ngx_lyftr_erase_t *erase, ngx_str_t *name,
    ngx_str_t *value, ngx_lyftr_faults_t *faults);
static ngx_int_t ngx_lyftr_erase_run(ngx_lyftr_op_t *op,
    ngx_lyftr_backend_t *backend, void *conn, ngx_lyftr_error_t *err);
static ngx_int_t ngx_lyftr_erase_answer(ngx_http_request_t *r);


ngx_int_t
ngx_lyftr_erase_handler(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_lyftr_erase_t   *erase;
    ngx_lyftr_faults_t   faults;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    erase = ngx_pcalloc(r->pool, sizeof(ngx_lyftr_erase_t));
    if (erase == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_lyftr_erase_parse(r, erase, &faults) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (faults.n) {
        return ngx_lyftr_http_faults(r, &faults);
    }

    return ngx_lyftr_request_submit(r, NGX_LYFTR_CHANNEL_ERASE,
                                    ngx_lyftr_erase_run, NULL, erase,
                                    ngx_lyftr_erase_answer);
}


/* a list, whose location erases, too */

ngx_int_t
ngx_lyftr_erase_or_list(ngx_http_request_t *r)
{
    return r->method == NGX_HTTP_DELETE ? ngx_lyftr_erase_handler(r)
                                        : ngx_lyftr_messages_handler(r);
}


static ngx_int_t
ngx_lyftr_erase_parse(ngx_http_request_t *r, ngx_lyftr_erase_t *erase,
    ngx_lyftr_faults_t *faults)
{
    u_char     *p, *last, *end, *eq, *arena;
    ngx_str_t   name, value;

    ngx_str_set(&faults->in, "query");
    faults->n = 0;

    arena = ngx_pnalloc(r->pool, r->args.len + 1);
    if (arena == NULL) {
        return NGX_ERROR;
    }

    last = r->args.data + r->args.len;

    for (p = r->args.data; p < last; p = end + 1) {
        end = ngx_lyftr_find(p, last, '&');
        eq = ngx_lyftr_find(p, end, '=');

        if (p == end) {
            continue;
        }

        name.data = arena;
        arena = ngx_lyftr_query_decode(arena, p, eq, 1);
        name.len = arena - name.data;

        value.data = arena;
        arena = ngx_lyftr_query_decode(arena, ngx_min(eq + 1, end), end, 0);
        value.len = arena - value.data;

        ngx_lyftr_erase_arg(erase, &name, &value, faults);
    }

    if (erase->value.data == NULL && faults->n == 0) {
        (void) ngx_lyftr_fault_add(faults, NGX_LYFTR_MISSING,
                                   &ngx_lyftr_erase_names[1]);
    }

    return NGX_OK;
}


static void
ngx_lyftr_erase_arg(ngx_lyftr_erase_t *erase, ngx_str_t *name,
    ngx_str_t *value, ngx_lyftr_faults_t *faults)
{
    ngx_uint_t          i;
    ngx_lyftr_fault_e   type;
    ngx_lyftr_fault_t  *fault;

    for (i = 0; ngx_lyftr_erase_names[i].len; i++) {
        if (ngx_lyftr_erase_names[i].len == name->len
            && ngx_memcmp(ngx_lyftr_erase_names[i].data, name->data, name->len)
               == 0)
        {
            break;
        }
    }

    if (ngx_lyftr_erase_names[i].len == 0 || erase->value.data) {
        type = NGX_LYFTR_EXTRA;

    } else if (value->len == 0) {
        type = NGX_LYFTR_STRING_TOO_SHORT;

    } else if (memchr(value->data, '\0', value->len)
               || ngx_lyftr_utf8_valid(value->data, value->len) != value->len)
    {
        type = NGX_LYFTR_STRING_UNICODE;

    } else {
        erase->kind = i;
        erase->value = *value;
        return;
    }

    fault = ngx_lyftr_fault_add(faults, type, name);

    if (fault) {
        fault->input_type = NGX_LYFTR_INPUT_STRING;
        fault->input = *value;
    }
}


/* in a pool thread */

static ngx_int_t
ngx_lyftr_erase_run(ngx_lyftr_op_t *op, ngx_lyftr_backend_t *backend,
    void *conn, ngx_lyftr_error_t *err)
{
    return backend->erase(conn, op->data, op->deadline, err);
}


static ngx_int_t
ngx_lyftr_erase_answer(ngx_http_request_t *r)
{
    ngx_str_t           body;
    ngx_lyftr_ctx_t    *ctx;
    ngx_lyftr_erase_t  *erase;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lyftr_module);

    if (ngx_lyftr_request_failed(ctx)) {
        return ngx_lyftr_request_failure(r);
    }

    erase = ctx->op.data;

    body.data = ngx_pnalloc(r->pool, sizeof("{\"erased\":}") + NGX_INT64_LEN);
    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.len = ngx_sprintf(body.data, "{\"erased\":%L}", erase->rows)
               - body.data;

    return ngx_lyftr_http_send(r, NGX_HTTP_OK, &body);
}

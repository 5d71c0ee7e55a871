#include <ngx_lyftr_outcome.h>


/*
 * A request counts under the location that nginx had chosen for it when it was
 * refused, or would have chosen.  An error page takes that location away, so
 * what it is chosen by is noted beforehand.
 */

typedef struct {
    int64_t                  start;       /* usec */
    ngx_str_t                uri;         /* a location is chosen by it */
    ngx_lyftr_endpoint_t    *endpoint;    /* of the one that was chosen */
    unsigned                 chosen:1;
} ngx_lyftr_note_t;


/* an error page answers, or has answered */

#define ngx_lyftr_location_refused(r)                                         \
    ((r)->error_page || (r)->err_status)


static ngx_int_t ngx_lyftr_location_add(ngx_conf_t *cf, ngx_uint_t phase,
    ngx_http_handler_pt handler);
static ngx_int_t ngx_lyftr_location_server_handler(ngx_http_request_t *r);
static ngx_int_t ngx_lyftr_location_handler(ngx_http_request_t *r);
static ngx_lyftr_note_t *ngx_lyftr_location_note(ngx_http_request_t *r);
static void ngx_lyftr_location_cleanup(void *data);
static ngx_lyftr_endpoint_t *ngx_lyftr_location_lookup(ngx_http_request_t *r,
    ngx_str_t *uri);
static ngx_int_t ngx_lyftr_location_sent(ngx_http_request_t *r,
    ngx_str_t *uri);
static ngx_int_t ngx_lyftr_location_find(ngx_http_core_loc_conf_t **clcf,
    ngx_str_t *uri);
static ngx_int_t ngx_lyftr_location_find_static(
    ngx_http_core_loc_conf_t **clcf, ngx_str_t *uri);


ngx_int_t
ngx_lyftr_location_init(ngx_conf_t *cf)
{
    if (ngx_lyftr_location_add(cf, NGX_HTTP_SERVER_REWRITE_PHASE,
                               ngx_lyftr_location_server_handler)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_lyftr_location_add(cf, NGX_HTTP_REWRITE_PHASE,
                                  ngx_lyftr_location_handler);
}


/* the first handler of a phase is the last one that runs: after rewrites */

static ngx_int_t
ngx_lyftr_location_add(ngx_conf_t *cf, ngx_uint_t phase,
    ngx_http_handler_pt handler)
{
    ngx_array_t                *handlers;
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    handlers = &cmcf->phases[phase].handlers;

    if (ngx_array_push(handlers) == NULL) {
        return NGX_ERROR;
    }

    h = handlers->elts;

    ngx_memmove(h + 1, h,
                (handlers->nelts - 1) * sizeof(ngx_http_handler_pt));
    h[0] = handler;

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_location_server_handler(ngx_http_request_t *r)
{
    ngx_lyftr_note_t    *note;
    ngx_pool_cleanup_t  *cln;

    if (r != r->main || ngx_lyftr_location_refused(r)) {
        return NGX_DECLINED;
    }

    note = r->internal ? ngx_lyftr_location_note(r) : NULL;

    if (note == NULL) {
        cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_lyftr_note_t));
        if (cln == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        cln->handler = ngx_lyftr_location_cleanup;

        note = cln->data;
        note->start = ngx_lyftr_arrival_usec(r);
    }

    note->uri = r->uri;
    note->endpoint = NULL;
    note->chosen = 0;

    return NGX_DECLINED;
}


/* in a location, or again if it was rewritten, or in a named one */

static ngx_int_t
ngx_lyftr_location_handler(ngx_http_request_t *r)
{
    ngx_lyftr_note_t      *note;
    ngx_lyftr_loc_conf_t  *llcf;

    if (r != r->main || ngx_lyftr_location_refused(r)) {
        return NGX_DECLINED;
    }

    note = ngx_lyftr_location_note(r);

    if (note) {
        llcf = ngx_http_get_module_loc_conf(r, ngx_http_lyftr_module);

        note->uri = r->uri;
        note->endpoint = llcf->endpoint;
        note->chosen = !r->uri_changed;
    }

    return NGX_DECLINED;
}


static ngx_lyftr_note_t *
ngx_lyftr_location_note(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    if (r != r->main) {
        return NULL;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_lyftr_location_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


static void
ngx_lyftr_location_cleanup(void *data)
{
    /* only marks the note */
}


int64_t
ngx_lyftr_location_start(ngx_http_request_t *r)
{
    ngx_lyftr_note_t  *note;

    note = ngx_lyftr_location_note(r);

    return note ? note->start : ngx_lyftr_arrival_usec(r);
}


ngx_lyftr_endpoint_t *
ngx_lyftr_location_endpoint(ngx_http_request_t *r)
{
    ngx_str_t                  uri;
    ngx_lyftr_ctx_t           *ctx;
    ngx_lyftr_note_t          *note;
    ngx_lyftr_loc_conf_t      *llcf;
    ngx_http_core_loc_conf_t  *clcf;

    ctx = ngx_lyftr_request_ctx(r);
    if (ctx) {
        return ctx->endpoint;
    }

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_lyftr_module);

    if (llcf->endpoint || !ngx_lyftr_location_refused(r)) {
        return llcf->endpoint;
    }

    note = ngx_lyftr_location_note(r);

    if (note) {
        return note->chosen ? note->endpoint
                            : ngx_lyftr_location_lookup(r, &note->uri);
    }

    /* refused before a location was chosen; an error page may have a URI */

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (!r->internal || clcf->named) {
        return ngx_lyftr_location_lookup(r, &r->uri);
    }

    if (ngx_lyftr_location_sent(r, &uri) != NGX_OK) {
        return NULL;
    }

    return ngx_lyftr_location_lookup(r, &uri);
}


static ngx_lyftr_endpoint_t *
ngx_lyftr_location_lookup(ngx_http_request_t *r, ngx_str_t *uri)
{
    ngx_lyftr_loc_conf_t      *llcf;
    ngx_http_core_srv_conf_t  *cscf;
    ngx_http_core_loc_conf_t  *clcf;

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    clcf = cscf->ctx->loc_conf[ngx_http_core_module.ctx_index];

    if (uri->len == 0
        || ngx_lyftr_location_find(&clcf, uri) == NGX_DECLINED)
    {
        return NULL;
    }

    llcf = clcf->loc_conf[ngx_http_lyftr_module.ctx_index];

    return llcf->endpoint;
}


/* the path of the request line, decoded */

static ngx_int_t
ngx_lyftr_location_sent(ngx_http_request_t *r, ngx_str_t *uri)
{
    u_char  *dst, *src, *last;

    src = r->unparsed_uri.data;
    last = src + r->unparsed_uri.len;

    last = ngx_lyftr_find(src, last, '?');

    dst = ngx_pnalloc(r->pool, last - src);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    uri->data = dst;
    ngx_unescape_uri(&dst, &src, last - src, 0);
    uri->len = dst - uri->data;

    return NGX_OK;
}


/*
 * The way in which nginx's core finds a location: NGX_OK if that is final,
 * NGX_AGAIN if a regular expression of an outer one may still match, or
 * NGX_DECLINED if there is none.
 */

static ngx_int_t
ngx_lyftr_location_find(ngx_http_core_loc_conf_t **clcf, ngx_str_t *uri)
{
    ngx_int_t                   rc;
#if (NGX_PCRE)
    ngx_uint_t                  noregex;
    ngx_http_core_loc_conf_t  **clcfp;
#endif
    ngx_http_core_loc_conf_t   *pclcf;

    pclcf = *clcf;

    rc = ngx_lyftr_location_find_static(clcf, uri);

#if (NGX_PCRE)
    noregex = 0;
#endif

    if (rc == NGX_AGAIN) {

#if (NGX_PCRE)
        noregex = (*clcf)->noregex;
#endif

        if (ngx_lyftr_location_find(clcf, uri) == NGX_OK) {
            rc = NGX_OK;
        }
    }

#if (NGX_PCRE)

    if (rc == NGX_OK || noregex || pclcf->regex_locations == NULL) {
        return rc;
    }

    for (clcfp = pclcf->regex_locations; *clcfp; clcfp++) {

        if (ngx_regex_exec((*clcfp)->regex->regex, uri, NULL, 0) >= 0) {
            *clcf = *clcfp;
            (void) ngx_lyftr_location_find(clcf, uri);
            return NGX_OK;
        }
    }

#endif

    return rc;
}


static ngx_int_t
ngx_lyftr_location_find_static(ngx_http_core_loc_conf_t **clcf, ngx_str_t *uri)
{
    u_char                         *p;
    size_t                          len, n;
    ngx_int_t                       rc, rv;
    ngx_http_location_tree_node_t  *node;

    p = uri->data;
    len = uri->len;
    node = (*clcf)->static_locations;
    rv = NGX_DECLINED;

    while (node) {
        n = ngx_min(len, (size_t) node->len);
        rc = ngx_filename_cmp(p, node->name, n);

        if (rc != 0) {
            node = (rc < 0) ? node->left : node->right;
            continue;
        }

        if (len > (size_t) node->len) {

            if (node->inclusive == NULL) {
                node = node->right;
                continue;
            }

            *clcf = node->inclusive;
            rv = NGX_AGAIN;

            node = node->tree;
            p += n;
            len -= n;

            continue;
        }

        if (len == (size_t) node->len) {
            *clcf = node->exact ? node->exact : node->inclusive;
            return node->exact ? NGX_OK : NGX_AGAIN;
        }

        /* the location that a missing slash is added for */

        if (len + 1 == (size_t) node->len && node->auto_redirect) {
            *clcf = node->exact ? node->exact : node->inclusive;
            rv = NGX_OK;
        }

        node = node->left;
    }

    return rv;
}

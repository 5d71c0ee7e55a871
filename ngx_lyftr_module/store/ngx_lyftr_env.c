#include <ngx_lyftr_store.h>


/*
 * A binary upgrade starts from an environment that holds only the names of the
 * core's "env" list, so the name is added there.
 */

ngx_int_t
ngx_lyftr_env_get(ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *value)
{
    ngx_str_t        *var;
    ngx_uint_t        i;
    ngx_core_conf_t  *ccf;

    if (name->len == 0
        || ngx_strlchr(name->data, name->data + name->len, '='))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name of an environment variable \"%V\"",
                           name);
        return NGX_ERROR;
    }

    value->data = (u_char *) getenv((char *) name->data);
    value->len = value->data ? ngx_strlen(value->data) : 0;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                           ngx_core_module);
    var = ccf->env.elts;

    for (i = 0; i < ccf->env.nelts; i++) {
        if (var[i].len == name->len
            && ngx_strncmp(var[i].data, name->data, name->len) == 0)
        {
            return NGX_OK;
        }
    }

    var = ngx_array_push(&ccf->env);
    if (var == NULL) {
        return NGX_ERROR;
    }

    *var = *name;

    return NGX_OK;
}

#include <ngx_lyftr_zone.h>


/* where the zone keeps the slots of a kind of label */

typedef struct {
    size_t                        offset;
    size_t                        size;
    ngx_uint_t                    n;
} ngx_lyftr_slots_t;


static ngx_int_t ngx_lyftr_zone_map(ngx_shm_zone_t *shm_zone,
    void *data);
static ngx_lyftr_slot_t *ngx_lyftr_zone_slot(ngx_lyftr_zone_t *zone,
    ngx_lyftr_slots_t *slots, ngx_array_t *labels, ngx_str_t *name);
static ngx_uint_t ngx_lyftr_zone_named(ngx_array_t *labels, u_char *data,
    size_t len);


/* the order is that of ngx_lyftr_label_e */

static ngx_lyftr_slots_t  ngx_lyftr_slots[] = {

    { offsetof(ngx_lyftr_zone_t, paths),
      sizeof(ngx_lyftr_path_t),
      NGX_LYFTR_PATHS_MAX },

    { offsetof(ngx_lyftr_zone_t, secrets),
      sizeof(ngx_lyftr_verifier_t),
      NGX_LYFTR_SECRETS_MAX },

    { offsetof(ngx_lyftr_zone_t, stores),
      sizeof(ngx_lyftr_store_slot_t),
      NGX_LYFTR_STORES_MAX }
};


ngx_int_t
ngx_lyftr_zone_label(ngx_conf_t *cf, ngx_lyftr_label_e kind,
    ngx_str_t *name)
{
    ngx_uint_t              i;
    ngx_array_t            *labels;
    ngx_lyftr_label_t      *label;
    ngx_lyftr_main_conf_t  *lmcf;

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_lyftr_module);

    labels = &lmcf->labels[kind];
    label = labels->elts;

    for (i = 0; i < labels->nelts; i++) {
        if (label[i].name.len == name->len
            && ngx_strncmp(label[i].name.data, name->data, name->len) == 0)
        {
            return i;
        }
    }

    if (name->len == 0 || name->len > NGX_LYFTR_LABEL_LEN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the name \"%V\" must have 1 to %d bytes",
                           name, NGX_LYFTR_LABEL_LEN);
        return NGX_ERROR;
    }

    if (labels->nelts == ngx_lyftr_slots[kind].n) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is one name more than the metrics have "
                           "room for", name);
        return NGX_ERROR;
    }

    label = ngx_array_push(labels);
    if (label == NULL) {
        return NGX_ERROR;
    }

    label->name = *name;
    label->slot = NULL;

    return labels->nelts - 1;
}


ngx_int_t
ngx_lyftr_zone_init(ngx_conf_t *cf, ngx_lyftr_main_conf_t *lmcf)
{
    size_t     size;
    ngx_str_t  name;

    /* the slab allocator takes a share for itself */

    size = ngx_align(2 * sizeof(ngx_lyftr_zone_t), ngx_pagesize);

    ngx_str_set(&name, "lyftr");

    lmcf->shm_zone = ngx_shared_memory_add(cf, &name, size,
                                           &ngx_http_lyftr_module);
    if (lmcf->shm_zone == NULL) {
        return NGX_ERROR;
    }

    lmcf->shm_zone->init = ngx_lyftr_zone_map;
    lmcf->shm_zone->data = lmcf;

    return NGX_OK;
}


static ngx_int_t
ngx_lyftr_zone_map(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_lyftr_main_conf_t  *olmcf = data;

    ngx_uint_t               i, kind;
    ngx_array_t             *labels;
    ngx_slab_pool_t         *shpool;
    ngx_lyftr_label_t       *label;
    ngx_lyftr_store_t      **store;
    ngx_lyftr_main_conf_t   *lmcf;
    ngx_lyftr_store_slot_t  *slot;

    lmcf = shm_zone->data;
    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (olmcf) {
        lmcf->zone = olmcf->zone;

    } else if (shm_zone->shm.exists) {
        lmcf->zone = shpool->data;

    } else {
        lmcf->zone = ngx_slab_calloc(shpool, sizeof(ngx_lyftr_zone_t));
        if (lmcf->zone == NULL) {
            return NGX_ERROR;
        }

        shpool->data = lmcf->zone;
    }

    for (kind = 0; kind < NGX_LYFTR_LABELS; kind++) {
        labels = &lmcf->labels[kind];
        label = labels->elts;

        for (i = 0; i < labels->nelts; i++) {
            label[i].slot = ngx_lyftr_zone_slot(lmcf->zone,
                                                   &ngx_lyftr_slots[kind],
                                                   labels, &label[i].name);
            if (label[i].slot == NULL) {
                return NGX_ERROR;
            }
        }
    }

    label = lmcf->labels[NGX_LYFTR_LABEL_STORE].elts;
    store = lmcf->stores.elts;

    for (i = 0; i < lmcf->stores.nelts; i++) {
        slot = label[store[i]->label].slot;
        store[i]->status = &slot->status;
        store[i]->dsn.words = slot->status.words;

        /* with a reload the operator says that what is there is right */

        ngx_memzero((void *) slot->status.words,
                    NGX_LYFTR_WORDS_FORGOTTEN * sizeof(ngx_atomic_t));
    }

    return NGX_OK;
}


/*
 * Finds the slot of the label, or takes a free one, or one whose label has
 * left the configuration: there are as many slots as there may be labels.
 */

static ngx_lyftr_slot_t *
ngx_lyftr_zone_slot(ngx_lyftr_zone_t *zone, ngx_lyftr_slots_t *slots,
    ngx_array_t *labels, ngx_str_t *name)
{
    u_char            *base;
    ngx_uint_t         i;
    ngx_lyftr_slot_t  *slot, *unused;

    base = (u_char *) zone + slots->offset;
    unused = NULL;

    for (i = 0; i < slots->n; i++) {
        slot = (ngx_lyftr_slot_t *) (base + i * slots->size);

        if (slot->len == name->len
            && ngx_memcmp(slot->data, name->data, name->len) == 0)
        {
            return slot;
        }

        if (slot->len == 0) {
            if (unused == NULL || unused->len) {
                unused = slot;
            }

        } else if (unused == NULL
                   && !ngx_lyftr_zone_named(labels, slot->data, slot->len))
        {
            unused = slot;
        }
    }

    if (unused == NULL) {
        return NULL;
    }

    ngx_memzero(unused, slots->size);

    unused->len = name->len;
    ngx_memcpy(unused->data, name->data, name->len);

    return unused;
}


static ngx_uint_t
ngx_lyftr_zone_named(ngx_array_t *labels, u_char *data, size_t len)
{
    ngx_uint_t          i;
    ngx_lyftr_label_t  *label;

    label = labels->elts;

    for (i = 0; i < labels->nelts; i++) {
        if (label[i].name.len == len
            && ngx_memcmp(label[i].name.data, data, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}

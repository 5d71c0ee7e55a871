#include <ngx_lyftr_zone.h>


/* where the zone keeps a kind of label, and how many there may be */

typedef struct {
    size_t                        offset;
    size_t                        size;
    ngx_uint_t                    max;
} ngx_lyftr_slots_t;


static ngx_int_t ngx_lyftr_zone_find(ngx_array_t *labels, ngx_str_t *name);
static ngx_int_t ngx_lyftr_zone_map(ngx_shm_zone_t *shm_zone,
    void *data);
static ngx_int_t ngx_lyftr_zone_place(ngx_lyftr_zone_t *zone,
    ngx_lyftr_slots_t *slots, ngx_array_t *labels, ngx_log_t *log);
static ngx_lyftr_slot_t *ngx_lyftr_zone_slot(ngx_lyftr_zone_t *zone,
    ngx_lyftr_slots_t *slots, ngx_str_t *name);
static ngx_lyftr_slot_t *ngx_lyftr_zone_unused(ngx_lyftr_zone_t *zone,
    ngx_lyftr_slots_t *slots, ngx_array_t *labels);
static ngx_uint_t ngx_lyftr_zone_taken(ngx_array_t *labels,
    ngx_lyftr_slot_t *slot);
static ngx_uint_t ngx_lyftr_zone_oldest(ngx_lyftr_zone_t *zone);


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


static ngx_str_t  ngx_lyftr_zone_other = ngx_string("other");


/*
 * What does not fit counts with all others, for a location is not called after
 * the metrics.  Only a store has a condition of its own.
 */

ngx_int_t
ngx_lyftr_zone_label(ngx_conf_t *cf, ngx_lyftr_label_e kind,
    ngx_str_t *name)
{
    ngx_int_t               i;
    ngx_uint_t              fits, room;
    ngx_array_t            *labels;
    ngx_lyftr_label_t      *label;
    ngx_lyftr_main_conf_t  *lmcf;

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_lyftr_module);

    labels = &lmcf->labels[kind];

    i = ngx_lyftr_zone_find(labels, name);
    if (i != NGX_ERROR) {
        return i;
    }

    fits = (name->len != 0 && name->len <= NGX_LYFTR_LABEL_LEN);
    room = ngx_lyftr_slots[kind].max - labels->nelts;

    if (kind != NGX_LYFTR_LABEL_STORE) {
        i = ngx_lyftr_zone_find(labels, &ngx_lyftr_zone_other);

        if (!fits || room == (i == NGX_ERROR)) {

            if (i != NGX_ERROR) {
                return i;
            }

            name = &ngx_lyftr_zone_other;
        }

    } else if (!fits) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the name \"%V\" must have 1 to %d bytes",
                           name, NGX_LYFTR_LABEL_LEN);
        return NGX_ERROR;

    } else if (room == 0) {
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


static ngx_int_t
ngx_lyftr_zone_find(ngx_array_t *labels, ngx_str_t *name)
{
    ngx_uint_t          i;
    ngx_lyftr_label_t  *label;

    label = labels->elts;

    for (i = 0; i < labels->nelts; i++) {
        if (label[i].name.len == name->len
            && ngx_strncmp(label[i].name.data, name->data, name->len) == 0)
        {
            return i;
        }
    }

    return NGX_ERROR;
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


/* the new configuration may still fail: what others share is only read here */

static ngx_int_t
ngx_lyftr_zone_map(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_lyftr_main_conf_t  *olmcf = data;

    ngx_uint_t               i, kind;
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
        if (ngx_lyftr_zone_place(lmcf->zone, &ngx_lyftr_slots[kind],
                                 &lmcf->labels[kind], shm_zone->shm.log)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    label = lmcf->labels[NGX_LYFTR_LABEL_STORE].elts;
    store = lmcf->stores.elts;

    for (i = 0; i < lmcf->stores.nelts; i++) {
        slot = label[store[i]->label].slot;
        ngx_lyftr_status_attach(store[i], &slot->status);
    }

    return NGX_OK;
}


/* labels that are known keep their slots, and the others get unused ones */

static ngx_int_t
ngx_lyftr_zone_place(ngx_lyftr_zone_t *zone, ngx_lyftr_slots_t *slots,
    ngx_array_t *labels, ngx_log_t *log)
{
    ngx_uint_t          i;
    ngx_lyftr_label_t  *label;

    label = labels->elts;

    for (i = 0; i < labels->nelts; i++) {
        label[i].slot = ngx_lyftr_zone_slot(zone, slots, &label[i].name);
    }

    for (i = 0; i < labels->nelts; i++) {

        if (label[i].slot) {
            continue;
        }

        label[i].slot = ngx_lyftr_zone_unused(zone, slots, labels);

        if (label[i].slot == NULL) {
            ngx_log_error(NGX_LOG_EMERG, log, 0,
                          "the metrics have no room for \"%V\" until workers "
                          "of older configurations have exited",
                          &label[i].name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_lyftr_slot_t *
ngx_lyftr_zone_slot(ngx_lyftr_zone_t *zone, ngx_lyftr_slots_t *slots,
    ngx_str_t *name)
{
    u_char            *p;
    ngx_uint_t         i;
    ngx_lyftr_slot_t  *slot;

    p = (u_char *) zone + slots->offset;

    for (i = 0; i < NGX_LYFTR_SLOTS(slots->max); i++, p += slots->size) {
        slot = (ngx_lyftr_slot_t *) p;

        if (slot->len == name->len
            && ngx_memcmp(slot->data, name->data, name->len) == 0)
        {
            return slot;
        }
    }

    return NULL;
}


/* an empty slot, or that of the label that has left for the longest time */

static ngx_lyftr_slot_t *
ngx_lyftr_zone_unused(ngx_lyftr_zone_t *zone, ngx_lyftr_slots_t *slots,
    ngx_array_t *labels)
{
    u_char            *p;
    ngx_uint_t         i, oldest;
    ngx_lyftr_slot_t  *slot, *unused;

    p = (u_char *) zone + slots->offset;
    oldest = ngx_lyftr_zone_oldest(zone);
    unused = NULL;

    for (i = 0; i < NGX_LYFTR_SLOTS(slots->max); i++, p += slots->size) {
        slot = (ngx_lyftr_slot_t *) p;

        if (ngx_lyftr_zone_taken(labels, slot)) {
            continue;
        }

        if (slot->len == 0) {
            return slot;
        }

        if (slot->last < oldest
            && (unused == NULL || slot->last < unused->last))
        {
            unused = slot;
        }
    }

    return unused;
}


static ngx_uint_t
ngx_lyftr_zone_taken(ngx_array_t *labels, ngx_lyftr_slot_t *slot)
{
    ngx_uint_t          i;
    ngx_lyftr_label_t  *label;

    label = labels->elts;

    for (i = 0; i < labels->nelts; i++) {
        if (label[i].slot == slot) {
            return 1;
        }
    }

    return 0;
}


/*
 * The oldest configuration that a process may have.  While one is exiting that
 * may be any since the last time when none was.
 */

static ngx_uint_t
ngx_lyftr_zone_oldest(ngx_lyftr_zone_t *zone)
{
    ngx_int_t  i;

    for (i = 0; i < ngx_last_process; i++) {
        if (ngx_processes[i].pid != -1 && ngx_processes[i].exiting
            && !ngx_processes[i].exited)
        {
            return zone->oldest;
        }
    }

    return zone->generation;
}


void
ngx_lyftr_zone_commit(ngx_lyftr_main_conf_t *lmcf)
{
    ngx_uint_t            i, kind;
    ngx_str_t            *name;
    ngx_array_t          *labels;
    ngx_lyftr_slot_t     *slot;
    ngx_lyftr_zone_t     *zone;
    ngx_lyftr_label_t    *label;
    ngx_lyftr_store_t   **store;

    zone = lmcf->zone;

    zone->oldest = ngx_lyftr_zone_oldest(zone);
    zone->generation++;

    for (kind = 0; kind < NGX_LYFTR_LABELS; kind++) {
        labels = &lmcf->labels[kind];
        label = labels->elts;

        for (i = 0; i < labels->nelts; i++) {
            slot = label[i].slot;
            name = &label[i].name;

            if (slot->len != name->len
                || ngx_memcmp(slot->data, name->data, name->len) != 0)
            {
                ngx_memzero(slot, ngx_lyftr_slots[kind].size);

                slot->len = name->len;
                ngx_memcpy(slot->data, name->data, name->len);
            }

            slot->last = zone->generation;
        }
    }

    store = lmcf->stores.elts;

    for (i = 0; i < lmcf->stores.nelts; i++) {
        ngx_lyftr_status_renew(store[i]);
    }
}

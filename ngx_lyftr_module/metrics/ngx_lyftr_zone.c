#include <ngx_lyftr_metrics.h>


/*
 * The zone has a fixed size, and its slots are found by their labels, so that
 * it is kept over a reload whatever the new configuration says.  There is no
 * lock: counters are atomic, and a slot is only given away by the master, once
 * a new configuration is in force and no process has the old label any more.
 */

typedef struct {
    ngx_uint_t                    last;          /* configuration with it */
    size_t                        len;
    u_char                        name[NGX_LYFTR_LABEL_LEN];
} ngx_lyftr_slot_t;


/* what needs no label follows it, and then the slots of each kind */

struct ngx_lyftr_zone_shared_s {
    ngx_uint_t                    generation;    /* the one in force */
    ngx_uint_t                    oldest;        /* that a process may have */
};


/* where those of a kind are, in the zone */

typedef struct {
    u_char                       *first;
    size_t                        size;
    ngx_uint_t                    n;
} ngx_lyftr_slots_t;


#define ngx_lyftr_slot_of(data)    ((ngx_lyftr_slot_t *) (data) - 1)


static ngx_int_t ngx_lyftr_zone_find(ngx_array_t *labels, ngx_str_t *name);
static size_t ngx_lyftr_zone_size(ngx_lyftr_zone_t *zone);
static ngx_int_t ngx_lyftr_zone_map(ngx_shm_zone_t *shm_zone, void *data);
static void ngx_lyftr_zone_slots(ngx_lyftr_zone_t *zone, ngx_uint_t kind,
    ngx_lyftr_slots_t *slots);
static ngx_int_t ngx_lyftr_zone_place(ngx_lyftr_zone_t *zone, ngx_uint_t kind,
    ngx_log_t *log);
static ngx_lyftr_slot_t *ngx_lyftr_zone_slot(ngx_lyftr_slots_t *slots,
    ngx_str_t *name);
static ngx_lyftr_slot_t *ngx_lyftr_zone_unused(ngx_lyftr_zone_t *zone,
    ngx_lyftr_slots_t *slots, ngx_array_t *labels);
static ngx_uint_t ngx_lyftr_zone_taken(ngx_array_t *labels,
    ngx_lyftr_slot_t *slot);
static ngx_uint_t ngx_lyftr_zone_oldest(ngx_lyftr_zone_shared_t *shared);


static ngx_str_t  ngx_lyftr_zone_name = ngx_string("lyftr");
static ngx_str_t  ngx_lyftr_zone_other = ngx_string("other");


ngx_int_t
ngx_lyftr_zone_create(ngx_conf_t *cf, ngx_lyftr_zone_t *zone,
    ngx_lyftr_zone_kind_t *kinds, ngx_uint_t n, size_t size)
{
    ngx_uint_t  i;

    zone->kinds = kinds;
    zone->n = n;
    zone->size = size;
    zone->data = NULL;
    zone->shared = NULL;

    for (i = 0; i < n; i++) {
        if (ngx_array_init(&zone->labels[i], cf->pool, 8,
                           sizeof(ngx_lyftr_label_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * What does not fit counts with all others, for a location is not called after
 * the metrics, unless the kind is strict.
 */

ngx_int_t
ngx_lyftr_zone_label(ngx_conf_t *cf, ngx_lyftr_zone_t *zone, ngx_uint_t kind,
    ngx_str_t *name)
{
    ngx_int_t           i;
    ngx_uint_t          fits, room;
    ngx_array_t        *labels;
    ngx_lyftr_label_t  *label;

    labels = &zone->labels[kind];

    i = ngx_lyftr_zone_find(labels, name);
    if (i != NGX_ERROR) {
        return i;
    }

    fits = (name->len != 0 && name->len <= NGX_LYFTR_LABEL_LEN);
    room = zone->kinds[kind].max - labels->nelts;

    if (!zone->kinds[kind].strict) {
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
    label->data = NULL;

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
ngx_lyftr_zone_init(ngx_conf_t *cf, ngx_lyftr_zone_t *zone, void *tag)
{
    size_t           size;
    ngx_shm_zone_t  *shm_zone;

    /* the slab allocator takes a share for itself */

    size = ngx_align(2 * ngx_lyftr_zone_size(zone), ngx_pagesize);

    shm_zone = ngx_shared_memory_add(cf, &ngx_lyftr_zone_name, size, tag);
    if (shm_zone == NULL) {
        return NGX_ERROR;
    }

    shm_zone->init = ngx_lyftr_zone_map;
    shm_zone->data = zone;

    return NGX_OK;
}


static size_t
ngx_lyftr_zone_size(ngx_lyftr_zone_t *zone)
{
    ngx_lyftr_slots_t  slots;

    ngx_lyftr_zone_slots(zone, zone->n, &slots);

    return slots.first - (u_char *) zone->shared;
}


/* the new configuration may still fail: what others share is only read here */

static ngx_int_t
ngx_lyftr_zone_map(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_lyftr_zone_t  *before = data;

    ngx_uint_t         kind;
    ngx_slab_pool_t   *shpool;
    ngx_lyftr_zone_t  *zone;

    zone = shm_zone->data;
    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (before) {
        zone->shared = before->shared;

    } else if (shm_zone->shm.exists) {
        zone->shared = shpool->data;

    } else {
        zone->shared = ngx_slab_calloc(shpool, ngx_lyftr_zone_size(zone));
        if (zone->shared == NULL) {
            return NGX_ERROR;
        }

        shpool->data = zone->shared;
    }

    zone->data = zone->shared + 1;

    for (kind = 0; kind < zone->n; kind++) {
        if (ngx_lyftr_zone_place(zone, kind, shm_zone->shm.log) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_lyftr_zone_slots(ngx_lyftr_zone_t *zone, ngx_uint_t kind,
    ngx_lyftr_slots_t *slots)
{
    ngx_uint_t  i;

    slots->first = (u_char *) zone->shared + sizeof(ngx_lyftr_zone_shared_t)
                   + ngx_align(zone->size, sizeof(ngx_atomic_t));
    slots->size = 0;
    slots->n = 0;

    for (i = 0; /* void */ ; i++) {
        slots->first += slots->n * slots->size;

        if (i == zone->n) {
            return;
        }

        slots->size = sizeof(ngx_lyftr_slot_t)
                      + ngx_align(zone->kinds[i].size, sizeof(ngx_atomic_t));
        slots->n = NGX_LYFTR_SLOTS(zone->kinds[i].max);

        if (i == kind) {
            return;
        }
    }
}


/* labels that are known keep their slots, and the others get unused ones */

static ngx_int_t
ngx_lyftr_zone_place(ngx_lyftr_zone_t *zone, ngx_uint_t kind, ngx_log_t *log)
{
    ngx_uint_t          i;
    ngx_array_t        *labels;
    ngx_lyftr_slot_t   *slot;
    ngx_lyftr_slots_t   slots;
    ngx_lyftr_label_t  *label;

    ngx_lyftr_zone_slots(zone, kind, &slots);

    labels = &zone->labels[kind];
    label = labels->elts;

    for (i = 0; i < labels->nelts; i++) {
        slot = ngx_lyftr_zone_slot(&slots, &label[i].name);
        label[i].data = slot ? slot + 1 : NULL;
    }

    for (i = 0; i < labels->nelts; i++) {

        if (label[i].data) {
            continue;
        }

        slot = ngx_lyftr_zone_unused(zone, &slots, labels);

        if (slot == NULL) {
            ngx_log_error(NGX_LOG_EMERG, log, 0,
                          "the metrics have no room for \"%V\" until workers "
                          "of older configurations have exited",
                          &label[i].name);
            return NGX_ERROR;
        }

        label[i].data = slot + 1;
    }

    return NGX_OK;
}


static ngx_lyftr_slot_t *
ngx_lyftr_zone_slot(ngx_lyftr_slots_t *slots, ngx_str_t *name)
{
    u_char            *p;
    ngx_uint_t         i;
    ngx_lyftr_slot_t  *slot;

    p = slots->first;

    for (i = 0; i < slots->n; i++, p += slots->size) {
        slot = (ngx_lyftr_slot_t *) p;

        if (slot->len == name->len
            && ngx_memcmp(slot->name, name->data, name->len) == 0)
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

    p = slots->first;
    oldest = ngx_lyftr_zone_oldest(zone->shared);
    unused = NULL;

    for (i = 0; i < slots->n; i++, p += slots->size) {
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
        if (label[i].data == slot + 1) {
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
ngx_lyftr_zone_oldest(ngx_lyftr_zone_shared_t *shared)
{
    ngx_int_t  i;

    for (i = 0; i < ngx_last_process; i++) {
        if (ngx_processes[i].pid != -1 && ngx_processes[i].exiting
            && !ngx_processes[i].exited)
        {
            return shared->oldest;
        }
    }

    return shared->generation;
}


void
ngx_lyftr_zone_commit(ngx_lyftr_zone_t *zone)
{
    ngx_uint_t                i, kind;
    ngx_str_t                *name;
    ngx_array_t              *labels;
    ngx_lyftr_slot_t         *slot;
    ngx_lyftr_slots_t         slots;
    ngx_lyftr_label_t        *label;
    ngx_lyftr_zone_shared_t  *shared;

    shared = zone->shared;

    shared->oldest = ngx_lyftr_zone_oldest(shared);
    shared->generation++;

    for (kind = 0; kind < zone->n; kind++) {
        ngx_lyftr_zone_slots(zone, kind, &slots);

        labels = &zone->labels[kind];
        label = labels->elts;

        for (i = 0; i < labels->nelts; i++) {
            slot = ngx_lyftr_slot_of(label[i].data);
            name = &label[i].name;

            if (slot->len != name->len
                || ngx_memcmp(slot->name, name->data, name->len) != 0)
            {
                ngx_memzero(slot, slots.size);

                slot->len = name->len;
                ngx_memcpy(slot->name, name->data, name->len);
            }

            slot->last = shared->generation;
        }
    }
}

/* What a power cut leaves of the files, and syncs that fail. */

#ifndef _UNIT_DISK_H_INCLUDED_
#define _UNIT_DISK_H_INCLUDED_


#include "unit_store.h"

#include <sys/syscall.h>


#define UNIT_DISK_PAGE    4096
#define UNIT_DISK_MAX     (4 * 1024 * 1024)
#define UNIT_DISKS   2


/* what a power cut would leave of a file, and what the kernel takes for it */

typedef struct {
    const char          *suffix;
    size_t               len;
    u_char               disk[UNIT_DISK_MAX];
    u_char               clean[UNIT_DISK_MAX];
} unit_disk_t;


static ngx_uint_t            syncs;
static ngx_uint_t            bad_sync;     /* which call fails, from now on */
static ngx_lyftr_sqlite_t   *other;        /* tries the lock at each sync */
static ngx_uint_t            locked;
static ngx_uint_t            watched;
static ngx_uint_t            most;         /* pages of the database at once */

static unit_disk_t           disks[UNIT_DISKS] = {
    { .suffix = "t.db" },
    { .suffix = "t.db-wal" }
};


/*
 * A failed sync may leave pages as they were on the disk, and have the kernel
 * take them for written: so does this one.
 */

static ngx_inline void
unit_disk_sync(int fd, ngx_uint_t ok)
{
    char           name[64], path[256];
    size_t         at;
    ssize_t        n;
    ngx_uint_t     i, pages;
    unit_disk_t   *d;
    static u_char  now[UNIT_DISK_MAX];

    (void) sprintf(name, "/proc/self/fd/%d", fd);
    n = readlink(name, path, sizeof(path) - 1);
    assert_true(n > 0);
    path[n] = '\0';

    for (i = 0; i < UNIT_DISKS; i++) {
        d = &disks[i];

        if (strcmp(strrchr(path, '/') + 1, d->suffix) == 0) {
            break;
        }
    }

    if (i == UNIT_DISKS) {
        return;
    }

    ngx_memzero(now, UNIT_DISK_MAX);
    n = pread(fd, now, UNIT_DISK_MAX, 0);
    assert_in_range(n, 0, UNIT_DISK_MAX - 1);

    pages = 0;

    for (at = 0; at < UNIT_DISK_MAX; at += UNIT_DISK_PAGE) {

        if (memcmp(now + at, d->clean + at, UNIT_DISK_PAGE) == 0) {
            continue;
        }

        ngx_memcpy(d->clean + at, now + at, UNIT_DISK_PAGE);

        if (ok) {
            ngx_memcpy(d->disk + at, now + at, UNIT_DISK_PAGE);
        }

        pages++;
    }

    if (i == 0) {
        most = ngx_max(most, pages);
    }

    if (ok) {
        d->len = n;
    }
}


/* SQLite's calls come here, too */

int
fdatasync(int fd)
{
    ngx_uint_t  ok;

    ok = !(bad_sync && --bad_sync == 0);

    if (other) {
        if (ngx_lyftr_flock_try(&other->lock) == NGX_OK) {
            ngx_lyftr_flock_release(&other->lock);

        } else {
            locked++;
        }
    }

    if (watched) {
        unit_disk_sync(fd, ok);
    }

    if (!ok) {
        errno = EIO;
        return -1;
    }

    syncs++;

    return syscall(SYS_fdatasync, fd);
}


static ngx_inline int
unit_setup_disks(void **state)
{
    ngx_uint_t  i;

    if (unit_setup(state) != 0) {
        return -1;
    }

    ngx_memzero((void *) words, sizeof(words));
    dsn.common.words = words;

    for (i = 0; i < UNIT_DISKS; i++) {
        disks[i].len = 0;
        ngx_memzero(disks[i].disk, UNIT_DISK_MAX);
        ngx_memzero(disks[i].clean, UNIT_DISK_MAX);
    }

    syncs = 0;
    bad_sync = 0;
    other = NULL;
    locked = 0;
    watched = 0;
    most = 0;

    return 0;
}


/* the files as they are after a power cut */

static ngx_inline void
unit_power_cut(void)
{
    int          fd;
    char         path[160];
    ngx_uint_t   i;

    for (i = 0; i < UNIT_DISKS; i++) {
        (void) snprintf(path, sizeof(path), "%s/%s", dir, disks[i].suffix);
        fd = open(path, O_WRONLY|O_TRUNC);
        assert_true(fd != -1);
        assert_int_equal(write(fd, disks[i].disk, disks[i].len),
                         disks[i].len);
        (void) close(fd);
    }

    (void) snprintf(path, sizeof(path), "%s/t.db-shm", dir);
    (void) unlink(path);

    unit_forget();
}


/* an id in a transaction that is not ended yet; false if it is known */

static ngx_inline ngx_uint_t
unit_begin(void *c, const char *id)
{
    ngx_str_t  s, text;

    s = unit_str(id);
    text = unit_str("x");

    assert_int_equal(b->turn(c, unit_in(2000), &err), NGX_OK);

    return unit_insert(c, &s, "+1", "2025-01-15T10:00:00Z", &text);
}

#define unit_fresh_disks(f)                                                   \
    cmocka_unit_test_setup_teardown(f, unit_setup_disks, unit_teardown)


#endif /* _UNIT_DISK_H_INCLUDED_ */

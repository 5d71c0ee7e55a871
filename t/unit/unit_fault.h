/* Calls of the system, and for memory, of which one fails. */

#ifndef _UNIT_FAULT_H_INCLUDED_
#define _UNIT_FAULT_H_INCLUDED_


#include "unit_store.h"


typedef enum {
    UNIT_MALLOC = 0,
    UNIT_WRITE,
    UNIT_READ,
    UNIT_SYNC,
    UNIT_LOCK,
    UNIT_TRUNCATE,
    UNIT_KINDS
} unit_fault_e;


/* 1: the next call fails; 0: none does */
static ngx_uint_t           calls[UNIT_KINDS];
static ngx_uint_t           bad[UNIT_KINDS];
static ngx_uint_t           hits;

static sqlite3_mem_methods  memory;
static sqlite3_mem_methods  faulty;


static ngx_inline ngx_uint_t
unit_fails(unit_fault_e kind)
{
    calls[kind]++;

    if (bad[kind] == 0 || --bad[kind]) {
        return 0;
    }

    hits++;

    return 1;
}


static ngx_inline void *
unit_malloc(int size)
{
    return unit_fails(UNIT_MALLOC) ? NULL : memory.xMalloc(size);
}


static ngx_inline void *
unit_realloc(void *p, int size)
{
    return unit_fails(UNIT_MALLOC) ? NULL : memory.xRealloc(p, size);
}


/* the index has its memory of the C library */

void *__real_malloc(size_t len);
void *__real_calloc(size_t n, size_t len);
void *__real_realloc(void *p, size_t len);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t n, size_t len);
void *__wrap_realloc(void *p, size_t len);


void *
__wrap_malloc(size_t len)
{
    return unit_fails(UNIT_MALLOC) ? NULL : __real_malloc(len);
}


void *
__wrap_calloc(size_t n, size_t len)
{
    return unit_fails(UNIT_MALLOC) ? NULL : __real_calloc(n, len);
}


void *
__wrap_realloc(void *p, size_t len)
{
    return unit_fails(UNIT_MALLOC) ? NULL : __real_realloc(p, len);
}


static ngx_inline ssize_t
unit_pwrite(int fd, const void *p, size_t len, off_t at)
{
    if (unit_fails(UNIT_WRITE)) {
        errno = EIO;
        return -1;
    }

    return pwrite(fd, p, len, at);
}


static ngx_inline ssize_t
unit_pread(int fd, void *p, size_t len, off_t at)
{
    if (unit_fails(UNIT_READ)) {
        errno = EIO;
        return -1;
    }

    return pread(fd, p, len, at);
}


static ngx_inline int
unit_ftruncate(int fd, off_t len)
{
    if (unit_fails(UNIT_TRUNCATE)) {
        errno = ENOSPC;
        return -1;
    }

    return ftruncate(fd, len);
}


/* of the locks, those that are taken; another command has one argument, too */

static ngx_inline int
unit_fcntl(int fd, int cmd, ...)
{
    void         *arg;
    va_list       args;
    struct flock *lock;

    va_start(args, cmd);
    arg = va_arg(args, void *);
    va_end(args);

    if (cmd == F_SETLK) {
        lock = arg;

        if (lock->l_type != F_UNLCK && unit_fails(UNIT_LOCK)) {
            errno = EAGAIN;
            return -1;
        }
    }

    return fcntl(fd, cmd, arg);
}


/* SQLite's calls come here, too; no power is cut */

int
fdatasync(int fd)
{
    if (unit_fails(UNIT_SYNC)) {
        errno = EIO;
        return -1;
    }

    return 0;
}


static ngx_inline int
unit_faults(void **state)
{
    ngx_uint_t    i, n;
    sqlite3_vfs  *vfs;

    static struct {
        const char         *name;
        sqlite3_syscall_ptr f;
    } f[] = {
        { "pwrite", (sqlite3_syscall_ptr) unit_pwrite },
        { "pwrite64", (sqlite3_syscall_ptr) unit_pwrite },
        { "pread", (sqlite3_syscall_ptr) unit_pread },
        { "pread64", (sqlite3_syscall_ptr) unit_pread },
        { "ftruncate", (sqlite3_syscall_ptr) unit_ftruncate },
        { "fcntl", (sqlite3_syscall_ptr) unit_fcntl }
    };

    (void) sqlite3_shutdown();
    (void) sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory);

    faulty = memory;
    faulty.xMalloc = unit_malloc;
    faulty.xRealloc = unit_realloc;

    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &faulty) != SQLITE_OK) {
        return -1;
    }

    vfs = sqlite3_vfs_find(NULL);

    for (i = 0, n = 0; i < unit_count(f); i++) {
        if (vfs->xGetSystemCall(vfs, f[i].name)) {
            n += (vfs->xSetSystemCall(vfs, f[i].name, f[i].f) == SQLITE_OK);
        }
    }

    return n < 4;
}


#endif /* _UNIT_FAULT_H_INCLUDED_ */

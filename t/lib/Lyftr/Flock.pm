package Lyftr::Flock;

# How long each process waits for a file lock, and then holds it: a preloaded
# object whose flock() writes down each grant of LOCK_EX.  A hold is a batch's if
# the WAL was synced in it and the database was not; all others are steps.

use strict;
use warnings;

use parent 'Lyftr::Preload';


# a time counts for the first of these milliseconds that it does not exceed

our @sizes = (1, 2, 5, 10, 50, 100, 200, 500, 1000, 1e9);

# of a hold that is long, in milliseconds

our $long = 5;

my $size = 8 * (6 + 3 * @sizes);


sub new {
    my ($class) = @_;

    my $sizes = join ', ', map { $_ * 1000000 } @sizes;

    my $self = $class->build(<<"END") or return undef;
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SIZES  ${\ scalar @sizes}
#define LONG   ($long * 1000000)

typedef struct {
    uint64_t  pid;
    uint64_t  grants;
    uint64_t  waited;
    uint64_t  held;
    uint64_t  step;
    uint64_t  slow;
    uint64_t  waits[SIZES];
    uint64_t  holds[SIZES];
    uint64_t  steps[SIZES];
} slot_t;

static const uint64_t     sizes[] = { $sizes };
static slot_t            *slots, *slot;
static __thread uint64_t  asked, got;
static __thread int       wal, database;

__attribute__((constructor)) static void map(void)
{
    int  fd = open(DIR "/slots", O_RDWR);

    slots = mmap(NULL, 4096 * sizeof(slot_t), PROT_READ|PROT_WRITE, MAP_SHARED,
                 fd, 0);
    close(fd);
}

static uint64_t now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void note(uint64_t time, uint64_t *longest, uint64_t *counts)
{
    int       i;
    uint64_t  old;

    for (i = 0; time > sizes[i]; i++) { }

    __sync_fetch_and_add(&counts[i], 1);

    do {
        old = *longest;
    } while (time > old && !__sync_bool_compare_and_swap(longest, old, time));
}

/* the first slot counts those that are taken */

static void granted(void)
{
    if (slot == NULL || slot->pid != (uint64_t) getpid()) {
        slot = &slots[__sync_add_and_fetch(&slots[0].grants, 1)];
        slot->pid = getpid();
    }

    got = now();
    wal = database = 0;

    __sync_fetch_and_add(&slot->grants, 1);
    note(got - asked, &slot->waited, slot->waits);
    asked = 0;
}

int flock(int fd, int how)
{
    int       rc;
    uint64_t  time;

    if ((how & LOCK_EX) && asked == 0) {
        asked = now();
    }

    if ((how & LOCK_UN) && got) {
        time = now() - got;
        note(time, &slot->held, slot->holds);

        if (!wal || database) {
            note(time, &slot->step, slot->steps);
        }

        if ((!wal || database) && time > LONG) {
            __sync_fetch_and_add(&slot->slow, time);
        }

        got = 0;
    }

    rc = syscall(SYS_flock, fd, how);

    if (rc == 0 && (how & LOCK_EX)) {
        granted();
    }

    return rc;
}

int fdatasync(int fd)
{
    char     link[32], name[4096];
    ssize_t  n;

    if (got) {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, name, sizeof(name));

        if (n > 4 && memcmp(name + n - 4, "-wal", 4) == 0) {
            wal = 1;

        } else {
            database = 1;
        }
    }

    return syscall(SYS_fdatasync, fd);
}
END

    open my $file, '>', "$self->{dir}/slots" or die "slots: $!";
    truncate $file, 4096 * $size or die "slots: $!";
    close $file;

    return $self;
}


# of each process that took a lock: pid, grants, the longest wait, hold and step
# in milliseconds (waited, held, step), their numbers by the sizes (waits, holds,
# steps), and the milliseconds of all long steps (slow)

sub processes {
    my ($self) = @_;

    open my $file, '<:raw', "$self->{dir}/slots" or die "slots: $!";
    local $/;

    my (undef, @slots) = unpack "(a$size)*", <$file>;
    my @found;

    for (@slots) {
        my ($pid, $grants, $waited, $held, $step, $slow, @counts) =
            unpack 'Q*';
        last unless $pid;

        push @found, {
            pid => $pid, grants => $grants, waited => $waited / 1e6,
            held => $held / 1e6, step => $step / 1e6, slow => $slow / 1e6,
            waits => [ splice @counts, 0, @sizes ],
            holds => [ splice @counts, 0, @sizes ], steps => \@counts
        };
    }

    return @found;
}


# of such numbers, how many there are, and how many of a hundred do not exceed a
# size

sub share {
    my ($name, $ms, @processes) = @_;
    my ($all, $within) = (0, 0);

    for my $p (@processes) {
        for (0 .. $#sizes) {
            $all += $p->{$name}[$_];
            $within += $p->{$name}[$_] if $sizes[$_] <= $ms;
        }
    }

    return ($all, 100 * $within / ($all || 1));
}


# the sum of such numbers, in words

sub numbers {
    my ($name, @processes) = @_;
    my @sums;

    for my $p (@processes) {
        $sums[$_] += $p->{$name}[$_] for 0 .. $#sizes;
    }

    return join ', ', map { ($_ < $#sums ? "to $sizes[$_] ms" : 'more')
                            . " $sums[$_]" }
                      grep { $sums[$_] } 0 .. $#sums;
}


1;

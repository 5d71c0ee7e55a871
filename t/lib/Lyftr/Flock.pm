package Lyftr::Flock;

# How long each process waits for a file lock, and then holds it: a preloaded
# object whose flock() writes down each grant of LOCK_EX.

use strict;
use warnings;

use File::Temp qw(tempdir);


# a time counts for the first of these milliseconds that it does not exceed

our @sizes = (1, 10, 50, 100, 200, 500, 1000, 1e9);

my $size = 8 * (4 + 2 * @sizes);


sub new {
    my ($class) = @_;

    my $dir = tempdir(CLEANUP => 1);
    my $sizes = join ', ', map { $_ * 1000000 } @sizes;

    open my $source, '>', "$dir/flock.c" or die "flock.c: $!";
    print $source <<"END";
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SIZES  ${\ scalar @sizes}

typedef struct {
    uint64_t  pid;
    uint64_t  grants;
    uint64_t  waited;
    uint64_t  held;
    uint64_t  waits[SIZES];
    uint64_t  holds[SIZES];
} slot_t;

static const uint64_t     sizes[] = { $sizes };
static slot_t            *slots, *slot;
static __thread uint64_t  asked, got;

__attribute__((constructor)) static void map(void)
{
    int  fd = open("$dir/slots", O_RDWR);

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

    __sync_fetch_and_add(&slot->grants, 1);
    note(got - asked, &slot->waited, slot->waits);
    asked = 0;
}

int flock(int fd, int how)
{
    int  rc;

    if ((how & LOCK_EX) && asked == 0) {
        asked = now();
    }

    if ((how & LOCK_UN) && got) {
        note(now() - got, &slot->held, slot->holds);
        got = 0;
    }

    rc = syscall(SYS_flock, fd, how);

    if (rc == 0 && (how & LOCK_EX)) {
        granted();
    }

    return rc;
}
END
    close $source;

    open my $file, '>', "$dir/slots" or die "slots: $!";
    truncate $file, 4096 * $size or die "slots: $!";
    close $file;

    system 'cc', '-D_GNU_SOURCE', '-O2', '-shared', '-fPIC', '-o',
           "$dir/flock.so", "$dir/flock.c" and return undef;

    return bless { dir => $dir }, $class;
}


sub object { return "$_[0]{dir}/flock.so" }


# of each process that took a lock: pid, grants, the longest wait and hold in
# milliseconds (waited, held), and their numbers by the sizes (waits, holds)

sub processes {
    my ($self) = @_;

    open my $file, '<:raw', "$self->{dir}/slots" or die "slots: $!";
    local $/;

    my (undef, @slots) = unpack "(a$size)*", <$file>;
    my @found;

    for (@slots) {
        my ($pid, $grants, $waited, $held, @counts) = unpack 'Q*';
        last unless $pid;

        push @found, {
            pid => $pid, grants => $grants, waited => $waited / 1e6,
            held => $held / 1e6, waits => [ @counts[0 .. $#sizes] ],
            holds => [ @counts[@sizes .. $#counts] ]
        };
    }

    return @found;
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

package Lyftr::Memory;

# What processes hold.

use strict;
use warnings;


# Bytes that are not a file's: shared ones divided by those who share them, so
# that a sum over processes counts each once.  Pages of files are left out: how
# they are divided depends on who else on the machine maps them.

sub bytes {
    my $sum = 0;

    for my $pid (@_) {
        open my $file, '<', "/proc/$pid/smaps_rollup" or next;

        /^Pss_(?:Anon|Shmem): +(\d+) kB/ and $sum += $1 * 1024 for <$file>;
    }

    return $sum;
}


sub descriptors {
    return scalar map { glob "/proc/$_/fd/*" } @_;
}


1;

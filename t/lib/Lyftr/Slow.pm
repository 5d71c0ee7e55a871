package Lyftr::Slow;

# A slow disk: a preloaded object whose fdatasync() takes so many milliseconds
# longer.

use strict;
use warnings;

use File::Temp qw(tempdir);


# undef where there is no compiler

sub new {
    my ($class, $msec) = @_;

    my $dir = tempdir(CLEANUP => 1);

    open my $source, '>', "$dir/slow.c" or die "slow.c: $!";
    print $source <<"END";
#include <sys/syscall.h>
#include <unistd.h>

int fdatasync(int fd)
{
    usleep($msec * 1000);
    return syscall(SYS_fdatasync, fd);
}
END
    close $source;

    system 'cc', '-D_GNU_SOURCE', '-shared', '-fPIC', '-o', "$dir/slow.so",
           "$dir/slow.c" and return undef;

    return bless { dir => $dir }, $class;
}


sub object { return "$_[0]{dir}/slow.so" }


1;

package Lyftr::Slow;

# A slow disk: a preloaded object whose fdatasync() takes so many milliseconds
# longer.

use strict;
use warnings;

use parent 'Lyftr::Preload';


# undef where there is no compiler

sub new {
    my ($class, $msec) = @_;

    return $class->build(<<"END");
#include <sys/syscall.h>
#include <unistd.h>

int fdatasync(int fd)
{
    usleep($msec * 1000);
    return syscall(SYS_fdatasync, fd);
}
END
}


1;

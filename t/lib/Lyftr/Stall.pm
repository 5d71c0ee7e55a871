package Lyftr::Stall;

# A disk that stands still: a preloaded object whose fdatasync() and fsync()
# wait as long as a file exists.

use strict;
use warnings;

use parent 'Lyftr::Preload';


# undef where there is no compiler, or nginx does not take the object in

sub new {
    my ($class) = @_;

    my $self = $class->build(<<'END') or return undef;
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void wait_for_disk(void)
{
    while (access(DIR "/on", F_OK) == 0) {
        close(open(DIR "/reached", O_CREAT|O_WRONLY, 0600));
        usleep(10000);
    }
}

/* not of a shell that goes on as nginx without it */
__attribute__((destructor)) static void loaded(void)
{
    close(open(DIR "/loaded", O_CREAT|O_WRONLY, 0600));
}

int fdatasync(int fd)
{
    wait_for_disk();
    return syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    wait_for_disk();
    return syscall(SYS_fsync, fd);
}
END

    my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
    my $object = $self->object;

    system "LD_PRELOAD=$object '$nginx' -v 2>$self->{dir}/version";

    return -e "$self->{dir}/loaded" ? $self : undef;
}


sub on {
    my ($self) = @_;

    unlink "$self->{dir}/reached";
    open my $file, '>', "$self->{dir}/on" or die "on: $!";
}


# some thread waits

sub reached {
    my ($self) = @_;

    return Lyftr::Server::wait_for { -e "$self->{dir}/reached" } 5;
}


sub off { unlink "$_[0]{dir}/on" }

sub DESTROY { $_[0]->off }


1;

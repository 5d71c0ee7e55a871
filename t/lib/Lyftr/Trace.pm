package Lyftr::Trace;

# System calls of running processes that fail: strace attached to all of their
# threads, until the object is gone.

use strict;
use warnings;

use parent 'Lyftr::Calls';


$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);


# calls: of which system calls; inject: what, such as error=EIO; paths: only
# those of these files; pids: of these workers, all unless said; undef if strace
# cannot attach

sub new {
    my ($class, $server, %what) = @_;

    return $class->attach($what{pids} // [$server->workers],
                          '-e', "trace=$what{calls}",
                          '-e', "inject=$what{calls}:$what{inject}",
                          map { ('-P', $_) } @{ $what{paths} // [] });
}


# how many calls have failed

sub injected {
    my ($self) = @_;

    open my $file, '<', "$self->{file}" or die "strace: $!";

    return scalar grep { /INJECTED/ } <$file>;
}


1;

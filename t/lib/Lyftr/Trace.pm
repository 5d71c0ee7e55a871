package Lyftr::Trace;

# System calls of running processes that fail: strace attached to all of their
# threads, until the object is gone.

use strict;
use warnings;

use parent 'Lyftr::Calls';

use File::Temp ();
use POSIX ();

use Lyftr::Server;


$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);


# calls: of which system calls; inject: what, such as error=EIO; paths: only
# those of these files; pids: of these workers, all unless said; undef if strace
# cannot attach

sub new {
    my ($class, $server, %what) = @_;

    my @pids = @{ $what{pids} // [$server->workers] };
    my @options = ('-e', "trace=$what{calls}",
                   '-e', "inject=$what{calls}:$what{inject}",
                   map { ('-P', $_) } @{ $what{paths} // [] });

    my $file = File::Temp->new;
    my $self = bless { file => $file, owner => $$ }, $class;

    $self->{pid} = fork // die "fork: $!";

    if ($self->{pid} == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        open STDERR, '>', '/dev/null';
        exec 'strace', '-f', '-o', "$file", @options, map { ('-p', $_) } @pids
            or POSIX::_exit(1);
    }

    my @tasks = map { "/proc/$_/task" } @pids;

    Lyftr::Server::wait_for {
        !grep { !Lyftr::Calls::traced($_) } map { glob "$_/*/status" } @tasks;
    } 10 or return undef;

    return $self;
}


# how many calls have failed

sub injected {
    my ($self) = @_;

    open my $file, '<', "$self->{file}" or die "strace: $!";

    return scalar grep { /INJECTED/ } <$file>;
}


1;

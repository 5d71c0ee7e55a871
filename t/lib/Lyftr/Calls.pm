package Lyftr::Calls;

# The system calls of a server's workers in the order of time, by strace, which
# stops a thread when it makes a call and when the call returns.

use strict;
use warnings;

use File::Temp ();
use POSIX ();

use Lyftr::Server;


# attaches to all threads; calls are the names of those to record; undef where
# strace cannot attach

sub new {
    my ($class, $server, @calls) = @_;

    # -y: a file by its path; a string is as long as a page of the store

    return $class->attach([$server->workers], '-y', '-s', 4096,
                          '-e', 'trace=' . join(',', @calls));
}


# runs strace with these options; undef if it does not get all threads

sub attach {
    my ($class, $pids, @options) = @_;

    my $file = File::Temp->new;
    my $self = bless { file => $file, owner => $$ }, $class;

    $self->{pid} = fork // die "fork: $!";

    if ($self->{pid} == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        open STDERR, '>', '/dev/null';
        exec 'strace', '-f', '-o', "$file", @options, map { ('-p', $_) } @$pids
            or POSIX::_exit(1);
    }

    Lyftr::Server::wait_for {
        !grep { !traced($_) } map { glob "/proc/$_/task/*/status" } @$pids;
    } 10 or return undef;

    return $self;
}


sub traced {
    my ($name) = @_;

    open my $file, '<', $name or return 1;

    return scalar grep { /^TracerPid:\t[1-9]/ } <$file>;
}


# detaches

sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;

    local $?;

    kill 'INT', $pid;
    waitpid $pid, 0;
}


# tells of each call twice, when it was made and, then with its result, when it
# had returned: $seen->(thread, name, arguments as strace writes them, result)

sub each {
    my ($self, $seen) = @_;

    my %begun;

    open my $file, '<', "$self->{file}" or die "strace: $!";

    while (<$file>) {
        my ($thread, $text) = /^(\d+) +(.*)/ or next;

        if ($text =~ s/^<\.\.\. \w+ resumed>//) {
            $text = (delete $begun{$thread} // next) . $text;

        } else {
            my ($name, $arguments) = $text =~ /^(\w+)\((.*)/ or next;

            $seen->($thread, $name, $arguments);

            if ($text =~ s/ <unfinished \.\.\.>$//) {
                $begun{$thread} = $text;
                next;
            }
        }

        if ($text =~ /^(\w+)\((.*)\) += (-?\d+)/) {
            $seen->($thread, $1, $2, $3);
        }
    }
}


# the bytes of a string as strace writes it

sub bytes {
    my ($string) = @_;

    my %plain = (n => "\n", t => "\t", r => "\r", f => "\f", v => "\013");

    $string =~ s/\\(?:([0-7]{1,3})|(.))
                /defined $1 ? chr oct $1 : $plain{$2} \/\/ $2/gesx;

    return $string;
}


sub DESTROY {
    my ($self) = @_;

    $self->stop if $self->{owner} == $$;
}


1;

package Lyftr::Slowly;

# A process with many clients that send the bodies of their deliveries byte by
# byte.

use strict;
use warnings;

use POSIX ();
use Time::HiRes qw(sleep time);

use Lyftr::Client;


# returns when all have sent their headers

sub start {
    my ($class, $port, $n, $interval) = @_;

    pipe my $ready, my $tell or die "pipe: $!";

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        close $ready;
        eval { deliver($port, $n, $interval, $tell); 1 } or warn $@;
        POSIX::_exit(1);
    }

    close $tell;

    my $self = bless { pid => $pid, owner => $$ }, $class;

    sysread($ready, my $byte, 1) or die "the slow clients failed\n";

    return $self;
}


sub deliver {
    my ($port, $n, $interval, $tell) = @_;

    my @clients = map { Lyftr::Client->new($port) } 1 .. $n;
    my @bodies;

    for (0 .. $#clients) {
        my ($head, $body) = Lyftr::Client::delivery(
            Lyftr::Client::numbered("slow$_")) =~ /\A(.*?\r\n\r\n)(.*)\z/s;

        $clients[$_]->send($head) or die "a slow client was refused\n";
        $bodies[$_] = $body;
    }

    syswrite $tell, '.';

    # spread over the interval

    while (1) {
        my $next = time + $interval / $n;

        for (0 .. $#clients) {
            $clients[$_]->send(substr $bodies[$_], 0, 1, '')
                or die "a slow client was refused\n";

            my $left = $next - time;
            sleep $left if $left > 0;
            $next += $interval / $n;
        }
    }
}


# all of them are still there

sub running {
    my ($self) = @_;

    return $self->{pid} && waitpid($self->{pid}, POSIX::WNOHANG()) == 0;
}


sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;

    local $?;
    kill 'KILL', $pid;
    waitpid $pid, 0;
}


sub DESTROY { $_[0]->stop if $_[0]{owner} == $$ }


1;

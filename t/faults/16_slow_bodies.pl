# A thousand clients that send a byte a second.

use strict;
use warnings;

use lib 't/lib';
use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Server;
use Lyftr::Slowly;


my $many = 1000;
my $rounds = 7;


# two seconds of deliveries by others

sub others {
    my ($server) = @_;

    return Lyftr::Load->start($server->{port}, c => 16, r => 1000, d => 2,
                              t => 2, acks => 0)->wait;
}


# these without and with a crowd, in turn: their p99, and what was answered while
# the crowd was there

sub compared {
    my ($server, $crowd) = @_;

    my (@without, @with);
    my ($answered, $sent) = (0, 0);

    for (1 .. $rounds) {
        push @without, others($server)->{latency_ms}{p99};

        my $there = $crowd->();
        my $report = others($server);

        $there->running or die "the crowd has left\n";
        $there->stop;

        push @with, $report->{latency_ms}{p99};
        $answered += $report->{acknowledged};
        $sent += $report->{requests};
    }

    my ($without, $with) = map { percentile(50, @$_) } \@without, \@with;

    return { ratio => $with / $without, answered => $answered, sent => $sent,
             text => sprintf '%.1f ms, without %.1f', $with, $without };
}


# one that is held is all that a worker has

my $server = Lyftr::Server->new(connections => 4096,
                                main => 'thread_pool default threads=1;');
others($server);

my $run = compared($server, sub {
    Lyftr::Slowly->start($server->{port}, $many, 1);
});

figure('1,000 slow bodies, p99 of others', $run->{text}, 'at most doubled',
       $run->{ratio} <= 2);
figure('stored meanwhile by the only pool thread',
       "$run->{answered} of $run->{sent}", 'all',
       $run->{answered} == $run->{sent} && $run->{sent} > 1000 * $rounds);

$run = compared($server, sub {
    Lyftr::Load->start($server->{port}, c => $many, d => 3600, acks => 0);
});

control('1,000 that are not slow', $run->{text}, 'at most doubled',
        $run->{ratio} > 2);

my $lock = $server->lock;
my $report = others($server);

control('the pool thread waits for a lock',
        "$report->{acknowledged} of $report->{requests}", 'all',
        $report->{acknowledged} == 0);

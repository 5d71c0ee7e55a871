# 4 workers at full load: how long each waits for the file lock that a commit
# takes, and how even the turns are; and how long the lock is held by what is no
# batch.

use strict;
use warnings;

use lib 't/lib';
use List::Util qw(max min sum);
use Time::HiRes qw(sleep);

use Lyftr::Fault;
use Lyftr::Flock;
use Lyftr::Load;
use Lyftr::Server;


my $workers = 4;


# of so many seconds: what took the lock, and what the load saw

sub locks {
    my ($seconds, $connections, %server) = @_;

    my $flock = Lyftr::Flock->new // skip('this needs a C compiler');
    my $server = Lyftr::Server->new(%server, preload => $flock,
                                    listen => 'reuseport');
    my $load = Lyftr::Load->start($server->{port}, c => $connections,
                                  d => $seconds, acks => 0);
    my $report = $load->wait;
    my @found = $flock->processes;

    $server->stop;

    note("$_:", Lyftr::Flock::numbers($_, @found)) for qw(waits holds steps);
    note(sprintf '%d a second, p99 %d ms, turns %s, longest %s, held %d ms',
         $report->{rate}, $report->{latency_ms}{p99},
         join(' ', map { $_->{grants} } @found),
         join(' ', map { int $_->{waited} } @found),
         max map { $_->{held} } @found);

    return ($report, @found);
}


# of so many seconds: the longest wait in milliseconds, that worker's share of
# the grants that had the fewest, of the mean, and what the load saw

sub waits {
    my ($seconds, @planted) = @_;

    my ($report, @found) = locks(
        $seconds, 256, workers => $workers,
        @planted ? (module => planted(@planted)) : ());

    my @grants = map { $_->{grants} } @found;

    push @grants, 0 while @grants < $workers;

    return (max(map { $_->{waited} } @found),
            min(@grants) / (sum(@grants) / $workers), $report);
}


my ($longest, $share, $report) = waits(30);

figure('longest wait for the lock', sprintf('%d ms', $longest),
       'at most 500 ms', $longest <= 500);
figure('the turns of the worker with the fewest',
       sprintf('%d %% of the mean', 100 * $share), 'at least 50 %',
       $share >= 0.5);
figure('other answers than 200', scalar %{ $report->{statuses} }, '0',
       !%{ $report->{statuses} } && $report->{errors} == 0);

($longest, $share) = waits(30, 'backs_off');

control("turns by SQLite's back-off", sprintf('%d ms', $longest),
        'at most 500 ms', $longest > 500);

($longest, $share) = waits(10, 'unfair');

control('a worker that asks late', sprintf('%d %% of the mean', 100 * $share),
        'at least 50 %', $share < 0.5);


# Batches alone may hold the lock for long: of the steps of the housekeeping,
# those within 2 ms, and the share of the time that those over 5 ms take
# together.

sub steps {
    my ($seconds, @planted) = @_;

    my ($report, @found) = locks($seconds, 64,
        @planted ? (module => planted(@planted)) : ());

    my ($steps, $short) = Lyftr::Flock::share('steps', 2, @found);

    return ($steps, $short, sum(map { $_->{slow} } @found) / $seconds / 10,
            max(map { $_->{step} } @found));
}


my ($steps, $short, $slow, $most) = steps(60);

figure("$steps turns that are no batch, to 2 ms",
       sprintf('%.1f %%', $short), 'at least 95 %',
       $short >= 95 && $steps > 1000);
figure('those over 5 ms, of the time',
       sprintf('%.2f %%, longest %.1f ms', $slow, $most), 'less than 0.5 %',
       $slow < 0.5);

($steps, $short, $slow) = steps(20, 'large_steps');

control('steps of any size', sprintf('%.2f %%', $slow), 'less than 0.5 %',
        $slow >= 0.5);

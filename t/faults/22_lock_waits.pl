# 4 workers at full load: how long each waits for the file lock that a
# commit takes, and how even the turns are.

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


# of so many seconds: the longest wait in milliseconds, that worker's share of
# the grants that had the fewest, of the mean, and what the load saw

sub waits {
    my ($seconds, @planted) = @_;

    my $flock = Lyftr::Flock->new // skip('this needs a C compiler');
    my $server = Lyftr::Server->new(
        workers => $workers, preload => $flock, listen => 'reuseport',
        @planted ? (module => planted(@planted)) : ());

    my $load = Lyftr::Load->start($server->{port}, c => 256, d => $seconds,
                                  acks => 0);
    my $report = $load->wait;
    my @found = $flock->processes;

    $server->stop;

    my @grants = map { $_->{grants} } @found;

    note('waits:', Lyftr::Flock::numbers('waits', @found));
    note('holds:', Lyftr::Flock::numbers('holds', @found));
    note(sprintf '%d a second, p99 %d ms, turns %s, longest %s, held %d ms',
         $report->{rate}, $report->{latency_ms}{p99}, "@grants",
         join(' ', map { int $_->{waited} } @found),
         max map { $_->{held} } @found);

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

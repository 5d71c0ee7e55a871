# 4 servers of one store at full load: how long each waits for the file lock
# that a commit takes, and how even the turns are; and how long the lock is held
# by what is no batch.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use List::Util qw(max min sum);
use Time::HiRes qw(sleep);

use Lyftr::Fault;
use Lyftr::Flock;
use Lyftr::Load;
use Lyftr::Server;


my $writers = 4;


# of so many seconds: what took the lock, and what the loads saw, of one server
# for each of these options

sub locks {
    my ($seconds, $connections, @servers) = @_;

    my $flock = Lyftr::Flock->new // skip('this needs a C compiler');
    my $dir = tempdir(CLEANUP => 1);

    @servers = map { Lyftr::Server->new(%$_, preload => $flock,
                                        db => "$dir/app.db") } @servers;

    my @loads = map { Lyftr::Load->start($_->{port}, c => $connections,
                                         d => $seconds, acks => 0) } @servers;
    my @reports = map { $_->wait } @loads;
    my @found = $flock->processes;

    $_->stop for @servers;

    my $report = { rate => sum(map { $_->{rate} } @reports),
                   latency_ms => { p99 => max(map { $_->{latency_ms}{p99} }
                                              @reports) },
                   errors => sum(map { $_->{errors} } @reports),
                   statuses => { map { %{ $_->{statuses} } } @reports } };

    note("$_:", Lyftr::Flock::numbers($_, @found)) for qw(waits holds steps);
    note(sprintf '%d a second, p99 %d ms, turns %s, longest %s, held %d ms',
         $report->{rate}, $report->{latency_ms}{p99},
         join(' ', map { $_->{grants} } @found),
         join(' ', map { int $_->{waited} } @found),
         max map { $_->{held} } @found);

    return ($report, @found);
}


# of so many seconds: the longest wait in milliseconds, that server's share of
# the grants that had the fewest, of the mean, and what the load saw; the first
# one has what is planted

sub waits {
    my ($seconds, @planted) = @_;

    my ($report, @found) = locks(
        $seconds, 64, { workers => 1,
                        @planted ? (module => planted(@planted)) : () },
        map { { workers => 1 } } 2 .. $writers);

    my @grants = map { $_->{grants} } @found;

    push @grants, 0 while @grants < $writers;

    return (max(map { $_->{waited} } @found),
            min(@grants) / (sum(@grants) / $writers), $report);
}


my ($longest, $share, $report) = waits(30);

figure('longest wait for the lock', sprintf('%d ms', $longest),
       'at most 500 ms', $longest <= 500);
figure('the turns of the server with the fewest',
       sprintf('%d %% of the mean', 100 * $share), 'at least 50 %',
       $share >= 0.5);
figure('other answers than 200', scalar %{ $report->{statuses} }, '0',
       !%{ $report->{statuses} } && $report->{errors} == 0);

($longest, $share) = waits(30, 'backs_off');

control("turns by SQLite's back-off", sprintf('%d ms', $longest),
        'at most 500 ms', $longest > 500);

($longest, $share) = waits(10, 'unfair');

control('a server that asks late', sprintf('%d %% of the mean', 100 * $share),
        'at least 50 %', $share < 0.5);


# Batches alone may hold the lock for long: of the steps of the housekeeping,
# those within 2 ms, and the share of the time that those over 5 ms take
# together.

sub steps {
    my ($seconds, @planted) = @_;

    my ($report, @found) = locks($seconds, 64, {
        @planted ? (module => planted(@planted)) : () });

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

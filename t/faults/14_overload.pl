# More deliveries than the disk can take.

use strict;
use warnings;

use lib 't/lib';
use List::Util qw(sum);
use Time::HiRes qw(time);

use Lyftr::Client;
use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Scenario;
use Lyftr::Server;
use Lyftr::Slow;


my $slow = Lyftr::Slow->new(20) // skip('no shared object can be made');


# small batches, so that it is the commits that all wait for, not the processors

sub server {
    my ($store, %more) = @_;

    return Lyftr::Server->new(preload => $slow, connections => 16384,
                              store => $store, %more);
}


# twice what is sustained, which a closed loop has measured

sub overload {
    my ($store, %server) = @_;

    my $server = server($store, %server);
    my $sustained = Lyftr::Load->start($server->{port}, c => 512, d => 5,
                                       acks => 0)->wait->{rate};

    my $load = Lyftr::Load->start($server->{port}, c => 8192, d => 10,
                                  r => 2 * $sustained);
    my $report = $load->wait;

    $server->stop;

    return { server => $server, sustained => $sustained,
             %$report, rows => Lyftr::Load::compare($server->{db}, $load) };
}


# Fills the queue of a worker; when the ones that are refused have to come back,
# and how long what waits takes.

sub retry_after {
    my (%server) = @_;

    my $server = server('batch=1 queue=100 delay=60s timeout=60s',
                        workers => 1, %server);
    my $warm = $server->client;

    for (1 .. 30) {
        Lyftr::Scenario::post($warm, "warm$_");
        $warm->response;
    }

    my @clients = map { $server->client } 1 .. 130;
    my $start = time;

    Lyftr::Scenario::post($clients[$_], "queued$_") for 0 .. $#clients;

    my @answers = map { $_->response } @clients;
    my $took = time - $start;
    my @refused = grep { $_->{status} == 503 } @answers;

    return ($took, map { Lyftr::Client::header($_, 'Retry-After') // 'none' }
                       @refused);
}


my $run = overload('batch=64');
my $rows = $run->{rows};
my $refused = delete $run->{statuses}{503} // 0;
my $others = sum(0, values %{ $run->{statuses} }) + $run->{errors};

note("sustained: $run->{sustained}/s, accepted: $run->{rate}/s");

figure('at twice the load, p99 of the accepted',
       sprintf('%d ms of %d', $run->{latency_ms}{p99}, $run->{acknowledged}),
       'below 1 s', $run->{latency_ms}{p99} < 1000
       && $run->{acknowledged} > 5 * $run->{sustained});
figure('refused with 503, otherwise', "$refused, $others", 'some, 0',
       $refused > $run->{requests} / 5 && $others == 0);
figure('lost, changed, twice', join(', ', @$rows{qw(lost changed twice)}),
       '0 of each', $rows->{lost} == 0 && $rows->{changed} == 0
       && $rows->{twice} == 0);

$run = overload('batch=64 delay=60s');

control('no limit in time', sprintf('%d ms', $run->{latency_ms}{p99}),
        'below 1 s', $run->{latency_ms}{p99} >= 1000);

my ($took, @after) = retry_after();
my $told = percentile(50, @after);

figure('Retry-After of a queue of ' . sprintf('%.1f s', $took),
       "$told s in " . @after . ' answers', 'half to twice that',
       @after >= 20 && !grep { $_ < $took / 2 || $_ > 2 * $took } @after);

($took, @after) = retry_after(module => planted('retry_at_once'));

control('a fixed Retry-After', percentile(50, @after) . ' s of '
        . sprintf('%.1f s', $took), 'half to twice that',
        grep { $_ < $took / 2 || $_ > 2 * $took } @after);

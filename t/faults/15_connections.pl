# Ten thousand kept connections that post at once, to the service as it ships.

use strict;
use warnings;

use lib 't/lib';
use List::Util qw(max sum);
use Time::HiRes qw(sleep);

use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Memory;
use Lyftr::Server;
use Lyftr::Shipped;


my $connections = 10_000;

my ($limit) = `sh -c 'ulimit -n'` =~ /(\w+)/;
skip('this needs 12,000 open files')
    if $limit ne 'unlimited' && $limit < 1.2 * $connections;


# of nginx, or of the launcher whose child it is

sub workers {
    my ($server) = @_;

    return map { /(\d+)/ } grep { /nginx: worker/ }
           map { `ps -o pid=,args= --ppid $_` }
           $server->{pid}, $server->workers;
}


sub burst {
    my ($server) = @_;

    # they have their caches

    my @workers = workers($server);

    Lyftr::Load->start($server->{port}, c => 256, n => 50_000,
                       acks => 0)->wait;

    my $before = Lyftr::Memory::bytes(@workers);
    my $load = Lyftr::Load->start($server->{port}, c => $connections,
                                  n => $connections, p => $connections);
    my @samples;

    while ($load->running) {
        push @samples, Lyftr::Memory::bytes(@workers);
        sleep 0.02;
    }

    my $report = $load->wait;

    $server->stop;

    return { %$report, each => (max(@samples) - $before) / $connections / 1024,
             others => sum(0, $report->{errors},
                           values %{ $report->{statuses} }),
             rows => Lyftr::Load::compare($server->{db}, $load) };
}


my $run = burst(Lyftr::Shipped->new);
my $rows = $run->{rows};

note("the slowest: $run->{latency_ms}{max} ms");

figure('10,000 connections at once, not 200',
       "$run->{others} of $run->{requests}", '0',
       $run->{others} == 0 && $run->{acknowledged} == $connections);
figure('lost, changed, twice', join(', ', @$rows{qw(lost changed twice)}),
       '0 of each', $rows->{acked} == $connections && $rows->{lost} == 0
       && $rows->{changed} == 0 && $rows->{twice} == 0);
figure('memory of a connection', sprintf('%.1f KB', $run->{each}),
       'at most 16 KB', $run->{each} <= 16);

$run = burst(Lyftr::Server->new(store => 'queue=100', connections => 16384,
                                http => 'keepalive_requests 100000;'));

control('queue=100', "$run->{others} not 200", '0', $run->{others} > 0);

local $ENV{TEST_NGINX_LOAD_MODULES} = planted('large_requests');

$run = burst(Lyftr::Shipped->new);

control('requests with a buffer', sprintf('%.1f KB', $run->{each}),
        'at most 16 KB', $run->{each} > 16);

# HUP again and again, under load; who has the housekeeping of the store then;
# and what a hundred of them leave behind.

use strict;
use warnings;

use lib 't/lib';
use Time::HiRes qw(sleep time);

use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Memory;
use Lyftr::Server;
use Lyftr::Housekeeping;


# half of the load keeps its connections, half takes a new one each time

sub under_load {
    my ($seconds, %server) = @_;

    my $server = Lyftr::Server->new(workers => 8, %server,
        server => 'location = /once { lyftr_webhook main;
                                      keepalive_timeout 0; }');

    my @loads = map { Lyftr::Load->start($server->{port}, r => 1500, c => 16,
                                         d => 3600, t => 10, u => $_) }
                    qw(/webhook /once);

    my $end = time + $seconds;

    while (time < $end) {
        sleep 1;
        $server->signal('HUP');
    }

    my ($kept, $once) = map { $_->stop } @loads;
    $server->stop;

    return { kept => $kept, once => $once,
             alarms => scalar(() = $server->alarms),
             reloads => $server->logged('SIGHUP\) received'),
             others => sum(map { values %{ $_->{statuses} }, $_->{errors} }
                               $kept, $once),
             rows => Lyftr::Load::compare($server->{db}, @loads) };
}


sub sum {
    my $sum = 0;

    $sum += $_ for @_;

    return $sum;
}


# The longest that a new worker waited for the housekeeping, though a client
# that does not read keeps each old worker; and how often the one that had it
# was there still.

sub handed_over {
    my ($rounds, %server) = @_;

    my $server = Lyftr::Server->new(workers => 8, %server,
                                    listen => 'reuseport');
    my $load = Lyftr::Load->start($server->{port}, r => 3000, c => 16,
                                  d => 3600, t => 10);
    my ($slowest, $kept) = (0, 0);

    for (1 .. $rounds) {
        my $owner = Lyftr::Server::wait_for {
            Lyftr::Housekeeping::owner($server)
        };
        my %old = map { $_ => 1 } $server->workers;
        my @clients = map { $server->client } 1 .. 80;

        $_->send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n") for @clients;
        $server->drained;

        my $start = time;

        $server->signal('HUP');

        my $new = Lyftr::Server::wait_for {
            my $pid = Lyftr::Housekeeping::owner($server);
            $pid && !$old{$pid};
        } 10;

        my $seconds = $new ? time - $start : 9**9**9;

        $slowest = $seconds if $seconds > $slowest;
        $kept += kill 0, $owner;
    }

    $load->stop;
    my $left = Lyftr::Housekeeping::settled($server);
    $server->stop;

    return ($slowest, $kept, $left);
}


# memory and descriptors after a few reloads, and after a hundred more; each
# time the workers are new and have got the same deliveries, all duplicates

sub left_behind {
    my (%server) = @_;

    # a kernel that spreads the connections sees to it that both workers work

    my $server = Lyftr::Server->new(%server, listen => 'reuseport');

    work($server);
    reload($server) for 1 .. 10;
    my @before = held($server);

    reload($server) for 1 .. 100;
    my @after = held($server);

    note('bytes of the master, of the workers, descriptors:');
    note("@$_") for \@before, \@after;

    return map { 100 * ($after[$_] / $before[$_] - 1) } 0 .. 2;
}


sub reload {
    my ($server) = @_;

    my %old = map { $_ => 1 } $server->workers;
    $server->signal('HUP');

    Lyftr::Server::wait_for {
        my @pids = $server->workers;
        @pids == 2 && !grep { $old{$_} } @pids;
    } or die "the workers are not new\n";
}


sub work {
    my ($server) = @_;

    Lyftr::Load->start($server->{port}, n => 20_000, c => 32, s => 1,
                       acks => 0)->wait;
}


sub held {
    my ($server) = @_;

    work($server);

    my @pids = ($server->{pid}, $server->workers);

    return Lyftr::Memory::bytes($pids[0]), Lyftr::Memory::bytes(@pids[1, 2]),
           Lyftr::Memory::descriptors(@pids);
}


my $seconds = 60;
my $run = under_load($seconds);
my $rows = $run->{rows};

figure("$run->{reloads} reloads, not 200", "$run->{others} of $rows->{acked}",
       '0', $run->{others} == 0 && $rows->{acked} > 1000 * $seconds
            && $run->{reloads} > 0.9 * $seconds);
figure('fresh connections that failed',
       "$run->{once}{failed} of $run->{once}{requests}", '0',
       $run->{kept}{failed} + $run->{once}{failed} == 0);
figure("$run->{kept}{retries} were sent again, rows",
       "$rows->{rows} of $rows->{acked}", 'one each',
       $rows->{rows} == $rows->{acked} && $rows->{twice} == 0
       && $rows->{lost} == 0 && $rows->{changed} == 0);
figure('alarms in the log', $run->{alarms}, '0', $run->{alarms} == 0);

$run = under_load(10, module => planted('no_timer'));

control('no timer keeps a worker', "$run->{once}{failed} failed", '0',
        $run->{once}{failed} > 0);

my $rounds = 10;
my ($slowest, $kept, $left) = handed_over($rounds);

figure("$rounds times the housekeeping goes to a new worker",
       sprintf('after %.2f s, %d kept', $slowest, $kept), 'at most 3 s, all',
       $slowest <= 3 && $kept == $rounds);
figure('rows and blocks that stay behind', $left, '0', $left == 0);

($slowest) = handed_over(1, module => planted('housekeeping_kept'));

control('the old worker keeps it', sprintf('after %.2f s', $slowest),
        'at most 3 s', $slowest > 3);

my @more = left_behind();

for (['memory of the master', 0], ['memory of the workers', 1],
     ['descriptors', 2])
{
    my ($name, $i) = @$_;

    figure("100 reloads, $name", sprintf('%+.1f %%', $more[$i]), 'within 5 %',
           abs $more[$i] <= 5);
}

@more = left_behind(module => planted('leak_of_a_reload'));

for (['memory', 0], ['a file', 2]) {
    my ($name, $i) = @$_;

    control("a reload loses $name", sprintf('%+.1f %%', $more[$i]),
            'within 5 %', $more[$i] > 5);
}

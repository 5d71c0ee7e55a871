# kill -9 of the worker that has the housekeeping, under load, in the midst of
# making and merging segments and of counting.

use strict;
use warnings;

use lib 't/lib';
use Time::HiRes qw(sleep time);

use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Server;
use Lyftr::Housekeeping;


my $rounds = 50;


# Kills so many times, each time the successor has got some way; then what is
# wrong, and how many rows and blocks the housekeeping has left alone.  Segments
# are small, so that each life of a worker makes and merges many.

sub kills {
    my ($rounds, @planted) = @_;

    my $server = Lyftr::Server->new(
        module => planted('small_segments', @planted));
    my $load = Lyftr::Load->start($server->{port}, r => 12000, c => 64,
                                  d => 3600);
    my ($killed, $slowest, $level, $from) = (0, 0, 0);

    for my $round (1 .. $rounds) {
        my $start = time;
        my $owner = Lyftr::Server::wait_for {
            Lyftr::Housekeeping::owner($server);
        } or last;

        $slowest = time - $start if $round > 1 && time - $start > $slowest;

        sleep 0.3 + rand 0.7;

        $killed += kill 'KILL', $owner;
        Lyftr::Server::wait_for {
            $server->logged('exited on signal 9') == $killed
        };
    }

    # on a slow machine, too, there are rows for a segment of level 2

    Lyftr::Server::wait_for {
        Lyftr::Housekeeping::state($server)->{last} > 70 * 2048
    } 120;

    my $report = $load->stop;

    # nobody kills it any more

    Lyftr::Server::wait_for {
        Lyftr::Housekeeping::state($server)->{level} > 1
    } 60;

    my $left = Lyftr::Housekeeping::settled($server,
                                             @planted ? 20 : undef);
    my $state = Lyftr::Housekeeping::state($server);
    my @faults = Lyftr::Housekeeping::faults($server);

    $server->stop;

    note($_) for @faults;
    note("$state->{segments} segments of $state->{next} are left, the highest",
         "of level $state->{level}; $report->{retries} were sent again");

    return { killed => $killed, slowest => $slowest, left => $left,
             state => $state, faults => scalar @faults,
             found => Lyftr::Load::compare($server->{db}, $load),
             integrity => Lyftr::Load::integrity($server->{db}) };
}


my $seen = kills($rounds);
my ($found, $state) = @$seen{qw(found state)};

figure("$rounds kills of the housekeeping, lost",
       "$found->{lost} of $found->{acked}", '0',
       $found->{lost} == 0 && $seen->{killed} == $rounds
       && $found->{acked} > 2000 * $rounds);
figure('stored twice, stored otherwise', "$found->{twice}, $found->{changed}",
       '0, 0', $found->{twice} + $found->{changed} == 0);
figure('the next worker has it after', sprintf('%.2f s', $seen->{slowest}),
       'at most 3 s', $seen->{slowest} <= 3);
figure("$state->{next} segments, wrong rows and totals", $seen->{faults}, '0',
       $seen->{faults} == 0 && $state->{level} > 1
       && $state->{next} > 2 * $rounds);
figure('blocks and counts that stay behind', $seen->{left}, '0',
       $seen->{left} == 0);
figure('integrity', $seen->{integrity}, 'ok', $seen->{integrity} eq 'ok');

$seen = kills(15, 'no_sweep');

control('no sweep, what stays behind', $seen->{left}, '0', $seen->{left} > 0);

$seen = kills(15, 'counted_again');

control('a step is counted again, wrong', $seen->{faults}, '0',
        $seen->{faults} > 0);

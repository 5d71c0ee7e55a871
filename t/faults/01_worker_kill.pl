# fast: kill -9 of a random worker of eight under load.

use strict;
use warnings;

use lib 't/lib';
use List::Util qw(min);
use Time::HiRes qw(sleep);

use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Server;


my $rounds = scale(200, 10);


# Kills one of so many workers so many times, as soon as its successor is there:
# at first each of them, for one alone may have all connections, and then any.

sub kills {
    my ($rounds, $n, %server) = @_;

    my $server = Lyftr::Server->new(workers => $n, %server);
    my $load = Lyftr::Load->start($server->{port}, r => 6000, c => 32,
                                  d => 3600);

    my $killed = sub { $server->logged('exited on signal 9') };

    for my $round (1 .. $rounds) {
        my $workers = Lyftr::Server::wait_for {
            my @pids = $server->workers;
            @pids == $n && \@pids;
        };

        sleep 0.2 + rand 0.6;
        kill 'KILL', $round <= $n ? min(@$workers) : $workers->[rand $n];

        # one that is gone already is still listed for a moment

        Lyftr::Server::wait_for { $killed->() == $round };
    }

    my $report = $load->stop;
    $server->stop;

    return (Lyftr::Load::compare($server->{db}, $load), $report,
            Lyftr::Load::integrity($server->{db}), $killed->());
}


my ($found, $report, $integrity, $killed) = kills($rounds, 8);

figure("$killed kills, lost", "$found->{lost} of $found->{acked}", '0',
       $found->{lost} == 0 && $killed == $rounds
       && $found->{acked} > 500 * $rounds);
figure('deliveries that a kill cut off', $report->{retries}, 'some',
       $report->{retries} > 0);
figure('stored otherwise than sent', $found->{changed}, '0',
       $found->{changed} == 0);
figure('stored twice', $found->{twice}, '0', $found->{twice} == 0);
figure('integrity', $integrity, 'ok', $integrity eq 'ok');

# what one of several has answered too early another one stores all the same

my ($early) = kills(scale(40, 10), 1, module => planted('early_answer'));

control('acknowledged before the commit',
        "$early->{lost} lost of $early->{acked}", '0 lost',
        $early->{lost} > 0);

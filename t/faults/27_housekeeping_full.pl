# The disk is full while segments are made and senders are counted, again and
# again.

use strict;
use warnings;

use lib 't/lib';
use Time::HiRes qw(sleep time);

use Lyftr qw(message);
use Lyftr::Disk;
use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Server;
use Lyftr::Housekeeping;
use Lyftr::Watch;


Lyftr::Disk::private();

my $size = 512 << 20;


# Fills the disk until deliveries were refused for a second, and makes room, so
# many times.  Between that it waits until segments are made again: for how long
# at most, and what is wrong with the store in the end.

sub full {
    my ($rounds, @planted) = @_;

    my $disk = Lyftr::Disk->tmpfs($size);
    my $server = Lyftr::Server->new(
        db => "$disk->{dir}/app.db",
        module => planted('small_segments', @planted));
    my $watch = Lyftr::Watch->start($server, '/webhook' => 4);
    my $load = Lyftr::Load->start($server->{port}, r => 6000, c => 32,
                                  d => 3600);
    my ($slowest, $refused, $n) = (0, 0, 0);

    Lyftr::Server::wait_for { $server->created };
    made($server, 10);

    for my $round (1 .. $rounds) {
        my $from;

        for (my $end = time + 30; time < $end; sleep 0.02) {
            $disk->fill;

            my $r = $server->post(message(message_id => 'full' . ++$n));

            $from //= time if $r->{status} != 200;
            last if $from && time - $from > 1;
        }

        $refused++ if $from;
        $disk->release;

        my $seconds = made($server, 3);

        $slowest = $seconds if $seconds > $slowest;
        last if $seconds > 20;
    }

    $watch->stop;
    $load->stop;

    my $left = Lyftr::Housekeeping::settled($server);
    my $made = Lyftr::Housekeeping::state($server)->{next};
    my @faults = Lyftr::Housekeeping::faults($server);

    $server->stop;
    note($_) for @faults;

    return { refused => $refused, slowest => $slowest, left => $left,
             made => $made, faults => scalar @faults,
             found => Lyftr::Load::compare($server->{db}, $load, $watch->acks),
             integrity => Lyftr::Load::integrity($server->{db}) };
}


# seconds until so many more segments are made, or infinity

sub made {
    my ($server, $more) = @_;

    my $start = time;
    my $before = Lyftr::Housekeeping::state($server)->{indexed};

    my $made = Lyftr::Server::wait_for {
        Lyftr::Housekeeping::state($server)->{indexed} >= $before + 2048 * $more
    };

    return $made ? time - $start : 9**9**9;
}


my $rounds = 10;
my $seen = full($rounds);
my $found = $seen->{found};

figure("$seen->{refused} times full, lost",
       "$found->{lost} of $found->{acked}", '0',
       $found->{lost} == 0 && $seen->{refused} == $rounds
       && $found->{acked} > 10000);
figure('stored twice, stored otherwise', "$found->{twice}, $found->{changed}",
       '0, 0', $found->{twice} + $found->{changed} == 0);
figure('three more segments are made after',
       sprintf('%.1f s', $seen->{slowest}), 'at most 10 s',
       $seen->{slowest} <= 10);
figure("$seen->{made} segments, wrong rows and totals", $seen->{faults}, '0',
       $seen->{faults} == 0);
figure('blocks and counts that stay behind', $seen->{left}, '0',
       $seen->{left} == 0);
figure('integrity', $seen->{integrity}, 'ok', $seen->{integrity} eq 'ok');

$seen = full(12, 'counted_again');

control('a step is counted again, wrong', $seen->{faults}, '0',
        $seen->{faults} > 0);

# Ten minutes at half of the load that the machine can take (SOAK: so many
# minutes): memory and descriptors of all workers, and what was stored.

use strict;
use warnings;

use lib 't/lib';
use List::Util qw(max reduce sum);
use Time::HiRes qw(sleep time);

use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Server;


my $minutes = $ENV{SOAK} || 10;

# deliveries a second that are kept to be compared; the others are counted

my $kept = 1000;


# of all workers: the proportional set size in MB, and open descriptors

sub sample {
    my ($server) = @_;
    my ($pss, $fds) = (0, 0);

    for my $pid ($server->workers) {
        open my $rollup, '<', "/proc/$pid/smaps_rollup" or die "smaps: $!";
        local $/;
        $pss += <$rollup> =~ /^Pss:\s+(\d+)/m ? $1 / 1024 : die "no Pss\n";

        opendir my $dir, "/proc/$pid/fd" or die "fd: $!";
        $fds += grep { /\d/ } readdir $dir;
    }

    return [ time, $pss, $fds ];
}


# by least squares, a minute, of one of a sample's numbers

sub slope {
    my ($i, @samples) = @_;

    my $x = sum(map { $_->[0] } @samples) / @samples;
    my $y = sum(map { $_->[$i] } @samples) / @samples;

    return 60 * sum(map { ($_->[0] - $x) * ($_->[$i] - $y) } @samples)
           / sum(map { ($_->[0] - $x) ** 2 } @samples);
}


# The samples after the first part of so many minutes, in which caches fill; how
# many deliveries were acknowledged; and the list of the kept ones.

sub soak {
    my ($server, $rate, $minutes, $first) = @_;

    my %load = (d => 60 * $minutes, c => 32);
    my $load = Lyftr::Load->start($server->{port}, %load, r => $kept);
    my @others = (
        Lyftr::Load->start($server->{port}, %load, r => $rate - $kept,
                           acks => 0),
        Lyftr::Load->start($server->{port}, %load, r => 20, acks => 0,
                           m => 'get', u => '/messages?limit=20'));
    my $start = time;
    my @samples;

    while (time < $start + 60 * $minutes - 2) {
        sleep 2;

        my $sample = sample($server);
        push @samples, $sample if time > $start + 60 * $first;

        note(sprintf 'after %d s: %.1f MB, %d descriptors',
             time - $start, @$sample[1, 2]) if @samples % 15 == 1;
    }

    my @reports = map { $_->wait } $load, @others;
    $server->stop;

    note(sprintf '%.0f a second, p99 %.0f ms, other answers: %s',
         $reports[0]{rate} + $reports[1]{rate}, $reports[1]{latency_ms}{p99},
         join(' ', map { %{ $_->{statuses} } } @reports) || 'none');

    return (\@samples, $reports[0]{acknowledged} + $reports[1]{acknowledged},
            $load);
}


# What reads and steps sort comes and goes, and is more than what is kept, which
# is seen between them: so of each half minute, the sample with the least.

sub kept {
    my @kept;

    while (my @some = splice @_, 0, 15) {
        push @kept, reduce { $a->[1] < $b->[1] ? $a : $b } @some;
    }

    return @kept;
}


sub growth { return sprintf '%.2f MB a minute', slope(1, @_) }

sub drift { return sprintf '%+.1f a minute', slope(2, @_) }


my $server = Lyftr::Server->new;
my $most = Lyftr::Load->start($server->{port}, c => 64, d => 15, acks => 0)
                      ->wait->{rate};
undef $server;

note(sprintf 'the maximum is %.0f a second', $most);

my $rate = int $most / 2;

$server = Lyftr::Server->new;
my ($samples, $acked, $load) = soak($server, $rate, $minutes, $minutes * 0.3);

my @least = kept(@$samples);

note(sprintf 'the most was %.1f MB', max(map { $_->[1] } @$samples));

figure("$minutes min at $rate a second: memory", growth(@least),
       'less than 1 MB', slope(1, @least) < 1);
figure('descriptors', drift(@$samples), 'less than 1',
       abs slope(2, @$samples) < 1);

my $found = Lyftr::Load::compare($server->{db}, $load);
my $lost = $found->{lost} + max(0, $acked - $found->{rows});

figure('lost', "$lost of $acked", '0', $lost == 0 && $acked > 10000);
figure("of $found->{acked} stored otherwise, or twice",
       $found->{changed} + $found->{twice}, '0',
       $found->{changed} + $found->{twice} == 0 && $found->{acked} > 1000);

undef $load;

$server = Lyftr::Server->new(module => planted('leaks'));
($samples) = soak($server, $rate, 2, 1);

@least = kept(@$samples);

control('100 bytes a delivery are not freed', growth(@least),
        'less than 1 MB', slope(1, @least) >= 1);
control('a descriptor of 1000 is not closed', drift(@$samples),
        'less than 1', slope(2, @$samples) >= 1);

# fast: kill -9 of the master and all workers under load, then a new start.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use List::Util qw(max);
use Time::HiRes qw(sleep time);

use Lyftr qw(message);
use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Server;


my $rounds = scale(50, 3);


# the store as the killed have left it, for the next start is to find it so

sub left_behind {
    my ($db) = @_;

    my $dir = tempdir(CLEANUP => 1);

    system "cp $db $db-wal $dir/" and die "the store was not copied\n";

    my $integrity = Lyftr::Load::integrity("$dir/app.db");
    system 'rm', '-r', $dir;

    return $integrity;
}


# seconds from the start to the first delivery's 200

sub first_200 {
    my ($id, %server) = @_;

    my $start = time;
    my $server = Lyftr::Server->new(%server);

    Lyftr::Server::wait_for {
        $server->post(message(message_id => $id))->{status} == 200;
    };

    return ($server, time - $start);
}


# kills all processes so many times, and starts them again

sub kills {
    my ($rounds, %server) = @_;

    my $server = Lyftr::Server->new(%server);
    my %again = (%server, map { $_ => $server->{$_} } qw(dir db port));
    my $load = Lyftr::Load->start($server->{port}, r => 6000, c => 64,
                                  d => 3600);
    my ($killed, @damaged, @seconds) = (0);

    for my $round (1 .. $rounds) {
        sleep 0.2 + rand 0.4;

        # without its master a worker serves on, for a moment

        my @workers = $server->workers;

        my $n = kill 'KILL', $server->{pid};
        sleep rand 0.01;
        $n += kill 'KILL', @workers;

        my $status = $server->wait_exit // 0;
        $killed++ if $status == 9 && $n == 1 + $server{workers};

        Lyftr::Server::wait_for { $server->connections('0A') == 0 };

        my $integrity = left_behind($server->{db});
        push @damaged, $integrity if $integrity ne 'ok';

        ($server, my $seconds) = first_200("start$round", %again);
        push @seconds, $seconds;
    }

    $load->stop;
    $server->stop;

    my $integrity = Lyftr::Load::integrity($server->{db});
    push @damaged, $integrity if $integrity ne 'ok';

    return (Lyftr::Load::compare($server->{db}, $load), \@damaged,
            $killed, max @seconds);
}


for my $workers (2, 8) {
    my ($found, $damaged, $killed, $seconds) =
        kills($rounds, workers => $workers);

    figure("$killed kills of $workers workers, lost",
           "$found->{lost} of $found->{acked}", '0',
           $found->{lost} == 0 && $killed == $rounds
           && $found->{acked} > 500 * $rounds);
    figure('stored otherwise than sent', $found->{changed}, '0',
           $found->{changed} == 0);
    figure('integrity, after each kill and the end', $damaged->[0] // 'ok',
           'ok', !@$damaged);
    figure('first 200 after the start', sprintf('%.2f s', $seconds),
           'at most 2 s', $seconds <= 2);
}

my ($early) = kills(scale(20, 5), workers => 2,
                    module => planted('early_answer'));

control('acknowledged before the commit',
        "$early->{lost} lost of $early->{acked}", '0 lost',
        $early->{lost} > 0);

# a start that finds the store locked

my $server = Lyftr::Server->new;
my $lock = $server->lock;

$server->stop;

local $SIG{ALRM} = sub { $lock->release };
alarm 3;

my (undef, $seconds) = first_200('locked', dir => $server->{dir});

control('the store locked for 3 s at the start', sprintf('%.2f s', $seconds),
        'at most 2 s', $seconds > 2);

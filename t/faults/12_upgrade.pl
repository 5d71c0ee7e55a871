# fast: a binary upgrade under load; what QUIT answers and TERM keeps.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use List::Util qw(max min sum);
use Time::HiRes qw(sleep time);

use Lyftr::Daemon;
use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Scenario qw(held_up);
use Lyftr::Server;
use Lyftr::Housekeeping;


# the least that one of these has written in so many seconds

sub least_written {
    my ($seconds, @groups) = @_;

    my %before = map { $_ => written($_) } map { @$_ } @groups;

    sleep $seconds;

    return min(map { max(map { written($_) - $before{$_} } @$_) } @groups);
}


sub written {
    my ($pid) = @_;

    open my $file, '<', "/proc/$pid/io" or die "io: $!";

    return (map { /^wchar: (\d+)/ } <$file>)[0];
}


# the secret and the store are in the environment of the first start only

sub upgrade {
    my ($seconds, %server) = @_;

    my $server = do {
        local $ENV{DATABASE_URL} = "sqlite:///$server{db}";
        local $ENV{WEBHOOK_SECRET} = 'of the environment';

        Lyftr::Daemon->new(workers => 8, %server,
            url => 'env:DATABASE_URL',
            server => 'lyftr_secret env:WEBHOOK_SECRET;
                       location = /kept { lyftr_webhook main; }
                       location = /once { lyftr_webhook main;
                                          keepalive_timeout 0; }');
    };

    my @loads = map { Lyftr::Load->start($server->{port}, r => 1500, c => 16,
                                         d => 3600, t => 10, u => $_,
                                         k => 'of the environment') }
                    qw(/kept /once);

    my $old = $server->master;
    my @old = $server->workers;
    my ($new, @new, $together, $keeping);

    sleep $seconds;
    kill 'USR2', $old;

    Lyftr::Server::wait_for {
        $new = $server->master;
        @new = $new && $new != $old ? $server->workers : ();
        @new == @old || $server->logged('new binary process \d+ exited');
    };

    if (@new) {

        # the first batch opens the store

        sleep 0.5;
        $together = least_written($seconds, \@old, \@new);

        # the new master is a child of the old one

        my $start = time;

        kill 'WINCH', $old;

        Lyftr::Server::wait_for { Lyftr::Housekeeping::owner($server, @new) };
        $keeping = time - $start;

        Lyftr::Server::wait_for { Lyftr::Daemon::children($old) == 1 };

        kill 'QUIT', $old;
        Lyftr::Server::wait_for { !$server->master('nginx.pid.oldbin') };

        sleep $seconds;
    }

    my @reports = map { $_->stop } @loads;
    my $ended = !$server->master('nginx.pid.oldbin');

    $server->stop;

    return { new => scalar @new, together => $together // 0, ended => $ended,
             keeping => $keeping // 9**9**9,
             alarms => scalar(() = $server->alarms),
             failed => sum(map { $_->{failed}, $_->{errors},
                                 values %{ $_->{statuses} } } @reports),
             rows => Lyftr::Load::compare($server{db}, @loads) };
}


# acknowledged ones that are missing when the server was told to stop at once

sub stopped {
    my ($rounds, %server) = @_;

    my ($lost, $acked) = (0, 0);

    for (1 .. $rounds) {
        my $server = Lyftr::Server->new(workers => 8, %server);
        my $load = Lyftr::Load->start($server->{port}, c => 256, d => 3600,
                                      t => 1);

        sleep 0.5 + rand 0.5;
        $server->signal('TERM');
        $server->wait_exit;
        $load->stop;

        my $found = Lyftr::Load::compare($server->{db}, $load);

        $lost += $found->{lost};
        $acked += $found->{acked};
    }

    return ($lost, $acked);
}


my $dir = tempdir(CLEANUP => 1);
my $run = upgrade(scale(5, 1), db => "$dir/app.db");
my $rows = $run->{rows};

figure('upgrade under load, failed', "$run->{failed} of $rows->{acked}", '0',
       $run->{new} && $run->{failed} == 0 && $rows->{acked} > 5000);
figure('lost, changed, twice, not acknowledged', join(', ',
       @$rows{qw(lost changed twice)}, $rows->{rows} - $rows->{acked}),
       '0 of each', $rows->{lost} == 0 && $rows->{changed} == 0
       && $rows->{twice} == 0 && $rows->{rows} == $rows->{acked});
figure('the least that old or new workers wrote', "$run->{together} bytes",
       'old and new together', $run->{together} > 500_000);
figure('a new worker has the housekeeping after',
       sprintf('%.2f s', $run->{keeping}), 'at most 3 s', $run->{keeping} <= 3);
figure('alarms in the log', $run->{alarms}, '0',
       $run->{ended} && $run->{alarms} == 0);

$run = upgrade(1, db => "$dir/control.db", module => planted('env_not_kept'));

control('names of env: not handed on', "$run->{new} new workers", '2',
        $run->{new} == 0);

# QUIT and HUP under load are in the suite's own tests

exit 0 if fast();

my @faults = held_up(Lyftr::Server->new(workers => 8), 'QUIT', 200);

note($_) for @faults;
figure('QUIT, 200 in flight, not answered', scalar @faults, '0', @faults == 0);

@faults = grep { /got closed/ }
          held_up(Lyftr::Server->new(workers => 8,
                                     module => planted('no_timer')),
                  'QUIT', 200);

control('no timer keeps a worker', @faults . ' not answered', '0',
        @faults > 0);

my $rounds = 20;
my ($lost, $acked) = stopped($rounds);

figure("$rounds times TERM, lost", "$lost of $acked", '0',
       $lost == 0 && $acked > 1000 * $rounds);

# a worker that ends stores what the next batch can take, and another one may
# store the rest

($lost, $acked) = stopped($rounds, workers => 1, store => 'batch=16',
                          module => planted('early_answer', 'slow_batch'));

control('acknowledged before the commit', "$lost lost of $acked", '0 lost',
        $lost > 0);

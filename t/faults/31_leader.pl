# Eight workers, of which one commits for all: it is killed at every point of
# that, or stopped, and what they share is damaged.

use strict;
use warnings;

use lib 't/lib';
use Time::HiRes qw(sleep time);

use Lyftr::Client;
use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Server;


my $rounds = scale(200, 20);


# Under load, with a module whose workers kill themselves now and then while
# they copy a message for the leader or, as the leader, take, commit or answer;
# until there were so many, or for so many seconds.

sub kills {
    my ($rounds, $seconds, @planted) = @_;

    my $server = Lyftr::Server->new(workers => 8,
                                    module => planted('dies', @planted));
    my $load = Lyftr::Load->start($server->{port}, r => 4000, c => 64,
                                  d => 3600);
    my @waits;
    my $killed = sub { $server->logged('exited on signal 9') };

    Lyftr::Server::wait_for {
        push @waits, next_200($server);
        $killed->() >= $rounds;
    } $seconds;

    my $report = $load->stop;
    my $n = $killed->();
    $server->stop;

    return (Lyftr::Load::compare($server->{db}, $load), $report, $n,
            Lyftr::Load::integrity($server->{db}), percentile(95, @waits));
}


# until a delivery, sent again if its worker dies, is answered

sub next_200 {
    my ($server) = @_;
    our $n;

    my $start = time;

    while (time - $start < 5) {
        my $answer = eval {
            my $client = $server->client;
            $client->send(Lyftr::Client::delivery(
                              Lyftr::Client::numbered('next' . ++$n)));
            $client->response;
        };

        last if $answer && ($answer->{status} // 0) == 200;
    }

    return time - $start;
}


# the worker that has the lock of who leads

sub leader {
    my ($server) = @_;

    my %worker = map { $_ => 1 } $server->workers;
    my $memory = (stat memory((keys %worker)[0]))[1];

    # one that has nothing to do leads for a moment only

    return Lyftr::Server::wait_for {
        next_200($server);

        open my $locks, '<', '/proc/locks' or die "locks: $!";

        for (<$locks>) {
            my ($pid, $inode) =
                /POSIX\s+ADVISORY\s+WRITE\s+(\d+)\s+\S+:(\d+)\s/ or next;

            return $pid if $worker{$pid} && $inode == $memory;
        }

        undef;
    };
}


# the memory that workers share, as a file

sub memory {
    my ($pid) = @_;

    my ($fd) = grep { (readlink // '') =~ m{^/memfd:lyftr} }
               glob "/proc/$pid/fd/*";

    return $fd // die "worker $pid shares no memory\n";
}


# random bytes are written over all queues, again and again

sub damage {
    my ($server, $times) = @_;

    my ($worker) = $server->workers;
    open my $file, '+<', memory($worker) or die "memory: $!";
    binmode $file;

    my $size = -s memory($worker);

    for my $i (1 .. $times) {
        for (1 .. 1 + int(rand 2000)) {
            my $bytes = pack 'N', int(rand 2**32);

            # the queues have been written to near their beginning

            sysseek $file, 4 * int(rand(rand($size) / 4)), 0;
            syswrite $file, $bytes;
        }
        sleep 0.05;
    }
}


my ($found, $report, $killed, $integrity, $wait) = kills($rounds, 600);

figure("$killed kills of 8 workers, lost", "$found->{lost} of $found->{acked}",
       '0', $found->{lost} == 0 && $killed >= $rounds
       && $found->{acked} > 100 * $rounds);
figure('stored twice, stored otherwise',
       "$found->{twice}, $found->{changed}", '0, 0',
       $found->{twice} + $found->{changed} == 0);
figure('the next 200, 95 of 100', sprintf('%.0f ms', 1000 * $wait),
       'at most 100 ms', $wait <= 0.1);
figure('integrity', $integrity, 'ok', $integrity eq 'ok');

($found) = kills(scale(40, 20), 100, 'replies_early');

control('answered before the commit', "$found->{lost} of $found->{acked}",
        '0 lost', $found->{lost} > 0);

($found, $report, $killed, $integrity, $wait) = kills(10, 15, 'no_successor');

control('nobody looks for a leader, the next 200',
        sprintf('%.0f ms', 1000 * $wait), 'at most 100 ms', $wait > 0.1);


# two servers, of eight workers each, have one file: the leader of either is
# killed under the load of both

sub shared {
    my ($rounds, @planted) = @_;

    my @server = (workers => 8);
    push @server, module => planted(@planted) if @planted;

    my $first = Lyftr::Server->new(@server);
    my $second = Lyftr::Server->new(@server, db => $first->{db});
    my @servers = ($first, $second);

    my @loads = map { Lyftr::Load->start($_->{port}, r => 2000, c => 32,
                                         d => 3600) } @servers;

    for my $round (1 .. $rounds) {
        kill 'KILL', leader($servers[$round % 2]) // die "nobody leads\n";
        sleep 0.2 + rand 0.3;
    }

    $_->stop for @loads;

    my $killed = 0;

    for my $server (@servers) {
        $killed += $server->logged('exited on signal 9');
        $server->stop;
    }

    return (Lyftr::Load::compare($first->{db}, @loads), $killed,
            Lyftr::Load::integrity($first->{db}));
}


$rounds = scale(100, 10);

($found, $killed, $integrity) = shared($rounds);

figure("$killed kills of the leaders of two servers, lost",
       "$found->{lost} of $found->{acked}", '0',
       $found->{lost} == 0 && $killed == $rounds
       && $found->{acked} > 100 * $rounds);
figure('stored twice, stored otherwise',
       "$found->{twice}, $found->{changed}", '0, 0',
       $found->{twice} + $found->{changed} == 0);
figure('integrity', $integrity, 'ok', $integrity eq 'ok');

($found) = shared(scale(40, 20), 'replies_early');

control('answered before the commit', "$found->{lost} of $found->{acked}",
        '0 lost', $found->{lost} > 0);


# the leader is stopped while it has nothing to do, and nobody's lock

sub stopped {
    my $server = Lyftr::Server->new(workers => 8, @_);
    my $leader = leader($server) // die "nobody leads\n";

    kill 'STOP', $leader;
    sleep 0.1;

    my ($ok, $slowest) = (0, 0);

    for (1 .. 6) {
        my $start = time;
        my $client = $server->client;

        $client->send(Lyftr::Client::delivery(
                          Lyftr::Client::numbered("stopped$_")));

        # it may be the stopped one that has the connection

        my $answer = eval { $client->response(5) } // {};
        next if !$answer->{status};

        $ok += ($answer->{status} == 200);
        $slowest = time - $start if time - $start > $slowest;
    }

    kill 'CONT', $leader;
    my $after = next_200($server);
    $server->stop;

    return ($ok, $slowest, $after);
}


my ($ok, $slowest, $after) = stopped();

figure('the leader is stopped, 200', "$ok, after " . sprintf('%.1f s', $slowest),
       'at least 3, within 4 s', $ok >= 3 && $slowest < 4);
figure('and goes on', sprintf('%.0f ms', 1000 * $after), 'at most 1 s',
       $after < 1);

($ok) = stopped(module => planted('no_way_aside'));

control('nothing goes without it, 200', $ok, 'at least 3', $ok < 3);


# what the workers share is damaged

my $server = Lyftr::Server->new(workers => 8);
my ($worker) = $server->workers;
my $load = Lyftr::Load->start($server->{port}, r => 4000, c => 64, d => 3600);

sleep 1;
damage($server, scale(200, 40));
$report = $load->stop;
$wait = next_200($server);

my $alarms = $server->logged('queue of worker \d+ is damaged');
my $crashes = $server->logged('exited on signal');

$server->stop;
$found = Lyftr::Load::compare($server->{db}, $load);

figure('damaged queues, crashes', $crashes, '0', $crashes == 0);
figure('they are noticed', "$alarms times", 'some', $alarms > 0);
figure('lost', "$found->{lost} of $found->{acked}", '0',
       $found->{lost} == 0 && $found->{acked} > 1000);
figure('stored twice, stored otherwise',
       "$found->{twice}, $found->{changed}", '0, 0',
       $found->{twice} + $found->{changed} == 0);
figure('then a 200', sprintf('%.0f ms', 1000 * $wait), 'at most 1 s',
       $wait < 1);

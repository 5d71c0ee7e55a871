# Clients that leave while their message is being committed.

use strict;
use warnings;

use lib 't/lib';
use Lyftr::Asan;
use Lyftr::Client;
use Lyftr::Fault;
use Lyftr::H2;
use Lyftr::Memory;
use Lyftr::Scenario qw(leave compare);
use Lyftr::Server;


my $http2 = Lyftr::Server::free_port();

my @options = (server => "listen 127.0.0.1:$http2 http2;",
               store => 'timeout=20s', connections => 4096);


# As many clients over HTTP/1 as streams over HTTP/2, which deliver while another
# process has the write lock.  Of each kind one half leaves in one way, and one
# in another.  Returns when all are stored.

sub crowd {
    my ($server, $n, $name) = @_;

    my $seen = stored($server);
    my @ids = map { "$name$_" } 1 .. 2 * $n;
    my @messages = map { Lyftr::Client::numbered($_) } @ids;

    # the store is open, and has this row, before it is locked

    $server->post(Lyftr::Client::encode(Lyftr::Client::numbered('first')));

    my $lock = $server->lock;
    my @clients = map { $server->client } 1 .. $n;
    my @connections = map { Lyftr::H2->new($http2) } 1 .. $n / 20;
    my @streams;

    $_->send(Lyftr::Client::delivery(shift @messages)) for @clients;

    for my $connection (@connections) {
        push @streams, [$connection, $connection->deliver(shift @messages)]
            for 1 .. 20;
    }

    $server->drained;
    taken($server);

    for (0 .. $n - 1) {
        my $how = $_ % 2 ? 'close' : 'reset';

        $clients[$_]->$how;
        $streams[$_][0]->reset($streams[$_][1]) if $_ % 2;
    }

    taken($server);
    $_->{conn}->reset for @connections;

    # 01 is an established connection

    Lyftr::Server::wait_for { $server->connections('01') == 0 }
        or die "the clients did not leave\n";

    $lock->release;

    Lyftr::Server::wait_for { stored($server) == $seen + @ids + 1 }
        or die "not all were stored\n";

    return ('first', @ids);
}


# the frames have been read

sub taken {
    my ($server) = @_;

    local $server->{port} = $http2;

    return $server->drained;
}


# counted as stored, now or before

sub stored {
    my ($server) = @_;

    my $counted = $server->get('/metrics')->{body} // '';
    my $sum = 0;

    $sum += $_ for $counted
        =~ /^webhook_requests_total\{result="(?:created|duplicate)"\} (\d+)/mg;

    return $sum;
}


# Bytes a client, of some that deliver the same as others before them; a request
# has more than 4096, and the heap is large enough for all after some rounds.

sub left_behind {
    my (%server) = @_;

    my $server = Lyftr::Server->new(@options, %server);
    my ($n, $rounds) = (200, 40);

    crowd($server, $n, 'again') for 1 .. 15;
    my $before = Lyftr::Memory::bytes($server->workers);

    crowd($server, $n, 'again') for 1 .. $rounds;
    my $after = Lyftr::Memory::bytes($server->workers);

    $server->stop;

    return (($after - $before) / (2 * $n * $rounds),
            scalar(() = $server->alarms));
}


my $asan = Lyftr::Asan->new;
my (@reports, @faults, @alarms);

for my $how ('close', 'reset') {
    my $server = $asan->server(@options);

    push @faults, leave($server, $how, 250);
    $server->stop;

    push @alarms, $server->alarms;
    push @reports, $asan->reports;
}

my $server = $asan->server(@options);
my @ids = crowd($server, 500, 'a');

push @faults, compare($server, @ids);
$server->stop;
push @alarms, $server->alarms;
push @reports, $asan->reports;

note($_) for @reports, @faults, @alarms;

figure('1,500 that left, reports of sanitizers', scalar @reports, '0',
       @reports == 0);
figure('not stored as sent, or answered early', scalar @faults, '0',
       @faults == 0);
figure('alarms in the log', scalar @alarms, '0', @alarms == 0);

my $control = $asan->planted('leaving_ends');

$server = $control->server(@options);
eval { crowd($server, 40, 'a') };
$server->stop;
@reports = $control->reports;

control('a request ends with its client', @reports . ' reports', '0',
        @reports > 0);

my ($bytes, $open) = left_behind();

figure('memory of one that left', sprintf('%.0f bytes', $bytes), 'below 1024',
       $bytes < 1024 && $open == 0);

($bytes, $open) = left_behind(module => planted('left_is_kept'));

control('requests are kept for ever', sprintf('%.0f bytes, %d alarms', $bytes,
        $open), 'below 1024', $bytes >= 1024);

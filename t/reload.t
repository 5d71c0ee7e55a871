# A reload and a graceful stop lose nothing: while commits are held up by
# another process, and again and again under load.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Lyftr;
use Lyftr::Client;
use Lyftr::Flock;
use Lyftr::Scenario qw(held_up reloads);
use Lyftr::Server;


is_deeply([ held_up(Lyftr::Server->new, 'HUP', 40) ], [],
          'reload: 40 deliveries in flight are stored, then answered');

is_deeply([ held_up(Lyftr::Server->new, 'QUIT', 40) ], [],
          'quit: 40 deliveries in flight are stored, then answered');

my $server = Lyftr::Server->new;

is_deeply([ reloads($server, 6, 8) ], [],
          'reloads under load: nothing but 200, rows are what was answered');


# what old workers counted is in the new ones' metrics, and the log says when
# they were gone

my $created = $server->created;

$server->signal('HUP');
Lyftr::Server::wait_for { scalar(() = $server->workers) == 2 };

is($server->created, $created, 'counters survive a reload');

$server->signal('QUIT');
is($server->wait_exit, 0, 'quit ends with 0');
is_deeply([ $server->alarms ], [], 'no alarms in the log');


# A worker that ends copies what the WAL has, and holds the writers' lock while
# it does, but not while a reader keeps it from that.

SKIP: {
    skip 'it is no file', 3 if Lyftr::postgres();

    my $flock = Lyftr::Flock->new // skip 'no shared object can be used', 3;
    my $server = Lyftr::Server->new(preload => $flock);
    my $client = $server->client;
    my $deliver = sub {
        $client->send(Lyftr::Client::delivery(
                          Lyftr::Client::numbered($_[0])));
        $client->response->{status};
    };

    $deliver->('before');

    my @old = $server->workers;
    my $reader = Lyftr::Server::Lock->new($server->{db},
        'DEFERRED; CREATE TEMP TABLE seen AS SELECT * FROM messages');

    is($deliver->('unseen'), 200, 'a reader does not see the newest message');

    $server->signal('HUP');

    ok(Lyftr::Server::wait_for(sub {
        !grep { my $pid = $_; grep { $_ == $pid } @old } $server->workers;
    }), 'the old workers end');

    my %old = map { $_ => 1 } @old;
    my ($longest) = sort { $b <=> $a } map { $_->{held} }
                    grep { $old{$_->{pid}} } $flock->processes;

    cmp_ok($longest, '<', 500, 'and keep no writer from its turn meanwhile');
}


# A reload that fails, for an address that another process has, touches nothing
# of what runs, though as many locations as there may be have other names.

my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1);

sub locations {
    my ($prefix) = @_;

    return join '', map { "location = /$prefix$_ { lyftr_live; }\n" } 1 .. 57;
}

$server = Lyftr::Server->new(server => locations('a'));
$server->get("/a$_") for 1 .. 57;
$server->post(message());

my $samples;

Lyftr::Server::wait_for {
    $samples = $server->samples;
    $samples->{'http_requests_total{path="/webhook",status="200"}'};
};

my $failed = 0;

for my $prefix (qw(b c d)) {
    $server->{server} = locations($prefix);
    $server->{http} = 'server { listen 127.0.0.1:' . $taken->sockport . '; }';
    $server->configure;
    $server->signal('HUP');

    $failed++;

    ok(Lyftr::Server::wait_for(sub {
        $server->logged(qr/still could not bind/) == $failed;
    }), 'a reload fails');
}

# nor does a look at the configuration

system("$ENV{TEST_NGINX_BINARY} -t -q -p $server->{dir}/ -c nginx.conf "
       . '2>/dev/null');

my $after = $server->samples;

is_deeply([ grep { ($after->{$_} // -1) < $samples->{$_} }
            grep { /^(?:http|webhook|lyftr_store_commit)/ }
            sort keys %$samples ],
          [], 'and no counter has lost anything');
is($after->{"http_requests_total{path=\"/a$_\",status=\"200\"}"}, 1, "/a$_")
    for 1, 57;

# the next one works, and old labels that come back have what they had

$server->{http} = '';
$server->{server} = locations('e');
$server->configure;
$server->signal('HUP');
Lyftr::Server::wait_for { $server->get('/e1')->{status} == 200 };

# an old worker may take a connection until it has heard of the reload

ok(Lyftr::Server::wait_for(sub { $server->get('/a1')->{status} == 404 }),
   'a reload works');

$server->{server} = locations('a');
$server->configure;
$server->signal('HUP');
Lyftr::Server::wait_for { $server->get('/a1')->{status} == 200 };

is($server->metric('http_requests_total{path="/a57",status="200"}'), 1,
   'labels that come back have their counts');

done_testing();

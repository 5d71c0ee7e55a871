# Deliveries over HTTP/2: bodies of any length without a declared one, many
# streams at once, streams and connections that end before the commit.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Lyftr::Client;
use Lyftr::H2;
use Lyftr::Housekeeping;
use Lyftr::Scenario qw(compare);
use Lyftr::Server;
use Lyftr::Stall;

my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
my $built = `$nginx -V 2>&1`;

plan skip_all => 'nginx was built without HTTP/2'
    unless $built =~ /http_v2_module/;

my ($major, $minor, $patch) = $built =~ m{nginx/(\d+)\.(\d+)\.(\d+)};
my @http2 = $major * 1000000 + $minor * 1000 + $patch >= 1025001
            ? (server => 'http2 on;') : (listen => 'http2');

my $server = Lyftr::Server->new(@http2);
my $numbered = \&Lyftr::Client::numbered;
my @ids;


# /metrics of this server cannot be read over HTTP/1

sub created {
    my $client = Lyftr::H2->new($server->{port});
    my $id = $client->request('GET', '/metrics', 1);
    $client->response($id);

    my ($n) = $client->{streams}{$id}{body}
              =~ /^webhook_requests_total\{result="created"\} (\d+)$/m;
    return $n;
}


my $client = Lyftr::H2->new($server->{port});

is($client->response($client->deliver($numbered->('h1'))), 200, 'a delivery');
is($client->response($client->deliver($numbered->('h1'))), 200, 'a duplicate');
is($client->response($client->deliver($numbered->('h2'), 7)), 200,
   'a body in many small frames');
is($client->response($client->request('POST', '/webhook', 1)), 401, 'no body');

my $id = $client->request('POST', '/webhook', 0, ['x-signature', '00']);
$client->data($id, '{}');
is($client->response($id), 401, 'a wrong signature');

# Content-Length may be there too

my ($head, $body) = split /\r\n\r\n/,
                    Lyftr::Client::delivery($numbered->('h3')), 2;
my ($signature) = $head =~ /X-Signature: (\S+)/;
my @fields = (['x-signature', $signature],
              ['content-length', length $body]);

$id = $client->request('POST', '/webhook', 0, @fields);
$client->data($id, $body);
is($client->response($id), 200, 'a declared length');

# larger than the windows and the buffers, so that it comes from a file

my $large = { %{ $numbered->('h4') }, more => 'x' x 900_000 };
is($client->response($client->deliver($large)), 200, 'a large body');

push @ids, map { "h$_" } 1 .. 4;
is_deeply([ compare($server, @ids) ], [], 'all are stored');


# streams at once

my %stream = map { my $id = "many$_"; $id => $client->deliver($numbered->($id)) }
             1 .. 100;
is(scalar(grep { $client->response($_) == 200 } values %stream), 100,
   '100 streams at once');

push @ids, sort keys %stream;
is_deeply([ compare($server, @ids) ], [], 'all of them are stored');


# copies at the same instant, over streams of several connections

my @copies = map { Lyftr::H2->new($server->{port}) } 1 .. 4;
my @streams = map { my $c = $_;
                    map { [$c, $c->deliver($numbered->('copy'))] } 1 .. 5 }
              @copies;
is(scalar(grep { $_->[0]->response($_->[1]) == 200 } @streams), 20,
   'twenty copies at once');
push @ids, 'copy';


# streams that are reset, and connections that are gone, before the commit

my @workers = $server->workers;
$client = Lyftr::H2->new($server->{port});

my $lock = $server->lock;
my $other = Lyftr::H2->new($server->{port});
my @gone;

for (1 .. 20) {
    $id = $client->deliver($numbered->("reset$_"));
    push @gone, $id if $_ % 2;
    $other->deliver($numbered->("broken$_"));
}

my $stays = $client->deliver($numbered->('stays'));

$server->drained;
$client->reset($_) for @gone;
$server->drained;

is($client->answered(0.3), 0, 'no answer before the commit');

$other->{conn}->reset;
$lock->release;

is($client->response($stays), 200, 'a stream that stays is answered');

push @ids, 'stays', map { ("reset$_", "broken$_") } 1 .. 20;
Lyftr::Server::wait_for { created() >= @ids };

is_deeply([ compare($server, @ids) ], [], 'streams that left are stored');
is(created(), scalar @ids, 'and counted');
is_deeply([ $server->workers ], \@workers, 'the workers are the same');


# a reload with streams under way

$client = Lyftr::H2->new($server->{port});
$lock = $server->lock;
my $stopping = $server->logged('gracefully shutting down');
@streams = map { $client->deliver($numbered->("reload$_")) } 1 .. 20;
$server->drained;
$server->signal('HUP');
Lyftr::Server::wait_for {
    $server->logged('gracefully shutting down') >= $stopping + @workers
};
$lock->release;

is(scalar(grep { $client->response($_) == 200 } @streams), 20,
   'reload: the streams under way are answered');

push @ids, map { "reload$_" } 1 .. 20;
is_deeply([ compare($server, @ids) ], [], 'and stored');
is(created(), scalar @ids, 'and counted');

$server->stop;
is_deeply([ $server->alarms ], [], 'no alarms in the log');


# a stream that is answered at its deadline, while its commit stands still: it
# ends, and the others of its connection go on

SKIP: {
    my $stall = Lyftr::Stall->new or skip 'no shared object can be used', 5;

    $server = Lyftr::Server->new(@http2, workers => 1, preload => $stall,
                                 store => 'timeout=500ms');
    $client = Lyftr::H2->new($server->{port});
    $client->response($client->deliver($numbered->('warm')));

    # or it would be the housekeeping's commit, and this one wait for its turn

    Lyftr::Housekeeping::settled($server, 10);

    $stall->on;
    my $stalled = $client->deliver($numbered->('stalled'));
    ok($stall->reached, 'stall: a commit stands still');
    is($client->response($stalled), 503, 'stall: its stream is answered');
    is($client->response($client->request('GET', '/stats', 1)), 200,
       'stall: another one is too');
    $stall->off;

    Lyftr::Server::wait_for { created() == 2 };
    is_deeply([ compare($server, qw(warm stalled)) ], [], 'stall: rows');

    $server->stop;
    is_deeply([ $server->alarms ], [], 'stall: no alarms in the log');
}

done_testing();

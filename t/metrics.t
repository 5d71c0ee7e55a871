# GET /metrics: its format, the series it has from the start and the ones it
# never gets, and counts that are exact over workers and reloads.

use strict;
use warnings;

use lib 't/lib';
use IPC::Open2;
use Test::More;

use Lyftr;
use Lyftr::Client;
use Lyftr::Server;
use Lyftr::Shipped;


my @paths = qw(/webhook /messages /messages/stream /messages/export /stats
               /health/live /health/ready /metrics
               other);


# all samples but those of gauges, and what a scrape itself changes

sub lasting {
    my ($server, $samples) = @_;

    my $body = $server->get('/metrics')->{body};
    my %gauge = map { $_ => 1 } $body =~ /^# TYPE (\S+) gauge$/mg;

    return { map { $_ => $samples->{$_} }
             grep { !m{/metrics} && !$gauge{s/\{.*//r} } keys %$samples };
}


# what a label of a series has

sub labels {
    my ($samples, $series, $label) = @_;

    my %seen;

    for (keys %$samples) {
        $seen{$1}++ if /^\Q$series\E\{(?:.*,)?$label="([^"]*)"/;
    }

    return [ sort keys %seen ];
}


sub promtool {
    my ($text) = @_;

    my $pid = open2(my $out, my $in, 'promtool check metrics 2>&1');

    print $in $text;
    close $in;

    my $said = join '', <$out>;
    waitpid $pid, 0;

    return $said . ($? ? "exit $?" : '');
}


sub requests {
    my ($samples, $path) = @_;

    my %status;

    for (keys %$samples) {
        $status{$1} = $samples->{$_}
            if /^http_requests_total\{path="\Q$path\E",status="(\d+)"\}$/
               && $samples->{$_};
    }

    return \%status;
}


# A request is counted a little after its answer: these wait for a count.

sub counted {
    my ($server, $path, $expected, $name) = @_;

    my ($samples, $requests);

    Lyftr::Server::wait_for {
        $samples = $server->samples;
        $requests = requests($samples, $path);
        join(' ', map { "$_ $requests->{$_}" } sort keys %$requests)
        eq join(' ', map { "$_ $expected->{$_}" } sort keys %$expected);
    } 10;

    is_deeply($requests, $expected, $name);

    return $samples;
}


# the shipped configuration, before any traffic

my $server = Lyftr::Shipped->new;
my $first = $server->get('/metrics');

is($first->{status}, 200, 'the first scrape');
is(Lyftr::Client::header($first, 'Content-Type'),
   'text/plain; version=0.0.4; charset=utf-8', 'its type');
is(promtool($first->{body}), '', 'promtool has nothing to say');

for (qw(created duplicate invalid_signature validation_error)) {
    like($first->{body}, qr/^webhook_requests_total\{result="$_"\} 0$/m,
         "$_ stands at 0 from the start");
}

my @zero = $first->{body} =~ /^webhook_requests_total\{.*\} (\S+)$/mg;
is_deeply([ grep { $_ ne '0' } @zero ], [], 'as all results do');

like($first->{body}, qr/^http_requests_total\{path="\/webhook"/m,
     'http_requests_total is there from the start');
like($first->{body},
     qr/^\# HELP http_request_duration_seconds .*\brequest_latency_ms\b/m,
     'HELP names the word of the original task');


# no URL makes a series

my $before = $server->samples;
my @lines = map { "GET /$_?$_ HTTP/1.1\r\nHost: a\r\n\r\n" }
            'webhook/', 'messages/1', '%00x', 'a"b', "a\\n", '{path="x"}',
            map { "scan$_" } 1 .. 994;

my $client = $server->client;
my $sent = 0;

for (@lines) {
    $client->send($_);
    $sent++ if $client->response->{status} =~ /^40[04]$/;
    $client = $server->client if /%00/;
}

is($sent, 1000, 'a scan of 1000 URLs');

my $after = $server->samples;

for (qw(http_requests_total http_request_duration_seconds_count)) {
    is_deeply(labels($after, $_, 'path'), [ sort @paths ],
              "$_: the paths are names of locations");
}

is_deeply([ grep { !exists $before->{$_} && !/path="other",status="40[04]"/
                   && !/path="\/metrics"/ } keys %$after ], [],
          'the scan adds no series');

my $other = requests($after, 'other');
cmp_ok(($other->{400} // 0) + $other->{404}, '>=', 999, 'it counts as other');
is_deeply(requests($after, '/webhook'), {}, 'and not as /webhook');


# what nginx itself refuses on a location is the location's

for (['TRACE /webhook', 405], ['GET /webhook', 405], ['PUT /webhook', 405],
     ['PATCH /messages', 405], ['DELETE /stats', 405],
     ['TRACE /health/live', 405], ['POST /metrics', 405],
     ['POST /webhook', 413, 'Content-Length: 2000000'],
     ['POST /web%68ook?a=b', 413, 'Content-Length: 2000000'],
     ['POST /nowhere', 404, 'Content-Length: 0'])
{
    my ($line, $status, @headers) = @$_;

    is($server->request($line, @headers)->{status}, $status,
       "$line is $status");
}

my $body = message(text => 'x' x 1_200_000);

$server->exchange("POST /webhook HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                  . "Transfer-Encoding: chunked\r\n\r\n"
                  . sprintf("%x\r\n%s\r\n0\r\n\r\n", length $body, $body));

my $refused = counted($server, '/webhook', { 405 => 3, 413 => 3 },
                      '405 and 413 count under /webhook, error pages or not');
is(requests($refused, '/messages')->{405}, 1, 'a 405 under /messages');
is(requests($refused, '/stats')->{405}, 1, 'a 405 under /stats');
is(requests($refused, '/health/live')->{405}, 1, 'a 405 under /health/live');
is(requests($refused, '/metrics')->{405}, 1, 'a 405 under /metrics');
counted($server, 'other', { 400 => 1, 404 => 1000 },
        'unknown paths count as other, exactly');
is(promtool($server->get('/metrics')->{body}), '', 'promtool agrees still');

$server->stop;

$server = Lyftr::Shipped->new(env => { WEBHOOK_SECRET => undef });

$server->post(message()) for 1 .. 3;
counted($server, '/webhook', { 503 => 3 }, '503 counts under /webhook');
$server->stop;


# exact counts over two workers and a reload

$server = Lyftr::Server->new(workers => 2);

my @clients = map { $server->client } 1 .. 8;
my %sent;

for my $i (0 .. 399) {
    my $body = message(message_id => 'm' . ($i % 250));
    my $secret = 'testsecret';
    my $kind = $i < 250 ? 'created' : 'duplicate';

    if ($i % 10 == 9) {
        ($secret, $kind) = ('wrong', 'invalid_signature');
    } elsif ($i % 10 == 8) {
        ($body, $kind) = ('{}', 'validation_error');
    }

    $sent{$kind}++;
    $clients[$i % 8]->send("POST /webhook HTTP/1.1\r\nHost: a\r\n"
                           . signature($body, $secret) . "\r\n"
                           . "Content-Length: " . length($body)
                           . "\r\n\r\n$body");

    if ($i % 8 == 7) {
        $_->response for @clients;
    }
}

my $counts = counted($server, '/webhook',
                     { 200 => $sent{created} + $sent{duplicate},
                       401 => $sent{invalid_signature},
                       422 => $sent{validation_error} },
                     'requests by status: exactly');

is($counts->{qq(webhook_requests_total{result="$_"})}, $sent{$_},
   "$_: exactly") for sort keys %sent;

my $duration = 'http_request_duration_seconds';

is($counts->{qq(${duration}_count{path="/webhook"})}, 400,
   'the histogram counts them too');
is($counts->{qq(${duration}_bucket{path="/webhook",le="+Inf"})}, 400,
   'as its last bucket does');
cmp_ok($counts->{qq(${duration}_sum{path="/webhook"})}, '>', 0,
       'and they took some time');

is(scalar @{ $server->rows }, $sent{created}, 'so many rows as created');

my @workers = $server->workers;

$server->signal('HUP');
Lyftr::Server::wait_for {
    my %now = map { $_ => 1 } $server->workers;
    keys %now >= 2 && !grep { $now{$_} } @workers;
};

my $reloaded = $server->samples;

is_deeply(lasting($server, $reloaded), lasting($server, $counts),
          'a reload keeps all counters');

$server->post(message(message_id => 'later'));
is($server->created, $sent{created} + 1, 'and counting goes on');


# other methods

is($server->request('HEAD /metrics')->{body}, '', 'HEAD has no body');
is(Lyftr::Client::header($server->request('POST /metrics',
                                          'Content-Length: 0'), 'Allow'),
   'GET, HEAD', 'POST is told what is allowed');

is_deeply([ $server->alarms ], [], 'no alarms in the log');
$server->stop;


# a status that is none

$server = Lyftr::Server->new(server => <<'END');
location = /odd { if ($arg_x) { return 700; } lyftr_live; }
END

$server->get('/odd?x=1');
$server->get('/odd');

is_deeply([ map { $server->metric(
                'http_requests_total{path="/odd",status="' . $_ . '"}') }
                qw(000 200) ], [ 1, 1 ], 'of a status that is none');

done_testing();

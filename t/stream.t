# GET /messages/stream: each message once, in the order of arrival, from any
# cursor on, whatever happens to the workers meanwhile.

use strict;
use warnings;

use lib 't/lib';
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep time);

use Lyftr;
use Lyftr::Client;
use Lyftr::Follower;
use Lyftr::Server;


my $conf = 'location = /messages/stream {'
           . ' lyftr_stream main max=8 heartbeat=1s; }';


sub status { return join ' ', map { $_->{status} } @_ }

sub fault {
    my ($r) = @_;

    my $fault = eval { decode_json($r->{body})->{detail}[0] } || {};

    return join ' ', $r->{status}, $fault->{type} // '',
                     @{ $fault->{loc} // [] };
}


my $server = Lyftr::Server->new(server => $conf);

$server->post(message(message_id => $_)) for qw(a b);


# the form of it

my $all = Lyftr::Follower->new($server, path => '/messages/stream?after=0');
my $new = Lyftr::Follower->new($server);

ok($new->until(10, sub { @{ $_[0]{events} } == 1 }), 'the first event');
ok($all->until(10, sub { @{ $_[0]{ids} } == 2 }), 'from the oldest row on');

$server->post(message(message_id => 'c', text => "x\xe2\x80\xa8y\xc2\x85z"));

$_->until(10, sub { $_[0]{ids}[-1] && $_[0]{ids}[-1] eq 'c' }) for $all, $new;

is_deeply($all->{ids}, [qw(a b c)], 'all rows, in the order of arrival');
is_deeply($new->{ids}, ['c'], 'those from now on');
is_deeply([ @{ $all->{events}[0] }{qw(id event data)} ],
          [ '0', 'progress', '{}' ], 'where it begins');
like($all->{events}[0]{retry}, qr/\A(?:1\d{3}|2\d{3}|3000)\z/, 'retry');
is($new->{events}[0]{id}, $all->{events}[2]{id}, 'the newest row\'s cursor');
is($all->{events}[3]{data},
   '{"message_id":"c","from":"+919876543210","to":"+14155550100",'
   . '"ts":"2025-01-15T10:00:00Z","text":"x\u2028y\u0085z"}',
   'what ends a line somewhere is escaped');

for ([ 'Content-Type', 'text/event-stream; charset=utf-8' ],
     [ 'Cache-Control', 'no-store, no-transform' ],
     [ 'X-Accel-Buffering', 'no' ]) {
    is(Lyftr::Client::header($new, $_->[0]), $_->[1], $_->[0]);
    is(Lyftr::Client::header($server->request('HEAD /messages/stream'),
                             $_->[0]), $_->[1], "$_->[0] of HEAD");
}


# where it starts

my $b = $all->{events}[2]{id};

for ([ 'a header', id => $b ],
     [ 'a parameter', path => "/messages/stream?after=$b" ],
     [ 'a header before a parameter', id => $b,
       path => '/messages/stream?after=nonsense' ],
     [ 'an empty header', path => "/messages/stream?after=$b",
       headers => ['Last-Event-ID;'] ])
{
    my ($name, %option) = @$_;

    $option{headers} = ['Last-Event-ID: '] if $option{headers};

    my $f = Lyftr::Follower->new($server, %option);

    $f->until(10, sub { @{ $_[0]{ids} } });
    is_deeply($f->{ids}, ['c'], "goes on after $name");
    is($f->{events}[0]{id}, $b, 'and says so');
    $f->{client}->close;
}

for my $name (qw(limit offset since until order id)) {
    is(fault($server->get("/messages/stream?$name=")),
       "422 extra_forbidden query $name", "$name is refused");
}

is(fault($server->get('/messages/stream?after=x')),
   '422 value_error query after', 'no cursor');
is(fault($server->request('GET /messages/stream?after=0', 'Last-Event-ID: x')),
   '422 value_error header last-event-id', 'no cursor in the header');
is(fault($server->get('/messages/stream?fields=a')),
   '422 literal_error query fields', 'no field');
is(status($server->request('POST /messages/stream', 'Content-Length: 0')), 405,
   'another method');

# rows that have left since

{
    my $kept = Lyftr::Server->new(server => $conf);

    $kept->post(message(message_id => $_)) for qw(a b c);

    my $page = decode_json($kept->get('/messages?fields=cursor')->{body});
    my @cursor = map { $_->{cursor} } @{ $page->{data} };

    $kept->remove('seq < 3');

    for ([ $cursor[0], '{"gap":true}' ], [ $cursor[1], '{}' ]) {
        my ($id, $data) = @$_;
        my $f = Lyftr::Follower->new($kept, id => $id);

        $f->until(10, sub { @{ $_[0]{ids} } });
        is($f->{events}[0]{data}, $data, "the first event: $data");
        is_deeply($f->{ids}, ['c'], 'and what is left');
    }
}

my $other = Lyftr::Server->new(server => $conf);
$other->post(message(message_id => "o$_")) for 1 .. 9;
is(fault($other->get("/messages/stream?after=$b")),
   '422 value_error query after', 'a cursor of another store');
$other->stop;


# filters, and the place of a client whom they give nothing

my $some = Lyftr::Follower->new($server,
    path => '/messages/stream?from=+7&q=H%C3%89&fields=message_id&after=0');

$server->post(message(message_id => "f$_->[0]", from => $_->[1],
                      text => $_->[2]))
    for [ 1, '+7', "h\xc3\xa9" ], [ 2, '+8', "h\xc3\xa9" ], [ 3, '+7', 'x' ];

ok($some->until(10, sub { @{ $_[0]{events} } == 3 }), 'a place moves');
is_deeply($some->{ids}, ['f1'], 'filters');
is($some->{events}[1]{data}, '{"message_id":"f1"}', 'fields');
is($some->{events}[2]{event}, 'progress', 'with an event of its own');

$all->until(10, sub { $_[0]{ids}[-1] eq 'f3' });
is($some->{events}[2]{id}, $all->{events}[-1]{id}, 'to the newest row');

ok($all->until(10, sub { $_[0]{body} =~ /\A(?::\n)+\z/ }),
   'a comment, if there is nothing to send');


# how many

{
    my $server = Lyftr::Server->new(workers => 1, server =>
        'location = /messages/stream { lyftr_stream main max=2; }');
    my @more = map { Lyftr::Follower->new($server) } 1 .. 2;

    $_->until(10, sub { @{ $_[0]{events} } }) for @more;

    my $r = $server->get('/messages/stream');

    is($r->{status}, 503, 'max=');
    ok(Lyftr::Client::header($r, 'Retry-After'), 'and when to come back');
    is(fault($server->get('/messages/stream?limit=1')),
       '422 extra_forbidden query limit', 'parameters are looked at before');
    is(status($server->request('HEAD /messages/stream')), 200,
       'and HEAD does not count');
    is($server->metric('lyftr_streams'), 2, 'streams that are open');
    $more[0]{client}->close;
    ok(Lyftr::Server::wait_for {
        $server->metric('lyftr_streams') == 1
    }, 'one that left makes room');
    is(status($server->get('/messages/stream?fields=x')), 422, 'again');
}

$some->{client}->close;

ok(Lyftr::Server::wait_for { $server->metric('lyftr_streams') == 2 },
   'those who left are not counted any more');

cmp_ok($server->metric('lyftr_stream_events_total'), '>=', 10, 'events');
cmp_ok($server->metric('lyftr_stream_bytes_total'), '>=', 1000, 'bytes');
cmp_ok($server->metric('lyftr_streams_ended_total{reason="client"}'), '>=', 5,
       'why they ended');
is($server->metric('http_request_duration_seconds_count'
                   . '{path="/messages/stream"}'),
   $server->metric('http_requests_total'
                   . '{path="/messages/stream",status="422"}')
   + $server->metric('http_requests_total'
                     . '{path="/messages/stream",status="405"}') + 3,
   'streams are not in the histogram, other answers are');


# a reload, a worker that is killed: none is missed, none comes twice

{
    my @follower = map { Lyftr::Follower->new($server, id => '0') } 1 .. 3;
    my $n = 0;

    for my $round (1 .. 12) {
        for (1 .. 10) {
            $server->post(message(message_id => sprintf 'r%03d', ++$n));
        }

        $_->until(0.05, sub { 0 }) for @follower;

        $server->signal('HUP') if $round % 4 == 2;
        kill 'KILL', ($server->workers)[0] if $round % 4 == 0;
    }

    my @ids = map { $_->{message_id} } $server->arrived;

    for my $f (@follower) {
        $f->until(15, sub { @{ $_[0]{ids} } >= @ids });
        is_deeply($f->{ids}, \@ids, 'each message once, in order');
    }

    cmp_ok(grep({ $_->{whole} } @follower), '>', 0, 'streams end whole');
}

ok($server->metric('lyftr_streams_ended_total{reason="shutdown"}') > 0,
   'and say why');


# one that takes nothing is closed, and others are not held up

{
    my $server = Lyftr::Server->new(
        server => "send_timeout 1s; $conf", workers => 1, store => 'check=off');

    $server->fill(6000, 4000);

    my $slow = $server->client(receive => 4096);

    $slow->send("GET /messages/stream?after=0 HTTP/1.1\r\nHost: a\r\n\r\n");

    my $f = Lyftr::Follower->new($server, id => '0',
        path => '/messages/stream?fields=message_id');

    ok($f->until(15, sub { @{ $_[0]{ids} } == 6000 }), 'another gets all');
    ok(Lyftr::Server::wait_for {
        $server->metric('lyftr_streams_ended_total{reason="slow"}') == 1
    }, 'a client that takes nothing is closed');
    is_deeply([ $server->alarms ], [], 'no alarms in the log');
}


# HTTP/2

{
    my $server = Lyftr::Server->new(server => $conf, listen => 'http2');

    system("(curl -sN --http2-prior-knowledge --max-time 15 -o $server->{dir}/out"
           . " 'http://127.0.0.1:$server->{port}/messages/stream?after=0';"
           . " echo \$? > $server->{dir}/code) &");

    Lyftr::Server::wait_for { -s "$server->{dir}/out" };

    system("curl -s --http2-prior-knowledge -o $server->{dir}/live"
           . " http://127.0.0.1:$server->{port}/health/live");
    $server->signal('HUP');

    ok(Lyftr::Server::wait_for { -s "$server->{dir}/code" }, 'HTTP/2: it ends');

    open my $code, '<', "$server->{dir}/code" or die "code: $!";
    is(<$code>, "0\n", 'and whole');
    is_deeply([ $server->alarms ], [], 'no alarms in the log');
}

is_deeply([ grep { !/exited on signal 9/ } $server->alarms ], [],
          'no alarms in the log');

done_testing();

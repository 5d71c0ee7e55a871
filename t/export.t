# GET /messages/export: all rows that were there, once, in order, in each form;
# and whoever goes on from there by a stream has every row once.

use strict;
use warnings;

use lib 't/lib';
use JSON::PP;
use Test::More;

use Lyftr;
use Lyftr::Client;
use Lyftr::Follower;
use Lyftr::Server;


my $conf = 'location = /messages/export { lyftr_export main max=2; }'
           . 'location = /messages/stream { lyftr_stream main; }';


# the body of an answer that may be chunked, or undef if it is not whole

sub body {
    my ($r) = @_;

    my ($body, $in) = ('', $r->{body});

    return $in unless ($r->{head} // '') =~ /^transfer-encoding: chunked/mi;

    while ($in =~ s/\A([0-9a-f]+)\r\n//) {
        my $len = hex $1;
        return $body if $len == 0;
        $body .= substr $in, 0, $len, '';
        $in =~ s/\A\r\n// or return undef;
    }

    return undef;
}


sub fault {
    my ($r) = @_;

    my $fault = eval { decode_json($r->{body})->{detail}[0] } || {};

    return join ' ', $r->{status}, $fault->{type} // '',
                     @{ $fault->{loc} // [] };
}


my $server = Lyftr::Server->new(server => $conf);
my $export = '/messages/export';

is(body($server->get($export)), '', 'an empty store');
is(Lyftr::Client::header($server->get($export), 'Last-Event-ID'), '0',
   'and where a stream goes on');

$server->post(message(message_id => 'b', ts => '2025-01-15T10:00:01Z',
                      text => 'a,\"b\"'));
$server->post(message(message_id => 'a', text => "\xe2\x80\xa9"));
$server->post(message(message_id => 'c', ts => '2025-01-15T10:00:02Z',
                      text => ''));
$server->post(message(message_id => 'd', ts => '2025-01-15T10:00:03Z',
                      text => undef));

my %stamp = map { $_->{message_id} => $_->{created_at} } $server->arrived;
my @created = @stamp{qw(a b c d)};


# the forms

my $r = $server->get($export);
my @line = split /\n/, body($r);

is($r->{status}, 200, 'an export');
is($line[0], '{"message_id":"a","from":"+919876543210","to":"+14155550100",'
             . '"ts":"2025-01-15T10:00:00Z","text":"\u2029","type":null,'
             . qq("created_at":"$created[0]"}), 'a line of it');
is(join(' ', map { decode_json($_)->{message_id} } @line), 'a b c d',
   'in the order of time');
like(body($r), qr/\}\n\z/, 'the last line ends, too');
like(Lyftr::Client::header($r, 'Content-Disposition'),
     qr/\Aattachment; filename="main-\d{4}-\d\d-\d\d\.ndjson"\z/, 'a name');

for ([ 'Content-Type', 'application/x-ndjson' ], [ 'Vary', 'Accept' ],
     [ 'Cache-Control', 'no-store' ]) {
    is(Lyftr::Client::header($r, $_->[0]), $_->[1], $_->[0]);
    is(Lyftr::Client::header($server->request("HEAD $export"), $_->[0]),
       $_->[1], "$_->[0] of HEAD");
}

is(Lyftr::Client::header($server->request("HEAD $export"), 'Last-Event-ID'),
   undef, 'HEAD does not read');

$r = $server->get("$export?format=csv&fields=message_id,text,from");
is(Lyftr::Client::header($r, 'Content-Type'),
   'text/csv; charset=utf-8; header=present', 'a CSV');
is(body($r), join("\r\n", 'message_id,from,text',
                  "a,+919876543210,\xe2\x80\xa9",
                  'b,+919876543210,"a,""b"""', 'c,+919876543210,""',
                  'd,+919876543210,', ''), 'its records');
is(body($server->get("$export?format=csv&fields=text&id=d")),
   "text\r\n\r\n", 'null is an empty line');
is(body($server->get("$export?format=sheet&fields=message_id,from&id=a")),
   "\xef\xbb\xbfmessage_id,from\r\na,'+919876543210\r\n", 'for spreadsheets');

for ([ 'text/csv', 'csv' ], [ '*/*', 'ndjson' ], [ 'text/*', 'ndjson' ],
     [ 'application/x-ndjson;q=0.4, text/csv;q=0.5', 'csv' ],
     [ 'application/x-ndjson, text/csv', 'ndjson' ],
     [ 'text/csv;q=0', 'ndjson' ], [ 'text/csvx', 'ndjson' ])
{
    like(Lyftr::Client::header($server->request("GET $export",
                                                "Accept: $_->[0]"),
                               'Content-Disposition'),
         qr/\.$_->[1]"\z/, "Accept: $_->[0]");
}

is(fault($server->get("$export?$_->[0]")), $_->[1], $_->[0])
    for [ 'limit=5', '422 extra_forbidden query limit' ],
        [ 'offset=', '422 extra_forbidden query offset' ],
        [ 'format=xml', '422 literal_error query format' ],
        [ 'after=x', '422 value_error query after' ];


# filters, order, and where it goes on

my $ids = sub {
    return join ' ', map { decode_json($_)->{message_id} }
                     split /\n/, body($server->get("$export?$_[0]"));
};

is($ids->('order=desc'), 'd c b a', 'order=');
is($ids->('since=2025-01-15T10:00:01Z&until=2025-01-15T10:00:03Z'), 'b c',
   'since= and until=');
is($ids->('q=%22B'), 'b', 'q=');
is($ids->('type=text'), '', 'type=');
is($ids->('q=%00'), '', 'what matches nothing');

my ($cursor) = body($server->get("$export?fields=cursor&id=b"))
               =~ /"cursor":"(.*)"/;
is($ids->("after=$cursor"), 'c d', 'after=');
is($ids->("order=desc&after=$cursor"), 'a', 'after= the other way');


# many pages while others come: those that were there, and then a stream

my $n = 7000;

$server->stop;
$server->fill($n, 400);

my $big = Lyftr::Server->new(dir => $server->{dir}, server => $conf,
                             store => 'check=off');
my $slow = $big->client(receive => 8192);

$slow->send("GET $export?fields=message_id,text HTTP/1.1\r\nHost: a\r\n"
            . "Connection: close\r\n\r\n");
ok($slow->ready(10), 'a client that reads slowly');

$big->post(message(message_id => "new$_", ts => '2026-01-15T10:00:00Z'))
    for 1 .. 20;

$r = $slow->response(60);
$r = { head => $r->{head}, body => $r->{body} };
@line = split /\n/, body($r) // '';

is(@line, $n + 4, 'what was there when it began');
is(grep({ /"new/ } @line), 0, 'and nothing that came later');

my %seen;
$seen{ decode_json($_)->{message_id} }++ for @line;
is(keys %seen, $n + 4, 'each once');

my $f = Lyftr::Follower->new($big,
    id => Lyftr::Client::header($r, 'Last-Event-ID'));
$f->until(10, sub { @{ $_[0]{ids} } >= 20 });
is_deeply($f->{ids}, [ map { "new$_" } 1 .. 20 ], 'the rest by a stream');


# a text is compared on the way; one that few have is looked up

for (['x', $n], ['x1234.', 1], ['x12', 111], ['34.', 70], ['nowhere', 0]) {
    my ($q, $wanted) = @$_;
    my @got = map { decode_json($_)->{message_id} }
              split /\n/, body($big->get("$export?fields=message_id&q=$q"));

    is(@got, $wanted, "q=$q");
    is_deeply(\@got, [ map { sprintf 'm%05d', $_ }
                       grep { index("x$_.", $q) >= 0 } 1 .. $n ],
              'each that has it, in order') if $wanted;
}


# a client that ends what it sends gets all

{
    my $client = $big->client(receive => 8192);

    $client->send("GET $export?id=a HTTP/1.1\r\nHost: a\r\n"
                  . "Connection: close\r\n\r\n");
    $client->finish;
    is(split(/\n/, body($client->response) // ''), 1, 'before an answer');

    $client = $big->client(receive => 8192);
    $client->send("GET $export?fields=message_id,text HTTP/1.1\r\nHost: a\r\n"
                  . "Connection: close\r\n\r\n");
    $client->ready(10);
    $client->finish;
    is(split(/\n/, body($client->response(60)) // ''), $n + 24,
       'or while there is one');
}


# clients that leave, and one too many

{
    my @client = map { $big->client(receive => 4096) } 1 .. 4;

    $_->send("GET $export HTTP/1.1\r\nHost: a\r\n\r\n") for @client;
    $_->ready(10) for @client;
    $_->reset for @client;

    ok(Lyftr::Server::wait_for { $big->get("$export?id=a")->{status} == 200 },
       'those that left make room');
}

is_deeply([ $big->alarms ], [], 'no alarms in the log');


# one that cannot go on is no whole answer to anybody

{
    $big->stop;

    my $short = Lyftr::Server->new(dir => $server->{dir}, store => 'check=off',
                                   server => "send_timeout 1s; $conf");
    my $client = $short->client(receive => 4096);

    $client->send("GET $export HTTP/1.1\r\nHost: a\r\n"
                  . "Connection: close\r\n\r\n");
    ok($client->ready(10), 'it begins');
    ok(Lyftr::Server::wait_for { $short->connections('01') == 0 },
       'a client that takes nothing is left');

    my ($in, $n) = ('');
    1 while $n = sysread $client->{socket}, $in, 65536, length $in;

    ok(!defined $n && $!{ECONNRESET}, 'by a reset');
    unlike($in, qr/\r\n0\r\n\r\n\z/, 'and without the end of the body');
    is_deeply([ $short->alarms ], [], 'no alarms in the log');
}

done_testing();

# The log of the configuration that ships: one line of JSON a request, whatever
# became of it and whatever its caller sent, and lines of several workers that
# never mix.

use strict;
use warnings;

use lib 't/lib';
use JSON::PP;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use Lyftr;
use Lyftr::Client;
use Lyftr::Shipped;


my $json = JSON::PP->new;

binmode $_, ':utf8' for Test::More->builder->output,
                        Test::More->builder->failure_output;

my $server = Lyftr::Shipped->new;
my $total = $server->lines(1);      # the look whether it is up


# the characters of valid UTF-8; Perl's own idea of it is another one

my $character = qr/[\x00-\x7f]|[\xc2-\xdf][\x80-\xbf]
                   |\xe0[\xa0-\xbf][\x80-\xbf]
                   |\xed[\x80-\x9f][\x80-\xbf]
                   |[\xe1-\xec\xee\xef][\x80-\xbf]{2}
                   |\xf0[\x90-\xbf][\x80-\xbf]{2}
                   |[\xf1-\xf3][\x80-\xbf]{3}
                   |\xf4[\x80-\x8f][\x80-\xbf]{2}/x;


sub text {
    my ($bytes) = @_;

    return undef if length($bytes =~ s/$character//gr);
    utf8::decode($bytes);

    return $bytes;
}


sub unescaped { return $json->decode(text(qq(["$_[0]"])))->[0] }


# a line as a hash, if it is one of ours

sub parsed {
    my ($line) = @_;

    my $text = text($line);
    return { error => 'invalid UTF-8' } unless defined $text;
    return { error => 'too long' } if length($line) + 1 > 4096;

    my $entry = eval { $json->decode($text) };

    return ref $entry eq 'HASH' ? $entry : { error => $@ || 'no object' };
}


# requests, and the lines that they alone make

sub logged {
    my ($requests, $n) = @_;

    my $before = $total;
    $_->() for @$requests;
    $total += $n // @$requests;

    my @lines = $server->lines($total);

    return map { parsed($_) } @lines[$before .. $#lines];
}


# what a request has in its line

sub line {
    my ($name, $request, %expected) = @_;

    my $r;
    my @entries = logged([ sub { $r = $request->() } ]);

    is(scalar @entries, 1, "$name: one line");

    my $entry = $entries[0];
    my $webhook = exists $expected{result};

    is_deeply([ sort keys %$entry ],
              [ sort qw(ts level request_id method path status latency_ms
                        client),
                     $webhook ? qw(body_length secret message_id items dup
                                    result)
                              : () ],
              "$name: the fields");
    is($entry->{client}, '127.0.0.1', "$name: the caller's address");

    is($entry->{$_}, $expected{$_}, "$name: $_")
        for grep { $_ ne 'dup' } sort keys %expected;

    if ($webhook) {
        is(JSON::PP::is_bool($entry->{dup}), 1, "$name: dup is a boolean");
        is(!!$entry->{dup}, !!$expected{dup}, "$name: dup");
        like($json->encode([ $entry->{body_length} ]), qr/\A\[\d+\]\z/,
             "$name: body_length is a number");
    }

    like($entry->{ts}, qr/\A20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\z/,
         "$name: ts");
    like($json->encode([ $entry->{latency_ms} ]), qr/\A\[\d+(\.\d+)?\]\z/,
         "$name: latency_ms is a number");
    like($json->encode([ $entry->{status} ]), qr/\A\[\d+\]\z/,
         "$name: status is a number");

    if (ref $r && $r->{status}) {
        is(Lyftr::Client::header($r, 'X-Request-ID'), $entry->{request_id},
           "$name: the answer has the request id");
    }

    return $entry;
}


sub get { my @args = @_; return sub { $server->request(@args) } }
sub raw { my @args = @_; return sub { $server->exchange(@args) } }


# each outcome of a delivery

my $body = message();
my %webhook = (method => 'POST', path => '/webhook');

line('created', sub { $server->post($body) }, %webhook, status => 200,
     level => 'INFO', message_id => 'm1', result => 'created', dup => 0,
     secret => '1', body_length => length $body);
line('duplicate', sub { $server->post($body) }, %webhook, status => 200,
     level => 'INFO', message_id => 'm1', result => 'duplicate', dup => 1);
line('bad signature',
     get('POST /webhook', 'X-Signature: 123', 'Content-Length: 0'), %webhook,
     status => 401, level => 'ERROR', message_id => '',
     result => 'invalid_signature', secret => '', body_length => 0);
line('a forged body of chunks',
     raw("POST /webhook HTTP/1.1\r\nHost: a\r\nX-Signature: " . 'a' x 64
         . "\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
         . "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"), %webhook, status => 401,
     level => 'ERROR', message_id => '', result => 'invalid_signature',
     secret => '', body_length => 7);
line('validation', sub { $server->post(message(ts => undef)) }, %webhook,
     status => 422, level => 'WARNING', message_id => 'm1',
     result => 'validation_error');
line('no JSON', sub { $server->post('{') }, %webhook, status => 422,
     level => 'WARNING', message_id => '', result => 'validation_error');
line('a number as the id',
     sub { $server->post(message(message_id => \'7')) }, %webhook,
     status => 422, level => 'WARNING', message_id => '',
     result => 'validation_error');
line('a lone surrogate in the id',
     sub { $server->post(message(message_id => 'a\\ud800')) }, %webhook,
     status => 422, level => 'WARNING', message_id => '',
     result => 'validation_error');
line('too large', get('POST /webhook?a=b', 'Content-Length: 2000000'),
     %webhook, status => 413, level => 'WARNING', message_id => '',
     result => 'rejected');
line('method', get('GET /webhook'), method => 'GET', path => '/webhook',
     status => 405, level => 'WARNING', message_id => '',
     result => 'rejected');
line('method of nginx', get('TRACE /webhook'), method => 'TRACE',
     path => '/webhook', status => 405, level => 'WARNING', message_id => '',
     result => 'rejected');


# other requests

line('live', get('GET /health/live'), method => 'GET',
     path => '/health/live', status => 200, level => 'INFO');
line('ready', get('HEAD /health/ready'), method => 'HEAD',
     path => '/health/ready', status => 200, level => 'INFO');
line('a q is private', get('GET /messages?q=private&limit=3'),
     method => 'GET', path => '/messages', status => 200, level => 'INFO');
line('a refused query', get('GET /messages?limit=0'), method => 'GET',
     path => '/messages', status => 422, level => 'WARNING');
line('a path as it was sent', get('GET /st%61ts?'), method => 'GET',
     path => '/st%61ts', status => 200, level => 'INFO');
line('not found', get('DELETE /a%20b/%C3%A9?x#y'), method => 'DELETE',
     path => '/a%20b/%C3%A9', status => 404, level => 'WARNING');
line('a dot segment', get('GET /x/../stats'), method => 'GET',
     path => '/x/../stats', status => 404, level => 'WARNING');
line('a bad request', raw("GET /stats?q=1 HTTP/1.1\r\n\r\n"),
     method => 'GET', path => '/stats', status => 400, level => 'WARNING');
line('a header too large', get('PUT /webhook', 'X-A: ' . 'x' x 100_000),
     %webhook, method => 'PUT', status => 400, level => 'WARNING',
     message_id => '', result => 'rejected');
line('a path too long', get('GET /' . 'x' x 100_000), method => 'GET',
     status => 414, level => 'WARNING');

unlike(join("\n", $server->lines($total)), qr/private|testsecret/,
       'no query and no secret is in the log');


# requests that break off

sub abort {
    my ($bytes) = @_;

    return sub {
        my $client = $server->client;

        $client->send($bytes);
        $server->drained;
        $client->reset;
        return;
    };
}

line('a client that leaves in a body',
     abort("POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx"),
     %webhook, level => 'WARNING', message_id => '', result => 'aborted');
line('a client that leaves in a header',
     abort("POST /webhook HTTP/1.1\r\nHost: a\r\nX-A"), level => 'WARNING',
     method => 'POST', path => '/webhook');


# request ids

for my $id ('a', 'A.b_C-9', 'x' x 128) {
    my $entry = line("the id $id", get('GET /stats', "X-Request-ID: $id"),
                     status => 200);
    is($entry->{request_id}, $id, "the id $id is kept");
}

my %seen;

for my $id ('', 'x' x 129, 'a b', 'a"b', "a\\b", "\xc3\xa9", "a\xff", 'a,b',
            'a/b', '${x}', "a\tb")
{
    my $entry = line('an id that is replaced',
                     get('GET /nope', "X-Request-ID: $id"), status => 404);
    my $new = $entry->{request_id};

    like($new, qr/\A[A-Za-z0-9._-]{1,128}\z/, 'by one of ours');
    isnt($new, $id, 'and not by itself');
    ok(!$seen{$new}++, 'that is unique');
}


# hostile bytes: one line each, all of which line() parses

my @hostile = ('"', '\\', '","x":"', "\xff\xfe", "\xc3", "\xed\xa0\x80",
               "\xf4\x90\x80\x80", "\xc0\xaf", "\x7f", "\xc2\x80",
               "\xe2\x80\xa8", '{}', "'", '%00%0a', '$uri', '\\u0000',
               "\xf0\x9f\x98\x80");

for my $bytes (@hostile) {
    my $name = join '', map { sprintf '%02x', ord } split //, $bytes;
    my $text = text($bytes);

    my $entry = line("path $name", raw("GET /a$bytes/b HTTP/1.1\r\nHost: a\r\n"
                                       . "Connection: close\r\n\r\n"));

    if (defined $text && $entry->{status} != 400) {
        is($entry->{path}, "/a$text/b", "path $name is as it was sent");
    }

    $entry = line("method $name", raw("GET$bytes /stats HTTP/1.1\r\n"
                                      . "Host: a\r\n\r\n"), status => 400);
    line("protocol $name", raw("GET /stats HTTP/1.1$bytes\r\n\r\n"),
         status => 400);
    line("header $name", get('GET /nope', "X-A: $bytes", "$bytes: x",
                             "User-Agent: $bytes", "Referer: $bytes"));
    line("host $name", raw("GET /nope HTTP/1.1\r\nHost: $bytes\r\n"
                           . "Connection: close\r\n\r\n"));
}

# control characters end or refuse a request line; each is still one line

for my $byte (map { chr } 0 .. 9, 11, 12, 14 .. 31) {
    my $name = sprintf '%02x', ord $byte;

    line("control $name in a path",
         raw("GET /a${byte}b HTTP/1.1\r\nHost: a\r\n\r\n"));
    line("control $name first", raw("${byte}GET / HTTP/1.1\r\n\r\n"),
         status => 400);
}

line('a line feed in a path',
     raw("GET /a\n{\"level\":\"INFO\"} HTTP/1.1\r\nHost: a\r\n\r\n"));

# message ids take any character, raw and escaped

for my $id ('\\n{\\"a\\":1}', '\\"', '\\\\', '\\u0001\\u001f', '\\u2028',
            "\x7f", "\xc2\x85", "\xf0\x9f\x98\x80", '\\ud83d\\ude01',
            "\xef\xbf\xbf", '</script>')
{
    my $value = unescaped($id);

    line("message id $id", sub { $server->post(message(message_id => $id)) },
         %webhook, status => 200, message_id => $value, result => 'created');
}

# and any length, as far as a line has room

for my $unit ('x', '\\u0001', '\\"', "\xf0\x9f\x98\x80", "\xc3\xa9") {
    for my $shift ('', 'y', 'yy', 'yyy') {
        my $id = $shift . $unit x 100_000;
        my $value = unescaped($id);

        my $entry = line("a long id of $unit after $shift", sub {
            $server->exchange("POST /webhook HTTP/1.1\r\nHost: a\r\n"
                              . "X-Request-ID: " . 'i' x 128 . "\r\n"
                              . signature(message(message_id => $id))
                              . "\r\nContent-Length: "
                              . length(message(message_id => $id))
                              . "\r\nConnection: close\r\n\r\n"
                              . message(message_id => $id))
        }, %webhook, status => 200, result => 'created');

        is($entry->{message_id},
           substr($value, 0, length $entry->{message_id}),
           'is the beginning of it');
        cmp_ok(length $entry->{message_id}, '>', 50, 'and not too short');
    }
}

for my $unit ('x', '"', '\\', "\xff", "\xf0\x9f\x98\x80", '%22') {
    line("a long path of $unit",
         get('GET /' . substr($unit x 7_500, 0, 7_500), 'X-Request-ID: '
             . 'i' x 128), status => 404);
    line("a long method of $unit",
         get(substr($unit x 7_500, 0, 7_500) . ' /webhook'));
    line("no space in $unit", raw(substr($unit x 7_500, 0, 7_500)
                                  . "\r\n\r\n"));
}

is(scalar(my @lines = $server->lines($total)), $total,
   'as many lines as requests');
$server->stop;


# two workers, four clients, and a reader that is slow from the first line on

pipe my $reader, my $writer or die "pipe: $!";
fcntl $reader, 1031, 4096;                      # F_SETPIPE_SZ

$server = Lyftr::Shipped->new(stdout => $writer);
close $writer;

my $n = 500;
my @pids;

for my $name (1 .. 4) {
    my $pid = fork // die "fork: $!";
    push @pids, $pid;
    next if $pid;

    close $reader;

    my $path = '"' x 1_200 . "\xff" x (300 + $name);
    my $client = $server->client;

    for (1 .. $n) {
        $client->send("GET /$path/$_ HTTP/1.1\r\nHost: a\r\n"
                      . "X-Request-ID: c$name.$_\r\n\r\n");
        $client->response(60);
    }

    POSIX::_exit(0);
}

my ($text, $end) = ('', time + 300);
my %id;

while (time < $end && ($text =~ tr/\n//) < 4 * $n + 1) {
    sleep 0.001;
    sysread $reader, $text, 1 + int rand 6_000, length $text or last;
}

for (split /\n/, $text) {
    my $entry = parsed($_);

    $id{$entry->{request_id} // 'broken'}++ if ($entry->{status} // 0) == 404;
    $id{broken}++ if $entry->{error};
}

is($id{broken}, undef, 'a slow reader: every line is whole');
is(scalar keys %id, 4 * $n, 'a slow reader: each request has its line');
is_deeply([ grep { $id{$_} != 1 } keys %id ], [],
          'a slow reader: and no other');

close $reader;
waitpid $_, 0 for @pids;

done_testing();

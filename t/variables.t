# The variables of an access log: what became of a request, whose secret it
# was, and how long its body.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Lyftr;
use Lyftr::Client;
use Lyftr::Server;


my $server = Lyftr::Server->new(
    workers => 1, http => <<'END',
lyftr_secret older name=2026-05;
lyftr_secret newer name=2026-11;
log_format v escape=json '$lyftr_result|$lyftr_secret_name|$lyftr_body_length';
END
    server => 'access_log lines v; client_body_buffer_size 1k;
               client_body_timeout 500ms;');

my $lines = 0;


# the line of the next request

sub logged {
    my ($request) = @_;

    my @line;

    $request->();

    Lyftr::Server::wait_for {
        open my $file, '<', "$server->{dir}/lines" or die "lines: $!";
        @line = grep { /\n\z/ } <$file>;
        @line > $lines;
    };

    chomp @line;
    my $line = $line[$lines++] // 'none';

    is(scalar @line, $lines, 'one line');

    return $line;
}


# a delivery that is signed with a secret

sub delivery {
    my ($secret, $body, @headers) = @_;

    @headers = 'Content-Length: ' . length $body unless @headers;

    return sub {
        $server->exchange(join "\r\n", 'POST /webhook HTTP/1.1', 'Host: a',
                          'Connection: close', signature($body, $secret),
                          @headers, '',
                          $headers[0] =~ /chunked/
                          ? sprintf("%x\r\n%s\r\n0\r\n\r\n", length $body,
                                    $body) : $body);
    };
}


my $body = message();
my $n = length $body;

is(logged(delivery('newer', $body)), "created|2026-11|$n", 'created');
is(logged(delivery('older', $body)), "duplicate|2026-05|$n", 'duplicate');
is(logged(delivery('testsecret', $body)), "duplicate|1|$n", 'no name');
is(logged(delivery('nobody', $body)), "invalid_signature||$n", 'forged');
is(logged(delivery('newer', '{}')), 'validation_error|2026-11|2', 'invalid');

# in a file, in pieces, announced, and none

my $large = message(message_id => 'large', text => 'x' x 4000);

is(logged(delivery('newer', $large)), 'created|2026-11|' . length $large,
   'a body in a file');
is(logged(delivery('newer', $large, 'Transfer-Encoding: chunked')),
   'duplicate|2026-11|' . length $large, 'a chunked one');
is(logged(sub { $server->request('POST /webhook', 'Content-Length: 2000000') }),
   'rejected||2000000', 'one that is too large');
is(logged(sub { $server->get('/stats') }), '||0', 'none');

# a sender that does not go on is not refused

is(logged(sub {
    my $client = $server->client;

    $client->send("POST /webhook HTTP/1.1\r\nHost: a\r\n"
                  . "Content-Length: 10\r\n\r\n{");
    Lyftr::Server::wait_for { !$client->fill(Time::HiRes::time + 1) };
}), 'aborted||1', 'one that does not end');

is($server->metric('webhook_requests_total{result="aborted"}'), 1,
   'counts as aborted');
is($server->metric('http_requests_total{path="/webhook",status="408"}'), 1,
   'with 408');

is_deeply([ $server->alarms ], [], 'no alarms in the log');

done_testing();

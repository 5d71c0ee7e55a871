# Bodies that are not there as a whole, and large ones, which threads check; and
# a server that cannot check a delivery: what is its own fault is a 503.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Lyftr qw(message sign);
use Lyftr::Client;
use Lyftr::Preload;
use Lyftr::Scenario qw(compare);
use Lyftr::Server;
use Lyftr::Stall;


# a delivery of about so many bytes

sub large {
    my ($id, $size) = @_;

    return { %{ Lyftr::Client::numbered($id) }, more => 'x' x $size };
}


# the same body with other headers: it is sent to a path, and chunked by parts

sub chunked {
    my ($bytes, $path, $part) = @_;
    my ($head, $body) = split /(?<=\r\n)\r\n/, $bytes, 2;

    $head =~ s{ /webhook }{ $path };
    $head =~ s{^Content-Length:.*\r\n}{Transfer-Encoding: chunked\r\n}m;

    return ("$head\r\n", map { sprintf "%x\r\n%s\r\n", length, $_ }
                         unpack "(a$part)*", $body);
}


# a proxy that has passed on a part of the body falls back to us

my $nobody = Lyftr::Server::free_port();
my $server = Lyftr::Server->new(workers => 1, http => <<"END",
upstream nobody { server 127.0.0.1:$nobody; }
END
    server => <<'END');
location = /buffered {
    proxy_pass http://nobody;
    error_page 502 = @hook;
}
location = /unbuffered {
    proxy_pass http://nobody;
    proxy_http_version 1.1;
    proxy_request_buffering off;
    error_page 502 = @hook;
}
location @hook { lyftr_webhook main; }
END

my $bytes = Lyftr::Client::delivery(large('whole', 100_000));
(my $buffered = $bytes) =~ s{ /webhook }{ /buffered };
(my $unbuffered = $bytes) =~ s{ /webhook }{ /unbuffered };

is($server->exchange($buffered)->{status}, 200, 'a whole body is stored');

my $r = $server->exchange($unbuffered);
is($r->{status}, 503, 'a part of one is not taken for it');
like($r->{head}, qr/^Retry-After: 1\r$/m, 'and may be sent again');
is($r->{body}, '{"detail":"the delivery could not be checked"}', 'why');

my $client = $server->client;
my ($head, @parts) = chunked($bytes, '/unbuffered', 30_000);
$client->send($head . $parts[0]);
is($client->response(10)->{status}, 503, 'nor is a part in chunks');
$client->close;

# all of it has come with the headers

(my $small = Lyftr::Client::delivery(Lyftr::Client::numbered('small')))
    =~ s{ /webhook }{ /unbuffered };
is($server->exchange($small)->{status}, 200, 'a small one is whole');
is_deeply([ compare($server, qw(whole small)) ], [], 'rows');
is($server->metric('webhook_requests_total{result="invalid_signature"}'), 0,
   'none is counted as forged');
$server->stop;
is_deeply([ $server->alarms ], [], 'no alarms in the log');


# large bodies, in a file and in memory, with a length and chunked

for my $buffer ('16k', '2m') {
    $server = Lyftr::Server->new(server => "client_body_buffer_size $buffer;");

    my @ids;

    for my $size (250_000, 262_144, 270_000, 900_000) {
        my $id = "large$size";
        my $bytes = Lyftr::Client::delivery(large($id, $size));

        is($server->exchange($bytes)->{status}, 200, "$buffer: $size bytes");
        is($server->exchange(join '', chunked($bytes, '/webhook', 100_000),
                             "0\r\n\r\n")->{status}, 200, 'again, in chunks');
        push @ids, $id;

        (my $forged = $bytes) =~ s/X-Signature: ./X-Signature: g/;
        is($server->exchange($forged)->{status}, 401, 'malformed');

        $forged = Lyftr::Client::delivery(large("forged$id", $size), 'other');
        is($server->exchange($forged)->{status}, 401, 'forged');

        my $bad = Lyftr::Client::delivery({ %{ large("bad$id", $size) },
                                            ts => 'now' });
        is($server->exchange($bad)->{status}, 422, 'invalid');
    }

    is_deeply([ compare($server, @ids) ], [], "$buffer: rows");

    my $samples = $server->samples;
    my %count = map {
        $_ => $samples->{qq(webhook_requests_total{result="$_"})}
    } qw(created duplicate invalid_signature validation_error);

    is_deeply(\%count, { created => 4, duplicate => 4, invalid_signature => 8,
                         validation_error => 4 }, "$buffer: counted");

    $server->stop;
    is_deeply([ $server->alarms ], [], "$buffer: no alarms in the log");
}


# it is a thread that checks them: while the only one has to wait, nothing is
# known of a large body, and all else goes on

SKIP: {
    my $stall = Lyftr::Stall->new or skip 'no shared object can be used', 11;

    $server = Lyftr::Server->new(workers => 1, preload => $stall,
                                 store => 'timeout=1s',
                                 main => 'thread_pool default threads=1;');
    Lyftr::Scenario::warm($server);

    my ($worker) = $server->workers;

    $stall->on;
    Lyftr::Scenario::post(my $stalled = $server->client, 'stalled');
    ok($stall->reached, 'a commit stands still');

    my @late = map { $server->client } 1 .. 3;
    $_->send(Lyftr::Client::delivery(large('forged', 300_000), 'other'))
        for @late;
    is($server->post(message(), 'X: y')->{status}, 503, 'a small one waits');
    is($server->post('{}x', 'Expect:')->{status}, 422, 'or is refused at once');

    $_->reset for shift @late;
    is($_->response(10)->{status}, 503, 'a large one is a 503 in time')
        for @late;

    $stall->off;
    $_->send(Lyftr::Client::delivery(large('late', 300_000))) for @late;
    is($_->response(10)->{status}, 200, 'and then goes its way') for @late;

    Lyftr::Server::wait_for { ($server->created // 0) == 3 };
    is_deeply([ compare($server, qw(warm stalled late)) ], [], 'rows');
    is_deeply([ $server->workers ], [ $worker ], 'the worker is the same');
    $server->stop;
    is_deeply([ $server->alarms ], [], 'no alarms in the log');
}


# OpenSSL computes no signature

SKIP: {
    my $broken = Lyftr::Preload->build(<<'END')
#include <dlfcn.h>
#include <stddef.h>
#include <unistd.h>

int EVP_MAC_update(void *ctx, const unsigned char *data, size_t len)
{
    int (*update)(void *, const unsigned char *, size_t);

    update = dlsym(RTLD_NEXT, "EVP_MAC_update");

    return access(DIR "/on", F_OK) == 0 ? 0 : update(ctx, data, len);
}
END
        or skip 'no shared object can be used', 8;

    $server = Lyftr::Server->new(workers => 1, preload => $broken);
    Lyftr::Scenario::warm($server);

    open my $on, '>', "$broken->{dir}/on" or die "on: $!";

    $r = $server->post(message(message_id => 'unchecked'));
    $r->{status} == 200 and skip 'the object is not used', 8;

    is($r->{status}, 503, 'no HMAC: 503');
    like($r->{head}, qr/^Retry-After: 1\r$/m, 'Retry-After');
    is($server->exchange(Lyftr::Client::delivery(large('l', 300_000)))
        ->{status}, 503, 'a large one too');

    unlink "$broken->{dir}/on";
    is($server->post(message(message_id => 'unchecked'))->{status}, 200,
       'the same delivery afterwards');

    my $samples = $server->samples;
    is($samples->{'webhook_requests_total{result="unavailable"}'}, 2,
       'counted as ours');
    is($samples->{'webhook_requests_total{result="invalid_signature"}'}, 0,
       'and not as forged');
    is($samples->{'lyftr_signature_failures_total{reason="mismatch"}'}, 0,
       'nor as a mismatch');

    $server->stop;
    is_deeply([ $server->alarms ], [], 'no alarms in the log');
}

done_testing();

# The errors that nginx itself answers in the configuration that ships: JSON of
# FastAPI's shape, a request id, and the headers that belong to the status.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use Test::More;

use Lyftr;
use Lyftr::Client;
use Lyftr::Shipped;


my %detail = (
    400 => 'Bad Request',
    404 => 'Not Found',
    405 => 'Method Not Allowed',
    413 => 'Request Entity Too Large',
    414 => 'URI Too Long',
);

my $server = Lyftr::Shipped->new;


sub refused {
    my ($name, $status, $r, $allow) = @_;

    is($r->{status}, $status, "$name: $status");
    is($r->{body}, qq({"detail":"$detail{$status}"}), "$name: the body");
    is(Lyftr::Client::header($r, 'Content-Type'), 'application/json',
       "$name: the type");
    is(Lyftr::Client::header($r, 'Allow'), $allow, "$name: Allow");
    like(Lyftr::Client::header($r, 'X-Request-ID') // '',
         qr/\A[A-Za-z0-9._-]{1,128}\z/, "$name: a request id");
}


# unknown paths: they match exactly after percent-decoding

for ('/', '/nope', '/webhook/', '//webhook', '/webhook//', '/./webhook',
     '/x/../webhook', '/%2e/webhook', '/x/%2E%2e/webhook', '/webhook/.',
     '/Webhook', '/messages/', '//messages', '/stats/', '/health', '/health/',
     '/health//live', '/health/live/', '/metrics/', '/%2Fwebhook',
     '/health%2F/live', '/webhook%20', '/webhook%2F', '/.error/400',
     '/.error/414', '/@404', '/index.html', '/messages%3Flimit=1')
{
    refused("GET $_", 404, $server->request("GET $_"));
}

my $body = message();

for ('/webhook/', '//webhook', '/%2fwebhook', '/./webhook') {
    refused("POST $_", 404,
            $server->request("POST $_", signature($body),
                             'Content-Length: 0'));
}

is($server->get('/messages')->{body},
   '{"data":[],"total":0,"limit":50,"offset":0}', 'nothing was stored');
is($server->request("GET $_")->{status}, 200, "GET $_ is a known path")
    for '/st%61ts', '/health%2Flive', '/%68ealth/ready?a=/../b',
        '/messages?q=/./x', '/messages?q=//';
is($server->request("HEAD /nope")->{body}, '', 'HEAD has no body');


# methods

refused("$_ /webhook", 405, $server->request("$_ /webhook"), 'POST')
    for qw(GET PUT DELETE PATCH OPTIONS TRACE PROPFIND FOO);

for my $path (qw(/messages /stats /health/live /health/ready /metrics)) {
    refused("$_ $path", 405, $server->request("$_ $path", 'Content-Length: 0'),
            'GET, HEAD') for qw(POST PUT DELETE PATCH OPTIONS TRACE);
}

is($server->request('HEAD /webhook')->{status}, 405, 'HEAD /webhook: 405');
is($server->request('HEAD /webhook')->{body}, '', 'HEAD /webhook: no body');


# sizes

my $large = message(text => 'x' x 1_100_000);

refused('a declared length over the limit', 413,
        $server->request('POST /webhook', signature($large),
                         'Content-Length: ' . length $large));

refused('chunks over the limit', 413,
        $server->exchange("POST /webhook HTTP/1.1\r\nHost: a\r\n"
                          . "Connection: close\r\n" . signature($large)
                          . "\r\nTransfer-Encoding: chunked\r\n\r\n"
                          . sprintf("%x\r\n%s\r\n0\r\n\r\n",
                                    length $large, $large)));

refused("a path that is too long: $_", 414,
        $server->request("GET $_" . 'x' x 100_000)) for '/', '/./', '/x/../';


# what is no request

refused('no HTTP', 400, $server->exchange("hello\r\n\r\n"));
refused('no Host', 400, $server->exchange("GET /stats HTTP/1.1\r\n\r\n"));
refused('a NUL in the path', 400,
        $server->exchange("GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n"));
refused('an encoded NUL in the path', 400,
        $server->request('GET /%00'));
refused('a path above the root', 400, $server->request('GET /../webhook'));
refused('a bad escape', 400, $server->request('GET /%zz'));
refused('two hosts', 400, $server->request('GET /stats', 'Host: b'));
refused('a bad length', 400,
        $server->request('POST /webhook', 'Content-Length: x'));
refused("a header that is too large: $_", 400,
        $server->request("GET $_", 'X-A: ' . 'x' x 100_000))
    for '/stats', '/x/../stats', '/nope/.';


# a request id is kept if nothing is wrong with it

is(Lyftr::Client::header($server->request("GET $_", 'X-Request-ID: a.B_9-'),
                         'X-Request-ID'), 'a.B_9-', "GET $_ keeps the id")
    for qw(/nope /webhook /stats /messages?limit=0 /metrics /health/live);

# A query is private, and nginx would write it to the error log with what it
# refuses.  Only the webhook has a limit for bodies.

for my $path (qw(/messages /stats /metrics /health/live /health/ready /nope /
                 /docs /openapi.json /webhook/))
{
    for my $method (qw(GET POST)) {
        my $line = "$method $path?q=private";
        my $plain = $server->request($line)->{status};

        is($server->request($line, 'Content-Length: 2000000')->{status},
           $plain, "$line: a large body is not looked at");
        is($server->exchange("$line HTTP/1.1\r\nHost: a\r\n"
                             . "Transfer-Encoding: chunked\r\n"
                             . "Connection: close\r\n\r\n"
                             . sprintf("%x\r\n%s\r\n0\r\n\r\n", 1_100_000,
                                       'x' x 1_100_000))->{status},
           $plain, "$line: nor is one of chunks");
    }
}

$server->exchange("GET /messages?q=private HTTP/1.1\r\nHost: a\r\n$_\r\n\r\n")
    for 'Content-Length: x', "A\x01: b", 'X-A: ' . 'x' x 100_000, 'Host: b',
        'Transfer-Encoding: x';

unlike($server->log, qr/private/, 'no query is in the error log');
is_deeply([ $server->alarms ], [], 'no alarms in the log');
$server->stop;


# each error page, as nginx itself comes to it

my %pages = (403 => 'Forbidden', 404 => 'Not Found',
             405 => 'Method Not Allowed', 412 => 'Precondition Failed',
             413 => 'Request Entity Too Large',
             500 => 'Internal Server Error', 501 => 'Not Implemented',
             502 => 'Bad Gateway', 503 => 'Service Unavailable',
             504 => 'Gateway Timeout');

my $dir = tempdir(CLEANUP => 1);

# the template with more locations, and perhaps a line less

sub template {
    my ($name, $without) = @_;

    open my $in, '<', 'docker/nginx.conf.template' or die "template: $!";
    my $text = join '', <$in>;
    my $more = join '', map { "location = /$_ { return $_; }\n" } keys %pages;

    $text =~ s/(?= *location = \/webhook)/$more/;
    $text =~ s/ *\Q$without\E\n// or die "template: no $without"
        if defined $without;

    open my $out, '>', "$dir/$name" or die "$name: $!";
    print $out $text;
    close $out;

    return "$dir/$name";
}

$server = Lyftr::Shipped->new(env => { TEMPLATE => template('pages') });

for (sort keys %pages) {
    my $r = $server->request("GET /$_");

    is($r->{status}, $_, "page $_: its status");
    is($r->{body}, qq({"detail":"$pages{$_}"}), "page $_: its body");
    is(Lyftr::Client::header($r, 'Retry-After'), $_ == 503 ? 1 : undef,
       "page $_: Retry-After");
    like(Lyftr::Client::header($r, 'X-Request-ID') // '', qr/\A[0-9a-f]{32}\z/,
         "page $_: a request id");
}

$server->stop;
$server = Lyftr::Shipped->new(env => {
    TEMPLATE => template('without', 'add_header Retry-After 1 always;') });
is(Lyftr::Client::header($server->request('GET /503'), 'Retry-After'), undef,
   'a page 503 without Retry-After would be seen');

done_testing();

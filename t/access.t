# Who may read.  The configuration that ships lets only loopback and private
# networks read; LYFTR_READ_ALLOW widens that, or ends it, and LYFTR_READ_TOKEN
# has a token take its place; behind a proxy, with TLS and on a port of their
# own.  A configuration of one's own can ask for a password, or another service.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use JSON::PP;
use MIME::Base64;
use Test::More;

use Lyftr;
use Lyftr::Address qw(add_addresses);
use Lyftr::Client;
use Lyftr::Server;
use Lyftr::Shipped;


my @paths = qw(/messages /stats /metrics);
my $forbidden = '{"detail":"Forbidden"}';

# inside of the networks at their edges, and just outside

my @private = qw(10.0.0.0 10.255.255.255 172.16.0.1 172.31.255.254
                 192.168.0.1 192.168.255.254 169.254.0.1 169.254.255.254);
my @public = qw(192.0.2.1 9.255.255.254 11.0.0.1 172.15.255.254 172.32.0.1
                192.167.255.254 192.169.0.1 169.253.255.254 169.255.0.1);
my @private6 = qw(fc00::1 fdff:ffff::1 fe80::1 febf:ffff::1);
my @public6 = qw(2001:db8::1 fbff:ffff::1 fec0::1);
my @listed = qw(192.0.2.2 192.0.2.4 198.51.100.7);
my @listed6 = qw(2001:db8:0:1::1);


# the requests of a caller at an address

sub from {
    my ($server, $address, @request) = @_;

    local $server->{from} = $address;

    return $server->request(@request);
}


sub reads {
    my ($server, $name, $status, @addresses) = @_;

    for my $address (@addresses) {
        my %got = map { $_ => from($server, $address, $_) }
                  map { ("GET $_", "HEAD $_") } @paths;

        is_deeply({ map { $_ => $got{$_}{status} } keys %got },
                  { map { $_ => $status } keys %got },
                  "$name: $address: $status");

        next if $status == 200;

        is_deeply([ map { $got{"GET $_"}{body} } @paths ],
                  [ ($forbidden) x @paths ], "$name: $address: the body");
    }
}


# the line of a request

sub logged {
    my ($server, $id) = @_;

    return Lyftr::Server::wait_for {
        (grep { $_->{request_id} eq $id }
         map { decode_json($_) } $server->lines(0))[0];
    };
}


# the requests of a status by their paths; one counts after its answer

sub counted {
    my ($server, $status, %expected) = @_;

    my %got;

    Lyftr::Server::wait_for {
        %got = map { $_ => $server->metric(
                   qq(http_requests_total{path="$_",status="$status"})) // 0 }
               keys %expected;

        !grep { $got{$_} != $expected{$_} } keys %expected;
    } 5;

    is_deeply(\%got, \%expected, "$status: counted under their paths");
}


sub serves {
    my ($allow, %options) = @_;

    return Lyftr::Shipped->new(%options,
        env => { LYFTR_READ_ALLOW => $allow, %{ $options{env} // {} } });
}


my %v6 = (from => '::1', env => { HOST => '::' });


SKIP: {
    skip 'needs root, and a network namespace of its own'
        unless add_addresses(map { "$_/32" } @private, @public, @listed);

    my $server = serves(undef);

    reads($server, 'default', 200, '127.0.0.1', '127.9.9.9', @private);
    reads($server, 'default', 403, @public);


    # everything else is for everybody

    $server->{from} = '192.0.2.1';

    is($server->post(message())->{status}, 200, 'anybody may post');
    is($server->request('POST /webhook', 'Content-Length: 0')->{status}, 401,
       'anybody: a signature is wanted');
    is($server->request('GET /webhook')->{status}, 405, 'anybody: 405');
    is($server->request("GET $_")->{status}, 200, "anybody: $_")
        for qw(/health/live /health/ready);
    is($server->request("GET $_")->{status}, 404, "anybody: $_ is unknown")
        for qw(/ /nope /messages/ //messages /statsx /.error/400);


    # a refusal looks the same whatever was asked for, and is one of its path

    is($server->request("POST $_", 'Content-Length: 2', '', '{}')->{body},
       $forbidden, "POST $_ is refused as GET is") for @paths;
    is($server->request('HEAD /stats')->{body}, '', 'HEAD has no body');

    for (['/messages?q=private', 'refused-1'], ['/st%61ts', 'refused-2'],
         ['/metrics', 'refused-3'])
    {
        my ($path, $id) = @$_;
        my $r = $server->request("GET $path", "X-Request-ID: $id");

        is($r->{status}, 403, "$path: 403");
        is(Lyftr::Client::header($r, 'Content-Type'), 'application/json',
           "$path: the type");
        is(Lyftr::Client::header($r, 'X-Request-ID'), $id, "$path: its id");

        my $entry = logged($server, $id);

        is_deeply([ sort keys %$entry ],
                  [ sort qw(ts level request_id method path status
                            latency_ms client) ],
                  "$path: the fields of the line");
        is_deeply([ @$entry{qw(level method path status)} ],
                  [ 'WARNING', 'GET', $path =~ s/\?.*//r, 403 ],
                  "$path: what they say");
    }

    delete $server->{from};

    # each address by GET and HEAD, and the ones above

    counted($server, 403, '/messages' => 2 * @public + 2,
            '/stats' => 2 * @public + 3, '/metrics' => 2 * @public + 2,
            'other' => 0);
    is_deeply([ $server->alarms ], [], 'no alarms in the log');
    $server->stop;


    # more networks

    $server = serves('192.0.2.0/30');
    reads($server, 'a network', 200, '127.0.0.1', '10.0.0.0', '192.0.2.2');
    reads($server, 'a network', 403, '192.0.2.4', '198.51.100.7');
    $server->stop;

    $server = serves(" 192.0.2.1,2001:DB8::/64\t,\n198.51.100.0/24 ");
    reads($server, 'a list', 200, '127.0.0.1', '192.0.2.1', '198.51.100.7');
    reads($server, 'a list', 403, '192.0.2.2');
    $server->stop;

    $server = serves('all');
    reads($server, 'all', 200, '127.0.0.1', '192.0.2.1', '198.51.100.7');
    $server->stop;

    $server = serves('');
    reads($server, 'an empty list', 200, '127.0.0.1');
    reads($server, 'an empty list', 403, '192.0.2.1');
    $server->stop;
}


SKIP: {
    skip 'needs root, IPv6, and a network namespace of its own'
        unless add_addresses(map { "$_/128" } @private6, @public6,
                                            @listed6);

    my $server = serves(undef, %v6);
    reads($server, 'IPv6', 200, '::1', @private6);
    reads($server, 'IPv6', 403, @public6);
    $server->stop;

    $server = serves('192.0.2.1 2001:DB8::/64', %v6);
    reads($server, 'IPv6, a list', 200, '::1', '2001:db8::1');
    reads($server, 'IPv6, a list', 403, '2001:db8:0:1::1');
    $server->stop;

    $server = serves('all', %v6);
    reads($server, 'IPv6, all', 200, '::1', '2001:db8::1');
    $server->stop;
}


# nobody, and nobody but some

my $server = serves('none');
reads($server, 'none', 403, '127.0.0.1');
is($server->post(message())->{status}, 200, 'none: anybody may post');
is($server->get($_)->{status}, 200, "none: $_ is for everybody")
    for qw(/health/live /health/ready /openapi.json);
is_deeply([ $server->alarms ], [], 'none: no alarms in the log');
$server->stop;

$server = serves('none 127.0.0.2');
reads($server, 'none but one', 200, '127.0.0.2');
reads($server, 'none but one', 403, '127.0.0.1');
$server->stop;


# what a header of authorization is answered, on each path

sub authorized {
    my ($server, $name, $status, @headers) = @_;

    my @got = map { $server->request("GET $_", @headers) } @paths;

    is_deeply([ map { $_->{status} } @got ], [ ($status) x @paths ],
              "$name: $status");

    return if $status != 401;

    is_deeply([ map { Lyftr::Client::header($_, 'WWW-Authenticate') } @got ],
              [ ('Bearer') x @paths ], "$name: the challenge");
    is_deeply([ map { $_->{body} } @got ],
              [ ('{"detail":"Not authenticated"}') x @paths ],
              "$name: the body");
}


sub bearer {
    return map { "Authorization: Bearer $_" } @_;
}


# tokens, of the variable and of files

my $files = tempdir(CLEANUP => 1);

sub put {
    my ($name, $text) = @_;

    open my $file, '>', "$files/$name" or die "$name: $!";
    print $file $text;
    close $file;
}

put('one', "file.one-_~+/==\n");
put('two', "file.two\r\n\n \tfile.three\n");

$server = serves(undef, env => { LYFTR_READ_TOKEN => ' first,second  third ',
                                 LYFTR_READ_TOKEN_FILE => $files });

authorized($server, "a token: $_", 200, bearer($_))
    for qw(first second third file.one-_~+/== file.two file.three);
authorized($server, 'no token', 401);
authorized($server, "not a token: $_", 401, "Authorization: $_")
    for '', 'first', 'Bearer', 'Bearer ', 'Bearer firs', 'Bearer firstt',
        'Bearer FIRST', 'Bearer first,second', 'Bearer first second',
        'Bearer file.one', 'Bearer "first"', 'Bearerfirst',
        'Basic ' . encode_base64('first', '') , 'Bearer ' . 'x' x 60000;
authorized($server, 'the scheme in any case', 200,
           'Authorization: bEARER   second');
is($server->request('HEAD /stats')->{status}, 401, 'HEAD asks for one, too');
is($server->request('GET /messages?access_token=first')->{status}, 401,
   'a token in the query is none');
is($server->request("GET $_")->{status}, 200, "no token: $_")
    for qw(/health/live /health/ready /openapi.json);
is($server->post(message())->{status}, 200, 'no token: a delivery');
is($server->request('POST /webhook', 'Content-Length: 0')->{body},
   '{"detail":"invalid signature"}', 'no token: a forged one is told so');
unlike(join('', $server->log, $server->lines(0)), qr/first|second|file\.two/,
       'no token is in a log');

# a file is read again by a reload, and a mistake changes nothing

sub told {
    my ($server, $pattern, $name) = @_;

    $server->signal('HUP');
    ok(Lyftr::Server::wait_for(sub { $server->log =~ $pattern }),
       "$name: it is told") or diag($server->log);
}

unlink "$files/one";
put('two', "file.four\n");
told($server, qr/info: reloaded/, 'a reload');
authorized($server, 'a reload: the new token', 200, bearer('file.four'));
authorized($server, "a reload: $_ is gone", 401, bearer($_))
    for qw(file.one-_~+/== file.two);

put('two', "a,b\n");
told($server, qr/warning: LYFTR_READ_TOKEN: .* no header can bring/,
     'no token for a header');
authorized($server, 'a mistake: as it was', 200, bearer('file.four'));
unlink "$files/two";
told($server, qr/LYFTR_READ_TOKEN_FILE: no file in/, 'no file');
authorized($server, 'no file: as it was', 200, bearer('file.four'));
is_deeply([ $server->alarms ], [], 'tokens: no alarms in the log');
$server->stop;

# an address that is named needs none

$server = serves('127.0.0.2', env => { LYFTR_READ_TOKEN => 'first' });
reads($server, 'an address and a token', 200, '127.0.0.2');
authorized($server, 'another address', 401);
authorized($server, 'another address, a token', 200, bearer('first'));
$server->stop;


# behind a proxy, whose word is taken, and nobody else's

sub forwarded {
    my ($server, $name, $proxy, $for, $status, $client) = @_;

    my $id = join '', 'proxy', map { int rand 10 } 1 .. 12;
    my $r = from($server, $proxy, 'GET /stats', "X-Request-ID: $id",
                 map { "X-Forwarded-For: $_" } @$for);

    is($r->{status}, $status, "$name: $status");
    is(logged($server, $id)->{client}, $client, "$name: $client");
}

$server = serves('198.51.100.0/24',
                 env => { LYFTR_TRUSTED_PROXIES => '127.0.0.2, 127.0.1.0/24' });

forwarded($server, @$_) for
    [ 'a stranger', '127.0.0.2', ['203.0.113.9'], 403, '203.0.113.9' ],
    [ 'one who is listed', '127.0.0.2', ['198.51.100.9'], 200,
      '198.51.100.9' ],
    [ 'two proxies', '127.0.0.2', ['203.0.113.9, 127.0.1.7'], 403,
      '203.0.113.9' ],
    [ 'two headers', '127.0.0.2', ['10.0.0.1', '203.0.113.9'], 403,
      '203.0.113.9' ],
    [ 'a lie', '127.0.0.2', ['10.0.0.1, 203.0.113.9'], 403, '203.0.113.9' ],
    [ 'IPv6', '127.0.0.2', ['2001:db8::1'], 403, '2001:db8::1' ],
    [ 'no proxy of ours', '127.0.0.1', ['203.0.113.9'], 200, '127.0.0.1' ];
$server->stop;


# a port for readers

my $readers = Lyftr::Server::free_port();

$server = serves(undef, env => { LYFTR_READ_PORT => $readers });

sub on {
    my ($port, @request) = @_;

    local $server->{port} = $port;

    return $server->request(@request)->{status};
}

my $senders = $server->{port};

for (@paths) {
    is(on($senders, "GET $_"), 404, "$_ is not for senders");
    is(on($readers, "GET $_"), 200, "$_ is for readers");
}

is(on($senders, 'POST /webhook', 'Content-Length: 0'), 401, 'for senders');
is(on($readers, 'POST /webhook', 'Content-Length: 0'), 404,
   'not for readers');

for my $port ($senders, $readers) {
    is(on($port, "GET $_"), 200, "$_ is for both")
        for qw(/health/live /health/ready);
}

is_deeply([ $server->alarms ], [], 'two ports: no alarms in the log');
$server->stop;


# TLS

my $tls = tempdir('a $b "c\\ XXXXXX', TMPDIR => 1, CLEANUP => 1);

sub certificate {
    my ($name) = @_;

    local @ENV{qw(DIR NAME)} = ($tls, $name);

    my $said = qx(openssl req -x509 -newkey ec -nodes -days 2 \\
                  -pkeyopt ec_paramgen_curve:P-256 -subj "/CN=\$NAME" \\
                  -addext subjectAltName=IP:127.0.0.1 \\
                  -keyout "\$DIR/key" -out "\$DIR/cert" 2>&1);

    is($?, 0, "a certificate of $name") or diag($said);
}


sub curl {
    my ($path, @options) = @_;

    open my $out, '-|', 'curl', '-s', '-m', 20, '--cacert', "$tls/cert",
         @options, "https://127.0.0.1:$server->{port}$path"
        or die "curl: $!";
    local $/;
    return <$out> // '';
}


# who is at the other end

sub subject {
    my $client = "openssl s_client -connect 127.0.0.1:$server->{port}";
    my ($text) = qx($client </dev/null 2>/dev/null) =~ /^subject=(.*)$/m;

    return $text // '';
}


certificate('one');
$server = serves(undef, env => { LYFTR_TLS_CERT => "$tls/cert",
                                 LYFTR_TLS_KEY => "$tls/key",
                                 LYFTR_READ_TOKEN => 'first' });

my @token = ('-H', bearer('first'));
my @how = ('-o', '/dev/null', '-w', '%{http_version} %{http_code}');

is(curl('/stats', @token, @how), '2 200', 'TLS: HTTP/2');
is(curl('/stats', @token, @how, '--http1.1'), '1.1 200', 'TLS: HTTP/1.1');
is(curl('/stats', @how), '2 401', 'TLS: no token');
is(curl('/stats', @token, @how, '--tls-max', '1.2'), '2 200', 'TLS 1.2');
is(curl('/stats', @token, @how, '--tlsv1.3'), '2 200', 'TLS 1.3');
is(curl('/stats', @token, @how, '--tls-max', '1.1', '--tlsv1.0',
        '--ciphers', 'DEFAULT:@SECLEVEL=0'), '0 000', 'not TLS 1.1');
is($server->request('GET /stats', @token)->{status}, 400, 'not without TLS');

my ($run) = glob(($ENV{BUILD} || 'build') . '/run.*');

{
    local @ENV{qw(LYFTR_TLS_CERT TMPDIR)} = ("$tls/cert", $run =~ s,/[^/]*$,,r);
    is(system('docker/ready'), 0, 'TLS: the check of the image finds it ready');
}

like(subject(), qr/one/, 'TLS: whose certificate it is');
certificate('two');
told($server, qr/info: reloaded/, 'TLS: a reload');
like(subject(), qr/two/, 'TLS: a reload reads it again');
rename "$tls/key", "$tls/away" or die "rename: $!";
told($server, qr/warning: LYFTR_TLS_CERT: .*tls\.key/, 'TLS: no key');
like(subject(), qr/two/, 'TLS: no key: as it was');
is_deeply([ $server->alarms ], [], 'TLS: no alarms in the log');
$server->stop;


# by a certificate, as the operator's guide tells, and by that of a stranger

{
    my $dir = tempdir(CLEANUP => 1);
    my $port = Lyftr::Server::free_port();

    local $ENV{DIR} = $dir;

    is(system(<<'END'), 0, 'certificates');
cd "$DIR" && exec 2>openssl.log

make() {
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
        -subj "/CN=$1" -keyout "$1.key" -out "$1.csr"
}

for name in authority stranger; do
    make $name
    openssl x509 -req -in $name.csr -signkey $name.key -out $name.crt
done

make consumer
openssl x509 -req -in consumer.csr -CA authority.crt -CAkey authority.key \
    -CAcreateserial -out consumer.crt
END

    my $own = Lyftr::Server->new(
        http => 'map $ssl_client_verify $lyftr_certified'
                . ' { default 0; SUCCESS 1; } geo $lyftr_reader { default 0; }',
        server => "listen 127.0.0.1:$port ssl;"
                  . " ssl_certificate $dir/authority.crt;"
                  . " ssl_certificate_key $dir/authority.key;"
                  . " ssl_client_certificate $dir/authority.crt;"
                  . ' ssl_verify_client optional;'
                  . ' lyftr_read_allow $lyftr_reader $lyftr_certified;'
                  . ' location = /messages/stream { lyftr_stream main; }');

    $server = { port => $port };

    my ($good, $bad) = map { [ '-k', '--cert', "$dir/$_.crt",
                               '--key', "$dir/$_.key" ] } qw(consumer stranger);

    is(curl('/stats', @how, @$good), '1.1 200', 'a certificate');
    is(curl('/stats', @how, '-k'), '1.1 403', 'none');
    is(curl('/stats', @how, @$bad), '1.1 400', 'that of a stranger');
    like(curl('/messages/stream?after=0', '-N', '-m', 2, @$good),
         qr/^event: progress$/m, 'a stream by a certificate');
    is(curl('/messages/stream', @how, '-k'), '1.1 403', 'and none without');
    is_deeply([ $own->alarms ], [], 'no alarms in the log');
}


# a password, and another service, in a configuration of one's own

sub answers {
    my ($server, $path, $authorization, $status, $body, $challenge) = @_;

    my $name = join ' ', $path, $authorization || 'without a header';
    my $r = $server->request("GET $path", $authorization
                             ? "Authorization: $authorization" : ());

    is($r->{status}, $status, "$name: $status");
    like($r->{body}, $body, "$name: the body");
    is(Lyftr::Client::header($r, 'WWW-Authenticate'), $challenge,
       "$name: the challenge");

    return if $status == 200;

    is(Lyftr::Client::header($r, 'Content-Type'), 'application/json',
       "$name: the type");
}


my $dir = tempdir(CLEANUP => 1);
my $port = Lyftr::Server::free_port();

$ENV{HOME_OF_TOKENS} = "inner";

open my $passwords, '>', "$dir/passwords" or die "passwords: $!";
print $passwords "reader:{PLAIN}right\n";
close $passwords;

$server = Lyftr::Server->new(dir => $dir,
                                http => <<"END", server => <<"END");
    server {
        listen 127.0.0.1:$port;

        location / {
            if (\$http_authorization = "Bearer right") {
                return 204;
            }

            if (\$http_authorization = "Bearer broken") {
                return 404;
            }

            if (\$http_authorization) {
                return 403;
            }

            add_header WWW-Authenticate Bearer always;
            return 401;
        }
    }
END
    default_type application/json;
    error_page 401 \@401;
    error_page 403 \@403;
    error_page 500 \@500;

    location \@401 {
        return 401 '{"detail":"Unauthorized"}';
    }

    location \@403 {
        return 403 '{"detail":"Forbidden"}';
    }

    location \@500 {
        return 500 '{"detail":"Internal Server Error"}';
    }

    location = /basic {
        lyftr_messages main;
        auth_basic messages;
        auth_basic_user_file passwords;
    }

    location = /request {
        lyftr_stats main;
        auth_request /auth;
    }

    location = /token {
        lyftr_metrics;
        lyftr_read_token outer;
        lyftr_read_token "env:HOME_OF_TOKENS";
    }

    location = /either {
        lyftr_stats main;
        satisfy any;
        auth_basic stats;
        auth_basic_user_file passwords;
        lyftr_read_token outer;
    }

    location = /flag {
        lyftr_stats main;
        lyftr_read_allow \$arg_a \$arg_b;
    }

    location = /open {
        lyftr_live;
        lyftr_read_token outer;
    }

    location = /auth {
        internal;
        proxy_pass http://127.0.0.1:$port;
        proxy_pass_request_body off;
        proxy_set_header Content-Length "";
    }

    location = /any {
        lyftr_metrics;
        satisfy any;
        allow 127.0.0.2;
        deny all;
        auth_basic metrics;
        auth_basic_user_file passwords;
    }
END

my $right = 'Basic ' . encode_base64('reader:right', '');
my $wrong = 'Basic ' . encode_base64('reader:wrong', '');
my $unauthorized = qr/\A\{"detail":"Unauthorized"\}\z/;

answers($server, @$_) for
    [ '/basic', '', 401, $unauthorized, 'Basic realm="messages"' ],
    [ '/basic', $wrong, 401, $unauthorized, 'Basic realm="messages"' ],
    [ '/basic', $right, 200, qr/\A\{"data":\[\],/ ],
    [ '/request', '', 401, $unauthorized, 'Bearer' ],
    [ '/request', 'Bearer wrong', 403, qr/\A\Q$forbidden\E\z/ ],
    [ '/request', 'Bearer right', 200, qr/\A\{"total_messages":0,/ ],
    [ '/request', 'Bearer broken', 500, qr/Internal Server Error/ ],
    [ '/any', '', 401, $unauthorized, 'Basic realm="metrics"' ],
    [ '/any', $right, 200, qr/^http_requests_total/m ];

# a token, another way in besides, and variables

answers($server, @$_) for
    [ '/token', '', 401, $unauthorized, 'Bearer' ],
    [ '/token', 'Bearer wrong', 401, $unauthorized, 'Bearer' ],
    [ '/token', 'Bearer outer', 200, qr/^http_requests_total/m ],
    [ '/token', 'Bearer inner', 200, qr/^http_requests_total/m ],
    [ '/either', 'Bearer wrong', 401, $unauthorized, 'Bearer' ],
    [ '/either', 'Bearer outer', 200, qr/\A\{"total_messages":0,/ ],
    [ '/either', $right, 200, qr/\A\{"total_messages":0,/ ],
    [ '/flag', '', 403, qr/\A\Q$forbidden\E\z/ ],
    [ '/flag?a=0&b=', '', 403, qr/\A\Q$forbidden\E\z/ ],
    [ '/flag?b=1', '', 200, qr/\A\{"total_messages":0,/ ],
    [ '/open', '', 200, qr/\A\{"status":"ok"\}/ ];

is(from($server, '127.0.0.2', 'GET /any')->{status}, 200,
   '/any: the address will do');
is($server->request('GET /auth')->{status}, 404, '/auth is not for callers');

# the module's own 401 is not a page of nginx

is($server->request('POST /webhook', 'Content-Length: 0')->{body},
   '{"detail":"invalid signature"}', '/webhook: its own 401');

# the other service is here, too; nginx's subrequests to it do not count

counted($server, 401, '/basic' => 2, '/request' => 1, '/any' => 1,
        '/webhook' => 1, 'other' => 1);
counted($server, 403, '/request' => 1, 'other' => 1);
counted($server, 500, '/request' => 1, 'other' => 0);
counted($server, 200, '/basic' => 1, '/request' => 1, 'other' => 0);
is_deeply([ $server->alarms ], [], 'no alarms in the log');

done_testing();

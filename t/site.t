# The sample site of the Debian package: who may read, what the lines of its log
# say, and that no query comes into the error log; and README.md's synopsis.

use strict;
use warnings;

use lib 't/lib';
use Cwd ();
use Digest::SHA qw(hmac_sha256_hex);
use JSON::PP;
use Test::More;

use Lyftr;
use Lyftr::Address qw(add_addresses);
use Lyftr::Server;


{
    package Site;

    our @ISA = 'Lyftr::Server';


    # the site as it is, but for its places; readers: a port for them, and what
    # the site has as comments

    sub configure {
        my ($self) = @_;

        my $dir = $self->{dir};
        my $module = $ENV{TEST_NGINX_LOAD_MODULES};
        my $load = $module ? "load_module $module;" : '';
        my $user = $> == 0 ? 'user root root;' : '';

        open my $in, '<', 'docker/debian/lyftr' or die "lyftr: $!";
        my $site = join '', <$in>;

        $site =~ s{sqlite:////var/lib/lyftr/app\.db}{sqlite:///$self->{db}};
        $site =~ s{/var/log/nginx/error\.log}{$self->{log}};
        $site =~ s{/var/log/nginx}{$dir};
        $site =~ s{/usr/share/libnginx-mod-http-lyftr}{Cwd::getcwd() . '/docker'}ge;
        $site =~ s{listen 127\.0\.0\.1:8000;}
                  {listen 127.0.0.1:$self->{port};} or die "no listen\n";
        $self->uncomment($site) if $self->{readers};

        open my $secret, '>', "$dir/lyftr.secret" or die "secret: $!";
        print $secret "testsecret\n";
        close $secret;

        open my $conf, '>', "$dir/nginx.conf" or die "nginx.conf: $!";
        print $conf <<"END";
$load
$user
daemon off;
pid nginx.pid;
error_log $self->{log} info;
events { }
http {
    types { text/html html; }
    client_body_temp_path client_body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    $site
}
END
        close $conf;
    }
}


sub Site::uncomment {
    my ($self, undef) = @_;

    for ($_[1]) {
        s/^ *\K# (?=\d+ \w+;|listen |ssl_|set_real|real_ip|lyftr_)//gm;
        s/^ *\K# (?= +(?:lyftr_|client_max|limit_req)|location |\}\n)//gm;
        s{(lyftr_store main [^;]*;)}
         {$1\nlyftr_store receipts sqlite:///$self->{dir}/receipts.db;} or die;
        s{8000 senders}{$self->{port} senders};
        s{8001( readers|;)}{$self->{readers}$1}g;
        s{listen 443 ssl}{listen 127.0.0.1:$self->{tls} ssl};
    }

    open my $token, '>', "$self->{dir}/lyftr.token" or die "token: $!";
    print $token "first\nsecond\n";
    close $token;

    for (['secret', 'app-secret'], ['token', 'verify']) {
        open my $file, '>', "$self->{dir}/whatsapp.$_->[0]"
            or die "whatsapp.$_->[0]: $!";
        print $file "$_->[1]\n";
        close $file;
    }

    system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
           . "-nodes -days 2 -subj /CN=localhost -keyout $self->{dir}/lyftr.key"
           . " -out $self->{dir}/lyftr.crt 2>/dev/null") == 0
        or die "no certificate\n";
}


{
    package Synopsis;

    our @ISA = 'Lyftr::Server';


    sub configure {
        my ($self) = @_;

        my $dir = $self->{dir};
        my $module = $ENV{TEST_NGINX_LOAD_MODULES};
        my $load = $module ? "load_module $module;" : '';

        open my $in, '<', 'README.md' or die "README.md: $!";
        my ($conf) = join('', <$in>) =~ /^## Synopsis.*?^```nginx\n(.*?)^```/ms;

        for (['user www-data;', $> == 0 ? 'user root root;' : ''],
             ['/run/nginx.pid', 'nginx.pid'],
             ['/var/log/nginx/error.log', $self->{log}],
             ['load_module modules/ngx_http_lyftr_module.so;', $load],
             ['sqlite:////var/lib/lyftr/app.db', "sqlite:///$self->{db}"],
             ['/etc/nginx/lyftr.secret', "$dir/lyftr.secret"],
             ['listen 8000;', "listen 127.0.0.1:$self->{port};"],
             ['/var/log/nginx/lyftr.log', "$dir/lyftr.log"])
        {
            my ($from, $to) = @$_;

            $conf =~ s/\Q$from\E/$to/ or die "README.md: no $from\n";
        }

        open my $secret, '>', "$dir/lyftr.secret" or die "secret: $!";
        print $secret "testsecret\n";
        close $secret;

        open my $out, '>', "$dir/nginx.conf" or die "nginx.conf: $!";
        print $out "daemon off;\n$conf";
        close $out;
    }
}


my $server = Site->new;
my $body = message();
my @reads = qw(/messages /stats /metrics);

ok(Lyftr::Server::wait_for(sub {
       $server->request('GET /health/ready')->{status} == 200;
   }), 'ready');
is($server->post($body)->{status}, 200, 'a delivery');
is($server->request('POST /webhook', 'Content-Length: 0')->{status}, 401,
   'a forged one');
is($server->request('POST /webhook?q=private',
                    'Content-Length: 1100000')->{status}, 413, 'a large one');
is($server->request("GET $_?q=private")->{status}, 200, "GET $_") for @reads;
is($server->request("GET /console/$_")->{status}, 200, "GET /console/$_")
    for '', 'console.js', 'console.css';
is($server->request('GET /nope?q=private')->{body}, '{"detail":"Not Found"}',
   'another path');

$server->request("GET $_?q=private", 'Content-Length: 2000000')
    for @reads, '/nope', '/health/ready', '/health/live';


# what nginx refuses: JSON, and the id of the request, which a caller may give

for ([ 404, 'Not Found', 'GET /nope.html?q=private' ],
     [ 404, 'Not Found', 'GET //webhook' ],
     [ 404, 'Not Found', 'GET /./stats?q=private' ],
     [ 405, 'Method Not Allowed', 'PUT /messages?q=private' ],
     [ 414, 'URI Too Long', 'GET /messages?q=private' . 'x' x 100_000 ],
     [ 400, 'Bad Request', 'GET /stats?q=private', "X-A: " . 'x' x 100_000 ],
     [ 400, 'Bad Request', 'GET /stats?q=private', 'Content-Length: x' ],
     [ 501, 'Not Implemented', 'POST /webhook?q=private',
       'Transfer-Encoding: x' ])
{
    my ($status, $detail, @request) = @$_;
    my $r = $server->request(@request);
    my $name = substr $request[0], 0, 30;

    is("$r->{status} $r->{body}", qq($status {"detail":"$detail"}), $name);
    is(Lyftr::Client::header($r, 'Content-Type'), 'application/json',
       "$name: its type");
    like(Lyftr::Client::header($r, 'X-Request-ID'), qr/\A[0-9a-f]{32}\z/,
         "$name: its id");
}

is(Lyftr::Client::header($server->request("GET /$_", 'X-Request-ID: mine'),
                         'X-Request-ID'), 'mine', "/$_: a caller's id")
    for qw(stats nope console/ console/console.js);
is(Lyftr::Client::header($server->request('PUT /webhook'), 'Allow'), 'POST',
   'the methods of the webhook');

# clients that leave, of whom nginx tells by itself

for ("GET /messages?q=private HTTP/1.1\r\nHost: a\r\n",
     "GET /stats?q=private HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx")
{
    my $client = $server->client;

    $client->send($_);
    $client->reset;
}

SKIP: {
    skip 'needs root, and a network namespace of its own', 6
        unless add_addresses('192.0.2.1/32');

    local $server->{from} = '192.0.2.1';

    for (@reads) {
        my $r = $server->request("GET $_?q=private");

        is($r->{status}, 403, "a stranger: GET $_");
        is($r->{body}, '{"detail":"Forbidden"}', "a stranger: GET $_: body");
    }
}

unlike($server->log, qr/private/, 'no query is in the error log');

open my $log, '<', "$server->{dir}/lyftr.log" or die "lyftr.log: $!";
my @lines = <$log>;

is_deeply([ grep { /private/ } @lines ], [], 'nor in the other one');
ok((grep { /"request_id":"mine"/ } @lines), 'which has the ids of callers');

@lines = map { decode_json($_) } @lines;

# how much of a refused body came is the network's to tell

$_->{body_length} = '-' for grep { ($_->{result} // '') eq 'rejected' } @lines;

is_deeply([ map { join ' ', @$_{qw(client body_length secret result)} }
            grep { $_->{path} eq '/webhook' } @lines ],
          [ '127.0.0.1 ' . length($body) . ' 1 created',
            '127.0.0.1 0  invalid_signature',
            '127.0.0.1 -  rejected',
            '127.0.0.1 0  unavailable',
            '127.0.0.1 -  rejected' ],
          'the lines of deliveries');
is_deeply([ $server->alarms ], [], 'no alarms in the log');
$server->stop;



# with what it has as comments: tokens, TLS, a port for readers, a proxy

my ($readers, $tls) = map { Lyftr::Server::free_port() } 1, 2;

$server = Site->new(readers => $readers, tls => $tls);

my $token = 'Authorization: Bearer second';

is($server->request('POST /webhook', 'Content-Length: 0')->{body},
   '{"detail":"invalid signature"}', 'senders: a forged one');
is($server->request("GET $_")->{status}, 404, "senders: $_ is not there")
    for @reads;

my $curl = "curl -sk -o /dev/null -w '%{http_version} %{http_code}'";

is(qx($curl https://127.0.0.1:$tls/health/live), '2 200', 'TLS and HTTP/2');

# WhatsApp's lines

is($server->request('GET /whatsapp?hub.mode=subscribe&hub.verify_token=verify'
                    . '&hub.challenge=42')->{body}, '42', 'the handshake');

my $items = join ',', map { qq({"value":{"$_":[{"id":"$_","status":"read"}]},)
                            . '"field":"messages"}' } qw(messages statuses);
my $delivery = '{"object":"whatsapp_business_account","entry":[{"changes":['
               . "$items]}]}";

is($server->exchange(join "\r\n", 'POST /whatsapp HTTP/1.1', 'Host: a',
       'Connection: close', 'X-Hub-Signature-256: sha256='
       . hmac_sha256_hex($delivery, 'app-secret'),
       'Content-Length: ' . length $delivery, '', $delivery)->{status}, 200,
   'a delivery of WhatsApp');
is($server->request('POST /whatsapp', 'Content-Length: 0')->{status}, 401,
   'a forged one of WhatsApp');
is(join(' ', map { qx(sqlite3 "$_" "SELECT message_id FROM messages")
                   =~ s/\n//r } $server->{db}, "$server->{dir}/receipts.db"),
   'messages statuses:read', 'is in its two stores');

{
    local $server->{port} = $readers;
    my $far = 'X-Forwarded-For: 127.0.0.1, 203.0.113.9';

    for (@reads) {
        my $r = $server->request("GET $_?q=private", $far);

        is($r->{status}, 401, "readers: $_ by a proxy");
        is($r->{body}, '{"detail":"Not authenticated"}', "readers: $_: body");
        like($r->{head}, qr/^WWW-Authenticate: Bearer\r$/m,
             "readers: $_: the challenge");
        is($server->request("GET $_", $far, $token)->{status}, 200,
           "readers: $_ by a token");
        is($server->request("GET $_")->{status}, 200,
           "readers: $_ by an address");
    }

    is($server->request('POST /webhook', 'Content-Length: 0')->{status}, 404,
       'readers: no webhook');
}

unlike($server->log, qr/private/, 'readers: no query is in the error log');
is_deeply([ $server->alarms ], [], 'readers: no alarms in the log');
$server->stop;

$server = Synopsis->new;
ok(Lyftr::Server::wait_for(sub {
       $server->request('GET /health/ready')->{status} == 200;
   }), 'the synopsis: ready');
is($server->post($body)->{status}, 200, 'the synopsis: a delivery');
is($server->request("GET $_")->{status}, 200, "the synopsis: GET $_")
    for @reads;
like(join('', grep { /webhook/ } do {
         open my $in, '<', "$server->{dir}/lyftr.log" or die "lyftr.log: $!";
         <$in>;
     }), qr/"status":200,.*"result":"created"/, 'the synopsis: its log');
is_deeply([ $server->alarms ], [], 'the synopsis: no alarms in the log');

done_testing();

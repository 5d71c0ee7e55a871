# What a request is to nginx: its conditions, its redirects, its subrequests, and
# the memory it takes.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use Lyftr qw(message signature);
use Lyftr::Client;
use Lyftr::Memory;
use Lyftr::Preload;
use Lyftr::Scenario;
use Lyftr::Server;
use Lyftr::Stall;


sub write_to {
    my ($name, $text) = @_;

    open my $file, '>', $name or die "$name: $!";
    print $file $text;
    close $file or die "$name: $!";
}


# an answer tells what was done, whatever it was conditional on

my $other = Lyftr::Server::free_port();
my $server = Lyftr::Server->new(workers => 1, http => <<"END",
server {
    listen 127.0.0.1:$other;
    error_page 404 /oops;
    location / { return 404; }
    location = /oops { internal; return 404; }
}
END
    server => <<'END');
location /pages/ {
    ssi on;
    ssi_types *;
    index index.shtml;
    root pages;
}
END

for my $condition ('If-Match: "x"', 'If-None-Match: *',
                   'If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT',
                   'If-Modified-Since: Tue, 19 Jan 2038 00:00:00 GMT',
                   'Range: bytes=0-1')
{
    my ($name) = $condition =~ /^([^:]+)/;
    my $r = $server->post(message(message_id => $name), $condition);

    is("$r->{status} $r->{body}", '200 {"status":"ok"}', "$name: a delivery");
    is($server->request('GET /stats', $condition)->{status}, 200,
       "$name: a read");
}


# a page that is found by a redirect is not the request that it includes

mkdir "$server->{dir}/pages" or die "pages: $!";
mkdir "$server->{dir}/pages/pages" or die "pages: $!";
write_to("$server->{dir}/pages/pages/index.shtml",
         'A<!--#include virtual="/webhook" -->B');

like($server->get('/pages/')->{body},
     qr/A\r\n.*\{"detail":"Method Not Allowed"\}.*B\r\n/s, 'a page');
is($server->metric('http_requests_total{path="other",status="200"}'), 1,
   'it counts for itself');
is($server->metric('http_requests_total{path="/webhook",status="200"}'), 5,
   'and not for what it includes');


# an error page in another server, for a path that is a location of ours here

my $client = Lyftr::Client->new($other);
$client->send("POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
is($client->response->{status}, 404, 'another server');
$client->close;

is($server->metric('http_requests_total{path="other",status="404"}'), 1,
   'its request is none of ours');
is($server->metric('webhook_requests_total{result="rejected"}'), 0,
   'and no delivery');


# reads give back what they take

sub reads {
    my ($n) = @_;

    for (1 .. $n / 50) {
        my $client = $server->client;
        $client->send("GET /messages HTTP/1.1\r\nHost: a\r\n\r\n" x 50);
        $client->response->{status} == 200 or return 0 for 1 .. 50;
    }

    return 1;
}

ok(reads(500), 'reads');
my $held = Lyftr::Memory::bytes($server->workers);
ok(reads(3000), 'more of them');

SKIP: {
    skip "make $ENV{LYFTR_MODE} keeps what is freed", 1 if $ENV{LYFTR_MODE};

    cmp_ok(Lyftr::Memory::bytes($server->workers) - $held, '<', 8 << 20,
           'keep no memory');
}

$server->stop;
is_deeply([ $server->alarms ], [], 'no alarms in the log');


# one request counts its operations in eight bits: 255 wait, the others are
# refused, and it may end while they wait

SKIP: {
    my $stall = Lyftr::Stall->new or skip 'no shared object can be used', 8;

    $server = Lyftr::Server->new(workers => 1, preload => $stall,
        main => 'thread_pool default threads=1;',
        store => 'timeout=30s queue=1000',
        server => 'location /pages/ { ssi on; ssi_types *; root pages; }');
    mkdir "$server->{dir}/pages" or die "pages: $!";
    mkdir "$server->{dir}/pages/pages" or die "pages: $!";
    write_to("$server->{dir}/pages/pages/many",
             '<!--#include virtual="/stats" -->' x 300);

    Lyftr::Scenario::warm($server);

    my ($worker) = $server->workers;
    my $page = "GET /pages/many HTTP/1.1\r\nHost: a\r\n\r\n";

    $stall->on;
    Lyftr::Scenario::post(my $stalled = $server->client, 'stalled');
    ok($stall->reached, 'a commit stands still');

    my ($stays, $leaves) = ($server->client, $server->client);
    $_->send($page) for $stays, $leaves;
    $server->drained;
    $leaves->reset;
    is($server->get('/health/live')->{status}, 200, 'many reads: live');
    $stall->off;

    is($stalled->response->{status}, 200, 'the commit goes on');

    while (defined $stays->fill(time + 5)) {
        last if $stays->{in} =~ /\r\n0\r\n\r\n\z/;
    }

    my $answered = () = $stays->{in} =~ /"total_messages":2,/g;
    my $refused = () = $stays->{in} =~ /too many requests wait for the store/g;

    is($answered, 255, 'as many are answered as can wait');
    is($refused, 45, 'the others are refused');
    is($server->get('/stats')->{status}, 200, 'the worker goes on');
    is_deeply([ $server->workers ], [ $worker ], 'the same one');

    $server->stop;
    is_deeply([ $server->alarms ], [], 'no alarms in the log');
}


# nginx with the module, and without a store, is left as it is

SKIP: {
    skip "make $ENV{LYFTR_MODE} has a malloc of its own", 2
        if $ENV{LYFTR_MODE};

    my $watch = Lyftr::Preload->build(<<'END')
#include <fcntl.h>
#include <unistd.h>

int mallopt(int param, int value)
{
    close(open(DIR "/called", O_CREAT|O_WRONLY, 0600));

    return 1;
}
END
        or skip 'no shared object can be used', 2;

    my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
    my $port = Lyftr::Server::free_port();

    for my $store ('', 'lyftr_store main sqlite:////nowhere/app.db;') {
        my $dir = tempdir(CLEANUP => 1);
        my $load = $ENV{TEST_NGINX_LOAD_MODULES};

        $load = $load ? "load_module $load;" : '';

        write_to("$dir/nginx.conf", <<"END");
$load
daemon off; pid nginx.pid; error_log error.log;
events { }
http {
    access_log off;
    client_body_temp_path a; proxy_temp_path a; fastcgi_temp_path a;
    uwsgi_temp_path a; scgi_temp_path a;
    $store
    server { listen 127.0.0.1:$port; }
}
END
        unlink "$watch->{dir}/called";

        my $pid = fork // die "fork: $!";

        if ($pid == 0) {
            open STDERR, '>', '/dev/null';
            $ENV{LD_PRELOAD} = $watch->object;
            exec $nginx, '-p', "$dir/", '-c', 'nginx.conf', '-e', 'error.log'
                or POSIX::_exit(1);
        }

        Lyftr::Server::wait_for {
            IO::Socket::INET->new("127.0.0.1:$port");
        } or die "nginx does not answer\n";

        is(-e "$watch->{dir}/called" ? 1 : 0, $store ? 1 : 0,
           $store ? 'with a store malloc is tuned' : 'without one it is not');

        kill 'QUIT', $pid;
        waitpid $pid, 0;
    }
}

done_testing();

# Memory that nobody gives back: LeakSanitizer looks at each process when it
# ends, after requests of all kinds, reloads, and clients that leave.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use Test::More;

use Lyftr;
use Lyftr::Plant;
use Lyftr::Preload;
use Lyftr::Server;


plan skip_all => "make $ENV{LYFTR_MODE} has preloaded its own"
    if $ENV{LYFTR_MODE};

# nginx unloads the module at its end, and its functions would have no names

my $looks = Lyftr::Preload->build('int dlclose(void *p) { return 0; }');

{
    package Looks;

    sub object { return join ' ', @{ $_[0] } }
}

my $lsan = `cc -print-file-name=liblsan.so 2>/dev/null`;
chomp $lsan;

plan skip_all => 'there is no LeakSanitizer' unless $looks && -e $lsan;

my $preload = bless [ $lsan, $looks->object ], 'Looks';
my $dir = tempdir(CLEANUP => 1);

$ENV{LSAN_OPTIONS} = "log_path=$dir/leak:fast_unwind_on_malloc=0";


# requests of all kinds

sub requests {
    my ($server, $name) = @_;

    $server->post(message(message_id => "$name$_")) for 1 .. 20;
    $server->post(message(message_id => "${name}1"));
    $server->post($_) for '', '{', '[]', message(ts => undef),
                          message(message_id => "$name.l", text => 'x' x 9000),
                          message(message_id => 'y' x 20_000);
    $server->request('POST /webhook', @$_)
        for ['X-Signature: ' . 'a' x 64, 'Content-Length: 0'], [],
            ['Content-Length: 2000000'], ['Transfer-Encoding: x'];
    $server->request("GET $_")
        for qw(/messages /messages?limit=3&offset=2 /messages?q=hello&since=1
               /messages?from=+919876543210&q=hello /messages?limit=x /stats
               /messages?since=2025-01-15T09:30:00Z&limit=1 /metrics
               /health/live /health/ready /webhook /nope);
    $server->request('HEAD /messages');
    $server->request('POST /stats', 'Content-Length: 0');

    # clients that do not wait

    for (1 .. 5) {
        my $body = message(message_id => "$name-left$_");
        my $client = $server->client;

        $client->send("POST /webhook HTTP/1.1\r\nHost: a\r\n"
                      . signature($body) . "\r\nContent-Length: "
                      . length($body) . "\r\n\r\n$body");
        $client->reset;
    }
}


# What the processes of a life have left that came from us: nginx does not give
# back what each worker has once.

sub leaks {
    my (%options) = @_;

    my $server = Lyftr::Server->new(preload => $preload, workers => 1,
                                    store => 'search=on', %options);

    requests($server, 'a');

    for my $n (1 .. 3) {
        my ($old) = $server->workers;

        $server->signal('HUP');
        Lyftr::Server::wait_for {
            my @now = $server->workers;
            @now == 1 && $now[0] != $old;
        };
        requests($server, "b$n");
    }

    $server->signal('QUIT');
    is($server->wait_exit, 0, 'nginx ends with 0');

    my @leaks = grep { /\bngx_lyftr_/ }
                map { /^((?:Direct|Indirect) leak .*?)\n\n/msg }
                map { Lyftr::Plant::contents($_) } glob "$dir/leak.*";

    unlink glob "$dir/leak.*";

    return @leaks;
}


is_deeply([ leaks() ], [], 'nothing is left');

# what is planted would be seen, by its name

SKIP: {
    my $plant = Lyftr::Plant->new or skip 'nothing can be planted', 2;
    my @leaks = leaks(module => $plant->build(Lyftr::Plant::fault('leaks')));

    is(scalar @leaks, 4, 'a leak is seen, in each worker');
    like($leaks[0], qr/\bngx_lyftr_webhook_answer\b/, 'a leak: its place')
        or diag explain \@leaks;
}

done_testing();

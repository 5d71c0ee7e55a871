# Forged requests, of which the configuration that ships takes only so many a
# second from an address, while its valid ones are not hindered.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);

use Lyftr;
use Lyftr::Address qw(add_addresses);
use Lyftr::Load;
use Lyftr::Server;
use Lyftr::Shipped;


my $dir = tempdir(CLEANUP => 1);
my $seconds = 3;
my $rate = 50;

# what comes at once, what comes then, and what a slow machine needs

my $most = 2 * $rate * ($seconds + 5);


# the template with something replaced

sub template {
    my ($name, $from, $to) = @_;

    open my $in, '<', 'docker/nginx.conf.template' or die "template: $!";
    my $text = join '', <$in>;

    $text =~ s/$from/$to/ or die "$name fits nowhere\n";

    open my $out, '>', "$dir/$name" or die "$name: $!";
    print $out $text;
    close $out;

    return "$dir/$name";
}


sub entries {
    my ($server) = @_;

    return map { decode_json($_) } $server->lines(0);
}


# how many lines are those of forged requests

sub forged {
    my ($server) = @_;

    return scalar(grep { /"result":"invalid_signature"/ } $server->lines(0));
}


# so many lines are there after a while of as many forged requests as can be

sub flood {
    my ($server, $client) = @_;

    my $load = Lyftr::Load->start($server->{port}, c => 256, d => $seconds,
                                  k => 'wrong');

    $client->() if $client;
    $load->wait;

    return forged($server);
}


my $server = Lyftr::Shipped->new;

# a few are answered at once

my $start = time;
my %answers;

for (1 .. $rate / 2) {
    my $r = $server->request('POST /webhook', 'X-Signature: ' . 'a' x 64,
                             'Content-Length: 2', '', '{}');
    $answers{"$r->{status} $r->{body}"}++;
}

is_deeply(\%answers, { '401 {"detail":"invalid signature"}' => $rate / 2 },
          'a few are answered');
cmp_ok(time - $start, '<', 5, 'at once');

# of many all have to wait, and valid ones meanwhile have not

my ($valid, $slowest) = (0, 0);
my $n = 50;

my $lines = flood($server, sub {
    for (1 .. $n) {
        my $r = $server->post(message(message_id => "v$_"));

        $valid += $r->{status} == 200;
        $slowest = $r->{seconds} if $r->{seconds} > $slowest;
    }
});

cmp_ok($lines, '>', $rate / 2, 'many: some had their turn');
cmp_ok($lines, '<', $most, 'many: and not more');
is($valid, $n, 'valid ones of the same address are stored');
cmp_ok($slowest, '<', 2, 'and need not wait');

is_deeply({ map { ("$_->{status} $_->{level} $_->{client}" => 1) }
            grep { ($_->{result} // '') eq 'invalid_signature' }
            entries($server) },
          { '401 ERROR 127.0.0.1' => 1 }, 'their lines');

SKIP: {
    skip 'needs root, and a network namespace of its own', 1
        unless add_addresses('192.0.2.1/32');

    my $load = Lyftr::Load->start($server->{port}, c => 256, d => 3600,
                                  k => 'wrong');
    Lyftr::Server::wait_for {
        $server->metric('http_requests_total{path="/webhook",status="401"}')
            > $lines + $rate;
    };

    local $server->{from} = '192.0.2.1';
    my $r = $server->request('POST /webhook', 'Content-Length: 0');

    cmp_ok($r->{seconds}, '<', 2, 'of another address: at once');
    $load->stop;
}

# clients that leave while they wait

$start = time;

my $before = forged($server);
my @clients = map { $server->client } 1 .. 3 * $rate;

$_->send("POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
    for @clients;
$server->drained;
$_->reset for @clients;

ok(Lyftr::Server::wait_for(sub { forged($server) >= $before + @clients }),
   'clients that leave: a line each');
cmp_ok(time - $start, '>', 1, 'and leaving ends no wait');

# those that have closed only their half are answered, after a wait, too

@clients = map { $server->client } 1 .. 3 * $rate;

for (@clients) {
    $_->send("POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
             . "Connection: close\r\n\r\n{}");
    shutdown $_->{socket}, 1;
}

is(scalar(grep { $_->response->{status} == 401 } @clients), scalar @clients,
   'clients that have closed their half are answered');
is($server->request('GET /health/live')->{status}, 200, 'and nothing else');

is_deeply([ $server->alarms ], [], 'no alarms in the log');
unlike($server->log, qr/limiting|delaying/, 'the error log has none of them');

my ($counted) = $server->metric('webhook_requests_total{result='
                                . '"invalid_signature"}');
cmp_ok(abs($counted - forged($server)), '<=', 256,
       'each is counted, and once');
$server->stop;


# more of them at once than may wait

$server = Lyftr::Shipped->new(env => {
    TEMPLATE => template('burst', qr/burst=1000 delay=50/, 'burst=1 delay=1') });
flood($server);

is(scalar(grep { m{"path":"/webhook"}
                 && !/"status":401,.*"result":"invalid_signature"/ }
          $server->lines(0)), 0,
   'those that may not wait are answered as others');
is($server->request('POST /webhook', 'Content-Length: 0')->{body},
   '{"detail":"invalid signature"}', 'in the same words');
is($server->post(message())->{status}, 200, 'and a valid one is stored');
is_deeply([ $server->alarms ], [], 'no alarms in the log');
$server->stop;


# without the limit there would be many more

$server = Lyftr::Shipped->new(env => {
    TEMPLATE => template('none', qr/limit_req zone=lyftr_forged[^;]*;/, '') });
cmp_ok(flood($server), '>', 2 * $most, 'without the limit there are many more');
$server->stop;

done_testing();

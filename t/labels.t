# The labels of the metrics: each location and each secret has its own, whatever
# its name consists of, and what does not fit is "other".

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Lyftr;
use Lyftr::Server;


my $long = 'x' x 123;
my $full = '/' . 'y' x 127;

# what a location is called, a path for it, and its label

my @locations = (
    [ "/\xc3\xa9", '/%C3%A9', "/\xc3\xa9" ],
    [ "/\xc3\xa8", '/%C3%A8', "/\xc3\xa8" ],
    [ "/\xe9", '/%E9', '/%E9' ],
    [ "/\xe8", '/%E8', '/%E8' ],
    [ '/%E9', '/%25E9', '/%25E9' ],
    [ "/\x01", '/%01', '/%01' ],
    [ "/\x7f", '/%7F', '/%7F' ],
    [ '/a\\\\b', '/a%5Cb', '/a\\\\b' ],
    [ '/a\\"b', '/a%22b', '/a\\"b' ],
    [ "/\xf0\x9f\x98\x80", '/%F0%9F%98%80', "/\xf0\x9f\x98\x80" ],
    [ $full, $full, $full ],
    [ "\xff" x 128, undef, '%FF' x 128 ],
    [ "/long$long/", "/long$long/", 'other' ],
    [ "/$long/$long", "/$long/$long", 'other' ],
);

my $server = Lyftr::Server->new(
    workers => 1,
    http => "lyftr_secret short name=$long$long; lyftr_secret empty name=a%b;",
    server => join '', map { qq(location = "$_->[0]" { lyftr_live; }\n) }
                       @locations);

for (@locations) {
    my (undef, $path) = @$_;

    is($server->get($path)->{status}, 200, "$path is there") if $path;
}

my $samples = $server->samples;

for (@locations) {
    my ($name, $path, $label) = @$_;

    is($samples->{qq(http_requests_total{path="$label",status="200"})},
       !defined $path ? 0 : $label eq 'other' ? 2 : 1, "$label has its own");
    is($samples->{qq(http_request_duration_seconds_count{path="$label"})},
       !defined $path ? 0 : $label eq 'other' ? 2 : 1, 'in the histogram too');
}

$server->request('POST /webhook', 'Content-Length: 2',
                 signature('{}', $_), '', '{}') for qw(short empty empty);

$samples = $server->samples;

for ([ other => 1 ], [ 'a%25b' => 2 ], [ 1 => 0 ]) {
    my ($name, $n) = @$_;

    is($samples->{qq(lyftr_signatures_verified_total{secret="$name"})}, $n,
       "the secret $name");
}

open my $tool, '|-', 'promtool check metrics >/dev/null 2>&1' or die "tool: $!";
print $tool $server->get('/metrics')->{body};
ok(close $tool, 'promtool has nothing to say');

# as many locations as you like

$server->{server} = join '', map { "location = /n$_ { lyftr_live; }\n" }
                             1 .. 200;
$server->configure;

my ($old) = $server->workers;
$server->signal('HUP');

Lyftr::Server::wait_for {
    my @workers = $server->workers;
    @workers == 1 && $workers[0] != $old;
};

my $other = 'http_requests_total{path="other",status="200"}';
my $n = $server->metric($other);

$server->get("/n$_") for 1 .. 200;
$samples = $server->samples;

# among them /metrics, which was asked before

is($samples->{$other} - $n, 200 - 63 + 1, 'those that have no room are other');
is($samples->{'http_requests_total{path="/n63",status="200"}'}, 1,
   'the last that has');

is_deeply([ $server->alarms ], [], 'no alarms in the log');

done_testing();

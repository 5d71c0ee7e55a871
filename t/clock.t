# Durations are those of requests, whatever the clock of the wall does while
# they are under way.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Time::HiRes qw(sleep time);

use Lyftr;
use Lyftr::Clock;
use Lyftr::Server;


my $clock = Lyftr::Clock->new
    or plan skip_all => 'no shared object can be used';

my $server = Lyftr::Server->new(
    workers => 1, preload => $clock, http => <<'END',
log_format v '$lyftr_latency_ms $lyftr_ts';
END
    server => 'access_log lines v; lingering_close off;');

my $lines = 0;


# the latency of the next request in seconds, and the year of its line

sub logged {
    my @line;

    Lyftr::Server::wait_for {
        open my $file, '<', "$server->{dir}/lines" or die "lines: $!";
        @line = grep { /\n\z/ } <$file>;
        @line > $lines;
    };

    my ($msec, $year) = ($line[$lines++] // '') =~ /^(\S+) (\d+)-/;

    return (($msec // -1) / 1000, $year);
}


# a request in parts, between which the clock steps or some time goes by

sub parts {
    my ($between, @parts) = @_;

    my $client = $server->client;
    my $first = shift @parts;
    my $start = time;

    $client->send($first);

    for (@parts) {
        $server->drained;
        $between->();
        $client->send($_);
    }

    my $status = $client->response->{status};
    my ($seconds, $year) = logged();

    return ($status, $seconds, time - $start, $year);
}


my $body = message();
my $head = "POST /webhook HTTP/1.1\r\nHost: a\r\n";
my $more = signature($body) . "\r\nContent-Length: " . length($body)
           . "\r\n\r\n";

my $year = 365 * 24 * 3600;
my $ahead = 0;

for my $step (2 * $year, -2 * $year, -2 * $year, 2 * $year, 1, -1) {
    my $set = sub { $clock->set($ahead += $step) };

    for (['in the body', "$head$more", $body],
         ['in the header', $head, "$more$body"],
         ['in a header that is refused', $head, "a b\r\n\r\n"])
    {
        my ($where, @parts) = @$_;
        my ($status, $seconds, $took) = parts($set, @parts);

        is($status, $where =~ /refused/ ? 400 : 200, "$step s $where");
        cmp_ok($seconds, '>=', 0, 'takes no less than no time');
        cmp_ok($seconds, '<=', $took + 0.3, 'and no more than it has');

        $clock->set($ahead -= $step);
    }

    $clock->set($ahead += $step);
}

$clock->set(0);
$server->get('/health/live');
logged();

my $sum = 'http_request_duration_seconds_sum{path="/webhook"}';
my $end = 'http_request_duration_seconds_sum{path="other"}';

cmp_ok($server->metric($_), '<', 60, 'nor are they in the histogram')
    for $sum, $end;
logged() for 1, 2;


# the clock that is right is in the line

$clock->set(3 * $year);
$server->get('/health/live');
my (undef, $shown) = logged();
cmp_ok($shown, '>=', 1900 + (localtime)[5] + 2, 'ts is that of the wall');


# a slow header and a slow body count

for (["$head$more", $body], [$head, "$more$body"], [$head, "a b\r\n\r\n"]) {
    my ($status, $seconds) = parts(sub { sleep 0.5 }, @$_);

    cmp_ok($seconds, '>=', 0.45, "$status: what is slow counts");
}

# as does a body that is slow while the clock steps

for my $step ($year, -$year) {
    my ($status, $seconds) = parts(sub { $clock->set($ahead += $step);
                                         sleep 0.5 }, "$head$more", $body);

    cmp_ok($seconds, '>=', 0.45, "$step s: $status, what is slow counts");
    cmp_ok($seconds, '<', 60, 'and the step does not');
}

is_deeply([ $server->alarms ], [], 'no alarms in the log');

done_testing();

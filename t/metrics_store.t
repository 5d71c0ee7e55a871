# The metrics of a store, and of signatures: each follows what it measures.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use List::Util qw(sum);
use POSIX qw(strftime);
use Test::More;
use Time::HiRes qw(sleep time);

use Lyftr;
use Lyftr::Client;
use Lyftr::Server;


my $adopted = 40_000;
my $segment = 20_480;


sub wait_for(&;$) { goto &Lyftr::Server::wait_for }

sub series { return qq($_[0]\{store="main"}) }


# waits until a series of the store has that value

sub becomes {
    my ($server, $series, $expected, $name) = @_;

    my $value;

    wait_for {
        $value = $server->metric(series($series));
        $value eq $expected;
    };

    is($value, $expected, $name);
}


# how many values a histogram has between two limits

sub between {
    my ($samples, $series, $low, $high) = @_;

    my ($n, $below) = map {
        defined $_ ? $samples->{qq(${series}_bucket{store="main",le="$_"})}
                   : 0
    } $high, $low;

    return $n - $below;
}


# deliveries on connections of their own, which wait for their answers

sub deliveries {
    my ($server, @id) = @_;

    return map {
        my $client = $server->client;
        $client->send(Lyftr::Client::delivery(Lyftr::Client::numbered($_)));
        $client;
    } @id;
}


sub at {
    my ($seconds) = @_;

    return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time + $seconds));
}


sub size {
    my ($server, $suffix) = @_;

    return -s "$server->{db}$suffix";
}


# nothing is known of a store that cannot be opened

my $server = Lyftr::Server->new(db => tempdir(CLEANUP => 1) . '/none/app.db');
my $samples = $server->samples;

$server->stop;

for (qw(rows unindexed_rows uncounted_rows search_lag_rows wal_bytes
        wal_pages database_bytes upkeep_timestamp_seconds
        last_commit_timestamp_seconds free_bytes))
{
    is($samples->{series("lyftr_store_$_")}, 'NaN', "$_ is not known");
}


# a new one

$server = Lyftr::Server->new(workers => 2, store => 'max_wal=32m batch=64');
$samples = $server->samples;

is($samples->{series('lyftr_store_last_commit_timestamp_seconds')}, 'NaN',
   'nothing was committed');
is($samples->{series('lyftr_store_wal_limit_bytes')}, 32 << 20,
   'the limit of the WAL is');
is($samples->{series('lyftr_store_ready')}, 1, 'nothing speaks against it');

my ($build) = grep { /^lyftr_build_info/ } keys %$samples;
my ($version) = do { local @ARGV = 'CHANGES.md'; <> } =~ / (\d\S+)/;
my $nginx = `$ENV{TEST_NGINX_BINARY} -v 2>&1` =~ m{nginx/(\S+)} && $1;
my $library = $server->sql('SELECT sqlite_version() AS v')->[0]{v};

# that of libpq, if the module was built with it

my $libpq = `ldd $ENV{TEST_NGINX_LOAD_MODULES}` =~ /libpq/
            ? qr/,postgresql="\d[\d.]*"/ : '';

like($build, qr/^lyftr_build_info\{version="\Q$version\E",nginx="\Q$nginx\E",
                sqlite="\Q$library\E"$libpq\}$/x, 'the versions');


# deliveries over two workers, some of them twice

my @clients;

for (1 .. 20) {
    my $round = $_;
    push @clients, deliveries($server, map { "$round-" . $_ % 15 } 1 .. 20);
}

is(scalar(grep { $_->response->{status} == 200 } @clients), 400,
   '400 deliveries');

my $rows = @{ $server->rows };

becomes($server, 'lyftr_store_rows', $rows, 'the rows that are stored');
is($rows, 300, 'which are 300');
becomes($server, 'lyftr_store_unindexed_rows', 300, 'none has a segment');
becomes($server, 'lyftr_store_uncounted_rows', 0, 'all are counted, idle');
becomes($server, 'lyftr_store_search_lag_rows', 0, 'there is no search index');
becomes($server, 'lyftr_store_database_bytes', size($server, ''),
        'bytes of the database');
becomes($server, 'lyftr_store_wal_bytes', size($server, '-wal'), 'of the WAL');

$samples = $server->samples;

my $commits = $samples->{series('lyftr_store_commits_total')};

is($samples->{series('lyftr_store_commit_duration_seconds_count')}, $commits,
   'each commit has a duration');
cmp_ok($samples->{series('lyftr_store_commit_duration_seconds_sum')}, '>', 0,
       'which is not 0');
is($samples->{series('lyftr_store_batch_deliveries_count')}, $commits,
   'and a size');
is($samples->{series('lyftr_store_batch_deliveries_sum')}, 400,
   'of which the sum is that of the deliveries');
is(between($samples, 'lyftr_store_batch_deliveries', undef, 64), $commits,
   'none is larger than is allowed');
is($samples->{series('lyftr_store_queue_wait_seconds_count')}, 400,
   'each delivery has waited');
is($samples->{series('lyftr_message_clock_skew_seconds_count')}, $rows,
   'each row has a skew, and a duplicate none');
is($samples->{series('lyftr_store_queue_depth')}, 0, 'none waits any more');
cmp_ok($samples->{series('lyftr_store_wal_pages')}, '>', 0, 'pages of the WAL');
cmp_ok(abs($samples->{series('lyftr_store_last_commit_timestamp_seconds')}
           - time), '<', 20, 'the last commit was just now');
cmp_ok(abs($samples->{series('lyftr_store_upkeep_timestamp_seconds')} - time),
       '<', 5, 'as was the last look');

my $at = series('lyftr_store_last_commit_timestamp_seconds');
my $committed = $server->metric($at);
sleep 0.2;
cmp_ok(abs($server->metric($at) - $committed), '<', 0.1,
       'which stays when it was');


# the room on the disk, as others see it

my (undef, $free) = split /\n/, qx(df -B 1 --output=avail $server->{db});

cmp_ok(abs($samples->{series('lyftr_store_free_bytes')} - $free), '<', 1 << 28,
       'the room on the disk');


# the process: its start, its configurations, and its workers

my $start = $server->metric('process_start_time_seconds');

cmp_ok(abs($start - time), '<', 60, 'it was started just now');
is($server->metric('lyftr_config_last_load_successful'), 1,
   'the configuration is in force');
is($server->metric('lyftr_workers_died_total'), 0, 'no worker has died');

my $conf = "$server->{dir}/nginx.conf";

system 'cp', $conf, "$conf.good";
system "sed -i 's/lyftr_secret testsecret;/lyftr_secret;/' $conf";
$server->signal('HUP');
Lyftr::Server::wait_for { $server->log =~ /invalid number of arguments/ };
is($server->metric('lyftr_config_last_load_successful'), 0,
   'a configuration was refused');
rename "$conf.good", $conf or die "rename: $!";

my @before = $server->workers;

$server->signal('HUP');
Lyftr::Server::wait_for {
    my %now = map { $_ => 1 } $server->workers;
    %now && !grep { $now{$_} } @before;
};
is($server->metric('lyftr_config_last_load_successful'), 1,
   'and the next one taken');
cmp_ok($server->metric('lyftr_config_last_load_timestamp_seconds'), '>=',
       $start, 'which has a time');
is($server->metric('process_start_time_seconds'), $start,
   'a reload is no start');
is($server->metric('lyftr_workers_died_total'), 0, 'nor has a worker died');

kill 'KILL', ($server->workers)[0];
is(Lyftr::Server::wait_for(sub {
       $server->metric('lyftr_workers_died_total');
   }), 1, 'one that is killed has');


# reads

my $reads = $server->metric(series('lyftr_store_read_wait_seconds_count'));
$server->get($_) for qw(/messages /stats /messages?q=a);
is($server->metric(series('lyftr_store_read_wait_seconds_count')) - $reads, 3,
   'each read has waited');


# skews

my $skew = 'lyftr_message_clock_skew_seconds';
my $seen = $server->samples;

$server->post(message(message_id => "skew$_->[0]", ts => $_->[1]))
    for [ 1, at(-30) ], [ 2, at(30) ], [ 3, at(-90) ], [ 4, at(7200) ],
        [ 5, '0001-01-01T00:00:00Z' ], [ 6, '9999-12-31T23:59:59Z' ];

$samples = $server->samples;

for ([ 10, 60, 1, '30 seconds ago' ], [ -60, -10, 1, 'in 30 seconds' ],
     [ 60, 600, 1, '90 seconds ago' ], [ undef, -3600, 2, 'in hours' ],
     [ 604800, '+Inf', 1, 'long ago' ])
{
    my ($low, $high, $n, $name) = @$_;

    is(between($samples, $skew, $low, $high)
       - between($seen, $skew, $low, $high), $n, "messages of $name");
}

my $sum = $samples->{series("${skew}_sum")} - $seen->{series("${skew}_sum")};

cmp_ok(abs($sum - (30 - 30 + 90 - 7200)), '<', 20,
       'the longest count as a year, in both directions');


# signatures

my $body = message(message_id => 'unsigned');

for ([ 'missing', undef ], [ 'missing', '' ], [ 'malformed', '123' ],
     [ 'malformed', 'z' x 64 ], [ 'malformed', sign($body) . '0' ],
     [ 'mismatch', sign($body, 'wrong') ], [ 'mismatch', 'a' x 64 ],
     [ 'mismatch', sign("$body ") ])
{
    my ($reason, $signature) = @$_;
    my $series = qq(lyftr_signature_failures_total{reason="$reason"});
    my $n = $server->metric($series);
    my $name = !defined $signature ? 'no header' : "signature '$signature'";

    is($server->request('POST /webhook', 'Content-Length: ' . length $body,
                        defined $signature ? "X-Signature: $signature" : (),
                        '', $body)->{status}, 401, $name);
    is($server->metric($series), $n + 1, "counts as $reason");
}

my %expected = (missing => 2, malformed => 3, mismatch => 3);

wait_for {
    $server->metric('webhook_requests_total{result="invalid_signature"}') == 8;
};

$samples = $server->samples;

is_deeply({ map { $_ => $samples->{qq(lyftr_signature_failures_total)
                                   . qq({reason="$_"})} } keys %expected },
          \%expected, 'and as nothing else');
is($samples->{'webhook_requests_total{result="invalid_signature"}'},
   sum(values %expected), 'together they are the invalid signatures');


# the queue, while another process has the lock

my $waited = $server->samples->{series('lyftr_store_queue_wait_seconds_sum')};
my $lock = $server->lock;

@clients = deliveries($server, map { "locked$_" } 1 .. 30);
becomes($server, 'lyftr_store_queue_depth', 30, '30 deliveries wait');
sleep 0.3;
$lock->release;

is(scalar(grep { $_->response->{status} == 200 } @clients), 30,
   'which are stored then');
becomes($server, 'lyftr_store_queue_depth', 0, 'and wait no more');
cmp_ok($server->metric(series('lyftr_store_queue_wait_seconds_sum')) - $waited,
       '>=', 30 * 0.3, 'their wait counts');

# of a worker that is killed nothing is left

$lock = $server->lock;
@clients = deliveries($server, map { "killed$_" } 1 .. 10);
becomes($server, 'lyftr_store_queue_depth', 10, '10 deliveries wait');

my %killed = map { $_ => 1 } $server->workers;
kill 'KILL', keys %killed;
wait_for { 2 == grep { !$killed{$_} } $server->workers };

becomes($server, 'lyftr_store_queue_depth', 0,
        'none when their workers are killed');
$lock->release;
$server->stop;

# what waits in vain has waited too

$server = Lyftr::Server->new(workers => 1, store => 'timeout=300ms');
$server->post(message());

$lock = $server->lock;
@clients = deliveries($server, map { "vain$_" } 1 .. 5);
is(scalar(grep { $_->response->{status} == 503 } @clients), 5,
   '5 deliveries wait in vain');
$lock->release;

becomes($server, 'lyftr_store_queue_depth', 0, 'and are gone');
is($server->metric(series('lyftr_store_queue_wait_seconds_count')), 6,
   'they have waited');
is($server->metric(series('lyftr_store_commit_duration_seconds_count')), 1,
   'but were not committed');


# a store that fails

unlink $server->{db};
is($server->post(message(message_id => 'lost'))->{status}, 503,
   'the database is gone');
becomes($server, 'lyftr_store_ready', 0, 'the store is not ready');
$server->stop;

$server = Lyftr::Server->new(
    workers => 1, http => 'lyftr_store other sqlite:///:memory-less.db;',
    server => 'location = /other { lyftr_webhook other; lyftr_secret
               env:NO_SUCH_SECRET; }');

is($server->metric('lyftr_store_ready{store="other"}'), 0,
   'nor is one that has no secret');
is($server->metric('lyftr_store_ready{store="main"}'), 1, 'others are');
$server->stop;
unlink glob ':memory-less.db*';


# segments

$server = Lyftr::Server->new(fill => <<"END");
CREATE TABLE messages (message_id TEXT PRIMARY KEY, from_msisdn TEXT NOT NULL,
    to_msisdn TEXT NOT NULL, ts TEXT NOT NULL, text TEXT,
    created_at TEXT NOT NULL);
INSERT INTO messages
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL
                             SELECT i + 1 FROM n WHERE i < $adopted)
    SELECT 'a' || i, '+' || i % 50, '+9', '2025-01-15T10:00:00Z', NULL,
           '2025-01-15T10:00:01Z' FROM n;
END

is($server->get('/stats')->{status}, 200, 'a database is adopted');
becomes($server, 'lyftr_store_unindexed_rows', $adopted - $segment,
        'its first rows become a segment');
becomes($server, 'lyftr_store_rows', $adopted, 'all of them are rows');
$server->post(message());
becomes($server, 'lyftr_store_rows', $adopted + 1, 'as is a new one');

$server->{store} = 'search=on';
$server->configure;
$server->signal('HUP');

becomes($server, 'lyftr_store_search_lag_rows', ($adopted + 1) % 4096,
        'the search index has all but the last rows');

is_deeply([ $server->alarms ], [], 'no alarms in the log');

done_testing();

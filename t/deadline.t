# What cannot be done in time is refused in time, with Retry-After: a write
# lock that another process holds, a queue over its limit, a slow search, a disk
# that does not come back.  Nothing refused is stored, nothing stored is lost.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Time::HiRes qw(sleep time);

use Lyftr::Client;
use Lyftr::Scenario qw(compare stalled);
use Lyftr::Server;
use Lyftr::Stall;


sub refused {
    my ($r, $name) = @_;

    is($r->{status}, 503, "$name: 503");
    like(Lyftr::Client::header($r, 'Retry-After') // '', qr/^\d+$/,
         "$name: Retry-After");
    like($r->{body} // '', qr/^\{"detail":"[^"]+"\}$/, "$name: body");
}


sub post { return Lyftr::Scenario::post(@_) }


# a lock held for longer than one delivery's deadline, not than another's

my $server = Lyftr::Server->new(workers => 1, store => 'timeout=1500ms');

is_deeply([ Lyftr::Scenario::warm($server) ], [], 'the store is there');

my $lock = $server->lock;
my $start = time;
my ($first, $second) = ($server->client, $server->client);

post($first, 'first');
sleep 1;
post($second, 'second');

refused($first->response, 'lock');
cmp_ok(time - $start, '>=', 1.3, 'lock: waited for its end');
cmp_ok(time - $start, '<', 4, 'lock: but not for long');

$lock->release;
is($second->response->{status}, 200, 'a later one has its own deadline');
is_deeply([ compare($server, qw(warm second)) ], [], 'only that is stored');
is($server->created, 2, 'and counted');

# what was refused may be sent again

post($first, 'first');
is($first->response->{status}, 200, 'again: stored');
is_deeply([ compare($server, qw(warm second first)) ], [], 'again: the row');

# with the default the wait is of 4 s at most

$server = Lyftr::Server->new;
Lyftr::Scenario::warm($server);
$lock = $server->lock;
$start = time;
post($first = $server->client, 'first');
refused($first->response, 'default');
cmp_ok(time - $start, '<', 6, 'default: in time');
is($server->get('/health/ready')->{status}, 200,
   'a lock of less than 5 s is no fault');
$lock->release;
is_deeply([ compare($server, 'warm') ], [], 'default: not stored');
is_deeply([ $server->alarms ], [], 'no alarms in the log');


# a queue over its limit

$server = Lyftr::Server->new(workers => 1, store => 'queue=1');
Lyftr::Scenario::warm($server);
$lock = $server->lock;

my @clients = map { $server->client } 1 .. 20;

post($clients[0], 'queue0');
$server->drained;
$start = time;
post($clients[$_], "queue$_") for 1 .. 19;
my @answers = map { $clients[$_]->response } 1 .. 19;

cmp_ok(time - $start, '<', 3, 'queue: refused without a wait');
is(scalar(grep { $_->{status} == 503
                 && defined Lyftr::Client::header($_, 'Retry-After') }
          @answers), 19, 'queue: 503 with Retry-After');
refused($answers[0], 'queue');
ok(!$clients[0]->ready, 'queue: the first one waits');
is($server->get('/health/live')->{status}, 200, 'queue: live');

$lock->release;
is($clients[0]->response->{status}, 200, 'queue: the first one is stored');
is_deeply([ compare($server, 'warm', 'queue0') ], [], 'queue: it alone');

post($_, 'after') for @clients;
@answers = map { $_->response->{status} } @clients;
ok(scalar(grep { $_ == 200 } @answers), 'queue: goes on');
is(scalar(grep { $_ != 200 && $_ != 503 } @answers), 0, 'queue: 200 or 503');
is_deeply([ compare($server, 'warm', 'queue0', 'after') ], [], 'queue: rows');
is($server->created, 3, 'queue: counted');


# a queue that is too slow: a batch waits, and the one under way is too old

$server = Lyftr::Server->new(workers => 1, store => 'batch=1 delay=300ms');
Lyftr::Scenario::warm($server);
$lock = $server->lock;

my ($waits, $late) = ($server->client, $server->client);

post($waits, 'waits');
$server->drained;
sleep 1.2;
$start = time;
post($late, 'late');
my $answer = $late->response;

cmp_ok(time - $start, '<', 1, 'delay: refused without a wait');
refused($answer, 'delay');
is($answer->{body}, '{"detail":"too many requests wait for the store"}',
   'delay: the reason');
cmp_ok(Lyftr::Client::header($answer, 'Retry-After'), '>=', 2,
       'delay: after as long as it takes now');

# before its signature is computed

$late->send("POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}");
refused($late->response, 'delay, unsigned');
ok($server->logged(qr/queue overflow: 1 waiting/), 'delay: the log has it');

$lock->release;
is($waits->response->{status}, 200, 'delay: what waited is stored');
post($late, 'late');
is($late->response->{status}, 200, 'delay: goes on');
is_deeply([ compare($server, qw(warm waits late)) ], [], 'delay: rows');


# what has become slow may last, but nobody is sent away for long: a batch that
# took 2 s counts a fourth of it, and 150 wait for two lanes

SKIP: {
    my $stall = Lyftr::Stall->new or skip 'no shared object can be used', 3;

    $server = Lyftr::Server->new(workers => 1, preload => $stall,
        store => 'batch=1 queue=150 delay=60s timeout=20s');
    Lyftr::Scenario::warm($server);

    $stall->on;
    post($first = $server->client, 'slow');
    $stall->reached;
    sleep 2;
    $stall->off;
    is($first->response->{status}, 200, 'slow: stored');

    $lock = $server->lock;
    @clients = map { $server->client } 0 .. 150;
    post($clients[$_], "slow$_") for 0 .. 150;
    $server->drained;
    Lyftr::Server::wait_for { ($late) = grep { $_->ready } @clients };

    $answer = $late->response;
    is($answer->{status}, 503, 'slow: refused');
    is(Lyftr::Client::header($answer, 'Retry-After'), 30,
       'slow: for half a minute at most');
    $lock->release;
    $server->stop;
}


# a search that takes too long, in a store that a Python service filled

$server = Lyftr::Server->new(store => 'timeout=60s', fill => <<'END');
CREATE TABLE messages (message_id TEXT PRIMARY KEY, from_msisdn TEXT NOT NULL,
    to_msisdn TEXT NOT NULL, ts TEXT NOT NULL, text TEXT,
    created_at TEXT NOT NULL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000)
INSERT INTO messages SELECT 'p' || i, '+1', '+2', '2025-01-15T10:00:00Z',
    'number ' || i || replace(hex(zeroblob(200)), '00', 'ab'),
    '2025-01-15T10:00:00Z' FROM n;
END

like($server->get('/messages?q=nowhere')->{body}, qr/"total":0/,
     'search: answered with time enough');
$server->stop;

my $short = Lyftr::Server->new(dir => $server->{dir}, store => 'timeout=5ms');

refused($short->get('/messages?q=nowhere'), 'search');
is($short->get('/health/live')->{status}, 200, 'search: live');
$short->stop;
is_deeply([ $short->alarms ], [], 'search: no alarms in the log');


# a disk that does not come back while a batch is committed

SKIP: {
    my $stall = Lyftr::Stall->new or skip 'no shared object can be used', 16;

    $server = Lyftr::Server->new(workers => 1, store => 'timeout=500ms',
                                 preload => $stall);
    Lyftr::Scenario::warm($server);

    $stall->on;
    post($first = $server->client, 'stalled');
    ok($stall->reached, 'stall: a commit stands still');

    # its connection hears nothing more, and says so

    $answer = $first->response(3);
    refused($answer, 'stall');
    ok($answer->{close}, 'stall: Connection: close');
    is($first->fill(time + 3), 0, 'stall: the connection is closed');
    $start = time;
    is($server->get('/health/live')->{status}, 200, 'stall: live');

    post($second = $server->client, 'queued');
    $answer = $second->response(3);
    refused($answer, 'stall, queued');
    ok(!$answer->{close}, 'stall, queued: the connection stays');

    # a minute later the log tells of it

    Lyftr::Server::wait_for { $server->alarms } 80;
    like(join("\n", $server->alarms),
         qr/^[^\n]*: lyftr store "main" operation took too long$/,
         'stall: an alert');

    $stall->off;

    # it was not in doubt for the store, only for the client

    Lyftr::Server::wait_for { $server->created == 2 };
    is($server->created, 2, 'stall: what is stored is counted');
    is_deeply([ compare($server, 'warm', 'stalled') ], [], 'stall: rows');

    $server->stop;
    is(scalar(my @alarms = $server->alarms), 1, 'stall: no other alarm');

    $server = Lyftr::Server->new(workers => 1, store => 'timeout=500ms',
                                 preload => $stall);
    is_deeply([ stalled($server, $stall) ], [],
              'stall: a worker that stops waits for it, and counts');
}


# reads that the pool has no room for, because a commit stands still: they are
# done soon after it goes on, the first time or another, for it is a matter of
# time

SKIP: {
    my $stall = Lyftr::Stall->new or skip 'no shared object can be used', 3;
    my ($ok, $best) = (0, 10);

    $server = Lyftr::Server->new(workers => 1, preload => $stall,
        store => 'timeout=20s readers=8',
        main => 'thread_pool default threads=1 max_queue=1;');
    Lyftr::Scenario::warm($server);

    for my $round (1 .. 3) {
        $stall->on;
        my @writers = map { $server->client } 1, 2;
        post($writers[0], "held$round");
        $stall->reached;
        post($writers[1], "next$round");
        $server->drained;

        my @readers = map { $server->client } 1 .. 8;
        $_->send("GET /stats HTTP/1.1\r\nHost: a\r\n\r\n") for @readers;
        $server->drained;
        sleep 0.05;

        $start = time;
        $stall->off;
        $ok += ($_->response->{status} == 200) for @readers;
        $best = time - $start if $best > time - $start;
        $_->response for @writers;
    }

    is($ok, 24, 'pool: all reads are answered');
    ok($server->logged('queue overflow'), 'pool: it had no room');
    cmp_ok($best, '<', 0.6, 'pool: and they did not wait long');
    $server->stop;
}


# a filter takes the answer away before the thread is back, and puts another in
# its place, or an error page's

SKIP: {
    my $filter = '/usr/lib/nginx/modules/ngx_http_image_filter_module.so';
    my $stall = Lyftr::Stall->new or skip 'no shared object can be used', 10;

    -e $filter or skip 'no image filter', 10;

    $server = eval {
        Lyftr::Server->new(workers => 1, store => 'timeout=500ms',
                           preload => $stall, main => "load_module $filter;",
                           server => <<'END') };
location = /image { lyftr_webhook main; image_filter resize 9 9; }
location = /page {
    lyftr_webhook main;
    image_filter resize 9 9;
    error_page 415 = /stats;
}
END

    $server or skip 'another image filter', 10;

    Lyftr::Scenario::warm($server);

    my ($worker) = $server->workers;

    for (['image', qr/^415$/], ['page', qr/^(?:0|200)$/]) {
        my ($id, $status) = @$_;
        my $bytes = Lyftr::Client::delivery(Lyftr::Client::numbered($id));

        $bytes =~ s{/webhook}{/$id};

        $stall->on;
        $first = $server->client;
        $first->send($bytes);
        ok($stall->reached, "$id: a commit stands still");
        like($first->response(2)->{status}, $status, "$id: another answer");
        $stall->off;

        # the commit that stood still may have been the housekeeping's, for which
        # this one has waited in vain

        Lyftr::Scenario::post(my $next = $server->client, "after $id");
        is($next->response->{status}, 200, "$id: the next is stored");

        my $rows = @{ $server->rows };

        Lyftr::Server::wait_for { ($server->created // 0) == $rows } 10;
        is($server->created, $rows, "$id: what is stored is counted");
    }

    is_deeply([ $server->workers ], [ $worker ], 'a filter: no crash');

    $server->stop;
    is_deeply([ $server->alarms ], [], 'a filter: no alarms in the log');
}

done_testing();

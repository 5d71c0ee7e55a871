# Clients that leave, that send ahead, and connections with events of their
# own, while a commit is held up by another process.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Lyftr::Client;
use Lyftr::Preload;
use Lyftr::Scenario qw(early_write leave compare);
use Lyftr::Server;
use Lyftr::Stall;


is_deeply([ leave(Lyftr::Server->new, 'reset', 20) ], [],
          'clients that reset: stored, counted, no crash');

is_deeply([ leave(Lyftr::Server->new, 'close', 20) ], [],
          'clients that close: stored, counted, no crash');

is_deeply([ early_write(Lyftr::Server->new) ], [],
          'write events: no answer before the commit');

my $server = Lyftr::Server->new(workers => 1);


# requests sent ahead on one connection, answered in their order

my @ids = map { "ahead$_" } 1 .. 30;
my $client = $server->client;
my $bad = Lyftr::Client::delivery(Lyftr::Client::numbered('bad'), 'other');

$client->send(join '', $bad,
              map({ Lyftr::Client::delivery(Lyftr::Client::numbered($_)) }
                  @ids, $ids[0]), $bad);

is(join(' ', map { $client->response->{status} } 1 .. @ids + 3),
   join(' ', 401, (200) x (@ids + 1), 401), 'sent ahead: answered in order');

is_deeply([ compare($server, @ids) ], [], 'sent ahead: stored');
is($server->created, scalar @ids, 'sent ahead: counted');


# sent ahead, and gone with the first one under way: the others were not taken
# up; what is stored is counted

my $lock = $server->lock;
$client = $server->client;

Lyftr::Scenario::post($client, 'gone1');
$server->drained;
Lyftr::Scenario::post($client, "gone$_") for 2 .. 20;
$client->reset;
Lyftr::Server::wait_for { $server->connections('01') == 0 };
$lock->release;

Lyftr::Server::wait_for { $server->created > @ids };
is_deeply([ compare($server, @ids, 'gone1') ], [],
          'sent ahead and gone: the one under way is stored');
is($server->created, @ids + 1, 'sent ahead and gone: it is counted');


# a client that leaves a read under way

my @workers = $server->workers;

for (1 .. 20) {
    my $reader = $server->client;
    $reader->send("GET /messages?q=ahead HTTP/1.1\r\nHost: a\r\n\r\n");
    $reader->reset;
}

is($server->get('/stats')->{status}, 200, 'readers that leave');
is_deeply([ $server->workers ], \@workers, 'the worker is the same');


# a client that ends its sending, and waits for the answer

$client = $server->client;
$client->send("GET /messages?q=ahead HTTP/1.1\r\nHost: a\r\n\r\n");
$client->finish;
is($client->response->{status}, 200, 'half a close: the answer');


# reads whose clients have left before their turn are not done: while a commit
# stands still it has the pool's only thread

SKIP: {
    my $stall = Lyftr::Stall->new or skip 'no shared object can be used', 6;
    my $other = Lyftr::Server->new(workers => 1, preload => $stall,
                                   store => 'timeout=20s readers=8',
                                   main => 'thread_pool default threads=1;');
    Lyftr::Scenario::warm($other);

    $stall->on;
    Lyftr::Scenario::post(my $stalled = $other->client, 'stalled');
    ok($stall->reached, 'a commit stands still');

    my @readers = map { $other->client } 1 .. 21;
    $_->send("GET /stats HTTP/1.1\r\nHost: a\r\n\r\n") for @readers;
    $other->drained;

    my $stays = pop @readers;
    $_->reset for @readers;
    Lyftr::Server::wait_for { $other->connections('01') <= 2 };
    is($other->get('/health/live')->{status}, 200, 'they are gone');

    my $closes = $other->client;
    $closes->send("GET /stats HTTP/1.1\r\nHost: a\r\n\r\n");
    $other->drained;
    $closes->close;
    ok(Lyftr::Server::wait_for { $other->connections('08') == 0 },
       'one that closes is gone, too');
    $stall->off;

    is($stalled->response->{status}, 200, 'the commit goes on');
    is($stays->response->{status}, 200, 'one that stays is answered');
    is($other->metric('lyftr_store_read_wait_seconds_count{store="main"}'), 1,
       'the others were not read for');
}


# a read stands still in its so manieth read of the file, for as long as a file
# exists; what is read from then on is counted

sub stands {
    my ($at) = @_;

    return Lyftr::Preload->build(<<"END");
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

static __thread int  n;

ssize_t pread64(int fd, void *p, size_t len, off64_t at)
{
    int  reads;

    if (access(DIR "/on", F_OK) == 0 && ++n == $at) {
        close(open(DIR "/reads", O_CREAT|O_WRONLY, 0600));

        while (access(DIR "/on", F_OK) == 0) {
            usleep(10000);
        }
    }

    reads = open(DIR "/reads", O_WRONLY|O_APPEND);

    if (reads != -1) {
        (void) !write(reads, ".", 1);
        close(reads);
    }

    return syscall(SYS_pread64, fd, p, len, at);
}

ssize_t pread(int fd, void *p, size_t len, off64_t at)
    __attribute__((alias("pread64")));
END
}


# a store of 5,000 rows, each of two pages, all of which are counted

sub large {
    my ($preload) = @_;

    my $other = Lyftr::Server->new(workers => 1, preload => $preload,
                                   main => 'thread_pool default threads=1;',
                                   server => 'location = /messages/export '
                                             . '{ lyftr_export main; }',
                                   store => 'timeout=60s check=off',
                                   fill => <<'END');
CREATE TABLE messages (message_id, from_msisdn, to_msisdn, ts, text);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000)
INSERT INTO messages SELECT 'p' || i, '+1', '+2', '2025-01-15T10:00:00Z',
    hex(zeroblob(2500)) FROM n;
END

    Lyftr::Server::wait_for {
        ($other->metric('lyftr_store_uncounted_rows{store="main"}') // 1) == 0;
    };

    open my $on, '>', "$preload->{dir}/on" or die "on: $!";

    return $other;
}


# a read that has begun ends when its client leaves: it stands still in one of
# its first reads of the file, and does not go on to the rest of them

SKIP: {
    my $reads = stands(20) or skip 'no compiler', 6;
    my $other = large($reads);
    my $reader = $other->client;
    $reader->send("GET /messages?q=nowhere HTTP/1.1\r\nHost: a\r\n\r\n");

    ok(Lyftr::Server::wait_for { -e "$reads->{dir}/reads" }, 'a read stands');
    is($other->metric('lyftr_store_read_wait_seconds_count{store="main"}'), 1,
       'it is the one that was asked for');

    $reader->reset;
    Lyftr::Server::wait_for { $other->connections('01') == 0 };
    is($other->get('/health/live')->{status}, 200, 'its client is gone');
    unlink "$reads->{dir}/on";

    is($other->get('/stats')->{status}, 200, 'the thread is free');
    cmp_ok(-s "$reads->{dir}/reads", '<', 2500, 'the rest was not read');
    $other->stop;
    is_deeply([ $other->alarms ], [], 'no alarms in the log of that');
}


# an export that finds nothing has nothing to send to a client that has closed,
# but for the head; it is after its first 2,000 rows

SKIP: {
    my $reads = stands(4000) or skip 'no compiler', 3;
    my $other = large($reads);
    my $reader = $other->client;
    $reader->send("GET /messages/export?q=zz HTTP/1.1\r\nHost: a\r\n\r\n");

    ok(Lyftr::Server::wait_for { -e "$reads->{dir}/reads" },
       'an export stands');

    $reader->close;
    ok(Lyftr::Server::wait_for { $other->connections('08') == 0 },
       'one that closes meanwhile is gone');
    unlink "$reads->{dir}/on";
    $other->stop;
    is_deeply([ $other->alarms ], [], 'no alarms in the log of that, either');
}


# one that leaves in its body is nobody's message

$client = $server->client;
$client->send(substr $bad, 0, -10);
$server->drained;
$client->close;

is($server->created, @ids + 1, 'half a body is not counted');
is_deeply([ compare($server, @ids, 'gone1') ], [], 'half a body is not stored');

$server->stop;
is_deeply([ $server->alarms ], [], 'no alarms in the log');

done_testing();

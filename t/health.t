# Health: live never touches the store, ready tells what is wrong with it, and
# a lock or a full disk means 503, nothing lost, and an end by itself.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep time);

use Lyftr;
use Lyftr::Client;
use Lyftr::Server;
use Lyftr::Shipped;


my $ready = '{"status":"ready"}';


# a 503 of /health/ready: its detail

sub unready {
    my ($name, $server, $detail) = @_;

    my $r = $server->request('GET /health/ready');
    my $body = eval { decode_json($r->{body}) } // {};

    is($r->{status}, 503, "$name: not ready");
    is(Lyftr::Client::header($r, 'Content-Type'), 'application/json',
       "$name: in JSON");
    is_deeply([ sort keys %$body ], [ qw(detail status) ], "$name: its keys");
    is($body->{status}, 'unavailable', "$name: unavailable");
    like($body->{detail}, $detail, "$name: the detail");
    unlike($body->{detail}, qr{/|SQL|testsecret}, "$name: and no more");

    $r = $server->request('GET /health/live');
    is($r->{body}, '{"status":"ok"}', "$name: but live");
    is($r->{status}, 200, "$name: with 200");
}


sub refused {
    my ($name, $r) = @_;

    is($r->{status}, 503, "$name: 503");
    like(Lyftr::Client::header($r, 'Retry-After') // '', qr/\A[1-9]\d*\z/,
         "$name: Retry-After");
    ok(exists +(eval { decode_json($r->{body}) } // {})->{detail},
       "$name: a detail");
}


# everything is well; live needs no store

my $server = Lyftr::Server->new;

is($server->get('/health/live')->{body}, '{"status":"ok"}', 'live')
    for 1 .. 3;
ok(-e $server->{db}, 'the database is made before anybody asks');
is($server->get('/health/ready')->{status}, 200, 'ready with 200');
is($server->get('/health/ready')->{body}, $ready, 'ready');

for my $path ('/health/live', '/health/ready') {
    my $head = $server->request("HEAD $path");

    is($head->{status}, 200, "HEAD $path");
    is($head->{body}, '', "HEAD $path has no body");
    is(Lyftr::Client::header($head, 'Content-Length'),
       length $server->get($path)->{body}, "HEAD $path has its length");
    is($server->get($path)->{head} =~ m{^Content-Type: application/json\r}m, 1,
       "$path is JSON");
    is(Lyftr::Client::header($server->request("POST $path",
                                              'Content-Length: 0'), 'Allow'),
       'GET, HEAD', "POST $path is told what is allowed");
}

$server->stop;


# no secret: the reads go on

$server = Lyftr::Shipped->new(env => { WEBHOOK_SECRET => undef });

unready('no secret', $server, qr/secret/);
refused('no secret', $server->post(message()));
refused('an empty key', $server->request('POST /webhook',
                                         signature('', ''),
                                         'Content-Length: 0'));
is($server->request('GET /webhook')->{status}, 405,
   'no secret: the method is looked at first');
is($server->get('/messages')->{status}, 200, 'no secret: reads are 200');
is(decode_json($server->get('/stats')->{body})->{total_messages}, 0,
   'no secret: nothing is stored');
$server->stop;

$server = Lyftr::Shipped->new(env => { WEBHOOK_SECRET => '' });
unready('an empty secret', $server, qr/secret/);
$server->stop;


# stores that cannot be used; each is a database, or a way to make one

sub unusable {
    my ($name, $make, $detail) = @_;

    my $dir = tempdir(CLEANUP => 1);
    my $db = $make->($dir) // "$dir/x.db";
    my $size = -s $db;
    my $server = Lyftr::Server->new(db => $db);

    # the first worker tries to

    Lyftr::Server::wait_for {
        $server->get('/health/ready')->{body} !~ /being set up/;
    };

    unready($name, $server, $detail);
    refused($name, $server->post(message()));
    refused("$name, reading", $server->get('/messages'));
    is(-s $db, $size, "$name: the file is not touched") if defined $size;
}


sub sqlite {
    my ($db, $sql) = @_;

    system('sqlite3', $db, $sql) == 0 or die "sqlite3: $?\n";
    return;
}


unusable('no folder', sub { "$_[0]/none/app.db" }, qr/open/);
unusable('a folder', sub { mkdir "$_[0]/x.db"; return }, qr/open/);
unusable('no database', sub {
    open my $file, '>', "$_[0]/x.db";
    print $file 'this is no database at all' x 400;
    close $file;
    return;
}, qr/damaged|open|schema/);
unusable('of another application', sub {
    sqlite("$_[0]/x.db", 'PRAGMA application_id = 7; CREATE TABLE a (b);');
}, qr/schema/);
unusable('with other tables', sub {
    sqlite("$_[0]/x.db", 'CREATE TABLE a (b);');
}, qr/schema/);
unusable('with another table of that name', sub {
    sqlite("$_[0]/x.db", 'CREATE TABLE messages (a, b);');
}, qr/schema/);
unusable('newer than we are', sub {
    my $db = "$_[0]/x.db";
    my $server = Lyftr::Server->new(db => $db);

    $server->post(message());
    $server->stop;
    sqlite($db, 'PRAGMA wal_checkpoint(TRUNCATE); PRAGMA user_version = 99;');
}, qr/schema/);


# a store that heals without a reload

my $dir = tempdir(CLEANUP => 1);

$server = Lyftr::Server->new(db => "$dir/later/app.db");
unready('a folder that comes later', $server, qr/open/);
mkdir "$dir/later";
Lyftr::Server::wait_for { $server->get('/health/ready')->{status} == 200 };
is($server->get('/health/ready')->{body}, $ready, 'ready once it is there');
is($server->post(message())->{status}, 200, 'and storing');
$server->stop;


# somebody else holds the write lock

$server = Lyftr::Server->new;
$server->post(message(message_id => 'before'));

for (1 .. 10) {
    my $lock = $server->lock;

    is($server->get('/health/ready')->{status}, 200,
       'the first look at a lock finds no fault');
    $lock->release;
    $server->get('/health/ready') for 1 .. 3;
}

my $lock = $server->lock;
my $start = time;
my ($slow, $early, $late) = (0, 0);

# health, and how long after the lock it was asked; quick at any time

sub health {
    for my $path ('/health/live', '/health/ready') {
        my $r = $server->request("GET $path");

        $slow++ if $r->{seconds} >= 1;
        is($r->{status}, 200, 'live while the store is locked')
            if $path =~ /live/ && $r->{status} != 200;

        return ($r->{status}, time - $start) if $path =~ /ready/;
    }
}

is((health())[0], 200, 'a lock just taken is no fault');

my $client = $server->client;
my $body = message(message_id => 'locked');

$client->send("POST /webhook HTTP/1.1\r\nHost: a\r\n" . signature($body)
              . "\r\nContent-Length: " . length($body) . "\r\n\r\n$body");

my $sent = time;

while (!$client->ready(0.1) && time < $sent + 15) {
    my ($status, $since) = health();
    $early++ if $status != 200 && $since < 4.8;
}

my $waited = time - $sent;

refused('locked', $client->response);
cmp_ok($waited, '<', 6, 'locked: within about 4 s');
is($server->get('/messages')->{status}, 200, 'locked: reads are 200');

Lyftr::Server::wait_for {
    my ($status, $since) = health();

    $early++ if $status != 200 && $since < 4.8;
    $late = $since if $status == 503;
    $status == 503;
} 15;

is($early, 0, 'ready before the lock is 5 s old');
ok($late, 'not ready when it is older');
unready('locked', $server, qr/locked/);

$lock->release;

Lyftr::Server::wait_for { (health())[0] == 200 };
is((health())[0], 200, 'ready again when the lock is gone');
is($slow, 0, 'health was quick all the time');
is($server->post(message(message_id => 'after'))->{status}, 200,
   'and deliveries are stored');

# what got its 503 may be stored or not, but it was said to be neither

is_deeply([ grep { $_ ne 'locked' }
            map { $_->{message_id} } @{ $server->rows } ],
          [ 'after', 'before' ], 'what was acknowledged is there');
is($server->post($body)->{status}, 200, 'and what was not can be sent again');
is(scalar @{ $server->rows }, 3, 'and is stored once');
is_deeply([ $server->alarms ], [], 'no alarms in the log');
$server->stop;


# a full disk

SKIP: {
    my $disk = tempdir(CLEANUP => 1);

    skip 'nothing can be mounted here', 10
        if system("mount -t tmpfs -o size=2m tmpfs $disk 2>/dev/null") != 0;

    my $server = eval { Lyftr::Server->new(db => "$disk/app.db") };
    my (%acked, $r);

    for my $i (1 .. 2000) {
        my $id = "m$i";
        $r = $server->post(message(message_id => $id,
                                   text => "$i " . 'x' x 4000));
        last if $r->{status} != 200;
        $acked{$id} = "$i " . 'x' x 4000;
    }

    refused('full', $r);
    cmp_ok(scalar keys %acked, '>', 20, 'full: some went in before');

    # the last bytes: what is small may still go in

    open my $filler, '>', "$disk/filler" or die "filler: $!";
    while (syswrite $filler, 'x' x 512) { }
    close $filler;

    for my $i (1 .. 2000) {
        last if $server->post(message(message_id => "s$i", text => $i))
                       ->{status} != 200;
        $acked{"s$i"} = $i;
    }

    unready('full', $server, qr/full/);
    is($server->get('/messages')->{status}, 200, 'full: /messages is 200');
    is(decode_json($server->get('/stats')->{body})->{total_messages},
       scalar keys %acked, 'full: /stats is 200 and right');

    refused('full still', $server->post(message(message_id => 'more',
                                                text => 'x' x 4000)));

    system("mount -o remount,size=64m $disk") == 0 or die "mount: $?\n";

    Lyftr::Server::wait_for { $server->get('/health/ready')->{status} == 200 };
    is($server->get('/health/ready')->{body}, $ready, 'ready with more room');
    is($server->post(message(message_id => 'room'))->{status}, 200,
       'and storing');

    my %row = map { $_->{message_id} => $_->{text} } @{ $server->rows };

    is_deeply([ grep { ($row{$_} // '') ne $acked{$_} } keys %acked ], [],
              'nothing that was acknowledged is lost');
    is(scalar(grep { !$acked{$_} } keys %row), 1,
       'nothing that was refused is stored');

    $server->stop;

    # the same disk, for reading only

    system("mount -o remount,ro $disk") == 0 or die "mount: $?\n";

    $server = Lyftr::Server->new(db => "$disk/app.db");
    unready('read-only', $server, qr/read-only|open/);
    refused('read-only', $server->post(message(message_id => 'ro')));
    $server->stop;

    system("umount -l $disk");
}

done_testing();

# keep= and keep_bytes=: rows that are too old, or too many, leave, and nothing
# tells of them any more.

use strict;
use warnings;

use lib 't/lib';
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep time);

use Lyftr;
use Lyftr::Client;
use Lyftr::Follower;
use Lyftr::Server;


my $conf = 'location = /messages/export { lyftr_export main; }'
    . 'location = /messages/stream { lyftr_stream main; }';


sub wait_for(&;$) { goto &Lyftr::Server::wait_for }


sub json { return decode_json($_[0]->get($_[1])->{body}) }


# the ids of a list

sub ids {
    my ($server, $path) = @_;

    return join ' ', map { $_->{message_id} } @{ json($server, $path)->{data} };
}


# the tables have other names

my ($log, $state) = postgres() ? ('message', 'state')
                    : ('lyftr_message', 'lyftr_state');


# rows up to a place have come so many days ago

sub age {
    my ($server, $days, $where) = @_;

    if (postgres()) {
        Lyftr::store_change($server->{db}, 'UPDATE message SET created_at ='
            . " now() - interval '$days days' WHERE $where");
        return;
    }

    $server->sql("UPDATE lyftr_message SET created_at = strftime("
                 . "'%Y-%m-%dT%H:%M:%fZ', 'now', '-$days days') WHERE $where");
}


# 20 messages of four senders, of which the first twelve are to leave

my $server = Lyftr::Server->new(server => $conf);

for my $i (1 .. 20) {
    $server->post(message(message_id => sprintf('m%02d', $i),
                          from => '+' . ($i % 4), ts => '2025-01-15T10:00:00Z',
                          text => $i % 2 ? "odd $i" : "even $i"));
}

my $page = json($server, '/messages?fields=cursor');
my @cursor = map { $_->{cursor} } @{ $page->{data} };

is($page->{total}, 20, 'all of them are there');
$server->stop;

age($server, 100, 'seq <= 12');
age($server, 80, 'seq > 12');

# what is asked meanwhile is answered as before or as after

my %seen;
my $started = time;

$server = Lyftr::Server->new(dir => $server->{dir}, server => $conf,
                             store => 'keep=90d search=on', workers => 1);

wait_for {
    my ($stats, $list) = map { json($server, $_) }
                         '/stats', '/messages?from=%2B1&q=odd';

    my @top = map { $_->{count} } @{ $stats->{messages_per_sender} };

    $seen{"$stats->{total_messages}: @top"}++;
    $seen{"q $list->{total}"}++;

    $stats->{total_messages} == 8;
};

delete @seen{'20: 5 5 5 5', '8: 2 2 2 2', 'q 5', 'q 2'};
is_deeply(\%seen, {}, 'totals are those of before or of after');

my $left = join ' ', map { sprintf 'm%02d', $_ } 13 .. 20;

is(ids($server, '/messages'), $left, 'the list has the others');
is(ids($server, '/messages?order=desc'), join(' ', reverse split / /, $left),
   'and so from the last to the first');
is(ids($server, '/messages?from=%2B1'), 'm13 m17', 'of a sender');
is(ids($server, '/messages?since=2025-01-15T10:00:00Z&limit=2'), 'm13 m14',
   'since a time');
is(ids($server, '/messages?q=odd'), 'm13 m15 m17 m19', 'with a text');
is(json($server, '/messages?id=m12')->{total}, 0, 'by an id that left');
is(json($server, '/messages?id=m13')->{total}, 1, 'and by one that did not');
is(json($server, '/stats')->{senders_count}, 4, 'the senders are counted');

my @lines = grep { /^\{/ } split /\n/,
            $server->get('/messages/export')->{body};
is(scalar @lines, 8, 'the export has them');

is($server->sql('SELECT count(*) AS n FROM messages')->[0]{n}, 8, 'the view');

ok(wait_for {
       $server->sql("SELECT count(*) AS n FROM $log")->[0]{n} == 8;
   }, 'and so has the log, soon');

# who comes back with the place of a row that left

is(ids($server, "/messages?after=$cursor[3]"), $left, 'a page after one');

for ([ 3, '{"gap":true}' ], [ 11, '{}' ], [ 12, '{}' ]) {
    my ($row, $data) = @$_;
    my $f = Lyftr::Follower->new($server, id => $cursor[$row]);

    $f->until(10, sub { @{ $_[0]{ids} } >= 7 });
    is($f->{events}[0]{data}, $data, "a stream after row $row: $data");
    is("@{ $f->{ids} }", $row == 12 ? $left =~ s/^m13 //r : $left,
       'and what follows');
}

# an id that left is new again

my $created = $server->created;
is($server->post(message(message_id => 'm03'))->{status}, 200, 'again');
is($server->post(message(message_id => 'm13'))->{status}, 200, 'one that stays');
is($server->created, $created + 1, 'one of them was created');
is(json($server, '/messages?id=m03')->{total}, 1, 'and is there');

my $samples;

ok(wait_for {
       $samples = $server->samples;
       $samples->{'lyftr_store_left_rows_total{store="main"}'} == 12;
   }, 'the metrics tell how many left');
cmp_ok($samples->{'lyftr_store_left_bytes_total{store="main"}'}, '>', 12 * 50,
       'of how many bytes');
cmp_ok(abs(time - 80 * 86400 - $samples->{
           'lyftr_store_oldest_timestamp_seconds{store="main"}'}), '<', 3600,
       'when the oldest came');
is($samples->{'lyftr_store_keep_seconds{store="main"}'}, 90 * 86400,
   'for how long they stay');
is($samples->{'lyftr_store_keep_lag_seconds{store="main"}'}, 0, 'and the lag');

# after a restart, and a reload by which all leave, while others come

$server->stop;
$server = Lyftr::Server->new(dir => $server->{dir}, server => $conf,
                             store => 'keep=90d');
is(json($server, '/messages')->{total}, 9, 'the same after a restart');

# a copy has what is left, and goes on behind it

if (!postgres()) {
    my $copy = "$server->{dir}/copy.db";

    is(system("docker/backup --verify $server->{db} $copy >/dev/null 2>&1"), 0,
       'a copy is made');

    my $other = Lyftr::Server->new(db => $copy, server => $conf,
                                   store => 'check=1s');
    is(ids($other, '/messages'), ids($server, '/messages'), 'of what is left');
    is(ids($other, "/messages?after=$cursor[3]"), $left, 'and of what follows');
    $other->post(message(message_id => 'copied'));
    ok(wait_for {
           $other->metric('lyftr_store_uncounted_rows{store="main"}') == 0
       }, 'it is counted');
    is(json($other, '/stats')->{total_messages}, 10, 'with what comes then');
    $other->stop;
}

$server->{store} = 'keep=2s keep_force';
$server->configure;
$server->signal('HUP');

my ($n, %status) = (0);

wait_for {
    $status{ $server->post(message(message_id => 'r' . $n++))->{status} }++;
    $server->sql("SELECT floor FROM $state")->[0]{floor} >= 25;
};

is_deeply([ keys %status ], [200], 'deliveries go on meanwhile');

ok(wait_for { json($server, '/messages')->{total} == 0 }, 'until all have left');

my $stats = json($server, '/stats');
is_deeply([ @$stats{qw(total_messages senders_count messages_per_sender
                       first_message_ts last_message_ts)} ],
          [ 0, 0, [], undef, undef ], 'nobody is counted any more');

my $f = Lyftr::Follower->new($server);
$f->until(5, sub { @{ $_[0]{events} } });
is($server->post(message(message_id => 'last'))->{status}, 200, 'one more');
$f->until(10, sub { @{ $_[0]{ids} } });
is("@{ $f->{ids} }", 'last', 'a stream of a store of which all left');

is_deeply([ $server->alarms ], [], 'no alarms in the log');
$server->stop;


# a database of a Python service: what it was leaves, too

if (!postgres()) {
    my $python = Lyftr::Server->new(store => 'keep=90d', fill => <<'END');
CREATE TABLE messages (message_id TEXT PRIMARY KEY, from_msisdn, to_msisdn,
    ts, text, created_at);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
INSERT INTO messages SELECT 'p' || i, '+1', '+2', '2025-01-15T10:00:00Z', 'x',
    datetime('now', (i / 5 - 150) || ' days') FROM n;
END

    ok(wait_for {
           my $rows = $python->sql('SELECT (SELECT count(*) FROM'
               . ' lyftr_message) AS n, (SELECT count(*) FROM sqlite_master'
               . " WHERE name = 'messages_adopted') AS tables");
           my $total = json($python, '/messages')->{total} // 500;
           $rows->[0]{n} == $total && $total < 500 && $rows->[0]{tables} == 0;
       }, 'the table that was adopted is gone');

    cmp_ok(abs(json($python, '/messages')->{total} - 500 + 59 * 5), '<=', 16,
           'and all of its rows that are too old');
    is_deeply([ $python->alarms ], [], 'no alarms in the log');
    $python->stop;
}


# the oldest leave if there are too many

my $small = Lyftr::Server->new(store => 'keep_bytes=1m');

# which cannot be compressed much

my $text = sub { join '', map { ('a' .. 'z', 0 .. 9)[rand 36] } 1 .. 4000 };

for my $i (1 .. 400) {
    $small->post(message(message_id => "s$i", text => $text->()))
        ->{status} == 200 or fail("delivery $i");
}

my $used = postgres() ? 'SELECT sum(octet_length(body)) AS bytes FROM message'
    : 'SELECT (page_count - freelist_count) * page_size AS bytes FROM'
    . ' pragma_page_count, pragma_freelist_count, pragma_page_size';

ok(wait_for { $small->sql($used)->[0]{bytes} <= 1 << 20 },
   'keep_bytes: the store is not larger');

my $total = json($small, '/messages')->{total};
cmp_ok($total, '>=', 100, 'no more leave than have to');
is(json($small, "/messages?id=s400")->{total}, 1, 'the newest stays');
is(json($small, '/messages?id=s1')->{total}, 0, 'the oldest does not');
is_deeply([ $small->alarms ], [], 'no alarms in the log');

done_testing();

# A database that a Python service of the same contract wrote: its rows are
# adopted once, kept and served as they stand, and count for duplicates.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

use Lyftr;
use Lyftr::Scenario;
use Lyftr::Server;


# rows as such services have them; some have a ts that we would refuse

my @rows = (
    [ 'b', '+2', '+9', '2025-01-15T10:00:00Z', 'Hello' ],
    [ 'a', '+1', '+9', '2025-01-15T10:00:00.500Z', undef ],
    [ 'c', '+1', '+9', '2025-01-15T09:00:00.000000Z', '' ],
    [ 'offset', '+1', '+9', '2024-01-15T10:00:00+00:00', 'hello offset' ],
    [ 'space', '+3', '+9', '2026-01-15 10:00:00', "it's \"q\" \\ %_" ],
    [ 'none', '+1', '+9', '', "\xc3\x89cole \xf0\x9f\x98\x80" ],
    [ 'odd', 'alice', 'bob', 'yesterday', "two\nlines" ],
    [ 'feb', '+1', '+9', '2025-02-30T10:00:00Z', 'x' ],
);

# a ts that our grammar refuses comes first, by its text

my @order = qw(none offset feb space odd c b a);
my %row = map { $_->[0] => $_ } @rows;


sub quoted {
    my ($value) = @_;

    return 'NULL' unless defined $value;
    $value =~ s/'/''/g;

    return "'$value'";
}


sub inserts {
    my (@rows) = @_;

    return join '', map {
        my $values = join ',', map { quoted($_) } @$_;

        "INSERT INTO messages (message_id, from_msisdn, to_msisdn, ts, text,"
        . " created_at) VALUES ($values, '2025-01-15T10:00:01.123456');\n"
    } @rows;
}


my $columns = 'from_msisdn VARCHAR(32) NOT NULL,
    to_msisdn VARCHAR(32) NOT NULL, ts VARCHAR NOT NULL, text TEXT,
    created_at VARCHAR NOT NULL';

my %shape = (
    'a text key' => "CREATE TABLE messages (message_id TEXT PRIMARY KEY,
        $columns);",

    'an SQLAlchemy table with indexes' => "CREATE TABLE messages (
        message_id VARCHAR NOT NULL, $columns, PRIMARY KEY (message_id));
        CREATE INDEX ix_messages_from_msisdn ON messages (from_msisdn);
        CREATE INDEX ix_messages_ts ON messages (ts);
        CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);",

    'a number as the key' => "CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT UNIQUE NOT NULL,
        $columns, UNIQUE (message_id));",

    'without rowid' => "CREATE TABLE messages (message_id TEXT PRIMARY KEY,
        $columns) WITHOUT ROWID;",

    'in WAL mode, another order, quoted names' => "PRAGMA journal_mode = WAL;
        CREATE TABLE \"Messages\" (\"text\" TEXT, \"created_at\" DATETIME,
        \"ts\" TEXT, \"to_msisdn\" TEXT, \"from_msisdn\" TEXT,
        \"MESSAGE_ID\" TEXT NOT NULL PRIMARY KEY);",
);


sub database {
    my ($sql) = @_;

    my $dir = tempdir(CLEANUP => 1);

    open my $sqlite, '|-', "sqlite3 $dir/app.db >/dev/null"
        or die "sqlite3: $!";
    print $sqlite $sql;
    close $sqlite or die "sqlite3: $?";

    return $dir;
}


# a server that has adopted it

sub served {
    my (%args) = @_;

    my $server = Lyftr::Server->new(%args);

    Lyftr::Server::wait_for {
        $server->get('/health/ready')->{status} == 200;
    } 10;

    return $server;
}


# the bytes of an item

sub json_item {
    my ($id, $from, $to, $ts, $text) = @_;

    my @value = map {
        my $value = $_;

        if (defined $value) {
            $value =~ s/(["\\])/\\$1/g;
            $value =~ s/\n/\\n/g;
        }

        defined $value ? qq("$value") : 'null';
    } $id, $from, $to, $ts, $text;

    return sprintf '{"message_id":%s,"from":%s,"to":%s,"ts":%s,"text":%s}',
                   @value;
}


sub items { return map { json_item(@{ $row{$_} }) } @_ }


sub check {
    my ($name, $server) = @_;

    is($server->get('/messages')->{body}, page(items(@order)),
       "$name: the rows as they stand, in order");

    for (['from=+1', qw(none offset feb c a)],
         ['from=alice', 'odd'],
         ['q=HELLO', qw(offset b)],
         ['q=%C3%A9cole', 'none'],
         ['q=%25_', 'space'],
         ['since=0001-01-01T00:00:00Z', qw(c b a)],
         ['since=2025-01-15T10:00:00Z', qw(b a)],
         ['since=2027-01-01T00:00:00Z'])
    {
        my ($args, @ids) = @$_;

        is($server->get("/messages?$args")->{body}, page(items(@ids)),
           "$name: $args");
    }

    is($server->get('/stats')->{body},
       '{"total_messages":8,"senders_count":4,"messages_per_sender":['
       . '{"from":"+1","count":5},{"from":"+2","count":1},'
       . '{"from":"+3","count":1},{"from":"alice","count":1}],'
       . '"first_message_ts":"2025-01-15T09:00:00.000000Z",'
       . '"last_message_ts":"2025-01-15T10:00:00.500Z"}', "$name: stats");

    is_deeply([ map { [ @$_{qw(message_id created_at)} ] }
                @{ $server->sql('SELECT message_id, created_at FROM messages'
                                . ' ORDER BY message_id') } ],
              [ map { [ $_, '2025-01-15T10:00:01.123456' ] } sort @order ],
              "$name: created_at stays");
}


# the pages of a walk over rows whose ts we refuse, too

sub walked {
    my ($server) = @_;

    my ($path, @ids) = '/messages?limit=3';

    while (defined $path && @ids < 100) {
        my $r = $server->get($path);

        my $page = decode_json($r->{body});

        push @ids, map { $_->{message_id} } @{ $page->{data} };
        ($path) = $r->{head} =~ /^Link: <([^>]+)>/mi;
    }

    return \@ids;
}


for my $name (sort keys %shape) {
    my $server = served(
        dir => database($shape{$name} . inserts(@rows)));

    is($server->get('/health/ready')->{status}, 200, "$name: ready");
    check($name, $server);
    is_deeply(walked($server), \@order, "$name: every row once by links");

    for my $id (@order) {
        is($server->post(message(message_id => $id))->{body}, ok_body(),
           "$name: $id again is ok");
    }

    is($server->created, 0, "$name: but none is created");
    is($server->metric('webhook_requests_total{result="duplicate"}'), 8,
       "$name: all are duplicates");
    check("$name, after duplicates", $server);

    is($server->post(message(message_id => 'new',
                             ts => '2024-06-01T00:00:00Z'))->{status}, 200,
       "$name: a new one");
    is($server->created, 1, "$name: is created");
    is_deeply(walked($server), [ qw(none offset feb space odd new c b a) ],
              "$name: and stands in its place");

    # a restart adopts nothing twice

    my $dir = $server->{dir};

    $server->stop;
    $server = served(dir => $dir);
    is_deeply(walked($server), [ qw(none offset feb space odd new c b a) ],
              "$name: the same after a restart");
    is($server->sql('PRAGMA integrity_check')->[0]{integrity_check}, 'ok',
       "$name: the file is sound");
    is_deeply([ $server->alarms ], [], "$name: no alarms in the log");
}


# no key at all: the first row with an id counts

my $server = served(
    dir => database("CREATE TABLE messages (message_id TEXT, $columns);"
                    . inserts(@rows[0 .. 2],
                              [ 'a', '+7', '+9', '2020-01-01T00:00:00Z', '2' ],
                              [ 'b', '+7', '+9', '2020-01-01T00:00:00Z', '2' ],
                              [ 'a', '+8', '+9', '2020-01-01T00:00:00Z', '3' ])
                    ));

is($server->get('/messages')->{body}, page(items(qw(c b a))),
   'repeated ids: the first row of each');
is($server->get('/stats')->{body},
   '{"total_messages":3,"senders_count":2,"messages_per_sender":['
   . '{"from":"+1","count":2},{"from":"+2","count":1}],'
   . '"first_message_ts":"2025-01-15T09:00:00.000000Z",'
   . '"last_message_ts":"2025-01-15T10:00:00.500Z"}', 'repeated ids: stats');
$server->stop;


# columns of other types, none for created_at, and an empty table

$server = served(dir => database(<<'END'));
CREATE TABLE messages (message_id TEXT PRIMARY KEY, from_msisdn TEXT,
    to_msisdn TEXT, ts TIMESTAMP, text TEXT, extra BLOB);
INSERT INTO messages VALUES
    ('m1', '+1', '+2', '2025-01-15T10:00:00Z', 'x', x'00ff');
END

is($server->get('/messages')->{body},
   page(json_item('m1', '+1', '+2', '2025-01-15T10:00:00Z', 'x')),
   'no created_at, and a column that we do not know');
$server->stop;

$server = served(dir => database($shape{'a text key'}));
is($server->get('/messages')->{body}, page(), 'an empty table');
is($server->post(message())->{status}, 200, 'takes messages');
is($server->get('/messages')->{body}, page(item()), 'and has them');
$server->stop;


# two workers that open it at once, each by several requests; 3000 rows

my $sql = "BEGIN;$shape{'a text key'}"
          . inserts(map { [ sprintf('m%04d', $_), '+' . $_ % 7, '+9',
                            '2025-01-15T10:00:00Z', "text $_" ] } 1 .. 3000)
          . 'COMMIT;';

for my $round (1 .. 3) {
    my $server = served(dir => database($sql), workers => 2);
    my @clients = map { $server->client } 1 .. 24;

    for my $i (0 .. $#clients) {
        my $body = message(message_id => sprintf 'm%04d', $i * 100 + 1);

        $clients[$i]->send($i % 3 == 0
            ? "POST /webhook HTTP/1.1\r\nHost: a\r\n" . signature($body)
              . "\r\nContent-Length: " . length($body) . "\r\n\r\n$body"
            : $i % 3 == 1 ? "GET /stats HTTP/1.1\r\nHost: a\r\n\r\n"
            : "GET /messages?limit=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    }

    my @answers = map { $_->response } @clients;

    is_deeply([ grep { $_ != 200 } map { $_->{status} } @answers ], [],
              "opened at once, $round: all are answered");
    is_deeply([ grep { $_->{body} !~ /"ok"|"total(_messages)?":3000,/ }
                @answers ], [], "opened at once, $round: and rightly");
    is($server->sql('SELECT count(*) AS n, count(DISTINCT message_id) AS d'
                    . ' FROM messages')->[0]{n}, 3000,
       "opened at once, $round: each row once");
    is($server->created, 0, "opened at once, $round: duplicates all");
    is_deeply([ $server->alarms ], [], "opened at once, $round: no alarms");
}


# Another process has the file locked, in rollback-journal mode: nothing is
# adopted, nobody waits, and the log has a line a second at most.

for my $lock ('IMMEDIATE', 'EXCLUSIVE') {
    my $dir = database($shape{'a text key'} . inserts(@rows));
    my $held = Lyftr::Server::Lock->new("$dir/app.db", $lock);
    my $server = Lyftr::Server->new(dir => $dir);

    is_deeply([ Lyftr::Scenario::kept_locked($server, 5) ], [],
              "$lock: refused, honestly and quietly");

    undef $held;

    ok(Lyftr::Server::wait_for {
           $server->get('/health/ready')->{status} == 200;
       }, "$lock: then it is adopted");
    check("$lock: unlocked", $server);
    is($server->logged(': adopted 8 of 8 rows'), 1, "$lock: with one line");

    $server->stop;
}

done_testing();

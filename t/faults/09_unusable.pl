# fast: files that are no store, or a damaged one.

use strict;
use warnings;

use lib 't/lib';
use Digest::SHA;
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use JSON::PP;
use List::Util qw(max sum);
use Time::HiRes qw(time);

use Lyftr qw(message signature);
use Lyftr::Disk;
use Lyftr::Fault;
use Lyftr::Server;
use Lyftr::Housekeeping;


Lyftr::Disk::private() if $> == 0;

# in full more than a segment has

my $rows = scale(40000, 2000);
my $segment = 20480;
my $page = 4096;
my $nobody = 65534;


# a store with rows in all of its tables, and nothing in its WAL

my $base = Lyftr::Server->new(fill => <<"END_SQL");
CREATE TABLE messages (message_id TEXT PRIMARY KEY, from_msisdn TEXT NOT NULL,
    to_msisdn TEXT NOT NULL, ts TEXT NOT NULL, text TEXT,
    created_at TEXT NOT NULL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT $rows)
INSERT INTO messages SELECT 'p' || i, '+' || i, '+2',
    strftime('%Y-%m-%dT%H:%M:%SZ', 1700000000 + i, 'unixepoch'), 'number ' || i,
    '2025-01-15T10:00:00Z' FROM n;
END_SQL

$base->get('/stats')->{status} == 200 or die "the store was not set up\n";
Lyftr::Housekeeping::settled($base) and die "the store is not counted\n";
$base->stop;
$base->sql('PRAGMA wal_checkpoint(TRUNCATE)');


sub write_at {
    my ($name, $offset, $bytes) = @_;

    open my $file, '+<', $name or die "$name: $!";
    sysseek $file, $offset, 0;
    syswrite $file, $bytes;
    close $file or die "$name: $!";
}


sub pragma {
    my ($name, $sql) = @_;

    system('sqlite3', $name, "PRAGMA $sql") == 0 or die "sqlite3 failed\n";
}


# what becomes of a copy of the store, and what must be said of it: by readiness
# and in the log

my @cases = (
    ['not a database', sub { write_at($_[0], 0, 'no database ' x 1000) },
     'the store is damaged', 'file is not a database'],
    ['truncated', sub { truncate $_[0], 20.5 * $page },
     'the store is damaged', 'malformed'],
    ['another application', sub { pragma($_[0], 'application_id = 7') },
     'the store has another schema', 'another application'],
    ['a newer version', sub { pragma($_[0], 'user_version = 7') },
     'the store has another schema', 'the schema is newer: version 7, not 6'],
    ['other tables', sub { unlink $_[0]; pragma($_[0], 'user_version = 0;'
                                                . 'CREATE TABLE a (b)') },
     'the store has another schema', 'not a database of messages'],
    ['a folder', sub { unlink $_[0]; mkdir $_[0] },
     'the store cannot be opened', 'app.db" is a folder'],
);

push @cases,
    ['read-only file', sub { chmod 0444, $_[0] },
     'the store is read-only', 'is read-only', user => $nobody],
    ['read-only file system', sub { Lyftr::Disk::read_only($_[1]) },
     'the store is read-only', 'Read-only file system'] if $> == 0;


sub digest {
    my ($name) = @_;

    return -f $name ? Digest::SHA->new(256)->addfile($name)->hexdigest : '';
}


# a server whose main store is such a file, and which has another store

sub unusable {
    my ($case, %server) = @_;

    my ($name, $make, $detail, $logged, %option) = @$case;

    my $dir = tempdir(CLEANUP => 1);
    my $db = "$dir/store/app.db";

    mkdir "$dir/store" or die "store: $!";
    copy($base->{db}, $db) or die "$db: $!";
    $make->($db, "$dir/store");

    my $before = digest($db);

    # for root nothing is read-only by its mode

    my $user = $option{user} // $>;
    chown $user, -1, $dir, "$dir/store", $db;

    my $server = do {
        local $> = $user;

        Lyftr::Server->new(
            dir => $dir, db => $db, %server,
            http => "lyftr_store other sqlite:///$dir/other.db;",
            server => 'location = /other { lyftr_webhook other; }');
    };

    # by both workers

    my @answers = map { $server->post(message(message_id => "new$_")) } 1 .. 6;
    my $ready = $server->get('/health/ready');
    my @others = (other($server), map { $server->get($_)->{status} }
                                      '/health/live', '/metrics');

    $server->stop;
    note("$name: $answers[0]{status} $answers[0]{body} $ready->{body}");
    note("$name: the log does not say \"$logged\"")
        unless $server->logged($logged);

    return {
        acked     => scalar(grep { $_->{status} == 200 } @answers),
        unrefused => scalar(grep { $_->{status} != 503
                                   || $_->{head} !~ /^Retry-After: \d/m }
                                 @answers),
        ready     => $ready->{status} == 503 && $ready->{body} =~ /$detail/,
        logged    => $server->logged($logged),
        crashed   => scalar crashes($server),
        others    => scalar(grep { $_ == 200 } @others),
        kept      => $before eq digest($db),
    };
}


# a delivery to the other store; its status

sub other {
    my ($server) = @_;

    my $body = message();

    return $server->exchange(join "\r\n", 'POST /other HTTP/1.1', 'Host: a',
                             'Connection: close', signature($body),
                             'Content-Length: ' . length $body, '', $body)
                  ->{status};
}


sub crashes {
    my ($server) = @_;

    return grep { /exited on signal|exited with code [^0]/ }
           split /\n/, $server->log;
}


# the pages of a table's leaves that have rows from one to another, in the order
# of its key

sub leaves {
    my ($table, $from, $to) = @_;

    my $n = 0;
    my @pages;

    for (@{ $base->sql("SELECT pageno, ncell FROM dbstat WHERE name = '$table'
                        AND pagetype = 'leaf' ORDER BY path") })
    {
        push @pages, $_->{pageno} if $n < $to && $n + $_->{ncell} > $from;
        $n += $_->{ncell};
    }

    return @pages;
}


# those in the middle of a table, or of the blocks of a kind and level, whose
# numbers have both

sub middle {
    my ($table, $key, $kind, $level) = @_;

    my $blocks = defined $kind ? "$key >> 30 & 63 = " . ($kind << 4 | $level)
                               : 'TRUE';
    my ($range) = @{ $base->sql("SELECT min(i) - 1 AS first, count(*) AS n FROM
        (SELECT $key, row_number() OVER (ORDER BY $key) AS i FROM $table)
        WHERE $blocks") };

    my ($first, $n) = @$range{qw(first n)};

    return leaves($table, $first + $n / 3, $first + ($n > 2 ? 2 * $n / 3 : $n));
}


# pages full of garbage; what requests say that need them, and how long it is
# until readiness knows

sub garbage {
    my ($name, $pages, $request, %server) = @_;

    my $dir = tempdir(CLEANUP => 1);
    my $db = "$dir/app.db";

    copy($base->{db}, $db) or die "$db: $!";
    write_at($db, ($_ - 1) * $page, "\xa5" x $page) for @$pages;

    my $server = Lyftr::Server->new(
        dir => $dir, %server,
        http => "lyftr_store other sqlite:///$dir/other.db;",
        server => 'location = /other { lyftr_webhook other; }');

    my $start = time;
    my $ready;

    Lyftr::Server::wait_for {
        $ready = $server->get('/health/ready');
        $ready->{body} =~ /the store is damaged/;
    } 30;

    my $seconds = $ready->{status} == 503 ? time - $start : 9**9**9;
    my @touching = map { $request->($server)->{status} } 1 .. 6;
    my $other = other($server);

    $server->stop;
    note("$name: pages @$pages, @touching, $ready->{body}");

    return { refused => scalar(grep { $_ == 503 } @touching),
             seconds => $seconds, logged => $server->logged('malformed'),
             crashed => scalar crashes($server), others => $other == 200 };
}


# one column of the row in the middle of so many

sub one {
    my ($sql, $n) = @_;

    my $row = $base->sql("$sql LIMIT 1 OFFSET " . int $n / 2)->[0];

    return (values %$row)[0];
}


# what each table, and each kind of block, is needed for

sub damages {
    my $ids = 'SELECT message_id FROM lyftr_message WHERE seq <=';
    my %id = (row => one("$ids $rows ORDER BY seq", $rows),
              hash => one("$ids $segment ORDER BY id_hash < 0, id_hash",
                          $segment));
    my $sender = one('SELECT from_msisdn FROM lyftr_count ORDER BY 1', $rows);

    my $deliver = sub {
        my ($id) = @_;
        return sub { $_[0]->post(message(message_id => $id)) };
    };

    return (
        ['rows', [middle('lyftr_message', 'seq')], $deliver->($id{row})],
        ['ids', [middle('lyftr_block', 'no', 0, 0)], $deliver->($id{hash})],
        ['the filter', [middle('lyftr_block', 'no', 0, 15)], $deliver->('new')],
        ['times', [middle('lyftr_block', 'no', 1, 0)],
         sub { $_[0]->get('/messages?offset=' . $segment / 2) }],
        ['segments', [middle('lyftr_segment', 'id')], $deliver->('new')],
        ['counts', [middle('lyftr_count', 'from_msisdn')], sub {
            $_[0]->post(message(message_id => "of $sender", from => $sender));
            $_[0]->get('/stats');
        }],
    );
}


my @seen = map { unusable($_) } @cases;
my $n = @seen;

sub total {
    my ($name, @of) = @_;

    return scalar grep { $_->{$name} } @of;
}

figure("$n unusable files, 200 to a delivery", total('acked', @seen), '0',
       total('acked', @seen) == 0);
figure('not 503 + Retry-After', total('unrefused', @seen), '0',
       total('unrefused', @seen) == 0);
figure('readiness fails with the reason', total('ready', @seen), $n,
       total('ready', @seen) == $n);
figure('the log has it', total('logged', @seen), $n,
       total('logged', @seen) == $n);
figure('other locations answer 200', sum(map { $_->{others} } @seen), 3 * $n,
       sum(map { $_->{others} } @seen) == 3 * $n);
figure('files left as they were', total('kept', @seen), $n,
       total('kept', @seen) == $n);

figure('workers that crash', total('crashed', @seen), '0',
       total('crashed', @seen) == 0);

my $module = planted('schema_unchecked', 'damage_as_data', 'no_check');

my @accepted = map { unusable($_, module => $module) }
                   grep { $_->[0] =~ /application|version/ } @cases;

control('the schema is not checked, 200', total('acked', @accepted), '0',
        total('acked', @accepted) > 0);

exit if fast();


my @pages = damages();
my @damaged = map { garbage(@$_) } @pages;
my $refused = sum(map { $_->{refused} } @damaged);
my $slowest = max(map { $_->{seconds} } @damaged);

figure(@pages . ' kinds of garbage, 503 if touched',
       "$refused of " . 6 * @pages, 'all', $refused == 6 * @pages);
figure('readiness has it from the check', sprintf('%.1f s', $slowest),
       'at most 30 s', $slowest <= 30);
figure('the log has it', total('logged', @damaged), scalar @pages,
       total('logged', @damaged) == @pages);
figure('another store answers 200', total('others', @damaged), scalar @pages,
       total('others', @damaged) == @pages);
figure('workers that crash', total('crashed', @damaged), '0',
       total('crashed', @damaged) == 0);

my $blind = garbage(@{ $pages[0] }, module => $module);

control('damage passes for bad data, 503', "$blind->{refused} of 6", 'all',
        $blind->{refused} < 6);
control('no check, readiness has it', sprintf('%.1f s', $blind->{seconds}),
        'at most 30 s', $blind->{seconds} > 30);

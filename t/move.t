# A store that is moved to PostgreSQL and back: all that it has, beside what
# comes, killed on the way, and over the switch, at which nothing is refused.

use strict;
use warnings;

use lib 't/lib';
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use JSON::PP;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use Lyftr;
use Lyftr::Load;
use Lyftr::Postgres;
use Lyftr::Server;

plan skip_all => 'there is no PostgreSQL' unless Lyftr::Postgres::there();

my $build = $ENV{BUILD} || 'build';

plan skip_all => 'it was built without libpq'
    if qx($build/move --help 2>&1) =~ /without libpq/;

my $dir = tempdir(CLEANUP => 1);
my $pg = Lyftr::Postgres->new;


# starts it; what it says is in a file

sub begin {
    my (@arguments) = @_;

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        open STDOUT, '>', "$dir/said" or POSIX::_exit(99);
        open STDERR, '>&', \*STDOUT;
        exec 'docker/move', @arguments or POSIX::_exit(99);
    }

    return $pid;
}


# what it said, and its code

sub move {
    waitpid begin(@_), 0;

    my $code = $? >> 8;

    return said(), $code;
}


sub said {
    open my $in, '<', "$dir/said" or die "said: $!";
    local $/;

    return scalar(<$in>) // '';
}


sub fine {
    my ($name, @arguments) = @_;

    my ($said, $code) = move(@arguments);

    is($code, 0, $name) or diag($said);

    return $said;
}


sub refused {
    my ($pattern, $name, @arguments) = @_;

    my ($said, $code) = move(@arguments);

    is($code, 1, "$name: fails") or diag($said);
    like($said, qr/\Amove: [^\n]*$pattern[^\n]*\n\z/, "$name: one line");
}


# a server of a file, or of a database, beside which is another store

sub server {
    my ($url, $next, %option) = @_;

    my $http = $next ? qq(lyftr_store next "$next";) : '';

    return Lyftr::Server->new(
        url => $url, http => $http, db => "$dir/none",
        server => $next ? 'location = /next/stats { lyftr_stats next; }' : '',
        %option);
}


sub wait_ready {
    my ($server) = @_;

    ok(Lyftr::Server::wait_for(sub {
           $server->get('/health/ready')->{status} == 200;
       }), 'ready') or diag($server->log);
}


# rows of files, as both kinds of stores can say them

sub sqlite {
    my ($db, $sql) = @_;

    open my $out, '-|', 'sqlite3', '-json', '-cmd', '.timeout 10000', $db, $sql
        or die "sqlite3: $!";
    local $/;
    my $json = <$out>;

    return $json ? decode_json($json) : [];
}


sub log_of {
    my ($db) = @_;

    return sqlite($db, 'SELECT seq, message_id AS id, from_msisdn AS sender,'
        . ' to_msisdn AS rcpt, ts, text AS body, created_at, type, raw,'
        . " CASE typeof(instant) WHEN 'blob' THEN '01' ELSE '00' END"
        . ' || hex(instant) AS instant'
        . ' FROM lyftr_message LEFT JOIN lyftr_extra USING (seq)'
        . ' ORDER BY seq');
}


sub log_of_database {
    my ($database) = @_;

    return $pg->rows($database, 'SELECT seq, id || id_rest AS id,'
        . ' sender || sender_rest AS sender, rcpt, ts, body,'
        . " to_char(created_at AT TIME ZONE 'UTC',"
        . q( 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'||'') . ') AS created_at, type,'
        . " convert_from(raw, 'UTF8') AS raw,"
        . " upper(encode(instant, 'hex')) AS instant"
        . ' FROM message ORDER BY seq');
}


# a new store of each kind, which a server has made

sub database {
    my $database = $pg->database;
    my $server = server($pg->url($database));

    wait_ready($server);
    $server->stop;

    return $database;
}


# what it refuses

my ($said, $code) = move();
is($code, 2, 'no arguments: fails');
like($said, qr/\Ausage: /, 'no arguments: how it is called');

for ([ '--help' ], [ '--switch', 'a', 'b' ], [ '-x', 'b' ], [ 'a', 'b', 'c' ],
     [ '--reopen' ], [ '--nothing', 'a', 'b' ], [ '--verify', 'a' ],
     [ '--verify', '--reopen', 'a' ])
{
    ($said, $code) = move(@$_);
    is($code, "@$_" eq '--help' ? 0 : 2, "@$_: how it is called");
    like($said, qr/\Ausage: /, 'is said');
}

my $server = server("sqlite:///$dir/app.db");

wait_ready($server);

my $database = database();
my $url = $pg->url($database);
my @secret = ('postgresql://u:hunter2@127.0.0.1:1/x', 'postgres://u:hunter2@/x'
              . '?nothing=1', 'postgresql://u:hunter2@[/x');

refused(qr/unable to open/, 'no store', "$dir/none", $url);
refused(qr/No such file/, 'no file', "$dir/app.db", "file:$dir/none");
refused(qr/Is a directory/, 'no file', "$dir/app.db", "file:$dir");
refused(qr/one in PostgreSQL/, 'two files', "$dir/app.db", "$dir/app.db");
refused(qr/one in PostgreSQL/, 'two databases', $url, $url);
refused(qr/there is no store/, 'an empty database', "$dir/app.db",
        $pg->url($pg->database));
refused(qr/./, 'no server', "$dir/app.db", $_) for @secret;
unlike(said(), qr/hunter2/, 'and shows no password');
qx(sqlite3 $dir/other 'CREATE TABLE messages (a)');
refused(qr/this is no store/, 'another database', "$dir/other", $url);
refused(qr/it is not closed/, 'one that takes messages', '--reopen',
        "$dir/app.db");


# all that a row may have: ids, senders and texts of any length, nothing, what
# only some have, and what a Python service has left

$server->post(message(message_id => 'plain'));
$server->post(message(message_id => "\x{c3}\x{a9}" x 300, from => '+' . 1 x 400,
                      text => "\\u0001\x{f0}\x{9f}\x{8e}\x{89}" x 99));
$server->post(message(message_id => 'L' x 900_000, text => undef));
$server->post(message(message_id => "L$_" . 'x' x 600_000)) for 1 .. 3;
$server->post(message(message_id => 'empty', text => ''));
$server->post(message(message_id => "n$_")) for 1 .. 30;
$server->stop;

qx(sqlite3 $dir/app.db "
    INSERT INTO lyftr_extra (seq, type, raw, sum)
        SELECT 1, 'image', '{\"a\":1}', 0 UNION ALL SELECT 2, NULL, '', 0
        UNION ALL SELECT seq, '', NULL, 0 FROM lyftr_message
        WHERE message_id = 'empty';
    INSERT INTO lyftr_message (seq, id_hash, instant, message_id, from_msisdn,
        to_msisdn, ts, created_at, text)
        VALUES (9001, 1, '', 'none', '', '', '', NULL, NULL),
               (9002, 1, '15 January', 'day', 'x', 'y', '15 January',
                '2025-01-15 10:00:00', 'a'),
               (9003, 1, x'0ec44f5ba0', 'time', 'x', 'y',
                '2025-01-15T10:00:00Z', 'yesterday', 'b'),
               (9004, 1, x'0ec44f5ba0', 'leap', 'x', 'y',
                '2025-01-15T10:00:00Z', '2024-02-29T23:59:59.999Z', 'c'),
               (9005, 1, x'0ec44f5ba0', 'old', 'x', 'y',
                '2025-01-15T10:00:00Z', '1969-12-31T23:59:59.001Z', 'd')");

my $before = log_of("$dir/app.db");
my %created = (day => '2025-01-15T10:00:00.000Z', time => undef);

for (@$before) {
    $_->{created_at} = $created{$_->{id}} if exists $created{$_->{id}};
}

$said = fine('a move', '--verify', "$dir/app.db", $url);
is($said, "copied: 42 messages\ncompared: 42 messages\n"
          . "times of arrival that were not in our form: 2\n",
   'and what is said');
is_deeply(log_of_database($database), $before, 'all rows, as they were');

is(fine('once more', '--verify', "$dir/app.db", $url),
   "copied: 0 messages\ncompared: 42 messages\n", 'and what is said');

like(qx(script -qec 'docker/move $dir/app.db "$url"' /dev/null),
     qr/\r100% copied: 0 messages\s*\z/, 'on a terminal: how far it is');

refused(qr/: it is not empty/, 'one that has messages', "$dir/app.db",
        do {
            my $other = $pg->database;
            my $server = server($pg->url($other));
            $server->post(message(message_id => 'there'));
            $server->stop;
            $pg->url($other);
        });

copy("$dir/app.db", "$dir/another.db") or die "copy: $!";
qx(sqlite3 $dir/another.db 'UPDATE lyftr_state SET store = store + 1');
refused(qr/closed, for a move from or to another/, 'of another store',
        "$dir/another.db", $url);

# what is otherwise there is found

$pg->psql($database, "UPDATE lyftr.message SET body = 'b ' WHERE seq = 9003");
($said, $code) = move('--verify', "$dir/app.db", $url);
is($code, 1, 'a text that differs: fails');
like($said, qr/row 9003 of \S+ is not in \S+ as it is there\n\z/, 'is said');
$pg->psql($database, "UPDATE lyftr.message SET body = 'b' WHERE seq = 9003;"
          . " DELETE FROM lyftr.message WHERE seq = 9002");
($said, $code) = move('--verify', "$dir/app.db", $url);
is($code, 1, 'a row that is missing: fails');
like($said, qr/row 9002 of /, 'is said');
qx(sqlite3 $dir/app.db 'DELETE FROM lyftr_message WHERE seq IN (9001, 9002)');
like(fine('rows that have left', '--verify', "$dir/app.db", $url),
     qr/^compared: 40 messages\nrows that have left \S+ meanwhile: 1$/m,
     'are said');

# to both of them nobody writes now, or to none

$server = server($url);
wait_ready($server);
is($server->post(message(message_id => 'early'))->{status}, 503,
   'what is not moved yet takes no messages');
like($server->get('/messages?limit=1')->{body}, qr/"total":41,/,
     'and can be looked at');
ok(Lyftr::Server::wait_for(sub {
       $server->metric('lyftr_store_count_lag_places{store="main"}') == 0;
   }), 'and is counted');
is($server->metric('lyftr_store_rows{store="main"}'), 41, 'as it comes');

($said, $code) = move('--switch', 'exit 3', "$dir/app.db", $url);
is($code, 1, 'a command that fails: fails');
like($said, qr/^move: the command has failed with 3: nothing is switched$/m,
     'is said');

fine('the switch', '--switch', 'true', "$dir/app.db", $url);
ok(Lyftr::Server::wait_for(sub {
       $server->post(message(message_id => 'late'))->{status} == 200;
   }), 'now it takes messages');
is($server->post(message(message_id => 'plain'))->{status}, 200,
   'and one that has come before');
like($server->get('/messages?limit=1')->{body}, qr/"total":42,/,
     'is stored once');
is(fine('again', "$dir/app.db", $url), "moved already\n", 'is said');

my $old = server("sqlite:///$dir/app.db", undef, store => 'check=off');

is($old->post(message(message_id => 'lost'))->{status}, 503,
   'the old one takes none');
ok(Lyftr::Server::wait_for(sub {
       $old->get('/health/ready')->{body} =~ /the store is locked/;
   }), 'and is not ready') or diag($old->log);
fine('unless it is told to', '--reopen', "$dir/app.db");
ok(Lyftr::Server::wait_for(sub {
       $old->post(message(message_id => 'found'))->{status} == 200;
   }), 'then it does');
$old->stop;


# and back, as a new store

my $back = server("sqlite:///$dir/back.db");

wait_ready($back);
$back->stop;

like(fine('and back', '--verify', '--switch', 'true', $url, "$dir/back.db"),
     qr/^compared: 42 messages$/m, 'all are compared');

# ids that are long take many numbers, so that the places may be others

sub without { return [ map { { %$_, seq => 0 } } @{ $_[0] } ] }

is_deeply(without(log_of("$dir/back.db")),
          without(log_of_database($database)), 'all rows, as they were');
is_deeply(sqlite("$dir/back.db", 'SELECT seq FROM lyftr_extra ORDER BY 1'),
          sqlite("$dir/app.db", 'SELECT seq FROM lyftr_extra ORDER BY 1'),
          'and what only some have');
is($server->post(message(message_id => 'lost'))->{status}, 503,
   'the old one takes none');
$server->stop;

$back = server("sqlite:///$dir/back.db");
wait_ready($back);
is($back->post(message(message_id => 'plain'))->{status}, 200,
   'a message that has come before');
is($back->post(message(message_id => 'new'))->{status}, 200, 'and a new one');
like($back->get('/messages?limit=1')->{body}, qr/"total":43,/, 'are stored once');
is_deeply([ $back->alarms ], [], 'no alarms');
$back->stop;


# Beside deliveries, killed again and again, and over a reload of nginx.  The
# new store is counted meanwhile.

sub at_work {
    my ($name, $from, $to, $store, $rows) = @_;

    my $server = server($store->[0], $store->[1]);

    wait_ready($server);

    my $load = Lyftr::Load->start($server->{port}, r => 2000, c => 32,
                                  d => 3600);

    Lyftr::Server::wait_for { ($server->created // 0) > 6000 } 60;

    for (1 .. 8) {
        my $pid = begin($from, $to);

        sleep 0.02 + rand 0.2;
        kill 'KILL', $pid;
        waitpid $pid, 0;
    }

    $server->{url} = $store->[1];
    $server->{http} = $server->{server} = '';
    copy("$server->{dir}/nginx.conf", "$server->{dir}/before");
    $server->configure;
    rename "$server->{dir}/nginx.conf", "$server->{dir}/after";
    rename "$server->{dir}/before", "$server->{dir}/nginx.conf";

    my $switch = "cd $server->{dir} && mv after nginx.conf"
                 . " && kill -HUP $server->{pid}";
    my $said = fine("$name: beside deliveries", '--verify', '--switch', $switch,
                    $from, $to);

    like($said, qr/^moved: /m, 'it is moved');

    my $created = $server->created;

    ok(Lyftr::Server::wait_for(sub { $server->created > $created + 2000 }),
       'and goes on');

    my $report = $load->stop;

    is(join(',', map { "$_ $report->{statuses}{$_}" }
                 grep { $_ ne '200' } sort keys %{ $report->{statuses} }), '',
       'each delivery is a 200') or diag($server->log);

    $rows->($load);
    is_deeply([ $server->alarms ], [], 'no alarms');
    $server->stop;
}


sub acked {
    my ($load) = @_;

    open my $in, '<', $load->{acks} or die "acks: $!";

    my %id = map { $_ => 1 } map { /"message_id":"([^"]*)"/ ? $1 : () } <$in>;

    return \%id;
}


# a line of each row

sub lines_of {
    my ($db) = @_;

    return split /\n/, qx(sqlite3 -cmd '.timeout 10000' '$db' 'SELECT seq,
        message_id, from_msisdn, to_msisdn, ts, created_at, text
        FROM lyftr_message ORDER BY seq');
}


sub lines_of_database {
    my ($database) = @_;

    return split /\n/, $pg->psql($database, 'SELECT seq, id || id_rest,'
        . ' sender || sender_rest, rcpt, ts,'
        . " to_char(created_at AT TIME ZONE 'UTC',"
        . q( 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'||'') . '), body'
        . ' FROM lyftr.message ORDER BY seq');
}


# the second log begins with the first one, and has no id twice

sub order {
    my ($load, $first, $second) = @_;

    my $acked = acked($load);
    my %place;

    $place{(split /\|/)[1]}++ for @$second;

    is(scalar(grep { !$place{$_} } keys %$acked), 0,
       'nothing that was acknowledged is missing');
    cmp_ok(scalar(keys %$acked), '>', 6000, 'of many');
    is(scalar(grep { $_ > 1 } values %place), 0, 'nothing is there twice');
    cmp_ok(scalar(@$second), '>', scalar(@$first), 'there are new ones');
    is(join("\n", @$second[0 .. $#$first]), join("\n", @$first),
       'and all of the old ones stand before, as they were');
}


$database = database();
$url = $pg->url($database);

at_work('to PostgreSQL', "$dir/work.db", $url,
        [ "sqlite:///$dir/work.db", $url ], sub {
            order($_[0], [ lines_of("$dir/work.db") ],
                  [ lines_of_database($database) ]);
        });

my $other = server("sqlite:///$dir/home.db");
wait_ready($other);
$other->stop;

at_work('to SQLite', $url, "$dir/home.db",
        [ $url, "sqlite:///$dir/home.db" ], sub {
            order($_[0], [ lines_of_database($database) ],
                  [ lines_of("$dir/home.db") ]);
        });

done_testing();

# A store in PostgreSQL that several servers share, and what befalls it.  That
# it behaves as another one is told by the tests of behaviour, which run on both.

use strict;
use warnings;
use feature qw(fc unicode_strings);

use lib 't/lib';
use File::Temp qw(tempdir);
use IO::Socket::UNIX;
use IPC::Open2 ();
use JSON::PP;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use Lyftr;
use Lyftr::Client;
use Lyftr::Follower;
use Lyftr::PgProxy;
use Lyftr::Postgres;
use Lyftr::Server;
use Lyftr::Several qw(server result ready unready deliveries);

plan skip_all => 'there is no PostgreSQL' unless Lyftr::Postgres::there();
plan skip_all => 'the module knows no PostgreSQL'
    unless Lyftr::Postgres::known();

my $pg = Lyftr::Postgres->new;


# does this process have a lock of a file, as one that leads does?

sub leads {
    my ($pid) = @_;

    open my $locks, '<', '/proc/locks' or die "/proc/locks: $!";

    return grep { /POSIX +ADVISORY +WRITE $pid / } <$locks>;
}


# what nginx says of a store's directive

sub refused {
    my ($store) = @_;

    my $home = tempdir(CLEANUP => 1);
    my $module = $ENV{TEST_NGINX_LOAD_MODULES};

    open my $conf, '>', "$home/nginx.conf" or die "nginx.conf: $!";
    print $conf "load_module $module;\n" if $module;
    print $conf "pid nginx.pid; events { } http { lyftr_store main $store; }\n";
    close $conf;

    my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';

    return scalar qx($nginx -t -p $home/ -c nginx.conf -e $home/log 2>&1);
}


subtest 'a directive' => sub {
    my $form = qr/not a URL such as postgresql/;

    for ([ 'postgresql://u:hunter2@host:x/db?bad=1', $form ],
         [ 'postgres://u:hunter2@[host/db', $form ],
         [ 'postgresql:/db', $form ],
         [ 'postgresqls://u:hunter2@host/db', qr/unknown kind/ ],
         [ 'postgresql://host/db durability=yes',
           qr/invalid value in "durability=yes"/ ],
         [ 'postgresql://host/db prepare=1', qr/invalid value in "prepare=1"/ ],
         [ 'postgresql://host/db cache=64m',
           qr/invalid parameter "cache=64m"/ ],
         [ 'sqlite:///a.db prepare=on', qr/invalid parameter "prepare=on"/ ],
         [ 'file:/nonexistent', qr/open\(\) "\/nonexistent" failed/ ])
    {
        my ($store, $text) = @$_;
        my $said = refused($store);

        like($said, $text, $store);
        unlike($said, qr/hunter2/, 'and shows no password');
    }

    like(refused("$_ durability=standby prepare=off search=on"),
         qr/test is successful/, $_)
        for 'postgres+psycopg://u:p@a:1,b/db?sslmode=require',
            '"postgresql://?service=x"';
};


subtest 'two servers' => sub {
    my $database = $pg->database;
    my @servers;

    # both find it empty

    my $other = fork // die "fork: $!";

    if ($other == 0) {
        my $server = eval { server($pg->url($database)) };
        my $ok = $server && Lyftr::Server::wait_for(sub {
            $server->get('/health/ready')->{status} == 200;
        }, 10);

        $server->stop if $server;
        POSIX::_exit($ok ? 0 : 1);
    }

    push @servers, server($pg->url($database));
    ready($servers[0], 'one has the tables');

    waitpid $other, 0;
    is($?, 0, 'so has another, which was begun at the same time');

    # the URL is in a file, with a newline

    my $secret = tempdir(CLEANUP => 1) . '/url';
    open my $file, '>', $secret or die "url: $!";
    print $file $pg->url($database), "\n";
    close $file;

    push @servers, server("file:$secret");
    ready($servers[1], 'and one that comes later');

    my @followers = map { Lyftr::Follower->new($_,
        path => '/messages/stream?after=0') } @servers;

    for my $round (1 .. 5) {
        my @acked = deliveries(\@servers, ("same$round") x 20);
        is(@acked, 20, "round $round: one id at the same instant, 200 to all");
    }

    is(result('created', @servers), 5, 'one is created on both together');
    is(result('duplicate', @servers), 95, 'all others are known');

    is(deliveries(\@servers, map { "own$_" } 1 .. 100), 100, 'others');
    is(result('created', @servers), 105, 'are created');

    my @ids = $pg->ids($database);
    is(@ids, 105, 'as many rows');

    for my $f (@followers) {
        $f->until(10, sub { @{ $_[0]{ids} } >= 105 });
        is_deeply($f->{ids}, \@ids, 'a stream has all, in the order of all');
    }

    like($_->get('/messages?limit=1')->{body}, qr/"total":105,/, 'totals')
        for @servers;

    # an event of the other one comes soon: the first of them tells when, if it
    # looked each second, it would look again

    my $least = 1;

    for my $n (1 .. 6) {
        my $start = time;

        $servers[0]->post(message(message_id => "soon$n"));
        $followers[1]->until(5, sub { $_[0]{ids}[-1] eq "soon$n" });
        $least = time - $start if $n > 1 && time - $start < $least;
    }

    cmp_ok($least, '<', 0.5, 'sooner than each second');

    is_deeply([ map { $_->alarms } @servers ], [], 'no alarms');
};


# Rows in random order, some with beginnings that more than an index has of them
# share, some of a few instants; first: the number of the first

sub rows {
    my ($database, $first, $n) = @_;

    my $epoch = 62135596800 + 1736935200;

    $pg->psql($database, "SET search_path = lyftr; INSERT INTO message (seq, h,"
        . ' instant, id, id_rest, sender, sender_rest, rcpt, ts, body)'
        . ' SELECT t.n + i, md5(i::text)::uuid,'
        . " decode('01' || lpad(to_hex($epoch + CASE WHEN i % 7 = 0 THEN 5"
        . " ELSE (i * 7919) % 5000 END), 10, '0'), 'hex'),"
        . " CASE WHEN i % 7 = 0 THEN repeat('\x{c3}\x{a9}', 225)"
        . " ELSE 'i' || md5(i::text) END,"
        . " CASE WHEN i % 7 = 0 THEN 'r' || md5(i::text) ELSE '' END,"
        . " CASE WHEN i % 11 = 0 THEN '+' || repeat('1', 224)"
        . " ELSE '+' || (i * i) % 13 END,"
        . " CASE WHEN i % 11 = 0 THEN ((i * i) % 3)::text ELSE '' END,"
        . " '+2', '2025-01-15T10:00:00Z', NULL"
        . " FROM generate_series($first, $first + $n - 1) i, ticket t;"
        . " UPDATE ticket SET n = n + $n; UPDATE slot SET d = (SELECT n FROM"
        . ' ticket)');
}


# pages, totals and stats of some requests are those of a model of the rows

sub modelled {
    my ($server, $database, $rounds) = @_;

    my @all = @{ $pg->rows($database, "SELECT id || id_rest AS id, sender ||"
        . " sender_rest AS sender, encode(instant, 'hex') AS instant"
        . ' FROM message ORDER BY instant, message.id, id_rest') };
    my (@faults, %counted);

    for my $round (1 .. $rounds) {
        my %query = (limit => 1 + int rand 100);
        my @row = @all;

        if (rand() < 0.5) {
            $query{from} = $all[rand @all]{sender};
            @row = grep { $_->{sender} eq $query{from} } @row;
        }

        for (['since', sub { $_[0] ge $_[1] }], ['until', sub { $_[0] lt $_[1] }])
        {
            my ($name, $holds) = @$_;
            next if rand() < 0.5;

            my $second = int rand 5000;
            my $instant = sprintf '01%010x', 62135596800 + 1736935200 + $second;

            $query{$name} = sprintf '2025-01-15T%02d:%02d:%02dZ',
                10 + $second / 3600, $second / 60 % 60, $second % 60;
            @row = grep { $holds->($_->{instant}, $instant) } @row;
        }

        if (rand() < 0.5) {
            $query{order} = 'desc';
            @row = reverse @row;
        }

        $query{offset} = int rand(@row + 10) if rand() < 0.8;

        my $total = @row;
        my $offset = $query{offset} // 0;
        my @page = grep { defined } @row[$offset .. $offset + $query{limit} - 1];

        my $args = join '&', map { "$_=$query{$_}" } sort keys %query;
        my $answer = $server->get("/messages?fields=message_id&$args");
        my $got = decode_json($answer->{body});

        push @faults, "$args: $answer->{status}"
            if ($got->{total} // -1) != $total
            || join(' ', map { $_->{message_id} } @{ $got->{data} })
               ne join(' ', map { $_->{id} } @page);
    }

    is("@faults", '', 'pages and totals are those of a model');

    my (%sender, $stats);
    $sender{ $_->{sender} }++ for @all;
    $stats = decode_json($server->get('/stats')->{body});

    is("$stats->{total_messages} $stats->{senders_count}",
       @all . ' ' . keys %sender, 'so are the counts');
    is_deeply([ map { "$_->{from} $_->{count}" }
                @{ $stats->{messages_per_sender} } ],
              [ (map { "$_ $sender{$_}" }
                 sort { $sender{$b} <=> $sender{$a} || $a cmp $b }
                 keys %sender)[0 .. 9] ], 'and the largest senders');
}


subtest 'totals and offsets' => sub {
    my $database = $pg->database;
    my $server = server($pg->url($database));

    $server->post(message(message_id => 'first'));

    my $lag = sub {
        $server->metric('lyftr_store_count_lag_places{store="main"}') == 0;
    };

    rows($database, 1, 9000);
    ok(Lyftr::Server::wait_for(sub { $lag->() }, 30), 'all are counted');
    rows($database, 9001, 14000);
    ok(Lyftr::Server::wait_for(sub { $lag->() }, 30), 'and some more');

    cmp_ok($pg->psql($database, 'SELECT min(n) FROM (SELECT tree, count(*) AS n'
                     . ' FROM lyftr.range GROUP BY 1) r'), '>', 4,
           'in ranges that were split');
    is($pg->psql($database, 'SELECT count(*) FROM (SELECT sum(n) AS n FROM'
                 . ' lyftr.range GROUP BY tree) r WHERE n = (SELECT rows FROM'
                 . ' lyftr.state)'), "2\n", 'which have each row');

    # Of the ranges that a filter cuts the rows are found by an index, as the
    # plans say that the server notes.  Few rows are read faster as a whole, or
    # by a bitmap, so that is not to be had.

    my $ignored = length $pg->log;

    $pg->psql($database, 'ANALYZE lyftr.message');
    $pg->psql($database, "ALTER DATABASE $database SET $_")
        for q{session_preload_libraries = 'auto_explain'},
            'auto_explain.log_min_duration = 0', 'enable_bitmapscan = off';

    my $planned = server($pg->url($database));

    for ('', '&from=%2B3') {
        my $get = "/messages?since=2025-01-15T11:00:00Z&limit=1$_";

        is($planned->get($get)->{status}, 200, $get);
    }

    $planned->stop;

    my @plan = grep { /FROM lyftr\.range/ && /count\(\*\) FROM lyftr\.message/ }
               split /LOG:/, $pg->log($ignored);
    my @index = map { [ /Scan using (message_\w+) .*\n\s+Index Cond: .*ROW/g ] }
                @plan;

    is_deeply(\@index, [ map { [ $_, $_ ] } qw(message_time message_sender) ],
              'of each total, the rows of both ranges') or diag(@plan);

    $pg->psql($database, "ALTER DATABASE $database RESET ALL");

    # nobody counts what comes now

    my $keeper = IPC::Open2::open2(my $out, my $in, $pg->client($database));
    $in->autoflush(1);
    print $in "BEGIN; SELECT 'locked' FROM lyftr.state FOR UPDATE;\n";
    like(scalar <$out>, qr/locked/, 'the housekeeping is kept away');
    rows($database, 23001, 3000);

    modelled($server, $database, 250);

    close $in;
    waitpid $keeper, 0;
};


# Rows leave on two servers while more come to both: what stands in one answer is
# of one moment, and nothing is refused.

subtest 'rows that leave' => sub {
    my $database = $pg->database;
    my $store = 'keep=90d search=on';
    my @servers = (server($pg->url($database), store => $store));

    ready($servers[0], 'a store');
    rows($database, 1, 9000);
    $pg->psql($database, 'UPDATE lyftr.message SET created_at = CASE'
        . ' WHEN seq % 10 = 0 THEN NULL'
        . " WHEN seq % 11 = 0 THEN now() + interval '1 day'"
        . " WHEN seq <= 5000 OR seq > 8000 THEN now() - interval '100 days'"
        . " ELSE now() - interval '80 days' END");

    push @servers, server($pg->url($database), store => $store);

    my (%status, @faults, $n, $left);

    Lyftr::Server::wait_for {
        $status{$_->post(message(message_id => 'n' . ++$n))->{status}}++
            for @servers;

        my $stats = decode_json($servers[rand 2]->get('/stats')->{body});
        my $sum = 0;
        $sum += $_->{count} for @{ $stats->{messages_per_sender} };

        push @faults, "$sum of $stats->{total_messages}"
            if $sum != $stats->{total_messages};

        $left = $servers[0]->metric(
            'lyftr_store_left_rows_total{store="main"}');
        $left >= 4999;
    } 60;

    is_deeply([ keys %status ], [ 200 ], 'none is refused');
    is("@faults", '', 'in stats all senders are all rows');
    is($left, 4999, 'those have left that are too old');
    is($pg->psql($database, 'SELECT min(seq), count(*) FROM lyftr.message'),
       '5000|' . (4001 + $n) . "\n", 'one too young keeps all after it');
    ok(Lyftr::Server::wait_for(sub {
           $_->metric('lyftr_store_count_lag_places{store="main"}') == 0
               && $_->metric('lyftr_store_left_rows_total{store="main"}')
                  == 4999 or return 0 for @servers;
           return 1;
       }, 30), 'which both hosts know');
    is($pg->psql($database, 'SELECT tree, sum(n), min(n) >= 0 FROM lyftr.range'
                 . ' GROUP BY tree ORDER BY tree'),
       join('', map { "$_|" . (4001 + $n) . "|t\n" } 0, 1),
       'and the ranges');
    is($pg->psql($database, 'SELECT count(*) FROM lyftr.search WHERE seq < 5000'),
       "0\n", 'and the texts');

    modelled($_, $database, 50) for @servers;

    is_deeply([ map { $_->alarms } @servers ], [], 'no alarms');
};


subtest 'search=on' => sub {
    my $database = $pg->database;
    my $server = server($pg->url($database), store => 'search=on');
    my @texts = ("\x{c9}COLE", "\x{e9}cole 100%", 'under_score', 'back\\slash',
                 "STRASSE", "stra\x{df}e", 'plain text', 'a', "\x{1f600}\x{1f600}");
    my $n = 0;

    my $post = sub {
        $server->post(Lyftr::Client::encode({ message_id => sprintf('m%03d',
            $n++), from => '+1', to => '+2', ts => '2025-01-15T10:00:00Z',
            text => $_[0] }));
    };

    $post->($_) for @texts;

    # the lag is told some time after they came

    ok(Lyftr::Server::wait_for(sub {
           $pg->psql($database, "SELECT count(*) FROM pg_indexes WHERE"
                     . " indexname = 'search_fold'") eq "1\n";
       }, 15), 'the texts have their index');
    ok(Lyftr::Server::wait_for(sub {
           $server->metric('lyftr_store_search_lag_places{store="main"}') == 0;
       }, 15), 'and are folded');

    # and some that nobody has folded yet

    my $keeper = IPC::Open2::open2(my $out, my $in, $pg->client($database));
    $in->autoflush(1);
    print $in "BEGIN; SELECT 'locked' FROM lyftr.state FOR UPDATE;\n";
    like(scalar <$out>, qr/locked/, 'the housekeeping is kept away');

    $post->($_) for reverse @texts;

    for my $q ("\x{e9}cole", 'ecole', '0%', 'R_S', 'k\\s', 'strasse', 'SS', 'A',
               "\x{1f600}", 'text', 'nothing', '%', '_')
    {
        my @want = map { sprintf 'm%03d', $_ }
                   grep { index(fc((@texts, reverse @texts)[$_]),
                                fc($q)) >= 0 } 0 .. $n - 1;
        my $escaped = $q;

        utf8::encode($escaped);
        $escaped =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ge;

        for my $order ('asc', 'desc') {
            my $got = decode_json($server->get("/messages?q=$escaped&limit=5"
                . "&order=$order&fields=message_id")->{body});
            my @page = grep { defined } ($order eq 'asc' ? @want
                                         : reverse @want)[0 .. 4];

            is(join(' ', $got->{total}, map { $_->{message_id} }
                                        @{ $got->{data} }),
               join(' ', scalar @want, @page), "q=$escaped $order");
        }
    }

    close $in;
    waitpid $keeper, 0;
};


# One waits for another to make them, and then finds that they are there.

subtest 'search=on on two hosts' => sub {
    my $database = $pg->database;
    my $other = IPC::Open2::open2(my $out, my $in, $pg->client($database));

    $in->autoflush(1);
    print $in "BEGIN; CREATE EXTENSION pg_trgm; SELECT 'made';\n";
    like(scalar <$out>, qr/made/, 'another one makes the extension');

    my $server = server($pg->url($database), store => 'search=on');

    is($server->post(message())->{status}, 200, 'a message');

    ok(Lyftr::Server::wait_for(sub {
        $pg->psql($database, 'SELECT count(*) FROM pg_stat_activity WHERE'
            . " query LIKE 'CREATE EXTENSION%' AND wait_event_type = 'Lock'")
            > 0;
    }), 'this one waits');

    print $in "COMMIT;\n";
    close $in;
    waitpid $other, 0;

    ok(Lyftr::Server::wait_for(sub {
        $server->metric('lyftr_store_search_lag_places{store="main"}') == 0
            && $pg->psql($database, 'SELECT count(*) FROM pg_indexes WHERE'
                         . " indexname = 'search_fold'") > 0;
    }), 'and goes on');
    unlike($server->log, qr/housekeeping failed/, 'without a failure');
};


subtest 'what cannot be a store' => sub {
    my $database = $pg->database;
    my $server = server($pg->url($database));

    ready($server, 'one that can');
    $server->stop;

    $pg->psql($database, 'ALTER TABLE lyftr.state DROP COLUMN floor,'
        . ' DROP COLUMN left_rows, DROP COLUMN left_bytes;'
        . ' UPDATE lyftr.state SET version = 1');

    my @both = map { server($pg->url($database)) } 1 .. 2;

    ready($_, 'an older version, which both make a newer one') for @both;
    is($pg->psql($database, 'SELECT version, min_version, floor FROM'
                 . ' lyftr.state'), "2|1|0\n", 'that the older one may use');
    is($_->post(message())->{status}, 200, 'and take messages') for @both;
    $_->stop for @both;

    $pg->psql($database, 'UPDATE lyftr.state SET version = 9');
    $server = server($pg->url($database));
    ready($server, 'a newer version that this one may use');
    $server->stop;

    $pg->psql($database, 'UPDATE lyftr.state SET min_version = 9');
    $server = server($pg->url($database));
    unready($server, qr/another schema/, 'one that it may not use');
    is($server->post(message())->{status}, 503, 'takes nothing');
    $server->stop;

    $pg->psql($database, 'UPDATE lyftr.state SET version = 0,'
                         . ' min_version = 0');
    $server = server($pg->url($database));
    unready($server, qr/another schema/, 'one that nothing brings to ours');
    $server->stop;

    $pg->psql('postgres', "CREATE DATABASE ascii ENCODING 'SQL_ASCII'"
              . " LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    $server = server($pg->url('ascii'));
    unready($server, qr/cannot be opened/, 'another encoding');
    like($server->log, qr/its encoding is not UTF8/, 'which the log has');
    $server->stop;

    $server = server($pg->url($pg->database), store => 'durability=standby');
    unready($server, qr/cannot be opened/, 'none that confirms, if one must');
    like($server->log, qr/synchronous_standby_names is empty/,
         'which the log has');
    $server->stop;

    my $unsafe = Lyftr::Postgres->new(settings => { fsync => 'off' });
    $server = server($unsafe->url($unsafe->database));
    unready($server, qr/cannot be opened/, 'fsync is off');
    is($server->post(message())->{status}, 503, 'takes nothing');
    like($server->log, qr/fsync is off/, 'which the log has');
};


subtest 'what is there no more' => sub {
    my $database = $pg->database;
    my $server = server($pg->url($database));

    is(deliveries([$server], 'a' .. 'j'), 10, 'some messages');

    $pg->psql($database, 'UPDATE lyftr.ticket SET n = 3;'
                         . ' UPDATE lyftr.slot SET d = 3');
    unready($server, qr/moved or deleted/, 'one that has less');
    is($server->post(message())->{status}, 503, 'takes nothing');

    $server->signal('HUP');
    ready($server, 'until a reload says that it is right');

    $pg->psql($database, 'UPDATE lyftr.state SET store = 1');
    $pg->psql('postgres', 'SELECT pg_terminate_backend(pid)'
        . " FROM pg_stat_activity WHERE datname = '$database'");
    unready($server, qr/moved or deleted/, 'another store');

    $server->signal('HUP');
    ready($server, 'the same');

    $pg->psql($database, 'SET client_min_messages = warning;'
                         . ' DROP SCHEMA lyftr CASCADE');
    unready($server, qr/moved or deleted/, 'none at all');
    is($server->post(message())->{status}, 503, 'is not begun anew');
};


subtest 'an answer that is lost' => sub {
    my $proxy = Lyftr::PgProxy->new($pg);
    my $database = $pg->database;
    my $url = "postgresql://lyftr\@/$database?host=$proxy->{dir}";
    my $server = server($url, store => 'prepare=off');
    my $n = 0;

    for my $round (1 .. 5) {
        for my $what ('answer', 'batch') {
            deliveries([$server], 'before' . ++$n);
            $proxy->drop($what);

            my @ids = map { "r$round$what$_" } 1 .. 5;

            is(deliveries([$server], @ids), 5, "$what: all are stored");
            ok($proxy->dropped, 'it was');
            $n += 5;
            is(result('created', $server), $n, 'each is created');
            is($pg->ids($database), $n, 'once');
        }
    }

    is(result('duplicate', $server), 0, 'none was known');
    is_deeply([ $server->alarms ], [], 'no alarms');
};


# The commit of the barrier comes with the end of the pipeline, after its own
# answer: what fails there has made nothing durable.

subtest 'a barrier that cannot be committed' => sub {
    my $database = $pg->database;
    my $server = server($pg->url($database), store => 'timeout=1s');

    is(deliveries([$server], 'sound'), 1, 'some message');

    $pg->psql($database, q{
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $f$ BEGIN RAISE 'no barrier'; END $f$;
        CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON lyftr.slot
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
            WHEN (OLD.d IS DISTINCT FROM NEW.d) EXECUTE FUNCTION refuse();
    });

    is($server->post(message(message_id => 'unsure'))->{status}, 503,
       'nothing is acknowledged');

    $pg->psql($database, 'SET client_min_messages = warning;'
                         . ' DROP FUNCTION refuse CASCADE');

    Lyftr::Server::wait_for { deliveries([$server], 'unsure') == 1 };
    is_deeply([ $pg->ids($database) ], [qw(sound unsure)], 'later it is, once');
};


# What the server says of a barrier, and not of the batch before it, says nothing
# of the batch: another barrier does.

subtest 'a barrier that is refused' => sub {
    my $database = $pg->database;
    my $server = server($pg->url($database));

    is(deliveries([$server], 'sound'), 1, 'some message');

    $pg->psql($database, q{
        CREATE SEQUENCE tries;
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $f$ BEGIN
                IF nextval('tries') < 4 THEN
                    RAISE 'no barrier' USING ERRCODE = '40001';
                END IF;
                RETURN NULL;
            END $f$;
        CREATE TRIGGER refuse AFTER UPDATE ON lyftr.slot FOR EACH ROW
            WHEN (OLD.d IS DISTINCT FROM NEW.d) EXECUTE FUNCTION refuse();
    });

    is($server->post(message(message_id => 'again'))->{status}, 200,
       'is sent again');
    cmp_ok($pg->psql($database, 'SELECT last_value FROM tries'), '>', 3,
           'some times');
    is_deeply([ $pg->ids($database) ], [qw(sound again)], 'each is stored once');
    is(result('created', $server), 2, 'and is created');
    is_deeply([ $server->alarms ], [], 'no alarms');
};


subtest 'a server that is killed' => sub {
    my $own = Lyftr::Postgres->new(listen => '127.0.0.1',
                                   port => Lyftr::Server::free_port());
    my $database = $own->database;
    my $server = server("postgresql://lyftr\@127.0.0.1:$own->{port}/$database");
    my (%acked, $n);

    for my $round (1 .. 4) {
        my $killer = fork // die "fork: $!";

        if ($killer == 0) {
            sleep 0.05 + rand 0.2;
            $own->kill;
            $own->start;
            POSIX::_exit(0);
        }

        do {
            my @ids = map { "k$round." . ++$n } 1 .. 50;
            $acked{$_} = 1 for deliveries([$server], @ids);
        } until waitpid($killer, POSIX::WNOHANG()) == $killer;
    }

    ready($server, 'ready again');

    my %row = map { $_->{id} => 1 }
        @{ $own->rows($database, 'SELECT id FROM message') };

    cmp_ok(keys %acked, '>', 100, 'many were acknowledged');
    is(grep({ !$row{$_} } keys %acked), 0, 'none of them is lost');
    is(result('created', $server), keys %row, 'each row was created');
    like($server->get('/stats')->{body}, qr/"total_messages":${\ scalar keys
         %row},/, 'and is counted');
};


# Of two that lead, one is killed before its batch is committed, and one after
# that: whoever goes on knows what each message has become.

subtest 'workers that are killed' => sub {
    my $database = $pg->database;
    my $server = server($pg->url($database), store => 'timeout=20s',
                        workers => 3, listen => 'reuseport');
    my %seen;

    is(deliveries([$server], 'before'), 1, 'some message');

    $pg->psql($database, q{
        CREATE TABLE lyftr.pause (seconds int);
        INSERT INTO lyftr.pause VALUES (0);
        CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS
            $f$ BEGIN
                PERFORM pg_sleep(seconds) FROM lyftr.pause;
                RETURN NULL;
            END $f$;
        CREATE TRIGGER pause AFTER UPDATE ON lyftr.slot FOR EACH ROW
            WHEN (OLD.d IS DISTINCT FROM NEW.d) EXECUTE FUNCTION pause();
    });

    my $kill = sub {
        my ($event, $name) = @_;
        my $pid;

        ok(Lyftr::Server::wait_for(sub {
            my ($leader) = grep { leads($_) } $server->workers;
            my $n = $pg->psql($database, 'SELECT count(*) FROM pg_stat_activity'
                . " WHERE wait_event = '$event' AND NOT pid = ANY('{"
                . join(',', keys %seen) . "}')");

            $pid = $leader if $leader && $n > 0;
        }), $name);

        $seen{$_} = 1 for split /\n/, $pg->psql($database,
            "SELECT pid FROM pg_stat_activity WHERE wait_event = '$event'");

        kill 'KILL', $pid;
        Lyftr::Server::wait_for { !kill 0, $pid };
    };

    my $lock = IPC::Open2::open2(my $out, my $in, $pg->client($database));
    $in->autoflush(1);
    print $in "BEGIN; UPDATE lyftr.ticket SET n = n; SELECT 'locked';\n";
    like(scalar <$out>, qr/locked/, 'somebody has the ticket');

    my @pending;

    for my $id (map { ("own$_", 'same') } 1 .. 20) {
        my $client = $server->client;
        $client->send(Lyftr::Client::delivery(Lyftr::Client::numbered($id)));
        push @pending, [ $id, $client ];
    }

    $kill->('transactionid', 'a batch that waits for it');

    ok(Lyftr::Server::wait_for(sub {
        $pg->psql($database, 'SELECT count(*) FROM pg_stat_activity WHERE'
            . " wait_event IN ('transactionid', 'tuple')") > 1;
    }), 'and the same of another one');

    $pg->psql($database, 'UPDATE lyftr.pause SET seconds = 4');
    close $in;
    waitpid $lock, 0;

    $kill->('PgSleep', 'which is committed, and not durable yet');

    $pg->psql($database, 'UPDATE lyftr.pause SET seconds = 0');

    my %acked;

    for (@pending) {
        my ($id, $client) = @$_;
        my $answer = eval { $client->response(30) } // {};
        $acked{$id}++ if ($answer->{status} // 0) == 200;
    }

    my $same = delete $acked{same} // 0;
    my $created = result('created', $server) - 1 - keys %acked;

    cmp_ok(keys(%acked) + $same, '>', 2, 'some are left');
    ok($created == 0 || $created == 1, 'each of them is created once')
        or diag("$created of $same, beside " . keys %acked);
    is($pg->psql($database, 'SELECT count(*) - count(DISTINCT id) FROM'
                 . ' lyftr.message'), "0\n", 'no row is there twice');
};


subtest 'a lock' => sub {
    my $database = $pg->database;
    my $server = server($pg->url($database), store => 'timeout=2s');

    is($server->post(message(message_id => 'a'))->{status}, 200, 'before');

    my $pid = IPC::Open2::open2(my $out, my $in, $pg->client($database));
    $in->autoflush(1);
    print $in "BEGIN; UPDATE lyftr.ticket SET n = n; SELECT 'locked';\n";
    like(scalar <$out>, qr/locked/, 'somebody has the ticket');

    my $answer = $server->post(message(message_id => 'b'));
    is($answer->{status}, 503, 'a delivery');
    cmp_ok($answer->{seconds}, '<', 4, 'waits as long as it may');

    close $in;
    waitpid $pid, 0;

    is($server->post(message(message_id => 'b'))->{status}, 200, 'afterwards');
    is(result('created', $server), 2, 'each is created');
    is($pg->ids($database), 2, 'once');
};


subtest 'a standby' => sub {
    my $primary = Lyftr::Postgres->new(settings => {
        synchronous_standby_names => "'*'", wal_keep_size => '64MB' });
    my $standby = $primary->standby;

    my $database = $primary->database;

    # and before them one that says nothing

    my $silent = tempdir(CLEANUP => 1);
    my $socket = IO::Socket::UNIX->new(Local => "$silent/.s.PGSQL.5432",
                                       Listen => 8) or die "socket: $!";

    my $url = "postgresql://lyftr\@/$database?host=$silent,$primary->{dir},"
              . "$standby->{dir}";
    my $server = server($url, store => 'durability=standby timeout=3s');

    is(deliveries([$server], 'a' .. 'e'), 5, 'with a standby');

    $standby->stop('fast');

    is($server->post(message(message_id => 'f'))->{status}, 503,
       'without it, nothing is confirmed');
    unready($server, qr/standby/, 'nor ready');

    # an administrator ends the wait: the commit is told as done

    my $waiting = $server->client;
    $waiting->send(Lyftr::Client::delivery(Lyftr::Client::numbered('g')));
    sleep 0.3;
    $primary->psql('postgres', 'SELECT pg_cancel_backend(pid)'
        . " FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
    is($waiting->response(10)->{status}, 503, 'a wait that is cancelled');

    $standby->start;
    ready($server, 'with it again');

    is(deliveries([$server], 'f' .. 'k'), 6, 'all is confirmed');

    # the primary is gone, and the standby takes its place

    $primary->kill;
    $standby->psql('postgres', 'SELECT pg_promote(true, 10)');
    $standby->psql('postgres', 'ALTER SYSTEM SET synchronous_standby_names'
                               . " = ''");
    $standby->psql('postgres', 'SELECT pg_reload_conf()');
    $server->stop;

    # hosts without ports, as most write them

    $url = 'postgresql://lyftr@' . join(',', map { s{/}{%2F}gr }
        $silent, $primary->{dir}, $standby->{dir}) . "/$database";

    $server = server($url);
    ready($server, 'promoted');

    is(deliveries([$server], 'l' .. 'n'), 3, 'it takes messages');

    my %row = map { $_->{id} => 1 }
        @{ $standby->rows($database, 'SELECT id FROM message') };
    is(grep({ !$row{$_} } 'a' .. 'n'), 0, 'and has what was confirmed');
    is_deeply([ $server->alarms ], [], 'no alarms');
};


done_testing();

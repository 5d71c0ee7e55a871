# fast: kill -9 of the worker that adopts a Python service's database, and of
# all, in the midst of it.

use strict;
use warnings;

use lib 't/lib';
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use JSON::PP;
use List::Util qw(max);
use Time::HiRes qw(sleep time);

use Lyftr qw(message signature);
use Lyftr::Fault;
use Lyftr::Server;
use Lyftr::Housekeeping;


my $rows = scale(300000, 60000);
my $kills = scale(4, 2);                       # of a worker, and then of all
my $columns = 'message_id, from_msisdn, to_msisdn, ts, text, created_at';

# with one row that is too large, one without an id in the second, and there
# every 50th id twice

my %shape = (
    keyed => 'message_id VARCHAR NOT NULL PRIMARY KEY',
    plain => 'message_id VARCHAR',
);

my %more = (
    keyed => '',
    plain => <<"END",
INSERT INTO messages SELECT message_id, '+7', '+8', ts, 'again', created_at
    FROM messages WHERE rowid % 50 = 0 ORDER BY rowid DESC;
INSERT INTO messages (message_id, from_msisdn, to_msisdn, ts, created_at)
    VALUES (NULL, '+7', '+8', '2025-01-15T10:00:00Z', '');
END
);

my %lost = (
    keyed => { repeated => 0, nameless => 0 },
    plain => { repeated => int(($rows + 1) / 50), nameless => 1 },
);


sub database {
    my ($shape) = @_;

    my $dir = tempdir(CLEANUP => 1);

    open my $sqlite, '|-', 'sqlite3', "$dir/app.db" or die "sqlite3: $!";
    print $sqlite <<"END";
CREATE TABLE messages ($shape{$shape}, from_msisdn VARCHAR NOT NULL,
    to_msisdn VARCHAR NOT NULL, ts VARCHAR NOT NULL, text VARCHAR,
    created_at VARCHAR NOT NULL);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT $rows)
INSERT INTO messages SELECT 'id-' || (i * 7919 % 1000003), '+91' || i % 5003,
    '+14155550100', CASE WHEN i % 101 THEN
    strftime('%Y-%m-%dT%H:%M:%SZ', 1600000000 + i * 7 % 9999991, 'unixepoch')
    ELSE 'of no form' || i END, CASE WHEN i % 7 THEN 'number ' || i END,
    '2025-01-15T10:00:00.' || i FROM n;
INSERT INTO messages VALUES ('large', '+7', '+8', '2025-01-15T10:00:00Z',
    CAST(zeroblob(17 << 20) AS TEXT), '');
$more{$shape}COMMIT;
END
    close $sqlite or die "sqlite3: $?";

    copy("$dir/app.db", "$dir/was.db") or die "copy: $!";

    return $dir;
}


# what the log of an adoption has to say when it ends

sub told {
    my ($shape) = @_;

    my ($repeated, $nameless) = @{ $lost{$shape} }{qw(repeated nameless)};
    my $passed = $rows + 1 + $repeated + $nameless;

    return "adopted $rows of $passed rows: $repeated have an id that came "
           . "before, $nameless have none, and 1 are larger than 16 MiB";
}


# a row of the copy that is not in the store as it stood, or the other way

sub differences {
    my ($server, $shape) = @_;

    my $first = $shape eq 'plain'
        ? 'AND rowid IN (SELECT min(rowid) FROM was.messages
                         GROUP BY message_id)'
        : '';
    my $kept = "SELECT $columns FROM was.messages WHERE message_id NOT NULL
                AND length(CAST(text AS BLOB)) IS NOT 17 << 20 $first";
    my $have = "SELECT $columns FROM main.messages";

    return $server->sql("ATTACH '$server->{dir}/was.db' AS was;
        SELECT (SELECT count(*) FROM ($kept EXCEPT $have))
               + (SELECT count(*) FROM ($have EXCEPT $kept))
               + abs((SELECT count(*) FROM ($kept))
                     - (SELECT count(*) FROM ($have))) AS n,
               (SELECT count(*) FROM messages_adopted)
               - (SELECT count(*) FROM was.messages) AS old")->[0];
}


# is the file still the Python service's?

sub another {
    my ($server, $n) = @_;

    my $found = $server->sql("SELECT application_id AS app,
        (SELECT type FROM sqlite_master WHERE name = 'messages') AS type,
        (SELECT count(*) FROM messages) AS n FROM pragma_application_id")->[0];

    return $found->{app} == 0 && $found->{type} eq 'table'
           && $found->{n} == $n;
}


# the most memory that a process has had, in MB

sub memory {
    my ($pid) = @_;

    open my $file, '<', "/proc/$pid/status" or return 0;
    local $/;

    return (<$file> // '') =~ /^VmHWM:\s+(\d+) kB/m ? $1 / 1024 : 0;
}


# one probe of each kind and a delivery, and what is wrong with them

sub ask {
    my ($server, $seen) = @_;

    my $start = time;
    my $live = $server->get('/health/live');
    push @{ $seen->{live} }, time - $start;

    $start = time;
    my $ready = $server->get('/health/ready');
    push @{ $seen->{ready} }, time - $start;

    my $body = decode_json($ready->{body});
    my ($share) = ($body->{detail} // '') =~ /^the store adopts .*: (\d+)%/;

    if ($ready->{status} == 503) {
        my $delivery = $server->post(message(message_id => 'id-7919'));

        # it may have ended since the probe

        $seen->{unrefused}++
            if ($delivery->{status} != 503
                || $delivery->{head} !~ /^Retry-After: \d/m)
               && $server->get('/health/ready')->{status} == 503;
    }

    $seen->{dishonest}++
        if $live->{status} != 200
           || ($ready->{status} == 503 && $body->{detail}
               !~ /^the store (?:adopts a database|is being set up)/)
           || $ready->{status} !~ /^(?:200|503)$/;

    if (defined $share) {
        $seen->{fell}++ if $share < ($seen->{share} // 0);
        $seen->{shares}{$share} = 1;
        $seen->{share} = $share;
    }

    $seen->{memory} = max($seen->{memory} // 0,
                          map { memory($_) } $server->workers);

    return $ready->{status} == 200;
}


# An adoption that is killed so many times, whenever it has got some way, every
# second time with all processes; then what became of it.

sub adoption {
    my ($shape, %server) = @_;

    my $dir = database($shape);
    my $server = Lyftr::Server->new(dir => $dir, %server);
    my ($n) = map { $_->{n} }
                  @{ $server->sql('SELECT count(*) AS n FROM messages') };
    my %seen = (killed => 0, log => '', unrefused => 0, dishonest => 0,
                fell => 0, early => 0);
    my $next = 0;
    my $end = time + 600;

    until (ask($server, \%seen) || time > $end) {
        if ($seen{killed} < $kills && ($seen{share} // 0) > $next) {
            my $owner = Lyftr::Housekeeping::owner($server) or next;

            $seen{early}++ if !another($server, $n);
            $next = max($seen{share}, 90 * ++$seen{killed} / ($kills + 1));

            if ($seen{killed} % 2) {
                kill 'KILL', $owner;

            } else {
                kill 'KILL', $server->{pid}, $server->workers;
                $server->wait_exit(5);
                $seen{log} .= $server->log;
                $server = Lyftr::Server->new(dir => $dir, %server);
            }
        }

        sleep 0.01;
    }

    $seen{seconds} = time - $end + 600;
    $seen{log} .= $server->log;
    $seen{told} = () = $seen{log} =~ /: adopted \d/g;
    $seen{rightly} = () = $seen{log} =~ /\Q@{[told($shape)]}/g;
    $seen{alarms} = () = $seen{log} =~ /\[(?:alert|emerg|crit)\]
                                       (?!.*\ exited\ on\ signal\ 9)/gx;

    Lyftr::Housekeeping::settled($server, 30);
    $seen{known} = $server->post(message(message_id => 'id-7919'))->{status};
    $seen{created} = $server->created;
    $seen{differ} = differences($server, $shape);
    $seen{wrong} = scalar Lyftr::Housekeeping::faults($server);
    $server->stop;

    note(sprintf '%s: %d kills, %d probes in %.1f s, shares %s', $shape,
         $seen{killed}, scalar @{ $seen{live} }, $seen{seconds},
         join ' ', sort { $a <=> $b } keys %{ $seen{shares} });

    return \%seen;
}


# a worker that has stored a row, and how long probes take beside it

my %idle;

sub idle {
    my $server = Lyftr::Server->new;

    $server->post(message());
    ask($server, \%idle) for 1 .. 100;
    $server->stop;
}


idle();

for my $shape (qw(keyed plain)) {
    my $seen = adoption($shape);
    my $differ = $seen->{differ};

    figure("$shape: $seen->{killed} kills, rows that differ",
           "$differ->{n} of $rows", '0', $differ->{n} == 0
           && $seen->{killed} == $kills);
    figure("$shape: rows of the old table that are gone", $differ->{old}, '0',
           $differ->{old} == 0);
    figure("$shape: not the old service's on the way", $seen->{early}, '0',
           $seen->{early} == 0);
    figure("$shape: wrong segments and counts", $seen->{wrong}, '0',
           $seen->{wrong} == 0);
    figure("$shape: lines about the end, right ones",
           "$seen->{told}, $seen->{rightly}", '1, 1',
           $seen->{told} == 1 && $seen->{rightly} == 1);
    figure("$shape: an old id is", "$seen->{known}, $seen->{created} created",
           '200, 0 created', $seen->{known} == 200 && $seen->{created} == 0);
    figure("$shape: deliveries not 503 + Retry-After", $seen->{unrefused}, '0',
           $seen->{unrefused} == 0);
    figure("$shape: probes that are not honest", $seen->{dishonest}, '0',
           $seen->{dishonest} == 0);
    figure("$shape: percentages, those that fell",
           keys(%{ $seen->{shares} }) . ", $seen->{fell}", 'at least 2, 0',
           keys(%{ $seen->{shares} }) >= 2 && $seen->{fell} == 0);

    for my $probe (qw(live ready)) {
        my $most = max(0.05, 5 * percentile(95, @{ $idle{$probe} }));
        my $took = percentile(95, @{ $seen->{$probe} });

        figure("$shape: $probe, 95 of 100", sprintf('%.1f ms', 1000 * $took),
               sprintf('at most %.0f ms', 1000 * $most), $took <= $most);
    }

    my $more = $seen->{memory} - $idle{memory};

    figure("$shape: memory of a worker", sprintf('%.0f MB more', $more),
           'at most 64 MB more', $more <= 64);
    figure("$shape: alarms in the log", $seen->{alarms}, '0',
           $seen->{alarms} == 0);
}

my $seen = adoption('keyed', module => planted('adopts_anew'));

control('each worker begins anew, percentages fall', $seen->{fell}, '0',
        $seen->{fell} > 0);
control('each worker begins anew, right lines', $seen->{rightly}, '1',
        $seen->{rightly} == 0);

exit if fast();

$seen = adoption('keyed', module => planted('adopts_too_few'));

control('a row is passed over, rows that differ', $seen->{differ}{n}, '0',
        $seen->{differ}{n} > 0);

# Readers that do not end: one of ours, which is cut at its deadline, searches
# that follow each other, and one of another program, which keeps the WAL from
# being emptied under load.

use strict;
use warnings;

use lib 't/lib';
use IPC::Open2 qw(open2);
use List::Util qw(max min);
use Time::HiRes qw(sleep time);

use Lyftr qw(message);
use Lyftr::Client;
use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Server;


my $mb = 1 << 20;
my $limit = 32 * $mb;
my $held = 60;


# does any process have a snapshot?  SQLite's bytes of readers, in /proc/locks

sub snapshots {
    my ($server) = @_;
    my $inode = (stat "$server->{db}-shm")[1];

    open my $locks, '<', '/proc/locks' or die "locks: $!";

    return scalar grep {
        /:$inode (\d+) \d+$/ && $1 >= 123 && $1 <= 127
    } <$locks>;
}


# a search that takes longer than half a second: its answer, when that came,
# and when its snapshot was gone

sub search {
    my ($dir, @planted) = @_;

    my $server = Lyftr::Server->new(
        dir => $dir, workers => 1, store => 'timeout=500ms',
        @planted ? (module => planted(@planted)) : ());
    my $client = $server->client;
    my $start = time;

    $client->send("GET /messages?q=nowhere HTTP/1.1\r\nHost: a\r\n\r\n");

    my $r = $client->response;
    my $answered = time - $start;

    # it has one for each step

    Lyftr::Server::wait_for {
        for (1 .. 20) {
            return 0 if snapshots($server);
            sleep 0.01;
        }
        return 1;
    };

    return ($r, $answered, time - $start);
}


# of a delivery: its status, with Retry-After if it has that

sub post {
    my ($server) = @_;
    our $n;

    my $r = $server->post(message(message_id => 'probe' . $n++));
    my $retry = Lyftr::Client::header($r, 'Retry-After');

    return $r->{status} . ($retry && $retry =~ /^\d+$/ ? ' Retry-After' : '');
}


sub wal { return -s "$_[0]{db}-wal" // 0 }


# Two clients search one time after another, for so many seconds, under load,
# one of them the texts of a sender: the load's report, how often they searched,
# and the largest WAL.  A planted one has more time, to fill the WAL by.

sub searches {
    my ($dir, $seconds, @planted) = @_;

    my $server = Lyftr::Server->new(
        dir => $dir, store => "max_wal=$limit timeout=60s",
        @planted ? (module => planted(@planted)) : ());
    my $load = Lyftr::Load->start($server->{port}, r => 6000, c => 32,
                                  d => 3600);
    my $end = time + (@planted ? 6 : 1) * $seconds;
    my ($wal, $n) = (0, 0);
    my @clients = map { $server->client } 1, 2;

    while (time < $end) {
        $clients[$_]->send(sprintf "GET /messages?q=nowhere%s HTTP/1.1\r\n"
                           . "Host: a\r\n\r\n", $_ ? '&from=%2B3' : '')
            for 0, 1;

        $n += grep { $_->response->{status} == 200 } @clients;
        $wal = max($wal, wal($server));
        $end = min($end, time + 5) if @planted && $wal >= $limit;
    }

    my $report = $load->stop;
    my $found = Lyftr::Load::compare($server->{db}, $load);

    $server->stop;

    return { n => $n, wal => $wal, acked => $found->{acked},
             refused => $report->{statuses}{503} // 0 };
}


# Another program reads for so many seconds, under load.  What came back from
# the first refusal on, until the reader ends: posts and reads, by their
# statuses; the largest WAL; and the seconds until it is emptied, and a delivery
# stored, after that.

sub outsider {
    my ($seconds, $max_wal) = @_;

    my $server = Lyftr::Server->new(store => "max_wal=$max_wal");
    my %seen = (post => {}, read => {}, wal => 0);

    post($server);

    my $load = Lyftr::Load->start($server->{port}, r => 6000, c => 32,
                                  d => 3600);
    my $pid = open2(my $out, my $in, 'sqlite3', '-readonly', '-batch',
                    $server->{db});

    $in->autoflush(1);
    print $in "BEGIN;\nSELECT count(*) FROM messages;\n";
    <$out>;

    my $end = time + $seconds;
    my $refused;

    while (time < $end) {
        my $post = post($server);
        my $read = $server->get('/messages?limit=10')->{status};

        $seen{wal} = max($seen{wal}, wal($server));
        $refused //= time if $post !~ /^200/;

        if ($refused) {
            $seen{post}{$post}++;
            $seen{read}{$read}++;
        }

        sleep 0.1;
    }

    close $in;
    waitpid $pid, 0;

    my $start = time;

    Lyftr::Server::wait_for { wal($server) < $limit / 4 };
    $seen{emptied} = time - $start;

    Lyftr::Server::wait_for { post($server) eq '200' };
    $seen{stored} = time - $start;

    $load->stop;
    $server->stop;

    $seen{found} = Lyftr::Load::compare($server->{db}, $load);

    return \%seen;
}


sub counts {
    my ($counts) = @_;

    return join ', ', map { "$counts->{$_} x $_" } sort keys %$counts;
}


# 50,000 long texts that no part of is ASCII, a quarter of them from one sender,
# adopted by a server with patience

my $server = Lyftr::Server->new(store => 'timeout=60s', fill => <<'END');
CREATE TABLE messages (message_id TEXT PRIMARY KEY, from_msisdn TEXT NOT NULL,
    to_msisdn TEXT NOT NULL, ts TEXT NOT NULL, text TEXT,
    created_at TEXT NOT NULL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50000)
INSERT INTO messages SELECT 'p' || i, iif(i % 4, '+1', '+3'), '+2',
    '2025-01-15T10:00:00Z', replace(hex(zeroblob(1000)), '0', 'É'),
    '2025-01-15T10:00:00Z' FROM n;
END

my ($start, $r);

# a machine that stood still is no fault

for (1 .. 3) {
    $start = time;
    $r = $server->get('/messages?q=nowhere');
    last if $r->{status} == 200;
}

$r->{status} == 200 or die "the search is answered $r->{status}\n";
note(sprintf 'without a deadline the search takes %.1f s', time - $start);
$server->stop;

($r, my $answered, my $gone) = search($server->{dir});

figure('a search with a deadline of 0.5 s',
       sprintf('%d after %.2f s', $r->{status}, $answered),
       '503 within 1.5 s', $r->{status} == 503 && $answered < 1.5);
figure('its snapshot is gone', sprintf('after %.2f s', $gone),
       'within 1.5 s', $gone < 1.5);

($r, $answered, $gone) = search($server->{dir}, 'endless_reads');

control('a reader that is not interrupted', sprintf('after %.2f s', $gone),
        'within 1.5 s', $gone >= 1.5);

my $found = searches($server->{dir}, $held / 3);

figure("$found->{n} searches, deliveries refused meanwhile",
       "$found->{refused} of " . ($found->{refused} + $found->{acked}),
       'less than 0.1 %', $found->{refused} < $found->{acked} / 1000
                          && $found->{acked} > 1000 && $found->{n} >= 6);

$found = searches($server->{dir}, $held / 3, 'long_scan');

control('a transaction for a search, refused',
        "$found->{refused} of " . ($found->{refused} + $found->{acked}),
        'less than 0.1 %', $found->{refused} >= $found->{acked} / 1000);

undef $server;

# the program

my $seen = outsider($held, '32m');

figure("$held s of another reader: largest WAL",
       sprintf('%.1f MB', $seen->{wal} / $mb), 'about 32 MB, at most 64',
       $seen->{wal} >= $limit && $seen->{wal} <= 2 * $limit);
figure('deliveries from the first refusal on', counts($seen->{post}),
       'all 503 with Retry-After',
       join(' ', keys %{ $seen->{post} }) eq '503 Retry-After');
figure('reads meanwhile', counts($seen->{read}), 'all 200',
       join(' ', keys %{ $seen->{read} }) eq '200');
figure('the WAL is emptied after its end',
       sprintf('%.1f s', $seen->{emptied}), 'within 5 s',
       $seen->{emptied} < 5);
figure('and deliveries are 200 again', sprintf('%.1f s', $seen->{stored}),
       'within 6 s', $seen->{stored} < 6);
figure('lost', "$seen->{found}{lost} of $seen->{found}{acked}", '0',
       $seen->{found}{lost} == 0 && $seen->{found}{acked} > 1000);

$seen = outsider($held / 2, '1024g');

control('a limit that is never reached',
        sprintf('%.1f MB', $seen->{wal} / $mb), 'at most 64 MB',
        $seen->{wal} > 2 * $limit);

# fast: those who follow a stream: what comes to them while workers are killed,
# replaced and upgraded, what one that stalls costs, what is left of those who
# left.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use List::Util qw(max sum);
use POSIX ();
use Time::HiRes qw(sleep time);

use Lyftr::Client;
use Lyftr::Daemon;
use Lyftr::Fault;
use Lyftr::Follower;
use Lyftr::Load;
use Lyftr::Memory;
use Lyftr::Server;


my $kb = 1 << 10;
my $mb = 1 << 20;
my $stream = 'location = /messages/stream { lyftr_stream main; }';


# A process that follows from the oldest row on, and comes back with the place
# of the last one.  Once a file tells which row is the last, and that came, it
# writes down what it has.

sub follow {
    my ($server, $dir, $n, %options) = @_;

    my $pid = fork // die "fork: $!";
    return $pid if $pid;

    my (@ids, $last, $until);

    my $follower = Lyftr::Follower->new($server, id => '0',
        path => '/messages/stream?fields=message_id',
        each => sub {
            push @ids, $1 if $_[0]{data} =~ /\A\{"message_id":"(.*)"/;
        },
        %options);

    $follower->until(3600, sub {
        $last //= slurp("$dir/last") or return 0;
        $until //= time + 30;

        return ($ids[-1] // '') eq $last || time > $until;
    });

    open my $out, '>', "$dir/ids$n" or POSIX::_exit(1);
    print $out "$_\n" for @ids;
    close $out;

    POSIX::_exit(0);
}


sub slurp {
    my ($path) = @_;

    open my $in, '<', $path or return undef;
    local $/;

    return scalar <$in>;
}


# each second something happens to the processes of the server

sub disturb {
    my ($server, $i) = @_;

    if ($i % 3 == 0) {
        my @workers = $server->workers;
        kill 'KILL', $workers[rand @workers];

    } elsif ($i % 3 == 1) {
        $server->signal('HUP');

    } else {
        $server->upgrade or die "no other master came\n";
    }
}


# what ten followers have of all rows: how many are missing, came twice, or in
# another order

sub followed {
    my ($seconds, $followers, %server) = @_;

    my $server = Lyftr::Daemon->new(server => $stream, %server);
    my $dir = tempdir(CLEANUP => 1);
    my @pids = map { follow($server, $dir, $_, %$followers) } 1 .. 10;
    my $load = Lyftr::Load->start($server->{port}, r => 500, c => 8, d => 3600,
                                  t => 20);
    my $end = time + $seconds;
    my $i = 0;

    while (time < $end) {
        my $next = time + 1;
        disturb($server, $i++);
        sleep max(0, $next - time);
    }

    my $report = $load->stop;
    my @rows = map { $_->{message_id} }
               @{ $server->sql('SELECT message_id FROM lyftr_message'
                               . ' ORDER BY seq') };

    open my $last, '>', "$dir/last.new" or die "last: $!";
    print $last $rows[-1];
    close $last;
    rename "$dir/last.new", "$dir/last";
    waitpid $_, 0 for @pids;

    my %found = (lost => 0, twice => 0, order => 0);

    for my $n (1 .. 10) {
        my @ids = split /\n/, slurp("$dir/ids$n") // '';
        my %seen;
        my @once = grep { !$seen{$_}++ } @ids;

        $found{twice} += @ids - @once;
        $found{lost} += grep { !$seen{$_} } @rows;
        $found{order} += "@once" ne join ' ', grep { $seen{$_} } @rows;
    }

    Lyftr::Server::wait_for { $server->metric('lyftr_streams') == 0 };

    my $left = $server->metric('lyftr_streams');
    my $rows = Lyftr::Load::compare($server->{db}, $load);

    $server->stop;

    return { %found, rows => $rows, times => $i, left => $left,
             alarms => scalar(grep { !/exited on signal 9/ } $server->alarms) };
}


sub told {
    my ($run) = @_;

    return join(', ', @$run{qw(lost twice order)}) . " of $run->{rows}{acked}";
}


# The memory of a worker, and the longest WAL, while so many followers take
# nothing; the part of the deliveries that was refused.

sub stalled {
    my ($n, $seconds, %server) = @_;

    my $server = Lyftr::Server->new(workers => 1, store => 'max_wal=16m',
        connections => 2048, server => "send_timeout 300s; $stream", %server);

    Lyftr::Load->start($server->{port}, n => 20_000, c => 32, acks => 0)->wait;

    my @clients = map { $server->client(receive => 4096) } 1 .. $n;

    $_->send("GET /messages/stream?after=0 HTTP/1.1\r\nHost: a\r\n\r\n")
        for @clients;

    my $load = Lyftr::Load->start($server->{port}, r => 1000, c => 16,
                                  d => 3600, acks => 0);
    my $end = time + $seconds;
    my $wal = 0;

    while (time < $end) {
        sleep 0.2;
        $wal = max($wal, -s "$server->{db}-wal");
    }

    my $memory = Lyftr::Memory::bytes($server->workers);
    my $report = $load->stop;

    $server->stop;

    my $refused = $report->{statuses}{503} // 0;

    return ($memory, $wal, $refused / ($refused + $report->{acknowledged}));
}


# so many that come and leave, in each way there is

my @ways = (
    ['', 'close'], ['', 'head', 'close'], ['', 'head', 'reset'],
    ['', 'head', 'finish', 'close'], ['after=0', 'head', 'reset'],
    ['after=0', 'reset'], ['after=none', 'head', 'close'],
);


sub drop {
    my ($server, $from, $to) = @_;

    for my $i ($from .. $to) {
        my ($args, @steps) = @{ $ways[$i % @ways] };
        my $client = $server->client;

        $client->send("GET /messages/stream?from=$i&$args HTTP/1.1\r\n"
                      . "Host: a\r\n\r\n");

        for (@steps) {
            $_ eq 'head' ? $client->fill(time + 10) : $client->$_;
        }
    }

    return Lyftr::Server::wait_for {
        $server->metric('lyftr_streams') == 0
    } 5;
}


# the streams that are still counted after them, the bytes of the workers' memory
# that each has left, and by how many sockets they have more; other descriptors
# are of the store, which opens another connection when it needs one

sub dropped {
    my ($n, %server) = @_;

    my $server = Lyftr::Server->new(connections => 16384, server => $stream,
                                    %server);

    Lyftr::Load->start($server->{port}, n => 2000, c => 16, acks => 0)->wait;

    my $first = scale(6000, 1000);

    drop($server, 1, $first);
    my @before = held($server);

    drop($server, $first + 1, $first + $n);
    my @after = held($server);

    my $streams = $server->metric('lyftr_streams');

    $server->stop;

    return ($streams, ($after[0] - $before[0]) / $n, $after[1] - $before[1]);
}


sub held {
    my ($server) = @_;

    my @pids = $server->workers;

    return Lyftr::Memory::bytes(@pids),
           scalar grep { (readlink $_ // '') =~ /^socket:/ }
                       map { glob "/proc/$_/fd/*" } @pids;
}


my $seconds = scale(60, 9);
my $run = followed($seconds, {});

figure("$run->{times} kills, reloads and upgrades: lost, twice, not in order",
       told($run), '0, 0, 0',
       $run->{lost} + $run->{twice} + $run->{order} == 0
       && $run->{rows}{lost} == 0 && $run->{rows}{acked} > 100 * $seconds
       && $run->{times} > $seconds / 2);
figure('streams that are counted when all have left', $run->{left}, '0',
       $run->{left} == 0);
figure('alarms in the log', $run->{alarms}, '0', $run->{alarms} == 0);

$run = followed(3, { forgets => 1 });
control('followers forget their place', told($run), '0, 0, 0',
        $run->{twice} > 0);

if (!fast()) {
    $run = followed(9, {}, module => planted('stream_skips'));
    control('reads begin a row too late', told($run), '0, 0, 0',
            $run->{lost} > 0);

    $run = followed(9, {}, module => planted('stream_repeats'));
    control('a stream takes what it has', told($run), '0, 0, 0',
            $run->{twice} > 0);
}

my $n = 200;
$seconds = scale(60, 3);

my ($memory) = stalled(0, $seconds);
my ($more, $wal, $refused) = stalled($n, $seconds);
my $each = ($more - $memory) / $n / $kb;

figure("$n stall for $seconds s, memory of each", sprintf('%.1f KB', $each),
       'at most 80 KB', $each <= 80);
figure('and the WAL meanwhile', sprintf('%.1f MB', $wal / $mb),
       'at most 16 MB', $wal <= 16 * $mb);
figure('and deliveries that are refused', sprintf('%.2f %%', 100 * $refused),
       'at most 1 %', $refused <= 0.01);

if (!fast()) {
    ($more) = stalled(20, 3, module => planted('stream_unbounded'));
    $each = ($more - $memory) / 20 / $kb;
    control('what a client does not take is kept', sprintf('%.1f KB', $each),
            'at most 80 KB', $each > 80);

    (undef, $wal, $refused) =
        stalled(20, 20, module => planted('stream_snapshot'));
    control('a stream keeps its snapshot',
            sprintf('%.1f MB, %.0f %% refused', $wal / $mb, 100 * $refused),
            'at most 16 MB, 1 %', $wal > 16 * $mb || $refused > 0.01);
}

$n = scale(10_000, 1_000);

my @left = dropped($n);

figure("$n connect and leave: streams", $left[0], '0', $left[0] == 0);
figure('and sockets', sprintf('%+d', $left[2]), '+0', $left[2] == 0);

exit 0 if fast();

figure('and memory of each', sprintf('%.0f bytes', $left[1]), 'at most 300',
       $left[1] <= 300);

@left = dropped(3_000, module => planted('stream_left_behind'));

control('streams are counted for ever', $left[0], '0', $left[0] > 0);
control('what they ask for is kept', sprintf('%.0f bytes', $left[1]),
        'at most 300', $left[1] > 300);
control('a socket is kept', sprintf('%+d', $left[2]), '+0', $left[2] > 0);

# fast: deliveries with many messages and statuses, while all processes are
# killed, and while the store of the statuses cannot take its part: in each store
# one is there as a whole or not at all, and as a whole in both if it was
# acknowledged.  Then as many as Meta may send for one number.

use strict;
use warnings;

use lib 't/lib';
use Digest::SHA qw(hmac_sha256_hex);
use File::Temp qw(tempdir);
use JSON::PP;
use Time::HiRes qw(sleep time);

use Lyftr::Client;
use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Server;
use Lyftr::Slow;


my $rounds = scale(30, 4);
my $senders = 8;
my %size = (messages => 20, statuses => 10);


# a delivery whose items tell which one it is

sub body {
    my ($id) = @_;

    return '{"object":"whatsapp_business_account","entry":[{"changes":[{'
           . '"field":"messages","value":{"messages":['
           . join(',', map { qq({"id":"$id.$_","from":"919876543210",)
                             . '"timestamp":"1764410400","type":"text",'
                             . qq("text":{"body":"$id"}}) }
                           1 .. $size{messages})
           . '],"statuses":['
           . join(',', map { qq({"id":"$id.$_","status":"read",)
                             . '"timestamp":"1764410400"}' }
                           1 .. $size{statuses})
           . ']}}]}]}';
}


# sends until it is ended, and writes down what was acknowledged

sub sender {
    my ($port, $acks, $n) = @_;

    my $pid = fork // die "fork: $!";
    return $pid if $pid;

    $SIG{TERM} = sub { POSIX::_exit(0) };
    open my $out, '>>', $acks or POSIX::_exit(1);

    my $client;

    for (my $i = 0; ; $i++) {
        my $id = "d$n.$i";
        my $body = body($id);

        $client //= eval { Lyftr::Client->new($port) };

        if (!$client) {
            sleep 0.01;
            next;
        }

        my $sent = $client->send(join "\r\n", 'POST /whatsapp HTTP/1.1',
            'Host: a', 'X-Hub-Signature-256: sha256='
                       . hmac_sha256_hex($body, 'testsecret'),
            'Content-Length: ' . length $body, '', $body);
        my $status = $sent ? $client->response->{status} : 0;

        syswrite $out, "$id\n" if $status == 200;
        undef $client if $status != 200;
    }
}


sub senders {
    my ($server) = @_;

    return map { sender($server->{port}, "$server->{dir}/acks", $_) }
           1 .. $senders;
}


# of a store, how many rows each delivery has

sub found {
    my ($db) = @_;

    my $sql = "SELECT substr(message_id, 1, instr(substr(message_id,"
              . " instr(message_id, '.') + 1), '.') + instr(message_id, '.')"
              . " - 1) AS id, count(*) AS n FROM messages GROUP BY 1";
    my $json = `sqlite3 -json -cmd '.timeout 20000' '$db' "$sql"`;

    return { map { $_->{id} => $_->{n} } @{ decode_json($json || '[]') } };
}


# two stores in a folder, of which the second may be on another disk

sub stores {
    my ($dir, $disk, %server) = @_;

    return (%server, dir => $dir, workers => 2,
            http => "lyftr_store receipts sqlite:///$disk/receipts.db;",
            server => 'location = /whatsapp { lyftr_webhook main'
                      . ' format=whatsapp statuses=receipts; }'
                      . 'location = /statuses/ready { lyftr_ready receipts; }');
}


# what became of the deliveries, with a server that is stopped

sub whole {
    my ($server, $disk) = @_;

    open my $in, '<', "$server->{dir}/acks" or die "acks: $!";
    chomp(my @acked = <$in>);

    my %db = (messages => $server->{db}, statuses => "$disk/receipts.db");
    my ($parts, $lost) = (0, 0);

    for my $store (sort keys %db) {
        my $found = found($db{$store});

        $parts += grep { $_ != $size{$store} } values %$found;
        $lost += grep { ($found->{$_} // 0) != $size{$store} } @acked;

        die "$store: " . Lyftr::Load::integrity($db{$store})
            if Lyftr::Load::integrity($db{$store}) ne 'ok';
    }

    return { acked => scalar @acked, parts => $parts, lost => $lost };
}


sub storm {
    my ($rounds, %server) = @_;

    my $dir = tempdir(CLEANUP => 1);

    %server = stores($dir, $dir, %server);

    my $server = Lyftr::Server->new(%server);
    my %again = (%server, port => $server->{port}, db => $server->{db});
    my @senders = senders($server);
    my $killed = 0;

    for my $round (1 .. $rounds) {
        sleep 0.3 + rand 0.3;

        my @workers = $server->workers;
        my $n = kill 'KILL', $server->{pid}, @workers;
        my $status = $server->wait_exit // 0;

        $killed++ if $status == 9 && $n == 3;

        Lyftr::Server::wait_for { $server->connections('0A') == 0 };
        $server = Lyftr::Server->new(%again);
    }

    sleep 0.3;
    kill 'TERM', @senders;
    waitpid $_, 0 for @senders;
    $server->stop;

    return { %{ whole($server, $dir) }, killed => $killed };
}


# what a second store may suffer: begins it, and returns what ends it

my %trouble = (
    locked => sub {
        my $lock = Lyftr::Server::Lock->new("$_[0]/receipts.db");

        return sub { $lock->release };
    },

    gone => sub {
        my ($disk) = @_;

        rename "$disk/receipts.db", "$disk/away" or die "receipts.db: $!";

        return sub {
            rename "$disk/away", "$disk/receipts.db" or die "receipts.db: $!";
        };
    },

    # it fills its disk by itself

    full => sub {
        my ($disk) = @_;

        return sub {
            system("mount -o remount,size=256m $disk") == 0
                or die "mount: $?\n";
        };
    },
);

my %reason = (locked => qr/locked/, gone => qr/moved or deleted/,
              full => qr/full/);


# 0 if there is no answer, and the statuses are to be tried again

sub deliver {
    my ($server, $id) = @_;

    my $body = body($id);
    my $answer = $server->exchange(join "\r\n", 'POST /whatsapp HTTP/1.1',
        'Host: a', 'Connection: close', 'X-Hub-Signature-256: sha256='
                   . hmac_sha256_hex($body, 'testsecret'),
        'Content-Length: ' . length $body, '', $body);

    return ($answer->{status} // 0) == 503
           && $answer->{head} !~ /^Retry-After: \d/m ? 0 : $answer->{status};
}


sub troubled {
    my ($how, %server) = @_;

    my $dir = tempdir(CLEANUP => 1);
    my $disk = $dir;

    if ($how eq 'full') {
        $disk = tempdir(CLEANUP => 1);
        system("mount -t tmpfs -o size=6m tmpfs $disk") == 0
            or skip('nothing can be mounted here');
    }

    my $server = Lyftr::Server->new(stores($dir, $disk, %server));

    Lyftr::Server::wait_for { deliver($server, 'd0.first') == 200 };

    my @senders = senders($server);
    my $mend = $trouble{$how}->($disk);
    my $told = Lyftr::Server::wait_for {
        my $health = $server->get('/statuses/ready');

        $health->{status} == 503 && $health->{body} =~ $reason{$how};
    };
    my $main = $server->get('/health/ready')->{status};
    my $refused = deliver($server, 'd0.refused');

    $mend->();

    my $start = time;
    my $again = Lyftr::Server::wait_for {
        deliver($server, 'd0.again') == 200
            && $server->get('/statuses/ready')->{status} == 200;
    };

    $again &&= time - $start;

    sleep 0.3;
    kill 'TERM', @senders;
    waitpid $_, 0 for @senders;
    $server->stop;

    my $got = { %{ whole($server, $disk) }, told => $told ? 1 : 0,
                main => $main, refused => $refused, again => $again };

    if ($how eq 'full') {
        system("umount $disk") == 0 or die "umount: $?\n";
    }

    return $got;
}


# deliveries of one message, in an open loop, beside readers

sub steady {
    my ($seconds, %server) = @_;

    my $server = Lyftr::Server->new(
        stores(tempdir(CLEANUP => 1), tempdir(CLEANUP => 1), %server));
    my $readers = Lyftr::Load->start($server->{port}, m => 'get', acks => 0,
                                     u => '/messages?order=desc', c => 16,
                                     r => 200, d => $seconds + 1);
    my $load = Lyftr::Load->start($server->{port}, u => '/whatsapp', w => 1,
                                  acks => 0, c => 64, r => 3300,
                                  d => $seconds);
    my $report = $load->wait;
    my $read = $readers->wait;
    my $rows = $server->created;

    $server->stop;

    return { %$report, read => $read->{acknowledged}, rows => $rows };
}


my $got = storm($rounds);

figure("$got->{killed} kills, acknowledged and not whole",
       "$got->{lost} of $got->{acked}", '0',
       $got->{lost} == 0 && $got->{killed} == $rounds
       && $got->{acked} > 20 * $rounds);
figure('deliveries of which a store has a part', $got->{parts}, '0',
       $got->{parts} == 0);

for my $how (qw(locked gone full)) {
    my $run = troubled($how);

    figure("statuses $how: 503, and health says so",
           "$run->{refused}, " . ($run->{told} ? 'yes' : 'no'), '503, yes',
           $run->{refused} == 503 && $run->{told});
    figure("statuses $how: messages are ready", $run->{main}, '200',
           $run->{main} == 200);
    figure("statuses $how: 200 again after",
           $run->{again} ? sprintf('%.2f s', $run->{again}) : 'never',
           'at most 10 s', $run->{again} && $run->{again} <= 10);
    figure("statuses $how: acknowledged and not whole",
           "$run->{lost} of $run->{acked}", '0',
           $run->{lost} == 0 && $run->{acked} > 0);
    figure("statuses $how: parts", $run->{parts}, '0', $run->{parts} == 0);
}

exit if fast();

my $busy = steady(60);
my $sent = 3300 * 60;

figure('3,300 a second for 60 s, answered 200',
       "$busy->{acknowledged} of $sent",
       'all', $busy->{acknowledged} >= 0.999 * $sent && $busy->{errors} == 0
              && !%{ $busy->{statuses} });
figure('beside ' . $busy->{read} . ' lists, p99',
       sprintf('%.1f ms', $busy->{latency_ms}{p99}), 'at most 10 ms',
       $busy->{latency_ms}{p99} <= 10 && $busy->{read} > 10_000);
figure('stored', $busy->{rows}, 'as many',
       $busy->{rows} == $busy->{acknowledged});

my $slow = Lyftr::Slow->new(20);
my $late = $slow ? steady(5, preload => $slow) : undef;

control('a disk that takes 20 ms longer, p99',
        sprintf('%.1f ms', $late->{latency_ms}{p99}), 'at most 10 ms',
        $late->{latency_ms}{p99} > 10) if $late;

my $passed = troubled('locked', module => planted('half_delivery'));

control('a locked store is passed over',
        "$passed->{refused}, $passed->{lost} lost", '503, 0 lost',
        $passed->{refused} == 200 && $passed->{lost} > 0);

my $half = storm(scale(10, 2), module => planted('half_delivery'));

control('acknowledged when one store has it',
        "$half->{lost} lost of $half->{acked}", '0 lost',
        $half->{lost} > 0);

my $split = storm(scale(20, 4), module => planted('split_delivery'));

control('a delivery in two transactions', "$split->{parts} parts", '0',
        $split->{parts} > 0);

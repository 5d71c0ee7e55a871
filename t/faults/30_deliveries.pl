# fast: kill -9 of all processes under deliveries with many messages and
# statuses: in each store one is there as a whole or not at all, and as a whole
# in both if it was acknowledged.

use strict;
use warnings;

use lib 't/lib';
use Digest::SHA qw(hmac_sha256_hex);
use File::Temp qw(tempdir);
use JSON::PP;
use Time::HiRes qw(sleep);

use Lyftr::Client;
use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Server;


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


# of a store, how many rows each delivery has

sub found {
    my ($db) = @_;

    my $sql = "SELECT substr(message_id, 1, instr(substr(message_id,"
              . " instr(message_id, '.') + 1), '.') + instr(message_id, '.')"
              . " - 1) AS id, count(*) AS n FROM messages GROUP BY 1";
    my $json = `sqlite3 -json -cmd '.timeout 20000' '$db' "$sql"`;

    return { map { $_->{id} => $_->{n} } @{ decode_json($json || '[]') } };
}


sub storm {
    my ($rounds, %server) = @_;

    my $dir = tempdir(CLEANUP => 1);

    %server = (%server, dir => $dir, workers => 2,
               http => "lyftr_store receipts sqlite:///$dir/receipts.db;",
               server => 'location = /whatsapp { lyftr_webhook main'
                         . ' format=whatsapp statuses=receipts; }');

    my $server = Lyftr::Server->new(%server);
    my %again = (%server, port => $server->{port}, db => $server->{db});
    my @senders = map { sender($server->{port}, "$dir/acks", $_) }
                  1 .. $senders;
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

    open my $in, '<', "$dir/acks" or die "acks: $!";
    chomp(my @acked = <$in>);

    my %db = (messages => $server->{db}, statuses => "$dir/receipts.db");
    my (%parts, %lost);

    for my $store (sort keys %db) {
        my $found = found($db{$store});

        $parts{$store} = grep { $_ != $size{$store} } values %$found;
        $lost{$store} = grep { ($found->{$_} // 0) != $size{$store} } @acked;

        die "$store: " . Lyftr::Load::integrity($db{$store})
            if Lyftr::Load::integrity($db{$store}) ne 'ok';
    }

    return { killed => $killed, acked => scalar @acked,
             parts => $parts{messages} + $parts{statuses},
             lost => $lost{messages} + $lost{statuses} };
}


my $got = storm($rounds);

figure("$got->{killed} kills, acknowledged and not whole",
       "$got->{lost} of $got->{acked}", '0',
       $got->{lost} == 0 && $got->{killed} == $rounds
       && $got->{acked} > 20 * $rounds);
figure('deliveries of which a store has a part', $got->{parts}, '0',
       $got->{parts} == 0);

exit if fast();

my $half = storm(scale(10, 2), module => planted('half_delivery'));

control('acknowledged when one store has it',
        "$half->{lost} lost of $half->{acked}", '0 lost',
        $half->{lost} > 0);

my $split = storm(scale(20, 4), module => planted('split_delivery'));

control('a delivery in two transactions', "$split->{parts} parts", '0',
        $split->{parts} > 0);

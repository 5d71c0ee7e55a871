# A store that fails for every batch, and one that is locked, fill no log: a
# line a second tells of all workers, and how many there were.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Time::HiRes qw(time);

use Lyftr;
use Lyftr::Server;


# at most so many lines in that time

sub few {
    my ($name, $server, $pattern, $took) = @_;

    my $n = $server->logged($pattern);

    cmp_ok($n, '>=', 1, "$name: the log has it");
    cmp_ok($n, '<=', $took + 1, "$name: $n lines in $took s");
}


my $server = Lyftr::Server->new(workers => 2);

$server->post(message());
unlink $server->{db};

my $start = time;
my $refused = 0;

while (time < $start + 3.2) {
    $refused++ if $server->post(message(message_id => $refused))->{status}
                  == 503;
}

few('a store that is gone', $server, qr/operations failed/, time - $start);

my $told = 0;
$told += $_ for $server->log =~ /, (\d+) more such lines left out$/mg;

cmp_ok($refused, '>', 20, "$refused deliveries were refused");
cmp_ok($told, '>', 0, 'the lines that were left out are counted');
cmp_ok($told + $server->logged(qr/operations failed/), '<=',
       $refused + $server->metric('lyftr_store_failures_total{store="main"}'),
       'and not more than there were');
$server->stop;

# a lock that a stranger has, for some deadlines

$server = Lyftr::Server->new(workers => 2, store => 'timeout=300ms');
$server->post(message());

my $lock = $server->lock;

$start = time;

while (time < $start + 3.2) {
    my @clients = map { $server->client } 1 .. 4;

    $_->send(Lyftr::Client::delivery(Lyftr::Client::numbered("l$_")))
        for @clients;
    $_->response for @clients;
}

few('a lock', $server, qr/locked/, time - $start);
$lock->release;
$server->stop;

# a queue that is too short, in both workers

$server = Lyftr::Server->new(workers => 2, store => 'queue=1 timeout=2s');
$server->post(message());
$lock = $server->lock;
$start = time;

my @clients = map { $server->client } 1 .. 40;

while (time < $start + 2.2) {
    my $client = shift @clients;

    $client->send(Lyftr::Client::delivery(Lyftr::Client::numbered('q')));
    push @clients, $server->client;
    Time::HiRes::sleep 0.01;
}

few('a queue', $server, qr/queue overflow/, time - $start);
$lock->release;

done_testing();

# Damage: the check finds it, and the store is unready until it is mended.

use strict;
use warnings;

use lib 't/lib';
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep time);

use Lyftr;
use Lyftr::Server;
use Lyftr::Housekeeping;


my $server = Lyftr::Server->new(store => 'check=1s');

is($server->post(message(message_id => "m$_", from => '+' . ($_ % 12 + 1),
                         ts => sprintf '2025-01-15T10:%02d:00Z', $_ % 60))
   ->{status}, 200, "m$_") for 1 .. 36;

Lyftr::Housekeeping::settled($server, 10);


sub ready {
    my ($status) = @_;
    my $r;

    Lyftr::Server::wait_for {
        $r = $server->get('/health/ready');
        $r->{status} == $status;
    } 60;

    return $r;
}


# what no request has met yet

for (['a row of the log', 'DELETE FROM lyftr_message WHERE seq = 7',
      'the counts of senders are damaged'],
     ['a sender', "UPDATE lyftr_message SET from_msisdn = '+9' WHERE seq = 7",
      'the counts of senders are damaged'],
     ['a time', "UPDATE lyftr_message SET ts = '2024-01-15T10:00:00Z'
      WHERE seq = 7", 'row 7 is damaged'],
     ['a count', 'UPDATE lyftr_count SET count = count + 1 WHERE count = 4
      AND from_msisdn NOT IN (SELECT from_msisdn FROM lyftr_top)
      OR from_msisdn = (SELECT max(from_msisdn) FROM lyftr_count)',
      'damaged'])
{
    my ($name, $sql, $text) = @$_;
    my @tables = qw(lyftr_message lyftr_count lyftr_top);

    is(ready(200)->{status}, 200, "$name: ready before");

    $server->sql(join '', map { "DROP TABLE IF EXISTS kept_$_;
        CREATE TABLE kept_$_ AS SELECT * FROM $_;" } @tables);
    $server->sql($sql);

    my $r = ready(503);

    is($r->{status}, 503, "$name: not ready");
    is(decode_json($r->{body})->{detail}, 'the store is damaged',
       "$name: and why");
    ok($server->logged("$text, check failed"), "$name: in the log")
        or diag($server->log);

    # it stays so, though requests touch nothing broken

    my $end = time + 3;
    my @seen;

    while (time < $end) {
        is($server->post(message(message_id => 'm1'))->{status}, 200,
           "$name: a delivery") if @seen < 3;
        push @seen, $server->get('/health/ready')->{status};
        sleep 0.05;
    }

    is(scalar(grep { $_ == 503 } @seen), @seen, "$name: and stays so");

    # mended, it is found to be

    $server->sql('BEGIN IMMEDIATE;' . join('', map { "DELETE FROM $_;
        INSERT INTO $_ SELECT * FROM kept_$_;" } @tables) . 'COMMIT');
}

is(ready(200)->{status}, 200, 'ready once it is mended');


# what was found is known after a restart, too

$server->sql('UPDATE lyftr_state SET senders = senders + 1');
is(ready(503)->{status}, 503, 'damaged once more');
$server->stop;

$server = Lyftr::Server->new(dir => $server->{dir}, store => 'check=off');

is($server->post(message(message_id => 'm1'))->{status}, 200, 'started');
is(ready(503)->{status}, 503, 'not ready, with check=off');
$server->stop;

# what is not of the log is mended by a request, beside deliveries

$server = Lyftr::Server->new(dir => $server->{dir}, store => 'check=1s');

is($server->post(message(message_id => 'm1'))->{status}, 200, 'started again');
is(ready(503)->{status}, 503, 'and damaged as before');

$server->sql('UPDATE lyftr_count SET count = count + 1;
              DELETE FROM lyftr_top');

open my $file, '>', "$server->{db}-rebuild" or die "$server->{db}-rebuild: $!";
close $file;

my ($n, $refused) = (0, 0);

Lyftr::Server::wait_for {
    $refused++ if $server->post(message(message_id => 'new' . $n++))
                         ->{status} != 200;
    !-e "$server->{db}-rebuild";
} 30;

ok(!-e "$server->{db}-rebuild", 'the request is gone when it is done');
is($refused, 0, "no delivery of $n was refused");
is(ready(200)->{status}, 200, 'ready once all is made anew');

Lyftr::Housekeeping::settled($server, 10);
is_deeply([ Lyftr::Housekeeping::faults($server) ], [], 'and all is right');
$server->stop;

is_deeply([ $server->alarms ], [], 'no alarms');

done_testing;

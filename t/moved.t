# Files that are deleted, moved or replaced under a running server.  SQLite
# commits into a deleted file and says OK; here nothing is acknowledged until
# the file is back, and no acknowledged message is missing then.

use strict;
use warnings;

use lib 't/lib';
use JSON::PP;
use Test::More;

use Lyftr;
use Lyftr::Client;
use Lyftr::Scenario;
use Lyftr::Server;


my $n = 0;
my %acknowledged;


# deliveries to both workers; the statuses

sub deliveries {
    my ($server) = @_;

    my %statuses;

    for (1 .. 6) {
        my $id = 'm' . ++$n;
        my $status = $server->post(message(message_id => $id))->{status};

        $statuses{$status}++;
        $acknowledged{$id} = 1 if $status == 200;

        $server->get('/messages');
        $server->get('/health/ready');
    }

    return join ',', sort keys %statuses;
}


sub missing {
    my ($server) = @_;

    my %stored = map { $_->{message_id} => 1 } @{ $server->rows };

    return join ',', grep { !$stored{$_} } sort keys %acknowledged;
}


for my $suffix ('', '-wal', '-shm', '-lock') {
    %acknowledged = ();

    my $server = Lyftr::Server->new;
    my $name = "app.db$suffix";
    my $file = "$server->{db}$suffix";

    is(deliveries($server), '200', "$name: well");

    rename $file, "$file.away" or die "$file: $!";

    is(deliveries($server), '503', "$name: moved away, nothing is acknowledged");

    my $r = $server->get('/health/ready');

    is($r->{status}, 503, "$name: not ready");
    like(decode_json($r->{body})->{detail}, qr/moved or deleted/,
         "$name: the reason");

    ok(!-e $file, "$name: is not made anew") if $suffix eq '';

    rename "$file.away", $file or die "$file: $!";

    Lyftr::Server::wait_for {
        $server->get('/health/ready')->{status} == 200;
    } 10;

    is(deliveries($server), '200', "$name: back");
    is(missing($server), '', "$name: no acknowledged message is missing");
    like($server->log, qr/app\.db$suffix" (?:is gone|was replaced)/,
         "$name: in the log");
    unlike($server->log, qr/\[(?:alert|emerg)\]/, "$name: no alarms");

    $server->stop;
}


# before a reload: neither its workers nor the old ones begin anew

for my $deleted ([''], ['', '-wal', '-shm', '-lock']) {
    is_deeply([ Lyftr::Scenario::deleted(Lyftr::Server->new, @$deleted) ], [],
              @$deleted . ' files are deleted, then a reload');
}


# a restart knows nothing of it: that is a new store

{
    my $server = Lyftr::Server->new;
    my $dir = $server->{dir};

    deliveries($server);
    $server->stop;
    unlink map { "$server->{db}$_" } '', '-wal', '-shm', '-lock';

    $server = Lyftr::Server->new(dir => $dir);
    is(deliveries($server), '200', 'deleted, then a restart: a new store');
    $server->stop;
}


done_testing();

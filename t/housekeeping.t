# The housekeeping: what it tells of its jobs and of the store though nobody
# asks, and that a worker which hangs while it does it keeps nobody from it.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Time::HiRes qw(sleep time);

use Lyftr;
use Lyftr::Client;
use Lyftr::Server;
use Lyftr::Housekeeping;


my @jobs = qw(checkpoint flush count sweep merge search);
my $ready = 'lyftr_store_ready{store="main"}';


sub wait_for(&;$) { goto &Lyftr::Server::wait_for }

sub status_of {
    my ($server, $id) = @_;

    return $server->post(message(message_id => $id))->{status};
}


# waits until the metric, which no request to the store refreshes, has a value

sub becomes {
    my ($server, $value, $name) = @_;

    my $seen;

    wait_for { ($seen = $server->metric($ready)) == $value } 30;
    is($seen, $value, $name);
}


# all jobs are there from the first scrape on

my $server = Lyftr::Server->new(workers => 2);
my $samples = $server->samples;

for my $job (@jobs) {
    my $labels = qq({store="main",task="$job"});

    is($samples->{"lyftr_store_job_failing$labels"}, 0, "$job: does not fail");
    is($samples->{"lyftr_store_job_failures_total$labels"}, 0,
       "$job: has not failed");
}

is($server->metric($ready), 1, 'nothing is known against the store');


# the folder moves, and comes back

is(status_of($server, 'a'), 200, 'a delivery');

my ($folder) = $server->{db} =~ m{(.+)/};

becomes($server, 1, 'the store is ready');
rename $folder, "$folder.away" or die "$folder: $!\n";
becomes($server, 0, 'the folder has moved: it is not');
is($server->get('/health/ready')->{status}, 503, 'as the probe says');
rename "$folder.away", $folder or die "$folder: $!\n";
becomes($server, 1, 'it is back');
is($server->get('/health/ready')->{status}, 200, 'as the probe says');


# somebody has a lock until a delivery is refused, and then nobody comes

my $lock = $server->lock;

is(status_of($server, 'b'), 503, 'locked: the delivery is refused');
becomes($server, 0, 'the store is not ready');
$lock->release;
becomes($server, 1, 'it is ready again, though nobody comes');


# The worker that does the housekeeping hangs, not in its turn as a writer: then
# all would wait for it.  Another one takes its place.

sub turn {
    my ($pid) = @_;

    open my $locks, '<', '/proc/locks' or die "/proc/locks: $!\n";

    return grep { /\bFLOCK\b.*\b$pid\b/ } <$locks>;
}


sub uncounted {
    my $state = Lyftr::Housekeeping::state($server);

    return $state->{last} - $state->{counted};
}


my $owner;

wait_for { $owner = Lyftr::Housekeeping::owner($server) } 10;

do {
    kill CONT => $owner;
    sleep 0.02;
    kill STOP => $owner;
} while (turn($owner));

# its connections are not answered, those of the other are

my $posted = 0;

for (1 .. 60) {
    my $client = $server->client;

    $client->send(Lyftr::Client::delivery(Lyftr::Client::numbered("c$_")));
    $posted++ if $client->response->{status} == 200;
}

is($posted, 60, 'one that hangs: the other one stores');
wait_for { uncounted() == 0 } 30;
is(uncounted(), 0, 'and counts, in its place');

kill CONT => $owner;

wait_for {
    my $pid = Lyftr::Housekeeping::owner($server);
    $pid && $pid != $owner;
} 10;
isnt(Lyftr::Housekeeping::owner($server), $owner,
     'it leaves that to the other');

is(status_of($server, 'd'), 200, 'a delivery');
is(Lyftr::Housekeeping::settled($server, 30), 0, 'it is counted');
is_deeply([ Lyftr::Housekeeping::segments($server),
            Lyftr::Housekeeping::counts($server) ],
          [], 'and nothing is wrong');
is($server->sql('PRAGMA integrity_check')->[0]{integrity_check}, 'ok',
   'nor with the database');

is_deeply([ $server->alarms ], [], 'no alarm in the log');

$server->stop;

done_testing();

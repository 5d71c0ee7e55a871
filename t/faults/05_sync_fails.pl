# fdatasync() fails with EIO, for one batch and for 5 s under load.

use strict;
use warnings;

use lib 't/lib';
use Time::HiRes qw(sleep time);

use Lyftr qw(message);
use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Scenario;
use Lyftr::Server;
use Lyftr::Trace;
use Lyftr::Watch;


need('strace');

my $batch = 50;


sub fail {
    my ($server) = @_;

    return Lyftr::Trace->new($server, calls => 'fdatasync,fsync',
                             inject => 'error=EIO')
           // skip('strace cannot attach to the workers');
}


sub failures {
    my ($server) = @_;

    return $server->metric('lyftr_store_failures_total{store="main"}');
}


# One batch whose sync fails: a lock makes the deliveries wait for one another,
# and when they are answered the fault is over.  They are delivered again then.

sub once {
    my (%server) = @_;

    my $server = Lyftr::Server->new(workers => 1, store => 'delay=60s',
                                    %server);
    my @ids = map { "once$_" } 1 .. $batch;
    my @faults = Lyftr::Scenario::warm($server);

    my $lock = $server->lock;
    my @clients = map { $server->client } @ids;

    Lyftr::Scenario::post($clients[$_], $ids[$_]) for 0 .. $#ids;
    $server->drained or push @faults, 'the deliveries were not read';

    my $trace = fail($server);

    $lock->release;

    my @statuses = map { $_->response->{status} } @clients;
    my $injected = $trace->injected;

    $trace->stop;

    my $end = time;
    my $failures = failures($server);

    Lyftr::Scenario::post($clients[$_], $ids[$_]) for 0 .. $#ids;
    push @faults, grep { $_ != 200 } map { $_->response->{status} } @clients;

    my $again = time - $end;

    push @faults, Lyftr::Scenario::compare($server, 'warm', @ids);

    $server->stop;
    note($_) for @faults;

    return { refused => scalar(grep { $_ == 503 } @statuses),
             failures => $failures, again => $again, faults => scalar @faults,
             injected => $injected };
}


# all syncs fail for 5 s

sub sticky {
    my (%server) = @_;

    my $server = Lyftr::Server->new(%server);
    my $watch = Lyftr::Watch->start($server, '/webhook' => 8, pause => 0.02,
                                    '/health/ready' => 1);

    Lyftr::Server::wait_for { ($server->created // 0) > 200 };

    my $trace = fail($server);
    my $from = time;

    sleep 5;

    my $to = time;
    my $injected = $trace->injected;

    $trace->stop;

    my $end = time;

    sleep 3;
    $watch->stop;

    my $failures = failures($server);
    my $created = $server->created;

    $server->stop;

    my @posts = grep { $_->{end} < $to } $watch->answers('/webhook', $from);

    return { posts => scalar @posts,
             unrefused => scalar(Lyftr::Watch::unrefused(@posts)),
             slowest => Lyftr::Watch::slowest(@posts),
             again => $watch->again($end), injected => $injected,
             failures => $failures, created => $created,
             found => Lyftr::Load::compare($server->{db}, $watch->acks),
             integrity => Lyftr::Load::integrity($server->{db}) };
}


my $once = once();

figure("EIO once, 503 to a batch of $batch", $once->{refused}, $batch,
       $once->{refused} == $batch);
figure('lyftr_store_failures_total',
       "$once->{failures} of $once->{injected} EIO", 'above 0',
       $once->{failures} > 0);
figure('delivered again, 200 to all after', sprintf('%.2f s', $once->{again}),
       'at most 1 s', $once->{again} <= 1);
figure('then missing, changed, twice', $once->{faults}, '0',
       $once->{faults} == 0);

my $seen = sticky();
my $found = $seen->{found};

figure('EIO for 5 s, 503 + Retry-After',
       $seen->{posts} - $seen->{unrefused} . " of $seen->{posts}", 'all',
       $seen->{unrefused} == 0 && $seen->{posts} >= 16);
figure('lyftr_store_failures_total',
       "$seen->{failures} of $seen->{injected} EIO", 'above 1',
       $seen->{failures} > 1);
figure('200 again after', sprintf('%.2f s', $seen->{again}), 'at most 1 s',
       $seen->{again} <= 1);
figure('lost', "$found->{lost} of $found->{acked}", '0',
       $found->{lost} == 0 && $found->{acked} > 200);
figure('stored twice, stored otherwise', "$found->{twice}, $found->{changed}",
       '0, 0', $found->{twice} == 0 && $found->{changed} == 0);
figure('counted as created', "$seen->{created} of $found->{rows} rows", 'all',
       $seen->{created} == $found->{rows});
figure('integrity', $seen->{integrity}, 'ok', $seen->{integrity} eq 'ok');

my $deaf = once(module => planted('commit_ignored'));

control('the commit is ignored, 503', $deaf->{refused}, $batch,
        $deaf->{refused} < $batch);
control('and its failure counted', $deaf->{failures}, 'above 0',
        $deaf->{failures} == 0);

my $slow = sticky(module => planted('slow_recovery'));

control('a failure is slept over, 200 again',
        sprintf('%.2f s', $slow->{again}), 'at most 1 s', $slow->{again} > 1);

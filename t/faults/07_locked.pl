# fast: another process holds the write lock.

use strict;
use warnings;

use lib 't/lib';
use Time::HiRes qw(sleep time);

use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Server;
use Lyftr::Watch;


my @health = ('/health/live', '/health/ready');


# a lock of so many seconds under load; what was seen

sub locked {
    my ($seconds, %server) = @_;

    my $server = Lyftr::Server->new(%server);
    my $watch = Lyftr::Watch->start($server, '/webhook' => 8,
                                    map { $_ => 2 } @health);

    Lyftr::Server::wait_for { ($server->created // 0) > 50 };

    my $lock = $server->lock;
    my $from = time;

    sleep $seconds;

    my $to = time;

    $lock->release;

    my $released = time;

    sleep 1.5;
    $watch->stop;
    $server->stop;

    my @posts = grep { $_->{end} < $to } $watch->answers('/webhook', $from);
    my @waited = grep { $_->{end} >= $to }
                      $watch->answers('/webhook', $from, $to);

    return {
        posts     => scalar @posts,
        unrefused => scalar Lyftr::Watch::unrefused(@posts),
        slowest   => Lyftr::Watch::slowest(@posts, @waited),
        again     => $watch->again($released),
        found     => Lyftr::Load::compare($server->{db}, $watch->acks),
        map {
            $_ => percentile(99, map { 1000 * ($_->{end} - $_->{start}) }
                                     $watch->answers($_, $from, $to))
        } @health,
    };
}


my $seconds = scale(30, 2.5);
my $seen = locked($seconds, store => scale('', 'timeout=1s'));

figure("a lock of $seconds s, 503 + Retry-After",
       $seen->{posts} - $seen->{unrefused} . " of $seen->{posts}", 'all',
       $seen->{posts} >= 4 && $seen->{unrefused} == 0);
figure('slowest answer', sprintf('%.2f s', $seen->{slowest}), 'at most 5 s',
       $seen->{slowest} <= 5);
figure("$_ p99", sprintf('%.1f ms', $seen->{$_}), 'below 50 ms',
       $seen->{$_} < 50) for @health;
figure('200 again after', sprintf('%.2f s', $seen->{again}), 'at most 1 s',
       $seen->{again} <= 1);
figure('lost', "$seen->{found}{lost} of $seen->{found}{acked}", '0',
       $seen->{found}{lost} == 0 && $seen->{found}{acked} > 100);
figure('stored twice', $seen->{found}{twice}, '0', $seen->{found}{twice} == 0);

my $slow = locked(scale(7, 1.2), store => scale('timeout=6s', 'timeout=1s'),
                  module => planted('ready_waits'));

control('readiness waits, p99',
        sprintf('%.1f ms', $slow->{'/health/ready'}), 'below 50 ms',
        $slow->{'/health/ready'} >= 50);

exit if fast();


my $asleep = locked(3, store => 'timeout=1s',
                    module => planted('slow_recovery'));

control('timeout=6s, slowest answer', sprintf('%.2f s', $slow->{slowest}),
        'at most 5 s', $slow->{slowest} > 5);
control('a failure is slept over, 200 again',
        sprintf('%.2f s', $asleep->{again}), 'at most 1 s',
        $asleep->{again} > 1);

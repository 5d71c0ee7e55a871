# The disk is full while there is load: tmpfs, ext4, and a quota's EDQUOT, which
# is injected, for not every kernel has quotas.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use Time::HiRes qw(sleep time);

use Lyftr qw(message);
use Lyftr::Disk;
use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Server;
use Lyftr::Trace;
use Lyftr::Watch;


need('strace');
Lyftr::Disk::private();

my $size = 24 << 20;
my @reads = ('/messages', '/stats');
my $seconds = 3;


# fills a disk, and makes room again; from when it was full, and until when

sub full {
    my ($server, $disk) = @_;

    my $from;

    # only after a while, for the log has room in itself

    for (my $end = time + 60; time < $end; sleep 0.02) {
        $disk->fill;

        my $start = time;
        my $body = message(message_id => "full $start");

        $from = $start if $server->post($body)->{status} != 200 && !$from;
        last if $from && time - $from > $seconds;
    }

    my $to = time;

    $disk->release;

    return ($from // $to, $to);
}


sub quota {
    my ($server) = @_;

    my $trace = Lyftr::Trace->new($server, calls => 'pwrite64',
                                  inject => 'error=EDQUOT',
                                  paths => [map { "$server->{db}$_" }
                                                '', '-wal', '-shm'])
                // skip('strace cannot attach to the workers');
    my $from = time;

    sleep $seconds;

    my $to = time;

    $trace->stop;

    return ($from, $to);
}


# what is seen on a disk of a kind

sub seen {
    my ($fault, $kind, %server) = @_;

    my $dir = tempdir(CLEANUP => 1);
    my $disk = $kind eq 'tmpfs' ? Lyftr::Disk->tmpfs($size)
                                : Lyftr::Disk->new("$dir/image", $kind, $size);
    my $server = Lyftr::Server->new(db => "$disk->{dir}/app.db", %server);
    my $watch = Lyftr::Watch->start($server, '/webhook' => 8,
                                    map { $_ => 1 } @reads);

    Lyftr::Server::wait_for { ($server->created // 0) > 500 };

    my $before = join ' ', $server->workers;
    my ($from, $to) = $fault->($server, $disk);
    my $end = time;

    sleep 6;
    $watch->stop;

    my $after = join ' ', $server->workers;

    $server->stop;

    my @posts = grep { $_->{end} < $to } $watch->answers('/webhook', $from);
    my @refused = grep { $_->{status} != 200 } $watch->answers('/webhook');
    my @read = map { $watch->answers($_) } @reads;

    note("$kind: " . grep({ $_->{status} == 200 } @posts)
         . ' of ' . @posts . ' x 200 while it was full');

    return {
        refused   => scalar @refused,
        unrefused => scalar Lyftr::Watch::unrefused(@refused),
        slowest   => Lyftr::Watch::slowest(@refused),
        read      => scalar @read,
        unread    => scalar(grep { $_->{status} != 200 } @read),
        again     => $watch->again($end),
        exits     => $server->logged('exited on signal') || $before ne $after,
        found     => Lyftr::Load::compare($server->{db}, $watch->acks),
        integrity => Lyftr::Load::integrity($server->{db}),
    };
}


sub judge {
    my ($name, $seen) = @_;

    my $found = $seen->{found};

    figure("$name, not 503 + Retry-After",
           "$seen->{unrefused} of $seen->{refused}", '0',
           $seen->{unrefused} == 0 && $seen->{refused} > 20);
    figure("$name, slowest of these", sprintf('%.2f s', $seen->{slowest}),
           'at most 1 s', $seen->{slowest} <= 1);
    figure("$name, reads that are not 200",
           "$seen->{unread} of $seen->{read}", '0',
           $seen->{unread} == 0 && $seen->{read} > 20);
    figure("$name, workers that exit", $seen->{exits} ? 'some' : 'none',
           'none', !$seen->{exits});
    figure("$name, 200 again after", sprintf('%.2f s', $seen->{again}),
           'at most 5 s', $seen->{again} <= 5);
    figure("$name, lost", "$found->{lost} of $found->{acked}", '0',
           $found->{lost} == 0 && $found->{acked} > 500);
    figure("$name, integrity", $seen->{integrity}, 'ok',
           $seen->{integrity} eq 'ok');
}


# seconds until deliveries are refused for two of them, or are not any more

sub until_refused {
    my ($server, $refused) = @_;

    my $start = time;
    my $from;

    while (time - $start < 90) {
        my $status = $server->post(message(message_id => 'small ' . time))
                            ->{status};

        return time - $start if !$refused && $status == 200;

        $from = $status == 200 ? undef : $from // time;
        return time - $start if $refused && $from && time - $from > 2;

        sleep 0.05;
    }

    return 9**9**9;
}


# a small disk that the store has for itself, and fills, and one that grows then

sub small {
    my (%server) = @_;

    my $disk = Lyftr::Disk->tmpfs(16 << 20);
    my $server = Lyftr::Server->new(db => "$disk->{dir}/app.db", %server);
    my $load = Lyftr::Load->start($server->{port}, c => 8, r => 2000,
                                  d => 600);
    my %seen;

    $seen{full} = until_refused($server, 1);
    $seen{db} = -s $server->{db};
    $seen{wal} = -s "$server->{db}-wal";

    $disk->resize(24 << 20);

    $seen{again} = until_refused($server, 0);
    $seen{refilled} = until_refused($server, 1);
    $seen{grown} = -s $server->{db};

    $load->stop;
    $server->stop;

    return { %seen, found => Lyftr::Load::compare($server->{db}, $load),
             integrity => Lyftr::Load::integrity($server->{db}) };
}


sub megabytes { return sprintf '%.1f MB', $_[0] / (1 << 20) }


judge('tmpfs', seen(\&full, 'tmpfs'));
judge('ext4', seen(\&full, 'ext4'));
judge('EDQUOT', seen(\&quota, 'ext4'));

my $small = small();
my $kept = $small->{found};

figure('16 MB alone, refused with a database of', megabytes($small->{db}),
       'at least 10 MB', $small->{db} >= 10 << 20 && $small->{full} < 90);
figure('and a WAL of', megabytes($small->{wal}), 'at most 4 MB',
       $small->{wal} <= 4 << 20);
figure('8 MB more, 200 again after', sprintf('%.2f s', $small->{again}),
       'at most 5 s', $small->{again} <= 5);
figure('refused again with a database of', megabytes($small->{grown}),
       'at least 18 MB', $small->{grown} >= 18 << 20);
figure('lost, stored otherwise, or twice',
       "$kept->{lost}, $kept->{changed}, $kept->{twice}", '0, 0, 0',
       $kept->{lost} + $kept->{changed} + $kept->{twice} == 0
       && $kept->{acked} > 10000);
figure('integrity', $small->{integrity}, 'ok', $small->{integrity} eq 'ok');

my $greedy = small(module => planted('wal_takes_all'));

control('the WAL takes all, a database of', megabytes($greedy->{db}),
        'at least 10 MB', $greedy->{db} < 10 << 20);
control('and with 8 MB more', megabytes($greedy->{grown}), 'at least 18 MB',
        $greedy->{grown} < 18 << 20);

my $mute = seen(\&full, 'tmpfs',
                module => planted('no_retry_after', 'slow_recovery'));

control('no Retry-After', "$mute->{unrefused} of $mute->{refused}", '0',
        $mute->{unrefused} > 0);
control('a failure is slept over, 200 again',
        sprintf('%.2f s', $mute->{again}), 'at most 5 s', $mute->{again} > 5);

my $deaf = seen(\&quota, 'tmpfs', module => planted('commit_ignored'));

control('the commit is ignored, lost',
        "$deaf->{found}{lost} of $deaf->{found}{acked}", '0',
        $deaf->{found}{lost} > 0);

my $dead = seen(\&full, 'tmpfs', module => planted('exit_on_failure'));

control('a failure ends the worker', $dead->{exits} ? 'some' : 'none', 'none',
        $dead->{exits});

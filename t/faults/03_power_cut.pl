# The power is cut: a copy of the store's disk at one instant, under load; also
# while the syncs of the workers fail.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use Time::HiRes qw(sleep);

use Lyftr::Disk;
use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Server;
use Lyftr::Trace;
use Lyftr::Watch;


Lyftr::Disk::private();
need(qw(mkfs.xfs mkfs.ext4 strace));

my @sums = qw(acked lost changed twice broken failed);


# Copies the disk of a new store so many times, with the length that the list
# of acknowledged messages had before the copy was begun.  The disk is a file
# on XFS, which copies it by reference, while no write to it is under way.  All
# take long enough for the log to be checkpointed, and to begin anew.

sub cut {
    my ($xfs, $cuts, %server) = @_;

    my $disk = Lyftr::Disk->new("$xfs->{dir}/disk", 'ext4', 512 << 20);
    my $server = Lyftr::Server->new(%server, db => "$disk->{dir}/app.db");
    my $load = Lyftr::Load->start($server->{port}, r => 6000, c => 64,
                                  d => 3600);

    # who was refused delivers again

    my $watch = $server{fails}
        && Lyftr::Watch->start($server, '/webhook' => 8);
    my @cuts;

    Lyftr::Server::wait_for { -s $load->{acks} }
        or die "nothing is acknowledged\n";

    for my $n (1 .. $cuts) {
        my $trace = $server{fails} && $n % 4 && fails($server);

        sleep rand 0.6;

        my $cut = { acked => -s $load->{acks}, disk => "$disk->{image}.$n",
                    failed => $trace ? $trace->injected : 0 };

        Lyftr::Disk::command('cp', '--reflink=always', $disk->{image},
                            $cut->{disk});
        push @cuts, $cut;
    }

    $watch->stop if $watch;
    $load->stop;
    $server->stop;
    $disk->umount;
    unlink $disk->{image};

    return ($load, @cuts);
}


# of both, since one commits for all

sub fails {
    my ($server) = @_;

    return Lyftr::Trace->new($server, calls => 'fdatasync',
                             inject => 'error=EIO')
           // skip('strace cannot attach to a worker');
}


# the whole lines of the first so many bytes of a file

sub first {
    my ($name, $bytes) = @_;

    my $text;

    open my $all, '<:raw', $name or die "$name: $!";
    read $all, $text, $bytes;

    my $file = File::Temp->new;
    print $file $text =~ s/[^\n]*\z//r;
    close $file;

    return $file;
}


# what is on the disks: how many acknowledged messages there were, how many of
# these are lost or changed, and how many disks hold no sound store

sub judge {
    my ($load, @cuts) = @_;

    my %sum = map { $_ => 0 } @sums;

    for my $cut (@cuts) {
        my $disk = Lyftr::Disk->new($cut->{disk});
        my $acks = first($load->{acks}, $cut->{acked});
        my $db = "$disk->{dir}/app.db";

        my $integrity = Lyftr::Load::integrity($db);
        my $found = eval { Lyftr::Load::compare($db, "$acks") };

        $sum{failed} += $cut->{failed};

        if ($found && $integrity eq 'ok') {
            $sum{$_} += $found->{$_} for qw(acked lost changed twice);

        } else {
            $sum{broken}++;
            $sum{why} //= $integrity eq 'ok' ? $@ : $integrity;
        }

        $disk->umount;
        unlink $cut->{disk};
    }

    return \%sum;
}


sub cuts {
    my ($stores, $cuts, %server) = @_;

    my $dir = tempdir(CLEANUP => 1);
    my $xfs = Lyftr::Disk->new("$dir/xfs", 'xfs', 8 << 30);
    my %sum;

    for (1 .. $stores) {
        my $sum = judge(cut($xfs, $cuts, %server));
        $sum{$_} += $sum->{$_} for @sums;
        $sum{why} //= $sum->{why};
    }

    $xfs->umount;

    return \%sum;
}


my ($stores, $cuts) = (4, 25);
my $sum = cuts($stores, $cuts);

figure($stores * $cuts . ' power cuts, lost', "$sum->{lost} of $sum->{acked}",
       '0', $sum->{lost} == 0 && $sum->{acked} > 1000 * $stores * $cuts);
figure('stored otherwise than sent', $sum->{changed}, '0',
       $sum->{changed} == 0);
figure('integrity, after each cut',
       $sum->{broken} ? "$sum->{broken} broken: $sum->{why}" : 'ok', 'ok',
       $sum->{broken} == 0);

$sum = cuts(1, 40, fails => 1);

figure("40 cuts, $sum->{failed} syncs fail",
       "$sum->{lost} lost of $sum->{acked}", '0 lost',
       $sum->{lost} == 0 && $sum->{acked} > 10000 && $sum->{failed} > 40);
figure('stored twice, stored otherwise, broken',
       join(', ', @$sum{qw(twice changed broken)}), '0, 0, 0',
       $sum->{twice} + $sum->{changed} + $sum->{broken} == 0);

$cuts = 10;

my $off = cuts(1, $cuts, module => planted('no_sync'));

control('synchronous=OFF', "$off->{broken} of $cuts broken, $off->{lost} lost",
        '0 broken, 0 lost', $off->{broken} || $off->{lost});

my $early = cuts(1, $cuts,
                 module => planted('early_answer', 'slow_batch'));

control('acknowledged before the commit',
        "$early->{lost} lost of $early->{acked}", '0 lost',
        $early->{lost} > 0);

my $deaf = cuts(1, 40, fails => 1, module => planted('commit_ignored'));

control('the failed syncs are ignored',
        "$deaf->{lost} lost of $deaf->{acked}", '0 lost', $deaf->{lost} > 0);

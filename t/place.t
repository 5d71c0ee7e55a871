# A database that is mounted by itself, as a container's single file, or that has
# a second name: nothing is acknowledged into a WAL that is lost or that another
# one does not see.  And what is in place of one of its files.

use strict;
use warnings;

use lib 't/lib';
use JSON::PP;
use Test::More;

use Lyftr;
use Lyftr::Client;
use Lyftr::Server;


# mounts are made in a namespace of the script's own, and end with it

my $mounts = delete $ENV{LYFTR_PLACE_MOUNTS};

if (!$mounts && $> == 0 && system('unshare --mount true 2>/dev/null') == 0) {
    $ENV{LYFTR_PLACE_MOUNTS} = 1;
    exec 'unshare', '--mount', $^X, $0 or die "unshare: $!";
}


# a server whose database was there before, and is closed

sub server {
    my $server = Lyftr::Server->new;

    is($server->post(message(message_id => 'before'))->{status}, 200, 'before');
    $server->stop;

    return $server;
}


# how it is refused, and that it works when the cause is gone

sub refused {
    my ($before, $detail, $line, $undo) = @_;

    my $files = join ' ', sort glob "$before->{db}*";
    my $server = Lyftr::Server->new(dir => $before->{dir});
    my @answers = map { $server->post(message(message_id => "m$_")) } 1 .. 4;
    my $ready = $server->get('/health/ready');

    is(join(',', map { $_->{status} } @answers), '503,503,503,503',
       "$detail: nothing is acknowledged");
    is(decode_json($answers[0]{body})->{detail}, $detail,
       "$detail: the reason");
    is($ready->{status}, 503, "$detail: not ready");
    is(decode_json($ready->{body})->{detail}, $detail, "$detail: why");
    like($server->log, $line, "$detail: in the log");
    is(join(' ', sort glob "$before->{db}*"), $files, "$detail: no new file");

    $undo->();

    ok((Lyftr::Server::wait_for {
            $server->get('/health/ready')->{status} == 200;
        }), "$detail: ready when it is mended");
    is($server->post(message(message_id => 'after'))->{status}, 200,
       "$detail: and stores");
    is(join(' ', map { $_->{message_id} } @{ $server->rows }), 'after before',
       "$detail: all that was acknowledged");
    is(join('', $server->alarms), '', "$detail: no alarms");

    $server->stop;
}


my $server = server();

link $server->{db}, "$server->{db}.link" or die "link: $!";

refused($server, 'the store is a file with hard links: leave it one name',
        qr/app\.db" is one of 2 hard links/,
        sub { unlink "$server->{db}.link" });

SKIP: {
    skip 'no mount namespace can be had', 1 unless $mounts;

    $server = server();

    system('mount', '--bind', $server->{db}, $server->{db}) == 0
        or die "mount failed\n";

    refused($server,
            'the store is a file mounted by itself: mount its folder',
            qr/app\.db" is mounted by itself/,
            sub { system 'umount', $server->{db} });
}

for my $suffix ('-wal', '-shm', '-lock') {
    $server = server();
    my $file = "$server->{db}$suffix";

    rename $file, "$file.away" or die "$file: $!";
    mkdir $file or die "$file: $!";

    refused($server, 'the store cannot be opened',
            qr/app\.db$suffix" is a folder/,
            sub { rmdir $file; rename "$file.away", $file });

    $server = server();
    $file = "$server->{db}$suffix";

    rename $file, "$file.away" or die "$file: $!";
    symlink 'app.db', $file or die "$file: $!";

    refused($server, 'the store cannot be opened',
            qr/app\.db$suffix" is a symbolic link/,
            sub { rename "$file.away", $file });
}


done_testing();

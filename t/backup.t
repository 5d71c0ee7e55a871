# A copy of a store: while it takes messages, to a disk that is slow, by a dump,
# and of app.db alone once nginx was stopped; each of them serves.

use strict;
use warnings;

use lib 't/lib';
use Fcntl qw(S_IMODE);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use Lyftr;
use Lyftr::Load;
use Lyftr::Preload;
use Lyftr::Server;


my $dir = tempdir(CLEANUP => 1);
my $rate = 4000;


# what it said, and its code

sub backup {
    my (@arguments) = @_;

    my $pid = open(my $out, '-|') // die "fork: $!";

    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        exec 'docker/backup', @arguments or exit 99;
    }

    local $/;
    my $said = <$out> // '';
    close $out;

    return ($said, $? >> 8);
}


sub read_file {
    my ($name) = @_;

    open my $in, '<:raw', $name or die "$name: $!";
    local $/;
    return scalar <$in>;
}


# all rows of a database, as text

sub dump_of {
    my ($db) = @_;

    return qx(sqlite3 '$db' 'SELECT * FROM lyftr_message ORDER BY seq' \\
              'SELECT * FROM messages LIMIT 3');
}


# a copy becomes the database of a server of its own, which answers as the other

sub serves {
    my ($name, $db, $stats) = @_;

    my $server = Lyftr::Server->new(db => $db);

    ok(Lyftr::Server::wait_for(sub {
           $server->get('/health/ready')->{status} == 200;
       }), "$name: ready") or diag($server->log);
    is($server->get('/stats')->{body}, $stats, "$name: the same counts");
    is($server->post(message(message_id => 'known'))->{body}, ok_body(),
       "$name: an id that is known");
    is($server->get('/stats')->{body}, $stats, "$name: is stored once");
    is($server->post(message(message_id => 'new'))->{status}, 200,
       "$name: takes messages");
    like($server->get('/messages?q=nobody%20else')->{body}, qr/"total":1,/,
         "$name: a search");
    is_deeply([ $server->alarms ], [], "$name: no alarms in the log");
    $server->stop;
}


# what it refuses

my ($said, $code) = backup();
is($code, 2, 'no arguments: fails');
like($said, qr/^usage: /, 'no arguments: how it is called');

($said, $code) = backup("$dir/none", "$dir/x");
is($code, 1, 'no store: fails');
like($said, qr/\Abackup: \S+none: unable to open[^\n]*\n\z/,
     'no store: one line');

qx(sqlite3 $dir/other 'CREATE TABLE messages (a)');
($said, $code) = backup("$dir/other", "$dir/x");
is($code, 1, 'another database: fails');
like($said, qr/: this is no store, [^\n]*\n\z/, 'another database: one line');


# of a store at rest, and of one with odd values

my $server = Lyftr::Server->new;

$server->post(message(message_id => 'known'));
$server->post(message(message_id => 'u', text => 'nobody else \u0141\n'));
$server->post(message(message_id => "n$_", text => undef)) for 1 .. 40;

my $stats = $server->get('/stats')->{body};

umask 0;
($said, $code) = backup('--verify', $server->{db}, "$dir/copy");
is($code, 0, 'a copy: fine') or diag($said);
is($said, "copied: 42 messages\nverified: 42 messages\n",
   'a copy: what is said');
is(S_IMODE((stat "$dir/copy")[2]), 0600, 'a copy: only for its owner');
is_deeply([ glob "$dir/copy?*" ], [], 'a copy: one file');
is(dump_of("$dir/copy"), dump_of($server->{db}), 'a copy: the same rows');

($said, $code) = backup($server->{db}, "$dir/copy");
is($code, 1, 'another copy over it: fails');
like($said, qr/: there is such a file\n\z/, 'another copy: one line');

serves('a copy', "$dir/copy", $stats);

# a terminal sees it

like(qx(script -qec 'docker/backup $server->{db} $dir/seen' /dev/null),
     qr/\r100% copied: 42 messages\s*\z/, 'on a terminal: how far it is');

# what was changed on the way is found

my $preload = Lyftr::Preload->build(<<'END');
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

ssize_t pread64(int fd, void *buf, size_t n, off64_t offset)
{
    ssize_t  rc = ((ssize_t (*)(int, void *, size_t, off64_t))
                   dlsym(RTLD_NEXT, "pread64"))(fd, buf, n, offset);
    char    *p, name[64], path[256] = "";

    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    (void) !readlink(name, path, sizeof(path) - 1);

    if (strstr(path, ".part") && rc > 0
        && (p = memmem(buf, rc, "nobody", 6)) != NULL)
    {
        *p = 'N';
    }

    return rc;
}
END

SKIP: {
    skip 'no shared object can be used', 2 unless $preload;

    local $ENV{LD_PRELOAD} = $preload->object;
    ($said, $code) = backup('--verify', $server->{db}, "$dir/changed");
    is($code, 1, 'a byte that is another: fails');
    like($said, qr/are not those that were read\n\z/,
         'a byte that is another: one line');
    is_deeply([ glob "$dir/changed*" ], [], 'and no copy is left');
}


# a dump, and what is there after a stop: app.db is all of it

qx(sqlite3 -readonly $server->{db} .dump | sqlite3 $dir/dumped);
serves('a dump', "$dir/dumped", $stats);

$server->stop;
copy($server->{db}, "$dir/alone") or die "copy: $!";
serves('app.db alone', "$dir/alone", $stats);

($said, $code) = backup('--verify', $server->{db}, "$dir/stopped");
is($code, 0, 'of a store that nobody has open') or diag($said);
is(dump_of("$dir/stopped"), dump_of($server->{db}), 'which is the same');


# Beside full ingest, to a disk of a megabyte a second: no delivery is refused,
# and the WAL does not grow.  Where one transaction reads it all, they are, as
# soon as the WAL is full: a disk that is still slower gives it the time.

my $slow = Lyftr::Preload->build(<<'END');
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t offset)
{
    char  name[64], path[256] = "";

    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    (void) !readlink(name, path, sizeof(path) - 1);

    if (strstr(path, "/slow")) {
        usleep(n * atoi(getenv("USEC_A_BYTE")));
    }

    return ((ssize_t (*)(int, const void *, size_t, off64_t))
            dlsym(RTLD_NEXT, "pwrite64"))(fd, buf, n, offset);
}
END

sub refused {
    my ($server) = @_;

    return $server->metric('http_requests_total{path="/webhook",status="503"}')
           // 0;
}


# until: ends the command, and what follows is not to be looked at

sub beside {
    my ($name, $usec, $until, @command) = @_;

    my $server = Lyftr::Server->new(store => 'max_wal=16m', daemon => 'off');
    my $load = Lyftr::Load->start($server->{port}, r => $rate, c => 64,
                                  d => 3600);

    Lyftr::Server::wait_for { ($server->created // 0) > 8000 } 60;

    # the last line may be half of one

    my ($before) = read_file($load->{acks}) =~ /\A(.*\n)/s;
    my $acks = File::Temp->new;
    print $acks $before;
    close $acks;

    my $start = time;
    my ($wal, $pid) = (0);

    $pid = fork // die "fork: $!";

    if ($pid == 0) {
        open STDOUT, '>', "$dir/said";
        open STDERR, '>&', \*STDOUT;
        $ENV{LD_PRELOAD} = $slow->object;
        $ENV{USEC_A_BYTE} = $usec;
        exec map { s/STORE/$server->{db}/r } @command or POSIX::_exit(1);
    }

    while (waitpid($pid, POSIX::WNOHANG()) == 0) {
        my $size = -s "$server->{db}-wal" // 0;

        $wal = $size if $size > $wal;
        kill 'KILL', $pid if $until && $until->($server);
        sleep 0.05;
    }

    my $ended = $? >> 8;
    my $report = $load->stop;
    my $refused = refused($server);

    note("$name: ", sprintf('%.1f', time - $start), " s, WAL of $wal bytes, ",
         "$refused refused, ", $before =~ tr/\n//, ' rows before');

    is_deeply([ $server->alarms ], [], "$name: no alarms in the log");
    $server->stop;

    return { ended => $ended, refused => $refused, acks => $acks,
             seconds => time - $start };
}

SKIP: {
    skip 'no shared object can be used', 6 unless $slow;

    my $r = beside('backup', 1, undef, 'docker/backup', 'STORE',
                   "$dir/slow.copy");

    is($r->{ended}, 0, 'beside ingest: fine') or diag(read_file("$dir/said"));
    is($r->{refused}, 0, 'beside ingest: no delivery is refused');
    cmp_ok($r->{seconds}, '>', 2, 'beside ingest: and the disk is slow');

    my $found = Lyftr::Load::compare("$dir/slow.copy", "$r->{acks}");
    is_deeply([ @$found{qw(lost changed twice)} ], [ 0, 0, 0 ],
              'beside ingest: what was acknowledged before is in it');
    is(Lyftr::Load::integrity("$dir/slow.copy"), 'ok',
       'beside ingest: it is sound');

    $r = beside('one transaction', 50, \&refused, 'sqlite3', '-readonly',
                'STORE', "VACUUM INTO '$dir/slow.vacuum'");
    cmp_ok($r->{refused}, '>', 0, 'the control: deliveries are refused');
}

done_testing();

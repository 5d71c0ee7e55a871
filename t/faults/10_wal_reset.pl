# SQLite's WAL-reset bug: our checkpoints under full load, on the same library
# that loses pages when two writers and passive checkpoints meet.

use strict;
use warnings;

use lib 't/lib';
use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use POSIX ();

use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Server;
use Lyftr::Version;


my $line = qr/\[warn\].*lyftr: SQLite \S+ has the WAL-reset bug/;
my $shm = '/dev/shm';

need('stat', 'df');
skip("$shm is no tmpfs") if `stat -f -c %T $shm` !~ /^tmpfs/;

my ($free) = `df --output=avail -BG $shm` =~ /(\d+)G/;
skip("$shm has less than 6 GB free") if $free < 6;

my $build = ($ENV{BUILD} // getcwd . '/build') . '/faults';

system "make -s -C t/faults BUILD='$build' walreset >&2" and
    die "the control was not built\n";

my ($number, $version) = split ' ', `'$build/walreset'`;
my $affected = Lyftr::Version::affected($number);

note("SQLite $version", $affected ? 'has the bug' : 'does not have the bug');


# processes that read the database, each time from a connection of their own

sub readers {
    my ($db, $n) = @_;
    my $parent = $$;

    return map {
        my $pid = fork // die "fork: $!";

        if ($pid == 0) {
            open STDERR, '>', '/dev/null';
            open STDOUT, '>', '/dev/null';

            while (getppid == $parent) {
                system 'sqlite3', '-readonly', '-cmd', '.timeout 1000', $db,
                       'SELECT count(*), max(ts) FROM messages';
                select undef, undef, undef, 0.05;
            }

            POSIX::_exit(0);
        }

        $pid;
    } 1 .. $n;
}


my $dir = tempdir(DIR => $shm, CLEANUP => 1);

my $server = Lyftr::Server->new(dir => $dir, workers => 4,
                                module => planted('checkpoints'));
my $load = Lyftr::Load->start($server->{port}, c => 64, d => 60);
my $reads = Lyftr::Load->start($server->{port}, c => 2, r => 20, d => 60,
                               m => 'get', u => '/messages?limit=100',
                               acks => 0);
my @readers = readers($server->{db}, 2);

my $report = $load->wait;
$reads->wait;

kill 'KILL', @readers;
waitpid $_, 0 for @readers;

my $commits = $server->metric('lyftr_store_commits_total{store="main"}');
my $named = $server->logged($line);

$server->stop;

my $integrity = Lyftr::Load::integrity($server->{db});
my $found = Lyftr::Load::compare($server->{db}, $load);

figure("60 s, $commits commits and checkpoints", $integrity, 'ok',
       $integrity eq 'ok' && $commits > 1000);
figure('lost', "$found->{lost} of $found->{acked}", '0',
       $found->{lost} == 0 && $found->{acked} > 10000);
figure('stored otherwise, or twice', $found->{changed} + $found->{twice}, '0',
       $found->{changed} + $found->{twice} == 0);
figure("SQLite $version is named in the log", "$named lines",
       $affected ? 'one' : 'none', $named == ($affected ? 1 : 0));

# a library that says it is another one

my $other = Lyftr::Version->new($affected ? 3051003 : 3051002);
$server = Lyftr::Server->new(preload => $other);
$named = $server->logged($line);
$server->stop;

control('a library that is named otherwise', "$named lines",
        $affected ? 'one' : 'none', $named == ($affected ? 0 : 1));

if (!$affected) {
    note('no control of the checkpoints: this SQLite has not the bug');
    exit;
}

# the race needs a process that is stopped in the midst of a checkpoint, so there
# are more of them than processors

$dir = tempdir(DIR => $shm, CLEANUP => 1);

my @runs = map {
    open my $run, '-|', "$build/walreset", "$dir/db$_", 15
        or die "walreset: $!";
    $run;
} 1 .. 6;

my $corrupt = grep { <$_> =~ /corrupt/ } @runs;

control('6 databases, two writers each, 15 s', "$corrupt corrupt",
        '0 corrupt', $corrupt > 0);

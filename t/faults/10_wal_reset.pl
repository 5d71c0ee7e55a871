# SQLite's WAL-reset bug: our checkpoints under full load, on the same library
# that loses pages when writers and passive checkpoints meet.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use List::Util qw(sum);
use POSIX ();

use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Server;
use Lyftr::Version;


my $line = qr/\[notice\].*lyftr: SQLite \S+ has the WAL-reset bug/;
my $shm = '/dev/shm';

need('stat', 'df');
skip("$shm is no tmpfs") if `stat -f -c %T $shm` !~ /^tmpfs/;

my ($free) = `df --output=avail -BG $shm` =~ /(\d+)G/;
skip("$shm has less than 6 GB free") if $free < 6;

# a program of t/faults, with the module's sources, and faults in these

sub built {
    my ($program, @faults) = @_;

    my $dir = tempdir(CLEANUP => 1);
    my $includes = Lyftr::Plant::includes();

    system 'cp', '-a', 'ngx_lyftr_module', "$dir/src" and die "cp failed\n";
    Lyftr::Plant::put("$dir/src", map { Lyftr::Plant::fault($_) } @faults);
    system "make -s -C t/faults NGX_INCS='$includes' SRC='$dir/src' "
           . "BUILD='$dir' $program >&2" and die "$program was not built\n";

    return "$dir/$program";
}


my $walreset = built('walreset');

my ($number, $version) = split ' ', `$walreset`;
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


# So many seconds of a module that copies the WAL after each commit, without a
# pause, while the writers of all workers commit; there are more processes than
# processors, so that each is stopped at any place.

sub checkpoints {
    my ($seconds) = @_;

    my $dir = tempdir(DIR => $shm, CLEANUP => 1);
    my $server = Lyftr::Server->new(
        dir => $dir, workers => 8, listen => 'reuseport',
        module => planted('checkpoints'));
    my $load = Lyftr::Load->start($server->{port}, c => 64, d => $seconds);
    my $reads = Lyftr::Load->start($server->{port}, c => 2, r => 20,
                                   d => $seconds, m => 'get',
                                   u => '/messages?limit=100', acks => 0);
    my @readers = readers($server->{db}, 4);
    my @spinners = spinners(2);

    $load->wait;
    $reads->wait;

    kill 'KILL', @readers, @spinners;
    waitpid $_, 0 for @readers, @spinners;

    my %seen = (
        commits => $server->metric('lyftr_store_commits_total{store="main"}'),
        named   => $server->logged($line),
        touched => $server->sql('SELECT touched FROM lyftr_probe')
                          ->[0]{touched},
    );

    $server->stop;

    $seen{integrity} = Lyftr::Load::integrity($server->{db});
    $seen{found} = eval { Lyftr::Load::compare($server->{db}, $load) };

    return \%seen;
}


# The same checkpoints without nginx, for many more commits: what each of so
# many stores has become, with its commits and copies.

sub storms {
    my ($n, $seconds) = @_;

    my $dir = tempdir(DIR => $shm, CLEANUP => 1);
    my $storm = built('storm', 'checkpoints');

    my @runs = map {
        open my $run, '-|', $storm, "$dir/db$_", $seconds
            or die "storm: $!";
        $run;
    } 1 .. $n;

    return map { [ split ' ', scalar(<$_>) // '0 0 corrupt' ] } @runs;
}


# processes that take the processors away from the others

sub spinners {
    my ($n) = @_;
    my $parent = $$;

    return map {
        my $pid = fork // die "fork: $!";

        if ($pid == 0) {
            while (getppid == $parent) { 1 for 1 .. 1e5 }

            POSIX::_exit(0);
        }

        $pid;
    } 1 .. $n;
}


# what becomes of a database when a writer starts the WAL anew just as a
# checkpoint begins: how often one came in between, and ok, or what is wrong

sub reset_by {
    my ($program, $whose) = @_;

    my $dir = tempdir(DIR => $shm, CLEANUP => 1);

    open my $run, '-|', $program, $whose, "$dir/db" or die "walreset: $!";

    return split ' ', <$run> // '0 nothing', 2;
}


my ($came, $became) = reset_by($walreset, 'ours');
chomp $became;

figure("a writer within our checkpoint ($came)", $became, 'ok',
       $came == 1 && $became eq 'ok');

if ($affected) {
    for (['one of a plain connection', $walreset, 'plain'],
         ['ours without its reader', built('walreset', 'unguarded'),
          'ours']) {
        my ($name, @run) = @$_;

        ($came, $became) = reset_by(@run);
        chomp $became;

        control("$name ($came)", $became, 'ok',
                $came == 1 && $became ne 'ok');
    }

} else {
    note('no control of the checkpoints: this SQLite has not the bug');
}

my $seconds = 120;
my $seen = checkpoints($seconds);
my $found = $seen->{found};

figure("$seconds s, $seen->{commits} commits, $seen->{touched} copies",
       $seen->{integrity}, 'ok',
       $seen->{integrity} eq 'ok' && $seen->{commits} > 10000
       && $seen->{touched} > 1000);
figure('lost', $found ? "$found->{lost} of $found->{acked}" : 'all', '0',
       $found && $found->{lost} == 0 && $found->{acked} > 100_000);
figure('stored otherwise, or twice',
       $found ? $found->{changed} + $found->{twice} : 'all', '0',
       $found && $found->{changed} + $found->{twice} == 0);
figure("SQLite $version is named in the log", "$seen->{named} lines",
       $affected ? 'one' : 'none', $seen->{named} == ($affected ? 1 : 0));

my @storms = storms(3, 60);
my ($commits, $copies) = map { my $i = $_; sum(map { $_->[$i] } @storms) } 0, 1;

figure(@storms . " stores without nginx, $commits commits",
       join(' ', map { $_->[2] } @storms), 'ok',
       $commits > 100_000 && $copies > 1000
       && !grep { $_->[2] ne 'ok' } @storms);

# a library that says it is another one

my $other = Lyftr::Version->new($affected ? 3051003 : 3051002);
my $server = Lyftr::Server->new(preload => $other);
my $named = $server->logged($line);
$server->stop;

control('a library that is named otherwise', "$named lines",
        $affected ? 'one' : 'none', $named == ($affected ? 0 : 1));

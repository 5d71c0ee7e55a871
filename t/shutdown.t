# The launcher of the shipped configuration: each signal that may end it does so
# gracefully, and what keeps it from starting is told in one clear line.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP;
use Socket;
use Time::HiRes qw(sleep);

use Lyftr::Scenario qw(compare);
use Lyftr::Server;
use Lyftr::Shipped;


# every line is JSON; what each of them has to say is tested elsewhere

sub logged {
    my ($name, $n, @lines) = @_;

    my @bad = grep { !eval { decode_json($_) } } @lines;

    is_deeply(\@bad, [], "$name: JSON lines");
    cmp_ok(scalar(grep { m{"path":"/webhook"} } @lines), '==', $n,
           "$name: one a delivery");
}


# deliveries are under way when the signal comes; group: to the process group,
# as ^C does

sub stops {
    my ($name, $signal, %options) = @_;

    my $group = delete $options{group};
    my $server = Lyftr::Shipped->new(%options);
    my @ids = map { "$signal$_" } 1 .. 20;

    is_deeply([ Lyftr::Scenario::warm($server) ], [], "$name: serves");

    my $lock = $server->lock;
    my @clients = map { $server->client } @ids;

    Lyftr::Scenario::post($clients[$_], $ids[$_]) for 0 .. $#ids;
    $server->drained;

    kill $signal, $group ? -$server->{pid} : $server->{pid};

    # it no longer listens, and the workers have time to leave too early

    Lyftr::Server::wait_for {
        !IO::Socket::INET->new("127.0.0.1:$server->{port}")
    };
    sleep 0.3;

    $lock->release;

    my @answers = map { $_->response } @clients;
    is(scalar(grep { $_->{status} == 200 } @answers), scalar @ids,
       "$name: deliveries under way are answered");

    my $status = $server->wait_exit;

    if ($options{command}) {
        ok(defined $status, "$name: ends");
    } else {
        is($status, 0, "$name: ends with 0");
    }

    # make does not wait for the launcher

    Lyftr::Server::wait_for { $server->lines(@ids + 1) > @ids };

    is_deeply([ compare($server, 'warm', @ids) ], [], "$name: rows");
    logged($name, @ids + 1, $server->lines(@ids + 1));
    is(join("\n", grep { !/^make|^setup: |$Lyftr::advice/ }
                        split /\n/, $server->log),
       '', "$name: nothing else is said");
}


stops($_, $_) for qw(INT TERM QUIT);
stops('^C', 'INT', group => 1);

# make passes on TERM; build is up to date

stops('make', 'TERM', command => [
    'make', '-s', '-o', 'build', 'run',
    "MODULE=$ENV{TEST_NGINX_LOAD_MODULES}",
    "NGINX_BIN=$ENV{TEST_NGINX_BINARY}",
]);


# standard output is a socket

socketpair my $here, my $there, AF_UNIX, SOCK_STREAM, PF_UNSPEC
    or die "socketpair: $!";

my $server = Lyftr::Shipped->new(stdout => $there);
close $there;

is_deeply([ Lyftr::Scenario::warm($server) ], [], 'socket: serves');
$server->signal('TERM');
is($server->wait_exit, 0, 'socket: ends with 0');
logged('socket', 1, <$here>);


# a relative path, and a driver's suffix

my $cwd = tempdir(CLEANUP => 1);

$server = Lyftr::Shipped->new(cwd => $cwd, db => "$cwd/relative.db",
    env => { DATABASE_URL => 'sqlite+aiosqlite:///relative.db' });

is_deeply([ Lyftr::Scenario::warm($server) ], [], 'relative: serves');
ok(-s "$cwd/relative.db", 'relative: in the folder where it was started');
is_deeply([ compare($server, 'warm') ], [], 'relative: rows');
$server->signal('HUP');
sleep 0.3;
is($server->get('/stats')->{status}, 200, 'relative: reloaded');
$server->signal('QUIT');
is($server->wait_exit, 0, 'relative: ends with 0');

$server = Lyftr::Shipped->new(cwd => $cwd, db => "$cwd/data/app.db",
                              env => { DATABASE_URL => undef });

is_deeply([ Lyftr::Scenario::warm($server) ], [], 'no DATABASE_URL: serves');
ok(-s "$cwd/data/app.db", 'no DATABASE_URL: data/app.db');
$server->stop;


# no secret: it serves, and says so

$server = Lyftr::Shipped->new(env => { WEBHOOK_SECRET => undef });

my @said = grep { !/$Lyftr::advice/ } split /\n/, $server->log;
is(scalar @said, 1, 'no secret: one line');
like($said[0], qr/\[warn\].*"WEBHOOK_SECRET"/, 'no secret: its name');
is($server->get('/health/live')->{status}, 200, 'no secret: live');
is($server->get('/health/ready')->{status}, 503, 'no secret: not ready');
$server->stop;


# no core dumps, which would hold the secret, whatever the shell allows

sub core_limit {
    open my $limits, '<', "/proc/$_[0]/limits" or die "limits: $!";

    return join ' ', map { /^Max core file size +(\S+) +(\S+)/ } <$limits>;
}

SKIP: {
    skip 'core dumps cannot be turned on here'
        if system 'bash', '-c', 'ulimit -c unlimited 2>/dev/null';

    $server = Lyftr::Shipped->new(command => [ 'bash', '-c',
        'ulimit -c unlimited && exec docker/serve' ]);

    # what the launcher has started, and nginx its workers

    my @children = $server->workers;
    my @workers = map { Lyftr::Server::workers({ pid => $_ }) } @children;

    cmp_ok(scalar @workers, '==', 2, 'core dumps: the workers were found');
    is(core_limit($_), '0 0', 'core dumps: off') for @children, @workers;
    $server->stop;
}


# what keeps it from starting

sub refuses {
    my ($name, $pattern, %env) = @_;

    my $said;

    eval { Lyftr::Shipped->new(cwd => $cwd, env => \%env); 1 }
        and return fail("$name: serves");

    ($said = $@) =~ s/^no service: //;
    $said =~ s/ at t\/\S+ line \d+\.\n\z//;

    like($said, qr/\Aserve: [^\n]+\n?\z/, "$name: one line");
    like($said, $pattern, "$name: a clear one");
}

my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1);
my $port = $taken->sockport;

{
    # its answer to a test whether it is up must not be the other's

    my $dir = tempdir(CLEANUP => 1);
    local %ENV = (%ENV, PORT => $port, WEBHOOK_SECRET => 'testsecret',
                  MODULE => $ENV{TEST_NGINX_LOAD_MODULES},
                  NGINX_BIN => $ENV{TEST_NGINX_BINARY},
                  DATABASE_URL => "sqlite:///$dir/app.db");

    my $said = `docker/serve 2>&1`;

    isnt($?, 0, 'port in use: fails');
    like($said, qr/\Aserve: [^\n]*\b$port\b[^\n]*in use[^\n]*\n\z/,
         'port in use: one clear line');
}

refuses('no folder', qr{/no/such/folder},
        DATABASE_URL => 'sqlite:////no/such/folder/app.db');
refuses('unwritable folder', qr{/proc\b.*not writable},
        DATABASE_URL => 'sqlite:////proc/app.db');
refuses('unknown URL', qr/URL/, DATABASE_URL => 'mysql://a/b');
refuses('wrong port', qr/PORT/, PORT => '80x');
refuses('wrong workers', qr/WORKERS/, WORKERS => '0');
refuses('wrong level', qr/LOG_LEVEL/, LOG_LEVEL => 'LOUD');

refuses("wrong reader $_", qr/LYFTR_READ_ALLOW/, LYFTR_READ_ALLOW => $_)
    for qw(localhost ALL 10.0.0.0/33 10.0.0 1.2.3.256 ::1/129 ::g 1::2::3
           fe80::1%lo unix: -1 10.0.0.0-10.0.0.9 10.0.0.0/8/8 /8 127.0.0.1;
           * ;}), "10.0.0.1\n;}", '10.0.0.1;deny all', '127.0.0.1 # ', '$host',
       "10.0.0.1, 'all'", "\xff";

done_testing();

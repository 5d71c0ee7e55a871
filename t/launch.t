# The launcher: its arguments and variables, what it says, and what surrounds
# it: locales, closed descriptors, its working folder, an address in use.

use strict;
use warnings;

use lib 't/lib';
use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP;
use Socket;
use Test::More;

use Lyftr;
use Lyftr::Preload;
use Lyftr::Server;
use Lyftr::Shipped;


my $dir = tempdir(CLEANUP => 1);
my $serve = getcwd . '/docker/serve';


# what it says, but for the remarks of each start

sub remarks {
    my ($server) = @_;

    return grep { !/$Lyftr::advice/ } split /\n/, $server->log;
}


sub put {
    my ($name, $text, $mode) = @_;

    open my $file, '>', $name or die "$name: $!";
    print $file $text;
    close $file;
    chmod $mode // 0644, $name;
}


# that it serves, and says nothing; then it ends well

sub serves {
    my ($name, %options) = @_;

    my $server = eval { Lyftr::Shipped->new(%options) };

    ok($server, "$name: serves") or return diag $@;
    is($server->post(message())->{status}, 200, "$name: stores");
    is_deeply([ remarks($server) ], [], "$name: nothing is said");

    $server->signal('TERM');
    is($server->wait_exit, 0, "$name: ends with 0");
}


# the output of the launcher, both of its kinds, and how it ended

sub said {
    my ($args, %env) = @_;

    my %all = (NGINX_BIN => $ENV{TEST_NGINX_BINARY},
               MODULE => $ENV{TEST_NGINX_LOAD_MODULES},
               WEBHOOK_SECRET => 'testsecret', PORT => 8000,
               DATABASE_URL => "sqlite:///$dir/app.db", %env);

    local %ENV = (%ENV, %all);
    my $text = `$serve $args 2>&1`;

    return ($text, $? >> 8);
}


# locales that are not installed

serves('a locale', env => { LC_ALL => 'xx_XX.UTF-8', LANG => 'yy_YY' });
serves('a locale of messages', env => { LC_MESSAGES => 'xx_XX', LANG => 'C' });


# Only the server itself listens, and not what tests its configuration.

SKIP: {
    my $preload = Lyftr::Preload->build(<<'END')
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

int listen(int fd, int backlog)
{
    char     line[256];
    int      in = open("/proc/self/cmdline", O_RDONLY);
    int      out = open(DIR "/listens", O_WRONLY|O_CREAT|O_APPEND, 0666);
    ssize_t  i, n = read(in, line, sizeof(line) - 1);

    for (i = 0; i < n; i++) {
        line[i] = line[i] ? line[i] : ' ';
    }

    line[n] = '\n';
    n = write(out, line, n + 1);
    close(in);
    close(out);

    return ((int (*)(int, int)) dlsym(RTLD_NEXT, "listen"))(fd, backlog);
}
END
        or skip 'no shared object can be used', 4;

    for my $host ('127.0.0.1', 'localhost') {
        my $server = Lyftr::Shipped->new(
            env => { HOST => $host, LD_PRELOAD => $preload->object });
        $server->signal('HUP');
        Lyftr::Server::wait_for { $server->log =~ /reloaded/ };
        $server->stop;

        open my $file, '<', "$preload->{dir}/listens" or die "listens: $!";
        my @lines = <$file>;

        cmp_ok(scalar @lines, '>=', 1, "$host: who listens is seen");
        is_deeply([ grep { !/nginx/ || / -t / } @lines ], [],
                  "$host: nobody but the server listens");
        unlink "$preload->{dir}/listens";
    }
}


# an address that others have, or that nobody has

my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1);

for (['a port in use', { PORT => $taken->sockport }, 'Address already in use'],
     ['one of two in use', { HOST => 'localhost', PORT => $taken->sockport },
      'Address already in use'],
     ['an address of others', { HOST => '192.0.2.77' },
      'Cannot assign requested address'],
     ['a name of nobody', { HOST => 'nobody.invalid' }, '[^\n]*name[^\n]*'])
{
    my ($name, $env, $why) = @$_;
    my ($text, $code) = said('', %$env, LC_ALL => 'xx_XX');

    like($text, qr/\Aserve: cannot listen on \S+:\d+: $why\n\z/i,
         "$name: one line");
    is($code, 1, "$name: fails");
}


# its arguments

my ($text, $code) = said('--help');

is($code, 0, '--help: fine');
like($text, qr/\Ausage: serve .*^    \Q$_\E\b/ms, "--help: $_")
    for qw(WEBHOOK_SECRET WEBHOOK_SECRET_FILE DATABASE_URL LOG_LEVEL PORT
           WORKERS LYFTR_READ_ALLOW LYFTR_READ_TOKEN LYFTR_READ_TOKEN_FILE
           LYFTR_READ_PORT LYFTR_TRUSTED_PROXIES LYFTR_TLS_CERT LYFTR_CACHE LYFTR_KEEP);

for ('-x', 'nginx', '-t -t', '-T more') {
    ($text, $code) = said($_);
    like($text, qr/\Aserve: unknown arguments, [^\n]*: \Q$_\E\n\z/,
         "$_: one line");
    is($code, 1, "$_: fails");
}

for my $port (8000, $taken->sockport) {
    ($text, $code) = said('-t', PORT => $port);
    like($text, qr/test is successful/, '-t: a test of nginx');
    is($code, 0, '-t: fine');
}

($text, $code) = said('-t', LYFTR_CACHE => '2m');
like($text, qr/\[emerg\].*test failed$/s, '-t: what is wrong');
is($code, 1, '-t: fails');

($text, $code) = said('-t', LYFTR_KEEP => '7d');
like($text, qr/keep= must be at least 8 days/, '-t: too short a time to keep');
is($code, 1, '-t: fails');

($text, $code) = said('-T', LYFTR_KEEP => '90d');
like($text, qr/lyftr_store main \S+ cache=144m keep=90d;/, 'a time to keep');

($text, $code) = said('-T', WORKERS => 7);
like($text, qr/^worker_processes 7;$/m, '-T: the configuration that runs');


# as a service: what systemd says of its unit, with the paths of this clone

SKIP: {
    skip 'there is no systemd-analyze', 1
        if system('command -v systemd-analyze >/dev/null') != 0;

    my $here = getcwd;

    my $paths = "s,/opt/lyftr/build/lines,/bin/true,;s,/opt/lyftr,$here,g";

    qx(sed '$paths' docker/lyftr.service >$dir/lyftr.service);
    is(qx(systemd-analyze verify --man=no $dir/lyftr.service 2>&1), '',
       'systemd takes the unit');
}


# levels, by whatever they are called

for (['DEBUG', 'info'], ['INFO', 'warn'], ['WARNING', 'warn'],
     ['ERROR', 'error'])
{
    my ($level, $expected) = @$_;

    for ($level, lc $level) {
        ($text) = said('-T', LOG_LEVEL => $_);
        like($text, qr/^error_log stderr $expected;$/m,
             "LOG_LEVEL=$_: $expected");
    }
}

($text, $code) = said('', LOG_LEVEL => 'LOUD');
like($text, qr/\Aserve: LOG_LEVEL must be [^\n]*\n\z/, 'another level');


# who may read: a value that is wrong, or wants to be more than one, is told in
# a line, and adds no directive; nor does the name of a file

put("$dir/cert", "no certificate\n");
put("$dir/key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n");
put("$dir/tokens", "two words, and\n");

my $networks = 'must be addresses, or networks like 192.0.2.0/24';

for (['READ_ALLOW', 'none all', 'cannot be all and none'],
     ['READ_ALLOW', 'nobody', 'must be addresses, .*, or all'],
     ['READ_ALLOW', '10.0.0.1 1; } } #', 'must be addresses, .*, or all'],
     ['READ_ALLOW', '192.0.2.256', ': invalid address "192.0.2.256"'],
     ['TRUSTED_PROXIES', 'proxy', $networks],
     ['TRUSTED_PROXIES', 'all', $networks],
     ['TRUSTED_PROXIES', 'unix:', $networks],
     ['TRUSTED_PROXIES', '10.0.0.1;deny', $networks],
     ['TRUSTED_PROXIES', "10.0.0.1\n;deny all", $networks],
     ['TRUSTED_PROXIES', '10.0.0.256', ': .*"10.0.0.256"'],
     ['READ_TOKEN', 'a"; }', ': .*has a token that no header can bring.*'],
     ['READ_TOKEN', ' , ', ': .*has no token'],
     ['READ_TOKEN_FILE', "$dir/none", ": cannot read $dir/none"],
     ['READ_TOKEN_FILE', "$dir/tokens", ': .*no header can bring.*'],
     ['READ_PORT', '0', 'must be a number .* other than PORT'],
     ['READ_PORT', '65536', 'must be a number .* other than PORT'],
     ['READ_PORT', '8000', 'must be a number .* other than PORT'],
     ['READ_PORT', '80; deny all', 'must be a number .* other than PORT'],
     ['READ_PORT', $taken->sockport, 'cannot listen on .*in use'],
     ['TLS_KEY', "$dir/key", ' needs LYFTR_TLS_CERT'],
     ['TLS_CERT', "$dir/cert", ' needs LYFTR_TLS_KEY'])
{
    my ($name, $value, $why) = @$_;
    my ($text, $code) = said('', "LYFTR_$name" => $value);

    like($text, qr/\Aserve: (?:LYFTR_\w+ ?)?$why\n\z/i,
         "LYFTR_$name: $value: one line");
    unlike($text, qr/a"; \}|two words/, "LYFTR_$name: which has no token");
    is($code, 1, "LYFTR_$name: $value: fails");
}

for (['none', 'key', 'cannot read'], ['cert', 'key', 'encrypted'],
     ['cert', 'cert', 'cannot load certificate|SSL'])
{
    my ($cert, $key, $why) = @$_;
    my ($text, $code) = said('', LYFTR_TLS_CERT => "$dir/$cert",
                             LYFTR_TLS_KEY => "$dir/$key");

    like($text, qr/\Aserve: LYFTR_TLS_(?:CERT|KEY): [^\n]*(?:$why)[^\n]*\n\z/,
         "TLS: $cert and $key: one line");
    is($code, 1, "TLS: $cert and $key: fails");
}

($text, $code) = said('', LYFTR_READ_ALLOW => 'all', LYFTR_READ_TOKEN => 'a');
like($text, qr/\Aserve: LYFTR_READ_ALLOW: with all nobody .*\n\z/,
     'all and a token: one line');
is($code, 1, 'all and a token: fails');

($text, $code) = said('-T', LYFTR_READ_TOKEN => 'hidden.token');
is($code, 0, 'a token: fine');
unlike($text, qr/hidden\.token/, 'a token: not in the configuration');


# Where it works: with what was built, and where that cannot be written to, in
# a folder of any name.  A cleaner of /tmp may take all.

sub copied {
    my ($where) = @_;

    system 'mkdir', '-p', $where and die "mkdir\n";
    system 'cp', '-a', 'docker', $where and die "cp\n";

    return [ "$where/docker/serve" ];
}

my $odd = "$dir/a \$b \"c";
mkdir $odd or die "$odd: $!";

my $server = Lyftr::Shipped->new(command => copied("$dir/copy"),
                                 env => { BUILD => undef, TMPDIR => $odd });
my @folders = glob "$dir/a*/run.*";

is(scalar @folders, 1, 'TMPDIR: the folder is there');
is($server->get('/openapi.json')->{status}, 200,
   'TMPDIR: a file of a folder with a $');
is_deeply([ remarks($server) ], [], 'TMPDIR: nothing is said');
$server->stop;
is_deeply([ glob "$dir/a*/run.*" ], [], 'TMPDIR: it is gone after the end');

mkdir "$dir/build" or die "build: $!";
mkdir "$dir/tmp" or die "tmp: $!";
$server = Lyftr::Shipped->new(env => { BUILD => "$dir/build",
                                       TMPDIR => "$dir/tmp" });

is_deeply([ glob "$dir/tmp/*" ], [], 'BUILD: nothing is in TMPDIR');
is(scalar(@folders = glob "$dir/build/run.*"), 1, 'BUILD: it is here');
$server->stop;
is_deeply([ glob "$dir/build/run.*" ], [], 'BUILD: it is gone after the end');


# descriptors that nobody has opened

for ('<&-', '>&-', '2>&-', '<&- >&- 2>&-') {
    serves("with $_", command => [ 'bash', '-c', "exec $serve $_" ]);
}


# as root the workers are root's, which is told; as nobody else

SKIP: {
    skip 'needs root', 2 if $> != 0;

    my $server = Lyftr::Shipped->new;
    is(() = $server->log =~ /^serve: warning: started as root/mg, 1,
       'as root: it is told, once');
    $server->stop;

    my $home = tempdir(CLEANUP => 1);
    chown 65534, 65534, $home;
    put("$home/testsecret", "testsecret\n");

    my $module = $ENV{TEST_NGINX_LOAD_MODULES};
    system 'cp', $module, "$home/module.so";
    my $command = copied($home);

    $server = Lyftr::Shipped->new(
        dir => $home, env => { MODULE => "$home/module.so", TMPDIR => '/tmp',
                               BUILD => undef },
        command => [ 'setpriv', '--reuid=65534', '--regid=65534',
                     '--clear-groups', @$command ]);
    unlike($server->log, qr/as root/, 'as another user: nothing is told');
    $server->stop;
}


# make run, of which the error log is JSON, too, without any query

put("$dir/wrong", "testsecret\r\r\n");
my $run = [ 'make', '-s', '-o', 'build', 'run',
            "MODULE=$ENV{TEST_NGINX_LOAD_MODULES}",
            "NGINX_BIN=$ENV{TEST_NGINX_BINARY}" ];

$server = Lyftr::Shipped->new(command => $run,
                              env => { WEBHOOK_SECRET_FILE => "$dir/wrong" });
$server->request('POST /webhook?q=private', 'Content-Length: 2000000');
Lyftr::Server::wait_for { $server->log =~ /too large body/ }
    or fail('nginx tells of a body that is too large');
$server->signal('TERM');
ok(defined $server->wait_exit, 'make run: ends');

my @lines = grep { !/^make|^setup: / } split /\n/, $server->log;

is_deeply([ grep { !eval { decode_json($_) } } @lines ], [],
          'make run: lines of JSON');
unlike($server->log, qr/private/, 'make run: and no query');
is(scalar(grep { /"WARNING".*ends with a carriage return/ } @lines), 1,
   'make run: a secret with a carriage return is told of, once');

done_testing();

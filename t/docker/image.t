# The image: what is in it, what it says from the first line on, and what keeps
# it from starting.

use strict;
use warnings;

use lib 't/lib';
use JSON::PP;
use File::Temp qw(tempdir);
use Test::More;

use Lyftr;
use Lyftr::Container qw(said docker entries);
use Lyftr::Server;


my $image = $ENV{LYFTR_IMAGE} or die "t/docker/run sets LYFTR_IMAGE\n";

# the output of a shell in the image, as root

sub inside {
    my ($script) = @_;

    return (said('docker', 'run', '--rm', '-u', '0', $image, 'bash', '-c',
                 $script))[1];
}


# lines of the error log, without those of requests

sub messages {
    my ($text) = @_;

    return grep { exists $_->{message} } entries($text);
}


sub well_formed {
    my ($name, $text) = @_;

    my @bad = grep { $_->{error}
                     || $_->{ts} !~ /\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\z/
                     || $_->{level} !~ /\A(?:DEBUG|INFO|WARNING|ERROR
                                          |CRITICAL)\z/x } entries($text);

    is_deeply(\@bad, [], "$name: all lines are JSON, with ts and level");
    is(scalar(grep { length > 4095 } split /\n/, $text), 0,
       "$name: and not too long");
}


# what is in it

is(inside('compgen -c | grep -xE "(cc|gcc|g\+\+|c\+\+|clang|ld|as|make|cpp)'
          . '(-[0-9]+)?"'), '', 'no compiler');
is(inside('find / -xdev -perm -0002 ! -type l ! -perm -1000'), '',
   'nothing that all may write to, but folders like /tmp');
like(inside('find / -xdev -perm -0002 ! -type l'), qr{^/tmp$}m,
     'such a search finds something');
like(inside('/usr/lib/lyftr/move --help 2>&1'), qr/^usage: move /,
     'what moves a store, with its libraries');
is(inside('find /var/lib/apt/lists -type f ! -name lock'), '',
   'no lists of packages');
is(inside('find / -xdev -user 101'), "/data\n",
   'the user owns nothing but the data');
is(inside('find / -xdev -path /usr/share/doc -prune -o \( -name "*.c"'
          . ' -o -name "*.o" -o -name "*.key" -o -name ".git" \) -print'), '',
   'no sources, no keys, but examples of packages');

my $config = decode_json(docker('inspect', $image))->[0]{Config};

is_deeply([ grep { /SECRET|PASSWORD|TOKEN/i } @{ $config->{Env} } ], [],
          'no secret in the environment');
is($config->{User}, '101:101', 'the user');
is($config->{StopSignal}, 'SIGQUIT', 'the signal that stops it');
is_deeply([ keys %{ $config->{Volumes} } ], ['/data'], 'the volume');
like(join(' ', @{ $config->{Healthcheck}{Test} }), qr/ready/, 'a health check');

my $labels = $config->{Labels};

ok($labels->{"org.opencontainers.image.$_"}, "label $_")
    for qw(title description version licenses base.name);

my ($version) = inside('nginx -v') =~ m{nginx/(\S+)};
ok($version, "another command: nginx $version");


# what is asked of it before it serves

sub asked {
    my (@args) = @_;

    return said('docker', 'run', '--rm', '-e', 'WORKERS=7', $image, @args);
}

my ($code, $text) = asked('--help');

is($code, 0, '--help: fine');
like($text, qr/\Ausage: serve .*^    LYFTR_READ_ALLOW\b/ms, '--help: variables');

($code, $text) = asked('nginx', '-t');
is($code, 0, 'nginx -t: fine');
like($text, qr{/nginx\.conf test is successful}, 'nginx -t: it is');
unlike($text, qr{/etc/nginx/nginx\.conf}, "nginx -t: and not nginx's own");

like((asked('nginx', '-T'))[1], qr/^worker_processes 7;$/m,
     'nginx -T: with the variables');
like((asked('nginx', '-T'))[1], qr/\blyftr_webhook main;/,
     'nginx -T: the configuration that runs');

($code, $text) = asked('--nope');
is($code, 1, '--nope: fails');
like($text, qr/^serve: unknown arguments/, '--nope: what it says');


# from the first line on

my $dir = tempdir(CLEANUP => 1);
chmod 0755, $dir;

sub script {
    my ($name, $mode, $text) = @_;

    open my $file, '>', "$dir/$name" or die "$name: $!";
    print $file "#!/bin/sh\n$text\n";
    close $file;
    chmod $mode, "$dir/$name";
}

script('10-says.sh', 0755, "echo said \\\"one\\\"; printf 'bad \\377\\n'");
script('20-sets.envsh', 0755, 'export LOG_LEVEL=DEBUG LC_ALL=xx_XX.UTF-8');
script('30-not.sh', 0644, 'echo not run');
script('40-other.txt', 0755, 'echo not run');

my $container = Lyftr::Container->new(
    options => [ '-v', "$dir:/docker-entrypoint.d:ro" ]);

my @said = messages($container->log);

is($said[0]{message}, 'said "one"', 'a script ran, and its line is the first');
is($said[1]{message}, "bad \x{fffd}", 'what is no UTF-8 is replaced');
like($said[2]{message}, qr/30-not\.sh is not executable/, 'one was not run');
ok((grep { $_->{level} eq 'DEBUG' } @said),
   'a variable was set: nginx says more');
is(scalar(grep { ($_->{message}) eq 'not run' } @said), 0, 'others did not');

is($container->request('GET /messages?q=private')->{status}, 200,
   'a search through the published port');
$container->exchange("GET /messages?q=private HTTP/1.1\r\nHost: a\r\nA\x01: b"
                     . "\r\n\r\n");
$container->exchange("GET /stats?q=private\" HTTP/1.1\r\nHost: a\r\n"
                     . "Content-Length: x\r\n\r\n");

Lyftr::Server::wait_for {
    $container->log =~ /invalid ..Content-Length/
} or fail('nginx told of a bad request');

# the description, and its page if npm could be had while the image was built

my $description = decode_json($container->get('/openapi.json')->{body});
like($description->{openapi}, qr/^3\.1\./, 'the description');

my $ui = inside('cd /usr/lib/lyftr/swagger-ui && ls') ne '';
my $page = $container->get('/docs');
my ($script) = $page->{body} =~ /src="([^"]*bundle[^"]*)"/;

is($page->{status}, $ui ? 200 : 404,
   'its page, ' . ($ui ? '' : 'not ') . 'there');
cmp_ok(length $container->get("/$script")->{body}, '>', 1e6, 'and its script')
    if $ui;

is($container->get("/console/$_")->{status}, 200, "the page for people: $_")
    for '', 'console.js';

is($container->inspect('{{.State.Running}}'), 'true', 'it runs');
$container->halt;
is($container->inspect('{{.State.ExitCode}}'), 0, 'it ends with 0');

@said = messages($container->log);

ok((grep { $_->{message} =~ /request: "GET \S+"$/ } @said),
   'the error log tells of requests');
unlike($container->log, qr/private/, 'and not of queries');
unlike($container->log, qr/testsecret/, 'the secret is in no line');
like($said[-1]{message}, qr/^exit$/, 'the last line of nginx is there');
well_formed('a life', $container->log);
$container->stop;


# healthy, and why not

my $sick = Lyftr::Container->new(env => { WEBHOOK_SECRET => undef,
                                          LC_ALL => 'xx_XX.UTF-8' }, up => 0);

Lyftr::Server::wait_for {
    my $r = eval { $sick->get('/health/live') };
    $r && $r->{status} == 200;
} or fail('no secret: alive');

is($sick->get('/health/ready')->{status}, 503, 'no secret: not ready');
is($sick->post(message())->{status}, 503, 'no secret: 503');

@said = messages($sick->log);
is(scalar @said, 1, 'no secret: one line');
like($said[0]{message}, qr/WEBHOOK_SECRET/, 'no secret: its name');
is($said[0]{level}, 'WARNING', 'no secret: its level');
like($sick->run('/usr/lib/lyftr/ready'), qr/no webhook secret/,
     'no secret: the health check says so');
Lyftr::Server::wait_for {
    $sick->inspect('{{.State.Health.Status}}') eq 'unhealthy'
} 120 or fail('no secret: unhealthy')
      or diag $sick->inspect('{{json .State.Health}}');
well_formed('no secret', $sick->log);
$sick->stop;


# a mistaken value is one line, and the end

sub refuses {
    my ($pattern, %env) = @_;

    my ($name) = map { "$_=$env{$_}" } keys %env;
    my $container = Lyftr::Container->new(env => \%env, up => 0);

    isnt($container->wait_exit, 0, "$name: it ends, and not with 0");

    my @lines = entries($container->log);

    is(scalar @lines, 1, "$name: one line");
    is($lines[0]{level}, 'CRITICAL', "$name: its level");
    like($lines[0]{message}, $pattern, "$name: what it says");
}

refuses(qr/PORT/, PORT => '80x');
refuses(qr/WORKERS/, WORKERS => '0');
refuses(qr/LOG_LEVEL/, LOG_LEVEL => 'LOUD');
refuses(qr/URL/, DATABASE_URL => 'mysql://a/b');
refuses(qr/not writable/, DATABASE_URL => 'sqlite:////usr/app.db');
refuses(qr/LYFTR_READ_ALLOW/, LYFTR_READ_ALLOW => '10.0.0.0/33');
refuses(qr/LYFTR_CACHE must be/, LYFTR_CACHE => '8m; user root');
refuses(qr/LYFTR_CACHE: .*at least/, LYFTR_CACHE => '2m');
refuses(qr/WEBHOOK_SECRET_FILE/, WEBHOOK_SECRET_FILE => '/run/none');

done_testing();

# The service as make up starts it: the evaluation script, word for word, with
# the data that are kept and removed; and what it may do.

use strict;
use warnings;

use lib 't/lib';
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);

use Lyftr;
use Lyftr::Container qw(said docker entries);
use Lyftr::Server;


# not the operator's own, and another port only if somebody has this one

$ENV{COMPOSE_PROJECT_NAME} = "lyftr-test-$$";

my $port = IO::Socket::INET->new("127.0.0.1:8000")
    ? Lyftr::Server::free_port() : 8000;

delete @ENV{qw(HOST LOG_LEVEL WORKERS LYFTR_READ_ALLOW)};
$ENV{PORT} = $port if $port != 8000;

# COMPOSE chooses, as for make

my ($missing) = said('docker', 'compose', 'version');
my $compose = $ENV{COMPOSE} || ($missing ? 'docker-compose' : 'docker compose');
my @compose = (split(' ', $compose), '-f', 'docker/compose.yaml');

END {
    local $?;
    said('make', 'down') if $ENV{COMPOSE_PROJECT_NAME};
}


# what this compose understands

sub understood {
    my (@args) = @_;

    local $ENV{WEBHOOK_SECRET} = 'testsecret';
    my $pid = open(my $out, '-|') // die "fork: $!";

    if ($pid == 0) {
        open STDERR, '>', '/dev/null';
        exec @compose, @args or POSIX::_exit(127);
    }

    my $text = join '', <$out>;

    return close $out ? $text : "failed: $text";
}


# a script, and what it says

sub bash {
    my ($script) = @_;

    my ($code, $text) = said('bash', '-c', "set -o pipefail; $script");

    chomp $text;

    return $code ? "exit $code: $text" : $text;
}


sub make {
    my ($target) = @_;

    my $start = time;
    my ($code, $text) = said('make', $target);

    is($code, 0, "make $target") or diag $text;

    return time - $start;
}


# the image is there, and then:

$ENV{LYFTR_IMAGE} or die "t/docker/run sets LYFTR_IMAGE\n";
$ENV{WEBHOOK_SECRET} = 'testsecret';
$ENV{DATABASE_URL} = 'sqlite:////data/app.db';

# each profile adds services; compose 1 tells of all of them

for (['observability', qw(api grafana prometheus)],
     ['postgres', qw(api api1 api2 db front standby)])
{
    my ($profile, @service) = @$_;
    my %there = map { $_ => 1 } split ' ',
        understood('--profile', $profile, 'config', '--services');

    is(join(' ', grep { $there{$_} } @service), "@service",
       "those of the profile $profile");
}

{
    local $ENV{PROMETHEUS_PORT} = '19090';
    local $ENV{PROMETHEUS_IMAGE} = 'another/prometheus';
    my $said = understood(qw(--profile observability config));

    like($said, qr/\b19090\b/, 'another port of Prometheus');
    like($said, qr{another/prometheus}, 'and another image');
}

{
    local $ENV{PROMETHEUS_PORT} = 'x';
    like(understood(qw(--profile observability config)), qr/^failed/,
         'a port that is none is refused');
}

cmp_ok(make('up'), '<', 10, 'within ten seconds');

{
    local $ENV{WEBHOOK_SECRET};
    delete $ENV{WEBHOOK_SECRET};

    my ($code, $text) = said('make', 'up');

    isnt($code, 0, 'without a secret: it is not replaced');
    like($text, qr/has a WEBHOOK_SECRET/, 'which is told');

    said('make', 'stop');
    ($code) = said('make', 'up');
    isnt($code, 0, 'nor when it is stopped');
}

make('up');

my $url = "http://localhost:$port";
my $status = "curl -s -o /dev/null -w '%{http_code}'";
my $one = message(text => 'Hello');

sub answer {
    my ($body, $signature) = @_;

    return bash("$status -H 'Content-Type: application/json'"
                . " -H 'X-Signature: $signature' --data-binary '$body'"
                . " $url/webhook");
}

sub signed {
    my ($body) = @_;

    my $signature = bash("printf %s '$body' | openssl dgst -sha256"
                         . " -hmac \$WEBHOOK_SECRET | sed 's/.* //'");

    return answer($body, $signature);
}

is(bash("$status $url/health/$_"), 200, $_) for qw(live ready);
is(answer($one, '123'), 401, 'the signature 123');
is(signed($one), 200, 'the right signature');
is(signed($one), 200, 'again');

my @more = (message(message_id => 'm2', ts => '2025-01-15T09:00:00Z'),
            message(message_id => 'm3', from => '+911234567890',
                    text => 'Earlier'),
            message(message_id => 'm4', text => undef));

is(signed($_), 200, 'another message') for @more;

sub ids {
    my ($query) = @_;

    return bash("curl -s '$url/messages$query'"
                . " | jq -r '[.data[].message_id] | join(\" \")'");
}

is(ids(''), 'm2 m1 m3 m4', '/messages');
is(ids('?limit=2&offset=0'), 'm2 m1', 'a page');
is(ids('?from=+919876543210'), 'm2 m1 m4', 'a sender with a raw plus');
is(ids('?since=2025-01-15T09:30:00Z'), 'm1 m3 m4', 'since');
is(ids('?q=Hello'), 'm2 m1', 'a search');
is(bash("curl -s $url/stats | jq -c '[.total_messages, .senders_count,"
        . " ([.messages_per_sender[].count] | add)]'"), '[4,2,4]', '/stats');

for my $name (qw(http_requests_total webhook_requests_total)) {
    cmp_ok(bash("curl -s $url/metrics | grep -c '^$name'"), '>', 0, $name);
}

my ($code, $logs) = said(@compose, 'logs', '--no-log-prefix', 'api');
my @entries = entries($logs);

is($code, 0, 'the log');
is_deeply([ grep { $_->{error} } @entries ], [], 'each line is JSON');

# of the older compose, and of the newer one

my $clean = q(sed -e $'s/^\e\\\\[2K//' -e '/^Attaching to /d');

is(bash("@compose logs --no-log-prefix api 2>/dev/null | $clean"
        . " | jq -es 'map(select(.path == \"/webhook\") | has(\"message_id\")"
        . " and has(\"dup\")) | length == 6 and all'"), 'true',
   'through jq: the lines of the webhook have their fields');


# what it may do

my $id = docker('ps', '-q', '-f',
                "label=com.docker.compose.project=$ENV{COMPOSE_PROJECT_NAME}");
like($id, qr/^\w+$/, 'one container, without the profile');
my $server = bless { id => $id, port => $port, owner => 0 },
                   'Lyftr::Container';

my $processes = $server->run('bash', '-c', <<'END');
for p in /proc/[0-9]*; do
    [ "${p#/proc/}" = $$ ] || echo "$(cut -d ' ' -f 2 $p/stat)" \
        $(grep -E '^(Uid|Gid|Cap...|NoNewPrivs|Seccomp):' $p/status)
done
END

my @processes = split /\n/, $processes;

cmp_ok(scalar(grep { /nginx/ } @processes), '>=', 2, 'nginx was found');

for my $line (@processes) {
    my ($name) = split ' ', $line;
    my %cap = $line =~ /(Cap\w+): (\w+)/g;

    is_deeply([ values %cap ], [ ('0' x 16) x 5 ], "$name: no capabilities");
    like($line, qr/Uid: 101 101 101 101 Gid: 101 101 101 101/,
         "$name: an ordinary user");
    like($line, qr/NoNewPrivs: 1/, "$name: gets no others");
    like($line, qr/Seccomp: 2/, "$name: system calls are filtered");
}

my %mount = map { my @of = split; ($of[1] => $of[3]) }
            split /\n/, $server->run('cat', '/proc/mounts');

like($mount{'/'}, qr/^ro\b/, 'the root is mounted read-only');
like($mount{'/data'}, qr/^rw\b/, 'the data are not');
like($mount{'/tmp'}, qr/^rw,.*noexec/, '/tmp is, and executes nothing');

like($server->run('bash', '-c', "echo >$_/x"), qr/Read-only/, "$_: no writing")
    for qw(/etc /usr/lib/lyftr /var/tmp);
is($server->run('bash', '-c', 'find / -xdev -writable -type f'
                . ' ! -path "/proc/*" ! -path "/sys/*" 2>/dev/null'), '',
   'no file is writable');
like($server->run('bash', '-c', 'stat -c %a /data/app.db'), qr/^600$/,
     'only the user reads the store');


# stop and start keep the data, and down removes them

is((said(@compose, 'stop'))[0], 0, 'stop');
is($server->inspect('{{.State.ExitCode}}'), 0, 'it ended with 0');
make('up');
is(ids(''), 'm2 m1 m3 m4', 'the messages are still there');

make('down');
is(bash("docker volume ls -q | grep $ENV{COMPOSE_PROJECT_NAME} || :"), '',
   'no volume is left');
make('up');
is(ids(''), '', 'the messages are gone');


# what keeps it from being ready is told

make('down');

{
    local $ENV{WEBHOOK_SECRET};
    ($code, my $text) = said('make', 'up');
    isnt($code, 0, 'no secret: make up fails');
    like($text, qr/not ready: .*no webhook secret/, 'no secret: it says so');
}

make('down');

{
    local $ENV{LOG_LEVEL} = 'LOUD';
    ($code, my $text) = said('make', 'up');
    isnt($code, 0, 'a mistaken value: make up fails');
    like($text, qr/"serve: LOG_LEVEL must be/, 'a mistaken value: its line');
}

make('down');

done_testing();

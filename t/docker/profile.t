# The profile of compose: its Prometheus finds the service by its name, and has
# the rules.  Its image is made of Debian's, so that none need be pulled.

use strict;
use warnings;

use lib 't/lib';
use IO::Socket::INET;
use JSON::PP;
use Test::More;

use Lyftr::Container qw(said docker);
use Lyftr::Server;


$ENV{LYFTR_IMAGE} or die "t/docker/run sets LYFTR_IMAGE\n";

# an address of this machine on which port 8000 is free

my ($host) = grep {
    IO::Socket::INET->new(LocalAddr => $_, LocalPort => 8000, Listen => 1,
                          ReuseAddr => 1)
} map { "127.0.0.$_" } 1 .. 9;

plan skip_all => 'port 8000 is not free' if !$host;

delete @ENV{qw(PORT LOG_LEVEL WORKERS LYFTR_READ_ALLOW LYFTR_CACHE)};

$ENV{COMPOSE_PROJECT_NAME} = "lyftr-profile-$$";
$ENV{WEBHOOK_SECRET} = 'testsecret';
$ENV{HOST} = $host;
$ENV{PROMETHEUS_PORT} = Lyftr::Server::free_port();
$ENV{PROMETHEUS_IMAGE} = 'lyftr-test-prometheus';

my $file = <<'END';
FROM debian:bookworm-slim
RUN apt-get update -q \
    && apt-get install -qy --no-install-recommends prometheus \
    && install -d -o nobody /prometheus
USER nobody
VOLUME /prometheus
ENTRYPOINT ["prometheus"]
END

my ($code, $text) = said('bash', '-c',
    "docker build -q -t $ENV{PROMETHEUS_IMAGE} - <<<'$file'");
is($code, 0, 'an image of Prometheus') or diag $text;

my ($missing) = said('docker', 'compose', 'version');
my $compose = $ENV{COMPOSE} || ($missing ? 'docker-compose' : 'docker compose');

END {
    local $?;
    said('make', 'down') if $ENV{COMPOSE_PROJECT_NAME};
}

($code, $text) = said(split(' ', $compose), '-f', 'docker/compose.yaml',
                      '--profile', 'observability', 'up', '-d', 'api',
                      'prometheus');
is($code, 0, 'they are started') or diag $text;

sub ask {
    my ($path) = @_;

    my (undef, $text) = said('curl', '-s', '-m', 10,
        "http://127.0.0.1:$ENV{PROMETHEUS_PORT}/api/v1/$path");

    return eval { decode_json($text)->{data} } // {};
}

sub value {
    my ($metric) = @_;

    my $found = ask("query?query=$metric")->{result} // [];

    return @$found ? $found->[0]{value}[1] : '';
}

ok(Lyftr::Server::wait_for(sub { value('lyftr_store_ready') eq '1' }, 60),
   'it scrapes the service');
is(value('lyftr_store_unready'), '', 'and finds nothing that is not there');

my ($target) = @{ ask('targets')->{activeTargets} };
is($target->{scrapeUrl}, 'http://api:8000/metrics', 'by its name');

my @rules = map { @{ $_->{rules} } } @{ ask('rules')->{groups} };
cmp_ok(scalar @rules, '>', 10, 'it has the rules');

# they were looked at once at least

Lyftr::Server::wait_for {
    @rules = map { @{ $_->{rules} } } @{ ask('rules')->{groups} };
    !grep { $_->{health} eq 'unknown' } @rules;
} 60;
is_deeply([ grep { $_->{health} ne 'ok' } @rules ], [], 'and all of them work');

is((said('make', 'down'))[0], 0, 'down');
is(docker('ps', '-aq', '-f',
          "label=com.docker.compose.project=$ENV{COMPOSE_PROJECT_NAME}"), '',
   'nothing is left of the profile');
is(docker('volume', 'ls', '-q', '-f', "name=$ENV{COMPOSE_PROJECT_NAME}"), '',
   'nor its data');

done_testing();

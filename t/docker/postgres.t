# The profile of compose with PostgreSQL: two hosts behind one port, one of them
# or a standby away, and all of it stopped and started.  The image of PostgreSQL
# is made of Debian's, with what its own does at the start, so that none need be
# pulled.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use Test::More;

use Lyftr;
use Lyftr::Container qw(said docker);
use Lyftr::Server;


$ENV{LYFTR_IMAGE} or die "t/docker/run sets LYFTR_IMAGE\n";

delete @ENV{qw(HOST LOG_LEVEL WORKERS LYFTR_READ_ALLOW DATABASE_URL)};

$ENV{COMPOSE_PROJECT_NAME} = "lyftr-postgres-$$";
$ENV{WEBHOOK_SECRET} = 'testsecret';
$ENV{POSTGRES_PASSWORD} = 'test-password';
$ENV{POSTGRES_IMAGE} = 'lyftr-test-postgres';
$ENV{FRONT_PORT} = Lyftr::Server::free_port();

# as https://hub.docker.com/_/postgres says of it

my %file = (Dockerfile => <<'END', entry => <<'END');
FROM debian:bookworm-slim
RUN apt-get update -q \
    && apt-get install -qy --no-install-recommends postgresql \
    && install -d -o postgres /var/lib/postgresql/data
ENV PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin
VOLUME /var/lib/postgresql/data
COPY entry /entry
ENTRYPOINT ["bash", "/entry"]
CMD ["postgres"]
END
set -eu

if [ "$(id -u)" = 0 ]; then
    exec setpriv --reuid postgres --regid postgres --init-groups \
        bash "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb -D "$PGDATA" -U "$POSTGRES_USER" $POSTGRES_INITDB_ARGS \
        --pwfile=<(echo "$POSTGRES_PASSWORD") --auth-host=scram-sha-256 \
        --auth-local=trust
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
    pg_ctl -D "$PGDATA" -o '-c listen_addresses=' -w start
    psql -U "$POSTGRES_USER" -d postgres -c "CREATE DATABASE $POSTGRES_DB"
    for f in /docker-entrypoint-initdb.d/*.sh; do "$f"; done
    pg_ctl -D "$PGDATA" -m fast -w stop
fi

exec "$@" -D "$PGDATA"
END

my $dir = tempdir(CLEANUP => 1);

for my $name (keys %file) {
    open my $out, '>', "$dir/$name" or die "$name: $!";
    print $out $file{$name};
    close $out;
}

my ($code, $text) = said('docker', 'build', '-q', '-t', $ENV{POSTGRES_IMAGE},
                         $dir);
is($code, 0, 'an image of PostgreSQL') or diag $text;

my ($missing) = said('docker', 'compose', 'version');
my @compose = (split(' ', $ENV{COMPOSE}
                     || ($missing ? 'docker-compose' : 'docker compose')),
               '-f', 'docker/compose.yaml', '--profile', 'postgres');

END {
    local $?;
    said('make', 'down') if $ENV{COMPOSE_PROJECT_NAME};
}

sub compose {
    my ($name, @args) = @_;

    my ($code, $text) = said(@compose, @args);

    is($code, 0, $name) or diag $text;

    return $text;
}


# as a server of the tests

my $front = bless { port => $ENV{FRONT_PORT}, owner => 0 }, 'Lyftr::Server';

sub delivered {
    my ($id) = @_;

    my $answer = eval { $front->post(message(message_id => $id)) } // {};

    return ($answer->{status} // 0) == 200;
}

sub taken {
    my ($id, $name) = @_;

    ok(Lyftr::Server::wait_for(sub { delivered($id) }, 60), $name)
        or diag((said(@compose, 'logs', '--tail', 20))[1]);
}

sub total {
    my ($n, $name) = @_;

    like($front->get('/messages?limit=1')->{body}, qr/"total":$n,/, $name);
}

compose('they are started', 'up', '-d', 'front');
taken('m1', 'a message is taken');
taken('m1', 'and once more');
total(1, 'and stored once');

like(compose('the standby follows', 'exec', '-T', 'db', 'psql', '-U', 'lyftr',
             '-c', 'SELECT sync_state FROM pg_stat_replication'),
     qr/sync/, 'and is waited for');

for my $one (qw(api1 api2)) {
    compose("without $one", 'stop', $one);
    taken("without $one", 'the other one takes messages');
    compose("with $one", 'up', '-d', 'front');
    taken("with $one", 'both of them');
}

compose('without the standby', 'stop', 'standby');
ok(!delivered('lonely'), 'nothing is taken');
compose('with it', 'start', 'standby');
taken('lonely', 'but once it is back');

compose('all is stopped', 'stop');
compose('and started', 'up', '-d', 'front');
taken('after', 'takes messages');
total(7, 'and has those of before');

done_testing();

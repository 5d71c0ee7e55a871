# What a store in PostgreSQL does when the database is not as it should be:
# certificates, a full disk, no right to write, transactions that meet, and a
# standby that had not got everything.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use Test::More;

use Lyftr;
use Lyftr::Postgres;
use Lyftr::Server;
use Lyftr::Several qw(server result ready unready deliveries);

plan skip_all => 'there is no PostgreSQL' unless Lyftr::Postgres::there();
plan skip_all => 'the module knows no PostgreSQL'
    unless Lyftr::Postgres::known();

# mounts are made in a namespace of the script's own, and end with it

my $mounts = delete $ENV{LYFTR_FAULTS_MOUNTS};

if (!$mounts && $> == 0 && system('unshare --mount true 2>/dev/null') == 0) {
    $ENV{LYFTR_FAULTS_MOUNTS} = 1;
    exec 'unshare', '--mount', $^X, $0 or die "unshare: $!";
}

my $pg = Lyftr::Postgres->new;


# what is acknowledged is there, once, and was created

sub exact {
    my ($database, $servers, @acked) = @_;

    my @ids = $pg->ids($database);
    my %row = map { $_ => 1 } @ids;

    is(grep({ !$row{$_} } @acked), 0, 'all that was acknowledged is there');
    is(@ids, keys %row, 'once');
    is(result('created', @$servers), @ids, 'and was created');
}


subtest 'TLS' => sub {
    my $dir = tempdir(CLEANUP => 1);
    my $port = Lyftr::Server::free_port();

    # an authority of its own, and certificates for two names

    my $openssl = sub {
        system("cd $dir && openssl @_ >/dev/null 2>&1") == 0
            or die "openssl @_\n";
    };

    for my $ca ('ca', 'another') {
        $openssl->('req -x509 -newkey rsa:2048 -nodes -days 2',
                   "-subj /CN=$ca -keyout $ca.key -out $ca.crt");
    }

    $openssl->('req -newkey rsa:2048 -nodes -subj /CN=localhost',
               '-keyout key -out csr');
    $openssl->('x509 -req -in csr -CA ca.crt -CAkey ca.key -CAcreateserial',
               '-days 2 -out crt');

    chmod 0600, "$dir/key";
    chown scalar getpwnam('postgres'), -1, $dir, "$dir/key" if $> == 0;

    my $own = Lyftr::Postgres->new(port => $port, listen => '127.0.0.1',
        settings => { ssl => 'on', ssl_cert_file => "'$dir/crt'",
                      ssl_key_file => "'$dir/key'" });
    my $database = $own->database;
    my $url = sub {
        my ($host, $ca) = @_;

        return "postgresql://lyftr\@$host:$port/$database?hostaddr=127.0.0.1"
               . "&sslmode=verify-full&sslrootcert=$dir/$ca.crt";
    };

    my $server = server($url->('localhost', 'ca'));

    is(deliveries([$server], 'a' .. 'e'), 5, 'with the name it is issued to');
    is($own->psql($database, 'SELECT bool_and(ssl) FROM pg_stat_ssl JOIN'
                  . ' pg_stat_activity USING (pid) WHERE application_name ='
                  . " 'lyftr'"), "t\n", 'every connection is encrypted');
    $server->stop;

    for (['elsewhere', 'ca', qr/does not match host name/],
         ['localhost', 'another', qr/certificate verify failed/])
    {
        my ($host, $ca, $text) = @$_;

        $server = server($url->($host, $ca));
        unready($server, qr/cannot be opened/, "$host, $ca");
        is($server->post(message())->{status}, 503, 'takes nothing');
        like($server->log, $text, 'which the log has');
        $server->stop;
    }
};


subtest 'a disk that is full' => sub {
    plan skip_all => 'no mount namespace can be had' unless $mounts;

    my $own = Lyftr::Postgres->new;
    my $dir = "$own->{dir}/small";

    mkdir $dir or die "$dir: $!";
    system('mount', '-t', 'tmpfs', '-o', 'size=32m', 'none', $dir) == 0
        or die "mount failed\n";
    chown scalar getpwnam('postgres'), -1, $dir;

    my $database = 'small';

    $own->psql('postgres', "CREATE TABLESPACE small LOCATION '$dir'");
    $own->psql('postgres', "CREATE DATABASE $database TABLESPACE small");

    my $server = server($own->url($database));
    my $said = qr/No space left|could not extend/;
    my ($n, $full, @acked) = (0);

    # texts that are not compressed well

    my $post = sub {
        my ($id) = @_;
        my $text = join '', map { chr 33 + int rand 90 } 1 .. 3000;

        $text =~ tr/"\\/__/;

        return $server->post(qq({"message_id":"$id","from":"+1","to":"+2",)
            . qq("ts":"2025-01-15T10:00:00Z","text":"$text"}));
    };

    while ($n++ < 20000) {
        my $answer = $post->("d$n");

        # a slow machine has others

        if ($answer->{status} != 200) {
            $full = $answer;
            last if $server->log =~ $said;
            next;
        }

        push @acked, "d$n";
    }

    is($full->{status}, 503, 'what does not fit');
    cmp_ok(scalar @acked, '>', 100, 'after others');
    like($server->log, $said, 'which the log has');
    is($server->get('/messages?limit=1')->{status}, 200, 'reads go on');

    system('mount', '-o', 'remount,size=64m', $dir) == 0
        or die "mount failed\n";

    push @acked, "d$n" if $post->("d$n")->{status} == 200;
    push @acked, 'more' if $post->('more')->{status} == 200;

    is($acked[-1], 'more', 'with room it goes on');

    my %row = map { $_ => 1 } $own->ids($database);

    is(grep({ !$row{$_} } @acked), 0, 'all that was acknowledged is there');
    is(result('created', $server), keys %row, 'and was created');

    $server->stop;
    $own->stop('immediate');
    system('umount', $dir);
};


subtest 'no right to write' => sub {
    my $database = $pg->database;
    my $server = server($pg->url($database), store => 'timeout=3s');

    my @acked = deliveries([$server], 'a' .. 'e');

    is(@acked, 5, 'before');

    my $all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
              . " datname = '$database'";

    $pg->psql('postgres', "ALTER DATABASE $database SET"
                          . ' default_transaction_read_only = on');
    $pg->psql('postgres', $all);

    unready($server, qr/cannot be opened|read-only/, 'a database to read');
    is($server->post(message(message_id => 'f'))->{status}, 503,
       'takes nothing');

    $pg->psql('postgres', "ALTER DATABASE $database RESET"
                          . ' default_transaction_read_only');
    $pg->psql('postgres', $all);

    ready($server, 'until it may be written to');
    push @acked, deliveries([$server], 'f' .. 'j');
    is(@acked, 10, 'and goes on');
    exact($database, [$server], @acked);
};


subtest 'transactions that meet' => sub {
    my $database = $pg->database;
    my $server = server($pg->url($database));
    my @acked = deliveries([$server], 'before');

    $pg->psql($database, q{
        CREATE SEQUENCE lyftr.tries;
        CREATE FUNCTION lyftr.refuse() RETURNS trigger LANGUAGE plpgsql AS
            $f$ DECLARE n bigint := nextval('lyftr.tries'); BEGIN
                IF n < 3 THEN
                    RAISE 'they meet' USING ERRCODE = '40001';
                ELSIF n < 5 THEN
                    RAISE 'they meet' USING ERRCODE = '40P01';
                END IF;
                RETURN NULL;
            END $f$;
        CREATE TRIGGER refuse BEFORE INSERT ON lyftr.message
            FOR EACH STATEMENT EXECUTE FUNCTION lyftr.refuse();
    });

    push @acked, deliveries([$server], 'meets');

    is($pg->psql($database, 'SELECT last_value FROM lyftr.tries'), "5\n",
       'are tried again, until they do not');
    is("@acked", 'before meets', 'all are stored');
    exact($database, [$server], @acked);
    is_deeply([ $server->alarms ], [], 'no alarms');
};


# Nobody waits for it, so that it is behind when it takes over.

subtest 'a standby that has less' => sub {
    my $primary = Lyftr::Postgres->new(settings => { wal_keep_size => '64MB' });
    my $database = $primary->database;

    my $server = server($primary->url($database));
    is(deliveries([$server], 'a' .. 'e'), 5, 'both have these');
    $server->stop;

    my $standby = $primary->standby;

    $server = server("postgresql://lyftr\@/$database?host=$primary->{dir},"
                     . $standby->{dir}, store => 'timeout=3s');
    is(deliveries([$server], 'f'), 1, 'and this one');

    Lyftr::Server::wait_for { $standby->ids($database) == 6 };
    $standby->stop('fast');

    is(deliveries([$server], 'g' .. 'k'), 5, 'one has these');

    $primary->kill;
    $standby->start;
    $standby->psql('postgres', 'SELECT pg_promote(true, 10)');

    unready($server, qr/moved or deleted/, 'the other one is not taken');
    is($server->post(message(message_id => 'l'))->{status}, 503,
       'for messages neither');
    is($standby->ids($database), 6, 'which it does not store there either');

    $server->signal('HUP');
    ready($server, 'until a reload says that it is right');
    is(deliveries([$server], 'l'), 1, 'then it goes on');
    is_deeply([ sort $standby->ids($database) ], [ 'a' .. 'f', 'l' ],
              'with what it has, in any order');
};


done_testing();

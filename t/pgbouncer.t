# A store in PostgreSQL behind pgbouncer, which gives a connection to somebody
# else after each transaction.

use strict;
use warnings;

use lib 't/lib';
use POSIX ();
use Test::More;

use Lyftr;
use Lyftr::Postgres;
use Lyftr::Server;

plan skip_all => 'there is no PostgreSQL' unless Lyftr::Postgres::there();
plan skip_all => 'there is no pgbouncer'
    unless grep { -x "$_/pgbouncer" } split /:/, "$ENV{PATH}:/usr/sbin";

my $pg = Lyftr::Postgres->new;
my $port = Lyftr::Server::free_port();
my $dir = "$pg->{dir}/bouncer";
my $database = $pg->database;

mkdir $dir or die "$dir: $!";

open my $ini, '>', "$dir/ini" or die "ini: $!";
print $ini <<"END";
[databases]
* = host=$pg->{dir} port=$pg->{port} user=lyftr

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
ignore_startup_parameters = options
END
close $ini;

my @as = $> == 0 ? qw(runuser -u postgres --) : ();

chown scalar getpwnam('postgres'), -1, $dir, "$dir/ini" if @as;

my $bouncer = fork // die "fork: $!";

if ($bouncer == 0) {
    open STDOUT, '>', "$pg->{dir}/said" or POSIX::_exit(1);
    open STDERR, '>&', \*STDOUT;
    local $ENV{PATH} = "$ENV{PATH}:/usr/sbin";
    exec @as, 'pgbouncer', "$dir/ini" or POSIX::_exit(1);
}

my @servers = map {
    Lyftr::Server->new(url => "postgresql://127.0.0.1:$port/$database",
                       store => 'prepare=off search=on')
} 1 .. 2;

for (@servers) {
    my $server = $_;

    ok(Lyftr::Server::wait_for(sub {
           $server->get('/health/ready')->{status} == 200;
       }), 'a host is ready') or diag($server->log);
}

for my $n (0 .. 199) {
    my $answer = $servers[$n % 2]->post(message(
        message_id => 'm' . int($n / 2), text => "number $n"));

    last if !is($answer->{status}, 200, 'a delivery');
}

for my $query ('', '?from=%2B919876543210&since=2020-01-01T00:00:00Z',
               '?q=number', '?offset=90')
{
    like($_->get("/messages$query")->{body}, qr/"total":100,/,
         "total of $query") for @servers;
}

is_deeply([ map { $_->alarms } @servers ], [], 'no alarms');

$_->stop for @servers;

# runuser hands it on

kill 'TERM', $bouncer;
waitpid $bouncer, 0;

done_testing();

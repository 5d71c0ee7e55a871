# A store in PostgreSQL that two servers share: the database, and the workers
# that commit, are killed at random moments under load, and each row is there
# once, where all streams have it, and was counted once.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use List::Util qw(sum);
use Time::HiRes qw(sleep time);

use Lyftr;
use Lyftr::Client;
use Lyftr::Fault;
use Lyftr::Follower;
use Lyftr::Load;
use Lyftr::Postgres;
use Lyftr::Server;


skip('there is no PostgreSQL') if !Lyftr::Postgres::there();

my $rounds = scale(100, 4);
my $stream = 'location = /messages/stream { lyftr_stream main; }';


# the rows as a database of SQLite, for the comparison

sub copied {
    my ($pg, $database) = @_;

    my $dir = tempdir(CLEANUP => 1);

    open my $lines, '>', "$dir/lines" or die "lines: $!";
    print $lines $pg->psql($database, 'SELECT json_build_object('
        . "'id', message_id, 'from', from_msisdn, 'to', to_msisdn,"
        . " 'ts', ts, 'text', text) FROM lyftr.messages");
    close $lines;

    open my $sqlite, '|-', 'sqlite3', '-batch', "$dir/db" or die "sqlite3: $!";
    print $sqlite <<"SQL";
CREATE TABLE line (body TEXT);
.mode ascii
.separator "\\037" "\\n"
.import '$dir/lines' line
CREATE TABLE messages AS SELECT json_extract(body, '\$.id') AS message_id,
    json_extract(body, '\$.from') AS from_msisdn,
    json_extract(body, '\$.to') AS to_msisdn,
    json_extract(body, '\$.ts') AS ts,
    json_extract(body, '\$.text') AS text FROM line;
SQL
    close $sqlite or die "sqlite3: $?";

    return "$dir/db";
}


# Kills the database so many times; module: of the servers.  The comparison,
# what was created, and what the streams have of the rows, in their order.

sub kills {
    my ($rounds, $module) = @_;

    my $pg = Lyftr::Postgres->new;
    my $database = $pg->database;

    my @servers = map {
        Lyftr::Server->new(url => $pg->url($database), server => $stream,
                           store => 'durability=any',
                           $module ? (module => $module) : ());
    } 1 .. 2;

    my @loads = map {
        Lyftr::Load->start($servers[$_]{port}, c => 16, d => 3600, r => 1000,
                           p => $_)
    } 0, 1;

    for (1 .. $rounds) {
        sleep 0.3 + rand 0.7;
        $pg->kill;
        sleep rand 0.2;
        $pg->start;
    }

    sleep 1;
    $_->stop for @loads;

    Lyftr::Server::wait_for {
        !grep { $_->get('/health/ready')->{status} != 200 } @servers;
    };

    my $found = Lyftr::Load::compare(copied($pg, $database), @loads);
    my $created = sum map { $_->created } @servers;
    my @ids = map { $_->{id} }
        @{ $pg->rows($database, 'SELECT id FROM message ORDER BY seq') };
    my $wrong = 0;

    for my $server (@servers) {
        my $f = Lyftr::Follower->new($server,
            path => '/messages/stream?after=0&fields=message_id');

        $f->until(60, sub { @{ $_[0]{ids} } >= @ids });
        $wrong += "@{ $f->{ids} }" ne "@ids";
    }

    my ($total) = $servers[0]->get('/messages?limit=1')->{body}
        =~ /"total":(\d+)/;

    $_->stop for @servers;

    return ($found, $created, $wrong, $total);
}


my ($found, $created, $wrong, $total) = kills($rounds);

figure("$rounds kills of the database, lost", "$found->{lost} of "
       . "$found->{acked}", '0', $found->{lost} == 0
       && $found->{acked} > 100 * $rounds);
figure('stored twice, stored otherwise', "$found->{twice}, $found->{changed}",
       '0, 0', !$found->{twice} && !$found->{changed});
figure('created on both, rows', "$created, $found->{rows}", 'as many',
       $created == $found->{rows});
figure('total', $total, "$found->{rows}", $total == $found->{rows});
figure('streams that are not as the log', $wrong, '0', $wrong == 0);

($found) = kills(scale(10, 4), planted('pg_no_barrier'));
control('no barrier, lost', "$found->{lost} of $found->{acked}", '0',
        $found->{lost} > 0);

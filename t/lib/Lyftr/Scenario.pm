package Lyftr::Scenario;

# What happens to requests while processes and clients come and go.  Each
# scenario returns the faults it saw, so that the tests can require that there
# is none, and the controls that a planted one is seen.

use strict;
use warnings;

use Exporter qw(import);
use File::Temp qw(tempfile);
use POSIX ();
use Time::HiRes qw(sleep time);

use Lyftr qw(message);
use Lyftr::Client;
use Lyftr::Server;

our @EXPORT_OK = qw(held_up reloads early_write leave compare
                    stalled deleted kept_locked);

my $big = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n";


sub post {
    my ($client, $id) = @_;

    return $client->send(
        Lyftr::Client::delivery(Lyftr::Client::numbered($id)));
}


# The store exists before somebody else locks it; and before its disk stands
# still the housekeeping has done all it had to, or that would be its commit.

sub warm {
    my ($server) = @_;

    my $client = $server->client;
    post($client, 'warm');

    my $status = $client->response->{status};

    Lyftr::Server::wait_for { settled($server) } 5 if $server->{preload};

    return $status == 200 ? () : "the first delivery got $status";
}


sub settled {
    my ($server) = @_;

    my $samples = $server->samples;
    my ($rows, $left) = map {
        $samples->{qq(lyftr_store_$_\{store="main"})} // ''
    } qw(rows uncounted_rows);

    return $rows =~ /^[1-9]/ && $left eq '0';
}


# what is stored against the messages with these ids

sub compare {
    my ($server, @ids) = @_;

    my %row = map { $_->{message_id} => $_ } @{ $server->rows };
    my @faults;

    for my $id (@ids) {
        my $row = delete $row{$id};

        if (!$row) {
            push @faults, "row $id is not stored";

        } elsif (Lyftr::Client::encode($row)
                 ne Lyftr::Client::encode(Lyftr::Client::numbered($id)))
        {
            push @faults, "row $id differs";
        }
    }

    push @faults, map { "row $_ was stored" } sort keys %row;

    return @faults;
}


sub alarms {
    my ($server) = @_;

    return map { "log: $_" } $server->alarms;
}


sub counted {
    my ($server, $n) = @_;

    my $seen;

    Lyftr::Server::wait_for { ($seen = $server->created // -1) == $n } 10;

    return $seen == $n ? () : "counted $seen created instead of $n";
}


# commits are held up while the workers are told to stop by HUP or QUIT

sub held_up {
    my ($server, $signal, $n) = @_;

    my @faults = warm($server);
    my @ids = map { "held$_" } 1 .. $n;
    my $workers = () = $server->workers;
    my $stopping = $server->logged('gracefully shutting down');

    my $lock = $server->lock;
    my @clients = map { $server->client } @ids;

    post($clients[$_], $ids[$_]) for 0 .. $#ids;
    $server->drained or push @faults, 'requests were not read';

    $server->signal($signal);

    Lyftr::Server::wait_for {
        $server->logged('gracefully shutting down') >= $stopping + $workers
    } or push @faults, "the workers did not stop on $signal";

    # time for a worker to leave, or to answer, too early

    sleep 0.7;

    my $early = grep { $_->ready } @clients;
    push @faults, "$early were answered before the commit" if $early;

    $lock->release;

    for (0 .. $#ids) {
        my $r = $clients[$_]->response;
        push @faults, "$ids[$_] got " . ($r->{status} || $r->{why})
            if $r->{status} != 200;
    }

    push @faults, compare($server, 'warm', @ids);

    if ($signal eq 'HUP') {
        push @faults, counted($server, $n + 1);

    } else {
        my $status = $server->wait_exit;
        push @faults, 'nginx did not exit with 0'
            unless defined $status && $status == 0;
    }

    return @faults, alarms($server);
}


# a process that delivers over a connection it keeps, and tries again when that
# was closed; what was acknowledged and what went wrong goes to a file

sub deliver {
    my ($server, $name, $end, $file) = @_;

    my ($client, $n) = (undef, 0);

    while (time < $end) {
        my $id = sprintf '%s.%d', $name, ++$n;
        my $tries = 0;

        while (1) {
            $client //= $server->client;

            my $r = post($client, $id) ? $client->response
                                       : { status => 0, why => 'closed' };

            undef $client if $r->{close} || !$r->{status};

            if ($r->{status} == 200) {
                print $file "ok $id\n";
                last;
            }

            if ($r->{status} || $r->{begun} || $r->{why} ne 'closed'
                || ++$tries > 5)
            {
                print $file "bad $id got ", $r->{status} || $r->{why}, "\n";
                return;
            }
        }
    }
}


# HUP after HUP under load

sub reloads {
    my ($server, $seconds, $clients) = @_;

    my @faults = warm($server);
    my $end = time + $seconds;
    my %file;

    for my $name (1 .. $clients) {
        my ($file) = tempfile(UNLINK => 0, DIR => $server->{dir});
        my $pid = fork // die "fork: $!";

        if ($pid == 0) {
            eval { deliver($server, "load$name", $end, $file); 1 }
                or print $file "bad load$name: $@";
            close $file;
            POSIX::_exit(0);
        }

        $file{$pid} = $file;
    }

    my $reloads = 0;

    while (time < $end - 0.5) {
        $server->signal('HUP');
        $reloads++;
        sleep 0.5;
    }

    my @ids;

    for my $pid (keys %file) {
        waitpid $pid, 0;

        seek $file{$pid}, 0, 0;

        for (readline $file{$pid}) {
            push @ids, $1 if /^ok (.*)/;
            push @faults, $1 if /^bad (.*)/;
        }
    }

    push @faults, 'nothing was delivered' unless @ids;
    push @faults, compare($server, 'warm', @ids);
    push @faults, counted($server, 1 + @ids);
    push @faults, 'reloads were not seen'
        if $server->logged('reconfiguring') < $reloads / 2;

    return @faults, alarms($server);
}


# a connection that waits to write has write events; one that comes while a
# delivery waits for its commit is not the end of the wait

sub early_write {
    my ($server) = @_;

    my @faults = warm($server);
    my $client = $server->client(receive => 4096);

    $client->send($big);
    my $r = $client->response;
    push @faults, "the large file got $r->{status}" if $r->{status} != 200;

    my $lock = $server->lock;

    for my $id ('early1', 'early2') {
        post($client, $id);
        $server->drained if $id eq 'early1';
        sleep 0.3;
        push @faults, "answered before the commit" if $client->ready;
    }

    $lock->release;

    for my $id ('early1', 'early2') {
        $r = $client->response;
        push @faults, "$id got " . ($r->{status} || $r->{why})
            if $r->{status} != 200;
    }

    push @faults, compare($server, 'warm', 'early1', 'early2');
    push @faults, counted($server, 3);

    return @faults, alarms($server);
}


# clients that leave, by a method of Lyftr::Client, while the commit is held
# up; every second one has write events

sub leave {
    my ($server, $how, $n) = @_;

    my @faults = warm($server);
    my @ids = map { "left$_" } 1 .. $n;
    my @workers = $server->workers;
    my @clients;

    for (0 .. $#ids) {
        $clients[$_] = $server->client(receive => 4096);

        if ($_ % 2) {
            $clients[$_]->send($big);
            $clients[$_]->response;
        }
    }

    my $lock = $server->lock;

    post($clients[$_], $ids[$_]) for 0 .. $#ids;
    $server->drained or push @faults, 'requests were not read';

    $_->$how for @clients;

    # 01 is an established connection, 08 one whose other side has ended

    Lyftr::Server::wait_for { $server->connections('01') == 0 }
        or push @faults, 'the clients did not leave';

    # a later one on a connection that stays

    my $client = $server->client;
    post($client, 'stays');
    push @faults, 'answered before the commit' if $client->ready(0.3);

    $lock->release;

    my $status = $client->response->{status};
    push @faults, "the one that stayed got $status" if $status != 200;

    push @faults, counted($server, 2 + $n);
    push @faults, compare($server, 'warm', 'stays', @ids);
    push @faults, 'a worker is another'
        if "@workers" ne join ' ', $server->workers;

    return @faults, alarms($server);
}


# a worker stops while its commit stands still and the client was refused; the
# server has one worker and a deadline shorter than the client's patience

sub stalled {
    my ($server, $stall) = @_;

    my @faults = warm($server);
    my ($worker) = $server->workers;
    my $client = $server->client;

    $stall->on;
    post($client, 'stalled');
    $stall->reached or push @faults, 'the commit does not stand still';

    my $r = $client->response(5);
    push @faults, 'stalled got ' . ($r->{status} || $r->{why})
        if $r->{status} != 503;

    $server->signal('HUP');

    Lyftr::Server::wait_for {
        $server->logged('gracefully shutting down')
    } or push @faults, 'the worker did not stop';

    sleep 0.7;
    $stall->off;

    Lyftr::Server::wait_for { !grep { $_ == $worker } $server->workers }
        or push @faults, 'the worker did not end';

    push @faults, compare($server, 'warm', 'stalled');
    push @faults, counted($server, 2);

    return @faults, alarms($server);
}


# files of the store are deleted, and then comes a reload: its workers have to
# learn that there was one

sub deleted {
    my ($server, @suffixes) = @_;

    my @faults = warm($server);
    my @old = $server->workers;

    unlink "$server->{db}$_" for @suffixes;
    $server->signal('HUP');

    Lyftr::Server::wait_for {
        my %now = map { $_ => 1 } $server->workers;

        keys %now && !grep { $now{$_} } @old;
    };

    for my $n (1 .. 6) {
        my $status = $server->post(message(message_id => "m$n"))->{status};

        push @faults, "delivery $n got $status" if $status != 503;
    }

    my $ready = $server->get('/health/ready');

    push @faults, "it is ready: $ready->{body}"
        if $ready->{status} != 503 || $ready->{body} !~ /moved or deleted/;
    push @faults, 'the file is there again' if -e $server->{db};

    $server->stop;

    return @faults, alarms($server);
}


# A server whose database another process keeps locked, before it is adopted:
# all are refused, and nobody tries without a pause.  Lines that are left out
# are counted by the log.

sub kept_locked {
    my ($server, $seconds) = @_;

    my ($asked, @faults) = (0);

    # it has been tried before it is judged

    Lyftr::Server::wait_for {
        $asked++;
        $server->get('/health/ready')->{body} =~ /is locked/;
    };

    my $end = time + $seconds;

    while (time < $end) {
        my $r = $server->post(message());

        push @faults, "a delivery got $r->{status}" if $r->{status} != 503;
        push @faults, "a delivery took $r->{seconds} s" if $r->{seconds} > 5;
        $r = $server->get('/health/ready');
        push @faults, "it is $r->{body}" if $r->{body} !~ /is locked/;
        push @faults, 'it does not live'
            if $server->get('/health/live')->{status} != 200;

        $asked += 2;
        sleep 0.05;
    }

    my $lines = $server->logged('lyftr store');
    my $left = 0;

    $left += $_ for $server->log =~ /(\d+) more such lines left out/g;

    push @faults, 'the log does not tell' if $lines == 0;
    push @faults, "$lines lines in $seconds s" if $lines > 2 * $seconds + 20;
    push @faults, "$lines lines, and $left left out, of $asked requests"
        if $lines + $left > 2 * $asked + 20;

    return @faults;
}


1;

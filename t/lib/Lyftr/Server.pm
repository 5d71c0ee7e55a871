package Lyftr::Server;

# An nginx of its own: a master process and workers, started from a
# configuration in a temporary folder, for what Test::Nginx cannot do.

use strict;
use warnings;

use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use IPC::Open2 qw(open2);
use JSON::PP;
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

use Lyftr qw(endpoints signature postgres);
use Lyftr::Client;


my $patience = 20;


# waits for a condition, and returns what it returned

sub wait_for(&;$) {
    my ($condition, $seconds) = @_;

    my $end = time + ($seconds // $patience);

    while (1) {
        my $value = $condition->();
        return $value if $value || time > $end;
        sleep 0.02;
    }
}


sub free_port {
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
        or die "no free port: $@";

    return $socket->sockport;
}


# module: another one than the suite's; workers; url, store: of lyftr_store, and
# its parameters; listen: parameters of listen; main, http, server: more
# directives; connections: the most of a worker; daemon: off, or on;
# dir: that of another server, for its database; db: another database; port: a
# certain one; fill: SQL for the database; preload: a Lyftr::Stall; from: an
# address of ours for the requests

sub new {
    my ($class, %self) = @_;

    my $self = bless \%self, $class;

    $self->{owner} = $$;
    $self->{dir} //= tempdir(CLEANUP => 1);
    $self->{port} //= free_port();
    $self->{db} //= "$self->{dir}/app.db";
    $self->{log} = "$self->{dir}/error.log";

    unlink $self->{log};
    $self->write_large;
    $self->configure;
    $self->sql($self->{fill}) if $self->{fill};

    my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
    my $fresh = !postgres() && !-e $self->{db} && !$self->{preload};

    $self->{pid} = fork // die "fork: $!";

    if ($self->{pid} == 0) {
        open STDOUT, '>', "$self->{dir}/stdout";
        open STDERR, '>&', \*STDOUT;
        $ENV{LD_PRELOAD} = $self->{preload}->object if $self->{preload};
        exec $nginx, '-p', "$self->{dir}/", '-c', 'nginx.conf',
             '-e', $self->{log} or POSIX::_exit(1);
    }

    my $up;

    wait_for {
        $up = IO::Socket::INET->new("127.0.0.1:$self->{port}");
        $up || waitpid($self->{pid}, WNOHANG) != 0;
    };

    $up or delete $self->{pid}, die "nginx does not answer: " . $self->log;

    # the first worker sets a new store up, one that it cannot nobody can; or it
    # adopts what is there

    if ($fresh || $self->{fill}) {
        wait_for {
            -s "$self->{db}-wal"
                && $self->sql('PRAGMA user_version')->[0]{user_version};
        } $self->{fill} ? 60 : 1;
    }

    return $self;
}


# more than the buffers of a connection hold

sub write_large {
    my ($self) = @_;

    open my $file, '>', "$self->{dir}/large" or die "large: $!";
    print $file 'x' x (8 << 20);
    close $file;
}


sub configure {
    my ($self) = @_;

    my $module = $self->{module} || $ENV{TEST_NGINX_LOAD_MODULES};
    my $load = $module ? "load_module $module;" : '';
    my $user = $> == 0 ? 'user root root;' : '';

    my %value = (workers => 2, url => Lyftr::store_url($self->{db}), store => '',
                 listen => '', main => '', http => '', server => '',
                 connections => 1024, daemon => 'off', %$self);
    my $endpoints = endpoints();

    open my $conf, '>', "$self->{dir}/nginx.conf" or die "nginx.conf: $!";
    print $conf <<"END";
$load
$user
daemon $value{daemon};
worker_processes $value{workers};
pid nginx.pid;
error_log $self->{log} notice;
$value{main}
events { worker_connections $value{connections}; }
http {
    lyftr_store main "$value{url}" $value{store};
    lyftr_secret testsecret;
    access_log off;
    client_body_temp_path client_body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    $value{http}
    server {
        listen 127.0.0.1:$self->{port} backlog=1024 $value{listen};
        $value{server}
        $endpoints
        location = /large { root $self->{dir}; }
    }
}
END
    close $conf;
}


sub client {
    my ($self, %options) = @_;

    return Lyftr::Client->new($self->{port}, from => $self->{from}, %options);
}


sub get {
    my ($self, $path) = @_;

    my $client = $self->client;
    $client->send("GET $path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");

    return $client->response;
}


# a request of any kind on a connection of its own; what came back until the end
# of a body of known length, or of the connection, and how long it took

sub exchange {
    my ($self, $bytes) = @_;

    my $start = time;
    my $client = $self->client;

    my ($head, $body);

    $client->send($bytes);

    while ($client->fill($start + $patience)) {
        ($head, $body) = split /(?<=\r\n)\r\n/, $client->{in}, 2;

        last if defined $body && $bytes !~ /\AHEAD /
                && $head =~ /^content-length: *(\d+)/mi
                && length $body >= $1;
    }

    my ($status) = ($head // '') =~ m{\AHTTP/1\.1 (\d+)};

    return { status => $status // 0, head => $head // '', body => $body // '',
             seconds => time - $start };
}


# a request with these lines of headers

sub request {
    my ($self, $line, @headers) = @_;

    return $self->exchange(join "\r\n", "$line HTTP/1.1", 'Host: a',
                           'Connection: close', @headers, '', '');
}


# a signed delivery

sub post {
    my ($self, $body, @headers) = @_;

    return $self->exchange(join "\r\n", 'POST /webhook HTTP/1.1', 'Host: a',
                           'Connection: close', signature($body),
                           'Content-Length: ' . length $body, @headers, '',
                           $body);
}


# the value of a metric's sample, by its whole name

sub metric {
    my ($self, $name) = @_;

    my ($value) = $self->get('/metrics')->{body} =~ /^\Q$name\E (\S+)$/m;

    return $value;
}


# all of them

sub samples {
    my ($self) = @_;

    return { $self->get('/metrics')->{body} =~ /^([^#].*) (\S+)$/mg };
}


sub created {
    return $_[0]->metric('webhook_requests_total{result="created"}');
}


sub signal {
    my ($self, $signal) = @_;

    kill $signal, $self->{pid} or die "kill: $!";
}


# the exit code, or undef if it does not end

sub wait_exit {
    my ($self, $seconds) = @_;

    my $status;

    wait_for {
        my $pid = waitpid $self->{pid}, WNOHANG;
        $status = $? if $pid == $self->{pid};
        $pid != 0;
    } $seconds;

    delete $self->{pid} if defined $status;

    return $status;
}


sub stop {
    my ($self) = @_;

    return unless $self->{pid};

    local $?;

    kill 'QUIT', $self->{pid};
    return if defined $self->wait_exit(15);

    kill 'TERM', $self->{pid};
    return if defined $self->wait_exit(5);

    kill 'KILL', $self->{pid};
    $self->wait_exit(5);
}


sub DESTROY {
    my ($self) = @_;

    $self->stop if $self->{pid} && $self->{owner} == $$;
}


sub workers {
    my ($self) = @_;

    open my $ps, '-|', 'ps', '-o', 'pid=', '--ppid', $self->{pid}
        or die "ps: $!";

    return sort { $a <=> $b } map { /(\d+)/ } <$ps>;
}


sub log {
    my ($self) = @_;

    open my $file, '<', $self->{log} or return '';
    local $/;

    return <$file> // '';
}


# how often a pattern is in the log

sub logged {
    my ($self, $pattern) = @_;

    my $n = () = $self->log =~ /$pattern/g;

    return $n;
}


# the lines that never may be there

sub alarms {
    my ($self) = @_;

    return grep { /\[(?:alert|emerg|crit)\]|open socket/ }
           split /\n/, $self->log;
}


sub sql {
    my ($self, $sql) = @_;

    return Lyftr::store_rows($self->{db}, $sql) if postgres();

    open my $out, '-|', 'sqlite3', '-json', '-cmd', '.timeout 10000',
         $self->{db}, $sql or die "sqlite3: $!";
    local $/;
    my $json = <$out>;

    return $json ? decode_json($json) : [];
}


# Rows leave that a condition on message_id and seq names, as by retention; or
# as if it were an older copy of the store, which has not had their places.

sub remove {
    my ($self, $where, $older) = @_;

    if (postgres()) {
        Lyftr::store_remove($self->{db}, $where, $older);
        return;
    }

    $self->sql("DELETE FROM lyftr_message WHERE $where;"
               . ($older ? 'UPDATE lyftr_state SET mark = 0' : ''));
}


# many rows of one instant behind all that are there; their texts have so many
# characters, and a number

sub fill {
    my ($self, $n, $length) = @_;

    if (postgres()) {
        Lyftr::store_fill($self->{db}, $n, $length);
        return;
    }

    $self->sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
               . " WHERE i < $n) INSERT INTO lyftr_message (id_hash, instant,"
               . " message_id, from_msisdn, to_msisdn, ts, created_at, text)"
               . " SELECT i, x'0000000001', printf('m%05d', i), '+1', '+2',"
               . " '2025-01-15T10:00:00Z', '2025-01-15T10:00:00Z',"
               . " printf('%.${length}c', 'x') || i || '.' FROM n");
}


# What only some rows have: lists of a place, a type, and a raw, both as SQL.
# A store whose sums do not fit is to have check=off.

sub extra {
    my ($self, @rows) = @_;

    if (postgres()) {
        Lyftr::store_change($self->{db}, map {
            "UPDATE message SET type = $_->[1],"
            . " raw = convert_to($_->[2], 'UTF8') WHERE seq = $_->[0]"
        } @rows);

        return;
    }

    $self->sql('INSERT INTO lyftr_extra (seq, type, raw, sum) VALUES '
               . join ', ', map { "($_->[0], $_->[1], $_->[2], 0)" } @rows);
}


# the newest place given

sub place {
    my ($self) = @_;

    return $self->sql(postgres() ? 'SELECT n FROM ticket'
        : 'SELECT max(max(seq), (SELECT mark FROM lyftr_state)) AS n'
          . ' FROM lyftr_message')->[0]{n};
}


# ids, and when they came, in the order of arrival

sub arrived {
    my ($self) = @_;

    my $stamp = q{'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'};

    return @{ $self->sql(postgres()
        ? "SELECT id || id_rest AS message_id, to_char(created_at"
          . " AT TIME ZONE 'UTC', $stamp) AS created_at FROM message"
          . " ORDER BY seq"
        : 'SELECT message_id, created_at FROM lyftr_message ORDER BY seq') };
}


# the stored messages, in the form of Lyftr::Client::numbered()

sub rows {
    my ($self) = @_;

    return $self->sql('SELECT message_id, from_msisdn AS "from",
                       to_msisdn AS "to", ts, text FROM messages
                       ORDER BY message_id');
}


# another process takes the write lock, until the object is gone

sub lock {
    my ($self) = @_;

    return Lyftr::Server::Lock->new($self->{db});
}


# all connections were accepted, and what was sent on them was read

sub drained {
    my ($self) = @_;

    my $port = sprintf ':%04X', $self->{port};

    return wait_for {
        open my $tcp, '<', '/proc/net/tcp' or die "tcp: $!";

        for (<$tcp>) {
            my (undef, $local, undef, $state, $queues) = split;
            next unless $local =~ /$port$/ && $state ne '0A';
            return 0 if $queues !~ /:0+$/;
        }

        return 1;
    };
}


# the server's connections in one of the kernel's states, as it numbers them

sub connections {
    my ($self, $state) = @_;

    my $port = sprintf ':%04X', $self->{port};

    open my $tcp, '<', '/proc/net/tcp' or die "tcp: $!";

    return scalar grep { (split)[1] =~ /$port$/ && (split)[3] eq $state }
                       <$tcp>;
}


package Lyftr::Server::Lock;

# mode: of the transaction

sub new {
    my ($class, $db, $mode) = @_;

    $mode //= 'IMMEDIATE';

    my @client = Lyftr::postgres() ? Lyftr::store_client($db)
                 : ('sqlite3', '-batch', $db);

    my $pid = IPC::Open2::open2(my $out, my $in, @client);
    my $self = bless { pid => $pid, in => $in, out => $out }, $class;

    $in->autoflush(1);
    print $in Lyftr::postgres()
        ? "BEGIN; UPDATE lyftr.ticket SET n = n; SELECT 'locked';\n"
        : ".bail on\n.timeout 10000\nBEGIN $mode;\nSELECT 'locked';\n";

    my $line = <$out>;
    die "the lock was not taken\n" unless ($line // '') =~ /^locked/;

    return $self;
}


sub release {
    my ($self) = @_;

    my $in = delete $self->{in} or return;

    local ($?, $!);

    print $in "ROLLBACK;\n";
    close $in;
    waitpid $self->{pid}, 0;
}


sub DESTROY { $_[0]->release }


1;

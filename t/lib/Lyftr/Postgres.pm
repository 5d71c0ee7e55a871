package Lyftr::Postgres;

# A PostgreSQL of the tests' own, on a socket, and databases in it.  What says
# of behaviour runs on it as well: with LYFTR_POSTGRES, the folder of its
# socket, the stores of the tests are there.

use strict;
use warnings;

use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);
use JSON::PP;
use POSIX ();


my $version = (sort { $b <=> $a } map { m{/(\d+)\z} }
               glob '/usr/lib/postgresql/*')[0];
our $tools = '/usr/lib/postgresql/' . ($version // 0) . '/bin';

# it refuses to run as root

my @as = $> == 0 ? qw(runuser -u postgres --) : ();

my $number = 0;


sub there { return -x "$tools/initdb" }


# is the module built with libpq?

sub known {
    my $module = $ENV{TEST_NGINX_LOAD_MODULES} or return 1;

    open my $file, '<:raw', $module or return 1;
    local $/;

    return scalar <$file> =~ /PQconnectStartParams/;
}


# in memory, if that is there: what a sync takes is not what is tested.
# settings: of postgresql.conf; encoding; port: of the socket, and of TCP with
# listen; data: a folder that is there, such as a standby's

sub new {
    my ($class, %self) = @_;

    my $self = bless { port => 5432, encoding => 'UTF8', owner => $$, %self },
                     $class;

    $self->{dir} //= tempdir('lyftr-pg.XXXXXX',
                             DIR => -w '/dev/shm' ? '/dev/shm' : '/tmp',
                             CLEANUP => 0);
    $self->{data} //= "$self->{dir}/data";

    if ($> == 0) {
        chown scalar getpwnam('postgres'), -1, $self->{dir};
        chmod 0755, $self->{dir};
    }

    if (!-e "$self->{data}/PG_VERSION") {
        my $locale = $self->{encoding} eq 'UTF8' ? 'C.UTF-8' : 'C';

        quietly("$tools/initdb", '-D', $self->{data}, '-A', 'trust', '-N',
                '-U', 'lyftr', '-E', $self->{encoding}, "--locale=$locale");
    }

    $self->start;

    return $self;
}


sub start {
    my ($self) = @_;

    my %setting = (
        unix_socket_directories => "'$self->{dir}'",
        listen_addresses        => $self->{listen} ? "'$self->{listen}'" : "''",
        max_connections         => 200,
        %{ $self->{settings} // {} },
    );

    quietly("$tools/pg_ctl", '-D', $self->{data}, '-w', '-l',
            "$self->{data}.log", '-o',
            join(' ', "-p $self->{port}",
                 map { "-c $_=$setting{$_}" } sort keys %setting),
            'start');
}


# fast, or immediate, which is a crash to it

sub stop {
    my ($self, $mode) = @_;

    quietly("$tools/pg_ctl", '-D', $self->{data}, '-m', $mode // 'fast', '-w',
            'stop');
}


sub pid {
    my ($self) = @_;

    open my $file, '<', "$self->{data}/postmaster.pid" or return;

    return <$file> =~ /(\d+)/ ? $1 : undef;
}


# of the server and all of its processes, at once

sub kill {
    my ($self) = @_;

    my $pid = $self->pid or return;

    open my $ps, '-|', 'ps', '-o', 'pid=', '--ppid', $pid or die "ps: $!";
    my @child = map { /(\d+)/ } <$ps>;

    CORE::kill 'KILL', $pid, @child;

    # its memory is in use until the last one has gone

    for (1 .. 500) {
        last unless grep { CORE::kill 0, $_ } $pid, @child;
        select undef, undef, undef, 0.01;
    }
}


sub destroy {
    my ($self) = @_;

    local $?;

    eval { $self->stop('immediate') };
    remove_tree($self->{dir});
}


sub DESTROY {
    my ($self) = @_;

    $self->destroy if $self->{owner} == $$ && !$self->{keep};
}


# another server that follows this one

sub standby {
    my ($self) = @_;

    my $dir = tempdir('lyftr-pg.XXXXXX',
                      DIR => -w '/dev/shm' ? '/dev/shm' : '/tmp');

    if ($> == 0) {
        chown scalar getpwnam('postgres'), -1, $dir;
        chmod 0755, $dir;
    }

    quietly("$tools/pg_basebackup", '-h', $self->{dir}, '-p', $self->{port},
            '-U', 'lyftr', '-D', "$dir/data", '-R', '-N', '-c', 'fast');

    return ref($self)->new(dir => $dir, port => $self->{port});
}


# the URL of a new database, or of one with a name

sub url {
    my ($self, $name) = @_;

    return "postgresql://lyftr\@/$name?host=$self->{dir}&port=$self->{port}";
}


sub database {
    my ($self, $name) = @_;

    $name //= "t${$}_" . ++$number;

    $self->psql('postgres', "CREATE DATABASE $name");

    return $name;
}


sub client {
    my ($self, $database) = @_;

    return ('psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-h',
            $self->{dir}, '-p', $self->{port}, '-U', 'lyftr', '-d', $database);
}


sub psql {
    my ($self, $database, $sql) = @_;

    open my $out, '-|', $self->client($database), '-c', $sql
        or die "psql: $!";
    local $/;
    my $text = <$out> // '';

    close $out or die "psql: $sql\n";

    return $text;
}


# the rows of a query, in the tables of a store

sub rows {
    my ($self, $database, $sql) = @_;

    my $json = $self->psql($database,
        "SET search_path = lyftr; SELECT json_agg(t) FROM ($sql) t");

    return $json =~ /\S/ ? decode_json($json) : [];
}


# those of its messages, in the order of arrival

sub ids {
    my ($self, $database) = @_;

    return map { $_->{id} }
        @{ $self->rows($database, 'SELECT id FROM message ORDER BY seq') };
}


# what it has logged, from a byte on

sub log {
    my ($self, $from) = @_;

    open my $file, '<', "$self->{data}.log" or return '';
    local $/;

    return substr <$file> // '', $from // 0;
}


# the one that all tests of a run share

sub shared {
    return bless { dir => $ENV{LYFTR_POSTGRES}, port => 5432, keep => 1,
                   owner => 0 },
                 __PACKAGE__;
}


sub quietly {
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec @as, @_ or POSIX::_exit(1);
    }

    waitpid $pid, 0;
    $? == 0 or die "@_: $?\n";
}


1;

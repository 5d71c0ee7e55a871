package Lyftr::Load;

# The load generator of t/bench in the background, with a list of what was
# acknowledged, and the comparison of that list with a database.

use strict;
use warnings;

use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use JSON::PP;
use POSIX ();


sub program {
    my $build = $ENV{BUILD} || getcwd . '/build';

    system "make -s -C t/bench BUILD='$build' '$build/load' >&2" and
        die "the load generator was not built\n";

    return "$build/load";
}


# starts it; options are those of the program by their letters, port is
# required, and a list of acknowledged bodies is kept unless acks is 0

sub start {
    my ($class, $port, %options) = @_;

    my $dir = tempdir(CLEANUP => 1);
    my $self = bless { dir => $dir, acks => "$dir/acks", owner => $$ }, $class;

    my $acks = delete $options{acks} // 1;
    my @command = (program(), '-P', $port, $acks ? ('-a', $self->{acks}) : (),
                   map { ("-$_", $options{$_}) } sort keys %options);

    open my $touch, '>', $self->{acks} or die "acks: $!";
    close $touch;

    $self->{pid} = fork // die "fork: $!";

    if ($self->{pid} == 0) {
        open STDOUT, '>', "$dir/report" or POSIX::_exit(1);
        exec @command or POSIX::_exit(1);
    }

    return $self;
}


sub running {
    my ($self) = @_;

    return $self->{pid} && waitpid($self->{pid}, POSIX::WNOHANG()) == 0;
}


# ends it before its time

sub stop {
    my ($self) = @_;

    kill 'INT', $self->{pid} if $self->{pid};

    return $self->wait;
}


# its report

sub wait {
    my ($self) = @_;

    if (my $pid = delete $self->{pid}) {
        local $?;
        waitpid $pid, 0;
    }

    open my $file, '<', "$self->{dir}/report" or die "report: $!";
    local $/;
    my $json = <$file>;

    return decode_json($json // die "the load generator has failed\n");
}


# Compares what was acknowledged with the rows of a database: how many messages
# there were (acked), are missing (lost), are stored otherwise than they were
# sent (changed), how many rows (rows) and how many of these are copies (twice).
# Several lists may be given; a damaged database dies.

sub compare {
    my ($db, @lists) = @_;

    my $import = join "\n", map { ".import '$_' ack" }
                            grep { -s $_ } map { ref $_ ? $_->{acks} : $_ }
                            @lists;

    my $script = <<"END";
.bail on
CREATE TABLE ack (body TEXT);
.mode ascii
.separator "\\037" "\\n"
$import
CREATE TABLE want AS SELECT DISTINCT
    json_extract(body, '\$.message_id') AS id,
    json_extract(body, '\$.from') AS sender,
    json_extract(body, '\$.to') AS recipient,
    json_extract(body, '\$.ts') AS ts,
    json_extract(body, '\$.text') AS text FROM ack;
CREATE INDEX want_id ON want (id);
ATTACH '$db' AS s;
BEGIN;
CREATE TABLE have AS SELECT w.id AS id,
    m.from_msisdn IS w.sender AND m.to_msisdn IS w.recipient
    AND m.ts IS w.ts AND m.text IS w.text AS same
    FROM s.messages AS m CROSS JOIN want AS w ON w.id = m.message_id;
.mode json
SELECT (SELECT count(*) FROM want) AS acked,
    (SELECT count(*) FROM want)
        - (SELECT count(DISTINCT id) FROM have) AS lost,
    (SELECT count(*) FROM have WHERE NOT same) AS changed,
    (SELECT count(*) FROM s.messages) AS rows,
    (SELECT count(*) - count(DISTINCT message_id) FROM s.messages) AS twice;
END

    my $file = File::Temp->new;
    print $file $script;
    close $file;

    my $json = `sqlite3 -batch -cmd '.timeout 20000' :memory: <$file 2>&1`;

    die "the rows could not be compared: $json" if $? || $json !~ /^\[/;

    return decode_json($json)->[0];
}


# ok, or what SQLite found; for a store that no process has open

sub integrity {
    my ($db) = @_;

    my $said = `sqlite3 -batch '$db' 'PRAGMA integrity_check' 2>&1`;
    chomp $said;

    return $said;
}


sub DESTROY {
    my ($self) = @_;

    return if $self->{owner} != $$ || !$self->{pid};

    local $?;

    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
}


1;

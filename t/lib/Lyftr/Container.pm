package Lyftr::Container;

# The image in a container, hardened as compose does it.  LYFTR_IMAGE is its
# name; whatever engine the docker command talks to is used.

use strict;
use warnings;

use parent 'Lyftr::Server';

use Exporter qw(import);
use File::Temp qw(tempdir);
use JSON::PP;

our @EXPORT_OK = qw(said docker entries);

my @hardened = qw(--read-only --tmpfs /tmp --cap-drop ALL
                  --security-opt no-new-privileges);


# a command's exit code, and what it said

sub said {
    my @command = @_;

    my $pid = open(my $out, '-|') // die "fork: $!";

    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(127);
    }

    local ($/, $?);
    my $text = <$out> // '';
    close $out;

    return ($? >> 8, $text);
}


# what docker said, if it did it

sub docker {
    my ($code, $text) = said('docker', @_);

    die "docker @_: $text" if $code;

    chomp $text;

    return $text;
}


# lines as objects; one that is none has an error, and a tool's own remarks are
# no lines

sub entries {
    my ($text) = @_;

    my @lines = map { s/\A\e\[2K//r } split /\n/, $text;

    return map { my $entry = eval { decode_json($_) };
                 ref $entry eq 'HASH' ? $entry : { error => $_ } }
           grep { !/^Attaching to / } @lines;
}


# env: variables to set, or to leave out if undef; options: more of docker run;
# up: 0 if it is not waited for

sub new {
    my ($class, %self) = @_;

    my $self = bless \%self, $class;

    $self->{owner} = $$;
    $self->{port} //= Lyftr::Server::free_port();

    my %env = (WEBHOOK_SECRET => 'testsecret', WORKERS => 2,
               %{ $self->{env} // {} });

    $self->{id} = docker('run', '-d', @hardened,
        '-p', "127.0.0.1:$self->{port}:8000",
        (map { ('-e', "$_=$env{$_}") } grep { defined $env{$_} } sort keys %env),
        @{ $self->{options} // [] }, $ENV{LYFTR_IMAGE});

    $self->await if $self->{up} // 1;

    return $self;
}


# until it is ready

sub await {
    my ($self) = @_;

    Lyftr::Server::wait_for {
        my $r = eval { $self->get('/health/ready') };
        $r && $r->{status} == 200;
    } 30 or die "the container is not ready: " . $self->log;
}


sub log {
    my ($self) = @_;

    return (said('docker', 'logs', $self->{id}))[1];
}


sub signal {
    my ($self, $signal) = @_;

    docker('kill', '-s', $signal, $self->{id});
}


sub start {
    my ($self) = @_;

    docker('start', $self->{id});
    $self->await;
}


sub halt {
    my ($self) = @_;

    docker('stop', '-t', 30, $self->{id});
}


sub inspect {
    my ($self, $format) = @_;

    return docker('inspect', '-f', $format, $self->{id});
}


# the exit code, when it has ended

sub wait_exit {
    my ($self) = @_;

    return docker('wait', $self->{id});
}


sub run {
    my ($self, @command) = @_;

    return (said('docker', 'exec', $self->{id}, @command))[1];
}


# by their numbers outside

sub workers {
    my ($self) = @_;

    my $processes = docker('top', $self->{id}, '-o', 'pid,args');

    return sort { $a <=> $b } $processes =~ /^ *(\d+) +nginx: worker/mg;
}


# a copy of the store of a container that does not run

sub copy {
    my ($self) = @_;

    my $dir = tempdir(CLEANUP => 1);

    docker('cp', "$self->{id}:/data/.", $dir);

    return "$dir/app.db";
}


sub stop {
    my ($self) = @_;

    my $id = delete $self->{id} or return;

    local $?;
    said('docker', 'rm', '-f', '-v', $id);
}


sub DESTROY {
    my ($self) = @_;

    $self->stop if $self->{id} && $self->{owner} == $$;
}


1;

package Lyftr::Watch;

# Clients that deliver or read all the time and note each answer, so that a rig
# can tell what was answered to requests sent before, in and after a fault.  A
# message that was refused is delivered again until it is acknowledged, as
# senders do.

use strict;
use warnings;

use File::Temp qw(tempdir);
use List::Util qw(max min);
use POSIX ();
use Time::HiRes qw(sleep time);

use Lyftr qw(message signature);
use Lyftr::Client;


my $watches = 0;


# how many clients: by path, /webhook those that deliver; pause: seconds between
# two requests of one

sub start {
    my ($class, $server, %clients) = @_;

    my $self = bless { dir => tempdir(CLEANUP => 1), pids => [], lists => [],
                       owner => $$, pause => delete $clients{pause} // 0.005,
                       server => $server, name => 'w' . ++$watches }, $class;

    for my $path (sort keys %clients) {
        $self->client($path, $_) for 1 .. $clients{$path};
    }

    return $self;
}


sub client {
    my ($self, $path, $number) = @_;

    my $name = sprintf '%s.%d.%d', $self->{name}, $$, scalar @{ $self->{pids} };
    my $pid = fork // die "fork: $!";

    push @{ $self->{lists} }, "$self->{dir}/$name.acks" if $path eq '/webhook';
    push @{ $self->{pids} }, $pid;

    return if $pid;

    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);

    eval { $self->ask($path, $name); 1 } or print STDERR $@;
    POSIX::_exit(0);
}


# in the process of a client

sub ask {
    my ($self, $path, $name) = @_;

    my ($client, $body);
    my $n = 0;

    open my $list, '>', "$self->{dir}/$name.answers" or die "answers: $!";
    open my $acks, '>', "$self->{dir}/$name.acks" or die "acks: $!";

    until (-e "$self->{dir}/stop") {
        my $start = time;
        my $bytes = "GET $path HTTP/1.1\r\nHost: a\r\n\r\n";

        if ($path eq '/webhook') {
            $body //= message(message_id => "$name." . ++$n,
                              text => "text $n of $name");
            $bytes = "POST $path HTTP/1.1\r\nHost: a\r\n" . signature($body)
                     . "\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
        }

        $client //= eval { $self->{server}->client };

        my $r = $client && $client->send($bytes) ? $client->response
                                                 : { status => 0 };

        undef $client if !$r->{status} || $r->{close};

        syswrite $list, join("\t", $path, $start, time, $r->{status},
                             Lyftr::Client::header($r, 'Retry-After') // '',
                             substr $r->{body} // '', 0, 200) . "\n";

        if ($body && $r->{status} == 200) {
            syswrite $acks, "$body\n";
            undef $body;
        }

        sleep $self->{pause};
    }
}


# ends the clients, and knows the answers then

sub stop {
    my ($self) = @_;

    local $?;

    open my $file, '>', "$self->{dir}/stop" or die "stop: $!";
    close $file;

    waitpid $_, 0 for splice @{ $self->{pids} };

    for my $name (glob "$self->{dir}/*.answers") {
        open my $list, '<', $name or die "$name: $!";

        for (<$list>) {
            chomp;
            my %answer;
            @answer{qw(path start end status retry body)} = split /\t/, $_, 6;
            push @{ $self->{answers} }, \%answer;
        }
    }

    return $self;
}


# to requests of a path that were sent in this time

sub answers {
    my ($self, $path, $from, $to) = @_;

    return grep { $_->{path} eq $path && $_->{start} >= ($from // 0)
                  && $_->{start} < ($to // 9e9) } @{ $self->{answers} };
}


# of answers, how long the slowest took

sub slowest { return max(0, map { $_->{end} - $_->{start} } @_) }


# of answers, those that are no 503 with Retry-After

sub unrefused {
    return grep { $_->{status} != 503 || $_->{retry} !~ /^[1-9]\d*$/ } @_;
}


# seconds from a time until all deliveries were acknowledged, or infinity

sub again {
    my ($self, $time) = @_;

    my @later = grep { $_->{end} > $time } $self->answers('/webhook');
    my @good = grep { $_->{status} == 200 } @later;

    return 9**9**9 unless @good;

    return max(min(map { $_->{end} } @good),
               map { $_->{end} } grep { $_->{status} != 200 } @later) - $time;
}


# the lists of acknowledged bodies, for Lyftr::Load::compare()

sub acks { return @{ $_[0]{lists} } }


sub DESTROY {
    my ($self) = @_;

    return if $self->{owner} != $$;

    local $?;

    kill 'KILL', @{ $self->{pids} };
    waitpid $_, 0 for @{ $self->{pids} };
}


1;

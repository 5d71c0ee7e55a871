package Lyftr::Pipeline;

# Many requests in little time: a few connections, with several requests on
# their way on each.

use strict;
use warnings;

use Exporter qw(import);
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(time);

our @EXPORT = qw(pipeline);

my $connections = 4;
my $patience = 30;

# what is written ahead of the answers, in bytes

my $ahead = 1 << 18;


# Sends what $next returns, [bytes, data], until it returns nothing, and calls
# $answer with the data, the status, the body and the head; status 0 is none.
# depth: requests on their way on a connection

sub pipeline {
    my ($port, $next, $answer, %option) = @_;

    my $depth = $option{depth} // 32;
    my $self = { next => $next, again => [] };
    my %open = map { ($_->{socket} => $_) }
               map { connection($port) } 1 .. $connections;

    my $end = time + $patience;

    while (1) {
        fill($self, $_, $depth) for values %open;

        my @read = map { $_->{socket} } grep { @{ $_->{sent} } } values %open;
        my @write = map { $_->{socket} }
                    grep { length $_->{out} } values %open;

        last if !@read;

        my ($readable, $writable) = IO::Select::select(
            IO::Select->new(@read), IO::Select->new(@write), undef, 1);

        die "no answer in $patience s\n" if time > $end;

        for (@{ $writable // [] }) {
            local $SIG{PIPE} = 'IGNORE';
            my $c = $open{$_};
            my $n = syswrite $_, $c->{out}, 1 << 16;

            substr $c->{out}, 0, $n, '' if $n;
            $c->{out} = '' if !defined $n && !$!{EAGAIN};
        }

        for (@{ $readable // [] }) {
            my $c = $open{$_};
            my $n = sysread $_, $c->{in}, 1 << 18, length $c->{in};

            next if !defined $n && $!{EAGAIN};

            $end = time + $patience;
            my $close = answers($c, $answer);

            next if $n && !$close;

            # a close without an answer is about the next request; those behind
            # it were not looked at

            my $lost = $close ? undef : shift @{ $c->{sent} };
            $answer->($lost->[1], 0, '', '') if $lost;

            push @{ $self->{again} }, @{ $c->{sent} };

            delete $open{$_};
            $c = connection($port);
            $open{ $c->{socket} } = $c;
        }
    }
}


sub connection {
    my ($port) = @_;

    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $port)
        or die "connect: $!";

    $socket->blocking(0);

    return { socket => $socket, out => '', in => '', sent => [] };
}


# more requests for a connection

sub fill {
    my ($self, $c, $depth) = @_;

    while (@{ $c->{sent} } < $depth && length $c->{out} < $ahead) {
        my $request = shift @{ $self->{again} };

        $request //= $self->{next} && $self->{next}->();

        if (!$request) {
            $self->{next} = undef;
            return;
        }

        push @{ $c->{sent} }, $request;
        $c->{out} .= $request->[0];
    }
}


# the whole answers that are there; true if the last one closes the connection

sub answers {
    my ($c, $answer) = @_;

    while ((my $at = index $c->{in}, "\r\n\r\n") >= 0) {
        my $head = substr $c->{in}, 0, $at + 2;
        my ($status) = $head =~ m{\AHTTP/1\.1 (\d+)} or return 1;
        my ($length) = $head =~ /^content-length: *(\d+)/mi;

        die "an answer without a length: $head" if !defined $length;
        last if length $c->{in} < $at + 4 + $length;

        my $body = substr $c->{in}, $at + 4, $length;
        substr $c->{in}, 0, $at + 4 + $length, '';

        my $request = shift @{ $c->{sent} };
        $answer->($request->[1], $status, $body, $head);

        return 1 if $head =~ /^connection: *close/mi;
    }

    return 0;
}


1;

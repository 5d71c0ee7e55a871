package Lyftr::Client;

# A connection that sends what it is told and takes answers apart.

use strict;
use warnings;

use IO::Select;
use IO::Socket;
use JSON::PP;
use Socket qw(AF_INET AF_INET6 SOCK_STREAM SOL_SOCKET SO_LINGER SO_RCVBUF
              IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

use Lyftr qw(sign);


my $json = JSON::PP->new->canonical->utf8;


# a message that tells from its number what has to be stored

sub numbered {
    my ($id) = @_;

    return {
        message_id => $id,
        from       => '+919876543210',
        to         => '+14155550100',
        ts         => '2025-01-15T10:00:00.5Z',
        text       => "$id \"q\" \\ %_ \x{e9}\x{1f600}",
    };
}


# the bytes of a delivery

sub delivery {
    my ($message, $secret) = @_;

    my $body = $json->encode($message);

    return "POST /webhook HTTP/1.1\r\nHost: a\r\nX-Signature: "
           . sign($body, $secret) . "\r\nContent-Length: " . length($body)
           . "\r\n\r\n$body";
}


sub encode { return $json->encode($_[0]) }


# receive: the size of the receive buffer; from: an address of our own, and with
# an IPv6 one the server is looked for at ::1

sub new {
    my ($class, $port, %options) = @_;

    my $from = $options{from} // '';
    my ($domain, $to) = $from =~ /:/
        ? (AF_INET6, Socket::pack_sockaddr_in6($port, Socket::IN6ADDR_LOOPBACK))
        : (AF_INET, pack_sockaddr($port));

    my $socket = IO::Socket->new;
    $socket->socket($domain, SOCK_STREAM, 0) or die "socket: $!";

    if ($from) {
        bind $socket, own_sockaddr($domain, $from) or die "bind to $from: $!";
    }

    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, $options{receive}
        if $options{receive};

    connect $socket, $to or die "connect: $!";
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;

    return bless { socket => $socket, in => '',
                   select => IO::Select->new($socket) }, $class;
}


sub pack_sockaddr {
    return Socket::pack_sockaddr_in($_[0], Socket::INADDR_LOOPBACK());
}


# of the loopback interface, which has the index 1

sub own_sockaddr {
    my ($domain, $address) = @_;

    my $packed = Socket::inet_pton($domain, $address);

    return $domain == AF_INET6
        ? Socket::pack_sockaddr_in6(0, $packed, 1)
        : Socket::pack_sockaddr_in(0, $packed);
}


# 0 if the connection was closed

sub send {
    my ($self, $bytes) = @_;

    local $SIG{PIPE} = 'IGNORE';

    while (length $bytes) {
        my $n = syswrite $self->{socket}, $bytes;
        return 0 unless $n;
        substr $bytes, 0, $n, '';
    }

    return 1;
}


# is there anything to read, or the end, within so many seconds?

sub ready {
    my ($self, $seconds) = @_;

    return length $self->{in} || $self->{select}->can_read($seconds // 0);
}


# more bytes; 0 at the end, undef if none came in time

sub fill {
    my ($self, $end) = @_;

    my $left = $end - time;
    return undef unless $left > 0 && $self->{select}->can_read($left);

    return sysread($self->{socket}, $self->{in}, 1 << 18, length $self->{in})
           || 0;
}


# one answer as a hash; status 0 if there is none, and then why

sub response {
    my ($self, $seconds) = @_;

    my $end = time + ($seconds // 20);
    my ($head, $length);

    while (1) {
        if (!defined $head && $self->{in} =~ s/\A(.*?\r\n)\r\n//s) {
            $head = $1;
            $length = $head =~ /^content-length: *(\d+)/mi ? $1 : undef;
        }

        last if defined $head && defined $length
                && length $self->{in} >= $length;

        my $n = $self->fill($end);
        next if $n;

        return { status => 0, why => 'timeout', begun => defined $head }
            unless defined $n;

        last if defined $head && !defined $length;

        return { status => 0, why => 'closed',
                 begun => defined $head || length $self->{in} > 0 };
    }

    $length //= length $self->{in};

    my ($status) = $head =~ m{\AHTTP/1\.1 (\d+)};
    my $body = substr $self->{in}, 0, $length, '';

    return { status => $status, head => $head, body => $body,
             close => scalar($head =~ /^connection: *close/mi) };
}


sub header {
    my ($response, $name) = @_;

    return ($response->{head} // '') =~ /^\Q$name\E: *([^\r]*)/mi ? $1 : undef;
}


sub close {
    my ($self) = @_;

    CORE::close $self->{socket};
}


# ends what it sends, and still reads

sub finish {
    my ($self) = @_;

    shutdown $self->{socket}, 1;
}


# closes by a reset

sub reset {
    my ($self) = @_;

    setsockopt $self->{socket}, SOL_SOCKET, SO_LINGER, pack 'II', 1, 0;
    CORE::close $self->{socket};
}


1;

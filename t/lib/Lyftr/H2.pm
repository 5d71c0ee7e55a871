package Lyftr::H2;

# As much of HTTP/2 as it takes to send frames in an order of one's own, with
# prior knowledge.

use strict;
use warnings;

use Lyftr::Client;
use Time::HiRes qw(time);

my ($DATA, $HEADERS, $RESET, $SETTINGS, $PING, $GOAWAY, $WINDOW)
    = (0, 1, 3, 4, 6, 7, 8);
my ($END_STREAM, $END_HEADERS, $ACK) = (1, 4, 1);

# of the static table

my %static = (0x88 => 200, 0x89 => 204, 0x8a => 206, 0x8b => 304,
              0x8c => 400, 0x8d => 404, 0x8e => 500);


sub new {
    my ($class, $port) = @_;

    my $self = bless { conn => Lyftr::Client->new($port), next => 1,
                       window => 65535, initial => 65535, streams => {} },
               $class;

    $self->{conn}->send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    $self->frame($SETTINGS, 0, 0, '');
    1 while !$self->{settings} && $self->take(time + 10);

    return $self;
}


sub frame {
    my ($self, $type, $flags, $stream, $payload) = @_;

    return $self->{conn}->send(
        substr(pack('N', length $payload), 1)
        . pack('CCN', $type, $flags, $stream) . $payload);
}


# literal fields, without Huffman's code and not indexed

sub literal {
    return join '', map { pack('C', 0) . string($_->[0]) . string($_->[1]) }
                    @_;
}


sub string {
    my ($s) = @_;

    my $length = length $s;
    return pack('C', $length) . $s if $length < 127;

    my $more = $length - 127;
    my $bytes = pack 'C', 127;

    while ($more > 127) {
        $bytes .= pack 'C', $more % 128 + 128;
        $more = int($more / 128);
    }

    return $bytes . pack('C', $more) . $s;
}


# opens a stream; the body may follow by data()

sub request {
    my ($self, $method, $path, $end, @fields) = @_;

    my $id = $self->{next};
    $self->{next} += 2;
    $self->{streams}{$id} = { window => $self->{initial}, body => '' };

    $self->frame($HEADERS, $END_HEADERS | ($end ? $END_STREAM : 0), $id,
        literal([':method', $method], [':scheme', 'http'],
                [':path', $path], [':authority', 'a'], @fields));

    return $id;
}


# within the windows that the server opens

sub data {
    my ($self, $id, $body, $size) = @_;

    my $stream = $self->{streams}{$id};
    my $end = time + 20;

    do {
        my $n = length $body;

        for ($size // 16384, $self->{window}, $stream->{window}) {
            $n = $_ if $n > $_;
        }

        if ($n || !length $body) {
            my $part = substr $body, 0, $n, '';

            $self->{window} -= $n;
            $stream->{window} -= $n;
            $self->frame($DATA, length $body ? 0 : $END_STREAM, $id, $part);

        } else {
            $self->take($end) or return 0;
        }
    } while length $body;

    return 1;
}


sub reset {
    my ($self, $id) = @_;

    return $self->frame($RESET, 0, $id, pack 'N', 8);
}


# takes one frame in; 0 if there is none

sub take {
    my ($self, $end) = @_;

    my $conn = $self->{conn};
    my $length;

    while (1) {
        $length = length $conn->{in} >= 9
                  ? unpack('N', "\0" . substr $conn->{in}, 0, 3) : undef;

        last if defined $length && length $conn->{in} >= 9 + $length;

        my $n = $conn->fill($end);

        if (!$n) {
            $self->{closed} = defined $n;
            return 0;
        }
    }

    my (undef, $type, $flags, $id) = unpack 'a3CCN', $conn->{in};
    my $payload = substr $conn->{in}, 9, $length;
    substr $conn->{in}, 0, 9 + $length, '';

    my $stream = $self->{streams}{$id};

    if ($type == $SETTINGS && !($flags & $ACK)) {
        my @pairs = unpack '(nN)*', $payload;

        while (my ($name, $value) = splice @pairs, 0, 2) {
            next if $name != 4;
            $_->{window} += $value - $self->{initial}
                for values %{ $self->{streams} };
            $self->{initial} = $value;
        }

        $self->{settings} = 1;
        $self->frame($SETTINGS, $ACK, 0, '');

    } elsif ($type == $WINDOW) {
        my $add = unpack 'N', $payload;

        if ($id == 0) {
            $self->{window} += $add;
        } elsif ($stream) {
            $stream->{window} += $add;
        }

    } elsif ($type == $PING && !($flags & $ACK)) {
        $self->frame($PING, $ACK, 0, $payload);

    } elsif ($type == $GOAWAY) {
        $self->{goaway} = 1;

    } elsif ($type == $HEADERS && $stream) {
        $stream->{status} = status($payload);
        $stream->{done} = 1 if $flags & $END_STREAM;

    } elsif ($type == $DATA && $stream) {
        $stream->{body} .= $payload;
        $stream->{done} = 1 if $flags & $END_STREAM;

    } elsif ($type == $RESET && $stream) {
        $stream->{done} = $stream->{reset} = 1;
    }

    return 1;
}


# nginx sends the status first, after a change of the table's size

sub status {
    my ($fields) = @_;

    $fields =~ s/\A[\x20-\x3f]+//;

    my $first = ord $fields;
    return $static{$first} if $static{$first};

    return $fields =~ /\A[\x08\x18\x48]\x03(\d{3})/ ? $1 : 0;
}


# the status of a stream, when it has ended; 0 if it does not

sub response {
    my ($self, $id, $seconds) = @_;

    my $stream = $self->{streams}{$id};
    my $end = time + ($seconds // 20);

    while (!$stream->{done}) {
        $self->take($end) or return 0;
    }

    return $stream->{status} // 0;
}


# how many streams have got an answer within so many seconds

sub answered {
    my ($self, $seconds) = @_;

    my $end = time + $seconds;

    1 while $self->take($end);

    return scalar grep { $_->{status} } values %{ $self->{streams} };
}


# a signed delivery; whole unless told to leave the body to data()

sub deliver {
    my ($self, $message, $size) = @_;

    my ($head, $body) = split /\r\n\r\n/,
                        Lyftr::Client::delivery($message), 2;
    my ($signature) = $head =~ /X-Signature: (\S+)/;

    my $id = $self->request('POST', '/webhook', 0,
                            ['x-signature', $signature]);
    $self->data($id, $body, $size);

    return $id;
}


1;

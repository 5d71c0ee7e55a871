package Lyftr::Follower;

# A client of a stream, which takes its events apart, and comes back with the
# place of the last one, as a browser does.

use strict;
use warnings;

use JSON::PP;
use Time::HiRes qw(sleep time);

use Lyftr::Client;


# path: of the stream; id: where it goes on; headers: more of them; each: takes
# an event, which is not kept then; forgets: it comes back to where it began

sub new {
    my ($class, $server, %self) = @_;

    my $self = bless { server => $server, path => '/messages/stream',
                       events => [], ids => [], %self }, $class;

    $self->{first} = $self->{id};

    $self->open;

    return $self;
}


sub open {
    my ($self) = @_;

    my $id = $self->{forgets} ? $self->{first} : $self->{id};

    delete @$self{qw(head)};
    $self->{in} = $self->{body} = '';

    $self->{client} = eval { $self->{server}->client } or return;

    $self->{client}->send(join "\r\n", "GET $self->{path} HTTP/1.1", 'Host: a',
        defined $id ? "Last-Event-ID: $id" : (),
        @{ $self->{headers} // [] }, '', '');
}


# takes what has come; 0 if the connection was closed, or the body has ended

sub take {
    my ($self, $end) = @_;

    my $client = $self->{client} or return 0;
    my $n = $client->fill($end);

    if (!defined $self->{head}) {
        $client->{in} =~ s/\A(.*?\r\n)\r\n//s or return $n;
        $self->{head} = $1;
    }

    return 0 if $self->{head} !~ m{\AHTTP/1\.1 200 };

    while ($client->{in} =~ /\A([0-9a-f]+)\r\n/) {
        my ($len, $skip) = (hex $1, $+[0]);

        if ($len == 0) {
            $self->{whole}++;
            return 0;
        }

        last if length $client->{in} < $skip + $len + 2;

        $self->{body} .= substr $client->{in}, $skip, $len;
        substr $client->{in}, 0, $skip + $len + 2, '';
    }

    while ($self->{body} =~ s/\A(.*?\n)\n//s) {
        $self->event($1);
    }

    return $n;
}


sub event {
    my ($self, $lines) = @_;

    my %event;

    for (split /\n/, $lines) {
        $self->{comments}++ if /\A:/;
        $event{$1} = $2 if /\A(\w+): (.*)\z/;
    }

    $self->{id} = $event{id};
    return $self->{each}->(\%event) if $self->{each};

    push @{ $self->{events} }, \%event;
    push @{ $self->{ids} }, decode_json($event{data})->{message_id}
        if $event{event} eq 'message';
}


# follows, and comes back, until the condition holds

sub until {
    my ($self, $seconds, $condition) = @_;

    my $end = time + $seconds;

    while (!$condition->($self) && time < $end) {
        my $n = $self->take(time + 0.05);

        if (defined $n && $n == 0) {
            sleep 0.02;
            $self->open;
        }
    }

    return $condition->($self);
}


1;

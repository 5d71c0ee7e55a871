package Lyftr::Several;

# What is asked of servers that share a store in PostgreSQL.

use strict;
use warnings;

use Exporter qw(import);
use Test::More;

use Lyftr::Client;
use Lyftr::Server;

our @EXPORT_OK = qw(server result ready unready deliveries);


sub server {
    my ($url, %option) = @_;

    my $stream = 'location = /messages/stream { lyftr_stream main; }';

    return Lyftr::Server->new(url => $url, server => $stream, %option);
}


# the sum of a counter

sub result {
    my ($name, @servers) = @_;

    my $sum = 0;
    $sum += $_->metric(qq(webhook_requests_total{result="$name"}))
        for @servers;

    return $sum;
}


# the store is not ready, for this reason

sub unready {
    my ($server, $detail, $name) = @_;

    my $ready;

    Lyftr::Server::wait_for {
        $ready = $server->get('/health/ready');
        $ready->{status} == 503 && $ready->{body} =~ $detail;
    } 15;

    is($ready->{status}, 503, $name);
    like($ready->{body}, $detail, 'and says why');
}


sub ready {
    my ($server, $name) = @_;

    my $ready;

    Lyftr::Server::wait_for {
        $ready = $server->get('/health/ready');
        $ready->{status} == 200;
    } 15;

    is("$ready->{status} $ready->{body}", '200 {"status":"ready"}', $name);
}


# deliveries on some connections at once, by their ids; those acknowledged

sub deliveries {
    my ($servers, @ids) = @_;

    my (@acked, @pending);
    my $n = 0;

    for my $id (@ids) {
        my $client = $servers->[$n++ % @$servers]->client;
        $client->send(Lyftr::Client::delivery(Lyftr::Client::numbered($id)));
        push @pending, [ $id, $client ];
    }

    for (@pending) {
        my ($id, $client) = @$_;
        my $answer = $client->response(20);
        push @acked, $id if ($answer->{status} // 0) == 200;
    }

    return @acked;
}


1;

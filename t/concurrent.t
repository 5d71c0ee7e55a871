# Each message is stored exactly once: copies that come at the same instant, to
# two workers, and ten thousand messages over 64 connections.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use JSON::PP ();
use Test::More;

use Lyftr;
use Lyftr::Server;


my $rounds = 10;
my $copies = 20;
my $messages = 10_000;

my $dir = tempdir(CLEANUP => 1);


# delivers the bodies at the same instant: all is sent but their last byte, then
# these; the answers

sub at_once {
    my ($server, @bodies) = @_;

    my @clients = map { $server->client } @bodies;

    for my $i (0 .. $#bodies) {
        my $body = $bodies[$i];

        $clients[$i]->send(join "\r\n", 'POST /webhook HTTP/1.1', 'Host: a',
                           signature($body), 'Content-Length: ' . length $body,
                           '', substr $body, 0, -1);
    }

    $server->drained;

    for my $i (0 .. $#bodies) {
        $clients[$i]->send(substr $bodies[$i], -1);
    }

    return map { my $answer = $_->response; "$answer->{status} "
                                            . ($answer->{body} // '') }
               @clients;
}


sub result {
    my ($server, $result) = @_;

    return $server->metric(qq(webhook_requests_total{result="$result"}));
}


# the rows as the bodies of the load generator were

sub stored {
    my ($server) = @_;

    my $json = JSON::PP->new->utf8->allow_nonref;
    my @field = qw(message_id from to ts text);

    return sort map {
        my $row = $_;
        '{' . join(',', map { qq("$_":) . $json->encode($row->{$_}) } @field)
            . '}'
    } @{ $server->rows };
}


sub load {
    my ($server) = @_;

    unlink "$dir/acks";

    my $options = "-P $server->{port} -n $messages -c 64 -s 20250115";

    note(qx($dir/load $options -a $dir/acks 2>&1));

    open my $acks, '<', "$dir/acks" or die "the load left no acks: $!";
    chomp(my @acks = <$acks>);

    return sort @acks;
}


my $server = Lyftr::Server->new(workers => 2, listen => 'reuseport');

subtest 'copies of a message at the same instant' => sub {

    for my $round (1 .. $rounds) {
        my @answers = at_once($server,
                              (message(message_id => "m$round")) x $copies);

        is_deeply(\@answers, [ ('200 ' . ok_body()) x $copies ],
                  "round $round: 200 to all");
        is(result($server, 'created'), $round, 'one is created');
        is(result($server, 'duplicate'), $round * ($copies - 1),
           'the others are duplicates');
    }

    is_deeply([ stored($server) ],
              [ sort map { message(message_id => "m$_") } 1 .. $rounds ],
              'one row a message, as it was sent');
};


subtest 'one id with other contents at the same instant' => sub {

    for my $round (1 .. $rounds) {
        my @bodies = map { message(message_id => "o$round", from => "+$_",
                                   text => "text $_") } 1 .. $copies;

        is_deeply([ at_once($server, @bodies) ],
                  [ ('200 ' . ok_body()) x $copies ],
                  "round $round: 200 to all");

        my @rows = grep { /"o$round"/ } stored($server);

        is(@rows, 1, 'one row');
        is(scalar(grep { $_ eq $rows[0] } @bodies), 1, 'it is one of them');
    }

    is(result($server, 'created'), 2 * $rounds, 'what was created');
    is(result($server, 'duplicate'), 2 * $rounds * ($copies - 1),
       'what was a duplicate');
};


subtest "$messages messages over 64 connections" => sub {

    system("make -s -C t/bench BUILD=$dir >&2") == 0
        or plan skip_all => 'the load generator does not build';

    $server = Lyftr::Server->new(workers => 2, listen => 'reuseport');

    my @sent = load($server);
    my @rows = stored($server);

    is(@sent, $messages, 'all were acknowledged');
    is(@rows, $messages, 'as many rows');
    ok("@rows" eq "@sent", 'each row is what was sent');

    is(result($server, 'created'), $messages, 'all are created');
    like($server->get('/messages?limit=1')->{body}, qr/"total":$messages,/,
         'and listed');
    like($server->get('/stats')->{body}, qr/"total_messages":$messages,/,
         'and counted');


    # the same ids again, with other times

    isnt("@{[ load($server) ]}", "@sent", 'the same ids with other contents');

    ok("@{[ stored($server) ]}" eq "@sent", 'the rows stay as they were');
    is(result($server, 'created'), $messages, 'nothing is created');
    is(result($server, 'duplicate'), $messages, 'all are duplicates');

    is_deeply($server->sql('PRAGMA integrity_check'),
              [ { integrity_check => 'ok' } ], 'the database is sound')
        unless postgres();
};


is_deeply([ $server->alarms ], [], 'no alarms in the log');

done_testing();

# DELETE: what is erased is in no answer from then on, and does not come again.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep time);

use Lyftr;
use Lyftr::Client;
use Lyftr::Follower;
use Lyftr::Server;


my $dir = tempdir(CLEANUP => 1);
my $key = "$dir/key";
my $token = 'Authorization: Bearer eraser';

my $conf = <<'END';
location = /messages/export { lyftr_export main; }
location = /messages/stream { lyftr_stream main; }
location = /erase { lyftr_erase main; lyftr_erase_token eraser; }
location = /both { lyftr_erase main; lyftr_messages main;
                   lyftr_erase_token "none eraser"; }
location = /some { lyftr_messages main; lyftr_erase main;
                   lyftr_erase_token eraser; lyftr_read_allow $arg_read; }
location = /token { lyftr_messages main; lyftr_erase main;
                    lyftr_erase_token eraser; lyftr_read_token reader; }
END


sub wait_for(&;$) { goto &Lyftr::Server::wait_for }


sub write_key {
    my ($bytes, $mode) = @_;

    unlink $key;
    open my $file, '>', $key or die "$key: $!";
    print $file $bytes;
    close $file;
    chmod $mode, $key;
}


sub json { return decode_json($_[0]->get($_[1])->{body}) }


sub ids {
    my ($server, $path) = @_;

    return join ' ', map { $_->{message_id} } @{ json($server, $path)->{data} };
}


# rows that are erased, or the whole answer if that is no 200

sub erase {
    my ($server, $query, $path) = @_;

    my $got = $server->request('DELETE ' . ($path // '/erase') . "?$query",
                               $token);

    return $got->{status} == 200 ? decode_json($got->{body})->{erased}
                                 : "$got->{status} $got->{body}";
}


sub put {
    my ($server, $i, %with) = @_;

    return $server->post(message(message_id => sprintf('m%02d', $i),
                                 from => '+' . ($i % 4), to => '+' . ($i % 3),
                                 ts => '2025-01-15T10:00:00Z',
                                 text => ($i % 2 ? 'odd' : 'even') . " $i",
                                 %with))->{status};
}


# nothing of it is left

sub gone {
    my ($server) = @_;

    return wait_for {
        $server->samples->{'lyftr_store_erasing_rows{store="main"}'} == 0
            && $server->sql('SELECT erase + emptying AS n FROM lyftr_state')
               ->[0]{n} == 0;
    };
}


write_key('k' x 40, 0600);

my $server = Lyftr::Server->new(server => $conf,
                                store => "search=on erase_key=$key");

put($server, $_) for 1 .. 40;

# who may, and what can be said

for my $case (
    [ 'DELETE /erase?id=m01', '', 401, 'without a token' ],
    [ 'DELETE /erase?id=m01', 'Authorization: Bearer other', 401,
      'with another one' ],
    [ 'GET /erase?id=m01', $token, 405, 'with another method' ],
    [ 'DELETE /messages?id=m01', $token, 405, 'where lists only are' ],
    [ 'DELETE /some?id=m01&read=', $token, 403, 'who may not read' ],
    [ 'DELETE /token?id=m01', 'Authorization: Bearer reader', 401,
      'who may only read' ],
    [ 'DELETE /erase', $token, 422, 'nothing' ],
    [ 'DELETE /erase?', $token, 422, 'nothing at all' ],
    [ 'DELETE /erase?id=', $token, 422, 'an empty id' ],
    [ 'DELETE /erase?id=m01&id=m02', $token, 422, 'two ids' ],
    [ 'DELETE /erase?id=m01&from=%2B1', $token, 422, 'an id and a sender' ],
    [ 'DELETE /erase?from=%2B1&since=2025-01-15T10:00:00Z', $token, 422,
      'less than all of a sender' ],
    [ 'DELETE /erase?from=%2B1&x', $token, 422, 'something unknown' ],
    [ 'DELETE /erase?id=m%00', $token, 422, 'a zero' ],
    [ 'DELETE /erase?id=m%ff', $token, 422, 'what is no UTF-8' ],
) {
    my ($line, $header, $status, $name) = @$case;

    is($server->request($line, $header || ())->{status}, $status,
       "$name: $status");
}

my $got = $server->request('DELETE /erase?from=%2B1&q=x', $token);
is_deeply(decode_json($got->{body})->{detail}[0]{loc}, [ 'query', 'q' ],
          'the fault tells what is not permitted');
is(decode_json($got->{body})->{detail}[0]{type}, 'extra_forbidden', 'and so');

$got = $server->request('PUT /both', $token);
like($got->{head} // '', qr/^Allow: GET, HEAD, DELETE\r$/m,
     'a location of both tells what it can') if $got->{head};
is($got->{status}, 405, 'and that is all');

is(json($server, '/messages')->{total}, 40, 'nothing was erased');
is(json($server, '/both')->{total}, 40, 'and both lists');

# an id, and all that is read

my $page = json($server, '/messages?limit=100&fields=message_id,cursor');
my %cursor = map { $_->{message_id} => $_->{cursor} } @{ $page->{data} };

my $live = Lyftr::Follower->new($server, path => '/messages/stream?after=0');

is(erase($server, 'id=m05'), 1, 'a message is erased');
is(erase($server, 'id=m05'), 0, 'once');
is(erase($server, 'id=m99'), 0, 'and what is not there is not');
is(json($server, '/messages')->{total}, 39, 'the total');
is(json($server, '/messages?id=m05')->{total}, 0, 'by its id');
is(json($server, '/messages?from=%2B1')->{total}, 9, 'of its sender');
is(json($server, '/messages?q=odd%205')->{total}, 0, 'with its text');
is(json($server, '/stats')->{total_messages}, 39, 'stats');
unlike($server->get('/messages/export')->{body}, qr/m05/, 'the export');
is($server->sql("SELECT count(*) AS n FROM messages WHERE message_id = 'm05'")
   ->[0]{n}, 0, 'the view');
is((split / /, ids($server, "/messages?after=$cursor{m05}"))[0], 'm06',
   'a page after it goes on behind it');

my $after = Lyftr::Follower->new($server, id => $cursor{m05});
$after->until(10, sub { @{ $_[0]{ids} } >= 35 });
is($after->{ids}[0], 'm06', 'and so does a stream');

# a sender

is(erase($server, 'from=+2', '/both'), 10, 'all of a sender are erased');
is(json($server, '/messages?from=%2B2')->{total}, 0, 'none is left');

my $stats = json($server, '/stats');
is($stats->{senders_count}, 3, 'the sender is not counted');
is($stats->{total_messages}, 29, 'nor are the messages');
is_deeply([ map { "$_->{from} $_->{count}" }
            @{ $stats->{messages_per_sender} } ],
          [ '+0 10', '+3 10', '+1 9' ], 'nor among the largest');

# who got them

my $to = json($server, '/messages?limit=100');
my @to = grep { $_->{to} eq '+1' } @{ $to->{data} };

is(erase($server, 'to=%2B1'), scalar @to, 'all to somebody are erased');
$to = json($server, '/messages?limit=100');
is(scalar(grep { $_->{to} eq '+1' } @{ $to->{data} }), 0, 'none is left');
is($to->{total}, 29 - @to, 'and the others are');

# again

my $left = ids($server, '/messages?limit=100');

is(put($server, 5), 200, 'what was erased is taken');
is(put($server, 2), 200, 'whatever it was by');
is(put($server, 4, from => '+77'), 200, 'and with other content');
is(ids($server, '/messages?limit=100'), $left, 'and is not there');
is($server->created, 40, 'nor counted as new');

is(put($server, 50, from => '+2'), 200, 'what the sender sends now');
is(ids($server, '/messages?from=%2B2'), 'm50', 'is there');

# a copy is none while there is something left of it

my $backup = 'docker/backup';

sub copied {
    my ($server) = @_;

    unlink "$dir/copy.db";
    my $said = qx($backup $server->{db} $dir/copy.db 2>&1);

    return $? == 0 ? 'copied' : $said;
}

erase($server, 'id=m08');
like(copied($server), qr/messages are being erased: begin anew/,
     'no copy has what is being erased');

# in the end nothing is left of it

ok(gone($server), 'it is gone');
is($server->sql('SELECT count(*) AS n FROM lyftr_message')->[0]{n},
   29 - @to, 'from the log');
is(copied($server), 'copied', 'it is copied then');
is(qx(sqlite3 $dir/copy.db 'SELECT count(*) FROM messages'), 29 - @to . "\n",
   'without it');
is($server->samples->{'lyftr_store_erased_rows_total{store="main"}'},
   12 + @to, 'and counted');
is(json($server, '/messages?q=odd')->{total}
   + json($server, '/messages?q=even')->{total}, 29 - @to, 'searches go on');
is(put($server, 5), 200, 'it still');
is(json($server, '/messages?id=m05')->{total}, 0, 'does not come again');

# a worker is killed after the answer, and then all of them

is(erase($server, 'id=m50'), 1, 'one more');
kill KILL => $server->workers;
wait_for { (my @workers = $server->workers) == 2 };
is(json($server, '/messages?id=m50')->{total}, 0, 'stays erased');

put($server, $_) for 60 .. 70;

is(erase($server, 'from=%2B3'), 9 - grep({ $_->{from} eq '+3' } @to)
   + (grep { $_ % 4 == 3 } 60 .. 70) + 1, 'a sender of old and new ones');

my @all = ($server->{pid}, $server->workers);
kill KILL => @all;
waitpid $server->{pid}, 0;
delete $server->{pid};

$server = Lyftr::Server->new(dir => $server->{dir}, server => $conf,
                             store => "search=on erase_key=$key");

is(json($server, '/messages?from=%2B3')->{total}, 0, 'after a start as well');
is(put($server, 63), 200, 'of them');
is(json($server, '/messages?from=%2B3')->{total}, 0, 'none comes again');
ok(gone($server), 'and all is gone');

$server->signal('HUP');
wait_for { $server->logged(qr/gracefully shutting down/) };
is(put($server, 63), 200, 'nor after a reload');
is(json($server, '/messages?from=%2B3')->{total}, 0, 'is it there');
is_deeply([ $server->alarms ], [], 'nothing to worry about');
$server->stop;

# without the key, or with another one, it is of no use

for my $store ('', "erase_key=$dir/another") {
    if ($store) {
        $key = "$dir/another";
        write_key('x' x 32, 0600);
    }

    my $other = Lyftr::Server->new(dir => $server->{dir}, store => $store);

    ok(wait_for { $other->logged($store ? qr/erase_key= is another one/
                                        : qr/without erase_key=/) },
       'the log says so');
    is($other->get('/health/ready')->{status}, 503, 'it is not ready');
    is($other->get('/messages')->{status}, 503, 'nothing is read');
    $other->stop;
}

done_testing();

# The Link header of GET /messages: whoever follows it sees every row exactly
# once, whatever is stored meanwhile, and a cursor of others is refused.

use strict;
use warnings;

use lib 't/lib';
use JSON::PP;
use Test::More;

use Lyftr;
use Lyftr::Client;
use Lyftr::Server;


# all pages from a path on: their ids, and how many pages there were

sub walk {
    my ($server, $path, $between) = @_;

    my (@ids, $pages);

    while (defined $path) {
        my $r = $server->get($path);
        my $page = decode_json($r->{body});

        return ("status $r->{status}") if $r->{status} != 200;
        return ('too many pages') if ++$pages > 100;

        push @ids, map { $_->{message_id} } @{ $page->{data} };
        $between->($page) if $between;

        my $link = Lyftr::Client::header($r, 'Link');
        last unless defined $link;

        $link =~ m{\A<(/messages\?[!-;=?-~]+)>; rel="next"\z}
            or return ("a link like $link");
        $path = $1;
    }

    return (\@ids, $pages);
}


# 24 messages, some at the same instant, in no order

sub fill {
    my ($server) = @_;

    my @message;

    for my $i (map { $_ * 7 % 24 } 0 .. 23) {
        my %field = (
            message_id => sprintf('m%02d', $i),
            from       => $i % 3 ? '+1' : '+2',
            ts         => sprintf('2025-01-15T10:00:%02d%sZ', $i / 4,
                                  $i % 4 > 1 ? '.5' : ''),
            text       => $i % 2 ? "50% \xc3\x89cole & more" : 'none',
        );

        push @message, \%field;
        $server->post(message(%field))->{status} == 200
            or die "not stored: $i\n";
    }

    return sort { $a->{message_id} cmp $b->{message_id} } @message;
}


sub ids { return [ map { $_->{message_id} } @_ ] }


my $server = Lyftr::Server->new;
my @all = fill($server);
my $first = '/messages?limit=5';

for my $limit (1, 5, 6, 23, 24, 25, 100) {
    my ($ids, $pages) = walk($server, "/messages?limit=$limit");

    is_deeply($ids, ids(@all), "limit=$limit: every row once, in order");
    is($pages, int((@all + $limit - 1) / $limit),
       "limit=$limit: the last page has no link");
}

my @filters = (
    [ 'from=+1', sub { $_->{from} eq '+1' } ],
    [ 'from=%2B2', sub { $_->{from} eq '+2' } ],
    [ 'since=2025-01-15T15:30:02.5+05:30',
      sub { $_->{message_id} gt 'm09' } ],
    [ 'q=50%25+%C3%A9COLE+%26', sub { $_->{text} ne 'none' } ],
    [ 'q=%C3%89cole%20&from=+1&since=2025-01-15t10:00:01z&x=y',
      sub { $_->{text} ne 'none' && $_->{from} eq '+1'
            && $_->{message_id} gt 'm03' } ],
);

for (@filters) {
    my ($args, $filter) = @$_;
    my @rows = grep { $filter->() } @all;

    for my $limit (1, 4) {
        my %total;
        my ($ids) = walk($server, "/messages?$args&limit=$limit",
                         sub { $total{$_[0]{total}}++ });

        is_deeply($ids, ids(@rows), "$args, limit=$limit: every row once");
        is_deeply([ keys %total ], [ scalar @rows ],
                  "$args, limit=$limit: the total is that of all pages");
    }
}

is_deeply((walk($server, '/messages?limit=4&offset=6'))[0],
          ids(@all[6 .. 23]), 'a walk may start at an offset');
is_deeply((walk($server, '/messages?limit=5&q=zzz'))[0], [],
          'nothing to walk');

my $r = $server->get($first);
my $head = $server->request("HEAD $first");

for my $name (qw(Link Content-Length Content-Type)) {
    is(Lyftr::Client::header($head, $name), Lyftr::Client::header($r, $name),
       "HEAD has the $name of GET");
}

is($head->{body}, '', 'HEAD has no body');
unlike($server->get('/messages?limit=24')->{head}, qr/^Link:/mi,
       'a page that ends with the last row has no link');
unlike($server->get('/messages?offset=24&limit=1')->{head}, qr/^Link:/mi,
       'neither has one past the end');


# cursors

my ($next) = Lyftr::Client::header($r, 'Link') =~ /<(.*)>/;
my ($cursor) = $next =~ /after=([^&]+)/;

is($server->get($next)->{status}, 200, 'a cursor of ours');

like($cursor, qr/\A[A-Za-z0-9_-]{1,512}\z/, 'what a cursor is made of');

my $changed = $cursor;
$changed =~ s/(.)\z/$1 eq 'A' ? 'B' : 'A'/e;

for my $bad ('limit=5&after=', 'after=0&offset=0',
    "limit=5&after=$changed", "after=$cursor&offset=0",
    "offset=1&after=$cursor", "after=$cursor$cursor", "after=${cursor}x",
    'after=' . substr($cursor, 1), "after=$cursor%00", "after=+$cursor")
{
    my $r = $server->get("/messages?$bad");
    my $fault = eval { decode_json($r->{body})->{detail}[0] };

    is_deeply([ $r->{status}, $fault->{loc} ], [ 422, [ 'query', 'after' ] ],
              "refused: $bad");
}

my $other = Lyftr::Server->new;

$other->post(message(message_id => "other$_")) for 1 .. 30;
is($other->get($next)->{status}, 422, 'a cursor of another store');
$other->stop;


is($server->get("$first&after=0")->{body}, $server->get($first)->{body},
   '0 is before all rows');


# an id of any length, and rows that leave: the row of the cursor, and the
# newest, whose place is not given again

{
    my $server = Lyftr::Server->new;
    my $long = 'l' x 96;
    my $link = sub {
        return (Lyftr::Client::header($server->get($_[0]), 'Link') // '')
               =~ /after=([^>&]+)/;
    };
    my $ids = sub {
        my $r = $server->get($_[0]);

        return $r->{status} == 200
            ? join ' ', map { length > 9 ? substr($_, -2) : $_ }
                        map { $_->{message_id} } @{ decode_json($r->{body})->{data} }
            : $r->{status};
    };

    $server->post(message(message_id => $_))
        for 'a', "${long}01", "${long}02", $long . 'x' x 9000 . '03', 'z';

    my ($a) = $link->('/messages?limit=1');
    my ($one) = $link->('/messages?limit=2');
    my ($three) = $link->('/messages?limit=4');

    cmp_ok(length $three, '<=', 512, 'the cursor of a long id');
    is($ids->("/messages?after=$three"), 'z', 'goes on after its row');

    $server->stop;
    $server->remove("message_id IN ('a', 'z') OR message_id LIKE '%01'"
                    . " OR message_id LIKE '%03'");

    my $again = Lyftr::Server->new(dir => $server->{dir});
    $server = $again;

    is($ids->("/messages?after=$a"), '02', 'a row that left: what follows');
    is($ids->("/messages?after=$one"), '02', 'and of an id that was cut');

    my $place = $server->place;

    $server->post(message(message_id => 'new'));
    is($server->place, $place + 1, 'the newest place is not reused');

    # an older copy is restored: it has not reached the place

    $server->post(message(message_id => "zz$_")) for 1, 2;

    my ($zz) = $link->('/messages?limit=3');
    is($ids->("/messages?after=$zz"), 'zz2', 'a cursor of the newest but one');

    $server->stop;
    $server->remove("message_id LIKE 'zz%'", 'an older copy');

    $again = Lyftr::Server->new(dir => $server->{dir});
    $server = $again;

    is($ids->("/messages?after=$zz"), 422, 'an older copy does not know it');
    $server->post(message(message_id => "yy$_")) for 1, 2;
    is($ids->("/messages?after=$zz"), 422, 'nor when another has the place');
    is_deeply([ $server->alarms ], [], 'no alarms in the log');
}


# rows that come in between, before and after where the walk stands

my ($n, @new) = (0);

my ($ids) = walk($server, '/messages?limit=4', sub {
    my ($page) = @_;

    return if ++$n > 6;

    $server->post(message(message_id => "early$n",
                          ts => '2025-01-15T09:00:00Z'));
    $server->post(message(message_id => "late$n",
                          ts => "2025-01-16T10:00:0${n}Z"));
});

is_deeply([ grep { /^m/ } @$ids ], ids(@all),
          'rows that were there are seen once while others come');
is_deeply([ grep { !/^m/ } @$ids ], [ map { "late$_" } 1 .. 6 ],
          'and those that come behind the cursor are not seen');

# a link that a proxy in front may have no room for is left out: of a q of so
# many spaces, each of which is escaped

for my $n (645, 646) {
    $server->post(message(message_id => "space.$n.$_", from => '+7',
                          text => " " x 646)) for 1, 2;

    my $r = $server->get('/messages?from=+7&limit=1&q=' . '+' x $n);
    my $link = Lyftr::Client::header($r, 'Link') // '';

    like($r->{body}, qr/"total":[24],/, "a q of $n spaces");
    is(length $link, $n == 645 ? 2048 : 0, 'its link');
}

is_deeply([ $server->alarms ], [], 'no alarms in the log');

done_testing();

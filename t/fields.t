# fields=, id=, until= and order= of GET /messages against a model: any filters,
# both orders, offsets, links, and items of any size.

use strict;
use warnings;

use lib 't/lib';
use JSON::PP;
use Test::More;

use Lyftr;
use Lyftr::Client;
use Lyftr::Server;


my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my @fields = qw(message_id from to ts text type raw created_at);
my @default = @fields[0 .. 4];

my @stamps = map { sprintf '2025-01-15T10:00:%02d%sZ', $_ / 3,
                           $_ % 3 == 2 ? '.5' : $_ % 3 ? '.0' : '' } 0 .. 29;


# what a client must not see as it is, and white space inside of strings

my @raws = (
    '{}', ' [ 1 , 2.50 , -0 ] ', qq({\t"a" :\r\n"b  c" , "d":\n[ ] }),
    '{"a": "\\\\" , "b": "\\" , \\\\\\"" }', 'null', '"a  b"',
    qq({"t": "\xc3\x89\xe2\x80\xa8 \\u00e9 \\/" , "\\ud83d": true}),
);

my @bare = (
    '{}', '[1,2.50,-0]', '{"a":"b  c","d":[]}',
    '{"a":"\\\\","b":"\\" , \\\\\\""}', 'null', '"a  b"',
    qq({"t":"\xc3\x89\xe2\x80\xa8 \\u00e9 \\/","\\ud83d":true}),
);


sub escaped { join '', map { sprintf '%%%02x', ord } split //, $_[0] }


# the instant of a stamp of ours, as a text that sorts

sub instant {
    my ($second, $part) = $_[0] =~ /\A(.*:\d\d)(\.\d+)?Z\z/;

    $part //= '.';
    $part =~ s/0+\z//;

    return "$second$part";
}


# rows that a webhook stored; some have what only other senders send, which is
# put beside them: seq is in the order of arrival

sub fill {
    my ($server, $n) = @_;

    my (@rows, @extra);

    for my $i (1 .. $n) {
        my %row = (
            message_id => $i % 9 ? sprintf('m%03d', $i * 37 % $n)
                                 : "a+b/c=$i \xc3\xa9&",
            from => '+' . (1 + $i % 3 * ($i % 2)), to => '+9',
            ts   => $stamps[int rand @stamps],
            text => ('none', "a Needle 100% $i", '')[$i % 3],
        );

        $server->post(message(%row))->{status} == 200 or die "row $i\n";

        my $k = $i % (2 * @raws);

        if ($k < @raws) {
            $row{type} = qw(text image)[$i % 2] if $i % 5;
            $row{raw} = $bare[$k];

            my ($type, $raw) = map { defined() ? s/'/''/gr : undef }
                               $row{type}, $raws[$k];

            push @extra, [ $i, defined $type ? "'$type'" : 'NULL', "'$raw'" ];
        }

        push @rows, \%row;
    }

    $server->extra(@extra);

    my @arrived = $server->arrived;

    $rows[$_]{created_at} = $arrived[$_]{created_at} for 0 .. $#rows;

    return sort { instant($a->{ts}) cmp instant($b->{ts})
                  || $a->{message_id} cmp $b->{message_id} } @rows;
}


# the bytes of an item

sub shown {
    my ($row, @shown) = @_;

    my %asked = map { $_ => 1 } @shown;

    return '{' . join(',', map {
        my $value = $row->{$_};

        qq("$_":) . (!defined $value ? 'null'
                     : $_ eq 'raw' ? $value : qq("$value"));
    } grep { $asked{$_} } @fields) . '}';
}


# some filters; which rows they leave

sub filters {
    my (@all) = @_;

    my (%args, @rows);

    $args{from} = '+' . (1 + int rand 3) if rand() < 0.4;
    $args{since} = $stamps[int rand @stamps] if rand() < 0.3;
    $args{until} = $stamps[int rand @stamps] if rand() < 0.4;
    $args{q} = ('nEEDLE', '100%', 'zzz')[int rand 3] if rand() < 0.3;
    $args{id} = rand() < 0.2 ? 'nobody' : $all[int rand @all]{message_id}
        if rand() < 0.2;

    @rows = grep {
        (!defined $args{from} || $_->{from} eq $args{from})
        && (!defined $args{since}
            || instant($_->{ts}) ge instant($args{since}))
        && (!defined $args{until}
            || instant($_->{ts}) lt instant($args{until}))
        && (!defined $args{q} || $_->{text} =~ /\Q$args{q}/i)
        && (!defined $args{id} || $_->{message_id} eq $args{id})
    } @all;

    return (\%args, @rows);
}


# all pages, by the links; the items as they came, and a fault if there is one

sub walk {
    my ($server, $path) = @_;

    my (@items, %total);

    for my $pages (1 .. 200) {
        my $r = $server->get($path);

        return "status $r->{status} of $path" if $r->{status} != 200;

        my ($data, $total) = $r->{body}
            =~ /\A\{"data":\[(.*)\],"total":(\d+),"limit":\d+,"offset":\d+\}\z/s
            or return "a body like $r->{body}";

        $total{$total} = 1;
        push @items, $data if length $data;

        my $link = Lyftr::Client::header($r, 'Link');

        return (undef, join(',', @items), keys %total) if !defined $link;

        ($path) = $link =~ m{\A<(/messages\?[!-;=?-~]+)>; rel="next"\z}
            or return "a link like $link";
    }

    return 'too many pages';
}


srand 7;

my $server = Lyftr::Server->new(store => 'check=off');
my @all = fill($server, 200);
my $wrong = 0;

for my $round (1 .. 300) {
    my ($args, @rows) = filters(@all);
    my @shown = @default;
    my $offset = rand() < 0.3 ? int rand(@rows + 2) : 0;

    $args->{limit} = 1 + int rand 100;
    $args->{offset} = $offset if $offset;
    $args->{order} = rand() < 0.6 ? 'desc' : 'asc' if rand() < 0.8;

    if (rand() < 0.7) {
        @shown = sort { rand() <=> 0.5 } grep { rand() < 0.5 } @fields;
        @shown = ('raw') if !@shown;
        $args->{fields} = join ',', @shown;
    }

    @rows = reverse @rows if ($args->{order} // '') eq 'desc';
    splice @rows, 0, $offset;

    my $query = join '&', map { "$_=" . escaped($args->{$_}) }
                          sort { rand() <=> 0.5 } keys %$args;

    my ($fault, $items, @total) = walk($server, "/messages?$query");

    next if !defined $fault
            && $items eq join(',', map { shown($_, @shown) } @rows)
            && "@total" eq @rows + ($offset > $total[0] ? $total[0] : $offset);

    diag($query, ': ', $fault // "$items\nof @total");
    $wrong++;
}

is($wrong, 0, 'random lists, page by page');


# exact words

sub refused {
    my ($query, @want) = @_;

    my $r = $server->get("/messages?$query");
    my @faults = map { [ @$_{qw(type loc input)} ] }
                 @{ (eval { decode_json($r->{body}) } || {})->{detail} || [] };

    is_deeply([ $r->{status}, @faults ],
              [ 422, map { [ $_->[0], [ 'query', $_->[1] ], $_->[2] ] }
                     @want ], "refused: $query");
}

refused("fields=$_->[0]", [ 'literal_error', 'fields', $_->[1] // $_->[0] ])
    for map { ref ? $_ : [ $_ ] }
        'x', 'from,x', 'from,from', 'Raw', 'ID', 'id', ',', 'from,', ',from',
        'from,,to', '*', 'created', [ 'from,+to', 'from, to' ], [ 'from%20', 'from ' ],
        [ 'text%00', "text\0" ], [ 'from;to', 'from;to' ];

refused("order=$_", [ 'literal_error', 'order', $_ ])
    for 'ASC', 'Desc', 'descending', '1', '-ts', 'asc,desc';

refused('order=+desc', [ 'literal_error', 'order', ' desc' ]);
refused('until=2025-01-15', [ 'datetime_parsing', 'until', '2025-01-15' ]);
refused('until=x&order=y&fields=z&since=w&limit=0&offset=-1&after=v',
        [ 'greater_than_equal', 'limit', '0' ],
        [ 'greater_than_equal', 'offset', '-1' ],
        [ 'datetime_parsing', 'since', 'w' ],
        [ 'datetime_parsing', 'until', 'x' ],
        [ 'literal_error', 'fields', 'z' ],
        [ 'literal_error', 'order', 'y' ],
        [ 'value_error', 'after', 'v' ]);

is($server->get('/messages?fields=&id=&until=&order=&limit=100')->{body},
   $server->get('/messages?limit=100')->{body}, 'what is empty is absent');

for ([ 'id=%ff', 0 ], [ 'id=m001%00', 0 ], [ 'id=m001', 1 ], [ 'id=M001', 0 ],
     [ 'id=a+b/c=9%20%c3%a9%26', 1 ], [ 'id=a%2Bb/c=9%20%c3%a9%26', 1 ],
     [ 'id=a%20b/c=9%20%c3%a9%26', 0 ], [ 'id=m001&from=+8', 0 ],
     [ 'id=m001&offset=1', 1 ],
     [ 'until=0001-01-01T00:00:00Z', 0 ], [ 'since=2025-01-15T10:00:01Z'
       . '&until=2025-01-15T10:00:01Z', 0 ],
     [ 'since=2025-01-16T00:00:00Z&until=2025-01-15T00:00:00Z', 0 ],
     [ 'until=2025-01-15T15:30:00.5+05:30',
       scalar grep { instant($_->{ts}) lt '2025-01-15T10:00:00.5' } @all ])
{
    my ($query, $total) = @$_;

    is((decode_json($server->get("/messages?$query")->{body}) || {})->{total},
       $total, "found by $query: $total");
}


# a cursor names a row, not a direction

my @cursors = map {
    @{ decode_json($server->get("/messages?limit=100&offset=$_"
                                . '&fields=cursor')->{body})->{data} }
} 0, 100;

my ($next) = Lyftr::Client::header($server->get('/messages?limit=7'), 'Link')
             =~ /after=([\w-]+)/;

is($next, $cursors[6]{cursor}, 'the cursor of a link is that of its last row');

my @faults;

for my $i (map { int rand @all } 1 .. 50) {
    for ([ 'asc', $i + 1 ], [ 'desc', $i - 1 ]) {
        my ($order, $want) = @$_;
        my $r = $server->get("/messages?limit=1&after=$cursors[$i]{cursor}"
                             . "&order=$order&fields=created_at,message_id");
        my $row = $want >= 0 ? $all[$want] : undef;

        push @faults, "$order, row $i: $r->{body}"
            if $r->{body} !~ ($row ? qr/\A\{"data":\[\Q${\ shown($row,
                                       qw(message_id created_at)) }\E\]/
                                   : qr/\A\{"data":\[\],/);
    }
}

is_deeply(\@faults, [], 'what follows a row, in either order');

is($server->get("/messages?after=0&order=$_&limit=3")->{body},
   $server->get("/messages?order=$_&limit=3")->{body},
   "0 is before all rows, $_") for qw(asc desc);

$server->stop;


# pages of large items end early, and all of them come

$server = Lyftr::Server->new(store => 'check=off');

my @sizes = (9 << 20, 3 << 20, 3 << 20, 3 << 20, 10, 8 << 20, 1 << 20,
             (map { 100_000 } 1 .. 90));

$server->post(message(message_id => sprintf 'm%02d', $_)) for 1 .. @sizes;

my $long = postgres() ? "repeat('xx', %d)"
           : "replace(hex(zeroblob(%d)), '0', 'x')";

$server->extra(map {
    [ $_ + 1, 'NULL', sprintf qq('["' || $long || '" ]'), $sizes[$_] / 2 ]
} 0 .. $#sizes);

for my $order (qw(asc desc)) {
    my @left = $order eq 'asc' ? @sizes : reverse @sizes;
    my $path = "/messages?fields=raw,message_id&limit=100&order=$order";
    my ($pages, @faults) = (0);

    while (defined $path && $pages++ < 20) {
        my $body = $server->get($path);
        my ($n, $size) = (0, 0);

        # what is here, and the first that is not

        for my $item ($body->{body} =~ /(\{"message_id":"m\d\d","raw":\["x*"\]\})/g) {
            my $want = shift @left;

            push @faults, "an item of another size"
                if length $item != $want - $want % 2
                                   + length '{"message_id":"m00","raw":[""]}';
            $size += length $item;
            $n++;
        }

        push @faults, "a page of $n items, $size bytes"
            if $n == 0 || ($n > 1 && $size > 8 << 20)
               || (@left && $size + $left[0] + 40 < 8 << 20);

        my $link = Lyftr::Client::header($body, 'Link');
        $path = defined $link ? ($link =~ /<(.*)>/)[0] : undef;
    }

    push @faults, scalar(@left) . ' items never came' if @left;
    is_deeply(\@faults, [], "pages of large items, $order");
}

is_deeply([ $server->alarms ], [], 'no alarms in the log');

done_testing();

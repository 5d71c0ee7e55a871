# GET /messages: the order, the parameters, each filter and the bytes of the
# answer.  Walking through pages is t/paging.t's.

use strict;
use warnings;

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use Lyftr;


our %item;


# deliveries of messages, each a list of fields; their items are kept by the id

sub store {
    my @case;

    for my $fields (@_) {
        my %field = @$fields;

        $item{$field{message_id}} = item(@$fields);
        push @case, deliver(message(@$fields));
    }

    return @case;
}


# the answer that has these items

sub found {
    my ($ids, %page) = @_;

    $page{total} //= @$ids;
    $page{limit} //= 50;
    $page{offset} //= 0;

    return '{"data":[' . join(',', map { $item{$_} } @$ids)
           . qq(],"total":$page{total},"limit":$page{limit},)
           . qq("offset":$page{offset}});
}


# a query and the ids that it finds, in their order

sub finds {
    my ($args, @ids) = @_;

    return fetch("/messages?$args", found(\@ids));
}


my %sentence = (
    int_parsing        => 'Input should be an integer in decimal digits',
    greater_than_equal => 'Input should be greater than or equal to ',
    less_than_equal    => 'Input should be less than or equal to ',
    datetime_parsing   => 'Input should be a date and time that exists, like'
                          . ' 2025-01-15T10:00:00Z',
    value_error        => 'Input should be a cursor from a Link header,'
                          . ' without an offset',
);


my %bound = (
    limit  => { greater_than_equal => 1, less_than_equal => 100 },
    offset => { greater_than_equal => 0,
                less_than_equal => '9223372036854775807' },
);


# a query that is refused; a fault is [type, name, input]

sub refused {
    my ($args, @faults) = @_;

    my @detail = map {
        qq({"type":"$_->[0]","loc":["query","$_->[1]"],)
        . qq("msg":"$sentence{$_->[0]})
        . ($bound{$_->[1]}{$_->[0]} // '') . qq(","input":"$_->[2]"})
    } @faults;

    return fetch("/messages?$args",
                 '{"detail":[' . join(',', @detail) . ']}', 422);
}


sub enc {
    my ($s) = @_;

    $s =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ge;

    return $s;
}


add_block_preprocessor(\&fresh);
add_block_preprocessor(\&cases);

no_long_string();
run_tests();


__DATA__

=== TEST 1: an empty store
--- cases eval
[
    main::fetch('/messages', '{"data":[],"total":0,"limit":50,"offset":0}'),
    main::fetch('/messages?offset=7', main::found([], offset => 7)),
    main::fetch('/messages?limit=1', main::found([], limit => 1)),
]


=== TEST 2: the order is that of the instants, not of the texts
--- cases eval
[
    main::store(
        [ message_id => 'half', ts => '2025-01-15T10:00:00.5Z' ],
        [ message_id => 'next', ts => '2025-01-15T10:00:01Z' ],
        [ message_id => 'full', ts => '2025-01-15T10:00:00Z' ],
        [ message_id => 'last', ts => '2025-01-15T09:59:59.999999999Z' ],
        [ message_id => 'nano', ts => '2025-01-15T10:00:00.000000001Z' ],
        [ message_id => 'nine', ts => '2025-01-15T10:00:00.09Z' ],
        [ message_id => 'old', ts => '0001-01-01T00:00:00Z' ],
        [ message_id => 'new', ts => '9999-12-31T23:59:59.999999999Z' ],
    ),
    main::fetch('/messages', main::found([qw(old last full nano nine half next
                                       new)])),
    main::finds('since=2025-01-15T10:00:00Z',
                qw(full nano nine half next new)),
    main::finds('since=2025-01-15T10:00:00.1Z', qw(half next new)),
    main::finds('since=2025-01-15T10:00:00.500000000Z', qw(half next new)),
    main::finds('since=2025-01-15T10:00:00.500000001Z', qw(next new)),
]


=== TEST 3: at the same instant by the bytes of message_id
--- cases eval
[
    # the same instant, written in several ways
    main::store(
        [ message_id => 'b', ts => '2025-01-15T10:00:00Z' ],
        [ message_id => "\xc3\xa9", ts => '2025-01-15T10:00:00.0Z' ],
        [ message_id => 'a', ts => '2025-01-15T10:00:00.000000000Z' ],
        [ message_id => 'B', ts => '2025-01-15T10:00:00.00Z' ],
        [ message_id => 'ab', ts => '2025-01-15T10:00:00Z' ],
        [ message_id => '10', ts => '2025-01-15T10:00:00Z' ],
        [ message_id => '9', ts => '2025-01-15T10:00:00.0000Z' ],
        # UTF-16 would have these two the other way round
        [ message_id => "\xf0\x90\x80\x80", ts => '2025-01-15T10:00:00Z' ],
        [ message_id => "\xef\xbf\xbd", ts => '2025-01-15T10:00:00Z' ],
    ),
    main::fetch('/messages', main::found(['10', '9', 'B', 'a', 'ab', 'b',
                                    "\xc3\xa9", "\xef\xbf\xbd",
                                    "\xf0\x90\x80\x80"])),
    main::fetch('/messages?limit=2&offset=3',
          main::found(['a', 'ab'], total => 9, limit => 2, offset => 3)),
]


=== TEST 4: limit
--- cases eval
[
    main::store(map { [ message_id => "m$_",
                        ts => "2025-01-15T10:00:0${_}Z" ] } 1 .. 3),
    main::fetch('/messages?limit=1',
                main::found(['m1'], total => 3, limit => 1)),
    main::fetch('/messages?limit=2', main::found([qw(m1 m2)], total => 3,
                                           limit => 2)),
    main::fetch('/messages?limit=3', main::found([qw(m1 m2 m3)], limit => 3)),
    main::fetch('/messages?limit=100',
                main::found([qw(m1 m2 m3)], limit => 100)),
    main::fetch('/messages?limit=002', main::found([qw(m1 m2)], total => 3,
                                             limit => 2)),
    main::fetch('/messages?limit=+2%20', main::found([qw(m1 m2)], total => 3,
                                               limit => 2)),
    main::fetch('/messages?limit=' . '0' x 40 . '1',
          main::found(['m1'], total => 3, limit => 1)),
    main::refused('limit=0', ['greater_than_equal', 'limit', '0']),
    main::refused('limit=-0', ['greater_than_equal', 'limit', '-0']),
    main::refused('limit=-1', ['greater_than_equal', 'limit', '-1']),
    main::refused('limit=-99999999999999999999',
                  ['greater_than_equal', 'limit', '-99999999999999999999']),
    main::refused('limit=101', ['less_than_equal', 'limit', '101']),
    main::refused('limit=4294967297',
                  ['less_than_equal', 'limit', '4294967297']),
    main::refused('limit=18446744073709551617',
                  ['less_than_equal', 'limit', '18446744073709551617']),
    main::refused('limit=', ['int_parsing', 'limit', '']),
    main::refused('limit', ['int_parsing', 'limit', '']),
    main::refused('limit=abc', ['int_parsing', 'limit', 'abc']),
    main::refused('limit=1.0', ['int_parsing', 'limit', '1.0']),
    main::refused('limit=1e1', ['int_parsing', 'limit', '1e1']),
    main::refused('limit=0x10', ['int_parsing', 'limit', '0x10']),
    main::refused('limit=%2B5', ['int_parsing', 'limit', '+5']),
    main::refused('limit=-', ['int_parsing', 'limit', '-']),
    main::refused('limit=--1', ['int_parsing', 'limit', '--1']),
    main::refused('limit=1%202', ['int_parsing', 'limit', '1 2']),
    main::refused('limit=1_0', ['int_parsing', 'limit', '1_0']),
    main::refused('limit=%D9%A1', ['int_parsing', 'limit', "\xd9\xa1"]),
]


=== TEST 5: offset
--- cases eval
[
    main::store(map { [ message_id => "m$_",
                        ts => "2025-01-15T10:00:0${_}Z" ] } 1 .. 3),
    main::fetch('/messages?offset=0', main::found([qw(m1 m2 m3)])),
    main::fetch('/messages?offset=-0', main::found([qw(m1 m2 m3)])),
    main::fetch('/messages?offset=1', main::found([qw(m2 m3)], total => 3,
                                            offset => 1)),
    main::fetch('/messages?limit=1&offset=2',
          main::found(['m3'], total => 3, limit => 1, offset => 2)),
    main::fetch('/messages?offset=%20002+', main::found(['m3'], total => 3,
                                                  offset => 2)),
    main::fetch('/messages?offset=3', main::found([], total => 3, offset => 3)),
    main::fetch('/messages?offset=2147483648',
          main::found([], total => 3, offset => '2147483648')),
    main::fetch('/messages?offset=9223372036854775807&limit=100',
          main::found([], total => 3, limit => 100,
                      offset => '9223372036854775807')),
    main::refused('offset=9223372036854775808',
                  ['less_than_equal', 'offset', '9223372036854775808']),
    main::refused('offset=' . '9' x 60,
                  ['less_than_equal', 'offset', '9' x 60]),
    main::refused('offset=-1', ['greater_than_equal', 'offset', '-1']),
    main::refused('offset=-9223372036854775809',
                  ['greater_than_equal', 'offset', '-9223372036854775809']),
    main::refused('offset=', ['int_parsing', 'offset', '']),
    main::refused('offset=x', ['int_parsing', 'offset', 'x']),
    main::refused('offset=1.5', ['int_parsing', 'offset', '1.5']),
]


=== TEST 6: from; a plus is a plus, raw or encoded
--- cases eval
[
    main::store(
        [ message_id => 'm1', from => '+919876543210',
          ts => '2025-01-15T10:00:01Z' ],
        [ message_id => 'm2', from => '+14155550100',
          ts => '2025-01-15T10:00:02Z' ],
        [ message_id => 'm3', from => '+919876543210',
          ts => '2025-01-15T10:00:03Z' ],
        [ message_id => 'm4', from => '+9198765432100',
          ts => '2025-01-15T10:00:04Z' ],
    ),
    main::finds('from=+919876543210', qw(m1 m3)),
    main::finds('from=%2B919876543210', qw(m1 m3)),
    main::finds('from=%2b9198%37%36543210', qw(m1 m3)),
    main::finds('fr%6Fm=+14155550100', qw(m2)),
    main::fetch('/messages?from=+919876543210&limit=1&offset=1',
          main::found(['m3'], total => 2, limit => 1, offset => 1)),
    main::finds('from=919876543210'),
    main::finds('from=%20919876543210'),
    main::finds('from=+91987654321'),
    main::finds('from=+919876543210%20'),
    main::finds('from=%'),
    main::finds('from=', qw(m1 m2 m3 m4)),
    main::finds('from', qw(m1 m2 m3 m4)),
]


=== TEST 7: since is inclusive, and an offset names an instant
--- cases eval
[
    main::store(
        [ message_id => 'm1', ts => '2025-01-15T09:29:59.999Z' ],
        [ message_id => 'm2', ts => '2025-01-15T09:30:00Z' ],
        [ message_id => 'm3', ts => '2025-01-15T09:30:00.001Z' ],
        [ message_id => 'm4', ts => '2025-01-16T00:00:00Z' ],
    ),
    main::finds('since=2025-01-15T09:30:00Z', qw(m2 m3 m4)),
    main::finds('since=2025-01-15t09:30:00z', qw(m2 m3 m4)),
    main::finds('since=2025-01-15T09%3A30%3A00Z', qw(m2 m3 m4)),
    main::finds('since=2025-01-15T09:29:59.999000000Z', qw(m1 m2 m3 m4)),
    main::finds('since=2025-01-15T09:30:00.0001Z', qw(m3 m4)),
    main::finds('since=2025-01-15T15:00:00+05:30', qw(m2 m3 m4)),
    main::finds('since=2025-01-15T15:00:00%2B05:30', qw(m2 m3 m4)),
    main::finds('since=2025-01-15T01:30:00.001-08:00', qw(m3 m4)),
    main::finds('since=2025-01-15T09:30:00+00:00', qw(m2 m3 m4)),
    main::finds('since=2025-01-15T09:30:00-00:00', qw(m2 m3 m4)),
    main::finds('since=2025-01-16T23:59:00+23:59', qw(m4)),
    main::finds('since=2025-01-15T00:01:00-23:59', qw(m4)),
    main::finds('since=2025-01-16T00:00:00.000000001Z'),
    main::finds('since=0001-01-01T00:00:00+05:30', qw(m1 m2 m3 m4)),
    main::finds('since=9999-12-31T23:59:59-23:59'),
    main::finds('since=', qw(m1 m2 m3 m4)),
    main::finds('since', qw(m1 m2 m3 m4)),
]


=== TEST 8: since that is not a time
--- cases eval
[
    map {
        my $input = $_;
        $input =~ s/%([0-9A-F]{2})/chr hex $1/ge;
        main::refused("since=$_", ['datetime_parsing', 'since', $input])
    } qw(2025-01-15T09:30:00 2025-01-15 yesterday 1736933400
         2025-01-15%2009:30:00Z 2025-01-15T09:30Z 2025-13-15T09:30:00Z
         2025-02-30T09:30:00Z 2025-02-29T00:00:00Z 2025-01-15T24:00:00Z
         2025-01-15T09:60:00Z 2025-01-15T09:30:60Z 0000-01-15T09:30:00Z
         2025-01-15T09:30:00.Z 2025-01-15T09:30:00.1234567890Z
         2025-01-15T09:30:00+0530 2025-01-15T09:30:00+05
         2025-01-15T09:30:00+24:00 2025-01-15T09:30:00+05:60
         2025-01-15T09:30:00%2005:30 2025-01-15T09:30:00Zx
         2025-01-15T09:30:00Z%20 %202025-01-15T09:30:00Z
         2025-1-15T09:30:00Z +2025-01-15T09:30:00Z)
]


=== TEST 9: q is literal
--- cases eval
[
    main::store(
        [ message_id => 'm1', text => '100% sure' ],
        [ message_id => 'm2', text => '100 percent' ],
        [ message_id => 'm3', text => 'snake_case' ],
        [ message_id => 'm4', text => 'snakeXcase' ],
        [ message_id => 'm5', text => 'C:\\\\Windows' ],
        [ message_id => 'm6', text => 'say \\"hi\\"' ],
        [ message_id => 'm7', text => '' ],
        [ message_id => 'm8', text => \'null' ],
        [ message_id => 'm9', text => undef ],
        [ message_id => 'n1', text => 'a+b *?[x] null' ],
        [ message_id => 'n2', text => 'line\\none' ],
    ),
    main::finds('q=%25', 'm1'),
    main::finds('q=100%25', 'm1'),
    main::finds('q=0%', 'm1'),
    main::finds('q=%25%25'),
    main::finds('q=_', 'm3'),
    main::finds('q=e_c', 'm3'),
    main::finds('q=%5C', 'm5'),
    main::finds('q=\\w', 'm5'),
    main::finds('q=\\%25'),
    main::finds('q=%5C_'),
    main::finds('q=%22', 'm6'),
    main::finds('q=%27'),
    main::finds('q=+', qw(m1 m2 m6 n1)),
    main::finds('q=y+%22h', 'm6'),
    main::finds('q=%2B', 'n1'),
    main::finds('q=*', 'n1'),
    main::finds('q=?', 'n1'),
    main::finds('q=[x]', 'n1'),
    main::finds('q=null', 'n1'),
    main::finds('q=%0A', 'n2'),
    main::finds('q=hello'),
    main::finds('q=SNAKE', qw(m3 m4)),
    main::finds('q=', qw(m1 m2 m3 m4 m5 m6 m7 m8 m9 n1 n2)),
    main::finds('q', qw(m1 m2 m3 m4 m5 m6 m7 m8 m9 n1 n2)),
    main::finds('q=' . 'x' x 4096),
]


=== TEST 10: q folds case beyond ASCII
--- cases eval
[
    main::store(
        [ message_id => 'fr', text => 'École' ],
        [ message_id => 'fr-upper', text => 'ÉCOLE' ],
        [ message_id => 'fr-nfd', text => "e\xcc\x81cole" ],
        [ message_id => 'de', text => 'Straße' ],
        [ message_id => 'de-caps', text => 'STRASSE' ],
        [ message_id => 'de-sharp', text => 'STRAẞE' ],
        [ message_id => 'gr', text => 'οδος' ],
        [ message_id => 'gr-caps', text => 'ΟΔΟΣ' ],
        [ message_id => 'gr-medial', text => 'οδοσ' ],
        [ message_id => 'tr-dotted', text => 'İzmir' ],
        [ message_id => 'tr-dotless', text => 'ılık' ],
        [ message_id => 'tr-plain', text => 'ILIK' ],
        [ message_id => 'ligature', text => 'oﬃce' ],
        [ message_id => 'kelvin', text => "300 \xe2\x84\xaa" ],
        [ message_id => 'ru', text => 'ПриВЕТ' ],
        [ message_id => 'deseret', text => "\xf0\x90\x90\x80" ],
        [ message_id => 'cherokee', text => "\xea\xad\xb0" ],
    ),
    main::finds('q=' . main::enc('école'), qw(fr fr-upper)),
    main::finds('q=' . main::enc('ÉCOLE'), qw(fr fr-upper)),
    main::finds('q=école', qw(fr fr-upper)),
    main::finds('q=' . main::enc("E\xcc\x81COLE"), qw(fr-nfd)),
    main::finds('q=ecole'),
    main::finds('q=' . main::enc('straße'), qw(de de-caps de-sharp)),
    main::finds('q=strasse', qw(de de-caps de-sharp)),
    main::finds('q=' . main::enc('ẞ'), qw(de de-caps de-sharp)),
    main::finds('q=' . main::enc('ΔΟΣ'), qw(gr gr-caps gr-medial)),
    main::finds('q=' . main::enc('δος'), qw(gr gr-caps gr-medial)),
    main::finds('q=' . main::enc('δοσ'), qw(gr gr-caps gr-medial)),
    main::finds('q=' . main::enc('İZMİR')),
    main::finds('q=' . main::enc('İZMIR'), 'tr-dotted'),
    main::finds('q=' . main::enc("i\xcc\x87zmir"), 'tr-dotted'),
    main::finds('q=izmir'),
    main::finds('q=zmir', 'tr-dotted'),
    main::finds('q=ilik', 'tr-plain'),
    main::finds('q=' . main::enc('ılık'), 'tr-dotless'),
    main::finds('q=' . main::enc('I'), qw(ligature tr-dotted tr-plain)),
    main::finds('q=OFFICE', 'ligature'),
    main::finds('q=' . main::enc('ﬃ'), 'ligature'),
    main::finds('q=' . main::enc('ﬁ'), 'ligature'),
    main::finds('q=K', qw(kelvin tr-dotless tr-plain)),
    main::finds('q=' . main::enc('300 k'), 'kelvin'),
    main::finds('q=' . main::enc('привет'), 'ru'),
    main::finds('q=' . main::enc('ВЕТ'), 'ru'),
    main::finds('q=%F0%90%90%A8', 'deseret'),
    main::finds('q=%E1%8E%A0', 'cherokee'),
]


=== TEST 11: what no stored string can have matches nothing
--- cases eval
[
    main::store([ message_id => 'm1', text => 'abc' ]),
    main::finds('q=a', 'm1'),
    ( map { main::finds("q=$_") } qw(%00 a%00 %00a a%FF %FF %C3 %C0%80
                                     %ED%A0%80 %F4%90%80%80 a%C3b) ),
    ( map { main::finds("from=$_") } qw(+919876543210%00 %00 +91%FF %C3) ),
    main::fetch('/messages?q=%00&limit=7&offset=2',
          '{"data":[],"total":0,"limit":7,"offset":2}'),
]


=== TEST 12: filters combine, total counts what they match
--- cases eval
[
    main::store(
        [ message_id => 'm1', from => '+1', ts => '2025-01-15T10:00:00Z',
          text => 'Hello there' ],
        [ message_id => 'm2', from => '+1', ts => '2025-01-15T11:00:00Z',
          text => 'HELLO again' ],
        [ message_id => 'm3', from => '+2', ts => '2025-01-15T11:00:00Z',
          text => 'hello' ],
        [ message_id => 'm4', from => '+1', ts => '2025-01-15T12:00:00Z',
          text => 'bye' ],
        [ message_id => 'm5', from => '+1', ts => '2025-01-15T13:00:00Z',
          text => 'oh hello' ],
    ),
    main::finds('from=+1&q=hello', qw(m1 m2 m5)),
    main::finds('from=+1&since=2025-01-15T11:00:00Z', qw(m2 m4 m5)),
    main::finds('q=hello&since=2025-01-15T11:00:00Z', qw(m2 m3 m5)),
    main::finds('from=+1&since=2025-01-15T11:00:00Z&q=hello', qw(m2 m5)),
    main::fetch('/messages?q=hello&from=+1&since=2025-01-15T11:00:00Z&limit=1',
          main::found(['m2'], total => 2, limit => 1)),
    main::fetch('/messages?q=hello&from=+1&offset=2',
          main::found(['m5'], total => 3, offset => 2)),
    main::fetch('/messages?q=hello&from=+1&offset=20',
          main::found([], total => 3, offset => 20)),
    main::finds('from=+1&q=nothing'),
    main::finds('from=+3&q=hello'),
    main::finds('from=&q=&since=', qw(m1 m2 m3 m4 m5)),
]


=== TEST 13: names and repeated parameters
--- cases eval
[
    main::store(
        [ message_id => 'm1', from => '+1', text => 'one' ],
        [ message_id => 'm2', from => '+2', text => 'two' ],
    ),
    main::finds('from=+1&from=+2', 'm2'),
    main::finds('q=two&q=one', 'm1'),
    main::finds('from=+1&from=', qw(m1 m2)),
    main::finds('from=+1&%66rom=+2', 'm2'),
    main::fetch('/messages?limit=0&limit=1', main::found(['m1'], total => 2,
                                                   limit => 1)),
    main::fetch('/messages?limit=abc&offset=-1&limit=9&offset=1',
          main::found(['m2'], total => 2, limit => 9, offset => 1)),
    main::refused('limit=1&limit=0', ['greater_than_equal', 'limit', '0']),
    main::finds('FROM=+1&Limit=0&Q=one&SINCE=x', qw(m1 m2)),
    main::finds('page=9&sort=desc&fro=+1&froms=+1&q[]=one&limit%00=0',
                qw(m1 m2)),
    main::finds('&&=&=x&&', qw(m1 m2)),
    main::finds('from=+1;q=two'),
    main::fetch('/messages?', main::found([qw(m1 m2)])),
    main::fetch('/%6Dessages?q=one', main::found(['m1'])),
]


=== TEST 14: all faults of a query at once
--- cases eval
[
    main::refused('limit=0&offset=x&since=never&q=a&from=b',
                  ['greater_than_equal', 'limit', '0'],
                  ['int_parsing', 'offset', 'x'],
                  ['datetime_parsing', 'since', 'never']),
    main::refused('since=%22%5C%0A',
                  ['datetime_parsing', 'since', '\\"\\\\\\n']),
    # an input is cut at a character, before 256 bytes
    main::refused('since=' . 'x' x 300,
                  ['datetime_parsing', 'since', 'x' x 255]),
    main::refused('limit=' . 'x' x 255 . '%C3%A9',
                  ['int_parsing', 'limit', 'x' x 255]),
]


=== TEST 15: after takes our cursors only
--- cases eval
[
    main::store([ message_id => 'm1' ], [ message_id => 'm2' ]),
    ( map { main::refused("after=$_", ['value_error', 'after', $_]) }
        'x', '1', 'm1', '0' x 32, 'f' x 32, '1' x 31, '1' x 33,
        '0' x 15 . '1' . '0' x 16, '0' x 15 . '9' . 'a' x 16 ),
    main::refused('after=', ['value_error', 'after', '']),
    main::refused('after=x&offset=0', ['value_error', 'after', 'x']),
]


=== TEST 16: the answer is byte for byte what was sent
--- cases eval
[
    main::store(
        [ message_id => "id \xf0\x9f\x93\xa8 \xc3\xa9 <>&'/",
          from => '+0', to => '+' . '9' x 200,
          ts => '2025-01-15T10:00:00.120Z',
          text => "\xe2\x80\xa8 \x7f \xc2\x80 \xef\xbf\xbf "
                  . "\xf4\x8f\xbf\xbf \xef\xbb\xbf / a\\\\b \\\"c\\\"" ],
        [ message_id => 'control', ts => '2025-01-15T10:00:01.0Z',
          text => '\\b\\f\\n\\r\\t' ],
    ),
    main::fetch('/messages', main::found(["id \xf0\x9f\x93\xa8 \xc3\xa9 <>&'/",
                                    'control'])),
]


=== TEST 17: escapes that JSON lets one write in several ways
--- cases eval
[
    main::deliver(main::message(message_id => '\\u006d\\u0031\\/',
                    text => '\\ud83d\\ude00\\u00e9\\u2028\\u0022\\u005c')),
    main::fetch('/messages',
          main::page(main::item(message_id => 'm1/',
                    text => "\xf0\x9f\x98\x80\xc3\xa9\xe2\x80\xa8"
                            . '\\"\\\\'))),
    main::fetch('/messages?q=%F0%9F%98%80',
          main::page(main::item(message_id => 'm1/',
                    text => "\xf0\x9f\x98\x80\xc3\xa9\xe2\x80\xa8"
                            . '\\"\\\\'))),
]


=== TEST 18: other methods
--- request eval
["POST /messages\nx", "PUT /messages\nx", 'DELETE /messages',
 'OPTIONS /messages', 'PATCH /messages', 'HEAD /messages',
 'HEAD /messages?limit=0', 'HEAD /messages?offset=x']
--- error_code eval
[405, 405, 405, 405, 405, 200, 422, 422]
--- response_body eval
[('{"detail":"Method Not Allowed"}') x 5, ('') x 3]
--- response_headers eval
[("Allow: GET, HEAD\nContent-Type: application/json") x 5,
 "Allow:\nContent-Type: application/json",
 ("Content-Type: application/json") x 2]

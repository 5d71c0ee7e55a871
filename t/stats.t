# GET /stats: its exact bytes over stores of several shapes.

use strict;
use warnings;

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use Lyftr;


# so many messages of each sender

sub senders {
    my ($from, @counts) = @_;

    my $n = 0;
    my @case;

    while (my ($sender, $count) = splice @counts, 0, 2) {
        push @case, map { deliver(message(message_id => $from . $n++,
                                          from => $sender)) } 1 .. $count;
    }

    return @case;
}


sub stats {
    my ($total, $senders, $top, $first, $last) = @_;

    my @top;
    my @pairs = @$top;

    while (my ($from, $count) = splice @pairs, 0, 2) {
        push @top, qq({"from":"$from","count":$count});
    }

    return qq({"total_messages":$total,"senders_count":$senders,)
           . '"messages_per_sender":[' . join(',', @top) . '],'
           . join(',', '"first_message_ts":' . ($first ? qq("$first") : 'null'),
                       '"last_message_ts":' . ($last ? qq("$last") : 'null'))
           . '}';
}


our $usual = '2025-01-15T10:00:00Z';

add_block_preprocessor(\&fresh);
add_block_preprocessor(\&cases);

no_long_string();
run_tests();


__DATA__

=== TEST 1: an empty store
--- cases eval
[ main::fetch('/stats',
              '{"total_messages":0,"senders_count":0,'
              . '"messages_per_sender":[],"first_message_ts":null,'
              . '"last_message_ts":null}') ]
--- response_headers eval
"Content-Type: application/json"



=== TEST 2: every message that is stored counts, and nothing else
--- cases eval
[
    main::deliver(main::message()),
    main::fetch('/stats', main::stats(1, 1, [ '+919876543210', 1 ],
                                      ($main::usual) x 2)),
    main::deliver(main::message()),
    main::deliver(main::message(from => '+5', ts => '2026-01-01T00:00:00Z')),
    main::deliver(main::message(message_id => 'm2'), status => 401,
                  signature => 'X-Signature: 123',
                  answer => '{"detail":"invalid signature"}'),
    main::deliver('{}', status => 422, answer => qr/"missing"/),
    main::fetch('/stats', main::stats(1, 1, [ '+919876543210', 1 ],
                                      ($main::usual) x 2)),
    main::fetch('/stats?limit=0&from=+5&anything',
                main::stats(1, 1, [ '+919876543210', 1 ],
                            ($main::usual) x 2)),
]



=== TEST 3: of twelve senders the ten largest, all of them counted
--- cases eval
[
    main::senders('a', '+112', 1, '+111', 2, '+110', 3, '+109', 2, '+108', 5,
                  '+107', 6, '+106', 7, '+105', 4, '+104', 2, '+103', 3,
                  '+102', 2, '+101', 1),
    main::fetch('/stats', main::stats(38, 12,
                [ '+106', 7, '+107', 6, '+108', 5, '+105', 4, '+103', 3,
                  '+110', 3, '+102', 2, '+104', 2, '+109', 2, '+111', 2 ],
                ($main::usual) x 2)),
    main::senders('b', '+112', 2),
    main::fetch('/stats', main::stats(40, 12,
                [ '+106', 7, '+107', 6, '+108', 5, '+105', 4, '+103', 3,
                  '+110', 3, '+112', 3, '+102', 2, '+104', 2, '+109', 2 ],
                ($main::usual) x 2)),
]



=== TEST 4: twelve senders of one message each: the ten first by their bytes
--- cases eval
[
    main::senders('a', map { $_ => 1 }
                  qw(+9 +10 +2 +1 +100 +11 +3 +20 +8 +7 +99 +4)),
    main::fetch('/stats', main::stats(12, 12,
                [ map { $_ => 1 } qw(+1 +10 +100 +11 +2 +20 +3 +4 +7 +8) ],
                ($main::usual) x 2)),
]



=== TEST 5: exactly ten senders
--- cases eval
[
    main::senders('a', map { +"+$_" => 1 } 0 .. 9),
    main::fetch('/stats', main::stats(10, 10, [ map { +"+$_" => 1 } 0 .. 9 ],
                                      ($main::usual) x 2)),
]



=== TEST 6: first and last are by the instant, as they were sent
--- cases eval
[
    ( map { main::deliver(main::message(message_id => $_, ts => $_)) }
          '2025-01-15T10:00:00.5Z', '2025-01-15T10:00:00Z',
          '2025-01-15T10:00:00.50Z', '2025-01-15T10:00:00.123456789Z' ),
    main::fetch('/stats', qr/"first_message_ts":"2025-01-15T10:00:00Z",
                             "last_message_ts":"2025-01-15T10:00:00\.50?Z"/x),
    main::deliver(main::message(message_id => 'l',
                                ts => '2025-01-15T10:00:00.51Z')),
    main::deliver(main::message(message_id => 'f',
                                ts => '2025-01-15T09:59:59.9990Z')),
    main::fetch('/stats', main::stats(6, 1, [ '+919876543210', 6 ],
                                      '2025-01-15T09:59:59.9990Z',
                                      '2025-01-15T10:00:00.51Z')),
]



=== TEST 7: other methods
--- request eval
["HEAD /stats", "POST /stats\nx", "PUT /stats\nx", 'DELETE /stats',
 'OPTIONS /stats', 'PATCH /stats']
--- error_code eval
[200, (405) x 5]
--- response_body eval
['', ('{"detail":"Method Not Allowed"}') x 5]
--- response_headers eval
["Content-Length: 110\nContent-Type: application/json",
 ("Allow: GET, HEAD\nContent-Type: application/json") x 5]

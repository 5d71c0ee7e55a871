# POST /webhook: what is validly signed and still no message gets a 422 that
# names all faults of its body and is not stored; what is a message is stored
# to the byte, however odd it is.

use strict;
use warnings;

use lib 't/lib';

# what is waited after each of many requests, for the error log

BEGIN { $ENV{TEST_NGINX_SLEEP} //= 0.003 }

use Test::Nginx::Socket 'no_plan';
use Lyftr;

no_long_string();
check_accum_error_log();

add_block_preprocessor(\&fresh);
add_block_preprocessor(\&cases);


our $thumb = "\xf0\x9f\x91\x8d";
our $e_acute = "\xc3\xa9";

our $json_invalid = qr/\A\{"detail":\[\{"type":"json_invalid",
    "loc":\["body",[0-9]+\],
    "msg":"Body\ should\ be\ valid\ JSON\ in\ UTF-8",
    "input":\{\}\}\]\}\z/x;


# the body has these faults

sub refuse {
    my ($body, @faults) = @_;

    return deliver($body, status => 422, answer => faults(@faults));
}


sub broken {
    return deliver($_[0], status => 422, answer => $json_invalid);
}


# one field has the value, or the raw JSON

sub refuse_field {
    my ($field, $type, $value, $input) = @_;

    return refuse(message($field => $value),
                  [ $type, $field, $input // (ref $value ? $$value
                                                         : qq("$value")) ]);
}


# the id tells which it was

sub accept_field {
    my ($field, @values) = @_;

    my $n = 0;
    my (@cases, @items);

    for my $value (@values) {
        my $id = sprintf 'm%03d', $n++;

        push @cases, deliver(message(message_id => $id, $field => $value));
        push @items, item(message_id => $id, $field => $value);
    }

    return @cases, fetch('/messages?limit=100', qr/"total":$n,/),
           map { fetch('/messages?limit=100', qr/\Q$_\E/) } @items;
}


# something that is ignored beside a good message

sub beside {
    my ($json, %field) = @_;

    return message(%field) =~ s/\}\z/,$json}/r;
}


run_tests();


__DATA__

=== TEST 1: no body, and what is no object
--- cases eval
[ main::refuse('', [ 'missing' ]),
  (map { main::refuse($_, [ 'model_attributes_type', undef, $_ ]) }
       'null', 'true', 'false', '0', '-1.5e3', '""', '"x"', '[]'),
  main::refuse(' [1, {"a": 2}] ', [ 'model_attributes_type', undef, '[]' ]),
  main::refuse("\r\n\t null ", [ 'model_attributes_type', undef, 'null' ]),
  main::refuse('[' . main::message() . ']',
               [ 'model_attributes_type', undef, '[]' ]),
  main::fetch('/messages', main::page()),
  main::fetch('/metrics',
              qr/^webhook_requests_total\{result="validation_error"\} 12$/m) ]
--- response_headers eval
[ ("Content-Type: application/json") x 12, '', '' ]



=== TEST 2: no JSON: values, commas, quotes, comments
--- cases eval
[ map { main::broken($_) }
  ' ', '{', '}', '[', '{"a":1', '{"a"}', '{"a":}', '{"a":1,}', '[1,]', '[,1]',
  '{,}', '{a:1}', "{'a':1}", '{"a":1 "b":2}', '{"a":1;}', '{1:1}',
  '{"a":NaN}', '{"a":Infinity}', '{"a":-Infinity}', 'NaN', '{"a":nul}',
  '{"a":True}', '{"a":+1}', '{"a":01}', '{"a":-}', '{"a":1.}', '{"a":.5}',
  '{"a":1e}', '{"a":0x10}', '{"a":1_0}', '{"a":undefined}', 'tru',
  '{/* */}', "{} // x", "{}\n# x" ]



=== TEST 3: no JSON: inside of strings, around the value
--- cases eval
[ map { main::broken($_) }
  "{\"a\":\"\n\"}", "{\"a\":\"\t\"}", "{\"a\":\"\0\"}", "{\"a\":\"\x1f\"}",
  '{"a":"\x41"}', '{"a":"\u12"}', '{"a":"\u12g4"}', '{"a":"\U00000041"}',
  '{"a":"\\\'"}', '{"a":"x', '{"a":"x\\"}', '{"a":"\\',
  (map { main::message() . $_ } 'x', '{}', ' null', ',', '}', ']', '"', "\0",
                                "\x1a", "\xef\xbb\xbf", '1', ' 1', 't'),
  "\0" . main::message(), "\x0b" . main::message(), main::message() . "\f",
  "{\x0b}", "\xc2\xa0{}", "\xe2\x80\xa8{}" ]



=== TEST 4: other encodings, a byte order mark
--- cases eval
[ (map { main::broken($_) }
   "\xef\xbb\xbf" . main::message(),
   "\xfe\xff" . CORE::join('', map { "\0$_" } split //, main::message()),
   "\xff\xfe" . CORE::join('', map { "$_\0" } split //, main::message()),
   CORE::join('', map { "\0$_" } split //, main::message()),
   CORE::join('', map { "$_\0" } split //, main::message()),
   CORE::join('', map { "\0\0\0$_" } split //, main::message())),
  main::fetch('/messages', main::page()) ]



=== TEST 5: invalid UTF-8, in the text, a key, what is ignored, and outside
--- cases eval
[ (map { main::broken(main::message(text => $_)) }
   "\x80", "\xff", "\xc3", "\xc3(", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80",
   "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xed\xa0\xbd\xed\xb1\x8d",
   "\xe2\x82", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf0\x9f\x91",
   "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfe",
   "a\xe9b"),
  main::broken(main::message(message_id => "\xff")),
  main::broken(main::beside("\"x\":\"\xc0\xaf\"")),
  main::broken(main::beside("\"\xed\xa0\x80\":1")),
  main::broken(main::beside("\"x\":[{\"y\":\"\xff\"}]")),
  main::broken(main::message() . "\xff"),
  main::broken("\xff" . main::message()),
  main::fetch('/messages', main::page()) ]



=== TEST 6: nested 512 deep, and one more
--- cases eval
[ (map { my ($id, $open, $close, $n) = @$_;
         main::deliver(main::beside('"x":' . $open x $n . '1' . $close x $n,
                                    message_id => $id)) }
       [ 'a', '[', ']', 511 ], [ 'b', '{"x":', '}', 511 ]),
  (map { my ($open, $close, $n) = @$_;
         main::broken(main::beside('"x":' . $open x $n . '1' . $close x $n)) }
       [ '[', ']', 512 ], [ '{"x":', '}', 512 ], [ '[', ']', 100000 ]),
  main::refuse('[' x 512 . ']' x 512, [ 'model_attributes_type', undef, '[]' ]),
  main::broken('[' x 513 . ']' x 513),
  main::broken('[' x 100000),
  main::deliver(main::beside('"x":[' . CORE::join(',', ('[]') x 2000) . ']',
                             message_id => 'c')),
  main::fetch('/messages', main::page(map { main::item(message_id => $_) }
                                          'a' .. 'c')) ]



=== TEST 7: what is missing
--- cases eval
[ (map { main::refuse(main::message($_ => undef), [ 'missing', $_ ]) }
       qw(message_id from to ts)),
  main::refuse('{}', map { [ 'missing', $_ ] } qw(message_id from to ts)),
  main::refuse(' {"text" : "x"} ',
               map { [ 'missing', $_ ] } qw(message_id from to ts)),
  main::refuse('{"Message_id":"a","FROM":"+1","to ":"+1","ts\u0000":"x"}',
               map { [ 'missing', $_ ] } qw(message_id from to ts)),
  main::refuse('{"x":' . main::message() . '}',
               map { [ 'missing', $_ ] } qw(message_id from to ts)),
  main::fetch('/messages', main::page()) ]



=== TEST 8: what is no string is never made one
--- cases eval
[ (map { my $field = $_;
         map { main::refuse_field($field, 'string_type', \(my $v = $_)) }
             '123', '-1.5e3', 'true', 'false', '[]', '{}' }
       qw(message_id from to ts text)),
  (map { main::refuse_field($_, 'string_type', \'null') }
       qw(message_id from to ts)),
  main::refuse_field('text', 'string_type', \'["Hello"]', '[]'),
  main::refuse_field('from', 'string_type', \'{"wa_id":"+91"}', '{}'),
  main::refuse_field('ts', 'string_type', \'1736935200'),
  main::refuse_field('from', 'string_type', \'919876543210'),
  main::fetch('/messages', main::page()) ]



=== TEST 9: an empty message_id; a long and an odd one
--- cases eval
[ main::refuse_field('message_id', 'string_too_short', ''),
  main::deliver(main::message(message_id => ' ')),
  main::deliver(main::message(message_id => 'x' x 5000)),
  main::deliver(main::message(message_id => '\"\\\\\u001f\n')),
  main::fetch('/messages',
    main::page(main::item(message_id => ' '),
               main::item(message_id => '\"\\\\\u001f\n'),
               main::item(message_id => 'x' x 5000))) ]



=== TEST 10: from and to: a plus and ASCII digits
--- cases eval
[ (map { my $field = $_;
         map { main::refuse_field($field, 'string_pattern_mismatch', $_) }
             '', '+', '919876543210', '+91 9876', '+91a', '+91-98', '++91',
             '+-91', '+91+', ' +91', '+91 ', '00919876', "+1\xc2\xb2",
             "+\xd9\xa1\xd9\xa2", "+\xe0\xa5\xa7\xe0\xa5\xa8",
             "+\xef\xbc\x91\xef\xbc\x92", "\xef\xbc\x8b91", '+91\n', '\n+91',
             '+91\r\n', '+91\n+92', '+1.5', '+1e5', '(+91)' }
       qw(from to)),
  main::fetch('/messages', main::page()) ]



=== TEST 11: from and to: what is accepted
--- cases eval
[ main::accept_field('from', '+1', '+0', '+000', '+' . '9' x 300),
  (map { main::deliver(main::message(message_id => "to$_", to => $_)) }
       '+1', '+0', '+' . '9' x 300),
  main::deliver(main::message(message_id => 'e', from => '\u002b\u0031')),
  main::fetch('/messages?from=%2B1', qr/"total":2,/) ]



=== TEST 12: ts: the form
--- cases eval
[ (map { main::refuse_field('ts', 'datetime_parsing', $_) }
   '', 'x', '2025-01-15', '2025-01-15T10:00Z', '2025-01-15T10:00:00',
   '2025-01-15 10:00:00Z', '2025-01-15t10:00:00Z', '2025-01-15T10:00:00z',
   '2025-01-15T10:00:00+00:00', '2025-01-15T10:00:00-00:00',
   '2025-01-15T15:30:00+05:30', '2025-01-15T10:00:00.Z',
   '2025-01-15T10:00:00,5Z', '2025-01-15T10:00:00.1234567890Z',
   '2025-01-15T10:00:00.5', '2025-01-15T10:00:00.5z',
   ' 2025-01-15T10:00:00Z', '2025-01-15T10:00:00Z ', '2025-01-15T10:00:00Z\n',
   '\n2025-01-15T10:00:00Z', '2025-1-15T10:00:00Z', '25-01-15T10:00:00Z',
   '02025-01-15T10:00:00Z', '+2025-01-15T10:00:00Z', '-2025-01-15T10:00:00Z',
   '20250115T100000Z', '2025-W03-3T10:00:00Z', '2025-015T10:00:00Z',
   '1736935200', "2025-01-15T10:00:0\xd9\xa0Z",
   "2025-01-1\xef\xbc\x95T10:00:00Z", '2025-01-15T10:00:00ZZ',
   '2025-01-15T-1:00:00Z', '2025-01-15T 1:00:00Z', '2025/01/15T10:00:00Z'),
  main::fetch('/messages', main::page()) ]



=== TEST 13: ts: a time that does not exist
--- cases eval
[ (map { main::refuse_field('ts', 'datetime_parsing', $_) }
   '2025-00-15T10:00:00Z', '2025-13-15T10:00:00Z', '2025-01-00T10:00:00Z',
   '2025-01-32T10:00:00Z', '2025-04-31T10:00:00Z', '2025-06-31T10:00:00Z',
   '2025-09-31T10:00:00Z', '2025-11-31T10:00:00Z', '2025-02-30T10:00:00Z',
   '2025-02-29T10:00:00Z', '2024-02-30T10:00:00Z', '1900-02-29T10:00:00Z',
   '2100-02-29T10:00:00Z', '2025-01-15T24:00:00Z', '2025-01-15T25:00:00Z',
   '2025-01-15T10:60:00Z', '2025-01-15T10:00:60Z', '2016-12-31T23:59:60Z',
   '0000-01-01T00:00:00Z', '2025-01-15T99:99:99Z'),
  main::fetch('/messages', main::page()) ]



=== TEST 14: ts: stored and returned as it was sent
--- cases eval
[ main::accept_field('ts',
    '0001-01-01T00:00:00Z', '1900-02-28T23:59:59Z', '1969-12-31T23:59:59.9Z',
    '2000-02-29T00:00:00Z', '2024-02-29T12:00:00Z', '2025-01-15T10:00:00.5Z',
    '2025-01-15T10:00:00.500Z', '2025-01-15T10:00:00.123456789Z',
    '2025-01-15T10:00:00.000000000Z', '2038-01-19T03:14:08Z',
    '9999-12-31T23:59:59.999999999Z'),
  main::deliver(main::message(message_id => 'e',
                              ts => '2025-01-15\u005410:00:00\u005a')),
  main::fetch('/messages', qr/"ts":"2025-01-15T10:00:00Z"/) ]



=== TEST 15: text: 4,096 code points, however they are written
--- cases eval
[ (map { main::deliver(main::message(message_id => $_->[0],
                                     text => $_->[1])) }
   [ 'a', 'x' x 4096 ], [ 'b', $main::e_acute x 4096 ],
   [ 'c', $main::thumb x 4096 ], [ 'd', '\ud83d\udc4d' x 4096 ],
   [ 'e', '\u00e9' x 4096 ], [ 'f', '\n' x 4096 ],
   [ 'g', '\ud83d\udc4d' . $main::thumb x 4094 . 'x' ],
   [ 'h', "e\xcc\x81" x 2048 ]),
  main::fetch('/messages',
    main::page(
      main::item(message_id => 'a', text => 'x' x 4096),
      main::item(message_id => 'b', text => $main::e_acute x 4096),
      main::item(message_id => 'c', text => $main::thumb x 4096),
      main::item(message_id => 'd', text => $main::thumb x 4096),
      main::item(message_id => 'e', text => $main::e_acute x 4096),
      main::item(message_id => 'f', text => '\n' x 4096),
      main::item(message_id => 'g', text => $main::thumb x 4095 . 'x'),
      main::item(message_id => 'h', text => "e\xcc\x81" x 2048))) ]



=== TEST 16: text: one more
--- cases eval
[ main::refuse_field('text', 'string_too_long', 'x' x 4097,
                     '"' . 'x' x 255 . '"'),
  main::refuse_field('text', 'string_too_long', $main::e_acute x 4097,
                     '"' . $main::e_acute x 127 . '"'),
  main::refuse_field('text', 'string_too_long', $main::thumb x 4097,
                     '"' . $main::thumb x 63 . '"'),
  main::refuse_field('text', 'string_too_long', '\ud83d\udc4d' x 4097,
                     '"' . $main::thumb x 63 . '"'),
  main::refuse_field('text', 'string_too_long', '\u00e9' x 4097,
                     '"' . $main::e_acute x 127 . '"'),
  main::refuse_field('text', 'string_too_long', "e\xcc\x81" x 2048 . 'e',
                     '"' . "e\xcc\x81" x 85 . '"'),
  main::fetch('/messages', main::page()) ]



=== TEST 17: text: empty, null and absent
--- cases eval
[ main::deliver(main::message(message_id => 'a', text => '')),
  main::deliver(main::message(message_id => 'b', text => \'null')),
  main::deliver(main::message(message_id => 'c', text => undef)),
  main::deliver(main::message(message_id => 'd', text => 'null')),
  main::deliver(main::message(message_id => 'e', text => ' ')),
  main::fetch('/messages',
              main::page(main::item(message_id => 'a', text => ''),
                         main::item(message_id => 'b', text => undef),
                         main::item(message_id => 'c', text => undef),
                         main::item(message_id => 'd', text => 'null'),
                         main::item(message_id => 'e', text => ' '))) ]



=== TEST 18: strings come back to the byte
--- cases eval
[ main::deliver(main::message(message_id => 'a',
                              text => '\"\\\\\/\b\f\n\r\t')),
  main::deliver(main::message(message_id => 'b',
                              text => "<&>'%_ \x7f\xc2\x80\xc2\xa0")),
  main::deliver(main::message(message_id => 'c',
                              text => "\xe2\x80\xa8\xef\xbb\xbf\xef\xbf\xbf"
                                      . "\xf4\x8f\xbf\xbf")),
  main::deliver(main::message(message_id => 'd',
                              text => '\u0041\u00E9\u20ac\uD83D\uDC4D')),
  main::deliver(main::message(message_id => 'e',
                              text => "\x{e0}\xa4\xa8\xe0\xa4\xae\xe0\xa4\xb8"
                                      . "\xe0\xa5\x8d")),
  main::deliver(main::message(message_id => 'f', text => '\\\\ud800')),
  main::fetch('/messages',
    main::page(
      main::item(message_id => 'a', text => '\"\\\\/\b\f\n\r\t'),
      main::item(message_id => 'b',
                 text => "<&>'%_ \x7f\xc2\x80\xc2\xa0"),
      main::item(message_id => 'c',
                 text => "\xe2\x80\xa8\xef\xbb\xbf\xef\xbf\xbf"
                         . "\xf4\x8f\xbf\xbf"),
      main::item(message_id => 'd',
                 text => "A\xc3\xa9\xe2\x82\xac$main::thumb"),
      main::item(message_id => 'e',
                 text => "\x{e0}\xa4\xa8\xe0\xa4\xae\xe0\xa4\xb8"
                         . "\xe0\xa5\x8d"),
      main::item(message_id => 'f', text => '\\\\ud800'))) ]



=== TEST 19: lone surrogates and U+0000 in the five fields
--- cases eval
[ (map { my $field = $_;
         map { main::deliver(main::message($field => $_), status => 422,
                 answer => qr/\A\{"detail":\[\{"type":"string_unicode",
                              "loc":\["body","$field"\],
                              "msg":"[^"]+","input":"[^\x00-\x1f]*"\}\]\}\z/x) }
             '\ud800', '\uDFFF', 'a\udc4db', '\ud83d', '\ud83d\ud83d',
             '\udc4d\ud83d', '\ud83dx', '\ud83d\n', '\ud83d\u0041',
             '\u0000', 'a\u0000b' }
       qw(message_id from to ts text)),
  main::fetch('/messages', main::page()) ]



=== TEST 20: what is ignored may hold anything that is JSON
--- cases eval
[ (map { main::deliver(main::beside($_->[1], message_id => $_->[0])) }
   [ 'a', '"x":"\ud800"' ], [ 'b', '"\udfff":1' ], [ 'c', '"x":"\u0000"' ],
   [ 'd', '"":null' ], [ 'e', '"x":1e999999' ], [ 'f', '"x":' . '9' x 1000 ],
   [ 'g', '"x":-0.0e-0' ], [ 'h', '"x":[true,{"from":1,"ts":[]}]' ],
   [ 'i', '"created_at":"2000-01-01","id":7' ],
   [ 'j', '"y":{"message_id":"z","text":7}' ]),
  main::fetch('/messages', main::page(map { main::item(message_id => $_) }
                                          'a' .. 'j')) ]



=== TEST 21: of a repeated key the last wins
--- cases eval
[ main::deliver('{"message_id":7,"from":"x","ts":null,"text":[],'
                . substr main::message(message_id => 'a'), 1),
  main::deliver(main::beside('"text":"last"', message_id => 'b')),
  main::deliver(main::beside('"text":null', message_id => 'c')),
  main::deliver(main::beside('"te\u0078t":"x","text":"\u0079"',
                             message_id => 'd')),
  main::deliver(main::beside('"text":"ok"', message_id => 'e',
                             text => '\ud800')),
  main::refuse(main::beside('"from":"1"'),
               [ 'string_pattern_mismatch', 'from', '"1"' ]),
  main::refuse(main::beside('"message_id":""'),
               [ 'string_too_short', 'message_id', '""' ]),
  main::refuse(main::beside('"to":null'), [ 'string_type', 'to', 'null' ]),
  main::refuse(main::beside('"\u0074s":"x"'),
               [ 'datetime_parsing', 'ts', '"x"' ]),
  main::fetch('/messages',
              main::page(main::item(message_id => 'a'),
                         main::item(message_id => 'b', text => 'last'),
                         main::item(message_id => 'c', text => undef),
                         main::item(message_id => 'd', text => 'y'),
                         main::item(message_id => 'e', text => 'ok'))) ]



=== TEST 22: all faults at once
--- cases eval
[ main::refuse('{"ts":"now","text":1,"to":"1","from":null,"message_id":""}',
               [ 'string_too_short', 'message_id', '""' ],
               [ 'string_type', 'from', 'null' ],
               [ 'string_pattern_mismatch', 'to', '"1"' ],
               [ 'datetime_parsing', 'ts', '"now"' ],
               [ 'string_type', 'text', '1' ]),
  main::refuse('{"from":"+91","text":"' . 'x' x 4097 . '","ts":{"a":1}}',
               [ 'missing', 'message_id' ], [ 'missing', 'to' ],
               [ 'string_type', 'ts', '{}' ],
               [ 'string_too_long', 'text', '"' . 'x' x 255 . '"' ]) ]



=== TEST 23: a broken body has one fault, whatever else is in it
--- cases eval
[ main::broken('{"message_id":"","from":1,"to":null,}'),
  main::broken(main::message(from => 'x') . 'x') ]



=== TEST 24: the input is cut at a character, and escaped
--- cases eval
[ main::refuse_field('from', 'string_pattern_mismatch', 'a' x 255),
  main::refuse_field('from', 'string_pattern_mismatch', 'a' x 256,
                     '"' . 'a' x 255 . '"'),
  main::refuse_field('from', 'string_pattern_mismatch',
                     'x' . $main::e_acute x 200,
                     '"x' . $main::e_acute x 127 . '"'),
  main::refuse_field('from', 'string_pattern_mismatch',
                     'xxx' . $main::thumb x 100,
                     '"xxx' . $main::thumb x 63 . '"'),
  main::refuse_field('from', 'string_pattern_mismatch',
                     '\"\\\\\n\u001f</script>') ]



=== TEST 25: who cannot sign learns nothing of the schema
--- cases eval
[ map { main::deliver($_, signature => 'X-Signature: ' . '0' x 64,
                      status => 401,
                      answer => '{"detail":"invalid signature"}') }
      'x', '{}', 'null', "\xff", '[' x 1000, main::message(from => 'x'),
      main::message() ]

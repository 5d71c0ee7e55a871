# POST /webhook: a body arrives whole however it is sent, its message is stored
# once and as it was sent, and what is no delivery is refused in good order.

use strict;
use warnings;

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use Lyftr;

no_long_string();
check_accum_error_log();

add_block_preprocessor(\&fresh);
add_block_preprocessor(\&cases);


# a body of some 16,400 bytes, the text of which has 4,096 characters

our $big = "\xf0\x9f\x91\x8d" x 4095 . '!';

our $not_allowed = '{"detail":"Method Not Allowed"}';
our $too_large = qr/413 Request Entity Too Large/;


# a message of exactly so many bytes: white space is part of the body

sub padded {
    my ($size, $id) = @_;

    my $body = message(message_id => $id);

    return $body . ' ' x ($size - length $body);
}


# chunks of so many bytes each

sub chunked {
    my ($body, $size, $extension) = @_;

    $extension //= '';

    return join '', (map { sprintf "%x%s\r\n%s\r\n", length, $extension, $_ }
                         unpack "(a$size)*", $body),
                    "0\r\n\r\n";
}


sub deliver_chunked {
    my ($body, $sent, %option) = @_;

    return deliver($sent, signed => $body,
                   headers => 'Transfer-Encoding: chunked', %option);
}


# so many bytes a packet, which nginx reads one by one

sub packets {
    my ($body, $size) = @_;

    return [ map { { value => $_, delay_before => 0.01 } }
                 unpack "(a$size)*", $body ];
}


# Test::Nginx has a limit of its own in the server

sub limited {
    my ($size) = @_;

    return endpoints() =~ s/(lyftr_webhook)/client_max_body_size $size; $1/r;
}


sub result {
    my ($result, $n) = @_;

    return qr/^webhook_requests_total\{result="$result"\} $n$/m;
}

run_tests();


__DATA__

=== TEST 1: a message is stored as it was sent
--- cases eval
[ main::deliver(main::message()),
  main::fetch('/messages', main::page(main::item())) ]
--- response_headers eval
[ "Content-Type: application/json\nContent-Length: 15",
  "Content-Type: application/json" ]



=== TEST 2: the content type is not looked at
--- cases eval
[ map { my $body = main::message(message_id => "m$_->[0]");
        main::deliver($body, headers => "Content-Length: " . length($body)
                                        . "\n$_->[1]") }
      [ 1, '' ], [ 2, 'Content-Type: text/plain' ],
      [ 3, 'Content-Type: application/x-www-form-urlencoded' ],
      [ 4, 'Content-Type: application/json; charset=utf-16' ] ]



=== TEST 3: the same id again, with the same and with other content
--- cases eval
[ main::deliver(main::message()),
  main::deliver(main::message()),
  main::deliver(main::message(text => 'Bye', from => '+1', to => '+2',
                              ts => '1999-01-01T00:00:00Z')),
  main::deliver(main::message(text => undef)),
  main::deliver('{"text":"Hello","ts":"2025-01-15T10:00:00Z",'
                . '"to":"+14155550100","from":"+919876543210",'
                . '"message_id":"\u006d1"}'),
  main::fetch('/messages', main::page(main::item())),
  main::fetch('/metrics', main::result('created', 1)),
  main::fetch('/metrics', main::result('duplicate', 4)) ]



=== TEST 4: an id is known by its bytes: case, spaces and normal forms differ
--- cases eval
[ (map { main::deliver(main::message(message_id => $_)) }
       'm', 'M', ' m', 'm ', "\xc3\xa9", "e\xcc\x81", '0', '00', '0.0'),
  main::fetch('/messages?limit=1', qr/"total":9,/) ]



=== TEST 5: a body in memory, after its headers and in pieces
--- config eval
"client_body_buffer_size 64k;\n" . main::endpoints()
--- cases eval
[ main::deliver([ '', { value => main::message(message_id => 'a'),
                        delay_before => 0.05 } ]),
  main::deliver(main::packets(main::message(message_id => 'b'), 10)),
  main::deliver(main::packets(main::message(message_id => 'c',
                                            text => $main::big), 3000)),
  main::fetch('/messages',
              main::page(main::item(message_id => 'a'),
                         main::item(message_id => 'b'),
                         main::item(message_id => 'c',
                                    text => $main::big))) ]



=== TEST 6: a body in a temporary file
--- config eval
"client_body_buffer_size 1k;\n" . main::endpoints()
--- cases eval
[ main::deliver(main::message(message_id => 'a', text => $main::big)),
  main::deliver(main::packets(main::message(message_id => 'b',
                                            text => $main::big), 3000)),
  main::deliver(main::padded(1200, 'c')),
  main::fetch('/messages',
              main::page(main::item(message_id => 'a', text => $main::big),
                         main::item(message_id => 'b', text => $main::big),
                         main::item(message_id => 'c'))) ]
--- error_log
a client request body is buffered to a temporary file



=== TEST 7: bodies that are always in a file
--- config eval
"client_body_in_file_only clean;\n" . main::endpoints()
--- cases eval
[ main::deliver(main::message(message_id => 'a')),
  main::deliver_chunked(main::message(message_id => 'b'),
                        main::chunked(main::message(message_id => 'b'), 20)),
  main::deliver('', status => 422,
                answer => main::faults([ 'missing' ])),
  main::fetch('/messages', main::page(main::item(message_id => 'a'),
                                      main::item(message_id => 'b'))) ]



=== TEST 8: chunked
--- cases eval
[ (map { my $body = main::message(message_id => "m$_->[0]");
         main::deliver_chunked($body, main::chunked($body, @{$_->[1]})) }
       [ 1, [ 1000 ] ], [ 2, [ 20 ] ], [ 3, [ 1 ] ],
       [ 4, [ 7, ';name=value' ] ]),
  main::fetch('/messages', main::page(map { main::item(message_id => "m$_") }
                                          1 .. 4)) ]



=== TEST 9: chunked, in pieces, the end alone
--- cases eval
[ main::deliver_chunked(main::message(message_id => 'a'),
      main::packets(main::chunked(main::message(message_id => 'a'), 9), 11)),
  main::deliver_chunked(main::message(message_id => 'b'),
      [ sprintf("%x\r\n", length main::message(message_id => 'b')),
        { value => main::message(message_id => 'b'), delay_before => 0.05 },
        { value => "\r\n", delay_before => 0.05 },
        { value => "0\r\n", delay_before => 0.05 },
        { value => "\r\n", delay_before => 0.05 } ]),
  main::deliver_chunked(main::message(message_id => 'c'),
      sprintf("%X\r\n%s\r\n0\r\nX-Trailer: 1\r\n\r\n",
              length main::message(message_id => 'c'),
              main::message(message_id => 'c'))),
  main::fetch('/messages', main::page(map { main::item(message_id => $_) }
                                          'a' .. 'c')) ]



=== TEST 10: chunked and bigger than its buffer
--- config eval
"client_body_buffer_size 1k;\n" . main::endpoints()
--- cases eval
[ (map { my $body = main::message(message_id => "m$_->[0]",
                                  text => $main::big);
         main::deliver_chunked($body, main::chunked($body, $_->[1])) }
       [ 1, 100000 ], [ 2, 1024 ], [ 3, 100 ], [ 4, 3 ]),
  main::fetch('/messages', main::page(map { main::item(message_id => "m$_",
                                                       text => $main::big) }
                                          1 .. 4)) ]
--- error_log
a client request body is buffered to a temporary file



=== TEST 11: chunked and not well formed
--- cases eval
[ main::deliver_chunked('x', "x\r\n\r\n", status => 400, answer => qr/400/),
  main::fetch('/messages', main::page()) ]



=== TEST 12: Expect: 100-continue
--- cases eval
[ [ 'POST /webhook',
    'Expect: 100-continue' . "\nContent-Length: "
        . length(main::message()) . "\n" . main::signature(main::message()),
    [ '', { value => main::message(), delay_before => 0.1 } ], 100,
    qr/\AHTTP\/1\.1 200 OK\r\n.*\r\n\r\n\{"status":"ok"\}\z/s ],
  main::fetch('/messages', main::page(main::item())) ]



=== TEST 13: an empty body is no JSON, however it is sent
--- cases eval
[ main::deliver('', status => 422, answer => main::faults([ 'missing' ])),
  main::deliver('', headers => '', status => 422,
                answer => main::faults([ 'missing' ])),
  main::deliver_chunked('', "0\r\n\r\n", status => 422,
                        answer => main::faults([ 'missing' ])),
  main::deliver('', signature => undef, status => 401,
                answer => '{"detail":"invalid signature"}'),
  main::deliver_chunked('', "0\r\n\r\n", signature => 'X-Signature: ',
                        status => 401,
                        answer => '{"detail":"invalid signature"}'),
  main::fetch('/messages', main::page()) ]



=== TEST 14: a body of the limit, and one of a byte more
--- config eval
main::limited('1m')
--- cases eval
[ main::deliver(main::padded(1048576, 'a')),
  main::deliver(main::padded(1048577, 'b'), status => 413,
                answer => $main::too_large),
  main::deliver_chunked(main::padded(1048576, 'c'),
                        main::chunked(main::padded(1048576, 'c'), 65536)),
  main::deliver_chunked(main::padded(1048577, 'd'),
                        main::chunked(main::padded(1048577, 'd'), 65536),
                        status => 413, answer => $main::too_large),
  main::fetch('/messages', main::page(main::item(message_id => 'a'),
                                      main::item(message_id => 'c'))) ]



=== TEST 15: a body over the limit costs no signature, and stores nothing
--- config eval
main::limited(200)
--- cases eval
[ main::deliver(main::padded(200, 'a')),
  main::deliver(main::padded(201, 'b'), signature => undef, status => 413,
                answer => $main::too_large),
  main::deliver_chunked(main::padded(201, 'c'),
                        main::chunked(main::padded(201, 'c'), 50),
                        signature => 'X-Signature: 123', status => 413,
                        answer => $main::too_large),
  main::deliver_chunked(main::padded(200, 'd'),
                        main::chunked(main::padded(200, 'd'), 50)),
  main::fetch('/messages', main::page(main::item(message_id => 'a'),
                                      main::item(message_id => 'd'))),
  main::fetch('/metrics', main::result('rejected', 2)),
  main::fetch('/metrics', main::result('invalid_signature', 0)),
  main::fetch('/metrics', qr/_total\{path="\/webhook",status="413"\} 2$/m) ]



=== TEST 16: other methods, signed or not
--- cases eval
[ (map { my $signature = $_;
         map { [ "$_ /webhook", "Content-Length: "
                     . length(main::message()) . $signature,
                 main::message(), 405, $main::not_allowed ] }
             qw(GET PUT DELETE OPTIONS PATCH PROPFIND FOO) }
       '', "\n" . main::signature(main::message())),
  [ 'HEAD /webhook', '', '', 405, '' ],
  main::fetch('/messages', main::page()) ]
--- response_headers eval
[ ("Allow: POST\nContent-Type: application/json") x 15, '!Allow' ]



=== TEST 17: the method comes before the size, if no length tells
--- config eval
main::limited(10)
--- cases eval
[ [ 'PUT /webhook', 'Transfer-Encoding: chunked',
    main::chunked('x' x 100, 20), 405, $main::not_allowed ] ]
--- response_headers
Allow: POST



=== TEST 18: two deliveries on a connection, and a refused one between
--- pipelined_requests eval
[ map { "POST /webhook\n" . main::message(message_id => $_) } 'a' .. 'c' ]
--- more_headers eval
[ map { 'Content-Length: ' . length(main::message(message_id => $_)) . "\n"
        . ($_ eq 'b' ? '' : main::signature(main::message(message_id => $_))) }
      'a' .. 'c' ]
--- error_code eval
[ 200, 401, 200 ]
--- response_body eval
[ main::ok_body(), '{"detail":"invalid signature"}', main::ok_body() ]



=== TEST 19: HTTP/1.0, and a query that nobody asked for
--- raw_request eval
"POST /webhook?text=x HTTP/1.0\r\nContent-Length: "
. length(main::message()) . "\r\n" . main::signature(main::message())
. "\r\n\r\n" . main::message()
--- response_body: {"status":"ok"}
--- response_headers
Content-Length: 15



=== TEST 20: a body that ends too early is not stored
--- raw_request eval
"POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
. (length(main::message()) + 1) . "\r\n" . main::signature(main::message())
. "\r\n\r\n" . main::message()
--- shutdown: 1
--- ignore_response



=== TEST 21: and neither are a part's bytes, signed as a whole
--- cases eval
[ main::deliver(main::message() . 'x', signed => main::message(),
                status => 401, answer => '{"detail":"invalid signature"}'),
  main::deliver(main::message() . 'x', signed => main::message(),
                headers => 'Content-Length: ' . length main::message()),
  main::fetch('/messages', main::page(main::item())) ]

# Signatures are checked over the raw bytes before anything else, against every
# configured secret; nothing else verifies, and no secret is ever told.

use strict;
use warnings;

use lib 't/lib';

# what is waited after each of many requests, for the error log

BEGIN { $ENV{TEST_NGINX_SLEEP} //= 0.003 }

use Test::Nginx::Socket 'no_plan';
use Lyftr;

no_long_string();
check_accum_error_log();

$ENV{LYFTR_TEST_SECRET} = 'from-the-environment';
$ENV{LYFTR_TEST_EMPTY} = '';
delete $ENV{LYFTR_TEST_UNSET};

add_block_preprocessor(\&fresh);
add_block_preprocessor(\&cases);


our $body = message();
our $invalid = '{"detail":"invalid signature"}';
our $no_secret = qr/\A\{"detail":"[^"]*secret[^"]*"\}\z/;


# the header is this, and no signature

sub refuse {
    my ($header, $of) = @_;

    return deliver($of // $body, signature => $header, status => 401,
                   answer => $invalid);
}


sub verified {
    my ($name, $n) = @_;

    return fetch('/metrics',
             qr/^lyftr_signatures_verified_total\{secret="$name"\} $n$/m);
}


# the store, and the lines besides

sub secrets {
    my (@lines) = @_;

    return http_config() =~ s/^.*lyftr_secret.*\n//mr
           . join '', map { "$_;\n" } @lines;
}


# two locations, each with lines of its own

sub locations {
    my ($one, $two) = @_;

    return endpoints()
           . "location = /one { lyftr_webhook main; $one }\n"
           . "location = /two { lyftr_webhook main; $two }\n";
}

run_tests();


__DATA__

=== TEST 1: what is no signature of the body
--- cases eval
[ (map { main::refuse($_) }
   undef, 'X-Signature:', 'X-Signature: 123', 'X-Signature: ' . '0' x 64,
   'X-Signature: ' . main::sign($main::body, 'other'),
   'X-Signature: ' . main::sign($main::body, ''),
   'X-Signature: ' . main::sign("$main::body\n"),
   'X-Signature: ' . main::sign(''),
   'X-Signature: ' . substr(main::sign($main::body), 0, 63),
   'X-Signature: ' . substr(main::sign($main::body), 0, 62),
   'X-Signature: ' . substr(main::sign($main::body), 0, 32),
   'X-Signature: ' . main::sign($main::body) . '0',
   'X-Signature: ' . main::sign($main::body) . '00',
   'X-Signature: ' . main::sign($main::body) x 2,
   'X-Signature: sha256=' . main::sign($main::body),
   'X-Signature: 0x' . main::sign($main::body),
   'X-Signature: "' . main::sign($main::body) . '"',
   'X-Signature: ' . main::sign($main::body) =~ s/.\z/g/r,
   'X-Signature: ' . main::sign($main::body) =~ s/\A./ /r,
   'X-Signature: ' . main::sign($main::body) =~ s/\A./-/r,
   'X-Signature: ' . main::sign($main::body) =~ s/../\xc3\xa9/r,
   "X-Signature: " . "\xef\xbc\x91" x 64, 'X-Signature: ' . "\xff" x 64,
   'X-Signature: ' . 'z' x 64, 'X-Signature: ' . '0' x 4000,
   'X-Signatures: ' . main::sign($main::body),
   'Signature: ' . main::sign($main::body),
   'X-Hub-Signature-256: sha256=' . main::sign($main::body),
   'Authorization: ' . main::sign($main::body)),
  main::fetch('/messages', main::page()),
  main::verified(1, 0),
  main::fetch('/metrics', qr/_total\{result="invalid_signature"\} 29$/m) ]



=== TEST 2: every digit counts
--- cases eval
[ map { my $signature = main::sign($main::body);
        substr($signature, $_, 1) =~ tr/0-9a-f/1-9a-f0/;
        main::refuse("X-Signature: $signature") }
      0, 1, 15, 16, 31, 32, 62, 63 ]



=== TEST 3: a signature given twice is none
--- cases eval
[ main::refuse(main::signature($main::body) . ', '
               . main::sign($main::body)) ]



=== TEST 4: lower, upper and mixed case; the header's name in any
--- cases eval
[ (map { main::deliver($main::body, signature => $_) }
   main::signature($main::body),
   'X-Signature: ' . uc main::sign($main::body),
   'X-Signature: ' . main::sign($main::body) =~ s/([a-f])/\u$1/r,
   'x-signature: ' . main::sign($main::body),
   'X-SIGNATURE:  ' . main::sign($main::body) . ' '),
  main::fetch('/messages', main::page(main::item())),
  main::verified(1, 5) ]



=== TEST 5: the raw bytes are signed: white space, key order, escapes
--- cases eval
[ (map { main::refuse(main::signature($main::body), $_) }
   " $main::body", "$main::body ", "$main::body\n", "$main::body\r\n",
   $main::body =~ s/:/: /gr, $main::body =~ s/Hello/\\u0048ello/r,
   '{"text":"Hello","ts":"2025-01-15T10:00:00Z","to":"+14155550100",'
   . '"from":"+919876543210","message_id":"m1"}'),
  main::fetch('/messages', main::page()),
  (map { main::deliver($_) }
   " $main::body", "$main::body\n", "$main::body\r\n",
   $main::body =~ s/":"/" : "/gr),
  main::fetch('/messages', main::page(main::item())) ]



=== TEST 6: several secrets: any verifies, and it is told which
--- http_config eval
main::secrets('lyftr_secret old name=2026-10', 'lyftr_secret new name=2026-11',
              'lyftr_secret third')
--- cases eval
[ (map { main::verified(@$_) } [ '2026-10', 0 ], [ '2026-11', 0 ], [ '3', 0 ]),
  (map { main::deliver(main::message(message_id => $_->[0]),
                       secret => $_->[1]) }
   [ 'a', 'old' ], [ 'b', 'new' ], [ 'c', 'new' ], [ 'd', 'third' ],
   [ 'e', 'third' ], [ 'f', 'third' ]),
  (map { main::deliver($main::body, secret => $_, status => 401,
                       answer => $main::invalid) }
   'testsecret', '2026-10', '', 'oldnew'),
  main::fetch('/messages', main::page(map { main::item(message_id => $_) }
                                          'a' .. 'f')),
  (map { main::verified(@$_) } [ '2026-10', 1 ], [ '2026-11', 2 ], [ '3', 3 ]) ]



=== TEST 7: the same secret twice counts for the first
--- http_config eval
main::secrets('lyftr_secret same name=a', 'lyftr_secret same name=b')
--- cases eval
[ main::deliver($main::body, secret => 'same'),
  main::verified('a', 1), main::verified('b', 0) ]



=== TEST 8: what verifies is counted, whatever becomes of the body
--- cases eval
[ main::deliver('x', status => 422, answer => qr/json_invalid/),
  main::deliver($main::body), main::deliver($main::body),
  main::verified(1, 3) ]



=== TEST 9: a secret in the environment
--- http_config eval
main::secrets('lyftr_secret env:LYFTR_TEST_SECRET')
--- cases eval
[ main::deliver($main::body, secret => 'from-the-environment'),
  main::deliver($main::body, secret => 'env:LYFTR_TEST_SECRET', status => 401,
                answer => $main::invalid),
  main::fetch('/health/ready', '{"status":"ready"}') ]



=== TEST 10: an unset one: up, not ready, right after the method check
--- http_config eval
main::secrets('lyftr_secret env:LYFTR_TEST_UNSET')
--- config eval
main::endpoints() =~ s/(lyftr_webhook)/client_max_body_size 10; $1/r
--- cases eval
[ main::deliver('x', status => 503, answer => $main::no_secret),
  main::deliver('x', secret => '', status => 503,
                answer => $main::no_secret),
  main::deliver('', signature => undef, status => 503,
                answer => $main::no_secret),
  [ 'POST /webhook', 'Transfer-Encoding: chunked', "1\r\nx\r\n0\r\n\r\n", 503,
    $main::no_secret ],
  main::fetch('/health/ready',
              qr/\A\{"status":"unavailable","detail":"[^"]*secret[^"]*"\}\z/,
              503),
  main::fetch('/webhook', '{"detail":"Method Not Allowed"}', 405),
  main::fetch('/health/live', main::ok_body()),
  main::fetch('/messages', main::page()),
  main::fetch('/metrics', qr/^http_requests_total\{path="\/webhook",
                             status="503"\}\ 4$/mx) ]
--- response_headers eval
[ ('Content-Type: application/json
Retry-After: 1') x 4, '', 'Allow: POST', '', '', '' ]



=== TEST 11: an empty one is the same, and so is none at all
--- http_config eval
main::secrets('lyftr_secret env:LYFTR_TEST_EMPTY')
--- cases eval
[ main::deliver($main::body, secret => '', status => 503,
                answer => $main::no_secret),
  main::fetch('/health/ready', qr/"unavailable"/, 503) ]



=== TEST 12: none at all
--- http_config eval
main::secrets()
--- cases eval
[ main::deliver($main::body, secret => '', status => 503,
                answer => $main::no_secret),
  main::fetch('/health/ready', qr/"unavailable"/, 503) ]
--- response_headers eval
[ 'Retry-After: 1', '' ]



=== TEST 13: one that is set beside one that is not
--- http_config eval
main::secrets('lyftr_secret env:LYFTR_TEST_UNSET name=next',
              'lyftr_secret env:LYFTR_TEST_SECRET')
--- cases eval
[ main::deliver($main::body, secret => 'from-the-environment'),
  main::refuse(main::signature($main::body, '')),
  main::fetch('/health/ready', '{"status":"ready"}'),
  main::verified('2', 1) ]



=== TEST 14: one location of the store without a secret: not ready
--- http_config eval
main::secrets()
--- config eval
main::locations('lyftr_secret one;', '') =~ s/.*\/webhook.*\n//r
--- cases eval
[ main::deliver($main::body, uri => '/one', secret => 'one'),
  main::deliver($main::body, uri => '/two', secret => 'one', status => 503,
                answer => $main::no_secret),
  main::fetch('/health/ready', qr/"unavailable"/, 503) ]



=== TEST 15: secrets in files: a newline at the end is not the secret's
--- http_config eval
main::secrets(map { "lyftr_secret file:\$TEST_NGINX_SERVER_ROOT/html/$_" }
                  'plain', 'lf', 'crlf', 'two', 'spaces', 'bytes')
--- user_files eval
[ [ 'plain', 'plain-secret' ], [ 'lf', "lf-secret\n" ],
  [ 'crlf', "crlf-secret\r\n" ], [ 'two', "two-secret\n\n" ],
  [ 'spaces', " spaces secret \t\n" ], [ 'bytes', "\x00\xff\n\x01" ] ]
--- cases eval
[ (map { main::deliver($main::body, secret => $_) }
   'plain-secret', 'lf-secret', 'crlf-secret', "two-secret\n",
   " spaces secret \t", "\x00\xff\n\x01"),
  (map { main::deliver($main::body, secret => $_, status => 401,
                       answer => $main::invalid) }
   "plain-secret\n", "lf-secret\n", "crlf-secret\r\n", "crlf-secret\r",
   'two-secret', 'spaces secret', ''),
  (map { main::verified($_, 1) } 1 .. 6) ]



=== TEST 16: a relative file is found beside the configuration
--- http_config eval
main::secrets('lyftr_secret file:../html/secret name=file')
--- user_files
>>> secret
here
--- cases eval
[ main::deliver($main::body, secret => 'here'), main::verified('file', 1) ]



=== TEST 17: secrets are inherited, or replaced as a whole
--- http_config eval
main::secrets('lyftr_secret http')
--- config eval
main::locations('lyftr_secret one;', '')
--- cases eval
[ main::deliver($main::body, secret => 'http'),
  main::deliver($main::body, uri => '/two', secret => 'http'),
  main::deliver($main::body, uri => '/one', secret => 'one'),
  main::deliver($main::body, uri => '/one', secret => 'http', status => 401,
                answer => $main::invalid),
  main::deliver($main::body, uri => '/two', secret => 'one', status => 401,
                answer => $main::invalid) ]



=== TEST 18: of the server, too
--- http_config eval
main::secrets('lyftr_secret http')
--- config eval
"lyftr_secret server;\n" . main::locations('', 'lyftr_secret two;')
--- cases eval
[ main::deliver($main::body, secret => 'server'),
  main::deliver($main::body, uri => '/one', secret => 'server'),
  main::deliver($main::body, uri => '/two', secret => 'two'),
  map { main::deliver($main::body, uri => $_->[0], secret => $_->[1],
                      status => 401, answer => $main::invalid) }
      [ '/webhook', 'http' ], [ '/one', 'two' ], [ '/two', 'server' ] ]



=== TEST 19: the preset hub
--- config eval
main::locations('lyftr_signature hub;', 'lyftr_signature lyftr;')
--- cases eval
[ main::deliver($main::body, uri => '/one', signature =>
                'X-Hub-Signature-256: sha256=' . main::sign($main::body)),
  main::deliver($main::body, uri => '/one', signature =>
                'X-Hub-Signature-256: sha256=' . uc main::sign($main::body)),
  (map { main::deliver($main::body, uri => '/one', signature => $_,
                       status => 401, answer => $main::invalid) }
   undef, main::signature($main::body), 'X-Hub-Signature-256:',
   'X-Hub-Signature-256: sha256=',
   'X-Hub-Signature-256: ' . main::sign($main::body),
   'X-Hub-Signature-256: sha1=' . main::sign($main::body),
   'X-Hub-Signature-256: sha256 ' . main::sign($main::body),
   'X-Hub-Signature-256: SHA256=' . main::sign($main::body),
   'X-Hub-Signature: sha256=' . main::sign($main::body)),
  main::deliver($main::body, uri => '/two'),
  main::deliver($main::body, uri => '/two', signature =>
                'X-Hub-Signature-256: sha256=' . main::sign($main::body),
                status => 401, answer => $main::invalid) ]



=== TEST 20: the preset is inherited
--- http_config eval
main::http_config() . "lyftr_signature hub;\n"
--- cases eval
[ main::deliver($main::body, signature =>
                'X-Hub-Signature-256: sha256=' . main::sign($main::body)),
  main::refuse(main::signature($main::body)) ]



=== TEST 21: secrets and signatures to be are in no log, not even for debugging
--- log_level: debug
--- http_config eval
main::secrets('lyftr_secret s3cr3t-of-a-string',
              "lyftr_secret file:\$TEST_NGINX_SERVER_ROOT/html/secret",
              'lyftr_secret env:LYFTR_TEST_SECRET')
--- user_files
>>> secret
s3cr3t-of-a-file
--- cases eval
[ main::deliver($main::body, secret => 's3cr3t-of-a-string'),
  main::deliver($main::body, secret => 's3cr3t-of-a-file'),
  main::deliver($main::body, secret => 'from-the-environment'),
  main::refuse('X-Signature: ' . '0' x 64),
  main::fetch('/metrics', qr/\A(?!.*(s3cr3t|from-the-env)).+\z/s),
  main::fetch('/messages', main::page(main::item())) ]
--- no_error_log
[alert]
[emerg]
s3cr3t
from-the-environment
--- error_log
lyftr handler



=== TEST 22: nor is the signature that would have been right
--- log_level: debug
--- cases eval
[ main::refuse('X-Signature: ' . '0' x 64) ]
--- no_error_log eval
[ '[alert]', '[emerg]', main::sign($main::body) ]

# The endpoints as subrequests, by SSI and by mirror, and requests sent ahead:
# nothing crashes, the outer answer is whole, and rows are stored once.

use strict;
use warnings;

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use Lyftr;

our $http = http_config();

# a subrequest takes the outer request's headers and body

our $config = endpoints() . <<'END';
    location = /mirrored {
        mirror /webhook;
        mirror /webhook;
        root $TEST_NGINX_SERVER_ROOT/html;
        error_page 404 =200 /page.txt;
    }
    location = /both {
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/webhook;
        mirror /webhook;
    }
    location = /page.shtml {
        ssi on;
        ssi_types *;
        root $TEST_NGINX_SERVER_ROOT/html;
    }
END

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value('http_config', $http);
    $block->set_value('config', $config);
    $block->set_value('no_error_log', "[alert]\n[emerg]\n[crit]");
});

our $user_files = <<'END';
>>> page.txt
page
>>> page.shtml
A<!--#include virtual="/stats" -->B<!--#include virtual="/messages?limit=1" -->C<!--#include virtual="/webhook" -->D
END

our $body = message();
our $signed = 'Content-Length: ' . length($body) . "\n" . signature($body);

repeat_each(1);
no_shuffle();
no_long_string();
run_tests();

__DATA__

=== TEST 1: several includes of reading endpoints, and of a webhook by GET
--- user_files eval: $::user_files
--- request
GET /page.shtml
--- error_code: 200
--- response_body_like: \AA\{"total_messages":0,.*"last_message_ts":null\}B\{"data":\[\],"total":0,"limit":1,"offset":0\}C\{"detail":"Method Not Allowed"\}D\n\z



=== TEST 2: a mirrored delivery is stored
--- user_files eval: $::user_files
--- pipelined_requests eval
["POST /both\n$::body", "POST /both\n$::body", "GET /stats"]
--- more_headers eval: [$::signed, $::signed, '']
--- error_code eval: [200, 200, 200]
--- response_body_like eval
['\A\{"status":"ok"\}\z', '\A\{"status":"ok"\}\z', '\A\{"total_messages":1,']



=== TEST 3: mirrored twice from a file, over a reused connection
--- user_files eval: $::user_files
--- pipelined_requests eval
["POST /mirrored\n$::body", "POST /mirrored\n$::body",
 "GET /messages"]
--- more_headers eval: [$::signed, $::signed, '']
--- error_code eval: [200, 200, 200]
--- response_body_like eval
['\Apage\n\z', '\Apage\n\z', '"total":1,']



=== TEST 4: a forged delivery is not stored through a mirror
--- user_files eval: $::user_files
--- pipelined_requests eval
["POST /both\n$::body", "GET /stats"]
--- more_headers
X-Signature: 00
--- error_code eval: [401, 200]
--- response_body_like eval
['\A\{"detail":"invalid signature"\}\z', '\A\{"total_messages":0,']

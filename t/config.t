# The directives: what they refuse, and with which words; what they accept; and
# what a reload with another configuration keeps.

use strict;
use warnings;

use lib 't/lib';

BEGIN { $ENV{TEST_NGINX_SLEEP} //= 0.003 }

use File::Temp qw(tempdir);
use POSIX ();
use Test::Nginx::Socket 'no_plan';

use Lyftr;
use Lyftr::Server;

no_long_string();
check_accum_error_log();

$ENV{LYFTR_TEST_URL} = 'sqlite:///served.db';
$ENV{LYFTR_TEST_WRONG} = 'mariadb://user:hunter2@host/db';
$ENV{LYFTR_TEST_EMPTY} = '';
delete $ENV{LYFTR_TEST_UNSET};

my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
my $dir = tempdir(CLEANUP => 1);
my $port = Lyftr::Server::free_port();
my $memory = 'a database in memory would not outlive the process';
my $form = 'not a URL such as sqlite:////data/app.db';
my $kind = 'store "main" has a URL of an unknown kind, "sqlite:///path" is';


# lines of the http block, of a location, and what is said of them

my @refused = (
    [ 'lyftr_store;', '', 'invalid number of arguments in "lyftr_store"' ],
    [ 'lyftr_store main;', '', 'invalid number of arguments' ],
    [ 'lyftr_store "" sqlite:///a.db;', '',
      '"lyftr_store" directive has an empty name' ],
    [ 'lyftr_store main sqlite:///a.db; lyftr_store main sqlite:///b.db;', '',
      '"lyftr_store" directive is duplicate' ],

    (map { [ "lyftr_store main $_;", '', $kind ] }
         '""', '/data/app.db', 'sqlite', 'sqlite3:///a.db', 'SQLITE:///a.db',
         'mysql://user:hunter2@host/db', 'env:LYFTR_TEST_WRONG'),
    (map { [ "lyftr_store main $_;", '', qq(store "main": $memory) ] }
         ':memory:', 'sqlite://', 'sqlite:///', 'sqlite:///:memory:',
         'sqlite://:memory:',
         'sqlite+aiosqlite:///:memory:', 'sqlite:///?cache=shared'),
    (map { [ "lyftr_store main $_;", '', qq(store "main": $form) ] }
         'sqlite:a.db', 'sqlite:/a.db', 'sqlite+:///a.db'),
    [ 'lyftr_store main sqlite:////data/;', '',
      'store "main": a folder: the URL names the file of the database' ],
    [ 'lyftr_store main sqlite://data/app.db;', '',
      'store "main": a host in the URL: a file has three slashes or four' ],
    [ 'lyftr_store main sqlite:////' . 'x' x 5000 . ';', '',
      'too long' ],

    [ 'lyftr_store main env:;', '',
      'invalid name of an environment variable ""' ],
    [ 'lyftr_store main env:A=B;', '',
      'invalid name of an environment variable "A=B"' ],
    (map { [ "lyftr_store main env:LYFTR_TEST_$_;", '',
             qq(environment variable "LYFTR_TEST_$_" is not set and the store)
             . ' "main" has no "default="' ] } 'UNSET', 'EMPTY'),
    [ 'lyftr_store main env:LYFTR_TEST_UNSET default=;', '',
      'has no "default="' ],
    [ 'lyftr_store main env:LYFTR_TEST_UNSET default=a.db;', '', $kind ],

    (map { my ($name, $range, @values) = @$_;
           map { [ "lyftr_store main sqlite:///a.db $name=$_;", '',
                   qq(invalid value in "$name=$_", it must be from $range) ] }
               '', '0', '-1', 'x', @values }
         [ 'batch', '1 to 2048', '2049', '1.5', '99999999999999999999' ],
         [ 'readers', '1 to 64', '65', '4k' ],
         [ 'queue', '1 to 1000000', '1000001' ],
         [ 'delay', '1 to 60000 milliseconds', '61s', '60001ms', '1x' ],
         [ 'check', '1000 to 31536000000 milliseconds', '999ms', '366d', 'on' ],
         [ 'timeout', '1 to 60000 milliseconds', '61s', '60001ms', '1x' ],
         [ 'max_wal', '16777216 to 9223372036854775807 bytes', '15m',
           '16777215', '1x' ],
         [ 'cache', '1048576 to 9223372036854775807 bytes', '1023k',
           '1x' ],
         [ 'keep', '1000 to 3153600000000 milliseconds', '999ms', '1x' ],
         [ 'keep_bytes', '1048576 to 9223372036854775807 bytes', '1023k',
           '1x' ]),
    (map { [ "lyftr_store main sqlite:///a.db keep=$_;", '',
             'store "main": keep= must be at least 8 days' ] }
         '1s', '7d', '191h', '691199999ms'),
    (map { my ($values, $least) = @$_;
           [ "lyftr_store main sqlite:///a.db $values;", '',
             qq(store "main": cache= must be at least $least bytes) ] }
         [ 'cache=3071k', 3145728 ],
         [ 'readers=64 cache=17m', 18874368 ],
         [ 'cache=1m readers=1', 2359296 ]),
    (map { [ "lyftr_store main sqlite:///a.db search=$_;", '',
             qq(invalid value in "search=$_", it must be "on" or "off") ] }
         '', 'yes', 'onn', 'ON'),
    (map { [ "lyftr_store main sqlite:///a.db $_;", '',
             qq(invalid parameter "$_") ] } 'x', 'batches=1', 'BATCH=1',
         'forced', 'force='),
    (map { [ "lyftr_store one sqlite:///$dir/$_->[0];"
             . " lyftr_store two sqlite+pysqlite:///$dir/$_->[1];", '',
             'lyftr_store "one" and "two" are one database, "' ] }
         [ 'not.there', 'not.there' ], [ 'not.there', './/not.there' ],
         [ 'not.there', 'link/not.there' ], [ 'plain', 'link/plain' ],
         [ 'plain', 'symlink' ], [ 'plain', 'hardlink' ],
         [ 'no/a.db', 'no/a.db' ]),
    [ 'lyftr_store main sqlite:///a.db thread_pool=nope;', '',
      'unknown thread pool "nope"' ],

    [ 'lyftr_secret;', '', 'invalid number of arguments in "lyftr_secret"' ],
    [ 'lyftr_secret a name=b encoding=raw d;', '',
      'invalid number of arguments' ],
    [ 'lyftr_secret a name=b hunter2;', '', 'has an invalid parameter' ],
    [ 'lyftr_secret a name=b name=c;', '', 'has an invalid parameter' ],
    [ 'lyftr_secret a encoding=raw encoding=raw;', '',
      'has an invalid parameter' ],
    [ 'lyftr_secret a encoding=hex;', '', 'has an invalid "encoding="' ],
    [ 'lyftr_store main sqlite:///a.db; lyftr_secret whsec_hunter2 encoding=whsec;',
      'lyftr_webhook main;',
      'for the location "/x" is not of the encoding "whsec", of 16 bytes' ],
    [ 'lyftr_store main sqlite:///a.db; lyftr_secret whsec_aHVudGVyMg==;',
      'lyftr_webhook main; lyftr_signature standard;',
      '"encoding=raw" is for senders that use the text itself' ],
    [ 'lyftr_store main sqlite:///a.db; lyftr_secret hunter2- encoding=base64;',
      'lyftr_webhook main;',
      'for the location "/x" is not of the encoding "base64"' ],
    (map { [ "lyftr_secret $_;", '',
             '"lyftr_secret" directive has an empty secret' ] }
         '""'),
    (map { [ "lyftr_secret file:$dir/$_;", '',
             qq(secret file "$dir/$_" is empty) ] } 'empty', 'lf', 'crlf'),
    [ "lyftr_secret file:$dir/nope;", '',
      qq(open() "$dir/nope" failed (2: No such file or directory)) ],
    [ "lyftr_secret file:$dir/big;", '',
      qq(secret file "$dir/big" is too big) ],
    (map { [ "lyftr_secret file:$_;", '',
             qq(secret file "$_" is not a regular file) ] }
         $dir, "$dir/fifo", '/dev/null'),
    [ 'lyftr_secret env:;', '', 'invalid name of an environment variable ""' ],
    [ 'lyftr_secret env:A=B;', '',
      'invalid name of an environment variable "A=B"' ],
    [ 'lyftr_secret a name=;', '', 'has an invalid parameter' ],
    [ 'lyftr_secret a label=b;', '', 'has an invalid parameter' ],

    [ 'lyftr_read_allow;', '', 'invalid number of arguments' ],
    (map { [ "lyftr_read_token $_;", '', 'invalid number of arguments' ] }
         '', 'a b'),
    (map { [ qq(lyftr_read_token "$_";), '', 'has no token' ] }
         '', " \t", 'env:LYFTR_TEST_UNSET', 'env:LYFTR_TEST_EMPTY'),
    (map { [ qq(lyftr_read_token "$_";), '',
             'has a token that no header can bring' ] }
         'hunter2,a', 'a hunter2:', 'hunter2é', '=hunter2', 'hunter2=a'),
    [ 'lyftr_read_token env:;', '',
      'invalid name of an environment variable ""' ],
    [ "lyftr_read_token file:$dir/nope;", '',
      qq(open() "$dir/nope" failed (2: No such file or directory)) ],
    [ "lyftr_read_token file:$dir/lf;", '', qq(file "$dir/lf" is empty) ],

    [ 'lyftr_signature;', '', 'invalid number of arguments' ],
    [ 'lyftr_signature lyftr hub;', '', 'takes one preset' ],
    [ 'lyftr_signature prefix=a;', '', 'needs the parameter "header="' ],
    [ 'lyftr_signature header=;', '', 'is no name of a header' ],
    [ 'lyftr_signature header=a_b;', '', 'is no name of a header' ],
    [ 'lyftr_signature header=a timestamp="b c";', '',
      'is no name of a header' ],
    [ 'lyftr_signature header=a header=b;', '',
      'duplicate parameter "header=b"' ],
    [ 'lyftr_signature header=a hub;', '', 'unknown parameter "hub"' ],
    [ 'lyftr_signature header=a encoding=base32;', '',
      'has an unknown "encoding="' ],
    [ 'lyftr_signature header=a "signed={body}";', '',
      'has "signed=" without "timestamp="' ],
    [ 'lyftr_signature header=a timestamp=b "signed={body}";', '',
      'without {timestamp} and {body} once each' ],
    [ 'lyftr_signature_window -1;', '', 'invalid value' ],
    [ 'lyftr_signature_window 1s; lyftr_signature_window 1s;', '',
      'is duplicate' ],
    [ 'lyftr_signature github;', '', 'unknown preset "github"' ],
    [ 'lyftr_signature "";', '', 'unknown preset ""' ],
    [ 'lyftr_signature hub; lyftr_signature lyftr;', '',
      '"lyftr_signature" directive is duplicate' ],

    (map { my $directive = $_;
           ([ '', "lyftr_$directive;", 'invalid number of arguments' ],
            [ '', "lyftr_$directive main more;",
              $directive eq 'webhook' ? 'invalid parameter "more"'
                                      : 'invalid number of' ],
            [ '', "lyftr_$directive nope;", 'unknown lyftr_store "nope"' ],
            [ "lyftr_store main sqlite:///a.db; lyftr_$directive main;", '',
              qq("lyftr_$directive" directive is not allowed here) ],
            [ 'lyftr_store main sqlite:///a.db;',
              "lyftr_$directive main; lyftr_$directive main;",
              qq("lyftr_$directive" directive is duplicate) ],
            [ 'lyftr_store main sqlite:///a.db;',
              "lyftr_$directive main; lyftr_live;",
              '"lyftr_live" directive conflicts with another lyftr directive'
              . ' of the location' ],
            [ 'lyftr_store main sqlite:///a.db;',
              "if (\$args) { lyftr_$directive main; }",
              qq("lyftr_$directive" directive is not allowed here) ]) }
         'webhook', 'messages', 'stats', 'ready'),
    (map { my $directive = $_;
           ([ '', "lyftr_$directive main;", 'invalid number of arguments' ],
            [ "lyftr_$directive;", '',
              qq("lyftr_$directive" directive is not allowed here) ],
            [ '', "lyftr_$directive; lyftr_$directive;",
              qq("lyftr_$directive" directive is duplicate) ]) }
         'live', 'metrics'),
    [ '', 'lyftr_store main sqlite:///a.db;',
      '"lyftr_store" directive is not allowed here' ],

    # names of stores are labels of metrics, for which there is so much room

    [ 'lyftr_store ' . 'n' x 129 . ' sqlite:///a.db;', '',
      'must have 1 to 128 bytes' ],
    [ join('', map { "lyftr_store s$_ sqlite:///$_.db;" } 1 .. 17), '',
      'is one name more than the metrics have room for' ],
);

my @accepted = (
    [ 'lyftr_store main sqlite:///a.db;', 'lyftr_webhook main;' ],
    [ "lyftr_store main sqlite+aiosqlite:///$dir/a.db;", '' ],
    [ 'lyftr_store main sqlite:///a.db?check_same_thread=false;', '' ],
    [ 'lyftr_store main sqlite:///a.db batch=1 readers=1 queue=1 timeout=1ms'
      . ' delay=1ms max_wal=16m cache=3m;', '' ],
    [ 'lyftr_store main sqlite:///a.db batch=2048 readers=64 queue=1000000'
      . ' timeout=1m delay=60s max_wal=2g cache=1g thread_pool=default;',
      'lyftr_stats main;' ],
    [ 'lyftr_store main sqlite:///a.db keep=8d keep_bytes=1m;', '' ],
    [ 'lyftr_store main sqlite:///a.db keep_force keep=1s;', '' ],
    [ 'lyftr_store main sqlite:///a.db keep=36500d;', '' ],
    [ 'lyftr_store main env:LYFTR_TEST_URL;', '' ],
    [ 'lyftr_store main env:LYFTR_TEST_UNSET default=sqlite:///a.db;', '' ],
    [ 'lyftr_store a sqlite:///a.db force; lyftr_store b sqlite:///b.db;', '' ],
    [ "lyftr_store a sqlite:///$dir/plain; lyftr_store b sqlite:///$dir/lf;"
      . " lyftr_store c sqlite:///$dir/no/a; lyftr_store d sqlite:///a;", '' ],
    [ "server { listen 127.0.0.1:$port; server_name a;"
      . ' location / { lyftr_stats main; } } lyftr_store main sqlite:///a.db;',
      'lyftr_ready main;' ],
    [ 'lyftr_secret a name=' . 'n' x 128 . ';', '' ],
    [ 'lyftr_secret a; lyftr_secret b name=2026-11; lyftr_signature hub;', '' ],
    [ 'lyftr_secret not-base64 encoding=raw; lyftr_signature standard;'
      . 'lyftr_signature_window 0;', '' ],
    [ 'lyftr_signature "signed=v0:{timestamp}:{body}" timestamp=X-T prefix=v0='
      . ' header=X-S encoding=hex;', '' ],
    [ 'lyftr_secret env:LYFTR_TEST_UNSET;', 'lyftr_live;' ],
    [ "lyftr_secret file:$dir/plain;", 'lyftr_metrics;' ],
    [ 'lyftr_read_token "a b.-_~+/1=="; lyftr_read_token c;',
      'lyftr_metrics; lyftr_read_allow 1 $arg_a;' ],
    [ "lyftr_read_token file:$dir/plain;", 'lyftr_metrics;' ],
);


sub put {
    my ($name, $data) = @_;

    open my $file, '>', "$dir/$name" or die "$name: $!";
    print $file $data;
    close $file;
}


# what nginx -t says, and its exit status

sub judge {
    my ($http, $location) = @_;

    my $load = $ENV{TEST_NGINX_LOAD_MODULES}
               ? "load_module $ENV{TEST_NGINX_LOAD_MODULES};" : '';

    put('nginx.conf', <<"END");
$load
pid nginx.pid;
events { }
http {
    access_log off;
    $http
    server { listen 127.0.0.1:$port; location = /x { $location } }
    client_body_temp_path client_body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
}
END

    my $test = "timeout 200 $nginx -t -p . -c nginx.conf -e stderr";
    my $said = qx(cd $dir && $test 2>&1);

    return ($said, $?);
}


put('empty', '');
put('lf', "\n");
put('crlf', "\r\n");
put('plain', "secret\n");
put('big', 'x' x 65536);
POSIX::mkfifo("$dir/fifo", 0600) or die "fifo: $!";
symlink '.', "$dir/link" or die "link: $!";
symlink 'plain', "$dir/symlink" or die "symlink: $!";
link "$dir/plain", "$dir/hardlink" or die "hardlink: $!";

for (@refused) {
    my ($http, $location, $expected) = @$_;
    my ($said, $status) = judge($http, $location);
    my $name = substr "$http $location", 0, 70;

    like($said, qr/\[emerg\] (?!.*hunter2).*\Q$expected\E.*nginx\.conf:\d+$/m,
         "refused: $name");
    is($status, 256, 'with exit status 1');
}

for (@accepted) {
    my ($http, $location) = @$_;
    my ($said, $status) = judge($http, $location);

    is($status, 0, "accepted: $http $location") or diag($said);
}

is_deeply([ glob "$dir/*.db*" ], [], 'a test creates no database');


# what is taken, with one warning

sub warned {
    my ($name, $pattern, $http, $location) = @_;

    my ($said, $status) = judge($http, $location // '');
    my @warnings = grep { /\[warn\]/ } split /\n/, $said;

    is($status, 0, "warning: $name: is taken");
    is(scalar @warnings, defined $pattern ? 1 : 0, "warning: $name: so many")
        or diag($said);
    like($warnings[0], $pattern, "warning: $name") if defined $pattern;
    unlike($said, qr/hunter2|h\0u/, "warning: $name: not its value");
}

my $location = 'lyftr_webhook main;';
my $stored = 'lyftr_store main sqlite:///a.db;';

for (['hunter2', undef], ["hunter2\n", undef], ["hunter2\r\n", undef],
     ["\0hunter2\xff", undef], ["h\xc3\xa9", undef], ['h', undef],
     ["hunter2\r", 'ends with a carriage return'],
     ["hunter2\r\r\n", 'ends with a carriage return'],
     ["hunter2\n\n", 'ends with a newline'],
     ["hunter2\r\n\r\n", 'ends with a newline'],
     ["hunter2\nhunter2\n", 'has more than one line'],
     ["hunter2\rhunter2", 'has more than one line'],
     ["\nhunter2\n", 'has more than one line'],
     ["\xef\xbb\xbfhunter2\n", 'begins with a byte order mark'],
     ["\xff\xfeh\0u\0\n\0", 'is UTF-16'], ["\xfe\xff\0h\0u\0\n", 'is UTF-16'],
     ["h\0u\0n\0\n\0", 'is UTF-16'], ["\0h\0u\0n\0\n", 'is UTF-16'],
     [' hunter2', 'begins or ends with a space'],
     ["hunter2\t\n", 'begins or ends with a space'],
     ["hunter2 \r\n", 'begins or ends with a space'])
{
    my ($secret, $oddity) = @$_;
    my $name = $secret =~ s/([^ -~])/sprintf '<%02x>', ord $1/ger;
    my $is = defined $oddity
             ? qr/the secret of the file "\Q$dir\E\/odd" $oddity,/ : undef;

    put('odd', $secret);
    warned("a file: $name", $is, "lyftr_secret file:$dir/odd; $stored",
           $location);

    next if $secret =~ /\0/;

    $is = defined $oddity || $secret =~ /\n/
          ? qr/the secret of the environment variable "LYFTR_TEST_ODD" [behi]/
            : undef;

    local $ENV{LYFTR_TEST_ODD} = $secret;
    warned("a variable: $name", $is,
           "lyftr_secret env:LYFTR_TEST_ODD; $stored", $location);
}

warned('a string', qr/\[warn\] \S+ a secret ends with a newline, .*:\d+$/,
       qq(lyftr_secret "hunter2\n"; $stored), $location);
warned('none', qr/no "lyftr_secret" for the location "\/x": .* 503/, $stored,
       "$location if (\$args) { add_header A b; }");
warned('none, elsewhere', qr/location "\/x"/,
       "$stored server { lyftr_secret hunter2; }", $location);
warned('none, and no webhook', undef, $stored, 'lyftr_stats main;');
warned('a variable without one',
       qr/no secret in the environment variable "LYFTR_TEST_UNSET"/,
       "$stored lyftr_secret env:LYFTR_TEST_UNSET;", $location);


# a reload with another configuration

my $server = Lyftr::Server->new(http => "lyftr_secret file:$dir/plain;",
                                server => 'location = /one { lyftr_live; }');

is($server->post(message(message_id => 'a'))->{status}, 200, 'stored');
is($server->post(message(message_id => 'a'))->{status}, 200, 'known');
is($server->request('POST /webhook')->{status}, 401, 'refused');
is($server->request('GET /one')->{status}, 200, 'a location');

put('plain', "rotated\r\n");
$server->{store} = 'batch=7 readers=1';
$server->{server} = 'location = /two { lyftr_live; }';
$server->configure;
$server->signal('HUP');

ok(Lyftr::Server::wait_for {
       $server->request('GET /two')->{status} == 200
       && $server->request('GET /one')->{status} == 404
       && (() = $server->workers) == 2;
   }, 'reloaded');

my $rotated = message(message_id => 'b');

is($server->exchange("POST /webhook HTTP/1.0\r\n" . signature($rotated, $_->[0])
                     . "\r\nContent-Length: " . length($rotated)
                     . "\r\n\r\n$rotated")->{status}, $_->[1],
   "the secret $_->[0]: $_->[1]")
    for [ 'secret', 401 ], [ 'rotated', 200 ], [ 'testsecret', 200 ];

is($server->metric($_->[0]), $_->[1], "$_->[0] $_->[1]")
    for [ 'webhook_requests_total{result="created"}', 2 ],
        [ 'webhook_requests_total{result="duplicate"}', 2 ],
        [ 'webhook_requests_total{result="invalid_signature"}', 2 ],
        [ 'http_requests_total{path="/webhook",status="200"}', 4 ],
        [ 'http_requests_total{path="/webhook",status="401"}', 2 ],
        [ 'lyftr_signatures_verified_total{secret="1"}', 3 ],
        [ 'lyftr_signatures_verified_total{secret="2"}', 1 ];

unlike($server->get('/metrics')->{body}, qr{path="/one"},
       'no series of a location that has gone');


# a configuration that is wrong changes nothing

put('plain', "\n");
$server->signal('HUP');

ok(Lyftr::Server::wait_for {
       $server->logged('\[emerg\].*plain" is empty');
   }, 'an empty secret is refused by the reload');
is($server->post(message(message_id => 'c'))->{status}, 200,
   'and the server goes on');
is_deeply([ map { $_->{message_id} } @{ $server->rows } ], [ qw(a b c) ],
          'what was stored');

$server->stop;


add_block_preprocessor(\&fresh);
add_block_preprocessor(\&cases);


our $logs = '$TEST_NGINX_SERVER_ROOT/logs';

sub requests {
    my ($path, $status, $n) = @_;

    return fetch('/metrics', qr/^http_requests_total\{path="\Q$path\E",
                                status="$status"\}\ $n$/mx);
}

run_tests();


__DATA__

=== TEST 1: two stores
--- http_config eval
"lyftr_store one sqlite:///$main::logs/one.db;
lyftr_store two sqlite+pysqlite:///$main::logs/two.db batch=1 readers=1;
lyftr_secret testsecret;\n"
--- config eval
CORE::join '', map { "location = /$_/webhook { lyftr_webhook $_; }
location = /$_/messages { lyftr_messages $_; }
location = /$_/stats { lyftr_stats $_; }
location = /$_/ready { lyftr_ready $_; }\n" } 'one', 'two'
--- cases eval
[ main::deliver(main::message(message_id => 'a'), uri => '/one/webhook'),
  main::deliver(main::message(message_id => 'b'), uri => '/two/webhook'),
  main::deliver(main::message(message_id => 'a', text => 'two'),
                uri => '/two/webhook'),
  main::fetch('/one/messages', main::page(main::item(message_id => 'a'))),
  main::fetch('/two/messages',
              main::page(main::item(message_id => 'a', text => 'two'),
                         main::item(message_id => 'b'))),
  main::fetch('/one/stats', qr/"total_messages":1,/),
  main::fetch('/two/stats', qr/"total_messages":2,/),
  (map { main::fetch("/$_/ready", '{"status":"ready"}') } 'one', 'two') ]



=== TEST 2: a store that cannot be opened does not hinder another
--- http_config eval
"lyftr_store bad sqlite:///$main::logs/nope/one.db;\n" . main::http_config()
--- config eval
main::endpoints() . 'location = /bad { lyftr_webhook bad; }
location = /bad/ready { lyftr_ready bad; }'
--- cases eval
[ main::deliver(main::message()),
  main::deliver(main::message(), uri => '/bad', status => 503,
                answer => '{"detail":"the store cannot be opened"}'),
  main::fetch('/bad/ready', qr/"unavailable"/, 503),
  main::fetch('/health/ready', '{"status":"ready"}'),
  main::fetch('/messages', main::page(main::item())) ]
--- response_headers eval
[ '', 'Retry-After: 1', '', '', '' ]



=== TEST 3: locations of all kinds, each counted under its name
--- config eval
main::endpoints() . 'location /prefix { lyftr_webhook main; }
location ^~ /strong/ { lyftr_webhook main; }
location ~ ^/re/(a|b)$ { lyftr_webhook main; }
location ~* ^/any { lyftr_messages main; }'
--- cases eval
[ (map { main::deliver(main::message(message_id => $_->[0]),
                       uri => $_->[1]) }
   [ 'a', '/prefix' ], [ 'b', '/prefix/x/y' ], [ 'c', '/prefixed?a=b' ],
   [ 'd', '/strong/re/a' ], [ 'e', '/re/a' ], [ 'f', '/re/b' ],
   [ 'g', '/%72e/%61' ]),
  main::deliver(main::message(), uri => '/re/c', status => 404,
                answer => qr/404/),
  main::deliver(main::message(), uri => '/webhook/', status => 404,
                answer => qr/404/),
  main::fetch('/prefix/x', '{"detail":"Method Not Allowed"}', 405),
  main::fetch('/ANYTHING', main::page(map { main::item(message_id => $_) }
                                          'a' .. 'g')),
  main::requests('/prefix', 200, 3), main::requests('/prefix', 405, 1),
  main::requests('/strong/', 200, 1), main::requests('^/re/(a|b)$', 200, 3),
  main::requests('^/any', 200, 1), main::requests('other', 404, 2),
  main::fetch('/metrics', qr/\A(?!.*(prefix\/x|ANYTHING|\/re\/c)).+\z/s) ]



=== TEST 4: an "if" inside of the location
--- config eval
main::endpoints()
=~ s/(lyftr_webhook main;)/$1 if (\$http_x_a) { set \$a 1; }/r
--- cases eval
[ main::deliver(main::message(message_id => 'a')),
  main::deliver(main::message(message_id => 'b'), headers => "X-A: 1\n"
      . 'Content-Length: ' . length main::message(message_id => 'b')),
  main::deliver(main::message(message_id => 'c'), headers => "X-A: 1\n"
      . 'Content-Length: ' . length(main::message(message_id => 'c')),
      signature => undef, status => 401,
      answer => '{"detail":"invalid signature"}'),
  main::fetch('/messages', main::page(main::item(message_id => 'a'),
                                      main::item(message_id => 'b'))),
  main::requests('/webhook', 200, 2), main::requests('/webhook', 401, 1) ]



=== TEST 5: a location that was rewritten to
--- config eval
main::endpoints() . 'location = /hook { rewrite ^ /webhook last; }'
--- cases eval
[ main::deliver(main::message(), uri => '/hook'),
  main::fetch('/messages', main::page(main::item())),
  main::requests('/webhook', 200, 1) ]



=== TEST 6: the URL from the environment, and its default
--- http_config eval
"lyftr_store main env:LYFTR_TEST_UNSET default=sqlite:///$main::logs/default.db;
lyftr_secret testsecret;\n"
--- cases eval
[ main::deliver(main::message()),
  main::fetch('/messages', main::page(main::item())) ]



=== TEST 7: a thread pool of its own
--- main_config
thread_pool small threads=1;
--- http_config eval
main::http_config('thread_pool=small')
--- cases eval
[ main::deliver(main::message()),
  main::fetch('/messages', main::page(main::item())) ]

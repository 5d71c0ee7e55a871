# WhatsApp's Cloud API: the handshake, deliveries with many messages, statuses
# and echoes, their rows, what is counted and logged, and what is answered if a
# store cannot take its part.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(hmac_sha256_hex sha256_hex);
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);

use Lyftr;
use Lyftr::Server qw();


my $secret = 'app-secret';
my $ok = '{"status":"ok"}';
my $dir = tempdir(CLEANUP => 1);


sub hub {
    return 'X-Hub-Signature-256: sha256=' . hmac_sha256_hex($_[0], $secret);
}


sub server {
    my (%option) = @_;

    my $statuses = delete $option{statuses} // 'statuses=receipts';
    my $home = tempdir(CLEANUP => 1);
    my $store = delete $option{receipts} // '';
    my $disk = delete $option{disk} // $home;
    my $url = Lyftr::store_url("$disk/receipts.db");

    return Lyftr::Server->new(
        dir => $home,
        http => "
            lyftr_store receipts \"$url\" $store;
            log_format lyftr escape=json '{\"id\":\"\$lyftr_message_id\",'
                '\"items\":\$lyftr_items,\"dup\":\$lyftr_dup,'
                '\"result\":\"\$lyftr_result\",\"path\":\"\$lyftr_path\",'
                '\"method\":\"\$lyftr_method\"}';",
        server => "
            access_log $home/access.log lyftr;
            location = /whatsapp {
                lyftr_webhook main format=whatsapp $statuses;
                lyftr_secret $secret;
                lyftr_verify_token 'a token+';
                client_max_body_size 4m;
            }
            location = /drops {
                lyftr_webhook main format=whatsapp;
                lyftr_secret $secret;
                client_max_body_size 4m;
            }
            location = /statuses { lyftr_messages receipts; }
            location = /statuses/ready { lyftr_ready receipts; }
            location = /own {
                lyftr_webhook main format=whatsapp;
                lyftr_signature lyftr;
            }
            location = /none {
                lyftr_webhook main format=whatsapp;
                lyftr_secret env:LYFTR_NONE;
                lyftr_verify_token env:LYFTR_NONE;
            }",
        %option);
}


sub post_to {
    my ($server, $path, $body, @headers) = @_;

    return $server->exchange(join "\r\n", "POST $path HTTP/1.1", 'Host: a',
        'Connection: close', @headers ? @headers : hub($body),
        'Content-Length: ' . length $body, '', $body);
}


sub whatsapp { return post_to($_[0], '/whatsapp', $_[1]) }


sub body {
    return '{"object":"whatsapp_business_account","entry":[{"id":"1",'
           . '"changes":[' . join(',', @_) . ']}]}';
}


sub change {
    my ($value, $field) = @_;

    return '{"value":{"messaging_product":"whatsapp","metadata":'
           . '{"display_phone_number":"1 555-078 3881",'
           . '"phone_number_id":"106540352242922"},' . $value
           . '},"field":"' . ($field // 'messages') . '"}';
}


sub messages { return body(change('"messages":[' . join(',', @_) . ']')) }
sub statuses { return body(change('"statuses":[' . join(',', @_) . ']')) }


sub text {
    my ($id, $text, $at) = @_;

    return qq({"from":"919876543210","id":"$id","timestamp":")
           . ($at // 1700000000)
           . qq(","text":{"body":"$text"},"type":"text"});
}


sub status {
    my ($id, $status) = @_;

    return qq({"id":"$id","status":"$status","timestamp":"1700000000",)
           . '"recipient_id":"919876543210"}';
}


sub items {
    my ($server, $path) = @_;

    my $samples = $server->samples;

    return join ' ', map {
        my ($kind, $result) = split;
        $samples->{qq(lyftr_webhook_items_total{path="$path",kind="$kind",)
                   . qq(result="$result"})} // '-';
    } 'message created', 'message duplicate', 'message malformed',
      'status created', 'status duplicate', 'status malformed',
      'status ignored', 'other ignored';
}


sub results {
    my ($server) = @_;

    my $samples = $server->samples;

    return join ' ', map {
        $samples->{qq(webhook_requests_total{result="$_"})} // '-'
    } qw(created duplicate ignored unavailable);
}


sub listed {
    my ($server, $path) = @_;

    return decode_json($server->get("$path?limit=100")->{body})->{data};
}


# the last line of the log, but for those of our own questions

sub logged {
    my ($server, $want, $name) = @_;

    my $line;

    Lyftr::Server::wait_for {
        open my $file, '<', "$server->{dir}/access.log" or return 0;
        ($line) = grep { !m{"path":"/(?:metrics|messages|statuses)"} }
                  reverse <$file>;
        chomp $line if defined $line;
        defined $line && $line eq $want;
    } 5;

    is($line, $want, $name);
}


# what a request of the handshake gets, with its headers

sub handshake {
    my ($server, $args, $path, $method) = @_;

    my $answer = $server->request(($method // 'GET') . ' '
                                  . ($path // '/whatsapp') . "?$args");

    return "$answer->{status} $answer->{body}";
}


# a server that a location cannot be given to

sub refused {
    my ($webhook, $more) = @_;

    my $home = tempdir(CLEANUP => 1);
    my $module = $ENV{TEST_NGINX_LOAD_MODULES};

    $more = $more ? "lyftr_store again sqlite:///$home/b.db;" : '';

    open my $conf, '>', "$home/nginx.conf" or die "nginx.conf: $!";
    print $conf "load_module $module;\n" if $module;
    print $conf <<"END";
pid nginx.pid;
events { }
http {
    lyftr_store main sqlite:///$home/a.db;
    lyftr_store receipts sqlite:///$home/b.db;
    $more
    server { location = /w { lyftr_secret s; $webhook } }
}
END
    close $conf;

    my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';

    return scalar qx($nginx -t -p $home/ -c nginx.conf -e $home/log 2>&1);
}


subtest 'handshake' => sub {
    my $server = server();
    my $good = 'hub.mode=subscribe&hub.verify_token=a+token%2B'
               . '&hub.challenge=';

    is(handshake($server, $good . '1158201444'), '200 1158201444', 'verified');
    logged($server, '{"id":"","items":0,"dup":false,"result":"verified",'
                      . '"path":"/whatsapp","method":"GET"}', 'logged');

    my $answer = $server->request("GET /whatsapp?${good}a%00%0d%0a<b>+%ff");
    is($answer->{body}, "a\0\r\n<b> \xff", 'byte for byte');
    like($answer->{head}, qr/^Content-Type: text\/plain\r$/m, 'as text');
    like($answer->{head}, qr/^X-Content-Type-Options: nosniff\r$/m,
         'not to be guessed');

    $answer = $server->request("HEAD /whatsapp?${good}12345");
    is("$answer->{status} $answer->{body}", '200 ', 'HEAD has no body');
    like($answer->{head}, qr/^Content-Length: 5\r$/m, 'and its length');

    is(handshake($server, $good . 'c' x 4096), '200 ' . 'c' x 4096,
       'as long as can be');

    my $forbidden = '403 {"detail":"Forbidden"}';

    for my $case (
        [ '', 'nothing' ],
        [ $good, 'no challenge' ],
        [ $good . 'c' x 4097, 'a challenge that is too long' ],
        [ $good =~ s/subscribe/Subscribe/r . '1', 'another mode' ],
        [ $good =~ s/token/tokem/r . '1', 'another token' ],
        [ $good =~ s/%2B/+/r . '1', 'a plus is a space' ],
        [ $good =~ s/&hub.verify_token=[^&]*//r . '1', 'no token' ],
        [ $good . '1&hub.challenge=', 'the last one is empty' ],
        [ $good . '1&hub.mode=x', 'the last mode' ],
        [ $good =~ s/hub.mode/Hub.mode/r . '1', 'names are exact' ],
    ) {
        is(handshake($server, $case->[0]), $forbidden, $case->[1]);
    }

    logged($server, '{"id":"","items":0,"dup":false,"result":"forbidden",'
                      . '"path":"/whatsapp","method":"GET"}', 'logged');

    is(handshake($server, "hub.mode=&hub.challenge=2&${good}1"), '200 1',
       'the last ones count');
    is(handshake($server, 'hub%2Emode=subscribe&hub.verify%5Ftoken=a%20token%2B'
                          . '&hub.challenge=%31'), '200 1',
       'names are decoded');

    is(handshake($server, $good . '1', '/drops'), $forbidden,
       'no token is configured');
    is(handshake($server, 'hub.mode=subscribe&hub.verify_token='
                          . '&hub.challenge=1', '/none'), $forbidden,
       'nor is an empty variable one');

    is(results($server), '0 0 0 0', 'no result is counted');
    is($server->metric('http_requests_total{path="/whatsapp",status="200"}'),
       6, 'requests are');

    for my $method (qw(PUT DELETE)) {
        $answer = $server->request("$method /whatsapp?${good}1");
        is($answer->{status}, 405, $method);
        like($answer->{head}, qr/^Allow: GET, HEAD, POST\r$/m, 'what is not');
    }

    $answer = $server->request('GET /webhook');
    is($answer->{status}, 405, 'another format has no handshake');
    like($answer->{head}, qr/^Allow: POST\r$/m, 'and says so');

    is_deeply([ $server->alarms ], [], 'no alarms');
};


subtest 'rows' => sub {
    my $server = server();

    is(items($server, '/whatsapp'), '0 0 0 0 0 0 0 0', 'counted from zero');
    is(items($server, '/webhook'), '- - - - - - - -', 'only for the format');

    my $image = '{"from":"919876543210","id":"wamid.b","timestamp":1700000001,'
                . ' "image":{"caption":"A \u00e9 \ud83d\ude00","id":"9"},'
                . '"type":"image"}';
    my $bare = '[ "no object" ]';
    my $echo = '{"id":"wamid.c","to":"491701","timestamp":"1700000002",'
               . '"type":"audio"}';
    my $body = body(
        change('"contacts":[{"wa_id":"919876543210"}],"messages":['
               . join(' , ', text('wamid.a', 'Hello'), $image, $bare,
                      text('wamid.a', 'once more')) . ']'),
        change('"message_echoes":[' . $echo . ']', 'smb_message_echoes'),
        change('"statuses":[' . status('wamid.x', 'delivered') . ','
               . '{"id":"wamid.y","status":"failed","errors":[{"code":131047,'
               . '"title":"Re-engagement message"}]},{}]'),
        change('"calls":[]', 'calls'), 7);

    my $answer = whatsapp($server, $body);
    is("$answer->{status} $answer->{body}", "200 $ok", 'stored');

    logged($server, '{"id":"wamid.a","items":8,"dup":false,'
                      . '"result":"created","path":"/whatsapp",'
                      . '"method":"POST"}', 'logged');
    is(items($server, '/whatsapp'), '3 1 1 2 0 1 0 2', 'counted');
    is(results($server), '1 0 0 0', 'a delivery');

    my $receipt = listed($server, '/messages')->[3]{ts};
    like($receipt, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
         'the time of receipt');

    is_deeply(listed($server, '/messages'), [
        { message_id => 'wamid.a', from => '+919876543210',
          to => '+15550783881', ts => '2023-11-14T22:13:20Z',
          text => 'Hello' },
        { message_id => 'wamid.b', from => '+919876543210',
          to => '+15550783881', ts => '2023-11-14T22:13:21Z',
          text => "A \x{e9} \x{1f600}" },
        { message_id => 'wamid.c', from => '+15550783881', to => '+491701',
          ts => '2023-11-14T22:13:22Z', text => undef },
        { message_id => 'sha256:' . sha256_hex($bare),
          from => '+919876543210', to => '+15550783881', ts => $receipt,
          text => undef },
    ], 'the messages');

    is_deeply(listed($server, '/statuses'), [
        { message_id => 'wamid.x:delivered', from => '+919876543210',
          to => '+15550783881', ts => '2023-11-14T22:13:20Z',
          text => 'delivered' },
        map { { message_id => $_->[0], from => 'unknown',
                to => '+15550783881', ts => $receipt, text => $_->[1] } }
            sort { $a->[0] cmp $b->[0] }
            [ 'sha256:' . sha256_hex('{}'), undef ],
            [ 'wamid.y:failed', 'failed 131047 Re-engagement message' ],
    ], 'the statuses');

    $answer = whatsapp($server, $body);
    is("$answer->{status} $answer->{body}", "200 $ok", 'again');
    logged($server, '{"id":"wamid.a","items":8,"dup":true,'
                      . '"result":"duplicate","path":"/whatsapp",'
                      . '"method":"POST"}', 'logged');
    is(items($server, '/whatsapp'), '3 6 1 2 3 1 0 4', 'all are duplicates');
    is(results($server), '1 1 0 0', 'and the delivery');

    # one of two is new

    whatsapp($server, messages(text('wamid.a', 'Hello'), text('wamid.d', '')));
    is(results($server), '2 1 0 0', 'created if one row was');

    is_deeply([ $server->alarms ], [], 'no alarms');
};


subtest 'nothing to store' => sub {
    my $server = server();

    for my $body (body(), body(change('"messages":[]')),
                  body('{"field":"account_update","value":{}}'))
    {
        my $answer = whatsapp($server, $body);
        is("$answer->{status} $answer->{body}", "200 $ok", 'taken');
    }

    logged($server, '{"id":"","items":0,"dup":false,"result":"ignored",'
                      . '"path":"/whatsapp","method":"POST"}', 'logged');
    is(items($server, '/whatsapp'), '0 0 0 0 0 0 0 2', 'counted');

    my $answer = post_to($server, '/drops', statuses(status('a', 'read'),
                                                     status('b', 'read')));
    is("$answer->{status} $answer->{body}", "200 $ok", 'without a store');
    logged($server, '{"id":"a:read","items":2,"dup":false,'
                      . '"result":"ignored","path":"/drops",'
                      . '"method":"POST"}', 'its id is told');
    is(items($server, '/drops'), '0 0 0 0 0 0 2 0', 'counted');
    is(results($server), '0 0 4 0', 'ignored');
    is($server->metric('lyftr_store_commits_total{store="main"}'), 0,
       'no store was asked');
    is_deeply([ $server->alarms ], [], 'no alarms');
};


subtest 'what is refused' => sub {
    my $server = server();
    my $body = messages(text('a', 'x'));

    my $answer = post_to($server, '/whatsapp', $body, 'X: y');
    is("$answer->{status} $answer->{body}",
       '401 {"detail":"invalid signature"}', 'without a signature');

    $answer = post_to($server, '/whatsapp', $body, signature($body, $secret));
    is($answer->{status}, 401, 'one of another scheme');

    $answer = post_to($server, '/own', $body, signature($body));
    is($answer->{status}, 200, 'a scheme of its own');

    $answer = post_to($server, '/none', $body, hub($body));
    is($answer->{status}, 503, 'no secret');
    like($answer->{body}, qr/no webhook secret is configured/, 'which is told');

    for my $case (
        [ '', [ 'missing' ] ],
        [ 'null', [ 'model_attributes_type' ] ],
        [ '{', [ 'json_invalid', 1 ] ],
        [ '{}', [ 'missing', 'object' ], [ 'missing', 'entry' ] ],
        [ '{"object":"page","entry":{}}', [ 'literal_error', 'object' ],
          [ 'list_type', 'entry' ] ],
    ) {
        my ($sent, @faults) = @$case;

        $answer = whatsapp($server, $sent);
        is($answer->{status}, 422, "refused: $sent");

        my @got = map { [ $_->{type}, @{$_->{loc}}[1 .. $#{$_->{loc}}] ] }
                  @{decode_json($answer->{body})->{detail}};
        is_deeply(\@got, \@faults, 'with all faults');
    }

    # the end of the body cuts a number

    my $cut = messages('{"id":"c","timestamp":' . '1' x (3 << 20))
              =~ s/\D+\z//r;
    is(whatsapp($server, $cut)->{status}, 422, 'refused: cut');

    my $long = messages(text('l', 'x' x (4 << 20)));
    is(whatsapp($server, $long)->{status}, 413, 'too long');
    is($server->get('/health/ready')->{status}, 503, 'one has no secret');
    is($server->get('/statuses/ready')->{status}, 200, 'of another store');
    is_deeply([ $server->alarms ], [], 'no alarms');

    like(refused($_->[0], $_->[0] =~ /again/), $_->[1], "refused: $_->[0]") for
        [ 'lyftr_webhook main format=x;', qr/unknown format "x"/ ],
        [ 'lyftr_webhook main format=;', qr/unknown format ""/ ],
        [ 'lyftr_webhook main format=whatsapp format=whatsapp;',
          qr/invalid parameter "format=whatsapp"/ ],
        [ 'lyftr_webhook main format=whatsapp statuses=;',
          qr/invalid parameter "statuses="/ ],
        [ 'lyftr_webhook main statuses=receipts;',
          qr/"statuses=" without "format=whatsapp"/ ],
        [ 'lyftr_webhook main format=lyftr statuses=receipts;',
          qr/"statuses=" without "format=whatsapp"/ ],
        [ 'lyftr_webhook main format=whatsapp statuses=main;',
          qr/one store for messages and statuses/ ],
        [ 'lyftr_webhook receipts format=whatsapp statuses=again;',
          qr/"receipts" and "again" are one database/ ],
        [ 'lyftr_webhook main format=whatsapp statuses=gone;',
          qr/unknown lyftr_store "gone"/ ],
        [ 'lyftr_webhook main format=whatsapp; lyftr_webhook main;',
          qr/"lyftr_webhook" directive is duplicate/ ],
        [ 'lyftr_webhook main; lyftr_verify_token a; lyftr_verify_token b;',
          qr/"lyftr_verify_token" directive is duplicate/ ],
        [ 'lyftr_webhook main; lyftr_verify_token "";',
          qr/"lyftr_verify_token" directive has an empty token/ ];
};


subtest 'a thousand' => sub {
    my $server = server(store => 'batch=16');
    my @ids = map { sprintf 'wamid.%04d', $_ } 1 .. 1000;
    my $pad = 'p' x 3800;
    my $body = messages(map { text($_, "$_ $pad", 1700000000 + $1)
                              if /(\d+)/ } @ids);

    cmp_ok(length $body, '>', 3_900_000, 'a long body');

    my $answer = whatsapp($server, $body);
    is("$answer->{status} $answer->{body}", "200 $ok", 'stored');
    is(items($server, '/whatsapp'), '1000 0 0 0 0 0 0 0', 'all of it');
    is($server->metric('lyftr_store_commits_total{store="main"}'), 1,
       'in one transaction, whatever batch= says');
    is($server->metric('lyftr_store_commit_deliveries_total{store="main"}'),
       1000, 'rows are counted');

    my $rows = $server->rows;
    is(scalar @$rows, 1000, 'rows');
    is_deeply([ map { $_->{message_id} } @$rows ], \@ids, 'their ids');
    is_deeply([ map { $_->{text} } @$rows ], [ map { "$_ $pad" } @ids ],
              'their texts');

    is_deeply([ $server->alarms ], [], 'no alarms');
};


subtest 'millions that are the same' => sub {
    my $server = server();
    my $answer = whatsapp($server, messages(('0') x 1_900_000));

    is("$answer->{status} $answer->{body}", "200 $ok", 'one is stored');
    is(items($server, '/whatsapp'), '0 1899999 1 0 0 0 0 0', 'all counted');
    is(scalar @{$server->rows}, 1, 'a row');

    $answer = post_to($server, '/drops',
                      body(change('"statuses":[0,0,{},0]'),
                           change('"messages":[0,0]')));

    is($answer->{status}, 200, 'statuses that are dropped');
    is(items($server, '/drops'), '0 2 0 0 0 0 4 0', 'they count too');

    is_deeply([ $server->alarms ], [], 'no alarms');
};


subtest 'copies at the same instant' => sub {
    my $server = server();
    my $copy = messages(map { text("copy.$_", 'x') } 1 .. 50);
    my @clients = map { $server->client } 1 .. 20;

    $_->send(join "\r\n", 'POST /whatsapp HTTP/1.1', 'Host: a', hub($copy),
             'Content-Length: ' . length $copy, '', substr $copy, 0, -1)
        for @clients;
    $server->drained;
    $_->send(substr $copy, -1) for @clients;

    is_deeply([ map { $_->response->{status} } @clients ], [ (200) x 20 ],
              'each copy is answered');
    is(items($server, '/whatsapp'), '50 950 0 0 0 0 0 0', 'one is new');

    is_deeply([ $server->alarms ], [], 'no alarms');
};


subtest 'a store that cannot' => sub {
    my $server = server(store => 'timeout=1s', receipts => 'timeout=1s');
    my $both = body(change('"messages":[' . text('m1', 'x') . ']'),
                    change('"statuses":[' . status('s1', 'read') . ']'));

    # the one of the statuses is locked: what the other has taken stays

    whatsapp($server, statuses(status('s0', 'read')));

    my $lock = Lyftr::Server::Lock->new("$server->{dir}/receipts.db");
    my $start = time;
    my $answer = whatsapp($server, $both);

    is($answer->{status}, 503, 'the statuses have no room');
    like($answer->{head}, qr/^Retry-After: \d+\r$/m, 'to be tried again');
    cmp_ok(time - $start, '<', 4, 'in time');
    logged($server, '{"id":"m1","items":2,"dup":false,'
                      . '"result":"unavailable","path":"/whatsapp",'
                      . '"method":"POST"}', 'logged');
    is(items($server, '/whatsapp'), '1 0 0 1 0 0 0 0', 'what is durable');
    is(results($server), '1 0 0 1', 'unavailable');

    is(whatsapp($server, messages(text('m2', 'x')))->{status}, 200,
       'messages are taken');

    $lock->release;

    is(whatsapp($server, $both)->{status}, 200, 'the retry');
    is(items($server, '/whatsapp'), '2 1 0 2 0 0 0 0', 'finds what is there');

    # the one of the messages

    $lock = $server->lock;
    $both =~ s/m1/m3/;
    $both =~ s/s1/s3/;

    is(whatsapp($server, $both)->{status}, 503, 'the messages have no room');
    is(whatsapp($server, statuses(status('s4', 'read')))->{status}, 200,
       'statuses are taken');

    $lock->release;

    is(whatsapp($server, $both)->{status}, 200, 'the retry');
    is_deeply([ map { $_->{message_id} } @{listed($server, '/messages')} ],
              [ qw(m1 m2 m3) ], 'nothing is lost');
    is_deeply([ map { $_->{message_id} } @{listed($server, '/statuses')} ],
              [ qw(s0:read s1:read s3:read s4:read) ], 'nor a status');

    is_deeply([ $server->alarms ], [], 'no alarms');
};


# sends it to a store of statuses that cannot take it, and again once it can

sub unable {
    my ($server, $what, $reason, $mend) = @_;

    my $both = body(change('"messages":[' . text("$what.m", 'x') . ']'),
                    change('"statuses":[' . status("$what.s", 'read') . ']'));
    my $answer = whatsapp($server, $both);

    is($answer->{status}, 503, "$what: not taken");
    like($answer->{head}, qr/^Retry-After: \d+\r$/m, "$what: to be retried");

    my $health = $server->get('/statuses/ready');

    is($health->{status}, 503, "$what: its store is not ready");
    like($health->{body}, $reason, "$what: why");
    is($server->get('/health/ready')->{status}, 200,
       "$what: the other one is");
    is(whatsapp($server, messages(text("$what.n", 'x')))->{status}, 200,
       "$what: and takes messages");

    $mend->();

    ok(Lyftr::Server::wait_for(sub {
           $server->get('/statuses/ready')->{status} == 200;
       }), "$what: ready again");

    my $before = items($server, '/whatsapp');

    is(whatsapp($server, $both)->{status}, 200, "$what: the retry");
    is(join(' ', map { scalar grep { $_->{message_id} =~ /^\Q$what\E\./ }
                       @{listed($server, $_)} } '/messages', '/statuses'),
       '2 1', "$what: nothing is lost");

    my ($created, $known, undef, $status) = split ' ', $before;

    like(items($server, '/whatsapp'),
         qr/^$created ${\($known + 1)} 0 ${\($status + 1)} 0 /,
         "$what: the message was known");
}


subtest 'a store of statuses that is gone' => sub {
    plan skip_all => 'it is no file' if postgres();

    local $ENV{LYFTR_NONE} = 'a secret';

    my $server = server();
    my $file = "$server->{dir}/receipts.db";

    whatsapp($server, statuses(status('s0', 'read')));
    rename $file, "$file.away" or die "$file: $!";

    unable($server, 'gone', qr/moved or deleted/, sub {
        rename "$file.away", $file or die "$file: $!";
    });

    $server->stop;
};


subtest 'a store of statuses that is full' => sub {
    my $disk = tempdir(CLEANUP => 1);

    plan skip_all => 'it is no file' if postgres();
    plan skip_all => 'nothing can be mounted here'
        if system("mount -t tmpfs -o size=2m tmpfs $disk 2>/dev/null") != 0;

    local $ENV{LYFTR_NONE} = 'a secret';

    my $server = server(disk => $disk);

    for my $i (1 .. 2000) {
        my $long = status("l$i", 'read') =~ s/read/'x' x 4000/er;
        last if whatsapp($server, statuses($long))->{status} != 200;
    }

    open my $filler, '>', "$disk/filler" or die "filler: $!";
    while (syswrite $filler, 'x' x 512) { }
    close $filler;

    # what is small may still go in

    for my $i (1 .. 2000) {
        last if whatsapp($server, statuses(status("s$i", 'read')))->{status}
                != 200;
    }

    unable($server, 'full', qr/full/, sub {
        system("mount -o remount,size=64m $disk") == 0 or die "mount: $?\n";
    });

    $server->stop;
    system("umount $disk") == 0 or die "umount: $?\n";
};


subtest 'clients that leave' => sub {
    my $server = server();
    my $both = body(change('"messages":[' . text('m1', 'x') . ']'),
                    change('"statuses":[' . status('s1', 'read') . ']'));

    whatsapp($server, statuses(status('s0', 'read')));
    whatsapp($server, messages(text('m0', 'x')));

    my $lock = $server->lock;
    my $client = $server->client;

    $client->send(join "\r\n", 'POST /whatsapp HTTP/1.1', 'Host: a',
                  hub($both), 'Content-Length: ' . length $both, '', $both);
    $server->drained;
    $client->close;
    $lock->release;

    Lyftr::Server::wait_for { (items($server, '/whatsapp') =~ /^2 /) };

    like(items($server, '/whatsapp'), qr/^2 0 0 /, 'it is stored, and counted');
    is(whatsapp($server, $both)->{status}, 200, 'the retry');
    is(items($server, '/whatsapp') =~ s/^(\d+) \d+ 0 (\d+) \d+.*/$1 $2/r,
       '2 2', 'all is there');

    is_deeply([ $server->alarms ], [], 'no alarms');
};


done_testing();

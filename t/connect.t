# What ships for senders: docker/send and its samples in each scheme, WhatsApp's
# locations and their variables, and that no value of a variable adds a
# directive.

use strict;
use warnings;

use lib 't/lib';

use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

use Lyftr;
use Lyftr::Server;
use Lyftr::Shipped;


my $dir = tempdir(CLEANUP => 1);
my $whsec = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
my $own = 'header=X-Own-Sig prefix=v0= timestamp=X-Own-Time'
          . ' signed=v0:{timestamp}:{body}';


sub put {
    my ($name, $text) = @_;

    open my $file, '>', "$dir/$name" or die "$name: $!";
    print $file $text;
    close $file;

    return "$dir/$name";
}


sub quoted { return join ' ', map { "'" . s/'/'\\''/gr . "'" } @_ }


# what docker/send says, and how it ends

sub sent {
    my $args = quoted(@_);
    my $said = qx(docker/send $args 2>&1);

    return $said . ($? >> 8);
}


# the launcher, if it does not come up

sub refused {
    my (%env) = @_;

    local %ENV = (%ENV, NGINX_BIN => $ENV{TEST_NGINX_BINARY},
                  MODULE => $ENV{TEST_NGINX_LOAD_MODULES},
                  WEBHOOK_SECRET => 'testsecret',
                  DATABASE_URL => "sqlite:///$dir/app.db",
                  PORT => Lyftr::Server::free_port(), %env);

    my $said = qx(timeout 20 docker/serve 2>&1 </dev/null);

    return ($? >> 8) . " $said";
}


sub count {
    my ($server, $path) = @_;

    return decode_json($server->get($path)->{body})->{total};
}


# each scheme

my @schemes = (
    [ 'lyftr', 'testsecret', '' ],
    [ 'hub', 'testsecret', '' ],
    [ 'standard', $whsec, "lyftr_secret $whsec;" ],
    [ 'stripe', 'testsecret', '' ],
    [ 'slack', 'testsecret', '' ],
    [ 'shopify', 'testsecret', '' ],
);

# a description is quoted as nginx wants it

my $server = Lyftr::Server->new(server => join '', (map {
    "location = /$_->[0] { lyftr_webhook main; lyftr_signature $_->[0];"
    . " $_->[2] }" } @schemes), 'location = /own { lyftr_webhook main;'
    . ' lyftr_signature ' . join(' ', map { qq("$_") } split ' ', $own)
    . '; }');

my $url = "http://127.0.0.1:$server->{port}";

for (@schemes, [ $own, 'testsecret' ]) {
    my ($scheme, $key) = @$_;
    my $path = $scheme eq $own ? 'own' : $scheme;

    is(sent('-s', $scheme, '-k', $key, '-n', $path, "$url/$path", 'message'),
       qq(message: 200 {"status":"ok"}\n0), "$path: sent");
    is(sent('-s', $scheme, '-k', "${key}BBBB", "$url/$path", 'message'),
       qq(message: 401 {"detail":"invalid signature"}\n1),
       "$path: with another key");
}

is(count($server, '/messages'), scalar @schemes + 1, 'each is stored');
like(sent('-s', 'none', '-k', 'a', $url, 'message'), qr/unknown scheme: none/,
     'an unknown scheme');
like(sent('-k', 'a', $url, 'gone'), qr/there is no .*gone/,
     'an unknown sample');
is_deeply([ $server->alarms ], [], 'no alarms');
$server->stop;


# as it ships

$server = Lyftr::Shipped->new;
is($server->request("$_ /whatsapp")->{status}, 404, "no /whatsapp: $_")
    for 'GET', 'POST';
is($server->get('/statuses')->{status}, 404, 'no /statuses');
$server->stop;

$server = Lyftr::Shipped->new(env => {
    WHATSAPP_APP_SECRET => 'app-secret', WHATSAPP_VERIFY_TOKEN => 'a;}{"$b\\',
    WHATSAPP_STATUSES => "sqlite:///$dir/receipts.db" });
$url = "http://127.0.0.1:$server->{port}";

is($server->get('/whatsapp?hub.mode=subscribe&hub.challenge=7'
                . '&hub.verify_token=a;}{"$b\\')->{body}, '7',
   'the handshake');

my @samples = map { s{.*/(.*)\.json}{$1}r } glob 'docker/samples/*.json';

is(sent('-k', 'app-secret', "$url/whatsapp", grep { $_ ne 'message' } @samples),
   join('', map { qq($_: 200 {"status":"ok"}\n) }
                grep { $_ ne 'message' } @samples) . '0',
   'all samples');
is(sent('-k', 'testsecret', '-s', 'lyftr', "$url/webhook", 'message'),
   qq(message: 200 {"status":"ok"}\n0), 'and that of /webhook');

my $samples = $server->samples;
my %items = map { /kind="(\w+)",result="(\w+)"/
                      ? ("$1 $2" => $samples->{$_}) : () }
            grep { /items_total/ } keys %$samples;

is_deeply(\%items, { 'message created' => 63, 'message duplicate' => 0,
                     'message malformed' => 0, 'status created' => 6,
                     'status duplicate' => 0, 'status malformed' => 0,
                     'status ignored' => 0, 'other ignored' => 2 },
          'what they hold');
is(count($server, '/messages'), 64, 'the messages');
is(count($server, '/statuses'), 6, 'the statuses');

my ($line) = grep { $_->{path} eq '/whatsapp' && $_->{method} eq 'GET' }
             map { decode_json($_) } $server->lines(10);
is("$line->{result} $line->{items} $line->{message_id}", 'verified 0 ',
   'its line');
ok(!grep({ /hub|a;/ } $server->lines(10)), 'which has no query');

($line) = grep { $_->{path} eq '/whatsapp' && $_->{items} == 50 }
          map { decode_json($_) } $server->lines(10);
is("$line->{result} $line->{dup}", 'created 0', 'the line of a batch');

is_deeply([ $server->alarms ], [], 'no alarms');
$server->stop;


# files

$server = Lyftr::Shipped->new(env => {
    WHATSAPP_APP_SECRET_FILE => put('app', "app-secret\n"),
    WHATSAPP_VERIFY_TOKEN_FILE => put('token', "tok\n"),
    WHATSAPP_STATUSES_FILE => put('url', "sqlite:///$dir/files.db\n") });
$url = "http://127.0.0.1:$server->{port}";

is($server->get('/whatsapp?hub.mode=subscribe&hub.challenge=7'
                . '&hub.verify_token=tok')->{body}, '7', 'a token in a file');
like(sent('-k', 'app-secret', "$url/whatsapp", 'statuses'), qr/: 200/,
     'a secret in a file');
is(count($server, '/statuses'), 6, 'a URL in a file');

put('app', "another\n");
$server->signal('HUP');
Lyftr::Server::wait_for { $server->log =~ /reloaded/ };
like(sent('-k', 'another', "$url/whatsapp", 'text'), qr/: 200/,
     'the file is read again');
$server->stop;


# how /webhook is signed

$server = Lyftr::Shipped->new(env => { WEBHOOK_SIGNATURE => " $own\n" });
$url = "http://127.0.0.1:$server->{port}";
like(sent('-k', 'testsecret', '-s', $own, "$url/webhook", 'message'), qr/: 200/,
     'a description');
$server->stop;


# no word of a value becomes a directive

for my $word ('hub;', 'hub}', '{', '"', "'", '\\', '$x', '#', 'a"; return 200',
              'hub; } location = /x { return 200; }', "hub;\nreturn 200")
{
    like(refused(WEBHOOK_SIGNATURE => $word),
         qr/\A1 serve: WEBHOOK_SIGNATURE: [^\n]*\n\z/, "signature: $word");
}

is(refused(WEBHOOK_SIGNATURE => 'nosuch'),
   qq(1 serve: WEBHOOK_SIGNATURE: unknown preset "nosuch"\n),
   'an unknown preset');
like(refused(WEBHOOK_SIGNATURE => 'standard', WEBHOOK_SECRET => 'short'),
     qr/\A1 serve: WEBHOOK_SECRET: .*"whsec"[^\n]*\n\z/,
     'a secret that is not of the encoding');

my %app = (WHATSAPP_APP_SECRET => 'a');

for (
    [ 'a folder that is not there',
      { WHATSAPP_STATUSES => 'sqlite:////nonexistent/x.db' },
      qr/WHATSAPP_STATUSES: there is no folder/ ],
    [ 'another kind of URL', { WHATSAPP_STATUSES => 'mysql://x' },
      qr/WHATSAPP_STATUSES: / ],
    [ 'a directive in a URL',
      { WHATSAPP_STATUSES => 'x; } server { listen 1; }' },
      qr/WHATSAPP_STATUSES: / ],
    [ 'the database of the messages',
      { WHATSAPP_STATUSES => "sqlite:///$dir/app.db" },
      qr/WHATSAPP_STATUSES: .*one database/ ],
    [ 'a file that is not there',
      { WHATSAPP_APP_SECRET_FILE => "$dir/gone" },
      qr/WHATSAPP_APP_SECRET_FILE: cannot read/ ],
    [ 'a folder of tokens', { WHATSAPP_VERIFY_TOKEN_FILE => $dir },
      qr/WHATSAPP_VERIFY_TOKEN_FILE: .* is not a file/ ],
    [ 'two tokens', { WHATSAPP_VERIFY_TOKEN => 'a',
                      WHATSAPP_VERIFY_TOKEN_FILE => "$dir/token" },
      qr/only one of them may be set/ ],
) {
    my ($name, $env, $told) = @$_;

    my $said = refused(%app, %$env);

    like($said, qr/\A1 serve: [^\n]*\n\z/, "$name: one line");
    like($said, $told, 'which tells');
}

done_testing();

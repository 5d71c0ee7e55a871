# The page of the description in a browser: what is tried out is signed, with a
# secret that goes nowhere.

use strict;
use warnings;

use lib 't/lib';
use JSON::PP;
use Test::More;

use Lyftr;
use Lyftr::Shipped;


my $build = $ENV{BUILD} || 'build';

$ENV{NODE_PATH} = "$build/openapi/node_modules";

plan skip_all => 'needs chromium, and playwright-core of npm'
    unless -x '/usr/bin/chromium' && -d "$ENV{NODE_PATH}/playwright-core"
           && -d "$build/docs/node_modules";

my $secret = "a secret, é \x{1f600}";
utf8::encode($secret) if utf8::is_utf8($secret);

my $server = Lyftr::Shipped->new(env => { WEBHOOK_SECRET => $secret });

open my $node, '-|', 'node', 't/openapi/docs.js',
     "http://127.0.0.1:$server->{port}", $secret or die "node: $!";
my $text = join '', <$node>;
my $said = decode_json($text || '{}');

is_deeply($said->{errors}, [], 'nothing fails, nor breaks the policy');
is($said->{heads}, 0, 'HEAD is not shown');
is($said->{unsigned}{status}, 401, 'without a secret: 401');
is($said->{signed}{status}, 200, 'with it: 200');
is($server->created, 1, 'and stored');
is($said->{kept}, '', 'the secret is gone with the page');
unlike($said->{sent}, qr/a secret/, 'and was not sent');
unlike($said->{stored}, qr/secret/, 'nor kept');
is_deeply([ $server->alarms ], [], 'no alarms in the log');

done_testing();

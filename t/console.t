# The page for people, in a browser: what comes in, look-ups, numbers, downloads,
# hostile texts, and who may have it.  BUILD/console has pictures of it.

use strict;
use warnings;

use lib 't/lib';
use File::Path qw(make_path);
use Test::More;

use Lyftr;
use Lyftr::Server;
use Lyftr::Shipped;


my $build = $ENV{BUILD} || 'build';
my $modules = "$build/openapi/node_modules";
my $pictures = "$build/console";

my %env = (WHATSAPP_APP_SECRET => 'testsecret', WHATSAPP_VERIFY_TOKEN => 'v');


# who may have it

my $port = Lyftr::Server::free_port();
my $apart = Lyftr::Shipped->new(env => { LYFTR_READ_PORT => $port });
my $closed = Lyftr::Shipped->new(env => { LYFTR_READ_ALLOW => 'none' });
my $guarded = Lyftr::Shipped->new(env => { LYFTR_READ_TOKEN => 'to.ken' });
my $server = Lyftr::Shipped->new(env => \%env);

for my $path (qw(/console/ /console/console.js /console/console.css)) {
    is($apart->get($path)->{status}, 404, "$path is not for senders");
    is($closed->get($path)->{status}, 403, 'nor for an address that is not');
    is($guarded->get($path)->{status}, 200, 'a token can be typed in');

    my $answer = $server->get($path);

    is($answer->{status}, 200, 'others have it');
    like($answer->{head}, qr/^X-Content-Type-Options: nosniff\r$/m, 'as it is');
}

is($server->get($_)->{status}, 404, "$_ is nothing")
    for qw(/console/index.html /console/x.js /console/../console/x);

my ($policy) = $server->get('/console/')->{head}
               =~ /^Content-Security-Policy: (.*)\r$/m;

like($policy, qr/\Adefault-src 'none'; script-src 'self'; style-src 'self';/,
     'a strict policy');
unlike($policy, qr/unsafe|\*/, 'without exceptions');

{
    local $apart->{port} = $port;
    is($apart->get('/console/')->{status}, 200, 'the readers\' port has it');
}

is_deeply([ $_->alarms ], [], 'no alarms in the log') for $apart, $closed;


# the page itself

SKIP: {
    skip 'needs chromium, and playwright-core and axe-core of npm', 1
        unless -x '/usr/bin/chromium'
               && !grep { !-d "$modules/$_" } qw(playwright-core axe-core);

    make_path($pictures);
    $ENV{NODE_PATH} = $modules;

    open my $node, '-|', 'node', 't/openapi/console.js',
         (map { "http://127.0.0.1:$_->{port}" } $server, $guarded),
         'testsecret', 'to.ken', $server->{pid}, $pictures or die "node: $!";

    while (<$node>) {
        chomp;
        /^(not )?ok (.*)/ ? ok(!$1, $2) : diag(s/^# //r);
    }

    ok(close($node), 'the program ended well');
}

is_deeply([ $_->alarms ], [], 'no alarms in the log') for $server, $guarded;

done_testing();

# The description, docker/openapi.json, against the running server: generated
# requests, of which each answer must be as described.
#
# OPENAPI_RUNS=N: so many requests a property, and a random seed; OPENAPI_SEED
# is a certain one.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

use Lyftr::Address qw(add_addresses);
use Lyftr::Shipped;


my $build = $ENV{BUILD} || 'build';
my $modules = "$build/openapi/node_modules";

plan skip_all => 'what npm installs is not there: make test says why'
    unless -d $modules && -d "$build/docs/node_modules";

my $foreign = '192.0.2.1';
my $address = add_addresses("$foreign/32") ? $foreign : undef;

my $dir = tempdir(CLEANUP => 1);

for my $name ('garbage.db', 'garbage2.db') {
    open my $garbage, '>', "$dir/$name" or die "$name: $!";
    print $garbage 'this is no database' x 1000;
    close $garbage;
}

my %whatsapp = (WHATSAPP_APP_SECRET => 'testsecret',
                WHATSAPP_VERIFY_TOKEN => 'tok');

my $good = Lyftr::Shipped->new(env => {
    %whatsapp, WHATSAPP_STATUSES => "sqlite:///$dir/receipts.db" });
my $unready = Lyftr::Shipped->new(db => "$dir/garbage.db",
                                  env => { SWAGGER_UI => '/nonexistent',
                                           %whatsapp, WHATSAPP_STATUSES =>
                                           "sqlite:///$dir/garbage2.db" });
my $secretless = Lyftr::Shipped->new(env => { WEBHOOK_SECRET => undef,
                                              SWAGGER_UI => '/nonexistent' });
my $guarded = Lyftr::Shipped->new(env => {
    %whatsapp, LYFTR_READ_TOKEN => 'a',
    WHATSAPP_STATUSES => "sqlite:///$dir/guarded.db" });

my %servers = (file => 'docker/openapi.json', secret => 'testsecret',
               good => $good->{port}, unready => $unready->{port},
               secretless => $secretless->{port},
               guarded => $guarded->{port}, foreign => $address);

$ENV{NODE_PATH} = $modules;

open my $node, '-|', 'node', 't/openapi/property.js', encode_json(\%servers)
    or die "node: $!";

while (<$node>) {
    chomp;

    if (/^(not )?ok (.*)/) {
        ok(!$1, $2);
    } else {
        diag(s/^# //r) if !/^# seed/ || $ENV{OPENAPI_RUNS};
    }
}

ok(close($node), 'the program ended well');

is_deeply([ $_->alarms ], [], 'no alarms in the log')
    for $good, $unready, $secretless, $guarded;

done_testing();

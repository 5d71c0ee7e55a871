# fast: the page for people with ten million rows comes, goes to the last page,
# back, by a link into the midst, to what comes in, and to the numbers; with few
# rows, where it is not asked how long that takes.
# PAGE_DIR is the folder of a store that has them, PAGE_ROWS.

use strict;
use warnings;

use lib 't/lib';
use List::Util qw(max);

use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Shipped;


my $build = $ENV{BUILD} || 'build';
my $modules = "$build/openapi/node_modules";
my $limit = 1000;
my @steps = qw(first last link live load next numbers previous);


# milliseconds of each step, by its name, up to one that takes so many seconds

sub steps {
    my ($server, $rows, $patience) = @_;

    local $ENV{NODE_PATH} = $modules;

    open my $node, '-|', 'node', 't/openapi/large.js',
         "http://127.0.0.1:$server->{port}", $rows, $patience
        or die "node: $!";

    my %took = map { /^(\w+) (\d+)$/ } <$node>;

    close $node;

    return %took;
}


skip('needs chromium, and playwright-core of npm')
    if !-x '/usr/bin/chromium' || !-d "$modules/playwright-core";

my $server = Lyftr::Shipped->new($ENV{PAGE_DIR} ? (dir => $ENV{PAGE_DIR}) : ());
my $rows = $ENV{PAGE_ROWS} // scale(10_000_000, 20_000);

if (!$ENV{PAGE_DIR}) {
    Lyftr::Load->start($server->{port}, n => $rows, c => 256, acks => 0,
                       t => 60)->wait;
}

my %took = steps($server, $rows, 60);
my $done = join ' ', sort keys %took;

note("$_: $took{$_} ms") for sort keys %took;
figure("$rows rows, steps that the page does", scalar(keys %took),
       scalar(@steps), $done eq "@steps");

if (!fast()) {
    figure('the slowest of them',
           sprintf('%d ms', max(values %took) // -1), "at most $limit ms",
           %took && max(values %took) <= $limit);
}

figure('alarms in the log', scalar(() = $server->alarms), '0',
       !$server->alarms);

%took = steps($server, $rows + 1, 5);

control('a row is missing, steps', scalar(keys %took), scalar(@steps),
        keys %took < @steps);

# What is shipped for Prometheus and Grafana: promtool accepts it, each alert
# has its tests, and queries name only what /metrics has.

use strict;
use warnings;

use lib 't/lib';
use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use JSON::PP;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

use Lyftr;
use Lyftr::Server;


my $folder = 'docker/prometheus';
my $dashboard = decode_json(slurp('docker/grafana/dashboards/lyftr.json'));

# what in a query is followed by no parenthesis and yet is no series

my %word = map { $_ => 1 } qw(and or unless bool offset inf nan);


sub slurp {
    my ($file) = @_;

    open my $in, '<', $file or die "$file: $!";
    local $/;

    return scalar <$in>;
}


sub promtool {
    my (@args) = @_;

    open my $out, '-|', "promtool @args 2>&1" or die "promtool: $!";
    my $said = join '', <$out>;

    return close $out ? '' : $said;
}


# the series that a query asks for

sub asked {
    my ($query) = @_;

    $query =~ s/"[^"]*"//g;
    $query =~ s/\{[^}]*\}|\[[^\]]*\]//g;
    $query =~ s/\b(?:by|without|on|ignoring|group_left|group_right)\b
                \s*(?:\([^)]*\))?//gx;

    return grep { !$word{lc $_} }
           $query =~ /(?<![\w.:])([a-zA-Z_:][\w:]*+)(?!\s*\()/g;
}


# the rules by their names: [kind, query]

sub rules {
    my ($text) = @_;

    my %rule;

    while ($text =~ /^[ ]*-[ ](record|alert):[ ](\S+)\n
                     ([ ]+)expr:[ ](?:\|-\n)?
                     (.*?)(?=\n\3\w|\n\n|\z)/gmsx)
    {
        $rule{$2} = [ $1, $4 ];
    }

    return \%rule;
}


# queries of the dashboard, with an interval in the place of Grafana's, and all
# instances and stores

sub queries {
    return map {
        my $title = $_->{title};
        map { [ $title, $_->{expr} =~ s/\$__rate_interval/5s/gr
                                   =~ s/\$(?:instance|store)\b/.*/gr ] }
            @{ $_->{targets} };
    } @{ $dashboard->{panels} };
}


is(promtool("check config $folder/prometheus.yml"), '', 'the configuration');
is(promtool("check rules $folder/rules.yml"), '', 'the rules');
is(promtool('test rules t/observability/alerts.yml'), '', 'their tests');

my $rule = rules(slurp("$folder/rules.yml"));
my $tests = slurp('t/observability/alerts.yml');
my @alerts = grep { $rule->{$_}[0] eq 'alert' } sort keys %$rule;

cmp_ok(scalar @alerts, '>=', 10, 'there are alerts');

for my $alert (@alerts) {
    like($tests, qr/name: $alert fires\n/, "$alert is tested");
    like($tests, qr/name: $alert is silent\n/, 'with a case of silence');
}


# the names in queries are those of a running server

my $server = Lyftr::Server->new(workers => 2, server =>
    'location = /whatsapp { lyftr_webhook main format=whatsapp; }');

$server->post(message(message_id => "m$_")) for 1 .. 3;
$server->post(message(message_id => 'm1'));
$server->request('POST /webhook', 'Content-Length: 0');
$server->get('/messages');

my %series = map { s/\{.*//r => 1 } keys %{ $server->samples };
my %known = (%series, up => 1,
             map { $_ => 1 } grep { $rule->{$_}[0] eq 'record' } keys %$rule);

is_deeply([ asked('lyft_rows + sum by (le) (rate(up{a="b"}[5m]) > 1e3)') ],
          [ 'lyft_rows', 'up' ], 'names are found in a query');

for ([ 'rule', map { [ $_, $rule->{$_}[1] ] } sort keys %$rule ],
     [ 'panel', queries() ])
{
    my ($kind, @queries) = @$_;

    for (@queries) {
        my ($name, $query) = @$_;
        my @asked = asked($query);

        ok(@asked > 0, "$kind $name asks for something");
        is_deeply([ grep { !$known{$_} } @asked ], [],
                  'and for nothing that is not there');
    }
}

# and all that is measured is shown, or in a rule

my $shown = join ' ', map { asked($_->[1]) } values %$rule;
$shown .= ' ' . join ' ', map { asked($_->[1]) } queries();

is_deeply([ grep { my $name = s/_(?:bucket|sum|count)$//r;
                   $shown !~ /\b\Q$name\E(?:_bucket|_sum|_count)?\b/ }
            grep { !/^(?:http_requests_total
                       |lyftr_store_commit_deliveries_total)$/x }
            sort keys %series ], [], 'what is measured is shown');


# whoever looks chooses the data source, and of what all panels are

my %variable = map { $_->{name} => $_ } @{ $dashboard->{templating}{list} };
my %of_store = map { /^(\w+)\{.*\bstore="/ ? ($1 => 1) : () }
               keys %{ $server->samples };

is(join(' ', sort keys %variable), 'datasource instance store', 'variables');
is_deeply([ grep { $_->{datasource}{uid} ne '${datasource}' }
            @{ $dashboard->{panels} }, @variable{qw(instance store)} ], [],
          'all ask the data source that was chosen');

for (qw(instance store)) {
    my ($query) = $variable{$_}{definition} =~ /^label_values\((.*), $_\)$/;

    is_deeply([ grep { !$known{$_} } asked($query) ], [], "$_: of a series");
}

for my $panel (@{ $dashboard->{panels} }) {
    for (map { $_->{expr} } @{ $panel->{targets} }) {
        my %labels = /\b(\w+_\w+)(\{[^}]*\})/g;

        is_deeply([ grep { $_ !~ /^__/
                           && (($labels{$_} // '') !~ /instance=~"\$instance"/
                               || $of_store{$_}
                                  && $labels{$_} !~ /store=~"\$store"/) }
                    asked($_) ], [], "$panel->{title}: of what was chosen");
    }
}


# a Prometheus that scrapes the server, with its rules

my $dir = tempdir(CLEANUP => 1);
my $port = Lyftr::Server::free_port();
my $prometheus = bless { port => $port, owner => 0 }, 'Lyftr::Server';
my $config = slurp("$folder/prometheus.yml");

$config =~ s/api:8000/127.0.0.1:$server->{port}/ or die 'no target';
$config =~ s/(scrape_interval|scrape_timeout|evaluation_interval): \S+/$1: 1s/g;
$config =~ s{rules\.yml}{getcwd . "/$folder/rules.yml"}e;

open my $file, '>', "$dir/prometheus.yml" or die "prometheus.yml: $!";
print $file $config;
close $file;

my $pid = fork // die "fork: $!";

if ($pid == 0) {
    open STDOUT, '>', "$dir/log";
    open STDERR, '>&', \*STDOUT;
    exec 'prometheus', "--config.file=$dir/prometheus.yml",
         "--storage.tsdb.path=$dir/data",
         "--web.listen-address=127.0.0.1:$port" or POSIX::_exit(1);
}

END {
    local $?;
    kill('TERM', $pid), waitpid($pid, 0) if $pid;
}


sub ask {
    my ($query) = @_;

    my $get = $query =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ger;
    my $answer = eval {
        $prometheus->get("/api/v1/query?query=$get");
    } or return {};

    return eval { decode_json($answer->{body}) } // {};
}

# two scrapes at least, between which something happened

ok(Lyftr::Server::wait_for(sub {
    $server->post(message(message_id => 'more' . rand));
    $server->get('/messages');
    sleep 0.2;
    my $data = ask('sum(increase(webhook_requests_total[1m])) > 0')->{data};
    $data && @{ $data->{result} };
}, 60), 'Prometheus scrapes the server') or diag(slurp("$dir/log"));

for (queries()) {
    my ($title, $query) = @$_;
    my $answer;

    $query =~ s/\[5s\]/[1m]/g;

    Lyftr::Server::wait_for {
        $answer = ask($query);
        ($answer->{status} // '') ne 'success'
            || @{ $answer->{data}{result} };
    };

    is($answer->{status}, 'success', "$title: $query");
    ok(scalar @{ $answer->{data}{result} // [] }, 'has an answer');
}

my $loaded = ask('count(ALERTS)');
is($loaded->{status}, 'success', 'the rules are loaded');

my $up;
Lyftr::Server::wait_for {
    $up = ask('instance_result:webhook_requests:rate5m')->{data}{result};
    $up && @$up;
} 30;
ok($up && @$up, 'and record');

$server->stop;

done_testing();

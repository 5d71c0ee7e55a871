# Data races: nginx and the module under ThreadSanitizer, with deliveries,
# reads, scrapes and reloads.  nginx's own threads race a little; what counts is
# a report that names our code.

use strict;
use warnings;

use lib 't/lib';
use Cwd qw(getcwd realpath);
use File::Temp qw(tempdir);
use List::Util qw(uniq);
use Time::HiRes qw(sleep time);

use Lyftr qw(message);
use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Server;


my @reads = ('/messages?q=a', '/messages?limit=3&offset=5', '/stats',
             '/metrics', '/health/ready', '/health/live');

need('clang', 'llvm-symbolizer');

my $dir = ($ENV{BUILD} || getcwd . '/build') . '/tsan';

skip('the sources of nginx could not be had') if !-e "$dir/src/configure";

system 't/faults/tsan', $dir and
    die "nginx was not built with ThreadSanitizer\n";

$dir = realpath($dir);

$ENV{NGINX_SRC} = "$dir/src";
$ENV{TEST_NGINX_BINARY} = "$dir/objs/nginx";
$ENV{TEST_NGINX_LOAD_MODULES} = "$dir/objs/ngx_http_lyftr_module.so";


# the load's report, and the sanitizer's reports, under so many seconds of load

sub reports {
    my ($seconds, %server) = @_;

    my $reports = tempdir(CLEANUP => 1);
    chmod 0777, $reports;

    local $ENV{TSAN_OPTIONS} = "log_path=$reports/tsan:exitcode=0"
                               . ':history_size=7';

    my $server = Lyftr::Server->new(store => 'batch=16', %server);
    my $load = Lyftr::Load->start($server->{port}, c => 32, r => 1500,
                                  d => 3600);
    my $end = time + $seconds;

    while (time < $end) {
        for (1 .. 10) {
            eval { $server->get($_) } for @reads;
            eval { $server->post(message(message_id => 'twice')) } for 1 .. 2;
            sleep 0.1;
        }

        $server->signal('HUP');
    }

    my $report = $load->stop;
    $server->stop;

    local $/;

    return ($report, map {
        open my $file, '<', $_ or die "$_: $!";
        grep { /WARNING: ThreadSanitizer/ } split /^={18}\n/m, <$file>;
    } glob "$reports/tsan.*");
}


# those with a frame of ours, whatever the folders are called

sub ours {
    return grep {
        /^ +#\d+ ngx_(?:http_)?lyftr_|\(ngx_http_lyftr_module\.so\+/m
    } @_;
}


my ($report, @reports) = reports(40);
my @ours = ours(@reports);

note(scalar @reports, "reports, of $report->{acknowledged} deliveries");
note($_) for uniq(map { /^SUMMARY: (.*)/m } @ours);
note(join "\n    ", split /\n/, $ours[0]) if @ours;

figure('reports that name our code', scalar @ours, '0', @ours == 0);
figure('deliveries under it', $report->{acknowledged}, 'more than 10000',
       $report->{acknowledged} > 10000);

# a worker alone has its messages in the queue, and not in a ring

(undef, @reports) = reports(8, workers => 1, module => planted('no_mutex'));
@ours = grep { /ngx_lyftr_channel_dispatch/ } ours(@reports);

control('a queue without its mutex', scalar @ours, '0', @ours > 0);

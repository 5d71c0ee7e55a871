# Under which location a request counts that nginx refuses, and as which result:
# that which was chosen for it, whoever answers.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Lyftr;
use Lyftr::Server;


# error pages of each server: none, a named location, one with a URI, and one
# that gives another status

my %pages = (
    plain   => '',
    named   => 'error_page 400 403 404 405 413 494 503 @named.error;',
    uri     => 'error_page 400 403 404 405 413 494 503 /.error;',
    altered => 'error_page 403 404 405 413 503 =200 @altered.error;',
);

my $long = 'X-Long: ' . 'x' x 40_000;

# a request, its status, the location it counts under, and its result

my @cases = (
    [ 'POST /S/if', 'X-No: 1', 403, '/S/if', 'rejected' ],
    [ 'GET /S/except/x', '', 403, '/S/except', 'rejected' ],
    [ 'POST /S/re1', 'X-No: 1', 403, '^/S/re[0-9]', 'rejected' ],
    [ 'POST /S/re2', 'Content-Length: 100', 413, '^/S/re[0-9]', 'rejected' ],
    [ 'POST /S/deny', '', 403, '/S/deny', 'rejected' ],
    [ 'GET /S/try', '', 403, '@S', 'rejected' ],
    [ 'POST /S/internal', '', 404, '/S/internal', 'rejected' ],

    # nested locations that are none of ours, and one that is

    [ 'POST /S/outer/inner', '', 403, 'other', '' ],
    [ 'POST /S/outer/x.txt', '', 403, 'other', '' ],
    [ 'POST /S/outer/inner/own', 'X-No: 1', 403, '/S/outer/inner/own',
      'rejected' ],
    [ 'POST /S/outer/x', 'X-No: 1', 403, '/S/outer/', 'rejected' ],
    [ 'POST /S/outer/strong/x.txt', 'X-No: 1', 403, '/S/outer/strong/',
      'rejected' ],
    [ 'POST /S/elsewhere', '', 403, 'other', '' ],
    [ 'POST /S/none', '', 404, 'other', '' ],

    # before anything of the location runs, also after rewrites

    [ 'POST /S/big', 'Content-Length: 100', 413, '/S/big', 'rejected' ],
    [ 'POST /S/b%69g?a=/x', 'Content-Length: 100', 413, '/S/big', 'rejected' ],
    [ 'POST /S/hook', 'Content-Length: 100', 413, '/S/big', 'rejected' ],
    [ 'POST /S/alias', 'Content-Length: 100', 413, '/S/big', 'rejected' ],

    # before a location is chosen: the one that would have been

    [ 'POST /S/big', 'X-Closed: 1', 503, '/S/big', 'unavailable' ],
    [ 'TRACE /S/big', '', 405, '/S/big', 'rejected' ],
    [ 'TRACE /S/b%69g?x', '', 405, '/S/big', 'rejected' ],
    [ 'TRACE /S/outer/inner', '', 405, 'other', '' ],
    [ 'TRACE /S/outer/slash', '', 405, 'other', '' ],
    [ 'TRACE /S/outer/slas', '', 405, '/S/outer/', 'rejected' ],
    [ 'TRACE /S/bi', '', 405, 'other', '' ],
    [ 'POST /S/big', $long, 400, '/S/big', 'rejected' ],

    # what the module itself refuses

    [ 'GET /S/big', '', 405, '/S/big', 'rejected' ],

    # a location of another server

    [ 'POST /T/big', 'Content-Length: 100', 404, 'other', '' ],

    # none of a webhook

    [ 'GET /S/stats', 'X-No: 1', 403, '/S/stats', '' ],
);


sub server {
    my ($name) = @_;

    my $no = 'if ($http_x_no) { return 403; }';
    my $hook = 'lyftr_webhook main;';

    return <<"END" =~ s{/S/}{/$name/}gr;
    server {
        listen 127.0.0.1:PORT;
        server_name $name;
        access_log lines v;
        large_client_header_buffers 4 16k;
        $pages{$name}

        rewrite ^/S/alias\$ /S/big last;
        if (\$http_x_closed) { return 503; }

        location = /S/if { $no $hook }
        location /S/except { limit_except POST { deny all; } $hook }
        location ~ ^/S/re[0-9] { client_max_body_size 10; $no $hook }
        location = /S/deny { deny all; $hook }
        location = /S/internal { internal; $hook }
        location = /S/try { try_files /none \@$name; }
        location \@$name { limit_except POST { deny all; } $hook }
        location = /S/stats { $no lyftr_stats main; }

        location /S/outer/ {
            $no
            $hook
            location /S/outer/inner {
                return 403;
                location = /S/outer/inner/own { $no $hook }
            }
            location /S/outer/slash/ { proxy_pass http://127.0.0.1:9; }
            location ^~ /S/outer/strong/ { $no $hook }
            location ~ \\.txt\$ { return 403; }
        }

        location = /S/elsewhere { return 403; }
        location = /S/big { client_max_body_size 10; $hook }
        location = /S/hook { rewrite ^ /S/big last; }
        location / { return 404; }

        location \@$name.error { return 200 'page'; }
        location = /.error { internal; return 200 'page'; }
    }
END
}


my $port = Lyftr::Server::free_port();
my $server = Lyftr::Server->new(
    workers => 1, port => $port, listen => 'default_server',
    http => "log_format v '\$lyftr_result';"
            . join '', map { server($_) =~ s/PORT/$port/r } sort keys %pages);

my (%expected, @results);

for my $name (sort keys %pages) {
    for (@cases) {
        my ($line, $header, $status, $path, $result) = @$_;

        # a request without a status of its own has that of its page

        my $other = $name eq 'plain' ? 'named' : 'plain';
        my $shown = $name eq 'altered' && $status != 400
                    && !($line =~ /^GET .*big/) ? 200 : $status;

        s{/S/}{/$name/}g, s{/T/}{/$other/}g, s{\@S}{\@$name}
            for $line, $path;

        $result = 'rejected' if $shown == 200 && $result;

        my $r = $server->exchange(join "\r\n", "$line HTTP/1.1",
            "Host: $name", 'Connection: close', $header || 'X-A: 1', '', '');

        is($r->{status}, $shown, "$line is $shown");

        $expected{qq(http_requests_total{path="$path",status="$shown"})}++;
        push @results, "$name $line: $result";
    }
}

my $samples;

Lyftr::Server::wait_for {
    $samples = $server->samples;
    !grep { ($samples->{$_} // 0) < $expected{$_} } keys %expected;
} 10;

is($samples->{$_}, $expected{$_}, "$_ is $expected{$_}")
    for sort keys %expected;

is_deeply([ grep { /^http_requests_total/ && !/\bpath="(?:other|\/metrics)"/
                   && $samples->{$_} && !$expected{$_} } sort keys %$samples ],
          [], 'and nothing else has counted');

open my $file, '<', "$server->{dir}/lines" or die "lines: $!";
chomp(my @lines = <$file>);

is(scalar @lines, scalar @results, 'as many lines as requests');

for my $i (0 .. $#results) {
    my ($name) = $results[$i] =~ /(.*): /;
    is("$name: $lines[$i]", $results[$i], 'its result');
}

is_deeply([ $server->alarms ], [], 'no alarms in the log');

done_testing();

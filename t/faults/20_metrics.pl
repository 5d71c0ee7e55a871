# fast: workers killed at the metrics, and callers who would make series.

use strict;
use warnings;

use lib 't/lib';
use List::Util qw(max sum);
use POSIX ();
use Time::HiRes qw(sleep time);

use Lyftr qw(message sign signature);
use Lyftr::Client;
use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Pipeline;
use Lyftr::Server;


my $seed = 20;
my $rounds = scale(100, 10);
my $requests = scale(100_000, 10_000);
my $patience = 2;
my @paths = qw(/webhook /messages /stats /health/live /health/ready /metrics);


sub server {
    return Lyftr::Server->new(
        http => 'keepalive_requests 1000000; log_not_found off;', @_);
}


# Scrapes in a loop, until the object is gone.

package Scraper {
    sub new {
        my ($class, $server) = @_;

        my $owner = $$;
        my $pid = fork // die "fork: $!";

        if ($pid == 0) {
            while (getppid == $owner) { eval { $server->get('/metrics') } }
            POSIX::_exit(0);
        }

        return bless { pid => $pid, owner => $owner }, $class;
    }

    sub DESTROY {
        my ($self) = @_;

        return if $self->{owner} != $$;

        local $?;
        kill 'KILL', $self->{pid};
        waitpid $self->{pid}, 0;
    }
}


# how long until such a request, tried again and again, has its 200

sub until_ok {
    my ($server, $bytes) = @_;

    my $start = time;

    while (time - $start < $patience) {
        my $client = eval { $server->client } // next;
        $client->send($bytes);
        my $response = $client->response($start + $patience - time);

        return (time - $start, $response->{body})
            if $response->{status} == 200;
    }

    return ($patience, '');
}


sub samples {
    my ($text) = @_;

    return map { /^(\S.*) (\S+)$/ && !/^#/ ? ($1 => $2) : () } split /\n/,
           $text;
}


# those that never go back

sub counters {
    my ($text) = @_;

    my %gauge = map { $_ => 1 } $text =~ /^# TYPE (\S+) gauge$/mg;
    my %samples = samples($text);

    return map { $_ => $samples{$_} } grep { !$gauge{s/\{.*//r} }
                                          keys %samples;
}


# kills a worker so many times, or until one is missed: how long the first
# delivery and the first scrape took at most, and counters that went back

sub kills {
    my ($server) = @_;

    my $scraper = Scraper->new($server);
    my $load = Lyftr::Load->start($server->{port}, r => 2000, c => 16,
                                  d => 3600, acks => 0);
    my ($delivery, $scrape, $back, %last) = (0, 0, 0);

    for my $round (1 .. $rounds) {
        my $workers = Lyftr::Server::wait_for {
            my @pids = $server->workers;
            @pids == 2 && \@pids;
        };

        sleep 0.05 + rand 0.1;
        kill 'KILL', $workers->[rand 2];

        my ($seconds) = until_ok($server, Lyftr::Client::delivery(
            Lyftr::Client::numbered("round$round")));
        $delivery = max($delivery, $seconds);

        ($seconds, my $text) = until_ok($server,
            "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
        $scrape = max($scrape, $seconds);

        last if $seconds == $patience;

        my %now = counters($text);
        $back += grep { ($now{$_} // -1) < $last{$_} } keys %last;
        %last = %now;
    }

    return ($delivery, $scrape, $back);
}


# bytes that a caller makes up

sub token {
    my (@of) = @_;

    return join '', map { $of[rand @of] } 1 .. 3 + rand 12;
}

sub name { return token('a' .. 'z', 0 .. 9, '-') }

sub method { return token('A' .. 'Z') }

sub headers {
    return join '', map { 'X-' . name() . ': ' . name() . "\r\n" } 1 .. rand 5;
}


# what they send: each a method, a path, and more headers with a body

my @kinds = (
    sub { ('GET', '/' . name()) },
    sub { (method(), '/' . name()) },
    sub { ('GET', join '/', '', map { name() } 1 .. rand 9) },
    sub { (method(), $paths[rand @paths]) },
    sub { ('GET', $paths[1 + rand @paths - 1]) },
    sub { ('GET', '/messages?' . name() . '=' . name()) },
    sub { ('GET', '/messages?limit=' . name() . 'x') },
    sub { ('GET', '/stats/' . name()) },
    sub { ('GET', 'http://' . token('a' .. 'z') . '/' . name()) },
    sub { ('GET', sprintf '/%s%%%02x', name(), 128 + rand 128) },
    sub { ('POST', '/webhook?' . name(), 'X-Signature: ' . name() . "\r\n"
           . "Content-Length: 4\r\n", 'null') },
    sub { ('POST', '/webhook', signature('null') . "\r\nUser-Agent: "
           . name() . "\r\nContent-Length: 4\r\n", 'null') },
    sub { ('GET', '/health/live', 'X-Request-ID: ' . name() . "\r\n") },
);

# and the same for those that nginx answers with the end of a connection

my @closing = (
    sub { (lc method(), '/' . name()) },
    sub { ('GET', '/' . name() x 3000) },
    sub { ('GET', '/' . name(), 'X-' . name() . ': ' . 'x' x 33000 . "\r\n") },
    sub { ('GET', '/' . name(), "Host: b\r\n") },
    sub { ('GET', name()) },
    sub { ('POST', '/webhook', "Content-Length: " . name() . "x\r\n") },
);


sub bytes {
    my ($kind) = @_;

    my ($method, $path, $more, $body) = $kind->();

    return "$method $path HTTP/1.1\r\nHost: " . token('a' .. 'z') . "\r\n"
           . headers() . ($more // '') . "\r\n" . ($body // '');
}


# so many of these kinds in turn; how many were answered

sub requests {
    my ($server, $n, $depth, @kinds) = @_;

    my ($sent, $answered) = (0, 0);

    pipeline($server->{port},
             sub { return $sent++ == $n ? undef
                          : [ bytes($kinds[$sent % @kinds]), 0 ] },
             sub { $answered++ if $_[1] }, depth => $depth);

    return $answered;
}


# The metrics once all requests are counted, of which there were $$sent; the end
# of one is behind its answer.

sub settled {
    my ($server, $sent) = @_;

    my ($text, $counted);

    Lyftr::Server::wait_for {
        $text = $server->get('/metrics')->{body};

        my %samples = samples($text);
        $counted = sum(map { $samples{$_} }
                       grep { /^http_requests_total/ } keys %samples);

        $counted >= $$sent++;
    };

    return ($text, $counted - $$sent + 1);
}


# the metrics before and after so many requests, to a new server

sub series {
    my ($server, $n) = @_;

    srand $seed;

    my $sent = requests($server, 60 * @kinds, 1, @kinds)
               + requests($server, 5 * @closing, 1, @closing);

    my %before = samples(settled($server, \$sent));

    my $answered = requests($server, $n * 0.98, 32, @kinds)
                   + requests($server, $n * 0.02, 1, @closing);

    $sent += $answered;

    my ($text, $more) = settled($server, \$sent);
    my %after = samples($text);

    return { before => scalar keys %before, after => scalar keys %after,
             answered => $answered, text => $text,
             counted => $answered + $more };
}


sub promtool {
    my ($text) = @_;

    my $file = File::Temp->new;
    print $file $text;
    close $file;

    my $said = `promtool check metrics <$file 2>&1`;

    return $? == 0 && $said eq '' ? 'nothing to say' : $said || "code $?";
}


my $server = server();
my ($delivery, $scrape, $back) = kills($server);

figure("$rounds kills, next delivery", sprintf('%.3f s', $delivery),
       'at most 1 s', $delivery <= 1);
figure('next scrape', sprintf('%.3f s', $scrape), 'at most 1 s', $scrape <= 1);
figure('counters that went back', $back, '0', $back == 0);

$server->stop;

# a new one, whose reads cost less

$server = server();

my $found = series($server, $requests);
my $check = promtool($found->{text});

figure("$requests made-up requests, series",
       "$found->{before}, then $found->{after}", 'unchanged',
       $found->{before} == $found->{after} && $found->{before} > 50);
figure('counted', "$found->{counted} of $found->{answered}", $requests,
       $found->{counted} == $requests && $found->{answered} == $requests);
figure('promtool check metrics', $check, 'nothing to say',
       $check eq 'nothing to say');

$server->stop;

$server = server(module => planted('series_by_uri', 'lock_kept'));
$found = series($server, 1000);

control('a series by the URI', "$found->{before}, then $found->{after}",
        'unchanged', $found->{before} != $found->{after});

($delivery, $scrape) = kills($server);

control('a lock is kept', sprintf('%.0f s', max($delivery, $scrape)),
        'at most 1 s', max($delivery, $scrape) > 1);


# the workers of the last server do not end by themselves

END {
    if ($server && $server->{pid} && $server->{module}) {
        local $?;
        kill 'KILL', $server->{pid}, $server->workers;
        $server->wait_exit;
    }
}

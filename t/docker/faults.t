# Containers under load: kills, secrets that change, and little memory.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep);

use Lyftr;
use Lyftr::Container qw(entries);
use Lyftr::Load;
use Lyftr::Server;


sub put {
    my ($name, $text) = @_;

    open my $file, '>', $name or die "$name: $!";
    print $file $text;
    close $file;
    chmod 0444, $name;
}


sub created {
    my ($server) = @_;

    return $server->metric('webhook_requests_total{result="created"}') // 0;
}


# nothing acknowledged is lost, all is stored as it was sent, and once

sub kept {
    my ($name, $server, $least, @loads) = @_;

    $server->halt;

    my $db = $server->copy;
    my $found = Lyftr::Load::compare($db, @loads);

    cmp_ok($found->{acked}, '>', $least, "$name: $found->{acked} acknowledged");
    is($found->{lost}, 0, "$name: none lost");
    is($found->{changed}, 0, "$name: none changed");
    is($found->{twice}, 0, "$name: none twice");
    is(Lyftr::Load::integrity($db), 'ok', "$name: the store is sound");

    return $db;
}


sub clean_log {
    my ($name, $server, $allowed) = @_;

    my @entries = entries($server->log);

    is_deeply([ grep { $_->{error} } @entries ], [], "$name: JSON lines");
    is_deeply([ grep { !$allowed || $_ !~ $allowed }
                map { $_->{message} // () } @entries ], [],
              "$name: no complaints");
}


# docker kill

my $rounds = 5;
my $server = Lyftr::Container->new;
my $load = Lyftr::Load->start($server->{port}, r => 2000, c => 32, d => 3600);

for (1 .. $rounds) {
    sleep 0.5 + rand 0.5;
    $server->signal('KILL');
    is($server->wait_exit, 137, 'killed');
    $server->start;
}

sleep 0.5;

my $report = $load->stop;
cmp_ok($report->{retries}, '>=', $rounds, 'kill: deliveries were cut off');
my $db = kept('kill', $server, 200 * $rounds, $load);
clean_log('kill', $server);

# kept() and clean_log() would see it otherwise

my $forged = File::Temp->new;
open my $acks, '<', $load->{acks} or die "acks: $!";
chomp(my $first = <$acks>);
close $acks;
print $forged message(message_id => 'never'), "\n",
              encode_json({ %{ decode_json($first) }, text => 'other' }), "\n";
close $forged;

my $found = Lyftr::Load::compare($db, $forged->filename);
is_deeply([ @$found{qw(lost changed)} ], [1, 1],
          'what is lost and what is changed would be seen');
is(scalar(grep { $_->{error} } entries($server->log . "no JSON\n{}\n")), 1,
   'and so would a line that is no JSON');

$server->stop;


# A stop is none: all that is under way is answered.  What comes through the
# engine's proxy while nobody listens is not.

$server = Lyftr::Container->new;
$load = Lyftr::Load->start($server->{port}, r => 2000, c => 32, d => 3600);

for (1 .. 3) {
    sleep 0.5;
    $server->halt;
    is($server->inspect('{{.State.ExitCode}}'), 0, 'stop: it ends with 0');
    $server->start;
}

$load->stop;
kept('stop', $server, 300, $load);
clean_log('stop', $server);
$server->stop;


# a secret is a file of a folder; one is added, and then the old one removed

my $dir = tempdir(CLEANUP => 1);
chmod 0755, $dir;
put("$dir/2026-05", "old\n");

$server = Lyftr::Container->new(
    env     => { WEBHOOK_SECRET => undef,
                 WEBHOOK_SECRET_FILE => '/run/secrets/webhook' },
    options => [ '-v', "$dir:/run/secrets/webhook:ro" ]);

sub status {
    my ($secret) = @_;

    my $body = message(message_id => "probe");

    return $server->exchange(join "\r\n", 'POST /webhook HTTP/1.1', 'Host: a',
        'Connection: close', signature($body, $secret),
        'Content-Length: ' . length $body, '', $body)->{status};
}

sub verified {
    my ($name) = @_;

    return $server->metric(
        qq(lyftr_signatures_verified_total{secret="$name"})) // 0;
}

# until no worker of before takes connections

sub reload {
    my ($name) = @_;

    my $n = () = $server->log =~ /serve: info: reloaded/g;

    $server->signal('HUP');
    ok(Lyftr::Server::wait_for(sub {
           (() = $server->log =~ /serve: info: reloaded/g) > $n;
       }), "$name: reloaded");
}

my $old = Lyftr::Load->start($server->{port}, r => 1000, c => 16, d => 3600,
                             k => 'old');
Lyftr::Server::wait_for { created($server) > 100 };
is(status('new'), 401, 'rotation: the new one is not known');

put("$dir/2026-11", "new\n");
reload('rotation');
is(status('new'), 200, 'rotation: the new one is known');

my $new = Lyftr::Load->start($server->{port}, r => 1000, c => 16, d => 3600,
                             k => 'new');
Lyftr::Server::wait_for { verified('2026-11') > 100 };

my $report_old = $old->stop;
is_deeply([ grep { $_ != 200 } keys %{ $report_old->{statuses} } ], [],
          'rotation: the old one was good all the time');
is($report_old->{failed}, 0, 'rotation: each was acknowledged');

cmp_ok(verified('2026-05'), '>', 100, 'rotation: the metric of the old one');

unlink "$dir/2026-05";
reload('rotation, once more');
is(status('old'), 401, 'rotation: the old one is no longer known');

# a mistake leaves all as it is

put("$dir/2027-05", '');
$server->signal('HUP');
Lyftr::Server::wait_for { $server->log =~ /2027-05 is empty/ }
    or fail('rotation: an empty file is told');
is(status('new'), 200, 'rotation: and the others are good');

my $report_new = $new->stop;
is_deeply([ grep { $_ != 200 } keys %{ $report_new->{statuses} } ], [],
          'rotation: the new one was good all the time');

kept('rotation', $server, 200, $old, $new);
clean_log('rotation', $server, qr/2027-05 is empty|serve: info: reloaded, /);
unlike($server->log, qr/\b(?:old|new)\b/, 'rotation: no secret in the log');
$server->stop;


# one file, which is written anew

put("$dir/secret", 'first');
unlink "$dir/2027-05", "$dir/2026-11";

$server = Lyftr::Container->new(
    env     => { WEBHOOK_SECRET => 'environment',
                 WEBHOOK_SECRET_FILE => '/run/secrets/webhook' },
    options => [ '-v', "$dir/secret:/run/secrets/webhook:ro" ]);

is(status('first'), 200, 'a file: its secret');
is(status('environment'), 200, 'a file: and that of the environment');
chmod 0644, "$dir/secret";
put("$dir/secret", 'second');
reload('a file');
is(status('second'), 200, 'a file: its second secret');
is(status('first'), 401, 'a file: and not its first');
$server->stop;


# So much memory for two workers, with deliveries, and reads and searches at
# once, until over() is true or the time is over.

sub squeezed {
    my ($memory, $over, $seconds) = @_;

    my $server = Lyftr::Container->new(
        options => [ '--memory', $memory, '--memory-swap', $memory ]);
    my @workers = $server->workers;

    # as many rows everywhere, and as many deliveries after that

    my $load = Lyftr::Load->start($server->{port}, c => 256, d => 3600);
    Lyftr::Server::wait_for {
        created($server) > 120_000 || $over->($server);
    } 120 or die 'memory: too few rows';
    my $report = $load->stop;

    my $trickle = Lyftr::Load->start($server->{port}, r => 1000, c => 16,
                                     d => 3600);
    my @readers = map { reader($server, $_, time + 120) } 1 .. 12;
    my $end = time + $seconds;

    Lyftr::Server::wait_for { time > $end || $over->($server) } 120;

    my $answered = 0;

    for (@readers) {
        kill 'TERM', $_->{pid};
        my $out = $_->{out};
        $answered += grep { /200/ } <$out>;
        close $out;
    }

    my $rest = $trickle->stop;
    $report->{failed} += $rest->{failed};

    return { server => $server, loads => [ $load, $trickle ],
             workers => \@workers, report => $report, answered => $answered };
}


# a process that reads, and tells of each answer

sub reader {
    my ($server, $n, $end) = @_;

    my $pid = open(my $out, '-|') // die "fork: $!";

    return { pid => $pid, out => $out } if $pid;

    my @paths = ("messages?q=1$n", "messages?offset=${n}000&limit=100",
                 'stats', 'messages?since=2025-01-01T00:00:00Z');

    for (my $i = 0; time < $end; $i++) {
        my $r = eval { $server->get("/$paths[$i % @paths]") } or next;
        syswrite STDOUT, "$r->{status}\n";
    }

    POSIX::_exit(0);
}


# how often the kernel killed for want of memory, by either kind of cgroups

sub killed {
    my ($server) = @_;

    my ($n) = $server->run('bash', '-c',
        'cat /sys/fs/cgroup/memory/memory.oom_control'
        . ' /sys/fs/cgroup/memory.events 2>/dev/null') =~ /^oom_kill (\d+)/m;

    return $n;
}


# what each worker had at most, without the files that are mapped, in kB

sub anonymous {
    my ($server) = @_;

    my $script = 'for p in $(grep -l "^Name:.nginx" /proc/[0-9]*/status);'
                 . ' do grep -E "^(PPid|VmHWM|RssFile)" $p; done';

    # the master is a child of the launcher, and has little

    return map { /VmHWM:\s+(\d+).*RssFile:\s+(\d+)/s ? $1 - $2 : () }
           split /^(?=PPid)/m, $server->run('bash', '-c', $script);
}


my $run = squeezed('128m', sub { 0 }, 20);
$server = $run->{server};

is(scalar @{ $run->{workers} }, 2, 'memory: two workers');
is($run->{report}{failed}, 0, 'memory: each was acknowledged');
cmp_ok($run->{answered}, '>', 50, "memory: $run->{answered} reads");
is(killed($server), 0, 'memory: nothing was killed');
is_deeply([ $server->workers ], $run->{workers}, 'memory: they are the same');

my @most = anonymous($server);
cmp_ok(scalar @most, '>=', 3, 'memory: the workers and the master');
is_deeply([ grep { $_ > 48 * 1024 } @most ], [], 'memory: 48 MB each');
diag "memory: at most @most kB";

kept('memory', $server, 100_000, @{ $run->{loads} });
clean_log('memory', $server);
$server->stop;

# what has less is killed, and that is seen

$run = squeezed('48m', \&killed, 60);
cmp_ok(killed($run->{server}), '>', 0, 'memory: 48 MB are too little');
$run->{server}->stop;

done_testing();

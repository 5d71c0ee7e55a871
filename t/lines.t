# The program that turns the error log into lines of JSON: what becomes of a
# line, that none is lost, and that signals and the end pass through it.

use strict;
use warnings;

use lib 't/lib';
use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use JSON::PP;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use Lyftr::Server;


binmode $_, ':utf8' for Test::More->builder->output,
                        Test::More->builder->failure_output;

my $program = ($ENV{BUILD} || getcwd . '/build') . '/lines';

system 'make', '-s', 'lines' and die "lines was not built\n";

my $dir = tempdir(CLEANUP => 1);


# starts it with a shell's script, and its standard error in a file or handle

sub start {
    my ($script, $to) = @_;

    unlink "$dir/out";

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        # a shell cannot trap what was ignored when it began, as under nohup
        $SIG{HUP} = 'DEFAULT';

        $to ? open STDERR, '>&', $to : open STDERR, '>', "$dir/out"
            or POSIX::_exit(1);
        exec $program, 'sh', '-c', $script or POSIX::_exit(1);
    }

    return $pid;
}


sub out {
    open my $file, '<:raw', "$dir/out" or return '';
    local $/;
    return <$file> // '';
}


# the lines as objects, of which each is one

sub parsed {
    my @lines = split /(?<=\n)/, $_[0];

    is(scalar(grep { length > 4096 || !/\n\z/ } @lines), 0,
       'lines that are whole, and not too long');

    return map { decode_json($_) } @lines;
}


sub written {
    my ($script) = @_;

    waitpid start($script), 0;

    return parsed(out());
}


# one line of bytes

sub line {
    my ($bytes) = @_;

    open my $file, '>:raw', "$dir/in" or die "in: $!";
    print $file $bytes;
    close $file;

    my @entries = written("cat $dir/in >&2");

    return wantarray ? @entries : $entries[0];
}


# levels, and what is taken off

my $head = '2026/11/23 12:00:00';

for (['debug', 'DEBUG'], ['info', 'DEBUG'], ['notice', 'DEBUG'],
     ['warn', 'WARNING'], ['error', 'ERROR'], ['crit', 'CRITICAL'],
     ['alert', 'CRITICAL'], ['emerg', 'CRITICAL'])
{
    my ($nginx, $level) = @$_;
    my $entry = line("$head [$nginx] 12#34: *5 a \"b\" \\c\n");

    is($entry->{level}, $level, "$nginx: $level");
    is($entry->{message}, '*5 a "b" \\c', "$nginx: the message");
    is_deeply([ sort keys %$entry ], [ qw(level message ts) ],
              "$nginx: the fields");
}

for (["nginx: [emerg] bad\n", 'CRITICAL', 'bad'],
     ["serve: bad\n", 'CRITICAL', 'serve: bad'],
     ["serve: warning: bad\n", 'WARNING', 'serve: warning: bad'],
     ["serve: info: good\n", 'INFO', 'serve: info: good'],
     ["serve: infos: bad\n", 'CRITICAL', 'serve: infos: bad'],
     ["bad\n", 'WARNING', 'bad'],
     ["$head bad\n", 'WARNING', 'bad'],
     ["$head [warn] bad\n", 'WARNING', 'bad'],
     ["$head [other] 1#1: bad\n", 'WARNING', '[other] 1#1: bad'],
     ["2026/11/23 bad\n", 'WARNING', '2026/11/23 bad'],
     ["[warn\n", 'WARNING', '[warn'],
     ["\x{c3}\x{a9}\t\x00\xff\xed\xa0\x80\n", 'WARNING',
      "\x{e9}\t\x00" . "\x{fffd}" x 4],
     ['no newline', 'WARNING', 'no newline'])
{
    my ($bytes, $level, $message) = @$_;
    my $name = $bytes =~ s/[^ -~]/?/gr;
    my $entry = line($bytes);

    is($entry->{level}, $level, "$name: the level");
    is($entry->{message}, $message, "$name: the message");
}

is_deeply([ line("\n\n$head [warn] \n") ], [], 'empty lines are none');

my @around = (time, line("x\n")->{ts}, time);
my ($date, $fraction) = $around[1] =~ /\A(\S+)(\.\d{3})Z\z/;
my $now = grep { POSIX::strftime('%Y-%m-%dT%H:%M:%S', gmtime $_) eq $date }
          int $around[0] .. int $around[2];

is($now, 1, 'ts is now, in UTC');
ok(defined $fraction, 'with milliseconds');


# a query is private

my $request = "$head [error] 1#1: *1 bad, client: 1.2.3.4, server: ,"
              . ' request: ';

is(line($request . qq("GET /messages$_ HTTP/1.1", host: "h", referrer: "/?q=x")
        . "\n")->{message},
   '*1 bad, client: 1.2.3.4, server: , request: "GET /messages"',
   "no query is left: $_") for '?q=private', '?q=a"b?c", host: "x', '?';
is(line(qq($request"GET /stats HTTP/1.1", host: "h"\n))->{message},
   '*1 bad, client: 1.2.3.4, server: , request: "GET /stats HTTP/1.1",'
   . ' host: "h"', 'without one all is left');
is(line("$head [emerg] 1#1: is this one?\n")->{message}, 'is this one?',
   'a question mark elsewhere');


# long ones

for my $unit ('x', '"', "\x01", "\xff", "\xc3\xa9", "\xf0\x9f\x98\x80") {
    for my $n (600 .. 603, 3900 .. 4200, 16380 .. 16390, 100_000) {
        next if $n % 7 && length $unit > 1;
        my $bytes = substr $unit x $n, 0, $n;
        open my $in, '>>:raw', "$dir/long" or die "long: $!";
        print $in $bytes, "\nnext\n";
    }

    my @entries = written("cat $dir/long >&2");
    my $nexts = grep { $_->{message} eq 'next' } @entries;

    is($nexts * 2, scalar @entries, 'no long line makes two');
    cmp_ok(length $entries[-2]{message}, '>', 500, 'nor is it too short');
    unlink "$dir/long";
}


# a slow reader, and a short life: nothing is lost, and the code is that of the
# command

pipe my $reader, my $writer or die "pipe: $!";
fcntl $reader, 1031, 4096;                      # F_SETPIPE_SZ

my $n = 20_000;
my $pid = start("seq $n >&2; exit 7", $writer);
close $writer;

my $text = '';

while (1) {
    sleep 0.0002;
    sysread $reader, $text, 65_536, length $text or last;
}

waitpid $pid, 0;
is($? >> 8, 7, 'the exit code is that of the command');
is(join(' ', map { $_->{message} } parsed($text)), join(' ', 1 .. $n),
   'each line is there, and in order');


# a process that stays keeps nobody up, and one that has spoken is heard

$pid = start('sleep 100 & echo $! >' . "$dir/stays; echo last >&2; exit 0");
my $before = time;
waitpid $pid, 0;
cmp_ok(time - $before, '<', 20, 'a process that stays is not waited for');
is((parsed(out()))[0]{message}, 'last', 'the last line is there');
kill 'KILL', `cat $dir/stays`;


# signals

for my $signal (qw(HUP QUIT TERM INT USR1)) {
    $pid = start("trap 'echo got $signal >&2; exit 3' $signal;"
                 . ' echo ready >&2; while :; do sleep 0.05; done');

    Lyftr::Server::wait_for { out() =~ /ready/ };
    kill $signal, $pid;
    waitpid $pid, 0;

    is($? >> 8, 3, "$signal is passed on");
    like(out(), qr/"got $signal"/, "$signal: what it does is told");
}

$pid = start('kill -9 $$');
waitpid $pid, 0;
is($? >> 8, 137, 'a command that was killed');

# no reader at all ends nobody

pipe $reader, $writer or die "pipe: $!";
$pid = start("echo x >&2; sleep 0.2; echo y >&2; exit 5", $writer);
close $reader;
close $writer;
waitpid $pid, 0;
is($?, 5 << 8, 'without a reader the command goes on');

done_testing();

# The launcher's WEBHOOK_SECRET_FILE: a file, or a folder of files, which are
# read again when it gets SIGHUP.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use POSIX qw(mkfifo);
use Test::More;

use Lyftr;
use Lyftr::Server;
use Lyftr::Shipped;


my $dir = tempdir(CLEANUP => 1);
my $folder = "$dir/a \"folder\" \\ of secrets";
mkdir $folder or die "$folder: $!";


sub put {
    my ($name, $text) = @_;

    open my $file, '>', $name or die "$name: $!";
    print $file $text;
    close $file;
}


sub serves {
    my (%env) = @_;

    return Lyftr::Shipped->new(cwd => $dir, env => { WEBHOOK_SECRET => undef,
                                                     %env });
}


# the answer to a delivery with a secret

sub status {
    my ($server, $secret) = @_;

    my $body = message();

    return $server->exchange(join "\r\n", 'POST /webhook HTTP/1.1', 'Host: a',
        'Connection: close', signature($body, $secret),
        'Content-Length: ' . length $body, '', $body)->{status};
}


# A reload, and how many secrets the launcher says there are.  It says so when
# no worker of before takes connections any more.

sub reload {
    my ($server) = @_;

    my $n = () = $server->log =~ /^serve: info: reloaded, /mg;
    my @lines;

    $server->signal('HUP');

    Lyftr::Server::wait_for {
        @lines = $server->log =~ /^serve: info: reloaded, .*: (\d+)$/mg;
        @lines > $n;
    };

    return @lines == $n + 1 ? $lines[-1] : @lines - $n . ' lines';
}


# which of these secrets are good

sub good {
    my ($server, $name, $expected, @secrets) = @_;

    is(join(' ', grep { status($server, $_) == 200 } @secrets), $expected,
       $name);
}


sub verified {
    my ($server, $name) = @_;

    return $server->metric(
        qq(lyftr_signatures_verified_total{secret="$name"}));
}


# a file, by a relative path, with the variable and without

put("$dir/one", "first\n");
my $server = serves(WEBHOOK_SECRET_FILE => 'one');

good($server, 'a file', 'first', 'first', 'second', '');
ok(verified($server, 'one'), 'a file: its name is the label');
unlike($server->log, qr/WEBHOOK_SECRET"/, 'a file: no warning');

put("$dir/one", 'second');
is(reload($server), 1, 'a file: reloaded');
good($server, 'a file: its next secret', 'second', 'first', 'second');
$server->stop;

$server = serves(WEBHOOK_SECRET_FILE => "$dir/one",
                 WEBHOOK_SECRET => 'variable');
good($server, 'a file and the variable', 'second variable', 'second',
     'variable', 'first');
is(reload($server), 2, 'a file and the variable: reloaded');
$server->stop;


# a folder

put("$folder/2026-05", 'old');
put("$folder/.hidden", 'hidden');
mkdir "$folder/inner" or die "inner: $!";

$server = serves(WEBHOOK_SECRET_FILE => $folder);
good($server, 'a folder', 'old', qw(old new hidden));

put("$folder/2026-11", "new\n");
is(reload($server), 2, 'a folder: one more');
good($server, 'a folder: they are good', 'old new', qw(old new hidden));
ok(verified($server, '2026-11'), 'a folder: its label');

unlink "$folder/2026-05";
is(reload($server), 1, 'a folder: one less');
good($server, 'a folder: the other is good', 'new', qw(old new));

# one that verifies nothing is told of, once

put("$folder/2026-12", "odd\r\r\n");
is(reload($server), 2, 'a carriage return: reloaded');
is(() = $server->log =~ /\[warn\] .*2026-12" ends with a carriage return/g, 1,
   'a carriage return: one warning');
unlink "$folder/2026-12";
is(reload($server), 1, 'a carriage return: no more');

# a mistake changes nothing

sub mistake {
    my ($name, $pattern) = @_;

    my $line = qr/^serve: warning: WEBHOOK_SECRET_FILE: .*$pattern/m;

    $server->signal('HUP');
    ok(Lyftr::Server::wait_for(sub { $server->log =~ $line }),
       "$name is told: $pattern") or diag($server->log);
    good($server, "$name: all stays as it was", 'new', qw(old new));
}

for (['a name', '2027~', 'x', qr/of A-Za-z0-9._-: 2027~$/m],
     ['an empty file', '2027', '', qr/2027 is empty$/m],
     ['a newline', '2028', "\n", qr/2028" is empty$/m])
{
    my ($name, $file, $text, $pattern) = @$_;

    put("$folder/$file", $text);
    mistake($name, $pattern);
    unlink "$folder/$file";
}

unlink "$folder/2026-11";
mistake('an empty folder', qr/no file in \Q$folder\E$/m);
rename $folder, "$folder.away" or die "rename: $!";
mistake('no folder', qr/cannot read \Q$folder\E$/m);
rename "$folder.away", $folder or die "rename: $!";

is($server->get('/health/ready')->{status}, 200, 'and it is ready');

# nor does what failed stay in the way of the next reload

put("$folder/2026-12", 'old');
is(reload($server), 1, 'a file again');
good($server, 'a file again: it is good', 'old', qw(old new));

unlike($server->log, qr/\b(?:old|hidden)\b/, 'no secret in the log');
$server->signal('TERM');
is($server->wait_exit, 0, 'ends with 0');


# an empty folder from the start on: not ready, until there is a file

unlink "$folder/2026-12";
$server = serves(WEBHOOK_SECRET_FILE => $folder);
is($server->get('/health/ready')->{status}, 503, 'an empty folder: not ready');
is(reload($server), 0, 'an empty folder: reloaded');
put("$folder/2026-11", 'new');
is(reload($server), 1, 'an empty folder no more');
good($server, 'an empty folder no more: its secret', 'new', qw(old new));
is($server->get('/health/ready')->{status}, 200, 'and ready');
$server->stop;


# what keeps it from starting

put("$dir/empty", '');

put("$dir/newline", "\n");
mkfifo("$dir/fifo", 0600) or die "fifo: $!";

for (['none', qr/cannot read none/], ['empty', qr/empty is empty/],
     ['newline', qr/newline" is empty/], ['fifo', qr/fifo is not a file/])
{
    my ($file, $pattern) = @$_;

    my $said = eval { serves(WEBHOOK_SECRET_FILE => $file); 1 }
        ? 'it serves' : $@;

    like($said, qr/\Ano service: serve: [^\n]+\n/, "$file: one line");
    like($said, $pattern, "$file: what it says");
}

done_testing();

# The launcher's WEBHOOK_SECRET_FILE: a file, or a folder of files, which are
# read again when it gets SIGHUP.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
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


# which of these secrets are good, in the end

sub good {
    my ($server, $name, $expected, @secrets) = @_;

    my $got;

    Lyftr::Server::wait_for {
        $got = join ' ', grep { status($server, $_) == 200 } @secrets;
        $got eq $expected;
    } 10;

    is($got, $expected, $name);
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
$server->signal('HUP');
good($server, 'a file: its next secret', 'second', 'first', 'second');
$server->stop;

$server = serves(WEBHOOK_SECRET_FILE => "$dir/one",
                 WEBHOOK_SECRET => 'variable');
good($server, 'a file and the variable', 'second variable', 'second',
     'variable', 'first');
$server->stop;


# a folder

put("$folder/2026-05", 'old');
put("$folder/.hidden", 'hidden');
mkdir "$folder/inner" or die "inner: $!";

$server = serves(WEBHOOK_SECRET_FILE => $folder);
good($server, 'a folder', 'old', qw(old new hidden));

put("$folder/2026-11", "new\n");
$server->signal('HUP');
good($server, 'a folder: one more', 'old new', qw(old new hidden));
ok(verified($server, '2026-11'), 'a folder: its label');

unlink "$folder/2026-05";
$server->signal('HUP');
good($server, 'a folder: one less', 'new', qw(old new));

# a mistake changes nothing

for (['2027~', 'x', qr/of A-Za-z0-9._-: 2027~$/m],
     ['2027', '', qr/2027 is empty$/m], ['2027', "\n", qr/empty secret/])
{
    my ($name, $text, $pattern) = @$_;

    put("$folder/$name", $text);
    $server->signal('HUP');
    ok(Lyftr::Server::wait_for(sub { $server->log =~ $pattern }),
       "a mistake is told: $pattern");
    is(status($server, 'new'), 200, 'and the other secret is good');
    unlink "$folder/$name";
}

unlink "$folder/2026-11";
$server->signal('HUP');
good($server, 'an empty folder', '', qw(old new));
is($server->get('/health/ready')->{status}, 503, 'an empty folder: not ready');

put("$folder/2026-11", 'new');
$server->signal('HUP');
good($server, 'an empty folder no more', 'new', qw(old new));
is($server->get('/health/ready')->{status}, 200, 'and ready');

unlike($server->log, qr/\b(?:old|hidden)\b/, 'no secret in the log');
$server->signal('TERM');
is($server->wait_exit, 0, 'ends with 0');


# what keeps it from starting

put("$dir/empty", '');

for (['none', qr/cannot read none/], ['empty', qr/empty is empty/]) {
    my ($file, $pattern) = @$_;

    my $said = eval { serves(WEBHOOK_SECRET_FILE => $file); 1 }
        ? 'it serves' : $@;

    like($said, qr/\Ano service: serve: WEBHOOK_SECRET_FILE: [^\n]+\n/,
         "$file: one line");
    like($said, $pattern, "$file: what it says");
}

done_testing();

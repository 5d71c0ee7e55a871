# What an operator has to know of the library is said once, where no alarm is
# raised: when a store comes, and not again.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Lyftr;
use Lyftr::Server;
use Lyftr::Version;


# a server that has a store only when it is to have one, and another one then

package Storeless;

our @ISA = ('Lyftr::Server');

sub configure {
    my ($self) = @_;

    $self->SUPER::configure;

    return if $self->{stores};

    local @ARGV = "$self->{dir}/nginx.conf";
    local $^I = '';

    while (<>) {
        next if /^ *location = .*\{ *lyftr_/;
        print unless /^ *lyftr_/;
    }
}


package main;


my $line = qr/lyftr: SQLite \S+ has the WAL-reset bug/;


# how often each level has it, and what was printed

sub told {
    my ($server) = @_;

    return join ',', map { "$_ " . $server->logged("\\[$_\\].*$line") }
                     qw(notice warn);
}


sub printed {
    my ($server) = @_;

    open my $file, '<', "$server->{dir}/stdout" or die "stdout: $!";
    local $/;

    return <$file> // '';
}


sub reload {
    my ($server) = @_;

    my %old = map { $_ => 1 } $server->workers;

    $server->configure;
    $server->signal('HUP');

    ok((Lyftr::Server::wait_for {
            my @new = $server->workers;
            @new == 2 && !grep { $old{$_} } @new;
        }), 'reloaded');
}


my $server = Storeless->new(preload => Lyftr::Version->new(3051002));

is(told($server), 'notice 0,warn 0', 'no store: nothing');

$server->{stores} = 1;
reload($server);
is(told($server), 'notice 1,warn 0', 'a reload adds one: a notice');

$server->{http} = "lyftr_store other sqlite:///$server->{dir}/other.db;";
reload($server);
is(told($server), 'notice 1,warn 0', 'another one: nothing more');
is(printed($server), '', 'nothing is printed');

$server->stop;

$server = Lyftr::Server->new(preload => Lyftr::Version->new(3051002));
is(told($server), 'notice 1,warn 0', 'at the start: a notice');
is(printed($server), '', 'nothing is printed');
$server->stop;

$server = Lyftr::Server->new(preload => Lyftr::Version->new(3051003));
is(told($server), 'notice 0,warn 0', 'a version without the bug: nothing');
$server->stop;


done_testing();
